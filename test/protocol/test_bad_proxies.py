"""Proxies that misbehave (issue 3, "Bad input"): bounded memory, the others unaffected, a message that says who and what.

covers: b1 b24 b25
"""
import asyncio
import os
import threading
import time

import grpc
import pytest

from coxswain import CDS, EDS, LDS, Coxswaind, Stream, node, resources
from envoy.service.discovery.v3 import discovery_pb2
from test_ads import DB, MESH, WEB, addresses, endpoints, start

DELTA = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"


def services(n):
    return "---".join(f"""
apiVersion: v1
kind: Service
metadata: {{name: s{i}, namespace: default}}
spec: {{clusterIP: 10.97.{i // 200}.{i % 200 + 1}, ports: [{{name: tcp, port: 9000}}]}}
""" for i in range(n))


@pytest.fixture
def mesh():
    with Coxswaind({"mesh.yaml": MESH, "web.yaml": endpoints("10.1.0.1")}) as c:
        yield c.wait_ready()


@pytest.fixture
def large():
    with Coxswaind({"mesh.yaml": MESH, "web.yaml": endpoints("10.1.0.1"), "many.yaml": services(200)}) as c:
        yield c.wait_ready()


def still_served(mesh, stream, ip):
    mesh.write("web.yaml", endpoints(ip))
    r = stream.next(EDS)
    assert addresses(resources(r)[WEB]) == [ip]
    stream.ack(r)


class Refuser:
    """Rejects every response at once, with a message that names nobody."""

    def __init__(self, port, url=CDS, who=None):
        self.stream, self.count, self.on = Stream(port, who or node("refuser-0")), 0, True
        self.stream.request(url)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while self.on:
            try:
                r = self.stream.next(None, 0.5)
            except Exception:  # noqa: BLE001  (nothing to reject)
                continue
            self.count += 1
            self.stream.nack(r, "I take nothing " + "x" * 20000)

    def stop(self):
        self.on = False
        self.thread.join()
        self.stream.close()


def test_who_rejects_everything_takes_nothing_from_those_who_accept_it(large):
    mesh = large
    with Stream(mesh.grpc_port) as good:
        clusters, *_ = start(good)
        assert len(clusters) == 205
        before = mesh.rss_kib()
        bad = Refuser(mesh.grpc_port)
        time.sleep(4)
        assert 10 < bad.count < 64 + 16, "answered in a burst, then once a second"
        assert mesh.rss_kib() - before < 8192
        still_served(mesh, good, "10.1.0.7")
        assert good.silent(1), "nothing is taken from it"
        with Stream(mesh.grpc_port, node("late-0")) as late:
            assert set(late.fetch(CDS)) == set(clusters), "nor from who comes later"
        bad.stop()
    assert "NACK proxy=sidecar~10.0.0.1~refuser-0.default" in mesh.log_text()


def test_a_first_proxy_that_rejects_everything_can_take_little(large):
    """For how long: test/unit/push/reject_test.c."""
    mesh = large
    bad = Refuser(mesh.grpc_port)
    time.sleep(6)
    with Stream(mesh.grpc_port) as s:
        clusters = s.fetch(CDS)
        assert len(clusters) >= 205 - 16
        assert mesh.metric("coxswain_xds_quarantined") <= 16
    bad.stop()


def test_what_others_accept_after_all_comes_back(mesh):
    """One rejects it first; the other, which got it in the same push, accepts it later."""
    with Stream(mesh.grpc_port, node("slow-0")) as slow, Stream(mesh.grpc_port, node("picky-0")) as picky:
        for s in (slow, picky):
            s.fetch(CDS)
        mesh.write("new.yaml", services(1))
        name = "outbound|9000||s0.default.svc.cluster.local"
        held = slow.next(CDS)
        r = picky.next(CDS)
        picky.nack(r, f"Error adding/updating cluster(s) {name}: no")
        time.sleep(0.6)  # by now it is left out for the class
        slow.ack(held)
        with Stream(mesh.grpc_port, node("late-0")) as late:
            have = set(late.fetch(CDS))
            if name not in have:
                assert name in resources(late.next(CDS, 15))


@pytest.mark.parametrize("what", ["at once", "after a good request"])
def test_garbage(mesh, what):
    good = Stream(mesh.grpc_port)
    start(good)
    channel = grpc.insecure_channel(f"127.0.0.1:{mesh.grpc_port}")
    first = [] if what == "at once" else [discovery_pb2.DeltaDiscoveryRequest(node=node("garbage-0"), type_url=CDS).SerializeToString()]
    for junk in (b"\xff" * 9, os.urandom(2000), b"\x0a\xff\xff\xff\xff\x0f", discovery_pb2.DeltaDiscoveryRequest(node=node("g-0")).SerializeToString()[:-3]):
        with pytest.raises(grpc.RpcError) as e:
            list(channel.stream_stream(DELTA)(iter(first + [junk])))
        assert e.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.INTERNAL), e.value
    with pytest.raises(grpc.RpcError) as e:
        list(channel.stream_stream(DELTA)(iter([b"\x00" * (5 << 20)])))
    assert e.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, "larger than 4 MiB"
    still_served(mesh, good, "10.1.0.8")
    assert "stream refused" in mesh.log_text() and "reason=malformed" in mesh.log_text()
    channel.close()
    good.close()


def test_a_thousand_streams(mesh):
    """On ten connections, each with as many as one may have; one more waits its turn. Then they all go at once."""
    with Stream(mesh.grpc_port) as good:
        start(good)
        before = mesh.rss_kib()

        async def crowd():
            channels = [grpc.aio.insecure_channel(f"127.0.0.1:{mesh.grpc_port}", options=[("grpc.use_local_subchannel_pool", 1)]) for _ in range(10)]
            calls = [channels[i % 10].stream_stream(DELTA, request_serializer=lambda m: m.SerializeToString(),
                                                    response_deserializer=discovery_pb2.DeltaDiscoveryResponse.FromString)() for i in range(1000)]

            async def one(i, call):
                await call.write(discovery_pb2.DeltaDiscoveryRequest(node=node(f"crowd-{i}"), type_url=CDS))
                r = await call.read()
                return len(r.resources)
            got = await asyncio.gather(*(one(i, c) for i, c in enumerate(calls)))
            extra = channels[0].stream_stream(DELTA, request_serializer=lambda m: m.SerializeToString(),
                                              response_deserializer=discovery_pb2.DeltaDiscoveryResponse.FromString)()
            waits = asyncio.ensure_future(one(1000, extra))
            await asyncio.sleep(0.5)
            assert not waits.done(), "a connection has a hundred streams at most"
            return got, mesh.json("/debug/adsz")["totalClients"], channels, calls, waits
        loop = asyncio.new_event_loop()
        got, clients, channels, calls, waits = loop.run_until_complete(crowd())
        assert clients == 1001 and len(set(got)) == 1
        assert mesh.rss_kib() - before < 100 * 1024, "a stream costs its state, not a copy of the configuration"
        still_served(mesh, good, "10.1.0.9")
        waits.cancel()
        async def leave():
            await asyncio.gather(*(c.close() for c in channels))
        loop.run_until_complete(leave())
        loop.close()
        deadline = time.time() + 20
        while mesh.json("/debug/adsz")["totalClients"] > 1 and time.time() < deadline:
            time.sleep(0.1)
        assert mesh.json("/debug/adsz")["totalClients"] == 1
        still_served(mesh, good, "10.1.0.10")


def test_another_with_the_same_node_id_gets_its_own_and_disturbs_nobody(mesh):
    with Stream(mesh.grpc_port, node("web-0", ip="10.1.0.1")) as first:
        start(first)
        with Stream(mesh.grpc_port, node("web-0", ip="10.1.0.1", labels={"app": "other"})) as second:
            clusters = second.fetch(CDS)
            assert WEB in clusters
            second.request(LDS)
            second.nack(second.next(LDS), "I am not he")
            still_served(mesh, first, "10.1.0.11")
        still_served(mesh, first, "10.1.0.12")
        assert first.silent(0.5)
    line = [x for x in mesh.log_text().splitlines() if "another claims its id" in x]
    assert line and "~web-0.default~" in line[0] and "other_peer=" in line[0]
