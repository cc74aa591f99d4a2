"""What a kube source does when the kube-apiserver, its history or the network fails: nothing is lost, nothing is emptied."""
import re
import socket
import threading
import time

import kubelab
from kubelab import wait
from tcp_proxy import TcpProxy


def kubeconfig_through(lab, proxy, path):
    with open(lab.kubeconfig) as f:
        text = f.read()
    path.write_text(text.replace(f":{lab.port}", f":{proxy.port}"))
    return path


def services(lines):
    """The Services that a reader of these lines knows: {name: hash}."""
    known = {}
    for line in lines:
        words = line.split(" ")
        if line.startswith("put Service/"):
            known[words[1]] = re.search("hash=([0-9a-f]+)", line).group(1)
        elif line.startswith("remove Service/"):
            assert words[1] in known, f"removed twice: {line}"
            del known[words[1]]
    return known


def test_apiserver_killed_and_restarted(lab, driver, ns):
    """Nothing is emptied, stale is said after 5 s and taken back, changes go on. covers: g63 b51"""
    lab.service(ns, "a")
    d = driver()
    d.expect("synced")
    mark, began = d.mark(), time.monotonic()
    lab.kill_api()
    d.expect("stale 1", 15, mark)
    assert 4.5 < time.monotonic() - began < 9
    assert [x for x in d.since(mark)] == ["stale 1"]
    lab.start_api()
    d.expect("stale 0", 15, mark)
    lab.service(ns, "b")
    d.expect(f"put Service/{ns}/b ", 10, mark)
    assert not [x for x in d.since(mark) if x.startswith("remove")]
    # Known objects are not told again.
    assert not [x for x in d.since(mark) if x.startswith(f"put Service/{ns}/a ")]


def test_started_without_an_apiserver(lab, driver, ns):
    """It is not synced before it has listed. covers: g58 g63"""
    lab.kill_api()
    try:
        d = driver()
        d.expect("stale 1", 15)
        assert d.since() == ["stale 1"]
    finally:
        lab.start_api()
    d.expect("stale 0", 15)
    d.expect("synced", 15)


def test_compaction_while_cut_off(lab, driver, ns, tmp_path):
    """History that we need is gone (410): only the differences come. covers: b32 b55"""
    for name in ("keep", "change", "go"):
        lab.service(ns, name)
    proxy = TcpProxy(lab.port)
    d = driver(kubeconfig=kubeconfig_through(lab, proxy, tmp_path / "k"))
    d.expect("synced")
    mark = d.mark()
    proxy.listener.shutdown(socket.SHUT_RDWR)  # close() alone lets the accept() that waits take one more connection
    proxy.listener.close()
    proxy.cut()
    lab.service(ns, "change", 81)
    lab.delete(f"/api/v1/namespaces/{ns}/services/go")
    lab.service(ns, "new")
    lab.kill_api()  # its own cache of events would still have them
    lab.compact()
    lab.start_api()
    lab.compact()
    again = TcpProxy.__new__(TcpProxy)
    again.__dict__.update(proxy.__dict__)
    again.listener, again.is_open = socket.create_server(("127.0.0.1", proxy.port)), True
    threading.Thread(target=again._accept, daemon=True).start()
    d.expect(f"put Service/{ns}/new ", 40, mark)
    d.expect(f"put Service/{ns}/change ", 5, mark)
    d.expect(f"remove Service/{ns}/go", 5, mark)
    lines = [x for x in d.since(mark) if "Service/" + ns in x]
    assert len(lines) == 3, lines
    assert int(d.stats()["Service"]["lists"]) == 2
    assert not [x for x in d.since(mark) if x.startswith("remove") and ns + "/go" not in x]
    again.close()


def test_watch_cut_every_second(lab, driver, ns, tmp_path):
    """covers: b32 b55"""
    proxy = TcpProxy(lab.port, cut_every=1.0)
    d = driver(kubeconfig=kubeconfig_through(lab, proxy, tmp_path / "k"))
    d.expect("synced", 30)
    until, i = time.monotonic() + 8, 0
    while time.monotonic() < until:
        lab.service(ns, f"s{i % 7}", 1000 + i)
        if i % 5 == 4:
            lab.delete(f"/api/v1/namespaces/{ns}/services/s{(i - 2) % 7}")
        i += 1
        time.sleep(0.05)
    lab.service(ns, "last")
    d.expect(f"put Service/{ns}/last ", 15)
    direct = driver()
    direct.expect("synced")
    want = {k: v for k, v in services(direct.since()).items() if f"/{ns}/" in k}
    wait(lambda: {k: v for k, v in services(d.since()).items() if f"/{ns}/" in k} == want, 10)
    stats = d.stats()["Service"]
    assert proxy.cuts >= 7 and int(stats["resumes"]) >= 5, (proxy.cuts, stats)
    assert int(stats["lists"]) <= 2, stats  # resumed, not listed again
    proxy.close()


def test_network_that_swallows(lab, driver, ns, tmp_path):
    """Connections that hang without an end are noticed and replaced. covers: g63"""
    lab.service(ns, "a")
    proxy = TcpProxy(lab.port)
    d = driver(kubeconfig=kubeconfig_through(lab, proxy, tmp_path / "k"))
    d.expect("synced")
    mark = d.mark()
    proxy.is_stalled = True
    d.expect("stale 1", 15, mark)
    lab.service(ns, "b")
    proxy.is_stalled = False
    d.expect("stale 0", 15, mark)
    d.expect(f"put Service/{ns}/b ", 15, mark)
    assert not [x for x in d.since(mark) if x.startswith("remove")]
    proxy.close()


def test_lost_events_are_found_by_the_digest(lab, driver, ns):
    """An event that never came: found, repaired, counted. covers: b55"""
    lab.service(ns, "a")
    lab.service(ns, "gone")
    d = driver("--digest", 500, "--grace", 300, env={"COXSWAIN_FAULTS": "kube.event:1,kube.event:2,kube.event:3"})
    d.expect("synced")
    mark = d.mark()
    lab.service(ns, "a", 81)
    lab.delete(f"/api/v1/namespaces/{ns}/services/gone")
    lab.service(ns, "b")
    d.expect(f"put Service/{ns}/a ", 15, mark)
    d.expect(f"put Service/{ns}/b ", 5, mark)
    d.expect(f"remove Service/{ns}/gone", 5, mark)
    assert int(d.stats()["Service"]["repaired"]) >= 1
    d.close()
    assert [x for x in d.since() if x.startswith('metric coxswain_kube_digest_repairs{kind="Service"}')]


def test_no_memory_of_a_kind_that_is_gone(lab, driver, ns):
    """A CRD that is deleted takes its objects along. covers: b32"""
    lab.apply("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/sidecars.networking.istio.io", crd_sidecar())
    put = lambda: lab.apply(f"/apis/networking.istio.io/v1/namespaces/{ns}/sidecars/x", {
        "apiVersion": "networking.istio.io/v1", "kind": "Sidecar", "metadata": {"name": "x", "namespace": ns}, "spec": {"egress": [{"hosts": ["./*"]}]}})
    wait(put, 15)
    d = driver()
    d.expect("synced")
    d.expect(f"put Sidecar/{ns}/x")
    lab.delete("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/sidecars.networking.istio.io")
    d.expect(f"remove Sidecar/{ns}/x", 30)
    wait(lambda: d.stats()["Sidecar"]["state"] == "absent", 10)


def crd_sidecar():
    import glob
    import os
    import yaml
    path = glob.glob(os.path.join(kubelab.TREE, "crd/*sidecars.yaml"))[0]
    with open(path) as f:
        return yaml.safe_load(f)
