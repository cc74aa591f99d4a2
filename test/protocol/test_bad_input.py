"""Bad objects: each is named with its file, line and field, nothing else suffers, and memory stays bounded.

covers: b35
"""
import re
import time

import pytest

from coxswain import CDS, LDS, RDS, Coxswaind, Stream, resources

MESH = """
apiVersion: v1
kind: Namespace
metadata: {name: default}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {clusterIP: 10.96.1.1, ports: [{name: http, port: 80}]}
"""
WEB = "outbound|80||web.default.svc.cluster.local"


def vs(name, spec):
    return "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: %s, namespace: default}\nspec: %s\n" % (name, spec)


def service(name, spec):
    return "apiVersion: v1\nkind: Service\nmetadata: {name: %s, namespace: default}\nspec: %s\n" % (name, spec)


def bomb():
    lines = ["a: &a [%s]" % ", ".join(["x"] * 10)]
    for before, name in zip("abcdefgh", "bcdefghi"):
        lines.append("%s: &%s [%s]" % (name, name, ", ".join(["*" + before] * 10)))
    return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bomb, namespace: default}\n" + "\n".join(lines) + "\n"


ROUTE = "http: [{route: [{destination: {host: web}}]}]"
# What is written, and what must be said about it: regular expressions, each for one line of the log.
CASES = {
    "malformed-yaml": ("x.yaml", vs("broken", "{hosts: [web], http: [{route: [}]}"),
                       [r"error: VirtualService default/broken: spec\.http\[0\]\.route.*: YAML: .*x\.yaml:4 line 4\)"]),
    "malformed-json": ("x.json", '{"apiVersion": "v1", "kind": "Service",\n "metadata": {"name": "cut", "namespace": "default"},\n "spec": {"ports": [',
                       [r"error: Service default/cut: spec\.ports\[0\]: JSON: the text ends.*x\.json:3 line 3\)"]),
    "unknown-field": ("x.yaml", vs("unknown", "{hosts: [other], http: [{rout: [], route: [{destination: {host: web}}]}]}"),
                      [r"warning: VirtualService default/unknown: spec\.http\[0\]\.rout: unknown field, ignored; did you mean \"route\"\?"]),
    "wrong-types": ("x.yaml", vs("types", "{hosts: web, http: {}}"),
                    [r"error: VirtualService default/types: spec\.hosts: must be a list, not text", r"spec\.http: must be a list, not an object"]),
    "wrong-type-in-a-core-kind": ("x.yaml", service("types", "{clusterIP: 10.96.1.7, ports: [{port: eighty}]}"),
                                  [r"error: Service default/types: spec\.ports\[0\]\.port: must be an integer, not text"]),
    "huge-numbers": ("x.yaml", vs("huge", "{hosts: [web], http: [{timeout: 99999999999999999999h, retries: {attempts: 1e400}, route: [{weight: 18446744073709551617, "
                                  "destination: {host: web, port: {number: 99999999999999999999999}}}]}]}"),
                     [r"VirtualService default/huge: spec\.http\[0\]\.timeout: .*is no duration", r"spec\.http\[0\]\.retries\.attempts: must be an integer",
                      r"spec\.http\[0\]\.route\[0\]\.weight: must be an integer", r"spec\.http\[0\]\.route\[0\]\.destination\.port\.number: must be an integer"]),
    "aliases-that-explode": ("x.yaml", bomb(), [r"error: ConfigMap default/bomb: e\[\d\].*: YAML: the aliases expand to too many nodes"]),
    "alias-in-a-circle": ("x.yaml", vs("circle", "{hosts: [web], http: &h [*h]}"),
                          [r"error: VirtualService default/circle: spec\.http\[0\]: YAML: an alias within its own anchor"]),
    "delegates-in-a-circle": ("x.yaml", vs("one", "{http: [{delegate: {name: two}}]}") + "---\n" + vs("two", "{http: [{delegate: {name: one}}]}") + "---\n" +
                              vs("self", "{hosts: [self], http: [{delegate: {name: self}}]}"),
                              [r"error: VirtualService default/one: spec: a delegate \(no hosts\) cannot delegate again", r"VirtualService default/two: spec: a delegate",
                               r"VirtualService/default/self spec\.http\[0\]\.delegate: no VirtualService self without hosts"]),
    "duplicate-keys-yaml": ("x.yaml", service("twice", "{clusterIP: 10.96.1.7, clusterIP: 10.96.1.8}"),
                            [r"error: Service default/twice: spec\.clusterIP: YAML: the key \"clusterIP\" stands twice in one map \(.*x\.yaml:4 line 4\)"]),
    "duplicate-keys-json": ("x.json", '{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "twice", "namespace": "default", "name": "x"}}',
                            [r"error: Service default/twice: metadata\.name: JSON: the key \"name\" stands twice in one object"]),
    "nested-too-deeply": ("x.yaml", vs("deep", "{hosts: [web], http: " + "[" * 5000 + "]" * 5000 + "}"),
                          [r"error: VirtualService default/deep: spec\.http\[0\]\[0\].*: YAML: nested too deeply"]),
    "nul-in-a-name": ("x.yaml", service('"a\\0b"', "{clusterIP: 10.96.1.7}"), [r"error: Service .*metadata\.name: must not contain a NUL character"]),
    "service-without-ports": ("x.yaml", service("noports", "{clusterIP: 10.96.1.7}"), [r"Service/default/noports spec\.ports: is empty: no listener"]),
    "route-to-nowhere": ("x.yaml", vs("lost", "{hosts: [other], http: [{route: [{destination: {host: nowhere}}]}]}"),
                         [r"VirtualService/default/lost spec\.http\[0\]\.route\[0\]\.destination\.host: no service nowhere\.default\.svc\.cluster\.local"]),
    "two-services-one-address": ("x.yaml", service("rival", "{clusterIP: 10.96.1.1, ports: [{name: http, port: 80}]}").replace("default}", 'default, creationTimestamp: "2030-01-01T00:00:00Z"}'),
                                 [r"Service/default/rival spec\.clusterIP: address 10\.96\.1\.1 with port 80 belongs to the older Service/default/web"]),
    "two-entries-one-address": ("x.yaml", "---\n".join(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: %s, namespace: default}\nspec: {hosts: [%s.example.com], addresses: [240.1.1.1], "
        "ports: [{name: tcp, number: 90, protocol: TCP}], resolution: STATIC, endpoints: [{address: 1.1.1.1}]}\n" % (n, n) for n in ("e1", "e2")),
        [r"ServiceEntry/default/e2 spec\.addresses\[0\]: address 240\.1\.1\.1 with port 90 belongs to the older ServiceEntry/default/e1"]),
    "two-hosts-one-name": ("x.yaml", "---\n".join(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: %s, namespace: default}\nspec: {hosts: [same.example.com], "
        "ports: [{name: http, number: 80, protocol: HTTP}], resolution: DNS}\n" % n for n in ("e1", "e2")),
        [r"ServiceEntry/default/e2 spec\.hosts: host same\.example\.com of namespace default belongs to the older ServiceEntry/default/e1"]),
    "one-target-port-two-protocols": ("x.yaml", service("p1", "{clusterIP: 10.96.1.7, selector: {app: p}, ports: [{name: http, port: 80, targetPort: 8080}]}") + "---\n" +
                                      service("p2", "{clusterIP: 10.96.1.8, selector: {app: p}, ports: [{name: tcp, port: 90, targetPort: 8080}]}"),
                                      [r"Service/default/p2 spec\.ports\[0\]: target port 8080 is taken as HTTP, as the older Service/default/p1 has it, not as TCP"]),
    "mesh-configuration": ("x.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata: {mesh: 'accessLogFile: [1]'}\n",
                           [r"ConfigMap/istio-system/istio data\.mesh: .*accessLogFile"]),
    "huge-document": ("x.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: big}\ndata: {a: \"" + "x" * (100 << 20) + "\"}\n",
                      [r"error: 104857\d+ bytes; a file may have 16777216 \(.*x\.yaml"]),
    "huge-list": ("x.yaml", vs("long", "{hosts: [web], http: [{match: [" + "{uri: {exact: /}}," * 200000 + "], route: [{destination: {host: web}}]}]}"),
                  [r"error: VirtualService default/long: spec\.http\[0\]\.match: "]),
}


@pytest.fixture(scope="module")
def mesh():
    with Coxswaind({"mesh.yaml": MESH}) as c:
        c.wait_ready()
        with Stream(c.grpc_port) as s:
            assert WEB in s.fetch(CDS)
        yield c


def wait_log(mesh, start, patterns, seconds=15):
    deadline = time.time() + seconds
    while True:
        text = mesh.log_text()[start:]
        missing = [p for p in patterns if not re.search(p, text)]
        if not missing:
            return text
        assert time.time() < deadline, "not said: %s\n%s" % (missing, text[-3000:])
        time.sleep(0.05)


@pytest.mark.parametrize("name", sorted(CASES))
def test_bad_object(mesh, name):
    file, text, said = CASES[name]
    start, before = len(mesh.log_text()), mesh.rss_kib()
    invalid = mesh.metric("galley_validation_config_invalid")
    mesh.write(file, text)
    heard = wait_log(mesh, start, said)
    # The rest of the mesh goes on, and a change in it is live.
    mesh.write("good.yaml", service("good", "{clusterIP: 10.96.1.9, ports: [{name: http, port: 80}]}"))
    with Stream(mesh.grpc_port) as s:
        deadline, clusters = time.time() + 10, {}
        while "outbound|80||good.default.svc.cluster.local" not in clusters and time.time() < deadline:
            with Stream(mesh.grpc_port) as again:
                clusters = again.fetch(CDS)
        assert WEB in clusters and "outbound|80||good.default.svc.cluster.local" in clusters
        assert "virtualOutbound" in s.fetch(LDS) and "80" in s.fetch(RDS, ["80"])
    assert mesh.rss_kib() - before < 64 * 1024, "memory grew by %d KiB" % (mesh.rss_kib() - before)
    is_error = any(re.search(r"error: ", line) for line in heard.splitlines())
    assert (mesh.metric("galley_validation_config_invalid") > invalid) == is_error
    mesh.remove(file)
    mesh.remove("good.yaml")
    deadline = time.time() + 10
    while mesh.metric("galley_validation_config_invalid") > invalid:
        assert time.time() < deadline, "a file that is gone still counts as invalid"
        time.sleep(0.05)


def test_first_of_two_at_one_address_is_served(mesh):
    """The older one has the listener; both keep their cluster."""
    mesh.write("rivals.yaml", service("s1", "{clusterIP: 10.96.2.1, ports: [{name: tcp, port: 90}]}") + "---\n" + service("s2", "{clusterIP: 10.96.2.1, ports: [{name: tcp, port: 90}]}"))
    deadline, listener, clusters = time.time() + 10, None, {}
    while (listener is None or "outbound|90||s1.default.svc.cluster.local" not in clusters) and time.time() < deadline:
        with Stream(mesh.grpc_port) as s:
            clusters, listener = s.fetch(CDS), s.fetch(LDS).get("10.96.2.1_90")
    assert listener is not None and b"outbound|90||s1.default" in listener.SerializeToString() and b"||s2.default" not in listener.SerializeToString()
    assert {"outbound|90||s1.default.svc.cluster.local", "outbound|90||s2.default.svc.cluster.local"} <= set(clusters)
    assert_metric(mesh, "pilot_conflict_outbound_listener_tcp_over_current_tcp", 1)
    mesh.remove("rivals.yaml")
    assert_metric(mesh, "pilot_conflict_outbound_listener_tcp_over_current_tcp", 0)


def test_figures_of_services(mesh):
    """covers: g28 g29"""
    assert_metric(mesh, "pilot_conflict_inbound_listener", 0)
    empty = mesh.metric("pilot_eds_no_instances")
    mesh.write("figures.yaml", CASES["one-target-port-two-protocols"][1] + """---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: p1-1, namespace: default, labels: {kubernetes.io/service-name: p1}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints: [{addresses: [10.1.0.1], conditions: {ready: true}}, {addresses: [10.1.0.2], conditions: {ready: false}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: dns, namespace: default}
spec: {hosts: ["a.example.com"], location: MESH_EXTERNAL, resolution: DNS, ports: [{name: http, number: 80, protocol: HTTP}], workloadSelector: {labels: {app: none}}}
""")
    assert_metric(mesh, "pilot_conflict_inbound_listener", 1)
    assert_metric(mesh, "pilot_eds_no_instances", empty + 1)
    assert_metric(mesh, "pilot_endpoint_not_ready", 1)
    assert_metric(mesh, "pilot_dns_cluster_without_endpoints", 1)
    mesh.remove("figures.yaml")
    mesh.write("rules.yaml", CASES["two-hosts-one-name"][1] + "---\n" + vs("v1", "{hosts: [web], %s}" % ROUTE) + "---\n" + vs("v2", "{hosts: [web], %s}" % ROUTE) +
               "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: d, namespace: default}\n"
               "spec: {host: web, subsets: [{name: a, labels: {v: a}}]}\n"
               "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: e, namespace: default}\n"
               "spec: {host: web, subsets: [{name: a, labels: {v: b}}]}\n")
    for name in ("pilot_duplicate_envoy_clusters", "pilot_vservice_dup_domain", "pilot_destrule_subsets"):
        assert_metric(mesh, name, 1)
    assert_metric(mesh, "pilot_virt_services", 2)
    mesh.remove("rules.yaml")
    for name, value in (("pilot_conflict_inbound_listener", 0), ("pilot_eds_no_instances", empty), ("pilot_endpoint_not_ready", 0)):
        assert_metric(mesh, name, value)


def assert_metric(mesh, name, value):
    deadline = time.time() + 10
    while mesh.metric(name) != value:
        assert time.time() < deadline, "%s is %g, not %g\n%s" % (name, mesh.metric(name), value, mesh.log_text()[-2000:])
        time.sleep(0.05)


def test_process_figures(mesh):
    """covers: g42"""
    for name in ("process_resident_memory_bytes", "process_virtual_memory_bytes", "process_open_fds", "process_max_fds", "process_cpu_seconds_total",
                 "istiod_uptime_seconds", "pilot_info", "istio_build"):
        assert mesh.metric(name) > 0, name
    assert abs(mesh.metric("process_start_time_seconds") - time.time()) < 3600


def test_metrics_read_as_prometheus_text(mesh):
    """One family, one TYPE, no series twice; what is a counter ends as counters do, but for istiod's names."""
    family, seen, series = None, set(), set()
    for line in mesh.get("/metrics")[1].decode().splitlines():
        if line.startswith("# HELP "):
            family = line.split(" ")[2]
            assert family not in seen, "%s stands twice" % family
            seen.add(family)
        elif line.startswith("# TYPE "):
            assert line.split(" ")[2] == family and line.split(" ")[3] in ("counter", "gauge", "histogram")
        else:
            hit = re.fullmatch(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)+\})? (-?[0-9.e+-]+|NaN|[+-]Inf)', line)
            assert hit, line
            assert re.sub(r"_(bucket|sum|count)$", "", hit.group(1)) == family or hit.group(1) == family, line
            assert (hit.group(1), hit.group(2)) not in series, line
            series.add((hit.group(1), hit.group(2)))
    assert len(seen) > 40


def test_resources_of_a_rejected_change_stay(mesh):
    """The last good version of a VirtualService is served while its new one is faulty. covers: b53"""
    mesh.write("vs.yaml", vs("web", "{hosts: [web], http: [{timeout: 5s, route: [{destination: {host: web}}]}]}"))

    def timeout():
        with Stream(mesh.grpc_port) as s:
            host = [h for h in s.fetch(RDS, ["80"])["80"].virtual_hosts if h.name.startswith("web.")][0]
            return host.routes[0].route.timeout.seconds
    deadline = time.time() + 10
    while timeout() != 5 and time.time() < deadline:
        pass
    start = len(mesh.log_text())
    mesh.write("vs.yaml", vs("web", "{hosts: [web], http: [{timeout: 5s, timeout: 6s}]}"))
    wait_log(mesh, start, [r"VirtualService default/web: spec\.http\[0\]\.timeout: YAML: the key .*its last good version stays in force"])
    assert timeout() == 5
    mesh.remove("vs.yaml")
