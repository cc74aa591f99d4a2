"""What a kubelet mounts for a pod's identity: the token that its agent proves itself with, and the roots that it trusts.

With a kube-apiserver the token is one of its own (audience istio-ca, bound to the pod) and the roots come from the namespace's ConfigMap. Without
one the lab is an issuer of JWTs that coxswaind believes (JWT_RULE), and the roots are read where the CA keeps them."""
import base64
import os
import threading

from citadel import Issuer

PROXY_UID = 1337
ROTATION = {"COXSWAIN_ROTATION_SETTLE_MS": "2000"}


class DirIdentity:
    def __init__(self, lab):
        self.lab, self.ca_dir = lab, os.path.join(lab.tmp, "ca")
        self.issuer = Issuer(lab.tmp)

    def daemon_env(self):
        return {"JWT_RULE": self.issuer.rule, **ROTATION}

    def daemon_flags(self):
        return ["--caDir", self.ca_dir]

    def ctl_flags(self):
        return ["--caDir", self.ca_dir]

    def secret(self, *_):
        """There are none without a kube-apiserver."""

    def token(self, pod):
        return self.issuer.token(pod.namespace, pod.account, seconds=24 * 3600)

    def roots(self, _):
        folder = self.lab.daemon_env.get("ROOT_CA_DIR") or os.path.join(self.ca_dir, "istio-ca-secret")  # a plugged-in CA, or our own
        try:
            with open(os.path.join(folder, "root-cert.pem")) as f:
                return f.read()
        except OSError:
            return None


class KubeIdentity:
    def __init__(self, lab):
        self.lab = lab

    def daemon_env(self):
        return dict(ROTATION)

    def daemon_flags(self):
        return []

    def ctl_flags(self):
        return self.lab.source.daemon_flags()

    def secret(self, namespace, name):
        """{file name: bytes} of a Secret, or None."""
        found = self.lab.source.api.call("GET", f"/api/v1/namespaces/{namespace}/secrets/{name}")
        return found and {key: base64.b64decode(value) for key, value in found.get("data", {}).items()}

    def token(self, pod):
        meta = pod.obj["metadata"]
        answer = self.lab.source.api.call("POST", f"/api/v1/namespaces/{pod.namespace}/serviceaccounts/{pod.account}/token", {
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {
                "audiences": ["istio-ca"], "expirationSeconds": 43200, "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": pod.name, "uid": meta["uid"]}}})
        return answer and answer["status"]["token"]

    def roots(self, pod):
        found = self.lab.source.api.call("GET", f"/api/v1/namespaces/{pod.namespace}/configmaps/istio-ca-root-cert")
        return found and found["data"]["root-cert.pem"]


class Mounts:
    """Thread: its own, which follows the roots as a kubelet follows a ConfigMap."""

    def __init__(self, identity, pods, closing):
        self.identity, self.pods, self.closing, self.written = identity, pods, closing, {}
        self.thread = threading.Thread(target=self._follow, daemon=True)
        self.thread.start()

    def mount(self, pod, directory):
        """The directory for the agent's --secrets-dir. What is not there yet comes later, as it does in a cluster."""
        os.makedirs(os.path.join(directory, "tokens"), exist_ok=True)
        os.makedirs(os.path.join(directory, "istio"), exist_ok=True)
        os.chown(directory, PROXY_UID, PROXY_UID)  # the agent makes its sockets here
        self._write(os.path.join(directory, "tokens/istio-token"), self.identity.token(pod), 0o600)
        pod.secrets = directory
        self._roots(pod)

    def mount_volumes(self, pod, directory, uid):
        """The pod's volumes of Secrets: pod.volumes is {volume: directory}. They follow the Secrets, as a kubelet's do."""
        pod.volume_secrets = {}
        for volume in pod.obj["spec"].get("volumes", []):
            if "secret" in volume:
                pod.volumes[volume["name"]] = os.path.join(directory, volume["name"])
                pod.volume_secrets[volume["name"]] = (volume["secret"]["secretName"], uid)
                os.makedirs(pod.volumes[volume["name"]], exist_ok=True)
        self._volumes(pod)

    def _volumes(self, pod):
        for name, (secret, uid) in pod.volume_secrets.items():
            for key, data in (self.identity.secret(pod.namespace, secret) or {}).items():
                self._write(os.path.join(pod.volumes[name], key), data.decode(), 0o600, uid)

    def _write(self, path, text, mode=0o644, uid=PROXY_UID):
        if not text or self.written.get(path) == text:
            return
        with open(path + ".part", "w", opener=lambda p, flags: os.open(p, flags, mode)) as f:
            f.write(text)
        os.chown(path + ".part", uid, uid)
        os.rename(path + ".part", path)
        self.written[path] = text

    def _roots(self, pod):
        self._write(os.path.join(pod.secrets, "istio/root-cert.pem"), self.identity.roots(pod))

    def _follow(self):
        while not self.closing.wait(1):
            for pod in self.pods():
                if getattr(pod, "secrets", None) and not pod.stopping.is_set():
                    self._roots(pod)
                if pod.volumes and not pod.stopping.is_set():
                    self._volumes(pod)
