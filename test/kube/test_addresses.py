"""Addresses of ServiceEntries in status.addresses: written by the leader, shared by replicas, kept, taken back.

covers: a139 b37
"""
import glob
import os

import pytest

import kubelab
from coxswain import Coxswaind
from kubelab import wait


@pytest.fixture
def crds(lab):
    for path in sorted(glob.glob(os.path.join(kubelab.TREE, "crd/*.yaml"))):
        lab.crd(path)


def where(ns, name=""):
    return f"/apis/networking.istio.io/v1/namespaces/{ns}/serviceentries{'/' if name else ''}{name}"


def put(lab, ns, name, hosts, labels=None, **spec):
    lab.apply(where(ns, name), {"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": {"name": name, "namespace": ns, "labels": labels or {}},
                                "spec": {"hosts": hosts, "resolution": "DNS", "ports": [{"number": 443, "name": "tls", "protocol": "TLS"}], **spec}})


def status(lab, ns, name):
    return lab.call("GET", where(ns, name)).get("status") or {}


def said(lab, ns, name):
    return {a["host"]: a["value"] for a in status(lab, ns, name).get("addresses") or []}


def service(c, host):
    return [s for s in c.json("/debug/registryz") if s["hostname"] == host][0]["defaultAddress"]


def test_addresses_of_entries(lab, crds, ns):
    source = ["--kubeconfig", lab.kubeconfig]
    hosts = [f"a.{ns}.example", f"b.{ns}.example"]
    with Coxswaind(source=source).wait_ready() as c:
        put(lab, ns, "two", hosts)
        put(lab, ns, "own", [f"own.{ns}.example"], addresses=["192.0.2.1"])
        put(lab, ns, "none", [f"none.{ns}.example"], resolution="NONE")
        wait(lambda: len(said(lab, ns, "two")) == 2, 60)  # as long as a lease that nobody gave back
        first = said(lab, ns, "two")
        assert sorted(first) == hosts and len(set(first.values())) == 2 and all(v.startswith("240.240.") for v in first.values())
        wait(lambda: status(lab, ns, "two").get("observedGeneration") == 1, 10)  # beside what the status says otherwise
        conditions = status(lab, ns, "two")["conditions"]
        assert ("Accepted", "True") in [(x["type"], x["status"]) for x in conditions] and said(lab, ns, "two") == first
        # Somebody takes them away: they are written again, the same.
        lab.call("PATCH", where(ns, "two") + "/status", {"status": {"addresses": None}}, "application/merge-patch+json")
        wait(lambda: said(lab, ns, "two") == first, 15)
        assert not said(lab, ns, "own") and not said(lab, ns, "none")
        # One that says it has another's address, and is younger.
        put(lab, ns, "young", [f"young.{ns}.example"])
        wait(lambda: said(lab, ns, "young"), 15)
        lab.call("PATCH", where(ns, "young") + "/status", {"status": {"addresses": [{"value": first[hosts[0]], "host": f"young.{ns}.example"}]}},
                 "application/merge-patch+json")
        wait(lambda: said(lab, ns, "young") and said(lab, ns, "young")[f"young.{ns}.example"] not in first.values(), 15)
        assert said(lab, ns, "two") == first
        # Another replica, or the next one, gives the same.
        with Coxswaind(source=source).wait_ready() as other:
            assert other.json("/debug/registryz")
    with Coxswaind(source=source, env={"PILOT_ENABLE_IP_AUTOALLOCATE": "false"}).wait_ready() as c:
        put(lab, ns, "late", [f"late.{ns}.example"])
        wait(lambda: status(lab, ns, "late").get("conditions"), 30)
        assert not said(lab, ns, "late") and said(lab, ns, "two") == first
    with Coxswaind(source=source).wait_ready():
        put(lab, ns, "two", hosts, labels={"networking.istio.io/enable-autoallocate-ip": "false"})
        wait(lambda: said(lab, ns, "two") == {} and said(lab, ns, "late"), 30)
