/*
 * A proxy that comes back with what it should have costs one pass over what it says, in whatever order it says it.
 * covers: b25
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "xds/core.h"

#include <stdio.h>
#include <stdlib.h>

enum { N = 40 };

static const struct cox_set *clusters(unsigned n, const char *odd)
{
	const struct cox_resource *items[N];
	for (unsigned i = 0; i < n; i++) {
		char name[32];
		snprintf(name, sizeof(name), "cluster-%u", i);
		items[i] = cox_resource_new(COX_TYPE_CDS, cox_str_of(name), cox_str_of(i == 7 && odd ? odd : name), COX_STR("Kind/ns/name"),
		                            COX_STR(""));
	}
	return cox_set_build_take(COX_TYPE_CDS, items, n);
}

static struct cox_name_version has[N];
static char versions[N][33];
/* What a proxy with `set` says, backwards. */
static void says(const struct cox_set *set)
{
	for (size_t i = 0; i < set->n; i++) {
		cox_hash_to_hex(set->items[i]->hash, versions[i]);
		has[set->n - 1 - i] = (struct cox_name_version){ set->items[i]->name, cox_str_of(versions[i]) };
	}
}

/* Returns how many resources and removals the answer has. */
static size_t reconnect(struct cox_steps *steps, const struct cox_set *wanted, size_t has_n)
{
	const struct cox_set *sets[COX_TYPE_COUNT] = { [COX_TYPE_CDS] = wanted }, *none[COX_TYPE_COUNT] = { NULL };
	struct cox_xds_core *core = cox_xds_core_new(&(struct cox_xds_core_options){ .is_delta = true, .klass = 2, .steps = steps });
	struct cox_xds_response r;
	int64_t wake;
	cox_xds_core_want(core, 0, sets, 1000);
	cox_xds_core_want(core, 1, none, 1000);
	struct cox_xds_request request = { .type = COX_TYPE_CDS, .initial = has, .initial_n = has_n };
	assert_int_equal(cox_xds_core_request(core, &request, 1000, NULL), COX_OK);
	assert_true(cox_xds_core_next(core, 1000, &r, &wake)); /* it is answered, with nothing too */
	size_t n = r.resource_n + r.removed_n;
	for (unsigned p = 0; p < COX_XDS_PARTS; p++)
		n += r.steps[p] ? r.steps[p]->changed_n + r.steps[p]->removed_n : 0;
	assert_ptr_equal(cox_xds_core_sent(core, COX_TYPE_CDS, 0), wanted);
	char nonce[24];
	snprintf(nonce, sizeof(nonce), "%llu", (unsigned long long)r.nonce);
	request = (struct cox_xds_request){ .type = COX_TYPE_CDS, .nonce = cox_str_of(nonce) };
	assert_int_equal(cox_xds_core_request(core, &request, 1000, NULL), COX_OK);
	struct cox_xds_type_state state;
	cox_xds_core_state(core, COX_TYPE_CDS, &state);
	assert_true(state.is_synced);
	assert_int_equal(state.sent_n, wanted->n);
	cox_xds_core_free(core);
	return n;
}

static void test_nothing_is_sent_again(void **state)
{
	struct cox_steps *steps = cox_steps_new();
	const struct cox_set *wanted = clusters(N, NULL);
	(void)state;
	says(wanted);
	assert_int_equal(reconnect(steps, wanted, N), 0);
	/* What it holds counts as accepted by its class: nothing that another rejects is taken from it for want of proof. */
	for (size_t i = 0; i < wanted->n; i++)
		assert_true(cox_resource_is_accepted(wanted->items[i], 2));
	assert_int_equal(reconnect(steps, wanted, N), 0);
	cox_set_unref(wanted);
	cox_steps_free(steps);
}

static void test_differences_are_found(void **state)
{
	struct cox_steps *steps = cox_steps_new();
	const struct cox_set *wanted = clusters(N, NULL), *odd = clusters(N, "old"), *less = clusters(N - 1, NULL);
	(void)state;
	says(odd); /* an old version */
	assert_int_equal(reconnect(steps, wanted, N), 1);
	says(less); /* one less */
	assert_int_equal(reconnect(steps, wanted, N - 1), 1);
	says(wanted); /* one has no version; one has another's */
	has[3].version = COX_STR("");
	assert_int_equal(reconnect(steps, wanted, N), 1);
	says(wanted);
	struct cox_str swap = has[3].version;
	has[3].version = has[4].version;
	has[4].version = swap;
	assert_int_equal(reconnect(steps, wanted, N), 2);
	says(wanted); /* the same twice in place of another */
	has[5] = has[6];
	assert_int_equal(reconnect(steps, wanted, N), 1);
	cox_set_unref(wanted);
	cox_set_unref(odd);
	cox_set_unref(less);
	cox_steps_free(steps);
}

static void test_lists_of_names_are_shared(void **state)
{
	struct cox_steps *steps = cox_steps_new();
	uint64_t up[N], down[N], twice[N + 1], all = N;
	(void)state;
	for (unsigned i = 0; i < N; i++)
		up[i] = twice[i] = down[N - 1 - i] = cox_hash64(&i, sizeof(i));
	twice[N] = up[0];
	const struct cox_names *a = cox_names_change(steps, NULL, up, N, NULL, 0), *b = cox_names_change(steps, NULL, down, N, NULL, 0),
	                       *c = cox_names_change(steps, NULL, twice, N + 1, NULL, 0);
	assert_ptr_equal(a, b);
	assert_ptr_equal(a, c);
	assert_int_equal(a->n, all);
	const struct cox_names *less = cox_names_change(steps, a, NULL, 0, down, N - 1),
	                       *again = cox_names_change(steps, less, up, N, NULL, 0);
	assert_int_equal(less->n, 1);
	assert_true(cox_names_has(less, down[N - 1]));
	assert_ptr_equal(again, a);
	assert_null(cox_names_change(steps, a, NULL, 0, up, N));
	cox_names_unref(a);
	cox_names_unref(b);
	cox_names_unref(c);
	cox_names_unref(less);
	cox_names_unref(again);
	cox_steps_free(steps);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_sent_again),
		cmocka_unit_test(test_differences_are_found),
		cmocka_unit_test(test_lists_of_names_are_shared),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
