/*
 * world - a mesh in memory, without I/O once it is read: objects, the generation made of them, and proxies made of Pods. What render,
 * explain and diff work on.
 * Thread: the caller's; reading blocks.
 */
#ifndef COX_TOOL_WORLD_H
#define COX_TOOL_WORLD_H

#include "base/buf.h"
#include "base/err.h"
#include "convert/convert.h"
#include "model/mesh.h"
#include "model/proxy.h"
#include "snapshot/snapshot.h"
#include "translate/notes.h"

struct cox_world_options {
	enum cox_compliance compliance;
	struct cox_features features;
	struct cox_str mesh_yaml;                   /* the mesh configuration where no ConfigMap istio says otherwise; may be empty */
	struct cox_str domain, cluster_id, root_ns; /* empty: "cluster.local", "Kubernetes", "istio-system" */
};
struct cox_world {
	struct cox_registry *registry;
	struct cox_convert *convert;
	struct cox_snapshot *snapshot; /* NULL before cox_world_freeze() */
	struct cox_memo *memo;
	bool owns_memo;
	size_t refused; /* objects with errors: not in force */
};
struct cox_world *cox_world_new(const struct cox_world_options *opts);
/* A world with the objects and options of another, whose memo it uses: that one must live longer. */
struct cox_world *cox_world_copy(const struct cox_world *w, const struct cox_world_options *opts);
void cox_world_free(struct cox_world **w); /* accepts NULL */
/* A directory of YAML or one file. `notes` gets what was wrong with single objects, a line each: these are left out. COX_ENOTFOUND: no such
 * path. */
COX_MUST_USE enum cox_rc cox_world_load(struct cox_world *w, const char *path, struct cox_buf *notes, struct cox_err *err);
/* Objects as JSON: a list, or {"items": [...]}. */
COX_MUST_USE enum cox_rc cox_world_load_json(struct cox_world *w, const struct cox_json *objects, struct cox_buf *notes,
                                             struct cox_err *err);
/* Converts Ingresses and the like, and makes the generation; `before` (may be NULL) lets unchanged values be shared. */
void cox_world_freeze(struct cox_world *w, const struct cox_snapshot *before);

/* What was odd about converted objects, a line each. After cox_world_freeze(). */
void cox_world_note(const struct cox_world *w, struct cox_buf *notes);

/* Who a proxy is. */
struct cox_who {
	struct cox_str proxy;        /* "pod.namespace" or "pod"; the node is made from the Pod object */
	const struct cox_json *node; /* a node message, as a live server has it; wins over all of the following. May be NULL */
	const char *node_file;       /* a node message as JSON, instead of what the Pod says; may be NULL */
	bool is_upstream, is_router; /* a stock Envoy instead of Istio's; a gateway */
	bool guess_router;           /* a gateway where a Gateway's selector names the Pod */
	bool no_sds;                 /* as with node metadata COXSWAIN_SDS "none" */
};
/* Gives. COX_ENOTFOUND: no such Pod; COX_EINVAL: the node says nonsense. */
COX_MUST_USE enum cox_rc cox_world_proxy(const struct cox_world *w, const struct cox_who *who, struct cox_proxy **out, struct cox_err *err);
/* "name.ns" -> its Pod, or NULL. */
const struct cox_object *cox_world_pod_find(const struct cox_world *w, struct cox_str proxy);
/* Whether a Gateway with a selector names it. */
bool cox_world_is_router(const struct cox_world *w, const struct cox_object *pod);

/* {"CDS": {name: resource, ...}, "EDS": ...} of what was rendered, secrets redacted; `only` COX_TYPE_COUNT: all that are not empty. In
 * `arena`, bytes included. */
COX_MUST_USE enum cox_rc cox_rendered_to_json(const struct cox_rendered *r, enum cox_type only, struct cox_arena *arena,
                                              struct cox_json **out, struct cox_err *err);

#endif
