/*
 * render_cache - many proxies of one generation rendered at once: what a scope view has is made once, however many proxies share it.
 * Thread: one at a time. Owns: a reference on each resource kept.
 */
#ifndef COX_TRANSLATE_RENDER_CACHE_H
#define COX_TRANSLATE_RENDER_CACHE_H

#include "translate/translate.h"

/* A zeroed one is empty. Of one snapshot only. */
struct cox_render_cache {
	struct cox_map views;  /* key -> what its outbound side is made of */
	uint64_t made, shared; /* views translated; proxies that found theirs */
};
void cox_render_cache_fini(struct cox_render_cache *c);
/* As cox_translate_proxy(). */
void cox_translate_proxy_cached(const struct cox_snapshot *s, const struct cox_proxy *p, struct cox_memo *memo,
                                struct cox_render_cache *cache, struct cox_rendered *out);

#endif
