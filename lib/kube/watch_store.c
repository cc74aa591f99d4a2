#include "base/hash.h"
#include "base/metric.h"
#include "kube/watch_priv.h"

/* Versions of one kind can be compared as numbers (Kubernetes 1.35 promises it; etcd's revisions always could). What is no number
 * can only differ. */
uint64_t cox_kube_version_parse_(struct cox_str rv)
{
	uint64_t v = 0;
	return cox_str_to_u64(rv, &v) == COX_OK ? v : cox_hash64(rv.p, rv.n);
}

static struct cox_str key_make(struct cox_str ns, struct cox_str name, struct cox_buf *buf)
{
	if (ns.n) {
		cox_buf_append_str(buf, ns);
		cox_buf_append_char(buf, '/');
	}
	cox_buf_append_str(buf, name);
	return cox_buf_str(buf);
}

static struct cox_kube_entry *entry_find(const struct cox_kube_watch *w, struct cox_str ns, struct cox_str name)
{
	char small[512]; /* names have at most 253 bytes each */
	if (ns.n + name.n + 1 <= sizeof(small)) {
		size_t n = 0;
		if (ns.n) {
			memcpy(small, ns.p, ns.n);
			small[ns.n] = '/';
			n = ns.n + 1;
		}
		if (name.n)
			memcpy(small + n, name.p, name.n);
		return cox_map_find(&w->entries, cox_str_make(small, n + name.n));
	}
	struct cox_buf buf = { 0 };
	struct cox_kube_entry *e = cox_map_find(&w->entries, key_make(ns, name, &buf));
	cox_buf_fini(&buf);
	return e;
}

static struct cox_kube_entry *entry_add(struct cox_kube_watch *w, struct cox_str ns, struct cox_str name)
{
	size_t n = ns.n + name.n + (ns.n ? 1 : 0);
	struct cox_kube_entry *e = cox_zalloc(sizeof(*e) + n);
	char *p = (char *)(e + 1);
	e->key = cox_str_make(p, n);
	if (ns.n) {
		memcpy(p, ns.p, ns.n);
		p[ns.n] = '/';
		e->ns = cox_str_make(p, ns.n);
		p += ns.n + 1;
	}
	memcpy(p, name.p, name.n);
	e->name = cox_str_make(p, name.n);
	cox_map_set(&w->entries, e->key, e);
	return e;
}

static void entry_remove(struct cox_kube_watch *w, struct cox_kube_entry *e)
{
	cox_map_remove(&w->entries, e->key);
	w->has_news = true;
	w->cb.remove(w->cb.ctx, e);
	cox_free(e);
}

static bool is_wanted(struct cox_kube_watch *w, const struct cox_kube_item *item)
{
	return !w->cb.is_wanted || w->cb.is_wanted(w->cb.ctx, item->ns, item->name);
}

static void give(struct cox_kube_watch *w, const struct cox_kube_item *item, struct cox_kube_entry *e)
{
	e->version = cox_kube_version_parse_(item->resource_version);
	e->seen = w->epoch;
	w->has_news = true;
	if (item->is_skipped)
		w->skipped_count++;
	w->cb.put(w->cb.ctx, item, e);
}

void cox_kube_store_listed_(struct cox_kube_watch *w, const struct cox_kube_item *item)
{
	if (item->name.n == 0 || !is_wanted(w, item))
		return; /* one without a name is beyond the limit and too broken to keep: it was counted */
	struct cox_kube_entry *e = entry_find(w, item->ns, item->name);
	uint64_t version = cox_kube_version_parse_(item->resource_version);
	if (e && e->version == version) {
		e->seen = w->epoch;
		return;
	}
	give(w, item, e ? e : entry_add(w, item->ns, item->name));
}

void cox_kube_store_put_(struct cox_kube_watch *w, const struct cox_kube_item *item)
{
	if (item->name.n == 0)
		return;
	struct cox_kube_entry *e = entry_find(w, item->ns, item->name);
	if (!is_wanted(w, item)) {
		if (e)
			entry_remove(w, e);
		return;
	}
	if (e && e->version >= cox_kube_version_parse_(item->resource_version))
		return;
	give(w, item, e ? e : entry_add(w, item->ns, item->name));
}

void cox_kube_store_deleted_(struct cox_kube_watch *w, const struct cox_kube_item *item)
{
	struct cox_kube_entry *e = entry_find(w, item->ns, item->name);
	if (e && e->version <= cox_kube_version_parse_(item->resource_version))
		entry_remove(w, e);
}

void cox_kube_store_sweep_(struct cox_kube_watch *w, bool all)
{
	for (struct cox_map_entry *m = NULL; (m = cox_map_next(&w->entries, m));) {
		struct cox_kube_entry *e = m->value;
		if (all || e->seen != w->epoch)
			entry_remove(w, e);
	}
}

void cox_kube_store_flush_(struct cox_kube_watch *w)
{
	if (w->has_news && w->cb.flush)
		w->cb.flush(w->cb.ctx);
	w->has_news = false;
}

struct cox_kube_entry *cox_kube_watch_find(const struct cox_kube_watch *w, struct cox_str ns, struct cox_str name)
{
	return entry_find(w, ns, name);
}

void cox_kube_watch_each(const struct cox_kube_watch *w, void (*fn)(void *ctx, struct cox_kube_entry *e), void *ctx)
{
	for (struct cox_map_entry *m = NULL; (m = cox_map_next(&w->entries, m));)
		fn(ctx, m->value);
}

void cox_kube_watch_ns_drop(struct cox_kube_watch *w, struct cox_str ns)
{
	for (struct cox_map_entry *m = NULL; (m = cox_map_next(&w->entries, m));) {
		struct cox_kube_entry *e = m->value;
		if (cox_str_eq(e->ns, ns))
			entry_remove(w, e);
	}
	cox_kube_store_flush_(w);
}
