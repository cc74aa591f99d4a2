/* Typed setters, Structs, the table, and the transcoder's ways that test/protocol/test_transcode.py cannot reach. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "envoy/api.h"
#include "envoy/struct_pb.h"
#include "envoy/transcode.h"

static struct cox_arena arena;
static struct cox_buf wire, text;
static struct cox_pb pb;

static int setup(void **state)
{
	(void)state;
	cox_pb_init(&pb, &wire);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	cox_buf_fini(&wire);
	cox_buf_fini(&text);
	cox_arena_fini(&arena);
	return 0;
}

/* The JSON of what was written. */
static const char *as_json(const char *type)
{
	struct cox_json *v = NULL;
	struct cox_err err = { 0 };
	if (cox_envoy_to_json(cox_envoy_message_find(cox_str_of(type)), cox_buf_str(&wire), 0, &arena, &v, &err) != COX_OK)
		fail_msg("%s: %s", err.path, err.text);
	cox_buf_clear(&text);
	cox_json_write(&text, v, 0, false);
	return cox_buf_cstr(&text);
}

static void cluster_write(void)
{
	PB_ROOT (c, pb_cluster_v3_Cluster, &pb) {
		pb_cluster_v3_Cluster_name(c, COX_STR("outbound|80||a.b"));
		pb_cluster_v3_Cluster_type(c, PB_cluster_v3_Cluster_STATIC); /* 0, but a member of a oneof */
		PB_WITH (e, pb_cluster_v3_Cluster_eds_cluster_config(c))
			PB_WITH (s, pb_cluster_v3_Cluster_EdsClusterConfig_eds_config(e))
				PB_WITH (ads, pb_core_v3_ConfigSource_ads(s))
					(void)ads;
		pb_cluster_v3_Cluster_connect_timeout(c, 1500000000);
		pb_cluster_v3_Cluster_per_connection_buffer_limit_bytes(c, 0);         /* a wrapper: written */
		pb_cluster_v3_Cluster_lb_policy(c, PB_cluster_v3_Cluster_ROUND_ROBIN); /* the default: left out */
		PB_WITH (m, pb_cluster_v3_Cluster_metadata(c))
			PB_WITH (s, pb_core_v3_Metadata_filter_metadata(m, COX_STR("istio"))) {
				cox_struct_put_str(s, COX_STR("config"), COX_STR("x"));
				PB_WITH (l, cox_struct_put_list(s, COX_STR("services"))) {
					PB_WITH (o, cox_list_put_struct(l)) {
						cox_struct_put_number(o, COX_STR("n"), 2);
						cox_struct_put_null(o, COX_STR("nil"));
					}
					cox_list_put_bool(l, true);
				}
			}
		PB_WITH (ts, pb_cluster_v3_Cluster_transport_socket(c))
			PB_ANY (tls, pb_core_v3_TransportSocket_typed_config(ts), pb_transport_sockets_tls_v3_UpstreamTlsContext)
				pb_transport_sockets_tls_v3_UpstreamTlsContext_sni(tls, COX_STR("sni"));
	}
}

static void setters_write_what_they_say(void **state)
{
	(void)state;
	cluster_write();
	assert_string_equal(
	    as_json("envoy.config.cluster.v3.Cluster"),
	    "{\"name\":\"outbound|80||a.b\",\"type\":\"STATIC\",\"eds_cluster_config\":{\"eds_config\":{\"ads\":{}}},"
	    "\"connect_timeout\":\"1.500s\",\"per_connection_buffer_limit_bytes\":0,"
	    "\"transport_socket\":{\"typed_config\":{\"@type\":"
	    "\"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext\",\"sni\":\"sni\"}},"
	    "\"metadata\":{\"filter_metadata\":{\"istio\":{\"config\":\"x\",\"services\":[{\"n\":2,\"nil\":null},true]}}}}");
	/* Equal calls give equal bytes. */
	struct cox_buf first = wire;
	wire = (struct cox_buf){ 0 };
	cluster_write();
	assert_true(cox_str_eq(cox_buf_str(&first), cox_buf_str(&wire)));
	cox_buf_fini(&first);
}

static void write_and_leave(struct pb_route_v3_Route r, bool early)
{
	PB_WITH (a, pb_route_v3_Route_route(r)) {
		pb_route_v3_RouteAction_cluster(a, COX_STR("c"));
		if (early)
			return;
		pb_route_v3_RouteAction_timeout(a, 0);
	}
}

static void scopes_close_on_every_way_out(void **state)
{
	(void)state;
	PB_ROOT (v, pb_route_v3_VirtualHost, &pb)
		for (int i = 0; i < 3; i++)
			PB_WITH (r, pb_route_v3_VirtualHost_routes(v)) {
				PB_WITH (m, pb_route_v3_Route_match(r)) {
					pb_route_v3_RouteMatch_prefix(m, COX_STR("/"));
					if (i == 0)
						break;
					if (i == 1)
						continue;
					pb_route_v3_RouteMatch_case_sensitive(m, false);
				}
				write_and_leave(r, i == 1);
			}
	assert_int_equal(pb.depth, 0);
	assert_string_equal(as_json("envoy.config.route.v3.VirtualHost"),
	                    "{\"routes\":[{\"match\":{\"prefix\":\"/\"},\"route\":{\"cluster\":\"c\",\"timeout\":\"0s\"}},"
	                    "{\"match\":{\"prefix\":\"/\"},\"route\":{\"cluster\":\"c\"}},"
	                    "{\"match\":{\"prefix\":\"/\",\"case_sensitive\":false},\"route\":{\"cluster\":\"c\",\"timeout\":\"0s\"}}]}");
}

static void fields_of_every_sort(void **state)
{
	(void)state;
	struct cox_buf inner = { 0 };
	struct cox_pb inner_pb;
	cox_pb_init(&inner_pb, &inner);
	PB_ROOT (a, pb_core_v3_Address, &inner_pb)
		PB_WITH (s, pb_core_v3_Address_socket_address(a)) {
			pb_core_v3_SocketAddress_address(s, COX_STR("1.2.3.4"));
			pb_core_v3_SocketAddress_port_value(s, 0); /* a oneof's member */
		}
	PB_ROOT (p, pb_route_v3_RetryPolicy, &pb) {
		pb_route_v3_RetryPolicy_retriable_status_codes(p, 503);
		pb_route_v3_RetryPolicy_retriable_status_codes(p, 0);
		pb_route_v3_RetryPolicy_num_retries(p, 2);
	}
	assert_string_equal(as_json("envoy.config.route.v3.RetryPolicy"), "{\"num_retries\":2,\"retriable_status_codes\":[503,0]}");
	cox_buf_clear(&wire);
	PB_ROOT (e, pb_endpoint_v3_Endpoint, &pb)
		pb_endpoint_v3_Endpoint_address_raw(e, cox_buf_str(&inner));
	assert_string_equal(as_json("envoy.config.endpoint.v3.Endpoint"),
	                    "{\"address\":{\"socket_address\":{\"address\":\"1.2.3.4\",\"port_value\":0}}}");
	cox_buf_clear(&wire);
	PB_ROOT (r, pb_service_discovery_v3_DeltaDiscoveryRequest, &pb) {
		pb_service_discovery_v3_DeltaDiscoveryRequest_initial_resource_versions(r, COX_STR("a"), COX_STR(""));
		pb_service_discovery_v3_DeltaDiscoveryRequest_resource_names_subscribe(r, COX_STR(""));
	}
	assert_string_equal(as_json("envoy.service.discovery.v3.DeltaDiscoveryRequest"),
	                    "{\"resource_names_subscribe\":[\"\"],\"initial_resource_versions\":{\"a\":\"\"}}");
	assert_int_equal(PB_service_discovery_v3_DeltaDiscoveryRequest_type_url__NUM, 2);
	cox_buf_fini(&inner);
}

static void the_table_is_complete(void **state)
{
	(void)state;
	assert_true(cox_envoy_message_count() > 1900);
	for (size_t i = 0; i < cox_envoy_message_count(); i++) {
		const struct cox_envoy_message *m = cox_envoy_message_at(i);
		assert_ptr_equal(cox_envoy_message_find(cox_envoy_message_name(m)), m);
		for (size_t k = 0; k < cox_envoy_field_count(m); k++) {
			struct cox_envoy_field f = cox_envoy_field_at(m, k);
			char camel[256];
			assert_int_equal(cox_envoy_field_by_number(m, f.number), k);
			assert_int_equal(cox_envoy_field_by_name(m, f.name), k);
			ptrdiff_t other = cox_envoy_field_by_name(m, cox_envoy_camel(f.name, camel, sizeof(camel)));
			assert_int_equal(other, k);
			assert_true((f.message != NULL) == (f.type == COX_ENVOY_MESSAGE));
			assert_true((f.enumeration != NULL) == (f.type == COX_ENVOY_ENUM));
		}
	}
	assert_non_null(cox_envoy_message_find(COX_STR("type.googleapis.com/envoy.config.cluster.v3.Cluster")));
	assert_null(cox_envoy_message_find(COX_STR("envoy.config.cluster.v3.Clustes")));
	assert_null(cox_envoy_message_find(COX_STR("")));
	const struct cox_envoy_message *c = cox_envoy_message_find(COX_STR("envoy.config.cluster.v3.Cluster"));
	assert_int_equal(cox_envoy_field_by_number(c, 9999), -1);
	assert_int_equal(cox_envoy_field_by_name(c, COX_STR("nam")), -1);
	struct cox_envoy_field type = cox_envoy_field_at(c, (size_t)cox_envoy_field_by_name(c, COX_STR("type")));
	int32_t number;
	assert_int_equal(cox_envoy_enum_number(type.enumeration, COX_STR("EDS"), &number), COX_OK);
	assert_int_equal(number, PB_cluster_v3_Cluster_EDS);
	assert_int_equal(cox_envoy_enum_number(type.enumeration, COX_STR("EDSS"), &number), COX_ENOTFOUND);
	assert_true(cox_str_eq(cox_envoy_enum_name(type.enumeration, 3), COX_STR("EDS")));
	assert_int_equal(cox_envoy_enum_name(type.enumeration, 99).n, 0);
}

static void a_resource_is_an_any(void **state)
{
	(void)state;
	struct cox_json *v;
	cluster_write();
	assert_int_equal(cox_envoy_any_to_json(PB_TYPE_URL(pb_cluster_v3_Cluster), cox_buf_str(&wire), 0, &arena, &v, NULL), COX_OK);
	assert_true(cox_str_eq(cox_json_str_at(v, "@type"), COX_STR("type.googleapis.com/envoy.config.cluster.v3.Cluster")));
	assert_true(cox_str_eq(cox_json_str_at(v, "name"), COX_STR("outbound|80||a.b")));
	assert_int_equal(cox_envoy_any_to_json(COX_STR("x/not.Known"), COX_STR("12345"), 0, &arena, &v, NULL), COX_OK);
	assert_int_equal(v->n, 2);
}

static void failures_leave_no_trace(void **state)
{
	(void)state;
	const struct cox_envoy_message *m = cox_envoy_message_find(COX_STR("envoy.config.listener.v3.Listener"));
	struct cox_json *v;
	struct cox_err err = { 0 };
	cox_buf_append_cstr(&wire, "kept");
	struct cox_str json = COX_STR("{\"name\":\"l\",\n\"filter_chains\":[{\"filters\":[\n{\"name\":5}]}]}");
	assert_int_equal(cox_json_parse(&arena, json, &v, NULL), COX_OK);
	assert_int_equal(cox_envoy_from_json(m, v, 0, &wire, &err), COX_EINVAL);
	assert_string_equal(err.path, "filter_chains[0].filters[0].name");
	assert_int_equal(err.line, 3);
	assert_true(cox_str_eq(cox_buf_str(&wire), COX_STR("kept")));
	json = COX_STR("{\"name\":\"l\",\"not_there\":{\"x\":1}}");
	assert_int_equal(cox_json_parse(&arena, json, &v, NULL), COX_OK);
	assert_int_equal(cox_envoy_from_json(m, v, 0, &wire, NULL), COX_EINVAL);
	assert_int_equal(cox_envoy_from_json(m, v, COX_TRANSCODE_IGNORE_UNKNOWN, &wire, NULL), COX_OK);
	assert_true(cox_str_eq(cox_buf_str(&wire), COX_STR("kept\x0a\x01l")));
	v = NULL;
	assert_int_equal(cox_envoy_to_json(m, COX_STR("\x1a\x04\x1a\x02\x0a\x05"), 0, &arena, &v, &err), COX_EPROTO);
	assert_string_equal(err.path, "filter_chains[0].filters[0]");
	assert_null(v);
}

static void deep_json_in_a_struct_is_cut(void **state)
{
	(void)state;
	cox_buf_clear(&text);
	for (int i = 0; i < 100; i++)
		cox_buf_append_cstr(&text, "{\"a\":");
	cox_buf_append_cstr(&text, "1");
	for (int i = 0; i < 100; i++)
		cox_buf_append_cstr(&text, "}");
	struct cox_json *v;
	assert_int_equal(cox_json_parse(&arena, cox_arena_str(&arena, cox_buf_str(&text)), &v, NULL), COX_OK);
	PB_ROOT (s, pb_google_protobuf_Struct, &pb)
		cox_struct_put_members(s, v);
	const char *json = as_json("google.protobuf.Struct");
	assert_non_null(strstr(json, "null"));
	assert_null(strchr(json, '1'));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(setters_write_what_they_say), T(scopes_close_on_every_way_out), T(fields_of_every_sort),         T(the_table_is_complete),
		T(a_resource_is_an_any),        T(failures_leave_no_trace),       T(deep_json_in_a_struct_is_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
