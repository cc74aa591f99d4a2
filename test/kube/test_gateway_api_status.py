"""The Gateway API on a real kube-apiserver with the project's own CRDs: conditions as kubectl reads them, secrets, grants, versions.

covers: a255 a256 a257 a258 a259 a260 a261 c34
"""
import glob
import json
import os
import subprocess
import time

import kubelab
import meshtls
import pytest
from coxswain import LDS, Coxswaind, Stream, node
from kubelab import wait

GROUP = "gateway.networking.k8s.io"


@pytest.fixture(scope="module")
def crds(lab):
    folder = subprocess.run([os.path.join(kubelab.TREE, "hack/gateway-api/crds")], check=True, capture_output=True, text=True).stdout.strip()
    for path in sorted(glob.glob(os.path.join(folder, "*.yaml"))):
        if not path.endswith("_vap_safeupgrades.yaml"):  # an admission policy, of no use here
            lab.crd(path)


@pytest.fixture(scope="module")
def kubectl(lab):
    program = os.path.join(subprocess.run([os.path.join(kubelab.TREE, "hack/kube/build")], check=True, capture_output=True, text=True).stdout.strip(), "kubectl")

    def run(*args, stdin=None):
        done = subprocess.run([program, "--kubeconfig", lab.kubeconfig, *args], input=stdin, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{args}: {done.stderr}"
        return done.stdout
    return run


@pytest.fixture
def cox(lab, crds):
    with Coxswaind(source=["--kubeconfig", lab.kubeconfig]) as c:
        c.wait_ready()
        yield c


class Mesh:
    def __init__(self, lab, kubectl, ns):
        self.lab, self.kubectl, self.ns = lab, kubectl, ns

    def apply(self, kind, name, spec, ns=None, version="v1", **more):
        body = {"apiVersion": f"{GROUP}/{version}", "kind": kind, "metadata": {"name": name, **({"namespace": ns or self.ns} if ns != "" else {})}, "spec": spec, **more}
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(body))

    def get(self, kind, name):
        return json.loads(self.kubectl("-n", self.ns, "get", f"{kind}.{GROUP}", name, "-o", "json"))

    def conditions(self, at, generation=None):
        found = {c["type"]: c for c in at.get("conditions") or []}
        assert all(c["observedGeneration"] == generation for c in found.values()) or generation is None
        return {t: (c["status"], c["reason"]) for t, c in found.items()}

    def parents(self, kind, name):
        o = self.get(kind, name)
        return [(p["controllerName"], p["parentRef"]["name"], self.conditions(p, o["metadata"]["generation"]))
                for p in (o.get("status") or {}).get("parents") or [] if p["controllerName"].startswith("istio.io")]

    def listener(self, name, gateway="gw"):
        for at in (self.get("gateway", gateway).get("status") or {}).get("listeners") or []:
            if at["name"] == name:
                return at["attachedRoutes"], self.conditions(at), sorted(k["kind"] for k in at["supportedKinds"])
        return None


@pytest.fixture
def mesh(lab, kubectl, cox, ns):
    m = Mesh(lab, kubectl, ns)
    lab.apply(f"/api/v1/namespaces/{ns}/services/edge", {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "edge", "namespace": ns},
        "spec": {"selector": {"app": ns}, "ports": [{"name": "http", "port": 80}, {"name": "https", "port": 443}]}})
    lab.service(ns, "web")
    m.apply("GatewayClass", "istio", {"controllerName": "istio.io/gateway-controller"}, ns="")
    m.apply("Gateway", "gw", {"gatewayClassName": "istio", "addresses": [{"type": "Hostname", "value": "edge"}], "listeners": [
        {"name": "http", "protocol": "HTTP", "port": 80},
        {"name": "https", "protocol": "HTTPS", "port": 443, "tls": {"certificateRefs": [{"name": "cert"}]}}]})
    yield m
    lab.delete(f"/api/v1/namespaces/{ns}")
    for kind in ("gateways", "httproutes", "grpcroutes", "tcproutes", "tlsroutes", "backendtlspolicies", "referencegrants"):
        kubectl("-n", ns, "delete", f"{kind}.{GROUP}", "--all")
    kubectl("delete", f"gatewayclasses.{GROUP}", "istio")


GOOD = {"Accepted": ("True", "Accepted"), "ResolvedRefs": ("True", "ResolvedRefs")}


def secret(lab, ns, pair):
    import base64
    b = lambda which: base64.b64encode(pair.text(which).encode()).decode()
    lab.apply(f"/api/v1/namespaces/{ns}/secrets/cert", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cert", "namespace": ns},
                                                        "type": "kubernetes.io/tls", "data": {"tls.crt": b("cert"), "tls.key": b("key")}})


def test_conditions(mesh, lab, kubectl, ns, tmp_path, cox):
    kubectl("wait", "--for=condition=Accepted", "gatewayclass/istio", "--timeout=20s")
    features = [f["name"] for f in json.loads(kubectl("get", "gatewayclass", "istio", "-o", "json"))["status"]["supportedFeatures"]]
    assert features == sorted(features) and {"Gateway", "HTTPRoute", "Mesh", "ReferenceGrant"} <= set(features)
    kubectl("-n", ns, "wait", "--for=condition=Programmed", f"gateway.{GROUP}/gw", "--timeout=20s")
    assert mesh.get("gateway", "gw")["status"]["addresses"] == [{"type": "Hostname", "value": f"edge.{ns}.svc.cluster.local"}]
    assert mesh.listener("https")[1]["ResolvedRefs"] == ("False", "InvalidCertificateRef")
    # The Secret comes: it is watched because it is named.
    secret(lab, ns, meshtls.Authority(tmp_path).leaf("a.example.com"))
    wait(lambda: mesh.listener("https")[1]["Programmed"] == ("True", "Programmed"), 20)
    # A route, beside another controller's word about it.
    mesh.apply("HTTPRoute", "web", {"parentRefs": [{"name": "gw", "sectionName": "http"}, {"name": "others"}], "rules": [{"backendRefs": [{"name": "web", "port": 80}]}]})
    foreign = {"parentRef": {"name": "others"}, "controllerName": "example.com/other", "conditions": [
        {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1}]}
    route = f"/apis/{GROUP}/v1/namespaces/{ns}/httproutes/web"
    wait(lambda: mesh.parents("httproute", "web") == [("istio.io/gateway-controller", "gw", GOOD)], 20)
    ours = mesh.get("httproute", "web")["status"]["parents"]
    lab.call("PATCH", f"{route}/status", {"status": {"parents": ours + [foreign]}}, "application/merge-patch+json")
    assert mesh.listener("http")[0] == 1 and mesh.listener("https")[0] == 0
    first = mesh.get("httproute", "web")["status"]["parents"][0]["conditions"]
    # Another generation, another word; what did not change keeps its time, and the other controller's entry stays.
    mesh.apply("HTTPRoute", "web", {"parentRefs": [{"name": "gw"}, {"name": "others"}], "rules": [{"backendRefs": [{"name": "gone", "port": 80}]}]})
    wait(lambda: mesh.parents("httproute", "web") == [("istio.io/gateway-controller", "gw", {**GOOD, "ResolvedRefs": ("False", "BackendNotFound")})], 20)
    parents = mesh.get("httproute", "web")["status"]["parents"]
    assert [p for p in parents if p["controllerName"] == "example.com/other"][0]["conditions"] == foreign["conditions"]
    wait(lambda: mesh.listener("https")[0] == 1, 20)  # without sectionName
    version = mesh.get("httproute", "web")["metadata"]["resourceVersion"]
    time.sleep(1.5)
    assert mesh.get("httproute", "web")["metadata"]["resourceVersion"] == version  # one write a generation
    # What a gateway's proxy gets of it.
    with Stream(cox.grpc_port, node(pod="edge-0", ns=ns, kind="router", labels={"app": ns})) as s:
        names = set(s.fetch(LDS))
        assert "0.0.0.0_80" in names, names
    # The Gateway goes: we have nothing more to say.
    kubectl("-n", ns, "delete", f"gateway.{GROUP}", "gw")
    wait(lambda: [p["controllerName"] for p in mesh.get("httproute", "web")["status"]["parents"]] == ["example.com/other"], 20)


def test_grants_and_versions(mesh, lab, kubectl, ns):
    far = ns + "-far"
    lab.namespace(far)
    lab.service(far, "cart")
    to = [{"backendRefs": [{"name": "cart", "namespace": far, "port": 80}]}]
    mesh.apply("HTTPRoute", "far", {"parentRefs": [{"name": "gw"}], "rules": to}, version="v1beta1")
    refused = {**GOOD, "ResolvedRefs": ("False", "RefNotPermitted")}
    wait(lambda: mesh.parents("httproute", "far") == [("istio.io/gateway-controller", "gw", refused)], 20)
    mesh.apply("ReferenceGrant", "g", {"from": [{"group": GROUP, "kind": "HTTPRoute", "namespace": ns}], "to": [{"group": "", "kind": "Service"}]}, ns=far, version="v1beta1")
    wait(lambda: mesh.parents("httproute", "far") == [("istio.io/gateway-controller", "gw", GOOD)], 20)
    kubectl("-n", far, "delete", f"referencegrant.{GROUP}", "g")
    wait(lambda: mesh.parents("httproute", "far") == [("istio.io/gateway-controller", "gw", refused)], 20)
    # Kinds that no listener takes, a Service as a parent, and a policy.
    web = [{"backendRefs": [{"name": "web", "port": 80}]}]
    mesh.apply("TCPRoute", "raw", {"parentRefs": [{"name": "gw"}], "rules": web})
    mesh.apply("TLSRoute", "sni", {"parentRefs": [{"name": "gw"}], "hostnames": ["a.example.com"], "rules": web})
    mesh.apply("GRPCRoute", "rpc", {"parentRefs": [{"group": "", "kind": "Service", "name": "web", "port": 80}], "rules": [{"matches": [{"method": {"service": "a.B"}}], **web[0]}]})
    mesh.apply("BackendTLSPolicy", "tls", {"targetRefs": [{"group": "", "kind": "Service", "name": "web"}], "validation": {"hostname": "a.example.com", "wellKnownCACertificates": "System"}})
    taken = {**GOOD, "Accepted": ("False", "NotAllowedByListeners")}
    for kind, name, parent, want in (("tcproute", "raw", "gw", taken), ("tlsroute", "sni", "gw", taken), ("grpcroute", "rpc", "web", GOOD)):
        wait(lambda: mesh.parents(kind, name) == [("istio.io/gateway-controller", parent, want)], 20)

    def ancestors():
        return [(a["ancestorRef"]["kind"], a["ancestorRef"]["name"], mesh.conditions(a)) for a in (mesh.get("backendtlspolicy", "tls").get("status") or {}).get("ancestors") or []]
    wait(lambda: ancestors() == [("Service", "web", GOOD)], 20)
    lab.delete(f"/api/v1/namespaces/{far}")
