/* capture_iptables - the rules as input of iptables-restore --noflush. */
#include "agent/capture_priv.h"

static const char *const tables[CAPTURE_TABLES] = { "raw", "mangle", "nat" };

static void write_match(struct cox_buf *out, const struct capture_rule *r)
{
	if (r->in.n)
		cox_buf_printf(out, " -i %.*s", COX_FMT(r->in));
	if (r->out.n)
		cox_buf_printf(out, " -o %.*s", COX_FMT(r->out));
	if (r->src.n)
		cox_buf_printf(out, " -s %.*s", COX_FMT(r->src));
	if (r->dst.n)
		cox_buf_printf(out, "%s -d %.*s", r->not_dst ? " !" : "", COX_FMT(r->dst));
	if (r->is_tcp || r->is_udp)
		cox_buf_append_cstr(out, r->is_tcp ? " -p tcp" : " -p udp");
	if (r->src_port)
		cox_buf_printf(out, " --sport %u", (unsigned)r->src_port);
	if (r->port.n && r->not_port_too)
		cox_buf_printf(out, " -m multiport ! --dports %u,%.*s", (unsigned)r->not_port_too, COX_FMT(r->port));
	else if (r->port.n)
		cox_buf_printf(out, "%s --dport %.*s", r->not_port ? " !" : "", COX_FMT(r->port));
	if (r->state)
		cox_buf_printf(out, " -m conntrack --ctstate %s", r->state == CAPTURE_INVALID ? "INVALID" : "RELATED,ESTABLISHED");
	if (r->mark)
		cox_buf_printf(out, " -m mark%s --mark %u", r->not_mark ? " !" : "", r->mark);
	if (r->conn_mark)
		cox_buf_printf(out, " -m connmark --mark %u", r->conn_mark);
	if (r->owner)
		cox_buf_printf(out, " -m owner%s --%s-owner %.*s", r->not_id ? " !" : "", r->owner, COX_FMT(r->id));
}

static void write_verdict(struct cox_buf *out, const struct capture_rule *r)
{
	switch (r->verdict) {
	case CAPTURE_RETURN: cox_buf_append_cstr(out, " -j RETURN\n"); break;
	case CAPTURE_ACCEPT: cox_buf_append_cstr(out, " -j ACCEPT\n"); break;
	case CAPTURE_DROP: cox_buf_append_cstr(out, " -j DROP\n"); break;
	case CAPTURE_JUMP: cox_buf_printf(out, " -j %s\n", r->jump); break;
	case CAPTURE_REDIRECT: cox_buf_printf(out, " -j REDIRECT --to-ports %u\n", r->value); break;
	case CAPTURE_TPROXY: cox_buf_printf(out, " -j TPROXY --tproxy-mark %u/0xffffffff --on-port %u\n", r->tproxy_mark, r->value); break;
	case CAPTURE_SET_MARK: cox_buf_printf(out, " -j MARK --set-mark %u\n", r->value); break;
	case CAPTURE_SAVE_MARK: cox_buf_append_cstr(out, " -j CONNMARK --save-mark\n"); break;
	case CAPTURE_RESTORE_MARK: cox_buf_append_cstr(out, " -j CONNMARK --restore-mark\n"); break;
	case CAPTURE_ZONE: cox_buf_printf(out, " -j CT --zone %u\n", r->value); break;
	}
}

struct writer {
	struct cox_buf *out;
	enum capture_table table;
};

static void put_rule(void *ctx, const struct capture_rule *r)
{
	struct writer *w = ctx;
	if (r->table != w->table)
		return;
	cox_buf_printf(w->out, "-A %s", r->chain);
	write_match(w->out, r);
	write_verdict(w->out, r);
}

/* --- what an earlier run left ---------------------------------------------------------------- */

/* The lines of one table in what iptables-save printed. */
static struct cox_str section_of(struct cox_str saved, enum capture_table table)
{
	struct cox_str rest = saved, line;
	const char *from = NULL;
	while (rest.p != NULL && cox_str_next(&rest, '\n', &line)) {
		if (from && cox_str_has_prefix(line, COX_STR("COMMIT")))
			return cox_str_make(from, (size_t)(line.p - from));
		if (line.n > 1 && line.p[0] == '*' && cox_str_eq(cox_str_trim(cox_str_sub(line, 1, line.n)), cox_str_of(tables[table])))
			from = line.p;
	}
	return COX_STR("");
}

static bool is_our_jump(struct cox_str line)
{
	if (!cox_str_has_prefix(line, COX_STR("-A PREROUTING ")) && !cox_str_has_prefix(line, COX_STR("-A OUTPUT ")))
		return false;
	return cox_str_has_suffix(line, COX_STR(" -j ISTIO_INBOUND")) || cox_str_has_suffix(line, COX_STR(" -j ISTIO_OUTPUT")) ||
	       cox_str_has_suffix(line, COX_STR(" -j ISTIO_OUTPUT_DNS"));
}

static bool has_chain(struct cox_str section, const char *chain)
{
	COX_AUTO(cox_buf_fini) struct cox_buf text = { 0 };
	cox_buf_printf(&text, ":%s ", chain);
	return cox_str_search(section, cox_buf_str(&text)) >= 0;
}

static bool is_in_use(struct cox_str section, enum capture_table table)
{
	for (const char *const *chain = capture_chains(table); *chain; chain++)
		if (has_chain(section, *chain))
			return true;
	return false;
}

/* The table's head: our chains (which --noflush empties), and the jumps of earlier runs taken out. */
static void write_head(struct cox_str section, enum capture_table table, struct cox_buf *out)
{
	cox_buf_printf(out, "*%s\n", tables[table]);
	for (const char *const *chain = capture_chains(table); *chain; chain++)
		cox_buf_printf(out, ":%s - [0:0]\n", *chain);
	struct cox_str rest = section, line;
	while (rest.p != NULL && cox_str_next(&rest, '\n', &line)) {
		line = cox_str_trim(line);
		if (is_our_jump(line))
			cox_buf_printf(out, "-D%.*s\n", (int)(line.n - 2), line.p + 2);
	}
}

static void write_clean(struct cox_str section, enum capture_table table, struct cox_buf *out)
{
	write_head(section, table, out);
	for (const char *const *chain = capture_chains(table); *chain; chain++)
		cox_buf_printf(out, "-X %s\n", *chain);
	cox_buf_append_cstr(out, "COMMIT\n");
}

void cox_agent_capture_build(const struct cox_agent_capture *c, bool v6, struct cox_str saved, struct cox_buf *out)
{
	for (unsigned t = 0; t < CAPTURE_TABLES; t++) {
		struct cox_str section = section_of(saved, t);
		if (capture_needs_table(c, t)) {
			write_head(section, t, out);
			capture_plan(c, v6, put_rule, &(struct writer){ out, t });
			cox_buf_append_cstr(out, "COMMIT\n");
		} else if (is_in_use(section, t)) {
			write_clean(section, t, out);
		}
	}
}

void cox_agent_capture_build_clean(struct cox_str saved, struct cox_buf *out)
{
	for (unsigned t = 0; t < CAPTURE_TABLES; t++)
		if (is_in_use(section_of(saved, t), t))
			write_clean(section_of(saved, t), t, out);
}
