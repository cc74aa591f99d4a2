#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>

enum { FIRST_CHUNK_BYTES = 4096, KEEP_CHUNK_BYTES = 1 << 20 };

struct cox_arena_chunk {
	struct cox_arena_chunk *next;
	size_t bytes;
	char data[] __attribute__((aligned(16)));
};

static void free_chunks(struct cox_arena_chunk *c)
{
	while (c) {
		struct cox_arena_chunk *next = c->next;
		cox_free(c);
		c = next;
	}
}

void cox_arena_fini(struct cox_arena *a)
{
	free_chunks(a->chunks);
	*a = (struct cox_arena){ 0 };
}

void cox_arena_reset(struct cox_arena *a)
{
	struct cox_arena_chunk *keep = a->chunks;
	a->used_bytes = 0;
	if (!keep)
		return;
	free_chunks(keep->next);
	keep->next = NULL;
	if (keep->bytes > KEEP_CHUNK_BYTES) {
		cox_free(keep);
		*a = (struct cox_arena){ 0 };
		return;
	}
	a->at = keep->data;
	a->end = keep->data + keep->bytes;
}

static void add_chunk(struct cox_arena *a, size_t bytes)
{
	size_t size = a->chunks ? cox_min_size(a->chunks->bytes * 2, KEEP_CHUNK_BYTES) : FIRST_CHUNK_BYTES;
	size = cox_max_size(size, bytes);
	struct cox_arena_chunk *c = cox_alloc(sizeof(*c) + size);
	c->bytes = size;
	c->next = a->chunks;
	a->chunks = c;
	a->at = c->data;
	a->end = c->data + size;
}

/* Not zeroed. */
static void *take(struct cox_arena *a, size_t bytes)
{
	COX_ASSERT(bytes < SIZE_MAX / 2);
	bytes = (bytes + 7) & ~(size_t)7;
	if (!a->at || (size_t)(a->end - a->at) < bytes)
		add_chunk(a, bytes);
	void *p = a->at;
	a->at += bytes;
	a->used_bytes += bytes;
	return p;
}

void *cox_arena_alloc(struct cox_arena *a, size_t bytes) { return memset(take(a, bytes), 0, bytes); }

void *cox_arena_calloc(struct cox_arena *a, size_t count, size_t bytes)
{
	size_t all;
	COX_ASSERT(!__builtin_mul_overflow(count, bytes, &all));
	return cox_arena_alloc(a, all);
}

struct cox_str cox_arena_str(struct cox_arena *a, struct cox_str s)
{
	char *p = take(a, s.n + 1);
	if (s.n)
		memcpy(p, s.p, s.n);
	p[s.n] = 0;
	return (struct cox_str){ p, s.n };
}

struct cox_str cox_arena_lower(struct cox_arena *a, struct cox_str s)
{
	struct cox_str copy = cox_arena_str(a, s);
	for (size_t i = 0; i < copy.n; i++)
		if (copy.p[i] >= 'A' && copy.p[i] <= 'Z')
			((char *)copy.p)[i] = (char)(copy.p[i] + 32);
	return copy;
}

struct cox_str cox_arena_concat(struct cox_arena *a, struct cox_str x, struct cox_str y)
{
	char *p = cox_arena_alloc(a, x.n + y.n + 1);
	if (x.n)
		memcpy(p, x.p, x.n);
	if (y.n)
		memcpy(p + x.n, y.p, y.n);
	return (struct cox_str){ p, x.n + y.n };
}

struct cox_str cox_arena_printf(struct cox_arena *a, const char *fmt, ...)
{
	char small[256];
	va_list ap, again;
	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(small, sizeof(small), fmt, ap);
	va_end(ap);
	COX_ASSERT(n >= 0);
	char *p = cox_arena_alloc(a, (size_t)n + 1);
	if ((size_t)n < sizeof(small))
		memcpy(p, small, (size_t)n);
	else
		vsnprintf(p, (size_t)n + 1, fmt, again);
	va_end(again);
	return (struct cox_str){ p, (size_t)n };
}
