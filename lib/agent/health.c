#include "agent/health.h"

#include "agent/probe.h"
#include "base/log.h"
#include "codec/json.h"
#include "loop/proc.h"
#include "loop/timer.h"
#include "net/addr.h"

#include <stdio.h>

enum { SECONDS_MAX = 86400, THRESHOLD_MAX = 1000, PERIOD_S = 10, FAILURES = 3 };

struct cox_agent_health {
	struct cox_loop *loop;
	const struct cox_agent_health_config *config;
	void (*on_change)(void *ctx, struct cox_str unhealthy);
	void *ctx;
	struct cox_timer *timer; /* the next probe, or the command's time-out */
	struct cox_agent_probe *probe;
	struct cox_proc *proc;
	bool is_known, is_healthy; /* as was told */
	int in_a_row;              /* answers that differ from it */
	bool was_good;
};

/* --- configuration ------------------------------------------------------------------------ */

static enum cox_rc read_number(const struct cox_json *o, const char *key, int64_t fallback, int64_t min, int64_t max, int64_t *out,
                               struct cox_err *err)
{
	const struct cox_json *v = cox_json_get(o, cox_str_of(key));
	*out = fallback;
	if (v && (cox_json_to_i64(v, out) != COX_OK || *out < 0 || *out > max))
		return cox_err_set(err, COX_EINVAL, key, "must be a number from %lld to %lld", (long long)min, (long long)max);
	if (*out < min) /* 0 is "unset" */
		*out = fallback;
	return COX_OK;
}

static enum cox_rc read_command(const struct cox_json *exec, struct cox_arena *arena, struct cox_agent_health_config *c,
                                struct cox_err *err)
{
	const struct cox_json *list = cox_json_get(exec, COX_STR("command"));
	if (!list || list->type != COX_JSON_ARRAY || list->n == 0 || list->n > COX_AGENT_HEALTH_ARGS_MAX)
		return cox_err_set(err, COX_EINVAL, "exec.command", "must be a list of 1 to %d words", COX_AGENT_HEALTH_ARGS_MAX);
	for (size_t i = 0; i < list->n; i++) {
		const struct cox_json *word = &list->items[i];
		if (word->type != COX_JSON_STRING || (i == 0 && word->text.n == 0) ||
		    (word->text.n && memchr(word->text.p, 0, word->text.n)))
			return cox_err_set(err, COX_EINVAL, "exec.command", "word %zu is not text", i);
		c->command[i] = cox_arena_str(arena, word->text).p;
	}
	return COX_OK;
}

static enum cox_rc read_address(const struct cox_json *probe, struct cox_arena *arena, struct cox_agent_health_config *c,
                                struct cox_err *err)
{
	struct cox_str host = cox_json_str_at(probe, "httpGet.host");
	host = host.n ? host : cox_json_str_at(probe, "tcpSocket.host");
	if (!host.n || cox_str_eq(host, COX_STR("localhost")))
		host = COX_STR("127.0.0.1");
	struct cox_addr addr = { .port = 1 };
	struct sockaddr_storage sa;
	socklen_t n;
	cox_str_to_cstr(host, addr.host, sizeof(addr.host));
	if (cox_addr_to_sockaddr(&addr, &sa, &n) != COX_OK)
		return cox_err_set(err, COX_EINVAL, "host", "\"%.*s\" is not an address", COX_FMT(host));
	c->address = cox_arena_str(arena, host).p;
	if (c->prober.kind == COX_AGENT_PROBE_TCP)
		c->prober.host = COX_STR(""); /* `address` is it */
	return COX_OK;
}

enum cox_rc cox_agent_health_config_read(const struct cox_json *probe, struct cox_arena *arena, struct cox_agent_health_config *out,
                                         struct cox_err *err)
{
	struct cox_agent_health_config c = { .is_on = probe != NULL };
	const struct cox_json *exec = cox_json_get(probe, COX_STR("exec"));
	int64_t delay, period, timeout, failures, successes;
	*out = (struct cox_agent_health_config){ 0 };
	if (!probe)
		return COX_OK;
	COX_TRY(read_number(probe, "initialDelaySeconds", 0, 0, SECONDS_MAX, &delay, err));
	COX_TRY(read_number(probe, "periodSeconds", PERIOD_S, 1, SECONDS_MAX, &period, err));
	COX_TRY(read_number(probe, "timeoutSeconds", 1, 1, SECONDS_MAX, &timeout, err));
	COX_TRY(read_number(probe, "failureThreshold", FAILURES, 1, THRESHOLD_MAX, &failures, err));
	COX_TRY(read_number(probe, "successThreshold", 1, 1, THRESHOLD_MAX, &successes, err));
	if (exec)
		COX_TRY(read_command(exec, arena, &c, err));
	else {
		COX_TRY(cox_agent_prober_read(probe, arena, &c.prober, err));
		COX_TRY(read_address(probe, arena, &c, err));
	}
	c.prober.timeout_ms = timeout * 1000;
	c.delay_ms = delay * 1000;
	c.period_ms = period * 1000;
	c.failures = (int)failures;
	c.successes = (int)successes;
	*out = c;
	return COX_OK;
}

/* --- asking ------------------------------------------------------------------------------- */

static void take(struct cox_agent_health *h, bool is_good, const char *why)
{
	char text[256];
	int needed = is_good ? h->config->successes : h->config->failures;
	cox_agent_probe_close(&h->probe);
	cox_proc_close(&h->proc);
	cox_timer_start(h->timer, h->config->period_ms, 0);
	h->in_a_row = is_good == h->was_good ? h->in_a_row + 1 : 1;
	h->was_good = is_good;
	if ((h->is_known && h->is_healthy == is_good) || h->in_a_row < needed)
		return;
	h->is_known = true;
	h->is_healthy = is_good;
	snprintf(text, sizeof(text), "%s", is_good ? "" : why[0] ? why : "the probe failed");
	cox_log(is_good ? COX_LOG_INFO : COX_LOG_WARN, "health", "the application is %s%s%s", is_good ? "healthy" : "unhealthy",
	        is_good ? "" : ": ", text);
	h->on_change(h->ctx, cox_str_of(text));
}

static void on_probed(void *ctx, int status, const char *text)
{
	char why[200];
	bool is_good = status >= 200 && status < 400;
	snprintf(why, sizeof(why), "%s", text); /* it is the probe's, which ends now */
	if (!why[0])
		snprintf(why, sizeof(why), "status %d", status);
	take(ctx, is_good, why);
}

static void on_exit_of_command(void *ctx, int64_t status, int number)
{
	struct cox_agent_health *h = ctx;
	char why[200];
	snprintf(why, sizeof(why), "%.100s ended with %s %lld", h->config->command[0], number ? "signal" : "status",
	         number ? (long long)number : (long long)status);
	take(h, status == 0 && number == 0, why);
}

static void start_command(struct cox_agent_health *h)
{
	struct cox_err err = { 0 };
	struct cox_proc_spec spec = { .argv = h->config->command, .on_exit = on_exit_of_command, .ctx = h };
	if (cox_proc_open(h->loop, &spec, &h->proc, &err) != COX_OK)
		take(h, false, err.text);
	else
		cox_timer_start(h->timer, h->config->prober.timeout_ms, 0);
}

static void on_timer(void *ctx)
{
	struct cox_agent_health *h = ctx;
	if (h->proc)
		take(h, false, "the command took too long");
	else if (h->config->command[0])
		start_command(h);
	else
		cox_agent_probe_open(h->loop,
		                     &(struct cox_agent_probe_spec){
		                         .prober = &h->config->prober, .address = h->config->address, .on_done = on_probed, .ctx = h },
		                     &h->probe);
}

void cox_agent_health_open(struct cox_loop *loop, const struct cox_agent_health_config *config,
                           void (*on_change)(void *ctx, struct cox_str unhealthy), void *ctx, struct cox_agent_health **out)
{
	struct cox_agent_health *h = COX_NEW(struct cox_agent_health);
	h->loop = loop;
	h->config = config;
	h->on_change = on_change;
	h->ctx = ctx;
	h->timer = cox_timer_new(loop, on_timer, h);
	cox_timer_start(h->timer, config->delay_ms, 0);
	*out = h;
}

void cox_agent_health_close(struct cox_agent_health **hp)
{
	struct cox_agent_health *h = COX_MOVE(*hp);
	if (!h)
		return;
	cox_agent_probe_close(&h->probe);
	cox_proc_close(&h->proc);
	cox_timer_free(&h->timer);
	cox_free(h);
}
