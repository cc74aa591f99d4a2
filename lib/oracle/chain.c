/* chain.c - what the listener filters find out about a connection, and the filter chain that it so gets. */
#include "oracle/oracle_priv.h"

/* --- sniffing ------------------------------------------------------------------------------------- */

/* ListenerFilterChainMatchPredicate */
static bool predicate_holds(const struct walk *w, const struct cox_json *p)
{
	const struct cox_json *c;
	if ((c = cox_json_at(p, "or_match.rules"))) {
		for (ORACLE_EACH(one, c))
			if (predicate_holds(w, one))
				return true;
		return false;
	}
	if ((c = cox_json_at(p, "and_match.rules"))) {
		for (ORACLE_EACH(one, c))
			if (!predicate_holds(w, one))
				return false;
		return true;
	}
	if ((c = oracle_get(p, "not_match")))
		return !predicate_holds(w, c);
	if ((c = oracle_get(p, "destination_port_range")))
		return w->r->dst_port >= oracle_int(c, "start", 0) && w->r->dst_port < oracle_int(c, "end", 0);
	return oracle_bool(p, "any_match", false);
}

static bool filter_runs(const struct walk *w, const char *type)
{
	for (ORACLE_EACH(f, oracle_get(w->out->listener, "listener_filters"))) {
		const struct cox_json *off = oracle_get(f, "filter_disabled");
		if (oracle_is_type(oracle_get(f, "typed_config"), type) && !(off && predicate_holds(w, off)))
			return true;
	}
	return false;
}

static void sniff(struct walk *w)
{
	struct cox_oracle_walk *out = w->out;
	out->transport = COX_STR("raw_buffer");
	if (w->r->is_tls && filter_runs(w, "TlsInspector")) {
		out->transport = COX_STR("tls");
		out->alpn = w->r->alpn;
	} else if (!w->r->is_tls && w->r->is_http && filter_runs(w, "HttpInspector")) {
		out->alpn = w->r->is_http2 ? COX_STR("h2c") : COX_STR("http/1.1");
	}
}

/* --- the nine levels ------------------------------------------------------------------------------- */

/* Chains still in the race, by index. */
struct race {
	struct walk *w;
	const struct cox_json *chains;
	bool *in;
	size_t n; /* still in */
	struct cox_buf why;
};

static const struct cox_json *match_of(const struct race *r, size_t i) { return oracle_get(&r->chains->items[i], "filter_chain_match"); }

static const struct cox_json *list_of(const struct race *r, size_t i, const char *field)
{
	const struct cox_json *list = oracle_get(match_of(r, i), field);
	return list && list->n > 0 ? list : NULL;
}

static void drop(struct race *r, size_t i)
{
	r->in[i] = false;
	r->n--;
}

static void note(struct race *r, const char *level, struct cox_str value)
{
	cox_buf_printf(&r->why, "%s%s %.*s", r->why.n ? ", " : "", level, COX_FMT(value));
}

/* Keeps the chains that name `value` at this level; false, and all kept, where none does. */
static bool keep_text(struct race *r, const char *field, bool is_list, struct cox_str value, const char *level)
{
	bool any = false;
	bool *has = COX_ARENA_ARRAY(r->w->arena, bool, r->chains->n + 1);
	for (size_t i = 0; i < r->chains->n; i++) {
		if (!r->in[i])
			continue;
		if (!is_list)
			has[i] = cox_str_eq(cox_json_str_at(match_of(r, i), field), value) && value.n > 0;
		for (ORACLE_EACH(item, is_list ? list_of(r, i, field) : NULL))
			has[i] |= cox_str_eq(item->text, value);
		any |= has[i];
	}
	for (size_t i = 0; any && i < r->chains->n; i++)
		if (r->in[i] && !has[i])
			drop(r, i);
	if (any)
		note(r, level, value);
	return any;
}

/* Where nothing named fits: the chains that name nothing. */
static void keep_silent(struct race *r, const char *field)
{
	for (size_t i = 0; i < r->chains->n; i++) {
		const struct cox_json *v = oracle_get(match_of(r, i), field);
		if (r->in[i] && v && (v->type == COX_JSON_ARRAY || v->type == COX_JSON_STRING ? v->n > 0 || v->text.n > 0 : true))
			drop(r, i);
	}
}

static void by_destination_port(struct race *r)
{
	bool any = false;
	for (size_t i = 0; i < r->chains->n; i++)
		any |= oracle_int(match_of(r, i), "destination_port", 0) == r->w->r->dst_port;
	for (size_t i = 0; i < r->chains->n; i++)
		if (oracle_int(match_of(r, i), "destination_port", 0) != (any ? r->w->r->dst_port : 0))
			drop(r, i);
	if (any)
		note(r, "destination port", oracle_printf(r->w, "%u", r->w->r->dst_port));
}

static int prefix_bits(const unsigned char *a, const unsigned char *b)
{
	int n = 0;
	for (; n < 128; n++)
		if (((a[n / 8] ^ b[n / 8]) >> (7 - n % 8)) & 1)
			break;
	return n;
}

/* The length of the longest range of the list that holds `ip`; -1: none. */
static int cidr_longest(const struct cox_json *list, const unsigned char *ip, bool ip_is_v6)
{
	int best = -1;
	for (ORACLE_EACH(range, list)) {
		unsigned char prefix[16];
		bool v6;
		if (!oracle_ip(cox_json_str_at(range, "address_prefix"), prefix, &v6) || v6 != ip_is_v6)
			continue;
		int len = (int)oracle_int(range, "prefix_len", 0) + (v6 ? 0 : 96);
		if (prefix_bits(prefix, ip) >= len && len > best)
			best = len;
	}
	return best;
}

/* A chain without ranges stands for every address, with the shortest of all prefixes. */
static void by_cidr(struct race *r, const char *field, struct cox_str text, const char *level)
{
	unsigned char ip[16];
	bool v6 = false, known = oracle_ip(text, ip, &v6);
	int best = -1;
	int *len = COX_ARENA_ARRAY(r->w->arena, int, r->chains->n + 1);
	for (size_t i = 0; i < r->chains->n; i++) {
		const struct cox_json *list = list_of(r, i, field);
		len[i] = list == NULL ? 0 : known ? cidr_longest(list, ip, v6) : -1;
		if (r->in[i] && len[i] > best)
			best = len[i];
	}
	for (size_t i = 0; i < r->chains->n; i++)
		if (r->in[i] && (best < 0 || len[i] != best))
			drop(r, i);
	if (best > 0 && r->n > 0)
		note(r, level, text);
}

/* Exact, then ".b.c" and ".c" of "a.b.c" ("*.b.c" is the same as ".b.c"), then none. */
static void by_server_name(struct race *r)
{
	struct cox_str name = r->w->out->transport.p && cox_str_eq_cstr(r->w->out->transport, "tls") ? r->w->r->sni : (struct cox_str){ 0 };
	name = oracle_lower(r->w->arena, name);
	if (name.n > 0) {
		if (keep_text(r, "server_names", true, name, "server name"))
			return;
		for (size_t dot = 1; dot < name.n; dot++)
			if (name.p[dot] == '.') {
				struct cox_str rest = cox_str_sub(name, dot, SIZE_MAX);
				if (keep_text(r, "server_names", true, oracle_printf(r->w, "*%.*s", COX_FMT(rest)), "server name") ||
				    keep_text(r, "server_names", true, rest, "server name"))
					return;
			}
	}
	/* "*" is written as no server name at all by Envoy's own reader. */
	if (name.n > 0 && keep_text(r, "server_names", true, COX_STR("*"), "server name"))
		return;
	keep_silent(r, "server_names");
}

static void by_application_protocols(struct race *r)
{
	struct cox_str rest = r->w->out->alpn, one;
	while (rest.n > 0 && cox_str_next(&rest, ',', &one))
		if (one.n > 0 && keep_text(r, "application_protocols", true, one, "application protocol"))
			return;
	keep_silent(r, "application_protocols");
}

static bool source_is_local(const struct walk *w)
{
	return cox_str_has_prefix(w->r->src_ip, COX_STR("127.")) || cox_str_eq_cstr(w->r->src_ip, "::1") ||
	       (w->r->src_ip.n > 0 && cox_str_eq(w->r->src_ip, w->r->dst_ip));
}

static void by_source_type(struct race *r)
{
	struct cox_str mine = source_is_local(r->w) ? COX_STR("SAME_IP_OR_LOOPBACK") : COX_STR("EXTERNAL");
	if (!keep_text(r, "source_type", false, mine, "source type"))
		for (size_t i = 0; i < r->chains->n; i++) {
			struct cox_str t = cox_json_str_at(match_of(r, i), "source_type");
			if (r->in[i] && t.n > 0 && !cox_str_eq_cstr(t, "ANY"))
				drop(r, i);
		}
}

static void by_source_port(struct race *r)
{
	bool any = false;
	bool *has = COX_ARENA_ARRAY(r->w->arena, bool, r->chains->n + 1);
	for (size_t i = 0; i < r->chains->n; i++) {
		for (ORACLE_EACH(p, list_of(r, i, "source_ports"))) {
			int64_t v;
			has[i] |= cox_json_to_i64(p, &v) == COX_OK && v == r->w->r->src_port;
		}
		any |= r->in[i] && has[i];
	}
	for (size_t i = 0; any && i < r->chains->n; i++)
		if (r->in[i] && !has[i])
			drop(r, i);
	if (!any)
		keep_silent(r, "source_ports");
}

static void run(struct race *r)
{
	by_destination_port(r);
	by_cidr(r, "prefix_ranges", r->w->r->dst_ip, "destination");
	by_server_name(r);
	if (!keep_text(r, "transport_protocol", false, r->w->out->transport, "transport"))
		keep_silent(r, "transport_protocol");
	by_application_protocols(r);
	by_cidr(r, "direct_source_prefix_ranges", r->w->r->src_ip, "direct source");
	by_source_type(r);
	by_cidr(r, "source_prefix_ranges", r->w->r->src_ip, "source");
	by_source_port(r);
}

bool oracle_chain_choose(struct walk *w)
{
	static const struct cox_json nothing = { .type = COX_JSON_ARRAY };
	struct cox_oracle_walk *out = w->out;
	const struct cox_json *chains = oracle_get(out->listener, "filter_chains");
	struct race r = { .w = w, .chains = chains ? chains : &nothing };
	sniff(w);
	if (oracle_has(out->listener, "filter_chain_matcher")) {
		oracle_end(w, COX_ORACLE_UNSUPPORTED, 0, COX_STR("the listener has a filter_chain_matcher"));
		return false;
	}
	r.in = COX_ARENA_ARRAY(w->arena, bool, r.chains->n + 1);
	for (r.n = 0; r.n < r.chains->n; r.n++)
		r.in[r.n] = true;
	run(&r);
	out->chain_index = -1;
	for (size_t i = 0; i < r.chains->n && out->chain == NULL; i++)
		if (r.in[i]) {
			out->chain = &r.chains->items[i];
			out->chain_index = (ptrdiff_t)i;
		}
	if (out->chain == NULL && (out->chain = oracle_get(out->listener, "default_filter_chain")))
		cox_buf_clear(&r.why), cox_buf_append_cstr(&r.why, "no other chain matches");
	out->chain_why = cox_arena_str(w->arena, r.why.n ? cox_buf_str(&r.why) : COX_STR("it has no conditions"));
	cox_buf_fini(&r.why);
	if (out->chain)
		return true;
	oracle_end(w, COX_ORACLE_NO_CHAIN, 0,
	           oracle_printf(w, "no filter chain takes %.*s with server name \"%.*s\" and protocols \"%.*s\"; the connection is closed",
	                         COX_FMT(out->transport), COX_FMT(w->r->sni), COX_FMT(out->alpn)));
	return false;
}
