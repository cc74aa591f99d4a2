/* doc_store_kube - texts as ConfigMaps: data["text"]. */
#include "ca/doc_store_priv.h"

#include "base/vec.h"
#include "codec/json.h"
#include "kube/watch.h"
#include "model/object.h"

#define LABEL COX_STR("coxswain.io/ledger=true")

enum { CONFLICTS_MAX = 20 }; /* replicas that write at once: each round lets one through */

struct job;
struct kube_store {
	struct doc_store base;
	struct cox_kube_client *client;
	struct cox_buf ns;
	struct cox_kube_watch *watch;
	COX_VEC(struct job *) jobs;
};
struct job {
	struct kube_store *store;
	struct cox_kube_request *request;
	struct cox_buf name, text;
	doc_change_fn *change;
	doc_done_fn *done;
	void *ctx;
	unsigned conflicts;
};

static void path_of(const struct kube_store *s, struct cox_str name, struct cox_buf *path)
{
	cox_kube_path(path, COX_STR(""), COX_STR("v1"), COX_STR("configmaps"), cox_buf_str(&s->ns), name, COX_STR(""));
}

static void write_body(const struct kube_store *s, struct cox_str name, struct cox_str version, struct cox_str text, struct cox_buf *out)
{
	cox_buf_append_cstr(out, "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":");
	cox_json_write_str(out, name);
	cox_buf_append_cstr(out, ",\"namespace\":");
	cox_json_write_str(out, cox_buf_str(&s->ns));
	cox_buf_append_cstr(out, ",\"labels\":{\"coxswain.io/ledger\":\"true\"}");
	if (version.n) {
		cox_buf_append_cstr(out, ",\"resourceVersion\":");
		cox_json_write_str(out, version);
	}
	cox_buf_append_cstr(out, "},\"data\":{\"text\":");
	cox_json_write_str(out, text);
	cox_buf_append_cstr(out, "}}");
}

/* --- jobs: one write each ------------------------------------------------------------------------- */

static struct job *job_new(struct kube_store *s, struct cox_str name, doc_done_fn *done, void *ctx)
{
	struct job *j = COX_NEW(struct job);
	j->store = s;
	j->done = done;
	j->ctx = ctx;
	cox_buf_append_str(&j->name, name);
	cox_vec_push(&s->jobs, j);
	return j;
}

static void job_free(struct job *j)
{
	struct kube_store *s = j->store;
	for (size_t i = 0; i < s->jobs.n; i++)
		if (s->jobs.p[i] == j) {
			cox_vec_remove(&s->jobs, i);
			break;
		}
	cox_kube_request_close(&j->request);
	cox_buf_fini(&j->name);
	cox_buf_fini(&j->text);
	cox_free(j);
}

static void job_end(struct job *j, enum cox_rc rc, const struct cox_err *err)
{
	doc_done_fn *done = j->done;
	void *ctx = j->ctx;
	j->request = NULL; /* gone after this callback */
	job_free(j);
	if (done)
		done(ctx, rc, err);
}

static void on_written(void *ctx, struct cox_kube_request *r, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err)
{
	(void)r, (void)status, (void)body;
	job_end(ctx, rc, err);
}

static void kube_put(struct doc_store *base, struct cox_str name, struct cox_str text, doc_done_fn *done, void *ctx)
{
	struct kube_store *s = (struct kube_store *)base;
	struct job *j = job_new(s, name, done, ctx);
	struct cox_buf path = { 0 };
	path_of(s, name, &path);
	write_body(s, name, COX_STR(""), text, &j->text);
	cox_kube_apply(s->client, cox_buf_str(&path), "coxswain", cox_buf_str(&j->text),
	               &(struct cox_kube_request_cb){ .on_done = on_written, .ctx = j }, &j->request);
	cox_buf_fini(&path);
}

static void job_read(struct job *j);

static void on_changed(void *ctx, struct cox_kube_request *r, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err)
{
	struct job *j = ctx;
	(void)r, (void)body;
	j->request = NULL;
	if (status == 409 && ++j->conflicts <= CONFLICTS_MAX)
		job_read(j);
	else
		job_end(j, rc, err);
}

static void on_read(void *ctx, struct cox_kube_request *r, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err)
{
	struct job *j = ctx;
	struct cox_arena arena = { 0 };
	struct cox_json *v = NULL;
	struct cox_buf path = { 0 }, text = { 0 };
	struct cox_err parse_err = { 0 };
	(void)r;
	j->request = NULL;
	if (rc == COX_OK)
		rc = cox_json_parse(&arena, body, &v, &parse_err);
	if (rc != COX_OK && status != 404) {
		job_end(j, rc, v || !parse_err.rc ? err : &parse_err);
	} else if (!j->change(j->ctx, cox_json_str_at(v, "data.text"), &text)) {
		job_end(j, COX_OK, NULL);
	} else if (text.n > DOC_BYTES_MAX) {
		struct cox_err full;
		job_end(j,
		        cox_err_set(&full, COX_ELIMIT, NULL, "ConfigMap %.*s would be longer than %d bytes", COX_FMT(cox_buf_str(&j->name)),
		                    DOC_BYTES_MAX),
		        &full);
	} else {
		bool exists = v != NULL;
		cox_buf_clear(&j->text);
		write_body(j->store, cox_buf_str(&j->name), cox_json_str_at(v, "metadata.resourceVersion"), cox_buf_str(&text), &j->text);
		path_of(j->store, exists ? cox_buf_str(&j->name) : COX_STR(""), &path);
		cox_kube_call(j->store->client, exists ? "PUT" : "POST", cox_buf_str(&path), cox_buf_str(&j->text),
		              &(struct cox_kube_request_cb){ .on_done = on_changed, .ctx = j }, &j->request);
	}
	cox_buf_fini(&path);
	cox_buf_fini(&text);
	cox_arena_fini(&arena);
}

static void job_read(struct job *j)
{
	struct cox_buf path = { 0 };
	path_of(j->store, cox_buf_str(&j->name), &path);
	cox_kube_call(j->store->client, "GET", cox_buf_str(&path), COX_STR(""),
	              &(struct cox_kube_request_cb){ .on_done = on_read, .ctx = j }, &j->request);
	cox_buf_fini(&path);
}

static void kube_update(struct doc_store *base, struct cox_str name, doc_change_fn *change, doc_done_fn *done, void *ctx)
{
	struct job *j = job_new((struct kube_store *)base, name, done, ctx);
	j->change = change;
	job_read(j);
}

static void kube_remove(struct doc_store *base, struct cox_str name)
{
	struct kube_store *s = (struct kube_store *)base;
	struct job *j = job_new(s, name, NULL, NULL);
	struct cox_buf path = { 0 };
	path_of(s, name, &path);
	cox_kube_call(s->client, "DELETE", cox_buf_str(&path), COX_STR(""),
	              &(struct cox_kube_request_cb){ .on_done = on_written, .ctx = j }, &j->request);
	cox_buf_fini(&path);
}

/* --- what others write ---------------------------------------------------------------------------- */

static void on_put(void *ctx, const struct cox_kube_item *item, struct cox_kube_entry *e)
{
	struct kube_store *s = ctx;
	struct cox_arena arena = { 0 };
	struct cox_json *v = NULL;
	(void)e;
	if (!item->is_skipped && cox_json_parse(&arena, item->text, &v, NULL) == COX_OK)
		s->base.cb.changed(s->base.cb.ctx, item->name, cox_json_str_at(v, "data.text"));
	cox_arena_fini(&arena);
}

static void on_remove(void *ctx, struct cox_kube_entry *e)
{
	struct kube_store *s = ctx;
	if (s->base.cb.removed)
		s->base.cb.removed(s->base.cb.ctx, e->name);
}

static void on_synced(void *ctx, enum cox_rc rc)
{
	struct kube_store *s = ctx;
	s->base.cb.synced(s->base.cb.ctx, rc);
}

static void on_trouble(void *ctx, enum cox_rc rc, const struct cox_err *err) { (void)ctx, (void)rc, (void)err; }

static void kube_close(struct doc_store *base)
{
	struct kube_store *s = (struct kube_store *)base;
	s->base.cb.removed = NULL;
	while (s->jobs.n)
		job_free(s->jobs.p[0]);
	cox_vec_fini(&s->jobs);
	cox_kube_watch_close(&s->watch);
	cox_buf_fini(&s->ns);
	cox_free(s);
}

void doc_store_open_kube(struct cox_kube_client *client, struct cox_str ns, const struct doc_store_cb *cb, struct doc_store **out)
{
	static const struct doc_store_ops ops = { kube_put, kube_update, kube_remove, kube_close };
	struct kube_store *s = COX_NEW(struct kube_store);
	s->base = (struct doc_store){ &ops, cox_kube_client_loop(client), *cb };
	s->client = client;
	cox_buf_append_str(&s->ns, ns);
	cox_kube_watch_open(
	    client,
	    &(struct cox_kube_watch_spec){ .plural = COX_STR("configmaps"),
	                                   .kind = COX_STR("ConfigMap"),
	                                   .versions = COX_STR("v1"),
	                                   .ns = ns,
	                                   .label_selector = LABEL,
	                                   .message = cox_kind_info(COX_KIND_CONFIG_MAP)->message },
	    &(struct cox_kube_watch_cb){ .put = on_put, .remove = on_remove, .synced = on_synced, .trouble = on_trouble, .ctx = s },
	    &s->watch);
	*out = &s->base;
}
