/*
 * capture - which connections of a pod go through its proxy, as rules for iptables-restore or nft.
 * Building the rules is pure; applying them runs iptables-save and iptables-restore (or nft) and ip in the current
 * network namespace and waits for them (this is `cox-agent init`, which has no loop).
 */
#ifndef COX_AGENT_CAPTURE_H
#define COX_AGENT_CAPTURE_H

#include "base/buf.h"
#include "base/err.h"

enum cox_agent_capture_backend {
	COX_AGENT_CAPTURE_AUTO /* nft where there is no iptables */,
	COX_AGENT_CAPTURE_IPTABLES,
	COX_AGENT_CAPTURE_NFT
};

/* Lists are comma-separated text as the flags have it; "*" means all, empty means none. All text is borrowed. */
struct cox_agent_capture {
	uint16_t outbound_port;                /* where Envoy takes outbound connections */
	uint16_t inbound_port;                 /* and inbound ones */
	uint16_t tunnel_port;                  /* HBONE: never redirected */
	struct cox_str proxy_uids, proxy_gids; /* whose connections are left alone */
	struct cox_str mode; /* "REDIRECT", or "TPROXY": inbound connections keep their addresses (Envoy needs CAP_NET_ADMIN).
	                      * A limit of the mode: the proxy's port towards the application may be one of the client's own */
	uint32_t tproxy_mark, tproxy_table; /* 1337; routing table 133 */
	bool redirect_dns, drop_invalid;
	uint16_t dns_port;          /* where the agent answers */
	struct cox_str dns_servers; /* with redirect_dns: questions to these are redirected; "*": to any */
	enum cox_agent_capture_backend backend;
	struct cox_str include_cidrs, exclude_cidrs;
	struct cox_str include_inbound_ports, exclude_inbound_ports;
	struct cox_str include_outbound_ports, exclude_outbound_ports;
	struct cox_str kube_interfaces; /* their traffic is outbound although it arrives from outside (nested VMs) */
	struct cox_str exclude_interfaces;
};

/* istio-iptables' defaults: everything is captured, ports 15001 and 15006, user and group 1337. */
void cox_agent_capture_defaults(struct cox_agent_capture *c);
/* All faults that a flag can have: ports, CIDRs, names, ids, mode. COX_EINVAL names the flag. */
COX_MUST_USE enum cox_rc cox_agent_capture_check(const struct cox_agent_capture *c, struct cox_err *err);
/* Appends the input of iptables-restore --noflush (`v6`: of ip6tables-restore). `saved` is what iptables-save
 * printed: jumps of an earlier run are taken out in the same transaction, so that a rerun changes nothing. */
void cox_agent_capture_build(const struct cox_agent_capture *c, bool v6, struct cox_str saved, struct cox_buf *out);
/* The same for taking everything away again. */
void cox_agent_capture_build_clean(struct cox_str saved, struct cox_buf *out);
/* The same as input of nft -f. */
void cox_agent_capture_build_nft(const struct cox_agent_capture *c, bool v6, struct cox_buf *out);
void cox_agent_capture_build_nft_clean(bool v6, struct cox_buf *out);
/* Looks for programs. */
bool cox_agent_capture_uses_nft(const struct cox_agent_capture *c);
/* Programs (or, with `clean`, clears, whatever the back end) both address families; rules of the other back end are taken away. IPv6 is
 * left out where the kernel has none. COX_EIO: a program is missing or failed; its words are in `err`. */
COX_MUST_USE enum cox_rc cox_agent_capture_apply(const struct cox_agent_capture *c, bool clean, struct cox_err *err);

#endif
