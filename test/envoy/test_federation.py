"""Two trust domains with a coxswaind each: bundles fetched from SPIFFE endpoints, and what real Envoys make of them.

covers: a216 c12
"""
import base64
import http.client
import json
import os
import ssl
import subprocess
import time
import urllib.error
import urllib.request

import grpc
import pytest

import citadel
import meshtls
from agentlab import Agent, eventually, free_port
from coxswain import BUILD, Coxswaind, Stream, node
from meshtls import ask
from test_agent_identity import Envoy, Mesh
from test_mtls import objects, policy
from tinyca import BUNDLE, PCDS, ProxyConfig, Root, TrustBundle

SERVER_IP = "127.0.0.11"
MESH = ["istio-http/1.1", "istio", "http/1.1"]


def mesh_config(domain, roots=()):
    entries = json.dumps(list(roots))
    return ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |\n"
            f"    trustDomain: {domain}\n    caCertificates: {entries}\n")


class Domain:
    """A coxswaind with a CA of its own, which serves its bundle."""

    def __init__(self, tmp, name, issuer, app_port=1):
        self.name, self.issuer, self.dir = name, issuer, tmp / name
        self.dir.mkdir()
        self.app_port = app_port
        self.trusted = self.dir / "endpoints.pem"
        self.trusted.write_text("")
        self.files = {"mesh.yaml": mesh_config(name), "shop.yaml": objects(app_port, free_port()), "policy.yaml": policy("STRICT")}
        self.start()

    def start(self):
        env = {"JWT_RULE": self.issuer.rule, "ISTIOD_CUSTOM_HOST": "localhost", "COXSWAIN_SPIFFE_BUNDLE_ADDR": "127.0.0.1:0", "COXSWAIN_ROTATION_SETTLE_MS": "0",
               "COXSWAIN_SPIFFE_BUNDLE_CA_FILE": str(self.trusted), "COXSWAIN_SPIFFE_BUNDLE_REFRESH_MS": "300"}
        self.c = Coxswaind(self.files, env=env, args=["--caDir", str(self.dir / "ca")])
        self.c.wait_ready()
        self.tls_port = self.c._port("ads listening over TLS")
        self.url = f"https://localhost:{self.c._port('spiffe bundle endpoint listening')}/"

    def certificate(self, sa):
        """A client's, with its chain and this domain's root."""
        key = citadel.Key(self.dir, sa)
        with grpc.insecure_channel(f"127.0.0.1:{self.c.grpc_port}") as plain:
            chain = citadel.create(plain, key.csr(), self.issuer.token("shop", sa))
        path = self.dir / f"{sa}.crt"
        path.write_text("".join(chain[:-1]))
        return meshtls.Pair(path, key.path, self.root_file(chain[-1]))

    def root_file(self, pem):
        path = self.dir / "root.pem"
        path.write_text(pem)
        return path

    def roots(self):
        return [c["serial"] for c in self.c.json("/debug/certz")["roots"]]

    def bundle(self, ca):
        with urllib.request.urlopen(self.url, context=ssl.create_default_context(cafile=ca), timeout=5) as r:
            return json.load(r)

    def told(self, kind, message):
        """The one resource of a type that agents get."""
        with Stream(self.c.grpc_port, node(), True) as s:
            s.request(kind)
            return message.FromString(s.next(kind, 10).resources[0].resource.value)


@pytest.fixture(scope="module")
def issuer(tmp_path_factory):
    return citadel.Issuer(tmp_path_factory.mktemp("issuer"))


@pytest.fixture
def two(tmp_path, issuer):
    app = meshtls.App("127.0.0.1", 0)
    a, b = Domain(tmp_path, "a.example", issuer, app.port), Domain(tmp_path, "b.example", issuer)
    yield a, b
    a.c.stop()
    b.c.stop()
    app.close()


def test_endpoint(two):
    """Over TLS, as JWK with one certificate each, which is the root; the key's numbers are the certificate's; another method is no way in."""
    a, _ = two
    pair = a.certificate("web")
    got = a.bundle(pair.ca)
    assert got["spiffe_refresh_hint"] == 300 and got["spiffe_sequence"] > 0
    (key,) = got["keys"]
    assert (key["use"], key["kty"], key["crv"]) == ("x509-svid", "EC", "P-256") and len(key["x5c"]) == 1
    pem = ssl.DER_cert_to_PEM_cert(base64.b64decode(key["x5c"][0]))
    assert pem.strip() == open(pair.ca).read().strip()
    public = citadel.openssl("x509", "-noout", "-pubkey", data=pem.encode())
    raw = citadel.openssl("pkey", "-pubin", "-outform", "DER", data=public)
    assert citadel.b64url(raw[-64:-32]) == key["x"] and citadel.b64url(raw[-32:]) == key["y"]
    with pytest.raises(urllib.error.HTTPError) as e:
        urllib.request.urlopen(urllib.request.Request(a.url, method="DELETE"), context=ssl.create_default_context(cafile=pair.ca), timeout=5)
    assert e.value.code in (404, 405)


def test_two_domains(two):
    """Before: refused. Then taken. Over B's rotation its new root comes by itself; B's silence takes nothing away."""
    a, b = two
    client_b, client_a = b.certificate("client"), a.certificate("client")
    app_port = a.app_port
    with Agent(f"127.0.0.1:{a.tls_port}", open(client_a.ca).read(), token=a.issuer.token("shop", "web"),
               env={"POD_NAME": "web-0", "POD_NAMESPACE": "shop", "INSTANCE_IP": SERVER_IP, "SERVICE_ACCOUNT": "web", "TRUST_DOMAIN": "a.example",
                    "ISTIO_META_INTERCEPTION_MODE": "NONE", "ISTIO_METAJSON_LABELS": '{"app": "web"}'}) as agent:
        envoy = Envoy(agent)
        try:
            def works(pair):
                try:
                    got = ask(SERVER_IP, app_port, tls=meshtls.client_context(client_a.ca, pair, MESH))
                except (OSError, http.client.HTTPException):
                    return None
                return got[1]["xfcc"] if got[0] == 200 else None
            eventually(lambda: works(client_a), 20, "the server works")
            assert not works(client_b)
            a.trusted.write_text(open(client_b.ca).read())
            a.c.write("mesh.yaml", mesh_config("a.example", [{"spiffeBundleUrl": b.url, "trustDomains": ["b.example"]}]))
            assert "URI=spiffe://b.example/ns/shop/sa/client" in eventually(lambda: works(client_b), 20, "a client of the other domain")
            assert works(client_a)
            told = {d.name: len(d.roots_pem) for d in a.told(BUNDLE, TrustBundle).trust_domains}
            assert told == {"a.example": 1, "b.example": 1}
            assert len(a.told(PCDS, ProxyConfig).ca_certificates_pem) == 2

            before = b.roots()
            done = subprocess.run([os.path.join(BUILD, "coxctl"), "cert", "rotate-root", "--caDir", str(b.dir / "ca")], capture_output=True, text=True)
            assert done.returncode == 0, done
            eventually(lambda: b.roots() != before and len(b.roots()) == 1, 30, "B has another root")
            new = b.certificate("late")
            a.trusted.write_text(open(new.ca).read())
            eventually(lambda: works(new), 20, "a client under B's new root")
            eventually(lambda: not works(client_b), 20, "the old root is gone")

            b.c.stop()
            eventually(lambda: "cannot be fetched" in a.c.log_text(), 20)
            time.sleep(1)
            assert works(new) and works(client_a)
        finally:
            envoy.stop()


def test_an_authority_speaks_for_its_own_domain_alone():
    """The other domain's authority signs an identity of ours: a list of roots would take it, trust domains do not."""
    other = Root("other")

    def refused(m, root, uri):
        key, cert = root.pair(f"URI:{uri}")
        pair = meshtls.Pair(os.path.join(root.dir, "x.crt"), os.path.join(root.dir, "x.key"), "")
        root.write("x.crt", cert)
        root.write("x.key", key)
        return meshtls.is_refused("127.0.0.1", m.inner, tls=meshtls.client_context(None, pair))

    ours, forged = "spiffe://cluster.local/ns/default/sa/x", "spiffe://cluster.local/ns/default/sa/admin"
    with Mesh() as m:
        assert not refused(m, m.root, ours) and refused(m, other, forged)
        m.planes[0].bundle(2, [m.root, other])
        eventually(lambda: not refused(m, other, forged), 20, "a list of roots takes it")
        m.planes[0].bundle(3, [m.root], domains={"cluster.local": [m.root], "other.example": [other]})
        eventually(lambda: refused(m, other, forged), 20, "refused")
        assert not refused(m, m.root, ours) and m.ask()[0] == 200
        assert not m.planes[0].nacks(BUNDLE)
