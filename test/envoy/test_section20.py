"""Twins of the simulated Envoy (test/sim/envoy.c): the same behaviours on a real one, against a real coxswaind.

covers: b16 b17 b25
"""
import http.client
import http.server
import re
import socket
import threading
import time

import pytest

from google.protobuf import json_format

from adsmodel import TYPES, Ads, RealEnvoy, cluster, free_port, until
from coxswain import CDS, EDS, Coxswaind, Stream

def Envoy(xds_port, kind, tmp, labels=None, ip="10.1.0.99", xds_socket=None, delta=True, **metadata):
    md = {"NAMESPACE": "default", "COXSWAIN_SDS": "none", "INTERCEPTION_MODE": "NONE", "INSTANCE_IPS": ip, "LABELS": labels or {}, **metadata}
    return RealEnvoy(xds_port, tmp, f"{kind}~{ip}~{kind}-0.default~default.svc.cluster.local", delta, md, xds_socket)


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


@pytest.fixture(params=["delta", "sotw"])
def sidecar(request, app, tmp_path):
    with Coxswaind({"a.yaml": service("a", "10.96.0.1"), "ae.yaml": endpoints("a", app)}) as c:
        e = Envoy(c.wait_ready().grpc_port, "sidecar", tmp_path, delta=request.param == "delta")
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
    until(lambda: any("b.default" in v for v in e.vhosts()), "a virtual host later in the stream")
    c.write("other.yaml", service("other", "10.96.0.3", PORT2))  # a second route configuration
    until(lambda: any("other.default" in v for v in e.vhosts()), "virtual hosts of a later route configuration")
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


def test_many_virtual_hosts_come_and_go_and_none_stays(sidecar):
    """With two route configurations; more than a hundred, so that what stayed behind would be seen."""
    c, e = sidecar
    c.write("other.yaml", service("other", "10.96.0.3", PORT2))
    until(lambda: any("other.default" in v for v in e.vhosts()), "a second route configuration")
    before = e.vhosts()
    for turn in range(3):
        c.write("many.yaml", "---".join(service(f"m{turn}-{i}", f"10.96.{turn + 1}.{i}") for i in range(1, 51)))
        until(lambda: len(e.vhosts()) == len(before) + 50, "fifty more")
        c.remove("many.yaml")
        until(lambda: e.vhosts() == before, "they are gone")
    assert e.stat("cluster_manager.cds.update_rejected") == 0
    assert "NACK" not in c.log_text()


def pass_on(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    for s in (source, target):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


class Relay:
    """Between the Envoy and the control plane, so that a stream can be lost at will."""

    def __init__(self, target):
        self.target, self.pairs = target, []
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                down, _ = self.listening.accept()
                up = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                return
            self.pairs.append((down, up))
            for a, b in ((down, up), (up, down)):
                threading.Thread(target=pass_on, args=(a, b), daemon=True).start()

    def cut(self):
        pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for s in pair:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def stop(self):
        self.listening.close()
        self.cut()


@pytest.mark.parametrize("delta", [True, False])
def test_a_stream_lost_while_clusters_warm_does_not_leave_them_warming(app, tmp_path, delta):
    """The Envoy is left with a warming cluster and a lost stream by a hand-driven server, then meets coxswaind: it asks for endpoints
    first, naming the version that it has, and for clusters not at all until they are warm."""
    ads = Ads()
    relay = Relay(ads.port)
    e = Envoy(relay.port, "sidecar", tmp_path, delta=delta)
    try:
        with Coxswaind({"a.yaml": service("a", "10.96.0.1"), "ae.yaml": endpoints("a", app), "rule.yaml": rule(9)}) as c:
            with Stream(c.wait_ready().grpc_port, delta=delta) as me:  # what coxswaind would send, version and all
                me.request(EDS, [A])
                right = me.next(EDS).resources[0]
                right = (json_format.MessageToDict(TYPES[EDS].FromString(getattr(right, "resource", right).value), preserving_proto_field_name=True), getattr(right, "version", ""))
            s = ads.stream()
            s.next(CDS)
            s.send(CDS, {A: cluster(A)})
            s.next(EDS)
            assert s.is_acked(s.send(EDS, {A: right}))
            s.send(CDS, {A: cluster(A, 5)}, version="2")
            until(lambda: A in e.clusters("dynamic_warming_clusters"), "warming")
            relay.target = c.grpc_port
            relay.cut()
            until(lambda: e.clusters().get(A, {}).get("circuit_breakers", {}).get("thresholds", [{}])[0].get("max_connections") == 9,
                  "warm, and then as coxswaind has it", 40)
            until(lambda: any("a.default" in v for v in e.vhosts()), "the rest of the configuration")
            assert not e.clusters("dynamic_warming_clusters")
    finally:
        e.stop()
        relay.stop()
        ads.stop()


@pytest.mark.parametrize("delta", [True, False])
def test_streams_lost_at_any_moment_of_a_change_leave_nothing_warming(app, tmp_path, delta):
    with Coxswaind({"a.yaml": service("a", "10.96.0.1"), "ae.yaml": endpoints("a", app)}) as c:
        relay = Relay(c.wait_ready().grpc_port)
        e = Envoy(relay.port, "sidecar", tmp_path, delta=delta)
        try:
            until(lambda: any("a.default" in v for v in e.vhosts()), "configured")
            for i in range(8):
                c.write("rule.yaml", rule(100 + i))
                time.sleep(0.004 * i)
                relay.cut()
                until(lambda: e.clusters()[A].get("circuit_breakers", {}).get("thresholds", [{}])[0].get("max_connections") == 100 + i, f"change {i}", 40)
                assert not e.clusters("dynamic_warming_clusters")
        finally:
            e.stop()
            relay.stop()


def test_goaway_by_age_sends_only_the_difference_and_no_request_fails(app, tmp_path):
    port = free_port()
    gateway = f"""
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: gw, namespace: default}}
spec: {{selector: {{istio: ingress}}, servers: [{{port: {{number: {port}, name: http, protocol: HTTP}}, hosts: ["*"]}}]}}
"""
    files = {"a.yaml": service("a", "10.96.0.1"), "ae.yaml": endpoints("a", app), "gw.yaml": gateway, "vs.yaml": route("a")}
    with Coxswaind(files, args=["--keepaliveMaxServerConnectionAge", "2s"]) as c:
        e = Envoy(c.wait_ready().grpc_port, "router", tmp_path, {"istio": "ingress"})
        seen, done = [], threading.Event()

        def ask():
            while not done.is_set():
                seen.append(fetch(port))
        try:
            until(lambda: fetch(port) == 200, "traffic")
            asker = threading.Thread(target=ask)
            asker.start()
            opened = c.log_text().count("stream opened")
            counts = ["cluster_manager.cluster_modified", "cluster_manager.cluster_added", "listener_manager.listener_modified"]
            before = [e.stat(n) for n in counts]
            until(lambda: c.log_text().count("stream opened") >= opened + 2, "two more connections, by age", 40)
            sent = [int(n) for n in re.findall(r"stream closed .*sent_bytes=(\d+)", c.log_text())]
            assert [e.stat(n) for n in counts] == before
            assert len(sent) >= 2 and all(n < sent[0] / 2 for n in sent[1:]), "a new connection gets the difference: headers alone"
            c.write("rule.yaml", rule(7))
            until(lambda: e.clusters()[A].get("circuit_breakers", {}).get("thresholds", [{}])[0].get("max_connections") == 7, "a change arrives as ever")
            done.set()
            asker.join()
            assert len(seen) > 100 and set(seen) == {200}
        finally:
            done.set()
            e.stop()
