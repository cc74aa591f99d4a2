/* rbac.c - see rbac.h. */
#include "translate/rbac.h"

#include "translate/route_priv.h"

typedef struct pb_rbac_v3_Permission permission;
typedef struct pb_rbac_v3_Principal principal;

/* --- what ----------------------------------------------------------------------------------------------------- */

static void header_write(permission p, struct cox_str name, const struct cox_string_match *m)
{
	PB_WITH (h, pb_rbac_v3_Permission_header(p)) {
		pb_route_v3_HeaderMatcher_name(h, name);
		PB_WITH (s, pb_route_v3_HeaderMatcher_string_match(h))
			route_string_match_write(s, m);
	}
}

static void value_write(permission p, const struct cox_rbac_term *t, size_t at)
{
	switch (t->field) {
	case COX_RBAC_HEADER: header_write(p, t->header, &t->values.p[at]); return;
	case COX_RBAC_METHOD: header_write(p, COX_STR(":method"), &t->values.p[at]); return;
	case COX_RBAC_PATH:
		PB_WITH (path, pb_rbac_v3_Permission_url_path(p))
			PB_WITH (s, pb_type_matcher_v3_PathMatcher_path(path))
				route_string_match_write(s, &t->values.p[at]);
		return;
	case COX_RBAC_PORT: pb_rbac_v3_Permission_destination_port(p, t->ports.p[at]); return;
	case COX_RBAC_PEER: break;
	}
	COX_ASSERT(!"a peer is no permission");
}

static size_t value_count(const struct cox_rbac_term *t) { return t->field == COX_RBAC_PORT ? t->ports.n : t->values.n; }

static void any_value_write(permission p, const struct cox_rbac_term *t)
{
	size_t n = value_count(t);
	COX_ASSERT(n > 0);
	if (n == 1) {
		value_write(p, t, 0);
		return;
	}
	PB_WITH (any, pb_rbac_v3_Permission_or_rules(p))
		for (size_t i = 0; i < n; i++)
			PB_WITH (one, pb_rbac_v3_Permission_Set_rules(any))
				value_write(one, t, i);
}

static void term_write(permission p, const struct cox_rbac_term *t)
{
	if (!t->is_not) {
		any_value_write(p, t);
		return;
	}
	PB_WITH (not, pb_rbac_v3_Permission_not_rule(p))
		any_value_write(not, t);
}

static void what_write(permission p, const struct cox_rbac_all *all)
{
	if (all->terms.n == 0)
		pb_rbac_v3_Permission_any(p, true);
	else if (all->terms.n == 1)
		term_write(p, &all->terms.p[0]);
	else
		PB_WITH (set, pb_rbac_v3_Permission_and_rules(p))
			for (COX_EACH(struct cox_rbac_term, t, all->terms))
				PB_WITH (one, pb_rbac_v3_Permission_Set_rules(set))
					term_write(one, t);
}

/* --- who ------------------------------------------------------------------------------------------------------- */

static void peer_write(principal p, const struct cox_string_match *m)
{
	PB_WITH (who, pb_rbac_v3_Principal_authenticated(p))
		PB_WITH (s, pb_rbac_v3_Principal_Authenticated_principal_name(who))
			route_string_match_write(s, m);
}

static void any_peer_write(principal p, const struct cox_rbac_term *t)
{
	COX_ASSERT(t->field == COX_RBAC_PEER && t->values.n > 0);
	if (t->values.n == 1) {
		peer_write(p, &t->values.p[0]);
		return;
	}
	PB_WITH (any, pb_rbac_v3_Principal_or_ids(p))
		for (COX_EACH(struct cox_string_match, m, t->values))
			PB_WITH (one, pb_rbac_v3_Principal_Set_ids(any))
				peer_write(one, m);
}

static void who_term_write(principal p, const struct cox_rbac_term *t)
{
	if (!t->is_not) {
		any_peer_write(p, t);
		return;
	}
	PB_WITH (not, pb_rbac_v3_Principal_not_id(p))
		any_peer_write(not, t);
}

static void who_write(principal p, const struct cox_rbac_all *all)
{
	if (all->terms.n == 0)
		pb_rbac_v3_Principal_any(p, true);
	else if (all->terms.n == 1)
		who_term_write(p, &all->terms.p[0]);
	else
		PB_WITH (set, pb_rbac_v3_Principal_and_ids(p))
			for (COX_EACH(struct cox_rbac_term, t, all->terms))
				PB_WITH (one, pb_rbac_v3_Principal_Set_ids(set))
					who_term_write(one, t);
}

/* --- filters ----------------------------------------------------------------------------------------------------- */

/* A policy that allows nobody anything is none: Envoy refuses empty lists. */
static void rules_write(struct pb_rbac_v3_RBAC rules, const struct cox_rbac *r)
{
	pb_rbac_v3_RBAC_action(rules, r->is_deny ? PB_rbac_v3_RBAC_DENY : PB_rbac_v3_RBAC_ALLOW);
	for (COX_EACH(struct cox_rbac_policy, policy, r->policies)) {
		if (policy->who.n == 0 || policy->what.n == 0)
			continue;
		PB_WITH (p, pb_rbac_v3_RBAC_policies(rules, policy->name)) {
			for (COX_EACH(struct cox_rbac_all, all, policy->what))
				PB_WITH (one, pb_rbac_v3_Policy_permissions(p))
					what_write(one, all);
			for (COX_EACH(struct cox_rbac_all, all, policy->who))
				PB_WITH (one, pb_rbac_v3_Policy_principals(p))
					who_write(one, all);
		}
	}
}

void cox_rbac_http_encode(struct cox_buf *out, const struct cox_rbac *r)
{
	struct cox_pb pb;
	cox_pb_init(&pb, out);
	PB_ROOT (f, pb_filters_network_http_connection_manager_v3_HttpFilter, &pb) {
		pb_filters_network_http_connection_manager_v3_HttpFilter_name(f, COX_STR("envoy.filters.http.rbac"));
		PB_ANY (c, pb_filters_network_http_connection_manager_v3_HttpFilter_typed_config(f), pb_filters_http_rbac_v3_RBAC)
			PB_WITH (rules, pb_filters_http_rbac_v3_RBAC_rules(c))
				rules_write(rules, r);
	}
}

void cox_rbac_tcp_write(struct pb_listener_v3_FilterChain fc, const struct cox_rbac *r)
{
	PB_WITH (f, pb_listener_v3_FilterChain_filters(fc)) {
		pb_listener_v3_Filter_name(f, COX_STR("envoy.filters.network.rbac"));
		PB_ANY (c, pb_listener_v3_Filter_typed_config(f), pb_filters_network_rbac_v3_RBAC) {
			PB_WITH (rules, pb_filters_network_rbac_v3_RBAC_rules(c))
				rules_write(rules, r);
			pb_filters_network_rbac_v3_RBAC_stat_prefix(c, r->stat_prefix);
		}
	}
}
