/* DestinationRules: TLS that does not verify, hosts that nobody has, subsets without pods. */
#include "analyze/analyze_priv.h"

/* Does this TLS not verify whom it calls? With a credential and a workload selector the credential brings the authorities. */
static bool is_blind(const struct an_obj *dr, const struct cox_json *tls)
{
	struct cox_str mode = an_str(tls, "mode");
	if (!cox_str_eq_cstr(mode, "SIMPLE") && !cox_str_eq_cstr(mode, "MUTUAL"))
		return false;
	bool has_credential = an_str(tls, "credentialName").n && an_get(dr->spec, "workloadSelector");
	return !an_str(tls, "caCertificates").n && !has_credential;
}

void an_ca_certificates(struct an_run *r)
{
	AN_EACH_OBJ(dr, r, AN_DESTINATION_RULE)
	{
		const struct cox_json *policy = an_get(dr->spec, "trafficPolicy"), *tls = an_get(policy, "tls");
		const struct cox_json *ports = an_get(policy, "portLevelSettings");
		if (is_blind(dr, tls))
			an_report(r, COX_AN_NO_CA_DESTINATION, dr, tls, COX_STR("spec.trafficPolicy.tls.caCertificates"),
			          "is missing: with mode %.*s nobody verifies that %.*s is who it says; name the authorities",
			          COX_FMT(an_str(tls, "mode")), COX_FMT(an_str(dr->spec, "host")));
		AN_EACH(p, ports)
		if (is_blind(dr, an_get(p, "tls")))
			an_report(r, COX_AN_NO_CA_PORT, dr, an_get(p, "tls"),
			          AN_PATH(r, "spec.trafficPolicy.portLevelSettings[%zu].tls.caCertificates", (size_t)(p - an_items(ports))),
			          "is missing: with mode %.*s nobody verifies that %.*s is who it says at port %d; name the authorities",
			          COX_FMT(cox_json_str_at(p, "tls.mode")), COX_FMT(an_str(dr->spec, "host")),
			          (int)an_i64(cox_json_at(p, "port.number"), 0));
	}
}

/* --- subsets ---------------------------------------------------------------------------------------------------- */

static bool is_node_label(struct cox_str key)
{
	static const char *const keys[] = { "kubernetes.io/hostname", "topology.kubernetes.io/region", "topology.kubernetes.io/zone",
		                            "topology.istio.io/subzone" };
	for (size_t i = 0; i < COX_LEN(keys); i++)
		if (cox_str_eq_cstr(key, keys[i]))
			return true;
	return false;
}

/* A label of a subset that no pod writes itself: the control plane knows it from the pod's node. */
static bool node_label_fits(struct an_run *r, const struct an_obj *pod, struct cox_str key, struct cox_str want)
{
	struct cox_str node_name = an_str(pod->spec, "nodeName");
	const struct an_obj *node = an_find(r, AN_NODE, COX_STR(""), node_name);
	struct cox_str have = COX_STR("");
	if (cox_str_eq_cstr(key, "kubernetes.io/hostname"))
		have = node_name;
	else if (node && is_node_label(key))
		have = an_text(cox_json_get(node->labels, key));
	return have.n && cox_str_eq(have, want);
}

static bool pod_fits(struct an_run *r, const struct an_obj *pod, const struct cox_json *labels)
{
	AN_EACH_MEMBER(l, labels)
	{
		const struct cox_json *own = cox_json_get(pod->labels, l->key);
		struct cox_str want = an_scalar(&l->value);
		if (own ? !cox_str_eq(an_scalar(own), want) : !node_label_fits(r, pod, l->key, want))
			return false;
	}
	return true;
}

static bool any_pod_fits(struct an_run *r, const struct cox_json *labels, const struct cox_json *more)
{
	struct an_list pods = an_pods(r, labels, COX_STR("")), all = r->all[AN_POD];
	AN_EACH_MEMBER(m, more)
	{ /* a subset's label overrides the workload selector's */
		if (cox_json_get(labels, m->key))
			continue;
		for (size_t i = 0; i < all.n; i++)
			if (pod_fits(r, all.p[i], labels) && pod_fits(r, all.p[i], more))
				return true;
		return false;
	}
	for (size_t i = 0; i < pods.n; i++)
		if (pod_fits(r, pods.p[i], labels))
			return true;
	bool has_node_label = false;
	AN_EACH_MEMBER(m, labels)
	has_node_label |= is_node_label(m->key);
	for (size_t i = 0; has_node_label && i < all.n; i++)
		if (pod_fits(r, all.p[i], labels))
			return true;
	return false;
}

void an_subsets(struct an_run *r)
{
	AN_EACH_OBJ(dr, r, AN_DESTINATION_RULE)
	{
		struct cox_str name = an_str(dr->spec, "host");
		const struct an_host *host = an_host_find(r, name, dr->ns, an_get(dr->spec, "exportTo"));
		const struct cox_json *subsets = an_get(dr->spec, "subsets");
		if (!host) {
			an_report(r, COX_AN_DR_HOST_UNKNOWN, dr, an_get(dr->spec, "host"), COX_STR("spec.host"),
			          "no service has the host %.*s: the rule has no effect; look for a typing error, or add a ServiceEntry",
			          COX_FMT(name));
			continue;
		}
		AN_EACH(s, subsets)
		if (!any_pod_fits(r, an_get(s, "labels"), host->selector))
			an_report(
			    r, COX_AN_SUBSET_EMPTY, dr, s, AN_PATH(r, "spec.subsets[%zu].labels", (size_t)(s - an_items(subsets))),
			    "no pod has the labels of subset %.*s (%.*s): requests to it fail with 503; mend the labels, or start such pods",
			    COX_FMT(an_str(s, "name")), COX_FMT(an_selector_text(r, an_get(s, "labels"))));
	}
}
