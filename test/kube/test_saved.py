"""coxswaind starts while the kube-apiserver is down, from what it saved; then the server counts. covers: g64 g63 g58"""
import glob
import os
import stat
import time

import pytest

import kubelab
from coxswain import CDS, EDS, RDS, Coxswaind, Stream, resources
from kubelab import wait
from test_daemon import slices, virtual_service


@pytest.fixture(scope="module", autouse=True)
def crds(lab):
    for path in sorted(glob.glob(os.path.join(kubelab.TREE, "crd/*.yaml"))):
        lab.crd(path)


def test_start_without_apiserver(lab, ns, tmp_path):
    host, gone = f"web.{ns}.svc.cluster.local", f"gone.{ns}.svc.cluster.local"
    for name in ("web", "gone"):
        lab.service(ns, name)
        slices(lab, ns, name, "10.1.0.1")
    virtual_service(lab, ns, host, 7)
    saved = tmp_path / "saved"
    args = ["--snapshotDir", str(saved)]
    start = lambda: Coxswaind(source=["--kubeconfig", lab.kubeconfig, "--httpsAddr", ""], args=args, env={"COXSWAIN_SNAPSHOT_WAIT": "6s"})
    with start() as c:
        c.wait_ready()
        wait(lambda: (saved / "objects.json").exists(), 20)
    path = saved / "objects.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    assert f'"{ns}"' in text and '"kind":"Secret"' not in text and "PRIVATE KEY" not in text
    lab.kill_api()
    try:
        with start() as c:
            time.sleep(1)
            assert c.get("/ready")[0] == 503
            c.wait_ready(25)
            with Stream(c.grpc_port) as s:
                clusters = s.fetch(CDS)
                assert {f"outbound|80||{host}", f"outbound|80||{gone}"} <= set(clusters)
                s.request(EDS, [f"outbound|80||{host}"])
                r = s.next(EDS)
                ends = resources(r)[f"outbound|80||{host}"]
                s.ack(r)
                assert ends.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address == "10.1.0.1"
                routes = s.fetch(RDS, ["80"])["80"]
                assert [v.routes[0].route.timeout.seconds for v in routes.virtual_hosts if v.name == host + ":80"] == [7]
                lab.start_api()
                # What went meanwhile goes; what is there stays, and changes come.
                lab.delete(f"/api/v1/namespaces/{ns}/services/gone")
                wait(lambda: "has said everything" in c.log_text() or c.metric("coxswain_source_stale") == 0, 40)
                slices(lab, ns, "web", "10.1.0.9")
                while resources(s.next(EDS, seconds=40))[f"outbound|80||{host}"].endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address != "10.1.0.9":
                    pass
                wait(lambda: gone not in c.get("/debug/registryz")[1].decode(), 40)
                assert host in c.get("/debug/registryz")[1].decode()
    finally:
        lab.start_api()
