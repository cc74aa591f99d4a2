/* names - the DNS name table of a scope view (NDS): which addresses the agent's DNS proxy answers with. One resource, composed of
 * a block per host, so that tables of many views share what they have in common. */
#include "translate/translate.h"

#include "envoy/api.h"

#include <stdlib.h>

/* Services of one hostname: they become one entry. */
struct host {
	struct cox_str name;
	uint32_t order; /* of the snapshot: oldest first */
	const struct cox_snap_svc *snap;
};
typedef COX_VEC(struct cox_str) texts;

static bool is_kube(const struct host *h) { return h->snap->svc->origin == COX_SVC_KUBE; }

static int by_name(const void *a, const void *b)
{
	const struct host *x = a, *y = b;
	int c = cox_str_cmp(x->name, y->name);
	if (c == 0)
		c = (int)is_kube(y) - (int)is_kube(x); /* a Kubernetes service beats whatever else claims its name */
	return c ? c : (x->order > y->order) - (x->order < y->order);
}

static struct cox_hash mix_str(struct cox_hash h, struct cox_str s) { return cox_hash_combine(h, cox_hash128(s.p, s.n)); }

/* --- which addresses ------------------------------------------------------------------------- */

/* A single address may be written as a CIDR; a longer range cannot be an answer. */
static struct cox_str as_address(struct cox_str s)
{
	ptrdiff_t slash = cox_str_find(s, '/');
	if (slash < 0)
		return s;
	struct cox_str bits = cox_str_sub(s, (size_t)slash + 1, s.n);
	bool is_v6 = cox_str_find(s, ':') >= 0;
	return cox_str_eq(bits, is_v6 ? COX_STR("128") : COX_STR("32")) ? cox_str_sub(s, 0, (size_t)slash) : (struct cox_str){ 0 };
}

static bool is_ip(struct cox_str s)
{
	bool has_colon = cox_str_find(s, ':') >= 0;
	if (s.n == 0 || cox_str_has_prefix(s, COX_STR("unix:")))
		return false;
	for (size_t i = 0; i < s.n && !has_colon; i++)
		if (s.p[i] != '.' && (s.p[i] < '0' || s.p[i] > '9'))
			return false;
	return true;
}

static void add_once(texts *list, struct cox_str s)
{
	for (size_t i = 0; i < list->n; i++)
		if (cox_str_eq(list->p[i], s))
			return;
	cox_vec_push(list, s);
}

static void add_own(const struct cox_tr *t, const struct cox_svc *svc, texts *out)
{
	/* Addresses that we made up lead nowhere without the listeners that come with DNS capture. */
	for (size_t i = 0; i < svc->addresses.n && (!svc->addresses_are_auto || t->view->dns_capture); i++) {
		struct cox_str a = as_address(cox_view_address(t->view, svc, svc->addresses.p[i], t->arena));
		if (a.n)
			add_once(out, a);
	}
}

static bool is_same_or_unknown(struct cox_str a, struct cox_str b) { return !a.n || !b.n || cox_str_eq(a, b); }

/* A headless service is reached without a gateway: endpoints of another network are no answer. */
static bool is_answer(const struct cox_view *view, const struct cox_svc *svc, const struct cox_endpoint *e)
{
	return (e->health == COX_HEALTHY || svc->publish_not_ready) && is_ip(e->address) && is_same_or_unknown(e->network, view->network);
}

static int by_pod(const void *a, const void *b)
{
	const struct cox_endpoint *x = *(const struct cox_endpoint *const *)a, *y = *(const struct cox_endpoint *const *)b;
	int c = cox_str_cmp(x->hostname, y->hostname);
	return c ? c : cox_str_cmp(x->address, y->address);
}

/* The endpoints that may be answers, each address once, sorted by pod hostname and address. Gives an arena array. */
static size_t headless_endpoints(struct cox_tr *t, const struct cox_snap_svc *snap, const struct cox_endpoint ***out)
{
	const struct cox_endpoint_set *set = snap->endpoints;
	const struct cox_endpoint **list = COX_ARENA_ARRAY(t->arena, const struct cox_endpoint *, set->items.n + 1);
	size_t n = 0, distinct = 0;
	for (size_t i = 0; i < set->items.n; i++)
		if (is_answer(t->view, snap->svc, &set->items.p[i]))
			list[n++] = &set->items.p[i];
	if (n > 1)
		qsort(list, n, sizeof(*list), by_pod);
	for (size_t i = 0; i < n; i++)
		if (!distinct || by_pod(&list[i], &list[distinct - 1]) != 0)
			list[distinct++] = list[i];
	*out = list;
	return distinct;
}

/* --- entries --------------------------------------------------------------------------------- */

static void write_entry(struct pb_istio_networking_nds_v1_NameTable table, struct cox_str host, const texts *ips, struct cox_str shortname,
                        struct cox_str ns)
{
	PB_WITH (info, pb_istio_networking_nds_v1_NameTable_table(table, host)) {
		for (size_t i = 0; i < ips->n; i++)
			pb_istio_networking_nds_v1_NameTable_NameInfo_ips(info, ips->p[i]);
		pb_istio_networking_nds_v1_NameTable_NameInfo_registry(info, shortname.n ? COX_STR("Kubernetes") : COX_STR("External"));
		pb_istio_networking_nds_v1_NameTable_NameInfo_shortname(info, shortname);
		pb_istio_networking_nds_v1_NameTable_NameInfo_namespace(info, ns);
	}
}

/* "<hostname>.<subdomain>.<namespace>.svc...": for pods that name this service as their subdomain, as Kubernetes does. Of pods with one
 * hostname in several clusters those of the proxy's own cluster count. `list` is one hostname's. */
static void write_pod(struct cox_tr *t, struct pb_istio_networking_nds_v1_NameTable table, const struct cox_svc *svc,
                      const struct cox_endpoint **list, size_t n)
{
	texts ips = { 0 };
	bool has_local = false;
	ptrdiff_t dot = cox_str_find(svc->hostname, '.');
	for (size_t i = 0; i < n; i++)
		has_local |= cox_str_eq(list[i]->cluster_id, t->view->cluster_id);
	for (size_t i = 0; i < n; i++)
		if (!has_local || cox_str_eq(list[i]->cluster_id, t->view->cluster_id))
			add_once(&ips, list[i]->address);
	if (dot > 0) {
		struct cox_str shortname = cox_arena_printf(t->arena, "%.*s.%.*s", COX_FMT(list[0]->hostname), COX_FMT(svc->name));
		struct cox_str host = cox_arena_concat(t->arena, shortname, cox_str_sub(svc->hostname, (size_t)dot, svc->hostname.n));
		write_entry(table, host, &ips, shortname, svc->ns);
	}
	cox_vec_fini(&ips);
}

static void write_headless(struct cox_tr *t, struct pb_istio_networking_nds_v1_NameTable table, const struct cox_snap_svc *snap, texts *ips)
{
	const struct cox_endpoint **list;
	size_t n = headless_endpoints(t, snap, &list), end;
	for (size_t i = 0; i < n; i = end) {
		bool has_name = list[i]->hostname.n && cox_str_eq(list[i]->subdomain, snap->svc->name);
		for (end = i; end < n && cox_str_eq(list[end]->hostname, list[i]->hostname); end++)
			if (is_same_or_unknown(list[end]->cluster_id, t->view->cluster_id))
				add_once(ips, list[end]->address);
		if (has_name)
			write_pod(t, table, snap->svc, list + i, end - i);
	}
}

static bool is_headless(const struct cox_svc *svc) { return svc->origin == COX_SVC_KUBE && svc->is_headless && svc->ports.n; }

/* All that is said about one hostname. Only the Kubernetes service counts where there is one; ServiceEntries of one host add up. */
static void write_host(struct cox_tr *t, struct cox_buf *out, const struct host *hosts, size_t n)
{
	struct cox_pb pb;
	texts ips = { 0 };
	const struct cox_svc *first = hosts[0].snap->svc;
	cox_pb_init(&pb, out);
	PB_ROOT (table, pb_istio_networking_nds_v1_NameTable, &pb) {
		for (size_t i = 0; i < (is_kube(hosts) ? 1 : n); i++)
			add_own(t, hosts[i].snap->svc, &ips);
		if (is_headless(first) && !ips.n)
			write_headless(t, table, hosts[0].snap, &ips);
		if (ips.n)
			write_entry(table, first->hostname, &ips, is_kube(hosts) ? first->name : COX_STR(""),
			            is_kube(hosts) ? first->ns : COX_STR(""));
	}
	cox_vec_fini(&ips);
}

static struct cox_hash host_identity(struct cox_tr *t, const struct host *hosts, size_t n)
{
	struct cox_hash h = cox_hash128("nds", 3);
	for (size_t i = 0; i < (is_kube(hosts) ? 1 : n); i++) {
		const struct cox_svc *svc = hosts[i].snap->svc;
		h = cox_hash_combine(h, svc->hash);
		if (is_headless(svc))
			h = mix_str(mix_str(cox_hash_combine(h, hosts[i].snap->endpoints->hash), t->view->cluster_id), t->view->network);
		if (svc->addresses_are_auto)
			h = mix_str(h, !t->view->dns_capture          ? COX_STR("")
			               : t->view->family == COX_IP_V6 ? COX_STR("captured, IPv6")
			                                              : COX_STR("captured"));
	}
	return h;
}

static const struct cox_bytes *host_bytes(struct cox_tr *t, const struct host *hosts, size_t n)
{
	struct cox_hash id = host_identity(t, hosts, n);
	const struct cox_bytes *b = cox_memo_bytes_find(t->memo, id);
	if (b)
		return b;
	COX_AUTO(cox_buf_fini) struct cox_buf wire = { 0 };
	write_host(t, &wire, hosts, n);
	return cox_memo_bytes_put_take(t->memo, id, cox_bytes_new(wire.p, wire.n));
}

/* --- the table ------------------------------------------------------------------------------- */

/* Every service that some egress listener has, once, by hostname. */
static size_t collect(struct cox_tr *t, struct host **out)
{
	size_t count = 0, n = 0, distinct = 0;
	for (size_t i = 0; t->scope && i < t->scope->listeners.n; i++)
		count += t->scope->listeners.p[i].svcs.n;
	struct host *hosts = COX_ARENA_ARRAY(t->arena, struct host, count + 1);
	for (size_t i = 0; count && i < t->scope->listeners.n; i++)
		for (size_t k = 0; k < t->scope->listeners.p[i].svcs.n; k++) {
			const struct cox_snap_svc *snap = t->scope->listeners.p[i].svcs.p[k].snap;
			hosts[n++] = (struct host){ snap->svc->hostname, snap->index, snap };
		}
	if (n > 1)
		qsort(hosts, n, sizeof(*hosts), by_name);
	for (size_t i = 0; i < n; i++)
		if (!distinct || hosts[i].snap != hosts[distinct - 1].snap)
			hosts[distinct++] = hosts[i];
	*out = hosts;
	return distinct;
}

const struct cox_resource *cox_translate_names(struct cox_tr *t)
{
	struct host *hosts;
	size_t n = collect(t, &hosts), end, piece_n = 0;
	struct cox_piece *pieces = COX_ARENA_ARRAY(t->arena, struct cox_piece, n + 1);
	for (size_t i = 0; i < n; i = end) {
		for (end = i + 1; end < n && cox_str_eq(hosts[end].name, hosts[i].name); end++)
			;
		const struct cox_bytes *b = host_bytes(t, hosts + i, end - i);
		if (b->n)
			pieces[piece_n++] = (struct cox_piece){ b, 0, (uint32_t)b->n };
		else
			cox_bytes_unref(b);
	}
	t->built++;
	const struct cox_resource *r = cox_resource_compose(COX_TYPE_NDS, COX_STR("names"), pieces, piece_n, COX_STR(""), COX_STR(""));
	for (size_t i = 0; i < piece_n; i++)
		cox_bytes_unref(pieces[i].bytes);
	return r;
}
