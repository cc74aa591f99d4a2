"""The demonstration behind hack/demo: Bookinfo, a 90/10 split, an edit to 0/100 and how long it takes to be live."""
import collections
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import yaml  # noqa: E402
from coxlab import objects, programs  # noqa: E402
from coxlab.lab import Lab, eventually, request, tail  # noqa: E402
from coxlab.runner import free_port  # noqa: E402

STRICT = "security/peer-authentication-strict.yaml"  # for the whole mesh
RULES = ("bookinfo-gateway", "destination-rule-all", "virtual-service-all-v1")
REQUESTS = 300


class Namespaces:
    """As root: pods are network namespaces with captured traffic."""

    def __init__(self):
        self.lab = Lab(source="dir").start()
        print(f"   coxswaind ready on {self.lab.discovery} (directory {self.lab.source.dir})")
        self.lab.apply(os.path.join(programs.TREE, "manifests/ingress-gateway.yaml"), "istio-system")
        self.lab.apply("platform/kube/bookinfo.yaml")
        for name in RULES:
            self.lab.apply(f"networking/{name}.yaml")
        self.lab.apply(STRICT, "istio-system")
        print("   7 pods started, waiting until all are ready ...")
        self.lab.wait_pods(7, timeout=120)
        self.address, self.port = self.lab.pod("istio-system", istio="ingressgateway").address, 8080

    def apply(self, name):
        self.lab.apply(f"networking/{name}.yaml")

    def show_identities(self):
        """Who each workload is, as its Envoy holds it, and that nobody gets in without such a certificate."""
        print("== mutual TLS is STRICT; the workloads' certificates:")
        for pod in sorted(self.lab.runner.pods.values(), key=lambda p: (p.namespace, p.name)):
            chains = [c["cert_chain"][0] for c in json.loads(self.lab.admin(pod, "/certs"))["certificates"] if c.get("cert_chain")]
            own = next(c for c in chains if any(n.get("uri", "").startswith("spiffe://") for n in c["subject_alt_names"]))
            uri = next(n["uri"] for n in own["subject_alt_names"] if "uri" in n)
            assert uri.endswith(f"/ns/{pod.namespace}/sa/{pod.account}"), uri
            print(f"   {pod.namespace + '/' + pod.name:50s} {uri:80s} until {own['expiration_time']}")
        pod = self.lab.pod(app="reviews", version="v1")
        plain = request(pod.address, 9080, "/reviews/0")
        assert plain.status == 0, plain
        print(f"   clear text to {pod.name} from outside the mesh: refused")

    def reviews_file(self):
        return self.lab.source.path(("VirtualService", "default", "reviews"))

    def hints(self):
        lab = self.lab
        return [f"hack/lab exec productpage curl -s http://reviews:9080/reviews/0",
                f"curl -s http://127.0.0.1:{lab.monitoring_port}/debug/syncz"]

    def close(self):
        self.lab.close()


class Loopback:
    """Without root: plain applications on addresses of 127/8, a gateway Envoy in front of them. The split is made at the gateway."""

    def __init__(self):
        self.tmp = tempfile.mkdtemp(prefix="coxswain-demo-")
        self.config, self.processes = os.path.join(self.tmp, "config"), []
        os.makedirs(self.config)
        self.grpc, self.http, self.monitoring, self.port = (free_port() for _ in range(4))
        self.admin, self.status, self.prometheus, self.health = (free_port() for _ in range(4))
        self.address = "127.0.0.1"
        self._objects()
        for name in RULES:
            self.apply(name)
        self._start("coxswaind", [programs.product("coxswaind"), "discovery", "--configDir", self.config, "--grpcAddr", f"127.0.0.1:{self.grpc}",
                                  "--secureGRPCAddr", "", "--httpsAddr", "", "--httpAddr", f"127.0.0.1:{self.http}", "--monitoringAddr",
                                  f"127.0.0.1:{self.monitoring}"])
        self._wait(self.http, "/ready", "coxswaind")
        env = {**os.environ, "POD_NAME": "gateway", "POD_NAMESPACE": "istio-system", "INSTANCE_IP": "127.0.0.1", "SERVICE_ACCOUNT": "gateway",
               "ISTIO_META_INTERCEPTION_MODE": "NONE", "ISTIO_META_UNPRIVILEGED_POD": "true",
               "ISTIO_METAJSON_LABELS": json.dumps({"istio": "ingressgateway", "app": "istio-ingressgateway"})}
        self._start("gateway", [programs.product("cox-agent"), "proxy", "router", "--discovery", f"127.0.0.1:{self.grpc}", "--identity", "none", "--envoy", programs.envoy_path(),
                                "--config-dir", os.path.join(self.tmp, "gateway"), "--concurrency", "1", "--status-address", "127.0.0.1",
                                "--admin-port", str(self.admin), "--status-port", str(self.status), "--prometheus-port", str(self.prometheus),
                                "--health-port", str(self.health)], env)
        self._wait(self.status, "/healthz/ready", "gateway")

    def _start(self, name, argv, env=None):
        with open(os.path.join(self.tmp, name + ".log"), "ab") as f:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=f, stderr=f, env=env, start_new_session=True)
        self.processes.append(process)

    def _wait(self, port, path, name):
        def ready():
            try:
                return urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2).status == 200
            except OSError:
                return False
        try:
            eventually(ready, timeout=30)
        except AssertionError:
            raise RuntimeError(f"{name} did not become ready:\n{tail(os.path.join(self.tmp, name + '.log'))}") from None

    def _objects(self):
        """Services and their endpoints: every version at an address of its own, all on one unused port."""
        script, port = os.path.join(programs.TREE, "samples/bookinfo/src/bookinfo.py"), free_port()
        host = {v: f"127.{10 + os.getpid() % 200}.{os.getpid() // 200 % 250}.{i + 1}" for i, v in enumerate(
            ("productpage-v1", "details-v1", "ratings-v1", "reviews-v1", "reviews-v2", "reviews-v3"))}
        docs = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": n}} for n in ("default", "istio-system")]
        for name, address in host.items():
            app, version = name.split("-")
            self._start(name, [programs.python(), script, app, "--version", version, "--address", address, "--port", str(port),
                               "--details", f"http://{host['details-v1']}:{port}", "--ratings", f"http://{host['ratings-v1']}:{port}",
                               "--reviews", f"http://127.0.0.1:{self.port}"])
            docs.append({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default", "labels": {"app": app, "version": version}},
                         "spec": {"serviceAccountName": f"bookinfo-{app}", "containers": [{"name": app, "ports": [{"containerPort": port}]}]},
                         "status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": [{"type": "Ready", "status": "True"}]}})
        pods = [(d, d["status"]["podIP"], None, True) for d in docs if d["kind"] == "Pod"]
        for i, doc in enumerate(d for d in objects.load(os.path.join(programs.TREE, "samples/bookinfo/platform/kube/bookinfo.yaml")) if d["kind"] == "Service"):
            doc["spec"].update(clusterIP=f"10.255.0.{i + 1}")
            doc["spec"]["ports"][0]["targetPort"] = port
            docs += [doc, *objects.slices_of(doc, pods)]
        self._write("mesh", docs)

    def _write(self, name, docs):
        part = os.path.join(self.tmp, "part")
        with open(part, "w") as f:
            yaml.safe_dump_all(docs, f, sort_keys=False)
        os.rename(part, os.path.join(self.config, name + ".yaml"))

    def apply(self, name):
        """Rules as they are, with two changes: the gateway's unused port, and reviews bound to the gateway too."""
        for doc in objects.load(os.path.join(programs.TREE, f"samples/bookinfo/networking/{name}.yaml")):
            if doc["kind"] == "Gateway":
                doc["spec"]["servers"][0]["port"]["number"] = self.port
            if doc["kind"] == "VirtualService" and doc["metadata"]["name"] == "reviews":
                doc["spec"]["gateways"] = ["bookinfo-gateway"]
                doc["spec"]["hosts"] = ["*"]
                for route in doc["spec"]["http"]:
                    for match in route.setdefault("match", [{}]):
                        match["uri"] = {"prefix": "/reviews"}
            self._write("-".join(objects.key(doc)).lower(), [doc])

    def reviews_file(self):
        return os.path.join(self.config, "virtualservice-default-reviews.yaml")

    def hints(self):
        return [f"curl -s http://127.0.0.1:{self.port}/reviews/0", f"curl -s http://127.0.0.1:{self.monitoring}/debug/syncz"]

    def close(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
        shutil.rmtree(self.tmp, ignore_errors=True)


def version_served(mesh):
    answer = request(mesh.address, mesh.port, "/api/v1/products/0/reviews", host="bookinfo.example.com")
    return json.loads(answer.body).get("version") if answer.status == 200 else f"status {answer.status}"


def count(mesh, n):
    return collections.Counter(version_served(mesh) for _ in range(n))


def show(counts):
    total = sum(counts.values())
    for version, n in sorted(counts.items()):
        print(f"   reviews {version}: {n:4d} of {total}  {'#' * (n * 50 // total)}")


def edit_to_v3(mesh):
    """Writes 0/100 over the file as an editor would, with requests going all the time: (ms to the first answer of v3 alone, ms to
    the last of v1, failures)."""
    stop, seen, failed = threading.Event(), [], []

    def load():
        conn = http.client.HTTPConnection(mesh.address, mesh.port, timeout=10)
        while not stop.is_set():
            began = time.monotonic()
            try:
                conn.request("GET", "/api/v1/products/0/reviews", headers={"Host": "bookinfo.example.com"})
                answer = conn.getresponse()
                body = answer.read()
                seen.append((began, time.monotonic(), json.loads(body).get("version") if answer.status == 200 else None))
                if answer.status != 200:
                    failed.append(answer.status)
            except (OSError, ValueError, http.client.HTTPException) as e:
                failed.append(repr(e))
                conn.close()

    with open(mesh.reviews_file()) as f:
        doc = yaml.safe_load(f)
    routes = doc["spec"]["http"][-1]["route"]
    for route in routes:
        route["weight"] = 100 if route["destination"]["subset"] == "v3" else 0
    part = mesh.reviews_file() + ".part"
    with open(part, "w") as f:
        yaml.safe_dump(doc, f, sort_keys=False)
    thread = threading.Thread(target=load)
    thread.start()
    time.sleep(0.5)
    edited = time.monotonic()
    os.rename(part, mesh.reviews_file())
    try:
        eventually(lambda: [v for began, _, v in list(seen) if began > edited][-20:].count("v3") == 20, timeout=20)
    finally:
        stop.set()
        thread.join()
    # Begun after the edit, and nothing of the old version after it: neither a request under way nor one of the ten percent counts.
    last_old = max((end for _, end, v in seen if v == "v1"), default=edited)
    first = next(end for began, end, v in seen if began > edited and end > last_old and v == "v3")
    return (first - edited) * 1000, max(0.0, (last_old - edited) * 1000), failed


def run(mesh):
    url = f"http://{mesh.address}:{mesh.port}/productpage"
    def page_is_whole():
        """The last pod became ready a moment ago: its endpoint is on its way to the other proxies."""
        page = request(mesh.address, mesh.port, "/productpage")
        assert page.status == 200 and "The Comedy of Errors" in page.body and "Error fetching" not in page.body, page
        return True
    eventually(page_is_whole, timeout=10)
    print(f"== Bookinfo answers at {url}")
    assert request(mesh.address, mesh.port, "/elsewhere").status == 404, "other paths are 404"
    if hasattr(mesh, "show_identities"):
        mesh.show_identities()
    print("== traffic split: 90 % of reviews to v1, 10 % to v3")
    mesh.apply("virtual-service-reviews-90-10")
    eventually(lambda: "v3" in count(mesh, 20), timeout=20)
    counts = count(mesh, REQUESTS)
    show(counts)
    assert set(counts) == {"v1", "v3"} and 8 <= counts["v3"] <= 60, counts  # 30 expected; five standard deviations
    print("== editing the YAML to 0/100, requests going on meanwhile")
    ms, old_ms, failed = edit_to_v3(mesh)
    print(f"   from the edit to the first request on the new version: {ms:.1f} ms (the last on the old one: {old_ms:.1f} ms); "
          f"failed requests: {len(failed)}")
    assert not failed, failed[:5]
    counts = count(mesh, 100)
    show(counts)
    assert counts == {"v3": 100}, counts
    print("== demo: all checks passed")
    return url


def main():
    done, once = threading.Event(), os.environ.get("DEMO_ONCE")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: (done.set(), sys.exit(130) if not ready.is_set() else None))
    ready, started = threading.Event(), time.monotonic()
    print(f"== starting the mesh ({'network namespaces' if sys.argv[1] == 'namespaces' else 'loopback, without root'})")
    mesh = None
    try:
        mesh = Namespaces() if sys.argv[1] == "namespaces" else Loopback()
        print(f"   ready after {time.monotonic() - started:.1f} s")
        url = run(mesh)
        ready.set()
        if not once:
            print(f"\nIt stays up until Ctrl-C. Try:\n   curl -s {url}\n   edit {mesh.reviews_file()} and ask again")
            for hint in mesh.hints():
                print(f"   {hint}")
            done.wait()
    except (AssertionError, RuntimeError, TimeoutError, LookupError, OSError) as e:
        print(f"== demo FAILED: {e}", file=sys.stderr)
        if isinstance(mesh, Namespaces):
            print(mesh.lab.describe(), file=sys.stderr)
        return 1
    finally:
        if mesh:
            mesh.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
