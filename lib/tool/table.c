#include "tool/table.h"

#include <stdarg.h>

enum { COLUMNS_MAX = 32 };

/* Characters as a terminal counts them, nearly: bytes that do not continue one. */
static size_t width(struct cox_str s)
{
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++)
		n += ((unsigned char)s.p[i] & 0xC0) != 0x80;
	return n;
}

void cox_table_cell(struct cox_table *t, struct cox_str text)
{
	struct cox_str copy = cox_arena_str(&t->arena, text);
	for (size_t i = 0; i < copy.n; i++)
		if (copy.p[i] == '\t' || copy.p[i] == '\n' || copy.p[i] == '\r')
			((char *)(uintptr_t)copy.p)[i] = ' ';
	cox_vec_push(&t->cells, copy);
}

void cox_table_cellf(struct cox_table *t, const char *fmt, ...)
{
	struct cox_buf b = { 0 };
	va_list ap;
	va_start(ap, fmt);
	cox_buf_vprintf(&b, fmt, ap);
	va_end(ap);
	cox_table_cell(t, cox_buf_str(&b));
	cox_buf_fini(&b);
}

void cox_table_row_end(struct cox_table *t) { cox_vec_push(&t->row_ends, t->cells.n); }

void cox_table_row(struct cox_table *t, const char *cells)
{
	struct cox_str rest = cox_str_of(cells), cell;
	while (cox_str_next(&rest, '\t', &cell))
		cox_table_cell(t, cell);
	cox_table_row_end(t);
}

void cox_table_write(const struct cox_table *t, size_t gap, struct cox_buf *out)
{
	size_t widths[COLUMNS_MAX] = { 0 };
	for (size_t row = 0, at = 0; row < t->row_ends.n; row++)
		for (size_t column = 0; at < t->row_ends.p[row]; at++, column++)
			if (column < COLUMNS_MAX && at + 1 < t->row_ends.p[row]) /* the last cell is as long as it is */
				widths[column] = cox_max_size(widths[column], width(t->cells.p[at]) + gap);
	for (size_t row = 0, at = 0; row < t->row_ends.n; row++) {
		for (size_t column = 0; at < t->row_ends.p[row]; at++, column++) {
			cox_buf_append_str(out, t->cells.p[at]);
			if (at + 1 == t->row_ends.p[row])
				continue;
			size_t pad = column < COLUMNS_MAX ? widths[column] - width(t->cells.p[at]) : gap;
			cox_buf_printf(out, "%*s", (int)pad, "");
		}
		cox_buf_append_char(out, '\n');
	}
}

void cox_table_fini(struct cox_table *t)
{
	cox_vec_fini(&t->cells);
	cox_vec_fini(&t->row_ends);
	cox_arena_fini(&t->arena);
}
