/* The first byte picks a kind (or the mesh configuration), the rest is JSON. A value that decodes copies into a block of
 * exactly its size, equal to itself; an object dumps to a document that builds an equal object. */
#include "model/mesh.h"
#include "validate/report.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_copy(const struct cox_message *m, const void *value)
{
	size_t bytes = cox_message_copy_bytes(m, value);
	void *block = cox_alloc(bytes);
	const void *copy = cox_message_copy(m, value, block, bytes);
	if (!cox_message_eq(m, value, copy) || !cox_hash_eq(cox_message_hash(m, value), cox_message_hash(m, copy)))
		abort();
	cox_free(block);
}

static void check_object(const struct cox_json *doc, struct cox_arena *arena)
{
	struct cox_diags diags = { .arena = arena }, again_diags = { .arena = arena };
	const struct cox_object *o = NULL, *again = NULL;
	enum cox_rc rc = cox_object_build(doc, COX_STR("f"), COX_STR("n"), arena, &diags, &o);
	struct cox_report_about about = cox_report_about(doc, COX_STR("f"));
	struct cox_buf text = { 0 };
	cox_report_write(&diags, &about, &text);
	cox_buf_fini(&text);
	if ((rc == COX_OK) != (o != NULL) || (rc == COX_EINVAL) != (diags.errors > 0))
		abort();
	/* Secrets are redacted, so they do not come back. */
	if (o && o->kind != COX_KIND_SECRET) {
		const struct cox_json *dump = cox_object_to_json(o, arena);
		if (cox_object_build(dump, COX_STR("f"), COX_STR("n"), arena, &again_diags, &again) != COX_OK || !cox_object_eq(o, again))
			abort();
	}
	cox_object_unref(o);
	cox_object_unref(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cox_arena arena = { 0 };
	struct cox_diags diags = { .arena = &arena };
	struct cox_json *v = NULL;
	if (size < 2)
		return 0;
	struct cox_str text = cox_str_make(data + 1, size - 1);
	unsigned pick = data[0] % (COX_KIND_COUNT + 2);
	if (pick == COX_KIND_COUNT + 1) {
		struct cox_mesh_config *mesh = NULL;
		if (cox_mesh_config_build(text, &arena, &diags, &mesh) == COX_OK)
			cox_free(mesh);
	} else if (cox_json_parse(&arena, text, &v, NULL) == COX_OK) {
		const struct cox_message *m = pick < COX_KIND_COUNT ? cox_kind_info((enum cox_kind)pick)->message : NULL;
		const void *value = m ? cox_message_decode(m, v, "", &arena, &diags) : NULL;
		if (value)
			check_copy(m, value);
		if (!m || cox_json_get(v, COX_STR("kind")))
			check_object(v, &arena);
	}
	cox_arena_fini(&arena);
	return 0;
}
