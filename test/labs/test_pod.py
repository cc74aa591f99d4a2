"""A pod alone: capture, agent and Envoy on a control plane of a hundred lines. covers: i1 i6 i7 i14 i16"""
import json
import os
import signal
import sys
import threading
import time

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from coxlab import Lab  # noqa: E402
from coxlab.lab import eventually, request, tail  # noqa: E402
from coxlab.state import all_states  # noqa: E402
from coxlab.tinyads import LDS, TinyAds  # noqa: E402


@pytest.fixture(scope="module")
def lab():
    with Lab(control=TinyAds) as lab:
        lab.apply("platform/kube/bookinfo.yaml")
        lab.wait_pods(6, timeout=60)
        yield lab


def test_traffic_goes_through_both_captures(lab):
    page, details = lab.pod(app="productpage"), lab.pod(app="details")
    before = {p: lab.stats(p, r"^listener\.0\.0\.0\.0_150(01|06)\.downstream_cx_total$") for p in (page, details)}
    answer = lab.curl(page, f"http://{details.address}:9080/health")
    assert answer.status == 200 and answer.headers["x-bookinfo"] == "details-v1"
    after = {p: lab.stats(p, r"^listener\.0\.0\.0\.0_150(01|06)\.downstream_cx_total$") for p in (page, details)}
    out, inn = "listener.0.0.0.0_15001.downstream_cx_total", "listener.0.0.0.0_15006.downstream_cx_total"
    assert after[page][out] - before[page][out] == 1 and after[page][inn] == before[page][inn]
    assert after[details][inn] - before[details][inn] == 1 and after[details][out] == before[details][out]


def test_loopback_and_probe_ports_are_left_alone(lab):
    page = lab.pod(app="productpage")
    before = lab.stats(page, r"^listener\.0\.0\.0\.0_150(01|06)\.downstream_cx_total$")
    assert lab.curl(page, "http://127.0.0.1:9080/health").status == 200
    assert request(page.address, 15021, "/healthz/ready").status == 200
    assert "envoy_server_live" in request(page.address, 15090, "/stats/prometheus").body
    assert lab.stats(page, r"^listener\.0\.0\.0\.0_150(01|06)\.downstream_cx_total$") == before


def test_init_twice_gives_the_same_rules_and_clean_takes_them(lab):
    page = lab.pod(app="productpage")

    def rules():
        text = lab.exec(page, "iptables-save", "-t", "nat", root=True).stdout + lab.exec(page, "ip6tables-save", "-t", "nat", root=True).stdout
        return [line for line in text.splitlines() if line.startswith(("-", ":"))]
    from coxlab.runner import CAPTURE
    first = rules()
    assert any("ISTIO_REDIRECT" in r for r in first)
    assert lab.exec(page, lab.runner.agent, "init", *CAPTURE, root=True).returncode == 0
    assert rules() == first
    assert lab.exec(page, lab.runner.agent, "init", "--clean", root=True).returncode == 0
    assert not any("ISTIO" in r for r in rules())
    assert lab.exec(page, lab.runner.agent, "init", *CAPTURE, root=True).returncode == 0
    assert rules() == first


def test_node_says_who_it_is(lab):
    node = next(n for i, n in lab.daemon.nodes.items() if "~reviews-v3" in i)
    assert node["metadata"]["LABELS"]["version"] == "v3" and node["metadata"]["SERVICE_ACCOUNT"] == "bookinfo-reviews"
    assert node["metadata"]["COXSWAIN_SDS"] == "none" and node["metadata"]["WORKLOAD_NAME"] == "reviews-v3"
    assert node["id"].endswith(".default~default.svc.cluster.local") and node["cluster"] == "reviews.default"


def test_crashed_envoy_is_started_again(lab):
    pod = lab.pod(app="ratings")
    pid = int(lab.exec(pod, "sh", "-c", f"cat /proc/{pod.proxy.pid}/task/{pod.proxy.pid}/children", root=True).stdout.split()[0])
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: request(pod.address, 15021, "/healthz/ready").status != 200, timeout=5)
    eventually(lambda: request(pod.address, 15021, "/healthz/ready").status == 200, timeout=20)
    assert "starting it again status=137 restarts=1" in open(pod.proxy.log).read()
    assert pod.proxy.poll() is None


def test_agent_is_small(lab):
    for pod in lab.pods():
        with open(f"/proc/{pod.proxy.pid}/status") as f:
            resident = next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))
        assert resident < 8 * 1024, f"{pod}: {resident} KiB"


def test_drain_finishes_what_is_under_way(lab):
    """SIGTERM: not ready at once, the request under way ends well, the exit status is Envoy's."""
    pod = lab.pod(app="details")
    answers = []
    caller = threading.Thread(target=lambda: answers.append(lab.curl(lab.pod(app="productpage"), f"http://{pod.address}:9080/health")))
    caller.start()
    pod.stopping.set()
    pod.proxy.terminate()
    caller.join()
    assert answers[0].status in (200, 0)
    assert eventually(lambda: request(pod.address, 15021, "/healthz/ready").status == 503, timeout=2)
    assert request(pod.address, 9080, "/health").status == 200, "a draining proxy still serves"
    started = time.monotonic()
    assert pod.proxy.wait(10) == 0, tail(pod.proxy.log)
    assert time.monotonic() - started < 5


def test_not_ready_without_listeners():
    """A proxy that got clusters but no listeners says so."""
    with Lab(control=lambda address: TinyAds(address, silent=(LDS,))) as lab:
        docs = [d for d in lab.load("platform/kube/bookinfo.yaml") if d["metadata"]["name"] == "details-v1"]
        lab.source.apply(docs)
        pod = next(iter(lab.runner.pods.values()))
        eventually(lambda: "no listeners yet" in lab.curl(pod, "http://127.0.0.1:15020/healthz/ready", root=True).body, timeout=20)
        assert lab.curl(pod, "http://127.0.0.1:15020/nothing", root=True).status == 404
        assert lab.curl(pod, "http://127.0.0.1:15020/quitquitquit", root=True).status == 405
        assert lab.curl(pod, "http://127.0.0.1:15020/quitquitquit", root=True, method="POST").status == 200
        assert pod.proxy.wait(10) == 0
        ident = lab.state.data["id"]
    assert ident not in {s.data["id"] for s in all_states()}
    assert f"cox-{ident}" not in json.dumps(os.listdir("/sys/class/net")) + json.dumps(os.listdir("/run/netns"))
