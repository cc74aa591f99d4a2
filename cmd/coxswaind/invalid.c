#include "invalid.h"

#include "base/map.h"
#include "base/metric.h"

struct invalid {
	struct cox_map known; /* "<kind>/<namespace>/<name>", or "<kind>//<file>" where a document has no name: owned; also the value */
	size_t counts[COX_KIND_COUNT + 1];
};

struct invalid *invalid_new(void) { return COX_NEW(struct invalid); }

void invalid_free(struct invalid *v)
{
	if (!v)
		return;
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&v->known, e));)
		cox_free(e->value);
	cox_map_fini(&v->known);
	cox_free(v);
}

static void set(struct invalid *v, enum cox_kind kind, struct cox_str key, bool is_invalid)
{
	char *had = cox_map_find(&v->known, key);
	if (is_invalid == (had != NULL))
		return;
	if (had) {
		cox_map_remove(&v->known, key);
		cox_free(had);
		v->counts[kind]--;
	} else {
		char *own = cox_str_dup_cstr(key);
		cox_map_set(&v->known, (struct cox_str){ own, key.n }, own);
		v->counts[kind]++;
	}
	cox_metric_set(COX_M_INVALID_OBJECTS, kind < COX_KIND_COUNT ? cox_kind_info(kind)->name.p : "unknown", (double)v->counts[kind]);
}

static void count_rejected(const struct cox_source_report *r)
{
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	struct cox_str labels[] = { cox_arena_lower(&arena, cox_kind_info(r->kind)->name),
		                    cox_arena_printf(&arena, "%.*s/%.*s", COX_FMT(r->ns), COX_FMT(r->name)) };
	cox_metric_add_labels(COX_M_REJECTED_CONFIGS, labels, COX_LEN(labels), 1);
}

void invalid_note(struct invalid *v, const struct cox_source_report *r)
{
	struct cox_buf key = { 0 };
	/* The file without the line, which moves as others edit what stands above. */
	struct cox_str file = cox_str_sub(r->origin, 0, (size_t)(cox_str_rfind(r->origin, ':') < 0 ? 0 : cox_str_rfind(r->origin, ':')));
	cox_buf_printf(&key, "%d/%.*s/%.*s", (int)r->kind, COX_FMT(r->ns), COX_FMT(r->name.n ? r->name : file));
	set(v, r->kind, cox_buf_str(&key), r->diags->errors > 0);
	if (r->diags->errors && r->kind < COX_KIND_COUNT)
		count_rejected(r);
	cox_buf_fini(&key);
}

void invalid_forget(struct invalid *v, enum cox_kind kind, struct cox_str ns, struct cox_str name)
{
	struct cox_buf key = { 0 };
	cox_buf_printf(&key, "%d/%.*s/%.*s", (int)kind, COX_FMT(ns), COX_FMT(name));
	set(v, kind, cox_buf_str(&key), false);
	cox_buf_fini(&key);
}
