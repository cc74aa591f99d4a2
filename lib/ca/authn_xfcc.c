#include "ca/authn_xfcc.h"

#include "base/buf.h"

#include <arpa/inet.h>

/* --- the header: elements with ',' between, in each "key=value" with ';' between, values plain or quoted with \" and \\ inside
 * ------------- */

/* Takes one value off *rest and says what ended it (',', ';' or 0). False: a quote without its end, or text behind one. */
static bool take_value(struct cox_str *rest, struct cox_arena *arena, struct cox_str *value, char *end)
{
	size_t i = 0, n = 0;
	*end = 0;
	if (rest->n == 0 || rest->p[0] != '"') {
		while (i < rest->n && rest->p[i] != ',' && rest->p[i] != ';')
			i++;
		*value = cox_str_sub(*rest, 0, i);
	} else {
		char *out = cox_arena_alloc(arena, rest->n);
		for (i = 1; i < rest->n && rest->p[i] != '"'; i++) {
			if (rest->p[i] == '\\' && i + 1 < rest->n)
				i++;
			out[n++] = rest->p[i];
		}
		if (i++ >= rest->n)
			return false;
		*value = cox_str_make(out, n);
	}
	if (i < rest->n) {
		*end = rest->p[i];
		if (*end != ',' && *end != ';')
			return false;
		i++;
	}
	*rest = cox_str_sub(*rest, i, rest->n);
	return true;
}

enum cox_rc cox_xfcc_uris(struct cox_str header, struct cox_arena *arena, struct cox_str uris[COX_XFCC_URIS_MAX], size_t *n,
                          struct cox_err *err)
{
	struct cox_str found[COX_XFCC_URIS_MAX], rest = cox_str_trim(header), value;
	size_t count = 0;
	char end = ',';
	if (header.n > COX_XFCC_BYTES_MAX)
		return cox_err_set(err, COX_EINVAL, NULL, "x-forwarded-client-cert: %zu bytes, more than %d", header.n, COX_XFCC_BYTES_MAX);
	if (rest.n == 0)
		return cox_err_set(err, COX_EINVAL, NULL, "x-forwarded-client-cert: empty");
	while (end) {
		if (end == ',')
			count = 0; /* a new element: the one before was not the last */
		ptrdiff_t eq = cox_str_find(rest, '=');
		struct cox_str key = cox_str_trim(cox_str_sub(rest, 0, eq < 0 ? 0 : (size_t)eq));
		if (key.n == 0 || cox_str_find(key, ',') >= 0 || cox_str_find(key, ';') >= 0 || cox_str_find(key, '"') >= 0)
			return cox_err_set(err, COX_EINVAL, NULL, "x-forwarded-client-cert: \"%.*s\" is not key=value",
			                   COX_FMT(cox_str_sub(rest, 0, 40)));
		rest = cox_str_sub(rest, (size_t)eq + 1, rest.n);
		if (!take_value(&rest, arena, &value, &end))
			return cox_err_set(err, COX_EINVAL, NULL, "x-forwarded-client-cert: the quotes of %.*s do not match",
			                   COX_FMT(cox_str_sub(key, 0, 40)));
		if (!cox_str_eq_nocase(key, COX_STR("uri")) || value.n == 0)
			continue;
		if (count == COX_XFCC_URIS_MAX)
			return cox_err_set(err, COX_EINVAL, NULL, "x-forwarded-client-cert: more than %d URIs", COX_XFCC_URIS_MAX);
		found[count++] = cox_str_trim(value);
	}
	for (size_t i = 0; i < count; i++)
		uris[i] = cox_arena_str(arena, found[i]);
	*n = count;
	return COX_OK;
}

/* --- addresses
 * ---------------------------------------------------------------------------------------------------------------------------- */

static bool parse_ip(struct cox_str text, unsigned char out[16], bool *is_v4)
{
	char copy[64];
	if (text.n == 0 || text.n >= sizeof(copy))
		return false;
	cox_str_to_cstr(text, copy, sizeof(copy));
	memset(out, 0, 16);
	out[10] = out[11] = 0xff;
	*is_v4 = inet_pton(AF_INET, copy, out + 12) == 1;
	return *is_v4 || inet_pton(AF_INET6, copy, out) == 1;
}

static enum cox_rc parse_one(struct cox_str part, struct cox_cidr *out, struct cox_err *err)
{
	ptrdiff_t slash = cox_str_find(part, '/');
	struct cox_str ip = slash < 0 ? part : cox_str_sub(part, 0, (size_t)slash);
	uint64_t bits;
	bool is_v4;
	if (!parse_ip(ip, out->address, &is_v4))
		return cox_err_set(err, COX_EINVAL, NULL, "\"%.*s\" is no address range", COX_FMT(part));
	uint64_t most = is_v4 ? 32 : 128;
	bits = most;
	if (slash >= 0 && (cox_str_to_u64(cox_str_sub(part, (size_t)slash + 1, part.n), &bits) != COX_OK || bits > most))
		return cox_err_set(err, COX_EINVAL, NULL, "\"%.*s\" is no address range", COX_FMT(part));
	out->bits = (unsigned)(bits + 128 - most);
	return COX_OK;
}

enum cox_rc cox_cidrs_parse(struct cox_str text, cox_cidrs *out, struct cox_err *err)
{
	struct cox_str rest = text, part;
	while (text.n && cox_str_next(&rest, ',', &part)) {
		struct cox_cidr one;
		part = cox_str_trim(part);
		if (part.n == 0)
			continue;
		COX_TRY(parse_one(part, &one, err));
		cox_vec_push(out, one);
	}
	return COX_OK;
}

static bool has_prefix_bits(const unsigned char *a, const unsigned char *b, unsigned bits)
{
	unsigned whole = bits / 8, left = bits % 8;
	return memcmp(a, b, whole) == 0 && (left == 0 || ((a[whole] ^ b[whole]) >> (8 - left)) == 0);
}

bool cox_cidrs_have(const cox_cidrs *c, struct cox_str peer)
{
	ptrdiff_t colon = cox_str_rfind(peer, ':');
	struct cox_str host = colon < 0 ? peer : cox_str_sub(peer, 0, (size_t)colon);
	unsigned char ip[16];
	bool is_v4;
	if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = cox_str_sub(host, 1, host.n - 2);
	if (!parse_ip(host, ip, &is_v4))
		return false;
	for (size_t i = 0; i < c->n; i++)
		if (has_prefix_bits(c->p[i].address, ip, c->p[i].bits))
			return true;
	return false;
}
