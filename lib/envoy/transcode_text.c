/* Texts of the scalars and well-known types, and the path of fields. */
#include "envoy/transcode_priv.h"
#include "base/clock.h"

#include <stdio.h>

enum { NS_PER_S = 1000 * 1000 * 1000 };
static const int64_t duration_s_max = 315576000000;  /* 10,000 years: duration.proto */
static const int64_t timestamp_s_min = -62135596800; /* 0001-01-01: timestamp.proto */
static const int64_t timestamp_s_max = 253402300799; /* 9999-12-31T23:59:59 */

static void path_add(struct path *p, const char *text, size_t n)
{
	size_t room = sizeof(p->text) - 1 - p->n;
	n = cox_min_size(n, room);
	if (n != 0)
		memcpy(p->text + p->n, text, n);
	p->n += n;
	p->text[p->n] = '\0';
}

size_t path_field(struct path *p, struct cox_str name)
{
	size_t was = p->n;
	if (was != 0)
		path_add(p, ".", 1);
	path_add(p, name.p, name.n);
	return was;
}

size_t path_index(struct path *p, size_t i)
{
	char text[32];
	size_t was = p->n;
	path_add(p, text, (size_t)snprintf(text, sizeof(text), "[%zu]", i));
	return was;
}

size_t path_key(struct path *p, struct cox_str key)
{
	size_t was = p->n;
	path_add(p, "[\"", 2);
	path_add(p, key.p, key.n);
	path_add(p, "\"]", 2);
	return was;
}

enum cox_pb_wire wire_of(enum cox_envoy_type type)
{
	switch (type) {
	case COX_ENVOY_DOUBLE:
	case COX_ENVOY_FIXED64:
	case COX_ENVOY_SFIXED64: return COX_PB_FIXED64;
	case COX_ENVOY_FLOAT:
	case COX_ENVOY_FIXED32:
	case COX_ENVOY_SFIXED32: return COX_PB_FIXED32;
	case COX_ENVOY_STRING:
	case COX_ENVOY_BYTES:
	case COX_ENVOY_MESSAGE: return COX_PB_BYTES;
	default: return COX_PB_VARINT;
	}
}

void float_to_json(struct cox_arena *arena, double v, bool single, struct cox_json *out)
{
	if (v != v || v - v != 0) {
		out->type = COX_JSON_STRING;
		out->text = v != v ? COX_STR("NaN") : v > 0 ? COX_STR("Infinity") : COX_STR("-Infinity");
		return;
	}
	if (!single) {
		*out = *cox_json_new_f64(arena, v);
		return;
	}
	char text[40];
	for (int digits = 6; digits <= 9; digits++) {
		double back = 0;
		snprintf(text, sizeof(text), "%.*g", digits, v);
		if (cox_str_to_f64(cox_str_of(text), &back) == COX_OK && (float)back == (float)v)
			break;
	}
	out->type = COX_JSON_NUMBER;
	out->text = cox_arena_str(arena, cox_str_of(text));
}

enum cox_rc float_from_json(const struct cox_json *v, bool single, double *out)
{
	if (v->type == COX_JSON_STRING && cox_str_eq(v->text, COX_STR("NaN"))) {
		*out = __builtin_nan("");
		return COX_OK;
	}
	if (v->type == COX_JSON_STRING && cox_str_has_suffix(v->text, COX_STR("Infinity")) && v->text.n <= 9) {
		bool negative = cox_str_eq(v->text, COX_STR("-Infinity"));
		if (!negative && v->text.n != 8)
			return COX_EINVAL;
		*out = negative ? -__builtin_inf() : __builtin_inf();
		return COX_OK;
	}
	if (v->type != COX_JSON_NUMBER && v->type != COX_JSON_STRING)
		return COX_EINVAL;
	double d;
	COX_TRY(cox_str_to_f64(v->text, &d));
	if (d - d != 0)
		return COX_EINVAL;
	/* Half a step above FLT_MAX still rounds down to it. */
	if (single && (d > 3.4028235677973366e38 || d < -3.4028235677973366e38))
		return COX_ELIMIT;
	*out = d;
	return COX_OK;
}

/* ".5", ".500", ".500000" or ".500000000" as protobuf writes fractions: 0, 3, 6 or 9 digits. */
static void fraction_format(char out[12], int64_t ns)
{
	if (ns == 0)
		out[0] = '\0';
	else if (ns % 1000000 == 0)
		snprintf(out, 12, ".%03d", (int)(ns / 1000000));
	else if (ns % 1000 == 0)
		snprintf(out, 12, ".%06d", (int)(ns / 1000));
	else
		snprintf(out, 12, ".%09d", (int)ns);
}

/* Digits behind a dot, at most nine, taken off the front of `s`. */
static enum cox_rc fraction_take(struct cox_str *s, int64_t *ns)
{
	*ns = 0;
	if (s->n == 0 || s->p[0] != '.')
		return COX_OK;
	size_t i = 1;
	int64_t unit = NS_PER_S / 10;
	for (; i < s->n && s->p[i] >= '0' && s->p[i] <= '9'; i++, unit /= 10) {
		if (unit == 0)
			return COX_EINVAL;
		*ns += (s->p[i] - '0') * unit;
	}
	if (i == 1)
		return COX_EINVAL;
	*s = cox_str_sub(*s, i, s->n);
	return COX_OK;
}

enum cox_rc duration_to_text(struct cox_arena *arena, int64_t s, int64_t ns, struct cox_str *out)
{
	if (s < -duration_s_max || s > duration_s_max || ns <= -NS_PER_S || ns >= NS_PER_S || (s > 0 && ns < 0) || (s < 0 && ns > 0))
		return COX_EINVAL;
	char fraction[12];
	fraction_format(fraction, ns < 0 ? -ns : ns);
	*out = cox_arena_printf(arena, "%s%lld%ss", s < 0 || ns < 0 ? "-" : "", (long long)(s < 0 ? -s : s), fraction);
	return COX_OK;
}

enum cox_rc duration_from_text(struct cox_str text, int64_t *s, int64_t *ns)
{
	bool negative = text.n != 0 && text.p[0] == '-';
	if (negative)
		text = cox_str_sub(text, 1, text.n);
	size_t digits = 0;
	while (digits < text.n && text.p[digits] >= '0' && text.p[digits] <= '9')
		digits++;
	if (digits == 0 || cox_str_to_i64(cox_str_sub(text, 0, digits), s) != COX_OK || *s > duration_s_max)
		return COX_EINVAL;
	text = cox_str_sub(text, digits, text.n);
	COX_TRY(fraction_take(&text, ns));
	if (!cox_str_eq(text, COX_STR("s")))
		return COX_EINVAL;
	if (negative)
		*s = -*s, *ns = -*ns;
	return COX_OK;
}

enum cox_rc timestamp_to_text(struct cox_arena *arena, int64_t s, int64_t ns, struct cox_str *out)
{
	if (s < timestamp_s_min || s > timestamp_s_max || ns < 0 || ns >= NS_PER_S)
		return COX_EINVAL;
	char fraction[12];
	fraction_format(fraction, ns);
	/* Days since 0000-03-01, so that the leap day is the last one of its year; all positive in the range above. */
	int64_t days = (s - timestamp_s_min) / 86400 + 306, rest = (s - timestamp_s_min) % 86400;
	int64_t era = days / 146097, of_era = days % 146097;
	int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
	int64_t month = (5 * of_year + 2) / 153; /* 0 is March */
	int64_t day = of_year - (153 * month + 2) / 5 + 1;
	year += era * 400 + (month >= 10);
	month += month < 10 ? 3 : -9;
	*out = cox_arena_printf(arena, "%04d-%02d-%02dT%02d:%02d:%02d%sZ", (int)year, (int)month, (int)day, (int)(rest / 3600),
	                        (int)(rest / 60 % 60), (int)(rest % 60), fraction);
	return COX_OK;
}

enum cox_rc timestamp_from_text(struct cox_str text, int64_t *s, int64_t *ns)
{
	int64_t ms;
	COX_TRY(cox_clock_parse(text, &ms));
	*s = ms >= 0 ? ms / 1000 : -((999 - ms) / 1000);
	if (*s < timestamp_s_min || *s > timestamp_s_max)
		return COX_EINVAL;
	/* The clock keeps milliseconds; the digits behind them are in the text. */
	text = cox_str_sub(text, 19, text.n);
	return fraction_take(&text, ns);
}

bool snake_from_camel(struct cox_str camel, struct cox_buf *out)
{
	for (size_t i = 0; i < camel.n; i++) {
		char c = camel.p[i];
		if (c == '_')
			return false;
		if (c >= 'A' && c <= 'Z') {
			cox_buf_append_char(out, '_');
			c = (char)(c - 'A' + 'a');
		}
		cox_buf_append_char(out, c);
	}
	return true;
}

bool is_null_enum(const struct cox_envoy_enum *e)
{
	if (!cox_str_eq(cox_envoy_enum_name(e, 0), COX_STR("NULL_VALUE")))
		return false;
	const struct cox_envoy_message *value = cox_envoy_message_find(COX_STR("google.protobuf.Value"));
	return cox_envoy_field_at(value, 0).enumeration == e;
}
