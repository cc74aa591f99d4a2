"""A running istiod is taken over, and given back: a real Envoy that holds what an istiod sent (every version empty) comes to coxswaind, and goes
again, while requests are on their way all the time.

The istiod is played by a relay before a coxswaind: it blanks versions, as istiod leaves them, names nonces in istiod's form, and adds a cluster
that coxswaind does not make. covers: h11 h12 b30
"""
import concurrent.futures
import re
import threading
import time

import grpc
import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2

from adsmodel import free_port, until
from coxswain import CDS, Coxswaind
from test_section20 import A, Envoy, app, endpoints, fetch, route, rule, service  # noqa: F401

ONLY_ISTIOD = "outbound|9||only-istiod.default.svc.cluster.local"


class Istiod(ads_pb2_grpc.AggregatedDiscoveryServiceServicer):
    """Passes a coxswaind's answers on as an istiod would have written them. port: where it listens."""

    def __init__(self, upstream, port):
        self.channel = grpc.insecure_channel(f"127.0.0.1:{upstream}")
        self.stub = ads_pb2_grpc.AggregatedDiscoveryServiceStub(self.channel)
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
        ads_pb2_grpc.add_AggregatedDiscoveryServiceServicer_to_server(self, self.server)
        assert self.server.add_insecure_port(f"127.0.0.1:{port}") == port
        self.initial = []
        self.server.start()

    def DeltaAggregatedResources(self, requests, context):
        nonces, has_extra = {}, False

        def up():
            for r in requests:
                if r.initial_resource_versions:
                    self.initial.append((r.type_url, dict(r.initial_resource_versions)))
                # An istiod does not look at versions: it sends everything again.
                r.initial_resource_versions.clear()
                if r.response_nonce:
                    r.response_nonce = nonces.get(r.response_nonce, r.response_nonce)
                yield r
        for r in self.stub.DeltaAggregatedResources(up()):
            theirs = r.nonce
            r.nonce = f"2026-08-01T10:00:00Z/7{theirs}"
            nonces[r.nonce] = theirs
            for x in r.resources:
                x.version = ""
            if r.type_url == CDS and not has_extra:
                has_extra = True
                x = r.resources.add(name=ONLY_ISTIOD)
                x.resource.Pack(cluster_pb2.Cluster(name=ONLY_ISTIOD, type=cluster_pb2.Cluster.STATIC, connect_timeout={"seconds": 1}))
            yield r

    def stop(self):
        self.server.stop(0).wait()
        self.channel.close()


def connections(e):
    return e.clusters()[A].get("circuit_breakers", {}).get("thresholds", [{}])[0].get("max_connections")


def test_there_and_back(app, tmp_path):  # noqa: F811
    port, xds = free_port(), free_port()
    gateway = f"""
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: gw, namespace: default}}
spec: {{selector: {{istio: ingress}}, servers: [{{port: {{number: {port}, name: http, protocol: HTTP}}, hosts: ["*"]}}]}}
"""
    files = {"a.yaml": service("a", "10.96.0.1"), "ae.yaml": endpoints("a", app), "gw.yaml": gateway, "vs.yaml": route("a")}
    seen, done = [], threading.Event()

    def ask():
        while not done.is_set():
            seen.append(fetch(port))
            time.sleep(0.005)
    changed = ["cluster_manager.cluster_modified", "listener_manager.listener_modified", "listener_manager.listener_removed", "cluster_manager.cluster_removed"]
    with Coxswaind(files) as behind:
        istiod = Istiod(behind.wait_ready().grpc_port, xds)
        e = Envoy(xds, "router", tmp_path, {"istio": "ingress"})
        try:
            until(lambda: fetch(port) == 200 and ONLY_ISTIOD in e.clusters(), "configured by istiod")
            asker = threading.Thread(target=ask)
            asker.start()
            before = [e.stat(n) for n in changed]
            istiod.stop()
            with Coxswaind(files, args=["--grpcAddr", f"127.0.0.1:{xds}", "--shutdownDuration", "1s"]) as c:
                c.wait_ready()
                until(lambda: c.metric("pilot_xds") >= 1, "the Envoy comes", 40)
                until(lambda: ONLY_ISTIOD not in e.clusters(), "what coxswaind does not make goes", 30)
                first = c.metric("pilot_xds_config_size_bytes_sum")
                after = [e.stat(n) for n in changed]
                assert after[:3] == before[:3] and after[3] == before[3] + 1, (before, after)  # equal bytes: nothing is made anew
                assert not e.clusters("dynamic_warming_clusters")
                c.write("d.yaml", rule(7))
                until(lambda: connections(e) == 7, "changes arrive")
            # The next coxswaind knows by the versions that nothing is to be sent.
            files["d.yaml"] = rule(7)
            with Coxswaind(files, args=["--grpcAddr", f"127.0.0.1:{xds}", "--shutdownDuration", "1s"]) as c:
                c.wait_ready()
                until(lambda: c.metric("pilot_xds") >= 1, "the Envoy comes again", 40)
                time.sleep(1)
                assert c.metric("pilot_xds_config_size_bytes_sum") < first / 5
            # And back: an istiod takes it, without a restart of the Envoy.
            istiod = Istiod(behind.grpc_port, xds)
            until(lambda: ONLY_ISTIOD in e.clusters() and connections(e) != 7, "configured by istiod again", 40)
            versions = {v for _, known in istiod.initial for v in known.values()}
            assert any(re.fullmatch("[0-9a-f]{32}", v) for v in versions), versions  # ours, which an istiod does not mind
            until(lambda: fetch(port) == 200, "traffic")
            done.set()
            asker.join()
            assert len(seen) > 200 and set(seen) == {200}, {s: seen.count(s) for s in set(seen)}
        finally:
            done.set()
            e.stop()
            istiod.stop()
