#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>

int cox_str_cmp(struct cox_str a, struct cox_str b)
{
	size_t n = cox_min_size(a.n, b.n);
	int c = n ? memcmp(a.p, b.p, n) : 0;
	if (c)
		return c;
	return a.n < b.n ? -1 : a.n > b.n;
}

int cox_str_cmp_qsort(const void *a, const void *b) { return cox_str_cmp(*(const struct cox_str *)a, *(const struct cox_str *)b); }

bool cox_str_eq_nocase(struct cox_str a, struct cox_str b) { return a.n == b.n && (a.n == 0 || strncasecmp(a.p, b.p, a.n) == 0); }

bool cox_str_has_prefix(struct cox_str s, struct cox_str prefix)
{
	return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

bool cox_str_has_suffix(struct cox_str s, struct cox_str suffix)
{
	return s.n >= suffix.n && (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

ptrdiff_t cox_str_find(struct cox_str s, char c)
{
	const char *hit = s.n ? memchr(s.p, c, s.n) : NULL;
	return hit ? hit - s.p : -1;
}

ptrdiff_t cox_str_rfind(struct cox_str s, char c)
{
	const char *hit = s.n ? memrchr(s.p, c, s.n) : NULL;
	return hit ? hit - s.p : -1;
}

ptrdiff_t cox_str_search(struct cox_str s, struct cox_str needle)
{
	if (needle.n == 0)
		return 0;
	const char *hit = s.n ? memmem(s.p, s.n, needle.p, needle.n) : NULL;
	return hit ? hit - s.p : -1;
}

struct cox_str cox_str_sub(struct cox_str s, size_t from, size_t n)
{
	if (from >= s.n)
		return (struct cox_str){ s.p ? s.p + s.n : NULL, 0 };
	return (struct cox_str){ s.p + from, cox_min_size(n, s.n - from) };
}

struct cox_str cox_str_trim(struct cox_str s)
{
	while (s.n && isspace((unsigned char)s.p[0]))
		s.p++, s.n--;
	while (s.n && isspace((unsigned char)s.p[s.n - 1]))
		s.n--;
	return s;
}

bool cox_str_next(struct cox_str *rest, char sep, struct cox_str *part)
{
	if (!rest->p)
		return false;
	ptrdiff_t at = cox_str_find(*rest, sep);
	if (at < 0) {
		*part = *rest;
		*rest = (struct cox_str){ NULL, 0 };
	} else {
		*part = (struct cox_str){ rest->p, (size_t)at };
		*rest = (struct cox_str){ rest->p + at + 1, rest->n - (size_t)at - 1 };
	}
	return true;
}

enum cox_rc cox_str_to_u64(struct cox_str s, uint64_t *out)
{
	uint64_t v = 0;
	if (s.n == 0)
		return COX_EINVAL;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return COX_EINVAL;
		if (__builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
			return COX_ELIMIT;
	}
	*out = v;
	return COX_OK;
}

enum cox_rc cox_str_to_i64(struct cox_str s, int64_t *out)
{
	bool negative = s.n && s.p[0] == '-';
	uint64_t v;
	COX_TRY(cox_str_to_u64(cox_str_sub(s, negative, s.n), &v));
	if (v > (uint64_t)INT64_MAX + negative)
		return COX_ELIMIT;
	*out = negative ? (int64_t)(0 - v) : (int64_t)v;
	return COX_OK;
}

enum cox_rc cox_str_to_f64(struct cox_str s, double *out)
{
	char buf[64], *end;
	if (s.n == 0 || s.n >= sizeof(buf) || isspace((unsigned char)s.p[0]))
		return COX_EINVAL;
	cox_str_to_cstr(s, buf, sizeof(buf));
	errno = 0;
	double v = strtod(buf, &end);
	if (*end)
		return COX_EINVAL;
	if (errno == ERANGE && (v > 1 || v < -1))
		return COX_ELIMIT;
	*out = v;
	return COX_OK;
}

char *cox_str_dup_cstr(struct cox_str s)
{
	char *p = cox_alloc(s.n + 1);
	if (s.n)
		memcpy(p, s.p, s.n);
	p[s.n] = 0;
	return p;
}

char *cox_str_to_cstr(struct cox_str s, char *buf, size_t cap)
{
	size_t n = cox_min_size(s.n, cap - 1);
	if (n)
		memcpy(buf, s.p, n);
	buf[n] = 0;
	return buf;
}

bool cox_str_is_utf8(struct cox_str s)
{
	const unsigned char *p = (const unsigned char *)s.p, *end = s.n ? p + s.n : p;
	while (p < end) {
		uint64_t eight;
		if (end - p >= (ptrdiff_t)sizeof(eight)) {
			memcpy(&eight, p, sizeof(eight));
			if (!(eight & 0x8080808080808080u)) { /* plain ASCII, as nearly everything */
				p += sizeof(eight);
				continue;
			}
		}
		unsigned char c = *p++;
		int more;
		uint32_t v;
		if (c < 0x80)
			continue;
		else if (c >= 0xc2 && c < 0xe0)
			more = 1, v = c & 0x1f;
		else if ((c & 0xf0) == 0xe0)
			more = 2, v = c & 0x0f;
		else if (c >= 0xf0 && c < 0xf5)
			more = 3, v = c & 0x07;
		else
			return false;
		int count = more;
		for (; more; more--) {
			if (p == end || (*p & 0xc0) != 0x80)
				return false;
			v = v << 6 | (*p++ & 0x3f);
		}
		if ((count == 2 && (v < 0x800 || (v >= 0xd800 && v < 0xe000))) || (count == 3 && (v < 0x10000 || v > 0x10ffff)))
			return false;
	}
	return true;
}
