"""Which part of the proxies has acknowledged an object: conditions Programmed, Reconciled, ProxyRejected, over all replicas.

covers: d31 g57 b54 f28
"""
import glob
import json
import os
import subprocess
import threading
import time

import pytest

import kubelab
from coxswain import BUILD, CDS, LDS, RDS, Coxswaind, Stream, node
from kubelab import wait
from test_objects import vs


@pytest.fixture(scope="module", autouse=True)
def crds(lab):
    for path in sorted(glob.glob(os.path.join(kubelab.TREE, "crd/*.yaml"))):
        lab.crd(path)


class Proxy(threading.Thread):
    """Takes everything, unless it is told to hold its answers back, or to reject routes with a word in them."""

    def __init__(self, c, name, delta=True):
        super().__init__(daemon=True)
        self.stream, self.rejects, self.holds, self.lock, self.kept = Stream(c.grpc_port, node(name), delta=delta), None, False, threading.Lock(), []
        self.stream.request(CDS)
        self.stream.request(LDS)
        self.stream.request(RDS, ["80"])
        self.start()

    def answer(self, r):
        names = ["80"] if r.type_url == RDS and not self.stream.delta else []
        if self.rejects and self.rejects.encode() in r.SerializeToString():
            self.stream.request(r.type_url, names=names, nonce=r.nonce, error=f"{r.type_url}: '80': no {self.rejects} here")
        else:
            self.stream.ack(r, names=names)

    def run(self):
        while True:
            r = self.stream.inbox.get()
            if r is None:
                return
            with self.lock:
                if self.holds:
                    self.kept.append(r)
                else:
                    self.answer(r)

    def release(self):
        with self.lock:
            self.holds = False
            for r in self.kept:
                self.answer(r)
            self.kept = []

    def close(self):
        self.stream.close()


def conditions(lab, ns, name):
    """type -> (status, reason, message), of the object's generation; and its status and resourceVersion."""
    o = lab.call("GET", f"/apis/networking.istio.io/v1/namespaces/{ns}/virtualservices/{name}")
    out = {c["type"]: (c["status"], c["reason"], c["message"]) for c in (o.get("status") or {}).get("conditions") or []
           if c.get("observedGeneration") == o["metadata"]["generation"]}
    return out, o


def reconciled(lab, ns, name, status="True"):
    c, _ = conditions(lab, ns, name)
    return c.get("Reconciled", ("",))[0] == status and c["Reconciled"][2]


def daemon(lab, name, **kw):
    return Coxswaind(source=["--kubeconfig", lab.kubeconfig, "--httpsAddr", ""], env={"POD_NAME": name, "COXSWAIN_LEASE_DURATION": "4s"}, **kw)


def coxctl_wait(lab, *args):
    r = subprocess.run([os.path.join(BUILD, "coxctl"), "wait", "--kubeconfig", lab.kubeconfig, *args], capture_output=True, text=True, timeout=60)
    return r.returncode, r.stdout, r.stderr


def test_of_one_replica(lab, ns):
    lab.drop_locks()
    host = f"web.{ns}.svc.cluster.local"
    lab.service(ns, "web")
    with daemon(lab, "solo") as c:
        wait(lambda: "job=status" in c.log_text(), 15)
        c.wait_ready()
        one, two = Proxy(c, "one"), Proxy(c, "two", delta=False)
        try:
            time.sleep(1)
            began = time.monotonic()
            vs(lab, ns, "v", host=host, hosts=[host])
            said = wait(lambda: reconciled(lab, ns, "v"), 10)
            assert said == "2 of 2 proxies have acknowledged generation 1" and time.monotonic() - began < 3
            all_, o = conditions(lab, ns, "v")
            assert all_["Accepted"][0] == all_["Programmed"][0] == "True" and all_["ProxyRejected"] == ("False", "NoneRejected", "")
            rv = o["metadata"]["resourceVersion"]
            # Who comes later is no news of the object, and nothing is written twice.
            late = Proxy(c, "late")
            time.sleep(4)
            late.close()
            assert conditions(lab, ns, "v")[1]["metadata"]["resourceVersion"] == rv
            writes = c.metric("coxswain_status_writes")
            # One that does not answer.
            two.holds = True
            vs(lab, ns, "v", host=host, hosts=[host, f"other.{ns}.svc.cluster.local"])
            said = wait(lambda: reconciled(lab, ns, "v", "False"), 10)
            assert said == "1 of 2 proxies have acknowledged generation 2; not yet " + two.stream.who.id
            assert conditions(lab, ns, "v")[0]["Programmed"][0] == "True"
            rc, out, err = coxctl_wait(lab, "--for=distribution", "--timeout", "1s", "VirtualService", f"v.{ns}")
            assert rc == 1 and out == "" and "after 1 s 1 of 2 proxies have generation 2; not yet sidecar~" in err, (rc, out, err)
            assert coxctl_wait(lab, "--threshold", "0.5", "virtualservices", "v", "-n", ns)[:2] == (0, f"Resource VirtualService/v.{ns} present on 1 out of 2 sidecars\n")
            assert coxctl_wait(lab, "--generation", "7", "virtualservice", f"v.{ns}")[0] == 1
            waiting = threading.Thread(target=lambda: done.append(coxctl_wait(lab, "--for=distribution", "-v", "VirtualService", f"v.{ns}")))
            done = []
            waiting.start()
            two.release()
            assert wait(lambda: reconciled(lab, ns, "v"), 10) == "2 of 2 proxies have acknowledged generation 2"
            assert c.metric("coxswain_status_writes") - writes <= 3  # the partial one, the whole one (and one look)
            waiting.join(20)
            assert done[0][:2] == (0, f"Resource VirtualService/v.{ns} present on 2 out of 2 sidecars\n"), done
            # One that rejects: in its own words, with its name; another version gets another try.
            one.rejects = "hello-bad"
            two.rejects = "hello-bad"
            lab.apply(f"/apis/networking.istio.io/v1/namespaces/{ns}/virtualservices/v", {
                "apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "v", "namespace": ns},
                "spec": {"hosts": [host], "http": [{"headers": {"request": {"set": {"x": "hello-bad"}}}, "route": [{"destination": {"host": host}}]}]}})
            rejected = wait(lambda: (lambda x: x if x.get("ProxyRejected", ("",))[0] == "True" else None)(conditions(lab, ns, "v")[0]), 15)
            assert "no hello-bad here" in rejected["ProxyRejected"][2] and "proxy sidecar~10.0.0.1~" in rejected["ProxyRejected"][2], rejected
            rc, _, err = coxctl_wait(lab, "VirtualService", f"v.{ns}")
            assert rc == 1 and "is rejected" in err and "no hello-bad here" in err
            assert coxctl_wait(lab, "VirtualService", f"none.{ns}")[0] == 1 and coxctl_wait(lab, "Pod", "x")[0] == 2 == coxctl_wait(lab, "--threshold", "3", "Sidecar", "x")[0]
            assert rejected["Programmed"][:2] == ("False", "ProxyRejected") == rejected["Reconciled"][:2]
            vs(lab, ns, "v", host=host, hosts=[host])
            wait(lambda: reconciled(lab, ns, "v"), 15)
            assert conditions(lab, ns, "v")[0]["ProxyRejected"][0] == "False"
        finally:
            one.close()
            two.close()


def reports(lab):
    found = lab.call("GET", "/api/v1/namespaces/istio-system/configmaps?labelSelector=coxswain.io/distribution-report")["items"]
    return {r["replica"]: r for r in (json.loads(i["data"]["report"]) for i in found)}


def test_of_two_replicas(lab, ns):
    """The one that does not lead says which part of its proxies is behind; the next leader goes on; what it said goes with it."""
    lab.drop_locks()
    host = f"web.{ns}.svc.cluster.local"
    lab.service(ns, "web")
    with daemon(lab, "lead") as a:
        wait(lambda: "job=status" in a.log_text(), 15)
        with daemon(lab, "other") as b:
            b.wait_ready()
            here, there = Proxy(a, "here"), Proxy(b, "there")
            wait(lambda: "other" in reports(lab), 15)
            wait(lambda: reports(lab)["other"]["streams"] == 1, 25)
            assert "lead" not in reports(lab)
            there.holds = True
            vs(lab, ns, "v", host=host, hosts=[host])
            said = wait(lambda: reconciled(lab, ns, "v", "False"), 10)
            assert said.startswith("1 of 2 proxies have acknowledged generation 1")
            assert reports(lab)["other"]["pending"] == {f"VirtualService/{ns}/v": [1, 0]}
            there.release()
            assert wait(lambda: reconciled(lab, ns, "v"), 10) == "2 of 2 proxies have acknowledged generation 1"
            assert reports(lab)["other"]["pending"] == {} and reports(lab)["other"]["seen"]["VirtualService"] > 0
            # The leader goes in the middle.
            there.holds = True
            vs(lab, ns, "v", host=host, hosts=[host, f"other.{ns}.svc.cluster.local"])
            wait(lambda: reconciled(lab, ns, "v", "False"), 10)
            here.close()
            a.stop()
            wait(lambda: "job=status" in b.log_text(), 10)
            there.release()
            assert wait(lambda: reconciled(lab, ns, "v"), 15) == "1 of 1 proxies have acknowledged generation 2"
            there.close()
    assert reports(lab) == {}
