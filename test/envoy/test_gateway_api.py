"""The Gateway API with traffic: a gateway of stock Envoy, and a client of the mesh (GAMMA), on a real coxswaind.

covers: a256 a257 a258 a259 a260
"""
import collections
import http.client
import http.server
import json
import socket
import threading

import pytest

import meshtls
from coxswain import Coxswaind
from meshtls import free_port, until

EDGE = "edge"


class Echo:
    """Answers with its name, and with what it was asked."""

    def __init__(self, name):
        self.seen = []
        echo = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                said = {"app": name, "path": self.path, "method": self.command, "headers": {k.lower(): v for k, v in self.headers.items()}}
                echo.seen.append(said)
                status = 503 if self.path.startswith("/flaky") and len([s for s in echo.seen if s["path"] == self.path]) < 3 else 200
                body = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("X-Gone", "yes")
                self.end_headers()
                self.wfile.write(body)
            do_GET = do_POST = answer

            def log_message(self, *args):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def service(name, ns, port, to):
    return f"""---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {ns}}}
spec: {{clusterIP: 127.0.0.1, clusterIPs: [127.0.0.1], ports: [{{name: http, port: {port}, targetPort: {to}}}]}}
""" + endpoints(name, ns, to)


def endpoints(name, ns, to, at=1):
    return f"""---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-{at}, namespace: {ns}, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
endpoints: [{{addresses: [127.0.0.1], conditions: {{ready: true}}}}]
ports: [{{name: http, port: {to}, protocol: TCP}}]
"""


def doc(kind, ns, name, spec):
    return f"---\napiVersion: gateway.networking.k8s.io/v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: {ns}}}\nspec: {json.dumps(spec)}\n"


def backend(name, port, **more):
    return {"name": name, "port": port, **more}


def prefix(path, **more):
    return {"path": {"type": "PathPrefix", "value": path}, **more}


class World:
    def __init__(self, tmp):
        self.one, self.two, self.far = Echo("one"), Echo("two"), Echo("far")
        self.http, self.tcp, self.mesh = free_port(), free_port(), free_port()
        # The Gateway's ports are those of its Service; the pods listen on others (and clients of the mesh on those of the Service).
        self.listener, self.tcp_listener = free_port(), free_port()
        p = self.mesh
        self.services = service("one", "default", p, self.one.port) + service("two", "default", p, self.two.port) + service("far", "far", p, self.far.port) + \
            service("both", "default", p, self.one.port) + endpoints("both", "default", self.two.port, 2)
        self.gateway = f"""---
apiVersion: v1
kind: Service
metadata: {{name: front, namespace: {EDGE}}}
spec: {{clusterIP: 10.1.9.1, clusterIPs: [10.1.9.1], selector: {{app: front}}, ports: [{{name: http, port: {self.listener}, targetPort: {self.http}}}, {{name: tcp, port: {self.tcp_listener}, targetPort: {self.tcp}}}]}}
""" + doc("Gateway", EDGE, "gw", {"gatewayClassName": "istio", "addresses": [{"type": "Hostname", "value": "front"}], "listeners": [
            {"name": "http", "protocol": "HTTP", "port": self.listener, "allowedRoutes": {"namespaces": {"from": "All"}}},
            {"name": "tcp", "protocol": "TCP", "port": self.tcp_listener, "allowedRoutes": {"namespaces": {"from": "All"}}}]})
        self.grant = doc("ReferenceGrant", "far", "g", {"from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "default"}],
                                                       "to": [{"group": "", "kind": "Service"}]})
        self.cox = Coxswaind({"a.yaml": self.services + self.gateway, "grant.yaml": self.grant, "routes.yaml": self.routes()})
        self.cox.wait_ready()
        self.envoy = meshtls.Envoy(tmp, "front-0", EDGE, "127.0.0.1", self.cox.grpc_port, kind="router", labels={"app": "front"})
        self.client = meshtls.Envoy(tmp, "client-0", "default", "127.0.0.1", self.cox.grpc_port, labels={"app": "client"})
        until(lambda: self.ask("/")[0] == 200, "the gateway serves")

    def routes(self):
        p, parent = self.mesh, {"name": "gw", "namespace": EDGE, "sectionName": "http"}
        header = lambda which, **ops: {"type": which, which[0].lower() + which[1:]: {k: [{"name": n, "value": v} for n, v in d.items()] for k, d in ops.items()}}
        rules = [
            {"backendRefs": [backend("one", p)]},
            {"matches": [prefix("/a")], "backendRefs": [backend("two", p)]},
            {"matches": [{"path": {"type": "Exact", "value": "/a/exact"}}], "backendRefs": [backend("one", p)]},
            {"matches": [prefix("/a", method="POST")], "backendRefs": [backend("one", p)]},
            {"matches": [prefix("/a", headers=[{"name": "Pick", "value": "one"}])], "backendRefs": [backend("one", p)]},
            {"matches": [prefix("/a", queryParams=[{"name": "pick", "value": "one"}])], "backendRefs": [backend("one", p)]},
            {"matches": [prefix("/split")], "backendRefs": [backend("one", p, weight=3), backend("two", p, weight=1), backend("two", p, weight=0)]},
            {"matches": [prefix("/half")], "backendRefs": [backend("one", p), backend("gone", p)]},
            {"matches": [prefix("/none")], "backendRefs": [backend("gone", p)]},
            {"matches": [prefix("/far")], "backendRefs": [backend("far", p, namespace="far")]},
            {"matches": [prefix("/strip")], "filters": [{"type": "URLRewrite", "urlRewrite": {"hostname": "inner.example.com", "path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}}],
             "backendRefs": [backend("one", p)]},
            {"matches": [prefix("/old")], "filters": [{"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/new/"}}}], "backendRefs": [backend("one", p)]},
            {"matches": [prefix("/full")], "filters": [{"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplaceFullPath", "replaceFullPath": "/whole"}}}], "backendRefs": [backend("one", p)]},
            {"matches": [prefix("/to")], "filters": [{"type": "RequestRedirect", "requestRedirect": {"hostname": "o.example.com", "path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}}]},
            {"matches": [prefix("/https")], "filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https", "statusCode": 301}}]},
            {"matches": [prefix("/headers")], "filters": [header("RequestHeaderModifier", set={"X-Set": "s"}, add={"X-Add": "a"}),
                                                          {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"remove": ["X-Gone"], "set": [{"name": "X-Back", "value": "b"}]}}],
             "backendRefs": [backend("one", p, filters=[header("RequestHeaderModifier", set={"X-Backend": "one"})])]},
            {"matches": [prefix("/mirror")], "filters": [{"type": "RequestMirror", "requestMirror": {"backendRef": backend("two", p)}}], "backendRefs": [backend("one", p)]},
            {"matches": [prefix("/flaky")], "retry": {"attempts": 3, "codes": [503], "backoff": "10ms"}, "backendRefs": [backend("one", p)]},
            {"matches": [prefix("/session")], "sessionPersistence": {"sessionName": "at"}, "backendRefs": [backend("both", p)]},
            {"matches": [prefix("/header")], "sessionPersistence": {"sessionName": "x-at", "type": "Header"}, "backendRefs": [backend("both", p)]},
            {"matches": [prefix("/cors")], "filters": [{"type": "CORS", "cors": {"allowOrigins": ["https://*.example.com"], "allowMethods": ["GET"]}}], "backendRefs": [backend("one", p)]},
        ]
        return doc("HTTPRoute", "default", "web", {"parentRefs": [parent], "hostnames": ["a.example.com"], "rules": rules[:10]}) \
            + doc("HTTPRoute", "default", "more", {"parentRefs": [parent], "hostnames": ["a.example.com"], "rules": rules[10:]}) \
            + doc("TCPRoute", "default", "raw", {"parentRefs": [{"name": "gw", "namespace": EDGE, "sectionName": "tcp"}], "rules": [{"backendRefs": [backend("two", p)]}]}) \
            + doc("HTTPRoute", "default", "mesh", {"parentRefs": [{"group": "", "kind": "Service", "name": "one"}], "rules": [
                {"matches": [prefix("/two")], "backendRefs": [backend("two", p)]},
                {"filters": [header("RequestHeaderModifier", set={"X-Mesh": "yes"})], "backendRefs": [backend("one", p)]}]})

    def ask(self, path, method="GET", host="a.example.com", port=None, **headers):
        c = http.client.HTTPConnection("127.0.0.1", port or self.http, timeout=5)
        try:
            c.request(method, path, headers={"Host": host, **headers})
            r = c.getresponse()
            text = r.read().decode()
            return r.status, json.loads(text) if text.startswith("{") else text, {k.lower(): v for k, v in r.getheaders()}
        except OSError:
            return 0, "", {}
        finally:
            c.close()

    def close(self):
        self.envoy.close()
        self.client.close()
        self.cox.stop()
        for e in (self.one, self.two, self.far):
            e.close()


@pytest.fixture(scope="module")
def w(tmp_path_factory):
    one = World(tmp_path_factory.mktemp("gwapi"))
    yield one
    one.close()


@pytest.mark.parametrize("path,how,app", [
    ("/", {}, "one"), ("/a", {}, "two"), ("/a/b", {}, "two"), ("/ab", {}, "one"), ("/a/exact", {}, "one"), ("/a/exact/not", {}, "two"),
    ("/a", {"method": "POST"}, "one"), ("/a", {"Pick": "one"}, "one"), ("/a?pick=one", {}, "one"), ("/a?pick=two", {}, "two")])
def test_matches(w, path, how, app):
    status, said, _ = w.ask(path, **how)
    assert status == 200 and said["app"] == app


def test_unknown_host_and_path(w):
    assert w.ask("/", host="b.example.com")[0] == 404


def test_shares(w):
    """Weights; what leads nowhere gets 500 for its share."""
    n = collections.Counter(w.ask("/split")[1]["app"] for _ in range(400))
    assert 260 <= n["one"] <= 340 and n["two"] == 400 - n["one"], n
    n = collections.Counter(w.ask("/half")[0] for _ in range(200))
    assert set(n) == {200, 500} and 70 <= n[500] <= 130, n
    assert w.ask("/none")[0] == 500


@pytest.mark.parametrize("path,want", [("/strip/b?x=1", "/b?x=1"), ("/strip", "/"), ("/strip/", "/"), ("/old/b", "/new/b"), ("/old", "/new"), ("/old/", "/new/"),
                                       ("/full/b", "/whole")])
def test_rewrites(w, path, want):
    status, said, _ = w.ask(path)
    assert status == 200 and said["path"] == want
    assert said["headers"]["host"] == ("inner.example.com" if path.startswith("/strip") else "a.example.com")


@pytest.mark.parametrize("path,status,want", [("/to/b", 302, "http://o.example.com{port}/b"), ("/to", 302, "http://o.example.com{port}/"),
                                              ("/https/x", 301, "https://a.example.com/https/x")])
def test_redirects(w, path, status, want):
    have, _, headers = w.ask(path)
    assert (have, headers["location"]) == (status, want.format(port=f":{w.listener}"))


def test_filters(w):
    _, said, back = w.ask("/headers")
    assert {k: said["headers"].get(k) for k in ("x-set", "x-add", "x-backend")} == {"x-set": "s", "x-add": "a", "x-backend": "one"}
    assert back["x-back"] == "b" and "x-gone" not in back
    assert w.ask("/mirror/1")[1]["app"] == "one"
    until(lambda: [s for s in w.two.seen if s["path"] == "/mirror/1"], "the copy comes")
    assert w.ask("/flaky/1")[0] == 200 and len([s for s in w.one.seen if s["path"] == "/flaky/1"]) == 3
    assert w.ask("/cors", Origin="https://x.example.com")[2]["access-control-allow-origin"] == "https://x.example.com"
    assert "access-control-allow-origin" not in w.ask("/cors", Origin="https://example.org")[2]


def test_tcp(w):
    assert w.ask("/raw", port=w.tcp)[1]["app"] == "two"


def test_grant_goes_and_comes(w):
    """covers: a259"""
    assert w.ask("/far")[1]["app"] == "far"
    w.cox.remove("grant.yaml")
    until(lambda: w.ask("/far")[0] == 500, "the route is cut off")
    w.cox.write("grant.yaml", w.grant)
    until(lambda: w.ask("/far")[0] == 200, "the route is there again")


def test_mesh_client(w):
    """covers: a260"""
    host = f"one.default.svc.cluster.local:{w.mesh}"
    until(lambda: w.ask("/", host=host, port=w.mesh)[0] == 200, "the client's Envoy serves")
    _, said, _ = w.ask("/x", host=host, port=w.mesh)
    assert said["app"] == "one" and said["headers"]["x-mesh"] == "yes"
    assert w.ask("/two", host=host, port=w.mesh)[1]["app"] == "two"
    assert w.ask("/two", host=f"two.default.svc.cluster.local:{w.mesh}", port=w.mesh)[1]["app"] == "two"
    with socket.create_connection(("127.0.0.1", w.mesh)):
        pass


def test_sessions(w):
    """covers: a257
    A client comes back to the endpoint that it had; one without the cookie goes anywhere."""
    def app(path, **headers):
        status, said, answer = w.ask(path, **headers)
        assert status == 200, (status, said)
        return said["app"], answer
    assert {app("/session")[0] for _ in range(40)} == {"one", "two"}
    first, answer = app("/session")
    cookie = answer["set-cookie"].split(";")[0]
    assert cookie.startswith("at=") and {app("/session", Cookie=cookie)[0] for _ in range(20)} == {first}
    first, answer = app("/header")
    assert {app("/header", **{"x-at": answer["x-at"]})[0] for _ in range(20)} == {first}
