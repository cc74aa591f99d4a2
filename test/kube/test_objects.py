"""Objects of a real kube-apiserver as events. Order matters: the first tests run without our CRDs."""
import glob
import os
import time

import yaml

import kubelab
from kubelab import wait

CRDS = sorted(glob.glob(os.path.join(kubelab.TREE, "crd/*.yaml")))


def vs(lab, ns, name, host="a.example", version="v1", **spec):
    return lab.apply(f"/apis/networking.istio.io/{version}/namespaces/{ns}/virtualservices/{name}", {
        "apiVersion": f"networking.istio.io/{version}", "kind": "VirtualService", "metadata": {"name": name, "namespace": ns},
        "spec": {"hosts": [host], "http": [{"route": [{"destination": {"host": host}}]}], **spec}})


def test_kind_that_appears_later(lab, driver, ns):
    """CRDs that are installed while we run are picked up at once, and do not hold the start. covers: b32"""
    for path in CRDS:  # other tests of this server may have made them
        with open(path) as f:
            name = yaml.safe_load(f)["metadata"]["name"]
        lab.delete(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")
        wait(lambda: lab.api.call("GET", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}") is None, 30)
    d = driver()
    d.expect("synced")
    assert d.stats()["VirtualService"]["state"] == "absent"
    time.sleep(8)  # the slow poll is far apart by now: it is the watch of CRDs that must find it
    for path in CRDS:
        lab.crd(path)
    began = time.monotonic()
    wait(lambda: vs(lab, ns, "first"), 10)
    d.expect(f"put VirtualService/{ns}/first", 5)
    assert time.monotonic() - began < 5
    # Versions may appear one by one; in the end the newest is used.
    wait(lambda: (d.stats()["VirtualService"]["state"], d.stats()["VirtualService"]["version"]) == ("watch", "v1"), 8)
    assert len([x for x in d.since() if x.startswith(f"put VirtualService/{ns}/first")]) == 1


def test_older_version_only(lab, driver, ns):
    """A server whose CRD serves only v1alpha3 is watched in that, and in v1 once it has it. covers: b32"""
    body = lab.crd([c for c in CRDS if "workloadentries" in c][0])
    where = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{body['metadata']['name']}"
    names = [v["name"] for v in body["spec"]["versions"]]

    def serve(only):
        patch = [{"op": "replace", "path": f"/spec/versions/{i}/served", "value": not only or n == only} for i, n in enumerate(names)]
        lab.call("PATCH", where, patch, "application/json-patch+json")
    entry = lambda version: lab.apply(f"/apis/networking.istio.io/{version}/namespaces/{ns}/workloadentries/w", {
        "apiVersion": f"networking.istio.io/{version}", "kind": "WorkloadEntry", "metadata": {"name": "w", "namespace": ns}, "spec": {"address": "1.2.3.4"}})
    serve("v1alpha3")
    try:
        wait(lambda: entry("v1alpha3"), 10)
        wait(lambda: not lab.api.call("GET", "/apis/networking.istio.io/v1/workloadentries"), 10)
        d = driver()
        d.expect("synced")
        d.expect(f"put WorkloadEntry/{ns}/w ")
        assert d.stats()["WorkloadEntry"]["version"] == "v1alpha3"
    finally:
        serve(None)
    wait(lambda: (d.stats()["WorkloadEntry"]["state"], d.stats()["WorkloadEntry"]["version"]) == ("watch", "v1"), 15)
    assert not [x for x in d.since() if x.startswith("remove")]
    assert len([x for x in d.since() if x.startswith(f"put WorkloadEntry/{ns}/w ")]) == 1


def test_created_changed_deleted(lab, driver, ns):
    """covers: b32 b58"""
    for path in CRDS:
        lab.crd(path)
    d = driver()
    d.expect("synced")
    mark = d.mark()
    lab.service(ns, "a")
    d.expect(f"put Service/{ns}/a ", mark=mark)
    vs(lab, ns, "v")
    first = d.expect(f"put VirtualService/{ns}/v ", mark=mark)
    mark = d.mark()
    vs(lab, ns, "v", host="b.example")
    assert d.expect(f"put VirtualService/{ns}/v ", mark=mark).split("hash=")[1] != first.split("hash=")[1]
    # The same through an older version: one object, not two.
    mark = d.mark()
    vs(lab, ns, "old", version="v1alpha3")
    d.expect(f"put VirtualService/{ns}/old ", mark=mark)
    lab.delete(f"/apis/networking.istio.io/v1/namespaces/{ns}/virtualservices/v")
    d.expect(f"remove VirtualService/{ns}/v", mark=mark)
    lab.delete(f"/api/v1/namespaces/{ns}/services/a")
    d.expect(f"remove Service/{ns}/a", mark=mark)


def test_status_and_metadata_writes_are_not_told(lab, driver, ns):
    """covers: b58"""
    d = driver()
    d.expect("synced")
    vs(lab, ns, "quiet")
    d.expect(f"put VirtualService/{ns}/quiet ")
    mark = d.mark()
    path = f"/apis/networking.istio.io/v1/namespaces/{ns}/virtualservices/quiet"
    for i in range(20):
        lab.call("PATCH", path + "/status", {"status": {"observedGeneration": i, "conditions": [{"type": "X", "status": str(i % 2 == 0)}]}},
                 "application/merge-patch+json")
        lab.call("PATCH", path, {"metadata": {"annotations": {"example.com/beat": str(i)}}}, "application/merge-patch+json")
    before = d.stats()["VirtualService"]
    wait(lambda: int(d.stats()["VirtualService"]["events"]) >= int(before["events"]))
    vs(lab, ns, "after")
    d.expect(f"put VirtualService/{ns}/after ", mark=mark)
    assert not [line for line in d.since(mark) if "/quiet" in line]


def test_invalid_object_keeps_the_last_good(lab, driver, ns):
    """A version that cannot be in force is reported; the report is taken back when it is repaired. covers: b53"""
    d = driver()
    d.expect("synced")
    vs(lab, ns, "v")
    d.expect(f"put VirtualService/{ns}/v ")
    mark = d.mark()
    vs(lab, ns, "v", http=[{"match": [{"uri": {"exact": "/x", "prefix": "/y"}}], "route": [{"destination": {"host": "a.example"}}]}]) \
        if lab.api.call("PATCH", f"/apis/networking.istio.io/v1/namespaces/{ns}/virtualservices/v?dryRun=All",
                        {"spec": {"http": [{"match": [{"uri": {"exact": "/x", "prefix": "/y"}}], "route": [{"destination": {"host": "a.example"}}]}]}},
                        "application/merge-patch+json") else vs(lab, ns, "v", hosts=["a.example", "*bad*"])
    line = d.expect(f"report VirtualService/{ns}/v ", mark=mark)
    assert "errors=0" not in line and "lastgood=1" in line and "spec." in line, line
    assert not [x for x in d.since(mark) if x.startswith("put")]
    mark = d.mark()
    vs(lab, ns, "v")
    assert "findings=0" in d.expect(f"report VirtualService/{ns}/v ", mark=mark)


def test_list_in_chunks(lab, driver, ns):
    """40 objects, 5 a page. covers: b32"""
    for i in range(40):
        lab.service(ns, f"s{i}")
    d = driver("--limit", 5)
    d.expect("synced", 20)
    names = {line.split(" ")[1] for line in d.since() if line.startswith(f"put Service/{ns}/")}
    assert names == {f"Service/{ns}/s{i}" for i in range(40)}
    assert d.stats()["Service"]["lists"] == "1"


def test_large_config_map_and_limit(lab, driver):
    """1 MiB goes through; above our own limit it is reported and the rest of the kind still comes. covers: b50 g60 g65"""
    path = "/api/v1/namespaces/istio-system/configmaps/istio"
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "istio", "namespace": "istio-system"},
            "data": {"mesh": "trustDomain: x\n", "filler": "é" * (500 * 1024)}}
    lab.call("POST", path.rsplit("/", 1)[0], body)
    lab.call("POST", path.rsplit("/", 1)[0], {**body, "metadata": {"name": "other", "namespace": "istio-system"}})
    try:
        d = driver()
        d.expect("put ConfigMap/istio-system/istio ")
        d.expect("synced")
        assert not [x for x in d.since() if "ConfigMap/istio-system/other" in x]
        small = driver("--max-object", 100000)
        small.expect("synced")
        assert "too large" in small.expect("report ConfigMap/istio-system/istio errors=1")
        assert small.stats()["ConfigMap"]["skipped"] == "1"
        assert [x for x in small.since() if x.startswith("put Namespace//istio-system")]
    finally:
        lab.delete(path)
        lab.delete(path.replace("/istio", "/other"))


def test_only_wanted_secrets(lab, driver, ns):
    """covers: b32"""
    for name in ("tls", "unused", "istio-ca-secret"):
        lab.apply(f"/api/v1/namespaces/{ns}/secrets/{name}", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": ns},
                                                               "stringData": {"key": "value"}})
    d = driver()
    d.expect("synced")
    d.send(f"want {ns} tls")
    d.send(f"want {ns} tls")
    d.expect(f"put Secret/{ns}/tls ")
    d.send(f"want {ns} istio-ca-secret")
    d.expect("want refused")
    mark = d.mark()
    lab.call("PATCH", f"/api/v1/namespaces/{ns}/secrets/tls", {"stringData": {"key": "new"}}, "application/merge-patch+json")
    d.expect(f"put Secret/{ns}/tls ", mark=mark)
    d.send(f"unwant {ns} tls")
    time.sleep(0.3)
    assert not [x for x in d.since() if x.startswith("remove Secret")]
    d.send(f"unwant {ns} tls")
    d.expect(f"remove Secret/{ns}/tls")
    assert not [x for x in d.since() if "unused" in x or "/istio-ca-secret " in x]


def test_only_wanted_config_maps(lab, driver, ns):
    """Authorities that a Gateway names may stand in a ConfigMap. covers: a120 b32"""
    for name in ("ca", "unused"):
        lab.apply(f"/api/v1/namespaces/{ns}/configmaps/{name}", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": ns},
                                                                 "data": {"ca.crt": "value"}})
    d = driver()
    d.expect("synced")
    d.send(f"want-map {ns} ca")
    d.expect(f"put ConfigMap/{ns}/ca ")
    d.send(f"unwant-map {ns} ca")
    d.expect(f"remove ConfigMap/{ns}/ca")
    assert not [x for x in d.since() if f"ConfigMap/{ns}/unused" in x]


def test_discovery_selectors(lab, driver, ns):
    """What no selector matches is not in memory; a namespace that starts to match is listed, one that stops is dropped. covers: b50"""
    ins, outs = ns + "-in", ns + "-out"
    lab.namespace(ins, {"mesh": "yes"})
    lab.namespace(outs)
    for n in (ins, outs):
        for i in range(3):
            lab.service(n, f"s{i}")
    d = driver()
    d.send("select mesh=yes")
    d.expect("synced")
    assert {x.split(" ")[1] for x in d.since() if x.startswith("put Service/")} == {f"Service/{ins}/s{i}" for i in range(3)}
    assert d.stats()["Service"]["entries"] == "3"
    mark = d.mark()
    lab.namespace(outs, {"mesh": "yes"})
    for i in range(3):
        d.expect(f"put Service/{outs}/s{i} ", mark=mark)
    lab.service(outs, "later")
    d.expect(f"put Service/{outs}/later ", mark=mark)
    mark = d.mark()
    lab.namespace(outs, {"mesh": "no"})
    for name in ("s0", "s1", "s2", "later"):
        d.expect(f"remove Service/{outs}/{name}", mark=mark)
    lab.service(outs, "hidden")
    # A new namespace and what is in it, at once.
    lab.namespace(ns + "-new", {"mesh": "yes"})
    lab.service(ns + "-new", "n")
    d.expect(f"put Service/{ns}-new/n ", mark=mark)
    assert not [x for x in d.since(mark) if "hidden" in x]
    mark = d.mark()
    d.send("select")
    d.expect(f"put Service/{outs}/hidden ", mark=mark)


def test_digest_finds_nothing_when_nothing_is_lost(lab, driver, ns):
    """covers: b55"""
    lab.service(ns, "a")
    d = driver("--digest", 300, "--grace", 200)
    d.expect("synced")
    for i in range(10):
        lab.service(ns, "a", 100 + i)
        time.sleep(0.1)
    time.sleep(1)
    assert all(s["repaired"] == "0" and s["lists"] == "1" for k, s in d.stats().items() if s["state"] == "watch"), d.stats()
