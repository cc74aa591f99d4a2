#include "agent/status.h"

#include "agent/http_client.h"
#include "agent/http_server.h"
#include "agent/probe.h"
#include "agent/readiness.h"
#include "agent/scrape.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/vec.h"
#include "net/addr.h"

#include <stdio.h>
#include <unistd.h>

enum { PROBE_TIMEOUT_MS = 1000, JOBS_MAX = 64, SCRAPES_MAX = 4 };

static const char text_plain[] = "text/plain; charset=utf-8", not_live[] = "Envoy is not live";

/* One request that waits for somebody else's word. */
struct job {
	struct cox_agent_status *status;
	struct cox_agent_exchange *exchange; /* NULL: the scrape has it */
	struct cox_agent_call *call;
	struct cox_agent_probe *probe;
	struct cox_agent_scrape *scrape;
	bool is_live;
};
struct cox_agent_status {
	struct cox_loop *loop;
	struct cox_agent_status_spec spec;
	struct cox_agent_http_server *server;
	struct cox_agent_probers probers;
	struct cox_agent_app_metrics app;
	COX_VEC(struct job *) jobs;
	size_t scrape_n;
	bool was_ready;
	int64_t started_ms, ready_after_ms;
	uint64_t probes, probe_failures, scrapes, envoy_scrape_failures, app_scrape_failures;
	char pod_address[64];
};

static void reply(struct cox_agent_exchange *x, int status, const char *text)
{
	cox_agent_exchange_reply(x, status, text_plain, cox_str_of(text));
}

/* --- jobs ------------------------------------------------------------------------------------ */

static struct job *job_new(struct cox_agent_status *s, struct cox_agent_exchange *x)
{
	if (s->jobs.n == JOBS_MAX) {
		reply(x, 503, "too many requests at once\n");
		return NULL;
	}
	struct job *j = COX_NEW(struct job);
	j->status = s;
	j->exchange = x;
	cox_vec_push(&s->jobs, j);
	return j;
}

static void job_end(struct job *j)
{
	struct cox_agent_status *s = j->status;
	for (size_t i = 0; i < s->jobs.n; i++)
		if (s->jobs.p[i] == j) {
			cox_vec_remove(&s->jobs, i);
			break;
		}
	cox_agent_call_close(&j->call);
	cox_agent_probe_close(&j->probe);
	cox_agent_scrape_close(&j->scrape);
	cox_free(j);
}

static void job_reply(struct job *j, int status, const char *text)
{
	reply(j->exchange, status, text);
	job_end(j);
}

/* --- readiness ------------------------------------------------------------------------------- */

static void finish_readiness(struct job *j, const char *missing)
{
	struct cox_agent_status *s = j->status;
	if (missing == NULL && !s->was_ready) {
		s->was_ready = true;
		s->ready_after_ms = cox_loop_now_ms(s->loop) - s->started_ms;
		cox_log(COX_LOG_INFO, "agent", "envoy is ready after_ms=%lld", (long long)s->ready_after_ms);
	}
	job_reply(j, missing ? 503 : 200, missing ? missing : "ready\n");
}

static void on_first_config(void *ctx, enum cox_rc rc, int status, struct cox_str body)
{
	struct job *j = ctx;
	struct cox_agent_readiness r = cox_agent_readiness_read(body);
	const char *missing = rc != COX_OK || status != 200 ? "Envoy does not answer" : cox_agent_readiness_missing(&r);
	finish_readiness(j, missing ? missing : j->is_live ? NULL : not_live);
}

/* Envoy's own word first. Once it was ready, nothing else counts: an empty answer of a restarted control plane must not
 * take pods out of service. */
static void on_live(void *ctx, enum cox_rc rc, int status, struct cox_str body)
{
	struct job *j = ctx;
	(void)body;
	j->is_live = rc == COX_OK && status == 200;
	if (rc != COX_OK || j->status->was_ready) {
		finish_readiness(j, rc != COX_OK ? "Envoy does not answer" : j->is_live ? NULL : not_live);
		return;
	}
	cox_agent_call_close(&j->call);
	cox_agent_call_open(j->status->loop, j->status->spec.admin_port, "GET", cox_agent_readiness_target, PROBE_TIMEOUT_MS,
	                    on_first_config, j, &j->call);
}

static void take_ready(struct cox_agent_status *s, const struct cox_agent_http_request *r, struct cox_agent_exchange *x)
{
	(void)r;
	if (!s->spec.envoy) {
		const char *missing = s->spec.missing(s->spec.ctx);
		reply(x, missing ? 503 : 200, missing ? missing : "ready\n");
		return;
	}
	if (cox_envoy_state(s->spec.envoy) != COX_ENVOY_RUNNING) {
		reply(x, 503, "draining\n");
		return;
	}
	struct job *j = job_new(s, x);
	if (j)
		cox_agent_call_open(s->loop, s->spec.admin_port, "GET", "/ready", PROBE_TIMEOUT_MS, on_live, j, &j->call);
}

/* --- the application's probes ---------------------------------------------------------------- */

static void on_probed(void *ctx, int status, const char *text)
{
	struct job *j = ctx;
	j->status->probe_failures += status < 200 || status >= 400;
	char line[200];
	snprintf(line, sizeof(line), "%s%s", text, text[0] ? "\n" : "");
	job_reply(j, status, line);
}

static void take_probe(struct cox_agent_status *s, const struct cox_agent_http_request *r, struct cox_agent_exchange *x)
{
	const struct cox_agent_prober *prober = cox_agent_probers_find(&s->probers, r->path);
	if (!prober) {
		reply(x, 404, "ISTIO_KUBE_APP_PROBERS has no such probe\n");
		return;
	}
	struct job *j = job_new(s, x);
	if (!j)
		return;
	s->probes++;
	cox_agent_probe_open(
	    s->loop,
	    &(struct cox_agent_probe_spec){ .prober = prober, .address = s->pod_address, .head = r->head, .on_done = on_probed, .ctx = j },
	    &j->probe);
}

/* --- metrics --------------------------------------------------------------------------------- */

static void put_metric(struct cox_buf *out, const char *type, const char *name, const char *help, double value)
{
	cox_buf_printf(out, "# HELP istio_agent_%s %s\n# TYPE istio_agent_%s %s\nistio_agent_%s %.15g\n", name, help, name, type, name,
	               value);
}

static double resident_bytes(void)
{
	long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");
	if (f && fscanf(f, "%*d %ld", &pages) != 1)
		pages = 0;
	if (f)
		fclose(f);
	return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static void build_own_metrics(const struct cox_agent_status *s, struct cox_buf *out)
{
	cox_buf_printf(
	    out, "# HELP istio_build Version of the agent.\n# TYPE istio_build gauge\nistio_build{component=\"agent\",tag=\"%s\"} 1\n",
	    s->spec.version);
	put_metric(out, "gauge", "process_resident_memory_bytes", "Resident memory of the agent.", resident_bytes());
	put_metric(out, "gauge", "uptime_seconds", "Seconds since the agent started.",
	           (double)(cox_loop_now_ms(s->loop) - s->started_ms) / 1000);
	if (s->was_ready)
		put_metric(out, "gauge", "startup_duration_seconds", "Seconds until Envoy was ready first.",
		           (double)s->ready_after_ms / 1000);
	if (s->spec.envoy)
		put_metric(out, "counter", "envoy_restarts_total", "How often Envoy was started again after a crash.",
		           cox_envoy_restarts(s->spec.envoy));
	put_metric(out, "counter", "app_probes_total", "Probes of the application.", (double)s->probes);
	put_metric(out, "counter", "app_probe_failures_total", "Probes that the application did not pass.", (double)s->probe_failures);
	put_metric(out, "counter", "scrapes_total", "Requests for the merged metrics.", (double)s->scrapes);
	cox_buf_printf(
	    out,
	    "# HELP istio_agent_scrape_failures_total Metrics that could not be read.\n# TYPE istio_agent_scrape_failures_total counter\n"
	    "istio_agent_scrape_failures_total{type=\"envoy\"} %llu\nistio_agent_scrape_failures_total{type=\"application\"} %llu\n",
	    (unsigned long long)s->envoy_scrape_failures, (unsigned long long)s->app_scrape_failures);
	if (!s->spec.dns)
		return;
	struct cox_agent_dns_stats d = cox_agent_dns_stats(s->spec.dns);
	put_metric(out, "counter", "dns_requests_total", "Questions to the DNS proxy.", (double)d.requests);
	put_metric(out, "counter", "dns_table_answers_total", "Questions answered from the name table.", (double)d.table_answers);
	put_metric(out, "counter", "dns_upstream_requests_total", "Questions handed to the pod's name servers.",
	           (double)d.upstream_requests);
	put_metric(out, "counter", "dns_upstream_failures_total", "Questions that no name server answered.", (double)d.upstream_failures);
	put_metric(out, "counter", "dns_refused_total", "Questions refused since too many were open.", (double)d.refused);
	put_metric(out, "counter", "dns_malformed_total", "Messages that were no question.", (double)d.malformed);
	put_metric(out, "gauge", "dns_hosts", "Hosts in the name table.", (double)d.hosts);
}

static void take_metrics(struct cox_agent_status *s, const struct cox_agent_http_request *r, struct cox_agent_exchange *x)
{
	COX_AUTO(cox_buf_fini) struct cox_buf out = { 0 };
	(void)r;
	build_own_metrics(s, &out);
	cox_agent_exchange_reply(x, 200, "text/plain; version=0.0.4; charset=utf-8", cox_buf_str(&out));
}

static void on_scraped(void *ctx, struct cox_agent_scrape *scrape, bool envoy_failed, bool app_failed)
{
	struct job *j = ctx;
	(void)scrape;
	j->status->envoy_scrape_failures += envoy_failed;
	j->status->app_scrape_failures += app_failed;
	j->status->scrape_n--;
	job_end(j);
}

static void take_scrape(struct cox_agent_status *s, const struct cox_agent_http_request *r, struct cox_agent_exchange *x)
{
	COX_AUTO(cox_buf_fini) struct cox_buf own = { 0 };
	if (s->scrape_n == SCRAPES_MAX) {
		reply(x, 503, "too many scrapes at once\n");
		return;
	}
	struct job *j = job_new(s, x);
	if (!j)
		return;
	j->exchange = NULL;
	s->scrape_n++;
	s->scrapes++;
	build_own_metrics(s, &own);
	cox_agent_scrape_open(s->loop,
	                      &(struct cox_agent_scrape_spec){ .exchange = x,
	                                                       .head = r->head,
	                                                       .app = &s->app,
	                                                       .admin_port = s->spec.admin_port,
	                                                       .own = cox_buf_str(&own),
	                                                       .on_done = on_scraped,
	                                                       .ctx = j },
	                      &j->scrape);
}

/* --- the rest -------------------------------------------------------------------------------- */

static void take_names(struct cox_agent_status *s, const struct cox_agent_http_request *r, struct cox_agent_exchange *x)
{
	COX_AUTO(cox_buf_fini) struct cox_buf out = { 0 };
	(void)r;
	cox_agent_dns_dump(s->spec.dns, &out);
	cox_buf_append_char(&out, '\n');
	cox_agent_exchange_reply(x, 200, "application/json", cox_buf_str(&out));
}

static void take_drain(struct cox_agent_status *s, const struct cox_agent_http_request *r, struct cox_agent_exchange *x)
{
	(void)r;
	reply(x, 200, "ok\n");
	if (s->spec.envoy)
		cox_envoy_drain(s->spec.envoy);
}

static void take_quit(struct cox_agent_status *s, const struct cox_agent_http_request *r, struct cox_agent_exchange *x)
{
	(void)r;
	reply(x, 200, "ok\n");
	cox_log(COX_LOG_INFO, "agent", "asked to quit");
	if (s->spec.envoy)
		cox_envoy_stop(s->spec.envoy, false);
	else
		s->spec.quit(s->spec.ctx);
}

static const struct page {
	const char *path;
	void (*take)(struct cox_agent_status *s, const struct cox_agent_http_request *r, struct cox_agent_exchange *x);
	bool is_prefix, is_order; /* an order: POST, from loopback */
} pages[] = {
	{ "/healthz/ready", take_ready, false, false }, { "/app-health/", take_probe, true, false },
	{ "/app-lifecycle/", take_probe, true, false }, { "/stats/prometheus", take_scrape, false, false },
	{ "/metrics", take_metrics, false, false },     { "/debug/ndsz", take_names, false, false },
	{ "/drain", take_drain, false, true },          { "/quitquitquit", take_quit, false, true },
};

static void on_request(void *ctx, const struct cox_agent_http_request *r, struct cox_agent_exchange *x)
{
	for (size_t i = 0; i < COX_LEN(pages); i++) {
		struct cox_str path = cox_str_of(pages[i].path);
		if (pages[i].is_prefix ? !cox_str_has_prefix(r->path, path) : !cox_str_eq(r->path, path))
			continue;
		if (!cox_str_eq(r->method, pages[i].is_order ? COX_STR("POST") : COX_STR("GET")))
			reply(x, 405, pages[i].is_order ? "use POST\n" : "use GET\n");
		else if (pages[i].is_order && !cox_agent_exchange_is_local(x))
			reply(x, 403, "only from this host\n");
		else
			pages[i].take(ctx, r, x);
		return;
	}
	reply(x, 404, "not found\n");
}

/* --- life ------------------------------------------------------------------------------------ */

enum cox_rc cox_agent_status_open(struct cox_loop *loop, const struct cox_agent_status_spec *spec, struct cox_agent_status **out,
                                  struct cox_err *err)
{
	struct cox_agent_status *s = COX_NEW(struct cox_agent_status);
	struct cox_addr at = { .port = spec->port };
	int fd;
	s->loop = loop;
	s->spec = *spec;
	s->started_ms = cox_loop_now_ms(loop);
	cox_str_to_cstr(spec->pod_address.n ? spec->pod_address : COX_STR("127.0.0.1"), s->pod_address, sizeof(s->pod_address));
	cox_str_to_cstr(spec->host, at.host, sizeof(at.host));
	enum cox_rc rc = cox_agent_probers_read(spec->probers, &s->probers, err);
	if (rc == COX_OK)
		rc = cox_agent_app_metrics_read(spec->annotations, &s->app, err);
	if (rc == COX_OK)
		rc = cox_addr_listen(&at, 64, &fd, NULL, err);
	if (rc == COX_OK)
		rc = cox_agent_http_server_open_take(loop, fd, on_request, s, &s->server);
	if (rc != COX_OK)
		cox_agent_status_close(&s);
	else
		*out = s;
	return rc;
}

void cox_agent_status_close(struct cox_agent_status **sp)
{
	struct cox_agent_status *s = COX_MOVE(*sp);
	if (s == NULL)
		return;
	cox_agent_http_server_close(&s->server);
	while (s->jobs.n) {
		struct job *j = s->jobs.p[s->jobs.n - 1];
		if (j->exchange)
			job_reply(j, 503, "ending\n"); /* dropped: the server is gone, but the exchange must end */
		else
			job_end(j);
	}
	cox_vec_fini(&s->jobs);
	cox_agent_probers_fini(&s->probers);
	cox_free(s);
}
