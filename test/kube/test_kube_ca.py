"""The CA in Secrets of a real kube-apiserver: replicas that share one, an operator's cacerts, rotation, trouble. covers: c1 c3"""
import base64
import json
import os
import subprocess
import threading
import time

import kubelab
import pytest
from kubelab import BUILD, wait

ISTIO_KEYS = {"ca-cert.pem", "ca-key.pem", "cert-chain.pem", "key.pem", "root-cert.pem"}


@pytest.fixture(scope="session", autouse=True)
def ca_program():
    subprocess.run(["make", "-s", f"BUILD={BUILD}", os.path.join(BUILD, "ca-driver")], cwd=kubelab.TREE, check=True)


class Ca:
    """ca-driver: an authority with its two processes."""

    def __init__(self, lab, ns, replica, *args):
        self.events, self.log = [], []
        self.proc = subprocess.Popen([os.path.join(BUILD, "ca-driver"), "--kubeconfig", lab.kubeconfig, "--ns", ns, "--replica", replica, *args],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for pipe, to in ((self.proc.stdout, lambda line: self.events.append(json.loads(line))), (self.proc.stderr, self.log.append)):
            threading.Thread(target=self._read, args=(pipe, to), daemon=True).start()

    def _read(self, pipe, to):
        for line in pipe:
            to(line)

    def send(self, command):
        self.proc.stdin.write(command + "\n")
        self.proc.stdin.flush()

    def all(self, event):
        return [e for e in list(self.events) if e["event"] == event]

    @property
    def bundle(self):
        return (self.all("bundle") or [None])[-1]

    def ready(self, seconds=20):
        return wait(lambda: self.bundle, seconds)

    def phase(self, name, seconds=60):
        wait(lambda: self.bundle and self.bundle["phase"] == name, seconds)
        return self.bundle

    def fault(self, text, seconds=20):
        return wait(lambda: any(text in e["text"] for e in self.all("fault")), seconds)

    def sign(self, uri="spiffe://cluster.local/ns/a/sa/b", ttl=0):
        n = len(self.all("signed"))
        self.send(f"sign {uri} {ttl}")
        wait(lambda: len(self.all("signed")) > n, 20)
        return self.all("signed")[-1]

    def close(self):
        if self.proc.poll() is None:
            self.proc.stdin.close()
            assert self.proc.wait(20) == 0, self.log[-20:]


@pytest.fixture
def ca(lab, ns):
    made = []

    def start(replica, *args):
        made.append(Ca(lab, ns, replica, *args))
        return made[-1]
    yield start
    for one in made:
        one.close()


def secret(lab, ns, name="istio-ca-secret"):
    s = lab.api.call("GET", f"/api/v1/namespaces/{ns}/secrets/{name}")
    return s and {"type": s["type"], "rv": s["metadata"]["resourceVersion"], "data": {k: base64.b64decode(v).decode() for k, v in (s.get("data") or {}).items()}}


def put_secret(lab, ns, name, data, kind="Opaque"):
    path = f"/api/v1/namespaces/{ns}/secrets"
    lab.api.call("DELETE", f"{path}/{name}")
    return lab.call("POST", path, {"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": {"name": name, "namespace": ns},
                                   "data": {k: base64.b64encode(v.encode()).decode() for k, v in data.items()}})


def replace_secret(lab, ns, name, data):
    """In place, as kubectl apply does."""
    lab.call("PATCH", f"/api/v1/namespaces/{ns}/secrets/{name}", {"data": {k: base64.b64encode(v.encode()).decode() for k, v in data.items()}}, "application/merge-patch+json")


def openssl(*args):
    return subprocess.run(["openssl", *args], check=True, capture_output=True, text=True).stdout


def make_root(tmp, name, *newkey):
    key, cert = tmp / f"{name}.key", tmp / f"{name}.pem"
    openssl("req", "-x509", *(newkey or ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")), "-nodes", "-days", "3650", "-subj", f"/O={name}", "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", str(key), "-out", str(cert))
    return cert.read_text(), key.read_text()


def make_set(tmp, name):
    root, _ = make_root(tmp, name)
    key, csr, cert, ext = (tmp / f"{name}-ca.{x}" for x in ("key", "csr", "pem", "ext"))
    ext.write_text("basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/O={name}/CN=intermediate", "-keyout", str(key), "-out", str(csr))
    openssl("x509", "-req", "-in", str(csr), "-CA", str(tmp / f"{name}.pem"), "-CAkey", str(tmp / f"{name}.key"), "-CAcreateserial", "-days", "3000", "-extfile", str(ext), "-out", str(cert))
    return {"ca-cert.pem": cert.read_text(), "ca-key.pem": key.read_text(), "cert-chain.pem": cert.read_text(), "root-cert.pem": root}


def verify(tmp, answer, roots):
    """openssl verify: the leaf with what comes behind it, under these roots."""
    leaf, chain, trust = tmp / "leaf.pem", tmp / "chain.pem", tmp / "trust.pem"
    leaf.write_text(answer["cert"])
    chain.write_text(answer["chain"] or answer["cert"])
    trust.write_text("".join(roots))
    return subprocess.run(["openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", str(trust), "-untrusted", str(chain), str(leaf)], capture_output=True, text=True)


def test_replicas_share_one_root(lab, ns, ca, tmp_path):
    """Three start at once; one root wins. The secret is as istiod writes it. covers: c1"""
    replicas = [ca(f"r{i}") for i in range(3)]
    for r in replicas:
        r.ready()
    s = secret(lab, ns)
    wait(lambda: all(r.bundle["roots"] == [s["data"]["root-cert.pem"]] for r in replicas), 20)
    assert s["type"] == "istio.io/ca-root" and set(s["data"]) == ISTIO_KEYS
    assert s["data"]["ca-cert.pem"] == s["data"]["root-cert.pem"] and s["data"]["cert-chain.pem"] == s["data"]["key.pem"] == ""
    serials = set()
    for r in replicas:
        a = r.sign()
        assert a["rc"] == "OK" and verify(tmp_path, a, r.bundle["roots"]).returncode == 0, a
        serials.add(a["serial"])
    assert len(serials) == 3
    late = ca("late")
    assert late.ready()["roots"] == replicas[0].bundle["roots"]
    assert secret(lab, ns)["rv"] == s["rv"]  # nobody writes what is there


@pytest.mark.parametrize("kind", ["rsa:2048", "rsa:4096", "P-384"], ids=["rsa2048", "rsa4096", "p384"])
def test_root_of_istiod(lab, ns, ca, tmp_path, kind):
    """What istiod wrote is taken as it is. covers: c1 c14"""
    newkey = ("-newkey", kind) if kind.startswith("rsa") else ("-newkey", "ec", "-pkeyopt", f"ec_paramgen_curve:{kind}")
    cert, key = make_root(tmp_path, "cluster.local", *newkey)
    put_secret(lab, ns, "istio-ca-secret", {"ca-cert.pem": cert, "ca-key.pem": key, "cert-chain.pem": "", "key.pem": "", "root-cert.pem": cert}, "istio.io/ca-root")
    r = ca("r")
    assert r.ready()["roots"] == [cert]
    a = r.sign()
    assert a["rc"] == "OK" and verify(tmp_path, a, [cert]).returncode == 0


def test_deleted_and_replaced(lab, ns, ca, tmp_path):
    """Deleted while in use: written again. Changed by somebody: taken by all. Broken: refused, never overwritten. covers: c1"""
    a, b = ca("a"), ca("b")
    a.ready(), b.ready()
    wait(lambda: a.bundle["roots"] == b.bundle["roots"], 20)
    first = secret(lab, ns)["data"]
    lab.delete(f"/api/v1/namespaces/{ns}/secrets/istio-ca-secret")
    again = wait(lambda: secret(lab, ns), 20)
    assert again["data"] == first and again["type"] == "istio.io/ca-root"
    cert, key = make_root(tmp_path, "other")
    replace_secret(lab, ns, "istio-ca-secret", {"ca-cert.pem": cert, "ca-key.pem": key, "root-cert.pem": cert})
    wait(lambda: a.bundle["roots"] == b.bundle["roots"] == [cert], 20)
    replace_secret(lab, ns, "istio-ca-secret", {"ca-key.pem": first["ca-key.pem"]})
    a.fault("not the key")
    assert a.bundle["roots"] == [cert] and a.sign()["rc"] == "OK"
    c = ca("c")
    c.fault("istio-ca-secret")
    assert c.bundle is None and c.sign()["rc"] == "EAGAIN"
    assert secret(lab, ns)["data"]["ca-key.pem"] == first["ca-key.pem"]


def test_rotation_by_replicas(lab, ns, ca, tmp_path):
    """A phase ends when both say that all have followed; a replica that starts in between joins in it. covers: c2 c30 c31"""
    a, b = ca("a"), ca("b")
    old = a.ready()["roots"]
    wait(lambda: b.bundle and b.bundle["roots"] == old, 20)
    a.send("rotate")
    both = a.phase("DISTRIBUTE")
    b.phase("DISTRIBUTE")
    assert both["roots"][0] == old[0] and len(both["roots"]) == 2
    s = secret(lab, ns)["data"]
    assert ISTIO_KEYS < set(s) and s["ca-cert.pem"] == old[0]  # istiod would go on with the old one
    b.send("rotate")
    wait(lambda: any("in progress" in e["text"] for e in b.all("refused")), 20)
    assert verify(tmp_path, a.sign(), old).returncode == 0
    a.send("done")
    time.sleep(20)
    assert a.bundle["phase"] == "DISTRIBUTE"  # b's proxies have not followed
    b.send("done")
    sign = b.phase("SIGN")
    a.phase("SIGN")
    c = ca("c")
    assert c.ready()["phase"] == "SIGN"
    for r in (a, b, c):
        answer = r.sign()
        assert verify(tmp_path, answer, old).returncode != 0
        assert verify(tmp_path, answer, sign["roots"]).returncode == 0
    for name in ("RETIRE", "STEADY"):
        for r in (a, b, c):
            r.send("done")
        for r in (a, b, c):
            r.phase(name)
    assert a.bundle["roots"] == b.bundle["roots"] == c.bundle["roots"] and len(a.bundle["roots"]) == 1
    assert a.bundle["roots"] != old and set(secret(lab, ns)["data"]) == ISTIO_KEYS


def test_cacerts_secret(lab, ns, ca, tmp_path):
    """The secret cacerts comes before a root of our own; a new one is rotated to; a broken one is refused. covers: c3 c31"""
    first, second = make_set(tmp_path, "first"), make_set(tmp_path, "second")
    put_secret(lab, ns, "cacerts", first)
    a, b = ca("a"), ca("b")
    assert a.ready()["plugged"] and a.bundle["roots"] == [first["root-cert.pem"]]
    b.ready()
    answer = a.sign()
    assert verify(tmp_path, answer, a.bundle["roots"]).returncode == 0 and answer["chain"] == first["ca-cert.pem"]
    assert secret(lab, ns) is None  # no root of our own beside it
    # Broken in four ways: one message each, the last good stays.
    for change, text in (({"ca-key.pem": second["ca-key.pem"]}, "not the key"), ({"root-cert.pem": second["root-cert.pem"]}, "do not lead to root-cert.pem"),
                         ({"ca-cert.pem": ""}, "ca-cert.pem"), ({"ca-key.pem": ""}, "ca-key.pem is missing")):
        replace_secret(lab, ns, "cacerts", {**first, **change})
        a.fault(text)
        assert a.bundle["roots"] == [first["root-cert.pem"]] and a.sign()["rc"] == "OK"
    # A new intermediate under a new root, with a combined root-cert.pem.
    replace_secret(lab, ns, "cacerts", {**second, "root-cert.pem": second["root-cert.pem"] + first["root-cert.pem"]})
    a.phase("DISTRIBUTE"), b.phase("DISTRIBUTE")
    assert sorted(a.bundle["roots"]) == sorted([first["root-cert.pem"], second["root-cert.pem"]])
    assert verify(tmp_path, b.sign(), [first["root-cert.pem"]]).returncode == 0
    assert set(secret(lab, ns, "coxswain-ca-state")["data"]) > ISTIO_KEYS
    a.send("done"), b.send("done")
    a.phase("SIGN"), b.phase("SIGN")
    assert verify(tmp_path, b.sign(), [second["root-cert.pem"]]).returncode == 0
    # A replica that starts now goes on where the others are.
    c = ca("c")
    assert c.ready()["phase"] == "SIGN" and c.bundle["issuer"] == a.bundle["issuer"]
    for r in (a, b, c):
        r.send("done")
    for r in (a, b, c):
        r.phase("STEADY")
    assert len(a.bundle["roots"]) == 2
    # The operator takes the old root out.
    replace_secret(lab, ns, "cacerts", second)
    wait(lambda: all(r.bundle["roots"] == [second["root-cert.pem"]] for r in (a, b, c)), 20)
    # Deleted while in use.
    lab.delete(f"/api/v1/namespaces/{ns}/secrets/cacerts")
    a.fault("is gone")
    assert a.sign()["rc"] == "OK" and a.bundle["plugged"]


def test_trust_domain(lab, ns, ca):
    """The keeper reads the trust domain itself, and the signer holds to it. covers: c21"""
    path = f"/api/v1/namespaces/{ns}/configmaps/istio"
    lab.apply(path, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "istio", "namespace": ns}, "data": {"mesh": "trustDomain: one.example\n"}})
    a = ca("a")
    assert a.ready()["domain"] == "one.example"
    assert a.sign()["rc"] == "EDENIED" and a.sign("spiffe://one.example/ns/a/sa/b")["rc"] == "OK"
    lab.apply(path, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "istio", "namespace": ns}, "data": {"mesh": "trustDomain: two.example\n"}})
    wait(lambda: a.bundle["domain"] == "two.example", 20)
    assert a.sign("spiffe://one.example/ns/a/sa/b")["rc"] == "EDENIED" and a.sign("spiffe://two.example/ns/a/sa/b")["rc"] == "OK"


def test_server_away(lab, ns, ca):
    """Signing goes on without the kube-apiserver; who starts then waits for it. covers: c1"""
    a = ca("a")
    root = a.ready()["roots"]
    lab.kill_api()
    try:
        assert a.sign()["rc"] == "OK"
        b = ca("b")
        assert b.sign()["rc"] == "EAGAIN" and b.bundle is None
    finally:
        lab.start_api()
    assert b.ready(60)["roots"] == root
    assert a.bundle["roots"] == root


def test_no_namespace(lab, ca, ns):
    """Nothing can be stored yet: said once, and made when the namespace is there."""
    one = Ca(lab, ns + "-later", "r")
    try:
        one.fault("cannot be written")
        assert one.bundle is None
        lab.namespace(ns + "-later")
        one.ready(30)
        assert len(one.all("fault")) == 1
    finally:
        one.close()
