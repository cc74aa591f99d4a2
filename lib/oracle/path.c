/* path.c - what the connection manager does to a path before routing. */
#include "oracle/oracle_priv.h"

static int hex(char c) { return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1; }

static int escaped_at(struct cox_str s, size_t i)
{
	return i + 2 < s.n && s.p[i] == '%' && hex(s.p[i + 1]) >= 0 && hex(s.p[i + 2]) >= 0 ? hex(s.p[i + 1]) * 16 + hex(s.p[i + 2]) : -1;
}

/* A dot, plain or as %2E; *n bytes. */
static bool dot_at(struct cox_str s, size_t i, size_t *n)
{
	*n = i < s.n && s.p[i] == '.' ? 1 : escaped_at(s, i) == '.' ? 3 : 0;
	return *n > 0;
}

/* Between slashes stand one or two dots and nothing else. 0: something else. */
static int dots_of(struct cox_str s, size_t from, size_t *end)
{
	int dots = 0;
	size_t n, at = from;
	while (dots < 2 && dot_at(s, at, &n))
		dots++, at += n;
	*end = at;
	return at == s.n || s.p[at] == '/' || s.p[at] == '\\' ? dots : 0;
}

static bool is_unreserved(int c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '-' || c == '_' || c == '~';
}

/* RFC 3986: dot segments go, escaped letters and digits are read, a backslash is a slash. False: it climbs above the root. */
static struct cox_str normalized(struct walk *w, struct cox_str s)
{
	char *out = cox_arena_alloc(w->arena, s.n + 2);
	size_t n = 0, end;
	for (size_t i = 0; i < s.n;) {
		char c = s.p[i] == '\\' ? '/' : s.p[i];
		int dots = c == '/' ? dots_of(s, i + 1, &end) : 0;
		int esc = escaped_at(s, i);
		if (dots > 0) {
			while (dots == 2 && n > 0 && out[--n] != '/')
				;
			if (end == s.n)
				out[n++] = '/';
			i = end;
		} else if (esc >= 0 && is_unreserved(esc)) {
			out[n++] = (char)esc;
			i += 3;
		} else {
			out[n++] = c;
			i++;
		}
	}
	return cox_str_make(out, n);
}

static struct cox_str slashes_merged(struct walk *w, struct cox_str s)
{
	char *out = cox_arena_alloc(w->arena, s.n + 1);
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] != '/' || n == 0 || out[n - 1] != '/')
			out[n++] = s.p[i];
	return cox_str_make(out, n);
}

/* True: there was one. */
static bool slashes_unescaped(struct walk *w, struct cox_str *s)
{
	char *out = cox_arena_alloc(w->arena, s->n + 1);
	size_t n = 0;
	bool any = false;
	for (size_t i = 0; i < s->n; i++) {
		int esc = escaped_at(*s, i);
		if (esc == '/' || esc == '\\') {
			out[n++] = (char)esc;
			i += 2;
			any = true;
		} else {
			out[n++] = s->p[i];
		}
	}
	*s = cox_str_make(out, n);
	return any;
}

bool oracle_path_prepare(struct walk *w, const struct cox_json *hcm)
{
	struct cox_str all = w->r->path, action = cox_json_str_at(hcm, "path_with_escaped_slashes_action"), path = all;
	ptrdiff_t at = cox_str_find(all, '?');
	if (cox_str_find(all, '#') >= 0 && !oracle_bool(hcm, "strip_fragment", false)) {
		oracle_end(w, COX_ORACLE_BAD_REQUEST, 400, COX_STR("a path must not have a fragment"));
		return false;
	}
	path = at < 0 ? all : cox_str_sub(all, 0, (size_t)at);
	w->query = at < 0 ? (struct cox_str){ 0 } : cox_str_sub(all, (size_t)at + 1, SIZE_MAX);
	struct cox_str before = path;
	if (action.n > 0 && !cox_str_eq_cstr(action, "KEEP_UNCHANGED") && !cox_str_eq_cstr(action, "IMPLEMENTATION_SPECIFIC_DEFAULT") &&
	    slashes_unescaped(w, &path)) {
		if (cox_str_eq_cstr(action, "REJECT_REQUEST"))
			return oracle_end(w, COX_ORACLE_BAD_REQUEST, 400, COX_STR("the path has escaped slashes")), false;
		if (cox_str_eq_cstr(action, "UNESCAPE_AND_REDIRECT")) {
			w->out->location = at < 0 ? path : oracle_printf(w, "%.*s?%.*s", COX_FMT(path), COX_FMT(w->query));
			return oracle_end(w, COX_ORACLE_REDIRECT, 307, COX_STR("the path has escaped slashes")), false;
		}
	}
	if (oracle_bool(hcm, "normalize_path", false) && path.n > 0 && path.p[0] == '/')
		path = normalized(w, path);
	if (oracle_bool(hcm, "merge_slashes", false))
		path = slashes_merged(w, path);
	w->bare_path = path;
	w->out->path = cox_str_eq(path, before) ? all : at < 0 ? path : oracle_printf(w, "%.*s?%.*s", COX_FMT(path), COX_FMT(w->query));
	return true;
}
