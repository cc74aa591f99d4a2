/* What all endpoints of one workload (a pod, a WorkloadEntry, an inline endpoint) have in common. In r->scratch. */
#include "registry/registry_priv.h"

#include "model/proxy.h"

enum { EXTRA_LABELS_MAX = 6 };

struct cox_str reg_spiffe_id(struct cox_registry *r, struct cox_str ns, struct cox_str account)
{
	struct cox_str domain = r->mesh->config->trust_domain;
	return cox_arena_printf(&r->scratch, "spiffe://%.*s/ns/%.*s/sa/%.*s", COX_FMT(domain), COX_FMT(ns), COX_FMT(account));
}

/* Puts or replaces in a sorted array with room for one more. */
static size_t kv_put(struct cox_kv *kvs, size_t n, struct cox_str key, struct cox_str value)
{
	size_t at = 0;
	if (value.n == 0)
		return n;
	while (at < n && cox_str_cmp(kvs[at].key, key) < 0)
		at++;
	if (at < n && cox_str_eq(kvs[at].key, key)) {
		kvs[at].value = value;
		return n;
	}
	memmove(&kvs[at + 1], &kvs[at], (n - at) * sizeof(*kvs));
	kvs[at] = (struct cox_kv){ key, value };
	return n + 1;
}

/* Where a workload runs counts as labels: subsets and failoverPriority may name them. */
static void add_topology(struct cox_registry *r, struct cox_endpoint *e)
{
	struct cox_kv *kvs = COX_ARENA_ARRAY(&r->scratch, struct cox_kv, e->labels.n + EXTRA_LABELS_MAX);
	size_t n = e->labels.n;
	if (n > 0)
		memcpy(kvs, e->labels.p, n * sizeof(*kvs));
	static const struct cox_str keys[] = { COX_STR_INIT("topology.kubernetes.io/region"), COX_STR_INIT("topology.kubernetes.io/zone"),
		                               COX_STR_INIT("topology.istio.io/subzone") };
	struct cox_str rest = e->locality, part;
	for (size_t i = 0; i < COX_LEN(keys) && e->locality.n > 0 && cox_str_next(&rest, '/', &part); i++)
		n = kv_put(kvs, n, keys[i], part);
	n = kv_put(kvs, n, COX_STR("topology.istio.io/cluster"), e->cluster_id);
	n = kv_put(kvs, n, COX_STR("kubernetes.io/hostname"), e->node_name);
	n = kv_put(kvs, n, COX_STR("topology.istio.io/network"), e->network);
	e->labels.p = kvs;
	e->labels.n = n;
}

static struct cox_str label(const struct cox_endpoint *e, struct cox_str key) { return cox_kv_get(e->labels.p, e->labels.n, key); }

/* A ReplicaSet's or a CronJob's name with the part cut off that its controller added. */
static struct cox_str pod_workload(const struct cox_object *pod)
{
	const struct cox_meta *m = &pod->meta;
	struct cox_str named = cox_kv_get(m->labels.p, m->labels.n, COX_STR("service.istio.io/workload-name"));
	if (named.n > 0)
		return named;
	if (m->owner_name.n == 0)
		return m->name;
	ptrdiff_t dash = cox_str_rfind(m->owner_name, '-');
	if (dash <= 0)
		return m->owner_name;
	struct cox_str stem = cox_str_sub(m->owner_name, 0, (size_t)dash), tail = cox_str_sub(m->owner_name, (size_t)dash + 1, SIZE_MAX);
	struct cox_str hash = cox_kv_get(m->labels.p, m->labels.n, COX_STR("pod-template-hash"));
	if (cox_str_eq(m->owner_kind, COX_STR("ReplicaSet")) && hash.n > 0 && cox_str_eq(hash, tail))
		return stem;
	uint64_t number;
	if (cox_str_eq(m->owner_kind, COX_STR("Job")) && tail.n >= 8 && tail.n <= 10 && cox_str_to_u64(tail, &number) == COX_OK)
		return stem; /* a CronJob's Job ends in the minute of its schedule */
	return m->owner_name;
}

struct cox_str cox_registry_node_locality(const struct cox_object *node, struct cox_arena *arena)
{
	const struct cox_meta *m = &node->meta;
	struct cox_str region = cox_kv_get(m->labels.p, m->labels.n, COX_STR("topology.kubernetes.io/region"));
	struct cox_str zone = cox_kv_get(m->labels.p, m->labels.n, COX_STR("topology.kubernetes.io/zone"));
	struct cox_str sub = cox_kv_get(m->labels.p, m->labels.n, COX_STR("topology.istio.io/subzone"));
	if (region.n == 0 && zone.n == 0 && sub.n == 0)
		return (struct cox_str){ 0 };
	struct cox_str s = cox_arena_printf(arena, "%.*s/%.*s/%.*s", COX_FMT(region), COX_FMT(zone), COX_FMT(sub));
	while (s.n > 0 && s.p[s.n - 1] == '/')
		s.n--;
	return s;
}

struct cox_endpoint reg_workload_of_pod(struct cox_registry *r, const struct cox_object *pod)
{
	const struct cox_pod_spec *spec = COX_SPEC(cox_pod, pod)->spec;
	struct cox_endpoint e = { .ns = pod->meta.ns, .pod_name = pod->meta.name, .cluster_id = r->opts.cluster_id };
	e.labels.p = pod->meta.labels.p, e.labels.n = pod->meta.labels.n;
	e.workload = pod_workload(pod);
	e.node_name = spec ? spec->node_name : (struct cox_str){ 0 };
	e.hostname = spec ? spec->hostname : (struct cox_str){ 0 };
	e.subdomain = spec ? spec->subdomain : (struct cox_str){ 0 };
	e.service_account =
	    reg_spiffe_id(r, pod->meta.ns, spec && spec->service_account_name.n > 0 ? spec->service_account_name : COX_STR("default"));
	e.locality = cox_locality_of_labels(e.labels.p, e.labels.n, &r->scratch);
	const struct cox_object *node =
	    e.locality.n == 0 && e.node_name.n > 0 ? reg_object(r, COX_KIND_NODE, (struct cox_str){ 0 }, e.node_name) : NULL;
	if (node)
		e.locality = cox_registry_node_locality(node, &r->scratch);
	e.network = reg_network_of_pod(r, pod, e.node_name);
	if (cox_str_eq(label(&e, COX_STR("security.istio.io/tlsMode")), COX_STR("istio")))
		e.tls_mode = COX_STR("istio");
	e.canonical_name = cox_canonical_name(e.labels.p, e.labels.n, e.workload);
	e.canonical_revision = cox_canonical_revision(e.labels.p, e.labels.n);
	add_topology(r, &e);
	return e;
}

/* Without a pod: what the slice itself says. No locality of the node that it names: istiod has that of a pod's node only, and an
 * endpoint without a pod is seldom on a node (test/reference, noselector.proto). */
struct cox_endpoint reg_workload_of_slice(struct cox_registry *r, const struct cox_slice_endpoint *slice)
{
	struct cox_endpoint e = { .cluster_id = r->opts.cluster_id, .node_name = slice->node_name, .hostname = slice->hostname };
	e.network = reg_network_of_address(r, slice->addresses.n > 0 ? slice->addresses.p[0] : (struct cox_str){ 0 });
	return e;
}

/* The object's own labels win over those in its spec. */
size_t reg_workload_entry_labels(const struct cox_object *we, struct cox_arena *arena, const struct cox_kv **out)
{
	const struct cox_workload_entry *spec = COX_SPEC(cox_workload_entry_object, we)->spec;
	size_t spec_n = spec ? spec->labels.n : 0;
	struct cox_kv *kvs = COX_ARENA_ARRAY(arena, struct cox_kv, spec_n + we->meta.labels.n + 1);
	if (spec_n > 0)
		memcpy(kvs, spec->labels.p, spec_n * sizeof(*kvs));
	size_t n = spec_n;
	for (COX_EACH(struct cox_kv, kv, we->meta.labels))
		n = kv_put(kvs, n, kv->key, kv->value);
	*out = kvs;
	return n;
}

static struct cox_endpoint from_entry(struct cox_registry *r, const struct cox_workload_entry *we, const struct cox_kv *labels, size_t n,
                                      struct cox_str ns, struct cox_str name, bool is_external)
{
	struct cox_endpoint e = {
		.ns = ns, .workload = name, .cluster_id = r->opts.cluster_id, .locality = we->locality, .network = we->network
	};
	e.labels.p = labels, e.labels.n = n;
	if (we->service_account.n > 0)
		e.service_account = reg_spiffe_id(r, ns, we->service_account);
	if (e.locality.n == 0)
		e.locality = cox_locality_of_labels(labels, n, &r->scratch);
	if (e.network.n == 0)
		e.network = label(&e, COX_STR("topology.istio.io/network"));
	if (e.network.n == 0 && !is_external) /* what is outside the mesh is on none of its networks */
		e.network = reg_network_of_address(r, we->address);
	struct cox_str mode = label(&e, COX_STR("security.istio.io/tlsMode"));
	if (mode.n > 0 ? cox_str_eq(mode, COX_STR("istio")) : we->service_account.n > 0)
		e.tls_mode = COX_STR("istio"); /* an account means that somebody there has a certificate */
	e.canonical_name = cox_canonical_name(labels, n, name);
	e.canonical_revision = cox_canonical_revision(labels, n);
	e.weight = we->weight.set && we->weight.v > 0 ? (uint32_t)we->weight.v : 0;
	add_topology(r, &e);
	return e;
}

struct cox_endpoint reg_workload_of_entry(struct cox_registry *r, const struct cox_object *we)
{
	const struct cox_workload_entry_object *object = COX_SPEC(cox_workload_entry_object, we);
	const struct cox_kv *labels;
	size_t n = reg_workload_entry_labels(we, &r->scratch, &labels);
	struct cox_endpoint e = from_entry(r, object->spec, labels, n, we->meta.ns, we->meta.name, false);
	e.health = reg_entry_is_healthy(r, we) ? COX_HEALTHY : COX_UNHEALTHY;
	return e;
}

struct cox_endpoint reg_workload_inline(struct cox_registry *r, const struct cox_object *se, const struct cox_workload_entry *we,
                                        struct cox_str name)
{
	bool is_external = COX_SPEC(cox_service_entry_object, se)->spec->location == COX_SE_MESH_EXTERNAL;
	return from_entry(r, we, we->labels.p, we->labels.n, se->meta.ns, name, is_external);
}
