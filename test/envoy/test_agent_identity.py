"""Two real Envoys that speak mTLS with the certificates of their agents: renewal, rotation, revocation and the agent's own death, under traffic.

covers: i2 i3 i4 c29 c30 c31
"""
import http.client
import http.server
import json
import os
import subprocess
import sys
import threading
import time

import pytest

from agentlab import Agent, eventually, free_port
from tinyca import BUNDLE, Plane, Root

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_pb2
import envoy.extensions.filters.http.router.v3.router_pb2  # noqa: F401  (so that JSON finds the types)
import envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2  # noqa: F401
import envoy.extensions.transport_sockets.tls.v3.tls_pb2  # noqa: F401
import envoy.extensions.upstreams.http.v3.http_protocol_options_pb2  # noqa: F401
from google.protobuf import json_format

ENVOY = os.path.join(os.path.dirname(sys.executable), "envoy")
T = "type.googleapis.com/envoy."
CDS, LDS = T + "config.cluster.v3.Cluster", T + "config.listener.v3.Listener"
SDS = {"api_config_source": {"api_type": "GRPC", "transport_api_version": "V3", "set_node_on_first_message_only": True,
                             "grpc_services": [{"envoy_grpc": {"cluster_name": "sds-grpc"}}]}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"}
COMMON = {"tls_certificate_sds_secret_configs": [{"name": "default", "sds_config": SDS}],
          "combined_validation_context": {"default_validation_context": {"match_typed_subject_alt_names": [{"san_type": "URI", "matcher": {"prefix": "spiffe://cluster.local/"}}]},
                                          "validation_context_sds_secret_config": {"name": "ROOTCA", "sds_config": SDS}}}


def tls(kind, **more):
    return {"name": "envoy.transport_sockets.tls", "typed_config": {"@type": f"{T}extensions.transport_sockets.tls.v3.{kind}", "common_tls_context": COMMON, **more}}


def cluster(name, port, **more):
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return json_format.ParseDict({"name": name, "connect_timeout": "2s", "type": "STATIC",
                                  "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]}, **more}, cluster_pb2.Cluster())


def listener(port, target, socket=None):
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": {
        "@type": T + "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": "x",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": target}}]}]},
        "forward_client_cert_details": "SANITIZE_SET", "set_current_client_cert_details": {"uri": True},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": T + "extensions.filters.http.router.v3.Router"}}]}}]}
    if socket:
        chain["transport_socket"] = socket
    return json_format.ParseDict({"name": f"l{port}", "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}, "filter_chains": [chain]},
                                 listener_pb2.Listener())


class Envoy:
    """Started from the bootstrap that the agent wrote, but not by it: it outlives the agent."""

    def __init__(self, agent):
        self.agent, self.log = agent, os.path.join(agent.dir, "envoy.log")
        path = eventually(lambda: os.path.exists(p := os.path.join(agent.config, "envoy-rev.json")) and p)
        with open(self.log, "w") as log:
            self.process = subprocess.Popen([ENVOY, "-c", path, "--concurrency", "1", "--disable-hot-restart", "-l", "warning"], stdout=log, stderr=log)

    def get(self, path):
        try:
            c = http.client.HTTPConnection("127.0.0.1", self.agent.ports["admin"], timeout=5)
            c.request("GET", path)
            body = c.getresponse().read().decode()
            c.close()
            return body
        except OSError:
            return ""

    def serials(self):
        return {c["serial_number"] for item in json.loads(self.get("/certs") or "{}").get("certificates", []) for c in item.get("cert_chain", [])}

    def roots(self):
        return {c["serial_number"] for item in json.loads(self.get("/certs") or "{}").get("certificates", []) for c in item.get("ca_cert", [])}

    def stop(self):
        self.process.kill()
        self.process.wait()


class App(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.headers.get("x-forwarded-client-cert", "none").encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Mesh:
    """client Envoy (clear text in, mTLS out) -> server Envoy (mTLS in) -> application; each with an agent and a control plane of its own."""

    def __init__(self, ttl_s=None, env=None, envoy_of_agent=False):
        self.root = Root("first")
        self.app = http.server.ThreadingHTTPServer(("127.0.0.1", 0), App)
        threading.Thread(target=self.app.serve_forever, daemon=True).start()
        self.port, self.inner = free_port(), free_port()
        inner = self.inner
        self.planes = [Plane(self.root), Plane(self.root)]
        for plane, account in zip(self.planes, ("server", "client")):
            plane.ttl_s, plane.uri = ttl_s, f"spiffe://cluster.local/ns/default/sa/{account}"
        server, client = self.planes
        server.set(CDS, "app", "1", cluster("app", self.app.server_address[1]))
        server.set(LDS, "in", "1", listener(inner, "app", tls("DownstreamTlsContext", require_client_certificate=True)))
        # One request a connection: each is a handshake with the secrets of that moment.
        once = {"@type": T + "extensions.upstreams.http.v3.HttpProtocolOptions", "common_http_protocol_options": {"max_requests_per_connection": 1},
                "explicit_http_config": {"http_protocol_options": {}}}
        client.set(CDS, "server", "1", cluster("server", inner, transport_socket=tls("UpstreamTlsContext", max_session_keys=0),
                                               typed_extension_protocol_options={"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": once}))
        client.set(LDS, "out", "1", listener(self.port, "server"))
        for plane in self.planes:
            plane.bundle(1, [self.root])
        env = {"COXSWAIN_ROTATION_JITTER": "200ms", **(env or {})}
        self.agents = [Agent(f"127.0.0.1:{p.port}", self.root.pem, env={**env, "SERVICE_ACCOUNT": a}) for p, a in zip(self.planes, ("server", "client"))]
        self.envoys = [Envoy(a) for a in self.agents]
        self.answers, self.done, self.asker = [], threading.Event(), None

    def ask(self):
        try:
            c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            c.request("GET", "/")
            answer = c.getresponse()
            body = answer.read().decode()
            c.close()
            return answer.status, body
        except OSError as e:
            return 0, str(e)

    def load(self):
        def run():
            while not self.done.is_set():
                self.answers.append(self.ask())
                time.sleep(0.01)
        self.asker = threading.Thread(target=run)
        self.asker.start()

    def end_load(self, at_least=100):
        eventually(lambda: len(self.answers) >= at_least, 30)
        self.done.set()
        self.asker.join()
        bad = [a for a in self.answers if a[0] != 200]
        assert not bad and len(self.answers) >= at_least, (len(self.answers), bad[:3])
        return len(self.answers)

    def __enter__(self):
        try:
            eventually(lambda: self.ask()[0] == 200, 30, "traffic")
        except BaseException:
            self.__exit__(True)
            raise
        return self

    def __exit__(self, kind, *_):
        self.done.set()
        for a, e in zip(self.agents, self.envoys):
            if kind:
                print(a.log()[-3000:], open(e.log).read()[-3000:])
            e.stop()
        for a in self.agents:
            a.close()
        for p in self.planes:
            p.close()
        self.app.shutdown()
        self.app.server_close()


def test_identity_arrives_and_renewals_cost_no_request():
    """Several renewals of both sides under traffic."""
    with Mesh(ttl_s=8, env={"SECRET_GRACE_PERIOD_RATIO": "0.6"}) as m:
        assert "URI=spiffe://cluster.local/ns/default/sa/client" in m.ask()[1]
        first = [e.serials() for e in m.envoys]
        m.load()
        eventually(lambda: all(a.log().count("renewed_after_ms") >= 3 for a in m.agents), 60)
        m.end_load()
        assert all(e.serials() and not e.serials() & f for e, f in zip(m.envoys, first))


def test_rotation_of_the_root_costs_no_request():
    """Both control planes go on only by what both agents acknowledge."""
    second = Root("second")
    with Mesh() as m:
        m.load()

        def phase(generation, roots, name, issuer):
            before = [len(p.acks(BUNDLE)) for p in m.planes]
            for p in m.planes:
                p.bundle(generation, roots, name, issuer=issuer)
            for p, n in zip(m.planes, before):
                eventually(lambda p=p, n=n: len(p.acks(BUNDLE)) > n, 30, name)
        eventually(lambda: all(p.acks(BUNDLE) for p in m.planes))
        phase(2, [m.root, second], "DISTRIBUTE", m.root)
        assert all(len(e.roots()) == 2 for e in m.envoys)
        for p in m.planes:
            p.root = second
        phase(3, [m.root, second], "SIGN", second)
        time.sleep(0.5)
        phase(4, [second], "STEADY", second)
        assert all(len(e.roots()) == 1 for e in m.envoys)
        time.sleep(0.5)
        m.end_load()
        assert [len(p.csrs) for p in m.planes] == [2, 2]


def test_revoked_peer_is_refused_and_comes_back_with_a_new_certificate():
    with Mesh() as m:
        revoked = m.agents[1]
        serial = next(iter(m.envoys[1].serials()))
        line = next(x for x in m.root.read("index").splitlines() if serial.lower().lstrip("0") in x.lower())
        with open(os.path.join(m.root.dir, line.split("\t")[3] + ".pem")) as f:
            leaf = f.read()
        m.planes[0].bundle(2, [m.root], crl=m.root.crl(leaf))
        t = time.monotonic()
        eventually(lambda: m.ask()[0] == 503, 10, "refused")
        print(f"refused after {time.monotonic() - t:.2f} s")
        eventually(lambda: len(m.planes[0].acks(BUNDLE)) == 2)
        revoked.kill()
        revoked.start()
        eventually(lambda: m.ask()[0] == 200, 20, "with a new certificate")


def test_agent_dies_and_comes_back_while_envoy_serves():
    with Mesh() as m:
        m.load()
        for a in m.agents:
            a.kill()
            time.sleep(1)
            a.start()
            eventually(lambda: a.log().count("certificate in force") >= 2 and a.log().count("connected to the control plane") >= 2, 40)
        m.end_load()
        # Envoy said what it has: nothing is sent again.
        assert any(r.initial_resource_versions.get("in") == "1" for r in m.planes[0].asked(LDS))


def test_agent_restarted_in_the_middle_of_a_rotation():
    """SIGN: one side has the new issuer's certificate, the other's agent restarts and learns of one root first. Both roots stay in its Envoy."""
    second = Root("second")
    with Mesh() as m:
        for p in m.planes:
            p.bundle(2, [m.root, second], "DISTRIBUTE", issuer=m.root)
        eventually(lambda: all(len(p.acks(BUNDLE)) >= 2 or len(e.roots()) == 2 for p, e in zip(m.planes, m.envoys)))
        m.planes[1].root = second
        m.planes[1].bundle(3, [m.root, second], "SIGN", issuer=second)
        eventually(lambda: len(m.planes[1].csrs) == 2 and m.planes[1].acks(BUNDLE))
        m.load()
        time.sleep(0.5)
        for a in m.agents:
            a.kill()
        for p in m.planes:
            p.silent = {BUNDLE}
        for a in m.agents:
            a.start()
            eventually(lambda: a.log().count("certificate in force") >= 2 and a.log().count("connected to the control plane") >= 2, 40)
        time.sleep(1)
        for p in m.planes:
            p.silent = set()
            p.bundle(4, [m.root, second], "SIGN", issuer=second)
        time.sleep(1)
        assert all(len(e.roots()) == 2 for e in m.envoys)
        m.end_load()


def test_control_plane_away_over_a_renewal():
    """Renewals fail for a while before the certificates run out: no request fails, and the next one that can be made is."""
    with Mesh(ttl_s=16, env={"SECRET_GRACE_PERIOD_RATIO": "0.75"}) as m:
        first = [e.serials() for e in m.envoys]
        m.load()
        for p in m.planes:
            p.stop()
        eventually(lambda: all("no new certificate yet" in a.log() for a in m.agents), 20)
        for p in m.planes:
            p.start()
        eventually(lambda: all("renewed_after_ms" in a.log() for a in m.agents), 20)
        m.end_load()
        eventually(lambda: all(e.serials() and not e.serials() & f for e, f in zip(m.envoys, first)), 10)


def test_time_to_the_first_certificate_and_to_traffic():
    """Printed for the README; no limit but that it works."""
    with Mesh() as m:
        for a in m.agents:
            print([line.split("after_ms=")[1] for line in a.log().splitlines() if " after_ms=" in line])


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q"]))
