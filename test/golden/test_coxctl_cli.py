"""coxctl's command line beside istioctl's: the same verbs and flags, except those named here; help, completion and the man page are whole.

covers: f29
"""
import re
import subprocess

import pytest

from istiojudge import COXCTL, coxctl, istioctl

VERBS = ["admin log", "bug-report", "create-remote-secret", "dashboard", "proxy-config all", "proxy-config bootstrap", "proxy-config cluster", "proxy-config ecds",
         "proxy-config endpoint", "proxy-config listener", "proxy-config log", "proxy-config rootca-compare", "proxy-config route", "proxy-config secret", "proxy-status",
         "remote-clusters", "version", "x authz check", "x check-inject", "x describe pod", "x describe service", "x injector list", "x internal-debug"]
XDS = {"--authority", "--cert-dir", "--insecure", "--plaintext", "--timeout", "--xds-address", "--xds-label", "--xds-port"}  # ours asks the debug port: --server
LACKING = {"bug-report": {"--critical-errs", "--dry-run", "--duration", "--end-time", "--exclude", "--filename", "--ignore-errs", "--start-time"},
           "create-remote-secret": {"--auth-plugin-config", "--auth-plugin-name", "--auth-type"},  # a kubeconfig's auth-provider is gone since Kubernetes 1.26
           "proxy-config log": {"--selector"}, "proxy-status": XDS, "x internal-debug": XDS}


def flags(text):
    return set(re.findall(r"^ +(?:-\w, )?(--[\w-]+)", text, re.M))


@pytest.mark.parametrize("verb", VERBS)
def test_flags_are_istioctls(verb):
    theirs, ours = istioctl(*verb.split(), "--help"), coxctl(*verb.split(), "--help")
    assert theirs.returncode == 0 and ours.returncode == 0 and ours.stderr == ""
    missing = flags(theirs.stdout.split("Global Flags")[0]) - flags(ours.stdout) - {"--help"}
    assert missing == LACKING.get(verb, set())


def verbs():
    """All that the man page has."""
    page = coxctl("help", "--man").stdout
    return [m.replace("\\-", "-") for m in re.findall(r'^\.SS "coxctl ([a-z\\ -]+?)(?: [\[A-Z].*)?"$', page, re.M)]


def test_every_verb_has_help():
    all_verbs = verbs()
    assert len(all_verbs) > 30 and "proxy-config cluster" in all_verbs
    for verb in all_verbs:
        done = coxctl("help", *verb.split())
        assert done.returncode == 0 and done.stdout.startswith(f"coxctl {verb} - ") and f"usage: coxctl {verb}" in done.stdout, verb
        assert coxctl(*verb.split(), "--no-such-flag").returncode == 2, verb
        word = coxctl("__complete", *verb.split()[:-1], verb.split()[-1][:3]).stdout.split()
        assert verb.split()[-1] in word, (verb, word)


def test_bash_completes(tmp_path):
    """The script in a real bash: verbs, flags, values, files."""
    (tmp_path / "dump.json").write_text("{}")
    script = tmp_path / "try"
    script.write_text('source <("$1" completion bash)\nshift\nCOMP_WORDS=("$@")\nCOMP_CWORD=$(($# - 1))\n_coxctl\nprintf "%s\\n" "${COMPREPLY[@]}"\n')

    def complete(*words):
        return subprocess.run(["bash", str(script), COXCTL, COXCTL, *words], capture_output=True, text=True, cwd=tmp_path, check=True).stdout.split()
    assert complete("proxy-c") == ["proxy-config"] and complete("pc", "clus") == ["cluster"]
    assert complete("pc", "cluster", "-o", "") == ["json", "yaml", "short"] and complete("pc", "cluster", "--fq") == ["--fqdn"]
    assert complete("pc", "cluster", "--file", "du") == ["dump.json"]
