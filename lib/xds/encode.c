#include "xds/encode.h"

#include "envoy/envoy.h"
#include "envoy/core_v3.h"
#include "envoy/endpoint_v3.h"
#include "envoy/google_protobuf.h"
#include "envoy/route_v3.h"
#include "envoy/service_discovery_v3.h"

#include <stdio.h>

enum { VARINT_MAX = 10 };

/* --- small writing by hand: lengths are known, the bytes behind them are shared ------------------- */

static size_t put_varint(char *p, uint64_t v)
{
	size_t n = 0;
	for (; v >= 0x80; v >>= 7)
		p[n++] = (char)(uint8_t)(v | 0x80);
	p[n++] = (char)(uint8_t)v;
	return n;
}
static size_t varint_bytes(uint64_t v)
{
	size_t n = 1;
	for (; v >= 0x80; v >>= 7)
		n++;
	return n;
}
static void add_varint(struct cox_buf *b, uint64_t v)
{
	char *at = cox_buf_reserve(b, VARINT_MAX);
	b->n += put_varint(at, v);
}
static void add_tag(struct cox_buf *b, uint32_t number) { add_varint(b, (uint64_t)number << 3 | COX_PB_BYTES); }
static void add_text(struct cox_buf *b, uint32_t number, struct cox_str s)
{
	add_tag(b, number);
	add_varint(b, s.n);
	cox_buf_append_str(b, s);
}
static size_t field_bytes(uint32_t number, size_t n) { return varint_bytes((uint64_t)number << 3) + varint_bytes(n) + n; }

#define RES(field) PB_service_discovery_v3_Resource_##field##__NUM
#define DELTA(field) PB_service_discovery_v3_DeltaDiscoveryResponse_##field##__NUM
#define SOTW(field) PB_service_discovery_v3_DiscoveryResponse_##field##__NUM
#define ANY_TYPE_URL PB_google_protobuf_Any_type_url__NUM
#define ANY_VALUE PB_google_protobuf_Any_value__NUM

/* What stands before the bytes of one resource. */
static void add_resource_head(struct cox_buf *b, struct cox_str name, struct cox_hash version, struct cox_str url, size_t value_bytes,
                              bool is_delta)
{
	char hex[33];
	size_t any = field_bytes(ANY_TYPE_URL, url.n) + field_bytes(ANY_VALUE, value_bytes);
	if (is_delta) {
		cox_hash_to_hex(version, hex);
		add_tag(b, DELTA(resources));
		add_varint(b, field_bytes(RES(name), name.n) + field_bytes(RES(version), 32) + field_bytes(RES(resource), any));
		add_text(b, RES(name), name);
		add_text(b, RES(version), cox_str_make(hex, 32));
		add_tag(b, RES(resource));
	} else {
		add_tag(b, SOTW(resources));
	}
	add_varint(b, any);
	add_text(b, ANY_TYPE_URL, url);
	add_tag(b, ANY_VALUE);
	add_varint(b, value_bytes);
}

/* --- pieces of one message ------------------------------------------------------------------------ */

static void release_resource(void *ctx) { cox_resource_unref(ctx); }
static void release_block(void *ctx) { cox_bytes_unref(ctx); }
static void release_step(void *ctx) { cox_step_unref(ctx); }

static void add_value(cox_pieces *out, const struct cox_resource *r)
{
	for (uint32_t i = 0; i < r->piece_count; i++) {
		const struct cox_piece *p = &r->pieces[i];
		cox_vec_push(out, ((struct cox_grpc_piece){ p->bytes->p + p->skip, p->n, release_resource, (void *)cox_resource_ref(r) }));
	}
}

struct mark { /* resource `r` goes behind the first `at` bytes of the heads */
	size_t at;
	const struct cox_resource *r;
};
typedef COX_VEC(struct mark) marks;

static void add_run(cox_pieces *out, const struct cox_bytes *heads, size_t from, size_t to)
{
	if (to > from)
		cox_vec_push(out, ((struct cox_grpc_piece){ heads->p + from, to - from, release_block, (void *)cox_bytes_ref(heads) }));
}

static size_t weave(cox_pieces *out, const struct cox_bytes *heads, const marks *m)
{
	size_t from = 0, bytes = heads->n;
	for (size_t i = 0; i < m->n; i++) {
		add_run(out, heads, from, m->p[i].at);
		add_value(out, m->p[i].r);
		bytes += m->p[i].r->size_bytes;
		from = m->p[i].at;
	}
	add_run(out, heads, from, heads->n);
	return bytes;
}

/* --- steps: encoded once ---------------------------------------------------------------------------- */

struct encoded {
	const struct cox_bytes *flat; /* the whole step where it is small: one piece for every proxy */
	const struct cox_bytes *heads;
	marks marks;
	size_t bytes;
};
enum { FLAT_BYTES_MAX = 256 * 1024 };

static void free_encoded(void *arg)
{
	struct encoded *e = arg;
	cox_bytes_unref(e->flat);
	cox_bytes_unref(e->heads);
	cox_vec_fini(&e->marks);
	cox_free(e);
}

static struct encoded *encode_step(const struct cox_step *s, struct cox_str url)
{
	struct encoded *e = COX_NEW(struct encoded);
	struct cox_buf heads = { 0 };
	for (size_t i = 0; i < s->changed_n; i++) {
		const struct cox_resource *r = s->changed[i];
		add_resource_head(&heads, r->name, r->hash, url, r->size_bytes, true);
		cox_vec_push(&e->marks, ((struct mark){ heads.n, r }));
		e->bytes += r->size_bytes;
	}
	for (size_t i = 0; i < s->removed_n; i++)
		add_text(&heads, DELTA(removed_resources), s->removed[i]);
	e->bytes += heads.n;
	if (e->bytes <= FLAT_BYTES_MAX) {
		struct cox_buf all = { 0 };
		size_t from = 0;
		cox_buf_reserve(&all, e->bytes);
		for (size_t i = 0; i < e->marks.n; i++) {
			cox_buf_append(&all, heads.p + from, e->marks.p[i].at - from);
			cox_resource_flatten(e->marks.p[i].r, &all);
			from = e->marks.p[i].at;
		}
		cox_buf_append(&all, heads.p + from, heads.n - from);
		e->flat = cox_bytes_new(all.p, all.n);
		cox_buf_fini(&all);
		cox_vec_fini(&e->marks);
	} else {
		e->heads = cox_bytes_new(heads.p, heads.n);
	}
	cox_buf_fini(&heads);
	return e;
}

static size_t add_step(cox_pieces *out, const struct cox_step *shared, struct cox_str url)
{
	struct cox_step *s = (struct cox_step *)shared; /* the encoding is a cache in it; the loop is one thread */
	if (!s->encoded) {
		s->encoded = encode_step(s, url);
		s->free_encoded = free_encoded;
	}
	struct encoded *e = s->encoded;
	if (!e->flat)
		return weave(out, e->heads, &e->marks);
	if (e->bytes)
		cox_vec_push(out, ((struct cox_grpc_piece){ e->flat->p, e->flat->n, release_step, (void *)cox_step_ref(shared) }));
	return e->bytes;
}

/* --- resources that only this response has ----------------------------------------------------------- */

static void add_made(struct cox_buf *heads, struct cox_str name, struct cox_str url, struct cox_str value, bool is_delta)
{
	add_resource_head(heads, name, cox_hash128(value.p, value.n), url, value.n, is_delta);
	cox_buf_append_str(heads, value);
}

/* "There is none" as a resource without content: a listener that waits for a route goes on, and so does a cluster for its endpoints. */
static void add_empty(struct cox_buf *heads, enum cox_type type, struct cox_str name, struct cox_str url, bool is_delta)
{
	struct cox_buf value = { 0 };
	struct cox_pb pb;
	cox_pb_init(&pb, &value);
	if (type == COX_TYPE_EDS)
		PB_ROOT (e, pb_endpoint_v3_ClusterLoadAssignment, &pb) {
			pb_endpoint_v3_ClusterLoadAssignment_cluster_name(e, name);
		}
	else
		PB_ROOT (r, pb_route_v3_RouteConfiguration, &pb) {
			pb_route_v3_RouteConfiguration_name(r, name);
		}
	add_made(heads, name, url, cox_buf_str(&value), is_delta);
	cox_buf_fini(&value);
}

/* What every response begins with. */
static void add_response_head(struct cox_buf *heads, struct cox_str url, struct cox_str nonce, struct cox_str version, bool is_delta,
                              struct cox_str control_plane)
{
	add_text(heads, is_delta ? DELTA(type_url) : SOTW(type_url), url);
	add_text(heads, is_delta ? DELTA(nonce) : SOTW(nonce), nonce);
	add_text(heads, is_delta ? DELTA(system_version_info) : SOTW(version_info), version);
	add_tag(heads, is_delta ? DELTA(control_plane) : SOTW(control_plane));
	add_varint(heads, field_bytes(PB_core_v3_ControlPlane_identifier__NUM, control_plane.n));
	add_text(heads, PB_core_v3_ControlPlane_identifier__NUM, control_plane);
}

static size_t add_own(cox_pieces *out, const struct cox_xds_response *r, bool is_delta, struct cox_str control_plane)
{
	struct cox_str url = cox_type_url(r->type);
	struct cox_buf heads = { 0 };
	marks m = { 0 };
	char nonce[24], version[33];
	int nonce_n = snprintf(nonce, sizeof(nonce), "%llu", (unsigned long long)r->nonce);
	cox_hash_to_hex(r->version, version);
	add_response_head(&heads, url, cox_str_make(nonce, (size_t)nonce_n), cox_str_make(version, 32), is_delta, control_plane);
	for (size_t i = 0; i < r->missing_n; i++)
		add_empty(&heads, r->type, r->missing[i], url, is_delta);
	for (size_t i = 0; i < r->removed_n && is_delta; i++)
		add_text(&heads, DELTA(removed_resources), r->removed[i]);
	for (size_t i = 0; i < r->resource_n; i++) {
		add_resource_head(&heads, r->resources[i]->name, r->resources[i]->hash, url, r->resources[i]->size_bytes, is_delta);
		cox_vec_push(&m, ((struct mark){ heads.n, r->resources[i] }));
	}
	struct cox_bytes *block = cox_bytes_new(heads.p, heads.n);
	size_t bytes = weave(out, block, &m);
	cox_bytes_unref(block);
	cox_buf_fini(&heads);
	cox_vec_fini(&m);
	return bytes;
}

size_t cox_xds_encode(const struct cox_xds_response *r, bool is_delta, struct cox_str control_plane, cox_pieces *out)
{
	size_t bytes = add_own(out, r, is_delta, control_plane);
	for (unsigned p = 0; p < COX_XDS_PARTS; p++)
		if (r->steps[p])
			bytes += add_step(out, r->steps[p], cox_type_url(r->type));
	return bytes;
}

static void release_text(void *ctx) { cox_free(ctx); }

static void add_taken(cox_pieces *out, struct cox_buf *b)
{
	size_t n;
	if (!b->n) {
		cox_buf_fini(b);
		return;
	}
	char *p = cox_buf_take(b, &n);
	cox_vec_push(out, ((struct cox_grpc_piece){ p, n, release_text, p }));
}

void cox_xds_encode_items_take(struct cox_str type_url, struct cox_str nonce, struct cox_xds_item *items, size_t n, bool is_delta,
                               struct cox_str control_plane, cox_pieces *out)
{
	struct cox_buf head = { 0 };
	add_response_head(&head, type_url, nonce, COX_STR("debug"), is_delta, control_plane);
	for (size_t i = 0; i < n; i++) {
		struct cox_str value = cox_buf_str(&items[i].value);
		add_resource_head(&head, items[i].name, cox_hash128(value.p, value.n), items[i].type_url, value.n, is_delta);
		add_taken(out, &head);
		add_taken(out, &items[i].value);
	}
	add_taken(out, &head);
}
