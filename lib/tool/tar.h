/*
 * tar - an archive (POSIX ustar) written file by file.
 * Thread: the caller's; blocks.
 */
#ifndef COX_TOOL_TAR_H
#define COX_TOOL_TAR_H

#include "base/err.h"

struct cox_tar;

/* Makes or replaces the file, readable by its owner alone. */
COX_MUST_USE enum cox_rc cox_tar_open(const char *path, struct cox_tar **out, struct cox_err *err);
/* One file; `name` has at most 255 bytes (longer ones are cut in front), what is no name there becomes '_'. */
COX_MUST_USE enum cox_rc cox_tar_add(struct cox_tar *t, struct cox_str name, struct cox_str bytes, struct cox_err *err);
/* Writes the end. COX_EIO: the archive is not whole. Accepts NULL. */
COX_MUST_USE enum cox_rc cox_tar_close(struct cox_tar **t, struct cox_err *err);

#endif
