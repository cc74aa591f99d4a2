"""coxctl analyze beside Istio's analyzers: the same codes about the same objects.

A case is analyze/CASE.yaml: a mesh with objects that are fine and objects that are not; CASE.mesh and CASE.networks are its MeshConfig and
MeshNetworks. CASE.full has what Istio's analyzers say of it (hack/istio/analyze), CASE.offline what `istioctl analyze --use-kube=false` says.
`--rewrite` asks them anew. Lines "# ours only: CODE OBJECT : reason" and "# istio only: ..." at the top of a case are the differences.

covers: d33 d34 d35 d36 d37 d38 d39 d40 d41 d42 d43 d44 d45 d46 d47 d48 d49 d50 d51 d52 d53 d55 d56 d57 d58 d59 d60 d61 d62 d63 d64 d65 d66 d67 d68 d69 f1
"""
import glob
import json
import os
import re
import subprocess

import pytest

import refdiff

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "analyze")
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CASES = sorted(os.path.basename(p)[:-5] for p in glob.glob(os.path.join(HERE, "*.yaml")))


def coxctl(*args, status=None, stdin=None):
    done = subprocess.run([refdiff.COXCTL, "analyze", *args], capture_output=True, text=True, input=stdin, cwd=HERE)
    if status is not None:
        assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    return done


def judges():
    return subprocess.run([os.path.join(TOP, "hack/istio/build")], capture_output=True, text=True, check=True).stdout.split()[-1]


def path(case, form):
    name = os.path.join(HERE, f"{case}.{form}")
    return name if os.path.exists(name) else None


def record(case):
    there, yaml = judges(), path(case, "yaml")
    mesh, networks = path(case, "mesh"), path(case, "networks")
    full = subprocess.run([f"{there}/judge-analyze", *(["--mesh", mesh] if mesh else []), *(["--networks", networks] if networks else []), yaml],
                          capture_output=True, text=True, check=True).stdout
    offline = subprocess.run([f"{there}/istioctl", "analyze", "--use-kube=false", "-A", "-o", "json",
                              *(["--meshConfigFile", mesh] if mesh else []), yaml], capture_output=True, text=True, check=True)
    assert "error" not in offline.stderr.lower(), offline.stderr
    for form, lines in (("full", [x for x in full.split("\n") if re.match(r"IST\d", x)]),
                        ("offline", [f"{m['code']} {m.get('origin', '-')}" for m in json.loads(offline.stdout[offline.stdout.index("["):])])):
        with open(os.path.join(HERE, f"{case}.{form}"), "w") as out:
            out.write("".join(x + "\n" for x in sorted(set(lines))))


def expected(case, form):
    theirs = set(open(os.path.join(HERE, f"{case}.{form}")).read().split("\n")) - {""}
    head = re.findall(r"^# (ours|istio) only( full| offline)?: (\S+ .*?) : \S.*$", open(path(case, "yaml")).read(), re.M)
    for who, when, line in head:
        if when.strip() in ("", form):
            assert (line in theirs) == (who == "istio"), f"{line}: this is no difference any more"
            (theirs.add if who == "ours" else theirs.remove)(line)
    return theirs


def said(case, *args):
    mesh = path(case, "mesh")
    done = coxctl("--use-kube=false", "-A", "-o", "json", *(["--meshConfigFile", mesh] if mesh else []), *args, f"{case}.yaml", status=0)
    messages = json.loads(done.stdout)
    for m in messages:
        assert m["message"] and m["level"] in ("Error", "Warning", "Info") and m["documentationUrl"].endswith(f"/{m['code'].lower()}/")
    # Said of every object of a kind that is only checked yet: true, and of no use in a comparison.
    return {f"{m['code']} {m.get('origin', '-')}" for m in messages if "this release checks" not in m["message"]}


@pytest.mark.parametrize("case", CASES)
def test_as_istio(case, rewrite):
    if rewrite:
        record(case)
    args = ["--meshNetworksFile", path(case, "networks")] if path(case, "networks") else []
    assert said(case, "--complete", *args) == expected(case, "full")
    assert said(case) == expected(case, "offline")


def test_every_code_has_a_case():
    """Codes that no case shows are named here, with where they are shown."""
    elsewhere = {"IST0001", "IST0143", "IST0168",  # said by nobody, as in Istio
                 "IST0136", "IST0141", "IST0142", "IST0156", "IST0169", "IST0172",  # precheck: test/unit/analyze
                 "IST0170"}  # several clusters: test/unit/analyze
    table = open(os.path.join(TOP, "lib/analyze/message.def")).read()
    codes = set(re.findall(r'"(IST\d+)"', table))
    shown = {line.split()[0] for case in CASES for line in expected(case, "full")}
    assert codes - shown == elsewhere


def test_codes_are_istios(rewrite):
    name = os.path.join(HERE, "messages.tsv")
    if rewrite:
        text = open(os.path.join(judges(), "istio/pkg/config/analysis/msg/messages.yaml")).read()
        rows = re.findall(r'- name: "(\w+)"\s+code: (IST\d+)\s+level: (\w+)', text)
        with open(name, "w") as out:
            out.write("".join(f"{code}\t{n}\t{level}\n" for n, code, level in sorted(rows, key=lambda r: r[1])))
    ours = re.findall(r'^X\(\w+,\s+"(IST\d+)",\s+"(\w+)",\s+(\w+),', open(os.path.join(TOP, "lib/analyze/message.def")).read(), re.M)
    theirs = [line.split("\t") for line in open(name).read().strip().split("\n")]
    assert sorted((c, n, lv.lower()) for c, n, lv in ours) == sorted((c, n, lv.lower()) for c, n, lv in theirs)


# --- the command line ----------------------------------------------------------------------------------------------

BAD = """apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: lost, namespace: NS}
spec:
  hosts: [a.example]
  gateways: [nowhere]
  http: [{route: [{destination: {host: a.example}}]}]
"""


def test_exit_status(tmp_path):
    (tmp_path / "bad.yaml").write_text(BAD.replace("NS", "default"))
    bad = str(tmp_path / "bad.yaml")
    done = coxctl("--use-kube=false", bad, status=79)
    assert re.match(r"Error \[IST0101\] \(VirtualService default/lost .*bad.yaml:6\) spec.gateways\[0\]: there is no Gateway", done.stdout)
    assert "Error: Analyzers found issues when analyzing namespace: default." in done.stderr
    coxctl("--use-kube=false", "-o", "json", bad, status=0)
    coxctl("--use-kube=false", "--suppress", "IST0101=VirtualService lost.*", bad, status=0)
    coxctl("--use-kube=false", "-S", "IST0101=VirtualService default/lost", "--failure-threshold", "warning", bad, status=79)
    coxctl("--use-kube=false", "-n", "other", bad, status=0)
    coxctl("--use-kube=false", "-n", "default", bad, status=79)
    shown = coxctl("--use-kube=false", "--output-threshold", "Error", bad, status=79).stdout
    assert "IST0101" in shown and "IST0132" not in shown
    assert "\033[1;31mError\033[0m" in coxctl("--use-kube=false", "--color=true", bad).stdout
    coxctl("--use-kube=false", "-o", "xml", bad, status=64)
    coxctl("--use-kube=false", "--failure-threshold", "Bad", bad, status=64)
    coxctl("--use-kube=false", str(tmp_path / "none.yaml"), status=1)
    assert "unknown message code" in coxctl("--use-kube=false", "-S", "IST9999=X y", bad).stderr


def test_files(tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "list.yml").write_text("apiVersion: v1\nkind: List\nitems:\n- " + BAD.replace("NS", "default").replace("\n", "\n  "))
    (tmp_path / "deep" / "README").write_text("not YAML: {{{")
    done = coxctl("--use-kube=false", str(tmp_path), status=79)
    assert "IST0101" in done.stdout and "Skipping file" in done.stderr
    done = coxctl("--use-kube=false", "-", stdin=BAD.replace("NS", "default"), status=79)
    assert "(VirtualService default/lost -:6)" in done.stdout
    (tmp_path / "deep" / "broken.yaml").write_text("kind: [")
    (tmp_path / "deep" / "er" / "list.yml").unlink()
    coxctl("--use-kube=false", str(tmp_path), status=65)
    coxctl("--use-kube=false", "--ignore-unknown", str(tmp_path), status=0)
    (tmp_path / "fine.yaml").write_text("apiVersion: example.com/v1\nkind: Unknown\nmetadata: {name: x}\n")
    assert "No validation issues found when analyzing" in coxctl("--use-kube=false", str(tmp_path / "fine.yaml"), status=0).stderr


def test_analyzers():
    listed = re.findall(r"^\* (\S+):$", coxctl("-L", status=0).stdout, re.M)
    assert listed == sorted(listed) and len(listed) == 52
    out = coxctl("--use-kube=false", "-A", "--complete", "--analyzer", "gateway.CertificateAnalyzer", "gateways.yaml").stdout
    assert set(re.findall(r"\[(IST\d+)\]", out)) == {"IST0138"}
    verbose = coxctl("--use-kube=false", "-A", "-v", "gateways.yaml").stderr
    skipped, ran = verbose.split("Executed analyzers:")
    assert "gateway.SecretAnalyzer" in skipped and "gateway.CertificateAnalyzer" in ran
