"""Objects in a real kube-apiserver. Controllers are real; the lab plays scheduler and kubelet."""
import glob
import http.client
import json
import os
import ssl
import subprocess
import threading
import time
import urllib.parse

import yaml

from . import programs, webhooks
from .net import free_port


class Api:
    """A small client with the administrator's certificate; one connection per thread."""

    def __init__(self, directory):
        self.dir, self.local = directory, threading.local()
        with open(os.path.join(directory, "kubeconfig")) as f:
            self.server = urllib.parse.urlsplit(yaml.safe_load(f)["clusters"][0]["cluster"]["server"])
        self.context = ssl.create_default_context(cafile=os.path.join(directory, "certs/ca.crt"))
        self.context.load_cert_chain(os.path.join(directory, "certs/admin.crt"), os.path.join(directory, "certs/admin.key"))

    def connect(self, timeout=30):
        return http.client.HTTPSConnection(self.server.hostname, self.server.port, context=self.context, timeout=timeout)

    def call(self, method, path, body=None, content_type="application/json", ok=(200, 201, 202)):
        """The answer as a dictionary; None where the status is not one of `ok`."""
        for attempt in (0, 1):
            conn = getattr(self.local, "conn", None) or self.connect()
            try:
                conn.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": content_type})
                answer = conn.getresponse()
                data = answer.read()
                self.local.conn = conn
                return json.loads(data) if answer.status in ok else None
            except (OSError, http.client.HTTPException):
                conn.close()
                self.local.conn = None
                if attempt:
                    return None
        return None

    def watch(self, path, closing, each):
        """Lists, then watches, for ever: each(type, object); the list comes as "LISTED" (all names), then ADDED."""
        while not closing.is_set():
            listed = self.call("GET", path)
            if listed is None:
                closing.wait(0.5)
                continue
            each("LISTED", listed)
            for item in listed["items"]:
                each("ADDED", item)
            conn = self.connect(timeout=3600)
            try:
                conn.request("GET", f"{path}?watch=1&resourceVersion={listed['metadata']['resourceVersion']}")
                answer = conn.getresponse()
                while not closing.is_set():
                    line = answer.readline()
                    if not line:
                        break
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        break
                    each(event["type"], event["object"])
            except (OSError, ValueError, http.client.HTTPException):
                closing.wait(0.5)
            finally:
                conn.close()


class KubeSource:
    name = "kube"

    def __init__(self, lab):
        self.lab, self.dir = lab, os.path.join(lab.tmp, "kube")
        self.closing, self.lock = threading.Event(), threading.RLock()
        self.known, self.services_, self.namespaces_ = {}, {}, {}
        self.api = None
        self.crd_files = sorted(glob.glob(os.path.join(programs.TREE, "crd/*.yaml")))

    def start(self):
        up = os.path.join(programs.TREE, "hack/kube-up")
        self.lab.state.add_stop([up, "--down", self.dir])
        done = subprocess.run([up, self.dir], capture_output=True, text=True, env={**os.environ, "SERVICE_CIDR": self.lab.network.service_cidr})
        if done.returncode != 0:
            raise RuntimeError(f"hack/kube-up: {done.stderr}")
        bin_dir = subprocess.run([os.path.join(programs.TREE, "hack/kube/build")], capture_output=True, text=True, check=True).stdout.strip()
        self.kubectl_path, self.api = os.path.join(bin_dir, "kubectl"), Api(self.dir)
        if self.crd_files:
            self.kubectl("apply", "--server-side", *[w for c in self.crd_files for w in ("-f", c)])
            self.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
        for node, zone in (("node-1", "a"), ("node-2", "b")):
            self.api.call("POST", "/api/v1/nodes", {"metadata": {"name": node, "labels": {
                "topology.kubernetes.io/region": "lab", "topology.kubernetes.io/zone": f"lab-{zone}"}}})
        for path, each in (("/api/v1/namespaces", self._on_namespace), ("/api/v1/services", self._on_service), ("/api/v1/pods", self._on_pod)):
            threading.Thread(target=self.api.watch, args=(path, self.closing, each), daemon=True).start()

    def daemon_flags(self):
        return ["--kubeconfig", os.path.join(self.dir, "kubeconfig")]

    def kubectl(self, *args, stdin=None):
        done = subprocess.run([self.kubectl_path, "--kubeconfig", os.path.join(self.dir, "kubeconfig"), *args], input=stdin, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"kubectl {' '.join(args)}: {done.stderr.strip()}")
        return done.stdout

    def apply(self, docs):
        # Namespaces first: what is in them follows at once.
        for some in ([d for d in docs if d["kind"] == "Namespace"], [d for d in docs if d["kind"] != "Namespace"]):
            if some:
                self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=yaml.safe_dump_all(some))
                self._wait_namespaces([d["metadata"]["name"] for d in some if d["kind"] == "Namespace"])

    def delete(self, docs):
        self.kubectl("delete", "--ignore-not-found", "--wait=false", "-f", "-", stdin=yaml.safe_dump_all(docs))

    def webhook_address(self):
        if not self.lab.has_identity:
            return ""
        self.webhook_port = getattr(self, "webhook_port", None) or free_port()
        return f"127.0.0.1:{self.webhook_port}"

    def register_webhooks(self):
        """Those of manifests/, at the address that the lab's kube-apiserver can reach; then the pods' controllers may begin."""
        if not self.lab.has_identity:
            return
        paths = []
        for doc in webhooks.manifests(self.webhook_port):
            self.api.call("POST", webhooks.path(doc), doc)
            paths.append(f"{webhooks.path(doc)}/{doc['metadata']['name']}")
        until = time.monotonic() + 20
        while not all(h["clientConfig"].get("caBundle") for p in paths for h in self.api.call("GET", p)["webhooks"]):
            if time.monotonic() > until:
                raise TimeoutError("coxswaind did not fill in the webhooks' caBundle")
            time.sleep(0.05)

    def services(self):
        with self.lock:
            return list(self.services_.values())

    def namespaces(self):
        with self.lock:
            return dict(self.namespaces_)

    def _wait_namespaces(self, names):
        until = time.monotonic() + 10
        while time.monotonic() < until and not set(names) <= set(self.namespaces()):
            time.sleep(0.02)

    # --- scheduler and kubelet ---------------------------------------------------------------

    def _on_namespace(self, kind, obj):
        if kind == "LISTED":
            return
        with self.lock:
            name = obj["metadata"]["name"]
            if kind == "DELETED":
                self.namespaces_.pop(name, None)
            else:
                self.namespaces_[name] = obj["metadata"].get("labels", {})

    def _on_service(self, kind, obj):
        if kind == "LISTED":
            return
        with self.lock:
            key = (obj["metadata"]["namespace"], obj["metadata"]["name"])
            if kind == "DELETED":
                self.services_.pop(key, None)
            else:
                self.services_[key] = {**obj, "kind": "Service"}
        self.lab.names_changed()

    def _on_pod(self, kind, obj):
        if kind == "LISTED":
            names = {(i["metadata"]["namespace"], i["metadata"]["name"]) for i in obj["items"]}
            for key in [k for k in self.known if k not in names]:
                self._end(key, gone=True)
            return
        key = (obj["metadata"]["namespace"], obj["metadata"]["name"])
        path = f"/api/v1/namespaces/{key[0]}/pods/{key[1]}"
        if kind == "DELETED":
            self._end(key, gone=True)
        elif "deletionTimestamp" in obj["metadata"]:
            self._end(key, gone=False)
        elif not obj["spec"].get("nodeName"):
            node = f"node-{len(self.known) % 2 + 1}"
            self.api.call("POST", path + "/binding", {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": key[1]},
                                                       "target": {"apiVersion": "v1", "kind": "Node", "name": node}})
        elif key not in self.known:
            self.known[key] = self.lab.start_pod({"apiVersion": "v1", "kind": "Pod", **obj}, obj["spec"]["nodeName"])
            self._report(self.known[key])

    def _end(self, key, gone):
        pod = self.known.pop(key, None)
        if pod:
            pod.stopping.set()
            threading.Thread(target=self._stop, args=(pod, gone), daemon=True).start()
        elif not gone:  # never started here
            self._delete(key)

    def _stop(self, pod, gone):
        if not gone:
            self._report(pod)
        self.lab.runner.stop(pod)
        if not gone:
            self._delete((pod.namespace, pod.name))

    def _delete(self, key):
        self.api.call("DELETE", f"/api/v1/namespaces/{key[0]}/pods/{key[1]}", {"gracePeriodSeconds": 0, "apiVersion": "v1", "kind": "DeleteOptions"})

    def _report(self, pod):
        ready = "True" if pod.ready and not pod.stopping.is_set() else "False"
        self.api.call("PATCH", f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}/status", {"status": {
            "phase": "Running", "podIP": pod.address, "podIPs": [{"ip": pod.address}], "hostIP": self.lab.network.gateway,
            "conditions": [{"type": t, "status": ready} for t in ("Ready", "ContainersReady")] + [{"type": "PodScheduled", "status": "True"}]}},
            content_type="application/strategic-merge-patch+json")

    def pod_changed(self, pod):
        if not pod.stopping.is_set():
            self._report(pod)

    def close(self):
        self.closing.set()
