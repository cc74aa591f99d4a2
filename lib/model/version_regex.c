#include "model/version_regex.h"
#include "base/buf.h"

#include <regex.h>

enum { PATTERN_BYTES_MAX = 256, VERSION_BYTES_MAX = 256, COUNT_MAX = 64 };

struct cox_version_regex {
	regex_t posix;
};

/* One escape of RE2 as POSIX has it; false: we do not know it. */
static bool escape(struct cox_buf *out, char c, bool in_class)
{
	const char *plain = c == 'd' ? "0-9" : c == 'w' ? "0-9A-Za-z_" : c == 's' ? " \t\r\n\f" : NULL;
	const char *negated = c == 'D' ? "0-9" : c == 'W' ? "0-9A-Za-z_" : c == 'S' ? " \t\r\n\f" : NULL;
	if (plain)
		cox_buf_printf(out, in_class ? "%s" : "[%s]", plain);
	else if (negated && !in_class)
		cox_buf_printf(out, "[^%s]", negated);
	else if (c == 'A' && !in_class)
		cox_buf_append_char(out, '^');
	else if (c == 'z' && !in_class)
		cox_buf_append_char(out, '$');
	else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
		return false;
	else if (in_class && (c == ']' || c == '-' || c == '^' || c == '\\'))
		return false; /* POSIX has no escapes inside brackets */
	else
		cox_buf_printf(out, in_class ? "%c" : "\\%c", c);
	return true;
}

/* "{2,5}" behind `at`: counts inside counts make automatons of any size, so there may be one of them, and a small one. */
static bool count_is_small(struct cox_str p, size_t at)
{
	uint64_t n;
	struct cox_str rest = cox_str_sub(p, at + 1, p.n), inside, number;
	if (!cox_str_next(&rest, '}', &inside) || !rest.p)
		return false;
	while (cox_str_next(&inside, ',', &number))
		if (number.n && (cox_str_to_u64(number, &n) != COX_OK || n > COUNT_MAX))
			return false;
	return true;
}

static bool to_posix(struct cox_str p, struct cox_buf *out)
{
	bool in_class = false;
	size_t counts = 0, class_at = 0;
	for (size_t i = 0; i < p.n; i++) {
		char c = p.p[i], next = i + 1 < p.n ? p.p[i + 1] : '\0';
		if (c == '\0')
			return false;
		if (c == '\\') {
			if (!next || !escape(out, next, in_class))
				return false;
			i++;
		} else if (in_class) {
			in_class = c != ']' || out->n == class_at;
			cox_buf_append_char(out, c);
		} else if (c == '(' && next == '?') {
			if (i + 2 >= p.n || p.p[i + 2] != ':')
				return false;
			cox_buf_append_char(out, '(');
			i += 2;
		} else if (c == '?' && out->n && i && (p.p[i - 1] == '*' || p.p[i - 1] == '+' || p.p[i - 1] == '?' || p.p[i - 1] == '}')) {
			continue; /* lazy: whether it matches is the same */
		} else if (c == '{' && (++counts > 1 || !count_is_small(p, i))) {
			return false;
		} else {
			cox_buf_append_char(out, c);
			if (c == '[') {
				in_class = true;
				if (next == '^')
					cox_buf_append_char(out, p.p[++i]);
				class_at = out->n;
			}
		}
	}
	return !in_class;
}

enum cox_rc cox_version_regex_new(struct cox_str pattern, struct cox_version_regex **out)
{
	struct cox_buf posix = { 0 };
	struct cox_version_regex *r = COX_NEW(struct cox_version_regex);
	bool ok = pattern.n <= PATTERN_BYTES_MAX && to_posix(pattern, &posix) &&
	          regcomp(&r->posix, cox_buf_cstr(&posix), REG_EXTENDED | REG_NOSUB) == 0;
	cox_buf_fini(&posix);
	if (!ok) {
		cox_free(r);
		return COX_EINVAL;
	}
	*out = r;
	return COX_OK;
}

void cox_version_regex_free(struct cox_version_regex *r)
{
	if (!r)
		return;
	regfree(&r->posix);
	cox_free(r);
}

bool cox_version_regex_matches(const struct cox_version_regex *r, struct cox_str version)
{
	char text[VERSION_BYTES_MAX];
	if (version.n == 0 || version.n >= sizeof(text) || memchr(version.p, '\0', version.n))
		return false;
	return regexec(&r->posix, cox_str_to_cstr(version, text, sizeof(text)), 0, NULL, 0) == 0;
}
