"""EnvoyFilters as people write them, after public documentation, issues and posts: each works, or is refused with a reason; what comes out
is loaded by a real Envoy. envoyfilter/<name>.yaml, rendered together with envoyfilter/mesh.yaml. Header lines:

    # covers: a154             rows of the feature list
    # proxy: gw-1.istio-system whom it is rendered for; web-1.default by default
    # node: {...}              node metadata of the proxy, beside what is needed: rendered for that in place of the Pod
    # expect: LDS NAME PATH VALUE    what stands there; `-`: nothing; `PATH ~ VALUE`: one of the values there
    # refused: EXPRESSION      a warning says so
"""
import json
import os
import re
import subprocess

import pytest

import envoy_check
import refdiff

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "envoyfilter")
NAMES = sorted(n[:-5] for n in os.listdir(FOLDER) if n != "mesh.yaml")


def header(path):
    found = {"expect": [], "refused": [], "proxy": "web-1.default", "node": None}
    with open(path) as f:
        for line in f:
            m = re.match(r"# (covers|proxy|node|expect|refused): (.*)$", line)
            if m and m.group(1) in ("expect", "refused"):
                found[m.group(1)].append(m.group(2))
            elif m:
                found[m.group(1)] = m.group(2).strip()
    return found


def look(node, path):
    """All values at a path; [*] for each item, 'a key with dots' quoted."""
    if not path or node is None:
        return [node]
    m = re.match(r"\.?(?:'([^']+)'|\[(\*|\d+)\]|([^.\[']+))", path)
    key, index, name = m.groups()
    rest = path[m.end():]
    if index == "*":
        return [v for item in node for v in look(item, rest)]
    if index is not None:
        return look(node[int(index)] if int(index) < len(node) else None, rest)
    return look(node.get(key or name) if isinstance(node, dict) else None, rest)


def text(v):
    return "-" if v is None else v if isinstance(v, str) else json.dumps(v, separators=(",", ":"))


def everywhere(node, path):
    """The values at a path that starts at any object inside."""
    start = re.match(r"[^.\[]+", path).group(0)
    found = []
    if isinstance(node, dict):
        if start in node:
            found += [text(v) for v in look(node, path)]
        for v in node.values():
            found += everywhere(v, path)
    elif isinstance(node, list):
        for v in node:
            found += everywhere(v, path)
    return found


def render(folder, h, extra):
    args = [refdiff.COXCTL, "render", "-f", str(folder), "--class", "upstream"] + extra
    if h["node"]:
        path = os.path.join(str(folder), "node.json")
        name, ns = h["proxy"].split(".")
        meta = {"NAMESPACE": ns, "LABELS": {"app": "web"}, **json.loads(h["node"])}
        with open(path, "w") as f:
            json.dump({"id": f"sidecar~10.0.0.1~{h['proxy']}~{ns}.svc.cluster.local", "metadata": meta}, f)
        args += ["--node", path]
    else:
        args += ["--proxy", h["proxy"]] + (["--router"] if h["proxy"].startswith("gw") else [])
    done = subprocess.run(args, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_example(name, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for source in ("mesh", name):
        (folder / f"{source}.yaml").write_text(open(os.path.join(FOLDER, f"{source}.yaml")).read())
    h = header(os.path.join(FOLDER, f"{name}.yaml"))
    assert h["expect"] or h["refused"], "the example shows nothing"
    rendered, said = render(folder, h, [])
    for why in h["refused"]:
        assert re.search(why, said), said
    if not h["refused"]:
        assert "refused" not in said, said
    for line in h["expect"]:
        kind, resource, path, value = line.split(" ", 3)
        body = rendered.get(kind, {}).get(resource)
        if value.startswith("~ "):
            assert value[2:] in everywhere(body, path), line
        else:
            assert " ".join(text(v) for v in look(body, path)) == value, line
    assert envoy_check.refusal(rendered, tmp_path) is None
