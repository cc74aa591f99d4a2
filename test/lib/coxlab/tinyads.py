"""A control plane of a hundred lines: what a pod alone needs (capture, agent, Envoy) without coxswaind. Delta ADS only."""
import threading
from concurrent import futures

import grpc
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2
from google.protobuf import any_pb2, json_format

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_pb2
import envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2  # noqa: F401  (so that JSON finds the types)
import envoy.extensions.filters.listener.original_dst.v3.original_dst_pb2  # noqa: F401

CDS, LDS = "type.googleapis.com/envoy.config.cluster.v3.Cluster", "type.googleapis.com/envoy.config.listener.v3.Listener"


def cluster(name, source=None):
    out = {"name": name, "type": "ORIGINAL_DST", "lbPolicy": "CLUSTER_PROVIDED", "connectTimeout": "2s"}
    if source:
        out["upstreamBindConfig"] = {"sourceAddress": {"address": source, "portValue": 0}}
    return out


def listener(name, port, target):
    return {"name": name, "address": {"socketAddress": {"address": "0.0.0.0", "portValue": port}},
            "listenerFilters": [{"name": "envoy.filters.listener.original_dst", "typedConfig": {
                "@type": "type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst"}}],
            "filterChains": [{"filters": [{"name": "envoy.filters.network.tcp_proxy", "typedConfig": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", "statPrefix": name, "cluster": target}}]}]}


RESOURCES = {
    CDS: (cluster_pb2.Cluster, [cluster("PassthroughCluster"), cluster("InboundPassthroughCluster", "127.0.0.6")]),
    LDS: (listener_pb2.Listener, [listener("virtualOutbound", 15001, "PassthroughCluster"), listener("virtualInbound", 15006, "InboundPassthroughCluster")]),
}


class TinyAds(ads_pb2_grpc.AggregatedDiscoveryServiceServicer):
    """Gives every proxy listeners that pass everything through. `nodes` holds what proxies said about themselves."""

    def __init__(self, address, silent=()):
        self.nodes, self.silent, self.lock = {}, set(silent), threading.Lock()
        self.server = grpc.server(futures.ThreadPoolExecutor(max_workers=64))
        ads_pb2_grpc.add_AggregatedDiscoveryServiceServicer_to_server(self, self.server)
        if self.server.add_insecure_port(address) == 0:
            raise RuntimeError(f"{address} is taken")
        self.server.start()

    def DeltaAggregatedResources(self, requests, context):
        asked = set()
        for request in requests:
            if request.node.id:
                with self.lock:
                    self.nodes[request.node.id] = json_format.MessageToDict(request.node)
            kind = request.type_url
            if kind not in RESOURCES or kind in asked or kind in self.silent:
                continue
            asked.add(kind)
            message, items = RESOURCES[kind]
            answer = discovery_pb2.DeltaDiscoveryResponse(type_url=kind, nonce=str(len(asked)))
            for item in items:
                packed = any_pb2.Any()
                packed.Pack(json_format.ParseDict(item, message()))
                answer.resources.add(name=item["name"], version="1", resource=packed)
            yield answer

    def close(self):
        self.server.stop(0).wait(2)
