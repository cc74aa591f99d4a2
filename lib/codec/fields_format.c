/* Text formats: durations, names, hosts, labels. */
#include "codec/fields_priv.h"

#include <arpa/inet.h>
#include <stdio.h>

/* --- durations --- */

static const struct unit {
	const char *name;
	int64_t ns;
} units[] = { { "h", 3600000000000 }, { "ms", 1000000 },     { "m", 60000000000 }, { "us", 1000 },
	      { "\xc2\xb5s", 1000 },  { "\xce\xbcs", 1000 }, { "ns", 1 },          { "s", 1000000000 } };

static const struct unit *take_unit(struct cox_str *s)
{
	for (size_t i = 0; i < COX_LEN(units); i++) {
		struct cox_str name = cox_str_of(units[i].name);
		if (!cox_str_has_prefix(*s, name))
			continue;
		*s = cox_str_sub(*s, name.n, s->n);
		return &units[i];
	}
	return NULL;
}

/* "12.5h": the number in front, as whole and as fraction * 10^-digits. */
static enum cox_rc take_number(struct cox_str *s, __int128 *whole, __int128 *fraction, __int128 *scale)
{
	size_t digits = 0;
	*whole = *fraction = 0;
	*scale = 1;
	bool behind_dot = false;
	for (; s->n && ((s->p[0] >= '0' && s->p[0] <= '9') || (s->p[0] == '.' && !behind_dot)); *s = cox_str_sub(*s, 1, s->n)) {
		if (s->p[0] == '.') {
			behind_dot = true;
			continue;
		}
		digits++;
		int d = s->p[0] - '0';
		if (!behind_dot) {
			*whole = *whole * 10 + d;
			if (*whole > INT64_MAX)
				return COX_ELIMIT;
		} else if (*scale < 1000000000000000) {
			*fraction = *fraction * 10 + d;
			*scale *= 10;
		}
	}
	return digits ? COX_OK : COX_EINVAL;
}

enum cox_rc cox_duration_parse(struct cox_str s, int64_t *ns)
{
	static const int64_t ns_max = INT64_MAX; /* 292 years: what nanoseconds in 64 bits can hold */
	bool negative = s.n && s.p[0] == '-';
	if (s.n && (s.p[0] == '-' || s.p[0] == '+'))
		s = cox_str_sub(s, 1, s.n);
	if (cox_str_eq(s, COX_STR("0"))) {
		*ns = 0;
		return COX_OK;
	}
	if (!s.n)
		return COX_EINVAL;
	__int128 sum = 0;
	while (s.n) {
		__int128 whole, fraction, scale;
		COX_TRY(take_number(&s, &whole, &fraction, &scale));
		const struct unit *u = take_unit(&s);
		if (!u)
			return COX_EINVAL;
		sum += whole * u->ns + fraction * u->ns / scale;
		if (sum > ns_max)
			return COX_ELIMIT;
	}
	*ns = negative ? -(int64_t)sum : (int64_t)sum;
	return COX_OK;
}

void cox_duration_format(int64_t ns, char out[32])
{
	uint64_t n = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
	unsigned long long s = n / 1000000000, rest = n % 1000000000;
	const char *sign = ns < 0 ? "-" : "";
	/* Protobuf writes 0, 3, 6 or 9 digits. */
	if (rest == 0)
		snprintf(out, 32, "%s%llus", sign, s);
	else if (rest % 1000000 == 0)
		snprintf(out, 32, "%s%llu.%03llus", sign, s, rest / 1000000);
	else if (rest % 1000 == 0)
		snprintf(out, 32, "%s%llu.%06llus", sign, s, rest / 1000);
	else
		snprintf(out, 32, "%s%llu.%09llus", sign, s, rest);
}

/* --- names --- */

static bool is_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }
static bool is_lower_alnum(char c) { return is_alnum(c) && !(c >= 'A' && c <= 'Z'); }

/* Letters and digits at both ends, those and `extra` between. */
static bool is_word(struct cox_str s, size_t max, const char *extra, bool (*is_letter)(char))
{
	if (!s.n || s.n > max || !is_letter(s.p[0]) || !is_letter(s.p[s.n - 1]))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!is_letter(s.p[i]) && (!s.p[i] || !strchr(extra, s.p[i])))
			return false;
	return true;
}

static bool is_dns1123(struct cox_str s) { return is_word(s, 63, "-", is_lower_alnum); }

static bool is_subdomain(struct cox_str s)
{
	if (!s.n || s.n > 253)
		return false;
	struct cox_str part;
	while (cox_str_next(&s, '.', &part))
		if (!is_dns1123(part))
			return false;
	return true;
}

bool cox_format_is_label_key(struct cox_str s)
{
	ptrdiff_t slash = cox_str_find(s, '/');
	if (slash >= 0 && !is_subdomain(cox_str_sub(s, 0, (size_t)slash)))
		return false;
	return is_word(slash < 0 ? s : cox_str_sub(s, (size_t)slash + 1, s.n), 63, "-_.", is_alnum);
}

bool cox_format_is_label_value(struct cox_str s) { return s.n == 0 || is_word(s, 63, "-_.", is_alnum); }

static bool is_ip(struct cox_str s)
{
	char text[64], addr[16];
	if (s.n >= sizeof(text) || !s.n)
		return false;
	cox_str_to_cstr(s, text, sizeof(text));
	return inet_pton(AF_INET, text, addr) == 1 || inet_pton(AF_INET6, text, addr) == 1;
}

static bool is_cidr(struct cox_str s)
{
	ptrdiff_t slash = cox_str_rfind(s, '/');
	if (slash < 0)
		return is_ip(s);
	struct cox_str ip = cox_str_sub(s, 0, (size_t)slash);
	struct cox_str length = cox_str_sub(s, (size_t)slash + 1, s.n);
	uint64_t bits = 0;
	if (length.n > 1 && length.p[0] == '0')
		return false; /* "/08" is no number anywhere else */
	return is_ip(ip) && cox_str_to_u64(length, &bits) == COX_OK && bits <= (cox_str_find(ip, ':') >= 0 ? 128 : 32);
}

static bool is_numeric(struct cox_str s)
{
	uint64_t n;
	return cox_str_to_u64(s, &n) == COX_OK;
}

/* Labels of a DNS name; a last empty one (the root's dot) is allowed, a last numeric one is not: it would be taken for an address. */
static bool is_host(struct cox_str s)
{
	if (!s.n || s.n > 255)
		return false;
	struct cox_str rest = s, part = { 0 }, before = { 0 };
	while (cox_str_next(&rest, '.', &part)) {
		bool last = rest.p == NULL;
		if (last && !part.n && before.n)
			return !is_numeric(before);
		if (!is_word(part, 63, "-", is_alnum))
			return false;
		before = part;
	}
	return !is_numeric(before);
}

/* A host, "*", or a host whose first label is or starts with '*'. */
static bool is_wild_host(struct cox_str s)
{
	if (!s.n || s.p[0] != '*')
		return is_host(s);
	struct cox_str rest = cox_str_sub(s, 1, s.n);
	if (!rest.n)
		return true;
	if (rest.p[0] == '.' || rest.p[0] == '-')
		rest = cox_str_sub(rest, 1, rest.n);
	return is_host(rest);
}

static bool is_host_or_ip(struct cox_str s) { return is_host(s) || is_ip(s); }
static bool is_wild_host_or_ip(struct cox_str s) { return is_wild_host(s) || is_cidr(s); }
static bool is_destination_host(struct cox_str s) { return (is_wild_host(s) && s.n > 1) || is_ip(s) || is_host(s); }

static bool split_ns(struct cox_str s, struct cox_str *ns, struct cox_str *host)
{
	ptrdiff_t slash = cox_str_find(s, '/');
	if (slash < 0)
		return false;
	*ns = cox_str_sub(s, 0, (size_t)slash);
	*host = cox_str_sub(s, (size_t)slash + 1, s.n);
	return true;
}

static bool is_ns_word(struct cox_str ns) { return cox_str_eq(ns, COX_STR("*")) || cox_str_eq(ns, COX_STR(".")) || is_dns1123(ns); }

/* Sidecar egress: the namespace is a must. With "~" in front the entry takes hosts out again; "~" alone means those of every namespace. */
static bool is_egress_host(struct cox_str s)
{
	struct cox_str ns, host;
	if (!split_ns(s, &ns, &host))
		return false;
	if (cox_str_has_prefix(ns, COX_STR("~")))
		ns = ns.n > 1 ? cox_str_sub(ns, 1, ns.n) : COX_STR("*");
	return is_ns_word(ns) && is_wild_host(host);
}

/* Gateway server: the namespace may be left out. */
static bool is_server_host(struct cox_str s)
{
	struct cox_str ns, host;
	return split_ns(s, &ns, &host) ? is_ns_word(ns) && is_wild_host_or_ip(host) : is_wild_host_or_ip(s);
}

static bool is_gateway_name(struct cox_str s)
{
	struct cox_str ns, name;
	if (split_ns(s, &ns, &name))
		return (is_dns1123(ns) || cox_str_eq(ns, COX_STR("."))) && is_subdomain(name);
	return is_host(s);
}

static bool is_export(struct cox_str s)
{
	return cox_str_eq(s, COX_STR("*")) || cox_str_eq(s, COX_STR(".")) || cox_str_eq(s, COX_STR("~")) || is_dns1123(s);
}

static bool is_method(struct cox_str s) { return is_word(s, 63, "-", is_alnum); }

/* A token of RFC 9110, with a colon in front for pseudo headers. */
static bool is_header(struct cox_str s)
{
	for (size_t i = s.n && s.p[0] == ':'; i < s.n; i++)
		if (!is_alnum(s.p[i]) && (!s.p[i] || !strchr("!#$%&'*+-.^_`|~", s.p[i])))
			return false;
	return s.n > (size_t)(s.n && s.p[0] == ':') && s.n <= 256;
}

static bool is_unix(struct cox_str s)
{
	return (cox_str_has_prefix(s, COX_STR("unix:///")) || cox_str_has_prefix(s, COX_STR("unix://@"))) && s.p[s.n - 1] != '/';
}

/* Where an inbound listener hands traffic to: 127.0.0.1:PORT, [::1]:PORT, 0.0.0.0:PORT, [::]:PORT or a unix socket. */
static bool is_default_endpoint(struct cox_str s)
{
	static const char *const hosts[] = { "127.0.0.1", "[::1]", "0.0.0.0", "[::]" };
	if (is_unix(s))
		return true;
	ptrdiff_t colon = cox_str_rfind(s, ':');
	uint64_t port = 0;
	if (colon < 0 || cox_str_to_u64(cox_str_sub(s, (size_t)colon + 1, s.n), &port) != COX_OK || port < 1 || port > 65535)
		return false;
	for (size_t i = 0; i < COX_LEN(hosts); i++)
		if (cox_str_eq_cstr(cox_str_sub(s, 0, (size_t)colon), hosts[i]))
			return true;
	return false;
}

static bool is_bind(struct cox_str s) { return is_ip(s) || is_unix(s); }
static bool is_path(struct cox_str s) { return s.n && s.p[0] == '/'; }
static bool is_workload_address(struct cox_str s) { return is_ip(s) || is_host(s) || is_unix(s); }

/* Whether Envoy can have a chance with it: RE2's syntax as far as it shows without building the automaton. RE2 has neither
 * look-around nor back references; Envoy refuses the whole resource for one bad expression. */
static bool is_regex(struct cox_str s)
{
	size_t open = 0;
	bool in_class = false, can_repeat = false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (c == '\\') {
			if (++i == s.n || (s.p[i] >= '1' && s.p[i] <= '9'))
				return false;
			can_repeat = true;
		} else if (in_class) {
			/* A ']' that comes first is an ordinary character. */
			bool first = s.p[i - 1] == '[' || (s.p[i - 1] == '^' && i > 1 && s.p[i - 2] == '[');
			if (c == '[' && i + 1 < s.n && s.p[i + 1] == ':') {
				ptrdiff_t end = cox_str_search(cox_str_sub(s, i, s.n), COX_STR(":]"));
				i += end > 0 ? (size_t)end + 1 : 0;
			}
			in_class = c != ']' || first;
		} else if (c == '[') {
			in_class = can_repeat = true;
		} else if (c == '(') {
			open++;
			can_repeat = false;
			if (i + 2 < s.n && s.p[i + 1] == '?') {
				char kind = s.p[i + 2];
				if (kind == '=' || kind == '!' || (kind == '<' && i + 3 < s.n && (s.p[i + 3] == '=' || s.p[i + 3] == '!')))
					return false;
				i++;
			}
		} else if (c == ')') {
			if (open-- == 0)
				return false;
			can_repeat = true;
		} else if (c == '*' || c == '+' || c == '?') {
			if (!can_repeat)
				return false;
		} else {
			can_repeat = c != '|' && c != '^';
		}
	}
	return open == 0 && !in_class;
}

static const struct format {
	const char *name;
	bool (*is)(struct cox_str);
	const char *allowed;
} formats[] = {
	{ "dns1123", is_dns1123, "must be a DNS label: at most 63 of a-z, 0-9 and '-', a letter or digit at both ends" },
	{ "subdomain", is_subdomain, "must be a DNS name in lower case, at most 253 characters" },
	{ "host", is_host, "must be a DNS name" },
	{ "hostOrIp", is_host_or_ip, "must be a DNS name or an IP address" },
	{ "hostWildcard", is_wild_host, "must be a DNS name; '*' may stand for its first labels" },
	{ "hostWildcardOrIp", is_wild_host_or_ip,
	  "must be a DNS name ('*' may stand for its first labels), an IP address or a CIDR range" },
	{ "destinationHost", is_destination_host,
	  "must be a DNS name or an IP address; '*' may stand for its first labels, but not alone" },
	{ "egressHost", is_egress_host,
	  "must be \"namespace/host\": the namespace a name, '*' or '.', with '~' in front to take hosts out, the host a DNS name or wildcard" },
	{ "serverHost", is_server_host,
	  "must be \"host\" or \"namespace/host\": the namespace a name, '*' or '.', the host a DNS name or wildcard" },
	{ "gatewayName", is_gateway_name, "must be \"mesh\", \"name\" or \"namespace/name\"" },
	{ "exportTo", is_export, "must be '.' (this namespace), '*' (all), '~' (none) or a namespace" },
	{ "ip", is_ip, "must be an IP address" },
	{ "cidr", is_cidr, "must be an IP address or a CIDR range" },
	{ "bind", is_bind, "must be an IP address or unix:///path" },
	{ "defaultEndpoint", is_default_endpoint, "must be 127.0.0.1:PORT, [::1]:PORT, 0.0.0.0:PORT, [::]:PORT or unix:///path" },
	{ "workloadAddress", is_workload_address, "must be an IP address, a DNS name or unix:///path" },
	{ "method", is_method, "must be a name of letters, digits and '-'" },
	{ "header", is_header, "must be the name of an HTTP header" },
	{ "regex", is_regex, "is no RE2 expression (check brackets; look-around and back references do not exist there)" },
	{ "path", is_path, "must start with '/'" },
	{ "label", cox_format_is_label_value,
	  "must be a label value: at most 63 letters, digits, '-', '_' and '.', a letter or digit at both ends" },
	{ "labelKey", cox_format_is_label_key, "must be a label key: [dns-subdomain/]name" },
	{ "nonEmpty", cox_format_is_not_empty, "must not be empty" },
	{ "portNumber", cox_format_is_port_number, "must be a port number, as text" },
	{ "serviceAccount", cox_format_is_service_account, "must be \"account\" or \"namespace/account\", without '*'" },
	{ "trustDomain", cox_format_is_trust_domain, "must be a trust domain, with at most one '*', at its start or end" },
	{ "oneWildcard", cox_format_is_one_wildcard, "must have at most one '*', at its start or end" },
	{ "pathTemplate", cox_format_is_path_template,
	  "is no path: {*} stands for a whole segment, {**} for the last ones, other braces do not exist" },
	{ "httpUrl", cox_format_is_http_url, "must be a URL that begins with http:// or https://" },
	{ "wasmUrl", cox_format_is_wasm_url, "must be a URL with one of the schemes oci, https, http, file, or none" },
	{ "plainHeader", cox_format_is_plain_header, "must be a header's name of letters, digits, '-' and '_'" },
	{ "sha256", cox_format_is_sha256, "must be 64 of 0-9 and a-f" },
};

const char *cox_format_check(const char *format, struct cox_str s)
{
	for (size_t i = 0; i < COX_LEN(formats); i++)
		if (strcmp(formats[i].name, format) == 0)
			return formats[i].is(s) ? NULL : formats[i].allowed;
	COX_ASSERT(!"a field table names a format that does not exist");
}
