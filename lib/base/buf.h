/*
 * buf - bytes that grow at the end. Owned: cox_buf_fini() ends one; a zeroed one is empty and valid.
 */
#ifndef COX_BASE_BUF_H
#define COX_BASE_BUF_H

#include "base/str.h"

#include <stdarg.h>

struct cox_buf {
	char *p;
	size_t n, cap;
};

void cox_buf_fini(struct cox_buf *b);
/* Makes room for `extra` bytes behind the content and returns where they start; `n` is unchanged. */
char *cox_buf_reserve(struct cox_buf *b, size_t extra);
void cox_buf_append(struct cox_buf *b, const void *p, size_t n);
void cox_buf_append_str(struct cox_buf *b, struct cox_str s);
void cox_buf_append_cstr(struct cox_buf *b, const char *cstr);
void cox_buf_append_char(struct cox_buf *b, char c);
void cox_buf_printf(struct cox_buf *b, const char *fmt, ...) COX_PRINTF(2, 3);
void cox_buf_vprintf(struct cox_buf *b, const char *fmt, va_list ap) COX_PRINTF(2, 0);
/* Drops the first `n` bytes. */
void cox_buf_consume(struct cox_buf *b, size_t n);
static inline void cox_buf_clear(struct cox_buf *b) { b->n = 0; }
static inline struct cox_str cox_buf_str(const struct cox_buf *b) { return (struct cox_str){ b->p, b->n }; }
/* Terminates (not counted) and borrows the content. */
const char *cox_buf_cstr(struct cox_buf *b);
/* Gives the content as a heap block of exactly its size; the buffer is empty afterwards. */
char *cox_buf_take(struct cox_buf *b, size_t *n);

#endif
