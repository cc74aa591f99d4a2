"""Lab 8 with a plugged-in CA: another intermediate under the same root, while requests go on."""
import os
import shutil
import subprocess

import pytest
from citadel import openssl
from coxlab import Lab, programs
from coxlab.lab import eventually
from coxlab.load import Load

POD = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: NAME}
---
apiVersion: v1
kind: Service
metadata: {name: NAME}
spec:
  selector: {app: NAME}
  ports: [{name: http, port: 9080}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME}
spec:
  replicas: 1
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME, version: v1}}
    spec:
      serviceAccountName: NAME
      containers:
      - {name: NAME, image: "coxswain.io/samples/bookinfo:latest", command: COMMAND}
"""
CLIENT = POD.replace("NAME", "client").replace("COMMAND", '["sleep", "infinity"]')
WEB = POD.replace("NAME", "web").replace("COMMAND", '["python3", "/bookinfo.py", "ratings", "--version", "v1", "--port", "9080"], ports: [{containerPort: 9080}]')
STRICT = os.path.join(programs.TREE, "samples/bookinfo/security/peer-authentication-strict.yaml")
ONE_A_CONNECTION = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web}
spec:
  host: web
  trafficPolicy: {connectionPool: {http: {maxRequestsPerConnection: 20}}}
"""


def make(directory, cluster):
    """A set of files as the secret cacerts has it."""
    for args in (["make-root", directory], ["make-cluster", directory, cluster]):
        if args[0] == "make-root" and os.path.exists(os.path.join(directory, "root-cert.pem")):
            continue
        subprocess.run([os.path.join(programs.TREE, "certs", args[0]), *args[1:]], check=True, capture_output=True, text=True)
    return os.path.join(directory, cluster)


def plug_in(files, target):
    """As a mounted secret changes: all at once."""
    fresh = target + ".new"
    shutil.copytree(files, fresh)
    if os.path.isdir(target):
        for name in sorted(os.listdir(fresh)):
            os.rename(os.path.join(fresh, name), os.path.join(target, name))
        os.rmdir(fresh)
    else:
        os.rename(fresh, target)


def issuer_of(lab, pod):
    """Which intermediate stands behind the certificate that the pod serves with."""
    text = lab.exec(lab.pod(app="client"), "openssl", "s_client", "-connect", f"{pod.address}:9080", "-showcerts", "-alpn", "istio", root=True, stdin="").stdout
    chain = ["-----BEGIN CERTIFICATE-----" + part.split("-----END")[0] + "-----END CERTIFICATE-----\n" for part in text.split("-----BEGIN CERTIFICATE-----")[1:]]
    assert len(chain) >= 2, text[:2000]
    return openssl("x509", "-noout", "-serial", data=chain[1].encode()).decode()


@pytest.fixture
def lab(tmp_path):
    first, target = make(str(tmp_path / "mesh"), "east"), str(tmp_path / "cacerts")
    plug_in(first, target)
    with Lab(source="dir", daemon_env={"ROOT_CA_DIR": target}) as lab:
        lab.root_ca_dir, lab.mesh_certs = target, str(tmp_path / "mesh")
        lab.apply(STRICT, "istio-system")
        for text in (CLIENT, WEB, ONE_A_CONNECTION):
            lab.apply(text)
        lab.wait_pods(2, timeout=90)
        yield lab


def test_intermediate_rotation_under_load(lab):
    """A new intermediate in cacerts: all workloads get certificates by it, and of at least 10,000 requests none fails. covers: c3 c31"""
    client, web = lab.pod(app="client"), lab.pod(app="web")
    eventually(lambda: lab.curl(client, "http://web:9080/ratings/0").status == 200, timeout=20)
    certz = lambda: lab.debug("/debug/certz")
    before, old = certz(), issuer_of(lab, web)
    assert before["pluggedIn"] and len(before["chain"]) == 1
    phases = []
    with Load(client.netns, "http://web:9080/ratings/0") as load:
        load.wait(300)
        plug_in(make(lab.mesh_certs, "east-2"), lab.root_ca_dir)

        def is_over():
            now = certz()
            if not phases or phases[-1] != now["phase"]:
                phases.append(now["phase"])
            return now["phase"] == "STEADY" and now["issuerKeyId"] != before["issuerKeyId"]
        eventually(is_over, timeout=90)
        eventually(lambda: issuer_of(lab, web) != old, timeout=30)
        load.wait(max(300, 10000 - load.counts.requests), timeout=120)
    counts = load.stop()
    assert counts.failures == 0 and counts.requests >= 10000, (counts, phases)
    assert "SIGN" in phases, phases
    assert certz()["roots"] == before["roots"]
    assert lab.curl(client, "http://web:9080/ratings/0").status == 200
