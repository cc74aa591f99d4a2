"""What a replica that comes in another's place sends to the proxies of that: bytes and time. See hack/bench-upgrade."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import coxswain  # noqa: E402
from coxswain import CDS, EDS, LDS, RDS, Coxswaind, Stream, node  # noqa: E402


def objects(n):
    out = []
    for i in range(n):
        out.append(f"""
apiVersion: v1
kind: Service
metadata: {{name: s{i}, namespace: n{i % 10}}}
spec: {{clusterIP: 10.96.{i // 250}.{i % 250 + 1}, ports: [{{name: http, port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: s{i}-1, namespace: n{i % 10}, labels: {{kubernetes.io/service-name: s{i}}}}}
addressType: IPv4
ports: [{{name: http, port: 8080}}]
endpoints: [{{addresses: [10.1.{i // 250}.{i % 250 + 1}], conditions: {{ready: true}}}}]
""")
    return "---".join(out)


def follow(c, i, held):
    """One proxy: says what it holds, takes what comes; (bytes, what it holds now)."""
    got = 0
    with Stream(c.grpc_port, node(f"p{i}", ns=f"n{i % 10}", ip=f"10.2.0.{i + 1}")) as s:
        now = {url: dict(held.get(url, {})) for url in (CDS, EDS, LDS, RDS)}
        for url in (CDS, LDS):
            s.request(url, versions=held.get(url))
        asked = {EDS: set(), RDS: set()}
        while True:
            for url, names in ((EDS, {n for n in now[CDS] if n.startswith("outbound|")}), (RDS, {"80"} if any("80" in n for n in now[LDS]) else set())):
                if names - asked[url]:
                    s.request(url, sorted(names - asked[url]), versions=held.get(url) if not asked[url] else None)
                    asked[url] |= names
            try:
                r = s.next(seconds=1.0)
            except AssertionError:
                return got, now
            got += r.ByteSize()
            now[r.type_url].update({x.name: x.version for x in r.resources})
            for n in r.removed_resources:
                now[r.type_url].pop(n, None)
            s.ack(r)


def all_of(c, proxies, held):
    began, total, now = time.monotonic(), 0, []
    for i in range(proxies):
        n, h = follow(c, i, held[i])
        total += n
        now.append(h)
    return total, now, time.monotonic() - began - 1.0 * proxies  # of each the last second is silence


def main(services, proxies, old):
    new, files, rows = coxswain.BUILD, {"a.yaml": objects(services)}, []
    coxswain.BUILD = os.path.dirname(old) if old else new
    with Coxswaind(files) as c:
        c.wait_ready()
        total, held, _ = all_of(c, proxies, [{}] * proxies)
        rows.append(("first configuration, bytes", total))
    coxswain.BUILD = new
    with Coxswaind(files) as c:
        c.wait_ready()
        rows.append(("restart or upgrade from the release given, bytes" if old else "restart, bytes", all_of(c, proxies, held)[0]))
        empty = [{url: dict.fromkeys(known, "") for url, known in h.items()} for h in held]
        rows.append(("takeover from istiod (empty versions), bytes", all_of(c, proxies, empty)[0]))
    print(f"{services} services, {proxies} sidecars")
    for what, n in rows:
        print(f"{what:52} {n:>12,}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None)
