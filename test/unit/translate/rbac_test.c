/* covers: a265 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "envoy/transcode.h"
#include "translate/rbac.h"

#define LIST_OF(list, array) (list).p = (array), (list).n = COX_LEN(array)

static struct cox_string_match text(const char *s, bool is_regex)
{
	struct cox_opt_str v = { cox_str_of(s), true };
	return is_regex ? (struct cox_string_match){ .regex = v } : (struct cox_string_match){ .exact = v };
}

static void assert_filter(const struct cox_rbac *r, const char *rules)
{
	struct cox_arena a = { 0 };
	struct cox_buf wire = { 0 }, have = { 0 };
	struct cox_json *v = NULL, *want = NULL;
	struct cox_err err = { 0 };
	cox_rbac_http_encode(&wire, r);
	assert_int_equal(
	    cox_envoy_any_to_json(COX_STR("type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter"),
	                          cox_buf_str(&wire), 0, &a, &v, &err),
	    COX_OK);
	assert_true(cox_str_eq_cstr(cox_json_str_at(v, "name"), "envoy.filters.http.rbac"));
	assert_int_equal(cox_json_parse(&a, cox_str_of(rules), &want, &err), COX_OK);
	const struct cox_json *is = cox_json_at(v, "typed_config.rules");
	cox_json_write(&have, is ? is : v, 0, false);
	if (!is || !cox_json_eq(is, want))
		fail_msg("%s\nis not\n%s", cox_buf_cstr(&have), rules);
	cox_buf_fini(&wire);
	cox_buf_fini(&have);
	cox_arena_fini(&a);
}

/* An allow list with nothing in it allows nothing; a policy without anybody or anything is left out, as Envoy would refuse it. */
static void nothing_is_allowed(void **state)
{
	(void)state;
	struct cox_rbac_policy empty = { .name = COX_STR("p") };
	struct cox_rbac r = { .policies = { &empty, 1 } };
	assert_filter(&r, "{}");
}

static void all_terms(void **state)
{
	(void)state;
	const struct cox_string_match peers[] = { text("spiffe://a", false), text("spiffe://b", false) },
	                              bad[] = { text("spiffe://c", false) };
	const struct cox_string_match methods[] = { text("GET", false) }, path[] = { text("/x.*", true) }, header[] = { text("v", false) };
	const uint16_t ports[] = { 80, 81 };
	struct cox_rbac_term who_terms[] = { { .field = COX_RBAC_PEER }, { .field = COX_RBAC_PEER, .is_not = true } };
	struct cox_rbac_term what_terms[] = { { .field = COX_RBAC_METHOD },
		                              { .field = COX_RBAC_PATH },
		                              { .field = COX_RBAC_HEADER, .header = COX_STR("h"), .is_not = true },
		                              { .field = COX_RBAC_PORT } };
	LIST_OF(who_terms[0].values, peers);
	LIST_OF(who_terms[1].values, bad);
	LIST_OF(what_terms[0].values, methods);
	LIST_OF(what_terms[1].values, path);
	LIST_OF(what_terms[2].values, header);
	LIST_OF(what_terms[3].ports, ports);
	struct cox_rbac_all who = { 0 }, what[2] = { { { 0 } } };
	LIST_OF(who.terms, who_terms);
	LIST_OF(what[0].terms, what_terms);
	struct cox_rbac_policy p = { .name = COX_STR("p"), .who = { &who, 1 }, .what = { what, 2 } };
	struct cox_rbac r = { .is_deny = true, .policies = { &p, 1 } };
	assert_filter(&r, "{\"action\":\"DENY\",\"policies\":{\"p\":{\"permissions\":[{\"and_rules\":{\"rules\":["
	                  "{\"header\":{\"name\":\":method\",\"string_match\":{\"exact\":\"GET\"}}},"
	                  "{\"url_path\":{\"path\":{\"safe_regex\":{\"regex\":\"/x.*\"}}}},"
	                  "{\"not_rule\":{\"header\":{\"name\":\"h\",\"string_match\":{\"exact\":\"v\"}}}},"
	                  "{\"or_rules\":{\"rules\":[{\"destination_port\":80},{\"destination_port\":81}]}}]}},{\"any\":true}],"
	                  "\"principals\":[{\"and_ids\":{\"ids\":["
	                  "{\"or_ids\":{\"ids\":[{\"authenticated\":{\"principal_name\":{\"exact\":\"spiffe://a\"}}},"
	                  "{\"authenticated\":{\"principal_name\":{\"exact\":\"spiffe://b\"}}}]}},"
	                  "{\"not_id\":{\"authenticated\":{\"principal_name\":{\"exact\":\"spiffe://c\"}}}}]}}]}}}");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(nothing_is_allowed), cmocka_unit_test(all_terms) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
