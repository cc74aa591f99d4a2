#!/usr/bin/env python3
"""Stands in for the programs of a pod, to see where connections go. Roles:
proxy REDIRECT|TPROXY   15001 and 15006: says what was meant and passes the line on to there, as Envoy's passthrough does; 15053: says "agent"
app PORT                answers a line with who asked
dns                     port 53, UDP and TCP: says "server"
web PORT                HTTP: /sleep/MS answers after that long, with the caller's address; /metrics
load ADDRESS PORT N     N connections that ask /sleep/20 without end; SIGUSR1: each closes after its answer, then figures as JSON
lookup SERVER NAME      the last address that a name server has
ask ADDRESS PORT TEXT   one line there, prints the answer;  udp ADDRESS PORT TEXT
"""
import http.client
import json
import signal
import socket
import struct
import sys
import threading
import time

SO_ORIGINAL_DST, IP_TRANSPARENT, IPV6_TRANSPARENT, SO_MARK = 80, 19, 75, 36


def show(address):
    return address[0].removeprefix("::ffff:")


def original(conn):
    if conn.family == socket.AF_INET6 and not conn.getsockname()[0].startswith("::ffff:"):
        raw = conn.getsockopt(41, SO_ORIGINAL_DST, 28)
        return socket.inet_ntop(socket.AF_INET6, raw[8:24]), struct.unpack("!H", raw[2:4])[0]
    raw = conn.getsockopt(0, SO_ORIGINAL_DST, 16)
    return socket.inet_ntop(socket.AF_INET, raw[4:8]), struct.unpack("!H", raw[2:4])[0]


def connect(address, port, source=None, transparent=False):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    s = socket.socket(family)
    s.settimeout(3)
    if transparent:
        s.setsockopt(0 if family == socket.AF_INET else 41, IP_TRANSPARENT if family == socket.AF_INET else IPV6_TRANSPARENT, 1)
        s.setsockopt(socket.SOL_SOCKET, SO_MARK, 1337)
    if source:
        s.bind((source, 0))
    s.connect((address, port))
    return s


def exchange(s, line):
    s.sendall(line.encode() + b"\n")
    return s.makefile().readline().strip()


def serve(port, answer, transparent=False, host="::"):
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if ":" in host:
        listener.setsockopt(41, socket.IPV6_V6ONLY, 0 if host == "::" else 1)
    if transparent:
        listener.setsockopt(0, IP_TRANSPARENT, 1)
        listener.setsockopt(41, IPV6_TRANSPARENT, 1)
    listener.bind((host, port))
    listener.listen(50)

    def one(conn):
        with conn:
            conn.settimeout(5)
            line = conn.makefile().readline().strip()
            try:
                conn.sendall(answer(conn, line).encode() + b"\n")
            except OSError as e:
                conn.sendall(f"error {e}\n".encode())

    def loop():
        while True:
            conn, _ = listener.accept()
            threading.Thread(target=one, args=(conn,), daemon=True).start()
    threading.Thread(target=loop, daemon=True).start()


def serve_udp(host, port, text):
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    if host == "::":
        s.setsockopt(41, socket.IPV6_V6ONLY, 0)
    s.bind((host, port))

    def loop():
        while True:
            data, who = s.recvfrom(512)
            s.sendto(f"{text} {data.decode()}".encode(), who)
    threading.Thread(target=loop, daemon=True).start()


def proxy(mode):
    tproxy = mode == "TPROXY"

    def outbound(conn, line):
        address, port = original(conn)
        return f"out[{address}:{port}] " + exchange(connect(address, port), line)

    def inbound(conn, line):
        address, port = (show(conn.getsockname()), conn.getsockname()[1]) if tproxy else original(conn)
        client = show(conn.getpeername())
        source = client if tproxy else "::6" if ":" in address else "127.0.0.6"
        return f"in[{address}:{port} from {client}] " + exchange(connect(address, port, source, tproxy), line)
    serve(15001, outbound)
    serve(15006, inbound, tproxy)
    for host in ("127.0.0.1", "::1"):
        serve(15053, lambda conn, line: "agent " + line, host=host)
        serve_udp(host, 15053, "agent")


def web(port):
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16

        def log_message(self, *args):
            pass

        def do_GET(self):
            if self.path.startswith("/sleep/"):
                time.sleep(int(self.path[7:]) / 1000)
            body = b"app_up 1\n" if self.path == "/metrics" else f"web[{show(self.client_address)}] {self.path}\n".encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    class Server(ThreadingHTTPServer):
        address_family, daemon_threads, request_queue_size = socket.AF_INET6, True, 100
    threading.Thread(target=Server(("::", port), Handler).serve_forever, daemon=True).start()


def load(address, port, count):
    done, lock = threading.Event(), threading.Lock()
    figures = {"requests": 0, "failures": [], "told_to_close": 0}
    signal.signal(signal.SIGUSR1, lambda *_: done.set())

    def one():
        c = None
        while not done.is_set():
            try:
                c = c or http.client.HTTPConnection(address, port, timeout=10)
                c.request("GET", "/sleep/20")
                r = c.getresponse()
                r.read()
                failure = None if r.status == 200 else f"status {r.status}"
                told = (r.getheader("connection") or "").lower() == "close"
            except OSError as e:
                failure, told = repr(e), False
            except http.client.HTTPException as e:
                failure, told = repr(e), False
            with lock:
                figures["requests"] += 1
                figures["told_to_close"] += told
                if failure:
                    figures["failures"].append(failure)
            if told or failure:
                c.close()
                c = None
        if c:
            c.close()
    threads = [threading.Thread(target=one) for _ in range(count)]
    for t in threads:
        t.start()
    print("ready", flush=True)
    while not done.wait(0.1):
        pass
    for t in threads:
        t.join()
    print(json.dumps(figures), flush=True)


def main(role, *args):
    if role == "ask":
        print(exchange(connect(args[0], int(args[1])), args[2]))
        return
    if role == "udp":
        s = socket.socket(socket.AF_INET6 if ":" in args[0] else socket.AF_INET, socket.SOCK_DGRAM)
        s.settimeout(2)
        s.connect((args[0], int(args[1])))  # answers of anybody else are not taken
        s.send(args[2].encode())
        print(s.recv(512).decode())
        return
    if role == "lookup":
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.settimeout(1)
        s.connect((args[0], 53))
        s.send(b"\x07\x07\x01\0\0\1\0\0\0\0\0\0" + b"".join(bytes([len(x)]) + x.encode() for x in args[1].split(".")) + b"\0\0\1\0\1")
        answer = s.recv(512)
        assert answer[:2] == b"\x07\x07" and answer[3] & 15 == 0 and answer[7] > 0, answer
        print(socket.inet_ntoa(answer[-4:]))
        return
    if role == "load":
        load(args[0], int(args[1]), int(args[2]))
        return
    if role == "web":
        web(int(args[0]))
    elif role == "proxy":
        proxy(args[0])
    elif role == "app":
        serve(int(args[0]), lambda conn, line: f"app[{show(conn.getpeername())}] {line}")
    elif role == "dns":
        serve(53, lambda conn, line: "server " + line)
        serve_udp("::", 53, "server")
    print("ready", flush=True)
    threading.Event().wait()


main(*sys.argv[1:])
