#include "status/report.h"

void report_write(struct cox_str replica, size_t streams, const uint64_t seen[COX_KIND_COUNT], const struct cox_map *objects, uint64_t beat,
                  struct cox_buf *out)
{
	size_t n = 0, pending = 0;
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(objects, e));)
		pending += !((const struct report_pending *)e->value)->is_done;
	bool tells = pending <= REPORT_PENDING_MAX;
	cox_buf_append_cstr(out, "{\"replica\":");
	cox_json_write_str(out, replica);
	cox_buf_printf(out, ",\"beat\":%llu,\"streams\":%zu,\"seen\":{", (unsigned long long)beat, streams);
	for (size_t k = 0; k < COX_KIND_COUNT && tells; k++)
		if (seen[k])
			cox_buf_printf(out, "%s\"%.*s\":%llu", n++ ? "," : "", COX_FMT(cox_kind_info((enum cox_kind)k)->word),
			               (unsigned long long)seen[k]);
	cox_buf_append_cstr(out, "},\"pending\":{");
	n = 0;
	for (struct cox_map_entry *e = NULL; tells && (e = cox_map_next(objects, e));) {
		const struct report_pending *p = e->value;
		if (p->is_done)
			continue;
		cox_buf_append_cstr(out, n++ ? "," : "");
		cox_json_write_str(out, p->id);
		cox_buf_printf(out, ":[%lld,%zu]", (long long)p->generation, p->acked);
	}
	cox_buf_append_cstr(out, "}}");
}

static bool read_count(const struct cox_json *v, uint64_t *out)
{
	int64_t n;
	if (!v || v->type != COX_JSON_NUMBER || cox_json_to_i64(v, &n) != COX_OK || n < 0)
		return false;
	*out = (uint64_t)n;
	return true;
}

static void read_pending(struct report *r, const struct cox_json *all)
{
	for (size_t i = 0; all && all->type == COX_JSON_OBJECT && i < all->n; i++) {
		const struct cox_json *v = &all->members[i].value;
		uint64_t generation, acked;
		if (v->type != COX_JSON_ARRAY || v->n != 2 || !read_count(&v->items[0], &generation) || !read_count(&v->items[1], &acked))
			continue;
		struct report_pending *p = COX_ARENA_NEW(&r->arena, struct report_pending);
		*p = (struct report_pending){ .generation = (int64_t)generation, .acked = (size_t)acked };
		cox_map_set(&r->pending, cox_arena_str(&r->arena, all->members[i].key), p);
	}
}

bool report_read(struct cox_str text, struct report *out)
{
	struct cox_json *v = NULL;
	uint64_t streams;
	*out = (struct report){ .streams = 0 };
	if (cox_json_parse(&out->arena, cox_arena_str(&out->arena, text), &v, NULL) != COX_OK ||
	    !read_count(cox_json_get(v, COX_STR("streams")), &streams)) {
		report_fini(out);
		return false;
	}
	out->streams = (size_t)streams;
	out->replica = cox_json_str_at(v, "replica");
	const struct cox_json *seen = cox_json_get(v, COX_STR("seen"));
	for (size_t i = 0; seen && seen->type == COX_JSON_OBJECT && i < seen->n; i++) {
		const struct cox_kind_info *info = cox_kind_find_word(seen->members[i].key);
		if (info)
			read_count(&seen->members[i].value, &out->seen[info->kind]);
	}
	read_pending(out, cox_json_get(v, COX_STR("pending")));
	return true;
}

void report_fini(struct report *r)
{
	cox_map_fini(&r->pending);
	cox_arena_fini(&r->arena);
}

size_t report_acked(const struct report *r, enum cox_kind kind, const struct report_pending *p)
{
	const struct report_pending *its = cox_map_find(&r->pending, p->id);
	if (its)
		return its->generation >= p->generation ? (its->acked < r->streams ? its->acked : r->streams) : 0;
	return r->seen[kind] >= p->version ? r->streams : 0;
}
