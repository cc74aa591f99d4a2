#include "net/http_client.h"

#include "base/vec.h"
#include "loop/loop_uv.h"
#include "loop/timer.h"
#include "net/http_client_priv.h"

#include <pthread.h>
#include <stdio.h>

enum {
	CONNECT_TIMEOUT_MS = 10000,
	BODY_MAX = 64 << 20, /* collected: a list page of a kube-apiserver is far below */
	REDIRECTS_MAX = 5,
	IDLE_CONNECTIONS = 16,
	TCP_IDLE_S = 30, /* a watch is silent for minutes: the kernel asks whether the peer is there */
	TCP_INTERVAL_S = 10,
};

struct sock {
	uv_poll_t poll; /* first: cast from the handle */
	struct cox_http_client *client;
	curl_socket_t fd;
};

struct cox_http_client {
	struct cox_loop *loop;
	CURLM *multi; /* NULL until the first request */
	uv_timer_t timer;
	struct cox_loop_task task; /* what must not be done inside libcurl's callbacks; posted while is_posted */
	struct cox_http_request *requests;
	int open_handles;
	bool is_posted, is_closing;
};

struct header {
	char *line; /* "name\0value" in one block */
	const char *value;
};

struct cox_http_request {
	struct cox_http_client *client;
	struct cox_http_request *prev, *next;
	struct cox_http_cb cb;
	CURL *easy;
	struct curl_slist *headers, *connect_to;
	COX_VEC(struct header) answer; /* the current response's headers */
	struct cox_buf body;
	size_t seen_bytes, max_body_bytes;
	struct cox_timer *idle; /* libcurl's own low-speed limit is an average over five seconds */
	int64_t idle_ms;
	curl_off_t sent_bytes;
	int status;
	enum cox_rc body_rc;
	bool is_added, is_canceled, is_paused, wants_resume, has_head, follows;
	char error[CURL_ERROR_SIZE];
};

static void global_init(void) { COX_ASSERT(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK); }

void cox_http_easy_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, global_init);
}

static void post(struct cox_http_client *c)
{
	if (c->is_posted)
		return;
	c->is_posted = true;
	cox_loop_post(c->loop, &c->task);
}

/* --- requests end -------------------------------------------------------------------------- */

static void answer_clear(struct cox_http_request *r)
{
	for (size_t i = 0; i < r->answer.n; i++)
		cox_free(r->answer.p[i].line);
	cox_vec_clear(&r->answer);
}

/* Not inside libcurl's callbacks. */
static void request_free(struct cox_http_request *r)
{
	struct cox_http_client *c = r->client;
	if (r->is_added)
		curl_multi_remove_handle(c->multi, r->easy);
	if (r->prev)
		r->prev->next = r->next;
	else
		c->requests = r->next;
	if (r->next)
		r->next->prev = r->prev;
	cox_timer_free(&r->idle);
	curl_easy_cleanup(r->easy);
	curl_slist_free_all(r->headers);
	curl_slist_free_all(r->connect_to);
	answer_clear(r);
	cox_vec_fini(&r->answer);
	cox_buf_fini(&r->body);
	cox_free(r);
}

static enum cox_rc rc_of_curl(const struct cox_http_request *r, CURLcode code)
{
	switch (code) {
	case CURLE_OK: return COX_OK;
	case CURLE_OPERATION_TIMEDOUT: return COX_ETIMEOUT;
	case CURLE_WRITE_ERROR: return r->body_rc != COX_OK ? r->body_rc : COX_EINTERNAL;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_PINNEDPUBKEYNOTMATCH: return COX_EAUTH;
	case CURLE_URL_MALFORMAT: return COX_EINVAL;
	case CURLE_UNSUPPORTED_PROTOCOL: /* the URL was checked before: an answer without a status line, or a redirect elsewhere */
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_TOO_MANY_REDIRECTS:
	case CURLE_HTTP2: return COX_EPROTO;
	default: return COX_EIO;
	}
}

static void head_done(struct cox_http_request *r)
{
	if (r->has_head)
		return;
	r->has_head = true;
	if (r->cb.on_head && !r->is_canceled)
		r->cb.on_head(r->cb.ctx, r, r->status);
}

static void request_end(struct cox_http_request *r, enum cox_rc rc, const struct cox_err *err)
{
	if (!r->is_canceled && r->cb.on_done)
		r->cb.on_done(r->cb.ctx, r, rc, r->status, rc == COX_OK ? cox_buf_str(&r->body) : (struct cox_str){ 0 }, err);
	request_free(r);
}

static void request_done(struct cox_http_request *r, CURLcode code)
{
	struct cox_err err = { 0 };
	enum cox_rc rc = rc_of_curl(r, code);
	if (rc == COX_OK)
		head_done(r);
	else if (rc == COX_ELIMIT && r->body_rc == COX_ELIMIT)
		cox_err_set(&err, rc, NULL, "the answer is longer than %zu bytes", r->max_body_bytes);
	else
		cox_err_set(&err, rc, NULL, "%s", r->error[0] ? r->error : curl_easy_strerror(code));
	request_end(r, rc, &err);
}

static void heard(struct cox_http_request *r)
{
	if (r->idle)
		cox_timer_start(r->idle, r->idle_ms, 0);
}

static void on_idle(void *ctx)
{
	struct cox_http_request *r = ctx;
	struct cox_err err = { 0 };
	curl_off_t sent = 0;
	curl_easy_getinfo(r->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
	if (r->is_paused || sent != r->sent_bytes) { /* it is us who do not read, or a long body is on its way */
		r->sent_bytes = sent;
		heard(r);
		return;
	}
	cox_err_set(&err, COX_ETIMEOUT, NULL, "nothing was received for %lld ms", (long long)r->idle_ms);
	request_end(r, COX_ETIMEOUT, &err);
}

/* Not inside libcurl's callbacks. on_done may open requests and free the client: both only post. */
static void check_done(struct cox_http_client *c)
{
	int left;
	for (CURLMsg *m; (m = curl_multi_info_read(c->multi, &left));) {
		struct cox_http_request *r;
		CURLcode code = m->data.result; /* `m` is gone after the removal */
		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&r);
		request_done(r, code);
	}
}

/* --- libcurl asks ----------------------------------------------------------------------------- */

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct sock *s = (struct sock *)poll;
	struct cox_http_client *c = s->client;
	int running, flags = status < 0 ? CURL_CSELECT_ERR : 0;
	if (c->is_closing)
		return;
	flags |= (events & UV_READABLE ? CURL_CSELECT_IN : 0) | (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0);
	curl_multi_socket_action(c->multi, s->fd, flags, &running);
	check_done(c);
}

static void on_sock_closed(uv_handle_t *h)
{
	struct sock *s = (struct sock *)h;
	struct cox_http_client *c = s->client;
	cox_free(s);
	if (--c->open_handles == 0)
		cox_free(c);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *sock_user)
{
	struct cox_http_client *c = user;
	struct sock *s = sock_user;
	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (s) {
			curl_multi_assign(c->multi, fd, NULL);
			uv_close((uv_handle_t *)&s->poll, on_sock_closed);
		}
		return 0;
	}
	if (!s) {
		s = COX_NEW(struct sock);
		s->client = c;
		s->fd = fd;
		if (uv_poll_init_socket(cox_loop_uv(c->loop), &s->poll, fd) != 0) {
			cox_free(s);
			return -1;
		}
		c->open_handles++;
		curl_multi_assign(c->multi, fd, s);
	}
	uv_poll_start(&s->poll, (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0), on_poll);
	return 0;
}

static void on_timeout(uv_timer_t *timer)
{
	struct cox_http_client *c = timer->data;
	int running;
	if (c->is_closing)
		return;
	curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	check_done(c);
}

static int on_timer(CURLM *multi, long timeout_ms, void *user)
{
	struct cox_http_client *c = user;
	(void)multi;
	if (timeout_ms < 0)
		uv_timer_stop(&c->timer);
	else
		uv_timer_start(&c->timer, on_timeout, (uint64_t)timeout_ms, 0);
	return 0;
}

static size_t on_write(char *p, size_t size, size_t count, void *user)
{
	struct cox_http_request *r = user;
	size_t n = size * count;
	if (r->is_canceled) {
		r->body_rc = COX_ECANCELED;
		return 0;
	}
	heard(r);
	head_done(r);
	if (r->max_body_bytes > 0 && r->seen_bytes + n > r->max_body_bytes) {
		r->body_rc = COX_ELIMIT;
		return 0;
	}
	if (r->cb.on_body) {
		enum cox_rc rc = r->is_canceled ? COX_ECANCELED : r->cb.on_body(r->cb.ctx, r, cox_str_make(p, n));
		r->is_paused = rc == COX_EAGAIN;
		if (rc == COX_EAGAIN)
			return CURL_WRITEFUNC_PAUSE;
		if (rc != COX_OK) {
			r->body_rc = rc;
			return 0;
		}
	} else {
		cox_buf_append(&r->body, p, n);
	}
	r->seen_bytes += n;
	return n;
}

static void header_add(struct cox_http_request *r, struct cox_str line)
{
	ptrdiff_t colon = cox_str_find(line, ':');
	if (colon <= 0)
		return;
	struct cox_str value = cox_str_trim(cox_str_sub(line, (size_t)colon + 1, line.n));
	char *copy = cox_alloc((size_t)colon + value.n + 2);
	memcpy(copy, line.p, (size_t)colon);
	copy[colon] = 0;
	if (value.n)
		memcpy(copy + colon + 1, value.p, value.n);
	copy[(size_t)colon + 1 + value.n] = 0;
	cox_vec_push(&r->answer, ((struct header){ copy, copy + colon + 1 }));
}

static size_t on_header(char *p, size_t size, size_t count, void *user)
{
	struct cox_http_request *r = user;
	struct cox_str line = cox_str_trim(cox_str_make(p, size * count));
	long status = 0;
	if (r->is_canceled)
		return 0;
	heard(r);
	if (r->has_head) /* trailers */
		return size * count;
	if (cox_str_has_prefix(line, COX_STR("HTTP/"))) {
		answer_clear(r);
		return size * count;
	}
	if (line.n > 0) {
		header_add(r, line);
		return size * count;
	}
	curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
	bool is_redirect = r->follows && status >= 300 && status < 400 && cox_http_request_header(r, "location").n > 0;
	if (status >= 200 && !is_redirect) {
		r->status = (int)status;
		head_done(r);
	}
	return size * count;
}

/* --- requests begin ------------------------------------------------------------------------------ */

static void set_blob(CURL *easy, CURLoption option, struct cox_str pem)
{
	struct curl_blob blob = { (void *)(uintptr_t)pem.p, pem.n, CURL_BLOB_COPY };
	curl_easy_setopt(easy, option, &blob);
}

void cox_http_easy_tls(CURL *e, const struct cox_http_tls *t, struct curl_slist **connect_to)
{
	curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (!t)
		return;
	if (t->ca_pem.n)
		set_blob(e, CURLOPT_CAINFO_BLOB, t->ca_pem);
	else if (t->ca_file)
		curl_easy_setopt(e, CURLOPT_CAINFO, t->ca_file);
	if (t->ca_pem.n || t->ca_file)
		curl_easy_setopt(e, CURLOPT_CAPATH, NULL); /* these roots and no others */
	if (t->cert_pem.n)
		set_blob(e, CURLOPT_SSLCERT_BLOB, t->cert_pem);
	else if (t->cert_file)
		curl_easy_setopt(e, CURLOPT_SSLCERT, t->cert_file);
	if (t->key_pem.n)
		set_blob(e, CURLOPT_SSLKEY_BLOB, t->key_pem);
	else if (t->key_file)
		curl_easy_setopt(e, CURLOPT_SSLKEY, t->key_file);
	if (t->insecure) {
		curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	if (t->connect_to) {
		struct cox_buf line = { 0 };
		cox_buf_printf(&line, "::%s", t->connect_to);
		*connect_to = curl_slist_append(NULL, cox_buf_cstr(&line));
		cox_buf_fini(&line);
		curl_easy_setopt(e, CURLOPT_CONNECT_TO, *connect_to);
	}
}

static bool is_clean(struct cox_str s) { return s.n == 0 || (!memchr(s.p, '\r', s.n) && !memchr(s.p, '\n', s.n) && !memchr(s.p, 0, s.n)); }

static enum cox_rc header_append(struct cox_http_request *r, struct cox_str name, struct cox_str value)
{
	if (name.n == 0 || !is_clean(name) || !is_clean(value) || cox_str_find(name, ':') >= 0)
		return COX_EINVAL;
	COX_AUTO(cox_buf_fini) struct cox_buf line = { 0 };
	/* "name;" is libcurl's way to send a header without a value. */
	cox_buf_append_str(&line, name);
	cox_buf_append_cstr(&line, value.n ? ": " : ";");
	cox_buf_append_str(&line, value);
	r->headers = curl_slist_append(r->headers, cox_buf_cstr(&line));
	return COX_OK;
}

static enum cox_rc set_headers(struct cox_http_request *r, const struct cox_http_spec *spec, struct cox_err *err)
{
	r->headers = curl_slist_append(NULL, "Expect:"); /* no round trip before a body */
	for (size_t i = 0; i < spec->header_count; i++)
		if (header_append(r, spec->headers[i].name, spec->headers[i].value) != COX_OK)
			return cox_err_set(err, COX_EINVAL, NULL, "not a header: \"%.*s\"", COX_FMT(spec->headers[i].name));
	if (spec->token) {
		COX_AUTO(cox_buf_fini) struct cox_buf token = { 0 };
		COX_AUTO(cox_buf_fini) struct cox_buf value = { 0 };
		enum cox_rc rc = spec->token(spec->token_ctx, &token);
		if (rc != COX_OK)
			return cox_err_set(err, rc, NULL, "no token");
		cox_buf_append_cstr(&value, "Bearer ");
		cox_buf_append_str(&value, cox_str_trim(cox_buf_str(&token)));
		if (header_append(r, COX_STR("Authorization"), cox_buf_str(&value)) != COX_OK)
			return cox_err_set(err, COX_EINVAL, NULL, "the token has line breaks");
	}
	curl_easy_setopt(r->easy, CURLOPT_HTTPHEADER, r->headers);
	return COX_OK;
}

static void set_body(CURL *e, const char *method, struct cox_str body)
{
	bool needs_length = !strcmp(method, "POST") || !strcmp(method, "PUT") || !strcmp(method, "PATCH");
	if (body.n > 0 || needs_length) {
		curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n);
		curl_easy_setopt(e, CURLOPT_COPYPOSTFIELDS, body.n ? body.p : "");
	}
	if (!strcmp(method, "HEAD"))
		curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
	else
		curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, method);
}

static enum cox_rc check_url(const char *url, struct cox_err *err)
{
	CURLU *u = curl_url();
	char *scheme = NULL;
	bool ok = curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK && curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
	          (!strcmp(scheme, "http") || !strcmp(scheme, "https"));
	curl_free(scheme);
	curl_url_cleanup(u);
	return ok ? COX_OK : cox_err_set(err, COX_EINVAL, NULL, "not an http or https URL: \"%s\"", url);
}

static enum cox_rc configure(struct cox_http_request *r, const struct cox_http_spec *spec, struct cox_err *err)
{
	CURL *e = r->easy;
	COX_TRY(check_url(spec->url, err));
	curl_easy_setopt(e, CURLOPT_URL, spec->url);
	curl_easy_setopt(e, CURLOPT_PRIVATE, r);
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_PROXY, "");
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, r->error);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(e, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, spec->follow_redirects ? 1L : 0L);
	curl_easy_setopt(e, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX);
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION, spec->http1_only ? (long)CURL_HTTP_VERSION_1_1 : (long)CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(e, CURLOPT_PIPEWAIT, spec->http1_only ? 0L : 1L);
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS,
	                 (long)(spec->connect_timeout_ms > 0 ? spec->connect_timeout_ms : CONNECT_TIMEOUT_MS));
	curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)spec->total_timeout_ms);
	if (spec->idle_timeout_ms > 0) {
		r->idle_ms = spec->idle_timeout_ms;
		r->idle = cox_timer_new(r->client->loop, on_idle, r);
		heard(r);
	}
	curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(e, CURLOPT_TCP_KEEPIDLE, (long)TCP_IDLE_S);
	curl_easy_setopt(e, CURLOPT_TCP_KEEPINTVL, (long)TCP_INTERVAL_S);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_write);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, r);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, r);
	cox_http_easy_tls(e, spec->tls, &r->connect_to);
	set_body(e, spec->method ? spec->method : "GET", spec->body);
	r->follows = spec->follow_redirects;
	r->max_body_bytes = spec->max_body_bytes ? spec->max_body_bytes : r->cb.on_body ? 0 : BODY_MAX;
	return set_headers(r, spec, err);
}

static void multi_open(struct cox_http_client *c)
{
	cox_http_easy_init();
	c->multi = curl_multi_init();
	COX_ASSERT(c->multi);
	curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
	curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
	curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_CONNECTIONS);
}

/* --- what was put off ------------------------------------------------------------------------------ */

static void on_timer_closed(uv_handle_t *h)
{
	struct cox_http_client *c = h->data;
	if (--c->open_handles == 0)
		cox_free(c);
}

static void client_end(struct cox_http_client *c)
{
	while (c->requests)
		request_free(c->requests);
	if (c->multi)
		curl_multi_cleanup(c->multi);
	uv_close((uv_handle_t *)&c->timer, on_timer_closed);
}

static void request_step(struct cox_http_request *r)
{
	struct cox_http_client *c = r->client;
	if (r->is_canceled) {
		request_free(r);
	} else if (!r->is_added) {
		r->is_added = true;
		curl_multi_add_handle(c->multi, r->easy);
	} else if (r->wants_resume) {
		r->wants_resume = r->is_paused = false;
		curl_easy_pause(r->easy, CURLPAUSE_CONT); /* hands the held bytes to on_write at once */
	}
}

static void on_task(struct cox_loop_task *task)
{
	struct cox_http_client *c = (struct cox_http_client *)((char *)task - offsetof(struct cox_http_client, task));
	c->is_posted = false;
	if (c->is_closing) {
		client_end(c);
		return;
	}
	for (struct cox_http_request *r = c->requests, *next; r; r = next) {
		next = r->next; /* new requests go to the front; others are only freed by their own step */
		request_step(r);
	}
	check_done(c);
}

/* --- public ------------------------------------------------------------------------------------------ */

struct cox_http_client *cox_http_client_new(struct cox_loop *loop)
{
	cox_loop_assert_here(loop);
	struct cox_http_client *c = COX_NEW(struct cox_http_client);
	c->loop = loop;
	c->task.fn = on_task;
	uv_timer_init(cox_loop_uv(loop), &c->timer);
	c->timer.data = c;
	c->open_handles = 1;
	return c;
}

void cox_http_client_free(struct cox_http_client **cp)
{
	struct cox_http_client *c = *cp;
	*cp = NULL;
	if (!c)
		return;
	cox_loop_assert_here(c->loop);
	c->is_closing = true;
	for (struct cox_http_request *r = c->requests; r; r = r->next)
		r->is_canceled = true;
	uv_timer_stop(&c->timer);
	post(c);
}

enum cox_rc cox_http_request_open(struct cox_http_client *c, const struct cox_http_spec *spec, const struct cox_http_cb *cb,
                                  struct cox_http_request **out, struct cox_err *err)
{
	cox_loop_assert_here(c->loop);
	if (c->is_closing)
		return cox_err_set(err, COX_ECANCELED, NULL, "the client is closing");
	if (!c->multi)
		multi_open(c);
	struct cox_http_request *r = COX_NEW(struct cox_http_request);
	r->client = c;
	r->cb = *cb;
	r->easy = curl_easy_init();
	COX_ASSERT(r->easy);
	r->next = c->requests;
	if (r->next)
		r->next->prev = r;
	c->requests = r;
	enum cox_rc rc = configure(r, spec, err);
	if (rc != COX_OK) {
		request_free(r);
		return rc;
	}
	post(c);
	if (out)
		*out = r;
	return COX_OK;
}

void cox_http_request_resume(struct cox_http_request *r)
{
	cox_loop_assert_here(r->client->loop);
	r->wants_resume = true;
	post(r->client);
}

void cox_http_request_cancel(struct cox_http_request **rp)
{
	struct cox_http_request *r = *rp;
	*rp = NULL;
	if (!r)
		return;
	cox_loop_assert_here(r->client->loop);
	r->is_canceled = true;
	post(r->client);
}

struct cox_str cox_http_request_header(struct cox_http_request *r, const char *name)
{
	for (size_t i = 0; i < r->answer.n; i++)
		if (cox_str_eq_nocase(cox_str_of(r->answer.p[i].line), cox_str_of(name)))
			return cox_str_of(r->answer.p[i].value);
	return (struct cox_str){ 0 };
}

int cox_http_request_version(struct cox_http_request *r)
{
	long version = 0;
	curl_easy_getinfo(r->easy, CURLINFO_HTTP_VERSION, &version);
	return version == 0 ? 0 : version >= CURL_HTTP_VERSION_2_0 ? 2 : 1;
}
