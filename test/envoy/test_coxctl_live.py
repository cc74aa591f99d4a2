"""coxctl asks a live coxswaind and a real Envoy: who is in sync, which versions, is what the Envoy has what was sent, which policies it applies.

covers: f2 f3 f8 f20 f24
"""
import json
import os
import re
import subprocess

import pytest
import yaml

import istiojudge
from adsmodel import RealEnvoy, until
from coxswain import BUILD, Coxswaind
from istiojudge import coxctl, same_text

IP = "10.1.0.9"
OBJECTS = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.0.9, selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-0, namespace: shop, labels: {app: web}}
spec: {serviceAccountName: web, nodeName: n, containers: [{name: a, image: a, ports: [{containerPort: 8080}]}]}
status: {phase: Running, podIP: 10.1.0.9, podIPs: [{ip: 10.1.0.9}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints: [{addresses: [10.1.0.9], conditions: {ready: true}, targetRef: {kind: Pod, name: web-0, namespace: shop}}]
"""
MORE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec: {hosts: [web], http: [{timeout: 3s, route: [{destination: {host: web}}]}]}
"""


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    with Coxswaind({"o.yaml": OBJECTS}) as c:
        c.wait_ready()
        tmp = tmp_path_factory.mktemp("live")
        e = RealEnvoy(c.grpc_port, tmp, f"sidecar~{IP}~web-0.shop~shop.svc.cluster.local", True,
                      {"NAMESPACE": "shop", "COXSWAIN_SDS": "none", "INSTANCE_IPS": IP, "LABELS": {"app": "web"}, "ISTIO_VERSION": "1.29.1", "CLUSTER_ID": "Kubernetes"})
        try:
            until(lambda: e.clusters() and e.listeners() and not e.listeners("warming_state") and e.routes(), "configured")
            yield c, e, f"http://127.0.0.1:{c.http_port}"
        finally:
            e.stop()


def rows(text):
    return [re.split(r"\s{2,}", line) for line in text.splitlines()]


def test_proxy_status(mesh):
    c, e, server = mesh
    head, row = until(lambda: (lambda r: len(r) == 2 and r)(rows(coxctl("ps", "--server", server).stdout)), "its row")
    assert head == ["NAME", "CLUSTER", "ISTIOD", "VERSION", "SUBSCRIBED TYPES"]
    assert row[:4] == ["web-0.shop", "Kubernetes", server, "1.29.1"] and re.match(r"[45] \(CDS,LDS,EDS,RDS", row[4])
    verbose = until(lambda: (lambda r: r[1][2].startswith("SYNCED") and r)(rows(coxctl("proxy-status", "-v", "1", "--server", server).stdout)), "synced")
    assert verbose[0][:6] == ["NAME", "CLUSTER", "CDS", "LDS", "EDS", "RDS"] and "NDS" in verbose[0]
    assert all(x.startswith("SYNCED") for x in verbose[1][2:6]) and "IGNORED" in verbose[1]
    assert rows(coxctl("ps", "-n", "other", "--server", server).stdout) == [head]
    tree = json.loads(coxctl("ps", "--server", server, "-o", "json").stdout)
    assert tree[server][0]["proxy"] == "web-0.shop"
    gone = coxctl("ps", "--server", "http://127.0.0.1:1")
    assert gone.returncode == 1 and "127.0.0.1:1" in gone.stderr and gone.stdout == ""


def test_version(mesh):
    c, e, server = mesh
    lines = coxctl("version", "--server", server).stdout.splitlines()
    client = coxctl("version", "--remote=false").stdout.split()[-1]
    plane = subprocess.run([os.path.join(BUILD, "coxswaind"), "version"], capture_output=True, text=True).stdout.strip().removesuffix("-dirty")
    assert lines == [f"client version: {client}", f"control plane version: {plane}", "data plane version: 1.29.1 (1 proxies)"]
    tree = json.loads(coxctl("version", "--server", server, "-o", "json").stdout)
    assert tree["clientVersion"]["version"] == client and tree["meshVersion"][0]["Info"]["version"] == plane
    assert tree["dataPlaneVersion"] == [{"ID": "web-0.shop", "IstioVersion": "1.29.1"}]
    alone = coxctl("version")
    assert alone.returncode == 1 or alone.stdout == f"client version: {client}\n"


def test_one_proxy(mesh, tmp_path):
    """In sync; then the file of before: the route that changed is told."""
    c, e, server = mesh
    ask = ["proxy-status", "web-0.shop", "--server", server]
    dump = tmp_path / "before.json"
    dump.write_text(e.get("/config_dump?include_eds"))
    live = coxctl(*ask, "--proxy-admin", f"127.0.0.1:{e.admin}")
    assert live.returncode == 0 and live.stdout == "Clusters Match\nListeners Match\nRoutes Match\n", live
    c.write("more.yaml", MORE)
    try:
        until(lambda: "3s" in e.get("/config_dump"), "the new route")
        old = coxctl(*ask, "--file", dump)
        assert old.returncode == 1 and old.stdout.startswith("Clusters Match\nListeners Match\nRoutes Don't Match\n  ~ 80\n"), old
        assert re.search(r"virtualHosts\[(80/)?web.shop.svc.cluster.local:80\].*3s", old.stdout), old.stdout
        assert until(lambda: coxctl(*ask, "--proxy-admin", f"127.0.0.1:{e.admin}").returncode == 0, "in sync again")
    finally:
        c.remove("more.yaml")
    other = coxctl("ps", "none.shop", "--server", server, "--proxy-admin", f"127.0.0.1:{e.admin}")
    assert other.returncode == 1 and "404" in other.stderr


def test_policies(mesh, tmp_path):
    """Of Istio's own dump with policies of all actions, and of a live Envoy: as istioctl."""
    c, e, server = mesh
    dump = tmp_path / "dump.json"
    with open(os.path.join(istiojudge.folder(), "istio/istioctl/pkg/authz/testdata/configdump.yaml")) as f:
        dump.write_text(json.dumps(yaml.safe_load(f)))
    text = same_text("x", "authz", "check", "-f", dump)
    assert {r[0] for r in rows(text)} >= {"ACTION", "ALLOW", "CUSTOM"}, text
    dump.write_text(e.get("/config_dump"))
    text = same_text("x", "authz", "check", "-f", dump)
    assert coxctl("authz", "check", "--proxy-admin", f"127.0.0.1:{e.admin}").stdout == text


def test_debug_pages(mesh):
    c, e, server = mesh
    pages = coxctl("x", "internal-debug", "--list", "--server", server)
    assert pages.returncode == 0 and "syncz" in pages.stdout
    assert json.loads(coxctl("internal-debug", "syncz", "--server", server).stdout)[0]["proxy"] == "web-0.shop"
    assert "404" in coxctl("internal-debug", "nonsense", "--server", server).stderr
