"""Lab 3: the way in and the way out. covers: a1 a2 a6 a18 a20"""
import os
import shutil
import subprocess

from coxlab import programs
from coxlab.identity import PROXY_UID
from coxlab.lab import eventually

EMPTY_HOST = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: empty-gateway}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 8080, name: http, protocol: HTTP}
    hosts: [empty.example.com]
"""
SERVICE_PORT = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: port80-gateway}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: [shop.example.com]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: port80}
spec:
  hosts: [shop.example.com]
  gateways: [port80-gateway]
  http:
  - route: [{destination: {host: productpage, port: {number: 9080}}}]
"""
OUTSIDE = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside}
spec:
  hosts: [outside.example.com]
  location: MESH_EXTERNAL
  addresses: [198.51.100.7]
  ports:
  - {number: 80, name: http, protocol: HTTP}
  resolution: STATIC
  endpoints:
  - {address: ADDRESS, ports: {http: 8080}}
"""
EGRESS = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: egress}
spec:
  selector: {istio: egressgateway}
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: [outside.example.com]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: through-egress}
spec:
  hosts: [outside.example.com]
  gateways: [mesh, egress]
  http:
  - match: [{gateways: [mesh], port: 80}]
    route: [{destination: {host: istio-egressgateway.istio-system.svc.cluster.local, port: {number: 80}}}]
  - match: [{gateways: [egress], port: 80}]
    route: [{destination: {host: outside.example.com, port: {number: 80}}}]
"""


def test_productpage_answers_and_other_paths_do_not(mesh):
    mesh.apply("networking/bookinfo-gateway.yaml")
    mesh.wait_route()
    # The pod that became ready last may be `details`: its endpoint reaches the sidecar of productpage a moment later than the gateway its route.
    page = eventually(lambda: (lambda p: p if "William Shakespeare" in p.body else None)(mesh.get("/productpage")), timeout=10)
    assert page.status == 200 and "The Comedy of Errors" in page.body and "William Shakespeare" in page.body
    assert "class=\"version\"" in page.body, "the page has no reviews"
    assert mesh.get("/nothing-here").status == 404
    assert mesh.get("/productpage/x").status == 404
    assert mesh.get("/api/v1/products/0").status == 200


def test_gateway_for_a_host_without_a_route_is_404(mesh):
    """Never a reset, neither for this host nor for one nobody knows."""
    mesh.apply(EMPTY_HOST)
    eventually(lambda: mesh.get("/", host="empty.example.com").status == 404, timeout=20)
    for _ in range(20):
        assert mesh.get("/", host="empty.example.com").status == 404
        assert mesh.get("/", host="unknown.example.com").status == 404


def test_gateway_on_the_services_port(mesh):
    """A Gateway names the Service's port 80; the pod listens on the target port 8080."""
    mesh.apply(SERVICE_PORT)
    eventually(lambda: mesh.get("/productpage", host="shop.example.com").status == 200, timeout=20)
    assert mesh.get("/productpage", host="other.example.com").status == 404


def test_egress_by_service_entry(mesh):
    """An outside host answers by its ServiceEntry alone, then through the egress gateway. covers: a2"""
    mesh.lab.add_host("outside.example.com", "198.51.100.7")
    mesh.apply(OUTSIDE.replace("ADDRESS", mesh.outside.address))
    answer = eventually(lambda: (lambda r: r if r.status == 200 else None)(mesh.lab.curl(mesh.client, "http://outside.example.com/ratings/1")), timeout=20)
    assert answer.headers["x-bookinfo"] == "ratings-outside"
    assert mesh.lab.stats(mesh.client, r"^cluster\.outbound\|80\|\|outside\.example\.com.*upstream_rq_total$")
    mesh.apply(EGRESS)
    egress = mesh.lab.pod("istio-system", istio="egressgateway")

    def through():
        assert mesh.lab.curl(mesh.client, "http://outside.example.com/ratings/1").status == 200
        return any(mesh.lab.stats(egress, r"^cluster\.outbound\|80\|\|outside\.example\.com.*upstream_rq_total$").values())
    eventually(through, timeout=20)


HTTPS = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: https-gateway}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 8443, name: https, protocol: HTTPS}
    hosts: [secure.example.com]
    tls: {mode: SIMPLE, serverCertificate: FOLDER/cert.pem, privateKey: FOLDER/key.pem, minProtocolVersion: TLSV1_2}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: https}
spec:
  hosts: [secure.example.com]
  gateways: [https-gateway]
  http:
  - match: [{uri: {exact: /productpage}}]
    route: [{destination: {host: productpage, port: {number: 9080}}}]
"""
EGRESS_MUTUAL = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: egress-mutual}
spec:
  selector: {istio: egressgateway}
  servers:
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: [outside.example.com]
    tls: {mode: ISTIO_MUTUAL}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: to-egress}
spec:
  host: istio-egressgateway.istio-system.svc.cluster.local
  subsets:
  - name: outside
    trafficPolicy:
      portLevelSettings:
      - port: {number: 443}
        tls: {mode: ISTIO_MUTUAL, sni: outside.example.com}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: through-egress-mutual}
spec:
  hosts: [outside.example.com]
  gateways: [mesh, egress-mutual]
  http:
  - match: [{gateways: [mesh], port: 80}]
    route: [{destination: {host: istio-egressgateway.istio-system.svc.cluster.local, subset: outside, port: {number: 443}}}]
  - match: [{gateways: [egress-mutual], port: 443}]
    route: [{destination: {host: outside.example.com, port: {number: 80}}}]
"""


def test_https_by_mounted_files(mesh):
    """The gateway ends TLS with a certificate from its own files. covers: a114 a118 a124"""
    folder = os.path.join(programs.SHARED, mesh.lab.state.data["id"], "https")
    os.makedirs(folder, exist_ok=True)
    try:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj", "/CN=secure",
                        "-addext", "subjectAltName=DNS:secure.example.com", "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"],
                       check=True, capture_output=True)
        for name in ("key.pem", "cert.pem"):
            os.chown(os.path.join(folder, name), PROXY_UID, PROXY_UID)
        mesh.apply(HTTPS.replace("FOLDER", folder))

        def status(path):
            done = subprocess.run(["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", f"{folder}/cert.pem", "-m", "10", "--resolve",
                                   f"secure.example.com:8443:{mesh.ingress.address}", f"https://secure.example.com:8443{path}"], capture_output=True, text=True)
            return done.stdout
        eventually(lambda: status("/productpage") == "200", timeout=20)
        assert status("/nothing-here") == "404"
    finally:
        mesh.clear()
        shutil.rmtree(folder)


def test_egress_by_mutual_tls(mesh):
    """The way to the egress gateway is mTLS of the mesh: the gateway takes nobody without a certificate. covers: a117 a100"""
    mesh.lab.add_host("outside.example.com", "198.51.100.7")
    mesh.apply(OUTSIDE.replace("ADDRESS", mesh.outside.address))
    eventually(lambda: mesh.lab.curl(mesh.client, "http://outside.example.com/ratings/1").status == 200, timeout=20)
    egress = mesh.lab.pod("istio-system", istio="egressgateway")
    mesh.apply(EGRESS_MUTUAL)
    before = sum(mesh.lab.stats(egress, r"^cluster\.outbound\|80\|\|outside\.example\.com.*upstream_rq_total$").values())

    def through():
        mesh.lab.curl(mesh.client, "http://outside.example.com/ratings/1")
        return sum(mesh.lab.stats(egress, r"^cluster\.outbound\|80\|\|outside\.example\.com.*upstream_rq_total$").values()) > before
    eventually(through, timeout=20)
    assert mesh.lab.curl(mesh.client, "http://outside.example.com/ratings/1").headers["x-bookinfo"] == "ratings-outside"
    bare = subprocess.run(["curl", "-sSk", "-o", "/dev/null", "-m", "5", "--resolve", f"outside.example.com:8443:{egress.address}",
                           "https://outside.example.com:8443/ratings/1"], capture_output=True, text=True)
    assert bare.returncode != 0, "a client without a certificate was served"
