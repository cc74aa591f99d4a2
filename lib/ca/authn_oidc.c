/* authn_oidc - tokens of an OpenID Connect issuer (JWT_RULE): the rule, and its keys kept current. */
#include "ca/authn_priv.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "ca/authn_jwt.h"
#include "codec/json.h"

#include <stdio.h>

enum {
	REFRESH_MS = 20 * 60 * 1000, /* as Istio does; issuers publish keys hours before they use them */
	REFETCH_MIN_MS = 10 * 1000,  /* between fetches that unknown key names cause: callers choose those names */
	RETRY_MIN_MS = 1000,
	RETRY_MAX_MS = 60 * 1000,
	FETCH_TIMEOUT_MS = 10 * 1000,
};

struct authn_oidc {
	struct cox_authn *a;
	struct cox_arena arena;
	struct cox_str issuer;
	const struct cox_str *audiences;
	size_t audience_n;
	char *jwks_uri; /* heap; NULL: inline keys, or not discovered yet */
	bool is_inline, is_discovering;
	struct cox_jwks *keys; /* NULL: none yet */
	struct cox_http_client *http;
	struct cox_http_request *request;
	struct cox_timer *timer;      /* next refresh or retry */
	int64_t fetched_ms, retry_ms; /* 0: never; 0: the last fetch went well */
	struct authn_queue waiting;
};

/* --- the rule ----------------------------------------------------------------------------------------------- */

static struct cox_str member(const struct cox_json *rule, struct cox_str camel, struct cox_str snake)
{
	const struct cox_json *v = cox_json_get(rule, camel);
	v = v ? v : cox_json_get(rule, snake);
	return v && v->type == COX_JSON_STRING ? v->text : COX_STR("");
}

static bool is_http(struct cox_str url)
{
	return cox_str_has_prefix(url, COX_STR("https://")) || cox_str_has_prefix(url, COX_STR("http://"));
}

static enum cox_rc read_audiences(struct authn_oidc *o, const struct cox_json *list, struct cox_err *err)
{
	o->audiences = o->a->audiences;
	o->audience_n = o->a->audience_n;
	if (!list)
		return COX_OK;
	if (list->type != COX_JSON_ARRAY || list->n == 0)
		return cox_err_set(err, COX_EINVAL, "audiences", "must be a list of texts");
	struct cox_str *out = COX_ARENA_ARRAY(&o->arena, struct cox_str, list->n);
	for (size_t i = 0; i < list->n; i++) {
		if (list->items[i].type != COX_JSON_STRING)
			return cox_err_set(err, COX_EINVAL, "audiences", "must be a list of texts");
		out[i] = cox_arena_str(&o->arena, list->items[i].text);
	}
	o->audiences = out;
	o->audience_n = list->n;
	return COX_OK;
}

static enum cox_rc read_rule(struct authn_oidc *o, struct cox_str text, struct cox_err *err)
{
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	struct cox_json *rule;
	COX_TRY(cox_json_parse(&arena, text, &rule, err));
	if (rule->type != COX_JSON_OBJECT)
		return cox_err_set(err, COX_EINVAL, NULL, "must be a JSON object");
	struct cox_str issuer = member(rule, COX_STR("issuer"), COX_STR("issuer")), keys = member(rule, COX_STR("jwks"), COX_STR("jwks"));
	struct cox_str uri = member(rule, COX_STR("jwksUri"), COX_STR("jwks_uri"));
	if (issuer.n == 0)
		return cox_err_set(err, COX_EINVAL, "issuer", "is required");
	o->issuer = cox_arena_str(&o->arena, issuer);
	COX_TRY(read_audiences(o, cox_json_get(rule, COX_STR("audiences")), err));
	if (keys.n && uri.n)
		return cox_err_set(err, COX_EINVAL, "jwks", "jwks and jwksUri exclude each other");
	if (keys.n) {
		o->is_inline = true;
		return cox_jwks_parse(keys, &o->keys, err);
	}
	if (uri.n && !is_http(uri))
		return cox_err_set(err, COX_EINVAL, "jwksUri", "\"%.*s\" is no http or https URL", COX_FMT(cox_str_sub(uri, 0, 100)));
	if (!uri.n && !is_http(issuer))
		return cox_err_set(err, COX_EINVAL, "jwksUri", "is required where the issuer is no URL");
	o->jwks_uri = uri.n ? cox_str_dup_cstr(uri) : NULL;
	return COX_OK;
}

/* --- fetching ----------------------------------------------------------------------------------------------- */

static void wake_all(struct authn_oidc *o)
{
	struct authn_queue waiting = o->waiting;
	if (waiting.first == NULL)
		return;
	o->waiting = (struct authn_queue){ .last = &o->waiting.first };
	for (struct cox_authn_ticket *t = waiting.first, *next; t; t = next) {
		next = t->next;
		authn_again(t);
	}
}

static void fetch(struct authn_oidc *o);

static void on_timer(void *arg) { fetch(arg); }

static void fetch_failed(struct authn_oidc *o, const char *why)
{
	cox_metric_add(COX_M_JWKS_FAILED, NULL, 1);
	o->retry_ms = o->retry_ms == 0 ? RETRY_MIN_MS : o->retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : o->retry_ms * 2;
	cox_log(COX_LOG_WARN, "ca", "keys of the token issuer cannot be fetched issuer=%.*s error=\"%s\"%s", COX_FMT(o->issuer), why,
	        o->keys ? ": the known ones stay in force" : "");
	cox_timer_start(o->timer, cox_jitter_ms(o->retry_ms, 20), 0);
	wake_all(o);
}

static void take_keys(struct authn_oidc *o, struct cox_str body)
{
	struct cox_jwks *keys;
	struct cox_err err = { 0 };
	char text[640];
	if (cox_jwks_parse(body, &keys, &err) != COX_OK) {
		fetch_failed(o, cox_err_describe(&err, text, sizeof(text)));
		return;
	}
	cox_jwks_free(&o->keys);
	o->keys = keys;
	o->retry_ms = 0;
	cox_metric_add(COX_M_JWKS_OK, NULL, 1);
	cox_log(COX_LOG_DEBUG, "ca", "keys of the token issuer fetched issuer=%.*s keys=%zu", COX_FMT(o->issuer), cox_jwks_count(keys));
	cox_timer_start(o->timer, cox_jitter_ms(REFRESH_MS, 10), 0);
	wake_all(o);
}

/* OpenID Connect Discovery 1.0, section 4: the document must name the issuer it was asked for. */
static void take_discovery(struct authn_oidc *o, struct cox_str body)
{
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	struct cox_json *root;
	if (cox_json_parse(&arena, body, &root, NULL) != COX_OK || !cox_str_eq(cox_json_str_at(root, "issuer"), o->issuer) ||
	    !is_http(cox_json_str_at(root, "jwks_uri"))) {
		fetch_failed(o, "openid-configuration does not name this issuer and its jwks_uri");
		return;
	}
	o->jwks_uri = cox_str_dup_cstr(cox_json_str_at(root, "jwks_uri"));
	fetch(o);
}

static void on_fetched(void *ctx, struct cox_http_request *r, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err)
{
	struct authn_oidc *o = ctx;
	char text[32];
	(void)r;
	o->request = NULL;
	if (rc != COX_OK) {
		fetch_failed(o, err->text);
	} else if (status != 200) {
		snprintf(text, sizeof(text), "status %d", status);
		fetch_failed(o, text);
	} else if (o->is_discovering) {
		take_discovery(o, body);
	} else {
		take_keys(o, body);
	}
}

static void fetch(struct authn_oidc *o)
{
	COX_AUTO(cox_buf_fini) struct cox_buf url = { 0 };
	struct cox_err err = { 0 };
	if (o->request)
		return;
	o->is_discovering = o->jwks_uri == NULL;
	if (o->is_discovering) {
		bool has_slash = cox_str_has_suffix(o->issuer, COX_STR("/"));
		cox_buf_printf(&url, "%.*s%s.well-known/openid-configuration", COX_FMT(o->issuer), has_slash ? "" : "/");
	} else {
		cox_buf_append_cstr(&url, o->jwks_uri);
	}
	o->fetched_ms = cox_clock_mono_ms();
	const struct cox_http_spec spec = { .url = cox_buf_cstr(&url),
		                            .total_timeout_ms = FETCH_TIMEOUT_MS,
		                            .max_body_bytes = COX_JWKS_BYTES_MAX };
	if (cox_http_request_open(o->http, &spec, &(struct cox_http_cb){ .on_done = on_fetched, .ctx = o }, &o->request, &err) != COX_OK)
		fetch_failed(o, err.text);
}

/* --- the authenticator ---------------------------------------------------------------------------------------- */

static enum authn_says wait_for_keys(struct authn_oidc *o, struct cox_authn_ticket *t)
{
	if (o->waiting.n >= AUTHN_WAITING_MAX) {
		t->is_unavailable = true;
		return authn_refuse(t, "JWT", "too many wait for the keys of the issuer");
	}
	authn_queue_add(&o->waiting, t);
	fetch(o);
	return AUTHN_WAIT;
}

static enum authn_says take_subject(struct authn_oidc *o, struct cox_authn_ticket *t, const struct cox_jwt *jwt)
{
	struct cox_str ns, name;
	struct cox_err err = { 0 };
	if (!cox_service_account_split(jwt->subject, &ns, &name))
		return authn_refuse(t, "JWT", "subject \"%.*s\" is not system:serviceaccount:<namespace>:<name>",
		                    COX_FMT(cox_str_sub(jwt->subject, 0, 100)));
	struct cox_identity who = { .how = COX_AUTHN_JWT };
	if (authn_identity_set_account(o->a, &who, ns, name, &t->arena, &err) != COX_OK)
		return authn_refuse(t, "JWT", "%s", err.text);
	t->who = authn_identity_make(&who);
	return AUTHN_YES;
}

enum authn_says authn_try_jwt(struct cox_authn_ticket *t)
{
	struct authn_oidc *o = t->a->oidc;
	struct cox_jwt jwt;
	struct cox_err err = { 0 };
	if (cox_jwt_parse(t->token, &t->arena, &jwt, &err) != COX_OK ||
	    cox_jwt_check(&jwt, o->issuer, o->audiences, o->audience_n, cox_clock_wall_ms() / 1000, &err) != COX_OK)
		return authn_refuse(t, "JWT", "%s", err.text);
	bool may_fetch = !o->is_inline && !t->has_refetched;
	if (!o->keys) {
		t->has_refetched = true;
		if (may_fetch && (o->request || cox_clock_mono_ms() - o->fetched_ms >= RETRY_MIN_MS))
			return wait_for_keys(o, t);
		t->is_unavailable = true;
		return authn_refuse(t, "JWT", "the keys of issuer \"%.*s\" are not known yet", COX_FMT(cox_str_sub(o->issuer, 0, 100)));
	}
	enum cox_rc rc = cox_jwks_verify(o->keys, &jwt, &err);
	if (rc == COX_OK)
		return take_subject(o, t, &jwt);
	if (rc == COX_ENOTFOUND && may_fetch && (o->request || cox_clock_mono_ms() - o->fetched_ms >= REFETCH_MIN_MS)) {
		t->has_refetched = true;
		return wait_for_keys(o, t);
	}
	return authn_refuse(t, "JWT", "%s", err.text);
}

enum cox_rc authn_oidc_open(struct cox_authn *a, struct cox_str rule, struct authn_oidc **out, struct cox_err *err)
{
	struct authn_oidc *o = COX_NEW(struct authn_oidc);
	o->a = a;
	o->waiting.last = &o->waiting.first;
	enum cox_rc rc = read_rule(o, rule, err);
	if (rc != COX_OK) {
		authn_oidc_close(&o);
		return rc;
	}
	*out = o;
	if (o->is_inline)
		return COX_OK;
	o->http = cox_http_client_new(a->spec.loop);
	o->timer = cox_timer_new(a->spec.loop, on_timer, o);
	fetch(o);
	return COX_OK;
}

void authn_oidc_close(struct authn_oidc **op)
{
	struct authn_oidc *o = *op;
	*op = NULL;
	if (!o)
		return;
	cox_http_request_cancel(&o->request);
	cox_timer_free(&o->timer);
	cox_http_client_free(&o->http);
	for (struct cox_authn_ticket *t; (t = authn_queue_take(&o->waiting));)
		authn_go_on(t, AUTHN_NO, NULL);
	cox_jwks_free(&o->keys);
	cox_free(o->jwks_uri);
	cox_arena_fini(&o->arena);
	cox_free(o);
}
