"""Connections that were open when a certificate was revoked, on a real Envoy (translate/guard.h).

covers: c39
"""
import http.client
import os
import re
import socket
import time

import pytest

from meshtls import client_context, until
from test_mtls import CLIENT, MESH, OTHER, SERVER_IP, Mesh, policy

DRAIN = ("--drain-strategy", "immediate", "--drain-time-s", "45")  # as cox-agent and pilot-agent start it
WITHIN_S = 5


class Kept:
    """A client that keeps its connection as long as the server lets it."""

    def __init__(self, mesh, pair):
        self.mesh, self.pair, self.opened = mesh, pair, 0
        self.open()

    def open(self):
        sock = socket.create_connection((SERVER_IP, self.mesh.app_port), timeout=5)
        self.http = http.client.HTTPConnection(SERVER_IP, self.mesh.app_port, timeout=5)
        self.http.sock = client_context(self.mesh.root.cert, self.pair, MESH).wrap_socket(sock)
        self.opened += 1

    def ask(self):
        """The status; where the server said that it closes, the next request takes a new connection."""
        if self.http.sock is None:
            self.open()
        self.http.auto_open = 0
        self.http.request("GET", "/", headers={"Host": "web"})
        r = self.http.getresponse()
        r.read()
        return r.status


class Guarded(Mesh):
    def __init__(self, tmp_path, env=None, drain=DRAIN, protocol="http"):
        self.state, self.lines = tmp_path / "ca", []
        super().__init__(tmp_path, ("--caDir", str(self.state)), env, drain, protocol)
        self.cox.write("policy.yaml", policy("STRICT"))
        until(lambda: not self.plain_works(), "STRICT")

    def kept(self, uri):
        k = Kept(self, self.root.leaf(uri))
        assert k.ask() == 200
        return k

    def store(self):
        path = self.state / "ledger" / "coxswain-revoked"
        path.with_suffix(".part").write_text("".join(self.lines))
        os.rename(path.with_suffix(".part"), path)

    def revoke(self, pair):
        """As another replica would: the authority of these certificates is not coxswaind's."""
        self.lines.append(f"{pair.serial().lower().lstrip('0')}\t{int(time.time()) + 86400}\t{int(time.time())}\tstolen\n")
        self.store()

    def replaced(self):
        """How often Envoy replaced filter chains."""
        return self.server.stat("listener_manager.listener_in_place_updated") or 0

    def refused_within(self, bad, others):
        """Seconds until the bad one is refused on the connection that it has; others are asked all the time and never fail."""
        start = time.monotonic()
        while bad.ask() != 403:
            assert time.monotonic() - start < WITHIN_S
            assert [o.ask() for o in others] == [200] * len(others)
        took = time.monotonic() - start
        print(f"refused after {took * 1000:.0f} ms")
        for _ in range(5):
            assert bad.ask() == 403 and [o.ask() for o in others] == [200] * len(others)
        return took


@pytest.fixture
def guarded(tmp_path, request):
    m = Guarded(tmp_path, getattr(request, "param", None))
    yield m
    m.close()


def test_first_revocation_and_the_next(guarded):
    """The first puts the guard in: open connections end with their next answer, and nobody's request fails. With it, the next one is
    refused where it is, at once; no chain is replaced, no connection of others ends. Taken back, all is as before."""
    m = guarded
    first, second, good = m.kept(OTHER), m.kept(OTHER), m.kept(CLIENT)
    before = m.replaced()
    m.revoke(first.pair)
    m.refused_within(first, [good, second])
    assert first.opened == 2, "the old chain closed its connection, and the new one refuses (here: no list in the handshake)"
    assert m.replaced() == before + 1
    assert m.server.get("/stats?filter=rbac.revoked.denied")

    opened = [good.opened, second.opened]
    m.revoke(second.pair)
    m.refused_within(second, [good])
    assert [good.opened, second.opened] == opened and m.replaced() == before + 1

    m.lines.clear()
    m.store()
    until(lambda: second.ask() == 200, "taken back")
    assert good.ask() == 200
    until(lambda: m.replaced() == before + 2, "the guard is gone")


@pytest.mark.parametrize("guarded", [{"COXSWAIN_REVOCATION_GUARD": "always"}], indirect=True)
def test_guard_from_the_beginning(guarded):
    """Then the first one is no other than the next."""
    m = guarded
    bad, good, before = m.kept(OTHER), m.kept(CLIENT), m.replaced()
    m.revoke(bad.pair)
    m.refused_within(bad, [good])
    assert bad.opened == good.opened == 1 and m.replaced() == before


@pytest.mark.parametrize("env,ends", [({}, False), ({"COXSWAIN_REVOCATION_TCP": "drain"}, True)])
def test_tcp(tmp_path, env, ends):
    """What Envoy does to open TCP connections is nothing; an operator may have all of them ended with the drain."""
    m = Guarded(tmp_path, env, ("--drain-strategy", "immediate", "--drain-time-s", "2"), "tcp")
    try:
        bad, before = m.kept(OTHER), m.replaced()
        m.revoke(bad.pair)
        until(lambda: re.search(rb"revoked_certificates 1\b", m.cox.get("/metrics")[1]), "the list is read")
        if ends:
            until(lambda: m.replaced() == before + 1, "the chain is replaced")
            start = time.monotonic()
            with pytest.raises((OSError, http.client.HTTPException)):
                while time.monotonic() - start < WITHIN_S:
                    bad.ask()
                    time.sleep(0.1)
            print(f"ended after {time.monotonic() - start:.1f} s")
        else:
            time.sleep(3)
            assert bad.ask() == 200
    finally:
        m.close()
