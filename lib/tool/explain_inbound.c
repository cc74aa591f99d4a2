/* explain_inbound.c - the other side: what the destination's own proxy does with the connection. */
#include "tool/explain_priv.h"

#include "model/core.h"
#include "tool/fetch.h"

/* Where the connection was meant to go at first. */
static const struct cox_oracle_endpoint *original_dst(struct question *q, const struct cox_json *cluster)
{
	struct cox_oracle_endpoint *e = COX_ARENA_NEW(q->a, struct cox_oracle_endpoint);
	if (q->r.dst_ip.n == 0)
		return NULL;
	e->address =
	    cox_arena_printf(q->a, cox_str_find(q->r.dst_ip, ':') >= 0 ? "[%.*s]:%u" : "%.*s:%u", COX_FMT(q->r.dst_ip), q->r.dst_port);
	e->socket = cox_json_get(cluster, COX_STR("transport_socket"));
	return e;
}

static const struct cox_oracle_endpoint *endpoint_choose(struct question *q, const struct cox_oracle_walk *w)
{
	size_t n;
	for (COX_EACH(struct cox_oracle_target, t, w->targets)) {
		if (cox_str_eq_cstr(cox_json_str_at(t->json, "type"), "ORIGINAL_DST"))
			return original_dst(q, t->json);
		const struct cox_oracle_endpoint *e = t->json ? cox_oracle_endpoints(&q->e->start.oracle, t->json, q->a, &n) : NULL;
		for (size_t i = 0; e && i < n; i++)
			if (e[i].is_usable)
				return &e[i];
	}
	return NULL;
}

/* The Pod at an address, by Pods themselves: a pod of no service is one too. */
static const struct cox_object *pod_find(const struct cox_world *world, struct cox_str ip)
{
	const struct cox_object *const *pods;
	size_t n = cox_registry_objects(world->registry, COX_KIND_POD, &pods);
	for (size_t i = 0; i < n; i++) {
		const struct cox_pod *spec = pods[i]->spec;
		if (spec->status && cox_str_eq(spec->status->pod_ip, ip) && !(spec->spec && spec->spec->host_network))
			return pods[i];
	}
	return NULL;
}

/* Injected pods have this label; what else carries a sidecar says so to clients by it, too. */
static bool has_sidecar(const struct cox_object *pod)
{
	return cox_str_eq_cstr(cox_kv_get(pod->meta.labels.p, pod->meta.labels.n, COX_STR("security.istio.io/tlsMode")), "istio") ||
	       cox_kv_has(pod->meta.annotations.p, pod->meta.annotations.n, COX_STR("sidecar.istio.io/status"));
}

static struct explained *other_get(struct question *q, const struct cox_object *pod, struct cox_err *err)
{
	struct explained *x = cox_map_find(&q->e->others, pod->id);
	if (x)
		return x;
	x = cox_zalloc(sizeof(*x));
	struct cox_who who = { .proxy = cox_arena_printf(&q->e->arena, "%.*s.%.*s", COX_FMT(pod->meta.name), COX_FMT(pod->meta.ns)),
		               .is_upstream = q->e->is_upstream,
		               .guess_router = true,
		               .no_sds = q->e->no_sds };
	who.node = cox_tool_node_find(q->e->nodes, who.proxy);
	if (explained_open(q->e, &who, x, err) != COX_OK) {
		explained_fini(x);
		cox_free(x);
		return NULL;
	}
	cox_oracle_add_rendered(&x->oracle, x->rendered);
	cox_map_set(&q->e->others, pod->id, x);
	return x;
}

static bool client_says_alpn(const struct cox_oracle_walk *w)
{
	const struct cox_json *filters = cox_json_get(w->network_filter, COX_STR("http_filters"));
	for (size_t i = 0; filters && i < filters->n; i++)
		if (cox_str_eq_cstr(cox_json_str_at(&filters->items[i], "name"), "istio.alpn"))
			return true;
	return false;
}

/* What the client's certificate says, where its proxy has one. */
static struct cox_str identity(struct question *q)
{
	const struct cox_proxy *p = q->e->start.proxy;
	struct cox_str domain = q->e->world->snapshot->mesh->trust_domain;
	if (p == NULL || !p->has_sds)
		return (struct cox_str){ 0 };
	return cox_arena_printf(q->a, "spiffe://%.*s/ns/%.*s/sa/%.*s", COX_FMT(domain.n ? domain : COX_STR("cluster.local")),
	                        COX_FMT(p->ns), COX_FMT(p->service_account.n ? p->service_account : COX_STR("default")));
}

/* The connection as the client's proxy makes it. */
static void connection_set(struct question *q, const struct cox_oracle_walk *w, const struct cox_oracle_endpoint *e,
                           struct cox_oracle_request *r)
{
	const struct cox_json *typed = cox_json_get(e->socket, COX_STR("typed_config")),
	                      *inner = cox_json_at(typed, "transport_socket.typed_config");
	const struct cox_json *common = cox_json_get(inner ? inner : typed, COX_STR("common_tls_context"));
	const struct cox_json *alpn = cox_json_get(common, COX_STR("alpn_protocols"));
	ptrdiff_t colon = cox_str_rfind(e->address, ':');
	uint64_t port = 0;
	(void)!cox_str_to_u64(cox_str_sub(e->address, (size_t)colon + 1, SIZE_MAX), &port);
	*r = q->r;
	r->dst_ip = cox_str_sub(e->address, 0, (size_t)colon);
	r->dst_port = (uint16_t)port;
	r->capture_port = 15006;
	r->src_ip = q->e->start.ip;
	/* What was TCP to the client's proxy stays what it was inside: TLS of the application's own is opaque. */
	r->is_tls = common != NULL || (q->r.is_tls && !w->is_tls_terminated);
	r->is_http = w->is_http || (q->r.is_http && !q->r.is_tls);
	r->authority = w->new_authority.n ? w->new_authority : q->r.authority;
	r->path = w->new_path.n ? w->new_path : q->r.path;
	if (common == NULL)
		return;
	r->peer = identity(q);
	r->sni = cox_json_str_at(inner ? inner : typed, "sni");
	r->alpn = (struct cox_str){ 0 };
	for (size_t i = 0; alpn && i < alpn->n; i++)
		r->alpn = cox_arena_printf(q->a, "%.*s%s%.*s", COX_FMT(r->alpn), i ? "," : "", COX_FMT(alpn->items[i].text));
	if (w->is_http && client_says_alpn(w))
		r->alpn = q->r.is_http2 ? COX_STR("istio-h2,istio,h2") : COX_STR("istio-http/1.1,istio,http/1.1");
}

static struct cox_json *mtls_json(struct question *q, const struct explained *x, uint16_t port)
{
	static const char *const modes[] = { [COX_MTLS_UNSET] = "UNSET",
		                             [COX_MTLS_DISABLE] = "DISABLE",
		                             [COX_MTLS_PERMISSIVE] = "PERMISSIVE",
		                             [COX_MTLS_STRICT] = "STRICT" };
	const struct cox_snapshot *s = q->e->world->snapshot;
	struct cox_json *o = cox_json_new_object(q->a);
	const struct cox_object *own = cox_snapshot_mtls_workload_policy(s, x->ns, x->labels.p, x->labels.n);
	js_str(q->a, o, "mode", cox_str_of(modes[cox_snapshot_mtls_server(s, x->ns, x->labels.p, x->labels.n, port)]));
	if (own) {
		js_put(q->a, o, "source", explain_source_new(q->a, explain_object_text(q->a, own->id), COX_STR("spec.mtls")));
		return o;
	}
	/* Otherwise the namespace's or the mesh's: the first of theirs without a selector. */
	const struct cox_str order[] = { x->ns, s->root_ns };
	for (size_t k = 0; k < COX_LEN(order); k++)
		for (size_t i = 0; i < s->peer_authentications.n; i++) {
			const struct cox_object *p = s->peer_authentications.p[i];
			const struct cox_peer_authentication *spec = COX_SPEC(cox_peer_authentication_object, p)->spec;
			if (cox_str_eq(p->meta.ns, order[k]) && spec && (!spec->selector || spec->selector->match_labels.n == 0)) {
				js_put(q->a, o, "source",
				       explain_source_new(q->a, explain_object_text(q->a, p->id), COX_STR("spec.mtls.mode")));
				return o;
			}
		}
	return o;
}

struct cox_json *explain_inbound(struct question *q, const struct cox_oracle_walk *w)
{
	const struct cox_oracle_endpoint *e = w->outcome == COX_ORACLE_FORWARD ? endpoint_choose(q, w) : NULL;
	struct cox_oracle_request before = q->r;
	struct cox_oracle_walk in;
	struct cox_err err = { 0 };
	if (e == NULL || q->e->world == NULL || cox_str_rfind(e->address, ':') <= 0)
		return NULL;
	connection_set(q, w, e, &q->r);
	const struct cox_object *pod = pod_find(q->e->world, q->r.dst_ip);
	struct cox_json *o = cox_json_new_object(q->a);
	js_str(q->a, o, "endpoint", e->address);
	if (pod)
		js_str(q->a, o, "pod", cox_arena_printf(q->a, "%.*s.%.*s", COX_FMT(pod->meta.name), COX_FMT(pod->meta.ns)));
	struct explained *x = pod && has_sidecar(pod) ? other_get(q, pod, &err) : NULL;
	js_bool(q->a, o, "hasProxy", x != NULL);
	if (x) {
		js_put(q->a, o, "mtls", mtls_json(q, x, q->r.dst_port));
		cox_oracle_walk(&x->oracle, &q->r, q->a, &in);
		js_put(q->a, o, "walk", explain_walk_json(q, x, &in));
	}
	q->r = before;
	return o;
}
