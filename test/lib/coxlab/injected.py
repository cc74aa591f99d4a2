"""Pods that went through the injector: what a kubelet reads out of their specification."""
import json
import os
import re
import subprocess

import yaml

from . import programs

STATUS = "sidecar.istio.io/status"


def is_injected(obj):
    return STATUS in obj["metadata"].get("annotations", {})


def inject(obj):
    """By `coxctl kube-inject`, where there is no webhook."""
    done = subprocess.run([programs.product("coxctl"), "kube-inject", "-f", "-"], input=json.dumps(obj), capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"kube-inject: {done.stderr}")
    return yaml.safe_load(done.stdout)


def proxy(obj):
    return next(c for c in obj["spec"]["containers"] + obj["spec"].get("initContainers", []) if c["name"] == "istio-proxy")


def init_containers(obj):
    return [c for c in obj["spec"].get("initContainers", []) if c["name"] == "istio-init"]


def environment(pod, host_ip):
    meta, spec = pod.obj["metadata"], pod.obj["spec"]
    fields = {"metadata.name": pod.name, "metadata.namespace": pod.namespace, "status.podIP": pod.address, "status.hostIP": host_ip,
              "spec.nodeName": pod.node, "spec.serviceAccountName": spec.get("serviceAccountName", "default"), "metadata.uid": meta.get("uid", "")}
    env = {}
    for e in proxy(pod.obj)["env"]:
        if "value" in e:
            env[e["name"]] = e["value"]
        elif "fieldRef" in e.get("valueFrom", {}):
            env[e["name"]] = fields[e["valueFrom"]["fieldRef"]["fieldPath"]]
        elif e.get("valueFrom", {}).get("resourceFieldRef", {}).get("resource") == "limits.cpu":
            env[e["name"]] = "2"
    return env


def expand(text, env):
    """$(NAME), as Kubernetes replaces it in a container's arguments."""
    return re.sub(r"\$\((\w+)\)", lambda m: env.get(m.group(1), m.group(0)), text)


def write_pod_info(obj, directory):
    """The downward API's files of labels and annotations."""
    for what in ("labels", "annotations"):
        with open(os.path.join(directory, what), "w") as f:
            f.write("".join(f"{k}={json.dumps(v)}\n" for k, v in sorted(obj["metadata"].get(what, {}).items())))
