/* For tests: a registry fed with YAML, and the latest generation frozen from it. */
#ifndef COX_TEST_SNAPSHOT_WORLD_H
#define COX_TEST_SNAPSHOT_WORLD_H

#include "registry/yaml_objects.h"
#include "snapshot/snapshot.h"

struct world {
	struct cox_registry *r;
	struct cox_snapshot *s;
	struct cox_arena arena;
};

/* Freezes what the registry was fed since. */
static inline void world_update(struct world *w)
{
	struct cox_registry_changes c;
	struct cox_snapshot *before = w->s;
	cox_registry_take_changes(w->r, &c);
	cox_registry_changes_fini(&c);
	w->s = cox_snapshot_build(w->r, before);
	cox_snapshot_unref(before);
}

static inline void world_put(struct world *w, const char *yaml)
{
	yaml_put(w->r, yaml);
	world_update(w);
}

static inline struct world world_with(const char *yaml)
{
	static const struct cox_registry_options defaults;
	struct world w = { .r = cox_registry_new(&defaults) };
	world_put(&w, yaml);
	return w;
}

static inline void world_end(struct world *w)
{
	cox_snapshot_unref(w->s);
	cox_registry_free(w->r);
	cox_arena_fini(&w->arena);
}

#endif
