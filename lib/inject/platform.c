/* What the platform decides: user ids of a namespace (OpenShift), what the nodes' kubelets can do. */
#include "inject/inject_priv.h"

#include "model/core.h"

enum { PROXY_ID = 1337, NATIVE_MINOR = 33 };
static const char uid_range[] = "openshift.io/sa.scc.uid-range", groups[] = "openshift.io/sa.scc.supplemental-groups";

/* The last id of "1000/500" or "1000-1499", the first of a list of such. */
static bool last_of(struct cox_str text, int64_t *out)
{
	struct cox_str block = { 0 };
	int64_t from, more;
	cox_str_next(&text, ',', &block);
	ptrdiff_t sign = cox_str_find(block, '/');
	bool is_size = sign > 0;
	if (!is_size)
		sign = cox_str_find(block, '-');
	if (sign <= 0 || cox_str_to_i64(cox_str_sub(block, 0, (size_t)sign), &from) != COX_OK ||
	    cox_str_to_i64(cox_str_sub(block, (size_t)sign + 1, block.n), &more) != COX_OK || from < 0 || more <= 0 || more > UINT32_MAX ||
	    from > UINT32_MAX)
		return false;
	*out = is_size ? from + more - 1 : more;
	return *out <= UINT32_MAX;
}

bool cox_inject_namespace_has_ids(const struct cox_object *ns)
{
	return cox_kv_get(ns->meta.annotations.p, ns->meta.annotations.n, cox_str_of(uid_range)).n > 0;
}

void inject_ids_build(struct cox_inject_config *c, const struct cox_object *const *namespaces, size_t n)
{
	c->ids = COX_ARENA_ARRAY(&c->arena, struct inject_ids, n);
	for (size_t i = 0; i < n; i++) {
		const struct cox_meta *m = &namespaces[i]->meta;
		struct cox_str range = cox_kv_get(m->annotations.p, m->annotations.n, cox_str_of(uid_range)),
		               group = cox_kv_get(m->annotations.p, m->annotations.n, cox_str_of(groups));
		struct inject_ids ids = { .ns = m->name, .gid = PROXY_ID };
		if (!last_of(range, &ids.uid))
			continue;
		if (!last_of(group.n ? group : range, &ids.gid))
			ids.gid = PROXY_ID;
		ids.ns = cox_arena_str(&c->arena, ids.ns);
		c->ids[c->id_n++] = ids;
	}
}

void inject_ids_of(const struct cox_inject_config *c, struct cox_str ns, int64_t *uid, int64_t *gid)
{
	*uid = *gid = PROXY_ID;
	for (size_t i = 0; i < c->id_n; i++)
		if (cox_str_eq(c->ids[i].ns, ns))
			*uid = c->ids[i].uid, *gid = c->ids[i].gid;
}

/* "v1.33.1-gke.100": 33 or more, or a later major. */
static bool is_new_enough(struct cox_str version)
{
	struct cox_str major = { 0 }, minor = { 0 };
	int64_t a, b;
	if (version.n && version.p[0] == 'v')
		version = cox_str_sub(version, 1, version.n);
	cox_str_next(&version, '.', &major);
	cox_str_next(&version, '.', &minor);
	/* Some write "33+". */
	while (minor.n && (minor.p[minor.n - 1] < '0' || minor.p[minor.n - 1] > '9'))
		minor.n--;
	return cox_str_to_i64(major, &a) == COX_OK && cox_str_to_i64(minor, &b) == COX_OK && (a > 1 || (a == 1 && b >= NATIVE_MINOR));
}

bool cox_inject_nodes_take_native_sidecars(const struct cox_object *const *nodes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct cox_node *node = COX_SPEC(cox_node, nodes[i]);
		if (!node->status || !node->status->info || !is_new_enough(node->status->info->kubelet_version))
			return false;
	}
	return n > 0;
}
