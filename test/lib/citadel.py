"""A client of istio.v1.auth.IstioCertificateService and what it needs: keys and requests by the openssl program, tokens of an issuer of our own."""
import base64
import json
import os
import subprocess
import time

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, struct_pb2

METHOD = "/istio.v1.auth.IstioCertificateService/CreateCertificate"


def openssl(*args, data=None, ok=True):
    r = subprocess.run(["openssl", *args], input=data, capture_output=True)
    assert not ok or r.returncode == 0, f"openssl {args}: {r.stderr.decode()}"
    return r.stdout


def _messages():
    file = descriptor_pb2.FileDescriptorProto(name="test/istio_ca.proto", package="test.istio.v1.auth", syntax="proto3", dependency=["google/protobuf/struct.proto"])
    t = descriptor_pb2.FieldDescriptorProto
    q = file.message_type.add(name="IstioCertificateRequest")
    q.field.add(name="csr", number=1, type=t.TYPE_STRING, label=t.LABEL_OPTIONAL)
    q.field.add(name="validity_duration", number=3, type=t.TYPE_INT64, label=t.LABEL_OPTIONAL)
    q.field.add(name="metadata", number=4, type=t.TYPE_MESSAGE, type_name=".google.protobuf.Struct", label=t.LABEL_OPTIONAL)
    a = file.message_type.add(name="IstioCertificateResponse")
    a.field.add(name="cert_chain", number=1, type=t.TYPE_STRING, label=t.LABEL_REPEATED)
    pool = descriptor_pool.Default()
    pool.Add(file)
    return [message_factory.GetMessageClass(pool.FindMessageTypeByName(f"test.istio.v1.auth.{n}")) for n in ("IstioCertificateRequest", "IstioCertificateResponse")]


Request, Response = _messages()
_ = struct_pb2


class Key:
    """A private key in a file, and requests signed by it."""

    def __init__(self, directory, name="key", kind="ec"):
        self.path = os.path.join(str(directory), name + ".key")
        how = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "ec" else ["-algorithm", "RSA", "-pkeyopt", f"rsa_keygen_bits:{kind}"]
        openssl("genpkey", *how, "-out", self.path)
        with open(self.path, "rb") as f:
            self.pem = f.read()

    def csr(self, uri=""):
        san = ["-addext", f"subjectAltName=URI:{uri}"] if uri else []
        return openssl("req", "-new", "-key", self.path, "-subj", "/O=anybody", *san).decode()


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer:
    """Signs tokens with RS256; `rule` is a JWT_RULE with its keys inside."""

    def __init__(self, directory, name="https://issuer.test", kid="one"):
        self.name, self.kid, self.key = name, kid, Key(directory, "issuer-" + kid, 2048)
        modulus = openssl("rsa", "-in", self.key.path, "-noout", "-modulus").decode().strip().split("=")[1]
        self.jwk = {"kty": "RSA", "kid": kid, "use": "sig", "n": b64url(bytes.fromhex(modulus)), "e": "AQAB"}
        self.rule = json.dumps({"issuer": name, "audiences": ["istio-ca"], "jwks": json.dumps({"keys": [self.jwk]})})

    def token(self, ns="default", sa="web", seconds=600, header=None, **claims):
        head = {"alg": "RS256", "typ": "JWT", "kid": self.kid, **(header or {})}
        body = {"iss": self.name, "sub": f"system:serviceaccount:{ns}:{sa}", "aud": ["istio-ca"], "exp": int(time.time()) + seconds, "iat": int(time.time()), **claims}
        text = b64url(json.dumps(head).encode()) + "." + b64url(json.dumps(body).encode())
        return text + "." + b64url(openssl("dgst", "-sha256", "-sign", self.key.path, data=text.encode()))


def create(channel, csr, token=None, seconds=0, metadata=None, headers=(), timeout=20):
    """The chain of PEM texts; raises grpc.RpcError."""
    q = Request(csr=csr, validity_duration=seconds)
    if metadata:
        q.metadata.update(metadata)
    call = channel.unary_unary(METHOD, request_serializer=Request.SerializeToString, response_deserializer=Response.FromString)
    md = list(headers) + ([("authorization", f"Bearer {token}")] if token else [])
    return list(call(q, metadata=md, timeout=timeout).cert_chain)


def refused(channel, csr, code, text="", **kw):
    try:
        create(channel, csr, **kw)
    except grpc.RpcError as e:
        assert e.code() == code and text in e.details(), (e.code(), e.details())
        return e.details()
    raise AssertionError("a certificate was given")


def verify(directory, chain):
    """The leaf chains to the roots at the end, by the openssl program; its text is returned."""
    d = str(directory)
    for name, text in (("leaf", chain[0]), ("untrusted", "".join(chain[1:-1])), ("roots", chain[-1])):
        with open(os.path.join(d, name + ".pem"), "w") as f:
            f.write(text)
    untrusted = ["-untrusted", f"{d}/untrusted.pem"] if len(chain) > 2 else []
    out = openssl("verify", "-CAfile", f"{d}/roots.pem", *untrusted, "-purpose", "sslserver", f"{d}/leaf.pem")
    assert out.decode().strip().endswith(": OK"), out
    return describe(chain[0])


def describe(pem):
    return openssl("x509", "-noout", "-text", data=pem.encode()).decode()


def secure_channel(port, roots, key=None, chain=None, name="istiod.istio-system.svc"):
    credentials = grpc.ssl_channel_credentials(roots.encode(), key.pem if key else None, "".join(chain[:-1]).encode() if chain else None)
    return grpc.secure_channel(f"127.0.0.1:{port}", credentials, options=[("grpc.ssl_target_name_override", name), ("grpc.use_local_subchannel_pool", 1)])
