/*
 * access - may a service account do something: SubjectAccessReviews, asked once, kept, and asked again from time to time.
 * Thread: everything on the client's loop. Owns its requests and its answers.
 * While the kube-apiserver cannot be reached the last answer stays; a question that was never answered stays ASKING.
 */
#ifndef COX_KUBE_ACCESS_H
#define COX_KUBE_ACCESS_H

#include "kube/client.h"

enum cox_kube_access_answer { COX_KUBE_ACCESS_ASKING, COX_KUBE_ACCESS_ALLOWED, COX_KUBE_ACCESS_DENIED };
enum { COX_KUBE_ACCESS_MAX = 1000 }; /* accounts asked about at a time; gateways are few. The one not asked about for longest goes */

struct cox_kube_access_spec {
	const char *verb, *group, *resource; /* static text: "list", "", "secrets" */
	int64_t renew_ms;                    /* how old an answer gets; 0: 60 s */
	/* An answer came that differs from what cox_kube_access_check() said. Not from inside of it. */
	void (*changed)(void *ctx);
	void *ctx;
};
struct cox_kube_access;
/* Borrows `client` until the end; copies `spec`. */
struct cox_kube_access *cox_kube_access_new(struct cox_kube_client *client, const struct cox_kube_access_spec *spec);
/* Accepts NULL. Not from inside `changed`. */
void cox_kube_access_free(struct cox_kube_access **a);
/* What is known of this account in its own namespace; asks where nothing is. */
enum cox_kube_access_answer cox_kube_access_check(struct cox_kube_access *a, struct cox_str ns, struct cox_str service_account);

#endif
