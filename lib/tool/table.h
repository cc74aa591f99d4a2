/*
 * table - rows of cells as aligned text: columns as wide as their widest cell and `gap` blanks more, the last one as it is.
 * Thread: the caller's. Owned: cox_table_fini(); a zeroed one is empty.
 */
#ifndef COX_TOOL_TABLE_H
#define COX_TOOL_TABLE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/vec.h"

struct cox_table {
	struct cox_arena arena;
	COX_VEC(struct cox_str) cells;
	COX_VEC(size_t) row_ends; /* index behind the last cell of each row */
};

/* One cell; the text is copied, tabs and line ends in it become blanks. */
void cox_table_cell(struct cox_table *t, struct cox_str text);
void cox_table_cellf(struct cox_table *t, const char *fmt, ...) COX_PRINTF(2, 3);
void cox_table_row_end(struct cox_table *t);
/* A whole row: "NAME\tTYPE". */
void cox_table_row(struct cox_table *t, const char *cells);
void cox_table_write(const struct cox_table *t, size_t gap, struct cox_buf *out);
void cox_table_fini(struct cox_table *t);

#endif
