/* /validate: the same checks that decide whether an object is in force, before it is stored. */
#include "webhook/webhook_priv.h"

#include "base/log.h"
#include "base/metric.h"
#include "model/object.h"
#include "snapshot/check.h"

#include <string.h>

static const char *const groups[] = { "networking.istio.io", "security.istio.io", "telemetry.istio.io", "extensions.istio.io" };
static const char *const top_level[] = { "apiVersion", "kind", "metadata", "spec", "status" };
/* What an upgrade of the webhook tests itself with (Istio's name). */
static const char always_reject[] = "internal.istio.io/webhook-always-reject";

static bool is_mesh_group(struct cox_str group)
{
	for (size_t i = 0; i < COX_LEN(groups); i++)
		if (cox_str_eq_cstr(group, groups[i]))
			return true;
	return false;
}

static void check_top_level(const struct cox_json *object, struct cox_diags *diags)
{
	for (size_t i = 0; i < object->n; i++) {
		bool known = false;
		for (size_t k = 0; k < COX_LEN(top_level); k++)
			known |= cox_str_eq_cstr(object->members[i].key, top_level[k]);
		if (!known) {
			struct cox_str path = cox_arena_str(diags->arena, object->members[i].key);
			cox_diag_add(diags, COX_SEV_ERROR, 0, path.p, "unknown field; the specification stands under spec");
		}
	}
}

static struct cox_str id_of(const struct webhook_review *r, struct cox_arena *arena)
{
	struct cox_str name = r->name.n ? r->name : cox_json_str_at(r->object, "metadata.name");
	if (name.n == 0)
		name = cox_json_str_at(r->object, "metadata.generateName");
	return cox_arena_printf(arena, "%.*s %.*s%s%.*s", COX_FMT(r->kind), COX_FMT(r->ns), r->ns.n ? "/" : "", COX_FMT(name));
}

/* All faults in one text, each with its field; warnings apart. */
static void tell(const struct webhook_review *r, const struct cox_diags *diags, struct cox_arena *arena, struct webhook_answer *out)
{
	struct cox_buf text = { 0 };
	struct cox_str *warnings = COX_ARENA_ARRAY(arena, struct cox_str, diags->n + 1);
	size_t n = 0;
	cox_buf_printf(&text, "%.*s is not valid%s: ", COX_FMT(id_of(r, arena)), r->dry_run ? " (dry run)" : "");
	size_t start = text.n;
	for (size_t i = 0; i < diags->n; i++) {
		const struct cox_diag *d = &diags->items[i];
		if (d->severity == COX_SEV_WARNING) {
			warnings[n++] = cox_arena_printf(arena, "%.*s: %.*s", COX_FMT(d->path), COX_FMT(d->text));
			continue;
		}
		cox_buf_printf(&text, "%s%.*s%s%.*s", text.n > start ? "; " : "", COX_FMT(d->path), d->path.n ? ": " : "",
		               COX_FMT(d->text));
	}
	if (diags->dropped)
		cox_buf_printf(&text, "; and %zu more", diags->dropped);
	out->warnings.p = warnings, out->warnings.n = n;
	if (diags->errors > 0) {
		out->allowed = false;
		out->code = 422;
		out->message = cox_arena_str(arena, cox_buf_str(&text));
	}
	cox_buf_fini(&text);
}

static bool asks_for_refusal(const struct cox_json *object)
{
	const struct cox_json *annotations = cox_json_at(object, "metadata.annotations");
	return cox_json_get(annotations, cox_str_of(always_reject)) != NULL;
}

/* Warnings only: what is missing may be applied next, or be here before the next generation is. */
static void check_references(const struct cox_snapshot *s, const struct cox_object *o, struct cox_arena *arena, struct cox_diags *diags)
{
	struct cox_findings found;
	cox_snapshot_check_object(s, o, arena, &found);
	for (size_t i = 0; i < found.items.n; i++) {
		const struct cox_finding *f = &found.items.p[i];
		cox_diag_add(diags, COX_SEV_WARNING, 0, cox_arena_str(arena, f->path).p, "%.*s, at least not yet", COX_FMT(f->text));
	}
}

static void check(const struct cox_snapshot *s, const struct webhook_review *r, struct cox_arena *arena, struct cox_diags *diags)
{
	struct cox_str api_version = cox_arena_printf(arena, "%.*s%s%.*s", COX_FMT(r->group), r->group.n ? "/" : "", COX_FMT(r->version));
	const struct cox_object *object = NULL;
	check_top_level(r->object, diags);
	if (asks_for_refusal(r->object))
		cox_diag_add(diags, COX_SEV_ERROR, 0, "metadata.annotations", "%s: refused, as the annotation asks", always_reject);
	enum cox_rc rc = cox_object_build(r->object, COX_STR("admission"), r->ns.n ? r->ns : COX_STR("default"), arena, diags, &object);
	if (rc == COX_ENOTFOUND && is_mesh_group(r->group))
		cox_diag_add(diags, COX_SEV_WARNING, 0, "kind", "%.*s %.*s is not read by coxswain: the object has no effect",
		             COX_FMT(api_version), COX_FMT(r->kind));
	if (rc == COX_OK && s)
		check_references(s, object, arena, diags);
	cox_object_unref(object);
}

void webhook_validate(const struct cox_snapshot *s, const struct webhook_review *r, struct cox_arena *arena, struct webhook_answer *out)
{
	*out = (struct webhook_answer){ .allowed = true };
	if (r->operation.n && !cox_str_eq_cstr(r->operation, "CREATE") && !cox_str_eq_cstr(r->operation, "UPDATE"))
		return;
	if (!r->object || r->object->type != COX_JSON_OBJECT) {
		*out = (struct webhook_answer){ .code = 400, .message = COX_STR("the review has no object") };
		return;
	}
	struct cox_diags diags = { .arena = arena };
	check(s, r, arena, &diags);
	tell(r, &diags, arena, out);
	struct cox_str labels[] = { r->group, r->version, r->kind,
		                    out->code == 400 ? COX_STR("yaml_decode_error") : COX_STR("invalid_resource") };
	if (out->allowed)
		cox_metric_add_labels(COX_M_VALIDATION_PASSED, labels, 3, 1);
	else
		cox_metric_add_labels(COX_M_VALIDATION_FAILED, labels, 4, 1);
	if (!out->allowed)
		cox_log(COX_LOG_INFO, "webhook", "refused: %.*s", COX_FMT(out->message));
}
