/* explain_cluster.c - a destination: its cluster, policies and endpoints, as JSON. */
#include "tool/explain_priv.h"

static const struct cox_json *at(const struct cox_json *v, const char *path) { return cox_json_at(v, path); }

static void copy(struct cox_arena *a, struct cox_json *o, const char *key, const struct cox_json *v)
{
	if (v)
		cox_json_set(a, o, cox_str_of(key), v);
}

/* "mTLS", "TLS", "plaintext": what a transport socket does. */
struct socket_words {
	struct cox_str mode, sni;
};
static struct socket_words socket_words(const struct cox_json *socket)
{
	const struct cox_json *typed = cox_json_get(socket, COX_STR("typed_config")), *inner = at(typed, "transport_socket.typed_config");
	typed = inner ? inner : typed;
	const struct cox_json *common = cox_json_get(typed, COX_STR("common_tls_context"));
	struct socket_words w = { COX_STR("plaintext"), cox_json_str_at(typed, "sni") };
	if (common == NULL)
		return w;
	bool has_cert =
	    cox_json_get(common, COX_STR("tls_certificate_sds_secret_configs")) || cox_json_get(common, COX_STR("tls_certificates"));
	w.mode = has_cert ? COX_STR("mTLS") : COX_STR("TLS");
	return w;
}

static struct cox_str pod_at(struct question *q, struct cox_str address)
{
	ptrdiff_t colon = cox_str_rfind(address, ':');
	struct cox_str ip = cox_str_sub(address, 0, colon < 0 ? SIZE_MAX : (size_t)colon);
	if (q->e->world == NULL)
		return (struct cox_str){ 0 };
	const struct cox_snap_svc **svcs;
	size_t n = cox_snapshot_svcs_at(q->e->world->snapshot, &ip, 1, q->a, &svcs);
	for (size_t i = 0; i < n; i++)
		for (COX_EACH(struct cox_endpoint, e, svcs[i]->endpoints->items))
			if (cox_str_eq(e->address, ip) && e->pod_name.n > 0)
				return cox_arena_printf(q->a, "%.*s.%.*s", COX_FMT(e->pod_name), COX_FMT(e->ns));
	return (struct cox_str){ 0 };
}

static struct cox_json *endpoints_json(struct question *q, struct explained *x, const struct cox_json *cluster)
{
	struct cox_json *list = cox_json_new_array(q->a);
	size_t n;
	const struct cox_oracle_endpoint *e = cox_oracle_endpoints(&x->oracle, cluster, q->a, &n);
	for (size_t i = 0; i < n; i++) {
		struct cox_json *o = cox_json_new_object(q->a);
		struct socket_words words = socket_words(e[i].socket);
		js_str(q->a, o, "address", e[i].address);
		js_str(q->a, o, "pod", pod_at(q, e[i].address));
		js_str(q->a, o, "locality", e[i].locality);
		js_int(q->a, o, "priority", e[i].priority);
		js_str(q->a, o, "health", e[i].health.n ? e[i].health : COX_STR("HEALTHY"));
		if (e[i].weight != 1)
			js_int(q->a, o, "weight", e[i].weight);
		js_str(q->a, o, "tls", words.mode);
		js_bool(q->a, o, "usable", e[i].is_usable);
		cox_json_push(q->a, list, o);
	}
	return list->n > 0 ? list : NULL;
}

static void limits_json(struct cox_arena *a, struct cox_json *o, const struct cox_json *cluster)
{
	const struct cox_json *thresholds = at(cluster, "circuit_breakers.thresholds");
	struct cox_json *limits = cox_json_new_object(a);
	for (size_t i = 0; thresholds && thresholds->n > 0 && i < thresholds->items[0].n; i++) {
		const struct cox_json_member *m = &thresholds->items[0].members[i];
		/* 2^32-1 is how "no limit" is written. */
		if (m->value.type == COX_JSON_NUMBER && !cox_str_eq_cstr(m->value.text, "4294967295"))
			cox_json_set(a, limits, m->key, &m->value);
	}
	js_put(a, o, "circuitBreakers", limits->n ? limits : NULL);
	copy(a, o, "outlierDetection", cox_json_get(cluster, COX_STR("outlier_detection")));
	copy(a, o, "connectTimeout", cox_json_get(cluster, COX_STR("connect_timeout")));
}

static void sources_json(struct question *q, struct explained *x, struct cox_json *o, struct cox_str name, const struct cox_json *cluster)
{
	struct cox_str direction, subset, host;
	uint16_t port;
	if (explain_cluster_name_split(name, &direction, &port, &subset, &host)) {
		const struct cox_snap_svc *svc = q->e->world ? cox_snapshot_svc_find(q->e->world->snapshot, host, x->ns) : NULL;
		js_str(q->a, o, "host", host);
		js_int(q->a, o, "port", port);
		js_str(q->a, o, "subset", subset);
		if (svc)
			js_put(q->a, o, "source",
			       explain_source_new(q->a, explain_object_text(q->a, svc->svc->object_id), (struct cox_str){ 0 }));
		if (cox_str_eq_cstr(direction, "outbound")) {
			js_put(q->a, o, "subsetSource", explain_subset_source(q, x, host, subset));
			js_put(q->a, o, "policies", explain_policy_sources(q, x, host, port, subset));
		}
	}
	if (cox_json_get(o, COX_STR("policies")) == NULL)
		js_put(q->a, o, "rule", explain_metadata_source(q->a, cluster));
}

struct cox_json *explain_target_json(struct question *q, struct explained *x, const struct cox_oracle_target *t)
{
	struct cox_arena *a = q->a;
	struct cox_json *o = cox_json_new_object(a);
	js_str(a, o, "name", t->cluster);
	cox_json_set(a, o, COX_STR("percent"), cox_json_new_f64(a, t->percent));
	js_bool(a, o, "exists", t->json != NULL);
	sources_json(q, x, o, t->cluster, t->json);
	if (t->json == NULL)
		return o;
	struct cox_str type = cox_json_str_at(t->json, "type"), custom = cox_json_str_at(t->json, "cluster_type.name");
	struct cox_str lb = cox_json_str_at(t->json, "lb_policy");
	const struct cox_json *policies = at(t->json, "load_balancing_policy.policies");
	if (policies && policies->n > 0)
		lb = cox_json_str_at(&policies->items[0], "typed_extension_config.name");
	js_str(a, o, "type", custom.n ? custom : type.n ? type : COX_STR("STATIC"));
	js_str(a, o, "loadBalancer", lb.n ? lb : COX_STR("ROUND_ROBIN"));
	struct socket_words words = socket_words(cox_json_get(t->json, COX_STR("transport_socket")));
	js_str(a, o, "tls", cox_json_get(t->json, COX_STR("transport_socket_matches")) ? COX_STR("by endpoint") : words.mode);
	js_str(a, o, "sni", words.sni);
	limits_json(a, o, t->json);
	js_put(a, o, "endpoints", endpoints_json(q, x, t->json));
	return o;
}
