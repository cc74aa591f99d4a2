#!/usr/bin/env python3
"""Stands in for the programs of a pod, to see where connections go. Roles:
proxy REDIRECT|TPROXY   15001 and 15006: says what was meant and passes the line on to there, as Envoy's passthrough does; 15053: says "agent"
app PORT                answers a line with who asked
dns                     port 53, UDP and TCP: says "server"
ask ADDRESS PORT TEXT   one line there, prints the answer;  udp ADDRESS PORT TEXT
"""
import socket
import struct
import sys
import threading

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
    if role == "proxy":
        proxy(args[0])
    elif role == "app":
        serve(int(args[0]), lambda conn, line: f"app[{show(conn.getpeername())}] {line}")
    elif role == "dns":
        serve(53, lambda conn, line: "server " + line)
        serve_udp("::", 53, "server")
    print("ready", flush=True)
    threading.Event().wait()


main(*sys.argv[1:])
