"""A gateway of stock Envoy, authenticated by a certificate of coxswaind's own CA, that gets its secrets over the stream that it has.

covers: a113 a114 a115 a119 a120 a121 a122 a124 a125 a98 c34
"""
import base64
import re
import socket
import ssl
import threading
import time

import grpc
import pytest

import citadel
import meshtls
from coxswain import Coxswaind
from meshtls import ask, client_context, is_refused, until

NS = "edge"


def secret(name, ns=NS, **data):
    items = "".join(f"  {k}: {base64.b64encode(v.encode()).decode()}\n" for k, v in data.items())
    return f"apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: {ns}}}\ndata:\n{items}"


def pair_secret(name, pair, **more):
    return secret(name, **{"tls.crt": pair.text("cert"), "tls.key": pair.text("key"), **more})


def gateway(port, plain, tls_port):
    def server(name, host, tls):
        return f"  - {{port: {{number: {port}, name: {name}, protocol: HTTPS}}, hosts: [{host}], tls: {tls}}}\n"
    return f"""apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: gw, namespace: {NS}}}
spec:
  selector: {{istio: ingress}}
  servers:
""" + server("simple", "simple.example.com", "{mode: SIMPLE, credentialName: simple}") \
        + server("other", "other.example.com", "{mode: SIMPLE, credentialName: other, minProtocolVersion: TLSV1_3}") \
        + server("mutual", "mutual.example.com", "{mode: MUTUAL, credentialName: mutual}") \
        + server("names", "names.example.com", "{mode: MUTUAL, credentialName: mutual, subjectAltNames: [allowed.example.com]}") \
        + server("optional", "optional.example.com", "{mode: OPTIONAL_MUTUAL, credentialName: mutual, caCertCredentialName: configmap://edge/client-ca}") \
        + server("untrusted", "untrusted.example.com", "{mode: MUTUAL, credentialName: simple, insecureSkipVerify: true}") \
        + server("untrusted-ca", "untrusted-ca.example.com", "{mode: MUTUAL, credentialName: simple, caCertCredentialName: configmap://edge/client-ca, insecureSkipVerify: true}") \
        + server("far", "far.example.com", "{mode: SIMPLE, credentialName: kubernetes-gateway://other/simple}") + f"""\
  - {{port: {{number: {port}, name: pass, protocol: TLS}}, hosts: [pass.example.com], tls: {{mode: PASSTHROUGH}}}}
  - {{port: {{number: {plain}, name: http, protocol: HTTP}}, hosts: ["*"], tls: {{httpsRedirect: true}}}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: all, namespace: {NS}}}
spec:
  hosts: ["*"]
  gateways: [gw]
  http:
  - match: [{{uri: {{prefix: /upstream-tls}}}}]
    route: [{{destination: {{host: secure.example.com, port: {{number: 443}}}}}}]
  - route: [{{destination: {{host: app.example.com, port: {{number: 80}}}}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: pass, namespace: {NS}}}
spec:
  hosts: [pass.example.com]
  gateways: [gw]
  tls:
  - match: [{{port: {port}, sniHosts: [pass.example.com]}}]
    route: [{{destination: {{host: secure.example.com, port: {{number: 443}}}}}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: secure, namespace: {NS}}}
spec:
  host: secure.example.com
  trafficPolicy:
    portLevelSettings:
    - {{port: {{number: 8443}}, tls: {{mode: DISABLE}}}}
""", tls_port


def entry(name, number, protocol, port):
    return f"""---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: {NS}}}
spec:
  hosts: [{name}.example.com]
  location: MESH_EXTERNAL
  resolution: STATIC
  endpoints: [{{address: 127.0.0.1, ports: {{p: {port}}}}}]
  ports: [{{number: {number}, name: p, protocol: {protocol}}}]
"""


class TlsApp:
    """A backend that speaks TLS and wants a certificate of the authority, if given one."""

    def __init__(self, pair, client_ca=None):
        self.ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ctx.load_cert_chain(pair.cert, pair.key)
        if client_ca:
            self.ctx.verify_mode = ssl.CERT_REQUIRED
            self.ctx.load_verify_locations(client_ca)
        self.app = meshtls.App("127.0.0.1", 0, "secure")
        self.app.server.socket = self.ctx.wrap_socket(self.app.server.socket, server_side=True)
        self.port, self.close = self.app.port, self.app.close


class Edge:
    NAMES = {"simple": ["simple", "untrusted", "untrusted-ca"], "other": ["other"], "mutual": ["mutual", "names", "optional"]}

    def leaf(self, name):
        return self.servers.leaf(*[n + ".example.com" for n in self.NAMES[name]])

    def __init__(self, tmp):
        self.tmp = tmp
        self.servers, self.clients = meshtls.Authority(tmp, "servers"), meshtls.Authority(tmp, "clients")
        self.port, self.plain = meshtls.free_port(), meshtls.free_port()
        self.app = meshtls.App("127.0.0.1", 0)
        self.secure = TlsApp(self.servers.leaf("secure.example.com", "pass.example.com"))
        self.pairs = {n: self.leaf(n) for n in self.NAMES}
        issuer = citadel.Issuer(tmp)
        self.cox = Coxswaind(self.files(), env={"JWT_RULE": issuer.rule})
        self.cox.wait_ready()
        with grpc.insecure_channel(f"127.0.0.1:{self.cox.grpc_port}") as plain:
            key = citadel.Key(tmp, "gateway")
            chain = citadel.create(plain, key.csr(), issuer.token(ns=NS, sa="gw"))
        (tmp / "gateway.crt").write_text("".join(chain[:-1]))
        (tmp / "mesh-root.crt").write_text(chain[-1])
        self.xds_tls = {"common_tls_context": {
            "tls_certificates": [{"certificate_chain": {"filename": str(tmp / "gateway.crt")}, "private_key": {"filename": key.path}}],
            "validation_context": {"trusted_ca": {"filename": str(tmp / "mesh-root.crt")}}}, "sni": "istiod.istio-system.svc"}
        self.tls_port = self.cox._port("ads listening over TLS")
        self.envoy = self.start()

    def start(self, port=None, tls=True, name="gw-0", **kw):
        return meshtls.Envoy(self.tmp, name, NS, "127.0.0.1", port or self.tls_port, kind="router", labels={"istio": "ingress"}, account="gw",
                             xds_tls=self.xds_tls if tls else None, **kw)

    def files(self):
        text, _ = gateway(self.port, self.plain, 0)
        ca = "".join("    " + line + "\n" for line in open(self.clients.cert).read().splitlines())
        return {"gateway.yaml": text + entry("app", 80, "HTTP", self.app.port) + entry("secure", 443, "TLS", self.secure.port),
                "simple.yaml": pair_secret("simple", self.pairs["simple"]), "other.yaml": pair_secret("other", self.pairs["other"]),
                "mutual.yaml": self.mutual_secret(), "far.yaml": secret("simple", "other", **{"tls.crt": self.pairs["simple"].text("cert"), "tls.key": self.pairs["simple"].text("key")}),
                "ca.yaml": f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: client-ca, namespace: {NS}}}\ndata:\n  ca.crt: |\n{ca}"}

    def mutual_secret(self, **more):
        with open(self.clients.cert) as f:
            return pair_secret("mutual", self.pairs["mutual"], **{"ca.crt": f.read(), **more})

    def ask(self, name, pair=None, path="/"):
        host = name + ".example.com"
        return ask("127.0.0.1", self.port, path, tls=client_context(self.servers.cert, pair, check_name=True), sni=host)

    def works(self, *args):
        try:
            return self.ask(*args)[0] == 200
        except OSError:
            return False

    def refuses(self, name, pair=None):
        return is_refused("127.0.0.1", self.port, tls=client_context(self.servers.cert, pair), sni=name + ".example.com")

    def serial(self, name):
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as s, \
                client_context(self.servers.cert, check_name=True).wrap_socket(s, server_hostname=name + ".example.com") as t:
            return t.getpeercert()["serialNumber"]

    def close(self):
        self.envoy.close()
        self.cox.stop()
        self.app.close()
        self.secure.close()


@pytest.fixture(scope="module")
def edge(tmp_path_factory):
    e = Edge(tmp_path_factory.mktemp("edge"))
    try:
        until(lambda: e.works("simple"), "the gateway serves")
        yield e
    finally:
        e.close()


def test_server_names(edge):
    """Each host shows its own certificate; a name that no server has, and one whose secret may not be had, get no connection."""
    assert edge.ask("simple")[0] == 200 and edge.ask("other")[0] == 200 and edge.serial("simple") != edge.serial("other")
    assert edge.refuses("nobody") and edge.refuses("far")


def test_client_certificates(edge):
    """MUTUAL refuses none and a stranger's; names of the client count; OPTIONAL_MUTUAL takes none, but no wrong one."""
    good, stranger = edge.clients.leaf("allowed.example.com"), edge.servers.leaf("allowed.example.com")
    other = edge.clients.leaf("not-allowed.example.com")
    assert edge.ask("mutual", good)[0] == 200 and "allowed.example.com" in edge.ask("mutual", good)[1]["xfcc"]
    assert edge.refuses("mutual") and edge.refuses("mutual", stranger)
    assert edge.ask("names", good)[0] == 200 and edge.refuses("names", other)
    assert edge.ask("optional")[0] == 200 and edge.ask("optional", good)[0] == 200 and edge.refuses("optional", stranger)
    assert edge.ask("untrusted", stranger)[0] == 200
    assert edge.ask("untrusted-ca", stranger)[0] == 200 and edge.refuses("untrusted-ca")  # none at all: Envoy can refuse where it knows an authority


def test_versions(edge):
    """minProtocolVersion."""
    ctx = client_context(edge.servers.cert)
    ctx.maximum_version = ssl.TLSVersion.TLSv1_2
    assert ask("127.0.0.1", edge.port, tls=ctx, sni="simple.example.com")[0] == 200
    assert is_refused("127.0.0.1", edge.port, tls=ctx, sni="other.example.com")


def test_redirect_and_passthrough(edge):
    status, _ = ask("127.0.0.1", edge.plain, header="simple.example.com")
    assert status == 301
    status, body = edge.ask("pass")  # the backend's own TLS
    assert status == 200 and body["app"] == "secure"


def test_change_without_a_failed_request(edge):
    """A certificate is replaced, again and again, while requests run on new connections: none fails, and the new ones are seen."""
    failed, seen, ended, requests = [], set(), threading.Event(), [0, 0]

    def load(me):
        while not ended.is_set():
            try:
                assert edge.ask("simple")[0] == 200
                requests[me] += 1
                seen.add(edge.serial("simple"))
            except (OSError, AssertionError) as e:
                failed.append(repr(e))

    threads = [threading.Thread(target=load, args=(me,)) for me in range(2)]
    for t in threads:
        t.start()
    try:
        until(lambda: edge.pairs["simple"].serial() in seen, "the first certificate is shown")
        for turn in range(8):
            until(lambda: sum(requests) >= 25 * turn, "requests run")
            edge.pairs["simple"] = edge.leaf("simple")
            edge.cox.write("simple.yaml", pair_secret("simple", edge.pairs["simple"]))
            until(lambda: edge.pairs["simple"].serial() in seen, "the new certificate is shown")
    finally:
        ended.set()
        for t in threads:
            t.join()
    assert not failed and len(seen) >= 9 and sum(requests) >= 175, (failed[:3], len(seen), requests)


def test_broken_and_deleted(edge):
    """A key of another certificate, and no Secret at all, take nothing away; each is said once."""
    before, errors = edge.serial("other"), edge.cox.metric("pilot_sds_certificate_errors_total")
    wrong = meshtls.Pair(edge.pairs["other"].cert, edge.pairs["simple"].key, "")
    edge.cox.write("other.yaml", pair_secret("other", wrong))
    until(lambda: edge.cox.metric("pilot_sds_certificate_errors_total") == errors + 1, "the broken secret is counted")
    assert edge.cox.metric("coxswain_secrets_invalid") == 1
    until(lambda: "the private key is not that of the certificate; the last good version stays in force" in edge.cox.log_text(), "the finding")
    assert edge.serial("other") == before
    edge.cox.remove("other.yaml")
    until(lambda: 'secret is not there workload=gw-0.edge secret="kubernetes://other" (what it said last is served on)' in edge.cox.log_text(), "the line")
    assert edge.serial("other") == before
    edge.pairs["other"] = edge.leaf("other")
    edge.cox.write("other.yaml", pair_secret("other", edge.pairs["other"]))
    until(lambda: edge.serial("other") != before, "the new one")
    assert edge.cox.metric("coxswain_secrets_invalid") == 0


def test_revoked_client(edge):
    """A list in the Secret takes effect live. covers: a121"""
    bad, good = edge.clients.leaf("bad.example.com"), edge.clients.leaf("good.example.com")
    assert edge.ask("mutual", bad)[0] == 200
    config = edge.tmp / "ca.cnf"
    config.write_text(f"[ca]\ndefault_ca=d\n[d]\ndatabase={edge.tmp}/index.txt\ncrlnumber={edge.tmp}/crlnumber\ndefault_md=sha256\ndefault_crl_days=5\n")
    (edge.tmp / "index.txt").write_text("")
    (edge.tmp / "crlnumber").write_text("01\n")
    ca = ["-config", config, "-cert", edge.clients.cert, "-keyfile", edge.clients.key]
    meshtls.openssl("ca", *ca, "-revoke", bad.cert)
    meshtls.openssl("ca", *ca, "-gencrl", "-out", edge.tmp / "list.crl")
    edge.cox.write("mutual.yaml", edge.mutual_secret(**{"ca.crl": (edge.tmp / "list.crl").read_text()}))
    until(lambda: edge.refuses("mutual", bad), "the revoked client is refused")
    assert edge.ask("mutual", good)[0] == 200
    edge.cox.write("mutual.yaml", edge.mutual_secret())
    until(lambda: edge.works("mutual", bad), "without a list it is taken")


def test_client_credentials_of_a_rule(edge):
    """The gateway shows a certificate of a Secret to a backend that wants one. covers: a98"""
    backend = TlsApp(edge.servers.leaf("secure.example.com"), edge.clients.cert)
    try:
        client = edge.clients.leaf("gateway.example.com")
        with open(edge.servers.cert) as f:
            edge.cox.write("client.yaml", pair_secret("client", client, **{"ca.crt": f.read()}))
        edge.cox.write("origin.yaml", entry("origin", 443, "HTTP", backend.port) + f"""---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: origin, namespace: {NS}}}
spec:
  host: origin.example.com
  trafficPolicy: {{tls: {{mode: MUTUAL, credentialName: client, sni: secure.example.com, subjectAltNames: [secure.example.com]}}}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: origin, namespace: {NS}}}
spec:
  hosts: [simple.example.com]
  gateways: [gw]
  http:
  - match: [{{uri: {{prefix: /origin}}}}]
    route: [{{destination: {{host: origin.example.com}}}}]
  - route: [{{destination: {{host: app.example.com, port: {{number: 80}}}}}}]
""")
        status, body = until(lambda: (lambda r: r if r[0] == 200 and r[1]["app"] == "secure" else None)(edge.ask("simple", None, "/origin")), "the backend answers")
        assert body["path"] == "/origin"
    finally:
        edge.cox.remove("origin.yaml")
        until(lambda: edge.works("simple"), "back")
        backend.close()


def test_clear_text_gets_nothing(edge):
    """The same gateway without credentials: listeners, but no secret; the page and the log say why."""
    with edge.start(edge.cox.grpc_port, tls=False, name="gw-clear") as clear:
        until(lambda: "gw-clear" in str(edge.cox.json("/debug/syncz")), "it is connected")
        page = until(lambda: [w for w in edge.cox.json("/debug/secretz") if w["workload"] == "gw-clear.edge"] or None, "it is listed")
        assert page[0]["verified"] is False and not any(s["served"] for s in page[0]["secrets"])
        assert "not authenticated" in page[0]["secrets"][0]["state"]
        assert 'secret is not sent: the proxy is not authenticated' in edge.cox.log_text()
        time.sleep(0.3)
        assert "kubernetes://" not in str([c for c in clear.get("/config_dump").split("dynamic_active_secrets")[1:]])


def test_no_key_is_ever_shown(edge):
    """Dumps of coxswaind and its log have certificates, and no private key."""
    dump = edge.cox.get("/debug/config_dump?proxyID=gw-0.edge")[1].decode()
    served = [w for w in edge.cox.json("/debug/secretz") if w["workload"] == "gw-0.edge"][0]
    assert {s["name"]: s["served"] for s in served["secrets"]}["kubernetes://simple"] is True
    assert served["verified"] is True and served["serviceAccount"] == "gw"
    assert "kubernetes://simple" in dump and "W3JlZGFjdGVkXQ==" in dump
    keys = [p.text("key") for p in edge.pairs.values()]
    for text in (dump, edge.cox.log_text(), edge.cox.get("/debug/secretz")[1].decode(), edge.cox.get("/debug/configz")[1].decode()):
        assert "PRIVATE KEY" not in text
        for key in keys:
            assert key not in text and base64.b64encode(key.encode()).decode() not in text
            assert not re.search(re.escape(key.splitlines()[1][:40]), text)
