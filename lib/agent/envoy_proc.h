/*
 * envoy_proc - the life of the Envoy process: started, restarted when it crashes, drained, ended.
 * Thread: everything on the loop.
 *
 *   RUNNING --drain--> DRAINING --time over or no connection left--> STOPPING --Envoy ended--> ENDED
 *      |  ^ crash: started again after a back-off            ^ a second stop, or Envoy ends by itself
 */
#ifndef COX_AGENT_ENVOY_PROC_H
#define COX_AGENT_ENVOY_PROC_H

#include "base/err.h"
#include "loop/loop.h"

struct cox_envoy;

enum cox_envoy_state { COX_ENVOY_RUNNING, COX_ENVOY_DRAINING, COX_ENVOY_STOPPING, COX_ENVOY_ENDED };

/* Copied by open, text included. */
struct cox_envoy_spec {
	const char *program, *bootstrap_path, *log_level;
	const char *component_log_level;    /* "misc:error,..."; NULL: none; outlives the Envoy */
	int concurrency;                    /* worker threads; 0: as many as cores */
	int64_t listener_drain_s;           /* how long connections of a listener that goes may finish; 0: 45 */
	int64_t log_flush_ms, log_flush_kb; /* access logs; 0: 1 s, 64 KiB */
	uint16_t admin_port, prometheus_port, health_port;
	int64_t drain_ms;     /* how long connections may finish */
	int64_t drain_min_ms; /* with exit_on_zero: at least this long */
	bool exit_on_zero;    /* drain until no connection is left, however long: the kubelet's grace period is the limit */
	/* Once, when everything is over. `code` is Envoy's exit status, or 128 + its signal. */
	void (*on_end)(void *ctx, int code);
	void *ctx;
};

COX_MUST_USE enum cox_rc cox_envoy_open(struct cox_loop *loop, const struct cox_envoy_spec *spec, struct cox_envoy **out,
                                        struct cox_err *err);
enum cox_envoy_state cox_envoy_state(const struct cox_envoy *e);
/* How often it was started again after a crash. */
unsigned cox_envoy_restarts(const struct cox_envoy *e);
/* Tells Envoy to finish its connections and take no new ones; it keeps running. */
void cox_envoy_drain(struct cox_envoy *e);
/* Drains, then ends Envoy. Called again, or with `now`: ends it at once. */
void cox_envoy_stop(struct cox_envoy *e, bool now);
/* No callback after this; a process that still runs is killed. Accepts NULL. */
void cox_envoy_close(struct cox_envoy **e);

#endif
