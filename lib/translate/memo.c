#include "translate/translate.h"

/* An entry's key in the map is its identity, 16 bytes that live in the entry. */
struct entry {
	struct cox_hash identity;
	uint64_t used; /* generation of the last use */
	const struct cox_resource *resource;
	const struct cox_bytes *bytes;
};
struct cox_memo {
	struct cox_map map;
	uint64_t generation, hits, misses;
};

struct cox_memo *cox_memo_new(void) { return COX_NEW(struct cox_memo); }

static void entry_free(struct entry *e)
{
	cox_resource_unref(e->resource);
	cox_bytes_unref(e->bytes);
	cox_free(e);
}

void cox_memo_free(struct cox_memo *m)
{
	if (m == NULL)
		return;
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&m->map, e));)
		entry_free(e->value);
	cox_map_fini(&m->map);
	cox_free(m);
}

void cox_memo_begin(struct cox_memo *m) { m->generation++; }

size_t cox_memo_sweep(struct cox_memo *m)
{
	size_t dropped = 0;
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&m->map, e));) {
		struct entry *item = e->value;
		if (item->used + 1 < m->generation) {
			cox_map_remove(&m->map, e->key);
			entry_free(item);
			dropped++;
		}
	}
	return dropped;
}

struct cox_memo_stats cox_memo_stats(const struct cox_memo *m)
{
	return (struct cox_memo_stats){ .hits = m->hits, .misses = m->misses, .n = m->map.n };
}

static struct entry *entry_find(struct cox_memo *m, const struct cox_hash *identity)
{
	struct entry *e = cox_map_find(&m->map, cox_str_make(identity, sizeof(*identity)));
	if (e != NULL)
		e->used = m->generation;
	return e;
}

static struct entry *entry_add(struct cox_memo *m, struct cox_hash identity)
{
	struct entry *e = COX_NEW(struct entry);
	e->identity = identity;
	e->used = m->generation;
	cox_map_set(&m->map, cox_str_make(&e->identity, sizeof(e->identity)), e);
	return e;
}

const struct cox_resource *cox_memo_find(struct cox_memo *m, struct cox_hash identity)
{
	struct entry *e = entry_find(m, &identity);
	*(e != NULL && e->resource != NULL ? &m->hits : &m->misses) += 1;
	return e != NULL && e->resource != NULL ? cox_resource_ref(e->resource) : NULL;
}

const struct cox_resource *cox_memo_put_take(struct cox_memo *m, struct cox_hash identity, const struct cox_resource *r)
{
	struct entry *e = entry_find(m, &identity);
	if (e == NULL)
		e = entry_add(m, identity);
	cox_resource_unref(e->resource);
	e->resource = r;
	return cox_resource_ref(r);
}

const struct cox_bytes *cox_memo_bytes_find(struct cox_memo *m, struct cox_hash identity)
{
	struct entry *e = entry_find(m, &identity);
	*(e != NULL && e->bytes != NULL ? &m->hits : &m->misses) += 1;
	return e != NULL && e->bytes != NULL ? cox_bytes_ref(e->bytes) : NULL;
}

const struct cox_bytes *cox_memo_bytes_put_take(struct cox_memo *m, struct cox_hash identity, const struct cox_bytes *b)
{
	struct entry *e = entry_find(m, &identity);
	if (e == NULL)
		e = entry_add(m, identity);
	cox_bytes_unref(e->bytes);
	e->bytes = b;
	return cox_bytes_ref(b);
}
