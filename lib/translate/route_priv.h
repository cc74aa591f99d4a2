/* route_priv.h - what the files of routes share. */
#ifndef COX_TRANSLATE_ROUTE_PRIV_H
#define COX_TRANSLATE_ROUTE_PRIV_H

#include "envoy/api.h"
#include "translate/route.h"

/* route_match.c */
struct route_path {
	struct cox_str text;
	bool is_catch_all;
}; /* "/x*" of the decorator */
/* Writes the match of a route; `m` NULL: everything. `by_elements`: prefixes match whole elements of a path ("/a" not "/ab"). */
struct route_path route_match_write(const struct cox_route_ctx *ctx, struct pb_route_v3_RouteMatch out, const struct cox_http_match *m,
                                    bool by_elements);
void route_string_match_write(struct pb_type_matcher_v3_StringMatcher s, const struct cox_string_match *m);
/* True for a match that no request can fail, path included. */
bool route_match_is_catch_all(const struct cox_http_match *m);

/* route_action.c */
/* The value given for "host" or ":authority" in set or add; empty: none. */
struct cox_str route_authority_of(const struct cox_header_ops *ops);
/* To the application beside the proxy: `r` is the mesh's policy for that, or NULL. */
void route_retry_inbound_write(struct pb_route_v3_RetryPolicy p, const struct cox_retry *r);
void route_retry_write(struct pb_route_v3_RetryPolicy p, const struct cox_retry *r, bool is_hashed);
/* Writes the action of http[] into the route and returns the single cluster it names ("" for several, redirect, direct response). `m`: the
 * match that it is for, or NULL. `is_gateway_api`: a missing cluster answers 500, not 503, and a redirect's "/" replaces whole elements. */
struct cox_str route_action_write(const struct cox_route_ctx *ctx, struct pb_route_v3_Route r, const struct cox_http_route *h,
                                  const struct cox_http_match *m, bool is_gateway_api, struct cox_names *needs);
void route_hash_policy_write(struct pb_route_v3_RouteAction a, const struct cox_tr *t, const struct cox_snap_svc *svc,
                             struct cox_str subset, uint16_t port);

/* route_filter.c: typed_per_filter_config. */
void route_filters_write(struct pb_route_v3_Route r, const struct cox_http_route *h);
void route_percent_write(struct pb_type_v3_FractionalPercent p, double percent);

/* route.c */
bool routes_of_vs_write(const struct cox_route_ctx *ctx, struct pb_route_v3_VirtualHost vh, const struct cox_vs *vs, int pass,
                        struct cox_names *needs);
void route_default_write(const struct cox_route_ctx *ctx, struct pb_route_v3_VirtualHost vh, const struct cox_snap_svc *svc, uint16_t port,
                         struct cox_names *needs);

#endif
