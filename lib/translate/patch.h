/*
 * patch - EnvoyFilter: patches applied to finished resources, as Istio applies them. Pure.
 *
 * A plan is what selects a proxy: by namespace, labels, version and metadata. Each resource is patched once for equal bytes and equal
 * patches (the memo), whoever it is for; with it the memo keeps how often each patch was applied. Without an EnvoyFilter there is no plan
 * and nothing here is called. A resource that no patch touches stays the very same resource.
 */
#ifndef COX_TRANSLATE_PATCH_H
#define COX_TRANSLATE_PATCH_H

#include "translate/translate.h"

/* A router's listening port, and the one that its Gateway's server says. */
struct cox_patch_port {
	uint16_t listen, server;
};
struct cox_patching {
	COX_LIST(const struct cox_ready_patch *) patches; /* in the order in which they are applied */
	uint32_t *counts;                                 /* by patch: objects that it changed, added or took away */
	struct cox_hash hash;                             /* of all of them: part of what a unit's translation reads */
	COX_LIST(struct cox_patch_port) ports; /* routers: where the two differ; routes are named by the first, matched by the second */
};

/* NULL: no patch. Everything in `arena` or in the snapshot. `labels`: of the workload, or those of the view. */
struct cox_patching *cox_patching_build(const struct cox_snapshot *s, const struct cox_view *v, const struct cox_kv *labels, size_t label_n,
                                        struct cox_arena *arena);
static inline struct cox_hash cox_patching_hash(const struct cox_patching *p) { return p ? p->hash : (struct cox_hash){ 0, 0 }; }

/* Each does nothing where t->patching is NULL. The lists are changed in place: what a patch takes away leaves, what it adds is added. */
void cox_patch_outbound(struct cox_tr *t, cox_resources *clusters, cox_resources *listeners, cox_resources *routes, cox_resources *vhosts);
void cox_patch_inbound(struct cox_tr *t, cox_resources *clusters, cox_resources *listeners);
void cox_patch_gateway(struct cox_tr *t, cox_resources *clusters, cox_resources *listeners, cox_resources *routes);
/* EXTENSION_CONFIG: what Envoys ask for by ECDS. Of equal names the last one stays. */
void cox_patch_extensions(struct cox_tr *t, cox_resources *ecds);
/* Calls `fn` for each cluster that some patch for a router names: it must be sent to it, since nothing else asks for it. */
void cox_patch_clusters_named(const struct cox_patching *p, void (*fn)(void *arg, struct cox_str name), void *arg);

#endif
