/* admin_priv - shared by admin.c (routes), access.c, page.c (the table), the pages, questions.c (over xDS) and ctrlz.c. */
#ifndef COX_ADMIN_ADMIN_PRIV_H
#define COX_ADMIN_ADMIN_PRIV_H

#include "admin/admin.h"
#include "admin/answer.h"
#include "loop/work.h"
#include "xds/debug.h"
#include "xds/list.h"

#include <pthread.h>

enum { DAEMONS_MAX = 4 };
struct cox_admin {
	struct cox_admin_options opts;
	char *version, *allowed_namespaces;
	struct cox_httpd *daemons[DAEMONS_MAX], *ctrlz;
	size_t daemon_count;
	struct cox_httpd_route routes[6], ctrlz_routes[2];
	struct cox_work_pool *pool; /* answers questions over xDS */
	int64_t started_ms;
	pthread_mutex_t gauges_lock; /* of what follows */
	uint64_t pending_at, lonely_generation;
	size_t lonely_proxies;
};
/* Every service with its endpoints: a reference to each, taken on the config loop. */
struct admin_svcs {
	struct cox_svc_entry *items;
	size_t n;
};
void admin_svcs_take(struct cox_admin *a, struct admin_svcs *out);
void admin_svcs_fini(struct admin_svcs *svcs);
/* gauges.c: sets what /metrics reads only when asked. */
void admin_set_gauges(struct cox_admin *a);
void admin_reply_json(struct cox_httpd_request *r, int status, const struct cox_json *v);

/* --- access.c: who may see what ----------------------------------------------------------------------------- */

struct admin_caller {
	bool is_loopback, is_verified;
	struct cox_str ns; /* of its identity */
};
enum { PAGE_NAMESPACED = 1 /* shows one proxy: those of its own namespace may see it */, PAGE_UNSAFE = 2, PAGE_ALIAS = 4 /* not listed */ };
/* COX_EAUTH: nobody we know. COX_EDENIED: not this page. COX_OK: *only_ns says which proxies (in `arena`; empty: all). */
enum cox_rc admin_access_check(struct cox_admin *a, const struct admin_caller *who, unsigned page_flags, struct cox_arena *arena,
                               struct cox_str *only_ns);
/* Who asks over HTTP; waits for the authenticators. Text in `arena`. */
void admin_access_ask(struct cox_admin *a, const struct cox_httpd_request *r, struct cox_arena *arena, struct admin_caller *out);

/* --- page.c -------------------------------------------------------------------------------------------------- */

struct admin_page {
	const char *name, *help;
	void (*open)(struct answer *w);
	unsigned flags;
};
/* NULL: there is none, or it is unsafe and not enabled. */
const struct admin_page *admin_page_find(const struct cox_admin *a, struct cox_str name);
void admin_on_debug(void *ctx, struct cox_httpd_request *r);
/* questions.c */
void admin_questions_open(struct cox_admin *a);
void admin_questions_close(struct cox_admin *a);
/* ctrlz.c */
enum cox_rc admin_ctrlz_open(struct cox_admin *a, uint16_t *port, struct cox_err *err);

/* The pages. page_registry.c */
void page_services(struct answer *w);
void page_endpoints(struct answer *w);
void page_instances(struct answer *w);
void page_configs(struct answer *w);
void page_resources(struct answer *w);
/* page_mesh.c */
void page_mesh(struct answer *w);
void page_inject(struct answer *w);
void page_authorization(struct answer *w);
void page_telemetry(struct answer *w);
void page_clusters(struct answer *w);
void page_networks(struct answer *w);
void page_mcs(struct answer *w);
void page_push_status(struct answer *w);
void page_push_context(struct answer *w);
void page_sidecar(struct answer *w);
/* page_push.c */
void page_push(struct answer *w);
void page_cache(struct answer *w);
void page_certs(struct answer *w);
void page_filters(struct answer *w);
void page_secrets(struct answer *w);
/* page_proxies.c */
void page_ads(struct answer *w);
void page_connections(struct answer *w);
void page_sync(struct answer *w);
void page_disconnect(struct answer *w);
/* page_dump.c */
void page_config_dump(struct answer *w);
void page_eds(struct answer *w);
void page_ecds(struct answer *w);
void page_nds(struct answer *w);

/* Finds the proxy that the query names; false: the answer says why not. */
bool page_find_proxy(struct answer *w, struct cox_xds_stream_info *out);
/* The same as wire bytes: envoy.admin.v3 messages, one item each, for istio.io/debug/config_dump. */
void page_dump_items(const struct cox_xds_stream_info *info, struct cox_xds_item **items, size_t *n);
/* envoy.service.status.v3.ClientConfig, for istio.io/debug/syncz. */
void page_client_config(const struct cox_xds_stream_info *info, struct cox_buf *out);
/* A reference to the latest snapshot, or NULL. */
const struct cox_snapshot *page_snapshot(struct answer *w);
/* With names and answers that tools look for. */
extern const char page_no_proxy_id[], page_not_connected[], page_not_found[];

#endif
