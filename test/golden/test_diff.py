"""coxctl diff: what a change would do, on the small shop of test_explain.

covers: f32
"""
import json
import subprocess

import pytest

import refdiff
from test_explain import OBJECTS, shop  # noqa: F401  (the fixture)

REVIEWS = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: default}
spec:
  hosts: [HOST]
  http:
  - name: jason
    match: [{headers: {end-user: {exact: jason}}}, {uri: {prefix: /v2}, queryParams: {debug: {exact: "1"}}}]
    route: [{destination: {host: reviews, subset: v2}}]
  - name: rest
    route: [{destination: {host: reviews, subset: v1}, weight: 90}, {destination: {host: reviews, subset: SUBSET}, weight: 10}]
"""


@pytest.fixture
def change(tmp_path):
    def write(text):
        (tmp_path / "change.yaml").write_text(text)
        return str(tmp_path / "change.yaml")
    return write


def diff(shop, *args, status, form="json"):  # noqa: F811
    done = subprocess.run([refdiff.COXCTL, "diff", "--base", str(shop), "-o", form, *args], capture_output=True, text=True)
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    return json.loads(done.stdout) if form == "json" else done.stdout


def of(answer, proxy):
    return next(g for g in answer["groups"] if proxy in g["proxies"])


def test_no_effect(shop, change):  # noqa: F811
    answer = diff(shop, "-f", str(shop / "objects.yaml"), status=0)
    assert answer["effect"] is False and answer["groups"] == [] and "findings" not in answer
    # An object that reaches no proxy has none either.
    diff(shop, "-f", change("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: x, namespace: default}\n"), status=0)


def test_weights_move(shop, change):  # noqa: F811
    answer = diff(shop, "-f", change(REVIEWS.replace("HOST", "reviews").replace("SUBSET", "v2")), status=1)
    group = of(answer, "reviews-v1.default")
    assert group["proxies"] == ["reviews-v1.default", "reviews-v2.default"], "equal effects are one group"
    assert group["resources"] == {"RDS": {"changed": ["80", "9080"]}}
    assert 0 < group["bytes"]["after"] < group["bytes"]["before"], "two routes less"
    v = "outbound|9080|v%d|reviews.default.svc.cluster.local"
    rest = [s for s in group["shifts"] if s["route"] == "rest"]
    assert rest == [{"host": "reviews.default.svc.cluster.local", "route": "rest", "before": v % 1, "after": f"{v % 1} 90 %, {v % 2} 10 %"}]
    assert not [s for s in group["shifts"] if s["route"] == "jason"], "a route that stays is no shift"
    assert {s["route"] for s in group["shifts"]} == {"rest", "handed-on", "handed-on-leaf"}
    assert "of 3 proxies would change" in diff(shop, "-f", change(REVIEWS.replace("HOST", "reviews").replace("SUBSET", "v2")), status=1, form="text")


def test_a_missing_subset_is_found_before(shop, change):  # noqa: F811
    new = diff(shop, "-f", change(REVIEWS.replace("HOST", "reviews").replace("SUBSET", "v9")), status=1)["findings"]["new"]
    assert [(f["code"], f["object"], f["field"]) for f in new] == [
        ("NoSubset", "VirtualService/default/reviews", "spec.http[1].route[1].destination.subset")]


def test_deleting(shop):  # noqa: F811
    group = of(diff(shop, "--delete", "Service/default/db", status=1), "reviews-v1.default")
    assert group["resources"]["LDS"] == {"removed": ["10.1.0.2_5432"]}
    assert group["endpoints"] == {"lost": ["outbound|5432||db.default.svc.cluster.local"]}
    edge = of(diff(shop, "--delete", "VirtualService/front", status=1), "gw.edge")
    assert [h["host"] for h in edge["hosts"]["lost"]] == ["shop.example.com"]
    gone = diff(shop, "--delete", "Service/default/reviews", status=1)
    assert {"reviews.default.svc.cluster.local", "reviews", "reviews.default", "10.1.0.1"} <= {
        h["host"] for h in of(gone, "reviews-v1.default")["hosts"]["lost"]} | {"reviews.default.svc.cluster.local", "reviews"}
    assert any(f["code"] == "NoHost" for f in gone["findings"]["new"])


def test_endpoints_come_and_go(shop, change):  # noqa: F811
    empty = OBJECTS[OBJECTS.index("apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: db-1"):].split("---")[0].replace(
        "ready: true", "ready: false")
    answer = diff(shop, "-f", change(empty), status=1)
    assert of(answer, "reviews-v1.default")["endpoints"] == {"lost": ["outbound|5432||db.default.svc.cluster.local"]}


def test_refused(shop, change):  # noqa: F811
    answer = diff(shop, "-f", change(REVIEWS.replace("HOST", "reviews").replace("SUBSET", "v2").replace("90", "-1")), status=2)
    assert answer["refused"] == 1 and answer["effect"] is False
    assert "spec.http[1].route[0].weight" in answer["notes"][0]
    for args in (["--delete", "Service/default/nobody"], ["--delete", "Nonsense/x"], ["-f", "/nonexistent.yaml"]):
        done = subprocess.run([refdiff.COXCTL, "diff", "--base", str(shop), *args], capture_output=True, text=True)
        assert done.returncode == 2 and done.stdout == "" and done.stderr.startswith("coxctl diff: "), args


def test_details(shop, change):  # noqa: F811
    rule = OBJECTS[OBJECTS.index("apiVersion: networking.istio.io/v1\nkind: DestinationRule"):].split("---")[0]
    answer = diff(shop, "-f", change(rule.replace("consecutive5xxErrors: 4", "consecutive5xxErrors: 6")), "--all", status=1)
    group = of(answer, "gw.edge") if any("gw.edge" in g["proxies"] for g in answer["groups"]) else answer["groups"][0]
    assert group["resources"] == {"CDS": {"changed": ["outbound|9080|v2|reviews.default.svc.cluster.local"]}}
    assert group["differences"] == [{"type": "CDS", "name": "outbound|9080|v2|reviews.default.svc.cluster.local", "fields": [
        {"path": "outlier_detection.consecutive_5xx", "before": 4, "after": 6}]}]
    text = diff(shop, "-f", change(rule.replace("consecutive5xxErrors: 4", "consecutive5xxErrors: 6")), "--all", status=1, form="text")
    assert "outlier_detection.consecutive_5xx\n      - 4\n      + 6\n" in text


def test_new_and_gone_proxies(shop, change):  # noqa: F811
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "new", "namespace": "default", "labels": {"security.istio.io/tlsMode": "istio"}},
           "spec": {"containers": [{"name": "a", "image": "a"}]}, "status": {"phase": "Running", "podIP": "10.0.0.99", "podIPs": [{"ip": "10.0.0.99"}]}}
    group = of(diff(shop, "-f", change(json.dumps(pod)), status=1), "new.default")
    assert group["proxy"] == "added" and "virtualInbound" in group["resources"]["LDS"]["added"]
    assert of(diff(shop, "--delete", "Pod/default/reviews-v2", status=1), "reviews-v2.default")["proxy"] == "removed"


def test_views_are_translated_once(tmp_path, change):
    """Sixty replicas look alike: two views (before, after), not a hundred and twenty."""
    pods = [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"app-{i}", "namespace": "default", "labels": {"app": "app"}},
             "spec": {"containers": [{"name": "a", "image": "a"}]},
             "status": {"phase": "Running", "podIP": f"10.0.1.{i}", "podIPs": [{"ip": f"10.0.1.{i}"}]}} for i in range(1, 61)]
    base = tmp_path / "base"
    base.mkdir()
    (base / "pods.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": pods}))
    (base / "objects.yaml").write_text(OBJECTS)
    answer = diff(base, "-f", change(REVIEWS.replace("HOST", "reviews").replace("SUBSET", "v2")), "--class", "upstream", status=1)
    assert answer["proxies"] == answer["changedProxies"] == 60 and len(answer["groups"]) == 1
    assert answer["viewsTranslated"] == 2
