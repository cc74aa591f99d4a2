"""HTTPS to an outside host through an egress gateway, on real Envoys: handed on by its SNI, and begun at the gateway for a client that speaks HTTP.

covers: a52 a54 a96 a97 a100 a115 a130 a133
"""
import ssl

import pytest

import meshtls
from coxswain import Coxswaind
from meshtls import ask, client_context, free_port, until

EGRESS_IP = "127.0.72.2"
HOST, FAR = "outside.example.com", "far.example.com"


class FileSds(meshtls.Sds):
    """With what cox-agent reads from files for Envoy."""

    def secret(self, name):
        if name.startswith("file-root:"):
            s = meshtls.secret_pb2.Secret(name=name)
            with open(name[len("file-root:"):]) as f:
                s.validation_context.trusted_ca.inline_string = f.read()
            return s
        return super().secret(name)


class Outside(meshtls.App):
    """An HTTPS server; notes the SNI of each connection."""

    def __init__(self, pair):
        super().__init__("127.0.0.1", 0, "outside")
        self.names = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.cert, pair.key)
        context.sni_callback = lambda sock, name, ctx: self.names.append(name)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)


def objects(m):
    entry = lambda name, host, ports, to: f"""---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: shop}}
spec:
  hosts: [{host}]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{ports}]
  endpoints: [{{address: 127.0.0.1, ports: {{{to}}}}}]
"""
    return entry("outside", HOST, f"{{number: {m.tls}, name: tls, protocol: TLS}}", f"tls: {m.outside.port}") + \
        entry("far", FAR, f"{{number: {m.http}, name: http, protocol: HTTP}}, {{number: {m.https}, name: https, protocol: HTTPS}}", f"https: {m.outside.port}") + f"""---
apiVersion: v1
kind: Pod
metadata: {{name: egress-0, namespace: edge, labels: {{app: egress}}}}
spec: {{serviceAccountName: egress, containers: [{{name: app, image: app}}]}}
status: {{phase: Running, podIP: {EGRESS_IP}, podIPs: [{{ip: {EGRESS_IP}}}], conditions: [{{type: Ready, status: "True"}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: egress, namespace: edge}}
spec: {{clusterIP: 10.1.0.2, clusterIPs: [10.1.0.2], selector: {{app: egress}}, ports: [{{name: tls, port: {m.gate_tls}}}, {{name: http, port: {m.gate_http}}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: egress-1, namespace: edge, labels: {{kubernetes.io/service-name: egress}}}}
addressType: IPv4
endpoints: [{{addresses: [{EGRESS_IP}], conditions: {{ready: true}}, targetRef: {{kind: Pod, name: egress-0, namespace: edge}}}}]
ports: [{{name: tls, port: {m.gate_tls}, protocol: TCP}}, {{name: http, port: {m.gate_http}, protocol: TCP}}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: egress, namespace: shop}}
spec:
  selector: {{app: egress}}
  servers:
  - {{port: {{number: {m.gate_tls}, name: tls, protocol: TLS}}, hosts: [{HOST}], tls: {{mode: PASSTHROUGH}}}}
  - {{port: {{number: {m.gate_http}, name: http, protocol: HTTP}}, hosts: [{FAR}]}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: passed-on, namespace: shop}}
spec:
  hosts: [{HOST}]
  gateways: [mesh, egress]
  tls:
  - match: [{{gateways: [mesh], port: {m.tls}, sniHosts: [{HOST}]}}]
    route: [{{destination: {{host: egress.edge.svc.cluster.local, port: {{number: {m.gate_tls}}}}}}}]
  - match: [{{gateways: [egress], port: {m.gate_tls}, sniHosts: [{HOST}]}}]
    route: [{{destination: {{host: {HOST}, port: {{number: {m.tls}}}}}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: begun, namespace: shop}}
spec:
  hosts: [{FAR}]
  gateways: [mesh, egress]
  http:
  - match: [{{gateways: [mesh], port: {m.http}}}]
    route: [{{destination: {{host: egress.edge.svc.cluster.local, port: {{number: {m.gate_http}}}}}}}]
  - match: [{{gateways: [egress], port: {m.gate_http}}}]
    route: [{{destination: {{host: {FAR}, port: {{number: {m.https}}}}}}}]
""" + rule(m, m.root.cert)


def rule(m, ca):
    return f"""---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: far, namespace: shop}}
spec:
  host: {FAR}
  trafficPolicy: {{portLevelSettings: [{{port: {{number: {m.https}}}, tls: {{mode: SIMPLE, sni: {FAR}, caCertificates: "{ca}"}}}}]}}
"""


@pytest.fixture
def mesh(tmp_path):
    class Mesh:
        pass
    m = Mesh()
    m.root, m.other = meshtls.Authority(tmp_path), meshtls.Authority(tmp_path, "other")
    m.outside = Outside(m.root.leaf(HOST, FAR))
    m.tls, m.http, m.https, m.gate_tls, m.gate_http = (free_port() for _ in range(5))
    m.cox = Coxswaind({"mesh.yaml": objects(m)})
    m.cox.wait_ready()
    sds = FileSds(m.root.leaf("spiffe://cluster.local/ns/edge/sa/egress"))
    m.egress = meshtls.Envoy(tmp_path, "egress-0", "edge", EGRESS_IP, m.cox.grpc_port, kind="router", labels={"app": "egress"}, account="egress", sds=sds)
    m.client = meshtls.Envoy(tmp_path, "client-0", "shop", "127.0.72.1", m.cox.grpc_port, labels={"app": "client"})
    yield m
    for one in (m.client, m.egress, sds, m.outside):
        one.close()
    m.cox.stop()


def through(m, **kw):
    try:
        return ask("127.0.0.1", m.http, header=FAR, **kw)
    except OSError:
        return 0, ""


def test_https_through_the_egress_gateway(mesh):
    m = mesh

    def handed_on():
        try:
            return ask("127.0.0.1", m.tls, tls=client_context(m.root.cert, check_name=True), sni=HOST)
        except OSError as e:
            return 0, str(e)
    until(lambda: handed_on()[0] == 200, "the client's TLS is handed on")
    # End to end: the outside server's own certificate, by the client's own check; the gateway saw a name and bytes.
    assert handed_on()[1]["app"] == "outside" and set(m.outside.names) == {HOST}
    assert m.egress.stat(f"cluster.outbound|{m.tls}||{HOST};.upstream_cx_total") >= 1
    assert m.client.stat(f"cluster.outbound|{m.tls}||{HOST};.upstream_cx_total") in (None, 0)
    # The client speaks HTTP, the gateway HTTPS: with the rule's SNI and root.
    until(lambda: through(m)[0] == 200, "TLS begins at the gateway")
    assert through(m)[1]["app"] == "outside" and FAR in m.outside.names
    assert m.egress.stat(f"cluster.outbound|{m.https}||{FAR};.upstream_rq_total") >= 1
    # A server that the rule's root does not vouch for is none.
    m.cox.write("mesh.yaml", objects(m).replace(m.root.cert, m.other.cert))
    until(lambda: through(m)[0] == 503, "another root: the server is not believed")
    m.cox.write("mesh.yaml", objects(m))
    until(lambda: through(m)[0] == 200, "the right root again")
