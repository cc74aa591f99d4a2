/* covers: b1 b2 - resources are content: equal bytes, equal version, whatever they are made of. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "translate/translate.h"

static const struct cox_resource *make(const char *name, const char *bytes)
{
	return cox_resource_new(COX_TYPE_CDS, cox_str_of(name), cox_str_of(bytes), COX_STR("Service/a/b"), (struct cox_str){ 0 });
}

static void test_pieces_hash_as_one(void **state)
{
	(void)state;
	struct cox_bytes *a = cox_bytes_new("xxhello", 7), *b = cox_bytes_new(" world!!", 8);
	struct cox_piece pieces[] = { { a, 2, 5 }, { b, 0, 6 } };
	struct cox_resource *composed =
	    cox_resource_compose(COX_TYPE_CDS, COX_STR("n"), pieces, 2, (struct cox_str){ 0 }, COX_STR("needs"));
	cox_bytes_unref(a);
	cox_bytes_unref(b);
	const struct cox_resource *whole = make("n", "hello world");
	struct cox_buf flat = { 0 };

	cox_resource_flatten(composed, &flat);
	assert_int_equal(flat.n, 11);
	assert_memory_equal(flat.p, "hello world", 11);
	assert_int_equal(composed->size_bytes, 11);
	assert_true(cox_hash_eq(composed->hash, whole->hash));
	assert_true(cox_str_eq(composed->needs, COX_STR("needs")));
	assert_true(cox_str_eq(whole->origins, COX_STR("Service/a/b")));
	cox_buf_fini(&flat);
	cox_resource_unref(composed);
	cox_resource_unref(whole);
}

static void test_bytes_filled_later(void **state)
{
	(void)state;
	struct cox_bytes *b = cox_bytes_new(NULL, 3);
	memcpy(b->p, "abc", 3);
	cox_bytes_seal(b);
	assert_true(cox_hash_eq(b->hash, cox_hash128("abc", 3)));
	cox_bytes_unref(b);
}

static void test_sets(void **state)
{
	(void)state;
	const struct cox_resource *in[] = { make("c", "3"), make("a", "1"), make("b", "2"), make("a", "again") };
	const struct cox_resource *other[] = { make("b", "2"), make("a", "1"), make("c", "3") };
	struct cox_set *s = cox_set_build_take(COX_TYPE_CDS, in, 4), *t = cox_set_build_take(COX_TYPE_CDS, other, 3);

	assert_int_equal(s->n, 3);
	assert_true(cox_str_eq(s->items[0]->name, COX_STR("a")));
	assert_true(cox_hash_eq(s->items[0]->hash, cox_hash128("1", 1))); /* of equal names the first stays */
	assert_true(cox_hash_eq(s->hash, t->hash));
	assert_ptr_equal(cox_set_find(s, COX_STR("c")), s->items[2]);
	assert_null(cox_set_find(s, COX_STR("bb")));

	const struct cox_resource *r = make("bb", "4");
	struct cox_set *more = cox_set_with(s, COX_STR("bb"), r), *back = cox_set_with(more, COX_STR("bb"), NULL);
	cox_resource_unref(r);
	assert_int_equal(more->n, 4);
	assert_true(cox_str_eq(more->items[2]->name, COX_STR("bb")));
	assert_false(cox_hash_eq(more->hash, s->hash));
	assert_true(cox_hash_eq(back->hash, s->hash));
	struct cox_set *same = cox_set_with(s, COX_STR("zz"), NULL);
	assert_true(cox_hash_eq(same->hash, s->hash));
	cox_set_unref(same);
	cox_set_unref(more);
	cox_set_unref(back);
	cox_set_unref(s);
	cox_set_unref(t);
}

static void test_empty_set_differs_by_type(void **state)
{
	(void)state;
	struct cox_set *c = cox_set_build_take(COX_TYPE_CDS, NULL, 0), *l = cox_set_build_take(COX_TYPE_LDS, NULL, 0);
	assert_int_equal(c->n, 0);
	assert_false(cox_hash_eq(c->hash, l->hash));
	assert_null(cox_set_find(c, COX_STR("")));
	cox_set_unref(c);
	cox_set_unref(l);
}

static void test_types(void **state)
{
	(void)state;
	for (int t = 0; t < COX_TYPE_COUNT; t++)
		assert_int_equal(cox_type_find(cox_type_url((enum cox_type)t)), t);
	assert_int_equal(cox_type_find(COX_STR("type.googleapis.com/envoy.config.cluster.v3.Clusters")), COX_TYPE_COUNT);
	assert_int_equal(cox_type_find((struct cox_str){ 0 }), COX_TYPE_COUNT);
	assert_true(cox_type_is_wildcard(COX_TYPE_LDS) && !cox_type_is_wildcard(COX_TYPE_RDS));
}

static void test_memo(void **state)
{
	(void)state;
	struct cox_memo *m = cox_memo_new();
	struct cox_hash id = { 1, 2 }, other = { 2, 1 };
	const struct cox_resource *first = make("a", "1");

	cox_memo_begin(m);
	assert_null(cox_memo_find(m, id));
	const struct cox_resource *mine = cox_memo_put_take(m, id, first);
	assert_ptr_equal(mine, first);
	const struct cox_resource *again = cox_memo_find(m, id);
	assert_ptr_equal(again, first);
	cox_resource_unref(again);
	assert_null(cox_memo_find(m, other));
	const struct cox_bytes *b = cox_memo_bytes_put_take(m, other, cox_bytes_new("x", 1));
	assert_null(cox_memo_find(m, other)); /* a block, not a resource */

	cox_memo_begin(m);
	cox_memo_sweep(m);
	again = cox_memo_find(m, id); /* used in the generation before: kept */
	assert_non_null(again);
	cox_resource_unref(again);
	cox_memo_begin(m);
	cox_memo_begin(m);
	cox_memo_sweep(m);
	assert_null(cox_memo_find(m, id));
	assert_null(cox_memo_bytes_find(m, other));
	assert_true(cox_str_eq(mine->name, COX_STR("a"))); /* our reference outlives the memo's */
	cox_resource_unref(mine);
	cox_bytes_unref(b);
	cox_memo_free(m);
}

static const struct cox_resource *named(const char *name, const char *body)
{
	return cox_resource_new(COX_TYPE_EDS, cox_str_of(name), cox_str_of(body), COX_STR(""), COX_STR(""));
}

/* However a set came to be, equal content has an equal hash and equal sums: sets are shared by it. */
static void test_replaced_is_as_built(void **state)
{
	const struct cox_resource *first[] = { named("c", "1"), named("a", "1"), named("b", "1") };
	const struct cox_resource *second[] = { named("a", "1"), named("b", "2"), named("c", "3") };
	const struct cox_resource *news[] = { named("b", "2"), named("nobody", "9"), named("c", "3"), named("a", "1") };
	(void)state;
	struct cox_set *s = cox_set_build_take(COX_TYPE_EDS, first, 3), *want = cox_set_build_take(COX_TYPE_EDS, second, 3);
	struct cox_set *made = cox_set_replace(s, news, 4);
	assert_int_equal(made->n, 3);
	assert_true(cox_hash_eq(made->hash, want->hash));
	assert_false(cox_hash_eq(made->hash, s->hash));
	assert_true(cox_sum_eq(&made->content, &want->content));
	assert_true(cox_sum_eq(&made->names, &s->names));
	assert_ptr_equal(made->items[0], s->items[0]); /* what did not change is shared */
	assert_ptr_equal(made->items[1], news[0]);
	assert_null(cox_set_replace(made, news, 4));
	struct cox_set *less = cox_set_with(made, COX_STR("b"), NULL), *again = cox_set_with(less, COX_STR("b"), news[0]),
	               *put = cox_set_with(s, COX_STR("b"), news[0]), *both = cox_set_replace(put, news, 4);
	assert_int_equal(less->n, 2);
	assert_true(cox_hash_eq(again->hash, want->hash));
	assert_true(cox_hash_eq(both->hash, want->hash));
	assert_true(cox_sum_eq(&again->content, &both->content));
	struct cox_set *all[] = { s, want, made, less, again, put, both };
	for (size_t i = 0; i < COX_LEN(all); i++)
		cox_set_unref(all[i]);
	for (size_t i = 0; i < COX_LEN(news); i++)
		cox_resource_unref(news[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replaced_is_as_built),
		cmocka_unit_test(test_pieces_hash_as_one),
		cmocka_unit_test(test_bytes_filled_later),
		cmocka_unit_test(test_sets),
		cmocka_unit_test(test_empty_set_differs_by_type),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_memo),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
