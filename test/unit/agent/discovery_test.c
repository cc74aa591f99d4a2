/* Heads of discovery messages, and the agent's own. covers: i2 i3 i13 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/discovery.h"
#include "envoy/core_v3.h"
#include "envoy/envoy.h"
#include "envoy/google_protobuf.h"
#include "envoy/google_rpc.h"
#include "envoy/istio_v1_auth.h"
#include "envoy/service_discovery_v3.h"

static void test_requests(void **state)
{
	(void)state;
	struct cox_buf out = { 0 };
	struct cox_arena arena = { 0 };
	struct cox_discovery_request r;
	struct cox_pb pb;
	cox_pb_init(&pb, &out);
	PB_ROOT (m, pb_service_discovery_v3_DeltaDiscoveryRequest, &pb) {
		PB_WITH (n, pb_service_discovery_v3_DeltaDiscoveryRequest_node(m))
			pb_core_v3_Node_id(n, COX_STR("me"));
		pb_service_discovery_v3_DeltaDiscoveryRequest_type_url(m, COX_STR("T"));
		pb_service_discovery_v3_DeltaDiscoveryRequest_resource_names_subscribe(m, COX_STR("a"));
		pb_service_discovery_v3_DeltaDiscoveryRequest_resource_names_subscribe(m, COX_STR("b"));
		pb_service_discovery_v3_DeltaDiscoveryRequest_resource_names_unsubscribe(m, COX_STR("c"));
		pb_service_discovery_v3_DeltaDiscoveryRequest_initial_resource_versions(m, COX_STR("a"), COX_STR("7"));
		pb_service_discovery_v3_DeltaDiscoveryRequest_response_nonce(m, COX_STR("n"));
		PB_WITH (s, pb_service_discovery_v3_DeltaDiscoveryRequest_error_detail(m))
			pb_google_rpc_Status_message(s, COX_STR("no"));
	}
	assert_int_equal(cox_discovery_request_read(cox_buf_str(&out), true, COX_AGENT_NAMES_MAX, &arena, &r, NULL), COX_OK);
	assert_true(cox_str_eq(r.type_url, COX_STR("T")) && cox_str_eq(r.nonce, COX_STR("n")) && r.has_error &&
	            cox_str_eq(r.error, COX_STR("no")));
	assert_true(r.name_n == 2 && cox_str_eq(r.names[1], COX_STR("b")) && r.unsubscribed_n == 1 &&
	            cox_str_eq(r.unsubscribed[0], COX_STR("c")));
	assert_true(r.initial_n == 1 && cox_str_eq(r.initial[0].name, COX_STR("a")) && cox_str_eq(r.initial[0].version, COX_STR("7")));
	struct cox_str node = cox_discovery_request_node(cox_buf_str(&out), true);
	assert_true(node.n == 4 && cox_str_eq(r.node, node)); /* id, length, "me" */
	for (size_t n = 0; n < out.n; n++) {                  /* cut anywhere: refused or read, never beyond */
		struct cox_discovery_request part;
		(void)!cox_discovery_request_read(cox_buf_str(&(struct cox_buf){ .p = out.p, .n = n }), true, COX_AGENT_NAMES_MAX, &arena,
		                                  &part, NULL);
	}
	assert_int_equal(cox_discovery_request_read(COX_STR("\xff"), false, COX_AGENT_NAMES_MAX, &arena, &r, NULL), COX_EPROTO);
	cox_buf_clear(&out);
	for (int i = 0; i <= COX_AGENT_NAMES_MAX; i++)
		cox_buf_append(&out, "\x1a\x01x", 3);
	assert_int_equal(cox_discovery_request_read(cox_buf_str(&out), true, COX_AGENT_NAMES_MAX, &arena, &r, NULL), COX_ELIMIT);
	cox_buf_fini(&out);
	cox_arena_fini(&arena);
}

static void test_node_is_given_to_a_request(void **state)
{
	(void)state;
	for (int is_delta = 0; is_delta < 2; is_delta++) {
		struct cox_buf out = { 0 };
		struct cox_arena arena = { 0 };
		struct cox_discovery_request r;
		cox_agent_request_write(is_delta, COX_STR("T"), COX_STR(""), COX_STR(""), COX_STR(""), &out);
		size_t before = out.n;
		cox_agent_request_append_node(COX_STR(""), is_delta, &out);
		assert_int_equal(out.n, before);
		assert_int_equal(cox_discovery_request_node(cox_buf_str(&out), is_delta).n, 0);
		cox_agent_request_append_node(COX_STR("\x0a\x02me"), is_delta, &out);
		assert_int_equal(cox_discovery_request_read(cox_buf_str(&out), is_delta, COX_AGENT_NAMES_MAX, &arena, &r, NULL), COX_OK);
		assert_true(cox_str_eq(r.type_url, COX_STR("T")) && cox_str_eq(r.node, COX_STR("\x0a\x02me")));
		assert_int_equal(cox_discovery_request_node(COX_STR("\xff"), is_delta).n, 0);
		cox_buf_fini(&out);
		cox_arena_fini(&arena);
	}
}

static void test_own_requests_are_read_back(void **state)
{
	(void)state;
	for (int is_delta = 0; is_delta < 2; is_delta++) {
		struct cox_buf out = { 0 };
		struct cox_arena arena = { 0 };
		struct cox_discovery_request r;
		cox_agent_request_write(is_delta, COX_STR("T"), COX_STR("v"), COX_STR("n"), COX_STR("bad"), &out);
		assert_int_equal(cox_discovery_request_read(cox_buf_str(&out), is_delta, COX_AGENT_NAMES_MAX, &arena, &r, NULL), COX_OK);
		assert_true(cox_str_eq(r.type_url, COX_STR("T")) && cox_str_eq(r.nonce, COX_STR("n")) && r.has_error &&
		            cox_str_eq(r.error, COX_STR("bad")) && r.name_n == 0);
		cox_buf_clear(&out);
		cox_agent_request_write(is_delta, COX_STR("T"), COX_STR(""), COX_STR(""), COX_STR(""), &out);
		assert_int_equal(cox_discovery_request_read(cox_buf_str(&out), is_delta, COX_AGENT_NAMES_MAX, &arena, &r, NULL), COX_OK);
		assert_true(!r.has_error && r.nonce.n == 0);
		cox_buf_fini(&out);
		cox_arena_fini(&arena);
	}
}

static void test_responses(void **state)
{
	(void)state;
	struct cox_buf out = { 0 };
	struct cox_agent_response r;
	struct cox_pb pb;
	cox_pb_init(&pb, &out);
	PB_ROOT (m, pb_service_discovery_v3_DeltaDiscoveryResponse, &pb) {
		for (int i = 0; i < 2; i++)
			PB_WITH (item, pb_service_discovery_v3_DeltaDiscoveryResponse_resources(m)) {
				pb_service_discovery_v3_Resource_version(item, i ? COX_STR("8") : COX_STR("7"));
				PB_WITH (any, pb_service_discovery_v3_Resource_resource(item))
					pb_google_protobuf_Any_value(any, i ? COX_STR("later") : COX_STR("first"));
			}
		pb_service_discovery_v3_DeltaDiscoveryResponse_type_url(m, COX_STR("T"));
		pb_service_discovery_v3_DeltaDiscoveryResponse_nonce(m, COX_STR("n"));
	}
	assert_int_equal(cox_agent_response_read(cox_buf_str(&out), true, &r, NULL), COX_OK);
	assert_true(cox_str_eq(r.type_url, COX_STR("T")) && cox_str_eq(r.nonce, COX_STR("n")) && r.resource_n == 2);
	assert_true(cox_str_eq(r.first, COX_STR("first")) && cox_str_eq(r.version, COX_STR("7")));
	cox_buf_clear(&out);
	cox_pb_init(&pb, &out);
	PB_ROOT (m, pb_service_discovery_v3_DiscoveryResponse, &pb) {
		pb_service_discovery_v3_DiscoveryResponse_version_info(m, COX_STR("9"));
		PB_WITH (any, pb_service_discovery_v3_DiscoveryResponse_resources(m))
			pb_google_protobuf_Any_value(any, COX_STR("only"));
		pb_service_discovery_v3_DiscoveryResponse_type_url(m, COX_STR("U"));
		pb_service_discovery_v3_DiscoveryResponse_nonce(m, COX_STR("m"));
	}
	assert_int_equal(cox_agent_response_read(cox_buf_str(&out), false, &r, NULL), COX_OK);
	assert_true(cox_str_eq(r.type_url, COX_STR("U")) && cox_str_eq(r.first, COX_STR("only")) && cox_str_eq(r.version, COX_STR("9")));
	assert_int_equal(cox_agent_response_read(COX_STR("\x12\x05xx"), false, &r, NULL), COX_EPROTO);
	cox_buf_fini(&out);
}

static void test_answer_of_the_ca(void **state)
{
	(void)state;
	struct cox_buf out = { 0 };
	struct cox_arena arena = { 0 };
	const struct cox_str *chain;
	struct cox_pb pb;
	size_t n;
	cox_pb_init(&pb, &out);
	PB_ROOT (m, pb_istio_v1_auth_IstioCertificateResponse, &pb) {
		pb_istio_v1_auth_IstioCertificateResponse_cert_chain(m, COX_STR("leaf"));
		pb_istio_v1_auth_IstioCertificateResponse_cert_chain(m, COX_STR("root"));
	}
	assert_int_equal(cox_agent_csr_response_read(cox_buf_str(&out), &arena, &chain, &n, NULL), COX_OK);
	assert_true(n == 2 && cox_str_eq(chain[1], COX_STR("root")));
	assert_int_equal(cox_agent_csr_response_read(cox_str_make(out.p, 6), &arena, &chain, &n, NULL), COX_EPROTO); /* the leaf alone */
	assert_int_equal(cox_agent_csr_response_read(COX_STR(""), &arena, &chain, &n, NULL), COX_EPROTO);
	cox_buf_fini(&out);
	cox_arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_node_is_given_to_a_request),
		cmocka_unit_test(test_own_requests_are_read_back),
		cmocka_unit_test(test_responses),
		cmocka_unit_test(test_answer_of_the_ca),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
