/* The push engine: its figures, what the last pushes were for, what it holds; and what other engines say of themselves. */
#include "admin/admin_priv.h"

#include "push/cause.h"

#include <stdio.h>
#include <stdlib.h>

/* --- why: /debug/pushz ----------------------------------------------------------------------------------------------- */

static void add_cause(struct cox_arena *a, struct cox_json *list, const struct cox_push_cause *c)
{
	struct cox_json *o = cox_json_new_object(a), *ids = cox_json_new_array(a);
	struct cox_str rest = c->ids, id;
	answer_set_int(a, o, "id", (int64_t)c->id);
	answer_set_str(a, o, "kind", c->is_endpoints ? COX_STR("endpoints") : COX_STR("configuration"));
	answer_set_time(a, o, "time", c->event_ms);
	answer_set_int(a, o, "changes", c->changes);
	while (rest.n && cox_str_next(&rest, '\n', &id))
		cox_json_push(a, ids, cox_json_new_str(a, id));
	cox_json_set(a, o, COX_STR("changed"), ids);
	answer_set_int(a, o, "waitedUs", c->waited_us);
	answer_set_int(a, o, "tookUs", c->took_us);
	answer_set_int(a, o, "views", c->views);
	answer_set_int(a, o, "viewsChanged", c->views_made);
	answer_set_int(a, o, "proxies", c->proxies);
	cox_json_push(a, list, o);
}

struct causes_call {
	struct answer *w;
	uint64_t from;
	struct cox_push_cause *items;
	size_t n;
	struct cox_push_stats stats;
};
static void read_causes(void *arg)
{
	struct causes_call *c = arg;
	c->n = cox_push_causes(c->w->a->opts.push, c->from, &c->w->arena, &c->items);
	cox_push_stats_get(c->w->a->opts.push, &c->stats);
}

static void add_stats(struct cox_arena *a, struct cox_json *o, const struct cox_push_stats *st)
{
	answer_set_int(a, o, "generation", (int64_t)st->generation);
	answer_set_int(a, o, "views", (int64_t)st->views);
	answer_set_int(a, o, "workloads", (int64_t)st->workloads);
	answer_set_int(a, o, "clients", (int64_t)st->clients);
	answer_set_int(a, o, "resources", (int64_t)st->resources);
	answer_set_int(a, o, "resourceBytes", (int64_t)st->resource_bytes);
}

static void add_push(struct cox_arena *a, struct cox_json *list, const struct cox_xds_push *p, uint64_t oldest)
{
	struct cox_json *o = cox_json_new_object(a), *causes = cox_json_new_array(a);
	answer_set_str(a, o, "type", cox_type_short((enum cox_type)p->type));
	answer_set_time(a, o, "time", p->sent_ms);
	answer_set_str(a, o, "reason",
	               p->is_asked     ? COX_STR("the proxy asked")
	               : p->last_cause ? COX_STR("change")
	                               : COX_STR("connection"));
	for (uint64_t id = p->first_cause > oldest ? p->first_cause : oldest; !p->is_asked && id && id <= p->last_cause; id++)
		cox_json_push(a, causes, cox_json_new_i64(a, (int64_t)id));
	cox_json_set(a, o, COX_STR("causes"), causes);
	answer_set_int(a, o, "resources", p->resources);
	answer_set_int(a, o, "removed", p->removed);
	answer_set_int(a, o, "bytes", p->bytes);
	if (p->event_to_sent_us)
		answer_set_int(a, o, "eventToSentUs", p->event_to_sent_us);
	if (p->sent_to_ack_us)
		answer_set_int(a, o, "sentToAckUs", p->sent_to_ack_us);
	answer_set_str(a, o, "state", p->is_rejected ? COX_STR("REJECTED") : p->sent_to_ack_us ? COX_STR("ACKED") : COX_STR("SENT"));
	cox_json_push(a, list, o);
}

void page_push(struct answer *w)
{
	struct cox_arena *a = &w->arena;
	struct causes_call call = { .w = w };
	struct cox_xds_stream_info info = { 0 };
	struct cox_json *causes = cox_json_new_array(a), *pushes = cox_json_new_array(a);
	if (w->has_param[PARAM_PROXY] && !page_find_proxy(w, &info))
		return;
	for (size_t i = 0; i < info.push_n; i++) /* only those that its pushes name */
		if (!info.pushes[i].is_asked && info.pushes[i].first_cause && (!call.from || info.pushes[i].first_cause < call.from))
			call.from = info.pushes[i].first_cause;
	if (info.proxy && !call.from)
		call.from = UINT64_MAX;
	cox_loop_call(w->a->opts.config_loop, read_causes, &call);
	w->out = cox_json_new_object(a);
	if (info.proxy) {
		answer_set_str(a, w->out, "proxy", cox_arena_printf(a, "%.*s.%.*s", COX_FMT(info.proxy->name), COX_FMT(info.proxy->ns)));
		for (size_t i = 0; i < info.push_n; i++)
			add_push(a, pushes, &info.pushes[i], call.n ? call.items[0].id : 0);
		cox_json_set(a, w->out, COX_STR("pushes"), pushes);
		cox_xds_stream_info_fini(&info);
	} else {
		add_stats(a, w->out, &call.stats);
	}
	for (size_t i = 0; i < call.n; i++)
		add_cause(a, causes, &call.items[i]);
	cox_json_set(a, w->out, COX_STR("causes"), causes);
}

/* --- what is held: /debug/cachez ------------------------------------------------------------------------------------- */

struct held {
	const struct cox_resource **items;
	size_t n, at;
	int type; /* whose list is open; -1: none yet */
};

static void held_end(struct answer *w)
{
	struct held *l = w->state;
	for (size_t i = 0; i < l->n; i++)
		cox_resource_unref(l->items[i]);
}
static void held_take(void *arg)
{
	struct answer *w = arg;
	struct held *l = w->state;
	l->n = cox_push_resources(w->a->opts.push, &w->arena, &l->items);
}
static int by_type(const void *a, const void *b)
{
	const struct cox_resource *x = *(const struct cox_resource *const *)a, *y = *(const struct cox_resource *const *)b;
	return x->type != y->type ? (x->type > y->type) - (x->type < y->type) : cox_str_cmp(x->name, y->name);
}

static bool more_held(struct answer *w, struct cox_buf *part)
{
	struct held *l = w->state;
	if (l->type < 0 && !l->at)
		answer_open(w, part, "{");
	for (; l->at < l->n && part->n < ANSWER_PART_BYTES; l->at++) {
		const struct cox_resource *r = l->items[l->at];
		if ((int)r->type != l->type) {
			if (l->type >= 0)
				answer_close(w, part, "]");
			answer_key(w, part, cox_type_url(r->type));
			answer_open(w, part, "[");
			l->type = (int)r->type;
		}
		cox_arena_reset(&w->scratch);
		answer_item(w, part, cox_json_new_str(&w->scratch, r->name));
	}
	if (l->at < l->n)
		return true;
	answer_close(w, part, l->type >= 0 ? "]}" : "}");
	return false;
}

static struct cox_str byte_count(struct cox_arena *a, size_t bytes)
{
	double v = (double)bytes;
	int unit = -1;
	for (; v >= 1000; v /= 1000)
		unit++;
	return unit < 0 ? cox_arena_printf(a, "%zuB", bytes) : cox_arena_printf(a, "%.1f%cB", v, "kMGTPE"[unit]);
}

static void add_sizes(struct answer *w, const struct held *l)
{
	size_t bytes[COX_TYPE_COUNT] = { 0 }, total = 0;
	for (size_t i = 0; i < l->n; i++) {
		bytes[l->items[i]->type] += l->items[i]->size_bytes;
		total += l->items[i]->size_bytes;
	}
	w->out = cox_json_new_object(&w->arena);
	for (size_t t = 0; t < COX_TYPE_COUNT; t++)
		if (bytes[t])
			cox_json_set(&w->arena, w->out, cox_type_url((enum cox_type)t),
			             cox_json_new_str(&w->arena, byte_count(&w->arena, bytes[t])));
	answer_set_str(&w->arena, w->out, "total", byte_count(&w->arena, total));
}

static void forget(void *arg) { cox_push_forget(((struct answer *)arg)->a->opts.push); }

void page_cache(struct answer *w)
{
	struct held *l = w->state = COX_ARENA_NEW(&w->arena, struct held);
	*l = (struct held){ .type = -1 };
	if (w->params[PARAM_CLEAR].n) {
		cox_loop_call(w->a->opts.config_loop, forget, w);
		answer_say(w, 200, "Cache cleared");
		return;
	}
	cox_loop_call(w->a->opts.config_loop, held_take, w);
	w->end = held_end;
	if (w->params[PARAM_SIZES].n) {
		add_sizes(w, l);
		return;
	}
	qsort(l->items, l->n, sizeof(struct cox_resource *), by_type);
	w->more = more_held;
}

/* --- others ------------------------------------------------------------------------------------------------------------ */

static void read_filters(void *arg)
{
	struct answer *w = arg;
	w->out = cox_push_dump_patches(w->a->opts.push, &w->arena);
}
void page_filters(struct answer *w) { cox_loop_call(w->a->opts.config_loop, read_filters, w); }

static void read_secrets(void *arg)
{
	struct answer *w = arg;
	w->out = cox_push_dump_secrets(w->a->opts.push, &w->arena);
}
void page_secrets(struct answer *w) { cox_loop_call(w->a->opts.config_loop, read_secrets, w); }

static void read_issued(void *arg)
{
	struct answer *w = arg;
	cox_json_set(&w->arena, w->out, COX_STR("issued"), cox_ledger_dump(w->a->opts.ledger, &w->arena));
}
void page_certs(struct answer *w)
{
	w->out = cox_ca_dump(w->a->opts.ca, &w->arena);
	if (w->a->opts.ledger && w->has_param[PARAM_ISSUED])
		cox_loop_call(w->a->opts.config_loop, read_issued, w);
}
