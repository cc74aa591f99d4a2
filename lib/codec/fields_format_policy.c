/* Text formats of policies and extensions. */
#include "codec/fields_priv.h"

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_alnum(char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

bool cox_format_is_not_empty(struct cox_str s) { return s.n > 0; }

bool cox_format_is_port_number(struct cox_str s)
{
	uint64_t port = 0;
	return cox_str_to_u64(s, &port) == COX_OK && port <= 65535;
}

bool cox_format_is_service_account(struct cox_str s)
{
	ptrdiff_t slash = cox_str_find(s, '/');
	if (!s.n || cox_str_find(s, '*') >= 0 || cox_str_rfind(s, '/') != slash)
		return false;
	return slash != 0 && (size_t)(slash + 1) != s.n;
}

bool cox_format_is_one_wildcard(struct cox_str s)
{
	ptrdiff_t star = cox_str_find(s, '*');
	return s.n && (star < 0 || (cox_str_rfind(s, '*') == star && (star == 0 || (size_t)star + 1 == s.n)));
}

bool cox_format_is_trust_domain(struct cox_str s) { return cox_format_is_one_wildcard(s) && cox_str_find(s, '/') < 0; }

/* Envoy's uri_template takes pchar (RFC 3986) in literal segments, without '*', which is an operator there. */
static bool is_template_literal(struct cox_str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!is_alnum(s.p[i]) && (!s.p[i] || !strchr("-._~%!$&'()+,;:@=", s.p[i])))
			return false;
	return s.n > 0;
}

bool cox_format_is_path_template(struct cox_str s)
{
	bool is_template = cox_str_search(s, COX_STR("{*}")) >= 0 || cox_str_search(s, COX_STR("{**}")) >= 0, is_over = false;
	while (s.n && s.p[0] == '/')
		s = cox_str_sub(s, 1, s.n);
	while (s.n && s.p[s.n - 1] == '/')
		s = cox_str_sub(s, 0, s.n - 1);
	struct cox_str part;
	while (cox_str_next(&s, '/', &part)) {
		bool rest = cox_str_eq_cstr(part, "{**}");
		if (rest || cox_str_eq_cstr(part, "{*}")) {
			if (is_over)
				return false;
			is_over = rest;
		} else if (cox_str_find(part, '{') >= 0 || cox_str_find(part, '}') >= 0 || (is_template && !is_template_literal(part))) {
			return false;
		}
	}
	return true;
}

/* --- URLs --- */

/* The scheme in front of the first ':', or nothing where there is none. */
static struct cox_str scheme_of(struct cox_str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (c == ':')
			return cox_str_sub(s, 0, i);
		if (!is_alnum(c) && !(i && (c == '+' || c == '-' || c == '.')))
			break;
		if (i == 0 && is_digit(c))
			break;
	}
	return (struct cox_str){ 0 };
}

static bool is_url_text(struct cox_str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c < 0x20 || c == 0x7f)
			return false;
	}
	return true;
}

/* [user@]host[:port]; the host may be an address in brackets. */
static bool is_authority(struct cox_str s)
{
	ptrdiff_t at = cox_str_rfind(s, '@');
	s = cox_str_sub(s, (size_t)(at + 1), s.n);
	ptrdiff_t bracket = cox_str_rfind(s, ']'), colon = cox_str_rfind(s, ':');
	if (s.n && s.p[0] == '[') {
		if (bracket < 0)
			return false;
	} else if (bracket >= 0 || (colon >= 0 && cox_str_find(s, ':') != colon)) {
		return false;
	}
	if (colon > bracket)
		for (size_t i = (size_t)colon + 1; i < s.n; i++)
			if (!is_digit(s.p[i]))
				return false;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == ' ' || s.p[i] == '<' || s.p[i] == '>' || s.p[i] == '"' || s.p[i] == '\\' || s.p[i] == '^' || s.p[i] == '`' ||
		    s.p[i] == '{' || s.p[i] == '|' || s.p[i] == '}')
			return false;
	return true;
}

static bool starts_with_authority(struct cox_str s)
{
	size_t n = 0;
	while (n < s.n && s.p[n] != '/' && s.p[n] != '?' && s.p[n] != '#')
		n++;
	return is_authority(cox_str_sub(s, 0, n));
}

/* What follows "scheme:". */
static bool is_hier_part(struct cox_str s)
{
	if (!cox_str_has_prefix(s, COX_STR("//")))
		return true;
	return starts_with_authority(cox_str_sub(s, 2, s.n));
}

static bool is_one_of(struct cox_str s, const char *const *words)
{
	for (; *words; words++)
		if (cox_str_eq_nocase(s, cox_str_of(*words)))
			return true;
	return false;
}

static bool is_url(struct cox_str s, const char *const *schemes)
{
	struct cox_str scheme = scheme_of(s);
	return scheme.n && is_url_text(s) && is_one_of(scheme, schemes) && is_hier_part(cox_str_sub(s, scheme.n + 1, s.n));
}

bool cox_format_is_http_url(struct cox_str s)
{
	static const char *const schemes[] = { "http", "https", NULL };
	return is_url(s, schemes);
}

bool cox_format_is_wasm_url(struct cox_str s)
{
	static const char *const schemes[] = { "oci", "https", "http", "file", NULL };
	if (!scheme_of(s).n) /* "registry.example/image:v1" */
		return s.n && s.p[0] != ':' && is_url_text(s) && (s.p[0] == '/' || starts_with_authority(s));
	return is_url(s, schemes);
}

bool cox_format_is_plain_header(struct cox_str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!is_alnum(s.p[i]) && s.p[i] != '-' && s.p[i] != '_')
			return false;
	return s.n > 0;
}

bool cox_format_is_sha256(struct cox_str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!is_digit(s.p[i]) && !(s.p[i] >= 'a' && s.p[i] <= 'f'))
			return false;
	return s.n == 64;
}
