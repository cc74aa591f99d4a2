/* dump - what the streams hold, for people and tools: taken on each stream loop, so nothing needs a lock. */
#include "xds/server_priv.h"

#include "xds/core.h"

#include "base/clock.h"

struct dump_call {
	struct stream_loop *loop;
	struct cox_arena *arena;
	struct cox_json *out;
	bool ads;
	struct cox_str want; /* a proxy, for cox_xds_server_sent() */
	struct cox_xds_sent *sent;
	bool found;
};

static void set_str(struct cox_arena *a, struct cox_json *o, const char *key, struct cox_str v)
{
	cox_json_set(a, o, cox_str_of(key), cox_json_new_str(a, cox_arena_str(a, v)));
}

static struct cox_str pod_of(struct cox_arena *a, const struct cox_proxy *p)
{
	return cox_arena_printf(a, "%.*s.%.*s", COX_FMT(p->name), COX_FMT(p->ns));
}

/* Nonces and states of one type, under istiod's names. */
static void add_type(struct cox_arena *a, struct cox_json *types, struct cox_json *proxy, struct ads_stream *s, enum cox_type type,
                     const char *istiod_name)
{
	struct cox_xds_type_state st;
	char version[33];
	cox_xds_core_state(s->core, type, &st);
	if (!st.is_watched)
		return;
	struct cox_str sent = cox_arena_printf(a, "%llu", (unsigned long long)st.sent_nonce),
	               acked = cox_arena_printf(a, "%llu", (unsigned long long)st.acked_nonce);
	cox_hash_to_hex(st.sent_version, version);
	struct cox_json *t = cox_json_new_object(a);
	set_str(a, t, "sent", sent);
	set_str(a, t, "acked", acked);
	set_str(a, t, "version", cox_str_of(version));
	set_str(a, t, "state",
	        !st.sent_nonce                                 ? COX_STR("NOT_SENT")
	        : st.last_error.n && st.nacks && !st.is_synced ? COX_STR("ERROR")
	        : st.is_synced                                 ? COX_STR("SYNCED")
	                                                       : COX_STR("STALE"));
	cox_json_set(a, t, COX_STR("resources"), cox_json_new_i64(a, (int64_t)st.sent_n));
	cox_json_set(a, t, COX_STR("nacks"), cox_json_new_i64(a, (int64_t)st.nacks));
	if (st.last_error.n)
		set_str(a, t, "lastError", st.last_error);
	cox_json_set(a, types, cox_arena_str(a, cox_type_url(type)), t);
	if (istiod_name) {
		set_str(a, proxy, cox_arena_printf(a, "%s_sent", istiod_name).p, sent);
		set_str(a, proxy, cox_arena_printf(a, "%s_acked", istiod_name).p, acked);
	}
}

static const char *istiod_name(enum cox_type t)
{
	static const char *const names[COX_TYPE_COUNT] = {
		[COX_TYPE_CDS] = "cluster",  [COX_TYPE_LDS] = "listener",         [COX_TYPE_RDS] = "route",
		[COX_TYPE_EDS] = "endpoint", [COX_TYPE_ECDS] = "extensionconfig",
	};
	return names[t];
}

static void add_sync(struct dump_call *c, struct ads_stream *s)
{
	struct cox_arena *a = c->arena;
	struct cox_json *o = cox_json_new_object(a), *types = cox_json_new_object(a);
	set_str(a, o, "cluster_id", s->proxy->cluster_id);
	set_str(a, o, "proxy", pod_of(a, s->proxy));
	set_str(a, o, "proxy_type", s->proxy->type == COX_PROXY_ROUTER ? COX_STR("router") : COX_STR("sidecar"));
	set_str(a, o, "proxy_version", s->proxy->version);
	set_str(a, o, "istio_version", s->proxy->version);
	set_str(a, o, "node", s->proxy->id);
	for (size_t t = 0; t < COX_TYPE_COUNT; t++)
		add_type(a, types, o, s, (enum cox_type)t, istiod_name((enum cox_type)t));
	cox_json_set(a, o, COX_STR("resources"), types);
	cox_json_push(a, c->out, o);
}

/* What, with the metadata, makes the same proxy again: tools render what this one would get. */
static void add_node(struct cox_arena *a, struct cox_json *into, const struct cox_proxy *p)
{
	struct cox_json *node = cox_json_new_object(a), *locality = cox_json_new_object(a), *extensions = cox_json_new_array(a);
	set_str(a, node, "id", p->id);
	set_str(a, locality, "region", p->region);
	set_str(a, locality, "zone", p->zone);
	set_str(a, locality, "sub_zone", p->sub_zone);
	cox_json_set(a, node, COX_STR("locality"), locality);
	if (p->klass == COX_CLASS_ISTIO) { /* any name of Istio's means its class */
		struct cox_json *e = cox_json_new_object(a);
		set_str(a, e, "name", COX_STR("istio.stats"));
		cox_json_push(a, extensions, e);
	}
	cox_json_set(a, node, COX_STR("extensions"), extensions);
	cox_json_set(a, into, COX_STR("node"), node);
}

static void add_ads(struct dump_call *c, struct ads_stream *s)
{
	struct cox_arena *a = c->arena;
	struct cox_json *o = cox_json_new_object(a), *watches = cox_json_new_object(a);
	char when[32];
	cox_clock_format(s->connected_ms, when);
	set_str(a, o, "connectionId",
	        cox_arena_printf(a, "%.*s-%llu", COX_FMT(pod_of(a, s->proxy)), (unsigned long long)cox_grpc_stream_connection_id(s->grpc)));
	set_str(a, o, "connectedAt", cox_str_of(when));
	set_str(a, o, "address", cox_str_of(cox_grpc_stream_peer_address(s->grpc)));
	set_str(a, o, "protocol", s->is_delta ? COX_STR("delta") : COX_STR("sotw"));
	cox_json_set(a, o, COX_STR("sentBytes"), cox_json_new_i64(a, (int64_t)s->sent_bytes));
	if (s->proxy->metadata)
		cox_json_set(a, o, COX_STR("metadata"), cox_json_clone(a, s->proxy->metadata));
	add_node(a, o, s->proxy);
	for (size_t t = 0; t < COX_TYPE_COUNT; t++) {
		struct cox_xds_type_state st;
		cox_xds_core_state(s->core, (enum cox_type)t, &st);
		if (st.is_watched)
			cox_json_set(a, watches, cox_arena_str(a, cox_type_url((enum cox_type)t)),
			             st.is_wildcard ? cox_json_new_str(a, COX_STR("*")) : cox_json_new_i64(a, (int64_t)st.name_n));
	}
	cox_json_set(a, o, COX_STR("watches"), watches);
	cox_json_push(a, c->out, o);
}

static void dump_loop(void *arg)
{
	struct dump_call *c = arg;
	for (size_t i = 0; i < c->loop->streams.n; i++) {
		struct ads_stream *s = c->loop->streams.p[i];
		if (!s->proxy)
			continue;
		if (c->ads)
			add_ads(c, s);
		else
			add_sync(c, s);
	}
}

struct cox_json *cox_xds_server_dump_sync(struct cox_xds_server *s, struct cox_arena *arena)
{
	struct cox_json *all = cox_json_new_array(arena);
	for (size_t i = 0; i < s->loop_count; i++)
		cox_loop_call(s->loop_list[i], dump_loop, &(struct dump_call){ .loop = &s->loops[i], .arena = arena, .out = all });
	return all;
}

struct cox_json *cox_xds_server_dump_ads(struct cox_xds_server *s, struct cox_arena *arena)
{
	struct cox_json *all = cox_json_new_array(arena), *o = cox_json_new_object(arena);
	for (size_t i = 0; i < s->loop_count; i++)
		cox_loop_call(s->loop_list[i], dump_loop,
		              &(struct dump_call){ .loop = &s->loops[i], .arena = arena, .out = all, .ads = true });
	cox_json_set(arena, o, COX_STR("totalClients"), cox_json_new_i64(arena, (int64_t)all->n));
	cox_json_set(arena, o, COX_STR("clients"), all);
	return o;
}

static void find_sent(void *arg)
{
	struct dump_call *c = arg;
	struct cox_arena scratch = { 0 };
	for (size_t i = 0; i < c->loop->streams.n && !c->found; i++) {
		struct ads_stream *s = c->loop->streams.p[i];
		if (!s->proxy || (!cox_str_eq(s->proxy->id, c->want) && !cox_str_eq(pod_of(&scratch, s->proxy), c->want)))
			continue;
		c->found = true;
		for (size_t t = 0; t < COX_TYPE_COUNT; t++)
			for (unsigned p = 0; p < COX_PUSH_PARTS; p++) {
				const struct cox_set *set = cox_xds_core_sent(s->core, (enum cox_type)t, p);
				c->sent->sets[t][p] = set ? cox_set_ref(set) : NULL;
			}
	}
	cox_arena_fini(&scratch);
}

enum cox_rc cox_xds_server_sent(struct cox_xds_server *s, struct cox_str proxy, struct cox_xds_sent *out)
{
	*out = (struct cox_xds_sent){ 0 };
	for (size_t i = 0; i < s->loop_count; i++) {
		struct dump_call c = { .loop = &s->loops[i], .want = proxy, .sent = out };
		cox_loop_call(s->loop_list[i], find_sent, &c);
		if (c.found)
			return COX_OK;
	}
	return COX_ENOTFOUND;
}

void cox_xds_sent_fini(struct cox_xds_sent *sent)
{
	for (size_t t = 0; t < COX_TYPE_COUNT; t++)
		for (unsigned p = 0; p < COX_PUSH_PARTS; p++)
			cox_set_unref(sent->sets[t][p]);
}
