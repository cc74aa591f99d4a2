/* One VirtualService made ready: names in full, delegates merged in. */
#include "snapshot/snapshot_priv.h"

#include <stdlib.h>

#define MESH COX_STR("mesh")

struct cox_str snap_gateway_name(struct cox_arena *arena, struct cox_str name, struct cox_str ns)
{
	if (name.n == 0 || cox_str_eq(name, MESH))
		return name;
	if (cox_str_has_prefix(name, COX_STR("./")))
		return cox_arena_printf(arena, "%.*s/%.*s", COX_FMT(ns), (int)(name.n - 2), name.p + 2);
	if (cox_str_find(name, '/') >= 0)
		return name;
	ptrdiff_t dot = cox_str_find(name, '.'); /* "name.namespace...": how it was written before names had a slash */
	if (dot <= 0)
		return cox_arena_printf(arena, "%.*s/%.*s", COX_FMT(ns), COX_FMT(name));
	struct cox_str rest = cox_str_sub(name, (size_t)dot + 1, SIZE_MAX);
	ptrdiff_t next = cox_str_find(rest, '.');
	return cox_arena_printf(arena, "%.*s/%.*s", (int)(next < 0 ? (ptrdiff_t)rest.n : next), rest.p, (int)dot, name.p);
}

static void l4_destinations(const struct cox_l4_route_destination *p, size_t n, const char *list, size_t at, snap_destination_fn *fn,
                            void *arg)
{
	for (size_t k = 0; k < n; k++)
		if (p[k].destination)
			fn(arg, p[k].destination, &(struct snap_place){ list, at, "route", k });
}

void snap_vs_destinations(const struct cox_virtual_service *spec, snap_destination_fn *fn, void *arg)
{
	for (size_t i = 0; i < spec->http.n; i++) {
		const struct cox_http_route *h = &spec->http.p[i];
		for (size_t k = 0; k < h->route.n; k++)
			if (h->route.p[k].destination)
				fn(arg, h->route.p[k].destination, &(struct snap_place){ "http", i, "route", k });
		if (h->mirror)
			fn(arg, h->mirror, &(struct snap_place){ "http", i, "mirror", 0 });
		for (size_t k = 0; k < h->mirrors.n; k++)
			if (h->mirrors.p[k].destination)
				fn(arg, h->mirrors.p[k].destination, &(struct snap_place){ "http", i, "mirrors", k });
	}
	for (size_t i = 0; i < spec->tls.n; i++)
		l4_destinations(spec->tls.p[i].route.p, spec->tls.p[i].route.n, "tls", i, fn, arg);
	for (size_t i = 0; i < spec->tcp.n; i++)
		l4_destinations(spec->tcp.p[i].route.p, spec->tcp.p[i].route.n, "tcp", i, fn, arg);
}

/* --- names in full: in place, in a copy that is ours ---------------------------------------------- */

struct resolving {
	struct cox_arena *arena;
	struct cox_str ns, domain;
	bool has_changed;
};

static void set_host(struct resolving *v, const struct cox_str *at)
{
	struct cox_str full = cox_host_resolve(v->arena, *at, v->ns, v->domain);
	v->has_changed |= full.p != at->p;
	*(struct cox_str *)at = full;
}

static void set_destination(void *arg, const struct cox_destination *d, const struct snap_place *place)
{
	(void)place;
	set_host(arg, &d->host);
}

static void set_gateways(struct resolving *v, const struct cox_str *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct cox_str full = snap_gateway_name(v->arena, p[i], v->ns);
		v->has_changed |= full.p != p[i].p;
		((struct cox_str *)p)[i] = full;
	}
}

/* A copy of an object's spec with every name in full; in the arena. */
static struct cox_virtual_service *resolve(struct cox_arena *arena, const struct cox_object *o, struct cox_str domain, bool *has_changed)
{
	size_t bytes = cox_message_copy_bytes(cox_kind_info(COX_KIND_VIRTUAL_SERVICE)->message, o->spec);
	struct cox_virtual_service_object *copy =
	    cox_message_copy(cox_kind_info(COX_KIND_VIRTUAL_SERVICE)->message, o->spec, cox_arena_alloc(arena, bytes), bytes);
	struct cox_virtual_service *spec = (struct cox_virtual_service *)copy->spec;
	struct resolving v = { .arena = arena, .ns = o->meta.ns, .domain = domain };
	for (COX_EACH(struct cox_str, h, spec->hosts))
		set_host(&v, h);
	snap_vs_destinations(spec, set_destination, &v);
	set_gateways(&v, spec->gateways.p, spec->gateways.n);
	for (COX_EACH(struct cox_http_route, h, spec->http))
		for (COX_EACH(struct cox_http_match, m, h->match))
			set_gateways(&v, m->gateways.p, m->gateways.n);
	for (COX_EACH(struct cox_tls_route, t, spec->tls))
		for (COX_EACH(struct cox_tls_match, m, t->match))
			set_gateways(&v, m->gateways.p, m->gateways.n);
	for (COX_EACH(struct cox_tcp_route, t, spec->tcp))
		for (COX_EACH(struct cox_tcp_match, m, t->match))
			set_gateways(&v, m->gateways.p, m->gateways.n);
	*has_changed |= v.has_changed;
	return spec;
}

/* --- the block ------------------------------------------------------------------------------------- */

typedef COX_VEC(struct cox_str) names;

static void add_keys(names *keys, const struct cox_kv *labels, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool known = false;
		for (size_t k = 0; k < keys->n && !known; k++)
			known = cox_str_eq(keys->p[k], labels[i].key);
		if (!known)
			cox_vec_push(keys, labels[i].key);
	}
}

static void collect_keys(const struct cox_virtual_service *spec, names *keys)
{
	for (COX_EACH(struct cox_http_route, h, spec->http))
		for (COX_EACH(struct cox_http_match, m, h->match))
			add_keys(keys, m->source_labels.p, m->source_labels.n);
	for (COX_EACH(struct cox_tls_route, t, spec->tls))
		for (COX_EACH(struct cox_tls_match, m, t->match))
			add_keys(keys, m->source_labels.p, m->source_labels.n);
	for (COX_EACH(struct cox_tcp_route, t, spec->tcp))
		for (COX_EACH(struct cox_tcp_match, m, t->match))
			add_keys(keys, m->source_labels.p, m->source_labels.n);
}

static struct cox_hash hash_of(const struct cox_object *o, const struct cox_object *const *delegates, size_t n, const struct cox_export *e,
                               struct cox_str domain)
{
	struct cox_hash h = cox_hash_combine(cox_hash128(o->id.p, o->id.n), o->hash);
	h = cox_hash_combine(h, cox_hash128(domain.p, domain.n)); /* short names were resolved with it */
	for (size_t i = 0; i < n; i++)
		h = cox_hash_combine(
		    h, delegates[i] ? cox_hash_combine(cox_hash128(delegates[i]->id.p, delegates[i]->id.n), delegates[i]->hash) : h);
	h.lo ^= e->is_public;
	for (COX_EACH(struct cox_str, ns, e->namespaces))
		h = cox_hash_combine(h, cox_hash128(ns->p, ns->n));
	return h;
}

static size_t round8(size_t n) { return (n + 7) & ~(size_t)7; }

static size_t texts_bytes(const struct cox_str *p, size_t n)
{
	size_t bytes = n * sizeof(*p);
	for (size_t i = 0; i < n; i++)
		bytes += p[i].n;
	return round8(bytes);
}

static struct cox_str *texts_copy(char **at, const struct cox_str *p, size_t n)
{
	struct cox_str *to = (struct cox_str *)*at;
	char *text = (char *)(to + n);
	for (size_t i = 0; i < n; i++) {
		if (p[i].n > 0)
			memcpy(text, p[i].p, p[i].n);
		to[i] = (struct cox_str){ text, p[i].n };
		text += p[i].n;
	}
	*at += texts_bytes(p, n);
	return to;
}

struct parts {
	const struct cox_virtual_service *spec; /* in scratch, or the object's own */
	bool is_own;
	struct cox_export export_to;
	names gateways, keys;
	bool is_mesh;
};

static bool has_deadline(const struct cox_object *o)
{
	return cox_str_eq(cox_kv_get(o->meta.annotations.p, o->meta.annotations.n, SNAP_DEADLINE), COX_STR("propagate"));
}

static struct snap_vs *seal(const struct cox_object *o, const struct cox_object *const *delegates, size_t delegate_n, const struct parts *p)
{
	struct cox_virtual_service_object object = { .spec = p->spec };
	size_t spec_bytes = p->is_own ? 0 : cox_message_copy_bytes(cox_kind_info(COX_KIND_VIRTUAL_SERVICE)->message, &object);
	size_t list_bytes = texts_bytes(p->export_to.namespaces.p, p->export_to.namespaces.n) + texts_bytes(p->gateways.p, p->gateways.n) +
	                    texts_bytes(p->keys.p, p->keys.n);
	struct snap_vs *v = cox_zalloc(round8(sizeof(*v)) + delegate_n * sizeof(*delegates) + list_bytes + spec_bytes);
	char *at = (char *)v + round8(sizeof(*v));
	cox_ref_init(&v->vs.ref);
	v->vs.object = cox_object_ref(o);
	v->delegates = (const struct cox_object **)at;
	v->delegate_n = delegate_n;
	at += delegate_n * sizeof(*delegates);
	for (size_t i = 0; i < delegate_n; i++)
		v->delegates[i] = delegates[i] ? cox_object_ref(delegates[i]) : NULL;
	v->vs.export_to.is_public = p->export_to.is_public;
	v->vs.export_to.namespaces.n = p->export_to.namespaces.n;
	v->vs.export_to.namespaces.p = texts_copy(&at, p->export_to.namespaces.p, p->export_to.namespaces.n);
	v->vs.gateways.n = p->gateways.n;
	v->vs.gateways.p = texts_copy(&at, p->gateways.p, p->gateways.n);
	v->keys.n = p->keys.n;
	v->keys.p = texts_copy(&at, p->keys.p, p->keys.n);
	v->vs.is_mesh = p->is_mesh;
	v->vs.has_deadline = has_deadline(o);
	v->vs.has_sessions = cox_kv_has(o->meta.annotations.p, o->meta.annotations.n, COX_VS_SESSIONS);
	v->vs.spec = p->spec;
	if (!p->is_own) {
		struct cox_virtual_service_object *copy =
		    cox_message_copy(cox_kind_info(COX_KIND_VIRTUAL_SERVICE)->message, &object, at, spec_bytes);
		v->vs.spec = copy->spec;
	}
	return v;
}

static void collect_gateways(struct parts *p)
{
	p->is_mesh = p->spec->gateways.n == 0;
	for (COX_EACH(struct cox_str, g, p->spec->gateways)) {
		if (cox_str_eq(*g, MESH))
			p->is_mesh = true;
		else
			cox_vec_push(&p->gateways, *g);
	}
}

struct snap_vs *snap_vs_build(const struct cox_registry *r, const struct cox_object *o, const struct cox_object *const *delegates,
                              size_t delegate_n)
{
	const struct cox_virtual_service *own = COX_SPEC(cox_virtual_service_object, o)->spec;
	if (!own || own->hosts.n == 0)
		return NULL;
	struct cox_arena arena = { 0 };
	struct cox_str domain = cox_registry_domain(r);
	const struct cox_mesh_config *mesh = cox_registry_mesh(r);
	bool has_changed = delegate_n > 0;
	struct cox_virtual_service *spec = resolve(&arena, o, domain, &has_changed);
	if (delegate_n > 0) {
		const struct cox_virtual_service **specs = COX_ARENA_ARRAY(&arena, const struct cox_virtual_service *, delegate_n);
		for (size_t i = 0; i < delegate_n; i++)
			specs[i] = delegates[i] ? resolve(&arena, delegates[i], domain, &has_changed) : NULL;
		snap_delegates_merge(spec, specs, &arena);
	}
	struct parts p = { .spec = has_changed ? spec : own, .is_own = !has_changed };
	p.export_to = cox_export_build(&arena, own->export_to.p, own->export_to.n, o->meta.ns, mesh->default_virtual_service_export_to.p,
	                               mesh->default_virtual_service_export_to.n);
	collect_gateways(&p);
	collect_keys(p.spec, &p.keys);
	struct snap_vs *v = seal(o, delegates, delegate_n, &p);
	v->vs.hash = hash_of(o, delegates, delegate_n, &p.export_to, domain);
	cox_vec_fini(&p.gateways);
	cox_vec_fini(&p.keys);
	cox_arena_fini(&arena);
	return v;
}

void snap_vs_unref(struct snap_vs *v)
{
	if (!v || !cox_ref_put(&v->vs.ref))
		return;
	cox_object_unref(v->vs.object);
	for (size_t i = 0; i < v->delegate_n; i++)
		cox_object_unref(v->delegates[i]);
	cox_free(v);
}
