"""Every object of validate/verdicts.tsv gets the verdict that Istio's own istioctl gave it, or says why not; each refusal names a field."""
import json
import os
import subprocess

import refdiff
import verdicts

COXCTL = os.path.join(os.environ.get("BUILD", os.path.join(refdiff.ROOT, "build")), "coxctl")


def ours(rows):
    text = "---\n".join(verdicts.document(r, "case-%d" % i) for i, r in enumerate(rows))
    done = subprocess.run([COXCTL, "validate", "-f", "-", "-o", "json"], input=text, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    found = [[] for _ in rows]
    for f in json.loads(done.stdout)["files"][0]["findings"]:
        found[int(f["name"].split("-")[1])].append(f)
    return found


def test_the_same_verdict_as_istio():
    """covers: d23 d69 f17"""
    rows = verdicts.read()
    assert len(rows) > 600 and len({r.kind for r in rows}) == 15
    wrong, vain = [], []
    for row, found in zip(rows, ours(rows)):
        errors = [f for f in found if f["severity"] == "error"]
        assert all(f["path"].startswith("spec") for f in errors), (row.spec, errors)
        same = bool(errors) == (row.verdict == "invalid")
        if same and row.why and not row.why.startswith("silent: "):
            vain.append(row.spec)
        elif not same and (not row.why or row.why.startswith("silent: ")):
            wrong.append("%s %s: istioctl says %s, ours: %s" % (row.kind, row.spec, row.verdict, "; ".join(f["path"] + ": " + f["message"] for f in errors)))
    assert not wrong, "\n".join(wrong)
    assert not vain, "a reason stands where there is no difference:\n" + "\n".join(vain)


def test_istio_warns_and_so_do_we():
    """covers: d24"""
    rows = [r for r in verdicts.read() if r.verdict == "warned" and not r.why]
    assert len(rows) > 10
    silent = [r.kind + " " + r.spec for r, found in zip(rows, ours(rows)) if not found]
    assert not silent, "\n".join(silent)


def test_files_and_directories(tmp_path):
    """covers: f17"""
    good, bad = verdicts.Row("Sidecar", "networking.istio.io/v1", "", "{egress: [{hosts: [./*]}]}", ""), verdicts.Row("Sidecar", "networking.istio.io/v1", "", "{ingres: []}", "")
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.yaml").write_text(verdicts.document(good, "good"))
    (tmp_path / "sub/b.yml").write_text(verdicts.document(bad, "bad"))
    (tmp_path / "notes.txt").write_text("no: object\n")
    (tmp_path / "c.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "n"}, "spec": {"ports": [{"port": 80}, {"port": 81, "name": "http-a"}, {"port": 53, "protocol": "UDP"}]}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "istio-system"}, "spec": {"ports": [{"port": 80}]}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "n"}, "spec": {"template": {"metadata": {"labels": {"app": "d"}}}}}]}))
    done = subprocess.run([COXCTL, "validate", "-f", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 1
    lines = done.stdout.replace(str(tmp_path), "DIR").splitlines()
    assert lines == [
        '"DIR/a.yaml" is valid',
        'error: Service n/s: spec.ports[0]: the port has no name: name it after its protocol, as in http-web (DIR/c.json line 1)',
        'warning: Deployment n/d: spec.template.metadata.labels: labels app and version are missing: metrics will not tell the workload\'s service and version (DIR/c.json line 1)',
        '"DIR/c.json" is not valid',
        'error: Sidecar shop/bad: spec.ingres: unknown field, ignored; did you mean "ingress"? (DIR/sub/b.yml line 4)',
        'error: Sidecar shop/bad: spec: the Sidecar is empty: one of ingress, egress, outboundTrafficPolicy, inboundConnectionPool must be set (DIR/sub/b.yml line 4)',
        '"DIR/sub/b.yml" is not valid']
    assert subprocess.run([COXCTL, "v", "-f", str(tmp_path / "a.yaml")], capture_output=True).returncode == 0
    gone = subprocess.run([COXCTL, "validate", "-f", str(tmp_path / "none.yaml")], capture_output=True, text=True)
    assert gone.returncode == 1 and "none.yaml" in gone.stdout
    assert subprocess.run([COXCTL, "validate"], capture_output=True).returncode == 2
