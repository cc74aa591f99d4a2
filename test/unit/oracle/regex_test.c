/* Regular expressions as RE2 reads them: whole matches, replacing, and what is refused. covers: f30 a6 */
#include "oracle/regex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static bool matches(const char *re, const char *text)
{
	struct cox_arena a = { 0 };
	struct cox_regex *r = NULL;
	struct cox_err err = { 0 };
	assert_int_equal(cox_regex_build(&a, cox_str_of(re), &r, &err), COX_OK);
	bool is = cox_regex_matches_all(r, cox_str_of(text), &a);
	cox_arena_fini(&a);
	return is;
}

static void whole_matches(void **state)
{
	static const struct {
		const char *re, *text;
		bool is;
	} rows[] = {
		{ "", "", true },
		{ "", "a", false },
		{ "/c/[0-9]+", "/c/12", true },
		{ "/c/[0-9]+", "/c/12/", false },
		{ "/c/[0-9]+", "x/c/12", false },
		{ ".*", "", true },
		{ ".*", "a\nb", false },
		{ "(?s).*", "a\nb", true },
		{ "a|b", "b", true },
		{ "a|ab", "ab", true },
		{ "(a|ab)(c|bcd)", "abcd", true },
		{ "x{2,3}", "x", false },
		{ "x{2,3}", "xxx", true },
		{ "x{2,3}", "xxxx", false },
		{ "x{2,}", "xxxxx", true },
		{ "x{2}y", "xxy", true },
		{ "x{,2}", "x{,2}", true }, /* no count: text */
		{ "(?i)AbC", "aBc", true },
		{ "a(?i:b)c", "aBc", true },
		{ "a(?i:b)c", "aBC", false },
		{ "\\d{3}-\\w+", "123-a_9", true },
		{ "\\D\\S\\W", "ab-", true },
		{ "[^/]*", "abc", true },
		{ "[^/]*", "a/c", false },
		{ "[]a-]+", "]-a", true },
		{ "[[:alpha:][:digit:]]+", "ab1", true },
		{ "[[:^digit:]]", "1", false },
		{ "\\Qa.b\\E.", "a.bx", true },
		{ "\\Qa.b\\E.", "axbx", false },
		{ "\\bfoo\\b.*", "foo bar", true },
		{ "\\bfoo\\b.*", "food", false },
		{ "^/x$", "/x", true },
		{ "(?P<n>a+)(?:b)?", "aab", true },
		{ "\xC3\xA4.", "\xC3\xA4\xC3\xB6", true }, /* a rune is one character */
		{ ".", "\xC3\xA4", true },
		{ ".", "\xFF", false },
		{ "\\x41\\x{e4}", "A\xC3\xA4", true },
		{ "(a*)*", "aaaa", true },
		{ "(a*)*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false }, /* linear: at once */
		{ "(x+x+)+y", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", false },
		{ "()+?", "", true },
		{ "a??b", "ab", true },
	};
	(void)state;
	for (size_t i = 0; i < COX_LEN(rows); i++)
		if (matches(rows[i].re, rows[i].text) != rows[i].is)
			fail_msg("\"%s\" on \"%s\" should be %d", rows[i].re, rows[i].text, rows[i].is);
}

static void replacing(void **state)
{
	static const struct {
		const char *re, *text, *with, *want;
	} rows[] = {
		{ "^/service/([^/]+)(/.*)$", "/service/foo/v1/api", "\\2/instance/\\1", "/v1/api/instance/foo" },
		{ "one", "/xxx/one/yyy/one/zzz", "two", "/xxx/two/yyy/two/zzz" },
		{ "^(.*?)one(.*)$", "/xxx/one/yyy/one/zzz", "\\1two\\2", "/xxx/two/yyy/one/zzz" },
		{ "(?i)/aaa/", "/xxx/aAa/yyy", "/bbb/", "/xxx/bbb/yyy" },
		{ "a*", "baac", "x", "xbxcx" },
		{ "x", "abc", "y", "abc" },
		{ "b+", "abbbc", "[\\0]", "a[bbb]c" },
		{ "(a)|(b)", "ab", "<\\1\\2>", "<a><b>" },
	};
	(void)state;
	for (size_t i = 0; i < COX_LEN(rows); i++) {
		struct cox_arena a = { 0 };
		struct cox_regex *r = NULL;
		assert_int_equal(cox_regex_build(&a, cox_str_of(rows[i].re), &r, NULL), COX_OK);
		struct cox_str got = cox_regex_replace_all(r, cox_str_of(rows[i].text), cox_str_of(rows[i].with), &a);
		if (!cox_str_eq_cstr(got, rows[i].want))
			fail_msg("\"%s\" in \"%s\": \"%.*s\"", rows[i].re, rows[i].text, COX_FMT(got));
		cox_arena_fini(&a);
	}
}

static void refused(void **state)
{
	static const char *const bad[] = {
		"(",  ")",       "[a",   "a**", "*a",   "a{1001}", "a{3,2}",      "\\8",   "[z-a]",          "(?z)",
		"\\", "(?P<>a)", "\\pL", "[\\", "\xFF", "(?i",     "\\x{110000}", "(?=a)", "(x{1000}){1000}"
	};
	(void)state;
	for (size_t i = 0; i < COX_LEN(bad); i++) {
		struct cox_arena a = { 0 };
		struct cox_regex *r = NULL;
		struct cox_err err = { 0 };
		if (cox_regex_build(&a, cox_str_of(bad[i]), &r, &err) == COX_OK)
			fail_msg("\"%s\" is taken", bad[i]);
		assert_null(r);
		assert_true(err.text[0] != '\0');
		cox_arena_fini(&a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_matches),
		cmocka_unit_test(replacing),
		cmocka_unit_test(refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
