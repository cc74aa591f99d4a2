/* guard.c - see guard.h. */
#include "translate/guard.h"

#include "envoy/filters_common_set_filter_state_v3.h"
#include "envoy/filters_http_set_filter_state_v3.h"

#define GUARD COX_STR("coxswain.revoked")
#define PEER_SERIAL COX_STR("coxswain.peer_serial")

typedef struct pb_filters_network_http_connection_manager_v3_HttpFilter http_filter_pb;

static void note_serial_write(http_filter_pb f)
{
	pb_filters_network_http_connection_manager_v3_HttpFilter_name(f, PEER_SERIAL);
	PB_ANY (c, pb_filters_network_http_connection_manager_v3_HttpFilter_typed_config(f), pb_filters_http_set_filter_state_v3_Config)
		PB_WITH (v, pb_filters_http_set_filter_state_v3_Config_on_request_headers(c)) {
			pb_filters_common_set_filter_state_v3_FilterStateValue_object_key(v, PEER_SERIAL);
			PB_WITH (s, pb_filters_common_set_filter_state_v3_FilterStateValue_format_string(v))
				PB_WITH (text, pb_core_v3_SubstitutionFormatString_text_format_source(s))
					pb_core_v3_DataSource_inline_string(text, COX_STR("%DOWNSTREAM_PEER_SERIAL%"));
			pb_filters_common_set_filter_state_v3_FilterStateValue_read_only(v, true);
			pb_filters_common_set_filter_state_v3_FilterStateValue_factory_key(v, COX_STR("envoy.string"));
		}
}

/* An Envoy that does not get the list in time goes on without it: the handshake still refuses. */
static void deny_write(http_filter_pb f)
{
	pb_filters_network_http_connection_manager_v3_HttpFilter_name(f, GUARD);
	PB_WITH (d, pb_filters_network_http_connection_manager_v3_HttpFilter_config_discovery(f)) {
		PB_WITH (src, pb_core_v3_ExtensionConfigSource_config_source(d)) {
			PB_WITH (ads, pb_core_v3_ConfigSource_ads(src))
				(void)ads;
			pb_core_v3_ConfigSource_resource_api_version(src, PB_core_v3_V3);
		}
		PB_ANY (c, pb_core_v3_ExtensionConfigSource_default_config(d), pb_filters_http_rbac_v3_RBAC)
			(void)c;
		pb_core_v3_ExtensionConfigSource_type_urls(d, COX_STR("type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"));
	}
}

void cox_guard_write(struct pb_filters_network_http_connection_manager_v3_HttpConnectionManager h)
{
	PB_WITH (f, pb_filters_network_http_connection_manager_v3_HttpConnectionManager_http_filters(h))
		note_serial_write(f);
	PB_WITH (f, pb_filters_network_http_connection_manager_v3_HttpConnectionManager_http_filters(h))
		deny_write(f);
}

void cox_guard_tcp_write(struct pb_listener_v3_FilterChain fc, const struct cox_tr *t)
{
	if (t->s->guard.tcp == 0)
		return;
	PB_WITH (m, pb_listener_v3_FilterChain_metadata(fc))
		PB_WITH (st, pb_core_v3_Metadata_filter_metadata(m, GUARD))
			PB_WITH (v, pb_google_protobuf_Struct_fields(st, COX_STR("list")))
				pb_google_protobuf_Value_string_value(
				    v, cox_arena_printf(t->arena, "%016llx", (unsigned long long)t->s->guard.tcp));
}

/* --- the list ----------------------------------------------------------------------------------- */

/* Envoy prints whole bytes. */
static void serial_write(struct pb_rbac_v3_Principal p, struct cox_str serial)
{
	char padded[128];
	struct cox_str text = serial;
	if (serial.n % 2 == 1 && serial.n < sizeof(padded)) {
		padded[0] = '0';
		memcpy(padded + 1, serial.p, serial.n);
		text = (struct cox_str){ padded, serial.n + 1 };
	}
	PB_WITH (s, pb_rbac_v3_Principal_filter_state(p)) {
		pb_type_matcher_v3_FilterStateMatcher_key(s, PEER_SERIAL);
		PB_WITH (m, pb_type_matcher_v3_FilterStateMatcher_string_match(s))
			pb_type_matcher_v3_StringMatcher_exact(m, text);
	}
}

static void policy_write(struct pb_rbac_v3_RBAC rules, const struct cox_str *serials, size_t n)
{
	PB_WITH (p, pb_rbac_v3_RBAC_policies(rules, COX_STR("revoked"))) {
		PB_WITH (any, pb_rbac_v3_Policy_permissions(p))
			pb_rbac_v3_Permission_any(any, true);
		for (size_t i = 0; i < n; i++)
			PB_WITH (id, pb_rbac_v3_Policy_principals(p))
				serial_write(id, serials[i]);
	}
}

struct cox_set *cox_guard_set_build(const struct cox_str *serials, size_t n)
{
	struct cox_buf bytes = { 0 };
	struct cox_pb pb;
	cox_pb_init(&pb, &bytes);
	PB_ROOT (m, pb_core_v3_TypedExtensionConfig, &pb) {
		pb_core_v3_TypedExtensionConfig_name(m, GUARD);
		PB_ANY (c, pb_core_v3_TypedExtensionConfig_typed_config(m), pb_filters_http_rbac_v3_RBAC) {
			/* Without a rule nothing is denied. */
			if (n > 0)
				PB_WITH (rules, pb_filters_http_rbac_v3_RBAC_rules(c)) {
					pb_rbac_v3_RBAC_action(rules, PB_rbac_v3_RBAC_DENY);
					policy_write(rules, serials, n);
				}
			pb_filters_http_rbac_v3_RBAC_rules_stat_prefix(c, COX_STR("revoked."));
		}
	}
	const struct cox_resource *r = cox_resource_new(COX_TYPE_ECDS, GUARD, cox_buf_str(&bytes), COX_STR(""), COX_STR(""));
	cox_buf_fini(&bytes);
	return cox_set_build_take(COX_TYPE_ECDS, &r, 1);
}
