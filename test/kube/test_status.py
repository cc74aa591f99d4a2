"""Conditions in the status of objects, written by the leader alone."""
import datetime
import glob
import os
import time

import kubelab
import pytest
from kubelab import wait
from test_objects import vs


@pytest.fixture(scope="module", autouse=True)
def crds(lab):
    for path in sorted(glob.glob(os.path.join(kubelab.TREE, "crd/*.yaml"))):
        lab.crd(path)


def get(lab, ns, name):
    return lab.call("GET", f"/apis/networking.istio.io/v1/namespaces/{ns}/virtualservices/{name}")


def accepted(lab, ns, name):
    o = get(lab, ns, name)
    for c in (o.get("status") or {}).get("conditions") or []:
        if c["type"] == "Accepted" and c.get("observedGeneration") == o["metadata"]["generation"]:
            return {**c, "rv": o["metadata"]["resourceVersion"], "status_": o["status"]}
    return None


def test_one_write_per_generation(lab, driver, ns):
    """covers: g57 b58"""
    d = driver("--status", "me")
    d.expect("leader 1")
    d.expect("synced")
    wait(lambda: vs(lab, ns, "v"), 10)
    first = wait(lambda: accepted(lab, ns, "v"), 10)
    assert first["status"] == "True" and first["reason"] == "Accepted" and first["status_"]["observedGeneration"] == 1
    managers = [m for m in get(lab, ns, "v")["metadata"]["managedFields"] if m["manager"] == "coxswain-status"]
    assert len(managers) == 1 and managers[0]["operation"] == "Apply" and managers[0]["subresource"] == "status"
    time.sleep(1)
    assert accepted(lab, ns, "v")["rv"] == first["rv"]  # our own write is no change
    vs(lab, ns, "v", host="b.example")
    second = wait(lambda: accepted(lab, ns, "v"), 10)
    assert second["observedGeneration"] == 2 and second["lastTransitionTime"] == first["lastTransitionTime"]
    # The next leader sees that all is said.
    d.close()
    rv = accepted(lab, ns, "v")["rv"]
    e = driver("--status", "you")
    e.expect("leader 1")
    e.expect("synced")
    time.sleep(1.5)
    assert accepted(lab, ns, "v")["rv"] == rv


def test_why_an_object_is_not_in_force(lab, driver, ns):
    """covers: g57 b53"""
    d = driver("--status", "me")
    d.expect("leader 1")
    vs(lab, ns, "v")
    good = wait(lambda: accepted(lab, ns, "v"), 10)
    vs(lab, ns, "v", hosts=["a.example", "*bad*"])
    bad = wait(lambda: accepted(lab, ns, "v"), 10)
    assert bad["status"] == "False" and bad["reason"] == "Invalid" and "hosts" in bad["message"], bad
    assert bad["status_"]["validationMessages"][0]["level"] == "ERROR" and "hosts" in bad["status_"]["validationMessages"][0]["path"]
    vs(lab, ns, "v")
    assert wait(lambda: accepted(lab, ns, "v"), 10)["status"] == "True"
    assert good["status"] == "True"


def test_leader_hands_over(lab, driver, ns):
    """One leader at a time; a release is taken over at once, a death after the lease. covers: g56"""
    a = driver("--status", "a")
    a.expect("leader 1")
    b = driver("--status", "b")
    b.expect("synced")
    time.sleep(2)
    assert not [x for x in b.since() if x == "leader 1"]
    lease = lab.call("GET", "/apis/coordination.k8s.io/v1/namespaces/default/leases/coxswain-status-leader")["spec"]
    assert lease["holderIdentity"] == "a" and lease["leaseDurationSeconds"] == 3
    a.close()
    assert "released" in a.since()
    b.expect("leader 1", 10)
    c = driver("--status", "c")
    c.expect("synced")
    b.proc.kill()
    b.proc.wait()
    lease = "/apis/coordination.k8s.io/v1/namespaces/default/leases/coxswain-status-leader"
    moment = lambda text: datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    renewed = moment(lab.call("GET", lease)["spec"]["renewTime"])
    c.expect("leader 1", 10)
    assert (moment(lab.call("GET", lease)["spec"]["acquireTime"]) - renewed).total_seconds() > 2.5  # of 3, however late the last renewal was
    assert lab.call("GET", "/apis/coordination.k8s.io/v1/namespaces/default/leases/coxswain-status-leader")["spec"]["leaseTransitions"] >= 2


def test_leader_without_apiserver_steps_down(lab, driver):
    """covers: g56 g63"""
    d = driver("--status", "me")
    d.expect("leader 1")
    lab.kill_api()
    try:
        d.expect("leader 0", 6)
        mark = d.mark()
    finally:
        lab.start_api()
    d.expect("leader 1", 15, mark)


def test_rate_is_capped(lab, driver, ns):
    """covers: g57"""
    for i in range(25):
        vs(lab, ns, f"v{i}")
    began = time.monotonic()
    d = driver("--status", "me")
    d.expect("leader 1")
    wait(lambda: all(accepted(lab, ns, f"v{i}") for i in range(25)), 20, 0.3)
    assert time.monotonic() - began > 2.0
