/*
 * resolve - the addresses of a host, by the system's resolver. Thread: everything on the loop; the asking itself is libuv's pool's.
 */
#ifndef COX_NET_RESOLVE_H
#define COX_NET_RESOLVE_H

#include "base/err.h"
#include "base/str.h"
#include "loop/loop.h"

struct cox_resolve;

/* `done` comes once, later: COX_OK with addresses as text, sorted, each once; COX_ENOTFOUND: there is no such name; else the resolver had
 * trouble and what was known may still be true. The addresses are borrowed until the return; the question is gone then. Copies `host`. */
void cox_resolve_open(struct cox_loop *loop, struct cox_str host,
                      void (*done)(void *ctx, enum cox_rc rc, const struct cox_str *addresses, size_t n), void *ctx,
                      struct cox_resolve **out);
/* `done` does not come any more. Accepts NULL. */
void cox_resolve_close(struct cox_resolve **r);

#endif
