"""A real etcd and kube-apiserver for tests (hack/kube-up), and a small client with the administrator's certificate."""
import base64
import json
import os
import subprocess
import time
import urllib.parse
import urllib.request

from coxlab.source_kube import Api

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("BUILD", os.path.join(TREE, "build"))


# istiod's names for the locks of jobs that one replica does for all (lib/status/lead.h).
LOCK_MAPS = ["istio-namespace-controller-election", "istio-leader", "istio-analyze-leader", "istio-ip-autoallocate"]
LOCK_LEASES = ["istio-status-leader", "istio-gateway-status-leader-default", "istio-gateway-deployment-default"]


class KubeLab:
    def __init__(self, directory, controllers=False, flags=""):
        self.dir, self.up = str(directory), os.path.join(TREE, "hack/kube-up")
        self.env = {**os.environ, "KUBE_CONTROLLERS": "1" if controllers else "0", "KUBE_API_FLAGS": flags}
        self._run(self.dir)
        self.kubeconfig = os.path.join(self.dir, "kubeconfig")
        with open(os.path.join(self.dir, "env")) as f:
            self.ports = dict(p.split("=", 1) for p in f.read().split())
        self.port, self.api = int(self.ports["port"]), Api(self.dir)

    def _run(self, *args):
        subprocess.run([self.up, *args], env=self.env, check=True, capture_output=True, text=True, timeout=900)

    def kill_api(self):
        self._run("--kill-api", self.dir)

    def start_api(self):
        self._run("--start-api", self.dir)

    def close(self):
        self._run("--down", self.dir)

    # --- objects -------------------------------------------------------------------------------

    def call(self, method, path, body=None, content_type="application/json", ok=(200, 201, 202)):
        answer = self.api.call(method, path, body, content_type, ok)
        assert answer is not None, f"{method} {path} failed"
        return answer

    def apply(self, path, body):
        return self.call("PATCH", f"{path}?fieldManager=test&force=true", body, "application/apply-patch+yaml")

    def delete(self, path):
        self.api.call("DELETE", path)

    def namespace(self, name, labels=None):
        self.apply(f"/api/v1/namespaces/{name}", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels or {}}})

    def service(self, ns, name, port=80):
        self.apply(f"/api/v1/namespaces/{ns}/services/{name}", {
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": ns}, "spec": {"ports": [{"name": "http", "port": port}]}})

    def crd(self, path):
        import yaml
        with open(path) as f:
            body = yaml.safe_load(f)
        name = body["metadata"]["name"]
        where = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"
        self.apply(where, body)
        wait(lambda: any(c["type"] == "Established" and c["status"] == "True" for c in (self.call("GET", where).get("status") or {}).get("conditions") or []), 20)
        return body

    def drop_locks(self, ns="istio-system"):
        """Takes away the locks that a replica holds which ended without a word."""
        for name in LOCK_MAPS:
            self.delete(f"/api/v1/namespaces/{ns}/configmaps/{name}")
        for name in LOCK_LEASES:
            self.delete(f"/apis/coordination.k8s.io/v1/namespaces/{ns}/leases/{name}")

    # --- faults --------------------------------------------------------------------------------

    def compact(self):
        """Forgets all history in etcd."""
        def etcd(path, body):
            r = urllib.request.Request(f"http://127.0.0.1:{self.ports['etcd_port']}{path}", json.dumps(body).encode())
            with urllib.request.urlopen(r, timeout=10) as answer:
                return json.load(answer)
        revision = etcd("/v3/kv/range", {"key": base64.b64encode(b"x").decode()})["header"]["revision"]
        etcd("/v3/kv/compaction", {"revision": revision, "physical": True})


def wait(check, seconds=10, every=0.05):
    """Waits until check() is true and returns what it gave."""
    until = time.monotonic() + seconds
    while True:
        try:
            got = check()
        except AssertionError:
            got = None
        if got:
            return got
        assert time.monotonic() < until, f"not within {seconds} s"
        time.sleep(every)
