"""mTLS between real Envoys, by PeerAuthentication and DestinationRule, with certificates from an SDS server as the agent is one.

covers: a99 a168 a169 a170 c13
"""
import socket

import pytest

import meshtls
from coxswain import Coxswaind
from meshtls import ask, client_context, is_refused, until

MESH = ["istio-http/1.1", "istio", "http/1.1"]  # what a stock Envoy of the mesh offers for HTTP/1.1
WEB, CLIENT, OTHER = ("spiffe://cluster.local/ns/shop/sa/web", "spiffe://cluster.local/ns/shop/sa/client", "spiffe://cluster.local/ns/shop/sa/other")
SERVER_IP, CLIENT_IP = "127.0.0.11", "127.0.0.12"


def objects(app_port, service_port):
    pods = "".join(f"""---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: shop, labels: {{app: {app}, security.istio.io/tlsMode: istio}}}}
spec: {{serviceAccountName: {app}, containers: [{{name: app, image: app}}]}}
status: {{phase: Running, podIP: {ip}, podIPs: [{{ip: {ip}}}], conditions: [{{type: Ready, status: "True"}}]}}
""" for name, app, ip in (("web-0", "web", SERVER_IP), ("client-0", "client", CLIENT_IP)))
    return pods + f"""---
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: shop}}
spec:
  clusterIP: 10.1.0.1
  clusterIPs: [10.1.0.1]
  selector: {{app: web}}
  ports: [{{name: http, port: {service_port}, targetPort: {app_port}}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: web-1, namespace: shop, labels: {{kubernetes.io/service-name: web}}}}
addressType: IPv4
endpoints: [{{addresses: [{SERVER_IP}], conditions: {{ready: true}}, targetRef: {{kind: Pod, name: web-0, namespace: shop}}}}]
ports: [{{name: http, port: {app_port}, protocol: TCP}}]
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: web, namespace: shop}}
spec: {{workloadSelector: {{labels: {{app: web}}}}, egress: [{{hosts: ["~/*"]}}]}}
"""


def policy(mode, ports=""):
    selector = "  selector: {matchLabels: {app: web}}\n" if ports else ""
    return f"""apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: web, namespace: shop}}
spec:
{selector}  mtls: {{mode: {mode}}}
{ports}"""


class Mesh:
    def __init__(self, tmp_path, args=(), env=None, options=(), protocol="http"):
        """args, env: of coxswaind; options: of the server's Envoy; protocol: what the port's name says."""
        self.tmp = tmp_path
        self.root = meshtls.Authority(tmp_path)
        self.app_port, self.service_port = meshtls.free_port(), meshtls.free_port()
        self.app = meshtls.App("127.0.0.1", self.app_port)
        self.web = self.root.leaf(WEB)
        self.sds = meshtls.Sds(self.web)
        self.cox = Coxswaind({"mesh.yaml": objects(self.app_port, self.service_port).replace("name: http", f"name: {protocol}"), "policy.yaml": policy("PERMISSIVE")}, args, env)
        self.cox.wait_ready()
        self.server = meshtls.Envoy(tmp_path, "web-0", "shop", SERVER_IP, self.cox.grpc_port, labels={"app": "web"}, account="web", sds=self.sds,
                                    options=options)
        self.opened = [self.server]
        until(lambda: self.plain_works(), "the server answers")

    def close(self):
        for one in reversed(self.opened):
            one.close()
        self.cox.stop()
        self.sds.close()
        self.app.close()

    def plain_works(self):
        try:
            return ask(SERVER_IP, self.app_port)[0] == 200
        except OSError:
            return False

    def mutual(self, pair, alpn=MESH):
        return client_context(self.root.cert, pair, alpn)

    def mutual_works(self, pair, alpn=MESH):
        try:
            return ask(SERVER_IP, self.app_port, tls=self.mutual(pair, alpn))[0] == 200
        except OSError:
            return False

    def certificate(self, pair):
        """The server's, as Python reads it."""
        with socket.create_connection((SERVER_IP, self.app_port), timeout=5) as s, self.mutual(pair).wrap_socket(s) as t:
            return t.getpeercert()

    def server_names(self):
        return [name for _, name in self.certificate(self.root.leaf(CLIENT))["subjectAltName"]]

    def close_client(self):
        for one in reversed(self.opened[1:]):
            one.close()
        del self.opened[1:]

    def client(self, pair):
        sds = meshtls.Sds(pair)
        envoy = meshtls.Envoy(self.tmp, "client-0", "shop", CLIENT_IP, self.cox.grpc_port, labels={"app": "client"}, account="client", sds=sds)
        self.opened += [sds, envoy]
        return envoy

    def through_client(self):
        try:
            return ask("127.0.0.1", self.service_port, header=f"web.shop.svc.cluster.local:{self.service_port}")
        except OSError:
            return 0, ""


@pytest.fixture
def mesh(tmp_path):
    m = Mesh(tmp_path)
    yield m
    m.close()


def test_server_modes(mesh):
    """PERMISSIVE takes both, STRICT mTLS of the mesh alone, DISABLE clear text alone; by port too."""
    good = mesh.root.leaf(CLIENT)
    stranger = meshtls.Authority(mesh.tmp, "stranger").leaf(CLIENT)
    foreign = mesh.root.leaf("spiffe://elsewhere.example/ns/shop/sa/client")
    status, body = ask(SERVER_IP, mesh.app_port, tls=mesh.mutual(good))
    assert status == 200 and CLIENT in body["xfcc"] and mesh.plain_works()

    mesh.cox.write("policy.yaml", policy("STRICT"))
    until(lambda: not mesh.plain_works(), "clear text is refused")
    assert is_refused(SERVER_IP, mesh.app_port)
    assert mesh.mutual_works(good)
    assert is_refused(SERVER_IP, mesh.app_port, tls=client_context(mesh.root.cert, None, MESH))  # no certificate
    assert is_refused(SERVER_IP, mesh.app_port, tls=client_context(mesh.root.cert, stranger, MESH))  # of another authority
    assert is_refused(SERVER_IP, mesh.app_port, tls=mesh.mutual(foreign))  # of another trust domain

    mesh.cox.write("policy.yaml", policy("DISABLE"))
    until(mesh.plain_works, "clear text is taken again")
    assert is_refused(SERVER_IP, mesh.app_port, tls=mesh.mutual(good))

    mesh.cox.write("policy.yaml", policy("DISABLE", f"  portLevelMtls: {{{mesh.app_port}: {{mode: STRICT}}}}\n"))
    until(lambda: not mesh.plain_works(), "clear text is refused on the port")
    assert mesh.mutual_works(good)


def test_trust_domain_migration(mesh):
    """Certificates of an alias are taken, and those of the next domain too. covers: c13"""
    mesh.cox.write("policy.yaml", policy("STRICT"))
    old = mesh.root.leaf(CLIENT.replace("cluster.local", "old.example"))
    until(lambda: not mesh.plain_works(), "STRICT")
    assert is_refused(SERVER_IP, mesh.app_port, tls=mesh.mutual(old))
    mesh.cox.write("meshconfig.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n"
                                      "  mesh: |\n    trustDomainAliases: [old.example]\n")
    until(lambda: mesh.mutual_works(old), "the alias is taken")
    assert mesh.mutual_works(mesh.root.leaf(CLIENT))


def test_auto_mtls_and_secure_naming(mesh):
    """The client's Envoy speaks mTLS by itself, and only with a server whose certificate is of an account behind the service."""
    mesh.cox.write("policy.yaml", policy("STRICT"))
    until(lambda: not mesh.plain_works(), "STRICT")
    envoy = mesh.client(mesh.root.leaf(CLIENT))
    status, body = until(lambda: mesh.through_client() if mesh.through_client()[0] == 200 else None, "a request through both Envoys")
    assert f"URI={CLIENT}" in body["xfcc"] and f"By={WEB}" in body["xfcc"]
    # The server shows another service account of the same mesh: a client that connects now does not talk to it.
    mesh.close_client()
    mesh.sds.set(mesh.root.leaf(OTHER))
    until(lambda: mesh.server_names() == [OTHER], "the server shows its other certificate")
    envoy = mesh.client(mesh.root.leaf(CLIENT))
    until(lambda: mesh.through_client()[0] == 503, "the server's name is wrong")
    assert envoy.stat(f"cluster.outbound|{mesh.service_port}||web.shop.svc.cluster.local;.ssl.fail_verify_san") > 0
    mesh.sds.set(mesh.web)
    until(lambda: mesh.through_client()[0] == 200, "the right name is back")
    # The server takes clear text only: the client is told so and does the same.
    mesh.cox.write("policy.yaml", policy("DISABLE"))
    until(lambda: mesh.through_client()[0] == 200 and mesh.through_client()[1]["xfcc"] == "", "clear text where mTLS is off")


def test_rotation_without_a_failed_request(mesh):
    """Certificate and key change under STRICT while requests run on connections of their own."""
    mesh.cox.write("policy.yaml", policy("STRICT"))
    until(lambda: not mesh.plain_works(), "STRICT")
    good, seen = mesh.root.leaf(CLIENT), set()
    for i in range(120):
        if i % 30 == 10:
            mesh.sds.set(mesh.root.leaf(WEB))
        assert mesh.mutual_works(good), f"request {i}"
        seen.add(mesh.certificate(good)["serialNumber"])
    assert len(seen) >= 3, seen
