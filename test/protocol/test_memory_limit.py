"""A limit of memory: new proxies are refused before it is reached, and those that are served stay served. covers: g65"""

import time

import grpc
import pytest

from coxswain import CDS, EDS, Coxswaind, Stream, node, resources

ENTRY = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: e{0}, namespace: n{1}}}
spec:
  exportTo: ["."]
  hosts: [h{0}.example]
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  resolution: STATIC
  endpoints: [{{address: 10.9.0.{2}}}]
---
"""


def test_new_proxies_are_refused_and_served_ones_stay():
    files = {"a.yaml": "".join(ENTRY.format(i, i % 60, i % 250 + 1) for i in range(600))}
    with Coxswaind(files) as c:
        c.wait_ready()
        idle = c.rss_kib()
    limit = idle + 2 * 1024  # some dozens of proxies: connections, and views of their own
    with Coxswaind(files, args=["--memoryLimit", f"{int(limit / 0.9)}Ki"]) as c:
        c.wait_ready()
        first = Stream(c.grpc_port, node("first", ns="n0"))
        first.fetch(CDS)
        first.request(EDS, ["outbound|80||h0.example"])
        first.ack(first.next(EDS))
        streams, refused = [], 0
        for i in range(120):
            s = Stream(c.grpc_port, node(f"p{i}", ns=f"n{i % 60}", labels={"v": str(i)}), channel=first.channel if i % 3 else None)
            s.request(CDS)
            streams.append(s)
            if i % 10 == 9 and c.metric("coxswain_memory_shedding"):
                break
        try:
            # The requests are not waited for, and memory is looked at every 250 ms.
            end = time.monotonic() + 20
            while c.metric("coxswain_memory_shedding") != 1 and time.monotonic() < end:
                time.sleep(0.1)
            assert c.metric("coxswain_memory_shedding") == 1, (idle, limit, c.rss_kib())
            with Stream(c.grpc_port, node("late")) as late:
                late.request(CDS)
                with pytest.raises(grpc.RpcError) as e:
                    late.next(CDS)
                assert e.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and "memory" in e.value.details()
            assert "new proxies are refused" in c.log_text() and c.metric("coxswain_xds_streams_refused") >= 1
            # Who is served gets changes.
            c.write("a.yaml", files["a.yaml"].replace("10.9.0.1}", "10.9.0.251}"))
            while resources(first.next(EDS))["outbound|80||h0.example"].endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address != "10.9.0.251":
                pass
            assert c.rss_kib() < limit / 0.9 + 4096
        finally:
            for s in streams[::-1] + [first]:
                s.close()
