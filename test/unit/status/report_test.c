/* What replicas tell each other of their proxies. covers: d31 g57 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "status/report.h"

static struct report_pending pending(const char *id, int64_t generation, uint64_t version, size_t acked)
{
	return (struct report_pending){ .id = cox_str_of(id), .generation = generation, .version = version, .acked = acked };
}

static void told_and_read(void **state)
{
	(void)state;
	uint64_t seen[COX_KIND_COUNT] = { [COX_KIND_VIRTUAL_SERVICE] = 812 };
	struct report_pending web = pending("VirtualService/shop/web", 3, 812, 37), done = pending("VirtualService/shop/done", 1, 700, 40);
	struct cox_map objects = { 0 };
	struct cox_buf text = { 0 };
	struct report r;
	done.is_done = true;
	cox_map_set(&objects, web.id, &web);
	cox_map_set(&objects, done.id, &done);
	report_write(COX_STR("istiod-\"7d"), 40, seen, &objects, 5, &text);
	assert_true(report_read(cox_buf_str(&text), &r));
	assert_true(cox_str_eq_cstr(r.replica, "istiod-\"7d") && r.streams == 40 && r.pending.n == 1);
	assert_int_equal(report_acked(&r, COX_KIND_VIRTUAL_SERVICE, &web), 37);
	struct report_pending older = pending("VirtualService/shop/web", 2, 800, 0), newer = pending("VirtualService/shop/web", 4, 900, 0);
	assert_int_equal(report_acked(&r, COX_KIND_VIRTUAL_SERVICE, &older), 37); /* who has 3 has 2 */
	assert_int_equal(report_acked(&r, COX_KIND_VIRTUAL_SERVICE, &newer), 0);
	assert_int_equal(report_acked(&r, COX_KIND_VIRTUAL_SERVICE, &done), 40); /* not pending, and read */
	struct report_pending unread = pending("VirtualService/shop/x", 1, 813, 0), other = pending("Sidecar/shop/x", 1, 5, 0);
	assert_int_equal(report_acked(&r, COX_KIND_VIRTUAL_SERVICE, &unread), 0);
	assert_int_equal(report_acked(&r, COX_KIND_SIDECAR, &other), 0); /* it says nothing of the kind */
	report_fini(&r);
	cox_buf_fini(&text);
	cox_map_fini(&objects);
}

/* With too many it says nothing of objects, which is no "yes". */
static void too_many(void **state)
{
	(void)state;
	enum { N = REPORT_PENDING_MAX + 1 };
	static struct report_pending all[N];
	static char ids[N][40];
	uint64_t seen[COX_KIND_COUNT] = { [COX_KIND_VIRTUAL_SERVICE] = 9000 };
	struct cox_map objects = { 0 };
	struct cox_buf text = { 0 };
	struct report r;
	for (size_t i = 0; i < N; i++) {
		snprintf(ids[i], sizeof(ids[i]), "VirtualService/a/v%zu", i);
		all[i] = pending(ids[i], 1, i + 1, 3);
		cox_map_set(&objects, all[i].id, &all[i]);
	}
	report_write(COX_STR("r"), 40, seen, &objects, 0, &text);
	assert_true(text.n < 1000);
	assert_true(report_read(cox_buf_str(&text), &r));
	assert_int_equal(report_acked(&r, COX_KIND_VIRTUAL_SERVICE, &all[0]), 0);
	report_fini(&r);
	cox_buf_fini(&text);
	cox_map_fini(&objects);
}

static void broken(void **state)
{
	(void)state;
	static const char *const bad[] = { "", "{", "[]", "{}", "{\"streams\":-1}", "{\"streams\":\"4\"}", "{\"streams\":1.5}", "null" };
	static const char *const odd[] = {
		"{\"streams\":4,\"seen\":[],\"pending\":[]}",
		"{\"streams\":4,\"seen\":{\"VirtualService\":\"x\",\"No\":1},\"pending\":{\"a\":[1],\"b\":{},\"c\":[1,-1],\"d\":[\"x\",1]}}",
		"{\"streams\":4,\"replica\":7,\"seen\":null}",
	};
	struct report r;
	struct report_pending p = pending("c", 1, 1, 0);
	for (size_t i = 0; i < COX_LEN(bad); i++)
		assert_false(report_read(cox_str_of(bad[i]), &r));
	for (size_t i = 0; i < COX_LEN(odd); i++) {
		assert_true(report_read(cox_str_of(odd[i]), &r));
		assert_int_equal(report_acked(&r, COX_KIND_VIRTUAL_SERVICE, &p), 0);
		report_fini(&r);
	}
	/* It cannot say more than it has. */
	assert_true(report_read(COX_STR("{\"streams\":4,\"pending\":{\"c\":[1,900]}}"), &r));
	assert_int_equal(report_acked(&r, COX_KIND_VIRTUAL_SERVICE, &p), 4);
	report_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(told_and_read), cmocka_unit_test(too_many), cmocka_unit_test(broken) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
