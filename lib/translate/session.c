#include "translate/session.h"

#define NS_PER_S INT64_C(1000000000)
#define FILTER COX_STR("envoy.filters.http.stateful_session")

bool cox_session_of_service(const struct cox_tr *t, const struct cox_svc *svc, struct cox_session *out)
{
	if (!t->s->features.has_sessions || (!svc->persistent_session.n && !svc->persistent_session_header.n))
		return false;
	/* A label's value has no place for a path. */
	bool is_header = svc->persistent_session_header.n > 0;
	*out = (struct cox_session){ .name = is_header ? svc->persistent_session_header : svc->persistent_session,
		                     .path = is_header ? COX_STR("") : COX_STR("/") };
	return true;
}

/* "<namespace>.<route>.<rule> <cookie|header> <name> <seconds>", one a line; the route is called "<namespace>.<route>.<rule>.<match>". */
bool cox_session_of_route(const struct cox_vs *vs, const struct cox_http_route *h, struct cox_session *out)
{
	struct cox_str rest = cox_kv_get(vs->object->meta.annotations.p, vs->object->meta.annotations.n, COX_VS_SESSIONS), line;
	ptrdiff_t dot = cox_str_rfind(h->name, '.');
	struct cox_str rule = cox_str_sub(h->name, 0, dot < 0 ? 0 : (size_t)dot);
	while (rest.n > 0 && cox_str_next(&rest, '\n', &line)) {
		struct cox_str of, kind, name;
		uint64_t seconds;
		if (!cox_str_next(&line, ' ', &of) || !cox_str_eq(of, rule) || !cox_str_next(&line, ' ', &kind) ||
		    !cox_str_next(&line, ' ', &name) || cox_str_to_u64(line, &seconds) != COX_OK)
			continue;
		*out = (struct cox_session){ .name = name, .ttl_ns = (int64_t)seconds * NS_PER_S };
		if (cox_str_eq_cstr(kind, "cookie"))
			out->path = COX_STR("/");
		return true;
	}
	return false;
}

static void state_write(struct pb_core_v3_TypedExtensionConfig state, const struct cox_session *s)
{
	if (!s->path.n) {
		pb_core_v3_TypedExtensionConfig_name(state, COX_STR("envoy.http.stateful_session.header"));
		PB_ANY (h, pb_core_v3_TypedExtensionConfig_typed_config(state), pb_http_stateful_session_header_v3_HeaderBasedSessionState)
			pb_http_stateful_session_header_v3_HeaderBasedSessionState_name(h, s->name);
		return;
	}
	pb_core_v3_TypedExtensionConfig_name(state, COX_STR("envoy.http.stateful_session.cookie"));
	PB_ANY (c, pb_core_v3_TypedExtensionConfig_typed_config(state), pb_http_stateful_session_cookie_v3_CookieBasedSessionState)
		PB_WITH (cookie, pb_http_stateful_session_cookie_v3_CookieBasedSessionState_cookie(c)) {
			pb_type_http_v3_Cookie_name(cookie, s->name);
			pb_type_http_v3_Cookie_ttl(cookie, s->ttl_ns);
			pb_type_http_v3_Cookie_path(cookie, s->path);
		}
}

void cox_session_route_write(struct pb_route_v3_Route r, const struct cox_session *s)
{
	PB_ANY (route, pb_route_v3_Route_typed_per_filter_config(r, FILTER), pb_filters_http_stateful_session_v3_StatefulSessionPerRoute)
		PB_WITH (session, pb_filters_http_stateful_session_v3_StatefulSessionPerRoute_stateful_session(route))
			PB_WITH (state, pb_filters_http_stateful_session_v3_StatefulSession_session_state(session))
				state_write(state, s);
}

void cox_session_filter_write(struct pb_filters_network_http_connection_manager_v3_HttpFilter f)
{
	pb_filters_network_http_connection_manager_v3_HttpFilter_name(f, FILTER);
	PB_ANY (c, pb_filters_network_http_connection_manager_v3_HttpFilter_typed_config(f),
	        pb_filters_http_stateful_session_v3_StatefulSession)
		(void)c;
}
