"""What cox-agent is linked from. covers: i16"""
import os
import subprocess

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
AGENT = os.path.join(os.environ.get("COX_BUILD", os.path.join(TREE, "build")), "cox-agent")
HEAVY = ("libcurl", "libmicrohttpd", "libcjose", "libjansson", "libgnutls", "libseccomp")


def test_needs_no_heavy_library():
    lines = subprocess.run(["readelf", "-dW", AGENT], capture_output=True, text=True, check=True).stdout.splitlines()
    needed = [line.split("[")[1].rstrip("]") for line in lines if "(NEEDED)" in line]
    assert any(n.startswith("libc.so") for n in needed)
    assert not [n for n in needed if n.startswith(HEAVY)]


def test_has_none_of_them_inside():
    """Archives would not show as needed."""
    symbols = subprocess.run(["nm", "-C", AGENT], capture_output=True, text=True, check=True).stdout
    assert "SSL_connect" in symbols or "SSL_set_connect_state" in symbols
    for name in ("curl_easy_init", "MHD_start_daemon", "cjose_", "json_loadb", "gnutls_init", "seccomp_init"):
        assert name not in symbols


def test_is_hardened():
    text = subprocess.run(["readelf", "-lhdW", AGENT], capture_output=True, text=True, check=True).stdout
    assert "DYN (Position-Independent" in text and "GNU_RELRO" in text and "BIND_NOW" in text
