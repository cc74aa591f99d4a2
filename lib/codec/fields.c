/* Decoding a JSON tree into a struct by its table, with all findings. */
#include "codec/fields_priv.h"

#include "base/clock.h"
#include "codec/b64.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int cox_kv_cmp_qsort(const void *a, const void *b) { return cox_str_cmp(((const struct cox_kv *)a)->key, ((const struct cox_kv *)b)->key); }

enum { FIELDS_MAX = 128 };

struct decoder {
	struct cox_arena *arena;
	struct cox_diags *diags;
	const char *prefix;
	bool borrow;
};

/* Where we are, as a chain on the stack: text is made of it only when there is something to report. */
struct place {
	const struct place *up;
	const char *name;
	struct cox_str key; /* of a map */
	size_t index;       /* plus one; 0: no list */
};

static void place_write(struct cox_buf *b, const struct place *at)
{
	if (!at)
		return;
	place_write(b, at->up);
	if (at->name) {
		if (b->n)
			cox_buf_append_char(b, '.');
		cox_buf_append_cstr(b, at->name);
	} else if (at->index) {
		cox_buf_printf(b, "[%zu]", at->index - 1);
	} else if (cox_str_find(at->key, '.') >= 0 || cox_str_find(at->key, '[') >= 0) {
		cox_buf_printf(b, "[\"%.*s\"]", COX_FMT(cox_str_sub(at->key, 0, 100)));
	} else {
		cox_buf_printf(b, "%s%.*s", b->n ? "." : "", COX_FMT(cox_str_sub(at->key, 0, 100)));
	}
}

/* --- diagnostics --- */

static void diag_add(struct cox_diags *d, enum cox_severity severity, int line, struct cox_str path, const char *fmt, va_list ap)
{
	d->errors += severity == COX_SEV_ERROR;
	if (d->n >= COX_DIAGS_MAX) {
		d->dropped++;
		return;
	}
	if (d->n == d->cap) {
		d->cap = d->cap ? d->cap * 2 : 8;
		struct cox_diag *more = COX_ARENA_ARRAY(d->arena, struct cox_diag, d->cap);
		if (d->n)
			memcpy(more, d->items, d->n * sizeof(*more));
		d->items = more;
	}
	struct cox_buf b COX_AUTO(cox_buf_fini) = { 0 };
	cox_buf_vprintf(&b, fmt, ap);
	d->items[d->n++] = (struct cox_diag){ .severity = severity,
		                              .line = line ? line : d->line,
		                              .path = cox_arena_str(d->arena, path),
		                              .text = cox_arena_str(d->arena, cox_buf_str(&b)) };
}

void cox_diag_add(struct cox_diags *d, enum cox_severity severity, int line, const char *path, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	diag_add(d, severity, line, cox_str_of(path), fmt, ap);
	va_end(ap);
}

COX_PRINTF(5, 6)
static void report(struct decoder *dc, enum cox_severity severity, int line, const struct place *at, const char *fmt, ...)
{
	struct cox_buf path COX_AUTO(cox_buf_fini) = { 0 };
	cox_buf_append_cstr(&path, dc->prefix ? dc->prefix : "");
	place_write(&path, at);
	va_list ap;
	va_start(ap, fmt);
	diag_add(dc->diags, severity, line, cox_buf_str(&path), fmt, ap);
	va_end(ap);
}

/* The finding added last is of this sort. Beyond the limit there is none to mark. */
static void mark_unknown(struct decoder *dc, size_t before)
{
	if (dc->diags->n > before)
		dc->diags->items[dc->diags->n - 1].is_unknown_field = true;
}

#define WRONG(dc, v, at, ...) (report(dc, COX_SEV_ERROR, (v)->line, at, __VA_ARGS__), false)

static const char *type_name(const struct cox_json *v)
{
	static const char *const names[] = { "null", "a boolean", "a number", "text", "a list", "an object" };
	return names[v->type];
}

/* --- scalars; each returns whether the member was set --- */

static bool check_text(struct decoder *dc, const struct cox_field *f, const struct cox_json *v, const struct place *at)
{
	if (v->type != COX_JSON_STRING)
		return WRONG(dc, v, at, "must be text, not %s", type_name(v));
	size_t max = f->max_len ? f->max_len : COX_FIELD_TEXT_MAX;
	if (v->text.n > max)
		return WRONG(dc, v, at, "must have at most %zu bytes, has %zu", max, v->text.n);
	return true;
}

static struct cox_str keep_text(struct decoder *dc, struct cox_str s) { return dc->borrow || s.n == 0 ? s : cox_arena_str(dc->arena, s); }

static bool decode_text(struct decoder *dc, const struct cox_field *f, const struct cox_json *v, const struct place *at,
                        struct cox_str *out)
{
	if (!check_text(dc, f, v, at))
		return false;
	if (v->text.n && memchr(v->text.p, 0, v->text.n))
		return WRONG(dc, v, at, "must not contain a NUL character");
	bool must = (f->flags & (COX_F_REQUIRED | COX_F_LIST)) || (f->pattern && strcmp(f->pattern, "nonEmpty") == 0);
	if (f->pattern && (v->text.n || must)) {
		const char *allowed = v->text.n ? cox_format_check(f->pattern, v->text) : "must not be empty";
		if (allowed)
			return v->text.n ? WRONG(dc, v, at, "\"%.*s\": %s", COX_FMT(cox_str_sub(v->text, 0, 100)), allowed)
			                 : WRONG(dc, v, at, "%s", allowed);
	}
	*out = keep_text(dc, v->text);
	return true;
}

static bool check_bounds(struct decoder *dc, const struct cox_field *f, const struct cox_json *v, const struct place *at, double value)
{
	if ((f->min == 0 && f->max == 0) || (value >= f->min && value <= f->max))
		return true;
	const char *unit = f->type == COX_F_DURATION ? "s" : "";
	if (f->max >= 4294967295.0)
		return WRONG(dc, v, at, "must be at least %.15g%s, is %.*s", f->min, unit, COX_FMT(v->text));
	return WRONG(dc, v, at, "must be from %.15g%s to %.15g%s, is %.*s", f->min, unit, f->max, unit, COX_FMT(v->text));
}

static bool decode_i64(struct decoder *dc, const struct cox_field *f, const struct cox_json *v, const struct place *at, int64_t *out)
{
	if (v->type != COX_JSON_NUMBER)
		return WRONG(dc, v, at, "must be an integer, not %s", type_name(v));
	int64_t i = 0;
	if (cox_json_to_i64(v, &i) != COX_OK)
		return WRONG(dc, v, at, "must be an integer, is %.*s", COX_FMT(cox_str_sub(v->text, 0, 40)));
	bool is_port = f->pattern && strcmp(f->pattern, "port") == 0;
	if (is_port && (i < 1 || i > 65535))
		return WRONG(dc, v, at, "must be a port from 1 to 65535, is %lld", (long long)i);
	if (!check_bounds(dc, f, v, at, (double)i))
		return false;
	*out = i;
	return true;
}

static bool decode_f64(struct decoder *dc, const struct cox_field *f, const struct cox_json *v, const struct place *at, double *out)
{
	double d = 0;
	if (v->type != COX_JSON_NUMBER || cox_str_to_f64(v->text, &d) != COX_OK)
		return WRONG(dc, v, at, "must be a number, not %s", v->type == COX_JSON_NUMBER ? "one this large" : type_name(v));
	if (!check_bounds(dc, f, v, at, d))
		return false;
	*out = d;
	return true;
}

static bool decode_duration(struct decoder *dc, const struct cox_field *f, const struct cox_json *v, const struct place *at, int64_t *out)
{
	int64_t ns = 0;
	if (v->type != COX_JSON_STRING)
		return WRONG(dc, v, at, "must be a duration such as \"1.5s\", not %s", type_name(v));
	if (cox_duration_parse(v->text, &ns) != COX_OK)
		return WRONG(dc, v, at, "\"%.*s\" is no duration; write one such as \"1.5s\", \"250ms\" or \"1h2m\"",
		             COX_FMT(cox_str_sub(v->text, 0, 40)));
	if (!check_bounds(dc, f, v, at, (double)ns / 1e9))
		return false;
	if (f->min > 0 && ns % 1000000) /* Istio's rule for all durations that must not be 0 */
		return WRONG(dc, v, at, "must be whole milliseconds, is %.*s", COX_FMT(cox_str_sub(v->text, 0, 40)));
	*out = ns;
	return true;
}

static bool decode_enum(struct decoder *dc, const struct cox_field *f, const struct cox_json *v, const struct place *at, int *out)
{
	if (v->type == COX_JSON_STRING)
		for (int i = 0; f->enums[i]; i++)
			if (cox_str_eq_cstr(v->text, f->enums[i])) {
				*out = i;
				return true;
			}
	struct cox_buf all COX_AUTO(cox_buf_fini) = { 0 };
	for (int i = 0; f->enums[i]; i++)
		if (f->enums[i][0])
			cox_buf_printf(&all, "%s%s", all.n ? ", " : "", f->enums[i]);
	return WRONG(dc, v, at, "%s%.*s%smust be one of %.*s", v->type == COX_JSON_STRING ? "\"" : "", COX_FMT(cox_str_sub(v->text, 0, 60)),
	             v->type == COX_JSON_STRING ? "\": "
	             : v->text.n                ? ": "
	                                        : "",
	             COX_FMT(cox_buf_str(&all)));
}

static bool decode_bytes(struct decoder *dc, const struct cox_field *f, const struct cox_json *v, const struct place *at,
                         struct cox_opt_str *out)
{
	if (!check_text(dc, f, v, at))
		return false;
	if (cox_b64_decode(dc->arena, v->text, true, &out->v) != COX_OK)
		return WRONG(dc, v, at, "must be base64");
	out->set = true;
	return true;
}

static bool decode_raw(struct decoder *dc, const struct cox_field *f, const struct cox_json *v, const struct place *at, struct cox_str *out)
{
	if (f->pattern && strcmp(f->pattern, "object") == 0 && v->type != COX_JSON_OBJECT)
		return WRONG(dc, v, at, "must be an object, not %s", type_name(v));
	struct cox_buf b COX_AUTO(cox_buf_fini) = { 0 };
	cox_json_write(&b, v, 0, true);
	*out = cox_arena_str(dc->arena, cox_buf_str(&b));
	return true;
}

static bool decode_int_or_str(struct decoder *dc, const struct cox_field *f, const struct cox_json *v, const struct place *at,
                              struct cox_int_or_str *out)
{
	out->set = v->type == COX_JSON_STRING ? decode_text(dc, f, v, at, &out->s) : decode_i64(dc, f, v, at, &out->i);
	return out->set;
}

static bool decode_message(struct decoder *dc, const struct cox_message *m, const struct cox_json *v, const struct place *at, void *out);

static bool decode_sub(struct decoder *dc, const struct cox_field *f, const struct cox_json *v, const struct place *at, const void **out)
{
	void *value = cox_arena_alloc(dc->arena, f->sub->size_bytes);
	if (!decode_message(dc, f->sub, v, at, value))
		return false;
	*out = value;
	return true;
}

/* One value; for lists, one item: items of MSG are inline. */
static bool decode_one(struct decoder *dc, const struct cox_field *f, const struct cox_json *v, const struct place *at, void *out,
                       bool item)
{
	struct cox_opt_i64 *opt = out;
	switch (f->type) {
	case COX_F_STR: return decode_text(dc, f, v, at, out);
	case COX_F_OPT_STR: return ((struct cox_opt_str *)out)->set = decode_text(dc, f, v, at, &((struct cox_opt_str *)out)->v);
	case COX_F_BOOL:
	case COX_F_OPT_BOOL:
		if (v->type != COX_JSON_BOOL)
			return WRONG(dc, v, at, "must be true or false, not %s", type_name(v));
		*(bool *)out = v->boolean;
		if (f->type == COX_F_OPT_BOOL)
			((struct cox_opt_bool *)out)->set = true;
		return true;
	case COX_F_I64: return opt->set = decode_i64(dc, f, v, at, &opt->v);
	case COX_F_F64: return ((struct cox_opt_f64 *)out)->set = decode_f64(dc, f, v, at, &((struct cox_opt_f64 *)out)->v);
	case COX_F_DURATION: return opt->set = decode_duration(dc, f, v, at, &opt->v);
	case COX_F_TIME:
		if (v->type != COX_JSON_STRING || cox_clock_parse(v->text, &opt->v) != COX_OK)
			return WRONG(dc, v, at, "must be a time such as \"2026-08-01T10:00:00Z\"");
		return opt->set = true;
	case COX_F_ENUM: return decode_enum(dc, f, v, at, out);
	case COX_F_INT_OR_STR: return decode_int_or_str(dc, f, v, at, out);
	case COX_F_BYTES: return decode_bytes(dc, f, v, at, out);
	case COX_F_RAW: return decode_raw(dc, f, v, at, out);
	case COX_F_MSG: return item ? decode_message(dc, f->sub, v, at, out) : decode_sub(dc, f, v, at, out);
	case COX_F_STR_MAP:
	case COX_F_MSG_MAP:
	case COX_F_I64_MAP:
	case COX_F_BYTES_MAP: break;
	}
	return false;
}

/* --- lists and maps --- */

size_t cox_field_item_bytes(const struct cox_field *f)
{
	switch (f->type) {
	case COX_F_STR_MAP: return sizeof(struct cox_kv);
	case COX_F_I64_MAP: return sizeof(struct cox_kv_i64);
	case COX_F_BYTES_MAP: return sizeof(struct cox_kv_opt);
	case COX_F_MSG_MAP: return f->sub->size_bytes;
	default: break;
	}
	if (!(f->flags & COX_F_LIST))
		return 0;
	switch (f->type) {
	case COX_F_STR:
	case COX_F_RAW: return sizeof(struct cox_str);
	case COX_F_I64: return sizeof(struct cox_opt_i64);
	case COX_F_ENUM: return sizeof(int);
	case COX_F_MSG: return f->sub->size_bytes;
	default: break;
	}
	COX_ASSERT(!"a list of a type that has none");
}

static bool check_count(struct decoder *dc, const struct cox_field *f, const struct cox_json *v, const struct place *at)
{
	size_t max = f->max_items ? f->max_items : COX_FIELD_ITEMS_MAX;
	return v->n <= max || WRONG(dc, v, at, "must have at most %zu items, has %zu", max, v->n);
}

static const struct cox_json *same_key(const struct cox_json *v, size_t i, struct cox_str key)
{
	const struct cox_json *mine = cox_json_get(&v->items[i], key);
	for (size_t k = 0; mine && k < i; k++) {
		const struct cox_json *other = cox_json_get(&v->items[k], key);
		if (other && other->type == mine->type && cox_str_eq(other->text, mine->text))
			return mine;
	}
	return NULL;
}

static void check_list_key(struct decoder *dc, const struct cox_field *f, const struct cox_json *v, const struct place *at)
{
	for (size_t i = 0; i < v->n; i++) {
		struct place item = { .up = at, .index = i + 1 }, here = { .up = &item, .name = f->list_key };
		const struct cox_json *twice = same_key(v, i, cox_str_of(f->list_key));
		if (twice)
			report(dc, COX_SEV_ERROR, twice->line, &here, "%.*s stands twice", COX_FMT(cox_str_sub(twice->text, 0, 100)));
	}
}

static bool decode_list(struct decoder *dc, const struct cox_field *f, const struct cox_json *v, const struct place *at,
                        struct cox_any_list *out)
{
	if (v->type != COX_JSON_ARRAY)
		return WRONG(dc, v, at, "must be a list, not %s", type_name(v));
	if (!check_count(dc, f, v, at))
		return false;
	size_t bytes = cox_field_item_bytes(f);
	char *items = cox_arena_calloc(dc->arena, v->n, bytes);
	for (size_t i = 0; i < v->n; i++) {
		struct place here = { .up = at, .index = i + 1 };
		if (v->items[i].type == COX_JSON_NULL)
			report(dc, COX_SEV_ERROR, v->items[i].line, &here, "must not be null");
		else
			decode_one(dc, f, &v->items[i], &here, items + i * bytes, true);
	}
	if (f->list_key)
		check_list_key(dc, f, v, at);
	*out = (struct cox_any_list){ v->n ? items : NULL, v->n };
	return true;
}

static bool decode_map_item(struct decoder *dc, const struct cox_field *f, const struct cox_json *v, const struct place *at, void *item)
{
	switch (f->type) {
	case COX_F_STR_MAP: {
		struct cox_kv *kv = item;
		if (!check_text(dc, f, v, at))
			return false;
		kv->value = keep_text(dc, v->text);
		if (f->pattern && strcmp(f->pattern, "labels") == 0 && !cox_format_is_label_value(kv->value))
			return WRONG(
			    dc, v, at,
			    "\"%.*s\" is no label value: at most 63 letters, digits, '-', '_' and '.', a letter or digit at both ends",
			    COX_FMT(cox_str_sub(kv->value, 0, 100)));
		return true;
	}
	case COX_F_I64_MAP: return decode_i64(dc, f, v, at, &((struct cox_kv_i64 *)item)->value);
	case COX_F_BYTES_MAP: return decode_bytes(dc, f, v, at, &((struct cox_kv_opt *)item)->value);
	default: return decode_message(dc, f->sub, v, at, item);
	}
}

static bool check_key(struct decoder *dc, const struct cox_field *f, const struct cox_json *v, struct cox_str key, const struct place *at)
{
	if (f->pattern && strcmp(f->pattern, "labels") == 0 && !cox_format_is_label_key(key))
		return WRONG(dc, v, at,
		             "the key is no label key: [dns-subdomain/]name, name being at most 63 letters, digits, '-', '_' and '.'");
	return true;
}

static int item_cmp(const void *a, const void *b) { return cox_str_cmp(cox_map_item_key(a), cox_map_item_key(b)); }

static bool decode_map(struct decoder *dc, const struct cox_field *f, const struct cox_json *v, const struct place *at,
                       struct cox_any_list *out)
{
	if (v->type != COX_JSON_OBJECT)
		return WRONG(dc, v, at, "must be a map, not %s", type_name(v));
	if (!check_count(dc, f, v, at))
		return false;
	size_t bytes = cox_field_item_bytes(f), n = 0;
	char *items = cox_arena_calloc(dc->arena, v->n, bytes);
	bool rising = true;
	for (size_t i = 0; i < v->n; i++) {
		const struct cox_json_member *m = &v->members[i];
		struct place here = { .up = at, .key = m->key };
		/* Kubernetes writes maps whose values may be null (data: {key: null}); such a key is absent. */
		if (m->value.type == COX_JSON_NULL && f->type != COX_F_MSG_MAP)
			continue;
		if (!check_key(dc, f, &m->value, m->key, &here))
			continue;
		void *item = items + n * bytes;
		*(struct cox_str *)item = keep_text(dc, m->key);
		if (!decode_map_item(dc, f, &m->value, &here, item)) {
			memset(item, 0, bytes);
			continue;
		}
		rising = rising && (n == 0 || item_cmp(items + (n - 1) * bytes, item) < 0);
		n++;
	}
	if (!rising)
		qsort(items, n, bytes, item_cmp);
	*out = (struct cox_any_list){ n ? items : NULL, n };
	return true;
}

/* --- messages --- */

static bool is_name(struct cox_str key, const char *name)
{
	return name && name[0] == key.p[0] && strlen(name) == key.n && memcmp(name, key.p, key.n) == 0;
}

/* Both the tables and most texts have an order of their own: looking on from the last hit finds the usual text fast. */
static const struct cox_field *find_field(const struct cox_message *m, struct cox_str key, size_t *hint)
{
	if (!key.n)
		return NULL;
	for (size_t k = 0, i = *hint; k < m->field_count; k++, i = i + 1 == m->field_count ? 0 : i + 1) {
		if (is_name(key, m->fields[i].name) || is_name(key, m->fields[i].alias)) {
			*hint = i + 1 == m->field_count ? 0 : i + 1;
			return &m->fields[i];
		}
	}
	return NULL;
}

static bool is_near(struct cox_str key, const char *name)
{
	struct cox_str n = cox_str_of(name);
	if (cox_str_eq_nocase(key, n))
		return true;
	size_t head = 0, tail = 0, shorter = cox_min_size(key.n, n.n), longer = cox_max_size(key.n, n.n);
	while (head < shorter && key.p[head] == n.p[head])
		head++;
	while (tail < shorter - head && key.p[key.n - 1 - tail] == n.p[n.n - 1 - tail])
		tail++;
	return longer > 3 && longer - head - tail <= 2;
}

static void report_unknown(struct decoder *dc, const struct cox_message *m, const struct cox_json_member *member, const struct place *at)
{
	struct place here = { .up = at, .key = member->key };
	size_t before = dc->diags->n, i = 0;
	while (i < m->field_count && !is_near(member->key, m->fields[i].name))
		i++;
	if (i < m->field_count)
		report(dc, COX_SEV_WARNING, member->value.line, &here, "unknown field, ignored; did you mean \"%s\"?", m->fields[i].name);
	else
		report(dc, COX_SEV_WARNING, member->value.line, &here, "unknown field, ignored");
	mark_unknown(dc, before);
}

static void names_of_group(const struct cox_message *m, uint8_t group, struct cox_buf *out)
{
	for (size_t i = 0; i < m->field_count; i++)
		if (m->fields[i].one_of == group)
			cox_buf_printf(out, "%s%s", out->n ? ", " : "", m->fields[i].name);
}

static void check_groups(struct decoder *dc, const struct cox_message *m, const struct cox_json *v, const bool *seen,
                         const struct place *at)
{
	for (size_t i = 0; i < m->field_count; i++) {
		const struct cox_field *f = &m->fields[i];
		if ((f->flags & COX_F_REQUIRED) && !seen[i]) {
			struct place here = { .up = at, .name = f->name };
			report(dc, COX_SEV_ERROR, v->line, &here, "is required");
		}
		if (!f->one_of)
			continue;
		unsigned set = 0;
		bool first = true, required = false;
		for (size_t k = 0; k < m->field_count; k++) {
			if (m->fields[k].one_of != f->one_of)
				continue;
			first = first && k >= i;
			set += seen[k];
			required = required || m->fields[k].one_of_required;
		}
		if (!first || set == 1 || (set == 0 && !required))
			continue;
		struct cox_buf names COX_AUTO(cox_buf_fini) = { 0 };
		names_of_group(m, f->one_of, &names);
		report(dc, COX_SEV_ERROR, v->line, at, set ? "only one of %.*s may be set" : "one of %.*s must be set",
		       COX_FMT(cox_buf_str(&names)));
	}
}

static void run_check(struct decoder *dc, const struct cox_message *m, const struct cox_json *v, const struct place *at, const void *out)
{
	struct cox_buf path COX_AUTO(cox_buf_fini) = { 0 };
	cox_buf_append_cstr(&path, dc->prefix ? dc->prefix : "");
	place_write(&path, at);
	int line = dc->diags->line;
	dc->diags->line = v->line;
	m->check(out, cox_buf_cstr(&path), dc->diags);
	dc->diags->line = line;
}

static bool decode_field(struct decoder *dc, const struct cox_field *f, const struct cox_json *v, const struct place *up, char *out)
{
	struct place at = { .up = up, .name = f->name };
	size_t before = dc->diags->n;
	if (f->flags & (COX_F_NO_EFFECT | COX_F_DEPRECATED))
		report(dc, COX_SEV_WARNING, v->line, &at, "%s", f->flags & COX_F_NO_EFFECT ? "has no effect" : "is deprecated");
	if (dc->diags->n > before)
		dc->diags->items[before].is_deprecated = !(f->flags & COX_F_NO_EFFECT);
	void *member = out + f->offset;
	if (cox_field_is_map(f))
		return decode_map(dc, f, v, &at, member);
	return f->flags & COX_F_LIST ? decode_list(dc, f, v, &at, member) : decode_one(dc, f, v, &at, member, false);
}

static bool decode_message(struct decoder *dc, const struct cox_message *m, const struct cox_json *v, const struct place *at, void *out)
{
	bool seen[FIELDS_MAX] = { 0 };
	COX_ASSERT(m->field_count <= FIELDS_MAX);
	if (v->type != COX_JSON_OBJECT)
		return WRONG(dc, v, at, "must be an object, not %s", type_name(v));
	size_t errors = dc->diags->errors, hint = 0;
	for (size_t i = 0; i < v->n; i++) {
		const struct cox_json_member *member = &v->members[i];
		const struct cox_field *f = find_field(m, member->key, &hint);
		if (!f && !m->open)
			report_unknown(dc, m, member, at);
		if (!f || member->value.type == COX_JSON_NULL)
			continue;
		if (seen[f - m->fields]) {
			struct place here = { .up = at, .name = f->name };
			report(dc, COX_SEV_ERROR, member->value.line, &here, "is given in two spellings");
			continue;
		}
		seen[f - m->fields] = true;
		decode_field(dc, f, &member->value, at, out);
	}
	check_groups(dc, m, v, seen, at);
	/* What spans fields is judged only where the fields themselves are sound. */
	if (m->check && dc->diags->errors == errors)
		run_check(dc, m, v, at, out);
	return true;
}

static void *decode(const struct cox_message *m, const struct cox_json *v, struct decoder *dc)
{
	void *out = cox_arena_alloc(dc->arena, m->size_bytes);
	return decode_message(dc, m, v, NULL, out) ? out : NULL;
}

void *cox_message_decode(const struct cox_message *m, const struct cox_json *v, const char *path, struct cox_arena *arena,
                         struct cox_diags *diags)
{
	return decode(m, v, &(struct decoder){ arena, diags, path, false });
}

void *cox_message_decode_borrowed(const struct cox_message *m, const struct cox_json *v, const char *path, struct cox_arena *arena,
                                  struct cox_diags *diags)
{
	return decode(m, v, &(struct decoder){ arena, diags, path, true });
}
