"""A certificate authority and ADS server of a few hundred lines, with faults: what cox-agent needs of a control plane. Shares no code with it."""
import os
import queue
import subprocess
import tempfile
import threading
import time
from concurrent import futures

import grpc
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory, struct_pb2  # noqa: F401

T = "type.googleapis.com/"
BUNDLE, PCDS, NDS = T + "coxswain.v1.TrustBundle", T + "istio.mesh.v1alpha1.ProxyConfig", T + "istio.networking.nds.v1.NameTable"
STRING, UINT64, INT64, MESSAGE = 9, 4, 3, 11


def _message(package, name, fields, needs=()):
    """A message class from (number, name, type, repeated[, type name])."""
    package = f"coxtest.{package}"  # other tests of this process have the real names
    f = descriptor_pb2.FileDescriptorProto(name=f"coxtest/{package}.{name}.proto", package=package, syntax="proto3", dependency=list(needs))
    m = f.message_type.add(name=name)
    for number, field, kind, repeated, *of in fields:
        m.field.add(name=field, number=number, type=kind, label=3 if repeated else 1, type_name=of[0] if of else None)
    pool = descriptor_pool.Default()
    pool.Add(f)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))


CsrRequest = _message("istio.v1.auth", "IstioCertificateRequest",
                      [(1, "csr", STRING, False), (3, "validity_duration", INT64, False), (4, "metadata", MESSAGE, False, ".google.protobuf.Struct")],
                      ["google/protobuf/struct.proto"])
CsrResponse = _message("istio.v1.auth", "IstioCertificateResponse", [(1, "cert_chain", STRING, True)])
TrustDomain = _message("coxswain.v1", "TrustDomain", [(1, "name", STRING, False), (2, "roots_pem", STRING, True)])
TrustBundle = _message("coxswain.v1", "TrustBundle", [(1, "trust_domain", STRING, False), (2, "roots_pem", STRING, True), (3, "crl_pem", STRING, False),
                                                       (4, "issuer_key_id", STRING, False), (5, "generation", UINT64, False), (6, "phase", STRING, False),
                                                       (7, "trust_domains", MESSAGE, True, ".coxtest.coxswain.v1.TrustDomain")],
                       ["coxtest/coxtest.coxswain.v1.TrustDomain.proto"])
ProxyConfig = _message("istio.mesh.v1alpha1", "ProxyConfig", [(34, "ca_certificates_pem", STRING, True)])


def openssl(*args, cwd=None, data=None):
    done = subprocess.run(["openssl", *args], cwd=cwd, input=data, capture_output=True, check=False)
    assert done.returncode == 0, (args, done.stderr.decode())
    return done.stdout.decode()


def stamp(seconds):
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + seconds))


class Root:
    """A self-signed root that signs leaves and a CRL."""
    CONF = ("[ca]\ndefault_ca=d\n[d]\nnew_certs_dir=.\ndatabase=index\nserial=serial\ncrlnumber=crlnumber\ndefault_md=sha256\npolicy=p\nunique_subject=no\n"
            "default_crl_days=30\nemail_in_dn=no\nrand_serial=yes\n[p]\n")

    def __init__(self, name):
        self.dir = tempfile.mkdtemp(prefix=f"cox-ca-{name}-")
        self.lock = threading.Lock()
        self.write("conf", self.CONF)
        self.write("index", "")
        self.write("crlnumber", "01\n")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key.pem", "-out", "root.pem", "-days", "30",
                "-subj", f"/O=test/CN={name}", "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-addext", "subjectKeyIdentifier=hash", cwd=self.dir)
        self.pem = self.read("root.pem")
        text = openssl("x509", "-in", "root.pem", "-noout", "-ext", "subjectKeyIdentifier", cwd=self.dir)
        self.key_id = text.split("\n")[1].strip().replace(":", "").lower()

    def read(self, name):
        with open(os.path.join(self.dir, name)) as f:
            return f.read()

    def write(self, name, text):
        with open(os.path.join(self.dir, name), "w") as f:
            f.write(text)

    def sign(self, csr_pem, san, ttl_s=86400, backdate_s=120):
        with self.lock:
            self.write("csr.pem", csr_pem)
            self.write("ext", f"subjectAltName=critical,{san}\nbasicConstraints=critical,CA:FALSE\nauthorityKeyIdentifier=keyid\n"
                              "keyUsage=critical,digitalSignature,keyEncipherment\nextendedKeyUsage=serverAuth,clientAuth\n")
            openssl("ca", "-batch", "-config", "conf", "-cert", "root.pem", "-keyfile", "key.pem", "-in", "csr.pem", "-out", "leaf.pem", "-notext", "-extfile", "ext",
                    "-subj", "/", "-startdate", stamp(-backdate_s), "-enddate", stamp(ttl_s), cwd=self.dir)
            return self.read("leaf.pem")

    def pair(self, san, ttl_s=86400):
        """(key, certificate) made here."""
        with self.lock:
            openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "leaf.key", "-out", "own.csr", "-subj", "/", cwd=self.dir)
            key, csr = self.read("leaf.key"), self.read("own.csr")
        return key, self.sign(csr, san, ttl_s)

    def crl(self, *certs):
        """A CRL that has these certificates."""
        with self.lock:
            for pem in certs:
                self.write("revoke.pem", pem)
                openssl("ca", "-config", "conf", "-cert", "root.pem", "-keyfile", "key.pem", "-revoke", "revoke.pem", cwd=self.dir)
            return openssl("ca", "-config", "conf", "-cert", "root.pem", "-keyfile", "key.pem", "-gencrl", cwd=self.dir)


class Plane:
    """CA and ADS on one port. `faults` is a list of gRPC statuses that the next CSRs get."""

    def __init__(self, root=None, tls=True, port=0, client_ca=None, name="istiod.istio-system.svc"):
        self.root = root or Root("first")
        self.tls, self.name, self.client_ca = tls, name, client_ca
        self.ttl_s, self.extra_roots, self.token = None, "", None
        self.faults, self.csrs, self.delay_s, self.garbage = [], [], 0, None
        self.resources = {}   # type -> {name: (version, Any)}
        self.silent = set()   # types that are never answered
        self.requests, self.streams, self.lock = [], [], threading.Lock()
        self.uri = "spiffe://cluster.local/ns/default/sa/default"
        self.port = port
        self.server = None
        self.start()

    # --- life ---

    def start(self):
        self.server = grpc.server(futures.ThreadPoolExecutor(max_workers=32), options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)])
        ads = "envoy.service.discovery.v3.AggregatedDiscoveryService"
        self.server.add_generic_rpc_handlers((
            grpc.method_handlers_generic_handler("istio.v1.auth.IstioCertificateService", {"CreateCertificate": grpc.unary_unary_rpc_method_handler(
                self._csr, CsrRequest.FromString, lambda m: m if isinstance(m, bytes) else m.SerializeToString())}),
            grpc.method_handlers_generic_handler(ads, {
                "DeltaAggregatedResources": grpc.stream_stream_rpc_method_handler(
                    lambda r, c: self._stream(r, c, True), discovery_pb2.DeltaDiscoveryRequest.FromString, discovery_pb2.DeltaDiscoveryResponse.SerializeToString),
                "StreamAggregatedResources": grpc.stream_stream_rpc_method_handler(
                    lambda r, c: self._stream(r, c, False), discovery_pb2.DiscoveryRequest.FromString, discovery_pb2.DiscoveryResponse.SerializeToString)}),
        ))
        address = f"127.0.0.1:{self.port}"
        if self.tls:
            key, cert = self.root.pair(f"DNS:{self.name}")
            credentials = grpc.ssl_server_credentials([(key.encode(), cert.encode())], self.client_ca.encode() if self.client_ca else None, bool(self.client_ca))
            got = self.server.add_secure_port(address, credentials)
        else:
            got = self.server.add_insecure_port(address)
        assert got, f"port {self.port} is taken"
        self.port = got
        self.server.start()

    def stop(self):
        for s in list(self.streams):
            s.put(None)
        self.server.stop(0).wait(5)
        self.server = None

    def close(self):
        if self.server:
            self.stop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- CA ---

    def _csr(self, request, context):
        meta = dict(context.invocation_metadata())
        with self.lock:
            self.csrs.append({"csr": request.csr, "ttl": request.validity_duration, "meta": meta, "peer": context.auth_context(), "at": time.monotonic()})
            fault = self.faults.pop(0) if self.faults else None
        time.sleep(self.delay_s)
        if fault:
            context.abort(fault, "said no")
        if self.token is not None and meta.get("authorization") != "Bearer " + self.token:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "wrong token")
        if self.garbage is not None:
            return self.garbage
        leaf = self.root.sign(request.csr, f"URI:{self.uri}", self.ttl_s or request.validity_duration)
        return CsrResponse(cert_chain=[leaf, self.root.pem + self.extra_roots])

    # --- ADS ---

    def set(self, kind, name, version, message, push=True):
        packed = any_pb2.Any(type_url=kind, value=message.SerializeToString())
        self.resources.setdefault(kind, {})[name] = (version, packed)
        if push:
            for s in list(self.streams):
                s.put(kind)

    def bundle(self, generation, roots, phase="STEADY", issuer=None, crl="", domains=None):
        self.set(BUNDLE, "default", str(generation), TrustBundle(trust_domain="cluster.local", roots_pem=[r.pem if isinstance(r, Root) else r for r in roots],
                                                                 crl_pem=crl, issuer_key_id=(issuer or self.root).key_id, generation=generation, phase=phase,
                                                                 trust_domains=[TrustDomain(name=n, roots_pem=[r.pem for r in rs]) for n, rs in (domains or {}).items()]))

    def asked(self, kind, since=0):
        with self.lock:
            return [r for r in self.requests[since:] if r.type_url == kind]

    def acks(self, kind):
        """Nonces that were acknowledged."""
        return [r.response_nonce for r in self.asked(kind) if r.response_nonce and not r.HasField("error_detail")]

    def nacks(self, kind):
        return [r.error_detail.message for r in self.asked(kind) if r.HasField("error_detail")]

    def _stream(self, requests, context, is_delta):
        todo = queue.Queue()
        sent, asked, nonce = {}, set(), 0
        self.streams.append(todo)

        def read():
            try:
                for r in requests:
                    with self.lock:
                        self.requests.append(r)
                    if r.type_url not in asked:
                        asked.add(r.type_url)
                        todo.put(r.type_url)
            except grpc.RpcError:
                pass
            except Exception:  # noqa: BLE001  (grpc says so when a stream is cut)
                pass
            todo.put(None)
        threading.Thread(target=read, daemon=True).start()
        try:
            while (kind := todo.get()) is not None:
                have = self.resources.get(kind, {})
                if kind not in asked or kind in self.silent or not have:
                    continue
                nonce += 1
                if is_delta:
                    out = discovery_pb2.DeltaDiscoveryResponse(type_url=kind, nonce=f"n{nonce}")
                    for name, (version, packed) in sorted(have.items()):
                        if sent.get((kind, name)) != version:
                            out.resources.add(name=name, version=version, resource=packed)
                            sent[(kind, name)] = version
                else:
                    out = discovery_pb2.DiscoveryResponse(type_url=kind, nonce=f"n{nonce}", version_info=str(nonce), resources=[p for _, p in sorted(have.values(), key=str)])
                yield out
        finally:
            self.streams.remove(todo)
