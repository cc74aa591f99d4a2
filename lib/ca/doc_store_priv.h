/*
 * doc_store - small named texts that survive restarts and are shared by replicas: ConfigMaps with the label coxswain.io/ledger=true, or
 * files of a directory. Whoever opened it hears of every change, its own too, when it is stored. Thread: everything on the loop. Callbacks
 * never come from inside a call.
 */
#ifndef COX_CA_DOC_STORE_PRIV_H
#define COX_CA_DOC_STORE_PRIV_H

#include "base/buf.h"
#include "base/err.h"
#include "kube/client.h"

enum { DOC_BYTES_MAX = 1000 * 1000 }; /* a ConfigMap ends at 1 MiB */

struct doc_store;
struct doc_store_cb {
	void (*changed)(void *ctx, struct cox_str name, struct cox_str text); /* new, or another text; borrowed */
	void (*removed)(void *ctx, struct cox_str name);
	/* Once: what existed was told. COX_EDENIED: it may not be read. */
	void (*synced)(void *ctx, enum cox_rc rc);
	void *ctx;
};
typedef void doc_done_fn(void *ctx, enum cox_rc rc, const struct cox_err *err);
/* Appends the new text to `out`; `old` is empty where there was none. May be called again when another writer was faster.
 * False: nothing to change. */
typedef bool doc_change_fn(void *ctx, struct cox_str old, struct cox_buf *out);

/* What a back end does; the first member of its own struct. */
struct doc_store {
	const struct doc_store_ops *ops;
	struct cox_loop *loop;
	struct doc_store_cb cb;
};
struct doc_store_ops {
	void (*put)(struct doc_store *s, struct cox_str name, struct cox_str text, doc_done_fn *done, void *ctx);
	void (*update)(struct doc_store *s, struct cox_str name, doc_change_fn *change, doc_done_fn *done, void *ctx);
	void (*remove)(struct doc_store *s, struct cox_str name);
	void (*close)(struct doc_store *s);
};

void doc_store_open_kube(struct cox_kube_client *client, struct cox_str ns, const struct doc_store_cb *cb, struct doc_store **out);
COX_MUST_USE enum cox_rc doc_store_open_dir(struct cox_loop *loop, const char *dir, const struct doc_store_cb *cb, struct doc_store **out,
                                            struct cox_err *err);

/* Replaces a text that only the caller writes. */
void doc_store_put(struct doc_store *s, struct cox_str name, struct cox_str text, doc_done_fn *done, void *ctx);
/* Reads, changes and writes a text that others write, too. */
void doc_store_update(struct doc_store *s, struct cox_str name, doc_change_fn *change, doc_done_fn *done, void *ctx);
void doc_store_remove(struct doc_store *s, struct cox_str name);
/* Nothing is called after this. Accepts NULL. */
void doc_store_close(struct doc_store **s);

#endif
