"""The ADS protocol, spoken by grpcio and xds-protos.

covers: b1 b2 b3 b16 b17 b18 b24 b25 b26 b35
"""
import os
import time

import grpc
import pytest

from coxswain import CDS, EDS, LDS, RDS, VHDS, Coxswaind, Stream, node, resources

MESH = """
apiVersion: v1
kind: Namespace
metadata: {name: default}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec:
  clusterIP: 10.96.1.1
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: default}
spec:
  clusterIP: 10.96.1.2
  selector: {app: db}
  ports: [{name: tcp, port: 5432}]
"""
SLICE = """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: default, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080, protocol: TCP}]
endpoints: [%s]
"""


def endpoints(*ips):
    return SLICE % ", ".join("{addresses: [%s], conditions: {ready: true}}" % ip for ip in ips)


def virtual_service(timeout):
    return """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: default}
spec:
  hosts: [web]
  http: [{timeout: %s, route: [{destination: {host: web}}]}]
""" % timeout


WEB = "outbound|80||web.default.svc.cluster.local"
DB = "outbound|5432||db.default.svc.cluster.local"


@pytest.fixture
def mesh():
    with Coxswaind({"mesh.yaml": MESH, "web.yaml": endpoints("10.1.0.1"), "vs.yaml": virtual_service("5s")}) as c:
        yield c.wait_ready()


def start(stream):
    """CDS, EDS, LDS, RDS as a proxy asks for them; every answer acknowledged."""
    clusters = stream.fetch(CDS)
    eds = stream.fetch(EDS, [n for n, c in clusters.items() if c.type == 3])
    return clusters, eds, stream.fetch(LDS), stream.fetch(RDS, ["80"])


def addresses(cla):
    return sorted(e.endpoint.address.socket_address.address for l in cla.endpoints for e in l.lb_endpoints)


@pytest.mark.parametrize("delta", [True, False])
def test_first_configuration(mesh, delta):
    with Stream(mesh.grpc_port, delta=delta) as s:
        clusters, eds, listeners, routes = start(s)
        assert {WEB, DB, "BlackHoleCluster", "PassthroughCluster", "InboundPassthroughCluster"} <= set(clusters)
        assert addresses(eds[WEB]) == ["10.1.0.1"]
        assert {"virtualOutbound", "virtualInbound", "0.0.0.0_80"} <= set(listeners)
        hosts = {h.name: h for h in routes["80"].virtual_hosts}
        assert hosts["web.default.svc.cluster.local:80"].routes[0].route.timeout.seconds == 5
        assert s.silent()


@pytest.mark.parametrize("delta", [True, False])
def test_endpoint_change_sends_that_alone(mesh, delta):
    with Stream(mesh.grpc_port, delta=delta) as s:
        start(s)
        mesh.write("web.yaml", endpoints("10.1.0.1", "10.1.0.2"))
        r = s.next()
        assert r.type_url == EDS
        assert {n: addresses(m) for n, m in resources(r).items()} == {WEB: ["10.1.0.1", "10.1.0.2"]}
        s.ack(r, [] if delta else [WEB, DB])
        assert s.silent()


def test_route_change_sends_the_route_alone(mesh):
    with Stream(mesh.grpc_port) as s:
        start(s)
        mesh.write("vs.yaml", virtual_service("7s"))
        r = s.next()
        assert (r.type_url, list(resources(r))) == (RDS, ["80"])
        s.ack(r)
        assert s.silent()


def test_same_content_written_again_sends_nothing(mesh):
    with Stream(mesh.grpc_port) as s:
        start(s)
        mesh.write("vs.yaml", "# a comment\n" + virtual_service("5s"))
        assert s.silent(1)


def test_service_added_and_removed(mesh):
    new = "outbound|81||new.default.svc.cluster.local"
    with Stream(mesh.grpc_port) as s:
        start(s)
        mesh.write("new.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: new, namespace: default}\n"
                   "spec: {clusterIP: 10.96.1.9, ports: [{name: http, port: 81}]}\n")
        r = s.next(CDS)
        assert list(resources(r)) == [new]
        s.ack(r)
        s.request(EDS, [new])
        seen = set()
        while seen != {EDS, LDS}:
            r = s.next()
            seen.add(r.type_url)
            s.ack(r)
        mesh.remove("new.yaml")
        r = s.next(LDS)
        assert "0.0.0.0_81" in r.removed_resources
        s.ack(r)
        assert s.silent(2), "the cluster stays for its grace"
        r = s.next(CDS, 15)
        assert list(r.removed_resources) == [new]


def test_versions_survive_a_reconnect_and_a_restart(mesh):
    """A proxy that says what it has gets the difference, here nothing, from this server and from another."""
    versions = {}
    with Stream(mesh.grpc_port) as s:
        for url, names in ((CDS, []), (EDS, [WEB]), (LDS, []), (RDS, ["80"])):
            s.request(url, names)
            r = s.next(url)
            s.ack(r)
            versions[url] = {x.name: x.version for x in r.resources}
            assert all(len(v) == 32 for v in versions[url].values())
    files = {"mesh.yaml": MESH, "web.yaml": endpoints("10.1.0.1"), "vs.yaml": virtual_service("5s")}
    with Coxswaind(files) as other:
        for server in (mesh, other.wait_ready()):
            with Stream(server.grpc_port) as s:
                for url, names in ((CDS, []), (EDS, [WEB]), (LDS, []), (RDS, ["80"])):
                    s.request(url, names, versions=versions[url])
                    r = s.next(url)
                    assert not r.resources and not r.removed_resources, url
                    s.ack(r)


def test_eds_first_after_a_lost_stream_is_answered_in_full(mesh):
    with Stream(mesh.grpc_port) as s:
        s.fetch(CDS)
        s.request(EDS, [WEB])
        r = s.next(EDS)
        version = r.resources[0].version
    with Stream(mesh.grpc_port) as s:
        s.request(EDS, [WEB], versions={WEB: version})
        assert list(resources(s.next(EDS))) == [WEB]


def test_nack_takes_the_offender_out(mesh):
    with Stream(mesh.grpc_port) as s:
        s.request(CDS)
        r = s.next(CDS)
        s.nack(r, f"Error adding/updating cluster(s) {WEB}: made up for this test")
        r = s.next(CDS)
        names = set(resources(r))
        assert WEB not in names and DB in names, "the good ones are sent again, the offender is not"
        s.ack(r)
        sync = mesh.json("/debug/syncz")[0]["resources"][CDS]
        assert sync["nacks"] == 1 and "made up" in sync["lastError"]
        assert mesh.metric("pilot_total_xds_rejects") == 1
    assert "Service/default/web" in mesh.log_text().split("taken out")[1].splitlines()[0], "the log names the object it came from"
    with Stream(mesh.grpc_port) as s:
        assert WEB not in s.fetch(CDS), "nor to others of its kind"


def test_vhds_for_those_who_have_it(mesh):
    who = node(extensions=["envoy.filters.http.router"])
    with Stream(mesh.grpc_port, who) as s:
        _, _, _, routes = start(s)
        assert not routes["80"].virtual_hosts and routes["80"].HasField("vhds")
        hosts = s.fetch(VHDS)
        assert "80/web.default.svc.cluster.local:80" in hosts
        mesh.write("vs.yaml", virtual_service("9s"))
        r = s.next()
        assert (r.type_url, list(resources(r))) == (VHDS, ["80/web.default.svc.cluster.local:80"])


def test_no_node_is_refused(mesh):
    s = Stream(mesh.grpc_port)
    s.first = False
    s.request(CDS)
    with pytest.raises(grpc.RpcError) as e:
        s.next()
    assert e.value.code() == grpc.StatusCode.INVALID_ARGUMENT and "must carry the node" in e.value.details()
    s.close()


@pytest.mark.parametrize("change", [
    {"id": "sidecar~10.0.0.1~nobody"}, {"id": "spaceship~10.0.0.1~a.b~b.svc.cluster.local"}, {"id": "sidecar~nowhere~a.b~b.svc.cluster.local"},
])
def test_bad_node_ids_are_refused(mesh, change):
    who = node(INSTANCE_IPS="")
    who.id = change["id"]
    with Stream(mesh.grpc_port, who) as s:
        s.request(CDS)
        with pytest.raises(grpc.RpcError) as e:
            s.next()
        assert e.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_garbage_ends_that_stream_alone(mesh):
    good = Stream(mesh.grpc_port)
    start(good)
    raw = good.channel.stream_stream("/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources")
    with pytest.raises(grpc.RpcError) as e:
        list(raw(iter([b"\xff\xff\xff\xff garbage"])))
    assert e.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    mesh.write("web.yaml", endpoints("10.1.0.3"))
    assert addresses(resources(good.next(EDS))[WEB]) == ["10.1.0.3"]
    good.close()


def test_a_proxy_that_never_reads_disturbs_nobody(mesh):
    lazy = grpc.insecure_channel(f"127.0.0.1:{mesh.grpc_port}", options=[("grpc.http2.lookahead_bytes", 1024)])
    silent = Stream(mesh.grpc_port, node("lazy-0"), channel=lazy)
    silent.request(CDS)
    time.sleep(0.2)
    with Stream(mesh.grpc_port) as s:
        start(s)
        before = mesh.rss_kib()
        for i in range(60):
            mesh.write("web.yaml", endpoints("10.1.1.%d" % (i + 1)))
            r = s.next(EDS)
            s.ack(r)
        shadow = 4 if os.environ.get("COX_SAN") == "thread" else 1  # of what TSan notes beside every word
        assert mesh.rss_kib() - before < 8192 * shadow
    silent.close()
    lazy.close()


def test_many_streams(mesh):
    """Each stream costs this client two threads; 1,000 streams without threads are in test_grpc_server.py."""
    channels = [grpc.insecure_channel(f"127.0.0.1:{mesh.grpc_port}", options=[("grpc.use_local_subchannel_pool", 1)]) for _ in range(3)]
    streams = [Stream(mesh.grpc_port, node(f"p-{i}"), channel=channels[i % len(channels)]) for i in range(150)]
    for s in streams:
        s.request(CDS)
    for s in streams:
        assert WEB in resources(s.next(CDS, 60))
    assert mesh.json("/debug/adsz")["totalClients"] == 150
    for s in streams:
        s.close()
    for c in channels:
        c.close()
    deadline = time.time() + 20
    while mesh.json("/debug/adsz")["totalClients"] and time.time() < deadline:
        time.sleep(0.1)
    assert mesh.json("/debug/adsz")["totalClients"] == 0


def test_health(mesh):
    check = grpc.insecure_channel(f"127.0.0.1:{mesh.grpc_port}").unary_unary("/grpc.health.v1.Health/Check")
    assert check(b"") == b"\x08\x01"  # SERVING


def test_unknown_method(mesh):
    call = grpc.insecure_channel(f"127.0.0.1:{mesh.grpc_port}").unary_unary("/envoy.service.cluster.v3.ClusterDiscoveryService/FetchClusters")
    with pytest.raises(grpc.RpcError) as e:
        call(b"")
    assert e.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_bad_yaml_keeps_the_last_good_version(mesh):
    with Stream(mesh.grpc_port) as s:
        start(s)
        mesh.write("vs.yaml", virtual_service("soon"))
        assert s.silent(1)
        assert "vs.yaml" in mesh.log_text() and "spec.http[0].timeout" in mesh.log_text()
        mesh.write("vs.yaml", virtual_service("8s"))
        vhost = [h for h in resources(s.next(RDS))["80"].virtual_hosts if h.name.startswith("web.")][0]
        assert vhost.routes[0].route.timeout.seconds == 8


def test_admin_pages(mesh):
    with Stream(mesh.grpc_port) as s:
        start(s)
        assert mesh.get("/version")[1].count(b"-") >= 2
        assert mesh.json("/debug/syncz")[0]["proxy"] == "client-0.default"
        dump = mesh.json("/debug/config_dump?proxyID=client-0.default&include_eds")
        kinds = [c["@type"].rsplit(".", 1)[1] for c in dump["configs"]]
        assert kinds == ["BootstrapConfigDump", "ClustersConfigDump", "EndpointsConfigDump", "ListenersConfigDump", "ScopedRoutesConfigDump",
                         "RoutesConfigDump", "SecretsConfigDump", "EcdsConfigDump"]
        names = [c["cluster"]["name"] for c in dump["configs"][1]["dynamic_active_clusters"]]
        assert WEB in names
        assert any("web.default" in str(x) for x in mesh.json("/debug/registryz"))
        assert mesh.json("/debug/configz")[0]["kind"] == "VirtualService"
        assert mesh.json("/debug/mesh")
        assert mesh.get("/debug/config_dump?proxyID=nobody.x")[0] == 404
        assert mesh.get("/debug/nothing")[0] == 404
        metrics = mesh.get("/metrics")[1].decode()
        for name in ("pilot_xds", "pilot_xds_pushes", "pilot_services", "pilot_proxy_convergence_time_bucket", "istio_build"):
            assert name in metrics
