#include "ca/federation.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/vec.h"
#include "ca/spiffe_bundle.h"
#include "kube/file.h"
#include "loop/timer.h"
#include "net/http_client.h"

#include <stdio.h>

enum {
	REFRESH_MIN_S = 10, /* whoever asks for more of us does not get it */
	REFRESH_MAX_S = 3600,
	RETRY_MIN_MS = 1000,
	RETRY_MAX_MS = 60 * 1000,
	FETCH_TIMEOUT_MS = 10 * 1000,
	SETTLE_MS = 5000,
	ENDPOINTS_MAX = 256, /* as MeshConfig's list */
};

struct endpoint {
	struct cox_federation *f;
	char *url;
	struct cox_http_request *request;
	struct cox_timer *timer;
	struct cox_arena arena; /* of `known` */
	struct cox_spiffe_bundle known;
	struct cox_hash hash; /* of its roots */
	int64_t opened_ms, fetched_ms, retry_ms;
	char error[200]; /* of the last fetch; empty: it went well */
	bool is_kept;
};
struct cox_federation {
	struct cox_federation_spec spec;
	char *ca_file;
	struct cox_http_client *http;
	struct cox_timer *settle; /* tells when the time of new endpoints is over */
	COX_VEC(struct endpoint *) endpoints;
};

static struct endpoint *endpoint_find(const struct cox_federation *f, struct cox_str url)
{
	for (size_t i = 0; i < f->endpoints.n; i++)
		if (cox_str_eq_cstr(url, f->endpoints.p[i]->url))
			return f->endpoints.p[i];
	return NULL;
}

static void endpoint_free(struct endpoint *e)
{
	cox_http_request_cancel(&e->request);
	cox_timer_free(&e->timer);
	cox_arena_fini(&e->arena);
	cox_free(e->url);
	cox_free(e);
}

/* --- fetching ------------------------------------------------------------------------------------ */

static void failed(struct endpoint *e, const char *why)
{
	bool is_told = cox_str_eq_cstr(cox_str_of(e->error), why);
	e->retry_ms = e->retry_ms == 0 ? RETRY_MIN_MS : e->retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : e->retry_ms * 2;
	cox_str_to_cstr(cox_str_sub(cox_str_of(why), 0, sizeof(e->error) - 1), e->error, sizeof(e->error));
	if (!is_told)
		cox_log(COX_LOG_WARN, "ca", "the bundle of another trust domain cannot be fetched url=%s error=\"%s\"%s", e->url, e->error,
		        e->fetched_ms ? ": the known one stays in force" : "");
	cox_timer_start(e->timer, cox_jitter_ms(e->retry_ms, 20), 0);
}

static struct cox_hash hash_of(const struct cox_spiffe_bundle *b)
{
	struct cox_hash h = { b->root_n, 0 };
	for (size_t i = 0; i < b->root_n; i++)
		h = cox_hash_combine(h, cox_hash128(b->roots_pem[i].p, b->roots_pem[i].n));
	return h;
}

static void take(struct endpoint *e, struct cox_str body)
{
	struct cox_arena arena = { 0 };
	struct cox_spiffe_bundle b;
	struct cox_err err = { 0 };
	char text[640];
	if (cox_spiffe_bundle_read(body, &arena, &b, &err) != COX_OK) {
		failed(e, cox_err_describe(&err, text, sizeof(text)));
		cox_arena_fini(&arena);
		return;
	}
	struct cox_hash hash = hash_of(&b);
	bool is_first = e->fetched_ms == 0, is_other = is_first || !cox_hash_eq(hash, e->hash);
	cox_arena_fini(&e->arena);
	e->arena = arena;
	e->known = b;
	e->hash = hash;
	e->fetched_ms = cox_clock_mono_ms();
	e->retry_ms = 0;
	e->error[0] = '\0';
	int64_t s = b.refresh_s ? b.refresh_s : COX_SPIFFE_REFRESH_S;
	s = s < REFRESH_MIN_S ? REFRESH_MIN_S : s > REFRESH_MAX_S ? REFRESH_MAX_S : s;
	cox_timer_start(e->timer, cox_jitter_ms(e->f->spec.refresh_ms ? e->f->spec.refresh_ms : s * 1000, 10), 0);
	if (!is_other)
		return;
	cox_log(COX_LOG_INFO, "ca", "bundle of another trust domain url=%s roots=%zu sequence=%llu", e->url, b.root_n,
	        (unsigned long long)b.sequence);
	e->f->spec.on_change(e->f->spec.ctx);
}

static void on_fetched(void *ctx, struct cox_http_request *r, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err)
{
	struct endpoint *e = ctx;
	char text[32];
	(void)r;
	e->request = NULL;
	if (rc != COX_OK) {
		failed(e, err->text);
	} else if (status != 200) {
		snprintf(text, sizeof(text), "status %d", status);
		failed(e, text);
	} else {
		take(e, body);
	}
}

static void fetch(void *arg)
{
	struct endpoint *e = arg;
	struct cox_err err = { 0 };
	COX_AUTO(cox_buf_fini) struct cox_buf ca = { 0 };
	/* Read each time: libcurl keeps what it read of a file for a day. */
	if (e->f->ca_file && cox_kube_file_read(e->f->ca_file, &ca, &err) != COX_OK) {
		failed(e, err.text);
		return;
	}
	const struct cox_http_tls tls = { .ca_pem = cox_buf_str(&ca) };
	const struct cox_http_spec spec = { .url = e->url,
		                            .tls = ca.n ? &tls : NULL,
		                            .total_timeout_ms = FETCH_TIMEOUT_MS,
		                            .max_body_bytes = COX_SPIFFE_BUNDLE_BYTES_MAX };
	if (!e->request &&
	    cox_http_request_open(e->f->http, &spec, &(struct cox_http_cb){ .on_done = on_fetched, .ctx = e }, &e->request, &err) != COX_OK)
		failed(e, err.text);
}

/* --- which ones ---------------------------------------------------------------------------------- */

static void endpoint_add(struct cox_federation *f, struct cox_str url)
{
	struct endpoint *e = COX_NEW(struct endpoint);
	e->f = f;
	e->url = cox_str_dup_cstr(url);
	e->is_kept = true;
	e->opened_ms = cox_clock_mono_ms();
	e->timer = cox_timer_new(f->spec.loop, fetch, e);
	cox_timer_start(e->timer, 0, 0);
	cox_vec_push(&f->endpoints, e);
	cox_timer_start(f->settle, SETTLE_MS + 1, 0);
}

static void drop_others(struct cox_federation *f)
{
	size_t n = 0;
	for (size_t i = 0; i < f->endpoints.n; i++)
		if (f->endpoints.p[i]->is_kept)
			f->endpoints.p[n++] = f->endpoints.p[i];
		else
			endpoint_free(f->endpoints.p[i]);
	f->endpoints.n = n;
}

enum cox_rc cox_federation_set(struct cox_federation *f, const struct cox_str *urls, size_t n, struct cox_err *err)
{
	enum cox_rc rc = COX_OK;
	for (size_t i = 0; i < f->endpoints.n; i++)
		f->endpoints.p[i]->is_kept = false;
	for (size_t i = 0; i < n; i++) {
		struct endpoint *e = endpoint_find(f, urls[i]);
		if (e)
			e->is_kept = true;
		else if (!cox_str_has_prefix(urls[i], COX_STR("https://")))
			rc = cox_err_set(err, COX_EINVAL, NULL, "\"%.*s\" is no https URL", COX_FMT(cox_str_sub(urls[i], 0, 200)));
		else if (f->endpoints.n >= ENDPOINTS_MAX)
			rc = cox_err_set(err, COX_ELIMIT, NULL, "more than %d endpoints of bundles", ENDPOINTS_MAX);
		else
			endpoint_add(f, urls[i]);
	}
	drop_others(f);
	return rc;
}

static void on_settled(void *ctx)
{
	struct cox_federation *f = ctx;
	f->spec.on_change(f->spec.ctx);
}

struct cox_federation *cox_federation_new(const struct cox_federation_spec *spec)
{
	struct cox_federation *f = COX_NEW(struct cox_federation);
	f->spec = *spec;
	f->ca_file = spec->ca_file ? cox_str_dup_cstr(cox_str_of(spec->ca_file)) : NULL;
	f->http = cox_http_client_new(spec->loop);
	f->settle = cox_timer_new(spec->loop, on_settled, f);
	return f;
}

void cox_federation_free(struct cox_federation **fp)
{
	struct cox_federation *f = COX_MOVE(*fp);
	if (!f)
		return;
	for (size_t i = 0; i < f->endpoints.n; i++)
		endpoint_free(f->endpoints.p[i]);
	cox_vec_fini(&f->endpoints);
	cox_timer_free(&f->settle);
	cox_http_client_free(&f->http);
	cox_free(f->ca_file);
	cox_free(f);
}

/* --- what is known --------------------------------------------------------------------------------- */

size_t cox_federation_roots(const struct cox_federation *f, struct cox_str url, const struct cox_str **roots_pem)
{
	const struct endpoint *e = endpoint_find(f, url);
	*roots_pem = e ? e->known.roots_pem : NULL;
	return e ? e->known.root_n : 0;
}

bool cox_federation_is_settled(const struct cox_federation *f)
{
	int64_t now = cox_clock_mono_ms();
	for (size_t i = 0; i < f->endpoints.n; i++)
		if (!f->endpoints.p[i]->fetched_ms && now - f->endpoints.p[i]->opened_ms < SETTLE_MS)
			return false;
	return true;
}
