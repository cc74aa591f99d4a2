/*
 * auth - the credentials of one kube-apiserver, kept current: token files are read again when they change, exec plug-ins are run
 * when what they gave has expired or was refused.
 * Thread: everything on the loop.
 */
#ifndef COX_KUBE_AUTH_H
#define COX_KUBE_AUTH_H

#include "kube/kubeconfig.h"
#include "loop/loop.h"
#include "net/http_client.h"

struct cox_kube_auth;

/* Waits for credentials; embedded in the caller's object. */
struct cox_kube_auth_wait {
	struct cox_kube_auth_wait *next;
	/* On the loop, once. Not COX_OK: the plug-in failed, err->text says how. */
	void (*fn)(struct cox_kube_auth_wait *w, enum cox_rc rc, const struct cox_err *err);
	bool is_waiting;
};

/* Borrows `config` until free. Starts nothing. */
struct cox_kube_auth *cox_kube_auth_new(struct cox_loop *loop, const struct cox_kube_config *config);
/* A plug-in that runs is killed; those who wait are told COX_ECANCELED. Accepts NULL. */
void cox_kube_auth_free(struct cox_kube_auth **a);

/* COX_OK: credentials are there. COX_EAGAIN: a plug-in runs, w->fn comes later. Anything else: it cannot be run. */
COX_MUST_USE enum cox_rc cox_kube_auth_ready(struct cox_kube_auth *a, struct cox_kube_auth_wait *w, struct cox_err *err);
/* w->fn does not come any more. */
void cox_kube_auth_cancel(struct cox_kube_auth *a, struct cox_kube_auth_wait *w);
/* The server refused what we have (401): the next use reads files again or runs the plug-in again. */
void cox_kube_auth_refused(struct cox_kube_auth *a);

/* For struct cox_http_spec. The token function's context is the auth; without a token it is NULL. Strings live until the next change. */
const char *cox_kube_auth_server(const struct cox_kube_auth *a); /* "https://host:port" with a path where the config has one */
const struct cox_http_tls *cox_kube_auth_tls(const struct cox_kube_auth *a);
bool cox_kube_auth_has_token(const struct cox_kube_auth *a);
enum cox_rc cox_kube_auth_token(void *auth, struct cox_buf *out);

#endif
