/* The phases of a rotation, sets of operators, and the state as it is stored.
 * covers: c1 c2 c3 c4 c30 c31 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "authority_fixture.h"
#include "ca/state_priv.h"

enum { KEEP = 1000 };
static int64_t now_s(void) { return cox_clock_wall_ms() / 1000; }

static enum cox_rc build(const struct plugged *p, struct cox_str more_roots, struct cox_ca_key *out)
{
	struct cox_buf roots = { 0 };
	struct cox_err err = { 0 };
	cox_buf_append(&roots, p->root.p, p->root.n);
	cox_buf_append_str(&roots, more_roots);
	*out = (struct cox_ca_key){ 0 };
	enum cox_rc rc =
	    cox_ca_key_build(cox_buf_str(&p->cert), cox_buf_str(&p->key), cox_buf_str(&p->root), cox_buf_str(&roots), now_s(), out, &err);
	cox_buf_fini(&roots);
	return rc;
}
static size_t trust_count(const struct cox_ca_state *s)
{
	struct cox_arena arena = { 0 };
	struct cox_str *roots;
	size_t n;
	assert_int_equal(cox_rotate_trust(s, &arena, &roots, &n, NULL), COX_OK);
	cox_arena_fini(&arena);
	return n;
}
/* Written and read again. */
static void check_stored(const struct cox_ca_state *s)
{
	struct cox_ca_entries e = { 0 };
	struct cox_ca_state back;
	struct cox_ca_followers *f = COX_NEW(struct cox_ca_followers), *g = COX_NEW(struct cox_ca_followers);
	struct cox_err err = { 0 };
	cox_ca_followers_note_(f, s, "pod-1", true, now_s());
	cox_ca_followers_note_(f, s, "pod-2", false, now_s());
	assert_int_equal(cox_ca_state_write_(s, f, &e, NULL), COX_OK);
	if (cox_ca_state_read_(&e, &back, g, &err) != COX_OK)
		fail_msg("%s", err.text);
	assert_int_equal(back.phase, s->phase);
	assert_true(cox_ca_key_eq(&back.current, &s->current) && cox_ca_key_eq(&back.next, &s->next) &&
	            cox_ca_key_eq(&back.previous, &s->previous));
	assert_int_equal(back.retired_n, s->retired_n);
	if (s->phase != COX_CA_STEADY) {
		assert_int_equal(back.since_s, s->since_s);
		assert_int_equal(g->n, 2);
		assert_string_equal(g->items[1].name, "pod-2");
		assert_true(g->items[0].is_done && !g->items[1].is_done);
	}
	assert_true(cox_ca_entries_get_(&e, "ca-cert.pem").n && cox_ca_entries_get_(&e, "ca-key.pem").n &&
	            cox_ca_entries_get_(&e, "root-cert.pem").n);
	cox_ca_state_fini(&back);
	cox_ca_entries_fini_(&e);
	cox_free(f);
	cox_free(g);
}

static void test_combined_roots(void **state)
{
	struct plugged a, b;
	struct cox_ca_state s = { 0 };
	struct cox_ca_key both, alone;
	(void)state;
	plugged_make(&a, "a");
	plugged_make(&b, "b");
	assert_int_equal(build(&a, COX_STR(""), &s.current), COX_OK);
	assert_int_equal(build(&b, cox_buf_str(&a.root), &both), COX_OK);
	assert_int_equal(build(&b, COX_STR(""), &alone), COX_OK);
	check_stored(&s);
	/* A combined root-cert.pem: both are trusted, then the new one signs, and the old root stays until the operator takes it out. */
	assert_int_equal(cox_rotate_offer(&s, &both, 10), COX_OFFER_STARTED);
	assert_int_equal(cox_rotate_offer(&s, &both, 11), COX_OFFER_SAME);
	assert_int_equal(s.phase, COX_CA_DISTRIBUTE);
	assert_int_equal(trust_count(&s), 2);
	check_stored(&s);
	assert_true(cox_rotate_advance(&s, 20, KEEP));
	assert_int_equal(s.phase, COX_CA_SIGN);
	assert_true(cox_ca_key_eq(&s.current, &both));
	assert_int_equal(trust_count(&s), 2);
	check_stored(&s);
	assert_true(cox_rotate_advance(&s, 30, KEEP));
	assert_int_equal(s.phase, COX_CA_STEADY); /* nothing leaves the bundle */
	assert_int_equal(s.retired_n, 1);         /* its leaves may live: it signs CRLs */
	check_stored(&s);
	assert_int_equal(cox_rotate_offer(&s, &alone, 40), COX_OFFER_REPLACED);
	assert_int_equal(trust_count(&s), 1);
	assert_false(cox_rotate_expire(&s, 30 + KEEP - 1));
	assert_true(cox_rotate_expire(&s, 30 + KEEP));
	assert_int_equal(s.retired_n, 0);
	assert_false(cox_rotate_advance(&s, 50, KEEP));
	cox_ca_state_fini(&s);
	cox_ca_key_fini(&both);
	cox_ca_key_fini(&alone);
	plugged_fini(&a);
	plugged_fini(&b);
}

static void test_replaced_root(void **state)
{
	struct plugged a, b, c;
	struct cox_ca_state s = { 0 };
	struct cox_ca_key first, next, third;
	(void)state;
	plugged_make(&a, "a");
	plugged_make(&b, "b");
	plugged_make(&c, "c");
	assert_int_equal(build(&a, COX_STR(""), &first), COX_OK);
	assert_int_equal(build(&b, COX_STR(""), &next), COX_OK);
	assert_int_equal(build(&c, COX_STR(""), &third), COX_OK);
	cox_ca_key_copy(&first, &s.current);
	/* The operator replaced the root outright: we keep the old one trusted until all have followed. */
	assert_int_equal(cox_rotate_offer(&s, &next, 10), COX_OFFER_STARTED);
	assert_int_equal(cox_rotate_offer(&s, &first, 11), COX_OFFER_REPLACED); /* taken back */
	assert_int_equal(s.phase, COX_CA_STEADY);
	assert_int_equal(cox_rotate_offer(&s, &next, 12), COX_OFFER_STARTED);
	assert_int_equal(cox_rotate_offer(&s, &third, 13), COX_OFFER_STARTED); /* another one instead */
	assert_true(cox_ca_key_eq(&s.next, &third));
	assert_true(cox_rotate_advance(&s, 20, KEEP));
	assert_int_equal(trust_count(&s), 2);
	assert_int_equal(cox_rotate_offer(&s, &next, 21), COX_OFFER_BUSY);
	assert_true(cox_rotate_advance(&s, 30, KEEP));
	assert_int_equal(s.phase, COX_CA_RETIRE);
	assert_int_equal(trust_count(&s), 1);
	check_stored(&s);
	assert_true(cox_rotate_advance(&s, 40, KEEP));
	assert_int_equal(s.phase, COX_CA_STEADY);
	assert_int_equal(s.retired_n, 0); /* not trusted: no CRL of it */
	assert_int_equal(cox_rotate_offer(&s, &next, 50), COX_OFFER_STARTED);
	cox_ca_state_fini(&s);
	cox_ca_key_fini(&first);
	cox_ca_key_fini(&next);
	cox_ca_key_fini(&third);
	plugged_fini(&a);
	plugged_fini(&b);
	plugged_fini(&c);
}

static void test_many_intermediates(void **state)
{
	struct plugged a;
	struct cox_issuer *root;
	struct cox_ca_state s = { 0 };
	struct cox_ca_cert_spec spec = { .organization = COX_STR("i"), .now_s = now_s(), .ttl_s = 86400, .backdate_s = 60, .path_len = 0 };
	(void)state;
	plugged_make(&a, "a");
	assert_int_equal(build(&a, COX_STR(""), &s.current), COX_OK);
	assert_int_equal(cox_issuer_new(cox_buf_str(&a.root), cox_buf_str(&a.root_key), &root, NULL), COX_OK);
	for (int i = 0; i < COX_CA_RETIRED_MAX + 2; i++) {
		struct cox_ca_key set;
		cox_buf_clear(&a.cert);
		cox_buf_clear(&a.key);
		assert_int_equal(cox_issue_intermediate(root, COX_KEY_P256, &spec, &a.cert, &a.key, NULL), COX_OK);
		assert_int_equal(build(&a, COX_STR(""), &set), COX_OK);
		assert_int_equal(cox_rotate_offer(&s, &set, i), COX_OFFER_STARTED);
		assert_true(cox_rotate_advance(&s, i, KEEP));
		assert_true(cox_rotate_advance(&s, i, KEEP));
		assert_int_equal(s.phase, COX_CA_STEADY);
		assert_int_equal(s.retired_n, i + 1 < COX_CA_RETIRED_MAX ? i + 1 : COX_CA_RETIRED_MAX);
		check_stored(&s);
		cox_ca_key_fini(&set);
	}
	cox_issuer_free(&root);
	cox_ca_state_fini(&s);
	plugged_fini(&a);
}

static void check_set(struct cox_ca_entries *e, enum cox_rc rc, const char *text)
{
	struct cox_ca_key key = { 0 };
	struct cox_buf crl = { 0 };
	struct cox_err err = { 0 };
	enum cox_rc got = cox_ca_set_read_(e, now_s(), &key, &crl, &err);
	if (got != rc || (text && !strstr(err.text, text)))
		fail_msg("%s: %s", cox_rc_name(got), err.text);
	cox_ca_key_fini(&key);
	cox_buf_fini(&crl);
	cox_ca_entries_fini_(e);
}
static void add(struct cox_ca_entries *e, const char *name, const struct cox_buf *text)
{
	cox_buf_append_str(cox_ca_entries_add_(e, name), cox_buf_str(text));
}

static void test_sets(void **state)
{
	struct plugged a, b;
	struct cox_ca_entries e = { 0 };
	struct cox_buf text = { 0 };
	(void)state;
	plugged_make(&a, "a");
	plugged_make(&b, "b");
	check_set(&e, COX_ENOTFOUND, NULL);
	add(&e, "root-cert.pem", &a.root); /* roots alone, as beside another CA */
	check_set(&e, COX_ENOTFOUND, NULL);
	add(&e, "ca-cert.pem", &a.cert), add(&e, "root-cert.pem", &a.root);
	check_set(&e, COX_EINVAL, "ca-key.pem is missing");
	add(&e, "ca-cert.pem", &a.cert), add(&e, "ca-key.pem", &b.key), add(&e, "root-cert.pem", &a.root);
	check_set(&e, COX_EINVAL, "not the key");
	add(&e, "ca-cert.pem", &a.cert), add(&e, "ca-key.pem", &a.key), add(&e, "root-cert.pem", &b.root);
	check_set(&e, COX_EINVAL, "do not lead to root-cert.pem");
	add(&e, "ca-cert.pem", &a.cert), add(&e, "ca-key.pem", &a.key);
	check_set(&e, COX_EINVAL, "root-cert.pem");
	add(&e, "ca-cert.pem", &a.cert), add(&e, "ca-key.pem", &a.key), add(&e, "root-cert.pem", &a.root), add(&e, "ca-crl.pem", &a.cert);
	check_set(&e, COX_EINVAL, "ca-crl.pem");
	add(&e, "ca-cert.pem", &a.cert), add(&e, "ca-key.pem", &a.key), add(&e, "root-cert.pem", &a.root);
	check_set(&e, COX_OK, NULL);
	/* cert-manager's layout, the chain behind the certificate. */
	cox_buf_append(&text, a.cert.p, a.cert.n);
	cox_buf_append(&text, a.root.p, a.root.n);
	add(&e, "tls.crt", &text), add(&e, "tls.key", &a.key), add(&e, "ca.crt", &a.root);
	check_set(&e, COX_OK, NULL);
	/* A root that signs itself. */
	add(&e, "ca-cert.pem", &a.root), add(&e, "ca-key.pem", &a.root_key);
	check_set(&e, COX_OK, NULL);

	/* Expired, and a leaf in its place. */
	struct cox_issuer *root;
	struct cox_buf cert = { 0 }, key = { 0 }, csr = { 0 }, spki = { 0 };
	struct cox_ca_cert_spec old = { .organization = COX_STR("old"), .now_s = now_s() - 1000, .ttl_s = 100, .path_len = 0 };
	struct cox_str uri = COX_STR("spiffe://td/ns/a/sa/b");
	assert_int_equal(cox_issuer_new(cox_buf_str(&a.root), cox_buf_str(&a.root_key), &root, NULL), COX_OK);
	assert_int_equal(cox_issue_intermediate(root, COX_KEY_P256, &old, &cert, &key, NULL), COX_OK);
	add(&e, "ca-cert.pem", &cert), add(&e, "ca-key.pem", &key), add(&e, "root-cert.pem", &a.root);
	check_set(&e, COX_EINVAL, "has expired");
	old.now_s = now_s() + 1000;
	cox_buf_clear(&cert), cox_buf_clear(&key);
	assert_int_equal(cox_issue_intermediate(root, COX_KEY_P256, &old, &cert, &key, NULL), COX_OK);
	add(&e, "ca-cert.pem", &cert), add(&e, "ca-key.pem", &key), add(&e, "root-cert.pem", &a.root);
	check_set(&e, COX_EINVAL, "not valid yet");
	assert_int_equal(cox_csr_make(cox_buf_str(&a.key), COX_STR(""), &csr, NULL), COX_OK);
	assert_int_equal(cox_csr_check(cox_buf_str(&csr), &spki, NULL), COX_OK);
	cox_buf_clear(&cert);
	assert_int_equal(
	    cox_issue_leaf(
	        root, &(struct cox_leaf_spec){ .spki_der = cox_buf_str(&spki), .uris = &uri, .uri_n = 1, .now_s = now_s(), .ttl_s = 1000 },
	        &cert, NULL, NULL),
	    COX_OK);
	add(&e, "ca-cert.pem", &cert), add(&e, "ca-key.pem", &a.key), add(&e, "root-cert.pem", &a.root);
	check_set(&e, COX_EINVAL, "not one of a CA");
	cox_issuer_free(&root);
	cox_buf_fini(&cert), cox_buf_fini(&key), cox_buf_fini(&csr), cox_buf_fini(&spki), cox_buf_fini(&text);
	plugged_fini(&a);
	plugged_fini(&b);
}

static void test_followers(void **state)
{
	struct cox_ca_followers f = { .n = 0 };
	struct cox_ca_state s = { .phase = COX_CA_DISTRIBUTE, .since_s = 100 };
	(void)state;
	assert_false(cox_ca_followers_are_done_(&f, &s, 100));
	assert_true(cox_ca_followers_note_(&f, &s, "a", false, 100));
	assert_false(cox_ca_followers_note_(&f, &s, "a", false, 101));
	assert_true(cox_ca_followers_note_(&f, &s, "b", true, 101));
	assert_false(cox_ca_followers_are_done_(&f, &s, 101));
	assert_true(cox_ca_followers_note_(&f, &s, "a", true, 102));
	assert_true(cox_ca_followers_are_done_(&f, &s, 102));
	/* Of another phase. */
	s.phase = COX_CA_SIGN;
	assert_false(cox_ca_followers_are_done_(&f, &s, 103));
	assert_true(cox_ca_followers_note_(&f, &s, "a", true, 103));
	assert_false(cox_ca_followers_are_done_(&f, &s, 103));
	/* "b" was not heard of for so long that it is gone. */
	assert_true(cox_ca_followers_note_(&f, &s, "a", true, 103 + COX_CA_FOLLOWER_FRESH_S));
	assert_true(cox_ca_followers_are_done_(&f, &s, 103 + COX_CA_FOLLOWER_FRESH_S));
	assert_int_equal(f.n, 1);
}

static void test_state_refused(void **state)
{
	struct plugged a;
	struct cox_ca_entries e = { 0 };
	struct cox_ca_state s = { 0 };
	struct cox_err err = { 0 };
	(void)state;
	plugged_make(&a, "a");
	add(&e, "ca-cert.pem", &a.root), add(&e, "ca-key.pem", &a.root_key);
	assert_int_equal(cox_ca_state_read_(&e, &s, NULL, &err), COX_OK); /* istiod's: without root-cert.pem too */
	cox_ca_state_fini(&s);
	cox_buf_append_cstr(cox_ca_entries_add_(&e, "coxswain-rotation"), "phase DISTRIBUTE 5\n");
	assert_int_equal(cox_ca_state_read_(&e, &s, NULL, &err), COX_EINVAL);
	assert_non_null(strstr(err.text, "coxswain-next-cert.pem is missing"));
	e.p[2].value.n = 0;
	cox_buf_append_cstr(&e.p[2].value, "phase NONE 5\n");
	assert_int_equal(cox_ca_state_read_(&e, &s, NULL, &err), COX_EINVAL);
	assert_non_null(strstr(err.text, "not understood"));
	cox_ca_entries_fini_(&e);
	plugged_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_combined_roots),     cmocka_unit_test(test_replaced_root),
		                            cmocka_unit_test(test_many_intermediates), cmocka_unit_test(test_sets),
		                            cmocka_unit_test(test_followers),          cmocka_unit_test(test_state_refused) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
