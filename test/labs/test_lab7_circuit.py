"""Lab 7: circuit breaking."""
import concurrent.futures
import json
import time

from coxlab.lab import eventually

POOL = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ratings}
spec:
  host: ratings
  trafficPolicy:
    connectionPool:
      tcp: {maxConnections: 1}
      http: {http1MaxPendingRequests: 1, maxRequestsPerConnection: 1}
"""
# A delay at the server keeps a connection busy for a known time.
SLOW = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: slow}
spec:
  replicas: 1
  selector: {matchLabels: {app: slow}}
  template:
    metadata: {labels: {app: slow, sidecar.istio.io/inject: "false"}}
    spec:
      containers:
      - name: slow
        image: coxswain.io/samples/bookinfo:latest
        command: ["python3", "-c", "SERVER"]
        ports: [{containerPort: 9080}]
---
apiVersion: v1
kind: Service
metadata: {name: slow}
spec:
  selector: {app: slow}
  ports: [{name: http, port: 9080, targetPort: 9080}]
""".replace('"SERVER"', json.dumps("""
import http.server, time
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        time.sleep(0.3)
        self.send_response(200); self.send_header('Content-Length', '2'); self.end_headers(); self.wfile.write(b'ok')
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(('0.0.0.0', 9080), H).serve_forever()
"""))
BROKEN = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: ratings-broken}
spec:
  replicas: 1
  selector: {matchLabels: {app: ratings, version: broken}}
  template:
    metadata: {labels: {app: ratings, version: broken, sidecar.istio.io/inject: "false"}}
    spec:
      containers:
      - name: ratings
        image: coxswain.io/samples/bookinfo:latest
        command: ["python3", "-c", "SERVER"]
        ports: [{containerPort: 9080}]
""".replace('"SERVER"', json.dumps("""
import http.server
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(500); self.send_header('Content-Length', '0'); self.send_header('x-bookinfo', 'broken'); self.end_headers()
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(('0.0.0.0', 9080), H).serve_forever()
"""))
# Outlier detection turns locality failover on: in another zone than the client, the broken endpoint would get nothing to fail at.
OUTLIER = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ratings}
spec:
  host: ratings
  trafficPolicy:
    loadBalancer: {simple: ROUND_ROBIN, localityLbSetting: {enabled: false}}
    outlierDetection: {consecutive5xxErrors: 2, interval: 500ms, baseEjectionTime: 4s, maxEjectionPercent: 50}
"""
NO_RETRY = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: HOST}
spec:
  hosts: [HOST]
  http: [{retries: {attempts: 0}, route: [{destination: {host: HOST}}]}]
"""


def parallel(mesh, url, clients, each):
    """Statuses of `clients` parallel loops of `each` requests, from inside the client pod."""
    def loop(_):
        return [mesh.lab.curl(mesh.client, url).status for _ in range(each)]
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        return [s for statuses in pool.map(loop, range(clients)) for s in statuses]


def overflow(mesh, host):
    return sum(mesh.lab.stats(mesh.client, rf"^cluster\.outbound\|9080\|\|{host}\..*upstream_rq_pending_overflow$").values())


def test_connection_pool_overflow(mesh):
    """One connection and one waiting request: one client passes, three do not, with 503 and the flag UO. covers: a77 a82 a84"""
    mesh.apply(SLOW)
    mesh.apply(NO_RETRY.replace("HOST", "slow"))
    mesh.lab.wait_pods(1, namespace="default", app="slow")
    eventually(lambda: mesh.lab.curl(mesh.client, "http://slow:9080/").status == 200, timeout=20)
    assert set(parallel(mesh, "http://slow:9080/", 3, 3)) == {200}
    mesh.apply(POOL.replace("ratings", "slow"))
    eventually(lambda: '"max_connections": 1,' in mesh.lab.admin(mesh.client, "/config_dump?resource=dynamic_active_clusters&name_regex=.*slow.*"), timeout=20)
    assert set(parallel(mesh, "http://slow:9080/", 1, 3)) == {200}
    before = overflow(mesh, "slow")
    statuses = parallel(mesh, "http://slow:9080/", 4, 5)
    refused = statuses.count(503)
    assert set(statuses) == {200, 503} and refused >= 2, statuses
    assert overflow(mesh, "slow") - before == refused
    answer = eventually(lambda: " UO " in open(mesh.client.proxy.log).read(), timeout=10)
    assert answer, "no access log line with the flag UO"


def test_outlier_detection_ejects(mesh):
    """An endpoint that fails twice gets no request until its time is over. covers: a90 a93"""
    mesh.apply(BROKEN)
    mesh.lab.wait_pods(1, namespace="default", app="ratings", version="broken")
    mesh.apply(NO_RETRY.replace("HOST", "ratings"))
    eventually(lambda: {mesh.lab.curl(mesh.client, "http://ratings:9080/ratings/0").status for _ in range(6)} == {200, 500}, timeout=20)
    mesh.apply(OUTLIER)

    def ejected():
        mesh.lab.curl(mesh.client, "http://ratings:9080/ratings/0")
        return sum(mesh.lab.stats(mesh.client, r"^cluster\.outbound\|9080\|\|ratings\..*ejections_active$").values()) == 1
    eventually(ejected, timeout=20)
    started = time.monotonic()
    statuses = [mesh.lab.curl(mesh.client, "http://ratings:9080/ratings/0").status for _ in range(20)]
    assert set(statuses) == {200}, statuses
    assert time.monotonic() - started < 3.5, "too slow to tell: the ejection may have ended"

    def back():
        return mesh.lab.curl(mesh.client, "http://ratings:9080/ratings/0").status == 500
    eventually(back, timeout=15)
    assert time.monotonic() - started > 2
