/* What labels say about a workload: its canonical name and revision, and where it is. Shared by proxies and endpoints. */
#include "model/object.h"
#include "model/proxy.h"

static struct cox_str first_label(const struct cox_kv *labels, size_t n, const struct cox_str *keys, size_t key_n, struct cox_str otherwise)
{
	for (size_t i = 0; i < key_n; i++) {
		struct cox_str v = cox_kv_get(labels, n, keys[i]);
		if (v.n > 0)
			return v;
	}
	return otherwise;
}

struct cox_str cox_canonical_name(const struct cox_kv *labels, size_t n, struct cox_str workload)
{
	static const struct cox_str keys[] = { COX_STR_INIT("service.istio.io/canonical-name"), COX_STR_INIT("app.kubernetes.io/name"),
		                               COX_STR_INIT("app") };
	return first_label(labels, n, keys, COX_LEN(keys), workload);
}

struct cox_str cox_canonical_revision(const struct cox_kv *labels, size_t n)
{
	static const struct cox_str keys[] = { COX_STR_INIT("service.istio.io/canonical-revision"),
		                               COX_STR_INIT("app.kubernetes.io/version"), COX_STR_INIT("version") };
	return first_label(labels, n, keys, COX_LEN(keys), COX_STR("latest"));
}

/* A label value cannot hold a slash, so the locality is written with dots: region.zone.subzone. */
struct cox_str cox_locality_of_labels(const struct cox_kv *labels, size_t n, struct cox_arena *arena)
{
	static const struct cox_str keys[] = { COX_STR_INIT("topology.istio.io/locality"), COX_STR_INIT("istio-locality") };
	struct cox_str v = first_label(labels, n, keys, COX_LEN(keys), (struct cox_str){ 0 });
	if (v.n == 0 || cox_str_find(v, '/') >= 0)
		return v;
	struct cox_str copy = cox_arena_str(arena, v);
	for (size_t i = 0; i < copy.n; i++)
		if (copy.p[i] == '.')
			((char *)copy.p)[i] = '/';
	return copy;
}
