/* Why a proxy was pushed to, as text. covers: f31 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tool/explain_push.h"

static const char answer[] =
    "{\"proxy\":\"web-0.shop\",\"pushes\":["
    "{\"type\":\"CDS\",\"time\":\"T1\",\"reason\":\"the proxy asked\",\"causes\":[],\"resources\":9,\"removed\":0,\"bytes\":100,\"state\":\"SENT\"},"
    "{\"type\":\"RDS\",\"time\":\"T2\",\"reason\":\"change\",\"causes\":[7],\"resources\":1,\"removed\":2,\"bytes\":50,\"eventToSentUs\":1500,"
    "\"sentToAckUs\":20,\"state\":\"ACKED\"},"
    "{\"type\":\"EDS\",\"time\":\"T3\",\"reason\":\"change\",\"causes\":[7,8],\"resources\":1,\"removed\":0,\"bytes\":5,\"eventToSentUs\":2500000,"
    "\"state\":\"REJECTED\"}],\"causes\":["
    "{\"id\":7,\"kind\":\"configuration\",\"time\":\"T0\",\"changes\":5,\"changed\":[\"VirtualService/shop/reviews\",\"-Service/shop/old\"],"
    "\"waitedUs\":100,\"tookUs\":2300,\"views\":4,\"viewsChanged\":2,\"proxies\":10},"
    "{\"id\":8,\"kind\":\"configuration\",\"time\":\"T0\",\"changes\":0,\"changed\":[]}]}";

static void test_text(void **state)
{
	struct cox_arena arena = { 0 };
	struct cox_err err = { 0 };
	struct cox_json *v;
	struct cox_buf out = { 0 };
	(void)state;
	assert_int_equal(cox_json_parse(&arena, cox_str_of(answer), &v, &err), COX_OK);
	cox_explain_push_write(v, &out);
	const char *text = cox_buf_cstr(&out);
	const char *const parts[] = {
		"web-0.shop, the last 3 responses:\n",
		"CDS    the proxy asked   9      0         100     -               -             SENT",
		"change #7 ",
		"1.5ms",
		"20us",
		"change #7 to #8",
		"2.5s",
		"#7 configuration, T0: waited 0.1 ms, took 2.3 ms; 2 of 4 views changed, for 10 proxies\n    VirtualService/shop/reviews\n"
		"    Service/shop/old (removed)\n    and 3 more\n",
		"nothing changed",
	};
	for (size_t i = 0; i < COX_LEN(parts); i++)
		assert_non_null(strstr(text, parts[i]));
	cox_buf_clear(&out);
	cox_explain_push_write(cox_json_new_object(&arena), &out); /* of another server: nothing, and no fault */
	assert_int_equal(out.n, 0);
	cox_buf_fini(&out);
	cox_arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_text) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
