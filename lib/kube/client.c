#include "kube/client.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "codec/json.h"
#include "kube/auth.h"
#include "loop/timer.h"
#include "net/http_client.h"

enum {
	REQUEST_MS = 30 * 1000,
	STREAM_IDLE_MS = 60 * 1000, /* a list that stalls so long has lost its connection */
	BODY_BYTES_MAX = 16 * 1024 * 1024,
	ERROR_BODY_BYTES_MAX = 64 * 1024, /* of a refused stream: a Status with its message */
	RETRY_AFTER_MS_MAX = 30 * 1000,
	BUSY_RETRIES_MAX = 5, /* answers 429 before the caller hears of it */
	PROBE_MS = 2000,
	PROBE_TIMEOUT_MS = 3000,
	UNREACHABLE_MS = 5000,
};

struct cox_kube_client {
	struct cox_loop *loop;
	struct cox_kube_config config;
	struct cox_kube_auth *auth;
	struct cox_http_client *http;
	struct cox_kube_request *requests; /* all of them */
	const char *user_agent;
	double qps, burst, tokens;
	int64_t refilled_ms;
	/* Reachability. */
	struct cox_kube_reach *listeners;
	struct cox_timer *pulse;
	struct cox_kube_request *probe;
	int64_t heard_ms, unreachable_ms;
	bool is_reachable;
};

struct cox_kube_request {
	struct cox_kube_client *c;
	struct cox_kube_request *next, **at;
	struct cox_kube_request_spec spec;
	struct cox_kube_request_cb cb;
	struct cox_buf path, body;
	struct cox_buf refusal; /* the body of a stream that was not 2xx */
	struct cox_http_request *http;
	struct cox_timer *timer;
	struct cox_kube_auth_wait wait;
	int status;
	unsigned busy_count;
	bool was_refused; /* 401 came once */
};

static void request_start(void *ctx);

/* --- ends --------------------------------------------------------------------------------------------- */

static void request_free(struct cox_kube_request *r)
{
	*r->at = r->next;
	if (r->next)
		r->next->at = r->at;
	cox_http_request_cancel(&r->http);
	cox_kube_auth_cancel(r->c->auth, &r->wait);
	cox_timer_free(&r->timer);
	cox_buf_fini(&r->path);
	cox_buf_fini(&r->body);
	cox_buf_fini(&r->refusal);
	cox_free(r);
}

void cox_kube_request_close(struct cox_kube_request **rp)
{
	struct cox_kube_request *r = *rp;
	*rp = NULL;
	if (r)
		request_free(r);
}

static void request_end(struct cox_kube_request *r, enum cox_rc rc, struct cox_str body, const struct cox_err *err)
{
	struct cox_err none = { 0 };
	if (rc != COX_OK)
		cox_metric_add(COX_M_K8S_ERRORS, cox_rc_name(rc), 1);
	r->http = NULL; /* it ended, or was canceled before */
	r->cb.on_done(r->cb.ctx, r, rc, r->status, body, err ? err : &none);
	request_free(r);
}

/* The category of a status, with the message of the Status object where one came. */
static enum cox_rc refuse(struct cox_kube_request *r, int status, struct cox_str body, struct cox_err *err)
{
	enum cox_rc rc = status == 401                    ? COX_EAUTH
	                 : status == 403                  ? COX_EDENIED
	                 : status == 404                  ? COX_ENOTFOUND
	                 : status == 409                  ? COX_EEXIST
	                 : status == 429                  ? COX_ELIMIT
	                 : status >= 500 || status == 410 ? COX_EIO
	                                                  : COX_EINVAL;
	struct cox_arena arena = { 0 };
	struct cox_json *v = NULL;
	struct cox_str message = { 0 };
	if (cox_json_parse(&arena, body, &v, NULL) == COX_OK)
		message = cox_json_str_at(v, "message");
	struct cox_str path = cox_buf_str(&r->path);
	ptrdiff_t query = cox_str_find(path, '?');
	if (query >= 0)
		path = cox_str_sub(path, 0, (size_t)query);
	cox_err_set(err, rc, NULL, "%s %.*s: status %d%s%.*s", r->spec.method, COX_FMT(path), status, message.n ? ": " : "",
	            COX_FMT(message));
	cox_arena_fini(&arena);
	return rc;
}

/* --- HTTP --------------------------------------------------------------------------------------------- */

static void heard(struct cox_kube_client *c)
{
	c->heard_ms = cox_clock_mono_ms();
	if (c->is_reachable)
		return;
	c->is_reachable = true;
	for (struct cox_kube_reach *l = c->listeners, *next; l; l = next) {
		next = l->next;
		l->fn(l->ctx, true);
	}
}

static void on_head(void *ctx, struct cox_http_request *h, int status)
{
	struct cox_kube_request *r = ctx;
	(void)h;
	r->status = status;
	heard(r->c);
	if (r->cb.on_body && r->cb.on_head && status >= 200 && status < 300)
		r->cb.on_head(r->cb.ctx, r);
}

static enum cox_rc on_body(void *ctx, struct cox_http_request *h, struct cox_str bytes)
{
	struct cox_kube_request *r = ctx;
	(void)h;
	r->c->heard_ms = cox_clock_mono_ms();
	if (r->status >= 200 && r->status < 300)
		return r->cb.on_body(r->cb.ctx, r, bytes);
	cox_buf_append_str(&r->refusal, cox_str_sub(bytes, 0, ERROR_BODY_BYTES_MAX - cox_min_size(r->refusal.n, ERROR_BODY_BYTES_MAX)));
	return COX_OK;
}

static void retry(struct cox_kube_request *r, int64_t delay_ms)
{
	r->http = NULL;
	r->status = 0;
	cox_buf_clear(&r->refusal);
	cox_timer_start(r->timer, delay_ms, 0);
}

/* "Retry-After: 3"; a date is taken as one second. */
static int64_t retry_after_ms(struct cox_http_request *h)
{
	int64_t seconds = 1;
	if (cox_str_to_i64(cox_str_trim(cox_http_request_header(h, "Retry-After")), &seconds) != COX_OK || seconds < 0)
		seconds = 1;
	return seconds > RETRY_AFTER_MS_MAX / 1000 ? RETRY_AFTER_MS_MAX : cox_jitter_ms(seconds * 1000, 20);
}

static void on_done(void *ctx, struct cox_http_request *h, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err)
{
	struct cox_kube_request *r = ctx;
	struct cox_kube_client *c = r->c;
	struct cox_err refusal = { 0 };
	r->status = status;
	if (rc != COX_OK) {
		request_end(r, rc, COX_STR(""), err);
	} else if (status == 401 && !r->was_refused) {
		r->was_refused = true;
		cox_kube_auth_refused(c->auth);
		retry(r, 0);
	} else if (status == 429 && r->busy_count < BUSY_RETRIES_MAX) {
		r->busy_count++;
		retry(r, retry_after_ms(h));
	} else if (status >= 200 && status < 300) {
		request_end(r, COX_OK, body, NULL);
	} else {
		struct cox_str text = r->cb.on_body ? cox_buf_str(&r->refusal) : body;
		rc = refuse(r, status, text, &refusal);
		request_end(r, rc, text, &refusal);
	}
}

static void request_send(struct cox_kube_request *r)
{
	struct cox_kube_client *c = r->c;
	struct cox_buf url = { 0 };
	struct cox_http_header headers[4];
	size_t n = 0;
	cox_buf_append_cstr(&url, cox_kube_auth_server(c->auth));
	cox_buf_append_str(&url, cox_buf_str(&r->path));
	headers[n++] = (struct cox_http_header){ COX_STR("Accept"), cox_str_of(r->spec.accept ? r->spec.accept : "application/json") };
	headers[n++] = (struct cox_http_header){ COX_STR("User-Agent"), cox_str_of(c->user_agent) };
	if (r->body.n)
		headers[n++] = (struct cox_http_header){ COX_STR("Content-Type"),
			                                 cox_str_of(r->spec.content_type ? r->spec.content_type : "application/json") };
	bool streams = r->cb.on_body != NULL;
	struct cox_http_spec spec = {
		.method = r->spec.method,
		.url = cox_buf_cstr(&url),
		.headers = headers,
		.header_count = n,
		.body = cox_buf_str(&r->body),
		.tls = cox_kube_auth_tls(c->auth),
		.token = cox_kube_auth_has_token(c->auth) ? cox_kube_auth_token : NULL,
		.token_ctx = c->auth,
		.connect_timeout_ms = 5000,
		.total_timeout_ms = r->spec.timeout_ms ? r->spec.timeout_ms
		                    : streams          ? 0
		                                       : REQUEST_MS,
		.idle_timeout_ms = streams && !r->spec.is_watch ? STREAM_IDLE_MS : 0,
		.max_body_bytes = streams                  ? 0
		                  : r->spec.max_body_bytes ? r->spec.max_body_bytes
		                                           : BODY_BYTES_MAX,
	};
	struct cox_http_cb cb = { .on_head = on_head, .on_body = streams ? on_body : NULL, .on_done = on_done, .ctx = r };
	struct cox_err err = { 0 };
	enum cox_rc rc = cox_http_request_open(c->http, &spec, &cb, &r->http, &err);
	cox_buf_fini(&url);
	if (rc != COX_OK)
		request_end(r, rc, COX_STR(""), &err);
}

static void on_auth(struct cox_kube_auth_wait *w, enum cox_rc rc, const struct cox_err *err)
{
	struct cox_kube_request *r = (struct cox_kube_request *)((char *)w - offsetof(struct cox_kube_request, wait));
	if (rc == COX_OK)
		request_send(r);
	else
		request_end(r, rc, COX_STR(""), err);
}

static void request_start(void *ctx)
{
	struct cox_kube_request *r = ctx;
	struct cox_err err = { 0 };
	r->wait.fn = on_auth;
	enum cox_rc rc = cox_kube_auth_ready(r->c->auth, &r->wait, &err);
	if (rc == COX_OK)
		request_send(r);
	else if (rc != COX_EAGAIN)
		request_end(r, rc, COX_STR(""), &err);
}

/* Milliseconds until the next request may go. The bucket may go below zero: then requests stand in line. */
static int64_t take_token(struct cox_kube_client *c)
{
	int64_t now = cox_clock_mono_ms();
	c->tokens += (double)(now - c->refilled_ms) * c->qps / 1000;
	if (c->tokens > c->burst)
		c->tokens = c->burst;
	c->refilled_ms = now;
	c->tokens -= 1;
	return c->tokens >= 0 ? 0 : (int64_t)(-c->tokens / c->qps * 1000) + 1;
}

void cox_kube_request_open(struct cox_kube_client *c, const struct cox_kube_request_spec *spec, const struct cox_kube_request_cb *cb,
                           struct cox_kube_request **out)
{
	cox_loop_assert_here(c->loop);
	struct cox_kube_request *r = COX_NEW(struct cox_kube_request);
	r->c = c;
	r->spec = *spec;
	if (!r->spec.method)
		r->spec.method = "GET";
	r->cb = *cb;
	cox_buf_append_str(&r->path, spec->path);
	cox_buf_append_str(&r->body, spec->body);
	r->next = c->requests;
	r->at = &c->requests;
	if (r->next)
		r->next->at = &r->next;
	c->requests = r;
	r->timer = cox_timer_new(c->loop, request_start, r);
	cox_timer_start(r->timer, spec->is_watch ? 0 : take_token(c), 0);
	*out = r;
}

enum cox_rc cox_kube_websocket_open(struct cox_kube_client *c, struct cox_str path, const char *protocol, const struct cox_ws_cb *cb,
                                    struct cox_ws **out, struct cox_err *err)
{
	struct cox_kube_auth_wait wait = { 0 };
	struct cox_buf url = { 0 };
	cox_loop_assert_here(c->loop);
	enum cox_rc rc = cox_kube_auth_ready(c->auth, &wait, err);
	if (rc != COX_OK) {
		cox_kube_auth_cancel(c->auth, &wait);
		return rc;
	}
	cox_buf_append_cstr(&url, cox_kube_auth_server(c->auth));
	cox_buf_append_str(&url, path);
	struct cox_ws_spec spec = { .url = cox_buf_cstr(&url),
		                    .protocol = protocol,
		                    .tls = cox_kube_auth_tls(c->auth),
		                    .token = cox_kube_auth_has_token(c->auth) ? cox_kube_auth_token : NULL,
		                    .token_ctx = c->auth };
	rc = cox_ws_open(c->loop, &spec, cb, out, err);
	cox_buf_fini(&url);
	return rc;
}

/* --- reachability -------------------------------------------------------------------------------------- */

/* Connections that hang are dropped by dropping the HTTP client; its requests end here. */
static void abandon(struct cox_kube_client *c)
{
	struct cox_err err = { .rc = COX_ETIMEOUT, .text = "the kube-apiserver does not answer" };
	for (struct cox_kube_request *r = c->requests; r; r = r->next)
		cox_http_request_cancel(&r->http);
	cox_http_client_free(&c->http);
	c->http = cox_http_client_new(c->loop);
	/* Each end may open and close others: start again after each. Those that wait for their time are left alone. */
	for (;;) {
		struct cox_kube_request *r = c->requests;
		while (r && (r->http || cox_timer_is_running(r->timer) || r->wait.is_waiting))
			r = r->next;
		if (!r)
			return;
		r->status = 0;
		request_end(r, COX_ETIMEOUT, COX_STR(""), &err);
	}
}

static void probe_done(void *ctx, struct cox_kube_request *r, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err)
{
	struct cox_kube_client *c = ctx;
	(void)r, (void)rc, (void)status, (void)body, (void)err;
	c->probe = NULL;
}

static void on_pulse(void *ctx)
{
	struct cox_kube_client *c = ctx;
	int64_t silence = cox_clock_mono_ms() - c->heard_ms;
	if (silence > c->unreachable_ms && c->is_reachable) {
		c->is_reachable = false;
		abandon(c);
		for (struct cox_kube_reach *l = c->listeners, *next; l; l = next) {
			next = l->next;
			l->fn(l->ctx, false);
		}
	}
	if (silence >= PROBE_MS - 500 && !c->probe) {
		/* Not rate limited: a queue of requests must not look like a dead server. */
		struct cox_kube_request_spec spec = { .path = COX_STR("/version"), .is_watch = true, .timeout_ms = PROBE_TIMEOUT_MS };
		struct cox_kube_request_cb cb = { .on_done = probe_done, .ctx = c };
		cox_kube_request_open(c, &spec, &cb, &c->probe);
	}
}

void cox_kube_client_reach_add(struct cox_kube_client *c, struct cox_kube_reach *r)
{
	if (!c->pulse) {
		c->pulse = cox_timer_new(c->loop, on_pulse, c);
		cox_timer_start(c->pulse, PROBE_MS / 4, PROBE_MS / 4);
		c->heard_ms = cox_clock_mono_ms();
	}
	r->next = c->listeners;
	c->listeners = r;
}

void cox_kube_client_reach_remove(struct cox_kube_client *c, struct cox_kube_reach *r)
{
	for (struct cox_kube_reach **at = &c->listeners; *at; at = &(*at)->next) {
		if (*at == r) {
			*at = r->next;
			break;
		}
	}
	if (!c->listeners) {
		cox_timer_free(&c->pulse);
		cox_kube_request_close(&c->probe);
	}
}

bool cox_kube_client_is_reachable(const struct cox_kube_client *c) { return c->is_reachable; }

/* --- the client ------------------------------------------------------------------------------------------ */

struct cox_kube_client *cox_kube_client_new_take(struct cox_loop *loop, struct cox_kube_config *config,
                                                 const struct cox_kube_client_spec *spec)
{
	struct cox_kube_client *c = COX_NEW(struct cox_kube_client);
	struct cox_kube_client_spec none = { 0 };
	if (!spec)
		spec = &none;
	c->loop = loop;
	c->config = *config;
	*config = (struct cox_kube_config){ 0 };
	c->auth = cox_kube_auth_new(loop, &c->config);
	c->http = cox_http_client_new(loop);
	c->qps = spec->qps > 0 ? spec->qps : 80;
	c->burst = spec->burst ? spec->burst : 160;
	c->tokens = c->burst;
	c->refilled_ms = c->heard_ms = cox_clock_mono_ms();
	c->user_agent = spec->user_agent ? spec->user_agent : "coxswain";
	c->unreachable_ms = spec->unreachable_ms ? spec->unreachable_ms : UNREACHABLE_MS;
	c->is_reachable = true;
	return c;
}

void cox_kube_client_free(struct cox_kube_client **cp)
{
	struct cox_kube_client *c = *cp;
	*cp = NULL;
	if (!c)
		return;
	while (c->requests)
		request_free(c->requests);
	cox_timer_free(&c->pulse);
	cox_http_client_free(&c->http);
	cox_kube_auth_free(&c->auth);
	cox_kube_config_fini(&c->config);
	cox_free(c);
}

struct cox_loop *cox_kube_client_loop(const struct cox_kube_client *c) { return c->loop; }
