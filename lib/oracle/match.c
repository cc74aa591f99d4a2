/* match.c - matchers of text and headers, and their words for people. */
#include "oracle/oracle_priv.h"

#include <stdlib.h>

static int NO_REGEX; /* stands in the map for an expression that RE2 refuses */

bool oracle_regex_matches(struct walk *w, struct cox_str regex, struct cox_str value)
{
	void *known = cox_map_find(&w->o->regexes, regex);
	if (known == NULL) {
		struct cox_regex *re = NULL;
		struct cox_str key = cox_arena_str(&w->o->arena, regex);
		known = cox_regex_build(&w->o->arena, key, &re, NULL) == COX_OK ? (void *)re : (void *)&NO_REGEX;
		cox_map_set(&w->o->regexes, key, known);
	}
	return known != (void *)&NO_REGEX && cox_regex_matches_all(known, value, w->arena);
}

static bool contains(struct cox_str s, struct cox_str part) { return part.n == 0 || cox_str_search(s, part) >= 0; }

bool oracle_string_matches(struct walk *w, const struct cox_json *m, struct cox_str value)
{
	const struct cox_json *v;
	struct cox_str text = { 0 };
	if ((v = oracle_get(m, "safe_regex")))
		return oracle_regex_matches(w, cox_json_str_at(v, "regex"), value);
	bool fold = oracle_bool(m, "ignore_case", false);
	if (fold)
		value = oracle_lower(w->arena, value);
	static const char *const kinds[] = { "exact", "prefix", "suffix", "contains" };
	for (size_t i = 0; i < COX_LEN(kinds); i++) {
		if ((v = oracle_get(m, kinds[i])) == NULL)
			continue;
		text = fold ? oracle_lower(w->arena, v->text) : v->text;
		return i == 0   ? cox_str_eq(value, text)
		       : i == 1 ? cox_str_has_prefix(value, text)
		       : i == 2 ? cox_str_has_suffix(value, text)
		                : contains(value, text);
	}
	return false;
}

struct cox_str oracle_match_text(struct walk *w, const struct cox_json *m)
{
	static const char *const kinds[] = { "exact", "prefix", "suffix", "contains" };
	const struct cox_json *v;
	if ((v = oracle_get(m, "safe_regex")))
		return oracle_printf(w, "regex \"%.*s\"", COX_FMT(cox_json_str_at(v, "regex")));
	for (size_t i = 0; i < COX_LEN(kinds); i++)
		if ((v = oracle_get(m, kinds[i])))
			return oracle_printf(w, "%s \"%.*s\"", kinds[i], COX_FMT(v->text));
	return COX_STR("nothing");
}

/* --- headers ---------------------------------------------------------------------------------------- */

bool oracle_header(const struct walk *w, struct cox_str name, struct cox_str *value)
{
	bool found = false;
	if (cox_str_eq_cstr(name, ":path"))
		return *value = w->out->path, true;
	if (cox_str_eq_cstr(name, ":method"))
		return *value = w->r->method, true;
	if (cox_str_eq_cstr(name, ":scheme"))
		return *value = w->out->scheme, true;
	if (cox_str_eq_cstr(name, ":authority") || cox_str_eq_nocase(name, COX_STR("host")))
		return *value = w->r->authority, w->r->authority.n > 0;
	for (COX_EACH(struct cox_oracle_header, h, w->r->headers)) {
		if (!cox_str_eq_nocase(h->name, name))
			continue;
		*value = found ? cox_arena_printf(w->arena, "%.*s,%.*s", COX_FMT(*value), COX_FMT(h->value)) : h->value;
		found = true;
	}
	/* What the connection manager puts in before it looks for a route. */
	if (!found && cox_str_eq_nocase(name, COX_STR("x-forwarded-proto")))
		return *value = w->out->scheme, true;
	if (!found && cox_str_eq_nocase(name, COX_STR("x-request-id")))
		return *value = COX_STR("(made by the proxy)"), true;
	return found;
}

static bool in_range(const struct cox_json *range, struct cox_str value)
{
	int64_t v;
	return cox_str_to_i64(value, &v) == COX_OK && v >= oracle_int(range, "start", 0) && v < oracle_int(range, "end", 0);
}

/* The condition on a value that is there; *want gets its words. */
static bool value_matches(struct walk *w, const struct cox_json *m, struct cox_str value, struct cox_str *want)
{
	static const struct {
		const char *field, *kind;
	} old[] = { { "exact_match", "exact" },
		    { "prefix_match", "prefix" },
		    { "suffix_match", "suffix" },
		    { "contains_match", "contains" },
		    { "safe_regex_match", "safe_regex" } };
	const struct cox_json *v;
	if ((v = oracle_get(m, "string_match"))) {
		*want = oracle_match_text(w, v);
		return oracle_string_matches(w, v, value);
	}
	if ((v = oracle_get(m, "range_match"))) {
		*want = oracle_printf(w, "in [%lld, %lld)", (long long)oracle_int(v, "start", 0), (long long)oracle_int(v, "end", 0));
		return in_range(v, value);
	}
	for (size_t i = 0; i < COX_LEN(old); i++)
		if ((v = oracle_get(m, old[i].field))) {
			struct cox_json *as = cox_json_new_object(w->arena);
			cox_json_set(w->arena, as, cox_str_of(old[i].kind), v);
			*want = oracle_match_text(w, as);
			return oracle_string_matches(w, as, value);
		}
	*want = COX_STR("present");
	return true;
}

struct cox_str oracle_header_fault(struct walk *w, const struct cox_json *m)
{
	struct cox_str name = cox_json_str_at(m, "name"), value = { 0 }, want = { 0 };
	bool invert = oracle_bool(m, "invert_match", false), as_empty = oracle_bool(m, "treat_missing_header_as_empty", false);
	bool has = oracle_header(w, name, &value) || as_empty;
	const struct cox_json *present = oracle_get(m, "present_match");
	bool any_kind = m->n - (size_t)oracle_has(m, "name") - (size_t)oracle_has(m, "invert_match") -
	                    (size_t)oracle_has(m, "treat_missing_header_as_empty") ==
	                0;
	if (present || any_kind) {
		bool wanted = (present ? present->boolean : true) != invert;
		return has == wanted ? (struct cox_str){ 0 }
		                     : oracle_printf(w, "header %.*s is %s", COX_FMT(name), has ? "there" : "absent");
	}
	/* A header that is not there fails even an inverted condition. */
	if (!has)
		return oracle_printf(w, "header %.*s is absent", COX_FMT(name));
	if (value_matches(w, m, value, &want) != invert)
		return (struct cox_str){ 0 };
	return oracle_printf(w, "header %.*s is \"%.*s\", %s %.*s", COX_FMT(name), COX_FMT(value), invert ? "must not be" : "not",
	                     COX_FMT(want));
}
