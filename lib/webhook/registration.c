#include "webhook/registration.h"

#include "base/log.h"
#include "base/metric.h"
#include "codec/b64.h"
#include "codec/json.h"
#include "kube/watch.h"
#include "loop/timer.h"

#include <string.h>

enum { RETRY_MS = 2000, SELF_TEST_MS = 1000 };
enum side { MUTATING, VALIDATING, SIDES };

static const struct {
	const char *plural, *kind;
} sides[SIDES] = { { "mutatingwebhookconfigurations", "MutatingWebhookConfiguration" },
	           { "validatingwebhookconfigurations", "ValidatingWebhookConfiguration" } };

struct half {
	struct cox_registration *r;
	enum side side;
	struct cox_kube_watch *watch;
};
/* A webhook configuration as it was last seen. */
struct config {
	struct half *half;
	struct cox_buf text, name;
	struct cox_kube_request *request;
	bool is_dirty; /* changed, or to be compared anew */
};
struct cox_registration {
	struct cox_kube_client *kube;
	struct half halves[SIDES];
	struct cox_buf ns, bundle; /* bundle: base64 */
	struct cox_timer *timer;
	struct cox_kube_request *test;
	bool is_ready, has_refused; /* the webhook answers; it was seen to refuse */
};

static void turn(void *ctx);

static void turn_soon(struct cox_registration *r, int64_t ms)
{
	if (!cox_timer_is_running(r->timer))
		cox_timer_start(r->timer, ms, 0);
}

/* --- what is to be changed ------------------------------------------------------------------------------------ */

static void op(struct cox_buf *out, const char *op, size_t at, const char *path, struct cox_str value)
{
	cox_buf_printf(out, ",{\"op\":\"%s\",\"path\":\"/webhooks/%zu/%s\",\"value\":", op, at, path);
	cox_json_write_str(out, value);
	cox_buf_append_char(out, '}');
}

/* Appends the patch. False: all is as it should be. */
static bool patch_of(const struct config *c, struct cox_buf *out)
{
	struct cox_registration *r = c->half->r;
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	struct cox_json *doc = NULL;
	bool differs = false;
	if (cox_json_parse(&arena, cox_buf_str(&c->text), &doc, NULL) != COX_OK)
		return false;
	const struct cox_json *webhooks = cox_json_get(doc, COX_STR("webhooks"));
	cox_buf_append_cstr(out, "[{\"op\":\"test\",\"path\":\"/metadata/resourceVersion\",\"value\":");
	cox_json_write_str(out, cox_json_str_at(doc, "metadata.resourceVersion"));
	cox_buf_append_char(out, '}');
	for (size_t i = 0; webhooks && webhooks->type == COX_JSON_ARRAY && i < webhooks->n; i++) {
		const struct cox_json *w = &webhooks->items[i];
		if (!cox_json_get(w, COX_STR("clientConfig")))
			continue;
		if (!cox_str_eq(cox_json_str_at(w, "clientConfig.caBundle"), cox_buf_str(&r->bundle))) {
			op(out, "add", i, "clientConfig/caBundle", cox_buf_str(&r->bundle));
			differs = true;
		}
		if (c->half->side == VALIDATING && r->has_refused && cox_str_eq_cstr(cox_json_str_at(w, "failurePolicy"), "Ignore")) {
			op(out, "add", i, "failurePolicy", COX_STR("Fail"));
			differs = true;
		}
	}
	cox_buf_append_char(out, ']');
	return differs;
}

/* --- doing it ---------------------------------------------------------------------------------------------------- */

/* Another was faster: its change comes by the watch. */
static bool is_raced(int status) { return status == 409 || status == 422 || status == 404; }

static void count_patch(struct config *c, enum cox_rc rc, int status)
{
	const char *name = cox_buf_cstr(&c->name);
	bool is_validation = strcmp(sides[c->half->side].kind, "ValidatingWebhookConfiguration") == 0,
	     failed = rc != COX_OK && !is_raced(status);
	struct cox_str labels[] = { cox_str_of(name), cox_str_of(cox_rc_name(rc)) };
	cox_metric_add(COX_M_WEBHOOK_PATCHES, name, 1);
	cox_metric_add(COX_M_WEBHOOK_RETRIES, name, rc != COX_OK); /* it is tried again */
	if (failed)
		cox_metric_add_labels(COX_M_WEBHOOK_PATCH_FAILURES, labels, COX_LEN(labels), 1);
	if (is_validation && rc == COX_OK)
		cox_metric_add(COX_M_VALIDATION_UPDATES, NULL, 1);
	if (is_validation && failed)
		cox_metric_add(COX_M_VALIDATION_UPDATE_ERROR, cox_rc_name(rc), 1);
}

static void on_patched(void *ctx, struct cox_kube_request *q, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err)
{
	struct config *c = ctx;
	(void)q;
	(void)body;
	c->request = NULL;
	count_patch(c, rc, status);
	if (rc == COX_OK) {
		cox_log(COX_LOG_INFO, "webhook", "%s %s: certificate authority or failure policy brought up to date",
		        sides[c->half->side].kind, cox_buf_cstr(&c->name));
		return;
	}
	if (!is_raced(status))
		cox_log(COX_LOG_WARN, "webhook", "%s %s cannot be changed: %s", sides[c->half->side].kind, cox_buf_cstr(&c->name),
		        err->text);
	c->is_dirty = true;
	turn_soon(c->half->r, RETRY_MS);
}

static void mend(void *ctx, struct cox_kube_entry *e)
{
	struct config *c = e->value;
	struct cox_buf body = { 0 }, path = { 0 };
	(void)ctx;
	if (!c || !c->is_dirty || c->request)
		return;
	c->is_dirty = false;
	if (patch_of(c, &body)) {
		cox_kube_path(&path, COX_STR("admissionregistration.k8s.io"), COX_STR("v1"), cox_str_of(sides[c->half->side].plural),
		              COX_STR(""), cox_buf_str(&c->name), COX_STR(""));
		cox_kube_request_open(c->half->r->kube,
		                      &(struct cox_kube_request_spec){ .method = "PATCH",
		                                                       .path = cox_buf_str(&path),
		                                                       .body = cox_buf_str(&body),
		                                                       .content_type = "application/json-patch+json" },
		                      &(struct cox_kube_request_cb){ .on_done = on_patched, .ctx = c }, &c->request);
	}
	cox_buf_fini(&body);
	cox_buf_fini(&path);
}

static void mark_dirty(void *ctx, struct cox_kube_entry *e)
{
	(void)ctx;
	if (e->value)
		((struct config *)e->value)->is_dirty = true;
}

static void each(struct cox_registration *r, void (*fn)(void *ctx, struct cox_kube_entry *e))
{
	for (int s = 0; s < SIDES; s++)
		if (r->halves[s].watch)
			cox_kube_watch_each(r->halves[s].watch, fn, r);
}

/* --- the self test ------------------------------------------------------------------------------------------------ */

static void on_tested(void *ctx, struct cox_kube_request *q, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err)
{
	struct cox_registration *r = ctx;
	(void)q;
	(void)body;
	r->test = NULL;
	/* Refused by us, not by the server itself for another reason: our text is in the answer. */
	if (rc != COX_OK && status >= 400 && strstr(err->text, "internal.istio.io/webhook-always-reject")) {
		r->has_refused = true;
		cox_log(COX_LOG_INFO, "webhook",
		        "validation was seen to refuse a wrong object: from now on nothing passes it by (failurePolicy Fail)");
		each(r, mark_dirty);
		turn_soon(r, 0);
		return;
	}
	turn_soon(r, SELF_TEST_MS);
}

/* A Gateway that must be refused, as a dry run. */
static void test(struct cox_registration *r)
{
	static const char body[] =
	    "{\"apiVersion\":\"networking.istio.io/v1\",\"kind\":\"Gateway\",\"metadata\":{\"name\":\"coxswain-webhook-self-test\",\"annotations\":"
	    "{\"internal.istio.io/webhook-always-reject\":\"true\"}},\"spec\":{\"servers\":[]}}";
	struct cox_buf path = { 0 };
	cox_kube_path(&path, COX_STR("networking.istio.io"), COX_STR("v1"), COX_STR("gateways"), cox_buf_str(&r->ns), COX_STR(""),
	              COX_STR(""));
	cox_kube_path_query(&path, "dryRun", COX_STR("All"));
	cox_kube_request_open(r->kube,
	                      &(struct cox_kube_request_spec){ .method = "POST", .path = cox_buf_str(&path), .body = cox_str_of(body) },
	                      &(struct cox_kube_request_cb){ .on_done = on_tested, .ctx = r }, &r->test);
	cox_buf_fini(&path);
}

static void count(void *ctx, struct cox_kube_entry *e)
{
	(void)e;
	++*(size_t *)ctx;
}

static void turn(void *ctx)
{
	struct cox_registration *r = ctx;
	size_t validating = 0;
	if (r->bundle.n == 0)
		return;
	each(r, mend);
	if (r->halves[VALIDATING].watch)
		cox_kube_watch_each(r->halves[VALIDATING].watch, count, &validating);
	if (r->is_ready && !r->has_refused && !r->test && validating > 0)
		test(r);
}

/* --- what the cluster has ------------------------------------------------------------------------------------------ */

static void on_put(void *ctx, const struct cox_kube_item *item, struct cox_kube_entry *e)
{
	struct half *h = ctx;
	struct config *c = e->value;
	if (item->is_skipped)
		return;
	if (!c) {
		e->value = c = COX_NEW(struct config);
		c->half = h;
		cox_buf_append_str(&c->name, item->name);
	}
	cox_buf_clear(&c->text);
	cox_buf_append_str(&c->text, item->text);
	c->is_dirty = true;
	turn_soon(h->r, 0);
}

static void on_remove(void *ctx, struct cox_kube_entry *e)
{
	struct config *c = e->value;
	(void)ctx;
	e->value = NULL;
	if (!c)
		return;
	cox_kube_request_close(&c->request);
	cox_buf_fini(&c->text);
	cox_buf_fini(&c->name);
	cox_free(c);
}

static void on_synced(void *ctx, enum cox_rc rc)
{
	struct half *h = ctx;
	if (rc == COX_EDENIED)
		cox_log(COX_LOG_WARN, "webhook", "%ss may not be listed: their caBundle has to be kept by hand", sides[h->side].kind);
}

static void on_trouble(void *ctx, enum cox_rc rc, const struct cox_err *err)
{
	struct half *h = ctx;
	if (rc != COX_OK)
		cox_log(COX_LOG_WARN, "webhook", "%ss: %s", sides[h->side].kind, err->text);
}

struct cox_registration *cox_registration_open(const struct cox_registration_spec *spec)
{
	struct cox_registration *r = COX_NEW(struct cox_registration);
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	struct cox_str revision = spec->revision.n ? spec->revision : COX_STR("default");
	r->kube = spec->kube;
	cox_buf_append_str(&r->ns, spec->ns);
	r->timer = cox_timer_new(cox_kube_client_loop(spec->kube), turn, r);
	for (int s = 0; s < SIDES; s++) {
		r->halves[s] = (struct half){ .r = r, .side = (enum side)s };
		if (s == MUTATING ? spec->no_injection : spec->no_validation)
			continue;
		cox_kube_watch_open(
		    spec->kube,
		    &(struct cox_kube_watch_spec){ .group = COX_STR("admissionregistration.k8s.io"),
		                                   .plural = cox_str_of(sides[s].plural),
		                                   .kind = cox_str_of(sides[s].kind),
		                                   .versions = COX_STR("v1"),
		                                   .label_selector = cox_arena_printf(&arena, "istio.io/rev=%.*s", COX_FMT(revision)) },
		    &(struct cox_kube_watch_cb){
		        .put = on_put, .remove = on_remove, .synced = on_synced, .trouble = on_trouble, .ctx = &r->halves[s] },
		    &r->halves[s].watch);
	}
	return r;
}

void cox_registration_close(struct cox_registration **rp)
{
	struct cox_registration *r = COX_MOVE(*rp);
	if (!r)
		return;
	cox_kube_request_close(&r->test);
	for (int s = 0; s < SIDES; s++)
		cox_kube_watch_close(&r->halves[s].watch);
	cox_timer_free(&r->timer);
	cox_buf_fini(&r->ns);
	cox_buf_fini(&r->bundle);
	cox_free(r);
}

void cox_registration_set_bundle(struct cox_registration *r, struct cox_str pem)
{
	struct cox_buf now = { 0 };
	cox_b64_encode(&now, pem);
	if (!cox_str_eq(cox_buf_str(&now), cox_buf_str(&r->bundle))) {
		cox_buf_clear(&r->bundle);
		cox_buf_append_str(&r->bundle, cox_buf_str(&now));
		each(r, mark_dirty);
		turn_soon(r, 0);
	}
	cox_buf_fini(&now);
}

void cox_registration_set_ready(struct cox_registration *r)
{
	r->is_ready = true;
	turn_soon(r, 0);
}
