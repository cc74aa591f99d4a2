/*
 * kubeconfig - where a kube-apiserver is and how we prove who we are: a kubeconfig file, or a pod's service account.
 * Thread: any; blocks on small files. A config is a plain value in its own arena.
 */
#ifndef COX_KUBE_KUBECONFIG_H
#define COX_KUBE_KUBECONFIG_H

#include "base/arena.h"
#include "base/err.h"
#include "codec/fields.h"

struct cox_kube_exec {
	struct cox_str command;     /* a path relative to the kubeconfig is already joined */
	struct cox_str api_version; /* client.authentication.k8s.io/v1 or v1beta1 */
	struct cox_str install_hint;
	bool provide_cluster_info;
	COX_LIST(struct cox_str) args;
	COX_LIST(struct cox_kv) env; /* added to ours */
};

/* Text members are terminated (arena copies); empty: not set. */
struct cox_kube_config {
	struct cox_arena arena;
	struct cox_str source; /* "path (context x)" or "service account": for messages */
	struct cox_str server; /* "https://host:port", perhaps with a path, without a slash at the end */
	struct cox_str ns;     /* of the context, or the pod's */
	struct cox_str tls_server_name;
	struct cox_str ca_file, ca_pem;
	struct cox_str cert_file, cert_pem, key_file, key_pem;
	struct cox_str token, token_file;
	bool insecure;                     /* the server's certificate is not verified */
	struct cox_kube_exec *exec;        /* NULL: none */
	COX_LIST(struct cox_str) warnings; /* settings that are ignored */
};

/* Parses a kubeconfig's text. `path` is for messages and for relative names in it; `context` empty: current-context.
 * COX_EINVAL with the field's path: missing, of a wrong type, or not possible. End with cox_kube_config_fini(), also after a failure. */
COX_MUST_USE enum cox_rc cox_kube_config_parse(struct cox_kube_config *c, struct cox_str text, const char *path, struct cox_str context,
                                               struct cox_err *err);
/* The same from a file. */
COX_MUST_USE enum cox_rc cox_kube_config_load(struct cox_kube_config *c, const char *path, struct cox_str context, struct cox_err *err);
/* Of a pod: `host` and `port` as KUBERNETES_SERVICE_HOST and _PORT have them, `dir` the mounted service account
 * (NULL: /var/run/secrets/kubernetes.io/serviceaccount). COX_ENOTFOUND: not in a pod. */
COX_MUST_USE enum cox_rc cox_kube_config_in_cluster(struct cox_kube_config *c, struct cox_str host, struct cox_str port, const char *dir,
                                                    struct cox_err *err);
void cox_kube_config_fini(struct cox_kube_config *c);

#endif
