/* explain_source.c - which object, and which field of it, something came from. */
#include "tool/explain_priv.h"

#include "model/core.h"
#include "translate/cluster.h"

struct cox_json *explain_source_new(struct cox_arena *a, struct cox_str object, struct cox_str field)
{
	struct cox_json *o = cox_json_new_object(a);
	if (object.n == 0)
		return NULL;
	js_str(a, o, "object", object);
	js_str(a, o, "field", field);
	return o;
}

struct cox_str explain_object_text(struct cox_arena *a, struct cox_str id)
{
	struct cox_str rest = id, kind;
	if (!cox_str_next(&rest, '/', &kind) || rest.n == 0)
		return id;
	return rest.p[0] == '/' ? cox_arena_printf(a, "%.*s %.*s", COX_FMT(kind), COX_FMT(cox_str_sub(rest, 1, SIZE_MAX)))
	                        : cox_arena_printf(a, "%.*s %.*s", COX_FMT(kind), COX_FMT(rest));
}

/* "/apis/networking.istio.io/v1/namespaces/default/virtual-service/reviews", as Istio writes it into metadata. */
struct cox_json *explain_metadata_source(struct cox_arena *a, const struct cox_json *resource)
{
	struct cox_str path = cox_json_str_at(resource, "metadata.filter_metadata.istio.config"), part, ns = { 0 }, kind = { 0 },
	               name = { 0 };
	struct cox_str rest = path;
	for (int i = 0; rest.n > 0 && cox_str_next(&rest, '/', &part); i++) {
		ns = i == 5 ? part : ns;
		kind = i == 6 ? part : kind;
		name = i == 7 ? part : name;
	}
	if (name.n == 0)
		return NULL;
	char *camel = cox_arena_alloc(a, kind.n + 1);
	size_t n = 0;
	for (size_t i = 0; i < kind.n; i++)
		if (kind.p[i] != '-')
			camel[n++] = i == 0 || kind.p[i - 1] == '-' ? (char)(kind.p[i] & ~0x20) : kind.p[i];
	return explain_source_new(a, cox_arena_printf(a, "%.*s %.*s/%.*s", (int)n, camel, COX_FMT(ns), COX_FMT(name)),
	                          (struct cox_str){ 0 });
}

/* --- routes ------------------------------------------------------------------------------------------- */

static ptrdiff_t match_index(const struct cox_route_note *n) { return n->match && n->http->match.n > 0 ? n->match - n->http->match.p : -1; }

static struct cox_json *note_source(struct question *q, const struct cox_route_note *n)
{
	struct cox_arena *a = q->a;
	const struct cox_object *o = n->vs->object;
	uint32_t root = n->http->root_place ? n->http->root_place - 1 : (uint32_t)(n->http - n->vs->spec->http.p);
	ptrdiff_t match = match_index(n);
	struct cox_str field = cox_arena_printf(a, "spec.http[%u]", root);
	struct cox_json *s;
	if (o->kind != COX_KIND_VIRTUAL_SERVICE) /* made of something else: its fields have other places */
		return explain_source_new(a, explain_object_text(a, o->id), (struct cox_str){ 0 });
	if (n->http->leaf_place) { /* what a match came from is not told apart: it is the root's and the delegate's together */
		const struct cox_delegate *d = COX_SPEC(cox_virtual_service_object, o)->spec->http.p[root].delegate;
		struct cox_str ns = d->ns.n > 0 ? d->ns : o->meta.ns;
		s = explain_source_new(a, cox_arena_printf(a, "VirtualService %.*s/%.*s", COX_FMT(ns), COX_FMT(d->name)),
		                       cox_arena_printf(a, "spec.http[%u]", n->http->leaf_place - 1));
		js_put(a, s, "delegatedBy",
		       explain_source_new(a, explain_object_text(a, o->id), cox_arena_printf(a, "%.*s.delegate", COX_FMT(field))));
		return s;
	}
	if (match >= 0)
		field = cox_arena_printf(a, "%.*s.match[%td]", COX_FMT(field), match);
	return explain_source_new(a, explain_object_text(a, o->id), field);
}

static const struct cox_json *rendered_route(const struct explained *x, struct cox_str config, struct cox_str vhost, size_t index)
{
	const struct cox_json *vhosts =
	    cox_json_get(cox_json_get(cox_json_get(x->rendered, COX_STR("RDS")), config), COX_STR("virtual_hosts"));
	for (size_t i = 0; vhosts && i < vhosts->n; i++)
		if (cox_str_eq(cox_json_str_at(&vhosts->items[i], "name"), vhost)) {
			const struct cox_json *routes = cox_json_get(&vhosts->items[i], COX_STR("routes"));
			return routes && index < routes->n ? &routes->items[index] : NULL;
		}
	return NULL;
}

/* A virtual host sent by VHDS is called "route/name". */
static struct cox_str vhost_name(const struct cox_oracle_walk *w)
{
	struct cox_str name = cox_json_str_at(w->vhost, "name");
	ptrdiff_t slash = cox_str_find(name, '/');
	bool is_long = slash > 0 && cox_str_eq(cox_str_sub(name, 0, (size_t)slash), w->route_config_name);
	return is_long ? cox_str_sub(name, (size_t)slash + 1, SIZE_MAX) : name;
}

struct cox_json *explain_route_source(struct question *q, struct explained *x, const struct cox_oracle_walk *w, size_t index)
{
	const struct cox_json *routes = cox_json_get(w->vhost, COX_STR("routes"));
	const struct cox_vhost_note *note = cox_route_notes_find(&x->notes, w->route_config_name, vhost_name(w));
	/* Notes are of what the objects give now; they count where the proxy has the same. */
	const struct cox_json *mine = rendered_route(x, w->route_config_name, vhost_name(w), index);
	if (note && index < note->routes.n && mine && (!x->is_dump || cox_json_eq(mine, &routes->items[index]))) {
		const struct cox_route_note *n = &note->routes.p[index];
		if (n->vs)
			return note_source(q, n);
		return note->svc ? explain_source_new(q->a, explain_object_text(q->a, note->svc->svc->object_id), COX_STR("spec.ports"))
		                 : NULL;
	}
	return explain_metadata_source(q->a, &routes->items[index]);
}

void explain_drift(struct question *q, struct explained *x, const struct cox_oracle_walk *w)
{
	if (!x->is_dump || x->rendered == NULL || w->vhost == NULL)
		return;
	const struct cox_json *vhosts =
	    cox_json_get(cox_json_get(cox_json_get(x->rendered, COX_STR("RDS")), w->route_config_name), COX_STR("virtual_hosts"));
	for (size_t i = 0; vhosts && i < vhosts->n; i++) {
		const struct cox_json *v = &vhosts->items[i];
		if (!cox_str_eq(cox_json_str_at(v, "name"), vhost_name(w)))
			continue;
		const struct cox_json *mine = cox_json_get(v, COX_STR("routes")), *theirs = cox_json_get(w->vhost, COX_STR("routes"));
		if ((mine == NULL) == (theirs == NULL) && (mine == NULL || cox_json_eq(mine, theirs)))
			return;
	}
	explain_note(q, "the proxy's virtual host %.*s is not what the objects give now; `coxctl diff --sent` says what differs",
	             COX_FMT(vhost_name(w)));
}

/* --- rules ---------------------------------------------------------------------------------------------- */

bool explain_cluster_name_split(struct cox_str name, struct cox_str *direction, uint16_t *port, struct cox_str *subset,
                                struct cox_str *host)
{
	struct cox_str rest = name, number;
	uint64_t n;
	if (!cox_str_next(&rest, '|', direction) || !cox_str_next(&rest, '|', &number) || !cox_str_next(&rest, '|', subset) ||
	    cox_str_to_u64(number, &n) != COX_OK || n > 65535)
		return false;
	*port = (uint16_t)n;
	*host = rest;
	return true;
}

static const struct cox_dr *rule_find(struct question *q, const struct explained *x, struct cox_str host)
{
	if (q->e->world == NULL || x->proxy == NULL)
		return NULL;
	const struct cox_snapshot *s = q->e->world->snapshot;
	const struct cox_snap_svc *svc = cox_snapshot_svc_find(s, host, x->ns);
	return svc ? cox_scope_dr_find(s, x->ns, x->labels.p, x->labels.n, svc->svc) : NULL;
}

/* Of the rules merged into one: the first that has what is asked for, a subset or (empty name) a policy of its own. */
static const struct cox_object *rule_object(const struct question *q, const struct cox_dr *dr, struct cox_str subset, size_t *index)
{
	for (COX_EACH(struct cox_str, id, dr->object_ids)) {
		struct cox_str rest = *id, kind, ns;
		if (!cox_str_next(&rest, '/', &kind) || !cox_str_next(&rest, '/', &ns))
			continue;
		const struct cox_object *o = cox_registry_object_find(q->e->world->registry, COX_KIND_DESTINATION_RULE, ns, rest);
		const struct cox_destination_rule *spec = o ? COX_SPEC(cox_destination_rule_object, o)->spec : NULL;
		if (spec == NULL)
			continue;
		if (subset.n == 0 && spec->traffic_policy)
			return o;
		for (size_t i = 0; subset.p && i < spec->subsets.n; i++)
			if (cox_str_eq(spec->subsets.p[i].name, subset)) {
				*index = i;
				return o;
			}
	}
	return NULL;
}

struct cox_json *explain_subset_source(struct question *q, struct explained *x, struct cox_str host, struct cox_str subset)
{
	const struct cox_dr *dr = rule_find(q, x, host);
	size_t index = 0;
	const struct cox_object *o = dr && subset.n > 0 ? rule_object(q, dr, subset, &index) : NULL;
	return o ? explain_source_new(q->a, explain_object_text(q->a, o->id), cox_arena_printf(q->a, "spec.subsets[%zu]", index)) : NULL;
}

/* Where in a traffic policy `what` points; empty: not in this one. */
static struct cox_str place_in(struct cox_arena *a, const struct cox_traffic_policy *p, const void *what, const char *name,
                               struct cox_str prefix)
{
	if (p == NULL || what == NULL)
		return (struct cox_str){ 0 };
	if (what == p->load_balancer || what == p->connection_pool || what == p->outlier_detection || what == p->tls || what == p->tunnel ||
	    what == p->proxy_protocol || what == p->retry_budget)
		return cox_arena_printf(a, "%.*strafficPolicy.%s", COX_FMT(prefix), name);
	for (size_t i = 0; i < p->port_level_settings.n; i++) {
		const struct cox_port_traffic_policy *at = &p->port_level_settings.p[i];
		if (what == at->load_balancer || what == at->connection_pool || what == at->outlier_detection || what == at->tls)
			return cox_arena_printf(a, "%.*strafficPolicy.portLevelSettings[%zu].%s", COX_FMT(prefix), i, name);
	}
	return (struct cox_str){ 0 };
}

static struct cox_json *policy_source(struct question *q, const struct cox_dr *dr, const void *what, const char *name,
                                      struct cox_str subset)
{
	struct cox_arena *a = q->a;
	const struct cox_subset *s = cox_dr_subset_find(dr, subset);
	size_t index = 0;
	if (dr) {
		struct cox_str field = place_in(a, s ? s->traffic_policy : NULL, what, name, (struct cox_str){ 0 });
		const struct cox_object *o = field.n > 0 ? rule_object(q, dr, subset, &index) : NULL;
		if (o)
			return explain_source_new(a, explain_object_text(a, o->id),
			                          cox_arena_printf(a, "spec.subsets[%zu].%.*s", index, COX_FMT(field)));
		field = place_in(a, dr->spec->traffic_policy, what, name, COX_STR("spec."));
		o = field.n > 0 ? rule_object(q, dr, (struct cox_str){ 0 }, &index) : NULL;
		if (o)
			return explain_source_new(a, explain_object_text(a, o->id), field);
	}
	struct cox_str field = place_in(a, q->e->world->snapshot->mesh->default_traffic_policy, what, name, (struct cox_str){ 0 });
	return field.n > 0 ? explain_source_new(a, COX_STR("mesh configuration"), cox_arena_printf(a, "defaultTrafficPolicy.%s", name))
	                   : NULL;
}

struct cox_json *explain_policy_sources(struct question *q, struct explained *x, struct cox_str host, uint16_t port, struct cox_str subset)
{
	if (q->e->world == NULL || x->proxy == NULL)
		return NULL;
	const struct cox_dr *dr = rule_find(q, x, host);
	struct cox_policy p = cox_policy_of(q->e->world->snapshot->mesh, dr, subset, port);
	const struct {
		const char *name;
		const void *what;
	} rows[] = { { "loadBalancer", p.lb }, { "connectionPool", p.pool },          { "outlierDetection", p.outlier }, { "tls", p.tls },
		     { "tunnel", p.tunnel },   { "proxyProtocol", p.proxy_protocol }, { "retryBudget", p.retry_budget } };
	struct cox_json *list = cox_json_new_array(q->a);
	for (size_t i = 0; i < COX_LEN(rows); i++) {
		struct cox_json *s = rows[i].what ? policy_source(q, dr, rows[i].what, rows[i].name, subset) : NULL;
		if (s == NULL)
			continue;
		js_str(q->a, s, "policy", cox_str_of(rows[i].name));
		cox_json_push(q->a, list, s);
	}
	return list->n > 0 ? list : NULL;
}

/* --- listeners ------------------------------------------------------------------------------------------ */

static bool server_has_host(const struct cox_server *s, struct cox_str host)
{
	for (COX_EACH(struct cox_str, h, s->hosts)) {
		ptrdiff_t slash = cox_str_find(*h, '/');
		if (cox_host_covers(cox_str_sub(*h, (size_t)(slash + 1), SIZE_MAX), host))
			return true;
	}
	return false;
}

/* A gateway's listener: the first server on this port (or, behind a service, on its target) that has the host. */
static struct cox_json *gateway_source(struct question *q, struct explained *x)
{
	const struct cox_object **gateways;
	struct cox_str host = q->host;
	size_t n = cox_snapshot_gateways_for(q->e->world->snapshot, x->labels.p, x->labels.n, x->ns, q->a, &gateways);
	for (size_t g = 0; g < n; g++) {
		const struct cox_gateway *spec = COX_SPEC(cox_gateway_object, gateways[g])->spec;
		for (size_t i = 0; i < spec->servers.n; i++) {
			const struct cox_server *s = &spec->servers.p[i];
			bool is_port = s->port && (s->port->number.v == q->r.dst_port || s->port->number.v == q->port_asked);
			if (is_port && server_has_host(s, host))
				return explain_source_new(q->a, explain_object_text(q->a, gateways[g]->id),
				                          cox_arena_printf(q->a, "spec.servers[%zu]", i));
		}
	}
	return NULL;
}

static struct cox_json *sidecar_source(struct question *q, struct explained *x)
{
	const struct cox_snapshot *s = q->e->world->snapshot;
	const struct cox_scope *scope = cox_scope_build(s, x->ns, x->labels.p, x->labels.n, q->a);
	if (scope->sidecar == NULL || scope->spec == NULL)
		return NULL;
	for (size_t i = 0; q->svc && i < scope->listeners.n; i++)
		for (COX_EACH(struct cox_scope_svc, v, scope->listeners.p[i].svcs))
			if (v->snap == q->svc && scope->listeners.p[i].egress)
				return explain_source_new(
				    q->a, explain_object_text(q->a, scope->sidecar->id),
				    cox_arena_printf(q->a, "spec.egress[%td]", scope->listeners.p[i].egress - scope->spec->egress.p));
	return explain_source_new(q->a, explain_object_text(q->a, scope->sidecar->id), COX_STR("spec.egress"));
}

struct cox_json *explain_listener_source(struct question *q, struct explained *x, const struct cox_oracle_walk *w)
{
	(void)w;
	if (q->e->world == NULL || x->proxy == NULL)
		return NULL;
	return x->is_router ? gateway_source(q, x) : sidecar_source(q, x);
}
