/* oracle.c - the walk as a whole: see oracle.h. */
#include "oracle/oracle_priv.h"

#include <stdarg.h>

const char *cox_oracle_outcome_name(enum cox_oracle_outcome outcome)
{
	static const char *const names[COX_ORACLE_OUTCOMES] = { "noListener", "noFilterChain",  "forward",    "noUpstream", "noCluster",
		                                                "redirect",   "directResponse", "fault",      "preflight",  "noRoute",
		                                                "denied",     "badRequest",     "unsupported" };
	return outcome < COX_ORACLE_OUTCOMES ? names[outcome] : "?";
}

struct cox_str oracle_printf(struct walk *w, const char *fmt, ...)
{
	struct cox_buf b = { 0 };
	va_list ap;
	va_start(ap, fmt);
	cox_buf_vprintf(&b, fmt, ap);
	va_end(ap);
	struct cox_str text = cox_arena_str(w->arena, cox_buf_str(&b));
	cox_buf_fini(&b);
	return text;
}

void oracle_end(struct walk *w, enum cox_oracle_outcome outcome, int status, struct cox_str why)
{
	w->out->outcome = outcome;
	/* What the proxy itself answers to gRPC is 200 with the trouble in grpc-status. */
	w->out->status = status && w->is_grpc ? 200 : status;
	w->out->why = why;
}

/* sni_cluster: the server name is the cluster's name. */
static void tcp(struct walk *w, const struct cox_json *filter, bool by_sni)
{
	if (!by_sni) {
		oracle_targets(w, filter);
		return;
	}
	struct cox_json *as = cox_json_new_object(w->arena);
	cox_json_set(w->arena, as, COX_STR("cluster"), cox_json_new_str(w->arena, w->r->sni));
	oracle_targets(w, as);
}

static void network(struct walk *w)
{
	struct cox_oracle_walk *out = w->out;
	const struct cox_json *filters = oracle_get(out->chain, "filters");
	struct cox_str *unknown = COX_ARENA_ARRAY(w->arena, struct cox_str, (filters ? filters->n : 0) + 1);
	bool by_sni = false;
	out->unknown.p = unknown;
	for (ORACLE_EACH(f, filters)) {
		const struct cox_json *typed = oracle_get(f, "typed_config");
		out->network_filter = typed;
		if (oracle_is_type(typed, "HttpConnectionManager")) {
			if (!w->r->is_http)
				oracle_end(w, COX_ORACLE_BAD_REQUEST, 0, COX_STR("the filter chain speaks HTTP, the client does not"));
			else if (w->r->is_tls && !out->is_tls_terminated)
				oracle_end(w, COX_ORACLE_BAD_REQUEST, 0,
				           COX_STR("the filter chain wants plain HTTP, the client speaks TLS"));
			else
				oracle_http(w, typed);
			return;
		}
		if (oracle_is_type(typed, "TcpProxy")) {
			tcp(w, typed, by_sni);
			return;
		}
		if (oracle_is_type(typed, "RBAC")) {
			enum oracle_access access = oracle_rbac(w, typed);
			if (access == ORACLE_ACCESS_DENIED)
				return;
			if (access == ORACLE_ACCESS_UNSURE)
				unknown[out->unknown.n++] = cox_json_str_at(f, "name");
		} else if (oracle_is_type(typed, "SniCluster"))
			by_sni = true;
		else if (!oracle_is_type(typed, "MetadataExchange") && !oracle_is_type(typed, "PluginConfig"))
			unknown[out->unknown.n++] = cox_json_str_at(f, "name");
	}
	out->network_filter = NULL;
	oracle_end(w, COX_ORACLE_UNSUPPORTED, 0,
	           filters && filters->n ? COX_STR("the filter chain ends in a filter that is not known here")
	                                 : COX_STR("the filter chain has no filters: the connection is closed"));
	if (filters == NULL || filters->n == 0)
		out->outcome = COX_ORACLE_NO_CHAIN;
}

void cox_oracle_walk(struct cox_oracle *o, const struct cox_oracle_request *r, struct cox_arena *arena, struct cox_oracle_walk *out)
{
	struct walk w = { .o = o, .r = r, .arena = arena, .out = out };
	*out = (struct cox_oracle_walk){ 0 };
	if (!oracle_listener_choose(&w) || !oracle_chain_choose(&w))
		return;
	out->is_tls_terminated = oracle_has(out->chain, "transport_socket");
	if (out->is_tls_terminated && !r->is_tls)
		oracle_end(&w, COX_ORACLE_NO_CHAIN, 0, COX_STR("the filter chain wants TLS, the client does not speak it"));
	else
		network(&w);
}
