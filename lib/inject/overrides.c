/*
 * What a user wrote into containers that the injector makes (istio-proxy above all) wins over the template, and is remembered in an
 * annotation, so that injecting an injected pod (another webhook changed it, reinvocationPolicy: IfNeeded) gives the same again.
 */
#include "inject/inject_priv.h"

static const char overrides_key[] = "proxy.istio.io/overrides", status_key[] = "sidecar.istio.io/status";
static const char *const lists[] = { "containers", "initContainers" };

static enum cox_rc parse_annotation(struct inject_job *j, const char *key, struct cox_json **out)
{
	struct cox_str text = inject_annotation(j, key, NULL);
	struct cox_err inner = { 0 };
	*out = NULL;
	if (text.n == 0)
		return COX_OK;
	if (cox_json_parse(j->arena, cox_arena_str(j->arena, text), out, &inner) != COX_OK || (*out)->type != COX_JSON_OBJECT)
		return cox_err_set(j->err, COX_EINVAL, key, "annotation of an earlier injection cannot be read: %s", inner.text);
	return COX_OK;
}

/* The environment of the earlier proxy that later steps need, since what it was made from is gone. */
static void remember_env(struct inject_job *j, const struct cox_json *container)
{
	const struct cox_json *env = cox_json_get(container, COX_STR("env"));
	const struct cox_json *probers = inject_by_name(env, COX_STR("ISTIO_KUBE_APP_PROBERS")),
	                      *scrape = inject_by_name(env, COX_STR("ISTIO_PROMETHEUS_ANNOTATIONS"));
	if (probers)
		j->old_probers = cox_json_str_at(probers, "value");
	if (scrape)
		j->old_scrape = cox_json_str_at(scrape, "value");
}

/* Takes the containers of an earlier injection out, and puts the user's own parts back in. */
static void take_back(struct inject_job *j, const char *list, const struct cox_json *status, const struct cox_json *overrides)
{
	const struct cox_json *names = cox_json_get(status, cox_str_of(list)), *own = cox_json_get(overrides, cox_str_of(list));
	struct cox_json *have = inject_find_mutable((struct cox_json *)j->spec, list);
	for (size_t i = have && have->type == COX_JSON_ARRAY ? have->n : 0; i-- > 0;)
		for (size_t k = 0; names && names->type == COX_JSON_ARRAY && k < names->n; k++)
			if (cox_str_eq(cox_json_str_at(&have->items[i], "name"), names->items[k].text)) {
				remember_env(j, &have->items[i]);
				inject_remove_item(have, i);
				break;
			}
	for (size_t i = 0; own && own->type == COX_JSON_ARRAY && i < own->n; i++)
		cox_json_push(j->arena, inject_member(j, (struct cox_json *)j->spec, list, COX_JSON_ARRAY), &own->items[i]);
	if (have && have->n == 0)
		inject_remove((struct cox_json *)j->spec, cox_str_of(list));
}

/* A native sidecar stands among the init containers, wherever the user put his part of it. */
static void move_to_init(struct inject_job *j)
{
	struct cox_json *from = inject_find_mutable((struct cox_json *)j->spec, "containers");
	for (size_t i = 0; from && i < from->n; i++)
		if (cox_str_eq_cstr(cox_json_str_at(&from->items[i], "name"), "istio-proxy")) {
			struct cox_json moved = from->items[i];
			inject_remove_item(from, i);
			cox_json_push(j->arena, inject_member(j, (struct cox_json *)j->spec, "initContainers", COX_JSON_ARRAY), &moved);
			return;
		}
}

enum cox_rc inject_overrides_take(struct inject_job *j)
{
	struct cox_json *status = NULL, *overrides = NULL;
	enum cox_rc rc = parse_annotation(j, status_key, &status);
	if (rc == COX_OK)
		rc = parse_annotation(j, overrides_key, &overrides);
	if (rc != COX_OK)
		return rc;
	j->old_status = status;
	for (size_t i = 0; status && i < COX_LEN(lists); i++)
		take_back(j, lists[i], status, overrides);
	return COX_OK;
}

void inject_overrides_keep(struct inject_job *j, const struct cox_json *made)
{
	j->overrides = cox_json_new_object(j->arena);
	if (j->native)
		move_to_init(j);
	for (size_t l = 0; l < COX_LEN(lists); l++) {
		const struct cox_json *have = cox_json_get(j->spec, cox_str_of(lists[l])),
		                      *new = cox_json_at(made, l == 0 ? "spec.containers" : "spec.initContainers");
		for (size_t i = 0; have && have->type == COX_JSON_ARRAY && i < have->n; i++)
			if (inject_by_name(new, cox_json_str_at(&have->items[i], "name")))
				cox_json_push(j->arena, inject_member(j, j->overrides, lists[l], COX_JSON_ARRAY),
				              cox_json_clone(j->arena, &have->items[i]));
	}
}

/* A user's own user id for the proxy is the one whose traffic capture must leave alone. */
static void adjust_init(struct inject_job *j, struct cox_json *spec, const struct cox_json *own)
{
	const struct cox_json *user = cox_json_at(own, "securityContext.runAsUser"),
	                      *group = cox_json_at(own, "securityContext.runAsGroup");
	struct cox_json *init = inject_find_mutable(spec, "initContainers"), *captures = inject_by_name(init, COX_STR("istio-init")),
	                *checks = inject_by_name(init, COX_STR("istio-validation"));
	bool tproxy = cox_str_eq_cstr(cox_json_get(j->vars, COX_STR("interceptionMode"))->text, "TPROXY");
	struct cox_json *proxy = inject_by_name(cox_json_get(spec, COX_STR("containers")), COX_STR("istio-proxy"));
	if (!proxy)
		proxy = inject_by_name(init, COX_STR("istio-proxy"));
	/* A transparent socket needs root, whatever the user asked. */
	if (tproxy && user && proxy)
		cox_json_set(j->arena, inject_member(j, proxy, "securityContext", COX_JSON_OBJECT), COX_STR("runAsUser"),
		             cox_json_new_i64(j->arena, 0));
	if (!tproxy && !captures && checks) {
		struct cox_json *security = inject_member(j, checks, "securityContext", COX_JSON_OBJECT);
		if (user)
			cox_json_set(j->arena, security, COX_STR("runAsUser"), user);
		if (group)
			cox_json_set(j->arena, security, COX_STR("runAsGroup"), group);
	}
	struct cox_json *args = inject_find_mutable(captures ? captures : checks, "args");
	struct cox_str id = inject_json_text(j->arena, user);
	if (id.n == 0 || cox_str_eq_cstr(id, "0"))
		return;
	for (size_t i = 0; args && args->type == COX_JSON_ARRAY && i + 1 < args->n; i++)
		if (cox_str_eq_cstr(args->items[i].text, "-u")) {
			args->items[i + 1] = (struct cox_json){ .type = COX_JSON_STRING, .text = id };
			return;
		}
}

void inject_overrides_apply(struct inject_job *j, const struct cox_json *made)
{
	if (j->overrides->n == 0)
		return;
	struct cox_json *spec = inject_find_mutable(j->pod, "spec");
	for (size_t l = 0; l < COX_LEN(lists); l++) {
		const struct cox_json *own = cox_json_get(j->overrides, cox_str_of(lists[l]));
		for (size_t i = 0; own && i < own->n; i++) {
			struct cox_str name = cox_json_str_at(&own->items[i], "name");
			struct cox_json *container = inject_by_name(cox_json_get(spec, cox_str_of(lists[l])), name);
			const struct cox_json *from =
			    inject_by_name(cox_json_at(made, l == 0 ? "spec.containers" : "spec.initContainers"), name);
			inject_merge(j->arena, container, &own->items[i]);
			/* "auto" is how a user says: yours. The kube-apiserver wants an image, so there must be a word for it. */
			if (cox_str_eq_cstr(cox_json_str_at(container, "image"), "auto"))
				inject_set_str(j, container, COX_STR("image"), cox_json_str_at(from, "image"));
			if (cox_str_eq_cstr(name, "istio-proxy"))
				adjust_init(j, spec, &own->items[i]);
		}
	}
	struct cox_json *annotations =
	    inject_member(j, inject_member(j, j->pod, "metadata", COX_JSON_OBJECT), "annotations", COX_JSON_OBJECT);
	inject_set_str(j, annotations, cox_str_of(overrides_key), inject_json_text(j->arena, j->overrides));
}
