/* The walk where traffic over loopback cannot show it: filter chain precedence, capture, health, cases of matchers. covers: f30 */
#include "oracle/oracle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct fixture {
	struct cox_arena arena;
	struct cox_oracle oracle;
	struct cox_oracle_walk walk;
};

static void fixture_load(struct fixture *f, const char *json)
{
	struct cox_json *tree = NULL;
	struct cox_err err = { 0 };
	if (cox_json_parse(&f->arena, cox_str_of(json), &tree, &err) != COX_OK)
		fail_msg("%s line %d", err.text, err.line);
	cox_oracle_add_rendered(&f->oracle, tree);
}

static void fixture_fini(struct fixture *f)
{
	cox_oracle_fini(&f->oracle);
	cox_arena_fini(&f->arena);
}

static struct cox_str cluster_of(struct fixture *f, struct cox_oracle_request r)
{
	cox_oracle_walk(&f->oracle, &r, &f->arena, &f->walk);
	return f->walk.targets.n ? f->walk.targets.p[0].cluster : (struct cox_str){ 0 };
}

#define TCP(name)                                                        \
	"\"filters\": [{\"name\": \"t\", \"typed_config\": {\"@type\": " \
	"\"type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy\", \"cluster\": \"" name "\"}}]"
#define TLS_INSPECTOR                                                             \
	"\"listener_filters\": [{\"name\": \"i\", \"typed_config\": {\"@type\": " \
	"\"type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector\"}}]"
#define HTTP_INSPECTOR                                                            \
	"\"listener_filters\": [{\"name\": \"i\", \"typed_config\": {\"@type\": " \
	"\"type.googleapis.com/envoy.extensions.filters.listener.http_inspector.v3.HttpInspector\"}}]"

static const char CHAINS[] =
    "{\"LDS\": {\"l\": {\"name\": \"l\", \"address\": {\"socket_address\": {\"address\": \"0.0.0.0\", \"port_value\": 443}}," TLS_INSPECTOR
    ", \"filter_chains\": ["
    "{\"filter_chain_match\": {\"server_names\": [\"*.b.c\"]}, " TCP(
        "wild") "},"
                "{\"filter_chain_match\": {\"server_names\": [\"a.b.c\"], \"application_protocols\": [\"h2\"]}, " TCP(
                    "exact-h2") "},"
                                "{\"filter_chain_match\": {\"server_names\": [\"*.c\"], \"transport_protocol\": \"tls\"}, " TCP(
                                    "wider") "},"
                                             "{\"filter_chain_match\": {\"prefix_ranges\": [{\"address_prefix\": \"10.0.0.0\", \"prefix_len\": 8}]}, " TCP(
                                                 "ten") "},"
                                                        "{\"filter_chain_match\": {\"prefix_ranges\": [{\"address_prefix\": \"10.1.0.0\", \"prefix_len\": 16}]}, " TCP(
                                                            "ten-one") "},"
                                                                       "{\"filter_chain_match\": {\"transport_protocol\": \"raw_buffer\", \"source_prefix_ranges\": "
                                                                       "[{\"address_prefix\": \"192.168.0.0\", \"prefix_len\": 16}]}, " TCP(
                                                                           "from") "},"
                                                                                   "{\"filter_chain_match\": {\"transport_protocol\": \"raw_buffer\"}, " TCP(
                                                                                       "raw") "}"
                                                                                              "], \"default_filter_chain\": {" TCP(
                                                                                                  "default") "}}}}";

static void filter_chain_precedence(void **state)
{
	struct fixture f = { 0 };
	static const struct {
		const char *ip, *from, *sni, *alpn, *want;
		bool tls;
	} rows[] = {
		{ "1.2.3.4", "", "x.b.c", "", "wild", true },
		{ "1.2.3.4", "", "X.B.C", "", "wild", true },
		{ "1.2.3.4", "", "a.b.c", "h2,http/1.1", "exact-h2", true },
		/* The exact server name is taken and holds no chain for this protocol: there is no way back to the wildcard. */
		{ "1.2.3.4", "", "a.b.c", "http/1.1", "default", true },
		{ "1.2.3.4", "", "q.c", "", "wider", true },
		{ "1.2.3.4", "", "nobody", "", "default", true },
		{ "10.2.0.1", "", "x.b.c", "", "ten", true }, /* the address comes before the name */
		{ "10.1.0.1", "", "", "", "ten-one", false },
		{ "1.2.3.4", "192.168.1.1", "", "", "from", false },
		{ "1.2.3.4", "10.0.0.9", "", "", "raw", false },
	};
	(void)state;
	fixture_load(&f, CHAINS);
	for (size_t i = 0; i < COX_LEN(rows); i++) {
		struct cox_str got = cluster_of(&f, (struct cox_oracle_request){ .dst_ip = cox_str_of(rows[i].ip),
		                                                                 .src_ip = cox_str_of(rows[i].from),
		                                                                 .dst_port = 443,
		                                                                 .is_tls = rows[i].tls,
		                                                                 .sni = cox_str_of(rows[i].sni),
		                                                                 .alpn = cox_str_of(rows[i].alpn) });
		if (!cox_str_eq_cstr(got, rows[i].want))
			fail_msg("row %zu: \"%.*s\", not \"%s\"", i, COX_FMT(got), rows[i].want);
		assert_int_equal(f.walk.outcome, COX_ORACLE_NO_CLUSTER); /* named, and not there */
	}
	fixture_fini(&f);
}

static const char CAPTURE[] =
    "{\"LDS\": {"
    "\"out\": {\"name\": \"out\", \"use_original_dst\": true, \"traffic_direction\": \"OUTBOUND\","
    " \"address\": {\"socket_address\": {\"address\": \"0.0.0.0\", \"port_value\": 15001}}, \"filter_chains\": [{" TCP(
        "passthrough") "}]},"
                       "\"in\": {\"name\": \"in\", \"traffic_direction\": \"INBOUND\", " HTTP_INSPECTOR ","
                       " \"address\": {\"socket_address\": {\"address\": \"0.0.0.0\", \"port_value\": 15006}}, \"filter_chains\": ["
                       "{\"filter_chain_match\": {\"destination_port\": 80, \"application_protocols\": [\"http/1.1\"]}, " TCP(
                           "in-80-http") "},"
                                         "{\"filter_chain_match\": {\"destination_port\": 80}, " TCP("in-80") "}, {" TCP(
                                             "in-any") "}]},"
                                                       "\"vip\": {\"name\": \"vip\", \"bind_to_port\": false,"
                                                       " \"address\": {\"socket_address\": {\"address\": \"10.1.0.1\", \"port_value\": 80}}, \"filter_chains\": [{" TCP(
                                                           "vip") "}]},"
                                                                  "\"any\": {\"name\": \"any\", \"bind_to_port\": false,"
                                                                  " \"address\": {\"socket_address\": {\"address\": \"0.0.0.0\", \"port_value\": 80}}, \"filter_chains\": [{" TCP(
                                                                      "any") "}]}}}";

static void capture_and_wildcards(void **state)
{
	struct fixture f = { 0 };
	(void)state;
	fixture_load(&f, CAPTURE);
	struct cox_oracle_request r = { .dst_ip = COX_STR("10.1.0.1"), .dst_port = 80 };
	assert_true(cox_str_eq_cstr(cluster_of(&f, r), "vip"));
	assert_true(cox_str_eq_cstr(cox_json_str_at(f.walk.via, "name"), "out"));
	r.dst_ip = COX_STR("10.1.0.2");
	assert_true(cox_str_eq_cstr(cluster_of(&f, r), "any"));
	r.dst_ip = (struct cox_str){ 0 }; /* an address that nobody knows */
	assert_true(cox_str_eq_cstr(cluster_of(&f, r), "any"));
	r.dst_port = 81;
	assert_true(cox_str_eq_cstr(cluster_of(&f, r), "passthrough"));
	/* What is captured inbound stays with the capturing listener, whose chains match the restored port. */
	r = (struct cox_oracle_request){ .dst_ip = COX_STR("10.0.0.5"), .dst_port = 80, .capture_port = 15006, .is_http = true };
	assert_true(cox_str_eq_cstr(cluster_of(&f, r), "in-80-http"));
	r.is_http = false;
	assert_true(cox_str_eq_cstr(cluster_of(&f, r), "in-80"));
	r.dst_port = 99;
	assert_true(cox_str_eq_cstr(cluster_of(&f, r), "in-any"));
	fixture_fini(&f);
}

#define HCM(more)                                                                                                                 \
	"{\"LDS\": {\"l\": {\"name\": \"l\", \"address\": {\"socket_address\": {\"address\": \"0.0.0.0\", \"port_value\": 80}}, " \
	"\"filter_chains\": [{\"filters\": [{\"name\": \"h\", \"typed_config\": {\"@type\": "                                     \
	"\"type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager\"" more          \
	", \"route_config\": {\"name\": \"r\", \"virtual_hosts\": [{\"name\": \"v\", \"domains\": [\"*\"], \"routes\": ["
#define END "]}]}}}]}]}}}"
#define TO(name) ", \"route\": {\"cluster\": \"" name "\"}}"

static const char MATCHERS[] =
    HCM("") "{\"match\": {\"prefix\": \"/range\", \"headers\": [{\"name\": \"n\", \"range_match\": {\"start\": \"5\", \"end\": \"10\"}}]}" TO(
        "range") ","
                 "{\"match\": {\"prefix\": \"/not\", \"headers\": [{\"name\": \"n\", \"string_match\": {\"exact\": \"1\"}, \"invert_match\": true}]}" TO(
                     "not") ","
                            "{\"match\": {\"prefix\": \"/empty\", \"headers\": [{\"name\": \"n\", \"string_match\": {\"exact\": \"1\"}, \"invert_match\": true,"
                            " \"treat_missing_header_as_empty\": true}]}" TO(
                                "empty") ","
                                         "{\"match\": {\"prefix\": \"/absent\", \"headers\": [{\"name\": \"n\", \"present_match\": false}]}" TO(
                                             "absent") ","
                                                       "{\"match\": {\"prefix\": \"/suffix\", \"headers\": [{\"name\": \"n\", \"suffix_match\": \"ab\"}]}" TO(
                                                           "suffix") ","
                                                                     "{\"match\": {\"prefix\": \"/contains\", \"headers\": [{\"name\": \"n\", \"string_match\": {\"contains\": \"AB\", \"ignore_case\": true}}]}" TO(
                                                                         "contains") ","
                                                                                     "{\"match\": {\"path_separated_prefix\": \"/sep\"}" TO(
                                                                                         "sep") ","
                                                                                                "{\"match\": {\"prefix\": \"/never\", \"runtime_fraction\": {\"default_value\": {}}}" TO(
                                                                                                    "never") ","
                                                                                                             "{\"match\": {\"prefix\": \"/claim\", \"dynamic_metadata\": [{\"filter\": \"jwt\", \"path\": [{\"key\": \"p\"}, {\"key\": \"g\"}],"
                                                                                                             " \"value\": {\"list_match\": {\"one_of\": {\"string_match\": {\"exact\": \"admin\"}}}}}]}" TO(
                                                                                                                 "claim") END;

static void matchers(void **state)
{
	static const struct {
		const char *path, *n, *want;
	} rows[] = {
		{ "/range", "5", "range" },     { "/range", "10", "" },        { "/range", "x", "" },
		{ "/range", NULL, "" },         { "/not", "2", "not" },        { "/not", "1", "" },
		{ "/not", NULL, "" }, /* absent fails even the inverted */
		{ "/empty", NULL, "empty" },    { "/absent", NULL, "absent" }, { "/absent", "x", "" },
		{ "/suffix", "xab", "suffix" }, { "/suffix", "abx", "" },      { "/contains", "xaBx", "contains" },
		{ "/sep", NULL, "sep" },        { "/sep/x", NULL, "sep" },     { "/sepx", NULL, "" },
		{ "/never", NULL, "" },         { "/claim", NULL, "claim" },
	};
	struct fixture f = { 0 };
	struct cox_json *md = NULL;
	(void)state;
	fixture_load(&f, MATCHERS);
	assert_int_equal(cox_json_parse(&f.arena, COX_STR("{\"jwt\": {\"p\": {\"g\": [\"user\", \"admin\"]}}}"), &md, NULL), COX_OK);
	for (size_t i = 0; i < COX_LEN(rows); i++) {
		struct cox_oracle_header h = { COX_STR("N"), cox_str_of(rows[i].n) };
		struct cox_oracle_request r = { .dst_port = 80,
			                        .is_http = true,
			                        .method = COX_STR("GET"),
			                        .authority = COX_STR("h"),
			                        .path = cox_str_of(rows[i].path),
			                        .headers = { &h, rows[i].n != NULL },
			                        .metadata = md };
		if (!cox_str_eq_cstr(cluster_of(&f, r), rows[i].want))
			fail_msg("row %zu: %s", i, rows[i].path);
	}
	assert_true(f.walk.skipped.n == 8); /* each with its reason */
	for (size_t i = 0; i < f.walk.skipped.n; i++)
		assert_true(f.walk.skipped.p[i].why.n > 0);
	fixture_fini(&f);
}

static void paths(void **state)
{
	static const struct {
		const char *path, *want;
	} rows[] = { { "/a/../b?x=..", "/b?x=.." }, { "/a/./b", "/a/b" },  { "/a/..", "/" },
		     { "/%61%2F", "/a/" },          { "//a///b", "/a/b" }, { "/a\\b", "/a/b" } };
	struct fixture f = { 0 };
	(void)state;
	fixture_load(
	    &f,
	    HCM(", \"normalize_path\": true, \"merge_slashes\": true, \"path_with_escaped_slashes_action\": \"UNESCAPE_AND_FORWARD\"") "{\"match\": {\"prefix\": \"/\"}" TO(
	        "x") END);
	for (size_t i = 0; i < COX_LEN(rows); i++) {
		(void)cluster_of(&f, (struct cox_oracle_request){
		                         .dst_port = 80, .is_http = true, .authority = COX_STR("h"), .path = cox_str_of(rows[i].path) });
		if (!cox_str_eq_cstr(f.walk.path, rows[i].want))
			fail_msg("%s: %.*s", rows[i].path, COX_FMT(f.walk.path));
	}
	(void)cluster_of(
	    &f, (struct cox_oracle_request){ .dst_port = 80, .is_http = true, .authority = COX_STR("h"), .path = COX_STR("/a#b") });
	assert_int_equal(f.walk.outcome, COX_ORACLE_BAD_REQUEST);
	fixture_fini(&f);
}

static const char HEALTH[] =
    "{\"CDS\": {\"c\": {\"name\": \"c\", \"type\": \"EDS\", \"common_lb_config\": {\"healthy_panic_threshold\": {}},"
    " \"transport_socket_matches\": [{\"name\": \"mtls\", \"match\": {\"tlsMode\": \"istio\"}, \"transport_socket\": {\"name\": \"tls\"}},"
    " {\"name\": \"plain\", \"match\": {}}]}, \"panics\": {\"name\": \"panics\", \"type\": \"EDS\", \"eds_cluster_config\": {\"service_name\": \"sick\"}}},"
    " \"EDS\": {\"c\": {\"cluster_name\": \"c\", \"endpoints\": ["
    "{\"lb_endpoints\": [{\"health_status\": \"UNHEALTHY\", \"endpoint\": {\"address\": {\"socket_address\": {\"address\": \"10.0.0.1\", \"port_value\": 1}}}}]},"
    "{\"priority\": 1, \"locality\": {\"region\": \"r\", \"zone\": \"z\"}, \"lb_endpoints\": [{\"endpoint\": {\"address\": {\"socket_address\":"
    " {\"address\": \"10.0.0.2\", \"port_value\": 1}}}, \"metadata\": {\"filter_metadata\": {\"envoy.transport_socket_match\": {\"tlsMode\": \"istio\"}}}}]}]},"
    " \"sick\": {\"cluster_name\": \"sick\", \"endpoints\": [{\"lb_endpoints\": [{\"health_status\": \"UNHEALTHY\","
    " \"endpoint\": {\"address\": {\"socket_address\": {\"address\": \"10.0.0.3\", \"port_value\": 1}}}}]}]}}}";

static void endpoints(void **state)
{
	struct fixture f = { 0 };
	size_t n;
	(void)state;
	fixture_load(&f, HEALTH);
	const struct cox_oracle_endpoint *e =
	    cox_oracle_endpoints(&f.oracle, cox_oracle_cluster_find(&f.oracle, COX_STR("c")), &f.arena, &n);
	assert_int_equal(n, 2);
	assert_false(e[0].is_usable);
	assert_true(e[1].is_usable); /* the next priority, as the first has nobody */
	assert_true(cox_str_eq_cstr(e[1].address, "10.0.0.2:1"));
	assert_true(cox_str_eq_cstr(e[1].locality, "r/z"));
	assert_true(cox_str_eq_cstr(e[0].transport, "plain"));
	assert_true(cox_str_eq_cstr(e[1].transport, "mtls"));
	/* Without a threshold of 0 Envoy panics and uses the sick ones. */
	assert_true(cox_oracle_cluster_has_upstream(&f.oracle, cox_oracle_cluster_find(&f.oracle, COX_STR("panics"))));
	fixture_fini(&f);
}

#define RBAC(rules)                                                             \
	", \"http_filters\": [{\"name\": \"a\", \"typed_config\": {\"@type\": " \
	"\"type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC\", \"rules\": {" rules "}}}]"
#define POLICY(who) "\"policies\": {\"p\": {\"permissions\": [{\"any\": true}], \"principals\": [" who "]}}"
#define FROM_TEN "{\"direct_remote_ip\": {\"address_prefix\": \"10.0.0.0\", \"prefix_len\": 8}}"

static void access_control(void **state)
{
	static const struct {
		const char *config, *from;
		enum cox_oracle_outcome want; /* NO_CLUSTER: it got through */
		bool is_unsure;
	} rows[] = {
		{ HCM(RBAC(POLICY(FROM_TEN))) "{\"match\": {\"prefix\": \"/\"}" TO("x") END, "10.1.1.1", COX_ORACLE_NO_CLUSTER, false },
		{ HCM(RBAC(POLICY(FROM_TEN))) "{\"match\": {\"prefix\": \"/\"}" TO("x") END, "11.1.1.1", COX_ORACLE_DENIED, false },
		{ HCM(RBAC("\"action\": \"DENY\", " POLICY(FROM_TEN))) "{\"match\": {\"prefix\": \"/\"}" TO("x") END, "10.1.1.1",
		  COX_ORACLE_DENIED, false },
		{ HCM(RBAC("\"action\": \"DENY\", " POLICY("{\"not_id\": " FROM_TEN "}"))) "{\"match\": {\"prefix\": \"/\"}" TO("x") END,
		  "10.1.1.1", COX_ORACLE_NO_CLUSTER, false },
		{ HCM(RBAC("\"action\": \"LOG\", " POLICY(FROM_TEN))) "{\"match\": {\"prefix\": \"/\"}" TO("x") END, "11.1.1.1",
		  COX_ORACLE_NO_CLUSTER, false },
		/* A peer without a certificate is nobody; a condition on metadata is not decided here, and said so. */
		{ HCM(RBAC(POLICY("{\"authenticated\": {}}"))) "{\"match\": {\"prefix\": \"/\"}" TO("x") END, "10.1.1.1", COX_ORACLE_DENIED,
		  false },
		{ HCM(RBAC(POLICY("{\"metadata\": {}}"))) "{\"match\": {\"prefix\": \"/\"}" TO("x") END, "10.1.1.1", COX_ORACLE_NO_CLUSTER,
		  true },
	};
	(void)state;
	for (size_t i = 0; i < COX_LEN(rows); i++) {
		struct fixture f = { 0 };
		fixture_load(&f, rows[i].config);
		(void)cluster_of(&f, (struct cox_oracle_request){ .dst_port = 80,
		                                                  .is_http = true,
		                                                  .src_ip = cox_str_of(rows[i].from),
		                                                  .peer = COX_STR("spiffe://x"),
		                                                  .authority = COX_STR("h"),
		                                                  .path = COX_STR("/") });
		if (f.walk.outcome != rows[i].want || (f.walk.unknown.n > 0) != rows[i].is_unsure)
			fail_msg("row %zu: %s", i, cox_oracle_outcome_name(f.walk.outcome));
		if (rows[i].want == COX_ORACLE_DENIED)
			assert_int_equal(f.walk.status, 403);
		fixture_fini(&f);
	}
}

static void no_dump(void **state)
{
	struct fixture f = { 0 };
	struct cox_json *tree = NULL;
	struct cox_err err = { 0 };
	(void)state;
	assert_int_equal(cox_json_parse(&f.arena, COX_STR("{\"version\": 1}"), &tree, NULL), COX_OK);
	assert_int_equal(cox_oracle_add_dump(&f.oracle, tree, &err), COX_EINVAL);
	assert_true(err.text[0] != '\0');
	assert_int_equal(
	    cox_json_parse(&f.arena,
	                   COX_STR("{\"configs\": [{\"dynamic_listeners\": [{\"name\": \"l\"}, 1, {\"active_state\": {}}]}, null]}"), &tree,
	                   NULL),
	    COX_OK);
	assert_int_equal(cox_oracle_add_dump(&f.oracle, tree, &err), COX_OK);
	(void)cluster_of(&f, (struct cox_oracle_request){ .dst_port = 80 });
	assert_int_equal(f.walk.outcome, COX_ORACLE_NO_LISTENER);
	fixture_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(filter_chain_precedence),
		cmocka_unit_test(capture_and_wildcards),
		cmocka_unit_test(matchers),
		cmocka_unit_test(paths),
		cmocka_unit_test(endpoints),
		cmocka_unit_test(no_dump),
		cmocka_unit_test(access_control),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
