#include "enroll/enroll_priv.h"

#include "base/clock.h"
#include "model/workload_group.h"

enum { NAME_BYTES_MAX = 253 };

/* --- small helpers ---------------------------------------------------------------------------------------------- */

static void put(struct cox_arena *a, struct cox_json *o, const char *key, const struct cox_json *v)
{
	cox_json_set(a, o, cox_str_of(key), v);
}
static void put_str(struct cox_arena *a, struct cox_json *o, const char *key, struct cox_str s)
{
	if (s.n)
		put(a, o, key, cox_json_new_str(a, s));
}

static struct cox_str time_text(struct cox_arena *a, int64_t ms)
{
	char text[32];
	cox_clock_format(ms, text);
	return cox_arena_str(a, cox_str_of(text));
}

static void put_pairs(struct cox_arena *a, struct cox_json *to, const struct cox_kv *kvs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		cox_json_set(a, to, kvs[i].key, cox_json_new_str(a, kvs[i].value));
}

struct cox_str enroll_annotation(const struct cox_json *object, const char *key)
{
	const struct cox_json *v = cox_json_get(cox_json_at(object, "metadata.annotations"), cox_str_of(key));
	return v && v->type == COX_JSON_STRING ? v->text : (struct cox_str){ 0 };
}

int64_t enroll_time(struct cox_str text)
{
	int64_t ms;
	return text.n && cox_clock_parse(text, &ms) == COX_OK ? ms : 0;
}

bool enroll_is_over(struct cox_str connected, struct cox_str disconnected, int64_t now_ms, int64_t grace_ms, int64_t max_age_ms)
{
	if (disconnected.n)
		return now_ms - enroll_time(disconnected) >= grace_ms;
	return max_age_ms > 0 && connected.n && now_ms - enroll_time(connected) >= max_age_ms;
}

/* --- name, document ------------------------------------------------------------------------------------------------ */

struct cox_str enroll_entry_name(struct cox_arena *arena, const struct cox_proxy *proxy, struct cox_str group)
{
	struct cox_buf b = { 0 };
	cox_buf_printf(&b, "%.*s-%.*s", COX_FMT(group), COX_FMT(proxy->ips.p[0]));
	if (proxy->network.n)
		cox_buf_printf(&b, "-%.*s", COX_FMT(proxy->network));
	for (size_t i = group.n; i < b.n; i++)
		if (b.p[i] == ':')
			b.p[i] = '-';
	struct cox_str all = cox_buf_str(&b);
	struct cox_str name = cox_arena_str(arena, all.n > NAME_BYTES_MAX ? cox_str_sub(all, all.n - NAME_BYTES_MAX, SIZE_MAX) : all);
	cox_buf_fini(&b);
	return name;
}

static struct cox_json *labels_of(struct cox_arena *a, const struct cox_workload_group *g, const struct cox_proxy *proxy)
{
	struct cox_json *labels = cox_json_new_object(a);
	put_pairs(a, labels, g->template->labels.p, g->template->labels.n);
	if (g->metadata)
		put_pairs(a, labels, g->metadata->labels.p, g->metadata->labels.n);
	for (COX_EACH(struct cox_kv, kv, proxy->labels))
		if (!cox_str_eq(kv->key, COX_STR("istio-locality"))) /* it stands in the node's locality */
			cox_json_set(a, labels, kv->key, cox_json_new_str(a, kv->value));
	return labels;
}

static void put_annotations(struct cox_arena *a, struct cox_json *to, const struct cox_object *group, const struct cox_proxy *proxy,
                            const struct enroll_stamp *stamp)
{
	const struct cox_group_meta *m = COX_SPEC(cox_workload_group_object, group)->spec->metadata;
	if (m)
		put_pairs(a, to, m->annotations.p, m->annotations.n);
	put_str(a, to, ENROLL_GROUP, group->meta.name);
	put_str(a, to, ENROLL_CONTROLLER, stamp->controller);
	put_str(a, to, ENROLL_CONNECTED, time_text(a, stamp->connected_ms));
	if (cox_json_at(proxy->metadata, "PROXY_CONFIG.readinessProbe"))
		put_str(a, to, ENROLL_HEALTH, COX_STR("true"));
}

static struct cox_json *owners(struct cox_arena *a, const struct cox_object *group)
{
	struct cox_json *list = cox_json_new_array(a), *owner = cox_json_new_object(a);
	put_str(a, owner, "apiVersion", COX_STR("networking.istio.io/v1"));
	put_str(a, owner, "kind", COX_STR("WorkloadGroup"));
	put_str(a, owner, "name", group->meta.name);
	put_str(a, owner, "uid", group->meta.uid);
	put(a, owner, "controller", cox_json_new_bool(a, true));
	cox_json_push(a, list, owner);
	return list;
}

static struct cox_json *spec_of(struct cox_arena *a, const struct cox_workload_group *g, const struct cox_proxy *p,
                                const struct cox_json *labels)
{
	const struct cox_workload_entry *t = g->template;
	struct cox_json *spec = cox_json_new_object(a);
	put_str(a, spec, "address", p->ips.p[0]);
	if (t->ports.n) {
		struct cox_json *ports = cox_json_new_object(a);
		for (COX_EACH(struct cox_port_number, pn, t->ports))
			cox_json_set(a, ports, pn->key, cox_json_new_i64(a, pn->number));
		put(a, spec, "ports", ports);
	}
	if (labels->n)
		put(a, spec, "labels", labels);
	put_str(a, spec, "network", p->network.n ? p->network : t->network);
	struct cox_str locality = t->locality;
	if (p->region.n) {
		locality = cox_arena_printf(a, "%.*s/%.*s/%.*s", COX_FMT(p->region), COX_FMT(p->zone), COX_FMT(p->sub_zone));
		while (locality.n && locality.p[locality.n - 1] == '/')
			locality.n--;
	}
	put_str(a, spec, "locality", locality);
	if (t->weight.set)
		put(a, spec, "weight", cox_json_new_i64(a, t->weight.v));
	put_str(a, spec, "serviceAccount", t->service_account);
	return spec;
}

struct cox_json *enroll_entry_build(struct cox_arena *arena, const struct cox_object *group, const struct cox_proxy *proxy,
                                    struct cox_str name, const struct enroll_stamp *stamp)
{
	const struct cox_workload_group *g = COX_SPEC(cox_workload_group_object, group)->spec;
	struct cox_json *root = cox_json_new_object(arena), *meta = cox_json_new_object(arena), *annotations = cox_json_new_object(arena);
	struct cox_json *labels = labels_of(arena, g, proxy);
	put_str(arena, root, "apiVersion", COX_STR("networking.istio.io/v1"));
	put_str(arena, root, "kind", COX_STR("WorkloadEntry"));
	put_str(arena, meta, "name", name);
	put_str(arena, meta, "namespace", group->meta.ns);
	if (labels->n)
		put(arena, meta, "labels", labels);
	put_annotations(arena, annotations, group, proxy, stamp);
	put(arena, meta, "annotations", annotations);
	if (group->meta.uid.n)
		put(arena, meta, "ownerReferences", owners(arena, group));
	put(arena, root, "metadata", meta);
	put(arena, root, "spec", spec_of(arena, g, proxy, labels));
	return root;
}

enum cox_rc enroll_identity_check(const struct cox_xds_visitor *who, struct cox_str ns, struct cox_str account, struct cox_err *err)
{
	if (!who->is_verified)
		return cox_err_set(err, COX_EDENIED, NULL, "a workload registers itself with a certificate or a token only");
	if (!cox_str_eq(who->ns, ns))
		return cox_err_set(err, COX_EDENIED, NULL, "its identity is of namespace %.*s, not of %.*s", COX_FMT(who->ns), COX_FMT(ns));
	if (account.n && !cox_str_eq(who->service_account, account))
		return cox_err_set(err, COX_EDENIED, NULL, "its service account is %.*s, not %.*s", COX_FMT(who->service_account),
		                   COX_FMT(account));
	return COX_OK;
}

/* --- patches --------------------------------------------------------------------------------------------------------- */

static struct cox_json *patch_new(struct cox_arena *a, const struct cox_json *was, struct cox_json **annotations)
{
	struct cox_json *root = cox_json_new_object(a), *meta = cox_json_new_object(a);
	put_str(a, meta, "resourceVersion", cox_json_str_at(was, "metadata.resourceVersion"));
	if (annotations)
		put(a, meta, "annotations", *annotations);
	put(a, root, "metadata", meta);
	return root;
}

struct cox_json *enroll_connect_patch(struct cox_arena *arena, const struct cox_json *was, const struct enroll_stamp *stamp)
{
	static const struct cox_json null = { .type = COX_JSON_NULL };
	struct cox_json *annotations = cox_json_new_object(arena);
	put_str(arena, annotations, ENROLL_CONTROLLER, stamp->controller);
	put_str(arena, annotations, ENROLL_CONNECTED, time_text(arena, stamp->connected_ms));
	put(arena, annotations, ENROLL_DISCONNECTED, &null);
	return patch_new(arena, was, &annotations);
}

struct cox_json *enroll_disconnect_patch(struct cox_arena *arena, const struct cox_json *was, int64_t disconnected_ms)
{
	static const struct cox_json null = { .type = COX_JSON_NULL };
	struct cox_json *annotations = cox_json_new_object(arena);
	put(arena, annotations, ENROLL_CONNECTED, &null);
	put_str(arena, annotations, ENROLL_DISCONNECTED, time_text(arena, disconnected_ms));
	return patch_new(arena, was, &annotations);
}

/* lastTransitionTime stays where the condition's status does. */
static struct cox_json *condition(struct cox_arena *a, const struct cox_json *was, enum cox_reported health, struct cox_str why,
                                  int64_t now_ms)
{
	struct cox_json *c = cox_json_new_object(a);
	struct cox_str now = time_text(a, now_ms), status = health == COX_REPORTED_HEALTHY ? COX_STR("True") : COX_STR("False");
	bool is_same = cox_str_eq(cox_json_str_at(was, "status"), status);
	put_str(a, c, "type", COX_STR("Healthy"));
	put_str(a, c, "status", status);
	put_str(a, c, "message", why);
	put_str(a, c, "lastProbeTime", now);
	put_str(a, c, "lastTransitionTime",
	        is_same && cox_json_str_at(was, "lastTransitionTime").n ? cox_json_str_at(was, "lastTransitionTime") : now);
	return c;
}

struct cox_json *enroll_health_patch(struct cox_arena *arena, const struct cox_json *was, enum cox_reported health, struct cox_str why,
                                     int64_t now_ms)
{
	const struct cox_json *list = cox_json_at(was, "status.conditions"), *there = NULL;
	struct cox_json *now = cox_json_new_array(arena), *status = cox_json_new_object(arena);
	for (size_t i = 0; list && list->type == COX_JSON_ARRAY && i < list->n; i++) {
		if (cox_str_eq_cstr(cox_json_str_at(&list->items[i], "type"), "Healthy"))
			there = &list->items[i];
		else
			cox_json_push(arena, now, &list->items[i]);
	}
	if (health == COX_REPORTED_NONE
	        ? there == NULL
	        : there && cox_str_eq(cox_json_str_at(there, "message"), why) &&
	              cox_str_eq_cstr(cox_json_str_at(there, "status"), health == COX_REPORTED_HEALTHY ? "True" : "False"))
		return NULL;
	if (health != COX_REPORTED_NONE)
		cox_json_push(arena, now, condition(arena, there, health, why, now_ms));
	struct cox_json *root = patch_new(arena, was, NULL);
	put(arena, status, "conditions", now);
	put(arena, root, "status", status);
	return root;
}
