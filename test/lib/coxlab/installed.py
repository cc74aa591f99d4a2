"""A mesh as a user installs it: kubectl apply of manifests/, and the lab is the kubelet for the control plane's pod as for every other. The
Deployment's own specification runs: arguments, environment, user, no rights, its ServiceAccount's token. The kube-apiserver reaches it by its
Service, as in a cluster: the lab plays kube-proxy on the bridge."""
import os
import shutil
import socket
import subprocess
import threading
import urllib.request

from . import programs
from .lab import Lab

MANIFESTS = os.path.join(programs.TREE, "manifests")
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


class Relay:
    """One port of a Service's address, to where the pod of the moment is."""

    def __init__(self, address, port, target):
        self.target = target
        self.listener = socket.create_server((address, port), backlog=64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                a, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(a,), daemon=True).start()

    def _serve(self, a):
        try:
            b = socket.create_connection(self.target(), timeout=5)
            b.settimeout(None)
        except (OSError, LookupError):
            a.close()
            return
        threading.Thread(target=self._pump, args=(b, a), daemon=True).start()
        self._pump(a, b)

    @staticmethod
    def _pump(a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.listener.close()


class InstalledLab(Lab):
    """start() makes a cluster without a mesh; then apply manifests with kubectl()."""

    def __init__(self):
        super().__init__(source="kube")
        self.hosts, self.relays = {}, []
        self.runner.starters["discovery"] = self._start_control_plane
        self.source.crd_files = []
        self.control_plane = None

    def start(self):
        self.source.start()
        api = self.source.api.server.port
        self.relays.append(Relay(self.network.gateway, api, lambda: ("127.0.0.1", api)))
        self.hosts = {"kubernetes.default.svc": self.network.gateway}
        return self

    def kubectl(self, *args, stdin=None):
        return self.source.kubectl(*args, stdin=stdin)

    def _start_control_plane(self, pod, container):
        """The process of container `discovery`, and how it is probed."""
        mounted = os.path.join(self.tmp, f"{pod.name}.account")
        os.makedirs(mounted, exist_ok=True)
        token = self.source.api.call("POST", f"/api/v1/namespaces/{pod.namespace}/serviceaccounts/{pod.account}/token", {
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600, "boundObjectRef": {
                "kind": "Pod", "apiVersion": "v1", "name": pod.name, "uid": pod.obj["metadata"]["uid"]}}})["status"]["token"]
        for name, text in (("token", token), ("namespace", pod.namespace)):
            with open(os.path.join(mounted, name), "w") as f:
                f.write(text)
        shutil.copyfile(os.path.join(self.source.dir, "certs/ca.crt"), os.path.join(mounted, "ca.crt"))
        fields = {"metadata.name": pod.name, "metadata.namespace": pod.namespace, "spec.serviceAccountName": pod.account}
        env = {e["name"]: fields[e["valueFrom"]["fieldRef"]["fieldPath"]] if "valueFrom" in e else e.get("value", "") for e in container["env"]}
        env.update(KUBERNETES_SERVICE_HOST="kubernetes.default.svc", KUBERNETES_SERVICE_PORT=str(self.source.api.server.port))
        spec, security = pod.obj["spec"]["securityContext"], container["securityContext"]
        assert security["capabilities"] == {"drop": ["ALL"]} and not security["allowPrivilegeEscalation"] and spec["runAsNonRoot"]
        # A kubelet's mounts, in the mount namespace that `ip netns exec` makes.
        script = f"mount -t tmpfs tmpfs /run && mkdir -p {ACCOUNT} && cp {mounted}/* {ACCOUNT}/ && cd / && exec \"$@\""
        user = ["setpriv", f"--reuid={spec['runAsUser']}", f"--regid={spec['runAsGroup']}", "--clear-groups", "--no-new-privs", "--inh-caps=-all",
                "--bounding-set=-all"]
        program = programs.shared_copy(programs.product("coxswaind"))
        process = self.runner._spawn(pod, "app", ["sh", "-c", script, "sh", *user, program, *container["args"]], env)
        self.control_plane, self.daemon, self.daemon_log = pod, process, process.log
        probe = container["readinessProbe"]["httpGet"]
        self._serve_service(pod)

        def is_ready():
            try:
                with urllib.request.urlopen(f"http://{pod.address}:{probe['port']}{probe['path']}", timeout=2) as answer:
                    return answer.status == 200
            except OSError:
                return False
        return process, is_ready

    def _serve_service(self, pod):
        """kube-proxy's part for the control plane's Service."""
        service = next(s for s in self.source.services() if s["metadata"]["name"] == "istiod" and s["metadata"]["namespace"] == pod.namespace)
        address = service["spec"]["clusterIP"]
        if len(self.relays) > 1:
            return
        subprocess.run(["ip", "addr", "add", f"{address}/32", "dev", self.network.bridge], check=True)
        for port in service["spec"]["ports"]:
            target = port.get("targetPort", port["port"])
            self.relays.append(Relay(address, port["port"], lambda t=target: (self.control_plane.address, t)))

    def close(self):
        for relay in getattr(self, "relays", []):
            relay.close()
        super().close()
