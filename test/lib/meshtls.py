"""Keys and certificates made for a test (never kept), an SDS server as an agent would be, and a real Envoy that uses both."""
import http.client
import http.server
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from concurrent import futures

import grpc
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from envoy.service.discovery.v3 import discovery_pb2
from envoy.service.secret.v3 import sds_pb2, sds_pb2_grpc  # noqa: F401

ENVOY = os.environ.get("ENVOY", os.path.join(os.path.dirname(sys.executable), "envoy"))
SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
H2 = {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions", "explicit_http_config": {"http2_protocol_options": {}}}}


def free_port():
    with socket.socket() as s:
        s.bind(("0.0.0.0", 0))
        return s.getsockname()[1]


def until(check, what, seconds=20):
    deadline = time.time() + seconds
    while time.time() < deadline:
        got = check()
        if got:
            return got
        time.sleep(0.05)
    raise AssertionError("not within %d s: %s" % (seconds, what))


def openssl(*args):
    done = subprocess.run(["openssl", *map(str, args)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


class Pair:
    def __init__(self, cert, key, ca):
        self.cert, self.key, self.ca = str(cert), str(key), str(ca)

    def serial(self):
        return subprocess.run(["openssl", "x509", "-in", self.cert, "-noout", "-serial"], capture_output=True, text=True).stdout.strip().split("=")[1]

    def text(self, which):
        with open(getattr(self, which)) as f:
            return f.read()


class Authority:
    """A root, and leaves with the names given."""

    def __init__(self, folder, name="root"):
        self.folder, self.name, self.count = folder, name, 0
        self.cert, self.key = str(folder / (name + ".crt")), str(folder / (name + ".key"))
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", self.key, "-out", self.cert, "-days", "30",
                "-subj", "/O=test/CN=" + name, "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def leaf(self, *names, days=10):
        """names: spiffe URIs or DNS names."""
        self.count += 1
        base = str(self.folder / ("%s-leaf%d" % (self.name, self.count)))
        sans = ",".join(("URI:" if "://" in n else "DNS:") + n for n in names)
        openssl("req", "-x509", "-CA", self.cert, "-CAkey", self.key, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                base + ".key", "-out", base + ".crt", "-days", days, "-subj", "/O=leaf", "-addext", "subjectAltName=" + sans, "-addext",
                "basicConstraints=critical,CA:FALSE", "-addext", "extendedKeyUsage=serverAuth,clientAuth")
        return Pair(base + ".crt", base + ".key", self.cert)


class Sds(sds_pb2_grpc.SecretDiscoveryServiceServicer):
    """default and ROOTCA over state-of-the-world SDS, as cox-agent serves them. set() pushes a change to whoever is connected."""

    def __init__(self, pair):
        self.pair, self.version, self.changed = pair, 1, threading.Condition()
        self.server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
        sds_pb2_grpc.add_SecretDiscoveryServiceServicer_to_server(self, self.server)
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def set(self, pair):
        with self.changed:
            self.pair, self.version = pair, self.version + 1
            self.changed.notify_all()

    def secret(self, name):
        s = secret_pb2.Secret(name=name)
        if name == "default":
            s.tls_certificate.certificate_chain.inline_string = self.pair.text("cert")
            s.tls_certificate.private_key.inline_string = self.pair.text("key")
        elif name == "ROOTCA":
            s.validation_context.trusted_ca.inline_string = self.pair.text("ca")
        else:
            return None
        return s

    def StreamSecrets(self, requests, context):
        names, sent = set(), [0]
        ended = threading.Event()
        context.add_callback(ended.set)

        def read():
            try:
                for r in requests:
                    with self.changed:
                        if set(r.resource_names) != names:
                            names.clear()
                            names.update(r.resource_names)
                            sent[0] = 0
                        self.changed.notify_all()
            except grpc.RpcError:
                pass  # the proxy went

        threading.Thread(target=read, daemon=True).start()
        while not ended.is_set():
            with self.changed:
                if not names or sent[0] == self.version:
                    self.changed.wait(0.2)
                    continue
                sent[0] = self.version
                answer = discovery_pb2.DiscoveryResponse(type_url=SECRET, version_info=str(self.version), nonce=str(self.version))
                for secret in filter(None, map(self.secret, sorted(names))):
                    answer.resources.add().Pack(secret)
            yield answer

    def close(self):
        self.server.stop(0).wait(3)


def static_cluster(name, host, port, tls=None):
    c = {"name": name, "type": "STATIC", "connect_timeout": "1s", "typed_extension_protocol_options": H2,
         "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {
             "socket_address": {"address": host, "port_value": port}}}}]}]}}
    if tls:
        c["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", **tls}}
    return c


class Envoy:
    """A stock Envoy on a coxswaind. xds_tls: how the connection to it is secured (JSON of UpstreamTlsContext); None: clear text."""

    def __init__(self, tmp, name, ns, ip, xds_port, kind="sidecar", labels=None, account="default", sds=None, xds_tls=None, metadata=None, options=()):
        self.admin, self.ip = free_port(), ip
        tmp = tmp / ("envoy-%s-%d" % (name, self.admin))
        tmp.mkdir()
        node = {"id": f"{kind}~{ip}~{name}.{ns}~{ns}.svc.cluster.local", "cluster": name,
                "metadata": {"NAMESPACE": ns, "INTERCEPTION_MODE": "NONE", "INSTANCE_IPS": ip, "LABELS": labels or {}, "SERVICE_ACCOUNT": account,
                             "CLUSTER_ID": "Kubernetes", **({} if sds else {"COXSWAIN_SDS": "none"}), **(metadata or {})}}
        source = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
        clusters = [static_cluster("xds-grpc", "127.0.0.1", xds_port, xds_tls)]
        if sds:
            clusters.append(static_cluster("sds-grpc", "127.0.0.1", sds.port))
        boot = {"node": node, "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": self.admin}}},
                "dynamic_resources": {"lds_config": source, "cds_config": source, "ads_config": {
                    "api_type": "DELTA_GRPC", "transport_api_version": "V3", "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}]}},
                "static_resources": {"clusters": clusters}}
        path = tmp / "envoy.json"
        path.write_text(json.dumps(boot))
        self.log_path = tmp / "envoy.log"
        self.log = open(self.log_path, "w")
        self.process = subprocess.Popen([ENVOY, "-c", str(path), "--concurrency", "1", "--use-dynamic-base-id", *options], stdout=self.log, stderr=self.log)

    def get(self, path):
        try:
            c = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=5)
            c.request("GET", path)
            return c.getresponse().read().decode()
        except OSError:
            return ""

    def stat(self, name):
        for line in self.get("/stats?filter=" + name).splitlines():
            if line.startswith(name + ": "):
                return int(line.split(": ")[1])
        return None

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
        if exc[0]:
            print("---", self.log_path)
            print(self.log_path.read_text()[-4000:])


class App:
    """Answers every request with its name and what it was told about the client's certificate."""

    def __init__(self, address, port, name="app"):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                body = json.dumps({"app": name, "path": self.path, "xfcc": self.headers.get("x-forwarded-client-cert", "")}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer((address, port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def ask(host, port, path="/", tls=None, sni=None, header=None, timeout=5):
    """(status, JSON body); an OSError or ssl.SSLError where the connection is refused. tls: an SSLContext."""
    sock = socket.create_connection((host, port), timeout=timeout)
    try:
        if tls:
            sock = tls.wrap_socket(sock, server_hostname=sni)
        c = http.client.HTTPConnection(host, port, timeout=timeout)
        c.sock = sock
        c.request("GET", path, headers={"Host": header or sni or host})
        r = c.getresponse()
        body = r.read()
        return r.status, json.loads(body) if body.startswith(b"{") else body.decode()
    finally:
        sock.close()


def client_context(ca=None, pair=None, alpn=(), check_name=False):
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.check_hostname = check_name
    ctx.verify_mode = ssl.CERT_REQUIRED if ca else ssl.CERT_NONE
    if ca:
        ctx.load_verify_locations(ca)
    if pair:
        ctx.load_cert_chain(pair.cert, pair.key)
    if alpn:
        ctx.set_alpn_protocols(list(alpn))
    return ctx


def is_refused(*args, **kw):
    """Nothing comes back: the connection is reset or closed, or the handshake fails."""
    try:
        ask(*args, **kw)
    except (OSError, http.client.HTTPException):
        return True
    return False
