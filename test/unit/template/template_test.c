/* covers: d3
 * The template language: parsing, evaluation, limits. Expected texts are those of Go's text/template with sprig. */
#include "template/template.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char data[] =
    "{\"name\":\"web\",\"n\":3,\"big\":1000000,\"pi\":3.5,\"yes\":true,\"no\":false,\"nothing\":null,\"empty\":\"\","
    "\"list\":[\"a\",\"b\",\"c\"],\"map\":{\"z\":1,\"y\":{\"x\":\"deep\"}},\"html\":\"<a&'b'>\",\"yaml\":\"k: [1, two]\\n\"}";

/* The text, or "!line: message". */
static const char *run(enum cox_template_dialect dialect, const char *text)
{
	static char out[4096];
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	struct cox_buf buf = { 0 };
	struct cox_err err = { 0 };
	struct cox_json *tree = NULL;
	assert_int_equal(cox_json_parse(&arena, cox_str_of(data), &tree, NULL), COX_OK);
	struct cox_template_value dot = cox_template_of_json(&arena, tree);
	struct cox_template_set *set = cox_template_set_new(dialect, NULL, 0);
	enum cox_rc rc = cox_template_set_add(set, COX_STR("t"), cox_str_of(text), &err);
	if (rc == COX_OK)
		rc = cox_template_run(&(struct cox_template_run_spec){ .set = set, .name = COX_STR("t"), .dot = &dot }, &arena, &buf, &err);
	if (rc == COX_OK)
		snprintf(out, sizeof(out), "%.*s", COX_FMT(cox_buf_str(&buf)));
	else
		snprintf(out, sizeof(out), "!%s:%d: %s", err.path, err.line, err.text);
	cox_buf_fini(&buf);
	cox_template_set_free(&set);
	return out;
}

struct row {
	const char *text, *want;
};

static void check(enum cox_template_dialect dialect, const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *got = run(dialect, rows[i].text);
		/* "!..." wants a failure that holds the words behind the sign. */
		if (rows[i].want[0] == '!' ? got[0] != '!' || !strstr(got, rows[i].want + 1) : strcmp(got, rows[i].want) != 0)
			fail_msg("%s\n  gave %s\n  want %s", rows[i].text, got, rows[i].want);
	}
}

static void test_language(void **state)
{
	static const struct row rows[] = {
		{ "plain", "plain" },
		{ "", "" },
		{ "a{{/* comment */}}b", "ab" },
		{ "a {{- /* comment */ -}} b", "ab" },
		{ "a {{- .name -}} b", "awebb" },
		{ "a {{ .name }} b", "a web b" },
		{ "{{.n}} {{.big}} {{.pi}} {{.yes}} {{.missing}} {{.nothing}} {{.list}} {{.map}}",
		  "3 1e+06 3.5 true <no value> <no value> [a b c] map[y:map[x:deep] z:1]" },
		{ "{{ .map.y.x }}|{{ .missing.a.b }}|{{ (.missing).a }}", "deep|<no value>|<no value>" },
		{ "{{ .nothing.a }}", "!nil pointer evaluating" },
		{ "{{ .name.a }}", "!can't evaluate field a in type string" },
		{ "{{if .yes}}1{{else}}2{{end}}{{if .no}}1{{else if .empty}}2{{else if .n}}3{{end}}", "13" },
		{ "{{with .map.y}}{{.x}}{{$.name}}{{else}}none{{end}}{{with .empty}}1{{else with .name}}{{.}}{{end}}", "deepwebweb" },
		{ "{{range .list}}{{.}},{{end}}{{range $i, $v := .list}}{{$i}}={{$v}};{{end}}", "a,b,c,0=a;1=b;2=c;" },
		{ "{{range $k, $v := .map}}{{$k}} {{end}}{{range .missing}}x{{else}}none{{end}}{{range 3}}{{.}}{{end}}", "y z none012" },
		{ "{{range .list}}{{if eq . \"b\"}}{{continue}}{{end}}{{.}}{{end}}{{range .list}}{{break}}{{end}}", "ac" },
		{ "{{$x := 1}}{{if true}}{{$x = 2}}{{$y := 3}}{{$y}}{{end}}{{$x}}", "32" },
		{ "{{define \"t1\"}}[{{.}}]{{end}}{{template \"t1\" .name}}{{template \"t1\"}}", "[web][<no value>]" },
		{ "{{block \"b\" .name}}<{{.}}>{{end}}", "<web>" },
		{ "{{ \"a\\tb\\u00e9\\x41\\101\" }}{{ `raw\\n` }}{{ 'a' }} {{ 0x10 }} {{ 1_000 }} {{ -3 }} {{ 1e3 }} {{ .5 }}",
		  "a\tb\xc3\xa9"
		  "AAraw\\n97 16 1000 "
		  "-3 1000 0.5" },
		{ "{{ print 1 2 \"a\" 3 nil true }}|{{ println \"x\" 1 }}", "1 2a3 <nil> true|x 1\n" },
		{ "{{ printf \"%5d|%-4s|%05d|%q|%v|%.2f|%t|%x|%%\" 3 \"a\" -7 \"q\" .list 1.255 true 255 }}",
		  "    3|a   |-0007|\"q\"|[a b c]|1.25|true|ff|%" },
		{ "{{ printf \"%d %s\" \"a\" }}{{ printf \"x\" 1 }}", "%!d(string=a) %!s(MISSING)x%!(EXTRA int=1)" },
		{ "{{ eq 1 1 }} {{ eq 1 2 3 1 }} {{ ne \"a\" \"b\" }} {{ lt 1 2 }} {{ ge 2.5 2.5 }} {{ gt \"b\" \"a\" }} {{ le 3 2 }}",
		  "true true true true true true false" },
		{ "{{ eq .n 3 }}", "!incompatible types for comparison: float64 and int" },
		{ "{{ and 1 0 2 }} {{ or 0 \"\" \"x\" .undefined.y }} {{ not .no }} {{ .yes | and true }}", "0 x true true" },
		{ "{{ or 1 (index .list 99) }}", "1" },
		{ "{{ index .list 1 }} {{ index .map \"y\" \"x\" }} {{ index .map \"none\" }} {{ len .list }} {{ slice .name 1 }} {{ slice .list 1 2 }}",
		  "b deep <no value> 3 eb [b]" },
		{ "{{ index .list 3 }}", "!index out of range: 3" },
		{ "{{ html .html }} {{ urlquery \"a b&c\" }}", "&lt;a&amp;&#39;b&#39;&gt; a+b%26c" },
		{ "{{ .name | printf \"%s-%s\" \"x\" }} {{ (index .list 0) | printf \"%q\" }}", "x-web \"a\"" },
		{ "{{ if (and (eq .name \"web\") (not .no)) }}y{{ end }}", "y" },
		{ "a{{\n  .name\n}}b", "awebb" },
	};
	(void)state;
	check(COX_TEMPLATE_GO, rows, COX_LEN(rows));
}

static void test_faults(void **state)
{
	static const struct row rows[] = {
		{ "line\n{{ .a | nope }}", "!t:2: function \"nope\" is not known here" },
		{ "{{ exec \"rm\" }}", "!function \"exec\"" },
		{ "{{ if }}x{{ end }}", "!missing value" },
		{ "{{ if .a }}x", "!unexpected end of the text" },
		{ "{{ end }}", "!unexpected {{end}}" },
		{ "{{ else }}", "!unexpected {{else}}" },
		{ "{{ if 1 }}{{ else }}{{ else }}{{ end }}", "!expected end" },
		{ "{{ range . }}{{ else if 1 }}{{ end }}", "!belong to their own kind" },
		{ "{{ .a", "!unclosed action" },
		{ "{{ \"a }}", "!unterminated quoted text" },
		{ "{{ `a }}", "!unterminated raw text" },
		{ "{{ /* a }}", "!unexpected" },
		{ "{{/* a }}", "!unclosed comment" },
		{ "{{/* a */ }}", "!a comment ends before" },
		{ "{{ $x }}", "!undefined variable \"$x\"" },
		{ "{{ $x = 1 }}", "!undefined variable \"$x\"" },
		{ "{{ if 1 }}{{ $x := 1 }}{{ end }}{{ $x }}", "!undefined variable" },
		{ "{{ break }}", "!outside {{range}}" },
		{ "{{ (.a }}", "!unclosed left parenthesis" },
		{ "{{ .a ) }}", "!in an action" },
		{ "{{ .a | }}", "!missing command" },
		{ "{{ .a | 3 }}", "!non executable command" },
		{ "{{ 3.x }}", "!" },
		{ "{{ 12ab }}", "!bad number" },
		{ "{{ .a-}}", "!" },
		{ "{{ nil }}", "!nil is not a command" },
		{ "{{ .name 1 }}", "!has arguments" },
		{ "{{ 1 2 }}", "!no function" },
		{ "{{ template \"x\" }}", "!template \"x\" not defined" },
		{ "{{ if 1 }}{{ define \"x\" }}{{ end }}{{ end }}", "!outside of all other actions" },
		{ "{{ len 3 }}", "!len of type int" },
		{ "{{ printf }}", "!wrong number of args for printf" },
		{ "{{ not 1 2 }}", "!wrong number of args for not" },
		{ "{{ \"\\q\" }}", "!an escape that is none" },
		{ "{{ range .name }}{{ end }}", "!range can't iterate over a value of type string" },
	};
	(void)state;
	check(COX_TEMPLATE_GO, rows, COX_LEN(rows));
}

static void test_sprig(void **state)
{
	static const struct row rows[] = {
		{ "{{ .missing | default \"d\" }} {{ .empty | default \"d\" }} {{ .name | default \"d\" }} {{ 0 | default 5 }}",
		  "d d web 5" },
		{ "{{ quote .name 3 nil }} {{ squote \"a\" }} {{ \"a\\\"b\\n\" | quote }}", "\"web\" \"3\" 'a' \"a\\\"b\\n\"" },
		{ "{{ trunc 2 .name }} {{ trunc -2 .name }} {{ trimAll \"-_.\" \"--a-b_\" }} {{ trimSuffix \"b\" \"web\" }} {{ trim \" a \" }}",
		  "we eb a-b we a" },
		{ "{{ indent 2 \"a\\nb\" }}|{{ nindent 1 \"a\" }}|{{ \"a b\" | replace \" \" \"-\" }}|{{ repeat 3 \"ab\" }}",
		  "  a\n  b|\n a|a-b|ababab" },
		{ "{{ list 1 2 | join \",\" }} {{ splitList \",\" \"a,b\" | join \"+\" }} {{ (split \".\" \"x.y\")._1 }} {{ cat 1 nil \"b\" }}",
		  "1,2 a+b y 1 b" },
		{ "{{ $d := dict \"a\" 1 }}{{ $_ := set $d \"b\" 2 }}{{ $d }} {{ hasKey $d \"b\" }} {{ $_ := unset $d \"a\" }}{{ $d }} {{ keys $d }}",
		  "map[a:1 b:2] true map[b:2] [b]" },
		{ "{{ pick .map \"z\" }} {{ omit .map \"z\" }} {{ dig \"y\" \"x\" \"no\" .map }} {{ dig \"y\" \"q\" \"no\" .map }}",
		  "map[z:1] map[y:map[x:deep]] deep no" },
		{ "{{ $a := dict \"k\" (dict \"x\" 1) \"v\" 1 }}{{ mergeOverwrite $a (dict \"k\" (dict \"y\" 2) \"v\" false) }}",
		  "map[k:map[x:1 y:2] v:false]" },
		{ "{{ merge (dict \"a\" 1 \"e\" \"\") (dict \"a\" 2 \"b\" 3 \"e\" \"full\") }}", "map[a:1 b:3 e:full]" },
		{ "{{ $a := dict \"x\" (dict \"y\" 1) }}{{ $b := deepCopy $a }}{{ $_ := set $b.x \"y\" 2 }}{{ $a }}{{ $b }}",
		  "map[x:map[y:1]]map[x:map[y:2]]" },
		{ "{{ ternary 1 2 true }} {{ coalesce nil \"\" 0 \"x\" }} {{ has \"b\" .list }} {{ append .list \"d\" }} {{ first .list }} {{ last .list }} "
		  "{{ rest .list }}",
		  "1 x true [a b c d] a c [b c]" },
		{ "{{ int .n }} {{ int \"12\" }} {{ add 1 2 .n }} {{ sub 5 2 }} {{ mul 2 3 }} {{ div 7 2 }} {{ mod 7 4 }} {{ max 1 5 2 }} {{ until 3 }}",
		  "3 12 6 3 6 3 3 5 [0 1 2]" },
		{ "{{ toJson .map }} {{ toJson .html }} {{ (fromJson \"{\\\"a\\\":[1]}\").a }} {{ toString .pi }} {{ kindOf .n }} {{ kindIs \"map\" .map }}",
		  "{\"y\":{\"x\":\"deep\"},\"z\":1} \"\\u003ca\\u0026'b'\\u003e\" [1] 3.5 float64 true" },
		{ "{{ regexMatch \"^([0-9]*\\\\.){3}[0-9]*$\" \"10.0.0.1\" }} {{ regexMatch \"^\\\\d+$\" \"12a\" }} {{ contains \"e\" .name }} "
		  "{{ hasPrefix \"w\" .name }} {{ upper \"a\" }} {{ lower \"A\" }} {{ title \"a b\" }}",
		  "true false true true A a A B" },
		{ "{{ b64enc \"hi\" }} {{ b64dec \"aGk=\" }} {{ list 1 \"\" 2 | compact }} {{ list 1 1 2 | uniq }} {{ without .list \"a\" }}",
		  "aGk= hi [1 2] [1 2] [b c]" },
		{ "{{ fail \"stop here\" }}", "!stop here" },
		{ "{{ trunc .n \"a\" }}", "!wrong type for value; expected int; got float64" },
		{ "{{ upper .missing }}", "!wrong type" },
		{ "{{ ternary 1 2 }}", "!wrong number of args" },
		{ "{{ div 1 0 }}", "!division by 0" },
		{ "{{ env \"HOME\" }}", "!function \"env\" is not known" },
		{ "{{ include \"x\" . }}", "!function \"include\" is not known" },
	};
	(void)state;
	check(COX_TEMPLATE_SPRIG, rows, COX_LEN(rows));
}

static void test_helm(void **state)
{
	static const struct row rows[] = {
		{ "{{ define \"l\" }}x: {{ .name }}\ny: 1{{ end }}{{ include \"l\" . | nindent 2 }}", "\n  x: web\n  y: 1" },
		{ "{{ .missing }}|{{ .nothing }}|{{ .missing.x }}", "!nil pointer evaluating interface {}.x" },
		{ "{{ .missing }}|{{ .nothing }}|", "||" },
		{ "{{ toYaml .map }}", "\"y\":\n  x: deep\nz: 1" },
		{ "{{ (fromYaml .yaml).k }} {{ (fromYaml \"a: [\").Error | empty }} {{ fromYamlArray \"[1]\" }}", "[1 two] false [1]" },
		{ "{{ tpl \"<{{ .name }}{{ define \\\"i\\\" }}!{{ end }}{{ include \\\"i\\\" . }}>\" . }}", "<web!>" },
		{ "{{ tpl \"{{ nope }}\" . }}", "!function \"nope\"" },
		{ "{{ required \"name it\" .name }} {{ lookup \"v1\" \"Pod\" \"\" \"\" }}", "web map[]" },
		{ "{{ required \"name it\" .missing }}", "!name it" },
		{ "{{ $_ := set $ \"name\" \"new\" }}{{ .name }}", "new" },
	};
	(void)state;
	check(COX_TEMPLATE_HELM, rows, COX_LEN(rows));
}

static void *limits(void *unused)
{
	(void)unused;
	static const struct row rows[] = {
		{ "{{ define \"r\" }}{{ template \"r\" . }}{{ end }}{{ template \"r\" . }}", "!nests too deep" },
		{ "{{ define \"r\" }}{{ include \"r\" . }}{{ end }}{{ include \"r\" . }}", "!nests too deep" },
		{ "{{ range 100000000 }}{{ end }}", "!too many steps" },
		{ "{{ range 2000 }}{{ range 2000 }}x{{ end }}{{ end }}", "!too many steps" },
		{ "{{ repeat 1000000000 \"xxxx\" }}", "!too long" },
		{ "{{ $x := \"xxxxxxxxxxxxxxxx\" }}{{ range 60 }}{{ $x = print $x $x }}{{ end }}", "!" },
		{ "{{ $d := dict }}{{ $_ := set $d \"self\" $d }}{{ toJson $d }}", "!nests too deep" },
		{ "{{ $d := dict }}{{ $_ := set $d \"self\" $d }}{{ $d }}", "!nests too deep" },
		{ "{{ $l := list 1 }}{{ range 60 }}{{ $l = list $l $l }}{{ end }}{{ toYaml $l }}", "!" },
		{ "{{ $l := list }}{{ range 100000 }}{{ $l = append $l 1 }}{{ end }}", "!too much memory" },
		{ "{{ range 20000 }}{{ repeat 1024 \"y\" }}{{ end }}", "!too long" },
		{ "{{ tpl \"{{ tpl .t . }}\" (dict \"t\" \"{{ tpl .t . }}\") }}", "!" },
		{ "{{ regexMatch \"(((a{99}){99}){99})\" \"a\" }}", "!" },
		{ "{{ until 2000000000 }}", "!until" },
		{ "{{ printf \"%100000000d\" 1 }}", "!width" },
	};
	check(COX_TEMPLATE_HELM, rows, COX_LEN(rows));
	struct cox_buf deep = { 0 };
	for (int i = 0; i < 1000; i++)
		cox_buf_append_cstr(&deep, "{{if 1}}");
	assert_non_null(strstr(run(COX_TEMPLATE_GO, cox_buf_cstr(&deep)), "nested deeper"));
	cox_buf_clear(&deep);
	cox_buf_append_cstr(&deep, "{{");
	for (int i = 0; i < 1000; i++)
		cox_buf_append_char(&deep, '(');
	assert_non_null(strstr(run(COX_TEMPLATE_GO, cox_buf_cstr(&deep)), "nested deeper"));
	cox_buf_fini(&deep);
	return NULL;
}

/* Each ends soon, with an error, on a stack as small as that of the HTTP server's threads. */
static void test_limits(void **state)
{
#ifdef __SANITIZE_ADDRESS__
	size_t stack = 2 << 20; /* frames have margins there */
#else
	size_t stack = 512 << 10;
#endif
	pthread_attr_t attr;
	pthread_t thread;
	(void)state;
	assert_int_equal(pthread_attr_init(&attr), 0);
	assert_int_equal(pthread_attr_setstacksize(&attr, stack), 0);
	assert_int_equal(pthread_create(&thread, &attr, limits, NULL), 0);
	pthread_join(thread, NULL);
	pthread_attr_destroy(&attr);
}

/* The functions that Istio's charts and injection templates call, beside those that the injector brings itself (lib/inject) and Helm's
 * objects: found by parsing manifests/charts of Istio 1.31. */
static void test_table(void **state)
{
	static const char *const used[] = {
		"and",
		"append",
		"cat",
		"coalesce",
		"contains",
		"deepCopy",
		"default",
		"dict",
		"dig",
		"eq",
		"fail",
		"fromYaml",
		"ge",
		"gt",
		"has",
		"hasKey",
		"include",
		"indent",
		"index",
		"int",
		"join",
		"len",
		"list",
		"merge",
		"mergeOverwrite",
		"mustMergeOverwrite",
		"ne",
		"nindent",
		"not",
		"omit",
		"or",
		"pick",
		"print",
		"printf",
		"quote",
		"regexMatch",
		"repeat",
		"replace",
		"required",
		"set",
		"split",
		"splitList",
		"ternary",
		"toPrettyJson",
		"toString",
		"toYaml",
		"tpl",
		"trim",
		"trimAll",
		"trimPrefix",
		"trimSuffix",
		"trunc",
		"unset",
	};
	(void)state;
	for (size_t i = 0; i < COX_LEN(used); i++) {
		bool found = false;
		const char *name;
		for (size_t k = 0; (name = cox_template_function_name(k, COX_TEMPLATE_HELM)); k++)
			found |= strcmp(name, used[i]) == 0;
		if (!found)
			fail_msg("%s is not in the table", used[i]);
	}
	for (size_t k = 0; cox_template_function_name(k, COX_TEMPLATE_GO); k++)
		assert_string_not_equal(cox_template_function_name(k, COX_TEMPLATE_GO), "include");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_language), cmocka_unit_test(test_faults), cmocka_unit_test(test_sprig),
		cmocka_unit_test(test_helm),     cmocka_unit_test(test_limits), cmocka_unit_test(test_table),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
