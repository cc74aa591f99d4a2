/*
 * file - small files that credentials come in.
 */
#ifndef COX_KUBE_FILE_H
#define COX_KUBE_FILE_H

#include "base/buf.h"
#include "base/err.h"

enum { COX_KUBE_FILE_BYTES_MAX = 1024 * 1024 }; /* a kubeconfig with inline certificates of a hundred clusters is below */

/* Appends the whole file. Blocks: only for small local files. COX_ENOTFOUND, COX_EDENIED, COX_EIO, COX_ELIMIT with a text that names the
 * file. */
COX_MUST_USE enum cox_rc cox_kube_file_read(const char *path, struct cox_buf *out, struct cox_err *err);
/* When and how big, as one number: another one means that the file was replaced or written. 0: there is none. */
uint64_t cox_kube_file_stamp(const char *path);

#endif
