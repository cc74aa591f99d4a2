/*
 * gather - objects as trees, from files and clusters, for analysis (`coxctl analyze`).
 * Thread: the caller's; reading blocks. What was added first wins over what has the same kind and name.
 */
#ifndef COX_TOOL_GATHER_H
#define COX_TOOL_GATHER_H

#include "analyze/analyze.h"
#include "base/vec.h"
#include "tool/cluster.h"

struct cox_gather {
	struct cox_arena arena; /* trees and their text */
	COX_VEC(struct cox_analyze_doc) docs;
	COX_VEC(struct cox_str) files;          /* that were read */
	size_t bad_files;                       /* with documents that are no objects */
	const struct cox_json *mesh, *networks; /* NULL: not known */
};
void cox_gather_fini(struct cox_gather *g);

/* A file ("-": standard input), or a directory with all below it, of which names that do not end in .yaml, .yml or .json are passed over.
 * `notes` gets lines about what was passed over or could not be read. COX_ENOTFOUND, COX_EIO: the path itself. */
COX_MUST_USE enum cox_rc cox_gather_path(struct cox_gather *g, const char *path, struct cox_buf *notes, struct cox_err *err);
/* MeshConfig or MeshNetworks from a file of YAML; the tree goes to `out`. */
COX_MUST_USE enum cox_rc cox_gather_tree(struct cox_gather *g, const char *path, const struct cox_json **out, struct cox_err *err);
/* MeshConfig and MeshNetworks from ConfigMap `istio` of `root_ns` among the objects, unless they are known. */
void cox_gather_find_mesh(struct cox_gather *g, struct cox_str root_ns);

struct cox_gather_cluster {
	struct cox_str root_ns;
	struct cox_str revision; /* objects labelled with another one are passed over; empty: "default" */
	struct cox_str id;       /* of the cluster; empty: the only one */
	bool is_remote;
};
/* Kinds that the server does not have are passed over. */
COX_MUST_USE enum cox_rc cox_gather_cluster(struct cox_gather *g, struct cox_cluster *c, const struct cox_gather_cluster *how,
                                            struct cox_err *err);
/* The clusters of the remote secrets (label istio/multiCluster=true) among the objects; a note for each that does not answer. */
void cox_gather_remotes(struct cox_gather *g, const struct cox_gather_cluster *how, int64_t timeout_ms, struct cox_buf *notes);

#endif
