"""cox-agent between Envoy and the control plane: ADS passed through, the agent's own subscriptions, rotations driven by acknowledgements.
covers: i2 i4 c29 c30 c31"""
import os
import sys
import threading
import time

import grpc
import pytest
from google.protobuf import wrappers_pb2

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from agentlab import Agent, Stream, eventually  # noqa: E402
from tinyca import BUNDLE, NDS, PCDS, Plane, ProxyConfig, Root  # noqa: E402

SANITIZED = "san" in os.path.basename(os.environ.get("COX_BUILD", ""))  # keeps freed memory
CDS, EDS = "type.googleapis.com/envoy.config.cluster.v3.Cluster", "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"


@pytest.fixture(scope="module")
def other_root():
    return Root("second")


@pytest.fixture()
def plane():
    with Plane() as p:
        yield p


def agent_for(plane, **more):
    more["env"] = {"COXSWAIN_ROTATION_JITTER": "100ms", **more.get("env", {})}
    return Agent(f"127.0.0.1:{plane.port}", plane.root.pem, **more)


def blob(n):
    return wrappers_pb2.BytesValue(value=b"x" * n)


def roots_of(secret):
    return secret.validation_context.trusted_ca.inline_bytes.decode()


@pytest.mark.parametrize("delta", [False, True])
def test_passes_everything_through(plane, delta):
    """Requests and responses of both forms arrive as they were sent; the node first, by certificate once there is one."""
    for i in range(3):
        plane.set(CDS, f"c{i}", f"v{i}", blob(1000 + i))
    with agent_for(plane, env={"XDS_HEADER_X_TEST": "yes"}) as a:
        a.wait_log("certificate in force")
        with Stream(a.xds, "ads", delta) as s:
            s.send(CDS)
            m = s.get()
            assert m.type_url == CDS and len(m.resources) == 3
            s.ack(m)
            s.send(EDS, ["a", "b"])
            eventually(lambda: len(plane.acks(CDS)) == 1)
            eventually(lambda: plane.asked(EDS))
            assert list(plane.asked(EDS)[0].resource_names_subscribe if delta else plane.asked(EDS)[0].resource_names) == ["a", "b"]
            assert plane.requests[0].node.id.startswith("sidecar~") and plane.requests[0].type_url == CDS
            assert {BUNDLE, PCDS} <= {r.type_url for r in plane.requests} and not plane.asked(NDS)
            plane.set(CDS, "c0", "w0", blob(7))
            m = s.get()
            assert len(m.resources) == (1 if delta else 3)
            s.send(CDS, nonce=m.nonce, error="no thanks")
            eventually(lambda: plane.nacks(CDS) == ["no thanks"])
            s.none(0.3)


def test_own_types_never_reach_envoy(plane):
    plane.bundle(1, [plane.root])
    plane.set(PCDS, "pc", "1", ProxyConfig(ca_certificates_pem=[plane.root.pem]))
    with agent_for(plane) as a, Stream(a.xds, "ads") as s:
        s.send(CDS)
        eventually(lambda: plane.acks(BUNDLE) and plane.acks(PCDS))
        s.none(0.3)


def test_credentials_of_the_stream(plane):
    """A token while there is no certificate; then the certificate, and no token."""
    seen = []
    with Plane(root=plane.root, client_ca=plane.root.pem) as strict:
        inner = strict._stream

        def stream(requests, context, is_delta):
            seen.append((dict(context.invocation_metadata()), context.auth_context()))
            return inner(requests, context, is_delta)
        strict.stop()
        strict._stream = stream
        strict.start()
        with Agent(f"127.0.0.1:{strict.port}", plane.root.pem, env={"CA_ADDR": f"127.0.0.1:{plane.port}", "XDS_HEADER_X_Y": "z"}) as a:
            a.wait_log("certificate in force")
            with Stream(a.xds, "ads") as s:
                s.send(CDS)
                eventually(lambda: seen)
                assert "authorization" not in seen[0][0] and seen[0][0]["x_y"] == "z" and seen[0][0]["clusterid"] == "Kubernetes"
                assert seen[0][1]["x509_pem_cert"]
    seen.clear()
    inner2 = plane._stream

    def stream2(requests, context, is_delta):
        seen.append((dict(context.invocation_metadata()), context.auth_context()))
        return inner2(requests, context, is_delta)
    plane.stop()
    plane._stream = stream2
    plane.start()
    plane.faults = [grpc.StatusCode.UNAVAILABLE] * 50
    with agent_for(plane) as a, Stream(a.xds, "ads") as s:
        s.send(CDS)
        eventually(lambda: seen)
        assert seen[0][0]["authorization"] == "Bearer token-1"


def test_clear_text_control_plane():
    with Plane(tls=False) as plane, Agent(f"127.0.0.1:{plane.port}", None, token=None, args=["--identity", "none"]) as a, Stream(a.xds, "ads") as s:
        plane.set(CDS, "c", "1", blob(10))
        s.send(CDS)
        assert len(s.get().resources) == 1
        assert not os.path.exists(a.sds) and not plane.asked(BUNDLE)
    with Plane(tls=False) as plane, Agent(f"127.0.0.1:{plane.port}", None, env={"PROXY_CONFIG": '{"controlPlaneAuthPolicy": "NONE", "terminationDrainDuration": "0s"}'}) as a:
        a.wait_log("certificate in force")
        with Stream(a.xds, "ads") as s:
            s.send(CDS)
            eventually(lambda: plane.asked(BUNDLE))


def test_upstream_away_at_first_is_dialed_again(plane):
    """Envoy's stream stays; its first requests are said again on the connection that works."""
    plane.set(CDS, "c", "1", blob(10))
    with agent_for(plane) as a:
        a.wait_log("certificate in force")
        plane.stop()
        with Stream(a.xds, "ads") as s:
            s.send(CDS, initial={"old": "7"})
            s.send(EDS, ["a"])
            a.wait_log("control plane not reached")
            time.sleep(1)
            assert s.status is None
            plane.start()
            assert len(s.get(30).resources) == 1
            eventually(lambda: plane.asked(EDS))
            assert plane.asked(CDS)[0].initial_resource_versions == {"old": "7"}


def test_lost_upstream_ends_envoys_stream(plane):
    plane.set(CDS, "c", "1", blob(10))
    with agent_for(plane) as a:
        with Stream(a.xds, "ads") as s:
            s.send(CDS)
            s.ack(s.get())
            plane.stop()
            assert s.ended() == grpc.StatusCode.UNAVAILABLE
        plane.start()
        with Stream(a.xds, "ads") as s:
            s.send(CDS, initial={"c": "1"})
            assert s.get(30).type_url == CDS


def test_newest_envoy_wins(plane):
    plane.set(CDS, "c", "1", blob(10))
    with agent_for(plane) as a, Stream(a.xds, "ads") as one:
        one.send(CDS)
        one.get()
        with Stream(a.xds, "ads") as two:
            two.send(CDS)
            assert two.get().type_url == CDS
            assert one.ended() == grpc.StatusCode.CANCELLED
            eventually(lambda: len(plane.streams) == 1)
        eventually(lambda: len(plane.streams) == 0)


def test_slow_envoy_holds_the_control_plane_back(plane):
    """An Envoy that does not read: what the agent holds is bounded, and later all arrives in order."""
    import socket as sockets
    produced = []

    def endless(requests, context, is_delta):
        from envoy.service.discovery.v3 import discovery_pb2
        next(requests)
        for i in range(120):
            m = discovery_pb2.DeltaDiscoveryResponse(type_url=CDS, nonce=str(i))
            m.resources.add(name=f"c{i}", version="1").resource.Pack(blob(256 << 10))
            produced.append(i)
            yield m
        time.sleep(5)
    plane.stop()
    plane._stream = endless
    plane.start()
    with agent_for(plane) as a:
        a.wait_log("certificate in force")
        before = a.memory()[1]
        # Raw HTTP/2: preface, settings with a tiny window that is never opened, one request. The agent's output cannot leave.
        with sockets.socket(sockets.AF_UNIX) as s:
            eventually(lambda: os.path.exists(a.xds))
            s.connect(a.xds)
            path = b"/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"

            def frame(kind, flags, stream, payload):
                return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload

            def literal(name, value):
                return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value
            headers = (literal(b":method", b"POST") + literal(b":scheme", b"http") + literal(b":path", path) + literal(b":authority", b"x") +
                       literal(b"content-type", b"application/grpc") + literal(b"te", b"trailers"))
            body = b"\x12" + bytes([len(CDS)]) + CDS.encode()
            s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"\x00\x04" + (1000).to_bytes(4, "big")) + frame(1, 4, 1, headers) +
                      frame(0, 0, 1, b"\x00" + len(body).to_bytes(4, "big") + body))
            eventually(lambda: produced)
            time.sleep(2)
            # grpcio itself holds some; the agent has a window of 1 MiB, a message on its way and one that is being read.
            assert len(produced) < 60, len(produced)
            grown = a.memory()[1] - before
            assert grown < (65536 if SANITIZED else 4096), f"{grown} KiB more"


def test_many_services_in_small_memory(plane):
    """500 services go through: the agent is below 8 MiB, below 3 of its own. Figures are printed for the README."""
    for i in range(500):
        plane.set(CDS, f"outbound|80||svc-{i}.default.svc.cluster.local", "1", blob(1500), push=False)
        plane.set(EDS, f"outbound|80||svc-{i}.default.svc.cluster.local", "1", blob(600), push=False)
    plane.set(LDS := "type.googleapis.com/envoy.config.listener.v3.Listener", "virtualOutbound", "1", blob(1200 << 10), push=False)
    plane.bundle(1, [plane.root])
    with agent_for(plane) as a, Stream(a.sds, "sds") as sds, Stream(a.xds, "ads") as s:
        sds.send(names=["default", "ROOTCA"])
        for kind in (CDS, EDS, LDS):
            s.send(kind, ["*"] if kind == EDS else [])
            m = s.get(30)
            assert len(m.resources) in (500, 1)
            s.ack(m)
        for i in range(20):
            plane.set(CDS, f"outbound|80||svc-{i}.default.svc.cluster.local", "2", blob(1501))
            s.ack(s.get())
        time.sleep(0.5)
        resident, anonymous = a.memory()
        print(f"resident {resident} KiB, anonymous {anonymous} KiB")
        if not SANITIZED:
            assert resident < 8 * 1024 and anonymous < 3 * 1024, (resident, anonymous)


# --- trust ------------------------------------------------------------------------------------


def test_bundle_is_acknowledged_when_envoy_has_it(plane, other_root):
    plane.bundle(1, [plane.root])
    with agent_for(plane) as a, Stream(a.sds, "sds", False) as sds, Stream(a.xds, "ads") as s:
        sds.send(names=["ROOTCA"])
        got, m = sds.secrets()
        s.send(CDS)
        if roots_of(got["ROOTCA"]) == plane.root.pem:
            sds.ack(m, ["ROOTCA"])
        eventually(lambda: len(plane.acks(BUNDLE)) == 1)
        crl = plane.root.crl(plane.root.pair("URI:spiffe://cluster.local/ns/x/sa/y")[1])
        plane.bundle(2, [plane.root, other_root], "DISTRIBUTE", crl=crl)
        got, m = sds.secrets()
        assert roots_of(got["ROOTCA"]) == plane.root.pem + other_root.pem
        context = got["ROOTCA"].validation_context
        assert context.crl.inline_bytes.decode() == crl and context.only_verify_leaf_cert_crl
        time.sleep(0.5)
        assert len(plane.acks(BUNDLE)) == 1, "Envoy has not answered yet"
        sds.ack(m, ["ROOTCA"])
        eventually(lambda: len(plane.acks(BUNDLE)) == 2)


def test_bundle_that_envoy_refuses_is_refused(plane):
    with agent_for(plane) as a, Stream(a.sds, "sds") as sds, Stream(a.xds, "ads") as s:
        sds.send(names=["ROOTCA"])
        sds.ack(sds.secrets()[1])
        s.send(CDS)
        eventually(lambda: plane.asked(BUNDLE))
        plane.bundle(1, [plane.root], crl="-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")
        _, m = sds.secrets()
        sds.send(nonce=m.nonce, error="CRL is no CRL")
        eventually(lambda: plane.nacks(BUNDLE) == ["CRL is no CRL"])
        plane.bundle(2, [plane.root])
        sds.ack(sds.secrets()[1])
        eventually(lambda: len(plane.acks(BUNDLE)) == 1)


@pytest.mark.parametrize("roots", [[], ["nonsense"], ["-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]])
def test_bundle_that_is_broken_changes_nothing(plane, roots):
    with agent_for(plane) as a, Stream(a.sds, "sds") as sds, Stream(a.xds, "ads") as s:
        sds.send(names=["ROOTCA"])
        sds.ack(sds.secrets()[1])
        s.send(CDS)
        eventually(lambda: plane.asked(BUNDLE))
        plane.bundle(1, roots)
        eventually(lambda: plane.nacks(BUNDLE))
        sds.none(0.3)


def test_rotation(plane, other_root):
    """DISTRIBUTE, SIGN, RETIRE: SIGN is acknowledged when Envoy has a certificate by the new issuer, also over a CA that fails meanwhile."""
    old = plane.root
    plane.bundle(1, [old])
    with agent_for(plane) as a, Stream(a.sds, "sds") as certs, Stream(a.sds, "sds", False) as roots, Stream(a.xds, "ads") as s:
        certs.send(names=["default"])
        certs.ack(certs.secrets()[1])
        roots.send(names=["ROOTCA"])
        s.send(CDS)
        roots.ack(roots.secrets()[1], ["ROOTCA"])
        eventually(lambda: len(plane.acks(BUNDLE)) == 1)
        plane.bundle(2, [old, other_root], "DISTRIBUTE", issuer=old)
        roots.ack(roots.secrets()[1], ["ROOTCA"])
        eventually(lambda: len(plane.acks(BUNDLE)) == 2)
        assert len(plane.csrs) == 1
        plane.faults = [grpc.StatusCode.UNAVAILABLE]
        plane.root = other_root
        plane.bundle(3, [old, other_root], "SIGN", issuer=other_root)
        got, m = certs.secrets(20)
        assert len(plane.csrs) == 3
        assert len(plane.acks(BUNDLE)) == 2, "acknowledged before Envoy has the certificate"
        certs.ack(m)
        eventually(lambda: len(plane.acks(BUNDLE)) == 3)
        plane.bundle(4, [other_root], "STEADY", issuer=other_root)
        got, m = roots.secrets()
        assert roots_of(got["ROOTCA"]) == other_root.pem
        roots.ack(m, ["ROOTCA"])
        eventually(lambda: len(plane.acks(BUNDLE)) == 4)
        certs.none(0.3)
    plane.root = old


def test_replica_that_still_signs_with_the_old_key(plane, other_root):
    """In SIGN, certificates by the old issuer come once more: asked for again, with growing pauses, until it is the new one."""
    old = plane.root
    with agent_for(plane) as a, Stream(a.sds, "sds") as certs, Stream(a.xds, "ads") as s:
        certs.send(names=["default"])
        certs.ack(certs.secrets()[1])
        s.send(CDS)
        plane.bundle(1, [old, other_root], "SIGN", issuer=other_root)
        certs.ack(certs.secrets(20)[1])
        assert not plane.acks(BUNDLE)
        plane.root = other_root
        certs.ack(certs.secrets(20)[1])
        eventually(lambda: len(plane.acks(BUNDLE)) == 1)
        assert len(plane.csrs) <= 5
    plane.root = old


def test_roots_of_a_server_without_bundles(plane, other_root):
    """istiod: the root of the CSR response, and those of PCDS."""
    plane.silent = {BUNDLE}
    plane.set(PCDS, "pc", "1", ProxyConfig(ca_certificates_pem=[other_root.pem, plane.root.pem]))
    with agent_for(plane) as a, Stream(a.sds, "sds") as sds:
        sds.send(names=["ROOTCA"])
        got, m = sds.secrets()
        assert roots_of(got["ROOTCA"]) == plane.root.pem
        sds.ack(m)
        with Stream(a.xds, "ads") as s:
            s.send(CDS)
            got, m = sds.secrets()
            assert roots_of(got["ROOTCA"]) == plane.root.pem + other_root.pem
            eventually(lambda: plane.acks(PCDS))
            plane.set(PCDS, "pc", "2", ProxyConfig(ca_certificates_pem=["broken"]))
            eventually(lambda: plane.nacks(PCDS))
            sds.none(0.3)


def test_nonsense_from_the_control_plane_ends_the_stream():
    """Bytes that are no message: the stream ends on both sides, the agent lives and dials again."""
    with Plane() as plane:
        ads = "envoy.service.discovery.v3.AggregatedDiscoveryService"
        plane.stop()
        bad = {"n": 0}

        def garbage(requests, context):
            bad["n"] += 1
            next(requests)
            yield b"\xff\xff\xff\xff\xff"
            time.sleep(3)
        server = grpc.server(__import__("concurrent.futures").futures.ThreadPoolExecutor(8))
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(ads, {"DeltaAggregatedResources": grpc.stream_stream_rpc_method_handler(garbage)}),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        with Agent(f"127.0.0.1:{port}", None, args=["--identity", "none"]) as a, Stream(a.xds, "ads") as s:
            s.send(CDS)
            eventually(lambda: bad["n"] >= 2)
            assert a.process.poll() is None
        server.stop(0)
        plane.start()


def test_ends_in_the_middle_of_everything(plane):
    """SIGTERM while a CSR hangs, streams are open and a secret is on its way: the agent ends at once, without a leak (ASan)."""
    plane.delay_s = 3
    with agent_for(plane) as a, Stream(a.sds, "sds") as sds, Stream(a.xds, "ads") as s:
        sds.send(names=["default", "file-root:system"])
        s.send(CDS)
        eventually(lambda: plane.csrs)
        t = time.monotonic()
        a.stop()
        assert time.monotonic() - t < 5
    assert threading.active_count() < 200


@pytest.mark.parametrize("delta", [False, True])
def test_who_has_roots_keeps_them_until_the_bundle_is_known(plane, other_root, delta):
    """After a restart of the agent: the root beside its own certificate must not replace the two of a rotation. Who has none gets it at once."""
    plane.silent = {BUNDLE}
    with agent_for(plane) as a, Stream(a.sds, "sds") as fresh, Stream(a.sds, "sds", delta) as old, Stream(a.sds, "sds", delta) as late:
        fresh.send(names=["ROOTCA"])
        old.send(names=["ROOTCA"], **({"initial": {"ROOTCA": "of-an-earlier-agent"}} if delta else {"version": "of-an-earlier-agent"}))
        got, m = fresh.secrets()
        fresh.ack(m)
        assert roots_of(got["ROOTCA"]) == plane.root.pem
        old.none(1)
        with Stream(a.xds, "ads") as s:
            s.send(CDS)
            eventually(lambda: plane.asked(BUNDLE))
            plane.silent = set()
            plane.bundle(1, [plane.root, other_root], "DISTRIBUTE")
            for stream in (old, fresh):
                got, m = stream.secrets()
                assert roots_of(got["ROOTCA"]) == plane.root.pem + other_root.pem
                stream.ack(m, ["ROOTCA"])
            eventually(lambda: len(plane.acks(BUNDLE)) == 1)
            late.send(names=["ROOTCA"])
            assert late.secrets()[0]


def test_server_without_bundles_decides_after_a_while(plane):
    plane.silent = {BUNDLE}
    plane.set(CDS, "c", "1", blob(1))
    with agent_for(plane) as a, Stream(a.sds, "sds", False) as old, Stream(a.xds, "ads") as s:
        old.send(names=["ROOTCA"], version="of-an-earlier-agent")
        s.send(CDS)
        s.get()
        old.none(1)
        assert roots_of(old.secrets()[0]["ROOTCA"]) == plane.root.pem


def test_a_socket_that_cannot_be_made_is_an_error(plane):
    """Something else is in its place: the agent says so and ends, whatever was open by then."""
    with agent_for(plane, start=False) as a:
        with open(a.xds, "w") as f:
            f.write("not a socket")
        a.start()
        assert a.process.wait(10) == 1
        assert f"{a.xds} is there and no socket" in a.log()
    with agent_for(plane, start=False, args=["--secrets-dir", "/var/tmp/" + "x" * 120]) as a:
        a.start()
        assert a.process.wait(10) == 1 and "path of 1 to" in a.log(), a.log()


class Raw:
    def __init__(self, value):
        self.value = value

    def SerializeToString(self):
        return self.value


def lookup(port, name):
    """The addresses that a DNS server on loopback answers."""
    import socket as sockets
    import struct
    question = b"".join(bytes([len(p)]) + p.encode() for p in name.split(".")) + b"\0" + struct.pack("!HH", 1, 1)
    with sockets.socket(sockets.AF_INET, sockets.SOCK_DGRAM) as s:
        s.settimeout(2)
        s.sendto(struct.pack("!HHHHHH", 7, 0x100, 1, 0, 0, 0) + question, ("127.0.0.1", port))
        try:
            answer = s.recv(4096)
        except TimeoutError:
            return None
    count = struct.unpack("!H", answer[6:8])[0]
    return [".".join(map(str, answer[-4:]))] if count == 1 else []


def test_name_table_feeds_the_dns_proxy(plane):
    """With DNS capture on, the table is subscribed, used, and one that cannot be read is rejected while the last good one stays."""
    from agentlab import free_port

    def field(number, value):
        return bytes([number << 3 | 2, len(value)]) + value
    name = b"web.default.svc.cluster.local"
    plane.set(NDS, "", "1", Raw(field(1, field(1, name) + field(2, field(1, b"10.96.0.9") + field(2, b"Kubernetes")))))
    port = free_port()
    env = {"ISTIO_META_DNS_CAPTURE": "true", "DNS_PROXY_ADDR": f"127.0.0.1:{port}"}
    with agent_for(plane, env=env) as a, Stream(a.xds, "ads") as s:
        s.send(CDS)
        eventually(lambda: len(plane.acks(NDS)) == 1)
        eventually(lambda: lookup(port, name.decode()) == ["10.96.0.9"])
        plane.set(NDS, "", "2", Raw(b"\xff\xff\xff"))
        eventually(lambda: plane.nacks(NDS))
        assert lookup(port, name.decode()) == ["10.96.0.9"]
        s.none(0.3)
