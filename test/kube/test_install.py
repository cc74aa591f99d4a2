"""coxctl install, upgrade, uninstall and tag against a real kube-apiserver; a control plane that runs with the rights it is given there; an
istiod's place taken, and given back.

covers: h6 h8 h9 h11 h12 f11 f13
"""
import base64
import json
import os
import subprocess
import sys
import threading
import time

import pytest
import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import kubelab  # noqa: E402
from coxlab import programs  # noqa: E402
from coxlab.net import free_port  # noqa: E402
from coxswain import Coxswaind  # noqa: E402
from kubelab import wait  # noqa: E402
from tinyca import Root  # noqa: E402

COXCTL = os.path.join(kubelab.BUILD, "coxctl")
AUDIT = """
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- {level: Metadata, userGroups: ["system:serviceaccounts:istio-system"]}
- {level: None}
"""
HOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
CHECKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
APPS = "/apis/apps/v1/namespaces/istio-system/deployments"


class Cluster(kubelab.KubeLab):
    def __init__(self, directory):
        policy, self.audit_log = str(directory / "audit.yaml"), str(directory / "audit.log")
        (directory / "audit.yaml").write_text(AUDIT)
        super().__init__(directory, flags=f"--audit-policy-file={policy} --audit-log-path={self.audit_log} --audit-log-mode=batch --audit-log-batch-max-wait=1s")
        self.kubectl_path = os.path.join(subprocess.run([os.path.join(kubelab.TREE, "hack/kube/build")], capture_output=True, text=True).stdout.split()[-1], "kubectl")

    def ctl(self, *args, ok=True, stdin=""):
        done = subprocess.run([COXCTL, *args, "--kubeconfig", self.kubeconfig], capture_output=True, text=True, input=stdin)
        assert not ok or done.returncode == 0, done.stdout + done.stderr
        return done

    def kubectl(self, *args, stdin=None):
        done = subprocess.run([self.kubectl_path, "--kubeconfig", self.kubeconfig, *args], capture_output=True, text=True, input=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def install(self, *args, **kw):
        return self.ctl("install", "-y", "--readiness-timeout", "0", *args, **kw)

    def get(self, path):
        return self.api.call("GET", path)

    def versions(self):
        """resourceVersion of everything that installations made."""
        out = {}
        for path in (HOOKS, CHECKS, APPS, "/api/v1/namespaces/istio-system/configmaps", "/api/v1/namespaces/istio-system/services", RBAC + "/clusterroles",
                     "/api/v1/namespaces/istio-system/serviceaccounts", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"):
            for item in self.call("GET", path)["items"]:
                if "operator.istio.io/component" in item["metadata"].get("labels", {}):
                    out[path, item["metadata"]["name"]] = item["metadata"]["resourceVersion"]
        return out


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    one = Cluster(tmp_path_factory.mktemp("install"))
    yield one
    one.close()


@pytest.fixture(autouse=True)
def afterwards(cluster):
    yield
    cluster.ctl("uninstall", "--purge", "-y")
    for name in ("istio-ca-secret", "cacerts"):
        cluster.delete(f"/api/v1/namespaces/istio-system/secrets/{name}")
    wait(lambda: not [c for c in cluster.call("GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions")["items"]], 20)


def test_install_upgrade_and_uninstall(cluster):
    assert "Nothing was installed" in cluster.ctl("install", ok=False).stdout, "nobody said yes"
    assert cluster.get("/api/v1/namespaces/istio-system") is None
    dry = cluster.install("--dry-run")
    assert "nothing was changed" in dry.stdout and cluster.get("/api/v1/namespaces/istio-system") is None

    out = cluster.install("--set", "profile=minimal", "--set", "values.global.networkPolicy.enabled=true").stdout
    assert "Base installed" in out and "Pilot installed" in out and "Installation complete" in out
    crd = cluster.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/virtualservices.networking.istio.io")
    assert crd["metadata"]["labels"]["operator.istio.io/component"] == "Base"
    deployment = cluster.get(APPS + "/istiod")
    assert deployment["metadata"]["labels"]["install.operator.istio.io/owning-resource"] == "installed-state"
    assert cluster.get("/apis/networking.k8s.io/v1/namespaces/istio-system/networkpolicies/istiod")

    # The CA's things and locks are nobody's to touch; validation that was closed stays so.
    for name, body in (("istio-ca-secret", {"ca-cert.pem": "eA=="}), ("cacerts", {"x": "eQ=="})):
        cluster.call("POST", "/api/v1/namespaces/istio-system/secrets", {"metadata": {"name": name}, "data": body})
    cluster.call("PATCH", CHECKS + "/istiod-default-validator", [{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Fail"}], "application/json-patch+json")
    secrets = cluster.call("GET", "/api/v1/namespaces/istio-system/secrets")["metadata"]["resourceVersion"]

    # The same again writes nothing; without the policy, the policy goes.
    cluster.install("--set", "profile=minimal", "--set", "values.global.networkPolicy.enabled=true")
    before = cluster.versions()
    cluster.install("--set", "profile=minimal", "--set", "values.global.networkPolicy.enabled=true")
    assert {k: v for k, v in cluster.versions().items() if before[k] != v} == {}
    out = cluster.ctl("upgrade", "-y", "--readiness-timeout", "0", "--set", "profile=minimal").stdout
    assert "Removed: 1 objects" in out
    assert cluster.get("/apis/networking.k8s.io/v1/namespaces/istio-system/networkpolicies/istiod") is None
    assert cluster.get(CHECKS + "/istiod-default-validator")["webhooks"][0]["failurePolicy"] == "Fail"
    found = {s["metadata"]["name"]: s for s in cluster.call("GET", "/api/v1/namespaces/istio-system/secrets")["items"]}
    assert found["istio-ca-secret"]["data"] == {"ca-cert.pem": "eA=="} and int(found["cacerts"]["metadata"]["resourceVersion"]) <= int(secrets)

    # A second revision beside it: what is the cluster's stays the first one's.
    cluster.install("--revision", "canary", "--set", "profile=minimal")
    assert cluster.get(APPS + "/istiod-canary") and cluster.get(APPS + "/istiod")
    assert cluster.get(CHECKS + "/istiod-default-validator")["metadata"]["labels"]["istio.io/rev"] == "default"
    assert "either" in cluster.ctl("uninstall", ok=False).stderr
    assert "Nothing was removed" in cluster.ctl("uninstall", "--revision", "canary", ok=False).stdout
    cluster.ctl("uninstall", "--revision", "canary", "-y")
    assert cluster.get(APPS + "/istiod-canary") is None and cluster.get(HOOKS + "/istio-sidecar-injector-canary") is None
    assert cluster.get(APPS + "/istiod") and cluster.get(RBAC + "/clusterroles/istiod-clusterrole-istio-system")
    cluster.ctl("uninstall", "--purge", "-y")
    assert cluster.versions() == {} or all(k[0].endswith("customresourcedefinitions") for k in cluster.versions())
    assert cluster.get("/api/v1/namespaces/istio-system/secrets/istio-ca-secret"), "the CA outlives its control plane"


def test_readiness(cluster):
    """A component is waited for; who is not ready, and why, is said."""
    done = cluster.ctl("install", "-y", "--set", "profile=minimal", "--readiness-timeout", "2s", ok=False)
    assert done.returncode == 1 and "Deployment istio-system/istiod is not ready: 0 of 1 pods available" in done.stderr
    running = threading.Thread(target=lambda: result.append(cluster.ctl("install", "-y", "--readiness-timeout", "60s", ok=False)))
    result = []
    running.start()
    for name in ("istiod", "istio-ingressgateway"):
        live = wait(lambda: cluster.get(f"{APPS}/{name}"), 20)
        cluster.call("PATCH", f"{APPS}/{name}/status", {"status": {"observedGeneration": live["metadata"]["generation"], "replicas": 1, "updatedReplicas": 1,
                                                                    "readyReplicas": 1, "availableReplicas": 1}}, "application/merge-patch+json")
    running.join(60)
    assert result[0].returncode == 0 and "IngressGateways installed" in result[0].stdout, result[0].stderr


def test_tags(cluster):
    cluster.install("--set", "profile=minimal")
    cluster.install("--revision", "r2", "--set", "profile=minimal")
    assert "No Istio revision tag" in cluster.ctl("tag", "list").stdout
    assert "cannot find MutatingWebhookConfiguration with revision" in cluster.ctl("tag", "set", "prod", "--revision", "r9", ok=False).stderr
    assert "same name" in cluster.ctl("tag", "set", "r2", "--revision", "default", ok=False).stderr
    cluster.call("PATCH", HOOKS + "/istio-sidecar-injector-r2", [{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": base64.b64encode(
        Root("x").pem.encode()).decode()}], "application/json-patch+json")
    assert "istio.io/rev=prod" in cluster.ctl("tag", "set", "prod", "--revision", "r2").stdout
    hook = cluster.get(HOOKS + "/istio-revision-tag-prod")
    assert hook["webhooks"][0]["clientConfig"]["service"]["name"] == "istiod-r2" and hook["webhooks"][0]["clientConfig"]["caBundle"]
    assert cluster.get("/api/v1/namespaces/istio-system/services/istiod-revision-tag-prod")["spec"]["selector"]["istio.io/rev"] == "r2"
    assert "already exists" in cluster.ctl("tag", "set", "prod", "--revision", "default", ok=False).stderr
    cluster.ctl("tag", "set", "prod", "--revision", "default", "--overwrite")
    assert cluster.get(HOOKS + "/istio-revision-tag-prod")["webhooks"][0]["clientConfig"]["service"]["name"] == "istiod"
    cluster.namespace("shop", {"istio.io/rev": "prod"})
    cluster.namespace("old", {"istio-injection": "enabled"})
    # The default tag moves what no revision claims.
    cluster.ctl("tag", "set", "default", "--revision", "r2")
    assert cluster.get(CHECKS + "/istiod-default-validator")["webhooks"][0]["clientConfig"]["service"]["name"] == "istiod-r2"
    rows = json.loads(cluster.ctl("tag", "list", "-o", "json").stdout)
    assert rows == [{"tag": "default", "revision": "r2", "namespaces": ["old"]}, {"tag": "prod", "revision": "default", "namespaces": ["shop"]}]
    # istioctl sees the same tags.
    theirs = subprocess.run([programs.judge("istioctl"), "tag", "list", "-o", "json", "--kubeconfig", cluster.kubeconfig], capture_output=True, text=True)
    assert sorted((t["tag"], t["revision"]) for t in json.loads(theirs.stdout)) == [("default", "r2"), ("prod", "default")], theirs.stdout + theirs.stderr
    made = list(yaml.safe_load_all(cluster.ctl("tag", "generate", "next", "--revision", "r2").stdout))
    assert [d["kind"] for d in made] == ["Service", "MutatingWebhookConfiguration"]
    assert "was not removed" in cluster.ctl("tag", "remove", "prod", ok=False).stdout
    cluster.ctl("tag", "remove", "prod", "-y")
    assert cluster.get(HOOKS + "/istio-revision-tag-prod") is None and cluster.get("/api/v1/namespaces/istio-system/services/istiod-revision-tag-prod") is None
    assert "there is none" in cluster.ctl("tag", "remove", "prod", ok=False).stderr


# --- a control plane with the rights of its ServiceAccount ---------------------------------------------------------


def as_installed(cluster, port, name="istiod", env=None):
    """A coxswaind with the arguments, environment and ServiceAccount of its Deployment."""
    spec = cluster.get(f"{APPS}/{name}")["spec"]["template"]["spec"]
    answer = cluster.call("POST", f"/api/v1/namespaces/istio-system/serviceaccounts/{spec['serviceAccountName']}/token",
                          {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}})
    config = yaml.safe_load(open(cluster.kubeconfig))
    config["users"] = [{"name": "admin", "user": {"token": answer["status"]["token"]}}]
    path = os.path.join(cluster.dir, f"{name}.kubeconfig")
    with open(path, "w", opener=lambda p, flags: os.open(p, flags, 0o600)) as f:
        yaml.safe_dump(config, f)
    c = spec["containers"][0]
    given = {e["name"]: e.get("value", {"metadata.name": "istiod-0", "metadata.namespace": "istio-system"}.get(
        e.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath"), "")) for e in c["env"]}
    given["KUBECONFIG"] = path  # where the chart's Secret would be mounted
    args = [a for a in c["args"] if a != "discovery" and not a.startswith("--monitoringAddr")]
    return Coxswaind(source=args, args=["--httpsAddr", f"127.0.0.1:{port}"], env={**given, "ISTIOD_CUSTOM_HOST": "localhost", **(env or {})})


def aim_webhooks(cluster, port):
    """At an address that a kube-apiserver without a cluster network can reach."""
    for path in (HOOKS + "/istio-sidecar-injector", CHECKS + "/istiod-default-validator"):
        doc = cluster.get(path)
        for hook in doc["webhooks"]:
            hook["clientConfig"]["url"] = f"https://localhost:{port}{hook['clientConfig'].pop('service')['path']}"
        cluster.call("PUT", path, doc)


def audited(cluster):
    with open(cluster.audit_log) as f:
        return [e for e in map(json.loads, f) if e["user"]["username"] == "system:serviceaccount:istio-system:istiod"]


MESH = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: market}
spec: {hosts: [web], http: [{route: [{destination: {host: web}}]}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: out, namespace: market}
spec: {hosts: [out.example], resolution: STATIC, location: MESH_EXTERNAL, ports: [{number: 80, name: http, protocol: HTTP}], endpoints: [{address: 192.0.2.7}]}
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: istio}
spec: {controller: istio.io/ingress-controller}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: in, namespace: market}
spec: {ingressClassName: istio, rules: [{host: a.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]}
---
apiVersion: v1
kind: Service
metadata: {name: istio-ingressgateway, namespace: istio-system, labels: {istio: ingressgateway}}
spec: {externalIPs: [192.0.2.8], selector: {istio: ingressgateway}, ports: [{name: http, port: 80}]}
"""


# What this test has no occasion for: callers with tokens, gateways to deploy, virtual machines, rotation of a root, kinds that are not there.
SELDOM = {("authentication.k8s.io", "tokenreviews"), ("authorization.k8s.io", "subjectaccessreviews"), ("apps", "deployments"),
          ("autoscaling", "horizontalpodautoscalers"), ("policy", "poddisruptionbudgets"), ("gateway.networking.k8s.io", "gatewayclasses"),
          ("networking.istio.io", "workloadentries"), ("", "events"), ("", "configmaps", "delete"), ("", "services", "create"), ("", "services", "patch"),
          ("", "services", "get"), ("", "serviceaccounts", "get"), ("", "serviceaccounts", "create"), ("", "serviceaccounts", "patch"),
          ("", "secrets", "update"), ("", "secrets", "delete"), ("", "secrets", "get"), ("networking.k8s.io", "ingressclasses", "get")}
SELDOM_GROUPS = {"multicluster.x-k8s.io", "split.smi-spec.io", "specs.smi-spec.io", "access.smi-spec.io", "gateway.networking.k8s.io", "extensions.istio.io", "telemetry.istio.io",
                 "traffic.coxswain.io", "security.istio.io"}


def test_rights_are_enough_and_no_more(cluster):
    """covers: h6  The audit log of a coxswaind at work under the chart's rights: nothing was forbidden, and hardly a right was not used."""
    cluster.install("--set", "profile=minimal")
    cluster.namespace("market")
    cluster.service("market", "web")
    port = free_port()
    with as_installed(cluster, port, env={"COXSWAIN_LEASE_DURATION": "4s"}) as daemon:
        daemon.wait_ready()
        aim_webhooks(cluster, port)
        cluster.kubectl("apply", "-f", "-", stdin=MESH)
        wait(lambda: all(h["clientConfig"].get("caBundle") for h in cluster.get(HOOKS + "/istio-sidecar-injector")["webhooks"]), 30)
        wait(lambda: cluster.get(CHECKS + "/istiod-default-validator")["webhooks"][0]["failurePolicy"] == "Fail", 30)
        wait(lambda: cluster.get("/api/v1/namespaces/market/configmaps/istio-ca-root-cert"), 30)
        wait(lambda: cluster.get("/apis/networking.istio.io/v1/namespaces/market/virtualservices/web").get("status", {}).get("conditions"), 30)
        wait(lambda: cluster.get("/apis/networking.k8s.io/v1/namespaces/market/ingresses/in").get("status", {}).get("loadBalancer"), 40)
        assert cluster.get("/api/v1/namespaces/istio-system/secrets/istio-ca-secret")
        time.sleep(1)
        text = daemon.log_text()
    assert "orbidden" not in text, [line for line in text.splitlines() if "orbidden" in line]
    time.sleep(1.5)
    events = audited(cluster)
    wrong = {(e["verb"], e["requestURI"].split("?")[0]) for e in events if e.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid"}
    assert not wrong
    used = set()
    for e in events:
        o = e.get("objectRef") or {}
        used.add((o.get("apiGroup", ""), o.get("resource", "") + ("/" + o["subresource"] if o.get("subresource") else ""), e["verb"]))
    unused = set()
    for path in (f"{RBAC}/clusterroles/istiod-clusterrole-istio-system", f"{RBAC}/namespaces/istio-system/roles/istiod"):
        for rule in cluster.get(path)["rules"]:
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    for verb in rule["verbs"]:
                        if not any(g == group and v == verb and (resource in ("*", r) or (resource == "*/status" and r.endswith("/status"))) for g, r, v in used):
                            unused.add((group, resource, verb))
    rest = {u for u in unused if u[:2] not in SELDOM and u not in SELDOM and u[0] not in SELDOM_GROUPS and not u[1].endswith("/status")}
    assert not rest, "rights that nobody needs"


def istios_chart(*sets):
    chart = os.path.join(programs.judge("istio"), "manifests/charts/istio-control/istio-discovery")
    return subprocess.run([programs.judge("helm"), "template", "istiod", chart, "-n", "istio-system", *[w for s in sets for w in ("--set", s)]],
                          capture_output=True, text=True, check=True).stdout


def test_an_istiod_is_replaced_and_replaces_us(cluster):
    """covers: h11 h12  Objects as Istio's chart makes them; its CA, settings and locks are what coxswaind works with; then the way back."""
    theirs = istios_chart("meshConfig.accessLogFile=/dev/mine", "meshConfig.trustDomain=td.example")
    for name in sorted(os.listdir(os.path.join(kubelab.TREE, "crd"))):
        cluster.crd(os.path.join(kubelab.TREE, "crd", name))
    cluster.namespace("istio-system")
    cluster.kubectl("apply", "--server-side", "--field-manager=helm", "-f", "-", stdin=theirs)
    folder = os.path.join(cluster.dir, "citadel")
    os.makedirs(folder)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-subj", "/O=td.example", "-addext", "keyUsage=critical,keyCertSign",
                    "-addext", "basicConstraints=critical,CA:TRUE", "-keyout", f"{folder}/key", "-out", f"{folder}/cert"], check=True, capture_output=True)
    subprocess.run(["openssl", "rsa", "-traditional", "-in", f"{folder}/key", "-out", f"{folder}/key1"], check=True, capture_output=True)
    read = lambda n: base64.b64encode(open(f"{folder}/{n}", "rb").read()).decode()  # noqa: E731
    secret = {"metadata": {"name": "istio-ca-secret"}, "type": "istio.io/ca-root", "data": {"ca-cert.pem": read("cert"), "ca-key.pem": read("key1"),
                                                                                             "cert-chain.pem": "", "key.pem": "", "root-cert.pem": ""}}
    cluster.call("POST", "/api/v1/namespaces/istio-system/secrets", secret)
    before = {name: cluster.get(f"{APPS}/istiod")["metadata"][name] for name in ("uid",)}

    cluster.install("--set", "profile=minimal", "--set", "meshConfig.accessLogFile=/dev/mine", "--set", "meshConfig.trustDomain=td.example")
    live = cluster.get(f"{APPS}/istiod")
    assert live["metadata"]["uid"] == before["uid"], "taken over, not made anew"
    container = live["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "coxswain.io/coxswaind:latest" and container["name"] == "discovery" and len(live["spec"]["template"]["spec"]["containers"]) == 1
    with as_installed(cluster, free_port()) as daemon:
        daemon.wait_ready()
        roots = wait(lambda: cluster.get("/api/v1/namespaces/istio-system/configmaps/istio-ca-root-cert"), 30)
        assert base64.b64encode(roots["data"]["root-cert.pem"].strip().encode() + b"\n").decode() == secret["data"]["ca-cert.pem"], "the CA that was there signs"
        assert "trust-domain=td.example" in daemon.log_text()
        hook = wait(lambda: (lambda h: h if h["clientConfig"].get("caBundle") else None)(cluster.get(HOOKS + "/istio-sidecar-injector")["webhooks"][0]), 20)
        assert base64.b64decode(hook["clientConfig"]["caBundle"]).strip() == roots["data"]["root-cert.pem"].strip().encode()
        assert "orbidden" not in daemon.log_text()
    kept = cluster.get("/api/v1/namespaces/istio-system/secrets/istio-ca-secret")["data"]
    assert kept["ca-cert.pem"] == secret["data"]["ca-cert.pem"] and kept["ca-key.pem"] == secret["data"]["ca-key.pem"]

    # The way back: Istio's own chart over ours.
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=helm", "-f", "-", stdin=theirs)
    live = cluster.get(f"{APPS}/istiod")
    wanted = next(d for d in yaml.safe_load_all(theirs) if d and d["kind"] == "Deployment")["spec"]["template"]["spec"]["containers"][0]
    container = live["spec"]["template"]["spec"]["containers"][0]
    assert live["metadata"]["uid"] == before["uid"] and container["image"] == wanted["image"] and container["args"] == wanted["args"]
    assert {e["name"] for e in wanted["env"]} <= {e["name"] for e in container["env"]}
    role = next(d for d in yaml.safe_load_all(theirs) if d and d["kind"] == "ClusterRole" and d["metadata"]["name"] == "istiod-clusterrole-istio-system")
    assert cluster.get(f"{RBAC}/clusterroles/istiod-clusterrole-istio-system")["rules"] == role["rules"], "istiod has its rights again"
    injector = next(d for d in yaml.safe_load_all(theirs) if d and d["metadata"]["name"] == "istio-sidecar-injector" and d["kind"] == "ConfigMap")
    assert cluster.get("/api/v1/namespaces/istio-system/configmaps/istio-sidecar-injector")["data"]["config"] == injector["data"]["config"]
    assert cluster.get("/api/v1/namespaces/istio-system/secrets/istio-ca-secret")["data"]["ca-key.pem"] == secret["data"]["ca-key.pem"]
