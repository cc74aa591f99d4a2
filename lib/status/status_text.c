#include "status/status_priv.h"

static const char *const slot_names[] = { "SchemaValidation", "ReferenceCheck", "ProxyRejection" };

enum { ALL_SLOTS = (1 << COX_STATUS_SLOT_COUNT) - 1 };
static const char *const own_types[] = { "Accepted", "Programmed", "Reconciled", "ProxyRejected" };

static bool is_own_type(struct cox_str type)
{
	for (size_t i = 0; i < COX_LEN(own_types); i++)
		if (cox_str_eq_cstr(type, own_types[i]))
			return true;
	return false;
}

static size_t count(const struct status_entry *e, unsigned slots, enum cox_severity severity)
{
	size_t n = 0;
	for (size_t s = 0; s < COX_STATUS_SLOT_COUNT; s++)
		if (slots & 1u << s)
			for (size_t i = 0; i < e->parts[s].n; i++)
				n += e->parts[s].findings[i].severity == severity;
	return n;
}

static void put(struct cox_arena *a, struct cox_json *o, const char *key, struct cox_str s)
{
	cox_json_set(a, o, cox_str_of(key), cox_json_new_str(a, s));
}

/* "spec.http[0].weight: must be ...; ..." errors first. */
static struct cox_str message(struct cox_arena *a, const struct status_entry *e, unsigned slots)
{
	struct cox_buf out = { 0 };
	for (int severity = COX_SEV_ERROR; severity <= COX_SEV_WARNING; severity++) {
		for (size_t s = 0; s < COX_STATUS_SLOT_COUNT; s++) {
			for (size_t i = 0; slots & 1u << s && i < e->parts[s].n && out.n < MESSAGE_BYTES_MAX; i++) {
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

static void add(struct cox_arena *a, struct cox_json *list, const char *type, const char *status, const char *reason, struct cox_str text,
                int64_t generation)
{
	struct cox_json *c = cox_json_new_object(a);
	put(a, c, "type", cox_str_of(type));
	put(a, c, "status", cox_str_of(status));
	put(a, c, "reason", cox_str_of(reason));
	put(a, c, "message", text);
	if (generation)
		cox_json_set(a, c, COX_STR("observedGeneration"), cox_json_new_i64(a, generation));
	cox_json_push(a, list, c);
}

static bool is_reconciled(const struct status_entry *e) { return e->acked == e->total; }

/* cox_status_progress_read() reads it back. */
static struct cox_str progress_text(struct cox_arena *a, const struct status_entry *e, int64_t generation)
{
	struct cox_str last = is_reconciled(e) ? (struct cox_str){ 0 } : cox_str_of(e->last);
	return cox_arena_printf(a, "%zu of %zu proxies have acknowledged generation %lld%s%.*s", e->acked, e->total, (long long)generation,
	                        last.n ? "; not yet " : "", COX_FMT(last));
}

static void add_progress(struct cox_arena *a, struct cox_json *list, const struct status_entry *e, int64_t generation)
{
	bool is_wrong = count(e, 1u << COX_STATUS_DECODE, COX_SEV_ERROR) > 0,
	     is_rejected = count(e, 1u << COX_STATUS_PROXY, COX_SEV_ERROR) > 0;
	bool is_known = e->progress_generation == generation && generation > 0;
	struct cox_str kept = COX_STR("it cannot be in force; its last good version stays where there was one");
	struct cox_str left = COX_STR("what proxies reject is left out for them; their last good version stays where there was one");
	struct cox_str soon = COX_STR("it is being translated");
	if (is_wrong)
		add(a, list, "Programmed", "False", "Invalid", kept, generation);
	else if (is_rejected)
		add(a, list, "Programmed", "False", "ProxyRejected", left, generation);
	else
		add(a, list, "Programmed", is_known ? "True" : "Unknown", is_known ? "Programmed" : "Pending",
		    is_known ? COX_STR("") : soon, generation);
	if (is_wrong || is_rejected || !is_known)
		add(a, list, "Reconciled", is_wrong || is_rejected ? "False" : "Unknown",
		    is_wrong      ? "Invalid"
		    : is_rejected ? "ProxyRejected"
		                  : "Pending",
		    is_wrong      ? kept
		    : is_rejected ? left
		                  : soon,
		    generation);
	else
		add(a, list, "Reconciled", is_reconciled(e) ? "True" : "False", is_reconciled(e) ? "Reconciled" : "Waiting",
		    progress_text(a, e, generation), generation);
	add(a, list, "ProxyRejected", is_rejected ? "True" : "False", is_rejected ? "Rejected" : "NoneRejected",
	    message(a, e, 1u << COX_STATUS_PROXY), generation);
}

/* What we say, without times. */
static struct cox_json *conditions(struct cox_arena *a, const struct status_entry *e, int64_t generation)
{
	struct cox_json *list = cox_json_new_array(a);
	bool is_bad = count(e, ALL_SLOTS, COX_SEV_ERROR) > 0;
	add(a, list, "Accepted", is_bad ? "False" : "True",
	    is_bad                                 ? "Invalid"
	    : count(e, ALL_SLOTS, COX_SEV_WARNING) ? "Warnings"
	                                           : "Accepted",
	    message(a, e, ALL_SLOTS), generation);
	if (e->has_progress)
		add_progress(a, list, e, generation);
	return list;
}

bool cox_status_progress_read(const struct cox_json *object, struct cox_status_progress *out)
{
	const struct cox_json *list = cox_json_at(object, "status.conditions"), *c = NULL;
	for (size_t i = 0; list && list->type == COX_JSON_ARRAY && i < list->n; i++)
		if (cox_str_eq_cstr(cox_json_str_at(&list->items[i], "type"), "Reconciled"))
			c = &list->items[i];
	const struct cox_json *generation = cox_json_at(c, "observedGeneration");
	struct cox_str rest = cox_json_str_at(c, "message"), acked, of, total;
	uint64_t a, t;
	*out = (struct cox_status_progress){ 0 };
	if (!generation || cox_json_to_i64(generation, &out->generation) != COX_OK || !cox_str_next(&rest, ' ', &acked) ||
	    !cox_str_next(&rest, ' ', &of) || !cox_str_next(&rest, ' ', &total) || cox_str_to_u64(acked, &a) != COX_OK ||
	    cox_str_to_u64(total, &t) != COX_OK)
		return false;
	out->acked = (size_t)a;
	out->total = (size_t)t;
	ptrdiff_t yet = cox_str_search(rest, COX_STR("; not yet "));
	if (yet >= 0)
		out->last = cox_str_sub(rest, (size_t)yet + 10, SIZE_MAX);
	return true;
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
	cox_json_write(&text, conditions(&a, e, generation), 0, false);
	cox_json_write(&text, messages(&a, e), 0, false);
	struct cox_hash h = cox_hash128(text.p, text.n);
	cox_buf_fini(&text);
	cox_arena_fini(&a);
	return h;
}

static const struct cox_json *condition_of(const struct cox_json *object, struct cox_str type)
{
	const struct cox_json *list = cox_json_at(object, "status.conditions");
	for (size_t i = 0; list && list->type == COX_JSON_ARRAY && i < list->n; i++)
		if (cox_str_eq(cox_json_str_at(&list->items[i], "type"), type))
			return &list->items[i];
	return NULL;
}

static bool is_true(const struct cox_json *c) { return cox_str_eq_cstr(cox_json_str_at(c, "status"), "True"); }

/* What was reached for a generation stays said: proxies that come and go later, and a restart, are no news of the object. */
static bool is_reached(const struct cox_json *want, const struct cox_json *there)
{
	struct cox_str type = cox_json_str_at(want, "type");
	const struct cox_json *a = cox_json_get(want, COX_STR("observedGeneration")),
	                      *b = cox_json_get(there, COX_STR("observedGeneration"));
	bool is_progress = cox_str_eq_cstr(type, "Reconciled") || cox_str_eq_cstr(type, "Programmed");
	return is_progress && is_true(there) && a && b && cox_json_eq(a, b) && !cox_str_eq_cstr(cox_json_str_at(want, "status"), "False");
}

static bool is_said(const struct cox_json *want, const struct cox_json *there)
{
	bool is_same = there != NULL;
	for (size_t i = 0; i < want->n && is_same; i++) {
		const struct cox_json *v = cox_json_get(there, want->members[i].key);
		is_same = v && cox_json_eq(v, &want->members[i].value);
	}
	return is_same || (there && is_reached(want, there));
}

bool status_is_said(const struct status_entry *e, int64_t generation, const struct cox_json *was)
{
	if (e->is_tree)
		return status_tree_is_said(e->tree, cox_json_get(was, COX_STR("status")));
	const struct cox_json *list = cox_json_at(was, "status.validationMessages");
	struct cox_arena a = { 0 };
	const struct cox_json *want = conditions(&a, e, generation), *want_list = messages(&a, e);
	bool is_same = list ? cox_json_eq(list, want_list) : want_list->n == 0;
	for (size_t i = 0; i < want->n && is_same; i++)
		is_same = is_said(&want->items[i], condition_of(was, cox_json_str_at(&want->items[i], "type")));
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
		if (!is_own_type(cox_json_str_at(&list->items[i], "type"))) {
			cox_json_push(a, to, &list->items[i]);
			n++;
		}
	return n;
}

static struct cox_json *own_status(struct cox_arena *a, const struct status_entry *e, int64_t generation, const struct cox_json *was,
                                   struct cox_str now, bool *is_shared)
{
	struct cox_json *status = cox_json_new_object(a), *list = cox_json_new_array(a), *own = conditions(a, e, generation);
	for (size_t i = 0; i < own->n; i++) {
		struct cox_json *c = &own->items[i];
		const struct cox_json *there = condition_of(was, cox_json_str_at(c, "type"));
		struct cox_str since = now;
		if (there && is_reached(c, there)) {
			cox_json_push(a, list, there);
			continue;
		}
		if (there && cox_str_eq(cox_json_str_at(there, "status"), cox_json_str_at(c, "status")) &&
		    cox_json_str_at(there, "lastTransitionTime").n)
			since = cox_json_str_at(there, "lastTransitionTime");
		put(a, c, "lastTransitionTime", since);
		cox_json_push(a, list, c);
	}
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
