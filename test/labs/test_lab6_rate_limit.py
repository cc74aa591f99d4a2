"""Lab 6, the local half of rate limits: a plain RateLimitPolicy at a sidecar and at the gateway, with real Envoys. covers: e5"""
import collections
import time

import pytest

from coxlab.lab import eventually

pytestmark = pytest.mark.parametrize("_mesh", ["kube"], indirect=True)
POLICY = """
apiVersion: traffic.coxswain.io/v1alpha1
kind: RateLimitPolicy
metadata: {name: ratings}
spec:
  selector: {matchLabels: {app: ratings}}
  mode: MODE
  limitHeaders: true
  responseHeaders: {x-refused-by: ratings}
  limits:
  - {name: path, match: [{path: {prefix: /ratings/7}}], requests: 3, per: 30s}
  - {name: users, match: [{path: {exact: /ratings/0}}], by: [{header: end-user}], requests: 2, per: 30s}
"""
EDGE = """
apiVersion: traffic.coxswain.io/v1alpha1
kind: RateLimitPolicy
metadata: {name: edge}
spec:
  selector: {matchLabels: {istio: ingressgateway}}
  status: 503
  limits:
  - {name: pages, match: [{path: {prefix: /productpage}}], requests: 4, per: 30s}
"""


def statuses(mesh, path, n, user=None):
    return [mesh.lab.curl(mesh.client, f"http://ratings:9080{path}", {"end-user": user} if user else {}).status for _ in range(n)]


def counted(mesh, name):
    found = mesh.lab.stats(mesh.lab.pod(app="ratings"), rf"default_ratings\.http_local_rate_limit\.{name}$")
    return sum(found.values())


def test_a_policy_limits_by_path_and_by_user(mesh):
    eventually(lambda: statuses(mesh, "/ratings/0", 1) == [200], timeout=20)
    mesh.apply(POLICY.replace("MODE", "DRY_RUN"))

    def watched():
        before = counted(mesh, "rate_limited")
        assert set(statuses(mesh, "/ratings/7", 5)) == {200}
        return counted(mesh, "rate_limited") > before
    eventually(watched, timeout=20)
    assert counted(mesh, "enforced") == 0
    mesh.lab.apply(POLICY.replace("MODE", "ENFORCE"))
    eventually(lambda: statuses(mesh, "/ratings/7", 1) == [429], timeout=20)
    refused = mesh.lab.curl(mesh.client, "http://ratings:9080/ratings/7")
    assert refused.status == 429 and refused.headers["x-refused-by"] == "ratings" and refused.headers["x-ratelimit-remaining"] == "0", refused
    # Each user for himself; who gives no name is not counted, nor are other paths.
    for user in ("ada", "ben"):
        assert statuses(mesh, "/ratings/0", 4, user) == [200, 200, 429, 429], user
    assert set(statuses(mesh, "/ratings/0", 5)) == {200} and set(statuses(mesh, "/ratings/1", 5)) == {200}
    assert counted(mesh, "enforced") >= 5


def test_a_policy_limits_at_the_gateway(mesh):
    mesh.apply("networking/bookinfo-gateway.yaml")
    mesh.wait_route()
    mesh.apply(EDGE, "istio-system")
    eventually(lambda: mesh.get("/productpage").status == 503, timeout=20)
    assert mesh.get("/api/v1/products/0").status == 200
    assert collections.Counter(mesh.get("/productpage").status for _ in range(3)) == {503: 3}
    mesh.clear()
    mesh.apply("networking/bookinfo-gateway.yaml")
    mesh.wait_route()
    time.sleep(0.2)
    assert {mesh.get("/productpage").status for _ in range(6)} == {200}
