/* render_priv.h - what render keeps of a view. */
#ifndef COX_TRANSLATE_RENDER_PRIV_H
#define COX_TRANSLATE_RENDER_PRIV_H

#include "translate/render_cache.h"

/* Adds what was kept for this view to `into` (by type); false: nothing was. Both accept no cache. */
bool render_view_take(struct cox_render_cache *c, struct cox_str key, cox_resources *into);
void render_view_keep(struct cox_render_cache *c, struct cox_str key, const cox_resources *made);

#endif
