/* Answers that find their asker, or do not.
 * covers: b35 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "loop/hop.h"

struct job {
	struct cox_hop hop;
	struct cox_loop_task task;
	int arrived, canceled;
	struct cox_loop *on;
};
static void arrive(struct cox_hop *h, bool is_canceled)
{
	struct job *j = (struct job *)h;
	j->arrived++;
	j->canceled += is_canceled;
	j->on = cox_loop_current();
}
static void work(struct cox_loop_task *task)
{
	struct job *j = (struct job *)(void *)((char *)task - offsetof(struct job, task));
	cox_hop_return(&j->hop);
}
static bool has_arrived(void *arg) { return ((struct job *)arg)->arrived > 0; }

static void test_there_and_back(void **state)
{
	(void)state;
	struct cox_loop *home = cox_loop_new("home"), *away = cox_loop_new("away");
	struct job j = { .task.fn = work };
	assert_int_equal(cox_loop_start(away), COX_OK);
	cox_hop_init(&j.hop, home, arrive);
	cox_loop_post(away, &j.task);
	assert_true(cox_loop_run_until(home, has_arrived, &j, 5000));
	assert_int_equal(j.canceled, 0);
	cox_loop_free(&away);
	cox_loop_free(&home);
	assert_int_equal(j.arrived, 1);
}

/* The asker's loop is freed before the answer comes: the answer stays where it was made. */
static void test_home_is_gone(void **state)
{
	(void)state;
	struct cox_loop *home = cox_loop_new("home"), *away = cox_loop_new("away");
	struct job j = { .task.fn = work };
	cox_hop_init(&j.hop, home, arrive);
	cox_loop_post(away, &j.task);
	cox_hop_cancel(&j.hop);
	cox_loop_free(&home);
	assert_true(cox_loop_run_until(away, has_arrived, &j, 5000));
	assert_int_equal(j.canceled, 1);
	cox_loop_free(&away);
	assert_int_equal(j.arrived, 1);
}

/* Canceled while the answer waits in the loop's queue: it arrives as the loop ends. */
static void test_canceled_on_the_way(void **state)
{
	(void)state;
	struct cox_loop *home = cox_loop_new("home");
	struct job j = { 0 };
	cox_hop_init(&j.hop, home, arrive);
	cox_hop_return(&j.hop);
	assert_int_equal(j.arrived, 0);
	cox_hop_cancel(&j.hop);
	cox_loop_free(&home);
	assert_int_equal(j.arrived, 1);
	assert_int_equal(j.canceled, 1);
}

/* Many askers come and go while answers return from another thread: each arrives once (a race for the thread sanitizer). */
static void test_race(void **state)
{
	(void)state;
	enum { N = 2000 };
	static struct job jobs[N];
	struct cox_loop *home = cox_loop_new("home"), *away = cox_loop_new("away");
	assert_int_equal(cox_loop_start(away), COX_OK);
	for (int i = 0; i < N; i++) {
		jobs[i] = (struct job){ .task.fn = work };
		cox_hop_init(&jobs[i].hop, home, arrive);
		cox_loop_post(away, &jobs[i].task);
		if (i % 2)
			cox_hop_cancel(&jobs[i].hop);
	}
	cox_loop_free(&away); /* runs what is left */
	cox_loop_free(&home);
	for (int i = 0; i < N; i++) {
		assert_int_equal(jobs[i].arrived, 1);
		assert_int_equal(jobs[i].canceled, i % 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_home_is_gone),
		cmocka_unit_test(test_canceled_on_the_way),
		cmocka_unit_test(test_race),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
