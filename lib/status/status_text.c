#include "status/status_priv.h"

static const char *const slot_names[] = { "SchemaValidation", "ReferenceCheck", "ProxyRejection" };

static size_t count(const struct status_entry *e, enum cox_severity severity)
{
	size_t n = 0;
	for (size_t s = 0; s < COX_STATUS_SLOT_COUNT; s++)
		for (size_t i = 0; i < e->parts[s].n; i++)
			n += e->parts[s].findings[i].severity == severity;
	return n;
}

static void put(struct cox_arena *a, struct cox_json *o, const char *key, struct cox_str s)
{
	cox_json_set(a, o, cox_str_of(key), cox_json_new_str(a, s));
}

/* "spec.http[0].weight: must be ...; ..." errors first. */
static struct cox_str message(struct cox_arena *a, const struct status_entry *e)
{
	struct cox_buf out = { 0 };
	for (int severity = COX_SEV_ERROR; severity <= COX_SEV_WARNING; severity++) {
		for (size_t s = 0; s < COX_STATUS_SLOT_COUNT; s++) {
			for (size_t i = 0; i < e->parts[s].n && out.n < MESSAGE_BYTES_MAX; i++) {
				const struct cox_status_finding *f = &e->parts[s].findings[i];
				if (f->severity != (enum cox_severity)severity)
					continue;
				cox_buf_printf(&out, "%s%.*s%s%.*s", out.n ? "; " : "", COX_FMT(f->path), f->path.n ? ": " : "",
				               COX_FMT(f->text));
			}
		}
	}
	struct cox_str text = cox_arena_str(a, cox_str_sub(cox_buf_str(&out), 0, MESSAGE_BYTES_MAX));
	while (text.n && !cox_str_is_utf8(text))
		text.n--; /* cut in the middle of a character */
	cox_buf_fini(&out);
	return text;
}

static struct cox_json *condition(struct cox_arena *a, const struct status_entry *e, int64_t generation)
{
	struct cox_json *c = cox_json_new_object(a);
	bool is_bad = count(e, COX_SEV_ERROR) > 0;
	put(a, c, "type", COX_STR("Accepted"));
	put(a, c, "status", is_bad ? COX_STR("False") : COX_STR("True"));
	put(a, c, "reason", is_bad ? COX_STR("Invalid") : count(e, COX_SEV_WARNING) ? COX_STR("Warnings") : COX_STR("Accepted"));
	put(a, c, "message", message(a, e));
	if (generation)
		cox_json_set(a, c, COX_STR("observedGeneration"), cox_json_new_i64(a, generation));
	return c;
}

static struct cox_json *messages(struct cox_arena *a, const struct status_entry *e)
{
	struct cox_json *list = cox_json_new_array(a);
	for (size_t s = 0; s < COX_STATUS_SLOT_COUNT; s++) {
		for (size_t i = 0; i < e->parts[s].n; i++) {
			const struct cox_status_finding *f = &e->parts[s].findings[i];
			struct cox_json *m = cox_json_new_object(a), *type = cox_json_new_object(a);
			put(a, type, "name", f->name.n ? f->name : cox_str_of(slot_names[s]));
			put(a, type, "code", f->code.n ? f->code : COX_STR("COX0001"));
			cox_json_set(a, m, COX_STR("type"), type);
			put(a, m, "level", f->severity == COX_SEV_ERROR ? COX_STR("ERROR") : COX_STR("WARNING"));
			put(a, m, "message", f->text);
			if (f->path.n)
				put(a, m, "path", f->path);
			cox_json_push(a, list, m);
		}
	}
	return list;
}

struct cox_hash status_hash(const struct status_entry *e, int64_t generation)
{
	struct cox_arena a = { 0 };
	struct cox_buf text = { 0 };
	if (e->is_tree) {
		cox_buf_printf(&text, "%lld ", (long long)generation);
		if (e->tree)
			cox_json_write(&text, e->tree, 0, false);
		struct cox_hash whole = cox_hash128(text.p, text.n);
		cox_buf_fini(&text);
		return whole;
	}
	cox_json_write(&text, condition(&a, e, generation), 0, false);
	cox_json_write(&text, messages(&a, e), 0, false);
	struct cox_hash h = cox_hash128(text.p, text.n);
	cox_buf_fini(&text);
	cox_arena_fini(&a);
	return h;
}

static const struct cox_json *condition_of(const struct cox_json *object)
{
	const struct cox_json *list = cox_json_at(object, "status.conditions");
	for (size_t i = 0; list && list->type == COX_JSON_ARRAY && i < list->n; i++)
		if (cox_str_eq_cstr(cox_json_str_at(&list->items[i], "type"), "Accepted"))
			return &list->items[i];
	return NULL;
}

bool status_is_said(const struct status_entry *e, int64_t generation, const struct cox_json *was)
{
	if (e->is_tree)
		return status_tree_is_said(e->tree, cox_json_get(was, COX_STR("status")));
	const struct cox_json *there = condition_of(was), *list = cox_json_at(was, "status.validationMessages");
	if (!there)
		return false;
	struct cox_arena a = { 0 };
	const struct cox_json *want = condition(&a, e, generation), *want_list = messages(&a, e);
	bool is_same = list ? cox_json_eq(list, want_list) : want_list->n == 0;
	for (size_t i = 0; i < want->n && is_same; i++) {
		const struct cox_json *v = cox_json_get(there, want->members[i].key);
		is_same = v && cox_json_eq(v, &want->members[i].value);
	}
	cox_arena_fini(&a);
	return is_same;
}

/* The list of conditions is one value to an apply, unless the schema says otherwise (Istio's does not): those of others, such as Healthy of
 * a WorkloadEntry, go along as they were read. */
static size_t foreign_conditions(struct cox_arena *a, const struct cox_json *was, struct cox_json *to)
{
	const struct cox_json *list = cox_json_at(was, "status.conditions");
	size_t n = 0;
	for (size_t i = 0; list && list->type == COX_JSON_ARRAY && i < list->n; i++)
		if (!cox_str_eq_cstr(cox_json_str_at(&list->items[i], "type"), "Accepted")) {
			cox_json_push(a, to, &list->items[i]);
			n++;
		}
	return n;
}

static struct cox_json *own_status(struct cox_arena *a, const struct status_entry *e, int64_t generation, const struct cox_json *was,
                                   struct cox_str now, bool *is_shared)
{
	struct cox_json *status = cox_json_new_object(a), *list = cox_json_new_array(a);
	struct cox_json *c = condition(a, e, generation);
	const struct cox_json *there = condition_of(was);
	struct cox_str since = now;
	if (there && cox_str_eq(cox_json_str_at(there, "status"), cox_json_str_at(c, "status")) &&
	    cox_json_str_at(there, "lastTransitionTime").n)
		since = cox_json_str_at(there, "lastTransitionTime");
	put(a, c, "lastTransitionTime", since);
	cox_json_push(a, list, c);
	*is_shared = foreign_conditions(a, was, list) > 0;
	cox_json_set(a, status, COX_STR("conditions"), list);
	cox_json_set(a, status, COX_STR("validationMessages"), messages(a, e));
	if (generation)
		cox_json_set(a, status, COX_STR("observedGeneration"), cox_json_new_i64(a, generation));
	return status;
}

void status_write(const struct status_entry *e, int64_t generation, const struct cox_json *was, struct cox_str now, struct cox_buf *out)
{
	const struct cox_kind_info *info = cox_kind_info(e->kind);
	struct cox_arena arena = { 0 }, *a = &arena;
	struct cox_str versions = info->versions, version = { 0 };
	struct cox_json *root = cox_json_new_object(a), *meta = cox_json_new_object(a), *status;
	bool is_shared = false;
	cox_str_next(&versions, ',', &version);
	put(a, root, "apiVersion", cox_arena_printf(a, "%.*s/%.*s", COX_FMT(info->group), COX_FMT(version)));
	put(a, root, "kind", info->name);
	put(a, meta, "name", e->name);
	if (e->ns.n)
		put(a, meta, "namespace", e->ns);
	if (e->is_tree) {
		status = status_tree_merge(a, e->tree, cox_json_get(was, COX_STR("status")), now);
		is_shared = status_tree_is_shared(status);
	} else {
		status = own_status(a, e, generation, was, now, &is_shared);
	}
	/* With the version that was read, so that what is carried along is never older than what is there. */
	if (is_shared)
		put(a, meta, "resourceVersion", cox_json_str_at(was, "metadata.resourceVersion"));
	cox_json_set(a, root, COX_STR("metadata"), meta);
	cox_json_set(a, root, COX_STR("status"), status);
	cox_json_write(out, root, 0, false);
	cox_arena_fini(a);
}
