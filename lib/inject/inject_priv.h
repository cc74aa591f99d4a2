/*
 * inject_priv - what the steps of an injection hand on: decide -> (overrides off) -> variables -> skeleton -> merge -> overrides on ->
 * finish.
 */
#ifndef COX_INJECT_INJECT_PRIV_H
#define COX_INJECT_INJECT_PRIV_H

#include "base/vec.h"
#include "inject/inject.h"
#include "model/mesh.h"
#include "template/template.h"

/* The proxy's user in a namespace with ranges of its own. */
struct inject_ids {
	struct cox_str ns;
	int64_t uid, gid;
};
/* A template of the ConfigMap, parsed. */
struct inject_user_template {
	struct cox_str name;
	struct cox_template_set *set;
};

struct cox_inject_config {
	struct cox_ref ref;
	struct cox_arena arena; /* holds all below */
	bool enabled;           /* policy */
	COX_LIST(struct cox_label_selector) never, always;
	COX_LIST(struct cox_str) default_templates;
	COX_LIST(struct cox_kv) annotations;    /* injectedAnnotations */
	const struct cox_json *aliases;         /* {name: [template]}; may be NULL */
	struct inject_user_template *templates; /* go before the native ones of the same name */
	size_t template_n;
	struct inject_ids *ids;
	size_t id_n;
	const struct cox_json *mesh_defaults, *mesh_all; /* with templates: Istio's defaults, and those with what is set over them */
	struct cox_str (*env)(struct cox_str name);      /* of the control plane, for templates; may be NULL */
	const struct cox_json *values;                   /* never NULL: an object */
	const struct cox_json *mesh;                     /* never NULL: an object */
	struct cox_str default_config, root_ns;          /* of the mesh: defaultConfig as JSON; its root namespace */
	struct cox_str revision;
	const struct cox_object **proxy_configs; /* hold references */
	size_t proxy_config_n;
};

/* One injection at work. */
struct inject_job {
	const struct cox_inject_config *c;
	const struct cox_inject_request *r;
	struct cox_arena *arena;
	struct cox_err *err;
	struct cox_json *pod;                                      /* being made */
	const struct cox_json *spec, *meta, *labels, *annotations; /* of the pod as the user wrote it; labels and annotations may be NULL */
	COX_LIST(struct cox_kv) sorted_labels;                     /* the labels again */
	const struct cox_json *proxy_config;                       /* merged: mesh, resource, annotation */
	struct cox_str owner_name, owner_kind, owner_api_version;
	bool native, hold, is_gateway;
	int64_t uid, gid;                       /* of the proxy */
	struct cox_json *vars;                  /* what templates can name: {name: value} */
	const struct cox_json *old_status;      /* of an earlier injection; NULL: none */
	struct cox_str old_probers, old_scrape; /* what its proxy was told */
	struct cox_json *overrides;             /* {containers: [...], initContainers: [...]} */
	COX_VEC(struct cox_str) warnings;
};

/* decide.c: NULL when it is to be injected, else why not. */
const char *inject_skip_reason(const struct inject_job *j);

/* pod.c: reading and changing a pod's tree. */
struct cox_str inject_label(const struct inject_job *j, const char *key);
/* The annotation, or an empty string; *is_set tells "" from absent (may be NULL). */
struct cox_str inject_annotation(const struct inject_job *j, const char *key, bool *is_set);
/* The annotation where it is set, else the value at `dotted` of Helm's values as text, else `fallback`. */
struct cox_str inject_setting(const struct inject_job *j, const char *annotation, const char *dotted, const char *fallback);
/* Of Helm's values, as text whatever its type; empty when absent or null. */
struct cox_str inject_value(const struct inject_job *j, const char *dotted);
bool inject_value_is_true(const struct inject_job *j, const char *dotted);
struct cox_str inject_json_text(struct cox_arena *arena, const struct cox_json *v);
/* The member as an object or array, made where it is not there. */
struct cox_json *inject_member(struct inject_job *j, struct cox_json *object, const char *key, enum cox_json_type type);
struct cox_json *inject_find_mutable(struct cox_json *object, const char *key);
struct cox_json *inject_by_name(const struct cox_json *list, struct cox_str name);
void inject_set_str(struct inject_job *j, struct cox_json *object, struct cox_str key, struct cox_str value);
void inject_remove(struct cox_json *object, struct cox_str key);
void inject_remove_item(struct cox_json *array, size_t at);
void inject_warn(struct inject_job *j, const char *fmt, ...) COX_PRINTF(2, 3);

/* vars.c, vars_capture.c, vars_env.c, vars_volumes.c: everything the templates name. */
enum cox_rc inject_vars_build(struct inject_job *j);
void inject_vars_capture(struct inject_job *j);
enum cox_rc inject_vars_env(struct inject_job *j);
enum cox_rc inject_vars_volumes(struct inject_job *j);
void inject_var_str(struct inject_job *j, const char *name, struct cox_str value);
void inject_var(struct inject_job *j, const char *name, const struct cox_json *value);

/* skeleton.c: a template's tree with its variables in place. Grammar: README. */
struct cox_json *inject_skeleton_expand(struct inject_job *j, const struct cox_json *skeleton);
/* The parsed native template, or NULL: no such name. Parsed once, on first use. */
const struct cox_json *inject_template_find(struct cox_str name);

/* user_template.c: templates of the ConfigMap, in Istio's language. */
enum cox_rc inject_user_templates_build(struct cox_inject_config *c, const struct cox_json *templates, struct cox_err *err);
void inject_user_templates_free(struct cox_inject_config *c);
const struct inject_user_template *inject_user_template_find(const struct cox_inject_config *c, struct cox_str name);
enum cox_rc inject_user_template_run(struct inject_job *j, const struct inject_user_template *t, struct cox_json **out);

/* The networks of Multus' annotation with one more in it, as its text or JSON has them (go_funcs.c). */
struct cox_str inject_append_network(struct cox_arena *arena, struct cox_str networks, struct cox_str net);

/* platform.c: what nodes and namespaces decide. */
void inject_ids_build(struct cox_inject_config *c, const struct cox_object *const *namespaces, size_t n);
void inject_ids_of(const struct cox_inject_config *c, struct cox_str ns, int64_t *uid, int64_t *gid);

/* merge.c: Kubernetes' strategic merge of a pod patch over a pod: lists with a merge key by that key, others replaced. */
void inject_merge(struct cox_arena *arena, struct cox_json *onto, const struct cox_json *patch);

/* overrides.c: what the user wrote into containers of the injector's names. take: off an injected pod, before anything; keep: into
 * j->overrides, before the merge; apply: over the merged pod, and into the annotation. */
enum cox_rc inject_overrides_take(struct inject_job *j);
void inject_overrides_keep(struct inject_job *j, const struct cox_json *made);
void inject_overrides_apply(struct inject_job *j, const struct cox_json *made);

/* probes.c, metrics.c */
void inject_probes_rewrite(struct inject_job *j, struct cox_json *proxy);
enum cox_rc inject_metrics_merge(struct inject_job *j, struct cox_json *proxy);

/* finish.c: environment of the path, order of containers, labels, the status annotation (returned). `made`: what the templates gave. */
struct cox_str inject_finish(struct inject_job *j, const struct cox_json *made, struct cox_json *proxy);
void inject_env_set(struct inject_job *j, struct cox_json *container, struct cox_str name, struct cox_str value);

#endif
