"""Hosts that the proxy resolves per request, on a real Envoy: what golden/cases show, with traffic. Names below .localhost need no DNS server.

covers: a134 a212
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

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "golden"))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "reference"))
import envoy_check  # noqa: E402
import refdiff  # noqa: E402

CLIENT = """
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: default}
spec: {containers: [{name: app, image: app}]}
status: {phase: Running, podIP: 127.0.0.1, podIPs: [{ip: 127.0.0.1}], conditions: [{type: Ready, status: "True"}]}
"""
ENTRY = """---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: NAME, namespace: default}
spec:
  hosts: ["*.NAME.localhost"]
  location: MESH_EXTERNAL
  resolution: DYNAMIC_DNS
  ports: [{number: PORT, name: x, protocol: PROTOCOL}]
"""
ANY = """---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: "outboundTrafficPolicy: {mode: ALLOW_ANY_DYNAMIC_DNS}"}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {clusterIP: 10.1.0.1, clusterIPs: [10.1.0.1], ports: [{name: http, port: PORT}]}
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.headers["Host"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=s.serve_forever, daemon=True).start()
    yield s.server_address[1]
    s.shutdown()


class Envoy:
    """The outbound listener of `port`, bound to a port of its own."""

    def __init__(self, objects, port, tmp_path):
        (tmp_path / "in.yaml").write_text(objects)
        done = subprocess.run([refdiff.COXCTL, "render", "-f", tmp_path / "in.yaml", "--proxy", "client.default", "--class", "upstream", "--no-sds"],
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        rendered = json.loads(done.stdout)
        name, self.port = f"0.0.0.0_{port}", free_port()
        listener = rendered["LDS"][name]
        listener["address"]["socket_address"].update(address="127.0.0.1", port_value=self.port)
        listener.pop("bind_to_port", None)
        rendered["LDS"] = {name: listener}
        rendered["CDS"] = {n: c for n, c in rendered["CDS"].items() if c.get("type") != "EDS"}  # nobody would answer for their endpoints
        config = envoy_check.bootstrap(rendered)
        config["static_resources"]["listeners"] = config["static_resources"]["listeners"][:1]
        config.pop("dynamic_resources")
        (tmp_path / "bootstrap.json").write_text(json.dumps(config))
        self.log = open(tmp_path / "log", "w")
        self.process = subprocess.Popen([envoy_check.ENVOY, "-c", tmp_path / "bootstrap.json", "-l", "warning", "--use-dynamic-base-id", "--concurrency", "1"],
                                        stdout=self.log, stderr=self.log)
        deadline = time.time() + 30
        while time.time() < deadline:
            assert self.process.poll() is None, (tmp_path / "log").read_text()
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("does not listen:\n" + (tmp_path / "log").read_text())

    def get(self, host):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        c.request("GET", "/", headers={"Host": host})
        r = c.getresponse()
        return r.status, r.read().decode()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.terminate()
        self.process.wait(20)
        self.log.close()


def entry(name, port, protocol="HTTP"):
    return ENTRY.replace("NAME", name).replace("PORT", str(port)).replace("PROTOCOL", protocol)


def test_two_wildcards_on_one_port(server, tmp_path):
    with Envoy(CLIENT + entry("one", server) + entry("two", server), server, tmp_path) as e:
        for host in (f"a.one.localhost:{server}", f"a.two.localhost:{server}", f"b.two.localhost:{server}"):
            assert e.get(host) == (200, host)


def test_any_host_besides_a_wildcard(server, tmp_path):
    """Hosts that nobody knows are found as well, and a known one is not taken for one of them."""
    with Envoy(CLIENT + ANY.replace("PORT", str(server)) + entry("one", server), server, tmp_path) as e:
        for host in (f"stranger.localhost:{server}", f"a.one.localhost:{server}"):
            assert e.get(host) == (200, host)
        assert e.get("web.default.svc.cluster.local")[0] == 503, "a service without a cluster here"


def test_wildcard_behind_tls(tmp_path):
    """The client's TLS is handed on to the server that its hello names."""
    import ssl
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with Envoy(CLIENT + entry("one", port, "TLS"), port, tmp_path) as e:
            context = ssl.create_default_context()
            raw = socket.create_connection(("127.0.0.1", e.port), 10)
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            session = context.wrap_bio(incoming, outgoing, server_hostname="a.one.localhost")
            with pytest.raises(ssl.SSLWantReadError):
                session.do_handshake()
            hello = outgoing.read()
            raw.sendall(hello)
            server.settimeout(20)
            upstream, _ = server.accept()
            upstream.settimeout(20)
            got = b""
            while len(got) < len(hello):
                got += upstream.recv(65536)
            assert got == hello
            upstream.close()
            raw.close()
