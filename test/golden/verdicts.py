"""The objects of test/golden/validate/verdicts.tsv."""
import os

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "validate/verdicts.tsv")
HEAD = """# Whether Istio takes these objects, as istioctl said (hack/record-verdicts writes the first column anew, and keeps the others).
# Columns, separated by tabs: "valid", "warned" (valid, with a warning) or "invalid"; the spec; where our verdict differs, why.
"""


class Row:
    def __init__(self, kind, api_version, verdict, spec, why):
        self.kind, self.api_version, self.verdict, self.spec, self.why = kind, api_version, verdict, spec, why


def read():
    rows, kind, version = [], None, None
    with open(PATH) as f:
        for line in f.read().split("\n"):
            if line.startswith("## "):
                _, kind, version = line.split()
            elif line and not line.startswith("# "):
                verdict, spec, why = (line.split("\t") + ["", ""])[:3]
                rows.append(Row(kind, version, verdict, spec, why))
    return rows


def write(rows):
    out, kind = HEAD, None
    for r in rows:
        if r.kind != kind:
            out += "## %s %s\n" % (r.kind, r.api_version)
            kind = r.kind
        out += "\t".join([r.verdict, r.spec] + ([r.why] if r.why else [])) + "\n"
    with open(PATH, "w") as f:
        f.write(out)


def document(row, name):
    return "apiVersion: %s\nkind: %s\nmetadata: {name: %s, namespace: shop}\nspec: %s\n" % (row.api_version, row.kind, name, row.spec)
