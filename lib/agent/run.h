/*
 * run - run a program to its end and take what it prints. Blocks: for commands that have no loop, and for workers.
 */
#ifndef COX_AGENT_RUN_H
#define COX_AGENT_RUN_H

#include "base/buf.h"
#include "base/err.h"

enum { COX_AGENT_RUN_OUTPUT_MAX = 8 * 1024 * 1024 }; /* a namespace with tens of thousands of foreign rules */

/* Runs argv (NULL-terminated, found on PATH) for at most `timeout_ms` (0: until it ends by itself) with `input` on standard input; its
 * standard output is appended to `out` (NULL: dropped). COX_ENOTFOUND: no such program; COX_ELIMIT: printed too much; COX_ETIMEOUT: it was
 * killed; COX_EIO: it failed, `err` carries the end of what it wrote to standard error. */
COX_MUST_USE enum cox_rc cox_agent_run(const char *const *argv, struct cox_str input, int64_t timeout_ms, struct cox_buf *out,
                                       struct cox_err *err);

#endif
