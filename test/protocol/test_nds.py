"""The name table over ADS, spoken by grpcio. covers: b6"""
import pytest

from coxswain import LDS, Coxswaind, Stream, node
from nametable import NDS, table_of

MESH = """
apiVersion: v1
kind: Namespace
metadata: {name: default}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {clusterIP: 10.96.1.1, selector: {app: web}, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: default}
spec: {clusterIP: None, selector: {app: db}, ports: [{name: tcp, port: 5432}, {name: tcp-2, port: 5433}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: out, namespace: default}
spec: {hosts: [api.example.com], location: MESH_EXTERNAL, resolution: DNS, ports: [{number: 443, name: tls, protocol: TLS}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: wild, namespace: default}
spec: {hosts: ["*.wild.example.com"], addresses: [10.9.9.9/32, 10.8.0.0/16], location: MESH_EXTERNAL, resolution: NONE, ports: [{number: 443, name: tls, protocol: TLS}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: claims-web, namespace: other}
spec: {hosts: [web.default.svc.cluster.local], addresses: [10.66.6.6], resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP}]}
"""
POD = "{addresses: [%s], hostname: %s, conditions: {ready: %s}, targetRef: {kind: Pod, name: %s, namespace: default}}"
HOST = "db.default.svc.cluster.local"


def slices(*pods):
    return """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-1, namespace: default, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
ports: [{name: tcp, port: 5432}, {name: tcp-2, port: 5433}]
endpoints: [%s]
""" % ", ".join(POD % (ip, name, ready, name) for name, ip, ready in pods)


def pod(name, ip):
    return """
apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: default, labels: {app: db}}
spec: {hostname: %s, subdomain: db, nodeName: n1}
status: {phase: Running, podIP: %s, podIPs: [{ip: %s}], conditions: [{type: Ready, status: "True"}]}
""" % (name, name, ip, ip)


@pytest.fixture
def mesh():
    with Coxswaind({"mesh.yaml": MESH, "p0.yaml": pod("db-0", "10.1.0.1"), "p1.yaml": pod("db-1", "10.1.0.2"),
                    "db.yaml": slices(("db-0", "10.1.0.1", "true"), ("db-1", "10.1.0.2", "false"))}) as c:
        yield c.wait_ready()


def captured(**kw):
    return node(DNS_CAPTURE="true", DNS_AUTO_ALLOCATE="true", **kw)


def ask(s):
    s.request(NDS)
    r = s.next(NDS)
    s.ack(r)
    return table_of(r)


@pytest.mark.parametrize("delta", [True, False])
def test_table(mesh, delta):
    with Stream(mesh.grpc_port, captured(), delta=delta) as s:
        table = ask(s)
        assert table.pop("web.default.svc.cluster.local") == (["10.96.1.1"], "Kubernetes", "web", "default")
        assert table.pop(HOST) == (["10.1.0.1"], "Kubernetes", "db", "default"), "only what is ready, each address once"
        assert table.pop("db-0." + HOST) == (["10.1.0.1"], "Kubernetes", "db-0.db", "default")
        assert table.pop("*.wild.example.com") == (["10.9.9.9"], "External", "", "")
        ips, registry, *_ = table.pop("api.example.com")
        assert registry == "External" and ips and ips[0].startswith("240.240.")
        assert not table
        assert s.silent()


@pytest.mark.parametrize("delta", [True, False])
def test_headless_endpoints_update_the_table_alone(mesh, delta):
    with Stream(mesh.grpc_port, captured(), delta=delta) as s:
        ask(s)
        mesh.write("db.yaml", slices(("db-0", "10.1.0.1", "true"), ("db-1", "10.1.0.2", "true")))
        r = s.next()
        assert r.type_url == NDS
        table = table_of(r)
        assert table[HOST][0] == ["10.1.0.1", "10.1.0.2"] and table["db-1." + HOST][0] == ["10.1.0.2"]
        s.ack(r)
        # What is no part of the table sends nothing.
        mesh.write("vs.yaml", "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: web, namespace: default}\n"
                   "spec: {hosts: [web], http: [{timeout: 7s, route: [{destination: {host: web}}]}]}\n")
        assert s.silent(1)


def test_only_made_where_somebody_asks(mesh):
    with Stream(mesh.grpc_port, captured()) as s:
        s.fetch(LDS)
        before = mesh.get("/metrics")[1].decode()
        assert 'coxswain_resources_built{type="names"}' not in before
        # A proxy that comes to the same view asks for it: it is made then, and the other is not disturbed.
        with Stream(mesh.grpc_port, captured()) as other:
            assert HOST in ask(other)
        assert 'coxswain_resources_built{type="names"} 1' in mesh.get("/metrics")[1].decode()
        assert s.silent()
        assert HOST in ask(s)


def test_made_up_addresses_need_capture(mesh):
    with Stream(mesh.grpc_port, node()) as s:
        table = ask(s)
        assert HOST in table and "api.example.com" not in table


@pytest.mark.parametrize("delta", [True, False])
def test_router_gets_an_empty_table(mesh, delta):
    with Stream(mesh.grpc_port, captured(kind="router"), delta=delta) as s:
        assert ask(s) == {}


def test_sidecar_narrows_it(mesh):
    mesh.write("sc.yaml", "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: default, namespace: default}\n"
               "spec: {egress: [{hosts: [./web.default.svc.cluster.local]}]}\n")
    with Stream(mesh.grpc_port, captured()) as s:
        table = ask(s)
        if "api.example.com" in table:  # the file was not read yet
            r = s.next(NDS)
            table = table_of(r)
        assert set(table) == {"web.default.svc.cluster.local"}
