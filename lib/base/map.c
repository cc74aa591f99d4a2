#include "base/map.h"

#include "base/hash.h"

static char tomb_mark;
#define TOMB ((void *)&tomb_mark)

uint32_t cox_str_hash(struct cox_str s) { return (uint32_t)cox_hash64(s.p, s.n); }

void cox_map_fini(struct cox_map *m)
{
	cox_free(m->entries);
	*m = (struct cox_map){ 0 };
}

void cox_map_clear(struct cox_map *m)
{
	if (m->cap)
		memset(m->entries, 0, m->cap * sizeof(*m->entries));
	m->n = m->tombs = 0;
}

/* The entry of `key`, or the place where it would go. */
static struct cox_map_entry *slot(const struct cox_map *m, struct cox_str key, uint32_t hash)
{
	struct cox_map_entry *tomb = NULL;
	for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
		struct cox_map_entry *e = &m->entries[i];
		if (!e->value)
			return tomb ? tomb : e;
		if (e->value == TOMB)
			tomb = tomb ? tomb : e;
		else if (e->hash == hash && cox_str_eq(e->key, key))
			return e;
	}
}

static void rehash(struct cox_map *m, size_t cap)
{
	struct cox_map old = *m;
	m->entries = cox_calloc(cap, sizeof(*m->entries));
	m->cap = cap;
	m->tombs = 0;
	for (size_t i = 0; i < old.cap; i++) {
		struct cox_map_entry *e = &old.entries[i];
		if (e->value && e->value != TOMB)
			*slot(m, e->key, e->hash) = *e;
	}
	cox_free(old.entries);
}

void *cox_map_find(const struct cox_map *m, struct cox_str key)
{
	if (!m->n)
		return NULL;
	void *v = slot(m, key, cox_str_hash(key))->value;
	return v == TOMB ? NULL : v;
}

void *cox_map_set(struct cox_map *m, struct cox_str key, void *value)
{
	COX_ASSERT(value);
	if ((m->n + m->tombs + 1) * 4 > m->cap * 3)
		rehash(m, m->n * 2 < m->cap ? m->cap : cox_max_size(8, m->cap * 2));
	uint32_t hash = cox_str_hash(key);
	struct cox_map_entry *e = slot(m, key, hash);
	void *old = e->value;
	if (old == TOMB) {
		m->tombs--;
		old = NULL;
	}
	if (!old)
		m->n++;
	*e = (struct cox_map_entry){ key, value, hash };
	return old;
}

void *cox_map_remove(struct cox_map *m, struct cox_str key)
{
	if (!m->n)
		return NULL;
	struct cox_map_entry *e = slot(m, key, cox_str_hash(key));
	void *old = e->value;
	if (!old || old == TOMB)
		return NULL;
	e->value = TOMB;
	e->key = (struct cox_str){ 0 };
	m->n--;
	m->tombs++;
	return old;
}

struct cox_map_entry *cox_map_next(const struct cox_map *m, struct cox_map_entry *e)
{
	size_t i = e ? (size_t)(e - m->entries) + 1 : 0;
	for (; i < m->cap; i++)
		if (m->entries[i].value && m->entries[i].value != TOMB)
			return &m->entries[i];
	return NULL;
}
