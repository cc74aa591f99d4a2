"""Environment variables that say what is read of a kube-apiserver, and which webhooks are kept. One coxswaind for all of them.

covers: g43 g47 g48 g51 g53 g60
"""
import glob
import os
import time

import kubelab
import pytest
from coxswain import Coxswaind
from kubelab import wait
from test_objects import vs

ROOT = "istio-system"


@pytest.fixture(scope="module", autouse=True)
def crds(lab):
    for path in sorted(glob.glob(os.path.join(kubelab.TREE, "crd/*.yaml"))):
        lab.crd(path)


def config_map(lab, name, mesh):
    lab.apply(f"/api/v1/namespaces/{ROOT}/configmaps/{name}", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": ROOT}, "data": {"mesh": mesh}})


def test_scope_and_names(lab, ns):
    other = ns + "-other"
    lab.namespace(other)
    for where in (ns, other):
        lab.service(where, "web")
        vs(lab, where, "v")
    lab.apply(f"/apis/networking.istio.io/v1/namespaces/{ns}/sidecars/s", {
        "apiVersion": "networking.istio.io/v1", "kind": "Sidecar", "metadata": {"name": "s", "namespace": ns}, "spec": {"egress": [{"hosts": ["./*"]}]}})
    config_map(lab, "shared", "trustDomain: shared.example\ndefaultConfig:\n  tracing: {sampling: 7}\n  proxyMetadata: {A: b}\n")
    config_map(lab, "istio", "trustDomain: own.example\ndefaultConfig:\n  drainDuration: 12s\n")
    hooks = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/env-test"
    lab.apply(hooks, {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration", "metadata": {"name": "env-test", "labels": {"istio.io/rev": "default"}},
                      "webhooks": [{"name": "a.b.c", "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Ignore",
                                    "namespaceSelector": {"matchLabels": {"no": "such"}}, "rules": [],
                                    "clientConfig": {"service": {"name": "istiod", "namespace": ROOT, "path": "/inject"}}}]})
    env = {"ISTIO_WATCH_NAMESPACE": ns, "PILOT_IGNORE_RESOURCES": "*.istio.io", "PILOT_INCLUDE_RESOURCES": "virtualservices.networking.istio.io",
           "SHARED_MESH_CONFIG": "shared", "PILOT_ENABLE_ANALYSIS": "false", "PILOT_ENABLE_GATEWAY_API": "false", "INJECTION_WEBHOOK_CONFIG_NAME": "",
           "POD_NAME": "env"}
    try:
        with Coxswaind(source=["--kubeconfig", lab.kubeconfig, "--httpsAddr", "127.0.0.1:0"], env=env) as c:
            c.wait_ready()
            known = c.get("/debug/configz")[1].decode()
            assert f"/{ns}/v" in known or f'"{ns}"' in known
            assert other not in known and '"Sidecar"' not in known
            services = c.get("/debug/registryz")[1].decode()
            assert f"web.{ns}.svc" in services and f"web.{other}.svc" not in services
            mesh = lambda: c.json("/debug/mesh")
            wait(lambda: (mesh()["trustDomain"], mesh()["defaultConfig"]["tracing"]["sampling"], mesh()["defaultConfig"]["drainDuration"]) == ("own.example", 7, "12s"), 10)
            # Read anew as it is edited, both of them.
            config_map(lab, "shared", "trustDomain: shared.example\ndefaultConfig:\n  tracing: {sampling: 8}\n")
            wait(lambda: mesh()["defaultConfig"]["tracing"]["sampling"] == 8, 10)
            config_map(lab, "istio", "defaultConfig:\n  drainDuration: 13s\n")
            wait(lambda: (mesh()["trustDomain"], mesh()["defaultConfig"]["drainDuration"]) == ("shared.example", "13s"), 10)
            wait(lambda: "webhook listening" in c.log_text(), 10)
            time.sleep(1)
            assert "caBundle" not in lab.call("GET", hooks)["webhooks"][0]["clientConfig"]
            assert "job=roots" in c.log_text() and "job=status" not in c.log_text() and "job=gateway" not in c.log_text()
            assert not lab.call("GET", f"/apis/networking.istio.io/v1/namespaces/{ns}/virtualservices/v").get("status")
    finally:
        lab.delete(hooks)
        for name in ("shared", "istio"):
            lab.delete(f"/api/v1/namespaces/{ROOT}/configmaps/{name}")
