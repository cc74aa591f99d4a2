#include "translate/inbound_priv.h"

#include "translate/filters.h"
#include "translate/patch.h"
#include "translate/settings.h"

#define INBOUND_PORT 15006
#define VIRTUAL_INBOUND COX_STR("virtualInbound")
#define TLS_INSPECTOR_BUFFER_BYTES 512 /* a ClientHello's head; it grows where that is not enough */

static struct pb_accesslog_v3_AccessLog log_open(void *arg)
{
	return pb_listener_v3_Listener_access_log(*(struct pb_listener_v3_Listener *)arg);
}

static void range_write(struct pb_listener_v3_ListenerFilterChainMatchPredicate p, uint16_t port)
{
	PB_WITH (range, pb_listener_v3_ListenerFilterChainMatchPredicate_destination_port_range(p)) {
		pb_type_v3_Int32Range_start(range, port);
		pb_type_v3_Int32Range_end(range, port + 1);
	}
}

static void ranges_write(struct pb_listener_v3_ListenerFilterChainMatchPredicate p, const uint16_t *ports, size_t n)
{
	if (n == 1) {
		range_write(p, ports[0]);
		return;
	}
	PB_WITH (any, pb_listener_v3_ListenerFilterChainMatchPredicate_or_match(p))
		for (size_t i = 0; i < n; i++)
			PB_WITH (rule, pb_listener_v3_ListenerFilterChainMatchPredicate_MatchSet_rules(any))
				range_write(rule, ports[i]);
}

static void tls_inspector_write(struct pb_listener_v3_ListenerFilter f)
{
	pb_listener_v3_ListenerFilter_name(f, COX_STR("envoy.filters.listener.tls_inspector"));
	PB_ANY (ti, pb_listener_v3_ListenerFilter_typed_config(f), pb_filters_listener_tls_inspector_v3_TlsInspector)
		pb_filters_listener_tls_inspector_v3_TlsInspector_initial_read_buffer_size(ti, TLS_INSPECTOR_BUFFER_BYTES);
}

static void http_inspector_write(struct pb_listener_v3_ListenerFilter f)
{
	pb_listener_v3_ListenerFilter_name(f, COX_STR("envoy.filters.listener.http_inspector"));
	PB_ANY (hi, pb_listener_v3_ListenerFilter_typed_config(f), pb_filters_listener_http_inspector_v3_HttpInspector) {
	}
}

static void original_dst_write(struct pb_listener_v3_Listener l)
{
	PB_WITH (f, pb_listener_v3_Listener_listener_filters(l)) {
		pb_listener_v3_ListenerFilter_name(f, COX_STR("envoy.filters.listener.original_dst"));
		PB_ANY (od, pb_listener_v3_ListenerFilter_typed_config(f), pb_filters_listener_original_dst_v3_OriginalDst) {
		}
	}
}

/* The application sees the client's address. The mark is what the agent's capture rules know such connections by. */
static void original_src_write(struct pb_listener_v3_Listener l)
{
	enum { TPROXY_MARK = 1337 };
	PB_WITH (f, pb_listener_v3_Listener_listener_filters(l)) {
		pb_listener_v3_ListenerFilter_name(f, COX_STR("envoy.filters.listener.original_src"));
		PB_ANY (os, pb_listener_v3_ListenerFilter_typed_config(f), pb_filters_listener_original_src_v3_OriginalSrc)
			pb_filters_listener_original_src_v3_OriginalSrc_mark(os, TPROXY_MARK);
	}
}

static bool needs_tls_inspector(enum cox_protocol protocol, enum cox_inbound_tls tls)
{
	(void)protocol;
	return tls == COX_INBOUND_TLS_PERMISSIVE || tls == COX_INBOUND_TLS_STRICT;
}

/* Only clear text is sniffed: inside of mTLS the ALPN says what is spoken. */
static bool needs_http_inspector(enum cox_protocol protocol, enum cox_inbound_tls tls)
{
	return protocol == COX_PROTO_AUTO && (tls == COX_INBOUND_TLS_PERMISSIVE || tls == COX_INBOUND_TLS_DISABLE);
}

/* On which ports an inspector of virtualInbound runs: where connections to unknown ports need it, all but those that do not; else only
 * those that do; none: the filter is left out. */
static void inspector_write(struct pb_listener_v3_Listener l, const struct cox_inbound *in, uint16_t listen_port,
                            bool (*is_needed)(enum cox_protocol, enum cox_inbound_tls),
                            void (*write)(struct pb_listener_v3_ListenerFilter f))
{
	bool is_default = is_needed(COX_PROTO_AUTO, cox_inbound_tls_mode(in->t, in->w, 0));
	uint16_t *ports = COX_ARENA_ARRAY(in->t->arena, uint16_t, in->ports.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < in->ports.n; i++) {
		const struct cox_inbound_port *p = &in->ports.p[i];
		if (!p->is_own_listener && is_needed(p->protocol, p->tls) != is_default)
			ports[n++] = p->target;
	}
	if (is_default)
		ports[n++] = listen_port;
	else if (n == 0)
		return;
	PB_WITH (f, pb_listener_v3_Listener_listener_filters(l)) {
		write(f);
		PB_WITH (p, pb_listener_v3_ListenerFilter_filter_disabled(f)) {
			if (is_default)
				ranges_write(p, ports, n);
			else
				PB_WITH (others, pb_listener_v3_ListenerFilterChainMatchPredicate_not_match(p))
					ranges_write(others, ports, n);
		}
	}
}

static void head_write(struct pb_listener_v3_Listener l, const struct cox_inbound *in, struct cox_str name, struct cox_str bind,
                       uint16_t port)
{
	pb_listener_v3_Listener_name(l, name);
	cox_listener_address_write(l, in->t->view, bind, port);
	cox_settings_listener_write(l, in->t);
	cox_access_logs(in->t, COX_LOG_OF_LISTENER, log_open, &l);
}

static void tail_write(struct pb_listener_v3_Listener l, const struct cox_inbound *in)
{
	const struct cox_opt_i64 *timeout = &in->t->s->mesh->protocol_detection_timeout_ns;
	pb_listener_v3_Listener_listener_filters_timeout(l, timeout->set ? timeout->v : 0);
	pb_listener_v3_Listener_continue_on_listener_filters_timeout(l, true);
	pb_listener_v3_Listener_traffic_direction(l, PB_core_v3_INBOUND);
	/* One at a time: a burst of connections is spread over the workers. */
	pb_listener_v3_Listener_max_connections_to_accept_per_socket_event(l, 1);
	cox_settings_balance_write(l, in->t, COX_HCM_INBOUND);
}

static void virtual_write(struct pb_listener_v3_Listener l, const struct cox_inbound *in, uint16_t port)
{
	head_write(l, in, VIRTUAL_INBOUND, cox_view_any_address(in->t->view), port);
	for (size_t i = 0; i < in->ports.n; i++)
		if (!in->ports.p[i].is_own_listener)
			cox_inbound_chains_write(l, in, &in->ports.p[i]);
	cox_inbound_passthrough_chains_write(l, in, port);
	original_dst_write(l);
	if (in->t->view->interception == COX_INTERCEPT_TPROXY)
		original_src_write(l);
	inspector_write(l, in, port, needs_tls_inspector, tls_inspector_write);
	inspector_write(l, in, port, needs_http_inspector, http_inspector_write);
	if (in->t->view->interception == COX_INTERCEPT_TPROXY)
		pb_listener_v3_Listener_transparent(l, true);
	tail_write(l, in);
}

/* An inspector on a listener of one port: on for that port only, as in virtualInbound. */
static void only_port_write(struct pb_listener_v3_ListenerFilter f, uint16_t port)
{
	PB_WITH (p, pb_listener_v3_ListenerFilter_filter_disabled(f))
		PB_WITH (not, pb_listener_v3_ListenerFilterChainMatchPredicate_not_match(p))
			range_write(not, port);
}

static void own_write(struct pb_listener_v3_Listener l, const struct cox_inbound *in, const struct cox_inbound_port *p, struct cox_str name)
{
	head_write(l, in, name, p->bind, p->target);
	cox_inbound_chains_write(l, in, p);
	if (needs_tls_inspector(p->protocol, p->tls))
		PB_WITH (f, pb_listener_v3_Listener_listener_filters(l)) {
			tls_inspector_write(f);
			only_port_write(f, p->target);
		}
	if (needs_http_inspector(p->protocol, p->tls))
		PB_WITH (f, pb_listener_v3_Listener_listener_filters(l)) {
			http_inspector_write(f);
			only_port_write(f, p->target);
		}
	tail_write(l, in);
}

static struct cox_str needs_of(const struct cox_inbound *in, const struct cox_inbound_port *only)
{
	struct cox_buf needs = { 0 };
	for (size_t i = 0; i < in->ports.n; i++) {
		const struct cox_inbound_port *p = &in->ports.p[i];
		if (only != NULL ? p != only : p->is_own_listener)
			continue;
		cox_buf_append_str(&needs, p->cluster);
		cox_buf_append_char(&needs, '\n');
	}
	if (only == NULL)
		cox_buf_append_cstr(&needs, "BlackHoleCluster\nInboundPassthroughCluster");
	else if (needs.n > 0)
		needs.n--;
	struct cox_str made = cox_arena_str(in->t->arena, cox_buf_str(&needs));
	cox_buf_fini(&needs);
	return made;
}

static struct cox_str origins_of(const struct cox_inbound *in, const struct cox_inbound_port *only)
{
	struct cox_buf ids = { 0 };
	cox_buf_append_str(&ids, in->limits.origins);
	if (in->sidecar != NULL) {
		if (ids.n > 0)
			cox_buf_append_char(&ids, '\n');
		cox_buf_append_str(&ids, in->sidecar->id);
	}
	for (size_t i = 0; i < in->ports.n; i++) {
		const struct cox_inbound_port *p = &in->ports.p[i];
		if ((only != NULL && p != only) || p->snap == NULL)
			continue;
		if (ids.n > 0)
			cox_buf_append_char(&ids, '\n');
		cox_buf_append_str(&ids, p->snap->svc->object_id);
	}
	struct cox_str made = cox_arena_str(in->t->arena, cox_buf_str(&ids));
	cox_buf_fini(&ids);
	return made;
}

static const struct cox_resource *listener_build(const struct cox_inbound *in, const struct cox_inbound_port *own)
{
	const struct cox_mesh_config *mesh = in->t->s->mesh;
	uint16_t port = mesh->proxy_inbound_listen_port.v > 0 ? (uint16_t)mesh->proxy_inbound_listen_port.v : INBOUND_PORT;
	struct cox_str name = VIRTUAL_INBOUND;
	struct cox_buf wire = { 0 };
	struct cox_pb pb;

	if (own != NULL)
		name = cox_arena_printf(in->t->arena, "%.*s_%u", COX_FMT(own->bind), own->target);
	cox_pb_init(&pb, &wire);
	PB_ROOT (l, pb_listener_v3_Listener, &pb) {
		if (own != NULL)
			own_write(l, in, own, name);
		else
			virtual_write(l, in, port);
	}
	const struct cox_resource *r = cox_resource_new(COX_TYPE_LDS, name, cox_buf_str(&wire), origins_of(in, own), needs_of(in, own));
	cox_buf_fini(&wire);
	in->t->built++;
	return r;
}

void cox_translate_inbound(struct cox_tr *t, const struct cox_workload *w, cox_resources *clusters, cox_resources *listeners)
{
	struct cox_inbound in = { .t = t, .w = w };
	in.limits = cox_rate_filters_build(t, w->view.ns, w->labels.p, w->labels.n);

	cox_inbound_ports(&in);
	for (size_t i = 0; i < in.ports.n; i++) {
		cox_vec_push(clusters, cox_inbound_cluster_build(&in, &in.ports.p[i]));
		if (in.ports.p[i].is_own_listener &&
		    in.ports.p[i].tls != COX_INBOUND_TLS_REFUSE) /* Envoy takes no listener without chains */
			cox_vec_push(listeners, listener_build(&in, &in.ports.p[i]));
	}
	if (t->view->interception != COX_INTERCEPT_NONE) {
		cox_vec_push(clusters, cox_cluster_inbound_passthrough(t));
		cox_vec_push(listeners, listener_build(&in, NULL));
	}
	cox_vec_fini(&in.ports);
	cox_patch_inbound(t, clusters, listeners);
}
