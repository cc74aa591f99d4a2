#include "translate/notes.h"
#include "translate/patch.h"
#include "translate/render_priv.h"
#include "translate/secret.h"
#include "translate/translate.h"

/* What every proxy of the view has. */
static void render_scope(struct cox_tr *t, struct cox_render_cache *cache, cox_resources *by_type)
{
	cox_resources made[COX_TYPE_COUNT] = { 0 };
	if (render_view_take(cache, t->view->key, by_type))
		return;
	cox_translate_clusters(t, &made[COX_TYPE_CDS]);
	cox_translate_endpoints(t, &made[COX_TYPE_EDS]);
	cox_translate_outbound(t, &made[COX_TYPE_LDS], &made[COX_TYPE_RDS], &made[COX_TYPE_VHDS]);
	cox_patch_outbound(t, &made[COX_TYPE_CDS], &made[COX_TYPE_LDS], &made[COX_TYPE_RDS], &made[COX_TYPE_VHDS]);
	if (t->view->dns_capture) /* such a proxy's agent asks for it */
		cox_vec_push(&made[COX_TYPE_NDS], cox_translate_names(t));
	render_view_keep(cache, t->view->key, made);
	for (int type = 0; type < COX_TYPE_COUNT; type++) {
		for (size_t i = 0; i < made[type].n; i++)
			cox_vec_push(&by_type[type], made[type].p[i]);
		cox_vec_fini(&made[type]);
	}
}

static void render_sidecar(struct cox_tr *t, const struct cox_workload *w, struct cox_render_cache *cache, cox_resources *by_type)
{
	t->scope = cox_scope_build(t->s, t->view->ns, t->view->labels.p, t->view->labels.n, t->arena);
	/* The workload's own ports first: of equal names the first stays, and a listener that really binds must not be lost. */
	cox_translate_inbound(t, w, &by_type[COX_TYPE_CDS], &by_type[COX_TYPE_LDS]);
	render_scope(t, cache, by_type);
}

static void render(const struct cox_snapshot *s, const struct cox_proxy *p, struct cox_memo *memo, struct cox_route_notes *notes,
                   struct cox_render_cache *cache, struct cox_rendered *out);

void cox_translate_proxy(const struct cox_snapshot *s, const struct cox_proxy *p, struct cox_memo *memo, struct cox_rendered *out)
{
	render(s, p, memo, NULL, NULL, out);
}

void cox_translate_proxy_noted(const struct cox_snapshot *s, const struct cox_proxy *p, struct cox_memo *memo,
                               struct cox_route_notes *notes, struct cox_rendered *out)
{
	render(s, p, memo, notes, NULL, out);
}

void cox_translate_proxy_cached(const struct cox_snapshot *s, const struct cox_proxy *p, struct cox_memo *memo,
                                struct cox_render_cache *cache, struct cox_rendered *out)
{
	render(s, p, memo, NULL, cache, out);
}

static void render(const struct cox_snapshot *s, const struct cox_proxy *p, struct cox_memo *memo, struct cox_route_notes *notes,
                   struct cox_render_cache *cache, struct cox_rendered *out)
{
	cox_resources by_type[COX_TYPE_COUNT] = { 0 };
	struct cox_secret_names names = { 0 };
	struct cox_workload *w = cox_workload_build(p, s);
	struct cox_arena arena = { 0 };
	struct cox_tr t = { .s = s, .view = &w->view, .memo = memo, .arena = &arena, .notes = notes };

	t.patching = cox_patching_build(s, &w->view, w->labels.p, w->labels.n, &arena);
	/* As if it had proved what its node says. */
	cox_workload_set_access(w, &(struct cox_secret_access){ true, p->ns, p->service_account, COX_ACCESS_ALLOWED });
	if (p->type == COX_PROXY_ROUTER) {
		cox_translate_gateway(&t, w, &by_type[COX_TYPE_CDS], &by_type[COX_TYPE_EDS], &by_type[COX_TYPE_LDS], &by_type[COX_TYPE_RDS],
		                      &names);
	} else {
		render_sidecar(&t, w, cache, by_type);
		cox_secret_names_of_rules(&t, w, &names);
	}
	cox_patch_extensions(&t, &by_type[COX_TYPE_ECDS]);
	cox_translate_secrets(&t, w, &names, &by_type[COX_TYPE_SDS]);
	cox_secret_names_fini(&names);
	for (int type = 0; type < COX_TYPE_COUNT; type++) {
		out->sets[type] = cox_set_build_take((enum cox_type)type, by_type[type].p, by_type[type].n);
		cox_vec_fini(&by_type[type]);
	}
	cox_workload_free(w);
	cox_arena_fini(&arena);
}

void cox_rendered_fini(struct cox_rendered *r)
{
	for (int type = 0; type < COX_TYPE_COUNT; type++) {
		cox_set_unref(r->sets[type]);
		r->sets[type] = NULL;
	}
}
