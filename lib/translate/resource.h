/*
 * resource - an Envoy resource as content: {type, name, bytes, hash of bytes}, immutable, reference-counted.
 * Large ones (route configurations) are composed of shared parts, so that equal virtual hosts exist once.
 * Thread: any. Shares: *_ref/_unref.
 */
#ifndef COX_TRANSLATE_RESOURCE_H
#define COX_TRANSLATE_RESOURCE_H

#include "base/buf.h"
#include "base/hash.h"
#include "base/ref.h"

/* In the order of unasked pushes (DESIGN decision 8). */
enum cox_type {
	COX_TYPE_CDS,
	COX_TYPE_EDS,
	COX_TYPE_SDS,
	COX_TYPE_LDS,
	COX_TYPE_ECDS,
	COX_TYPE_RDS,
	COX_TYPE_VHDS,
	COX_TYPE_NDS,
	COX_TYPE_TRUST, /* coxswain.v1.TrustBundle, for cox-agent */
	COX_TYPE_PCDS,  /* istio.mesh.v1alpha1.ProxyConfig with the roots, for pilot-agent */
	COX_TYPE_COUNT
};
struct cox_str cox_type_url(enum cox_type t);   /* "type.googleapis.com/envoy.config.cluster.v3.Cluster" */
struct cox_str cox_type_short(enum cox_type t); /* "CDS"; "cds" in metrics: cox_type_metric */
const char *cox_type_metric(enum cox_type t);
/* By type URL; COX_TYPE_COUNT: not ours. */
enum cox_type cox_type_find(struct cox_str url);
bool cox_type_is_wildcard(enum cox_type t); /* CDS, LDS, NDS, TRUST, PCDS: an empty first subscription means all */

/* A block of shared bytes. */
struct cox_bytes {
	struct cox_ref ref;
	struct cox_hash hash;
	size_t n;
	char p[];
};
/* Gives; copies `n` bytes (p NULL: uninitialised content to fill before cox_bytes_seal()). */
struct cox_bytes *cox_bytes_new(const void *p, size_t n);
void cox_bytes_seal(struct cox_bytes *b);
const struct cox_bytes *cox_bytes_ref(const struct cox_bytes *b);
void cox_bytes_unref(const struct cox_bytes *b);

struct cox_piece { /* a range of a block */
	const struct cox_bytes *bytes;
	uint32_t skip, n;
};
struct cox_resource {
	struct cox_ref ref;
	enum cox_type type;
	struct cox_str name;  /* in the same block */
	struct cox_hash hash; /* of the bytes: the version on the wire (32 hex digits) */
	uint32_t size_bytes;  /* of all pieces */
	uint32_t piece_count;
	struct cox_str origins; /* ids of the objects it came from, joined by '\n': for NACK reports; not part of the hash */
	struct cox_str needs;   /* names this resource refers to, joined by '\n' (cluster names in routes and listeners; route names in
	                           listeners, as "rds:<name>"): order and gates, dangling check */
	const struct cox_piece *pieces; /* in the same block; each holds a reference on its bytes */
	_Atomic uint32_t accepted_by;   /* classes of proxies (1 << enum cox_proxy_class) of which one acknowledged it */
};
/* Any thread. */
void cox_resource_mark_accepted(const struct cox_resource *r, unsigned klass);
bool cox_resource_is_accepted(const struct cox_resource *r, unsigned klass);
/* One piece: copies the bytes. Gives. */
struct cox_resource *cox_resource_new(enum cox_type type, struct cox_str name, struct cox_str bytes, struct cox_str origins,
                                      struct cox_str needs);
/* Composed of pieces (references are added). */
struct cox_resource *cox_resource_compose(enum cox_type type, struct cox_str name, const struct cox_piece *pieces, size_t n,
                                          struct cox_str origins, struct cox_str needs);
const struct cox_resource *cox_resource_ref(const struct cox_resource *r);
void cox_resource_unref(const struct cox_resource *r);
/* Appends all bytes. */
void cox_resource_flatten(const struct cox_resource *r, struct cox_buf *out);

/* Of a resource's name, wherever names are compared as numbers: in the sums of sets, subscriptions, and what a proxy says it holds. */
static inline uint64_t cox_name_hash(struct cox_str name) { return cox_hash64(name.p, name.n); }

/* A sorted set of resources of one type, by name, names distinct. Shared, immutable. */
struct cox_set {
	struct cox_ref ref;
	enum cox_type type;
	struct cox_hash hash;          /* of names and hashes: version_info of a state-of-the-world answer */
	struct cox_sum content, names; /* of (cox_name_hash(), hash), and of names without a version */
	size_t n;
	const struct cox_resource *items[];
};
/* Takes the references in items[0..n) (any order; of equal names the first stays). Gives. */
struct cox_set *cox_set_build_take(enum cox_type type, const struct cox_resource **items, size_t n);
const struct cox_set *cox_set_ref(const struct cox_set *s);
void cox_set_unref(const struct cox_set *s);
const struct cox_resource *cox_set_find(const struct cox_set *s, struct cox_str name);
/* A copy of `s` with those of `news` (shared) in place of what has their names; NULL when that changes nothing. No name comes or goes. */
struct cox_set *cox_set_replace(const struct cox_set *s, const struct cox_resource *const *news, size_t n);
/* A copy of `s` in which `r` (shared) replaces or joins by name, or with r NULL `name` is gone. Gives. */
struct cox_set *cox_set_with(const struct cox_set *s, struct cox_str name, const struct cox_resource *r);

#endif
