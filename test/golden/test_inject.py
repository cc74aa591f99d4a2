"""coxctl kube-inject: inject/<name>.yaml in, <name>.out.yaml out (what is told on standard error as its last comments), with
<name>.config.yaml, .values.yaml and .mesh.yaml as the injector's settings where they exist. `make golden` rewrites the outputs."""
import glob
import json
import os
import subprocess

import pytest
import yaml

import refdiff

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "inject")
NAMES = sorted(os.path.basename(p)[:-5] for p in glob.glob(os.path.join(HERE, "*.yaml")) if os.path.basename(p).count(".") == 1)
AGENT = os.path.join(os.path.dirname(refdiff.COXCTL), "cox-agent")


def inject(name, text=None):
    args = []
    for kind, flag in (("config", "--injectConfigFile"), ("values", "--valuesFile"), ("mesh", "--meshConfigFile")):
        path = os.path.join(HERE, f"{name}.{kind}.yaml")
        args += [flag, path] if os.path.exists(path) else []
    if text is None:
        with open(os.path.join(HERE, name + ".yaml")) as f:
            text = f.read()
    done = subprocess.run([refdiff.COXCTL, "kube-inject", "-f", "-", *args], input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def pods(text):
    """Every pod specification with its metadata."""
    def walk(v):
        if isinstance(v, dict):
            if "containers" in v.get("spec", {}) if isinstance(v.get("spec"), dict) else False:
                yield v
            for x in v.values():
                yield from walk(x)
        elif isinstance(v, list):
            for x in v:
                yield from walk(x)
    for doc in yaml.safe_load_all(text):
        yield from walk(doc)


def proxy_of(pod):
    return next(c for c in pod["spec"]["containers"] + pod["spec"].get("initContainers", []) if c["name"] == "istio-proxy")


@pytest.mark.parametrize("name", NAMES)
def test_case(name, rewrite):
    out, told = inject(name)
    have = out + "".join("# %s\n" % line for line in told.splitlines())
    path = os.path.join(HERE, name + ".out.yaml")
    if rewrite:
        with open(path, "w") as f:
            f.write(have)
    with open(path) as f:
        assert have == f.read()


@pytest.mark.parametrize("name", NAMES)
def test_injecting_again_changes_nothing(name):
    """covers: d7"""
    once, _ = inject(name)
    again, _ = inject(name, once)
    assert list(yaml.safe_load_all(again)) == list(yaml.safe_load_all(once))


def test_another_webhook_adds_a_probe_between():
    """covers: d7  What was turned to the agent before stays known; what is new is turned too."""
    docs = list(yaml.safe_load_all(inject("probes")[0]))
    app = next(c for c in docs[0]["spec"]["containers"] if c["name"] == "app")
    app["startupProbe"] = {"httpGet": {"path": "/new", "port": 8080}}
    pod = next(pods(inject("probes", yaml.safe_dump_all(docs))[0]))
    probers = json.loads(next(e["value"] for e in proxy_of(pod)["env"] if e["name"] == "ISTIO_KUBE_APP_PROBERS"))
    assert probers["/app-health/app/startupz"] == {"httpGet": {"path": "/new", "port": 8080}}
    assert probers["/app-health/app/readyz"]["httpGet"]["path"] == "/ok" and "/app-lifecycle/app/prestopz" in probers


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("gateway", "policy")])
def test_the_agent_takes_the_arguments(name):
    """covers: d16  What the init container and the proxy are started with is understood by cox-agent."""
    for pod in pods(inject(name)[0]):
        for container in pod["spec"].get("initContainers", []):
            if container["name"] not in ("istio-init", "istio-validation") or "--run-validation" in container["args"]:
                continue
            done = subprocess.run([AGENT, *container["args"], "--dry-run"], capture_output=True, text=True)
            assert done.returncode == 0 and "15006" in done.stdout, done.stderr
        done = subprocess.run([AGENT, *[a.replace("$(POD_NAMESPACE)", "shop") for a in proxy_of(pod)["args"]], "--bootstrap-only", "--identity", "none",
                               "--discovery", "127.0.0.1:1"], capture_output=True, text=True,
                              env={"POD_NAME": "p", "POD_NAMESPACE": "shop", "INSTANCE_IP": "10.0.0.1", "SERVICE_ACCOUNT": "web",
                                   **{e["name"]: e["value"] for e in proxy_of(pod)["env"] if "value" in e}})
        assert done.returncode == 0 and json.loads(done.stdout)["node"]["id"].startswith("sidecar~"), done.stderr


@pytest.mark.parametrize("pod,says", [
    ({"spec": {"containers": []}}, "spec.containers"),
    ({"spec": {"containers": [{"image": "x"}]}}, "item 0 has no name"),
    ({"metadata": {"annotations": {"inject.istio.io/templates": "nope"}}}, 'no template "nope"'),
    ({"metadata": {"annotations": {"sidecar.istio.io/interceptionMode": "MAYBE"}}}, "REDIRECT, TPROXY or NONE"),
    ({"metadata": {"annotations": {"sidecar.istio.io/userVolume": "{"}}}, "sidecar.istio.io/userVolume"),
    ({"metadata": {"annotations": {"proxy.istio.io/config": "[1]"}}}, "proxy.istio.io/config"),
    ({"metadata": {"annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "15020"}}}, "15020 is a port of the proxy"),
    ({"metadata": {"annotations": {"sidecar.istio.io/status": "{"}}}, "sidecar.istio.io/status"),
])
def test_refusals_name_the_field(pod, says):
    """covers: d19"""
    doc = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bad", **pod.get("metadata", {})},
           "spec": pod.get("spec", {"containers": [{"name": "a", "image": "b"}]})}
    done = subprocess.run([refdiff.COXCTL, "kube-inject", "-f", "-"], input=yaml.safe_dump(doc), capture_output=True, text=True)
    assert done.returncode == 1 and says in done.stderr and "bad" in done.stderr, done.stderr


def test_a_bad_configuration_is_refused(tmp_path):
    for text, says in (("policy: maybe", "enabled or disabled"), ("neverInjectSelector: [{matchExpressions: [{key: a, operator: Near}]}]", "Near"),
                       ("templates: {mine: \"a\\n{{ nope }}\"}", 'function "nope" is not known here (line 2)'),
                       ("templates: {mine: '{{ if }}'}", "missing value"), ("templates: [a]", "an object of texts"), ("templates: {a: 1}", "is not a text"), ("{", "istio-sidecar-injector")):
        (tmp_path / "c.yaml").write_text(text)
        done = subprocess.run([refdiff.COXCTL, "kube-inject", "-f", os.path.join(HERE, "plain.yaml"), "--injectConfigFile", str(tmp_path / "c.yaml")],
                              capture_output=True, text=True)
        assert done.returncode == 1 and says in done.stderr, done.stderr


@pytest.mark.parametrize("text,says", [
    ("{{ range 100000000 }}{{ end }}", "too many steps"),
    ("{{ define \"r\" }}{{ template \"r\" }}{{ end }}{{ template \"r\" }}", "nests too deep"),
    ("{{ .Spec.Nope }}", "can't evaluate field Nope in type v1.PodSpec"),
    ("{{ .Nope }}", "can't evaluate field Nope"),
    ("{{ .ProxyConfig.Tracing.Sampling }}", "nil pointer evaluating *istio.mesh.v1alpha1.Tracing.Sampling"),
    ("a: [", "what template mine made"),
    ("[1]", "not an object"),
    ("spec: {$retainKeys: [a]}", "the merge directive $retainKeys is not supported"),
    ("{{ fail \"not here\" }}", "not here"),
])
def test_a_failing_template_names_itself(text, says, tmp_path):
    """covers: d3"""
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"templates": {"mine": text}, "defaultTemplates": ["sidecar", "mine"]}))
    done = subprocess.run([refdiff.COXCTL, "kube-inject", "-f", os.path.join(HERE, "plain.yaml"), "--injectConfigFile", str(tmp_path / "c.yaml")],
                          capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and says in done.stderr and "mine" in done.stderr and "shop/web" in done.stderr, done.stderr
