#include "status/lease_priv.h"

#include "base/clock.h"

/* Of a ConfigMap: as client-go wrote it once, and istiod does still. Of a Lease: where istiod leaves the holder's revision. */
static const struct cox_str record_annotation = COX_STR_INIT("control-plane.alpha.kubernetes.io/leader");
static const struct cox_str key_annotation = COX_STR_INIT("leader.istio.io/holder-key");

static int64_t number_at(const struct cox_json *v, const char *path)
{
	const struct cox_json *n = cox_json_at(v, path);
	int64_t out = 0;
	return n && cox_json_to_i64(n, &out) == COX_OK ? out : 0;
}

static const struct cox_json *annotations_of(const struct cox_json *object)
{
	const struct cox_json *a = cox_json_at(object, "metadata.annotations");
	return a && a->type == COX_JSON_OBJECT ? a : NULL;
}

static struct cox_str annotation(const struct cox_json *object, struct cox_str name)
{
	const struct cox_json *all = annotations_of(object), *v = all ? cox_json_get(all, name) : NULL;
	return v && v->type == COX_JSON_STRING ? v->text : (struct cox_str){ 0 };
}

static bool read_config_map(const struct cox_json *object, struct cox_arena *arena, struct lease_record *out)
{
	struct cox_json *v = NULL;
	struct cox_str text = annotation(object, record_annotation);
	if (text.n == 0 || cox_json_parse(arena, text, &v, NULL) != COX_OK || v->type != COX_JSON_OBJECT)
		return false;
	*out = (struct lease_record){ .holder = cox_json_str_at(v, "holderIdentity"),
		                      .key = cox_json_str_at(v, "holderKey"),
		                      .acquire_time = cox_json_str_at(v, "acquireTime"),
		                      .renew_time = cox_json_str_at(v, "renewTime"),
		                      .duration_s = number_at(v, "leaseDurationSeconds"),
		                      .transitions = number_at(v, "leaderTransitions") };
	return true;
}

bool lease_record_read(enum cox_lease_form form, const struct cox_json *object, struct cox_arena *arena, struct lease_record *out)
{
	*out = (struct lease_record){ 0 };
	if (form == COX_LEASE_CONFIG_MAP)
		return read_config_map(object, arena, out);
	const struct cox_json *spec = cox_json_get(object, COX_STR("spec"));
	if (!spec || spec->type != COX_JSON_OBJECT)
		return false;
	*out = (struct lease_record){ .holder = cox_json_str_at(spec, "holderIdentity"),
		                      .key = annotation(object, key_annotation),
		                      .acquire_time = cox_json_str_at(spec, "acquireTime"),
		                      .renew_time = cox_json_str_at(spec, "renewTime"),
		                      .duration_s = number_at(spec, "leaseDurationSeconds"),
		                      .transitions = number_at(spec, "leaseTransitions") };
	return true;
}

struct cox_str lease_time(enum cox_lease_form form, int64_t wall_ms, struct cox_arena *arena)
{
	char text[32]; /* "2026-08-01T10:00:00.000Z" */
	cox_clock_format(wall_ms, text);
	return form == COX_LEASE_CONFIG_MAP ? cox_arena_printf(arena, "%.19sZ", text) : cox_arena_printf(arena, "%.23s000Z", text);
}

static void put(struct cox_arena *a, struct cox_json *o, const char *key, struct cox_str s)
{
	cox_json_set(a, o, cox_str_of(key), cox_json_new_str(a, s));
}

static struct cox_json *record_fields(struct cox_arena *a, const struct lease_record *r, const char *transitions)
{
	struct cox_json *v = cox_json_new_object(a);
	put(a, v, "holderIdentity", r->holder);
	put(a, v, "acquireTime", r->acquire_time);
	put(a, v, "renewTime", r->renew_time);
	cox_json_set(a, v, COX_STR("leaseDurationSeconds"), cox_json_new_i64(a, r->duration_s));
	cox_json_set(a, v, cox_str_of(transitions), cox_json_new_i64(a, r->transitions));
	return v;
}

static struct cox_json *object_begin(struct cox_arena *a, const struct cox_lease_spec *spec, const struct cox_json *was)
{
	bool is_map = spec->form == COX_LEASE_CONFIG_MAP;
	struct cox_json *root = was ? cox_json_clone(a, was) : cox_json_new_object(a);
	const struct cox_json *there = cox_json_get(root, COX_STR("metadata"));
	struct cox_json *meta = cox_json_new_object(a);
	put(a, root, "apiVersion", is_map ? COX_STR("v1") : COX_STR("coordination.k8s.io/v1"));
	put(a, root, "kind", is_map ? COX_STR("ConfigMap") : COX_STR("Lease"));
	/* Everything of the object stays, but for who wrote which field: the server keeps that by itself. */
	for (size_t i = 0; there && there->type == COX_JSON_OBJECT && i < there->n; i++)
		if (!cox_str_eq_cstr(there->members[i].key, "managedFields") && !cox_str_eq_cstr(there->members[i].key, "annotations"))
			cox_json_set(a, meta, there->members[i].key, &there->members[i].value);
	put(a, meta, "name", spec->name);
	put(a, meta, "namespace", spec->ns);
	cox_json_set(a, root, COX_STR("metadata"), meta);
	return root;
}

void lease_record_write(const struct cox_lease_spec *spec, const struct cox_json *was, const struct lease_record *r, struct cox_buf *out)
{
	struct cox_arena arena = { 0 }, *a = &arena;
	bool is_map = spec->form == COX_LEASE_CONFIG_MAP;
	struct cox_json *root = object_begin(a, spec, was), *notes = cox_json_new_object(a);
	const struct cox_json *there = was ? annotations_of(was) : NULL;
	struct cox_str own = is_map ? record_annotation : key_annotation;
	for (size_t i = 0; there && i < there->n; i++)
		if (!cox_str_eq(there->members[i].key, own))
			cox_json_set(a, notes, there->members[i].key, &there->members[i].value);
	struct cox_json *fields = record_fields(a, r, is_map ? "leaderTransitions" : "leaseTransitions");
	if (is_map) {
		struct cox_buf text = { 0 };
		put(a, fields, "holderKey", r->key);
		cox_json_write(&text, fields, 0, false);
		cox_json_set(a, notes, own, cox_json_new_str(a, cox_arena_str(a, cox_buf_str(&text))));
		cox_buf_fini(&text);
	} else {
		if (r->key.n)
			cox_json_set(a, notes, own, cox_json_new_str(a, r->key));
		cox_json_set(a, root, COX_STR("spec"), fields);
	}
	/* Read back: cox_json_set() copied what stands in `root`. */
	struct cox_json *meta = cox_json_clone(a, cox_json_get(root, COX_STR("metadata")));
	if (notes->n)
		cox_json_set(a, meta, COX_STR("annotations"), notes);
	cox_json_set(a, root, COX_STR("metadata"), meta);
	cox_json_write(out, root, 0, false);
	cox_arena_fini(a);
}
