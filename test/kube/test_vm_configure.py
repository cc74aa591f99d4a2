"""coxctl workload entry configure: what it writes is enough for a real agent to join a real control plane and register itself.

covers: a142 b48 f27
"""
import glob
import os
import shlex
import stat
import subprocess

import kubelab
from agentlab import Agent
from coxswain import BUILD, Coxswaind
from kubelab import wait


def coxctl(*args, ok=True):
    done = subprocess.run([os.path.join(BUILD, "coxctl"), *args], capture_output=True, text=True)
    assert (done.returncode == 0) == ok, done
    return done


def environment(path):
    """As a shell reads it."""
    with open(path) as f:
        return dict(shlex.split(line)[0].split("=", 1) for line in f)


def test_files_let_a_machine_join(lab, ns, tmp_path):
    for path in sorted(glob.glob(os.path.join(kubelab.TREE, "crd/*.yaml"))):
        lab.crd(path)
    lab.apply(f"/api/v1/namespaces/{ns}/serviceaccounts/teller", {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "teller", "namespace": ns}})
    group = tmp_path / "group.yaml"
    group.write_text(coxctl("x", "workload", "group", "create", "--name", "pay", "-n", ns, "-l", "app=pay", "-p", "http=8080", "-s", "teller").stdout)
    lab.apply(f"/apis/networking.istio.io/v1/namespaces/{ns}/workloadgroups/pay", __import__("yaml").safe_load(group.read_text()))
    out = tmp_path / "files"
    with Coxswaind(source=["--kubeconfig", lab.kubeconfig]) as c:
        c.wait_ready()
        wait(lambda: lab.api.call("GET", f"/api/v1/namespaces/{ns}/configmaps/istio-ca-root-cert"), 60)
        done = coxctl("workload", "entry", "configure", "--name", "pay", "-n", ns, "-o", str(out), "--autoregister", "--internalIP", "127.0.0.1",
                      "--kubeconfig", lab.kubeconfig)
        assert f"{ns}/teller" in done.stderr and "--ingressIP" in done.stderr
        assert sorted(os.listdir(out)) == ["cluster.env", "hosts", "istio-token", "mesh.yaml", "root-cert.pem"]
        assert stat.S_IMODE(os.stat(out / "istio-token").st_mode) == 0o600
        env = environment(out / "cluster.env")
        assert env["ISTIO_META_AUTO_REGISTER_GROUP"] == "pay" and env["SERVICE_ACCOUNT"] == "teller" and env["POD_NAMESPACE"] == ns
        port = c._port("ads listening over TLS")
        with Agent(f"127.0.0.1:{port}", (out / "root-cert.pem").read_text(), (out / "istio-token").read_text(), {**env, "POD_NAME": "machine", "DISABLE_ENVOY": "true"}):
            entry = wait(lambda: lab.api.call("GET", f"/apis/networking.istio.io/v1/namespaces/{ns}/workloadentries/pay-127.0.0.1"), 30)
            assert entry["spec"]["serviceAccount"] == "teller" and entry["spec"]["ports"] == {"http": 8080} and entry["metadata"]["labels"]["app"] == "pay"
        missing = coxctl("workload", "entry", "configure", "--name", "none", "-n", ns, "-o", str(out), "--kubeconfig", lab.kubeconfig, ok=False)
        assert f"WorkloadGroup {ns}/none: " in missing.stderr and "not found" in missing.stderr
        same = coxctl("workload", "entry", "configure", "-f", str(group), "-o", str(tmp_path / "again"), "--kubeconfig", lab.kubeconfig, "--ingressIP", "192.0.2.9")
        assert (tmp_path / "again/hosts").read_text() == "192.0.2.9 istiod.istio-system.svc\n" and "--ingressIP" not in same.stderr
