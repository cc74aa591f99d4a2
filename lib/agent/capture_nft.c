/* capture_nft - the rules as input of nft -f: one table of our own in each address family, replaced as a whole. */
#include "agent/capture_priv.h"

/* Hooks of the tables that iptables has, with its priorities; only nat's and route's may be of these types. */
static const struct {
	const char *prerouting, *output;
} hooks[CAPTURE_TABLES] = {
	[CAPTURE_RAW] = { "type filter hook prerouting priority -300", "type filter hook output priority -300" },
	[CAPTURE_MANGLE] = { "type filter hook prerouting priority -150", "type route hook output priority -150" },
	[CAPTURE_NAT] = { "type nat hook prerouting priority -100", "type nat hook output priority -100" },
};
static const char *const prefixes[CAPTURE_TABLES] = { "raw_", "mangle_", "nat_" };

struct writer {
	struct cox_buf *out;
	enum capture_table table;
	const char *chain;
	bool v6;
};

static void write_match(struct cox_buf *out, const struct capture_rule *r, bool v6)
{
	const char *ip = v6 ? "ip6" : "ip", *proto = r->is_udp ? "udp" : "tcp";
	if (r->in.n) /* iptables' '+' at the end is '*' here */
		cox_buf_printf(out, " iifname \"%.*s%s\"", (int)(r->in.n - (r->in.p[r->in.n - 1] == '+')), r->in.p,
		               r->in.p[r->in.n - 1] == '+' ? "*" : "");
	if (r->out.n)
		cox_buf_printf(out, " oifname \"%.*s%s\"", (int)(r->out.n - (r->out.p[r->out.n - 1] == '+')), r->out.p,
		               r->out.p[r->out.n - 1] == '+' ? "*" : "");
	if (r->src.n)
		cox_buf_printf(out, " %s saddr %.*s", ip, COX_FMT(r->src));
	if (r->dst.n)
		cox_buf_printf(out, " %s daddr %s%.*s", ip, r->not_dst ? "!= " : "", COX_FMT(r->dst));
	if ((r->is_tcp || r->is_udp) && !r->port.n && !r->src_port)
		cox_buf_printf(out, " meta l4proto %s", proto);
	if (r->src_port)
		cox_buf_printf(out, " %s sport %u", proto, (unsigned)r->src_port);
	if (r->port.n && r->not_port_too)
		cox_buf_printf(out, " %s dport != { %u, %.*s }", proto, (unsigned)r->not_port_too, COX_FMT(r->port));
	else if (r->port.n)
		cox_buf_printf(out, " %s dport %s%.*s", proto, r->not_port ? "!= " : "", COX_FMT(r->port));
	if (r->state)
		cox_buf_append_cstr(out, r->state == CAPTURE_INVALID ? " ct state invalid" : " ct state established,related");
	if (r->mark)
		cox_buf_printf(out, " meta mark %s%u", r->not_mark ? "!= " : "", r->mark);
	if (r->conn_mark)
		cox_buf_printf(out, " ct mark %u", r->conn_mark);
	if (r->owner)
		cox_buf_printf(out, " meta sk%s %s%.*s", r->owner, r->not_id ? "!= " : "", COX_FMT(r->id));
}

static void write_verdict(struct writer *w, const struct capture_rule *r)
{
	struct cox_buf *out = w->out;
	switch (r->verdict) {
	case CAPTURE_RETURN: cox_buf_append_cstr(out, " return\n"); break;
	case CAPTURE_ACCEPT: cox_buf_append_cstr(out, " accept\n"); break;
	case CAPTURE_DROP: cox_buf_append_cstr(out, " drop\n"); break;
	case CAPTURE_JUMP: cox_buf_printf(out, " jump %s%s\n", prefixes[r->table], r->jump); break;
	case CAPTURE_REDIRECT: cox_buf_printf(out, " redirect to :%u\n", r->value); break;
	case CAPTURE_TPROXY: cox_buf_printf(out, " tproxy to :%u meta mark set %u accept\n", r->value, r->tproxy_mark); break;
	case CAPTURE_SET_MARK: cox_buf_printf(out, " meta mark set %u\n", r->value); break;
	case CAPTURE_SAVE_MARK: cox_buf_append_cstr(out, " ct mark set meta mark\n"); break;
	case CAPTURE_RESTORE_MARK: cox_buf_append_cstr(out, " meta mark set ct mark\n"); break;
	case CAPTURE_ZONE: cox_buf_printf(out, " ct zone set %u\n", r->value); break;
	}
}

static void put_rule(void *ctx, const struct capture_rule *r)
{
	struct writer *w = ctx;
	if (r->table != w->table || strcmp(r->chain, w->chain) != 0)
		return;
	cox_buf_append_cstr(w->out, "\t\t");
	write_match(w->out, r, w->v6);
	write_verdict(w, r);
}

static void write_chain(const struct cox_agent_capture *c, struct writer *w, const char *chain, const char *hook)
{
	w->chain = chain;
	cox_buf_printf(w->out, "\tchain %s%s {\n", prefixes[w->table], chain);
	if (hook)
		cox_buf_printf(w->out, "\t\t%s; policy accept;\n", hook);
	capture_plan(c, w->v6, put_rule, w);
	cox_buf_append_cstr(w->out, "\t}\n");
}

/* Adding the table first makes the deletion succeed where there is none. */
static void write_delete(struct cox_buf *out, bool v6)
{
	cox_buf_printf(out, "table %s coxswain\ndelete table %s coxswain\n", v6 ? "ip6" : "ip", v6 ? "ip6" : "ip");
}

void cox_agent_capture_build_nft(const struct cox_agent_capture *c, bool v6, struct cox_buf *out)
{
	write_delete(out, v6);
	cox_buf_printf(out, "table %s coxswain {\n", v6 ? "ip6" : "ip");
	for (unsigned t = 0; t < CAPTURE_TABLES; t++) {
		if (!capture_needs_table(c, t))
			continue;
		struct writer w = { .out = out, .table = t, .v6 = v6 };
		for (const char *const *chain = capture_chains(t); *chain; chain++)
			write_chain(c, &w, *chain, NULL);
		write_chain(c, &w, "PREROUTING", hooks[t].prerouting);
		write_chain(c, &w, "OUTPUT", hooks[t].output);
	}
	cox_buf_append_cstr(out, "}\n");
}

void cox_agent_capture_build_nft_clean(bool v6, struct cox_buf *out) { write_delete(out, v6); }
