"""Two machines register themselves through real agents; the application of one fails its probe, and a real Envoy's traffic goes around it.

covers: a141 a142 a143 a144 b9 b48 b49 i12
"""
import json
import threading
import time

import grpc
import pytest

import citadel
import meshtls
from agentlab import Agent, eventually, free_port
from coxswain import Coxswaind
from meshtls import ask

VIP, MACHINES = "127.0.0.1", ("127.0.77.11", "127.0.77.12")
MESH = """
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: vms, namespace: default}
spec: {template: {labels: {app: vm}}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: vms, namespace: default}
spec:
  hosts: [vms.example.internal]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: PORT, name: http, protocol: HTTP, targetPort: APP}]
  workloadSelector: {labels: {app: vm}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: vms, namespace: default}
spec: {host: vms.example.internal, trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}}
"""


class Machine:
    """An application, and an agent without an Envoy that registers it."""

    def __init__(self, world, ip):
        self.ip, self.app = ip, meshtls.App(ip, world.app_port, name=ip)
        probe = {"periodSeconds": 1, "failureThreshold": 1, "httpGet": {"path": "/health", "host": ip, "port": world.app_port}}
        self.agent = Agent(f"127.0.0.1:{world.tls_port}", world.root, token=world.issuer.token(sa="vm"), env={
            "DISABLE_ENVOY": "true", "ISTIO_META_AUTO_REGISTER_GROUP": "vms", "INSTANCE_IP": ip, "POD_NAME": "vm-" + ip.split(".")[-1], "SERVICE_ACCOUNT": "vm",
            "ISTIOD_SAN": "istiod.istio-system.svc", "PROXY_CONFIG": json.dumps({"terminationDrainDuration": "0s", "readinessProbe": probe})})

    def sick(self, is_sick):
        status, handler = (503 if is_sick else 200), self.app.server.RequestHandlerClass
        original = getattr(handler, "well", handler.do_GET)
        handler.well = original

        def do_GET(request):
            if request.path == "/health" and status != 200:
                request.send_response(status)
                request.send_header("Content-Length", "0")
                request.end_headers()
            else:
                original(request)
        handler.do_GET = do_GET

    def close(self):
        self.agent.close()
        self.app.close()


class World:
    def __init__(self, tmp):
        self.port, self.app_port, self.issuer = free_port(), free_port(), citadel.Issuer(tmp)
        self.c = Coxswaind({"mesh.yaml": MESH.replace("PORT", str(self.port)).replace("APP", str(self.app_port))},
                           env={"JWT_RULE": self.issuer.rule, "PILOT_WORKLOAD_ENTRY_GRACE_PERIOD": "500ms"}).wait_ready()
        self.tls_port = self.c._port("ads listening over TLS")
        key = citadel.Key(tmp)
        self.root = citadel.create(grpc.insecure_channel(f"127.0.0.1:{self.c.grpc_port}"), key.csr(), self.issuer.token())[-1]


class Load:
    """Requests one after the other: who answered, and when."""

    def __init__(self, port):
        self.port, self.answers, self.is_on = port, [], True
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while self.is_on:
            try:
                status, body = ask(VIP, self.port, header="vms.example.internal")
                who = body["app"] if status == 200 else f"status {status}"
            except OSError as e:
                who = f"error {e}"
            self.answers.append((time.monotonic(), who))
            time.sleep(0.005)

    def since(self, when):
        return {who for at, who in list(self.answers) if at >= when}

    def stop(self):
        self.is_on = False
        self.thread.join(10)


@pytest.fixture
def world(tmp_path):
    w = World(tmp_path)
    with w.c:
        yield w


def test_traffic_goes_around_a_sick_machine(world, tmp_path):
    one, two = (Machine(world, ip) for ip in MACHINES)
    try:
        with meshtls.Envoy(tmp_path, "client", "default", "127.0.0.1", world.c.grpc_port):
            def both():
                try:
                    return {ask(VIP, world.port, header="vms.example.internal")[1]["app"] for _ in range(8)} == set(MACHINES)
                except (OSError, TypeError):
                    return False
            eventually(both, 30)
            load = Load(world.port)
            two.sick(True)
            two.agent.wait_log("the application is unhealthy")
            told = time.monotonic()
            time.sleep(3)
            assert load.since(told + 1) == {one.ip}
            two.sick(False)
            two.agent.wait_log("the application is healthy")
            eventually(lambda: load.since(time.monotonic() - 0.5) == set(MACHINES), 15)
            two.agent.stop()  # the machine ends: its entry goes, and with it the endpoint
            gone = time.monotonic()
            time.sleep(3)
            assert load.since(gone + 2) == {one.ip}
            load.stop()
            assert {who for _, who in load.answers} == set(MACHINES) and len(load.answers) > 50
    finally:
        one.close()
        two.close()
