#include "agent/ads_proxy.h"

#include "agent/discovery.h"
#include "agent/uds.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/vec.h"
#include "loop/timer.h"
#include "net/grpc_client.h"
#include "net/grpc_frame.h"

enum {
	BACKOFF_FIRST_MS = 250,
	BACKOFF_MAX_MS = 15 * 1000,
	BACKOFF_JITTER_PERCENT = 40,
	HEALTHY_MS = 10 * 1000, /* a stream that lived this long starts the back-off anew */
	REQUEST_MAX = 4 << 20,  /* of Envoy: its subscriptions and versions, 100 bytes for each resource */
	TEXT_MAX = 300,
};

static const char delta_path[] = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
static const char sotw_path[] = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";

static const struct cox_str health_type = COX_STR_INIT("type.googleapis.com/istio.v1.HealthInformation");

/* Messages that wait, oldest first. */
struct queue {
	COX_VEC(struct cox_buf) items;
	size_t at; /* the next to go; those before are kept for a second dial */
	size_t bytes;
};

struct own_type {
	struct cox_agent_ads_type spec;
	struct cox_buf nonce, version; /* of the last response */
	bool is_owed;
};

enum state { IDLE, BACKING_OFF, WANTS_CREDENTIALS, DIALING, UP };

struct cox_agent_ads {
	struct cox_agent_ads_spec spec;
	struct cox_grpc_server *server;
	struct cox_grpc_method methods[2];
	struct cox_timer *timer;
	enum state state;
	/* Envoy */
	struct cox_grpc_stream *envoy;
	bool is_delta, is_paused; /* paused: Envoy */
	struct cox_buf node;      /* of its first request */
	struct cox_buf unhealthy; /* what was told last */
	bool has_health;
	struct cox_buf own_node; /* for streams of our own */
	/* upstream */
	struct cox_grpc_client *client;
	struct cox_grpc_call *call;
	int64_t backoff_ms, up_ms, not_before_ms;
	struct queue up, down, own; /* requests of Envoy, responses for it, requests of our own */
	struct own_type types[COX_AGENT_ADS_TYPES_MAX];
	bool is_own_subscribed, is_call_busy, is_closing;
	void (*closed)(void *ctx);
	void *closed_ctx;
};

/* --- queues ------------------------------------------------------------------------------- */

static void queue_push(struct queue *q, struct cox_str message)
{
	struct cox_buf *b = cox_vec_add(&q->items);
	cox_buf_append_str(b, message);
	q->bytes += message.n;
}

static void queue_drop(struct queue *q, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		q->bytes -= q->items.p[i].n;
		cox_buf_fini(&q->items.p[i]);
	}
	if (n)
		memmove(q->items.p, q->items.p + n, (q->items.n - n) * sizeof(q->items.p[0]));
	q->items.n -= n;
	q->at = q->at > n ? q->at - n : 0;
	if (q->items.n == 0)
		cox_vec_fini(&q->items);
}

static void queue_clear(struct queue *q) { queue_drop(q, q->items.n); }

/* --- upstream: requests ------------------------------------------------------------------- */

static void queue_health(struct cox_agent_ads *a)
{
	COX_AUTO(cox_buf_fini) struct cox_buf request = { 0 };
	if (!a->has_health)
		return;
	cox_agent_request_write(a->is_delta, health_type, COX_STR(""), COX_STR(""), cox_buf_str(&a->unhealthy), &request);
	queue_push(&a->own, cox_buf_str(&request));
}

static void subscribe_own(struct cox_agent_ads *a)
{
	a->is_own_subscribed = true;
	queue_health(a);
	for (size_t i = a->envoy ? 0 : 1; i < a->spec.type_n; i++) { /* the first one came with the node */
		COX_AUTO(cox_buf_fini) struct cox_buf request = { 0 };
		cox_agent_request_write(a->is_delta, a->types[i].spec.url, COX_STR(""), COX_STR(""), COX_STR(""), &request);
		queue_push(&a->own, cox_buf_str(&request));
	}
}

/* One message at a time. Envoy's first one carries the node, so it goes before any of ours. */
static void pump_up(struct cox_agent_ads *a)
{
	if (!a->call || a->is_call_busy)
		return;
	bool has_node = a->up.at > 0 || a->state == UP;
	struct queue *q = has_node && a->own.at < a->own.items.n ? &a->own : &a->up;
	if (q->at == q->items.n)
		return;
	if (cox_grpc_call_send(a->call, cox_buf_str(&q->items.p[q->at])) != COX_OK)
		return; /* it is ending: on_call_close follows */
	a->is_call_busy = true;
	q->at++;
	if (q == &a->own || a->state == UP)
		queue_drop(q, q->at);
	if (q == &a->up && !a->is_own_subscribed)
		subscribe_own(a);
}

static void hold_envoy(struct cox_agent_ads *a)
{
	/* In UP what is queued waits for the upstream; before, all of it is kept. */
	bool is_full = a->state == UP ? a->up.items.n > 0 : a->up.bytes > COX_AGENT_ADS_REPLAY_BYTES;
	if (a->envoy && is_full != a->is_paused) {
		a->is_paused = is_full;
		cox_grpc_stream_pause(a->envoy, is_full);
	}
}

static void on_call_drained(void *ctx, struct cox_grpc_call *call)
{
	(void)call;
	struct cox_agent_ads *a = ctx;
	a->is_call_busy = false;
	pump_up(a);
	hold_envoy(a);
}

/* --- the end of an upstream stream -------------------------------------------------------- */

static void hang_up(struct cox_agent_ads *a)
{
	if (a->call)
		cox_grpc_call_cancel(&a->call);
	cox_grpc_client_close(&a->client);
	a->is_call_busy = a->is_own_subscribed = false;
	for (size_t i = 0; i < a->spec.type_n; i++)
		a->types[i].is_owed = false;
	queue_clear(&a->own);
	queue_clear(&a->down);
	a->up.at = 0;
}

static void back_off(struct cox_agent_ads *a)
{
	int64_t delay = cox_jitter_ms(a->backoff_ms, BACKOFF_JITTER_PERCENT);
	a->backoff_ms = a->backoff_ms * 2 > a->spec.backoff_max_ms ? a->spec.backoff_max_ms : a->backoff_ms * 2;
	a->not_before_ms = cox_loop_now_ms(a->spec.loop) + delay;
}

static void want_upstream(struct cox_agent_ads *a)
{
	int64_t wait = a->not_before_ms - cox_loop_now_ms(a->spec.loop);
	a->state = BACKING_OFF;
	cox_timer_start(a->timer, wait > 0 ? wait : 0, 0);
}

static void on_timer(void *ctx)
{
	struct cox_agent_ads *a = ctx;
	if (a->state != BACKING_OFF)
		return;
	a->state = WANTS_CREDENTIALS;
	a->spec.on_want_credentials(a->spec.ctx);
}

/* A stream for the agent's own types. */
static void start_alone(struct cox_agent_ads *a)
{
	COX_AUTO(cox_buf_fini) struct cox_buf request = { 0 };
	if (a->own_node.n == 0 || a->spec.type_n == 0 || a->is_closing)
		return;
	a->is_delta = true;
	cox_agent_request_write(true, a->types[0].spec.url, COX_STR(""), COX_STR(""), COX_STR(""), &request);
	cox_agent_request_append_node(cox_buf_str(&a->own_node), true, &request);
	queue_push(&a->up, cox_buf_str(&request));
	want_upstream(a);
}

/* Nothing came from this dial: Envoy does not notice, its requests are said again. */
static void redial(struct cox_agent_ads *a, const char *why)
{
	cox_log(COX_LOG_WARN, "ads", "control plane not reached, trying again after_ms=%lld error=\"%s\"", (long long)a->backoff_ms, why);
	hang_up(a);
	back_off(a);
	want_upstream(a);
}

static void lose(struct cox_agent_ads *a, int status, const char *why)
{
	char text[TEXT_MAX + 64];
	if (a->state == DIALING) {
		redial(a, why);
		return;
	}
	int64_t lived = cox_loop_now_ms(a->spec.loop) - a->up_ms;
	if (lived >= HEALTHY_MS)
		a->backoff_ms = a->spec.backoff_first_ms;
	cox_log(COX_LOG_INFO, "ads", "stream to the control plane ended lived_ms=%lld status=%d reason=\"%s\"", (long long)lived, status,
	        why);
	hang_up(a);
	back_off(a);
	a->state = IDLE;
	struct cox_grpc_stream *envoy = COX_MOVE(a->envoy);
	queue_clear(&a->up);
	if (envoy) {
		cox_str_to_cstr(cox_str_of(why), text, sizeof(text));
		cox_grpc_stream_set_data(envoy, NULL);
		cox_grpc_finish_status(envoy, status > 0 && status <= 16 ? status : COX_GRPC_UNAVAILABLE, cox_str_of(text));
	}
	start_alone(a);
}

static void on_call_close(void *ctx, struct cox_grpc_call *call, int status, struct cox_str message)
{
	(void)call;
	struct cox_agent_ads *a = ctx;
	char why[TEXT_MAX];
	cox_str_to_cstr(message.n ? message : COX_STR("the stream ended"), why, sizeof(why));
	a->call = NULL;
	lose(a, status, why);
}

/* --- upstream: responses ------------------------------------------------------------------ */

static void pump_down(struct cox_agent_ads *a)
{
	if (a->envoy && a->down.items.n > 0 && cox_grpc_is_writable(a->envoy)) {
		/* Handed over, not copied: a route configuration can have megabytes. */
		struct cox_buf b = a->down.items.p[0];
		a->down.items.p[0] = (struct cox_buf){ 0 };
		a->down.bytes -= b.n;
		queue_drop(&a->down, 1);
		struct cox_grpc_piece piece = { b.p, b.n, cox_free, b.p };
		if (cox_grpc_send(a->envoy, &piece, 1) != COX_OK)
			cox_log(COX_LOG_DEBUG, "ads", "envoy's stream is ending");
	}
	/* Until Envoy took the last one, the control plane sends no more than a window. */
	if (a->call)
		cox_grpc_call_pause(a->call, a->envoy && !cox_grpc_is_writable(a->envoy));
}

static bool take_own(struct cox_agent_ads *a, const struct cox_agent_response *r)
{
	for (size_t i = 0; i < a->spec.type_n; i++) {
		struct own_type *t = &a->types[i];
		if (!cox_str_eq(t->spec.url, r->type_url))
			continue;
		cox_buf_clear(&t->nonce);
		cox_buf_append_str(&t->nonce, r->nonce);
		cox_buf_clear(&t->version);
		cox_buf_append_str(&t->version, r->version);
		t->is_owed = true;
		t->spec.on_resource(a->spec.ctx, i, r->first);
		return true;
	}
	return false;
}

static void on_call_message(void *ctx, struct cox_grpc_call *call, struct cox_str message)
{
	(void)call;
	struct cox_agent_ads *a = ctx;
	struct cox_agent_response r;
	struct cox_err err = { 0 };
	if (cox_agent_response_read(message, a->is_delta, &r, &err) != COX_OK) {
		lose(a, COX_GRPC_INTERNAL, err.text);
		return;
	}
	if (a->state == DIALING) {
		a->state = UP;
		a->up_ms = cox_loop_now_ms(a->spec.loop);
		queue_drop(&a->up, a->up.at);
		cox_log(COX_LOG_INFO, "ads", "connected to the control plane delta=%d", a->is_delta);
		hold_envoy(a);
		if (a->spec.on_up)
			a->spec.on_up(a->spec.ctx);
	}
	if (take_own(a, &r))
		return;
	queue_push(&a->down, message);
	pump_down(a);
}

/* --- dialing ------------------------------------------------------------------------------ */

void cox_agent_ads_fail(struct cox_agent_ads *a, const struct cox_err *err)
{
	if (a->state == WANTS_CREDENTIALS)
		redial(a, err->text);
}

static enum cox_rc dial(struct cox_agent_ads *a, const struct cox_agent_credentials *c, struct cox_err *err)
{
	struct cox_grpc_kv headers[COX_AGENT_HEADERS_MAX + 1];
	size_t n = a->spec.to->headers.n;
	struct cox_grpc_client_spec client = { .addr = a->spec.to->addr, .tls = c->tls, .server_name = a->spec.to->server_name };
	struct cox_grpc_call_cb cb = { on_call_message, on_call_drained, on_call_close, a };
	memcpy(headers, a->spec.to->headers.items, n * sizeof(headers[0]));
	if (c->authorization.n)
		headers[n++] = (struct cox_grpc_kv){ COX_STR("authorization"), cox_buf_str(&c->authorization) };
	COX_TRY(cox_grpc_client_open(a->spec.loop, &client, &a->client, err));
	return cox_grpc_call_open(a->client, a->is_delta ? delta_path : sotw_path, headers, n, 0, &cb, &a->call);
}

void cox_agent_ads_dial(struct cox_agent_ads *a, const struct cox_agent_credentials *c)
{
	struct cox_err err = { 0 };
	if (a->state != WANTS_CREDENTIALS)
		return;
	a->state = DIALING;
	if (dial(a, c, &err) != COX_OK)
		redial(a, err.text[0] ? err.text : "no call can be made");
	else
		pump_up(a);
}

void cox_agent_ads_answer(struct cox_agent_ads *a, size_t type, struct cox_str error)
{
	struct own_type *t = &a->types[type];
	COX_AUTO(cox_buf_fini) struct cox_buf request = { 0 };
	if (!t->is_owed || !a->call)
		return;
	t->is_owed = false;
	cox_agent_request_write(a->is_delta, t->spec.url, cox_buf_str(&t->version), cox_buf_str(&t->nonce), error, &request);
	queue_push(&a->own, cox_buf_str(&request));
	pump_up(a);
}

void cox_agent_ads_tell_health(struct cox_agent_ads *a, struct cox_str unhealthy)
{
	a->has_health = true;
	cox_buf_clear(&a->unhealthy);
	cox_buf_append_str(&a->unhealthy, unhealthy);
	if (!a->call || !a->is_own_subscribed)
		return; /* told when there is a stream */
	queue_health(a);
	pump_up(a);
}

struct cox_str cox_agent_ads_node(const struct cox_agent_ads *a) { return cox_buf_str(a->node.n ? &a->node : &a->own_node); }

bool cox_agent_ads_is_up(const struct cox_agent_ads *a) { return a->state == UP; }

/* --- Envoy -------------------------------------------------------------------------------- */

static void envoy_open(struct cox_agent_ads *a, struct cox_grpc_stream *s, bool is_delta)
{
	if (a->envoy) {
		struct cox_grpc_stream *old = a->envoy;
		cox_grpc_stream_set_data(old, NULL);
		cox_grpc_finish_status(old, COX_GRPC_CANCELLED, COX_STR("a newer stream took over"));
	}
	hang_up(a);
	queue_clear(&a->up);
	cox_timer_stop(a->timer);
	a->envoy = s;
	a->is_delta = is_delta;
	a->is_paused = false;
	cox_buf_clear(&a->node);
	cox_grpc_stream_set_data(s, a);
	want_upstream(a);
}

static void on_open_delta(void *ctx, struct cox_grpc_stream *s) { envoy_open(ctx, s, true); }
static void on_open_sotw(void *ctx, struct cox_grpc_stream *s) { envoy_open(ctx, s, false); }

static void on_envoy_message(void *ctx, struct cox_grpc_stream *s, struct cox_str message)
{
	struct cox_agent_ads *a = ctx;
	if (s != a->envoy)
		return;
	if (a->node.n == 0)
		cox_buf_append_str(&a->node, cox_discovery_request_node(message, a->is_delta));
	queue_push(&a->up, message);
	pump_up(a);
	hold_envoy(a);
}

static void on_envoy_drained(void *ctx, struct cox_grpc_stream *s)
{
	struct cox_agent_ads *a = ctx;
	if (s == a->envoy)
		pump_down(a);
}

static void on_envoy_close(void *ctx, struct cox_grpc_stream *s, enum cox_rc why)
{
	(void)why;
	struct cox_agent_ads *a = ctx;
	if (s != a->envoy)
		return;
	a->envoy = NULL;
	if (a->is_closing)
		return;
	cox_timer_stop(a->timer);
	hang_up(a);
	queue_clear(&a->up);
	a->state = IDLE;
	start_alone(a);
}

/* --- life --------------------------------------------------------------------------------- */

enum cox_rc cox_agent_ads_open(const struct cox_agent_ads_spec *spec, struct cox_agent_ads **out, struct cox_err *err)
{
	COX_ASSERT(spec->type_n <= COX_AGENT_ADS_TYPES_MAX);
	struct cox_agent_ads *a = COX_NEW(struct cox_agent_ads);
	a->spec = *spec;
	a->spec.path = NULL;
	cox_buf_append_str(&a->own_node, spec->node);
	a->spec.node = COX_STR("");
	a->spec.backoff_first_ms = spec->backoff_first_ms ? spec->backoff_first_ms : BACKOFF_FIRST_MS;
	a->spec.backoff_max_ms = spec->backoff_max_ms ? spec->backoff_max_ms : BACKOFF_MAX_MS;
	a->backoff_ms = a->spec.backoff_first_ms;
	for (size_t i = 0; i < spec->type_n; i++)
		a->types[i].spec = spec->types[i];
	a->timer = cox_timer_new(spec->loop, on_timer, a);
	a->methods[0] = (struct cox_grpc_method){ delta_path, on_open_delta, on_envoy_message, NULL, on_envoy_drained, on_envoy_close, a };
	a->methods[1] = (struct cox_grpc_method){ sotw_path, on_open_sotw, on_envoy_message, NULL, on_envoy_drained, on_envoy_close, a };
	struct cox_grpc_server_spec server = {
		.loops = &spec->loop,
		.loop_count = 1,
		.methods = a->methods,
		.method_count = COX_LEN(a->methods),
		.limits = { .message_bytes = REQUEST_MAX, .streams_per_connection = 16 },
	};
	enum cox_rc rc = cox_grpc_server_open(&server, &a->server, err);
	if (rc == COX_OK)
		rc = cox_agent_uds_listen(a->server, spec->path, err);
	if (rc != COX_OK) {
		cox_agent_ads_close(&a, NULL, NULL);
		return rc;
	}
	*out = a;
	start_alone(a);
	return COX_OK;
}

static void on_server_closed(void *ctx)
{
	struct cox_agent_ads *a = ctx;
	for (size_t i = 0; i < a->spec.type_n; i++) {
		cox_buf_fini(&a->types[i].nonce);
		cox_buf_fini(&a->types[i].version);
	}
	queue_clear(&a->up);
	cox_buf_fini(&a->node);
	cox_buf_fini(&a->own_node);
	cox_buf_fini(&a->unhealthy);
	if (a->closed)
		a->closed(a->closed_ctx);
	cox_free(a);
}

void cox_agent_ads_close(struct cox_agent_ads **ap, void (*closed)(void *ctx), void *ctx)
{
	struct cox_agent_ads *a = COX_MOVE(*ap);
	if (!a) {
		if (closed)
			closed(ctx);
		return;
	}
	a->is_closing = true;
	a->closed = closed;
	a->closed_ctx = ctx;
	a->state = IDLE;
	cox_timer_free(&a->timer);
	hang_up(a);
	if (a->server)
		cox_grpc_server_close(&a->server, on_server_closed, a);
	else
		on_server_closed(a);
}
