#!/usr/bin/env python3
"""Constant load from inside a pod: keep-alive connections, every request counted once, nothing retried.

usage: loadgen.py URL CONNECTIONS RATE   (RATE: requests a second over all connections)

Prints {"requests": N, "failures": N, "first": "what failed first"} five times a second, and a last time when its standard input ends: by then each
request that was begun has been answered or has failed. Standard library only: it runs where a pod's application does."""
import json
import socket
import sys
import threading
import time
import urllib.parse

TIMEOUT = 15


class Client(threading.Thread):
    """Thread: its own; the counters are read by the main one."""

    def __init__(self, url, every, offset, done):
        super().__init__()
        parts = urllib.parse.urlsplit(url)
        self.address, self.every, self.offset, self.done = (parts.hostname, parts.port or 80), every, offset, done
        self.bytes = f"GET {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()
        self.requests = self.failures = 0
        self.first, self.socket = "", None

    def run(self):
        next_time = time.monotonic() + self.offset
        while not self.done.wait(max(0.0, next_time - time.monotonic())):
            next_time = max(next_time + self.every, time.monotonic() - 0.2)  # a stall is not made up for by a burst
            problem = self.ask()
            self.requests += 1
            if problem:
                self.failures += 1
                self.first = self.first or f"{time.strftime('%H:%M:%S')} {problem}"
                self.close()
        self.close()

    def close(self):
        if self.socket:
            self.socket.close()
            self.socket = None

    def ask(self):
        """None, or what was wrong with the answer."""
        try:
            if not self.socket:
                self.socket = socket.create_connection(self.address, timeout=TIMEOUT)
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.socket.sendall(self.bytes)
            data = b""
            while b"\r\n\r\n" not in data:
                data += self.more()
            head, _, body = data.partition(b"\r\n\r\n")
            lines = head.decode("latin-1").lower().split("\r\n")
            length = next(int(line[15:]) for line in lines if line.startswith("content-length:"))
            while len(body) < length:
                body += self.more()
            if "connection: close" in lines:
                self.close()
            return None if lines[0].split()[1] == "200" else f"{lines[0]}: {body[:300]!r}"
        except (OSError, StopIteration, ValueError, IndexError) as e:
            return repr(e)

    def more(self):
        some = self.socket.recv(65536)
        if not some:
            raise ConnectionError("closed before the answer's end")
        return some


def main():
    url, connections, rate = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    done = threading.Event()
    clients = [Client(url, connections / rate, i / rate, done) for i in range(connections)]

    def tell():
        print(json.dumps({"requests": sum(c.requests for c in clients), "failures": sum(c.failures for c in clients),
                          "first": next((c.first for c in clients if c.first), "")}), flush=True)
    for client in clients:
        client.start()
    threading.Thread(target=lambda: (sys.stdin.read(), done.set()), daemon=True).start()
    while not done.wait(0.2):
        tell()
    for client in clients:
        client.join()
    tell()


if __name__ == "__main__":
    main()
