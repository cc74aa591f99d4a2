/*
 * The kubelet has no certificate: probes and HTTP life-cycle hooks of the application go to the agent, which asks the application on
 * loopback. ISTIO_KUBE_APP_PROBERS tells it how: {path: {httpGet|tcpSocket|grpc, timeoutSeconds}}.
 */
#include "inject/inject_priv.h"

static const struct {
	const char *field, *path;
} probes[] = { { "readinessProbe", "readyz" }, { "livenessProbe", "livez" }, { "startupProbe", "startupz" } };
static const struct {
	const char *field, *path;
} hooks[] = { { "preStop", "prestopz" }, { "postStart", "poststartz" } };
static const char *const kinds[] = { "httpGet", "tcpSocket", "grpc" };

/* The number behind a port's name. False: the container has no such port. */
static bool resolve_port(struct inject_job *j, const struct cox_json *container, struct cox_json *handler)
{
	const struct cox_json *port = cox_json_get(handler, COX_STR("port")), *ports = cox_json_get(container, COX_STR("ports"));
	if (!port || port->type == COX_JSON_NUMBER)
		return port != NULL;
	int64_t number;
	if (cox_str_to_i64(port->text, &number) == COX_OK) {
		cox_json_set(j->arena, handler, COX_STR("port"), cox_json_new_i64(j->arena, number));
		return true;
	}
	const struct cox_json *of = cox_json_get(inject_by_name(ports, port->text), COX_STR("containerPort"));
	if (of)
		cox_json_set(j->arena, handler, COX_STR("port"), of);
	return of != NULL;
}

/* Turns one handler (a probe, or a hook's action) to the agent. `probers` gets what the agent has to do. */
static void turn(struct inject_job *j, const struct cox_json *container, struct cox_json *holder, const char *what, struct cox_str path,
                 bool has_timeout, struct cox_json *probers)
{
	struct cox_str name = cox_json_str_at(container, "name"), status = cox_json_get(j->vars, COX_STR("statusPort"))->text;
	for (size_t k = 0; k < COX_LEN(kinds); k++) {
		struct cox_json *handler = inject_find_mutable(holder, kinds[k]);
		if (!handler || handler->type != COX_JSON_OBJECT)
			continue;
		/* Turned before. */
		if (cox_str_eq(inject_json_text(j->arena, cox_json_get(handler, COX_STR("port"))), status))
			return;
		struct cox_json *mine = cox_json_clone(j->arena, handler);
		if (!resolve_port(j, container, mine)) {
			inject_warn(
			    j,
			    "container %.*s: %s: the port \"%.*s\" is none of its ports; the probe stays as it is and fails under mutual TLS",
			    COX_FMT(name), what, COX_FMT(inject_json_text(j->arena, cox_json_get(handler, COX_STR("port")))));
			return;
		}
		struct cox_json *prober = cox_json_new_object(j->arena);
		cox_json_set(j->arena, prober, cox_str_of(kinds[k]), mine);
		const struct cox_json *timeout = cox_json_get(holder, COX_STR("timeoutSeconds"));
		if (has_timeout && timeout)
			cox_json_set(j->arena, prober, COX_STR("timeoutSeconds"), timeout);
		cox_json_set(j->arena, probers, path, prober);
		struct cox_json *get = cox_json_new_object(j->arena);
		inject_set_str(j, get, COX_STR("path"), path);
		cox_json_set(j->arena, get, COX_STR("port"), &(struct cox_json){ .type = COX_JSON_NUMBER, .text = status });
		const struct cox_json *headers = k == 0 ? cox_json_get(handler, COX_STR("httpHeaders")) : NULL;
		if (headers)
			cox_json_set(j->arena, get, COX_STR("httpHeaders"), headers);
		inject_remove(holder, cox_str_of(kinds[k]));
		cox_json_set(j->arena, holder, COX_STR("httpGet"), get);
		return;
	}
}

static void turn_container(struct inject_job *j, struct cox_json *container, struct cox_json *probers)
{
	struct cox_str name = cox_json_str_at(container, "name");
	for (size_t i = 0; i < COX_LEN(probes); i++) {
		struct cox_json *probe = inject_find_mutable(container, probes[i].field);
		if (probe && probe->type == COX_JSON_OBJECT)
			turn(j, container, probe, probes[i].field,
			     cox_arena_printf(j->arena, "/app-health/%.*s/%s", COX_FMT(name), probes[i].path), true, probers);
	}
	struct cox_json *lifecycle = inject_find_mutable(container, "lifecycle");
	for (size_t i = 0; lifecycle && i < COX_LEN(hooks); i++) {
		struct cox_json *hook = inject_find_mutable(lifecycle, hooks[i].field);
		if (hook && hook->type == COX_JSON_OBJECT)
			turn(j, container, hook, hooks[i].field,
			     cox_arena_printf(j->arena, "/app-lifecycle/%.*s/%s", COX_FMT(name), hooks[i].path), false, probers);
	}
}

void inject_probes_rewrite(struct inject_job *j, struct cox_json *proxy)
{
	/* The templates' word counts, too: Istio's for gRPC applications turns it off. */
	static const char key[] = "sidecar.istio.io/rewriteAppHTTPProbers";
	const struct cox_json *said = cox_json_get(cox_json_at(j->pod, "metadata.annotations"), cox_str_of(key));
	struct cox_str wanted = said ? said->text : inject_setting(j, NULL, "sidecarInjectorWebhook.rewriteAppHTTPProbe", "true");
	if (!cox_str_eq_cstr(wanted, "true") || cox_str_eq_cstr(cox_json_get(j->vars, COX_STR("statusPort"))->text, "0"))
		return;
	struct cox_json *probers = NULL;
	if (j->old_probers.n == 0 || cox_json_parse(j->arena, cox_arena_str(j->arena, j->old_probers), &probers, NULL) != COX_OK ||
	    probers->type != COX_JSON_OBJECT)
		probers = cox_json_new_object(j->arena);
	struct cox_json *spec = inject_find_mutable(j->pod, "spec");
	static const char *const lists[] = { "containers", "initContainers" };
	for (size_t l = 0; l < COX_LEN(lists); l++) {
		struct cox_json *list = inject_find_mutable(spec, lists[l]);
		for (size_t i = 0; list && list->type == COX_JSON_ARRAY && i < list->n; i++)
			if (&list->items[i] != proxy && !cox_str_eq_cstr(cox_json_str_at(&list->items[i], "name"), "istio-proxy"))
				turn_container(j, &list->items[i], probers);
	}
	if (probers->n > 0)
		inject_env_set(j, proxy, COX_STR("ISTIO_KUBE_APP_PROBERS"), inject_json_text(j->arena, probers));
}
