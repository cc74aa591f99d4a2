#include "agent/proxy.h"

#include "agent/http_client.h"
#include "agent/http_server.h"
#include "agent/readiness.h"
#include "base/log.h"
#include "loop/signal.h"
#include "net/addr.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PROBE_TIMEOUT_MS = 1000, STATS_TIMEOUT_MS = 10 * 1000, ASKS_MAX = 64 };

struct agent {
	struct cox_loop *loop;
	struct cox_envoy *envoy;
	struct cox_agent_http_server *server;
	struct cox_signal *signals[2];
	uint16_t admin_port;
	bool was_ready;
	unsigned asks; /* questions to Envoy that are open */
	int code;
};

/* A question to Envoy on behalf of a request. */
struct ask {
	struct agent *agent;
	struct cox_agent_exchange *exchange;
	struct cox_agent_call *call;
	bool is_live;
};

static const char not_live[] = "Envoy is not live";

static void reply(struct cox_agent_exchange *x, int status, const char *text)
{
	cox_agent_exchange_reply(x, status, "text/plain; charset=utf-8", cox_str_of(text));
}

static void finish(struct ask *a, int status, const char *content_type, struct cox_str body)
{
	cox_agent_exchange_reply(a->exchange, status, content_type, body);
	cox_agent_call_close(&a->call);
	a->agent->asks--;
	cox_free(a);
}

static void finish_readiness(struct ask *a, const char *missing)
{
	if (missing == NULL && !a->agent->was_ready) {
		a->agent->was_ready = true;
		cox_log(COX_LOG_INFO, "agent", "envoy is ready");
	}
	finish(a, missing ? 503 : 200, "text/plain; charset=utf-8", cox_str_of(missing ? missing : "ready\n"));
}

static void on_first_config(void *ctx, enum cox_rc rc, int status, struct cox_str body)
{
	struct ask *a = ctx;
	struct cox_agent_readiness r = cox_agent_readiness_read(body);
	const char *missing = rc != COX_OK || status != 200 ? "Envoy does not answer" : cox_agent_readiness_missing(&r);
	finish_readiness(a, missing ? missing : a->is_live ? NULL : not_live);
}

/* Envoy's own word first. Once it was ready, nothing else counts: an empty answer of a restarted control plane must not
 * take pods out of service. */
static void on_live(void *ctx, enum cox_rc rc, int status, struct cox_str body)
{
	struct ask *a = ctx;
	(void)body;
	a->is_live = rc == COX_OK && status == 200;
	if (rc != COX_OK || a->agent->was_ready) {
		finish_readiness(a, rc != COX_OK ? "Envoy does not answer" : a->is_live ? NULL : not_live);
	} else {
		cox_agent_call_close(&a->call);
		cox_agent_call_open(a->agent->loop, a->agent->admin_port, "GET", cox_agent_readiness_target, PROBE_TIMEOUT_MS, on_first_config, a, &a->call);
	}
}

static void on_stats(void *ctx, enum cox_rc rc, int status, struct cox_str body)
{
	if (rc != COX_OK || status != 200)
		finish(ctx, 503, "text/plain; charset=utf-8", COX_STR("Envoy does not answer\n"));
	else
		finish(ctx, 200, "text/plain; version=0.0.4; charset=utf-8", body);
}

static void ask(struct agent *agent, struct cox_agent_exchange *x, const char *target, int64_t timeout_ms, cox_agent_call_fn *fn)
{
	if (agent->asks == ASKS_MAX) {
		reply(x, 503, "too many requests at once\n");
		return;
	}
	struct ask *a = COX_NEW(struct ask);
	a->agent = agent;
	a->exchange = x;
	agent->asks++;
	cox_agent_call_open(agent->loop, agent->admin_port, "GET", target, timeout_ms, fn, a, &a->call);
}

static void on_request(void *ctx, const struct cox_agent_http_request *r, struct cox_agent_exchange *x)
{
	struct agent *a = ctx;
	bool is_post = cox_str_eq(r->method, COX_STR("POST"));
	bool is_get = cox_str_eq(r->method, COX_STR("GET"));
	if (cox_str_eq(r->path, COX_STR("/healthz/ready"))) {
		if (!is_get)
			reply(x, 405, "use GET\n");
		else if (cox_envoy_state(a->envoy) != COX_ENVOY_RUNNING)
			reply(x, 503, "draining\n");
		else
			ask(a, x, "/ready", PROBE_TIMEOUT_MS, on_live);
	} else if (cox_str_eq(r->path, COX_STR("/stats/prometheus"))) {
		ask(a, x, "/stats/prometheus?usedonly", STATS_TIMEOUT_MS, on_stats);
	} else if (cox_str_eq(r->path, COX_STR("/drain")) || cox_str_eq(r->path, COX_STR("/quitquitquit"))) {
		reply(x, is_post ? 200 : 405, is_post ? "ok\n" : "use POST\n");
		if (is_post && cox_str_eq(r->path, COX_STR("/drain")))
			cox_envoy_drain(a->envoy);
		else if (is_post)
			cox_envoy_stop(a->envoy, false);
	} else {
		reply(x, 404, "not found\n");
	}
}

static void on_signal(void *ctx, int number)
{
	struct agent *a = ctx;
	cox_log(COX_LOG_INFO, "agent", "signal received number=%d", number);
	cox_envoy_stop(a->envoy, false);
}

static void on_end(void *ctx, int code)
{
	struct agent *a = ctx;
	a->code = code;
	cox_loop_stop(a->loop);
}

/* --- files -------------------------------------------------------------------------------- */

static enum cox_rc write_all(int fd, struct cox_str text)
{
	while (text.n != 0) {
		ssize_t n = write(fd, text.p, text.n);
		if (n < 0 && errno != EINTR)
			return COX_EIO;
		text = cox_str_sub(text, n > 0 ? (size_t)n : 0, text.n);
	}
	return COX_OK;
}

/* Through a temporary name: an Envoy that restarts never reads half of it. Readable by Envoy's user; there is no secret in it. */
static enum cox_rc write_bootstrap(const struct cox_agent_proxy *p, char path[4096], struct cox_err *err)
{
	COX_AUTO(cox_buf_fini) struct cox_buf text = { 0 };
	char part[4096 + 8];
	COX_TRY(cox_agent_bootstrap_build(&p->bootstrap, &text, err));
	if (strlen(p->config_dir) > 4000)
		return cox_err_set(err, COX_EINVAL, "--config-dir", "is too long");
	if (mkdir(p->config_dir, 0755) != 0 && errno != EEXIST)
		return cox_err_set(err, COX_EIO, "--config-dir", "cannot make %s", p->config_dir);
	snprintf(path, 4096, "%s/envoy-rev.json", p->config_dir);
	snprintf(part, sizeof(part), "%s.part", path);
	int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	enum cox_rc rc = fd < 0 ? COX_EIO : write_all(fd, cox_buf_str(&text));
	if (fd >= 0 && (close(fd) != 0 || rc != COX_OK || rename(part, path) != 0))
		rc = COX_EIO;
	return rc == COX_OK ? COX_OK : cox_err_set(err, rc, "--config-dir", "cannot write %s", path);
}

/* --- life --------------------------------------------------------------------------------- */

static enum cox_rc open_status(struct agent *a, const struct cox_agent_proxy *p, struct cox_err *err)
{
	struct cox_addr at = { .port = p->bootstrap.status_port };
	int fd;
	cox_str_to_cstr(p->status_host, at.host, sizeof(at.host));
	COX_TRY(cox_addr_listen(&at, 64, &fd, NULL, err));
	return cox_agent_http_server_open_take(a->loop, fd, on_request, a, &a->server);
}

static enum cox_rc open_all(struct agent *a, const struct cox_agent_proxy *p, const char *bootstrap_path, struct cox_err *err)
{
	struct cox_envoy_spec spec = p->envoy;
	spec.bootstrap_path = bootstrap_path;
	spec.admin_port = p->bootstrap.admin_port;
	spec.prometheus_port = p->bootstrap.prometheus_port;
	spec.health_port = p->bootstrap.health_port;
	spec.on_end = on_end;
	spec.ctx = a;
	COX_TRY(cox_signal_open(a->loop, SIGTERM, on_signal, a, &a->signals[0]));
	COX_TRY(cox_signal_open(a->loop, SIGINT, on_signal, a, &a->signals[1]));
	COX_TRY(cox_envoy_open(a->loop, &spec, &a->envoy, err));
	return open_status(a, p, err);
}

static bool no_ask_is_open(void *arg) { return ((struct agent *)arg)->asks == 0; }

enum cox_rc cox_agent_proxy_run(const struct cox_agent_proxy *p, int *code, struct cox_err *err)
{
	char path[4096];
	COX_TRY(write_bootstrap(p, path, err));
	struct agent a = { .loop = cox_loop_new("agent"), .admin_port = p->bootstrap.admin_port };
	enum cox_rc rc = open_all(&a, p, path, err);
	if (rc == COX_OK) {
		cox_loop_run(a.loop);
		*code = a.code;
	}
	cox_agent_http_server_close(&a.server);
	cox_envoy_close(&a.envoy);
	/* With Envoy gone, open questions end at once. */
	cox_loop_run_until(a.loop, no_ask_is_open, &a, STATS_TIMEOUT_MS);
	cox_signal_close(&a.signals[0]);
	cox_signal_close(&a.signals[1]);
	cox_loop_free(&a.loop);
	return rc;
}
