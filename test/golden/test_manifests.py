"""The charts, rendered by coxctl and by Helm, give the same objects; manifests/*.yaml are what the charts give.

covers: h1 h2 h3 h4 h5 h7 h8 h9 h13 h14 f11
"""
import json
import os
import re
import subprocess
import sys

import pytest
import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from coxlab import programs  # noqa: E402

COXCTL = programs.product("coxctl")
CHARTS = os.path.join(programs.TREE, "manifests/charts")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def run(*argv, stdin=None, ok=True):
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True)
    assert not ok or done.returncode == 0, done.stderr
    return done.stdout if ok else done


def load(text):
    """{(kind, namespace, name): object}; nothing is there twice."""
    docs = [d for d in yaml.load_all(text, Loader=LOADER) if d]
    found = {(d["kind"], d["metadata"].get("namespace", ""), d["metadata"]["name"]): d for d in docs}
    assert len(found) == len(docs)
    return found


def generate(*sets):
    return load(run(COXCTL, "manifest", "generate", *[w for s in sets for w in ("--set", s)]))


def by_helm(*sets):
    """With the values that `coxctl manifest translate` says."""
    found = {}
    for doc in yaml.safe_load_all(run(COXCTL, "manifest", "translate", *[w for s in sets for w in ("--set", s)])):
        found.update(load(run(programs.judge("helm"), "template", doc["release"], os.path.join(CHARTS, doc["chart"]), "-n", doc["namespace"], "-f", "-",
                              stdin=json.dumps(doc["values"]))))
    return found


SETTINGS = {
    "default": ["profile=default"], "demo": ["profile=demo"], "minimal": ["profile=minimal"], "stable": ["profile=stable"], "preview": ["profile=preview"],
    "openshift": ["profile=openshift"], "remote": ["profile=remote", "values.global.remotePilotAddress=192.0.2.9"],
    "remote by name": ["profile=remote", "values.global.remotePilotAddress=istiod.example", "values.istiodRemote.injectionURL=https://istiod.example:15017/inject"],
    "empty": ["profile=empty", "components.pilot.enabled=true"],
    "revision": ["revision=canary", "values.revisionTags={prod,default}", "values.defaultRevision=canary"],
    "everything": ["values.global.networkPolicy.enabled=true", "values.monitoring.enabled=true", "values.monitoring.dashboards=true",
                   "components.pilot.k8s.replicaCount=3", "values.pilot.autoscaleEnabled=false", "values.pilot.env.A=b", "values.pilot.env.N=1",
                   "values.global.certSigners={a/b}", "values.jwksResolverExtraRootCA=PEM", "hub=r.example/x", "tag=1.2", "values.global.variant=debug",
                   "meshConfig.accessLogFile=/dev/stdout", "meshConfig.defaultConfig.proxyMetadata.X=y", "values.sidecarInjectorWebhook.enableNamespacesByDefault=true",
                   r"values.sidecarInjectorWebhook.injectedAnnotations.container\.apparmor\.security\.beta\.kubernetes\.io/istio-proxy=runtime/default",
                   "components.egressGateways[0].enabled=true", "components.egressGateways[0].k8s.hpaSpec.minReplicas=2",
                   "values.gateways.istio-egressgateway.podDisruptionBudget.minAvailable=1"],
    "scopes": ["values.global.resourceScope=cluster"], "namespaced": ["values.global.resourceScope=namespace"],
    **{p: [f"values.global.platform={p}"] for p in ("gke", "k3d", "k3s", "microk8s", "minikube")},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_coxctl_and_helm_agree(name):
    ours, theirs = generate(*SETTINGS[name]), by_helm(*SETTINGS[name])
    assert sorted(ours) == sorted(theirs)
    for key, obj in ours.items():
        assert obj == theirs[key], key
    assert ours or name == "scopes"


def test_manifests_are_up_to_date(tmp_path):
    run(os.path.join(programs.TREE, "hack/manifests"), str(tmp_path))
    for name in sorted(os.listdir(tmp_path)):
        with open(tmp_path / name) as new, open(os.path.join(programs.TREE, "manifests", name)) as old:
            assert new.read() == old.read(), f"manifests/{name}: run make manifests"


def test_dashboards_show_what_there_is(tmp_path):
    """Each metric is one of ours or of the mesh's proxies; each query is closed; the files are what hack/dashboards makes."""
    with open(os.path.join(programs.TREE, "lib/base/metric.def")) as f:
        ours = set(re.findall(r'^X\(\w+, *\w+, *"(\w+)"', f.read(), flags=re.M))
    proxies = {"istio_requests_total", "istio_request_duration_milliseconds", "istio_tcp_sent_bytes_total", "istio_tcp_received_bytes_total",
               "istio_tcp_connections_opened_total", "envoy_server_memory_allocated", "process_resident_memory_bytes", "process_cpu_seconds_total"}
    run(os.path.join(programs.TREE, "hack/dashboards"), str(tmp_path))
    folder = os.path.join(CHARTS, "istiod/files/dashboards")
    assert sorted(os.listdir(tmp_path)) == sorted(os.listdir(folder))
    for name in os.listdir(folder):
        with open(os.path.join(folder, name)) as f, open(tmp_path / name) as new:
            text = f.read()
            assert text == new.read(), "run make manifests"
        for expr in [t["expr"] for p in json.loads(text)["panels"] for t in p.get("targets", [])]:
            assert expr.count("(") == expr.count(")") and expr.count("{") == expr.count("}")
            for metric in re.findall(r"\b((?:pilot|coxswain|galley|sidecar|istio|envoy|process)_\w+)", expr):
                assert re.sub("_bucket$", "", metric) in ours | proxies, metric


def test_addons_are_named_as_labs_look_for_them():
    """covers: h5"""
    for name, port in (("prometheus", 9090), ("grafana", 3000)):
        with open(os.path.join(programs.TREE, f"samples/addons/{name}.yaml")) as f:
            found = load(f.read())
        assert found[("Service", "istio-system", name)]["spec"]["ports"][0]["port"] == port
        pod = found[("Deployment", "istio-system", name)]["spec"]["template"]
        assert pod["metadata"]["labels"]["sidecar.istio.io/inject"] == "false" and pod["spec"]["securityContext"]["runAsNonRoot"]
        made = {v["configMap"]["name"] for v in pod["spec"]["volumes"] if "configMap" in v}
        assert all(("ConfigMap", "istio-system", n) in found for n in made)
    boards = generate("profile=minimal", "values.monitoring.dashboards=true")
    assert ("ConfigMap", "istio-system", "coxswain-dashboard-mesh") in boards


def test_names_that_labs_and_tools_look_for():
    """covers: h5"""
    found = generate("profile=demo")
    for key in [("Deployment", "istiod"), ("Service", "istiod"), ("ConfigMap", "istio"), ("ConfigMap", "istio-sidecar-injector"), ("ServiceAccount", "istiod"),
                ("Service", "istio-ingressgateway"), ("Deployment", "istio-ingressgateway"), ("Deployment", "istio-egressgateway"),
                ("ServiceAccount", "istio-ingressgateway-service-account")]:
        assert (key[0], "istio-system", key[1]) in found, key
    hook = found[("MutatingWebhookConfiguration", "", "istio-sidecar-injector")]
    assert hook["metadata"]["labels"]["istio"] == "sidecar-injector" and hook["metadata"]["labels"]["app"] == "sidecar-injector"
    pod = found[("Deployment", "istio-system", "istiod")]["spec"]["template"]
    assert pod["metadata"]["labels"]["app"] == "istiod" and pod["metadata"]["labels"]["istio"] == "pilot"
    ports = {p["port"]: p.get("targetPort", p["port"]) for p in found[("Service", "istio-system", "istiod")]["spec"]["ports"]}
    assert ports == {15010: 15010, 15012: 15012, 443: 15017, 15014: 15014}
    gateway = found[("Deployment", "istio-system", "istio-ingressgateway")]["spec"]["template"]["metadata"]["labels"]
    assert gateway["app"] == "istio-ingressgateway" and gateway["istio"] == "ingressgateway"


def test_the_control_plane_has_no_rights_on_its_node():
    """covers: h7 h15"""
    spec = generate()[("Deployment", "istio-system", "istiod")]["spec"]["template"]["spec"]
    c = spec["containers"][0]
    assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert c["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "runAsNonRoot": True, "privileged": False,
                                    "capabilities": {"drop": ["ALL"]}}
    assert c["resources"]["requests"] == {"cpu": "50m", "memory": "64Mi"}
    assert spec["affinity"]["podAntiAffinity"] and spec["topologySpreadConstraints"]


def test_revisions_stand_side_by_side():
    """covers: h8 h9  Nothing of one revision is an object of another, but what belongs to the cluster."""
    one, two = generate("profile=minimal"), generate("profile=minimal", "revision=canary", "values.revisionTags={prod}")
    shared = set(one) & set(two)
    assert {k[0] for k in shared} <= {"CustomResourceDefinition", "ServiceAccount"} and ("ServiceAccount", "istio-system", "istiod") not in shared
    assert ("ValidatingWebhookConfiguration", "", "istiod-default-validator") not in two
    canary = two[("Deployment", "istio-system", "istiod-canary")]
    assert canary["spec"]["selector"]["matchLabels"] == {"app": "istiod", "istio.io/rev": "canary"} and "--revision=canary" in canary["spec"]["template"]["spec"]["containers"][0]["args"]
    assert {h["clientConfig"]["service"]["name"] for k in two if k[0] == "MutatingWebhookConfiguration" for h in two[k]["webhooks"]} == {"istiod-canary"}
    names = {v for e in two[("MutatingWebhookConfiguration", "", "istio-revision-tag-prod")]["webhooks"][0]["namespaceSelector"]["matchExpressions"] for v in e.get("values", [])}
    assert "prod" in names and "canary" not in names
    assert two[("Service", "istio-system", "istiod-revision-tag-prod")]["spec"]["selector"]["istio.io/rev"] == "canary"


def test_selectors_are_istios():
    """covers: h11 h12  A Deployment's selector and a HorizontalPodAutoscaler's aim cannot be changed: both installations can take each other's place."""
    chart = os.path.join(programs.judge("istio"), "manifests/charts/istio-control/istio-discovery")
    for sets in ([], ["revision=canary"]):
        theirs = load(run(programs.judge("helm"), "template", "istiod", chart, "-n", "istio-system", *[w for s in sets for w in ("--set", s)]))
        ours = generate("profile=minimal", *sets)
        # What only istiod does: deployments of Gateway API gateways.
        missing = [k for k in theirs if k not in ours and "gateway-controller" not in k[2]]
        assert missing == []
        for key in theirs:
            if key[0] == "Deployment":
                assert theirs[key]["spec"]["selector"] == ours[key]["spec"]["selector"]
            if key[0] == "Service":
                assert theirs[key]["spec"]["selector"] == ours[key]["spec"]["selector"]


def test_every_kind_that_is_watched_may_be_watched():
    """covers: h6  A new row of lib/model/kind.def needs its right."""
    may = set()
    for rule in generate("profile=minimal")[("ClusterRole", "", "istiod-clusterrole-istio-system")]["rules"]:
        if {"list", "watch"} <= set(rule["verbs"]):
            may |= {(g, r) for g in rule["apiGroups"] for r in rule["resources"]}
    with open(os.path.join(programs.TREE, "lib/model/kind.def")) as f:
        rows = re.findall(r'^X\(\w+, *"\w+", *"([^"]*)", *"(\w+)"', f.read(), flags=re.M)
    assert len(rows) > 30
    assert [r for r in rows if r not in may and (r[0], "*") not in may] == []


@pytest.mark.parametrize("args,says", [
    (["--set", "profile=nothing"], 'there is no profile "nothing"'), (["--set", "colour=red"], "colour: is no setting"),
    (["--set", "components.cni.enabled=true"], "components.cni: is not in this installation"), (["--set", "components.x.enabled=true"], "components.x: is no component"),
    (["--set", "values"], "--set needs path=value"), (["--set", "a[x=1"], "[ without ]"), (["--set", "hub.x[=1"], "[ without ]"),
    (["--set", "components.pilot.k8s.overlays[0].kind=x"], "components.pilot.k8s.overlays: cannot be set here"),
    (["--set", "values.global.platform=moon"], 'there is no platform "moon"'), (["-f", "/nothing.yaml"], "/nothing.yaml"),
    (["-d", "/nothing"], "/nothing is no folder")])
def test_wrong_settings_are_named(args, says):
    done = run(COXCTL, "manifest", "generate", *args, ok=False)
    assert done.returncode == 1 and says in done.stderr, done.stderr


def test_files_are_laid_over_each_other(tmp_path):
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text("apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nmetadata: {namespace: mesh}\nspec:\n  profile: minimal\n  hub: one\n"
                   "  components:\n    ingressGateways:\n    - {name: mine, enabled: true, namespace: edge, label: {istio: mine}}\n")
    two.write_text("kind: IstioOperator\nspec: {hub: two, meshConfig: {accessLogFile: /dev/null}}\n")
    found = load(run(COXCTL, "manifest", "generate", "-f", str(one), "-f", str(two), "--set", "tag=9"))
    assert found[("Deployment", "mesh", "istiod")]["spec"]["template"]["spec"]["containers"][0]["image"] == "two/coxswaind:9"
    assert found[("Deployment", "edge", "mine")]["spec"]["selector"]["matchLabels"] == {"app": "mine", "istio": "mine"}
    assert ("Deployment", "mesh", "istio-ingressgateway") not in found
    assert "accessLogFile: /dev/null" in found[("ConfigMap", "mesh", "istio")]["data"]["mesh"]
    assert found[("MutatingWebhookConfiguration", "", "istio-sidecar-injector-mesh")]
