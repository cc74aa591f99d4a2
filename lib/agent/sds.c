#include "agent/sds.h"

#include "agent/discovery.h"
#include "agent/secret.h"
#include "agent/uds.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/vec.h"
#include "envoy/envoy.h"
#include "envoy/google_protobuf.h"
#include "envoy/service_discovery_v3.h"
#include "envoy/transport_sockets_tls_v3.h"

#include <stdio.h>

enum { VERSION_BYTES = 33, MESSAGE_MAX = 256 << 10, FRAMING_BYTES_MAX = 512, REASON_MAX = 1024 };

/* A name that is, or was, wanted or set. Freed with the server: the names of one Envoy are few. */
struct entry {
	char *name;
	struct cox_buf secret;
	char version[VERSION_BYTES]; /* of the content; empty: none yet */
	size_t wants;                /* streams that subscribed */
	struct cox_buf reason;       /* of the last rejection */
	bool is_provisional;
};

struct subscription {
	struct entry *entry;
	uint64_t nonce; /* of the message that carried `sent` */
	bool has_other; /* a version from before this stream, which is not known to us */
	char sent[VERSION_BYTES], acked[VERSION_BYTES], rejected[VERSION_BYTES];
};

struct sds_stream {
	struct cox_agent_sds *sds;
	struct cox_grpc_stream *stream;
	struct sds_stream *prev, *next;
	bool is_delta;
	uint64_t nonce; /* of the last message */
	COX_VEC(struct subscription) subs;
};

struct cox_agent_sds {
	struct cox_agent_sds_spec spec;
	struct cox_grpc_server *server;
	struct cox_grpc_method methods[2];
	COX_VEC(struct entry *) entries;
	struct sds_stream *streams;
	size_t stream_n;
	struct cox_loop_task told; /* on_want, on_unwant and on_progress come from here */
	bool is_told_posted, is_progress, is_closing;
	COX_VEC(struct entry *) changed; /* whose `wants` became or left zero */
	void (*closed)(void *ctx);
	void *closed_ctx;
};

/* --- telling the owner -------------------------------------------------------------------- */

static void sds_free(struct cox_agent_sds *s)
{
	for (size_t i = 0; i < s->entries.n; i++) {
		cox_agent_secret_fini(&s->entries.p[i]->secret);
		cox_buf_fini(&s->entries.p[i]->reason);
		cox_free(s->entries.p[i]->name);
		cox_free(s->entries.p[i]);
	}
	cox_vec_fini(&s->entries);
	cox_vec_fini(&s->changed);
	if (s->closed)
		s->closed(s->closed_ctx);
	cox_free(s);
}

static void tell(struct cox_loop_task *task)
{
	struct cox_agent_sds *s = (struct cox_agent_sds *)((char *)task - offsetof(struct cox_agent_sds, told));
	s->is_told_posted = false;
	if (s->is_closing) {
		if (!s->server)
			sds_free(s);
		return;
	}
	while (s->changed.n != 0) {
		struct entry *e = s->changed.p[--s->changed.n];
		void (*fn)(void *ctx, struct cox_str name) = e->wants ? s->spec.on_want : s->spec.on_unwant;
		if (fn)
			fn(s->spec.ctx, cox_str_of(e->name));
	}
	if (s->is_progress && s->spec.on_progress) {
		s->is_progress = false;
		s->spec.on_progress(s->spec.ctx);
	}
}

static void post(struct cox_agent_sds *s)
{
	if (!s->is_told_posted) {
		s->is_told_posted = true;
		cox_loop_post(s->spec.loop, &s->told);
	}
}

static void progress(struct cox_agent_sds *s)
{
	s->is_progress = true;
	post(s);
}

static void want(struct cox_agent_sds *s, struct entry *e, int step)
{
	bool was = e->wants != 0;
	e->wants += (size_t)step;
	if (was != (e->wants != 0)) {
		cox_vec_push(&s->changed, e);
		post(s);
	}
}

static struct entry *entry_of(struct cox_agent_sds *s, struct cox_str name)
{
	for (size_t i = 0; i < s->entries.n; i++)
		if (cox_str_eq_cstr(name, s->entries.p[i]->name))
			return s->entries.p[i];
	struct entry *e = COX_NEW(struct entry);
	e->name = cox_str_dup_cstr(name);
	cox_vec_push(&s->entries, e);
	return e;
}

/* --- what goes out ------------------------------------------------------------------------ */

static bool is_due(const struct subscription *sub)
{
	if (sub->entry->version[0] == 0 || !strcmp(sub->sent, sub->entry->version))
		return false;
	return !sub->entry->is_provisional || !(sub->has_other || sub->sent[0]);
}

/* State of the world: all of the stream's secrets, also those that did not change. */
static bool is_written(const struct sds_stream *st, const struct subscription *sub)
{
	return is_due(sub) || (!st->is_delta && sub->sent[0] && !strcmp(sub->sent, sub->entry->version));
}

static void write_delta(const struct sds_stream *st, struct cox_str nonce, struct cox_pb *pb)
{
	PB_ROOT (m, pb_service_discovery_v3_DeltaDiscoveryResponse, pb) {
		for (size_t i = 0; i < st->subs.n; i++) {
			const struct subscription *sub = &st->subs.p[i];
			if (!is_written(st, sub))
				continue;
			PB_WITH (r, pb_service_discovery_v3_DeltaDiscoveryResponse_resources(m)) {
				pb_service_discovery_v3_Resource_version(r, cox_str_of(sub->entry->version));
				PB_WITH (any, pb_service_discovery_v3_Resource_resource(r)) {
					pb_google_protobuf_Any_type_url(any, PB_TYPE_URL(pb_transport_sockets_tls_v3_Secret));
					pb_google_protobuf_Any_value(any, cox_buf_str(&sub->entry->secret));
				}
				pb_service_discovery_v3_Resource_name(r, cox_str_of(sub->entry->name));
			}
		}
		pb_service_discovery_v3_DeltaDiscoveryResponse_type_url(m, PB_TYPE_URL(pb_transport_sockets_tls_v3_Secret));
		pb_service_discovery_v3_DeltaDiscoveryResponse_nonce(m, nonce);
	}
}

static void write_sotw(const struct sds_stream *st, struct cox_str version, struct cox_str nonce, struct cox_pb *pb)
{
	PB_ROOT (m, pb_service_discovery_v3_DiscoveryResponse, pb) {
		pb_service_discovery_v3_DiscoveryResponse_version_info(m, version);
		for (size_t i = 0; i < st->subs.n; i++)
			if (is_written(st, &st->subs.p[i]))
				PB_WITH (any, pb_service_discovery_v3_DiscoveryResponse_resources(m)) {
					pb_google_protobuf_Any_type_url(any, PB_TYPE_URL(pb_transport_sockets_tls_v3_Secret));
					pb_google_protobuf_Any_value(any, cox_buf_str(&st->subs.p[i].entry->secret));
				}
		pb_service_discovery_v3_DiscoveryResponse_type_url(m, PB_TYPE_URL(pb_transport_sockets_tls_v3_Secret));
		pb_service_discovery_v3_DiscoveryResponse_nonce(m, nonce);
	}
}

static void release(void *ctx)
{
	struct cox_buf *b = ctx;
	cox_agent_secret_fini(b);
	cox_free(b);
}

static struct cox_buf *build(struct sds_stream *st)
{
	char nonce[24], version[VERSION_BYTES];
	struct cox_buf *out = COX_NEW(struct cox_buf);
	struct cox_hash all = { 0, 0 };
	struct cox_pb pb;
	size_t need = FRAMING_BYTES_MAX;
	for (size_t i = 0; i < st->subs.n; i++) {
		const struct entry *e = st->subs.p[i].entry;
		need += e->secret.n + strlen(e->name) + FRAMING_BYTES_MAX;
		all = cox_hash_combine(all, cox_hash128(e->version, strlen(e->version)));
	}
	cox_hash_to_hex(all, version);
	snprintf(nonce, sizeof(nonce), "%llu", (unsigned long long)++st->nonce);
	cox_buf_reserve(out, need); /* growing would leave copies of keys behind */
	cox_pb_init(&pb, out);
	if (st->is_delta)
		write_delta(st, cox_str_of(nonce), &pb);
	else
		write_sotw(st, cox_str_of(version), cox_str_of(nonce), &pb);
	return out;
}

static void flush(struct sds_stream *st)
{
	bool any = false;
	for (size_t i = 0; i < st->subs.n; i++)
		any |= is_due(&st->subs.p[i]);
	if (!any || !cox_grpc_is_writable(st->stream))
		return;
	struct cox_buf *message = build(st);
	for (size_t i = 0; i < st->subs.n; i++) {
		struct subscription *sub = &st->subs.p[i];
		if (is_written(st, sub)) {
			memcpy(sub->sent, sub->entry->version, sizeof(sub->sent));
			sub->nonce = st->nonce;
		}
	}
	struct cox_grpc_piece piece = { message->p, message->n, release, message };
	if (cox_grpc_send(st->stream, &piece, 1) != COX_OK) /* it is ending: on_close follows */
		cox_log(COX_LOG_DEBUG, "sds", "stream is ending");
}

void cox_agent_sds_set(struct cox_agent_sds *s, struct cox_str name, struct cox_str secret, bool is_provisional)
{
	char version[VERSION_BYTES];
	struct entry *e = entry_of(s, name);
	cox_hash_to_hex(cox_hash128(secret.p, secret.n), version);
	if (!strcmp(version, e->version) && e->is_provisional == is_provisional)
		return;
	e->is_provisional = is_provisional;
	cox_agent_secret_fini(&e->secret);
	cox_buf_append_str(&e->secret, secret);
	memcpy(e->version, version, sizeof(version));
	for (struct sds_stream *st = s->streams; st; st = st->next)
		flush(st);
	progress(s);
}

/* --- what comes in ------------------------------------------------------------------------ */

static struct subscription *sub_find(struct sds_stream *st, struct cox_str name)
{
	for (size_t i = 0; i < st->subs.n; i++)
		if (cox_str_eq_cstr(name, st->subs.p[i].entry->name))
			return &st->subs.p[i];
	return NULL;
}

static void sub_add(struct sds_stream *st, struct cox_str name, bool has_other)
{
	struct subscription *sub = sub_find(st, name);
	if (sub) {
		if (st->is_delta)
			sub->sent[0] = 0; /* asked for again: sent again */
		return;
	}
	sub = cox_vec_add(&st->subs);
	sub->entry = entry_of(st->sds, name);
	sub->has_other = has_other;
	want(st->sds, sub->entry, 1);
}

static void sub_remove(struct sds_stream *st, size_t i)
{
	want(st->sds, st->subs.p[i].entry, -1);
	cox_vec_remove(&st->subs, i);
}

static bool contains(const struct cox_str *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (cox_str_eq_cstr(names[i], name))
			return true;
	return false;
}

static void take_answer(struct sds_stream *st, const struct cox_discovery_request *req)
{
	uint64_t nonce;
	if (cox_str_to_u64(req->nonce, &nonce) != COX_OK)
		return;
	for (size_t i = 0; i < st->subs.n; i++) {
		struct subscription *sub = &st->subs.p[i];
		if (sub->nonce != nonce || !sub->sent[0])
			continue;
		memcpy(req->has_error ? sub->rejected : sub->acked, sub->sent, sizeof(sub->sent));
		if (!req->has_error) {
			sub->rejected[0] = 0;
			continue;
		}
		cox_buf_clear(&sub->entry->reason);
		cox_buf_append_str(&sub->entry->reason, cox_str_sub(req->error, 0, REASON_MAX));
		cox_log(COX_LOG_ERROR, "sds", "envoy rejected a secret name=%s error=\"%.*s\"", sub->entry->name,
		        COX_FMT(cox_buf_str(&sub->entry->reason)));
	}
}

static void take_names(struct sds_stream *st, const struct cox_discovery_request *req)
{
	/* State of the world: the request names everything; an answer to an older message still lists what was wanted then. */
	if (!st->is_delta)
		for (size_t i = st->subs.n; i-- > 0;)
			if (!contains(req->names, req->name_n, st->subs.p[i].entry->name))
				sub_remove(st, i);
	for (size_t i = 0; i < req->unsubscribed_n; i++) {
		struct subscription *sub = sub_find(st, req->unsubscribed[i]);
		if (sub)
			sub_remove(st, (size_t)(sub - st->subs.p));
	}
	for (size_t i = 0; i < req->name_n; i++)
		if (req->names[i].n != 0)
			sub_add(st, req->names[i], st->nonce == 0 && req->version.n != 0);
	/* Envoy knows these from an earlier stream, perhaps from an agent before us: versions are hashes of the content. */
	for (size_t i = 0; i < req->initial_n; i++) {
		struct subscription *sub = sub_find(st, req->initial[i].name);
		if (!sub)
			continue;
		sub->has_other = true;
		if (req->initial[i].version.n >= sizeof(sub->sent))
			continue;
		cox_str_to_cstr(req->initial[i].version, sub->sent, sizeof(sub->sent));
		cox_str_to_cstr(req->initial[i].version, sub->acked, sizeof(sub->acked));
	}
}

static void on_message(void *ctx, struct cox_grpc_stream *stream, struct cox_str message)
{
	(void)ctx;
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	struct sds_stream *st = cox_grpc_stream_data(stream);
	struct cox_discovery_request req;
	struct cox_err err = { 0 };
	enum cox_rc rc = cox_discovery_request_read(message, st->is_delta, COX_AGENT_NAMES_MAX, &arena, &req, &err);
	if (rc == COX_OK && req.type_url.n != 0 && !cox_str_eq(req.type_url, PB_TYPE_URL(pb_transport_sockets_tls_v3_Secret)))
		rc = cox_err_set(&err, COX_EINVAL, NULL, "this server has secrets only, not %.*s", (int)cox_min_size(req.type_url.n, 200),
		                 req.type_url.p);
	if (rc == COX_OK && st->subs.n + req.name_n > COX_AGENT_NAMES_MAX)
		rc = cox_err_set(&err, COX_ELIMIT, NULL, "more than %d secrets on one stream", COX_AGENT_NAMES_MAX);
	if (rc != COX_OK) {
		cox_grpc_finish(stream, rc, cox_str_of(err.text));
		return;
	}
	take_answer(st, &req);
	take_names(st, &req);
	flush(st);
	progress(st->sds);
}

static void stream_open(struct cox_agent_sds *s, struct cox_grpc_stream *stream, bool is_delta)
{
	struct sds_stream *st = COX_NEW(struct sds_stream);
	st->sds = s;
	st->stream = stream;
	st->is_delta = is_delta;
	st->next = s->streams;
	if (st->next)
		st->next->prev = st;
	s->streams = st;
	s->stream_n++;
	cox_grpc_stream_set_data(stream, st);
}

static void on_open_sotw(void *ctx, struct cox_grpc_stream *stream) { stream_open(ctx, stream, false); }
static void on_open_delta(void *ctx, struct cox_grpc_stream *stream) { stream_open(ctx, stream, true); }

static void on_drained(void *ctx, struct cox_grpc_stream *stream)
{
	(void)ctx;
	flush(cox_grpc_stream_data(stream));
}

static void on_close(void *ctx, struct cox_grpc_stream *stream, enum cox_rc why)
{
	(void)why;
	struct cox_agent_sds *s = ctx;
	struct sds_stream *st = cox_grpc_stream_data(stream);
	while (st->subs.n != 0)
		sub_remove(st, st->subs.n - 1);
	cox_vec_fini(&st->subs);
	if (st->prev)
		st->prev->next = st->next;
	else
		s->streams = st->next;
	if (st->next)
		st->next->prev = st->prev;
	s->stream_n--;
	cox_free(st);
	progress(s);
}

/* --- state, life -------------------------------------------------------------------------- */

enum cox_agent_sds_state cox_agent_sds_state(const struct cox_agent_sds *s, struct cox_str name, struct cox_str *reason)
{
	enum cox_agent_sds_state state = COX_AGENT_SDS_TAKEN;
	const struct entry *e = NULL;
	for (size_t i = 0; i < s->entries.n && !e; i++)
		if (cox_str_eq_cstr(name, s->entries.p[i]->name))
			e = s->entries.p[i];
	if (!e || !e->version[0])
		return COX_AGENT_SDS_NONE;
	for (const struct sds_stream *st = s->streams; st; st = st->next)
		for (size_t i = 0; i < st->subs.n; i++) {
			const struct subscription *sub = &st->subs.p[i];
			if (sub->entry != e || !strcmp(sub->acked, e->version))
				continue;
			if (!strcmp(sub->rejected, e->version)) {
				if (reason)
					*reason = cox_buf_str(&e->reason);
				return COX_AGENT_SDS_REJECTED;
			}
			state = COX_AGENT_SDS_PENDING;
		}
	return state;
}

size_t cox_agent_sds_streams(const struct cox_agent_sds *s) { return s->stream_n; }

enum cox_rc cox_agent_sds_open(const struct cox_agent_sds_spec *spec, struct cox_agent_sds **out, struct cox_err *err)
{
	if (cox_agent_uds_is_served(spec->path))
		return cox_err_set(err, COX_EEXIST, NULL, "somebody else serves %s", spec->path);
	struct cox_agent_sds *s = COX_NEW(struct cox_agent_sds);
	s->spec = *spec;
	s->spec.path = NULL;
	s->told.fn = tell;
	static const struct cox_grpc_method sotw = {
		"/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets", on_open_sotw, on_message, NULL, on_drained, on_close, NULL
	};
	static const struct cox_grpc_method delta = {
		"/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets", on_open_delta, on_message, NULL, on_drained, on_close, NULL
	};
	s->methods[0] = sotw;
	s->methods[1] = delta;
	s->methods[0].ctx = s->methods[1].ctx = s;
	struct cox_grpc_server_spec server = {
		.loops = &spec->loop,
		.loop_count = 1,
		.methods = s->methods,
		.method_count = COX_LEN(s->methods),
		.limits = { .message_bytes = MESSAGE_MAX, .streams_per_connection = COX_AGENT_SDS_STREAMS_MAX },
	};
	enum cox_rc rc = cox_grpc_server_open(&server, &s->server, err);
	if (rc == COX_OK)
		rc = cox_agent_uds_listen(s->server, spec->path, err);
	if (rc != COX_OK) {
		cox_agent_sds_close(&s, NULL, NULL);
		return rc;
	}
	*out = s;
	return COX_OK;
}

static void on_server_closed(void *ctx)
{
	struct cox_agent_sds *s = ctx;
	s->server = NULL;
	if (!s->is_told_posted) /* else it runs later and frees */
		sds_free(s);
}

void cox_agent_sds_close(struct cox_agent_sds **sp, void (*closed)(void *ctx), void *ctx)
{
	struct cox_agent_sds *s = COX_MOVE(*sp);
	if (!s) {
		if (closed)
			closed(ctx);
		return;
	}
	s->is_closing = true;
	s->closed = closed;
	s->closed_ctx = ctx;
	if (s->server) {
		struct cox_grpc_server *server = COX_MOVE(s->server);
		s->server = server; /* until it is gone */
		cox_grpc_server_close(&server, on_server_closed, s);
	} else {
		on_server_closed(s);
	}
}
