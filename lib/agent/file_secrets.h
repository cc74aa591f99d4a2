/*
 * file_secrets - secrets that Envoy asks for by the names of files: "file-cert:<chain>~<key>", "file-root:<roots>", "file-root:system".
 * Thread: everything on the loop; files are read and checked on the pool's threads. A file is looked at every second: what changed is read
 * anew, and a pair that does not fit together (it is being replaced) is not sent.
 * The CRL of the mesh's CA goes into each "file-root:<roots>", as in Istio; not into those of the operating system, which it would break.
 */
#ifndef COX_AGENT_FILE_SECRETS_H
#define COX_AGENT_FILE_SECRETS_H

#include "base/buf.h"
#include "base/err.h"
#include "loop/loop.h"
#include "loop/work.h"

enum { COX_AGENT_FILE_SECRETS_MAX = 512 };

struct cox_agent_file_secrets;

/* Where each name's files are. Pure. `key` is empty for roots. COX_EINVAL: not of that form, or a path that is not absolute. */
COX_MUST_USE enum cox_rc cox_agent_file_secret_parse(struct cox_str name, struct cox_str *chain_or_roots, struct cox_str *key,
                                                     struct cox_err *err);

/* on_secret(ctx, name, bytes of a Secret message): borrowed. Borrows `pool` and `crl_file` until closed(). The file itself is told as
 * cox_agent_file_crl_name with its PEM text, whenever there is another; NULL: none. */
extern const struct cox_str cox_agent_file_crl_name;
void cox_agent_file_secrets_open(struct cox_loop *loop, struct cox_work_pool *pool, const char *crl_file,
                                 void (*on_secret)(void *ctx, struct cox_str name, struct cox_str secret), void *ctx,
                                 struct cox_agent_file_secrets **out);
void cox_agent_file_secrets_close(struct cox_agent_file_secrets **f, void (*closed)(void *ctx), void *ctx);
/* COX_EINVAL as above; COX_ELIMIT: too many. */
COX_MUST_USE enum cox_rc cox_agent_file_secrets_add(struct cox_agent_file_secrets *f, struct cox_str name, struct cox_err *err);
void cox_agent_file_secrets_remove(struct cox_agent_file_secrets *f, struct cox_str name);

#endif
