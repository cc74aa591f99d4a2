/* explain_walk.c - the oracle's walk as JSON. */
#include "tool/explain_priv.h"

static struct cox_str address_text(struct cox_arena *a, const struct cox_json *l)
{
	return cox_arena_printf(a, "%.*s:%.*s", COX_FMT(cox_json_str_at(l, "address.socket_address.address")),
	                        COX_FMT(cox_json_at(l, "address.socket_address.port_value")
	                                    ? cox_json_at(l, "address.socket_address.port_value")->text
	                                    : COX_STR("0")));
}

static struct cox_json *listener_json(struct question *q, struct explained *x, const struct cox_oracle_walk *w)
{
	struct cox_json *o = cox_json_new_object(q->a);
	if (w->listener == NULL)
		return NULL;
	js_str(q->a, o, "name", cox_json_str_at(w->listener, "name"));
	js_str(q->a, o, "address", address_text(q->a, w->listener));
	if (w->via && w->via != w->listener)
		js_str(q->a, o, "via", cox_json_str_at(w->via, "name"));
	js_put(q->a, o, "source", explain_listener_source(q, x, w));
	return o;
}

static struct cox_json *chain_json(struct question *q, const struct cox_oracle_walk *w)
{
	struct cox_json *o = cox_json_new_object(q->a);
	const struct cox_json *typed = cox_json_at(w->chain, "transport_socket.typed_config");
	const struct cox_json *cert = cox_json_get(typed, COX_STR("require_client_certificate"));
	if (w->chain == NULL)
		return NULL;
	js_int(q->a, o, "index", w->chain_index);
	js_str(q->a, o, "name", cox_json_str_at(w->chain, "name"));
	js_str(q->a, o, "by", w->chain_why);
	js_str(q->a, o, "transport", w->transport);
	js_str(q->a, o, "applicationProtocols", w->alpn);
	js_put(q->a, o, "source", explain_metadata_source(q->a, w->chain));
	js_bool(q->a, o, "terminatesTls", w->is_tls_terminated);
	if (w->is_tls_terminated)
		js_bool(q->a, o, "requiresClientCertificate", cert && cert->boolean);
	js_str(q->a, o, "protocol", w->is_http ? COX_STR("HTTP") : COX_STR("TCP"));
	return o;
}

static struct cox_json *skipped_json(struct question *q, struct explained *x, const struct cox_oracle_walk *w)
{
	struct cox_json *list = cox_json_new_array(q->a);
	for (COX_EACH(struct cox_oracle_skip, s, w->skipped)) {
		struct cox_json *o = cox_json_new_object(q->a);
		js_int(q->a, o, "index", (int64_t)s->index);
		js_str(q->a, o, "name", s->name);
		js_str(q->a, o, "why", s->why);
		js_put(q->a, o, "source", explain_route_source(q, x, w, s->index));
		cox_json_push(q->a, list, o);
	}
	return list->n > 0 ? list : NULL;
}

static struct cox_json *names_json(struct cox_arena *a, const struct cox_json *list, const char *member)
{
	struct cox_json *out = cox_json_new_array(a);
	for (size_t i = 0; list && i < list->n; i++)
		cox_json_push(a, out, cox_json_new_str(a, cox_json_str_at(&list->items[i], member)));
	return out->n > 0 ? out : NULL;
}

/* What the route does to a request on the way. */
static struct cox_json *action_json(struct question *q, const struct cox_oracle_walk *w)
{
	struct cox_arena *a = q->a;
	struct cox_json *o = cox_json_new_object(a);
	const struct cox_json *route = cox_json_get(w->route, COX_STR("route")), *v;
	js_str(a, o, "location", w->location);
	js_str(a, o, "body", w->body);
	if (w->new_path.n > 0 && !cox_str_eq(w->new_path, w->path))
		js_str(a, o, "path", w->new_path);
	if (w->new_authority.n > 0 && !cox_str_eq(w->new_authority, q->r.authority))
		js_str(a, o, "authority", w->new_authority);
	if ((v = cox_json_get(route, COX_STR("timeout"))) && !cox_str_eq_cstr(v->text, "0s"))
		cox_json_set(a, o, COX_STR("timeout"), v);
	if ((v = cox_json_get(route, COX_STR("retry_policy")))) {
		struct cox_json *r = cox_json_new_object(a);
		js_str(a, r, "on", cox_json_str_at(v, "retry_on"));
		if (cox_json_get(v, COX_STR("num_retries")))
			cox_json_set(a, r, COX_STR("attempts"), cox_json_get(v, COX_STR("num_retries")));
		js_str(a, r, "perTryTimeout", cox_json_str_at(v, "per_try_timeout"));
		js_put(a, o, "retries", r);
	}
	js_put(a, o, "mirrors", names_json(a, cox_json_get(route, COX_STR("request_mirror_policies")), "cluster"));
	if ((v = cox_json_get(route, COX_STR("hash_policy"))))
		cox_json_set(a, o, COX_STR("hashPolicy"), v);
	if (w->fault)
		cox_json_set(a, o, COX_STR("fault"), w->fault);
	if ((v = cox_json_get(cox_json_get(w->route, COX_STR("typed_per_filter_config")), COX_STR("envoy.filters.http.cors"))))
		cox_json_set(a, o, COX_STR("cors"), v);
	static const char *const ops[] = { "request_headers_to_add", "request_headers_to_remove", "response_headers_to_add",
		                           "response_headers_to_remove" };
	for (size_t i = 0; i < COX_LEN(ops); i++)
		if ((v = cox_json_get(w->route, cox_str_of(ops[i]))))
			cox_json_set(a, o, cox_str_of(ops[i]), v);
	return o->n > 0 ? o : NULL;
}

static void http_json(struct question *q, struct explained *x, struct cox_json *o, const struct cox_oracle_walk *w)
{
	struct cox_arena *a = q->a;
	struct cox_json *config = cox_json_new_object(a), *vhost = cox_json_new_object(a), *route = cox_json_new_object(a);
	js_str(a, config, "name", w->route_config_name);
	js_put(a, o, "routeConfiguration", config);
	js_str(a, o, "path", w->path); /* as it was routed: normalised */
	if (w->vhost) {
		js_str(a, vhost, "name", cox_json_str_at(w->vhost, "name"));
		js_str(a, vhost, "domain", w->domain);
		js_put(a, o, "virtualHost", vhost);
		js_put(a, o, "skipped", skipped_json(q, x, w));
	}
	if (w->route) {
		js_int(a, route, "index", (int64_t)w->route_index);
		js_str(a, route, "name", cox_json_str_at(w->route, "name"));
		js_str(a, route, "by", w->route_why);
		js_put(a, route, "source", explain_route_source(q, x, w, w->route_index));
		js_put(a, o, "route", route);
	}
	js_put(a, o, "action", action_json(q, w));
}

struct cox_json *explain_walk_json(struct question *q, struct explained *x, const struct cox_oracle_walk *w)
{
	struct cox_arena *a = q->a;
	struct cox_json *o = cox_json_new_object(a), *clusters = cox_json_new_array(a), *unknown = cox_json_new_array(a);
	js_put(a, o, "listener", listener_json(q, x, w));
	js_put(a, o, "filterChain", chain_json(q, w));
	if (w->is_http)
		http_json(q, x, o, w);
	for (COX_EACH(struct cox_oracle_target, t, w->targets))
		cox_json_push(a, clusters, explain_target_json(q, x, t));
	js_put(a, o, "clusters", clusters->n ? clusters : NULL);
	for (COX_EACH(struct cox_str, name, w->unknown))
		cox_json_push(a, unknown, cox_json_new_str(a, *name));
	js_put(a, o, "notEvaluated", unknown->n ? unknown : NULL);
	js_str(a, o, "outcome", cox_str_of(cox_oracle_outcome_name(w->outcome)));
	if (w->status)
		js_int(a, o, "status", w->status);
	js_str(a, o, "why", w->why);
	return o;
}
