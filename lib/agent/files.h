/*
 * files - small files that the agent reads and writes. Blocks: for workers and for start-up; only the stamp is cheap enough for a loop.
 */
#ifndef COX_AGENT_FILES_H
#define COX_AGENT_FILES_H

#include "base/buf.h"
#include "base/err.h"

enum { COX_AGENT_FILE_BYTES_MAX = 4 << 20 }; /* a bundle of all public roots is 250 KB */

/* Appends. COX_ENOTFOUND: there is none; COX_EIO, COX_ELIMIT with the path in the text. What was read may be a key: the caller wipes it. */
COX_MUST_USE enum cox_rc cox_agent_file_read(const char *path, struct cox_buf *out, struct cox_err *err);
/* Through a temporary name, so that nobody reads half of it. */
COX_MUST_USE enum cox_rc cox_agent_file_write(const char *dir, const char *name, unsigned mode, struct cox_str bytes, struct cox_err *err);

/* Says that a file is another one than before, or has another content, also behind symbolic links. Zero: it cannot be seen. */
struct cox_agent_file_stamp {
	uint64_t device, inode, bytes, changed_ns;
};
struct cox_agent_file_stamp cox_agent_file_stamp(const char *path);
bool cox_agent_file_stamp_eq(const struct cox_agent_file_stamp *a, const struct cox_agent_file_stamp *b);

#endif
