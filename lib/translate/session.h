/*
 * session - which endpoint a client has been given, kept in a cookie or a header of its own (Envoy's stateful_session): the client comes
 * back to it as long as it is there, also while it drains. Asked for by labels of a Service (istio.io/persistent-session,
 * istio.io/persistent-session-header; with PILOT_ENABLE_PERSISTENT_SESSION_FILTER) and by sessionPersistence of the Gateway API's routes.
 * Pure.
 */
#ifndef COX_TRANSLATE_SESSION_H
#define COX_TRANSLATE_SESSION_H

#include "envoy/api.h"
#include "translate/translate.h"

struct cox_session {
	struct cox_str name, path; /* of the cookie; path empty: a header */
	int64_t ttl_ns;            /* of the cookie; 0: as long as the browser runs */
};
/* What the labels of the service ask for; false: nothing, or the filter is switched off. */
bool cox_session_of_service(const struct cox_tr *t, const struct cox_svc *svc, struct cox_session *out);
/* What a route of the Gateway API asks for: a line of the VirtualService's annotation (lib/convert). */
bool cox_session_of_route(const struct cox_vs *vs, const struct cox_http_route *h, struct cox_session *out);
void cox_session_route_write(struct pb_route_v3_Route r, const struct cox_session *s);
/* The filter, which does nothing on routes that do not say so. */
void cox_session_filter_write(struct pb_filters_network_http_connection_manager_v3_HttpFilter f);

#endif
