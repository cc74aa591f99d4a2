/* Streams: who is connected, what they were sent and have acknowledged. Some at a time are read on their loops; the text is made here. */
#include "admin/admin_priv.h"

#include "envoy/admin_v3.h"
#include "envoy/core_v3.h"
#include "envoy/envoy.h"
#include "envoy/google_protobuf.h"
#include "envoy/service_status_v3.h"
#include "envoy/struct_pb.h"

enum { STREAMS = 64 }; /* read in one turn of a loop */

struct streams {
	struct cox_xds_cursor at;
	bool is_begun;
	void (*write)(struct answer *w, struct cox_buf *part, const struct cox_xds_stream_info *info);
	const char *head, *foot;
};

static bool more_streams(struct answer *w, struct cox_buf *part)
{
	struct streams *l = w->state;
	struct cox_xds_stream_info *infos = cox_calloc(STREAMS, sizeof(*infos));
	if (!l->is_begun)
		answer_open(w, part, l->head);
	l->is_begun = true;
	size_t n = cox_xds_server_list(w->a->opts.xds, &l->at, infos, STREAMS);
	for (size_t i = 0; i < n; i++) {
		cox_arena_reset(&w->scratch);
		l->write(w, part, &infos[i]);
		cox_xds_stream_info_fini(&infos[i]);
	}
	cox_free(infos);
	if (n == STREAMS)
		return true;
	answer_close(w, part, l->foot);
	return false;
}

static void streams_open(struct answer *w, const struct streams *l)
{
	w->state = COX_ARENA_NEW(&w->arena, struct streams);
	*(struct streams *)w->state = *l;
	w->more = more_streams;
}

static struct cox_str pod_of(struct cox_arena *a, const struct cox_proxy *p)
{
	return cox_arena_printf(a, "%.*s.%.*s", COX_FMT(p->name), COX_FMT(p->ns));
}

/* --- syncz ------------------------------------------------------------------------------------------------------------- */

enum sync { NOT_SENT, SYNCED, STALE, ERROR };
static enum sync sync_of(const struct cox_xds_type_state *st)
{
	if (!st->sent_nonce)
		return NOT_SENT;
	if (st->last_error.n && st->nacks && !st->is_synced)
		return ERROR;
	return st->is_synced ? SYNCED : STALE;
}

static const char *istiod_name(enum cox_type t)
{
	static const char *const names[COX_TYPE_COUNT] = {
		[COX_TYPE_CDS] = "cluster",  [COX_TYPE_LDS] = "listener",         [COX_TYPE_RDS] = "route",
		[COX_TYPE_EDS] = "endpoint", [COX_TYPE_ECDS] = "extensionconfig",
	};
	return names[t];
}

/* Nonces and states of one type, under istiod's names. */
static void add_type(struct cox_arena *a, struct cox_json *types, struct cox_json *proxy, enum cox_type type,
                     const struct cox_xds_type_state *st)
{
	static const char *const states[] = { "NOT_SENT", "SYNCED", "STALE", "ERROR" };
	struct cox_json *t = cox_json_new_object(a);
	struct cox_str sent = st->sent_nonce ? cox_arena_printf(a, "%llu", (unsigned long long)st->sent_nonce) : COX_STR(""),
	               acked = st->acked_nonce ? cox_arena_printf(a, "%llu", (unsigned long long)st->acked_nonce) : COX_STR("");
	const char *name = istiod_name(type);
	char version[33];
	cox_hash_to_hex(st->sent_version, version);
	answer_set_str(a, t, "sent", sent);
	answer_set_str(a, t, "acked", acked);
	if (st->sent_ms)
		answer_set_time(a, t, "sentTime", st->sent_ms);
	answer_set_str(a, t, "version", cox_str_of(version));
	answer_set_str(a, t, "state", cox_str_of(states[sync_of(st)]));
	answer_set_int(a, t, "resources", (int64_t)st->sent_n);
	answer_set_int(a, t, "nacks", (int64_t)st->nacks);
	if (st->last_error.n)
		answer_set_str(a, t, "lastError", st->last_error);
	cox_json_set(a, types, cox_type_url(type), t);
	if (name && sent.n)
		answer_set_str(a, proxy, cox_arena_printf(a, "%s_sent", name).p, sent);
	if (name && acked.n)
		answer_set_str(a, proxy, cox_arena_printf(a, "%s_acked", name).p, acked);
}

static void write_sync(struct answer *w, struct cox_buf *part, const struct cox_xds_stream_info *info)
{
	struct cox_arena *a = &w->scratch;
	const struct cox_proxy *p = info->proxy;
	struct cox_json *o = cox_json_new_object(a), *types = cox_json_new_object(a);
	if (w->params[PARAM_NAMESPACE].n && !cox_str_eq(w->params[PARAM_NAMESPACE], p->ns))
		return;
	answer_set_str(a, o, "cluster_id", p->cluster_id);
	answer_set_str(a, o, "proxy", pod_of(a, p));
	answer_set_str(a, o, "proxy_type", p->type == COX_PROXY_ROUTER ? COX_STR("router") : COX_STR("sidecar"));
	answer_set_str(a, o, "proxy_version", p->version);
	answer_set_str(a, o, "istio_version", p->version);
	answer_set_str(a, o, "node", p->id);
	for (size_t t = 0; t < COX_TYPE_COUNT; t++)
		if (info->types[t].is_watched)
			add_type(a, types, o, (enum cox_type)t, &info->types[t]);
	cox_json_set(a, o, COX_STR("resources"), types);
	answer_item(w, part, o);
}

void page_sync(struct answer *w) { streams_open(w, &(struct streams){ .write = write_sync, .head = "[", .foot = "]" }); }

/* The same for istioctl, which reads protobuf. */
static enum pb_service_status_v3_ConfigStatus config_status(enum sync s)
{
	switch (s) {
	case NOT_SENT: return PB_service_status_v3_NOT_SENT;
	case SYNCED: return PB_service_status_v3_SYNCED;
	case STALE: return PB_service_status_v3_STALE;
	case ERROR: return PB_service_status_v3_ERROR;
	}
	return PB_service_status_v3_UNKNOWN;
}

static void put_time(struct pb_google_protobuf_Timestamp t, int64_t wall_ms)
{
	pb_google_protobuf_Timestamp_seconds(t, wall_ms / 1000);
	pb_google_protobuf_Timestamp_nanos(t, (int32_t)(wall_ms % 1000) * 1000000);
}

static void put_type(struct pb_service_status_v3_ClientConfig_GenericXdsConfig x, enum cox_type type, const struct cox_xds_type_state *st)
{
	char version[33];
	cox_hash_to_hex(st->sent_version, version);
	pb_service_status_v3_ClientConfig_GenericXdsConfig_type_url(x, cox_type_url(type));
	pb_service_status_v3_ClientConfig_GenericXdsConfig_version_info(x, cox_str_make(version, 32));
	if (st->sent_ms)
		PB_WITH (t, pb_service_status_v3_ClientConfig_GenericXdsConfig_last_updated(x))
			put_time(t, st->sent_ms);
	pb_service_status_v3_ClientConfig_GenericXdsConfig_config_status(x, config_status(sync_of(st)));
	if (sync_of(st) == ERROR)
		PB_WITH (e, pb_service_status_v3_ClientConfig_GenericXdsConfig_error_state(x)) {
			PB_WITH (t, pb_admin_v3_UpdateFailureState_last_update_attempt(e))
				put_time(t, st->sent_ms);
			pb_admin_v3_UpdateFailureState_details(e, st->last_error);
		}
}

void page_client_config(const struct cox_xds_stream_info *info, struct cox_buf *out)
{
	const struct cox_proxy *p = info->proxy;
	struct cox_arena scratch = { 0 };
	struct cox_pb pb;
	cox_pb_init(&pb, out);
	PB_ROOT (c, pb_service_status_v3_ClientConfig, &pb) {
		PB_WITH (n, pb_service_status_v3_ClientConfig_node(c)) {
			pb_core_v3_Node_id(n, pod_of(&scratch, p));
			PB_WITH (m, pb_core_v3_Node_metadata(n)) {
				cox_struct_put_str(m, COX_STR("CLUSTER_ID"), p->cluster_id);
				cox_struct_put_str(m, COX_STR("ISTIO_VERSION"), p->version);
				cox_struct_put_str(m, COX_STR("NAMESPACE"), p->ns);
			}
		}
		for (size_t t = 0; t < COX_TYPE_COUNT; t++)
			if (info->types[t].is_watched)
				PB_WITH (x, pb_service_status_v3_ClientConfig_generic_xds_configs(c))
					put_type(x, (enum cox_type)t, &info->types[t]);
	}
	cox_arena_fini(&scratch);
}

/* --- adsz, connections ------------------------------------------------------------------------------------------------- */

/* What, with the metadata, makes the same proxy again: tools render what this one would get. */
static void add_node(struct cox_arena *a, struct cox_json *into, const struct cox_proxy *p)
{
	struct cox_json *node = cox_json_new_object(a), *locality = cox_json_new_object(a), *extensions = cox_json_new_array(a);
	answer_set_str(a, node, "id", p->id);
	answer_set_str(a, locality, "region", p->region);
	answer_set_str(a, locality, "zone", p->zone);
	answer_set_str(a, locality, "sub_zone", p->sub_zone);
	cox_json_set(a, node, COX_STR("locality"), locality);
	cox_json_set(a, into, COX_STR("locality"), locality);
	if (p->klass == COX_CLASS_ISTIO) { /* any name of Istio's means its class */
		struct cox_json *e = cox_json_new_object(a);
		answer_set_str(a, e, "name", COX_STR("istio.stats"));
		cox_json_push(a, extensions, e);
	}
	cox_json_set(a, node, COX_STR("extensions"), extensions);
	cox_json_set(a, into, COX_STR("node"), node);
}

/* Names of what is subscribed by name, as far as it exists; all of a type: an empty list, as Istio has it. */
static struct cox_json *watch_json(struct cox_arena *a, const struct cox_xds_stream_info *info, enum cox_type t)
{
	struct cox_json *list = cox_json_new_array(a);
	for (unsigned p = 0; p < COX_PUSH_PARTS && !info->types[t].is_wildcard; p++)
		for (size_t i = 0; info->sent[t][p] && i < info->sent[t][p]->n; i++)
			cox_json_push(a, list, cox_json_new_str(a, info->sent[t][p]->items[i]->name));
	return list;
}

static void add_connection(struct cox_arena *a, struct cox_json *o, const struct cox_xds_stream_info *info)
{
	answer_set_str(a, o, "connectionId", cox_xds_stream_id(info, a));
	answer_set_time(a, o, "connectedAt", info->connected_ms);
	answer_set_str(a, o, "address", cox_str_of(info->peer));
}

static void write_ads(struct answer *w, struct cox_buf *part, const struct cox_xds_stream_info *info)
{
	struct cox_arena *a = &w->scratch;
	struct cox_json *o = cox_json_new_object(a), *watches = cox_json_new_object(a), *labels = cox_json_new_object(a);
	add_connection(a, o, info);
	answer_set_str(a, o, "protocol", info->is_delta ? COX_STR("delta") : COX_STR("sotw"));
	answer_set_int(a, o, "sentBytes", (int64_t)info->sent_bytes);
	for (COX_EACH(struct cox_kv, l, info->proxy->labels))
		cox_json_set(a, labels, l->key, cox_json_new_str(a, l->value));
	cox_json_set(a, o, COX_STR("labels"), labels);
	if (info->proxy->metadata)
		cox_json_set(a, o, COX_STR("metadata"), info->proxy->metadata);
	add_node(a, o, info->proxy);
	for (size_t t = 0; t < COX_TYPE_COUNT; t++)
		if (info->types[t].is_watched)
			cox_json_set(a, watches, cox_type_url((enum cox_type)t), watch_json(a, info, (enum cox_type)t));
	cox_json_set(a, o, COX_STR("watches"), watches);
	answer_item(w, part, o);
}

static void write_connection(struct answer *w, struct cox_buf *part, const struct cox_xds_stream_info *info)
{
	struct cox_json *o = cox_json_new_object(&w->scratch);
	add_connection(&w->scratch, o, info);
	answer_item(w, part, o);
}

/* The number stands before the list, and streams may come and go while it is written: it counts streams, as of now. */
static const char *total_head(struct answer *w, size_t n)
{
	struct cox_str s = cox_arena_printf(&w->arena, "{\"totalClients\":%zu,\"clients\":[%c", n, 0);
	return s.p;
}

static void write_one(struct answer *w)
{
	struct cox_xds_stream_info info;
	struct cox_buf text = { 0 };
	if (!page_find_proxy(w, &info))
		return;
	answer_open(w, &text, total_head(w, 1));
	write_ads(w, &text, &info);
	answer_close(w, &text, "]}\n");
	cox_xds_stream_info_fini(&info);
	w->content_type = "application/json";
	w->text = cox_arena_str(&w->arena, cox_buf_str(&text));
	cox_buf_fini(&text);
}

static void push_all(void *arg) { cox_xds_server_resend(((struct answer *)arg)->a->opts.xds); }

void page_ads(struct answer *w)
{
	size_t n = cox_xds_server_proxies(w->a->opts.xds);
	if (w->params[PARAM_PUSH].n) {
		if (!w->a->opts.debug.is_unsafe_on) {
			answer_say(w, 403, "?push needs UNSAFE_ENABLE_ADMIN_ENDPOINTS");
			return;
		}
		push_all(w);
		w->text = cox_arena_printf(&w->arena, "Pushed to %zu servers\n", n);
		return;
	}
	if (w->has_param[PARAM_PROXY])
		write_one(w);
	else
		streams_open(w, &(struct streams){ .write = write_ads, .head = total_head(w, n), .foot = "]}" });
}

void page_connections(struct answer *w)
{
	streams_open(
	    w, &(struct streams){ .write = write_connection, .head = total_head(w, cox_xds_server_proxies(w->a->opts.xds)), .foot = "]}" });
}

void page_disconnect(struct answer *w)
{
	struct cox_str id = w->params[PARAM_PROXY];
	if (!id.n)
		answer_say(w, 400, page_no_proxy_id);
	else if (cox_xds_server_disconnect(w->a->opts.xds, id) != COX_OK)
		answer_say(w, 404, page_not_connected);
	else
		answer_say(w, 200, "OK");
}
