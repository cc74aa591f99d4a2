"""A rotation of the root under load, watched from outside: for hack/lab rotate-root and lab 8."""
import json
import subprocess
import time
import urllib.request

from coxlab import programs
from coxlab.load import Load

PHASES = ["DISTRIBUTE", "SIGN", "RETIRE"]


def certz(state):
    with urllib.request.urlopen(f"http://127.0.0.1:{state.data['monitoring_port']}/debug/certz", timeout=10) as answer:
        return json.load(answer)


def coxctl(state, *args):
    """coxctl cert ... on the CA of a lab, also one that another process runs."""
    done = subprocess.run([programs.product("coxctl"), "cert", *args, *state.data["ca_flags"]], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"coxctl cert {' '.join(args)}: {done.stderr.strip()}")
    return done.stdout


class Rotation:
    """What happened: phases as (seconds, name, number of roots), the counts, and the root before and after."""

    def __init__(self, state, say=lambda text: None):
        self.state, self.say, self.phases = state, say, []
        self.counts = self.before = self.after = None

    def _see(self, started):
        now = certz(self.state)
        if not self.phases or self.phases[-1][1] != now["phase"]:
            self.phases.append((time.monotonic() - started, now["phase"], len(now["roots"])))
            self.say(f"{self.phases[-1][0]:6.2f} s  {now['phase']:<10}  {len(now['roots'])} root(s), issuer {now['issuerKeyId'][:16]}, generation {now['generation']}")
        return now

    def run(self, netns, url, requests=10000, timeout=150, **load):
        """The load begins before the rotation and goes on after it, until there were `requests`."""
        with Load(netns, url, **load) as driver:
            driver.wait(300)
            started = time.monotonic()
            self.before = self._see(started)
            coxctl(self.state, "rotate-root")
            while True:
                now = self._see(started)
                if len(self.phases) > 1 and now["phase"] == self.before["phase"]:
                    break
                if time.monotonic() - started > timeout:
                    raise TimeoutError(f"the rotation is still in {now['phase']} after {timeout} s")
                time.sleep(0.05)
            self.after = now
            driver.wait(max(300, requests - driver.counts.requests), timeout=timeout)
        self.counts = driver.stop()
        return self

    def complaints(self):
        """What was not as it must be; empty when all is well."""
        found = []
        if [name for _, name, _ in self.phases[1:-1]] != PHASES:
            found.append(f"phases were {[name for _, name, _ in self.phases]}")
        if self.counts.failures:
            found.append(f"{self.counts.failures} requests failed, the first: {self.counts.first}")
        if {r["keyId"] for r in self.before["roots"]} & {r["keyId"] for r in self.after["roots"]}:
            found.append("the old root is still trusted")
        return found
