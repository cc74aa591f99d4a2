#include "tool/render.h"

#include "codec/json.h"
#include "tool/world.h"

static enum cox_rc write_all(const struct cox_render_options *opts, const struct cox_rendered *r, struct cox_buf *out, struct cox_err *err)
{
	struct cox_arena arena = { 0 };
	struct cox_json *all = NULL;
	enum cox_rc rc = cox_rendered_to_json(r, opts->only, &arena, &all, err);
	if (rc == COX_OK) {
		if (opts->format == COX_RENDER_YAML)
			cox_json_write_yaml(out, all);
		else
			cox_json_write(out, all, 1, false);
		cox_buf_append_char(out, '\n');
	}
	cox_arena_fini(&arena);
	return rc;
}

enum cox_rc cox_tool_render(const struct cox_render_options *opts, struct cox_buf *out, struct cox_buf *notes, struct cox_err *err)
{
	struct cox_world *w = cox_world_new(
	    &(struct cox_world_options){ .compliance = opts->compliance,
	                                 .features = { .has_sessions = opts->has_sessions, .has_mcs_hosts = opts->has_mcs_hosts },
	                                 .mesh_yaml = opts->mesh_yaml });
	struct cox_who who = { .proxy = opts->proxy,
		               .node_file = opts->node_file,
		               .is_upstream = opts->is_upstream,
		               .is_router = opts->is_router,
		               .no_sds = opts->no_sds };
	struct cox_rendered rendered = { 0 };
	struct cox_proxy *proxy = NULL;

	enum cox_rc rc = cox_world_load(w, opts->path, notes, err);
	if (rc == COX_OK) {
		cox_world_freeze(w, NULL);
		cox_world_note(w, notes);
		rc = cox_world_proxy(w, &who, &proxy, err);
	}
	if (rc == COX_OK) {
		cox_translate_proxy(w->snapshot, proxy, w->memo, &rendered);
		rc = write_all(opts, &rendered, out, err);
		cox_rendered_fini(&rendered);
		cox_proxy_unref(proxy);
	}
	cox_world_free(&w);
	return rc;
}
