"""Certificates and xDS over TLS, as agents use them: grpcio, the openssl program, tokens of an issuer of the test's own.

covers: c16 c17 c20 c21 c22 c23 c25 c26 c27 g2 g45
"""
import datetime
import re
import socket
import ssl
import time

import grpc
import pytest

import citadel
from coxswain import CDS, LDS, Coxswaind, Stream, node

MESH = """
apiVersion: v1
kind: Namespace
metadata: {name: default}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {clusterIP: 10.96.1.1, ports: [{name: http, port: 80}]}
"""


class World:
    def __init__(self, directory, issuer, daemon):
        self.dir, self.issuer, self.c = directory, issuer, daemon
        self.plain = grpc.insecure_channel(f"127.0.0.1:{daemon.grpc_port}")
        self.key = citadel.Key(directory)
        self.chain = citadel.create(self.plain, self.key.csr(), issuer.token())
        self.root = self.chain[-1]
        self.tls_port = daemon._port("ads listening over TLS")

    def secure(self, with_cert=True, **kw):
        return citadel.secure_channel(self.tls_port, self.root, *((self.key, self.chain) if with_cert else ()), **kw)


@pytest.fixture(scope="module")
def issuer(tmp_path_factory):
    return citadel.Issuer(tmp_path_factory.mktemp("issuer"))


def start(tmp_path, issuer, env=None, args=()):
    return Coxswaind({"mesh.yaml": MESH}, env={"JWT_RULE": issuer.rule, "DEFAULT_WORKLOAD_CERT_TTL": "2h", "MAX_WORKLOAD_CERT_TTL": "10h", **(env or {})}, args=args)


@pytest.fixture(scope="module")
def world(tmp_path_factory, issuer):
    d = tmp_path_factory.mktemp("world")
    with start(d, issuer) as c:
        yield World(d, issuer, c.wait_ready())


def lifetime(text):
    found = [datetime.datetime.strptime(re.search(rf"{w}\s*: (.*) GMT", text).group(1), "%b %d %H:%M:%S %Y") for w in ("Not Before", "Not After ?")]
    return found[0], (found[1] - found[0]).total_seconds()


# --- certificates -----------------------------------------------------------------------------------------------


def test_certificate(world):
    """The identity is the token's, whatever the request says; the chain verifies; the lifetime is what was asked for."""
    text = citadel.verify(world.dir, world.chain)
    assert "URI:spiffe://cluster.local/ns/default/sa/web" in text and "anybody" not in text
    begins, seconds = lifetime(text)
    assert seconds == 7200 + 120
    assert abs((datetime.datetime.utcnow() - begins).total_seconds() - 120) < 30
    chain = citadel.create(world.plain, world.key.csr("spiffe://cluster.local/ns/kube-system/sa/admin"), world.issuer.token(sa="other"), seconds=3600)
    text = citadel.verify(world.dir, chain)
    assert re.findall(r"URI:\S+", text) == ["URI:spiffe://cluster.local/ns/default/sa/other"]
    assert lifetime(text)[1] == 3600 + 120
    assert world.c.metric("citadel_server_success_cert_issuance_count") >= 2
    assert "identity=\"spiffe://cluster.local/ns/default/sa/other\"" in world.c.log_text()


@pytest.mark.parametrize("kind", ["ec", "2048", "4096"])
def test_keys(world, tmp_path, kind):
    key = citadel.Key(tmp_path, kind=kind)
    chain = citadel.create(world.plain, key.csr(), world.issuer.token())
    citadel.verify(tmp_path, chain)
    public = citadel.openssl("pkey", "-in", key.path, "-pubout")
    assert citadel.openssl("x509", "-noout", "-pubkey", data=chain[0].encode()) == public


def test_tokens_refused(world, tmp_path):
    csr, good = world.key.csr(), world.issuer
    stranger = citadel.Issuer(tmp_path, kid="one")
    unauthenticated = grpc.StatusCode.UNAUTHENTICATED
    before = world.c.metric("citadel_server_authentication_failure_count")
    cases = [
        (None, "bearer token: none"),
        ("junk", "not three parts"),
        (good.token(seconds=-60), "expired"),
        (good.token(nbf=int(time.time()) + 300), "valid in"),
        (good.token(aud=["vault"]), "the token is for \"vault\""),
        (good.token(iss="https://else.test"), "issuer \"https://else.test\""),
        (good.token(sub="alice"), "subject \"alice\""),
        (good.token(ns="Bad_Ns"), "is no namespace"),
        (good.token(ns="../x"), "is not spiffe://"),
        (stranger.token(), "the signature is not by key \"one\""),
        (good.token(header={"kid": "two"}), "no key \"two\""),
        (good.token(header={"alg": "none"}), "not signed"),
        (good.token(header={"alg": "HS256"}), "HS256 are not accepted"),
        (good.token(header={"crit": ["b64"], "b64": False}), "critical"),
        (good.token()[:-8] + "AAAAAAAA", "the signature is not by"),
    ]
    for token, text in cases:
        citadel.refused(world.plain, csr, unauthenticated, text, token=token)
    assert world.c.metric("citadel_server_authentication_failure_count") == before + len(cases)
    assert "certificate refused" in world.c.log_text() and "reason=authentication" in world.c.log_text()


def test_requests_refused(world, tmp_path):
    token, invalid = world.issuer.token(), grpc.StatusCode.INVALID_ARGUMENT
    csr = world.key.csr()
    other = citadel.Key(tmp_path, "other").csr()
    lines, strange = csr.splitlines(), other.splitlines()
    spliced = "\n".join(lines[:-2] + strange[-2:]) + "\n"  # the signature's end is another's
    before = world.c.metric("citadel_server_csr_parsing_err_count")
    for text in ("", "x", csr[:200], spliced, citadel.Key(tmp_path, "weak", 1024).csr(), world.chain[0], "x" * 100000):
        citadel.refused(world.plain, text, invalid, token=token)
    assert world.c.metric("citadel_server_csr_parsing_err_count") == before + 7
    citadel.refused(world.plain, csr, invalid, "more than the maximum", token=token, seconds=10 * 3600 + 1)
    citadel.refused(world.plain, csr, grpc.StatusCode.RESOURCE_EXHAUSTED, token=token + "", metadata={"x": "y" * (10 << 20)})
    citadel.refused(world.plain, csr, grpc.StatusCode.UNAUTHENTICATED, "may not act for others", token=token,
                    metadata={"ImpersonatedIdentity": "spiffe://cluster.local/ns/default/sa/admin"})
    citadel.create(world.plain, csr, token)


def test_renewal_with_certificate(world, tmp_path):
    """No token at all: the certificate of the connection."""
    key = citadel.Key(tmp_path)
    chain = citadel.create(world.secure(), key.csr(), None)
    assert "URI:spiffe://cluster.local/ns/default/sa/web" in citadel.verify(tmp_path, chain)
    citadel.refused(world.secure(with_cert=False), key.csr(), grpc.StatusCode.UNAUTHENTICATED, "client certificate: none")
    chain = citadel.create(world.secure(with_cert=False), key.csr(), world.issuer.token())
    citadel.verify(tmp_path, chain)


def test_foreign_certificate(world, tmp_path):
    """A certificate by another CA, with a name of our mesh: no connection."""
    with start(tmp_path, world.issuer) as other:
        key = citadel.Key(tmp_path)
        chain = citadel.create(grpc.insecure_channel(f"127.0.0.1:{other.wait_ready().grpc_port}"), key.csr(), world.issuer.token())
    channel = citadel.secure_channel(world.tls_port, world.root, key, chain)
    citadel.refused(channel, key.csr(), grpc.StatusCode.UNAVAILABLE, timeout=5)


def test_xfcc(world):
    """From loopback a gateway's word counts, of its last element only."""
    header = "URI=spiffe://cluster.local/ns/kube-system/sa/admin,Hash=1;URI=spiffe://cluster.local/ns/default/sa/vm"
    chain = citadel.create(world.plain, world.key.csr(), headers=[("x-forwarded-client-cert", header)])
    assert "URI:spiffe://cluster.local/ns/default/sa/vm" in citadel.describe(chain[0])
    citadel.refused(world.plain, world.key.csr(), grpc.StatusCode.UNAUTHENTICATED, "trust domain \"evil\"",
                    headers=[("x-forwarded-client-cert", "URI=spiffe://evil/ns/default/sa/vm")])


# --- the serving certificate --------------------------------------------------------------------------------------


def served(port, roots):
    context = ssl.create_default_context(cadata=roots)
    context.check_hostname = False
    context.set_alpn_protocols(["h2"])
    with socket.create_connection(("127.0.0.1", port), 10) as s, context.wrap_socket(s) as t:
        return ssl.DER_cert_to_PEM_cert(t.getpeercert(True))


def test_serving_names(tmp_path, issuer):
    with start(tmp_path, issuer, {"ISTIOD_CUSTOM_HOST": "mesh.example.com"}, ["--revision", "canary"]) as c:
        w = World(tmp_path, issuer, c.wait_ready())
        text = citadel.describe(served(w.tls_port, w.root))
        names = re.findall(r"DNS:([^,\s]+)", text)
        assert sorted(names) == sorted(["istiod.istio-system.svc", "istiod-remote.istio-system.svc", "istio-pilot.istio-system.svc", "istiod-canary.istio-system.svc", "mesh.example.com"])
        citadel.create(w.secure(name="mesh.example.com"), w.key.csr())


def test_serving_files(tmp_path, issuer):
    """A certificate from files; another pair put there is served without a restart; a broken pair is not."""
    def put(cn, broken=False):
        key = citadel.Key(tmp_path, "tls")
        citadel.openssl("req", "-x509", "-key", key.path, "-subj", f"/CN={cn}", "-days", "2", "-addext", "subjectAltName=DNS:istiod.istio-system.svc", "-out", str(tmp_path / "tls.crt"))
        if broken:
            citadel.Key(tmp_path, "tls")
        return (tmp_path / "tls.crt").read_text()
    first = put("first")
    with start(tmp_path, issuer, args=["--tlsCertFile", str(tmp_path / "tls.crt"), "--tlsKeyFile", str(tmp_path / "tls.key")]) as c:
        w = World(tmp_path, issuer, c.wait_ready())
        assert "CN = first" in citadel.describe(served(w.tls_port, first))
        put("second", broken=True)
        deadline = time.time() + 10
        while "the old one stays" not in c.log_text() and time.time() < deadline:
            time.sleep(0.05)
        assert "CN = first" in citadel.describe(served(w.tls_port, first))
        third = put("third")
        while "serving certificate read" not in c.log_text().split("the old one stays")[-1] and time.time() < deadline:
            time.sleep(0.05)
        assert "CN = third" in citadel.describe(served(w.tls_port, third))
        # the mesh's own certificates still prove who a client is
        channel = citadel.secure_channel(w.tls_port, third, w.key, w.chain)
        citadel.create(channel, w.key.csr())


def test_half_open(world):
    """Connections that never finish their handshake hold up nobody and are ended."""
    idle = [socket.create_connection(("127.0.0.1", world.tls_port), 10) for _ in range(60)]
    for s in idle[::2]:
        s.sendall(b"\x16\x03\x01\x02\x00")  # the head of a ClientHello
    began = time.time()
    for _ in range(5):
        citadel.create(world.secure(), world.key.csr())
    assert time.time() - began < 8
    for s in idle:
        s.settimeout(30)
        assert s.recv(1) == b""  # ended by the server, after 10 s
        s.close()


# --- xDS ---------------------------------------------------------------------------------------------------------------


def ended(stream, code, text):
    with pytest.raises(grpc.RpcError) as e:
        stream.request(CDS)
        stream.next(CDS, 15)
    assert e.value.code() == code and text in e.value.details(), (e.value.code(), e.value.details())


@pytest.mark.parametrize("delta", [True, False])
def test_xds_with_certificate(world, delta):
    with Stream(0, node(SERVICE_ACCOUNT="web"), delta, world.secure()) as s:
        assert any("web.default" in n for n in s.fetch(CDS))
        assert s.fetch(LDS)


def test_xds_with_token(world):
    channel = world.secure(with_cert=False)
    plugin = grpc.access_token_call_credentials(world.issuer.token())
    credentials = grpc.composite_channel_credentials(grpc.ssl_channel_credentials(world.root.encode()), plugin)
    channel = grpc.secure_channel(f"127.0.0.1:{world.tls_port}", credentials, options=[("grpc.ssl_target_name_override", "istiod.istio-system.svc")])
    with Stream(0, node(), True, channel) as s:
        assert s.fetch(CDS)
    channel.close()


def test_xds_refused(world):
    denied, unauthenticated = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED
    before = world.c.metric("coxswain_xds_streams_refused")
    with Stream(0, node(), True, world.secure(with_cert=False)) as s:
        ended(s, unauthenticated, "client certificate: none")
    with Stream(0, node(ns="kube-system"), True, world.secure()) as s:
        ended(s, denied, "spiffe://cluster.local/ns/default/sa/web may not be proxy")
    with Stream(0, node(SERVICE_ACCOUNT="admin"), False, world.secure()) as s:
        ended(s, denied, "with service account \"admin\"")
    # metadata NAMESPACE is what counts, not the id
    with Stream(0, node(ns="default", NAMESPACE="kube-system"), True, world.secure()) as s:
        ended(s, denied, "of namespace \"kube-system\"")
    assert world.c.metric("coxswain_xds_streams_refused") == before + 4
    assert "reason=identity" in world.c.log_text()


def test_xds_many_requests_at_once(world):
    """What comes before the caller is known is kept and answered in order."""
    with Stream(0, node(), True, world.secure()) as s:
        s.request(CDS)
        s.request(LDS)
        assert {s.next().type_url, s.next().type_url} == {CDS, LDS}


@pytest.mark.parametrize("env, plain, tls", [
    ({}, True, False), ({"XDS_AUTH": "false"}, True, True), ({"XDS_AUTH_PLAINTEXT": "true"}, False, False),
    ({"XDS_AUTH": "false", "XDS_AUTH_PLAINTEXT": "true"}, True, True)])
def test_xds_switches(tmp_path, issuer, env, plain, tls):
    with start(tmp_path, issuer, env) as c:
        w = World(tmp_path, issuer, c.wait_ready())
        for channel, is_open in ((w.plain, plain), (w.secure(with_cert=False), tls)):
            with Stream(0, node(), True, channel) as s:
                if is_open:
                    assert s.fetch(CDS)
                else:
                    ended(s, grpc.StatusCode.UNAUTHENTICATED, "bearer token: none")


def test_identity_check_off(tmp_path, issuer):
    with start(tmp_path, issuer, {"PILOT_ENABLE_XDS_IDENTITY_CHECK": "false"}) as c:
        w = World(tmp_path, issuer, c.wait_ready())
        with Stream(0, node(ns="kube-system"), True, w.secure()) as s:
            assert s.fetch(CDS)


def test_bad_settings(tmp_path, issuer):
    import subprocess
    from coxswain import BUILD
    for env, args, text in (({"JWT_RULE": "{"}, [], "JWT_RULE"), ({"TRUSTED_GATEWAY_CIDR": "x"}, [], "TRUSTED_GATEWAY_CIDR"), ({"CA_TRUSTED_NODE_ACCOUNTS": "x"}, [], "CA_TRUSTED_NODE_ACCOUNTS"),
                            ({}, ["--tlsCertFile", "/x"], "--tlsKeyFile"), ({}, ["--tlsCertFile", "/x", "--tlsKeyFile", "/y"], "/x")):
        r = subprocess.run([f"{BUILD}/coxswaind", "discovery", "--configDir", str(tmp_path), "--grpcAddr", "127.0.0.1:0", "--secureGRPCAddr", "127.0.0.1:0", "--httpAddr", "", "--monitoringAddr", "",
                            *args], env=env, capture_output=True, text=True, timeout=30)
        assert r.returncode in (1, 2) and text in r.stderr, r.stderr


def test_revocation(tmp_path, issuer):
    """A revoked identity: its streams end, its certificate opens no connection, and it gets no new one; others go on. And back."""
    import subprocess
    from coxswain import BUILD
    state = tmp_path / "ca"
    state.mkdir(mode=0o700)

    def coxctl(*args):
        r = subprocess.run([f"{BUILD}/coxctl", "cert", *args, "--caDir", str(state)], capture_output=True, text=True, timeout=30)
        assert r.returncode == 0, r.stderr
        return r.stdout
    with start(tmp_path, issuer, args=["--caDir", str(state)]) as c:
        w = World(tmp_path, issuer, c.wait_ready())
        other = citadel.Key(tmp_path, "other")
        kept = citadel.create(w.plain, other.csr(), issuer.token(sa="other"))
        web = "spiffe://cluster.local/ns/default/sa/web"
        with Stream(0, node(), True, w.secure()) as revoked, Stream(0, node(), True, citadel.secure_channel(w.tls_port, w.root, other, kept)) as fine:
            assert revoked.fetch(CDS) and fine.fetch(CDS)
            deadline = time.time() + 20  # the list is written in batches
            while web not in coxctl("list") and time.time() < deadline:
                time.sleep(0.2)
            coxctl("revoke", "--identity", web, "--reason", "stolen")
            began = time.time()
            with pytest.raises(grpc.RpcError) as e:
                revoked.next(LDS, 10)
            assert e.value.code() == grpc.StatusCode.PERMISSION_DENIED and time.time() - began < 5
            assert fine.fetch(LDS)
        citadel.refused(w.plain, w.key.csr(), grpc.StatusCode.PERMISSION_DENIED, token=issuer.token())
        with Stream(0, node(), True, w.plain) as s:
            assert s.fetch(CDS)  # clear text, without authentication
        while "crl=yes" not in c.log_text() and time.time() < deadline:
            time.sleep(0.1)
        citadel.refused(w.secure(), w.key.csr(), grpc.StatusCode.UNAVAILABLE, timeout=5)  # by the list, in the handshake
        citadel.create(citadel.secure_channel(w.tls_port, w.root, other, kept), other.csr())
        assert "reason=revoked" in c.log_text()
        coxctl("unrevoke", "--identity", web)
        deadline = time.time() + 10
        while True:
            try:
                citadel.create(w.plain, w.key.csr(), issuer.token())
                break
            except grpc.RpcError:
                assert time.time() < deadline
                time.sleep(0.2)
