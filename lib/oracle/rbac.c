/* rbac.c - role based access control, in HTTP and before TCP: who the peer is, what it asks for. */
#include "oracle/oracle_priv.h"

/* A condition that cannot be decided here makes the whole answer unsure: it counts as not met, and the filter is named. */
struct rbac {
	struct walk *w;
	bool is_unsure;
};

static bool url_path_matches(struct rbac *r, const struct cox_json *m)
{
	return oracle_string_matches(r->w, oracle_get(m, "path"), r->w->bare_path);
}

static bool cidr_has(const struct cox_json *range, struct cox_str text)
{
	unsigned char a[16], b[16];
	bool v6, other;
	if (!oracle_ip(text, a, &v6) || !oracle_ip(cox_json_str_at(range, "address_prefix"), b, &other) || v6 != other)
		return false;
	int bits = (int)oracle_int(range, "prefix_len", 0) + (v6 ? 0 : 96);
	for (int i = 0; i < bits && i < 128; i++)
		if (((a[i / 8] ^ b[i / 8]) >> (7 - i % 8)) & 1)
			return false;
	return true;
}

typedef bool one_fn(struct rbac *r, const struct cox_json *one);

static bool all_of(struct rbac *r, const struct cox_json *list, one_fn *holds)
{
	for (ORACLE_EACH(one, list))
		if (!holds(r, one))
			return false;
	return true;
}

static bool any_of(struct rbac *r, const struct cox_json *list, one_fn *holds)
{
	for (ORACLE_EACH(one, list))
		if (holds(r, one))
			return true;
	return false;
}

static bool permission_holds(struct rbac *r, const struct cox_json *p)
{
	const struct cox_json *v;
	if ((v = cox_json_at(p, "and_rules")))
		return all_of(r, oracle_get(v, "rules"), permission_holds);
	if ((v = cox_json_at(p, "or_rules")))
		return any_of(r, oracle_get(v, "rules"), permission_holds);
	if ((v = oracle_get(p, "not_rule")))
		return !permission_holds(r, v);
	if ((v = oracle_get(p, "any")))
		return v->boolean;
	if ((v = oracle_get(p, "header")))
		return oracle_header_fault(r->w, v).n == 0;
	if ((v = oracle_get(p, "url_path")))
		return url_path_matches(r, v);
	if (oracle_has(p, "destination_port"))
		return oracle_int(p, "destination_port", 0) == r->w->r->dst_port;
	if ((v = oracle_get(p, "destination_port_range")))
		return r->w->r->dst_port >= oracle_int(v, "start", 0) && r->w->r->dst_port < oracle_int(v, "end", 0);
	if ((v = oracle_get(p, "destination_ip")))
		return cidr_has(v, r->w->r->dst_ip);
	if ((v = oracle_get(p, "requested_server_name")))
		return oracle_string_matches(r->w, v, r->w->r->sni);
	r->is_unsure = true;
	return false;
}

static bool peer_is(struct rbac *r, const struct cox_json *authenticated)
{
	const struct cox_json *name = oracle_get(authenticated, "principal_name");
	struct cox_str peer = r->w->out->is_tls_terminated ? r->w->r->peer : (struct cox_str){ 0 };
	return peer.n > 0 && (name == NULL || oracle_string_matches(r->w, name, peer));
}

static bool principal_holds(struct rbac *r, const struct cox_json *p)
{
	static const char *const addresses[] = { "source_ip", "direct_remote_ip", "remote_ip" };
	const struct cox_json *v;
	if ((v = oracle_get(p, "and_ids")))
		return all_of(r, oracle_get(v, "ids"), principal_holds);
	if ((v = oracle_get(p, "or_ids")))
		return any_of(r, oracle_get(v, "ids"), principal_holds);
	if ((v = oracle_get(p, "not_id")))
		return !principal_holds(r, v);
	if ((v = oracle_get(p, "any")))
		return v->boolean;
	if ((v = oracle_get(p, "authenticated")))
		return peer_is(r, v);
	if ((v = oracle_get(p, "header")))
		return oracle_header_fault(r->w, v).n == 0;
	if ((v = oracle_get(p, "url_path")))
		return url_path_matches(r, v);
	for (size_t i = 0; i < COX_LEN(addresses); i++)
		if ((v = oracle_get(p, addresses[i])))
			return cidr_has(v, r->w->r->src_ip);
	r->is_unsure = true;
	return false;
}

enum oracle_access oracle_rbac(struct walk *w, const struct cox_json *rbac)
{
	const struct cox_json *rules = oracle_get(rbac, "rules"), *policies = oracle_get(rules, "policies");
	struct rbac r = { .w = w };
	struct cox_str by = { 0 };
	if (rules == NULL) /* shadow rules alone, or none */
		return oracle_has(rbac, "matcher") ? ORACLE_ACCESS_UNSURE : ORACLE_ACCESS_ALLOWED;
	for (size_t i = 0; policies && policies->type == COX_JSON_OBJECT && i < policies->n && by.n == 0; i++) {
		const struct cox_json *p = &policies->members[i].value;
		if (oracle_has(p, "condition") || oracle_has(p, "checked_condition"))
			r.is_unsure = true;
		else if (any_of(&r, oracle_get(p, "permissions"), permission_holds) &&
		         any_of(&r, oracle_get(p, "principals"), principal_holds))
			by = policies->members[i].key;
	}
	if (r.is_unsure && by.n == 0)
		return ORACLE_ACCESS_UNSURE;
	struct cox_str action = cox_json_str_at(rules, "action");
	if (cox_str_eq_cstr(action, "LOG") || (by.n > 0) == !cox_str_eq_cstr(action, "DENY"))
		return ORACLE_ACCESS_ALLOWED;
	oracle_end(w, COX_ORACLE_DENIED, w->out->is_http ? 403 : 0,
	           by.n > 0 ? oracle_printf(w, "access is denied by policy %.*s", COX_FMT(by))
	                    : oracle_printf(w, "no policy allows \"%.*s\" this",
	                                    COX_FMT(w->out->is_tls_terminated ? w->r->peer : (struct cox_str){ 0 })));
	return ORACLE_ACCESS_DENIED;
}
