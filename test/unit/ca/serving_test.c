/* The serving certificate: signed for its names, renewed when the issuer changes, kept when it cannot be; or from files that change.
 * covers: g2 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "ca/cert.h"
#include "ca/serving.h"
#include "loop/timer.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct world {
	struct cox_loop *loop;
	struct cox_serving *serving;
	EVP_PKEY *root_key;
	X509 *root;
	struct cox_buf root_pem;
	struct cox_str roots[1];
	struct cox_ca_bundle bundle;
	int asked, changed;
	enum cox_rc says;
	struct cox_buf chain, key;
	int64_t not_after_s;
	void (*held)(void *ctx, enum cox_rc rc, const struct cox_ca_answer *a, const struct cox_err *err);
	void *held_ctx;
	bool is_holding;
};
static struct world *w;

static void write_cert(X509 *x, struct cox_buf *out)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *p;
	PEM_write_bio_X509(bio, x);
	long n = BIO_get_mem_data(bio, &p);
	cox_buf_append(out, p, (size_t)n);
	BIO_free(bio);
}
static X509 *make_cert(EVP_PKEY *key, long serial, long ends_in_s)
{
	X509 *x = X509_new();
	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), serial);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), ends_in_s);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "O", MBSTRING_ASC, (const unsigned char *)(serial == 1 ? "root" : "leaf"), -1,
	                           -1, 0);
	X509_NAME *issuer = X509_NAME_new();
	X509_NAME_add_entry_by_txt(issuer, "O", MBSTRING_ASC, (const unsigned char *)"root", -1, -1, 0);
	X509_set_issuer_name(x, issuer);
	X509_NAME_free(issuer);
	X509_set_pubkey(x, key);
	X509_sign(x, w->root_key, EVP_sha256());
	return x;
}

static void sign(struct cox_ca *ca, struct cox_loop *loop, const struct cox_ca_request *r,
                 void (*done)(void *ctx, enum cox_rc rc, const struct cox_ca_answer *a, const struct cox_err *err), void *ctx)
{
	struct cox_err err = { 0 };
	(void)ca, (void)loop;
	w->asked++;
	assert_int_equal(r->uri_n, 0);
	assert_int_equal(r->dns_n, 2);
	assert_true(cox_str_eq_cstr(r->dns[0], "istiod.istio-system.svc"));
	if (w->is_holding) {
		w->held = done, w->held_ctx = ctx;
		return;
	}
	cox_err_set(&err, w->says, NULL, "the signer says no");
	if (w->says != COX_OK) {
		done(ctx, w->says, NULL, &err);
		return;
	}
	const unsigned char *der = (const unsigned char *)r->spki_der.p;
	EVP_PKEY *key = d2i_PUBKEY(NULL, &der, (long)r->spki_der.n);
	X509 *x = make_cert(key, 7, 3600);
	struct cox_buf pem = { 0 };
	write_cert(x, &pem);
	struct cox_ca_answer a = { .cert_pem = cox_buf_str(&pem),
		                   .bundle = &w->bundle,
		                   .info = { .serial = "7", .not_after_s = cox_clock_wall_ms() / 1000 + 3600 } };
	done(ctx, COX_OK, &a, &err);
	cox_buf_fini(&pem);
	X509_free(x);
	EVP_PKEY_free(key);
}

static void on_change(void *ctx, const struct cox_serving_now *now)
{
	struct cox_err err = { 0 };
	assert_ptr_equal(ctx, w);
	assert_non_null(now->tls);
	assert_int_equal(cox_cert_check_key(now->chain_pem, now->key_pem, &err), COX_OK);
	w->changed++;
	cox_buf_clear(&w->chain), cox_buf_append_str(&w->chain, now->chain_pem);
	cox_buf_clear(&w->key), cox_buf_append_str(&w->key, now->key_pem);
	w->not_after_s = now->not_after_s;
}

static int setup(void **state)
{
	(void)state;
	w = COX_NEW(struct world);
	w->loop = cox_loop_new("config");
	w->root_key = EVP_EC_gen("P-256");
	w->root = make_cert(w->root_key, 1, 36000);
	write_cert(w->root, &w->root_pem);
	w->roots[0] = cox_buf_str(&w->root_pem);
	w->bundle.roots_pem = w->roots, w->bundle.root_n = 1, w->bundle.issuer_key_id = COX_STR("one");
	return 0;
}
static int teardown(void **state)
{
	(void)state;
	cox_serving_close(&w->serving);
	cox_loop_free(&w->loop);
	X509_free(w->root);
	EVP_PKEY_free(w->root_key);
	cox_buf_fini(&w->root_pem), cox_buf_fini(&w->chain), cox_buf_fini(&w->key);
	cox_free(w);
	return 0;
}

static const struct cox_str names[] = { COX_STR_INIT("istiod.istio-system.svc"), COX_STR_INIT("istio-pilot.istio-system.svc") };
static void open_signed(void)
{
	struct cox_err err = { 0 };
	assert_int_equal(
	    cox_serving_open(
	        &(struct cox_serving_spec){ .loop = w->loop, .sign = sign, .dns = names, .dns_n = 2, .on_change = on_change, .ctx = w },
	        &w->serving, &err),
	    COX_OK);
}
static bool has_asked_twice(void *arg)
{
	(void)arg;
	return w->asked >= 2;
}

static void test_signed(void **state)
{
	(void)state;
	open_signed();
	assert_int_equal(w->asked, 0);
	cox_serving_bundle(w->serving, &w->bundle);
	assert_int_equal(w->changed, 1);
	struct cox_str first = cox_buf_str(&w->chain);
	char *old = cox_str_dup_cstr(first);
	/* a new list or root: peers are judged anew, the certificate is the same */
	w->bundle.generation++;
	cox_serving_bundle(w->serving, &w->bundle);
	assert_int_equal(w->asked, 1);
	assert_int_equal(w->changed, 2);
	assert_true(cox_str_eq_cstr(cox_buf_str(&w->chain), old));
	/* a new issuer: a new key and certificate */
	w->bundle.issuer_key_id = COX_STR("two");
	cox_serving_bundle(w->serving, &w->bundle);
	assert_int_equal(w->asked, 2);
	assert_false(cox_str_eq_cstr(cox_buf_str(&w->chain), old));
	/* roots that nobody can read: what is in force stays */
	int before = w->changed;
	w->roots[0] = COX_STR("garbage");
	cox_serving_bundle(w->serving, &w->bundle);
	assert_int_equal(w->changed, before);
	cox_free(old);
}

static void test_retry(void **state)
{
	(void)state;
	open_signed();
	w->says = COX_EAGAIN;
	cox_serving_bundle(w->serving, &w->bundle);
	assert_int_equal(w->asked, 1);
	assert_int_equal(w->changed, 0);
	w->says = COX_OK;
	assert_true(cox_loop_run_until(w->loop, has_asked_twice, NULL, 5000));
	assert_int_equal(w->changed, 1);
}

/* The issuer changes while a signature is on its way: it is taken, and another one asked for. Closed while one is: nobody is told. */
static void test_on_the_way(void **state)
{
	(void)state;
	struct cox_err err = { 0 };
	open_signed();
	w->is_holding = true;
	cox_serving_bundle(w->serving, &w->bundle);
	w->bundle.issuer_key_id = COX_STR("two");
	cox_serving_bundle(w->serving, &w->bundle);
	assert_int_equal(w->asked, 1);
	cox_serving_close(&w->serving);
	cox_err_set(&err, COX_ECANCELED, NULL, "closed");
	w->held(w->held_ctx, COX_ECANCELED, NULL, &err);
	assert_int_equal(w->changed, 0);
}

static void put(const char *path, struct cox_str text)
{
	FILE *f = fopen(path, "w");
	fwrite(text.p, 1, text.n, f);
	fclose(f);
}
static void put_pair(const char *cert, const char *key, long serial)
{
	EVP_PKEY *k = EVP_EC_gen("P-256");
	X509 *x = make_cert(k, serial, 600 * serial);
	struct cox_buf pem = { 0 }, key_pem = { 0 };
	write_cert(x, &pem);
	BIO *bio = BIO_new(BIO_s_mem());
	char *p;
	PEM_write_bio_PrivateKey(bio, k, NULL, NULL, 0, NULL, NULL);
	long n = BIO_get_mem_data(bio, &p);
	cox_buf_append(&key_pem, p, (size_t)n);
	BIO_free(bio);
	put(cert, cox_buf_str(&pem));
	if (key)
		put(key, cox_buf_str(&key_pem));
	cox_buf_fini(&pem), cox_buf_fini(&key_pem);
	X509_free(x);
	EVP_PKEY_free(k);
}
static bool has_changed_twice(void *arg)
{
	(void)arg;
	return w->changed >= 2;
}
static bool never(void *arg)
{
	(void)arg;
	return false;
}

static void test_files(void **state)
{
	char dir[] = "/tmp/cox-serving-XXXXXX", cert[64], key[64], ca[64];
	struct cox_err err = { 0 };
	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(cert, sizeof(cert), "%s/tls.crt", dir), snprintf(key, sizeof(key), "%s/tls.key", dir),
	    snprintf(ca, sizeof(ca), "%s/ca.crt", dir);
	struct cox_serving_spec spec = {
		.loop = w->loop, .sign = sign, .cert_file = cert, .key_file = key, .ca_file = ca, .on_change = on_change, .ctx = w
	};
	assert_int_equal(cox_serving_open(&spec, &w->serving, &err), COX_ENOTFOUND);
	assert_non_null(strstr(err.text, cert));
	put_pair(cert, key, 2);
	put(ca, w->roots[0]);
	spec.key_file = NULL;
	assert_int_equal(cox_serving_open(&spec, &w->serving, &err), COX_EINVAL);
	spec.key_file = key;
	assert_int_equal(cox_serving_open(&spec, &w->serving, &err), COX_OK);
	assert_int_equal(w->changed, 1);
	int64_t first = w->not_after_s;
	put_pair(cert, NULL, 3); /* a certificate without its key: the old pair stays */
	cox_loop_run_until(w->loop, never, NULL, 600);
	assert_int_equal(w->changed, 1);
	put_pair(cert, key, 4);
	assert_true(cox_loop_run_until(w->loop, has_changed_twice, NULL, 5000));
	assert_true(w->not_after_s > first);
	cox_serving_bundle(w->serving, &w->bundle);
	assert_int_equal(w->changed, 3);
	assert_int_equal(w->asked, 0);
	unlink(cert), unlink(key), unlink(ca), rmdir(dir);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = { T(test_signed), T(test_retry), T(test_on_the_way), T(test_files) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
