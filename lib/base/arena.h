/*
 * arena - memory of one job, freed whole. Nothing inside owns heap memory.
 * Owned by one thread at a time. A zeroed arena is empty and valid.
 */
#ifndef COX_BASE_ARENA_H
#define COX_BASE_ARENA_H

#include "base/str.h"

struct cox_arena_chunk;
struct cox_arena {
	struct cox_arena_chunk *chunks;
	char *at, *end;
	size_t used_bytes; /* handed out since the last reset */
};

void cox_arena_fini(struct cox_arena *a);
/* Forgets everything handed out; keeps at most one chunk of up to 1 MiB for the next job. */
void cox_arena_reset(struct cox_arena *a);
/* Zeroed, aligned to 8 bytes. */
void *cox_arena_alloc(struct cox_arena *a, size_t bytes);
void *cox_arena_calloc(struct cox_arena *a, size_t count, size_t bytes);
/* Copies, with a terminator behind (not counted). */
struct cox_str cox_arena_str(struct cox_arena *a, struct cox_str s);
struct cox_str cox_arena_printf(struct cox_arena *a, const char *fmt, ...) COX_PRINTF(2, 3);
/* A copy with ASCII letters in lower case. */
struct cox_str cox_arena_lower(struct cox_arena *a, struct cox_str s);
struct cox_str cox_arena_concat(struct cox_arena *a, struct cox_str x, struct cox_str y);
#define COX_ARENA_NEW(arena, type) ((type *)cox_arena_alloc(arena, sizeof(type)))
#define COX_ARENA_ARRAY(arena, type, count) ((type *)cox_arena_calloc(arena, count, sizeof(type)))

#endif
