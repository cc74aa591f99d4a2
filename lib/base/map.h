/*
 * map - text to pointer, open addressing. Owned; a zeroed one is empty and valid.
 * Keys are borrowed: they must live as long as their entry (usually they are part of the value).
 * Iteration order is not defined: sort before writing anything that must be deterministic.
 */
#ifndef COX_BASE_MAP_H
#define COX_BASE_MAP_H

#include "base/str.h"

struct cox_map_entry {
	struct cox_str key;
	void *value; /* never NULL in a used entry */
	uint32_t hash;
};
struct cox_map {
	struct cox_map_entry *entries;
	size_t n, cap, tombs;
};

void cox_map_fini(struct cox_map *m);
void cox_map_clear(struct cox_map *m);
/* NULL when absent. */
void *cox_map_find(const struct cox_map *m, struct cox_str key);
/* Puts or replaces; returns the value that was there or NULL. A replaced entry gets the new key pointer too. */
void *cox_map_set(struct cox_map *m, struct cox_str key, void *value);
/* Removes and returns the value, or NULL. */
void *cox_map_remove(struct cox_map *m, struct cox_str key);
/* for (struct cox_map_entry *e = NULL; (e = cox_map_next(m, e));) - removing the current entry is allowed. */
struct cox_map_entry *cox_map_next(const struct cox_map *m, struct cox_map_entry *e);
uint32_t cox_str_hash(struct cox_str s);

#endif
