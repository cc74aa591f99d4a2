"""Compares what coxctl renders with what a real istiod sent (test/golden/reference), resource by resource."""
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
REFERENCE = os.path.join(ROOT, "test/golden/reference")
COXCTL = os.environ.get("COXCTL", os.path.join(ROOT, "build/coxctl"))

# Lists whose order has no meaning to Envoy.
UNORDERED = {"filter_chains", "application_protocols", "domains", "virtual_hosts", "endpoints", "lb_endpoints", "custom_tags", "rules",
             "match_subject_alt_names", "server_names", "prefix_ranges"}
# Istio's own messages: the reference gives only their length.
OPAQUE = re.compile(r"^(stats\.|istio\.|io\.istio\.)")
DURATION = re.compile(r"^-?\d+(\.\d+)?s$")


def normal(value, key=""):
    """Without defaults and spelling: both sides go through this."""
    if isinstance(value, dict):
        kind = str(value.get("@type", "")).replace("type.googleapis.com/", "")
        if OPAQUE.match(kind):
            length = value.get("@opaque_bytes")
            if length is None and kind == "stats.PluginConfig":
                length = 2 if value.get("disable_host_header_fallback") else 0
            return {"@type": kind, "@opaque_bytes": length} if kind.startswith("stats.") else {"@type": kind}
        out = {}
        for k, v in value.items():
            n = kind if k == "@type" else normal(v, k)
            if n not in ("", None) and n != {} and n != []:
                out[k] = n
        return out
    if isinstance(value, list):
        items = [normal(v, key) for v in value]
        return sorted(items, key=lambda v: json.dumps(v, sort_keys=True)) if key in UNORDERED else items
    if isinstance(value, str):
        if DURATION.match(value):
            return "%gs" % float(value[:-1])
        if value.isdigit() and key not in ("exact", "prefix"):
            return int(value)
    if isinstance(value, float) and value == int(value):
        return int(value)
    return value


def differences(want, have, path=""):
    """The smallest paths at which two normal values differ, as text."""
    if want == have:
        return []
    if isinstance(want, dict) and isinstance(have, dict):
        out = []
        for k in sorted(set(want) | set(have)):
            if k not in have:
                out.append("%s.%s: missing, istiod: %s" % (path, k, short(want[k])))
            elif k not in want:
                out.append("%s.%s: only ours: %s" % (path, k, short(have[k])))
            else:
                out += differences(want[k], have[k], path + "." + k)
        return out
    if isinstance(want, list) and isinstance(have, list):
        if len(want) != len(have):
            only = [short(v) for v in want if v not in have], [short(v) for v in have if v not in want]
            return ["%s: %d items, istiod %d; istiod only: %s; ours only: %s" % (path, len(have), len(want), only[0][:3], only[1][:3])]
        return [d for i, (w, h) in enumerate(zip(want, have)) for d in differences(w, h, "%s[%d]" % (path, i))]
    return ["%s: %s, istiod: %s" % (path, short(have), short(want))]


def short(value):
    text = json.dumps(value, sort_keys=True)
    return text if len(text) < 160 else text[:157] + "..."


def render(name, proxy, extra=()):
    """What coxctl makes for one proxy of a set."""
    args = [COXCTL, "render", "-f", os.path.join(REFERENCE, name, "objects.yaml"), "--proxy", "%s.%s" % (proxy["pod"], proxy["ns"])]
    if proxy["kind"] == "router":
        args.append("--router")
    done = subprocess.run(args + list(extra), capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError("%s: %s" % (" ".join(args), done.stderr))
    return json.loads(done.stdout)


def proxies(name):
    with open(os.path.join(REFERENCE, name, "proxies.json")) as f:
        return json.load(f)


def expected(name, proxy):
    with open(os.path.join(REFERENCE, name, "%s.%s.%s.json" % (proxy["kind"], proxy["ns"], proxy["pod"]))) as f:
        return json.load(f)


def sets():
    return sorted(d for d in os.listdir(REFERENCE) if os.path.isdir(os.path.join(REFERENCE, d)))


def compare(name, on_purpose=lambda *where: None, adjust=lambda name, kind, resource, value: value):
    """{type: [equal, all, [(proxy, resource, differences)]]} over all proxies of a set. `on_purpose` gives the reason why one may
    differ; `adjust` takes out of istiod's answer what we leave out on purpose."""
    result = {}
    for proxy in proxies(name):
        want, have = expected(name, proxy), render(name, proxy)
        who = "%s.%s" % (proxy["pod"], proxy["ns"])
        for kind in sorted(set(want) | set(have)):
            entry = result.setdefault(kind, [0, 0, []])
            for resource in sorted(set(want.get(kind, {})) | set(have.get(kind, {}))):
                entry[1] += 1
                w, h = want.get(kind, {}).get(resource), have.get(kind, {}).get(resource)
                if w is None or h is None:
                    found = ["only istiod has it" if h is None else "only ours has it"]
                else:
                    found = differences(normal(adjust(name, kind, resource, w)), normal(h))
                found = [d for d in found if on_purpose(name, kind, resource, d, who) is None]
                if found:
                    entry[2].append((who, resource, found))
                else:
                    entry[0] += 1
    return result


def main(argv):
    limit = 6
    names = [a for a in argv if not a.startswith("-")] or sets()
    kinds = [a[2:].upper() for a in argv if a.startswith("--") and a != "--all"]
    if "--all" in argv:
        limit = 1000
    for name in names:
        try:
            result = compare(name)
        except RuntimeError as e:
            print("%-20s %s" % (name, e))
            continue
        for kind, (equal, total, bad) in sorted(result.items()):
            if kinds and kind not in kinds:
                continue
            print("%-20s %-4s %4d of %4d equal (%.0f %%)" % (name, kind, equal, total, 100.0 * equal / total if total else 100))
            for who, resource, found in bad[:limit]:
                print("    %s %s" % (who, resource))
                for d in found[:limit]:
                    print("        " + d)


if __name__ == "__main__":
    main(sys.argv[1:])
