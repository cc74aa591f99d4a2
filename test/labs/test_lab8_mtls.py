"""Lab 8: mutual TLS, what certificates look like, who is refused."""
import json
import re
import time

from coxlab.lab import eventually
from coxlab.load import Load
from citadel import describe
from rotation import Rotation

PEER = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: details}
spec:
  selector: {matchLabels: {app: details}}
  mtls: {mode: MODE}
"""
PORT_LEVEL = PEER.replace("MODE}", "STRICT}\n  portLevelMtls: {9080: {mode: DISABLE}}")
RULE = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: details}
spec:
  host: details
  trafficPolicy: {connectionPool: {http: {maxRequestsPerConnection: 1}}, tls: TLS}
"""
ACCOUNT = "spiffe://cluster.local/ns/default/sa/"
# The pod is details', the account that its endpoint claims is not.
IMPOSTOR = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: impostor}
spec:
  hosts: [impostor.test]
  addresses: [ADDRESS]
  ports: [{number: 9080, name: http, protocol: HTTP}]
  location: MESH_INTERNAL
  resolution: STATIC
  endpoints: [{address: POD, serviceAccount: ACCOUNT, labels: {security.istio.io/tlsMode: istio}}]
"""
WORKLOAD = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: NAME}
---
apiVersion: v1
kind: Service
metadata: {name: NAME}
spec:
  selector: {app: NAME}
  ports: [{name: http, port: 9080}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME}
spec:
  replicas: REPLICAS
  selector: {matchLabels: {app: NAME}}
  template:
    metadata:
      labels: {app: NAME, version: v1, sidecar.istio.io/inject: "INJECT"}
      annotations: {proxy.istio.io/config: "proxyMetadata: {SECRET_TTL: LIFETIME, SECRET_GRACE_PERIOD_RATIO_JITTER: \\"0\\"}"}
    spec:
      serviceAccountName: NAME
      containers:
      - name: app
        image: coxswain.io/samples/bookinfo:latest
        command: ["python3", "/bookinfo.py", "ratings", "--version", "NAME", "--port", "9080"]
        ports: [{containerPort: 9080}]
"""
RETRY = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: pair}
spec:
  hosts: [pair]
  http: [{retries: {attempts: 3, retryOn: "connect-failure,reset,refused-stream"}, route: [{destination: {host: pair}}]}]
"""
URL = "http://details:9080/health"


def workload(name, ttl="24h", replicas=1, inject="true"):
    return WORKLOAD.replace("NAME", name).replace("LIFETIME", ttl).replace("REPLICAS", str(replicas)).replace("INJECT", inject)


def handshakes(host, each=1):
    """Proxies keep connections; a test of handshakes wants new ones."""
    return RULE.replace("details", host).replace(", tls: TLS", "").replace("Connection: 1", f"Connection: {each}")


def served(lab, client, pod, alpn="istio"):
    """The chain that a pod shows on its inbound port, as openssl prints it, and whether it asked for a certificate of the client's."""
    out = lab.exec(client, "openssl", "s_client", "-connect", f"{pod.address}:9080", "-alpn", alpn, "-showcerts", root=True, stdin="")
    return re.findall(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n", out.stdout, re.S), out.stdout + out.stderr


def serial(lab, pod):
    """The serial number of the certificate that the pod's Envoy has in use now."""
    try:
        found = json.loads(lab.admin(pod, "/certs"))
    except ValueError:
        return None
    return next((c["serial_number"] for entry in found["certificates"] for c in entry.get("cert_chain", [])
                 if any(n.get("uri", "").startswith("spiffe://") for n in c["subject_alt_names"])), None)


def details(mesh):
    return mesh.lab.pod(app="details")


def status(mesh, pod, url=URL):
    return mesh.lab.curl(pod, url).status


def plain_url(mesh):
    """Past every client proxy: `outside` has none."""
    return f"http://{details(mesh).address}:9080/health"


def mode(mesh, text, wanted):
    """Until the inbound port treats plaintext as the rule says."""
    mesh.apply(text)
    eventually(lambda: (status(mesh, mesh.outside, plain_url(mesh)) == 200) == wanted, timeout=20)


def test_peer_certificate_is_a_svid(mesh):
    """openssl from a pod and Envoy's own list agree: one URI, ours, short-lived, under the mesh's root. covers: c17 c21 i3 i4"""
    pod, lab = details(mesh), mesh.lab
    chain, text = served(lab, mesh.outside, pod)
    leaf = describe(chain[0])
    assert re.findall(r"URI:(\S+)", leaf) == [ACCOUNT + "bookinfo-details"] and "X509v3 Subject Alternative Name: critical" in leaf, leaf
    assert "CA:FALSE" in leaf and "TLS Web Server Authentication, TLS Web Client Authentication" in leaf, leaf
    assert "Acceptable client certificate CA names" in text or "Requested Signature Algorithms" in text, text
    roots = lab.exec(pod, "openssl", "verify", "-CAfile", f"{pod.secrets}/istio/root-cert.pem", "/dev/stdin", root=True, stdin=chain[0])
    assert roots.stdout.strip().endswith(": OK"), roots
    number = int(re.search(r"Serial Number:\s*(?:\d+ \(0x)?([0-9a-f:]+)", leaf).group(1).replace(":", ""), 16)
    assert int(serial(lab, pod), 16) == number
    mine = [line for line in lab.coxctl("list", "--identity", ACCOUNT + "bookinfo-details").splitlines() if "valid" in line]
    assert number in [int(line.split()[0], 16) for line in mine], mine


def test_traffic_is_mutual_tls_and_names_the_caller(mesh):
    """Automatic mTLS: the server's Envoy has verified the client's certificate. covers: a169 c26"""
    lab, pod = mesh.lab, details(mesh)
    mesh.apply(handshakes("details"))

    def count(counter):
        return sum(lab.stats(pod, rf"^listener\.0\.0\.0\.0_15006\.ssl\.{counter}$").values())

    def verified():
        shaken, bare = count("handshake"), count("no_certificate")
        assert status(mesh, mesh.client) == 200
        return count("handshake") > shaken and count("no_certificate") == bare
    eventually(verified, timeout=20)


def test_strict_permissive_disable(mesh):
    """Who gets in under each mode: a client with a proxy, and one without. covers: a168 a169"""
    assert status(mesh, mesh.outside, plain_url(mesh)) == 200, "PERMISSIVE is the default"
    assert status(mesh, mesh.client) == 200
    mode(mesh, PEER.replace("MODE", "STRICT"), False)
    answer = mesh.lab.curl(mesh.outside, plain_url(mesh))
    assert answer.status == 0 and ("reset" in answer.body.lower() or "empty reply" in answer.body.lower()), answer
    assert status(mesh, mesh.client) == 200
    ratings = mesh.lab.pod(app="ratings")
    assert status(mesh, mesh.outside, f"http://{ratings.address}:9080/health") == 200, "the selector means details only"
    mode(mesh, PEER.replace("MODE", "PERMISSIVE"), True)
    assert status(mesh, mesh.client) == 200 and served(mesh.lab, mesh.outside, details(mesh))[0]
    mesh.apply(PEER.replace("MODE", "DISABLE"))
    eventually(lambda: not served(mesh.lab, mesh.outside, details(mesh))[0], timeout=20)
    eventually(lambda: status(mesh, mesh.client) == 200, timeout=10)
    assert status(mesh, mesh.outside, plain_url(mesh)) == 200


def test_port_level_mode(mesh):
    """STRICT for the workload, plaintext for one port of it. covers: a170"""
    mode(mesh, PEER.replace("MODE", "STRICT"), False)
    mode(mesh, PORT_LEVEL, True)
    eventually(lambda: not served(mesh.lab, mesh.outside, details(mesh))[0], timeout=20)
    eventually(lambda: status(mesh, mesh.client) == 200, timeout=10)


def test_strict_takes_no_certificate_of_another_root(mesh):
    """A certificate that says the right name, signed by nobody. covers: a169 c26"""
    lab, pod = mesh.lab, details(mesh)
    mode(mesh, PEER.replace("MODE", "STRICT"), False)
    directory = f"{lab.tmp}/forged"
    lab.exec(mesh.outside, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/O=forged", "-addext",
             f"subjectAltName=URI:{ACCOUNT}client", "-keyout", f"{directory}.key", "-out", f"{directory}.pem", root=True)
    for args, counter in (((), "no_cert"), (("--cert", f"{directory}.pem", "--key", f"{directory}.key"), "error")):
        # TLS 1.3: the client learns of it after its own handshake, or finds the connection gone. Envoy says what it was.
        pattern = rf"^listener\.0\.0\.0\.0_15006\.ssl\.fail_verify_{counter}$"
        before = sum(lab.stats(pod, pattern).values())
        done = lab.exec(mesh.outside, "curl", "-sS", "-k", "--http1.1", "-w", "%{http_code}", *args, f"https://{pod.address}:9080/health", root=True)
        assert done.returncode != 0 and done.stdout.endswith("000"), done
        assert sum(lab.stats(pod, pattern).values()) == before + 1, counter


def test_secure_naming_refuses_another_account(mesh):
    """A server that is not who its endpoint says, and one that a rule does not expect: 503, and nothing reached it. covers: a169 c21"""
    lab, pod = mesh.lab, details(mesh)
    address = lab.network.service_address() if mesh.source == "dir" else f"10.{lab.network.n}.140.9"
    lab.add_host("impostor.test", address)
    entry = IMPOSTOR.replace("ADDRESS", address).replace("POD", pod.address)
    mesh.apply(entry.replace("ACCOUNT", "bookinfo-details"))
    eventually(lambda: status(mesh, mesh.client, "http://impostor.test:9080/health") == 200, timeout=20)
    mesh.apply(entry.replace("ACCOUNT", "bookinfo-ratings"))
    mesh.apply(handshakes("impostor.test").replace("name: impostor.test", "name: impostor"))

    def refused(url, host):
        """503, and because of the name: the client's Envoy counts it."""
        pattern = rf"^cluster\.outbound\|9080\|\|{host}.*ssl\.fail_verify_san$"
        before = sum(lab.stats(mesh.client, pattern).values())
        return status(mesh, mesh.client, url) == 503 and sum(lab.stats(mesh.client, pattern).values()) > before
    eventually(lambda: refused("http://impostor.test:9080/health", "impostor.test"), timeout=20)
    for _ in range(5):
        assert refused("http://impostor.test:9080/health", "impostor.test")
    assert status(mesh, mesh.client) == 200
    expected = RULE.replace("TLS", "{mode: ISTIO_MUTUAL, subjectAltNames: [SAN]}")
    mesh.apply(expected.replace("SAN", json.dumps(ACCOUNT + "somebody-else")))
    eventually(lambda: refused(URL, "details"), timeout=20)
    mesh.apply(expected.replace("SAN", json.dumps(ACCOUNT + "bookinfo-details")))
    eventually(lambda: status(mesh, mesh.client) == 200, timeout=20)


def test_revoked_peer_is_refused(mesh):
    """Within 5 s, on the connections that its Envoy keeps, and on new ones; others go on without a failed request; renewal is refused until it is taken back. covers: c39 c40 c22"""
    lab = mesh.lab
    mesh.apply(workload("suspect"))
    mesh.apply(PEER.replace("MODE", "STRICT"))
    suspect = lab.wait_pods(1, namespace="default", app="suspect")[0]
    eventually(lambda: status(mesh, suspect) == 200, timeout=20)
    eventually(lambda: status(mesh, mesh.client) == 200, timeout=20)
    identity = ACCOUNT + "suspect"
    with Load(mesh.client.netns, URL, rate=100) as load:
        load.wait(100)
        try:
            lab.coxctl("revoke", "--identity", identity, "--reason", "lab 8")
            started = time.monotonic()
            # 403: by details, on a connection that is open; 503: there is none, and none comes about.
            eventually(lambda: status(mesh, suspect) in (403, 503), timeout=5, every=0.1)
            took = time.monotonic() - started
            assert took < 5
            for _ in range(5):
                assert status(mesh, suspect) in (403, 503)
            mesh.apply(handshakes("details"))
            eventually(lambda: status(mesh, suspect) == 503, timeout=10)
            # As a server it is refused too.
            eventually(lambda: status(mesh, mesh.client, "http://suspect:9080/health") == 503, timeout=5)
            assert all(line.split()[-1] == "revoked" for line in lab.coxctl("list", "--identity", identity).splitlines()[1:])
            lab.runner.kill_proxy(suspect)
            eventually(lambda: re.search("suspect is blocked", open(suspect.proxy.log).read()), timeout=20)
            assert status(mesh, suspect) in (0, 403, 503)
        finally:
            lab.coxctl("unrevoke", "--identity", identity)
        eventually(lambda: status(mesh, suspect) == 200, timeout=60)
        load.wait(100)
    assert load.counts.failures == 0, load.counts


def new_serial(lab, pod, old, timeout):
    """The pod's next certificate, as its Envoy uses it."""
    return eventually(lambda: serial(lab, pod) not in (None, old) and serial(lab, pod), timeout=timeout)


def test_certificates_renew_under_load(mesh):
    """Client and server renew, and renew again with coxswaind down in between: no failed request. covers: c29 c20 i4 i2"""
    lab = mesh.lab
    mesh.apply(workload("brief-server", ttl="40s"))
    mesh.apply(workload("brief-client", ttl="40s"))
    mesh.apply(handshakes("brief-server", 10))
    pods = [lab.wait_pods(1, namespace="default", app=name)[0] for name in ("brief-client", "brief-server")]
    url = "http://brief-server:9080/health"
    eventually(lambda: status(mesh, pods[0], url) == 200, timeout=20)
    with Load(pods[0].netns, url, rate=100) as load:
        first = [serial(lab, p) for p in pods]
        second = [new_serial(lab, p, s, 40) for p, s in zip(pods, first)]
        lab.stop_daemon()
        try:
            # Renewal is due after 20 s and fails; what there is holds for another 20.
            for p in pods:
                eventually(lambda p=p: "no new certificate yet" in open(p.proxy.log).read(), timeout=35)
            assert [serial(lab, p) for p in pods] == second
        finally:
            lab.start_daemon()
        for p, s in zip(pods, second):
            new_serial(lab, p, s, 20)
        load.wait(1000)
    assert load.counts.failures == 0 and load.counts.requests > 3000, load.counts


def test_killed_agent_comes_back_under_load(mesh):
    """One of two servers loses its agent, and Envoy with it: with retries no request fails, and it serves again with a new certificate. covers: i1 i4 i7"""
    lab = mesh.lab
    mesh.apply(workload("pair", replicas=2))
    mesh.apply(handshakes("pair", 10))
    mesh.apply(RETRY)
    pods = lab.wait_pods(2, namespace="default", app="pair")
    url = "http://pair:9080/health"
    eventually(lambda: status(mesh, mesh.client, url) == 200, timeout=20)

    def asked(pod):
        return sum(lab.stats(pod, r"^http\.inbound_0\.0\.0\.0_9080;?.*downstream_rq_2xx$").values())
    eventually(lambda: status(mesh, mesh.client, url) == 200 and all(asked(p) for p in pods), timeout=20)
    with Load(mesh.client.netns, url, rate=150) as load:
        load.wait(150)
        old = serial(lab, pods[0])
        lab.runner.kill_proxy(pods[0])
        new_serial(lab, pods[0], old, 30)
        eventually(lambda: asked(pods[0]) > 50, timeout=60)
        load.wait(300)
    assert load.counts.failures == 0, load.counts
    assert status(mesh, mesh.client, url) == 200


def test_root_rotation_under_load(mesh):
    """All phases of a new root with at least 10,000 requests and handshakes all along: none fails. covers: c2 c30 c31 c9 c37 i4"""
    lab = mesh.lab
    mesh.apply(PEER.replace("MODE", "STRICT"))
    mesh.apply(handshakes("details", 20))
    eventually(lambda: status(mesh, mesh.client) == 200, timeout=20)
    pattern = r"^cluster\.outbound\|9080\|\|details\..*ssl\.handshake$"
    before, old = sum(lab.stats(mesh.client, pattern).values()), serial(lab, details(mesh))
    turn = Rotation(lab.state, say=print).run(mesh.client.netns, URL, requests=10000)
    assert not turn.complaints(), turn.complaints()
    assert turn.counts.requests >= 10000 and [n for _, _, n in turn.phases] == [1, 2, 2, 1, 1], (turn.counts, turn.phases)
    assert sum(lab.stats(mesh.client, pattern).values()) - before >= 300, "too few handshakes to tell"
    assert serial(lab, details(mesh)) != old
    chain, _ = served(lab, mesh.outside, details(mesh))

    def verifies():
        roots = f"{details(mesh).secrets}/istio/root-cert.pem"
        return lab.exec(mesh.outside, "openssl", "verify", "-CAfile", roots, "/dev/stdin", root=True, stdin=chain[0]).stdout.strip().endswith(": OK")
    eventually(verifies, timeout=20)
