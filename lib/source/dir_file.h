/*
 * dir_file - one file of a directory source: its documents as objects, bad ones replaced by their last good version.
 */
#ifndef COX_SOURCE_DIR_FILE_H
#define COX_SOURCE_DIR_FILE_H

#include "base/vec.h"
#include "source/events.h"

struct cox_dir_doc {
	const struct cox_object *object; /* reference; NULL: nothing of this document is in force */
};
struct cox_dir_file {
	struct cox_str path;             /* owned, terminated */
	COX_VEC(struct cox_dir_doc) docs; /* in the order of the text */
};
void cox_dir_file_free(struct cox_dir_file *f);
/* Reads the file anew. Faults go to sink->report. A file that is gone has no documents. */
void cox_dir_file_read(struct cox_dir_file *f, const struct cox_source_sink *sink, struct cox_arena *scratch);

#endif
