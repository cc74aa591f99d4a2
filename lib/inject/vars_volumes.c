/* Volumes of the proxy and where it finds them (protocol facts, section 16). */
#include "inject/inject_priv.h"

static const struct {
	const char *name, *mount, *source; /* source: JSON, NULL: depends */
} usual[] = {
	{ "workload-socket", "/var/run/secrets/workload-spiffe-uds", "{\"emptyDir\":{}}" },
	{ "credential-socket", "/var/run/secrets/credential-uds", "{\"emptyDir\":{}}" },
	{ "workload-certs", "/var/run/secrets/workload-spiffe-credentials", "{\"emptyDir\":{}}" },
	{ "istiod-ca-cert", "/var/run/secrets/istio", NULL },
	{ "istio-ca-crl", "/var/run/secrets/istio/crl", "{\"configMap\":{\"name\":\"istio-ca-crl\",\"optional\":true}}" },
	{ "istio-data", "/var/lib/istio/data", "{\"emptyDir\":{}}" },
	{ "istio-envoy", "/etc/istio/proxy", "{\"emptyDir\":{\"medium\":\"Memory\"}}" },
	{ "istio-token", "/var/run/secrets/tokens", NULL },
	{ "istio-podinfo", "/etc/istio/pod",
	  "{\"downwardAPI\":{\"items\":[{\"path\":\"labels\",\"fieldRef\":{\"fieldPath\":\"metadata.labels\"}},"
	  "{\"path\":\"annotations\",\"fieldRef\":{\"fieldPath\":\"metadata.annotations\"}}]}}" },
};

static struct cox_str source_of(struct inject_job *j, size_t i)
{
	if (usual[i].source)
		return cox_str_of(usual[i].source);
	if (cox_str_eq_cstr(cox_str_of(usual[i].name), "istiod-ca-cert"))
		return cox_arena_printf(j->arena, "{\"configMap\":{\"name\":\"%.*s\"}}",
		                        COX_FMT(inject_setting(j, NULL, "global.trustBundleName", "istio-ca-root-cert")));
	return cox_arena_printf(
	    j->arena,
	    "{\"projected\":{\"sources\":[{\"serviceAccountToken\":{\"path\":\"istio-token\",\"expirationSeconds\":43200,"
	    "\"audience\":\"%.*s\"}}]}}",
	    COX_FMT(inject_setting(j, NULL, "global.sds.token.aud", "istio-ca")));
}

static struct cox_json *named(struct inject_job *j, struct cox_str name, const struct cox_json *rest)
{
	struct cox_json *o = cox_json_new_object(j->arena);
	inject_set_str(j, o, COX_STR("name"), name);
	for (size_t i = 0; i < rest->n; i++)
		cox_json_set(j->arena, o, rest->members[i].key, &rest->members[i].value);
	return o;
}

/* Annotations userVolume and userVolumeMount: an object by name, or a list of objects with names. */
static enum cox_rc push_users(struct inject_job *j, const char *annotation, struct cox_json *list)
{
	struct cox_str text = inject_annotation(j, annotation, NULL);
	struct cox_json *v = NULL;
	struct cox_err inner = { 0 };
	if (text.n == 0)
		return COX_OK;
	if (cox_json_parse(j->arena, cox_arena_str(j->arena, text), &v, &inner) != COX_OK ||
	    (v->type != COX_JSON_OBJECT && v->type != COX_JSON_ARRAY))
		return cox_err_set(j->err, COX_EINVAL, annotation, "not a JSON object or list of volumes: %s", inner.text);
	for (size_t i = 0; i < v->n; i++) {
		const struct cox_json *item = v->type == COX_JSON_OBJECT ? &v->members[i].value : &v->items[i];
		struct cox_str name = v->type == COX_JSON_OBJECT ? v->members[i].key : cox_json_str_at(item, "name");
		if (item->type != COX_JSON_OBJECT || name.n == 0)
			return cox_err_set(j->err, COX_EINVAL, annotation, "item %zu: an object with a name is wanted", i);
		cox_json_push(j->arena, list, named(j, name, item));
	}
	return COX_OK;
}

static void push_mount(struct inject_job *j, struct cox_json *mounts, const char *name, const char *path)
{
	struct cox_json *mount = cox_json_new_object(j->arena);
	inject_set_str(j, mount, COX_STR("name"), cox_str_of(name));
	inject_set_str(j, mount, COX_STR("mountPath"), cox_str_of(path));
	cox_json_push(j->arena, mounts, mount);
}

enum cox_rc inject_vars_volumes(struct inject_job *j)
{
	struct cox_json *volumes = cox_json_new_array(j->arena), *mounts = cox_json_new_array(j->arena), *source = NULL;
	for (size_t i = 0; i < COX_LEN(usual); i++) {
		enum cox_rc rc = cox_json_parse(j->arena, source_of(j, i), &source, j->err);
		if (rc != COX_OK) /* a value with a quote in it */
			return rc;
		cox_json_push(j->arena, volumes, named(j, cox_str_of(usual[i].name), source));
		push_mount(j, mounts, usual[i].name, usual[i].mount);
	}
	struct cox_str bootstrap = inject_annotation(j, "sidecar.istio.io/bootstrapOverride", NULL);
	if (bootstrap.n) {
		struct cox_json *config = cox_json_new_object(j->arena);
		inject_set_str(j, inject_member(j, config, "configMap", COX_JSON_OBJECT), COX_STR("name"), bootstrap);
		cox_json_push(j->arena, volumes, named(j, COX_STR("custom-bootstrap-volume"), config));
		push_mount(j, mounts, "custom-bootstrap-volume", "/etc/istio/custom-bootstrap");
	}
	if (inject_value_is_true(j, "global.mountMtlsCerts")) {
		enum cox_rc rc = cox_json_parse(j->arena,
		                                cox_arena_printf(j->arena, "{\"secret\":{\"optional\":true,\"secretName\":\"istio.%.*s\"}}",
		                                                 COX_FMT(cox_json_get(j->vars, COX_STR("serviceAccount"))->text)),
		                                &source, j->err);
		if (rc != COX_OK)
			return rc;
		cox_json_push(j->arena, volumes, named(j, COX_STR("istio-certs"), source));
		push_mount(j, mounts, "istio-certs", "/etc/certs/");
		cox_json_set(j->arena, &mounts->items[mounts->n - 1], COX_STR("readOnly"), cox_json_new_bool(j->arena, true));
	}
	enum cox_rc rc = push_users(j, "sidecar.istio.io/userVolume", volumes);
	if (rc == COX_OK)
		rc = push_users(j, "sidecar.istio.io/userVolumeMount", mounts);
	inject_var(j, "volumes", volumes);
	inject_var(j, "volumeMounts", mounts);
	return rc;
}
