"""The traffic oracle, the part for every check: some hundreds of random requests through a sidecar and a gateway, a real Envoy against
`coxctl explain route`. `make oracle` asks thousands.

covers: f30 a1 a2 a4 a5 a6 a7 a8 a9 a10 a11 a13 a15 a19
"""
import collections
import json

import pytest

import routeoracle


@pytest.mark.parametrize("seed", [101, 102])
def test_explain_says_what_envoy_does(seed, tmp_path):
    total, bad, outcomes = routeoracle.run(seed, 150, str(tmp_path))
    assert not bad, json.dumps([{k: b[k] for k in ("who", "why", "request", "log")} | {"said": b["said"]["outcome"]} for b in bad[:3]], indent=1)
    assert total >= 300
    # The requests are no monoculture.
    assert outcomes["forward"] > 40 and len([k for k, n in outcomes.items() if n > 0]) >= 5, collections.Counter(outcomes)


def test_a_wrong_answer_is_noticed(tmp_path):
    """The comparison can fail: what Envoy did is held against the answer to another request."""
    said = {"outcome": "forward", "cluster": "outbound|80||s1.default.svc.cluster.local", "outbound": {"path": "/a", "clusters": []}}
    real = {"status": 200, "body": json.dumps({"path": "/a", "host": "s1"}), "location": None}
    request = {"host": "s1", "headers": {}}
    assert routeoracle.compare(request, real, (said["cluster"], 200, "-"), said) is None
    assert routeoracle.compare(request, real, ("outbound|80||s2.default.svc.cluster.local", 200, "-"), said)
    assert routeoracle.compare(request, {**real, "body": json.dumps({"path": "/b", "host": "s1"})}, (said["cluster"], 200, "-"), said)
    assert routeoracle.compare(request, real, ("-", 404, "NR"), said)
    assert routeoracle.compare(request, {**real, "status": 301, "location": "http://x/"}, ("-", 301, "-"),
                               {"outcome": "redirect", "status": 301, "outbound": {"action": {"location": "http://y/"}}})
