/* patch_priv - what the files of patch.h share: trees of the transcoder, and the patches of one kind of resource and one context. */
#ifndef COX_TRANSLATE_PATCH_PRIV_H
#define COX_TRANSLATE_PATCH_PRIV_H

#include "envoy/transcode.h"
#include "translate/patch.h"

/* The patches that can concern one resource, by place in the plan. */
struct patch_job {
	struct cox_tr *t;
	enum cox_patch_context context;
	const uint32_t *at; /* places in t->patching->patches, ascending */
	size_t n;
	uint32_t *counts;    /* by place in `at` */
	struct cox_str name; /* of the resource */
	bool changed;
};
static inline const struct cox_ready_patch *job_patch(const struct patch_job *j, size_t i) { return j->t->patching->patches.p[j->at[i]]; }
static inline void job_applied(struct patch_job *j, size_t i)
{
	j->counts[i]++;
	j->changed = true;
}

/* --- trees (patch_tree.c) --- */
const struct cox_envoy_message *patch_message(const char *name);
/* A member for change; NULL: absent, null, or no object. */
struct cox_json *tree_get(struct cox_json *v, const char *key);
struct cox_str tree_str(const struct cox_json *v, const char *key);
/* The array at `key`, made where there is none. */
struct cox_json *tree_list(struct patch_job *j, struct cox_json *v, const char *key);
void tree_insert(struct patch_job *j, struct cox_json *list, size_t at, const struct cox_json *value); /* a copy of it */
void tree_remove(struct cox_json *list, size_t at);
/* A port: numbers are JSON numbers or texts. 0: none. */
uint64_t tree_u64(const struct cox_json *v);
/* Merges as protobuf merges: lists are appended (replace: taken over), map entries, durations and wrappers replaced. */
void tree_merge(struct cox_arena *a, const struct cox_envoy_message *m, struct cox_json *into, const struct cox_json *from, bool replace);
/* Two Anys of one type, merged inside. False: they are of different types; nothing is done. */
bool tree_merge_any(struct cox_arena *a, struct cox_json *into, const struct cox_json *from, bool replace);

/* --- objects: each changes the tree; false: the object itself is taken away --- */
bool patch_listener(struct patch_job *j, struct cox_json *listener);
bool patch_cluster(struct patch_job *j, struct cox_json *cluster);
/* A route configuration as a tree (inline in a connection manager); patches of other kinds in the job are passed over. */
void patch_route_tree(struct patch_job *j, struct cox_json *rc);
/* One virtual host of the route configuration named `route`; `name` without the route's. */
bool patch_vhost(struct patch_job *j, struct cox_json *vhost, struct cox_str route, struct cox_str name);

/* --- matches --- */
bool match_cluster_name(const struct patch_job *j, const struct cox_ready_patch *p, struct cox_str name);
bool match_route_name(const struct patch_job *j, const struct cox_ready_patch *p, struct cox_str route);

#endif
