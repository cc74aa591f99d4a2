#include "xds/list.h"

#include "base/clock.h"
#include "xds/server_priv.h"

#include <stdio.h>

size_t list_place(const struct stream_loop *l, uint64_t serial)
{
	size_t lo = 0, hi = l->streams.n;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (l->streams.p[mid]->serial < serial)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* --- one stream -------------------------------------------------------------------------------------------- */

static void take_types(struct ads_stream *s, struct cox_xds_stream_info *out)
{
	int64_t wall = cox_clock_wall_ms() - cox_clock_mono_ms();
	for (size_t t = 0; t < COX_TYPE_COUNT; t++) {
		struct cox_xds_type_state *st = &out->types[t];
		cox_xds_core_state(s->core, (enum cox_type)t, st);
		if (st->sent_ms)
			st->sent_ms += wall;
		out->errors[t] = st->last_error.n ? cox_str_dup_cstr(st->last_error) : NULL;
		st->last_error = cox_str_of(out->errors[t]);
		for (unsigned p = 0; p < COX_PUSH_PARTS; p++) {
			const struct cox_set *set = cox_xds_core_sent(s->core, (enum cox_type)t, p);
			out->sent[t][p] = set ? cox_set_ref(set) : NULL;
		}
	}
}

static void take(struct ads_stream *s, struct cox_xds_stream_info *out)
{
	*out = (struct cox_xds_stream_info){ .proxy = cox_proxy_ref(s->proxy),
		                             .connection = cox_grpc_stream_connection_id(s->grpc),
		                             .connected_ms = s->connected_ms,
		                             .is_delta = s->is_delta,
		                             .sent_bytes = s->sent_bytes };
	snprintf(out->peer, sizeof(out->peer), "%s", cox_grpc_stream_peer_address(s->grpc));
	take_types(s, out);
	out->push_n = xds_pushed_copy(&s->pushed, out->pushes);
}

void cox_xds_stream_info_fini(struct cox_xds_stream_info *info)
{
	for (size_t t = 0; t < COX_TYPE_COUNT; t++) {
		for (unsigned p = 0; p < COX_PUSH_PARTS; p++)
			cox_set_unref(info->sent[t][p]);
		cox_free(info->errors[t]);
	}
	cox_proxy_unref(info->proxy);
	*info = (struct cox_xds_stream_info){ 0 };
}

static struct cox_str id_of(const struct cox_proxy *p, uint64_t connection, struct cox_arena *arena)
{
	return cox_arena_printf(arena, "%.*s.%.*s-%llu", COX_FMT(p->name), COX_FMT(p->ns), (unsigned long long)connection);
}

struct cox_str cox_xds_stream_id(const struct cox_xds_stream_info *info, struct cox_arena *arena)
{
	return id_of(info->proxy, info->connection, arena);
}

/* --- all of them ------------------------------------------------------------------------------------------- */

struct list_call {
	struct stream_loop *loop;
	uint64_t serial;
	struct cox_xds_stream_info *out;
	size_t cap, n;
};

static void list_on_loop(void *arg)
{
	struct list_call *c = arg;
	for (size_t i = list_place(c->loop, c->serial + 1); i < c->loop->streams.n && c->n < c->cap; i++) {
		struct ads_stream *s = c->loop->streams.p[i];
		c->serial = s->serial;
		if (s->proxy)
			take(s, &c->out[c->n++]);
	}
}

size_t cox_xds_server_list(struct cox_xds_server *s, struct cox_xds_cursor *at, struct cox_xds_stream_info *out, size_t cap)
{
	size_t n = 0;
	while (n < cap && at->loop < s->loop_count) {
		struct list_call c = { .loop = &s->loops[at->loop], .serial = at->serial, .out = out + n, .cap = cap - n };
		cox_loop_call(s->loop_list[at->loop], list_on_loop, &c);
		n += c.n;
		at->serial = c.serial;
		if (n < cap)
			*at = (struct cox_xds_cursor){ .loop = at->loop + 1 };
	}
	return n;
}

/* --- one by its name ---------------------------------------------------------------------------------------- */

struct find_call {
	struct stream_loop *loop;
	struct cox_str want, only_ns;
	bool is_exact, is_end; /* is_end: it is to be ended */
	struct cox_xds_stream_info *out;
	bool found;
};

static bool fits(const struct find_call *c, const struct ads_stream *s, struct cox_arena *arena)
{
	if (!s->proxy || (c->only_ns.n && !cox_str_eq(c->only_ns, s->proxy->ns)))
		return false;
	struct cox_str id = id_of(s->proxy, cox_grpc_stream_connection_id(s->grpc), arena);
	if (!c->is_exact)
		return cox_str_search(id, c->want) >= 0;
	size_t pod = s->proxy->name.n + 1 + s->proxy->ns.n;
	return cox_str_eq(s->proxy->id, c->want) || cox_str_eq(cox_str_sub(id, 0, pod), c->want);
}

static void find_on_loop(void *arg)
{
	struct find_call *c = arg;
	struct cox_arena scratch = { 0 };
	for (size_t i = c->loop->streams.n; i-- && !c->found;) { /* the newest: a proxy that is back may have left an old stream */
		struct ads_stream *s = c->loop->streams.p[i];
		if (!fits(c, s, &scratch) || s->is_closing)
			continue;
		c->found = true;
		if (c->is_end)
			stream_refuse(s, COX_EAGAIN, "disconnected", COX_STR("ended by /debug/force_disconnect: come back"));
		else
			take(s, c->out);
	}
	cox_arena_fini(&scratch);
}

static enum cox_rc find(struct cox_xds_server *s, struct find_call call)
{
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < s->loop_count; i++) {
			call.loop = &s->loops[i];
			call.is_exact = pass == 0;
			cox_loop_call(s->loop_list[i], find_on_loop, &call);
			if (call.found)
				return COX_OK;
		}
	return COX_ENOTFOUND;
}

enum cox_rc cox_xds_server_find(struct cox_xds_server *s, struct cox_str proxy, struct cox_str only_ns, struct cox_xds_stream_info *out)
{
	return find(s, (struct find_call){ .want = proxy, .only_ns = only_ns, .out = out });
}

enum cox_rc cox_xds_server_disconnect(struct cox_xds_server *s, struct cox_str proxy)
{
	return find(s, (struct find_call){ .want = proxy, .is_end = true });
}
