"""The traffic oracle: random VirtualServices (seeded), a real Envoy that has what coxctl renders of them, random requests over loopback,
and `coxctl explain route` asked about each of them. Both must name the same cluster, status, redirect and rewritten request.

usage: routeoracle.py [--seeds 1-20] [--requests 200] [--keep DIR]     (make oracle)
"""
import argparse
import collections
import http.client
import http.server
import json
import os
import queue
import random
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TREE, "test", "golden"))
import envoy_check  # noqa: E402

COXCTL = os.path.join(os.environ.get("COX_BUILD", os.path.join(TREE, "build")), "coxctl")
LOG = "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%\t%REQ(X-ORACLE-ID)%\t%UPSTREAM_CLUSTER%\t%RESPONSE_CODE%\t%RESPONSE_FLAGS%\n"
SIDECAR, GATEWAY = "client.default", "gw.edge"


# --- objects ------------------------------------------------------------------------------------------

def doc(kind, name, spec, ns="default", api="networking.istio.io/v1", **meta):
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": ns, **meta}, "spec": spec}


def pod(name, ns, labels, ip):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": ns, "labels": labels},
            "spec": {"serviceAccountName": name, "containers": [{"name": "app", "image": "app"}]},
            "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [{"type": "Ready", "status": "True"}]}}


REGEXES = [  # an expression, paths that it takes or nearly takes
    ("/c/[0-9]+", ["/c/12", "/c/x", "/c/12/", "/c/"]), ("/(a|ab)(c|bcd)", ["/abcd", "/ac", "/abc", "/abd"]),
    ("(?i)/abc", ["/ABC", "/abc", "/abcd"]), ("/x.*y", ["/xy", "/x/y/y", "/x/yz"]), ("/[^/]+/z", ["/q/z", "//z", "/q/r/z"]),
    ("/d\\d{2,3}", ["/d1", "/d12", "/d123", "/d1234"]), ("/(foo|bar)(/.*)?", ["/foo", "/bar/", "/foobar", "/bar/x"]),
    (".*/end$", ["/the/end", "/end", "/end/"]), ("/\\w+-\\w+", ["/a-b", "/a_b", "/a-"]), ("/u/[^/]+/(posts|likes)", ["/u/me/posts", "/u//likes", "/u/me/post"]),
]
REWRITES = [("^/foo/(.*)$", "/\\1/foo"), ("/+", "/"), ("([a-z]+)", "<\\1>"), ("^(/[a-z])(.*)$", "\\2\\1"), ("b", "")]
PREFIXES = ["/", "/a", "/a/", "/b/", "/a/b", "/api/v1", "/Foo", "/b%20c", "/foo"]
EXACTS = ["/a", "/exact/path", "/b/", "/Foo", "/foo"]
VALUES = {"x-user": ["alice", "bob", "", "al"], "x-version": ["v1-a", "v2", "v1"], "x-num": ["12", "ab"], "cookie": ["a=b; user=x", "user=x"],
          "end-user": ["jason"]}
QUERIES = {"q": ["1", "a", ""], "lang": ["de", "en-us"]}


class World:
    def __init__(self, seed):
        self.r = random.Random(seed)
        self.docs, self.hosts = [], {SIDECAR: [], GATEWAY: []}
        self.matches = {}  # host -> matches to make requests of
        self.upstream = None

    def value_match(self, values):
        r = self.r
        v = r.choice(values)
        kind = r.choice(["exact", "prefix", "regex", "present"])
        if kind == "present":
            return {}
        if kind == "regex":
            return {"regex": r.choice([v + ".*" if v else ".*", "[a-z]+", "(?i)" + (v.upper() or "x"), v or "y*", "a|b|" + (v or "c")])}
        return {kind: v} if v or kind == "exact" else {"exact": v}

    def uri_match(self):
        r = self.r
        kind = r.choice(["exact", "prefix", "prefix", "regex"])
        return {kind: r.choice({"exact": EXACTS, "prefix": PREFIXES, "regex": [x for x, _ in REGEXES]}[kind])}

    def match(self, gateway):
        r, m = self.r, {}
        if r.random() < 0.75:
            m["uri"] = self.uri_match()
            if r.random() < 0.2 and "regex" not in m["uri"]:
                m["ignoreUriCase"] = True
        if r.random() < 0.35:
            m["headers"] = {n: self.value_match(VALUES[n]) for n in r.sample(sorted(VALUES), r.choice([1, 1, 2]))}
        if r.random() < 0.2:
            m["withoutHeaders"] = {n: self.value_match(VALUES[n]) for n in r.sample(sorted(VALUES), 1)}
        if r.random() < 0.25:
            m["queryParams"] = {n: self.value_match([v for v in QUERIES[n] if v] or ["1"]) for n in r.sample(sorted(QUERIES), 1)}
        if r.random() < 0.15:
            m["method"] = r.choice([{"exact": "GET"}, {"regex": "P.*"}, {"prefix": "DEL"}])
        if r.random() < 0.08:
            m["scheme"] = {"exact": r.choice(["http", "https"])}
        if r.random() < 0.08:
            m["authority"] = r.choice([{"prefix": "s"}, {"regex": ".*example.*"}, {"prefix": "a."}])
        if r.random() < 0.12:
            m["sourceLabels"] = {"app": r.choice(["client", "other"])}
        if r.random() < 0.08:
            m["sourceNamespace"] = r.choice(["default", "other"])
        if r.random() < 0.08:
            m["port"] = r.choice([80, 8080])
        if r.random() < 0.08:
            m["gateways"] = [r.choice(["mesh", "edge/main"])]
        return m

    def destination(self):
        r = self.r
        n = r.randrange(14)
        if n == 12:
            return {"host": "ghost.default.svc.cluster.local", "port": {"number": 80}}
        d = {"host": f"s{n}" if n < 12 else f"s{n % 4}.default.svc.cluster.local"}
        if n < 6 and r.random() < 0.5:
            d["subset"] = r.choice(["v1", "v2", "v3"])  # v3 is nobody's
        if r.random() < 0.3:
            d["port"] = {"number": r.choice([80, 8080])}
        return d

    def action(self, name, ns):
        r, route = self.r, {}
        kind = r.choices(["route", "weights", "redirect", "direct", "delegate"], [58, 12, 12, 8, 10])[0]
        if kind == "redirect":
            rd = route["redirect"] = {}
            if r.random() < 0.6:
                rd["uri"] = r.choice(["/new", "/new?x=1", "/"])
            if r.random() < 0.5:
                rd["authority"] = r.choice(["elsewhere.example.com", "other:8443"])
            if r.random() < 0.3:
                rd["scheme"] = r.choice(["http", "https"])
            if r.random() < 0.2:
                rd["port"] = r.choice([8443, 80])
            if r.random() < 0.3:
                rd["redirectCode"] = r.choice([301, 302, 303, 307, 308])
            if not rd:
                rd["uri"] = "/only"
            return route
        if kind == "direct":
            route["directResponse"] = {"status": r.choice([200, 404, 503, 418]), "body": {"string": "said by " + name}}
            return route
        if kind == "delegate":
            child = f"d-{name}"
            self.docs.append(doc("VirtualService", child, {"http": self.routes(child, ns, False, r.randint(1, 3), True)}, ns))
            route["delegate"] = {"name": child, "namespace": ns}
            return route
        if kind == "weights":
            on, n = r.randrange(3), r.choice([2, 3])
            route["route"] = [{"destination": self.destination(), "weight": 100 if i == on % n else 0} for i in range(n)]
            if r.random() < 0.3:  # any of them may be taken
                for d in route["route"]:
                    d["weight"] = r.choice([0, 1, 30, 70])
                route["route"][0]["weight"] = 10
            if r.random() < 0.3:
                route["route"][0]["headers"] = {"request": {"set": {"host": "weighted.example.com"}}}
        else:
            route["route"] = [{"destination": self.destination()}]
        self.decorate(route)
        return route

    def decorate(self, route):
        r = self.r
        if r.random() < 0.25:
            rw = route["rewrite"] = {}
            x = r.random()
            if x < 0.4:
                rw["uri"] = r.choice(["/", "/new", "/new/"])
            elif x < 0.7:
                pattern, to = r.choice(REWRITES)
                rw["uriRegexRewrite"] = {"match": pattern, "rewrite": to}
            if r.random() < 0.4 or not rw:
                rw["authority"] = "rewritten.example.com"
        if r.random() < 0.15:
            percent = r.choice([100, 100, 0])
            route["fault"] = {}
            if r.random() < 0.8:
                route["fault"]["abort"] = r.choice([{"httpStatus": 555}, {"httpStatus": 429}, {"grpcStatus": "UNAVAILABLE"}, {"grpcStatus": "NOT_FOUND"}])
                route["fault"]["abort"]["percentage"] = {"value": percent}
            if r.random() < 0.3 or not route["fault"]:
                route["fault"]["delay"] = {"fixedDelay": "1ms", "percentage": {"value": 100}}
        if r.random() < 0.1:
            route["mirror"] = {"host": "s1"}
        if r.random() < 0.15:
            route["timeout"] = "5s"
        if r.random() < 0.2:
            route["retries"] = self.r.choice([{"attempts": 0}, {"attempts": 2, "retryOn": "5xx"}])
        if r.random() < 0.12:
            route["headers"] = {"request": {"set": {"x-added": "1"}, "remove": ["x-num"]}}
        if r.random() < 0.1:
            route["corsPolicy"] = {"allowOrigins": [{"exact": "https://good.example.com"}], "allowMethods": ["GET"],
                                   "unmatchedPreflights": self.r.choice(["FORWARD", "IGNORE"])}

    def routes(self, name, ns, gateway, n, is_delegate=False):
        out = []
        for i in range(n):
            while True:
                route = {"name": f"r{i}", **self.action(f"{name}-{i}", ns)}
                if not (is_delegate and "delegate" in route):
                    break
                self.docs.pop()
            if i < n - 1 or self.r.random() < 0.35:
                route["match"] = [self.match(gateway) or {"uri": {"prefix": "/a"}} for _ in range(self.r.choice([1, 1, 2, 3]))]
                self.matches.setdefault(name, []).extend(route["match"])
            out.append(route)
        return out

    def virtual_service(self, name, hosts, gateways, ns="default"):
        http_routes = self.routes(name, ns, bool(gateways), self.r.randint(1, 5))
        spec = {"hosts": hosts, "http": http_routes}
        if gateways:
            spec["gateways"] = gateways
        self.docs.append(doc("VirtualService", name, spec, ns))
        children = [m for r in http_routes if "delegate" in r for m in self.matches.get(r["delegate"]["name"], [])]
        self.matches.setdefault(name, []).extend(children)
        for who, seen in ((SIDECAR, not gateways or "mesh" in gateways), (GATEWAY, bool(gateways))):
            if seen:
                self.hosts[who].append((name, hosts))

    def build(self, upstream_port, log):
        r = self.r
        self.docs += [pod("client", "default", {"app": "client"}, "10.0.0.1"), pod("gw", "edge", {"istio": "ingress"}, "10.0.9.1")]
        self.docs.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "istio", "namespace": "istio-system"},
                          "data": {"mesh": json.dumps({"accessLogFile": log, "accessLogFormat": LOG,
                                                       "pathNormalization": {"normalization": r.choice(
                                                           ["DEFAULT", "NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"])},
                                                       "outboundTrafficPolicy": {"mode": r.choice(["ALLOW_ANY", "REGISTRY_ONLY"])}})}})
        if r.random() < 0.3:
            egress = r.choice([[{"hosts": ["./*"]}], [{"hosts": ["./s1.default.svc.cluster.local", "./*.example.com"]}],
                               [{"port": {"number": 8080, "protocol": "HTTP", "name": "alt"}, "hosts": ["*/*"]}, {"hosts": ["default/*"]}]])
            self.docs.append(doc("Sidecar", "default", {"egress": egress}))
        for i in range(12):
            name = f"s{i}"
            ports = [{"name": "http", "port": 80}] + ([{"name": "http-alt", "port": 8080}] if i % 2 else [])
            self.docs.append({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
                              "spec": {"clusterIP": f"10.1.0.{i + 1}", "clusterIPs": [f"10.1.0.{i + 1}"], "ports": ports, "selector": {"app": name}}})
            versions = [] if i == 11 else ["v1", "v2"]
            for v in versions:  # each version at an address of its own: the pod with this address has the label
                self.docs.append(pod(f"{name}-{v}", "default", {"app": name, "version": v}, f"127.0.{i + 1}.{v[1]}"))
            self.docs.append({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                              "metadata": {"name": f"{name}-1", "namespace": "default", "labels": {"kubernetes.io/service-name": name}},
                              "endpoints": [{"addresses": [f"127.0.{i + 1}.{v[1]}"], "conditions": {"ready": True},
                                             "targetRef": {"kind": "Pod", "name": f"{name}-{v}", "namespace": "default"}} for v in versions],
                              "ports": [{"name": p["name"], "port": upstream_port, "protocol": "TCP"} for p in ports]})
            if i < 6:
                self.docs.append(doc("DestinationRule", name, {"host": name, "subsets": [{"name": v, "labels": {"version": v}} for v in ("v1", "v2")]}))
        for i in range(8):
            self.virtual_service(f"vs-s{i}", [f"s{i}"], r.choice([None, None, ["mesh"], ["mesh", "edge/main"]]))
        for i in range(4):
            self.virtual_service(f"bare-{i}", [f"bare{i}.example.com", f"also{i}.example.net"], r.choice([None, ["mesh", "edge/main"]]))
        for i, host in enumerate(["entry.example.com", "*.entry.example.org"]):
            self.docs.append(doc("ServiceEntry", f"entry-{i}", {
                "hosts": [host], "location": "MESH_INTERNAL", "resolution": "STATIC", "addresses": [f"10.2.0.{i + 1}"],
                "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
                "endpoints": [{"address": "127.0.1.1", "ports": {"http": upstream_port}}]}))
            if r.random() < 0.6:
                self.virtual_service(f"vs-entry-{i}", [host], r.choice([None, ["mesh", "edge/main"]]))
            else:
                self.hosts[SIDECAR].append((f"entry-{i}", [host]))
        self.virtual_service("wild", ["*.example.com"], r.choice([None, ["mesh", "edge/main"]]))
        self.virtual_service("wilder", ["*.a.example.com", "*.example.org"], None)
        for i in range(5):
            self.virtual_service(f"front-{i}", [f"front{i}.example.com"], ["edge/main"])
        self.virtual_service("front-twice", ["front0.example.com"], ["edge/main"])
        self.virtual_service("front-wild", ["*.front.example.com"], ["edge/main"])
        self.virtual_service("front-other", ["front0.example.com"], ["edge/main"], "other")
        self.docs.append(doc("Gateway", "main", {"selector": {"istio": "ingress"}, "servers": [
            {"port": {"number": 8080, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]},
            {"port": {"number": 8081, "name": "http2", "protocol": "HTTP"}, "hosts": ["default/*.front.example.com", "front1.example.com"]},
            {"port": {"number": 8082, "name": "redirect", "protocol": "HTTP"}, "hosts": ["*.example.com"], "tls": {"httpsRedirect": True}},
            {"port": {"number": 8443, "name": "https", "protocol": "HTTPS"}, "hosts": ["front0.example.com", "default/*.front.example.com"],
             "tls": {"mode": "SIMPLE", "credentialName": "one"}},
            {"port": {"number": 8443, "name": "https-too", "protocol": "HTTPS"}, "hosts": ["*.example.com"], "tls": {"mode": "SIMPLE", "credentialName": "two"}},
            {"port": {"number": 8443, "name": "pass", "protocol": "TLS"}, "hosts": ["pass.example.net", "*.pass.example.net"], "tls": {"mode": "PASSTHROUGH"}}]},
                             "edge"))
        self.docs.append(doc("VirtualService", "pass", {"hosts": ["*.example.net"], "gateways": ["edge/main"], "tls": [
            {"match": [{"port": 8443, "sniHosts": [s]}], "route": [{"destination": {"host": f"s{r.randrange(11)}", "port": {"number": 80}}}]}
            for s in ("a.pass.example.net", "*.pass.example.net", "pass.example.net")]}))
        self.tls()
        return self

    def tls(self):
        """TCP and TLS: routes by server name, on a port that is sniffed for nothing else."""
        r = self.r
        for i, host in enumerate(["*.tls.example.com", "one.tls.example.com"]):
            self.docs.append(doc("ServiceEntry", f"tls-{i}", {"hosts": [host], "location": "MESH_EXTERNAL", "resolution": "NONE",
                                                             "ports": [{"number": 9443, "name": "tls", "protocol": "TLS"}]}))
        snis = [["a.tls.example.com"], ["*.b.tls.example.com"], ["*.tls.example.com"]]
        self.docs.append(doc("VirtualService", "tls", {"hosts": ["*.tls.example.com"], "tls": [
            {"match": [{"port": 9443, "sniHosts": s, **({"sourceLabels": {"app": r.choice(["client", "other"])}} if r.random() < 0.3 else {})}],
             "route": [{"destination": {"host": f"s{r.randrange(11)}", "port": {"number": 80}}}]} for s in snis]}))

    # --- requests -------------------------------------------------------------------------------------

    def satisfying(self, m, request):
        """Makes `request` fit a match, mostly."""
        r = self.r
        uri = m.get("uri", {})
        if "exact" in uri:
            request["path"] = uri["exact"]
        elif "prefix" in uri:
            request["path"] = uri["prefix"] + r.choice(["", "x", "/x", "b/c"])
        elif "regex" in uri:
            request["path"] = r.choice(dict(REGEXES)[uri["regex"]])
        if m.get("ignoreUriCase") and r.random() < 0.5:
            request["path"] = request["path"].swapcase()
        for name, v in m.get("headers", {}).items():
            value = v.get("exact", v.get("prefix", r.choice(VALUES[name])))
            request["headers"][name] = value + (r.choice(["", "x"]) if "prefix" in v else "")
        for name, v in m.get("queryParams", {}).items():
            request["query"].append((name, v.get("exact", v.get("prefix", r.choice(QUERIES[name])))))
        if "method" in m:
            request["method"] = r.choice(["GET", "POST", "DELETE"])
        return request

    def host_of(self, hosts):
        r = self.r
        host = r.choice(hosts)
        if host.startswith("*"):
            host = r.choice(["a", "b.c", "a.example"]) + host[1:]
        elif "." not in host:
            host += r.choice(["", ".default", ".default.svc", ".default.svc.cluster.local"])
        x = r.random()
        return host.upper() if x < 0.05 else host + r.choice([":80", ":8080", ":1"]) if x < 0.15 else host

    def request(self, who, port):
        r = self.r
        name, hosts = r.choice(self.hosts[who])
        q = {"path": "/", "headers": {}, "query": [], "method": "GET", "host": self.host_of(hosts), "port": port}
        if r.random() < 0.06:
            q["host"] = r.choice(["nobody.example.com", "s99", "x.y", "front.example.com", "10.1.0.3", "10.2.0.1", "127.0.0.1", "s11", "s9:8080"])
        if self.matches.get(name) and r.random() < 0.85:
            self.satisfying(r.choice(self.matches[name]), q)
        else:
            q["path"] = r.choice(EXACTS + PREFIXES + [p for _, ps in REGEXES for p in ps])
        for n in sorted(VALUES):
            if r.random() < 0.15:
                q["headers"].setdefault(n, r.choice(VALUES[n]))
        if r.random() < 0.1:
            q["path"] = r.choice(["/a/../b/x", "/a/./b", "//a", "/a%2Fb", "/%61", "/a/b/..", "/%2e%2e/a", "/a%5cb", "/a;b", "/b%20c", "/A"])
        if r.random() < 0.1:
            q["query"].append(r.choice([("q", "2"), ("q", "1"), ("lang", "fr"), ("", "x")]))
        if r.random() < 0.05:
            q["headers"]["x-forwarded-proto"] = r.choice(["https", "http"])
        if r.random() < 0.06:
            q["method"] = "OPTIONS"
            q["headers"].update({"origin": r.choice(["https://good.example.com", "https://evil.example.com"]), "access-control-request-method": "GET"})
        if r.random() < 0.03:
            q["headers"]["content-type"] = "application/grpc"
            q["method"] = "POST"
        if port == 8443:
            sni = q["host"].rsplit(":", 1)[0].lower()
            q["sni"] = r.choice(["front0.example.com", "x.front.example.com", "front3.example.com", "no.example.org"]) if r.random() < 0.1 else sni
            q["headers"].pop("x-forwarded-proto", None)
        if q["query"]:
            q["path"] += "?" + "&".join(f"{k}={v}" for k, v in q["query"])
        return q


# --- the real thing -----------------------------------------------------------------------------------

class Upstream(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle(self):
        if self.connection.recv(1, socket.MSG_PEEK) != b"\x16":  # a client hello just ends the connection
            super().handle()

    def do(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.requestline.split()[1]  # self.path has its leading slashes merged
        body = json.dumps({"path": path, "host": self.headers["Host"]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = do_OPTIONS = do

    def log_message(self, *args):
        pass


class Quiet(http.server.ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # a client hello is no HTTP: the TLS requests end so


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def certificate(folder):
    """One for every name: who is who is not what is asked here."""
    crt, key = os.path.join(folder, "crt.pem"), os.path.join(folder, "key.pem")
    if not os.path.exists(crt):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=oracle",
                        "-keyout", key, "-out", crt], check=True, capture_output=True)
    return {"certificate_chain": {"filename": crt}, "private_key": {"filename": key}}


def without_sds(node, cert):
    """Nobody serves secrets here: listeners get a file instead, clusters speak plaintext."""
    if isinstance(node, dict):
        if node.pop("tls_certificate_sds_secret_configs", None):
            node["tls_certificates"] = [cert]
        for v in node.values():
            without_sds(v, cert)
    elif isinstance(node, list):
        for v in node:
            without_sds(v, cert)


class Envoy:
    """An Envoy with everything that a proxy gets, its wanted listeners bound to ports of their own: self.ports[service port]."""

    def __init__(self, folder, who, wanted):
        self.folder, self.who = folder, who
        command = [COXCTL, "render", "-f", os.path.join(folder, "in.json"), "--proxy", who, "--class", "upstream"]
        done = subprocess.run(command + ["--router" if who == GATEWAY else "--no-sds"], capture_output=True, text=True)
        assert done.returncode == 0 and "error: " not in done.stderr, done.stderr
        rendered = json.loads(done.stdout)
        listeners, self.ports = {}, {}
        for name, l in rendered["LDS"].items():
            at = l["address"]["socket_address"]
            if at["port_value"] in wanted and at["address"] == "0.0.0.0":
                self.ports[at["port_value"]] = free_port()
                at.update(address="127.0.0.1", port_value=self.ports[at["port_value"]])
                l.pop("bind_to_port", None)
                listeners[name] = l
        without_sds(listeners, certificate(folder))
        rendered["LDS"] = listeners
        for name, c in rendered["CDS"].items():
            c.pop("transport_socket_matches", None)
            c.pop("transport_socket", None)
            if c.get("type") == "EDS":
                c["type"] = "STATIC"
                c.pop("eds_cluster_config")
                c["load_assignment"] = envoy_check.bare(rendered["EDS"].get(name, {"cluster_name": name}))
        rendered.pop("EDS", None)
        rendered.setdefault("RDS", {})
        self.admin = free_port()
        config = envoy_check.bootstrap(rendered)
        config["static_resources"]["listeners"] = [l for l in config["static_resources"]["listeners"] if not l["name"].startswith("check ")]
        config.pop("dynamic_resources")
        config["admin"] = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": self.admin}}}
        path = os.path.join(folder, who + ".bootstrap.json")
        with open(path, "w") as f:
            json.dump(config, f, indent=1)
        self.log_path = os.path.join(folder, who + ".log")
        self.log = open(self.log_path, "w")
        self.process = subprocess.Popen([envoy_check.ENVOY, "-c", path, "-l", "warning", "--use-dynamic-base-id", "--concurrency", "1",
                                         "--file-flush-interval-msec", "50"], stdout=self.log, stderr=self.log)
        deadline = time.time() + 60
        while True:
            with open(self.log_path) as f:
                assert self.process.poll() is None and time.time() < deadline, f.read()
            try:
                for port in list(self.ports.values()) + [self.admin]:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)

    def dump(self):
        c = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=30)
        c.request("GET", "/config_dump?include_eds")
        path = os.path.join(self.folder, self.who + ".dump.json")
        with open(path, "wb") as f:
            f.write(c.getresponse().read())
        return path

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()


def ask(connection, q, ident):
    connection.putrequest(q["method"], q["path"], skip_host=True, skip_accept_encoding=True)
    connection.putheader("Host", q["host"])
    for k, v in q["headers"].items():
        connection.putheader(k, v)
    connection.putheader("x-oracle-id", ident)
    if q["method"] in ("POST", "DELETE"):
        connection.putheader("Content-Length", "0")
    connection.endheaders()
    r = connection.getresponse()
    body = r.read().decode(errors="replace")
    return {"status": r.status, "location": r.headers.get("location"), "body": body}


def connect(q):
    if "sni" not in q:
        return http.client.HTTPConnection("127.0.0.1", q["bound"], timeout=30)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    c = http.client.HTTPConnection("127.0.0.1", q["bound"], timeout=30)
    c.sock = context.wrap_socket(socket.create_connection(("127.0.0.1", q["bound"]), 30), server_hostname=q["sni"])
    return c


def send_all(requests):
    """Sends each to its port; four connections' worth at a time."""
    todo, out = queue.Queue(), {}
    for i, q in enumerate(requests):
        todo.put((i, q))

    def work():
        connections = {}
        while True:
            try:
                i, q = todo.get_nowait()
            except queue.Empty:
                return
            for attempt in (0, 1):
                try:
                    to = (q["bound"], q.get("sni"))
                    if to not in connections:
                        connections[to] = connect(q)
                    out[i] = ask(connections[to], q, f"id-{i}")
                    break
                except (http.client.HTTPException, OSError) as e:
                    connections.pop(to, None)
                    out[i] = {"status": 0, "error": repr(e), "body": "", "location": None}
    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return out


def hello(port, sni):
    """A client hello with this server name; the address it came from."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=sni)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    s = socket.create_connection(("127.0.0.1", port), 10)
    name = "%s:%d" % s.getsockname()
    s.sendall(outgoing.read())
    s.settimeout(5)
    try:
        while s.recv(4096):
            pass
    except OSError:
        pass
    s.close()
    return name


def explain(folder, envoy, lines):
    with open(os.path.join(folder, "ask.jsonl"), "w") as f:
        f.writelines(json.dumps(line) + "\n" for line in lines)
    done = subprocess.run([COXCTL, "explain", "route", "--from", envoy.who, "-f", os.path.join(folder, "in.json"), "--class", "upstream",
                           "--config-dump", envoy.dump(), "--batch", os.path.join(folder, "ask.jsonl")], capture_output=True, text=True)
    assert done.returncode == 0, f"exit {done.returncode} after {len(done.stdout.splitlines())} of {len(lines)}: {done.stderr}"
    return [json.loads(line) for line in done.stdout.splitlines()]


def log_read(path, want):
    """{id: (cluster, status, flags)} once all are in; TCP connections by the client's address."""
    deadline, rows = time.time() + 20, {}
    while time.time() < deadline:
        rows = {}
        if os.path.exists(path):
            with open(path) as f:
                for line in f:
                    if line.endswith("\n"):
                        peer, ident, cluster, status, flags = line[:-1].split("\t")
                        rows[ident if ident != "-" else peer] = (cluster.rstrip(";"), int(status), flags)
        if want <= rows.keys():
            return rows
        time.sleep(0.05)
    return rows


def several(status, cluster, flags, shares):
    """A weighted route took one of its destinations: a live one, one without endpoints, or one that is not there."""
    if "NC" in flags:
        return None if any(not c["exists"] for c in shares.values()) else "cluster"
    if status == 200 and "UH" not in flags:  # gRPC hears of trouble with 200, too
        return None if cluster in shares and shares[cluster]["exists"] else "cluster"
    return None if "UH" in flags and cluster in shares and not any(e["usable"] for e in shares[cluster].get("endpoints", [])) else "status"


def compare(q, real, row, said):
    """What is different, or None."""
    if row is None:  # nothing was ever a request
        is_closed = any(word in real.get("error", "") for word in ("EOF", "Reset", "reset", "Broken"))
        return None if said["outcome"] == "noFilterChain" and is_closed else "no line in the access log"
    cluster, status, flags = row
    outcome = said["outcome"]
    if said.get("cluster") == "PassthroughCluster" == cluster:
        return None  # nothing was redirected here, so there is no original destination to go to
    shares = {c["name"]: c for c in said["outbound"].get("clusters", []) if c["percent"] > 0}
    if outcome in ("forward", "noUpstream", "noCluster") and len(shares) > 1:
        return several(status, cluster, flags, shares)
    if outcome == "forward":
        if real["status"] != 200 or said.get("cluster") != cluster:
            return "cluster"
        if not real["body"].startswith("{"):
            return None
        action, got = said["outbound"].get("action", {}), json.loads(real["body"])
        want = {"path": action.get("path", said["outbound"]["path"]), "host": action.get("authority", q["host"])}
        return None if got["path"] == want["path"] and got["host"] == want["host"] else f"upstream got {got}, wanted {want}"
    if said.get("status") != status:
        return "status"
    if outcome in ("noUpstream", "noCluster"):
        if outcome == "noCluster":  # Envoy does not log the name of a cluster that it does not have
            return None if "NC" in flags else "flags"
        return None if said["cluster"] == cluster and "UH" in flags else "cluster"
    if outcome == "fault":
        return None if "FI" in flags else "flags"
    if outcome == "redirect" and said["outbound"]["action"]["location"] != real["location"]:
        return "location"
    is_grpc = q["headers"].get("content-type") == "application/grpc"  # answered in trailers, without a body
    if outcome == "directResponse" and not is_grpc and said["outbound"].get("action", {}).get("body", "") != real["body"]:
        return "body"
    if outcome == "noRoute" and "NR" not in flags:
        return "flags"
    return None


def run_proxy(world, folder, log, who, wanted, count):
    """Returns (requests, disagreements, outcomes)."""
    envoy = Envoy(folder, who, wanted)
    try:
        http_ports = [p for p in sorted(envoy.ports) if p != 9443]
        requests = [world.request(who, world.r.choice(http_ports)) for _ in range(count)]
        for q in requests:
            q["bound"] = envoy.ports[q["port"]]
        real = send_all(requests)
        lines = [{"to": f"{'https' if 'sni' in q else 'http'}://{q['host']}{q['path']}", "sni": q.get("sni", ""), "method": q["method"], "headers": [f"{k}: {v}" for k, v in q["headers"].items()],
                  "address": f"127.0.0.1:{q['bound']}"} for q in requests]
        snis, tls_port = [], 9443 if 9443 in envoy.ports else 8443
        if who == GATEWAY:
            snis = [world.r.choice(["pass.example.net", "a.pass.example.net", "b.pass.example.net", "A.PASS.example.net"]) for _ in range(max(2, count // 40))]
        elif 9443 in envoy.ports:
            snis = [world.r.choice(["a.tls.example.com", "x.b.tls.example.com", "b.tls.example.com", "one.tls.example.com", "A.TLS.example.com",
                                    "other.example.com", "q.r.b.tls.example.com"]) for _ in range(max(2, count // 20))]
        peers = [hello(envoy.ports[tls_port], sni) for sni in snis]
        lines += [{"to": f"tls://{sni}:{tls_port}", "address": f"127.0.0.1:{envoy.ports[tls_port]}"} for sni in snis]
        rows = log_read(log, {f"id-{i}" for i in range(count) if real[i]["status"]} | set(peers))
        answers = explain(folder, envoy, lines)
    finally:
        envoy.stop()
    assert len(answers) == count + len(snis)
    # Envoy's own dump says the same as what was rendered, so that fields can be named.
    assert not [n for a in answers for n in a.get("notes", []) if "is not what the objects give now" in n]
    bad, outcomes = [], collections.Counter(a["outcome"] for a in answers)
    for i, q in enumerate(requests):
        row = rows.get(f"id-{i}")
        why = compare(q, real[i], row, answers[i])
        if why:
            bad.append({"who": who, "why": why, "request": q, "real": real[i], "log": row, "said": answers[i]})
    for sni, peer, said in zip(snis, peers, answers[count:]):
        row = rows.get(peer)
        if row is None or row[0] != said.get("cluster"):
            bad.append({"who": who, "why": "cluster of a TLS connection", "request": sni, "log": row, "said": said})
    return len(answers), bad, outcomes


def run(seed, count, folder):
    """One world, a sidecar and a gateway, `count` requests to each."""
    server = Quiet(("0.0.0.0", 0), Upstream)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    total, bad, outcomes = 0, [], collections.Counter()
    try:
        for who, wanted in ((SIDECAR, {80, 8080, 9443}), (GATEWAY, {8080, 8081, 8082, 8443})):
            log = os.path.join(folder, who + ".access")
            world = World(seed).build(server.server_address[1], log)
            with open(os.path.join(folder, "in.json"), "w") as f:
                json.dump({"apiVersion": "v1", "kind": "List", "items": world.docs}, f, indent=1)
            n, wrong, seen = run_proxy(world, folder, log, who, wanted, count)
            total, bad, outcomes = total + n, bad + wrong, outcomes + seen
    finally:
        server.shutdown()
        server.server_close()
    return total, bad, outcomes


def main():
    args = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    args.add_argument("--seeds", default="1-10", help="first-last, or one")
    args.add_argument("--requests", type=int, default=200, help="to each of the two proxies of a seed")
    args.add_argument("--keep", help="a directory for what disagreed")
    a = args.parse_args()
    first, _, last = a.seeds.partition("-")
    total, bad, outcomes, began = 0, 0, collections.Counter(), time.time()
    for seed in range(int(first), int(last or first) + 1):
        with tempfile.TemporaryDirectory() as folder:
            n, wrong, seen = run(seed, a.requests, folder)
            total, bad, outcomes = total + n, bad + len(wrong), outcomes + seen
            print(f"seed {seed}: {n} requests, {len(wrong)} disagreements", flush=True)
            for w in wrong[:5]:
                print(json.dumps({k: w[k] for k in ("who", "why", "request", "log")}), "said", w["said"]["outcome"], w["said"].get("status"), w["said"].get("cluster"), w["said"].get("why"), flush=True)
            if a.keep and wrong:
                kept = os.path.join(a.keep, f"seed-{seed}")
                os.makedirs(kept, exist_ok=True)
                for name in os.listdir(folder):
                    os.rename(os.path.join(folder, name), os.path.join(kept, name))
                with open(os.path.join(kept, "bad.json"), "w") as f:
                    json.dump(wrong, f, indent=1)
    print(f"{total} requests in {time.time() - began:.0f} s; outcomes {dict(outcomes)}")
    print(f"oracle: {total - bad} passed, {bad} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
