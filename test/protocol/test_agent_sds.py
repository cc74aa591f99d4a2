"""cox-agent's certificate and its secrets for Envoy, against a CA with faults and a client that speaks as Envoy does.
covers: i3 i4 i5 c29 c30 c31 c32 c33"""
import os
import socket
import subprocess
import sys
import time

import grpc
import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from agentlab import Agent, Stream, eventually  # noqa: E402
from tinyca import CsrResponse, Plane, Root, openssl  # noqa: E402


@pytest.fixture(scope="module")
def other_root():
    return Root("second")


@pytest.fixture()
def plane():
    with Plane() as p:
        yield p


def agent_for(plane, **more):
    return Agent(f"127.0.0.1:{plane.port}", plane.root.pem, **more)


def chain_of(secret):
    return secret.tls_certificate.certificate_chain.inline_bytes.decode()


def serial_of(pem):
    return openssl("x509", "-noout", "-serial", data=pem.encode()).strip()


@pytest.mark.parametrize("delta", [False, True])
def test_certificate_and_roots(plane, delta):
    """The key fits, the chain verifies, the request says who asks, and TLS names the control plane."""
    with agent_for(plane, env={"ISTIO_META_CLUSTER_ID": "west", "CA_HEADER_X_TEST": "yes"}) as a, Stream(a.sds, "sds", delta) as s:
        s.send(names=["default", "ROOTCA"])
        got = {}
        while set(got) != {"default", "ROOTCA"}:
            some, m = s.secrets()
            s.ack(m, ["default", "ROOTCA"])
            got.update(some)
        assert got["ROOTCA"].validation_context.trusted_ca.inline_bytes.decode() == plane.root.pem
        assert not got["ROOTCA"].validation_context.HasField("crl")
        chain, key = chain_of(got["default"]), got["default"].tls_certificate.private_key.inline_bytes
        assert openssl("pkey", "-pubout", data=key) == openssl("x509", "-pubkey", "-noout", data=chain.encode())
        assert "EC PRIVATE KEY" in key.decode() and "prime256v1" in openssl("ec", "-text", "-noout", data=key)
        call = plane.csrs[0]
        assert call["meta"]["authorization"] == "Bearer token-1" and call["meta"]["clusterid"] == "west" and call["meta"]["x_test"] == "yes"
        assert call["ttl"] == 86400
        text = openssl("req", "-text", "-noout", "-verify", data=call["csr"].encode())
        assert "URI:spiffe://cluster.local/ns/default/sa/default" in text
        if delta:
            s.send(names=["ROOTCA"])  # asked for again: sent again
            assert set(s.secrets()[0]) == {"ROOTCA"}
        s.none()


@pytest.mark.parametrize("env,head,kind", [
    ({"ECC_SIGNATURE_ALGORITHM": "ECDSA", "ECC_CURVE": "P384", "PKCS8_KEY": "true"}, "-----BEGIN PRIVATE KEY", "secp384r1"),
    ({"WORKLOAD_RSA_KEY_SIZE": "2048"}, "-----BEGIN RSA PRIVATE KEY", "2048 bit"),
])
def test_kinds_of_keys(plane, env, head, kind):
    with agent_for(plane, env=env) as a, Stream(a.sds, "sds") as s:
        s.send(names=["default"])
        key = s.secrets()[0]["default"].tls_certificate.private_key.inline_bytes
        assert key.decode().startswith(head) and kind in openssl("pkey", "-text", "-noout", data=key)


def test_other_environment(plane):
    """SECRET_TTL, the signer's name, the trust domain and a token of the first party."""
    env = {"SECRET_TTL": "1h", "ISTIO_META_CERT_SIGNER": "signer-7", "TRUST_DOMAIN": "td.example", "JWT_POLICY": "first-party-jwt"}
    with agent_for(plane, env=env, token=None, start=False) as a:
        os.makedirs(os.path.join(a.secrets, "kubernetes.io/serviceaccount"))
        a._write("kubernetes.io/serviceaccount/token", "first-party\n")
        a.start()
        a.wait_log("certificate in force")
    call = plane.csrs[0]
    assert call["ttl"] == 3600 and call["meta"]["authorization"] == "Bearer first-party"
    assert "spiffe://td.example/ns/default/sa/default" in openssl("req", "-text", "-noout", data=call["csr"].encode())


def test_wrong_environment_is_refused(plane):
    for env in ({"SECRET_TTL": "soon"}, {"ECC_CURVE": "P1"}, {"ECC_SIGNATURE_ALGORITHM": "RSA"}, {"WORKLOAD_RSA_KEY_SIZE": "512"}, {"SECRET_GRACE_PERIOD_RATIO": "7"},
                {"CA_ADDR": "nowhere"}, {"WORKLOAD_IDENTITY_SOCKET_FILE": "../x"}, {"TRUST_DOMAIN": "Not A Domain"}):
        with agent_for(plane, env=env) as a:
            assert a.process.wait(10) == 1
            assert next(iter(env)) in a.log(), a.log()


def test_renewal_with_a_new_token(plane):
    """At the grace ratio, each time with the token of that moment; a subscriber gets each certificate once."""
    plane.ttl_s, plane.token = 8, "token-1"
    with agent_for(plane, env={"SECRET_GRACE_PERIOD_RATIO": "0.75"}) as a, Stream(a.sds, "sds") as s:
        s.send(names=["default"])
        first, m = s.secrets()
        s.ack(m)
        a.write_token("token-2")
        plane.token = "token-2"
        second, m = s.secrets()
        s.ack(m)
        assert serial_of(chain_of(first["default"])) != serial_of(chain_of(second["default"]))
        gap = plane.csrs[1]["at"] - plane.csrs[0]["at"]
        assert 1.5 < gap < 6, gap  # a quarter of 8 s, and what the machine takes


def test_a_failed_renewal_takes_nothing_away(plane):
    """Refusals, nonsense and silence while the certificate is valid: it stays, and the next good answer is taken."""
    plane.ttl_s = 6
    with agent_for(plane, env={"SECRET_GRACE_PERIOD_RATIO": "0.8"}) as a, Stream(a.sds, "sds") as s:
        s.send(names=["default"])
        first, m = s.secrets()
        s.ack(m)
        plane.ttl_s = 3600
        plane.faults = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.INTERNAL]
        with Stream(a.sds, "sds") as t:
            eventually(lambda: len(plane.csrs) >= 3, 20)
            t.send(names=["default"])
            assert chain_of(t.secrets()[0]["default"]) == chain_of(first["default"])
        second, m = s.secrets(20)
        s.ack(m)
        assert serial_of(chain_of(first["default"])) != serial_of(chain_of(second["default"]))
        assert a.log().count("no new certificate yet") == 3
        s.none()


@pytest.mark.parametrize("what", ["short", "garbage", "other-key", "other-root", "expired", "empty"])
def test_bad_answers_of_the_ca(plane, other_root, what):
    key, cert = plane.root.pair("URI:spiffe://cluster.local/ns/default/sa/default")
    plane.garbage = {
        "short": CsrResponse(cert_chain=[cert]).SerializeToString(),
        "garbage": b"\xff\xff\xff\xff",
        "other-key": CsrResponse(cert_chain=[cert, plane.root.pem]).SerializeToString(),
        "other-root": CsrResponse(cert_chain=[cert, other_root.pem]).SerializeToString(),
        "expired": CsrResponse(cert_chain=[plane.root.pair("URI:spiffe://cluster.local/ns/default/sa/default", -5)[1], plane.root.pem]).SerializeToString(),
        "empty": b"",
    }[what]
    with agent_for(plane) as a, Stream(a.sds, "sds") as s:
        s.send(names=["default"])
        eventually(lambda: len(plane.csrs) >= 2)
        s.none()
        plane.garbage = None
        assert chain_of(s.secrets(20)[0]["default"])


def test_wrong_server_gets_no_token(plane, other_root):
    """A server that our roots do not know, and one with another name."""
    with Plane(root=other_root) as foreign, agent_for(plane, env={"CA_ADDR": f"127.0.0.1:{foreign.port}"}) as a:
        a.wait_log("no certificate yet")
        time.sleep(0.5)
        assert foreign.csrs == []
    with Plane(root=plane.root, name="other.example") as named, agent_for(named, env={"CA_ADDR": f"127.0.0.1:{named.port}"}) as a:
        a.wait_log("no certificate yet")
        assert named.csrs == []
    with Plane(root=plane.root, name="other.example") as named, agent_for(named, env={"ISTIOD_SAN": "other.example"}) as a:
        a.wait_log("certificate in force")


def test_ca_comes_late_and_token_too(plane):
    """Envoy is started at once and asks; what is missing comes one by one."""
    plane.stop()
    with Agent(f"127.0.0.1:{plane.port}", None, token=None) as a, Stream(a.sds, "sds") as s:
        s.send(names=["default", "ROOTCA"])
        a.wait_log("neither a token nor a certificate")
        a.write_token("t")
        a.wait_log("cannot open")
        a.write_roots(plane.root.pem)
        s.none(0.3)
        plane.start()
        assert set(s.secrets(30)[0]) >= {"default"} or set(s.secrets(30)[0])


def test_several_streams_each_ack_and_nack(plane):
    plane.ttl_s = 6
    with agent_for(plane) as a, Stream(a.sds, "sds") as one, Stream(a.sds, "sds", False) as two:
        one.send(names=["default"])
        two.send(names=["default"])
        one.ack(one.secrets()[1])
        _, m = two.secrets()
        two.send(names=["default"], nonce=m.nonce, error="I do not like it")
        a.wait_log("envoy rejected a secret name=default")
        one.none(0.3)
        two.none(0.3)  # what was refused is not sent again
        assert one.secrets()[0] and two.secrets()[0]  # the renewed one is


def test_requests_that_are_wrong_end_the_stream(plane):
    with agent_for(plane) as a:
        with Stream(a.sds, "sds") as s:
            s.send(kind="type.googleapis.com/envoy.config.cluster.v3.Cluster")
            assert s.ended() == grpc.StatusCode.INVALID_ARGUMENT
        with Stream(a.sds, "sds") as s:
            s.send(names=[f"n{i}" for i in range(2000)])
            assert s.ended() == grpc.StatusCode.RESOURCE_EXHAUSTED
        with Stream(a.sds, "sds") as s:
            s.send(names=["default"])
            assert s.secrets()[0]


def test_known_version_is_not_sent_again(plane):
    """A delta stream that says what it has, also to an agent that is not the one it had it from."""
    with agent_for(plane) as a:
        name = f"file-root:{a.secrets}/istio/root-cert.pem"
        with Stream(a.sds, "sds") as s:
            s.send(names=[name])
            _, m = s.secrets()
            version = m.resources[0].version
        a.kill()
        a.start()
        with Stream(a.sds, "sds") as s:
            s.send(names=[name], initial={name: version})
            s.none()
        with Stream(a.sds, "sds") as s:
            s.send(names=[name], initial={name: "older"})
            assert s.secrets()[0]


def test_files_by_name(plane, tmp_path):
    """file-cert and file-root: read, watched (also behind a swapped link), never a key that does not fit."""
    def pair(dir_, root):
        key, cert = root.pair("DNS:gw.example")
        dir_.mkdir()
        (dir_ / "tls.crt").write_text(cert)
        (dir_ / "tls.key").write_text(key)
        return cert
    first, second = pair(tmp_path / "1", plane.root), pair(tmp_path / "2", plane.root)
    (tmp_path / "data").symlink_to("1")
    cert_name = f"file-cert:{tmp_path}/data/tls.crt~{tmp_path}/data/tls.key"
    (tmp_path / "ca.crt").write_text(plane.root.pem)
    root_name = f"file-root:{tmp_path}/ca.crt"
    with agent_for(plane) as a, Stream(a.sds, "sds", False) as s, Stream(a.sds, "sds", False) as r, Stream(a.sds, "sds") as y:
        s.send(names=[cert_name])
        r.send(names=[root_name])
        y.send(names=["file-root:system"])
        got, m = s.secrets()
        assert chain_of(got[cert_name]) == first
        s.ack(m, [cert_name])
        got, m = r.secrets()
        assert got[root_name].validation_context.trusted_ca.inline_bytes.decode() == plane.root.pem
        if os.path.exists("/etc/ssl/certs/ca-certificates.crt"):
            assert len(y.secrets()[0]["file-root:system"].validation_context.trusted_ca.inline_bytes) > 10000
        (tmp_path / "new").symlink_to("2")
        os.rename(tmp_path / "new", tmp_path / "data")
        got, m = s.secrets()
        assert chain_of(got[cert_name]) == second
        s.ack(m, [cert_name])
        (tmp_path / "2" / "tls.key").write_text((tmp_path / "1" / "tls.key").read_text())
        a.wait_log("secret cannot be read")
        s.none(0.3)
        with Stream(a.sds, "sds") as w:
            w.send(names=["file-cert:relative~/x"])
            a.wait_log("is not an absolute path")
            w.none(0.3)
            w.send(names=["kubernetes://x"])
            a.wait_log("is not a secret of this agent")


def test_mounted_files(plane, tmp_path):
    """FILE_MOUNTED_CERTS: no CA at all; what is mounted is served, and served anew when it is replaced."""
    def put(root):
        key, cert = root.pair("URI:spiffe://cluster.local/ns/default/sa/default")
        for name, text in (("key", key), ("chain", cert), ("root", root.pem)):
            (tmp_path / (name + ".part")).write_text(text)
            os.rename(tmp_path / (name + ".part"), tmp_path / name)
        return cert
    first = put(plane.root)
    env = {"FILE_MOUNTED_CERTS": "true", "ISTIO_META_TLS_CLIENT_CERT_CHAIN": str(tmp_path / "chain"), "ISTIO_META_TLS_CLIENT_KEY": str(tmp_path / "key"),
           "ISTIO_META_TLS_CLIENT_ROOT_CERT": str(tmp_path / "root")}
    with agent_for(plane, env=env, token=None) as a, Stream(a.sds, "sds", False) as s, Stream(a.sds, "sds", False) as r:
        s.send(names=["default"])
        r.send(names=["ROOTCA"])
        assert chain_of(s.secrets()[0]["default"]) == first and r.secrets()[0]["ROOTCA"]
        second = put(plane.root)
        assert chain_of(s.secrets()[0]["default"]) == second
    assert plane.csrs == []


def test_mounted_credentials_are_found_by_themselves(plane, tmp_path):
    """workload-spiffe-credentials: served instead of a certificate of the CA, only when all three files are there."""
    key, cert = plane.root.pair("URI:spiffe://cluster.local/ns/default/sa/default")
    with agent_for(plane, start=False) as a:
        mount = os.path.join(a.secrets, "workload-spiffe-credentials")
        os.mkdir(mount)
        for name, text in (("cert-chain.pem", cert), ("key.pem", key)):
            with open(os.path.join(mount, name), "w") as f:
                f.write(text)
        a.start()
        a.wait_log("certificate in force")
        assert len(plane.csrs) == 1  # no roots: not a set
        a.stop()
        with open(os.path.join(mount, "root-cert.pem"), "w") as f:
            f.write(plane.root.pem)
        a.start()
        with Stream(a.sds, "sds", False) as s, Stream(a.sds, "sds", False) as r:
            s.send(names=["default"])
            r.send(names=["ROOTCA"])
            assert chain_of(s.secrets()[0]["default"]) == cert
            assert r.secrets()[0]["ROOTCA"].validation_context.trusted_ca.inline_bytes.decode().strip() == plane.root.pem.strip()
        assert len(plane.csrs) == 1


def test_crl_that_is_mounted(plane, tmp_path):
    """istio/crl/ca-crl.pem goes with ROOTCA and with roots by file, appears, changes and goes; a broken one changes nothing."""
    roots = tmp_path / "roots.pem"
    roots.write_text(plane.root.pem)
    _, bad = plane.root.pair("URI:spiffe://cluster.local/ns/default/sa/bad")

    def crl_of(stream, name):
        return stream.secrets()[0][name].validation_context.crl.inline_bytes.decode().strip()

    kind = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
    plane.set(kind, "c", "1", CsrResponse())
    with agent_for(plane) as a, Stream(a.sds, "sds", False) as s, Stream(a.sds, "sds", False) as f, Stream(a.xds, "ads") as envoy:
        envoy.send(kind)  # a control plane that has no bundles: what is known counts, some seconds later
        os.mkdir(os.path.join(a.secrets, "istio/crl"))
        file = f"file-root:{roots}"
        for stream, name in ((s, "ROOTCA"), (f, file)):
            stream.send(names=[name])
            secrets, m = stream.secrets()
            assert not secrets[name].validation_context.HasField("crl")
            stream.ack(m, [name])
        for crl in (plane.root.crl(), plane.root.crl(bad)):
            a._write("istio/crl/ca-crl.pem", crl)
            for stream, name in ((s, "ROOTCA"), (f, file)):
                secrets, m = stream.secrets()
                assert secrets[name].validation_context.crl.inline_bytes.decode().strip() == crl.strip()
                stream.ack(m, [name])
        a._write("istio/crl/ca-crl.pem", "nonsense")
        a.wait_log("secret cannot be read name=ca-crl.pem")
        s.none(0.3)
        f.none(0.3)
        os.unlink(os.path.join(a.secrets, "istio/crl/ca-crl.pem"))
        assert crl_of(s, "ROOTCA") == "" and crl_of(f, file) == ""


def test_token_of_a_command(plane, tmp_path):
    """CREDENTIAL_FETCHER_TYPE=Exec: run for each request, so that a renewal has a fresh token; its failure is retried and named, and no token is logged."""
    count, script = tmp_path / "count", tmp_path / "fetch"
    script.write_text(f'#!/bin/sh\nn=$(cat {count} 2>/dev/null || echo 0)\nn=$((n + 1))\necho $n >{count}\n'
                      'if [ $n = 1 ]; then echo no luck >&2; exit 4; fi\nif [ $n = 2 ]; then echo two words; exit 0; fi\necho "fresh-$1-$n"\n')
    script.chmod(0o755)
    plane.ttl_s = 6
    env = {"CREDENTIAL_FETCHER_TYPE": "Exec", "CREDENTIAL_FETCHER_COMMAND": f"{script} secret"}
    with agent_for(plane, env=env, token=None) as a:
        a.wait_log("exit status 4: no luck")
        a.wait_log("CREDENTIAL_FETCHER_COMMAND is not a token")
        a.wait_log("renewed_after_ms")
        tokens = [c["meta"]["authorization"] for c in plane.csrs]
        assert tokens[0] == "Bearer fresh-secret-3" and tokens[1].startswith("Bearer fresh-secret-") and tokens[1] != tokens[0]
        assert "fresh-secret" not in a.log()


def test_virtual_machine_renews_by_its_certificate(tmp_path):
    """PROV_CERT instead of a token; OUTPUT_CERTS has what is in force; the next renewal goes by the new certificate."""
    root = Root("vm")
    key, cert = root.pair("URI:spiffe://cluster.local/ns/default/sa/default")
    out = tmp_path / "out"
    for name, text in (("key.pem", key), ("cert-chain.pem", cert), ("root-cert.pem", root.pem)):
        (tmp_path / name).write_text(text)
    with Plane(root=root, client_ca=root.pem) as plane:
        plane.ttl_s = 6
        env = {"PROV_CERT": str(tmp_path), "OUTPUT_CERTS": str(out)}
        with Agent(f"127.0.0.1:{plane.port}", None, token=None, env=env) as a:
            a.wait_log("renewed_after_ms")
            served = (out / "cert-chain.pem").read_text()
            assert openssl("pkey", "-pubout", data=(out / "key.pem").read_bytes()) == openssl("x509", "-pubkey", "-noout", data=served.encode())
            assert (out / "root-cert.pem").read_text() == root.pem and (out / "key.pem").stat().st_mode & 0o777 == 0o600
        assert "authorization" not in plane.csrs[0]["meta"]
        pems = [c["peer"]["x509_pem_cert"][0].decode() for c in plane.csrs[:2]]
        assert serial_of(pems[0]) == serial_of(cert) and serial_of(pems[1]) != serial_of(cert)


def test_somebody_else_serves_the_socket(plane):
    """SPIRE's agent: ours leaves the socket alone and asks for nothing."""
    with agent_for(plane, start=False, env={"WORKLOAD_IDENTITY_SOCKET_FILE": "spire"}) as a, socket.socket(socket.AF_UNIX) as spire:
        path = os.path.join(a.secrets, "workload-spiffe-uds/spire")
        spire.bind(path)
        spire.listen(8)
        inode = os.stat(path).st_ino
        a.start()
        a.wait_log("certificates come from somebody else")
        time.sleep(0.5)
        assert os.stat(path).st_ino == inode and plane.csrs == []
        bootstrap = subprocess.run(a.command + ["--bootstrap-only"], env=a.env, capture_output=True, text=True, check=True).stdout
        assert f'"pipe":{{"path":"{path}"}}' in bootstrap.replace(" ", "")


def test_a_dead_socket_is_taken_over_and_kept_from_others(plane):
    with agent_for(plane, start=False) as a:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(a.sds)
            dead.listen(1)
        a.start()
        a.wait_log("certificate in force")
        assert os.stat(a.sds).st_mode & 0o777 == 0o600 and os.stat(a.xds).st_mode & 0o777 == 0o600


def test_key_is_never_logged(plane):
    with agent_for(plane, args=["--log-level", "debug"]) as a, Stream(a.sds, "sds") as s:
        s.send(names=["default"])
        key = s.secrets()[0]["default"].tls_certificate.private_key.inline_bytes.decode()
        assert "PRIVATE KEY" not in a.log() and key.split("\n")[1] not in a.log() and "token-1" not in a.log()


def test_becomes_the_proxys_user(plane):
    """Capture leaves that user's connections alone, so the agent itself must be it, with no group left of who started it."""
    with agent_for(plane, start=False, args=["--uid", "1337", "--gid", "1337"]) as a:
        if os.geteuid() != 0:
            a.start()
            assert a.process.wait(10) == 1 and "only root can become user 1337" in a.log()
            return
        os.chmod(a.dir, 0o755)
        for top, _, _ in os.walk(a.secrets):
            os.chown(top, 1337, 1337)
        a.start()
        a.wait_log("certificate in force")
        with open(f"/proc/{a.process.pid}/status") as f:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
        assert status["Uid"].split() == ["1337"] * 4 and status["Gid"].split() == ["1337"] * 4 and status["Groups"].split() == []
        assert int(status["CapEff"], 16) == 0
        assert {os.stat(p).st_uid for p in (a.sds, a.xds, os.path.join(a.config, "envoy-rev.json"), a.log_path)} == {1337}
