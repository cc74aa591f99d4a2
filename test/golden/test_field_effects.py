"""Every leaf field of the routing kinds is set by some golden input whose expected output changes when the field is taken away: so no field
is parsed, checked and then forgotten. The schemas in crd/ (made from the field tables) say which fields there are.

covers: a1 a58 a106 a127 a140 a145
"""
import concurrent.futures
import copy
import glob
import json
import os
import re
import subprocess

import pytest
import yaml

import refdiff
from test_cases import CASES, header, shown

# The same message stands at several places; a field is asked for at one of them, and each block at each of them (BLOCKS).
SAME = [(r"(\.match\[\]\.(?:headers|withoutHeaders|queryParams))\.[^.]+", r"\1{}"), (r"spec\.subsets\[\]\.trafficPolicy\b", "spec.trafficPolicy"), (r"\.trafficPolicy\.portLevelSettings\[\]", ".trafficPolicy"),
        (r"\.http\[\]\.mirror\.", ".http[].route[].destination."), (r"\.mirrors\[\]\.destination\.", ".route[].destination."),
        (r"\.(tls|tcp)\[\]\.route\[\]\.destination\.", ".http[].route[].destination."),
        (r"\.egress\[\]\.port\.", ".ingress[].port."), (r"spec\.inboundConnectionPool\.", "spec.ingress[].connectionPool."),
        (r"spec\.trafficPolicy\.loadBalancer\.zoneAwareLbSetting\..*", "spec.trafficPolicy.loadBalancer.zoneAwareLbSetting"),
        (r"spec\.ingress\[\]\.tls\..*", "spec.ingress[].tls"), (r"spec\.endpoints\[\]\.", "spec.")]
BLOCKS = {
    "DestinationRule": ["spec.subsets[].trafficPolicy." + b for b in ("loadBalancer", "connectionPool", "outlierDetection", "tls")] +
                       ["spec.trafficPolicy.portLevelSettings[]." + b for b in ("loadBalancer", "connectionPool", "outlierDetection", "tls")],
    "VirtualService": ["spec.http[].mirror", "spec.http[].mirrors[].destination.port", "spec.tls[].route[].destination.port", "spec.tcp[].route[].destination.port",
                       "spec.http[].route[].headers", "spec.http[].headers"],
    "Sidecar": ["spec.inboundConnectionPool", "spec.egress[].port"],
}
KINDS = {"VirtualService": "virtualservices", "DestinationRule": "destinationrules", "Gateway": "gateways", "ServiceEntry": "serviceentries",
         "WorkloadEntry": "workloadentries", "Sidecar": "sidecars"}
# Fields without an effect on what a proxy gets, with the reason.
EXCEPT = {
    ("DestinationRule", "spec.trafficPolicy.loadBalancer.zoneAwareLbSetting"): "needs a local_cluster in every proxy's bootstrap",
    ("Gateway", "spec.servers[].tls.tlsCertificates[].caCertificates"): "not part of a certificate: caCertificates of the server is",
    ("Gateway", "spec.servers[].port.targetPort"): "deprecated, and no effect in Istio",
    ("Gateway", "spec.servers[].defaultEndpoint"): "no effect in Istio",
    ("Sidecar", "spec.ingress[].port.targetPort"): "no effect in Istio: defaultEndpoint is for that",
    ("Sidecar", "spec.ingress[].port.name"): "a name for readers",
    ("Sidecar", "spec.ingress[].tls"): "the sidecar ends the mesh's TLS alone",
    ("Sidecar", "spec.ingress[].connectionPool.http.h2UpgradePolicy"): "of clients",
    ("Sidecar", "spec.ingress[].connectionPool.http.useClientProtocol"): "of clients",
    ("VirtualService", "spec.tcp[].match[].sourceSubnet"): "no effect in Istio",
    ("VirtualService", "spec.http[].fault.delay.exponentialDelay"): "no proxy has it",
    ("VirtualService", "spec.http[].fault.abort.http2Error"): "no proxy has it",
}
# Each of those that a user would miss is said when it is set.
NO_EFFECT = {
    "zoneAwareLbSetting": ("DestinationRule", "{host: a, trafficPolicy: {loadBalancer: {simple: RANDOM, zoneAwareLbSetting: {enabled: true}}}}"),
    "caCertificates": ("Gateway", "{selector: {a: b}, servers: [{port: {number: 443, name: https, protocol: HTTPS}, hosts: ['*'], tls: {mode: MUTUAL, caCertificates: /ca.pem,"
                       " tlsCertificates: [{serverCertificate: /c.pem, privateKey: /k.pem, caCertificates: /ca.pem}]}}]}"),
    "port.targetPort": ("Gateway", "{selector: {a: b}, servers: [{port: {number: 80, name: http, protocol: HTTP, targetPort: 81}, hosts: ['*']}]}"),
    "defaultEndpoint": ("Gateway", "{selector: {a: b}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*'], defaultEndpoint: '127.0.0.1:1'}]}"),
    "targetPort": ("Sidecar", "{ingress: [{port: {number: 80, name: http, protocol: HTTP, targetPort: 81}}]}"),
    "tls": ("Sidecar", "{ingress: [{port: {number: 443, name: https, protocol: HTTPS}, tls: {mode: SIMPLE, serverCertificate: /c.pem, privateKey: /k.pem}}]}"),
    "useClientProtocol": ("Sidecar", "{inboundConnectionPool: {http: {useClientProtocol: true}}}"),
    "sourceSubnet": ("VirtualService", "{hosts: [a], tcp: [{match: [{port: 1, sourceSubnet: 10.0.0.0/8}], route: [{destination: {host: a}}]}]}"),
    "exponentialDelay": ("VirtualService", "{hosts: [a], http: [{fault: {delay: {exponentialDelay: 1s}}, route: [{destination: {host: a}}]}]}"),
    "http2Error": ("VirtualService", "{hosts: [a], http: [{fault: {abort: {http2Error: REFUSED_STREAM, percentage: {value: 1}}}, route: [{destination: {host: a}}]}]}"),
}
POD = """apiVersion: v1
kind: Pod
metadata: {name: a, namespace: default}
spec: {containers: [{name: app, image: app}]}
status: {podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}]}
---
"""


def leaves(schema, path):
    """Paths of all fields without fields of their own."""
    if "properties" in schema:
        for name, sub in schema["properties"].items():
            yield from leaves(sub, path + "." + name if path else name)
    elif schema.get("type") == "array" and "items" in schema:
        yield from leaves(schema["items"], path + "[]")
    elif isinstance(schema.get("additionalProperties"), dict) and "properties" in schema["additionalProperties"]:
        yield from leaves(schema["additionalProperties"], path + "{}")
    else:
        yield path[:-2] if path.endswith("[]") else path, schema


def same(path):
    for pattern, by in SAME:
        path = re.sub(pattern, by, path)
    return path


def wanted():
    out = {}
    for kind, plural in KINDS.items():
        with open(os.path.join(refdiff.ROOT, "crd/networking.istio.io_%s.yaml" % plural)) as f:
            spec = yaml.load(f, yaml.CSafeLoader)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        for path, leaf in leaves(spec, "spec"):
            if "Another spelling of" in leaf.get("description", ""):
                continue
            if kind == "WorkloadEntry" or not (kind == "ServiceEntry" and path.startswith("spec.endpoints[]")):
                out.setdefault((kind, same(path)), [])
        for block in BLOCKS.get(kind, []):
            out[kind, block] = []
    return out


def places(value, path=""):
    """Every path at which something is set, as in the schemas, with the way to it."""
    if isinstance(value, dict):
        for k, v in value.items():
            at = path + "." + k if path else k
            yield at, [k]
            for p, way in places(v, at):
                yield p, [k] + way
    elif isinstance(value, list):
        for i, v in enumerate(value):
            for p, way in places(v, path + "[]"):
                yield p, [i] + way


class World:
    """A golden input, and what of its output is expected."""

    def __init__(self, path, runs, show):
        self.path, self.runs, self.show = path, runs, show
        with open(path) as f:
            self.docs = [d for d in yaml.load_all(f, yaml.CSafeLoader) if d]
        self.before = None

    def render(self, path):
        out = []
        for args in self.runs:
            done = subprocess.run([refdiff.COXCTL, "render", "-f", path] + args, capture_output=True, text=True)
            if done.returncode != 0:
                return None
            have = json.loads(done.stdout)
            out.append(shown(have, self.show) if self.show else have)
        return out

    def without(self, doc, way, tmp):
        """Whether the output changes when what stands at `way` of a document goes."""
        if self.before is None:
            self.before = self.render(self.path)
        docs = list(self.docs)
        docs[doc] = copy.deepcopy(docs[doc])
        at = docs[doc]
        for k in way[:-1]:
            at = at[k]
        del at[way[-1]]
        with open(tmp, "w") as f:
            f.write("\n---\n".join(json.dumps(d) for d in docs))
        return self.render(tmp) != self.before


def worlds():
    for name in sorted(os.listdir(CASES)):
        folder = os.path.join(CASES, name)
        h = header(os.path.join(folder, "in.yaml"))
        who = ["--node", os.path.join(folder, h["node"])] if h["node"] else ["--proxy", h["proxy"]]
        yield World(os.path.join(folder, "in.yaml"), [who + h["args"].split()], h["show"])
    for folder in sorted(glob.glob(os.path.join(refdiff.REFERENCE, "*"))):
        name = os.path.basename(folder)
        runs = [["--proxy", "%s.%s" % (p["pod"], p["ns"])] for p in refdiff.proxies(name)]
        yield World(os.path.join(folder, "objects.yaml"), runs, None)


def found():
    """Where each field is set: {(kind, path): [(world, document, way)]}"""
    fields = wanted()
    for world in worlds():
        for i, doc in enumerate(world.docs):
            kind = doc.get("kind")
            if kind not in KINDS or "istio.io" not in doc["apiVersion"]:
                continue
            for path, way in places(doc.get("spec"), "spec"):
                for key in {(kind, path), (kind, same(path)), ("WorkloadEntry", same(path)) if ".endpoints[]" in path else None}:
                    if key in fields:
                        fields[key].append((world, i, ["spec"] + way))
    return fields


def has_effect(tmp, key, at):
    name = os.path.join(tmp, re.sub(r"\W", "_", "-".join(key)) + ".yaml")
    # Several of one world often stand under one condition: one of each world first.
    order = sorted(range(len(at)), key=lambda i: sum(at[k][0] is at[i][0] for k in range(i)))
    return any(at[i][0].without(at[i][1], at[i][2], name) for i in order[:24])


def test_every_field_has_an_effect(tmp_path):
    fields = found()
    unset = ["%s %s" % k for k, at in fields.items() if not at and k not in EXCEPT]
    ask = [(k, at) for k, at in fields.items() if at and k not in EXCEPT]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        effect = list(pool.map(lambda one: has_effect(str(tmp_path), *one), ask))
    idle = ["%s %s" % k for (k, _), yes in zip(ask, effect) if not yes]
    assert not unset and not idle, "no golden input sets:\n%s\nset, but the expected output does not depend on it:\n%s" % ("\n".join(unset), "\n".join(idle))
    assert len(fields) > 250
    gone = [k for k in EXCEPT if k not in fields]
    assert not gone, gone


@pytest.mark.parametrize("field", sorted(NO_EFFECT))
def test_what_has_no_effect_is_said(field, tmp_path):
    """covers: a41 a44 a56 a75 a108 a112 a147"""
    kind, spec = NO_EFFECT[field]
    path = tmp_path / "in.yaml"
    path.write_text(POD + "apiVersion: networking.istio.io/v1\nkind: %s\nmetadata: {name: x, namespace: default}\nspec: %s\n" % (kind, spec))
    done = subprocess.run([refdiff.COXCTL, "render", "-f", str(path), "--proxy", "a.default"], capture_output=True, text=True)
    said = [line for line in done.stderr.splitlines() if field in line and re.search("no effect|not implemented", line, re.I)]
    assert done.returncode == 0 and said, done.stderr
