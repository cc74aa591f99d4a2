/* Proxies and protocols: what the model reads from a node and from a port. */
#include "model/proxy.h"
#include "registry/yaml_objects.h"

static enum cox_rc build(const char *json, struct cox_proxy **out, struct cox_err *err)
{
	struct cox_arena arena = { 0 };
	struct cox_json *node;
	assert_int_equal(cox_json_parse(&arena, cox_str_of(json), &node, NULL), COX_OK);
	enum cox_rc rc = cox_proxy_build(node, out, err);
	cox_arena_fini(&arena); /* nothing of the proxy may lie in the message */
	return rc;
}

/* covers: b26 */
static void test_sidecar(void **state)
{
	(void)state;
	struct cox_proxy *p;
	assert_int_equal(
	    build("{\"id\": \"sidecar~10.1.1.1~reviews-v1-abc.default~default.svc.cluster.local\", \"cluster\": \"reviews.default\","
	          "\"locality\": {\"region\": \"r\", \"zone\": \"z\", \"sub_zone\": \"s\"},"
	          "\"extensions\": [{\"name\": \"envoy.filters.http.router\"}, {\"name\": \"istio.stats\"}],"
	          "\"metadata\": {\"NAMESPACE\": \"team\", \"INSTANCE_IPS\": \"10.2.2.2,fd00::1,not-an-ip\", \"LABELS\": {\"version\": "
	          "\"v1\", \"app\": \"reviews\"},"
	          "\"SERVICE_ACCOUNT\": \"bookinfo\", \"CLUSTER_ID\": \"c1\", \"NETWORK\": \"n1\", \"NODE_NAME\": \"k\", \"MESH_ID\": "
	          "\"m\", \"ISTIO_VERSION\": \"1.30.0\","
	          "\"WORKLOAD_NAME\": \"reviews-v1\", \"DNS_CAPTURE\": \"true\", \"DNS_AUTO_ALLOCATE\": \"false\", \"HTTP10\": \"1\", "
	          "\"IDLE_TIMEOUT\": \"5s\","
	          "\"HTTP_PROXY_PORT\": \"15007\", \"INTERCEPTION_MODE\": \"TPROXY\", \"ANYTHING\": {\"x\": [1]}}}",
	          &p, NULL),
	    COX_OK);
	assert_str(p->name, "reviews-v1-abc");
	assert_str(p->ns, "team");
	assert_str(p->dns_domain, "default.svc.cluster.local");
	assert_int_equal(p->type, COX_PROXY_SIDECAR);
	assert_int_equal(p->klass, COX_CLASS_ISTIO);
	assert_true(p->has_vhds && p->has_sds && p->dns_capture && p->http10);
	assert_false(p->dns_auto_allocate);
	assert_int_equal(p->ips.n, 2); /* the metadata's addresses win over the id's */
	assert_str(p->ips.p[0], "10.2.2.2");
	assert_str(p->labels.p[0].key, "app");
	assert_str(p->service_account, "bookinfo");
	assert_str(p->canonical_name, "reviews");
	assert_str(p->canonical_revision, "v1");
	assert_str(p->sub_zone, "s");
	assert_str(p->version, "1.30.0");
	assert_int_equal(p->idle_timeout_ns.v, 5000000000LL);
	assert_int_equal(p->http_proxy_port, 15007);
	assert_int_equal(p->interception, COX_INTERCEPT_TPROXY);
	assert_int_equal(cox_json_at(p->metadata, "ANYTHING.x")->n, 1); /* unknown keys are kept */
	cox_proxy_unref(p);
}

/* covers: b26 */
static void test_little_said(void **state)
{
	(void)state;
	struct cox_proxy *p;
	assert_int_equal(build("{\"id\": \"router~10.1.1.1~gw-0.infra~infra.svc.cluster.local\"}", &p, NULL), COX_OK);
	assert_int_equal(p->type, COX_PROXY_ROUTER);
	assert_int_equal(p->klass, COX_CLASS_UPSTREAM);
	assert_false(p->has_vhds);
	assert_str(p->ns, "infra");
	assert_str(p->ips.p[0], "10.1.1.1");
	assert_str(p->canonical_name, "gw-0");
	assert_str(p->canonical_revision, "latest");
	cox_proxy_unref(p);
	assert_int_equal(build("{\"id\": \"sidecar~~a.b~b.svc.cluster.local\", \"metadata\": {\"INSTANCE_IPS\": \"fd00::2\", "
	                       "\"DNS_CAPTURE\": true, \"COXSWAIN_SDS\": \"none\","
	                       "\"LABELS\": {\"istio-locality\": \"r1.z1\"}}}",
	                       &p, NULL),
	                 COX_OK);
	assert_true(p->dns_capture);
	assert_false(p->has_sds);
	assert_str(p->region, "r1");
	assert_str(p->zone, "z1");
	cox_proxy_unref(p);
}

/* covers: b26 */
static void test_refused_nodes(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"{\"id\": \"sidecar~10.0.0.1~~default.svc.cluster.local\"}", /* nobody */
		"{\"id\": \"sidecar~10.0.0.1~a~.svc.cluster.local\"}",       /* nowhere */
		"{}",
		"{\"id\": \"\"}",
		"{\"id\": 7}",
		"{\"id\": \"sidecar~10.1.1.1~a.b\"}",
		"{\"id\": \"sidecar~10.1.1.1~a.b~c~d\"}",
		"{\"id\": \"ztunnel~10.1.1.1~a.b~c\"}",
		"{\"id\": \"sidecar~~a.b~c\"}",
		"{\"id\": \"sidecar~10.1.1.999~a.b~c\"}",
		"{\"id\": \"sidecar~x~a.b~c\", \"metadata\": {\"INSTANCE_IPS\": \",,\"}}",
		"[]",
	};
	for (size_t i = 0; i < COX_LEN(bad); i++) {
		struct cox_proxy *p = NULL;
		struct cox_err err = { 0 };
		assert_int_equal(build(bad[i], &p, &err), COX_EINVAL);
		assert_null(p);
		assert_int_not_equal(err.text[0], '\0');
	}
}

static enum cox_protocol of(const char *transport, const char *app, const char *name, uint16_t port)
{
	return cox_protocol_of_kube_port(cox_str_of(transport), cox_str_of(app), cox_str_of(name), port);
}

static void test_protocols(void **state)
{
	(void)state;
	assert_int_equal(of("", "", "http", 80), COX_PROTO_HTTP);
	assert_int_equal(of("TCP", "", "HTTP2-x", 80), COX_PROTO_HTTP2);
	assert_int_equal(of("TCP", "", "grpc-web", 80), COX_PROTO_GRPC_WEB);
	assert_int_equal(of("TCP", "", "grpc-web-x", 80), COX_PROTO_GRPC_WEB);
	assert_int_equal(of("TCP", "", "grpc-x", 80), COX_PROTO_GRPC);
	assert_int_equal(of("TCP", "", "web", 80), COX_PROTO_AUTO);
	assert_int_equal(of("TCP", "", "web", 3306), COX_PROTO_TCP); /* the server speaks first: not sniffed */
	assert_int_equal(of("UDP", "http", "http", 53), COX_PROTO_UDP);
	assert_int_equal(of("TCP", "kubernetes.io/h2c", "tcp", 80), COX_PROTO_HTTP2);
	assert_int_equal(of("TCP", "kubernetes.io/ws", "tcp", 80), COX_PROTO_HTTP);
	assert_int_equal(of("TCP", "kubernetes.io/wss", "tcp", 80), COX_PROTO_HTTPS);
	assert_int_equal(of("TCP", "tcp", "http", 80), COX_PROTO_TCP); /* appProtocol wins over the name */
	assert_int_equal(of("TCP", "example.com/own", "http", 80), COX_PROTO_AUTO);
	assert_int_equal(cox_protocol_of_name(COX_STR("MySQL")), COX_PROTO_MYSQL);
	assert_int_equal(cox_protocol_of_name(COX_STR("nonsense")), COX_PROTO_AUTO);
	assert_str(cox_protocol_name(COX_PROTO_AUTO), "UnsupportedProtocol");
	assert_true(cox_protocol_is_http(COX_PROTO_GRPC) && cox_protocol_is_http2(COX_PROTO_GRPC) && cox_protocol_is_tcp(COX_PROTO_HTTPS) &&
	            cox_protocol_is_tls(COX_PROTO_TLS));
	assert_false(cox_protocol_is_http(COX_PROTO_HTTPS) || cox_protocol_is_http2(COX_PROTO_HTTP) || cox_protocol_is_tcp(COX_PROTO_AUTO));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sidecar),
		cmocka_unit_test(test_little_said),
		cmocka_unit_test(test_refused_nodes),
		cmocka_unit_test(test_protocols),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
