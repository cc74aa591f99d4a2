#!/usr/bin/env python3
"""Bookinfo: four small services that show what a mesh does to their traffic.

usage: bookinfo.py ROLE [--version v1] [--port 9080] [--address 0.0.0.0] [--details URL] [--reviews URL] [--ratings URL]

ROLE is productpage, details, reviews or ratings. productpage asks details and reviews; reviews v2 and v3 ask ratings
(black and red stars). Every role answers /health and passes on the headers that tell a user and a trace apart.
Standard library only.
"""
import argparse
import html
import http.client
import json
import os
import socket
import socketserver
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FORWARDED = ("end-user", "user-agent", "x-request-id", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags",
             "b3", "traceparent", "tracestate", "x-ot-span-context", "authorization", "cookie")
STARS = {"v2": "black", "v3": "red"}
REVIEWERS = (("Ada", "A play of errors that keeps its pace from the first page to the last."),
             ("Ben", "Funny, short, and better on a stage than on paper."))
TIMEOUT_SECONDS = {"details": 3.0, "reviews": 10.0, "ratings": 10.0}


class Upstream:
    """Keeps connections to one service, as applications do."""

    def __init__(self, name, url):
        parts = urllib.parse.urlsplit(url)
        self.name, self.host, self.port = name, parts.hostname, parts.port or 80
        self.header = parts.netloc
        self.idle, self.lock = [], threading.Lock()

    def get(self, path, headers, retry=True):
        """(status, JSON or None); status 0 when nobody answers in time."""
        with self.lock:
            conn = self.idle.pop() if self.idle else None
        reused = conn is not None
        if conn is None:
            conn = http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT_SECONDS[self.name])
        try:
            conn.request("GET", path, headers={**headers, "Host": self.header})
            answer = conn.getresponse()
            body = answer.read()
        except socket.timeout:
            conn.close()
            return 0, None
        except (OSError, http.client.HTTPException):
            conn.close()
            # The other side may close a connection that idled: that is no answer, so ask once more on a new one.
            return self.get(path, headers, retry=False) if reused and retry else (0, None)
        if answer.will_close:
            conn.close()
        else:
            with self.lock:
                self.idle.append(conn)
        try:
            return answer.status, json.loads(body)
        except ValueError:
            return answer.status, None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "bookinfo"
    app = None
    wbufsize = 1 << 16  # head and body in one segment: in two, the second waits for a delayed acknowledgement
    disable_nagle_algorithm = True

    def forwarded(self):
        return {name: self.headers[name] for name in FORWARDED if name in self.headers}

    def answer(self, status, body, content_type="application/json"):
        data = body if isinstance(body, bytes) else (json.dumps(body) + "\n").encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("x-bookinfo", f"{self.app.role}-{self.app.version}")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def do_GET(self):
        length = int(self.headers.get("Content-Length") or 0)
        if length:
            self.rfile.read(length)
        path = urllib.parse.urlsplit(self.path).path
        if path == "/health":
            return self.answer(200, {"status": f"{self.app.role} is healthy"})
        try:
            return self.app.handle(self, path)
        except BrokenPipeError:
            self.close_connection = True

    do_POST = do_HEAD = do_GET

    def log_message(self, fmt, *args):
        if self.app.verbose:
            sys.stderr.write("%s %s\n" % (self.log_date_time_string(), fmt % args))


class App:
    def __init__(self, args):
        self.role, self.version, self.verbose = args.role, args.version, args.verbose
        self.pod = os.environ.get("POD_NAME", socket.gethostname())
        self.upstreams = {name: Upstream(name, getattr(args, name)) for name in ("details", "reviews", "ratings")}
        self.handle = getattr(self, args.role)

    @staticmethod
    def product_id(path, prefix):
        rest = path[len(prefix):].strip("/")
        return int(rest) if rest.isdigit() and len(rest) < 9 else None

    # --- ratings, details, reviews: JSON -------------------------------------------------

    def ratings(self, request, path):
        product = self.product_id(path, "/ratings")
        if not path.startswith("/ratings") or product is None:
            return request.answer(404, {"error": "not found"})
        return request.answer(200, {"id": product, "ratings": {"Ada": 5, "Ben": 4}})

    def details(self, request, path):
        product = self.product_id(path, "/details")
        if not path.startswith("/details") or product is None:
            return request.answer(404, {"error": "not found"})
        return request.answer(200, {"id": product, "author": "William Shakespeare", "first printed": 1623, "genre": "comedy", "acts": 5,
                                    "language": "English", "served by": self.version})

    def reviews(self, request, path):
        product = self.product_id(path, "/reviews")
        if not path.startswith("/reviews") or product is None:
            return request.answer(404, {"error": "not found"})
        reviews = [{"reviewer": who, "text": text} for who, text in REVIEWERS]
        color = STARS.get(self.version)
        if color:
            status, found = self.upstreams["ratings"].get(f"/ratings/{product}", request.forwarded())
            for review in reviews:
                stars = (found or {}).get("ratings", {}).get(review["reviewer"]) if status == 200 else None
                review["rating"] = {"stars": stars, "color": color} if stars else {"error": "Ratings service is currently unavailable"}
        return request.answer(200, {"id": product, "podname": self.pod, "version": self.version, "reviews": reviews})

    # --- productpage: HTML, and the JSON behind it ----------------------------------------

    def productpage(self, request, path):
        if path in ("/", "/index.html"):
            return request.answer(200, b"<!doctype html><title>Bookinfo</title><a href=\"/productpage\">The product page</a>\n", "text/html; charset=utf-8")
        if path == "/productpage":
            return self.page(request)
        if path == "/api/v1/products":
            return request.answer(200, [{"id": 0, "title": "The Comedy of Errors"}])
        if path.startswith("/api/v1/products/"):
            rest = path[len("/api/v1/products/"):].split("/")
            what = self.upstreams.get("details" if len(rest) == 1 else rest[1] if len(rest) == 2 else "")
            if rest[0].isdigit() and what:
                status, body = what.get(f"/{what.name}/{rest[0]}", request.forwarded())
                return request.answer(status or 503, body or {"error": f"Sorry, product {what.name} are currently unavailable for this book."})
        return request.answer(404, {"error": "not found"})

    def page(self, request):
        headers, started = request.forwarded(), time.monotonic()
        found = {}
        threads = [threading.Thread(target=lambda u=u: found.__setitem__(u.name, u.get(f"/{u.name}/0", headers))) for u in (self.upstreams["details"], self.upstreams["reviews"])]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        request.answer(200, render(found["details"], found["reviews"], headers.get("end-user"), time.monotonic() - started).encode(),
                       "text/html; charset=utf-8")


def render(details, reviews, user, seconds):
    """The page. The class names are there for programs that look at it."""
    def safe(value):
        return html.escape(str(value))

    status, body = details
    if status == 200 and body:
        left = "".join(f"<tr><th>{safe(k)}</th><td>{safe(v)}</td></tr>" for k, v in body.items() if k != "id")
        left = f"<table class=\"details\">{left}</table>"
    else:
        left = "<p class=\"error\">Error fetching product details!</p>"
    status, body = reviews
    if status == 200 and body:
        right = f"<p>Reviews served by: <span class=\"version\">{safe(body.get('version'))}</span> <u>{safe(body.get('podname'))}</u></p>"
        for review in body["reviews"]:
            rating = review.get("rating", {})
            stars = f"<span class=\"stars\" style=\"color:{safe(rating['color'])}\">{'★' * int(rating['stars'])}</span>" if "stars" in rating else \
                f"<span class=\"error\">{safe(rating['error'])}</span>" if "error" in rating else ""
            right += f"<blockquote>{safe(review['text'])} <small>{safe(review['reviewer'])}</small> {stars}</blockquote>"
    else:
        right = "<p class=\"error\">Error fetching product reviews!</p>"
    who = f"<p>Signed in as {safe(user)}</p>" if user else ""
    return (f"<!doctype html><html><head><meta charset=\"utf-8\"><title>Bookinfo</title></head><body><h1>The Comedy of Errors</h1>{who}"
            f"<h2>Details</h2>{left}<h2>Reviews</h2>{right}<p><small>{seconds:.3f} s</small></p></body></html>\n")


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def server_bind(self):
        """Without HTTPServer's question to the DNS for our own name: it may wait for seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("role", choices=("productpage", "details", "reviews", "ratings"))
    parser.add_argument("--version", default=os.environ.get("SERVICE_VERSION", "v1"))
    parser.add_argument("--port", type=int, default=9080)
    parser.add_argument("--address", default="0.0.0.0")
    parser.add_argument("--verbose", action="store_true")
    for name in ("details", "reviews", "ratings"):
        parser.add_argument(f"--{name}", default=os.environ.get(f"{name.upper()}_URL", f"http://{name}:9080"))
    args = parser.parse_args()
    Handler.app = App(args)
    Server((args.address, args.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
