"""Istio's own programs (hack/istio/build), asked the same as ours."""
import functools
import json
import os
import subprocess

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COXCTL = os.path.join(os.environ.get("COX_BUILD", os.path.join(TREE, "build")), "coxctl")


@functools.lru_cache(None)
def folder():
    return subprocess.run([os.path.join(TREE, "hack/istio/build")], check=True, capture_output=True, text=True).stdout.splitlines()[-1]


def ask(program, *args, kubeconfig="/nonexistent", stdin=None):
    return subprocess.run([program, *map(str, args)], capture_output=True, text=True, input=stdin, timeout=60, env={**os.environ, "KUBECONFIG": kubeconfig})


def istioctl(*args, **how):
    return ask(os.path.join(folder(), "istioctl"), *args, **how)


def coxctl(*args, **how):
    return ask(COXCTL, *args, **how)


def same_text(*args, **how):
    """Both succeed and print the same; gives it."""
    theirs, ours = istioctl(*args, **how), coxctl(*args, **how)
    assert theirs.returncode == 0 and ours.returncode == 0, (args, theirs, ours)
    assert ours.stdout == theirs.stdout, args
    return ours.stdout


def same_json(*args, **how):
    theirs, ours = istioctl(*args, "-o", "json", **how), coxctl(*args, "-o", "json", **how)
    assert theirs.returncode == 0 and ours.returncode == 0, (args, theirs, ours)
    assert json.loads(ours.stdout) == json.loads(theirs.stdout), args
    return json.loads(ours.stdout)
