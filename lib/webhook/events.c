#include "webhook/events.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "codec/json.h"
#include "loop/mailbox.h"

#include <string.h>

enum { WAITING_MAX = 64, UNDER_WAY_MAX = 4 };

/* An Event on its way from a thread of the HTTP server to the loop. */
struct told {
	struct cox_arena arena;
	struct cox_webhook_event event;
};
/* An object that was told of. */
struct seen {
	int64_t at_ms;
	char key[];
};
struct cox_webhook_events {
	struct cox_kube_client *kube;
	struct cox_mailbox *mailbox;
	struct cox_map seen;
	struct cox_kube_request *requests[UNDER_WAY_MAX];
};

static void told_free(void *message)
{
	struct told *t = message;
	cox_arena_fini(&t->arena);
	cox_free(t);
}

static void forget_all(struct cox_webhook_events *e)
{
	for (struct cox_map_entry *i = NULL; (i = cox_map_next(&e->seen, i));)
		cox_free(i->value);
	cox_map_fini(&e->seen);
}

/* Whether the object was told of a while ago, or never; it counts as told from now on. */
static bool is_due(struct cox_webhook_events *e, const struct cox_webhook_event *v)
{
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	struct cox_str key =
	    cox_arena_printf(&arena, "%.*s/%.*s/%.*s/%.*s", COX_FMT(v->ns), COX_FMT(v->kind), COX_FMT(v->name), COX_FMT(v->reason));
	struct seen *old = cox_map_find(&e->seen, key);
	int64_t now = cox_clock_mono_ms();
	if (old && now - old->at_ms < COX_WEBHOOK_EVENT_EVERY_MS)
		return false;
	if (old) {
		old->at_ms = now;
		return true;
	}
	if (e->seen.n >= COX_WEBHOOK_EVENT_OBJECTS_MAX)
		forget_all(e);
	struct seen *s = cox_zalloc(sizeof(*s) + key.n + 1);
	memcpy(s->key, key.p, key.n);
	s->at_ms = now;
	cox_map_set(&e->seen, cox_str_make(s->key, key.n), s);
	return true;
}

static void member(struct cox_buf *out, const char *name, struct cox_str v)
{
	cox_buf_printf(out, "%s\"%s\":", out->p[out->n - 1] == '{' ? "" : ",", name);
	cox_json_write_str(out, v);
}

static void write_body(struct cox_buf *out, const struct cox_webhook_event *v)
{
	char now[32];
	cox_clock_format(cox_clock_wall_ms(), now);
	cox_buf_append_cstr(out, "{\"apiVersion\":\"v1\",\"kind\":\"Event\",\"metadata\":{\"generateName\":\"coxswain-injection-\"");
	member(out, "namespace", v->ns);
	cox_buf_append_cstr(out, "},\"involvedObject\":{");
	member(out, "apiVersion", v->api_version);
	member(out, "kind", v->kind);
	member(out, "namespace", v->ns);
	member(out, "name", v->name);
	if (v->uid.n)
		member(out, "uid", v->uid);
	cox_buf_append_cstr(out, "},\"type\":\"Warning\",\"count\":1,\"source\":{\"component\":\"coxswain-injector\"}");
	member(out, "reason", v->reason);
	member(out, "message", v->message);
	member(out, "firstTimestamp", cox_str_of(now));
	member(out, "lastTimestamp", cox_str_of(now));
	cox_buf_append_char(out, '}');
}

static void on_done(void *ctx, struct cox_kube_request *q, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err)
{
	struct cox_webhook_events *e = ctx;
	(void)status, (void)body;
	for (size_t i = 0; i < UNDER_WAY_MAX; i++)
		if (e->requests[i] == q)
			e->requests[i] = NULL;
	if (rc != COX_OK)
		cox_log(COX_LOG_DEBUG, "webhook", "an Event was not written: %s", err->text);
}

static void on_message(void *ctx, void *message)
{
	struct cox_webhook_events *e = ctx;
	struct told *t = message;
	for (size_t i = 0; i < UNDER_WAY_MAX; i++) {
		struct cox_buf path = { 0 }, body = { 0 };
		if (e->requests[i])
			continue;
		if (!is_due(e, &t->event))
			break;
		cox_kube_path(&path, COX_STR(""), COX_STR("v1"), COX_STR("events"), t->event.ns, COX_STR(""), COX_STR(""));
		write_body(&body, &t->event);
		cox_kube_call(e->kube, "POST", cox_buf_str(&path), cox_buf_str(&body),
		              &(struct cox_kube_request_cb){ .on_done = on_done, .ctx = e }, &e->requests[i]);
		cox_buf_fini(&path);
		cox_buf_fini(&body);
		break;
	}
	told_free(t);
}

struct cox_webhook_events *cox_webhook_events_open(struct cox_kube_client *kube)
{
	struct cox_webhook_events *e = COX_NEW(struct cox_webhook_events);
	e->kube = kube;
	cox_mailbox_open(cox_kube_client_loop(kube), WAITING_MAX, COX_MAILBOX_REFUSE,
	                 &(struct cox_mailbox_cb){ .on_message = on_message, .drop = told_free, .ctx = e }, &e->mailbox);
	return e;
}

void cox_webhook_events_close(struct cox_webhook_events **ep)
{
	struct cox_webhook_events *e = COX_MOVE(*ep);
	if (!e)
		return;
	cox_mailbox_close(&e->mailbox);
	for (size_t i = 0; i < UNDER_WAY_MAX; i++)
		cox_kube_request_close(&e->requests[i]);
	forget_all(e);
	cox_free(e);
}

void cox_webhook_events_tell(struct cox_webhook_events *e, const struct cox_webhook_event *event)
{
	struct told *t = COX_NEW(struct told);
	struct cox_str *to = &t->event.ns;
	const struct cox_str *from = &event->ns;
	for (size_t i = 0; i < sizeof(*event) / sizeof(*to); i++)
		to[i] = cox_arena_str(&t->arena, from[i]);
	/* Full: it is dropped, and the next pod of the same owner tells it again. */
	(void)!cox_mailbox_send_take(e->mailbox, t);
}
