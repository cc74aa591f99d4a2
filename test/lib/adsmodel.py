"""A hand-driven ADS server for one real Envoy: the test sees every request and writes every response.

It shares no code with coxswaind. With it the behaviours that test/sim/envoy.c assumes are asserted on a real Envoy.
"""
import http.client
import json
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from concurrent import futures

import grpc
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2, json_format
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2  # noqa: F401
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2  # noqa: F401

from coxswain import CDS, EDS, LDS, RDS, VHDS

ENVOY = os.path.join(os.path.dirname(sys.executable), "envoy")
TYPES = {CDS: cluster_pb2.Cluster, EDS: endpoint_pb2.ClusterLoadAssignment, LDS: listener_pb2.Listener, RDS: route_pb2.RouteConfiguration,
         VHDS: route_components_pb2.VirtualHost}


ADS = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
PORTS = {}


def cluster(name, connections=1024):
    return {"name": name, "type": "EDS", "connect_timeout": "1s", "eds_cluster_config": {"eds_config": ADS},
            "circuit_breakers": {"thresholds": [{"max_connections": connections}]}}


def assignment(name, address="127.0.0.1"):
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"socket_address": {"address": address, "port_value": 9}}}}]}]}


def listener(name, route_name):
    package = "type.googleapis.com/envoy.extensions.filters."
    router = {"name": "router", "typed_config": {"@type": package + "http.router.v3.Router"}}
    hcm = {"@type": package + "network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": name,
           "rds": {"route_config_name": route_name, "config_source": ADS}, "http_filters": [router]}
    return {"name": name, "address": {"socket_address": {"address": "127.0.0.1", "port_value": PORTS.setdefault(name, free_port())}},
            "filter_chains": [{"filters": [{"name": "hcm", "typed_config": hcm}]}]}


def route(name, vhds=True, virtual_hosts=()):
    return {"name": name, "virtual_hosts": list(virtual_hosts), **({"vhds": {"config_source": ADS}} if vhds else {})}


def vhost(name, domain="x", status=200):
    return {"name": name, "domains": [domain], "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": status}}]}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def until(check, what, seconds=15):
    deadline = time.time() + seconds
    while time.time() < deadline:
        got = check()
        if got:
            return got
        time.sleep(0.05)
    raise AssertionError("not within %d s: %s" % (seconds, what))


class Gone(Exception):
    """The stream ended."""


class AdsStream:
    """One stream of the Envoy. Requests wait in a queue; send() writes at once."""

    def __init__(self, context, delta):
        self.context, self.delta = context, delta
        self.inbox, self.outbox = queue.Queue(), queue.Queue()
        self.last_nonce = 0
        self.backlog = []

    def send(self, url, resources=(), removed=(), version="1"):
        """resources: {name: json} or, for versions, {name: (json, version)}; returns the nonce."""
        self.last_nonce += 1
        made = discovery_pb2.DeltaDiscoveryResponse(type_url=url, nonce=str(self.last_nonce), removed_resources=list(removed)) if self.delta else \
            discovery_pb2.DiscoveryResponse(type_url=url, nonce=str(self.last_nonce), version_info=version)
        for name, value in dict(resources).items():
            v = version
            if isinstance(value, tuple):
                value, v = value
            packed = any_pb2.Any(type_url=url, value=json_format.ParseDict(value, TYPES[url]()).SerializeToString())
            if self.delta:
                made.resources.append(discovery_pb2.Resource(name=name, version=v, resource=packed))
            else:
                made.resources.append(packed)
        self.outbox.put(made)
        return str(self.last_nonce)

    def take(self, is_it, what, seconds=10):
        """The first request for which is_it(request); others stay for later."""
        for i, r in enumerate(self.backlog):
            if is_it(r):
                return self.backlog.pop(i)
        deadline = time.time() + seconds
        while True:
            try:
                r = self.inbox.get(timeout=max(0.01, deadline - time.time()))
            except queue.Empty:
                raise AssertionError(f"no request within {seconds} s: {what}") from None
            if r is None:
                raise Gone()
            if is_it(r):
                return r
            self.backlog.append(r)

    def next(self, url, seconds=10):
        """The next request of that type that answers nothing: a subscription."""
        return self.take(lambda r: r.type_url == url and not r.response_nonce, url, seconds)

    def answered(self, nonce, seconds=10):
        """The acknowledgement or rejection of a response."""
        return self.take(lambda r: r.response_nonce == nonce, f"answer to {nonce}", seconds)

    def is_acked(self, nonce, seconds=10):
        return not self.answered(nonce, seconds).HasField("error_detail")

    def silent(self, url, seconds=1.0):
        """No subscription of that type comes."""
        try:
            self.next(url, seconds)
        except AssertionError:
            return True
        return False

    def end(self):
        self.outbox.put(None)


class Ads:
    def __init__(self):
        self.streams = queue.Queue()
        self.server = grpc.server(futures.ThreadPoolExecutor(8))
        service = "envoy.service.discovery.v3.AggregatedDiscoveryService"
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {
            "DeltaAggregatedResources": grpc.stream_stream_rpc_method_handler(
                lambda i, c: self._serve(i, c, True), discovery_pb2.DeltaDiscoveryRequest.FromString, discovery_pb2.DeltaDiscoveryResponse.SerializeToString),
            "StreamAggregatedResources": grpc.stream_stream_rpc_method_handler(
                lambda i, c: self._serve(i, c, False), discovery_pb2.DiscoveryRequest.FromString, discovery_pb2.DiscoveryResponse.SerializeToString)}),))
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def _serve(self, requests, context, delta):
        stream = AdsStream(context, delta)
        self.streams.put(stream)

        def read():
            try:
                for r in requests:
                    stream.inbox.put(r)
            except Exception:  # noqa: BLE001  (cancelled: the Envoy is gone)
                pass
            stream.inbox.put(None)
            stream.outbox.put(None)
        threading.Thread(target=read, daemon=True).start()
        while True:
            r = stream.outbox.get()
            if r is None:
                return
            yield r

    def stream(self, seconds=30):
        return self.streams.get(timeout=seconds)

    def stop(self):
        self.server.stop(0)


class RealEnvoy:
    """An Envoy whose ADS server is at xds_port."""

    def __init__(self, xds_port, tmp, node_id="sidecar~10.1.0.99~sidecar-0.default~default.svc.cluster.local", delta=True, metadata=None, xds_socket=None):
        self.admin = free_port()
        node = {"id": node_id, "cluster": "twin", "metadata": metadata or {}}
        h2 = {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions", "explicit_http_config": {"http2_protocol_options": {}}}}
        address = {"socket_address": {"address": "127.0.0.1", "port_value": xds_port}}
        boot = {"node": node, "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": self.admin}}},
                "dynamic_resources": {"lds_config": {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"},
                                      "cds_config": {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"},
                                      "ads_config": {"api_type": "DELTA_GRPC" if delta else "GRPC", "transport_api_version": "V3",
                                                     "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}]}},
                "static_resources": {"clusters": [{"name": "xds-grpc", "type": "STATIC", "connect_timeout": "1s", "typed_extension_protocol_options": h2,
                                                   **({"transport_socket": xds_socket} if xds_socket else {}),
                                                   "load_assignment": {"cluster_name": "xds-grpc", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]}}]}}
        path = tmp / f"envoy-{self.admin}.json"
        path.write_text(json.dumps(boot))
        self.log_path = tmp / f"envoy-{self.admin}.log"
        self.log = open(self.log_path, "w")
        self.process = subprocess.Popen([ENVOY, "-c", str(path), "--concurrency", "1", "--use-dynamic-base-id"], stdout=self.log, stderr=self.log)

    def get(self, path):
        try:
            c = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=5)
            c.request("GET", path)
            return c.getresponse().read().decode()
        except OSError:
            return ""

    def dump(self, section):
        text = self.get("/config_dump?include_eds")
        for one in json.loads(text)["configs"] if text else []:
            if one["@type"].endswith("." + section):
                return one
        return {}

    def clusters(self, part="dynamic_active_clusters"):
        return {c["cluster"]["name"]: c["cluster"] for c in self.dump("ClustersConfigDump").get(part, [])}

    def routes(self):
        return {r["route_config"]["name"]: r["route_config"] for r in self.dump("RoutesConfigDump").get("dynamic_route_configs", [])}

    def vhosts(self):
        return {v["name"] for r in self.routes().values() for v in r.get("virtual_hosts", [])}

    def listeners(self, state="active_state"):
        return {x["name"] for x in self.dump("ListenersConfigDump").get("dynamic_listeners", []) if state in x}

    def stat(self, name):
        for line in self.get("/stats?filter=" + name).splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[-1])
        return 0

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(15)
        self.log.close()
