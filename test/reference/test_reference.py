"""What coxctl renders equals what a real istiod sent, but for what is listed here with its reason.

covers: a1 a2 a3 a58 a61 a62 a63 a64 a65 a66 a67 a68 a69 a76 a77 a78 a79 a81 a82 a83 a84 a85 a86 a87 a88 a90 a91 a92 a93 a94 a96 a97 a99 a100 a101 a102
covers: a104 a168 a169 a170 a127 a128 a129 a130 a131 a132 a133 a134 a135 a136 a137 a138 a140 a145 a146 a148 a149 a150 a151
"""
import copy
import re

import pytest

import refdiff

# Differences on purpose: (set, type, names, how the difference reads), each a regular expression; and why.
ON_PURPOSE = [
    (".", "CDS", ".", "slow_start_config.aggression.runtime_key", "Envoy wants some key; istiod's is an accident of formatting, ours has a name"),
    ("protocols", "CDS", r"inbound\|90\|\|", "only istiod has it", "a UDP port: a sidecar does not see UDP"),
    ("vs-http-all", "RDS", ".", r'request_mirror_policies.*"outbound\|8080\|\|cart-shadow.*istiod: "outbound\|(80|9000)\|\|cart-shadow',
     "the mirror names no port and the service has only 8080: istiod mirrors to a cluster that does not exist"),
    ("serviceentry", "LDS", "0.0.0.0_80", "ours only: .*dynamic_forward_proxy",
     "istiod leaves the filter out where another service made the listener first; requests to the wildcard host would then find no address"),
    ("gateway-tls router", "CDS|EDS", r"outbound\|.*(istio-ingressgateway|kubernetes|client)\.", "only istiod has it",
     "no route of this gateway leads there: routers get the clusters that something refers to"),
]


def reason(name, kind, resource, difference, who):
    where = name + (" router" if "ingressgateway" in who else "")
    for parts in ON_PURPOSE:
        if all(re.search(p, v) for p, v in zip(parts, (where, kind, resource, difference))):
            return parts[4]
    return None


def adjust(name, kind, resource, value):
    """istiod makes TCP filter chains for a UDP port of a Service. A sidecar does not see UDP: we make none."""
    if (name, kind, resource) != ("protocols", "LDS", "virtualInbound"):
        return value
    value = copy.deepcopy(value)
    value["filter_chains"] = [c for c in value["filter_chains"] if c.get("filter_chain_match", {}).get("destination_port") != 90]
    for f in value["listener_filters"]:
        rules = f.get("filter_disabled", {}).get("or_match", {}).get("rules", [])
        rules[:] = [r for r in rules if r["destination_port_range"] != {"start": 90, "end": 91}]
    return value


# Shares that must be reached, in per cent. Below 100 stands what is missing, and for which issue.
FLOORS = {
    "dr-lb": {"CDS": 100, "EDS": 100, "LDS": 100, "RDS": 100},
    "dr-pool-outlier-tls": {"CDS": 100, "EDS": 100, "LDS": 100, "RDS": 100},
    "gateway-tls": {"CDS": 100, "EDS": 100, "LDS": 100, "RDS": 100},
    "peerauth": {"CDS": 100, "EDS": 100, "LDS": 100, "RDS": 100},
    "protocols": {"CDS": 100, "EDS": 100, "LDS": 100, "RDS": 100},
    "serviceentry": {"CDS": 100, "EDS": 100, "LDS": 100, "RDS": 100},
    "sidecar": {"CDS": 100, "EDS": 100, "LDS": 100, "RDS": 100},
    "vs-http-all": {"CDS": 100, "EDS": 100, "LDS": 100, "RDS": 100},
}


@pytest.mark.parametrize("name", refdiff.sets())
def test_equals_istiod(name):
    result = refdiff.compare(name, reason, adjust)
    short = []
    for kind, floor in FLOORS[name].items():
        equal, total, bad = result[kind]
        if 100.0 * equal < floor * total:
            short.append("%s: %d of %d equal, wanted %d %%\n%s" % (kind, equal, total, floor, "\n".join(
                "  %s %s\n    %s" % (who, resource, "\n    ".join(found[:3])) for who, resource, found in bad[:10])))
    assert not short, "\n".join(short)


def test_renders_the_same_bytes_twice():
    """Nothing random, no time, no order of a map."""
    proxy = refdiff.proxies("protocols")[2]
    assert refdiff.render("protocols", proxy) == refdiff.render("protocols", proxy)


def test_how_many_are_equal():
    """The figures of README.md: as they are, before anything is put down to a reason. Secrets were not recorded, so they cannot be compared."""
    equal = total = scoped = 0
    reasons = []
    for name in refdiff.sets():
        for kind, (good, count, bad) in refdiff.compare(name).items():
            if kind == "SDS":
                continue
            equal += good
            total += count
            for who, resource, found in bad:
                why = {reason(name, kind, resource, d, who) for d in found}
                if (name, kind, resource) == ("protocols", "LDS", "virtualInbound"):
                    why = {"a UDP port: a sidecar does not see UDP"}  # adjust()
                assert None not in why, (name, kind, resource, found)
                scoped += any(w.startswith("no route of this gateway") for w in why)
                reasons.append(why)
    assert (total, scoped) == (962, 20) and equal >= 934 and total == equal + len(reasons)
    assert equal / (total - scoped) > 0.99
