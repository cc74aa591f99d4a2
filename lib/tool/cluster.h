/*
 * cluster - the kube-apiserver that coxctl's verbs work on: one question at a time, answered when the call returns.
 * Thread: the caller's; every call blocks until it is answered or its time is over. Answers live in the caller's arena.
 * Errors name the object and say the server's reason: "VirtualService shop/web: not found".
 */
#ifndef COX_TOOL_CLUSTER_H
#define COX_TOOL_CLUSTER_H

#include "codec/json.h"
#include "kube/client.h"

struct cox_cluster;

struct cox_cluster_spec {
	const char
	    *kubeconfig; /* NULL: $KUBECONFIG (several with ':': merged as kubectl does), ~/.kube/config, then a pod's service account */
	const char *context; /* NULL: the current one */
	int64_t timeout_ms;  /* of one question; 0: 30 s */
};
/* Gives. COX_ENOTFOUND: nothing says where a cluster is. */
COX_MUST_USE enum cox_rc cox_cluster_open(const struct cox_cluster_spec *spec, struct cox_cluster **out, struct cox_err *err);
/* Accepts NULL. */
void cox_cluster_close(struct cox_cluster **c);
/* For what works on a loop itself; it runs in the calls of this module alone. */
struct cox_loop *cox_cluster_loop(const struct cox_cluster *c);
struct cox_kube_client *cox_cluster_client(const struct cox_cluster *c);
/* The namespace of the context, or "default"; where it is, as messages name it: "/path (context x)". */
struct cox_str cox_cluster_ns(const struct cox_cluster *c);
struct cox_str cox_cluster_source(const struct cox_cluster *c);
struct cox_str cox_cluster_server(const struct cox_cluster *c); /* "https://host:port" */

/* --- kinds ------------------------------------------------------------------------------------------- */

struct cox_cluster_kind {
	struct cox_str group, version, plural, kind; /* group empty: core */
	bool is_cluster_wide;
};
/* Written by hand, for well-known ones: COX_CLUSTER_KIND("", "v1", "pods", "Pod"). */
#define COX_CLUSTER_KIND(g, v, p, k) \
	(&(struct cox_cluster_kind){ .group = COX_STR(g), .version = COX_STR(v), .plural = COX_STR(p), .kind = COX_STR(k) })
#define COX_CLUSTER_KIND_WIDE(g, v, p, k) \
	(&(struct cox_cluster_kind){      \
	    .group = COX_STR(g), .version = COX_STR(v), .plural = COX_STR(p), .kind = COX_STR(k), .is_cluster_wide = true })

/* What the server says of "networking.istio.io/v1" (a group alone: the version that it prefers) and "VirtualService". Asked once for each
 * group and version. Borrowed from `c`. COX_ENOTFOUND: it does not have it. */
COX_MUST_USE enum cox_rc cox_cluster_kind_find(struct cox_cluster *c, struct cox_str api_version, struct cox_str kind,
                                               const struct cox_cluster_kind **out, struct cox_err *err);

/* --- reading ----------------------------------------------------------------------------------------- */

/* `ns` is not looked at for kinds of the whole cluster. */
COX_MUST_USE enum cox_rc cox_cluster_get(struct cox_cluster *c, const struct cox_cluster_kind *kind, struct cox_str ns, struct cox_str name,
                                         struct cox_arena *arena, struct cox_json **out, struct cox_err *err);
/* All, in pages, as one array; each object says apiVersion and kind, as a single one does. `ns` empty: of all namespaces. Selectors may be
 * empty. */
COX_MUST_USE enum cox_rc cox_cluster_list(struct cox_cluster *c, const struct cox_cluster_kind *kind, struct cox_str ns,
                                          struct cox_str label_selector, struct cox_str field_selector, struct cox_arena *arena,
                                          struct cox_json **out, struct cox_err *err);
/* Any path ("/version", "/api/v1/namespaces/x/serviceaccounts/y/token") with any method; `body` NULL: none. `out` may be NULL. An answer
 * that is no JSON becomes a string. */
COX_MUST_USE enum cox_rc cox_cluster_call(struct cox_cluster *c, const char *method, struct cox_str path, const struct cox_json *body,
                                          struct cox_arena *arena, struct cox_json **out, struct cox_err *err);
/* "/apis/GROUP/VERSION/namespaces/NS/PLURAL/NAME" appended. */
void cox_cluster_path(struct cox_buf *out, const struct cox_cluster_kind *kind, struct cox_str ns, struct cox_str name);

/* --- writing: `object` says apiVersion, kind, metadata.name, and metadata.namespace (else that of the context) ------ */

struct cox_cluster_write {
	const char *manager; /* field manager; NULL: "coxctl" */
	bool dry_run;        /* the server checks and stores nothing */
	bool no_force;       /* apply: a field of another manager is an error (COX_EEXIST) and not taken over */
};
/* Server-side apply. `how`, `out` may be NULL. */
COX_MUST_USE enum cox_rc cox_cluster_apply(struct cox_cluster *c, const struct cox_json *object, const struct cox_cluster_write *how,
                                           struct cox_arena *arena, struct cox_json **out, struct cox_err *err);
/* COX_EEXIST: there is one. */
COX_MUST_USE enum cox_rc cox_cluster_create(struct cox_cluster *c, const struct cox_json *object, const struct cox_cluster_write *how,
                                            struct cox_arena *arena, struct cox_json **out, struct cox_err *err);
/* COX_EEXIST: its resourceVersion is not the object's any more. */
COX_MUST_USE enum cox_rc cox_cluster_replace(struct cox_cluster *c, const struct cox_json *object, const struct cox_cluster_write *how,
                                             struct cox_arena *arena, struct cox_json **out, struct cox_err *err);
/* A JSON merge patch. */
COX_MUST_USE enum cox_rc cox_cluster_patch(struct cox_cluster *c, const struct cox_cluster_kind *kind, struct cox_str ns,
                                           struct cox_str name, const struct cox_json *patch, const struct cox_cluster_write *how,
                                           struct cox_arena *arena, struct cox_json **out, struct cox_err *err);
/* In the background, as kubectl does. COX_ENOTFOUND: there is none. */
COX_MUST_USE enum cox_rc cox_cluster_delete(struct cox_cluster *c, const struct cox_cluster_kind *kind, struct cox_str ns,
                                            struct cox_str name, const struct cox_cluster_write *how, struct cox_err *err);

/* --- more -------------------------------------------------------------------------------------------- */

/* Asks every half second until is(ctx, object) (NULL: it is gone). COX_ETIMEOUT: not within `timeout_ms`. */
COX_MUST_USE enum cox_rc cox_cluster_wait(struct cox_cluster *c, const struct cox_cluster_kind *kind, struct cox_str ns,
                                          struct cox_str name, bool (*is)(void *ctx, const struct cox_json *object), void *ctx,
                                          int64_t timeout_ms, struct cox_err *err);
/* May the caller do it? (SelfSubjectAccessReview) `resource` as "pods" or "pods/portforward", `group` empty: core. */
COX_MUST_USE enum cox_rc cox_cluster_may(struct cox_cluster *c, const char *verb, struct cox_str group, struct cox_str resource,
                                         struct cox_str ns, bool *out, struct cox_err *err);
/* Lets `ms` pass on the loop. */
void cox_cluster_sleep(struct cox_cluster *c, int64_t ms);

#endif
