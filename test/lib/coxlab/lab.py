"""One mesh: namespaces as pods, real Envoys, our control plane, objects from a directory or a kube-apiserver."""
import atexit
import collections
import http.client
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request

from . import injected, objects, programs
from .identity import DirIdentity, KubeIdentity
from .net import Network
from .runner import APP_UID, Pod, Runner, free_port  # noqa: F401
from .source_dir import DirSource
from .source_kube import KubeSource
from .state import State, clean

Response = collections.namedtuple("Response", "status headers body seconds")

MESH = """
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    accessLogFile: /dev/stdout
    rootNamespace: istio-system
    trustDomain: cluster.local
    outboundTrafficPolicy: {mode: ALLOW_ANY}
"""


class Lab:
    """with Lab(source="dir") as lab: ... - everything is gone afterwards. With `identity` proxies have certificates and come over TLS.

    `control` replaces coxswaind for tests of the pods alone: a function (address) -> object with close()."""

    def __init__(self, source="dir", control=None, log_level=None, daemon_flags=(), identity=True, daemon_env=None):
        if os.geteuid() != 0:
            raise PermissionError("a lab makes network namespaces and needs root")
        clean()
        self.control, self.daemon, self.extra = control, None, list(daemon_flags)
        self.log_level = log_level or os.environ.get("LAB_LOG_LEVEL", "info")
        self.tmp = tempfile.mkdtemp(prefix="coxswain-lab-")
        self.state = State.new(self.tmp)
        self.keep = bool(os.environ.get("LAB_KEEP"))
        atexit.register(self.close)
        self.closed, self.runner = False, None
        try:
            self.network = Network(self.state)
            self.has_identity = identity and not control
            self.discovery = f"{self.network.gateway}:{15012 if self.has_identity else 15010}"
            self.daemon_env = daemon_env or {}
            self.hosts = {"istiod.istio-system.svc": self.network.gateway}
            self.source = {"dir": DirSource, "kube": KubeSource}[source](self)
            self.identity = {"dir": DirIdentity, "kube": KubeIdentity}[source](self) if self.has_identity else None
            self.runner = Runner(self.state, self.network, self.tmp, self.discovery, self.source.pod_changed, self.identity)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *exc):
        self.close()

    # --- life ----------------------------------------------------------------------------

    def start(self):
        self.source.start()
        self.namespace("istio-system")
        self.namespace("default", inject=True)
        self.apply(MESH, "istio-system")
        if self.control:
            self.daemon = self.control(self.discovery)
        else:
            self.start_daemon()
            self.source.register_webhooks()
        return self

    def start_daemon(self):
        """coxswaind, and waits until it is ready. Also for starting it again after stop_daemon()."""
        self.http_port = getattr(self, "http_port", None) or free_port()
        self.monitoring_port = getattr(self, "monitoring_port", None) or free_port()
        argv = [programs.product("coxswaind"), "discovery", *self.source.daemon_flags(), "--grpcAddr", f"{self.network.gateway}:15010",
                "--secureGRPCAddr", f"{self.network.gateway}:15012" if self.has_identity else "", "--httpsAddr", self.source.webhook_address(),
                "--httpAddr", f"127.0.0.1:{self.http_port}", "--monitoringAddr", f"127.0.0.1:{self.monitoring_port}", "--domain", "cluster.local",
                "--log_output_level", self.log_level, *(self.identity.daemon_flags() if self.identity else []), *self.extra]
        env = {**os.environ, "ISTIOD_CUSTOM_HOST": "localhost", **(self.identity.daemon_env() if self.identity else {}), **self.daemon_env}
        self.state.data.update(monitoring_port=self.monitoring_port, ca_flags=self.identity.ctl_flags() if self.identity else [])
        self.state.save()
        self.daemon_log = os.path.join(self.tmp, "coxswaind.log")
        with open(self.daemon_log, "ab") as f:
            self.daemon = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=f, stderr=f, start_new_session=True, env=env)
        self.state.add_pid(self.daemon.pid)
        until = time.monotonic() + 30
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/ready", timeout=2) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                pass
            if self.daemon.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"coxswaind did not become ready (exit {self.daemon.poll()}):\n{tail(self.daemon_log)}")
            time.sleep(0.02)

    def stop_daemon(self, kill=False):
        (self.daemon.kill if kill else self.daemon.terminate)()
        self.daemon.wait(15)

    def coxctl(self, *args):
        """coxctl cert ... on this lab's CA."""
        done = subprocess.run([programs.product("coxctl"), "cert", *args, *self.identity.ctl_flags()], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"coxctl cert {' '.join(args)}: {done.stderr.strip()}")
        return done.stdout

    def close(self):
        if self.closed:
            return
        self.closed = True
        atexit.unregister(self.close)
        if self.runner:
            self.runner.closing.set()
            self.source.close()
        if self.control and self.daemon:
            self.daemon.close()
        self.state.remove(keep_tmp=self.keep)
        shutil.rmtree(os.path.join(programs.SHARED, self.state.data["id"]), ignore_errors=True)
        if self.keep:
            print(f"lab: logs are kept in {self.tmp}")

    # --- objects -------------------------------------------------------------------------

    def namespace(self, name, inject=False, labels=None):
        labels = {"kubernetes.io/metadata.name": name, **({"istio-injection": "enabled"} if inject else {}), **(labels or {})}
        self.source.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}])

    def apply(self, text_or_path, namespace="default"):
        """A text, or a file's path (relative ones are below samples/bookinfo)."""
        self.source.apply(self.load(text_or_path, namespace))

    def delete(self, text_or_path, namespace="default"):
        self.source.delete(self.load(text_or_path, namespace))

    @staticmethod
    def load(text_or_path, namespace="default"):
        if "\n" not in text_or_path and not os.path.isabs(text_or_path):
            text_or_path = os.path.join(programs.TREE, "samples/bookinfo", text_or_path)
        return objects.load(text_or_path, namespace)

    def start_pod(self, obj, node):
        """The pod's kind: as its container istio-proxy says, else by the namespace's injection label and the pod's own."""
        containers = {c["name"]: c for c in obj["spec"].get("containers", [])}
        labels = obj["metadata"].get("labels", {})
        wish = labels.get("sidecar.istio.io/inject") or obj["metadata"].get("annotations", {}).get("sidecar.istio.io/inject")
        inject = self.source.namespaces().get(obj["metadata"]["namespace"], {}).get("istio-injection") == "enabled"
        if containers.get("istio-proxy", {}).get("image") == "auto" and self.has_identity:
            obj = injected.inject(obj)  # a gateway; with a kube-apiserver the webhook has been at it
            containers = {c["name"]: c for c in obj["spec"]["containers"]}
        if "istio-proxy" in containers:
            kind = "router" if "router" in containers["istio-proxy"].get("args", []) else "sidecar"
        else:
            kind = "sidecar" if (wish == "true" or (inject and wish != "false")) else "plain"
        # With a kube-apiserver the webhook has been at it.
        if kind == "sidecar" and self.has_identity and "istio-proxy" not in containers:
            obj = injected.inject(obj)
        return self.runner.start(obj, kind, node)

    def names_changed(self):
        """Service names in every pod's hosts file, as a cluster's DNS would have them."""
        names = {"": {}}
        for service in self.source.services():
            meta, address = service["metadata"], service["spec"].get("clusterIP")
            if not address or address == "None":
                continue
            name, ns = meta["name"], meta["namespace"]
            names[""].setdefault(address, []).extend([f"{name}.{ns}.svc.cluster.local", f"{name}.{ns}.svc", f"{name}.{ns}"])
            names.setdefault(ns, {}).setdefault(address, [])
        for service in self.source.services():
            meta, address = service["metadata"], service["spec"].get("clusterIP")
            if address and address != "None":
                names[meta["namespace"]][address] = [meta["name"], *names[""][address]]
        for host, address in self.hosts.items():
            names[""].setdefault(address, []).append(host)
        if self.runner:
            self.runner.set_names(names)

    def add_host(self, name, address):
        """A name outside of the mesh."""
        self.hosts[name] = address
        self.names_changed()

    # --- looking ---------------------------------------------------------------------------

    def pods(self, namespace="default", ready=True, **labels):
        return [p for p in list(self.runner.pods.values()) if p.namespace == namespace and not p.stopping.is_set() and (p.ready or not ready)
                and objects.matches(labels, p.labels)]

    def pod(self, namespace="default", **labels):
        found = self.pods(namespace, **labels)
        if not found:
            raise LookupError(f"no ready pod {labels} in {namespace}: {list(self.runner.pods.values())}")
        return found[0]

    def wait_pods(self, count, timeout=90, namespace=None, **labels):
        """Until exactly `count` pods are there and ready."""
        def those():
            return [p for p in list(self.runner.pods.values()) if namespace in (None, p.namespace) and not p.stopping.is_set()
                    and (not labels or objects.matches(labels, p.labels))]
        until = time.monotonic() + timeout
        while not (len(those()) == count and all(p.reported for p in those())):
            if self.daemon is not None and not self.control and self.daemon.poll() is not None:
                raise RuntimeError(f"coxswaind ended (exit {self.daemon.poll()}):\n{tail(self.daemon_log)}")
            if time.monotonic() > until:
                raise TimeoutError(f"pods {labels}: wanted {count} ready\n{self.describe()}")
            time.sleep(0.05)
        return those()

    def describe(self):
        """What one wants to see when something is not as it should be."""
        lines = []
        for p in list(self.runner.pods.values()):
            lines.append(f"{p} ready={p.ready} labels={p.labels}")
            if p.proxy is not None and p.proxy.poll() is not None:
                lines.append(f"  its proxy has ended: {p.proxy.returncode}")
            elif not p.ready and p.proxy is not None:
                lines.append("  probe: " + self.curl(p, "http://127.0.0.1:15020/healthz/ready", root=True).body.strip())
            if p.proxy is not None and (not p.ready or p.proxy.poll() is not None):
                lines.append("  proxy log: " + tail(p.proxy.log, 8))
        if not self.control and self.daemon is not None:
            lines.append("coxswaind: " + tail(self.daemon_log, 15))
        return "\n".join(lines)

    def exec(self, pod, *argv, root=False, timeout=60, stdin=None):
        """Runs a program in the pod, as the application's user unless `root`."""
        user = [] if root else ["setpriv", f"--reuid={APP_UID}", f"--regid={APP_UID}", "--clear-groups"]
        return subprocess.run(["ip", "netns", "exec", pod.netns, *user, *argv], capture_output=True, text=True, timeout=timeout, input=stdin)

    def curl(self, pod, url, headers=None, timeout=20, root=False, method="GET"):
        """A request from inside the pod. Status 0: no HTTP answer (body says why)."""
        argv = ["curl", "-sS", "-i", "--http1.1", "-m", str(timeout), "-X", method, "-w", "\n%{http_code} %{time_total}", url]
        for name, value in (headers or {}).items():
            argv += ["-H", f"{name}: {value}"]
        done = self.exec(pod, *argv, root=root, timeout=timeout + 10)
        text, _, last = done.stdout.rpartition("\n")
        status, seconds = last.split() if last else ("000", "0")
        head, _, body = text.replace("\r\n", "\n").partition("\n\n")
        found = dict(line.lower().split(": ", 1) for line in head.split("\n")[1:] if ": " in line)
        return Response(int(status), found, body if int(status) else done.stderr, float(seconds))

    def admin(self, pod, path, method="GET"):
        """The body of an answer of the pod's Envoy on its administration port."""
        return self.curl(pod, f"http://127.0.0.1:15000{path}", root=True, method=method).body

    def stats(self, pod, pattern):
        """{name: number} of Envoy's statistics that match a regular expression."""
        out = {}
        for line in self.exec(pod, "curl", "-sS", "-G", "--data-urlencode", f"filter={pattern}", "http://127.0.0.1:15000/stats", root=True).stdout.splitlines():
            name, _, value = line.rpartition(": ")
            if value.strip().isdigit():
                out[name] = int(value)
        return out

    def debug(self, path):
        """An answer of coxswaind's debug pages."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.monitoring_port}{path}", timeout=10) as answer:
            return json.load(answer)


def request(address, port, path, headers=None, host=None, timeout=20, method="GET"):
    """A request from this machine (to a gateway, across the bridge). Status 0: connection refused, reset or silent."""
    started = time.monotonic()
    conn = http.client.HTTPConnection(address, port, timeout=timeout)
    try:
        conn.request(method, path, headers={**({"Host": host} if host else {}), **(headers or {})})
        answer = conn.getresponse()
        body = answer.read().decode("utf-8", "replace")
        return Response(answer.status, {k.lower(): v for k, v in answer.getheaders()}, body, time.monotonic() - started)
    except (OSError, http.client.HTTPException) as e:
        return Response(0, {}, repr(e), time.monotonic() - started)
    finally:
        conn.close()


def eventually(check, timeout=15, every=0.05):
    """The first true value of check(); an AssertionError of it, or a plain failure, after `timeout` seconds."""
    until = time.monotonic() + timeout
    while True:
        error = None
        try:
            value = check()
            if value:
                return value
        except (AssertionError, LookupError) as e:
            error = e
        if time.monotonic() > until:
            raise error or AssertionError(f"not so within {timeout} s")
        time.sleep(every)


def tail(path, lines=30):
    try:
        with open(path, errors="replace") as f:
            return "".join(f.readlines()[-lines:])
    except OSError:
        return ""
