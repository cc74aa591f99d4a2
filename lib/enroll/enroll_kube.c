/* Each operation reads the entry, decides, and writes with the version that it read. */
#include "enroll/enroll_priv.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"

static void path_of(const struct enroll_entry *n, bool has_name, const char *subresource, struct cox_buf *out)
{
	cox_kube_path(out, COX_STR("networking.istio.io"), COX_STR("v1"), COX_STR("workloadentries"), n->ns,
	              has_name ? n->name : (struct cox_str){ 0 }, cox_str_of(subresource));
}

/* Somebody else wrote meanwhile, or deleted it: read again. */
static bool is_race(int status) { return status == 409 || status == 404; }
/* The server will say the same the next time. */
static bool is_final(int status) { return status == 400 || status == 422; }

static void trouble(struct enroll_entry *n, int status, const struct cox_err *err)
{
	if (n->op == ENROLL_CONNECT) {
		struct enroll_visit *v = n->current;
		if (is_race(status) && n->tries + 1 < TRIES_MAX) {
			enroll_op_end(n, false);
			return;
		}
		/* The proxy comes again by itself. */
		if (v)
			enroll_answer(v, is_final(status) ? COX_EINVAL : COX_EAGAIN, err->text);
		enroll_op_end(n, true);
		return;
	}
	if (is_final(status) || status == 403)
		cox_log(COX_LOG_WARN, "enroll", "entry cannot be written entry=%.*s error=\"%s\"", COX_FMT(n->key), err->text);
	enroll_op_end(n, is_final(status));
}

static void count(const struct enroll_entry *n, bool is_new)
{
	switch (n->op) {
	case ENROLL_CONNECT: cox_metric_add(is_new ? COX_M_ENROLL_SUCCESS : COX_M_ENROLL_UPDATES, NULL, 1); break;
	case ENROLL_DISCONNECT: cox_metric_add(COX_M_ENROLL_UNREGISTER, NULL, 1); break;
	case ENROLL_DELETE: cox_metric_add(COX_M_ENROLL_DELETES, NULL, n->is_auto); break;
	default: break;
	}
}

static void on_written(void *ctx, struct cox_kube_request *r, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err)
{
	struct enroll_entry *n = ctx;
	(void)r, (void)body;
	n->request = NULL;
	if (rc != COX_OK && !(status == 404 && n->op == ENROLL_DELETE)) {
		trouble(n, status, err);
		return;
	}
	count(n, status == 201);
	if (n->op == ENROLL_CONNECT && n->current)
		enroll_answer(n->current, COX_OK, "");
	enroll_op_end(n, true);
}

static void entry_write(struct enroll_entry *n, const char *method, struct cox_buf *path, const struct cox_json *body)
{
	struct cox_buf text = { 0 };
	struct cox_kube_request_cb cb = { .on_done = on_written, .ctx = n };
	cox_json_write(&text, body, 0, false);
	if (!strcmp(method, "PATCH"))
		cox_kube_merge_patch(n->e->spec.kube, cox_buf_str(path), cox_buf_str(&text), &cb, &n->request);
	else
		cox_kube_call(n->e->spec.kube, method, cox_buf_str(path), cox_buf_str(&text), &cb, &n->request);
	cox_buf_fini(&text);
}

/* --- decisions: true where a write is on its way ----------------------------------------------------------------------- */

static bool entry_connect(struct enroll_entry *n, const struct cox_json *there, struct cox_arena *a)
{
	struct enroll_visit *v = n->current;
	struct cox_err err = { 0 };
	struct cox_buf path = { 0 };
	if (!v)
		return false; /* it has gone meanwhile */
	struct cox_str group = cox_json_str_at(v->who->proxy->metadata, "AUTO_REGISTER_GROUP");
	const struct cox_object *g = cox_registry_object_find(n->e->spec.registry, COX_KIND_WORKLOAD_GROUP, n->ns, group);
	int64_t connected_ms = v->is_answered ? cox_clock_wall_ms() : v->who->connected_ms;
	struct enroll_stamp stamp = { n->e->spec.controller, connected_ms };
	enum cox_rc rc = enroll_check(n, v, there, g, &err);
	/* It is connected to another replica since: the stream is one that has yet to notice. An entry of the user's that nobody probes
	 * is left alone. */
	bool is_settled =
	    rc == COX_OK && there && (enroll_time(enroll_annotation(there, ENROLL_CONNECTED)) > connected_ms || !n->takes_health);
	n->wants_claim = false;
	if (rc != COX_OK || is_settled) {
		enroll_answer(v, rc, err.text);
		return false;
	}
	n->connected_ms = n->connected_ms > connected_ms ? n->connected_ms : connected_ms;
	path_of(n, there != NULL, "", &path);
	if (there)
		entry_write(n, "PATCH", &path, enroll_connect_patch(a, there, &stamp));
	else
		entry_write(n, "POST", &path, enroll_entry_build(a, g, v->who->proxy, n->name, &stamp));
	cox_buf_fini(&path);
	return true;
}

static bool is_ours(const struct enroll_entry *n, const struct cox_json *there)
{
	return cox_str_eq(enroll_annotation(there, ENROLL_CONTROLLER), n->e->spec.controller) &&
	       enroll_time(enroll_annotation(there, ENROLL_CONNECTED)) <= n->connected_ms;
}

static bool entry_disconnect(struct enroll_entry *n, const struct cox_json *there, struct cox_arena *a)
{
	struct cox_buf path = { 0 };
	if (!there || n->visits.n || !is_ours(n, there) || enroll_annotation(there, ENROLL_DISCONNECTED).n)
		return false;
	path_of(n, true, "", &path);
	entry_write(n, "PATCH", &path, enroll_disconnect_patch(a, there, n->disconnected_ms));
	cox_buf_fini(&path);
	return true;
}

static bool tell(struct enroll_entry *n, const struct cox_json *there, enum cox_reported health, struct cox_str why, struct cox_arena *a)
{
	struct cox_buf path = { 0 };
	struct cox_json *patch = there ? enroll_health_patch(a, there, health, why, cox_clock_wall_ms()) : NULL;
	if (!patch)
		return false;
	path_of(n, true, "status", &path);
	entry_write(n, "PATCH", &path, patch);
	cox_buf_fini(&path);
	return true;
}

static bool clean_up(struct enroll_entry *n, const struct cox_json *there, struct cox_arena *a)
{
	struct cox_buf path = { 0 };
	const struct cox_enroll_spec *spec = &n->e->spec;
	if (!there || n->visits.n || !enroll_annotation(there, ENROLL_CONTROLLER).n ||
	    !enroll_is_over(enroll_annotation(there, ENROLL_CONNECTED), enroll_annotation(there, ENROLL_DISCONNECTED), cox_clock_wall_ms(),
	                    spec->grace_ms, spec->stream_max_age_ms * 3 / 2))
		return false;
	if (!enroll_annotation(there, ENROLL_GROUP).n) /* the user's: what we said of it goes, it stays */
		return tell(n, there, COX_REPORTED_NONE, (struct cox_str){ 0 }, a);
	struct cox_json *options = cox_json_new_object(a), *conditions = cox_json_new_object(a);
	cox_json_set(a, conditions, COX_STR("resourceVersion"), cox_json_new_str(a, cox_json_str_at(there, "metadata.resourceVersion")));
	cox_json_set(a, options, COX_STR("preconditions"), conditions);
	path_of(n, true, "", &path);
	entry_write(n, "DELETE", &path, options);
	cox_buf_fini(&path);
	return true;
}

static bool decide(struct enroll_entry *n, const struct cox_json *there, struct cox_arena *a)
{
	switch (n->op) {
	case ENROLL_CONNECT: return entry_connect(n, there, a);
	case ENROLL_DISCONNECT: return entry_disconnect(n, there, a);
	case ENROLL_DELETE: return clean_up(n, there, a);
	case ENROLL_TELL: return tell(n, there, n->told_health, cox_buf_str(&n->told), a);
	default: return false;
	}
}

static void on_read(void *ctx, struct cox_kube_request *r, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err)
{
	struct enroll_entry *n = ctx;
	struct cox_arena a = { 0 };
	struct cox_json *there = NULL;
	(void)r;
	n->request = NULL;
	if (rc != COX_OK && status != 404) {
		trouble(n, status, err);
		return;
	}
	bool is_readable = status == 404 || cox_json_parse(&a, body, &there, NULL) == COX_OK;
	if (!is_readable)
		trouble(n, 0, &(struct cox_err){ .rc = COX_EPROTO, .text = "the kube-apiserver's answer is not JSON" });
	else if (!decide(n, there, &a))
		enroll_op_end(n, true);
	cox_arena_fini(&a);
}

void enroll_kube_start(struct enroll_entry *n)
{
	struct cox_buf path = { 0 };
	struct cox_kube_request_cb cb = { .on_done = on_read, .ctx = n };
	path_of(n, true, "", &path);
	cox_kube_call(n->e->spec.kube, "GET", cox_buf_str(&path), COX_STR(""), &cb, &n->request);
	cox_buf_fini(&path);
}
