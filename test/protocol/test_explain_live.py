"""explain and diff ask a live coxswaind what a proxy was really sent, and for its objects.

covers: f30 f32
"""
import json
import os
import subprocess
import sys

import pytest

from coxswain import BUILD, CDS, EDS, LDS, RDS, TREE, VHDS, Coxswaind, Stream, node

sys.path.insert(0, os.path.join(TREE, "test", "golden"))
sys.path.insert(0, os.path.join(TREE, "test", "reference"))
from test_explain import OBJECTS, PODS  # noqa: E402

SECRET = """---
apiVersion: v1
kind: Secret
metadata: {name: key, namespace: default}
stringData: {tls.key: very-secret-text}
"""


@pytest.fixture
def mesh():
    pods = [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": n, "namespace": ns, "labels": labels},
             "spec": {"serviceAccountName": "a", "containers": [{"name": "a", "image": "a"}]},
             "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [{"type": "Ready", "status": "True"}]}}
            for n, ns, ip, labels, _ in PODS]
    with Coxswaind({"objects.yaml": OBJECTS + SECRET, "pods.json": json.dumps({"apiVersion": "v1", "kind": "List", "items": pods})}) as m:
        yield m.wait_ready()


def coxctl(*args, status):
    done = subprocess.run([os.path.join(BUILD, "coxctl"), *args], capture_output=True, text=True, timeout=60)
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    return json.loads(done.stdout)


def test_live(mesh):
    server = f"http://127.0.0.1:{mesh.http_port}"
    assert b"very-secret-text" not in mesh.get("/debug/configz?all")[1]
    everything = mesh.json("/debug/configz?all")
    assert {"Service", "Pod", "EndpointSlice", "VirtualService"} <= {o["kind"] for o in everything}
    assert {o["kind"] for o in mesh.json("/debug/configz")} <= {"VirtualService", "DestinationRule", "Gateway", "PeerAuthentication"}

    change = os.path.join(mesh.dir, "change.yaml")
    with open(change, "w") as f:
        f.write("""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: default}
spec: {hosts: [reviews], http: [{name: only, route: [{destination: {host: reviews, subset: v2}}]}]}
""")
    answer = coxctl("diff", "--server", server, "-f", change, "--proxy", "client.default", "-o", "json", status=1)
    assert [g["proxies"] for g in answer["groups"]] == [["client.default"]]
    assert answer["groups"][0]["resources"] == {"RDS": {"changed": ["80", "9080"]}}
    # Objects that are in force already change nothing: what the server gives is the same as what it was given.
    for name in ("objects.yaml", "pods.json"):
        same = coxctl("diff", "--server", server, "-f", os.path.join(mesh.config, name), "-o", "json", status=0)
        assert same["proxies"] > 0 and same["effect"] is False
    explained(mesh, server)


def explained(mesh, server):
    stream = Stream(mesh.grpc_port, node(pod="client", ip="10.0.0.1", labels={"app": "client"}), delta=False)
    try:
        for kind, names in ((CDS, []), (LDS, []), (EDS, ["outbound|9080|v1|reviews.default.svc.cluster.local"]), (RDS, ["9080"])):
            stream.fetch(kind, names)
        a = coxctl("explain", "route", "--server", server, "--from", "client.default", "--to", "http://reviews:9080/x", "--class", "upstream",
                   "--no-sds", "-o", "json", status=0)
        rehearsed(mesh, server)
    finally:
        stream.close()
    assert a["from"]["configuration"] == "dump" and a["cluster"] == "outbound|9080|v1|reviews.default.svc.cluster.local"
    assert a["outbound"]["route"]["source"] == {"object": "VirtualService default/reviews", "field": "spec.http[2]"}
    assert [e["address"] for e in a["outbound"]["clusters"][0]["endpoints"]] == ["10.0.0.11:9080"]
    done = subprocess.run([os.path.join(BUILD, "coxctl"), "explain", "route", "--server", server, "--from", "nobody.default", "--to", "http://reviews/"],
                          capture_output=True, text=True)
    assert done.returncode == 1 and "not connected" in done.stderr


def rehearsed(mesh, server):
    """What the proxy was sent is what this coxctl makes of the objects; with a change it is not. Nothing is said of what it did not ask for."""
    same = coxctl("diff", "--sent", "--server", server, "-o", "json", status=0)
    assert (same["proxies"], same["effect"]) == (1, False), same
    other = coxctl("diff", "--sent", "--server", server, "-f", os.path.join(mesh.dir, "change.yaml"), "-o", "json", status=1)
    assert [g["proxies"] for g in other["groups"]] == [["client.default"]]
    assert other["groups"][0]["resources"] == {"RDS": {"changed": ["9080"]}}, "80 was not asked for"
    assert {s["route"] for s in other["groups"][0]["shifts"]} >= {"only", "jason"}


def test_virtual_hosts_on_demand(mesh):
    """A proxy of Istio's that gets its virtual hosts one by one has the same as one that gets whole routes."""
    server = f"http://127.0.0.1:{mesh.http_port}"
    who = node(pod="reviews-v1", ip="10.0.0.11", labels={"app": "reviews", "version": "v1"}, extensions=("istio.stats",))
    with Stream(mesh.grpc_port, who) as stream:
        for kind, names in ((CDS, []), (LDS, []), (RDS, ["80", "9080"]), (VHDS, [])):
            stream.fetch(kind, names)
        a = coxctl("explain", "route", "--server", server, "--from", "reviews-v1.default", "--to", "http://reviews:9080/v2?debug=1", "-o", "json", status=0)
        assert a["outbound"]["virtualHost"]["name"] == "9080/reviews.default.svc.cluster.local:9080"
        assert a["outbound"]["route"]["source"] == {"object": "VirtualService default/reviews", "field": "spec.http[0].match[1]"}
        same = coxctl("diff", "--sent", "--server", server, "-o", "json", status=0)
        assert (same["proxies"], same["effect"]) == (1, False), same
