/* Turning what was built in scratch memory into shared values of exactly the size they need. */
#include "registry/registry_priv.h"

#include <stdlib.h>

/* --- who sees a service --------------------------------------------------------------------------- */

bool cox_export_is_visible(const struct cox_export *e, struct cox_str ns)
{
	if (e->is_public)
		return true;
	for (COX_EACH(struct cox_str, name, e->namespaces))
		if (cox_str_eq(*name, ns))
			return true;
	return false;
}

struct cox_export cox_export_build(struct cox_arena *arena, const struct cox_str *list, size_t n, struct cox_str own,
                                   const struct cox_str *defaults, size_t default_n)
{
	struct cox_export e = { 0 };
	if (n == 0) {
		list = defaults;
		n = default_n;
	}
	e.is_public = n == 0;
	struct cox_str *names = n > 0 ? COX_ARENA_ARRAY(arena, struct cox_str, n) : NULL;
	size_t count = 0;
	for (size_t i = 0; i < n; i++) {
		struct cox_str name = cox_str_eq(list[i], COX_STR(".")) ? own : list[i];
		e.is_public |= cox_str_eq(name, COX_STR("*"));
		if (name.n == 0 || cox_str_eq(name, COX_STR("*")) || cox_str_eq(name, COX_STR("~")))
			continue;
		names[count++] = name;
	}
	if (e.is_public || count == 0)
		return e;
	qsort(names, count, sizeof(*names), cox_str_cmp_qsort);
	size_t distinct = 1;
	for (size_t i = 1; i < count; i++)
		if (!cox_str_eq(names[i], names[distinct - 1]))
			names[distinct++] = names[i];
	e.namespaces.p = names;
	e.namespaces.n = distinct;
	return e;
}

/* --- hashing: every value with its length, so that no two contents look alike ------------------------ */

static void put_n(struct cox_buf *b, uint64_t n) { cox_buf_append(b, &n, sizeof(n)); }

static void put_str(struct cox_buf *b, struct cox_str s)
{
	put_n(b, s.n);
	cox_buf_append_str(b, s);
}

static void put_strs(struct cox_buf *b, const struct cox_str *p, size_t n)
{
	put_n(b, n);
	for (size_t i = 0; i < n; i++)
		put_str(b, p[i]);
}

static void put_kvs(struct cox_buf *b, const struct cox_kv *p, size_t n)
{
	put_n(b, n);
	for (size_t i = 0; i < n; i++) {
		put_str(b, p[i].key);
		put_str(b, p[i].value);
	}
}

struct cox_hash reg_svc_hash(struct cox_registry *r, const struct cox_svc *s)
{
	struct cox_buf *b = &r->bytes;
	cox_buf_clear(b);
	const struct cox_str texts[] = {
		s->hostname, s->name, s->ns, s->external_name, s->object_id, s->persistent_session, s->persistent_session_header
	};
	put_strs(b, texts, COX_LEN(texts));
	const bool flags[] = { s->is_headless,  s->is_external,  s->publish_not_ready,  s->is_node_local,
		               s->is_node_port, s->has_selector, s->addresses_are_auto, s->export_to.is_public };
	cox_buf_append(b, flags, sizeof(flags));
	put_n(b, (uint64_t)s->origin << 32 | (uint64_t)s->resolution << 16 | (uint64_t)s->distribution);
	put_n(b, (uint64_t)s->creation_ms);
	put_strs(b, s->addresses.p, s->addresses.n);
	put_n(b, s->ports.n);
	for (COX_EACH(struct cox_svc_port, p, s->ports)) {
		put_str(b, p->name);
		put_str(b, p->target_name);
		put_n(b, (uint64_t)p->port << 48 | (uint64_t)p->target_port << 32 | (uint64_t)p->node_port << 16 | (uint64_t)p->protocol);
	}
	put_kvs(b, s->labels.p, s->labels.n);
	put_kvs(b, s->selector.p, s->selector.n);
	put_strs(b, s->subject_alt_names.p, s->subject_alt_names.n);
	put_strs(b, s->aliases.p, s->aliases.n);
	put_strs(b, s->export_to.namespaces.p, s->export_to.namespaces.n);
	return cox_hash128(b->p, b->n);
}

/* The text members of an endpoint, in one place: hashing and packing must not miss one. */
static const size_t endpoint_texts[] = {
	offsetof(struct cox_endpoint, address),
	offsetof(struct cox_endpoint, port_name),
	offsetof(struct cox_endpoint, locality),
	offsetof(struct cox_endpoint, network),
	offsetof(struct cox_endpoint, cluster_id),
	offsetof(struct cox_endpoint, node_name),
	offsetof(struct cox_endpoint, ns),
	offsetof(struct cox_endpoint, workload),
	offsetof(struct cox_endpoint, service_account),
	offsetof(struct cox_endpoint, canonical_name),
	offsetof(struct cox_endpoint, canonical_revision),
	offsetof(struct cox_endpoint, hostname),
	offsetof(struct cox_endpoint, subdomain),
	offsetof(struct cox_endpoint, tls_mode),
	offsetof(struct cox_endpoint, pod_name),
};

static struct cox_str *text_of(const struct cox_endpoint *e, size_t i) { return (struct cox_str *)((char *)e + endpoint_texts[i]); }

static void put_endpoint(struct cox_buf *b, const struct cox_endpoint *e)
{
	for (size_t i = 0; i < COX_LEN(endpoint_texts); i++)
		put_str(b, *text_of(e, i));
	put_n(b, (uint64_t)e->port << 48 | (uint64_t)e->svc_port << 32 | (uint64_t)e->weight);
	put_n(b, (uint64_t)e->health);
	put_kvs(b, e->labels.p, e->labels.n);
}

/* --- packing: run twice, first to measure, then to copy --------------------------------------------- */

struct pack {
	char *base; /* NULL: measuring */
	size_t n;
};

static void *pack_bytes(struct pack *k, const void *from, size_t n, size_t align)
{
	k->n = (k->n + align - 1) & ~(align - 1);
	char *to = k->base ? k->base + k->n : NULL;
	k->n += n;
	return to && n > 0 ? memcpy(to, from, n) : to;
}

static struct cox_str pack_str(struct pack *k, struct cox_str s)
{
	return s.n == 0 ? (struct cox_str){ 0 } : (struct cox_str){ pack_bytes(k, s.p, s.n, 1), s.n };
}

static struct cox_str *pack_strs(struct pack *k, const struct cox_str *p, size_t n)
{
	struct cox_str *to = pack_bytes(k, p, n * sizeof(*p), 8);
	for (size_t i = 0; i < n; i++) {
		struct cox_str s = pack_str(k, p[i]);
		if (k->base)
			to[i] = s;
	}
	return to;
}

/* Values equal to those of `before`, the list packed last, share its text. */
static struct cox_kv *pack_kvs(struct pack *k, const struct cox_kv *p, size_t n, const struct cox_kv *before_tmp,
                               const struct cox_kv *before, size_t before_n)
{
	struct cox_kv *to = pack_bytes(k, p, n * sizeof(*p), 8);
	for (size_t i = 0; i < n; i++) {
		bool same_key = i < before_n && cox_str_eq(p[i].key, before_tmp[i].key);
		bool same_value = i < before_n && cox_str_eq(p[i].value, before_tmp[i].value);
		struct cox_str key = same_key ? (struct cox_str){ 0 } : pack_str(k, p[i].key);
		struct cox_str value = same_value ? (struct cox_str){ 0 } : pack_str(k, p[i].value);
		if (!k->base)
			continue;
		to[i].key = same_key ? before[i].key : key;
		to[i].value = same_value ? before[i].value : value;
	}
	return to;
}

static struct cox_svc *pack_svc(struct pack *k, const struct cox_svc *s)
{
	struct cox_svc *to = pack_bytes(k, s, sizeof(*s), 8);
	struct cox_svc copy = *s;
	copy.addresses.p = pack_strs(k, s->addresses.p, s->addresses.n);
	struct cox_svc_port *ports = pack_bytes(k, s->ports.p, s->ports.n * sizeof(*s->ports.p), 8);
	for (size_t i = 0; i < s->ports.n; i++) {
		struct cox_str name = pack_str(k, s->ports.p[i].name), target = pack_str(k, s->ports.p[i].target_name);
		if (k->base)
			ports[i].name = name, ports[i].target_name = target;
	}
	copy.ports.p = ports;
	copy.labels.p = pack_kvs(k, s->labels.p, s->labels.n, NULL, NULL, 0);
	copy.selector.p = pack_kvs(k, s->selector.p, s->selector.n, s->labels.p, copy.labels.p, cox_min_size(s->labels.n, s->selector.n));
	copy.subject_alt_names.p = pack_strs(k, s->subject_alt_names.p, s->subject_alt_names.n);
	copy.aliases.p = pack_strs(k, s->aliases.p, s->aliases.n);
	copy.export_to.namespaces.p = pack_strs(k, s->export_to.namespaces.p, s->export_to.namespaces.n);
	struct cox_str *texts[] = { &copy.hostname,
		                    &copy.name,
		                    &copy.ns,
		                    &copy.external_name,
		                    &copy.object_id,
		                    &copy.persistent_session,
		                    &copy.persistent_session_header };
	for (size_t i = 0; i < COX_LEN(texts); i++)
		*texts[i] = pack_str(k, *texts[i]);
	if (to)
		*to = copy;
	return to;
}

const struct cox_svc *reg_svc_seal(struct cox_registry *r, const struct cox_svc *tmp)
{
	struct pack k = { 0 };
	pack_svc(&k, tmp);
	k = (struct pack){ .base = cox_alloc(k.n) };
	struct cox_svc *s = pack_svc(&k, tmp);
	cox_ref_init(&s->ref);
	s->hash = reg_svc_hash(r, tmp);
	return s;
}

static void pack_endpoint(struct pack *k, const struct cox_endpoint *tmp, size_t i, struct cox_endpoint *to)
{
	const struct cox_endpoint *e = &tmp[i];
	for (size_t t = 0; t < COX_LEN(endpoint_texts); t++) {
		bool same = i > 0 && cox_str_eq(*text_of(e, t), *text_of(e - 1, t));
		struct cox_str s = same ? (struct cox_str){ 0 } : pack_str(k, *text_of(e, t));
		if (k->base)
			*text_of(&to[i], t) = same ? *text_of(&to[i - 1], t) : s;
	}
	if (i > 0 && e->labels.p == e[-1].labels.p && e->labels.n == e[-1].labels.n) { /* another port of the same workload */
		if (k->base)
			to[i].labels = to[i - 1].labels;
		return;
	}
	const struct cox_kv *before = k->base && i > 0 ? to[i - 1].labels.p : NULL;
	size_t before_n = i > 0 ? cox_min_size(e[-1].labels.n, e->labels.n) : 0;
	const struct cox_kv *kvs = pack_kvs(k, e->labels.p, e->labels.n, i > 0 ? e[-1].labels.p : NULL, before, before_n);
	if (k->base)
		to[i].labels.p = kvs;
}

static struct cox_endpoint_set *pack_set(struct pack *k, const struct cox_endpoint *eps, size_t n, const struct cox_str *accounts,
                                         size_t account_n)
{
	struct cox_endpoint_set *set = pack_bytes(k, &(struct cox_endpoint_set){ 0 }, sizeof(*set), 8);
	struct cox_endpoint *to = pack_bytes(k, eps, n * sizeof(*eps), 8);
	struct cox_str *names = pack_strs(k, accounts, account_n);
	for (size_t i = 0; i < n; i++)
		pack_endpoint(k, eps, i, to);
	if (k->base) {
		set->items.p = to, set->items.n = n;
		set->accounts.p = names, set->accounts.n = account_n;
	}
	return set;
}

/* --- a set of endpoints ------------------------------------------------------------------------------ */

/* Ports of a workload stand together, which lets them share their text; of duplicates the healthy one is first. */
static int by_workload(const void *a, const void *b)
{
	const struct cox_endpoint *x = a, *y = b;
	int c = cox_str_cmp(x->address, y->address);
	c = c != 0 ? c : cox_str_cmp(x->port_name, y->port_name);
	c = c != 0 ? c : (x->port > y->port) - (x->port < y->port);
	c = c != 0 ? c : (x->health > y->health) - (x->health < y->health);
	/* Two unlike sources of one address (a slice and a WorkloadEntry): which one stays must not depend on the order of events. */
	c = c != 0 ? c : cox_str_cmp(x->pod_name, y->pod_name);
	return c != 0 ? c : cox_str_cmp(x->workload, y->workload);
}

static int by_port(const void *a, const void *b)
{
	const struct cox_endpoint *x = a, *y = b;
	int c = cox_str_cmp(x->port_name, y->port_name);
	c = c != 0 ? c : cox_str_cmp(x->locality, y->locality);
	c = c != 0 ? c : cox_str_cmp(x->address, y->address);
	return c != 0 ? c : (x->port > y->port) - (x->port < y->port);
}

static size_t drop_duplicates(struct cox_endpoint *eps, size_t n)
{
	size_t kept = 0;
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || !cox_str_eq(eps[i].address, eps[kept - 1].address) ||
		    !cox_str_eq(eps[i].port_name, eps[kept - 1].port_name) || eps[i].port != eps[kept - 1].port)
			eps[kept++] = eps[i];
	return kept;
}

static size_t collect_accounts(struct cox_registry *r, const struct cox_endpoint *eps, size_t n, struct cox_str **out)
{
	struct cox_str *names = COX_ARENA_ARRAY(&r->scratch, struct cox_str, n + 1);
	size_t count = 0, distinct = 0;
	for (size_t i = 0; i < n; i++)
		if (eps[i].service_account.n > 0 && (count == 0 || !cox_str_eq(names[count - 1], eps[i].service_account)))
			names[count++] = eps[i].service_account;
	qsort(names, count, sizeof(*names), cox_str_cmp_qsort);
	for (size_t i = 0; i < count; i++)
		if (distinct == 0 || !cox_str_eq(names[i], names[distinct - 1]))
			names[distinct++] = names[i];
	*out = names;
	return distinct;
}

static struct cox_hash shape_of(struct cox_registry *r, const struct cox_svc *svc, const struct cox_endpoint_set *set)
{
	struct cox_buf *b = &r->bytes;
	bool is_dns = svc->resolution == COX_RES_DNS || svc->resolution == COX_RES_DNS_RR;
	cox_buf_clear(b);
	put_strs(b, set->accounts.p, set->accounts.n);
	put_n(b, set->all_tls);
	if (is_dns)
		cox_buf_append(b, &set->hash, sizeof(set->hash));
	for (size_t i = 0; i < set->items.n && svc->is_headless; i++) {
		const struct cox_endpoint *e = &set->items.p[i];
		put_str(b, e->address);
		put_str(b, e->hostname); /* the name table has them */
		put_str(b, e->subdomain);
		put_str(b, e->network);
		put_str(b, e->cluster_id);
		put_str(b, e->port_name);
		put_n(b, (uint64_t)e->port << 16 | e->svc_port);
		put_n(b, e->health == COX_UNHEALTHY); /* listeners leave such out */
	}
	return cox_hash128(b->p, b->n);
}

const struct cox_endpoint_set *reg_endpoints_seal(struct cox_registry *r, const struct cox_svc *svc)
{
	struct cox_endpoint *eps = r->eps.p;
	if (r->eps.n > 1)
		qsort(eps, r->eps.n, sizeof(*eps), by_workload);
	size_t n = r->eps.n > 0 ? drop_duplicates(eps, r->eps.n) : 0;
	struct cox_str *accounts;
	size_t account_n = collect_accounts(r, eps, n, &accounts);
	struct pack k = { 0 };
	pack_set(&k, eps, n, accounts, account_n);
	k = (struct pack){ .base = cox_alloc(k.n) };
	struct cox_endpoint_set *set = pack_set(&k, eps, n, accounts, account_n);
	cox_ref_init(&set->ref);
	if (n > 1)
		qsort((void *)set->items.p, n, sizeof(*eps), by_port);
	cox_buf_clear(&r->bytes);
	set->all_tls = n > 0;
	for (size_t i = 0; i < n; i++) {
		put_endpoint(&r->bytes, &set->items.p[i]);
		set->all_tls &= cox_str_eq(set->items.p[i].tls_mode, COX_STR("istio"));
	}
	set->hash = cox_hash128(r->bytes.p, r->bytes.n);
	set->shape = shape_of(r, svc, set);
	return set;
}

/* --- references --------------------------------------------------------------------------------------- */

const struct cox_svc *cox_svc_ref(const struct cox_svc *s)
{
	cox_ref_get(&((struct cox_svc *)s)->ref);
	return s;
}

void cox_svc_unref(const struct cox_svc *s)
{
	if (s && cox_ref_put(&((struct cox_svc *)s)->ref))
		cox_free((void *)s);
}

const struct cox_endpoint_set *cox_endpoint_set_ref(const struct cox_endpoint_set *s)
{
	cox_ref_get(&((struct cox_endpoint_set *)s)->ref);
	return s;
}

void cox_endpoint_set_unref(const struct cox_endpoint_set *s)
{
	if (s && cox_ref_put(&((struct cox_endpoint_set *)s)->ref))
		cox_free((void *)s);
}
