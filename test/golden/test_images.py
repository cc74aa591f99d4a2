"""What is in an image runs from there, as the image's user, and is listed in it.

covers: h16
"""
import gzip
import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from coxlab import programs  # noqa: E402

ASSEMBLE = os.path.join(programs.TREE, "images/assemble")


def assemble(name, folder, *more):
    done = subprocess.run([ASSEMBLE, name, str(folder), *more], capture_output=True, text=True, env={**os.environ, "ENVOY": programs.envoy_path()})
    assert done.returncode == 0, done.stderr
    return folder


def run(root, *argv, user="1337:1337"):
    return subprocess.run(["chroot", f"--userspec={user}", str(root), *argv], capture_output=True, text=True, env={"PATH": "/usr/local/bin:/usr/sbin"})


def bill(root):
    return json.loads((root / "usr/share/coxswain/sbom.spdx.json").read_text())


def check_bill(root):
    doc = bill(root)
    listed = {f["fileName"][1:]: f["checksums"][0]["checksumValue"] for f in doc["files"]}
    there = {"/" + os.path.relpath(os.path.join(d, n), root) for d, _, names in os.walk(root) for n in names if not os.path.islink(os.path.join(d, n))}
    assert set(listed) == there - {"/usr/share/coxswain/sbom.spdx.json"}
    for path, digest in listed.items():
        with open(str(root) + path, "rb") as f:
            assert hashlib.file_digest(f, "sha256").hexdigest() == digest
    ids = {x["SPDXID"] for x in doc["packages"] + doc["files"]} | {"SPDXRef-DOCUMENT"}
    assert all(r["spdxElementId"] in ids and r["relatedSpdxElement"] in ids for r in doc["relationships"])
    return {p["name"]: p["versionInfo"] for p in doc["packages"]}


@pytest.mark.skipif(os.geteuid() != 0, reason="chroot needs root")
def test_the_control_plane_runs_from_its_files(tmp_path):
    root = assemble("coxswaind", tmp_path / "root", "--oci", str(tmp_path / "oci.tar"))
    assert run(root, "/usr/local/bin/coxswaind", "version").returncode == 0
    assert "demo" in run(root, "/usr/local/bin/coxctl", "profile", "list").stdout
    # Refused for want of a cluster, with everything loaded and the CA's processes made: so nothing is missing.
    done = run(root, "/usr/local/bin/coxswaind", "discovery")
    assert done.returncode == 1 and "not in a pod" in done.stderr
    assert not [n for n in os.listdir(root / "usr/bin")] and not os.path.exists(root / "bin/sh")
    packages = check_bill(root)
    assert packages["libssl3"] and packages["libc6"] and packages["libnghttp2-14"]

    with tarfile.open(tmp_path / "oci.tar") as tar:
        blobs = {m.name: tar.extractfile(m).read() for m in tar}
    manifest = json.loads(blobs["blobs/sha256/" + json.loads(blobs["index.json"])["manifests"][0]["digest"][7:]])
    for ref in (manifest["config"], *manifest["layers"]):
        data = blobs["blobs/sha256/" + ref["digest"][7:]]
        assert hashlib.sha256(data).hexdigest() == ref["digest"][7:] and len(data) == ref["size"]
    config = json.loads(blobs["blobs/sha256/" + manifest["config"]["digest"][7:]])
    layer = gzip.decompress(blobs["blobs/sha256/" + manifest["layers"][0]["digest"][7:]])
    assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(layer).hexdigest()] and config["config"]["User"] == "1337:1337"
    before = hashlib.sha256((tmp_path / "oci.tar").read_bytes()).hexdigest()
    assemble("coxswaind", tmp_path / "root", "--oci", str(tmp_path / "oci.tar"))
    assert hashlib.sha256((tmp_path / "oci.tar").read_bytes()).hexdigest() == before, "the same files give the same image"


@pytest.mark.skipif(os.geteuid() != 0, reason="chroot needs root")
def test_the_proxy_runs_from_its_files(tmp_path):
    root = assemble("proxy", tmp_path / "root")
    assert run(root, "/usr/local/bin/cox-agent", "version").returncode == 0
    assert "1.40" in run(root, "/usr/local/bin/envoy", "--version").stdout
    assert "iptables-restore" in run(root, "/usr/sbin/iptables-restore", "--version").stdout and "nftables" in run(root, "/usr/sbin/nft", "--version").stdout
    # Rules with the matches that the capture uses are understood: their plugins are there.
    rules = "*nat\n-A OUTPUT -p tcp -m owner --uid-owner 1337 -j RETURN\n-A OUTPUT -p tcp -j REDIRECT --to-ports 15001\nCOMMIT\n"
    done = subprocess.run(["chroot", str(root), "/usr/sbin/iptables-restore", "--test"], input=rules, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    check_bill(root)


@pytest.mark.parametrize("name", ["coxswaind", "proxy"])
def test_dockerfiles(name):
    """Two stages, the second from nothing; a user that is not root; every package that the build needs; no engine has run them here."""
    with open(os.path.join(programs.TREE, f"images/{name}.Dockerfile")) as f:
        text = f.read().replace("\\\n", " ")
    steps = [line.split(None, 1) for line in text.splitlines() if line and not line.startswith("#") and not line.startswith(" ")]
    assert {s[0] for s in steps} <= {"FROM", "ARG", "RUN", "WORKDIR", "COPY", "LABEL", "USER", "EXPOSE", "ENTRYPOINT", "CMD"}
    stages = [s[1] for s in steps if s[0] == "FROM"]
    assert stages[-1] == "scratch" and stages[-2].endswith("AS build") and "TARGETARCH" in text
    assert [s[1] for s in steps if s[0] == "USER"] == ["1337:1337"] and f"images/assemble {name} /rootfs" in text
    with open(os.path.join(programs.TREE, "hack/deps")) as f:
        needed = set(re.findall(r"lib[a-z0-9+-]+-dev", f.read().split("tests=")[0])) - {"libjansson-dev"}
    assert needed <= set(re.findall(r"lib[a-z0-9+-]+-dev", text))
    for command in ("ENTRYPOINT", "CMD"):
        json.loads(next(s[1] for s in steps if s[0] == command))
