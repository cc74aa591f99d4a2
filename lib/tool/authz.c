#include "tool/authz.h"

#include "tool/proxyconf_priv.h"

#include <stdlib.h>

#define HTTP_RBAC "envoy.filters.http.rbac"
#define TCP_RBAC "envoy.filters.network.rbac"
#define HCM "envoy.filters.network.http_connection_manager"
#define EXTERNAL "istio-ext-authz-"

struct policy {
	const char *action;
	struct cox_str name; /* "name.namespace" */
	struct cox_str rule;
};
struct policies {
	struct cox_arena arena;
	COX_VEC(struct policy) list;
};

/* In istioctl's order. */
static const char *const actions[] = { "DENY", "ALLOW", "LOG", "CUSTOM" };

static void policy_add(struct policies *p, const char *action, struct cox_str name, struct cox_str rule)
{
	for (size_t i = 0; i < p->list.n; i++)
		if (strcmp(p->list.p[i].action, action) == 0 && cox_str_eq(p->list.p[i].name, name) && cox_str_eq(p->list.p[i].rule, rule))
			return;
	cox_vec_push(&p->list, ((struct policy){ action, name, rule }));
}

/* Text between `before` and "]". */
static struct cox_str between(struct cox_str text, struct cox_str before)
{
	ptrdiff_t at = cox_str_search(text, before);
	struct cox_str rest = at < 0 ? COX_STR("") : cox_str_sub(text, (size_t)at + before.n, SIZE_MAX);
	ptrdiff_t end = cox_str_find(rest, ']');
	return end < 0 ? COX_STR("") : cox_str_sub(rest, 0, (size_t)end);
}

/* "ns[shop]-policy[web]-rule[0]" */
static void rule_add(struct policies *p, const char *action, struct cox_str key)
{
	struct cox_str ns = between(key, COX_STR("ns[")), name = between(key, COX_STR("-policy[")), rule = between(key, COX_STR("-rule["));
	if (ns.n && name.n)
		policy_add(p, action, cox_arena_printf(&p->arena, "%.*s.%.*s", COX_FMT(name), COX_FMT(ns)), rule);
}

static void rbac_read(struct policies *p, const struct cox_json *config)
{
	const struct cox_json *rules = pc_get(config, "rules"), *all = pc_get(rules, "policies"),
	                      *shadow = pc_get(config, "shadow_rules.policies");
	struct cox_str said = pc_str(rules, "action");
	const char *action = "ALLOW";
	for (size_t i = 0; i < COX_LEN(actions); i++)
		if (cox_str_eq_cstr(said, actions[i]))
			action = actions[i];
	for (size_t i = 0; all && all->type == COX_JSON_OBJECT && i < all->n; i++)
		rule_add(p, action, all->members[i].key);
	for (size_t i = 0; shadow && shadow->type == COX_JSON_OBJECT && i < shadow->n; i++)
		if (cox_str_has_prefix(shadow->members[i].key, COX_STR(EXTERNAL)))
			rule_add(p, "CUSTOM", shadow->members[i].key);
	if (!all || all->n == 0) /* a policy without rules, or one whose rules match nothing */
		policy_add(p, action, COX_STR("_anonymous_match_nothing_"), COX_STR("0"));
}

static void chain_read(struct policies *p, const struct cox_json *chain)
{
	const struct cox_json *filters = pc_get(chain, "filters");
	for (size_t i = 0; i < pc_count(filters); i++) {
		const struct cox_json *config = pc_get(&filters->items[i], "typed_config");
		struct cox_str name = pc_str(&filters->items[i], "name");
		if (cox_str_eq(name, COX_STR(TCP_RBAC)))
			rbac_read(p, config);
		if (!cox_str_eq(name, COX_STR(HCM)))
			continue;
		const struct cox_json *http = pc_get(config, "http_filters");
		for (size_t h = 0; h < pc_count(http); h++)
			if (cox_str_eq(pc_str(&http->items[h], "name"), COX_STR(HTTP_RBAC)))
				rbac_read(p, pc_get(&http->items[h], "typed_config"));
	}
}

static int policy_cmp(const void *a, const void *b)
{
	return cox_str_cmp(((const struct policy *)a)->name, ((const struct policy *)b)->name);
}

/* A policy counts its rules over all actions that name it, once each. */
static size_t rules_of(const struct policies *p, struct cox_str name)
{
	size_t n = 0;
	for (size_t i = 0; i < p->list.n; i++) {
		bool is_first = cox_str_eq(p->list.p[i].name, name);
		for (size_t k = 0; k < i && is_first; k++)
			is_first = !(cox_str_eq(p->list.p[k].name, name) && cox_str_eq(p->list.p[k].rule, p->list.p[i].rule));
		n += is_first;
	}
	return n;
}

enum cox_rc cox_authz_table(const struct cox_json *dump, struct cox_buf *out, struct cox_err *err)
{
	static const struct cox_proxyconf_filter any;
	struct policies p = { 0 };
	struct cox_table t = { 0 };
	struct cox_json *listeners = NULL;
	enum cox_rc rc = cox_proxyconf_select(COX_PROXYCONF_LISTENERS, dump, &any, &p.arena, &listeners, err);
	for (size_t i = 0; rc == COX_OK && i < listeners->n; i++) {
		const struct cox_json *chains = pc_get(&listeners->items[i], "filter_chains"),
		                      *last = pc_get(&listeners->items[i], "default_filter_chain");
		for (size_t c = 0; c < pc_count(chains); c++)
			chain_read(&p, &chains->items[c]);
		if (last)
			chain_read(&p, last);
	}
	if (p.list.n)
		qsort(p.list.p, p.list.n, sizeof(*p.list.p), policy_cmp);
	cox_table_row(&t, "ACTION\tAuthorizationPolicy\tRULES");
	for (size_t a = 0; a < COX_LEN(actions); a++) {
		struct cox_str last = { 0 };
		for (size_t i = 0; i < p.list.n; i++) {
			if (strcmp(p.list.p[i].action, actions[a]) != 0 || cox_str_eq(p.list.p[i].name, last))
				continue;
			last = p.list.p[i].name;
			cox_table_cell(&t, cox_str_of(actions[a]));
			cox_table_cell(&t, last);
			cox_table_cellf(&t, "%zu", rules_of(&p, last));
			cox_table_row_end(&t);
		}
	}
	if (rc == COX_OK)
		cox_table_write(&t, 3, out);
	cox_table_fini(&t);
	cox_vec_fini(&p.list);
	cox_arena_fini(&p.arena);
	return rc;
}
