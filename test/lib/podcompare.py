"""Two pods compared as Kubernetes would: what is empty says nothing, lists with a merge key have no order (but containers' own)."""

import json
import re

KEYED = {"env": "name", "volumes": "name", "volumeMounts": "mountPath", "ports": "containerPort", "imagePullSecrets": "name"}


SUFFIXES = {"m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


def quantity(v):
    found = re.fullmatch(r"([0-9.]+)(m|k|M|G|Ki|Mi|Gi)?", str(v))
    return float(found.group(1)) * SUFFIXES.get(found.group(2), 1) if found else v


def prune(v, name=""):
    if isinstance(v, dict):
        if name in ("limits", "requests"):
            return {k: quantity(x) for k, x in v.items()}
        made = {k: prune(x, k) for k, x in v.items()}
        # What is written out is what is taken anyway.
        usual = {"initialDelaySeconds": 0, "scheme": "HTTP", "value": ""}
        return {k: x for k, x in made.items() if x not in (None, {}, []) and (k not in usual or usual[k] != x)}
    return [prune(x) for x in v] if isinstance(v, list) else v


def flat(v, path=""):
    """{path: scalar}; items of keyed lists by their key, other lists by place."""
    if isinstance(v, dict):
        out = {}
        for k, x in v.items():
            out.update(flat(x, f"{path}.{k}" if path else k))
        return out or {path: {}}
    if isinstance(v, list):
        key = KEYED.get(path.rsplit(".", 1)[-1])
        out = {}
        for i, x in enumerate(v):
            out.update(flat(x, f"{path}[{x[key] if key and isinstance(x, dict) and key in x else i}]"))
        return out
    # Texts of JSON (a proxy's settings, probers): their content.
    if isinstance(v, str) and v.lstrip().startswith(("{", "[")):
        try:
            return {path: json.dumps(json.loads(v), sort_keys=True)}
        except ValueError:
            pass
    return {path: v}


def differences(want, have):
    a, b = ({k: v for k, v in flat(prune(x)).items() if not k.startswith("status.")} for x in (want, have))
    return [f"{p}: {a.get(p, '-')!r} -> {b.get(p, '-')!r}" for p in sorted(set(a) | set(b)) if a.get(p, "-") != b.get(p, "-")]
