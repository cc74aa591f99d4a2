#include "install/operator.h"

#include "base/file.h"
#include "codec/yaml.h"
#include "install/operator_priv.h"

enum { FILE_BYTES_MAX = 4 * 1024 * 1024 };

const char *cox_component_name(enum cox_component c)
{
	static const char *const names[] = { "Base", "Pilot", "IngressGateways", "EgressGateways" };
	return names[c];
}

/* --- what stands where in components ----------------------------------------------------------------------------- */

/* Lists of gateways are laid over each other by name. */
static const struct cox_json *overlay_gateways(struct cox_arena *a, const struct cox_json *base, const struct cox_json *over)
{
	if (!base || !over || base->type != COX_JSON_ARRAY || over->type != COX_JSON_ARRAY)
		return over ? over : base;
	struct cox_json *out = cox_json_new_array(a);
	for (size_t i = 0; i < base->n; i++) {
		const struct cox_json *found = NULL;
		for (size_t j = 0; j < over->n; j++)
			if (cox_str_eq(cox_json_str_at(&over->items[j], "name"), cox_json_str_at(&base->items[i], "name")))
				found = &over->items[j];
		cox_json_push(a, out, cox_values_overlay(a, &base->items[i], found));
	}
	for (size_t j = 0; j < over->n; j++) {
		bool is_new = true;
		for (size_t i = 0; i < base->n; i++)
			is_new &= !cox_str_eq(cox_json_str_at(&over->items[j], "name"), cox_json_str_at(&base->items[i], "name"));
		if (is_new)
			cox_json_push(a, out, &over->items[j]);
	}
	return out;
}

static const struct cox_json *overlay_spec(struct cox_arena *a, const struct cox_json *base, const struct cox_json *over)
{
	static const char *const lists[] = { "ingressGateways", "egressGateways" };
	const struct cox_json *b = cox_json_at(base, "components"), *o = cox_json_at(over, "components");
	struct cox_json *out = cox_json_clone(a, cox_values_overlay(a, base, over)), *components = NULL;
	if (!b || !o || out->type != COX_JSON_OBJECT)
		return out;
	components = cox_json_clone(a, cox_values_overlay(a, b, o));
	for (size_t i = 0; i < COX_LEN(lists); i++) {
		struct cox_str key = cox_str_of(lists[i]);
		const struct cox_json *list = overlay_gateways(a, cox_json_get(b, key), cox_json_get(o, key));
		if (list)
			cox_json_set(a, components, key, list);
	}
	cox_json_set(a, out, COX_STR("components"), components);
	return out;
}

/* --- where it comes from ---------------------------------------------------------------------------------------------- */

/* The spec of an IstioOperator; all fields are ones we know. */
static enum cox_rc spec_of(struct cox_arena *a, struct cox_str text, const char *name, const struct cox_json **out, struct cox_err *err)
{
	struct cox_json *tree = NULL;
	*out = NULL;
	enum cox_rc rc = cox_yaml_one(a, text, FILE_BYTES_MAX, &tree, NULL, err);
	if (rc == COX_OK && tree && !cox_str_eq_cstr(cox_json_str_at(tree, "kind"), "IstioOperator"))
		rc = cox_err_set(err, COX_EINVAL, "kind", "must be IstioOperator");
	if (rc != COX_OK) {
		cox_err_wrap(err, "%s", name);
		return rc;
	}
	*out = cox_json_at(tree, "spec");
	struct cox_str ns = cox_json_str_at(tree, "metadata.namespace");
	if (ns.n && *out && (*out)->type == COX_JSON_OBJECT && !cox_json_get(*out, COX_STR("namespace"))) {
		struct cox_json *copy = cox_json_clone(a, *out);
		cox_json_set(a, copy, COX_STR("namespace"), cox_json_new_str(a, ns));
		*out = copy;
	}
	return COX_OK;
}

enum cox_rc cox_operator_profile(const struct cox_charts *charts, struct cox_str name, struct cox_arena *arena, const struct cox_json **out,
                                 struct cox_err *err)
{
	const struct cox_json *base, *over;
	struct cox_str text = cox_charts_text(charts, cox_arena_printf(arena, "profiles/%.*s.yaml", COX_FMT(name)).p);
	if (text.n == 0 || cox_str_find(name, '/') >= 0)
		return cox_err_set(err, COX_ENOTFOUND, "profile", "there is no profile \"%.*s\"; coxctl profile list names them",
		                   COX_FMT(name));
	COX_TRY(spec_of(arena, cox_charts_text(charts, "profiles/default.yaml"), "profiles/default.yaml", &base, err));
	COX_TRY(spec_of(arena, text, "the profile", &over, err));
	*out = overlay_spec(arena, base, over);
	return COX_OK;
}

/* What the user says, before the profile that it may name. */
static enum cox_rc read_user(const struct cox_operator_spec *from, struct cox_arena *a, const struct cox_json **out, struct cox_err *err)
{
	*out = cox_json_new_object(a);
	for (size_t i = 0; i < from->file_n; i++) {
		struct cox_buf text COX_AUTO(cox_buf_fini) = { 0 };
		const struct cox_json *spec;
		COX_TRY(cox_file_read_arg(from->files[i], FILE_BYTES_MAX, &text, err));
		COX_TRY(spec_of(a, cox_arena_str(a, cox_buf_str(&text)), from->files[i], &spec, err));
		if (spec)
			*out = overlay_spec(a, *out, spec);
	}
	return COX_OK;
}

static enum cox_rc resolve_spec(const struct cox_charts *charts, const struct cox_operator_spec *from, struct cox_arena *a,
                                const struct cox_json **out, struct cox_err *err)
{
	const struct cox_json *user, *sets = cox_json_new_object(a), *profile;
	COX_TRY(read_user(from, a, &user, err));
	struct cox_str name = cox_json_str_at(user, "profile");
	for (size_t i = 0; i < from->set_n; i++)
		COX_TRY(cox_values_set(a, sets, from->sets[i], &sets, err));
	if (cox_json_str_at(sets, "profile").n)
		name = cox_json_str_at(sets, "profile");
	COX_TRY(cox_operator_profile(charts, name.n ? name : COX_STR("default"), a, &profile, err));
	*out = overlay_spec(a, profile, user);
	/* Once more, over all: [0] counts the gateways of the profile. */
	for (size_t i = 0; i < from->set_n; i++)
		COX_TRY(cox_values_set(a, *out, from->sets[i], out, err));
	return COX_OK;
}

static enum cox_rc check(const struct cox_json *spec, struct cox_err *err)
{
	static const char *const known[] = { "profile",
		                             "hub",
		                             "tag",
		                             "revision",
		                             "namespace",
		                             "meshConfig",
		                             "components",
		                             "values",
		                             "platform",
		                             "unvalidatedValues",
		                             "installPackagePath",
		                             "defaultRevision",
		                             "compatibilityVersion" };
	static const char *const components[] = { "base", "pilot", "ingressGateways", "egressGateways", "cni", "ztunnel", "istiodRemote" };
	char text[160];
	for (size_t i = 0; i < spec->n; i++) {
		size_t k = 0;
		while (k < COX_LEN(known) && !cox_str_eq_cstr(spec->members[i].key, known[k]))
			k++;
		if (k == COX_LEN(known))
			return cox_err_set(err, COX_EINVAL, cox_str_to_cstr(spec->members[i].key, text, sizeof(text)), "is no setting");
	}
	const struct cox_json *c = cox_json_at(spec, "components");
	for (size_t i = 0; c && c->type == COX_JSON_OBJECT && i < c->n; i++) {
		size_t k = 0;
		while (k < COX_LEN(components) && !cox_str_eq_cstr(c->members[i].key, components[k]))
			k++;
		const struct cox_json *on = cox_json_get(&c->members[i].value, COX_STR("enabled"));
		if (k == COX_LEN(components) || (k >= 4 && on && on->boolean)) {
			struct cox_err wrong = { 0 };
			cox_err_set(&wrong, COX_EINVAL, NULL, k == COX_LEN(components) ? "is no component" : "is not in this installation");
			cox_err_in_member(&wrong, c->members[i].key);
			cox_err_in_member(&wrong, COX_STR("components"));
			if (err)
				*err = wrong;
			return COX_EINVAL;
		}
	}
	return COX_OK;
}

/* --- the values of all charts ------------------------------------------------------------------------------------------ */

/* values, and over them what has a place of its own in the spec. */
static const struct cox_json *all_values(struct cox_arena *a, const struct cox_json *spec, const struct cox_operator *o)
{
	static const struct {
		const char *from, *to;
	} places[] = { { "hub", "global.hub" },
		       { "tag", "global.tag" },
		       { "meshConfig", "meshConfig" },
		       { "platform", "global.platform" },
		       { "compatibilityVersion", "compatibilityVersion" },
		       { "defaultRevision", "defaultRevision" } };
	const struct cox_json *values = cox_values_overlay(a, cox_json_new_object(a), cox_json_at(spec, "values")), *v;
	values = cox_values_overlay(a, values, cox_json_at(spec, "unvalidatedValues"));
	for (size_t i = 0; i < COX_LEN(places); i++)
		if ((v = cox_json_get(spec, cox_str_of(places[i].from))))
			values = operator_put(a, values, places[i].to, v);
	if (o->revision.n)
		values = operator_put(a, values, "revision", cox_json_new_str(a, o->revision));
	return operator_put(a, values, "global.istioNamespace", cox_json_new_str(a, o->ns));
}

static bool is_on(const struct cox_json *component, bool fallback)
{
	const struct cox_json *v = cox_json_get(component, COX_STR("enabled"));
	return v && v->type == COX_JSON_BOOL ? v->boolean : fallback;
}

static enum cox_rc add(struct cox_arena *a, struct cox_operator *o, enum cox_component component, const char *chart, struct cox_str name,
                       struct cox_str ns, const struct cox_json *values, struct cox_err *err)
{
	(void)a;
	if (o->release_n == RELEASES_MAX)
		return cox_err_set(err, COX_ELIMIT, "components", "more than %d charts", RELEASES_MAX);
	o->releases[o->release_n++] = (struct cox_operator_release){ component, { cox_str_of(chart), name, ns, values } };
	return COX_OK;
}

static enum cox_rc add_gateways(struct cox_arena *a, struct cox_operator *o, enum cox_component component, const struct cox_json *list,
                                const struct cox_json *values, struct cox_err *err)
{
	for (size_t i = 0; list && list->type == COX_JSON_ARRAY && i < list->n; i++) {
		const struct cox_json *g = &list->items[i], *made;
		struct cox_str name = cox_json_str_at(g, "name"), ns = cox_json_str_at(g, "namespace");
		if (!is_on(g, true))
			continue;
		if (!name.n)
			return cox_err_set(err, COX_EINVAL, "components.ingressGateways", "gateway %zu has no name", i);
		COX_TRY(operator_gateway_values(a, g, component == COX_COMPONENT_EGRESS, values, o->revision, &made, err));
		COX_TRY(add(a, o, component, "gateway", name, ns.n ? ns : o->ns, made, err));
	}
	return COX_OK;
}

enum cox_rc cox_operator_resolve(const struct cox_charts *charts, const struct cox_operator_spec *from, struct cox_arena *arena,
                                 struct cox_operator *out, struct cox_err *err)
{
	const struct cox_json *spec, *pilot;
	struct cox_operator o = { .releases = cox_arena_alloc(arena, sizeof(*o.releases) * RELEASES_MAX) };
	COX_TRY(resolve_spec(charts, from, arena, &spec, err));
	COX_TRY(check(spec, err));
	o.spec = spec;
	o.revision = from->revision ? cox_str_of(from->revision) : cox_json_str_at(spec, "revision");
	if (!o.revision.n)
		o.revision = cox_json_str_at(spec, "values.revision");
	if (cox_str_eq_cstr(o.revision, "default"))
		o.revision = (struct cox_str){ 0 };
	o.ns = from->ns ? cox_str_of(from->ns) : cox_json_str_at(spec, "namespace");
	if (!o.ns.n)
		o.ns = cox_json_str_at(spec, "values.global.istioNamespace");
	if (!o.ns.n)
		o.ns = COX_STR("istio-system");
	const struct cox_json *values = all_values(arena, spec, &o), *components = cox_json_at(spec, "components");
	/* A revision beside others leaves the cluster's validator to them, unless told otherwise. */
	const struct cox_json *base = o.revision.n && !cox_json_get(values, COX_STR("defaultRevision"))
	                                  ? operator_put(arena, values, "defaultRevision", cox_json_new_str(arena, COX_STR("")))
	                                  : values;
	if (is_on(cox_json_at(components, "base"), false))
		COX_TRY(add(arena, &o, COX_COMPONENT_BASE, "base", COX_STR("istio-base"), o.ns, base, err));
	if (is_on(cox_json_at(components, "pilot"), false)) {
		COX_TRY(operator_pilot_values(arena, cox_json_at(components, "pilot"), values, &pilot, err));
		COX_TRY(add(arena, &o, COX_COMPONENT_PILOT, "istiod",
		            o.revision.n ? cox_arena_printf(arena, "istiod-%.*s", COX_FMT(o.revision)) : COX_STR("istiod"), o.ns, pilot,
		            err));
	}
	COX_TRY(add_gateways(arena, &o, COX_COMPONENT_INGRESS, cox_json_at(components, "ingressGateways"), values, err));
	COX_TRY(add_gateways(arena, &o, COX_COMPONENT_EGRESS, cox_json_at(components, "egressGateways"), values, err));
	*out = o;
	return COX_OK;
}
