/* admin_priv - shared by admin.c (routes) and dump.c (/debug). */
#ifndef COX_ADMIN_ADMIN_PRIV_H
#define COX_ADMIN_ADMIN_PRIV_H

#include "admin/admin.h"

enum { DAEMONS_MAX = 4 };
struct cox_admin {
	struct cox_admin_options opts;
	char *version;
	struct cox_httpd *daemons[DAEMONS_MAX];
	size_t daemon_count;
	struct cox_httpd_route routes[6];
	int64_t started_ms;
};
void admin_on_debug(void *ctx, struct cox_httpd_request *r);
/* Sets what /metrics reads only when asked. */
void admin_set_gauges(struct cox_admin *a);
void admin_reply_json(struct cox_httpd_request *r, int status, const struct cox_json *v);

#endif
