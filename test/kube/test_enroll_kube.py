"""Workloads that register themselves beside a kube-apiserver: WorkloadEntries come, move between replicas, and are cleaned up.

covers: a142 a141 b9 b48 b49 g39 g52
"""
import glob
import os
import time

import grpc
import pytest

import citadel
import kubelab
from coxswain import CDS, EDS, Coxswaind, Stream, node, resources
from kubelab import wait
from tcp_proxy import TcpProxy

HEALTH = "type.googleapis.com/istio.v1.HealthInformation"
PROBED = {"PROXY_CONFIG": {"readinessProbe": {"tcpSocket": {"port": 80}}}}


class Replica:
    """A coxswaind by a name, and certificates from it."""

    def __init__(self, lab, tmp_path, issuer, name, args=(), kubeconfig=None, grace="2s"):
        self.issuer, self.key = issuer, citadel.Key(tmp_path, name)
        self.c = Coxswaind(source=["--kubeconfig", kubeconfig or lab.kubeconfig], args=args,
                           env={"JWT_RULE": issuer.rule, "POD_NAME": name, "PILOT_WORKLOAD_ENTRY_GRACE_PERIOD": grace}).wait_ready()

    def vm(self, ns, ip, group="vms", sa="vm", **metadata):
        port = self.c._port("ads listening over TLS")
        chain = citadel.create(grpc.insecure_channel(f"127.0.0.1:{self.c.grpc_port}"), self.key.csr(), self.issuer.token(ns=ns, sa=sa))
        who = node(pod="vm", ns=ns, ip=ip, labels={"app": "vm"}, **({"AUTO_REGISTER_GROUP": group} if group else {}), **metadata)
        s = Stream(0, who, channel=citadel.secure_channel(port, chain[-1], self.key, chain))
        s.request(CDS)
        return s

    def endpoints(self, ns):
        with Stream(self.c.grpc_port) as s:
            cluster = f"outbound|80||vms.{ns}"
            found = s.fetch(EDS, [cluster]).get(cluster)
            return sorted(e.endpoint.address.socket_address.address for l in (found.endpoints if found else ()) for e in l.lb_endpoints)


@pytest.fixture
def issuer(tmp_path):
    return citadel.Issuer(tmp_path)


@pytest.fixture
def world(lab, ns):
    for path in sorted(glob.glob(os.path.join(kubelab.TREE, "crd/*.yaml"))):
        lab.crd(path)
    put = lambda kind, plural, name, spec: lab.apply(f"/apis/networking.istio.io/v1/namespaces/{ns}/{plural}/{name}", {
        "apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": {"name": name, "namespace": ns}, "spec": spec})
    put("WorkloadGroup", "workloadgroups", "vms", {"metadata": {"labels": {"tier": "back"}}, "template": {"serviceAccount": "vm", "ports": {"http": 8081}}})
    put("ServiceEntry", "serviceentries", "vms", {"hosts": [f"vms.{ns}"], "location": "MESH_INTERNAL", "resolution": "STATIC", "exportTo": ["*"],
                                                  "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}], "workloadSelector": {"labels": {"app": "vm"}}})
    return ns


def entry(lab, ns, name):
    return lab.api.call("GET", f"/apis/networking.istio.io/v1/namespaces/{ns}/workloadentries/{name}")


def said(lab, ns, name, key):
    return ((entry(lab, ns, name) or {"metadata": {}})["metadata"].get("annotations") or {}).get("istio.io/" + key)


def healthy(lab, ns, name):
    return {c["type"]: (c["status"], c.get("message", "")) for c in (entry(lab, ns, name) or {}).get("status", {}).get("conditions", [])}.get("Healthy")


def test_life_of_an_entry(lab, world, tmp_path, issuer):
    """Registered; its health in the status and at both replicas; moved to the other; cleaned up after it has gone."""
    ns, name = world, "vms-10.9.1.1"
    a, b = Replica(lab, tmp_path, issuer, "replica-a"), Replica(lab, tmp_path, issuer, "replica-b")
    with a.c, b.c:
        vm = a.vm(ns, "10.9.1.1", **PROBED)
        vm.next(CDS)
        o = entry(lab, ns, name)  # written before the stream went on
        group = lab.call("GET", f"/apis/networking.istio.io/v1/namespaces/{ns}/workloadgroups/vms")
        assert o["metadata"]["ownerReferences"][0]["uid"] == group["metadata"]["uid"]
        assert o["metadata"]["labels"] == o["spec"]["labels"] == {"app": "vm", "tier": "back"}
        assert o["spec"]["address"] == "10.9.1.1" and o["spec"]["ports"] == {"http": 8081} and o["spec"]["serviceAccount"] == "vm"
        assert (said(lab, ns, name, "autoRegistrationGroup"), said(lab, ns, name, "workloadController")) == ("vms", "replica-a")
        assert said(lab, ns, name, "connectedAt") and not said(lab, ns, name, "disconnectedAt")
        assert a.endpoints(ns) == b.endpoints(ns) == []  # nobody has said that it is well
        for error, state, seen in ((None, ("True", ""), ["10.9.1.1"]), ("status 503", ("False", "status 503"), []), (None, ("True", ""), ["10.9.1.1"])):
            vm.request(HEALTH, error=error)
            wait(lambda: healthy(lab, ns, name) == state, 10)
            wait(lambda: a.endpoints(ns) == seen and b.endpoints(ns) == seen, 10)
        vm.close()
        wait(lambda: said(lab, ns, name, "disconnectedAt"), 10)
        vm = b.vm(ns, "10.9.1.1", **PROBED)
        vm.next(CDS)
        assert said(lab, ns, name, "workloadController") == "replica-b" and not said(lab, ns, name, "disconnectedAt")
        uid = entry(lab, ns, name)["metadata"]["uid"]
        time.sleep(3)
        assert entry(lab, ns, name)["metadata"]["uid"] == uid and a.endpoints(ns) == ["10.9.1.1"]
        # Somebody says that it has gone, wrongly: it is claimed again in time.
        lab.call("PATCH", f"/apis/networking.istio.io/v1/namespaces/{ns}/workloadentries/{name}", {"metadata": {"annotations": {
            "istio.io/disconnectedAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "istio.io/connectedAt": None}}}, "application/merge-patch+json")
        wait(lambda: said(lab, ns, name, "connectedAt"), 10)
        assert not said(lab, ns, name, "disconnectedAt")
        vm.close()
        wait(lambda: not entry(lab, ns, name), 15)
        wait(lambda: a.endpoints(ns) == b.endpoints(ns) == [], 10)
        assert b.c.metric("auto_registration_deletes_total") == 1 and a.c.metric("auto_registration_success_total") == 1


def test_health_does_not_wait_for_the_write(lab, world, tmp_path, issuer):
    """With a kube-apiserver that hangs the endpoint goes within a second; the status follows when it answers."""
    between = TcpProxy(lab.port)
    with open(lab.kubeconfig) as f:
        (tmp_path / "k").write_text(f.read().replace(f":{lab.port}", f":{between.port}"))
    a = Replica(lab, tmp_path, issuer, "replica-a", kubeconfig=str(tmp_path / "k"))
    with a.c:
        vm = a.vm(world, "10.9.1.2")
        vm.next(CDS)
        wait(lambda: a.endpoints(world) == ["10.9.1.2"], 10)
        between.is_stalled = True
        began = time.monotonic()
        vm.request(HEALTH, error="status 500")
        wait(lambda: a.endpoints(world) == [], 5)
        assert time.monotonic() - began < 1
        assert healthy(lab, world, "vms-10.9.1.2") is None
        between.is_stalled = False
        wait(lambda: healthy(lab, world, "vms-10.9.1.2") == ("False", "status 500"), 40)
        assert a.endpoints(world) == []
        vm.close()
    between.close()


def test_an_entry_by_hand_and_what_a_crash_leaves(lab, world, tmp_path, issuer):
    """The user's entry loses the condition, and stays; the entry of a workload whose replica died goes when no stream can be that old."""
    lab.apply(f"/apis/networking.istio.io/v1/namespaces/{world}/workloadentries/mine", {
        "apiVersion": "networking.istio.io/v1", "kind": "WorkloadEntry",
        "metadata": {"name": "mine", "namespace": world, "annotations": {"proxy.istio.io/health-checks-enabled": "true"}},
        "spec": {"address": "10.9.1.5", "serviceAccount": "vm", "labels": {"app": "vm"}}})
    a = Replica(lab, tmp_path, issuer, "replica-a", grace="300ms")
    with a.c:
        wait(lambda: a.endpoints(world) == [], 10)
        mine = a.vm(world, "10.9.1.5", group=None, WORKLOAD_ENTRY="mine")
        mine.next(CDS)
        mine.request(HEALTH)
        wait(lambda: healthy(lab, world, "mine") == ("True", "") and a.endpoints(world) == ["10.9.1.5"], 10)
        mine.close()
        wait(lambda: healthy(lab, world, "mine") is None and a.endpoints(world) == [], 10)
        assert entry(lab, world, "mine")["spec"]["address"] == "10.9.1.5"
        vm = a.vm(world, "10.9.1.6")
        vm.next(CDS)
        assert entry(lab, world, "vms-10.9.1.6")
        a.c.expected_exit = -9
        a.c.process.kill()
        a.c.process.wait()
        lab.drop_locks()  # the dead replica may hold them: the next one, of any test, would wait for them to run out
    b = Replica(lab, tmp_path, issuer, "replica-b", args=["--keepaliveMaxServerConnectionAge", "2s"], grace="300ms")
    with b.c:
        wait(lambda: not entry(lab, world, "vms-10.9.1.6"), 20)
        assert entry(lab, world, "mine") and b.c.metric("auto_registration_deletes_total") >= 1
