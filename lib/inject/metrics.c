/* The application's metrics, the agent's and Envoy's at one address: what Prometheus was told of the application is handed to the agent. */
#include "inject/inject_priv.h"

/* Ports of the proxy itself (protocol facts, section 1). */
static const char *const reserved[] = { "15000", "15001", "15004", "15006", "15008", "15020", "15021", "15053", "15090" };

static bool is_merged(struct inject_job *j)
{
	struct cox_str said = inject_annotation(j, "prometheus.istio.io/merge-metrics", NULL);
	if (said.n == 0)
		said = inject_json_text(j->arena, cox_json_get(j->c->mesh, COX_STR("enablePrometheusMerge")));
	return said.n == 0 || cox_str_eq_cstr(said, "true");
}

static struct cox_str either(const struct inject_job *j, const char *key, const char *older)
{
	struct cox_str v = inject_annotation(j, key, NULL);
	return v.n ? v : inject_annotation(j, older, NULL);
}

enum cox_rc inject_metrics_merge(struct inject_job *j, struct cox_json *proxy)
{
	struct cox_str scrape = either(j, "prometheus.io/scrape", "prometheus.io.scrape"),
	               port = either(j, "prometheus.io/port", "prometheus.io.port"),
	               path = either(j, "prometheus.io/path", "prometheus.io.path"),
	               status = cox_json_get(j->vars, COX_STR("statusPort"))->text;
	if (!is_merged(j) || cox_str_eq_cstr(scrape, "false") || cox_str_eq_cstr(status, "0"))
		return COX_OK;
	if (j->old_scrape.n > 0) {
		/* Injected before: the annotations are ours already. */
		if (proxy)
			inject_env_set(j, proxy, COX_STR("ISTIO_PROMETHEUS_ANNOTATIONS"), j->old_scrape);
	} else if (scrape.n > 0 && !(j->old_status && cox_str_eq(port, status))) {
		for (size_t i = 0; i < COX_LEN(reserved); i++)
			if (!j->is_gateway && cox_str_eq_cstr(port, reserved[i]))
				return cox_err_set(
				    j->err, COX_EINVAL, "metadata.annotations[prometheus.io/port]",
				    "%s is a port of the proxy, not the application's; name the application's, or set prometheus.istio.io/merge-metrics: \"false\"",
				    reserved[i]);
		struct cox_json *told = cox_json_new_object(j->arena);
		inject_set_str(j, told, COX_STR("scrape"), scrape);
		inject_set_str(j, told, COX_STR("path"), path);
		inject_set_str(j, told, COX_STR("port"), port);
		if (!j->is_gateway && proxy)
			inject_env_set(j, proxy, COX_STR("ISTIO_PROMETHEUS_ANNOTATIONS"), inject_json_text(j->arena, told));
	}
	struct cox_json *annotations =
	    inject_member(j, inject_member(j, j->pod, "metadata", COX_JSON_OBJECT), "annotations", COX_JSON_OBJECT);
	inject_set_str(j, annotations, COX_STR("prometheus.io/scrape"), COX_STR("true"));
	inject_set_str(j, annotations, COX_STR("prometheus.io/port"), status);
	inject_set_str(j, annotations, COX_STR("prometheus.io/path"), COX_STR("/stats/prometheus"));
	return COX_OK;
}
