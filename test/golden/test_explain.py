"""coxctl explain route on a small shop: every step, the object and field it came from, why not the others, and what hides a host."""
import json
import os
import subprocess

import pytest

import refdiff

PODS = [("client", "default", "10.0.0.1", {"app": "client"}, None), ("reviews-v1", "default", "10.0.0.11", {"app": "reviews", "version": "v1"}, "istio"),
        ("reviews-v2", "default", "10.0.0.12", {"app": "reviews", "version": "v2"}, "istio"), ("db-0", "default", "10.0.0.21", {"app": "db"}, None),
        ("gw", "edge", "10.0.9.1", {"istio": "ingress"}, None)]
OBJECTS = """
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: default}
spec: {clusterIP: 10.1.0.1, clusterIPs: [10.1.0.1], selector: {app: reviews}, ports: [{name: http, port: 9080}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: default}
spec: {clusterIP: 10.1.0.2, clusterIPs: [10.1.0.2], selector: {app: db}, ports: [{name: tcp, port: 5432}]}
---
apiVersion: v1
kind: Service
metadata: {name: hidden, namespace: other, annotations: {networking.istio.io/exportTo: "."}}
spec: {clusterIP: 10.1.0.3, clusterIPs: [10.1.0.3], ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: gw, namespace: edge}
spec: {clusterIP: 10.1.9.1, clusterIPs: [10.1.9.1], selector: {istio: ingress}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: reviews-1, namespace: default, labels: {kubernetes.io/service-name: reviews}}
addressType: IPv4
endpoints:
- {addresses: [10.0.0.11], conditions: {ready: true}, targetRef: {kind: Pod, name: reviews-v1, namespace: default}}
- {addresses: [10.0.0.12], conditions: {ready: true}, targetRef: {kind: Pod, name: reviews-v2, namespace: default}}
ports: [{name: http, port: 9080, protocol: TCP}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-1, namespace: default, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
endpoints: [{addresses: [10.0.0.21], conditions: {ready: true}, targetRef: {kind: Pod, name: db-0, namespace: default}}]
ports: [{name: tcp, port: 5432, protocol: TCP}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: gw-1, namespace: edge, labels: {kubernetes.io/service-name: gw}}
addressType: IPv4
endpoints: [{addresses: [10.0.9.1], conditions: {ready: true}, targetRef: {kind: Pod, name: gw, namespace: edge}}]
ports: [{name: http, port: 8080, protocol: TCP}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: default}
spec:
  hosts: [reviews]
  http:
  - name: jason
    match: [{headers: {end-user: {exact: jason}}}, {uri: {prefix: /v2}, queryParams: {debug: {exact: "1"}}}]
    route: [{destination: {host: reviews, subset: v2}}]
  - name: handed-on
    match: [{uri: {prefix: /delegated}}]
    delegate: {name: child, namespace: other}
  - name: rest
    retries: {attempts: 3, perTryTimeout: 2s, retryOn: 5xx}
    timeout: 10s
    rewrite: {uri: /all}
    route: [{destination: {host: reviews, subset: v1}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: child, namespace: other}
spec:
  http:
  - {match: [{uri: {exact: /delegated/not}}], directResponse: {status: 418}}
  - {name: leaf, route: [{destination: {host: reviews.default.svc.cluster.local, subset: v2}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: front, namespace: default}
spec:
  hosts: [shop.example.com]
  gateways: [edge/main]
  http: [{name: all, route: [{destination: {host: reviews}}]}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: main, namespace: edge}
spec:
  selector: {istio: ingress}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ["*.example.org"]}
  - {port: {number: 80, name: http-shop, protocol: HTTP}, hosts: ["shop.example.com"]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: default}
spec:
  host: reviews
  trafficPolicy:
    connectionPool: {http: {http1MaxPendingRequests: 7}}
    loadBalancer: {simple: RANDOM}
  subsets:
  - {name: v1, labels: {version: v1}}
  - name: v2
    labels: {version: v2}
    trafficPolicy: {outlierDetection: {consecutive5xxErrors: 4}, connectionPool: {tcp: {maxConnections: 3}}}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict, namespace: default}
spec: {mtls: {mode: STRICT}}
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    pods = [{"apiVersion": "v1", "kind": "Pod",
             "metadata": {"name": n, "namespace": ns, "labels": {**labels, **({"security.istio.io/tlsMode": tls} if tls else {})}},
             "spec": {"serviceAccountName": n.split("-")[0], "containers": [{"name": "a", "image": "a"}]},
             "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [{"type": "Ready", "status": "True"}]}}
            for n, ns, ip, labels, tls in PODS]
    (folder / "pods.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": pods}))
    (folder / "objects.yaml").write_text(OBJECTS)
    return folder


def run(shop, to, *args, who="client.default", status=0):
    done = subprocess.run([refdiff.COXCTL, "explain", "route", "--from", who, "--to", to, "-f", str(shop), *args], capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    return done


def explain(shop, to, *args, **kw):
    return json.loads(run(shop, to, "-o", "json", *args, **kw).stdout)


def test_every_step_and_its_source(shop):
    """covers: f30"""
    a = explain(shop, "http://reviews:9080/x?y=1")
    out = a["outbound"]
    assert (a["outcome"], a["cluster"]) == ("forward", "outbound|9080|v1|reviews.default.svc.cluster.local")
    assert a["to"]["address"] == "10.1.0.1" and a["to"]["resolvedBy"] == "address of Service default/reviews"
    assert out["listener"] == {"name": "0.0.0.0_9080", "address": "0.0.0.0:9080", "via": "virtualOutbound"}
    assert out["filterChain"]["protocol"] == "HTTP" and out["virtualHost"]["domain"] == "reviews"
    assert out["route"]["source"] == {"object": "VirtualService default/reviews", "field": "spec.http[2]"}
    assert [(s["why"], s["source"]["field"]) for s in out["skipped"][:2]] == [
        ("header end-user is absent", "spec.http[0].match[0]"), ('path "/x" has not prefix "/v2"', "spec.http[0].match[1]")]
    assert out["action"]["timeout"] == "10s" and out["action"]["retries"] == {"on": "5xx", "attempts": 3, "perTryTimeout": "2s"}
    assert out["action"]["path"] == "/allx?y=1"
    cluster = out["clusters"][0]
    assert cluster["subsetSource"] == {"object": "DestinationRule default/reviews", "field": "spec.subsets[0]"}
    assert cluster["circuitBreakers"]["max_pending_requests"] == 7 and cluster["loadBalancer"] == "RANDOM"
    assert [e["address"] for e in cluster["endpoints"]] == ["10.0.0.11:9080"] and cluster["endpoints"][0]["tls"] == "mTLS"
    assert cluster["endpoints"][0]["pod"] == "reviews-v1.default"


def test_fields_of_policies(shop):
    """covers: f30"""
    cluster = explain(shop, "http://reviews:9080/", "-H", "end-user: jason")["outbound"]["clusters"][0]
    where = {p["policy"]: (p["object"], p["field"]) for p in cluster["policies"]}
    rule = "DestinationRule default/reviews"
    assert where == {"loadBalancer": (rule, "spec.trafficPolicy.loadBalancer"),
                     "connectionPool": (rule, "spec.subsets[1].trafficPolicy.connectionPool"),
                     "outlierDetection": (rule, "spec.subsets[1].trafficPolicy.outlierDetection")}
    assert cluster["outlierDetection"]["consecutive_5xx"] == 4


def test_delegates_are_named(shop):
    """covers: f30"""
    route = explain(shop, "http://reviews:9080/delegated/x")["outbound"]["route"]
    assert route["source"] == {"object": "VirtualService other/child", "field": "spec.http[1]",
                               "delegatedBy": {"object": "VirtualService default/reviews", "field": "spec.http[1].delegate"}}


def test_the_other_side(shop):
    """mTLS by STRICT at the destination's own proxy; without a proxy nothing is claimed. covers: f30"""
    inbound = explain(shop, "http://reviews:9080/")["inbound"]
    assert inbound["pod"] == "reviews-v1.default" and inbound["hasProxy"]
    assert inbound["mtls"] == {"mode": "STRICT", "source": {"object": "PeerAuthentication default/strict", "field": "spec.mtls.mode"}}
    walk = inbound["walk"]
    assert walk["listener"]["name"] == "virtualInbound" and walk["outcome"] == "forward"
    assert walk["filterChain"]["requiresClientCertificate"] and walk["filterChain"]["protocol"] == "HTTP"
    assert walk["clusters"][0]["name"] == "inbound|9080||"
    db = explain(shop, "tcp://db:5432")
    assert (db["outcome"], db["cluster"]) == ("forward", "outbound|5432||db.default.svc.cluster.local")
    assert db["outbound"]["filterChain"]["protocol"] == "TCP" and db["inbound"]["hasProxy"] is False


def test_a_stranger_is_refused_by_strict(shop):
    """A pod called by its address gets plaintext, as the mesh knows no service there; its own proxy takes none. covers: f30"""
    a = explain(shop, "http://10.0.0.11:9080/")
    assert a["outcome"] == "forward" and a["cluster"] == "PassthroughCluster"
    walk = a["inbound"]["walk"]
    assert walk["outcome"] == "noFilterChain" and a["inbound"]["mtls"]["mode"] == "STRICT"
    assert explain(shop, "tcp://10.0.0.21:5432")["inbound"]["hasProxy"] is False


def test_gateway(shop):
    """covers: f30"""
    a = explain(shop, "http://shop.example.com/x", who="gw.edge")
    assert a["from"]["kind"] == "gateway" and a["to"]["resolvedBy"] == "Service edge/gw, port 80 to 8080"
    assert a["outbound"]["listener"]["source"] == {"object": "Gateway edge/main", "field": "spec.servers[1]"}
    assert a["outbound"]["route"]["source"] == {"object": "VirtualService default/front", "field": "spec.http[0]"}
    assert a["cluster"] == "outbound|9080||reviews.default.svc.cluster.local"
    assert explain(shop, "http://nobody.example.net/", who="gw.edge")["status"] == 404


def test_what_is_near(shop):
    """covers: f30"""
    assert explain(shop, "http://review:9080/")["notes"] == ["there is no service review; did you mean reviews.default.svc.cluster.local?"]
    assert explain(shop, "http://reviews:80/")["notes"] == ["Service default/reviews has no port 80; it has 9080"]
    assert explain(shop, "http://hidden.other/")["notes"] == ["Service other/hidden is hidden from namespace default by its exportTo"]


def test_a_sidecar_hides(shop, tmp_path):
    """covers: f30"""
    (tmp_path / "sidecar.yaml").write_text("""
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: narrow, namespace: default}
spec: {egress: [{hosts: ["./db.default.svc.cluster.local"]}]}
""")
    for f in shop.iterdir():
        (tmp_path / f.name).write_text(f.read_text())
    a = explain(tmp_path, "http://reviews:9080/")
    assert a["notes"] == ["Sidecar default/narrow does not import Service default/reviews (spec.egress[].hosts)"]
    db = explain(tmp_path, "tcp://db:5432")
    assert db["outbound"]["listener"]["source"] == {"object": "Sidecar default/narrow", "field": "spec.egress[0]"}


def test_what_the_proxy_has_counts(shop, tmp_path):
    """A dump of something else than the objects: the dump is explained, and fields are named only where both agree. covers: f30"""
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "pods.json").write_text((shop / "pods.json").read_text())
    (tmp_path / "old" / "objects.yaml").write_text(OBJECTS.replace("subset: v1}}]", "subset: v2}}]"))
    rendered = json.loads(subprocess.run([refdiff.COXCTL, "render", "-f", str(tmp_path / "old"), "--proxy", "client.default"],
                                         capture_output=True, text=True, check=True).stdout)
    (tmp_path / "dump.json").write_text(json.dumps({"configs": [
        {"dynamic_active_clusters": [{"cluster": c} for c in rendered["CDS"].values()]},
        {"dynamic_listeners": [{"name": n, "active_state": {"listener": l}} for n, l in rendered["LDS"].items()]},
        {"dynamic_route_configs": [{"route_config": r} for r in rendered["RDS"].values()]},
        {"dynamic_endpoint_configs": [{"endpoint_config": e} for e in rendered["EDS"].values()]}]}))
    dumped = explain(shop, "http://reviews:9080/", "--config-dump", str(tmp_path / "dump.json"))
    assert dumped["from"]["configuration"] == "dump" and dumped["cluster"].startswith("outbound|9080|v2|")
    assert dumped["outbound"]["route"]["source"] == {"object": "VirtualService default/reviews"}, "which field is not known: it has changed"
    assert dumped["outbound"]["skipped"][0]["source"]["field"] == "spec.http[0].match[0]", "this route is the same in both"
    assert any("is not what the objects give now" in n for n in dumped["notes"])
    agreed = explain(tmp_path / "old", "http://reviews:9080/", "--config-dump", str(tmp_path / "dump.json"))
    assert "notes" not in agreed and agreed["outbound"]["route"]["source"]["field"] == "spec.http[2]"
    alone = subprocess.run([refdiff.COXCTL, "explain", "route", "--from", "client.default", "--to", "http://reviews:9080/", "-o", "json",
                            "--config-dump", str(tmp_path / "dump.json")], capture_output=True, text=True, check=True)
    alone = json.loads(alone.stdout)
    assert alone["cluster"] == dumped["cluster"] and alone["to"]["address"] == "10.1.0.1"
    assert alone["outbound"]["clusters"][0]["rule"] == {"object": "DestinationRule default/reviews"}


def test_for_people(shop):
    """covers: f30"""
    text = run(shop, "http://reviews:9080/x").stdout
    lines = text.splitlines()
    assert lines[0].split() == ["from", "client.default", "(sidecar,", "by", "its", "objects)"]
    assert any("not taken" in x and "header end-user is absent" in x and "<- VirtualService default/reviews spec.http[0].match[0]" in x for x in lines)
    assert any(x.startswith("=> ") and "outbound|9080|v1|reviews" in x for x in lines)
    assert "\x1b" not in text, "no colours where it is no terminal"
    assert max(len(x) for x in lines) < 200


def test_usage_and_errors(shop):
    for verb in (["explain"], ["render"], ["cert"], ["crd"]):
        done = subprocess.run([refdiff.COXCTL, *verb, "--help"], capture_output=True, text=True)
        assert done.returncode == 0 and done.stdout.startswith(f"coxctl {verb[0]} - ") and f"\nusage: coxctl {verb[0]} " in done.stdout and done.stderr == "", verb
    assert "no Pod nobody in namespace default" in run(shop, "http://reviews/", who="nobody.default", status=1).stderr
    assert "scheme" in run(shop, "gopher://x/", status=1).stderr
    assert run(shop, "http://x/", "--class", "other", status=2).stdout == ""


def test_access_at_the_destination(tmp_path):
    """TrafficTargets of SMI: who may ask what of the destination, by its own proxy's access control. covers: f30 a265"""
    case = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cases", "smi-access", "in.yaml")
    with open(case) as f:
        (tmp_path / "objects.yaml").write_text(f.read().replace("labels: {app: api}", "labels: {app: api, security.istio.io/tlsMode: istio}"))
    pods = [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": n, "namespace": ns}, "spec": {"serviceAccountName": n, "containers": [{"name": "a", "image": "a"}]},
             "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}} for n, ns, ip in
            (("web", "default", "10.0.9.2"), ("stranger", "default", "10.0.9.3"), ("prometheus", "monitoring", "10.0.9.4"))]
    slices = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
              "metadata": {"name": "api-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "api"}},
              "endpoints": [{"addresses": ["10.0.9.1"], "conditions": {"ready": True}, "targetRef": {"kind": "Pod", "name": "api", "namespace": "default"}}],
              "ports": [{"name": "http", "port": 8080}, {"name": "tcp", "port": 9000}]}
    (tmp_path / "more.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": pods + [slices]}))

    def at(who, to, *args):
        walk = explain(tmp_path, to, *args, "--class", "upstream", who=who)["inbound"]["walk"]
        return walk["outcome"], walk.get("status")
    api = "http://api.default.svc.cluster.local"
    assert at("web.default", api + "/api/x", "-H", "x-team: a") == ("forward", None)
    assert at("web.default", api + "/api/x") == ("denied", 403), "the header is part of it"
    assert at("web.default", api + "/metrics") == ("denied", 403)
    assert at("prometheus.monitoring", api + "/metrics") == ("forward", None)
    assert at("prometheus.monitoring", api + "/metrics", "-X", "POST") == ("denied", 403)
    assert at("stranger.default", api + "/api/x", "-H", "x-team: a") == ("denied", 403)
    assert at("web.default", "tcp://api.default.svc.cluster.local:9000")[0] == "forward"
    assert at("stranger.default", "tcp://api.default.svc.cluster.local:9000") == ("denied", None)
