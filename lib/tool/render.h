/*
 * render - every xDS resource that a proxy would get, offline: a directory of YAML in, JSON or YAML out. The same code as the server's.
 * Thread: any; blocks (reads files).
 */
#ifndef COX_TOOL_RENDER_H
#define COX_TOOL_RENDER_H

#include "base/buf.h"
#include "base/err.h"
#include "model/mesh.h"
#include "translate/resource.h"

enum cox_render_format { COX_RENDER_JSON, COX_RENDER_YAML };
struct cox_render_options {
	const char *path;            /* a directory of YAML, or one file */
	struct cox_str proxy;        /* "pod.namespace"; the node is made from the Pod object */
	const char *node_file;       /* a node message as JSON, instead of or over what the Pod says; may be NULL */
	bool is_upstream, is_router; /* a stock Envoy instead of Istio's; a gateway */
	bool no_sds;                 /* as with node metadata COXSWAIN_SDS "none" */
	enum cox_compliance compliance;
	bool has_sessions;  /* PILOT_ENABLE_PERSISTENT_SESSION_FILTER */
	bool has_mcs_hosts; /* ENABLE_MCS_HOST */
	enum cox_type only; /* COX_TYPE_COUNT: all */
	enum cox_render_format format;
	struct cox_str mesh_yaml; /* the mesh configuration where the directory has no ConfigMap istio; may be empty */
};
/* Appends {"CDS": {name: resource, ...}, "EDS": ...}, names sorted. `notes` gets what was wrong with single objects, a line each
 * (they are left out, the rest is rendered). COX_ENOTFOUND: no such path or Pod; COX_EINVAL: the node says nonsense. */
COX_MUST_USE enum cox_rc cox_tool_render(const struct cox_render_options *opts, struct cox_buf *out, struct cox_buf *notes,
                                         struct cox_err *err);

#endif
