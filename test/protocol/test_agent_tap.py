"""Port 15004 of cox-agent: debug questions of the pod on their way to the control plane.
covers: i13"""
import os
import sys

import grpc
import pytest
from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2
from google.protobuf import wrappers_pb2

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import citadel  # noqa: E402
from agentlab import Agent, Stream, eventually  # noqa: E402
from coxswain import Coxswaind  # noqa: E402
from tinyca import Plane  # noqa: E402

DEBUG, CDS = "istio.io/debug", "type.googleapis.com/envoy.config.cluster.v3.Cluster"


def ask(agent, *requests, timeout=30):
    """All answers; raises grpc.RpcError."""
    with grpc.insecure_channel(f"127.0.0.1:{agent.ports['tap']}", options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        call = ads_pb2_grpc.AggregatedDiscoveryServiceStub(channel).StreamAggregatedResources(iter(requests), timeout=timeout)
        got = []
        for m in call:
            got.append(m)
            if len(got) == len(requests):
                call.cancel()
                break
        return got


def question(path="syncz", **more):
    return discovery_pb2.DiscoveryRequest(type_url=DEBUG, resource_names=[path], **more)


def refused(agent, *requests, code, text):
    with pytest.raises(grpc.RpcError) as e:
        ask(agent, *requests)
    assert e.value.code() == code and text in e.value.details(), (e.value.code(), e.value.details())


@pytest.fixture()
def plane():
    with Plane() as p:
        yield p


def agent_for(plane, **more):
    return Agent(f"127.0.0.1:{plane.port}", plane.root.pem, **more)


def test_question_and_answer_pass_with_the_agents_credentials(plane):
    """Envoy's node for who has none; his own for who has one; and Envoy's stream sees nothing of it."""
    plane.set(DEBUG, "syncz", "1", wrappers_pb2.StringValue(value="all is well"))
    with agent_for(plane) as a, Stream(a.xds, "ads", False) as envoy:
        a.wait_log("certificate in force")
        envoy.send(CDS)
        eventually(lambda: plane.asked(CDS))
        m = ask(a, question("syncz"))[0]
        value = wrappers_pb2.StringValue.FromString(m.resources[0].value)
        assert m.type_url == DEBUG and value.value == "all is well"
        first = plane.asked(DEBUG)[0]
        assert list(first.resource_names) == ["syncz"] and first.node.id.startswith("sidecar~127.0.0.1~pod-1.default~")
        ask(a, question("config_dump?proxyID=x", node=base_pb2.Node(id="mine")))
        assert plane.asked(DEBUG)[1].node.id == "mine"
        envoy.none(0.3)
        assert len(plane.streams) <= 2  # Envoy's, and one that may be ending


def test_other_types_are_not_passed_on(plane):
    with agent_for(plane) as a:
        a.wait_log("certificate in force")
        refused(a, discovery_pb2.DiscoveryRequest(type_url=CDS), code=grpc.StatusCode.INVALID_ARGUMENT, text="istio.io/debug")
        assert not plane.asked(CDS)


def test_control_plane_away_or_silent(plane):
    with agent_for(plane) as a:
        a.wait_log("certificate in force")
        refused(a, question(), code=grpc.StatusCode.DEADLINE_EXCEEDED, text="")  # it says nothing: the agent's own limit
        plane.stop()
        refused(a, question(), code=grpc.StatusCode.UNAVAILABLE, text="")
        plane.start()


def test_port_that_is_taken_is_only_a_warning(plane):
    with agent_for(plane) as a:
        a.wait_log("certificate in force")
        with agent_for(plane, args=["--tap-port", str(a.ports["tap"])]) as b:
            b.wait_log("questions to the control plane are not passed on")
            b.wait_log("certificate in force")


def test_coxswaind_answers(tmp_path):
    """With the agent's identity: its own namespace's configuration, and nothing else."""
    issuer = citadel.Issuer(tmp_path)
    with Coxswaind(env={"JWT_RULE": issuer.rule}) as c:
        c.wait_ready()
        with grpc.insecure_channel(f"127.0.0.1:{c.grpc_port}") as channel:
            roots = citadel.create(channel, citadel.Key(tmp_path).csr(), issuer.token())[-1]
        with Agent(f"127.0.0.1:{c._port('ads listening over TLS')}", roots, token=issuer.token(sa="default")) as a, Stream(a.xds, "ads", False) as envoy:
            a.wait_log("certificate in force")
            envoy.send(CDS)
            envoy.get()
            answer = ask(a, question("config_dump?proxyID=pod-1.default"))[0]
            assert b"ClustersConfigDump" in answer.resources[0].value and answer.resources[0].type_url == DEBUG
            refused(a, question(), code=grpc.StatusCode.PERMISSION_DENIED, text="not available for the current identity")


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q"]))
