#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

void cox_err_set_(struct cox_err *err, enum cox_rc rc, const char *path, const char *fmt, ...)
{
	if (!err)
		return;
	va_list ap;
	err->rc = rc;
	err->line = 0;
	snprintf(err->path, sizeof(err->path), "%s", path ? path : "");
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
}

static void path_prepend(struct cox_err *err, struct cox_str head)
{
	char all[2 * sizeof(err->path)];
	const char *dot = err->path[0] && err->path[0] != '[' ? "." : "";
	snprintf(all, sizeof(all), "%.*s%s%s", COX_FMT(cox_str_sub(head, 0, 100)), dot, err->path);
	snprintf(err->path, sizeof(err->path), "%.*s", (int)sizeof(err->path) - 1, all);
}

void cox_err_in_member(struct cox_err *err, struct cox_str name)
{
	if (err)
		path_prepend(err, name);
}

void cox_err_in_item(struct cox_err *err, size_t at)
{
	char text[32];
	if (!err)
		return;
	int n = snprintf(text, sizeof(text), "[%zu]", at);
	path_prepend(err, cox_str_make(text, (size_t)n));
}

void cox_err_wrap(struct cox_err *err, const char *fmt, ...)
{
	char head[sizeof(err->text)], all[2 * sizeof(err->text) + 3];
	va_list ap;
	if (!err)
		return;
	va_start(ap, fmt);
	vsnprintf(head, sizeof(head), fmt, ap);
	va_end(ap);
	snprintf(all, sizeof(all), "%s: %s", head, err->text);
	snprintf(err->text, sizeof(err->text), "%.*s", (int)sizeof(err->text) - 1, all);
}

char *cox_err_describe(const struct cox_err *err, char *buf, size_t cap)
{
	char line[32] = "";
	if (err->line)
		snprintf(line, sizeof(line), " (line %d)", err->line);
	snprintf(buf, cap, "%s%s%s%s", err->path, err->path[0] ? ": " : "", err->text[0] ? err->text : cox_rc_text(err->rc), line);
	return buf;
}
