"""EnvoyFilter on a real Envoy with traffic: a Lua filter adds a header, its configuration comes by ECDS and changes without a new listener,
and taking it away loses no request; what Envoy rejects is told to the EnvoyFilter, and the last good version stays.

covers: a153 a154 a157 a165 b5
"""
import http.client
import http.server
import threading

import pytest

from adsmodel import RealEnvoy, free_port, until
from coxswain import Coxswaind

PORT = free_port()
MESH = f"""
apiVersion: v1
kind: Service
metadata: {{name: a, namespace: default}}
spec: {{clusterIP: 10.96.0.1, ports: [{{name: http, port: {PORT}}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: a-1, namespace: default, labels: {{kubernetes.io/service-name: a}}}}
addressType: IPv4
ports: [{{name: http, port: APP}}]
endpoints: [{{addresses: [127.0.0.1], conditions: {{ready: true}}}}]
"""
CHAIN = "listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager, subFilter: {name: envoy.filters.http.router}}}}"
LUA = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"


def code(value):
    return f"function envoy_on_response(h) h:headers():add('x-lua', '{value}') end"


def envoy_filter(patches, name="lua"):
    return f"apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {{name: {name}, namespace: default}}\nspec:\n  configPatches:\n{patches}"


def inline(value):
    return envoy_filter(f"""
  - applyTo: HTTP_FILTER
    match: {{context: SIDECAR_OUTBOUND, {CHAIN}}}
    patch:
      operation: INSERT_BEFORE
      value: {{name: my-lua, typed_config: {{"@type": {LUA}, default_source_code: {{inline_string: "{code(value)}"}}}}}}
""")


def by_ecds(value):
    return envoy_filter(f"""
  - applyTo: EXTENSION_CONFIG
    patch:
      operation: ADD
      value: {{name: my-lua, typed_config: {{"@type": {LUA}, default_source_code: {{inline_string: "{code(value)}"}}}}}}
  - applyTo: HTTP_FILTER
    match: {{context: SIDECAR_OUTBOUND, {CHAIN}}}
    patch:
      operation: INSERT_BEFORE
      value: {{name: my-lua, config_discovery: {{config_source: {{ads: {{}}, resource_api_version: V3}}, type_urls: [{LUA}]}}}}
""")


class App(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *args):
        pass


def ask():
    """Status and the header."""
    c = http.client.HTTPConnection("127.0.0.1", PORT, timeout=20)
    try:
        c.request("GET", "/", headers={"Host": f"a:{PORT}"})
        r = c.getresponse()
        r.read()
        return r.status, r.getheader("x-lua")
    finally:
        c.close()


class Load:
    """Asks all the time; what came of it."""

    def __init__(self):
        self.asked, self.bad, self.on = 0, [], True
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while self.on:
            self.asked += 1
            try:
                status, _ = ask()
            except OSError as e:
                status = e
            if status != 200:
                self.bad.append(status)

    def end(self):
        until(lambda: self.asked > 100 or self.bad, "a hundred requests", 60)
        self.on = False
        self.thread.join()
        assert not self.bad, (self.asked, self.bad[:5])


@pytest.fixture(params=["delta", "sotw"])
def lab(request, tmp_path):
    app = http.server.ThreadingHTTPServer(("127.0.0.1", 0), App)
    threading.Thread(target=app.serve_forever, daemon=True).start()
    with Coxswaind({"mesh.yaml": MESH.replace("APP", str(app.server_port))}) as c:
        c.wait_ready()
        md = {"NAMESPACE": "default", "COXSWAIN_SDS": "none", "INTERCEPTION_MODE": "NONE", "INSTANCE_IPS": "10.1.0.99", "LABELS": {}}
        envoy = RealEnvoy(c.grpc_port, tmp_path, "sidecar~10.1.0.99~sidecar-0.default~default.svc.cluster.local", request.param == "delta", md)
        try:
            until(lambda: answers() == (200, None), "the way through")
            yield c, envoy
        finally:
            envoy.stop()
            app.shutdown()


def answers():
    try:
        return ask()
    except OSError:
        return None


def patches(c):
    return {(p["filter"], p["patch"]): p["objects"] for unit in c.json("/debug/envoyfilterz") for p in unit["patches"] if unit["part"] == "outbound"}


def test_comes_changes_and_goes(lab):
    c, envoy = lab
    load = Load()
    c.write("filter.yaml", inline("inline"))
    until(lambda: answers() == (200, "inline"), "the header")
    c.write("filter.yaml", by_ecds("one"))
    until(lambda: answers() == (200, "one"), "the header by ECDS")
    assert patches(c) == {("default/lua", 0): 0, ("default/lua", 1): 1}
    listeners = envoy.stat("listener_manager.listener_modified") + envoy.stat("listener_manager.listener_in_place_updated")
    c.write("filter.yaml", by_ecds("two"))
    until(lambda: answers() == (200, "two"), "the new header")
    assert envoy.stat("listener_manager.listener_modified") + envoy.stat("listener_manager.listener_in_place_updated") == listeners
    c.remove("filter.yaml")
    until(lambda: answers() == (200, None), "no header")
    load.end()
    assert patches(c) == {}


def test_what_is_rejected_is_told_to_the_filter(lab):
    """covers: b24"""
    c, envoy = lab
    c.write("filter.yaml", inline("good"))
    until(lambda: answers() == (200, "good"), "the header")
    load = Load()
    c.write("filter.yaml", inline("good").replace("function envoy_on_response", "function envoy_on_response(("))
    until(lambda: "taken out" in c.log_text(), "the rejection")
    line = next(l for l in c.log_text().splitlines() if "taken out" in l)
    assert "EnvoyFilter/default/lua" in line and "LDS" in line, line
    # The last good one stays, and what else changes still comes.
    assert ask() == (200, "good")
    c.write("more.yaml", envoy_filter("  - {applyTo: CLUSTER, match: {context: SIDECAR_OUTBOUND}, patch: {operation: ADD, value: {name: more, connect_timeout: 1s}}}\n", "more"))
    until(lambda: "more" in envoy.clusters(), "another filter's cluster")
    c.write("filter.yaml", inline("better"))
    until(lambda: answers() == (200, "better"), "the next version")
    load.end()
