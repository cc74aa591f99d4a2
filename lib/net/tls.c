#include "net/tls_priv.h"

#include "base/buf.h"
#include "base/ref.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

enum { PEM_FILE_MAX = 4 << 20 }; /* a bundle of all public roots is 250 KB */

struct cox_tls {
	struct cox_ref refs;
	SSL_CTX *ctx;
	bool is_server, insecure;
};

/* ECDHE with AEAD only: what Istio's control plane offers under TLS 1.2. */
static const char default_ciphers[] = "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256:"
                                      "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
static const unsigned char alpn_h2[] = { 2, 'h', '2' };

const char *cox_tls_error_text(const char *fallback, char *buf, size_t cap)
{
	unsigned long code = ERR_get_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;
	cox_str_to_cstr(cox_str_of(reason ? reason : fallback), buf, cap);
	ERR_clear_error();
	return buf;
}

static enum cox_rc fail(struct cox_err *err, const char *what)
{
	char text[160];
	return cox_err_set(err, COX_EINVAL, NULL, "%s: %s", what, cox_tls_error_text("not accepted", text, sizeof(text)));
}

static BIO *bio_of(struct cox_str pem) { return BIO_new_mem_buf(pem.p, pem.n > INT_MAX ? 0 : (int)pem.n); }

static enum cox_rc load_ca(SSL_CTX *ctx, struct cox_str pem, bool is_server, struct cox_err *err)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	BIO *bio = bio_of(pem);
	size_t count = 0;
	enum cox_rc rc = COX_OK;
	for (X509 *x; bio && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL)); X509_free(x), count++) {
		if (X509_STORE_add_cert(store, x) != 1)
			rc = fail(err, "CA certificate");
		if (is_server)
			SSL_CTX_add_client_CA(ctx, x);
	}
	BIO_free(bio);
	ERR_clear_error(); /* the end of the text leaves "no start line" */
	if (count == 0)
		return cox_err_set(err, COX_EINVAL, NULL, "CA certificates: no PEM certificate found");
	return rc;
}

/* What is tolerated of lists: see tls.h. The list itself is still read after its date is forgiven, so what it names stays refused. */
static int on_verify(int ok, X509_STORE_CTX *ctx)
{
	int error = X509_STORE_CTX_get_error(ctx);
	if (ok || (error != X509_V_ERR_UNABLE_TO_GET_CRL && error != X509_V_ERR_CRL_HAS_EXPIRED && error != X509_V_ERR_CRL_NOT_YET_VALID))
		return ok;
	X509_STORE_CTX_set_error(ctx, X509_V_OK);
	return 1;
}

static enum cox_rc load_crl(SSL_CTX *ctx, struct cox_str pem, struct cox_err *err)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	BIO *bio = bio_of(pem);
	size_t count = 0;
	enum cox_rc rc = COX_OK;
	for (X509_CRL *x; bio && (x = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL)); X509_CRL_free(x), count++)
		if (X509_STORE_add_crl(store, x) != 1)
			rc = fail(err, "revocation list");
	BIO_free(bio);
	ERR_clear_error();
	if (count == 0)
		return cox_err_set(err, COX_EINVAL, NULL, "revocation lists: no PEM list found");
	X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
	return rc;
}

static enum cox_rc load_cert(SSL_CTX *ctx, struct cox_str cert, struct cox_str key, struct cox_err *err)
{
	BIO *bio = bio_of(cert);
	X509 *x = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
	enum cox_rc rc = x && SSL_CTX_use_certificate(ctx, x) == 1 ? COX_OK : fail(err, "certificate");
	X509_free(x);
	while (rc == COX_OK && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL)))
		if (SSL_CTX_add0_chain_cert(ctx, x) != 1) {
			X509_free(x);
			rc = fail(err, "certificate chain");
		}
	BIO_free(bio);
	ERR_clear_error();
	COX_TRY(rc);
	bio = bio_of(key);
	EVP_PKEY *k = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
	rc = k && SSL_CTX_use_PrivateKey(ctx, k) == 1 && SSL_CTX_check_private_key(ctx) == 1 ? COX_OK : fail(err, "private key");
	EVP_PKEY_free(k);
	BIO_free(bio);
	return rc;
}

static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n, const unsigned char *in, unsigned n, void *arg)
{
	(void)ssl, (void)arg;
	unsigned char *chosen;
	if (SSL_select_next_proto(&chosen, out_n, alpn_h2, sizeof(alpn_h2), in, n) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static enum cox_rc configure(SSL_CTX *ctx, const struct cox_tls_spec *spec, struct cox_err *err)
{
	SSL_CTX_set_min_proto_version(ctx, spec->tls13_only ? TLS1_3_VERSION : TLS1_2_VERSION);
	/* RELEASE_BUFFERS: an idle session gives its 34 KiB of record buffers back. No renegotiation, no tickets: streams live for hours.
	 */
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE |
	                             SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	if (SSL_CTX_set_cipher_list(ctx, spec->ciphers ? spec->ciphers : default_ciphers) != 1)
		return fail(err, "cipher list");
	if (spec->ca_pem.n)
		COX_TRY(load_ca(ctx, spec->ca_pem, spec->is_server, err));
	else if (!spec->is_server && !spec->insecure && SSL_CTX_set_default_verify_paths(ctx) != 1)
		return fail(err, "the system's CA certificates");
	if (spec->crl_pem.n)
		COX_TRY(load_crl(ctx, spec->crl_pem, err));
	if (spec->cert_pem.n || spec->key_pem.n)
		COX_TRY(load_cert(ctx, spec->cert_pem, spec->key_pem, err));
	else if (spec->is_server)
		return cox_err_set(err, COX_EINVAL, NULL, "a server needs a certificate and its key");
	if (spec->is_server) {
		int mode = spec->require_client_cert   ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
		           : spec->request_client_cert ? SSL_VERIFY_PEER
		                                       : SSL_VERIFY_NONE;
		SSL_CTX_set_verify(ctx, mode, spec->crl_pem.n ? on_verify : NULL);
		SSL_CTX_set_alpn_select_cb(ctx, select_alpn, NULL);
	} else {
		SSL_CTX_set_verify(ctx, spec->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, spec->crl_pem.n ? on_verify : NULL);
		SSL_CTX_set_alpn_protos(ctx, alpn_h2, sizeof(alpn_h2));
	}
	return COX_OK;
}

enum cox_rc cox_tls_new(const struct cox_tls_spec *spec, struct cox_tls **out, struct cox_err *err)
{
	SSL_CTX *ctx = SSL_CTX_new(spec->is_server ? TLS_server_method() : TLS_client_method());
	COX_ASSERT(ctx);
	enum cox_rc rc = configure(ctx, spec, err);
	if (rc != COX_OK) {
		SSL_CTX_free(ctx);
		return rc;
	}
	struct cox_tls *t = COX_NEW(struct cox_tls);
	cox_ref_init(&t->refs);
	t->ctx = ctx;
	t->is_server = spec->is_server;
	t->insecure = spec->insecure;
	*out = t;
	return COX_OK;
}

static enum cox_rc file_read(const char *path, struct cox_buf *out, struct cox_err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;
	while (fd >= 0 && out->n <= PEM_FILE_MAX && (n = read(fd, cox_buf_reserve(out, 16384), 16384)) > 0)
		out->n += (size_t)n;
	if (fd >= 0)
		close(fd);
	if (n != 0)
		return cox_err_set(err, fd < 0 ? COX_ENOTFOUND : COX_EIO, NULL, "cannot read %s", path);
	return COX_OK;
}

enum cox_rc cox_tls_new_from_files(const struct cox_tls_spec *spec, const char *ca_file, const char *cert_file, const char *key_file,
                                   struct cox_tls **out, struct cox_err *err)
{
	COX_AUTO(cox_buf_fini) struct cox_buf ca = { 0 };
	COX_AUTO(cox_buf_fini) struct cox_buf cert = { 0 };
	COX_AUTO(cox_buf_fini) struct cox_buf key = { 0 };
	if (ca_file)
		COX_TRY(file_read(ca_file, &ca, err));
	if (cert_file)
		COX_TRY(file_read(cert_file, &cert, err));
	enum cox_rc rc = key_file ? file_read(key_file, &key, err) : COX_OK;
	struct cox_tls_spec s = *spec;
	s.ca_pem = cox_buf_str(&ca);
	s.cert_pem = cox_buf_str(&cert);
	s.key_pem = cox_buf_str(&key);
	if (rc == COX_OK)
		rc = cox_tls_new(&s, out, err);
	if (key.p)
		OPENSSL_cleanse(key.p, key.cap);
	return rc;
}

struct cox_tls *cox_tls_ref(struct cox_tls *t)
{
	cox_ref_get(&t->refs);
	return t;
}

void cox_tls_unref(struct cox_tls **tp)
{
	struct cox_tls *t = *tp;
	*tp = NULL;
	if (!t || !cox_ref_put(&t->refs))
		return;
	SSL_CTX_free(t->ctx);
	cox_free(t);
}

static bool is_address(const char *name)
{
	unsigned char ip[16];
	return inet_pton(AF_INET, name, ip) == 1 || inet_pton(AF_INET6, name, ip) == 1;
}

enum cox_rc cox_tls_session_new(struct cox_tls *t, int fd, const char *server_name, SSL **out)
{
	SSL *ssl = SSL_new(t->ctx);
	COX_ASSERT(ssl);
	bool ok = SSL_set_fd(ssl, fd) == 1;
	if (t->is_server) {
		SSL_set_accept_state(ssl);
	} else {
		SSL_set_connect_state(ssl);
		if (server_name && is_address(server_name))
			ok = ok && X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), server_name) == 1;
		else if (server_name)
			ok = ok && SSL_set_tlsext_host_name(ssl, server_name) == 1 && SSL_set1_host(ssl, server_name) == 1;
	}
	if (!ok) {
		SSL_free(ssl);
		ERR_clear_error();
		return COX_EINVAL;
	}
	*out = ssl;
	return COX_OK;
}

const char *cox_tls_verify_text(SSL *ssl)
{
	long result = SSL_get_verify_result(ssl);
	return result == X509_V_OK ? NULL : X509_verify_cert_error_string(result);
}

static void peer_add_uris(struct cox_tls_peer_store *p, X509 *x)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	p->peer.uris = p->uris;
	for (int i = 0; i < sk_GENERAL_NAME_num(names) && p->peer.uri_count < COX_LEN(p->uris); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		if (name->type != GEN_URI)
			continue;
		const ASN1_IA5STRING *uri = name->d.uniformResourceIdentifier;
		struct cox_str text = { (const char *)ASN1_STRING_get0_data(uri), (size_t)ASN1_STRING_length(uri) };
		if (memchr(text.p, 0, text.n)) /* a NUL inside hides what follows from careless readers */
			continue;
		p->uris[p->peer.uri_count++] = (struct cox_str){ cox_str_dup_cstr(text), text.n };
	}
	GENERAL_NAMES_free(names);
}

struct cox_tls_peer_store *cox_tls_peer_new(SSL *ssl)
{
	struct cox_tls_peer_store *p = COX_NEW(struct cox_tls_peer_store);
	p->peer.is_tls = true;
	X509 *x = SSL_get1_peer_certificate(ssl);
	if (!x)
		return p;
	p->peer.is_verified = SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE && SSL_get_verify_result(ssl) == X509_V_OK;
	int n = i2d_X509(x, NULL);
	if (n > 0) {
		unsigned char *der = cox_alloc((size_t)n), *end = der;
		i2d_X509(x, &end);
		p->peer.cert_der = (struct cox_str){ (const char *)der, (size_t)n };
	}
	peer_add_uris(p, x);
	X509_free(x);
	return p;
}

void cox_tls_peer_free(struct cox_tls_peer_store **pp)
{
	struct cox_tls_peer_store *p = *pp;
	*pp = NULL;
	if (!p)
		return;
	for (size_t i = 0; i < p->peer.uri_count; i++)
		cox_free((void *)(uintptr_t)p->uris[i].p);
	cox_free((void *)(uintptr_t)p->peer.cert_der.p);
	cox_free(p);
}
