#!/usr/bin/env python3
"""Stands in for the Envoy program beside cox-agent: an administration port with what the test wrote into a file, read anew for each
answer. FAKE_ENVOY names the file: {"live": bool, "stats": text, "prometheus": text or [bytes per line, lines], "connections": n}."""
import json
import os
import re
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STATE = os.environ["FAKE_ENVOY"]


def state():
    with open(STATE) as f:
        return json.load(f)


def note(line):
    with open(STATE + ".log", "a") as f:
        f.write(line + "\n")


class Admin(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def answer(self, status, body, kind="text/plain"):
        self.send_response(status)
        self.send_header("content-type", kind)
        if isinstance(body, str):
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())
            return
        width, count = body  # a lot, in chunks
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for i in range(count):
            line = f"envoy_series_{i} ".ljust(width - 2, "1").encode() + b"1\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.wfile.write(b"0\r\n\r\n")

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        s = state()
        if self.path == "/ready":
            self.answer(200 if s.get("live", True) else 503, "LIVE\n")
        elif self.path.startswith("/stats/prometheus"):
            self.answer(200, s.get("prometheus", "envoy_up 1\n"))
        elif self.path.startswith("/stats?filter=downstream_cx_active"):
            self.answer(200, f"listener.0.0.0.0_15006.downstream_cx_active: {s.get('connections', 0)}\n")
        elif self.path.startswith("/stats"):
            self.answer(200, s.get("stats", "cluster_manager.cds.update_success: 1\nlistener_manager.lds.update_success: 1\n"
                                            "listener_manager.workers_started: 1\n"))
        else:
            self.answer(200, f"you asked for {self.path}\n")

    def do_POST(self):
        note("POST " + self.path)
        self.answer(200, "OK\n")


def main():
    with open(sys.argv[sys.argv.index("-c") + 1]) as f:
        port = int(re.search(r'"admin":.*?"port_value":(\d+)', f.read()).group(1))
    server = ThreadingHTTPServer(("127.0.0.1", port), Admin)
    signal.signal(signal.SIGTERM, lambda *_: (note("SIGTERM"), os._exit(0)))
    server.serve_forever()


main()
