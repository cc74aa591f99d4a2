/* Route configurations, virtual hosts and routes. */
#include "translate/patch_priv.h"

static const struct cox_patch_route_config *match_of(const struct cox_ready_patch *p)
{
	return p->spec->match ? p->spec->match->route_configuration : NULL;
}
static bool is_merge(const struct cox_ready_patch *p) { return p->op == COX_OP_MERGE || p->op == COX_OP_MERGE_AND_REPLACE_LIST; }

/* --- matches ----------------------------------------------------------------------------------------- */

/* What names of route configurations say: "80", "host:80", "http.80", "https.443.name.gateway.namespace", "inbound|8080||". */
struct route_name {
	uint64_t port;
	struct cox_str port_name, gateway, gateway_ns;
};

static uint64_t number_of(struct cox_str s)
{
	uint64_t n;
	return s.n && cox_str_to_u64(s, &n) == COX_OK ? n : 0;
}

static struct route_name gateway_name_parse(struct cox_str name)
{
	struct route_name r = { 0 };
	struct cox_str scheme = { 0 }, port = { 0 }, rest = name;
	cox_str_next(&rest, '.', &scheme);
	cox_str_next(&rest, '.', &port);
	r.port = number_of(port);
	if (!cox_str_eq_cstr(scheme, "https") || !rest.p)
		return r;
	/* The port's name may have dots of its own; Gateway and namespace stand last. */
	ptrdiff_t dot = cox_str_rfind(rest, '.');
	r.gateway_ns = dot < 0 ? rest : cox_str_sub(rest, (size_t)dot + 1, rest.n);
	rest = cox_str_sub(rest, 0, dot < 0 ? 0 : (size_t)dot);
	dot = cox_str_rfind(rest, '.');
	r.gateway = dot < 0 ? rest : cox_str_sub(rest, (size_t)dot + 1, rest.n);
	r.port_name = cox_str_sub(rest, 0, dot < 0 ? 0 : (size_t)dot);
	return r;
}

static uint64_t sidecar_port(struct cox_str name)
{
	struct cox_str rest = name, part = { 0 };
	if (!cox_str_has_prefix(name, COX_STR("inbound|")))
		return number_of(name);
	cox_str_next(&rest, '|', &part);
	cox_str_next(&rest, '|', &part);
	return number_of(part);
}

/* Where a Service leads another port to the one that the router listens on, only that other port counts. */
static bool gateway_port_is(const struct patch_job *j, uint64_t wanted, uint64_t listens)
{
	bool is_mapped = false;
	for (COX_EACH(struct cox_patch_port, p, j->t->patching->ports)) {
		is_mapped |= p->listen == listens;
		if (p->listen == listens && p->server == wanted)
			return true;
	}
	return !is_mapped && listens == wanted;
}

static bool gateway_is(struct cox_str wanted, const struct route_name *r)
{
	ptrdiff_t slash = cox_str_find(wanted, '/');
	return slash >= 0 && cox_str_eq(cox_str_sub(wanted, 0, (size_t)slash), r->gateway_ns) &&
	       cox_str_eq(cox_str_sub(wanted, (size_t)slash + 1, wanted.n), r->gateway);
}

bool match_route_name(const struct patch_job *j, const struct cox_ready_patch *p, struct cox_str route)
{
	const struct cox_patch_route_config *m = match_of(p);
	uint64_t port = m && m->port_number.set ? (uint64_t)m->port_number.v : 0;
	if (!m)
		return true;
	if (m->name.n && !cox_str_eq(m->name, route))
		return false;
	if (j->context != COX_PATCH_GATEWAY)
		return port == 0 || port == sidecar_port(route);
	struct route_name r = gateway_name_parse(route);
	bool is_plain = cox_str_has_prefix(route, COX_STR("http."));
	return (port == 0 || (is_plain ? gateway_port_is(j, port, r.port) : port == r.port)) &&
	       (!m->port_name.n || cox_str_eq(m->port_name, r.port_name)) && (!m->gateway.n || gateway_is(m->gateway, &r));
}

static bool vhost_matches(const struct cox_ready_patch *p, const struct cox_json *vhost, struct cox_str name)
{
	const struct cox_patch_vhost *m = match_of(p) ? match_of(p)->vhost : NULL;
	const struct cox_json *domains = cox_json_get(vhost, COX_STR("domains"));
	if (!m)
		return true;
	if (m->name.n && !cox_str_eq(m->name, name))
		return false;
	if (!m->domain_name.n)
		return true;
	for (size_t i = 0; domains && domains->type == COX_JSON_ARRAY && i < domains->n; i++)
		if (domains->items[i].type == COX_JSON_STRING && cox_str_eq(domains->items[i].text, m->domain_name))
			return true;
	return false;
}

static const struct cox_patch_route *route_match_of(const struct cox_ready_patch *p)
{
	return match_of(p) && match_of(p)->vhost ? match_of(p)->vhost->route : NULL;
}

static bool route_matches(const struct cox_ready_patch *p, struct cox_json *route)
{
	static const char *const members[] = { NULL, "route", "redirect", "direct_response" };
	const struct cox_patch_route *m = route_match_of(p);
	if (!m)
		return true;
	if (m->name.n && !cox_str_eq(m->name, tree_str(route, "name")))
		return false;
	return m->action == COX_ROUTE_ANY || tree_get(route, members[m->action]);
}

/* --- routes -------------------------------------------------------------------------------------------- */

struct vhost_at { /* where we are */
	struct cox_str route, name;
	struct cox_json *vhost;
};

static bool concerns(const struct patch_job *j, const struct cox_ready_patch *p, int apply_to, const struct vhost_at *at)
{
	return p->spec->apply_to == apply_to && match_route_name(j, p, at->route) && vhost_matches(p, at->vhost, at->name);
}

/* False: the route is taken away. */
static bool patch_route(struct patch_job *j, const struct vhost_at *at, struct cox_json *route)
{
	for (size_t i = 0; i < j->n; i++) {
		const struct cox_ready_patch *p = job_patch(j, i);
		if ((!is_merge(p) && p->op != COX_OP_REMOVE) || !concerns(j, p, COX_APPLY_HTTP_ROUTE, at) || !route_matches(p, route))
			continue;
		job_applied(j, i);
		if (p->op == COX_OP_REMOVE)
			return false;
		tree_merge(j->t->arena, patch_message("envoy.config.route.v3.Route"), route, p->value,
		           p->op == COX_OP_MERGE_AND_REPLACE_LIST);
	}
	return true;
}

static void add_route(struct patch_job *j, size_t i, const struct cox_ready_patch *p, struct cox_json *list)
{
	size_t found = list->n;
	bool has_match = route_match_of(p) != NULL;
	for (size_t k = 0; k < list->n && has_match; k++)
		if (route_matches(p, &list->items[k])) {
			found = k;
			break;
		}
	if (p->op != COX_OP_ADD && has_match && found == list->n)
		return;
	if (p->op == COX_OP_ADD)
		tree_insert(j, list, list->n, p->value);
	else if (p->op == COX_OP_INSERT_AFTER)
		tree_insert(j, list, has_match ? found + 1 : list->n, p->value);
	else if (p->op == COX_OP_INSERT_BEFORE)
		tree_insert(j, list, has_match ? found : 0, p->value);
	else
		tree_insert(j, list, 0, p->value); /* INSERT_FIRST: at the top, if what it looks for is there */
	job_applied(j, i);
}

static void patch_routes(struct patch_job *j, const struct vhost_at *at)
{
	struct cox_json *list = tree_list(j, at->vhost, "routes");
	for (size_t k = 0; k < list->n;)
		if (patch_route(j, at, &list->items[k]))
			k++;
		else
			tree_remove(list, k);
	for (size_t i = 0; i < j->n; i++) {
		const struct cox_ready_patch *p = job_patch(j, i);
		bool adds =
		    p->op == COX_OP_ADD || p->op == COX_OP_INSERT_AFTER || p->op == COX_OP_INSERT_BEFORE || p->op == COX_OP_INSERT_FIRST;
		if (adds && concerns(j, p, COX_APPLY_HTTP_ROUTE, at))
			add_route(j, i, p, list);
	}
}

/* --- virtual hosts ---------------------------------------------------------------------------------------- */

bool patch_vhost(struct patch_job *j, struct cox_json *vhost, struct cox_str route, struct cox_str name)
{
	struct vhost_at at = { route, name, vhost };
	for (size_t i = 0; i < j->n; i++) {
		const struct cox_ready_patch *p = job_patch(j, i);
		if (p->op == COX_OP_ADD || !concerns(j, p, COX_APPLY_VIRTUAL_HOST, &at))
			continue;
		job_applied(j, i);
		if (p->op == COX_OP_REMOVE)
			return false;
		if (p->op == COX_OP_REPLACE)
			*vhost = *cox_json_clone(j->t->arena, p->value);
		else
			tree_merge(j->t->arena, patch_message("envoy.config.route.v3.VirtualHost"), vhost, p->value,
			           p->op == COX_OP_MERGE_AND_REPLACE_LIST);
	}
	patch_routes(j, &at);
	return true;
}

void patch_route_tree(struct patch_job *j, struct cox_json *rc)
{
	struct cox_str name = tree_str(rc, "name");
	for (size_t i = 0; i < j->n; i++) {
		const struct cox_ready_patch *p = job_patch(j, i);
		if (p->spec->apply_to != COX_APPLY_ROUTE_CONFIGURATION || !is_merge(p) || !match_route_name(j, p, name))
			continue;
		tree_merge(j->t->arena, patch_message("envoy.config.route.v3.RouteConfiguration"), rc, p->value,
		           p->op == COX_OP_MERGE_AND_REPLACE_LIST);
		job_applied(j, i);
	}
	struct cox_json *list = tree_list(j, rc, "virtual_hosts");
	for (size_t k = 0; k < list->n;)
		if (patch_vhost(j, &list->items[k], name, tree_str(&list->items[k], "name")))
			k++;
		else
			tree_remove(list, k);
	for (size_t i = 0; i < j->n; i++) {
		const struct cox_ready_patch *p = job_patch(j, i);
		if (p->spec->apply_to != COX_APPLY_VIRTUAL_HOST || p->op != COX_OP_ADD || !match_route_name(j, p, name))
			continue;
		tree_insert(j, list, list->n, p->value);
		job_applied(j, i);
	}
}
