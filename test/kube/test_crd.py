"""What crd/*.yaml means to a real kube-apiserver: structural, three versions, columns, status; and it takes what we take."""
import glob
import json
import os

import pytest
import yaml

import kubelab
from kubelab import wait

CRDS = sorted(glob.glob(os.path.join(kubelab.TREE, "crd/*.yaml")))
GROUP = "networking.istio.io"
# A small object of each kind.
SMALL = {
    "VirtualService": {"hosts": ["a.example"], "http": [{"route": [{"destination": {"host": "a.example"}}]}]},
    "DestinationRule": {"host": "a.example", "subsets": [{"name": "v1", "labels": {"version": "v1"}}]},
    "Gateway": {"selector": {"istio": "ingressgateway"}, "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}]},
    "ServiceEntry": {"hosts": ["a.example"], "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}], "resolution": "DNS"},
    "Sidecar": {"egress": [{"hosts": ["./*"]}]},
    "WorkloadEntry": {"address": "10.0.0.1"},
    "WorkloadGroup": {"template": {"serviceAccount": "a"}, "probe": {"tcpSocket": {"port": 80}}},
    "EnvoyFilter": {"configPatches": [{"applyTo": "CLUSTER", "patch": {"operation": "MERGE", "value": {"connect_timeout": "1s"}}}]},
    "ProxyConfig": {"concurrency": 2, "environmentVariables": {"A": "b"}, "selector": {"matchLabels": {"app": "a"}}},
    "RateLimitPolicy": {"selector": {"matchLabels": {"app": "a"}}, "mode": "DRY_RUN", "limits": [{"name": "all", "requests": 5, "per": "1s"}]},
    "AuthorizationPolicy": {"action": "DENY", "rules": [{"from": [{"source": {"namespaces": ["a"]}}], "to": [{"operation": {"methods": ["GET"], "ports": ["80"]}}], "when": [{"key": "request.headers[a]", "values": ["b"]}]}]},
    "RequestAuthentication": {"selector": {"matchLabels": {"app": "a"}}, "jwtRules": [{"issuer": "a", "jwksUri": "https://a.example/keys", "timeout": "2s", "fromHeaders": [{"name": "x-jwt", "prefix": "Bearer "}]}]},
    "Telemetry": {"tracing": [{"randomSamplingPercentage": 12.5, "customTags": {"a": {"literal": {"value": "b"}}}}], "accessLogging": [{"filter": {"expression": "response.code >= 400"}}],
                  "metrics": [{"overrides": [{"match": {"metric": "REQUEST_COUNT"}, "tagOverrides": {"a": {"operation": "REMOVE"}}}]}]},
    "WasmPlugin": {"url": "oci://a.example/b:v1", "phase": "AUTHN", "priority": -3, "pluginConfig": {"a": [1, {"b": None}]}, "match": [{"mode": "SERVER", "ports": [{"number": 80}]}],
                   "vmConfig": {"env": [{"name": "A", "value": "b"}]}},
    "TrafficExtension": {"lua": {"inlineCode": "function envoy_on_request(h) end"}, "targetRefs": [{"kind": "Service", "name": "a"}]},
    "PeerAuthentication": {"mtls": {"mode": "STRICT"}, "portLevelMtls": {"8080": {"mode": "DISABLE"}}, "selector": {"matchLabels": {"app": "a"}}},
}
VERSIONS = {"EnvoyFilter": ("v1alpha3",), "PeerAuthentication": ("v1", "v1beta1"), "AuthorizationPolicy": ("v1", "v1beta1"), "RequestAuthentication": ("v1", "v1beta1"),
            "Telemetry": ("v1alpha1", "v1"), "WasmPlugin": ("v1alpha1",), "TrafficExtension": ("v1alpha1",), "ProxyConfig": ("v1beta1",), "RateLimitPolicy": ("v1alpha1",)}  # all others in three
COLUMNS = {
    "VirtualService": ["Name", "Gateways", "Hosts", "Age"], "DestinationRule": ["Name", "Host", "Age"], "Gateway": ["Name", "Age"],
    "ServiceEntry": ["Name", "Hosts", "Location", "Resolution", "Age"], "Sidecar": ["Name", "Age"], "WorkloadEntry": ["Name", "Age", "Address"],
    "PeerAuthentication": ["Name", "Mode", "Age"], "WorkloadGroup": ["Name", "Age"], "EnvoyFilter": ["Name", "Age"],
    "AuthorizationPolicy": ["Name", "Action", "Age"], "RequestAuthentication": ["Name", "Age"], "Telemetry": ["Name", "Age"], "WasmPlugin": ["Name", "Age"],
    "TrafficExtension": ["Name", "Age"], "ProxyConfig": ["Name", "Age"], "RateLimitPolicy": ["Name", "Mode", "Age"],
}


@pytest.fixture(scope="module")
def crds(lab):
    return {body["spec"]["names"]["kind"]: body for body in map(lab.crd, CRDS)}


def send(lab, method, path, body=None, accept="application/json", content_type="application/json"):
    """Status, parsed answer, warnings."""
    conn = lab.api.connect()
    conn.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": content_type, "Accept": accept})
    answer = conn.getresponse()
    data = answer.read()
    warnings = [v for k, v in answer.getheaders() if k.lower() == "warning"]
    conn.close()
    return answer.status, json.loads(data), warnings


def versions(kind):
    return VERSIONS.get(kind, ("v1", "v1beta1", "v1alpha3"))


def where(crds, kind, ns, version=None):
    version = version or versions(kind)[0]
    return f"/apis/{crds[kind]['spec']['group']}/{version}/namespaces/{ns}/{crds[kind]['spec']['names']['plural']}"


def test_established_and_structural(lab, crds):
    """covers: b32"""
    assert set(crds) == set(SMALL)
    for body in crds.values():
        name = body["metadata"]["name"]
        got = wait(lambda: lab.call("GET", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"))
        conditions = {c["type"]: c["status"] for c in got["status"]["conditions"]}
        assert conditions["Established"] == "True" and conditions["NamesAccepted"] == "True"
        assert conditions.get("NonStructuralSchema") != "True", name
        assert got["status"]["storedVersions"] == [versions(body["spec"]["names"]["kind"])[0]]
        assert sorted(v["name"] for v in got["spec"]["versions"] if v["served"]) == sorted(versions(body["spec"]["names"]["kind"]))
        assert all("status" in v["subresources"] for v in got["spec"]["versions"])


@pytest.mark.parametrize("kind", sorted(SMALL))
def test_written_in_each_version_read_in_each(lab, crds, ns, kind):
    """covers: b32"""
    group = crds[kind]["spec"]["group"]
    for written in versions(kind):
        name = f"x-{written}"
        body = {"apiVersion": f"{group}/{written}", "kind": kind, "metadata": {"name": name}, "spec": SMALL[kind]}
        status, answer, warnings = send(lab, "POST", where(crds, kind, ns, written) + "?fieldValidation=Strict", body)
        assert (status, warnings) == (201, []), answer
        for read in versions(kind):
            got = lab.call("GET", f"{where(crds, kind, ns, read)}/{name}")
            assert got["apiVersion"] == f"{group}/{read}" and got["spec"] == SMALL[kind]
    # The status is written apart, and the spec is not written with it.
    first = versions(kind)[0]
    path = f"{where(crds, kind, ns)}/x-{first}/status?fieldManager=test&force=true"
    got = lab.apply(path, {"apiVersion": f"{group}/{first}", "kind": kind, "metadata": {"name": f"x-{first}"}, "status": {"conditions": [
        {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "in force", "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z"}]}})
    assert got["status"]["conditions"][0]["message"] == "in force" and got["spec"] == SMALL[kind] and got["metadata"]["generation"] == 1


@pytest.mark.parametrize("kind", sorted(SMALL))
def test_columns_and_short_names(lab, crds, ns, kind):
    lab.apply(f"{where(crds, kind, ns)}/x", {"apiVersion": f"{crds[kind]['spec']['group']}/{versions(kind)[0]}", "kind": kind, "metadata": {"name": "x"}, "spec": SMALL[kind]})
    for version in versions(kind):
        status, table, _ = send(lab, "GET", where(crds, kind, ns, version), accept="application/json;as=Table;v=v1;g=meta.k8s.io")
        assert status == 200 and [c["name"] for c in table["columnDefinitions"]] == COLUMNS[kind]
    row = dict(zip(COLUMNS[kind], table["rows"][0]["cells"]))
    assert row["Name"] == "x" and all(row[c] for c in COLUMNS[kind] if c not in ("Gateways", "Location"))


BAD = {
    "enum": ("ServiceEntry", {"resolution": "SOMEHOW"}, "spec.resolution"),
    "bound": ("VirtualService", {"http": [{"fault": {"abort": {"httpStatus": 99}}, "route": [{"destination": {"host": "a"}}]}]}, "httpStatus"),
    "type": ("VirtualService", {"hosts": "a.example"}, "spec.hosts"),
    "unknown": ("VirtualService", {"http": [{"rout": []}]}, "unknown field \"spec.http[0].rout\""),
    "duration": ("VirtualService", {"http": [{"timeout": "soon", "route": [{"destination": {"host": "a"}}]}]}, "timeout"),
}


@pytest.mark.parametrize("case", sorted(BAD))
def test_the_server_refuses(lab, crds, ns, case):
    """covers: d30"""
    kind, change, says = BAD[case]
    body = {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": {"name": "bad"}, "spec": {**SMALL[kind], **change}}
    status, answer, _ = send(lab, "POST", where(crds, kind, ns) + "?fieldValidation=Strict&dryRun=All", body)
    assert status in (400, 422) and says in answer["message"], answer


def documents():
    """Every object of our kinds in our tests and samples, once."""
    seen = {}
    for pattern in ("test/golden/cases/*/in.yaml", "test/golden/envoyfilter/*.yaml", "test/golden/reference/*/objects.yaml", "samples/**/*.yaml", "manifests/**/*.yaml"):
        for path in sorted(glob.glob(os.path.join(kubelab.TREE, pattern), recursive=True)):
            with open(path) as f:
                if "/templates/" in path:  # of charts: no YAML yet
                    continue
                for doc in yaml.safe_load_all(f):
                    if isinstance(doc, dict) and str(doc.get("apiVersion", "")).startswith((GROUP, "security.istio.io", "telemetry.istio.io", "extensions.istio.io", "traffic.coxswain.io")):
                        seen[json.dumps(doc, sort_keys=True, default=str)] = (path, doc)
    return list(seen.values())


def test_it_takes_what_we_take(lab, crds, ns):
    """The schemas of all objects that golden cases, references and samples use: an object that works offline works in a cluster. covers: b32"""
    bad, other = [], set()
    all_documents = documents()
    for path, doc in all_documents:
        doc = json.loads(json.dumps(doc, default=str))
        if doc["kind"] not in crds:
            other.add(doc["kind"])
            continue
        doc["metadata"] = {"name": doc["metadata"]["name"], "namespace": ns}
        doc.pop("status", None)
        version = doc["apiVersion"].split("/")[1]
        status, answer, warnings = send(lab, "POST", where(crds, doc["kind"], ns, version) + "?fieldValidation=Strict&dryRun=All", doc)
        if status != 201:
            bad.append("%s %s %s: %s" % (os.path.relpath(path, kubelab.TREE), doc["kind"], doc["metadata"]["name"], answer.get("message")))
    assert not bad, "\n".join(bad)
    assert len(all_documents) > 100 and not other, "kinds that have no schema"


BROKEN_RULES = [
    ("AuthorizationPolicy", {"selector": {"matchLabels": {"a": "b"}}, "targetRefs": [{"kind": "Service", "name": "a"}]}, "at most one of selector, targetRef, targetRefs"),
    ("AuthorizationPolicy", {"selector": {"matchLabels": {"a": "b*"}}}, "a label's value has no wildcards"),
    ("AuthorizationPolicy", {"rules": [{"from": [{"source": {"namespaces": ["a"], "serviceAccounts": ["b"]}}]}]}, "serviceAccounts cannot stand beside"),
    ("RequestAuthentication", {"jwtRules": [{"issuer": "a", "jwksUri": "ftp://a"}]}, "begins with http:// or https://"),
    ("RequestAuthentication", {"jwtRules": [{"issuer": "a", "jwksUri": "https://a", "jwks": "{}"}]}, "at most one of jwks, jwksUri"),
    ("PeerAuthentication", {"portLevelMtls": {"80": {"mode": "STRICT"}}}, "portLevelMtls needs selector.matchLabels"),
    ("Telemetry", {"metrics": [{"overrides": [{"tagOverrides": {"a": {"operation": "REMOVE", "value": "b"}}}]}]}, "only with operation UPSERT"),
    ("WasmPlugin", {"url": "ftp://a"}, "the scheme must be one of"),
    ("WasmPlugin", {"url": "a", "match": [{"ports": [{"number": 80}, {"number": 80}]}]}, "Duplicate value"),
    ("TrafficExtension", {"lua": {"inlineCode": "a"}, "wasm": {"url": "b"}}, "one of wasm, lua must be set"),
    ("ServiceEntry", {"hosts": ["a.b"], "ports": [{"number": 80, "name": "a"}, {"number": 80, "name": "b"}]}, "two ports have the same number"),
    ("ServiceEntry", {"hosts": ["a.b"], "ports": [{"number": 80, "name": "a"}], "endpoints": [{"address": "1.2.3.4"}]}, "resolution NONE takes no endpoints"),
    ("WorkloadEntry", {"address": "unix:///a", "ports": {"a": 1}}, "a unix socket has no ports"),
    ("DestinationRule", {"host": "a", "trafficPolicy": {"connectionPool": {"tcp": {"connectTimeout": "1us"}}}}, "must be at least 1ms"),
]


@pytest.mark.parametrize("case", range(len(BROKEN_RULES)))
def test_rules_in_the_schema(lab, crds, ns, case):
    """covers: d32"""
    kind, spec, says = BROKEN_RULES[case]
    for version in versions(kind):
        body = {"apiVersion": f"{crds[kind]['spec']['group']}/{version}", "kind": kind, "metadata": {"name": "bad"}, "spec": spec}
        status, answer, _ = send(lab, "POST", where(crds, kind, ns, version) + "?dryRun=All", body)
        assert status == 422 and says in answer["message"], answer


def test_stable_channel(lab, crds, ns):
    """manifests/stable-channel.yaml refuses what is experimental, and nothing else. covers: d27"""
    group = "/apis/admissionregistration.k8s.io/v1"
    with open(os.path.join(kubelab.TREE, "manifests/stable-channel.yaml")) as f:
        made = list(yaml.safe_load_all(f))
    policies, bindings = ([o for o in made if o["kind"] == kind] for kind in ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"))
    policy = next(p for p in policies if p["metadata"]["name"] == "stable-channel-default-policy.istio.io")
    binding = next(b for b in bindings if b["spec"]["policyName"] == policy["metadata"]["name"])
    # Between them the policies hold every object: without a revision's label, and with it.
    assert sorted(p["spec"]["matchConstraints"]["objectSelector"]["matchExpressions"][0]["operator"] for p in policies) == ["DoesNotExist", "In"]
    assert all(p["spec"]["validations"] == policy["spec"]["validations"] for p in policies) and len(bindings) == 2
    # Other tests use the same server: here it is held to this test's namespace.
    policy["spec"]["matchConstraints"]["namespaceSelector"] = {"matchLabels": {"kubernetes.io/metadata.name": ns}}
    paths = [f"{group}/validatingadmissionpolicies/{policy['metadata']['name']}", f"{group}/validatingadmissionpolicybindings/{binding['metadata']['name']}"]

    def put(kind, change):
        spec = {**SMALL[kind], **change}
        body = {"apiVersion": f"{crds[kind]['spec']['group']}/{versions(kind)[0]}", "kind": kind, "metadata": {"name": "x"}, "spec": spec}
        status, answer, _ = send(lab, "POST", where(crds, kind, ns) + "?dryRun=All", body)
        return status, answer.get("message", "")

    try:
        lab.apply(paths[0], policy)
        lab.apply(paths[1], binding)
        wait(lambda: put("EnvoyFilter", {})[0] == 422, 30)
        assert "EnvoyFilter is not in the stable channel" in put("EnvoyFilter", {})[1]
        for kind, change, says in (("WasmPlugin", {}, "WasmPlugin is not"), ("ProxyConfig", {}, "ProxyConfig is not"), ("Telemetry", {}, "spec.accessLogging[].filter"),
                                   ("Telemetry", {"accessLogging": [], "metrics": [{"reportingInterval": "5s"}]}, "reportingInterval"),
                                   ("Telemetry", {"accessLogging": [], "tracing": [{"useRequestIdForTraceSampling": False}]}, "useRequestIdForTraceSampling"),
                                   ("AuthorizationPolicy", {"rules": [{"from": [{"source": {"trustDomains": ["a"]}}]}]}, "trustDomains")):
            status, message = put(kind, change)
            assert status == 422 and says in message, message
        for kind, change in (("VirtualService", {}), ("AuthorizationPolicy", {}), ("Telemetry", {"accessLogging": [{"disabled": True}]})):
            assert put(kind, change)[0] == 201
        assert lab.call("GET", paths[0]).get("status", {}).get("typeChecking", {}).get("expressionWarnings") is None
    finally:
        for path in reversed(paths):
            lab.delete(path)
