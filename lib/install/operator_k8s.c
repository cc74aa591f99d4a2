/* The settings of a component that are not Helm's: components.<x>.k8s, and gateways by the names of Istio's older chart. */
#include "install/operator_priv.h"

#include <stdio.h>

/* From a field of k8s (or of an older chart) to a value of a chart of ours. `to` NULL: it cannot be said here. */
struct place {
	const char *from, *to;
};

const struct cox_json *operator_put(struct cox_arena *a, const struct cox_json *tree, const char *path, const struct cox_json *v)
{
	struct cox_json *o = cox_json_new_object(a);
	const char *dot = strchr(path, '.');
	struct cox_str key = cox_str_sub(cox_str_of(path), 0, dot ? (size_t)(dot - path) : SIZE_MAX);
	cox_json_set(a, o, key, dot ? operator_put(a, cox_json_get(tree, key), dot + 1, v) : v);
	return cox_values_overlay(a, tree, o);
}

/* Moves the members of `from` that the table knows to their places in *to; refuses others, or keeps them as they are (`keep`). */
static enum cox_rc move_all(struct cox_arena *a, const struct cox_json *from, const struct place *places, size_t n, bool keep,
                            const struct cox_json **to, struct cox_err *err)
{
	for (size_t i = 0; from && from->type == COX_JSON_OBJECT && i < from->n; i++) {
		char key[128];
		const char *path = keep ? cox_arena_str(a, from->members[i].key).p : NULL;
		for (size_t k = 0; k < n; k++)
			if (cox_str_eq_cstr(from->members[i].key, places[k].from))
				path = places[k].to;
		if (!path)
			return cox_err_set(err, COX_EINVAL, cox_str_to_cstr(from->members[i].key, key, sizeof(key)),
			                   "cannot be set here; say it by values");
		*to = operator_put(a, *to, path, &from->members[i].value);
	}
	return COX_OK;
}

/* env: [{name, value}] -> env: {name: value}, envVarFrom: [{name, valueFrom}] */
static const struct cox_json *move_env(struct cox_arena *a, const struct cox_json *k8s, const struct cox_json *to)
{
	const struct cox_json *list = cox_json_get(k8s, COX_STR("env"));
	struct cox_json *plain = cox_json_new_object(a), *other = cox_json_new_array(a);
	for (size_t i = 0; list && list->type == COX_JSON_ARRAY && i < list->n; i++) {
		const struct cox_json *value = cox_json_get(&list->items[i], COX_STR("value"));
		if (value)
			cox_json_set(a, plain, cox_json_str_at(&list->items[i], "name"), value);
		else
			cox_json_push(a, other, &list->items[i]);
	}
	if (plain->n)
		to = operator_put(a, to, "env", plain);
	return other->n ? operator_put(a, to, "envVarFrom", other) : to;
}

/* Without the members that are treated apart. */
static const struct cox_json *without(struct cox_arena *a, const struct cox_json *from, const char *const *names)
{
	struct cox_json *out = cox_json_new_object(a);
	for (size_t i = 0; from && from->type == COX_JSON_OBJECT && i < from->n; i++) {
		bool skip = false;
		for (size_t k = 0; names[k]; k++)
			skip |= cox_str_eq_cstr(from->members[i].key, names[k]);
		if (!skip)
			cox_json_set(a, out, from->members[i].key, &from->members[i].value);
	}
	return out;
}

static enum cox_rc in_k8s(enum cox_rc rc, const char *component, struct cox_err *err)
{
	if (rc != COX_OK && err) {
		cox_err_in_member(err, COX_STR("k8s"));
		cox_err_in_member(err, cox_str_of(component));
		cox_err_in_member(err, COX_STR("components"));
	}
	return rc;
}

enum cox_rc operator_pilot_values(struct cox_arena *a, const struct cox_json *component, const struct cox_json *values,
                                  const struct cox_json **out, struct cox_err *err)
{
	static const struct place hpa[] = { { "minReplicas", "autoscaleMin" }, { "maxReplicas", "autoscaleMax" } };
	static const struct place places[] = { { "replicaCount", "replicaCount" },
		                               { "resources", "resources" },
		                               { "nodeSelector", "nodeSelector" },
		                               { "tolerations", "tolerations" },
		                               { "affinity", "affinity" },
		                               { "podAnnotations", "podAnnotations" },
		                               { "serviceAnnotations", "serviceAnnotations" },
		                               { "volumes", "volumes" },
		                               { "volumeMounts", "volumeMounts" },
		                               { "podDisruptionBudget", "pdb" },
		                               { "priorityClassName", "global.priorityClassName" },
		                               { "imagePullPolicy", "global.imagePullPolicy" } };
	static const char *const apart[] = { "env", "hpaSpec", NULL };
	const struct cox_json *k8s = cox_json_get(component, COX_STR("k8s"));
	*out = values;
	COX_TRY(in_k8s(move_all(a, without(a, k8s, apart), places, COX_LEN(places), false, out, err), "pilot", err));
	COX_TRY(in_k8s(move_all(a, cox_json_get(k8s, COX_STR("hpaSpec")), hpa, COX_LEN(hpa), false, out, err), "pilot", err));
	*out = move_env(a, k8s, *out);
	return COX_OK;
}

enum cox_rc operator_gateway_values(struct cox_arena *a, const struct cox_json *gateway, bool is_egress, const struct cox_json *values,
                                    struct cox_str revision, const struct cox_json **out, struct cox_err *err)
{
	/* Names of the chart with which istioctl makes gateways. */
	static const struct place older[] = { { "autoscaleEnabled", "autoscaling.enabled" },
		                              { "autoscaleMin", "autoscaling.minReplicas" },
		                              { "autoscaleMax", "autoscaling.maxReplicas" },
		                              { "ports", "service.ports" },
		                              { "type", "service.type" },
		                              { "loadBalancerIP", "service.loadBalancerIP" },
		                              { "loadBalancerSourceRanges", "service.loadBalancerSourceRanges" },
		                              { "externalTrafficPolicy", "service.externalTrafficPolicy" },
		                              { "externalIPs", "service.externalIPs" },
		                              { "serviceAnnotations", "service.annotations" } };
	static const struct place places[] = { { "replicaCount", "replicaCount" },
		                               { "resources", "resources" },
		                               { "nodeSelector", "nodeSelector" },
		                               { "tolerations", "tolerations" },
		                               { "affinity", "affinity" },
		                               { "podAnnotations", "podAnnotations" },
		                               { "serviceAnnotations", "service.annotations" },
		                               { "service", "service" },
		                               { "strategy", "strategy" },
		                               { "volumes", "volumes" },
		                               { "volumeMounts", "volumeMounts" },
		                               { "podDisruptionBudget", "podDisruptionBudget" },
		                               { "priorityClassName", "priorityClassName" },
		                               { "imagePullPolicy", "imagePullPolicy" } };
	static const struct place hpa[] = { { "minReplicas", "autoscaling.minReplicas" }, { "maxReplicas", "autoscaling.maxReplicas" } };
	static const char *const apart[] = { "env", "hpaSpec", NULL }, *const shared[] = { "profile", "platform", NULL };
	const char *which = is_egress ? "egressGateways" : "ingressGateways";
	struct cox_str name = cox_json_str_at(gateway, "name");
	const struct cox_json *k8s = cox_json_get(gateway, COX_STR("k8s")), *mine = cox_json_new_object(a), *v;
	for (size_t i = 0; shared[i]; i++)
		if ((v = cox_json_get(values, cox_str_of(shared[i]))))
			mine = operator_put(a, mine, shared[i], v);
	if ((v = cox_json_at(values, "global")))
		mine = operator_put(a, mine, "global", v);
	/* The account that workshops' policies name; inside alone where traffic only leaves. */
	mine =
	    operator_put(a, mine, "serviceAccount.name", cox_json_new_str(a, cox_arena_printf(a, "%.*s-service-account", COX_FMT(name))));
	if (is_egress)
		mine = operator_put(a, mine, "service.type", cox_json_new_str(a, COX_STR("ClusterIP")));
	if (revision.n)
		mine = operator_put(a, mine, "revision", cox_json_new_str(a, revision));
	if ((v = cox_json_get(gateway, COX_STR("label"))))
		mine = operator_put(a, mine, "labels", v);
	COX_TRY(move_all(a, cox_json_get(cox_json_at(values, "gateways"), name), older, COX_LEN(older), true, &mine, err));
	COX_TRY(in_k8s(move_all(a, without(a, k8s, apart), places, COX_LEN(places), false, &mine, err), which, err));
	COX_TRY(in_k8s(move_all(a, cox_json_get(k8s, COX_STR("hpaSpec")), hpa, COX_LEN(hpa), false, &mine, err), which, err));
	*out = move_env(a, k8s, mine);
	return COX_OK;
}
