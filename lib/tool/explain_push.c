#include "tool/explain_push.h"

#include "tool/table.h"

static int64_t number(const struct cox_json *o, const char *key)
{
	const struct cox_json *v = cox_json_get(o, cox_str_of(key));
	int64_t n = 0;
	return v && cox_json_to_i64(v, &n) == COX_OK ? n : 0;
}

static struct cox_str text(const struct cox_json *o, const char *key) { return cox_json_str_at(o, key); }

static void cell_time(struct cox_table *t, int64_t us)
{
	if (us <= 0)
		cox_table_cell(t, COX_STR("-"));
	else if (us < 1000)
		cox_table_cellf(t, "%lldus", (long long)us);
	else if (us < 1000000)
		cox_table_cellf(t, "%.1fms", (double)us / 1000);
	else
		cox_table_cellf(t, "%.1fs", (double)us / 1000000);
}

/* "change #7 to #9", or why nothing changed. */
static void cell_reason(struct cox_table *t, const struct cox_json *push)
{
	const struct cox_json *causes = cox_json_get(push, COX_STR("causes"));
	int64_t first = 0, last = 0;
	if (!causes || !causes->n) {
		cox_table_cell(t, text(push, "reason"));
		return;
	}
	(void)!cox_json_to_i64(&causes->items[0], &first);
	(void)!cox_json_to_i64(&causes->items[causes->n - 1], &last);
	if (first == last)
		cox_table_cellf(t, "%.*s #%lld", COX_FMT(text(push, "reason")), (long long)first);
	else
		cox_table_cellf(t, "%.*s #%lld to #%lld", COX_FMT(text(push, "reason")), (long long)first, (long long)last);
}

static void write_pushes(const struct cox_json *pushes, struct cox_buf *out)
{
	struct cox_table t = { 0 };
	cox_table_row(&t, "TIME\tTYPE\tWHY\tSENT\tREMOVED\tBYTES\tEVENT TO SENT\tSENT TO ACK\tSTATE");
	for (size_t i = 0; i < pushes->n; i++) {
		const struct cox_json *p = &pushes->items[i];
		cox_table_cell(&t, text(p, "time"));
		cox_table_cell(&t, text(p, "type"));
		cell_reason(&t, p);
		cox_table_cellf(&t, "%lld", (long long)number(p, "resources"));
		cox_table_cellf(&t, "%lld", (long long)number(p, "removed"));
		cox_table_cellf(&t, "%lld", (long long)number(p, "bytes"));
		cell_time(&t, number(p, "eventToSentUs"));
		cell_time(&t, number(p, "sentToAckUs"));
		cox_table_cell(&t, text(p, "state"));
		cox_table_row_end(&t);
	}
	cox_table_write(&t, 3, out);
	cox_table_fini(&t);
}

static void write_cause(const struct cox_json *c, struct cox_buf *out)
{
	const struct cox_json *changed = cox_json_get(c, COX_STR("changed"));
	int64_t named = changed ? (int64_t)changed->n : 0, all = number(c, "changes");
	cox_buf_printf(out, "#%lld %.*s, %.*s: waited %.1f ms, took %.1f ms; %lld of %lld views changed, for %lld proxies\n",
	               (long long)number(c, "id"), COX_FMT(text(c, "kind")), COX_FMT(text(c, "time")), (double)number(c, "waitedUs") / 1000,
	               (double)number(c, "tookUs") / 1000, (long long)number(c, "viewsChanged"), (long long)number(c, "views"),
	               (long long)number(c, "proxies"));
	for (int64_t i = 0; i < named; i++) {
		struct cox_str id = changed->items[i].text;
		bool is_gone = id.n && id.p[0] == '-';
		cox_buf_printf(out, "    %.*s%s\n", COX_FMT(cox_str_sub(id, is_gone, id.n)), is_gone ? " (removed)" : "");
	}
	if (all > named)
		cox_buf_printf(out, "    and %lld more\n", (long long)(all - named));
	if (!all)
		cox_buf_append_cstr(out, "    nothing changed: the first generation, or everything was asked for again\n");
}

void cox_explain_push_write(const struct cox_json *answer, struct cox_buf *out)
{
	const struct cox_json *pushes = cox_json_get(answer, COX_STR("pushes")), *causes = cox_json_get(answer, COX_STR("causes"));
	if (pushes) {
		cox_buf_printf(out, "%.*s, the last %zu responses:\n", COX_FMT(text(answer, "proxy")), pushes->n);
		write_pushes(pushes, out);
	}
	if (causes && causes->n)
		cox_buf_append_cstr(out, pushes ? "\nchanges that led to them:\n" : "the last changes that were pushed:\n");
	for (size_t i = 0; causes && i < causes->n; i++)
		write_cause(&causes->items[i], out);
}
