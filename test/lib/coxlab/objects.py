"""Kubernetes objects as plain dictionaries: what a Deployment makes, which pods a Service means."""
import hashlib
import json

import yaml


def load(text_or_path, namespace="default"):
    """Documents of a file (a path that ends in .yaml or .json) or of a text, each with its namespace set."""
    text = text_or_path
    if "\n" not in text and text.endswith((".yaml", ".yml", ".json")):
        with open(text) as f:
            text = f.read()
    docs = []
    for doc in yaml.safe_load_all(text):
        if not doc:
            continue
        for item in doc["items"] if doc.get("kind") == "List" else [doc]:
            if item["kind"] not in ("Namespace", "Node", "IngressClass", "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding"):
                item.setdefault("metadata", {}).setdefault("namespace", namespace)
            docs.append(item)
    return docs


def key(obj):
    return obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def matches(selector, labels):
    return bool(selector) and all(labels.get(k) == v for k, v in selector.items())


def pods_of(deployment):
    """The pods a Deployment's controllers would make, with names that stay the same for the same template."""
    meta, spec = deployment["metadata"], deployment["spec"]
    digest = hashlib.sha1(json.dumps(spec["template"], sort_keys=True).encode()).hexdigest()
    for i in range(spec.get("replicas", 1)):
        template = json.loads(json.dumps(spec["template"]))
        name = f"{meta['name']}-{digest[:8]}-{digest[8:11]}{i}"
        template.setdefault("metadata", {}).update(name=name, namespace=meta["namespace"])
        template["metadata"]["labels"]["pod-template-hash"] = digest[:8]
        template["metadata"]["ownerReferences"] = [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{meta['name']}-{digest[:8]}", "uid": digest[:8],
                                                     "controller": True}]
        yield {"apiVersion": "v1", "kind": "Pod", **template}


def target_port(port, pod):
    """A Service port's number in a pod: itself, a number, or a container port's name."""
    target = port.get("targetPort", port["port"])
    if isinstance(target, int):
        return target
    for container in pod["spec"].get("containers", []):
        for p in container.get("ports", []):
            if p.get("name") == target:
                return p["containerPort"]
    return None


def slices_of(service, pods):
    """EndpointSlices of one Service over pods [(object, address, node, is ready)]: one for each set of port numbers."""
    meta, spec = service["metadata"], service["spec"]
    if not spec.get("selector"):
        return []
    by_ports = {}
    for pod, address, node, ready in pods:
        if pod["metadata"]["namespace"] != meta["namespace"] or not matches(spec["selector"], pod["metadata"].get("labels", {})):
            continue
        ports = tuple((p.get("name", ""), target_port(p, pod), p.get("protocol", "TCP"), p.get("appProtocol")) for p in spec.get("ports", []))
        by_ports.setdefault(ports, []).append({
            "addresses": [address], "nodeName": node,
            "conditions": {"ready": ready, "serving": ready, "terminating": False},
            "targetRef": {"kind": "Pod", "name": pod["metadata"]["name"], "namespace": meta["namespace"]}})
    return [{
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": f"{meta['name']}-lab{i}", "namespace": meta["namespace"], "labels": {"kubernetes.io/service-name": meta["name"]}},
        "ports": [{k: v for k, v in (("name", n), ("port", num), ("protocol", proto), ("appProtocol", app)) if v is not None} for n, num, proto, app in ports
                  if num],
        "endpoints": sorted(endpoints, key=lambda e: e["addresses"])} for i, (ports, endpoints) in enumerate(sorted(by_ports.items(), key=str))]
