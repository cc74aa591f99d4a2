#include "xds/server_priv.h"

#include "base/log.h"
#include "loop/hop.h"

enum { TEXT_BYTES_MAX = 1024 }; /* of an agent's reason: it ends in a status that people read */

struct cox_xds_visit {
	struct cox_ref ref; /* the stream's, the config loop's, the answer's */
	struct cox_xds_server *server;
	struct cox_xds_visitor who; /* text of the identity in the same block */
	struct ads_stream *stream;  /* stream loop only; NULL: it has ended */
	/* Config loop. */
	void *own;
	bool is_answered;
	/* The answer, on its way from there to the stream. */
	struct cox_hop hop;
	enum cox_rc rc;
	struct cox_err err;
};

enum said { SAID_OPEN, SAID_HEALTH, SAID_CLOSE };
struct note {
	struct cox_loop_task task;
	struct cox_xds_visit *v;
	enum said what;
	size_t n;
	char text[];
};

static void visit_unref(struct cox_xds_visit *v)
{
	if (!cox_ref_put(&v->ref))
		return;
	cox_proxy_unref(v->who.proxy);
	cox_free(v);
}

/* --- on the config loop -------------------------------------------------------------------------------------- */

void cox_xds_visit_answer(struct cox_xds_visit *v, enum cox_rc rc, const char *text)
{
	COX_ASSERT(!v->is_answered);
	v->is_answered = true;
	v->rc = rc;
	if (rc != COX_OK)
		v->rc = cox_err_set(&v->err, rc, NULL, "%s", text);
	cox_hop_return(&v->hop);
}

static void on_note(struct cox_loop_task *task)
{
	struct note *n = (struct note *)(void *)task;
	struct cox_xds_visit *v = n->v;
	const struct cox_xds_visits *to = &v->server->opts.visits;
	switch (n->what) {
	case SAID_OPEN: v->own = to->open(to->ctx, v, &v->who); break;
	case SAID_HEALTH: to->health(to->ctx, v->own, cox_str_make(n->text, n->n)); break;
	case SAID_CLOSE:
		to->close(to->ctx, v->own);
		if (!v->is_answered) { /* nobody waits: the hop is canceled */
			v->is_answered = true;
			cox_hop_return(&v->hop);
		}
		visit_unref(v);
		break;
	}
	cox_free(n);
}

/* --- on the stream's loop -------------------------------------------------------------------------------------- */

static void say(struct cox_xds_visit *v, enum said what, struct cox_str text)
{
	struct note *n = cox_zalloc(sizeof(*n) + text.n);
	n->task.fn = on_note;
	n->v = v;
	n->what = what;
	n->n = text.n;
	if (text.n)
		memcpy(n->text, text.p, text.n);
	cox_loop_post(v->server->opts.config_loop, &n->task);
}

static void on_answer(struct cox_hop *h, bool is_canceled)
{
	struct cox_xds_visit *v = (struct cox_xds_visit *)(void *)((char *)h - offsetof(struct cox_xds_visit, hop));
	struct ads_stream *a = is_canceled ? NULL : v->stream;
	if (a && !a->is_closing) {
		a->is_held = false;
		if (v->rc != COX_OK)
			stream_refuse(a, v->rc, "registration", cox_str_of(v->err.text));
		else
			stream_go_on(a, cox_proxy_ref(v->who.proxy));
	}
	visit_unref(v);
}

static bool has(const struct cox_proxy *p, const char *key) { return cox_json_str_at(p->metadata, key).n > 0; }

bool visit_begin(struct ads_stream *a, const struct cox_proxy *proxy)
{
	struct cox_xds_server *server = a->home->server;
	if (!server->opts.visits.open || !(has(proxy, "AUTO_REGISTER_GROUP") || has(proxy, "WORKLOAD_ENTRY")))
		return false;
	const struct cox_push_identity *id = &a->identity;
	struct cox_xds_visit *v = cox_zalloc(sizeof(*v) + id->ns.n + id->service_account.n);
	char *text = (char *)(v + 1);
	cox_ref_init(&v->ref);
	cox_ref_get(&v->ref);
	cox_ref_get(&v->ref);
	v->server = server;
	v->stream = a;
	v->who = (struct cox_xds_visitor){ .proxy = cox_proxy_ref(proxy), .is_verified = id->is_verified, .connected_ms = a->connected_ms };
	if (id->is_verified) {
		memcpy(text, id->ns.p, id->ns.n);
		memcpy(text + id->ns.n, id->service_account.p, id->service_account.n);
		v->who.ns = cox_str_make(text, id->ns.n);
		v->who.service_account = cox_str_make(text + id->ns.n, id->service_account.n);
	}
	cox_hop_init(&v->hop, a->home->loop, on_answer);
	a->visit = v;
	a->is_held = true;
	cox_grpc_stream_pause(a->grpc, true);
	say(v, SAID_OPEN, COX_STR(""));
	return true;
}

void visit_health(struct ads_stream *a, bool is_well, struct cox_str why)
{
	if (!a->visit) {
		cox_log(COX_LOG_DEBUG, "ads", "health of a workload that is not registered, ignored proxy=%.*s", COX_FMT(a->proxy->id));
		return;
	}
	struct cox_str text = is_well ? COX_STR("") : why.n ? cox_str_sub(why, 0, TEXT_BYTES_MAX) : COX_STR("the probe failed");
	while (text.n && !cox_str_is_utf8(text))
		text.n--;
	say(a->visit, SAID_HEALTH, text);
}

void visit_end(struct ads_stream *a)
{
	struct cox_xds_visit *v = COX_MOVE(a->visit);
	if (!v)
		return;
	v->stream = NULL;
	cox_hop_cancel(&v->hop);
	say(v, SAID_CLOSE, COX_STR(""));
	visit_unref(v);
}
