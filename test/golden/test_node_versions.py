"""What a proxy is sent follows from what it says it has, not from the version it names: an old, a new and an unknown one of the same
extensions get the same, and each extension decides for itself. (istiod branches on ISTIO_VERSION.)

covers: b28
"""
import json
import os

import pytest

import envoy_check
import refdiff
from test_cases import CASES, render

BASE = os.path.join(CASES, "proxy-headers")


def rendered(tmp_path, version, extensions):
    meta = {"NAMESPACE": "default", "INSTANCE_IPS": "10.0.0.1", "LABELS": {"app": "client"}, "SERVICE_ACCOUNT": "client"}
    node = {"id": "sidecar~10.0.0.1~client.default~default.svc.cluster.local", "metadata": {**meta, **({"ISTIO_VERSION": version} if version else {})},
            "extensions": [{"name": e} for e in extensions]}
    path = tmp_path / "node.json"
    path.write_text(json.dumps(node))
    return render(BASE, ["--node", str(path)])


ISTIO = ["istio.metadata_exchange", "istio.alpn", "istio.stats", "envoy.filters.http.router"]


@pytest.mark.parametrize("extensions", [[], ["envoy.filters.http.router"], ISTIO])
def test_versions_do_not_decide(tmp_path, extensions):
    first = rendered(tmp_path, "1.32.0", extensions)
    for version in ("1.0.0", "1.18.7", "1.24.3-alpha", "99.0.0", "master", None):
        assert rendered(tmp_path, version, extensions) == first, "\n".join(refdiff.differences(first, rendered(tmp_path, version, extensions)))
    assert ("istio.metadata_exchange" in json.dumps(first)) == (extensions == ISTIO)


def test_an_old_version_without_extensions_loads(tmp_path):
    assert envoy_check.refusal(rendered(tmp_path, "1.0.0", []), tmp_path) is None
