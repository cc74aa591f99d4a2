"""Several coxswainds: who does what one of them does for all. Locks by istiod's names, as istiod writes them.

covers: g56 h11
"""
import glob
import json
import os
import threading
import time

import pytest

import kubelab
from coxswain import Coxswaind
from kubelab import LOCK_LEASES, LOCK_MAPS, wait
from tcp_proxy import TcpProxy
from test_objects import vs
from test_status import accepted

SECONDS = 4  # of a lock; 30 as a rule
JOBS = LOCK_MAPS + LOCK_LEASES
RECORD = "control-plane.alpha.kubernetes.io/leader"
NS = "istio-system"


@pytest.fixture(scope="module", autouse=True)
def crds(lab):
    for path in sorted(glob.glob(os.path.join(kubelab.TREE, "crd/*.yaml"))):
        lab.crd(path)


class Replica(Coxswaind):
    def __init__(self, lab, name, revision="", kubeconfig=None, args=()):
        super().__init__(source=["--kubeconfig", kubeconfig or lab.kubeconfig, "--httpsAddr", "", *args, *(["--revision", revision] if revision else [])],
                         env={"POD_NAME": name, "COXSWAIN_LEASE_DURATION": f"{SECONDS}s"})
        self.name = name

    def leads(self):
        """The locks that it says it holds."""
        out = set()
        for line in self.get("/metrics")[1].decode().splitlines():
            if line.startswith("coxswain_leader{") and line.endswith(" 1"):
                out.add(line.split('"')[1])
        return out

    def kill(self):
        self.expected_exit = -9
        self.process.kill()
        self.process.wait()


class Watch(threading.Thread):
    """Asks all replicas all the time; no lock may have two holders at once."""

    def __init__(self, *replicas):
        super().__init__(daemon=True)
        self.replicas, self.ended, self.twice, self.asked = replicas, False, [], 0
        self.start()

    def run(self):
        while not self.ended:
            held = []
            for r in self.replicas:
                try:
                    held.append(r.leads())
                except OSError:
                    held.append(set())
            self.asked += 1
            self.twice += [(held, time.monotonic())] if len(held) > 1 and set.intersection(*held) else []
            time.sleep(0.05)

    def stop(self):
        self.ended = True
        self.join()
        assert not self.twice and self.asked > 10, self.twice[:3]


def record(lab, name):
    """(holder, revision) of a lock, and its whole record."""
    if name in LOCK_MAPS:
        r = json.loads(lab.call("GET", f"/api/v1/namespaces/{NS}/configmaps/{name}")["metadata"]["annotations"][RECORD])
        return r["holderIdentity"], r["holderKey"], r
    o = lab.call("GET", f"/apis/coordination.k8s.io/v1/namespaces/{NS}/leases/{name}")
    return o["spec"]["holderIdentity"], (o["metadata"].get("annotations") or {}).get("leader.istio.io/holder-key", ""), o["spec"]


def root_of(lab, ns):
    o = lab.api.call("GET", f"/api/v1/namespaces/{ns}/configmaps/istio-ca-root-cert")
    return o and o["data"]["root-cert.pem"]


def works(lab, ns, n):
    """What the leader does for all goes on: a status, and the root in a new namespace."""
    vs(lab, ns, f"v{n}")
    wait(lambda: accepted(lab, ns, f"v{n}"), 10)
    lab.namespace(f"{ns}-{n}")
    assert "BEGIN CERTIFICATE" in wait(lambda: root_of(lab, f"{ns}-{n}"), 10)


def test_two_replicas(lab, ns, tmp_path):
    """kill -9, a partition and SIGTERM of the leader: the other takes over, never both lead, statuses and roots go on."""
    between = TcpProxy(lab.port)
    with open(lab.kubeconfig) as f:
        (tmp_path / "k").write_text(f.read().replace(f":{lab.port}", f":{between.port}"))
    with Replica(lab, "a") as a:
        wait(lambda: a.leads() == set(JOBS), 15)
        for name in JOBS:
            holder, revision, r = record(lab, name)
            assert holder == "a" and r["leaseDurationSeconds"] == SECONDS, (name, r)
            assert revision == ("" if name in LOCK_LEASES[1:] else "default"), name
        works(lab, ns, 1)
        with Replica(lab, "b", kubeconfig=str(tmp_path / "k")) as b:
            b.wait_ready()
            time.sleep(1)
            assert a.leads() == set(JOBS) and b.leads() == set()
            watch = Watch(a, b)
            killed = time.monotonic()
            a.kill()
            wait(lambda: b.leads() == set(JOBS), 15)
            assert time.monotonic() - killed > 1.0  # of 4 s from its last renewal
            watch.stop()
            works(lab, ns, 2)
            with Replica(lab, "c") as c:
                c.wait_ready()
                watch = Watch(b, c)
                between.is_stalled = True
                wait(lambda: b.leads() == set(), SECONDS)  # by itself, half of the lock's time after its last renewal
                assert c.leads() == set()
                wait(lambda: c.leads() == set(JOBS), 2 * SECONDS)
                works(lab, ns, 3)
                between.is_stalled = False
                time.sleep(2)
                assert c.leads() == set(JOBS) and b.leads() == set()
                began = time.monotonic()
                c.process.terminate()
                wait(lambda: b.leads() == set(JOBS), SECONDS - 1)  # it need not run out
                watch.stop()
                assert time.monotonic() - began < SECONDS
                works(lab, ns, 4)
    between.close()
    assert record(lab, "istio-leader")[0] == "" == record(lab, "istio-status-leader")[0]  # given back


class Istiod(threading.Thread):
    """Holds two locks as a real istiod does: renews them as long as nobody else has them."""

    def __init__(self, lab, revision):
        super().__init__(daemon=True)
        self.lab, self.revision, self.ended, self.lost = lab, revision, False, {}
        self.acquired = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.write(True)
        self.start()

    def write(self, is_first=False):
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        me = {"holderIdentity": "istiod-5d4-x", "leaseDurationSeconds": SECONDS, "acquireTime": self.acquired, "renewTime": now}
        mapped = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "istio-leader", "namespace": NS, "annotations": {
            RECORD: json.dumps({**me, "holderKey": self.revision, "leaderTransitions": 0})}}}
        micro = {**me, "acquireTime": self.acquired[:-1] + ".000000Z", "renewTime": now[:-1] + ".000000Z", "leaseTransitions": 0}
        leased = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": micro, "metadata": {
            "name": "istio-status-leader", "namespace": NS, "annotations": {"leader.istio.io/holder-key": self.revision}}}
        for name, body, path in (("istio-leader", mapped, f"/api/v1/namespaces/{NS}/configmaps"),
                                 ("istio-status-leader", leased, f"/apis/coordination.k8s.io/v1/namespaces/{NS}/leases")):
            if is_first:
                self.lab.delete(f"{path}/{name}")
                self.lab.call("POST", path, body)
            elif name not in self.lost:
                if record(self.lab, name)[0] != "istiod-5d4-x":
                    self.lost[name] = time.monotonic()
                else:
                    self.lab.call("PATCH", f"{path}/{name}", body, "application/merge-patch+json")

    def run(self):
        while not self.ended:
            time.sleep(SECONDS / 4)
            self.write()

    def stop(self):
        self.ended = True
        self.join()


def test_beside_an_istiod(lab):
    """Its locks are respected; those of another revision are taken by the default one, which leads once the other must know."""
    both = {"istio-leader", "istio-status-leader"}
    istiod = Istiod(lab, "1-30")
    tag = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/istio-revision-tag-default"
    with Replica(lab, "me") as me:
        wait(lambda: me.leads() == set(JOBS) - both, 15)
        time.sleep(SECONDS + 1)
        assert me.leads() == set(JOBS) - both and record(lab, "istio-leader")[0] == "istiod-5d4-x"
        assert record(lab, "istio-analyze-leader")[0] == "me"
        lab.apply(tag, {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
                        "metadata": {"name": "istio-revision-tag-default", "labels": {"istio.io/rev": "default"}}})
        try:
            wait(lambda: set(istiod.lost) == both, 5)
            assert record(lab, "istio-leader")[:2] == ("me", "default") == record(lab, "istio-status-leader")[:2]
            assert not me.leads() & both  # the istiod has only just seen it
            wait(lambda: me.leads() == set(JOBS), 5)
            assert record(lab, "istio-leader")[2]["leaderTransitions"] == 1
        finally:
            lab.delete(tag)
            istiod.stop()


def test_old_gateway_lock_is_handed_over(lab):
    """A ConfigMap that older istiods hold is waited for, once; then the lock per revision counts."""
    path = f"/api/v1/namespaces/{NS}/configmaps"
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    lab.call("POST", path, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "istio-gateway-status-leader", "annotations": {RECORD: json.dumps(
        {"holderIdentity": "istiod-old", "holderKey": "default", "leaseDurationSeconds": 30, "acquireTime": now, "renewTime": now, "leaderTransitions": 0})}}})
    try:
        with Replica(lab, "me") as me:
            wait(lambda: me.leads() == set(JOBS), 15)
            assert "job=gateway" not in me.log_text()
            lab.apply(f"{path}/istio-gateway-status-leader", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "istio-gateway-status-leader", "annotations": {
                RECORD: json.dumps({"holderIdentity": "", "holderKey": "", "leaseDurationSeconds": 1, "acquireTime": now, "renewTime": now, "leaderTransitions": 0})}}})
            wait(lambda: "job=gateway" in me.log_text(), 5)
            wait(lambda: json.loads(lab.call("GET", f"{path}/istio-gateway-status-leader")["metadata"]["annotations"][RECORD])["holderIdentity"] == "", 5)
    finally:
        lab.delete(f"{path}/istio-gateway-status-leader")


def test_the_only_replica(lab):
    """ENABLE_LEADER_ELECTION=false: every job at once, and no lock."""
    lab.drop_locks()
    with Coxswaind(source=["--kubeconfig", lab.kubeconfig, "--httpsAddr", ""], env={"ENABLE_LEADER_ELECTION": "false"}) as c:
        c.wait_ready()
        wait(lambda: c.log_text().count("this replica does it for all") == 6, 5)
        assert lab.api.call("GET", f"/api/v1/namespaces/{NS}/configmaps/istio-leader") is None
