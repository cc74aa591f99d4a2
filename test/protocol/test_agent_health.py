"""PROXY_CONFIG's readinessProbe: a workload without a kubelet is asked by its agent, which tells the control plane.
covers: i12"""
import http.server
import json
import os
import socket
import sys
import threading

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import coxswain  # noqa: E402
from agentlab import Agent, Stream, eventually, free_port  # noqa: E402
from tinyca import Plane  # noqa: E402

HEALTH, CDS = "type.googleapis.com/istio.v1.HealthInformation", "type.googleapis.com/envoy.config.cluster.v3.Cluster"
FAST = {"periodSeconds": 1, "failureThreshold": 1}


class App:
    """Answers GET with `status`."""

    def __init__(self):
        app = self
        self.status, self.seen = 200, []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                app.seen.append((self.path, self.headers.get("x-probe")))
                self.send_response(app.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture()
def plane():
    with Plane() as p:
        yield p


def agent_for(plane, probe, **env):
    config = {"terminationDrainDuration": "0s", "readinessProbe": probe}
    return Agent(f"127.0.0.1:{plane.port}", plane.root.pem, env={"PROXY_CONFIG": json.dumps(config), **env})


def told(plane):
    """What was said of the application: "" for well, else why not."""
    return [r.error_detail.message if r.HasField("error_detail") else "" for r in plane.asked(HEALTH)]


def test_http_only_changes_are_told(plane):
    with App() as app:
        probe = {**FAST, "httpGet": {"path": "/ok", "port": app.port, "httpHeaders": [{"name": "x-probe", "value": "1"}]}}
        with agent_for(plane, probe) as a, Stream(a.xds, "ads") as s:
            a.wait_log("the application is healthy")
            s.send(CDS)
            eventually(lambda: told(plane) == [""])
            eventually(lambda: len(app.seen) >= 3)
            assert told(plane) == [""] and app.seen[0] == ("/ok", "1")
            app.status = 503
            eventually(lambda: told(plane) == ["", "status 503"])
            app.status = 204
            eventually(lambda: told(plane) == ["", "status 503", ""])
            assert plane.requests[0].type_url == CDS  # Envoy's first request has the node: it goes first
            s.none(0.3)


def test_tcp_threshold_and_a_new_stream(plane):
    """Two failures in a row count; what is known is said again on a new stream."""
    port = free_port()
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(64)
        with agent_for(plane, {**FAST, "failureThreshold": 2, "tcpSocket": {"port": port}}) as a:
            with Stream(a.xds, "ads") as s:
                s.send(CDS)
                eventually(lambda: told(plane) == [""])
                listener.close()
                eventually(lambda: len(told(plane)) == 2 and f"port {port}" in told(plane)[1])
            with Stream(a.xds, "ads", False) as s:
                s.send(CDS)
                eventually(lambda: len(told(plane)) == 3 and told(plane)[2] == told(plane)[1])


def test_command(plane, tmp_path):
    """Its status counts; one that hangs is killed; without an Envoy it is told as well."""
    flag = tmp_path / "flag"
    script = f'case "$(cat {flag} 2>/dev/null)" in ok) exit 0;; hang) exec sleep 1000;; esac; exit 3'
    with agent_for(plane, {**FAST, "exec": {"command": ["/bin/sh", "-c", script]}}, DISABLE_ENVOY="true"):
        eventually(lambda: told(plane) == ["/bin/sh ended with status 3"])
        flag.write_text("ok")
        eventually(lambda: told(plane)[1:] == [""])
        flag.write_text("hang")
        eventually(lambda: told(plane)[2:] == ["the command took too long"])
        flag.write_text("ok")
        eventually(lambda: told(plane)[3:] == [""])


@pytest.mark.parametrize("probe, member", [
    ({}, "needs one of"), ({"httpGet": {"port": 0}}, "port"), ({"exec": {"command": []}}, "exec.command"), ({"exec": {"command": [1]}}, "word 0"),
    ({"tcpSocket": {"port": 1, "host": "a.name"}}, "not an address"), ({"tcpSocket": {"port": 1}, "periodSeconds": -1}, "periodSeconds"),
    ({"tcpSocket": {"port": 1}, "failureThreshold": "x"}, "failureThreshold")])
def test_probe_that_cannot_be_read_is_named(plane, probe, member):
    a = agent_for(plane, probe)
    try:
        assert a.process.wait(10) == 1
        assert "readinessProbe" in a.log() and member in a.log(), a.log()
    finally:
        a.close()


def test_no_probe_says_nothing(plane):
    with Agent(f"127.0.0.1:{plane.port}", plane.root.pem) as a, Stream(a.xds, "ads") as s:
        a.wait_log("certificate in force")
        s.send(CDS)
        eventually(lambda: plane.asked(CDS))
        s.none(0.5)
        assert told(plane) == []


@pytest.mark.parametrize("delta", [False, True])
def test_coxswaind_takes_it_without_an_answer(delta):
    with coxswain.Coxswaind() as c:
        c.wait_ready()
        with coxswain.Stream(c.grpc_port, delta=delta) as s:
            s.fetch(coxswain.CDS)
            s.request(HEALTH)
            s.request(HEALTH, error="status 503")
            s.silent(0.5)
            s.fetch(coxswain.LDS)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q"]))
