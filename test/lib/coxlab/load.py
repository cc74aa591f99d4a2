"""Load from inside a pod's namespace while something else happens, counted exactly."""
import collections
import json
import os
import subprocess
import threading

from . import programs

Counts = collections.namedtuple("Counts", "requests failures first")


class Load:
    """with Load(netns, url) as load: ...; then load.counts. Counts are not older than 0.2 s while it runs, and exact after the end."""

    def __init__(self, netns, url, connections=4, rate=700):
        script = programs.shared_copy(os.path.join(os.path.dirname(os.path.abspath(__file__)), "loadgen.py"))
        self.process = subprocess.Popen(["ip", "netns", "exec", netns, "setpriv", "--reuid=65532", "--regid=65532", "--clear-groups", programs.python(), script,
                                         url, str(connections), str(rate)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
        self.counts, self.changed = Counts(0, 0, ""), threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self.changed:
                self.counts = Counts(**json.loads(line))
                self.changed.notify_all()

    def wait(self, requests, timeout=60):
        """Until that many more requests than now were made."""
        with self.changed:
            goal = self.counts.requests + requests
            if not self.changed.wait_for(lambda: self.counts.requests >= goal, timeout):
                raise TimeoutError(f"load: wanted {goal} requests within {timeout} s: {self.counts}")

    def stop(self):
        if self.process.stdin and not self.process.stdin.closed:
            self.process.stdin.close()
            self.process.wait(30)
            self.reader.join(5)
            if self.process.returncode != 0:
                raise RuntimeError(f"load: ended with {self.process.returncode}")
        return self.counts

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()
