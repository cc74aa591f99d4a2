#include "model/policy_target.h"
#include "model/policy_priv.h"

/* --- targetRef --- */

static const struct cox_field policy_target_ref_fields[] = {
	F(policy_target_ref, group, "group", STR, "API group of the kind; empty for Service.", .max_len = 253, .pattern = "subdomain"),
	F(policy_target_ref, kind, "kind", STR, "Gateway, GatewayClass, Service or ServiceEntry.", REQUIRED, .max_len = 63,
	  .pattern = "nonEmpty"),
	F(policy_target_ref, name, "name", STR, "Name of the object, in the policy's namespace.", REQUIRED, .max_len = 253,
	  .pattern = "nonEmpty"),
	F(policy_target_ref, ns, "namespace", STR, "Must stay empty: references across namespaces do not exist.",
	  RULES({ "size(self) < 1", "a reference cannot leave the namespace of the policy" })),
};
static bool is_target(const struct cox_policy_target_ref *v)
{
	static const char *const targets[][2] = { { "", "Service" },
		                                  { "core", "Service" },
		                                  { "networking.istio.io", "ServiceEntry" },
		                                  { "gateway.networking.k8s.io", "Gateway" },
		                                  { "gateway.networking.k8s.io", "GatewayClass" } };
	for (size_t i = 0; i < COX_LEN(targets); i++)
		if (cox_str_eq_cstr(v->group, targets[i][0]) && cox_str_eq_cstr(v->kind, targets[i][1]))
			return true;
	return false;
}
static void policy_target_ref_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_policy_target_ref *v = value;
	if (v->ns.n)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "namespace must not be set: a reference cannot leave the namespace of the policy");
	if (!is_target(v))
		cox_diag_add(d, COX_SEV_ERROR, 0, path,
		             "\"%.*s/%.*s\" cannot be a target; use Gateway or GatewayClass of gateway.networking.k8s.io, Service of the "
		             "core group, or ServiceEntry of networking.istio.io",
		             COX_FMT(v->group), COX_FMT(v->kind));
}
MESSAGE(policy_target_ref, "PolicyTargetReference", "Names an object that a policy is attached to.", .check = policy_target_ref_check);

void cox_model_target_check(const struct cox_policy_target *t, const char *path, struct cox_diags *d)
{
	if ((t->selector != NULL) + (t->ref != NULL) + (t->refs.n > 0) > 1)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "only one of selector, targetRef, targetRefs may be set");
	cox_model_selector_check(t->selector, path, d);
}

void cox_model_selector_check(const struct cox_match_labels *selector, const char *path, struct cox_diags *d)
{
	if (selector && selector->match_labels.n == 0)
		cox_diag_add(d, COX_SEV_WARNING, 0, path, "selector has no matchLabels: it chooses every workload");
}

/* --- match of extensions --- */

static const struct cox_field traffic_port_fields[] = {
	F(port_selector, number, "number", I64, "Number of the port.", REQUIRED, .pattern = "port", .min = 1, .max = 65535),
};
static const struct cox_message cox_msg_traffic_port = { .name = "PortSelector",
	                                                 .size_bytes = sizeof(struct cox_port_selector),
	                                                 .fields = traffic_port_fields,
	                                                 .field_count = COX_LEN(traffic_port_fields),
	                                                 .doc = "A port of the workload." };

static const struct cox_field traffic_selector_fields[] = {
	F(traffic_selector, mode, "mode", ENUM, "Whether the workload is client or server; both by default.",
	  ENUM("UNDEFINED", "CLIENT", "SERVER", "CLIENT_AND_SERVER")),
	F(traffic_selector, ports, "ports", MSG, "Ports of the traffic; all by default.", LIST, SUB(traffic_port), .list_key = "number"),
};
MESSAGE(traffic_selector, "TrafficSelector", "Chooses traffic; all conditions must hold.");
