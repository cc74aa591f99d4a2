"""Labs 1 and 2 as the workshop has them, with kubectl and the files of manifests/ and samples/ unchanged: install, look, inject.

covers: h2 h3 h5 h15 h22 f11 d21
"""
import json
import os
import subprocess
import sys

import pytest
import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from coxlab import programs  # noqa: E402
from coxlab.installed import MANIFESTS, InstalledLab  # noqa: E402
from coxlab.lab import eventually, request  # noqa: E402

SAMPLES = os.path.join(programs.TREE, "samples/bookinfo")


@pytest.fixture(scope="module")
def lab():
    one = InstalledLab()
    try:
        one.start()
        one.kubectl("apply", "--server-side", "-f", os.path.join(MANIFESTS, "coxswain-crds.yaml"))
        one.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
        one.kubectl("apply", "-f", os.path.join(MANIFESTS, "coxswain.yaml"))
        yield one
    finally:
        one.close()


def names(lab, what, *args):
    return lab.kubectl("get", what, "-o", "name", *args).split()


def refused(lab, text):
    done = subprocess.run([lab.source.kubectl_path, "--kubeconfig", os.path.join(lab.source.dir, "kubeconfig"), "apply", "-f", "-"], input=text,
                          capture_output=True, text=True)
    assert done.returncode != 0, done.stdout
    return done.stderr


def test_lab1_the_control_plane_is_there(lab):
    crds = {c.split("/")[1] for c in names(lab, "crd")}
    assert {"gateways.networking.istio.io", "virtualservices.networking.istio.io", "destinationrules.networking.istio.io", "serviceentries.networking.istio.io",
            "peerauthentications.security.istio.io", "envoyfilters.networking.istio.io"} <= crds
    lab.wait_pods(2, timeout=60, namespace="istio-system")
    lab.kubectl("wait", "--for=condition=Available", "--timeout=60s", "-n", "istio-system", "deployment/istiod", "deployment/istio-ingressgateway")
    assert {"service/istiod", "service/istio-ingressgateway"} <= set(names(lab, "svc", "-n", "istio-system"))
    assert {"deployment.apps/istiod", "deployment.apps/istio-ingressgateway"} <= set(names(lab, "deploy", "-n", "istio-system"))
    for selector in ("app=istiod", "istio=pilot", "istio=ingressgateway"):
        assert len(names(lab, "pods", "-n", "istio-system", "-l", selector)) == 1, selector
    assert names(lab, "mutatingwebhookconfigurations", "-l", "istio=sidecar-injector") == ["mutatingwebhookconfiguration.admissionregistration.k8s.io/istio-sidecar-injector"]
    # The gateway went through the webhook, which the kube-apiserver reached by the Service.
    gateway = json.loads(lab.kubectl("get", "pods", "-n", "istio-system", "-l", "istio=ingressgateway", "-o", "json"))["items"][0]
    assert gateway["spec"]["containers"][0]["image"] == "coxswain.io/proxy:latest" and "sidecar.istio.io/status" in gateway["metadata"]["annotations"]
    log = open(lab.daemon_log).read()
    assert "orbidden" not in log, [line for line in log.splitlines() if "orbidden" in line]
    # covers: h15  A laptop's cluster has room for it.
    with open(f"/proc/{lab.daemon.pid}/status") as f:
        assert next(int(line.split()[1]) for line in f if line.startswith("VmRSS")) < 40 * 1024


@pytest.mark.parametrize("text,says", [
    ("apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: bad}\nspec: {hosts: [a], http: [{route: [{destination: {host: b}, weight: -1}]}]}\n",
     "spec.http[0].route[0].weight"),
    ("apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: bad}\nspec: {servers: [{port: {number: 99999, name: http, protocol: HTTP}, hosts: ['*']}]}\n",
     "spec.servers[0].port.number"),
    ("apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: bad}\nspec: {trafficPolicy: {connectionPool: {tcp: {maxConnections: x}}}}\n",
     "maxConnections")])
def test_lab1_wrong_yaml_is_refused_with_its_field(lab, text, says):
    eventually(lambda: json.loads(lab.kubectl("get", "validatingwebhookconfigurations", "istiod-default-validator", "-o", "json"))["webhooks"][0][
        "failurePolicy"] == "Fail", timeout=60)
    assert says in refused(lab, text)


def pod_shape(pod):
    """What injection made, without what a controller or the server gives each pod of its own."""
    spec = json.loads(json.dumps(pod["spec"]))
    for field in ("nodeName", "schedulerName", "tolerations", "enableServiceLinks", "preemptionPolicy", "priority"):
        spec.pop(field, None)
    made = {v["name"] for v in spec["volumes"] if v["name"].startswith("kube-api-access-")}
    spec["volumes"] = [v for v in spec["volumes"] if v["name"] not in made]
    for c in spec["containers"] + spec.get("initContainers", []):
        c["volumeMounts"] = [m for m in c.get("volumeMounts", []) if m["name"] not in made]
    return spec, pod["metadata"]["labels"], {k: v for k, v in pod["metadata"]["annotations"].items() if k != "kubectl.kubernetes.io/restartedAt"}


def only(full, given):
    """Of `full` what `given` has."""
    if isinstance(full, dict) and isinstance(given, dict):
        return {k: only(v, given[k]) for k, v in full.items() if k in given}
    if isinstance(full, list) and isinstance(given, list) and len(full) == len(given):
        return [only(f, g) for f, g in zip(full, given)]
    return full


def differences(a, b, at=""):
    """Of what was made by hand from what the webhook made. Ports and probes inside of variables: the webhook sees them with the server's defaults."""
    if isinstance(a, str) and isinstance(b, str) and a != b and a[:1] in ("[", "{"):
        given = json.loads(a)
        return differences(given, only(json.loads(b), given), at)
    if isinstance(a, dict) and isinstance(b, dict):
        return [d for k in sorted({*a, *b}) for d in differences(a.get(k), b.get(k), f"{at}.{k}")]
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return [d for i, (x, y) in enumerate(zip(a, b)) for d in differences(x, y, f"{at}[{i}]")]
    return [] if a == b else [(at, a, b)]


def test_lab2_pods_get_their_sidecars(lab):
    """Bookinfo in a labelled namespace, the same by hand in another one, untouched in a third; all of the samples' rules; it answers."""
    for ns in ("byhand", "plain"):
        lab.kubectl("create", "namespace", ns)
    lab.kubectl("label", "namespace", "default", "istio-injection=enabled")
    with open(os.path.join(SAMPLES, "platform/kube/bookinfo.yaml")) as f:
        details = yaml.safe_dump_all([d for d in yaml.safe_load_all(f) if d and "details" in d["metadata"]["name"]])
    config = json.loads(lab.kubectl("get", "configmap", "istio-sidecar-injector", "-n", "istio-system", "-o", "json"))["data"]
    mesh = json.loads(lab.kubectl("get", "configmap", "istio", "-n", "istio-system", "-o", "json"))["data"]["mesh"]
    flags = []
    for flag, text in (("--injectConfigFile", config["config"]), ("--valuesFile", config["values"]), ("--meshConfigFile", mesh)):
        path = os.path.join(lab.tmp, flag.strip("-"))
        with open(path, "w") as f:
            f.write(text)
        flags += [flag, path]
    injected = subprocess.run([programs.product("coxctl"), "kube-inject", "-f", "-", *flags], input=details, capture_output=True, text=True)
    assert injected.returncode == 0, injected.stderr
    lab.kubectl("apply", "-n", "byhand", "-f", "-", stdin=injected.stdout)
    lab.kubectl("apply", "-n", "plain", "-f", "-", stdin=details)
    lab.kubectl("apply", "-f", os.path.join(SAMPLES, "platform/kube/bookinfo.yaml"))
    lab.wait_pods(6, timeout=150, namespace="default")
    lab.wait_pods(1, timeout=60, namespace="byhand")
    lab.wait_pods(1, timeout=60, namespace="plain")

    pods = {ns: json.loads(lab.kubectl("get", "pods", "-n", ns, "-l", "app=details", "-o", "json"))["items"][0] for ns in ("default", "byhand", "plain")}
    assert [c["name"] for c in pods["default"]["spec"]["containers"]] == ["details", "istio-proxy"]
    assert [c["name"] for c in pods["default"]["spec"]["initContainers"]] == ["istio-init"]
    assert [c["name"] for c in pods["plain"]["spec"]["containers"]] == ["details"] and "initContainers" not in pods["plain"]["spec"]
    automatic, manual = pod_shape(pods["default"]), pod_shape(pods["byhand"])
    assert differences(json.loads(json.dumps(manual[0]).replace("/namespaces/byhand/", "/namespaces/default/")), automatic[0]) == []
    assert automatic[1].keys() == manual[1].keys() and automatic[2] == manual[2]

    # Every rule of the samples is taken as it is; the page is made of four services behind the gateway.
    for name in sorted(os.listdir(os.path.join(SAMPLES, "networking"))):
        lab.kubectl("apply", "--dry-run=server", "-f", os.path.join(SAMPLES, "networking", name))
    lab.kubectl("apply", "-f", os.path.join(SAMPLES, "networking/bookinfo-gateway.yaml"))
    gateway = lab.pod("istio-system", istio="ingressgateway")
    page = eventually(lambda: (lambda a: a if a.status == 200 else None)(request(gateway.address, 8080, "/productpage", host="bookinfo.example.com")), timeout=30)
    assert "reviews" in page.body.lower()
    eventually(lambda: lab.curl(lab.pod(app="productpage"), "http://details:9080/details/0").status == 200)
    stats = lab.stats(lab.pod(app="details"), "ssl.handshake")
    assert sum(stats.values()) > 0, "the sidecars speak mutual TLS"
