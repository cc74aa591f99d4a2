#include "translate/notes.h"

void cox_route_notes_fini(struct cox_route_notes *n)
{
	for (size_t i = 0; i < n->vhosts.n; i++)
		cox_vec_fini(&n->vhosts.p[i]->routes);
	cox_vec_fini(&n->vhosts);
	cox_arena_fini(&n->arena);
	*n = (struct cox_route_notes){ 0 };
}

const struct cox_vhost_note *cox_route_notes_find(const struct cox_route_notes *n, struct cox_str route_config, struct cox_str vhost)
{
	for (size_t i = 0; n && i < n->vhosts.n; i++)
		if (cox_str_eq(n->vhosts.p[i]->vhost, vhost) && cox_str_eq(n->vhosts.p[i]->route_config, route_config))
			return n->vhosts.p[i];
	return NULL;
}

void cox_route_notes_begin(struct cox_route_notes *n, struct cox_str vhost, const struct cox_snap_svc *svc)
{
	if (n == NULL)
		return;
	n->open = COX_ARENA_NEW(&n->arena, struct cox_vhost_note);
	n->open->vhost = cox_arena_str(&n->arena, vhost);
	n->open->svc = svc;
	cox_vec_push(&n->vhosts, n->open);
}

void cox_route_notes_add(struct cox_route_notes *n, const struct cox_vs *vs, const struct cox_http_route *http,
                         const struct cox_http_match *match)
{
	if (n && n->open)
		cox_vec_push(&n->open->routes, ((struct cox_route_note){ vs, http, match }));
}
