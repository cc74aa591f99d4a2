/*
 * exec - one run of a credential plug-in (client.authentication.k8s.io ExecCredential).
 * Thread: everything on the loop.
 */
#ifndef COX_KUBE_EXEC_PRIV_H
#define COX_KUBE_EXEC_PRIV_H

#include "kube/kubeconfig.h"
#include "loop/loop.h"

struct cox_kube_exec_result {
	struct cox_buf token, cert_pem, key_pem;
	int64_t expires_ms; /* wall clock; 0: until it is refused */
};
void cox_kube_exec_result_fini(struct cox_kube_exec_result *r);
/* What the plug-in printed. COX_EPROTO with text that names the field. */
COX_MUST_USE enum cox_rc cox_kube_exec_result_parse(struct cox_str output, struct cox_str api_version, struct cox_kube_exec_result *out,
                                                    struct cox_err *err);

struct cox_kube_exec_run;
/* Once; the receiver closes the run in it, and may take over *result by clearing it. */
typedef void cox_kube_exec_fn(void *ctx, enum cox_rc rc, struct cox_kube_exec_result *result, const struct cox_err *err);
/* Borrows `config` until the end. A plug-in that takes over a minute is killed. COX_ENOTFOUND: no such program. */
COX_MUST_USE enum cox_rc cox_kube_exec_run_open(struct cox_loop *loop, const struct cox_kube_config *config, cox_kube_exec_fn *fn,
                                                void *ctx, struct cox_kube_exec_run **out, struct cox_err *err);
void cox_kube_exec_run_close(struct cox_kube_exec_run **r);

#endif
