/* Messages between the processes.
 * covers: c22 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "ca/wire.h"

#include <sys/socket.h>
#include <unistd.h>

static void sample(struct cox_wire *m)
{
	static struct cox_str roots[2] = { COX_STR_INIT("root 1"), COX_STR_INIT("") }, uris[1] = { COX_STR_INIT("spiffe://a/ns/b/sa/c") };
	static struct cox_wire_issuer issuers[2] = { { COX_STR_INIT("cert"), COX_STR_INIT("key"), true },
		                                     { COX_STR_INIT("c2"), COX_STR_INIT("k2"), false } };
	static struct cox_wire_revoked revoked[1] = { { COX_STR_INIT("ab"), 1700000000 } };
	*m = (struct cox_wire){ .type = COX_WIRE_KEYS,
		                .id = UINT64_MAX,
		                .rc = 3,
		                .phase = 2,
		                .is_plugged_in = true,
		                .ttl_s = -5,
		                .root_not_after_s = 1,
		                .issuer_not_after_s = 2,
		                .text = COX_STR("text"),
		                .spki_der = COX_STR("\0\1\377"),
		                .caller = COX_STR("me"),
		                .cert_pem = COX_STR("pem"),
		                .chain_pem = COX_STR("chain"),
		                .crl_pem = COX_STR("crl"),
		                .key_id = COX_STR("id"),
		                .roots = roots,
		                .root_n = 2,
		                .uris = uris,
		                .uri_n = 1,
		                .issuers = issuers,
		                .issuer_n = 2,
		                .revoked = revoked,
		                .revoked_n = 1 };
}
static void check(const struct cox_wire *a)
{
	assert_int_equal(a->type, COX_WIRE_KEYS);
	assert_true(a->id == UINT64_MAX && a->ttl_s == -5 && a->rc == 3 && a->phase == 2 && a->is_plugged_in && a->root_not_after_s == 1 &&
	            a->issuer_not_after_s == 2);
	assert_true(cox_str_eq(a->spki_der, COX_STR("\0\1\377")) && cox_str_eq(a->key_id, COX_STR("id")) &&
	            cox_str_eq(a->text, COX_STR("text")));
	assert_int_equal(a->root_n, 2);
	assert_int_equal(a->roots[1].n, 0);
	assert_int_equal(a->uri_n, 1);
	assert_int_equal(a->dns_n, 0);
	assert_int_equal(a->issuer_n, 2);
	assert_true(a->issuers[0].signs && !a->issuers[1].signs && cox_str_eq(a->issuers[1].key_pem, COX_STR("k2")));
	assert_int_equal(a->revoked_n, 1);
	assert_true(a->revoked[0].at_s == 1700000000 && cox_str_eq(a->revoked[0].serial, COX_STR("ab")));
}

static void test_round(void **state)
{
	struct cox_buf bytes = { 0 };
	struct cox_arena arena = { 0 };
	struct cox_wire m, out;
	struct cox_err err;
	(void)state;
	sample(&m);
	assert_int_equal(cox_wire_encode(&m, &bytes), COX_OK);
	size_t one = bytes.n;
	assert_int_equal(cox_wire_encode(&m, &bytes), COX_OK);
	struct cox_str rest = cox_buf_str(&bytes);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(cox_wire_decode(&rest, &arena, &out, &err), COX_OK);
		check(&out);
	}
	assert_int_equal(rest.n, 0);
	/* Each shorter text is not complete. */
	for (size_t n = 0; n < one; n++) {
		struct cox_str part = cox_str_sub(cox_buf_str(&bytes), 0, n);
		assert_int_equal(cox_wire_decode(&part, &arena, &out, &err), COX_EAGAIN);
		assert_int_equal(part.n, n);
	}
	cox_buf_fini(&bytes);
	cox_arena_fini(&arena);
}

static void test_broken(void **state)
{
	struct cox_arena arena = { 0 };
	struct cox_wire out;
	struct cox_err err;
	struct cox_str huge = COX_STR("\377\377\377\377\1"), type = COX_STR("\0\0\0\0\77"), none = COX_STR("\0\0\0\0\0"),
	               body = COX_STR("\2\0\0\0\1\377\377");
	(void)state;
	assert_int_equal(cox_wire_decode(&huge, &arena, &out, &err), COX_ELIMIT);
	assert_int_equal(cox_wire_decode(&type, &arena, &out, &err), COX_EPROTO);
	assert_int_equal(cox_wire_decode(&none, &arena, &out, &err), COX_EPROTO);
	assert_int_equal(cox_wire_decode(&body, &arena, &out, &err), COX_EPROTO);
	cox_arena_fini(&arena);
}

/* More than a socket takes at once, and what was secret is gone from the buffers afterwards. */
static void test_channel(void **state)
{
	int fds[2];
	struct cox_wire_chan a, b;
	struct cox_arena arena = { 0 };
	struct cox_wire m, out;
	struct cox_err err;
	unsigned got = 0;
	enum { MESSAGES = 20000 };
	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	cox_wire_chan_init(&a, fds[0], true);
	cox_wire_chan_init(&b, fds[1], true);
	sample(&m);
	assert_int_equal(cox_wire_fill(&b), COX_EAGAIN);
	for (int i = 0; i < MESSAGES; i++)
		assert_int_equal(cox_wire_encode(&m, &a.out), COX_OK);
	while (got < MESSAGES) {
		enum cox_rc rc = cox_wire_flush(&a);
		assert_true(rc == COX_OK || rc == COX_EAGAIN);
		assert_int_equal(cox_wire_fill(&b), COX_OK);
		while (cox_wire_next(&b, &arena, &out, &err) == COX_OK) {
			check(&out);
			got++;
			cox_arena_reset(&arena);
		}
		assert_true(b.in.cap < 1 << 20); /* it does not grow with what went through */
	}
	assert_int_equal(cox_wire_fill(&b), COX_EAGAIN);
	for (size_t i = 0; i < a.out.cap; i++)
		assert_int_equal(a.out.p[i], 0);
	for (size_t i = 0; i < b.in.cap; i++)
		assert_int_equal(b.in.p[i], 0);
	cox_wire_chan_fini(&a);
	assert_int_equal(cox_wire_fill(&b), COX_EIO);
	assert_int_equal(cox_wire_encode(&m, &b.out), COX_OK);
	assert_int_equal(cox_wire_flush(&b), COX_EIO);
	cox_wire_chan_fini(&b);
	cox_arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_round), cmocka_unit_test(test_broken), cmocka_unit_test(test_channel) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
