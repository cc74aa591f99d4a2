"""The command behind hack/lab."""
import argparse
import glob
import os
import signal
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from coxlab import Lab, programs  # noqa: E402
from coxlab.lab import eventually  # noqa: E402
from coxlab.state import all_states, clean  # noqa: E402
from rotation import Rotation  # noqa: E402

LOAD_URL = "http://details:9080/health"
SMALL = ("details", "productpage", "bookinfo-details", "bookinfo-productpage", "details-v1", "productpage-v1")
# Proxies keep connections: without this a rotation would be watched by requests that nobody makes a handshake for.
HANDSHAKES = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: details}
spec:
  host: details
  trafficPolicy: {connectionPool: {http: {maxRequestsPerConnection: 20}}}
"""


def up(args):
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    with Lab(source=args.source) as lab:
        if args.bookinfo:
            lab.apply(os.path.join(programs.TREE, "manifests/ingress-gateway.yaml"), "istio-system")
            for name in ("platform/kube/bookinfo.yaml", "networking/bookinfo-gateway.yaml", "networking/destination-rule-all.yaml"):
                lab.apply(name)
            lab.wait_pods(7)
        print(f"lab {lab.state.data['id']}: files in {lab.tmp}; debug pages at http://127.0.0.1:{lab.monitoring_port}/debug/")
        if args.source == "dir":
            print(f"  edit or add YAML in {lab.source.dir}")
        else:
            print(f"  kubectl --kubeconfig {lab.source.dir}/kubeconfig get pods -A")
        for pod in list(lab.runner.pods.values()):
            print(f"  {pod.namespace}/{pod.name} {pod.address} ({pod.kind}, namespace {pod.netns})")
        print("Ctrl-C ends it.", flush=True)
        done.wait()


def show(_):
    for state in all_states():
        print(state.data["id"], "running" if state.owner_is_alive() else "left by a crash", state.data["tmp"])


def find_pod(state, beginning):
    """The network namespace of a pod whose name begins so, or None."""
    for path in glob.glob(f"/etc/netns/cox-{state.data['id']}-*/hosts"):
        with open(path) as f:
            if f.readlines()[1].split()[1].startswith(beginning):
                return path.split("/")[3]
    return None


def run_in(args):
    for state in sorted(all_states(), key=lambda s: -os.stat(s.path).st_mtime):
        netns = find_pod(state, args.pod)
        if netns:
            os.execvp("ip", ["ip", "netns", "exec", netns, *args.command])
    sys.exit(f"no pod {args.pod}")


def rotate_root(args):
    """On the newest running lab that has Bookinfo, else on a small one of its own."""
    for state in sorted(all_states(), key=lambda s: -os.stat(s.path).st_mtime):
        netns = state.owner_is_alive() and state.data.get("ca_flags") and find_pod(state, "productpage")
        if netns:
            sys.exit(rotate_under_load(state, netns, args.requests))
    with Lab(source=args.source) as lab:
        lab.source.apply([d for d in lab.load("platform/kube/bookinfo.yaml") if d["metadata"]["name"] in SMALL])
        lab.apply(HANDSHAKES)
        lab.wait_pods(2)
        page = lab.pod(app="productpage")
        eventually(lambda: lab.curl(page, LOAD_URL).status == 200, timeout=30)
        code = rotate_under_load(lab.state, page.netns, args.requests)
    sys.exit(code)


def rotate_under_load(state, netns, requests):
    print(f"lab {state.data['id']}: productpage asks {LOAD_URL}; the root is rotated", flush=True)
    done = Rotation(state, say=lambda text: print("  " + text, flush=True)).run(netns, LOAD_URL, requests)
    print(f"{done.counts.requests} requests, {done.counts.failures} failures")
    for text in done.complaints():
        print(f"WRONG: {text}")
    return 1 if done.complaints() else 0


def main():
    parser = argparse.ArgumentParser(prog="hack/lab")
    verbs = parser.add_subparsers(dest="verb", required=True)
    start = verbs.add_parser("up")
    start.add_argument("--source", choices=("dir", "kube"), default="dir")
    start.add_argument("--bookinfo", action="store_true")
    verbs.add_parser("list")
    verbs.add_parser("clean").add_argument("--all", action="store_true")
    inside = verbs.add_parser("exec")
    inside.add_argument("pod")
    inside.add_argument("command", nargs=argparse.REMAINDER)
    rotate = verbs.add_parser("rotate-root")
    rotate.add_argument("--requests", type=int, default=10000)
    rotate.add_argument("--source", choices=("dir", "kube"), default="dir")
    args = parser.parse_args()
    if args.verb == "clean":
        print("\n".join(clean(args.all)) or "nothing to clean")
    else:
        {"up": up, "list": show, "exec": run_in, "rotate-root": rotate_root}[args.verb](args)


if __name__ == "__main__":
    main()
