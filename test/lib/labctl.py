"""The command behind hack/lab."""
import argparse
import glob
import os
import signal
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from coxlab import Lab, programs  # noqa: E402
from coxlab.state import all_states, clean  # noqa: E402


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


def run_in(args):
    for state in sorted(all_states(), key=lambda s: -os.stat(s.path).st_mtime):
        for path in glob.glob(f"/etc/netns/cox-{state.data['id']}-*/hosts"):
            with open(path) as f:
                name = f.readlines()[1].split()[1]
            if name.startswith(args.pod):
                os.execvp("ip", ["ip", "netns", "exec", path.split("/")[3], *args.command])
    sys.exit(f"no pod {args.pod}")


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
    args = parser.parse_args()
    if args.verb == "clean":
        print("\n".join(clean(args.all)) or "nothing to clean")
    else:
        {"up": up, "list": show, "exec": run_in}[args.verb](args)


if __name__ == "__main__":
    main()
