/*
 * dir_file - one file of a directory source: its documents as objects, bad ones replaced by their last good version.
 */
#ifndef COX_SOURCE_DIR_FILE_H
#define COX_SOURCE_DIR_FILE_H

#include "base/map.h"
#include "base/vec.h"
#include "source/events.h"

struct cox_dir_doc {
	const struct cox_object *object; /* reference; never NULL: a document of which nothing is in force has no entry */
};
struct cox_dir_file {
	struct cox_str path;              /* owned, terminated */
	COX_VEC(struct cox_dir_doc) docs; /* in the order of the text */
	uint64_t inode;                   /* of the content read last; 0: there is none */
	struct cox_map reported; /* "<kind>/<namespace>/<name>" (owned; also the value) of what is reported and not yet taken back */
	int64_t due_ms;          /* when it is read again (loop time); 0: not */
};
void cox_dir_file_free(struct cox_dir_file *f);
/* Reads the file anew. Faults go to sink->report, and a report without any for what had some before. A file that is gone has no documents.
 */
void cox_dir_file_read(struct cox_dir_file *f, const struct cox_source_sink *sink, struct cox_arena *scratch);

#endif
