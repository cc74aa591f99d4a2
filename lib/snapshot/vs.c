/* vs - VirtualServices ready for use: full names, delegates merged in (protocol facts, section 7). */
#include "snapshot/snapshot_priv.h"

#include <stdlib.h>

static bool contains_str(const struct cox_str *p, size_t n, struct cox_str s)
{
	for (size_t i = 0; i < n; i++)
		if (cox_str_eq(p[i], s))
			return true;
	return false;
}

struct cox_str snap_full_gateway(struct cox_arena *arena, struct cox_str name, struct cox_str ns)
{
	if (cox_str_eq(name, COX_STR("mesh")) || cox_str_find(name, '/') >= 0)
		return name;
	ptrdiff_t dot = cox_str_find(name, '.');
	if (dot > 0) { /* the old form "name.namespace", perhaps with more behind */
		struct cox_str rest = cox_str_sub(name, (size_t)dot + 1, name.n);
		ptrdiff_t end = cox_str_find(rest, '.');
		struct cox_str in = cox_str_sub(rest, 0, end < 0 ? rest.n : (size_t)end);
		return cox_arena_printf(arena, "%.*s/%.*s", COX_FMT(in), COX_FMT(cox_str_sub(name, 0, (size_t)dot)));
	}
	return cox_arena_printf(arena, "%.*s/%.*s", COX_FMT(ns), COX_FMT(name));
}

/* --- resolving one rule ---------------------------------------------------------------------- */

struct resolving {
	struct cox_arena *arena;
	struct cox_str ns, domain;
};

static const struct cox_str *resolve_gateways(struct resolving *r, const struct cox_str *p, size_t n)
{
	struct cox_str *out = COX_ARENA_ARRAY(r->arena, struct cox_str, n + 1);
	for (size_t i = 0; i < n; i++)
		out[i] = snap_full_gateway(r->arena, p[i], r->ns);
	return out;
}

static const struct cox_destination *resolve_destination(struct resolving *r, const struct cox_destination *d)
{
	if (!d)
		return NULL;
	struct cox_str host = cox_host_resolve(r->arena, d->host, r->ns, r->domain);
	if (host.p == d->host.p)
		return d;
	struct cox_destination *copy = COX_ARENA_NEW(r->arena, struct cox_destination);
	*copy = *d;
	copy->host = host;
	return copy;
}

static void resolve_http(struct resolving *r, struct cox_http_route *route)
{
	struct cox_http_match *match = COX_ARENA_ARRAY(r->arena, struct cox_http_match, route->match.n);
	for (size_t i = 0; i < route->match.n; i++) {
		match[i] = route->match.p[i];
		match[i].gateways.p = resolve_gateways(r, match[i].gateways.p, match[i].gateways.n);
	}
	route->match.p = match;
	struct cox_http_route_destination *dest = COX_ARENA_ARRAY(r->arena, struct cox_http_route_destination, route->route.n);
	for (size_t i = 0; i < route->route.n; i++) {
		dest[i] = route->route.p[i];
		dest[i].destination = resolve_destination(r, dest[i].destination);
	}
	route->route.p = dest;
	route->mirror = resolve_destination(r, route->mirror);
	struct cox_http_mirror *mirrors = COX_ARENA_ARRAY(r->arena, struct cox_http_mirror, route->mirrors.n);
	for (size_t i = 0; i < route->mirrors.n; i++) {
		mirrors[i] = route->mirrors.p[i];
		mirrors[i].destination = resolve_destination(r, mirrors[i].destination);
	}
	route->mirrors.p = mirrors;
}

static const struct cox_l4_route_destination *resolve_l4(struct resolving *r, const struct cox_l4_route_destination *p, size_t n)
{
	struct cox_l4_route_destination *out = COX_ARENA_ARRAY(r->arena, struct cox_l4_route_destination, n);
	for (size_t i = 0; i < n; i++) {
		out[i] = p[i];
		out[i].destination = resolve_destination(r, p[i].destination);
	}
	return out;
}

static void resolve_tls(struct resolving *r, struct cox_virtual_service *spec)
{
	struct cox_tls_route *tls = COX_ARENA_ARRAY(r->arena, struct cox_tls_route, spec->tls.n);
	for (size_t i = 0; i < spec->tls.n; i++) {
		tls[i] = spec->tls.p[i];
		struct cox_tls_match *match = COX_ARENA_ARRAY(r->arena, struct cox_tls_match, tls[i].match.n);
		for (size_t k = 0; k < tls[i].match.n; k++) {
			match[k] = tls[i].match.p[k];
			match[k].gateways.p = resolve_gateways(r, match[k].gateways.p, match[k].gateways.n);
		}
		tls[i].match.p = match;
		tls[i].route.p = resolve_l4(r, tls[i].route.p, tls[i].route.n);
	}
	spec->tls.p = tls;
}

static void resolve_tcp(struct resolving *r, struct cox_virtual_service *spec)
{
	struct cox_tcp_route *tcp = COX_ARENA_ARRAY(r->arena, struct cox_tcp_route, spec->tcp.n);
	for (size_t i = 0; i < spec->tcp.n; i++) {
		tcp[i] = spec->tcp.p[i];
		struct cox_tcp_match *match = COX_ARENA_ARRAY(r->arena, struct cox_tcp_match, tcp[i].match.n);
		for (size_t k = 0; k < tcp[i].match.n; k++) {
			match[k] = tcp[i].match.p[k];
			match[k].gateways.p = resolve_gateways(r, match[k].gateways.p, match[k].gateways.n);
		}
		tcp[i].match.p = match;
		tcp[i].route.p = resolve_l4(r, tcp[i].route.p, tcp[i].route.n);
	}
	spec->tcp.p = tcp;
}

/* --- delegates -------------------------------------------------------------------------------- */

static const struct cox_virtual_service *spec_of(const struct cox_object *o) { return COX_SPEC(cox_virtual_service_object, o)->spec; }

static const struct cox_object *find_delegate(const struct cox_registry *reg, const struct cox_object *root, const struct cox_delegate *d)
{
	struct cox_str ns = d->ns.n ? d->ns : root->meta.ns;
	const struct cox_object *o = cox_registry_object_find(reg, COX_KIND_VIRTUAL_SERVICE, ns, d->name);
	if (!o || !spec_of(o) || spec_of(o)->hosts.n)
		return NULL; /* a delegate has no hosts of its own */
	return o;
}

static bool string_match_eq(const struct cox_string_match *a, const struct cox_string_match *b)
{
	return a->exact.set == b->exact.set && a->prefix.set == b->prefix.set && a->regex.set == b->regex.set && cox_str_eq(a->exact.v, b->exact.v) &&
	       cox_str_eq(a->prefix.v, b->prefix.v) && cox_str_eq(a->regex.v, b->regex.v);
}

/* Whether what `sub` matches is within what `root` matches, as far as that can be told. */
static bool is_narrower(const struct cox_string_match *root, const struct cox_string_match *sub)
{
	if (!root)
		return true;
	if (!sub)
		return false;
	if (root->prefix.set) {
		if (sub->exact.set)
			return cox_str_has_prefix(sub->exact.v, root->prefix.v);
		return sub->prefix.set && cox_str_has_prefix(sub->prefix.v, root->prefix.v);
	}
	return string_match_eq(root, sub);
}

static const struct cox_string_match *pick(const struct cox_string_match *root, const struct cox_string_match *sub) { return sub ? sub : root; }

typedef COX_LIST(struct cox_string_match_entry) match_entries;

static match_entries join_entries(struct cox_arena *arena, const match_entries root, const match_entries sub)
{
	struct cox_string_match_entry *out = COX_ARENA_ARRAY(arena, struct cox_string_match_entry, root.n + sub.n);
	size_t n = 0;
	for (size_t i = 0; i < root.n; i++)
		out[n++] = root.p[i];
	for (size_t i = 0; i < sub.n; i++) {
		bool replaced = false;
		for (size_t k = 0; k < n && !replaced; k++)
			if (cox_str_eq(out[k].key, sub.p[i].key)) {
				out[k] = sub.p[i];
				replaced = true;
			}
		if (!replaced)
			out[n++] = sub.p[i];
	}
	return (match_entries){ out, n };
}

#define JOIN(arena, into, root, sub, field)                                                                                   \
	do {                                                                                                                  \
		match_entries joined_ = join_entries(arena, (match_entries){ (root)->field.p, (root)->field.n },              \
		                                     (match_entries){ (sub)->field.p, (sub)->field.n });                      \
		(into)->field.p = joined_.p;                                                                                  \
		(into)->field.n = joined_.n;                                                                                  \
	} while (0)

/* Both conditions hold; false when the delegate's reaches beyond the root's. */
static bool merge_match(struct cox_arena *arena, const struct cox_http_match *root, const struct cox_http_match *sub, struct cox_http_match *out)
{
	if (!is_narrower(root->uri, sub->uri ? sub->uri : root->uri) || !is_narrower(root->method, sub->method ? sub->method : root->method) ||
	    !is_narrower(root->scheme, sub->scheme ? sub->scheme : root->scheme) || !is_narrower(root->authority, sub->authority ? sub->authority : root->authority))
		return false;
	*out = *root;
	out->uri = pick(root->uri, sub->uri);
	out->method = pick(root->method, sub->method);
	out->scheme = pick(root->scheme, sub->scheme);
	out->authority = pick(root->authority, sub->authority);
	out->ignore_uri_case |= sub->ignore_uri_case;
	JOIN(arena, out, root, sub, headers);
	JOIN(arena, out, root, sub, without_headers);
	JOIN(arena, out, root, sub, query_params);
	if (sub->port.set)
		out->port = sub->port;
	if (sub->source_labels.n)
		out->source_labels = sub->source_labels;
	if (sub->source_namespace.n)
		out->source_namespace = sub->source_namespace;
	if (sub->stat_prefix.n)
		out->stat_prefix = sub->stat_prefix;
	if (root->name.n && sub->name.n)
		out->name = cox_arena_printf(arena, "%.*s-%.*s", COX_FMT(root->name), COX_FMT(sub->name));
	else if (sub->name.n)
		out->name = sub->name;
	return true;
}

#define INHERIT(field) \
	do {           \
		if (!out->field) \
			out->field = root->field; \
	} while (0)

/* The delegate's route under the root's conditions; what it leaves unset it inherits. False: it can never match. */
static bool merge_route(struct cox_arena *arena, const struct cox_http_route *root, const struct cox_http_route *sub, struct cox_http_route *out)
{
	*out = *sub;
	if (root->match.n && sub->match.n) {
		struct cox_http_match *match = COX_ARENA_ARRAY(arena, struct cox_http_match, root->match.n * sub->match.n);
		size_t n = 0;
		for (size_t i = 0; i < sub->match.n; i++)
			for (size_t k = 0; k < root->match.n; k++)
				n += merge_match(arena, &root->match.p[k], &sub->match.p[i], &match[n]);
		if (!n)
			return false;
		out->match.p = match;
		out->match.n = n;
	} else if (root->match.n) {
		out->match = root->match;
	}
	if (root->name.n && sub->name.n)
		out->name = cox_arena_printf(arena, "%.*s-%.*s", COX_FMT(root->name), COX_FMT(sub->name));
	else if (root->name.n)
		out->name = root->name;
	INHERIT(rewrite);
	INHERIT(retries);
	INHERIT(fault);
	INHERIT(mirror);
	INHERIT(mirror_percentage);
	INHERIT(cors_policy);
	INHERIT(headers);
	if (!out->timeout_ns.set)
		out->timeout_ns = root->timeout_ns;
	if (!out->mirror_percent.set)
		out->mirror_percent = root->mirror_percent;
	if (!out->mirrors.n)
		out->mirrors = root->mirrors;
	out->delegate = NULL;
	return true;
}

static void add_delegated(struct resolving *r, const struct cox_registry *reg, const struct cox_object *root, const struct cox_http_route *route,
                          void *out_vec)
{
	COX_VEC(struct cox_http_route) *out = out_vec;
	const struct cox_object *o = find_delegate(reg, root, route->delegate);
	if (!o)
		return; /* snapshot/check reports it */
	struct resolving in = { r->arena, o->meta.ns, r->domain };
	struct resolving at_root = *r;
	for (size_t i = 0; i < spec_of(o)->http.n; i++) {
		struct cox_http_route sub = spec_of(o)->http.p[i], base = *route, merged;
		if (sub.delegate)
			continue; /* one level only */
		resolve_http(&in, &sub);
		resolve_http(&at_root, &base);
		if (merge_route(r->arena, &base, &sub, &merged))
			cox_vec_push(out, merged);
	}
}

static struct cox_hash rule_hash(const struct cox_registry *reg, const struct cox_object *o)
{
	struct cox_hash h = o->hash;
	for (size_t i = 0; i < spec_of(o)->http.n; i++) {
		const struct cox_delegate *d = spec_of(o)->http.p[i].delegate;
		const struct cox_object *target = d ? find_delegate(reg, o, d) : NULL;
		if (d)
			h = cox_hash_combine(h, target ? target->hash : (struct cox_hash){ 0, 1 });
	}
	return h;
}

static struct cox_vs *make_vs(const struct cox_snapshot *s, const struct cox_registry *reg, const struct cox_object *o, struct cox_hash hash)
{
	struct vs_box *box = COX_NEW(struct vs_box);
	struct resolving r = { &box->arena, o->meta.ns, s->domain };
	struct cox_virtual_service *spec = COX_ARENA_NEW(&box->arena, struct cox_virtual_service);
	*spec = *spec_of(o);
	struct cox_str *hosts = COX_ARENA_ARRAY(&box->arena, struct cox_str, spec->hosts.n);
	for (size_t i = 0; i < spec->hosts.n; i++)
		hosts[i] = cox_host_resolve(&box->arena, spec->hosts.p[i], o->meta.ns, s->domain);
	spec->hosts.p = hosts;
	COX_VEC(struct cox_http_route) http = { 0 };
	for (size_t i = 0; i < spec->http.n; i++) {
		struct cox_http_route route = spec->http.p[i];
		if (route.delegate) {
			add_delegated(&r, reg, o, &route, &http);
			continue;
		}
		resolve_http(&r, &route);
		cox_vec_push(&http, route);
	}
	struct cox_http_route *kept = COX_ARENA_ARRAY(&box->arena, struct cox_http_route, http.n);
	if (http.n)
		memcpy(kept, http.p, http.n * sizeof(*kept));
	spec->http.p = kept;
	spec->http.n = http.n;
	cox_vec_fini(&http);
	resolve_tls(&r, spec);
	resolve_tcp(&r, spec);
	static const struct cox_str mesh_only[] = { COX_STR_INIT("mesh") };
	spec->gateways.p = spec->gateways.n ? resolve_gateways(&r, spec->gateways.p, spec->gateways.n) : mesh_only;
	spec->gateways.n = spec->gateways.n ? spec->gateways.n : 1;
	struct cox_vs *v = &box->vs;
	cox_ref_init(&v->ref);
	v->hash = hash;
	v->object = cox_object_ref(o);
	v->spec = spec;
	v->export_to = cox_export_build(&box->arena, spec->export_to.p, spec->export_to.n, o->meta.ns, s->mesh->default_virtual_service_export_to.p,
	                                s->mesh->default_virtual_service_export_to.n);
	v->is_mesh = contains_str(spec->gateways.p, spec->gateways.n, COX_STR("mesh"));
	struct cox_str *gateways = COX_ARENA_ARRAY(&box->arena, struct cox_str, spec->gateways.n);
	for (size_t i = 0; i < spec->gateways.n; i++)
		if (!cox_str_eq(spec->gateways.p[i], COX_STR("mesh")))
			gateways[v->gateways.n++] = spec->gateways.p[i];
	v->gateways.p = gateways;
	return v;
}

void snap_vs_unref(const struct cox_vs *shared)
{
	struct vs_box *box = (struct vs_box *)(void *)shared;
	if (!cox_ref_put(&box->vs.ref))
		return;
	struct cox_arena arena = box->arena;
	cox_object_unref(box->vs.object);
	cox_arena_fini(&arena);
	cox_free(box);
}

static int cmp_vs(const void *a, const void *b)
{
	return cox_object_cmp_age((*(const struct cox_vs *const *)a)->object, (*(const struct cox_vs *const *)b)->object);
}

static void bind_gateway(struct cox_snapshot_index *x, struct cox_str gateway, const struct cox_vs *v)
{
	struct gateway_rules *g = cox_map_find(&x->gateways, gateway);
	if (!g) {
		g = COX_NEW(struct gateway_rules);
		g->gateway = gateway;
		cox_map_set(&x->gateways, g->gateway, g);
	}
	if (!g->items.n || g->items.p[g->items.n - 1] != v)
		cox_vec_push(&g->items, v);
}

void snap_build_vs(struct cox_snapshot *s, const struct cox_registry *reg, const struct cox_snapshot *before)
{
	const struct cox_object *const *objects;
	size_t n = cox_registry_objects(reg, COX_KIND_VIRTUAL_SERVICE, &objects), made = 0;
	const struct cox_vs **all = COX_ARENA_ARRAY(&s->arena, const struct cox_vs *, n);
	bool same_mesh = before && cox_hash_eq(before->mesh_hash, s->mesh_hash);
	for (size_t i = 0; i < n; i++) {
		if (!spec_of(objects[i]) || !spec_of(objects[i])->hosts.n)
			continue; /* a delegate */
		struct cox_hash hash = rule_hash(reg, objects[i]);
		struct cox_vs *v = same_mesh ? cox_map_find(&before->index->vs_by_id, objects[i]->id) : NULL;
		if (v && cox_hash_eq(v->hash, hash))
			cox_ref_get(&v->ref);
		else
			v = make_vs(s, reg, objects[i], hash);
		all[made++] = v;
	}
	qsort(all, made, sizeof(*all), cmp_vs);
	s->virtual_services.p = all;
	s->virtual_services.n = made;
	for (size_t i = 0; i < made; i++) {
		cox_map_set(&s->index->vs_by_id, all[i]->object->id, (void *)all[i]);
		for (size_t k = 0; k < all[i]->gateways.n; k++)
			bind_gateway(s->index, all[i]->gateways.p[k], all[i]);
	}
}
