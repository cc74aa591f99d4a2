/*
 * proxy - the proxy that a verb's arguments name, and the answers of its Envoy: by --file, by --proxy-admin ADDRESS, or through the
 * cluster.
 */
#ifndef COX_COXCTL_PROXY_H
#define COX_COXCTL_PROXY_H

#include "tool/reach.h"
#include "verbs.h"

#define PROXY_FLAGS                                                                                                                \
	{ "proxy-admin-port", 0, "PORT", "15000", "of Envoy's administration, inside of the pod", 0 },                             \
	{                                                                                                                          \
		"proxy-admin", 0, "ADDRESS", NULL, "Envoy's administration at this address, without a cluster: 127.0.0.1:15000", 0 \
	}

struct proxy {
	struct cox_cluster *cluster; /* owned; NULL: none was needed */
	struct cox_arena arena;      /* of answers */
	struct cox_reach envoy;
	struct cox_str name; /* "web-0.shop"; empty where nobody said */
};
/* `arg` may be NULL with --proxy-admin. End with proxy_close(), also after a failure. */
COX_MUST_USE enum cox_rc proxy_open(const struct cox_cli *cli, const char *arg, struct proxy *out, struct cox_err *err);
void proxy_close(struct proxy *p);
/* Of --file where the verb has it and it is given ("-": standard input), else of Envoy. */
COX_MUST_USE enum cox_rc proxy_json(const struct cox_cli *cli, const char *arg, const char *path, struct proxy *p, struct cox_json **out,
                                    struct cox_err *err);
/* Opens the cluster; the namespace of -n, else of the context. */
COX_MUST_USE enum cox_rc verb_cluster_open(const struct cox_cli *cli, struct cox_cluster **out, struct cox_str *ns, struct cox_err *err);

#endif
