/* stream - one ADS stream: requests into its core, responses out, deliveries from push; and the turns of its loop. */
#include "xds/server_priv.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "envoy/transcode.h"
#include "xds/encode.h"
#include "xds/request.h"

#include <stdio.h>

enum { AGE_MS = 1000 };

/* Pushed by agents: whether their application is well. Never answered. */
static const struct cox_str health_url = COX_STR_INIT("type.googleapis.com/istio.v1.HealthInformation");

static bool path_is_delta(const struct cox_grpc_stream *s)
{
	return cox_str_search(cox_str_of(cox_grpc_stream_method(s)->path), COX_STR("DeltaAggregated")) >= 0;
}

/* --- turns -------------------------------------------------------------------------------------- */

static void wake_loop(struct stream_loop *l)
{
	if (!cox_timer_is_running(l->turn))
		cox_timer_start(l->turn, 0, 0);
}

static void make_ready(struct ads_stream *a)
{
	struct stream_loop *l = a->home;
	if (a->is_queued || a->is_closing || !a->proxy)
		return;
	a->is_queued = true;
	if (a->is_configured)
		cox_vec_push(&l->ready, a);
	else
		cox_vec_push(&l->firsts, a);
	wake_loop(l);
}

void stream_wake(struct ads_stream *a) { make_ready(a); }

static void set_wake(struct stream_loop *l, int64_t at_ms)
{
	if (at_ms == INT64_MAX || (l->wake_at_ms && l->wake_at_ms <= at_ms))
		return;
	int64_t now = cox_clock_mono_ms();
	l->wake_at_ms = at_ms;
	cox_timer_start(l->wake, at_ms > now ? at_ms - now : 0, 0);
}

static void on_wake(void *arg)
{
	struct stream_loop *l = arg;
	int64_t now = cox_clock_mono_ms(), next = INT64_MAX;
	l->wake_at_ms = 0;
	for (size_t i = 0; i < l->streams.n; i++) {
		struct ads_stream *a = l->streams.p[i];
		if (a->wake_ms <= now)
			make_ready(a);
		else if (a->wake_ms < next)
			next = a->wake_ms;
	}
	set_wake(l, next);
}

static void count_sent(struct ads_stream *a, const struct cox_xds_response *r, size_t bytes)
{
	cox_metric_add(COX_M_XDS_PUSHES, cox_type_metric(r->type), 1);
	cox_metric_observe(COX_M_XDS_PUSH_BYTES, cox_type_metric(r->type), (double)bytes);
	a->sent_bytes += bytes;
	xds_pushed_note(&a->pushed, r, bytes, a->event_ns);
	if (a->event_ns && !r->is_asked)
		cox_metric_observe(COX_M_CONVERGENCE, NULL, (double)(cox_clock_mono_ns() - a->event_ns) / 1e9);
}

static void count_failed(enum cox_type type)
{
	char label[32];
	snprintf(label, sizeof(label), "%s_senderr", cox_type_metric(type)); /* as istiod */
	cox_metric_add(COX_M_XDS_PUSH_ERRORS, cox_type_metric(type), 1);
	cox_metric_add(COX_M_XDS_PUSHES, label, 1);
	cox_metric_add(COX_M_XDS_INTERNAL_ERRORS, NULL, 1);
}

static void count_rejected(const struct ads_stream *a, enum cox_type type, int code)
{
	static const char *const codes[] = { "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
		                             "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
		                             "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
		                             "DataLoss", "Unauthenticated" };
	static const struct {
		enum cox_type type;
		enum cox_metric metric;
	} own[] = { { COX_TYPE_CDS, COX_M_XDS_CDS_REJECT },
		    { COX_TYPE_EDS, COX_M_XDS_EDS_REJECT },
		    { COX_TYPE_LDS, COX_M_XDS_LDS_REJECT },
		    { COX_TYPE_RDS, COX_M_XDS_RDS_REJECT } };
	char node[256];
	snprintf(node, sizeof(node), "%.*s.%.*s", COX_FMT(a->proxy->name), COX_FMT(a->proxy->ns));
	struct cox_str labels[] = { cox_str_of(node), cox_str_of(code >= 0 && (size_t)code < COX_LEN(codes) ? codes[code] : "Unknown") };
	cox_metric_add(COX_M_XDS_REJECT, cox_type_metric(type), 1);
	for (size_t i = 0; i < COX_LEN(own); i++)
		if (own[i].type == type)
			cox_metric_add_labels(own[i].metric, labels, COX_LEN(labels), 1);
}

/* Its turn has come. */
static void count_waited(struct ads_stream *a)
{
	if (a->queued_ns)
		cox_metric_observe(COX_M_QUEUE_TIME, NULL, (double)(cox_clock_mono_ns() - a->queued_ns) / 1e9);
	a->queued_ns = 0;
}

/* Sends one response if there is one and the stream takes it. */
static void send_next(struct ads_stream *a)
{
	struct cox_xds_response r;
	int64_t wake;
	if (!cox_grpc_is_writable(a->grpc))
		return; /* on_drained comes back here */
	if (!cox_xds_core_next(a->core, cox_clock_mono_ms(), &r, &wake)) {
		a->wake_ms = wake;
		set_wake(a->home, wake);
		a->is_configured |= cox_xds_core_is_ready(a->core);
		xds_pushed_settled(&a->pushed);
		follow_check(a);
		return;
	}
	cox_pieces pieces = { 0 };
	int64_t began_ns = cox_clock_mono_ns();
	size_t bytes = cox_xds_encode(&r, a->is_delta, cox_str_of(a->home->server->identifier), &pieces);
	enum cox_rc rc = cox_grpc_send(a->grpc, pieces.p, pieces.n);
	cox_vec_fini(&pieces);
	if (rc != COX_OK) {
		count_failed(r.type);
		cox_grpc_finish(a->grpc, rc, COX_STR("the response could not be sent"));
		return;
	}
	a->sent_ns = cox_clock_mono_ns();
	cox_metric_observe(COX_M_XDS_PUSH_TIME, cox_type_metric(r.type), (double)(a->sent_ns - began_ns) / 1e9);
	count_sent(a, &r, bytes);
	/* The next type may follow at once where this message is already out. */
	make_ready(a);
}

static void on_turn(void *arg)
{
	struct stream_loop *l = arg;
	/* Those that are configured first, then a few new ones: endpoint updates never wait for first configurations.
	 * send_next() may end a stream, which takes itself out of the lists; so always the first is taken. */
	for (size_t turns = l->ready.n; turns && l->ready.n; turns--) {
		struct ads_stream *a = l->ready.p[0];
		cox_vec_remove(&l->ready, 0);
		a->is_queued = false;
		count_waited(a);
		send_next(a);
	}
	for (size_t turns = cox_min_size(l->firsts.n, l->server->opts.first_configs); turns && l->firsts.n; turns--) {
		struct ads_stream *a = l->firsts.p[0];
		cox_vec_remove(&l->firsts, 0);
		a->is_queued = false;
		count_waited(a);
		send_next(a);
	}
	if (l->ready.n || l->firsts.n)
		wake_loop(l);
}

static void on_age(void *arg) { cox_steps_age(((struct stream_loop *)arg)->steps); }

void stream_loop_init(struct stream_loop *l, struct cox_xds_server *server, struct cox_loop *loop)
{
	*l = (struct stream_loop){ .server = server, .loop = loop, .steps = cox_steps_new() };
	l->turn = cox_timer_new(loop, on_turn, l);
	l->wake = cox_timer_new(loop, on_wake, l);
	l->age = cox_timer_new(loop, on_age, l);
	cox_timer_start(l->age, AGE_MS, AGE_MS);
}

void stream_loop_fini(struct stream_loop *l)
{
	COX_ASSERT(!l->streams.n);
	cox_timer_free(&l->turn);
	cox_timer_free(&l->wake);
	cox_timer_free(&l->age);
	cox_steps_free(l->steps);
	cox_map_fini(&l->ids);
	cox_vec_fini(&l->streams);
	cox_vec_fini(&l->ready);
	cox_vec_fini(&l->firsts);
	cox_vec_fini(&l->lagging);
	cox_arena_fini(&l->arena);
}

/* --- from push and from the core --------------------------------------------------------------------- */

static void on_deliver(void *arg, const struct cox_wanted *const parts[COX_PUSH_PARTS])
{
	struct ads_stream *a = arg;
	int64_t now = cox_clock_mono_ms();
	for (unsigned p = 0; p < COX_PUSH_PARTS; p++) {
		if (a->wanted[p] == parts[p])
			continue;
		const struct cox_wanted *old = a->wanted[p];
		a->wanted[p] = cox_wanted_ref(parts[p]);
		a->event_ns = parts[p]->event_ns;
		xds_pushed_wanted(&a->pushed, parts[p]->cause);
		cox_xds_core_want(a->core, p, a->wanted[p]->sets, now);
		cox_wanted_unref(old);
		follow_moved(a);
	}
	if (!a->queued_ns)
		a->queued_ns = cox_clock_mono_ns();
	make_ready(a);
}

static void on_rejected(void *arg, const struct cox_xds_rejection *r)
{
	struct ads_stream *a = arg;
	cox_log(COX_LOG_WARN, "ads", "proxy rejected a resource proxy=%.*s type=%.*s resource=\"%.*s\" error=\"%.*s\"",
	        COX_FMT(a->proxy->id), COX_FMT(cox_type_short(r->type)), COX_FMT(r->resource->name),
	        COX_FMT(cox_str_sub(r->message, 0, 500)));
	cox_push_reject(a->home->server->opts.push, a->client, r->resource, r->message);
}

static void on_gate_expired(void *arg, enum cox_type type)
{
	struct ads_stream *a = arg;
	cox_metric_add(COX_M_XDS_GATE_EXPIRED, cox_type_metric(type), 1);
	cox_log(COX_LOG_INFO, "ads", "clusters not acknowledged in time, going on proxy=%.*s type=%.*s", COX_FMT(a->proxy->id),
	        COX_FMT(cox_type_short(type)));
}

/* --- requests ------------------------------------------------------------------------------------------ */

void stream_refuse(struct ads_stream *a, enum cox_rc rc, const char *reason, struct cox_str text)
{
	cox_metric_add(COX_M_XDS_STREAMS_REFUSED, reason, 1);
	cox_log(COX_LOG_WARN, "ads", "stream refused peer=%s reason=%s text=\"%.*s\"", cox_grpc_stream_peer_address(a->grpc), reason,
	        COX_FMT(text));
	a->is_closing = true;
	cox_grpc_finish(a->grpc, rc, text);
}

/* A proxy that comes back may be here before its old stream is known to be dead; else somebody takes the name of another. Each gets
 * what its own node asks for, and neither disturbs the other. */
static void note_id(struct stream_loop *l, struct ads_stream *a)
{
	const struct ads_stream *other = cox_map_set(&l->ids, a->proxy->id, a);
	if (!other)
		return;
	cox_log(COX_LOG_WARN, "ads",
	        "node id of a stream that is open: the proxy is back, or another claims its id proxy=%.*s peer=%s other_peer=%s",
	        COX_FMT(a->proxy->id), cox_grpc_stream_peer_address(a->grpc), cox_grpc_stream_peer_address(other->grpc));
}

static void start(struct ads_stream *a, const struct cox_proxy *proxy)
{
	struct stream_loop *l = a->home;
	a->proxy = proxy;
	a->core = cox_xds_core_new(&(struct cox_xds_core_options){ .is_delta = a->is_delta,
	                                                           .has_vhds = a->is_delta && proxy->has_vhds,
	                                                           .klass = proxy->klass,
	                                                           .steps = l->steps,
	                                                           .rejected = on_rejected,
	                                                           .gate_expired = on_gate_expired,
	                                                           .arg = a });
	a->client = cox_push_attach(
	    l->server->opts.push,
	    &(struct cox_push_client_spec){
	        .loop = l->loop, .proxy = proxy, .is_delta = a->is_delta, .identity = a->identity, .deliver = on_deliver, .arg = a });
	atomic_fetch_add(&l->server->proxy_count, 1);
	cox_metric_add(COX_M_XDS_CONNECTED, proxy->version.n ? proxy->version.p : "unknown", 1);
	note_id(l, a);
	cox_log(COX_LOG_INFO, "ads", "stream opened proxy=%.*s peer=%s protocol=%s", COX_FMT(proxy->id),
	        cox_grpc_stream_peer_address(a->grpc), a->is_delta ? "delta" : "sotw");
}

/* Without a->proxy afterwards: a workload that registers itself waits for an answer. */
static enum cox_rc begin(struct ads_stream *a, struct cox_str node, const char **reason, struct cox_err *err)
{
	struct cox_json *json;
	struct cox_proxy *proxy;
	if (!node.n)
		return cox_err_set(err, COX_EINVAL, "node", "the first request of a stream must carry the node");
	COX_TRY(cox_envoy_to_json(cox_envoy_message_find(COX_STR("envoy.config.core.v3.Node")), node, 0, &a->home->arena, &json, err));
	COX_TRY(cox_proxy_build(json, &proxy, err));
	enum cox_rc rc = authorize_node(a, proxy, &a->identity, reason, err);
	if (rc == COX_OK && !visit_begin(a, proxy)) {
		start(a, proxy);
		return COX_OK;
	}
	cox_proxy_unref(proxy);
	return rc;
}

void stream_go_on(struct ads_stream *a, const struct cox_proxy *proxy)
{
	start(a, proxy);
	authorize_replay(a);
}

void stream_on_open(void *ctx, struct cox_grpc_stream *s)
{
	struct cox_xds_server *server = ctx;
	struct stream_loop *l = &server->loops[cox_grpc_stream_loop_index(s)];
	if (!cox_push_is_synced(server->opts.push)) {
		/* Envoys keep what they have and come back (DESIGN decision 13). */
		cox_metric_add(COX_M_XDS_STREAMS_REFUSED, "not_ready", 1);
		cox_grpc_finish(s, COX_EAGAIN, COX_STR("sources are not complete yet"));
		return;
	}
	if (!stream_is_admitted(l, s))
		return;
	struct ads_stream *a = COX_NEW(struct ads_stream);
	a->home = l;
	a->grpc = s;
	a->is_delta = path_is_delta(s);
	a->connected_ms = cox_clock_wall_ms();
	a->wake_ms = INT64_MAX;
	a->serial = ++l->next_serial;
	cox_vec_push(&l->streams, a);
	atomic_fetch_add(&server->stream_count, 1);
	cox_grpc_stream_set_data(s, a);
	authorize_begin(a);
}

static enum cox_rc take_request(struct ads_stream *a, struct cox_str message, const char **reason, struct cox_err *err)
{
	struct cox_xds_decoded d;
	*reason = "malformed";
	COX_TRY(cox_xds_request_decode(message, a->is_delta, &a->home->arena, &d, err));
	if (debug_is_question(d.type_url)) {
		if (!a->proxy && d.node.n && !a->first_node.n)
			cox_buf_append_str(&a->first_node, d.node);
		debug_ask(a, d.type_url, &d.request);
		return COX_OK;
	}
	if (!a->proxy) {
		*reason = "node";
		COX_TRY(begin(a, d.node.n ? d.node : cox_buf_str(&a->first_node), reason, err));
		if (!a->proxy) {
			authorize_holds(a, message);
			return COX_OK;
		}
	}
	if (cox_str_eq(d.type_url, health_url)) {
		visit_health(a, !d.request.has_error, d.request.error);
		return COX_OK;
	}
	if (d.request.type == COX_TYPE_COUNT) {
		cox_log(COX_LOG_DEBUG, "ads", "type not served proxy=%.*s type=%.*s", COX_FMT(a->proxy->id), COX_FMT(d.type_url));
		return COX_OK;
	}
	if (d.request.has_error) {
		count_rejected(a, d.request.type, d.error_code);
		cox_log(COX_LOG_WARN, "ads", "NACK proxy=%.*s type=%.*s error=\"%.*s\"", COX_FMT(a->proxy->id),
		        COX_FMT(cox_type_short(d.request.type)), COX_FMT(cox_str_sub(d.request.error, 0, 500)));
	}
	*reason = "request";
	xds_pushed_answered(&a->pushed, d.request.type, d.request.nonce, d.request.has_error);
	uint64_t stale = cox_xds_core_stale_nonces(a->core);
	enum cox_rc rc = cox_xds_core_request(a->core, &d.request, cox_clock_mono_ms(), err);
	if (d.request.type == COX_TYPE_NDS && !a->watches_names) {
		a->watches_names = true;
		cox_push_watch_names(a->home->server->opts.push, a->client);
	}
	follow_check(a);
	if (cox_xds_core_stale_nonces(a->core) != stale)
		cox_metric_add(COX_M_XDS_EXPIRED_NONCE, cox_type_metric(d.request.type), 1);
	return rc;
}

void stream_on_message(void *ctx, struct cox_grpc_stream *s, struct cox_str message)
{
	struct ads_stream *a = cox_grpc_stream_data(s);
	struct cox_err err = { 0 };
	const char *reason;
	char text[640];
	(void)ctx;
	if (!a || a->is_closing || authorize_holds(a, message))
		return;
	if (message.n > a->home->recv_max) {
		a->home->recv_max = message.n;
		cox_metric_max(COX_M_XDS_RECV_MAX, (double)message.n);
	}
	cox_arena_reset(&a->home->arena);
	enum cox_rc rc = take_request(a, message, &reason, &err);
	if (rc != COX_OK) {
		stream_refuse(a, rc, reason, cox_str_of(cox_err_describe(&err, text, sizeof(text))));
		return;
	}
	make_ready(a);
}

void stream_on_drained(void *ctx, struct cox_grpc_stream *s)
{
	struct ads_stream *a = cox_grpc_stream_data(s);
	(void)ctx;
	if (!a)
		return;
	if (a->sent_ns)
		cox_metric_observe(COX_M_XDS_SEND_TIME, NULL, (double)(cox_clock_mono_ns() - a->sent_ns) / 1e9);
	a->sent_ns = 0;
	debug_flush(a);
	make_ready(a);
}

static void drop_from(struct ads_stream **p, size_t *n, const struct ads_stream *a)
{
	for (size_t i = 0; i < *n; i++)
		if (p[i] == a) {
			memmove(&p[i], &p[i + 1], (*n - i - 1) * sizeof(*p));
			(*n)--;
			return;
		}
}

void stream_on_close(void *ctx, struct cox_grpc_stream *s, enum cox_rc why)
{
	struct ads_stream *a = cox_grpc_stream_data(s);
	(void)ctx;
	if (!a)
		return;
	struct stream_loop *l = a->home;
	if (a->proxy) {
		if (cox_map_find(&l->ids, a->proxy->id) == a)
			cox_map_remove(&l->ids, a->proxy->id);
		atomic_fetch_sub(&l->server->proxy_count, 1);
		cox_metric_add(COX_M_XDS_CONNECTED, a->proxy->version.n ? a->proxy->version.p : "unknown", -1);
		cox_log(COX_LOG_INFO, "ads", "stream closed proxy=%.*s why=%s sent_bytes=%llu", COX_FMT(a->proxy->id), cox_rc_name(why),
		        (unsigned long long)a->sent_bytes);
	}
	if (why == COX_ETIMEOUT)
		cox_metric_add(COX_M_XDS_WRITE_TIMEOUT, NULL, 1);
	follow_end(a);
	visit_end(a);
	authorize_end(a);
	debug_end(a);
	cox_push_detach(l->server->opts.push, &a->client);
	drop_from(l->ready.p, &l->ready.n, a);
	drop_from(l->firsts.p, &l->firsts.n, a);
	cox_vec_remove(&l->streams, list_place(l, a->serial));
	atomic_fetch_sub(&l->server->stream_count, 1);
	cox_xds_core_free(a->core);
	for (unsigned p = 0; p < COX_PUSH_PARTS; p++)
		cox_wanted_unref(a->wanted[p]);
	cox_proxy_unref(a->proxy);
	cox_free(a);
}
