/* covers: c39 c40 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "ca/ledger_priv.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ALICE COX_STR("spiffe://cluster.local/ns/shop/sa/alice")
#define BOB COX_STR("spiffe://cluster.local/ns/shop/sa/bob")
#define CAROL COX_STR("spiffe://cluster.local/ns/bank/sa/carol")

static int64_t now_s(void) { return cox_clock_wall_ms() / 1000; }

static void serials_in_every_form(void **state)
{
	(void)state;
	char out[COX_CERT_SERIAL_HEX_MAX];
	assert_int_equal(ledger_serial_normalize(COX_STR("00:AB:cd"), out), COX_OK);
	assert_string_equal(out, "abcd");
	assert_int_equal(ledger_serial_normalize(COX_STR("0x0F"), out), COX_OK);
	assert_string_equal(out, "f");
	assert_int_equal(ledger_serial_normalize(COX_STR(""), out), COX_EINVAL);
	assert_int_equal(ledger_serial_normalize(COX_STR("xyz"), out), COX_EINVAL);
	assert_int_equal(ledger_serial_normalize(COX_STR("11111111111111111111111111111111111111111"), out), COX_EINVAL);
}

static void texts_come_back(void **state)
{
	(void)state;
	struct issued_doc d = { 0 };
	issued_line_write(COX_STR("ab"), 100, COX_STR("ff"), ALICE, &d.text);
	issued_line_write(COX_STR("cd"), 300, COX_STR("ff"), COX_STR("spiffe://x\ty\nz"), &d.text);
	cox_buf_append_cstr(&d.text, "a line from\tthe future\n");
	assert_int_equal(issued_doc_parse(&d), 1);
	assert_int_equal(d.items.n, 2);
	assert_true(cox_str_eq(d.items.p[0].uri, ALICE));
	assert_true(cox_str_eq(d.items.p[1].uri, COX_STR("spiffe://x y z"))); /* no text breaks the lines */
	assert_int_equal(d.last_not_after_s, 300);
	cox_buf_fini(&d.text);
	cox_vec_fini(&d.items);

	struct revoked_doc r = { 0 }, again = { 0 };
	struct cox_buf text = { 0 };
	assert_true(revoked_doc_add(&r, COX_STR("cd"), 300, 50, COX_STR("lost")));
	assert_true(revoked_doc_add(&r, COX_STR("ab"), 100, 50, COX_STR("two\nlines")));
	assert_false(revoked_doc_add(&r, COX_STR("ab"), 100, 60, COX_STR("")));
	assert_true(revoked_doc_block(&r, BLOCK_NAMESPACE, COX_STR("shop"), 50, COX_STR("why")));
	assert_false(revoked_doc_block(&r, BLOCK_NAMESPACE, COX_STR("shop"), 60, COX_STR("")));
	revoked_doc_write(&r, 200, &text); /* "ab" has expired */
	revoked_doc_parse(&again, cox_buf_str(&text));
	assert_int_equal(again.serials.n, 1);
	assert_true(cox_str_eq(revoked_doc_find(&again, COX_STR("cd"))->reason, COX_STR("lost")));
	assert_null(revoked_doc_find(&again, COX_STR("ab")));
	assert_non_null(revoked_doc_blocks(&again, BOB));
	assert_null(revoked_doc_blocks(&again, CAROL));
	assert_true(revoked_doc_unblock(&again, BLOCK_NAMESPACE, COX_STR("shop")));
	assert_true(revoked_doc_remove(&again, COX_STR("cd")));
	assert_false(revoked_doc_remove(&again, COX_STR("cd")));
	cox_buf_fini(&text);
	revoked_doc_fini(&r);
	revoked_doc_fini(&again);
}

/* --- the ledger with a directory: two of them share it, as replicas do --------------------------------- */

struct heard {
	size_t revoked, calls, blocked;
	bool is_ready;
};
static void on_revoked(void *ctx, const struct cox_ca_revoked *items, size_t n)
{
	struct heard *h = ctx;
	(void)items;
	h->revoked = n;
	h->calls++;
}
static void on_ready(void *ctx, enum cox_rc rc)
{
	assert_int_equal(rc, COX_OK);
	((struct heard *)ctx)->is_ready = true;
}
static void on_blocked(void *ctx) { ((struct heard *)ctx)->blocked++; }
static bool is_ready(void *ctx) { return ((struct heard *)ctx)->is_ready; }

struct answer {
	enum cox_rc rc;
	size_t n;
	bool is_done;
	char text[384];
};
static void on_done(void *ctx, enum cox_rc rc, size_t n, const struct cox_err *err)
{
	struct answer *a = ctx;
	*a = (struct answer){ rc, n, true, "" };
	if (err)
		snprintf(a->text, sizeof(a->text), "%s", err->text);
}
static bool is_done(void *ctx) { return ((struct answer *)ctx)->is_done; }

static struct cox_ledger *open_one(struct cox_loop *loop, const char *dir, const char *replica, struct heard *h)
{
	struct cox_ledger *l;
	assert_int_equal(cox_ledger_open(&(struct cox_ledger_spec){ .loop = loop,
	                                                            .state_dir = dir,
	                                                            .replica = cox_str_of(replica),
	                                                            .on_revoked = on_revoked,
	                                                            .on_ready = on_ready,
	                                                            .on_blocked = on_blocked,
	                                                            .ctx = h },
	                                 &l, NULL),
	                 COX_OK);
	if (dir)
		assert_true(cox_loop_run_until(loop, is_ready, h, 5000));
	return l;
}

static struct answer do_revoke(struct cox_loop *loop, struct cox_ledger *l, struct cox_revoke r)
{
	struct answer a = { 0 };
	cox_ledger_revoke(l, &r, on_done, &a);
	assert_true(cox_loop_run_until(loop, is_done, &a, 5000));
	return a;
}

static size_t listed(struct cox_ledger *l, bool revoked_only)
{
	struct cox_arena arena = { 0 };
	struct cox_json *v = cox_ledger_dump(l, &arena);
	size_t n = 0;
	for (size_t i = 0; i < v->n; i++)
		n += !revoked_only || cox_json_get(&v->items[i], COX_STR("revoked"))->boolean;
	cox_arena_fini(&arena);
	return n;
}

struct want {
	struct cox_ledger *l;
	size_t n;
};
static bool lists(void *ctx) { return listed(((struct want *)ctx)->l, false) == ((struct want *)ctx)->n; }
static bool is_revoked_n(void *ctx) { return listed(((struct want *)ctx)->l, true) == ((struct want *)ctx)->n; }
static void note_closed(void *ctx) { *(bool *)ctx = true; }
static bool is_set(void *ctx) { return *(bool *)ctx; }

static void close_one(struct cox_loop *loop, struct cox_ledger *l)
{
	bool closed = false;
	cox_ledger_close(&l, note_closed, &closed);
	assert_true(cox_loop_run_until(loop, is_set, &closed, 5000));
}

static void replicas_share_and_restarts_remember(void **state)
{
	(void)state;
	char dir[] = "/tmp/ledger-XXXXXX", command[64];
	assert_non_null(mkdtemp(dir));
	struct cox_loop *loop = cox_loop_new("test");
	struct heard ha = { 0 }, hb = { 0 }, hc = { 0 };
	struct cox_ledger *a = open_one(loop, dir, "pod-A", &ha), *b = open_one(loop, dir, "pod.b", &hb);
	cox_ledger_add(a, COX_STR("a1"), ALICE, now_s() + 1000, COX_STR("k1"));
	cox_ledger_add(a, COX_STR("b1"), BOB, now_s() + 1000, COX_STR("k1"));
	cox_ledger_add(a, COX_STR("b0"), BOB, now_s() - 10, COX_STR("k1")); /* has expired: nothing to revoke */
	cox_ledger_add(b, COX_STR("c1"), CAROL, now_s() + 1000, COX_STR("k1"));
	assert_true(cox_loop_run_until(loop, lists, &(struct want){ b, 3 }, 5000));
	assert_true(cox_loop_run_until(loop, lists, &(struct want){ a, 3 }, 5000));

	/* What is no revocation. */
	assert_int_equal(do_revoke(loop, b, (struct cox_revoke){ .serial = COX_STR("a1"), .ns = COX_STR("shop") }).rc, COX_EINVAL);
	assert_int_equal(do_revoke(loop, b, (struct cox_revoke){ .serial = COX_STR("ffff") }).rc, COX_EINVAL);
	assert_int_equal(do_revoke(loop, b, (struct cox_revoke){ .identity = COX_STR("alice") }).rc, COX_EINVAL);

	/* By identity at one replica: the other knows, too, and refuses renewal. */
	struct answer done = do_revoke(loop, b, (struct cox_revoke){ .identity = BOB, .reason = COX_STR("stolen") });
	assert_int_equal(done.rc, COX_OK);
	assert_int_equal(done.n, 1);
	assert_true(cox_loop_run_until(loop, is_revoked_n, &(struct want){ a, 1 }, 5000));
	struct cox_err err = { 0 };
	assert_int_equal(cox_ledger_check(a, BOB, COX_STR(""), &err), COX_EDENIED);
	assert_non_null(strstr(err.text, "stolen"));
	assert_int_equal(cox_ledger_check(a, ALICE, COX_STR("b1"), &err), COX_EDENIED);
	assert_int_equal(cox_ledger_check(a, ALICE, COX_STR("a1"), &err), COX_OK);
	assert_int_equal(ha.revoked, 1);
	assert_true(ha.blocked > 0);

	/* A certificate of a blocked identity that another replica made meanwhile is revoked as soon as it is seen. */
	cox_ledger_add(b, COX_STR("b2"), BOB, now_s() + 1000, COX_STR("k1"));
	assert_true(cox_loop_run_until(loop, is_revoked_n, &(struct want){ a, 2 }, 5000));

	/* Taken back: renewal is allowed, the old certificates stay revoked. By serial the certificate comes back, too. */
	assert_int_equal(do_revoke(loop, a, (struct cox_revoke){ .identity = BOB, .is_undone = true }).rc, COX_OK);
	assert_int_equal(cox_ledger_check(a, COX_STR("spiffe://cluster.local/ns/shop/sa/none"), COX_STR(""), NULL), COX_OK);
	assert_int_equal(do_revoke(loop, a, (struct cox_revoke){ .serial = COX_STR("0x00A1") }).n, 1);
	assert_true(cox_loop_run_until(loop, is_revoked_n, &(struct want){ b, 3 }, 5000));
	assert_int_equal(do_revoke(loop, a, (struct cox_revoke){ .serial = COX_STR("a1"), .is_undone = true }).n, 1);
	assert_true(cox_loop_run_until(loop, is_revoked_n, &(struct want){ b, 2 }, 5000));
	close_one(loop, a);
	close_one(loop, b);

	struct cox_ledger *c = open_one(loop, dir, "pod-c", &hc);
	assert_true(cox_loop_run_until(loop, lists, &(struct want){ c, 4 }, 5000));
	assert_int_equal(cox_ledger_check(c, COX_STR(""), COX_STR("b1"), NULL), COX_EDENIED);
	assert_int_equal(do_revoke(loop, c, (struct cox_revoke){ .ns = COX_STR("bank") }).n, 1);
	assert_int_equal(cox_ledger_check(c, CAROL, COX_STR(""), NULL), COX_EDENIED);
	close_one(loop, c);
	cox_loop_free(&loop);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
}

static void on_rotate(void *ctx) { ((struct heard *)ctx)->calls += 1000; }
static bool is_asked(void *ctx) { return ((struct heard *)ctx)->calls >= 1000; }
static void on_asked(void *ctx, enum cox_rc rc, const struct cox_err *err)
{
	(void)err;
	assert_int_equal(rc, COX_OK);
	*(bool *)ctx = true;
}

/* covers: c2 */
static void a_rotation_is_asked_for(void **state)
{
	(void)state;
	char dir[] = "/tmp/ledger-XXXXXX", command[64];
	assert_non_null(mkdtemp(dir));
	struct cox_loop *loop = cox_loop_new("test");
	struct heard ha = { 0 }, hb = { 0 };
	struct cox_ledger *a = open_one(loop, dir, "a", &ha), *b;
	assert_int_equal(
	    cox_ledger_open(
	        &(struct cox_ledger_spec){ .loop = loop, .state_dir = dir, .replica = COX_STR("b"), .on_rotate = on_rotate, .ctx = &hb },
	        &b, NULL),
	    COX_OK);
	bool asked = false;
	cox_ledger_rotate_ask(a, on_asked, &asked);
	assert_true(cox_loop_run_until(loop, is_set, &asked, 5000));
	assert_true(cox_loop_run_until(loop, is_asked, &hb, 5000));
	cox_ledger_rotate_taken(b);

	cox_ledger_add(a, COX_STR("1"), ALICE, now_s() + 50, COX_STR("old"));
	cox_ledger_add(a, COX_STR("2"), ALICE, now_s() + 90, COX_STR("new"));
	assert_true(cox_loop_run_until(loop, lists, &(struct want){ b, 2 }, 5000));
	assert_true(cox_ledger_last_by_others(b, COX_STR("new")) > now_s());
	assert_true(cox_ledger_last_by_others(b, COX_STR("new")) < now_s() + 60);
	assert_int_equal(do_revoke(loop, b, (struct cox_revoke){ .serial = COX_STR("1") }).n, 1);
	assert_int_equal(cox_ledger_last_by_others(b, COX_STR("new")), 0);
	close_one(loop, a);
	close_one(loop, b);
	cox_loop_free(&loop);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
}

static void full_texts_are_left_behind(void **state)
{
	(void)state;
	struct cox_loop *loop = cox_loop_new("test");
	struct heard h = { 0 };
	char serial[16];
	struct cox_ledger *l = open_one(loop, NULL, "r", &h);
	for (int i = 0; i < 2500; i++) {
		snprintf(serial, sizeof(serial), "%x", i + 1);
		cox_ledger_add(l, cox_str_of(serial), ALICE, now_s() + 1000, COX_STR("k"));
	}
	assert_true(cox_loop_run_until(loop, lists, &(struct want){ l, 2500 }, 5000));
	assert_int_equal(do_revoke(loop, l, (struct cox_revoke){ .ns = COX_STR("shop") }).n, 2500);
	assert_int_equal(h.revoked, 2500);
	close_one(loop, l);
	cox_loop_free(&loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(serials_in_every_form),
		cmocka_unit_test(texts_come_back),
		cmocka_unit_test(replicas_share_and_restarts_remember),
		cmocka_unit_test(a_rotation_is_asked_for),
		cmocka_unit_test(full_texts_are_left_behind),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
