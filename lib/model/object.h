/*
 * object - one Kubernetes object as a typed, immutable, shared value.
 * Thread: any. Shares: cox_object_ref/unref. One allocation per object, spec included.
 */
#ifndef COX_MODEL_OBJECT_H
#define COX_MODEL_OBJECT_H

#include "base/ref.h"
#include "codec/fields.h"

enum cox_kind {
#define X(id, kind, group, plural, versions, namespaced, ours, message) COX_KIND_##id,
#include "model/kind.def"
#undef X
	COX_KIND_COUNT
};

/* What is the same for every object of a kind. */
struct cox_kind_info {
	enum cox_kind kind;
	struct cox_str name, group, plural, versions; /* versions: "v1,v1beta1" */
	struct cox_str word; /* the front of ids: the name, with ".<group>" where other groups have that name too */
	bool namespaced, ours;
	const struct cox_message *message;
};
const struct cox_kind_info *cox_kind_info(enum cox_kind kind);
/* By apiVersion ("v1", "networking.istio.io/v1alpha3") and kind. NULL: not one of ours, or a version that is not served. */
const struct cox_kind_info *cox_kind_find(struct cox_str api_version, struct cox_str kind);

/* By the front of an id. NULL: none. */
const struct cox_kind_info *cox_kind_find_word(struct cox_str word);

struct cox_meta {
	struct cox_str name, ns; /* ns is empty for cluster-scoped kinds, "default" where a namespaced object names none */
	struct cox_str uid, resource_version;
	COX_LIST(struct cox_kv) labels,
	    annotations;     /* annotations: only those under istio.io and kubernetes.io that kind tables need are kept, see object.c */
	int64_t creation_ms; /* 0: not known */
	int64_t generation;
	bool is_deleting;                      /* has a deletionTimestamp */
	struct cox_str owner_kind, owner_name; /* the controlling owner */
};

struct cox_object {
	struct cox_ref ref;
	enum cox_kind kind;
	struct cox_meta meta;
	bool is_generated;     /* made from other objects (lib/convert): `origin` is then "<id of the object>" or "<id> <field>" */
	struct cox_str origin; /* "file.yaml:12", or the cluster's id */
	struct cox_str id;     /* "<Kind>/<namespace>/<name>": unique, the key of maps, the word of logs */
	struct cox_hash hash;  /* of everything that can matter (spec, labels, annotations, creation); not of status that we do not read,
	                          uid, resourceVersion */
	uint32_t size_bytes;
	const void *spec; /* struct of the kind's message: cox_virtual_service, ... */
};

/* Builds one from a parsed document with all its diagnostics. Gives *out when the object can be in force (no error diagnostics),
 * else leaves it NULL and returns COX_EINVAL; COX_ENOTFOUND: a kind or version that is not ours (no diagnostics).
 * `origin` is copied. `fallback_ns`: for namespaced kinds without metadata.namespace. */
COX_MUST_USE enum cox_rc cox_object_build(const struct cox_json *doc, struct cox_str origin, struct cox_str fallback_ns,
                                          struct cox_arena *scratch, struct cox_diags *diags, const struct cox_object **out);
/* The same for an object that the control plane makes itself. Only here do annotations under internal.istio.io count: they say what
 * Istio's API has no field for, and cox_object_build() drops them, so that nobody else can say it. */
COX_MUST_USE enum cox_rc cox_object_build_generated(const struct cox_json *doc, struct cox_str origin, struct cox_arena *scratch,
                                                    struct cox_diags *diags, const struct cox_object **out);
const struct cox_object *cox_object_ref(const struct cox_object *o);
void cox_object_unref(const struct cox_object *o);
void cox_object_unrefp(const struct cox_object **o); /* for COX_AUTO */
/* Equal in everything that can matter to the mesh (by hash). */
static inline bool cox_object_eq(const struct cox_object *a, const struct cox_object *b)
{
	return a == b || (a->kind == b->kind && cox_hash_eq(a->hash, b->hash));
}
/* The value of a label or annotation, or an empty string. `kvs` is sorted by key. */
struct cox_str cox_kv_get(const struct cox_kv *kvs, size_t n, struct cox_str key);
bool cox_kv_has(const struct cox_kv *kvs, size_t n, struct cox_str key);
/* Every pair of `want` is in `have`; an empty `want` is true. */
bool cox_kv_is_subset(const struct cox_kv *want, size_t want_n, const struct cox_kv *have, size_t have_n);
/* The whole object as JSON (apiVersion, kind, metadata, spec), secrets redacted; of a generated one metadata.generatedFrom says what it was
 * made from. */
struct cox_json *cox_object_to_json(const struct cox_object *o, struct cox_arena *arena);
/* Order of precedence among objects: older first, then name, then namespace. */
int cox_object_cmp_age(const struct cox_object *a, const struct cox_object *b);

#define COX_SPEC(type, object) ((const struct type *)(object)->spec)

#endif
