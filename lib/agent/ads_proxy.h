/*
 * ads_proxy - passes Envoy's ADS stream on to the control plane, and carries the agent's own subscriptions on the same upstream stream.
 * Thread: everything on the loop.
 * Owns: the socket for Envoy, at most one Envoy stream (the newest wins) and one upstream connection.
 *
 *   IDLE --Envoy opens a stream--> DIALING --first response--> UP
 *     ^ Envoy's stream ends          |  ^ failed: credentials anew after a back-off; Envoy's requests are kept and said again
 *     +------------------------------+--+-------- upstream lost in UP: Envoy's stream is ended too, so that it comes back and says what it
 * has
 *
 * Messages are passed as bytes; only their type is read. Queues: each direction holds the messages of one flow-control window, then the
 * sender is held back. Until the first response at most COX_AGENT_ADS_REPLAY_BYTES of requests are kept for a second dial.
 */
#ifndef COX_AGENT_ADS_PROXY_H
#define COX_AGENT_ADS_PROXY_H

#include "agent/credentials.h"
#include "loop/loop.h"

enum { COX_AGENT_ADS_REPLAY_BYTES = 8 << 20, COX_AGENT_ADS_TYPES_MAX = 8 };

struct cox_agent_ads;

/* A type that the agent subscribes to itself: its responses never reach Envoy. */
struct cox_agent_ads_type {
	struct cox_str url;
	/* The value of the first resource (borrowed; empty: there is none any more). The owner answers with cox_agent_ads_answer(), here or
	 * later; a newer response makes an answer that is owed for an older one void. */
	void (*on_resource)(void *ctx, size_t type, struct cox_str value);
};

struct cox_agent_ads_spec {
	struct cox_loop *loop;
	const char *path;
	const struct cox_agent_endpoint *to; /* borrowed until closed() */
	/* Wants credentials for a new connection: cox_agent_ads_dial() or cox_agent_ads_fail() follows, here or later. */
	void (*on_want_credentials)(void *ctx);
	void (*on_up)(void *ctx);               /* the control plane answers; may be NULL */
	const struct cox_agent_ads_type *types; /* copied */
	size_t type_n;
	/* An encoded Node, copied: while Envoy has no stream (there may be no Envoy), the agent opens one itself for its own types. Empty:
	 * it waits for Envoy. */
	struct cox_str node;
	int64_t backoff_first_ms, backoff_max_ms; /* 0: 250 ms, 15 s */
	void *ctx;
};

/* COX_EINVAL as cox_agent_uds_listen(). */
COX_MUST_USE enum cox_rc cox_agent_ads_open(const struct cox_agent_ads_spec *spec, struct cox_agent_ads **out, struct cox_err *err);
/* Ends both sides; closed(ctx) when the sockets are gone (may be NULL). */
void cox_agent_ads_close(struct cox_agent_ads **a, void (*closed)(void *ctx), void *ctx);

/* Shares the TLS context and copies the rest. */
void cox_agent_ads_dial(struct cox_agent_ads *a, const struct cox_agent_credentials *c);
void cox_agent_ads_fail(struct cox_agent_ads *a, const struct cox_err *err);
/* Acknowledges the last response of a type, or with `error` rejects it. Nothing when none is owed. */
void cox_agent_ads_answer(struct cox_agent_ads *a, size_t type, struct cox_str error);
/* Tells the control plane whether the application is well (an empty text) or why not: on the stream that is open, and first on each later
 * one. It answers nothing. Copies. */
void cox_agent_ads_tell_health(struct cox_agent_ads *a, struct cox_str unhealthy);
/* The node of Envoy's newest stream, encoded; empty: it has not said it yet. Borrowed until the next call. */
struct cox_str cox_agent_ads_node(const struct cox_agent_ads *a);
/* True from the first response until the stream ends. */
bool cox_agent_ads_is_up(const struct cox_agent_ads *a);

#endif
