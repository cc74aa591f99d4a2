/* secrets - what push wants of the kube-apiserver so that proxies get their secrets: watches, and who may have them. */
#ifndef COXSWAIND_SECRETS_H
#define COXSWAIND_SECRETS_H

#include "kube/client.h"
#include "push/push.h"
#include "source/kube_source.h"

struct secrets;
/* For cox_push_options.want and .may_list_secrets, with the secrets as their argument. Without a kube-apiserver nothing needs watching, and
 * an account may what its namespace may. */
struct secrets *secrets_new(void);
void secrets_free(struct secrets *s);
void secrets_set_push(struct secrets *s, struct cox_push *push);
/* Borrows both until secrets_clear_kube(). Before push is told that the sources are complete. */
void secrets_set_kube(struct secrets *s, struct cox_kube_client *client, struct cox_kube_source *source);
void secrets_clear_kube(struct secrets *s);
void secrets_want(struct secrets *s, enum cox_kind kind, struct cox_str ns, struct cox_str name, bool is_wanted);
enum cox_access secrets_may_list(struct secrets *s, struct cox_str ns, struct cox_str service_account);

#endif
