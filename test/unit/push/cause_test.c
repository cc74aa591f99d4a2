/* Why something was pushed: bounded, by number. covers: f31 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "push/push_priv.h"

#include <stdio.h>

static struct cox_push *open_push(struct cox_loop **loop, struct cox_registry **registry)
{
	*loop = cox_loop_new("test");
	*registry = cox_registry_new(&(struct cox_registry_options){ 0 });
	return cox_push_new(&(struct cox_push_options){ .loop = *loop, .registry = *registry });
}
static void close_push(struct cox_push *p, struct cox_loop **loop, struct cox_registry *registry)
{
	cox_push_free(p);
	cox_registry_free(registry);
	cox_loop_free(loop);
}

static void test_numbers_and_names(void **state)
{
	struct cox_loop *loop;
	struct cox_registry *registry;
	struct cox_push *p = open_push(&loop, &registry);
	struct cox_arena arena = { 0 };
	struct cox_push_cause *all;
	(void)state;
	assert_int_equal(cox_push_causes(p, 0, &arena, &all), 0);
	assert_int_equal(push_cause_begin(p, cox_clock_mono_ns() - 3000000, false), 1);
	push_cause_add(p, &(struct cox_change){ .id = COX_STR("VirtualService/default/web") });
	push_cause_add(p, &(struct cox_change){ .id = COX_STR("Service/default/web"), .is_removed = true });
	push_cause_view(p, &(struct unit){ .part = COX_PUSH_WORKLOAD, .clients.n = 2 }, true);
	push_cause_view(p, &(struct unit){ .clients.n = 5 }, false);
	push_cause_end(p);
	push_cause_begin(p, 0, true);
	for (int i = 0; i < 1000; i++)
		push_cause_add(p, &(struct cox_change){ .id = COX_STR("a.default.svc.cluster.local") });
	assert_int_equal(cox_push_causes(p, 0, &arena, &all), 2);
	assert_true(cox_str_eq(all[0].ids, COX_STR("VirtualService/default/web\n-Service/default/web")));
	assert_true(all[0].changes == 2 && all[0].views == 2 && all[0].views_made == 1 && all[0].took_us && !all[0].is_endpoints);
	assert_int_equal(all[0].proxies, 2);
	assert_in_range(all[0].waited_us, 3000, 10000000);
	assert_true(all[1].changes == 1000 && all[1].is_endpoints && all[1].ids.n <= COX_PUSH_CAUSE_IDS_BYTES && !all[1].took_us);
	assert_int_equal(cox_push_causes(p, 2, &arena, &all), 1);
	assert_int_equal(cox_push_causes(p, 3, &arena, &all), 0);
	cox_arena_fini(&arena);
	close_push(p, &loop, registry);
}

static void test_the_last_ones_are_kept(void **state)
{
	struct cox_loop *loop;
	struct cox_registry *registry;
	struct cox_push *p = open_push(&loop, &registry);
	struct cox_arena arena = { 0 };
	struct cox_push_cause *all;
	char id[32];
	(void)state;
	for (int i = 1; i <= 2 * COX_PUSH_CAUSES_KEPT + 3; i++) {
		push_cause_begin(p, 0, false);
		snprintf(id, sizeof(id), "Kind/ns/%d", i);
		push_cause_add(p, &(struct cox_change){ .id = cox_str_of(id) });
	}
	assert_int_equal(cox_push_causes(p, 1, &arena, &all), COX_PUSH_CAUSES_KEPT);
	assert_int_equal(all[0].id, COX_PUSH_CAUSES_KEPT + 4);
	assert_true(cox_str_eq(all[COX_PUSH_CAUSES_KEPT - 1].ids, cox_str_of(id)));
	cox_arena_fini(&arena);
	close_push(p, &loop, registry);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_numbers_and_names), cmocka_unit_test(test_the_last_ones_are_kept) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
