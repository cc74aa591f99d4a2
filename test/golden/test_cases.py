"""Small cases, one feature or a few each: cases/<name>/in.yaml with a header that says what it proves, who is rendered, and what is
looked at; cases/<name>/expect.json. `make golden` rewrites the expectations. Header lines of in.yaml:

    # covers: a71 a72          rows of the feature list
    # proxy: client.default    the Pod
    # node: node.json          or: the node message as the proxy sends it, a file of the case
    # args: --class upstream   further arguments of coxctl render
    # show: CDS outbound\\|80   type and regular expression of names; several allowed
"""
import json
import os
import re
import subprocess

import pytest

import envoy_check
import refdiff

CASES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cases")


def header(path):
    found = {"show": [], "args": "", "proxy": None, "node": None, "covers": ""}
    with open(path) as f:
        for line in f:
            m = re.match(r"# (covers|proxy|node|args|show): (.*)$", line)
            if m and m.group(1) == "show":
                found["show"].append(m.group(2).split(" ", 1))
            elif m:
                found[m.group(1)] = m.group(2).strip()
    return found


def render(folder, args):
    done = subprocess.run([refdiff.COXCTL, "render", "-f", os.path.join(folder, "in.yaml")] + args, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr, done.stderr
    return json.loads(done.stdout)


def shown(rendered, show):
    out = {}
    for kind, pattern in show:
        for name, resource in rendered.get(kind, {}).items():
            if re.search(pattern, name):
                out.setdefault(kind, {})[name] = resource
    return out


@pytest.mark.parametrize("name", sorted(os.listdir(CASES)))
def test_case(name, rewrite, tmp_path):
    folder = os.path.join(CASES, name)
    h = header(os.path.join(folder, "in.yaml"))
    who = ["--node", os.path.join(folder, h["node"])] if h["node"] else ["--proxy", h["proxy"]]
    rendered = render(folder, who + h["args"].split())
    have = shown(rendered, h["show"])
    assert have, "the case shows nothing"
    path = os.path.join(folder, "expect.json")
    if rewrite:
        with open(path, "w") as f:
            json.dump(have, f, indent=1, sort_keys=True)
            f.write("\n")
    with open(path) as f:
        want = json.load(f)
    assert want == have, "\n".join(refdiff.differences(want, have))
    if "--class upstream" in h["args"]:
        assert envoy_check.refusal(rendered, tmp_path) is None
