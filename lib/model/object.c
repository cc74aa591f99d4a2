#include "model/object.h"
#include "model/tables_priv.h"

#include <string.h>

/* --- kinds --- */

static const struct cox_kind_info kinds[COX_KIND_COUNT] = {
#define X(id, name_, group_, plural_, versions_, namespaced_, ours_, message_)                                                      \
	[COX_KIND_##id] = {                                                                                                         \
		.kind = COX_KIND_##id,                                                                                              \
		.name = COX_STR_INIT(name_),                                                                                        \
		.group = COX_STR_INIT(group_),                                                                                      \
		.plural = COX_STR_INIT(plural_),                                                                                    \
		.versions = COX_STR_INIT(versions_),                                                                                \
		.word = { (ours_) == 2 ? name_ "." group_ : name_, ((ours_) == 2 ? sizeof(name_ "." group_) : sizeof(name_)) - 1 }, \
		.namespaced = namespaced_,                                                                                          \
		.ours = (ours_) == 1,                                                                                               \
		.message = &cox_model_##message_,                                                                                   \
	},
#include "model/kind.def"
#undef X
};

const struct cox_kind_info *cox_kind_info(enum cox_kind kind)
{
	COX_ASSERT(kind >= 0 && kind < COX_KIND_COUNT);
	return &kinds[kind];
}

static bool is_served(struct cox_str versions, struct cox_str version)
{
	struct cox_str one;
	while (cox_str_next(&versions, ',', &one))
		if (cox_str_eq(one, version))
			return true;
	return false;
}

const struct cox_kind_info *cox_kind_find(struct cox_str api_version, struct cox_str kind)
{
	ptrdiff_t slash = cox_str_find(api_version, '/');
	struct cox_str group = slash < 0 ? (struct cox_str){ 0 } : cox_str_sub(api_version, 0, (size_t)slash);
	struct cox_str version = slash < 0 ? api_version : cox_str_sub(api_version, (size_t)slash + 1, api_version.n);
	for (size_t i = 0; i < COX_KIND_COUNT; i++)
		if (cox_str_eq(kinds[i].name, kind) && cox_str_eq(kinds[i].group, group))
			return is_served(kinds[i].versions, version) ? &kinds[i] : NULL;
	return NULL;
}

const struct cox_kind_info *cox_kind_find_word(struct cox_str word)
{
	for (size_t i = 0; i < COX_KIND_COUNT; i++)
		if (cox_str_eq(kinds[i].word, word))
			return &kinds[i];
	return NULL;
}

/* --- metadata --- */

struct cox_owner {
	struct cox_str kind, name;
	bool controller;
};
struct cox_raw_meta {
	struct cox_str name, ns, uid, resource_version, deletion;
	COX_LIST(struct cox_kv) labels, annotations;
	COX_LIST(struct cox_owner) owners;
	struct cox_opt_i64 creation_ms, generation;
};

static const struct cox_field owner_fields[] = {
	F(owner, kind, "kind", STR, ""),
	F(owner, name, "name", STR, ""),
	F(owner, controller, "controller", BOOL, ""),
};
static MESSAGE(owner, "OwnerReference", "", .open = true);

enum { ANNOTATIONS_BYTES_MAX = 1024 * 1024 };
static const struct cox_field raw_meta_fields[] = {
	F(raw_meta, annotations, "annotations", STR_MAP, "", .max_len = ANNOTATIONS_BYTES_MAX),
	F(raw_meta, creation_ms, "creationTimestamp", TIME, ""),
	F(raw_meta, deletion, "deletionTimestamp", STR, ""),
	F(raw_meta, generation, "generation", I64, ""),
	F(raw_meta, labels, "labels", STR_MAP, "", .pattern = "labels"),
	F(raw_meta, name, "name", STR, "", .flags = COX_F_REQUIRED, .pattern = "subdomain"),
	F(raw_meta, ns, "namespace", STR, "", .pattern = "dns1123"),
	F(raw_meta, owners, "ownerReferences", MSG, "", LIST, SUB(owner)),
	F(raw_meta, resource_version, "resourceVersion", STR, ""),
	F(raw_meta, uid, "uid", STR, ""),
};
static MESSAGE(raw_meta, "ObjectMeta", "", .open = true);

/* What of a cox_object holds text: lets the functions of field tables copy and hash it. Its other members are plain. */
static const struct cox_field object_fields[] = {
	F(object, meta.name, "name", STR, ""),
	F(object, meta.ns, "namespace", STR, ""),
	F(object, meta.uid, "uid", STR, "", .flags = COX_F_IGNORED_IN_EQ),
	F(object, meta.resource_version, "resourceVersion", STR, "", .flags = COX_F_IGNORED_IN_EQ),
	F(object, meta.labels, "labels", STR_MAP, ""),
	F(object, meta.annotations, "annotations", STR_MAP, ""),
	F(object, meta.owner_kind, "ownerKind", STR, ""),
	F(object, meta.owner_name, "ownerName", STR, ""),
	F(object, origin, "origin", STR, "", .flags = COX_F_IGNORED_IN_EQ),
	F(object, id, "id", STR, "", .flags = COX_F_IGNORED_IN_EQ),
};
static MESSAGE(object, "Object", "");

/* Annotations decide about the mesh only under these names. Others are dropped: some hold whole manifests
 * (last-applied-configuration), some change with every write and would make equal objects differ. */
static bool is_kept_annotation(struct cox_str key, bool is_generated)
{
	static const char *const domains[] = { "service.kubernetes.io",     "topology.kubernetes.io",    "kubernetes.io",
		                               "networking.k8s.io",         "gateway.networking.k8s.io", "ingress.kubernetes.io",
		                               "ingressclass.kubernetes.io" };
	ptrdiff_t slash = cox_str_find(key, '/');
	struct cox_str domain = cox_str_sub(key, 0, slash < 0 ? 0 : (size_t)slash);
	if (cox_str_eq_cstr(domain, "internal.istio.io"))
		return is_generated;
	if (cox_str_has_suffix(domain, COX_STR("istio.io")) || cox_str_has_suffix(domain, COX_STR("coxswain.io")))
		return true;
	if (cox_str_eq_cstr(domain, "kubernetes.io"))
		return cox_str_has_prefix(key, COX_STR("kubernetes.io/ingress")) ||
		       cox_str_has_prefix(key, COX_STR("kubernetes.io/service-account"));
	/* User ids of a namespace, which the injector gives the proxy. */
	if (cox_str_has_prefix(key, COX_STR("openshift.io/sa.scc.")))
		return true;
	for (size_t i = 0; i < COX_LEN(domains); i++)
		if (cox_str_eq_cstr(domain, domains[i]))
			return true;
	return false;
}

/* In place: `kvs` lies in the scratch arena. */
static size_t drop_annotations(struct cox_kv *kvs, size_t n, bool is_generated)
{
	size_t kept = 0;
	for (size_t i = 0; i < n; i++)
		if (is_kept_annotation(kvs[i].key, is_generated))
			kvs[kept++] = kvs[i];
	return kept;
}

static void fill_meta(struct cox_object *draft, const struct cox_raw_meta *raw, const struct cox_kind_info *kind,
                      struct cox_str fallback_ns)
{
	struct cox_meta *m = &draft->meta;
	m->name = raw->name;
	if (kind->namespaced)
		m->ns = raw->ns.n ? raw->ns : fallback_ns.n ? fallback_ns : COX_STR("default");
	m->uid = raw->uid;
	m->resource_version = raw->resource_version;
	m->labels.p = raw->labels.p;
	m->labels.n = raw->labels.n;
	m->annotations.p = raw->annotations.p;
	m->annotations.n = drop_annotations((struct cox_kv *)raw->annotations.p, raw->annotations.n, draft->is_generated);
	m->creation_ms = raw->creation_ms.v;
	m->generation = raw->generation.v;
	m->is_deleting = raw->deletion.n > 0;
	for (COX_EACH(struct cox_owner, o, raw->owners))
		if (o->controller) {
			m->owner_kind = o->kind;
			m->owner_name = o->name;
		}
}

/* --- building --- */

static void report_unknown(const struct cox_json *doc, struct cox_diags *diags)
{
	static const char *const known[] = { "apiVersion", "kind", "metadata", "spec", "status" };
	for (size_t i = 0; i < doc->n; i++) {
		bool is_known = false;
		for (size_t k = 0; k < COX_LEN(known) && !is_known; k++)
			is_known = cox_str_eq_cstr(doc->members[i].key, known[k]);
		if (is_known)
			continue;
		char path[128];
		cox_diag_add(diags, COX_SEV_WARNING, doc->members[i].value.line, cox_str_to_cstr(doc->members[i].key, path, sizeof(path)),
		             "unknown field, ignored; settings stand under spec");
		if (diags->dropped == 0)
			diags->items[diags->n - 1].is_unknown_field = true;
	}
}

static struct cox_hash hash_of(const struct cox_object *o, const struct cox_message *message)
{
	uint64_t plain[2] = { (uint64_t)o->meta.creation_ms, o->meta.is_deleting | (uint64_t)o->is_generated << 1 };
	struct cox_hash h = cox_hash_combine(cox_message_hash(&cox_msg_object, o), cox_hash128(plain, sizeof(plain)));
	return cox_hash_combine(h, cox_message_hash(message, o->spec));
}

/* One block: the object and its texts, then the spec and its own. */
static struct cox_object *pack(struct cox_object *draft, const struct cox_message *message)
{
	size_t head = (cox_message_copy_bytes(&cox_msg_object, draft) + 7) & ~(size_t)7;
	size_t spec = cox_message_copy_bytes(message, draft->spec);
	COX_ASSERT(head + spec <= UINT32_MAX);
	char *block = cox_alloc(head + spec);
	struct cox_object *o = cox_message_copy(&cox_msg_object, draft, block, head);
	o->spec = cox_message_copy(message, draft->spec, block + head, spec);
	o->size_bytes = (uint32_t)(head + spec);
	cox_ref_init(&o->ref);
	return o;
}

static struct cox_str id_of(const struct cox_object *o, struct cox_arena *scratch)
{
	return cox_arena_printf(scratch, "%.*s/%.*s/%.*s", COX_FMT(kinds[o->kind].word), COX_FMT(o->meta.ns), COX_FMT(o->meta.name));
}

static enum cox_rc build(const struct cox_json *doc, struct cox_object draft, struct cox_str fallback_ns, struct cox_arena *scratch,
                         struct cox_diags *diags, const struct cox_object **out)
{
	const struct cox_kind_info *kind = cox_kind_find(cox_json_str_at(doc, "apiVersion"), cox_json_str_at(doc, "kind"));
	if (!kind)
		return COX_ENOTFOUND;
	size_t errors = diags->errors;
	draft.kind = kind->kind;
	const struct cox_json *meta = cox_json_get(doc, COX_STR("metadata"));
	const struct cox_raw_meta *raw = meta ? cox_message_decode_borrowed(&cox_msg_raw_meta, meta, "metadata", scratch, diags) : NULL;
	if (!meta)
		cox_diag_add(diags, COX_SEV_ERROR, doc->line, "metadata", "is required");
	if (kind->ours)
		report_unknown(doc, diags);
	draft.spec = cox_message_decode_borrowed(kind->message, doc, "", scratch, diags);
	if (diags->errors != errors || !raw || !draft.spec)
		return COX_EINVAL;
	fill_meta(&draft, raw, kind, fallback_ns);
	draft.id = id_of(&draft, scratch);
	struct cox_object *o = pack(&draft, kind->message);
	o->hash = hash_of(o, kind->message);
	*out = o;
	return COX_OK;
}

enum cox_rc cox_object_build(const struct cox_json *doc, struct cox_str origin, struct cox_str fallback_ns, struct cox_arena *scratch,
                             struct cox_diags *diags, const struct cox_object **out)
{
	return build(doc, (struct cox_object){ .origin = origin }, fallback_ns, scratch, diags, out);
}

enum cox_rc cox_object_build_generated(const struct cox_json *doc, struct cox_str origin, struct cox_arena *scratch,
                                       struct cox_diags *diags, const struct cox_object **out)
{
	return build(doc, (struct cox_object){ .origin = origin, .is_generated = true }, (struct cox_str){ 0 }, scratch, diags, out);
}

/* --- sharing --- */

const struct cox_object *cox_object_ref(const struct cox_object *o)
{
	cox_ref_get((struct cox_ref *)&o->ref);
	return o;
}

void cox_object_unref(const struct cox_object *o)
{
	if (!o || !cox_ref_put((struct cox_ref *)&o->ref))
		return;
	/* Keys do not stay behind in freed memory. */
	if (o->kind == COX_KIND_SECRET)
		explicit_bzero((void *)o, o->size_bytes);
	cox_free((void *)o);
}

void cox_object_unrefp(const struct cox_object **o)
{
	cox_object_unref(*o);
	*o = NULL;
}

/* --- labels and annotations --- */

static const struct cox_kv *kv_find(const struct cox_kv *kvs, size_t n, struct cox_str key)
{
	size_t low = 0, high = n;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int c = cox_str_cmp(kvs[mid].key, key);
		if (c == 0)
			return &kvs[mid];
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

struct cox_str cox_kv_get(const struct cox_kv *kvs, size_t n, struct cox_str key)
{
	const struct cox_kv *kv = kv_find(kvs, n, key);
	return kv ? kv->value : (struct cox_str){ 0 };
}

bool cox_kv_has(const struct cox_kv *kvs, size_t n, struct cox_str key) { return kv_find(kvs, n, key) != NULL; }

bool cox_kv_is_subset(const struct cox_kv *want, size_t want_n, const struct cox_kv *have, size_t have_n)
{
	size_t k = 0;
	for (size_t i = 0; i < want_n; i++) {
		while (k < have_n && cox_str_cmp(have[k].key, want[i].key) < 0)
			k++;
		if (k == have_n || !cox_str_eq(have[k].key, want[i].key) || !cox_str_eq(have[k].value, want[i].value))
			return false;
	}
	return true;
}

/* --- showing and ordering --- */

static void set_str(struct cox_arena *arena, struct cox_json *to, const char *key, struct cox_str value)
{
	if (value.n)
		cox_json_set(arena, to, cox_str_of(key), cox_json_new_str(arena, value));
}

static void set_map(struct cox_arena *arena, struct cox_json *to, const char *key, const struct cox_kv *kvs, size_t n)
{
	struct cox_json *map = cox_json_new_object(arena);
	for (size_t i = 0; i < n; i++)
		cox_json_set(arena, map, kvs[i].key, cox_json_new_str(arena, kvs[i].value));
	if (n)
		cox_json_set(arena, to, cox_str_of(key), map);
}

struct cox_json *cox_object_to_json(const struct cox_object *o, struct cox_arena *arena)
{
	const struct cox_kind_info *kind = &kinds[o->kind];
	struct cox_str versions = kind->versions, version = { 0 };
	(void)cox_str_next(&versions, ',', &version);
	struct cox_json *out = cox_json_new_object(arena), *meta = cox_json_new_object(arena);
	set_str(arena, out, "apiVersion",
	        kind->group.n ? cox_arena_printf(arena, "%.*s/%.*s", COX_FMT(kind->group), COX_FMT(version)) : version);
	set_str(arena, out, "kind", kind->name);
	set_map(arena, meta, "annotations", o->meta.annotations.p, o->meta.annotations.n);
	if (o->is_generated)
		set_str(arena, meta, "generatedFrom", o->origin);
	if (o->meta.creation_ms) {
		/* Kubernetes keeps whole seconds. */
		const struct cox_raw_meta raw = { .creation_ms = { o->meta.creation_ms, true } };
		const struct cox_json *v = cox_json_get(cox_message_to_json(&cox_msg_raw_meta, &raw, arena), COX_STR("creationTimestamp"));
		cox_json_set(arena, meta, COX_STR("creationTimestamp"), v);
	}
	if (o->meta.generation)
		cox_json_set(arena, meta, COX_STR("generation"), cox_json_new_i64(arena, o->meta.generation));
	set_map(arena, meta, "labels", o->meta.labels.p, o->meta.labels.n);
	set_str(arena, meta, "name", o->meta.name);
	set_str(arena, meta, "namespace", o->meta.ns);
	if (o->meta.owner_name.n) {
		struct cox_json *owners = cox_json_new_array(arena), *owner = cox_json_new_object(arena);
		cox_json_set(arena, owner, COX_STR("controller"), cox_json_new_bool(arena, true));
		set_str(arena, owner, "kind", o->meta.owner_kind);
		set_str(arena, owner, "name", o->meta.owner_name);
		cox_json_push(arena, owners, owner);
		cox_json_set(arena, meta, COX_STR("ownerReferences"), owners);
	}
	set_str(arena, meta, "resourceVersion", o->meta.resource_version);
	set_str(arena, meta, "uid", o->meta.uid);
	cox_json_set(arena, out, COX_STR("metadata"), meta);
	const struct cox_json *rest = cox_message_to_json(kind->message, o->spec, arena);
	for (size_t i = 0; i < rest->n; i++)
		cox_json_set(arena, out, rest->members[i].key, &rest->members[i].value);
	return out;
}

int cox_object_cmp_age(const struct cox_object *a, const struct cox_object *b)
{
	if (a->meta.creation_ms != b->meta.creation_ms)
		return a->meta.creation_ms < b->meta.creation_ms ? -1 : 1;
	int c = cox_str_cmp(a->meta.name, b->meta.name);
	return c ? c : cox_str_cmp(a->meta.ns, b->meta.ns);
}
