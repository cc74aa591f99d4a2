"""Runs a coxswaind on a directory of YAML, and a grpcio client that shares no code with it."""
import http.client
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import grpc
from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import ads_pb2, ads_pb2_grpc, discovery_pb2  # noqa: F401  (registers the services)
from google.protobuf import struct_pb2

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("COX_BUILD", os.path.join(TREE, "build"))
T = "type.googleapis.com/envoy."
CDS, EDS = T + "config.cluster.v3.Cluster", T + "config.endpoint.v3.ClusterLoadAssignment"
LDS, RDS = T + "config.listener.v3.Listener", T + "config.route.v3.RouteConfiguration"
VHDS = T + "config.route.v3.VirtualHost"


class Coxswaind:
    """A coxswaind on a directory of its own. Use as a context manager."""

    def __init__(self, files=None, args=(), env=None, source=None):
        self.dir = tempfile.mkdtemp(prefix="cox-")
        self.config = os.path.join(self.dir, "config")
        os.mkdir(self.config)
        for name, text in (files or {}).items():
            self.write(name, text)
        self.log_path = os.path.join(self.dir, "log")
        self.expected_exit = 0
        command = [os.path.join(BUILD, "coxswaind"), "discovery", "--grpcAddr", "127.0.0.1:0", "--httpAddr", "127.0.0.1:0",
                   "--monitoringAddr", "", "--secureGRPCAddr", "127.0.0.1:0", "--shutdownDuration", "1s", "--ctrlz_port", "0"]
        command += list(source) if source else ["--configDir", self.config]
        self.log = open(self.log_path, "w")
        self.process = subprocess.Popen(command + list(args), stderr=self.log, stdout=self.log, env={**os.environ, **(env or {})})
        self.grpc_port = self._port("ads listening")
        self.http_port = self._port("admin listening")

    def _port(self, what):
        deadline = time.time() + 30
        while time.time() < deadline:
            hit = re.search(what + r" addr=\S+?:(\d+)\b", self.log_text())
            if hit:
                return int(hit.group(1))
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"no line '{what}':\n{self.log_text()}")

    def log_text(self):
        with open(self.log_path) as f:
            return f.read()

    def write(self, name, text):
        """Replaces a file as editors do: a temporary file, renamed."""
        path = os.path.join(self.config, name)
        with open(path + ".tmp", "w") as f:
            f.write(text)
        os.rename(path + ".tmp", path)

    def remove(self, name):
        os.unlink(os.path.join(self.config, name))

    def get(self, path):
        c = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=20)
        c.request("GET", path)
        r = c.getresponse()
        body = r.read()
        c.close()
        return r.status, body

    def json(self, path):
        status, body = self.get(path)
        assert status == 200, (status, body)
        return json.loads(body)

    def wait_ready(self, seconds=20):
        deadline = time.time() + seconds
        while time.time() < deadline:
            if self.get("/ready")[0] == 200:
                return self
            time.sleep(0.02)
        raise AssertionError("not ready:\n" + self.log_text())

    def metric(self, name):
        """Sum of a metric over its labels."""
        total = 0.0
        for line in self.get("/metrics")[1].decode().splitlines():
            hit = re.match(r"([a-zA-Z_:]+)(\{[^}]*\})? (\S+)$", line)
            if hit and hit.group(1) == name:
                total += float(hit.group(3))
        return total

    def rss_kib(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError("did not end within 15 s of SIGTERM:\n" + self.log_text()[-3000:])
        self.log.close()
        return self.process.returncode

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        code = self.stop()
        text = self.log_text()
        shutil.rmtree(self.dir, ignore_errors=True)
        if exc[0] is None:
            assert code == self.expected_exit, f"exit {code}\n{text[-4000:]}"


def node(pod="client-0", ns="default", ip="10.0.0.1", kind="sidecar", labels=None, extensions=(), **metadata):
    md = {"NAMESPACE": ns, "CLUSTER_ID": "Kubernetes", "INSTANCE_IPS": ip, "LABELS": labels or {}, "COXSWAIN_SDS": "none", **metadata}
    s = struct_pb2.Struct()
    s.update(md)
    return base_pb2.Node(id=f"{kind}~{ip}~{pod}.{ns}~{ns}.svc.cluster.local", cluster=f"{pod}.{ns}", metadata=s,
                         user_agent_name="envoy", extensions=[base_pb2.Extension(name=e) for e in extensions])


class Stream:
    """One ADS stream, delta or state of the world; a thread puts responses into a queue."""

    def __init__(self, port, who=None, delta=True, channel=None):
        self.channel = channel or grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.max_receive_message_length", 1 << 30)])
        self.own_channel = channel is None
        self.delta, self.who, self.first = delta, who if who is not None else node(), True
        self.out, self.inbox, self.error = queue.Queue(), queue.Queue(), None
        stub = ads_pb2_grpc.AggregatedDiscoveryServiceStub(self.channel)
        call = stub.DeltaAggregatedResources if delta else stub.StreamAggregatedResources
        self.call = call(iter(self.out.get, None))
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        try:
            for r in self.call:
                self.inbox.put(r)
        except grpc.RpcError as e:
            self.error = e
        self.inbox.put(None)

    def request(self, url, names=(), unsubscribe=(), versions=None, nonce="", error=None, version=""):
        kwargs = {"type_url": url, "response_nonce": nonce}
        if self.first:
            kwargs["node"] = self.who
            self.first = False
        if self.delta:
            r = discovery_pb2.DeltaDiscoveryRequest(resource_names_subscribe=names, resource_names_unsubscribe=unsubscribe,
                                                    initial_resource_versions=versions or {}, **kwargs)
        else:
            r = discovery_pb2.DiscoveryRequest(resource_names=names, version_info=version, **kwargs)
        if error:
            r.error_detail.code = 3
            r.error_detail.message = error
        self.out.put(r)

    def raw(self, message):
        self.out.put(message)

    def next(self, url=None, seconds=20):
        """The next response (of a type, others are acknowledged on the way)."""
        deadline = time.time() + seconds
        while True:
            try:
                r = self.inbox.get(timeout=max(0.01, deadline - time.time()))
            except queue.Empty:
                raise AssertionError(f"no response {url} within {seconds} s")
            if r is None:
                raise self.error or AssertionError("stream ended")
            if url is None or r.type_url == url:
                return r
            self.ack(r)

    def silent(self, seconds=0.5):
        """Nothing comes for a while."""
        try:
            r = self.inbox.get(timeout=seconds)
        except queue.Empty:
            return True
        raise AssertionError(f"unexpected {r if r is None else r.type_url}: {r}")

    def ack(self, r, names=()):
        self.request(r.type_url, names=names, nonce=r.nonce, version="" if self.delta else r.version_info)

    def nack(self, r, message, names=()):
        self.request(r.type_url, names=names, nonce=r.nonce, error=message)

    def fetch(self, url, names=(), seconds=20):
        """Subscribes, takes the answer, acknowledges; returns {name: unpacked resource}."""
        self.request(url, names)
        r = self.next(url, seconds)
        self.ack(r, () if self.delta else names)
        return resources(r)

    def close(self):
        self.out.put(None)
        self.call.cancel()
        if self.own_channel:
            self.channel.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def resources(response):
    """{name: message} of a response."""
    from envoy.config.cluster.v3 import cluster_pb2
    from envoy.config.endpoint.v3 import endpoint_pb2
    from envoy.config.listener.v3 import listener_pb2
    from envoy.config.route.v3 import route_components_pb2, route_pb2
    kinds = {CDS: cluster_pb2.Cluster, EDS: endpoint_pb2.ClusterLoadAssignment, LDS: listener_pb2.Listener,
             RDS: route_pb2.RouteConfiguration, VHDS: route_components_pb2.VirtualHost}
    out = {}
    for one in response.resources:
        body = one.resource if hasattr(one, "resource") else one
        m = kinds[response.type_url]()
        assert body.Unpack(m), body.type_url
        name = one.name if hasattr(one, "resource") else getattr(m, "cluster_name", "") or m.name
        out[name] = m
    return out
