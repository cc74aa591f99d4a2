"""The admission webhooks, called by a real kube-apiserver; kubectl's view of it.

covers: d1 d2 d21 d22 d24 d25 d26 d29 d30
"""
import base64
import glob
import json
import os
import ssl
import subprocess
import time
import urllib.request

import pytest
import yaml

import kubelab
from coxlab import webhooks
from coxlab.net import free_port
from coxswain import Coxswaind
from kubelab import wait

COXCTL = os.path.join(kubelab.BUILD, "coxctl")


def pod(name, ns, **meta):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": ns, **meta},
            "spec": {"serviceAccountName": "default", "containers": [{"name": "app", "image": "web:1", "ports": [{"containerPort": 8080}]}]}}


class Hooks:
    def __init__(self, lab, revision):
        self.lab, self.port, self.revision = lab, free_port(), revision
        self.names = []  # paths of what is registered

    def register(self):
        for doc in webhooks.manifests(self.port, self.revision):
            self.lab.call("POST", webhooks.path(doc), doc)
            self.names.append(webhooks.path(doc) + "/" + doc["metadata"]["name"])

    def entries(self):
        return [h for n in self.names for h in self.lab.call("GET", n)["webhooks"]]

    def close(self):
        for n in self.names:
            self.lab.delete(n)


@pytest.fixture(scope="module")
def hooks(lab):
    for path in sorted(glob.glob(os.path.join(kubelab.TREE, "crd/networking*.yaml"))):
        lab.crd(path)
    one = Hooks(lab, "hooked")
    with Coxswaind(source=["--kubeconfig", lab.kubeconfig], args=["--revision", "hooked", f"--httpsAddr=127.0.0.1:{one.port}"],
                   env={"ISTIOD_CUSTOM_HOST": "localhost"}) as daemon:
        one.daemon = daemon
        daemon.wait_ready()
        one.register()
        wait(lambda: all(h["clientConfig"].get("caBundle") for h in one.entries()), 20)
        yield one
        one.close()


def account(lab, ns):
    """No controller makes a namespace's default account here."""
    lab.call("POST", f"/api/v1/namespaces/{ns}/serviceaccounts", {"metadata": {"name": "default"}}, ok=(201, 409))


def make(lab, body):
    made = lab.call("POST", f"/api/v1/namespaces/{body['metadata']['namespace']}/pods", body)
    lab.delete(f"/api/v1/namespaces/{body['metadata']['namespace']}/pods/{made['metadata']['name']}?gracePeriodSeconds=0")
    return made


def test_pods_are_injected_where_it_is_asked_for(lab, hooks, ns):
    lab.namespace("hooked-on", {"istio.io/rev": "hooked"})
    for n in ("hooked-on", ns):
        account(lab, n)
    made = wait(lambda: next((m for m in [make(lab, pod("a", "hooked-on"))] if "sidecar.istio.io/status" in m["metadata"].get("annotations", {})), None), 10)
    assert [c["name"] for c in made["spec"]["containers"]] == ["app", "istio-proxy"]
    assert [c["name"] for c in made["spec"]["initContainers"]] == ["istio-init"]
    assert made["metadata"]["labels"]["security.istio.io/tlsMode"] == "istio"

    # Byte for byte what the command line makes of it.
    done = subprocess.run([COXCTL, "kube-inject", "-f", "-", "--revision", "hooked"], input=json.dumps(pod("a", "hooked-on")), capture_output=True, text=True)
    by_hand = yaml.safe_load(done.stdout)
    mine = next(c for c in by_hand["spec"]["containers"] if c["name"] == "istio-proxy")
    theirs = next(c for c in made["spec"]["containers"] if c["name"] == "istio-proxy")
    assert theirs["args"] == mine["args"] and [e["name"] for e in theirs["env"]] == [e["name"] for e in mine["env"]]
    assert json.loads(made["metadata"]["annotations"]["sidecar.istio.io/status"]) == json.loads(by_hand["metadata"]["annotations"]["sidecar.istio.io/status"])

    assert [c["name"] for c in make(lab, pod("b", ns))["spec"]["containers"]] == ["app"], "not labelled"
    assert [c["name"] for c in make(lab, pod("c", ns, labels={"istio.io/rev": "hooked"}))["spec"]["containers"]] == ["app", "istio-proxy"]
    assert [c["name"] for c in make(lab, pod("d", "hooked-on", labels={"sidecar.istio.io/inject": "false"}))["spec"]["containers"]] == ["app"]


def test_proxy_configs_count_at_admission(lab, hooks, ns):
    """covers: a167 d12"""
    env = lambda made: {e["name"]: e.get("value") for c in made["spec"]["containers"] if c["name"] == "istio-proxy" for e in c["env"]}  # noqa: E731
    path = f"/apis/networking.istio.io/v1beta1/namespaces/{ns}/proxyconfigs"
    account(lab, ns)
    body = pod("a", ns, labels={"istio.io/rev": "hooked", "app": "special"})
    lab.call("POST", path, {"apiVersion": "networking.istio.io/v1beta1", "kind": "ProxyConfig", "metadata": {"name": "pc", "namespace": ns}, "spec": {
        "selector": {"matchLabels": {"app": "special"}}, "concurrency": 3, "environmentVariables": {"MINE": "yes"}, "image": {"imageType": "debug"}}})
    made = wait(lambda: next((m for m in [make(lab, body)] if env(m).get("MINE") == "yes"), None), 10)
    assert json.loads(env(made)["PROXY_CONFIG"])["concurrency"] == 3
    assert next(c for c in made["spec"]["containers"] if c["name"] == "istio-proxy")["image"].endswith("-debug")
    assert "MINE" not in env(make(lab, pod("b", ns, labels={"istio.io/rev": "hooked"}))), "not selected"
    lab.delete(path + "/pc")
    wait(lambda: "MINE" not in env(make(lab, body)), 10)


def test_wrong_objects_are_refused_with_their_fields(lab, hooks, ns):
    """Validation fails closed from the moment it was seen to work. What the CRD's own schema can tell never comes to us: a regular expression does."""
    wait(lambda: all(h["failurePolicy"] == "Fail" for h in hooks.entries()), 20)
    bad = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "bad", "namespace": ns},
           "spec": {"hosts": ["a", "a"], "http": [{"match": [{"uri": {"regex": "("}}], "route": [{"destination": {"host": "b"}, "weight": 50}]}]}}
    answer = lab.call("POST", f"/apis/networking.istio.io/v1/namespaces/{ns}/virtualservices", bad, ok=(400, 403, 422))
    assert "VirtualService " + ns + "/bad is not valid" in answer["message"] and "spec." in answer["message"], answer
    good = {**bad, "metadata": {"name": "good", "namespace": ns}, "spec": {"hosts": ["a"], "http": [{"route": [{"destination": {"host": "b"}}]}]}}
    lab.call("POST", f"/apis/networking.istio.io/v1/namespaces/{ns}/virtualservices", good)
    lab.delete(f"/apis/networking.istio.io/v1/namespaces/{ns}/virtualservices/good")


def test_what_is_not_there_is_a_warning(lab, hooks, ns):
    """covers: d24 d29"""
    kubectl = os.path.join(subprocess.run([os.path.join(kubelab.TREE, "hack/kube/build")], check=True, capture_output=True, text=True).stdout.strip(), "kubectl")
    wait(lambda: all(h["failurePolicy"] == "Fail" for h in hooks.entries()), 20)

    def apply(name, **spec):
        body = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": name, "namespace": ns}, "spec": spec}
        done = subprocess.run([kubectl, "--kubeconfig", lab.kubeconfig, "apply", "-f", "-"], input=json.dumps(body), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return [line for line in done.stderr.split("\n") if line.startswith("Warning: ")]

    said = apply("lost", hosts=["a.example"], gateways=["nowhere"], http=[{"route": [{"destination": {"host": "nobody"}}]}])
    assert any(f"spec.gateways[0]: no Gateway {ns}/nowhere" in w for w in said), said
    assert any(f"spec.http[0].route[0].destination.host: no service nobody.{ns}.svc.cluster.local" in w for w in said), said
    lab.service(ns, "somebody")
    wait(lambda: apply("found", hosts=["somebody"], http=[{"route": [{"destination": {"host": "somebody"}}]}]) == [] or
         lab.delete(f"/apis/networking.istio.io/v1/namespaces/{ns}/virtualservices/found"), 10)
    said = apply("found", hosts=["somebody"], http=[{"route": [{"destination": {"host": "somebody", "subset": "v9"}}]}])
    assert any("no DestinationRule defines subset v9" in w for w in said), said
    for name in ("lost", "found"):
        lab.delete(f"/apis/networking.istio.io/v1/namespaces/{ns}/virtualservices/{name}")


def test_a_bundle_that_somebody_broke_is_mended(lab, hooks):
    name = hooks.names[0]
    doc = lab.call("GET", name)
    right = doc["webhooks"][0]["clientConfig"]["caBundle"]
    for hook in doc["webhooks"]:
        hook["clientConfig"]["caBundle"] = base64.b64encode(base64.b64decode(right).replace(b"CERTIFICATE", b"CERTIFICATE")[:-1]).decode()
    lab.call("PUT", name, doc)
    wait(lambda: all(h["clientConfig"]["caBundle"] == right for h in lab.call("GET", name)["webhooks"]), 10)


class Direct:
    """The webhook's port, without the kube-apiserver."""

    def __init__(self, hooks):
        self.context = ssl._create_unverified_context()
        self.url = f"https://localhost:{hooks.port}"

    def __call__(self, path, body, kind="application/json"):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(self.url + path, body, {"Content-Type": kind}), context=self.context, timeout=20) as r:
                return r.status, json.loads(r.read())
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()


def review(obj, version="v1", **request):
    return {"apiVersion": "admission.k8s.io/" + version, "kind": "AdmissionReview",
            "request": {"uid": "u-1", "operation": "CREATE", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "namespace": "x", "object": obj, **request}}


def test_reviews_of_every_sort(hooks):
    """covers: d18 d19 d20"""
    ask = Direct(hooks)
    for version in ("v1", "v1beta1"):
        code, out = ask("/inject", review(pod("p", "x"), version))
        assert code == 200 and out["apiVersion"] == "admission.k8s.io/" + version and out["response"]["uid"] == "u-1" and out["response"]["allowed"]
        assert out["response"]["patchType"] == "JSONPatch" and json.loads(base64.b64decode(out["response"]["patch"]))
    code, out = ask("/inject/cluster/c--slash--1/net/n1/istio_meta_x/y", review(pod("p", "x")))
    patch = json.dumps(json.loads(base64.b64decode(out["response"]["patch"])))
    assert '"c/1"' in patch and '"ISTIO_META_NETWORK", "value": "n1"' in patch and '"ISTIO_META_X", "value": "y"' in patch
    host = pod("p", "x")
    host["spec"]["hostNetwork"] = True
    code, out = ask("/inject", review(host))
    assert out["response"]["allowed"] and "patch" not in out["response"] and "hostNetwork" in out["response"]["warnings"][0]
    code, out = ask("/inject", review({"metadata": {}, "spec": {"containers": []}}))
    assert code == 200 and not out["response"]["allowed"] and "spec.containers" in out["response"]["status"]["message"]


@pytest.mark.parametrize("body,code,says", [
    (b"{", 400, "line"), (b"", 400, "AdmissionReview"), (b"[]", 400, "AdmissionReview"), (b'{"kind":"AdmissionReview"}', 400, "apiVersion"),
    (b'{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}', 400, "no request"),
    (b'{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{}}', 400, "uid"), (b"[" * 100000, 400, ""), (b"x" * 10000000, 413, "")])
def test_what_is_no_review_is_told_so(hooks, body, code, says):
    """covers: d20"""
    for path in ("/inject", "/validate"):
        try:
            got, text = Direct(hooks)(path, body)
        except (urllib.error.URLError, ConnectionError, ssl.SSLError):
            assert code == 413  # the server may close while the rest is still being sent
            continue
        assert got == code and says in text
    assert Direct(hooks)("/inject", b"{}", "text/plain")[0] == 415


def test_an_owner_hears_of_pods_left_out(lab, hooks):
    """covers: d19  An Event at the controller, once for all of its pods, and none for a dry run."""
    ask, ns = Direct(hooks), "left-out"
    lab.namespace(ns)
    left = pod("p", ns, ownerReferences=[{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "agents", "uid": "u-2", "controller": True}])
    left["spec"]["hostNetwork"] = True

    def events():
        return [e for e in lab.call("GET", f"/api/v1/namespaces/{ns}/events")["items"] if e["reason"] == "SidecarNotInjected"]
    ask("/inject", review(left, namespace=ns, dryRun=True))
    for _ in range(5):
        ask("/inject", review(left, namespace=ns))
    wait(events, 10)
    (one,) = events()
    assert one["involvedObject"]["kind"] == "DaemonSet" and one["involvedObject"]["name"] == "agents" and one["type"] == "Warning"
    assert "hostNetwork" in one["message"]


def test_many_at_once(hooks):
    """covers: d20  Hundreds of pods at one moment, as a rolling restart makes them; nobody waits long."""
    import concurrent.futures
    ask, slow = Direct(hooks), []

    def one(i):
        began = time.monotonic()
        code, out = ask("/inject", review(pod(f"p{i}", "x")))
        slow.append(time.monotonic() - began)
        return code == 200 and out["response"]["allowed"]
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        assert all(pool.map(one, range(600)))
    assert sorted(slow)[-1] < 5
