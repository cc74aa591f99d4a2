/*
 * memory - how much memory the process has in use, and may have. Thread: any.
 */
#ifndef COX_BASE_MEMORY_H
#define COX_BASE_MEMORY_H

#include "base/err.h"

/* Resident bytes; 0 where the kernel does not say. A system call: some microseconds. */
size_t cox_memory_resident_bytes(void);
/* "512Mi", "1.5Gi", "2G", "800000000". COX_EINVAL: none of them. */
COX_MUST_USE enum cox_rc cox_memory_parse(struct cox_str text, size_t *bytes);

#endif
