/* Services, endpoints and objects: references are taken on the config loop, the text is made here. */
#include "admin/admin_priv.h"

#include <stdlib.h>

/* --- services and endpoints --------------------------------------------------------------------------------------- */

struct take_call {
	struct cox_admin *a;
	struct admin_svcs *out;
};
static void take_svcs(void *arg)
{
	struct take_call *c = arg;
	const struct cox_svc_entry *all;
	c->out->n = cox_registry_svcs(c->a->opts.registry, &all);
	c->out->items = cox_calloc(c->out->n + 1, sizeof(*c->out->items));
	for (size_t i = 0; i < c->out->n; i++)
		c->out->items[i] = (struct cox_svc_entry){ cox_svc_ref(all[i].svc), cox_endpoint_set_ref(all[i].endpoints) };
}

void admin_svcs_take(struct cox_admin *a, struct admin_svcs *out)
{
	cox_loop_call(a->opts.config_loop, take_svcs, &(struct take_call){ a, out });
}

void admin_svcs_fini(struct admin_svcs *svcs)
{
	for (size_t i = 0; i < svcs->n; i++) {
		cox_svc_unref(svcs->items[i].svc);
		cox_endpoint_set_unref(svcs->items[i].endpoints);
	}
	cox_free(svcs->items);
	*svcs = (struct admin_svcs){ 0 };
}

struct svcs {
	struct admin_svcs all;
	size_t at;
	size_t endpoint; /* of all.items[at] */
	struct cox_str cluster_id;
	bool is_begun, is_host_open;
};

static void svcs_end(struct answer *w) { admin_svcs_fini(&((struct svcs *)w->state)->all); }

static void read_cluster_id(void *arg)
{
	struct answer *w = arg;
	((struct svcs *)w->state)->cluster_id = cox_arena_str(&w->arena, cox_registry_cluster_id(w->a->opts.registry));
}

static int by_host(const void *a, const void *b)
{
	const struct cox_svc_entry *x = a, *y = b;
	int c = cox_str_cmp(x->svc->hostname, y->svc->hostname);
	return c ? c : cox_str_cmp(x->svc->ns, y->svc->ns);
}

static void svcs_open(struct answer *w, bool (*more)(struct answer *w, struct cox_buf *part))
{
	struct svcs *l = w->state = COX_ARENA_NEW(&w->arena, struct svcs);
	*l = (struct svcs){ 0 };
	admin_svcs_take(w->a, &l->all);
	cox_loop_call(w->a->opts.config_loop, read_cluster_id, w);
	qsort(l->all.items, l->all.n, sizeof(*l->all.items), by_host);
	w->end = svcs_end;
	w->more = more;
}

static bool more_services(struct answer *w, struct cox_buf *part)
{
	struct svcs *l = w->state;
	if (!l->is_begun)
		answer_open(w, part, "[");
	l->is_begun = true;
	for (; l->at < l->all.n && part->n < ANSWER_PART_BYTES; l->at++) {
		cox_arena_reset(&w->scratch);
		answer_item(w, part, cox_svc_to_json(l->all.items[l->at].svc, l->cluster_id, &w->scratch));
	}
	if (l->at < l->all.n)
		return true;
	answer_close(w, part, "]");
	return false;
}

void page_services(struct answer *w) { svcs_open(w, more_services); }

/* The endpoints of one cluster of items[at], as far as the part takes them; false: there are more. */
static bool shard(struct answer *w, struct svcs *l, struct cox_buf *part)
{
	const struct cox_endpoint_set *set = l->all.items[l->at].endpoints;
	if (!l->endpoint) {
		answer_open(w, part, "{\"Shards\":{");
		answer_key(w, part, cox_arena_printf(&w->scratch, "Kubernetes/%.*s", COX_FMT(l->cluster_id)));
		answer_open(w, part, "[");
	}
	for (; l->endpoint < set->items.n && part->n < ANSWER_PART_BYTES; l->endpoint++)
		answer_item(w, part, cox_endpoint_to_json(&set->items.p[l->endpoint], &w->scratch));
	if (l->endpoint < set->items.n)
		return false;
	answer_close(w, part, "]},\"ServiceAccounts\":");
	struct cox_json *accounts = cox_json_new_object(&w->scratch);
	for (COX_EACH(struct cox_str, account, set->accounts))
		cox_json_set(&w->scratch, accounts, *account, cox_json_new_object(&w->scratch));
	cox_json_write(part, accounts, 0, false);
	answer_close(w, part, "}");
	return true;
}

static bool more_endpoints(struct answer *w, struct cox_buf *part)
{
	struct svcs *l = w->state;
	if (!l->is_begun)
		answer_open(w, part, "{");
	l->is_begun = true;
	while (l->at < l->all.n && part->n < ANSWER_PART_BYTES) {
		const struct cox_svc *svc = l->all.items[l->at].svc;
		cox_arena_reset(&w->scratch);
		if (!l->is_host_open) {
			answer_key(w, part, svc->hostname);
			answer_open(w, part, "{");
			l->is_host_open = true;
		}
		if (!l->endpoint)
			answer_key(w, part, svc->ns);
		if (!shard(w, l, part))
			return true;
		l->at++;
		l->endpoint = 0;
		if (l->at == l->all.n || !cox_str_eq(l->all.items[l->at].svc->hostname, svc->hostname)) {
			answer_close(w, part, "}");
			l->is_host_open = false;
		}
	}
	if (l->at < l->all.n)
		return true;
	answer_close(w, part, "}");
	return false;
}

void page_endpoints(struct answer *w) { svcs_open(w, more_endpoints); }

/* --- what proxies are part of ------------------------------------------------------------------------------------ */

enum { PROXIES = 64 };

struct instances {
	const struct cox_snapshot *s;
	struct cox_xds_cursor at;
	bool is_begun;
};

static void instances_end(struct answer *w) { cox_snapshot_unref(((struct instances *)w->state)->s); }

static void add_targets(struct answer *w, struct cox_buf *part, const struct cox_snapshot *s, const struct cox_proxy *p)
{
	struct cox_arena *a = &w->scratch;
	const struct cox_snap_svc **svcs;
	struct cox_json *list = cox_json_new_array(a);
	size_t n = cox_snapshot_svcs_of(s, p->ns, p->labels.p, p->labels.n, p->ips.p, p->ips.n, a, &svcs);
	for (size_t i = 0; i < n; i++)
		for (COX_EACH(struct cox_svc_port, port, svcs[i]->svc->ports)) {
			struct cox_json *target = cox_json_new_object(a), *o = cox_json_new_object(a);
			cox_json_set(a, target, COX_STR("Service"), cox_svc_to_json(svcs[i]->svc, s->cluster_id, a));
			answer_set_str(a, o, "name", port->name);
			answer_set_int(a, o, "port", port->port);
			answer_set_str(a, o, "protocol", cox_protocol_name(port->protocol));
			uint16_t at = port->target_port;
			for (COX_EACH(struct cox_endpoint, e, svcs[i]->endpoints->items))
				for (size_t k = 0; k < p->ips.n; k++)
					if (cox_str_eq(e->address, p->ips.p[k]) && cox_str_eq(e->port_name, port->name))
						at = e->port;
			answer_set_int(a, o, "TargetPort", at);
			cox_json_set(a, target, COX_STR("Port"), o);
			cox_json_push(a, list, target);
		}
	answer_key(w, part, cox_arena_printf(a, "%.*s.%.*s", COX_FMT(p->name), COX_FMT(p->ns)));
	cox_json_write(part, list, 0, false);
}

static bool more_instances(struct answer *w, struct cox_buf *part)
{
	struct instances *l = w->state;
	struct cox_xds_stream_info *streams = cox_calloc(PROXIES, sizeof(*streams));
	if (!l->is_begun)
		answer_open(w, part, "{");
	l->is_begun = true;
	size_t n = cox_xds_server_list(w->a->opts.xds, &l->at, streams, PROXIES);
	for (size_t i = 0; i < n; i++) {
		cox_arena_reset(&w->scratch);
		add_targets(w, part, l->s, streams[i].proxy);
		cox_xds_stream_info_fini(&streams[i]);
	}
	cox_free(streams);
	if (n == PROXIES)
		return true;
	answer_close(w, part, "}");
	return false;
}

void page_instances(struct answer *w)
{
	struct instances *l = COX_ARENA_NEW(&w->arena, struct instances);
	*l = (struct instances){ .s = page_snapshot(w) };
	if (!l->s)
		return;
	w->state = l;
	w->end = instances_end;
	w->more = more_instances;
}

/* --- objects ------------------------------------------------------------------------------------------------------- */

struct objects {
	COX_VEC(const struct cox_object *) items;
	size_t at;
	bool is_begun;
};

static void objects_end(struct answer *w)
{
	struct objects *l = w->state;
	for (size_t i = 0; i < l->items.n; i++)
		cox_object_unref(l->items.p[i]);
	cox_vec_fini(&l->items);
}

static void objects_take(void *arg)
{
	struct answer *w = arg;
	struct objects *l = w->state;
	for (int kind = 0; kind < COX_KIND_COUNT; kind++) {
		const struct cox_object *const *objects;
		if (kind == COX_KIND_SECRET || (!cox_kind_info((enum cox_kind)kind)->ours && !w->has_param[PARAM_ALL]))
			continue;
		size_t n = cox_registry_objects(w->a->opts.registry, (enum cox_kind)kind, &objects);
		for (size_t i = 0; i < n; i++)
			cox_vec_push(&l->items, cox_object_ref(objects[i]));
	}
}

static bool more_objects(struct answer *w, struct cox_buf *part)
{
	struct objects *l = w->state;
	if (!l->is_begun)
		answer_open(w, part, "[");
	l->is_begun = true;
	for (; l->at < l->items.n && part->n < ANSWER_PART_BYTES; l->at++) {
		cox_arena_reset(&w->scratch);
		answer_item(w, part, cox_object_to_json(l->items.p[l->at], &w->scratch));
	}
	if (l->at < l->items.n)
		return true;
	answer_close(w, part, "]");
	return false;
}

void page_configs(struct answer *w)
{
	struct objects *l = w->state = COX_ARENA_NEW(&w->arena, struct objects);
	*l = (struct objects){ 0 };
	cox_loop_call(w->a->opts.config_loop, objects_take, w);
	w->end = objects_end;
	w->more = more_objects;
}

void page_resources(struct answer *w)
{
	struct cox_arena *a = &w->arena;
	w->out = cox_json_new_array(a);
	for (int kind = 0; kind < COX_KIND_COUNT; kind++) {
		const struct cox_kind_info *k = cox_kind_info((enum cox_kind)kind);
		struct cox_str versions = k->versions, first = COX_STR("");
		struct cox_json *o = cox_json_new_object(a);
		cox_str_next(&versions, ',', &first);
		answer_set_str(a, o, "group", k->group);
		answer_set_str(a, o, "version", first);
		answer_set_str(a, o, "kind", k->name);
		cox_json_push(a, w->out, o);
	}
}
