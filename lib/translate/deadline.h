/*
 * deadline - what is left of a request's deadline travels with it (annotation traffic.coxswain.io/deadline: propagate on a
 * VirtualService). Pure.
 *
 * Between pods it is relative, so that no two clocks are compared: the client's router writes x-envoy-expected-rq-timeout-ms and
 * grpc-timeout, per try and less what earlier tries took, as it always does. The server's sidecar turns it into a moment of its
 * own clock, x-coxswain-deadline (milliseconds since 1970), ends the request then, and hands it to the application. The application
 * passes that header on with each call that it makes for the request, as it does with trace headers; the sidecar of the same
 * pod, by the same clock, takes off what has gone by, never lets a call outlast the moment, and answers 504 (gRPC: status 4)
 * itself when nothing is left. An application that passes on grpc-timeout alone (gRPC libraries do) is served, too.
 */
#ifndef COX_TRANSLATE_DEADLINE_H
#define COX_TRANSLATE_DEADLINE_H

#include "envoy/api.h"
#include "envoy/http_early_header_mutation_header_mutation_v3.h"
#include "translate/hcm.h"

/* The HTTP filter of a side, and for inbound ones what it needs before Envoy drops internal headers of requests from outside. */
void cox_deadline_filter_write(struct pb_filters_network_http_connection_manager_v3_HttpFilter f, enum cox_hcm_side side);
void cox_deadline_early_write(struct pb_core_v3_TypedExtensionConfig e);
/* Switches the filter on for a route with this timeout (not set: none of its own). */
void cox_deadline_route_write(struct pb_route_v3_Route r, struct cox_opt_i64 timeout_ns);

#endif
