#include "admin/admin_priv.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"

/* One may wait for the kube-apiserver to say who asks. */
enum { THREADS = 2 };

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
	if (cox_xds_server_is_draining(a->opts.xds))
		cox_httpd_reply(r, 503, NULL, COX_STR("not ready: ending\n"));
	else if (cox_push_is_synced(a->opts.push))
		cox_httpd_reply(r, 200, NULL, COX_STR("ready\n"));
	else
		cox_httpd_reply(r, 503, NULL, COX_STR("not ready: sources are not complete yet\n"));
}

/* "<version>-<revision>-<status>", which istioctl and Kiali take apart; JSON for who asks for it. A JSON object without the members that
 * istioctl expects makes it fall over, so its own are there, too. */
static void on_version(void *ctx, struct cox_httpd_request *r)
{
	struct cox_admin *a = ctx;
	struct cox_str v = cox_str_of(a->version), dirty = COX_STR("-dirty");
	bool is_clean = !cox_str_has_suffix(v, dirty);
	struct cox_str version = is_clean ? v : cox_str_sub(v, 0, v.n - dirty.n), revision = version, rest = version, part;
	while (rest.n && cox_str_next(&rest, '-', &part))
		revision = part; /* git describe: the commit stands last */
	const char *status = is_clean ? "Clean" : "Modified";
	struct cox_arena arena = { 0 };
	if (cox_str_search(cox_httpd_header(r, "accept"), COX_STR("application/json")) < 0) {
		cox_httpd_reply(r, 200, NULL, cox_arena_printf(&arena, "%.*s-%.*s-%s", COX_FMT(version), COX_FMT(revision), status));
	} else {
		struct cox_json *o = cox_json_new_object(&arena), *build = cox_json_new_object(&arena);
		answer_set_str(&arena, build, "version", version);
		answer_set_str(&arena, build, "revision", revision);
		answer_set_str(&arena, build, "status", cox_str_of(status));
		cox_json_set(&arena, o, COX_STR("clientVersion"), build);
		answer_set_str(&arena, o, "version", v);
		answer_set_str(&arena, o, "component", COX_STR("coxswaind"));
		admin_reply_json(r, 200, o);
	}
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
	size_t debug_routes = a->opts.debug.is_off_on_http ? 2 : 0; /* the last ones */
	for (size_t i = 0; i < a->opts.addr_count; i++) {
		struct cox_httpd_spec spec = {
			.addr = a->opts.addrs[i], .routes = a->routes, .route_count = COX_LEN(a->routes) - debug_routes, .threads = THREADS
		};
		COX_TRY(cox_httpd_open(&spec, &a->daemons[i], ports ? &ports[i] : NULL, err));
		a->daemon_count++;
	}
	return COX_OK;
}

/* Nobody lives on it: where its port is taken, the rest goes on. */
static void open_ctrlz(struct cox_admin *a, uint16_t *port)
{
	struct cox_err err = { 0 };
	uint16_t got = 0;
	if (admin_ctrlz_open(a, &got, &err) != COX_OK)
		cox_log(COX_LOG_WARN, "admin", "no ControlZ: %s", err.text);
	if (port)
		*port = got;
}

enum cox_rc cox_admin_open(const struct cox_admin_options *opts, struct cox_admin **out, uint16_t *ports, struct cox_err *err)
{
	COX_ASSERT(opts->addr_count <= DAEMONS_MAX);
	struct cox_admin *a = COX_NEW(struct cox_admin);
	a->opts = *opts;
	a->version = cox_str_dup_cstr(opts->version);
	a->allowed_namespaces = cox_str_dup_cstr(opts->debug.allowed_namespaces);
	a->started_ms = cox_clock_mono_ms();
	pthread_mutex_init(&a->gauges_lock, NULL);
	a->pending_at = UINT64_MAX;
	enum cox_rc rc = open_daemons(a, ports, err);
	if (rc == COX_OK && opts->ctrlz)
		open_ctrlz(a, ports ? &ports[opts->addr_count] : NULL);
	a->opts.addrs = a->opts.ctrlz = NULL;
	if (rc != COX_OK) {
		cox_admin_close(&a);
		return rc;
	}
	admin_questions_open(a);
	*out = a;
	return COX_OK;
}

void cox_admin_close(struct cox_admin **admin)
{
	struct cox_admin *a = *admin;
	*admin = NULL;
	if (!a)
		return;
	admin_questions_close(a);
	cox_httpd_close(&a->ctrlz);
	for (size_t i = 0; i < a->daemon_count; i++)
		cox_httpd_close(&a->daemons[i]);
	cox_free(a->allowed_namespaces);
	cox_free(a->version);
	cox_free(a);
}
