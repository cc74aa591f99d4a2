"""A stock Envoy takes every resource that is made for it.

covers: a58 a64 a77 a90 a96 a127 a146 a150
"""
import pytest

import envoy_check
import refdiff

CASES = [(name, p) for name in refdiff.sets() for p in refdiff.proxies(name)]


@pytest.mark.parametrize("name,proxy", CASES, ids=["%s-%s.%s" % (n, p["pod"], p["ns"]) for n, p in CASES])
def test_upstream_envoy_takes_it(name, proxy, tmp_path):
    rendered = refdiff.render(name, proxy, ["--class", "upstream"])
    assert "istio.metadata_exchange" not in str(rendered)
    assert envoy_check.refusal(rendered, tmp_path) is None


@pytest.mark.parametrize("name", refdiff.sets())
def test_without_an_agent(name, tmp_path):
    """Nobody serves certificates: nothing may wait for them, or the proxy would hang at its start."""
    rendered = refdiff.render(name, refdiff.proxies(name)[0], ["--class", "upstream", "--no-sds"])
    assert "sds-grpc" not in str(rendered)
    # Files that a rule names do not exist here, so Envoy would refuse for that reason alone.
    if "/c/ca.pem" not in str(rendered) and "/etc/ssl/ca.pem" not in str(rendered):
        assert envoy_check.refusal(rendered, tmp_path) is None


def test_the_check_has_teeth(tmp_path):
    """Istio's filters are not in a stock Envoy: it must say so, or the tests above prove nothing."""
    rendered = refdiff.render("protocols", refdiff.proxies("protocols")[0], ["--class", "istio"])
    assert "istio.metadata_exchange" in envoy_check.refusal({"CDS": rendered["CDS"]}, tmp_path)
    assert "istio.metadata_exchange" in envoy_check.refusal({"LDS": rendered["LDS"], "RDS": rendered["RDS"]}, tmp_path)
    rendered = refdiff.render("protocols", refdiff.proxies("protocols")[0], ["--class", "upstream"])
    rendered["RDS"]["80"]["virtual_hosts"][0]["routes"][0]["match"] = {"safe_regex": {"regex": "("}}
    assert "missing )" in envoy_check.refusal(rendered, tmp_path)
    name = next(iter(rendered["EDS"]))
    rendered = {"EDS": {name: dict(rendered["EDS"][name], endpoints=[{"priority": 7, "lb_endpoints": [{}]}])}}
    assert envoy_check.refusal(rendered, tmp_path) is not None
