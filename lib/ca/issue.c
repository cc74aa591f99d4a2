#include "ca/issue.h"
#include "ca/der_priv.h"
#include "ca/x509_priv.h"
#include "codec/b64.h"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <stdio.h>

enum { SERIAL_BYTES = 16, KEY_PEM_BYTES = 4096, NAME_BYTES_MAX = 2048 /* of a SPIFFE ID */ };

struct cox_issuer {
	X509 *cert;
	EVP_PKEY *key;
	const EVP_MD *digest; /* NULL: Ed25519 has its own */
	int64_t not_before_s, not_after_s;
	struct cox_cert_info info;
	/* What all of its leaves have: */
	struct cox_buf signature_der;  /* AlgorithmIdentifier */
	struct cox_buf name_der;       /* Name of the issuer */
	struct cox_buf extensions_der; /* all but the names */
	struct cox_arena arena;
};

static void x509_crl_freep(X509_CRL **c) { X509_CRL_free(*c); }
static void issuer_freep(struct cox_issuer **i) { cox_issuer_free(i); }

/* --- the issuer ----------------------------------------------------------------------------------- */

/* As strong as the key is; what all verifiers take. */
static const EVP_MD *digest_for(EVP_PKEY *key)
{
	int kind = EVP_PKEY_get_base_id(key), bits = EVP_PKEY_get_bits(key);
	if (kind == EVP_PKEY_ED25519)
		return NULL;
	if (kind == EVP_PKEY_EC && bits > 384)
		return EVP_sha512();
	return kind == EVP_PKEY_EC && bits > 256 ? EVP_sha384() : EVP_sha256();
}

/* Extensions that never change, as DER: key usage (critical: digitalSignature, keyEncipherment), extended key usage (server, client), basic
 * constraints (critical: no CA). */
static const struct cox_str fixed_extensions[] = {
	COX_STR_INIT("\x30\x0e\x06\x03\x55\x1d\x0f\x01\x01\xff\x04\x04\x03\x02\x05\xa0"),
	COX_STR_INIT(
	    "\x30\x1d\x06\x03\x55\x1d\x25\x04\x16\x30\x14\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x02"),
	COX_STR_INIT("\x30\x0c\x06\x03\x55\x1d\x13\x01\x01\xff\x04\x02\x30\x00"),
};
static const struct cox_str oid_key_id = COX_STR_INIT("\x06\x03\x55\x1d\x23"),
                            oid_names_critical = COX_STR_INIT("\x06\x03\x55\x1d\x11\x01\x01\xff");

static void put_key_id(const ASN1_OCTET_STRING *id, struct cox_buf *out)
{
	struct cox_buf a = { 0 }, b = { 0 };
	cox_der_put_(&a, 0x80, cox_str_make(ASN1_STRING_get0_data(id), (size_t)ASN1_STRING_length(id)));
	cox_der_put_(&b, COX_DER_SEQUENCE, cox_buf_str(&a));
	cox_buf_clear(&a);
	cox_buf_append_str(&a, oid_key_id);
	cox_der_put_(&a, COX_DER_OCTET_STRING, cox_buf_str(&b));
	cox_der_put_(out, COX_DER_SEQUENCE, cox_buf_str(&a));
	cox_buf_fini(&a);
	cox_buf_fini(&b);
}

/* OpenSSL writes the parts that depend on the key and on the issuer's name: by signing something, and from its certificate. */
static bool prepare(struct cox_issuer *i)
{
	COX_AUTO(cox_x509_freep_) X509 *x = X509_new();
	const X509_ALGOR *algorithm = NULL;
	unsigned char *der = NULL;
	int n;
	if (!x || X509_set_pubkey(x, i->key) != 1 || X509_sign(x, i->key, i->digest) <= 0)
		return false;
	X509_get0_signature(NULL, &algorithm, x);
	n = i2d_X509_ALGOR(algorithm, &der);
	if (n > 0)
		cox_buf_append(&i->signature_der, der, (size_t)n);
	OPENSSL_free(der);
	der = NULL;
	n = i2d_X509_NAME(X509_get_subject_name(i->cert), &der);
	if (n > 0)
		cox_buf_append(&i->name_der, der, (size_t)n);
	OPENSSL_free(der);
	for (size_t k = 0; k < COX_LEN(fixed_extensions); k++)
		cox_buf_append_str(&i->extensions_der, fixed_extensions[k]);
	put_key_id(X509_get0_subject_key_id(i->cert), &i->extensions_der);
	ERR_clear_error();
	return i->signature_der.n && i->name_der.n;
}

static enum cox_rc adopt(X509 *cert, EVP_PKEY *key, struct cox_issuer **out, struct cox_err *err)
{
	COX_AUTO(issuer_freep) struct cox_issuer *i = COX_NEW(struct cox_issuer);
	X509_up_ref(cert);
	EVP_PKEY_up_ref(key);
	i->cert = cert;
	i->key = key;
	cox_x509_describe_(cert, &i->arena, &i->info);
	i->not_before_s = i->info.not_before_s;
	i->not_after_s = i->info.not_after_s;
	i->digest = digest_for(key);
	if (!i->info.is_ca)
		return cox_err_set(err, COX_EINVAL, NULL, "the certificate of \"%.*s\" is not one of a CA", COX_FMT(i->info.subject));
	if (!(X509_get_key_usage(cert) & KU_KEY_CERT_SIGN))
		return cox_err_set(err, COX_EINVAL, NULL, "the certificate of \"%.*s\" may not sign certificates (key usage)",
		                   COX_FMT(i->info.subject));
	if (!i->info.key_id[0])
		return cox_err_set(err, COX_EINVAL, NULL, "the certificate of \"%.*s\" has no subject key identifier",
		                   COX_FMT(i->info.subject));
	COX_TRY(cox_pkey_check_strength_(key, "CA key", err));
	if (X509_check_private_key(cert, key) != 1) {
		ERR_clear_error();
		return cox_err_set(err, COX_EINVAL, NULL, "the private key is not the key of the certificate of \"%.*s\"",
		                   COX_FMT(i->info.subject));
	}
	if (!prepare(i))
		return cox_ossl_fail_(err, COX_EINVAL, "the CA key cannot sign");
	*out = COX_MOVE(i);
	return COX_OK;
}

enum cox_rc cox_issuer_new(struct cox_str cert_pem, struct cox_str key_pem, struct cox_issuer **out, struct cox_err *err)
{
	COX_AUTO(cox_x509_freep_) X509 *cert = NULL;
	COX_AUTO(cox_pkey_freep_) EVP_PKEY *key = NULL;
	COX_TRY(cox_x509_read_(cert_pem, &cert, err));
	COX_TRY(cox_pkey_read_(key_pem, &key, err));
	return adopt(cert, key, out, err);
}

void cox_issuer_free(struct cox_issuer **i)
{
	if (!*i)
		return;
	X509_free((*i)->cert);
	EVP_PKEY_free((*i)->key); /* OpenSSL wipes private numbers when it frees them */
	cox_buf_fini(&(*i)->signature_der);
	cox_buf_fini(&(*i)->name_der);
	cox_buf_fini(&(*i)->extensions_der);
	cox_arena_fini(&(*i)->arena);
	cox_free(*i);
	*i = NULL;
}

const struct cox_cert_info *cox_issuer_info(const struct cox_issuer *i) { return &i->info; }

/* --- parts of certificates ------------------------------------------------------------------------ */

/* Positive, and always of the same length: 126 random bits. */
static bool make_serial(unsigned char bytes[SERIAL_BYTES])
{
	if (RAND_bytes(bytes, SERIAL_BYTES) != 1)
		return false;
	bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40);
	return true;
}

static bool set_serial(X509 *x)
{
	unsigned char bytes[SERIAL_BYTES];
	if (!make_serial(bytes))
		return false;
	BIGNUM *n = BN_bin2bn(bytes, sizeof(bytes), NULL);
	bool ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) != NULL;
	BN_free(n);
	return ok;
}

/* ASN1_TIME_adj() picks UTCTime or GeneralizedTime as RFC 5280 asks. */
static bool set_time(ASN1_TIME *t, int64_t at_s) { return t && ASN1_TIME_set(t, (time_t)at_s) != NULL; }

static bool add_extension(X509 *x, const X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, (X509 *)(uintptr_t)issuer, x, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	bool ok = e && X509_add_ext(x, e, -1) == 1;
	X509_EXTENSION_free(e);
	return ok;
}

static bool set_subject(X509 *x, const struct cox_ca_cert_spec *spec)
{
	X509_NAME *name = X509_get_subject_name(x);
	bool ok = spec->organization.n <= 64 /* ub-organization-name */ ||
	          X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)"Coxswain CA", -1, -1, 0) == 1;
	if (spec->organization.n && spec->organization.n <= 64)
		ok = X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const unsigned char *)spec->organization.p,
		                                (int)spec->organization.n, -1, 0) == 1;
	if (ok && spec->common_name)
		ok = X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)spec->common_name, -1, -1, 0) == 1;
	return ok;
}

static bool set_validity(X509 *x, int64_t not_before_s, int64_t not_after_s)
{
	return X509_set_version(x, X509_VERSION_3) == 1 && set_serial(x) && set_time(X509_getm_notBefore(x), not_before_s) &&
	       set_time(X509_getm_notAfter(x), not_after_s);
}

static bool sign(X509 *x, EVP_PKEY *key) { return X509_sign(x, key, digest_for(key)) > 0; }

/* --- roots and intermediates ------------------------------------------------------------------------ */

/* Reads back the key that cox_key_make() wrote: one way to make keys, with one set of options. */
static enum cox_rc make_key(enum cox_key_type type, EVP_PKEY **out, struct cox_buf *pem, struct cox_err *err)
{
	size_t before = pem->n;
	cox_buf_reserve(pem, KEY_PEM_BYTES);
	COX_TRY(cox_key_make(type, false, pem, err));
	return cox_pkey_read_(cox_str_sub(cox_buf_str(pem), before, pem->n), out, err);
}

static bool fill_ca(X509 *x, const X509 *parent, EVP_PKEY *key, const struct cox_ca_cert_spec *spec)
{
	char constraints[64] = "critical,CA:TRUE";
	if (spec->path_len >= 0)
		snprintf(constraints, sizeof(constraints), "critical,CA:TRUE,pathlen:%d", spec->path_len);
	const X509 *issuer = parent ? parent : x;
	return set_subject(x, spec) && X509_set_issuer_name(x, X509_get_subject_name(issuer)) == 1 && X509_set_pubkey(x, key) == 1 &&
	       add_extension(x, issuer, NID_basic_constraints, constraints) &&
	       add_extension(x, issuer, NID_key_usage, "critical,keyCertSign,cRLSign") &&
	       add_extension(x, issuer, NID_subject_key_identifier, "hash") &&
	       (!parent || add_extension(x, issuer, NID_authority_key_identifier, "keyid:always"));
}

static enum cox_rc make_ca(const struct cox_issuer *parent, enum cox_key_type type, const struct cox_ca_cert_spec *spec,
                           struct cox_buf *cert_pem, struct cox_buf *key_pem, struct cox_err *err)
{
	COX_AUTO(cox_pkey_freep_) EVP_PKEY *key = NULL;
	COX_AUTO(cox_x509_freep_) X509 *x = X509_new();
	int64_t not_after = spec->now_s + spec->ttl_s;
	COX_ASSERT(x != NULL);
	COX_TRY(make_key(type, &key, key_pem, err));
	if (parent && parent->not_after_s < not_after)
		not_after = parent->not_after_s;
	if (!set_validity(x, spec->now_s - spec->backdate_s, not_after) || !fill_ca(x, parent ? parent->cert : NULL, key, spec) ||
	    !sign(x, parent ? parent->key : key))
		return cox_ossl_fail_(err, COX_EINTERNAL, "the CA certificate could not be made");
	cox_x509_write_pem_(x, cert_pem);
	ERR_clear_error();
	return COX_OK;
}

enum cox_rc cox_issue_root(enum cox_key_type type, const struct cox_ca_cert_spec *spec, struct cox_buf *cert_pem, struct cox_buf *key_pem,
                           struct cox_err *err)
{
	return make_ca(NULL, type, spec, cert_pem, key_pem, err);
}

enum cox_rc cox_issue_intermediate(const struct cox_issuer *parent, enum cox_key_type type, const struct cox_ca_cert_spec *spec,
                                   struct cox_buf *cert_pem, struct cox_buf *key_pem, struct cox_err *err)
{
	return make_ca(parent, type, spec, cert_pem, key_pem, err);
}

enum cox_rc cox_issue_root_renewal(const struct cox_issuer *root, int64_t now_s, int64_t ttl_s, struct cox_buf *cert_pem,
                                   struct cox_err *err)
{
	/* Extensions, subject and key are copied as they are, foreign ones (Istio's) too. */
	COX_AUTO(cox_x509_freep_) X509 *x = X509_dup(root->cert);
	if (!root->info.is_self_signed)
		return cox_err_set(err, COX_EINVAL, NULL, "\"%.*s\" is not self-signed", COX_FMT(root->info.subject));
	if (!x || !set_validity(x, root->not_before_s, now_s + ttl_s) || !sign(x, root->key))
		return cox_ossl_fail_(err, COX_EINTERNAL, "the root could not be renewed");
	cox_x509_write_pem_(x, cert_pem);
	ERR_clear_error();
	return COX_OK;
}

/* --- leaves ------------------------------------------------------------------------------------------- */

static enum cox_rc check_issuer_time(const struct cox_issuer *i, int64_t now_s, struct cox_err *err)
{
	if (now_s >= i->not_after_s)
		return cox_err_set(err, COX_EAGAIN, NULL, "the CA certificate of \"%.*s\" has expired, by the clock of this machine",
		                   COX_FMT(i->info.subject));
	if (now_s < i->not_before_s)
		return cox_err_set(err, COX_EAGAIN, NULL, "the CA certificate of \"%.*s\" is not valid yet, by the clock of this machine",
		                   COX_FMT(i->info.subject));
	return COX_OK;
}

static void put_names(const struct cox_leaf_spec *spec, struct cox_buf *out)
{
	struct cox_buf a = { 0 }, b = { 0 };
	for (size_t i = 0; i < spec->uri_n; i++)
		cox_der_put_(&a, 0x86, spec->uris[i]);
	for (size_t i = 0; i < spec->dns_n; i++)
		cox_der_put_(&a, 0x82, spec->dns[i]);
	cox_der_put_(&b, COX_DER_SEQUENCE, cox_buf_str(&a));
	cox_buf_clear(&a);
	cox_buf_append_str(&a, oid_names_critical); /* critical, as the subject is empty (RFC 5280, 4.2.1.6) */
	cox_der_put_(&a, COX_DER_OCTET_STRING, cox_buf_str(&b));
	cox_der_put_(out, COX_DER_SEQUENCE, cox_buf_str(&a));
	cox_buf_fini(&a);
	cox_buf_fini(&b);
}

/* TBSCertificate (RFC 5280, 4.1). */
static void put_tbs(const struct cox_issuer *i, const struct cox_leaf_spec *spec, struct cox_str serial, int64_t not_before_s,
                    int64_t not_after_s, struct cox_buf *out)
{
	struct cox_buf body = { 0 }, inner = { 0 }, list = { 0 };
	cox_buf_append_str(&body, COX_STR("\xa0\x03\x02\x01\x02")); /* version 3 */
	cox_der_put_(&body, COX_DER_INTEGER, serial);
	cox_buf_append_str(&body, cox_buf_str(&i->signature_der));
	cox_buf_append_str(&body, cox_buf_str(&i->name_der));
	cox_der_put_time_(&inner, not_before_s);
	cox_der_put_time_(&inner, not_after_s);
	cox_der_put_(&body, COX_DER_SEQUENCE, cox_buf_str(&inner));
	cox_der_put_(&body, COX_DER_SEQUENCE, COX_STR("")); /* no subject: the identity is in the names */
	cox_buf_append_str(&body, spec->spki_der);
	cox_buf_clear(&inner);
	cox_buf_append_str(&inner, cox_buf_str(&i->extensions_der));
	put_names(spec, &inner);
	cox_der_put_(&list, COX_DER_SEQUENCE, cox_buf_str(&inner));
	cox_der_put_(&body, 0xa3, cox_buf_str(&list));
	cox_der_put_(out, COX_DER_SEQUENCE, cox_buf_str(&body));
	cox_buf_fini(&body);
	cox_buf_fini(&inner);
	cox_buf_fini(&list);
}

/* Appends the BIT STRING of the signature. */
static bool put_signature(const struct cox_issuer *i, struct cox_str tbs, struct cox_buf *out)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char text[1024]; /* RSA 8192 */
	size_t n = sizeof(text);
	bool ok = ctx && EVP_DigestSignInit(ctx, NULL, i->digest, NULL, i->key) == 1 &&
	          EVP_DigestSign(ctx, text, &n, (const unsigned char *)tbs.p, tbs.n) == 1;
	EVP_MD_CTX_free(ctx);
	if (!ok)
		return false;
	cox_der_put_head_(out, COX_DER_BIT_STRING, n + 1);
	cox_buf_append_char(out, 0);
	cox_buf_append(out, text, n);
	return true;
}

static void put_pem(struct cox_str der, struct cox_buf *out)
{
	enum { LINE_BYTES = 48 }; /* 64 characters */
	cox_buf_append_cstr(out, "-----BEGIN CERTIFICATE-----\n");
	for (size_t at = 0; at < der.n; at += LINE_BYTES) {
		cox_b64_encode(out, cox_str_sub(der, at, LINE_BYTES));
		cox_buf_append_char(out, '\n');
	}
	cox_buf_append_cstr(out, "-----END CERTIFICATE-----\n");
}

static enum cox_rc check_leaf(const struct cox_issuer *i, const struct cox_leaf_spec *spec, struct cox_err *err)
{
	COX_TRY(check_issuer_time(i, spec->now_s, err));
	COX_TRY(cox_spki_check_(spec->spki_der, err));
	for (size_t k = 0; k < spec->uri_n + spec->dns_n; k++) {
		struct cox_str name = k < spec->uri_n ? spec->uris[k] : spec->dns[k - spec->uri_n];
		bool is_ascii = name.n > 0 && name.n <= NAME_BYTES_MAX;
		for (size_t c = 0; is_ascii && c < name.n; c++)
			is_ascii = name.p[c] > 0x20 && name.p[c] < 0x7f;
		if (!is_ascii)
			return cox_err_set(err, COX_EINVAL, NULL, "a name of %zu bytes that a certificate cannot have", name.n);
	}
	return spec->uri_n + spec->dns_n ? COX_OK : cox_err_set(err, COX_EINVAL, NULL, "a certificate without a name");
}

enum cox_rc cox_issue_leaf(const struct cox_issuer *i, const struct cox_leaf_spec *spec, struct cox_buf *cert_pem,
                           struct cox_leaf_info *info, struct cox_err *err)
{
	/* Never beyond the CA's end; and a chain is never valid before its CA is: some verifiers look at that. */
	int64_t not_before = spec->now_s - spec->backdate_s, not_after = spec->now_s + spec->ttl_s;
	unsigned char serial[SERIAL_BYTES];
	struct cox_buf body = { 0 }, der = { 0 };
	COX_TRY(check_leaf(i, spec, err));
	not_after = not_after < i->not_after_s ? not_after : i->not_after_s;
	not_before = not_before > i->not_before_s ? not_before : i->not_before_s;
	bool ok = make_serial(serial);
	if (ok) {
		put_tbs(i, spec, cox_str_make(serial, sizeof(serial)), not_before, not_after, &body);
		size_t tbs_n = body.n;
		cox_buf_append_str(&body, cox_buf_str(&i->signature_der));
		ok = put_signature(i, cox_str_sub(cox_buf_str(&body), 0, tbs_n), &body);
	}
	if (ok) {
		cox_der_put_(&der, COX_DER_SEQUENCE, cox_buf_str(&body));
		put_pem(cox_buf_str(&der), cert_pem);
	}
	cox_buf_fini(&body);
	cox_buf_fini(&der);
	if (!ok)
		return cox_ossl_fail_(err, COX_EINTERNAL, "the certificate could not be signed");
	if (info) {
		for (size_t k = 0; k < sizeof(serial); k++)
			snprintf(info->serial + 2 * k, 3, "%02x", serial[k]);
		info->not_before_s = not_before;
		info->not_after_s = not_after;
	}
	ERR_clear_error();
	return COX_OK;
}

/* --- CRLs ----------------------------------------------------------------------------------------------- */

static bool add_revoked(X509_CRL *crl, const struct cox_ca_revoked *item)
{
	BIGNUM *n = NULL;
	size_t digits = strnlen(item->serial, sizeof(item->serial));
	if (digits == 0 || digits >= sizeof(item->serial) || BN_hex2bn(&n, item->serial) != (int)digits) {
		BN_free(n);
		return true; /* no serial of ours looks like this */
	}
	X509_REVOKED *r = X509_REVOKED_new();
	ASN1_INTEGER *serial = BN_to_ASN1_INTEGER(n, NULL);
	ASN1_TIME *at = ASN1_TIME_set(NULL, (time_t)item->revoked_s);
	bool ok = r && serial && at && X509_REVOKED_set_serialNumber(r, serial) == 1 && X509_REVOKED_set_revocationDate(r, at) == 1 &&
	          X509_CRL_add0_revoked(crl, r) == 1;
	if (!ok)
		X509_REVOKED_free(r);
	ASN1_INTEGER_free(serial);
	ASN1_TIME_free(at);
	BN_free(n);
	return ok;
}

static bool set_crl_times(X509_CRL *crl, int64_t now_s, int64_t next_update_s)
{
	ASN1_TIME *last = ASN1_TIME_set(NULL, (time_t)now_s), *next = ASN1_TIME_set(NULL, (time_t)next_update_s);
	bool ok = last && next && X509_CRL_set1_lastUpdate(crl, last) == 1 && X509_CRL_set1_nextUpdate(crl, next) == 1;
	ASN1_TIME_free(last);
	ASN1_TIME_free(next);
	return ok;
}

static bool add_crl_extensions(X509_CRL *crl, const struct cox_issuer *i, uint64_t number)
{
	ASN1_INTEGER *n = ASN1_INTEGER_new();
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, i->cert, NULL, NULL, crl, 0);
	X509_EXTENSION *aki = X509V3_EXT_conf_nid(NULL, &ctx, NID_authority_key_identifier, "keyid:always");
	bool ok = n && aki && ASN1_INTEGER_set_uint64(n, number) == 1 && X509_CRL_add_ext(crl, aki, -1) == 1 &&
	          X509_CRL_add1_ext_i2d(crl, NID_crl_number, n, 0, X509V3_ADD_DEFAULT) == 1;
	X509_EXTENSION_free(aki);
	ASN1_INTEGER_free(n);
	return ok;
}

enum cox_rc cox_issue_crl(const struct cox_issuer *i, const struct cox_ca_revoked *items, size_t n, uint64_t number, int64_t now_s,
                          int64_t next_update_s, struct cox_buf *crl_pem, struct cox_err *err)
{
	COX_AUTO(x509_crl_freep) X509_CRL *crl = X509_CRL_new();
	COX_AUTO(cox_bio_freep_) BIO *bio = BIO_new(BIO_s_mem());
	COX_ASSERT(crl && bio);
	bool ok = X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1 &&
	          X509_CRL_set_issuer_name(crl, X509_get_subject_name(i->cert)) == 1 && set_crl_times(crl, now_s, next_update_s) &&
	          add_crl_extensions(crl, i, number);
	for (size_t k = 0; ok && k < n; k++)
		ok = add_revoked(crl, &items[k]);
	ok = ok && X509_CRL_sort(crl) == 1 && X509_CRL_sign(crl, i->key, i->digest) > 0 && PEM_write_bio_X509_CRL(bio, crl) == 1;
	if (!ok)
		return cox_ossl_fail_(err, COX_EINTERNAL, "the CRL could not be signed");
	cox_bio_append_(bio, crl_pem);
	ERR_clear_error();
	return COX_OK;
}

enum cox_rc cox_crl_check_(struct cox_str pem, struct cox_err *err)
{
	COX_AUTO(cox_bio_freep_) BIO *bio = NULL;
	size_t n = 0;
	X509_CRL *crl;
	if (pem.n > COX_CERT_PEM_BYTES_MAX)
		return cox_err_set(err, COX_EINVAL, NULL, "ca-crl.pem: %zu bytes", pem.n);
	bio = cox_bio_of_(pem);
	for (; (crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL)); n++)
		X509_CRL_free(crl);
	bool is_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
	if (n && is_end) {
		ERR_clear_error();
		return COX_OK;
	}
	return cox_ossl_fail_(err, COX_EINVAL, "ca-crl.pem");
}
