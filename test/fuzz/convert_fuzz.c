/* A JSON list of objects goes into a registry and is converted. Converting once more changes nothing; when the objects are gone, nothing
 * that was made from them is left. */
#include "convert/convert.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void feed(struct cox_registry *r, const struct cox_json *list, struct cox_arena *arena, bool removes)
{
	for (size_t i = 0; list->type == COX_JSON_ARRAY && i < list->n; i++) {
		struct cox_diags diags = { .arena = arena };
		const struct cox_object *o = NULL;
		if (cox_object_build(&list->items[i], COX_STR("f"), COX_STR("n"), arena, &diags, &o) != COX_OK)
			continue;
		if (removes)
			cox_registry_remove(r, o->kind, o->meta.ns, o->meta.name);
		else
			cox_registry_put(r, o);
		cox_object_unref(o);
	}
}

static size_t turn(struct cox_convert *c, struct cox_registry *r)
{
	struct cox_registry_changes changes;
	cox_convert_run(c);
	cox_registry_take_changes(r, &changes);
	size_t n = changes.items.n;
	cox_registry_changes_fini(&changes);
	return n;
}

static void check_gone(const struct cox_registry *r)
{
	for (size_t k = 0; k < COX_KIND_COUNT; k++) {
		const struct cox_object *const *p;
		size_t n = cox_registry_objects(r, (enum cox_kind)k, &p);
		for (size_t i = 0; i < n; i++)
			if (p[i]->is_generated)
				abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cox_arena arena = { 0 };
	struct cox_json *list = NULL;
	if (cox_json_parse(&arena, cox_str_make(data, size), &list, NULL) == COX_OK) {
		const struct cox_convert_finding *found;
		struct cox_registry *r = cox_registry_new(&(struct cox_registry_options){ .domain = COX_STR("cluster.local") });
		struct cox_convert *c = cox_convert_new(&(struct cox_convert_options){ .registry = r });
		feed(r, list, &arena, false);
		turn(c, r);
		cox_convert_findings(c, &arena, &found);
		if (turn(c, r) != 0)
			abort();
		feed(r, list, &arena, true);
		turn(c, r);
		check_gone(r);
		cox_convert_free(c);
		cox_registry_free(r);
	}
	cox_arena_fini(&arena);
	return 0;
}
