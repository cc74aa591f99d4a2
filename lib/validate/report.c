#include "validate/report.h"

struct cox_report_about cox_report_about(const struct cox_json *doc, struct cox_str origin)
{
	return (struct cox_report_about){
		.kind = cox_json_str_at(doc, "kind"),
		.ns = cox_json_str_at(doc, "metadata.namespace"),
		.name = cox_json_str_at(doc, "metadata.name"),
		.origin = origin,
	};
}

static void write_about(const struct cox_report_about *about, struct cox_buf *out)
{
	if (!about->kind.n && !about->name.n)
		return;
	cox_buf_append_str(out, about->kind);
	if (about->name.n)
		cox_buf_printf(out, "%s%.*s%s%.*s", about->kind.n ? " " : "", COX_FMT(about->ns), about->ns.n ? "/" : "",
		               COX_FMT(about->name));
	cox_buf_append_cstr(out, ": ");
}

static void write_text(const struct cox_diag *d, struct cox_buf *out)
{
	if (d->path.n)
		cox_buf_printf(out, "%.*s: ", COX_FMT(d->path));
	cox_buf_append_str(out, d->text);
}

static void write_where(const struct cox_diag *d, const struct cox_report_about *about, struct cox_buf *out)
{
	if (about->origin.n && d->line)
		cox_buf_printf(out, " (%.*s line %d)", COX_FMT(about->origin), d->line);
	else if (about->origin.n)
		cox_buf_printf(out, " (%.*s)", COX_FMT(about->origin));
	else if (d->line > 1) /* what came over the network stands on one line */
		cox_buf_printf(out, " (line %d)", d->line);
}

void cox_report_write_one(const struct cox_diag *d, const struct cox_report_about *about, struct cox_buf *out)
{
	cox_buf_append_cstr(out, d->severity == COX_SEV_ERROR ? "error: " : "warning: ");
	write_about(about, out);
	write_text(d, out);
	write_where(d, about, out);
}

void cox_report_write(const struct cox_diags *diags, const struct cox_report_about *about, struct cox_buf *out)
{
	for (int severity = COX_SEV_ERROR; severity <= COX_SEV_WARNING; severity++)
		for (size_t i = 0; i < diags->n; i++)
			if ((int)diags->items[i].severity == severity) {
				cox_report_write_one(&diags->items[i], about, out);
				cox_buf_append_char(out, '\n');
			}
	if (diags->dropped) {
		write_about(about, out);
		cox_buf_printf(out, "%zu more findings\n", diags->dropped);
	}
}

void cox_report_write_denial(const struct cox_diags *diags, const struct cox_report_about *about, struct cox_buf *out)
{
	bool first = true;
	for (size_t i = 0; i < diags->n; i++) {
		if (diags->items[i].severity != COX_SEV_ERROR)
			continue;
		if (first)
			write_about(about, out);
		else
			cox_buf_append_cstr(out, "; ");
		write_text(&diags->items[i], out);
		first = false;
	}
}
