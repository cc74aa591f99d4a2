/* Objects by themselves: what the decoder finds (lib/model), under Istio's codes. One rule for admission, status and here. */
#include "analyze/analyze_priv.h"

#include "model/mesh.h"

/* What an analyzer of its own says. */
static bool is_said_elsewhere(const struct cox_diag *d)
{
	return d->severity == COX_SEV_WARNING && cox_str_has_suffix(d->path, COX_STR(".fault.delay.percent"));
}

static void report_diags(struct an_run *r, const struct an_obj *o, const struct cox_diags *diags)
{
	for (size_t i = 0; i < diags->n; i++) {
		const struct cox_diag *d = &diags->items[i];
		struct cox_json at = { .line = d->line };
		if (is_said_elsewhere(d))
			continue;
		an_report(r, d->severity == COX_SEV_ERROR ? COX_AN_SCHEMA_ERROR : COX_AN_SCHEMA_WARNING, o, &at, d->path, "%.*s",
		          COX_FMT(d->text));
	}
}

void an_schema(struct an_run *r, struct an_obj *o)
{
	struct cox_diags diags = { .arena = r->arena };
	const struct cox_object *object = NULL;
	/* A kind or version that we do not know has no rules of ours. */
	(void)!cox_object_build(o->doc, o->from->file, r->opts->default_ns, r->arena, &diags, &object);
	cox_object_unref(object);
	report_diags(r, o, &diags);
	if (o->kind == AN_ENVOY_FILTER)
		an_report(
		    r, COX_AN_SCHEMA_WARNING, o, NULL, COX_STR(""),
		    "patches what the proxy is made of, which other releases make differently; prefer another kind that does the same");
	if (o->kind == AN_VIRTUAL_SERVICE)
		an_vs_unreachable(r, o);
}

void an_schema_mesh(struct an_run *r)
{
	struct cox_diags diags = { .arena = r->arena };
	struct cox_mesh_config *config = NULL;
	struct cox_buf yaml = { 0 };
	if (!r->opts->mesh)
		return;
	cox_json_write_yaml(&yaml, r->opts->mesh);
	(void)!cox_mesh_config_build(cox_buf_str(&yaml), r->arena, &diags, &config);
	cox_buf_fini(&yaml);
	cox_free(config);
	for (size_t i = 0; i < diags.n; i++)
		diags.items[i].line = 0; /* of the text made here */
	report_diags(r, an_mesh_obj(r, "MeshConfig", "meshconfig"), &diags);
}
