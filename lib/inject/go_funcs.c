/* The functions that Istio's injector gives to its templates. */
#include "inject/go_types.h"
#include "inject/inject_priv.h"

#define FN(name)                                                                                              \
	static enum cox_rc name(struct cox_template_call *call, const struct cox_template_value *a, size_t n, \
	                        struct cox_template_value *out)

static enum cox_rc give(struct cox_template_value *out, struct cox_str s)
{
	*out = cox_template_str(s);
	return COX_OK;
}

static enum cox_rc give_buf(struct cox_template_call *call, struct cox_buf *buf, enum cox_rc rc, struct cox_template_value *out)
{
	if (rc == COX_OK)
		rc = cox_template_reserve(call, buf->n);
	if (rc == COX_OK)
		rc = give(out, cox_arena_str(call->arena, cox_buf_str(buf)));
	cox_buf_fini(buf);
	return rc;
}

/* fmt.Sprint of it. */
static enum cox_rc printed(struct cox_template_call *call, const struct cox_template_value *v, struct cox_template_value *out)
{
	struct cox_buf buf = { 0 };
	enum cox_rc rc = cox_template_print(call, &buf, v);
	return give_buf(call, &buf, rc, out);
}

static bool is_nothing(const struct cox_template_value *v) { return v->kind == COX_TEMPLATE_NIL || v->kind == COX_TEMPLATE_NONE; }

/* --- of the pod ----------------------------------------------------------------------------------------------------- */

FN(fn_isset)
{
	(void)call, (void)n;
	*out = cox_template_bool(cox_template_map_get(&a[0], a[1].text) != NULL);
	return COX_OK;
}

/* annotation .ObjectMeta "name" fallback */
FN(fn_annotation)
{
	(void)n;
	if (inject_go_type_of(&a[0]) != &inject_go_types[inject_go_object_meta])
		return cox_template_fail(call, "annotation: wants the object's metadata first");
	const struct cox_json *found = cox_json_get(cox_json_get(inject_go_json_of(&a[0]), COX_STR("annotations")), a[1].text);
	return found && found->type == COX_JSON_STRING ? give(out, found->text) : printed(call, &a[2], out);
}

static enum cox_rc ports_of(struct cox_template_call *call, const struct cox_template_value *containers, bool all,
                            struct cox_template_value *out)
{
	struct cox_buf buf = { 0 };
	for (size_t i = 0; i < containers->list.n; i++) {
		const struct cox_json *c = inject_go_json_of(&containers->list.items[i]), *ports = cox_json_get(c, COX_STR("ports"));
		if (!all && cox_str_eq_cstr(cox_json_str_at(c, "name"), "istio-proxy"))
			continue;
		for (size_t k = 0; ports && ports->type == COX_JSON_ARRAY && k < ports->n; k++) {
			struct cox_str protocol = cox_json_str_at(&ports->items[k], "protocol");
			if (cox_str_eq_cstr(protocol, "UDP") || cox_str_eq_cstr(protocol, "SCTP"))
				continue;
			struct cox_str port = inject_json_text(call->arena, cox_json_get(&ports->items[k], COX_STR("containerPort")));
			cox_buf_printf(&buf, "%s%.*s", buf.n ? "," : "", COX_FMT(port));
		}
	}
	return give_buf(call, &buf, COX_OK, out);
}

FN(fn_include_inbound_ports) { return (void)n, ports_of(call, &a[0], true, out); }
FN(fn_application_ports) { return (void)n, ports_of(call, &a[0], false, out); }

FN(fn_exclude_inbound_port)
{
	struct cox_template_value port;
	struct cox_buf buf = { 0 };
	struct cox_str rest = a[1].text, part;
	(void)n;
	COX_TRY(printed(call, &a[0], &port));
	port.text = cox_str_trim(port.text);
	if (port.text.n == 0 || cox_str_eq_cstr(port.text, "0"))
		return give(out, a[1].text);
	while (cox_str_next(&rest, ',', &part)) {
		part = cox_str_trim(part);
		if (cox_str_eq(part, port.text)) {
			cox_buf_fini(&buf);
			return give(out, a[1].text);
		}
		if (part.n)
			cox_buf_printf(&buf, "%.*s,", COX_FMT(part));
	}
	cox_buf_append_str(&buf, port.text);
	return give_buf(call, &buf, COX_OK, out);
}

FN(fn_same) { return (void)call, (void)n, give(out, a[0].text); }

static bool has_network(struct cox_arena *arena, struct cox_str text, struct cox_str ns, struct cox_str name, bool *is_json)
{
	struct cox_json *list = NULL;
	*is_json = cox_json_parse(arena, cox_arena_str(arena, text), &list, NULL) == COX_OK && list->type == COX_JSON_ARRAY;
	for (size_t i = 0; *is_json && i < list->n; i++)
		if (cox_str_eq(cox_json_str_at(&list->items[i], "name"), name) &&
		    cox_str_eq(cox_json_str_at(&list->items[i], "namespace"), ns))
			return true;
	return false;
}

struct cox_str inject_append_network(struct cox_arena *arena, struct cox_str text, struct cox_str net)
{
	struct cox_str rest = text, part, ns = { 0 }, name = net;
	ptrdiff_t slash = cox_str_find(net, '/'), end = cox_str_rfind(text, ']');
	bool is_json;
	if (text.n == 0)
		return net;
	if (slash >= 0)
		ns = cox_str_sub(net, 0, (size_t)slash), name = cox_str_sub(net, (size_t)slash + 1, net.n);
	if (end >= 0) {
		/* What is not JSON after all stays as it is. */
		if (has_network(arena, text, ns, name, &is_json) || !is_json)
			return text;
		struct cox_str more =
		    ns.n ? cox_arena_printf(arena, ", {\"name\": \"%.*s\", \"namespace\": \"%.*s\"}", COX_FMT(name), COX_FMT(ns))
		         : cox_arena_printf(arena, ", {\"name\": \"%.*s\"}", COX_FMT(name));
		return cox_arena_printf(arena, "%.*s%.*s%.*s", COX_FMT(cox_str_sub(text, 0, (size_t)end)), COX_FMT(more),
		                        COX_FMT(cox_str_sub(text, (size_t)end, text.n)));
	}
	while (cox_str_next(&rest, ',', &part))
		if (cox_str_eq(cox_str_trim(part), net))
			return text;
	return cox_arena_printf(arena, "%.*s, %.*s", COX_FMT(text), COX_FMT(net));
}

FN(fn_append_multus_network) { return (void)n, give(out, inject_append_network(call->arena, a[0].text, a[1].text)); }

/* --- values ------------------------------------------------------------------------------------------------------------ */

FN(fn_value_or_default)
{
	(void)call, (void)n;
	*out = is_nothing(&a[0]) || (a[0].kind == COX_TEMPLATE_STRING && a[0].text.n == 0) ? a[1] : a[0];
	return COX_OK;
}

FN(fn_directory)
{
	ptrdiff_t slash = cox_str_rfind(a[0].text, '/');
	(void)call, (void)n;
	return give(out, cox_str_sub(a[0].text, 0, (size_t)(slash + 1)));
}

FN(fn_contains)
{
	(void)call, (void)n;
	*out = cox_template_bool(a[0].text.n == 0 || cox_str_search(a[1].text, a[0].text) >= 0);
	return COX_OK;
}

FN(fn_to_lower) { return (void)n, give(out, cox_arena_lower(call->arena, a[0].text)); }

/* The first line is not indented: it stands where the action stands. */
FN(fn_indent)
{
	struct cox_buf buf = { 0 };
	size_t lines = 0;
	(void)n;
	if (a[0].integer < 0 || a[0].integer > 1000)
		return cox_template_fail(call, "indent: %lld spaces", (long long)a[0].integer);
	for (size_t i = 0; i < a[1].text.n; i++)
		lines += a[1].text.p[i] == '\n';
	COX_TRY(cox_template_reserve(call, a[1].text.n + lines * (size_t)a[0].integer));
	for (size_t i = 0; i < a[1].text.n; i++) {
		cox_buf_append_char(&buf, a[1].text.p[i]);
		if (a[1].text.p[i] == '\n')
			cox_buf_printf(&buf, "%*s", (int)a[0].integer, "");
	}
	return give_buf(call, &buf, COX_OK, out);
}

FN(fn_env)
{
	const struct inject_job *j = call->ctx;
	(void)n;
	struct cox_str v = j->c->env ? j->c->env(a[0].text) : (struct cox_str){ 0 };
	return give(out, v.n ? cox_arena_str(call->arena, v) : a[1].text);
}

/* "90s" as Go shows a duration: 1m30s. */
FN(fn_format_duration)
{
	struct cox_template_value text;
	struct cox_buf buf = { 0 };
	double seconds = 0;
	(void)n;
	COX_TRY(printed(call, &a[0], &text));
	if (!cox_str_has_suffix(text.text, COX_STR("s")) ||
	    cox_str_to_f64(cox_str_sub(text.text, 0, text.text.n - 1), &seconds) != COX_OK || seconds < 0 || seconds > 1e9)
		return give(out, text.text);
	long long whole = (long long)seconds;
	double rest = seconds - (double)whole;
	if (whole >= 3600)
		cox_buf_printf(&buf, "%lldh", whole / 3600);
	if (whole >= 60)
		cox_buf_printf(&buf, "%lldm", whole / 60 % 60);
	if (whole == 0 && rest > 0)
		cox_buf_printf(&buf, "%gms", rest * 1000);
	else
		cox_buf_printf(&buf, "%gs", (double)(whole % 60) + rest);
	return give_buf(call, &buf, COX_OK, out);
}

/* --- JSON and YAML ------------------------------------------------------------------------------------------------------- */

static enum cox_rc write_json(struct cox_template_call *call, const struct cox_json *v, bool for_html, struct cox_template_value *out)
{
	struct cox_buf raw = { 0 }, buf = { 0 };
	cox_json_write(&raw, v, 0, false);
	for (size_t i = 0; i < raw.n; i++) {
		char c = raw.p[i];
		if (for_html && (c == '<' || c == '>' || c == '&'))
			cox_buf_printf(&buf, "\\u%04x", c);
		else
			cox_buf_append_char(&buf, c);
	}
	cox_buf_fini(&raw);
	return give_buf(call, &buf, COX_OK, out);
}

FN(fn_struct_to_json)
{
	struct cox_json v;
	(void)n;
	if (is_nothing(&a[0]))
		return give(out, COX_STR("{}"));
	COX_TRY(cox_template_to_json(call, &a[0], &v));
	return write_json(call, &v, true, out);
}

/* A ProxyConfig without what the agent takes anyway: the pod is smaller by it. */
static const struct cox_json *without_defaults(struct cox_template_call *call, const struct cox_json *v)
{
	const struct inject_job *j = call->ctx;
	const struct cox_json *usual = cox_json_get(j->c->mesh_defaults, COX_STR("defaultConfig"));
	struct cox_json *out = cox_json_new_object(call->arena);
	for (size_t i = 0; i < v->n; i++) {
		const struct cox_json *same = cox_json_get(usual, v->members[i].key);
		if (!same || !cox_json_eq(same, &v->members[i].value))
			cox_json_set(call->arena, out, v->members[i].key, &v->members[i].value);
	}
	return out;
}

FN(fn_proto_to_json)
{
	const struct go_type *t = inject_go_type_of(&a[0]);
	const struct cox_json *v = inject_go_json_of(&a[0]);
	(void)n;
	if (!t || t->kind == GO_STRUCT)
		return cox_template_fail(call, "protoToJSON: wants a protobuf message");
	if (!v)
		return give(out, COX_STR("{}"));
	if (t == &inject_go_types[inject_go_proxy_config])
		v = without_defaults(call, v);
	struct cox_json made = inject_go_encode(call->arena, t, v);
	return write_json(call, &made, false, out);
}

FN(fn_from_json)
{
	struct cox_json *v = NULL;
	(void)n;
	COX_TRY(cox_template_reserve(call, a[0].text.n));
	if (cox_json_parse(call->arena, cox_arena_str(call->arena, a[0].text), &v, NULL) != COX_OK)
		return give(out, COX_STR("{}"));
	*out = cox_template_of_json(call->arena, v);
	return COX_OK;
}

FN(fn_to_yaml)
{
	struct cox_json v;
	struct cox_buf buf = { 0 };
	(void)n;
	COX_TRY(cox_template_to_json(call, &a[0], &v));
	cox_json_write_yaml(&buf, &v);
	return give_buf(call, &buf, COX_OK, out);
}

/* --- maps ------------------------------------------------------------------------------------------------------------------ */

FN(fn_omit)
{
	*out = cox_template_map_new(call->arena, true);
	for (size_t i = 0; i < cox_template_map_size(&a[0]); i++) {
		struct cox_str key;
		const struct cox_template_value *v = cox_template_map_at(&a[0], i, &key);
		bool drop = false;
		for (size_t k = 1; k < n; k++)
			drop |= cox_str_eq(a[k].text, key);
		if (!drop)
			cox_template_map_set(call->arena, out, key, *v);
	}
	return COX_OK;
}

FN(fn_strdict)
{
	*out = cox_template_map_new(call->arena, true);
	for (size_t i = 0; i < n; i += 2)
		cox_template_map_set(call->arena, out, a[i].text, i + 1 < n ? a[i + 1] : cox_template_str(COX_STR("")));
	return COX_OK;
}

FN(fn_merge_maps)
{
	*out = cox_template_map_new(call->arena, true);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < cox_template_map_size(&a[i]); k++) {
			struct cox_str key;
			const struct cox_template_value *v = cox_template_map_at(&a[i], k, &key);
			cox_template_map_set(call->arena, out, key, *v);
		}
	return COX_OK;
}

FN(fn_to_json_map)
{
	struct cox_template_value merged;
	COX_TRY(fn_merge_maps(call, a, n, &merged));
	return fn_struct_to_json(call, &merged, 1, out);
}

/* Not of Go's kind of depth: the tree it makes is what is bounded. */
static enum cox_rc omit_nil(struct cox_template_call *call, const struct cox_template_value *v, unsigned depth,
                            struct cox_template_value *out)
{
	*out = *v;
	if (depth > 64)
		return cox_template_fail(call, "omitNil: nested too deep");
	COX_TRY(cox_template_reserve(call, 256));
	if (v->kind == COX_TEMPLATE_MAP) {
		*out = cox_template_map_new(call->arena, false);
		for (size_t i = 0; i < cox_template_map_size(v); i++) {
			struct cox_str key;
			struct cox_template_value kept;
			const struct cox_template_value *item = cox_template_map_at(v, i, &key);
			COX_TRY(omit_nil(call, item, depth + 1, &kept));
			if (!is_nothing(&kept))
				cox_template_map_set(call->arena, out, key, kept);
		}
	}
	if (v->kind == COX_TEMPLATE_LIST) {
		out->list.items = COX_ARENA_ARRAY(call->arena, struct cox_template_value, v->list.n);
		out->list.n = 0;
		for (size_t i = 0; i < v->list.n; i++) {
			COX_TRY(omit_nil(call, &v->list.items[i], depth + 1, &out->list.items[out->list.n]));
			out->list.n += !is_nothing(&out->list.items[out->list.n]);
		}
	}
	return COX_OK;
}

FN(fn_omit_nil) { return (void)n, omit_nil(call, &a[0], 0, out); }

/* --- OpenTelemetry -------------------------------------------------------------------------------------------------------------- */

static bool enriches(const struct cox_json *mesh)
{
	const struct cox_json *list = cox_json_get(mesh, COX_STR("extensionProviders"));
	for (size_t i = 0; list && list->type == COX_JSON_ARRAY && i < list->n; i++)
		if (cox_str_eq_cstr(cox_json_str_at(&list->items[i], "opentelemetry.serviceAttributeEnrichment"),
		                    "OTEL_SEMANTIC_CONVENTIONS"))
			return true;
	return false;
}

static struct cox_str text_of(const struct cox_template_value *map, const char *key)
{
	const struct cox_template_value *v = cox_template_map_get(map, cox_str_of(key));
	return v && v->kind == COX_TEMPLATE_STRING ? v->text : (struct cox_str){ 0 };
}

/* Of "host:5000/name:tag@digest": tag and digest. */
static struct cox_str image_version(struct cox_arena *arena, struct cox_str image)
{
	ptrdiff_t at = cox_str_find(image, '@');
	struct cox_str digest = { 0 }, tag = { 0 };
	if (at >= 0)
		digest = cox_str_sub(image, (size_t)at + 1, image.n), image = cox_str_sub(image, 0, (size_t)at);
	ptrdiff_t colon = cox_str_rfind(image, ':');
	if (colon > cox_str_rfind(image, '/'))
		tag = cox_str_sub(image, (size_t)colon + 1, image.n);
	return tag.n && digest.n ? cox_arena_printf(arena, "%.*s@%.*s", COX_FMT(tag), COX_FMT(digest)) : tag.n ? tag : digest;
}

static void attribute(struct cox_buf *out, const char *name, struct cox_str v)
{
	if (v.n)
		cox_buf_printf(out, "%s%s=%.*s", out->n ? "," : "", name, COX_FMT(v));
}

/* otelResourceAttributes .MeshConfig annotations labels namespace containers */
FN(fn_otel_resource_attributes)
{
	const struct cox_json *only = a[4].list.n ? inject_go_json_of(&a[4].list.items[0]) : NULL;
	struct cox_buf buf = { 0 };
	(void)n;
	if (!enriches(inject_go_json_of(&a[0])))
		return give(out, COX_STR(""));
	struct cox_str ns = text_of(&a[1], "resource.opentelemetry.io/service.namespace"),
	               version = text_of(&a[1], "resource.opentelemetry.io/service.version"),
	               id = text_of(&a[1], "resource.opentelemetry.io/service.instance.id");
	if (version.n == 0)
		version = text_of(&a[2], "app.kubernetes.io/version");
	if (version.n == 0 && a[4].list.n == 1)
		version = image_version(call->arena, cox_json_str_at(only, "image"));
	if (id.n == 0 && only)
		id = cox_arena_printf(call->arena, "%.*s.$(POD_NAME).%.*s", COX_FMT(a[3].text), COX_FMT(cox_json_str_at(only, "name")));
	attribute(&buf, "service.namespace", ns.n ? ns : a[3].text);
	attribute(&buf, "service.version", version);
	attribute(&buf, "service.instance.id", id);
	return give_buf(call, &buf, COX_OK, out);
}

const struct cox_template_func inject_template_funcs[] = {
	{ "annotation", "asa", fn_annotation },
	{ "appendMultusNetwork", "ss", fn_append_multus_network },
	{ "applicationPorts", "l", fn_application_ports },
	{ "contains", "ss", fn_contains },
	{ "directory", "s", fn_directory },
	{ "env", "ss", fn_env },
	{ "excludeInboundPort", "as", fn_exclude_inbound_port },
	{ "excludeInterfaces", "s", fn_same },
	{ "formatDuration", "a", fn_format_duration },
	{ "fromJSON", "s", fn_from_json },
	{ "includeInboundPorts", "l", fn_include_inbound_ports },
	{ "indent", "is", fn_indent },
	{ "isset", "ms", fn_isset },
	{ "kubevirtInterfaces", "s", fn_same },
	{ "mergeMaps", "m*", fn_merge_maps },
	{ "omit", "ms*", fn_omit },
	{ "omitNil", "a", fn_omit_nil },
	{ "otelResourceAttributes", "ammsl", fn_otel_resource_attributes },
	{ "protoToJSON", "a", fn_proto_to_json },
	{ "strdict", "s*", fn_strdict },
	{ "structToJSON", "a", fn_struct_to_json },
	{ "toJSON", "m", fn_struct_to_json },
	{ "toJsonMap", "m*", fn_to_json_map },
	{ "toLower", "s", fn_to_lower },
	{ "toYaml", "a", fn_to_yaml },
	{ "valueOrDefault", "aa", fn_value_or_default },
};
const size_t inject_template_func_n = COX_LEN(inject_template_funcs);
