/* covers: a32 d69 */
#include "codec/fields.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct inner {
	struct cox_str key;
	struct cox_opt_i64 n;
	struct cox_str text;
};
struct all {
	struct cox_str str, raw;
	struct cox_opt_str opt_str, bytes, secret;
	bool flag;
	struct cox_opt_bool opt_bool;
	struct cox_opt_i64 i64, duration, time;
	struct cox_opt_f64 f64;
	int choice;
	struct cox_int_or_str ios;
	const struct inner *msg;
	COX_LIST(struct cox_kv) map;
	COX_LIST(struct inner) msg_map, msgs;
	COX_LIST(struct cox_kv_i64) i64_map;
	COX_LIST(struct cox_kv_opt) bytes_map;
	COX_LIST(struct cox_str) strs;
	COX_LIST(struct cox_opt_i64) ints;
	COX_LIST(int) choices;
	struct cox_str one, two, version;
};
static const char *const choices[] = { "UNSET", "A", "B", NULL };
static const struct cox_field inner_fields[] = {
	{ .name = "n", .type = COX_F_I64, .offset = offsetof(struct inner, n), .min = 1, .max = 10 },
	{ .name = "text", .type = COX_F_STR, .offset = offsetof(struct inner, text), .max_len = 8, .pattern = "dns1123" },
};
static const struct cox_message inner = {
	.name = "Inner", .size_bytes = sizeof(struct inner), .fields = inner_fields, .field_count = COX_LEN(inner_fields)
};
#define ROW(member, json, kind, ...)                                                                    \
	{                                                                                               \
		.name = json, .type = COX_F_##kind, .offset = offsetof(struct all, member), __VA_ARGS__ \
	}
static const struct cox_field all_fields[] = {
	ROW(str, "str", STR),
	ROW(raw, "raw", RAW),
	ROW(opt_str, "optStr", OPT_STR, .alias = "opt_str"),
	ROW(bytes, "bytes", BYTES),
	ROW(secret, "secret", OPT_STR, .flags = COX_F_SECRET),
	ROW(flag, "flag", BOOL),
	ROW(opt_bool, "optBool", OPT_BOOL),
	ROW(i64, "i64", I64),
	ROW(duration, "duration", DURATION, .min = 0, .max = 3600),
	ROW(time, "time", TIME),
	ROW(f64, "f64", F64, .min = 0, .max = 1),
	ROW(choice, "choice", ENUM, .enums = choices),
	ROW(ios, "ios", INT_OR_STR),
	ROW(msg, "msg", MSG, .sub = &inner),
	ROW(map, "map", STR_MAP, .max_items = 3),
	ROW(msg_map, "msgMap", MSG_MAP, .sub = &inner),
	ROW(msgs, "msgs", MSG, .flags = COX_F_LIST, .sub = &inner),
	ROW(i64_map, "i64Map", I64_MAP),
	ROW(bytes_map, "bytesMap", BYTES_MAP),
	ROW(strs, "strs", STR, .flags = COX_F_LIST, .max_items = 4),
	ROW(ints, "ints", I64, .flags = COX_F_LIST),
	ROW(choices, "choices", ENUM, .flags = COX_F_LIST, .enums = choices),
	ROW(one, "one", STR, .one_of = 1),
	ROW(two, "two", STR, .one_of = 1),
	ROW(version, "version", STR, .flags = COX_F_IGNORED_IN_EQ),
};
static const struct cox_message all = {
	.name = "All", .size_bytes = sizeof(struct all), .fields = all_fields, .field_count = COX_LEN(all_fields)
};

static struct cox_arena arena;
static struct cox_diags diags;

static int setup(void **state)
{
	(void)state;
	arena = (struct cox_arena){ 0 };
	return 0;
}
static int teardown(void **state)
{
	(void)state;
	cox_arena_fini(&arena);
	return 0;
}

static const struct all *decode(const char *text)
{
	struct cox_json *v = NULL;
	diags = (struct cox_diags){ .arena = &arena };
	assert_int_equal(cox_json_parse(&arena, cox_str_of(text), &v, NULL), COX_OK);
	return cox_message_decode(&all, v, "spec", &arena, &diags);
}

static const char full[] =
    "{\"bytes\":\"aGVsbG8=\",\"bytesMap\":{\"k\":\"AAEC\"},\"choice\":\"B\",\"choices\":[\"A\",\"UNSET\"],\"duration\":\"1.500s\",\"f64\":0.25,\"flag\":true,\"i64\":-5,"
    "\"i64Map\":{\"a\":1,\"b\":2},\"ints\":[1,2],\"ios\":\"http\",\"map\":{\"x\":\"1\",\"y\":\"\"},\"msg\":{\"n\":3,\"text\":\"abc\"},\"msgMap\":{\"k1\":{\"n\":1},\"k2\":{}},"
    "\"msgs\":[{\"n\":1},{\"text\":\"t\"}],\"one\":\"o\",\"optBool\":false,\"optStr\":\"\",\"raw\":{\"a\":[1,{\"b\":null}]},\"str\":\"s\",\"strs\":[\"a\",\"\"],"
    "\"time\":\"2026-08-01T10:00:00.000Z\"}";

static void assert_json(const void *value, const char *want)
{
	struct cox_buf b = { 0 };
	cox_json_write(&b, cox_message_to_json(&all, value, &arena), 0, true);
	assert_string_equal(cox_buf_cstr(&b), want);
	cox_buf_fini(&b);
}

static void test_round_trip_and_copy(void **state)
{
	(void)state;
	const struct all *v = decode(full);
	assert_non_null(v);
	assert_int_equal(diags.n, 0);
	assert_json(v, full);
	size_t bytes = cox_message_copy_bytes(&all, v);
	/* The exact size: address sanitizer sees a byte too much. */
	void *block = cox_alloc(bytes);
	const struct all *copy = cox_message_copy(&all, v, block, bytes);
	assert_true(cox_message_eq(&all, v, copy));
	struct cox_hash h = cox_message_hash(&all, v);
	cox_arena_fini(&arena);
	assert_true(cox_hash_eq(h, cox_message_hash(&all, copy)));
	assert_json(copy, full);
	cox_free(block);
}

static void test_every_difference_counts(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"{}",
		"{\"str\":\"a\"}",
		"{\"str\":\"b\"}",
		"{\"raw\":1}",
		"{\"optStr\":\"\"}",
		"{\"optStr\":\"x\"}",
		"{\"flag\":true}",
		"{\"optBool\":false}",
		"{\"optBool\":true}",
		"{\"i64\":0}",
		"{\"i64\":1}",
		"{\"duration\":\"0s\"}",
		"{\"duration\":\"1s\"}",
		"{\"f64\":0}",
		"{\"f64\":1}",
		"{\"choice\":\"A\"}",
		"{\"ios\":1}",
		"{\"ios\":\"1\"}",
		"{\"msg\":{}}",
		"{\"msg\":{\"n\":1}}",
		"{\"map\":{\"a\":\"b\"}}",
		"{\"map\":{\"a\":\"c\"}}",
		"{\"map\":{\"ab\":\"\"}}",
		"{\"msgMap\":{\"a\":{}}}",
		"{\"msgMap\":{\"a\":{\"n\":1}}}",
		"{\"msgs\":[{}]}",
		"{\"msgs\":[{},{}]}",
		"{\"i64Map\":{\"a\":1}}",
		"{\"i64Map\":{\"a\":2}}",
		"{\"bytesMap\":{\"a\":\"AA==\"}}",
		"{\"strs\":[\"ab\"]}",
		"{\"strs\":[\"a\",\"b\"]}",
		"{\"ints\":[1]}",
		"{\"choices\":[\"A\"]}",
		"{\"one\":\"a\"}",
		"{\"two\":\"a\"}",
		"{\"time\":\"2026-08-01T10:00:00Z\"}",
	};
	for (size_t i = 0; i < COX_LEN(texts); i++)
		for (size_t k = 0; k < COX_LEN(texts); k++) {
			const struct all *a = decode(texts[i]), *b = decode(texts[k]);
			bool eq = cox_message_eq(&all, a, b), hash_eq = cox_hash_eq(cox_message_hash(&all, a), cox_message_hash(&all, b));
			if (eq != (i == k) || hash_eq != (i == k))
				fail_msg("%s and %s: eq %d, hash %d", texts[i], texts[k], eq, hash_eq);
		}
	const struct all *a = decode("{\"version\":\"1\"}"), *b = decode("{\"version\":\"2\"}");
	assert_true(cox_message_eq(&all, a, b) && cox_hash_eq(cox_message_hash(&all, a), cox_message_hash(&all, b)));
	assert_true(cox_message_eq(&all, decode("{\"map\":{\"a\":\"1\",\"b\":\"2\"}}"), decode("{\"map\":{\"b\":\"2\",\"a\":\"1\"}}")));
}

static void refuse(const char *text, const char *path, const char *why)
{
	assert_non_null(decode(text));
	assert_true(diags.errors > 0);
	if (!cox_str_eq_cstr(diags.items[0].path, path) || cox_str_search(diags.items[0].text, cox_str_of(why)) < 0)
		fail_msg("%s: got %.*s: %.*s", text, COX_FMT(diags.items[0].path), COX_FMT(diags.items[0].text));
}

static void test_refused(void **state)
{
	(void)state;
	refuse("{\"str\":1}", "spec.str", "must be text, not a number");
	refuse("{\"str\":\"a\\u0000\"}", "spec.str", "NUL");
	refuse("{\"flag\":\"true\"}", "spec.flag", "must be true or false, not text");
	refuse("{\"i64\":1.5}", "spec.i64", "must be an integer, is 1.5");
	refuse("{\"i64\":99999999999999999999}", "spec.i64", "must be an integer");
	refuse("{\"duration\":\"2h\"}", "spec.duration", "must be from 0s to 3600s");
	refuse("{\"duration\":\"-1s\"}", "spec.duration", "must be from 0s");
	refuse("{\"time\":\"today\"}", "spec.time", "must be a time");
	refuse("{\"f64\":2}", "spec.f64", "must be from 0 to 1, is 2");
	refuse("{\"f64\":1e999}", "spec.f64", "must be");
	refuse("{\"choice\":\"C\"}", "spec.choice", "\"C\": must be one of UNSET, A, B");
	refuse("{\"choice\":1}", "spec.choice", "must be one of UNSET, A, B");
	refuse("{\"bytes\":\"!\"}", "spec.bytes", "base64");
	refuse("{\"ios\":true}", "spec.ios", "must be an integer");
	refuse("{\"msg\":[]}", "spec.msg", "must be an object, not a list");
	refuse("{\"msg\":{\"n\":11}}", "spec.msg.n", "must be from 1 to 10, is 11");
	refuse("{\"msg\":{\"text\":\"123456789\"}}", "spec.msg.text", "at most 8 bytes");
	refuse("{\"msg\":{\"text\":\"A\"}}", "spec.msg.text", "must be a DNS label");
	refuse("{\"map\":{\"a\":1}}", "spec.map.a", "must be text");
	refuse("{\"map\":{\"a.b/c\":1}}", "spec.map[\"a.b/c\"]", "must be text");
	refuse("{\"map\":{\"a\":\"\",\"b\":\"\",\"c\":\"\",\"d\":\"\"}}", "spec.map", "at most 3 items");
	refuse("{\"msgMap\":{\"k\":{\"n\":0}}}", "spec.msgMap.k.n", "must be from 1");
	refuse("{\"msgs\":[{},{\"n\":0}]}", "spec.msgs[1].n", "must be from 1");
	refuse("{\"msgs\":[null]}", "spec.msgs[0]", "must not be null");
	refuse("{\"strs\":\"a\"}", "spec.strs", "must be a list, not text");
	refuse("{\"strs\":[\"\",\"\",\"\",\"\",\"\"]}", "spec.strs", "at most 4 items, has 5");
	refuse("{\"one\":\"a\",\"two\":\"b\"}", "spec", "only one of one, two may be set");
	refuse("{\"optStr\":\"a\",\"opt_str\":\"b\"}", "spec.optStr", "two spellings");
	/* All faults, not only the first; the sound fields are set. */
	const struct all *v = decode("{\"str\":\"ok\",\"i64\":\"x\",\"flag\":3,\n\"nope\":1}");
	assert_int_equal(diags.errors, 2);
	assert_int_equal(diags.n, 3);
	assert_int_equal(diags.items[2].severity, COX_SEV_WARNING);
	assert_int_equal(diags.items[2].line, 2);
	assert_true(cox_str_eq_cstr(v->str, "ok"));
	assert_null(decode("[]"));
	assert_int_equal(decode("{\"str\":null,\"opt_str\":\"x\"}")->opt_str.v.n, 1);
}

static void test_secrets_do_not_show(void **state)
{
	(void)state;
	assert_json(decode("{\"secret\":\"hidden\"}"), "{\"secret\":\"<redacted>\"}");
}

static void test_durations(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t ns;
		const char *back;
	} good[] = {
		{ "0", 0, "0s" },
		{ "0s", 0, "0s" },
		{ "1.5s", 1500000000, "1.500s" },
		{ "250ms", 250000000, "0.250s" },
		{ "1h2m", 3720000000000, "3720s" },
		{ "-1.000001s", -1000001000, "-1.000001s" },
		{ "1ns", 1, "0.000000001s" },
		{ "100us", 100000, "0.000100s" },
		{ "+3m", 180000000000, "180s" },
		{ ".5h", 1800000000000, "1800s" },
		{ "2\xc2\xb5s", 2000, "0.000002s" },
		{ "9223372036.854775807s", INT64_MAX, "9223372036.854775807s" },
	};
	static const char *const bad[] = { "", "s", "1", "1.5", "1x", "1s2", "1 s", "--1s", "1..5s", ".s", "s1", "1S" };
	int64_t ns = 0;
	for (size_t i = 0; i < COX_LEN(good); i++) {
		char text[32];
		assert_int_equal(cox_duration_parse(cox_str_of(good[i].text), &ns), COX_OK);
		assert_true(ns == good[i].ns);
		cox_duration_format(ns, text);
		assert_string_equal(text, good[i].back);
	}
	for (size_t i = 0; i < COX_LEN(bad); i++)
		assert_int_equal(cox_duration_parse(cox_str_of(bad[i]), &ns), COX_EINVAL);
	assert_int_equal(cox_duration_parse(COX_STR("2562048h"), &ns), COX_ELIMIT);
	assert_int_equal(cox_duration_parse(COX_STR("99999999999999999999999999s"), &ns), COX_ELIMIT);
}

static void test_formats(void **state)
{
	(void)state;
	static const struct {
		const char *format, *good[6], *bad[8];
	} cases[] = {
		{ "dns1123", { "a", "a-1", "1a" }, { "", "-a", "a-", "A", "a.b", "a_b" } },
		{ "subdomain", { "a", "a.b-c.d" }, { "", "a..b", ".a", "a.", "A.b" } },
		{ "host", { "a", "a.b.com", "A.com", "a.com.", "x-1.y" }, { "", "*", "a..b", "1.2.3.4", "a_b", ".", "a.com..", "*.a" } },
		{ "hostWildcard", { "*", "*.a.com", "*-x.com", "a.com" }, { "", "a.*", "*.*.com", "**", "1.1.1.1" } },
		{ "hostWildcardOrIp", { "1.2.3.4", "::1", "10.0.0.0/8", "*" }, { "1.2.3", "1.2.3.4/33", "::/129" } },
		{ "destinationHost", { "a", "*.a.com", "1.2.3.4" }, { "*", "" } },
		{ "egressHost",
		  { "*/*", "./a.com", "~/*", "~ns/*", "~./a.com", "ns/*.com" },
		  { "a.com", "/a", "ns/", "a/b/c", "N/a", "~~/a", "~N/a" } },
		{ "serverHost", { "*", "a.com", "ns/*", "./a.com", "*/a.com" }, { "", "~/a", "ns/", "a b" } },
		{ "gatewayName", { "mesh", "gw", "ns/gw", "./gw", "gw.ns.svc.cluster.local" }, { "", "a/b/c", "/gw", "*" } },
		{ "exportTo", { ".", "*", "~", "ns" }, { "", "A", "a.b" } },
		{ "defaultEndpoint",
		  { "127.0.0.1:80", "[::1]:80", "0.0.0.0:1", "unix:///x" },
		  { "80", "127.0.0.1", "127.0.0.1:0", "10.0.0.1:80", "unix://x" } },
		{ "label", { "", "a", "A_b.c-1" }, { "-a", "a-", "a b", "a/b" } },
		{ "labelKey", { "a", "x.io/a", "A_b" }, { "", "/a", "X.io/a", "a/", "a/b/c" } },
		{ "header", { "x-a", ":path", "X_y" }, { "", ":", "a b", "a:b", "\xc3\xa9" } },
		{ "regex",
		  { "", "a.*", "[]a]", "(a|b)+?", "\\d{2}", "(?i)x" },
		  { "(", ")", "[a", "a\\", "*a", "(?=a)", "(?<!a)b", "(a)\\1" } },
	};
	for (size_t i = 0; i < COX_LEN(cases); i++) {
		for (size_t k = 0; k < COX_LEN(cases[i].good) && cases[i].good[k]; k++)
			if (cox_format_check(cases[i].format, cox_str_of(cases[i].good[k])))
				fail_msg("%s refuses \"%s\"", cases[i].format, cases[i].good[k]);
		for (size_t k = 0; k < COX_LEN(cases[i].bad) && cases[i].bad[k]; k++)
			if (!cox_format_check(cases[i].format, cox_str_of(cases[i].bad[k])))
				fail_msg("%s accepts \"%s\"", cases[i].format, cases[i].bad[k]);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_round_trip_and_copy),
		TEST(test_every_difference_counts),
		TEST(test_refused),
		TEST(test_secrets_do_not_show),
		TEST(test_durations),
		TEST(test_formats),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
