"""An unmodified istioctl as the judge: it asks coxswaind over xDS (15010 from this host, 15012 with a token of the kube-apiserver), about real
Envoys. What needs a kubelet to forward ports is asked by its paths in test/protocol/test_debug.py.

covers: g7 g8 g9 g10 g11 g12 g13 g14 g15 g16 g17 g19 g22
"""
import glob
import json
import os
import re
import subprocess
import sys

import pytest

import kubelab
from coxswain import Coxswaind

sys.path.insert(0, os.path.join(kubelab.TREE, "test", "envoy"))
from adsmodel import until  # noqa: E402
from test_section20 import PORT, Envoy, endpoints, service  # noqa: E402

SAMPLES = [service("a", "10.96.7.1"), service("b", "10.96.7.2"), endpoints("a", 1).replace("127.0.0.1", "10.244.7.1")]


@pytest.fixture(scope="module")
def istioctl(lab):
    folder = subprocess.run([os.path.join(kubelab.TREE, "hack/istio/build")], check=True, capture_output=True, text=True).stdout.split()[-1]

    def run(*args, fails=False):
        r = subprocess.run([os.path.join(folder, "istioctl"), *args, "--kubeconfig", lab.kubeconfig], capture_output=True, text=True, timeout=100)
        assert (r.returncode != 0) == fails, (args, r.stdout[-2000:], r.stderr[-2000:])
        return r.stdout + r.stderr if fails else r.stdout
    return run


@pytest.fixture(scope="module")
def mesh(lab, tmp_path_factory):
    """(coxswaind, Envoys by name)"""
    import yaml
    for path in sorted(glob.glob(os.path.join(kubelab.TREE, "crd/*.yaml"))):
        lab.crd(path)
    ns = "default"
    lab.apply("/api/v1/namespaces/istio-system/serviceaccounts/default", {
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "istio-system"}})
    made = []
    for text in SAMPLES:
        body = yaml.safe_load(text)
        group = "/apis/discovery.k8s.io/v1" if body["kind"] == "EndpointSlice" else "/api/v1"
        made.append(f"{group}/namespaces/{ns}/{body['kind'].lower()}s/{body['metadata']['name']}")
        body.get("spec", {}).pop("clusterIP", None)  # the kube-apiserver gives one
        lab.apply(made[-1], body)
    envoys = {}
    with Coxswaind(source=["--kubeconfig", lab.kubeconfig]) as c:
        c.wait_ready(40)
        try:
            for kind, ip in (("sidecar", "10.1.0.91"), ("router", "10.1.0.92")):
                envoys[kind] = Envoy(c.grpc_port, kind, tmp_path_factory.mktemp(kind), ip=ip, CLUSTER_ID="Kubernetes", ISTIO_VERSION="1.31.2")
            cluster = f"outbound|{PORT}||a.default.svc.cluster.local"
            until(lambda: cluster in envoys["sidecar"].clusters() and envoys["sidecar"].routes(), "configured")
            until(lambda: {r["state"] for p in c.json("/debug/syncz") for r in p["resources"].values()} == {"SYNCED"} and
                  len(c.json("/debug/syncz")) == 2, "in sync")
            yield c, envoys
        finally:
            for e in envoys.values():
                e.stop()
            for path in reversed(made):
                lab.delete(path)


@pytest.fixture(params=["loopback in clear text", "TLS and a token"])
def address(request, mesh):
    c, _ = mesh
    if request.param.startswith("loop"):
        return ["--xds-address", f"127.0.0.1:{c.grpc_port}", "--plaintext"]
    return ["--xds-address", f"127.0.0.1:{c._port('ads listening over TLS')}"]


def test_proxy_status(istioctl, mesh, address):
    lines = [re.split(r"\s{2,}", line.strip()) for line in istioctl("proxy-status", *address).splitlines()]
    assert lines[0] == ["NAME", "CLUSTER", "ISTIOD", "VERSION", "SUBSCRIBED TYPES"]
    rows = {row[0]: row for row in lines[1:]}
    assert set(rows) == {"sidecar-0.default", "router-0.default"}, "istioctl's own streams are no proxies"
    name, cluster, istiod, version, types = rows["sidecar-0.default"]
    assert cluster == "Kubernetes" and version == "1.31.2" and istiod == os.uname().nodename
    assert re.match(r"\d \(CDS,LDS,EDS,RDS", types)
    wide = istioctl("proxy-status", "-v", "1", *address).splitlines()
    assert "CDS" in wide[0] and all(re.search(r"SYNCED \(\d+\w\)", line) for line in wide[1:]) and "STALE" not in "".join(wide)


def test_proxy_status_as_json(istioctl, mesh, address):
    answer = json.loads(istioctl("proxy-status", "-o", "json", *address))
    assert answer["typeUrl"] == "istio.io/debug/syncz" and json.loads(answer["controlPlane"]["identifier"])["Component"] == "istiod"
    configs = {r["node"]["id"]: r for r in answer["resources"]}
    assert configs["sidecar-0.default"]["node"]["metadata"]["NAMESPACE"] == "default"
    states = {x["typeUrl"].rsplit(".", 1)[-1]: x["configStatus"] for x in configs["sidecar-0.default"]["genericXdsConfigs"]}
    assert states["Cluster"] == states["Listener"] == states["RouteConfiguration"] == "SYNCED"


def test_version(istioctl, mesh, address):
    text = istioctl("experimental", "version", *address)
    assert re.search(r"^(istiod|control plane) version: \S+", text, re.M), text
    assert "data plane version: 1.31.2 (2 proxies)" in text


def envoy_dump(e, tmp_path):
    path = tmp_path / "dump.json"
    path.write_text(e.get("/config_dump?include_eds"))
    return str(path)


def test_proxy_status_of_one_compares(istioctl, mesh, address, tmp_path):
    """The Envoy has what it should have; and where its dump says otherwise, that is shown."""
    _, envoys = mesh
    path = envoy_dump(envoys["sidecar"], tmp_path)
    text = istioctl("proxy-status", "sidecar-0.default", "--file", path, *address)
    assert "Clusters Match" in text and "Listeners Match" in text and "Routes Match" in text, text[:3000]
    with open(path) as f:
        changed = f.read().replace("BlackHoleCluster", "BrightHoleCluster")
    (tmp_path / "changed.json").write_text(changed)
    text = istioctl("proxy-status", "sidecar-0.default", "--file", str(tmp_path / "changed.json"), *address)
    assert "Clusters Don't Match" in text and "BrightHoleCluster" in text
    assert "unable to find config dump" in istioctl("proxy-status", "nobody.default", "--file", path, *address, fails=True)


def test_proxy_config_reads_both_dumps(istioctl, mesh, tmp_path):
    """Of Envoy itself, and of /debug/config_dump: the same clusters, listeners, routes and endpoints."""
    c, envoys = mesh
    ours = tmp_path / "ours.json"
    ours.write_bytes(c.get("/debug/config_dump?proxyID=sidecar-0.default&include_eds")[1])
    theirs = envoy_dump(envoys["sidecar"], tmp_path)

    def table(what, path):
        return [line.split() for line in istioctl("proxy-config", what, "--file", str(path)).splitlines()]
    assert ["a.default.svc.cluster.local", str(PORT), "-", "outbound", "EDS"] in table("cluster", ours)
    assert sorted(r for r in table("cluster", theirs) if r[-1] == "EDS") == sorted(r for r in table("cluster", ours) if r[-1] == "EDS")
    assert table("listener", ours)[0][:3] == ["ADDRESSES", "PORT", "MATCH"] and len(table("listener", ours)) > 1
    assert any("a.default.svc.cluster.local" in " ".join(r) for r in table("route", ours))
    assert any("a.default.svc.cluster.local" in " ".join(r) for r in table("route", theirs))
    dumps = {d["@type"].rsplit(".", 1)[-1]: d for d in json.loads(ours.read_text())["configs"]}
    names = [e["endpoint_config"]["cluster_name"] for e in dumps["EndpointsConfigDump"]["dynamic_endpoint_configs"]]
    assert f"outbound|{PORT}||a.default.svc.cluster.local" in names


PAGES = {"adsz": dict, "authorizationz": dict, "cachez": dict, "cachez?sizes=true": dict, "clusterz": list, "configz": list, "connections": dict,
         "config_dump?proxyID=sidecar-0.default": dict, "edsz?proxyID=sidecar-0": dict, "ecdsz?proxyID=sidecar-0": dict,
         "endpointShardz": dict, "endpointz": dict, "inject": dict, "instancesz": dict, "list": list, "mcsz": list, "mesh": dict,
         "ndsz?proxyID=sidecar-0": dict, "networkz": list, "push_status": dict, "pushcontext": dict, "registryz": list, "resourcesz": list,
         "sidecarz?proxyID=sidecar-0": dict, "syncz": list, "telemetryz": dict, "telemetryz?proxyID=sidecar-0.default": dict}


def test_internal_debug_pages(istioctl, mesh):
    c, _ = mesh
    address = ["--xds-address", f"127.0.0.1:{c.grpc_port}", "--plaintext"]
    names = json.loads(istioctl("experimental", "internal-debug", "--list", *address))
    assert {p.split("?")[0] for p in PAGES} - {"list"} <= set(names)
    for page, kind in PAGES.items():
        got = json.loads(istioctl("experimental", "internal-debug", page, *address))
        assert isinstance(got, kind), page
        if page in ("syncz", "clusterz", "registryz", "endpointShardz", "adsz"):
            assert got, page
    assert "You must provide a proxyID" in istioctl("experimental", "internal-debug", "edsz", *address, fails=True)
    text = istioctl("experimental", "internal-debug", "nothing", *address)
    assert "please check all supported internal debug commands" in text and "endpointShardz" in text


def test_internal_debug_over_tls(istioctl, mesh):
    c, _ = mesh
    address = ["--xds-address", f"127.0.0.1:{c._port('ads listening over TLS')}"]
    assert {p["proxy"] for p in json.loads(istioctl("x", "internal-debug", "syncz", *address))} == {"sidecar-0.default", "router-0.default"}
    every = json.loads(istioctl("x", "internal-debug", "clusterz", "--all", *address))
    assert list(every.values()) == [[{"id": "Kubernetes", "secretName": "", "syncStatus": "synced"}]]


def test_analyze_reads_what_we_serve(istioctl, lab, ns):
    """Its own analyzers, over CRDs of ours."""
    lab.apply(f"/apis/networking.istio.io/v1/namespaces/{ns}/virtualservices/v", {
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "v", "namespace": ns},
        "spec": {"hosts": ["nobody"], "http": [{"route": [{"destination": {"host": "nobody"}}]}]}})
    text = istioctl("analyze", "-n", ns, fails=True)
    assert "IST0101" in text and f"VirtualService {ns}/v" in text
    lab.delete(f"/apis/networking.istio.io/v1/namespaces/{ns}/virtualservices/v")
