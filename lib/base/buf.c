#include "base/buf.h"

#include <stdio.h>

void cox_buf_fini(struct cox_buf *b)
{
	cox_free(b->p);
	*b = (struct cox_buf){ 0 };
}

char *cox_buf_reserve(struct cox_buf *b, size_t extra)
{
	size_t want;
	COX_ASSERT(!__builtin_add_overflow(b->n, extra, &want));
	if (want > b->cap || !b->p) { /* also for nothing: the caller may add to what it gets */
		size_t cap = b->cap < 64 ? 64 : b->cap + b->cap / 2;
		b->cap = cox_max_size(cap, want);
		b->p = cox_realloc(b->p, b->cap);
	}
	return b->p + b->n;
}

void cox_buf_append(struct cox_buf *b, const void *p, size_t n)
{
	if (n == 0)
		return;
	memcpy(cox_buf_reserve(b, n), p, n);
	b->n += n;
}

void cox_buf_append_str(struct cox_buf *b, struct cox_str s) { cox_buf_append(b, s.p, s.n); }
void cox_buf_append_cstr(struct cox_buf *b, const char *cstr) { cox_buf_append(b, cstr, strlen(cstr)); }
void cox_buf_append_char(struct cox_buf *b, char c)
{
	*cox_buf_reserve(b, 1) = c;
	b->n++;
}

void cox_buf_vprintf(struct cox_buf *b, const char *fmt, va_list ap)
{
	va_list again;
	va_copy(again, ap);
	char *at = cox_buf_reserve(b, 64);
	int n = vsnprintf(at, b->cap - b->n, fmt, ap);
	COX_ASSERT(n >= 0);
	if ((size_t)n >= b->cap - b->n) {
		at = cox_buf_reserve(b, (size_t)n + 1);
		vsnprintf(at, (size_t)n + 1, fmt, again);
	}
	va_end(again);
	b->n += (size_t)n;
}

void cox_buf_printf(struct cox_buf *b, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	cox_buf_vprintf(b, fmt, ap);
	va_end(ap);
}

void cox_buf_consume(struct cox_buf *b, size_t n)
{
	COX_ASSERT(n <= b->n);
	b->n -= n;
	if (b->n)
		memmove(b->p, b->p + n, b->n);
}

const char *cox_buf_cstr(struct cox_buf *b)
{
	*cox_buf_reserve(b, 1) = 0;
	return b->p;
}

char *cox_buf_take(struct cox_buf *b, size_t *n)
{
	char *p = cox_realloc(b->p, b->n);
	*n = b->n;
	*b = (struct cox_buf){ 0 };
	return p;
}
