"""Lab 6, the fault half: exact delay and status, for one user only."""
import pytest

from coxlab.lab import eventually

RULE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ratings}
spec:
  hosts: [ratings]
  http:
  - match: [{headers: {end-user: {exact: jason}}}]
    fault: {FAULT}
    route: [{destination: {host: ratings, subset: v1}}]
  - route: [{destination: {host: ratings, subset: v1}}]
"""
# Envoy's timers start from its event loop's cached time and so may end, seen from outside, a millisecond early.
EARLY = 0.005
URL = "http://ratings:9080/ratings/0"


def ask(mesh, user=None):
    return mesh.lab.curl(mesh.client, URL, {"end-user": user} if user else {})


@pytest.fixture
def base(mesh):
    for name in ("destination-rule-all", "virtual-service-all-v1"):
        mesh.apply(f"networking/{name}.yaml")
    eventually(lambda: ask(mesh).status == 200, timeout=20)
    return mesh


def test_delay_for_one_user(base):
    """covers: a39"""
    base.apply(RULE.replace("FAULT", "delay: {percentage: {value: 100}, fixedDelay: 1500ms}"))
    eventually(lambda: ask(base, "jason").seconds > 1, timeout=20)
    for _ in range(3):
        slow, other, nobody = ask(base, "jason"), ask(base, "janet"), ask(base)
        assert slow.status == other.status == nobody.status == 200
        assert 1.5 - EARLY <= slow.seconds < 2.0, slow.seconds
        assert other.seconds < 0.5 and nobody.seconds < 0.5
    base.apply("networking/virtual-service-ratings-test-delay.yaml")
    eventually(lambda: ask(base, "jason").seconds > 6, timeout=40)
    assert 7.0 - EARLY <= ask(base, "jason").seconds < 7.6
    assert ask(base).seconds < 0.5


def test_abort_for_one_user(base):
    """covers: a42 a45"""
    base.apply("networking/virtual-service-ratings-test-abort.yaml")
    eventually(lambda: ask(base, "jason").status == 500, timeout=20)
    for _ in range(10):
        assert ask(base, "jason").status == 500
        assert ask(base, "janet").status == 200 and ask(base).status == 200
