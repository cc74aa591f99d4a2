#include "admin/admin_priv.h"

#include "base/clock.h"
#include "base/metric.h"

static void on_metrics(void *ctx, struct cox_httpd_request *r)
{
	struct cox_admin *a = ctx;
	struct cox_buf out = { 0 };
	admin_set_gauges(a);
	cox_metric_render(&out);
	cox_httpd_reply_buf_take(r, 200, "text/plain; version=0.0.4; charset=utf-8", &out);
}

static void on_ready(void *ctx, struct cox_httpd_request *r)
{
	struct cox_admin *a = ctx;
	if (cox_push_is_synced(a->opts.push))
		cox_httpd_reply(r, 200, NULL, COX_STR("ready\n"));
	else
		cox_httpd_reply(r, 503, NULL, COX_STR("not ready: sources are not complete yet\n"));
}

static void on_version(void *ctx, struct cox_httpd_request *r)
{
	struct cox_admin *a = ctx;
	struct cox_arena arena = { 0 };
	struct cox_json *o = cox_json_new_object(&arena);
	cox_json_set(&arena, o, COX_STR("version"), cox_json_new_str(&arena, cox_str_of(a->version)));
	cox_json_set(&arena, o, COX_STR("component"), cox_json_new_str(&arena, COX_STR("coxswaind")));
	admin_reply_json(r, 200, o);
	cox_arena_fini(&arena);
}

void admin_reply_json(struct cox_httpd_request *r, int status, const struct cox_json *v)
{
	struct cox_buf out = { 0 };
	cox_json_write(&out, v, 2, false);
	cox_buf_append_char(&out, '\n');
	cox_httpd_reply_buf_take(r, status, "application/json", &out);
}

static enum cox_rc open_daemons(struct cox_admin *a, uint16_t *ports, struct cox_err *err)
{
	struct cox_httpd_route routes[] = {
		{ "GET", "/ready", on_ready, a },         { "GET", "/version", on_version, a },
		{ "GET", "/metrics", on_metrics, a },     { "GET", "/stats/prometheus", on_metrics, a },
		{ "GET", "/debug/*", admin_on_debug, a }, { "GET", "/debug", admin_on_debug, a },
	};
	_Static_assert(COX_LEN(routes) == COX_LEN(a->routes), "every route has its place");
	memcpy(a->routes, routes, sizeof(routes));
	for (size_t i = 0; i < a->opts.addr_count; i++) {
		struct cox_httpd_spec spec = { .addr = a->opts.addrs[i], .routes = a->routes, .route_count = COX_LEN(a->routes) };
		COX_TRY(cox_httpd_open(&spec, &a->daemons[i], ports ? &ports[i] : NULL, err));
		a->daemon_count++;
	}
	return COX_OK;
}

enum cox_rc cox_admin_open(const struct cox_admin_options *opts, struct cox_admin **out, uint16_t *ports, struct cox_err *err)
{
	COX_ASSERT(opts->addr_count <= DAEMONS_MAX);
	struct cox_admin *a = COX_NEW(struct cox_admin);
	a->opts = *opts;
	a->version = cox_str_dup_cstr(opts->version);
	a->started_ms = cox_clock_mono_ms();
	enum cox_rc rc = open_daemons(a, ports, err);
	a->opts.addrs = NULL;
	if (rc != COX_OK)
		cox_admin_close(&a);
	else
		*out = a;
	return rc;
}

void cox_admin_close(struct cox_admin **admin)
{
	struct cox_admin *a = *admin;
	*admin = NULL;
	if (!a)
		return;
	for (size_t i = 0; i < a->daemon_count; i++)
		cox_httpd_close(&a->daemons[i]);
	cox_free(a->version);
	cox_free(a);
}
