"""What test/sim/envoy.c assumes, asserted on a real Envoy: each test drives one by hand (test/lib/adsmodel.py), without coxswaind.

Protocol facts, section 20, and more. A failure here means that the simulation, and the rules of lib/xds, no longer fit the Envoy.

covers: b16 b17 b18 b25
"""
import time

import pytest

from adsmodel import ADS, Ads, RealEnvoy, assignment, cluster, listener, route, until, vhost
from coxswain import CDS, EDS, LDS, RDS, VHDS


@pytest.fixture(params=["delta", "sotw"])
def both(request, tmp_path):
    yield from start(tmp_path, request.param == "delta")


@pytest.fixture
def delta(tmp_path):
    yield from start(tmp_path, True)


def start(tmp_path, is_delta):
    ads = Ads()
    e = RealEnvoy(ads.port, tmp_path, delta=is_delta)
    try:
        yield ads, e, ads.stream()
    finally:
        e.stop()
        ads.stop()


def names(r):
    return sorted(r.resource_names_subscribe) if hasattr(r, "resource_names_subscribe") else sorted(r.resource_names)


def first_clusters(s, clusters):
    s.next(CDS)
    return s.send(CDS, clusters)


def with_listeners(s, **routes):
    """Listeners named by the keywords, each with its route configuration."""
    assert s.is_acked(first_clusters(s, {}))
    s.next(LDS)
    return s.send(LDS, {name: listener(name, r) for name, r in routes.items()})


# --- clusters and endpoints ------------------------------------------------------------------------


def test_cds_is_acknowledged_when_its_clusters_are_warm_and_the_next_is_processed_meanwhile(both):
    """While it starts it acknowledges at once. State-of-the-world acknowledges the last response alone."""
    _, e, s = both
    first = first_clusters(s, {"a": cluster("a")})
    assert names(s.next(EDS)) == ["a"]
    assert s.is_acked(first)
    s.send(EDS, {"a": assignment("a")})
    s.next(LDS)
    second = s.send(CDS, {"a": cluster("a", 7)}, version="2")
    third = s.send(CDS, {"a": cluster("a", 7), "b": {"name": "b", "type": "STATIC", "connect_timeout": "1s"}}, version="3")
    until(lambda: "b" in e.clusters(), "the third response, though the second is not acknowledged")
    for nonce in (second, third):
        with pytest.raises(AssertionError):
            s.answered(nonce, 0.5)
    s.send(EDS, {"a": assignment("a")})
    assert s.is_acked(third)
    if s.delta:
        assert s.is_acked(second)


def test_a_changed_cluster_warms_without_a_request_until_the_same_endpoints_come_again(both):
    _, e, s = both
    first_clusters(s, {"a": cluster("a")})
    s.next(EDS)
    assert s.is_acked(s.send(EDS, {"a": assignment("a")}))
    s.send(CDS, {"a": cluster("a", 7)}, version="2")
    until(lambda: "a" in e.clusters("dynamic_warming_clusters"), "warming")
    assert s.silent(EDS)
    s.send(EDS, {"a": assignment("a")})
    until(lambda: e.clusters()["a"]["circuit_breakers"]["thresholds"][0]["max_connections"] == 7, "warm")


def test_none_is_an_answer_that_ends_warming(both):
    """Delta: the name as removed. State-of-the-world: an empty assignment; an answer without the name is none."""
    _, e, s = both
    first_clusters(s, {"a": cluster("a"), "b": cluster("b")})
    s.next(EDS)
    if not s.delta:
        s.send(EDS, {"b": assignment("b")})
        until(lambda: "b" in e.clusters(), "b")
        time.sleep(0.5)
        assert "a" in e.clusters("dynamic_warming_clusters")
        s.send(EDS, {"a": {"cluster_name": "a"}}, version="2")
    else:
        s.send(EDS, {}, ["a"])
    until(lambda: "a" in e.clusters(), "a goes on without endpoints")


def test_rejected_endpoints_end_the_warming_of_all(both):
    _, e, s = both
    first = first_clusters(s, {"a": cluster("a"), "b": cluster("b")})
    s.next(EDS)
    r = s.answered(s.send(EDS, {"a": assignment("a", "not-an-address")}))
    assert "malformed IP address" in r.error_detail.message and "a:" not in r.error_detail.message, "it does not say whose"
    assert s.is_acked(first)
    assert {"a", "b"} <= set(e.clusters())


def test_of_a_rejected_cds_response_the_good_part_and_the_removals_hold_and_no_version_is_recorded(delta):
    ads, e, s = delta
    assert s.is_acked(first_clusters(s, {"old": {"name": "old", "type": "STATIC", "connect_timeout": "1s"}}))
    r = s.answered(s.send(CDS, {"bad": {"name": "bad", "type": "EDS"}, "good": {"name": "good", "type": "STATIC", "connect_timeout": "1s"}}, ["old"]))
    assert "Error adding/updating cluster(s) bad:" in r.error_detail.message
    assert set(e.clusters()) == {"good"}
    s.end()
    assert dict(ads.stream().next(CDS).initial_resource_versions) == {"old": "1"}, "what was removed is listed on, what was added is not"


def test_a_rejection_names_the_resource_only_inside_its_printed_text(delta):
    """validate: of a resource that breaks a rule of its proto nothing of the response is taken, good ones neither."""
    _, e, s = delta
    s.next(CDS)
    good = {"name": "good", "type": "STATIC", "connect_timeout": "1s"}
    r = s.answered(s.send(CDS, {"good": good, "bad": {**good, "name": "bad", "circuit_breakers": {"thresholds": [{"priority": 7}]}}}))
    assert 'name: "bad"' in r.error_detail.message
    assert not e.clusters()


def test_a_cluster_that_a_sotw_answer_leaves_out_is_gone(tmp_path):
    for _, e, s in start(tmp_path, False):
        static = {n: {"name": n, "type": "STATIC", "connect_timeout": "1s"} for n in "ab"}
        assert s.is_acked(first_clusters(s, static))
        assert s.is_acked(s.send(CDS, {"a": static["a"]}, version="2"))
        assert set(e.clusters()) == {"a"}


def test_sotw_names_added_later_carry_the_nonce_that_was_acknowledged(tmp_path):
    for _, _, s in start(tmp_path, False):
        s.send(CDS, {"a": cluster("a")})
        s.next(EDS)
        nonce = s.send(EDS, {"a": assignment("a")})
        assert s.is_acked(nonce)
        s.send(CDS, {"a": cluster("a"), "b": cluster("b")}, version="2")
        r = s.take(lambda r: r.type_url == EDS and "b" in r.resource_names, "b asked")
        assert (r.response_nonce, names(r)) == (nonce, ["a", "b"])


def test_a_stream_lost_while_clusters_warm_comes_back_with_endpoints_first(both):
    ads, e, s = both
    first_clusters(s, {"a": cluster("a")})
    s.next(EDS)
    s.send(EDS, {"a": assignment("a")})
    until(lambda: "a" in e.clusters(), "warm")
    s.send(CDS, {"a": cluster("a", 7)}, version="2")
    until(lambda: "a" in e.clusters("dynamic_warming_clusters"), "warming")
    s.end()
    s = ads.stream()
    r = s.next(EDS)
    assert names(r) == ["a"] and r.node.id, "the first request, of whatever type, carries the node"
    if s.delta:
        assert dict(r.initial_resource_versions) == {"a": "1"}, "it names the version that it held before"
    assert s.silent(CDS), "clusters are not asked while any warms"
    s.send(EDS, {"a": assignment("a")})
    s.next(CDS)
    until(lambda: e.clusters()["a"]["circuit_breakers"]["thresholds"][0]["max_connections"] == 7, "warm")


# --- listeners and routes -------------------------------------------------------------------------


def test_listeners_are_asked_after_the_first_clusters_and_acknowledged_while_they_warm(both):
    _, e, s = both
    first_clusters(s, {"a": cluster("a")})
    s.next(EDS)
    assert s.silent(LDS)
    s.send(EDS, {"a": assignment("a")})
    s.next(LDS)
    nonce = s.send(LDS, {"l": listener("l", "r")})
    assert s.is_acked(nonce)
    assert names(s.next(RDS)) == ["r"]
    # At start a listener without a predecessor is shown as active; the next one shows its warming.
    s.send(RDS, {"r": route("r", vhds=False)})
    s.send(LDS, {"l": listener("l", "r"), "m": listener("m", "q")} if not s.delta else {"m": listener("m", "q")}, version="2")
    until(lambda: "m" in e.listeners("warming_state"), "warming")
    s.send(RDS, {"q": route("q", vhds=False)})
    until(lambda: "m" in e.listeners(), "active")


def test_a_rejected_route_frees_its_listener(delta):
    _, e, s = delta
    with_listeners(s, l="r")
    s.next(RDS)
    s.send(RDS, {"r": route("r", vhds=False)})
    s.send(LDS, {"m": listener("m", "q")})
    until(lambda: "m" in e.listeners("warming_state"), "warming")
    r = s.answered(s.send(RDS, {"q": route("q", vhds=False, virtual_hosts=[vhost("h", status=5)])}))
    assert 'name: "q"' in r.error_detail.message
    until(lambda: "m" in e.listeners(), "active, without a route")


def test_of_a_rejected_lds_response_the_good_part_and_the_removals_hold(delta):
    _, e, s = delta
    with_listeners(s, l="r", m="r")
    s.next(RDS)
    s.send(RDS, {"r": route("r", vhds=False)})
    until(lambda: {"l", "m"} <= e.listeners(), "active")
    r = s.answered(s.send(LDS, {"k": listener("k", "r"), "bad": {"name": "bad"}}, ["m"]))
    assert "Error adding/updating listener(s) bad:" in r.error_detail.message
    until(lambda: e.listeners() == {"l", "k"}, "the good one is there, the removed one is gone")


# --- virtual hosts --------------------------------------------------------------------------------


def domains(e):
    return {r: sorted(d for v in c.get("virtual_hosts", []) for d in v["domains"]) for r, c in e.routes().items()}


def test_virtual_hosts_are_asked_once_and_a_later_route_waits_for_them_unasked(delta):
    _, e, s = delta
    with_listeners(s, l="r")
    s.next(RDS)
    s.send(RDS, {"r": route("r")})
    assert names(s.next(VHDS)) == []
    s.send(VHDS, {"r/h": vhost("r/h", "h.x")})
    s.send(LDS, {"m": listener("m", "q")})
    s.next(RDS)
    assert s.is_acked(s.send(RDS, {"q": route("q")}))
    assert s.silent(VHDS) and "m" in e.listeners("warming_state")
    s.send(VHDS, {"q/h": vhost("q/h", "h.x")})
    until(lambda: "m" in e.listeners(), "active")


def test_rejected_virtual_hosts_free_their_listener_and_are_named_without_the_route(delta):
    _, e, s = delta
    with_listeners(s, l="r")
    s.next(RDS)
    s.send(RDS, {"r": route("r")})
    s.next(VHDS)
    s.send(VHDS, {})
    s.send(LDS, {"m": listener("m", "q")})
    s.next(RDS)
    s.send(RDS, {"q": route("q")})
    until(lambda: "m" in e.listeners("warming_state"), "warming")
    r = s.answered(s.send(VHDS, {"q/h": vhost("h", "h.x", status=5)}))
    assert 'name: "h"' in r.error_detail.message and "q/h" not in r.error_detail.message
    until(lambda: "m" in e.listeners(), "active")


def test_a_virtual_host_before_its_route_is_dropped_yet_listed(delta):
    ads, e, s = delta
    with_listeners(s, l="r")
    s.next(RDS)
    s.send(RDS, {"r": route("r")})
    s.next(VHDS)
    assert s.is_acked(s.send(VHDS, {"r/h": vhost("r/h", "h.x"), "q/h": vhost("q/h", "h.x")}))
    s.send(LDS, {"m": listener("m", "q")})
    s.next(RDS)
    assert s.is_acked(s.send(RDS, {"q": route("q")}))
    assert "q" not in e.routes() and "m" in e.listeners("warming_state"), "it waits for the virtual host that it was sent"
    s.end()
    assert "q/h" in ads.stream().next(VHDS).initial_resource_versions


def test_a_removed_virtual_host_goes_if_its_own_name_is_that_of_its_resource(delta):
    """Else its removal is acknowledged and it stays, and no route configuration sent anew makes it go."""
    _, e, s = delta
    with_listeners(s, l="r", m="q")
    s.next(RDS)
    assert s.is_acked(s.send(RDS, {"r": route("r"), "q": route("q")}))
    assert s.is_acked(s.send(VHDS, {"r/full": vhost("r/full", "full.x"), "r/part": vhost("part", "part.x"), "q/other": vhost("q/other", "other.x")}))
    assert s.is_acked(s.send(VHDS, {}, ["r/full", "r/part"]))
    assert domains(e) == {"r": ["part.x"], "q": ["other.x"]}
    for change in ({}, {"ignore_port_in_host_matching": True}, {"vhds": {"config_source": {**ADS, "initial_fetch_timeout": "9s"}}}):
        assert s.is_acked(s.send(RDS, {"r": {**route("r"), **change}}, version="2"))
        assert domains(e)["r"] == ["part.x"], "a route configuration sent anew keeps its virtual hosts"
