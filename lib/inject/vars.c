/* What the templates name: images, arguments, environment, probes, volumes of the proxy, from values, ProxyConfig, annotations. */
#include "inject/inject_priv.h"

#include "model/proxy_config.h"

void inject_var(struct inject_job *j, const char *name, const struct cox_json *value)
{
	if (value)
		cox_json_set(j->arena, j->vars, cox_str_of(name), value);
}

void inject_var_str(struct inject_job *j, const char *name, struct cox_str value)
{
	cox_json_set(j->arena, j->vars, cox_str_of(name), &(struct cox_json){ .type = COX_JSON_STRING, .text = value });
}

static void var_bool(struct inject_job *j, const char *name, bool value) { inject_var(j, name, cox_json_new_bool(j->arena, value)); }

/* A number where the text is one: ids and ports in a pod's spec. */
static void var_number(struct inject_job *j, const char *name, struct cox_str text)
{
	inject_var(j, name, &(struct cox_json){ .type = COX_JSON_NUMBER, .text = text });
}

/* Of text in our own notation, which cannot be wrong. */
static struct cox_json *flow(struct inject_job *j, struct cox_str text)
{
	struct cox_json *out = NULL;
	enum cox_rc rc = cox_json_parse(j->arena, cox_arena_str(j->arena, text), &out, NULL);
	COX_ASSERT(rc == COX_OK);
	return out;
}

/* --- ProxyConfig ---------------------------------------------------------------------------------------- */

static enum cox_rc merge_proxy_config(struct inject_job *j)
{
	struct cox_diags diags = { .arena = j->arena };
	j->proxy_config = cox_proxy_config_effective(j->c->default_config, j->c->proxy_configs, j->c->proxy_config_n, j->c->root_ns,
	                                             j->r->ns, j->sorted_labels.p, j->sorted_labels.n,
	                                             inject_annotation(j, "proxy.istio.io/config", NULL), j->arena, &diags);
	for (size_t i = 0; i < diags.n; i++) {
		if (diags.items[i].severity == COX_SEV_ERROR)
			return cox_err_set(j->err, COX_EINVAL, "metadata.annotations[proxy.istio.io/config]", "%.*s: %.*s",
			                   COX_FMT(diags.items[i].path), COX_FMT(diags.items[i].text));
		inject_warn(j, "annotation %.*s: %.*s", COX_FMT(diags.items[i].path), COX_FMT(diags.items[i].text));
	}
	return COX_OK;
}

static struct cox_str config_text(struct inject_job *j, const char *dotted)
{
	return inject_json_text(j->arena, cox_json_at(j->proxy_config, dotted));
}

/* --- who the workload is ---------------------------------------------------------------------------------- */

static struct cox_str or_else(struct cox_str a, struct cox_str b) { return a.n > 0 ? a : b; }

static void set_workload(struct inject_job *j)
{
	struct cox_str name = or_else(inject_label(j, "service.istio.io/canonical-name"),
	                              or_else(inject_label(j, "app.kubernetes.io/name"), or_else(inject_label(j, "app"), j->owner_name)));
	name = cox_str_sub(name, 0, 63); /* a label's value */
	while (name.n > 0 && name.p[name.n - 1] == '-')
		name.n--;
	inject_var_str(j, "canonicalName", name);
	inject_var_str(
	    j, "canonicalRevision",
	    or_else(inject_label(j, "service.istio.io/canonical-revision"),
	            or_else(inject_label(j, "app.kubernetes.io/version"), or_else(inject_label(j, "version"), COX_STR("latest")))));
	inject_var_str(j, "tlsMode", or_else(inject_label(j, "security.istio.io/tlsMode"), COX_STR("istio")));
	inject_var_str(j, "revision", or_else(j->c->revision, COX_STR("default")));
	inject_var_str(j, "serviceAccount", or_else(cox_json_str_at(j->spec, "serviceAccountName"), COX_STR("default")));
	const struct cox_json *containers = cox_json_get(j->spec, COX_STR("containers"));
	for (size_t i = 0; containers && i < containers->n; i++) {
		struct cox_str first = cox_json_str_at(&containers->items[i], "name");
		if (cox_str_eq_cstr(first, "istio-proxy"))
			continue;
		bool has_logs, has_default;
		inject_annotation(j, "kubectl.kubernetes.io/default-logs-container", &has_logs);
		inject_annotation(j, "kubectl.kubernetes.io/default-container", &has_default);
		if (!has_logs)
			inject_var_str(j, "defaultLogsContainer", first);
		if (!has_default)
			inject_var_str(j, "defaultContainer", first);
		break;
	}
}

/* --- images ------------------------------------------------------------------------------------------------ */

static const char *const image_types[] = { "distroless", "debug" };

/* "1.2.3" and "distroless" -> "1.2.3-distroless"; a type that the tag has already is replaced. */
static struct cox_str typed_tag(struct inject_job *j, struct cox_str tag)
{
	struct cox_str type = inject_annotation(j, "sidecar.istio.io/proxyImageType", NULL);
	if (type.n == 0)
		type = config_text(j, "image.imageType");
	if (type.n == 0)
		return tag;
	for (size_t i = 0; i < COX_LEN(image_types); i++) {
		struct cox_str suffix = cox_arena_printf(j->arena, "-%s", image_types[i]);
		if (cox_str_has_suffix(tag, suffix))
			tag.n -= suffix.n;
	}
	return cox_str_eq_cstr(type, "default") ? tag : cox_arena_printf(j->arena, "%.*s-%.*s", COX_FMT(tag), COX_FMT(type));
}

/* A value with a slash or a colon is a whole image; else it is a name below the hub. */
static struct cox_str image_of(struct inject_job *j, const char *dotted)
{
	struct cox_str name = inject_value(j, dotted);
	if (name.n == 0)
		name = COX_STR("proxy");
	if (cox_str_find(name, '/') >= 0 || cox_str_find(name, ':') >= 0)
		return name;
	struct cox_str hub = or_else(inject_value(j, "global.hub"), COX_STR("coxswain.io")),
	               tag = or_else(inject_value(j, "global.tag"), COX_STR("latest"));
	return cox_arena_printf(j->arena, "%.*s/%.*s:%.*s", COX_FMT(hub), COX_FMT(name), COX_FMT(typed_tag(j, tag)));
}

static void set_images(struct inject_job *j)
{
	struct cox_str own = inject_annotation(j, "sidecar.istio.io/proxyImage", NULL);
	struct cox_str image = own.n ? own : image_of(j, "global.proxy.image");
	inject_var_str(j, "image", image);
	inject_var_str(
	    j, "initImage",
	    own.n ? own : image_of(j, inject_value(j, "global.proxy_init.image").n ? "global.proxy_init.image" : "global.proxy.image"));
	inject_var_str(j, "imagePullPolicy", or_else(inject_value(j, "global.imagePullPolicy"), COX_STR("IfNotPresent")));
	/* Istio's image brings pilot-agent, ours cox-agent; both take the same arguments. */
	struct cox_str agent = inject_value(j, "global.proxy.agent");
	inject_var_str(j, "agent",
	               agent.n                                          ? agent
	               : cox_str_search(image, COX_STR("proxyv2")) >= 0 ? COX_STR("pilot-agent")
	                                                                : COX_STR("cox-agent"));
	const struct cox_json *secrets = cox_json_at(j->c->values, "global.imagePullSecrets");
	struct cox_json *list = cox_json_new_array(j->arena);
	for (size_t i = 0; secrets && secrets->type == COX_JSON_ARRAY && i < secrets->n; i++) {
		const struct cox_json *s = &secrets->items[i];
		struct cox_json *o = cox_json_new_object(j->arena);
		inject_set_str(j, o, COX_STR("name"),
		               s->type == COX_JSON_OBJECT ? cox_json_str_at(s, "name") : inject_json_text(j->arena, s));
		cox_json_push(j->arena, list, o);
	}
	if (list->n > 0)
		inject_var(j, "imagePullSecrets", list);
}

/* --- resources, security ------------------------------------------------------------------------------------ */

static void set_resources(struct inject_job *j)
{
	static const struct {
		const char *annotation, *list, *resource;
	} rows[] = { { "sidecar.istio.io/proxyCPU", "requests", "cpu" },
		     { "sidecar.istio.io/proxyMemory", "requests", "memory" },
		     { "sidecar.istio.io/proxyCPULimit", "limits", "cpu" },
		     { "sidecar.istio.io/proxyMemoryLimit", "limits", "memory" } };
	struct cox_json *own = cox_json_new_object(j->arena);
	for (size_t i = 0; i < COX_LEN(rows); i++) {
		struct cox_str v = inject_annotation(j, rows[i].annotation, NULL);
		if (v.n > 0)
			inject_set_str(j, inject_member(j, own, rows[i].list, COX_JSON_OBJECT), cox_str_of(rows[i].resource), v);
	}
	const struct cox_json *values = cox_json_at(j->c->values, "global.proxy.resources");
	const struct cox_json *usual =
	    values ? values
	           : flow(j, COX_STR("{\"requests\":{\"cpu\":\"10m\",\"memory\":\"64Mi\"},\"limits\":{\"cpu\":\"2\",\"memory\":\"1Gi\"}}"));
	inject_var(j, "resources", own->n ? own : usual);
	const struct cox_json *gateway = cox_json_at(j->c->values, "global.gateway.resources");
	/* A gateway's are its Deployment's business; none are made up for it. */
	inject_var(j, "gatewayResources", own->n ? own : gateway);
}

static void set_security(struct inject_job *j, bool tproxy)
{
	bool core_dump = inject_value_is_true(j, "global.proxy.enableCoreDump");
	var_bool(j, "coreDump", core_dump);
	var_bool(j, "privileged", inject_value_is_true(j, "global.proxy.privileged"));
	var_bool(j, "readOnlyRoot", !core_dump);
	var_bool(j, "proxyNonRoot", !tproxy);
	struct cox_str uid = cox_arena_printf(j->arena, "%lld", (long long)(tproxy ? 1337 : j->uid)),
	               gid = cox_arena_printf(j->arena, "%lld", (long long)(tproxy ? 1337 : j->gid));
	inject_var_str(j, "proxyUid", uid);
	var_number(j, "proxyUidNumber", uid);
	var_number(j, "proxyGidNumber", gid);
	/* A transparent socket needs NET_ADMIN, which only root of the pod keeps. */
	var_number(j, "proxyUserNumber", tproxy ? COX_STR("0") : uid);
	if (tproxy)
		inject_var(j, "proxyCapabilities", flow(j, COX_STR("[\"NET_ADMIN\"]")));
	const struct cox_json *seccomp = cox_json_at(j->c->values, "global.proxy.seccompProfile");
	if (seccomp && seccomp->type == COX_JSON_OBJECT && seccomp->n)
		inject_var(j, "seccompProfile", seccomp);
	/* Ports below 1024 without a capability, since Linux 4.11. */
	const struct cox_json *sysctls = cox_json_at(j->spec, "securityContext.sysctls");
	if (!sysctls)
		inject_var(j, "gatewaySysctls", flow(j, COX_STR("[{\"name\":\"net.ipv4.ip_unprivileged_port_start\",\"value\":\"0\"}]")));
}

/* --- probes and life cycle of the proxy ----------------------------------------------------------------------- */

/* A count or a number of seconds; what is none is told, and `usual` taken. */
static const struct cox_json *number_of(struct inject_job *j, const char *what, struct cox_str v, int64_t usual)
{
	int64_t n;
	if (cox_str_to_i64(v, &n) != COX_OK || n < 0 || n > INT32_MAX) {
		inject_warn(j, "%s: \"%.*s\" is no number; %lld is taken", what, COX_FMT(v), (long long)usual);
		n = usual;
	}
	return cox_json_new_i64(j->arena, n);
}

static enum cox_rc set_status_port(struct inject_job *j)
{
	struct cox_str port = inject_setting(j, "status.sidecar.istio.io/port", "global.proxy.statusPort", "15020");
	uint64_t n;
	if (cox_str_to_u64(port, &n) != COX_OK || n > 65535)
		return cox_err_set(j->err, COX_EINVAL, "metadata.annotations[status.sidecar.istio.io/port]", "\"%.*s\" is no port",
		                   COX_FMT(port));
	inject_var_str(j, "statusPort", cox_json_new_i64(j->arena, (int64_t)n)->text);
	return COX_OK;
}

static void set_probes(struct inject_job *j)
{
	static const struct {
		const char *name, *dotted, *usual_text;
		int64_t usual;
	} rows[] = { { "initialDelaySeconds", "global.proxy.readinessInitialDelaySeconds", "1", 1 },
		     { "periodSeconds", "global.proxy.readinessPeriodSeconds", "15", 15 },
		     { "failureThreshold", "global.proxy.readinessFailureThreshold", "4", 4 } };
	if (cox_str_eq_cstr(cox_json_get(j->vars, COX_STR("statusPort"))->text, "0"))
		return;
	const struct cox_json *enabled = cox_json_at(j->c->values, "global.proxy.startupProbe.enabled");
	if (!enabled || enabled->boolean) {
		struct cox_json *startup =
		    flow(j, COX_STR("{\"httpGet\":{\"path\":\"/healthz/ready\",\"port\":15021},\"initialDelaySeconds\":0,"
		                    "\"periodSeconds\":1,\"timeoutSeconds\":3}"));
		struct cox_str v = inject_setting(j, NULL, "global.proxy.startupProbe.failureThreshold", "600");
		cox_json_set(j->arena, startup, COX_STR("failureThreshold"),
		             number_of(j, "global.proxy.startupProbe.failureThreshold", v, 600));
		inject_var(j, "startupProbe", startup);
	}
	struct cox_json *probe = flow(j, COX_STR("{\"httpGet\":{\"path\":\"/healthz/ready\",\"port\":15021},\"timeoutSeconds\":3}"));
	for (size_t i = 0; i < COX_LEN(rows); i++) {
		struct cox_str key = cox_arena_printf(j->arena, "readiness.status.sidecar.istio.io/%s", rows[i].name);
		struct cox_str v = inject_setting(j, key.p, rows[i].dotted, rows[i].usual_text);
		cox_json_set(j->arena, probe, cox_str_of(rows[i].name), number_of(j, key.p, v, rows[i].usual));
	}
	inject_var(j, "readinessProbe", probe);
}

/* {<hook>: {exec: {command: [agent, words...]}}} */
static struct cox_json *hook_of(struct inject_job *j, const char *hook, const struct cox_str *words, size_t n)
{
	struct cox_json *o = cox_json_new_object(j->arena);
	struct cox_json *exec = inject_member(j, inject_member(j, o, hook, COX_JSON_OBJECT), "exec", COX_JSON_OBJECT);
	struct cox_json *command = inject_member(j, exec, "command", COX_JSON_ARRAY);
	for (size_t i = 0; i < n; i++)
		cox_json_push(j->arena, command, cox_json_new_str(j->arena, words[i]));
	return o;
}

static void set_lifecycle(struct inject_job *j)
{
	struct cox_str agent = cox_json_get(j->vars, COX_STR("agent"))->text, port = cox_json_get(j->vars, COX_STR("statusPort"))->text;
	const struct cox_json *values = cox_json_at(j->c->values, "global.proxy.lifecycle");
	struct cox_str wait[] = { agent, COX_STR("wait") },
	               drain[] = { agent, COX_STR("request"), cox_arena_printf(j->arena, "--debug-port=%.*s", COX_FMT(port)),
		                   COX_STR("POST"), COX_STR("drain") };
	if (values && values->type == COX_JSON_OBJECT && values->n)
		inject_var(j, "lifecycle", values);
	else if (j->hold)
		inject_var(j, "lifecycle", hook_of(j, "postStart", wait, COX_LEN(wait)));
	else if (j->native)
		inject_var(j, "lifecycle", hook_of(j, "preStop", drain, COX_LEN(drain)));
	if (j->native)
		inject_var_str(j, "nativeRestartPolicy", COX_STR("Always"));
	var_bool(j, "native", j->native);
}

static void set_arguments(struct inject_job *j)
{
	inject_var_str(j, "clusterDomain", or_else(inject_value(j, "global.proxy.clusterDomain"), COX_STR("cluster.local")));
	inject_var_str(j, "logLevel", inject_setting(j, "sidecar.istio.io/logLevel", "global.proxy.logLevel", "warning"));
	inject_var_str(j, "componentLogLevel",
	               inject_setting(j, "sidecar.istio.io/componentLogLevel", "global.proxy.componentLogLevel", "misc:error"));
	inject_var_str(j, "agentLogLevel", inject_setting(j, "sidecar.istio.io/agentLogLevel", "global.logging.level", "default:info"));
	struct cox_json *more = cox_json_new_array(j->arena);
	struct cox_str sts = inject_value(j, "global.sts.servicePort");
	if (sts.n && !cox_str_eq_cstr(sts, "0"))
		cox_json_push(j->arena, more, cox_json_new_str(j->arena, cox_arena_printf(j->arena, "--stsPort=%.*s", COX_FMT(sts))));
	if (inject_value_is_true(j, "global.logAsJson"))
		cox_json_push(j->arena, more, cox_json_new_str(j->arena, COX_STR("--log_as_json")));
	inject_var(j, "proxyArgs", more);
}

enum cox_rc inject_vars_build(struct inject_job *j)
{
	enum cox_rc rc = merge_proxy_config(j);
	if (rc != COX_OK)
		return rc;
	j->vars = cox_json_new_object(j->arena);
	struct cox_str native = inject_annotation(j, "sidecar.istio.io/nativeSidecar", NULL);
	j->native = native.n ? cox_str_eq_cstr(native, "true") : j->r->native_sidecars;
	j->hold = !j->native && (cox_str_eq_cstr(config_text(j, "holdApplicationUntilProxyStarts"), "true") ||
	                         inject_value_is_true(j, "global.proxy.holdApplicationUntilProxyStarts"));
	struct cox_str mode = inject_annotation(j, "sidecar.istio.io/interceptionMode", NULL);
	mode = or_else(mode, or_else(config_text(j, "interceptionMode"), COX_STR("REDIRECT")));
	if (!cox_str_eq_cstr(mode, "REDIRECT") && !cox_str_eq_cstr(mode, "TPROXY") && !cox_str_eq_cstr(mode, "NONE"))
		return cox_err_set(j->err, COX_EINVAL, "metadata.annotations[sidecar.istio.io/interceptionMode]",
		                   "\"%.*s\": REDIRECT, TPROXY or NONE", COX_FMT(mode));
	inject_var_str(j, "interceptionMode", mode);
	set_workload(j);
	set_images(j);
	set_resources(j);
	set_security(j, cox_str_eq_cstr(mode, "TPROXY"));
	rc = set_status_port(j);
	if (rc != COX_OK)
		return rc;
	set_probes(j);
	set_lifecycle(j);
	set_arguments(j);
	inject_vars_capture(j);
	rc = inject_vars_env(j);
	return rc == COX_OK ? inject_vars_volumes(j) : rc;
}
