#include "admin/answer.h"

#include "base/clock.h"

const char *const admin_param_names[PARAM_COUNT] = { "proxyID", "namespace", "types", "include_eds", "pretty", "sizes",
	                                             "clear",   "push",      "all",   "issued",      "as_sent" };

struct answer *answer_new(struct cox_admin *a)
{
	struct answer *w = COX_NEW(struct answer);
	w->a = a;
	w->status = 200;
	return w;
}

void answer_free(struct answer *w)
{
	if (w->end)
		w->end(w);
	cox_arena_fini(&w->arena);
	cox_arena_fini(&w->scratch);
	cox_free(w);
}

/* --- the query ------------------------------------------------------------------------------------------------ */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What is no escape stands for itself. */
static struct cox_str decode(struct cox_arena *a, struct cox_str s)
{
	char *out = cox_arena_alloc(a, s.n + 1);
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++) {
		int hi = s.p[i] == '%' && i + 2 < s.n ? hex_digit(s.p[i + 1]) : -1, lo = hi >= 0 ? hex_digit(s.p[i + 2]) : -1;
		if (lo >= 0) {
			out[n++] = (char)(hi << 4 | lo);
			i += 2;
		} else {
			out[n++] = s.p[i] == '+' ? ' ' : s.p[i];
		}
	}
	return cox_str_make(out, n);
}

void answer_read_query(struct answer *w, struct cox_str query)
{
	struct cox_str item;
	while (query.n && cox_str_next(&query, '&', &item)) {
		ptrdiff_t eq = cox_str_find(item, '=');
		struct cox_str name = cox_str_sub(item, 0, eq < 0 ? item.n : (size_t)eq);
		for (size_t i = 0; i < PARAM_COUNT; i++) {
			if (!cox_str_eq_cstr(name, admin_param_names[i]))
				continue;
			w->has_param[i] = true;
			w->params[i] = eq < 0 ? COX_STR("") : decode(&w->arena, cox_str_sub(item, (size_t)eq + 1, item.n));
		}
	}
}

/* --- the text ------------------------------------------------------------------------------------------------- */

void answer_say(struct answer *w, int status, const char *text)
{
	w->status = status;
	w->text = cox_arena_printf(&w->arena, "%s\n", text);
}

static unsigned indent(const struct answer *w) { return w->has_param[PARAM_PRETTY] ? 2 : 0; }

bool answer_next(struct answer *w, struct cox_buf *part)
{
	if (w->is_over)
		return false;
	if (w->more) {
		bool goes_on = w->more(w, part);
		w->is_over = !goes_on;
		if (!goes_on)
			cox_buf_append_char(part, '\n');
		return goes_on;
	}
	w->is_over = true;
	if (w->out) {
		cox_json_write(part, w->out, indent(w), false);
		cox_buf_append_char(part, '\n');
	} else {
		cox_buf_append_str(part, w->text);
	}
	return false;
}

static void comma(struct answer *w, struct cox_buf *part)
{
	if (w->items++)
		cox_buf_append_char(part, ',');
	if (indent(w))
		cox_buf_append_char(part, '\n');
}

void answer_item(struct answer *w, struct cox_buf *part, const struct cox_json *v)
{
	comma(w, part);
	cox_json_write(part, v, indent(w), false);
}

void answer_key(struct answer *w, struct cox_buf *part, struct cox_str key)
{
	comma(w, part);
	cox_json_write_str(part, key);
	cox_buf_append_char(part, ':');
}

void answer_open(struct answer *w, struct cox_buf *part, const char *text)
{
	cox_buf_append_cstr(part, text);
	w->items = 0;
}

void answer_close(struct answer *w, struct cox_buf *part, const char *text)
{
	cox_buf_append_cstr(part, text);
	w->items = 1; /* in what is around it something stands now */
}

/* --- small trees ---------------------------------------------------------------------------------------------- */

void answer_set_str(struct cox_arena *a, struct cox_json *o, const char *key, struct cox_str v)
{
	cox_json_set(a, o, cox_str_of(key), cox_json_new_str(a, cox_arena_str(a, v)));
}

void answer_set_int(struct cox_arena *a, struct cox_json *o, const char *key, int64_t v)
{
	cox_json_set(a, o, cox_str_of(key), cox_json_new_i64(a, v));
}

void answer_set_time(struct cox_arena *a, struct cox_json *o, const char *key, int64_t wall_ms)
{
	char text[32];
	cox_clock_format(wall_ms, text);
	answer_set_str(a, o, key, cox_str_of(text));
}
