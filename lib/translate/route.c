/* route.c - see route.h: the routes of one VirtualService, virtual hosts, route configurations. */
#include "translate/route_priv.h"

#include <stdlib.h>

#include "translate/deadline.h"
#include "translate/filters.h"
#include "translate/notes.h"
#include "translate/session.h"
#include "translate/settings.h"

/* --- names ------------------------------------------------------------------------------------ */

void cox_names_add(struct cox_names *n, struct cox_str name)
{
	if (name.n == 0 || cox_map_find(&n->seen, name))
		return;
	struct cox_str key = cox_arena_str(n->arena, name);
	cox_map_set(&n->seen, key, (void *)(uintptr_t)1);
	if (n->text.n > 0)
		cox_buf_append_char(&n->text, '\n');
	cox_buf_append_str(&n->text, name);
}

void cox_names_add_all(struct cox_names *n, struct cox_str joined)
{
	struct cox_str rest = joined, part;
	while (joined.n > 0 && cox_str_next(&rest, '\n', &part))
		cox_names_add(n, part);
}

void cox_names_fini(struct cox_names *n)
{
	cox_buf_fini(&n->text);
	cox_map_fini(&n->seen);
}

/* --- routes ----------------------------------------------------------------------------------- */

/* "host:port" of an outbound cluster's name, for the decorator. */
static struct cox_str operation_build(const struct cox_route_ctx *ctx, struct cox_str cluster, struct cox_str vs_name, struct cox_str path)
{
	struct cox_arena *a = ctx->t->arena;
	struct cox_str rest = cluster, direction, port, subset;
	if (cluster.n > 0 && cox_str_next(&rest, '|', &direction) && cox_str_next(&rest, '|', &port) && cox_str_next(&rest, '|', &subset))
		return cox_arena_printf(a, "%.*s:%.*s%.*s", COX_FMT(rest), COX_FMT(port), COX_FMT(path));
	return cox_arena_printf(a, "%.*s:%u%.*s", COX_FMT(vs_name), ctx->port, COX_FMT(path));
}

static void decorator_write(struct pb_route_v3_Route r, struct cox_str operation)
{
	PB_WITH (d, pb_route_v3_Route_decorator(r))
		pb_route_v3_Decorator_operation(d, operation);
}

/* Made from an Ingress or an HTTPRoute (lib/convert): prefixes are of whole elements; "gateway": and what has no cluster answers 500. */
static struct cox_str semantics_of(const struct cox_meta *meta)
{
	return cox_kv_get(meta->annotations.p, meta->annotations.n, COX_STR("internal.istio.io/route-semantics"));
}

/* Of the route itself, or of the first destination that asks for it. */
static void session_write(const struct cox_route_ctx *ctx, struct pb_route_v3_Route r, const struct cox_vs *vs,
                          const struct cox_http_route *h)
{
	struct cox_session s;
	bool is_found = vs->has_sessions && cox_session_of_route(vs, h, &s);
	for (size_t i = 0; !is_found && ctx->t->s->features.has_sessions && i < h->route.n; i++) {
		const struct cox_snap_svc *svc =
		    h->route.p[i].destination ? cox_destination_svc(ctx->t, h->route.p[i].destination->host) : NULL;
		is_found = svc && cox_session_of_service(ctx->t, svc->svc, &s);
	}
	if (is_found && !h->redirect && !h->direct_response)
		cox_session_route_write(r, &s);
}

static void route_write(const struct cox_route_ctx *ctx, struct pb_route_v3_VirtualHost vh, const struct cox_vs *vs,
                        const struct cox_http_route *h, const struct cox_http_match *m, struct cox_names *needs)
{
	struct cox_arena *a = ctx->t->arena;
	const struct cox_meta *meta = &vs->object->meta;
	cox_route_notes_add(ctx->t->notes, vs, h, m);
	PB_WITH (r, pb_route_v3_VirtualHost_routes(vh)) {
		struct route_path path = { 0 };
		struct cox_str name = h->name;
		if (m && m->name.n > 0)
			name = cox_arena_printf(a, "%.*s.%.*s", COX_FMT(h->name), COX_FMT(m->name));
		pb_route_v3_Route_name(r, name);
		PB_WITH (rm, pb_route_v3_Route_match(r))
			path = route_match_write(ctx, rm, m, semantics_of(meta).n > 0);
		struct cox_istio_metadata md = { .config = cox_istio_config_path(a, "virtual-service", meta->ns, meta->name) };
		PB_WITH (out, pb_route_v3_Route_metadata(r))
			cox_istio_metadata_write(out, &md);
		if (m)
			pb_route_v3_Route_stat_prefix(r, m->stat_prefix);
		struct cox_str cluster = route_action_write(ctx, r, h, m, cox_str_eq_cstr(semantics_of(meta), "gateway"), needs);
		decorator_write(r, operation_build(ctx, cluster, meta->name, path.text));
		route_filters_write(r, h);
		session_write(ctx, r, vs, h);
		if (vs->has_deadline && !h->redirect && !h->direct_response && h->route.n > 0)
			cox_deadline_route_write(r, h->timeout_ns);
	}
}

static bool http_match_applies(const struct cox_route_ctx *ctx, const struct cox_http_match *m)
{
	struct cox_source_match s = { m->port, m->source_labels.p, m->source_labels.n, m->gateways.p, m->gateways.n, m->source_namespace };
	return cox_source_matches(ctx, &s);
}

/* Routes are written in the order of the object. One that no request can fail to match ends them. Several VirtualServices of one gateway
 * host are written in two passes: pass 1 without, pass 2 only with such an ending; pass 0 is both. */
bool routes_of_vs_write(const struct cox_route_ctx *ctx, struct pb_route_v3_VirtualHost vh, const struct cox_vs *vs, int pass,
                        struct cox_names *needs)
{
	bool any = false;
	for (COX_EACH(struct cox_http_route, h, vs->spec->http)) {
		if (h->match.n == 0) {
			if (pass != 1)
				route_write(ctx, vh, vs, h, NULL, needs);
			return any || pass != 1;
		}
		for (COX_EACH(struct cox_http_match, m, h->match)) {
			if (!http_match_applies(ctx, m))
				continue;
			bool last = route_match_is_catch_all(m);
			if (pass == 0 || last == (pass == 2)) {
				route_write(ctx, vh, vs, h, m, needs);
				any = true;
			}
			if (last)
				return any;
		}
	}
	return any;
}

void route_default_write(const struct cox_route_ctx *ctx, struct pb_route_v3_VirtualHost vh, const struct cox_snap_svc *svc, uint16_t port,
                         struct cox_names *needs)
{
	const struct cox_retry *retry = ctx->t->s->mesh->default_http_retry_policy;
	struct cox_str cluster = cox_cluster_name(ctx->t->arena, "outbound", port, (struct cox_str){ 0 }, svc->svc->hostname);
	cox_names_add(needs, cluster);
	cox_route_notes_add(ctx->t->notes, NULL, NULL, NULL);
	PB_WITH (r, pb_route_v3_VirtualHost_routes(vh)) {
		pb_route_v3_Route_name(r, COX_STR("default"));
		PB_WITH (m, pb_route_v3_Route_match(r))
			pb_route_v3_RouteMatch_prefix(m, COX_STR("/"));
		PB_WITH (a, pb_route_v3_Route_route(r)) {
			pb_route_v3_RouteAction_cluster(a, cluster);
			pb_route_v3_RouteAction_timeout(a, 0);
			pb_route_v3_RouteAction_max_grpc_timeout(a, 0);
			route_hash_policy_write(a, ctx->t, svc, (struct cox_str){ 0 }, port);
			if (retry == NULL || !retry->attempts.set || retry->attempts.v > 0)
				PB_WITH (p, pb_route_v3_RouteAction_retry_policy(a))
					route_retry_write(p, retry, false);
		}
		decorator_write(r, operation_build(ctx, cluster, (struct cox_str){ 0 }, COX_STR("/*")));
		struct cox_session session;
		if (cox_session_of_service(ctx->t, svc->svc, &session))
			cox_session_route_write(r, &session);
	}
}

/* --- identity of a virtual host ---------------------------------------------------------------- */

static struct cox_hash mix_str(struct cox_hash h, struct cox_str s) { return cox_hash_combine(h, cox_hash128(s.p, s.n)); }

static struct cox_hash mix_u64(struct cox_hash h, uint64_t v) { return cox_hash_combine(h, (struct cox_hash){ v, 1 }); }

/* All that a destination's cluster name and hash policy are read from. */
static struct cox_hash mix_svc(struct cox_hash h, const struct cox_tr *t, const struct cox_snap_svc *s)
{
	if (s == NULL)
		return mix_u64(h, 0);
	const struct cox_dr *dr = cox_scope_dr_find(t->s, t->view->ns, t->view->labels.p, t->view->labels.n, s->svc);
	h = cox_hash_combine(h, s->svc->hash);
	return dr ? cox_hash_combine(h, dr->hash) : mix_u64(h, 0);
}

static struct cox_hash mix_destination(struct cox_hash h, const struct cox_tr *t, const struct cox_destination *d)
{
	return d ? mix_svc(h, t, cox_destination_svc(t, d->host)) : h;
}

static struct cox_hash mix_vs(struct cox_hash h, const struct cox_tr *t, const struct cox_vs *vs)
{
	h = mix_str(cox_hash_combine(h, vs->hash), vs->object->id); /* routes and findings name the object */
	for (COX_EACH(struct cox_http_route, r, vs->spec->http)) {
		for (COX_EACH(struct cox_http_route_destination, d, r->route))
			h = mix_destination(h, t, d->destination);
		h = mix_destination(h, t, r->mirror);
		for (COX_EACH(struct cox_http_mirror, m, r->mirrors))
			h = mix_destination(h, t, m->destination);
	}
	return h;
}

/* What of the proxy's own settings a virtual host depends on. */
static uint64_t header_bits(const struct cox_tr *t)
{
	struct cox_header_settings s = cox_settings_headers(t, COX_HCM_OUTBOUND);
	return (uint64_t)s.no_attempt_count << 1 | (uint64_t)s.forwarded_host;
}

static void attempt_count_write(struct pb_route_v3_VirtualHost vh, const struct cox_tr *t)
{
	pb_route_v3_VirtualHost_include_request_attempt_count(vh, !cox_settings_headers(t, COX_HCM_OUTBOUND).no_attempt_count);
}

static struct cox_hash vhost_identity(const struct cox_route_ctx *ctx, const struct cox_vhost_spec *spec)
{
	const struct cox_tr *t = ctx->t;
	struct cox_hash h = mix_str(cox_hash128("vhost", 5), spec->name);
	for (size_t i = 0; i < spec->domain_n; i++)
		h = mix_str(h, spec->domains[i]);
	h = mix_u64(h, (uint64_t)ctx->port << 8 | (uint64_t)ctx->is_https << 2 | (uint64_t)spec->require_tls << 1 |
	                   (uint64_t)spec->without_routes);
	for (size_t i = 0; i < ctx->gateway_n; i++)
		h = mix_str(h, ctx->gateways[i]);
	h = mix_u64(cox_hash_combine(mix_str(h, t->view->ns), t->s->mesh_hash), header_bits(t));
	if (spec->vs_n > 0)
		for (COX_EACH(struct cox_kv, kv, t->view->labels))
			h = mix_str(mix_str(h, kv->key), kv->value);
	for (size_t i = 0; i < spec->vs_n; i++)
		h = mix_vs(h, t, spec->vss[i]);
	if (spec->svc)
		h = mix_u64(mix_svc(h, t, spec->svc), spec->svc_port);
	return h;
}

/* --- virtual hosts ------------------------------------------------------------------------------ */

/* Behind the message a block holds its names and their lengths: a hit in the memo needs them too. */
struct trailer {
	uint32_t message_n, needs_n, origins_n;
};

static void vhost_open(const struct cox_bytes *b, struct cox_vhost *out)
{
	struct trailer tr;
	memcpy(&tr, b->p + b->n - sizeof(tr), sizeof(tr));
	size_t skip = 1; /* the tag */
	while ((unsigned char)b->p[skip] & 0x80)
		skip++;
	out->bytes = b;
	out->n = tr.message_n;
	out->skip = (uint32_t)skip + 1;
	out->needs = cox_str_make(b->p + tr.message_n, tr.needs_n);
	out->origins = cox_str_make(b->p + tr.message_n + tr.needs_n, tr.origins_n);
}

void cox_vhost_fini(struct cox_vhost *v)
{
	cox_bytes_unref(v->bytes);
	*v = (struct cox_vhost){ 0 };
}

/* Gives the block; an empty message (nothing applies) is kept in the memo too. */
static const struct cox_bytes *block_build(struct cox_tr *t, struct cox_hash id, struct cox_buf *b, const struct cox_names *needs,
                                           const struct cox_names *origins)
{
	struct trailer tr = { (uint32_t)b->n, (uint32_t)needs->text.n, (uint32_t)origins->text.n };
	cox_buf_append_str(b, cox_buf_str(&needs->text));
	cox_buf_append_str(b, cox_buf_str(&origins->text));
	cox_buf_append(b, &tr, sizeof(tr));
	return cox_memo_bytes_put_take(t->memo, id, cox_bytes_new(b->p, b->n));
}

static bool vhost_write(const struct cox_route_ctx *ctx, const struct cox_vhost_spec *spec, struct cox_buf *b, struct cox_names *needs)
{
	bool any = spec->without_routes;
	struct cox_pb pb;
	cox_pb_init(&pb, b);
	PB_ROOT (rc, pb_route_v3_RouteConfiguration, &pb)
		PB_WITH (vh, pb_route_v3_RouteConfiguration_virtual_hosts(rc)) {
			pb_route_v3_VirtualHost_name(vh, spec->name);
			for (size_t i = 0; i < spec->domain_n; i++)
				pb_route_v3_VirtualHost_domains(vh, spec->domains[i]);
			for (int pass = spec->vs_n > 1 ? 1 : 0; pass < 3; pass += pass ? 1 : 3)
				for (size_t i = 0; i < spec->vs_n; i++)
					any |= routes_of_vs_write(ctx, vh, spec->vss[i], pass, needs);
			if (spec->svc) {
				route_default_write(ctx, vh, spec->svc, spec->svc_port, needs);
				any = true;
			}
			if (spec->require_tls)
				pb_route_v3_VirtualHost_require_tls(vh, PB_route_v3_VirtualHost_ALL);
			attempt_count_write(vh, ctx->t);
		}
	return any;
}

bool cox_vhost_build(const struct cox_route_ctx *ctx, const struct cox_vhost_spec *spec, struct cox_vhost *out)
{
	struct cox_tr *t = ctx->t;
	struct cox_hash id = vhost_identity(ctx, spec);
	const struct cox_bytes *b = t->notes ? NULL : cox_memo_bytes_find(t->memo, id);
	if (b == NULL) {
		COX_AUTO(cox_buf_fini) struct cox_buf buf = { 0 };
		COX_AUTO(cox_names_fini) struct cox_names needs = { .arena = t->arena }, origins = { .arena = t->arena };
		cox_route_notes_begin(t->notes, spec->name, spec->svc);
		if (!vhost_write(ctx, spec, &buf, &needs)) {
			cox_buf_clear(&buf);
		} else {
			for (size_t i = 0; i < spec->vs_n; i++)
				cox_names_add(&origins, spec->vss[i]->object->id);
			if (spec->svc)
				cox_names_add(&origins, spec->svc->svc->object_id);
		}
		b = block_build(t, id, &buf, &needs, &origins);
		t->built++;
	}
	*out = (struct cox_vhost){ .name = spec->name };
	if (b->n == sizeof(struct trailer)) {
		cox_bytes_unref(b);
		return false;
	}
	vhost_open(b, out);
	out->note = t->notes ? t->notes->open : NULL;
	return true;
}

static void catch_all_write(const struct cox_tr *t, struct pb_route_v3_VirtualHost vh, struct cox_str name, struct cox_str cluster)
{
	pb_route_v3_VirtualHost_name(vh, name);
	pb_route_v3_VirtualHost_domains(vh, COX_STR("*"));
	PB_WITH (r, pb_route_v3_VirtualHost_routes(vh)) {
		pb_route_v3_Route_name(r, name);
		PB_WITH (m, pb_route_v3_Route_match(r))
			pb_route_v3_RouteMatch_prefix(m, COX_STR("/"));
		if (cluster.n > 0) {
			PB_WITH (a, pb_route_v3_Route_route(r)) {
				pb_route_v3_RouteAction_cluster(a, cluster);
				pb_route_v3_RouteAction_timeout(a, 0);
				pb_route_v3_RouteAction_max_grpc_timeout(a, 0);
			}
		} else {
			PB_WITH (a, pb_route_v3_Route_direct_response(r))
				pb_route_v3_DirectResponseAction_status(a, 502);
		}
	}
	attempt_count_write(vh, t);
}

void cox_vhost_catch_all_build(struct cox_tr *t, struct cox_str cluster, struct cox_vhost *out)
{
	struct cox_str name = cluster.n == 0                           ? COX_STR("block_all")
	                      : cox_str_eq(cluster, COX_ALLOW_ANY_DNS) ? COX_STR("allow_any_dynamic_dns")
	                                                               : COX_STR("allow_any");
	struct cox_hash id = mix_u64(mix_str(cox_hash128("catch-all", 9), cluster), header_bits(t));
	const struct cox_bytes *b = cox_memo_bytes_find(t->memo, id);
	if (b == NULL) {
		COX_AUTO(cox_buf_fini) struct cox_buf buf = { 0 };
		COX_AUTO(cox_names_fini) struct cox_names needs = { .arena = t->arena }, origins = { .arena = t->arena };
		struct cox_pb pb;
		cox_pb_init(&pb, &buf);
		PB_ROOT (rc, pb_route_v3_RouteConfiguration, &pb)
			PB_WITH (vh, pb_route_v3_RouteConfiguration_virtual_hosts(rc))
				catch_all_write(t, vh, name, cluster);
		cox_names_add(&needs, cluster);
		b = block_build(t, id, &buf, &needs, &origins);
		t->built++;
	}
	*out = (struct cox_vhost){ .name = name };
	vhost_open(b, out);
}

/* --- route configurations ------------------------------------------------------------------------ */

static int vhost_cmp(const void *a, const void *b)
{
	return cox_str_cmp(((const struct cox_vhost *)a)->name, ((const struct cox_vhost *)b)->name);
}

static const struct cox_bytes *header_build(struct cox_str name, bool has_ports, bool vhds)
{
	COX_AUTO(cox_buf_fini) struct cox_buf b = { 0 };
	struct cox_pb pb;
	cox_pb_init(&pb, &b);
	PB_ROOT (rc, pb_route_v3_RouteConfiguration, &pb) {
		pb_route_v3_RouteConfiguration_name(rc, name);
		pb_route_v3_RouteConfiguration_validate_clusters(rc, false);
		if (vhds)
			PB_WITH (v, pb_route_v3_RouteConfiguration_vhds(rc))
				PB_WITH (src, pb_route_v3_Vhds_config_source(v)) {
					PB_WITH (ads, pb_core_v3_ConfigSource_ads(src))
						(void)ads;
					pb_core_v3_ConfigSource_initial_fetch_timeout(src, 0);
					pb_core_v3_ConfigSource_resource_api_version(src, PB_core_v3_V3);
				}
		pb_route_v3_RouteConfiguration_max_direct_response_body_size_bytes(rc, 1024 * 1024);
		pb_route_v3_RouteConfiguration_ignore_port_in_host_matching(rc, !has_ports);
	}
	return cox_bytes_new(b.p, b.n);
}

static struct cox_hash config_identity(struct cox_str name, const struct cox_vhost *vhosts, size_t n, bool has_ports, bool vhds)
{
	struct cox_hash h = mix_u64(mix_str(cox_hash128("route", 5), name), (uint64_t)has_ports << 1 | vhds);
	for (size_t i = 0; i < n; i++)
		h = cox_hash_combine(h, vhosts[i].bytes->hash);
	return h;
}

static const struct cox_resource *config_compose(struct cox_tr *t, struct cox_str name, const struct cox_vhost *vhosts, size_t n,
                                                 bool has_ports, bool vhds)
{
	COX_AUTO(cox_names_fini) struct cox_names needs = { .arena = t->arena }, origins = { .arena = t->arena };
	const struct cox_bytes *header = header_build(name, has_ports, vhds);
	struct cox_piece *pieces = COX_ARENA_ARRAY(t->arena, struct cox_piece, n + 1);
	size_t piece_n = 0;
	pieces[piece_n++] = (struct cox_piece){ header, 0, (uint32_t)header->n };
	for (size_t i = 0; i < n && !vhds; i++) {
		pieces[piece_n++] = (struct cox_piece){ vhosts[i].bytes, 0, vhosts[i].n };
		cox_names_add_all(&needs, vhosts[i].needs);
		cox_names_add_all(&origins, vhosts[i].origins);
	}
	struct cox_resource *r =
	    cox_resource_compose(COX_TYPE_RDS, name, pieces, piece_n, cox_names_text(&origins), cox_names_text(&needs));
	cox_bytes_unref(header);
	t->built++;
	return r;
}

static const struct cox_bytes *name_field_build(struct cox_str name)
{
	COX_AUTO(cox_buf_fini) struct cox_buf b = { 0 };
	struct cox_pb pb;
	cox_pb_init(&pb, &b);
	PB_ROOT (v, pb_route_v3_VirtualHost, &pb) {
		pb_route_v3_VirtualHost_name(v, name);
	}
	return cox_bytes_new(b.p, b.n);
}

static const struct cox_resource *vhost_resource(struct cox_tr *t, struct cox_str route, const struct cox_vhost *v)
{
	struct cox_hash id = cox_hash_combine(mix_str(cox_hash128("vhds", 4), route), v->bytes->hash);
	const struct cox_resource *r = cox_memo_find(t->memo, id);
	if (r)
		return r;
	struct cox_str name = cox_arena_printf(t->arena, "%.*s/%.*s", COX_FMT(route), COX_FMT(v->name));
	/* Envoy removes a virtual host by looking for the resource's name among the virtual hosts' own names, so the two must be equal
	 * (test/envoy/test_model.py). The block is shared with whole routes: of a field that comes twice the last one counts. */
	const struct cox_bytes *own_name = name_field_build(name);
	struct cox_piece pieces[] = { { v->bytes, v->skip, v->n - v->skip }, { own_name, 0, (uint32_t)own_name->n } };
	r = cox_resource_compose(COX_TYPE_VHDS, name, pieces, COX_LEN(pieces), v->origins, v->needs);
	cox_bytes_unref(own_name);
	t->built++;
	return cox_memo_put_take(t->memo, id, r);
}

const struct cox_resource *cox_route_config_build(struct cox_tr *t, struct cox_str name, struct cox_vhost *vhosts, size_t n, bool has_ports,
                                                  cox_resources *vhosts_out)
{
	if (n > 1)
		qsort(vhosts, n, sizeof(*vhosts), vhost_cmp);
	for (size_t i = 0; t->notes && i < n; i++)
		if (vhosts[i].note)
			vhosts[i].note->route_config = cox_arena_str(&t->notes->arena, name);
	struct cox_hash id = config_identity(name, vhosts, vhosts_out ? 0 : n, has_ports, vhosts_out != NULL);
	const struct cox_resource *r = cox_memo_find(t->memo, id);
	if (r == NULL)
		r = cox_memo_put_take(t->memo, id, config_compose(t, name, vhosts, n, has_ports, vhosts_out != NULL));
	for (size_t i = 0; vhosts_out && i < n; i++)
		cox_vec_push(vhosts_out, vhost_resource(t, name, &vhosts[i]));
	return r;
}

const struct cox_resource *cox_translate_empty_route(struct cox_tr *t, struct cox_str name)
{
	return cox_route_config_build(t, name, NULL, 0, false, NULL);
}
