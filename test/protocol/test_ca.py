"""The CA in a real coxswaind: its processes, its state directory, plugged-in sets, what of it can be seen. covers: c1 c3 c23 g35"""
import base64
import glob
import os
import re
import signal
import subprocess
import time

import pytest
from coxswain import Coxswaind

SLOW = 30


def openssl(*args, stdin=None):
    r = subprocess.run(["openssl", *args], input=stdin, capture_output=True)
    assert r.returncode == 0, r.stderr.decode()
    return r.stdout


def certz(c):
    return c.json("/debug/certz")


def wait(fn, what, seconds=SLOW):
    end = time.time() + seconds
    while time.time() < end:
        value = fn()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError(what)


def ready(c):
    return wait(lambda: (z := certz(c))["state"] == "ready" and z, "no bundle:\n" + c.log_text())


def children(c):
    """name -> pid of the children of a coxswaind."""
    out = {}
    for task in glob.glob(f"/proc/{c.process.pid}/task/*/children"):
        for pid in open(task).read().split():
            out[open(f"/proc/{pid}/comm").read().strip()] = int(pid)
    return out


def memory(pid):
    """All that a process has in memory, region by region."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            span, mode = line.split()[:2]
            if "r" not in mode or "[v" in line:
                continue
            start, end = (int(x, 16) for x in span.split("-"))
            while start < end:
                try:
                    mem.seek(start)
                    block = mem.read(min(end - start, 1 << 24))
                except OSError:
                    break
                if not block:
                    break
                yield block
                start += len(block)


def traces(key_pem):
    """Byte strings that are in a memory only where the key is: the PEM's lines, the scalar in both orders (P-256)."""
    der = openssl("ec", "-outform", "DER", stdin=key_pem)
    scalar = der[der.index(b"\x04\x20") + 2:][:32]
    body = re.sub(rb"-----.*?-----|\s", b"", key_pem)
    # In the middle of a PKCS#8 body: its head is the same for all keys, its tail is the public key.
    pkcs8 = base64.b64decode(body)
    assert scalar in pkcs8
    line = body[len(body) // 3: len(body) // 3 + 24]
    return [scalar, scalar[::-1], line]


def has_key(pid, needles):
    for block in memory(pid):
        if any(n in block for n in needles):
            return True
    return False


def make_set(path, name, days=365, roots=b""):
    """A root and an intermediate in a folder as certs/ makes them; returns the root's text."""
    os.makedirs(path, exist_ok=True)
    at = lambda f: os.path.join(path, f)
    tmp = lambda f: os.path.join(path, "." + f)
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", str(days), "-subj", f"/O={name}/CN=root",
            "-keyout", tmp("root.key"), "-out", tmp("root.pem"))
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/O={name}/CN=intermediate", "-keyout", tmp("ca.key"), "-out", tmp("ca.csr"))
    with open(tmp("ext"), "w") as f:
        f.write("basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
    openssl("x509", "-req", "-in", tmp("ca.csr"), "-CA", tmp("root.pem"), "-CAkey", tmp("root.key"), "-CAcreateserial", "-days", str(days), "-extfile", tmp("ext"),
            "-out", tmp("ca.pem"))
    root, ca = open(tmp("root.pem"), "rb").read(), open(tmp("ca.pem"), "rb").read()
    for f, text in (("root-cert.pem", root + roots), ("cert-chain.pem", ca + root), ("ca-cert.pem", ca), ("ca-key.pem", open(tmp("ca.key"), "rb").read())):
        with open(tmp("new"), "wb") as out:
            out.write(text)
        os.rename(tmp("new"), at(f))
    return root


def test_state_directory_and_memory(tmp_path):
    """The same root over restarts; the key is in its file alone, never in the main process' memory. covers: c1"""
    roots, args = [], ("--caDir", str(tmp_path / "ca"))
    for _ in range(2):
        with Coxswaind(args=args) as c:
            z = ready(c)
            assert z["phase"] == "STEADY" and not z["pluggedIn"] and len(z["roots"]) == 1
            assert z["roots"][0]["keyType"] == "EC-P256" and z["trustDomain"] == "cluster.local"
            roots.append(z["roots"][0]["serial"])
            kids = children(c)
            assert set(kids) >= {"cox-ca-keeper", "cox-ca-signer"}
            key = (tmp_path / "ca/istio-ca-secret/ca-key.pem").read_bytes()
            assert (tmp_path / "ca/istio-ca-secret/ca-key.pem").stat().st_mode & 0o777 == 0o600
            needles = traces(key)
            assert not has_key(c.process.pid, needles)
            if os.geteuid() == 0:  # the search does find it where it is
                assert has_key(kids["cox-ca-keeper"], needles) or has_key(kids["cox-ca-signer"], needles)
            else:
                with pytest.raises(PermissionError):
                    has_key(kids["cox-ca-keeper"], needles)
            assert not any(n in c.log_text().encode() for n in needles)
            root = (tmp_path / "ca/istio-ca-secret/root-cert.pem").read_bytes()
            text = openssl("x509", "-noout", "-text", stdin=root).decode()
            assert "CA:TRUE" in text and "Certificate Sign, CRL Sign" in text and "O = cluster.local" in text
    assert roots[0] == roots[1]


def test_second_on_one_directory(tmp_path):
    """Two control planes on one directory would make two roots."""
    args = ("--caDir", str(tmp_path / "ca"))
    with Coxswaind(args=args) as c:
        ready(c)
        with pytest.raises(AssertionError, match="is in use by another process"):
            with Coxswaind(args=args) as other:
                other.process.wait(SLOW)
                raise AssertionError(other.log_text())


@pytest.mark.parametrize("name,text", [("cox-ca-keeper", "CA key keeper: ended by signal 9"), ("cox-ca-signer", "CA signer: ended by signal 9")])
def test_child_killed(name, text):
    """If one of the processes dies, all end, with a message that says which."""
    with Coxswaind() as c:
        ready(c)
        kids = children(c)
        c.expected_exit = 1
        os.kill(kids[name], signal.SIGKILL)
        assert c.process.wait(SLOW) == 1
        assert f"{text}: coxswaind cannot go on without it and ends" in c.log_text()
        for pid in kids.values():
            wait(lambda: not os.path.exists(f"/proc/{pid}"), "a child stayed")


def test_main_killed():
    """The children do not outlive the main process, however it ends."""
    with Coxswaind() as c:
        ready(c)
        kids = children(c)
        c.expected_exit = -9
        c.process.kill()
        c.process.wait(SLOW)
        for pid in kids.values():
            wait(lambda: not os.path.exists(f"/proc/{pid}") or open(f"/proc/{pid}/stat").read().split(")")[1].split()[0] == "Z", "a child stayed")


def test_terminal_signals():
    """What a terminal sends to the whole group ends the main process in order; the children end after it."""
    with Coxswaind() as c:
        ready(c)
        for pid in children(c).values():
            os.kill(pid, signal.SIGINT)
            os.kill(pid, signal.SIGTERM)
        time.sleep(0.3)
        assert c.process.poll() is None and certz(c)["state"] == "ready"
        c.process.send_signal(signal.SIGTERM)
        assert c.process.wait(SLOW) == 0


def test_plugged_in(tmp_path):
    """cacerts from a directory; broken ones are refused with one message and the last good stays. covers: c3"""
    cacerts = tmp_path / "cacerts"
    make_set(cacerts, "first")
    with Coxswaind(env={"ROOT_CA_DIR": str(cacerts)}) as c:
        z = ready(c)
        assert z["pluggedIn"] and len(z["roots"]) == 1 and len(z["chain"]) == 1
        assert "first" in z["roots"][0]["subject"]
        before = z["issuerKeyId"]
        key = (cacerts / "ca-key.pem").read_bytes()
        assert not has_key(c.process.pid, traces(key))
        other = tmp_path / "other"
        make_set(other, "other")
        # The key does not match.
        (cacerts / "ca-key.pem").write_bytes((other / "ca-key.pem").read_bytes())
        wait(lambda: "not the key of the certificate" in c.log_text(), "no message")
        # The chain is incomplete: another root.
        (cacerts / "ca-key.pem").write_bytes(key)
        (cacerts / "root-cert.pem").write_bytes((other / "root-cert.pem").read_bytes())
        wait(lambda: "do not lead to root-cert.pem" in c.log_text(), "no message")
        time.sleep(3)
        assert c.log_text().count("do not lead to root-cert.pem") == 1
        assert "the last good one stays in force" in c.log_text()
        z = certz(c)
        assert z["issuerKeyId"] == before and "first" in z["roots"][0]["subject"]
        # A new one with a combined root-cert.pem begins a rotation: both are trusted, the old one signs.
        old_root = open(cacerts / ".root.pem", "rb").read()
        make_set(cacerts, "second", roots=old_root)
        z = wait(lambda: (z := certz(c))["phase"] == "DISTRIBUTE" and z, c.log_text())
        assert len(z["roots"]) == 2 and z["issuerKeyId"] == before


def test_broken_from_the_start(tmp_path):
    """No root of our own takes the place of a set that is broken; a repaired one is taken without a restart."""
    cacerts = tmp_path / "cacerts"
    make_set(cacerts, "first")
    key = (cacerts / "ca-key.pem").read_bytes()
    (cacerts / "ca-key.pem").write_text("broken")
    with Coxswaind(env={"ROOT_CA_DIR": str(cacerts)}) as c:
        wait(lambda: "is not taken: ca-cert.pem, ca-key.pem: the private key cannot be read" in c.log_text(), "no message")
        assert certz(c)["state"] == "no key yet"
        (cacerts / "ca-key.pem").write_bytes(key)
        assert ready(c)["pluggedIn"]


def test_metrics_and_settings():
    """covers: c23 g35 g44"""
    env = {"CITADEL_SELF_SIGNED_CA_CERT_TTL": "1000h", "COXSWAIN_CA_KEY_TYPE": "P384"}
    with Coxswaind(env=env, files={"mesh.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |\n    trustDomain: example.org\n"}) as c:
        assert ready(c)["roots"][0]["keyType"] == "EC-P384"
        wait(lambda: certz(c)["trustDomain"] == "example.org", "no trust domain")
        text = c.get("/metrics")[1].decode()
        value = lambda name: float(re.search(rf"^{name} (\S+)$", text, re.M).group(1))
        assert abs(value("citadel_server_root_cert_expiry_seconds") - 3600000) < 300
        assert abs(value("citadel_server_root_cert_expiry_timestamp") - time.time() - 3600000) < 300
        assert abs(value("citadel_server_cert_chain_expiry_seconds") - 3600000) < 300
        assert abs(value("citadel_server_cert_chain_expiry_timestamp") - time.time() - 3600000) < 300
        assert value("coxswain_ca_rotation_phase") == 0


@pytest.mark.parametrize("name,value", [("DEFAULT_WORKLOAD_CERT_TTL", "soon"), ("MAX_WORKLOAD_CERT_TTL", "1h"), ("CITADEL_SELF_SIGNED_CA_RSA_KEY_SIZE", "1024"),
                                        ("CITADEL_SELF_SIGNED_ROOT_CERT_GRACE_PERIOD_PERCENTILE", "100"), ("COXSWAIN_CA_KEY_TYPE", "P224")])
def test_bad_settings(name, value):
    with pytest.raises(AssertionError, match=name):
        with Coxswaind(env={name: value}):
            pass


def test_off():
    with Coxswaind(env={"ENABLE_CA_SERVER": "false"}) as c:
        assert certz(c) == {"state": "off"}
        assert not children(c)


def make_certs(target, **env):
    from coxswain import TREE
    return subprocess.run(["make", "-s", target, *(f"{k}={v}" for k, v in env.items())], cwd=TREE, capture_output=True, text=True)


@pytest.mark.parametrize("key", ["P-256", "P-384", "rsa:2048"])
def test_certs_of_clusters(tmp_path, key):
    """certs/: a shared root and intermediates of two clusters; they verify and load. covers: c3 c14"""
    root = dict(CERTS_DIR=tmp_path / "mesh", KEY=key)
    assert make_certs("certs-root", **root).returncode == 0
    first = (tmp_path / "mesh/root-cert.pem").read_bytes()
    assert make_certs("certs-root", **root).returncode == 0  # it never replaces a root
    assert (tmp_path / "mesh/root-cert.pem").read_bytes() == first
    for name in ("east", "west"):
        r = make_certs("certs-cluster", CLUSTER=name, **root)
        assert r.returncode == 0, r.stderr
        at = lambda f: str(tmp_path / "mesh" / name / f)
        openssl("verify", "-x509_strict", "-CAfile", at("root-cert.pem"), at("ca-cert.pem"))
        assert os.stat(at("ca-key.pem")).st_mode & 0o777 == 0o600
        with Coxswaind(env={"ROOT_CA_DIR": str(tmp_path / "mesh" / name)}) as c:
            z = ready(c)
            assert z["pluggedIn"] and len(z["chain"]) == 1 and name in z["chain"][0]["subject"] and "Root CA" in z["roots"][0]["subject"]
            assert z["roots"][0]["keyType"] == {"P-256": "EC-P256", "P-384": "EC-P384", "rsa:2048": "RSA-2048"}[key]
    east, west = ((tmp_path / "mesh" / n / "ca-cert.pem").read_bytes() for n in ("east", "west"))
    assert east != west


def test_certs_refused(tmp_path):
    from coxswain import TREE
    assert "CERTS_DIR" in make_certs("certs-root").stderr
    assert "git working tree" in make_certs("certs-root", CERTS_DIR=os.path.join(TREE, "build", "certs-test")).stderr
    assert "make certs-root first" in make_certs("certs-cluster", CERTS_DIR=tmp_path, CLUSTER="east").stderr
    assert "CLUSTER=name" in make_certs("certs-cluster", CERTS_DIR=tmp_path, CLUSTER="../east").stderr
