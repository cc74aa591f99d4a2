"""A real Envoy that gets its configuration over 15012, with a client certificate from the CSR service.

covers: c26 g2
"""
import grpc
import pytest

import citadel
from coxswain import Coxswaind
from test_section20 import Envoy, service, until


def socket(directory, key, chain, roots):
    for name, text in (("chain.pem", "".join(chain[:-1])), ("roots.pem", roots)):
        (directory / name).write_text(text)
    return {"name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", "sni": "istiod.istio-system.svc",
        "common_tls_context": {
            "tls_certificates": [{"certificate_chain": {"filename": str(directory / "chain.pem")}, "private_key": {"filename": key.path}}],
            "validation_context": {"trusted_ca": {"filename": str(directory / "roots.pem")},
                                   "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": "istiod.istio-system.svc"}}]}}}}


@pytest.fixture
def mesh(tmp_path):
    issuer = citadel.Issuer(tmp_path)
    with Coxswaind({"a.yaml": service("a", "10.96.0.1")}, env={"JWT_RULE": issuer.rule}) as c:
        c.wait_ready()
        yield c, issuer, grpc.insecure_channel(f"127.0.0.1:{c.grpc_port}"), c._port("ads listening over TLS")


def test_envoy_with_its_certificate(mesh, tmp_path):
    c, issuer, plain, port = mesh
    key = citadel.Key(tmp_path)
    chain = citadel.create(plain, key.csr(), issuer.token(sa="sidecar"))
    e = Envoy(port, "sidecar", tmp_path, xds_socket=socket(tmp_path, key, chain, chain[-1]), SERVICE_ACCOUNT="sidecar")
    try:
        until(lambda: any(n.endswith("|a.default.svc.cluster.local") for n in e.clusters()), "clusters over TLS")
        until(lambda: e.stat("listener_manager.lds.update_success") >= 1, "listeners over TLS")
        assert e.stat("cluster.xds-grpc.ssl.handshake") >= 1
    finally:
        e.stop()


def test_envoy_of_another_account_stays_without(mesh, tmp_path):
    c, issuer, plain, port = mesh
    key = citadel.Key(tmp_path)
    chain = citadel.create(plain, key.csr(), issuer.token(sa="thief"))
    e = Envoy(port, "sidecar", tmp_path, xds_socket=socket(tmp_path, key, chain, chain[-1]), SERVICE_ACCOUNT="sidecar")
    try:
        until(lambda: "reason=identity" in c.log_text(), "refused")
        assert not e.clusters() and e.stat("cluster_manager.cds.update_success") == 0
    finally:
        e.stop()


def test_envoy_that_trusts_another_root_stays_without(mesh, tmp_path):
    c, issuer, plain, port = mesh
    key = citadel.Key(tmp_path)
    chain = citadel.create(plain, key.csr(), issuer.token(sa="sidecar"))
    citadel.openssl("req", "-x509", "-key", key.path, "-subj", "/O=other", "-days", "2", "-out", str(tmp_path / "other.pem"))
    e = Envoy(port, "sidecar", tmp_path, xds_socket=socket(tmp_path, key, chain, (tmp_path / "other.pem").read_text()))
    try:
        until(lambda: e.stat("cluster.xds-grpc.ssl.fail_verify_error") >= 1, "refused by Envoy")
        assert not e.clusters()
    finally:
        e.stop()
