/*
 * proxyconf - what an Envoy has, for people: tables and filtered resources of its config dump (/config_dump?include_eds) and of its
 * endpoints (/clusters?format=json), with istioctl's columns and filters (`coxctl proxy-config`).
 * Thread: any; pure but for the clock by which certificates are valid. Dumps of Envoy (snake_case) and of control planes (lowerCamelCase).
 */
#ifndef COX_TOOL_PROXYCONF_H
#define COX_TOOL_PROXYCONF_H

#include "codec/json.h"

enum cox_proxyconf_what {
	COX_PROXYCONF_CLUSTERS,
	COX_PROXYCONF_LISTENERS,
	COX_PROXYCONF_ROUTES,
	COX_PROXYCONF_ENDPOINTS, /* of the dump's EDS section */
	COX_PROXYCONF_HOSTS,     /* of /clusters?format=json: with the outcome of outlier detection */
	COX_PROXYCONF_SECRETS,
	COX_PROXYCONF_ECDS,
	COX_PROXYCONF_BOOTSTRAP,
};
struct cox_proxyconf_filter {                   /* empty, 0: any */
	struct cox_str fqdn, subset, direction; /* clusters: parts of the name */
	int64_t port;                           /* clusters, listeners, endpoints */
	struct cox_str type;                    /* listeners: HTTP, TCP, HTTP+TCP */
	struct cox_str address;                 /* listeners, endpoints */
	struct cox_str name;                    /* routes */
	struct cox_str cluster, status;         /* endpoints */
	bool is_brief;                          /* listeners, routes: a line each */
	bool names_kinds;                       /* with a name such as "cluster/..." in front, as in `proxy-config all` */
};

/* Appends the table. COX_ENOTFOUND: the dump has nothing of it. COX_EINVAL: it is no dump. */
COX_MUST_USE enum cox_rc cox_proxyconf_table(enum cox_proxyconf_what what, const struct cox_json *dump,
                                             const struct cox_proxyconf_filter *filter, struct cox_buf *out, struct cox_err *err);
/* The resources that the filter lets through, as protobuf's JSON mapping has them, in `arena`: an array; for ECDS, secrets and bootstrap
 * the section itself. Keys are never among them: Envoy does not give them away. */
COX_MUST_USE enum cox_rc cox_proxyconf_select(enum cox_proxyconf_what what, const struct cox_json *dump,
                                              const struct cox_proxyconf_filter *filter, struct cox_arena *arena, struct cox_json **out,
                                              struct cox_err *err);
/* Everything, one table after the other. */
COX_MUST_USE enum cox_rc cox_proxyconf_all(const struct cox_json *dump, const struct cox_proxyconf_filter *filter, bool headers,
                                           struct cox_buf *out, struct cox_err *err);
/* PEM of the root certificates that the proxy trusts (secret ROOTCA), in `arena`. COX_ENOTFOUND. */
COX_MUST_USE enum cox_rc cox_proxyconf_roots(const struct cox_json *dump, struct cox_arena *arena, struct cox_str *out,
                                             struct cox_err *err);

#endif
