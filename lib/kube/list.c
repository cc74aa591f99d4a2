#include "kube/list_priv.h"

struct cox_kube_list {
	struct cox_kube_client *c;
	struct cox_kube_list_spec spec;
	struct cox_buf path, next_page;
	struct cox_kube_split *split;
	struct cox_kube_request *request;
	struct cox_err split_err;
	unsigned restarts;
};

static void page_get(struct cox_kube_list *l);

static void list_free(struct cox_kube_list *l)
{
	cox_kube_request_close(&l->request);
	cox_kube_split_free(&l->split);
	cox_buf_fini(&l->path);
	cox_buf_fini(&l->next_page);
	cox_free(l);
}

static void list_end(struct cox_kube_list *l, enum cox_rc rc, int status, const struct cox_err *err)
{
	l->request = NULL;
	l->spec.on_done(l->spec.ctx, rc, status, l->split ? cox_kube_split_version(l->split) : COX_STR(""), err);
	list_free(l);
}

static enum cox_rc on_body(void *ctx, struct cox_kube_request *r, struct cox_str bytes)
{
	struct cox_kube_list *l = ctx;
	(void)r;
	return cox_kube_split_feed(l->split, bytes, &l->split_err);
}

static void on_done(void *ctx, struct cox_kube_request *r, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err)
{
	struct cox_kube_list *l = ctx;
	(void)r, (void)body;
	l->request = NULL;
	/* An expired continue: as client-go, everything again in one page, which cannot expire. We stream it, so its size does not matter.
	 */
	if (status == 410 && l->next_page.n && l->restarts++ == 0) {
		cox_buf_clear(&l->next_page);
		l->spec.on_restart(l->spec.ctx);
		page_get(l);
		return;
	}
	if (rc == COX_OK)
		rc = cox_kube_split_end(l->split, &l->split_err);
	if (rc != COX_OK) {
		list_end(l, rc, status, l->split_err.rc != COX_OK ? &l->split_err : err);
		return;
	}
	struct cox_str next = cox_kube_split_continue(l->split);
	if (next.n == 0) {
		list_end(l, COX_OK, status, err);
		return;
	}
	cox_buf_clear(&l->next_page);
	cox_buf_append_str(&l->next_page, next);
	if (l->spec.on_page)
		l->spec.on_page(l->spec.ctx);
	page_get(l);
}

static void page_get(struct cox_kube_list *l)
{
	struct cox_kube_split_spec split = {
		.message = l->spec.message, .max_object_bytes = l->spec.max_object_bytes, .on_item = l->spec.on_item, .ctx = l->spec.ctx
	};
	struct cox_buf path = { 0 }, limit = { 0 };
	cox_buf_append_str(&path, cox_buf_str(&l->path));
	if (l->restarts == 0) {
		cox_buf_printf(&limit, "%u", l->spec.limit ? l->spec.limit : COX_KUBE_LIST_LIMIT);
		cox_kube_path_query(&path, "limit", cox_buf_str(&limit));
	} else {
		cox_kube_path_query(&path, "resourceVersion", COX_STR(""));
	}
	if (l->next_page.n)
		cox_kube_path_query(&path, "continue", cox_buf_str(&l->next_page));
	cox_kube_split_free(&l->split);
	l->split = cox_kube_split_new(&split);
	struct cox_kube_request_spec spec = { .path = cox_buf_str(&path),
		                              .accept = l->spec.metadata_only ? COX_KUBE_ACCEPT_METADATA_LIST : NULL };
	struct cox_kube_request_cb cb = { .on_body = on_body, .on_done = on_done, .ctx = l };
	cox_kube_request_open(l->c, &spec, &cb, &l->request);
	cox_buf_fini(&path);
	cox_buf_fini(&limit);
}

void cox_kube_list_open(struct cox_kube_client *c, const struct cox_kube_list_spec *spec, struct cox_kube_list **out)
{
	struct cox_kube_list *l = COX_NEW(struct cox_kube_list);
	l->c = c;
	l->spec = *spec;
	cox_buf_append_str(&l->path, spec->path);
	page_get(l);
	*out = l;
}

void cox_kube_list_close(struct cox_kube_list **lp)
{
	struct cox_kube_list *l = *lp;
	*lp = NULL;
	if (l)
		list_free(l);
}
