/* The pure parts of authentication: tokens, key sets, XFCC, address ranges, answers of TokenReview.
 * covers: c24 c25 c27 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "ca/authn_jwt.h"
#include "ca/authn_review.h"
#include "ca/authn_xfcc.h"
#include "ca/tokens.h"
#include "codec/b64.h"

#include <stdio.h>

enum { NOW = 1800000000 };
static const struct cox_str ours[] = { COX_STR_INIT("istio-ca"), COX_STR_INIT("other-of-ours") };

/* --- tokens ------------------------------------------------------------------------------------------- */

static enum cox_rc parse_json(const char *header, const char *claims, struct cox_arena *arena, struct cox_jwt *out, struct cox_err *err)
{
	struct cox_buf b = { 0 };
	cox_b64url_encode(&b, cox_str_of(header));
	cox_buf_append_char(&b, '.');
	cox_b64url_encode(&b, cox_str_of(claims));
	cox_buf_append_cstr(&b, ".c2ln");
	struct cox_str copy = cox_arena_str(arena, cox_buf_str(&b));
	cox_buf_fini(&b);
	return cox_jwt_parse(copy, arena, out, err);
}

static void test_jwt_parse(void **state)
{
	(void)state;
	struct cox_arena arena = { 0 };
	struct cox_jwt j;
	struct cox_err err = { 0 };
	assert_int_equal(parse_json("{\"alg\":\"RS256\",\"kid\":\"k\"}",
	                            "{\"iss\":\"i\",\"sub\":\"s\",\"aud\":[\"a\",\"b\"],\"exp\":12.5,\"nbf\":3}", &arena, &j, &err),
	                 COX_OK);
	assert_true(cox_str_eq_cstr(j.alg, "RS256") && cox_str_eq_cstr(j.kid, "k") && cox_str_eq_cstr(j.issuer, "i") &&
	            cox_str_eq_cstr(j.subject, "s"));
	assert_int_equal(j.audience_n, 2);
	assert_int_equal(j.exp_s, 12);
	assert_int_equal(j.nbf_s, 3);
	static const struct {
		const char *header, *claims, *text;
	} refused[] = {
		{ "{\"alg\":\"none\"}", "{}", "not signed" },
		{ "{\"alg\":\"NoNe\"}", "{}", "not signed" },
		{ "{}", "{}", "not signed" },
		{ "{\"alg\":1}", "{}", "alg is no text" },
		{ "{\"alg\":\"RS256\",\"crit\":[\"exp\"]}", "{}", "critical" },
		{ "{\"alg\":\"RS256\",\"alg\":\"HS256\"}", "{}", "no JSON object" },
		{ "[]", "{}", "header is no JSON object" },
		{ "{\"alg\":\"RS256\"}", "[]", "payload is no JSON object" },
		{ "{\"alg\":\"RS256\"}", "{\"exp\":\"soon\"}", "exp is no time" },
		{ "{\"alg\":\"RS256\"}", "{\"exp\":-1}", "exp is no time" },
		{ "{\"alg\":\"RS256\"}", "{\"exp\":1e300}", "exp is no time" },
		{ "{\"alg\":\"RS256\"}", "{\"aud\":{}}", "aud is neither" },
		{ "{\"alg\":\"RS256\"}", "{\"aud\":[1]}", "aud is neither" },
		{ "{\"alg\":\"RS256\"}", "{\"iss\":[]}", "iss is no text" },
	};
	for (size_t i = 0; i < COX_LEN(refused); i++) {
		assert_int_equal(parse_json(refused[i].header, refused[i].claims, &arena, &j, &err), COX_EINVAL);
		assert_non_null(strstr(err.text, refused[i].text));
	}
	static const char *const shapes[] = { "",
		                              ".",
		                              "..",
		                              "a.b",
		                              "e30.e30",
		                              "e30.e30.",
		                              ".e30.e30",
		                              "e30..e30",
		                              "e30.e30.e30.e30",
		                              "!!.e30.e30",
		                              "e30.e30.e30.e30.e30",
		                              /* base64 that cjose must not see */ "e30.e30.A",
		                              "e30.e30.AAAAA",
		                              "e30.e30.AA==",
		                              "e30.e30.A+A",
		                              "e30.e30.A A",
		                              "e30=.e30.AA" };
	for (size_t i = 0; i < COX_LEN(shapes); i++)
		assert_int_equal(cox_jwt_parse(cox_str_of(shapes[i]), &arena, &j, &err), COX_EINVAL);
	char *longest = cox_zalloc(COX_JWT_BYTES_MAX + 1);
	assert_int_equal(cox_jwt_parse(cox_str_make(longest, COX_JWT_BYTES_MAX + 1), &arena, &j, &err), COX_ELIMIT);
	cox_free(longest);
	cox_arena_fini(&arena);
}

static void test_jwt_check(void **state)
{
	(void)state;
	static const struct {
		const char *issuer, *aud;
		int64_t exp, nbf, iat;
		const char *text;
	} cases[] = {
		{ "i", "istio-ca", NOW + 60, 0, 0, NULL },
		{ "i", "other-of-ours", NOW + 60, NOW - 60, NOW - 60, NULL },
		{ "i", "istio-ca", NOW - COX_JWT_SKEW_S, 0, 0, NULL },
		{ "i", "istio-ca", NOW - COX_JWT_SKEW_S - 1, 0, 0, "expired 31 s ago" },
		{ "i", "istio-ca", 0, 0, 0, "never expires" },
		{ "i", "istio-ca", NOW + 60, NOW + COX_JWT_SKEW_S, 0, NULL },
		{ "i", "istio-ca", NOW + 60, NOW + COX_JWT_SKEW_S + 1, 0, "valid in 31 s only" },
		{ "i", "istio-ca", NOW + 600, 0, NOW + 60, "in the future" },
		{ "I", "istio-ca", NOW + 60, 0, 0, "issuer \"I\" is not \"i\"" },
		{ "i", "istio-ca2", NOW + 60, 0, 0, "the token is for \"istio-ca2\"" },
	};
	struct cox_err err = { 0 };
	for (size_t i = 0; i < COX_LEN(cases); i++) {
		struct cox_str aud = cox_str_of(cases[i].aud);
		struct cox_jwt j = { .issuer = cox_str_of(cases[i].issuer),
			             .audiences = &aud,
			             .audience_n = 1,
			             .exp_s = cases[i].exp,
			             .nbf_s = cases[i].nbf,
			             .iat_s = cases[i].iat };
		assert_int_equal(cox_jwt_check(&j, COX_STR("i"), ours, COX_LEN(ours), NOW, &err), cases[i].text ? COX_EAUTH : COX_OK);
		if (cases[i].text)
			assert_non_null(strstr(err.text, cases[i].text));
	}
	struct cox_jwt none = { .issuer = COX_STR("i"), .exp_s = NOW + 60 };
	assert_int_equal(cox_jwt_check(&none, COX_STR("i"), ours, COX_LEN(ours), NOW, &err), COX_EAUTH);
}

static void test_service_account(void **state)
{
	(void)state;
	struct cox_str ns, name;
	assert_true(cox_service_account_split(COX_STR("system:serviceaccount:foo:bar"), &ns, &name));
	assert_true(cox_str_eq_cstr(ns, "foo") && cox_str_eq_cstr(name, "bar"));
	static const char *const refused[] = { "",
		                               "system:serviceaccount:",
		                               "system:serviceaccount:foo",
		                               "system:serviceaccount:foo:",
		                               "system:serviceaccount::bar",
		                               "system:serviceaccount:a:b:c",
		                               "System:serviceaccount:a:b",
		                               "system:node:a" };
	for (size_t i = 0; i < COX_LEN(refused); i++)
		assert_false(cox_service_account_split(cox_str_of(refused[i]), &ns, &name));
}

/* --- key sets ------------------------------------------------------------------------------------------- */

static enum cox_rc verify(const struct cox_jwks *keys, const char *token, struct cox_err *err)
{
	struct cox_arena arena = { 0 };
	struct cox_jwt j;
	assert_int_equal(cox_jwt_parse(cox_str_of(token), &arena, &j, err), COX_OK);
	enum cox_rc rc = cox_jwks_verify(keys, &j, err);
	cox_arena_fini(&arena);
	return rc;
}

static struct cox_jwks *set_of(cjose_jwk_t *const *keys, size_t n, const char *extra)
{
	struct cox_jwks *out = NULL;
	struct cox_err err = { 0 };
	char *text = tokens_jwks(keys, n, extra);
	assert_int_equal(cox_jwks_parse(cox_str_of(text), &out, &err), COX_OK);
	cox_free(text);
	return out;
}

static void test_signatures(void **state)
{
	(void)state;
	cjose_jwk_t *rsa = tokens_rsa("r", 2048), *ec = tokens_ec("e", CJOSE_JWK_EC_P_256), *ec384 = tokens_ec("e3", CJOSE_JWK_EC_P_384),
	            *stranger = tokens_ec("e", CJOSE_JWK_EC_P_256);
	cjose_jwk_t *keys[] = { rsa, ec, ec384 };
	struct cox_jwks *set = set_of(keys, 3, "");
	struct cox_err err = { 0 };
	static const struct {
		int key;
		const char *alg;
	} good[] = { { 0, "RS256" }, { 0, "RS384" }, { 0, "RS512" }, { 0, "PS256" }, { 0, "PS512" }, { 1, "ES256" }, { 2, "ES384" } };
	assert_int_equal(cox_jwks_count(set), 3);
	for (size_t i = 0; i < COX_LEN(good); i++) {
		char *token = tokens_sign(keys[good[i].key], good[i].alg, true, "{\"sub\":\"x\"}"),
		     *anonymous = tokens_sign(keys[good[i].key], good[i].alg, false, "{\"sub\":\"x\"}");
		assert_int_equal(verify(set, token, &err), COX_OK);
		assert_int_equal(verify(set, anonymous, &err), COX_OK); /* without kid every key that suits is tried */
		char *dot = strrchr(token, '.');
		dot[5] = dot[5] == 'A' ? 'B' : 'A';
		assert_int_equal(verify(set, token, &err), COX_EAUTH);
		cox_free(token);
		cox_free(anonymous);
	}
	/* the right name, another key */
	char *token = tokens_sign(stranger, "ES256", true, "{\"sub\":\"x\"}");
	assert_int_equal(verify(set, token, &err), COX_EAUTH);
	cox_free(token);
	/* an unknown name */
	cjose_jwk_t *unknown = tokens_ec("new", CJOSE_JWK_EC_P_256);
	token = tokens_sign(unknown, "ES256", true, "{\"sub\":\"x\"}");
	assert_int_equal(verify(set, token, &err), COX_ENOTFOUND);
	cox_free(token);
	cjose_jwk_release(unknown);
	cox_jwks_free(&set);
	cjose_jwk_release(rsa), cjose_jwk_release(ec), cjose_jwk_release(ec384), cjose_jwk_release(stranger);
}

/* An HMAC by the public key, which everybody knows; a key that is for encryption; one whose set names another algorithm; a short RSA key.
 */
static void test_confusion(void **state)
{
	(void)state;
	struct cox_err err = { 0 };
	cjose_jwk_t *rsa = tokens_rsa("r", 2048), *weak = tokens_rsa("w", 1024);
	struct cox_jwks *set = set_of(&rsa, 1, "");
	cjose_err e;
	char *public = cjose_jwk_to_json(rsa, false, &e);
	cjose_jwk_t *hmac = cjose_jwk_create_oct_spec((const uint8_t *)public, strlen(public), &e);
	cjose_get_dealloc()(public);
	cjose_jwk_set_kid(hmac, "r", 1, &e);
	char *token = tokens_sign(hmac, "HS256", true, "{\"sub\":\"x\"}");
	assert_int_equal(verify(set, token, &err), COX_EAUTH);
	assert_non_null(strstr(err.text, "HS256 are not accepted"));
	cox_free(token);
	cox_jwks_free(&set);
	set = set_of(&rsa, 1, "\"alg\":\"RS512\",\"use\":\"sig\"");
	token = tokens_sign(rsa, "RS256", true, "{\"sub\":\"x\"}");
	assert_int_equal(verify(set, token, &err), COX_ENOTFOUND);
	cox_free(token);
	cox_jwks_free(&set);
	struct {
		cjose_jwk_t *key;
		const char *extra;
	} useless[] = { { rsa, "\"use\":\"enc\"" }, { weak, "" }, { hmac, "" } };
	for (size_t i = 0; i < COX_LEN(useless); i++) {
		char *text = tokens_jwks(&useless[i].key, 1, useless[i].extra);
		assert_int_equal(cox_jwks_parse(cox_str_of(text), &set, &err), COX_EINVAL);
		assert_non_null(strstr(err.text, "none of the 1 keys"));
		cox_free(text);
	}
	static const char *const broken[] = { "",
		                              "[]",
		                              "{}",
		                              "{\"keys\":{}}",
		                              "{\"keys\":[]}",
		                              "{\"keys\":[1,{}]}",
		                              "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"!\",\"e\":\"AQAB\"}]}",
		                              "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AAAAA\",\"e\":\"AQAB\"}]}",
		                              "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AA==\",\"e\":\"AQAB\"}]}",
		                              "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"A\",\"y\":\"A\"}]}",
		                              "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAA\",\"y\":\"AAAA\"}]}" };
	for (size_t i = 0; i < COX_LEN(broken); i++)
		assert_int_equal(cox_jwks_parse(cox_str_of(broken[i]), &set, &err), COX_EINVAL);
	cjose_jwk_release(rsa), cjose_jwk_release(weak), cjose_jwk_release(hmac);
}

/* --- XFCC --------------------------------------------------------------------------------------------------- */

static void test_xfcc(void **state)
{
	(void)state;
	static const struct {
		const char *header;
		const char *uris;
	} good[] = {
		{ "By=spiffe://a/ns/b/sa/c;Hash=00ff;Subject=\"\";URI=spiffe://t/ns/n/sa/s", "spiffe://t/ns/n/sa/s " },
		{ "URI=spiffe://forged;Hash=1,Hash=2;URI=spiffe://true", "spiffe://true " }, /* only the last element is the gateway's */
		{ "URI=spiffe://forged,Hash=2", "" },
		{ "uri=a;URI=b", "a b " },
		{ "Subject=\"CN=x\\\",URI=spiffe://forged\";URI=\"q;,=\\\\\"", "q;,=\\ " },
		{ "Hash=1;URI=", "" },
		{ " By = x ; URI = y ", "y " },
	};
	static const char *const refused[] = {
		"", " ", "x", "=x", "a=b,", "a=b;", ",a=b", "Subject=\"open", "Subject=\"a\"b", "Subject=\"a\\", ";=", "a,b=c"
	};
	struct cox_arena arena = { 0 };
	struct cox_err err = { 0 };
	struct cox_str uris[COX_XFCC_URIS_MAX];
	size_t n;
	for (size_t i = 0; i < COX_LEN(good); i++) {
		char text[256] = "";
		assert_int_equal(cox_xfcc_uris(cox_str_of(good[i].header), &arena, uris, &n, &err), COX_OK);
		for (size_t k = 0; k < n; k++)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%.*s ", COX_FMT(uris[k]));
		assert_string_equal(text, good[i].uris);
	}
	for (size_t i = 0; i < COX_LEN(refused); i++)
		assert_int_equal(cox_xfcc_uris(cox_str_of(refused[i]), &arena, uris, &n, &err), COX_EINVAL);
	struct cox_buf many = { 0 };
	for (int i = 0; i < COX_XFCC_URIS_MAX + 1; i++)
		cox_buf_append_cstr(&many, i ? ";URI=u" : "URI=u");
	assert_int_equal(cox_xfcc_uris(cox_buf_str(&many), &arena, uris, &n, &err), COX_EINVAL);
	cox_buf_fini(&many);
	cox_arena_fini(&arena);
}

static void test_cidrs(void **state)
{
	(void)state;
	cox_cidrs c = { 0 };
	struct cox_err err = { 0 };
	assert_int_equal(cox_cidrs_parse(COX_STR("10.1.0.0/16, 192.0.2.7,fd00:1::/33,"), &c, &err), COX_OK);
	assert_int_equal(c.n, 3);
	static const struct {
		const char *peer;
		bool is_in;
	} cases[] = {
		{ "10.1.255.1:80", true },
		{ "10.2.0.1:80", false },
		{ "192.0.2.7:1", true },
		{ "192.0.2.8:1", false },
		{ "[fd00:1::5]:80", true },
		{ "[fd00:1:7fff::5]:80", true },
		{ "[fd00:1:8000::5]:80", false },
		{ "[::ffff:10.1.0.9]:80", true },
		{ "[::]:80", false },
		{ "unix:/x", false },
		{ "", false },
		{ ":", false },
	};
	for (size_t i = 0; i < COX_LEN(cases); i++)
		assert_int_equal(cox_cidrs_have(&c, cox_str_of(cases[i].peer)), cases[i].is_in);
	cox_vec_fini(&c);
	static const char *const refused[] = { "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "::/129", "x", "10.0.0/8", "10.0.0.0/8/8" };
	for (size_t i = 0; i < COX_LEN(refused); i++) {
		assert_int_equal(cox_cidrs_parse(cox_str_of(refused[i]), &c, &err), COX_EINVAL);
		cox_vec_fini(&c);
	}
	assert_int_equal(cox_cidrs_parse(COX_STR("0.0.0.0/0"), &c, &err), COX_OK);
	assert_true(cox_cidrs_have(&c, COX_STR("8.8.8.8:53")));
	assert_false(cox_cidrs_have(&c, COX_STR("[2001:db8::1]:53")));
	cox_vec_fini(&c);
}

/* --- TokenReview ---------------------------------------------------------------------------------------------- */

#define USER                                                                                                                       \
	"\"user\":{\"username\":\"system:serviceaccount:ns:sa\",\"groups\":[\"system:serviceaccounts\",\"system:authenticated\"]," \
	"\"extra\":{\"authentication.kubernetes.io/pod-name\":[\"p\"],\"authentication.kubernetes.io/pod-uid\":[\"u\"],\"authentication.kubernetes.io/node-name\":[\"n\"]}}"
#define REVIEW(status) "{\"kind\":\"TokenReview\",\"status\":{" status "}}"

static void test_review(void **state)
{
	(void)state;
	struct cox_arena arena = { 0 };
	struct cox_review r;
	struct cox_err err = { 0 };
	assert_int_equal(
	    cox_review_read(COX_STR(REVIEW("\"authenticated\":true,\"audiences\":[\"istio-ca\"]," USER)), ours, 2, &arena, &r, &err),
	    COX_OK);
	assert_true(cox_str_eq_cstr(r.ns, "ns") && cox_str_eq_cstr(r.service_account, "sa") && cox_str_eq_cstr(r.pod_name, "p") &&
	            cox_str_eq_cstr(r.pod_uid, "u") && cox_str_eq_cstr(r.node_name, "n"));
	static const struct {
		const char *body;
		enum cox_rc rc;
		const char *text;
	} refused[] = {
		{ "", COX_EPROTO, "no JSON" },
		{ "{}", COX_EPROTO, "no TokenReview" },
		{ "{\"kind\":\"Status\",\"status\":\"Failure\"}", COX_EPROTO, "no TokenReview" },
		{ "{\"kind\":\"TokenReview\",\"status\":\"yes\"}", COX_EPROTO, "no TokenReview" },
		{ REVIEW("\"authenticated\":false,\"error\":\"token expired\""), COX_EAUTH, "token expired" },
		{ REVIEW(USER), COX_EAUTH, "does not accept" },
		{ REVIEW("\"authenticated\":\"true\",\"audiences\":[\"istio-ca\"]," USER), COX_EAUTH, "does not accept" },
		{ REVIEW("\"authenticated\":true,\"error\":\"half\",\"audiences\":[\"istio-ca\"]," USER), COX_EAUTH, "half" },
		{ REVIEW("\"authenticated\":true," USER), COX_EAUTH, "another audience" },
		{ REVIEW("\"authenticated\":true,\"audiences\":[\"vault\"]," USER), COX_EAUTH, "another audience" },
		{ REVIEW(
		      "\"authenticated\":true,\"audiences\":[\"istio-ca\"],\"user\":{\"username\":\"alice\",\"groups\":[\"system:serviceaccounts\"]}"),
		  COX_EAUTH, "not of a service account" },
		{ REVIEW(
		      "\"authenticated\":true,\"audiences\":[\"istio-ca\"],\"user\":{\"username\":\"system:serviceaccount:ns:sa\",\"groups\":[]}"),
		  COX_EAUTH, "not of a service account" },
	};
	for (size_t i = 0; i < COX_LEN(refused); i++) {
		assert_int_equal(cox_review_read(cox_str_of(refused[i].body), ours, 2, &arena, &r, &err), refused[i].rc);
		assert_non_null(strstr(err.text, refused[i].text));
	}
	struct cox_buf b = { 0 };
	cox_review_write(COX_STR("to\"ken"), ours, 2, &b);
	assert_string_equal(
	    cox_buf_cstr(&b),
	    "{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"TokenReview\",\"spec\":{\"token\":\"to\\\"ken\",\"audiences\":[\"istio-ca\",\"other-of-ours\"]}}");
	cox_buf_fini(&b);
	cox_arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_jwt_parse),  cmocka_unit_test(test_jwt_check), cmocka_unit_test(test_service_account),
		cmocka_unit_test(test_signatures), cmocka_unit_test(test_confusion), cmocka_unit_test(test_xfcc),
		cmocka_unit_test(test_cidrs),      cmocka_unit_test(test_review),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
