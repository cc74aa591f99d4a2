"""Answers that a real kube-apiserver gives too rarely, from a scripted server: fault injection only."""
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from kubelab import wait

GONE = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410, "message": "The provided continue parameter is too old"}


def service(name, rv, **more):
    return {"metadata": {"name": name, "namespace": "n", "resourceVersion": str(rv), **more}, "spec": {"ports": [{"port": 80}]}}


class Fake:
    """Everything is an empty list and a silent watch, except Services, for which `script` answers."""

    def __init__(self, script):
        fake = self
        self.script, self.seen, self.closing = script, [], threading.Event()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def answer(self, body, status=200, headers=()):
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for k, v in (("Content-Type", "application/json"), ("Content-Length", str(len(data))), *headers):
                    self.send_header(k, v)
                self.end_headers()
                self.wfile.write(data)

            def stream(self, *lines, hold=True):
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for line in lines:
                    data = line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n"
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                    self.wfile.flush()
                if hold:
                    fake.closing.wait(30)
                self.wfile.write(b"0\r\n\r\n")

            def do_GET(self):
                url = urlsplit(self.path)
                query = {k: v[0] for k, v in parse_qs(url.query, keep_blank_values=True).items()}
                try:
                    if url.path == "/api/v1/services":
                        fake.seen.append(query)
                        fake.script(self, query, len(fake.seen))
                    elif "watch" in query:
                        self.stream()
                    else:
                        self.answer({"metadata": {"resourceVersion": "1"}, "items": []})
                except OSError:
                    pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.closing.set()
        self.server.shutdown()


@pytest.fixture
def fake(driver, tmp_path):
    made = []

    def start(script, *args):
        f = Fake(script)
        made.append(f)
        path = tmp_path / "k"
        path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", "current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "k"}}],
                                        "clusters": [{"name": "k", "cluster": {"server": f"http://127.0.0.1:{f.server.server_port}"}}]}))
        return f, driver(*args, kubeconfig=path)
    yield start
    for f in made:
        f.close()


def test_expired_continue(fake):
    """The place between two pages is forgotten: everything again, in one page, and what went meanwhile is not kept. covers: b32"""
    def script(h, query, n):
        if "watch" in query:
            h.stream()
        elif "continue" in query:
            h.answer(GONE, 410)
        elif "limit" in query:
            h.answer({"metadata": {"resourceVersion": "5", "continue": "x"}, "items": [service("a", 1), service("gone", 2)]})
        else:
            assert query["resourceVersion"] == ""
            h.answer({"metadata": {"resourceVersion": "9"}, "items": [service("a", 1), service("b", 8)]})
    f, d = fake(script)
    d.expect("synced")
    puts = [x.split(" ")[1] for x in d.since() if "Service/n/" in x]
    assert puts == ["Service/n/a", "Service/n/gone", "Service/n/b", "Service/n/gone"], puts
    assert d.since().index("remove Service/n/gone") > 0
    wait(lambda: f.seen[-1].get("resourceVersion") == "9" and f.seen[-1].get("allowWatchBookmarks") == "true")
    assert 300 <= int(f.seen[-1]["timeoutSeconds"]) <= 600
    assert "sendInitialEvents" not in f.seen[-1]


def test_too_many_requests(fake):
    """429 with Retry-After is waited for, and the caller does not hear of it. covers: g63"""
    times = []

    def script(h, query, n):
        times.append(time.monotonic())
        if "watch" in query:
            h.stream()
        elif n <= 2:
            h.answer({"kind": "Status", "code": 429, "message": "later"}, 429, [("Retry-After", "1")])
        else:
            h.answer({"metadata": {"resourceVersion": "5"}, "items": [service("a", 1)]})
    _, d = fake(script)
    d.expect("synced", 10)
    assert times[1] - times[0] > 0.75 and times[2] - times[1] > 0.75
    assert not d.errors, d.errors


def test_gone_inside_a_watch(fake):
    """410 as an event in a 200: listed again, only differences told. covers: b55"""
    def script(h, query, n):
        if "watch" in query and query["resourceVersion"] == "7":
            h.stream({"type": "ERROR", "object": GONE})
        elif "watch" in query:
            h.stream()
        elif n == 1:
            h.answer({"metadata": {"resourceVersion": "7"}, "items": [service("a", 1), service("b", 2), service("c", 3)]})
        else:
            h.answer({"metadata": {"resourceVersion": "9"}, "items": [service("a", 1), {**service("b", 8), "spec": {"ports": [{"port": 81}]}}]})
    f, d = fake(script)
    d.expect("synced")
    mark = d.mark()
    d.expect("remove Service/n/c", 10)
    assert len([x for x in d.since() if x.startswith("put Service/n/a")]) == 1
    assert len([x for x in d.since() if x.startswith("put Service/n/b")]) == 2
    wait(lambda: f.seen[-1].get("resourceVersion") == "9")
    assert mark


def test_other_error_events(fake):
    """Other errors: resumed with growing pauses, listed again after the third. covers: b55"""
    def script(h, query, n):
        if "watch" in query and query["resourceVersion"] == "7":
            h.stream({"type": "ERROR", "object": {"kind": "Status", "code": 500, "message": "etcd: no progress"}})
        elif "watch" in query:
            h.stream()
        else:
            h.answer({"metadata": {"resourceVersion": "7" if n == 1 else "9"}, "items": [service("a", 1)]})
    f, d = fake(script)
    d.expect("synced")
    wait(lambda: f.seen[-1].get("resourceVersion") == "9", 10)
    assert [("watch" in q) for q in f.seen] == [False, True, True, True, False, True]
    assert any("no progress" in e for e in d.errors)
    assert not [x for x in d.since() if x.startswith("remove")]


def test_bookmark_moves_the_place(fake):
    """covers: b32"""
    def script(h, query, n):
        if "watch" in query and query["resourceVersion"] == "7":
            h.stream({"type": "ADDED", "object": {"kind": "Service", "apiVersion": "v1", **service("x", 8)}},
                     {"type": "BOOKMARK", "object": {"kind": "Service", "metadata": {"resourceVersion": "50"}}}, hold=False)
        elif "watch" in query:
            h.stream()
        else:
            h.answer({"metadata": {"resourceVersion": "7"}, "items": []})
    f, d = fake(script)
    d.expect("put Service/n/x ")
    wait(lambda: f.seen[-1].get("resourceVersion") == "50")


def test_half_an_event_comes_again(fake):
    """A cut in the middle of an event: resumed before it, nothing told twice. covers: b55"""
    def script(h, query, n):
        event = json.dumps({"type": "ADDED", "object": {"kind": "Service", "apiVersion": "v1", **service("x", 8)}}).encode()
        if "watch" in query and n == 2:
            h.stream(event + b"\n" + event[:30], hold=False)
        elif "watch" in query:
            h.stream(*([{"type": "MODIFIED", "object": {"kind": "Service", "apiVersion": "v1", **service("y", 9)}}] if n == 3 else []))
        else:
            h.answer({"metadata": {"resourceVersion": "7"}, "items": []})
    f, d = fake(script)
    d.expect("put Service/n/y ", 10)
    assert f.seen[2]["resourceVersion"] == "8"
    assert len([x for x in d.since() if x.startswith("put Service/n/x ")]) == 1


@pytest.mark.parametrize("body", [b"", b"[]", b"{\"items\":[{]}", b"<html>busy</html>", b"{\"items\":[{\"metadata\":{\"name\":\"a\"}}"])
def test_lists_that_are_none(fake, body):
    """Nonsense is said and asked again; what came whole is not removed for it. covers: g63"""
    def script(h, query, n):
        if "watch" in query:
            h.stream()
        elif n == 1:
            h.answer(body)
        else:
            h.answer({"metadata": {"resourceVersion": "7"}, "items": [service("a", 1)]})
    _, d = fake(script)
    d.expect("synced")
    assert any("cannot be read" in e for e in d.errors), d.errors
    d.expect("put Service/n/a ")


def test_too_large_inside_a_watch(fake):
    """An object beyond the limit is named; the ones around it come. covers: g65"""
    def script(h, query, n):
        if "watch" in query and n == 2:
            big = service("big", 9)
            big["spec"]["externalName"] = "x" * 300000
            h.stream(*[{"type": "ADDED", "object": {"kind": "Service", "apiVersion": "v1", **o}} for o in (service("a", 8), big, service("b", 10))])
        elif "watch" in query:
            h.stream()
        else:
            h.answer({"metadata": {"resourceVersion": "7"}, "items": []})
    _, d = fake(script, "--max-object", 100000)
    d.expect("put Service/n/b ")
    d.expect("put Service/n/a ")
    assert "too large" in d.expect("report Service/n/big errors=1")
