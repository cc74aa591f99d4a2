#include "kube/auth.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/vec.h"
#include "kube/exec_priv.h"
#include "kube/file.h"
#include "loop/timer.h"

enum {
	TOKEN_AGE_MS_MAX = 60 * 1000, /* a projected token may be swapped under an unchanged stamp on odd file systems */
	EXPIRY_MARGIN_MS = 5 * 1000,  /* a request must arrive before its credentials expire */
	EXEC_AGAIN_MS_MIN = 1000,     /* a plug-in that gives what is already expired is not run for each request */
};

struct cox_kube_auth {
	struct cox_loop *loop;
	const struct cox_kube_config *config;
	struct cox_http_tls tls;
	char *server;
	char *connect_to;
	/* From the file. */
	char *token;
	uint64_t token_stamp;
	int64_t token_read_ms;
	/* From the plug-in. */
	struct cox_kube_exec_run *run;
	struct cox_kube_exec_result given;
	bool is_given;
	int64_t given_ms; /* monotonic */
	struct cox_kube_auth_wait *waiting, *waking;
};

/* "https://1.2.3.4:6443/path" asked for under another name: the URL has the name, connect_to the place. */
static void name_the_server(struct cox_kube_auth *a)
{
	const struct cox_kube_config *c = a->config;
	struct cox_buf url = { 0 };
	if (c->tls_server_name.n == 0 || !cox_str_has_prefix(c->server, COX_STR("https://"))) {
		a->server = cox_str_dup_cstr(c->server);
		return;
	}
	struct cox_str rest = cox_str_sub(c->server, 8, SIZE_MAX), path = { 0 };
	ptrdiff_t slash = cox_str_find(rest, '/');
	if (slash >= 0) {
		path = cox_str_sub(rest, (size_t)slash, SIZE_MAX);
		rest = cox_str_sub(rest, 0, (size_t)slash);
	}
	ptrdiff_t colon = cox_str_rfind(rest, ':'), bracket = cox_str_rfind(rest, ']');
	bool has_port = colon >= 0 && colon > bracket;
	struct cox_str port = has_port ? cox_str_sub(rest, (size_t)colon + 1, SIZE_MAX) : COX_STR("443");
	cox_buf_printf(&url, "%.*s%s", COX_FMT(rest), has_port ? "" : ":443");
	a->connect_to = cox_str_dup_cstr(cox_buf_str(&url));
	cox_buf_clear(&url);
	cox_buf_printf(&url, "https://%.*s:%.*s%.*s", COX_FMT(c->tls_server_name), COX_FMT(port), COX_FMT(path));
	a->server = cox_str_dup_cstr(cox_buf_str(&url));
	cox_buf_fini(&url);
}

static const char *file_or_null(struct cox_str s) { return s.n ? s.p : NULL; }

static void tls_set(struct cox_kube_auth *a)
{
	const struct cox_kube_config *c = a->config;
	a->tls = (struct cox_http_tls){
		.ca_file = file_or_null(c->ca_file),
		.cert_file = file_or_null(c->cert_file),
		.key_file = file_or_null(c->key_file),
		.ca_pem = c->ca_pem,
		.cert_pem = c->cert_pem,
		.key_pem = c->key_pem,
		.insecure = c->insecure,
		.connect_to = a->connect_to,
	};
	if (a->is_given && a->given.cert_pem.n) {
		a->tls.cert_file = a->tls.key_file = NULL;
		a->tls.cert_pem = cox_buf_str(&a->given.cert_pem);
		a->tls.key_pem = cox_buf_str(&a->given.key_pem);
	}
}

struct cox_kube_auth *cox_kube_auth_new(struct cox_loop *loop, const struct cox_kube_config *config)
{
	struct cox_kube_auth *a = COX_NEW(struct cox_kube_auth);
	a->loop = loop;
	a->config = config;
	name_the_server(a);
	tls_set(a);
	return a;
}

/* One that is woken may cancel another, or wait anew: so they are taken off one by one, from a list of their own. */
static void wake(struct cox_kube_auth *a, enum cox_rc rc, const struct cox_err *err)
{
	a->waking = a->waiting;
	a->waiting = NULL;
	while (a->waking) {
		struct cox_kube_auth_wait *w = a->waking;
		a->waking = w->next;
		w->is_waiting = false;
		w->next = NULL;
		w->fn(w, rc, err);
	}
}

static void token_drop(struct cox_kube_auth *a)
{
	if (a->token)
		explicit_bzero(a->token, strlen(a->token));
	cox_free(a->token);
	a->token = NULL;
}

void cox_kube_auth_free(struct cox_kube_auth **ap)
{
	struct cox_kube_auth *a = *ap;
	*ap = NULL;
	if (!a)
		return;
	cox_kube_exec_run_close(&a->run);
	struct cox_err err = { .rc = COX_ECANCELED, .text = "the client was closed" };
	wake(a, COX_ECANCELED, &err);
	cox_kube_exec_result_fini(&a->given);
	token_drop(a);
	cox_free(a->server);
	cox_free(a->connect_to);
	cox_free(a);
}

static void exec_done(void *ctx, enum cox_rc rc, struct cox_kube_exec_result *result, const struct cox_err *err)
{
	struct cox_kube_auth *a = ctx;
	cox_kube_exec_run_close(&a->run);
	if (rc == COX_OK) {
		cox_kube_exec_result_fini(&a->given);
		a->given = *result; /* taken over */
		*result = (struct cox_kube_exec_result){ 0 };
		a->is_given = true;
		a->given_ms = cox_clock_mono_ms();
		tls_set(a);
	}
	wake(a, rc, err);
}

static bool uses_exec(const struct cox_kube_auth *a) { return a->config->exec && a->config->token_file.n == 0 && a->config->token.n == 0; }

static bool is_fresh(const struct cox_kube_auth *a)
{
	if (!a->is_given)
		return false;
	if (a->given.expires_ms == 0 || cox_clock_wall_ms() < a->given.expires_ms - EXPIRY_MARGIN_MS)
		return true;
	return cox_clock_mono_ms() - a->given_ms < EXEC_AGAIN_MS_MIN;
}

enum cox_rc cox_kube_auth_ready(struct cox_kube_auth *a, struct cox_kube_auth_wait *w, struct cox_err *err)
{
	cox_loop_assert_here(a->loop);
	if (!uses_exec(a) || is_fresh(a))
		return COX_OK;
	if (!a->run) {
		enum cox_rc rc = cox_kube_exec_run_open(a->loop, a->config, exec_done, a, &a->run, err);
		if (rc != COX_OK)
			return rc;
	}
	w->next = a->waiting;
	w->is_waiting = true;
	a->waiting = w;
	return COX_EAGAIN;
}

static bool unlink_from(struct cox_kube_auth_wait **at, struct cox_kube_auth_wait *w)
{
	for (; *at; at = &(*at)->next) {
		if (*at == w) {
			*at = w->next;
			return true;
		}
	}
	return false;
}

void cox_kube_auth_cancel(struct cox_kube_auth *a, struct cox_kube_auth_wait *w)
{
	if (w->is_waiting && !unlink_from(&a->waiting, w))
		unlink_from(&a->waking, w);
	w->is_waiting = false;
}

void cox_kube_auth_refused(struct cox_kube_auth *a)
{
	a->token_stamp = 0;
	if (a->is_given && cox_clock_mono_ms() - a->given_ms >= EXEC_AGAIN_MS_MIN)
		a->is_given = false;
}

const char *cox_kube_auth_server(const struct cox_kube_auth *a) { return a->server; }

const struct cox_http_tls *cox_kube_auth_tls(const struct cox_kube_auth *a) { return &a->tls; }

bool cox_kube_auth_has_token(const struct cox_kube_auth *a)
{
	return a->config->token_file.n || a->config->token.n || (uses_exec(a) && a->is_given && a->given.token.n);
}

/* A file that is gone or empty for a moment (it is being swapped) leaves the last token in use. */
static void token_read(struct cox_kube_auth *a)
{
	uint64_t stamp = cox_kube_file_stamp(a->config->token_file.p);
	int64_t now = cox_clock_mono_ms();
	if (a->token && stamp == a->token_stamp && now - a->token_read_ms < TOKEN_AGE_MS_MAX)
		return;
	struct cox_buf text = { 0 };
	struct cox_err err = { 0 };
	if (cox_kube_file_read(a->config->token_file.p, &text, &err) == COX_OK) {
		struct cox_str t = cox_str_trim(cox_buf_str(&text));
		if (t.n) {
			token_drop(a);
			a->token = cox_str_dup_cstr(t);
			a->token_stamp = stamp;
			a->token_read_ms = now;
		}
		if (text.n)
			explicit_bzero(text.p, text.n);
	} else if (!a->token) {
		cox_log(COX_LOG_WARN, "kube", "token cannot be read error=\"%s\"", err.text);
	}
	cox_buf_fini(&text);
}

enum cox_rc cox_kube_auth_token(void *auth, struct cox_buf *out)
{
	struct cox_kube_auth *a = auth;
	if (a->config->token_file.n) {
		token_read(a);
		if (!a->token)
			return COX_EAUTH;
		cox_buf_append_cstr(out, a->token);
	} else if (a->config->token.n) {
		cox_buf_append_str(out, a->config->token);
	} else if (a->is_given) {
		cox_buf_append_str(out, cox_buf_str(&a->given.token));
	}
	return COX_OK;
}
