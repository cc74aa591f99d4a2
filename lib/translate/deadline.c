#include "translate/deadline.h"

#define NAME COX_STR("coxswain.deadline")
#define FORWARD COX_STR("forward") /* the source that routes choose */

/* A marker on the wire: without it the expected timeout is Envoy's usual one, which nobody asked to be obeyed. Removed and made anew by
 * each proxy, so that nothing a client writes counts. */
#define RELATIVE "\"relative\""

#define NOW "tonumber(handle:timestampString(EnvoyTimestampResolution.MILLISECOND))"

/* The server's side. */
static const char inbound_source[] = "function envoy_on_request(handle)\n"
                                     "  local headers = handle:headers()\n"
                                     "  local left = tonumber(headers:get(\"x-coxswain-left-ms\") or \"\")\n"
                                     "  local mark = headers:get(\"x-coxswain-deadline\")\n"
                                     "  headers:remove(\"x-coxswain-left-ms\")\n"
                                     "  headers:remove(\"x-coxswain-deadline\")\n"
                                     "  if mark ~= " RELATIVE " or not left or left < 1 or left > 4e9 then return end\n"
                                     "  headers:replace(\"x-coxswain-deadline\", string.format(\"%.0f\", " NOW " + left))\n"
                                     "  headers:replace(\"x-envoy-upstream-rq-timeout-ms\", string.format(\"%.0f\", left))\n"
                                     "end\n";

/* The client's side, and the gateway's: there a client's moment is of a foreign clock. */
#define FORWARD_HEAD                                                                           \
	"local units = { H = 3600000, M = 60000, S = 1000, m = 1, u = 0.001, n = 0.000001 }\n" \
	"function envoy_on_request(handle)\n"                                                  \
	"  local headers = handle:headers()\n"                                                 \
	"  local left = handle:filterContext():get(\"timeout_ms\")\n"                          \
	"  local at = tonumber(headers:get(\"x-coxswain-deadline\") or \"\")\n"                \
	"  headers:remove(\"x-coxswain-deadline\")\n"
#define FORWARD_MOMENT                                        \
	"  if at then\n"                                      \
	"    local own = at - " NOW "\n"                      \
	"    if not left or own < left then left = own end\n" \
	"  end\n"
#define FORWARD_TAIL                                                                                                              \
	"  local n, unit = string.match(headers:get(\"grpc-timeout\") or \"\", \"^(%d+)([HMSmun])$\")\n"                          \
	"  if n then\n"                                                                                                           \
	"    local own = tonumber(n) * units[unit]\n"                                                                             \
	"    if not left or own < left then left = own end\n"                                                                     \
	"  end\n"                                                                                                                 \
	"  if not left or left > 4e9 then return end\n"                                                                           \
	"  if left < 1 then\n"                                                                                                    \
	"    if string.sub(headers:get(\"content-type\") or \"\", 1, 16) == \"application/grpc\" then\n"                          \
	"      handle:respond({ [\":status\"] = \"200\", [\"content-type\"] = \"application/grpc\", [\"grpc-status\"] = \"4\",\n" \
	"                       [\"grpc-message\"] = \"the deadline is over\" }, \"\")\n"                                         \
	"    else\n"                                                                                                              \
	"      handle:respond({ [\":status\"] = \"504\", [\"content-type\"] = \"text/plain\" }, \"the deadline is over\")\n"      \
	"    end\n"                                                                                                               \
	"    return\n"                                                                                                            \
	"  end\n"                                                                                                                 \
	"  headers:replace(\"x-envoy-upstream-rq-timeout-ms\", string.format(\"%.0f\", left))\n"                                  \
	"  headers:replace(\"x-coxswain-deadline\", " RELATIVE ")\n"                                                              \
	"end\n"
static const char outbound_source[] = FORWARD_HEAD FORWARD_MOMENT FORWARD_TAIL;
static const char gateway_source[] = FORWARD_HEAD FORWARD_TAIL;

void cox_deadline_filter_write(struct pb_filters_network_http_connection_manager_v3_HttpFilter f, enum cox_hcm_side side)
{
	pb_filters_network_http_connection_manager_v3_HttpFilter_name(f, NAME);
	PB_ANY (lua, pb_filters_network_http_connection_manager_v3_HttpFilter_typed_config(f), pb_filters_http_lua_v3_Lua) {
		if (side == COX_HCM_INBOUND)
			PB_WITH (s, pb_filters_http_lua_v3_Lua_default_source_code(lua))
				pb_core_v3_DataSource_inline_string(s, cox_str_of(inbound_source));
		else
			PB_WITH (s, pb_filters_http_lua_v3_Lua_source_codes(lua, FORWARD))
				pb_core_v3_DataSource_inline_string(s,
				                                    cox_str_of(side == COX_HCM_GATEWAY ? gateway_source : outbound_source));
	}
}

void cox_deadline_early_write(struct pb_core_v3_TypedExtensionConfig e)
{
	pb_core_v3_TypedExtensionConfig_name(e, NAME);
	PB_ANY (m, pb_core_v3_TypedExtensionConfig_typed_config(e), pb_http_early_header_mutation_header_mutation_v3_HeaderMutation) {
		PB_WITH (one, pb_http_early_header_mutation_header_mutation_v3_HeaderMutation_mutations(m))
			pb_common_mutation_rules_v3_HeaderMutation_remove(one, COX_STR("x-coxswain-left-ms"));
		PB_WITH (one, pb_http_early_header_mutation_header_mutation_v3_HeaderMutation_mutations(m))
			PB_WITH (a, pb_common_mutation_rules_v3_HeaderMutation_append(one))
				PB_WITH (h, pb_core_v3_HeaderValueOption_header(a)) {
					pb_core_v3_HeaderValue_key(h, COX_STR("x-coxswain-left-ms"));
					pb_core_v3_HeaderValue_value(h, COX_STR("%REQ(x-envoy-expected-rq-timeout-ms)%"));
				}
	}
}

void cox_deadline_route_write(struct pb_route_v3_Route r, struct cox_opt_i64 timeout_ns)
{
	PB_ANY (p, pb_route_v3_Route_typed_per_filter_config(r, NAME), pb_filters_http_lua_v3_LuaPerRoute) {
		pb_filters_http_lua_v3_LuaPerRoute_name(p, FORWARD);
		PB_WITH (c, pb_filters_http_lua_v3_LuaPerRoute_filter_context(p))
			if (timeout_ns.set && timeout_ns.v > 0)
				PB_WITH (v, pb_google_protobuf_Struct_fields(c, COX_STR("timeout_ms")))
					pb_google_protobuf_Value_number_value(v, (double)timeout_ns.v / 1e6);
	}
}
