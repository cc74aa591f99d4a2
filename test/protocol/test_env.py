"""The environment variables of coxswaind: each one that istiod has is known, has istiod's default, and does what it says, or says why not.

covers: g43 g44 g45 g46 g47 g48 g49 g50 g51 g52 g53 g54 g55
"""
import os
import re
import subprocess
import time

import grpc
import pytest

from coxswain import BUILD, CDS, EDS, LDS, TREE, Coxswaind, Stream, node, resources

SERVICE = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: web, namespace: default}
spec:
  hosts: [web.example]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 10.9.0.1}]
"""


def row_names():
    """The names that rows g43 to g55 of the features say, patterns as such."""
    out = set()
    with open(os.path.join(TREE, "test/features.tsv")) as f:
        for line in f:
            if not re.match(r"g(4[3-9]|5[0-5])\t", line):
                continue
            text = line.split("\t")[2].replace(" prefixes", "*")
            text = re.sub(r"([A-Z_]+)\{([A-Z,]+)\}([A-Z_]+)", lambda m: " ".join(m[1] + x + m[3] for x in m[2].split(",")), text)
            out |= set(re.findall(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]*\*?|\b(?:REVISION|PLATFORM|AUDIENCE)\b", text))
    return out


def table():
    text = subprocess.run([os.path.join(BUILD, "coxswaind"), "--help-env"], check=True, capture_output=True, text=True).stdout
    return {m[1]: (m[2], m[3], m[4]) for m in re.finditer(r"^([A-Z0-9_]+) \((\w+), default \"(.*)\"\)\n    (.*(?:\n    .*)?)$", text, re.M)}


def test_every_name_is_in_the_table():
    known, wanted = table(), row_names()
    assert len(wanted) > 70 and "PILOT_ENABLE_CDS_CACHE" in wanted and "PILOT_JWT_*" in wanted, sorted(wanted)
    missing = [w for w in wanted if not any(k.startswith(w[:-1]) if w.endswith("*") else k == w for k in known)]
    assert missing == []
    assert sum(k.startswith(("PILOT_ENABLE_AMBIENT", "AMBIENT_", "PILOT_HBONE", "ENABLE_INGRESS_WAYPOINT", "ENABLE_LAYERED", "PILOT_PREFER", "PILOT_AUTO_ALLOW"))
               or "HBONE" in k for k in known) >= 17
    assert known["PILOT_DEBOUNCE_MAX"][:2] == ("duration", "10s") and known["TOKEN_AUDIENCES"][:2] == ("list", "istio-ca")
    assert "has no effect" in known["PILOT_ENABLE_QUIC_LISTENERS"][2], "covers: a126"
    assert known["ISTIO_GPRC_MAXRECVMSGSIZE"][1] == "4194304" and known["PILOT_CA_CERT_CONFIGMAP"][1] == "istio-ca-root-cert"


def hcms(listeners):
    from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as h
    for listener in listeners.values():
        for chain in list(listener.filter_chains) + [listener.default_filter_chain]:
            for f in chain.filters:
                if f.typed_config.type_url.endswith("HttpConnectionManager"):
                    out = h.HttpConnectionManager()
                    f.typed_config.Unpack(out)
                    yield out


def seen(env=None):
    """What a proxy with Istio's extensions gets."""
    who = node(extensions=["istio.alpn", "istio.metadata_exchange", "istio.stats", "envoy.filters.http.peer_metadata"])
    with Coxswaind({"a.yaml": SERVICE}, env=env) as c:
        c.wait_ready()
        with Stream(c.grpc_port, who) as s:
            clusters, listeners = s.fetch(CDS), s.fetch(LDS)
            cluster = clusters["outbound|80||web.example"]
            s.request(EDS, [cluster.name])
            ends = resources(s.next(EDS))[cluster.name]
        return cluster, ends, list(hcms(listeners))


def test_what_translation_follows():
    cluster, ends, managers = seen()
    assert "services" in cluster.metadata.filter_metadata["istio"].fields and ends.endpoints[0].lb_endpoints[0].metadata.filter_metadata["istio"].fields
    assert {m.tracing.random_sampling.value for m in managers if m.HasField("tracing")} == {1.0}
    names = {f.name for m in managers for f in m.http_filters}
    assert {"istio.alpn", "istio.metadata_exchange"} <= names and not any(m.http_protocol_options.accept_http_10 for m in managers)
    cluster, ends, managers = seen({"PILOT_TRACE_SAMPLING": "12.5", "PILOT_HTTP10": "1", "PILOT_ENABLE_ALPN_FILTER": "false", "PILOT_ENABLE_METADATA_EXCHANGE": "F",
                                    "PILOT_ENABLE_TELEMETRY_LABEL": "false"})
    assert {m.tracing.random_sampling.value for m in managers if m.HasField("tracing")} == {12.5}
    names = {f.name for m in managers for f in m.http_filters}
    assert not {"istio.alpn", "istio.metadata_exchange"} & names and any(m.http_protocol_options.accept_http_10 for m in managers)
    assert "services" not in cluster.metadata.filter_metadata["istio"].fields and not ends.endpoints[0].lb_endpoints[0].metadata.filter_metadata["istio"].fields


def test_debounce():
    """Unset, nothing waits; set, changes wait for quiet, endpoints too unless they are left out."""
    def took(env):
        with Coxswaind({"a.yaml": SERVICE}, env=env) as c:
            c.wait_ready()
            with Stream(c.grpc_port) as s:
                s.fetch(CDS)
                c.write("b.yaml", SERVICE.replace("web", "other"))
                began = time.monotonic()
                while "outbound|80||other.example" not in resources(s.next(CDS)):
                    pass
                full = time.monotonic() - began
                s.request(EDS, ["outbound|80||web.example"])
                s.ack(s.next(EDS))
                c.write("a.yaml", SERVICE.replace("10.9.0.1", "10.9.0.2"))
                began = time.monotonic()
                while resources(s.next(EDS))["outbound|80||web.example"].endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address != "10.9.0.2":
                    pass
                return full, time.monotonic() - began
    full, ends = took({})
    assert full < 0.9 and ends < 0.9
    full, ends = took({"PILOT_DEBOUNCE_AFTER": "1s"})
    assert full >= 1.0 and ends >= 1.0
    full, ends = took({"PILOT_DEBOUNCE_AFTER": "1s", "PILOT_ENABLE_EDS_DEBOUNCE": "false"})
    assert full >= 1.0 > ends


def test_limits_of_streams():
    with Coxswaind({"a.yaml": SERVICE}, env={"PILOT_MAX_REQUESTS_PER_SECOND": "3", "ISTIO_GPRC_MAXRECVMSGSIZE": "20000"}) as c:
        c.wait_ready()
        streams = [Stream(c.grpc_port, node(f"p-{i}")) for i in range(12)]
        for s in streams:
            s.request(CDS)
        refused = 0
        for s in streams:
            try:
                s.next(CDS)
            except grpc.RpcError as e:
                assert e.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, e
                refused += 1
        assert 6 <= refused <= 9 and c.metric("coxswain_xds_streams_refused") == refused
        for s in streams:
            s.close()
        time.sleep(1)
        with Stream(c.grpc_port, node("big", labels={f"l{i}": "x" * 60 for i in range(400)})) as s:
            s.request(CDS)
            with pytest.raises(grpc.RpcError):
                s.next(CDS)


def test_what_has_no_effect_is_said():
    env = {"PILOT_XDS_CACHE_SIZE": "5", "PILOT_ENABLE_AMBIENT": "true", "PILOT_ENABLE_CDS_CACHE": "1", "PILOT_NO_SUCH_THING": "x", "PILOT_HTTP10": "perhaps",
           "PILOT_DEBOUNCE_MAX": "ten", "ISTIO_DELTA_XDS": "true", "PILOT_SERVICE_HOST": "10.0.0.1", "POD_NAMESPACE": "mesh-system", "CLUSTER_ID": "here"}
    mesh = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: mesh-system}\ndata: {mesh: 'trustDomain: example.org'}\n"
    with Coxswaind({"a.yaml": SERVICE, "m.yaml": mesh}, env=env) as c:
        c.wait_ready()
        log = c.log_text()
        lines = [line for line in log.splitlines() if " env " in line]
        said = {re.search(r"name=(\S+)", line)[1]: line for line in lines}
        assert set(said) == {"PILOT_XDS_CACHE_SIZE", "PILOT_ENABLE_AMBIENT", "PILOT_NO_SUCH_THING", "PILOT_HTTP10", "PILOT_DEBOUNCE_MAX"}, lines
        assert "has no effect" in said["PILOT_ENABLE_AMBIENT"] and "because=" in said["PILOT_ENABLE_AMBIENT"]
        assert "not known" in said["PILOT_NO_SUCH_THING"] and "its default counts" in said["PILOT_HTTP10"]
        assert "example.org" in c.get("/debug/mesh")[1].decode()  # the namespace counts
