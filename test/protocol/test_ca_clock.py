"""The clock of the machine jumps, in all processes of the CA at once: refused or survived, with one message. covers: c20"""
import json
import mmap
import os
import struct
import subprocess
import threading
import time

import pytest
from coxswain import BUILD, TREE

# Shifts CLOCK_REALTIME by the seconds in a file that all processes map: the signer may open nothing later.
SHIFT_C = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
static volatile int64_t *shift;
static int (*real)(clockid_t, struct timespec *);
__attribute__((constructor)) static void init(void)
{
    int fd = open(getenv("SHIFT_FILE"), O_RDWR);
    real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    shift = mmap(NULL, 8, PROT_READ, MAP_SHARED, fd, 0);
}
int clock_gettime(clockid_t id, struct timespec *t)
{
    int rc = real(id, t);
    if (rc == 0 && id == CLOCK_REALTIME)
        t->tv_sec += *shift;
    return rc;
}
"""
DAY = 86400


@pytest.fixture
def ca(tmp_path):
    subprocess.run(["make", "-s", f"BUILD={BUILD}", os.path.join(BUILD, "ca-driver")], cwd=TREE, check=True)
    (tmp_path / "shift.c").write_text(SHIFT_C)
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", tmp_path / "shift.so", tmp_path / "shift.c", "-ldl"], check=True)
    (tmp_path / "shift").write_bytes(bytes(8))
    one = Ca(tmp_path)
    yield one
    one.close()


class Ca:
    def __init__(self, tmp):
        self.events, self.file = [], open(tmp / "shift", "r+b")
        self.map = mmap.mmap(self.file.fileno(), 8)
        self.proc = subprocess.Popen([os.path.join(BUILD, "ca-driver"), "--dir", str(tmp / "ca")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                     env={**os.environ, "LD_PRELOAD": str(tmp / "shift.so"), "SHIFT_FILE": str(tmp / "shift")})
        threading.Thread(target=lambda: [self.events.append(json.loads(line)) for line in self.proc.stdout], daemon=True).start()

    def shift(self, seconds):
        self.map[:8] = struct.pack("<q", seconds)

    def all(self, event):
        return [e for e in list(self.events) if e["event"] == event]

    def wait(self, fn, seconds=30):
        end = time.time() + seconds
        while time.time() < end:
            if fn():
                return fn()
            time.sleep(0.05)
        raise AssertionError(self.events[-5:])

    def sign(self):
        n = len(self.all("signed"))
        self.proc.stdin.write("sign spiffe://cluster.local/ns/a/sa/b 0\n")
        self.proc.stdin.flush()
        return self.wait(lambda: self.all("signed")[n:])[0]

    def jumps(self):
        return [e["text"] for e in self.all("fault") if "clock of this machine jumped" in e["text"]]

    def close(self):
        self.proc.stdin.close()
        assert self.proc.wait(20) == 0


def test_clock_jumps(ca):
    ca.wait(lambda: ca.all("bundle"))
    roots = ca.all("bundle")[-1]["roots"]
    assert ca.sign()["rc"] == "OK"
    # Far ahead: the root looks expired. Nothing is signed, and no other root is made.
    ca.shift(20 * 365 * DAY)
    ca.wait(ca.jumps)
    refused = ca.sign()
    assert refused["rc"] == "EAGAIN" and "has expired, by the clock of this machine" in refused["text"]
    time.sleep(6)  # a tick more: it is said once
    assert len(ca.jumps()) == 1 and "roots are not renewed for 10 minutes" in ca.jumps()[0]
    # Near its end, where a root is renewed in calm times.
    ca.shift(9 * 365 * DAY)
    ca.wait(lambda: len(ca.jumps()) == 2)
    late = ca.sign()
    assert late["rc"] == "OK"
    time.sleep(6)
    assert ca.all("bundle")[-1]["roots"] == roots
    # Before the root began.
    ca.shift(-2 * DAY)
    ca.wait(lambda: len(ca.jumps()) == 3)
    refused = ca.sign()
    assert refused["rc"] == "EAGAIN" and "is not valid yet, by the clock of this machine" in refused["text"]
    # And back: all is as it was.
    ca.shift(0)
    ca.wait(lambda: len(ca.jumps()) == 4)
    answer = ca.sign()
    assert answer["rc"] == "OK" and ca.all("bundle")[-1]["roots"] == roots
    check = subprocess.run(["openssl", "x509", "-noout", "-checkend", str(DAY - 60)], input=answer["cert"], capture_output=True, text=True)
    assert check.returncode == 0
    assert not ca.all("lost")
