/* pb_write and pb_read: the wire format byte by byte, its lengths, packed runs, and what a peer may not send. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "codec/pb_read.h"

#define BYTES(literal) ((struct cox_str){ literal, sizeof(literal) - 1 })

static void assert_bytes(const struct cox_buf *b, struct cox_str expected)
{
	assert_int_equal(b->n, expected.n);
	assert_memory_equal(b->p, expected.p, expected.n);
}

static void scalars_are_written(void **state)
{
	(void)state;
	struct cox_buf b = { 0 };
	struct cox_pb pb;
	cox_pb_init(&pb, &b);
	struct cox_pb_at m = cox_pb_root(&pb);
	cox_pb_put_varint(m, 1, 150);
	cox_pb_put_varint(m, 2, (uint64_t)(int64_t)-1);
	cox_pb_put_bytes(m, 16, COX_STR("ab"));
	cox_pb_put_fixed32(m, 3, 0x01020304);
	cox_pb_put_fixed64(m, 4, 1);
	cox_pb_end(m);
	assert_bytes(&b, BYTES("\x08\x96\x01"
	                       "\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
	                       "\x82\x01\x02"
	                       "ab"
	                       "\x1d\x04\x03\x02\x01"
	                       "\x21\x01\0\0\0\0\0\0\0"));
	assert_int_equal(cox_pb_zigzag(-1), 1);
	assert_int_equal(cox_pb_zigzag(INT64_MIN), UINT64_MAX);
	assert_int_equal(cox_pb_unzigzag(cox_pb_zigzag(-123456789012)), -123456789012);
	cox_buf_fini(&b);
}

static void wrappers_and_durations_are_written(void **state)
{
	(void)state;
	struct cox_buf b = { 0 };
	struct cox_pb pb;
	cox_pb_init(&pb, &b);
	struct cox_pb_at m = cox_pb_root(&pb);
	cox_pb_put_wrapped_varint(m, 1, 0);
	cox_pb_put_wrapped_varint(m, 1, 5);
	cox_pb_put_wrapped_bytes(m, 2, COX_STR("x"));
	cox_pb_put_wrapped_double(m, 3, 0);
	cox_pb_put_wrapped_float(m, 3, 1);
	cox_pb_put_duration(m, 4, 1500000000);
	cox_pb_put_duration(m, 4, 0);
	cox_pb_end(m);
	assert_bytes(&b, BYTES("\x0a\0"
	                       "\x0a\x02\x08\x05"
	                       "\x12\x03\x0a\x01x"
	                       "\x1a\0"
	                       "\x1a\x05\x0d\0\0\x80\x3f"
	                       "\x22\x08\x08\x01\x10\x80\xca\xb5\xee\x01"
	                       "\x22\0"));
	cox_buf_clear(&b);
	m = cox_pb_root(&pb);
	cox_pb_put_duration(m, 1, -1500000000);
	cox_pb_end(m);
	struct cox_pb_reader r = cox_pb_reader(cox_buf_str(&b));
	struct cox_pb_field f;
	assert_true(cox_pb_next(&r, &f));
	r = cox_pb_as_message(&r, &f);
	assert_true(cox_pb_next(&r, &f));
	assert_int_equal(cox_pb_as_i64(&r, &f), -1);
	assert_true(cox_pb_next(&r, &f));
	assert_int_equal(cox_pb_as_i64(&r, &f), -500000000);
	cox_buf_fini(&b);
}

/* Nested messages around each size at which the length grows by a byte. */
static void lengths_move_the_content(void **state)
{
	(void)state;
	static const size_t sizes[] = { 0, 1, 123, 124, 125, 126, 127, 128, 129, 16378, 16379, 16380, 16381, 16384, 2097150, 2097155 };
	static char text[2097200];
	memset(text, 'x', sizeof(text));
	for (size_t i = 0; i < COX_LEN(sizes); i++) {
		struct cox_buf b = { 0 };
		struct cox_pb pb;
		cox_pb_init(&pb, &b);
		struct cox_pb_at root = cox_pb_root(&pb);
		struct cox_pb_at outer = cox_pb_begin(root, 1), inner = cox_pb_begin(outer, 2);
		cox_pb_put_bytes(inner, 3, cox_str_make(text, sizes[i]));
		cox_pb_end(inner);
		cox_pb_put_varint(outer, 4, 7);
		cox_pb_end(outer);
		cox_pb_end(root);
		struct cox_pb_reader r = cox_pb_reader(cox_buf_str(&b)), r2, r3;
		struct cox_pb_field f;
		assert_true(cox_pb_next(&r, &f));
		r2 = cox_pb_as_message(&r, &f);
		assert_true(cox_pb_next(&r2, &f));
		assert_int_equal(f.number, 2);
		r3 = cox_pb_as_message(&r2, &f);
		assert_true(cox_pb_next(&r3, &f));
		assert_int_equal(cox_pb_as_bytes(&r3, &f).n, sizes[i]);
		assert_false(cox_pb_next(&r3, &f));
		assert_true(cox_pb_next(&r2, &f));
		assert_int_equal(cox_pb_as_u64(&r2, &f), 7);
		assert_false(cox_pb_next(&r2, &f));
		assert_false(cox_pb_next(&r, &f));
		assert_int_equal(cox_pb_finish(&r, NULL) | cox_pb_finish(&r2, NULL) | cox_pb_finish(&r3, NULL), COX_OK);
		cox_buf_fini(&b);
	}
}

static void packed_values_share_a_run(void **state)
{
	(void)state;
	struct cox_buf b = { 0 };
	struct cox_pb pb;
	cox_pb_init(&pb, &b);
	struct cox_pb_at m = cox_pb_root(&pb);
	cox_pb_pack_varint(m, 1, 1);
	cox_pb_pack_varint(m, 1, 300);
	cox_pb_pack_varint(m, 2, 2);
	cox_pb_pack_fixed32(m, 3, 1);
	cox_pb_pack_fixed64(m, 4, 1);
	cox_pb_pack_varint(m, 1, 9); /* something else came between: a run of its own, which is allowed */
	cox_pb_end(m);
	assert_bytes(&b, BYTES("\x0a\x03\x01\xac\x02"
	                       "\x12\x01\x02"
	                       "\x1a\x04\x01\0\0\0"
	                       "\x22\x08\x01\0\0\0\0\0\0\0"
	                       "\x0a\x01\x09"));
	cox_buf_clear(&b);
	m = cox_pb_root(&pb);
	for (uint64_t i = 0; i < 20000; i++)
		cox_pb_pack_varint(m, 1, i);
	cox_pb_end(m);
	struct cox_pb_reader r = cox_pb_reader(cox_buf_str(&b));
	struct cox_pb_field f;
	assert_true(cox_pb_next(&r, &f));
	struct cox_str run = cox_pb_as_bytes(&r, &f);
	uint64_t v, n = 0;
	while (cox_pb_unpack_varint(&r, &run, &v))
		assert_int_equal(v, n++);
	assert_int_equal(n, 20000);
	assert_int_equal(cox_pb_finish(&r, NULL), COX_OK);
	cox_buf_fini(&b);
}

/* Ending a map's value or an Any's value ends what is around it as well. */
static void maps_and_anys_end_together(void **state)
{
	(void)state;
	struct cox_buf b = { 0 };
	struct cox_pb pb;
	cox_pb_init(&pb, &b);
	struct cox_pb_at m = cox_pb_root(&pb);
	struct cox_pb_at v = cox_pb_map_value(cox_pb_map_entry(m, 1, COX_STR("k")));
	cox_pb_put_varint(v, 5, 1);
	cox_pb_end(v);
	v = cox_pb_map_value(cox_pb_map_entry_varint(m, 2, 7));
	cox_pb_end(v);
	v = cox_pb_any_begin(cox_pb_begin(m, 3), "t/a", 3);
	cox_pb_put_varint(v, 1, 1);
	cox_pb_end(v);
	cox_pb_end(m);
	assert_int_equal(pb.depth, 0);
	assert_bytes(&b, BYTES("\x0a\x07\x0a\x01k\x12\x02\x28\x01"
	                       "\x12\x04\x08\x07\x12\0"
	                       "\x1a\x09\x0a\x03t/a\x12\x02\x08\x01"));
	cox_buf_fini(&b);
}

static void malformed_bytes_are_refused(void **state)
{
	(void)state;
	static const struct {
		struct cox_str bytes;
		const char *what;
		size_t at;
	} cases[] = {
		{ { "\x08", 1 }, "a number is cut off", 1 },
		{ { "\x08\x80", 2 }, "a number is cut off", 1 },
		{ { "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11 }, "a number has more than 64 bits", 1 },
		{ { "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12 }, "a number has more than 64 bits", 1 },
		{ { "\x08\x01\x12\x05"
		    "ab",
		    6 },
		  "a length reaches beyond the end",
		  4 },
		{ { "\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11 }, "a length reaches beyond the end", 11 },
		{ { "\x0d\x01\x02", 3 }, "a fixed-size value is cut off", 1 },
		{ { "\x09\x01\x02\x03\x04", 5 }, "a fixed-size value is cut off", 1 },
		{ { "\x00\x01", 2 }, "a field number is not valid", 1 },
		{ { "\x0e", 1 }, "a wire type is not valid", 1 },
		{ { "\x0c", 1 }, "a wire type is not valid", 1 }, /* an end without a beginning */
		{ { "\x0b\x08\x01", 3 }, "a group is not closed", 3 },
		{ { "\x0b\x14", 2 }, "a group is closed by another number", 2 },
	};
	for (size_t i = 0; i < COX_LEN(cases); i++) {
		struct cox_pb_reader r = cox_pb_reader(cases[i].bytes);
		struct cox_pb_field f;
		struct cox_err err = { 0 };
		while (cox_pb_next(&r, &f))
			;
		assert_int_equal(cox_pb_finish(&r, &err), COX_EPROTO);
		assert_string_equal(r.what, cases[i].what);
		assert_int_equal(r.what_at, cases[i].at);
		assert_non_null(strstr(err.text, cases[i].what));
		assert_false(cox_pb_next(&r, &f)); /* and stays refused */
	}
}

static void depth_is_bounded(void **state)
{
	(void)state;
	char groups[4096];
	memset(groups, 0x0b, sizeof(groups));
	struct cox_pb_reader r = cox_pb_reader(cox_str_make(groups, sizeof(groups)));
	struct cox_pb_field f;
	assert_false(cox_pb_next(&r, &f));
	assert_int_equal(cox_pb_finish(&r, NULL), COX_ELIMIT);
	r = cox_pb_reader(BYTES("\x0a\x00"));
	assert_true(cox_pb_next(&r, &f));
	r.depth = COX_PB_READ_DEPTH_MAX;
	struct cox_pb_reader inner = cox_pb_as_message(&r, &f);
	assert_int_equal(cox_pb_finish(&inner, NULL), COX_ELIMIT);
	cox_pb_adopt(&r, &inner);
	assert_int_equal(cox_pb_finish(&r, NULL), COX_ELIMIT);
}

static void values_are_checked(void **state)
{
	(void)state;
	struct cox_pb_field f;
	struct cox_pb_reader r = cox_pb_reader(BYTES("\x08\x01"));
	assert_true(cox_pb_next(&r, &f));
	assert_int_equal(cox_pb_as_str(&r, &f).n, 0);
	assert_int_equal(cox_pb_finish(&r, NULL), COX_EPROTO);
	r = cox_pb_reader(BYTES("\x0a\x02\xff\xfe"));
	assert_true(cox_pb_next(&r, &f));
	assert_int_equal(cox_pb_as_bytes(&r, &f).n, 2);
	assert_int_equal(cox_pb_as_str(&r, &f).n, 0);
	assert_int_equal(cox_pb_finish(&r, NULL), COX_EPROTO);
	r = cox_pb_reader(BYTES("\x0a\x01x"));
	assert_true(cox_pb_next(&r, &f));
	assert_int_equal(cox_pb_as_u64(&r, &f), 0);
	assert_int_equal(cox_pb_finish(&r, NULL), COX_EPROTO);
	struct cox_str k, v;
	r = cox_pb_reader(BYTES("\x0a\x06\x0a\x01k\x12\x01v"));
	assert_true(cox_pb_next(&r, &f));
	cox_pb_as_str_entry(&r, &f, &k, &v);
	assert_true(cox_str_eq(k, COX_STR("k")) && cox_str_eq(v, COX_STR("v")));
	assert_int_equal(cox_pb_finish(&r, NULL), COX_OK);
	r = cox_pb_reader(BYTES("\x0b\x08\x01\x0c\x10\x05")); /* a group is skipped whole */
	assert_true(cox_pb_next(&r, &f));
	assert_int_equal(f.wire, COX_PB_GROUP);
	assert_true(cox_pb_next(&r, &f));
	assert_int_equal(cox_pb_as_u64(&r, &f), 5);
	r = cox_pb_reader((struct cox_str){ 0 });
	assert_false(cox_pb_next(&r, &f));
	assert_int_equal(cox_pb_finish(&r, NULL), COX_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scalars_are_written),        cmocka_unit_test(wrappers_and_durations_are_written),
		cmocka_unit_test(lengths_move_the_content),   cmocka_unit_test(packed_values_share_a_run),
		cmocka_unit_test(maps_and_anys_end_together), cmocka_unit_test(malformed_bytes_are_refused),
		cmocka_unit_test(depth_is_bounded),           cmocka_unit_test(values_are_checked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
