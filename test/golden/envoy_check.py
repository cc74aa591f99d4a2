"""Has a real Envoy load rendered resources: all of them as one bootstrap, in validation mode."""
import copy
import json
import os
import subprocess
import sys

ENVOY = os.environ.get("ENVOY", os.path.join(os.path.dirname(sys.executable), "envoy"))


def grpc_cluster(name):
    return {"name": name, "type": "STATIC", "connect_timeout": "1s",
            "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}}}},
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [
                {"endpoint": {"address": {"pipe": {"path": "/nonexistent/" + name}}}}]}]}}


def inline_routes(node, routes, used):
    """RDS is not fetched in validation mode: the route configuration goes in where it is named."""
    if isinstance(node, dict):
        if "rds" in node and node["rds"].get("route_config_name") in routes:
            name = node.pop("rds")["route_config_name"]
            used.add(name)
            node["route_config"] = routes[name]
        for v in node.values():
            inline_routes(v, routes, used)
    elif isinstance(node, list):
        for v in node:
            inline_routes(v, routes, used)


def bare(resource):
    return {k: v for k, v in copy.deepcopy(resource).items() if k != "@type"}


def bootstrap(rendered):
    clusters = [bare(c) for c in rendered.get("CDS", {}).values()]
    listeners = [bare(l) for l in rendered.get("LDS", {}).values()]
    routes = {n: bare(r) for n, r in rendered.get("RDS", {}).items()}
    used = set()
    inline_routes(listeners, routes, used)
    # Assignments and routes that nothing above shows to Envoy get a bearer of their own.
    for name, assignment in rendered.get("EDS", {}).items():
        clusters.append({"name": "check " + name, "type": "STATIC", "connect_timeout": "1s", "load_assignment": bare(assignment)})
    for i, name in enumerate(sorted(set(routes) - used)):
        listeners.append({"name": "check " + name, "address": {"socket_address": {"address": "127.0.0.1", "port_value": 20000 + i}},
                          "filter_chains": [{"filters": [{"name": "hcm", "typed_config": {
                              "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                              "stat_prefix": "check", "route_config": routes[name],
                              "http_filters": [{"name": "router", "typed_config": {
                                  "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}]}}]}]})
    return {"node": {"id": "check", "cluster": "check"},
            "dynamic_resources": {"ads_config": {"api_type": "GRPC", "transport_api_version": "V3",
                                                 "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}]}},
            "static_resources": {"clusters": clusters + [grpc_cluster("xds-grpc"), grpc_cluster("sds-grpc")], "listeners": listeners}}


def refusal(rendered, tmp_path):
    """What Envoy says against it; None: it takes everything."""
    path = os.path.join(str(tmp_path), "bootstrap.json")
    with open(path, "w") as f:
        json.dump(bootstrap(rendered), f)
    done = subprocess.run([ENVOY, "--mode", "validate", "-c", path, "-l", "error", "--base-id", str(os.getpid() % 30000)],
                          capture_output=True, text=True, timeout=120)
    return None if done.returncode == 0 else done.stdout + done.stderr
