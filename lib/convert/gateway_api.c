/* gateway_api - the Gateway API (gateway.networking.k8s.io): the family, and its classes. As istiod does it where nothing else is said. */
#include "convert/gateway_api_priv.h"

/* Sorted; what the conformance profiles ask for and we do. */
static const char *const features[] = {
	"BackendTLSPolicy",
	"BackendTLSPolicySANValidation",
	"GRPCRoute",
	"GRPCRouteNamedRouteRule",
	"Gateway",
	"GatewayFrontendClientCertificateValidation",
	"GatewayFrontendClientCertificateValidationInsecureFallback",
	"GatewayPort8080",
	"HTTPRoute",
	"HTTPRoute303RedirectStatusCode",
	"HTTPRoute307RedirectStatusCode",
	"HTTPRoute308RedirectStatusCode",
	"HTTPRouteBackendProtocolH2C",
	"HTTPRouteBackendProtocolWebSocket",
	"HTTPRouteBackendRequestHeaderModification",
	"HTTPRouteBackendTimeout",
	"HTTPRouteCORS",
	"HTTPRouteDestinationPortMatching",
	"HTTPRouteHostRewrite",
	"HTTPRouteMethodMatching",
	"HTTPRouteNamedRouteRule",
	"HTTPRouteParentRefPort",
	"HTTPRoutePathRedirect",
	"HTTPRoutePathRewrite",
	"HTTPRoutePortRedirect",
	"HTTPRouteQueryParamMatching",
	"HTTPRouteRequestMirror",
	"HTTPRouteRequestMultipleMirrors",
	"HTTPRouteRequestPercentageMirror",
	"HTTPRouteRequestTimeout",
	"HTTPRouteResponseHeaderModification",
	"HTTPRouteRetryCodes",
	"HTTPRouteRetryConnectionError",
	"HTTPRouteSchemeRedirect",
	"ListenerSet",
	"Mesh",
	"MeshConsumerRoute",
	"MeshHTTPRouteBackendRequestHeaderModification",
	"MeshHTTPRouteNamedRouteRule",
	"MeshHTTPRouteQueryParamMatching",
	"MeshHTTPRouteRedirectPath",
	"MeshHTTPRouteRedirectPort",
	"MeshHTTPRouteRewritePath",
	"MeshHTTPRouteSchemeRedirect",
	"ReferenceGrant",
	"TCPRoute",
	"TLSRoute",
	"TLSRouteModeTerminate",
};

static void class_convert(struct ga *g, const struct cox_object *o)
{
	const struct cox_gwapi_class *spec = COX_SPEC(cox_gwapi_class_object, o)->spec;
	struct ga_fault fault = { 0 };
	bool is_waypoint = spec && cox_str_eq_cstr(spec->controller_name, "istio.io/mesh-controller");
	bool is_east_west = spec && cox_str_eq_cstr(spec->controller_name, "istio.io/eastwest-controller");
	bool is_ours =
	    spec && (cox_str_eq_cstr(spec->controller_name, GA_CONTROLLER) || cox_str_eq_cstr(spec->controller_name, GA_UNMANAGED));
	if (!is_ours && !is_waypoint && !is_east_west)
		return; /* somebody else's */
	if (is_waypoint)
		fault = (struct ga_fault){ "Unsupported",
			                   COX_STR("waypoints are not supported: this mesh has a sidecar beside each workload") };
	else if (is_east_west)
		fault = (struct ga_fault){ "Unsupported",
			                   COX_STR("gateways between clusters that speak HBONE are part of ambient mode, which is not "
			                           "supported: use class istio with a listener of protocol TLS, mode Passthrough, or "
			                           "an Istio Gateway of mode AUTO_PASSTHROUGH") };
	else if (spec->parameters)
		fault = (struct ga_fault){ "InvalidParameters", COX_STR("spec.parametersRef is not supported") };
	struct cox_json *status = cox_json_new_object(g->a);
	ga_condition_of(g, convert_array_at(g->run, status, "conditions"), o, "Accepted", &fault, "Accepted", "The class is served");
	if (!fault.reason) {
		struct cox_json *list = convert_array_at(g->run, status, "supportedFeatures");
		for (size_t i = 0; i < COX_LEN(features); i++)
			convert_str_at(g->run, convert_object_push(g->run, list), "name", cox_str_of(features[i]));
	}
	convert_status(g->run, o, status);
}

static void fini(struct ga *g)
{
	for (size_t i = 0; i < g->tables.n; i++) {
		cox_vec_fini(&g->tables.p[i]->entries);
		cox_vec_fini(&g->tables.p[i]->tls);
		cox_vec_fini(&g->tables.p[i]->tcp);
	}
	cox_vec_fini(&g->gateways);
	cox_vec_fini(&g->sets);
	cox_vec_fini(&g->listeners);
	cox_vec_fini(&g->tables);
	cox_vec_fini(&g->uses);
	cox_map_fini(&g->tables_by_key);
}

static void convert(struct convert_run *run)
{
	struct ga g = { .run = run, .a = convert_arena(run) };
	const struct cox_object *const *classes;
	size_t n = convert_list(run, COX_KIND_GATEWAY_CLASS, &classes);
	for (size_t i = 0; i < n; i++)
		class_convert(&g, classes[i]);
	ga_gateways_collect(&g);
	ga_routes_convert(&g);
	ga_gateways_emit(&g);
	ga_tables_emit(&g);
	ga_policies_convert(&g);
	ga_deployments(&g);
	ga_statuses(&g);
	fini(&g);
}

static const enum cox_kind inputs[] = { COX_KIND_GATEWAY_CLASS,   COX_KIND_K8S_GATEWAY,       COX_KIND_LISTENER_SET, COX_KIND_HTTP_ROUTE,
	                                COX_KIND_GRPC_ROUTE,      COX_KIND_TLS_ROUTE,         COX_KIND_TCP_ROUTE,    COX_KIND_UDP_ROUTE,
	                                COX_KIND_REFERENCE_GRANT, COX_KIND_BACKEND_TLS_POLICY };
const struct convert_family convert_gateway_api = {
	.name = "gateway-api",
	.inputs = inputs,
	.input_n = COX_LEN(inputs),
	.convert = convert,
};
