/* Listeners: filter chains, network, HTTP and listener filters, and the route configurations that stand inline in them. */
#include "translate/patch_priv.h"

#define HCM "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
#define NOWHERE SIZE_MAX

static const struct cox_patch_listener *match_of(const struct cox_ready_patch *p)
{
	return p->spec->match ? p->spec->match->listener : NULL;
}
static bool is_virtual(struct cox_str name) { return cox_str_eq_cstr(name, "virtualInbound") || cox_str_eq_cstr(name, "virtualOutbound"); }
static bool is_merge(const struct cox_ready_patch *p) { return p->op == COX_OP_MERGE || p->op == COX_OP_MERGE_AND_REPLACE_LIST; }
static bool replaces_lists(const struct cox_ready_patch *p) { return p->op == COX_OP_MERGE_AND_REPLACE_LIST; }

/* Ports of the virtual listeners are those of their filter chains, except for a patch of the listener itself. */
static bool listener_matches(const struct cox_ready_patch *p, struct cox_json *l)
{
	const struct cox_patch_listener *m = match_of(p);
	struct cox_str name = tree_str(l, "name");
	if (!m)
		return true;
	if (m->name.n && !cox_str_eq(m->name, name))
		return false;
	if (!m->port_number.set || m->port_number.v == 0 || (p->spec->apply_to != COX_APPLY_LISTENER && is_virtual(name)))
		return true;
	return tree_u64(cox_json_at(l, "address.socket_address.port_value")) == (uint64_t)m->port_number.v;
}

static bool list_has(const struct cox_json *list, struct cox_str s)
{
	for (size_t i = 0; list && list->type == COX_JSON_ARRAY && i < list->n; i++)
		if (list->items[i].type == COX_JSON_STRING && cox_str_eq(list->items[i].text, s))
			return true;
	return false;
}

static bool protocols_match(struct cox_json *match, struct cox_str wanted)
{
	struct cox_str one;
	while (cox_str_next(&wanted, ',', &one))
		if (!list_has(cox_json_get(match, COX_STR("application_protocols")), cox_str_trim(one)))
			return false;
	return true;
}

static bool chain_matches(const struct cox_ready_patch *p, struct cox_json *l, struct cox_json *fc)
{
	const struct cox_patch_listener *m = match_of(p);
	const struct cox_patch_chain *c = m ? m->filter_chain : NULL;
	struct cox_json *match = tree_get(fc, "filter_chain_match");
	uint64_t port = tree_u64(cox_json_get(match, COX_STR("destination_port")));
	if (!m)
		return true;
	if (m->port_number.set && m->port_number.v > 0 && is_virtual(tree_str(l, "name")) && port != (uint64_t)m->port_number.v)
		return false;
	if (!c)
		return true;
	return (!c->name.n || cox_str_eq(c->name, tree_str(fc, "name"))) &&
	       (!c->sni.n || list_has(cox_json_get(match, COX_STR("server_names")), c->sni)) &&
	       (!c->transport_protocol.n || cox_str_eq(c->transport_protocol, tree_str(match, "transport_protocol"))) &&
	       (!c->application_protocols.n || protocols_match(match, c->application_protocols)) &&
	       (!c->destination_port.set || c->destination_port.v == 0 || port == (uint64_t)c->destination_port.v) &&
	       (!c->transport_socket.n || cox_str_eq(c->transport_socket, cox_json_str_at(fc, "transport_socket.name")));
}

/* --- lists of named filters --------------------------------------------------------------------------- */

static size_t find_name(const struct cox_json *list, struct cox_str name)
{
	for (size_t i = 0; i < list->n; i++)
		if (cox_str_eq(cox_filter_canonical_name(tree_str(&list->items[i], "name")), name))
			return i;
	return NOWHERE;
}

/* Behind the last filter of one of these names; NOWHERE: there is none. */
static size_t behind_last(const struct cox_json *list, const char *const *names)
{
	for (size_t i = list->n; i-- > 0;)
		for (const char *const *name = names; *name; name++)
			if (cox_str_eq_cstr(tree_str(&list->items[i], "name"), *name))
				return i + 1;
	return NOWHERE;
}

/* Where filterClass puts a filter among those that the mesh makes. */
static size_t class_place(const struct cox_json *list, int filter_class)
{
	static const char *const first[] = { "istio.metadata_exchange", "envoy.filters.http.peer_metadata", NULL };
	static const char *const authn[] = { "envoy.filters.http.jwt_authn", "istio_authn", NULL };
	static const char *const authz[] = { "envoy.filters.http.rbac", "envoy.filters.http.ext_authz", "envoy.filters.network.rbac",
		                             "envoy.filters.network.ext_authz", NULL };
	size_t at = NOWHERE;
	if (filter_class == COX_FILTER_CLASS_STATS) {
		at = find_name(list, COX_STR("istio.stats"));
		return at != NOWHERE ? at : list->n ? list->n - 1 : 0; /* before the last, which ends the chain */
	}
	if (filter_class == COX_FILTER_CLASS_AUTHZ)
		at = behind_last(list, authz);
	if (at == NOWHERE)
		at = behind_last(list, authn);
	if (at == NOWHERE)
		at = behind_last(list, first);
	return at == NOWHERE ? 0 : at;
}

/* ADD, INSERT_*, REPLACE and REMOVE. `target`: the name that the patch looks for; empty: none. `classes` counts what each filterClass put
 * in already: it is put behind that. */
static bool filters_change(struct patch_job *j, const struct cox_ready_patch *p, struct cox_json *list, struct cox_str target,
                           size_t *classes)
{
	int class = p->spec->patch->filter_class;
	size_t found = target.n ? find_name(list, target) : NOWHERE;
	switch ((enum cox_patch_op)p->op) {
	case COX_OP_ADD:
		if (class == COX_FILTER_CLASS_STATS)
			tree_insert(j, list, class_place(list, class), p->value);
		else if (class != COX_FILTER_CLASS_UNSPECIFIED)
			tree_insert(j, list, class_place(list, class) + classes[class]++, p->value);
		else
			tree_insert(j, list, list->n, p->value);
		return true;
	case COX_OP_INSERT_FIRST: tree_insert(j, list, 0, p->value); return true;
	case COX_OP_INSERT_BEFORE:
	case COX_OP_INSERT_AFTER:
		if (target.n && found == NOWHERE)
			return false;
		if (p->op == COX_OP_INSERT_BEFORE)
			tree_insert(j, list, target.n ? found : 0, p->value);
		else
			tree_insert(j, list, target.n ? found + 1 : list->n, p->value);
		return true;
	case COX_OP_REPLACE:
		if (found == NOWHERE)
			return false;
		list->items[found] = *cox_json_clone(j->t->arena, p->value);
		return true;
	case COX_OP_REMOVE: {
		bool any = found != NOWHERE;
		for (; found != NOWHERE; found = find_name(list, target))
			tree_remove(list, found);
		return any;
	}
	case COX_OP_MERGE:
	case COX_OP_MERGE_AND_REPLACE_LIST:
	case COX_OP_INVALID:
	case COX_OP_COUNT: break;
	}
	return false;
}

/* A copy of an object's top level without one member. */
static struct cox_json *without(struct cox_arena *a, const struct cox_json *v, const char *key)
{
	struct cox_json *made = cox_json_new_object(a);
	for (size_t i = 0; i < v->n; i++)
		if (!cox_str_eq_cstr(v->members[i].key, key))
			cox_json_set(a, made, v->members[i].key, &v->members[i].value);
	return made;
}

/* A filter's configuration is merged inside if it is of the same type; of another type it is left alone. */
static bool filter_merge(struct patch_job *j, const struct cox_ready_patch *p, const struct cox_envoy_message *m, struct cox_json *filter)
{
	const struct cox_json *config = cox_json_get(p->value, COX_STR("typed_config"));
	struct cox_json *have = tree_get(filter, "typed_config");
	if (!have || (config && !tree_merge_any(j->t->arena, have, config, replaces_lists(p))))
		return false;
	tree_merge(j->t->arena, m, filter, without(j->t->arena, p->value, "typed_config"), replaces_lists(p));
	return true;
}

/* --- HTTP filters ----------------------------------------------------------------------------------------- */

static bool is_hcm(struct cox_json *filter)
{
	return cox_str_has_suffix(tree_str(tree_get(filter, "typed_config"), "@type"), COX_STR("/" HCM));
}

static bool http_patch_matches(const struct cox_ready_patch *p, struct cox_json *l, struct cox_json *fc, struct cox_json *filter)
{
	return p->spec->apply_to == COX_APPLY_HTTP_FILTER && listener_matches(p, l) && chain_matches(p, l, fc) &&
	       (!p->filter.n || cox_str_eq(p->filter, cox_filter_canonical_name(tree_str(filter, "name"))));
}

static void patch_http_filters(struct patch_job *j, struct cox_json *l, struct cox_json *fc, struct cox_json *filter)
{
	const struct cox_envoy_message *m = patch_message("envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter");
	struct cox_json *list = tree_list(j, tree_get(filter, "typed_config"), "http_filters");
	size_t classes[4] = { 0 };
	for (size_t i = 0; i < j->n; i++) {
		const struct cox_ready_patch *p = job_patch(j, i);
		if (!is_merge(p) && http_patch_matches(p, l, fc, filter) && filters_change(j, p, list, p->sub_filter, classes))
			job_applied(j, i);
	}
	for (size_t k = 0; k < list->n; k++)
		for (size_t i = 0; i < j->n; i++) {
			const struct cox_ready_patch *p = job_patch(j, i);
			struct cox_str name = cox_filter_canonical_name(tree_str(&list->items[k], "name"));
			if (is_merge(p) && http_patch_matches(p, l, fc, filter) && (!p->sub_filter.n || cox_str_eq(p->sub_filter, name)) &&
			    filter_merge(j, p, m, &list->items[k]))
				job_applied(j, i);
		}
}

/* --- network filters ---------------------------------------------------------------------------------------- */

static bool network_patch_matches(const struct cox_ready_patch *p, struct cox_json *l, struct cox_json *fc)
{
	return p->spec->apply_to == COX_APPLY_NETWORK_FILTER && listener_matches(p, l) && chain_matches(p, l, fc);
}

static void patch_network_filters(struct patch_job *j, struct cox_json *l, struct cox_json *fc)
{
	const struct cox_envoy_message *m = patch_message("envoy.config.listener.v3.Filter");
	struct cox_json *list = tree_list(j, fc, "filters");
	size_t classes[4] = { 0 };
	for (size_t i = 0; i < j->n; i++) {
		const struct cox_ready_patch *p = job_patch(j, i);
		if (!is_merge(p) && network_patch_matches(p, l, fc) && filters_change(j, p, list, p->filter, classes))
			job_applied(j, i);
	}
	for (size_t k = 0; k < list->n; k++) {
		struct cox_json *filter = &list->items[k];
		for (size_t i = 0; i < j->n; i++) {
			const struct cox_ready_patch *p = job_patch(j, i);
			struct cox_str name = cox_filter_canonical_name(tree_str(filter, "name"));
			if (is_merge(p) && network_patch_matches(p, l, fc) && (!p->filter.n || cox_str_eq(p->filter, name)) &&
			    filter_merge(j, p, m, filter))
				job_applied(j, i);
		}
		if (is_hcm(filter))
			patch_http_filters(j, l, fc, filter);
	}
}

/* --- filter chains --------------------------------------------------------------------------------------------- */

static void chain_merge(struct patch_job *j, const struct cox_ready_patch *p, struct cox_json *fc)
{
	const struct cox_envoy_message *m = patch_message("envoy.config.listener.v3.FilterChain");
	const struct cox_json *value = p->value, *theirs = cox_json_get(value, COX_STR("transport_socket"));
	struct cox_json *mine = tree_get(fc, "transport_socket"), *config = mine ? tree_get(mine, "typed_config") : NULL;
	const struct cox_json *add = theirs ? cox_json_get(theirs, COX_STR("typed_config")) : NULL;
	/* The same transport socket: what stands in it is merged, not replaced by what the patch says of it. */
	if (config && add && cox_str_eq(tree_str(mine, "name"), tree_str(theirs, "name")) &&
	    tree_merge_any(j->t->arena, config, add, replaces_lists(p)))
		value = without(j->t->arena, value, "transport_socket");
	tree_merge(j->t->arena, m, fc, value, replaces_lists(p));
}

/* False: the chain is taken away. */
static bool patch_chain(struct patch_job *j, struct cox_json *l, struct cox_json *fc)
{
	for (size_t i = 0; i < j->n; i++) {
		const struct cox_ready_patch *p = job_patch(j, i);
		if (p->spec->apply_to != COX_APPLY_FILTER_CHAIN || p->op == COX_OP_ADD || !listener_matches(p, l) ||
		    !chain_matches(p, l, fc))
			continue;
		job_applied(j, i);
		if (p->op == COX_OP_REMOVE)
			return false;
		chain_merge(j, p, fc);
	}
	patch_network_filters(j, l, fc);
	return true;
}

static void patch_chains(struct patch_job *j, struct cox_json *l)
{
	struct cox_json *list = tree_get(l, "filter_chains"), *last = tree_get(l, "default_filter_chain");
	for (size_t k = 0; list && k < list->n;)
		if (patch_chain(j, l, &list->items[k]))
			k++;
		else
			tree_remove(list, k);
	if (last && !patch_chain(j, l, last))
		cox_json_set(j->t->arena, l, COX_STR("default_filter_chain"), &(struct cox_json){ .type = COX_JSON_NULL });
	for (size_t i = 0; i < j->n; i++) {
		const struct cox_ready_patch *p = job_patch(j, i);
		if (p->spec->apply_to != COX_APPLY_FILTER_CHAIN || p->op != COX_OP_ADD || !listener_matches(p, l))
			continue;
		struct cox_json *chains = tree_list(j, l, "filter_chains");
		tree_insert(j, chains, chains->n, p->value);
		job_applied(j, i);
	}
}

/* --- the listener ------------------------------------------------------------------------------------------------- */

static void patch_listener_filters(struct patch_job *j, struct cox_json *l)
{
	size_t classes[4] = { 0 };
	for (size_t i = 0; i < j->n; i++) {
		const struct cox_ready_patch *p = job_patch(j, i);
		if (p->spec->apply_to != COX_APPLY_LISTENER_FILTER || !listener_matches(p, l))
			continue;
		struct cox_str target = match_of(p) ? cox_filter_canonical_name(match_of(p)->listener_filter) : (struct cox_str){ 0 };
		if (filters_change(j, p, tree_list(j, l, "listener_filters"), target, classes))
			job_applied(j, i);
	}
}

static void patch_routes_of(struct patch_job *j, struct cox_json *fc)
{
	struct cox_json *filters = fc ? tree_get(fc, "filters") : NULL;
	for (size_t i = 0; filters && i < filters->n; i++) {
		struct cox_json *rc =
		    is_hcm(&filters->items[i]) ? tree_get(tree_get(&filters->items[i], "typed_config"), "route_config") : NULL;
		if (rc)
			patch_route_tree(j, rc);
	}
}

static void patch_inline_routes(struct patch_job *j, struct cox_json *l)
{
	struct cox_json *list = tree_get(l, "filter_chains");
	for (size_t i = 0; list && i < list->n; i++)
		patch_routes_of(j, &list->items[i]);
	patch_routes_of(j, tree_get(l, "default_filter_chain"));
}

bool patch_listener(struct patch_job *j, struct cox_json *l)
{
	patch_inline_routes(j, l);
	for (size_t i = 0; i < j->n; i++) {
		const struct cox_ready_patch *p = job_patch(j, i);
		if (p->spec->apply_to != COX_APPLY_LISTENER || p->op == COX_OP_ADD || !listener_matches(p, l))
			continue;
		job_applied(j, i);
		if (p->op == COX_OP_REMOVE)
			return false;
		tree_merge(j->t->arena, patch_message("envoy.config.listener.v3.Listener"), l, p->value, replaces_lists(p));
	}
	patch_listener_filters(j, l);
	patch_chains(j, l);
	/* Envoy takes no listener without chains. */
	struct cox_json *chains = tree_get(l, "filter_chains");
	return !j->changed || (chains && chains->n) || tree_get(l, "default_filter_chain") || tree_get(l, "api_listener") ||
	       tree_get(l, "udp_listener_config");
}
