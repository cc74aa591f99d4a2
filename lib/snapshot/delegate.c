/* Delegates of VirtualServices: one level, HTTP only (protocol facts, section 7). */
#include "snapshot/snapshot_priv.h"

static bool is_delegate_for(const struct cox_registry *r, const struct cox_object *d, struct cox_str root_ns)
{
	const struct cox_virtual_service *spec = COX_SPEC(cox_virtual_service_object, d)->spec;
	const struct cox_mesh_config *mesh = cox_registry_mesh(r);
	if (!spec || spec->hosts.n > 0)
		return false;
	struct cox_arena arena = { 0 };
	struct cox_export e = cox_export_build(&arena, spec->export_to.p, spec->export_to.n, d->meta.ns,
	                                       mesh->default_virtual_service_export_to.p, mesh->default_virtual_service_export_to.n);
	bool visible = cox_export_is_visible(&e, root_ns);
	cox_arena_fini(&arena);
	return visible;
}

size_t snap_delegates_find(const struct cox_registry *r, const struct cox_object *o, struct cox_arena *arena,
                           const struct cox_object ***out)
{
	const struct cox_virtual_service *spec = COX_SPEC(cox_virtual_service_object, o)->spec;
	const struct cox_object **found = COX_ARENA_ARRAY(arena, const struct cox_object *, spec->http.n);
	size_t n = 0;
	for (COX_EACH(struct cox_http_route, h, spec->http)) {
		if (!h->delegate)
			continue;
		struct cox_str ns = h->delegate->ns.n > 0 ? h->delegate->ns : o->meta.ns;
		const struct cox_object *d = cox_registry_object_find(r, COX_KIND_VIRTUAL_SERVICE, ns, h->delegate->name);
		found[n++] = d && is_delegate_for(r, d, o->meta.ns) ? d : NULL;
	}
	*out = found;
	return n;
}

/* --- may a delegate's condition stand under the root's? -------------------------------------------- */

static bool text_is_set(const struct cox_opt_str *s) { return s->set && s->v.n > 0; }

/* True where no request can satisfy both, or the leaf is wider than the root. */
static bool strings_conflict(const struct cox_string_match *root, const struct cox_string_match *leaf)
{
	if (!root || !leaf)
		return false;
	bool root_any = text_is_set(&root->exact) || text_is_set(&root->prefix),
	     leaf_any = text_is_set(&leaf->exact) || text_is_set(&leaf->prefix);
	/* What two regular expressions have in common cannot be told. */
	if (text_is_set(&root->regex))
		return text_is_set(&leaf->regex) || leaf_any;
	if (text_is_set(&leaf->regex))
		return root_any;
	if (text_is_set(&root->exact))
		return text_is_set(&leaf->prefix) || !cox_str_eq(root->exact.v, leaf->exact.v);
	if (!text_is_set(&root->prefix))
		return false;
	return !cox_str_has_prefix(text_is_set(&leaf->prefix) ? leaf->prefix.v : leaf->exact.v, root->prefix.v);
}

static const struct cox_string_match *entry_find(const struct cox_string_match_entry *p, size_t n, struct cox_str key)
{
	for (size_t i = 0; i < n; i++)
		if (cox_str_eq(p[i].key, key))
			return &p[i].match;
	return NULL;
}

static bool entries_conflict(const struct cox_string_match_entry *root, size_t root_n, const struct cox_string_match_entry *leaf,
                             size_t leaf_n)
{
	for (size_t i = 0; i < leaf_n; i++)
		if (strings_conflict(entry_find(root, root_n, leaf[i].key), &leaf[i].match))
			return true;
	return false;
}

static bool gateways_conflict(const struct cox_http_match *root, const struct cox_http_match *leaf)
{
	if (root->gateways.n == 0)
		return false;
	for (COX_EACH(struct cox_str, g, leaf->gateways)) {
		bool found = false;
		for (COX_EACH(struct cox_str, k, root->gateways))
			found |= cox_str_eq(*g, *k);
		if (!found)
			return true;
	}
	return false;
}

static bool matches_conflict(const struct cox_http_match *root, const struct cox_http_match *leaf)
{
	if (strings_conflict(root->uri, leaf->uri) || strings_conflict(root->scheme, leaf->scheme) ||
	    strings_conflict(root->method, leaf->method) || strings_conflict(root->authority, leaf->authority))
		return true;
	if (entries_conflict(root->headers.p, root->headers.n, leaf->headers.p, leaf->headers.n) ||
	    entries_conflict(root->without_headers.p, root->without_headers.n, leaf->without_headers.p, leaf->without_headers.n) ||
	    entries_conflict(root->query_params.p, root->query_params.n, leaf->query_params.p, leaf->query_params.n))
		return true;
	if (root->ignore_uri_case != leaf->ignore_uri_case || (root->port.set && leaf->port.set && root->port.v != leaf->port.v))
		return true;
	if (root->source_namespace.n > 0 && leaf->source_namespace.n > 0 && !cox_str_eq(root->source_namespace, leaf->source_namespace))
		return true;
	for (COX_EACH(struct cox_kv, kv, leaf->source_labels))
		if (cox_kv_has(root->source_labels.p, root->source_labels.n, kv->key) &&
		    !cox_str_eq(cox_kv_get(root->source_labels.p, root->source_labels.n, kv->key), kv->value))
			return true;
	return gateways_conflict(root, leaf);
}

/* --- merging ------------------------------------------------------------------------------------------ */

static struct cox_str join_names(struct cox_arena *arena, struct cox_str root, struct cox_str leaf)
{
	if (root.n == 0 || leaf.n == 0)
		return root.n == 0 ? leaf : root;
	return cox_arena_printf(arena, "%.*s-%.*s", COX_FMT(root), COX_FMT(leaf));
}

/* Two lists sorted by key become one; the leaf's value stands where both have one. */
#define MERGE_SORTED(arena, type, out, root, leaf)                                                                           \
	do {                                                                                                                 \
		type *to_ = COX_ARENA_ARRAY(arena, type, (root).n + (leaf).n);                                               \
		size_t n_ = 0, x_ = 0, y_ = 0;                                                                               \
		while (x_ < (root).n || y_ < (leaf).n) {                                                                     \
			int c_ = x_ == (root).n ? 1 : y_ == (leaf).n ? -1 : cox_str_cmp((root).p[x_].key, (leaf).p[y_].key); \
			to_[n_++] = c_ < 0 ? (root).p[x_] : (leaf).p[y_];                                                    \
			x_ += c_ <= 0;                                                                                       \
			y_ += c_ >= 0;                                                                                       \
		}                                                                                                            \
		(out).p = to_, (out).n = n_;                                                                                 \
	} while (0)

static struct cox_http_match merge_match(struct cox_arena *arena, const struct cox_http_match *root, const struct cox_http_match *leaf)
{
	struct cox_http_match m = *leaf;
	m.name = join_names(arena, root->name, leaf->name);
	m.uri = leaf->uri ? leaf->uri : root->uri;
	m.scheme = leaf->scheme ? leaf->scheme : root->scheme;
	m.method = leaf->method ? leaf->method : root->method;
	m.authority = leaf->authority ? leaf->authority : root->authority;
	m.port = leaf->port.set ? leaf->port : root->port;
	m.source_namespace = leaf->source_namespace.n > 0 ? leaf->source_namespace : root->source_namespace;
	m.stat_prefix = leaf->stat_prefix.n > 0 ? leaf->stat_prefix : root->stat_prefix;
	if (leaf->gateways.n == 0)
		m.gateways = root->gateways;
	MERGE_SORTED(arena, struct cox_string_match_entry, m.headers, root->headers, leaf->headers);
	MERGE_SORTED(arena, struct cox_string_match_entry, m.without_headers, root->without_headers, leaf->without_headers);
	MERGE_SORTED(arena, struct cox_string_match_entry, m.query_params, root->query_params, leaf->query_params);
	MERGE_SORTED(arena, struct cox_kv, m.source_labels, root->source_labels, leaf->source_labels);
	return m;
}

/* Every condition of the delegate must fit under one of the root's, or the whole route is out. */
static bool merge_matches(struct cox_arena *arena, const struct cox_http_route *root, struct cox_http_route *leaf)
{
	if (root->match.n == 0)
		return true;
	if (leaf->match.n == 0) {
		leaf->match = root->match;
		return true;
	}
	struct cox_http_match *all = COX_ARENA_ARRAY(arena, struct cox_http_match, root->match.n * leaf->match.n);
	size_t n = 0;
	for (COX_EACH(struct cox_http_match, l, leaf->match)) {
		size_t before = n;
		for (COX_EACH(struct cox_http_match, k, root->match))
			if (!matches_conflict(k, l))
				all[n++] = merge_match(arena, k, l);
		if (n == before)
			return false;
	}
	leaf->match.p = all;
	leaf->match.n = n;
	return true;
}

static bool merge_route(struct cox_arena *arena, const struct cox_http_route *root, struct cox_http_route *leaf)
{
	if (leaf->delegate || !merge_matches(arena, root, leaf)) /* one level only */
		return false;
	leaf->name = join_names(arena, root->name, leaf->name);
	leaf->rewrite = leaf->rewrite ? leaf->rewrite : root->rewrite;
	leaf->timeout_ns = leaf->timeout_ns.set ? leaf->timeout_ns : root->timeout_ns;
	leaf->retries = leaf->retries ? leaf->retries : root->retries;
	leaf->fault = leaf->fault ? leaf->fault : root->fault;
	leaf->mirror = leaf->mirror ? leaf->mirror : root->mirror;
	leaf->mirror_percent = leaf->mirror_percent.set ? leaf->mirror_percent : root->mirror_percent;
	leaf->mirror_percentage = leaf->mirror_percentage ? leaf->mirror_percentage : root->mirror_percentage;
	leaf->cors_policy = leaf->cors_policy ? leaf->cors_policy : root->cors_policy;
	leaf->headers = leaf->headers ? leaf->headers : root->headers;
	leaf->direct_response = leaf->direct_response ? leaf->direct_response : root->direct_response;
	if (leaf->mirrors.n == 0)
		leaf->mirrors = root->mirrors;
	return true;
}

void snap_delegates_merge(struct cox_virtual_service *spec, const struct cox_virtual_service *const *delegates, struct cox_arena *arena)
{
	size_t max = 0, n = 0, at = 0;
	for (COX_EACH(struct cox_http_route, h, spec->http)) {
		const struct cox_virtual_service *d = h->delegate ? delegates[at++] : NULL;
		max += !h->delegate ? 1 : d ? d->http.n : 0;
	}
	struct cox_http_route *all = COX_ARENA_ARRAY(arena, struct cox_http_route, max);
	at = 0;
	for (COX_EACH(struct cox_http_route, h, spec->http)) {
		if (!h->delegate) {
			all[n] = *h;
			all[n++].root_place = (uint32_t)(h - spec->http.p) + 1;
			continue;
		}
		const struct cox_virtual_service *d = delegates[at++];
		for (size_t i = 0; d && i < d->http.n; i++) {
			all[n] = d->http.p[i];
			all[n].root_place = (uint32_t)(h - spec->http.p) + 1;
			all[n].leaf_place = (uint32_t)i + 1;
			n += merge_route(arena, h, &all[n]);
		}
	}
	spec->http.p = all;
	spec->http.n = n;
}
