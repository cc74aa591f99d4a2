/* Codes, and how a message looks. */
#include "analyze/analyze.h"

static const struct cox_analyze_code_info codes[COX_AN_CODES] = {
#define X(id, code, name, level, doc) { code, name, COX_AN_##level, doc },
#include "analyze/message.def"
#undef X
};
static const char *const levels[] = { "Error", "Warning", "Info" };

const struct cox_analyze_code_info *cox_analyze_code_info(enum cox_analyze_code code) { return &codes[code]; }
const char *cox_analyze_level_name(enum cox_analyze_level level) { return levels[level]; }

bool cox_analyze_code_find(struct cox_str code, enum cox_analyze_code *out)
{
	for (int i = 0; i < COX_AN_CODES; i++)
		if (cox_str_eq_cstr(code, codes[i].code)) {
			*out = (enum cox_analyze_code)i;
			return true;
		}
	return false;
}

bool cox_analyze_level_parse(struct cox_str text, enum cox_analyze_level *out)
{
	for (int i = 0; i < (int)COX_LEN(levels); i++)
		if (cox_str_eq_nocase(text, cox_str_of(levels[i]))) {
			*out = (enum cox_analyze_level)i;
			return true;
		}
	return false;
}

static void write_place(const struct cox_analyze_message *m, struct cox_buf *out)
{
	cox_buf_append_str(out, m->file);
	if (m->line > 0 && !cox_str_has_suffix(m->file, COX_STR(".json")))
		cox_buf_printf(out, ":%d", m->line);
}

void cox_analyze_write_line(const struct cox_analyze_message *m, bool has_color, bool with_cluster, struct cox_buf *out)
{
	static const char *const colors[] = { "\033[1;31m", "\033[33m", "" };
	enum cox_analyze_level level = codes[m->code].level;
	cox_buf_printf(out, "%s%s%s [%s]", has_color ? colors[level] : "", levels[level], has_color ? "\033[0m" : "", codes[m->code].code);
	if (with_cluster && m->cluster.n)
		cox_buf_printf(out, " [cluster-%.*s]", COX_FMT(m->cluster));
	if (m->origin.n) {
		cox_buf_printf(out, " (%.*s%s", COX_FMT(m->origin), m->file.n ? " " : "");
		if (m->file.n)
			write_place(m, out);
		cox_buf_append_char(out, ')');
	}
	cox_buf_printf(out, " %.*s%s%.*s", COX_FMT(m->path), m->path.n ? ": " : "", COX_FMT(m->text));
}

static void set(struct cox_arena *arena, struct cox_json *object, struct cox_str key, struct cox_str text)
{
	(void)cox_json_set(arena, object, key, cox_json_new_str(arena, text));
}

struct cox_json *cox_analyze_to_json(const struct cox_analyze_message *m, bool with_cluster, struct cox_arena *arena)
{
	const struct cox_analyze_code_info *info = &codes[m->code];
	struct cox_json *o = cox_json_new_object(arena);
	if (with_cluster && m->cluster.n)
		set(arena, o, COX_STR("cluster"), m->cluster);
	set(arena, o, COX_STR("code"), cox_str_of(info->code));
	set(arena, o, COX_STR("documentationUrl"),
	    cox_arena_printf(arena, "https://istio.io/latest/docs/reference/config/analysis/%.*s/",
	                     COX_FMT(cox_arena_lower(arena, cox_str_of(info->code)))));
	if (m->path.n)
		set(arena, o, COX_STR("field"), m->path);
	set(arena, o, COX_STR("level"), cox_str_of(levels[info->level]));
	set(arena, o, COX_STR("message"), m->text);
	set(arena, o, COX_STR("name"), cox_str_of(info->name));
	if (m->origin.n)
		set(arena, o, COX_STR("origin"), m->origin);
	if (m->origin.n && m->file.n) {
		struct cox_buf place = { 0 };
		write_place(m, &place);
		set(arena, o, COX_STR("reference"), cox_arena_str(arena, cox_buf_str(&place)));
		cox_buf_fini(&place);
	}
	return o;
}
