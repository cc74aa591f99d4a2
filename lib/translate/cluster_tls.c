#include "translate/cluster_priv.h"

#include "translate/common_tls.h"
#include "translate/filters.h"

static const struct cox_client_tls mesh_mutual = { .mode = COX_TLS_ISTIO_MUTUAL };

/* The rule that asks for it names a workload, so its credentials can be meant for this proxy. */
static bool may_use_credentials(const struct cox_tr *t, const struct cox_cluster_spec *spec)
{
	return t->view->type == COX_PROXY_ROUTER || (spec->dr != NULL && spec->dr->spec->workload_selector != NULL);
}

static struct cox_cluster_tls tls_of_rule(const struct cox_tr *t, const struct cox_cluster_spec *spec)
{
	const struct cox_client_tls *tls = spec->policy.tls;
	struct cox_cluster_tls out = { .kind = COX_CLUSTER_TLS_ALWAYS, .settings = tls, .is_explicit = true };

	if (tls->mode == COX_TLS_DISABLE)
		out.kind = COX_CLUSTER_TLS_NONE;
	else if (tls->mode == COX_TLS_ISTIO_MUTUAL && !t->view->has_sds)
		out.finding = COX_STR("tls mode ISTIO_MUTUAL left out: nobody serves this proxy a workload certificate");
	else if (tls->mode != COX_TLS_ISTIO_MUTUAL && tls->credential_name.n > 0 && !may_use_credentials(t, spec))
		out.finding = COX_STR("tls credentialName left out: the rule has no workloadSelector, so it is for gateways only");
	if (out.finding.n > 0)
		out.kind = COX_CLUSTER_TLS_NONE;
	return out;
}

/* Auto mTLS: by what each endpoint says of itself; where the address is the caller's, only if all endpoints do. */
static struct cox_cluster_tls tls_auto(const struct cox_tr *t, const struct cox_cluster_spec *spec)
{
	struct cox_cluster_tls out = { .kind = COX_CLUSTER_TLS_NONE };
	const struct cox_opt_bool *is_on = &t->s->mesh->enable_auto_mtls;

	if ((is_on->set && !is_on->v) || spec->snap->svc->is_external || !t->view->has_sds)
		return out;
	if (cox_snapshot_mtls_client(t->s, spec->snap->svc->ns) == COX_MTLS_DISABLE)
		return out;
	out.settings = &mesh_mutual;
	if (spec->discovery != COX_DISCOVERY_ORIGINAL_DST && spec->discovery != COX_DISCOVERY_DFP)
		out.kind = COX_CLUSTER_TLS_BY_ENDPOINT;
	else if (spec->snap->endpoints->all_tls)
		out.kind = COX_CLUSTER_TLS_ALWAYS;
	return out;
}

struct cox_cluster_tls cox_cluster_tls_of(const struct cox_tr *t, const struct cox_cluster_spec *spec)
{
	if (spec->is_sni_dnat) /* the client's own TLS passes through */
		return (struct cox_cluster_tls){ .kind = COX_CLUSTER_TLS_NONE };
	return spec->policy.tls != NULL ? tls_of_rule(t, spec) : tls_auto(t, spec);
}

/* Class ISTIO rewrites the list per request (filter istio.alpn); a stock Envoy says on the cluster what the server's filter chains look
 * for. */
static size_t alpn_of(const struct cox_tr *t, const struct cox_cluster_spec *spec, const struct cox_cluster_tls *tls,
                      const struct cox_cluster_http *http, const struct cox_str **out)
{
	static const struct cox_str istio[] = { COX_STR_INIT("istio-peer-exchange"), COX_STR_INIT("istio"), COX_STR_INIT("h2") };
	static const struct cox_str http1[] = { COX_STR_INIT("istio-http/1.1"), COX_STR_INIT("istio"), COX_STR_INIT("http/1.1") };
	static const struct cox_str http2[] = { COX_STR_INIT("istio-h2"), COX_STR_INIT("istio"), COX_STR_INIT("h2") };
	static const struct cox_str tcp[] = { COX_STR_INIT("istio") };

	if (tls->settings->mode != COX_TLS_ISTIO_MUTUAL) {
		*out = &istio[2];
		return http->is_http2 ? 1 : 0;
	}
	if (t->view->klass == COX_CLASS_ISTIO) {
		size_t skip = t->s->features.no_peer_alpn ? 1 : 0;
		*out = istio + skip;
		return (http->is_http2 ? 3 : 2) - skip;
	}
	/* Where HTTP/1 and HTTP/2 share the cluster no list fits both: the server sniffs the bytes behind "istio". */
	if (http->follows_downstream || !cox_protocol_is_http(spec->port->protocol)) {
		*out = tcp;
		return COX_LEN(tcp);
	}
	*out = http->is_http2 ? http2 : http1;
	return 3;
}

struct san_list {
	struct cox_str *p;
	size_t n;
};

/* Both sources are short; what a ServiceEntry names is often an account too. */
static void san_add(struct san_list *list, struct cox_str san)
{
	for (size_t k = 0; k < list->n; k++)
		if (cox_str_eq(list->p[k], san))
			return;
	list->p[list->n++] = san;
}

/* The part of an identity of this mesh behind the trust domain ("/ns/a/sa/b"); empty: it is of another domain, or no SPIFFE id. */
static struct cox_str mesh_path_of(const struct cox_mesh_config *mesh, struct cox_str san)
{
	struct cox_str rest = cox_str_sub(san, 9, san.n);
	ptrdiff_t slash = cox_str_has_prefix(san, COX_STR("spiffe://")) ? cox_str_find(rest, '/') : -1;
	struct cox_str domain = cox_str_sub(rest, 0, slash < 0 ? 0 : (size_t)slash);
	bool is_ours = slash > 0 && cox_str_eq(domain, mesh->trust_domain);

	for (COX_EACH(struct cox_str, alias, mesh->trust_domain_aliases))
		is_ours |= slash > 0 && cox_str_eq(domain, *alias);
	return is_ours ? cox_str_sub(rest, (size_t)slash, rest.n) : (struct cox_str){ 0 };
}

/* Service identities that the server may have: those seen behind the service and those that its ServiceEntry names, each under every name
 * of the trust domain: while a mesh moves to another, certificates of both are about. */
static size_t service_sans(const struct cox_tr *t, const struct cox_cluster_spec *spec, const struct cox_str **out)
{
	const struct cox_svc *svc = spec->snap->svc;
	const struct cox_endpoint_set *e = spec->snap->endpoints;
	const struct cox_mesh_config *mesh = t->s->mesh;
	size_t names = svc->subject_alt_names.n + e->accounts.n, aliases = mesh->trust_domain_aliases.n;
	struct san_list list = { .p = COX_ARENA_ARRAY(t->arena, struct cox_str, names * (aliases + 1) + 1) };

	for (COX_EACH(struct cox_str, account, e->accounts))
		san_add(&list, *account);
	for (COX_EACH(struct cox_str, san, svc->subject_alt_names))
		san_add(&list, *san);
	for (size_t i = 0, n = list.n; i < n && aliases > 0; i++) {
		struct cox_str path = mesh_path_of(mesh, list.p[i]);
		for (size_t k = 0; path.n > 0 && k < aliases; k++)
			san_add(&list,
			        cox_arena_printf(t->arena, "spiffe://%.*s%.*s", COX_FMT(mesh->trust_domain_aliases.p[k]), COX_FMT(path)));
	}
	*out = list.p;
	return list.n;
}

static void tls_socket_write(struct pb_core_v3_TransportSocket s, const struct cox_tr *t, const struct cox_cluster_spec *spec,
                             const struct cox_cluster_tls *tls, const struct cox_cluster_http *http)
{
	bool is_mesh = tls->settings->mode == COX_TLS_ISTIO_MUTUAL;
	struct cox_upstream_tls u = {
		.tls = tls->settings,
		.arena = t->arena,
		.compliance = t->s->compliance,
		.defaults = t->s->mesh->tls_defaults,
		.has_sds = t->view->has_sds,
	};

	if (is_mesh)
		u.default_sni =
		    cox_cluster_sni(t->arena, spec->port->port, spec->subset != NULL ? spec->subset->name : (struct cox_str){ 0 },
		                    spec->snap->svc->hostname);
	if (is_mesh || spec->snap->svc->origin == COX_SVC_ENTRY)
		u.service_san_n = service_sans(t, spec, &u.service_sans);
	u.alpn_n = alpn_of(t, spec, tls, http, &u.alpn);
	cox_tls_upstream(s, &u);
}

/* `inner` is the encoded TransportSocket that the PROXY header goes in front of; empty: plain TCP. */
static void proxy_protocol_write(struct pb_core_v3_TransportSocket s, const struct cox_proxy_protocol_settings *p, struct cox_str inner)
{
	pb_core_v3_TransportSocket_name(s, COX_STR("envoy.transport_sockets.upstream_proxy_protocol"));
	PB_ANY (up, pb_core_v3_TransportSocket_typed_config(s), pb_transport_sockets_proxy_protocol_v3_ProxyProtocolUpstreamTransport) {
		PB_WITH (config, pb_transport_sockets_proxy_protocol_v3_ProxyProtocolUpstreamTransport_config(up))
			pb_core_v3_ProxyProtocolConfig_version(config, p->version == COX_PROXY_PROTOCOL_V2
			                                                   ? PB_core_v3_ProxyProtocolConfig_V2
			                                                   : PB_core_v3_ProxyProtocolConfig_V1);
		pb_transport_sockets_proxy_protocol_v3_ProxyProtocolUpstreamTransport_transport_socket_raw(up, inner);
	}
}

/* One socket's bytes, with the PROXY protocol around it where the policy has it. */
static void socket_encode(struct cox_buf *out, const struct cox_tr *t, const struct cox_cluster_spec *spec,
                          const struct cox_cluster_tls *tls, const struct cox_cluster_http *http, bool is_tls)
{
	struct cox_buf inner = { 0 };
	struct cox_pb pb;

	cox_pb_init(&pb, &inner);
	PB_ROOT (s, pb_core_v3_TransportSocket, &pb) {
		if (is_tls)
			tls_socket_write(s, t, spec, tls, http);
		else
			cox_tls_raw(s);
	}
	if (spec->policy.proxy_protocol == NULL) {
		cox_buf_append(out, inner.p, inner.n);
	} else {
		struct cox_pb outer;
		cox_pb_init(&outer, out);
		PB_ROOT (s, pb_core_v3_TransportSocket, &outer)
			proxy_protocol_write(s, spec->policy.proxy_protocol, cox_buf_str(&inner));
	}
	cox_buf_fini(&inner);
}

static void match_write(struct pb_cluster_v3_Cluster c, struct cox_str name, bool matches_istio, struct cox_str socket)
{
	PB_WITH (m, pb_cluster_v3_Cluster_transport_socket_matches(c)) {
		pb_cluster_v3_Cluster_TransportSocketMatch_name(m, name);
		PB_WITH (match, pb_cluster_v3_Cluster_TransportSocketMatch_match(m))
			if (matches_istio)
				PB_WITH (v, pb_google_protobuf_Struct_fields(match, COX_STR("tlsMode")))
					pb_google_protobuf_Value_string_value(v, COX_STR("istio"));
		pb_cluster_v3_Cluster_TransportSocketMatch_transport_socket_raw(m, socket);
	}
}

void cox_cluster_tls_write(struct pb_cluster_v3_Cluster c, const struct cox_tr *t, const struct cox_cluster_spec *spec,
                           const struct cox_cluster_tls *tls, const struct cox_cluster_http *http)
{
	struct cox_buf socket = { 0 };

	switch (tls->kind) {
	case COX_CLUSTER_TLS_NONE:
		if (spec->policy.proxy_protocol == NULL)
			break;
		socket_encode(&socket, t, spec, tls, http, false);
		pb_cluster_v3_Cluster_transport_socket_raw(c, cox_buf_str(&socket));
		break;
	case COX_CLUSTER_TLS_ALWAYS:
		socket_encode(&socket, t, spec, tls, http, true);
		pb_cluster_v3_Cluster_transport_socket_raw(c, cox_buf_str(&socket));
		break;
	case COX_CLUSTER_TLS_BY_ENDPOINT:
		socket_encode(&socket, t, spec, tls, http, true);
		match_write(c, COX_STR("tlsMode-istio"), true, cox_buf_str(&socket));
		cox_buf_clear(&socket);
		socket_encode(&socket, t, spec, tls, http, false);
		match_write(c, COX_STR("tlsMode-disabled"), false, cox_buf_str(&socket));
		break;
	}
	cox_buf_fini(&socket);
}
