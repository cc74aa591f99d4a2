/*
 * fetch - one HTTP/1.1 request to the application in the pod (probes, metrics), clear or TLS, its answer in parts. Or a connection alone.
 * Thread: everything on the loop. At most 64 KiB of an answer are in memory, also while its reader is not ready for more.
 */
#ifndef COX_AGENT_FETCH_H
#define COX_AGENT_FETCH_H

#include "agent/http.h"
#include "loop/loop.h"
#include "net/tls.h"

struct cox_agent_fetch;

struct cox_agent_fetch_spec {
	const char *address; /* numeric */
	uint16_t port;
	const char *source_address;             /* numeric, or NULL: connect from there */
	struct cox_tls *tls;                    /* NULL: clear text; shared until close */
	bool is_connect_only;                   /* connected is all that is wanted: no request, done with status 0 */
	struct cox_str method, target, headers; /* headers: lines that end in CRLF, Host among them; copied */
	int64_t timeout_ms;                     /* of the whole */
	/* The head of the answer. May be NULL. None of the callbacks comes inside open; each may close the fetch. */
	void (*on_head)(void *ctx, int status, struct cox_str head);
	void (*on_body)(void *ctx, struct cox_str part); /* may be NULL: dropped */
	/* The end, once. COX_OK; COX_EIO (refused, broken), COX_ETIMEOUT, COX_EPROTO (no HTTP, cut off), COX_EAUTH (TLS), COX_ELIMIT (head
	 * too long). */
	void (*on_done)(void *ctx, enum cox_rc rc, int status);
	void *ctx;
};

void cox_agent_fetch_open(struct cox_loop *loop, const struct cox_agent_fetch_spec *spec, struct cox_agent_fetch **out);
/* No part of the body comes until resume (which calls nothing itself). The time-out goes on. */
void cox_agent_fetch_pause(struct cox_agent_fetch *f);
void cox_agent_fetch_resume(struct cox_agent_fetch *f);
/* No callback after this. Accepts NULL. */
void cox_agent_fetch_close(struct cox_agent_fetch **f);

#endif
