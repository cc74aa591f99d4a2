/*
 * questions - debug pages asked over xDS, as istioctl does: "istio.io/debug" with the page (and its query) as the resource's name, and
 * "istio.io/debug/syncz", "istio.io/debug/config_dump" with answers in protobuf. Answered on a thread of a small pool.
 */
#include "admin/admin_priv.h"

#include "base/log.h"
#include "xds/debug.h"

/* An answer over xDS is one message: what is larger is read over HTTP, in parts. */
enum { ANSWER_BYTES_MAX = 64 * 1024 * 1024, WAITING_MAX = 32, BATCH = 64 };

struct job {
	struct cox_admin *a;
	struct cox_xds_question *question;
	struct cox_arena arena;
	struct cox_str type, name; /* name: of the first resource asked for */
	size_t name_n;
	struct admin_caller who;
	struct cox_str identity;
	enum cox_rc rc;
	struct cox_str why;
	COX_VEC(struct cox_xds_item) items;
};

static void refuse(struct job *j, enum cox_rc rc, const char *why)
{
	j->rc = rc;
	j->why = cox_str_of(why);
	cox_log(COX_LOG_WARN, "admin", "debug page refused type=%.*s page=%.*s identity=\"%.*s\" why=\"%s\"", COX_FMT(j->type),
	        COX_FMT(cox_str_sub(j->name, 0, 200)), COX_FMT(j->identity), why);
}

static bool check(struct job *j, unsigned page_flags, struct cox_str *only_ns)
{
	enum cox_rc rc = admin_access_check(j->a, &j->who, page_flags, &j->arena, only_ns);
	if (rc == COX_EAUTH)
		refuse(j, rc, "authentication required");
	else if (rc != COX_OK)
		refuse(j, rc, "the debug info is not available for the current identity");
	return rc == COX_OK;
}

/* --- a page, as over HTTP ---------------------------------------------------------------------------------------------- */

static void run_page(struct job *j)
{
	ptrdiff_t mark = cox_str_find(j->name, '?');
	struct cox_str name = cox_str_sub(j->name, 0, mark < 0 ? j->name.n : (size_t)mark), only_ns;
	const struct admin_page *page = admin_page_find(j->a, name);
	if (j->name_n != 1) {
		refuse(j, COX_EINVAL, "exactly one debug request is required");
		return;
	}
	if (!check(j, page ? page->flags : 0, &only_ns))
		return;
	struct answer *w = answer_new(j->a);
	struct cox_buf out = { 0 }, part = { 0 };
	bool goes_on = true;
	w->only_ns = only_ns;
	if (mark >= 0)
		answer_read_query(w, cox_str_sub(j->name, (size_t)mark + 1, j->name.n));
	if (page)
		page->open(w);
	else
		answer_say(w, 404, page_not_found);
	/* A part begins empty: a full one is all that a page makes in one call. */
	while (goes_on && out.n <= ANSWER_BYTES_MAX) {
		cox_buf_clear(&part);
		goes_on = answer_next(w, &part);
		cox_buf_append_str(&out, cox_buf_str(&part));
	}
	cox_buf_fini(&part);
	answer_free(w);
	if (out.n > ANSWER_BYTES_MAX) {
		cox_buf_fini(&out);
		refuse(j, COX_ELIMIT, "the answer is too large for one message: ask the HTTP port");
		return;
	}
	cox_vec_push(&j->items, ((struct cox_xds_item){ .name = j->name, .type_url = COX_STR("istio.io/debug"), .value = out }));
}

/* --- protobuf ------------------------------------------------------------------------------------------------------------ */

static void run_sync(struct job *j)
{
	struct cox_xds_cursor at = { 0 };
	struct cox_str only_ns;
	if (!check(j, PAGE_NAMESPACED, &only_ns))
		return;
	struct cox_xds_stream_info *infos = cox_calloc(BATCH, sizeof(*infos));
	size_t n;
	do {
		n = cox_xds_server_list(j->a->opts.xds, &at, infos, BATCH);
		for (size_t i = 0; i < n; i++) {
			const struct cox_proxy *p = infos[i].proxy;
			if (!only_ns.n || cox_str_eq(only_ns, p->ns)) {
				struct cox_xds_item *item = cox_vec_add(&j->items);
				*item = (struct cox_xds_item){
					.name = cox_arena_printf(&j->arena, "%.*s.%.*s", COX_FMT(p->name), COX_FMT(p->ns)),
					.type_url = COX_STR("type.googleapis.com/envoy.service.status.v3.ClientConfig")
				};
				page_client_config(&infos[i], &item->value);
			}
			cox_xds_stream_info_fini(&infos[i]);
		}
	} while (n == BATCH);
	cox_free(infos);
}

static void run_dump(struct job *j)
{
	struct cox_xds_stream_info info;
	struct cox_xds_item *items;
	struct cox_str only_ns;
	size_t n;
	if (!check(j, PAGE_NAMESPACED, &only_ns) || j->name_n != 1 ||
	    cox_xds_server_find(j->a->opts.xds, j->name, only_ns, &info) != COX_OK)
		return; /* an empty answer, as istiod's */
	page_dump_items(&info, &items, &n);
	cox_xds_stream_info_fini(&info);
	for (size_t i = 0; i < n; i++)
		cox_vec_push(&j->items, items[i]);
	cox_free(items);
}

static void run(void *arg)
{
	struct job *j = arg;
	if (cox_str_eq(j->type, COX_STR("istio.io/debug")))
		run_page(j);
	else if (cox_str_eq(j->type, COX_STR("istio.io/debug/syncz")))
		run_sync(j);
	else if (cox_str_eq(j->type, COX_STR("istio.io/debug/config_dump")))
		run_dump(j);
	else
		refuse(j, COX_ENOTFOUND, "no such debug type; istio.io/debug with resource name \"list\" says what there is");
}

/* On the stream's loop; the admin may have gone meanwhile. */
static void done(void *arg, enum cox_rc rc)
{
	struct job *j = arg;
	if (rc != COX_OK && j->rc == COX_OK) {
		j->rc = COX_EAGAIN;
		j->why = COX_STR("the control plane is ending");
	}
	for (size_t i = 0; j->rc != COX_OK && i < j->items.n; i++)
		cox_buf_fini(&j->items.p[i].value);
	cox_xds_question_answer_take(j->question, j->rc, j->why, j->items.p, j->rc == COX_OK ? j->items.n : 0);
	cox_vec_fini(&j->items);
	cox_arena_fini(&j->arena);
	cox_free(j);
}

static void on_ask(void *ctx, struct cox_xds_question *q, const struct cox_xds_asked *asked)
{
	struct cox_admin *a = ctx;
	struct job *j = COX_NEW(struct job);
	j->a = a;
	j->question = q;
	j->type = cox_arena_str(&j->arena, asked->type_url);
	j->name = asked->name_n ? cox_arena_str(&j->arena, asked->names[0]) : COX_STR("");
	j->name_n = asked->name_n;
	j->identity = cox_arena_str(&j->arena, asked->who.identity);
	j->who = (struct admin_caller){ .is_loopback = asked->who.is_loopback,
		                        .is_verified = asked->who.is_verified,
		                        .ns = cox_arena_str(&j->arena, asked->who.ns) };
	if (cox_work_submit(a->pool, asked->loop, run, done, j) == COX_OK)
		return;
	j->rc = COX_ELIMIT;
	j->why = COX_STR("too many debug questions at once");
	done(j, COX_OK);
}

void admin_questions_open(struct cox_admin *a)
{
	a->pool = cox_work_pool_new("debug", 1, WAITING_MAX);
	cox_xds_server_set_debug(a->opts.xds, &(struct cox_xds_debug){ .ask = on_ask, .ctx = a });
}

void admin_questions_close(struct cox_admin *a)
{
	if (!a->pool)
		return;
	cox_xds_server_set_debug(a->opts.xds, &(struct cox_xds_debug){ 0 });
	cox_work_pool_free(&a->pool);
}
