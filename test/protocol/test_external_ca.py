"""A coxswaind whose CA is another one that speaks the same gRPC API: it checks who asks, the other one signs.

covers: c7 c18
"""
import os
import subprocess
import time

import grpc
import pytest

import citadel
from coxswain import BUILD, Coxswaind
from test_identity import MESH

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
WEB = "spiffe://cluster.local/ns/default/sa/web"


@pytest.fixture(scope="module")
def issuer(tmp_path_factory):
    return citadel.Issuer(tmp_path_factory.mktemp("issuer"))


def start_ca(issuer, authorities="istio-system/edge", port=0):
    return Coxswaind({"mesh.yaml": MESH}, env={"JWT_RULE": issuer.rule, "DEFAULT_WORKLOAD_CERT_TTL": "2h", "MAX_WORKLOAD_CERT_TTL": "10h", "COXSWAIN_CA_TRUSTED_AUTHORITIES": authorities},
                     args=["--secureGRPCAddr", f"127.0.0.1:{port}"])


class Edge:
    """B, and what it is told of A."""

    def __init__(self, d, issuer, port, root, **env):
        self.files = {"token": issuer.token(ns="istio-system", sa="edge"), "root.pem": root}
        for name, text in self.files.items():
            with open(os.path.join(str(d), name), "w") as f:
                f.write(text + "\n")
        self.daemon = Coxswaind({"mesh.yaml": MESH}, args=["--secureGRPCAddr", ""], env={
            "JWT_RULE": issuer.rule, "EXTERNAL_CA": "grpc", "EXTERNAL_CA_ADDR": f"127.0.0.1:{port}", "EXTERNAL_CA_SERVER_NAME": "istiod.istio-system.svc",
            "EXTERNAL_CA_ROOT": os.path.join(str(d), "root.pem"), "EXTERNAL_CA_TOKEN_FILE": os.path.join(str(d), "token"), "COXSWAIN_EXTERNAL_CA_TIMEOUT": "5s", **env})

    def __enter__(self):
        self.c = self.daemon.__enter__().wait_ready()
        self.plain = grpc.insecure_channel(f"127.0.0.1:{self.c.grpc_port}")
        return self

    def __exit__(self, *exc):
        self.plain.close()
        self.daemon.__exit__(*exc)


def root_of(c):
    return c.json("/debug/certz")["roots"]


def test_forwarded(issuer, tmp_path):
    """Key, identity and lifetime are the caller's, the root is A's; B makes no key and forks nobody. covers: c7"""
    with start_ca(issuer) as a:
        a.wait_ready()
        key = citadel.Key(tmp_path)
        with grpc.insecure_channel(f"127.0.0.1:{a.grpc_port}") as direct:
            root = citadel.create(direct, key.csr(), issuer.token())[-1]
        with Edge(tmp_path, issuer, a._port("ads listening over TLS"), root) as b:
            chain = citadel.create(b.plain, key.csr(WEB), issuer.token(), seconds=3600)
            text = citadel.verify(tmp_path, chain)
            assert f"URI:{WEB}" in text and chain[-1].split() == root.split()
            assert citadel.openssl("x509", "-noout", "-pubkey", data=chain[0].encode()) == citadel.openssl("pkey", "-in", key.path, "-pubout")
            assert f"identity=\"{WEB}\"" in a.log_text() and "by spiffe://cluster.local/ns/istio-system/sa/edge" in a.log_text()
            assert root_of(b.c) == root_of(a)
            with open(f"/proc/{b.c.process.pid}/task/{b.c.process.pid}/children") as f:
                assert f.read().split() == []
            # Names in the CSR are not read by this kind of CA; who calls is what counts.
            other = citadel.create(b.plain, key.csr(), issuer.token(sa="other"))
            assert "URI:spiffe://cluster.local/ns/default/sa/other" in citadel.describe(other[0])
            citadel.refused(b.plain, key.csr(), grpc.StatusCode.INVALID_ARGUMENT, "more than the maximum", token=issuer.token(), seconds=11 * 3600)
            citadel.refused(b.plain, key.csr(), grpc.StatusCode.UNAUTHENTICATED, token="junk")


def test_away_and_back(issuer, tmp_path):
    """A is gone: Unavailable; it is back, with its root: signed again, over a new connection. covers: c7"""
    state = str(tmp_path / "state")
    key = citadel.Key(tmp_path)

    def ca(port=0):
        return Coxswaind({"mesh.yaml": MESH}, env={"JWT_RULE": issuer.rule, "COXSWAIN_CA_TRUSTED_AUTHORITIES": "istio-system/edge"},
                         args=["--caDir", state, "--secureGRPCAddr", f"127.0.0.1:{port}"])
    with ca() as a:
        a.wait_ready()
        port = a._port("ads listening over TLS")
        with grpc.insecure_channel(f"127.0.0.1:{a.grpc_port}") as direct:
            root = citadel.create(direct, key.csr(), issuer.token())[-1]
        edge = Edge(tmp_path, issuer, port, root)
        edge.__enter__()
        citadel.create(edge.plain, key.csr(), issuer.token())
    try:
        citadel.refused(edge.plain, key.csr(), UNAVAILABLE, token=issuer.token())
        with ca(port) as a:
            a.wait_ready()
            a._port("ads listening over TLS")
            for attempt in range(100):
                try:
                    chain = citadel.create(edge.plain, key.csr(), issuer.token())
                    break
                except grpc.RpcError as e:
                    assert e.code() == UNAVAILABLE and attempt < 99, e
                    edge.c.get("/ready")
                    time.sleep(0.1)
            assert chain[-1].split() == root.split()
    finally:
        edge.__exit__(None, None, None)


def test_not_trusted(issuer, tmp_path):
    """A does not trust B with others' identities, or B does not know A's root: no certificate, and the reason. covers: c7"""
    key = citadel.Key(tmp_path)
    with start_ca(issuer, authorities="istio-system/somebody") as a, start_ca(issuer) as other:
        a.wait_ready(), other.wait_ready()
        roots = []
        for c in (a, other):
            with grpc.insecure_channel(f"127.0.0.1:{c.grpc_port}") as direct:
                roots.append(citadel.create(direct, key.csr(), issuer.token())[-1])
        port = a._port("ads listening over TLS")
        with Edge(tmp_path, issuer, port, roots[0]) as b:
            citadel.refused(b.plain, key.csr(), grpc.StatusCode.INTERNAL, "may not act for others", token=issuer.token())
        with Edge(tmp_path, issuer, port, roots[1]) as b:
            citadel.refused(b.plain, key.csr(), UNAVAILABLE, "certificate", token=issuer.token())


@pytest.mark.parametrize("env,args,text", [
    ({"EXTERNAL_CA": "vault"}, [], "EXTERNAL_CA: \"vault\" is not"),
    ({"EXTERNAL_CA": "ISTIOD_RA_KUBERNETES_API", "K8S_SIGNER": "a.example/b"}, [], "needs a kube-apiserver"),
    ({"EXTERNAL_CA": "grpc", "EXTERNAL_CA_ADDR": "127.0.0.1:1"}, [], "--tlsCertFile and --tlsKeyFile are needed"),
    ({"EXTERNAL_CA": "grpc"}, ["--secureGRPCAddr", ""], "needs EXTERNAL_CA_ADDR"),
    ({"EXTERNAL_CA": "grpc", "EXTERNAL_CA_ADDR": "127.0.0.1:1"}, ["--secureGRPCAddr", ""], "needs EXTERNAL_CA_TOKEN_FILE"),
])
def test_settings_refused(tmp_path, env, args, text):
    r = subprocess.run([os.path.join(BUILD, "coxswaind"), "discovery", "--configDir", str(tmp_path), "--grpcAddr", "", "--httpAddr", "", "--monitoringAddr", "", *args],
                       env={**os.environ, **env}, capture_output=True, text=True, timeout=20)
    assert r.returncode == 1 and text in r.stderr, r.stderr
