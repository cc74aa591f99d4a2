/* What a CA elsewhere is asked, and what is believed of its answer.
 * covers: c5 c7 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "ca/csr_request.h"
#include "ca/foreign_priv.h"
#include "ca/issue.h"

enum { NOW = 1800000000, DAY = 86400 };
#define WEB "spiffe://cluster.local/ns/default/sa/web"
#define ADMIN "spiffe://cluster.local/ns/default/sa/admin"

struct one {
	struct cox_buf root, root_key, inter, inter_key, key, csr, spki;
	struct cox_issuer *root_issuer, *issuer;
};

static int setup(void **state)
{
	struct one *o = COX_NEW(struct one);
	struct cox_ca_cert_spec spec = {
		.organization = COX_STR("else"), .now_s = NOW, .ttl_s = 100 * DAY, .backdate_s = 120, .path_len = -1
	};
	assert_int_equal(cox_issue_root(COX_KEY_P256, &spec, &o->root, &o->root_key, NULL), COX_OK);
	assert_int_equal(cox_issuer_new(cox_buf_str(&o->root), cox_buf_str(&o->root_key), &o->root_issuer, NULL), COX_OK);
	spec.common_name = "between";
	assert_int_equal(cox_issue_intermediate(o->root_issuer, COX_KEY_P256, &spec, &o->inter, &o->inter_key, NULL), COX_OK);
	assert_int_equal(cox_issuer_new(cox_buf_str(&o->inter), cox_buf_str(&o->inter_key), &o->issuer, NULL), COX_OK);
	assert_int_equal(cox_key_make(COX_KEY_P256, false, &o->key, NULL), COX_OK);
	assert_int_equal(cox_csr_make(cox_buf_str(&o->key), COX_STR(WEB), &o->csr, NULL), COX_OK);
	assert_int_equal(cox_csr_check(cox_buf_str(&o->csr), &o->spki, NULL), COX_OK);
	*state = o;
	return 0;
}

static int teardown(void **state)
{
	struct one *o = *state;
	struct cox_buf *all[] = { &o->root, &o->root_key, &o->inter, &o->inter_key, &o->key, &o->csr, &o->spki };
	for (size_t i = 0; i < COX_LEN(all); i++) {
		cox_wipe(all[i]);
		cox_buf_fini(all[i]);
	}
	cox_issuer_free(&o->root_issuer);
	cox_issuer_free(&o->issuer);
	cox_free(o);
	return 0;
}

static void check_csr(struct one *o, const struct cox_str *uris, size_t uri_n, const struct cox_str *dns, size_t dns_n, const char *refused)
{
	struct cox_err err = { 0 };
	struct cox_ca_request r = { .csr_pem = cox_buf_str(&o->csr), .uris = uris, .uri_n = uri_n, .dns = dns, .dns_n = dns_n };
	assert_int_equal(foreign_check_csr(&r, &err), refused ? COX_EDENIED : COX_OK);
	if (refused && !strstr(err.text, refused))
		fail_msg("no \"%s\" in \"%s\"", refused, err.text);
}

static void test_csr(void **state)
{
	struct one *o = *state;
	const struct cox_str uris[] = { COX_STR_INIT(WEB), COX_STR_INIT(ADMIN) };
	const struct cox_str dns[] = { COX_STR_INIT("a.example"), COX_STR_INIT("b.example") };
	check_csr(o, uris, 1, NULL, 0, NULL);
	check_csr(o, uris + 1, 1, NULL, 0, "is not the caller's");
	check_csr(o, uris, 2, NULL, 0, "1 names, the caller has 2");
	check_csr(o, NULL, 0, dns, 1, "is not the caller's");
	cox_buf_clear(&o->csr);
	assert_int_equal(cox_csr_make_dns(cox_buf_str(&o->key), dns, 2, &o->csr, NULL), COX_OK);
	check_csr(o, NULL, 0, dns, 2, NULL);
	check_csr(o, NULL, 0, dns, 1, "\"b.example\" is not the caller's");
	check_csr(o, uris, 1, dns, 2, "2 names, the caller has 3");
	cox_buf_clear(&o->csr);
	assert_int_equal(cox_csr_make(cox_buf_str(&o->key), COX_STR(""), &o->csr, NULL), COX_OK);
	check_csr(o, uris, 1, NULL, 0, "0 names, the caller has 1");
	cox_buf_clear(&o->csr);
	cox_buf_append_str(&o->csr, COX_STR("junk"));
	struct cox_ca_request r = { .csr_pem = cox_buf_str(&o->csr) };
	assert_int_equal(foreign_check_csr(&r, NULL), COX_EINVAL);
}

/* Signs `uri` for the key of `spki`, with the chain behind; checks it as the answer to a request for WEB with our key. */
static void check_cert(struct one *o, struct cox_str spki, struct cox_str uri, struct cox_str roots, int64_t at_s, bool with_chain,
                       const char *refused)
{
	struct cox_buf pem = { 0 };
	struct cox_arena arena = { 0 };
	struct cox_err err = { 0 };
	struct cox_cert_info info;
	struct cox_str leaf, chain, web = COX_STR(WEB);
	struct cox_leaf_spec spec = { .spki_der = spki, .uris = &uri, .uri_n = 1, .now_s = NOW, .ttl_s = DAY, .backdate_s = 120 };
	struct cox_ca_request r = { .spki_der = cox_buf_str(&o->spki), .uris = &web, .uri_n = 1 };
	assert_int_equal(cox_issue_leaf(o->issuer, &spec, &pem, NULL, NULL), COX_OK);
	if (with_chain) {
		cox_buf_append_str(&pem, cox_buf_str(&o->inter));
		cox_buf_append_str(&pem, cox_buf_str(&o->root));
	}
	enum cox_rc rc = foreign_check_cert(&r, cox_buf_str(&pem), roots, at_s, &arena, &info, &leaf, &chain, &err);
	if (refused) {
		assert_int_equal(rc, COX_EPROTO);
		if (!strstr(err.text, refused))
			fail_msg("no \"%s\" in \"%s\"", refused, err.text);
	} else {
		assert_int_equal(rc, COX_OK);
		assert_int_equal(info.not_after_s, NOW + DAY);
		assert_true(cox_str_eq(chain, cox_buf_str(&o->inter))); /* the root is left out */
		assert_true(cox_str_has_prefix(cox_buf_str(&pem), leaf));
	}
	cox_arena_fini(&arena);
	cox_buf_fini(&pem);
}

static void test_answer(void **state)
{
	struct one *o = *state;
	struct cox_str spki = cox_buf_str(&o->spki), roots = cox_buf_str(&o->root), web = COX_STR(WEB);
	struct cox_buf other = { 0 }, other_key = { 0 }, csr = { 0 }, other_spki = { 0 };
	struct cox_ca_cert_spec spec = {
		.organization = COX_STR("third"), .now_s = NOW, .ttl_s = 100 * DAY, .backdate_s = 120, .path_len = -1
	};
	assert_int_equal(cox_issue_root(COX_KEY_P256, &spec, &other, &other_key, NULL), COX_OK);
	assert_int_equal(cox_csr_make(cox_buf_str(&other_key), COX_STR(""), &csr, NULL), COX_OK);
	assert_int_equal(cox_csr_check(cox_buf_str(&csr), &other_spki, NULL), COX_OK);
	check_cert(o, spki, web, roots, NOW, true, NULL);
	check_cert(o, spki, COX_STR(ADMIN), roots, NOW, true, "is not the caller's");
	check_cert(o, cox_buf_str(&other_spki), web, roots, NOW, true, "for another key");
	check_cert(o, spki, web, cox_buf_str(&other), NOW, true, "self-signed certificate");
	check_cert(o, spki, web, roots, NOW, false, "unable to get local issuer");
	check_cert(o, spki, web, roots, NOW + 2 * DAY, true, "expired");
	struct cox_buf *all[] = { &other, &other_key, &csr, &other_spki };
	for (size_t i = 0; i < COX_LEN(all); i++) {
		cox_wipe(all[i]);
		cox_buf_fini(all[i]);
	}
}

static void test_wire(void **state)
{
	struct one *o = *state;
	struct cox_buf bytes = { 0 }, pem = { 0 };
	struct cox_arena arena = { 0 };
	struct cox_err err = { 0 };
	struct cox_csr_request q = {
		.csr = cox_buf_str(&o->csr), .validity_s = 60, .cert_signer = COX_STR("one"), .impersonated = COX_STR(WEB)
	};
	struct cox_csr_request got;
	struct cox_str root = cox_buf_str(&o->root), inter = cox_buf_str(&o->inter);
	cox_csr_request_write(&q, &bytes);
	assert_int_equal(cox_csr_request_read(cox_buf_str(&bytes), &arena, &got, NULL), COX_OK);
	assert_true(cox_str_eq(got.csr, q.csr) && got.validity_s == 60);
	assert_true(cox_str_eq(got.cert_signer, q.cert_signer) && cox_str_eq(got.impersonated, q.impersonated));
	cox_buf_clear(&bytes);
	assert_int_equal(cox_csr_response_write(COX_STR("leaf"), inter, &root, 1, &bytes, NULL), COX_OK);
	assert_int_equal(cox_csr_response_read(cox_buf_str(&bytes), &pem, NULL), COX_OK);
	assert_true(cox_str_has_prefix(cox_buf_str(&pem), COX_STR("leaf\n-----BEGIN")));
	assert_int_equal(pem.n, 5 + inter.n + 1); /* without the root */
	assert_int_equal(cox_csr_response_read(COX_STR(""), &pem, &err), COX_EPROTO);
	assert_int_equal(cox_csr_response_read(COX_STR("\x0a\x04root"), &pem, &err), COX_EPROTO); /* roots alone */
	assert_non_null(strstr(err.text, "less than two"));
	assert_int_equal(cox_csr_response_read(COX_STR("\x0a\x7f"
	                                               "cut off"),
	                                       &pem, &err),
	                 COX_EPROTO);
	cox_arena_fini(&arena);
	cox_buf_fini(&bytes);
	cox_buf_fini(&pem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_csr, setup, teardown),
		cmocka_unit_test_setup_teardown(test_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wire, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
