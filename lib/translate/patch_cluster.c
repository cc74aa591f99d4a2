/* Clusters. */
#include "translate/patch_priv.h"

static const struct cox_patch_cluster *match_of(const struct cox_ready_patch *p) { return p->spec->match ? p->spec->match->cluster : NULL; }

/* "outbound|80|v1|host", "inbound|8080||", "outbound_.80_.v1_.host" (of AUTO_PASSTHROUGH gateways). */
struct cluster_name {
	bool is_inbound;
	uint64_t port;
	struct cox_str subset, host;
};

static struct cluster_name name_parse(struct cox_str name)
{
	struct cluster_name n = { 0 };
	struct cox_str rest = name, part = { 0 };
	if (cox_str_find(name, '|') < 0)
		return n;
	cox_str_next(&rest, '|', &part);
	n.is_inbound = cox_str_eq_cstr(part, "inbound");
	if (cox_str_next(&rest, '|', &part) && (part.n == 0 || cox_str_to_u64(part, &n.port) != COX_OK))
		n.port = 0;
	cox_str_next(&rest, '|', &n.subset);
	n.host = rest;
	return n;
}

bool match_cluster_name(const struct patch_job *j, const struct cox_ready_patch *p, struct cox_str name)
{
	const struct cox_patch_cluster *m = match_of(p);
	struct cluster_name n;
	(void)j;
	if (!m)
		return true;
	if (m->name.n)
		return cox_str_eq(m->name, name);
	n = name_parse(name);
	return (!m->subset.n || cox_str_eq(m->subset, n.subset)) &&
	       (!m->port_number.set || m->port_number.v == 0 || (uint64_t)m->port_number.v == n.port) &&
	       (!m->service.n || n.is_inbound || cox_str_eq(m->service, n.host));
}

/* The name of an inbound cluster says nothing of its services, its metadata does. */
static bool service_matches(const struct cox_ready_patch *p, const struct cox_json *cluster, struct cox_str name)
{
	const struct cox_patch_cluster *m = match_of(p);
	if (!m || m->name.n || !m->service.n || !cox_str_has_prefix(name, COX_STR("inbound|")))
		return true;
	const struct cox_json *services = cox_json_at(cluster, "metadata.filter_metadata.istio.services");
	for (size_t i = 0; services && services->type == COX_JSON_ARRAY && i < services->n; i++)
		if (cox_str_eq(tree_str(&services->items[i], "host"), m->service))
			return true;
	return false;
}

/* The socket among transport_socket_matches, or the only one, that the patch means. */
static struct cox_json *socket_of(struct cox_json *cluster, struct cox_str name, bool *has_matches)
{
	struct cox_json *list = tree_get(cluster, "transport_socket_matches"), *one = tree_get(cluster, "transport_socket");
	*has_matches = list && list->n;
	for (size_t i = 0; *has_matches && i < list->n; i++) {
		struct cox_json *ts = tree_get(&list->items[i], "transport_socket");
		if (ts && cox_str_eq(tree_str(ts, "name"), name))
			return ts;
	}
	return !*has_matches && one && cox_str_eq(tree_str(one, "name"), name) ? one : NULL;
}

/* A transport socket of the same name is merged inside; another replaces it, except where sockets are chosen by endpoint: Envoy takes not
 * both. */
static void cluster_merge(struct patch_job *j, const struct cox_ready_patch *p, struct cox_json *cluster)
{
	struct cox_arena *a = j->t->arena;
	bool replace = p->op == COX_OP_MERGE_AND_REPLACE_LIST, has_matches;
	const struct cox_json *theirs = cox_json_get(p->value, COX_STR("transport_socket"));
	struct cox_json *rest = cox_json_new_object(a);
	for (size_t i = 0; i < p->value->n; i++)
		if (!cox_str_eq_cstr(p->value->members[i].key, "transport_socket"))
			cox_json_set(a, rest, p->value->members[i].key, &p->value->members[i].value);
	tree_merge(a, patch_message("envoy.config.cluster.v3.Cluster"), cluster, rest, replace);
	if (!theirs)
		return;
	struct cox_json *ts = socket_of(cluster, tree_str(theirs, "name"), &has_matches),
	                *config = ts ? tree_get(ts, "typed_config") : NULL;
	const struct cox_json *add = cox_json_get(theirs, COX_STR("typed_config"));
	if (config && add)
		(void)tree_merge_any(a, config, add, replace);
	else if (!ts && !has_matches)
		cox_json_set(a, cluster, COX_STR("transport_socket"), cox_json_clone(a, theirs));
}

bool patch_cluster(struct patch_job *j, struct cox_json *cluster)
{
	for (size_t i = 0; i < j->n; i++) {
		const struct cox_ready_patch *p = job_patch(j, i);
		if (p->op == COX_OP_ADD || !match_cluster_name(j, p, j->name) || !service_matches(p, cluster, j->name))
			continue;
		job_applied(j, i);
		if (p->op == COX_OP_REMOVE)
			return false;
		cluster_merge(j, p, cluster);
	}
	return true;
}
