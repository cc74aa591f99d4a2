#include "translate/resource.h"

#include <stdlib.h>

static const struct {
	struct cox_str url, name;
	const char *metric;
	bool is_wildcard;
} types[COX_TYPE_COUNT] = {
	[COX_TYPE_CDS] = { COX_STR_INIT("type.googleapis.com/envoy.config.cluster.v3.Cluster"), COX_STR_INIT("CDS"), "cds", true },
	[COX_TYPE_EDS] = { COX_STR_INIT("type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"), COX_STR_INIT("EDS"), "eds",
	                   false },
	[COX_TYPE_SDS] = { COX_STR_INIT("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"), COX_STR_INIT("SDS"), "sds",
	                   false },
	[COX_TYPE_LDS] = { COX_STR_INIT("type.googleapis.com/envoy.config.listener.v3.Listener"), COX_STR_INIT("LDS"), "lds", true },
	[COX_TYPE_ECDS] = { COX_STR_INIT("type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"), COX_STR_INIT("ECDS"), "ecds",
	                    false },
	[COX_TYPE_RDS] = { COX_STR_INIT("type.googleapis.com/envoy.config.route.v3.RouteConfiguration"), COX_STR_INIT("RDS"), "rds",
	                   false },
	[COX_TYPE_VHDS] = { COX_STR_INIT("type.googleapis.com/envoy.config.route.v3.VirtualHost"), COX_STR_INIT("VHDS"), "vhds", false },
	[COX_TYPE_NDS] = { COX_STR_INIT("type.googleapis.com/istio.networking.nds.v1.NameTable"), COX_STR_INIT("NDS"), "nds", true },
	[COX_TYPE_TRUST] = { COX_STR_INIT("type.googleapis.com/coxswain.v1.TrustBundle"), COX_STR_INIT("TRUST"), "trust", true },
	[COX_TYPE_PCDS] = { COX_STR_INIT("type.googleapis.com/istio.mesh.v1alpha1.ProxyConfig"), COX_STR_INIT("PCDS"), "pcds", true },
};

struct cox_str cox_type_url(enum cox_type t) { return types[t].url; }
struct cox_str cox_type_short(enum cox_type t) { return types[t].name; }
const char *cox_type_metric(enum cox_type t) { return types[t].metric; }
bool cox_type_is_wildcard(enum cox_type t) { return types[t].is_wildcard; }

enum cox_type cox_type_find(struct cox_str url)
{
	for (int t = 0; t < COX_TYPE_COUNT; t++)
		if (cox_str_eq(types[t].url, url))
			return (enum cox_type)t;
	return COX_TYPE_COUNT;
}

struct cox_bytes *cox_bytes_new(const void *p, size_t n)
{
	struct cox_bytes *b = cox_alloc(sizeof(*b) + n);
	cox_ref_init(&b->ref);
	b->n = n;
	if (p != NULL && n > 0)
		memcpy(b->p, p, n);
	b->hash = p != NULL || n == 0 ? cox_hash128(b->p, n) : (struct cox_hash){ 0 };
	return b;
}

void cox_bytes_seal(struct cox_bytes *b) { b->hash = cox_hash128(b->p, b->n); }

const struct cox_bytes *cox_bytes_ref(const struct cox_bytes *b)
{
	cox_ref_get(&((struct cox_bytes *)b)->ref);
	return b;
}

void cox_bytes_unref(const struct cox_bytes *b)
{
	if (b != NULL && cox_ref_put(&((struct cox_bytes *)b)->ref))
		cox_free((void *)b);
}

static struct cox_str place_str(char **at, struct cox_str s)
{
	struct cox_str placed = { *at, s.n };
	if (s.n > 0)
		memcpy(*at, s.p, s.n);
	*at += s.n;
	return placed;
}

static struct cox_hash hash_of_pieces(const struct cox_piece *pieces, size_t n)
{
	/* The version is the hash of the bytes, so that it does not depend on how they were cut into pieces. */
	if (n == 1 && pieces[0].skip == 0 && pieces[0].n == pieces[0].bytes->n)
		return pieces[0].bytes->hash;
	struct cox_buf flat = { 0 };
	for (size_t i = 0; i < n; i++)
		cox_buf_append(&flat, pieces[i].bytes->p + pieces[i].skip, pieces[i].n);
	struct cox_hash h = cox_hash128(flat.p, flat.n);
	cox_buf_fini(&flat);
	return h;
}

struct cox_resource *cox_resource_compose(enum cox_type type, struct cox_str name, const struct cox_piece *pieces, size_t n,
                                          struct cox_str origins, struct cox_str needs)
{
	size_t pieces_bytes = n * sizeof(*pieces);
	struct cox_resource *r = cox_zalloc(sizeof(*r) + pieces_bytes + name.n + origins.n + needs.n);
	struct cox_piece *own = (struct cox_piece *)(r + 1);
	char *text = (char *)own + pieces_bytes;
	size_t size = 0;

	cox_ref_init(&r->ref);
	r->type = type;
	for (size_t i = 0; i < n; i++) {
		own[i] = pieces[i];
		cox_bytes_ref(own[i].bytes);
		size += own[i].n;
	}
	COX_ASSERT(size <= UINT32_MAX);
	r->size_bytes = (uint32_t)size;
	r->piece_count = (uint32_t)n;
	r->pieces = own;
	r->name = place_str(&text, name);
	r->origins = place_str(&text, origins);
	r->needs = place_str(&text, needs);
	r->hash = hash_of_pieces(own, n);
	return r;
}

struct cox_resource *cox_resource_new(enum cox_type type, struct cox_str name, struct cox_str bytes, struct cox_str origins,
                                      struct cox_str needs)
{
	COX_ASSERT(bytes.n <= UINT32_MAX);
	struct cox_bytes *b = cox_bytes_new(bytes.p, bytes.n);
	struct cox_piece piece = { .bytes = b, .skip = 0, .n = (uint32_t)bytes.n };
	struct cox_resource *r = cox_resource_compose(type, name, &piece, 1, origins, needs);
	cox_bytes_unref(b);
	return r;
}

const struct cox_resource *cox_resource_ref(const struct cox_resource *r)
{
	cox_ref_get(&((struct cox_resource *)r)->ref);
	return r;
}

void cox_resource_mark_accepted(const struct cox_resource *r, unsigned klass)
{
	uint32_t bit = 1u << klass;
	if (!(atomic_load_explicit(&r->accepted_by, memory_order_relaxed) & bit))
		atomic_fetch_or_explicit(&((struct cox_resource *)r)->accepted_by, bit, memory_order_relaxed);
}

bool cox_resource_is_accepted(const struct cox_resource *r, unsigned klass)
{
	return atomic_load_explicit(&r->accepted_by, memory_order_relaxed) & 1u << klass;
}

void cox_resource_unref(const struct cox_resource *r)
{
	if (r == NULL || !cox_ref_put(&((struct cox_resource *)r)->ref))
		return;
	for (uint32_t i = 0; i < r->piece_count; i++)
		cox_bytes_unref(r->pieces[i].bytes);
	cox_free((void *)r);
}

void cox_resource_flatten(const struct cox_resource *r, struct cox_buf *out)
{
	for (uint32_t i = 0; i < r->piece_count; i++)
		cox_buf_append(out, r->pieces[i].bytes->p + r->pieces[i].skip, r->pieces[i].n);
}

/* --- sets --------------------------------------------------------------------------------- */

struct ordered {
	const struct cox_resource *r;
	size_t order;
};

static int cmp_ordered(const void *a, const void *b)
{
	const struct ordered *x = a, *y = b;
	int c = cox_str_cmp(x->r->name, y->r->name);
	return c != 0 ? c : (x->order > y->order) - (x->order < y->order);
}

static void set_count(struct cox_set *s, const struct cox_resource *r)
{
	uint64_t name = cox_name_hash(r->name);
	cox_sum_add(&s->content, name, r->hash);
	cox_sum_add(&s->names, name, (struct cox_hash){ 0, 0 });
}

static void set_discount(struct cox_set *s, const struct cox_resource *r)
{
	uint64_t name = cox_name_hash(r->name);
	cox_sum_take(&s->content, name, r->hash);
	cox_sum_take(&s->names, name, (struct cox_hash){ 0, 0 });
}

static void set_seal(struct cox_set *s)
{
	uint64_t all[] = { (uint64_t)s->type, s->content.n, s->content.a, s->content.b };
	s->hash = cox_hash128(all, sizeof(all));
}

static struct cox_set *set_alloc(enum cox_type type, size_t cap)
{
	struct cox_set *s = cox_zalloc(sizeof(*s) + cap * sizeof(s->items[0]));
	cox_ref_init(&s->ref);
	s->type = type;
	return s;
}

/* Most lists come in order, or are made of a set. */
static bool is_in_order(const struct cox_resource **items, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (cox_str_cmp(items[i - 1]->name, items[i]->name) > 0)
			return false;
	return true;
}

static void sort_items(const struct cox_resource **items, size_t n)
{
	struct ordered *sorted = cox_calloc(n + 1, sizeof(*sorted));
	for (size_t i = 0; i < n; i++)
		sorted[i] = (struct ordered){ items[i], i };
	qsort(sorted, n, sizeof(*sorted), cmp_ordered);
	for (size_t i = 0; i < n; i++)
		items[i] = sorted[i].r;
	cox_free(sorted);
}

struct cox_set *cox_set_build_take(enum cox_type type, const struct cox_resource **items, size_t n)
{
	struct cox_set *s = set_alloc(type, n);
	if (!is_in_order(items, n))
		sort_items(items, n);
	for (size_t i = 0; i < n; i++) {
		COX_ASSERT(items[i]->type == type);
		if (s->n > 0 && cox_str_eq(s->items[s->n - 1]->name, items[i]->name)) {
			cox_resource_unref(items[i]);
			continue;
		}
		s->items[s->n++] = items[i];
		set_count(s, items[i]);
	}
	set_seal(s);
	return s;
}

const struct cox_set *cox_set_ref(const struct cox_set *s)
{
	cox_ref_get(&((struct cox_set *)s)->ref);
	return s;
}

void cox_set_unref(const struct cox_set *s)
{
	if (s == NULL || !cox_ref_put(&((struct cox_set *)s)->ref))
		return;
	for (size_t i = 0; i < s->n; i++)
		cox_resource_unref(s->items[i]);
	cox_free((void *)s);
}

/* The index at which `name` is or would be. */
static size_t set_lower_bound(const struct cox_set *s, struct cox_str name)
{
	size_t lo = 0, hi = s->n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (cox_str_cmp(s->items[mid]->name, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const struct cox_resource *cox_set_find(const struct cox_set *s, struct cox_str name)
{
	size_t i = set_lower_bound(s, name);
	return i < s->n && cox_str_eq(s->items[i]->name, name) ? s->items[i] : NULL;
}

/* All items of `s`, with its sums, and room for one more. */
static struct cox_set *set_copy(const struct cox_set *s)
{
	struct cox_set *copy = set_alloc(s->type, s->n + 1);
	copy->content = s->content;
	copy->names = s->names;
	copy->n = s->n;
	for (size_t i = 0; i < s->n; i++)
		copy->items[i] = cox_resource_ref(s->items[i]);
	return copy;
}

static void set_put_at(struct cox_set *s, size_t at, const struct cox_resource *r)
{
	const struct cox_resource *old = s->items[at];
	set_discount(s, old);
	s->items[at] = cox_resource_ref(r);
	set_count(s, r);
	cox_resource_unref(old);
}

struct cox_set *cox_set_replace(const struct cox_set *s, const struct cox_resource *const *news, size_t n)
{
	struct cox_set *copy = NULL;
	for (size_t i = 0; i < n; i++) {
		size_t at = set_lower_bound(s, news[i]->name);
		if (at == s->n || !cox_str_eq(s->items[at]->name, news[i]->name) || cox_hash_eq(s->items[at]->hash, news[i]->hash))
			continue;
		COX_ASSERT(news[i]->type == s->type);
		if (copy == NULL)
			copy = set_copy(s);
		set_put_at(copy, at, news[i]);
	}
	if (copy != NULL)
		set_seal(copy);
	return copy;
}

struct cox_set *cox_set_with(const struct cox_set *s, struct cox_str name, const struct cox_resource *r)
{
	size_t at = set_lower_bound(s, name);
	bool is_there = at < s->n && cox_str_eq(s->items[at]->name, name);
	struct cox_set *copy = set_copy(s);
	size_t behind = (s->n - at - is_there) * sizeof(s->items[0]);

	COX_ASSERT(r == NULL || (r->type == s->type && cox_str_eq(r->name, name)));
	if (is_there && r != NULL) {
		set_put_at(copy, at, r);
	} else if (is_there) {
		set_discount(copy, copy->items[at]);
		cox_resource_unref(copy->items[at]);
		memmove(&copy->items[at], &copy->items[at + 1], behind);
		copy->n--;
	} else if (r != NULL) {
		memmove(&copy->items[at + 1], &copy->items[at], behind);
		copy->items[at] = cox_resource_ref(r);
		copy->n++;
		set_count(copy, r);
	}
	set_seal(copy);
	return copy;
}
