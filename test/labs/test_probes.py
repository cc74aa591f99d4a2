"""The lab's readiness itself: a pod that counts as ready too early makes a test of the mesh lie about the mesh."""
import os
import sys
import types

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from coxlab.runner import Pod, Runner  # noqa: E402


class Probed(Runner):
    """A runner whose proxies answer as the test says."""

    def __init__(self):
        self.answers, self.said = {}, []

    def _proxy_is_ready(self, pod):
        return pod.proxy is None or self.answers[pod.name]

    def on_ready(self, pod):
        self.said.append((pod.name, pod.ready))


def pod_of(name):
    return Pod({"metadata": {"name": name, "namespace": "default"}, "spec": {"containers": []}}, "sidecar", "node-1")


def process(returncode=None):
    return types.SimpleNamespace(poll=lambda: returncode)


def probe(runner, pod, times=1):
    for _ in range(times):
        pod.probe_at = 0
        runner._probe(pod)
    return pod.ready


def test_a_pod_that_still_starts_is_not_ready():
    """While a sidecar has no proxy yet it looks like a pod without one, and an application that is not there yet asks for no ports."""
    runner, pod = Probed(), pod_of("web")
    runner.answers["web"] = False
    assert not probe(runner, pod)
    pod.proxy = process()
    assert not probe(runner, pod)
    pod.started = True
    assert not probe(runner, pod) and not pod.reported and runner.said == []
    runner.answers["web"] = True
    assert probe(runner, pod) and pod.reported and runner.said == [("web", True)]


def test_every_pod_gets_its_turn():
    """However long the others' probes take: each has a time of its own."""
    runner, pods = Probed(), [pod_of(f"p{i}") for i in range(3)]
    for pod in pods:
        pod.proxy, pod.started, runner.answers[pod.name] = process(), True, True
        runner._probe(pod)
        assert pod.ready and pod.probe_at > 0
        runner.answers[pod.name] = False
        runner._probe(pod)
        assert pod.failures == 0  # not its time yet
        assert not probe(runner, pod, times=3)


def test_one_slow_answer_is_no_end():
    runner, pod = Probed(), pod_of("web")
    pod.proxy, pod.started, runner.answers["web"] = process(), True, True
    assert probe(runner, pod)
    runner.answers["web"] = False
    assert probe(runner, pod, times=2)
    runner.answers["web"] = True
    assert probe(runner, pod) and pod.failures == 0
    runner.answers["web"] = False
    assert not probe(runner, pod, times=3)


def test_a_proxy_that_ended_is():
    runner, pod = Probed(), pod_of("web")
    pod.proxy, pod.started, runner.answers["web"] = process(), True, True
    assert probe(runner, pod)
    pod.proxy, runner.answers["web"] = process(returncode=139), False
    assert not probe(runner, pod) and runner.said[-1] == ("web", False)
