/* covers: b32 b58 g65 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/vec.h"
#include "kube/watch_split.h"

struct seen {
	struct cox_buf log; /* one line per item */
	size_t items;
};

static void on_item(void *ctx, const struct cox_kube_item *i)
{
	struct seen *s = ctx;
	s->items++;
	if (i->is_skipped)
		cox_buf_printf(&s->log, "%d skipped %.*s %.*s/%.*s %.*s\n", i->event, COX_FMT(i->kind), COX_FMT(i->ns), COX_FMT(i->name),
		               COX_FMT(i->resource_version));
	else
		cox_buf_printf(&s->log, "%d %.*s/%.*s %.*s %.*s\n", i->event, COX_FMT(i->ns), COX_FMT(i->name),
		               COX_FMT(i->resource_version), COX_FMT(i->text));
}

/* A kind of which only spec.a and spec.sub.b are read. */
static const struct cox_field sub_fields[] = { { .name = "b", .type = COX_F_STR } };
static const struct cox_message sub = { .name = "Sub", .fields = sub_fields, .field_count = 1, .open = true };
static const struct cox_field spec_fields[] = {
	{ .name = "a", .type = COX_F_STR },
	{ .name = "sub", .type = COX_F_MSG, .sub = &sub },
	{ .name = "list", .type = COX_F_MSG, .flags = COX_F_LIST, .sub = &sub },
	{ .name = "map", .type = COX_F_STR_MAP },
};
static const struct cox_message spec_message = { .name = "Spec", .fields = spec_fields, .field_count = 4, .open = true };
static const struct cox_field root_fields[] = { { .name = "spec", .type = COX_F_MSG, .sub = &spec_message } };
static const struct cox_message core = { .name = "Core", .fields = root_fields, .field_count = 1, .open = true };
static const struct cox_message own = { .name = "Own", .fields = root_fields, .field_count = 1, .open = false };

struct outcome {
	struct seen seen;
	enum cox_rc rc;
	struct cox_err err;
	char next[64], version[64];
};

static void run(struct outcome *o, bool is_watch, const struct cox_message *m, size_t max, const char *text, size_t chunk)
{
	struct cox_kube_split_spec spec = {
		.is_watch = is_watch, .message = m, .max_object_bytes = max, .on_item = on_item, .ctx = &o->seen
	};
	struct cox_kube_split *s = cox_kube_split_new(&spec);
	struct cox_str all = cox_str_of(text);
	o->rc = COX_OK;
	for (size_t at = 0; at < all.n && o->rc == COX_OK; at += chunk)
		o->rc = cox_kube_split_feed(s, cox_str_sub(all, at, chunk), &o->err);
	if (o->rc == COX_OK)
		o->rc = cox_kube_split_end(s, &o->err);
	cox_str_to_cstr(cox_kube_split_continue(s), o->next, sizeof(o->next));
	cox_str_to_cstr(cox_kube_split_version(s), o->version, sizeof(o->version));
	cox_kube_split_free(&s);
}

/* The result must not depend on how the bytes were cut. */
static void expect(bool is_watch, const struct cox_message *m, size_t max, const char *text, const char *want)
{
	size_t n = strlen(text);
	for (size_t chunk = 1; chunk <= n; chunk = chunk < 9 ? chunk + 1 : chunk * 2) {
		struct outcome o = { 0 };
		run(&o, is_watch, m, max, text, chunk);
		assert_int_equal(o.rc, COX_OK);
		assert_string_equal(cox_buf_cstr(&o.seen.log), want);
		cox_buf_fini(&o.seen.log);
	}
}

static void list_items(void **state)
{
	(void)state;
	const char *text =
	    "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"77\",\"continue\":\"ab\\u003dc\","
	    "\"remainingItemCount\":3},\n \"items\": [ {\"metadata\":{\"name\":\"x\",\"namespace\":\"n\",\"resourceVersion\":\"5\"},"
	    "\"spec\":{\"a\":\"q\\\"}]\"}} , {\"metadata\":{\"name\":\"y\",\"resourceVersion\":\"6\"}} ] }\n";
	expect(false, NULL, 0, text,
	       "0 n/x 5 {\"metadata\":{\"name\":\"x\",\"namespace\":\"n\",\"resourceVersion\":\"5\"},\"spec\":{\"a\":\"q\\\"}]\"}}\n"
	       "0 /y 6 {\"metadata\":{\"name\":\"y\",\"resourceVersion\":\"6\"}}\n");
	struct outcome o = { 0 };
	run(&o, false, NULL, 0, text, 3);
	assert_string_equal(o.next, "ab=c");
	assert_string_equal(o.version, "77");
	cox_buf_fini(&o.seen.log);
	expect(false, NULL, 0, "{\"items\":null,\"metadata\":{}}", "");
	expect(false, NULL, 0, "{\"items\":[]}", "");
}

static void watch_events(void **state)
{
	(void)state;
	expect(true, NULL, 0,
	       "{\"type\":\"ADDED\",\"object\":{\"kind\":\"K\",\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"1\"}}}\n"
	       "{\"object\":{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"2\"}},\"type\":\"DELETED\"}\n"
	       "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"K\",\"metadata\":{\"resourceVersion\":\"9\",\"annotations\":{}}}}\n"
	       "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\",\"message\":\"old\"}}\n",
	       "1 /a 1 {\"kind\":\"K\",\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"1\"}}\n"
	       "3 /a 2 {\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"2\"}}\n"
	       "4 / 9 {\"kind\":\"K\",\"metadata\":{\"resourceVersion\":\"9\",\"annotations\":{}}}\n"
	       "5 /  {\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\",\"message\":\"old\"}\n");
}

static void what_nobody_reads_is_dropped(void **state)
{
	(void)state;
	const char *text =
	    "{\"type\":\"ADDED\",\"object\":{\"apiVersion\":\"v1\",\"kind\":\"K\",\"metadata\":{\"name\":\"a\",\"managedFields\":[{\"f\":{\"x\":[1,2]}}],"
	    "\"annotations\":{\"kubectl.kubernetes.io/last-applied-configuration\":\"{\\\"big\\\":1}\",\"keep\":\"1\"},\"labels\":{\"l\":\"v\"}},"
	    "\"spec\":{\"zz\":{\"a\":\"no\"},\"a\":\"yes\",\"sub\":{\"b\":\"yes\",\"c\":[{}]},\"list\":[{\"b\":\"1\",\"c\":2},{\"c\":3}],\"map\":{\"any\":\"1\"}},"
	    "\"status\":{\"phase\":\"x\"}}}";
	/* Core kinds: what no table names. */
	expect(
	    true, &core, 0, text,
	    "1 /a  {\"apiVersion\":\"v1\",\"kind\":\"K\",\"metadata\":{\"name\":\"a\",\"annotations\":{\"keep\":\"1\"},\"labels\":{\"l\":\"v\"}},"
	    "\"spec\":{\"a\":\"yes\",\"sub\":{\"b\":\"yes\"},\"list\":[{\"b\":\"1\"},{}],\"map\":{\"any\":\"1\"}}}\n");
	/* Ours: unknown fields stay, they are reported; status goes. */
	expect(
	    true, &own, 0, text,
	    "1 /a  {\"apiVersion\":\"v1\",\"kind\":\"K\",\"metadata\":{\"name\":\"a\",\"annotations\":{\"keep\":\"1\"},\"labels\":{\"l\":\"v\"}},"
	    "\"spec\":{\"zz\":{\"a\":\"no\"},\"a\":\"yes\",\"sub\":{\"b\":\"yes\",\"c\":[{}]},\"list\":[{\"b\":\"1\",\"c\":2},{\"c\":3}],\"map\":{\"any\":\"1\"}}}\n");
}

static void huge_object_is_named_and_skipped(void **state)
{
	(void)state;
	struct cox_buf text = { 0 };
	cox_buf_append_cstr(
	    &text, "{\"items\":[{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"1\"}},"
	           "{\"kind\":\"Big\",\"metadata\":{\"name\":\"b\",\"namespace\":\"n\",\"resourceVersion\":\"2\"},\"spec\":{\"x\":\"");
	for (int i = 0; i < 1000; i++)
		cox_buf_append_cstr(&text, "0123456789");
	cox_buf_append_cstr(&text, "\"}},{\"metadata\":{\"name\":\"c\",\"resourceVersion\":\"3\"}}]}");
	expect(false, NULL, 2000, cox_buf_cstr(&text),
	       "0 /a 1 {\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"1\"}}\n"
	       "0 skipped Big n/b 2\n"
	       "0 /c 3 {\"metadata\":{\"name\":\"c\",\"resourceVersion\":\"3\"}}\n");
	/* Where nobody reads the big part, the object is not too large. */
	expect(false, &core, 2000, cox_buf_cstr(&text),
	       "0 /a 1 {\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"1\"}}\n"
	       "0 n/b 2 {\"kind\":\"Big\",\"metadata\":{\"name\":\"b\",\"namespace\":\"n\",\"resourceVersion\":\"2\"},\"spec\":{}}\n"
	       "0 /c 3 {\"metadata\":{\"name\":\"c\",\"resourceVersion\":\"3\"}}\n");
	cox_buf_fini(&text);
}

static void memory_is_bounded(void **state)
{
	(void)state;
	struct seen seen = { 0 };
	struct cox_kube_split_spec spec = { .is_watch = true, .max_object_bytes = 10000, .on_item = on_item, .ctx = &seen };
	struct cox_kube_split *s = cox_kube_split_new(&spec);
	assert_int_equal(cox_kube_split_feed(s, COX_STR("{\"type\":\"ADDED\",\"object\":{\"data\":{\"x\":\""), NULL), COX_OK);
	char chunk[1000];
	memset(chunk, 'y', sizeof(chunk));
	for (int i = 0; i < 20000; i++) {
		assert_int_equal(cox_kube_split_feed(s, cox_str_make(chunk, sizeof(chunk)), NULL), COX_OK);
		assert_true(cox_kube_split_buffered(s) <= 10100);
	}
	assert_int_equal(cox_kube_split_feed(s, COX_STR("\"},\"metadata\":{\"name\":\"late\"}}}"), NULL), COX_OK);
	assert_string_equal(cox_buf_cstr(&seen.log), "1 skipped  /late \n");
	cox_kube_split_free(&s);
	cox_buf_fini(&seen.log);
}

static void refused(void **state)
{
	(void)state;
	static const struct {
		bool is_watch;
		const char *text;
	} bad[] = {
		{ false, "" },
		{ false, "[]" },
		{ false, "nonsense" },
		{ false, "{\"items\":{}}" },
		{ false, "{\"items\":\"x\"}" },
		{ false, "{\"items\":[1]}" },
		{ false, "{\"items\":[[]]}" },
		{ false, "{\"items\":[{}]" },
		{ false, "{\"items\":[{}]}x" },
		{ false, "{\"items\":[{}]}{}" },
		{ false, "{\"a\" 1}" },
		{ false, "{\"a\":}" },
		{ false, "{a:1}" },
		{ false, "{\"a\":1]" },
		{ false, "{\"a\":\"" },
		{ false, "{,}" },
		{ true, "{\"type\":\"ADDED\"}" },
		{ true, "{\"type\":\"ADDED\",\"object\":[]}" },
		{ true, "{\"type\":\"ADDED\",\"object\":{" },
		{ true, "{\"type\":\"ADDED\",\"object\":null}" },
		{ true, "}" },
		{ true, "HTTP/1.1 200 OK" },
	};
	for (size_t i = 0; i < COX_LEN(bad); i++) {
		struct outcome o = { 0 };
		run(&o, bad[i].is_watch, NULL, 0, bad[i].text, 2);
		if (o.rc != COX_EPROTO)
			fail_msg("accepted: %s", bad[i].text);
		assert_true(o.err.text[0] != 0);
		cox_buf_fini(&o.seen.log);
	}
}

static void deep_nesting_is_refused(void **state)
{
	(void)state;
	struct cox_buf text = { 0 };
	cox_buf_append_cstr(&text, "{\"type\":\"ADDED\",\"object\":{\"x\":");
	for (int i = 0; i < 100000; i++)
		cox_buf_append_char(&text, '[');
	struct outcome o = { 0 };
	run(&o, true, NULL, 0, cox_buf_cstr(&text), 777);
	assert_int_equal(o.rc, COX_EPROTO);
	cox_buf_fini(&text);
	cox_buf_fini(&o.seen.log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(list_items),
		cmocka_unit_test(watch_events),
		cmocka_unit_test(what_nobody_reads_is_dropped),
		cmocka_unit_test(huge_object_is_named_and_skipped),
		cmocka_unit_test(memory_is_bounded),
		cmocka_unit_test(refused),
		cmocka_unit_test(deep_nesting_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
