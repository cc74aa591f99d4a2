"""Debug pages over HTTP and xDS without istioctl: shapes, who may see what, what they do, and how little they hold up.

covers: g5 g7 g8 g9 g10 g11 g12 g13 g14 g15 g16 g17 g19 g20 g22
"""
import http.client
import json
import os
import queue
import re
import socket
import subprocess
import sys
import threading
import time

import grpc
import pytest
from envoy.admin.v3 import config_dump_shared_pb2
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2
from envoy.service.status.v3 import csds_pb2

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import citadel  # noqa: E402
from coxswain import CDS, EDS, LDS, RDS, TREE, Coxswaind, Stream, node, resources  # noqa: E402
from test_ads import MESH, WEB, endpoints, virtual_service  # noqa: E402

SANITIZED = "san" in os.path.basename(os.environ.get("COX_BUILD", ""))  # keeps freed memory
NOT_CONNECTED = "Proxy not connected to this Pilot instance. It may be connected to another instance.\n"
SIDECAR = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: narrow, namespace: default}
spec: {egress: [{hosts: ["./web.default.svc.cluster.local"]}]}
"""


def start(s):
    for t, names in ((CDS, []), (LDS, []), (EDS, [WEB]), (RDS, ["80"])):
        s.fetch(t, names)


@pytest.fixture(scope="module")
def mesh():
    with Coxswaind({"mesh.yaml": MESH, "e.yaml": endpoints("10.0.0.1", "10.0.0.2"), "v.yaml": virtual_service("5s")}) as c:
        c.wait_ready()
        with Stream(c.grpc_port, node(ip="10.0.0.1", labels={"app": "web"}, ISTIO_VERSION="1.31.0")) as s:
            start(s)
            deadline = time.time() + 10
            while {t["state"] for p in c.json("/debug/syncz") for t in p["resources"].values()} != {"SYNCED"} and time.time() < deadline:
                time.sleep(0.02)
            yield c


def ask(port, *questions, delta=False, credentials=None, host="127.0.0.1"):
    """One answer for each (type, name...); raises grpc.RpcError."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", 1 << 28)]
    target = f"{host}:{port}"
    channel = grpc.secure_channel(target, credentials, options + [("grpc.ssl_target_name_override", "istiod.istio-system.svc")]) \
        if credentials else grpc.insecure_channel(target, options)
    with channel:
        stub, out, got = ads_pb2_grpc.AggregatedDiscoveryServiceStub(channel), queue.Queue(), []
        call = (stub.DeltaAggregatedResources if delta else stub.StreamAggregatedResources)(iter(out.get, None), timeout=20)

        def request(q, nonce):
            if delta:
                return discovery_pb2.DeltaDiscoveryRequest(type_url=q[0], resource_names_subscribe=q[1:], response_nonce=nonce)
            return discovery_pb2.DiscoveryRequest(type_url=q[0], resource_names=q[1:], response_nonce=nonce)
        for q in questions:
            out.put(request(q, "2026-11-26 as istioctl has it"))
            got.append(next(call))
            out.put(request(q, got[-1].nonce))  # an acknowledgement is not another question
        out.put(None)
        assert not list(call), "more answers than questions"
        return got


# --- pages ------------------------------------------------------------------------------------------------------------------

def test_registry_pages_have_istios_members(mesh):
    web = [s for s in mesh.json("/debug/registryz") if s["hostname"] == "web.default.svc.cluster.local"][0]
    assert web["Attributes"]["ServiceRegistry"] == "Kubernetes" and web["Attributes"]["LabelSelectors"] == {"app": "web"}
    assert web["ports"] == [{"name": "http", "port": 80, "protocol": "HTTP"}] and web["defaultAddress"] == "10.96.1.1"
    assert web["clusterVIPs"]["Addresses"] == {"Kubernetes": ["10.96.1.1"]} and web["Resolution"] == 0 and web["MeshExternal"] is False
    for page in ("endpointShardz", "endpointz"):
        shards = mesh.json("/debug/" + page)["web.default.svc.cluster.local"]["default"]
        assert [e["Addresses"] for e in shards["Shards"]["Kubernetes/Kubernetes"]] == [["10.0.0.1"], ["10.0.0.2"]]
        assert shards["Shards"]["Kubernetes/Kubernetes"][0]["HealthStatus"] == 1 and shards["ServiceAccounts"] == {}
    targets = mesh.json("/debug/instancesz")["client-0.default"]
    assert [(t["Service"]["hostname"], t["Port"]["port"], t["Port"]["TargetPort"]) for t in targets] == [("web.default.svc.cluster.local", 80, 8080)]
    assert {"group": "networking.istio.io", "version": "v1", "kind": "VirtualService"} in mesh.json("/debug/resourcesz")


def test_streams(mesh):
    one, = mesh.json("/debug/syncz")
    assert one["proxy"] == "client-0.default" and one["proxy_type"] == "sidecar" and one["istio_version"] == "1.31.0" and one["cluster_id"] == "Kubernetes"
    for name in ("cluster", "listener", "route", "endpoint"):
        assert one[name + "_sent"] == one[name + "_acked"]
    assert one["resources"][CDS]["sentTime"].startswith("20") and mesh.json("/debug/syncz?namespace=other") == []
    ads = mesh.json("/debug/adsz")
    client, = ads["clients"]
    assert ads["totalClients"] == 1 and client["connectionId"].startswith("client-0.default-") and client["labels"] == {"app": "web"}
    assert client["watches"][CDS] == [] and client["watches"][EDS] == [WEB] and client["watches"][RDS] == ["80"]
    assert mesh.json("/debug/adsz?proxyID=client-0")["clients"][0]["address"] == client["address"]
    assert list(mesh.json("/debug/connections")["clients"][0]) == ["connectionId", "connectedAt", "address"]


def test_config_dump(mesh):
    kinds = lambda path: [c["@type"].rsplit(".", 1)[-1] for c in mesh.json(path)["configs"]]
    assert kinds("/debug/config_dump?proxyID=client-0.default") == [
        "BootstrapConfigDump", "ClustersConfigDump", "ListenersConfigDump", "ScopedRoutesConfigDump", "RoutesConfigDump", "SecretsConfigDump", "EcdsConfigDump"]
    assert "EndpointsConfigDump" in kinds("/debug/config_dump?include_eds&proxyID=client-0")
    assert set(kinds("/debug/config_dump?types=cds,RDS&proxyID=client-0.default")) == {"Cluster", "RouteConfiguration"}
    assert kinds("/debug/edsz?proxyID=client-0.default") == ["ClusterLoadAssignment"]
    assert kinds("/debug/ecdsz?proxyID=client-0.default") == [] and kinds("/debug/ndsz?proxyID=client-0.default") == []
    for page in ("config_dump", "edsz", "sidecarz", "ndsz", "ecdsz"):
        assert mesh.get("/debug/" + page) == (400, b"You must provide a proxyID in the query string\n")
        assert mesh.get(f"/debug/{page}?proxyID=nobody.default") == (404, NOT_CONNECTED.encode())


def test_virtual_hosts_stand_in_their_route_configuration():
    """As Envoy shows them; `as_sent` keeps them apart."""
    with Coxswaind({"mesh.yaml": MESH}) as c:
        with Stream(c.wait_ready().grpc_port, node(extensions=["envoy.filters.http.router"])) as s:
            start(s)
            s.fetch("type.googleapis.com/envoy.config.route.v3.VirtualHost")
            by_type = lambda path: {d["@type"].rsplit(".", 1)[-1]: d for d in c.json(path)["configs"]}
            dump = by_type("/debug/config_dump?proxyID=client-0.default")
            route = dump["RoutesConfigDump"]["dynamic_route_configs"][0]["route_config"]
            assert "80/web.default.svc.cluster.local:80" in [v["name"] for v in route["virtual_hosts"]] and "VirtualHostsConfigDump" not in dump
            dump = by_type("/debug/config_dump?as_sent&proxyID=client-0.default")
            assert "virtual_hosts" not in dump["RoutesConfigDump"]["dynamic_route_configs"][0]["route_config"]
            assert dump["VirtualHostsConfigDump"]["dynamic_virtual_hosts"]


def test_policies(mesh):
    assert mesh.json("/debug/authorizationz")["authorization_policies"]["root_namespace"] == "istio-system"
    assert mesh.json("/debug/telemetryz")["telemetries"]["root_namespace"] == "istio-system"
    assert set(mesh.json("/debug/telemetryz?proxyID=client-0")) == {"Root", "Namespace", "Workload"}
    assert set(mesh.json("/debug/pushcontext")) == {"AuthorizationPolicies", "NetworkGateways", "UnresolvedGateways"}


def test_sidecar(mesh):
    scope = mesh.json("/debug/sidecarz?proxyID=client-0.default")
    names = [s["hostname"] for s in scope["services"]]
    assert scope["name"] == "default-sidecar" and scope["namespace"] == "default" and scope["outboundTrafficPolicy"] == {"mode": "ALLOW_ANY"}
    assert sorted(names) == ["db.default.svc.cluster.local", "web.default.svc.cluster.local"]
    assert [[s["hostname"] for s in l] for l in scope["egressListenerServices"]] == [names]
    assert set(scope["servicesByHostname"]) == set(names) and scope["destinationRules"] == {}
    with Coxswaind({"mesh.yaml": MESH, "sidecar.yaml": SIDECAR}) as c:
        with Stream(c.wait_ready().grpc_port) as s:
            s.fetch(CDS)
            scope = c.json("/debug/sidecarz?proxyID=client-0")
            assert scope["name"] == "narrow" and [x["hostname"] for x in scope["services"]] == ["web.default.svc.cluster.local"]
            assert scope["sidecar"]["egress"] == [{"hosts": ["./web.default.svc.cluster.local"]}]


def test_what_does_not_exist_is_empty(mesh):
    assert mesh.json("/debug/mcsz") == [] and mesh.json("/debug/networkz") == []
    assert mesh.json("/debug/clusterz") == [{"id": "Kubernetes", "secretName": "", "syncStatus": "synced"}]
    assert mesh.get("/debug/inject")[0] == 404, "a directory has no injector"
    assert mesh.get("/debug/krtz")[0] == mesh.get("/debug/pprof/heap")[0] == 404


def test_findings_by_metric(mesh):
    assert list(mesh.json("/debug/push_status")["pilot_eds_no_instances"]) == ["outbound|5432||db.default.svc.cluster.local"]
    mesh.write("twice.yaml", virtual_service("6s").replace("name: web,", "name: web-again,"))
    try:
        deadline = time.time() + 10
        while "pilot_vservice_dup_domain" not in mesh.json("/debug/push_status") and time.time() < deadline:
            time.sleep(0.05)
        (key, value), = mesh.json("/debug/push_status")["pilot_vservice_dup_domain"].items()
        assert key.startswith("VirtualService/default/web-again") and "web" in value["message"]
    finally:
        mesh.remove("twice.yaml")


def test_cache(mesh):
    held = mesh.json("/debug/cachez")
    assert WEB in held[CDS] and WEB in held[EDS]
    sizes = mesh.json("/debug/cachez?sizes=true")
    assert sizes["total"].endswith("B") and CDS in sizes
    with Stream(mesh.grpc_port, node("other")) as s:
        start(s)
        assert mesh.get("/debug/cachez?clear=true") == (200, b"Cache cleared\n")
        s.silent(1)
    now = mesh.json("/debug/cachez")
    assert {t: set(n) for t, n in now.items()} == {t: set(n) for t, n in held.items()}


def test_index_and_list(mesh):
    names = mesh.json("/debug/list")
    assert names == sorted(names) and {"adsz", "cachez?clear=true", "syncz", "config_dump"} <= set(names) and "force_disconnect" not in names
    for path in ("/debug", "/debug/"):
        status, body = mesh.get(path)
        assert status == 200 and b"/debug/endpointShardz" in body
    for name in names:
        status, body = mesh.get(f"/debug/{name}{'&' if '?' in name else '?'}pretty&proxyID=client-0.default")
        assert (status, name) == (404, "inject") or body == b"Cache cleared\n" or status == 200 and json.loads(body) is not None, name


# --- actions ----------------------------------------------------------------------------------------------------------------

def test_actions_need_the_unsafe_flag(mesh):
    assert mesh.get("/debug/force_disconnect?proxyID=client-0.default")[0] == 404
    assert mesh.get("/debug/adsz?push=true")[0] == 403
    with Coxswaind({"mesh.yaml": MESH, "e.yaml": endpoints("10.0.0.1")}, env={"UNSAFE_ENABLE_ADMIN_ENDPOINTS": "true"}) as c:
        with Stream(c.wait_ready().grpc_port) as s:
            held = {t: s.fetch(t, names) for t, names in ((CDS, []), (EDS, [WEB]), (LDS, []), (RDS, ["80"]))}
            deadline = time.time() + 10
            while {t["state"] for p in c.json("/debug/syncz") for t in p["resources"].values()} != {"SYNCED"} and time.time() < deadline:
                time.sleep(0.02)
            assert c.get("/debug/adsz?push=true") == (200, b"Pushed to 1 servers\n")
            again = {}
            while set(again) != set(held):
                r = s.next()
                again[r.type_url] = resources(r)
                s.ack(r)
            assert list(again) == [CDS, EDS, LDS, RDS] and again == held
            assert "force_disconnect" in c.json("/debug/list")
            assert c.get("/debug/force_disconnect?proxyID=nobody.x")[0] == 404
            assert c.get("/debug/force_disconnect?proxyID=client-0.default") == (200, b"OK\n")
            with pytest.raises(grpc.RpcError):
                while True:
                    s.next()
            deadline = time.time() + 10
            while c.json("/debug/adsz")["totalClients"] and time.time() < deadline:
                time.sleep(0.02)
            assert c.json("/debug/adsz") == {"totalClients": 0, "clients": []}


def coxctl(*args, status=0):
    r = subprocess.run([os.path.join(os.environ.get("COX_BUILD", os.path.join(TREE, "build")), "coxctl"), *args], capture_output=True, text=True, timeout=60)
    assert r.returncode == status, (args, r.stdout, r.stderr)
    return r.stdout or r.stderr


def test_why_a_proxy_got_a_push():
    """covers: f31"""
    with Coxswaind({"mesh.yaml": MESH, "e.yaml": endpoints("10.0.0.1"), "v.yaml": virtual_service("5s")}) as c:
        with Stream(c.wait_ready().grpc_port) as s:
            start(s)
            c.write("v.yaml", virtual_service("6s"))
            s.ack(s.next(RDS))
            c.write("e.yaml", endpoints("10.0.0.2"))
            s.ack(s.next(EDS))
            c.remove("v.yaml")
            s.nack(s.next(RDS), "made up")
            deadline = time.time() + 10
            while "REJECTED" not in c.get("/debug/pushz?proxyID=client-0.default")[1].decode() and time.time() < deadline:
                time.sleep(0.02)
            page = c.json("/debug/pushz?proxyID=client-0.default")
            first = [p for p in page["pushes"] if p["reason"] == "the proxy asked"]
            assert [p["type"] for p in first] == ["CDS", "LDS", "EDS", "RDS"][-len(first):] and all(p["state"] == "ACKED" and not p["causes"] for p in first)
            causes = {x["id"]: x for x in page["causes"]}

            def first_for(kind, *changed):
                return next(p for p in page["pushes"] if p["causes"] and p["type"] == kind and causes[p["causes"][-1]]["changed"] == list(changed))
            route, ends = first_for("RDS", "VirtualService/default/web"), first_for("EDS", "web.default.svc.cluster.local")
            gone = first_for("RDS", "-VirtualService/default/web")
            assert gone["state"] == "REJECTED" and route["state"] == ends["state"] == "ACKED"
            assert causes[ends["causes"][-1]]["kind"] == "endpoints" and causes[route["causes"][-1]]["kind"] == "configuration"
            for p in (route, ends, gone):
                x = causes[p["causes"][-1]]
                assert x["viewsChanged"] >= 1 and x["proxies"] >= 1 and x["tookUs"] > 0 and (p is gone or p["eventToSentUs"] > 0) and p["sentToAckUs"] > 0 and p["bytes"] > 0
            server = ["--server", f"http://127.0.0.1:{c.http_port}"]
            text = coxctl("explain", "push", "--proxy", "client-0.default", *server)
            assert re.search(r"RDS +change #\d+ +1 +0 +\d+ +[0-9.]+m?u?s +[0-9.]+m?u?s +ACKED", text) and "    VirtualService/default/web (removed)\n" in text
            assert json.loads(coxctl("explain", "push", "--proxy", "client-0.default", "-o", "json", *server))
            assert "the last changes that were pushed" in coxctl("explain", "push", *server)
            assert "nobody.default is connected to no replica" in coxctl("explain", "push", "--proxy", "nobody.default", *server, status=1)
            for i in range(300):  # both rings are bounded
                c.write("e.yaml", endpoints(f"10.0.1.{i % 250 + 1}"))
                s.ack(s.next(EDS))
            page = c.json("/debug/pushz?proxyID=client-0.default")
            assert len(page["pushes"]) == 8 and len(page["causes"]) <= 9 and len(c.json("/debug/pushz")["causes"]) == 256


# --- over xDS ---------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("delta", [False, True])
def test_questions_over_xds(mesh, delta):
    before = mesh.metric("pilot_xds_pushes")
    value = (lambda r: r.resource) if delta else (lambda r: r)
    sync, page, dump, missing = ask(mesh.grpc_port, ("istio.io/debug/syncz",), ("istio.io/debug", "clusterz?pretty"), ("istio.io/debug/config_dump", "client-0.default"),
                                    ("istio.io/debug/config_dump", "nobody.default"), delta=delta)
    config = csds_pb2.ClientConfig()
    assert len(sync.resources) == 1 and value(sync.resources[0]).Unpack(config) and config.node.id == "client-0.default"
    assert dict(config.node.metadata) == {"CLUSTER_ID": "Kubernetes", "ISTIO_VERSION": "1.31.0", "NAMESPACE": "default"}
    assert {x.type_url: csds_pb2.ConfigStatus.Name(x.config_status) for x in config.generic_xds_configs} == dict.fromkeys((CDS, EDS, LDS, RDS), "SYNCED")
    assert all(abs(x.last_updated.seconds - time.time()) < 600 for x in config.generic_xds_configs)
    assert json.loads(sync.control_plane.identifier)["Component"] == "istiod" and sync.type_url == "istio.io/debug/syncz"
    assert json.loads(value(page.resources[0]).value)[0]["id"] == "Kubernetes" and value(page.resources[0]).type_url == "istio.io/debug"
    clusters = config_dump_shared_pb2.ClustersConfigDump()
    assert [value(r).type_url.rsplit(".", 1)[-1] for r in dump.resources][:2] == ["BootstrapConfigDump", "ClustersConfigDump"]
    assert value(dump.resources[1]).Unpack(clusters) and len(clusters.dynamic_active_clusters) >= 3 and not missing.resources
    assert mesh.metric("pilot_xds_pushes") == before and mesh.json("/debug/adsz")["totalClients"] == 1, "a question makes no proxy"


def test_questions_that_are_none(mesh):
    text = lambda *q: bytes(ask(mesh.grpc_port, q)[0].resources[0].value).decode()
    assert text("istio.io/debug", "nothing") == "404 page not found\n"
    assert text("istio.io/debug", "edsz") == "You must provide a proxyID in the query string\n"
    assert text("istio.io/debug", "edsz?proxyID=no%62ody") == NOT_CONNECTED
    for question, code in ((("istio.io/debug",), grpc.StatusCode.INVALID_ARGUMENT), (("istio.io/debug", "syncz", "adsz"), grpc.StatusCode.INVALID_ARGUMENT),
                           (("istio.io/debug/other",), grpc.StatusCode.NOT_FOUND)):
        with pytest.raises(grpc.RpcError) as e:
            ask(mesh.grpc_port, question)
        assert e.value.code() == code


def test_question_on_a_proxys_own_stream(mesh):
    """As pilot-agent passes them on; the proxy's configuration goes on, and a refusal is an answer, not the end."""
    with Stream(mesh.grpc_port, node("asker")) as s:
        start(s)
        s.request("istio.io/debug", ["syncz"])
        r = s.next("istio.io/debug")
        assert {p["proxy"] for p in json.loads(r.resources[0].resource.value)} >= {"asker.default", "client-0.default"}
        s.ack(r)
        s.request("istio.io/debug/other")
        assert b"no such debug type" in s.next("istio.io/debug/other").resources[0].resource.value
        assert s.fetch(EDS, [WEB])
    with Stream(mesh.grpc_port, node("late")) as s:  # a question first, then resources: the node came with the question
        s.request("istio.io/debug", ["list"])
        s.ack(s.next("istio.io/debug"))
        assert WEB in s.fetch(CDS)


# --- who may see what -------------------------------------------------------------------------------------------------------

def own_address():
    """An address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(("192.0.2.1", 9))
        return s.getsockname()[0]


def get(c, path, token=None):
    conn = http.client.HTTPConnection(own_address(), c.http_port, timeout=20)
    conn.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
    r = conn.getresponse()
    return r.status, r.read()


@pytest.fixture()
def guarded(tmp_path, request):
    issuer = citadel.Issuer(tmp_path)
    env = {"JWT_RULE": issuer.rule, **getattr(request, "param", {})}
    with Coxswaind({"mesh.yaml": MESH}, args=["--httpAddr", "0.0.0.0:0", "--grpcAddr", "0.0.0.0:0"], env=env) as c:
        c.wait_ready()
        with Stream(c.grpc_port, node("a", "default")) as a, Stream(c.grpc_port, node("b", "other")) as b:
            a.fetch(CDS)
            b.fetch(CDS)
            yield c, lambda ns, sa="x": issuer.token(sa=sa, ns=ns)


def test_http_by_identity(guarded):
    c, token = guarded
    assert get(c, "/debug/syncz")[0] == 401 and get(c, "/debug/syncz", "nonsense")[0] == 401 and get(c, "/debug/config_dump?proxyID=a.default")[0] == 401
    assert get(c, "/ready")[0] == 200
    assert len(json.loads(get(c, "/debug/syncz", token("istio-system"))[1])) == 2
    assert get(c, "/debug/config_dump?proxyID=b.other", token("istio-system"))[0] == 200
    own = token("default")
    for page in ("syncz", "adsz", "configz", "registryz", "list", "endpointShardz", "", "sidecarz?proxyID=a.default", "ecdsz?proxyID=a.default"):
        assert get(c, "/debug/" + page, own)[0] == 403, page
    for page in ("config_dump", "edsz", "ndsz"):
        assert get(c, f"/debug/{page}?proxyID=a.default", own)[0] == 200
        assert get(c, f"/debug/{page}?proxyID=b.other", own) == (404, NOT_CONNECTED.encode()), "not even that it is there"
    assert c.get("/debug/syncz")[0] == 200, "loopback stays open"


@pytest.mark.parametrize("guarded", [{"DEBUG_ENDPOINT_AUTH_ALLOWED_NAMESPACES": "ops, kiali", "ENABLE_DEBUG_ON_HTTP": "true"}], indirect=True)
def test_allowed_namespaces(guarded):
    c, token = guarded
    assert len(json.loads(get(c, "/debug/syncz", token("kiali"))[1])) == 2 and get(c, "/debug/syncz", token("default"))[0] == 403


@pytest.mark.parametrize("guarded", [{"ENABLE_DEBUG_ENDPOINT_AUTH": "false"}], indirect=True)
def test_any_identity(guarded):
    c, token = guarded
    assert get(c, "/debug/syncz", token("default"))[0] == 200 and get(c, "/debug/syncz")[0] == 401


@pytest.mark.parametrize("guarded", [{"ENABLE_DEBUG_ON_HTTP": "false"}], indirect=True)
def test_not_on_http(guarded):
    c, token = guarded
    assert get(c, "/debug/syncz", token("istio-system"))[0] == 404 and c.get("/debug/syncz")[0] == 404 and c.get("/metrics")[0] == 200
    assert len(ask(c.grpc_port, ("istio.io/debug/syncz",))[0].resources) == 2, "over xDS it is"


def test_xds_by_identity(guarded):
    c, token = guarded
    with pytest.raises(grpc.RpcError) as e:
        ask(c.grpc_port, ("istio.io/debug/syncz",), host=own_address())
    assert e.value.code() == grpc.StatusCode.UNAUTHENTICATED and "authentication required" in e.value.details()
    port = c._port("ads listening over TLS")
    roots = "".join(r["pem"] for r in c.json("/debug/certz")["roots"]) if "pem" in c.json("/debug/certz")["roots"][0] else None
    if roots is None:
        with grpc.insecure_channel(f"127.0.0.1:{c.grpc_port}") as channel:
            roots = citadel.create(channel, citadel.Key(c.dir).csr(), token("default"))[-1]

    def as_one_of(ns):
        return grpc.composite_channel_credentials(grpc.ssl_channel_credentials(roots.encode()), grpc.access_token_call_credentials(token(ns)))
    assert len(ask(port, ("istio.io/debug/syncz",), credentials=as_one_of("istio-system"))[0].resources) == 2
    mine, = ask(port, ("istio.io/debug/syncz",), credentials=as_one_of("other"))[0].resources
    config = csds_pb2.ClientConfig()
    assert mine.Unpack(config) and config.node.id == "b.other"
    assert not ask(port, ("istio.io/debug/config_dump", "a.default"), credentials=as_one_of("other"))[0].resources
    assert len(ask(port, ("istio.io/debug/config_dump", "b.other"), credentials=as_one_of("other"))[0].resources) == 7
    with pytest.raises(grpc.RpcError) as e:
        ask(port, ("istio.io/debug", "configz"), credentials=as_one_of("other"))
    assert e.value.code() == grpc.StatusCode.PERMISSION_DENIED


# --- large answers ----------------------------------------------------------------------------------------------------------

def test_large_answers_hold_nothing_up():
    """4,000 services with 8 endpoints each: pages of some ten MiB are made in parts. The process does not grow by a copy of them, and while
    they are read a change is pushed as fast as ever."""
    def svc(i):
        return f"""
apiVersion: v1
kind: Service
metadata: {{name: s{i}, namespace: big}}
spec: {{clusterIP: 10.{100 + i // 65536}.{i // 256 % 256}.{i % 256}, selector: {{app: s{i}}}, ports: [{{name: http, port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: s{i}-1, namespace: big, labels: {{kubernetes.io/service-name: s{i}}}}}
addressType: IPv4
ports: [{{name: http, port: 8080}}]
endpoints: [{", ".join("{addresses: [10.%d.%d.%d]}" % (50 + k, i // 256, i % 256) for k in range(8))}]
"""
    with Coxswaind({"mesh.yaml": MESH, "e.yaml": endpoints("10.0.0.1"), "big.yaml": "\n---\n".join(map(svc, range(4000)))}) as c:
        with Stream(c.wait_ready(60).grpc_port) as s:
            s.fetch(CDS)
            s.fetch(EDS, [WEB])
            c.get("/debug/registryz")
            before, sizes, worst = c.rss_kib(), [], 0
            reader = threading.Thread(target=lambda: sizes.extend(len(c.get("/debug/" + p)[1]) for p in ("endpointShardz", "registryz", "configz?all")))
            reader.start()
            n = 0
            while reader.is_alive() or n < 3:
                n += 1
                began = time.monotonic()
                c.write("e.yaml", endpoints(f"10.0.1.{n % 250 + 1}"))
                r = s.next(EDS)
                worst = max(worst, time.monotonic() - began)
                s.ack(r)
            reader.join()
            assert sizes[0] > 4 << 20 and sum(sizes) > 8 << 20, sizes
            grown = c.rss_kib() - before
            assert SANITIZED or grown * 1024 < sizes[0] / 2, f"{grown} KiB more for pages of {sizes}"
            assert worst < 2, f"a change waited {worst:.2f} s"
            # Over xDS the parts make one message.
            page, = ask(c.grpc_port, ("istio.io/debug", "config_dump?proxyID=client-0.default"))
            clusters = next(x for x in json.loads(page.resources[0].value)["configs"] if x["@type"].endswith("ClustersConfigDump"))
            assert len(clusters["dynamic_active_clusters"]) > 4000 and len(page.resources[0].value) > 1 << 20


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q"]))
