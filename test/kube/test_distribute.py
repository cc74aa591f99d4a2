"""What the CA leaves in a cluster: root ConfigMaps, mounted secrets, the ledger; and `coxctl cert` on it."""
import base64
import json
import os
import subprocess
import time

import kubelab
import pytest
from coxswain import Coxswaind
from kubelab import wait

BUNDLE = "/apis/certificates.k8s.io/v1beta1/clustertrustbundles/istio.io:istiod-ca:root-cert"
COXCTL = os.path.join(kubelab.BUILD, "coxctl")


@pytest.fixture
def daemon(lab):
    with Coxswaind(source=("--kubeconfig", lab.kubeconfig), env={"COXSWAIN_ROTATION_SETTLE_MS": "300", "ENABLE_CLUSTER_TRUST_BUNDLE_API": "true"}) as c:
        c.wait_ready()
        yield c


def config_map(lab, ns, name="istio-ca-root-cert"):
    return lab.api.call("GET", f"/api/v1/namespaces/{ns}/configmaps/{name}")


def bundle(lab):
    found = lab.api.call("GET", BUNDLE)
    return found and found["spec"]["trustBundle"]


def secret(lab, ns, account):
    return lab.api.call("GET", f"/api/v1/namespaces/{ns}/secrets/istio.{account}")


def data(obj, key):
    return base64.b64decode(obj["data"][key]).decode()


def account(lab, ns, name):
    lab.apply(f"/api/v1/namespaces/{ns}/serviceaccounts/{name}", {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": ns}})


def openssl(*args, text=None):
    return subprocess.run(["openssl", *args], input=text, capture_output=True, text=True, check=True).stdout


def coxctl(lab, *args):
    return subprocess.run([COXCTL, "cert", *args, "--kubeconfig", lab.kubeconfig], capture_output=True, text=True, timeout=60)


def test_roots_in_every_namespace(lab, daemon, ns):
    """covers: c9"""
    made = wait(lambda: config_map(lab, ns), 15)
    text = made["data"]["root-cert.pem"]
    assert "BEGIN CERTIFICATE" in text and "PRIVATE" not in text
    assert config_map(lab, "kube-system") is None
    # A namespace that comes later; one whose ConfigMap somebody changes or deletes.
    lab.namespace(ns + "-late")
    assert wait(lambda: config_map(lab, ns + "-late"), 15)["data"]["root-cert.pem"] == text
    lab.call("PATCH", f"/api/v1/namespaces/{ns}/configmaps/istio-ca-root-cert", {"data": {"root-cert.pem": "garbage"}}, "application/merge-patch+json")
    wait(lambda: config_map(lab, ns)["data"]["root-cert.pem"] == text, 15)
    lab.delete(f"/api/v1/namespaces/{ns}/configmaps/istio-ca-root-cert")
    wait(lambda: (config_map(lab, ns) or {}).get("data", {}).get("root-cert.pem") == text, 15)
    # Nothing is written that is as it should be.
    version = config_map(lab, ns)["metadata"]["resourceVersion"]
    time.sleep(1.5)
    assert config_map(lab, ns)["metadata"]["resourceVersion"] == version


def test_mounted_secrets(lab, daemon, ns, tmp_path):
    """covers: c35 c36 c37 c38"""
    account(lab, ns, "web")
    wait(lambda: config_map(lab, ns), 15)
    time.sleep(0.5)
    assert secret(lab, ns, "web") is None  # the namespace has not opted in
    lab.namespace(ns, {"ca.istio.io/override": "true"})
    made = wait(lambda: secret(lab, ns, "web"), 15)
    assert made["type"] == "istio.io/key-and-cert"
    assert made["metadata"]["annotations"]["istio.io/service-account.name"] == "web"
    for key, name in (("cert-chain.pem", "chain"), ("key.pem", "key"), ("root-cert.pem", "root")):
        (tmp_path / name).write_text(data(made, key))
    assert openssl("verify", "-CAfile", str(tmp_path / "root"), "-untrusted", str(tmp_path / "chain"), str(tmp_path / "chain")).endswith("OK\n")
    assert f"URI:spiffe://cluster.local/ns/{ns}/sa/web" in openssl("x509", "-in", str(tmp_path / "chain"), "-noout", "-ext", "subjectAltName")
    assert openssl("x509", "-in", str(tmp_path / "chain"), "-noout", "-pubkey") == openssl("pkey", "-in", str(tmp_path / "key"), "-pubout")

    # A new account gets one, a deleted one loses it, a deleted or damaged secret comes back.
    account(lab, ns, "second")
    wait(lambda: secret(lab, ns, "second"), 15)
    lab.delete(f"/api/v1/namespaces/{ns}/serviceaccounts/second")
    wait(lambda: secret(lab, ns, "second") is None, 15)
    lab.delete(f"/api/v1/namespaces/{ns}/secrets/istio.web")
    again = wait(lambda: secret(lab, ns, "web"), 15)
    lab.call("PATCH", f"/api/v1/namespaces/{ns}/secrets/istio.web", {"data": {"key.pem": base64.b64encode(b"x").decode()}}, "application/merge-patch+json")
    mended = wait(lambda: (s := secret(lab, ns, "web")) and "PRIVATE KEY" in data(s, "key.pem") and s, 15)
    assert data(mended, "cert-chain.pem") != data(again, "cert-chain.pem")

    # A rotation of the root rewrites it before the old root goes.
    old_root = data(mended, "root-cert.pem")
    assert coxctl(lab, "rotate-root").returncode == 0
    wait(lambda: data(secret(lab, ns, "web"), "root-cert.pem").count("BEGIN") == 2, 20)
    wait(lambda: bundle(lab).count("BEGIN") == 2 and old_root in bundle(lab), 20)
    wait(lambda: daemon.json("/debug/certz")["phase"] == "STEADY" and len(daemon.json("/debug/certz")["roots"]) == 1, 120)
    last = wait(lambda: (s := secret(lab, ns, "web")) and data(s, "root-cert.pem").count("BEGIN") == 1 and s, 20)
    assert data(last, "root-cert.pem") != old_root
    (tmp_path / "root").write_text(data(last, "root-cert.pem"))
    (tmp_path / "chain").write_text(data(last, "cert-chain.pem"))
    assert openssl("verify", "-CAfile", str(tmp_path / "root"), str(tmp_path / "chain")).endswith("OK\n")
    assert config_map(lab, ns)["data"]["root-cert.pem"] == data(last, "root-cert.pem")
    wait(lambda: bundle(lab) == data(last, "root-cert.pem"), 15)

    # Opting out takes away what is ours.
    lab.namespace(ns, {"ca.istio.io/override": "false"})
    wait(lambda: secret(lab, ns, "web") is None, 15)


def test_list_and_revoke(lab, daemon, ns, tmp_path):
    """covers: c11 c39 c40"""
    lab.namespace(ns, {"ca.istio.io/override": "true"})
    account(lab, ns, "web")
    made = wait(lambda: secret(lab, ns, "web"), 15)
    (tmp_path / "chain").write_text(data(made, "cert-chain.pem"))
    serial = openssl("x509", "-in", str(tmp_path / "chain"), "-noout", "-serial").strip().partition("=")[2]
    uri = f"spiffe://cluster.local/ns/{ns}/sa/web"
    listed = wait(lambda: [c for c in json.loads(coxctl(lab, "list", "--namespace", ns, "-o", "json").stdout) if int(c["serial"], 16) == int(serial, 16)], 20)
    assert listed[0]["identity"] == uri and listed[0]["revoked"] is False
    assert "SERIAL" in coxctl(lab, "list").stdout

    wrong = coxctl(lab, "revoke", "--serial", "abc")
    assert wrong.returncode == 1 and "no certificate with this serial" in wrong.stderr
    began = time.monotonic()
    done = coxctl(lab, "revoke", "--serial", serial, "--reason", "lost")
    assert done.returncode == 0 and "1 certificate revoked" in done.stdout, done
    crl = wait(lambda: (c := config_map(lab, ns, "istio-ca-crl")) and "BEGIN X509 CRL" in c["data"]["ca-crl.pem"] and c, 10)["data"]["ca-crl.pem"]
    assert time.monotonic() - began < 10
    (tmp_path / "crl").write_text(crl)
    (tmp_path / "root").write_text(config_map(lab, ns)["data"]["root-cert.pem"])
    assert serial.upper() in openssl("crl", "-in", str(tmp_path / "crl"), "-noout", "-text").upper()
    refused = subprocess.run(["openssl", "verify", "-crl_check", "-CAfile", str(tmp_path / "root"), "-CRLfile", str(tmp_path / "crl"), str(tmp_path / "chain")],
                             capture_output=True, text=True)
    assert refused.returncode != 0 and "certificate revoked" in refused.stdout + refused.stderr
    assert daemon.json("/debug/certz")["hasCrl"] is True

    # The identity: its secret is not renewed any more, until it is taken back. A restart forgets nothing.
    assert "revoked, and no new ones" in coxctl(lab, "revoke", "--identity", uri).stdout
    lab.delete(f"/api/v1/namespaces/{ns}/secrets/istio.web")
    time.sleep(2)
    assert secret(lab, ns, "web") is None
    with Coxswaind(source=("--kubeconfig", lab.kubeconfig)) as other:
        other.wait_ready()
        wait(lambda: other.json("/debug/certz").get("hasCrl"), 15)
        assert any(int(c["serial"], 16) == int(serial, 16) and c["revoked"] for c in other.json("/debug/certz?issued")["issued"])
    assert "taken back" in coxctl(lab, "unrevoke", "--identity", uri).stdout
    wait(lambda: secret(lab, ns, "web"), 30)


def test_cluster_trust_bundle(lab, daemon):
    """The roots; mended when somebody changes or deletes it. covers: c10"""
    roots = wait(lambda: config_map(lab, "default"), 15)["data"]["root-cert.pem"]
    wait(lambda: bundle(lab) == roots, 15)
    assert lab.api.call("GET", BUNDLE)["spec"]["signerName"] == "istio.io/istiod-ca"
    lab.delete(BUNDLE)
    wait(lambda: bundle(lab) == roots, 15)
    other = openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "/dev/null", "-subj", "/CN=somebody")
    lab.call("PATCH", BUNDLE, {"spec": {"trustBundle": other}}, "application/merge-patch+json")
    wait(lambda: bundle(lab) == roots, 15)


def test_no_cluster_trust_bundle_unasked(lab, ns):
    lab.delete(BUNDLE)
    with Coxswaind(source=("--kubeconfig", lab.kubeconfig)) as c:
        c.wait_ready()
        wait(lambda: config_map(lab, ns), 15)
        assert bundle(lab) is None
