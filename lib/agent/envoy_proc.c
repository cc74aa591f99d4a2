#include "agent/envoy_proc.h"

#include "agent/http_client.h"
#include "agent/readiness.h"
#include "base/clock.h"
#include "base/log.h"
#include "loop/proc.h"
#include "loop/timer.h"

#include <signal.h>
#include <stdio.h>

enum {
	BACKOFF_FIRST_MS = 200,
	BACKOFF_MAX_MS = 10 * 1000,
	HEALTHY_MS = 60 * 1000, /* a run this long starts the back-off anew */
	CALL_TIMEOUT_MS = 2000,
	POLL_CONNECTIONS_MS = 1000,
	KILL_AFTER_MS = 5000, /* Envoy ends within milliseconds unless it hangs */
};

struct cox_envoy {
	struct cox_loop *loop;
	struct cox_envoy_spec spec;
	char *program, *bootstrap_path, *log_level;
	enum cox_envoy_state state;
	bool end_wanted; /* drain() alone keeps Envoy running */
	unsigned restarts;
	int64_t backoff_ms, started_at_ms, drained_at_ms;
	struct cox_proc *proc;
	struct cox_timer *timer; /* of the state: restart, drain, kill */
	struct cox_agent_call *call;
};

static enum cox_rc start(struct cox_envoy *e, struct cox_err *err);

static void end(struct cox_envoy *e, int code)
{
	e->state = COX_ENVOY_ENDED;
	cox_timer_stop(e->timer);
	cox_agent_call_close(&e->call);
	e->spec.on_end(e->spec.ctx, code);
}

static void schedule_restart(struct cox_envoy *e)
{
	if (cox_loop_now_ms(e->loop) - e->started_at_ms >= HEALTHY_MS)
		e->backoff_ms = BACKOFF_FIRST_MS;
	cox_timer_start(e->timer, cox_jitter_ms(e->backoff_ms, 20), 0);
	e->backoff_ms = e->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : e->backoff_ms * 2;
}

static void on_exit_of_envoy(void *ctx, int64_t status, int sig)
{
	struct cox_envoy *e = ctx;
	int code = sig ? 128 + sig : (int)status;
	cox_proc_close(&e->proc);
	if (e->state != COX_ENVOY_RUNNING) {
		cox_log(COX_LOG_INFO, "agent", "envoy ended status=%d", code);
		end(e, code);
		return;
	}
	e->restarts++;
	cox_log(COX_LOG_ERROR, "agent", "envoy ended unexpectedly, starting it again status=%d restarts=%u", code, e->restarts);
	schedule_restart(e);
}

static enum cox_rc start(struct cox_envoy *e, struct cox_err *err)
{
	char concurrency[16];
	snprintf(concurrency, sizeof(concurrency), "%d", e->spec.concurrency);
	char drain[24], flush_ms[24], flush_kb[24];
	snprintf(drain, sizeof(drain), "%lld", (long long)(e->spec.listener_drain_s ? e->spec.listener_drain_s : 45));
	snprintf(flush_ms, sizeof(flush_ms), "%lld", (long long)(e->spec.log_flush_ms ? e->spec.log_flush_ms : 1000));
	snprintf(flush_kb, sizeof(flush_kb), "%lld", (long long)(e->spec.log_flush_kb ? e->spec.log_flush_kb : 64));
	/* Unknown fields are allowed in what we wrote ourselves, so that one agent goes with several Envoys. */
	const char *argv[24] = { e->program,
		                 "-c",
		                 e->bootstrap_path,
		                 "-l",
		                 e->log_level,
		                 "--disable-hot-restart",
		                 "--drain-time-s",
		                 drain,
		                 "--drain-strategy",
		                 "immediate",
		                 "--file-flush-interval-msec",
		                 flush_ms,
		                 "--file-flush-min-size-kb",
		                 flush_kb,
		                 "--allow-unknown-static-fields",
		                 NULL };
	size_t n = 15;
	if (e->spec.concurrency > 0) {
		argv[n++] = "--concurrency";
		argv[n++] = concurrency;
	}
	if (e->spec.component_log_level) {
		argv[n++] = "--component-log-level";
		argv[n++] = e->spec.component_log_level;
	}
	struct cox_proc_spec spec = {
		.argv = argv,
		.stdin_ = COX_PROC_NULL,
		.stdout_ = COX_PROC_INHERIT,
		.stderr_ = COX_PROC_INHERIT,
		.on_exit = on_exit_of_envoy,
		.ctx = e,
	};
	COX_TRY(cox_proc_open(e->loop, &spec, &e->proc, err));
	e->started_at_ms = cox_loop_now_ms(e->loop);
	cox_log(COX_LOG_INFO, "agent", "envoy started pid=%d", cox_proc_pid(e->proc));
	return COX_OK;
}

static void signal_envoy(struct cox_envoy *e, int number)
{
	/* It may have ended a moment ago: on_exit tells. */
	if (e->proc && cox_proc_kill(e->proc, number) != COX_OK)
		cox_log(COX_LOG_DEBUG, "agent", "envoy is gone already");
}

static void end_now(struct cox_envoy *e)
{
	if (e->proc == NULL) { /* between a crash and the restart */
		end(e, 1);
		return;
	}
	e->state = COX_ENVOY_STOPPING;
	cox_agent_call_close(&e->call);
	signal_envoy(e, SIGTERM);
	cox_timer_start(e->timer, KILL_AFTER_MS, 0);
}

static void on_connections(void *ctx, enum cox_rc rc, int status, struct cox_str body)
{
	struct cox_envoy *e = ctx;
	uint64_t open = cox_agent_active_connections(body, e->spec.prometheus_port, e->spec.health_port);
	cox_agent_call_close(&e->call);
	if (rc == COX_OK && status == 200 && open == 0)
		end_now(e);
	else
		cox_timer_start(e->timer, POLL_CONNECTIONS_MS, 0);
}

static void on_drained(void *ctx, enum cox_rc rc, int status, struct cox_str body)
{
	struct cox_envoy *e = ctx;
	(void)body;
	cox_agent_call_close(&e->call);
	if (rc != COX_OK || status != 200)
		cox_log(COX_LOG_WARN, "agent", "envoy did not take the order to drain error=%s status=%d", cox_rc_name(rc), status);
}

static void on_timer(void *ctx)
{
	struct cox_envoy *e = ctx;
	struct cox_err err = { 0 };
	if (e->state == COX_ENVOY_RUNNING) {
		if (e->proc == NULL && start(e, &err) != COX_OK) {
			cox_log(COX_LOG_ERROR, "agent", "envoy cannot be started error=\"%s\"", err.text);
			schedule_restart(e);
		}
	} else if (e->state == COX_ENVOY_STOPPING) {
		cox_log(COX_LOG_WARN, "agent", "envoy does not end, killing it");
		signal_envoy(e, SIGKILL);
	} else if (e->end_wanted && e->spec.exit_on_zero) {
		cox_agent_call_close(&e->call);
		cox_agent_call_open(e->loop, e->spec.admin_port, "GET", "/stats?filter=downstream_cx_active", CALL_TIMEOUT_MS,
		                    on_connections, e, &e->call);
	} else if (e->end_wanted) {
		end_now(e);
	}
}

void cox_envoy_drain(struct cox_envoy *e)
{
	if (e->state != COX_ENVOY_RUNNING)
		return;
	e->state = COX_ENVOY_DRAINING;
	e->drained_at_ms = cox_loop_now_ms(e->loop);
	/* Without skip_exit Envoy closes its listeners at the end of the drain and refuses the last clients. */
	cox_agent_call_open(e->loop, e->spec.admin_port, "POST", "/drain_listeners?graceful&skip_exit", CALL_TIMEOUT_MS, on_drained, e,
	                    &e->call);
}

void cox_envoy_stop(struct cox_envoy *e, bool now)
{
	if (e->state == COX_ENVOY_ENDED)
		return;
	if (now || e->end_wanted || e->proc == NULL) {
		if (e->state != COX_ENVOY_STOPPING)
			end_now(e);
		return;
	}
	e->end_wanted = true;
	cox_envoy_drain(e);
	int64_t wait = e->spec.exit_on_zero ? e->spec.drain_min_ms : e->spec.drain_ms;
	wait -= cox_loop_now_ms(e->loop) - e->drained_at_ms;
	cox_log(COX_LOG_INFO, "agent", "draining wait_ms=%lld", (long long)(wait > 0 ? wait : 0));
	cox_timer_start(e->timer, wait > 0 ? wait : 0, 0);
}

enum cox_envoy_state cox_envoy_state(const struct cox_envoy *e) { return e->state; }
unsigned cox_envoy_restarts(const struct cox_envoy *e) { return e->restarts; }

enum cox_rc cox_envoy_open(struct cox_loop *loop, const struct cox_envoy_spec *spec, struct cox_envoy **out, struct cox_err *err)
{
	struct cox_envoy *e = COX_NEW(struct cox_envoy);
	e->loop = loop;
	e->spec = *spec;
	e->program = cox_str_dup_cstr(cox_str_of(spec->program));
	e->bootstrap_path = cox_str_dup_cstr(cox_str_of(spec->bootstrap_path));
	e->log_level = cox_str_dup_cstr(cox_str_of(spec->log_level));
	e->backoff_ms = BACKOFF_FIRST_MS;
	e->timer = cox_timer_new(loop, on_timer, e);
	enum cox_rc rc = start(e, err);
	if (rc != COX_OK) {
		cox_envoy_close(&e);
		return rc;
	}
	*out = e;
	return COX_OK;
}

void cox_envoy_close(struct cox_envoy **ep)
{
	struct cox_envoy *e = COX_MOVE(*ep);
	if (e == NULL)
		return;
	cox_proc_close(&e->proc);
	cox_timer_free(&e->timer);
	cox_agent_call_close(&e->call);
	cox_free(e->program);
	cox_free(e->bootstrap_path);
	cox_free(e->log_level);
	cox_free(e);
}
