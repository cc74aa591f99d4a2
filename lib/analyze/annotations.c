/* Annotations of Istio that nobody heeds: unknown, at the wrong kind, with a value that is not valid, or on their way out. */
#include "analyze/analyze_priv.h"

#include "codec/fields.h"
#include "codec/yaml.h"
#include "model/protocol.h"

enum form { ANY, BOOL, CIDRS, CIDRS_OR_ALL, MODE, PORT, PORTS, PORTS_OR_ALL, QUANTITY, U32, YAML };
static const struct annotation {
	const char *name;
	bool is_deprecated;
	const char *kinds;
	enum form form;
	enum { STABLE, ALPHA } phase;
} known[] = {
#define X(name, deprecated, kinds, form, phase) { name, deprecated, kinds, form, phase },
#include "analyze/annotation.def"
#undef X
};
/* Written by injector and controllers, not by people. */
static const char *const written_by_us[] = { "sidecar.istio.io/status", "gateway.istio.io/controller-version", "istio.io/rev" };

static bool is_istio(struct cox_str name)
{
	ptrdiff_t slash = cox_str_find(name, '/');
	struct cox_str domain = slash < 0 ? name : cox_str_sub(name, 0, (size_t)slash);
	return cox_str_has_suffix(domain, COX_STR("istio.io")) || cox_str_eq_cstr(name, "kubernetes.io/ingress.class");
}

static const struct annotation *find(struct cox_str name)
{
	for (size_t i = 0; i < COX_LEN(known); i++)
		if (cox_str_eq_cstr(name, known[i].name))
			return &known[i];
	return NULL;
}

/* --- values ------------------------------------------------------------------------------------------------- */

static bool is_number(struct cox_str s, uint64_t min, uint64_t max)
{
	uint64_t n;
	return cox_str_to_u64(cox_str_trim(s), &n) == COX_OK && n >= min && n <= max;
}

static bool is_ports(struct cox_str s, bool all)
{
	struct cox_str part;
	if (all && cox_str_eq_cstr(s, "*"))
		return true;
	while (s.n && cox_str_next(&s, ',', &part))
		if (!is_number(part, 0, 65535))
			return false;
	return true;
}

static bool is_cidrs(struct cox_str s, bool all)
{
	struct cox_str part;
	if (all && cox_str_eq_cstr(s, "*"))
		return true;
	while (s.n && cox_str_next(&s, ',', &part)) {
		part = cox_str_trim(part);
		if (cox_str_find(part, '/') < 0 || cox_format_check("cidr", part))
			return false;
	}
	return true;
}

/* Kubernetes' numbers: digits with a point, then a unit or an exponent. */
static bool is_quantity(struct cox_str s)
{
	static const char *const units[] = { "", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei" };
	size_t i = s.n && (s.p[0] == '+' || s.p[0] == '-'), start = i, digits = 0;
	for (; i < s.n && ((s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '.'); i++)
		digits += s.p[i] != '.';
	if (digits == 0 || i - start > digits + 1)
		return false;
	struct cox_str unit = cox_str_sub(s, i, s.n);
	for (size_t k = 0; k < COX_LEN(units); k++)
		if (cox_str_eq_cstr(unit, units[k]))
			return true;
	int64_t exponent;
	return (unit.p[0] == 'e' || unit.p[0] == 'E') && cox_str_to_i64(cox_str_sub(unit, 1, unit.n), &exponent) == COX_OK;
}

static bool is_bool(struct cox_str s)
{
	static const char *const words[] = { "1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False" };
	for (size_t i = 0; i < COX_LEN(words); i++)
		if (cox_str_eq_cstr(s, words[i]))
			return true;
	return false;
}

static bool is_map(struct cox_str s)
{
	struct cox_arena scratch = { 0 };
	struct cox_json *doc = NULL;
	struct cox_err err;
	enum cox_rc rc = cox_yaml_one(&scratch, s, COX_JSON_BYTES_MAX, &doc, NULL, &err);
	bool is = rc == COX_OK && (!doc || doc->type == COX_JSON_OBJECT || doc->type == COX_JSON_NULL);
	cox_arena_fini(&scratch);
	return is;
}

static const char *check(enum form form, struct cox_str v)
{
	switch (form) {
	case ANY: break;
	case BOOL: return is_bool(v) ? NULL : "must be true or false";
	case CIDRS:
	case CIDRS_OR_ALL:
		if (!is_cidrs(v, form == CIDRS_OR_ALL))
			return form == CIDRS ? "must be address ranges, as 10.0.0.0/8, separated by commas"
			                     : "must be address ranges, as 10.0.0.0/8, separated by commas, or *";
		break;
	case MODE:
		if (!cox_str_eq_cstr(v, "REDIRECT") && !cox_str_eq_cstr(v, "TPROXY") && !cox_str_eq_cstr(v, "NONE"))
			return "must be REDIRECT, TPROXY or NONE";
		break;
	case PORT: return is_number(v, 0, 65535) ? NULL : "must be a port";
	case PORTS: return is_ports(v, false) ? NULL : "must be ports, separated by commas";
	case PORTS_OR_ALL: return is_ports(v, true) ? NULL : "must be ports, separated by commas, or *";
	case QUANTITY: return is_quantity(v) ? NULL : "must be a quantity, as 100m or 128Mi";
	case U32: return is_number(v, 0, UINT32_MAX) ? NULL : "must be a number from 0 on";
	case YAML: return is_map(v) ? NULL : "must be a ProxyConfig as YAML";
	}
	return NULL;
}

const char *an_annotation_check(struct cox_str name, struct cox_str value)
{
	const struct annotation *a = find(name);
	return a ? check(a->form, value) : NULL;
}

/* --- the analyzer --------------------------------------------------------------------------------------------- */

static bool counts_on(const struct annotation *a, struct cox_str kind)
{
	struct cox_str rest = cox_str_of(a->kinds), part;
	while (cox_str_next(&rest, ',', &part)) {
		part = cox_str_trim(part);
		if (cox_str_eq(part, kind) || cox_str_eq_cstr(part, "Any"))
			return true;
	}
	return false;
}

static bool is_written_by_us(struct cox_str name)
{
	for (size_t i = 0; i < COX_LEN(written_by_us); i++)
		if (cox_str_eq_cstr(name, written_by_us[i]))
			return true;
	return false;
}

static void look_at(struct an_run *r, const struct an_obj *o, struct cox_str name, const struct cox_json *value)
{
	const struct annotation *a = find(name);
	struct cox_str path = AN_PATH(r, "metadata.annotations[%.*s]", COX_FMT(name));
	const char *wrong;
	if (!a) {
		an_report(r, COX_AN_UNKNOWN_ANNOTATION, o, value, path,
		          "nobody knows this annotation; look for a typing error, or remove it");
		return;
	}
	bool is_inject = cox_str_eq_cstr(name, "sidecar.istio.io/inject");
	if (a->is_deprecated && !(is_inject && an_has_label(o, "sidecar.istio.io/inject")))
		an_report(r, COX_AN_DEPRECATED_ANNOTATION, o, value, path, "deprecated%s",
		          is_inject ? "; use the label sidecar.istio.io/inject" : ": it will have no effect one day");
	if (!counts_on(a, o->kind_name))
		an_report(r, COX_AN_MISPLACED_ANNOTATION, o, value, path, "has an effect on %s only", a->kinds);
	else if ((wrong = check(a->form, an_scalar(value))))
		an_report(r, COX_AN_INVALID_ANNOTATION, o, value, path, "\"%.*s\" %s", COX_FMT(an_scalar(value)), wrong);
}

void an_annotations(struct an_run *r)
{
	static const enum an_kind kinds[] = { AN_NAMESPACE, AN_SERVICE, AN_POD, AN_DEPLOYMENT };
	for (size_t k = 0; k < COX_LEN(kinds); k++)
		AN_EACH_OBJ(o, r, kinds[k])
	AN_EACH_MEMBER(a, o->annotations)
	if (is_istio(a->key) && !is_written_by_us(a->key))
		look_at(r, o, a->key, &a->value);
}

/* --- for precheck ------------------------------------------------------------------------------------------------ */

/* A pod that the CNI plugin captures for has these from the injector, not from people. */
static bool is_of_cni(const struct an_obj *o, struct cox_str name)
{
	static const char *const names[] = { "sidecar.istio.io/interceptionMode", "traffic.sidecar.istio.io/includeInboundPorts",
		                             "traffic.sidecar.istio.io/excludeInboundPorts",
		                             "traffic.sidecar.istio.io/includeOutboundIPRanges" };
	if (o->kind != AN_POD)
		return false;
	AN_EACH(c, an_get(o->spec, "initContainers"))
	if (cox_str_eq_cstr(an_str(c, "name"), "istio-init"))
		return false;
	for (size_t i = 0; i < COX_LEN(names); i++)
		if (cox_str_eq_cstr(name, names[i]))
			return true;
	return false;
}

void an_alpha_annotations(struct an_run *r)
{
	static const enum an_kind kinds[] = { AN_NAMESPACE, AN_SERVICE, AN_POD, AN_DEPLOYMENT };
	for (size_t k = 0; k < COX_LEN(kinds); k++)
		AN_EACH_OBJ(o, r, kinds[k])
	AN_EACH_MEMBER(a, o->annotations)
	{
		const struct annotation *known_one = is_written_by_us(a->key) ? NULL : find(a->key);
		if (known_one && known_one->phase == ALPHA && !is_of_cni(o, a->key))
			an_report(r, COX_AN_ALPHA_ANNOTATION, o, &a->value, AN_PATH(r, "metadata.annotations[%.*s]", COX_FMT(a->key)),
			          "is of a feature that is not finished; other releases may do it differently");
	}
}
