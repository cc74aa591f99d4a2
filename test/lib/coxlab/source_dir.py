"""Objects as files for --configDir. The lab plays the controllers: Deployments to pods, pods to EndpointSlices."""
import os
import threading

import yaml

from . import objects


class DirSource:
    name = "dir"

    def __init__(self, lab):
        self.lab, self.lock = lab, threading.RLock()
        self.dir = os.path.join(lab.tmp, "config")
        os.makedirs(self.dir)
        self.objects, self.deployments, self.written = {}, {}, {}

    def start(self):
        for node, zone in (("node-1", "a"), ("node-2", "b")):
            self._write({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node, "labels": {
                "topology.kubernetes.io/region": "lab", "topology.kubernetes.io/zone": f"lab-{zone}"}}})

    def daemon_flags(self):
        return ["--configDir", self.dir]

    def apply(self, docs):
        with self.lock:
            for doc in docs:
                if doc["kind"] == "Deployment":
                    self.deployments[objects.key(doc)] = doc
                    continue
                if doc["kind"] == "Service":
                    self._give_address(doc)
                self.objects[objects.key(doc)] = doc
                self._write(doc)
            self._reconcile()

    def delete(self, docs):
        with self.lock:
            for doc in docs:
                self.deployments.pop(objects.key(doc), None)
                if self.objects.pop(objects.key(doc), None):
                    self._remove(objects.key(doc))
            self._reconcile()

    def path(self, key):
        return os.path.join(self.dir, "-".join(p.lower() for p in key if p) + ".yaml")

    def services(self):
        with self.lock:
            return [o for o in self.objects.values() if o["kind"] == "Service"]

    def namespaces(self):
        with self.lock:
            return {o["metadata"]["name"]: o["metadata"].get("labels", {}) for o in self.objects.values() if o["kind"] == "Namespace"}

    def pod_changed(self, pod):
        with self.lock:
            if not pod.stopping.is_set():
                self._write_pod(pod)
            self._write_slices()

    def close(self):
        pass

    def webhook_address(self):
        return ""  # nobody would ask

    def register_webhooks(self):
        """Pods are injected by the command line."""

    # --- the controllers -------------------------------------------------------------------

    def _give_address(self, doc):
        old = self.objects.get(objects.key(doc))
        if doc["spec"].get("type") != "ExternalName" and "clusterIP" not in doc["spec"]:
            doc["spec"]["clusterIP"] = old["spec"]["clusterIP"] if old else self.lab.network.service_address()

    def _reconcile(self):
        wanted = {(p["metadata"]["namespace"], p["metadata"]["name"]): p for d in self.deployments.values() for p in objects.pods_of(d)}
        running = self.lab.runner.pods
        for key in [k for k in wanted if k not in running]:
            pod = self.lab.start_pod(wanted[key], f"node-{len(running) % 2 + 1}")
            self._write_pod(pod)
        leaving = [running[k] for k in list(running) if k not in wanted and not running[k].stopping.is_set()]
        for pod in leaving:
            pod.stopping.set()
        self._write_slices()
        self.lab.names_changed()
        for pod in leaving:
            threading.Thread(target=self._stop, args=(pod,)).start()

    def _stop(self, pod):
        self.lab.runner.stop(pod)
        with self.lock:
            self._remove(("Pod", pod.namespace, pod.name))

    def _write_pod(self, pod):
        ready = "True" if pod.ready else "False"
        self._write({**pod.obj, "spec": {**pod.obj["spec"], "nodeName": pod.node}, "status": {
            "phase": "Running", "podIP": pod.address, "podIPs": [{"ip": pod.address}],
            "conditions": [{"type": t, "status": ready} for t in ("Ready", "ContainersReady")]}})

    def _write_slices(self):
        pods = [(p.obj, p.address, p.node, p.ready) for p in self.lab.runner.pods.values() if not p.stopping.is_set()]
        wanted = {objects.key(s): s for service in self.services() for s in objects.slices_of(service, pods)}
        for slice_ in wanted.values():
            self._write(slice_)
        for key in [k for k in self.written if k[0] == "EndpointSlice" and k not in wanted]:
            self._remove(key)

    def _write(self, doc):
        """Whole or not at all, and only when it differs."""
        text = yaml.safe_dump(doc, sort_keys=False)
        key = objects.key(doc)
        if self.written.get(key) == text:
            return
        path = self.path(key)
        part = os.path.join(self.lab.tmp, f"part-{threading.get_ident()}")
        with open(part, "w") as f:
            f.write(text)
        os.rename(part, path)
        self.written[key] = text

    def _remove(self, key):
        if self.written.pop(key, None):
            os.unlink(self.path(key))
