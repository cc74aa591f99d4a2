/*
 * list - one complete list of a kind, page by page.
 * Thread: on the client's loop.
 */
#ifndef COX_KUBE_LIST_PRIV_H
#define COX_KUBE_LIST_PRIV_H

#include "kube/client.h"
#include "kube/watch_split.h"

struct cox_kube_list;

struct cox_kube_list_spec {
	struct cox_str path; /* with the selectors, without limit and continue; copied */
	const struct cox_message *message;
	bool metadata_only;
	unsigned limit;
	size_t max_object_bytes;
	void (*on_item)(void *ctx, const struct cox_kube_item *item);
	/* After a page that is not the last. */
	void (*on_page)(void *ctx);
	/* The server forgot the place between two pages: all comes again from the start. */
	void (*on_restart)(void *ctx);
	/* Once; the list is gone after the return. `version`: of the list. */
	void (*on_done)(void *ctx, enum cox_rc rc, int status, struct cox_str version, const struct cox_err *err);
	void *ctx;
};

enum { COX_KUBE_LIST_LIMIT = 500 }; /* as client-go: keeps the server's memory small */

void cox_kube_list_open(struct cox_kube_client *c, const struct cox_kube_list_spec *spec, struct cox_kube_list **out);
/* Not from inside on_item. Accepts NULL. */
void cox_kube_list_close(struct cox_kube_list **l);

#define COX_KUBE_ACCEPT_METADATA "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
#define COX_KUBE_ACCEPT_METADATA_LIST "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

#endif
