import os
import subprocess
import sys
import threading
import time

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import kubelab  # noqa: E402

BUILD = kubelab.BUILD
BETA = "--feature-gates=ClusterTrustBundle=true --runtime-config=certificates.k8s.io/v1beta1=true"  # off by default


class Driver:
    """kube-driver: its lines as they come."""

    def __init__(self, *args, env=None):
        program = os.path.join(BUILD, "kube-driver")
        self.lines, self.lock = [], threading.Lock()
        self.proc = subprocess.Popen([program, *map(str, args)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                     env={**os.environ, **(env or {})})
        self.errors = []
        self.readers = [threading.Thread(target=self._read, args=(self.proc.stdout, self.lines), daemon=True),
                        threading.Thread(target=self._read, args=(self.proc.stderr, self.errors), daemon=True)]
        for r in self.readers:
            r.start()

    def _read(self, pipe, to):
        for line in pipe:
            with self.lock:
                to.append(line.rstrip("\n"))

    def mark(self):
        with self.lock:
            return len(self.lines)

    def since(self, mark=0):
        with self.lock:
            return self.lines[mark:]

    def expect(self, start, seconds=10, mark=0):
        """The first line since `mark` that starts so."""
        until = time.monotonic() + seconds
        while True:
            for line in self.since(mark):
                if line.startswith(start):
                    return line
            assert self.proc.poll() is None, f"kube-driver ended: {self.errors}"
            assert time.monotonic() < until, f"no line \"{start}\" within {seconds} s: {self.since(mark)[-30:]} {self.errors[-10:]}"
            time.sleep(0.01)

    def send(self, command):
        self.proc.stdin.write(command + "\n")
        self.proc.stdin.flush()

    def stats(self):
        mark = self.mark()
        self.send("stats")
        self.expect("stats end", mark=mark)
        out = {}
        for line in self.since(mark):
            if line.startswith("stats ") and line != "stats end":
                kind, *pairs = line.split(" ")[1:]
                out[kind] = dict(p.split("=", 1) for p in pairs)
        return out

    def close(self):
        """Ends it; it must end well (under a sanitizer: without a leak)."""
        self.proc.terminate()
        rc = self.proc.wait(timeout=20)
        for r in self.readers:
            r.join(5)
        assert rc == 0, f"kube-driver ended with {rc}: {self.errors[-40:]}"


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    one = kubelab.KubeLab(tmp_path_factory.mktemp("kube"), flags=BETA)
    one.namespace("istio-system")
    yield one
    one.close()


@pytest.fixture(scope="session", autouse=True)
def program():
    subprocess.run(["make", "-s", f"BUILD={BUILD}", os.path.join(BUILD, "kube-driver")], cwd=kubelab.TREE, check=True)


@pytest.fixture
def driver(lab):
    made = []

    def start(*args, kubeconfig=None, **kw):
        d = Driver(*(("--kubeconfig", kubeconfig or lab.kubeconfig) if "--in-cluster" not in args else ()), *args, **kw)
        made.append(d)
        return d
    yield start
    for d in made:
        if d.proc.poll() is None:
            d.close()


@pytest.fixture
def ns(lab, request):
    name = "t-" + request.node.name.lower().replace("_", "-").replace("[", "-").replace("]", "")[:50].strip("-")
    lab.namespace(name)
    return name
