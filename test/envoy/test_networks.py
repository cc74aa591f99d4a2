"""Two networks on real Envoys: the client knows the gateway's address only, which hands its mutual TLS on by SNI.

covers: a116 a228 b44 b45
"""
import pytest

import meshtls
from coxswain import EDS, Coxswaind, Stream, node
from meshtls import ask, until

WEB, CLIENT = "spiffe://cluster.local/ns/shop/sa/web", "spiffe://cluster.local/ns/shop/sa/client"
SERVER_IP, CLIENT_IP, GATEWAY_IP = "127.0.71.1", "127.0.71.2", "127.0.71.3"


def pod(name, ns, app, network, ip, more=""):
    return f"""---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {ns}, labels: {{app: {app}, topology.istio.io/network: {network}{more}}}}}
spec: {{serviceAccountName: {app}, containers: [{{name: app, image: app}}]}}
status: {{phase: Running, podIP: {ip}, podIPs: [{{ip: {ip}}}], conditions: [{{type: Ready, status: "True"}}]}}
"""


def service(name, ns, app, ip, port, target, pod_ip, pod_name, more="", labels=""):
    return f"""---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {ns}, labels: {{app: {app}{labels}}}}}
spec: {{clusterIP: {ip}, clusterIPs: [{ip}], selector: {{app: {app}}}, ports: [{{name: {'tls' if labels else 'http'}, port: {port}, targetPort: {target}}}]{more}}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-1, namespace: {ns}, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
endpoints: [{{addresses: [{pod_ip}], conditions: {{ready: true}}, targetRef: {{kind: Pod, name: {pod_name}, namespace: {ns}}}}}]
ports: [{{name: {'tls' if labels else 'http'}, port: {target}, protocol: TCP}}]
"""


def objects(app_port, service_port, gateway_port):
    mutual = ", security.istio.io/tlsMode: istio"
    return (pod("web-0", "shop", "web", "two", SERVER_IP, mutual) + pod("client-0", "shop", "client", "one", CLIENT_IP, mutual) +
            pod("gw-0", "edge", "eastwest", "two", GATEWAY_IP) + service("web", "shop", "web", "10.1.0.1", service_port, app_port, SERVER_IP, "web-0") +
            service("east-west", "edge", "eastwest", "10.1.0.2", gateway_port, gateway_port, GATEWAY_IP, "gw-0", f", externalIPs: [{GATEWAY_IP}]",
                    f", topology.istio.io/network: two, networking.istio.io/gatewayPort: '{gateway_port}'") + f"""---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: east-west, namespace: edge}}
spec:
  selector: {{app: eastwest}}
  servers: [{{port: {{number: {gateway_port}, name: tls, protocol: TLS}}, hosts: ["*.local"], tls: {{mode: AUTO_PASSTHROUGH}}}}]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: strict, namespace: shop}}
spec: {{mtls: {{mode: STRICT}}}}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: web, namespace: shop}}
spec: {{workloadSelector: {{labels: {{app: web}}}}, egress: [{{hosts: ["~/*"]}}]}}
""")


@pytest.fixture
def mesh(tmp_path):
    opened = []

    def keep(one):
        opened.append(one)
        return one

    class Mesh:
        pass
    m = Mesh()
    root = meshtls.Authority(tmp_path)
    m.app_port, m.service_port, m.gateway_port = (meshtls.free_port() for _ in range(3))
    keep(meshtls.App("127.0.0.1", m.app_port))
    m.cox = Coxswaind({"mesh.yaml": objects(m.app_port, m.service_port, m.gateway_port)})
    opened.append(type("Stop", (), {"close": lambda _: m.cox.stop()})())
    m.cox.wait_ready()
    web, client = keep(meshtls.Sds(root.leaf(WEB))), keep(meshtls.Sds(root.leaf(CLIENT)))
    start = lambda name, ns, ip, app, network, **kw: keep(meshtls.Envoy(tmp_path, name, ns, ip, m.cox.grpc_port, labels={"app": app, "topology.istio.io/network": network},
                                                                       account=app, metadata={"NETWORK": network}, **kw))
    m.server = start("web-0", "shop", SERVER_IP, "web", "two", sds=web)
    m.gateway = start("gw-0", "edge", GATEWAY_IP, "eastwest", "two", kind="router")
    m.client = start("client-0", "shop", CLIENT_IP, "client", "one", sds=client)
    yield m
    for one in reversed(opened):
        one.close()


def through(m):
    try:
        return ask("127.0.0.1", m.service_port, header=f"web.shop.svc.cluster.local:{m.service_port}")
    except OSError:
        return 0, ""


def test_traffic_goes_through_the_other_networks_gateway(mesh):
    cluster = f"outbound|{mesh.service_port}||web.shop.svc.cluster.local"
    with Stream(mesh.cox.grpc_port, node(pod="x", ns="shop", ip="127.0.71.9", NETWORK="one")) as s:
        seen = [e.endpoint.address.socket_address for l in s.fetch(EDS, [cluster])[cluster].endpoints for e in l.lb_endpoints]
        assert [(a.address, a.port_value) for a in seen] == [(GATEWAY_IP, mesh.gateway_port)]
    until(lambda: through(mesh)[0] == 200, "the client is answered")
    status, body = through(mesh)
    assert status == 200 and CLIENT in body["xfcc"]  # the client's own certificate, through the gateway
    name = f"cluster.outbound_.{mesh.service_port}_._.web.shop.svc.cluster.local;"
    assert mesh.gateway.stat(name + ".upstream_cx_total") >= 1 and mesh.gateway.stat(name + ".upstream_cx_rx_bytes_total") > 0
    # Nobody else knows the way.
    mesh.gateway.close()
    until(lambda: through(mesh)[0] == 503, "without the gateway there is no answer")


def test_a_gateway_by_its_name():
    """A name among meshNetworks is resolved here. covers: a228"""
    pods = objects(1234, 8080, 15443)
    mesh = f"""---
apiVersion: v1
kind: ConfigMap
metadata: {{name: istio, namespace: istio-system}}
data:
  mesh: "{{}}"
  meshNetworks: |
    networks: {{two: {{gateways: [{{address: localhost, port: 4443}}]}}}}
"""
    c = Coxswaind({"mesh.yaml": pods.replace(f", externalIPs: [{GATEWAY_IP}]", "") + mesh})
    try:
        c.wait_ready()
        until(lambda: "gateway name=localhost" in c.log_text(), "the name is resolved")
        cluster = "outbound|8080||web.shop.svc.cluster.local"

        def seen():
            with Stream(c.grpc_port, node(pod="x", ns="shop", ip="127.0.71.9", NETWORK="one")) as s:
                return [(a.address, a.port_value) for l in s.fetch(EDS, [cluster])[cluster].endpoints for e in l.lb_endpoints for a in [e.endpoint.address.socket_address]]
        until(lambda: seen() == [("127.0.0.1", 4443)], "the other network is reached by its address")
    finally:
        c.stop()
