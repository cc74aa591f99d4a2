/* convert_smi - Service Mesh Interface. TrafficMetrics is not here: it is an aggregated API, which coxswaind does not serve (README). */
#include "convert/smi_priv.h"

static void convert(struct convert_run *run)
{
	const struct cox_object *const *udp;
	size_t n = convert_list(run, COX_KIND_SMI_UDP_ROUTE, &udp);
	for (size_t i = 0; i < n; i++)
		convert_finding(run, udp[i], COX_SEV_WARNING, (struct cox_str){ 0 }, "has no effect: proxies carry no UDP");
	smi_splits_convert(run);
	smi_targets_check(run);
}

static const enum cox_kind inputs[] = { COX_KIND_TRAFFIC_SPLIT, COX_KIND_TRAFFIC_TARGET, COX_KIND_SMI_UDP_ROUTE };
const struct convert_family convert_smi = {
	.name = "smi",
	.inputs = inputs,
	.input_n = COX_LEN(inputs),
	.convert = convert,
};
