"""coxctl against a real kube-apiserver: pods by their names, and their ports through a kubelet (a small one: test/lib/fakekubelet.py).

covers: f4 f5 f6
"""
import http.server
import json
import os
import threading

import pytest
import yaml

from fakekubelet import Kubelet
from istiojudge import coxctl

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
