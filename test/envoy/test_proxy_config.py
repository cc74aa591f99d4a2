"""coxctl proxy-config: the same tables and the same JSON as istioctl, for dumps of real Envoys of ours and for Istio's own; and live.

covers: f4 f5 f6
"""
import glob
import json
import os

import pytest
import yaml

import istiojudge
from adsmodel import RealEnvoy, until
from coxswain import Coxswaind
from istiojudge import coxctl, same_json, same_text

OBJECTS = os.path.join(istiojudge.TREE, "test/golden/reference/*/objects.yaml")
PROXIES = {"sidecar": ({"app": "client"}, "10.1.0.1"), "router": ({"istio": "ingressgateway"}, "127.0.0.9")}


@pytest.fixture(scope="module", params=sorted(PROXIES))
def proxy(request, tmp_path_factory):
    """A real Envoy with the objects of all reference cases, and its dumps."""
    tmp = tmp_path_factory.mktemp("pc")
    files = {f"{i}.yaml": open(path).read() for i, path in enumerate(sorted(glob.glob(OBJECTS)))}
    labels, ip = PROXIES[request.param]
    with Coxswaind(files) as c:
        c.wait_ready()
        e = RealEnvoy(c.grpc_port, tmp, f"{request.param}~{ip}~{request.param}-0.default~default.svc.cluster.local", True,
                      {"NAMESPACE": "default", "COXSWAIN_SDS": "none", "INSTANCE_IPS": ip, "LABELS": labels, "ISTIO_VERSION": "1.29", "CLUSTER_ID": "Kubernetes"})
        try:
            until(lambda: len(e.clusters()) > 5 and e.listeners() and e.routes(), "configured")
            until(lambda: not e.listeners("warming_state"), "warm")
            e.dump_file, e.clusters_file = str(tmp / "dump.json"), str(tmp / "clusters.json")
            (tmp / "dump.json").write_text(e.get("/config_dump?include_eds"))
            (tmp / "clusters.json").write_text(e.get("/clusters?format=json"))
            yield e
        finally:
            e.stop()


CASES = ["c", "c --direction outbound", "c --port 80", "c --subset v1", "c --fqdn default.svc", "l", "l --verbose=false", "l --port 15006", "l --type HTTP",
         "l --type http+tcp", "l --address 0.0.0.0", "r", "r --verbose=false", "r --name 80", "s", "b -o short", "a", "a --with-headers"]


def test_tables_are_istioctls(proxy):
    lines = [len(same_text("pc", *case.split(), "-f", proxy.dump_file).splitlines()) for case in CASES]
    assert lines[0] > 10 and lines[5] > 10 and lines[-2] > 40, lines
    for case in ["", "--port 80", "--status healthy", "--address 10.1.0.2", "--cluster none"]:
        same_text("pc", "ep", *case.split(), "-f", proxy.clusters_file)


def test_json_is_istioctls(proxy):
    for verb in "clrbs":
        assert same_json("pc", verb, "-f", proxy.dump_file) or verb == "s"
    assert same_json("pc", "ep", "-f", proxy.clusters_file)
    text = coxctl("pc", "c", "-f", proxy.dump_file, "-o", "yaml").stdout
    assert yaml.safe_load(text) == json.loads(coxctl("pc", "c", "-f", proxy.dump_file, "-o", "json").stdout)


def test_dumps_of_istios_own_tests():
    """With certificates, SPIFFE bundles, and what an old Envoy says."""
    dump = os.path.join(istiojudge.folder(), "istio/istioctl/pkg/proxyconfig/testdata/config_dump.json")
    for case in CASES:
        same_text("pc", *case.split(), "-f", dump)
    for verb in "clrbs":
        same_json("pc", verb, "-f", dump)
    for secret in sorted(glob.glob(os.path.join(istiojudge.folder(), "istio/istioctl/pkg/writer/envoy/configdump/testdata/secret/*/config_dump.json"))):
        same_text("pc", "s", "-f", secret)
    for ecds in sorted(glob.glob(os.path.join(istiojudge.folder(), "istio/istioctl/pkg/writer/envoy/configdump/testdata/ecds/configdump.json"))):
        same_text("pc", "ecds", "-f", ecds)


def test_live(proxy):
    """Straight from the administration port: the same as by file, endpoints by EDS, and levels of loggers."""
    admin = ["--proxy-admin", f"127.0.0.1:{proxy.admin}"]
    for verb in ("c", "l", "r"):
        assert coxctl("pc", verb, *admin).stdout == coxctl("pc", verb, "-f", proxy.dump_file).stdout
    eds = coxctl("pc", "eds", *admin).stdout.splitlines()
    assert eds[0].split() == ["NAME", "STATUS", "LOCALITY", "CLUSTER"] and any("HEALTHY" in x and "outbound|" in x for x in eds[1:])
    one = eds[1].split()
    only = coxctl("pc", "eds", *admin, "--address", one[0], "-o", "json")
    assert json.loads(only.stdout) and one[0].rsplit(":", 1)[0] in only.stdout
    assert "http: warning" not in coxctl("pc", "log", *admin, "--level", "http:debug").stdout
    assert "http: debug" in coxctl("pc", "log", *admin).stdout
    assert "http: warning" in coxctl("pc", "log", *admin, "--reset").stdout
    wrong = coxctl("pc", "log", *admin, "--level", "http:loud")
    assert wrong.returncode == 1 and "\"loud\" is no level" in wrong.stderr


def test_refusals(tmp_path):
    (tmp_path / "no.json").write_text('{"a": 1}')
    (tmp_path / "empty.json").write_text('{"configs": []}')
    for args, status, says in ((["c"], 2, "a pod, --file or --proxy-admin"), (["c", "-f", tmp_path / "no.json"], 1, "no config dump"),
                               (["c", "-f", tmp_path / "empty.json"], 1, "no clusters found"), (["ep", "-f", tmp_path / "no.json"], 1, "/clusters?format=json"),
                               (["s", "-f", tmp_path / "empty.json"], 1, "SecretsConfigDump"), (["c", "-f", tmp_path / "none"], 1, "there is no such file"),
                               (["c", "web-0"], 1, "/nonexistent"), (["c", "--proxy-admin", "127.0.0.1:1"], 1, "127.0.0.1:1")):
        done = coxctl("pc", *args)
        assert done.returncode == status and says in done.stderr and done.stdout == "", (args, done)
