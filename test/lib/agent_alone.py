"""cox-agent proxy with a stand-in for Envoy (fake_envoy.py), on free ports of loopback."""
import http.client
import json
import os
import socket
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
AGENT = os.path.join(os.environ.get("BUILD", os.path.join(HERE, "..", "..", "build")), "cox-agent")


def free_ports(n):
    socks = [socket.socket() for _ in range(n)]
    for s in socks:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in socks]
    for s in socks:
        s.close()
    return ports


class Answer:
    def __init__(self, r):
        self.status, self.headers, self.body = r.status, dict((k.lower(), v) for k, v in r.getheaders()), r.read()


class Agent:
    def __init__(self, env=None, args=(), state=None):
        self.dir = tempfile.mkdtemp(prefix="cox-agent-")
        self.state_path = os.path.join(self.dir, "envoy.json")
        self.set(**(state or {}))
        self.admin, self.status, self.prometheus, self.health = free_ports(4)
        base = {"POD_NAME": "p", "POD_NAMESPACE": "default", "INSTANCE_IP": "127.0.0.1", "FAKE_ENVOY": self.state_path,
                "MINIMUM_DRAIN_DURATION": "0s", "PROXY_CONFIG": json.dumps({"terminationDrainDuration": "1s"})}
        command = [AGENT, "proxy", "sidecar", "--envoy", os.path.join(HERE, "fake_envoy.py"), "--config-dir", self.dir, "--pod-info-dir", self.dir,
                   "--admin-port", self.admin, "--status-port", self.status, "--prometheus-port", self.prometheus, "--health-port", self.health,
                   "--discovery", "127.0.0.1:1", "--identity", "none", *args]
        self.log = open(os.path.join(self.dir, "log"), "w")
        self.process = subprocess.Popen([str(c) for c in command], env={**os.environ, **base, **(env or {})}, stdout=self.log, stderr=self.log)
        deadline = time.time() + 20
        while True:
            try:
                self.get("/metrics")
                break
            except OSError:
                assert self.process.poll() is None and time.time() < deadline, self.log_text()
                time.sleep(0.02)

    def set(self, **state):
        with open(self.state_path + ".new", "w") as f:
            json.dump(state, f)
        os.rename(self.state_path + ".new", self.state_path)

    def log_text(self):
        with open(os.path.join(self.dir, "log")) as f:
            return f.read()

    def envoy_log(self):
        try:
            with open(self.state_path + ".log") as f:
                return f.read().splitlines()
        except FileNotFoundError:
            return []

    def get(self, path, method="GET", headers=None, host="127.0.0.1"):
        c = http.client.HTTPConnection(host, self.status, timeout=30)
        try:
            c.request(method, path, headers=headers or {})
            return Answer(c.getresponse())
        finally:
            c.close()

    def wait_envoy(self):
        deadline = time.time() + 20
        while b"does not answer" in self.get("/healthz/ready").body:
            assert time.time() < deadline, self.log_text()
            time.sleep(0.02)
        return self

    def wait_ready(self):
        deadline = time.time() + 20
        while self.get("/healthz/ready").status != 200:
            assert time.time() < deadline, self.log_text()
            time.sleep(0.02)
        return self

    def rss_kib(self, peak=False):
        with open(f"/proc/{self.process.pid}/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmHWM" if peak else "VmRSS"))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.log.close()
