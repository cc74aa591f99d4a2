/* What a proxy's Sidecar (or the default) lets it see; members as Istio's. */
#include "admin/admin_priv.h"

enum phase { HEAD, SERVICES, LISTENERS, BY_HOST, RULES };
struct sidecar {
	const struct cox_snapshot *s;
	struct cox_xds_stream_info info;
	const struct cox_scope *scope;
	enum phase phase;
	size_t at, listener;
};

static void sidecar_end(struct answer *w)
{
	struct sidecar *l = w->state;
	cox_snapshot_unref(l->s);
	cox_xds_stream_info_fini(&l->info);
}

static void write_head(struct answer *w, struct sidecar *l, struct cox_buf *part)
{
	struct cox_arena *a = &w->scratch;
	struct cox_json *o = cox_json_new_object(a), *policy = cox_json_new_object(a), *whole;
	struct cox_buf text = { 0 };
	answer_set_str(a, o, "version", cox_arena_printf(a, "%llu", (unsigned long long)l->s->generation));
	answer_set_str(a, o, "name", l->scope->sidecar ? l->scope->sidecar->meta.name : COX_STR("default-sidecar"));
	answer_set_str(a, o, "namespace", l->info.proxy->ns);
	answer_set_str(a, policy, "mode", l->scope->is_registry_only ? COX_STR("REGISTRY_ONLY") : COX_STR("ALLOW_ANY"));
	cox_json_set(a, o, COX_STR("outboundTrafficPolicy"), policy);
	whole = l->scope->sidecar ? cox_object_to_json(l->scope->sidecar, a) : NULL;
	if (whole && cox_json_get(whole, COX_STR("spec")))
		cox_json_set(a, o, COX_STR("sidecar"), cox_json_get(whole, COX_STR("spec")));
	cox_json_write(&text, o, 0, false);
	cox_buf_append(part, text.p, text.n - 1); /* stays open */
	cox_buf_fini(&text);
	answer_open(w, part, ",\"services\":[");
}

static struct cox_json *svc_json(struct answer *w, struct sidecar *l, const struct cox_scope_svc *svc)
{
	cox_arena_reset(&w->scratch);
	return cox_svc_to_json(svc->snap->svc, l->s->cluster_id, &w->scratch);
}

static void add_rule(struct answer *w, struct sidecar *l, struct cox_buf *part, const struct cox_scope_svc *svc)
{
	const struct cox_proxy *p = l->info.proxy;
	const struct cox_dr *dr = cox_scope_dr_find(l->s, p->ns, p->labels.p, p->labels.n, svc->snap->svc);
	struct cox_json *list = cox_json_new_array(&w->scratch);
	if (!dr)
		return;
	for (COX_EACH(struct cox_str, id, dr->object_ids))
		cox_json_push(&w->scratch, list, cox_json_new_str(&w->scratch, *id));
	answer_key(w, part, svc->snap->svc->hostname);
	cox_json_write(part, list, 0, false);
}

/* One step; false: the phase is over. */
static bool write_service(struct answer *w, struct sidecar *l, struct cox_buf *part)
{
	const struct cox_scope_svc *svcs = l->scope->svcs.p;
	size_t n = l->scope->svcs.n;
	if (l->phase == LISTENERS) {
		svcs = l->scope->listeners.p[l->listener].svcs.p;
		n = l->scope->listeners.p[l->listener].svcs.n;
	}
	if (l->at >= n)
		return false;
	const struct cox_scope_svc *svc = &svcs[l->at++];
	if (l->phase == SERVICES || l->phase == LISTENERS) {
		answer_item(w, part, svc_json(w, l, svc));
	} else if (l->phase == BY_HOST) {
		answer_key(w, part, svc->snap->svc->hostname);
		cox_json_write(part, svc_json(w, l, svc), 0, false);
	} else {
		cox_arena_reset(&w->scratch);
		add_rule(w, l, part, svc);
	}
	return true;
}

static bool next_phase(struct answer *w, struct sidecar *l, struct cox_buf *part)
{
	static const char *const ends[] = { [SERVICES] = "],\"egressListenerServices\":[[",
		                            [LISTENERS] = "]],\"servicesByHostname\":{",
		                            [BY_HOST] = "},\"destinationRules\":{" };
	l->at = 0;
	if (l->phase == LISTENERS && ++l->listener < l->scope->listeners.n) {
		answer_open(w, part, "],[");
		return true;
	}
	if (l->phase == RULES) {
		answer_close(w, part, "}}");
		return false;
	}
	answer_open(w, part, ends[l->phase++]);
	return true;
}

static bool more_sidecar(struct answer *w, struct cox_buf *part)
{
	struct sidecar *l = w->state;
	if (l->phase == HEAD) {
		write_head(w, l, part);
		l->phase = SERVICES;
	}
	while (part->n < ANSWER_PART_BYTES)
		if (!write_service(w, l, part) && !next_phase(w, l, part))
			return false;
	return true;
}

void page_sidecar(struct answer *w)
{
	struct sidecar *l = COX_ARENA_NEW(&w->arena, struct sidecar);
	*l = (struct sidecar){ 0 };
	if (!page_find_proxy(w, &l->info))
		return;
	w->state = l;
	w->end = sidecar_end;
	l->s = page_snapshot(w);
	if (!l->s)
		return;
	l->scope = cox_scope_build(l->s, l->info.proxy->ns, l->info.proxy->labels.p, l->info.proxy->labels.n, &w->arena);
	w->more = more_sidecar;
}
