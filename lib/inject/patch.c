/* A JSON patch (RFC 6902) between two trees. Lists are compared place by place: the injector's changes are additions and replacements. */
#include "inject/inject.h"

struct path {
	const struct path *up;
	struct cox_str key; /* p NULL: `at` */
	size_t at;
};

static void write_path(struct cox_buf *out, const struct path *p)
{
	if (!p)
		return;
	write_path(out, p->up);
	cox_buf_append_char(out, '/');
	if (!p->key.p) {
		cox_buf_printf(out, "%zu", p->at);
		return;
	}
	/* RFC 6901: ~ and / are escaped; what JSON escapes is escaped behind that. */
	for (size_t i = 0; i < p->key.n; i++) {
		char c = p->key.p[i];
		if (c == '~' || c == '/')
			cox_buf_append_cstr(out, c == '~' ? "~0" : "~1");
		else if (c == '"' || c == '\\')
			cox_buf_printf(out, "\\%c", c);
		else if ((unsigned char)c < 0x20)
			cox_buf_printf(out, "\\u%04x", (unsigned char)c);
		else
			cox_buf_append_char(out, c);
	}
}

static void write_op(struct cox_buf *out, const char *op, const struct path *p, const struct cox_json *value)
{
	if (out->p[out->n - 1] != '[')
		cox_buf_append_char(out, ',');
	cox_buf_printf(out, "{\"op\":\"%s\",\"path\":\"", op);
	write_path(out, p);
	cox_buf_append_char(out, '"');
	if (value) {
		cox_buf_append_cstr(out, ",\"value\":");
		cox_json_write(out, value, 0, false);
	}
	cox_buf_append_char(out, '}');
}

static void diff(struct cox_buf *out, const struct path *p, const struct cox_json *a, const struct cox_json *b);

static void diff_objects(struct cox_buf *out, const struct path *p, const struct cox_json *a, const struct cox_json *b)
{
	for (size_t i = 0; i < a->n; i++) {
		struct path here = { p, a->members[i].key, 0 };
		const struct cox_json *other = cox_json_get(b, a->members[i].key);
		if (other)
			diff(out, &here, &a->members[i].value, other);
		else
			write_op(out, "remove", &here, NULL);
	}
	for (size_t i = 0; i < b->n; i++) {
		struct path here = { p, b->members[i].key, 0 };
		if (!cox_json_get(a, b->members[i].key))
			write_op(out, "add", &here, &b->members[i].value);
	}
}

static void diff(struct cox_buf *out, const struct path *p, const struct cox_json *a, const struct cox_json *b)
{
	if (cox_json_eq(a, b))
		return;
	if (a->type != b->type || (a->type != COX_JSON_OBJECT && a->type != COX_JSON_ARRAY)) {
		write_op(out, "replace", p, b);
		return;
	}
	if (a->type == COX_JSON_OBJECT) {
		diff_objects(out, p, a, b);
		return;
	}
	for (size_t i = 0; i < a->n && i < b->n; i++) {
		struct path here = { p, { 0 }, i };
		diff(out, &here, &a->items[i], &b->items[i]);
	}
	for (size_t i = a->n; i-- > b->n;) {
		struct path here = { p, { 0 }, i };
		write_op(out, "remove", &here, NULL);
	}
	for (size_t i = a->n; i < b->n; i++) {
		struct path here = { p, { 0 }, i };
		write_op(out, "add", &here, &b->items[i]);
	}
}

void cox_inject_patch_write(struct cox_buf *out, const struct cox_json *before, const struct cox_json *after)
{
	cox_buf_append_char(out, '[');
	diff(out, NULL, before, after);
	cox_buf_append_char(out, ']');
}
