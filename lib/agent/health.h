/*
 * health - a workload that no kubelet watches (a virtual machine) is asked by its agent: PROXY_CONFIG's readinessProbe, by HTTP, TCP, gRPC
 * or a command. Who listens is told when the answer changes, and once at the beginning.
 * Thread: everything on the loop. Owns: one probe at a time. An answer must come failureThreshold (successThreshold) times in a row.
 */
#ifndef COX_AGENT_HEALTH_H
#define COX_AGENT_HEALTH_H

#include "agent/probers.h"
#include "loop/loop.h"

enum { COX_AGENT_HEALTH_ARGS_MAX = 64 };

/* Text lives in the arena given to read. */
struct cox_agent_health_config {
	bool is_on;
	struct cox_agent_prober prober;                     /* unless it is a command */
	const char *address;                                /* of the application; numeric */
	const char *command[COX_AGENT_HEALTH_ARGS_MAX + 1]; /* NULL at the end; [0] NULL: no command */
	int64_t delay_ms, period_ms;
	int failures, successes; /* thresholds */
};
/* `probe` is a readinessProbe, or NULL: is_on is false then. Pure. COX_EINVAL with the member. */
COX_MUST_USE enum cox_rc cox_agent_health_config_read(const struct cox_json *probe, struct cox_arena *arena,
                                                      struct cox_agent_health_config *out, struct cox_err *err);

struct cox_agent_health;
/* Borrows `config` until close. on_change never comes inside open; an empty text: healthy. */
void cox_agent_health_open(struct cox_loop *loop, const struct cox_agent_health_config *config,
                           void (*on_change)(void *ctx, struct cox_str unhealthy), void *ctx, struct cox_agent_health **out);
/* No callback after this; a command that still runs is killed. Accepts NULL. */
void cox_agent_health_close(struct cox_agent_health **h);

#endif
