"""Twins of the simulated Envoy (test/sim/envoy.c): the same behaviours on a real one, against a real coxswaind.

covers: b16 b17 b25
"""
import http.client
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from coxswain import Coxswaind

ENVOY = os.path.join(os.path.dirname(sys.executable), "envoy")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def until(check, what, seconds=15):
    deadline = time.time() + seconds
    while time.time() < deadline:
        got = check()
        if got:
            return got
        time.sleep(0.05)
    raise AssertionError("not within %d s: %s" % (seconds, what))


class Envoy:
    def __init__(self, xds_port, kind, tmp, labels=None, ip="10.1.0.99", xds_socket=None, **metadata):
        self.admin = free_port()
        node = {"id": f"{kind}~{ip}~{kind}-0.default~default.svc.cluster.local", "cluster": "twin",
                "metadata": {"NAMESPACE": "default", "COXSWAIN_SDS": "none", "INTERCEPTION_MODE": "NONE", "INSTANCE_IPS": ip, "LABELS": labels or {}, **metadata}}
        h2 = {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions", "explicit_http_config": {"http2_protocol_options": {}}}}
        address = {"socket_address": {"address": "127.0.0.1", "port_value": xds_port}}
        boot = {"node": node, "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": self.admin}}},
                "dynamic_resources": {"lds_config": {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"},
                                      "cds_config": {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"},
                                      "ads_config": {"api_type": "DELTA_GRPC", "transport_api_version": "V3", "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}]}},
                "static_resources": {"clusters": [{"name": "xds-grpc", "type": "STATIC", "connect_timeout": "1s", "typed_extension_protocol_options": h2,
                                                   **({"transport_socket": xds_socket} if xds_socket else {}),
                                                   "load_assignment": {"cluster_name": "xds-grpc", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]}}]}}
        path = tmp / "envoy.json"
        path.write_text(json.dumps(boot))
        self.log = open(tmp / "envoy.log", "w")
        self.process = subprocess.Popen([ENVOY, "-c", str(path), "--concurrency", "1", "--use-dynamic-base-id"], stdout=self.log, stderr=self.log)

    def get(self, path):
        try:
            c = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=5)
            c.request("GET", path)
            return c.getresponse().read().decode()
        except OSError:
            return ""

    def dump(self, section):
        text = self.get("/config_dump?include_eds")
        for one in json.loads(text)["configs"] if text else []:
            if one["@type"].endswith("." + section):
                return one
        return {}

    def clusters(self, part="dynamic_active_clusters"):
        return {c["cluster"]["name"]: c["cluster"] for c in self.dump("ClustersConfigDump").get(part, [])}

    def vhosts(self):
        return {v["name"] for r in self.dump("RoutesConfigDump").get("dynamic_route_configs", []) for v in r["route_config"].get("virtual_hosts", [])}

    def stat(self, name):
        for line in self.get("/stats?filter=" + name).splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[-1])
        return 0

    def stop(self):
        self.process.terminate()
        self.process.wait(15)
        self.log.close()


# Without capture an Envoy binds the services' ports on loopback: free ones.
PORT, PORT2 = free_port(), free_port()
A, B = (f"outbound|{PORT}||{n}.default.svc.cluster.local" for n in "ab")


def service(name, ip, port=PORT):
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: default}}
spec: {{clusterIP: {ip}, ports: [{{name: http, port: {port}}}]}}
"""


def endpoints(name, port):
    return f"""
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-1, namespace: default, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports: [{{name: http, port: {port}}}]
endpoints: [{{addresses: [127.0.0.1], conditions: {{ready: true}}}}]
"""


def rule(connections):
    return f"""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: a, namespace: default}}
spec: {{host: a, trafficPolicy: {{connectionPool: {{tcp: {{maxConnections: {connections}}}}}}}}}
"""


def route(host):
    return f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: web, namespace: default}}
spec: {{hosts: ["*"], gateways: [gw], http: [{{route: [{{destination: {{host: {host}, port: {{number: {PORT}}}}}}}]}}]}}
"""


class App(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *args):
        pass


@pytest.fixture
def app():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), App)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()


@pytest.fixture
def sidecar(app, tmp_path):
    with Coxswaind({"a.yaml": service("a", "10.96.0.1"), "ae.yaml": endpoints("a", app)}) as c:
        e = Envoy(c.wait_ready().grpc_port, "sidecar", tmp_path)
        try:
            until(lambda: A in e.clusters() and any("a.default" in v for v in e.vhosts()), "configured")
            yield c, e
        finally:
            e.stop()


def test_a_changed_eds_cluster_is_not_left_warming(sidecar):
    c, e = sidecar
    for connections in (7, 8, 9):
        c.write("rule.yaml", rule(connections))
        until(lambda: e.clusters().get(A, {}).get("circuit_breakers", {}).get("thresholds", [{}])[0].get("max_connections") == connections, "changed")
        assert not e.clusters("dynamic_warming_clusters")


def test_virtual_hosts_come_change_and_go(sidecar):
    c, e = sidecar
    c.write("b.yaml", service("b", "10.96.0.2"))
    until(lambda: any(v.startswith("b.default") for v in e.vhosts()), "a virtual host later in the stream")
    c.write("other.yaml", service("other", "10.96.0.3", PORT2))  # a second route configuration
    until(lambda: any(v.startswith("other.default") for v in e.vhosts()), "virtual hosts of a later route configuration")
    c.remove("b.yaml")

    def is_gone():
        for r in e.dump("RoutesConfigDump").get("dynamic_route_configs", []):
            for v in r["route_config"].get("virtual_hosts", []):
                if any(d.startswith("b.default") for d in v["domains"]):
                    return False
        return True
    until(is_gone, "no request can reach a removed virtual host, with two route configurations")


@pytest.fixture
def router(app, tmp_path):
    port = free_port()
    gateway = f"""
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: gw, namespace: default}}
spec: {{selector: {{istio: ingress}}, servers: [{{port: {{number: {port}, name: http, protocol: HTTP}}, hosts: ["*"]}}]}}
"""
    files = {"a.yaml": service("a", "10.96.0.1"), "ae.yaml": endpoints("a", app), "gw.yaml": gateway, "vs.yaml": route("a")}
    xds = free_port()
    c = Coxswaind(files, args=["--grpcAddr", f"127.0.0.1:{xds}"])
    e = Envoy(c.wait_ready().grpc_port, "router", tmp_path, {"istio": "ingress"})
    try:
        until(lambda: fetch(port) == 200, "traffic")
        yield c, e, port, app, xds, files
    finally:
        e.stop()
        if c.process.poll() is None:
            c.stop()


def fetch(port):
    try:
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        c.request("GET", "/")
        status = c.getresponse().status
        c.close()
        return status
    except OSError:
        return 0


def test_no_request_fails_while_a_route_moves_to_a_new_cluster_and_the_old_one_goes(router):
    c, e, port, app, _, _ = router
    seen, done = [], threading.Event()

    def ask():
        while not done.is_set():
            seen.append(fetch(port))
    asker = threading.Thread(target=ask)
    asker.start()
    c.write("b.yaml", service("b", "10.96.0.2"))
    c.write("be.yaml", endpoints("b", app))
    c.write("vs.yaml", route("b"))
    until(lambda: B in e.clusters(), "the new cluster")
    c.remove("a.yaml")
    until(lambda: A not in e.clusters(), "the old cluster is gone", 30)
    done.set()
    asker.join()
    assert set(seen) == {200}


def test_a_restart_of_the_control_plane_sends_nothing_and_traffic_flows(router):
    c, e, port, _, xds, files = router
    names = ["cluster_manager.cds.update_success", "listener_manager.lds.update_success", "listener_manager.listener_modified",
             "cluster_manager.cluster_modified", "cluster_manager.cluster_added"]
    time.sleep(0.5)
    before = [e.stat(n) for n in names[2:]]
    c.stop()
    assert fetch(port) == 200
    with Coxswaind(files, args=["--grpcAddr", f"127.0.0.1:{xds}"]) as again:
        again.wait_ready()
        until(lambda: again.metric("pilot_xds") >= 1 or "stream opened" in again.log_text(), "the Envoy is back", 40)
        time.sleep(1)
        assert [e.stat(n) for n in names[2:]] == before
        assert fetch(port) == 200
        assert not e.clusters("dynamic_warming_clusters")
