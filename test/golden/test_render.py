"""coxctl render: formats, types, whom it renders for, and what it says when it cannot."""
import json
import os
import subprocess

import pytest
import yaml

import refdiff

SET = os.path.join(refdiff.REFERENCE, "protocols", "objects.yaml")


def run(*args):
    done = subprocess.run([refdiff.COXCTL, "render", *args], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def proxy():
    p = refdiff.proxies("protocols")[0]
    return "%s.%s" % (p["pod"], p["ns"])


def test_yaml_and_json_say_the_same():
    _, as_json, _ = run("-f", SET, "--proxy", proxy(), "-o", "json")
    rc, as_yaml, _ = run("-f", SET, "--proxy", proxy(), "-o", "yaml")
    assert rc == 0 and yaml.safe_load(as_yaml) == json.loads(as_json)
    assert run("-f", SET, "--proxy", proxy())[1] == as_json, "JSON is the default"


@pytest.mark.parametrize("kind", ["cds", "eds", "lds", "rds"])
def test_one_type(kind):
    _, whole, _ = run("-f", SET, "--proxy", proxy())
    rc, one, _ = run("-f", SET, "--proxy", proxy(), "--type", kind)
    assert rc == 0 and json.loads(one) == {kind.upper(): json.loads(whole)[kind.upper()]}
    assert json.loads(one)[kind.upper()], "there is something to see"


def test_a_directory_and_a_file_give_the_same(tmp_path):
    with open(SET) as f:
        docs = f.read().split("\n---\n")
    for i, doc in enumerate(docs):
        (tmp_path / ("%03d.yaml" % i)).write_text(doc + "\n")
    assert run("-f", str(tmp_path), "--proxy", proxy())[1] == run("-f", SET, "--proxy", proxy())[1]


def test_a_node_from_a_file(tmp_path):
    """The node message of a real proxy, as /config_dump shows it."""
    pod, ns = proxy().split(".")
    with open(SET) as f:
        at = [d for d in yaml.safe_load_all(f) if d["kind"] == "Pod" and d["metadata"]["name"] == pod][0]
    node = {"id": "sidecar~%s~%s.%s~%s.svc.cluster.local" % (at["status"]["podIP"], pod, ns, ns), "cluster": "x",
            "metadata": {"NAMESPACE": ns, "LABELS": at["metadata"]["labels"], "COXSWAIN_SDS": "none"}}
    (tmp_path / "node.json").write_text(json.dumps(node))
    rc, out, _ = run("-f", SET, "--node", str(tmp_path / "node.json"))
    assert rc == 0
    want = run("-f", SET, "--proxy", proxy(), "--class", "upstream", "--no-sds")[1]
    assert sorted(json.loads(out)["CDS"]) == sorted(json.loads(want)["CDS"]) and sorted(json.loads(out)["LDS"]) == sorted(json.loads(want)["LDS"])


@pytest.mark.parametrize("args,code,says", [
    (["-f", SET, "--proxy", "nobody.default"], 1, "there is no Pod nobody in namespace default"),
    (["-f", "/nowhere/at/all", "--proxy", "a.b"], 1, "/nowhere/at/all"),
    (["-f", SET], 2, "one of --proxy, --node"),
    (["--proxy", "a.b"], 2, "-f and one of"),
    (["-f", SET, "--proxy", "a.b", "--type", "xyz"], 2, "\"xyz\" is no type"),
    (["-f", SET, "--proxy", "a.b", "-o", "xml"], 2, "--output: \"xml\" is not one of json|yaml"),
    (["-f", SET, "--proxy", "a.b", "more"], 2, "\"more\" is too much"),
])
def test_refusals(args, code, says):
    rc, out, err = run(*args)
    assert (rc, out) == (code, "") and says in err


def test_faulty_objects_are_named_and_the_rest_is_rendered(tmp_path):
    with open(SET) as f:
        (tmp_path / "a.yaml").write_text(f.read())
    (tmp_path / "b.yaml").write_text("apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v, namespace: default}\nspec: {hosts: [a], http: [{timeout: soon}]}\n")
    rc, out, err = run("-f", str(tmp_path), "--proxy", proxy())
    assert rc == 0 and "VirtualService default/v: spec.http[0].timeout" in err and "b.yaml" in err
    assert json.loads(out) == json.loads(run("-f", SET, "--proxy", proxy())[1])
