/* All DestinationRules of a generation, merged by host and visibility (protocol facts, section 7). */
#include "snapshot/snapshot_priv.h"

#include <stdlib.h>

struct rule { /* one object */
	const struct cox_object *o;
	const struct cox_destination_rule *spec;
	struct cox_str host;
	struct cox_export export_to;
};
struct group {
	COX_VEC(const struct rule *) rules; /* the first gives name, visibility and selector */
};
typedef COX_VEC(struct group) groups;

static size_t selector_n(const struct cox_destination_rule *spec)
{
	return spec->workload_selector ? spec->workload_selector->match_labels.n : 0;
}

static bool selectors_eq(const struct cox_destination_rule *a, const struct cox_destination_rule *b)
{
	size_t n = selector_n(a);
	return n == selector_n(b) &&
	       (n == 0 || cox_kv_is_subset(a->workload_selector->match_labels.p, n, b->workload_selector->match_labels.p, n));
}

static int by_host(const void *a, const void *b)
{
	const struct rule *x = a, *y = b;
	int c = cox_str_cmp(x->o->meta.ns, y->o->meta.ns);
	c = c != 0 ? c : cox_str_cmp(x->host, y->host);
	c = c != 0 ? c : (selector_n(y->spec) > 0) - (selector_n(x->spec) > 0);
	c = c != 0 ? c : x->o->is_generated - y->o->is_generated; /* what is made of a policy only adds to what somebody wrote */
	return c != 0 ? c : cox_object_cmp_age(x->o, y->o);
}

static bool exports_eq(const struct cox_export *a, const struct cox_export *b)
{
	if (a->is_public || b->is_public)
		return a->is_public == b->is_public;
	for (size_t i = 0; i < a->namespaces.n && a->namespaces.n == b->namespaces.n; i++)
		if (!cox_str_eq(a->namespaces.p[i], b->namespaces.p[i]))
			return false;
	return a->namespaces.n == b->namespaces.n;
}

/* Everybody who sees `small` sees `large` too. */
static bool export_is_within(const struct cox_export *small, const struct cox_export *large)
{
	if (large->is_public || small->is_public)
		return large->is_public;
	for (COX_EACH(struct cox_str, ns, small->namespaces))
		if (!cox_export_is_visible(large, *ns))
			return false;
	return small->namespaces.n > 0;
}

/* Rules of one namespace and host. One that reaches further than an earlier one adds to that and stands for itself as well. */
static void group_rules(const struct rule *rules, size_t n, groups *out)
{
	size_t first = out->n;
	for (size_t i = 0; i < n; i++) {
		bool is_merged = false;
		for (size_t g = first; g < out->n; g++) {
			const struct rule *head = out->p[g].rules.p[0];
			bool eq = exports_eq(&head->export_to, &rules[i].export_to);
			if (!selectors_eq(head->spec, rules[i].spec) || !(eq || export_is_within(&head->export_to, &rules[i].export_to)))
				continue;
			cox_vec_push(&out->p[g].rules, &rules[i]);
			is_merged |= eq;
		}
		if (!is_merged) {
			struct group *g = cox_vec_add(out);
			cox_vec_push(&g->rules, &rules[i]);
		}
	}
}

/* --- one merged rule ------------------------------------------------------------------------------ */

static bool has_subset(const struct cox_subset *p, size_t n, struct cox_str name)
{
	for (size_t i = 0; i < n; i++)
		if (cox_str_eq(p[i].name, name))
			return true;
	return false;
}

static bool lb_wants_locality(const struct cox_load_balancer *lb) { return lb && (lb->locality_lb_setting || lb->zone_aware_lb_setting); }

static void note_priority_keys(struct snap_dr *d, struct cox_str *keys, const struct cox_str *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		ptrdiff_t eq = cox_str_find(p[i], '=');
		keys[d->keys.n++] = eq < 0 ? p[i] : cox_str_sub(p[i], 0, (size_t)eq);
	}
}

static size_t priority_count(const struct cox_load_balancer *lb)
{
	size_t n = lb && lb->locality_lb_setting ? lb->locality_lb_setting->failover_priority.n : 0;
	return n + (lb && lb->zone_aware_lb_setting ? lb->zone_aware_lb_setting->failover_priority.n : 0);
}

static void note_lb(struct snap_dr *d, struct cox_str *keys, const struct cox_load_balancer *lb)
{
	d->wants_locality |= lb_wants_locality(lb);
	if (lb && lb->locality_lb_setting)
		note_priority_keys(d, keys, lb->locality_lb_setting->failover_priority.p, lb->locality_lb_setting->failover_priority.n);
	if (lb && lb->zone_aware_lb_setting)
		note_priority_keys(d, keys, lb->zone_aware_lb_setting->failover_priority.p, lb->zone_aware_lb_setting->failover_priority.n);
}

static size_t policy_key_count(const struct cox_traffic_policy *p)
{
	size_t n = p ? priority_count(p->load_balancer) : 0;
	for (size_t i = 0; p && i < p->port_level_settings.n; i++)
		n += priority_count(p->port_level_settings.p[i].load_balancer);
	return n;
}

static void note_policy(struct snap_dr *d, struct cox_str *keys, const struct cox_traffic_policy *p)
{
	if (!p)
		return;
	note_lb(d, keys, p->load_balancer);
	d->has_outlier_detection |= p->outlier_detection != NULL;
	for (COX_EACH(struct cox_port_traffic_policy, port, p->port_level_settings)) {
		note_lb(d, keys, port->load_balancer);
		d->has_outlier_detection |= port->outlier_detection != NULL;
	}
}

/* A rule made of a BackendTLSPolicy that stands beside a written one: what the written one leaves open is the policy's. */
static const struct cox_traffic_policy *policy_to_add(const struct group *g)
{
	const struct rule *last = g->rules.p[g->rules.n - 1];
	return g->rules.n > 1 && last->o->is_generated ? last->spec->traffic_policy : NULL;
}

static const struct cox_traffic_policy *policy_written(const struct group *g)
{
	for (size_t i = 0; i < g->rules.n; i++)
		if (g->rules.p[i]->spec->traffic_policy)
			return g->rules.p[i]->spec->traffic_policy;
	return NULL;
}

static const struct cox_client_tls *port_tls(const struct cox_traffic_policy *p, int64_t port)
{
	for (COX_EACH(struct cox_port_traffic_policy, x, p->port_level_settings))
		if (x->port && x->port->number.v == port && x->tls)
			return x->tls;
	return p->tls;
}

static size_t added_port_count(const struct group *g)
{
	const struct cox_traffic_policy *add = policy_to_add(g), *own = policy_written(g);
	return add && own && add != own ? add->port_level_settings.n + own->port_level_settings.n : 0;
}

struct dr_sizes {
	size_t subsets, keys, text;
};

static struct dr_sizes measure(const struct group *g)
{
	const struct rule *head = g->rules.p[0];
	struct dr_sizes s = { .keys = selector_n(head->spec), .text = head->host.n };
	for (size_t i = 0; i < g->rules.n; i++) {
		const struct cox_destination_rule *spec = g->rules.p[i]->spec;
		s.subsets += spec->subsets.n;
		s.keys += policy_key_count(spec->traffic_policy);
		for (COX_EACH(struct cox_subset, x, spec->subsets))
			s.keys += policy_key_count(x->traffic_policy);
	}
	if (added_port_count(g) > 0) /* each added port bears the written balancer */
		s.keys += policy_to_add(g)->port_level_settings.n * priority_count(policy_written(g)->load_balancer);
	for (COX_EACH(struct cox_str, ns, head->export_to.namespaces))
		s.text += ns->n;
	return s;
}

static struct cox_str put_text(char **text, struct cox_str s)
{
	struct cox_str to = { *text, s.n };
	if (s.n > 0)
		memcpy(*text, s.p, s.n);
	*text += s.n;
	return to;
}

/* Only `tls` is ever added. Settings of a port stand for themselves, so they get it as well. */
static const struct cox_traffic_policy *add_policy(const struct group *g, struct cox_traffic_policy *to,
                                                   struct cox_port_traffic_policy *ports)
{
	const struct cox_traffic_policy *add = policy_to_add(g), *own = policy_written(g);
	size_t n = 0;
	if (!add || !own || add == own)
		return own;
	*to = *own;
	to->tls = own->tls ? own->tls : add->tls;
	for (COX_EACH(struct cox_port_traffic_policy, x, own->port_level_settings)) {
		ports[n] = *x;
		if (!x->tls && !own->tls && x->port)
			ports[n].tls = port_tls(add, x->port->number.v);
		n++;
	}
	for (COX_EACH(struct cox_port_traffic_policy, x, add->port_level_settings)) {
		bool is_there = own->tls != NULL;
		for (size_t i = 0; i < own->port_level_settings.n && !is_there; i++)
			is_there = ports[i].port && ports[i].port->number.v == x->port->number.v;
		if (is_there)
			continue;
		ports[n] = *x;
		ports[n].load_balancer = own->load_balancer;
		ports[n].connection_pool = own->connection_pool;
		ports[n++].outlier_detection = own->outlier_detection;
	}
	to->port_level_settings.p = ports;
	to->port_level_settings.n = n;
	return to;
}

static void merge_specs(struct snap_dr *d, struct cox_destination_rule *spec, struct cox_traffic_policy *policy, struct cox_subset *subsets,
                        struct cox_port_traffic_policy *ports, struct cox_str *keys, const struct group *g)
{
	size_t n = 0;
	*spec = *g->rules.p[0]->spec;
	spec->traffic_policy = add_policy(g, policy, ports);
	for (size_t i = 0; i < g->rules.n; i++) {
		const struct cox_destination_rule *from = g->rules.p[i]->spec;
		for (COX_EACH(struct cox_subset, x, from->subsets))
			if (!has_subset(subsets, n, x->name))
				subsets[n++] = *x;
	}
	spec->subsets.p = subsets;
	spec->subsets.n = n;
	note_policy(d, keys, spec->traffic_policy);
	for (size_t i = 0; i < n; i++)
		note_policy(d, keys, subsets[i].traffic_policy);
	for (size_t i = 0; i < selector_n(spec); i++)
		keys[d->keys.n++] = spec->workload_selector->match_labels.p[i].key;
	d->keys.p = keys;
}

/* Everything but the lists stays in the objects, which the value holds. */
static struct snap_dr *dr_new(const struct group *g)
{
	const struct rule *head = g->rules.p[0];
	struct dr_sizes size = measure(g);
	size_t rule_n = g->rules.n, export_n = head->export_to.namespaces.n, port_n = added_port_count(g),
	       policy_n = policy_to_add(g) != NULL;
	struct snap_dr *d = cox_zalloc(sizeof(*d) + sizeof(struct cox_destination_rule) + policy_n * sizeof(struct cox_traffic_policy) +
	                               port_n * sizeof(struct cox_port_traffic_policy) + size.subsets * sizeof(struct cox_subset) +
	                               rule_n * sizeof(*d->objects) + (rule_n + size.keys + export_n) * sizeof(struct cox_str) + size.text);
	struct cox_destination_rule *spec = (struct cox_destination_rule *)(d + 1);
	struct cox_traffic_policy *policy = (struct cox_traffic_policy *)(spec + 1);
	struct cox_port_traffic_policy *ports = (struct cox_port_traffic_policy *)(policy + policy_n);
	struct cox_subset *subsets = (struct cox_subset *)(ports + port_n);
	d->objects = (const struct cox_object **)(subsets + size.subsets);
	struct cox_str *ids = (struct cox_str *)(d->objects + rule_n), *keys = ids + rule_n, *exports = keys + size.keys;
	char *text = (char *)(exports + export_n);
	cox_ref_init(&d->ref);
	cox_ref_init(&d->dr.ref);
	merge_specs(d, spec, policy, subsets, ports, keys, g);
	spec->host = put_text(&text, head->host);
	d->dr.spec = spec;
	d->dr.ns = head->o->meta.ns;
	d->dr.name = head->o->meta.name;
	d->object_n = rule_n;
	d->dr.hash = cox_hash128(spec->host.p, spec->host.n);
	for (size_t i = 0; i < rule_n; i++) {
		d->objects[i] = cox_object_ref(g->rules.p[i]->o);
		ids[i] = d->objects[i]->id;
		d->dr.hash = cox_hash_combine(cox_hash_combine(d->dr.hash, cox_hash128(ids[i].p, ids[i].n)), d->objects[i]->hash);
	}
	d->dr.object_ids.p = ids, d->dr.object_ids.n = rule_n;
	d->dr.export_to.is_public = head->export_to.is_public;
	for (size_t i = 0; i < export_n; i++)
		exports[i] = put_text(&text, head->export_to.namespaces.p[i]);
	d->dr.export_to.namespaces.p = exports, d->dr.export_to.namespaces.n = export_n;
	return d;
}

static void dr_unref(struct snap_dr *d)
{
	if (!cox_ref_put(&d->ref))
		return;
	for (size_t i = 0; i < d->object_n; i++)
		cox_object_unref(d->objects[i]);
	cox_free(d);
}

/* --- the set ---------------------------------------------------------------------------------------- */

static bool is_made_from(const struct snap_dr *d, const struct group *g)
{
	if (d->object_n != g->rules.n || !cox_str_eq(d->dr.spec->host, g->rules.p[0]->host))
		return false;
	for (size_t i = 0; i < d->object_n; i++)
		if (d->objects[i] != g->rules.p[i]->o)
			return false;
	return true;
}

static int group_cmp(const struct snap_dr *d, const struct rule *head)
{
	int c = cox_str_cmp(d->dr.ns, head->o->meta.ns);
	return c != 0 ? c : cox_str_cmp(d->dr.spec->host, head->host);
}

/* `at` walks over `before`, which is sorted alike. */
static struct snap_dr *dr_before(const struct snap_dr_set *before, size_t *at, const struct group *g)
{
	if (!before)
		return NULL;
	while (*at < before->n && group_cmp((const struct snap_dr *)before->rules[*at], g->rules.p[0]) < 0)
		(*at)++;
	for (size_t i = *at; i < before->n && group_cmp((const struct snap_dr *)before->rules[i], g->rules.p[0]) == 0; i++)
		if (is_made_from((const struct snap_dr *)before->rules[i], g)) {
			struct snap_dr *d = (struct snap_dr *)before->rules[i];
			cox_ref_get(&d->ref);
			return d;
		}
	return NULL;
}

static struct rule *collect(const struct cox_registry *r, const struct snap_objects *from, struct cox_arena *arena, size_t *n)
{
	const struct cox_mesh_config *mesh = cox_registry_mesh(r);
	struct rule *rules = COX_ARENA_ARRAY(arena, struct rule, from->n + 1);
	*n = 0;
	for (size_t i = 0; i < from->n; i++) {
		const struct cox_object *o = from->by_id[i];
		const struct cox_destination_rule *spec = COX_SPEC(cox_destination_rule_object, o)->spec;
		if (!spec || spec->host.n == 0)
			continue;
		struct rule *rule = &rules[(*n)++];
		rule->o = o;
		rule->spec = spec;
		rule->host = cox_host_resolve(arena, spec->host, o->meta.ns, cox_registry_domain(r));
		struct cox_str own = COX_STR(".");
		/* A rule for some workloads stays in its namespace, whatever it says. */
		bool is_local = selector_n(spec) > 0;
		rule->export_to = cox_export_build(arena, is_local ? &own : spec->export_to.p, is_local ? 1 : spec->export_to.n, o->meta.ns,
		                                   mesh->default_destination_rule_export_to.p, mesh->default_destination_rule_export_to.n);
	}
	qsort(rules, *n, sizeof(*rules), by_host);
	return rules;
}

static struct snap_dr_set *set_new(const groups *all, const struct snap_objects *from, const struct snap_dr_set *before)
{
	struct snap_dr_set *s = cox_zalloc(sizeof(*s) + all->n * sizeof(*s->rules));
	cox_ref_init(&s->ref);
	s->from = from;
	s->rules = (const struct cox_dr **)(s + 1);
	s->n = all->n;
	size_t at = 0;
	for (size_t i = 0; i < all->n; i++) {
		struct snap_dr *d = dr_before(before, &at, &all->p[i]);
		d = d ? d : dr_new(&all->p[i]);
		s->wants_locality |= d->wants_locality;
		s->has_outlier_detection |= d->has_outlier_detection;
		s->rules[i] = &d->dr;
	}
	return s;
}

const struct snap_dr_set *snap_dr_set_build(const struct cox_registry *r, const struct snap_dr_set *before)
{
	const struct snap_objects *from = snap_objects_build(r, COX_KIND_DESTINATION_RULE, before ? before->from : NULL);
	struct cox_hash mesh_hash = cox_registry_mesh_hash(r);
	if (before && before->from == from && cox_hash_eq(before->mesh_hash, mesh_hash)) {
		snap_objects_unref(from);
		cox_ref_get(&((struct snap_dr_set *)before)->ref);
		return before;
	}
	struct cox_arena arena = { 0 };
	size_t n;
	struct rule *rules = collect(r, from, &arena, &n);
	groups all = { 0 };
	cox_vec_reserve(&all, n + 1);
	for (size_t i = 0, end; i < n; i = end) {
		for (end = i + 1;
		     end < n && cox_str_eq(rules[end].o->meta.ns, rules[i].o->meta.ns) && cox_str_eq(rules[end].host, rules[i].host);)
			end++;
		group_rules(&rules[i], end - i, &all);
	}
	if (before && !cox_hash_eq(before->mesh_hash, mesh_hash))
		before = NULL;
	struct snap_dr_set *s = set_new(&all, from, before);
	s->mesh_hash = mesh_hash;
	for (size_t i = 0; i < all.n; i++)
		cox_vec_fini(&all.p[i].rules);
	cox_vec_fini(&all);
	cox_arena_fini(&arena);
	return s;
}

void snap_dr_set_unref(const struct snap_dr_set *s)
{
	struct snap_dr_set *mine = (struct snap_dr_set *)s;
	if (!mine || !cox_ref_put(&mine->ref))
		return;
	for (size_t i = 0; i < mine->n; i++)
		dr_unref((struct snap_dr *)mine->rules[i]);
	snap_objects_unref(mine->from);
	cox_free(mine);
}
