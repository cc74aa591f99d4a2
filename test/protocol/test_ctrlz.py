"""ControlZ: log levels at run time under Istio's paths, and what the process knows of itself; structured log lines.

covers: g6 g61
"""
import glob
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from coxswain import BUILD, TREE, Coxswaind  # noqa: E402
from test_ads import MESH, virtual_service  # noqa: E402


SANITIZED = "san" in os.path.basename(BUILD)  # an allocator of its own, which says nothing


def ask(port, method, path, body=None, host="127.0.0.1"):
    conn = http.client.HTTPConnection(host, port, timeout=20)
    conn.request(method, path, body)
    r = conn.getresponse()
    text = r.read()
    return r.status, json.loads(text) if text.startswith((b"{", b"[")) else text.decode()


@pytest.fixture(scope="module")
def plane():
    with Coxswaind({"m.yaml": MESH}, env={"SOME_TOKEN": "not to be seen"}) as c:
        c.wait_ready()
        yield c, c._port("ControlZ listening")


def test_levels_at_run_time(plane):
    """As `istioctl admin log` sets them: GET, PUT of the whole scope, GET."""
    c, port = plane
    status, scopes = ask(port, "GET", "/scopej")
    assert status == 200 and scopes == ask(port, "GET", "/scopej/")[1] and {"ads", "ca", "push", "source"} <= {s["name"] for s in scopes}
    assert set(scopes[0]) == {"name", "description", "output_level", "stack_trace_level", "log_callers"} and {s["output_level"] for s in scopes} == {"info"}
    assert " debug source " not in c.log_text()
    assert ask(port, "PUT", "/scopej/source", json.dumps({**scopes[0], "name": "source", "output_level": "debug"})) == (202, "")
    assert ask(port, "GET", "/scopej/source")[1]["output_level"] == "debug" and ask(port, "GET", "/scopej/ads")[1]["output_level"] == "info"
    c.write("v.yaml", virtual_service("5s"))
    deadline = time.time() + 10
    while "debug source put object=VirtualService/default/web" not in c.log_text() and time.time() < deadline:
        time.sleep(0.02)
    assert "debug source put object=VirtualService/default/web" in c.log_text() and " debug ads " not in c.log_text()
    assert ask(port, "PUT", "/scopej/source", '{"output_level": "none"}')[0] == 202
    size = len(c.log_text())
    c.write("v.yaml", virtual_service("6s"))
    c.write("broken.yaml", "kind: [")
    time.sleep(0.5)
    assert " source " not in c.log_text()[size:]
    assert ask(port, "PUT", "/scopej/source", '{"output_level": "info"}')[0] == 202


def test_wrong_levels_change_nothing(plane):
    _, port = plane
    before = ask(port, "GET", "/scopej")[1]
    assert ask(port, "PUT", "/scopej/nothing", '{"output_level": "debug"}') == (400, {"error": "unknown scope name"})
    assert ask(port, "GET", "/scopej/nothing")[0] == 400
    assert ask(port, "PUT", "/scopej/ads", "{")[0] == 400 and ask(port, "PUT", "/scopej/ads", "")[0] == 400
    assert ask(port, "PUT", "/scopej/ads", '{"output_level": "loud"}')[0] == 202, "as Istio: no error"
    assert ask(port, "PUT", "/scopej/ads", '{"output_level": "debug,default:none"}')[0] == 202
    assert ask(port, "POST", "/scopej/ads", "{}")[0] in (404, 405)
    assert ask(port, "GET", "/scopej")[1] == before


def test_topics(plane):
    c, port = plane
    assert ask(port, "GET", "/")[1] == ["/scopej/", "/memj/", "/envj/", "/procj/", "/argsj/", "/versionj/"]
    proc = ask(port, "GET", "/procj/")[1]
    assert proc["pid"] == c.process.pid and proc["ppid"] == os.getpid() and proc["uid"] == os.getuid() and proc["threads"] >= 3
    assert ask(port, "GET", "/argsj/")[1][1] == "discovery" and ask(port, "GET", "/memj/")[1]["HeapInuse"] >= (0 if SANITIZED else 100000)
    env = {e["name"]: e["value"] for e in ask(port, "GET", "/envj/")[1]}
    assert env["PATH"] and env["SOME_TOKEN"] == "[redacted]" and ask(port, "GET", "/versionj/")[1]["component"] == "coxswaind"
    assert ask(port, "GET", "/nothing")[0] == 404


def test_loopback_alone():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(("192.0.2.1", 9))
        own = s.getsockname()[0]
    with Coxswaind({"m.yaml": MESH}, args=["--ctrlz_address", "0.0.0.0"]) as c:
        port = c._port("ControlZ listening")
        assert ask(port, "GET", "/scopej", host=own)[0] == 403 and ask(port, "GET", "/scopej")[0] == 200
        with Coxswaind({"m.yaml": MESH}, args=["--ctrlz_port", str(port)]) as other:  # its port is taken: nobody lives on it
            assert other.wait_ready() and "no ControlZ" in other.log_text()


def test_structured_lines(tmp_path):
    """Every line is a JSON object; scopes have their own levels from the start."""
    log = tmp_path / "log"
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "m.yaml").write_text(MESH + "---\nkind: [\n")
    with open(log, "w") as f:
        p = subprocess.Popen([os.path.join(BUILD, "coxswaind"), "discovery", "--configDir", str(tmp_path / "config"), "--grpcAddr", "127.0.0.1:0", "--httpAddr", "",
                              "--monitoringAddr", "", "--secureGRPCAddr", "", "--ctrlz_port", "-1", "--log_as_json", "--log_output_level",
                              "default:none,source:error,ads:info"], stderr=f, stdout=f)
        try:
            deadline = time.time() + 20
            while log.read_text().count("\n") < 2 and time.time() < deadline:
                time.sleep(0.02)
        finally:
            p.terminate()
            p.wait(15)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {(x["scope"], x["level"]) for x in lines} == {("ads", "info"), ("source", "error")} and all(set(x) == {"time", "level", "scope", "msg"} for x in lines)


def test_every_scope_is_in_the_table():
    table = set(re.findall(r"^X\((\w+),", open(os.path.join(TREE, "lib/base/log_scope.def")).read(), re.M))
    used = set()
    for path in glob.glob(os.path.join(TREE, "lib/*/*.c")) + glob.glob(os.path.join(TREE, "cmd/*/*.c")):
        used |= set(re.findall(r'\bcox_log\([^;"]*?,\s*"(\w+)",', open(path).read()))
    assert used == table, "lib/base/log_scope.def has a line for each scope of cox_log()"


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q"]))
