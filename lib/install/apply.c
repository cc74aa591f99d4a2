#include "install/apply.h"

#include "base/clock.h"
#include "base/vec.h"

#include <stdio.h>

enum { LOOK_MS = 500 };
#define OWNER "install.operator.istio.io/owning-resource"
#define COMPONENT "operator.istio.io/component"
#define REVISION "istio.io/rev"

struct applied {
	struct cox_str kind, ns, name;
};
struct run {
	const struct cox_install_ctx *x;
	const struct cox_charts *charts;
	const struct cox_operator *o;
	struct cox_arena *arena;
	struct cox_str owner; /* the label's value */
	COX_VEC(struct applied) applied;
	struct cox_err *err;
};

static void say(const struct cox_install_ctx *x, const struct cox_install_progress *p)
{
	if (x->progress)
		x->progress(x->ctx, p);
}

static struct cox_str owner_of(struct cox_arena *a, struct cox_str revision)
{
	return revision.n ? cox_arena_printf(a, "installed-state-%.*s", COX_FMT(revision)) : COX_STR("installed-state");
}

static struct cox_str describe(struct cox_arena *a, const struct cox_json *object)
{
	struct cox_str kind = cox_json_str_at(object, "kind"), ns = cox_json_str_at(object, "metadata.namespace"),
	               name = cox_json_str_at(object, "metadata.name");
	return ns.n ? cox_arena_printf(a, "%.*s %.*s/%.*s", COX_FMT(kind), COX_FMT(ns), COX_FMT(name))
	            : cox_arena_printf(a, "%.*s %.*s", COX_FMT(kind), COX_FMT(name));
}

/* --- one object ---------------------------------------------------------------------------------------------------- */

static void label(struct cox_arena *a, struct cox_json *labels, const char *key, struct cox_str value)
{
	cox_json_set(a, labels, cox_str_of(key), cox_json_new_str(a, value));
}

/* With the labels by which it is found again. */
static struct cox_json *decorate(struct run *r, const struct cox_json *object, enum cox_component component)
{
	struct cox_json *copy = cox_json_clone(r->arena, object), *labels;
	const struct cox_json *meta = cox_json_get(copy, COX_STR("metadata")), *old = cox_json_get(meta, COX_STR("labels"));
	struct cox_json *new_meta = cox_json_clone(r->arena, meta);
	labels = old ? cox_json_clone(r->arena, old) : cox_json_new_object(r->arena);
	label(r->arena, labels, OWNER, r->owner);
	label(r->arena, labels, COMPONENT, cox_str_of(cox_component_name(component)));
	label(r->arena, labels, "operator.istio.io/managed", COX_STR("Reconcile"));
	if (component != COX_COMPONENT_BASE)
		label(r->arena, labels, REVISION, r->o->revision.n ? r->o->revision : COX_STR("default"));
	cox_json_set(r->arena, new_meta, COX_STR("labels"), labels);
	cox_json_set(r->arena, copy, COX_STR("metadata"), new_meta);
	return copy;
}

/* Validation that was seen to work stays closed: applying it anew does not open it for a moment. */
static void keep_closed(struct run *r, struct cox_json *object)
{
	struct cox_json *live = NULL;
	const struct cox_json *old;
	static const struct cox_cluster_kind kind = { COX_STR_INIT("admissionregistration.k8s.io"), COX_STR_INIT("v1"),
		                                      COX_STR_INIT("validatingwebhookconfigurations"),
		                                      COX_STR_INIT("ValidatingWebhookConfiguration"), true };
	if (!cox_str_eq(cox_json_str_at(object, "kind"), kind.kind) ||
	    cox_cluster_get(r->x->cluster, &kind, COX_STR(""), cox_json_str_at(object, "metadata.name"), r->arena, &live, NULL) != COX_OK ||
	    !(old = cox_json_get(live, COX_STR("webhooks"))))
		return;
	struct cox_json *hooks = cox_json_clone(r->arena, cox_json_get(object, COX_STR("webhooks")));
	for (size_t i = 0; i < hooks->n; i++)
		for (size_t k = 0; k < old->n; k++)
			if (cox_str_eq(cox_json_str_at(&hooks->items[i], "name"), cox_json_str_at(&old->items[k], "name")) &&
			    cox_str_eq_cstr(cox_json_str_at(&old->items[k], "failurePolicy"), "Fail"))
				cox_json_set(r->arena, &hooks->items[i], COX_STR("failurePolicy"),
				             cox_json_new_str(r->arena, COX_STR("Fail")));
	cox_json_set(r->arena, object, COX_STR("webhooks"), hooks);
}

static enum cox_rc apply_one(struct run *r, const struct cox_json *object, enum cox_component component)
{
	struct cox_json *full = decorate(r, object, component);
	const struct cox_cluster_write how = { .dry_run = r->x->dry_run };
	keep_closed(r, full);
	cox_vec_push(&r->applied, ((struct applied){ cox_json_str_at(full, "kind"), cox_json_str_at(full, "metadata.namespace"),
	                                             cox_json_str_at(full, "metadata.name") }));
	enum cox_rc rc = cox_cluster_apply(r->x->cluster, full, &how, r->arena, NULL, r->err);
	/* Before the first installation there is no namespace, and there are no kinds, to try it in. */
	if (rc == COX_ENOTFOUND && r->x->dry_run)
		return COX_OK;
	return rc;
}

static enum cox_rc ensure_namespace(struct run *r, struct cox_str ns)
{
	static const struct cox_cluster_kind kind = { COX_STR_INIT(""), COX_STR_INIT("v1"), COX_STR_INIT("namespaces"),
		                                      COX_STR_INIT("Namespace"), true };
	struct cox_json *made = NULL;
	enum cox_rc rc = cox_cluster_get(r->x->cluster, &kind, COX_STR(""), ns, r->arena, &made, r->err);
	if (rc != COX_ENOTFOUND)
		return rc;
	struct cox_str text =
	    cox_arena_printf(r->arena, "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"%.*s\"}}", COX_FMT(ns));
	COX_TRY(cox_json_parse(r->arena, text, &made, r->err));
	return cox_cluster_apply(r->x->cluster, made, &(struct cox_cluster_write){ .dry_run = r->x->dry_run }, r->arena, NULL, r->err);
}

/* --- waiting --------------------------------------------------------------------------------------------------------- */

static int64_t number_at(const struct cox_json *v, const char *path, int64_t fallback)
{
	int64_t n;
	const struct cox_json *found = cox_json_at(v, path);
	return found && found->type == COX_JSON_NUMBER && cox_json_to_i64(found, &n) == COX_OK ? n : fallback;
}

static const struct cox_json *condition(const struct cox_json *object, const char *type, const char *status)
{
	const struct cox_json *list = cox_json_at(object, "status.conditions");
	for (size_t i = 0; list && list->type == COX_JSON_ARRAY && i < list->n; i++)
		if (cox_str_eq_cstr(cox_json_str_at(&list->items[i], "type"), type) &&
		    cox_str_eq_cstr(cox_json_str_at(&list->items[i], "status"), status))
			return &list->items[i];
	return NULL;
}

static bool is_ready(const struct cox_json *o)
{
	struct cox_str kind = cox_json_str_at(o, "kind");
	int64_t generation = number_at(o, "metadata.generation", 0);
	if (cox_str_eq_cstr(kind, "CustomResourceDefinition"))
		return condition(o, "Established", "True") != NULL;
	if (cox_str_eq_cstr(kind, "Deployment")) {
		int64_t want = number_at(o, "spec.replicas", 1);
		return number_at(o, "status.observedGeneration", -1) >= generation && number_at(o, "status.updatedReplicas", 0) >= want &&
		       number_at(o, "status.availableReplicas", 0) >= want && number_at(o, "status.replicas", 0) <= want;
	}
	if (cox_str_eq_cstr(kind, "DaemonSet")) {
		int64_t want = number_at(o, "status.desiredNumberScheduled", 0);
		return number_at(o, "status.observedGeneration", -1) >= generation &&
		       number_at(o, "status.updatedNumberScheduled", 0) >= want && number_at(o, "status.numberAvailable", 0) >= want;
	}
	return true;
}

/* Why it is not: what its controller says. */
static struct cox_str why_not(struct run *r, const struct cox_json *o)
{
	const struct cox_json *c = condition(o, "ReplicaFailure", "True");
	if (!c)
		c = condition(o, "Progressing", "False");
	if (c)
		return cox_json_str_at(c, "message");
	return cox_arena_printf(r->arena, "%lld of %lld pods available", (long long)number_at(o, "status.availableReplicas", 0),
	                        (long long)number_at(o, "spec.replicas", 1));
}

static enum cox_rc wait_one(struct run *r, const struct cox_json *object, struct cox_install_progress *p, int64_t until)
{
	const struct cox_cluster_kind *kind;
	struct cox_str name = cox_json_str_at(object, "metadata.name"), ns = cox_json_str_at(object, "metadata.namespace");
	COX_TRY(
	    cox_cluster_kind_find(r->x->cluster, cox_json_str_at(object, "apiVersion"), cox_json_str_at(object, "kind"), &kind, r->err));
	for (;;) {
		struct cox_json *live = NULL;
		COX_TRY(cox_cluster_get(r->x->cluster, kind, ns, name, r->arena, &live, r->err));
		if (is_ready(live))
			return COX_OK;
		p->is_waiting = true;
		p->what = describe(r->arena, object);
		say(r->x, p);
		if (cox_clock_mono_ms() >= until)
			return cox_err_set(r->err, COX_ETIMEOUT, NULL, "%.*s is not ready: %.*s", COX_FMT(p->what),
			                   COX_FMT(why_not(r, live)));
		cox_cluster_sleep(r->x->cluster, LOOK_MS);
	}
}

static bool is_waited_for(const struct cox_json *o)
{
	struct cox_str kind = cox_json_str_at(o, "kind");
	return cox_str_eq_cstr(kind, "CustomResourceDefinition") || cox_str_eq_cstr(kind, "Deployment") ||
	       cox_str_eq_cstr(kind, "DaemonSet");
}

/* --- a release --------------------------------------------------------------------------------------------------------- */

/* The first control plane of a cluster validates what belongs to no revision, too. */
static enum cox_rc choose_default(struct run *r, const struct cox_chart_release *release, struct cox_chart_release *out)
{
	struct cox_json *live = NULL;
	struct cox_str chosen = cox_json_str_at(release->values, "defaultRevision");
	*out = *release;
	if (!r->o->revision.n || chosen.n)
		return COX_OK;
	enum cox_rc rc = cox_cluster_get(r->x->cluster,
	                                 COX_CLUSTER_KIND_WIDE("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations",
	                                                       "ValidatingWebhookConfiguration"),
	                                 COX_STR(""), COX_STR("istiod-default-validator"), r->arena, &live, r->err);
	if (rc != COX_ENOTFOUND && rc != COX_OK)
		return rc;
	const struct cox_json *held = cox_json_get(cox_json_at(live, "metadata.labels"), COX_STR(REVISION));
	if (rc == COX_OK && !(held && held->type == COX_JSON_STRING && cox_str_eq(held->text, r->o->revision)))
		return COX_OK; /* another's */
	struct cox_json *more = cox_json_new_object(r->arena);
	cox_json_set(r->arena, more, COX_STR("defaultRevision"), cox_json_new_str(r->arena, r->o->revision));
	out->values = cox_values_overlay(r->arena, release->values, more);
	return COX_OK;
}

static enum cox_rc apply_release(struct run *r, const struct cox_operator_release * or)
{
	struct cox_chart_release release = or->release;
	struct cox_json *objects;
	struct cox_install_progress p = { .part = cox_component_name(or->component) };
	if (or->component == COX_COMPONENT_BASE)
		COX_TRY(choose_default(r, & or->release, &release));
	COX_TRY(cox_chart_render(r->charts, &release, r->arena, &objects, r->err));
	COX_TRY(ensure_namespace(r, release.ns));
	p.total = objects->n;
	for (size_t i = 0; i < objects->n; i++, p.done++) {
		p.what = describe(r->arena, &objects->items[i]);
		say(r->x, &p);
		COX_TRY(apply_one(r, &objects->items[i], or->component));
	}
	int64_t until = cox_clock_mono_ms() + r->x->ready_ms;
	for (size_t i = 0; i < objects->n && r->x->ready_ms && !r->x->dry_run; i++)
		if (is_waited_for(&objects->items[i]))
			COX_TRY(wait_one(r, &objects->items[i], &p, until));
	p.is_finished = true;
	p.what = release.name;
	say(r->x, &p);
	return COX_OK;
}

/* --- what is there ------------------------------------------------------------------------------------------------------ */

static const struct cox_cluster_kind kinds[] = {
#define NS(g, v, p, k)                                                                    \
	{                                                                                 \
		COX_STR_INIT(g), COX_STR_INIT(v), COX_STR_INIT(p), COX_STR_INIT(k), false \
	}
#define WIDE(g, v, p, k)                                                                 \
	{                                                                                \
		COX_STR_INIT(g), COX_STR_INIT(v), COX_STR_INIT(p), COX_STR_INIT(k), true \
	}
	/* In the order of taking away: first what lets pods in, last what they stand on. */
	WIDE("admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration"),
	WIDE("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", "ValidatingWebhookConfiguration"),
	WIDE("admissionregistration.k8s.io", "v1", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding"),
	WIDE("admissionregistration.k8s.io", "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy"),
	NS("monitoring.coreos.com", "v1", "servicemonitors", "ServiceMonitor"),
	NS("monitoring.coreos.com", "v1", "podmonitors", "PodMonitor"),
	NS("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler"),
	NS("apps", "v1", "deployments", "Deployment"),
	NS("apps", "v1", "daemonsets", "DaemonSet"),
	NS("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice"),
	NS("", "v1", "services", "Service"),
	NS("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget"),
	NS("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy"),
	NS("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding"),
	NS("rbac.authorization.k8s.io", "v1", "roles", "Role"),
	WIDE("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding"),
	WIDE("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole"),
	NS("", "v1", "configmaps", "ConfigMap"),
	NS("", "v1", "serviceaccounts", "ServiceAccount"),
};

static bool was_applied(const struct run *r, const struct cox_cluster_kind *kind, struct cox_str ns, struct cox_str name)
{
	for (size_t i = 0; i < r->applied.n; i++)
		if (cox_str_eq(r->applied.p[i].kind, kind->kind) && cox_str_eq(r->applied.p[i].ns, ns) &&
		    cox_str_eq(r->applied.p[i].name, name))
			return true;
	return false;
}

/* Deletes what the selector finds and this run did not apply. */
static enum cox_rc sweep(struct run *r, struct cox_str selector, size_t *count)
{
	for (size_t k = 0; k < COX_LEN(kinds); k++) {
		struct cox_json *list = NULL;
		enum cox_rc rc = cox_cluster_list(r->x->cluster, &kinds[k], COX_STR(""), selector, COX_STR(""), r->arena, &list, r->err);
		if (rc == COX_ENOTFOUND)
			continue; /* a kind that this cluster does not have */
		COX_TRY(rc);
		for (size_t i = 0; i < list->n; i++) {
			struct cox_str ns = cox_json_str_at(&list->items[i], "metadata.namespace"),
			               name = cox_json_str_at(&list->items[i], "metadata.name");
			if (was_applied(r, &kinds[k], ns, name))
				continue;
			rc = cox_cluster_delete(r->x->cluster, &kinds[k], ns, name, &(struct cox_cluster_write){ .dry_run = r->x->dry_run },
			                        r->err);
			if (rc != COX_OK && rc != COX_ENOTFOUND)
				return rc;
			++*count;
			say(r->x, &(struct cox_install_progress){
			              .part = "Removed", .done = *count, .what = describe(r->arena, &list->items[i]) });
		}
	}
	return COX_OK;
}

/* --- the calls ----------------------------------------------------------------------------------------------------------- */

enum cox_rc cox_install_apply(const struct cox_install_ctx *x, const struct cox_charts *charts, const struct cox_operator *o,
                              struct cox_err *err)
{
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	struct cox_err mine = { 0 };
	struct run r = {
		.x = x, .charts = charts, .o = o, .arena = &arena, .owner = owner_of(&arena, o->revision), .err = err ? err : &mine
	};
	enum cox_rc rc = COX_OK;
	size_t pruned = 0;
	for (size_t i = 0; i < o->release_n && rc == COX_OK; i++)
		rc = apply_release(&r, &o->releases[i]);
	if (rc == COX_OK)
		rc = sweep(&r, cox_arena_printf(&arena, OWNER "=%.*s," COMPONENT "!=Base", COX_FMT(r.owner)), &pruned);
	if (rc == COX_OK && pruned)
		say(x, &(struct cox_install_progress){ .part = "Removed", .done = pruned, .is_finished = true });
	cox_vec_fini(&r.applied);
	return rc;
}

static enum cox_rc remove_crds(struct run *r, size_t *count)
{
	struct cox_json *objects;
	const struct cox_chart_release release = { COX_STR("base"), COX_STR("istio-base"), COX_STR("istio-system"), NULL };
	COX_TRY(cox_chart_render(r->charts, &release, r->arena, &objects, r->err));
	for (size_t i = 0; i < objects->n; i++) {
		if (!cox_str_eq_cstr(cox_json_str_at(&objects->items[i], "kind"), "CustomResourceDefinition"))
			continue;
		enum cox_rc rc = cox_cluster_delete(
		    r->x->cluster,
		    COX_CLUSTER_KIND_WIDE("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition"),
		    COX_STR(""), cox_json_str_at(&objects->items[i], "metadata.name"),
		    &(struct cox_cluster_write){ .dry_run = r->x->dry_run }, r->err);
		if (rc != COX_OK && rc != COX_ENOTFOUND)
			return rc;
		if (rc == COX_OK)
			++*count;
	}
	return COX_OK;
}

enum cox_rc cox_install_remove(const struct cox_install_ctx *x, const struct cox_charts *charts, struct cox_str revision, bool purge,
                               size_t *count, struct cox_err *err)
{
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	struct cox_err mine = { 0 };
	struct run r = { .x = x, .charts = charts, .arena = &arena, .err = err ? err : &mine };
	if (!revision.n)
		revision = COX_STR("default");
	struct cox_str selector =
	    purge ? COX_STR(COMPONENT) : cox_arena_printf(&arena, REVISION "=%.*s," COMPONENT "," COMPONENT "!=Base", COX_FMT(revision));
	*count = 0;
	COX_TRY(sweep(&r, selector, count));
	/* Charts installed by Helm or kubectl do not say their component everywhere. */
	if (purge) {
		COX_TRY(sweep(&r, COX_STR("app.kubernetes.io/part-of=istio"), count));
		COX_TRY(remove_crds(&r, count));
	}
	return COX_OK;
}

enum cox_rc cox_install_revisions(struct cox_cluster *c, struct cox_arena *arena, struct cox_json **out, struct cox_err *err)
{
	struct cox_json *list = NULL;
	*out = NULL;
	COX_TRY(cox_cluster_list(
	    c, COX_CLUSTER_KIND_WIDE("admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration"),
	    COX_STR(""), COX_STR("app=sidecar-injector,istio.io/rev,!istio.io/tag"), COX_STR(""), arena, &list, err));
	struct cox_json *revisions = cox_json_new_array(arena);
	for (size_t i = 0; i < list->n; i++)
		cox_json_push(arena, revisions, cox_json_get(cox_json_at(&list->items[i], "metadata.labels"), COX_STR(REVISION)));
	*out = revisions;
	return COX_OK;
}
