/*
 * analyze - what is wrong with a set of objects as a whole: references that lead nowhere, rules that never count, workloads without
 * sidecar. The analyzers are those of `istioctl analyze`, with its codes, names, levels and the objects that it names; the texts are ours.
 * In:  objects as JSON trees, of any kind; what is not known is passed over.  Out: messages, sorted.
 * Thread: any; pure. Everything lives in the caller's arena and borrows from the trees.
 */
#ifndef COX_ANALYZE_ANALYZE_H
#define COX_ANALYZE_ANALYZE_H

#include "codec/json.h"

enum cox_analyze_code {
#define X(id, code, name, level, doc) COX_AN_##id,
#include "analyze/message.def"
#undef X
	COX_AN_CODES
};
enum cox_analyze_level { COX_AN_ERROR, COX_AN_WARNING, COX_AN_INFO }; /* the worst first */

struct cox_analyze_code_info {
	const char *code, *name; /* "IST0101", "ReferencedResourceNotFound" */
	enum cox_analyze_level level;
	const char *doc;
};
const struct cox_analyze_code_info *cox_analyze_code_info(enum cox_analyze_code code);
/* By "IST0101". False: there is none. */
bool cox_analyze_code_find(struct cox_str code, enum cox_analyze_code *out);
const char *cox_analyze_level_name(enum cox_analyze_level level); /* "Error" */
/* Without regard to case. */
bool cox_analyze_level_parse(struct cox_str text, enum cox_analyze_level *out);

struct cox_analyze_doc {
	const struct cox_json *doc;
	struct cox_str file;    /* "web.yaml"; empty: not from a file */
	struct cox_str cluster; /* its id where there are several; empty: the only one. Of other clusters than the first, only what a
	                           mesh reads there counts */
	bool is_remote;
};
struct cox_analyze_suppression {
	struct cox_str code, object; /* "IST0103", "Pod *.testing" or "Pod testing/m*": '*' is any text */
};
/* What is known of a cluster in which a control plane is to be installed or upgraded. */
struct cox_precheck {
	struct cox_str kubernetes;    /* "v1.36.3" */
	const struct cox_str *denied; /* resources of an installation that may not be created */
	size_t denied_n;
	struct cox_str from_version; /* "1.21": what changed since; may be empty */
	bool no_control_plane;       /* only that */
};
struct cox_analyze_options {
	const struct cox_analyze_doc *docs;
	size_t doc_n;
	/* Later objects of the same kind and name are passed over: put first what wins. */
	bool is_partial; /* Pods, Services, Namespaces, Nodes and Secrets are not known: such objects do not count, and analyzers that need
	                    them do not run */
	struct cox_str default_ns;              /* of objects that name none */
	struct cox_str only_ns;                 /* messages about objects of this namespace, and of none; empty: all */
	struct cox_str root_ns;                 /* of the control plane; empty: "istio-system" */
	const struct cox_json *mesh, *networks; /* MeshConfig, MeshNetworks; NULL: the defaults */
	const struct cox_analyze_suppression *suppress;
	size_t suppress_n;
	const struct cox_str *only; /* names of analyzers; none: all. Where no name is known, all run, as with istioctl */
	size_t only_n;
	const struct cox_precheck *precheck; /* not NULL: this instead of the analyzers */
	bool no_schemas;                     /* without the analyzers of schemas: the caller has checked each object already */
};

struct cox_analyze_message {
	enum cox_analyze_code code;
	const char *analyzer;
	struct cox_str kind, ns, name; /* of the object */
	struct cox_str origin;         /* "VirtualService shop/web"; empty: the mesh as a whole */
	struct cox_str path;           /* "spec.gateways[0]"; may be empty */
	struct cox_str file, cluster;
	int line; /* of the field, else of the object; 0: not known */
	struct cox_str text;
};
struct cox_analyze_result {
	const struct cox_analyze_message *items; /* by level, code, object, text; without doubles */
	size_t n;
	const char **ran, **skipped; /* names of analyzers */
	size_t ran_n, skipped_n;
};
void cox_analyze(const struct cox_analyze_options *options, struct cox_arena *arena, struct cox_analyze_result *out);

/* Names of all analyzers with what they do, sorted by name: "name" and "what" at i; false behind the last. */
bool cox_analyze_list(size_t i, const char **name, const char **what);

/* "Error [IST0101] (VirtualService shop/web web.yaml:12) text", without its end. */
void cox_analyze_write_line(const struct cox_analyze_message *m, bool has_color, bool with_cluster, struct cox_buf *out);
/* {code, documentationUrl, level, message, origin, reference}, as istioctl's, and our `field`. */
struct cox_json *cox_analyze_to_json(const struct cox_analyze_message *m, bool with_cluster, struct cox_arena *arena);

#endif
