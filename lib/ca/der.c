#include "ca/der_priv.h"

#include "base/clock.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>
#include <stdio.h>

enum { RSA_BITS_MIN = 2048, RSA_BITS_MAX = 8192, RSA_EXPONENT_BYTES_MAX = 8, ED25519_BYTES = 32 };

void cox_der_put_head_(struct cox_buf *out, uint8_t tag, size_t n)
{
	unsigned bytes = n < 0x80 ? 0 : n < 0x100 ? 1 : n < 0x10000 ? 2 : 3;
	COX_ASSERT(n < 0x1000000);
	cox_buf_append_char(out, (char)tag);
	cox_buf_append_char(out, (char)(bytes ? 0x80 | bytes : n));
	while (bytes)
		cox_buf_append_char(out, (char)(n >> (8 * --bytes)));
}

void cox_der_put_(struct cox_buf *out, uint8_t tag, struct cox_str content)
{
	cox_der_put_head_(out, tag, content.n);
	cox_buf_append_str(out, content);
}

void cox_der_put_time_(struct cox_buf *out, int64_t at_s)
{
	char text[32], digits[16]; /* "2026-08-01T10:00:00.000Z" */
	size_t n = 0;
	cox_clock_format(at_s * 1000, text);
	for (const char *p = text; *p && *p != '.' && n < 14; p++)
		if (*p >= '0' && *p <= '9')
			digits[n++] = *p;
	digits[n++] = 'Z';
	bool is_utc = n == 15 && memcmp(digits, "2050", 4) < 0 && memcmp(digits, "1950", 4) >= 0;
	cox_der_put_(out, is_utc ? COX_DER_UTC_TIME : COX_DER_GENERALIZED_TIME,
	             cox_str_make(digits + (is_utc ? 2 : 0), n - (is_utc ? 2 : 0)));
}

bool cox_der_take_(struct cox_str *rest, uint8_t tag, struct cox_str *content)
{
	const uint8_t *p = (const uint8_t *)rest->p;
	size_t head = 2, n;
	if (rest->n < 2 || p[0] != tag)
		return false;
	n = p[1];
	if (n & 0x80) {
		size_t bytes = n & 0x7f;
		if (bytes == 0 || bytes > 3 || rest->n < 2 + bytes || p[2] == 0)
			return false;
		n = 0;
		for (size_t i = 0; i < bytes; i++)
			n = n << 8 | p[2 + i];
		if (n < 0x80)
			return false;
		head += bytes;
	}
	if (rest->n - head < n)
		return false;
	*content = cox_str_sub(*rest, head, n);
	*rest = cox_str_make(rest->p + head + n, rest->n - head - n);
	return true;
}

/* --- public keys -------------------------------------------------------------------------------------- */

static const struct cox_str oid_ec = COX_STR_INIT("\x2a\x86\x48\xce\x3d\x02\x01"),
                            oid_rsa = COX_STR_INIT("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"), oid_ed25519 = COX_STR_INIT("\x2b\x65\x70");
static const struct {
	struct cox_str oid;
	int nid;
} curves[] = {
	{ COX_STR_INIT("\x2a\x86\x48\xce\x3d\x03\x01\x07"), NID_X9_62_prime256v1 },
	{ COX_STR_INIT("\x2b\x81\x04\x00\x22"), NID_secp384r1 },
	{ COX_STR_INIT("\x2b\x81\x04\x00\x23"), NID_secp521r1 },
};

static enum cox_rc bad(struct cox_err *err, const char *what) { return cox_err_set(err, COX_EINVAL, NULL, "public key: %s", what); }

/* A group takes longer to make than a point to check: each thread makes each one once, for the life of the process. */
static EC_GROUP *group_of(size_t curve)
{
	static _Thread_local EC_GROUP *made[COX_LEN(curves)];
	if (!made[curve])
		made[curve] = EC_GROUP_new_by_curve_name(curves[curve].nid);
	COX_ASSERT(made[curve] != NULL);
	return made[curve];
}

static enum cox_rc check_point(struct cox_str curve_oid, struct cox_str point, struct cox_err *err)
{
	for (size_t i = 0; i < COX_LEN(curves); i++) {
		if (!cox_str_eq(curve_oid, curves[i].oid))
			continue;
		EC_GROUP *g = group_of(i);
		EC_POINT *p = EC_POINT_new(g);
		/* It checks that the point is on the curve. */
		bool ok =
		    p && EC_POINT_oct2point(g, p, (const unsigned char *)point.p, point.n, NULL) == 1 && !EC_POINT_is_at_infinity(g, p);
		EC_POINT_free(p);
		ERR_clear_error();
		return ok ? COX_OK : bad(err, "its point is not on the curve");
	}
	return bad(err, "a curve that is not taken; P-256, P-384 and P-521 are");
}

/* A positive integer without its sign byte. */
static bool take_positive(struct cox_str *rest, struct cox_str *out)
{
	if (!cox_der_take_(rest, COX_DER_INTEGER, out) || out->n == 0 || ((uint8_t)out->p[0] & 0x80))
		return false;
	if (out->p[0] == 0)
		*out = cox_str_sub(*out, 1, out->n);
	return out->n > 0 && out->p[0] != 0;
}

static enum cox_rc check_rsa(struct cox_str bits, struct cox_err *err)
{
	struct cox_str body, n, e;
	if (!cox_der_take_(&bits, COX_DER_SEQUENCE, &body) || bits.n || !take_positive(&body, &n) || !take_positive(&body, &e) || body.n)
		return bad(err, "it cannot be read");
	size_t length = n.n * 8;
	for (uint8_t top = (uint8_t)n.p[0]; !(top & 0x80); top = (uint8_t)(top << 1))
		length--;
	if (length < RSA_BITS_MIN || length > RSA_BITS_MAX)
		return cox_err_set(err, COX_EINVAL, NULL, "public key: RSA of %zu bits; %d to %d are taken", length, RSA_BITS_MIN,
		                   RSA_BITS_MAX);
	bool is_odd = (e.p[e.n - 1] & 1) && (n.p[n.n - 1] & 1), is_one = e.n == 1 && e.p[0] == 1;
	return is_odd && !is_one && e.n <= RSA_EXPONENT_BYTES_MAX ? COX_OK : bad(err, "RSA numbers that make no key");
}

enum cox_rc cox_spki_check_(struct cox_str der, struct cox_err *err)
{
	struct cox_str body, algorithm, oid, curve, bits;
	if (!cox_der_take_(&der, COX_DER_SEQUENCE, &body) || der.n || !cox_der_take_(&body, COX_DER_SEQUENCE, &algorithm) ||
	    !cox_der_take_(&algorithm, COX_DER_OID, &oid) || !cox_der_take_(&body, COX_DER_BIT_STRING, &bits) || body.n || bits.n < 2 ||
	    bits.p[0] != 0)
		return bad(err, "it cannot be read");
	bits = cox_str_sub(bits, 1, bits.n);
	if (cox_str_eq(oid, oid_ec))
		return cox_der_take_(&algorithm, COX_DER_OID, &curve) && !algorithm.n ? check_point(curve, bits, err)
		                                                                      : bad(err, "its curve has no name");
	if (cox_str_eq(oid, oid_rsa))
		return cox_der_take_(&algorithm, COX_DER_NULL, &curve) && !curve.n && !algorithm.n ? check_rsa(bits, err)
		                                                                                   : bad(err, "it cannot be read");
	if (cox_str_eq(oid, oid_ed25519))
		return !algorithm.n && bits.n == ED25519_BYTES ? COX_OK : bad(err, "it cannot be read");
	return bad(err, "a key of this kind is not taken; RSA, P-256, P-384, P-521 and Ed25519 are");
}
