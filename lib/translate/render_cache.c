#include "translate/render_cache.h"

#include "translate/render_priv.h"

struct render_view {
	cox_resources by_type[COX_TYPE_COUNT]; /* a reference each */
	struct cox_str key;
};

static void resources_share(cox_resources *to, const cox_resources *from)
{
	for (size_t i = 0; i < from->n; i++)
		cox_vec_push(to, cox_resource_ref(from->p[i]));
}

bool render_view_take(struct cox_render_cache *c, struct cox_str key, cox_resources *into)
{
	const struct render_view *v = c ? cox_map_find(&c->views, key) : NULL;
	if (v == NULL)
		return false;
	for (int t = 0; t < COX_TYPE_COUNT; t++)
		resources_share(&into[t], &v->by_type[t]);
	c->shared++;
	return true;
}

void render_view_keep(struct cox_render_cache *c, struct cox_str key, const cox_resources *made)
{
	if (c == NULL)
		return;
	struct render_view *v = cox_zalloc(sizeof(*v) + key.n);
	char *text = (char *)(v + 1);
	memcpy(text, key.p, key.n);
	v->key = cox_str_make(text, key.n);
	for (int t = 0; t < COX_TYPE_COUNT; t++)
		resources_share(&v->by_type[t], &made[t]);
	cox_map_set(&c->views, v->key, v);
	c->made++;
}

void cox_render_cache_fini(struct cox_render_cache *c)
{
	for (struct cox_map_entry *m = NULL; (m = cox_map_next(&c->views, m));) {
		struct render_view *v = m->value;
		for (int t = 0; t < COX_TYPE_COUNT; t++) {
			for (size_t i = 0; i < v->by_type[t].n; i++)
				cox_resource_unref(v->by_type[t].p[i]);
			cox_vec_fini(&v->by_type[t]);
		}
		cox_free(v);
	}
	cox_map_fini(&c->views);
	*c = (struct cox_render_cache){ 0 };
}
