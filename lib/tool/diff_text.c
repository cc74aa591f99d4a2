/* diff_text.c - the answer for people. */
#include "tool/diff_priv.h"

#include <stdarg.h>

struct text {
	struct cox_buf *out;
	bool color;
};

static void line(struct text *t, const char *color, const char *fmt, ...) COX_PRINTF(3, 4);
static void line(struct text *t, const char *color, const char *fmt, ...)
{
	va_list ap;
	bool on = t->color && color;
	cox_buf_printf(t->out, "%s", on ? color : "");
	va_start(ap, fmt);
	cox_buf_vprintf(t->out, fmt, ap);
	va_end(ap);
	cox_buf_printf(t->out, "%s\n", on ? "\x1b[0m" : "");
}
static const char *const RED = "\x1b[31m", *const GREEN = "\x1b[32m", *const YELLOW = "\x1b[33m", *const BOLD = "\x1b[1m";

static size_t count(const struct cox_json *list) { return list ? list->n : 0; }

static void names(struct text *t, const char *color, char sign, const struct cox_json *list, struct cox_str type)
{
	for (size_t i = 0; i < count(list); i++)
		line(t, color, "  %c %.*s %.*s", sign, COX_FMT(type), COX_FMT(list->items[i].text));
}

static void resources(struct text *t, const struct cox_json *r)
{
	for (size_t i = 0; i < count(r); i++) {
		const struct cox_json *v = &r->members[i].value;
		names(t, GREEN, '+', cox_json_get(v, COX_STR("added")), r->members[i].key);
		names(t, RED, '-', cox_json_get(v, COX_STR("removed")), r->members[i].key);
		names(t, YELLOW, '~', cox_json_get(v, COX_STR("changed")), r->members[i].key);
	}
}

static void hosts(struct text *t, const struct cox_json *list, const char *color, const char *what)
{
	for (size_t i = 0; i < count(list); i++)
		line(t, color, "  host %.*s %s (route configuration %.*s)", COX_FMT(cox_json_str_at(&list->items[i], "host")), what,
		     COX_FMT(cox_json_str_at(&list->items[i], "routeConfiguration")));
}

static void meaning(struct text *t, const struct cox_json *g)
{
	const struct cox_json *shifts = cox_json_get(g, COX_STR("shifts")), *lost = cox_json_at(g, "endpoints.lost"),
	                      *gained = cox_json_at(g, "endpoints.gained");
	hosts(t, cox_json_at(g, "hosts.lost"), RED, "loses its routes");
	hosts(t, cox_json_at(g, "hosts.gained"), GREEN, "gets routes");
	for (size_t i = 0; i < count(lost); i++)
		line(t, RED, "  cluster %.*s loses all endpoints", COX_FMT(lost->items[i].text));
	for (size_t i = 0; i < count(gained); i++)
		line(t, GREEN, "  cluster %.*s gets endpoints", COX_FMT(gained->items[i].text));
	for (size_t i = 0; i < count(shifts); i++) {
		const struct cox_json *s = &shifts->items[i];
		line(t, NULL, "  host %.*s route \"%.*s\": %.*s -> %.*s", COX_FMT(cox_json_str_at(s, "host")),
		     COX_FMT(cox_json_str_at(s, "route")), COX_FMT(cox_json_str_at(s, "before")), COX_FMT(cox_json_str_at(s, "after")));
	}
}

static void value(struct text *t, const char *color, char sign, const struct cox_json *v)
{
	struct cox_buf b = { 0 };
	if (v == NULL)
		return;
	cox_json_write(&b, v, 0, false);
	line(t, color, "      %c %.*s", sign, COX_FMT(cox_buf_str(&b)));
	cox_buf_fini(&b);
}

static void details(struct text *t, const struct cox_json *list)
{
	for (size_t i = 0; i < count(list); i++) {
		const struct cox_json *fields = cox_json_get(&list->items[i], COX_STR("fields"));
		line(t, BOLD, "  %.*s %.*s", COX_FMT(cox_json_str_at(&list->items[i], "type")),
		     COX_FMT(cox_json_str_at(&list->items[i], "name")));
		for (size_t k = 0; k < count(fields); k++) {
			line(t, NULL, "    %.*s", COX_FMT(cox_json_str_at(&fields->items[k], "path")));
			value(t, RED, '-', cox_json_get(&fields->items[k], COX_STR("before")));
			value(t, GREEN, '+', cox_json_get(&fields->items[k], COX_STR("after")));
		}
	}
}

enum { PROXIES_SHOWN = 5 };

static void group(struct text *t, const struct cox_json *g)
{
	const struct cox_json *proxies = cox_json_get(g, COX_STR("proxies"));
	struct cox_str kind = cox_json_str_at(g, "proxy");
	struct cox_buf b = { 0 };
	for (size_t i = 0; i < count(proxies) && i < PROXIES_SHOWN; i++)
		cox_buf_printf(&b, "%s%.*s", i ? ", " : "", COX_FMT(proxies->items[i].text));
	if (count(proxies) > PROXIES_SHOWN)
		cox_buf_printf(&b, " and %zu more", count(proxies) - PROXIES_SHOWN);
	line(t, BOLD, "%zu %s%s%.*s: %.*s", count(proxies), count(proxies) == 1 ? "proxy" : "proxies", kind.n ? " " : "", COX_FMT(kind),
	     COX_FMT(cox_buf_str(&b)));
	cox_buf_fini(&b);
	line(t, NULL, "  bytes of configuration: %.*s -> %.*s", COX_FMT(cox_json_at(g, "bytes.before")->text),
	     COX_FMT(cox_json_at(g, "bytes.after")->text));
	resources(t, cox_json_get(g, COX_STR("resources")));
	meaning(t, g);
	details(t, cox_json_get(g, COX_STR("differences")));
}

static void findings(struct text *t, const struct cox_json *list, const char *color, const char *what)
{
	for (size_t i = 0; i < count(list); i++) {
		const struct cox_json *f = &list->items[i];
		line(t, color, "%s %.*s: %.*s%s%.*s: %.*s", what, COX_FMT(cox_json_str_at(f, "code")),
		     COX_FMT(cox_json_str_at(f, "object")), cox_json_str_at(f, "field").n ? " " : "", COX_FMT(cox_json_str_at(f, "field")),
		     COX_FMT(cox_json_str_at(f, "text")));
	}
}

void cox_diff_write(const struct cox_json *answer, bool color, struct cox_buf *out)
{
	struct text t = { out, color };
	const struct cox_json *notes = cox_json_get(answer, COX_STR("notes")), *groups = cox_json_get(answer, COX_STR("groups"));
	for (size_t i = 0; i < count(notes); i++)
		line(&t, cox_str_has_prefix(notes->items[i].text, COX_STR("error")) ? RED : YELLOW, "%.*s", COX_FMT(notes->items[i].text));
	findings(&t, cox_json_at(answer, "findings.new"), RED, "new finding");
	findings(&t, cox_json_at(answer, "findings.gone"), GREEN, "no more");
	for (size_t i = 0; i < count(groups); i++)
		group(&t, &groups->items[i]);
	const struct cox_json *all = cox_json_get(answer, COX_STR("proxies")), *touched = cox_json_get(answer, COX_STR("changedProxies"));
	line(&t, BOLD, "%.*s of %.*s proxies would change", COX_FMT(touched ? touched->text : COX_STR("0")),
	     COX_FMT(all ? all->text : COX_STR("0")));
}
