/* listener.c - which listener has a connection: straight, or behind one that captures. */
#include "oracle/oracle_priv.h"

static bool address_is(const struct cox_json *address, struct cox_str ip, uint16_t port)
{
	const struct cox_json *s = oracle_get(address, "socket_address");
	return s && oracle_int(s, "port_value", 0) == port && cox_str_eq(cox_json_str_at(s, "address"), ip);
}

static bool listener_is_at(const struct cox_json *l, struct cox_str ip, uint16_t port)
{
	if (address_is(oracle_get(l, "address"), ip, port))
		return true;
	for (ORACLE_EACH(more, oracle_get(l, "additional_addresses")))
		if (address_is(oracle_get(more, "address"), ip, port))
			return true;
	return false;
}

/* The exact address, then the wildcard of its family (an IPv6 wildcard takes both). A capturing listener is no answer to itself. */
static const struct cox_json *find(const struct walk *w, struct cox_str ip, uint16_t port, bool binds_only)
{
	unsigned char bytes[16];
	bool v6 = false, known = oracle_ip(ip, bytes, &v6);
	const struct cox_str order[] = { ip, v6 ? COX_STR("::") : COX_STR("0.0.0.0"), COX_STR("::") };
	for (size_t i = known ? 0 : 1; i < COX_LEN(order); i++)
		for (size_t k = 0; k < w->o->listener_list.n; k++) {
			const struct cox_json *l = w->o->listener_list.p[k];
			bool binds = oracle_bool(l, "bind_to_port", true);
			if ((!binds_only || binds) && listener_is_at(l, order[i], port))
				return l;
		}
	return NULL;
}

static const struct cox_json *capture_find(const struct walk *w)
{
	const struct cox_json *found = NULL;
	for (size_t k = 0; k < w->o->listener_list.n; k++) {
		const struct cox_json *l = w->o->listener_list.p[k];
		if (!oracle_bool(l, "use_original_dst", false))
			continue;
		if (cox_str_eq_cstr(cox_json_str_at(l, "traffic_direction"), "OUTBOUND"))
			return l;
		found = found ? found : l;
	}
	return found;
}

bool oracle_listener_choose(struct walk *w)
{
	struct cox_oracle_walk *out = w->out;
	const struct cox_json *capture = w->r->capture_port ? find(w, (struct cox_str){ 0 }, w->r->capture_port, true) : capture_find(w);
	if (capture) {
		/* Without use_original_dst the capturing listener keeps the connection: its chains match on the restored address. */
		out->via = capture;
		out->listener = oracle_bool(capture, "use_original_dst", false) ? find(w, w->r->dst_ip, w->r->dst_port, false) : NULL;
		if (out->listener == NULL)
			out->listener = capture;
		return true;
	}
	out->listener = find(w, w->r->dst_ip, w->r->dst_port, true);
	if (out->listener)
		return true;
	oracle_end(w, COX_ORACLE_NO_LISTENER, 0,
	           oracle_printf(w, "no listener at %.*s:%u, and none that captures traffic (use_original_dst)", COX_FMT(w->r->dst_ip),
	                         w->r->dst_port));
	return false;
}
