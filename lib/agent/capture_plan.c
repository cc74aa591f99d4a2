/* capture_plan - which rules make a pod's traffic go through its proxy. */
#include "agent/capture_priv.h"

#define IN "ISTIO_INBOUND"
#define OUT "ISTIO_OUTPUT"
#define IN_REDIRECT "ISTIO_IN_REDIRECT"
#define REDIRECT "ISTIO_REDIRECT"
#define DNS "ISTIO_OUTPUT_DNS"
#define DIVERT "ISTIO_DIVERT"
#define TPROXY "ISTIO_TPROXY"

enum { OWN_MARK = 1338, DNS_ZONE_PROXY = 1, DNS_ZONE_APP = 2 };

struct plan {
	const struct cox_agent_capture *c;
	bool v6;
	struct cox_str loopback, passthrough;
	capture_put_fn *put;
	void *ctx;
};

/* The names that istio-iptables uses, so that its tools and ours can clean up after each other. */
const char *const *capture_chains(enum capture_table t)
{
	static const char *const nat[] = { IN, IN_REDIRECT, OUT, REDIRECT, DNS, NULL }, *const mangle[] = { IN, DIVERT, TPROXY, OUT, NULL },
	                         *const raw[] = { IN, DNS, NULL };
	return t == CAPTURE_NAT ? nat : t == CAPTURE_MANGLE ? mangle : raw;
}

static bool is_tproxy(const struct cox_agent_capture *c) { return cox_str_eq(c->mode, COX_STR("TPROXY")); }

bool capture_needs_table(const struct cox_agent_capture *c, enum capture_table t)
{
	return t == CAPTURE_NAT || (t == CAPTURE_MANGLE ? is_tproxy(c) || c->drop_invalid : c->redirect_dns);
}

static void put(const struct plan *p, const struct capture_rule *rule) { p->put(p->ctx, rule); }

#define PUT(...) put(p, &(struct capture_rule){ __VA_ARGS__ })
#define NAT(chain_) .table = CAPTURE_NAT, .chain = chain_
#define MANGLE(chain_) .table = CAPTURE_MANGLE, .chain = chain_
#define RAW(chain_) .table = CAPTURE_RAW, .chain = chain_
#define JUMP(to) .verdict = CAPTURE_JUMP, .jump = to
#define EACH(item, list) for (struct cox_str rest_##item = (list), item; capture_next(&rest_##item, &item);)

static bool is_of_family(const struct plan *p, struct cox_str cidr) { return capture_cidr_family(cidr) == (p->v6 ? 6 : 4); }

/* --- inbound --------------------------------------------------------------------------------- */

static void plan_kube_interfaces(const struct plan *p)
{
	EACH(name, p->c->kube_interfaces)
	{
		EACH(cidr, p->c->exclude_cidrs)
		if (is_of_family(p, cidr))
			PUT(NAT(IN), .in = name, .dst = cidr, .verdict = CAPTURE_RETURN);
		if (capture_is_all(p->c->include_cidrs))
			PUT(NAT(IN), .in = name, .is_tcp = true, JUMP(REDIRECT));
		else
			EACH(cidr, p->c->include_cidrs)
		if (is_of_family(p, cidr))
			PUT(NAT(IN), .in = name, .dst = cidr, .is_tcp = true, JUMP(REDIRECT));
		PUT(NAT(IN), .in = name, .verdict = CAPTURE_RETURN);
	}
}

static void plan_tunnel_port(const struct plan *p, enum capture_table table, char text[8])
{
	PUT(.table = table, .chain = IN, .is_tcp = true, .port = cox_str_of(text), .verdict = CAPTURE_RETURN);
}

static void plan_inbound_redirect(const struct plan *p, char tunnel[8])
{
	EACH(name, p->c->exclude_interfaces)
	PUT(NAT(IN), .in = name, .verdict = CAPTURE_RETURN);
	plan_kube_interfaces(p);
	plan_tunnel_port(p, CAPTURE_NAT, tunnel);
	if (!capture_is_all(p->c->include_inbound_ports)) {
		EACH(port, p->c->include_inbound_ports)
		PUT(NAT(IN), .is_tcp = true, .port = port, JUMP(IN_REDIRECT));
		return;
	}
	EACH(port, p->c->exclude_inbound_ports)
	PUT(NAT(IN), .is_tcp = true, .port = port, .verdict = CAPTURE_RETURN);
	PUT(NAT(IN), .is_tcp = true, JUMP(IN_REDIRECT));
}

/* The proxy takes connections with their addresses untouched and calls the application with the client's as source. A mark on what it
 * sends, kept on the connection and put back on the answers, leads them to loopback (by policy routing) instead of to the client. */
static void plan_inbound_tproxy(const struct plan *p, char tunnel[8])
{
	uint32_t mark = p->c->tproxy_mark;
	PUT(MANGLE(DIVERT), .verdict = CAPTURE_SET_MARK, .value = mark);
	PUT(MANGLE(DIVERT), .verdict = CAPTURE_ACCEPT);
	PUT(MANGLE(TPROXY), .dst = p->loopback, .not_dst = true, .is_tcp = true, .verdict = CAPTURE_TPROXY, .value = p->c->inbound_port,
	    .tproxy_mark = mark);
	PUT(MANGLE(IN), .is_tcp = true, .mark = mark, .verdict = CAPTURE_SAVE_MARK);
	PUT(MANGLE(IN), .is_tcp = true, .mark = mark, .verdict = CAPTURE_RETURN);
	EACH(name, p->c->exclude_interfaces)
	PUT(MANGLE(IN), .in = name, .verdict = CAPTURE_RETURN);
	PUT(MANGLE(IN), .in = COX_STR("lo"), .src = p->passthrough, .is_tcp = true, .verdict = CAPTURE_RETURN);
	/* The application's calls to its own pod stay direct; those of the proxy go through the inbound listener. */
	PUT(MANGLE(IN), .in = COX_STR("lo"), .is_tcp = true, .mark = OWN_MARK, .not_mark = true, .verdict = CAPTURE_RETURN);
	plan_tunnel_port(p, CAPTURE_MANGLE, tunnel);
	bool all = capture_is_all(p->c->include_inbound_ports);
	if (all)
		EACH(port, p->c->exclude_inbound_ports)
	PUT(MANGLE(IN), .is_tcp = true, .port = port, .verdict = CAPTURE_RETURN);
	EACH(port, all ? COX_STR("*") : p->c->include_inbound_ports)
	{
		struct cox_str only = all ? COX_STR("") : port;
		PUT(MANGLE(IN), .is_tcp = true, .port = only, .state = CAPTURE_ESTABLISHED, JUMP(DIVERT));
		PUT(MANGLE(IN), .is_tcp = true, .port = only, JUMP(TPROXY));
	}
}

static void plan_marks(const struct plan *p)
{
	uint32_t mark = p->c->tproxy_mark;
	PUT(MANGLE(OUT), .out = COX_STR("lo"), .is_tcp = true, .mark = mark, .verdict = CAPTURE_RETURN);
	EACH(id, p->c->proxy_uids)
	PUT(MANGLE(OUT), .out = COX_STR("lo"), .dst = p->loopback, .not_dst = true, .is_tcp = true, .owner = "uid", .id = id,
	    .verdict = CAPTURE_SET_MARK, .value = OWN_MARK);
	EACH(id, p->c->proxy_gids)
	PUT(MANGLE(OUT), .out = COX_STR("lo"), .dst = p->loopback, .not_dst = true, .is_tcp = true, .owner = "gid", .id = id,
	    .verdict = CAPTURE_SET_MARK, .value = OWN_MARK);
	PUT(MANGLE(OUT), .is_tcp = true, .conn_mark = mark, .verdict = CAPTURE_RESTORE_MARK);
}

/* --- outbound -------------------------------------------------------------------------------- */

/* What the proxy itself sends: to its own pod (a call of the application to its own service, on its way back in) goes
 * through the inbound listener; the application's plain calls to loopback stay direct; all else leaves untouched. */
static void plan_owner(const struct plan *p, const char *kind, struct cox_str ids, char tunnel[8])
{
	bool dns = p->c->redirect_dns;
	struct cox_str dns_port = dns ? COX_STR("53") : COX_STR("");
	if (!is_tproxy(p->c)) /* else marked, in mangle */
		EACH(id, ids)
	PUT(NAT(OUT), .out = COX_STR("lo"), .dst = p->loopback, .not_dst = true, .is_tcp = true, .port = cox_str_of(tunnel),
	    .not_port = true, .not_port_too = dns ? 53 : 0, .owner = kind, .id = id, JUMP(IN_REDIRECT));
	EACH(id, ids)
	{
		/* A resolver on loopback is captured like any other. */
		PUT(NAT(OUT), .out = COX_STR("lo"), .is_tcp = dns, .port = dns_port, .not_port = dns, .owner = kind, .id = id,
		    .not_id = true, .verdict = CAPTURE_RETURN);
		PUT(NAT(OUT), .owner = kind, .id = id, .verdict = CAPTURE_RETURN);
	}
}

static void plan_outbound(const struct plan *p, char tunnel[8])
{
	EACH(name, p->c->exclude_interfaces)
	PUT(NAT(OUT), .out = name, .verdict = CAPTURE_RETURN);
	EACH(port, p->c->exclude_outbound_ports)
	PUT(NAT(OUT), .is_tcp = true, .port = port, .verdict = CAPTURE_RETURN);
	/* Inbound passthrough binds this source: without the rule its connection would come back to the proxy for ever. */
	PUT(NAT(OUT), .out = COX_STR("lo"), .src = p->passthrough, .verdict = CAPTURE_RETURN);
	plan_owner(p, "uid", p->c->proxy_uids, tunnel);
	plan_owner(p, "gid", p->c->proxy_gids, tunnel);
	if (p->c->redirect_dns)
		PUT(NAT(OUT), .is_tcp = true, .port = COX_STR("53"), JUMP(DNS));
	PUT(NAT(OUT), .dst = p->loopback, .verdict = CAPTURE_RETURN);
	EACH(cidr, p->c->exclude_cidrs)
	if (is_of_family(p, cidr))
		PUT(NAT(OUT), .dst = cidr, .verdict = CAPTURE_RETURN);
	EACH(port, p->c->include_outbound_ports)
	PUT(NAT(OUT), .is_tcp = true, .port = port, JUMP(REDIRECT));
	if (capture_is_all(p->c->include_cidrs))
		PUT(NAT(OUT), .is_tcp = true, JUMP(REDIRECT));
	else
		EACH(cidr, p->c->include_cidrs)
	if (is_of_family(p, cidr))
		PUT(NAT(OUT), .dst = cidr, .is_tcp = true, JUMP(REDIRECT));
}

/* --- DNS ------------------------------------------------------------------------------------- */

static void plan_dns_owner(const struct plan *p, const char *kind, struct cox_str ids)
{
	EACH(id, ids)
	{
		PUT(NAT(DNS), .is_udp = true, .port = COX_STR("53"), .owner = kind, .id = id, .verdict = CAPTURE_RETURN);
		PUT(RAW(DNS), .is_udp = true, .port = COX_STR("53"), .owner = kind, .id = id, .verdict = CAPTURE_ZONE,
		    .value = DNS_ZONE_PROXY);
		PUT(RAW(DNS), .is_udp = true, .port = COX_STR("53"), .owner = kind, .id = id, .verdict = CAPTURE_RETURN);
		PUT(RAW(DNS), .is_udp = true, .src_port = p->c->dns_port, .owner = kind, .id = id, .verdict = CAPTURE_ZONE,
		    .value = DNS_ZONE_APP);
	}
}

static void plan_dns_server(const struct plan *p, struct cox_str server)
{
	PUT(NAT(DNS), .dst = server, .is_udp = true, .port = COX_STR("53"), .verdict = CAPTURE_REDIRECT, .value = p->c->dns_port);
	PUT(NAT(DNS), .dst = server, .is_tcp = true, .port = COX_STR("53"), .verdict = CAPTURE_REDIRECT, .value = p->c->dns_port);
	/* The proxy asks the same server, perhaps from the port that the application has: each has connections of its own. */
	PUT(RAW(DNS), .dst = server, .is_udp = true, .port = COX_STR("53"), .verdict = CAPTURE_ZONE, .value = DNS_ZONE_APP);
	PUT(RAW(IN), .src = server, .is_udp = true, .src_port = 53, .verdict = CAPTURE_ZONE, .value = DNS_ZONE_PROXY);
}

static void plan_dns(const struct plan *p)
{
	plan_dns_owner(p, "uid", p->c->proxy_uids);
	plan_dns_owner(p, "gid", p->c->proxy_gids);
	if (capture_is_all(p->c->dns_servers))
		plan_dns_server(p, COX_STR(""));
	else
		EACH(server, p->c->dns_servers)
	if (is_of_family(p, server))
		plan_dns_server(p, server);
}

/* --- the whole ------------------------------------------------------------------------------- */

static void plan_jumps(const struct plan *p)
{
	if (p->c->drop_invalid) /* a packet that no connection knows would pass beside the proxy, and its reset would end a good one */
		PUT(MANGLE("PREROUTING"), .state = CAPTURE_INVALID, JUMP(IN));
	if (is_tproxy(p->c)) {
		PUT(MANGLE("PREROUTING"), .is_tcp = true, JUMP(IN));
		PUT(MANGLE("OUTPUT"), .is_tcp = true, JUMP(OUT));
	} else {
		PUT(NAT("PREROUTING"), .is_tcp = true, JUMP(IN));
	}
	PUT(NAT("OUTPUT"), .is_tcp = true, JUMP(OUT));
	if (p->c->redirect_dns) {
		PUT(NAT("OUTPUT"), .is_udp = true, JUMP(DNS));
		PUT(RAW("OUTPUT"), .is_udp = true, JUMP(DNS));
		PUT(RAW("PREROUTING"), .is_udp = true, JUMP(IN));
	}
}

void capture_plan(const struct cox_agent_capture *c, bool v6, capture_put_fn *put_fn, void *ctx)
{
	struct plan plan = { .c = c,
		             .v6 = v6,
		             .put = put_fn,
		             .ctx = ctx,
		             .loopback = v6 ? COX_STR("::1/128") : COX_STR("127.0.0.1/32"),
		             .passthrough = v6 ? COX_STR("::6/128") : COX_STR("127.0.0.6/32") };
	const struct plan *p = &plan;
	char tunnel[8];
	COX_AUTO(cox_buf_fini) struct cox_buf text = { 0 };
	cox_buf_printf(&text, "%u", (unsigned)c->tunnel_port);
	cox_str_to_cstr(cox_buf_str(&text), tunnel, sizeof(tunnel));
	plan_jumps(p);
	if (c->drop_invalid)
		PUT(MANGLE(IN), .state = CAPTURE_INVALID, .verdict = CAPTURE_DROP);
	PUT(NAT(IN_REDIRECT), .is_tcp = true, .verdict = CAPTURE_REDIRECT, .value = c->inbound_port);
	PUT(NAT(REDIRECT), .is_tcp = true, .verdict = CAPTURE_REDIRECT, .value = c->outbound_port);
	if (is_tproxy(c)) {
		plan_inbound_tproxy(p, tunnel);
		plan_marks(p);
	} else {
		plan_inbound_redirect(p, tunnel);
	}
	plan_outbound(p, tunnel);
	if (c->redirect_dns)
		plan_dns(p);
}
