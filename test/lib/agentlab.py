"""Runs cox-agent on directories of its own, with an Envoy or with a program that only waits in its place, and speaks to its sockets as Envoy does."""
import os
import queue
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import grpc
from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from envoy.service.discovery.v3 import discovery_pb2

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("COX_BUILD", os.path.join(TREE, "build"))
SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def eventually(check, timeout=15, what=""):
    """The first true value of check(), tried often."""
    end = time.monotonic() + timeout
    while True:
        value = check()
        if value:
            return value
        assert time.monotonic() < end, f"not in {timeout} s: {what}"
        time.sleep(0.02)


def is_served(path):
    with socket.socket(socket.AF_UNIX) as s:
        try:
            s.connect(path)
        except OSError:
            return False
    return True


class Agent:
    """envoy: a path, or None for a program that only waits. Use as a context manager."""

    def __init__(self, discovery, roots=None, token="token-1", env=None, envoy=None, args=(), start=True):
        self.dir = tempfile.mkdtemp(prefix="cox-ag-", dir="/var/tmp")
        self.secrets, self.config = os.path.join(self.dir, "s"), os.path.join(self.dir, "c")
        for d in (self.config, self.secrets, *(os.path.join(self.secrets, x) for x in ("tokens", "istio", "workload-spiffe-uds"))):
            os.makedirs(d, exist_ok=True)
        if roots is not None:
            self.write_roots(roots)
        if token is not None:
            self.write_token(token)
        self.waiter = os.path.join(self.dir, "waits")
        with open(self.waiter, "w") as f:
            f.write("#!/bin/sh\nexec sleep 100000\n")
        os.chmod(self.waiter, 0o755)
        self.ports = {name: free_port() for name in ("admin", "status", "prometheus", "health", "tap")}
        self.log_path = os.path.join(self.dir, "log")
        self.sds, self.xds = os.path.join(self.secrets, "workload-spiffe-uds/socket"), os.path.join(self.config, "XDS")
        self.command = [os.path.join(BUILD, "cox-agent"), "proxy", "sidecar", "--discovery", discovery, "--envoy", envoy or self.waiter, "--config-dir", self.config,
                        "--secrets-dir", self.secrets, "--pod-info-dir", os.path.join(self.dir, "none"), "--status-address", "127.0.0.1",
                        *(x for name, port in self.ports.items() for x in (f"--{name}-port", str(port))), *args]
        self.env = {"PATH": os.environ["PATH"], "POD_NAME": "pod-1", "POD_NAMESPACE": "default", "INSTANCE_IP": "127.0.0.1", "SERVICE_ACCOUNT": "default",
                    "PROXY_CONFIG": '{"concurrency": 1, "terminationDrainDuration": "0s"}',
                    "TSAN_OPTIONS": "suppressions=" + os.path.join(TREE, "test/lib/tsan.supp"), **{k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}, **(env or {})}
        self.process = None
        if start:
            self.start()

    def write_roots(self, pem):
        self._write("istio/root-cert.pem", pem)

    def write_token(self, token):
        self._write("tokens/istio-token", token)

    def _write(self, name, text):
        path = os.path.join(self.secrets, name)
        with open(path + ".tmp", "w") as f:
            f.write(text)
        os.rename(path + ".tmp", path)

    def start(self):
        with open(self.log_path, "a") as log:
            self.started = time.monotonic()
            self.process = subprocess.Popen(self.command, env=self.env, stdout=log, stderr=log, start_new_session=True)

    def log(self):
        with open(self.log_path) as f:
            return f.read()

    def wait_log(self, text, timeout=15):
        def look():
            assert self.process.poll() is None, self.log()[-3000:]
            return text in self.log()
        try:
            eventually(look, timeout, text)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.log()[-3000:]}") from None

    def kill(self):
        """The agent alone, as the kernel would for want of memory."""
        self.process.kill()
        self.process.wait()

    def stop(self, timeout=20):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.returncode if self.process else None

    def close(self):
        code = self.stop()
        if self.process:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)  # an Envoy that outlived its agent
            except ProcessLookupError:
                pass
        text = self.log() if os.path.exists(self.log_path) else ""
        assert "Sanitizer" not in text and "DEADLYSIGNAL" not in text and "runtime error" not in text, text[-6000:]
        shutil.rmtree(self.dir, ignore_errors=True)
        return code

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            print(self.log()[-6000:])
        self.close()

    def memory(self):
        """Kilobytes: resident, anonymous."""
        with open(f"/proc/{self.process.pid}/smaps_rollup") as f:
            values = dict(line.split(":", 1) for line in f if ":" in line)
        return int(values["Rss"].split()[0]), int(values["Anonymous"].split()[0])


class Stream:
    """One xDS stream on a Unix socket, as Envoy would open it."""

    def __init__(self, path, service, delta=True):
        self.delta = delta
        eventually(lambda: is_served(path), 15, path)
        self.channel = grpc.insecure_channel(f"unix:{path}", options=[("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)])
        base = {"sds": "/envoy.service.secret.v3.SecretDiscoveryService/", "ads": "/envoy.service.discovery.v3.AggregatedDiscoveryService/"}[service]
        method = {"sds": ("StreamSecrets", "DeltaSecrets"), "ads": ("StreamAggregatedResources", "DeltaAggregatedResources")}[service][delta]
        self.request, answer = ((discovery_pb2.DeltaDiscoveryRequest, discovery_pb2.DeltaDiscoveryResponse) if delta else
                                (discovery_pb2.DiscoveryRequest, discovery_pb2.DiscoveryResponse))
        self.out, self.got, self.status = queue.Queue(), queue.Queue(), None
        self.first = True
        self.call = self.channel.stream_stream(base + method, self.request.SerializeToString, answer.FromString)(iter(self.out.get, None))
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            for m in self.call:
                self.got.put(m)
            self.status = grpc.StatusCode.OK
        except grpc.RpcError as e:
            self.status, self.details = e.code(), e.details()
        self.got.put(None)

    def send(self, kind=SECRET, names=(), nonce="", error=None, version="", initial=None, unsubscribe=()):
        r = self.request(type_url=kind, response_nonce=nonce)
        if self.first:
            r.node.CopyFrom(base_pb2.Node(id="sidecar~127.0.0.1~pod-1.default~default.svc.cluster.local", cluster="x"))
        self.first = False
        if error:
            r.error_detail.code, r.error_detail.message = 13, error
        if self.delta:
            r.resource_names_subscribe.extend(names)
            r.resource_names_unsubscribe.extend(unsubscribe)
            for k, v in (initial or {}).items():
                r.initial_resource_versions[k] = v
        else:
            r.resource_names.extend(names)
            r.version_info = version
        self.out.put(r)

    def get(self, timeout=15):
        m = self.got.get(timeout=timeout)
        assert m is not None, f"the stream ended: {self.status} {getattr(self, 'details', '')}"
        return m

    def ended(self, timeout=15):
        while self.got.get(timeout=timeout) is not None:
            pass
        return self.status

    def none(self, seconds=0.5):
        try:
            m = self.got.get(timeout=seconds)
        except queue.Empty:
            return True
        raise AssertionError(f"unexpected: {str(m)[:500]}")

    def secrets(self, timeout=15):
        """{name: Secret} of the next response, and the response."""
        m = self.get(timeout)
        out = {}
        for r in m.resources:
            s = secret_pb2.Secret()
            (r.resource if self.delta else r).Unpack(s)
            out[s.name] = s
        return out, m

    def ack(self, m, names=()):
        self.send(m.type_url, names if not self.delta else (), m.nonce, version="" if self.delta else m.version_info)

    def close(self):
        self.out.put(None)
        self.call.cancel()
        self.channel.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
