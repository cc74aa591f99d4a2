"""A kubelet for port-forward alone: what a real kube-apiserver asks a node, answered by connecting to this machine's own ports.

Protocol of the WebSocket (v4.channel.k8s.io): each message begins with its channel; channel 0 is data and 1 what went wrong; the first message
on each is the port in two bytes, little end first.
"""
import base64
import hashlib
import http.server
import socket
import ssl
import struct
import subprocess
import threading
import urllib.parse

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def send(wfile, payload, opcode=2):
    n = len(payload)
    head = bytes([0x80 | opcode]) + (bytes([n]) if n < 126 else b"\x7e" + struct.pack(">H", n) if n < 65536 else b"\x7f" + struct.pack(">Q", n))
    wfile.write(head + payload)
    wfile.flush()


def receive(rfile):
    """One frame's payload, unmasked; None: the end."""
    head = rfile.read(2)
    if len(head) < 2 or head[0] & 0x0F == 8:
        return None
    assert head[1] & 0x80, "frames of clients are masked"
    n = head[1] & 0x7F
    n = struct.unpack(">H", rfile.read(2))[0] if n == 126 else struct.unpack(">Q", rfile.read(8))[0] if n == 127 else n
    mask, body = rfile.read(4), rfile.read(n)
    return bytes(b ^ mask[i % 4] for i, b in enumerate(body))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        self.server.asked.append(self.path)
        if not url.path.startswith("/portForward/") or self.headers.get("Upgrade", "").lower() != "websocket":
            self.send_error(404)
            return
        assert self.headers["Sec-WebSocket-Protocol"] == "v4.channel.k8s.io", dict(self.headers)
        port = int(urllib.parse.parse_qs(url.query)["port"][0])
        accept = base64.b64encode(hashlib.sha1((self.headers["Sec-WebSocket-Key"] + GUID).encode()).digest()).decode()
        self.send_response(101)
        for k, v in (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept), ("Sec-WebSocket-Protocol", "v4.channel.k8s.io")):
            self.send_header(k, v)
        self.end_headers()
        self.close_connection = True
        for channel in (b"\0", b"\1"):
            send(self.wfile, channel + struct.pack("<H", port))
        send(self.wfile, b"are you there", 9)
        try:
            to = socket.create_connection(("127.0.0.1", port), 5)
        except OSError as e:
            send(self.wfile, b"\1an error occurred forwarding %d: %s" % (port, str(e).encode()))
            send(self.wfile, b"\x03\xe8", 8)
            return
        threading.Thread(target=self.back, args=(to,), daemon=True).start()
        while True:
            message = receive(self.rfile)
            if message is None:
                break
            if message[:1] == b"\0":
                to.sendall(message[1:])
        to.close()

    def back(self, to):
        try:
            while part := to.recv(32768):
                send(self.wfile, b"\0" + part)
            send(self.wfile, b"\x03\xe8", 8)
        except OSError:
            pass


class Kubelet:
    def __init__(self, lab, directory, name):
        self.lab, self.name = lab, name
        key, cert = directory / f"{name}.key", directory / f"{name}.crt"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj", f"/CN={name}",
                        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.asked = self.asked = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        lab.apply(f"/api/v1/nodes/{name}", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
        lab.call("PATCH", f"/api/v1/nodes/{name}/status?fieldManager=kubelet&force=true", {
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
            "status": {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}], "daemonEndpoints": {"kubeletEndpoint": {"Port": self.server.server_port}}}},
            "application/apply-patch+yaml")

    def pod(self, ns, name, labels=None, containers=None, annotations=None, ip="10.1.0.1", **meta):
        """A running Pod of this node."""
        where = f"/api/v1/namespaces/{ns}/pods/{name}"
        self.lab.apply(where, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": ns, "labels": labels or {}, "annotations": annotations or {}, **meta},
                               "spec": {"nodeName": self.name, "containers": containers or [{"name": "app", "image": "app"}]}})
        self.lab.call("PATCH", f"{where}/status?fieldManager=kubelet&force=true", {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": ns},
            "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [{"type": "Ready", "status": "True"}]}}, "application/apply-patch+yaml")

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.lab.delete(f"/api/v1/nodes/{self.name}")
