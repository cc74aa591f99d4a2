/* Sidecars: namespaces that ask for them, pods that lack them or run another one than the injector's. */
#include "analyze/analyze_priv.h"

#include "codec/yaml.h"
#include "model/proxy_config.h"

#include <stdlib.h>

/* The injector's values, as the ConfigMap of a revision has them. NULL: none. */
static const struct cox_json *values_of(struct an_run *r, const struct an_obj *config_map)
{
	struct cox_json *values = NULL;
	if (!config_map || cox_json_parse(r->arena, cox_json_str_at(config_map->doc, "data.values"), &values, NULL) != COX_OK)
		return NULL;
	return values;
}

static const struct an_obj *injector_of(struct an_run *r, struct cox_str revision)
{
	bool is_default = !revision.n || cox_str_eq_cstr(revision, "default");
	struct cox_str name = is_default ? COX_STR("istio-sidecar-injector") : AN_PATH(r, "istio-sidecar-injector-%.*s", COX_FMT(revision));
	const struct an_obj *own = an_find(r, AN_CONFIG_MAP, r->root_ns, name);
	if (own)
		return own;
	AN_EACH_OBJ(c, r, AN_CONFIG_MAP)
	if (cox_str_eq(c->name, name))
		return c;
	return NULL;
}

/* --- namespaces --------------------------------------------------------------------------------------------- */

static void check_labels(struct an_run *r, const struct an_obj *ns)
{
	static const char *const others[] = { "istio.io/rev", "istio.io/dataplane-mode" };
	struct cox_str names[3];
	bool has_old = an_has_label(ns, "istio-injection");
	size_t n = 0;
	if (has_old)
		names[n++] = AN_PATH(r, "istio-injection=%.*s", COX_FMT(an_label(ns, "istio-injection")));
	for (size_t i = 0; i < COX_LEN(others); i++)
		if (an_has_label(ns, others[i]) && (!has_old || cox_str_eq_cstr(an_label(ns, "istio-injection"), "enabled")))
			names[n++] = AN_PATH(r, "%s=%.*s", others[i], COX_FMT(an_label(ns, others[i])));
	if (n > 1)
		an_report(r, COX_AN_NS_MULTIPLE_LABELS, ns, ns->labels, COX_STR("metadata.labels"),
		          "%.*s contradict each other; keep one of them", COX_FMT(an_join(r, names, n, ", ")));
}

/* Whether its pods are to have sidecars by the label istio-injection. */
static bool check_namespace(struct an_run *r, const struct an_obj *ns)
{
	struct cox_str injection = an_label(ns, "istio-injection");
	if (cox_str_eq_cstr(ns->name, "istio-system"))
		return false;
	check_labels(r, ns);
	if (cox_str_eq_cstr(an_label(ns, "istio.io/dataplane-mode"), "ambient"))
		return false;
	if (!injection.n && !an_has_label(ns, "istio.io/rev")) {
		const struct cox_json *values = values_of(r, injector_of(r, COX_STR("")));
		const struct cox_json *all = cox_json_at(values, "sidecarInjectorWebhook.enableNamespacesByDefault");
		if (all && all->type == COX_JSON_BOOL && all->boolean)
			an_report(r, COX_AN_NS_INJECTED_BY_DEFAULT, ns, NULL, COX_STR("metadata.labels"),
			          "pods get sidecars though no label asks for them: the injector has enableNamespacesByDefault");
		else
			an_report(
			    r, COX_AN_NS_NOT_INJECTED, ns, NULL, COX_STR("metadata.labels"),
			    "pods get no sidecar; \"kubectl label namespace %.*s istio-injection=enabled\" gives them one, =disabled says that it "
			    "is meant so",
			    COX_FMT(ns->name));
		return false;
	}
	return cox_str_eq_cstr(injection, "enabled");
}

void an_injection(struct an_run *r)
{
	struct cox_map injected = { 0 };
	AN_EACH_OBJ(ns, r, AN_NAMESPACE)
	if (check_namespace(r, ns))
		cox_map_set(&injected, ns->name, ns);
	AN_EACH_OBJ(pod, r, AN_POD)
	{
		const struct cox_json *label = an_get(pod->labels, "sidecar.istio.io/inject"), *host = an_get(pod->spec, "hostNetwork");
		struct cox_str inject = label ? an_text(label) : an_annotation(pod, "sidecar.istio.io/inject");
		if (!cox_map_find(&injected, pod->ns) || cox_str_eq_nocase(inject, COX_STR("false")) ||
		    (host && host->type == COX_JSON_BOOL && host->boolean) || an_has_sidecar(pod->spec))
			continue;
		an_report(r, COX_AN_POD_MISSING_PROXY, pod, an_get(pod->spec, "containers"), COX_STR("spec.containers"),
		          "there is no sidecar, though the namespace asks for one; restart the workload");
	}
	cox_map_fini(&injected);
}

/* --- images ---------------------------------------------------------------------------------------------------- */

static struct cox_str image_of(struct an_run *r, const struct an_obj *injector)
{
	const struct cox_json *global = an_get(values_of(r, injector), "global");
	struct cox_str image = cox_json_str_at(global, "proxy.image");
	if (cox_str_find(image, '/') >= 0)
		return image;
	return AN_PATH(r, "%.*s/%.*s:%.*s", COX_FMT(an_str(global, "hub")), COX_FMT(image), COX_FMT(an_scalar(an_get(global, "tag"))));
}

static void override(struct cox_str *variant, const struct cox_json *config)
{
	struct cox_str type = cox_json_str_at(config, "image.imageType");
	if (type.n)
		*variant = type;
}

/* Which variant of the image a pod is to have: mesh, then ProxyConfigs, then its own annotation. */
static struct cox_str variant_of(struct an_run *r, const struct an_obj *pod)
{
	struct cox_str variant = COX_STR(""), own = an_annotation(pod, "proxy.istio.io/config");
	struct cox_json *config = NULL;
	override(&variant, an_get(r->opts->mesh, "defaultConfig"));
	for (int pass = 0; pass < 3; pass++) /* of the mesh, of the namespace, of the workload */
		AN_EACH_OBJ(pc, r, AN_PROXY_CONFIG)
		{
			const struct cox_json *selector = an_get(pc->spec, "selector");
			bool is_root = cox_str_eq(pc->ns, r->root_ns), is_here = cox_str_eq(pc->ns, pod->ns) && !is_root;
			if (pass == 0
			        ? is_root
			        : is_here && (pass == 2) == (selector != NULL) && an_selects(an_get(selector, "matchLabels"), pod->labels))
				override(&variant, pc->spec);
		}
	if (own.n && cox_yaml_one(r->arena, own, COX_JSON_BYTES_MAX, &config, NULL, NULL) == COX_OK)
		override(&variant, config);
	return cox_str_eq_cstr(variant, "default") ? COX_STR("") : variant;
}

static bool has_other_image(struct an_run *r, const struct an_obj *pod, struct cox_str want)
{
	static const char *const lists[] = { "containers", "initContainers" };
	for (size_t i = 0; i < COX_LEN(lists); i++)
		AN_EACH(c, an_get(pod->spec, lists[i]))
		{
			struct cox_str image = an_str(c, "image");
			if (!cox_str_eq_cstr(an_str(c, "name"), "istio-proxy") || cox_str_eq(image, want))
				continue;
			struct cox_str special = AN_PATH(r, "%.*s-%.*s", COX_FMT(want), COX_FMT(variant_of(r, pod)));
			if (!cox_str_eq(image, special))
				return true;
		}
	return false;
}

static void check_images(struct an_run *r, const struct an_obj *ns)
{
	struct an_list pods = an_pods(r, NULL, ns->name);
	const struct an_obj *injector = injector_of(r, an_label(ns, "istio.io/rev"));
	if (!injector || !pods.n)
		return;
	struct cox_str want = image_of(r, injector), *names = COX_ARENA_ARRAY(r->arena, struct cox_str, pods.n);
	size_t n = 0;
	for (size_t i = 0; i < pods.n; i++)
		if (!an_annotation(pods.p[i], "sidecar.istio.io/proxyImage").n && has_other_image(r, pods.p[i], want))
			names[n++] = pods.p[i]->name;
	if (n)
		an_report(r, COX_AN_IMAGE_MISMATCH, ns, NULL, COX_STR(""),
		          "pods %.*s run another sidecar than %.*s, which the injector puts in; restart them, as after an upgrade",
		          COX_FMT(an_join(r, names, n, ", ")), COX_FMT(want));
}

void an_injection_image(struct an_run *r)
{
	AN_EACH_OBJ(ns, r, AN_NAMESPACE)
	if (cox_str_eq_cstr(an_label(ns, "istio-injection"), "enabled") || an_has_label(ns, "istio.io/rev"))
		check_images(r, ns);
}

/* --- image: auto -------------------------------------------------------------------------------------------------- */

static bool has_auto_image(const struct cox_json *pod_spec)
{
	AN_EACH(c, an_get(pod_spec, "containers"))
	if (cox_str_eq_cstr(an_str(c, "name"), "istio-proxy") && cox_str_eq_cstr(an_str(c, "image"), "auto"))
		return true;
	return false;
}

static bool is_injected(struct an_run *r, struct cox_str ns, const struct cox_json *pod_labels)
{
	const struct an_obj *n = an_find(r, AN_NAMESPACE, COX_STR(""), ns);
	AN_EACH_OBJ(config, r, AN_MUTATING_WEBHOOK)
	AN_EACH(hook, an_get(config->doc, "webhooks"))
	if (cox_str_has_suffix(an_str(hook, "name"), COX_STR("istio.io")) &&
	    an_label_selector_matches(an_get(hook, "namespaceSelector"), n ? n->labels : NULL) &&
	    an_label_selector_matches(an_get(hook, "objectSelector"), pod_labels))
		return true;
	return false;
}

void an_image_auto(struct an_run *r)
{
	AN_EACH_OBJ(pod, r, AN_POD)
	if (has_auto_image(pod->spec))
		an_report(r, COX_AN_IMAGE_AUTO_ERROR, pod, an_get(pod->spec, "containers"), COX_STR("spec.containers"),
		          "has \"image: auto\": no webhook put the image in; check the labels of pod and namespace, and restart it");
	AN_EACH_OBJ(d, r, AN_DEPLOYMENT)
	{
		const struct cox_json *template = an_get(d->spec, "template");
		if (has_auto_image(an_get(template, "spec")) && !is_injected(r, d->ns, cox_json_at(template, "metadata.labels")))
			an_report(
			    r, COX_AN_IMAGE_AUTO_WARNING, d, template, COX_STR("spec.template.spec.containers"),
			    "has \"image: auto\", and no injection webhook selects its pods; set the label sidecar.istio.io/inject, or that of the "
			    "namespace");
	}
}
