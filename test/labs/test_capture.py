"""cox-agent init in network namespaces, with traffic: both back ends, both modes, both address families. covers: h21

A client's namespace and a pod's, joined by a cable. In the pod a stand-in for the proxy (user 1337, or root of group 1337 with TPROXY) and an
application (another user); what comes back says which way a connection went.
"""
import os
import re
import subprocess
import sys

import pytest

LIB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib")
AGENT = os.path.abspath(os.path.join(os.environ.get("BUILD", os.path.join(LIB, "..", "..", "build")), "cox-agent"))
HELPER = os.path.join(LIB, "capture_pod.py")
POD, CLIENT, POD6, CLIENT6 = "10.213.0.2", "10.213.0.1", "fd21:3::2", "fd21:3::1"
EXCLUDED = "15090,15021,15020"


def run(*argv, check=True, stdin=None):
    done = subprocess.run(argv, capture_output=True, text=True, input=stdin)
    assert not check or done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done


class World:
    def __init__(self, excluded=()):
        self.id = f"cxc{os.getpid()}"
        self.pod, self.client = self.id + "p", self.id + "c"
        self.processes = []
        for ns in (self.pod, self.client):
            run("ip", "netns", "add", ns)
            run("ip", "-n", ns, "link", "set", "lo", "up")
        run("ip", "link", "add", "eth0", "netns", self.pod, "type", "veth", "peer", "name", "eth0", "netns", self.client)
        for ns, four, six, via, via6 in ((self.pod, POD, POD6, CLIENT, CLIENT6), (self.client, CLIENT, CLIENT6, None, None)):
            run("ip", "-n", ns, "-batch", "-", stdin=f"addr add {four}/24 dev eth0\naddr add {six}/64 dev eth0 nodad\nlink set eth0 up\n")
            if via:
                run("ip", "-n", ns, "route", "add", "default", "via", via)
                run("ip", "-n", ns, "-6", "route", "add", "default", "via", via6)
        self.start(self.client, "0:0", "app", "8080")
        self.start(self.client, "0:0", "dns")
        self.start(self.pod, "65532:65532", "app", "8080")
        for port in excluded:
            self.start(self.pod, "65532:65532", "app", port)
        self.start(self.pod, "65532:65532", "app", "9999")
        self.mode = None

    def as_user(self, ns, who):
        uid, gid = who.split(":")
        return ["ip", "netns", "exec", ns, "setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]

    def start(self, ns, who, *args):
        p = subprocess.Popen(self.as_user(ns, who) + [sys.executable, HELPER, *args], stdout=subprocess.PIPE, text=True)
        self.processes.append(p)
        assert p.stdout.readline() == "ready\n"
        return p

    def init(self, *args, check=True):
        return run("ip", "netns", "exec", self.pod, AGENT, "init", *args, check=check)

    def rules(self):
        text = ""
        for program in ("iptables-save", "ip6tables-save"):
            text += run("ip", "netns", "exec", self.pod, program).stdout
        # iptables' own view of nft tables is not ours to compare
        text += run("ip", "netns", "exec", self.pod, "nft", "list", "tables").stdout
        for family in ("ip", "ip6"):
            text += run("ip", "netns", "exec", self.pod, "nft", "list", "table", family, "coxswain", check=False).stdout
        for family in ("-4", "-6"):
            text += run("ip", "-n", self.pod, family, "rule").stdout + run("ip", "-n", self.pod, family, "route", "show", "table", "133", check=False).stdout
        return [re.sub(r"\[\d+:\d+\]|packets \d+ bytes \d+", "", line) for line in text.splitlines() if not line.startswith("#")]

    def proxy(self, mode):
        if self.mode == mode:
            return
        if self.mode:
            p = self.processes.pop()
            p.kill()
            p.wait()
        self.mode = mode
        self.start(self.pod, "0:1337" if mode == "TPROXY" else "1337:1337", "proxy", mode)

    def ask(self, ns, who, *args):
        done = run(*self.as_user(ns, who), sys.executable, HELPER, *args, check=False)
        return done.stdout.strip() if done.returncode == 0 else "error " + done.stderr.strip().splitlines()[-1]

    def close(self):
        for p in self.processes:
            p.kill()
            p.wait()
        for ns in (self.pod, self.client):
            run("ip", "netns", "del", ns)


@pytest.fixture(scope="module")
def world():
    w = World(excluded=["15020"])
    yield w
    w.close()


@pytest.fixture(autouse=True)
def clean(world):
    yield
    world.init("--clean")
    left = [r for r in world.rules() if "ISTIO" in r or "coxswain" in r or "0x539" in r or "dev lo" in r]
    assert not left, left


APP, ROOT = "65532:65532", "0:0"
FAMILIES = [(POD, CLIENT), (POD6, CLIENT6)]
BACKENDS = ["iptables", "nft"]


@pytest.mark.parametrize("pod,client", FAMILIES, ids=["4", "6"])
@pytest.mark.parametrize("mode", ["REDIRECT", "TPROXY"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_traffic(world, backend, mode, pod, client):
    world.proxy(mode)
    world.init("--backend", backend, "-m", mode, "-d", EXCLUDED)
    passthrough = client if mode == "TPROXY" else "::6" if ":" in pod else "127.0.0.6"
    assert world.ask(world.client, ROOT, "ask", pod, "8080", "hello") == f"in[{pod}:8080 from {client}] app[{passthrough}] hello"
    assert world.ask(world.client, ROOT, "ask", pod, "15020", "hello") == f"app[{client}] hello", "excluded ports stay direct"
    assert world.ask(world.pod, APP, "ask", client, "8080", "out") == f"out[{client}:8080] app[{pod}] out"
    # The application's call to its own pod: out through the proxy, and as the proxy's call back in through it.
    back = world.ask(world.pod, APP, "ask", pod, "8080", "self")
    loop = "::1" if ":" in pod else "127.0.0.1"
    assert world.ask(world.pod, APP, "ask", loop, "8080", "lo") == f"app[{loop}] lo"
    assert back == f"app[{pod}] self", "over loopback it stays direct"
    who = "0:1337" if mode == "TPROXY" else "1337:1337"
    assert world.ask(world.pod, who, "ask", client, "8080", "x") == f"app[{pod}] x", "what the proxy sends leaves untouched"
    inside = world.ask(world.pod, who, "ask", pod, "8080", "x")
    assert inside.startswith(f"in[{pod}:8080 from {pod}] app["), inside


@pytest.mark.parametrize("pod,client", FAMILIES, ids=["4", "6"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_lists(world, backend, pod, client):
    world.proxy("REDIRECT")
    world.init("--backend", backend, "-b", "9999", "-o", "8080")
    assert world.ask(world.client, ROOT, "ask", pod, "8080", "x") == f"app[{client}] x"
    assert world.ask(world.client, ROOT, "ask", pod, "9999", "x").startswith(f"in[{pod}:9999")
    assert world.ask(world.pod, APP, "ask", client, "8080", "x") == f"app[{pod}] x"
    world.init("--backend", backend, "-i", "192.0.2.0/24,fd99::/64")
    assert world.ask(world.pod, APP, "ask", client, "8080", "x") == f"app[{pod}] x"
    world.init("--backend", backend, "-i", "192.0.2.0/24,fd99::/64", "-q", "8080")
    assert world.ask(world.pod, APP, "ask", client, "8080", "x").startswith(f"out[{client}:8080]")
    world.init("--backend", backend, "-x", "10.213.0.0/24,fd21:3::/64", "-c", "eth9+")
    assert world.ask(world.pod, APP, "ask", client, "8080", "x") == f"app[{pod}] x"
    world.init("--backend", backend, "-c", "eth0")
    assert world.ask(world.client, ROOT, "ask", pod, "8080", "x") == f"app[{client}] x"


@pytest.mark.parametrize("pod,client", FAMILIES, ids=["4", "6"])
@pytest.mark.parametrize("which", ["own", "all"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_dns(world, tmp_path, backend, which, pod, client):
    world.proxy("REDIRECT")
    resolv = tmp_path / "resolv.conf"
    resolv.write_text(f"nameserver {CLIENT}\nnameserver {CLIENT6}\nsearch default.svc.cluster.local\n" if which == "own" else "nameserver 192.0.2.1\n")
    world.init("--backend", backend, "--redirect-dns", "--resolv-conf", str(resolv), *(["--capture-all-dns=true"] if which == "all" else []))
    for _ in range(3):
        assert world.ask(world.pod, APP, "udp", client, "53", "q") == "agent q"
        assert world.ask(world.pod, "1337:1337", "udp", client, "53", "q") == "server q", "the proxy's own questions go on"
    assert world.ask(world.pod, APP, "ask", client, "53", "q") == "agent q"
    assert world.ask(world.pod, "1337:1337", "ask", client, "53", "q") == "server q"
    assert world.ask(world.client, ROOT, "ask", pod, "8080", "x").startswith("in[")
    world.init("--backend", backend, "--redirect-dns", "--resolv-conf", "/dev/null")
    assert world.ask(world.pod, APP, "udp", client, "53", "q") == "server q", "a server that is not the pod's is left alone"


@pytest.mark.parametrize("mode", ["REDIRECT", "TPROXY"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_rerun_changes_nothing_and_a_change_takes_the_old_away(world, backend, mode):
    args = ("--backend", backend, "-m", mode, "-d", EXCLUDED, "--redirect-dns", "--capture-all-dns", "--drop-invalid")
    world.init(*args)
    first = world.rules()
    world.init(*args)
    assert world.rules() == first
    other = "nft" if backend == "iptables" else "iptables"
    world.init("--backend", other)
    assert not any("53" in r and "dport" in r for r in world.rules()), "DNS rules of the run before are gone"
    world.init(*args)
    assert world.rules() == first, "the other back end's rules are gone"


@pytest.mark.parametrize("backend", BACKENDS)
def test_foreign_rules_stay(world, backend):
    run("ip", "netns", "exec", world.pod, "iptables", "-t", "nat", "-A", "OUTPUT", "-d", "192.0.2.77/32", "-j", "ACCEPT")
    world.init("--backend", backend, "-m", "TPROXY")
    world.init("--clean")
    assert any("192.0.2.77" in r for r in world.rules())
    run("ip", "netns", "exec", world.pod, "iptables", "-t", "nat", "-F", "OUTPUT")


def test_dry_run_shows_what_would_be_done(world):
    before = world.rules()
    for backend in BACKENDS:
        for family in ((), ("-6",)):
            text = world.init("--dry-run", "--backend", backend, "-m", "TPROXY", "--redirect-dns", "--capture-all-dns", *family).stdout
            tool = ["nft", "-c", "-f", "-"] if backend == "nft" else ["ip6tables-restore" if family else "iptables-restore", "--test", "--noflush"]
            run("ip", "netns", "exec", world.pod, *tool, stdin=text)
    assert world.rules() == before


def test_nft_alone(world, tmp_path):
    """A machine without iptables: the back end is found by itself."""
    for name in ("nft", "ip"):
        os.symlink(run("sh", "-c", f"command -v {name}").stdout.strip(), tmp_path / name)
    done = subprocess.run(["ip", "netns", "exec", world.pod, AGENT, "init"], env={"PATH": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert any("table ip coxswain" in r for r in world.rules())


def test_pilot_agents_names(world):
    """What an injected pod's init container calls."""
    world.proxy("REDIRECT")
    run("ip", "netns", "exec", world.pod, AGENT, "istio-iptables", "-p", "15001", "-z", "15006", "-u", "1337", "-m", "REDIRECT", "-i", "*", "-x", "", "-b", "*",
        "-d", EXCLUDED, "--log_output_level=default:info")
    assert world.ask(world.client, ROOT, "ask", POD, "8080", "x").startswith("in[")
    run("ip", "netns", "exec", world.pod, AGENT, "istio-clean-iptables")
    assert world.ask(world.client, ROOT, "ask", POD, "8080", "x") == f"app[{CLIENT}] x"


def test_validation_sees_whether_a_plug_in_did_its_work(world):
    """covers: d16  Run as the proxy's user and without rights, as the init container istio-validation is."""
    def validate(mode="REDIRECT"):
        return run(*world.as_user(world.pod, "1337:1337"), AGENT, "istio-iptables", "-p", "15001", "-z", "16006", "-u", "1337", "-m", mode, "-i", "*", "-x", "",
                   "-b", "*", "-d", EXCLUDED, "--log_output_level=default:info", "--run-validation", "--skip-rule-apply", check=False)
    before = world.rules()
    done = validate()
    assert done.returncode == 126 and f"{POD} are not captured" in done.stderr, done.stderr
    assert world.rules() == before
    for backend in BACKENDS:
        world.init("-z", "16006", "--backend", backend)
        done = validate()
        assert done.returncode == 0, done.stderr
    # Transparent sockets take rights: it says that it does not know.
    done = validate("TPROXY")
    assert done.returncode == 0 and "cannot be told" in done.stderr
