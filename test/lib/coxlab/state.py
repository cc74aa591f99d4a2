"""What a lab made on this machine, on disk, so that it can be taken away after a crash: `hack/lab clean`."""
import contextlib
import fcntl
import glob
import json
import os
import shutil
import signal
import subprocess
import threading
import time

ROOT = os.environ.get("COXSWAIN_LAB_STATE", "/run/coxswain-lab")


def start_time(pid):
    """Start of a process in clock ticks, or None: tells it from a later one with the same number."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return int(f.read().rsplit(")", 1)[1].split()[19])
    except (OSError, IndexError, ValueError):
        return None


def is_alive(pid, started):
    return started is not None and start_time(pid) == started


@contextlib.contextmanager
def locked():
    os.makedirs(ROOT, mode=0o755, exist_ok=True)
    with open(os.path.join(ROOT, "lock"), "w") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def all_states():
    for path in sorted(glob.glob(os.path.join(ROOT, "*.json"))):
        try:
            with open(path) as f:
                yield State(json.load(f), path)
        except (OSError, ValueError):
            continue


def networks_in_use():
    """Second numbers of the 10.x networks that a lab or a route of this machine has."""
    used = {s.data["net"] for s in all_states()}
    for family in ("route", "addr"):
        out = subprocess.run(["ip", "-4", family], capture_output=True, text=True).stdout
        for word in out.replace("/", " ").split():
            parts = word.split(".")
            if len(parts) == 4 and parts[0] == "10" and parts[1].isdigit():
                used.add(int(parts[1]))
    return used


class State:
    def __init__(self, data, path):
        self.data, self.path, self.lock = data, path, threading.Lock()

    @classmethod
    def new(cls, tmp):
        """Takes an unused network 10.N.0.0/16 and an id."""
        with locked():
            used = networks_in_use()
            net = next((n for n in range(64, 127) if n not in used), None)
            if net is None:
                raise RuntimeError("no free 10.x network: `hack/lab clean` takes away what crashed labs left")
            while True:
                ident = os.urandom(3).hex()[:5]
                path = os.path.join(ROOT, ident + ".json")
                if not os.path.exists(path):
                    break
            state = cls({"id": ident, "net": net, "owner": os.getpid(), "owner_start": start_time(os.getpid()), "tmp": tmp, "pids": [],
                         "namespaces": [], "stop": []}, path)
            state.save()
        return state

    def save(self):
        """Pods start on one thread, are started again on another."""
        part = self.path + ".part"
        with self.lock:
            with open(part, "w") as f:
                json.dump(self.data, f)
            os.rename(part, self.path)

    def add_pid(self, pid):
        self.data["pids"].append([pid, start_time(pid)])
        self.save()

    def add_namespace(self, name):
        self.data["namespaces"].append(name)
        self.save()

    def add_stop(self, command):
        """A command that ends something, run before anything else is taken away."""
        self.data["stop"].append(command)
        self.save()

    def owner_is_alive(self):
        return is_alive(self.data["owner"], self.data["owner_start"])

    def remove(self, keep_tmp=False):
        """Ends and deletes everything; repeating it is harmless."""
        end([(p, s) for p, s in self.data["pids"]])
        for command in self.data["stop"]:
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for name in self.data["namespaces"]:
            pids = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True).stdout.split()
            end([(int(p), start_time(int(p))) for p in pids])
            subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL)
            shutil.rmtree(f"/etc/netns/{name}", ignore_errors=True)
        subprocess.run(["ip", "link", "del", f"cox-{self.data['id']}"], stderr=subprocess.DEVNULL)
        if not keep_tmp and self.data["tmp"]:
            shutil.rmtree(self.data["tmp"], ignore_errors=True)
        with contextlib.suppress(OSError):
            os.unlink(self.path)


def end(processes, grace=3.0):
    """SIGTERM, then SIGKILL, to processes given with their start time."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid, started in processes:
            if is_alive(pid, started):
                with contextlib.suppress(OSError):
                    os.kill(pid, number)
        until = time.monotonic() + grace
        while time.monotonic() < until and any(is_alive(p, s) and not is_zombie(p) for p, s in processes):
            time.sleep(0.02)


def is_zombie(pid):
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z"
    return True


def clean(everything=False):
    """Takes away what labs left whose owner is gone (or, `everything`, all labs); returns their ids."""
    gone = []
    for state in list(all_states()):
        if everything or not state.owner_is_alive():
            state.remove()
            gone.append(state.data["id"])
    return gone
