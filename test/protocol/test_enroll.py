"""Workloads that register themselves (a virtual machine's proxy with AUTO_REGISTER_GROUP), on a directory of files: the entry lives in memory.

covers: a142 a141 b9 b48 b49 i12 g39 g52
"""
import time

import grpc
import pytest

import citadel
from coxswain import CDS, EDS, Coxswaind, Stream, node

HEALTH = "type.googleapis.com/istio.v1.HealthInformation"
CLUSTER = "outbound|80||vms.example.internal"
MESH = """
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: vms, namespace: default}
spec:
  metadata: {labels: {app: vm, tier: back}, annotations: {team.istio.io/name: a}}
  template: {ports: {http: 18080}, labels: {version: v1}, serviceAccount: vm, weight: 3, locality: r9/z9, network: lan}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: vms, namespace: default}
spec:
  hosts: [vms.example.internal]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}]
  workloadSelector: {labels: {app: vm}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: vms-10.9.0.66, namespace: default}
spec: {address: 10.9.0.66, labels: {app: none}, serviceAccount: vm}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: by-hand, namespace: default, annotations: {proxy.istio.io/health-checks-enabled: "true"}}
spec: {address: 10.9.0.5, labels: {app: vm}, serviceAccount: vm}
"""
PROBED = {"PROXY_CONFIG": {"readinessProbe": {"tcpSocket": {"port": 80}}}}


class World:
    def __init__(self, directory, **env):
        self.issuer, self.key = citadel.Issuer(directory), citadel.Key(directory)
        self.c = Coxswaind({"mesh.yaml": MESH}, env={"JWT_RULE": self.issuer.rule, "PILOT_WORKLOAD_ENTRY_GRACE_PERIOD": "2s", **env}).wait_ready()
        self.tls_port = self.c._port("ads listening over TLS")
        self.plain = grpc.insecure_channel(f"127.0.0.1:{self.c.grpc_port}")
        self.chains = {}

    def channel(self, sa="vm", ns="default"):
        if (ns, sa) not in self.chains:
            self.chains[ns, sa] = citadel.create(self.plain, self.key.csr(), self.issuer.token(ns=ns, sa=sa))
        chain = self.chains[ns, sa]
        return citadel.secure_channel(self.tls_port, chain[-1], self.key, chain)

    def vm(self, ip="10.9.0.1", group="vms", channel=None, delta=True, **metadata):
        who = node(pod=f"vm-{ip}", ip=ip, labels={"app": "vm", "istio-locality": "x.y"}, **({"AUTO_REGISTER_GROUP": group} if group else {}), **metadata)
        s = Stream(0, who, delta, channel=channel or self.channel())
        s.request(CDS)
        return s


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    w = World(tmp_path_factory.mktemp("enroll"))
    with w.c:
        yield w


class Client:
    """Another proxy, and whom it would ask."""

    def __init__(self, world):
        self.s = Stream(world.c.grpc_port)
        self.s.fetch(CDS)
        self.s.request(EDS, [CLUSTER])
        self.sees = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.s.close()

    def until(self, *addresses, seconds=20):
        """Waits for these endpoints; how long it took."""
        began = time.monotonic()
        while self.sees is None or sorted(self.sees) != sorted(addresses):
            r = self.s.next(EDS, seconds - (time.monotonic() - began))
            self.s.ack(r)
            from coxswain import resources
            if CLUSTER in resources(r):
                self.sees = {e.endpoint.address.socket_address.address: (l, e) for l in resources(r)[CLUSTER].endpoints for e in l.lb_endpoints}
        return time.monotonic() - began


def refused(s, code, *words):
    with pytest.raises(grpc.RpcError) as e:
        s.next(seconds=10)
    assert e.value.code() == code and all(w in e.value.details() for w in words), (e.value.code(), e.value.details())


def test_registers_and_leaves(world):
    with Client(world) as client:
        client.until()
        vm = world.vm()
        vm.next(CDS)
        client.until("10.9.0.1")
        locality, ep = client.sees["10.9.0.1"]
        assert (locality.locality.region, locality.locality.zone) == ("x", "y")  # the node's, before the template's
        assert ep.endpoint.address.socket_address.port_value == 18080 and ep.load_balancing_weight.value == 3
        assert ep.metadata.filter_metadata["envoy.transport_socket_match"]["tlsMode"] == "istio"
        assert world.c.metric("auto_registration_success_total") == 1
        vm.close()
        vm = world.vm()  # back within the grace period: nothing happens to the endpoint
        vm.next(CDS)
        time.sleep(2.5)
        assert client.s.silent(0.1)
        assert world.c.metric("auto_registration_updates_total") == 1
        vm.close()
        assert client.until() >= 1.5
        assert world.c.metric("auto_registration_deletes_total") == 1


def test_health_takes_effect_at_once(world):
    """A probed workload gets nothing before its agent has said that it is well; the same on a stream of the other kind."""
    for delta in (True, False):
        with Client(world) as client:
            vm = world.vm("10.9.0.2", delta=delta, **PROBED)
            vm.next(CDS)
            assert client.until() < 20 and client.s.silent(0.5)
            vm.request(HEALTH)
            assert client.until("10.9.0.2") < 1
            vm.request(HEALTH, error="status 503")
            assert client.until() < 1
            vm.request(HEALTH)
            assert client.until("10.9.0.2") < 1
            assert vm.silent(0.2)  # never answered
            vm.close()
            client.until()


def test_health_of_an_entry_that_somebody_wrote(world):
    """WORKLOAD_ENTRY: no registration, but the same word; when it goes the entry stays, and counts as not probed yet."""
    with Client(world) as client:
        vm = world.vm("10.9.0.5", group=None, WORKLOAD_ENTRY="by-hand", **PROBED)
        vm.next(CDS)
        assert client.until() < 20
        vm.request(HEALTH)
        assert client.until("10.9.0.5") < 1
        vm.close()
        client.until()
    refused(world.vm("10.9.0.6", group=None, WORKLOAD_ENTRY="missing"), grpc.StatusCode.NOT_FOUND, "default/missing")


def test_refusals_say_why(world):
    errors = world.c.metric("auto_registration_errors_total")
    refused(world.vm("10.9.0.7", group="none"), grpc.StatusCode.NOT_FOUND, "WorkloadGroup default/none", "does not exist")
    refused(world.vm("10.9.0.7", channel=world.channel("other")), grpc.StatusCode.PERMISSION_DENIED, "service account is other, not vm")
    refused(world.vm("10.9.0.7", channel=grpc.insecure_channel(f"127.0.0.1:{world.c.grpc_port}")), grpc.StatusCode.PERMISSION_DENIED, "certificate or a token")
    refused(world.vm("10.9.0.66"), grpc.StatusCode.ALREADY_EXISTS, "WorkloadEntry default/vms-10.9.0.66", "was not registered")
    assert world.c.metric("auto_registration_errors_total") == errors + 4


def test_a_group_that_comes_later(world):
    world.c.write("late.yaml", "apiVersion: networking.istio.io/v1\nkind: WorkloadGroup\nmetadata: {name: late, namespace: default}\nspec: {template: {labels: {app: vm}}}\n")
    deadline = time.monotonic() + 10
    while True:
        vm = world.vm("10.9.0.8", group="late", channel=world.channel("anybody"))  # no account is asked for
        try:
            vm.next(CDS)
            break
        except grpc.RpcError:
            assert time.monotonic() < deadline
    with Client(world) as client:
        client.until("10.9.0.8")
    vm.close()


def test_switched_off(tmp_path):
    w = World(tmp_path, PILOT_ENABLE_WORKLOAD_ENTRY_AUTOREGISTRATION="false", PILOT_ENABLE_WORKLOAD_ENTRY_HEALTHCHECKS="false")
    with w.c, Client(w) as client:
        vm = w.vm(**PROBED)
        vm.next(CDS)
        vm.request(HEALTH)
        assert client.until() < 20 and client.s.silent(0.5)
        vm.close()
