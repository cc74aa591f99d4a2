/* Who is concerned by a slice, a pod, a node or a WorkloadEntry. */
#include "registry/registry_priv.h"

#define SERVICE_NAME COX_STR("kubernetes.io/service-name")
enum { KEY_MAX = 640 };

static struct cox_str make_key(char buf[KEY_MAX], struct cox_str ns, struct cox_str name)
{
	if (ns.n + name.n + 1 > KEY_MAX)
		return (struct cox_str){ 0 };
	if (ns.n > 0)
		memcpy(buf, ns.p, ns.n);
	buf[ns.n] = '/';
	if (name.n > 0)
		memcpy(buf + ns.n + 1, name.p, name.n);
	return (struct cox_str){ buf, ns.n + 1 + name.n };
}

static void group_add(struct cox_map *m, struct cox_str key, const struct cox_object *slice)
{
	struct reg_group *g = cox_map_find(m, key);
	if (!g) {
		g = cox_zalloc(sizeof(*g) + key.n);
		g->key_n = key.n;
		if (key.n > 0)
			memcpy(g->key, key.p, key.n);
		cox_map_set(m, (struct cox_str){ g->key, g->key_n }, g);
	}
	for (size_t i = 0; i < g->slices.n; i++)
		if (g->slices.p[i] == slice)
			return;
	if (g->slices.n == g->slices.cap) { /* nearly always one: a vector's first step would take eight */
		g->slices.cap = g->slices.cap == 0 ? 1 : g->slices.cap * 2;
		g->slices.p = cox_realloc(g->slices.p, g->slices.cap * sizeof(*g->slices.p));
	}
	g->slices.p[g->slices.n++] = slice;
}

static void group_free(struct reg_group *g)
{
	cox_free(g->slices.p);
	cox_free(g);
}

static void group_remove(struct cox_map *m, struct cox_str key, const struct cox_object *slice)
{
	struct reg_group *g = cox_map_find(m, key);
	for (size_t i = 0; g && i < g->slices.n; i++)
		if (g->slices.p[i] == slice) {
			cox_vec_remove(&g->slices, i);
			break;
		}
	if (g && g->slices.n == 0) {
		cox_map_remove(m, (struct cox_str){ g->key, g->key_n });
		group_free(g);
	}
}

static struct cox_str slice_service(const struct cox_object *slice)
{
	return cox_kv_get(slice->meta.labels.p, slice->meta.labels.n, SERVICE_NAME);
}

/* Enters a slice into both indexes, or takes it out. */
static void slice_index(struct cox_registry *r, const struct cox_object *slice,
                        void (*change)(struct cox_map *, struct cox_str, const struct cox_object *))
{
	char buf[KEY_MAX];
	struct cox_str service = slice_service(slice);
	if (service.n == 0)
		return;
	change(&r->slices_by_svc, make_key(buf, slice->meta.ns, service), slice);
	const struct cox_endpoint_slice *spec = COX_SPEC(cox_endpoint_slice, slice);
	for (COX_EACH(struct cox_slice_endpoint, e, spec->endpoints)) {
		if (e->target_ref && cox_str_eq(e->target_ref->kind, COX_STR("Pod"))) {
			change(&r->slices_by_ref, make_key(buf, slice->meta.ns, e->target_ref->name), slice);
			continue;
		}
		for (COX_EACH(struct cox_str, ip, e->addresses))
			change(&r->slices_by_ref, *ip, slice);
	}
}

void reg_slice_changed(struct cox_registry *r, const struct cox_object *old, const struct cox_object *now)
{
	if (now)
		slice_index(r, now, group_add);
	if (old) {
		slice_index(r, old, group_remove);
		reg_unit_mark_by_id(r, COX_KIND_SERVICE, old->meta.ns, slice_service(old));
	}
	if (now)
		reg_unit_mark_by_id(r, COX_KIND_SERVICE, now->meta.ns, slice_service(now));
}

const struct reg_group *reg_slices_of(const struct cox_registry *r, struct cox_str ns, struct cox_str service)
{
	char buf[KEY_MAX];
	return cox_map_find(&r->slices_by_svc, make_key(buf, ns, service));
}

static void mark_group(struct cox_registry *r, struct cox_str key)
{
	const struct reg_group *g = cox_map_find(&r->slices_by_ref, key);
	for (size_t i = 0; g && i < g->slices.n; i++)
		reg_unit_mark_by_id(r, COX_KIND_SERVICE, g->slices.p[i]->meta.ns, slice_service(g->slices.p[i]));
}

/* ServiceEntries, and Services too where the workload is a WorkloadEntry, that select these labels. */
static void mark_selecting(struct cox_registry *r, struct cox_str ns, const struct cox_kv *labels, size_t n, bool with_services)
{
	size_t from, to;
	reg_store_range(&r->stores[COX_KIND_SERVICE_ENTRY], COX_KIND_SERVICE_ENTRY, ns, &from, &to);
	for (; from < to; from++) {
		const struct cox_object *o = r->stores[COX_KIND_SERVICE_ENTRY].p[from];
		const struct cox_service_entry *se = COX_SPEC(cox_service_entry_object, o)->spec;
		if (se && se->workload_selector &&
		    cox_kv_is_subset(se->workload_selector->labels.p, se->workload_selector->labels.n, labels, n))
			reg_unit_mark_by_id(r, COX_KIND_SERVICE_ENTRY, ns, o->meta.name);
	}
	if (!with_services)
		return;
	reg_store_range(&r->stores[COX_KIND_SERVICE], COX_KIND_SERVICE, ns, &from, &to);
	for (; from < to; from++) {
		const struct cox_object *o = r->stores[COX_KIND_SERVICE].p[from];
		const struct cox_service_spec *spec = COX_SPEC(cox_service, o)->spec;
		if (spec && spec->selector.n > 0 && cox_kv_is_subset(spec->selector.p, spec->selector.n, labels, n))
			reg_unit_mark_by_id(r, COX_KIND_SERVICE, ns, o->meta.name);
	}
}

bool reg_pod_has_ended(const struct cox_object *pod)
{
	const struct cox_pod_status *status = COX_SPEC(cox_pod, pod)->status;
	return status && (cox_str_eq(status->phase, COX_STR("Succeeded")) || cox_str_eq(status->phase, COX_STR("Failed")));
}

/* Pods on the host's network share its address, so the address does not say which of them is meant. */
static bool pod_is_found_by_ip(const struct cox_object *pod)
{
	const struct cox_pod_spec *spec = COX_SPEC(cox_pod, pod)->spec;
	return !(spec && spec->host_network) && !reg_pod_has_ended(pod);
}

static void pod_ips(struct cox_registry *r, const struct cox_object *pod,
                    void (*each)(struct cox_registry *, const struct cox_object *, struct cox_str))
{
	const struct cox_pod_status *status = COX_SPEC(cox_pod, pod)->status;
	if (!status)
		return;
	if (status->pod_ip.n > 0)
		each(r, pod, status->pod_ip);
	for (COX_EACH(struct cox_pod_ip, ip, status->pod_ips))
		if (ip->ip.n > 0)
			each(r, pod, ip->ip);
}

static void ip_add(struct cox_registry *r, const struct cox_object *pod, struct cox_str ip)
{
	if (pod_is_found_by_ip(pod))
		cox_map_set(&r->pods_by_ip, ip, (void *)pod);
}

static void ip_remove(struct cox_registry *r, const struct cox_object *pod, struct cox_str ip)
{
	if (cox_map_find(&r->pods_by_ip, ip) == pod)
		cox_map_remove(&r->pods_by_ip, ip);
}

static void ip_mark(struct cox_registry *r, const struct cox_object *pod, struct cox_str ip)
{
	(void)pod;
	mark_group(r, ip);
}

static void pod_mark(struct cox_registry *r, const struct cox_object *pod)
{
	char buf[KEY_MAX];
	mark_group(r, make_key(buf, pod->meta.ns, pod->meta.name));
	pod_ips(r, pod, ip_mark);
	mark_selecting(r, pod->meta.ns, pod->meta.labels.p, pod->meta.labels.n, false);
}

void reg_pod_changed(struct cox_registry *r, const struct cox_object *old, const struct cox_object *now)
{
	if (old)
		pod_ips(r, old, ip_remove);
	if (now)
		pod_ips(r, now, ip_add);
	if (r->is_bulk)
		return;
	if (old)
		pod_mark(r, old);
	if (now)
		pod_mark(r, now);
}

/* Only labels matter (locality), and they hardly ever change: a walk over the pods will do. */
void reg_node_changed(struct cox_registry *r, const struct cox_object *old, const struct cox_object *now)
{
	if (r->is_bulk)
		return;
	struct cox_str name = (now ? now : old)->meta.name;
	const struct reg_store *pods = &r->stores[COX_KIND_POD];
	for (size_t i = 0; i < pods->n; i++) {
		const struct cox_pod_spec *spec = COX_SPEC(cox_pod, pods->p[i])->spec;
		if (spec && cox_str_eq(spec->node_name, name))
			pod_mark(r, pods->p[i]);
	}
}

void reg_workload_entry_changed(struct cox_registry *r, const struct cox_object *old, const struct cox_object *now)
{
	if (r->is_bulk)
		return;
	const struct cox_object *each[] = { old, now };
	for (size_t i = 0; i < COX_LEN(each); i++) {
		if (!each[i])
			continue;
		struct cox_arena arena = { 0 };
		const struct cox_kv *labels;
		size_t n = reg_workload_entry_labels(each[i], &arena, &labels);
		mark_selecting(r, each[i]->meta.ns, labels, n, true);
		cox_arena_fini(&arena);
	}
}

static void groups_fini(struct cox_map *m)
{
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(m, e));)
		group_free(e->value);
	cox_map_fini(m);
}

void reg_index_fini(struct cox_registry *r)
{
	groups_fini(&r->slices_by_svc);
	groups_fini(&r->slices_by_ref);
	cox_map_fini(&r->pods_by_ip);
}
