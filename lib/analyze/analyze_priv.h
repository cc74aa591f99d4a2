/*
 * analyze_priv - what the analyzers share: objects by kind, indexes, and how something is said.
 */
#ifndef COX_ANALYZE_ANALYZE_PRIV_H
#define COX_ANALYZE_ANALYZE_PRIV_H

#include "analyze/analyze.h"
#include "base/map.h"
#include "base/vec.h"

enum an_kind {
	AN_AUTHORIZATION_POLICY,
	AN_CONFIG_MAP,
	AN_CRD,
	AN_DEPLOYMENT,
	AN_DESTINATION_RULE,
	AN_ENVOY_FILTER,
	AN_GATEWAY,
	AN_GRPC_ROUTE,
	AN_HTTP_ROUTE,
	AN_K8S_GATEWAY,
	AN_MUTATING_WEBHOOK,
	AN_NAMESPACE,
	AN_NODE,
	AN_PEER_AUTHENTICATION,
	AN_POD,
	AN_PROXY_CONFIG,
	AN_REQUEST_AUTHENTICATION,
	AN_SECRET,
	AN_SERVICE,
	AN_SERVICE_ENTRY,
	AN_SIDECAR,
	AN_TELEMETRY,
	AN_TRAFFIC_EXTENSION,
	AN_VALIDATING_WEBHOOK,
	AN_VIRTUAL_SERVICE,
	AN_WASM_PLUGIN,
	AN_WORKLOAD_ENTRY,
	AN_WORKLOAD_GROUP,
	AN_KINDS
};

struct an_obj {
	enum an_kind kind;
	const struct cox_analyze_doc *from;
	const struct cox_json *doc, *spec, *labels, *annotations;
	struct cox_str kind_name, name, ns, full; /* full: "ns/name", or the name alone */
	size_t mark;                              /* for analyzers: the last pass that saw it */
};
struct an_list {
	struct an_obj **p;
	size_t n, cap;
};

/* One host that can be called: a Service's or a ServiceEntry's. */
struct an_host {
	struct cox_str scope, fqdn; /* scope: "*" or a namespace */
	const struct an_obj *obj;
	const struct cox_json *ports;    /* array; items have "port" (Service) or "number" */
	const struct cox_json *selector; /* of a ServiceEntry: labels of its workloads */
};

struct an_run {
	const struct cox_analyze_options *opts;
	struct cox_arena *arena;
	const char *analyzer; /* who is talking */
	COX_VEC(struct cox_analyze_message) messages;
	struct an_list all[AN_KINDS];
	struct cox_map by_name[AN_KINDS]; /* "ns/name" of the first cluster -> an_obj */
	struct cox_map pods_by_label;     /* "key=value", and "\nns" -> an_list */
	struct cox_map services_by_label; /* "ns\nkey=value" of a Service's first selector, "ns" -> an_list */
	struct cox_map hosts;             /* "scope/fqdn" -> an_host */
	COX_VEC(struct an_host *) wildcards;
	struct cox_map subsets; /* "ns/name of the host\nsubset" -> the DestinationRule that defines it */
	size_t pass;
	struct cox_str root_ns;
};

/* --- JSON: absent or of another type is as empty ------------------------------------------------------ */

extern const struct cox_json an_nothing;
extern const struct cox_json_member an_no_member;
static inline size_t an_len(const struct cox_json *v) { return v && v->type == COX_JSON_ARRAY ? v->n : 0; }
static inline const struct cox_json *an_items(const struct cox_json *v) { return an_len(v) ? v->items : &an_nothing; }
static inline size_t an_member_n(const struct cox_json *v) { return v && v->type == COX_JSON_OBJECT ? v->n : 0; }
static inline const struct cox_json_member *an_members(const struct cox_json *v) { return an_member_n(v) ? v->members : &an_no_member; }
#define AN_EACH(it, array) for (const struct cox_json *it = an_items(array), *it##_end = it + an_len(array); it < it##_end; it++)
#define AN_EACH_MEMBER(it, object) \
	for (const struct cox_json_member *it = an_members(object), *it##_end = it + an_member_n(object); it < it##_end; it++)
#define AN_EACH_OBJ(o, r, kind_)                                    \
	for (struct an_obj **o##_at = (r)->all[kind_].p, *o = NULL; \
	     o##_at && o##_at < (r)->all[kind_].p + (r)->all[kind_].n && (o = *o##_at, true); o##_at++)
static inline const struct cox_json *an_get(const struct cox_json *v, const char *key) { return cox_json_get(v, cox_str_of(key)); }
static inline struct cox_str an_text(const struct cox_json *v) { return v && v->type == COX_JSON_STRING ? v->text : COX_STR(""); }
static inline struct cox_str an_str(const struct cox_json *v, const char *key) { return an_text(an_get(v, key)); }
/* An integer, or its text; else `fallback`. */
int64_t an_i64(const struct cox_json *v, int64_t fallback);
/* The text of a scalar: "http", "80". */
struct cox_str an_scalar(const struct cox_json *v);

/* --- objects ------------------------------------------------------------------------------------------ */

void an_index_build(struct an_run *r);
void an_index_fini(struct an_run *r);
struct cox_str an_label(const struct an_obj *o, const char *key);
bool an_has_label(const struct an_obj *o, const char *key);
struct cox_str an_annotation(const struct an_obj *o, const char *key);
/* The first of that name; `ns` empty for kinds of the whole cluster. NULL: none. */
struct an_obj *an_find(struct an_run *r, enum an_kind kind, struct cox_str ns, struct cox_str name);
/* By "name" or "ns/name". */
struct an_obj *an_find_ref(struct an_run *r, enum an_kind kind, struct cox_str ns, struct cox_str ref);
/* "ns/name" of such a reference. */
struct cox_str an_ref_full(struct an_run *r, struct cox_str ns, struct cox_str ref);
/* Whether `labels` (an object) has all pairs of `selector` (an object; empty: every one). */
bool an_selects(const struct cox_json *selector, const struct cox_json *labels);
/* "a=b,c=d", sorted by key. */
struct cox_str an_selector_text(struct an_run *r, const struct cox_json *selector);
/* A Kubernetes LabelSelector (matchLabels, matchExpressions); NULL or no object: everything. */
bool an_label_selector_matches(const struct cox_json *selector, const struct cox_json *labels);
/* Pods among which all that `selector` matches are (`ns` empty: in any namespace); an_pod_is() asks one of them. */
struct an_list an_pods(struct an_run *r, const struct cox_json *selector, struct cox_str ns);
bool an_pod_is(const struct an_obj *pod, const struct cox_json *selector, struct cox_str ns);
/* Services of a namespace that may select a pod with `labels`: appended to *out (a vector of the caller's). */
void an_services_of(struct an_run *r, struct cox_str ns, const struct cox_json *labels, struct an_list *out);
bool an_has_sidecar(const struct cox_json *pod_spec);
/* In the mesh: has a sidecar, or labels, annotations or namespace ask for one. */
bool an_in_mesh(struct an_run *r, const struct cox_json *pod_spec, const struct cox_json *labels, const struct cox_json *annotations,
                struct cox_str ns);
bool an_is_ambient_pod(const struct an_obj *pod);
/* Istio's own workloads: label istio, or release=istio. */
bool an_is_control_plane(const struct an_obj *o);
/* Matched as istiod does: either may have a wildcard. */
bool an_hosts_meet(struct cox_str a, struct cox_str b);
/* "name" -> "name.ns.svc.cluster.local"; wildcards and names with dots stay. */
struct cox_str an_fqdn(struct an_run *r, struct cox_str host, struct cox_str ns);
/* Whom a reference to `host` from namespace `ns` means; `export_to` as of the object that refers. NULL: nobody. */
const struct an_host *an_host_find(struct an_run *r, struct cox_str host, struct cox_str ns, const struct cox_json *export_to);
/* The namespaces to which exportTo opens: "*" alone, or names. */
void an_scopes(struct an_run *r, const struct cox_json *export_to, struct cox_str ns, struct cox_str **out, size_t *n);
/* "[a b]", "a,b" ... of names, sorted, each once. */
struct cox_str an_join(struct an_run *r, struct cox_str *names, size_t n, const char *separator);

/* --- saying -------------------------------------------------------------------------------------------- */

/* `o` NULL: the mesh. `at`: the field's value, for its line; NULL: of the object. `path` in the arena or a literal. */
void an_report(struct an_run *r, enum cox_analyze_code code, const struct an_obj *o, const struct cox_json *at, struct cox_str path,
               const char *fmt, ...) COX_PRINTF(6, 7);
/* The mesh's own configuration, as an object to talk about. */
const struct an_obj *an_mesh_obj(struct an_run *r, const char *kind, const char *name);
#define AN_PATH(r, ...) cox_arena_printf((r)->arena, __VA_ARGS__)

#define X(function, name, kinds, doc) void function(struct an_run *r);
#include "analyze/analyzer.def"
#undef X
/* All faults of one object: SCHEMA_ERROR, SCHEMA_WARNING, and for VirtualServices rules that are never used. */
void an_schema(struct an_run *r, struct an_obj *o);
/* MeshConfig, where it is given. */
void an_schema_mesh(struct an_run *r);
void an_vs_unreachable(struct an_run *r, const struct an_obj *o);
/* What the options' `precheck` asks for. */
void an_precheck(struct an_run *r);
void an_alpha_annotations(struct an_run *r);
/* NULL: fine, else what is allowed. */
const char *an_annotation_check(struct cox_str name, struct cox_str value);

#endif
