"""A Gateway without addresses: what is deployed for it on a real kube-apiserver, kept as it is to be, and gone with it.

covers: a255 a256
"""
import glob
import json
import os
import subprocess

import kubelab
import pytest
import yaml
from coxswain import Coxswaind
from kubelab import wait

GROUP = "gateway.networking.k8s.io"
MANAGED = "gateway.istio.io/managed"


@pytest.fixture(scope="module")
def crds(lab):
    folder = subprocess.run([os.path.join(kubelab.TREE, "hack/gateway-api/crds")], check=True, capture_output=True, text=True).stdout.strip()
    for path in sorted(glob.glob(os.path.join(folder, "*.yaml"))):
        if not path.endswith("_vap_safeupgrades.yaml"):
            lab.crd(path)


@pytest.fixture(scope="module")
def kubectl():
    folder = subprocess.run([os.path.join(kubelab.TREE, "hack/kube/build")], check=True, capture_output=True, text=True).stdout.strip()

    def run(lab, *args, stdin=None, fails=False):
        done = subprocess.run([os.path.join(folder, "kubectl"), "--kubeconfig", lab.kubeconfig, *args], input=stdin, capture_output=True, text=True, timeout=60)
        assert fails or done.returncode == 0, f"{args}: {done.stderr}"
        return done.stdout if done.returncode == 0 else None
    return run


@pytest.fixture
def mesh(lab, crds, kubectl, ns):
    class Mesh:
        def get(self, kind, name):
            text = kubectl(lab, "-n", ns, "get", kind, name, "-o", "json", fails=True)
            return json.loads(text) if text else None

        def apply(self, body):
            kubectl(lab, "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(body))

        def gateway(self, name, spec, **meta):
            self.apply({"apiVersion": f"{GROUP}/v1", "kind": "Gateway", "metadata": {"name": name, "namespace": ns, **meta}, "spec": {"gatewayClassName": "istio", **spec}})

        def run(self, *args, **kw):
            return kubectl(lab, *args, **kw)
    with Coxswaind(source=["--kubeconfig", lab.kubeconfig]) as c:
        c.wait_ready()
        m = Mesh()
        m.cox = c
        yield m
        kubectl(lab, "-n", ns, "delete", f"gateways.{GROUP}", "--all")
        lab.delete(f"/api/v1/namespaces/{ns}")
        kubectl(lab, "delete", f"gatewayclasses.{GROUP}", "--all")


HTTP = {"name": "web", "protocol": "HTTP", "port": 80}


def test_a_gateway_is_deployed(mesh, lab, ns):
    mesh.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "more", "namespace": ns}, "data": {
        "deployment": "spec: {replicas: 2, template: {spec: {containers: [{name: istio-proxy, resources: {requests: {cpu: 100m}}}]}}}",
        "service": "spec: {externalTrafficPolicy: Local}",
        "horizontalPodAutoscaler": "spec: {minReplicas: 2, maxReplicas: 5}", "podDisruptionBudget": "spec: {minAvailable: 1}"}})
    mesh.gateway("edge", {"listeners": [HTTP, {"name": "tcp", "protocol": "TCP", "port": 9000}],
                          "infrastructure": {"labels": {"team": "a"}, "annotations": {"example.com/x": "y"},
                                             "parametersRef": {"group": "", "kind": "ConfigMap", "name": "more"}}})
    wait(lambda: mesh.get("pdb", "edge-istio"), 20)
    uid = mesh.get(f"gateway.{GROUP}", "edge")["metadata"]["uid"]
    for kind in ("serviceaccount", "deployment", "service", "hpa", "pdb"):
        meta = mesh.get(kind, "edge-istio")["metadata"]
        assert meta["labels"] == {"team": "a", f"{GROUP}/gateway-name": "edge", f"{GROUP}/gateway-class-name": "istio", MANAGED: "istio.io-gateway-controller"}
        assert meta["annotations"]["example.com/x"] == "y" and [o["uid"] for o in meta["ownerReferences"]] == [uid]
    spec = mesh.get("deployment", "edge-istio")["spec"]
    pod = spec["template"]
    assert spec["replicas"] == 2 and spec["selector"]["matchLabels"] == {f"{GROUP}/gateway-name": "edge"}
    assert pod["metadata"]["labels"]["sidecar.istio.io/inject"] == "true" and pod["metadata"]["annotations"]["inject.istio.io/templates"] == "gateway"
    assert pod["spec"]["serviceAccountName"] == "edge-istio" and len(pod["spec"]["containers"]) == 1
    assert pod["spec"]["containers"][0]["image"] == "auto" and pod["spec"]["containers"][0]["resources"] == {"requests": {"cpu": "100m"}}
    service = mesh.get("service", "edge-istio")["spec"]
    assert service["type"] == "LoadBalancer" and service["externalTrafficPolicy"] == "Local" and service["selector"] == {f"{GROUP}/gateway-name": "edge"}
    assert [(p["name"], p["port"]) for p in service["ports"]] == [("status-port", 15021), ("web", 80), ("tcp", 9000)]
    hpa = mesh.get("hpa", "edge-istio")["spec"]
    assert hpa["scaleTargetRef"]["name"] == "edge-istio" and hpa["maxReplicas"] == 5
    assert mesh.get("pdb", "edge-istio")["spec"]["minAvailable"] == 1
    # The classes are there, and the Gateway says that it is programmed, in the Service's name.
    mesh.run("wait", "--for=condition=Accepted", "gatewayclass/istio", "gatewayclass/istio-remote", "--timeout=20s")
    mesh.run("-n", ns, "wait", "--for=condition=Programmed", f"gateway.{GROUP}/edge", "--timeout=20s")
    # The pod is the injector's: a gateway without an application beside it.
    text = json.dumps({**mesh.get("deployment", "edge-istio"), "apiVersion": "apps/v1", "kind": "Deployment"})
    done = subprocess.run([os.path.join(kubelab.BUILD, "coxctl"), "kube-inject", "-f", "-"], input=text, capture_output=True, text=True)
    made = yaml.safe_load(done.stdout)["spec"]["template"]["spec"]
    assert len(made["containers"]) == 1 and made["containers"][0]["image"] != "auto" and "router" in made["containers"][0]["args"], done.stderr
    assert made["containers"][0]["resources"]["requests"]["cpu"] == "100m" and not made.get("initContainers")
    version = mesh.get("deployment", "edge-istio")["metadata"]["resourceVersion"]
    # Another listener is another port; what others delete or change comes back.
    mesh.gateway("edge", {"listeners": [HTTP, {"name": "https", "protocol": "TLS", "port": 443, "tls": {"mode": "Passthrough"}}]})
    wait(lambda: [p["port"] for p in mesh.get("service", "edge-istio")["spec"]["ports"]] == [15021, 80, 443], 20)
    mesh.run("-n", ns, "delete", "service", "edge-istio")
    wait(lambda: mesh.get("service", "edge-istio"), 20)
    mesh.run("-n", ns, "label", "deployment", "edge-istio", f"{GROUP}/gateway-class-name=other", "--overwrite")
    wait(lambda: mesh.get("deployment", "edge-istio")["metadata"]["labels"][f"{GROUP}/gateway-class-name"] == "istio", 20)
    assert mesh.get("deployment", "edge-istio")["metadata"]["resourceVersion"] != version
    # Nobody else does the job at the same time.
    lease = json.loads(mesh.run("-n", "istio-system", "get", "lease", "istio-gateway-deployment-default", "-o", "json"))
    assert lease["spec"]["holderIdentity"]


def test_what_is_not_ours_is_left_alone(mesh, lab, ns):
    mesh.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "own-istio", "namespace": ns}, "spec": {"selector": {"a": "b"}, "ports": [{"port": 1234}]}})
    mesh.gateway("own", {"listeners": [HTTP]})
    mesh.gateway("far", {"gatewayClassName": "istio-remote", "listeners": [HTTP]})
    mesh.gateway("named", {"addresses": [{"type": "Hostname", "value": "own-istio"}], "listeners": [HTTP]})
    mesh.gateway("wrong", {"listeners": [HTTP], "infrastructure": {"parametersRef": {"group": "", "kind": "ConfigMap", "name": "gone"}}})
    mesh.gateway("plain", {"listeners": [HTTP]}, annotations={"networking.istio.io/service-type": "ClusterIP", "gateway.istio.io/name-override": "other",
                                                             "gateway.istio.io/service-account": "mine"})
    wait(lambda: mesh.get("deployment", "own-istio") and mesh.get("service", "other"), 20)
    assert [p["port"] for p in mesh.get("service", "own-istio")["spec"]["ports"]] == [1234] and "somebody else made it" in mesh.cox.log_text()
    assert mesh.get("service", "other")["spec"]["type"] == "ClusterIP" and mesh.get("deployment", "other")["spec"]["template"]["spec"]["serviceAccountName"] == "mine"
    assert not mesh.get("serviceaccount", "mine") and not mesh.get("deployment", "far-istio-remote") and not mesh.get("deployment", "named-istio")

    def accepted():
        status = mesh.get(f"gateway.{GROUP}", "wrong").get("status") or {}
        return [(c["status"], c["reason"]) for c in status.get("conditions", []) if c["type"] == "Accepted"]
    wait(lambda: accepted() == [("False", "InvalidParameters")], 20)
    assert not mesh.get("deployment", "wrong-istio")
    # Classes for proxies that this mesh does not have are refused with the reason.
    for name, controller in (("istio-waypoint", "istio.io/mesh-controller"), ("istio-east-west", "istio.io/eastwest-controller")):
        mesh.apply({"apiVersion": f"{GROUP}/v1", "kind": "GatewayClass", "metadata": {"name": name}, "spec": {"controllerName": controller}})
        mesh.run("wait", "--for=condition=Accepted=False", f"gatewayclass/{name}", "--timeout=20s")
