"""Tokens of a real kube-apiserver: certificates by TokenReview, and what happens when it is away, when accounts go, and when nodes' agents ask.

covers: c16 c17 c19 c24 c28 g63
"""
import concurrent.futures
import json
import os
import time

import grpc
import pytest

import citadel
import kubelab
from coxswain import CDS, Coxswaind, Stream, node

UNAUTHENTICATED, UNAVAILABLE = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNAVAILABLE


@pytest.fixture(scope="module", autouse=True)
def program():
    pass  # no kube-driver here


@pytest.fixture(scope="module")
def daemon(lab):
    for crd in sorted(os.listdir(os.path.join(kubelab.TREE, "crd"))):
        lab.crd(os.path.join(kubelab.TREE, "crd", crd))
    with Coxswaind(source=["--kubeconfig", lab.kubeconfig], env={"CA_TRUSTED_NODE_ACCOUNTS": "istio-system/ztunnel"}) as c:
        yield c.wait_ready(60)


@pytest.fixture
def plain(daemon):
    with grpc.insecure_channel(f"127.0.0.1:{daemon.grpc_port}") as channel:
        yield channel


def account(lab, ns, name):
    lab.apply(f"/api/v1/namespaces/{ns}/serviceaccounts/{name}", {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": ns}})


def pod(lab, ns, name, sa, on):
    body = lab.call("POST", f"/api/v1/namespaces/{ns}/pods", {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": ns},
        "spec": {"serviceAccountName": sa, "nodeName": on, "containers": [{"name": "c", "image": "none"}]}})
    return body["metadata"]["uid"]


def token(lab, ns, sa, audiences=("istio-ca",), of_pod=None):
    spec = {"audiences": list(audiences), "expirationSeconds": 600}
    if of_pod:
        spec["boundObjectRef"] = {"kind": "Pod", "apiVersion": "v1", "name": of_pod[0], "uid": of_pod[1]}
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    return lab.call("POST", f"/api/v1/namespaces/{ns}/serviceaccounts/{sa}/token", body)["status"]["token"]


def reviews(daemon, result):
    for line in daemon.get("/metrics")[1].decode().splitlines():
        if line.startswith(f'coxswain_token_reviews{{result="{result}"}}'):
            return float(line.split()[-1])
    return 0


def test_certificate_and_stream(lab, daemon, plain, ns, tmp_path):
    account(lab, ns, "web")
    key = citadel.Key(tmp_path)
    chain = citadel.create(plain, key.csr("spiffe://cluster.local/ns/kube-system/sa/admin"), token(lab, ns, "web"), headers=[("clusterid", "Kubernetes")])
    text = citadel.verify(tmp_path, chain)
    assert f"URI:spiffe://cluster.local/ns/{ns}/sa/web" in text and "admin" not in text
    secret = lab.call("GET", "/api/v1/namespaces/istio-system/secrets/istio-ca-secret")
    assert secret["type"] == "istio.io/ca-root"
    channel = citadel.secure_channel(daemon._port("ads listening over TLS"), chain[-1], key, chain)
    with Stream(0, node(ns=ns, SERVICE_ACCOUNT="web"), True, channel) as s:
        s.fetch(CDS)
    with Stream(0, node(ns="istio-system"), True, channel) as s:
        s.request(CDS)
        with pytest.raises(grpc.RpcError) as e:
            s.next(CDS)
        assert e.value.code() == grpc.StatusCode.PERMISSION_DENIED


def test_one_review_for_many(lab, daemon, plain, ns, tmp_path):
    account(lab, ns, "web")
    one, csr, before = token(lab, ns, "web"), citadel.Key(tmp_path).csr(), reviews(daemon, "accepted")
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        chains = list(pool.map(lambda _: citadel.create(plain, csr, one), range(40)))
    assert len({c[0] for c in chains}) == 40
    assert reviews(daemon, "accepted") == before + 1


def forged(lab, claims, key="sa"):
    """A token by the kube-apiserver's own key, as if it had been kept for long; or by a stranger's."""
    head = citadel.b64url(json.dumps({"alg": "ES256", "typ": "JWT"}).encode())
    body = citadel.b64url(json.dumps(claims).encode())
    path = os.path.join(lab.dir, "certs", key + ".key")
    der = citadel.openssl("dgst", "-sha256", "-sign", path, data=f"{head}.{body}".encode())
    parts, at = [], 2
    for _ in range(2):
        n = der[at + 1]
        parts.append(der[at + 2:at + 2 + n][-32:].rjust(32, b"\0"))
        at += 2 + n
    return f"{head}.{body}.{citadel.b64url(b''.join(parts))}"


def claims(ns, sa, seconds, **more):
    now = int(time.time())
    return {"iss": "https://kubernetes.default.svc", "aud": ["istio-ca"], "sub": f"system:serviceaccount:{ns}:{sa}", "exp": now + seconds, "iat": now - 1000, "nbf": now - 1000,
            "kubernetes.io": {"namespace": ns, "serviceaccount": {"name": sa, "uid": "0"}}, **more}


def test_tokens_refused(lab, daemon, plain, ns, tmp_path):
    account(lab, ns, "web")
    account(lab, ns, "gone")
    csr = citadel.Key(tmp_path).csr()
    citadel.refused(plain, csr, UNAUTHENTICATED, "does not accept the token", token=token(lab, ns, "web", ["vault"]))
    citadel.refused(plain, csr, UNAUTHENTICATED, "is not known", token=token(lab, ns, "web"), headers=[("clusterid", "other")])
    before = reviews(daemon, "refused")
    citadel.refused(plain, csr, UNAUTHENTICATED, "expired", token=forged(lab, claims(ns, "web", -60)))
    assert reviews(daemon, "refused") == before  # nobody had to be asked
    citadel.refused(plain, csr, UNAUTHENTICATED, "does not accept the token", token=forged(lab, claims(ns, "web", 600)))  # the account's UID is another
    citadel.refused(plain, csr, UNAUTHENTICATED, "does not accept the token", token=forged(lab, claims(ns, "web", 600), key="ca"))
    good = token(lab, ns, "web")
    head, body, signature = good.split(".")
    citadel.refused(plain, csr, UNAUTHENTICATED, "does not accept the token", token=f"{head}.{body}.{signature[:-6]}AAAAAA")
    # replayed after its account is gone
    kept = token(lab, ns, "gone")
    lab.delete(f"/api/v1/namespaces/{ns}/serviceaccounts/gone")
    citadel.refused(plain, csr, UNAUTHENTICATED, "does not accept the token", token=kept)
    # and after its pod is
    uid = pod(lab, ns, "p", "web", "node-1")
    kept = token(lab, ns, "web", of_pod=("p", uid))
    citadel.create(plain, csr, token(lab, ns, "web", of_pod=("p", uid)))
    lab.call("DELETE", f"/api/v1/namespaces/{ns}/pods/p?gracePeriodSeconds=0")
    citadel.refused(plain, csr, UNAUTHENTICATED, "does not accept the token", token=kept)


def test_node_agent(lab, daemon, plain, ns, tmp_path):
    """ztunnel gets certificates for what runs on its node, and for nothing else; others for nobody."""
    for where, name in (("istio-system", "ztunnel"), (ns, "web"), (ns, "db")):
        account(lab, where, name)
    agent = "zt-" + ns[-8:].strip("-")
    uid = pod(lab, "istio-system", agent, "ztunnel", "node-1")
    pod(lab, ns, "web", "web", "node-1")
    pod(lab, ns, "db", "db", "node-2")
    csr, theirs = citadel.Key(tmp_path).csr(), token(lab, "istio-system", "ztunnel", of_pod=(agent, uid))

    def ask(sa, by):
        return citadel.create(plain, csr, by, metadata={"ImpersonatedIdentity": f"spiffe://cluster.local/ns/{ns}/sa/{sa}"})

    def asked():
        try:
            return ask("web", theirs)
        except grpc.RpcError:
            raise AssertionError("not yet")
    chain = kubelab.wait(asked, 10)  # the watch tells of the pods
    assert f"URI:spiffe://cluster.local/ns/{ns}/sa/web" in citadel.verify(tmp_path, chain)
    assert f'caller="token-review by spiffe://cluster.local/ns/istio-system/sa/ztunnel"' in daemon.log_text()
    for sa, by, text in (("db", theirs, "runs on node node-1"), ("web", token(lab, ns, "db"), "may not act for others"), ("web", token(lab, "istio-system", "ztunnel"), "names no pod")):
        citadel.refused(plain, csr, UNAUTHENTICATED, text, token=by, metadata={"ImpersonatedIdentity": f"spiffe://cluster.local/ns/{ns}/sa/{sa}"})


def test_kube_apiserver_away(lab, daemon, plain, ns, tmp_path):
    """Unavailable, not denied: agents try again, and those with certificates do not notice."""
    account(lab, ns, "web")
    key = citadel.Key(tmp_path)
    known, new = token(lab, ns, "web"), token(lab, ns, "web", of_pod=("p", pod(lab, ns, "p", "web", "node-1")))
    chain = citadel.create(plain, key.csr(), known)
    lab.kill_api()
    try:
        citadel.refused(plain, key.csr(), UNAVAILABLE, "the kube-apiserver cannot be asked now", token=new, timeout=30)
        channel = citadel.secure_channel(daemon._port("ads listening over TLS"), chain[-1], key, chain)
        citadel.verify(tmp_path, citadel.create(channel, key.csr(), None))
        citadel.create(plain, key.csr(), known)  # its review is remembered
    finally:
        lab.start_api()

    def again():
        try:
            return citadel.create(plain, key.csr(), new)
        except grpc.RpcError:
            raise AssertionError("not yet")
    citadel.verify(tmp_path, kubelab.wait(again, 20))
