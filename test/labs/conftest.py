"""One mesh with Bookinfo for each source, shared by all labs: an Envoy takes 65 MiB. Each test brings its own rules and takes them away."""
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from coxlab import Lab, programs  # noqa: E402
from coxlab.lab import eventually, request  # noqa: E402

CLIENT = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: client}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: client, labels: {app: client}}
spec:
  replicas: 1
  selector: {matchLabels: {app: client}}
  template:
    metadata: {labels: {app: client, version: v1}}
    spec:
      serviceAccountName: client
      containers:
      - {name: client, image: "coxswain.io/samples/bookinfo:latest", command: ["sleep", "infinity"]}
"""
OUTSIDE = CLIENT.replace("client", "outside").replace('["sleep", "infinity"]', '["python3", "/bookinfo.py", "ratings", "--version", "outside", "--port", "8080"], '
                                                      'ports: [{containerPort: 8080}]').replace("labels: {app: outside, version: v1}",
                                                                                                  'labels: {app: outside, sidecar.istio.io/inject: "false"}')


class Mesh:
    """A lab with Bookinfo, gateways and a client pod."""

    def __init__(self, source):
        self.source = source
        self.lab = lab = Lab(source=source)
        try:
            lab.start()
            lab.apply(os.path.join(programs.TREE, "manifests/ingress-gateway.yaml"), "istio-system")
            lab.apply(os.path.join(programs.TREE, "manifests/egress-gateway.yaml"), "istio-system")
            lab.namespace("outside")
            lab.apply("platform/kube/bookinfo.yaml")
            lab.apply(CLIENT)
            lab.apply(OUTSIDE, "outside")
            lab.wait_pods(10, timeout=120)
        except BaseException:
            lab.close()
            raise
        self.ingress = lab.pod("istio-system", istio="ingressgateway")
        self.client = lab.pod(app="client")
        self.outside = lab.pod("outside", app="outside")
        self.applied = []

    def apply(self, text_or_path, namespace="default"):
        """Rules that clear() takes away again."""
        self.applied.append((text_or_path, namespace))
        self.lab.apply(text_or_path, namespace)

    def clear(self):
        for text, namespace in reversed(self.applied):
            self.lab.delete(text, namespace)
        self.applied = []

    def get(self, path, host="bookinfo.example.com", port=8080, **kwargs):
        """At the ingress gateway, from outside."""
        return request(self.ingress.address, port, path, host=host, **kwargs)

    def reviews_version(self, user=None):
        """Which version of reviews a page of this user was made with."""
        answer = self.get("/api/v1/products/0/reviews", headers={"end-user": user} if user else {})
        assert answer.status == 200, answer
        return __import__("json").loads(answer.body)["version"]

    def wait_route(self):
        eventually(lambda: self.get("/productpage").status == 200, timeout=20)


@pytest.fixture(scope="session", params=("dir", "kube"))
def _mesh(request):
    mesh = Mesh(request.param)
    yield mesh
    mesh.lab.close()


@pytest.fixture
def mesh(_mesh, request):
    if _mesh.lab.daemon.poll() is not None:
        pytest.fail(f"coxswaind has ended with {_mesh.lab.daemon.returncode}:\n" + open(_mesh.lab.daemon_log).read()[-3000:])
    yield _mesh
    if getattr(request.node, "failed", False):
        print(_mesh.lab.describe())
    _mesh.clear()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.when == "call":
        item.failed = report.failed
