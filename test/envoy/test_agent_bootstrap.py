"""What PROXY_CONFIG and the annotation proxy.istio.io/config make of the bootstrap, and that a real Envoy takes it.

covers: a229 a230 a231 a232 a233 a234 a235 a237 a238 a239 a247 a251
"""
import json
import os
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
AGENT = os.path.join(ROOT, os.environ.get("BUILD", "build"), "cox-agent")
ENVOY = os.environ.get("ENVOY", os.path.join(os.path.dirname(sys.executable), "envoy"))


def agent(tmp_path, config, annotation=None, flags=(), env=()):
    info = tmp_path / "pod"
    info.mkdir(exist_ok=True)
    (info / "labels").write_text('app="web"\nservice.istio.io/canonical-name="shop"\n')
    notes = {"proxy.istio.io/config": annotation} if annotation else {}
    notes["sidecar.istio.io/extraStatTags"] = "third"
    (info / "annotations").write_text("".join("%s=%s\n" % (k, json.dumps(v)) for k, v in notes.items()))
    return subprocess.run(
        [AGENT, "proxy", "sidecar", "--bootstrap-only", "--pod-info-dir", str(info), "--secrets-dir", str(tmp_path / "none"), *flags],
        env={"POD_NAME": "web-1", "POD_NAMESPACE": "shop", "INSTANCE_IP": "10.0.0.1", "PROXY_CONFIG": json.dumps(config), **dict(env)},
        capture_output=True, text=True, timeout=60)


def bootstrap(tmp_path, config, annotation=None, flags=(), env=()):
    done = agent(tmp_path, config, annotation, flags, env)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    path = tmp_path / "bootstrap.json"
    path.write_text(done.stdout)
    check = subprocess.run([ENVOY, "--mode", "validate", "-c", str(path), "-l", "error", "--base-id", str(os.getpid() % 30000)],
                           capture_output=True, text=True, timeout=120)
    assert check.returncode == 0, check.stdout + check.stderr
    return made


def cluster(made, name):
    return next((c for c in made["static_resources"]["clusters"] if c["name"] == name), None)


def address(c):
    a = c["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]
    return a["address"], a["port_value"]


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    d = tmp_path_factory.mktemp("pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=x",
                    "-keyout", str(d / "key.pem"), "-out", str(d / "cert.pem")], check=True, capture_output=True)
    return d


def test_nothing_said(tmp_path):
    made = bootstrap(tmp_path, {})
    assert made["node"]["cluster"] == "web.shop"
    assert "tracing" not in made and "stats_sinks" not in made
    assert {c["name"] for c in made["static_resources"]["clusters"]} == {"prometheus_stats", "agent", "xds-grpc", "sds-grpc"}
    assert "compressor" in json.dumps(made["static_resources"]["listeners"][0])
    assert made["admin"]["address"]["socket_address"]["port_value"] == 15000


def test_collectors(tmp_path, pem):
    files = {"clientCertificate": str(pem / "cert.pem"), "privateKey": str(pem / "key.pem"), "caCertificates": str(pem / "cert.pem")}
    made = bootstrap(tmp_path, {
        "tracing": {"zipkin": {"address": "zipkin.istio-system:9411"}, "tlsSettings": {"mode": "SIMPLE", "caCertificates": files["caCertificates"]}},
        "statsdUdpAddress": "127.0.0.1:8125",
        "envoyMetricsService": {"address": "metrics.shop:15000", "tlsSettings": {"mode": "MUTUAL", "sni": "m", "subjectAltNames": ["m.example"], **files},
                                "tcpKeepalive": {"probes": 3, "time": "10s", "interval": "5s"}},
        "envoyAccessLogService": {"address": "[::1]:15001", "tlsSettings": {"mode": "ISTIO_MUTUAL"}}})
    assert address(cluster(made, "zipkin")) == ("zipkin.istio-system", 9411)
    assert cluster(made, "zipkin")["transport_socket"]["typed_config"]["sni"] == "zipkin.istio-system"
    assert made["tracing"]["http"]["typed_config"]["collector_cluster"] == "zipkin"
    sinks = {s["name"]: s["typed_config"] for s in made["stats_sinks"]}
    assert sinks["envoy.stat_sinks.statsd"]["address"]["socket_address"] == {"protocol": "UDP", "address": "127.0.0.1", "port_value": 8125}
    assert sinks["envoy.stat_sinks.metrics_service"]["grpc_service"]["envoy_grpc"]["cluster_name"] == "envoy_metrics_service"
    metrics = cluster(made, "envoy_metrics_service")
    assert metrics["upstream_connection_options"]["tcp_keepalive"] == {"keepalive_probes": 3, "keepalive_time": 10, "keepalive_interval": 5}
    assert "m.example" in json.dumps(metrics["transport_socket"]) and "key.pem" in json.dumps(metrics["transport_socket"])
    log = cluster(made, "envoy_accesslog_service")
    assert address(log) == ("::1", 15001) and '"ROOTCA"' in json.dumps(log["transport_socket"])


def test_older_names_and_datadog(tmp_path):
    made = bootstrap(tmp_path, {"zipkinAddress": "z:9411", "envoyMetricsServiceAddress": "m:1", "statsdUdpAddress": "localhost:8125"})
    assert address(cluster(made, "zipkin")) == ("z", 9411) and address(cluster(made, "envoy_metrics_service")) == ("m", 1)
    assert made["stats_sinks"][0]["typed_config"]["address"]["socket_address"]["address"] in ("127.0.0.1", "::1")
    made = bootstrap(tmp_path, {"tracing": {"datadog": {"address": "$(HOST_IP):8126"}}, "zipkinAddress": "z:9411"}, env={"HOST_IP": "10.9.9.9"}.items())
    assert address(cluster(made, "datadog_agent")) == ("10.9.9.9", 8126) and cluster(made, "zipkin") is None
    assert made["tracing"]["http"]["typed_config"] == {"@type": "type.googleapis.com/envoy.config.trace.v3.DatadogConfig",
                                                       "collector_cluster": "datadog_agent", "service_name": "web.shop"}


def test_who_it_is(tmp_path):
    made = bootstrap(tmp_path, {"tracingServiceName": "CANONICAL_NAME_ONLY", "meshId": "m1", "interceptionMode": "TPROXY", "availabilityZone": "z9",
                                "proxyMetadata": {"ISTIO_META_DNS_CAPTURE": "true", "ISTIO_META_NETWORK": "n1", "POD_NAME": "no"},
                                "discoveryAddress": "d:15012", "controlPlaneAuthPolicy": "MUTUAL_TLS"})
    assert made["node"]["cluster"] == "shop" and made["node"]["locality"]["zone"] == "z9"
    meta = made["node"]["metadata"]
    assert (meta["MESH_ID"], meta["INTERCEPTION_MODE"], meta["DNS_CAPTURE"], meta["NETWORK"], meta["NAME"]) == ("m1", "TPROXY", "true", "n1", "web-1")
    assert meta["PROXY_CONFIG"]["discoveryAddress"] == "d:15012"
    assert bootstrap(tmp_path, {"tracingServiceName": "CANONICAL_NAME_AND_NAMESPACE"})["node"]["cluster"] == "shop.shop"
    assert bootstrap(tmp_path, {"serviceCluster": "mine"})["node"]["cluster"] == "mine"


def test_statistics_runtime_and_limits(tmp_path):
    made = bootstrap(tmp_path, {"extraStatTags": ["first", "second"], "statsCompression": False, "proxyAdminPort": 15099, "statusPort": 15098,
                                "proxyStatsMatcher": {"inclusionPrefixes": ["p."], "inclusionSuffixes": [".s"], "inclusionRegexps": ["r.*"]},
                                "runtimeValues": {"a.number": "7", "a.switch": "true", "a.text": "x"},
                                "connectionSettings": {"globalDownstreamConnectionLimit": 77}})
    tags = {t["tag_name"]: t["regex"] for t in made["stats_config"]["stats_tags"]}
    assert tags["first"] == r"(first\.=\.(.*?);\.;)" and "second" in tags and "third" in tags
    patterns = made["stats_config"]["stats_matcher"]["inclusion_list"]["patterns"]
    assert {"prefix": "p."} in patterns and {"suffix": ".s"} in patterns and {"safe_regex": {"regex": "r.*"}} in patterns
    layer = made["layered_runtime"]["layers"][0]["static_layer"]
    assert (layer["a.number"], layer["a.switch"], layer["a.text"]) == (7, True, "x")
    assert made["overload_manager"]["resource_monitors"][0]["typed_config"]["max_active_downstream_connections"] == 77
    assert "compressor" not in json.dumps(made["static_resources"]["listeners"][0])
    assert made["admin"]["address"]["socket_address"]["port_value"] == 15099
    assert cluster(made, "agent")["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]["port_value"] == 15098
    assert bootstrap(tmp_path, {"proxyAdminPort": 15099}, flags=["--admin-port", "15001"])["admin"]["address"]["socket_address"]["port_value"] == 15001
    made = bootstrap(tmp_path, {"proxyMetadata": {"ISTIO_META_GLOBAL_DOWNSTREAM_MAX_CONNECTIONS": "88"}})
    assert made["overload_manager"]["resource_monitors"][0]["typed_config"]["max_active_downstream_connections"] == 88


def test_the_annotation_wins_member_by_member(tmp_path):
    made = bootstrap(tmp_path, {"meshId": "a", "proxyMetadata": {"ISTIO_META_A": "1", "ISTIO_META_B": "1"}, "extraStatTags": ["gone"]},
                     annotation="extraStatTags: [kept]\nproxyMetadata: {ISTIO_META_B: '2'}\n")
    assert (made["node"]["metadata"]["MESH_ID"], made["node"]["metadata"]["A"], made["node"]["metadata"]["B"]) == ("a", "1", "2")
    tags = {t["tag_name"] for t in made["stats_config"]["stats_tags"]}
    assert "kept" in tags and "gone" not in tags


@pytest.mark.parametrize("config,says", [
    ({"tracing": {"lightstep": {"address": "a:1", "accessToken": "x"}}}, "tracing: Envoy has no tracer for lightstep"),
    ({"tracing": {"stackdriver": {"debug": True, "maxNumberOfAttributes": 3}}}, "no tracer for stackdriver"),
    ({"tracing": {"openCensusAgent": {"address": "a:1", "context": ["B3"]}}}, "no tracer for openCensusAgent"),
    ({"proxyBootstrapTemplatePath": "/x.tmpl"}, "proxyBootstrapTemplatePath: a Go template"),
    ({"statsdUdpAddress": "nowhere"}, 'statsdUdpAddress: "nowhere" is not host:port'),
    ({"envoyMetricsService": {"address": "m:port"}}, "is not host:port"),
    ({"envoyMetricsService": {"address": "m:1", "tlsSettings": {"mode": "SIMPLE", "credentialName": "c"}}}, "credentialName"),
    ({"concurrency": "many"}, "concurrency"),
    ({"interceptionMode": "SOMETIMES"}, "interceptionMode must be"),
    ({"drainDuration": "0s"}, "drainDuration"),
    ({"tracing": {"zipkin": {"address": "a:1"}, "datadog": {"address": "b:1"}}}, "datadog"),
])
def test_refused(tmp_path, config, says):
    done = agent(tmp_path, config)
    assert done.returncode == 1 and says in done.stderr, done.stderr


def test_what_has_no_effect_is_said(tmp_path):
    """covers: a242"""
    done = agent(tmp_path, {"statNameLength": 189, "discoveryRefreshDelay": "10s", "sds": {"k8sSaJwtPath": "/x"}, "tracing": {"zipkn": {}},
                            "privateKeyProvider": {"cryptomb": {"pollDelay": "1ms", "fallback": True}}, "caCertificatesPem": ["x"]})
    assert done.returncode == 0
    for path in ("statNameLength", "discoveryRefreshDelay", "sds", "tracing.zipkn", "privateKeyProvider", "caCertificatesPem"):
        assert "PROXY_CONFIG: %s: " % path in done.stderr + done.stdout, done.stderr
