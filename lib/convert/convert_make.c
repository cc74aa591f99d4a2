/* What a family may ask, the documents that it makes, and what it gives. */
#include "convert/convert_state_priv.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>

enum { TEXT_BYTES_MAX = 1024 /* of a finding; it is for people */ };

/* --- asking ------------------------------------------------------------------------------------------- */

size_t convert_list(struct convert_run *run, enum cox_kind kind, const struct cox_object *const **out)
{
	run->out->is_listed[kind] = true;
	return cox_registry_objects(run->registry, kind, out);
}

struct cox_str convert_lookup_key(struct cox_arena *a, enum cox_kind kind, struct cox_str ns, struct cox_str name)
{
	return cox_arena_printf(a, "%d/%.*s/%.*s", (int)kind, COX_FMT(ns), COX_FMT(name));
}

const struct cox_object *convert_find(struct convert_run *run, enum cox_kind kind, struct cox_str ns, struct cox_str name)
{
	struct convert_result *out = run->out;
	struct cox_str key = convert_lookup_key(&run->scratch, kind, ns, name);
	uintptr_t at = (uintptr_t)cox_map_find(&out->looked_up, key);
	if (at)
		return out->lookups.p[at - 1].found;
	struct convert_lookup *l = cox_vec_add(&out->lookups);
	l->kind = kind;
	l->ns = cox_arena_str(&out->text, ns);
	l->name = cox_arena_str(&out->text, name);
	l->found = cox_registry_object_find(run->registry, kind, ns, name);
	if (l->found)
		cox_object_ref(l->found);
	cox_map_set(&out->looked_up, cox_arena_str(&out->text, key), (void *)(uintptr_t)out->lookups.n);
	return l->found;
}

const struct cox_mesh_config *convert_mesh(const struct convert_run *run) { return cox_registry_mesh(run->registry); }
const struct cox_features *convert_features(const struct convert_run *run) { return cox_registry_features(run->registry); }
struct cox_str convert_domain(const struct convert_run *run) { return cox_registry_domain(run->registry); }
struct cox_str convert_root_ns(const struct convert_run *run) { return cox_registry_root_namespace(run->registry); }
struct cox_arena *convert_arena(struct convert_run *run) { return &run->scratch; }

struct cox_str convert_host(struct convert_run *run, struct cox_str name, struct cox_str ns)
{
	return cox_arena_printf(&run->scratch, "%.*s.%.*s.svc.%.*s", COX_FMT(name), COX_FMT(ns), COX_FMT(convert_domain(run)));
}

/* --- documents ------------------------------------------------------------------------------------------ */

struct cox_json *convert_object_at(struct convert_run *run, struct cox_json *to, const char *key)
{
	return cox_json_set(&run->scratch, to, cox_str_of(key), cox_json_new_object(&run->scratch));
}

struct cox_json *convert_array_at(struct convert_run *run, struct cox_json *to, const char *key)
{
	return cox_json_set(&run->scratch, to, cox_str_of(key), cox_json_new_array(&run->scratch));
}

struct cox_json *convert_object_push(struct convert_run *run, struct cox_json *array)
{
	return cox_json_push(&run->scratch, array, cox_json_new_object(&run->scratch));
}

void convert_str_at(struct convert_run *run, struct cox_json *to, const char *key, struct cox_str value)
{
	if (value.n)
		cox_json_set(&run->scratch, to, cox_str_of(key), cox_json_new_str(&run->scratch, value));
}

void convert_i64_at(struct convert_run *run, struct cox_json *to, const char *key, int64_t value)
{
	cox_json_set(&run->scratch, to, cox_str_of(key), cox_json_new_i64(&run->scratch, value));
}

void convert_bool_at(struct convert_run *run, struct cox_json *to, const char *key, bool value)
{
	cox_json_set(&run->scratch, to, cox_str_of(key), cox_json_new_bool(&run->scratch, value));
}

void convert_str_push(struct convert_run *run, struct cox_json *array, struct cox_str value)
{
	cox_json_push(&run->scratch, array, cox_json_new_str(&run->scratch, value));
}

struct cox_json *convert_doc_new(struct convert_run *run, enum cox_kind kind, struct cox_str ns, struct cox_str name,
                                 const struct cox_object *from, struct cox_json **spec)
{
	const struct cox_kind_info *info = cox_kind_info(kind);
	struct cox_arena *a = &run->scratch;
	struct cox_str versions = info->versions, version = { 0 };
	struct cox_json *doc = cox_json_new_object(a);
	char when[32];
	cox_str_next(&versions, ',', &version);
	convert_str_at(run, doc, "apiVersion",
	               info->group.n ? cox_arena_printf(a, "%.*s/%.*s", COX_FMT(info->group), COX_FMT(version)) : version);
	convert_str_at(run, doc, "kind", info->name);
	struct cox_json *meta = convert_object_at(run, doc, "metadata");
	convert_str_at(run, meta, "name", name);
	convert_str_at(run, meta, "namespace", ns);
	if (from->meta.creation_ms) {
		cox_clock_format(from->meta.creation_ms, when);
		convert_str_at(run, meta, "creationTimestamp", cox_arena_str(a, cox_str_of(when)));
	}
	*spec = convert_object_at(run, doc, "spec");
	return doc;
}

void convert_doc_annotate(struct convert_run *run, struct cox_json *doc, const char *key, struct cox_str value)
{
	struct cox_json *meta = (struct cox_json *)cox_json_get(doc, COX_STR("metadata"));
	struct cox_json *notes = (struct cox_json *)cox_json_get(meta, COX_STR("annotations"));
	if (!notes)
		notes = convert_object_at(run, meta, "annotations");
	convert_str_at(run, notes, key, value);
}

/* --- giving ----------------------------------------------------------------------------------------------- */

static struct cox_convert_finding *finding_add(struct convert_run *run, const struct cox_object *o, enum cox_severity severity,
                                               struct cox_str path)
{
	struct cox_convert_finding *f = cox_vec_add(&run->out->findings);
	f->object_id = cox_arena_str(&run->out->text, o->id);
	f->path = cox_arena_str(&run->out->text, path);
	f->severity = severity;
	return f;
}

void convert_finding(struct convert_run *run, const struct cox_object *o, enum cox_severity severity, struct cox_str path, const char *fmt,
                     ...)
{
	char text[TEXT_BYTES_MAX];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	finding_add(run, o, severity, path)->text = cox_arena_str(&run->out->text, cox_str_of(text));
}

static void report_refused(struct convert_run *run, const struct cox_json *doc, const struct cox_object *from, struct cox_str path,
                           const struct cox_diags *diags)
{
	for (size_t i = 0; i < diags->n; i++)
		if (diags->items[i].severity == COX_SEV_ERROR)
			convert_finding(run, from, COX_SEV_ERROR, path, "cannot be made into a %.*s: %.*s: %.*s",
			                COX_FMT(cox_json_str_at(doc, "kind")), COX_FMT(diags->items[i].path),
			                COX_FMT(diags->items[i].text));
}

bool convert_check(struct convert_run *run, const struct cox_json *doc, const struct cox_object *from, struct cox_str path)
{
	struct cox_diags diags = { .arena = &run->scratch };
	const struct cox_object *o = NULL;
	bool is_good = cox_object_build_generated(doc, COX_STR(""), &run->scratch, &diags, &o) == COX_OK;
	cox_object_unref(o);
	if (!is_good && from)
		report_refused(run, doc, from, path, &diags);
	return is_good;
}

/* Of the text, and of what the document was made from. */
static struct cox_hash doc_hash(const struct cox_json *doc, struct cox_str origin)
{
	struct cox_buf text = { 0 };
	cox_json_write(&text, doc, 0, false);
	cox_buf_append_str(&text, origin);
	struct cox_hash h = cox_hash128(text.p, text.n);
	cox_buf_fini(&text);
	return h;
}

/* The one of the run before, where the document is the same: building and checking it is most of the work. */
static const struct cox_object *object_of(struct convert_run *run, const struct cox_json *doc, struct cox_hash hash, struct cox_str origin,
                                          struct cox_diags *diags)
{
	const struct cox_kind_info *kind = cox_kind_find(cox_json_str_at(doc, "apiVersion"), cox_json_str_at(doc, "kind"));
	const struct cox_object *o = NULL;
	COX_ASSERT(kind);
	struct cox_str id =
	    cox_arena_printf(&run->scratch, "%.*s/%.*s/%.*s", COX_FMT(kind->word), COX_FMT(cox_json_str_at(doc, "metadata.namespace")),
	                     COX_FMT(cox_json_str_at(doc, "metadata.name")));
	const struct convert_made *was = convert_made_find(run->was, id);
	if (was && cox_hash_eq(was->doc, hash))
		return cox_object_ref(was->o);
	return cox_object_build_generated(doc, origin, &run->scratch, diags, &o) == COX_OK ? o : NULL;
}

void convert_emit(struct convert_run *run, const struct cox_json *doc, const struct cox_object *from, struct cox_str path)
{
	struct cox_diags diags = { .arena = &run->scratch };
	struct cox_str origin = path.n ? cox_arena_printf(&run->scratch, "%.*s %.*s", COX_FMT(from->id), COX_FMT(path)) : from->id;
	struct cox_hash hash = doc_hash(doc, origin);
	const struct cox_object *o = object_of(run, doc, hash, origin, &diags);
	if (!o) {
		report_refused(run, doc, from, path, &diags);
		return;
	}
	if (convert_made_find(run->out, o->id)) {
		convert_finding(run, from, COX_SEV_ERROR, path, "has no effect: an older object is made into %.*s as well", COX_FMT(o->id));
		cox_object_unref(o);
		return;
	}
	cox_vec_push(&run->out->made, ((struct convert_made){ o, hash }));
	cox_map_set(&run->out->by_id, o->id, (void *)(uintptr_t)run->out->made.n);
}

static void word_add(struct convert_words *w, const struct cox_object *o, const struct cox_json *what, bool has_generation)
{
	COX_ASSERT(!cox_map_find(&w->by_id, o->id));
	struct cox_buf text = { 0 };
	cox_json_write(&text, what, 0, false);
	/* One that was deleted and made again has nothing said of it yet. */
	cox_buf_printf(&text, "%lld %.*s", has_generation ? (long long)o->meta.generation : 0, COX_FMT(o->meta.uid));
	struct convert_said *s = cox_vec_add(&w->items);
	s->o = cox_object_ref(o);
	s->status = what;
	s->hash = cox_hash128(text.p, text.n);
	cox_buf_fini(&text);
	cox_map_set(&w->by_id, s->o->id, (void *)(uintptr_t)w->items.n);
}

void convert_status(struct convert_run *run, const struct cox_object *o, const struct cox_json *status)
{
	word_add(&run->out->said, o, status, true);
}

void convert_deploy(struct convert_run *run, const struct cox_object *o, const struct cox_json *documents)
{
	word_add(&run->out->deployed, o, documents, false);
}

void convert_condition(struct convert_run *run, struct cox_json *conditions, const struct cox_object *o, const char *type, bool is_true,
                       const char *reason, struct cox_str message)
{
	struct cox_json *c = convert_object_push(run, conditions);
	convert_str_at(run, c, "type", cox_str_of(type));
	convert_str_at(run, c, "status", is_true ? COX_STR("True") : COX_STR("False"));
	convert_str_at(run, c, "reason", cox_str_of(reason));
	cox_json_set(&run->scratch, c, COX_STR("message"), cox_json_new_str(&run->scratch, message)); /* required, may be empty */
	if (o->meta.generation)
		convert_i64_at(run, c, "observedGeneration", o->meta.generation);
}
