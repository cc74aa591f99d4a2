#include "source/saved.h"

#include "base/file.h"

#include <stdio.h>

enum { FILE_BYTES_MAX = 1 << 30 }; /* 200,000 objects of a mesh; more than any kube-apiserver holds of these kinds */

static const struct cox_str head = COX_STR_INIT("{\"coxswain\":\"saved objects 1\",\"cluster\":");

bool cox_saved_is_kept(const struct cox_object *o) { return o->kind != COX_KIND_SECRET && !o->is_generated; }

enum cox_rc cox_saved_write(const char *path, struct cox_str cluster_id, const struct cox_object *const *objects, size_t n,
                            struct cox_err *err)
{
	struct cox_buf text = { 0 }, beside = { 0 };
	struct cox_arena arena = { 0 };
	cox_buf_append_str(&text, head);
	cox_json_write_str(&text, cluster_id);
	cox_buf_append_cstr(&text, "}\n");
	for (size_t i = 0; i < n; i++) {
		if (!cox_saved_is_kept(objects[i]))
			continue;
		cox_json_write(&text, cox_object_to_json(objects[i], &arena), 0, false);
		cox_buf_append_char(&text, '\n');
		cox_arena_reset(&arena);
	}
	/* Whole or not at all: beside it, then renamed. */
	cox_buf_printf(&beside, "%s.new", path);
	enum cox_rc rc = cox_file_write(cox_buf_cstr(&beside), 0600, cox_buf_str(&text), err);
	if (rc == COX_OK && rename(cox_buf_cstr(&beside), path) != 0)
		rc = cox_err_set(err, COX_EIO, NULL, "%s cannot be replaced", path);
	cox_arena_fini(&arena);
	cox_buf_fini(&beside);
	cox_buf_fini(&text);
	return rc;
}

static bool put_line(struct cox_str line, struct cox_str cluster_id, struct cox_arena *arena,
                     void (*put)(void *, const struct cox_object *), void *ctx)
{
	struct cox_diags diags = { .arena = arena };
	struct cox_json *doc = NULL;
	const struct cox_object *o = NULL;
	if (cox_json_parse(arena, line, &doc, NULL) != COX_OK ||
	    cox_object_build(doc, cluster_id, COX_STR("default"), arena, &diags, &o) != COX_OK)
		return false;
	bool is_kept = cox_saved_is_kept(o);
	if (is_kept)
		put(ctx, o);
	cox_object_unref(o);
	return is_kept;
}

enum cox_rc cox_saved_read(const char *path, struct cox_str cluster_id, void (*put)(void *ctx, const struct cox_object *o), void *ctx,
                           size_t *count, size_t *bad, struct cox_err *err)
{
	COX_AUTO(cox_buf_fini) struct cox_buf text = { 0 };
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	struct cox_json *first = NULL;
	struct cox_str rest, line = { 0 };
	*count = *bad = 0;
	COX_TRY(cox_file_read(path, FILE_BYTES_MAX, &text, err));
	rest = cox_buf_str(&text);
	if (!cox_str_has_prefix(rest, head) || !cox_str_next(&rest, '\n', &line) || cox_json_parse(&arena, line, &first, NULL) != COX_OK)
		return cox_err_set(err, COX_EINVAL, NULL, "%s holds no saved objects", path);
	if (!cox_str_eq(cox_json_str_at(first, "cluster"), cluster_id))
		return cox_err_set(err, COX_EINVAL, NULL, "%s is of cluster %.*s", path, COX_FMT(cox_json_str_at(first, "cluster")));
	while (rest.n && cox_str_next(&rest, '\n', &line)) {
		cox_arena_reset(&arena);
		if (line.n == 0)
			continue;
		if (put_line(line, cluster_id, &arena, put, ctx))
			++*count;
		else
			++*bad;
	}
	return COX_OK;
}
