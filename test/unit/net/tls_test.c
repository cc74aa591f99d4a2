/* Client certificates: optional, verified against every root, refused by a revocation list; what a list out of date or missing does.
 * covers: c26 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "net/tls_priv.h"

#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- an authority ----------------------------------------------------------------------------------------- */

struct pair {
	X509 *x;
	EVP_PKEY *key;
	struct cox_buf cert_pem, key_pem;
};
static struct pair root, other_root, server, good, bad, stranger, old;

static void extend(X509 *x, X509V3_CTX *ctx, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, ctx, nid, value);
	assert_non_null(e);
	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
}
static void take(BIO *bio, struct cox_buf *out)
{
	char *p;
	long n = BIO_get_mem_data(bio, &p);
	cox_buf_append(out, p, (size_t)n);
	BIO_free(bio);
}
static void make(struct pair *p, const char *cn, const struct pair *issuer, long serial, const char *san, long ends_in_s)
{
	X509V3_CTX ctx;
	p->key = EVP_EC_gen("P-256");
	p->x = X509_new();
	X509_set_version(p->x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(p->x), serial);
	X509_gmtime_adj(X509_getm_notBefore(p->x), -1000);
	X509_gmtime_adj(X509_getm_notAfter(p->x), ends_in_s);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(p->x), "O", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0);
	X509_set_issuer_name(p->x, X509_get_subject_name(issuer ? issuer->x : p->x));
	X509_set_pubkey(p->x, p->key);
	X509V3_set_ctx(&ctx, issuer ? issuer->x : p->x, p->x, NULL, NULL, 0);
	extend(p->x, &ctx, NID_subject_key_identifier, "hash");
	if (!issuer)
		extend(p->x, &ctx, NID_basic_constraints, "critical,CA:TRUE");
	if (san)
		extend(p->x, &ctx, NID_subject_alt_name, san);
	assert_true(X509_sign(p->x, issuer ? issuer->key : p->key, EVP_sha256()) > 0);
	BIO *bio = BIO_new(BIO_s_mem());
	PEM_write_bio_X509(bio, p->x);
	take(bio, &p->cert_pem);
	bio = BIO_new(BIO_s_mem());
	PEM_write_bio_PrivateKey(bio, p->key, NULL, NULL, 0, NULL, NULL);
	take(bio, &p->key_pem);
}
static void make_crl(const struct pair *issuer, const X509 *revoked, long ends_in_s, struct cox_buf *out)
{
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *t = X509_gmtime_adj(NULL, -100);
	X509_CRL_set_version(crl, 1);
	X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer->x));
	X509_CRL_set1_lastUpdate(crl, t);
	X509_gmtime_adj(t, ends_in_s);
	X509_CRL_set1_nextUpdate(crl, t);
	if (revoked) {
		X509_REVOKED *r = X509_REVOKED_new();
		X509_REVOKED_set_serialNumber(r, (ASN1_INTEGER *)(uintptr_t)X509_get0_serialNumber(revoked));
		X509_REVOKED_set_revocationDate(r, t);
		X509_CRL_add0_revoked(crl, r);
	}
	assert_true(X509_CRL_sign(crl, issuer->key, EVP_sha256()) > 0);
	BIO *bio = BIO_new(BIO_s_mem());
	PEM_write_bio_X509_CRL(bio, crl);
	take(bio, out);
	ASN1_TIME_free(t);
	X509_CRL_free(crl);
}

static int setup(void **state)
{
	(void)state;
	make(&root, "root", NULL, 1, NULL, 10000);
	make(&other_root, "other root", NULL, 2, NULL, 10000);
	make(&server, "", &root, 3, "DNS:istiod.istio-system.svc", 1000);
	make(&good, "", &root, 4, "URI:spiffe://td/ns/a/sa/b", 1000);
	make(&bad, "", &root, 5, "URI:spiffe://td/ns/a/sa/c", 1000);
	make(&stranger, "", &other_root, 6, "URI:spiffe://td/ns/a/sa/d", 1000);
	make(&old, "", &root, 7, "URI:spiffe://td/ns/a/sa/e", -10);
	return 0;
}
static int teardown(void **state)
{
	struct pair *all[] = { &root, &other_root, &server, &good, &bad, &stranger, &old };
	(void)state;
	for (size_t i = 0; i < COX_LEN(all); i++) {
		X509_free(all[i]->x);
		EVP_PKEY_free(all[i]->key);
		cox_buf_fini(&all[i]->cert_pem);
		cox_buf_fini(&all[i]->key_pem);
	}
	return 0;
}

/* --- one handshake: did the server accept, and whom ------------------------------------------------------------ */

static struct cox_tls *server_tls(struct cox_str roots, struct cox_str crl, bool is_required)
{
	struct cox_tls *t = NULL;
	struct cox_err err = { 0 };
	struct cox_tls_spec spec = { .ca_pem = roots,
		                     .crl_pem = crl,
		                     .cert_pem = cox_buf_str(&server.cert_pem),
		                     .key_pem = cox_buf_str(&server.key_pem),
		                     .is_server = true,
		                     .request_client_cert = true,
		                     .require_client_cert = is_required };
	if (cox_tls_new(&spec, &t, &err) != COX_OK)
		fail_msg("%s", err.text);
	return t;
}

static bool shake(SSL *ssl)
{
	char c;
	int n = SSL_read(ssl, &c, 1);
	int why = SSL_get_error(ssl, n);
	return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE; /* nothing to read is what we want */
}

/* The URI that the server sees; "" without a certificate; NULL: refused. */
static const char *who(struct cox_tls *server_ctx, const struct pair *client, char text[128])
{
	struct cox_tls_spec spec = { .ca_pem = cox_buf_str(&root.cert_pem) };
	struct cox_tls *c;
	SSL *a, *b;
	int fd[2];
	if (client) {
		spec.cert_pem = cox_buf_str(&client->cert_pem);
		spec.key_pem = cox_buf_str(&client->key_pem);
	}
	assert_int_equal(cox_tls_new(&spec, &c, NULL), COX_OK);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	assert_int_equal(cox_tls_session_new(server_ctx, fd[0], NULL, &a), COX_OK);
	assert_int_equal(cox_tls_session_new(c, fd[1], "istiod.istio-system.svc", &b), COX_OK);
	bool ok = true;
	for (int i = 0; i < 8 && ok; i++)
		ok = shake(b) && shake(a);
	const char *out = NULL;
	if (ok && SSL_is_init_finished(a)) {
		struct cox_tls_peer_store *p = cox_tls_peer_new(a);
		assert_int_equal(p->peer.is_verified, client != NULL);
		out = p->peer.uri_count ? cox_str_to_cstr(p->peer.uris[0], text, 128) : "";
		cox_tls_peer_free(&p);
	}
	SSL_free(a);
	SSL_free(b);
	close(fd[0]);
	close(fd[1]);
	cox_tls_unref(&c);
	return out;
}

static void test_optional(void **state)
{
	char text[128];
	(void)state;
	struct cox_tls *t = server_tls(cox_buf_str(&root.cert_pem), (struct cox_str){ 0 }, false);
	assert_string_equal(who(t, NULL, text), "");
	assert_string_equal(who(t, &good, text), "spiffe://td/ns/a/sa/b");
	assert_null(who(t, &stranger, text));
	assert_null(who(t, &old, text));
	cox_tls_unref(&t);
	t = server_tls(cox_buf_str(&root.cert_pem), (struct cox_str){ 0 }, true);
	assert_null(who(t, NULL, text));
	cox_tls_unref(&t);
}

/* In a rotation both roots count. */
static void test_two_roots(void **state)
{
	char text[128];
	struct cox_buf both = { 0 };
	(void)state;
	cox_buf_append_str(&both, cox_buf_str(&root.cert_pem));
	cox_buf_append_str(&both, cox_buf_str(&other_root.cert_pem));
	struct cox_tls *t = server_tls(cox_buf_str(&both), (struct cox_str){ 0 }, false);
	assert_string_equal(who(t, &good, text), "spiffe://td/ns/a/sa/b");
	assert_string_equal(who(t, &stranger, text), "spiffe://td/ns/a/sa/d");
	cox_tls_unref(&t);
	/* the list of one issuer takes nothing from the other's */
	struct cox_buf crl = { 0 };
	make_crl(&root, bad.x, 1000, &crl);
	t = server_tls(cox_buf_str(&both), cox_buf_str(&crl), false);
	assert_string_equal(who(t, &good, text), "spiffe://td/ns/a/sa/b");
	assert_string_equal(who(t, &stranger, text), "spiffe://td/ns/a/sa/d");
	assert_null(who(t, &bad, text));
	cox_tls_unref(&t);
	cox_buf_fini(&crl);
	cox_buf_fini(&both);
}

static void test_revoked(void **state)
{
	char text[128];
	struct cox_buf crl = { 0 };
	(void)state;
	make_crl(&root, bad.x, -10, &crl); /* out of date, and still believed in what it names */
	struct cox_tls *t = server_tls(cox_buf_str(&root.cert_pem), cox_buf_str(&crl), false);
	assert_string_equal(who(t, &good, text), "spiffe://td/ns/a/sa/b");
	assert_null(who(t, &bad, text));
	assert_null(who(t, &old, text));
	assert_null(who(t, &stranger, text));
	assert_string_equal(who(t, NULL, text), "");
	cox_tls_unref(&t);
	struct cox_tls_spec spec = { .ca_pem = cox_buf_str(&root.cert_pem),
		                     .crl_pem = COX_STR("no list"),
		                     .cert_pem = cox_buf_str(&server.cert_pem),
		                     .key_pem = cox_buf_str(&server.key_pem),
		                     .is_server = true };
	struct cox_err err = { 0 };
	assert_int_equal(cox_tls_new(&spec, &t, &err), COX_EINVAL);
	assert_non_null(strstr(err.text, "revocation lists"));
	cox_buf_fini(&crl);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_optional), cmocka_unit_test(test_two_roots),
		                            cmocka_unit_test(test_revoked) };
	return cmocka_run_group_tests(tests, setup, teardown);
}
