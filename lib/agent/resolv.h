/*
 * resolv - what /etc/resolv.conf says. Pure: text in, values out.
 */
#ifndef COX_AGENT_RESOLV_H
#define COX_AGENT_RESOLV_H

#include "base/buf.h"
#include "base/err.h"

enum { COX_RESOLV_SERVERS_MAX = 8, COX_RESOLV_TEXT_MAX = 64 * 1024 };

struct cox_resolv {
	char servers[COX_RESOLV_SERVERS_MAX][64]; /* addresses, in order */
	size_t server_n;
	char search[256];   /* the first search domain (or `domain`), lower case, no dot at either end; "" without */
	int64_t timeout_ms; /* 2 s unless `options timeout:` says otherwise */
	int attempts;       /* 2 unless `options attempts:` does */
};

/* Unknown lines are skipped, values clipped (time-out 1 to 30 s, attempts 1 to 5), as resolver libraries do. The last search line counts.
 */
void cox_resolv_read(struct cox_str text, struct cox_resolv *out);
/* The file; one that cannot be read gives an empty result and COX_EIO. */
COX_MUST_USE enum cox_rc cox_resolv_load(const char *path, struct cox_resolv *out, struct cox_err *err);

#endif
