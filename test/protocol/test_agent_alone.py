"""DISABLE_ENVOY: cox-agent without an Envoy has a certificate, serves secrets and names, and speaks to the control plane for itself.
covers: i1 i2 i3 i9"""
import http.client
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from agentlab import Agent, Stream, eventually, free_port  # noqa: E402
from nametable import NDS, NameTable  # noqa: E402
from tinyca import BUNDLE, PCDS, Plane, Root  # noqa: E402

CDS = "type.googleapis.com/envoy.config.cluster.v3.Cluster"


@pytest.fixture()
def plane():
    with Plane() as p:
        p.bundle(1, [p.root])
        yield p


def alone(plane, **env):
    return Agent(f"127.0.0.1:{plane.port}", plane.root.pem, env={"DISABLE_ENVOY": "true", "COXSWAIN_ROTATION_JITTER": "100ms", **env})


def ask(agent, method, path):
    try:
        c = http.client.HTTPConnection("127.0.0.1", agent.ports["status"], timeout=5)
        c.request(method, path)
        answer = c.getresponse()
        body = answer.read().decode()
        c.close()
        return answer.status, body
    except OSError:
        return 0, ""


def test_certificate_secrets_and_bundle_without_an_envoy(plane):
    second = Root("second")
    with alone(plane, ISTIO_META_X="y", PROXY_CONFIG='{"concurrency": 2, "list": [true, null, 1.5]}') as a:
        eventually(lambda: len(plane.acks(BUNDLE)) == 1)
        assert "envoy started" not in a.log() and not os.path.exists(os.path.join(a.config, "envoy-rev.json"))
        first = plane.requests[0]
        assert first.node.id == "sidecar~127.0.0.1~pod-1.default~default.svc.cluster.local" and first.type_url == BUNDLE
        assert first.node.metadata["X"] == "y" and first.node.metadata["NAMESPACE"] == "default"
        assert first.node.metadata["PROXY_CONFIG"]["concurrency"] == 2 and list(first.node.metadata["PROXY_CONFIG"]["list"]) == [True, None, 1.5]
        assert len([r for r in plane.asked(BUNDLE) if not r.response_nonce]) == 1 and eventually(lambda: plane.asked(PCDS))
        with Stream(a.sds, "sds") as s:
            s.send(names=["default", "ROOTCA"])
            got = {}
            while set(got) != {"default", "ROOTCA"}:
                some, m = s.secrets()
                s.ack(m)
                got.update(some)
            plane.bundle(2, [plane.root, second])
            secrets, m = s.secrets()
            assert second.pem.strip() in secrets["ROOTCA"].validation_context.trusted_ca.inline_bytes.decode()
            s.ack(m)
            eventually(lambda: len(plane.acks(BUNDLE)) == 2)


def test_comes_back_by_itself(plane):
    with alone(plane) as a:
        eventually(lambda: len(plane.acks(BUNDLE)) == 1)
        plane.stop()
        a.wait_log("stream to the control plane ended")
        plane.bundle(2, [plane.root])
        plane.start()
        eventually(lambda: len(plane.acks(BUNDLE)) == 2, 30)


def test_a_client_takes_over_and_goes(plane):
    """A gRPC application on the socket of Envoy: its stream carries all of it, and when it ends the agent goes on alone."""
    with alone(plane) as a:
        eventually(lambda: len(plane.acks(BUNDLE)) == 1)
        with Stream(a.xds, "ads") as s:
            s.send(CDS)
            eventually(lambda: plane.asked(CDS) and len(plane.acks(BUNDLE)) == 2)
        eventually(lambda: len(plane.acks(BUNDLE)) == 3)


def test_names(plane):
    plane.set(NDS, "", "1", NameTable(table={"a.default.svc.cluster.local": NameTable.NameInfo(ips=["10.96.0.9"], registry="Kubernetes")}))
    with alone(plane, ISTIO_META_DNS_CAPTURE="true", DNS_PROXY_ADDR=f"127.0.0.1:{free_port()}") as a:
        eventually(lambda: plane.acks(NDS))
        assert "10.96.0.9" in ask(a, "GET", "/debug/ndsz")[1]


def test_readiness_and_the_end(plane):
    import grpc
    plane.faults = [grpc.StatusCode.UNAVAILABLE] * 2
    with alone(plane) as a:
        eventually(lambda: ask(a, "GET", "/healthz/ready") == (503, "no certificate yet"))
        a.wait_log("certificate in force")
        assert ask(a, "GET", "/healthz/ready")[0] == 200
        assert "envoy_restarts" not in ask(a, "GET", "/metrics")[1] and "scrape_failures" in ask(a, "GET", "/stats/prometheus")[1]
        assert ask(a, "POST", "/drain")[0] == 200 and a.process.poll() is None
        assert ask(a, "POST", "/quitquitquit")[0] == 200
        eventually(lambda: a.process.poll() is not None)
        assert a.process.returncode == 0
    with alone(plane) as a:
        a.wait_log("certificate in force")
        assert a.stop() == 0


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q"]))
