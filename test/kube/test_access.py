"""May a service account list Secrets: asked of the kube-apiserver by SubjectAccessReview, as RBAC says, and again when that changes."""
import time


RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces"


def allow(lab, ns, account):
    lab.apply(f"{RBAC}/{ns}/roles/read", {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "read", "namespace": ns},
                                          "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "watch", "list"]}]})
    lab.apply(f"{RBAC}/{ns}/rolebindings/read", {
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "read", "namespace": ns},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "read"},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": ns}]})


def may(d, ns, account):
    mark = d.mark()
    d.send(f"may {ns} {account}")
    return d.expect(f"may {ns}/{account} ", mark=mark).split()[-1]


def until(d, ns, account, want, seconds=10):
    end = time.monotonic() + seconds
    while may(d, ns, account) != want:
        assert time.monotonic() < end, may(d, ns, account)
        time.sleep(0.1)


def test_rbac_decides(lab, driver, ns):
    """covers: c34"""
    allow(lab, ns, "gw")
    d = driver()
    d.expect("synced")
    assert may(d, ns, "gw") == "asking"
    until(d, ns, "gw", "allowed")
    assert "access changed" in d.since()
    until(d, ns, "other", "denied")
    # Without a namespace or an account nobody is meant.
    assert may(d, ns, "") == "denied"
    mark = d.mark()
    lab.delete(f"{RBAC}/{ns}/rolebindings/read")
    until(d, ns, "gw", "denied")
    assert "access changed" in d.since(mark)


def test_group_rights_count(lab, driver, ns):
    """A right of all accounts of the namespace is a right of each. covers: c34"""
    allow(lab, ns, "unused")
    lab.apply(f"{RBAC}/{ns}/rolebindings/all", {
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "all", "namespace": ns},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "read"},
        "subjects": [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": f"system:serviceaccounts:{ns}"}]})
    d = driver()
    until(d, ns, "anybody", "allowed")
