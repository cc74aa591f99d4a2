/*
 * store - where the keeper's objects are: nowhere (MEMORY), in a directory, or in Secrets of a kube-apiserver.
 * Thread: the keeper's loop. Callbacks never come from inside a call.
 */
#ifndef COX_CA_STORE_PRIV_H
#define COX_CA_STORE_PRIV_H

#include "ca/state_priv.h"
#include "loop/loop.h"

enum cox_ca_object {
	COX_CA_OBJECT_ROOT,    /* istio-ca-secret: a root of our own and its rotation */
	COX_CA_OBJECT_PLUGGED, /* coxswain-ca-state: the rotation of a plugged-in CA, while there is one */
	COX_CA_OBJECT_CACERTS, /* cacerts, read only: what an operator plugs in (KUBE) */
	COX_CA_OBJECT_MESH,    /* the ConfigMap with the mesh's configuration, read only: it names the trust domain (KUBE) */
	COX_CA_OBJECTS
};
const char *cox_ca_object_name_(enum cox_ca_object o);

struct cox_ca_store_cb {
	/* What an object holds; NULL: there is none. Once for each at the start, and after every change by somebody else. Borrowed until
	 * the return. */
	void (*on_object)(void *ctx, enum cox_ca_object o, const struct cox_ca_entries *e);
	/* Of a save: COX_OK, COX_EEXIST (somebody else wrote it meanwhile: on_object has come or comes), or trouble, with text. */
	void (*on_saved)(void *ctx, enum cox_ca_object o, enum cox_rc rc, const struct cox_err *err);
	/* Something cannot be read. */
	void (*on_fault)(void *ctx, const struct cox_err *err);
	void *ctx;
};

struct cox_ca_store_;
struct cox_ca_store_ops_ {
	/* `entries` NULL: remove it. Copies. One save of an object at a time. */
	void (*save)(struct cox_ca_store_ *s, enum cox_ca_object o, const struct cox_ca_entries *entries);
};
/* The head of each store. A store lives as long as the keeper's process. */
struct cox_ca_store_ {
	const struct cox_ca_store_ops_ *ops;
	struct cox_ca_store_cb cb;
	struct cox_loop *loop;
};
struct cox_ca_store_ *cox_ca_store_memory_(struct cox_loop *loop, const struct cox_ca_store_cb *cb);
COX_MUST_USE enum cox_rc cox_ca_store_dir_(struct cox_loop *loop, const char *dir, const struct cox_ca_store_cb *cb,
                                           struct cox_ca_store_ **out, struct cox_err *err);
COX_MUST_USE enum cox_rc cox_ca_store_kube_(struct cox_loop *loop, const struct cox_ca_spec *spec, const struct cox_ca_store_cb *cb,
                                            struct cox_ca_store_ **out, struct cox_err *err);

/* Reads the regular files of a directory that have one of the names which sets have. COX_ENOTFOUND: there is no such directory. */
COX_MUST_USE enum cox_rc cox_ca_dir_read_(const char *dir, struct cox_ca_entries *out, struct cox_err *err);

#endif
