"""The deadline lab: Web -> Foo -> Bar -> DB. A request never costs more than its deadline at any of them, and retry budgets bound the extra load.
covers: e40 a32 a33 a34 a105"""
import json
import time

import pytest

from coxlab.lab import eventually

pytestmark = pytest.mark.parametrize("_mesh", ["dir"], indirect=True)  # where objects come from makes no difference here
CODE = """
import http.client, http.server, json, sys, threading, time
name, after, seen, lock = sys.argv[1], sys.argv[2], [], threading.Lock()
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status); self.send_header("Content-Length", str(len(data))); self.end_headers()
        self.wfile.write(data)
    def do_GET(self):
        if self.path == "/seen":
            with lock:
                old = list(seen); seen.clear()
            return self.answer(200, old)
        plan = dict(p.split("=") for p in self.headers.get("x-plan", "").split(",") if p)
        mine = {"start": time.time(), "headers": {k.lower(): v for k, v in self.headers.items()}}
        with lock:
            seen.append(mine)
        time.sleep(float(plan.get(name, 0)))
        status = int(plan.get(name + "-status", 200))
        if after and status == 200:
            c = http.client.HTTPConnection(after, 9080, timeout=20)
            c.request("GET", "/", headers={k: v for k, v in self.headers.items() if k.lower() in ("x-plan", "x-coxswain-deadline", "x-request-id")})
            status = c.getresponse().status
        mine["end"], mine["status"] = time.time(), status
        try:
            self.answer(status, {"from": name})
        except OSError:
            pass
    def log_message(self, *a): pass
class S(http.server.ThreadingHTTPServer):
    request_queue_size = 128
S(("0.0.0.0", 9080), H).serve_forever()
"""
APP = """
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME}
spec:
  replicas: 1
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME, version: v1}}
    spec:
      containers:
      - {name: NAME, image: "coxswain.io/samples/bookinfo:latest", command: ["python3", "-c", CODE, NAME, "NEXT"], ports: [{containerPort: 9080}]}
---
apiVersion: v1
kind: Service
metadata: {name: NAME}
spec:
  selector: {app: NAME}
  ports: [{name: http, port: 9080, targetPort: 9080}]
"""
CHAIN = ("web", "foo", "bar", "db")


def route(host, annotated=True, **http):
    return json.dumps({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
                       "metadata": {"name": host, "annotations": {"traffic.coxswain.io/deadline": "propagate"} if annotated else {}},
                       "spec": {"hosts": [host], "http": [{"route": [{"destination": {"host": host}}], "retries": {"attempts": 0}, **http}]}}) + "\n"


@pytest.fixture
def chain(mesh):
    mesh.lab.apply("".join(APP.replace("NAME", n).replace("NEXT", after).replace("CODE", json.dumps(CODE)) for n, after in zip(CHAIN, CHAIN[1:] + ("",))))
    for name in CHAIN:
        mesh.lab.wait_pods(1, namespace="default", app=name)
    mesh.pods = {n: mesh.lab.pod(app=n) for n in CHAIN}
    eventually(lambda: ask(mesh).status == 200, timeout=20)
    return mesh


def ask(mesh, plan="", host="web", source=None, **headers):
    return mesh.lab.curl(source or mesh.client, f"http://{host}:9080/", {"x-plan": plan, **headers})


def seen(mesh, name):
    """What that application was asked since the last time."""
    return json.loads(mesh.lab.curl(mesh.pods[name], "http://127.0.0.1:9080/seen", root=True).body)


def forget(mesh):
    for name in CHAIN:
        seen(mesh, name)


def arm(mesh, **first):
    """Every hop carries the deadline on; the first one sets it."""
    for name in CHAIN:
        mesh.apply(route(name, **(first if name == "web" else {"timeout": "10s"})))

    def armed():
        forget(mesh)
        assert ask(mesh).status == 200
        return all("x-coxswain-deadline" in seen(mesh, n)[0]["headers"] for n in CHAIN)
    eventually(armed, timeout=20)
    forget(mesh)


def test_a_request_never_costs_more_than_its_deadline(chain):
    arm(chain, timeout="800ms")
    started = time.time()
    answer = ask(chain, "foo=0.3,bar=0.1,db=3")
    assert answer.status == 504 and 0.75 < answer.seconds < 1.3, answer
    asked = {n: seen(chain, n)[0] for n in CHAIN}
    ends = [float(asked[n]["headers"]["x-coxswain-deadline"]) / 1000 for n in CHAIN]
    assert all(started + 0.6 < end < started + 1.1 for end in ends), (started, ends)
    assert max(ends) - min(ends) < 0.2, ends
    left = [int(asked[n]["headers"]["x-envoy-expected-rq-timeout-ms"]) for n in CHAIN]
    assert 600 < left[0] <= 800 and left[2] <= 500 and left[3] <= 400, left
    for name in ("web", "foo", "bar"):
        assert asked[name]["status"] == 504 and asked[name]["end"] < max(ends) + 0.3, (name, asked[name])
    # Nothing is left: the next hop is not even asked.
    time.sleep(0.2)
    forget(chain)
    assert ask(chain, "foo=1").status == 504
    eventually(lambda: all("end" in r for r in seen(chain, "foo")), timeout=5)
    time.sleep(0.5)
    assert seen(chain, "bar") == [] and seen(chain, "db") == []


def test_retries_share_the_deadline_and_budgets_bound_them(chain):
    arm(chain, timeout="800ms")
    chain.apply(route("db", timeout="10s", retries={"attempts": 4, "perTryTimeout": "300ms", "retryOn": "5xx"}))
    eventually(lambda: (forget(chain), ask(chain, "db-status=503"), len(seen(chain, "db")) > 3)[2], timeout=20)
    forget(chain)
    answer = ask(chain, "db=2")
    assert answer.status == 504 and answer.seconds < 1.3, answer
    time.sleep(0.3)
    tries = seen(chain, "db")
    left = [int(t["headers"]["x-envoy-expected-rq-timeout-ms"]) for t in tries]
    assert 2 <= len(tries) <= 3 and left[0] <= 300 and left[-1] < 300, left
    # gRPC's own header: what the caller wrote is kept to, and what is left is what the next hop reads.
    forget(chain)
    ask(chain, source=chain.pods["bar"], host="db", **{"grpc-timeout": "200m", "content-type": "application/grpc", "te": "trailers"})
    grpc = seen(chain, "db")[0]["headers"]
    assert int(grpc["grpc-timeout"].rstrip("m")) <= 200 and int(grpc["x-envoy-expected-rq-timeout-ms"]) <= 200, grpc
    # Twenty at a time, all of which fail: without a budget five tries each.
    chain.apply(json.dumps({"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": {"name": "db"}, "spec": {
        "host": "db", "trafficPolicy": {"retryBudget": {"percent": 20, "minRetryConcurrency": 1}}}}) + "\n")
    pattern = r"^cluster\.outbound\|9080\|\|db\..*upstream_rq_retry_overflow$"
    forget(chain)

    def bounded():
        seen(chain, "db")
        many(chain, 1)
        return sum(chain.lab.stats(chain.pods["bar"], pattern).values()) > 0
    eventually(bounded, timeout=20, every=0.3)
    seen(chain, "db")
    many(chain, 10)
    asked = len(seen(chain, "db"))
    print(f"200 failing requests, {asked} tries")
    assert 200 <= asked <= 200 * 2, asked


def many(mesh, each):
    script = ("import http.client, threading\n"
              "def go():\n"
              " for _ in range(EACH):\n"
              "  c = http.client.HTTPConnection('db', 9080, timeout=10)\n"
              "  c.request('GET', '/', headers={'x-plan': 'db=0.05,db-status=503'}); c.getresponse().read(); c.close()\n"
              "t = [threading.Thread(target=go) for _ in range(20)]\n"
              "[x.start() for x in t]; [x.join() for x in t]\n").replace("EACH", str(each))
    done = mesh.lab.exec(mesh.pods["bar"], mesh.lab.runner.python, "-c", script)
    assert done.returncode == 0, done.stderr


def test_without_the_annotation_nothing_changes(chain):
    for name in CHAIN:
        chain.apply(route(name, annotated=False, timeout="500ms" if name == "web" else "10s"))
    eventually(lambda: ask(chain, "db=1").status == 504, timeout=20)
    time.sleep(1)
    forget(chain)
    assert ask(chain, "db=1.5").status == 504
    time.sleep(1.5)
    asked = {n: seen(chain, n)[0] for n in CHAIN}
    assert all("x-coxswain-deadline" not in a["headers"] and "x-coxswain-left-ms" not in a["headers"] for a in asked.values())
    assert asked["bar"]["status"] == 200 and asked["bar"]["end"] - asked["bar"]["start"] > 1.4, asked["bar"]
