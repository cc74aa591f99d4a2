"""The mesh configuration and ProxyConfig, live on a real Envoy at the edge: an edit reaches it, a broken one changes nothing and is told, and
what the settings promise is seen on the wire.

covers: a211 a240 a244 a247 a250 b31
"""
import http.server
import socket
import threading

import pytest

from adsmodel import RealEnvoy, free_port, until
from coxswain import Coxswaind

PORT = free_port()


class App(http.server.BaseHTTPRequestHandler):
    """Says in its body what it was asked with."""
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = "".join("%s: %s\n" % (k.lower(), v) for k, v in self.headers.items()).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def app():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), App)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()


def objects(app):
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: app, namespace: default}}
spec: {{clusterIP: 10.96.0.1, ports: [{{name: http, port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: app-1, namespace: default, labels: {{kubernetes.io/service-name: app}}}}
addressType: IPv4
ports: [{{name: http, port: {app}}}]
endpoints: [{{addresses: [127.0.0.1], conditions: {{ready: true}}}}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: gw, namespace: default}}
spec: {{selector: {{istio: edge}}, servers: [{{port: {{number: {PORT}, name: http, protocol: HTTP}}, hosts: ["*"]}}]}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: app, namespace: default}}
spec: {{hosts: ["*"], gateways: [gw], http: [{{route: [{{destination: {{host: app}}}}]}}]}}
"""


def mesh(text):
    return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |\n" + \
        "".join("    %s\n" % line for line in text.splitlines())


def ask(head, first=b""):
    """The answer to a request as it is written, header names and all."""
    with socket.create_connection(("127.0.0.1", PORT), 10) as s:
        s.settimeout(10)
        s.sendall(first + (head.replace("\n", "\r\n") + "\r\n\r\n").encode())
        got = b""
        while True:
            part = s.recv(65536)
            got += part
            if not part:
                return got.decode()


GET = "GET / HTTP/1.1\nHost: a\nConnection: close"


def edge(c, tmp_path, **metadata):
    return RealEnvoy(c.grpc_port, tmp_path, "router~127.0.0.1~edge-0.default~default.svc.cluster.local", True,
                     {"NAMESPACE": "default", "COXSWAIN_SDS": "none", "INSTANCE_IPS": "127.0.0.1", "LABELS": {"istio": "edge"}, **metadata})


def answered():
    try:
        return ask(GET).startswith("HTTP/1.1 200")
    except OSError:
        return False


def test_an_edit_reaches_a_connected_envoy(app, tmp_path):
    with Coxswaind({"o.yaml": objects(app), "mesh.yaml": mesh("enableTracing: false")}) as c:
        e = edge(c.wait_ready(), tmp_path)
        try:
            until(answered, "configured")
            assert "server: istio-envoy" in ask(GET) and "x-envoy-attempt-count: 1" in ask(GET)
            assert ask(GET + "\nx_under: 1").startswith("HTTP/1.1 200")

            c.write("mesh.yaml", mesh("defaultConfig:\n  proxyHeaders: {server: {value: ours}, attemptCount: {disabled: true}}\n"
                                      "  connectionSettings: {profile: EDGE}\n  gatewayTopology: {numTrustedProxies: 1}"))
            until(lambda: "server: ours" in ask(GET), "the edited header")
            until(lambda: "x-envoy-attempt-count" not in ask(GET), "a header switched off")
            assert ask(GET + "\nx_under: 1").startswith("HTTP/1.1 400"), "profile EDGE"
            assert "HTTP/1.1 307" in ask(GET.replace("/ ", "/a%2Fb ", 1)), "profile EDGE redirects escaped slashes"
            assert "x-envoy-external-address: 9.9.9.9" in ask(GET + "\nx-forwarded-for: 9.9.9.9")

            # Not YAML, and a value that is none: the last good one stays, and the log says why.
            c.write("mesh.yaml", mesh("defaultConfig: {proxyHeaders: ["))
            until(lambda: "ConfigMap/istio-system/istio data.mesh: the last good mesh configuration stays in force: " in c.log_text(), "told", 30)
            assert "server: ours" in ask(GET)
            c.write("mesh.yaml", mesh("defaultConfig: {connectionSettings: {httpIdleTimeout: soon}}"))
            until(lambda: "stays in force: defaultConfig.connectionSettings.httpIdleTimeout: " in c.log_text(), "told with its path", 30)
            assert "server: ours" in ask(GET)

            # An unknown key counts for nothing, the rest of the edit for all.
            c.write("mesh.yaml", mesh("defaultConfig: {proxyHeaders: {server: {value: third}, sever: {}}}"))
            until(lambda: "server: third" in ask(GET), "the next good edit")
            until(lambda: "data.mesh: defaultConfig.proxyHeaders.sever: unknown field" in c.log_text(), "the unknown key is told", 30)
            assert ask(GET + "\nx_under: 1").startswith("HTTP/1.1 200")
        finally:
            e.stop()


def test_an_edited_file_counts_as_well(app, tmp_path):
    file = tmp_path / "mesh"
    file.write_text("defaultConfig: {proxyHeaders: {server: {value: one}}}")
    with Coxswaind({"o.yaml": objects(app)}, args=["--meshConfig", str(file)]) as c:
        e = edge(c.wait_ready(), tmp_path)
        try:
            until(lambda: answered() and "server: one" in ask(GET), "configured")
            file.write_text("defaultConfig: {proxyHeaders: {server: {value: second}}}")
            until(lambda: "server: second" in ask(GET), "the edited file")
            file.write_text("a: [")
            until(lambda: "stays in force" in c.log_text(), "told", 30)
            assert "server: second" in ask(GET)
        finally:
            e.stop()


def refused(first):
    try:
        return ask(GET, first) == ""
    except ConnectionError:
        return True


def test_the_proxys_own_settings(app, tmp_path):
    """Metadata PROXY_CONFIG over the mesh's; HTTP/1.0; the PROXY protocol; a limit of connections."""
    own = {"proxyHeaders": {"preserveHttp1HeaderCase": True, "envoyDebugHeaders": {"disabled": True}, "requestId": {"disabled": True}},
           "gatewayTopology": {"proxyProtocol": {}}, "connectionSettings": {"listenerConnectionLimit": 2}}
    proxied = b"PROXY TCP4 8.8.8.8 127.0.0.1 1111 80\r\n"
    with Coxswaind({"o.yaml": objects(app), "mesh.yaml": mesh("defaultConfig: {proxyHeaders: {server: {value: ours}}}")}) as c:
        e = edge(c.wait_ready(), tmp_path, PROXY_CONFIG=own, HTTP10="1")
        try:
            until(lambda: f"0.0.0.0_{PORT}" in e.listeners(), "configured")
            until(lambda: "200" in ask(GET, proxied).split("\r\n")[0], "an answer")
            got = ask(GET + "\nX-MixedCase: 1", proxied)
            assert "erver: ours" in got, "the mesh's member beside the proxy's own"
            assert "8.8.8.8" in got, "the address of the PROXY protocol"
            assert "x-envoy-upstream-service-time" not in got.lower() and "x-request-id" not in got.lower()
            assert ask("GET / HTTP/1.0\nHost: a", proxied).startswith("HTTP/1.0 200"), "HTTP/1.0 is taken"
            held = [socket.create_connection(("127.0.0.1", PORT), 5) for _ in range(2)]
            for s in held:
                s.sendall(proxied + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                assert s.recv(100)
            assert refused(proxied), "the third connection is closed without an answer"
            for s in held:
                s.close()
        finally:
            e.stop()
