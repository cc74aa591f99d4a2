/* Frames of the WebSocket protocol: lengths, masks, parts, and what is refused. covers: f16 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "net/ws_frame.h"

static void read_is(const char *bytes, size_t n, enum cox_rc want)
{
	struct cox_ws_frame f;
	struct cox_err err = { 0 };
	size_t used = 0;
	assert_int_equal(cox_ws_frame_read(cox_str_make(bytes, n), &f, &used, &err), want);
	if (want != COX_OK && want != COX_EAGAIN)
		assert_true(err.text[0]);
}

static void frames_read(void **state)
{
	struct cox_ws_frame f;
	size_t used = 0;
	static char big[70000];
	(void)state;
	/* RFC 6455, 5.7: "Hello" whole and in two parts, a ping. */
	assert_int_equal(cox_ws_frame_read(COX_STR("\x81\x05Hello\x89\x00"), &f, &used, NULL), COX_OK);
	assert_int_equal(f.opcode, COX_WS_TEXT);
	assert_true(f.is_last && cox_str_eq(f.payload, COX_STR("Hello")));
	assert_int_equal(used, 7);
	assert_int_equal(cox_ws_frame_read(COX_STR("\x01\x03Hel\x80\x02lo"), &f, &used, NULL), COX_OK);
	assert_true(!f.is_last && f.opcode == COX_WS_TEXT && cox_str_eq(f.payload, COX_STR("Hel")));
	assert_int_equal(cox_ws_frame_read(COX_STR("\x80\x02lo"), &f, &used, NULL), COX_OK);
	assert_true(f.is_last && f.opcode == COX_WS_MORE);
	/* 16 and 64 bits of length. */
	memcpy(big, "\x82\x7e\x01\x00", 4);
	assert_int_equal(cox_ws_frame_read(cox_str_make(big, 4 + 256), &f, &used, NULL), COX_OK);
	assert_int_equal(f.payload.n, 256);
	memcpy(big, "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10);
	assert_int_equal(cox_ws_frame_read(cox_str_make(big, 10 + 65536), &f, &used, NULL), COX_OK);
	assert_int_equal(f.payload.n, 65536);
	for (size_t n = 0; n < 10 + 65536; n += 1000)
		read_is(big, n, COX_EAGAIN);
}

static void refused(void **state)
{
	(void)state;
	read_is("\x81\x85"
	        "abcdHello",
	        11, COX_EPROTO);                 /* masked */
	read_is("\xc1\x05Hello", 7, COX_EPROTO); /* an extension's bit */
	read_is("\x83\x00", 2, COX_EPROTO);      /* a kind that is none */
	read_is("\x8b\x00", 2, COX_EPROTO);
	read_is("\x09\x00", 2, COX_EPROTO);         /* a ping in parts */
	read_is("\x89\x7e\x00\x80", 4, COX_EPROTO); /* a long ping */
	read_is("\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", 10, COX_ELIMIT);
	read_is("\x82\x7f\x00\x00\x00\x00\x00\x40\x00\x01", 10, COX_ELIMIT);
}

static void written(void **state)
{
	struct cox_buf b = { 0 };
	(void)state;
	/* RFC 6455, 5.7: a masked "Hello". */
	cox_ws_frame_write(&b, COX_WS_TEXT, COX_STR("Hello"), 0x37fa213d);
	assert_true(cox_str_eq(cox_buf_str(&b), COX_STR("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")));
	static const size_t lengths[] = { 0, 125, 126, 65535, 65536 }, heads[] = { 6, 6, 8, 8, 14 };
	char *zeros = cox_zalloc(65536);
	for (size_t i = 0; i < COX_LEN(lengths); i++) {
		cox_buf_clear(&b);
		cox_ws_frame_write(&b, COX_WS_BINARY, cox_str_make(zeros, lengths[i]), 0);
		assert_int_equal(b.n, heads[i] + lengths[i]);
		/* As a server would send it: without the mask. */
		b.p[1] = (char)(b.p[1] & 0x7f);
		memmove(b.p + heads[i] - 4, b.p + heads[i], lengths[i]);
		struct cox_ws_frame f;
		size_t used = 0;
		assert_int_equal(cox_ws_frame_read(cox_str_make(b.p, b.n - 4), &f, &used, NULL), COX_OK);
		assert_int_equal(f.payload.n, lengths[i]);
		assert_int_equal(used, b.n - 4);
	}
	cox_free(zeros);
	cox_buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(frames_read), cmocka_unit_test(refused), cmocka_unit_test(written) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
