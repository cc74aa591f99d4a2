"""Lab 5 under load: weights change, subsets come and go, in the good order and in the bad one, and no request fails. covers: a21 a22 a61 b52"""
import json
import time

import pytest

from coxlab.lab import eventually
from coxlab.load import Load

REQUESTS = 10500  # of each order
pytestmark = pytest.mark.parametrize("_mesh", ["kube"], indirect=True)
URL = "http://shift:9080/"
SERVER = """
import asyncio, sys
body = sys.argv[1].encode()
async def serve(r, w):
    try:
        while True:
            await r.readuntil(b"\\r\\n\\r\\n")
            w.write(b"HTTP/1.1 200 OK\\r\\ncontent-length: %d\\r\\n\\r\\n%b" % (len(body), body))
            await w.drain()
    except (OSError, asyncio.IncompleteReadError):
        w.close()
async def main():
    await (await asyncio.start_server(serve, "0.0.0.0", 9080)).serve_forever()
asyncio.run(main())
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: shift}
spec:
  selector: {app: shift}
  ports: [{name: http, port: 9080, targetPort: 9080}]
"""
DEPLOYMENT = """
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: shift-VERSION}
spec:
  replicas: 1
  selector: {matchLabels: {app: shift, version: VERSION}}
  template:
    metadata: {labels: {app: shift, version: VERSION, sidecar.istio.io/inject: "false"}}
    spec:
      containers:
      - name: shift
        image: coxswain.io/samples/bookinfo:latest
        command: ["python3", "-c", CODE, VERSION]
        ports: [{containerPort: 9080}]
"""


def subsets(*names):
    return json.dumps({"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": {"name": "shift"}, "spec": {
        "host": "shift", "subsets": [{"name": n, "labels": {"version": "v3" if n == "late" else n}} for n in names]}}) + "\n"


def weights(**of):
    return json.dumps({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "shift"}, "spec": {
        "hosts": ["shift"], "http": [{"route": [{"destination": {"host": "shift", "subset": n}, "weight": w} for n, w in of.items()]}]}}) + "\n"


@pytest.fixture
def shift(mesh):
    # They stay: three small programs, and the next test needs them again.
    mesh.lab.apply(SERVICE + "".join(DEPLOYMENT.replace("VERSION", v).replace("CODE", json.dumps(SERVER)) for v in ("v1", "v2", "v3")))
    mesh.lab.wait_pods(3, namespace="default", app="shift")
    mesh.apply(subsets("v1", "v2"))
    mesh.apply(weights(v1=100))
    eventually(lambda: versions(mesh, 5) == {"v1"}, timeout=20)
    return mesh


def versions(mesh, n=1):
    return {(lambda r: r.body if r.status == 200 else r.status)(mesh.lab.curl(mesh.client, URL)) for _ in range(n)}


def under_load(mesh, change, goal):
    """Runs change() again and again until enough was asked, then waits for what the last rules say."""
    with Load(mesh.client.netns, URL, rate=1000) as load:
        load.wait(200)
        while load.counts.requests < REQUESTS:
            change()
        eventually(lambda: versions(mesh, 5) == goal, timeout=20)
    assert load.counts.requests >= REQUESTS and load.counts.failures == 0, load.counts
    print(f"{load.counts.requests} requests, none failed")


def test_weights_and_subsets_in_the_good_order(shift):
    """A subset is made before a route names it, and taken away after."""
    apply = shift.lab.apply

    def change():
        for of in ({"v1": 90, "v2": 10}, {"v1": 50, "v2": 50}, {"v2": 100}):
            apply(weights(**of))
            time.sleep(0.2)
        apply(subsets("v1", "v2", "v3"))
        apply(weights(v2=20, v3=80))
        time.sleep(0.4)
        apply(weights(v1=100))
        apply(subsets("v1", "v2"))
        time.sleep(0.2)
    under_load(shift, change, {"v1"})


def test_subsets_in_the_bad_order(shift):
    """A route names a subset a second before it is made, and for longer than the usual grace after it was taken away."""
    apply, rounds = shift.lab.apply, []

    def change():
        apply(weights(late=100))
        time.sleep(1)
        # Later rounds may find the cluster of the round before, which is not gone yet.
        assert versions(shift) == {"v1"} or rounds, "the route is not held back"
        rounds.append(1)
        apply(subsets("v1", "v2", "late"))
        eventually(lambda: versions(shift, 5) == {"v3"}, timeout=20)
        apply(subsets("v1", "v2"))
        time.sleep(12)
        assert versions(shift) == {"v3"}
        apply(weights(v1=50, v2=50))
        time.sleep(0.3)
        apply(weights(v1=100))
        eventually(lambda: versions(shift, 5) == {"v1"}, timeout=20)
    under_load(shift, change, {"v1"})
