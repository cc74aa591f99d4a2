/* Rules of a VirtualService that are never used, because an earlier one takes all that they would. */
#include "analyze/analyze_priv.h"

/* Overlapping prefixes are compared in pairs: a VirtualService with more of them than this is looked at no further. */
enum { PREFIXES_MAX = 500 };

struct prefix {
	struct cox_str text;
	const struct cox_json *match;
	size_t rule, at;
};
struct reach {
	struct an_run *r;
	const struct an_obj *vs;
	const char *list;
	const struct cox_json *rules;
	struct cox_map seen; /* text of a match -> its rule */
	struct prefix prefixes[PREFIXES_MAX];
	size_t prefix_n;
	ptrdiff_t catch_all; /* the last rule without matches; -1: none yet */
};

static struct cox_str name_of(struct an_run *r, const struct cox_json *v, size_t at)
{
	struct cox_str name = an_str(v, "name");
	return name.n ? AN_PATH(r, "\"%.*s\"", COX_FMT(name)) : AN_PATH(r, "#%zu", at);
}

static void unreachable(struct reach *c, size_t rule, const char *why)
{
	const struct cox_json *v = &c->rules->items[rule];
	an_report(c->r, COX_AN_RULE_UNREACHABLE, c->vs, v, AN_PATH(c->r, "spec.%s[%zu]", c->list, rule), "rule %.*s is never used: %s",
	          COX_FMT(name_of(c->r, v, rule)), why);
}

static void ineffective(struct reach *c, size_t rule, size_t at, size_t before)
{
	const struct cox_json *v = &c->rules->items[rule], *match = &an_items(an_get(v, "match"))[at];
	an_report(c->r, COX_AN_MATCH_INEFFECTIVE, c->vs, match, AN_PATH(c->r, "spec.%s[%zu].match[%zu]", c->list, rule, at),
	          "match %.*s is never used: rule %.*s before takes all of it", COX_FMT(name_of(c->r, match, at)),
	          COX_FMT(name_of(c->r, &c->rules->items[before], before)));
}

/* The match without its name, so that equal ones have equal text. */
static struct cox_str text_of(struct an_run *r, const struct cox_json *match)
{
	struct cox_json *bare = cox_json_new_object(r->arena);
	AN_EACH_MEMBER(m, match)
	if (!cox_str_eq_cstr(m->key, "name"))
		(void)cox_json_set(r->arena, bare, m->key, &m->value);
	struct cox_buf out = { 0 };
	cox_json_write(&out, bare, 0, true);
	struct cox_str text = cox_arena_str(r->arena, cox_buf_str(&out));
	cox_buf_fini(&out);
	return text;
}

static bool is_equal_apart_from_path(const struct cox_json *a, const struct cox_json *b)
{
	static const char *const fields[] = { "port",           "method", "authority",    "headers",         "queryParams",
		                              "withoutHeaders", "scheme", "sourceLabels", "sourceNamespace", "gateways" };
	for (size_t i = 0; i < COX_LEN(fields); i++) {
		const struct cox_json *x = an_get(a, fields[i]), *y = an_get(b, fields[i]);
		if ((!x != !y) || (x && !cox_json_eq(x, y)))
			return false;
	}
	return true;
}

static void check_prefixes(struct reach *c)
{
	for (size_t i = 0; i < c->prefix_n; i++)
		for (size_t k = i + 1; k < c->prefix_n; k++) {
			const struct prefix *a = &c->prefixes[i], *b = &c->prefixes[k];
			if (cox_str_has_prefix(b->text, a->text) && b->text.n != a->text.n && is_equal_apart_from_path(a->match, b->match))
				ineffective(c, b->rule, b->at, a->rule);
		}
}

static void check_matches(struct reach *c, size_t rule, const struct cox_json *matches)
{
	size_t doubles = 0;
	if (c->catch_all >= 0) {
		unreachable(c, rule, "a rule without matches stands before it");
		return;
	}
	for (size_t i = 0; i < matches->n; i++) {
		const struct cox_json *match = &matches->items[i];
		struct cox_str text = text_of(c->r, match), prefix = cox_json_str_at(match, "uri.prefix");
		const struct cox_json *before = cox_map_find(&c->seen, text);
		if (before) {
			ineffective(c, rule, i, (size_t)(before - c->rules->items));
			doubles++;
			continue;
		}
		cox_map_set(&c->seen, text, &c->rules->items[rule]);
		if (prefix.n && c->prefix_n < PREFIXES_MAX)
			c->prefixes[c->prefix_n++] = (struct prefix){ prefix, match, rule, i };
	}
	if (doubles == matches->n)
		unreachable(c, rule, "rules before it have all of its matches");
}

static void check_list(struct an_run *r, const struct an_obj *vs, const char *list)
{
	struct reach *c = cox_zalloc(sizeof(*c));
	*c = (struct reach){ .r = r, .vs = vs, .list = list, .rules = an_get(vs->spec, list), .catch_all = -1 };
	for (size_t i = 0; i < an_len(c->rules); i++) {
		const struct cox_json *matches = an_get(&c->rules->items[i], "match");
		if (c->rules->items[i].type != COX_JSON_OBJECT)
			continue;
		if (an_len(matches)) {
			check_matches(c, i, matches);
			continue;
		}
		if (c->catch_all >= 0)
			unreachable(c, i, "only the last rule can be without matches");
		c->catch_all = (ptrdiff_t)i;
	}
	if (strcmp(list, "http") == 0)
		check_prefixes(c);
	cox_map_fini(&c->seen);
	cox_free(c);
}

void an_vs_unreachable(struct an_run *r, const struct an_obj *o)
{
	static const char *const lists[] = { "http", "tcp", "tls" };
	for (size_t i = 0; i < COX_LEN(lists); i++)
		if (an_len(an_get(o->spec, lists[i])) > 1)
			check_list(r, o, lists[i]);
}
