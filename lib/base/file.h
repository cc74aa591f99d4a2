/*
 * file - whole files in and out. Blocks: for small local files, at the start, on workers, and in command-line tools.
 */
#ifndef COX_BASE_FILE_H
#define COX_BASE_FILE_H

#include "base/buf.h"
#include "base/err.h"

/* Appends the whole file; never waits for a named pipe. COX_ENOTFOUND, COX_EDENIED, COX_EIO, COX_ELIMIT (longer than `max_bytes`) with a
 * text that names the file; then nothing was appended. */
COX_MUST_USE enum cox_rc cox_file_read(const char *path, size_t max_bytes, struct cox_buf *out, struct cox_err *err);
/* The same, where "-" is standard input and named pipes are waited for: what a person names on a command line. */
COX_MUST_USE enum cox_rc cox_file_read_arg(const char *path, size_t max_bytes, struct cox_buf *out, struct cox_err *err);
/* Makes or replaces the file, with exactly these permissions. COX_EIO with a text that names it. */
COX_MUST_USE enum cox_rc cox_file_write(const char *path, unsigned mode, struct cox_str text, struct cox_err *err);

#endif
