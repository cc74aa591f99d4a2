"""Lab 2, the old way: a pod without an agent mounts secret istio.<account> and speaks mutual TLS with the files of it."""
import re

import pytest

from citadel import describe
from coxlab.lab import eventually

NAMESPACE = "legacy"
STRICT = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: details}
spec:
  selector: {matchLabels: {app: details}}
  mtls: {mode: STRICT}
"""
POD = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: old}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: old}
spec:
  replicas: 1
  selector: {matchLabels: {app: old}}
  template:
    metadata: {labels: {app: old, sidecar.istio.io/inject: "false"}}
    spec:
      serviceAccountName: old
      containers:
      - name: app
        image: coxswain.io/samples/bookinfo:latest
        command: ["sleep", "infinity"]
        volumeMounts: [{name: istio-certs, mountPath: /etc/certs}]
      volumes: [{name: istio-certs, secret: {secretName: istio.old}}]
"""
IDENTITY = f"spiffe://cluster.local/ns/{NAMESPACE}/sa/old"


@pytest.mark.parametrize("_mesh", ["kube"], indirect=True, scope="session")
def test_files_of_a_mounted_secret_open_a_strict_workload(mesh):
    """200 with the files, refused without and when revoked, 200 again with the certificate that follows. covers: c35 c36 c38 c39"""
    lab = mesh.lab
    lab.namespace(NAMESPACE, labels={"ca.istio.io/override": "true"})
    mesh.apply(STRICT)
    mesh.apply(POD, NAMESPACE)
    old = lab.wait_pods(1, namespace=NAMESPACE, app="old")[0]
    directory, server = old.volumes["istio-certs"], lab.pod(app="details")

    def read(name):
        with open(f"{directory}/{name}") as f:
            return f.read()

    def mounted():
        try:
            return read("cert-chain.pem") and read("key.pem") and read("root-cert.pem")
        except OSError:
            return False
    eventually(mounted, timeout=20)
    assert re.findall(r"URI:(\S+)", describe(read("cert-chain.pem"))) == [IDENTITY]
    assert lab.source.api.call("GET", f"/api/v1/namespaces/{NAMESPACE}/secrets/istio.old")["type"] == "istio.io/key-and-cert"
    assert lab.source.api.call("GET", "/api/v1/namespaces/outside/secrets/istio.outside") is None, "its namespace did not ask for secrets"

    def ask(*files):
        done = lab.exec(old, "curl", "-sS", "-k", "--http1.1", "-w", "\n%{http_code}", *files, f"https://{server.address}:9080/health")
        return done.stdout.rpartition("\n")[2]
    files = ("--cert", f"{directory}/cert-chain.pem", "--key", f"{directory}/key.pem")
    eventually(lambda: ask(*files) == "200", timeout=20)
    assert ask() == "000"
    # What the server shows is by the root in the same secret, for the server's account.
    shown = lab.exec(old, "openssl", "s_client", "-connect", f"{server.address}:9080", "-CAfile", f"{directory}/root-cert.pem", "-cert", files[1], "-key", files[3],
                     "-verify_return_error", stdin="")
    assert "Verify return code: 0 (ok)" in shown.stdout, shown
    leaf = re.search(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", shown.stdout, re.S).group(0)
    assert re.findall(r"URI:(\S+)", describe(leaf)) == ["spiffe://cluster.local/ns/default/sa/bookinfo-details"]

    number = re.search(r"Serial Number:\s*(?:\d+ \(0x)?([0-9a-f:]+)", describe(read("cert-chain.pem"))).group(1).replace(":", "")
    # What was issued is stored once a second.
    eventually(lambda: number in lab.coxctl("list", "--identity", IDENTITY), timeout=10)
    lab.coxctl("revoke", "--serial", number, "--reason", "lab 2")
    try:
        eventually(lambda: ask(*files) == "000", timeout=5)
    finally:
        lab.coxctl("unrevoke", "--serial", number)
    eventually(lambda: ask(*files) == "200", timeout=20)
