#include "kube/access.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "codec/json.h"
#include "loop/timer.h"

enum { RENEW_MS = 60 * 1000, RETRY_MS = 2000, IN_FLIGHT_MAX = 8 };

struct question {
	struct cox_kube_access *a;
	enum cox_kube_access_answer answer;
	struct cox_kube_request *request;
	int64_t due_ms, asked_ms; /* loop time: when to ask next; when somebody wanted to know last */
	bool has_failed;          /* said once */
	struct cox_str ns, account;
	size_t key_n;
	char key[]; /* "ns/account" */
};
struct cox_kube_access {
	struct cox_kube_client *client;
	struct cox_loop *loop;
	struct cox_kube_access_spec spec;
	struct cox_map questions;
	struct cox_timer *timer;
	size_t in_flight;
};

static void on_timer(void *arg);

struct cox_kube_access *cox_kube_access_new(struct cox_kube_client *client, const struct cox_kube_access_spec *spec)
{
	struct cox_kube_access *a = COX_NEW(struct cox_kube_access);
	a->client = client;
	a->loop = cox_kube_client_loop(client);
	a->spec = *spec;
	a->spec.renew_ms = spec->renew_ms ? spec->renew_ms : RENEW_MS;
	a->timer = cox_timer_new(a->loop, on_timer, a);
	return a;
}

static void question_free(struct question *q)
{
	if (q->request)
		q->a->in_flight--;
	cox_kube_request_close(&q->request);
	cox_free(q);
}

void cox_kube_access_free(struct cox_kube_access **ap)
{
	struct cox_kube_access *a = *ap;
	*ap = NULL;
	if (!a)
		return;
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&a->questions, e));)
		question_free(e->value);
	cox_map_fini(&a->questions);
	cox_timer_free(&a->timer);
	cox_free(a);
}

/* --- asking ---------------------------------------------------------------------------------------------- */

static struct cox_json *new_str(struct cox_arena *a, struct cox_str s) { return cox_json_new_str(a, s); }

/* The groups are those that the kube-apiserver would see were the account itself to call. */
static void review_write(struct cox_buf *out, const struct question *q)
{
	const struct cox_kube_access_spec *spec = &q->a->spec;
	struct cox_arena arena = { 0 }, *a = &arena;
	struct cox_json *root = cox_json_new_object(a), *body = cox_json_new_object(a), *what = cox_json_new_object(a),
	                *groups = cox_json_new_array(a);
	cox_json_set(a, root, COX_STR("apiVersion"), new_str(a, COX_STR("authorization.k8s.io/v1")));
	cox_json_set(a, root, COX_STR("kind"), new_str(a, COX_STR("SubjectAccessReview")));
	cox_json_set(a, what, COX_STR("namespace"), new_str(a, q->ns));
	cox_json_set(a, what, COX_STR("verb"), new_str(a, cox_str_of(spec->verb)));
	cox_json_set(a, what, COX_STR("group"), new_str(a, cox_str_of(spec->group)));
	cox_json_set(a, what, COX_STR("resource"), new_str(a, cox_str_of(spec->resource)));
	cox_json_push(a, groups, new_str(a, COX_STR("system:serviceaccounts")));
	cox_json_push(a, groups, new_str(a, cox_arena_printf(a, "system:serviceaccounts:%.*s", COX_FMT(q->ns))));
	cox_json_push(a, groups, new_str(a, COX_STR("system:authenticated")));
	cox_json_set(a, body, COX_STR("resourceAttributes"), what);
	cox_json_set(a, body, COX_STR("user"),
	             new_str(a, cox_arena_printf(a, "system:serviceaccount:%.*s:%.*s", COX_FMT(q->ns), COX_FMT(q->account))));
	cox_json_set(a, body, COX_STR("groups"), groups);
	cox_json_set(a, root, COX_STR("spec"), body);
	cox_json_write(out, root, 0, false);
	cox_arena_fini(&arena);
}

static enum cox_rc answer_read(struct cox_str body, bool *allowed, struct cox_err *err)
{
	struct cox_arena arena = { 0 };
	struct cox_json *root;
	enum cox_rc rc = cox_json_parse(&arena, body, &root, err);
	if (rc == COX_OK) {
		const struct cox_json *status = cox_json_get(root, COX_STR("status"));
		const struct cox_json *v = status ? cox_json_get(status, COX_STR("allowed")) : NULL;
		if (!v || v->type != COX_JSON_BOOL)
			rc = cox_err_set(err, COX_EPROTO, "status.allowed", "is missing in the answer");
		else
			*allowed = v->boolean;
	}
	cox_arena_fini(&arena);
	return rc;
}

static void arm(struct cox_kube_access *a)
{
	int64_t first = INT64_MAX, now = cox_loop_now_ms(a->loop);
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&a->questions, e));) {
		const struct question *q = e->value;
		if (!q->request && q->due_ms < first)
			first = q->due_ms;
	}
	if (first != INT64_MAX && a->in_flight < IN_FLIGHT_MAX)
		cox_timer_start(a->timer, first > now ? first - now : 0, 0);
}

static void fail(struct question *q, const struct cox_err *err)
{
	q->due_ms = cox_loop_now_ms(q->a->loop) + cox_jitter_ms(RETRY_MS, 50);
	if (!q->has_failed)
		cox_log(COX_LOG_WARN, "kube", "cannot ask whether a service account may %s %s, %s account=%s error=\"%s\"", q->a->spec.verb,
		        q->a->spec.resource, q->answer == COX_KUBE_ACCESS_ASKING ? "it has to wait" : "the last answer stays", q->key,
		        err->text);
	q->has_failed = true;
}

static void on_done(void *ctx, struct cox_kube_request *r, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err)
{
	struct question *q = ctx;
	struct cox_kube_access *a = q->a;
	struct cox_err parse = { 0 };
	bool allowed = false;
	(void)r, (void)status;
	q->request = NULL;
	a->in_flight--;
	if (rc == COX_OK && (rc = answer_read(body, &allowed, &parse)) != COX_OK)
		err = &parse;
	if (rc != COX_OK) {
		fail(q, err);
		arm(a);
		return;
	}
	enum cox_kube_access_answer now = allowed ? COX_KUBE_ACCESS_ALLOWED : COX_KUBE_ACCESS_DENIED, before = q->answer;
	q->answer = now;
	q->has_failed = false;
	q->due_ms = cox_loop_now_ms(a->loop) + cox_jitter_ms(a->spec.renew_ms, 20);
	arm(a);
	if (now != before)
		a->spec.changed(a->spec.ctx);
}

static void ask(struct question *q)
{
	struct cox_buf body = { 0 };
	struct cox_kube_request_cb cb = { .on_done = on_done, .ctx = q };
	review_write(&body, q);
	q->a->in_flight++;
	cox_kube_call(q->a->client, "POST", COX_STR("/apis/authorization.k8s.io/v1/subjectaccessreviews"), cox_buf_str(&body), &cb,
	              &q->request);
	cox_buf_fini(&body);
}

static void on_timer(void *arg)
{
	struct cox_kube_access *a = arg;
	int64_t now = cox_loop_now_ms(a->loop);
	for (struct cox_map_entry *e = NULL; a->in_flight < IN_FLIGHT_MAX && (e = cox_map_next(&a->questions, e));) {
		struct question *q = e->value;
		if (!q->request && q->due_ms <= now)
			ask(q);
	}
	arm(a);
}

/* --- questions --------------------------------------------------------------------------------------------- */

static void drop_oldest(struct cox_kube_access *a)
{
	struct question *oldest = NULL;
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&a->questions, e));) {
		struct question *q = e->value;
		if (!oldest || q->asked_ms < oldest->asked_ms)
			oldest = q;
	}
	COX_ASSERT(oldest); /* there are as many as may be */
	cox_map_remove(&a->questions, (struct cox_str){ oldest->key, oldest->key_n });
	question_free(oldest);
}

static struct question *question_new(struct cox_kube_access *a, struct cox_str key, size_t ns_n)
{
	struct question *q = cox_zalloc(sizeof(*q) + key.n + 1);
	q->a = a;
	q->key_n = key.n;
	memcpy(q->key, key.p, key.n);
	q->ns = (struct cox_str){ q->key, ns_n };
	q->account = (struct cox_str){ q->key + ns_n + 1, key.n - ns_n - 1 };
	q->due_ms = cox_loop_now_ms(a->loop);
	return q;
}

enum cox_kube_access_answer cox_kube_access_check(struct cox_kube_access *a, struct cox_str ns, struct cox_str service_account)
{
	struct cox_buf key = { 0 };
	if (ns.n == 0 || service_account.n == 0)
		return COX_KUBE_ACCESS_DENIED;
	cox_buf_printf(&key, "%.*s/%.*s", COX_FMT(ns), COX_FMT(service_account));
	struct question *q = cox_map_find(&a->questions, cox_buf_str(&key));
	if (!q) {
		if (a->questions.n >= COX_KUBE_ACCESS_MAX)
			drop_oldest(a);
		q = question_new(a, cox_buf_str(&key), ns.n);
		cox_map_set(&a->questions, (struct cox_str){ q->key, q->key_n }, q);
		arm(a);
	}
	cox_buf_fini(&key);
	q->asked_ms = cox_loop_now_ms(a->loop);
	return q->answer;
}
