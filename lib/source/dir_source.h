/*
 * dir_source - a directory of YAML and JSON files as a source of events, live by inotify.
 * Thread: the loop it was opened on; cox_dir_load() anywhere.
 * Files *.yaml, *.yml, *.json of the directory and its subdirectories; names that start with '.' are left out, so that
 * editors' and ConfigMap mounts' own files do not count. Many documents a file; a List is unfolded.
 * A bad document is reported with file, line and field; its last good version stays in force and the rest of the file counts. While a
 * document cannot even be read, nothing that the file had before goes away. A directory that vanishes makes the source stale.
 * A file written in place is read as its writer closes it; one that is new or replaced after 10 ms, one that is gone after 50 ms.
 * One object in two files: that of the first file by name is in force, the other is reported.
 */
#ifndef COX_SOURCE_DIR_SOURCE_H
#define COX_SOURCE_DIR_SOURCE_H

#include "loop/loop.h"
#include "source/events.h"

enum { COX_DIR_FILE_BYTES_MAX = 16 * 1024 * 1024 }; /* a larger file is reported and not read */

struct cox_dir_source;
/* Reads everything (events come before the return, with synced and flush), then watches. Copies `dir` and `sink`.
 * COX_ENOTFOUND: no such directory. COX_ELIMIT: no inotify instance left. */
COX_MUST_USE enum cox_rc cox_dir_source_open(struct cox_loop *loop, const char *dir, const struct cox_source_sink *sink,
                                             struct cox_dir_source **out, struct cox_err *err);
void cox_dir_source_close(struct cox_dir_source **s);
/* Once, without watching: for coxctl and tests. `path` is a directory or one file. */
COX_MUST_USE enum cox_rc cox_dir_load(const char *path, const struct cox_source_sink *sink, struct cox_err *err);

#endif
