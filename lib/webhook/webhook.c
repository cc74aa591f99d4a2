#include "webhook/webhook_priv.h"

#include "base/clock.h"
#include "base/metric.h"

#include <pthread.h>
#include <string.h>

enum {
	REVIEW_BYTES_MAX = 8 * 1024 * 1024, /* the kube-apiserver takes objects of 1.5 MiB, and sends old and new */
	/* Each review under way is a connection, all from the few addresses of the kube-apiservers: a rolling restart makes hundreds. */
	CONNECTIONS_MAX = 768,
	CONNECTIONS_PER_IP = 512
};

struct cox_webhook {
	struct cox_httpd *httpd;
	struct cox_httpd_route routes[5];
	pthread_mutex_t lock; /* for what is below */
	const struct cox_inject_config *config;
	const struct cox_snapshot *snapshot;
	bool native;
	struct cox_webhook_events *events;
};

/* Adds a reference; NULL: none yet. */
static const struct cox_inject_config *take_config(struct cox_webhook *w, bool *native)
{
	pthread_mutex_lock(&w->lock);
	const struct cox_inject_config *c = w->config ? cox_inject_config_ref(w->config) : NULL;
	*native = w->native;
	pthread_mutex_unlock(&w->lock);
	return c;
}

/* The same of the newest generation. */
static const struct cox_snapshot *take_snapshot(struct cox_webhook *w)
{
	pthread_mutex_lock(&w->lock);
	const struct cox_snapshot *s = w->snapshot ? cox_snapshot_ref(w->snapshot) : NULL;
	pthread_mutex_unlock(&w->lock);
	return s;
}

static void refuse(struct cox_httpd_request *q, bool is_validation, int status, struct cox_str text)
{
	if (is_validation)
		cox_metric_add(COX_M_VALIDATION_HTTP_ERROR, status == 415 ? "415" : "400", 1);
	cox_httpd_reply(q, status, NULL, text);
}

/* Answers 4xx where there is no review to answer with. */
static bool read_review(struct cox_httpd_request *q, bool is_validation, struct cox_arena *arena, struct webhook_review *r)
{
	struct cox_err err = { 0 };
	char text[600];
	if (cox_str_search(cox_httpd_header(q, "content-type"), COX_STR("application/json")) < 0) {
		refuse(q, is_validation, 415, COX_STR("an AdmissionReview as application/json is wanted\n"));
		return false;
	}
	if (cox_httpd_body(q).n == 0) {
		refuse(q, is_validation, 400, COX_STR("no body: an AdmissionReview is wanted\n"));
		return false;
	}
	if (webhook_review_parse(arena, cox_httpd_body(q), r, &err) == COX_OK)
		return true;
	struct cox_str line = cox_arena_printf(arena, "%s\n", cox_err_describe(&err, text, sizeof(text)));
	refuse(q, is_validation, 400, line);
	return false;
}

static void reply(struct cox_httpd_request *q, const struct webhook_review *r, const struct webhook_answer *a)
{
	struct cox_buf out = { 0 };
	webhook_answer_write(&out, r, a);
	cox_httpd_reply_buf_take(q, 200, "application/json", &out);
}

/* The pod's controller, else the pod: who asks why there is no sidecar looks there. */
static void tell(struct cox_webhook *w, const struct webhook_review *r, const char *why)
{
	struct cox_webhook_event e = { .ns = r->ns,
		                       .api_version = COX_STR("v1"),
		                       .kind = COX_STR("Pod"),
		                       .name = r->name,
		                       .reason = COX_STR("SidecarNotInjected"),
		                       .message = cox_str_of(why) };
	const struct cox_json *owners = cox_json_at(r->object, "metadata.ownerReferences");
	for (size_t i = 0; owners && owners->type == COX_JSON_ARRAY && i < owners->n; i++) {
		const struct cox_json *controller = cox_json_get(&owners->items[i], COX_STR("controller"));
		if (!controller || controller->type != COX_JSON_BOOL || !controller->boolean)
			continue;
		e.api_version = cox_json_str_at(&owners->items[i], "apiVersion");
		e.kind = cox_json_str_at(&owners->items[i], "kind");
		e.name = cox_json_str_at(&owners->items[i], "name");
		e.uid = cox_json_str_at(&owners->items[i], "uid");
	}
	if (e.name.n && e.ns.n)
		cox_webhook_events_tell(w->events, &e);
}

static void on_inject(void *ctx, struct cox_httpd_request *q)
{
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	struct webhook_review review;
	struct webhook_answer answer;
	bool native;
	int64_t began = cox_clock_mono_ns();
	const struct cox_inject_config *c = take_config(ctx, &native);
	if (!c) {
		cox_httpd_reply(q, 503, NULL, COX_STR("the injector's configuration is not known yet\n"));
		return;
	}
	if (read_review(q, false, &arena, &review)) {
		struct cox_str path = cox_httpd_path(q);
		webhook_inject(c, native, &review, cox_str_sub(path, strlen("/inject"), path.n), &arena, &answer);
		reply(q, &review, &answer);
		if (answer.left_out && ((struct cox_webhook *)ctx)->events && !review.dry_run)
			tell(ctx, &review, answer.left_out);
		cox_metric_observe(COX_M_INJECTION_TIME, NULL, (double)(cox_clock_mono_ns() - began) / 1e9);
	}
	cox_inject_config_unref(c);
}

static void on_validate(void *ctx, struct cox_httpd_request *q)
{
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	struct webhook_review review;
	struct webhook_answer answer;
	if (!read_review(q, true, &arena, &review))
		return;
	const struct cox_snapshot *s = take_snapshot(ctx);
	webhook_validate(s, &review, &arena, &answer);
	cox_snapshot_unref(s);
	reply(q, &review, &answer);
}

static void on_ready(void *ctx, struct cox_httpd_request *q)
{
	bool native;
	const struct cox_inject_config *c = take_config(ctx, &native);
	cox_httpd_reply(q, c ? 200 : 503, NULL, c ? COX_STR("ok\n") : COX_STR("the injector's configuration is not known yet\n"));
	cox_inject_config_unref(c);
}

enum cox_rc cox_webhook_open(const struct cox_webhook_spec *spec, struct cox_webhook **out, uint16_t *port, struct cox_err *err)
{
	struct cox_webhook *w = COX_NEW(struct cox_webhook);
	pthread_mutex_init(&w->lock, NULL);
	w->events = spec->events;
	const struct cox_httpd_route routes[] = { { "POST", "/validate", on_validate, w },
		                                  { "POST", "/validate/*", on_validate, w },
		                                  { "GET", "/ready", on_ready, w },
		                                  { "POST", "/inject", on_inject, w },
		                                  { "POST", "/inject/*", on_inject, w } };
	memcpy(w->routes, routes, sizeof(routes));
	struct cox_httpd_spec http = { .addr = spec->addr,
		                       .routes = w->routes,
		                       .route_count = COX_LEN(routes) - (spec->no_injection ? 2 : 0),
		                       .cert_pem = spec->chain_pem,
		                       .key_pem = spec->key_pem,
		                       .threads = spec->threads ? spec->threads : 2,
		                       .max_body_bytes = REVIEW_BYTES_MAX,
		                       .connections = CONNECTIONS_MAX,
		                       .connections_per_ip = CONNECTIONS_PER_IP,
		                       .timeout_s = 10 };
	enum cox_rc rc = cox_httpd_open(&http, &w->httpd, port, err);
	if (rc != COX_OK) {
		cox_webhook_close(&w);
		return rc;
	}
	*out = w;
	return COX_OK;
}

void cox_webhook_close(struct cox_webhook **wp)
{
	struct cox_webhook *w = COX_MOVE(*wp);
	if (!w)
		return;
	cox_httpd_close(&w->httpd);
	cox_inject_config_unref(w->config);
	cox_snapshot_unref(w->snapshot);
	pthread_mutex_destroy(&w->lock);
	cox_free(w);
}

void cox_webhook_set_config(struct cox_webhook *w, const struct cox_inject_config *c)
{
	const struct cox_inject_config *shared = cox_inject_config_ref(c);
	pthread_mutex_lock(&w->lock);
	const struct cox_inject_config *old = w->config;
	w->config = shared;
	pthread_mutex_unlock(&w->lock);
	cox_inject_config_unref(old);
}

void cox_webhook_set_snapshot(struct cox_webhook *w, const struct cox_snapshot *s)
{
	const struct cox_snapshot *shared = s ? cox_snapshot_ref(s) : NULL;
	pthread_mutex_lock(&w->lock);
	const struct cox_snapshot *old = w->snapshot;
	w->snapshot = shared;
	pthread_mutex_unlock(&w->lock);
	cox_snapshot_unref(old);
}

void cox_webhook_set_native_sidecars(struct cox_webhook *w, bool native)
{
	pthread_mutex_lock(&w->lock);
	w->native = native;
	pthread_mutex_unlock(&w->lock);
}

enum cox_rc cox_webhook_set_cert(struct cox_webhook *w, struct cox_str chain_pem, struct cox_str key_pem, struct cox_err *err)
{
	return cox_httpd_set_cert(w->httpd, chain_pem, key_pem, err);
}
