/*
 * inject - turns a pod into a pod of the mesh: the sidecar injector's whole decision and work as one pure function.
 * In:  a pod (and its namespace's labels), the injector's configuration.  Out: the pod with proxy, init container, volumes, labels,
 *      annotations and rewritten probes; or the reason why it is left as it is. Used by the webhook and `coxctl kube-inject` alike.
 * Thread: any; a configuration is immutable and shared (cox_inject_config_ref/unref). Nothing here reads files, clocks or the network.
 * What is injected, and the annotations' meaning, is Istio's (protocol facts, sections 13 and 19).
 */
#ifndef COX_INJECT_INJECT_H
#define COX_INJECT_INJECT_H

#include "base/ref.h"
#include "codec/fields.h"
#include "codec/json.h"
#include "model/object.h"

struct cox_inject_config;

/* What a configuration is made of: the texts of the ConfigMaps, each of which may be empty. */
struct cox_inject_sources {
	struct cox_str config; /* ConfigMap istio-sidecar-injector, key `config` (YAML): policy, selectors, templates (Go's text/template),
	                          defaultTemplates, aliases, injectedAnnotations */
	struct cox_str values; /* the same, key `values` (JSON): Helm's values */
	struct cox_str mesh;   /* ConfigMap istio, key `mesh` (YAML) */
	struct cox_str revision;                       /* of this control plane; empty: default */
	const struct cox_object *const *proxy_configs; /* of kind ProxyConfig, of all namespaces; shared with the configuration */
	size_t proxy_config_n;
	/* Of kind Namespace: those with ranges of user ids of their own (OpenShift) give the proxy its user. Read, not kept. */
	const struct cox_object *const *namespaces;
	size_t namespace_n;
	struct cox_str (*env)(struct cox_str name); /* for the templates' function `env`; NULL: nothing is set */
};
/* Unknown settings that matter are diagnostics. COX_EINVAL: not YAML or JSON, a value of the wrong type (diags and err say where); a
 * template that cannot be parsed, or calls a function that Istio's do not (err has template and line). Gives *out. */
COX_MUST_USE enum cox_rc cox_inject_config_build(const struct cox_inject_sources *from, struct cox_diags *diags,
                                                 struct cox_inject_config **out, struct cox_err *err);
const struct cox_inject_config *cox_inject_config_ref(const struct cox_inject_config *c);
void cox_inject_config_unref(const struct cox_inject_config *c);

struct cox_inject_request {
	const struct cox_json *pod; /* v1 Pod, or a pod template: metadata and spec */
	struct cox_str ns;          /* where it will be; wins over metadata.namespace (which is empty at admission) */
	const struct cox_kv *env;   /* of the webhook's path: ISTIO_META_CLUSTER_ID and others, set on the proxy */
	size_t env_n;
	struct cox_str owner_api_version, owner_kind, owner_name; /* empty: read from ownerReferences */
	int64_t proxy_uid, proxy_gid;                             /* of the namespace's own range (OpenShift); 0: 1337 */
	bool native_sidecars; /* the nodes can run them and the installation wants them; an annotation decides before this */
};

enum cox_inject_verdict {
	COX_INJECT_DONE,
	COX_INJECT_SKIPPED, /* `reason` says why: policy, label, selector, host network, system namespace */
};
struct cox_inject_result {
	enum cox_inject_verdict verdict;
	const char *reason;                /* of SKIPPED; one of a few words, fit for a metric's label */
	struct cox_json *pod;              /* of DONE; in the arena, shares parts with the request's pod */
	struct cox_str status;             /* the annotation sidecar.istio.io/status */
	COX_LIST(struct cox_str) warnings; /* what the user should know: settings without effect, a name clash, ... */
};
/* COX_EINVAL: the pod cannot be injected as it is (err names container and field): an unknown template, an annotation that cannot be read,
 * a reserved port. All results live in `arena`. */
COX_MUST_USE enum cox_rc cox_inject_pod(const struct cox_inject_config *c, const struct cox_inject_request *r, struct cox_arena *arena,
                                        struct cox_inject_result *out, struct cox_err *err);

/* Whether that namespace brings ranges of user ids: a change of it is one of the configuration. */
bool cox_inject_namespace_has_ids(const struct cox_object *ns);
/* ENABLE_NATIVE_SIDECARS=auto: every node's kubelet is of 1.33 or later, where native sidecars are no beta any more. False without nodes.
 */
bool cox_inject_nodes_take_native_sidecars(const struct cox_object *const *nodes, size_t n);

/* Appends the JSON patch (RFC 6902) that turns `before` into `after`: add, remove and replace only. "[]" where they are equal. */
void cox_inject_patch_write(struct cox_buf *out, const struct cox_json *before, const struct cox_json *after);

/* The templates that we bring, as YAML; `i` from 0; false: there are no more. */
bool cox_inject_native_template(size_t i, struct cox_str *name, struct cox_str *yaml);

#endif
