"""Routing objects of other APIs, with real traffic: Ingress at the gateway; SMI's TrafficSplit and TrafficTarget between pods, over mTLS."""
import pytest
from coxlab.lab import eventually

INGRESS_CLASS = """
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: mesh}
spec: {controller: istio.io/ingress-controller}
"""
INGRESS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop}
spec:
  ingressClassName: mesh
  rules:
  - host: ingress.example.com
    http:
      paths:
      - {path: /api/v1/products, pathType: Prefix, backend: {service: {name: productpage, port: {name: http}}}}
      - {path: /productpage, pathType: Exact, backend: {service: {name: productpage, port: {number: 9080}}}}
"""
VERSIONS = "".join(f"""---
apiVersion: v1
kind: Service
metadata: {{name: reviews-{v}}}
spec:
  selector: {{app: reviews, version: {v}}}
  ports: [{{name: http, port: 9080}}]
""" for v in ("v1", "v3"))
SPLIT = """
apiVersion: split.smi-spec.io/v1alpha2
kind: TrafficSplit
metadata: {name: reviews}
spec:
  service: reviews
  backends:
  - {service: reviews-v1, weight: W1}
  - {service: reviews-v3, weight: W3}
"""
GROUP = """
apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata: {name: ratings}
spec: {matches: [{name: read, pathRegex: "/ratings/.*", methods: [GET]}]}
"""
TARGET = """
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: ratings}
spec:
  destination: {kind: ServiceAccount, name: bookinfo-ratings, namespace: default}
  sources: [{kind: ServiceAccount, name: SOURCE, namespace: default}]
  rules: [{kind: HTTPRouteGroup, name: ratings, matches: [read]}]
"""


def crd(group, kind, plural, versions):
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"{plural}.{group}"}, "spec": {
        "group": group, "scope": "Namespaced", "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": kind + "List"},
        "versions": [{"name": v, "served": True, "storage": i == 0, "schema": schema} for i, v in enumerate(versions)]}}


@pytest.fixture
def smi(mesh):
    """SMI's CRDs come from whoever uses them; coxswaind is running already when they do."""
    if mesh.source == "kube":
        mesh.lab.source.apply([crd("split.smi-spec.io", "TrafficSplit", "trafficsplits", ["v1alpha2"]),
                               crd("specs.smi-spec.io", "HTTPRouteGroup", "httproutegroups", ["v1alpha4"]),
                               crd("access.smi-spec.io", "TrafficTarget", "traffictargets", ["v1alpha3"])])
        mesh.lab.source.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "trafficsplits.split.smi-spec.io",
                                "httproutegroups.specs.smi-spec.io", "traffictargets.access.smi-spec.io")
    return mesh


def test_ingress(mesh):
    """covers: a254"""
    mesh.apply(INGRESS_CLASS)
    mesh.apply(INGRESS)
    eventually(lambda: mesh.get("/productpage", host="ingress.example.com").status == 200, timeout=20)
    assert mesh.get("/api/v1/products", host="ingress.example.com").status == 200
    assert mesh.get("/api/v1/products/0", host="ingress.example.com").status == 200
    assert mesh.get("/api/v1/products-x", host="ingress.example.com").status == 404  # prefixes are of whole elements
    assert mesh.get("/productpage/x", host="ingress.example.com").status == 404
    assert mesh.get("/productpage", host="other.example.com").status == 404
    if mesh.source == "kube":
        status_follows(mesh)
    mesh.lab.delete(INGRESS)
    eventually(lambda: not serves(mesh), timeout=20)


def serves(mesh):
    """Without any Gateway nobody listens."""
    try:
        return mesh.get("/productpage", host="ingress.example.com", timeout=5).status == 200
    except OSError:
        return False


def status_follows(mesh):
    """status.loadBalancer is the gateway Service's, written by the leader; taken back when the Ingress is no longer ours."""
    api, ingress = mesh.lab.source.api, "/apis/networking.k8s.io/v1/namespaces/default/ingresses/shop"
    service = "/api/v1/namespaces/istio-system/services/istio-ingressgateway"

    def addresses():
        return [p.get("ip") for p in (api.call("GET", ingress)["status"].get("loadBalancer") or {}).get("ingress") or []]

    def patch(path, body):
        assert api.call("PATCH", path, body, "application/merge-patch+json") is not None

    patch(service, {"spec": {"externalIPs": ["192.0.2.10"]}})
    try:
        eventually(lambda: addresses() == ["192.0.2.10"], timeout=40)
        patch(ingress, {"spec": {"ingressClassName": "other"}})
        eventually(lambda: addresses() == [], timeout=20)
        patch(ingress, {"spec": {"ingressClassName": "mesh"}})
        eventually(lambda: addresses() == ["192.0.2.10"], timeout=20)
    finally:
        patch(service, {"spec": {"externalIPs": None}})


def test_traffic_split(smi):
    """covers: a264"""
    smi.apply("networking/bookinfo-gateway.yaml")
    smi.apply(VERSIONS)
    smi.wait_route()

    def versions(count=20):
        return {smi.reviews_version() for _ in range(count)}

    smi.apply(SPLIT.replace("W1", "1").replace("W3", "0"))
    eventually(lambda: versions() == {"v1"}, timeout=30)
    smi.apply(SPLIT.replace("W1", "0").replace("W3", "100"))
    eventually(lambda: versions() == {"v3"}, timeout=20)
    smi.apply(SPLIT.replace("W1", "50").replace("W3", "50"))
    eventually(lambda: versions() == {"v1", "v3"}, timeout=20)


def test_traffic_target(smi):
    """Only who is named gets in, with its certificate; the others are told 403. covers: a265"""
    lab, client = smi.lab, smi.client

    def status(path="/ratings/1", method="GET"):
        return lab.curl(client, "http://ratings.default.svc.cluster.local:9080" + path, method=method).status

    eventually(lambda: status() == 200, timeout=20)
    smi.apply(GROUP)
    smi.apply(TARGET.replace("SOURCE", "bookinfo-reviews"))
    eventually(lambda: status() == 403, timeout=30)
    # The reviews may still ask, so a page has its stars.
    smi.apply("networking/bookinfo-gateway.yaml")
    smi.wait_route()
    eventually(lambda: "stars" in smi.get("/api/v1/products/0/reviews").body, timeout=20)
    smi.apply(TARGET.replace("SOURCE", "client"))
    eventually(lambda: status() == 200, timeout=20)
    assert status("/health") == 403  # a path that the group has not
    assert status(method="POST") == 403
