#include "agent/tap.h"

#include "agent/discovery.h"
#include "base/vec.h"
#include "net/grpc_client.h"
#include "net/grpc_frame.h"
#include "net/grpc_server.h"

enum { REQUEST_MAX = 64 * 1024, WAITING_MAX = 16 };

static const char sotw_path[] = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
static const struct cox_str debug_type = COX_STR_INIT("istio.io/debug");

struct messages {
	COX_VEC(struct cox_buf) items;
};

/* Who asks, and the connection that asks for it. */
struct question {
	struct cox_agent_tap *tap;
	uint64_t id;
	struct cox_grpc_stream *asker;
	struct cox_grpc_client *client;
	struct cox_grpc_call *call;
	struct messages up, down;
	bool is_asked, is_call_busy, is_over; /* over: upstream ended; what waits in `down` still goes out */
	int status;
	struct cox_buf text; /* of the end */
};

struct cox_agent_tap {
	struct cox_agent_tap_spec spec;
	struct cox_grpc_server *server;
	struct cox_grpc_method method;
	COX_VEC(struct question *) questions;
	uint64_t last_id;
	void (*closed)(void *ctx);
	void *closed_ctx;
};

/* --- messages that wait ------------------------------------------------------------------- */

static void push(struct messages *m, struct cox_str a, struct cox_str b)
{
	struct cox_buf *item = cox_vec_add(&m->items);
	cox_buf_append_str(item, a);
	cox_buf_append_str(item, b);
}

static void drop_first(struct messages *m)
{
	cox_buf_fini(&m->items.p[0]);
	cox_vec_remove(&m->items, 0);
}

static void clear(struct messages *m)
{
	for (size_t i = 0; i < m->items.n; i++)
		cox_buf_fini(&m->items.p[i]);
	cox_vec_fini(&m->items);
}

/* --- both directions ---------------------------------------------------------------------- */

static void hang_up(struct question *q)
{
	if (q->call)
		cox_grpc_call_cancel(&q->call);
	cox_grpc_client_close(&q->client);
}

static void pump_up(struct question *q)
{
	if (!q->call || q->is_call_busy || q->up.items.n == 0)
		return;
	if (cox_grpc_call_send(q->call, cox_buf_str(&q->up.items.p[0])) != COX_OK)
		return; /* it is ending: on_call_close follows */
	q->is_call_busy = true;
	drop_first(&q->up);
}

static void pump_down(struct question *q)
{
	if (q->down.items.n && cox_grpc_is_writable(q->asker)) {
		if (cox_grpc_send_copy(q->asker, cox_buf_str(&q->down.items.p[0])) != COX_OK)
			return; /* on_asker_close follows */
		drop_first(&q->down);
	}
	if (q->call)
		cox_grpc_call_pause(q->call, q->down.items.n > 0);
	if (q->is_over && q->down.items.n == 0)
		cox_grpc_finish_status(q->asker, q->status, cox_buf_str(&q->text));
}

static void on_call_message(void *ctx, struct cox_grpc_call *call, struct cox_str message)
{
	struct question *q = ctx;
	(void)call;
	push(&q->down, message, COX_STR(""));
	pump_down(q);
}

static void on_call_drained(void *ctx, struct cox_grpc_call *call)
{
	struct question *q = ctx;
	(void)call;
	q->is_call_busy = false;
	pump_up(q);
}

static void finish(struct question *q, int status, struct cox_str text)
{
	q->is_over = true;
	q->status = status;
	cox_buf_append_str(&q->text, text);
	pump_down(q);
}

static void on_call_close(void *ctx, struct cox_grpc_call *call, int status, struct cox_str message)
{
	struct question *q = ctx;
	(void)call;
	q->call = NULL;
	finish(q, status >= 0 && status <= 16 ? status : COX_GRPC_UNAVAILABLE, message);
}

/* --- dialing ------------------------------------------------------------------------------ */

static struct question *find(const struct cox_agent_tap *t, uint64_t id)
{
	for (size_t i = 0; i < t->questions.n; i++)
		if (t->questions.p[i]->id == id)
			return t->questions.p[i];
	return NULL;
}

static enum cox_rc dial(struct question *q, const struct cox_agent_credentials *c, struct cox_err *err)
{
	const struct cox_agent_tap_spec *spec = &q->tap->spec;
	struct cox_grpc_kv headers[COX_AGENT_HEADERS_MAX + 1];
	size_t n = spec->to->headers.n;
	struct cox_grpc_client_spec client = { .addr = spec->to->addr, .tls = c->tls, .server_name = spec->to->server_name };
	struct cox_grpc_call_cb cb = { on_call_message, on_call_drained, on_call_close, q };
	memcpy(headers, spec->to->headers.items, n * sizeof(headers[0]));
	if (c->authorization.n)
		headers[n++] = (struct cox_grpc_kv){ COX_STR("authorization"), cox_buf_str(&c->authorization) };
	COX_TRY(cox_grpc_client_open(spec->loop, &client, &q->client, err));
	return cox_grpc_call_open(q->client, sotw_path, headers, n, spec->deadline_ms, &cb, &q->call);
}

void cox_agent_tap_dial(struct cox_agent_tap *t, uint64_t question, const struct cox_agent_credentials *c)
{
	struct question *q = find(t, question);
	struct cox_err err = { 0 };
	if (!q || q->is_over)
		return;
	if (dial(q, c, &err) != COX_OK)
		finish(q, COX_GRPC_UNAVAILABLE, err.text[0] ? cox_str_of(err.text) : COX_STR("the control plane cannot be called"));
	else
		pump_up(q);
}

void cox_agent_tap_fail(struct cox_agent_tap *t, uint64_t question, const struct cox_err *err)
{
	struct question *q = find(t, question);
	if (q && !q->is_over)
		finish(q, COX_GRPC_UNAVAILABLE, cox_str_of(err->text));
}

/* --- who asks ----------------------------------------------------------------------------- */

static void on_open(void *ctx, struct cox_grpc_stream *s)
{
	struct cox_agent_tap *t = ctx;
	if (t->questions.n == COX_AGENT_TAP_QUESTIONS_MAX) {
		cox_grpc_finish(s, COX_ELIMIT, COX_STR("too many questions at once"));
		return;
	}
	struct question *q = COX_NEW(struct question);
	q->tap = t;
	q->id = ++t->last_id;
	q->asker = s;
	cox_vec_push(&t->questions, q);
	cox_grpc_stream_set_data(s, q);
}

static void on_message(void *ctx, struct cox_grpc_stream *s, struct cox_str message)
{
	struct cox_agent_tap *t = ctx;
	struct question *q = cox_grpc_stream_data(s);
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	COX_AUTO(cox_buf_fini) struct cox_buf node = { 0 };
	struct cox_discovery_request r;
	struct cox_err err = { 0 };
	if (!q || q->is_over)
		return;
	if (cox_discovery_request_read(message, false, COX_AGENT_NAMES_MAX, &arena, &r, &err) != COX_OK)
		cox_grpc_finish(s, COX_EINVAL, cox_str_of(err.text));
	else if (!cox_str_has_prefix(r.type_url, debug_type))
		cox_grpc_finish(s, COX_EINVAL, COX_STR("only questions of type istio.io/debug are passed on"));
	else if (q->up.items.n == WAITING_MAX)
		cox_grpc_finish(s, COX_ELIMIT, COX_STR("too many questions wait"));
	else {
		if (!q->is_asked && r.node.n == 0)
			cox_agent_request_append_node(t->spec.node(t->spec.ctx), false, &node);
		push(&q->up, message, cox_buf_str(&node));
		if (!q->is_asked)
			t->spec.on_want_credentials(t->spec.ctx, q->id);
		q->is_asked = true;
		pump_up(q);
	}
}

/* Nothing more is asked: the answer may still come. */
static void on_half_close(void *ctx, struct cox_grpc_stream *s)
{
	struct question *q = cox_grpc_stream_data(s);
	(void)ctx;
	if (q && !q->is_asked)
		cox_grpc_finish(s, COX_OK, COX_STR(""));
}

static void on_drained(void *ctx, struct cox_grpc_stream *s)
{
	struct question *q = cox_grpc_stream_data(s);
	(void)ctx;
	if (q)
		pump_down(q);
}

static void on_asker_close(void *ctx, struct cox_grpc_stream *s, enum cox_rc why)
{
	struct cox_agent_tap *t = ctx;
	struct question *q = cox_grpc_stream_data(s);
	(void)why;
	for (size_t i = 0; i < t->questions.n; i++)
		if (t->questions.p[i] == q) {
			cox_vec_remove(&t->questions, i);
			hang_up(q);
			clear(&q->up);
			clear(&q->down);
			cox_buf_fini(&q->text);
			cox_free(q);
			break;
		}
}

/* --- life --------------------------------------------------------------------------------- */

enum cox_rc cox_agent_tap_open(const struct cox_agent_tap_spec *spec, struct cox_agent_tap **out, struct cox_err *err)
{
	struct cox_agent_tap *t = COX_NEW(struct cox_agent_tap);
	struct cox_addr at = { .host = "127.0.0.1", .port = spec->port };
	t->spec = *spec;
	t->spec.deadline_ms = spec->deadline_ms ? spec->deadline_ms : COX_AGENT_TAP_DEADLINE_MS;
	t->method = (struct cox_grpc_method){ sotw_path, on_open, on_message, on_half_close, on_drained, on_asker_close, t };
	struct cox_grpc_server_spec server = {
		.loops = &t->spec.loop,
		.loop_count = 1,
		.methods = &t->method,
		.method_count = 1,
		.limits = { .message_bytes = REQUEST_MAX, .streams_per_connection = COX_AGENT_TAP_QUESTIONS_MAX, .connections = 16 },
	};
	enum cox_rc rc = cox_grpc_server_open(&server, &t->server, err);
	if (rc == COX_OK)
		rc = cox_grpc_server_listen(t->server, &at, NULL, 0, NULL, err);
	if (rc != COX_OK)
		cox_agent_tap_close(&t, NULL, NULL);
	else
		*out = t;
	return rc;
}

static void on_server_closed(void *ctx)
{
	struct cox_agent_tap *t = ctx;
	COX_ASSERT(t->questions.n == 0);
	cox_vec_fini(&t->questions);
	if (t->closed)
		t->closed(t->closed_ctx);
	cox_free(t);
}

void cox_agent_tap_close(struct cox_agent_tap **tp, void (*closed)(void *ctx), void *ctx)
{
	struct cox_agent_tap *t = COX_MOVE(*tp);
	if (!t) {
		if (closed)
			closed(ctx);
		return;
	}
	t->closed = closed;
	t->closed_ctx = ctx;
	if (t->server)
		cox_grpc_server_close(&t->server, on_server_closed, t);
	else
		on_server_closed(t);
}
