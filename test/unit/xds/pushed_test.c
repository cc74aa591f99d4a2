/* What a stream remembers of its pushes. covers: f31 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "xds/pushed.h"

#include <stdio.h>

static void note(struct xds_pushed *p, uint64_t nonce, bool is_asked)
{
	struct cox_xds_response r = { .type = COX_TYPE_CDS, .nonce = nonce, .resource_n = 3, .removed_n = 1, .is_asked = is_asked };
	xds_pushed_note(p, &r, 100, cox_clock_mono_ns() - 5000000);
}

static void test_causes_until_all_is_sent(void **state)
{
	struct xds_pushed p = { 0 };
	struct cox_xds_push got[COX_XDS_PUSHES_KEPT];
	(void)state;
	note(&p, 1, true);
	xds_pushed_wanted(&p, 7);
	xds_pushed_wanted(&p, 5);
	xds_pushed_wanted(&p, 0);
	note(&p, 2, false);
	note(&p, 3, false);
	xds_pushed_settled(&p);
	note(&p, 4, false);
	assert_int_equal(xds_pushed_copy(&p, got), 4);
	assert_true(got[0].is_asked && !got[0].last_cause && !got[0].event_to_sent_us);
	assert_int_equal(got[1].first_cause, 5);
	assert_int_equal(got[2].last_cause, 7);
	assert_int_equal(got[3].last_cause, 7); /* it had to wait for its time */
	assert_in_range(got[1].event_to_sent_us, 5000, 5000000);
	assert_true(got[1].resources == 3 && got[1].removed == 1 && got[1].bytes == 100);
}

static void test_answers(void **state)
{
	struct xds_pushed p = { 0 };
	struct cox_xds_push got[COX_XDS_PUSHES_KEPT];
	(void)state;
	note(&p, 1, false);
	note(&p, 2, false);
	xds_pushed_answered(&p, COX_TYPE_LDS, COX_STR("1"), false);
	xds_pushed_answered(&p, COX_TYPE_CDS, COX_STR("2"), true);
	xds_pushed_answered(&p, COX_TYPE_CDS, COX_STR(""), false);
	xds_pushed_answered(&p, COX_TYPE_CDS, COX_STR("nonsense"), false);
	assert_int_equal(xds_pushed_copy(&p, got), 2);
	assert_true(!got[0].sent_to_ack_us && got[1].sent_to_ack_us && got[1].is_rejected);
}

static void test_the_last_ones_are_kept(void **state)
{
	struct xds_pushed p = { 0 };
	struct cox_xds_push got[COX_XDS_PUSHES_KEPT];
	(void)state;
	for (uint64_t i = 1; i <= 3 * COX_XDS_PUSHES_KEPT + 1; i++)
		note(&p, i, false);
	assert_int_equal(xds_pushed_copy(&p, got), COX_XDS_PUSHES_KEPT);
	for (size_t i = 0; i < COX_XDS_PUSHES_KEPT; i++)
		assert_int_equal(got[i].nonce, 2 * COX_XDS_PUSHES_KEPT + 2 + i);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_causes_until_all_is_sent), cmocka_unit_test(test_answers),
		                            cmocka_unit_test(test_the_last_ones_are_kept) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
