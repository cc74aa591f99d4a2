"""coxctl against a real kube-apiserver: pods by their names, and their ports through a kubelet (a small one: test/lib/fakekubelet.py).

covers: f4 f5 f6 f9 f15 f16 f22 f23
"""
import base64
import concurrent.futures
import http.server
import json
import os
import re
import signal
import stat
import subprocess
import tarfile
import threading
import urllib.request

import pytest
import yaml

from fakekubelet import Kubelet
from istiojudge import COXCTL, coxctl, istioctl

BIG = 24 * 1024 * 1024


def roots(*names):
    return {"configs": [{"@type": "type.googleapis.com/envoy.admin.v3.SecretsConfigDump", "dynamic_active_secrets": [
        {"name": "ROOTCA", "secret": {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret", "name": "ROOTCA",
                                      "validation_context": {"trusted_ca": {"inline_bytes": n}}}} for n in names]}]}


class Admin(http.server.BaseHTTPRequestHandler):
    """What Envoy's administration port says; a large dump, too."""
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, body):
        data = json.dumps(body).encode() if not isinstance(body, bytes) else body
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        clusters = [{"cluster": {"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": "outbound|80||big.shop.svc.cluster.local", "type": "EDS",
                                 "alt_stat_name": "x" * self.server.padding}}]
        self.answer(self.server.dump or {"configs": [{"@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump", "dynamic_active_clusters": clusters}]})

    def do_POST(self):
        self.server.posted.append(self.path)
        self.answer(b"active loggers:\n  http: debug\n")


@pytest.fixture
def admin():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Admin)
    server.dump, server.padding, server.posted = None, 10, []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def kubelet(lab, tmp_path_factory):
    one = Kubelet(lab, tmp_path_factory.mktemp("kubelet"), "coxctl-node")
    yield one
    one.close()


def test_a_pods_own_port(lab, ns, kubelet, admin):
    """By pod, Deployment and Service; 24 MiB; a POST; what the kubelet has against it; names that are none."""
    kubelet.pod(ns, "web-0", {"app": "web"})
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "app", "image": "app"}]}}
    lab.apply(f"/apis/apps/v1/namespaces/{ns}/deployments/web", {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": ns},
                                                                  "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template}})
    lab.apply(f"/api/v1/namespaces/{ns}/services/web", {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": ns},
                                                         "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}})
    live = ["--kubeconfig", lab.kubeconfig, "--proxy-admin-port", admin.server_port]
    for who in ([f"web-0.{ns}"], ["web-0", "-n", ns], [f"pod/web-0.{ns}"], [f"deploy/web.{ns}"], [f"svc/web.{ns}"]):
        done = coxctl("pc", "c", *who, *live)
        assert done.returncode == 0 and done.stdout.splitlines()[1].split()[:2] == ["big.shop.svc.cluster.local", "80"], (who, done)
    assert f"/portForward/{ns}/web-0?port={admin.server_port}" in kubelet.asked
    admin.padding = BIG
    done = coxctl("pc", "c", f"web-0.{ns}", *live, "-o", "json")
    assert done.returncode == 0 and len(json.loads(done.stdout)[0]["altStatName"]) == BIG
    done = coxctl("pc", "log", f"web-0.{ns}", *live, "--level", "http:debug,redis:info")
    assert done.stdout == f"web-0.{ns}:\nactive loggers:\n  http: debug\n" and admin.posted == ["/logging?http=debug", "/logging?redis=info"]

    closed = coxctl("pc", "c", f"web-0.{ns}", "--kubeconfig", lab.kubeconfig, "--proxy-admin-port", "1")
    assert closed.returncode == 1 and f"pod {ns}/web-0 port 1: " in closed.stderr and "an error occurred forwarding 1" in closed.stderr
    for who, says in ((f"none.{ns}", f"Pod {ns}/none: pods \"none\" not found"), (f"deploy/none.{ns}", f"Deployment {ns}/none: "), (f"cm/x.{ns}", "no kind that has pods")):
        done = coxctl("pc", "c", who, *live)
        assert done.returncode == 1 and says in done.stderr, done


def test_same_roots(lab, ns, kubelet, admin):
    for name in ("a", "b"):
        kubelet.pod(ns, name)
    ask = ["pc", "rootca-compare", f"a.{ns}", f"b.{ns}", "--kubeconfig", lab.kubeconfig, "--proxy-admin-port", admin.server_port]
    admin.dump = roots("QQ==")
    same = coxctl(*ask)
    assert same.returncode == 0 and "identical ROOTCA" in same.stdout and "is available" in same.stdout
    admin.dump = {"configs": []}
    assert "has no secret ROOTCA" in coxctl(*ask).stderr


def test_may_not(lab, ns, kubelet, admin, tmp_path):
    """Who may not forward is told the kube-apiserver's reason."""
    kubelet.pod(ns, "web-0")
    lab.apply(f"/api/v1/namespaces/{ns}/serviceaccounts/guest", {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "guest", "namespace": ns}})
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    lab.apply(f"/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/roles/guest", {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
                                                                                   "metadata": {"name": "guest", "namespace": ns}, "rules": rules})
    lab.apply(f"/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/rolebindings/guest", {
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "guest", "namespace": ns},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "guest"}, "subjects": [{"kind": "ServiceAccount", "name": "guest", "namespace": ns}]})
    token = lab.call("POST", f"/api/v1/namespaces/{ns}/serviceaccounts/guest/token", {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}})
    config = yaml.safe_load(open(lab.kubeconfig))
    for user in config["users"]:
        user["user"] = {"token": token["status"]["token"]}
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    os.chmod(path, 0o600)
    done = coxctl("pc", "c", f"web-0.{ns}", "--kubeconfig", path, "--proxy-admin-port", admin.server_port)
    assert done.returncode == 1 and "403 Forbidden" in done.stderr and "pods/portforward" in done.stderr, done


def test_dashboard(lab, ns, kubelet, admin):
    """Its address is printed and leads to the pod, also for several at once; an interrupt ends it well. covers: f16"""
    kubelet.pod(ns, "web-0", {"app": "web"})
    board = subprocess.Popen([COXCTL, "dashboard", "proxy", f"pod/web-0.{ns}", "--ui-port", str(admin.server_port), "--browser=false", "--kubeconfig", lab.kubeconfig],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        url = board.stdout.readline().strip()
        assert re.fullmatch(r"http://localhost:\d+/", url), board.stderr.read()
        address = url.replace("localhost", "127.0.0.1")
        admin.padding = 1 << 20
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            sizes = list(pool.map(lambda _: len(urllib.request.urlopen(address, timeout=20).read()), range(8)))
        assert min(sizes) > 1 << 20 and len(set(sizes)) == 1
    finally:
        board.send_signal(signal.SIGINT)
        out, err = board.communicate(timeout=10)
    assert board.returncode == 0 and err == "", err
    assert "no pod runs in namespace" in coxctl("dashboard", "prometheus", "-i", ns, "--browser=false", kubeconfig=lab.kubeconfig).stderr
    assert coxctl("dash", "nothing", kubeconfig=lab.kubeconfig).returncode == 2


def test_bug_report(lab, ns, kubelet, admin, tmp_path):
    """Objects, logs and dumps in one archive; secrets are not in it; what cannot be asked is told. covers: f15"""
    lab.apply(f"/api/v1/namespaces/{ns}/secrets/keys", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys", "namespace": ns}, "stringData": {"tls.key": "do-not-tell"}})
    env = [{"name": "DB_PASSWORD", "value": "do-not-tell"}, {"name": "COLOUR", "value": "green"}]
    kubelet.pod(ns, "web-0", {"app": "web"}, containers=[{"name": "istio-proxy", "image": "proxy", "env": env}])
    kubelet.pod(ns, "plane-0", {"app": "istiod"}, containers=[{"name": "discovery", "image": "plane"}])
    ask = ["bug-report", "-i", ns, "--include", ns, "--output-dir", tmp_path, "--tail", "10", "--proxy-admin-port", admin.server_port, "--control-port", admin.server_port]
    done = coxctl(*ask, kubeconfig=lab.kubeconfig)
    path = tmp_path / "bug-report.tar"
    assert done.returncode == 0 and str(path) in done.stdout and done.stderr == "", done
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    with tarfile.open(path) as tar:
        files = {m.name: tar.extractfile(m).read().decode() for m in tar.getmembers()}
    assert "do-not-tell" not in "".join(files.values())
    secrets = [o for o in yaml.safe_load_all(files["cluster/Secret.yaml"]) if o["metadata"]["name"] == "keys"]
    assert secrets[0]["data"] == {"tls.key": "REDACTED"} and "managedFields" not in secrets[0]["metadata"]
    pod = [o for o in yaml.safe_load_all(files["cluster/Pod.yaml"]) if o["metadata"]["namespace"] == ns and o["metadata"]["name"] == "web-0"][0]
    assert pod["spec"]["containers"][0]["env"] == [{"name": "DB_PASSWORD", "value": "REDACTED"}, {"name": "COLOUR", "value": "green"}] and pod["kind"] == "Pod"
    assert json.loads(files[f"proxies/{ns}/web-0/config_dump.json"])["configs"] and "istiod/plane-0/syncz.json" in files and "cluster/version.json" in files
    assert f"proxies/{ns}/web-0/istio-proxy.log" in files["errors.txt"], "the small kubelet has no logs"
    assert coxctl(*ask[:-6], "--output-dir", "/nowhere", kubeconfig=lab.kubeconfig).returncode == 1


# --- remote secrets, injectors: istioctl is the judge ------------------------------------------------------------------------

@pytest.fixture
def tokens(lab):
    """Gives secrets of service accounts their tokens, as kube-controller-manager would (there is none here)."""
    over = threading.Event()

    def run():
        ca = base64.b64encode(open(os.path.join(lab.dir, "ca.crt"), "rb").read()).decode() if os.path.exists(os.path.join(lab.dir, "ca.crt")) else "Q0E="
        while not over.wait(0.1):
            for s in (lab.api.call("GET", "/api/v1/secrets?fieldSelector=type%3Dkubernetes.io/service-account-token") or {}).get("items", []):
                if not (s.get("data") or {}).get("token"):
                    meta = s["metadata"]
                    lab.call("PATCH", f"/api/v1/namespaces/{meta['namespace']}/secrets/{meta['name']}", {"data": {"token": "dG9rZW4=", "ca.crt": ca}}, "application/merge-patch+json")
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield
    over.set()
    thread.join()


def secret_of(text):
    assert text.startswith("# This file is autogenerated, do not edit.\n") and text.endswith("---\n")
    secret = next(iter(yaml.safe_load_all(text)))
    secret["data"] = {k: yaml.safe_load(v) for k, v in secret.pop("stringData").items()}
    for config in secret["data"].values():
        config.pop("preferences", None)
    secret["metadata"].pop("creationTimestamp", None)
    return secret


def test_remote_secret(lab, ns, tokens):
    """Made from nothing; then istioctl, which finds what we made, prints the same. covers: f9"""
    ask = ["create-remote-secret", "--name", "east", "-i", ns]
    first = coxctl(*ask, kubeconfig=lab.kubeconfig)
    assert first.returncode == 0 and "--server" in first.stderr, first
    secret = secret_of(first.stdout)
    assert secret["metadata"] == {"name": "istio-remote-secret-east", "namespace": ns, "annotations": {"networking.istio.io/cluster": "east"},
                                  "labels": {"istio/multiCluster": "true"}}
    assert secret["data"]["east"]["users"] == [{"name": "east", "user": {"token": "token"}}]
    role = lab.call("GET", f"/apis/rbac.authorization.k8s.io/v1/clusterroles/istio-reader-clusterrole-{ns}")
    assert any("endpointslices" in r.get("resources", []) for r in role["rules"])
    for more in ([], ["--server", "https://east.example:6443", "--tls-server-name", "kubernetes"], ["--type", "config", "--service-account", "istio-reader-service-account"]):
        theirs, ours = istioctl(*ask, *more, kubeconfig=lab.kubeconfig), coxctl(*ask, *more, kubeconfig=lab.kubeconfig)
        assert theirs.returncode == 0 and secret_of(ours.stdout) == secret_of(theirs.stdout), (more, theirs, ours)
    named = coxctl("create-remote-secret", "-i", ns, kubeconfig=lab.kubeconfig)
    assert secret_of(named.stdout)["metadata"]["annotations"]["networking.istio.io/cluster"] == lab.call("GET", "/api/v1/namespaces/kube-system")["metadata"]["uid"]
    none = coxctl(*ask, "--service-account", "nobody", kubeconfig=lab.kubeconfig)
    assert none.returncode == 1 and f"ServiceAccount {ns}/nobody: " in none.stderr and none.stdout == ""
    lab.delete(f"/apis/rbac.authorization.k8s.io/v1/clusterroles/istio-reader-clusterrole-{ns}")
    lab.delete(f"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/istio-reader-clusterrole-{ns}")


def expression(key, operator, *values):
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


def hook(name, spaces, pods):
    return {"name": name, "clientConfig": {"url": "https://127.0.0.1:1/inject"}, "failurePolicy": "Ignore", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "timeoutSeconds": 1, "namespaceSelector": {"matchExpressions": spaces}, "objectSelector": {"matchExpressions": pods},
            "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}]}


def cells(text):
    return sorted(re.split(r"\s{2,}", re.sub(r"\x1b\[[0-9;]*m", "", line).strip()) for line in text.splitlines())


@pytest.fixture
def hooks(lab, ns):
    """Two revisions, as Istio registers them."""
    no = expression("sidecar.istio.io/inject", "NotIn", "false")
    sets = {f"default-{ns}": ("default", [hook("namespace.sidecar-injector.istio.io", [expression("istio-injection", "In", "enabled")], [no]),
                                          hook("object.sidecar-injector.istio.io", [expression("istio-injection", "DoesNotExist"), expression("istio.io/rev", "DoesNotExist")],
                                               [expression("sidecar.istio.io/inject", "In", "true"), expression("istio.io/rev", "DoesNotExist")])]),
            f"canary-{ns}": ("canary", [hook("rev.namespace.sidecar-injector.istio.io", [expression("istio.io/rev", "In", "canary")], [no])])}
    for name, (rev, webhooks) in sets.items():
        lab.apply(f"/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{name}", {
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": name, "labels": {"app": "sidecar-injector", "istio.io/rev": rev}}, "webhooks": webhooks})
    yield
    for name in sets:
        lab.delete(f"/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{name}")


def test_injectors(lab, ns, kubelet, hooks):
    """Which injector takes a pod and why: as istioctl says, for namespaces and pods of all sorts. covers: f22 f23"""
    live = {"kubeconfig": lab.kubeconfig}
    for space, pod, status in (({}, "app=a", 1), ({"istio-injection": "enabled"}, "app=a", 0), ({"istio-injection": "enabled"}, "sidecar.istio.io/inject=false", 1),
                               ({"istio-injection": "disabled"}, "sidecar.istio.io/inject=true", 1), ({}, "sidecar.istio.io/inject=true", 0), ({"istio.io/rev": "canary"}, "app=a", 0),
                               ({"istio.io/rev": "canary", "istio-injection": "enabled"}, "app=a", 1)):
        lab.call("PATCH", f"/api/v1/namespaces/{ns}", {"metadata": {"labels": {"istio-injection": None, "istio.io/rev": None, **space}}}, "application/merge-patch+json")
        theirs, ours = istioctl("x", "check-inject", "-n", ns, "-l", pod, **live), coxctl("x", "check-inject", "-n", ns, "-l", pod, **live)
        assert cells(ours.stdout) == cells(theirs.stdout) and ours.returncode == status, (space, pod, theirs, ours)
    lab.call("PATCH", f"/api/v1/namespaces/{ns}", {"metadata": {"labels": {"istio-injection": None, "istio.io/rev": "canary"}}}, "application/merge-patch+json")
    lab.apply(f"/api/v1/namespaces/{ns}/configmaps/injector", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "injector", "namespace": ns, "labels": {"istio.io/rev": "canary"}},
                                                              "data": {"values": '{"global": {"hub": "h.example", "tag": "9", "proxy": {"image": "proxyv2"}}}'}})
    kubelet.pod(ns, "old", {"app": "web"}, annotations={"sidecar.istio.io/status": '{"revision": "default"}'})
    kubelet.pod(ns, "new", {"app": "web"}, annotations={"sidecar.istio.io/status": '{"revision": "canary"}'})
    kubelet.pod(ns, "off", {"sidecar.istio.io/inject": "false"})
    assert cells(coxctl("check-inject", f"old.{ns}", **live).stdout) == cells(istioctl("x", "check-inject", f"old.{ns}", **live).stdout)
    theirs, ours = istioctl("x", "injector", "list", **live), coxctl("x", "injector", "list", **live)
    mine = [line for line in theirs.stdout.splitlines() if ns in line]
    assert len(mine) == 5 and sorted(ours.stdout.splitlines()) == sorted(theirs.stdout.splitlines()), (theirs.stdout, ours.stdout)
