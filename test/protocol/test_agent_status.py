"""Port 15020 of cox-agent, with a stand-in for Envoy and an application of the test. covers: i6 i7 i8"""
import json
import os
import socket
import ssl
import subprocess
import threading
import time
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import pytest

from agent_alone import Agent, free_ports


class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen = []
    metrics = ("text/plain", "app_up 1\n")
    metrics_status = 200

    def log_message(self, *args):
        pass

    def answer(self, status, body="", headers=()):
        self.send_response(status)
        for k, v in headers:
            self.send_header(k, v)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def do_GET(self):
        App.seen.append((self.path, dict((k.lower(), v) for k, v in self.headers.items())))
        if self.path.startswith("/status/"):
            self.answer(int(self.path.rsplit("/", 1)[1]), "x" * 1000)
        elif self.path == "/hop":
            self.answer(302, headers=[("Location", "/status/200")])
        elif self.path == "/loop":
            self.answer(302, headers=[("Location", "/loop")])
        elif self.path == "/away":
            self.answer(302, headers=[("Location", "http://example.com/")])
        elif self.path == "/slow":
            time.sleep(1.5)
            self.answer(200)
        elif self.path == "/endless":
            self.send_response(200)
            self.end_headers()
            try:
                for _ in range(100):
                    self.wfile.write(b"more and more\n")
                    time.sleep(0.1)
            except OSError:
                pass
        elif self.path == "/metrics":
            self.answer(App.metrics_status, App.metrics[1], [("content-type", App.metrics[0])])
        else:
            self.answer(404)


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """(clear port, TLS port, gRPC port, a port where nobody listens)"""
    folder = tmp_path_factory.mktemp("tls")
    key, cert = str(folder / "k.pem"), str(folder / "c.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "1", "-subj", "/CN=whoever"],
                   check=True, capture_output=True)
    clear = ThreadingHTTPServer(("127.0.0.1", 0), App)
    tls = ThreadingHTTPServer(("127.0.0.1", 0), App)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.set_alpn_protocols(["h2", "http/1.1"])
    tls.socket = context.wrap_socket(tls.socket, server_side=True)
    for s in (clear, tls):
        threading.Thread(target=s.serve_forever, daemon=True).start()

    def check(request, context):
        service = request[2:].decode()
        if service == "absent":
            context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        if service == "slow":
            time.sleep(3)
        return {"": b"\x08\x01", "up": b"\x08\x01"}.get(service, b"\x08\x02")
    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": grpc.unary_unary_rpc_method_handler(check)}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield clear.server_port, tls.server_port, port, free_ports(1)[0]
    clear.shutdown()
    tls.shutdown()
    server.stop(0)


def probers(app):
    clear, tls, grpc_port, nobody = app

    def http(path, port=clear, **more):
        # A busy machine is no fault of the agent's; only /slow keeps the default of one second.
        return {"httpGet": {"path": path, "port": port, **more}, **({} if path == "/slow" else {"timeoutSeconds": 10})}
    return {
        "/app-health/a/livez": http("/status/200"),
        "/app-health/a/readyz": http("/status/503"),
        "/app-health/a/startupz": {"httpGet": {"path": "status/204", "port": str(clear), "httpHeaders": [
            {"name": "Host", "value": "app.example.com"}, {"name": "X-Probe", "value": "yes"}, {"name": "user-agent", "value": "mine"}]}},
        "/app-health/hop/livez": http("/hop"),
        "/app-health/loop/livez": http("/loop"),
        "/app-health/away/livez": http("/away"),
        "/app-health/slow/livez": http("/slow"),
        "/app-health/slow/readyz": {**http("/slow"), "timeoutSeconds": 5},
        "/app-health/endless/livez": http("/endless"),
        "/app-health/tls/livez": http("/status/200", tls, scheme="HTTPS"),
        "/app-health/tls-as-clear/livez": http("/status/200", tls),
        "/app-health/clear-as-tls/livez": http("/status/200", clear, scheme="HTTPS"),
        "/app-health/nobody/livez": http("/", nobody),
        "/app-health/tcp/livez": {"tcpSocket": {"port": clear}},
        "/app-health/tcp/readyz": {"tcpSocket": {"port": nobody}},
        "/app-health/grpc/livez": {"grpc": {"port": grpc_port}},
        "/app-health/grpc/readyz": {"grpc": {"port": grpc_port, "service": "up"}},
        "/app-health/grpc-down/readyz": {"grpc": {"port": grpc_port, "service": "down"}},
        "/app-health/grpc-absent/readyz": {"grpc": {"port": grpc_port, "service": "absent"}},
        "/app-health/grpc-slow/readyz": {"grpc": {"port": grpc_port, "service": "slow"}},
        "/app-health/grpc-nobody/readyz": {"grpc": {"port": nobody}},
        "/app-lifecycle/a/prestopz": http("/slow"),
    }


@pytest.fixture(scope="module")
def agent(app):
    env = {"ISTIO_KUBE_APP_PROBERS": json.dumps(probers(app)),
           "ISTIO_PROMETHEUS_ANNOTATIONS": json.dumps({"scrape": "true", "port": str(app[0]), "path": "/metrics"})}
    with Agent(env) as a:
        yield a.wait_ready()


@pytest.mark.parametrize("path,status", [
    ("a/livez", 200), ("a/readyz", 503), ("a/startupz", 204), ("hop/livez", 200), ("loop/livez", 302), ("away/livez", 302), ("slow/livez", 500),
    ("slow/readyz", 200), ("endless/livez", 200), ("tls/livez", 200), ("tls-as-clear/livez", 500), ("clear-as-tls/livez", 500), ("nobody/livez", 500),
    ("tcp/livez", 200), ("tcp/readyz", 500), ("grpc/livez", 200), ("grpc/readyz", 200), ("grpc-down/readyz", 500), ("grpc-absent/readyz", 500),
    ("grpc-slow/readyz", 500), ("grpc-nobody/readyz", 500), ("unknown/livez", 404), ("a/nothing", 404)])
def test_probes(agent, path, status):
    started = time.monotonic()
    assert agent.get("/app-health/" + path).status == status
    assert time.monotonic() - started < 4


def test_probe_headers_go_along(agent):
    App.seen.clear()
    agent.get("/app-health/a/startupz", headers={"User-Agent": "kube-probe/1.31", "X-Kubelet": "k", "Accept-Encoding": "gzip"})
    path, headers = App.seen[-1]
    assert path == "/status/204" and headers["host"] == "app.example.com" and headers["x-probe"] == "yes"
    assert headers["user-agent"] == "mine" and headers["x-kubelet"] == "k" and "accept-encoding" not in headers


def test_lifecycle_hook_may_take_its_time(agent):
    assert agent.get("/app-lifecycle/a/prestopz").status == 200


def test_slow_probes_hold_up_nothing(agent):
    threads = [threading.Thread(target=agent.get, args=("/app-health/slow/readyz",)) for _ in range(20)]
    for t in threads:
        t.start()
    assert agent.get("/app-health/a/livez").status == 200
    assert all(t.is_alive() for t in threads[-5:]), "the last of the slow ones are still waiting"
    for t in threads:
        t.join()


def test_readiness(agent):
    with Agent(state={"live": False}) as a:
        r = a.wait_envoy().get("/healthz/ready")
        assert (r.status, r.body) == (503, b"Envoy is not live")
        a.set(live=True, stats="cluster_manager.cds.update_success: 1\nlistener_manager.lds.update_success: 0\nlistener_manager.workers_started: 0\n")
        assert b"no listeners yet" in a.get("/healthz/ready").body
        a.set(stats="cluster_manager.cds.update_success: 1\nlistener_manager.lds.update_rejected: 1\nlistener_manager.workers_started: 0\n")
        assert b"workers have not started" in a.get("/healthz/ready").body
        a.set()
        assert a.get("/healthz/ready").status == 200
        a.set(stats="")  # a control plane that starts again must not take pods out
        assert a.get("/healthz/ready").status == 200


def test_metrics_are_merged(agent):
    App.metrics, App.metrics_status = ("text/plain; version=0.0.4", "app_up 1"), 200
    r = agent.get("/stats/prometheus")
    text = r.body.decode()
    assert r.status == 200 and r.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert text.index("istio_agent_uptime_seconds ") < text.index("envoy_up 1\n") < text.index("app_up 1\n"), "a last line without an end gets one"
    assert "app_up" not in agent.get("/metrics").body.decode()


def test_open_metrics_of_the_application(agent):
    App.metrics = ("application/openmetrics-text; version=1.0.0; charset=utf-8", "# TYPE a counter\na_total 1\n# EOF\n")
    App.seen.clear()
    r = agent.get("/stats/prometheus", headers={"Accept": "application/openmetrics-text;version=1.0.0", "X-Prometheus-Scrape-Timeout-Seconds": "7.5"})
    assert r.headers["content-type"] == App.metrics[0] and r.body.endswith(b"# EOF\n") and b"envoy_up 1\n" in r.body
    assert App.seen[-1][1]["accept"] == "application/openmetrics-text;version=1.0.0"
    assert App.seen[-1][1]["x-prometheus-scrape-timeout-seconds"] == "7.5"


def test_metrics_without_the_application_or_envoy(agent):
    App.metrics_status = 500
    body = agent.get("/stats/prometheus").body
    assert b"envoy_up 1\n" in body and b"app_up" not in body
    assert b'scrape_failures_total{type="application"} 1' in agent.get("/metrics").body
    App.metrics, App.metrics_status = ("text/plain", "app_up 1\n"), 200
    with Agent({"ISTIO_PROMETHEUS_ANNOTATIONS": '{"scrape":"false","port":"1"}'}) as a:
        a.wait_envoy()
        assert b"envoy_up 1\n" in a.get("/stats/prometheus").body


def test_much_is_streamed(agent):
    """40 MB of Envoy's through an agent of a few: memory does not grow with them, also when the scraper reads slowly."""
    App.metrics = ("text/plain", "app_up 1\n")
    agent.set(prometheus=[400, 100000])
    before = agent.rss_kib(peak=True)
    s = socket.create_connection(("127.0.0.1", agent.status))
    s.sendall(b"GET /stats/prometheus HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    time.sleep(0.5)
    got, tail = 0, b""
    while part := s.recv(1 << 20):
        got += len(part)
        tail = (tail + part)[-200:]
    agent.set()
    assert got > 40e6 and tail.endswith(b"app_up 1\n\r\n0\r\n\r\n"), tail
    assert agent.rss_kib(peak=True) - before < 1024


def test_a_scraper_that_leaves(agent):
    agent.set(prometheus=[400, 50000])
    for _ in range(6):
        s = socket.create_connection(("127.0.0.1", agent.status))
        s.sendall(b"GET /stats/prometheus HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.05)
        s.close()
    agent.set()
    deadline = time.time() + 15
    while agent.get("/stats/prometheus").status != 200:
        assert time.time() < deadline
        time.sleep(0.1)


def test_http_1_0_gets_no_chunks(agent):
    s = socket.create_connection(("127.0.0.1", agent.status))
    s.sendall(b"GET /stats/prometheus HTTP/1.0\r\n\r\n")
    data = b""
    while part := s.recv(65536):
        data += part
    head, body = data.split(b"\r\n\r\n", 1)
    assert b"chunked" not in head and b"envoy_up 1\n" in body and body.endswith(b"app_up 1\n")


def test_orders_need_post_and_loopback(app):
    own = subprocess.run(["hostname", "-I"], capture_output=True, text=True).stdout.split()
    with Agent() as a:
        a.wait_ready()
        assert a.get("/quitquitquit").status == 405 and a.get("/drain").status == 405
        if own:
            assert a.get("/quitquitquit", "POST", host=own[0]).status == 403
        assert a.get("/drain", "POST").status == 200
        deadline = time.time() + 10
        while not any("drain_listeners" in line for line in a.envoy_log()):
            assert time.time() < deadline
            time.sleep(0.02)
        assert a.get("/healthz/ready").body == b"draining\n" and a.process.poll() is None
        assert a.get("/quitquitquit", "POST").status == 200
        assert a.process.wait(10) == 0 and "SIGTERM" in a.envoy_log()


def test_names_without_dns(agent):
    assert json.loads(agent.get("/debug/ndsz").body) == {"table": {}}


@pytest.mark.parametrize("name,value,says", [
    ("ISTIO_KUBE_APP_PROBERS", "{", "ISTIO_KUBE_APP_PROBERS"),
    ("ISTIO_KUBE_APP_PROBERS", '{"/app-health/a/livez":{}}', "one of httpGet"),
    ("ISTIO_KUBE_APP_PROBERS", '{"/app-health/a/livez":{"tcpSocket":{"port":0}}}', "1 to 65535"),
    ("ISTIO_KUBE_APP_PROBERS", '{"/quitquitquit":{"tcpSocket":{"port":1}}}', "no path of a probe"),
    ("ISTIO_KUBE_APP_PROBERS", '{"/app-health/a/livez":{"httpGet":{"port":1,"path":"/ HTTP/1.1\\r\\nX:"}}}', "blank or control"),
    ("ISTIO_PROMETHEUS_ANNOTATIONS", '{"port":"15020"}', "proxy's own"),
])
def test_what_cannot_be_understood_is_said_at_once(name, value, says):
    with pytest.raises(AssertionError) as e:
        Agent({name: value})
    assert says in str(e.value) and name in str(e.value)


def test_stays_small(agent):
    assert agent.rss_kib() < 8 * 1024
