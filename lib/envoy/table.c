#include "envoy/table_priv.h"

/* The public types are the rows under another name, so that a caller cannot look inside. */
static const struct envoy_message_row *row_of(const struct cox_envoy_message *m)
{
	return (const struct envoy_message_row *)(const void *)m;
}

static const struct cox_envoy_message *message_of(size_t i) { return (const struct cox_envoy_message *)(const void *)&envoy_messages[i]; }

static const struct envoy_enum_row *enum_row_of(const struct cox_envoy_enum *e) { return (const struct envoy_enum_row *)(const void *)e; }

static struct cox_str name_at(uint32_t name) { return cox_str_make(envoy_names + (name >> 8), name & 0xff); }

const struct cox_envoy_message *cox_envoy_message_find(struct cox_str name)
{
	ptrdiff_t slash = cox_str_rfind(name, '/');
	if (slash >= 0)
		name = cox_str_sub(name, (size_t)slash + 1, name.n);
	size_t lo = 0, hi = envoy_message_count;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int order = cox_str_cmp(name_at(envoy_messages[mid].name), name);
		if (order == 0)
			return message_of(mid);
		if (order < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

struct cox_str cox_envoy_message_name(const struct cox_envoy_message *m) { return name_at(row_of(m)->name); }

enum cox_envoy_kind cox_envoy_message_kind(const struct cox_envoy_message *m) { return (enum cox_envoy_kind)row_of(m)->kind; }

size_t cox_envoy_message_count(void) { return envoy_message_count; }

const struct cox_envoy_message *cox_envoy_message_at(size_t i)
{
	COX_ASSERT(i < envoy_message_count);
	return message_of(i);
}

size_t cox_envoy_field_count(const struct cox_envoy_message *m) { return row_of(m)->field_count; }

struct cox_envoy_field cox_envoy_field_at(const struct cox_envoy_message *m, size_t i)
{
	COX_ASSERT(i < row_of(m)->field_count);
	const struct envoy_field_row *row = &envoy_fields[row_of(m)->first_field + i];
	struct cox_envoy_field f = {
		.name = name_at(row->name),
		.number = row->number,
		.type = (enum cox_envoy_type)row->type,
		.repeated = row->flags & ENVOY_F_REPEATED,
		.packed = row->flags & ENVOY_F_PACKED,
		.map = row->flags & ENVOY_F_MAP,
		.oneof = row->oneof,
	};
	f.presence = !f.repeated && ((row->flags & ENVOY_F_PRESENCE) || row->oneof != 0 || row->type == COX_ENVOY_MESSAGE);
	if (row->type == COX_ENVOY_MESSAGE)
		f.message = message_of(row->sub);
	if (row->type == COX_ENVOY_ENUM)
		f.enumeration = (const struct cox_envoy_enum *)(const void *)&envoy_enums[row->sub];
	return f;
}

ptrdiff_t cox_envoy_field_by_number(const struct cox_envoy_message *m, uint32_t number)
{
	const struct envoy_field_row *fields = &envoy_fields[row_of(m)->first_field];
	size_t lo = 0, hi = row_of(m)->field_count;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (fields[mid].number == number)
			return (ptrdiff_t)mid;
		if (fields[mid].number < number)
			lo = mid + 1;
		else
			hi = mid;
	}
	return -1;
}

struct cox_str cox_envoy_camel(struct cox_str name, char *buf, size_t cap)
{
	size_t n = 0;
	bool up = false;
	for (size_t i = 0; i < name.n && n < cap; i++) {
		char c = name.p[i];
		if (c == '_') {
			up = true;
			continue;
		}
		buf[n++] = up && c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
		up = false;
	}
	return cox_str_make(buf, n);
}

/* Whether `camel` is the lowerCamelCase of `name`, without writing it down. */
static bool camel_eq(struct cox_str name, struct cox_str camel)
{
	size_t n = 0;
	bool up = false;
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];
		if (c == '_') {
			up = true;
			continue;
		}
		if (up && c >= 'a' && c <= 'z')
			c = (char)(c - 'a' + 'A');
		up = false;
		if (n == camel.n || camel.p[n++] != c)
			return false;
	}
	return n == camel.n;
}

ptrdiff_t cox_envoy_field_by_name(const struct cox_envoy_message *m, struct cox_str name)
{
	const struct envoy_field_row *fields = &envoy_fields[row_of(m)->first_field];
	size_t count = row_of(m)->field_count;
	for (size_t i = 0; i < count; i++)
		if (cox_str_eq(name_at(fields[i].name), name))
			return (ptrdiff_t)i;
	for (size_t i = 0; i < count; i++)
		if (camel_eq(name_at(fields[i].name), name))
			return (ptrdiff_t)i;
	return -1;
}

struct cox_str cox_envoy_enum_name(const struct cox_envoy_enum *e, int32_t number)
{
	const struct envoy_value_row *values = &envoy_values[enum_row_of(e)->first_value];
	for (size_t i = 0; i < enum_row_of(e)->value_count; i++)
		if (values[i].number == number)
			return name_at(values[i].name);
	return (struct cox_str){ 0 };
}

enum cox_rc cox_envoy_enum_number(const struct cox_envoy_enum *e, struct cox_str name, int32_t *number)
{
	const struct envoy_value_row *values = &envoy_values[enum_row_of(e)->first_value];
	for (size_t i = 0; i < enum_row_of(e)->value_count; i++)
		if (cox_str_eq(name_at(values[i].name), name)) {
			*number = values[i].number;
			return COX_OK;
		}
	return COX_ENOTFOUND;
}

int32_t cox_envoy_enum_default(const struct cox_envoy_enum *e) { return envoy_values[enum_row_of(e)->first_value].number; }
