"""coxctl analyze on a real kube-apiserver, beside istioctl on the same one: the same codes about the same objects.

covers: f1 f26 h17 d40 d44 d48 d55 d58 d60 d70
"""
import glob
import json
import os
import subprocess

import pytest

import kubelab

COXCTL = os.path.join(kubelab.BUILD, "coxctl")
ISTIO = "networking.istio.io/v1"


def run(program, lab, *args, stdin=None):
    return subprocess.run([program, "analyze", "--kubeconfig", lab.kubeconfig, *args], capture_output=True, text=True, input=stdin, timeout=120)


def said(program, lab, ns, *args):
    done = run(program, lab, "-n", ns, "-o", "json", *args)
    assert done.returncode == 0, (done.stdout, done.stderr)
    return {f"{m['code']} {m.get('origin')}" for m in json.loads(done.stdout[done.stdout.index("["):])}


@pytest.fixture(scope="module")
def crds(lab):
    for path in sorted(glob.glob(os.path.join(kubelab.TREE, "crd/*.istio.io*.yaml"))):
        lab.crd(path)


@pytest.fixture
def mesh(lab, crds, ns):
    made = []

    def add(api, plural, name, **rest):
        path = f"/apis/{api}/namespaces/{ns}/{plural}"
        lab.call("POST", path, {"metadata": {"name": name}, **rest})
        made.append(f"{path}/{name}")

    lab.service(ns, "web")
    lab.call("POST", f"/api/v1/namespaces/{ns}/services", {"metadata": {"name": "odd"}, "spec": {"ports": [{"name": "odd", "port": 80}]}})
    add(ISTIO, "virtualservices", "good", apiVersion=ISTIO, kind="VirtualService",
        spec={"hosts": ["web"], "http": [{"route": [{"destination": {"host": "web"}}]}]})
    add(ISTIO, "virtualservices", "lost", apiVersion=ISTIO, kind="VirtualService",
        spec={"hosts": ["a.example"], "gateways": ["later"], "http": [{"route": [{"destination": {"host": "nobody"}}]}]})
    add(ISTIO, "destinationrules", "subsets", apiVersion=ISTIO, kind="DestinationRule",
        spec={"host": "web", "subsets": [{"name": "v1", "labels": {"version": "v1"}}]})
    add(ISTIO, "gateways", "nobodys", apiVersion=ISTIO, kind="Gateway",
        spec={"selector": {"istio": f"{ns}-none"}, "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["x.example"]}]})
    add(ISTIO, "virtualservices", "others", apiVersion=ISTIO, kind="VirtualService",
        spec={"hosts": ["o.example"], "gateways": ["other-revision"], "http": [{"route": [{"destination": {"host": "web"}}]}]})
    lab.call("PATCH", made[-1], {"metadata": {"labels": {"istio.io/rev": "canary"}}}, content_type="application/merge-patch+json")
    yield
    for path in made:
        lab.delete(path)


def test_as_istioctl(lab, ns, mesh):
    there = subprocess.run([os.path.join(kubelab.TREE, "hack/istio/build")], check=True, capture_output=True, text=True).stdout.split()[-1]
    ours = said(COXCTL, lab, ns)
    assert ours == said(os.path.join(there, "istioctl"), lab, ns)
    assert {x.replace(f" {ns}/", " ") for x in ours if "Namespace" not in x} == {
        "IST0101 VirtualService lost", "IST0132 VirtualService lost", "IST0118 Service odd", "IST0173 DestinationRule subsets", "IST0101 Gateway nobodys"}
    assert "IST0101 VirtualService " + ns + "/others" in said(COXCTL, lab, ns, "--revision", "canary")


def test_files_stand_for_what_would_be_applied(lab, ns, mesh, tmp_path):
    (tmp_path / "new.yaml").write_text(f"""apiVersion: {ISTIO}
kind: Gateway
metadata: {{name: later, namespace: {ns}}}
spec: {{selector: {{istio: {ns}-none}}, servers: [{{port: {{number: 81, name: http, protocol: HTTP}}, hosts: [a.example]}}]}}
---
apiVersion: {ISTIO}
kind: DestinationRule
metadata: {{name: subsets, namespace: {ns}}}
spec: {{host: web}}
---
apiVersion: v1
kind: Service
metadata: {{name: nobody, namespace: {ns}}}
spec: {{ports: [{{name: http, port: 80}}]}}
""")
    now = {x.replace(f" {ns}/", " ") for x in said(COXCTL, lab, ns, str(tmp_path / "new.yaml")) if "Namespace" not in x}
    assert now == {"IST0118 Service odd", "IST0101 Gateway nobodys", "IST0101 Gateway later"}


def test_namespaces_and_exit_status(lab, ns, mesh):
    assert run(COXCTL, lab, "-n", ns).returncode == 79
    none = run(COXCTL, lab, "-n", "not-there")
    assert none.returncode == 0 and 'namespace "not-there" not found' in none.stderr
    assert f"IST0101] (VirtualService {ns}/lost)" in run(COXCTL, lab, "-A").stdout
    assert run(COXCTL, lab, "--context", "no-such").returncode == 1


def test_precheck(lab, ns, crds):
    """A cluster that is new enough and ours: what is found is for information, and nothing fails."""
    lab.call("POST", f"/api/v1/namespaces/{ns}/services", {"metadata": {"name": "alpha", "annotations": {"networking.istio.io/exportTo": "."}},
                                                           "spec": {"ports": [{"name": "http", "port": 80}]}})

    def found(*words):
        done = subprocess.run([COXCTL, *words, "precheck", "--kubeconfig", lab.kubeconfig, "-o", "json"], capture_output=True, text=True, timeout=120)
        return done.returncode, {(m["code"], m["level"], m["origin"]) for m in json.loads(done.stdout)}
    status, messages = found()
    assert status == 0 and ("IST0136", "Info", f"Service {ns}/alpha") in messages and {m[1] for m in messages} == {"Info"}, messages
    assert found("x") == (status, messages)
