"""manifests/webhooks.yaml at an address that a kube-apiserver without a cluster network can reach."""
import json
import os

import yaml

from . import programs


def manifests(port, revision="default"):
    """Each configuration, for a control plane of this revision whose webhooks are at localhost:`port`."""
    with open(os.path.join(programs.TREE, "manifests/webhooks.yaml")) as f:
        docs = json.loads(json.dumps(list(yaml.safe_load_all(f))))  # YAML's anchors become copies
    for doc in docs:
        if revision != "default":
            doc["metadata"]["name"] += "-" + revision
            doc["metadata"]["labels"]["istio.io/rev"] = revision
        for hook in doc["webhooks"]:
            path = hook["clientConfig"].pop("service")["path"]
            hook["clientConfig"]["url"] = f"https://localhost:{port}{path}"
            if revision != "default":
                hook["name"] = revision + "." + hook["name"]
            for e in hook.get("namespaceSelector", {}).get("matchExpressions", []) + hook.get("objectSelector", {}).get("matchExpressions", []):
                if e.get("values") == ["default"]:
                    e["values"] = [revision]
    return docs


def path(doc):
    """Where configurations of its kind are made."""
    return f"/apis/admissionregistration.k8s.io/v1/{doc['kind'].lower()}s"
