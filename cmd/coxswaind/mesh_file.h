/*
 * mesh_file - the file of --meshConfig: read at the start, and again when it was replaced or written.
 */
#ifndef MESH_FILE_H
#define MESH_FILE_H

#include "daemon.h"

struct mesh_file;

/* Appends the file's text; nothing without a path. An error names the flag. */
COX_MUST_USE enum cox_rc mesh_file_read(const char *flag, const char *path, struct cox_buf *out, struct cox_err *err);
/* Looks once a second from now on; `changed` is called after the registry has got another text. NULL without the flag. */
struct mesh_file *mesh_file_watch(struct daemon *d, void (*changed)(void *arg));
void mesh_file_free(struct mesh_file *f);

#endif
