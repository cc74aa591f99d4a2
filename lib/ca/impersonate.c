#include "ca/impersonate.h"

#include "base/clock.h"
#include "model/core.h"

/* An index of all pods by node and account, made when somebody asks and kept for a moment: agents ask in bursts, after a restart for each
 * account on their node, and a mesh has many more pods than that. What is found in a young index is good enough to say yes. */
enum { YES_MS = 1000, NO_MS = 100 };

struct cox_node_pods {
	const struct cox_registry *registry;
	struct cox_map index; /* "node ns/account"; keys in `arena` */
	struct cox_arena arena;
	int64_t built_ms; /* 0: never */
};

struct cox_node_pods *cox_node_pods_new(const struct cox_registry *r)
{
	struct cox_node_pods *n = COX_NEW(struct cox_node_pods);
	n->registry = r;
	return n;
}

void cox_node_pods_free(struct cox_node_pods **np)
{
	struct cox_node_pods *n = *np;
	*np = NULL;
	if (!n)
		return;
	cox_map_fini(&n->index);
	cox_arena_fini(&n->arena);
	cox_free(n);
}

static struct cox_str account_of(const struct cox_object *pod)
{
	const struct cox_pod_spec *spec = COX_SPEC(cox_pod, pod)->spec;
	return spec && spec->service_account_name.n ? spec->service_account_name : COX_STR("default");
}

static struct cox_str node_of(const struct cox_object *pod)
{
	const struct cox_pod_spec *spec = COX_SPEC(cox_pod, pod)->spec;
	return spec ? spec->node_name : COX_STR("");
}

static bool has_ended(const struct cox_object *pod)
{
	const struct cox_pod_status *status = COX_SPEC(cox_pod, pod)->status;
	return status && (cox_str_eq(status->phase, COX_STR("Succeeded")) || cox_str_eq(status->phase, COX_STR("Failed")));
}

static struct cox_str key_of(struct cox_arena *arena, struct cox_str node, struct cox_str ns, struct cox_str account)
{
	return cox_arena_printf(arena, "%.*s %.*s/%.*s", COX_FMT(node), COX_FMT(ns), COX_FMT(account));
}

static void build(struct cox_node_pods *n)
{
	const struct cox_object *const *pods;
	size_t count = cox_registry_objects(n->registry, COX_KIND_POD, &pods);
	cox_map_clear(&n->index);
	cox_arena_reset(&n->arena);
	for (size_t i = 0; i < count; i++)
		if (node_of(pods[i]).n && !has_ended(pods[i]))
			cox_map_set(&n->index, key_of(&n->arena, node_of(pods[i]), pods[i]->meta.ns, account_of(pods[i])), n);
	n->built_ms = cox_clock_mono_ms();
}

static bool runs_on(struct cox_node_pods *n, struct cox_str node, const struct cox_spiffe_id *wanted)
{
	struct cox_arena scratch = { 0 };
	struct cox_str key = key_of(&scratch, node, wanted->ns, wanted->service_account);
	int64_t age_ms = cox_clock_mono_ms() - n->built_ms;
	if (n->built_ms == 0 || age_ms > YES_MS)
		build(n);
	bool found = cox_map_find(&n->index, key) != NULL;
	if (!found && age_ms > NO_MS && age_ms <= YES_MS) {
		build(n);
		found = cox_map_find(&n->index, key) != NULL;
	}
	cox_arena_fini(&scratch);
	return found;
}

bool cox_node_pods_allow(struct cox_node_pods *n, const struct cox_identity *caller, const struct cox_spiffe_id *wanted,
                         struct cox_err *err)
{
	struct cox_spiffe_id self;
	if (!caller->pod_name.n || cox_spiffe_parse(caller->uris[0], &self, err) != COX_OK) {
		cox_err_set(err, COX_EAUTH, NULL, "the caller's credential names no pod, so its node is not known");
		return false;
	}
	const struct cox_object *pod = cox_registry_object_find(n->registry, COX_KIND_POD, self.ns, caller->pod_name);
	if (!pod || has_ended(pod) || !node_of(pod).n) {
		cox_err_set(err, COX_EAUTH, NULL, "pod %.*s/%.*s of the caller is not known, or runs nowhere", COX_FMT(self.ns),
		            COX_FMT(caller->pod_name));
		return false;
	}
	if (caller->pod_uid.n && !cox_str_eq(pod->meta.uid, caller->pod_uid)) {
		cox_err_set(err, COX_EAUTH, NULL, "pod %.*s/%.*s is another one than that of the caller's token", COX_FMT(self.ns),
		            COX_FMT(caller->pod_name));
		return false;
	}
	if (!cox_str_eq(account_of(pod), self.service_account) || (caller->node_name.n && !cox_str_eq(node_of(pod), caller->node_name))) {
		cox_err_set(err, COX_EAUTH, NULL, "pod %.*s/%.*s has another service account or node than the caller's token",
		            COX_FMT(self.ns), COX_FMT(caller->pod_name));
		return false;
	}
	if (!runs_on(n, node_of(pod), wanted)) {
		cox_err_set(err, COX_EAUTH, NULL, "no pod with service account %.*s/%.*s runs on node %.*s of the caller",
		            COX_FMT(wanted->ns), COX_FMT(wanted->service_account), COX_FMT(node_of(pod)));
		return false;
	}
	return true;
}
