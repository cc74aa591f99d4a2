/* The last of an injection: environment of the webhook's path, order of containers, labels, the status annotation. */
#include "inject/inject_priv.h"

void inject_env_set(struct inject_job *j, struct cox_json *container, struct cox_str name, struct cox_str value)
{
	struct cox_json *env = inject_member(j, container, "env", COX_JSON_ARRAY);
	struct cox_json *old = inject_by_name(env, name);
	struct cox_json fresh = { .type = COX_JSON_OBJECT };
	inject_set_str(j, &fresh, COX_STR("name"), name);
	inject_set_str(j, &fresh, COX_STR("value"), value);
	if (old)
		*old = fresh;
	else
		cox_json_push(j->arena, env, &fresh);
}

static void move(struct cox_json *list, const char *name, bool to_front)
{
	for (size_t i = 0; list && list->type == COX_JSON_ARRAY && i < list->n; i++) {
		if (!cox_str_eq_cstr(cox_json_str_at(&list->items[i], "name"), name))
			continue;
		struct cox_json moved = list->items[i];
		if (to_front) {
			memmove(&list->items[1], &list->items[0], i * sizeof(moved));
			list->items[0] = moved;
		} else {
			memmove(&list->items[i], &list->items[i + 1], (list->n - i - 1) * sizeof(moved));
			list->items[list->n - 1] = moved;
		}
		return;
	}
}

static void order(struct inject_job *j, struct cox_json *spec)
{
	struct cox_json *init = inject_find_mutable(spec, "initContainers");
	/* Last, so that what the application writes on its way down is still sent on; first where it has to be up before the others. */
	move(inject_find_mutable(spec, "containers"), "istio-proxy", j->hold);
	/* As a native sidecar the proxy is up before the application's own init containers, which then are in the mesh. */
	if (inject_by_name(init, COX_STR("istio-proxy"))) {
		move(init, "enable-core-dump", true);
		move(init, "istio-proxy", true);
		move(init, "istio-validation", true);
		move(init, "istio-init", true);
		return;
	}
	/* Else what they send must not be captured while nobody is there to take it: capture comes last, and its check first. */
	move(init, "istio-validation", true);
	move(init, "istio-init", false);
	move(init, "enable-core-dump", false);
}

static void push_names(struct inject_job *j, struct cox_json *status, const char *key, const struct cox_json *list)
{
	struct cox_json *names = cox_json_new_array(j->arena);
	for (size_t i = 0; list && i < list->n; i++)
		cox_json_push(j->arena, names, cox_json_new_str(j->arena, cox_json_str_at(&list->items[i], "name")));
	cox_json_set(j->arena, status, cox_str_of(key), names->n ? names : &(struct cox_json){ .type = COX_JSON_NULL });
}

/* A pod that knows its network says so; that of the path goes before that of the values. */
static void label_network(struct inject_job *j, struct cox_json *meta)
{
	struct cox_str network = inject_value(j, "global.network");
	for (size_t i = 0; i < j->r->env_n; i++)
		if (cox_str_eq_cstr(j->r->env[i].key, "ISTIO_META_NETWORK"))
			network = j->r->env[i].value;
	struct cox_json *labels = inject_member(j, meta, "labels", COX_JSON_OBJECT);
	if (network.n && !cox_json_get(labels, COX_STR("topology.istio.io/network")))
		inject_set_str(j, labels, COX_STR("topology.istio.io/network"), network);
}

struct cox_str inject_finish(struct inject_job *j, const struct cox_json *made, struct cox_json *proxy)
{
	for (size_t i = 0; proxy && i < j->r->env_n; i++)
		inject_env_set(j, proxy, j->r->env[i].key, j->r->env[i].value);
	struct cox_json *spec = inject_find_mutable(j->pod, "spec"), *meta = inject_member(j, j->pod, "metadata", COX_JSON_OBJECT);
	order(j, spec);
	label_network(j, meta);
	struct cox_json *annotations = inject_member(j, meta, "annotations", COX_JSON_OBJECT);
	for (size_t i = 0; i < j->c->annotations.n; i++)
		if (!cox_json_get(annotations, j->c->annotations.p[i].key))
			inject_set_str(j, annotations, j->c->annotations.p[i].key, j->c->annotations.p[i].value);
	struct cox_json *status = cox_json_new_object(j->arena);
	push_names(j, status, "initContainers", cox_json_at(made, "spec.initContainers"));
	push_names(j, status, "containers", cox_json_at(made, "spec.containers"));
	push_names(j, status, "volumes", cox_json_at(made, "spec.volumes"));
	push_names(j, status, "imagePullSecrets", cox_json_at(made, "spec.imagePullSecrets"));
	inject_set_str(j, status, COX_STR("revision"), j->c->revision.n ? j->c->revision : COX_STR("default"));
	struct cox_str text = inject_json_text(j->arena, status);
	inject_set_str(j, annotations, COX_STR("sidecar.istio.io/status"), text);
	return text;
}
