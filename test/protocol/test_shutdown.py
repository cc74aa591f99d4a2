"""SIGTERM with proxies connected: not ready at once, their streams end one after the other, and the next replica sends them nothing.

covers: g58 g59
"""
import http.client
import signal
import threading
import time

import grpc
import pytest

from coxswain import CDS, EDS, LDS, Coxswaind, Stream, node, resources

MESH = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: web, namespace: default}
spec:
  hosts: [web.example]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 10.9.0.1}]
"""
SECONDS, PROXIES = 3.0, 20


def test_streams_are_spread_and_the_next_replica_sends_nothing():
    held, ended = [], []
    with Coxswaind({"a.yaml": MESH}, args=["--shutdownDuration", f"{int(SECONDS)}s"]) as c:
        c.wait_ready()
        streams = [Stream(c.grpc_port, node(f"p{i}")) for i in range(PROXIES)]
        for s in streams:  # a connection each: clients share one for a target otherwise
            s.close()
        streams = [Stream(c.grpc_port, node(f"p{i}"), channel=grpc.insecure_channel(f"127.0.0.1:{c.grpc_port}", options=[("grpc.use_local_subchannel_pool", 1)]))
                   for i in range(PROXIES)]
        for s in streams:
            got = {}
            for url in (CDS, LDS):
                s.request(url)
                r = s.next(url)
                got[url] = {x.name: x.version for x in r.resources}
                s.ack(r)
            s.request(EDS, ["outbound|80||web.example"])
            r = s.next(EDS)
            got[EDS] = {x.name: x.version for x in r.resources}
            s.ack(r)
            held.append(got)

        def wait_end(s):
            while s.inbox.get() is not None:
                pass
            ended.append((time.monotonic(), s.error))
        readers = [threading.Thread(target=wait_end, args=(s,)) for s in streams]
        for t in readers:
            t.start()
        began = time.monotonic()
        c.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert c.get("/ready") == (503, b"not ready: ending\n")
        assert len(ended) <= 2  # they are served on
        with pytest.raises(grpc.RpcError), Stream(c.grpc_port, node("new")) as s:
            s.request(CDS)
            s.next(CDS, seconds=5)
        for t in readers:
            t.join(SECONDS + 5)
        after = sorted(t - began for t, _ in ended)
        assert len(after) == PROXIES and all(e.code() == grpc.StatusCode.UNAVAILABLE for _, e in ended)
        assert after[-1] < SECONDS + 1.5
        # Not at once: in no second more than half of them.
        assert max(sum(x <= t < x + 1 for t in after) for x in after) <= PROXIES / 2 + 1, after
        assert c.process.wait(5) == 0
        for s in streams:
            s.close()
    with Coxswaind({"a.yaml": MESH}) as again:
        again.wait_ready()
        for i in (0, PROXIES - 1):
            with Stream(again.grpc_port, node(f"p{i}")) as s:
                for url in (CDS, LDS):
                    s.request(url, versions=held[i][url])
                s.request(EDS, ["outbound|80||web.example"], versions=held[i][EDS])
                while True:  # an answer may come, with nothing in it
                    try:
                        r = s.next(seconds=0.7)
                    except AssertionError:
                        break
                    assert not resources(r) and not r.removed_resources, r
                    s.ack(r)


def test_not_ready_before_the_sources_are_complete(tmp_path):
    """/ready is 503 and streams are refused until the first snapshot is there."""
    with Coxswaind({f"{i}.yaml": MESH.replace("web", f"web{i}") for i in range(300)}) as c:
        seen = []
        while not seen or seen[-1] != 200:
            try:
                seen.append(c.get("/ready")[0])
            except (OSError, http.client.HTTPException):
                pass
            assert len(seen) < 10000
        with Stream(c.grpc_port) as s:
            s.request(CDS)
            assert sum(n.startswith("outbound|80||web") for n in resources(s.next(CDS))) == 300  # all of it, never a part
