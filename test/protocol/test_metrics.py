"""/metrics: every name of Istio's dashboards and alerts with its type and labels, read by Prometheus' own parser, and that they count.

covers: g3 g23 g24 g25 g26 g27 g28 g29 g30 g31 g32 g33 g34 g35 g36 g37 g38 g39 g40 g41 g42
"""
import os
import re
import sys
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from coxswain import CDS, EDS, LDS, RDS, TREE, Coxswaind, Stream, node  # noqa: E402
from test_ads import MESH, WEB, endpoints, virtual_service  # noqa: E402

# name: (type, labels)
ISTIO = {
    "pilot_xds": ("gauge", "version"), "pilot_xds_pushes": ("counter", "type"), "pilot_push_triggers": ("counter", "type"),
    "pilot_inbound_updates": ("counter", "type"), "pilot_xds_push_time": ("histogram", "type"), "pilot_xds_send_time": ("histogram", ""),
    "pilot_proxy_queue_time": ("histogram", ""), "pilot_proxy_convergence_time": ("histogram", ""), "pilot_debounce_time": ("histogram", ""),
    "pilot_pushcontext_init_seconds": ("histogram", ""), "pilot_xds_config_size_bytes": ("histogram", "type"),
    "pilot_xds_cds_reject": ("gauge", "node err"), "pilot_xds_eds_reject": ("gauge", "node err"), "pilot_xds_lds_reject": ("gauge", "node err"),
    "pilot_xds_rds_reject": ("gauge", "node err"), "pilot_total_xds_rejects": ("counter", "type"), "pilot_xds_expired_nonce": ("counter", "type"),
    "pilot_xds_write_timeout": ("counter", ""), "pilot_xds_recv_max": ("gauge", ""), "pilot_total_xds_internal_errors": ("counter", ""),
    "pilot_services": ("gauge", ""), "pilot_virt_services": ("gauge", ""), "pilot_vservice_dup_domain": ("gauge", ""),
    "pilot_destrule_subsets": ("gauge", ""), "pilot_duplicate_envoy_clusters": ("gauge", ""), "pilot_eds_no_instances": ("gauge", ""),
    "pilot_dns_cluster_without_endpoints": ("gauge", ""), "pilot_conflict_inbound_listener": ("gauge", ""),
    "pilot_conflict_outbound_listener_tcp_over_current_tcp": ("gauge", ""), "pilot_no_ip": ("gauge", ""), "endpoint_no_pod": ("gauge", ""),
    "pilot_endpoint_not_ready": ("gauge", ""), "pilot_total_rejected_configs": ("counter", "type name"),
    "pilot_envoy_filter_status": ("gauge", "name patch result"), "provider_lookup_cluster_failures": ("counter", "type"),
    "pilot_k8s_reg_events": ("counter", "type event"), "pilot_k8s_cfg_events": ("counter", "type event"),
    "pilot_k8s_endpoints_with_no_pods": ("counter", ""), "pilot_k8s_endpoints_pending_pod": ("gauge", ""),
    "pilot_k8s_proxies_with_no_service_targets": ("counter", "reason"), "controller_sync_errors_total": ("counter", "cluster"),
    "xds_cache_reads": ("counter", "type"), "xds_cache_evictions": ("counter", "type"), "xds_cache_size": ("gauge", ""),
    "xds_cache_dependent_config_size": ("gauge", ""), "pilot_sds_certificate_errors_total": ("counter", ""),
    "pilot_jwks_resolver_network_fetch_success_total": ("counter", ""), "pilot_jwks_resolver_network_fetch_fail_total": ("counter", ""),
    "citadel_server_csr_count": ("counter", ""), "citadel_server_success_cert_issuance_count": ("counter", ""),
    "citadel_server_authentication_failure_count": ("counter", ""), "citadel_server_csr_parsing_err_count": ("counter", ""),
    "citadel_server_id_extraction_err_count": ("counter", ""), "citadel_server_csr_sign_err_count": ("counter", "error"),
    "citadel_server_root_cert_expiry_timestamp": ("gauge", ""), "citadel_server_root_cert_expiry_seconds": ("gauge", ""),
    "citadel_server_cert_chain_expiry_timestamp": ("gauge", ""), "citadel_server_cert_chain_expiry_seconds": ("gauge", ""),
    "sidecar_injection_requests_total": ("counter", ""), "sidecar_injection_success_total": ("counter", ""),
    "sidecar_injection_failure_total": ("counter", ""), "sidecar_injection_skip_total": ("counter", ""),
    "sidecar_injection_time_seconds": ("histogram", ""), "galley_validation_passed": ("counter", "group version resource"),
    "galley_validation_failed": ("counter", "group version resource reason"), "galley_validation_http_error": ("counter", "status"),
    "galley_validation_config_updates": ("counter", ""), "galley_validation_config_update_error": ("counter", "reason"),
    "galley_validation_config_load_error": ("counter", "reason"), "webhook_patch_attempts_total": ("counter", "name"),
    "webhook_patch_retries_total": ("counter", "name"), "webhook_patch_failures_total": ("counter", "name reason"),
    "auto_registration_success_total": ("counter", ""), "auto_registration_updates_total": ("counter", ""),
    "auto_registration_unregister_total": ("counter", ""), "auto_registration_deletes_total": ("counter", ""),
    "auto_registration_errors_total": ("counter", ""), "istiod_managed_clusters": ("gauge", "cluster_type"),
    "istiod_remote_cluster_sync_status": ("gauge", "cluster status"), "remote_cluster_sync_timeouts_total": ("counter", "cluster"),
    "remote_cluster_secret_events_total": ("counter", "event"), "pilot_worker_queue_depth": ("gauge", ""),
    "pilot_worker_queue_latency": ("histogram", ""), "pilot_worker_queue_duration": ("histogram", ""), "pilot_info": ("gauge", "version"),
    "istio_build": ("gauge", "component tag"), "istiod_uptime_seconds": ("gauge", ""), "process_cpu_seconds_total": ("counter", ""),
    "process_resident_memory_bytes": ("gauge", ""), "process_virtual_memory_bytes": ("gauge", ""), "process_open_fds": ("gauge", ""),
    "process_max_fds": ("gauge", ""), "process_start_time_seconds": ("gauge", ""),
}
BAD = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: bad, namespace: default}
spec: {hosts: [web], http: [{timeout: soon}]}
"""
NO_POD = """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-1, namespace: default, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
ports: [{name: tcp, port: 5432}]
endpoints: [{addresses: [10.0.0.9], targetRef: {kind: Pod, name: late, namespace: default}}]
"""


def scrape(c):
    """({name: family}, {name and labels: value})"""
    text = c.get("/metrics")[1].decode()
    families = {f.name: f for f in text_string_to_metric_families(text)}
    values = {}
    for f in families.values():
        for s in f.samples:
            name = f.name if f"# TYPE {f.name} counter\n" in text else s.name  # the parser ends every counter's name with _total
            key = name + "".join(f" {k}={v}" for k, v in sorted(s.labels.items()))
            assert key not in values, f"{key} twice"
            values[key] = s.value
    return families, values


def test_exposition_and_names():
    """Every line is understood, no series stands twice, and each name of Istio is there as it should be, or named in the README."""
    with Coxswaind({"m.yaml": MESH}) as c:
        c.wait_ready()
        text = c.get("/metrics")[1].decode()
        types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
        assert len(types) == text.count("# TYPE ") == text.count("# HELP "), "each name once"
        families, _ = scrape(c)
        assert set(types) - {n for n in types if n in families or n.removesuffix("_total") in families} == set()
        table = dict(re.findall(r'^X\(\w+, \w+, "([a-z0-9_]+)", (NULL|"[a-z_,]+"),', open(os.path.join(TREE, "lib/base/metric.def")).read(), re.M))
        readme = open(os.path.join(TREE, "lib/admin/README.md")).read()
        for name, (kind, labels) in ISTIO.items():
            if name not in types:
                assert f"`{name}`" in readme, f"{name} is neither there nor accounted for"
                continue
            assert types[name] == kind, name
            assert table[name].strip('"').replace(",", " ").replace("NULL", "") == labels, name
        absent = {n for n in ISTIO if n not in types}
        assert absent <= {"xds_cache_dependent_config_size", "provider_lookup_cluster_failures", "pilot_worker_queue_depth", "pilot_worker_queue_latency",
                          "pilot_worker_queue_duration", "pilot_k8s_proxies_with_no_service_targets"}
        for name in types:
            assert name in ISTIO or name.startswith("coxswain_") or name in ("pilot_xds_push_errors", "galley_validation_config_invalid"), name


def test_they_count():
    files = {"m.yaml": MESH, "e.yaml": endpoints("10.0.0.1"), "v.yaml": virtual_service("5s"), "bad.yaml": BAD, "p.yaml": NO_POD}
    with Coxswaind(files) as c:
        c.wait_ready()
        with Stream(c.grpc_port, node(labels={"app": "web"}, ISTIO_VERSION='1.31"x')) as s, Stream(c.grpc_port, node("lonely", ip="10.9.9.9")) as other:
            for t, names in ((CDS, []), (LDS, []), (EDS, [WEB]), (RDS, ["80"])):
                s.fetch(t, names)
                other.fetch(t, names)
            c.write("v.yaml", virtual_service("6s"))
            r = s.next(RDS)
            s.nack(r, "made up")
            c.write("e.yaml", endpoints("10.0.0.2"))
            s.ack(s.next(EDS))
            deadline = time.time() + 10
            while not scrape(c)[1].get("pilot_total_xds_rejects type=rds") and time.time() < deadline:
                time.sleep(0.05)
            _, v = scrape(c)
            assert v["pilot_xds version=1.31\"x"] == 1 and v["pilot_xds version=unknown"] == 1
            assert v["pilot_xds_pushes type=cds"] >= 2 and v["pilot_xds_push_time_count type=cds"] == v["pilot_xds_pushes type=cds"]
            assert v["pilot_xds_config_size_bytes_count type=eds"] == v["pilot_xds_pushes type=eds"]
            assert 100 < v["pilot_xds_config_size_bytes_sum type=cds"] / v["pilot_xds_pushes type=cds"] < 100000
            assert v["pilot_xds_config_size_bytes_bucket le=4e+06 type=cds"] == v["pilot_xds_config_size_bytes_bucket le=+Inf type=cds"]
            for name in ("pilot_xds_send_time", "pilot_proxy_queue_time", "pilot_proxy_convergence_time", "pilot_debounce_time", "pilot_pushcontext_init_seconds"):
                assert v[name + "_count"] > 0 and 0 < v[name + "_sum"] < 30, name
                assert {"le=0.1", "le=0.5", "le=1", "le=3", "le=5", "le=10", "le=20", "le=30", "le=+Inf"} <= {
                    k.split(" ")[1] for k in v if k.startswith(name + "_bucket")}, "Istio's boundaries are among ours"
            assert v["pilot_total_xds_rejects type=rds"] == v["pilot_xds_rds_reject err=InvalidArgument node=client-0.default"] == 1
            assert v["pilot_xds_recv_max"] > 100 and v["pilot_push_triggers type=endpoint"] >= 1 and v["pilot_inbound_updates type=config"] >= 1
            assert v["pilot_k8s_cfg_events event=update type=VirtualService"] == 1 and v["pilot_k8s_reg_events event=add type=Service"] == 2
            assert v["pilot_services"] == 2 and v["pilot_virt_services"] == 1 and v["pilot_eds_no_instances"] == 1
            assert v["pilot_no_ip"] == 1, "the lonely one"
            assert v["pilot_k8s_endpoints_pending_pod"] == v["endpoint_no_pod"] == 1 and v["pilot_k8s_endpoints_with_no_pods"] >= 1
            assert v["pilot_total_rejected_configs name=default/bad type=virtualservice"] == 1
            assert v["xds_cache_reads type=miss"] > 0 and v["xds_cache_size"] > 0
            assert v["istiod_managed_clusters cluster_type=local"] == 1 and v["istiod_managed_clusters cluster_type=remote"] == 0
            assert [k for k in v if k.startswith("istio_build component=pilot tag=")] and v["process_open_fds"] > 5


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q"]))
