"""Certificates by a signer of the Kubernetes API: a real kube-apiserver, and a signer of the test's own that uses the openssl program.

covers: c5 c6 c18
"""
import base64
import os
import threading
import time

import grpc
import pytest

import citadel
import kubelab
from coxswain import Coxswaind

CSRS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
UNAVAILABLE, DENIED, INVALID = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.INVALID_ARGUMENT
USAGES = ["digital signature", "key encipherment", "server auth", "client auth"]


@pytest.fixture(scope="module", autouse=True)
def program():
    pass  # no kube-driver here


def make_ca(d, name, issuer=None):
    key, cert = os.path.join(d, name + ".key"), os.path.join(d, name + ".pem")
    citadel.openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
    ext = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    if issuer is None:
        citadel.openssl("req", "-x509", "-new", "-key", key, "-subj", f"/O={name}", "-days", "100", *ext, "-out", cert)
    else:
        citadel.openssl("req", "-new", "-key", key, "-subj", f"/O={name}", *ext, "-out", cert + ".csr")
        citadel.openssl("x509", "-req", "-in", cert + ".csr", "-CA", issuer + ".pem", "-CAkey", issuer + ".key", "-CAcreateserial", "-days", "100",
                        "-copy_extensions", "copyall", "-out", cert)
    return os.path.join(d, name)


def read(path):
    with open(path) as f:
        return f.read()


class Signer(threading.Thread):
    """Signs approved requests of its signers, as a controller does; remembers what it saw."""

    def __init__(self, lab, d, issuers):
        super().__init__(daemon=True)
        self.lab, self.dir, self.issuers, self.seen, self.ended = lab, d, issuers, {}, threading.Event()
        self.start()

    def sign(self, name, spec):
        issuer, chain = self.issuers[spec["signerName"]]
        path = os.path.join(self.dir, name)
        with open(path + ".csr", "wb") as f:
            f.write(base64.b64decode(spec["request"]))
        citadel.openssl("x509", "-req", "-in", path + ".csr", "-CA", issuer + ".pem", "-CAkey", issuer + ".key", "-CAcreateserial", "-days", "1",
                        "-copy_extensions", "copyall", "-out", path + ".pem")
        return read(path + ".pem") + chain

    def run(self):
        while not self.ended.wait(0.05):
            for o in (self.lab.api.call("GET", CSRS) or {}).get("items") or []:
                name, spec, status = o["metadata"]["name"], o["spec"], o.get("status") or {}
                approved = any(c["type"] == "Approved" for c in status.get("conditions") or [])
                if spec["signerName"] not in self.issuers or not approved or name in self.seen:
                    continue
                self.seen[name] = o
                o["status"] = {**status, "certificate": base64.b64encode(self.sign(name, spec).encode()).decode()}
                self.lab.api.call("PUT", f"{CSRS}/{name}/status", o)

    def close(self):
        self.ended.set()
        self.join(10)


@pytest.fixture(scope="module")
def world(lab, tmp_path_factory):
    for crd in sorted(os.listdir(os.path.join(kubelab.TREE, "crd"))):
        lab.crd(os.path.join(kubelab.TREE, "crd", crd))
    d = str(tmp_path_factory.mktemp("signer"))
    root = make_ca(d, "root")
    inter = make_ca(d, "inter", root)
    other = make_ca(d, "other")
    stranger = make_ca(d, "stranger")
    signer = Signer(lab, d, {"example.com/mesh": (inter, read(inter + ".pem") + read(root + ".pem")), "example.com/special": (other, ""),
                             "example.com/wrong": (stranger, "")})
    mesh = os.path.join(d, "mesh.yaml")
    with open(mesh, "w") as f:
        pem = "".join("    " + line + "\n" for line in read(other + ".pem").splitlines())
        f.write("caCertificates:\n- certSigners: [example.com/special, example.com/mute]\n  pem: |\n" + pem)
    lab.delete("/api/v1/namespaces/istio-system/secrets/istio-ca-secret")  # of tests with a CA of our own on the same server
    env = {"EXTERNAL_CA": "ISTIOD_RA_KUBERNETES_API", "K8S_SIGNER": "example.com/mesh", "CERT_SIGNER_DOMAIN": "example.com", "EXTERNAL_CA_ROOT": root + ".pem",
           "COXSWAIN_EXTERNAL_CA_TIMEOUT": "3s", "MAX_WORKLOAD_CERT_TTL": "48h"}
    with Coxswaind(source=["--kubeconfig", lab.kubeconfig], args=["--meshConfig", mesh], env=env) as c:
        c.wait_ready(60)
        with grpc.insecure_channel(f"127.0.0.1:{c.grpc_port}") as plain:
            yield {"c": c, "plain": plain, "signer": signer, "root": read(root + ".pem"), "inter": read(inter + ".pem"), "other": read(other + ".pem")}
    signer.close()


def token(lab, ns, sa="web"):
    lab.apply(f"/api/v1/namespaces/{ns}/serviceaccounts/{sa}", {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": sa, "namespace": ns}})
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": ["istio-ca"], "expirationSeconds": 600}}
    return lab.call("POST", f"/api/v1/namespaces/{ns}/serviceaccounts/{sa}/token", body)["status"]["token"]


def left(lab):
    return [o["metadata"]["name"] for o in lab.call("GET", CSRS)["items"]]


def body_of(pem):
    return "".join(pem.split())


def test_signed_by_the_signer(lab, world, ns, tmp_path):
    """Key, identity and chain are right; the object had our usages and lifetime, and is gone. covers: c5"""
    uri = f"spiffe://cluster.local/ns/{ns}/sa/web"
    key = citadel.Key(tmp_path)
    csr = key.csr(uri)
    chain = citadel.create(world["plain"], csr, token(lab, ns), seconds=7200)
    text = citadel.verify(tmp_path, chain)
    assert f"URI:{uri}" in text and "O = inter" in text
    assert citadel.openssl("x509", "-noout", "-pubkey", data=chain[0].encode()) == citadel.openssl("pkey", "-in", key.path, "-pubout")
    assert [body_of(p) for p in chain[1:-1]] == [body_of(world["inter"])]  # the signer's root is not in the chain
    assert body_of(world["root"]) in body_of(chain[-1]) and body_of(world["other"]) in body_of(chain[-1])
    name, o = next((n, o) for n, o in reversed(world["signer"].seen.items()) if base64.b64decode(o["spec"]["request"]).decode() == csr)
    assert sorted(o["spec"]["usages"]) == sorted(USAGES) and o["spec"]["expirationSeconds"] == 7200 and name.startswith("coxswain-")
    assert kubelab.wait(lambda: not left(lab), 10) is True


def test_no_key_of_ours(lab, world):
    """No processes, no secret: the CA's keys are elsewhere. The serving certificate is the signer's, too. covers: c5"""
    assert lab.api.call("GET", "/api/v1/namespaces/istio-system/secrets/istio-ca-secret") is None
    with open(f"/proc/{world['c'].process.pid}/task/{world['c'].process.pid}/children") as f:
        assert f.read().split() == []
    port = world["c"]._port("ads listening over TLS")
    channel = citadel.secure_channel(port, world["root"])
    grpc.channel_ready_future(channel).result(20)
    channel.close()
    def distributed():
        config_map = lab.api.call("GET", "/api/v1/namespaces/default/configmaps/istio-ca-root-cert")
        return config_map and body_of(world["root"]) in body_of(config_map["data"]["root-cert.pem"])
    kubelab.wait(distributed, 40)
    status, body = world["c"].get("/debug/certz")
    assert status == 200 and b"O=root" in body


def test_foreign_names_refused(lab, world, ns, tmp_path):
    """A signer copies names from the CSR: others than the caller's, more, or none do not reach it. covers: c5"""
    key, one, before = citadel.Key(tmp_path), token(lab, ns), len(world["signer"].seen)
    mine = f"spiffe://cluster.local/ns/{ns}/sa/web"
    for san in ("spiffe://cluster.local/ns/kube-system/sa/admin", mine + ",DNS:web.example.com", mine + ",IP:10.0.0.1"):
        citadel.refused(world["plain"], key.csr(san), DENIED, "certificate request", token=one)
    citadel.refused(world["plain"], key.csr(), DENIED, "it has 0 names", token=one)
    citadel.refused(world["plain"], key.csr(mine), INVALID, "more than the maximum", token=one, seconds=48 * 3600 + 1)
    assert len(world["signer"].seen) == before and not left(lab)


def test_signer_of_the_workload(lab, world, ns, tmp_path):
    """Metadata CertSigner chooses a signer of the domain; its root is the one that MeshConfig names for it. covers: c6 c18"""
    csr, one = citadel.Key(tmp_path).csr(f"spiffe://cluster.local/ns/{ns}/sa/web"), token(lab, ns)
    chain = citadel.create(world["plain"], csr, one, metadata={"CertSigner": "special"})
    assert "O = other" in citadel.verify(tmp_path, chain) and len(chain) == 2
    # It signs, but its root is nobody's.
    citadel.refused(world["plain"], csr, grpc.StatusCode.INTERNAL, "the other CA's certificate is not used", token=one, metadata={"CertSigner": "wrong"})
    citadel.refused(world["plain"], csr, INVALID, "is not domain/name", token=one, metadata={"CertSigner": "a/b"})
    assert kubelab.wait(lambda: not left(lab), 10) is True


def test_signer_that_is_silent_or_refuses(lab, world, ns, tmp_path):
    """No answer: Unavailable at the deadline, nothing is left behind. Denied: said so. covers: c5"""
    csr, one, began = citadel.Key(tmp_path).csr(f"spiffe://cluster.local/ns/{ns}/sa/web"), token(lab, ns), time.monotonic()
    citadel.refused(world["plain"], csr, UNAVAILABLE, "has not answered within 3000 ms", token=one, metadata={"CertSigner": "mute"})
    assert time.monotonic() - began >= 2.9 and not left(lab)
    ended = threading.Event()

    def fail():
        while not ended.wait(0.05):
            for o in lab.call("GET", CSRS)["items"]:
                if any(c["type"] == "Approved" for c in (o.get("status") or {}).get("conditions") or []):
                    o["status"]["conditions"].append({"type": "Failed", "status": "True", "reason": "No", "message": "not in my name"})
                    lab.api.call("PUT", f"{CSRS}/{o['metadata']['name']}/status", o)
    t = threading.Thread(target=fail, daemon=True)
    t.start()
    try:
        citadel.refused(world["plain"], csr, DENIED, "not in my name", token=one, metadata={"CertSigner": "mute"})
    finally:
        ended.set()
        t.join(10)
