/*
 * tap - port 15004: questions of the type istio.io/debug that somebody in the pod asks the control plane through us, with our credentials.
 * Thread: everything on the loop. Owns: its port, and for each question a connection to the control plane, so that neither Envoy's stream
 * nor its order of messages is touched.
 *
 * A question without a node gets Envoy's. What the control plane says, an error too, is passed back as it is.
 */
#ifndef COX_AGENT_TAP_H
#define COX_AGENT_TAP_H

#include "agent/credentials.h"
#include "loop/loop.h"

enum { COX_AGENT_TAP_QUESTIONS_MAX = 8, COX_AGENT_TAP_DEADLINE_MS = 15 * 1000 };

struct cox_agent_tap;
struct cox_agent_tap_spec {
	struct cox_loop *loop;
	uint16_t port;                       /* on 127.0.0.1 */
	const struct cox_agent_endpoint *to; /* borrowed until closed() */
	/* Wants credentials for a question: cox_agent_tap_dial() or cox_agent_tap_fail() follows, later. */
	void (*on_want_credentials)(void *ctx, uint64_t question);
	struct cox_str (*node)(void *ctx); /* Envoy's, encoded; empty: not known yet */
	void *ctx;
	int64_t deadline_ms; /* of a question; 0: COX_AGENT_TAP_DEADLINE_MS */
};

/* As cox_grpc_server_listen(). */
COX_MUST_USE enum cox_rc cox_agent_tap_open(const struct cox_agent_tap_spec *spec, struct cox_agent_tap **out, struct cox_err *err);
/* Ends all questions; closed(ctx) when the port is free (may be NULL). */
void cox_agent_tap_close(struct cox_agent_tap **t, void (*closed)(void *ctx), void *ctx);

/* Nothing when who asked has gone. Shares the TLS context and copies the rest. */
void cox_agent_tap_dial(struct cox_agent_tap *t, uint64_t question, const struct cox_agent_credentials *c);
void cox_agent_tap_fail(struct cox_agent_tap *t, uint64_t question, const struct cox_err *err);

#endif
