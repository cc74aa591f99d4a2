/* covers: d69
 * Ours and jansson accept and refuse the same texts: fixed ones, and seeded mutations of good ones.
 * Differences on purpose are left out of the inputs: jansson bounds numbers (64 bits, finite doubles), ours keeps them as text. */
#include "codec/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

static const char *const seeds[] = {
	"{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"labels\":{\"a\":\"b\",\"c\":\"\"}},\"spec\":{\"n\":[1,-2,3.5e2,true,false,null]}}",
	"[\"\\u0041\\ud83d\\ude00\\n\\t\\\"\\\\\\/\",\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\",\"plain text that is longer than sixteen bytes\",[],{},[[[]]],0,-0,1E5,0.25]",
	" {\"a\" : [ 1 ,\t2 ,\r\n3 ] , \"b\":{\"c\":{\"d\":{}}},\"A\":\"\\u00ff\\b\\f\"} ",
	"\"x\"",
	"12",
	"true",
	"null",
	"[]",
	"{}",
};
static const char alphabet[] = "{}[]\":,0123456789.-+eE \t\n\\utrfalsenx\x80\xc3\xa9\xed\xa0\xff\x01/";

static bool ours(const char *p, size_t n)
{
	struct cox_arena arena = { 0 };
	struct cox_json *v = NULL;
	bool ok = cox_json_parse(&arena, cox_str_make(p, n), &v, NULL) == COX_OK;
	cox_arena_fini(&arena);
	return ok;
}

/* 1 yes, 0 no, -1: a number out of its range, of which nothing follows. */
static int theirs(const char *p, size_t n)
{
	json_error_t e;
	json_t *v = json_loadb(p, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
	if (v) {
		json_decref(v);
		return 1;
	}
	return json_error_code(&e) == json_error_numeric_overflow ? -1 : 0;
}

static void compare(const char *p, size_t n)
{
	int want = theirs(p, n);
	if (want >= 0 && ours(p, n) != (want == 1))
		fail_msg("ours %s, jansson %s: %.*s", want ? "refuses" : "accepts", want ? "accepts" : "refuses", (int)n, p);
}

static uint32_t state_ = 12345;
static uint32_t next(uint32_t bound)
{
	state_ = state_ * 1664525 + 1013904223;
	return (state_ >> 8) % bound;
}

static void test_seeds(void **state)
{
	(void)state;
	for (size_t i = 0; i < COX_LEN(seeds); i++) {
		assert_int_equal(theirs(seeds[i], strlen(seeds[i])), 1);
		for (size_t n = 0; n <= strlen(seeds[i]); n++)
			compare(seeds[i], n);
	}
}

static void test_mutations(void **state)
{
	(void)state;
	unsigned accepted = 0;
	for (int round = 0; round < 200000; round++) {
		char text[256];
		const char *seed = seeds[next(COX_LEN(seeds))];
		size_t n = strlen(seed);
		memcpy(text, seed, n);
		for (uint32_t k = next(3) + 1; k; k--) {
			size_t at = next((uint32_t)n);
			switch (next(3)) {
			case 0: text[at] = alphabet[next(sizeof(alphabet) - 1)]; break;
			case 1:
				if (n > 1)
					memmove(text + at, text + at + 1, --n - at);
				break;
			default: memmove(text + at + 1, text + at, n++ - at); text[at] = alphabet[next(sizeof(alphabet) - 1)];
			}
		}
		compare(text, n);
		accepted += ours(text, n);
	}
	assert_true(accepted > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_seeds), cmocka_unit_test(test_mutations) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
