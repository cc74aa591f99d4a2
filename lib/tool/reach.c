#include "tool/reach.h"

#include "kube/port_forward.h"
#include "net/http_client.h"

enum { TIMEOUT_MS = 30000, ANSWER_BYTES_MAX = 512 * 1024 * 1024 };

struct question {
	struct cox_arena *arena;
	struct cox_str body; /* sent, then the answer's */
	bool is_done;
	enum cox_rc rc;
	int status;
	struct cox_err *err;
};

static void on_done(void *ctx, struct cox_http_request *r, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err)
{
	struct question *q = ctx;
	(void)r;
	q->rc = rc == COX_OK ? COX_OK : cox_err_set(q->err, rc, NULL, "%s", err && err->text[0] ? err->text : "the request failed");
	q->status = status;
	q->body = cox_arena_str(q->arena, body);
	q->is_done = true;
}

static bool is_done(void *arg) { return ((struct question *)arg)->is_done; }

static enum cox_rc ask_on(struct cox_loop *loop, const char *method, const char *url, struct question *q)
{
	struct cox_http_client *client = cox_http_client_new(loop);
	struct cox_http_request *request = NULL;
	struct cox_http_header type = { COX_STR("Content-Type"), COX_STR("application/json") };
	struct cox_http_spec spec = { .method = method,
		                      .url = url,
		                      .headers = &type,
		                      .header_count = q->body.n > 0,
		                      .body = q->body,
		                      .total_timeout_ms = TIMEOUT_MS,
		                      .max_body_bytes = ANSWER_BYTES_MAX,
		                      .http1_only = true };
	enum cox_rc rc = cox_http_request_open(client, &spec, &(struct cox_http_cb){ .on_done = on_done, .ctx = q }, &request, q->err);
	if (rc == COX_OK && !cox_loop_run_until(loop, is_done, q, TIMEOUT_MS + 1000))
		rc = cox_err_set(q->err, COX_ETIMEOUT, NULL, "it does not answer");
	if (!q->is_done)
		cox_http_request_cancel(&request);
	cox_http_client_free(&client);
	return rc == COX_OK ? q->rc : rc;
}

struct cox_str cox_reach_name(const struct cox_reach *to, struct cox_arena *arena)
{
	if (to->url.n)
		return to->url;
	return cox_arena_printf(arena, "pod %.*s/%.*s port %u", COX_FMT(to->ns), COX_FMT(to->pod), to->port);
}

/* Straight: "host:port" is enough. */
static enum cox_rc ask_url(const struct cox_reach *to, const char *method, struct cox_str path, struct question *q)
{
	struct cox_str base = to->url;
	while (base.n > 0 && base.p[base.n - 1] == '/')
		base.n--;
	struct cox_str url = cox_arena_printf(q->arena, "%s%.*s%.*s", cox_str_search(base, COX_STR("://")) < 0 ? "http://" : "",
	                                      COX_FMT(base), COX_FMT(path));
	struct cox_loop *loop = cox_loop_new("reach");
	enum cox_rc rc = ask_on(loop, method, url.p, q);
	cox_loop_free(&loop);
	return rc;
}

static enum cox_rc ask_pod(const struct cox_reach *to, const char *method, struct cox_str path, struct question *q)
{
	struct cox_kube_forward *forward = NULL;
	struct cox_kube_forward_spec spec = { .ns = to->ns, .pod = to->pod, .port = to->port };
	COX_TRY(cox_kube_forward_open(cox_cluster_client(to->cluster), &spec, &forward, q->err));
	struct cox_str url = cox_arena_printf(q->arena, "http://127.0.0.1:%u%.*s", cox_kube_forward_port(forward), COX_FMT(path));
	enum cox_rc rc = ask_on(cox_cluster_loop(to->cluster), method, url.p, q);
	const struct cox_err *why = cox_kube_forward_error(forward);
	if (rc != COX_OK && why->rc != COX_OK) {
		*q->err = *why;
		rc = why->rc;
	}
	cox_kube_forward_close(&forward);
	return rc;
}

enum cox_rc cox_reach_send(const struct cox_reach *to, const char *method, struct cox_str path, struct cox_str body,
                           struct cox_arena *arena, struct cox_str *out, struct cox_err *err)
{
	struct cox_err own = { 0 };
	struct question q = { .arena = arena, .body = body, .err = err ? err : &own };
	struct cox_str name = cox_reach_name(to, arena);
	enum cox_rc rc = to->url.n ? ask_url(to, method, path, &q) : ask_pod(to, method, path, &q);
	if (rc != COX_OK) {
		cox_err_wrap(q.err, "%.*s", COX_FMT(name));
		return rc;
	}
	if (q.status < 200 || q.status > 299)
		return cox_err_set(err, q.status == 404 ? COX_ENOTFOUND : COX_EIO, NULL, "%.*s answers %d to %.*s: %.*s", COX_FMT(name),
		                   q.status, COX_FMT(path), COX_FMT(cox_str_sub(cox_str_trim(q.body), 0, 160)));
	*out = q.body;
	return COX_OK;
}

enum cox_rc cox_reach_ask(const struct cox_reach *to, const char *method, struct cox_str path, struct cox_arena *arena, struct cox_str *out,
                          struct cox_err *err)
{
	return cox_reach_send(to, method, path, COX_STR(""), arena, out, err);
}

enum cox_rc cox_reach_json(const struct cox_reach *to, struct cox_str path, struct cox_arena *arena, struct cox_json **out,
                           struct cox_err *err)
{
	struct cox_str text;
	COX_TRY(cox_reach_ask(to, NULL, path, arena, &text, err));
	enum cox_rc rc = cox_json_parse_answer(arena, text, out, err);
	if (rc == COX_ELIMIT || rc == COX_EINVAL)
		cox_err_wrap(err, "%.*s%.*s", COX_FMT(cox_reach_name(to, arena)), COX_FMT(path));
	return rc;
}
