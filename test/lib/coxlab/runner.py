"""The kubelet's part: a pod is a namespace with traffic capture, an agent with Envoy, and the application."""
import contextlib
import json
import os
import signal
import subprocess
import threading
import time
import urllib.request

import yaml

from . import injected, programs
from .identity import PROXY_UID, Mounts
from .net import Network, free_port, run  # noqa: F401

APP_UID = 65532
CAPTURE = ("-p", "15001", "-z", "15006", "-u", str(PROXY_UID), "-m", "REDIRECT", "-i", "*", "-x", "", "-b", "*", "-d", "15090,15021,15020")
LAB_PROXY_CONFIG = {"concurrency": 1, "terminationDrainDuration": "1s",
                    "proxyStatsMatcher": {"inclusionPrefixes": ["cluster.outbound", "cluster.inbound", "listener.", "http."]}}


class Pod:
    """kind: "sidecar", "router" (a gateway: its proxy is the application) or "plain"."""

    def __init__(self, obj, kind, node):
        meta = obj["metadata"]
        self.obj, self.kind, self.node = obj, kind, node
        self.name, self.namespace, self.labels = meta["name"], meta["namespace"], meta.get("labels", {})
        self.account = obj["spec"].get("serviceAccountName", "default")
        self.netns = self.address = self.proxy = self.app = None
        self.volumes = {}  # of Secrets: {volume: directory}
        self.is_ready = None   # how to ask, where it is not by open ports and the proxy
        self.ready = False     # as probed
        self.started = False   # everything of it: before, there is nothing to probe
        self.probe_at = self.failures = 0
        self.reported = False  # as the control plane was told
        self.stopping = threading.Event()

    def __repr__(self):
        return f"<{self.kind} {self.name}.{self.namespace} {self.address}>"


class Runner:
    """Thread: start and stop from any thread; `on_ready(pod)` comes from the probing thread."""

    def __init__(self, state, network, tmp, discovery, on_ready, identity=None):
        self.state, self.network, self.tmp, self.discovery, self.on_ready = state, network, tmp, discovery, on_ready
        self.pods, self.lock = {}, threading.RLock()
        self.agent, self.envoy, self.python = programs.shared_copy(programs.product("cox-agent")), programs.envoy(), programs.python()
        self.sources = programs.shared_copy(os.path.join(programs.TREE, "samples/bookinfo/src/bookinfo.py"))
        self.names = {}
        self.starters = {}  # by a container's name: (pod, container) -> its process, how to ask whether it is ready
        self.closing = threading.Event()
        self.mounts = Mounts(identity, lambda: list(self.pods.values()), self.closing) if identity else None
        self.prober = threading.Thread(target=self._probe_loop, daemon=True)
        self.prober.start()

    # --- names ---------------------------------------------------------------------------

    def set_names(self, names):
        """{namespace: {address: [names]}}; "" holds for every namespace."""
        with self.lock:
            self.names = names
            for pod in self.pods.values():
                self._write_hosts(pod)

    def _write_hosts(self, pod):
        if pod.netns:
            Network.write_hosts(pod.netns, pod.address, pod.name, {**self.names.get("", {}), **self.names.get(pod.namespace, {})})

    # --- life ----------------------------------------------------------------------------

    def start(self, obj, kind, node):
        pod = Pod(obj, kind, node)
        with self.lock:
            pod.netns, pod.address = self.network.add()
            self.pods[(pod.namespace, pod.name)] = pod
            self._write_hosts(pod)
        if injected.is_injected(obj):
            for container in injected.init_containers(obj):
                run("ip", "netns", "exec", pod.netns, self.agent, *container["args"])
            pod.proxy = self._start_injected(pod)
        elif kind != "plain":
            if kind == "sidecar":
                run("ip", "netns", "exec", pod.netns, self.agent, "init", *CAPTURE)
            pod.proxy = self._start_proxy(pod)
        if self.mounts:
            self.mounts.mount_volumes(pod, os.path.join(programs.SHARED, self.state.data["id"], f"{pod.namespace}.{pod.name}.volumes"), APP_UID)
        for container in obj["spec"].get("containers", []):
            if container["name"] in self.starters:
                pod.app, pod.is_ready = self.starters[container["name"]](pod, container)
            elif container["name"] != "istio-proxy" and container.get("command"):
                pod.app = self._start_app(pod, container)
        pod.started = True
        return pod

    def _spawn(self, pod, what, argv, env):
        log = os.path.join(self.tmp, "logs", f"{pod.namespace}.{pod.name}.{what}.log")
        os.makedirs(os.path.dirname(log), exist_ok=True)
        with open(log, "ab") as f:
            if what == "proxy":
                os.fchown(f.fileno(), PROXY_UID, PROXY_UID)  # Envoy opens /dev/stdout by its name
            process = subprocess.Popen(["ip", "netns", "exec", pod.netns, *argv], stdin=subprocess.DEVNULL, stdout=f, stderr=f, start_new_session=True,
                                       env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", **env})
        self.state.add_pid(process.pid)
        process.log = log
        return process

    def _start_proxy(self, pod):
        annotations = pod.obj["metadata"].get("annotations", {})
        owner = next((o["name"] for o in pod.obj["metadata"].get("ownerReferences", [])), pod.name)
        workload = owner.rsplit("-", 1)[0] if "pod-template-hash" in pod.labels else owner
        env = {
            "POD_NAME": pod.name, "POD_NAMESPACE": pod.namespace, "INSTANCE_IP": pod.address, "SERVICE_ACCOUNT": pod.account, "NODE_NAME": pod.node,
            "ISTIO_META_WORKLOAD_NAME": workload, "ISTIO_META_CLUSTER_ID": "Kubernetes", "ISTIO_META_MESH_ID": "cluster.local",
            "ISTIO_META_INTERCEPTION_MODE": "REDIRECT" if pod.kind == "sidecar" else "NONE",
            "ISTIO_META_OWNER": f"kubernetes://apis/apps/v1/namespaces/{pod.namespace}/deployments/{workload}",
            "ISTIO_METAJSON_LABELS": json.dumps(pod.labels),
            # The lab looks at statistics that a production proxy leaves out.
            "PROXY_CONFIG": json.dumps(LAB_PROXY_CONFIG),
        }
        if pod.kind == "router":
            env["ISTIO_META_UNPRIVILEGED_POD"] = "true"
        if annotations:
            env["ISTIO_METAJSON_ANNOTATIONS"] = json.dumps(annotations)
        # The injector's part, as far as labs need it.
        env.update((yaml.safe_load(annotations.get("proxy.istio.io/config", "{}")) or {}).get("proxyMetadata", {}))
        config = os.path.join("/var/tmp/coxswain-lab", self.state.data["id"], f"{pod.namespace}.{pod.name}")
        os.makedirs(config, exist_ok=True)
        how = ["--identity", "none"]
        if self.mounts:
            # Short: the path of a Unix socket ends at 107 bytes.
            secrets = os.path.join(os.path.dirname(config), pod.netns)
            self.mounts.mount(pod, secrets)
            how = ["--secrets-dir", secrets]
            env["COXSWAIN_ROTATION_JITTER"] = "1s"
        # The agent's own connections are left alone as Envoy's are: both are the proxy's user.
        os.chown(config, PROXY_UID, PROXY_UID)
        return self._spawn(pod, "proxy", ["setpriv", f"--reuid={PROXY_UID}", f"--regid={PROXY_UID}", "--clear-groups", self.agent, "proxy", pod.kind,
                                          "--discovery", self.discovery, *how, "--envoy", self.envoy, "--config-dir", config,
                                          "--proxy-log-level", os.environ.get("LAB_PROXY_LOG", "warning")], env)

    def _start_injected(self, pod):
        """The container istio-proxy as the injector wrote it; only what a kubelet gives (environment, volumes) stands elsewhere in a lab."""
        config = os.path.join("/var/tmp/coxswain-lab", self.state.data["id"], f"{pod.namespace}.{pod.name}")
        secrets, info = os.path.join(os.path.dirname(config), pod.netns), config + ".podinfo"
        for directory in (config, info):
            os.makedirs(directory, exist_ok=True)
        injected.write_pod_info(pod.obj, info)
        self.mounts.mount(pod, secrets)
        os.chown(config, PROXY_UID, PROXY_UID)
        env = injected.environment(pod, self.discovery.rsplit(":", 1)[0])
        # The lab looks at statistics that a production proxy leaves out, and has two cores for everything.
        env["PROXY_CONFIG"] = json.dumps({**json.loads(env["PROXY_CONFIG"]), **LAB_PROXY_CONFIG})
        env["COXSWAIN_ROTATION_JITTER"] = "1s"
        args = [injected.expand(a, env) for a in injected.proxy(pod.obj)["args"]]
        return self._spawn(pod, "proxy", ["setpriv", f"--reuid={PROXY_UID}", f"--regid={PROXY_UID}", "--clear-groups", self.agent, *args,
                                          "--secrets-dir", secrets, "--pod-info-dir", info, "--envoy", self.envoy, "--config-dir", config,
                                          *(["--proxy-log-level", os.environ["LAB_PROXY_LOG"]] if "LAB_PROXY_LOG" in os.environ else [])], env)

    def _start_app(self, pod, container):
        command = [self.python if c in ("python3", "/usr/bin/python3") else self.sources if c == "/bookinfo.py" else c
                   for c in container["command"] + container.get("args", [])]
        env = {e["name"]: e["value"] for e in container.get("env", []) if "value" in e}
        return self._spawn(pod, "app", ["setpriv", f"--reuid={APP_UID}", f"--regid={APP_UID}", "--clear-groups", *command],
                           {"POD_NAME": pod.name, "PYTHONUNBUFFERED": "1", **env})

    def kill_proxy(self, pod):
        """The agent ends without warning, and its container with it: Envoy too. Then, as a kubelet does, it is started again."""
        old = pod.proxy
        os.kill(old.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(old.pid, signal.SIGKILL)
        old.wait()
        pod.proxy = self._start_proxy(pod)

    def stop(self, pod):
        """As a kubelet: SIGTERM to all containers at once, wait for them, take the namespace away."""
        pod.stopping.set()
        processes = [p for p in (pod.proxy, pod.app) if p]
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        with self.lock:
            self.pods.pop((pod.namespace, pod.name), None)
            self.network.remove(pod.netns)

    # --- readiness -----------------------------------------------------------------------

    def _app_listens(self, pod):
        """Whether the application's ports are open, seen from inside: a connection from outside would end at Envoy."""
        if pod.app is None:
            return True
        ports = {p["containerPort"] for c in pod.obj["spec"]["containers"] if c["name"] != "istio-proxy" for p in c.get("ports", [])}
        found = set()
        for name in ("tcp", "tcp6"):
            try:
                with open(f"/proc/{pod.app.pid}/net/{name}") as f:
                    found |= {int(line.split()[1].rsplit(":", 1)[1], 16) for line in f.readlines()[1:] if line.split()[3] == "0A"}
            except (OSError, IndexError):
                return False
        return ports <= found

    def _proxy_is_ready(self, pod):
        if pod.proxy is None:
            return True
        try:
            with urllib.request.urlopen(f"http://{pod.address}:15021/healthz/ready", timeout=2) as answer:
                return answer.status == 200
        except (OSError, ValueError):
            return False

    def _probe(self, pod):
        """As a kubelet: ready ones are looked at every 2 s; three failures in a row, or the end of the proxy, make one unready."""
        now = time.monotonic()
        if not pod.started or pod.stopping.is_set() or now < pod.probe_at:
            return
        passed, gone = pod.is_ready() if pod.is_ready else self._app_listens(pod) and self._proxy_is_ready(pod), pod.proxy is not None and pod.proxy.poll() is not None
        pod.failures = 0 if passed else pod.failures + 1
        pod.probe_at = now + 2 if passed else 0
        ready = passed or (pod.ready and not gone and pod.failures < 3)
        if ready != pod.ready:
            pod.ready = ready
            self.on_ready(pod)
            pod.reported = ready

    def _probe_loop(self):
        while not self.closing.wait(0.1):
            with self.lock:
                pods = list(self.pods.values())
            for pod in pods:
                self._probe(pod)

    def close(self):
        self.closing.set()
        self.prober.join(5)
