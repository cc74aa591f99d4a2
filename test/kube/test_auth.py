"""Credentials against a real kube-apiserver."""
import json
import os
import stat
import subprocess
import time

import kubelab
import pytest
import yaml
from kubelab import wait

BIND = "/apis/rbac.authorization.k8s.io/v1"


def account(lab, ns, name, rules=None):
    """A service account that may read everything (or only `rules`)."""
    lab.apply(f"/api/v1/namespaces/{ns}/serviceaccounts/{name}", {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": ns}})
    role = f"{ns}-{name}"
    lab.apply(f"{BIND}/clusterroles/{role}", {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": role},
                                              "rules": rules or [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}]})
    lab.apply(f"{BIND}/clusterrolebindings/{role}", {
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": role},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": ns}]})


def token(lab, ns, name, seconds=3600):
    return lab.call("POST", f"/api/v1/namespaces/{ns}/serviceaccounts/{name}/token", {
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": max(600, seconds)}})["status"]["token"]


def kubeconfig(lab, path, user, **cluster):
    path.write_text(yaml.safe_dump({
        "apiVersion": "v1", "kind": "Config", "current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": f"https://127.0.0.1:{lab.port}", "certificate-authority": os.path.join(lab.dir, "certs/ca.crt"), **cluster}}],
        "users": [{"name": "u", "user": user}]}))
    return path


def test_token_file_rotated(lab, driver, ns, tmp_path):
    """A new token in the file is used when the old one no longer works. covers: g43"""
    account(lab, ns, "one")
    account(lab, ns, "two")
    path = tmp_path / "token"
    path.write_text(token(lab, ns, "one"))
    d = driver(kubeconfig=kubeconfig(lab, tmp_path / "k", {"tokenFile": "token"}))
    d.expect("synced")
    # As the kubelet does it: the new file replaces the old; then the old account is gone.
    (tmp_path / "new").write_text(token(lab, ns, "two") + "\n")
    os.rename(tmp_path / "new", path)
    lab.delete(f"/api/v1/namespaces/{ns}/serviceaccounts/one")
    mark = d.mark()
    lab.kill_api()
    lab.start_api()
    lab.service(ns, "after")
    d.expect(f"put Service/{ns}/after ", 20, mark)
    assert not [e for e in d.errors if "status 401" in e and "after" in e]


def test_service_account_of_a_pod(lab, driver, ns, tmp_path):
    """In-cluster credentials; the server is verified. covers: b32"""
    account(lab, ns, "pod")
    (tmp_path / "token").write_text(token(lab, ns, "pod"))
    with open(os.path.join(lab.dir, "certs/ca.crt")) as f:
        (tmp_path / "ca.crt").write_text(f.read())
    d = driver("--in-cluster", "127.0.0.1", str(lab.port), str(tmp_path))
    d.expect("synced")


def plugin(tmp_path, body):
    path = tmp_path / "plugin"
    path.write_text(body)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def exec_user(**more):
    return {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin", "interactiveMode": "Never", **more}}


def test_exec_plugin_with_token(lab, driver, ns, tmp_path):
    """Run once, cached until it expires, run again; sees what the cluster is. covers: b32"""
    account(lab, ns, "x")
    expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 11))
    plugin(tmp_path, f"""#!/bin/sh
echo run >>{tmp_path}/runs
printf '%s' "$KUBERNETES_EXEC_INFO" >{tmp_path}/info
[ "$MODE $1" = "good arg" ] || exit 3
cat {tmp_path}/answer
""")
    (tmp_path / "answer").write_text(json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
                                                 "status": {"token": token(lab, ns, "x"), "expirationTimestamp": expires}}))
    user = exec_user(args=["arg"], env=[{"name": "MODE", "value": "good"}], provideClusterInfo=True)
    d = driver(kubeconfig=kubeconfig(lab, tmp_path / "k", user))
    d.expect("synced")
    runs = lambda: len((tmp_path / "runs").read_text().split())
    assert runs() == 1
    info = json.loads((tmp_path / "info").read_text())
    assert info["kind"] == "ExecCredential" and info["spec"]["cluster"]["server"].endswith(str(lab.port)) and info["spec"]["interactive"] is False
    wait(lambda: runs() >= 2, 15)  # a probe behind the expiry


def test_exec_plugin_with_certificate(lab, driver, tmp_path):
    """covers: b32"""
    with open(os.path.join(lab.dir, "certs/admin.crt")) as c, open(os.path.join(lab.dir, "certs/admin.key")) as k:
        answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
                  "status": {"clientCertificateData": c.read(), "clientKeyData": k.read()}}
    (tmp_path / "answer").write_text(json.dumps(answer))
    plugin(tmp_path, f"#!/bin/sh\ncat {tmp_path}/answer\n")
    d = driver(kubeconfig=kubeconfig(lab, tmp_path / "k", exec_user()))
    d.expect("synced")


@pytest.mark.parametrize("body,says", [("#!/bin/sh\necho no money >&2; exit 7\n", "status 7: no money"), ("#!/bin/sh\necho '{}'\n", "ExecCredential"),
                                       (None, "plugin")])
def test_exec_plugin_that_fails(lab, driver, tmp_path, body, says):
    """The message names the plug-in and why; it is tried again. covers: b42"""
    if body:
        plugin(tmp_path, body)
    d = driver(kubeconfig=kubeconfig(lab, tmp_path / "k", exec_user()))
    wait(lambda: any(says in e and "plugin" in e for e in d.errors), 10)
    assert not [x for x in d.since() if x == "synced"]


def test_wrong_ca_is_refused(lab, driver, tmp_path):
    """A server that another CA signed gets no request. covers: b32"""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=other",
                    "-keyout", tmp_path / "o.key", "-out", tmp_path / "o.crt"], check=True, capture_output=True)
    with open(os.path.join(lab.dir, "certs/admin.crt")) as c:
        assert c.read()
    user = {"client-certificate": os.path.join(lab.dir, "certs/admin.crt"), "client-key": os.path.join(lab.dir, "certs/admin.key")}
    d = driver(kubeconfig=kubeconfig(lab, tmp_path / "k", user, **{"certificate-authority": str(tmp_path / "o.crt")}))
    wait(lambda: any("cannot be watched" in e for e in d.errors), 10)
    assert not [x for x in d.since() if x.startswith(("put", "synced"))]


def test_server_name(lab, driver, tmp_path):
    """tls-server-name is what is verified. covers: b32"""
    user = {"client-certificate": os.path.join(lab.dir, "certs/admin.crt"), "client-key": os.path.join(lab.dir, "certs/admin.key")}
    d = driver(kubeconfig=kubeconfig(lab, tmp_path / "k", user, **{"tls-server-name": "kubernetes.default.svc", "proxy-url": "http://127.0.0.1:1"}))
    d.expect("synced")
    assert "proxy-url" in d.expect("warning ")
    bad = driver(kubeconfig=kubeconfig(lab, tmp_path / "k2", user, **{"tls-server-name": "elsewhere.example"}))
    wait(lambda: any("cannot be watched" in e for e in bad.errors), 10)


def test_forbidden_kind_does_not_block(lab, driver, ns, tmp_path):
    """A kind that we may not list is said once, counted, and counts as empty; when it is allowed it comes. covers: b51"""
    account(lab, ns, "poor", [{"apiGroups": [""], "resources": ["namespaces", "services", "nodes", "serviceaccounts", "configmaps"], "verbs": ["get", "list", "watch"]},
                              {"apiGroups": ["discovery.k8s.io", "networking.istio.io"], "resources": ["*"], "verbs": ["get", "list", "watch"]}])
    (tmp_path / "token").write_text(token(lab, ns, "poor"))
    d = driver(kubeconfig=kubeconfig(lab, tmp_path / "k", {"tokenFile": "token"}))
    d.expect("synced", 10)
    assert d.stats()["Pod"]["state"] == "denied"
    assert "forbidden" in d.expect("report Pod// errors=1")
    assert len([e for e in d.errors if "kind may not be listed" in e and "kind=Pod" in e]) == 1
    account(lab, ns, "poor")
    wait(lambda: d.stats()["Pod"]["state"] == "watch", 20)


def test_warned_and_refused_at_start(lab, tmp_path):
    """A kubeconfig that cannot be used: one line naming file and field. covers: b42"""
    path = tmp_path / "k"
    path.write_text("apiVersion: v1\nkind: Config\ncurrent-context: nope\n")
    done = subprocess.run([os.path.join(kubelab.BUILD, "kube-driver"), "--kubeconfig", path], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=10)
    assert done.returncode == 1 and str(path) in done.stderr and "contexts[name=nope]" in done.stderr
