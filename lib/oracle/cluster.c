/* cluster.c - endpoints of a cluster as its load balancer sees them. */
#include "oracle/oracle_priv.h"

static struct cox_str address_text(struct cox_arena *a, const struct cox_json *e)
{
	const struct cox_json *s = cox_json_at(e, "endpoint.address.socket_address");
	struct cox_str host = cox_json_str_at(s, "address");
	if (s == NULL && cox_json_at(e, "endpoint.address.envoy_internal_address"))
		return cox_arena_printf(a, "internal listener %.*s",
		                        COX_FMT(cox_json_str_at(e, "endpoint.address.envoy_internal_address.server_listener_name")));
	if (s == NULL)
		return cox_json_str_at(e, "endpoint.address.pipe.path");
	return cox_arena_printf(a, cox_str_find(host, ':') >= 0 ? "[%.*s]:%lld" : "%.*s:%lld", COX_FMT(host),
	                        (long long)oracle_int(s, "port_value", 0));
}

static struct cox_str locality_text(struct cox_arena *a, const struct cox_json *l)
{
	struct cox_str r = cox_json_str_at(l, "region"), z = cox_json_str_at(l, "zone"), s = cox_json_str_at(l, "sub_zone");
	return r.n == 0 ? (struct cox_str){ 0 }
	                : cox_arena_printf(a, "%.*s%s%.*s%s%.*s", COX_FMT(r), z.n ? "/" : "", COX_FMT(z), s.n ? "/" : "", COX_FMT(s));
}

/* Every member of the match must stand in the endpoint's metadata. */
static bool socket_fits(const struct cox_json *match, const struct cox_json *e)
{
	const struct cox_json *have = cox_json_get(cox_json_at(e, "metadata.filter_metadata"), COX_STR("envoy.transport_socket_match"));
	for (size_t i = 0; match && i < match->n; i++) {
		const struct cox_json *v = cox_json_get(have, match->members[i].key);
		if (v == NULL || !cox_json_eq(v, &match->members[i].value))
			return false;
	}
	return true;
}

static void socket_choose(const struct cox_json *cluster, const struct cox_json *e, struct cox_oracle_endpoint *out)
{
	out->socket = oracle_get(cluster, "transport_socket");
	out->transport = out->socket ? cox_json_str_at(out->socket, "name") : COX_STR("raw_buffer");
	for (ORACLE_EACH(m, oracle_get(cluster, "transport_socket_matches")))
		if (socket_fits(oracle_get(m, "match"), e)) {
			out->socket = oracle_get(m, "transport_socket");
			out->transport = cox_json_str_at(m, "name");
			return;
		}
}

static bool is_healthy(struct cox_str health)
{
	return health.n == 0 || cox_str_eq_cstr(health, "UNKNOWN") || cox_str_eq_cstr(health, "HEALTHY") ||
	       cox_str_eq_cstr(health, "DEGRADED");
}

struct priority {
	size_t all, healthy;
};
enum { PRIORITIES_MAX = 128 };

/* The lowest priority that has somebody gets the requests; one that is not healthy enough spills over, which is not told apart here. */
static void usable_mark(const struct cox_json *cluster, struct cox_oracle_endpoint *e, size_t n)
{
	const struct cox_json *panic = cox_json_at(cluster, "common_lb_config.healthy_panic_threshold");
	struct priority p[PRIORITIES_MAX] = { 0 };
	size_t healthy = 0, best = PRIORITIES_MAX, first = PRIORITIES_MAX;
	bool panics = panic == NULL || oracle_has(panic, "value"); /* 50 % where nothing is said; 0 is written as nothing */
	for (size_t i = 0; i < n; i++) {
		struct priority *at = &p[e[i].priority < PRIORITIES_MAX ? e[i].priority : PRIORITIES_MAX - 1];
		at->all++;
		at->healthy += is_healthy(e[i].health);
		healthy += is_healthy(e[i].health);
	}
	for (size_t k = PRIORITIES_MAX; k-- > 0;) {
		best = p[k].healthy > 0 ? k : best;
		first = p[k].all > 0 ? k : first;
	}
	for (size_t i = 0; i < n; i++)
		e[i].is_usable =
		    healthy > 0 ? is_healthy(e[i].health) && (size_t)e[i].priority == best : panics && (size_t)e[i].priority == first;
}

const struct cox_oracle_endpoint *cox_oracle_endpoints(const struct cox_oracle *o, const struct cox_json *cluster, struct cox_arena *arena,
                                                       size_t *count)
{
	const struct cox_json *cla = cox_oracle_assignment_find(o, cluster), *groups = oracle_get(cla, "endpoints");
	size_t n = 0, at = 0;
	for (ORACLE_EACH(g, groups))
		n += oracle_get(g, "lb_endpoints") ? oracle_get(g, "lb_endpoints")->n : 0;
	struct cox_oracle_endpoint *out = COX_ARENA_ARRAY(arena, struct cox_oracle_endpoint, n + 1);
	for (ORACLE_EACH(g, groups))
		for (ORACLE_EACH(e, oracle_get(g, "lb_endpoints"))) {
			struct cox_oracle_endpoint *to = &out[at++];
			to->address = address_text(arena, e);
			to->locality = locality_text(arena, oracle_get(g, "locality"));
			to->health = cox_json_str_at(e, "health_status");
			to->priority = oracle_int(g, "priority", 0);
			to->weight = oracle_int(e, "load_balancing_weight", 1);
			socket_choose(cluster, e, to);
		}
	usable_mark(cluster, out, n);
	*count = n;
	return out;
}

bool cox_oracle_cluster_has_upstream(const struct cox_oracle *o, const struct cox_json *cluster)
{
	struct cox_str type = cox_json_str_at(cluster, "type");
	struct cox_arena arena = { 0 };
	bool has = false;
	size_t n;
	if (oracle_has(cluster, "cluster_type") || cox_str_eq_cstr(type, "ORIGINAL_DST"))
		return true;
	const struct cox_oracle_endpoint *e = cox_oracle_endpoints(o, cluster, &arena, &n);
	for (size_t i = 0; i < n; i++)
		has |= e[i].is_usable;
	cox_arena_fini(&arena);
	return has;
}
