/* meshNetworks, which network an endpoint is on, and the table of gateways. */
#include "registry/registry_priv.h"

#include <stdlib.h>

enum { SCALE_MAX = 5040 }; /* numbers of gateways beyond that share a common multiple too large for weights: they are split less evenly */

#define NETWORK_LABEL COX_STR("topology.istio.io/network")

/* --- meshNetworks ------------------------------------------------------------------------------------------------ */

static struct cox_str source_yaml(const struct cox_registry *r)
{
	const struct reg_store *maps = &r->stores[COX_KIND_CONFIG_MAP];
	for (size_t i = 0; i < maps->n; i++) {
		const struct cox_config_map *map = COX_SPEC(cox_config_map, maps->p[i]);
		if (reg_mesh_is_source(r, maps->p[i]) && cox_kv_has(map->data.p, map->data.n, COX_STR("meshNetworks")))
			return cox_kv_get(map->data.p, map->data.n, COX_STR("meshNetworks"));
	}
	return r->opts.networks_yaml;
}

void reg_networks_reload(struct cox_registry *r)
{
	struct cox_arena arena = { 0 };
	struct cox_diags diags = { .arena = &arena };
	struct cox_mesh_networks *m = NULL;
	enum cox_rc rc = cox_mesh_networks_build(source_yaml(r), &arena, &diags, &m);
	cox_buf_clear(&r->networks_error);
	for (size_t i = 0; i < diags.n; i++)
		cox_buf_printf(&r->networks_error, "%s%.*s%s%.*s",
		               i              ? "; "
		               : rc != COX_OK ? "the last good networks stay in force: "
		                              : "",
		               COX_FMT(diags.items[i].path), diags.items[i].path.n ? ": " : "", COX_FMT(diags.items[i].text));
	r->networks_are_bad = rc != COX_OK;
	cox_arena_fini(&arena);
	if (rc != COX_OK)
		return;
	bool is_same = r->mesh_networks && cox_hash_eq(cox_message_hash(&cox_model_mesh_networks, r->mesh_networks),
	                                               cox_message_hash(&cox_model_mesh_networks, m));
	cox_free(r->mesh_networks);
	r->mesh_networks = m;
	if (is_same)
		return;
	r->are_networks_dirty = true;
	reg_units_mark_all(r); /* endpoints may be on other networks now */
}

void reg_networks_init(struct cox_registry *r)
{
	r->mesh_networks = COX_NEW(struct cox_mesh_networks); /* where the first text cannot be read */
	reg_networks_reload(r);
	reg_networks_update(r);
}

/* --- of an endpoint --------------------------------------------------------------------------------------------------- */

static struct cox_str label_of(const struct cox_object *o)
{
	return o ? cox_kv_get(o->meta.labels.p, o->meta.labels.n, NETWORK_LABEL) : (struct cox_str){ 0 };
}

/* The workload's own word, then that of its namespace and node, of the mesh's own namespace, and then meshNetworks'. */
struct cox_str reg_network_of_pod(const struct cox_registry *r, const struct cox_object *pod, struct cox_str node_name)
{
	const struct cox_pod_status *status = COX_SPEC(cox_pod, pod)->status;
	struct cox_str none = { 0 }, network = label_of(pod);
	if (!network.n)
		network = label_of(reg_object(r, COX_KIND_NAMESPACE, none, pod->meta.ns));
	if (!network.n && node_name.n)
		network = label_of(reg_object(r, COX_KIND_NODE, none, node_name));
	return network.n ? network : reg_network_of_address(r, status ? status->pod_ip : none);
}

struct cox_str reg_network_of_address(const struct cox_registry *r, struct cox_str address)
{
	struct cox_str none = { 0 }, network = label_of(reg_object(r, COX_KIND_NAMESPACE, none, cox_registry_root_namespace(r)));
	return network.n ? network : cox_mesh_networks_find(r->mesh_networks, address, r->opts.cluster_id);
}

/* --- gateways ----------------------------------------------------------------------------------------------------------- */

struct reg_gateway_name { /* a name that leads into a network */
	bool is_in_use;
	size_t n;
	struct cox_str *addresses; /* in the same block */
	struct cox_str name;
};

struct table {
	struct cox_registry *r;
	COX_VEC(struct cox_network_gateway) items;
};

static struct reg_gateway_name *name_new(struct cox_str name, const struct cox_str *addresses, size_t n)
{
	size_t text_n = name.n;
	for (size_t i = 0; i < n; i++)
		text_n += addresses[i].n;
	struct reg_gateway_name *g = cox_zalloc(sizeof(*g) + n * sizeof(*addresses) + text_n + 1);
	g->addresses = (struct cox_str *)(g + 1);
	g->n = n;
	char *text = (char *)(g->addresses + n);
	memcpy(text, name.p, name.n);
	g->name = cox_str_make(text, name.n);
	text += name.n;
	for (size_t i = 0; i < n; i++) {
		memcpy(text, addresses[i].p, addresses[i].n);
		g->addresses[i] = cox_str_make(text, addresses[i].n);
		text += addresses[i].n;
	}
	return g;
}

static void add(struct table *t, struct cox_str network, struct cox_str address, int64_t port)
{
	if (port <= 0 || port > UINT16_MAX || !address.n)
		return;
	if (cox_format_check("ip", address) == NULL) {
		cox_vec_push(&t->items, ((struct cox_network_gateway){ network, address, (uint16_t)port }));
		return;
	}
	struct reg_gateway_name *g = cox_map_find(&t->r->gateway_names, address);
	if (!g) {
		g = name_new(address, NULL, 0);
		cox_map_set(&t->r->gateway_names, g->name, g);
	}
	g->is_in_use = true;
	for (size_t i = 0; i < g->n; i++)
		cox_vec_push(&t->items, ((struct cox_network_gateway){ network, g->addresses[i], (uint16_t)port }));
}

static int by_name(const void *a, const void *b) { return cox_str_cmp(*(const struct cox_str *)a, *(const struct cox_str *)b); }

size_t cox_registry_gateway_names(const struct cox_registry *r, struct cox_arena *arena, const struct cox_str **out)
{
	struct cox_str *names = COX_ARENA_ARRAY(arena, struct cox_str, r->gateway_names.n + 1);
	size_t n = 0;
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&r->gateway_names, e));)
		if (((const struct reg_gateway_name *)e->value)->is_in_use)
			names[n++] = e->key;
	if (n > 1)
		qsort(names, n, sizeof(*names), by_name);
	*out = names;
	return n;
}

bool cox_registry_set_gateway_addresses(struct cox_registry *r, struct cox_str name, const struct cox_str *addresses, size_t n)
{
	struct reg_gateway_name *was = cox_map_find(&r->gateway_names, name);
	bool is_same = was && was->n == n;
	for (size_t i = 0; i < n && is_same; i++)
		is_same = cox_str_eq(was->addresses[i], addresses[i]);
	if (is_same || !was) /* not asked for any more */
		return false;
	struct reg_gateway_name *now = name_new(name, addresses, n);
	now->is_in_use = true;
	cox_map_set(&r->gateway_names, now->name, now);
	cox_free(was);
	r->are_networks_dirty = true;
	return true;
}

/* Where a service can be reached from outside its network. */
static void add_service(struct table *t, struct cox_str network, const struct cox_object *o, int64_t port)
{
	const struct cox_service *s = COX_SPEC(cox_service, o);
	if (s->spec)
		for (COX_EACH(struct cox_str, ip, s->spec->external_ips))
			add(t, network, *ip, port);
	if (s->status && s->status->load_balancer)
		for (COX_EACH(struct cox_ingress_point, in, s->status->load_balancer->ingress))
			add(t, network, in->ip.n ? in->ip : in->hostname, port);
}

/* Annotation traffic.istio.io/nodeSelector: labels as JSON; the Service is reached at the outer addresses of these nodes. */
static void add_nodes(struct table *t, struct cox_str network, const struct cox_object *o, struct cox_str selector, int64_t port)
{
	const struct cox_service_spec *s = COX_SPEC(cox_service, o)->spec;
	const struct reg_store *nodes = &t->r->stores[COX_KIND_NODE];
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	struct cox_json *labels = NULL;
	int64_t node_port = 0;
	t->r->has_node_ports = true;
	for (size_t i = 0; s && i < s->ports.n; i++)
		if (s->ports.p[i].port.v == port)
			node_port = s->ports.p[i].node_port.v;
	if (cox_json_parse(&arena, selector, &labels, NULL) != COX_OK || labels->type != COX_JSON_OBJECT)
		return;
	for (size_t i = 0; i < nodes->n; i++) {
		const struct cox_node_status *status = COX_SPEC(cox_node, nodes->p[i])->status;
		const struct cox_meta *m = &nodes->p[i]->meta;
		bool fits = status != NULL;
		for (size_t k = 0; k < labels->n && fits; k++)
			fits = cox_str_eq(cox_kv_get(m->labels.p, m->labels.n, labels->members[k].key), labels->members[k].value.text);
		for (size_t k = 0; fits && k < status->addresses.n; k++)
			if (cox_str_eq_cstr(status->addresses.p[k].type, "ExternalIP"))
				add(t, network, status->addresses.p[k].address, node_port);
	}
}

static int64_t gateway_port(const struct cox_object *o)
{
	uint64_t port;
	struct cox_str text = cox_kv_get(o->meta.labels.p, o->meta.labels.n, COX_STR("networking.istio.io/gatewayPort"));
	return text.n && cox_str_to_u64(text, &port) == COX_OK && port > 0 && port <= UINT16_MAX ? (int64_t)port : COX_NETWORK_GATEWAY_PORT;
}

static void collect_services(const struct cox_registry *r, struct table *t)
{
	const struct reg_store *services = &r->stores[COX_KIND_SERVICE];
	for (size_t i = 0; i < services->n; i++) {
		const struct cox_object *o = services->p[i];
		const struct cox_service_spec *spec = COX_SPEC(cox_service, o)->spec;
		struct cox_str selector =
		    cox_kv_get(o->meta.annotations.p, o->meta.annotations.n, COX_STR("traffic.istio.io/nodeSelector"));
		if (!label_of(o).n)
			continue;
		if (selector.n && spec && cox_str_eq_cstr(spec->type, "NodePort"))
			add_nodes(t, label_of(o), o, selector, gateway_port(o));
		else
			add_service(t, label_of(o), o, gateway_port(o));
	}
}

static const struct cox_object *service_of(const struct cox_registry *r, struct cox_str hostname)
{
	struct cox_str name, ns, rest = hostname;
	if (!cox_str_next(&rest, '.', &name) || !cox_str_next(&rest, '.', &ns))
		return NULL;
	return reg_object(r, COX_KIND_SERVICE, ns, name);
}

static void collect_configured(const struct cox_registry *r, struct table *t)
{
	for (COX_EACH(struct cox_network, net, r->mesh_networks->networks))
		for (COX_EACH(struct cox_network_gateway_spec, g, net->gateways)) {
			const struct cox_object *o = g->registry_service_name.n ? service_of(r, g->registry_service_name) : NULL;
			if (o)
				add_service(t, net->key, o, g->port.v);
			else
				add(t, net->key, g->address, g->port.v);
		}
}

static int gateway_cmp(const void *a, const void *b)
{
	const struct cox_network_gateway *x = a, *y = b;
	int c = cox_str_cmp(x->network, y->network);
	c = c ? c : cox_str_cmp(x->address, y->address);
	return c ? c : (x->port > y->port) - (x->port < y->port);
}

static size_t without_doubles(struct cox_network_gateway *p, size_t n)
{
	size_t kept = 0;
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || gateway_cmp(&p[kept - 1], &p[i]) != 0)
			p[kept++] = p[i];
	return kept;
}

static uint32_t common_multiple(uint32_t a, uint32_t b)
{
	uint32_t x = a, y = b;
	while (y) {
		uint32_t rest = x % y;
		x = y;
		y = rest;
	}
	return a / x * b;
}

static uint32_t scale_of(const struct cox_network_gateway *p, size_t n)
{
	uint32_t scale = 1;
	for (size_t i = 0, k; i < n; i += k) {
		for (k = 1; i + k < n && cox_str_eq(p[i].network, p[i + k].network); k++)
			;
		uint32_t wider = common_multiple(scale, (uint32_t)cox_min_size(k, SCALE_MAX));
		scale = wider <= SCALE_MAX ? wider : scale;
	}
	return scale;
}

/* One block: the table, the gateways, their text. */
static struct cox_networks *seal(const struct cox_network_gateway *p, size_t n)
{
	size_t text_n = 0;
	for (size_t i = 0; i < n; i++)
		text_n += p[i].network.n + p[i].address.n;
	struct cox_networks *t = cox_zalloc(sizeof(*t) + n * sizeof(*p) + text_n + 1);
	struct cox_network_gateway *to = (struct cox_network_gateway *)(void *)(t + 1);
	char *text = (char *)(to + n);
	cox_ref_init(&t->ref);
	for (size_t i = 0; i < n; i++) {
		struct cox_str *from[] = { (struct cox_str *)&p[i].network, (struct cox_str *)&p[i].address },
		               *into[] = { &to[i].network, &to[i].address };
		for (size_t k = 0; k < COX_LEN(from); k++) {
			memcpy(text, from[k]->p, from[k]->n);
			*into[k] = cox_str_make(text, from[k]->n);
			t->hash = cox_hash_combine(t->hash, cox_hash128(text, from[k]->n));
			text += from[k]->n;
		}
		to[i].port = p[i].port;
		t->hash = cox_hash_combine(t->hash, (struct cox_hash){ p[i].port, 0 });
	}
	t->gateways.p = to;
	t->gateways.n = n;
	t->scale = scale_of(to, n);
	return t;
}

bool reg_networks_update(struct cox_registry *r)
{
	struct table t = { .r = r };
	r->are_networks_dirty = r->has_node_ports = false;
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&r->gateway_names, e));)
		((struct reg_gateway_name *)e->value)->is_in_use = false;
	collect_configured(r, &t);
	collect_services(r, &t);
	if (t.items.n)
		qsort(t.items.p, t.items.n, sizeof(*t.items.p), gateway_cmp);
	t.items.n = without_doubles(t.items.p, t.items.n);
	struct cox_networks *now = seal(t.items.p, t.items.n);
	cox_vec_fini(&t.items);
	if (r->networks && cox_hash_eq(r->networks->hash, now->hash)) {
		cox_networks_unref(now);
		return false;
	}
	cox_networks_unref(r->networks);
	r->networks = now;
	return true;
}

void reg_networks_service_changed(struct cox_registry *r, const struct cox_object *old, const struct cox_object *now)
{
	bool is_named = false;
	for (COX_EACH(struct cox_network, net, r->mesh_networks->networks))
		for (COX_EACH(struct cox_network_gateway_spec, g, net->gateways))
			is_named |= g->registry_service_name.n > 0;
	r->are_networks_dirty |= is_named || label_of(old).n || label_of(now).n;
}

void reg_networks_node_changed(struct cox_registry *r) { r->are_networks_dirty |= r->has_node_ports; }

void reg_networks_fini(struct cox_registry *r)
{
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&r->gateway_names, e));)
		cox_free(e->value);
	cox_map_fini(&r->gateway_names);
	cox_free(r->mesh_networks);
	cox_networks_unref(r->networks);
	cox_buf_fini(&r->networks_error);
}

/* --- the table ------------------------------------------------------------------------------------------------------------ */

const struct cox_networks *cox_registry_networks_share(const struct cox_registry *r)
{
	cox_ref_get(&((struct cox_networks *)r->networks)->ref);
	return r->networks;
}

void cox_networks_unref(const struct cox_networks *n)
{
	struct cox_networks *mine = (struct cox_networks *)n;
	if (mine && cox_ref_put(&mine->ref))
		cox_free(mine);
}

size_t cox_networks_gateways(const struct cox_networks *n, struct cox_str network, const struct cox_network_gateway **out)
{
	size_t from = 0, to;
	while (from < n->gateways.n && cox_str_cmp(n->gateways.p[from].network, network) < 0)
		from++;
	for (to = from; to < n->gateways.n && cox_str_eq(n->gateways.p[to].network, network); to++)
		;
	*out = n->gateways.p ? n->gateways.p + from : NULL;
	return to - from;
}
