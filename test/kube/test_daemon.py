"""coxswaind beside a real kube-apiserver, with a proxy connected all the time.

covers: b32 b51
"""
import json
import time

import pytest

import kubelab
from coxswain import CDS, EDS, LDS, RDS, Coxswaind, Stream, resources
from kubelab import wait
from tcp_proxy import TcpProxy


class Proxy:
    """A proxy that takes everything, and what it holds."""

    def __init__(self, port):
        self.stream, self.held, self.routes = Stream(port), {CDS: {}, EDS: {}, LDS: {}, RDS: {}}, set()
        self.stream.request(CDS)
        self.stream.request(LDS)
        self.stream.request(RDS, ["80"])

    def read(self, seconds=0.2):
        """Everything that comes until it is quiet for a while."""
        while True:
            try:
                r = self.stream.next(seconds=seconds)
            except AssertionError:
                return self
            held = self.held[r.type_url]
            held.update(resources(r))
            for name in r.removed_resources:
                held.pop(name, None)
            names = [n for n, c in resources(r).items() if r.type_url == CDS and c.type == 3]
            self.stream.ack(r)
            if names:
                self.stream.request(EDS, names)

    def until(self, check, seconds=20):
        deadline = time.monotonic() + seconds
        while not check(self.read(0.1)):
            assert time.monotonic() < deadline, "not so: " + str({k: sorted(v) for k, v in self.held.items()})

    def addresses(self, cluster):
        cla = self.held[EDS].get(cluster)
        return sorted(e.endpoint.address.socket_address.address for l in cla.endpoints for e in l.lb_endpoints) if cla else None

    def timeout(self, host):
        hosts = [h for h in self.held[RDS]["80"].virtual_hosts if h.name == host + ":80"] if "80" in self.held[RDS] else []
        return hosts[0].routes[0].route.timeout.seconds if hosts else None


@pytest.fixture
def mesh(lab, ns, tmp_path):
    """(coxswaind, connected proxy, TCP proxy before the kube-apiserver)"""
    import glob
    import os
    for path in sorted(glob.glob(os.path.join(kubelab.TREE, "crd/*.yaml"))):
        lab.crd(path)
    between = TcpProxy(lab.port)
    with open(lab.kubeconfig) as f:
        (tmp_path / "k").write_text(f.read().replace(f":{lab.port}", f":{between.port}"))
    with Coxswaind(source=["--kubeconfig", str(tmp_path / "k")]) as c:
        c.wait_ready()
        proxy = Proxy(c.grpc_port)
        yield c, proxy, between
        proxy.stream.close()
    between.close()


def slices(lab, ns, name, *ips):
    lab.apply(f"/apis/discovery.k8s.io/v1/namespaces/{ns}/endpointslices/{name}-1", {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": f"{name}-1", "namespace": ns, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4", "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": [ip], "conditions": {"ready": True}} for ip in ips]})


def virtual_service(lab, ns, host, seconds):
    lab.apply(f"/apis/networking.istio.io/v1/namespaces/{ns}/virtualservices/v", {
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "v", "namespace": ns},
        "spec": {"hosts": [host], "http": [{"timeout": f"{seconds}s", "route": [{"destination": {"host": host}}]}]}})


def test_created_changed_deleted_while_connected(lab, ns, mesh):
    _, proxy, _ = mesh
    host = f"web.{ns}.svc.cluster.local"
    cluster = f"outbound|80||{host}"
    lab.service(ns, "web")
    proxy.until(lambda p: cluster in p.held[CDS] and p.addresses(cluster) == [])
    slices(lab, ns, "web", "10.1.0.1", "10.1.0.2")
    proxy.until(lambda p: p.addresses(cluster) == ["10.1.0.1", "10.1.0.2"])
    virtual_service(lab, ns, host, 5)
    proxy.until(lambda p: p.timeout(host) == 5)
    virtual_service(lab, ns, host, 6)
    proxy.until(lambda p: p.timeout(host) == 6)
    slices(lab, ns, "web", "10.1.0.2")
    proxy.until(lambda p: p.addresses(cluster) == ["10.1.0.2"])
    lab.delete(f"/apis/networking.istio.io/v1/namespaces/{ns}/virtualservices/v")
    proxy.until(lambda p: p.timeout(host) == 0)
    lab.delete(f"/api/v1/namespaces/{ns}/services/web")
    proxy.until(lambda p: p.timeout(host) is None and cluster not in p.held[CDS], 40)


def test_apiserver_gone_and_back_while_connected(lab, ns, mesh):
    """Nothing is emptied, new streams are served, and what happened meanwhile is live afterwards. covers: g63"""
    c, proxy, _ = mesh
    host = f"web.{ns}.svc.cluster.local"
    cluster = f"outbound|80||{host}"
    lab.service(ns, "web")
    slices(lab, ns, "web", "10.1.0.1")
    proxy.until(lambda p: p.addresses(cluster) == ["10.1.0.1"])
    before = {k: sorted(v) for k, v in proxy.held.items()}
    lab.kill_api()
    try:
        wait(lambda: c.metric("coxswain_source_stale") == 1, 20)
        assert {k: sorted(v) for k, v in proxy.read(1).held.items()} == before
        assert c.get("/ready")[0] == 200
        with Stream(c.grpc_port) as s:
            assert cluster in s.fetch(CDS)
    finally:
        lab.start_api()
    wait(lambda: c.metric("coxswain_source_stale") == 0, 20)
    slices(lab, ns, "web", "10.1.0.3")
    proxy.until(lambda p: p.addresses(cluster) == ["10.1.0.3"])


def test_history_lost_while_cut_off(lab, ns, mesh):
    """etcd compacted (410) while we cannot see it: one list, and the proxy gets the difference alone. covers: b55"""
    c, proxy, between = mesh
    host = f"web.{ns}.svc.cluster.local"
    cluster = f"outbound|80||{host}"
    lab.service(ns, "web")
    lab.service(ns, "goes")
    slices(lab, ns, "web", "10.1.0.1")
    proxy.until(lambda p: p.addresses(cluster) == ["10.1.0.1"] and f"outbound|80||goes.{ns}.svc.cluster.local" in p.held[CDS])
    relists = c.metric("coxswain_kube_relists")
    between.is_stalled = True
    slices(lab, ns, "web", "10.1.0.9")
    lab.delete(f"/api/v1/namespaces/{ns}/services/goes")
    lab.service(ns, "comes")
    lab.kill_api()  # its own cache of events would still have them
    lab.compact()
    lab.start_api()
    lab.compact()
    wait(lambda: c.metric("coxswain_source_stale") == 1, 30)
    between.is_stalled = False
    proxy.until(lambda p: p.addresses(cluster) == ["10.1.0.9"] and f"outbound|80||comes.{ns}.svc.cluster.local" in p.held[CDS], 40)
    proxy.until(lambda p: f"outbound|80||goes.{ns}.svc.cluster.local" not in p.held[CDS], 40)
    assert c.metric("coxswain_kube_relists") > relists


def test_watch_cut_every_second_while_connected(lab, ns, mesh):
    """covers: b55"""
    c, proxy, between = mesh
    host = f"web.{ns}.svc.cluster.local"
    cluster = f"outbound|80||{host}"
    lab.service(ns, "web")
    proxy.until(lambda p: cluster in p.held[CDS])
    for i in range(6):
        between.cut()
        slices(lab, ns, "web", f"10.1.0.{i}", f"10.1.1.{i}")
        time.sleep(1)
        proxy.read(0.05)
    proxy.until(lambda p: p.addresses(cluster) == ["10.1.0.5", "10.1.1.5"])
    assert c.get("/ready")[0] == 200


def test_debug_pages_name_the_object(lab, ns, mesh):
    """covers: b42"""
    c, _, _ = mesh
    lab.service(ns, "web")
    wait(lambda: any(s["hostname"] == f"web.{ns}.svc.cluster.local" and s["Attributes"]["Object"] == f"Service/{ns}/web" for s in c.json("/debug/registryz")), 10)
    virtual_service(lab, ns, "web", 4)
    wait(lambda: any(o["kind"] == "VirtualService" and o["metadata"]["namespace"] == ns for o in c.json("/debug/configz")), 10)
    assert json.dumps(c.json("/debug/endpointz"))


def test_mesh_configuration_of_a_revision(lab):
    """ConfigMap istio-<revision> counts for the control plane of that revision, `istio` for the default one."""
    def mesh_config(name, domain):
        lab.apply(f"/api/v1/namespaces/istio-system/configmaps/{name}", {
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "istio-system"}, "data": {"mesh": f"trustDomain: {domain}\n"}})
    mesh_config("istio", "plain.test")
    mesh_config("istio-canary", "canary.test")
    try:
        for args, domain in (((), "plain.test"), (("--revision", "canary"), "canary.test")):
            with Coxswaind(source=("--kubeconfig", lab.kubeconfig), args=args, env={"ENABLE_CA_SERVER": "false"}) as c:
                c.wait_ready()
                wait(lambda: c.json("/debug/mesh").get("trustDomain") == domain, 15)
    finally:
        for name in ("istio", "istio-canary"):
            lab.delete(f"/api/v1/namespaces/istio-system/configmaps/{name}")
