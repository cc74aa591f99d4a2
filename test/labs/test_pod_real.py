"""One pod as it really is (capture, cox-agent, Envoy, application) on a real coxswaind, in two namespaces. covers: h21 i6 i7 i8 i13 i14

Termination: `kubectl delete pod` is SIGTERM to the agent; clients hear of it within about a second and open no new connections then.
"""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from coxlab import programs  # noqa: E402
from coxlab.lab import eventually  # noqa: E402
from test_capture import AGENT, APP, CLIENT, HELPER, POD, ROOT, World, run  # noqa: E402

MESH = f"""
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: default}}
spec: {{clusterIP: 10.96.0.1, selector: {{app: web}}, ports: [{{name: http, port: 80, targetPort: 8090}}]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: web, namespace: default, labels: {{app: web}}}}
spec: {{nodeName: n}}
status: {{phase: Running, podIP: {POD}, podIPs: [{{ip: {POD}}}], conditions: [{{type: Ready, status: "True"}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: web-1, namespace: default, labels: {{kubernetes.io/service-name: web}}}}
addressType: IPv4
endpoints: [{{addresses: [{POD}], conditions: {{ready: true}}, targetRef: {{kind: Pod, name: web, namespace: default}}}}]
ports: [{{name: http, port: 8090, protocol: TCP}}]
"""
BUILD = os.path.dirname(AGENT)


class RealPod:
    def __init__(self, world, mode="REDIRECT", **env):
        self.world, self.mode = world, mode
        self.dir = tempfile.mkdtemp(prefix="cox-pod-", dir="/var/tmp")
        os.chmod(self.dir, 0o777)
        with open(os.path.join(self.dir, "mesh.yaml"), "w") as f:
            f.write(MESH)
        self.daemon = self.spawn(world.client, ROOT, "daemon", [os.path.join(BUILD, "coxswaind"), "discovery", "--configDir", self.dir, "--grpcAddr",
                                 f"{CLIENT}:15010", "--httpAddr", "127.0.0.1:0", "--monitoringAddr", ""], {})
        resolv = os.path.join(self.dir, "resolv.conf")
        with open(resolv, "w") as f:
            f.write(f"nameserver {CLIENT}\nsearch default.svc.cluster.local svc.cluster.local\noptions ndots:5 timeout:1\n")
        dns = ["--redirect-dns", "--resolv-conf", resolv] if env.get("ISTIO_META_DNS_CAPTURE") else []
        world.init("-m", mode, "-d", "15090,15021,15020", *dns)
        base = {"POD_NAME": "web", "POD_NAMESPACE": "default", "INSTANCE_IP": POD, "ISTIO_META_INTERCEPTION_MODE": mode,
                "ISTIO_META_CLUSTER_ID": "Kubernetes", "ISTIO_METAJSON_LABELS": '{"app": "web"}',
                "PROXY_CONFIG": json.dumps({"concurrency": 1, "terminationDrainDuration": "3s", "proxyStatsMatcher": {"inclusionPrefixes": ["listener."]}}),
                "ISTIO_KUBE_APP_PROBERS": json.dumps({"/app-health/web/livez": {"httpGet": {"path": "/sleep/0", "port": 8090}},
                                                      "/app-health/web/readyz": {"tcpSocket": {"port": 8090}}}),
                "ISTIO_PROMETHEUS_ANNOTATIONS": '{"scrape":"true","port":"8090","path":"/metrics"}'}
        tproxy = mode == "TPROXY"
        # As in a pod: the capture rules know the proxy's container by its user, with TPROXY by its group.
        self.agent = self.spawn(world.pod, "0:1337" if tproxy else "1337:1337", "agent", [
            AGENT, "proxy", "sidecar", "--discovery", f"{CLIENT}:15010", "--identity", "none", "--resolv-conf", resolv, "--envoy", programs.envoy(),
            "--domain", "default.svc.cluster.local", "--config-dir", os.path.join(self.dir, "proxy"), "--proxyLogLevel=warning",
            "--proxyComponentLogLevel=misc:error", "--log_output_level=default:info"], {**base, **env})

    def spawn(self, ns, who, name, argv, env):
        self.logs = getattr(self, "logs", {})
        self.logs[name] = os.path.join(self.dir, name + ".log")
        with open(self.logs[name], "w") as f:
            return subprocess.Popen(self.world.as_user(ns, who) + argv, stdout=f, stderr=f, env={**os.environ, **env})

    def log(self, name="agent"):
        with open(self.logs[name]) as f:
            return f.read()

    def command(self, *args, **kw):
        return run("ip", "netns", "exec", self.world.pod, AGENT, *args, **kw)

    def wait(self):
        self.command("wait", "--timeoutSeconds", "30", "--periodMillis", "50")
        return self

    def curl(self, url, ns=None, who=ROOT, method="GET"):
        return run(*self.world.as_user(ns or self.world.client, who), "curl", "-s", "-S", "-m", "20", "-X", method, url).stdout

    def stat(self, pattern):
        text = self.command("request", "GET", "stats?filter=" + pattern).stdout
        return sum(int(line.rsplit(" ", 1)[1]) for line in text.splitlines())

    def load(self, count):
        p = subprocess.Popen(self.world.as_user(self.world.client, ROOT) + [sys.executable, HELPER, "load", POD, "8090", str(count)], stdout=subprocess.PIPE,
                             text=True)
        assert p.stdout.readline() == "ready\n"
        return p

    def close(self):
        for p in (self.agent, self.daemon):
            if p.poll() is None:
                p.terminate()
        for p in (self.agent, self.daemon):
            try:
                p.wait(20)
            except subprocess.TimeoutExpired:
                p.kill()
        self.world.init("--clean")


@pytest.fixture(scope="module")
def world():
    w = World()
    w.start(w.pod, APP, "web", "8090")
    yield w
    w.close()


@pytest.fixture
def pod(world, request):
    p = RealPod(world, **getattr(request, "param", {}))
    try:
        p.wait()
        yield p
    except AssertionError as e:
        raise AssertionError(f"{e}\n{p.log()}") from e
    finally:
        p.close()


@pytest.mark.parametrize("pod", [{"mode": "REDIRECT"}, {"mode": "TPROXY"}], indirect=True, ids=["REDIRECT", "TPROXY"])
def test_traffic_probes_metrics_commands(pod):
    inbound = r"^listener.0.0.0.0_15006.downstream_cx_total"
    before = pod.stat(inbound)
    seen = re.match(r"web\[(.*)\] /sleep/1\n$", pod.curl(f"http://{POD}:8090/sleep/1")).group(1)
    assert seen == CLIENT if pod.mode == "TPROXY" else seen != CLIENT, "with TPROXY the application sees the client"
    # A port that no service has: passed on as it came.
    assert pod.world.ask(pod.world.client, ROOT, "ask", POD, "8080", "x") == f"app[{CLIENT if pod.mode == 'TPROXY' else '127.0.0.6'}] x"
    assert pod.stat(inbound) == before + 2
    assert pod.world.ask(pod.world.pod, APP, "ask", CLIENT, "8080", "x") == f"app[{POD}] x"
    # Probes of the application pass the proxy.
    for probe in ("livez", "readyz"):
        assert run(*pod.world.as_user(pod.world.client, ROOT), "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}",
                   f"http://{POD}:15020/app-health/web/{probe}").stdout == "200"
    assert pod.stat(inbound) == before + 2
    # Metrics of all three; readiness by Envoy's own port.
    text = pod.curl(f"http://{POD}:15020/stats/prometheus")
    assert "istio_agent_uptime_seconds" in text and "envoy_server_live" in text
    assert text.endswith("app_up 1\n")
    assert pod.curl(f"http://{POD}:15021/healthz/ready") == "ready\n"
    # Orders from elsewhere are refused.
    assert pod.curl(f"http://{POD}:15020/quitquitquit", method="POST") == "only from this host\n"
    assert "LIVE" in pod.command("request", "GET", "/ready").stdout
    failed = pod.command("request", "--debug-port", "15020", "GET", "/nothing", check=False)
    assert failed.returncode == 1 and "status 404" in failed.stderr
    with open(f"/proc/{pod.agent.pid}/status") as f:
        assert next(int(line.split()[1]) for line in f if line.startswith("VmRSS")) < 8 * 1024


def finish(pod, load):
    load.send_signal(signal.SIGUSR1)
    out, _ = load.communicate(timeout=30)
    return json.loads(out)


def test_termination_under_load(pod):
    """REDIRECT. With TPROXY a few of a thousand new connections fail, drain or not: the proxy calls the application from the client's address, and
    its port may be one that the client uses itself towards the same port; the kernel takes the two for one connection."""
    load = pod.load(20)
    time.sleep(2)
    started = time.monotonic()
    pod.agent.send_signal(signal.SIGTERM)
    time.sleep(1)
    assert pod.curl(f"http://{POD}:15021/healthz/ready") == "draining\n"
    time.sleep(0.5)
    figures = finish(pod, load)
    assert pod.agent.wait(15) == 0
    assert figures["failures"] == [] and figures["requests"] > 500, figures
    assert figures["told_to_close"] >= 20, "each connection was told to go"
    assert 3 <= time.monotonic() - started < 8


@pytest.mark.parametrize("pod", [{"EXIT_ON_ZERO_ACTIVE_CONNECTIONS": "true", "MINIMUM_DRAIN_DURATION": "1s"}], indirect=True)
def test_exit_on_zero_waits_for_the_last(pod):
    """Five seconds are under way when the end comes, longer than the drain's three: it is waited for, and no longer."""
    slow = subprocess.Popen(pod.world.as_user(pod.world.client, ROOT) + ["curl", "-s", "-m", "20", f"http://{POD}:8090/sleep/5000"], stdout=subprocess.PIPE, text=True)
    time.sleep(0.5)
    started = time.monotonic()
    pod.agent.send_signal(signal.SIGTERM)
    assert "/sleep/5000" in slow.communicate(timeout=20)[0]
    assert pod.agent.wait(10) == 0
    assert 4 < time.monotonic() - started < 9


@pytest.mark.parametrize("pod", [{"EXIT_ON_ZERO_ACTIVE_CONNECTIONS": "true", "MINIMUM_DRAIN_DURATION": "2s"}], indirect=True)
def test_exit_on_zero_under_load(pod):
    load = pod.load(20)
    time.sleep(1)
    started = time.monotonic()
    pod.agent.send_signal(signal.SIGTERM)
    time.sleep(4)
    assert pod.agent.poll() is None, "there are connections still"
    figures = finish(pod, load)
    assert pod.agent.wait(10) == 0
    assert figures["failures"] == [] and figures["requests"] > 500, figures
    assert time.monotonic() - started < 10


def test_native_sidecar_pre_stop(pod):
    """preStop of a native sidecar: drained, but there until it is told to end."""
    load = pod.load(5)
    pod.command("request", "--debug-port", "15020", "POST", "drain")
    time.sleep(1)
    assert pod.curl(f"http://{POD}:15021/healthz/ready") == "draining\n" and pod.agent.poll() is None
    figures = finish(pod, load)
    assert figures["failures"] == [] and figures["told_to_close"] >= 5
    assert pod.command("request", "--debug-port", "15020", "POST", "/quitquitquit").stdout == "ok\n"
    assert pod.agent.wait(10) == 0


@pytest.mark.parametrize("pod", [{"ISTIO_META_DNS_CAPTURE": "true"}], indirect=True)
def test_dns_from_the_control_plane(pod):
    """The application asks the pod's name server; the agent answers for the mesh from the control plane's table, also after a change."""
    def lookup(name):
        return pod.world.ask(pod.world.pod, APP, "lookup", CLIENT, name)
    eventually(lambda: lookup("web") == "10.96.0.1")
    assert lookup("web.default.svc.cluster.local") == "10.96.0.1" and lookup("web.default.default.svc.cluster.local") == "10.96.0.1"
    assert json.loads(pod.curl(f"http://{POD}:15020/debug/ndsz"))["table"]["web.default.svc.cluster.local"]["shortname"] == "web"
    with open(os.path.join(pod.dir, "more.yaml.new"), "w") as f:
        f.write("apiVersion: v1\nkind: Service\nmetadata: {name: late, namespace: far}\nspec: {clusterIP: 10.96.0.7, ports: [{name: http, port: 80}]}\n")
    os.rename(os.path.join(pod.dir, "more.yaml.new"), os.path.join(pod.dir, "more.yaml"))
    eventually(lambda: lookup("late.far") == "10.96.0.7")
    pod.daemon.kill()
    assert lookup("late.far.svc") == "10.96.0.7", "the table stays when the control plane is away"


def test_nobody_asks_for_names_without_capture(pod):
    assert json.loads(pod.curl(f"http://{POD}:15020/debug/ndsz")) == {"table": {}}


def test_wait_says_what_is_missing(world):
    started = time.monotonic()
    done = run("ip", "netns", "exec", world.pod, AGENT, "wait", "--timeoutSeconds", "1", "--periodMillis", "100", check=False)
    assert done.returncode == 1 and "not ready after 1 s: EIO" in done.stderr and time.monotonic() - started < 4
    assert run("ip", "netns", "exec", world.pod, AGENT, "wait", "--url", "http://example.com/", check=False).returncode == 2
