"""No field of our kinds is decoded and then forgotten: somebody outside of lib/model reads it, or its row says that it has no effect, which
becomes a warning."""
import glob
import os
import re

import refdiff

FILES = ("virtual_service", "destination_rule", "gateway", "service_entry", "sidecar", "common", "mesh", "proxy_config")
# Read in another way, with the reason.
ELSEWHERE = {
    "min_cluster_size": "part of zoneAwareLbSetting, which has no effect",
    "discovery_address": "for the agent: in proxy_config.raw",
    "drain_duration_ns": "for the agent: in proxy_config.raw",
    "termination_drain_duration_ns": "for the agent: in proxy_config.raw",
    "service_settings": "one cluster is served: said in a warning",
    "service_scope_configs": "one cluster is served: said in a warning",
    "cluster_local": "part of serviceSettings",
    "namespace_selector": "part of serviceScopeConfigs",
    "services_selector": "part of serviceScopeConfigs",
    "config_sources": "sources are flags: said in a warning",
    "access_token": "of lightstep, which cox-agent refuses",
    "debug": "of stackdriver, which cox-agent refuses",
    "max_number_of_attributes": "of stackdriver, which cox-agent refuses",
    "max_number_of_annotations": "of stackdriver, which cox-agent refuses",
    "max_number_of_message_events": "of stackdriver, which cox-agent refuses",
    "stats_matcher": "read by the agent from the tree (node.c)",
    "prefixes": "read by the agent from the tree (node.c)",
    "suffixes": "read by the agent from the tree (node.c)",
    "regexps": "read by the agent from the tree (node.c)",
    "readiness_probe": "read by the agent from the tree (health.c)",
    "hold_application": "for the injector: in what cox_proxy_config_effective() gives",
    "image": "for the injector: in what cox_proxy_config_effective() gives",
    "image_type": "for the injector: in what cox_proxy_config_effective() gives",
    "environment_variables": "proxyMetadata in what cox_proxy_config_effective() gives",
    "poll_delay_ns": "part of privateKeyProvider, which has no effect",
    "cryptomb": "part of privateKeyProvider, which has no effect",
    "qat": "part of privateKeyProvider, which has no effect",
    "enable_prometheus_merge": "for the injector, which is an issue of its own",
}
ROW = re.compile(r'\b(?:[FMP]|CS|TRACER)\((?:\w+, )?(\w+), "(\w+)",(?=((?:[^\n]*\n){1,3}))')


def rows():
    for name in FILES:
        with open(os.path.join(refdiff.ROOT, "lib/model", name + ".c")) as f:
            for member, json, rest in ROW.findall(f.read()):
                yield name, member, json, "NO_EFFECT" in re.split(r"\b(?:[FMP]|CS|TRACER)\(", rest)[0]


def test_every_field_is_read():
    code = ""
    for path in glob.glob(os.path.join(refdiff.ROOT, "lib/*/*.[ch]")) + glob.glob(os.path.join(refdiff.ROOT, "cmd/*/*.[ch]")):
        if "/lib/model/" not in path:
            with open(path) as f:
                code += f.read()
    read = set(re.findall(r"(?:->|\.)(\w+)\b", code))
    all_rows = list(rows())
    forgotten = ["lib/model/%s.c: %s (%s)" % (n, json, member) for n, member, json, flagged in all_rows
                 if not flagged and member not in read and member not in ELSEWHERE]
    assert not forgotten, "\n".join(forgotten)
    assert len(all_rows) > 300
