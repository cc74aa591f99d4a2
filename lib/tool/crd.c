#include "tool/crd.h"

#include "base/file.h"

#include <string.h>

struct column {
	const char *name, *path, *type, *doc;
};

/* What a table of fields does not say about a kind. */
static const struct crd_extra {
	enum cox_kind kind;
	const char *short_name; /* NULL: none */
	struct column columns[4];
} extras[] = {
	{ COX_KIND_VIRTUAL_SERVICE,
	  "vs",
	  { { "Gateways", ".spec.gateways", "string", "Gateways that it is bound to." },
	    { "Hosts", ".spec.hosts", "string", "Hosts that clients ask for." },
	    { "Age", NULL, NULL, NULL } } },
	{ COX_KIND_DESTINATION_RULE, "dr", { { "Host", ".spec.host", "string", "The service." }, { "Age", NULL, NULL, NULL } } },
	{ COX_KIND_GATEWAY, "gw", { { NULL, NULL, NULL, NULL } } },
	{ COX_KIND_SERVICE_ENTRY,
	  "se",
	  { { "Hosts", ".spec.hosts", "string", "Hosts of the service." },
	    { "Location", ".spec.location", "string", "Whether it is part of the mesh." },
	    { "Resolution", ".spec.resolution", "string", "Where its endpoints come from." },
	    { "Age", NULL, NULL, NULL } } },
	{ COX_KIND_WORKLOAD_ENTRY,
	  "we",
	  { { "Age", NULL, NULL, NULL }, { "Address", ".spec.address", "string", "Address of the workload." } } },
	{ COX_KIND_WORKLOAD_GROUP, "wg", { { "Age", NULL, NULL, NULL } } },
	{ COX_KIND_PEER_AUTHENTICATION,
	  "pa",
	  { { "Mode", ".spec.mtls.mode", "string", "Which TLS is taken." }, { "Age", NULL, NULL, NULL } } },
	{ COX_KIND_AUTHORIZATION_POLICY,
	  "ap",
	  { { "Action", ".spec.action", "string", "What becomes of requests for which it holds." }, { "Age", NULL, NULL, NULL } } },
	{ COX_KIND_REQUEST_AUTHENTICATION, "ra", { { NULL, NULL, NULL, NULL } } },
	{ COX_KIND_TELEMETRY, "telemetry", { { "Age", NULL, NULL, NULL } } },
	{ COX_KIND_WASM_PLUGIN, NULL, { { "Age", NULL, NULL, NULL } } },
	{ COX_KIND_TRAFFIC_EXTENSION, NULL, { { "Age", NULL, NULL, NULL } } },
	{ COX_KIND_PROXY_CONFIG, NULL, { { "Age", NULL, NULL, NULL } } },
	{ COX_KIND_ENVOY_FILTER, NULL, { { "Age", NULL, NULL, NULL } } },
	{ COX_KIND_SIDECAR, NULL, { { NULL, NULL, NULL, NULL } } },
	{ COX_KIND_RATE_LIMIT_POLICY,
	  "rlp",
	  { { "Mode", ".spec.mode", "string", "Whether requests are refused." }, { "Age", NULL, NULL, NULL } } },
};

static const struct crd_extra *extra_of(const struct cox_kind_info *kind)
{
	static const struct crd_extra none = { 0 };
	for (size_t i = 0; i < COX_LEN(extras); i++)
		if (extras[i].kind == kind->kind)
			return &extras[i];
	return &none;
}

/* --- small helpers: trees are built by name --- */

static void put(struct cox_arena *a, struct cox_json *to, const char *key, const struct cox_json *value)
{
	cox_json_set(a, to, cox_str_of(key), value);
}
static void put_str(struct cox_arena *a, struct cox_json *to, const char *key, const char *value)
{
	put(a, to, key, cox_json_new_str(a, cox_str_of(value)));
}
static void put_text(struct cox_arena *a, struct cox_json *to, const char *key, struct cox_str value)
{
	put(a, to, key, cox_json_new_str(a, value));
}
static void put_bool(struct cox_arena *a, struct cox_json *to, const char *key) { put(a, to, key, cox_json_new_bool(a, true)); }
static void put_int(struct cox_arena *a, struct cox_json *to, const char *key, int64_t v) { put(a, to, key, cox_json_new_i64(a, v)); }

static struct cox_json *new_type(struct cox_arena *a, const char *type)
{
	struct cox_json *v = cox_json_new_object(a);
	put_str(a, v, "type", type);
	return v;
}

/* --- schema --- */

static struct cox_json *message_schema(struct cox_arena *a, const struct cox_message *m);

static void put_bounds(struct cox_arena *a, struct cox_json *to, const struct cox_field *f)
{
	if (f->min == 0 && f->max == 0)
		return;
	put(a, to, "minimum", cox_json_new_f64(a, f->min));
	put(a, to, "maximum", cox_json_new_f64(a, f->max));
}

static struct cox_json *enum_schema(struct cox_arena *a, const struct cox_field *f)
{
	struct cox_json *v = new_type(a, "string"), *names = cox_json_new_array(a);
	for (int i = 0; f->enums[i]; i++)
		if (f->enums[i][0])
			cox_json_push(a, names, cox_json_new_str(a, cox_str_of(f->enums[i])));
	put(a, v, "enum", names);
	return v;
}

static struct cox_json *integer_schema(struct cox_arena *a, const struct cox_field *f)
{
	struct cox_json *v = new_type(a, "integer");
	put_bounds(a, v, f);
	return v;
}

static void put_rules(struct cox_arena *a, struct cox_json *to, const struct cox_cel_rule *rules)
{
	if (!rules)
		return;
	struct cox_json *list = cox_json_new_array(a);
	for (; rules->rule; rules++) {
		struct cox_json *v = cox_json_new_object(a);
		put_str(a, v, "message", rules->text);
		put_str(a, v, "rule", rules->rule);
		cox_json_push(a, list, v);
	}
	put(a, to, "x-kubernetes-validations", list);
}

/* A text with the length and form that its format says, where that can be said. */
static struct cox_json *text_schema(struct cox_arena *a, const struct cox_field *f)
{
	static const struct {
		const char *format, *pattern;
	} patterns[] = { { "sha256", "^([a-f0-9]{64})?$" }, { "plainHeader", "^[-_A-Za-z0-9]+$" } };
	struct cox_json *v = new_type(a, "string");
	if (f->pattern && strcmp(f->pattern, "nonEmpty") == 0)
		put_int(a, v, "minLength", 1);
	for (size_t i = 0; f->pattern && i < COX_LEN(patterns); i++)
		if (strcmp(f->pattern, patterns[i].format) == 0)
			put_str(a, v, "pattern", patterns[i].pattern);
	if (f->max_len)
		put_int(a, v, "maxLength", f->max_len);
	return v;
}

static struct cox_json *map_schema(struct cox_arena *a, const struct cox_field *f, struct cox_json *of)
{
	struct cox_json *v = new_type(a, "object");
	put_rules(a, of, f->item_rules);
	put(a, v, "additionalProperties", of);
	if (f->max_items)
		put_int(a, v, "maxProperties", f->max_items);
	return v;
}

static const struct cox_cel_rule from_1ms[] = { { "duration('1ms') <= duration(self)", "must be at least 1ms" }, { NULL, NULL } };

/* One value, or one item of a list. */
static struct cox_json *value_schema(struct cox_arena *a, const struct cox_field *f)
{
	struct cox_json *v;
	switch (f->type) {
	case COX_F_STR:
	case COX_F_OPT_STR: return text_schema(a, f);
	case COX_F_BOOL:
	case COX_F_OPT_BOOL: return new_type(a, "boolean");
	case COX_F_I64: return integer_schema(a, f);
	case COX_F_F64:
		v = new_type(a, "number");
		put_bounds(a, v, f);
		return v;
	case COX_F_DURATION: /* as cox_duration_parse() takes them: a typing error is told by kubectl already */
		v = new_type(a, "string");
		put_str(a, v, "pattern", "^[+-]?(0|(([0-9]+(\\.[0-9]*)?|\\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$");
		if (f->min > 0)
			put_rules(a, v, from_1ms);
		return v;
	case COX_F_TIME:
	case COX_F_BYTES:
		v = new_type(a, "string");
		put_str(a, v, "format", f->type == COX_F_TIME ? "date-time" : "byte");
		return v;
	case COX_F_ENUM: return enum_schema(a, f);
	case COX_F_INT_OR_STR:
		v = cox_json_new_object(a);
		put_bool(a, v, "x-kubernetes-int-or-string");
		return v;
	case COX_F_RAW:
		v = f->pattern ? new_type(a, f->pattern) : cox_json_new_object(a); /* "object" is all that it can be held to */
		put_bool(a, v, "x-kubernetes-preserve-unknown-fields");
		return v;
	case COX_F_MSG: return message_schema(a, f->sub);
	case COX_F_STR_MAP: return map_schema(a, f, text_schema(a, f));
	case COX_F_MSG_MAP: return map_schema(a, f, message_schema(a, f->sub));
	case COX_F_I64_MAP: return map_schema(a, f, integer_schema(a, f));
	case COX_F_BYTES_MAP:
		v = new_type(a, "string");
		put_str(a, v, "format", "byte");
		return map_schema(a, f, v);
	}
	return new_type(a, "string");
}

static struct cox_str description(struct cox_arena *a, const struct cox_field *f)
{
	const char *doc = f->doc ? f->doc : "";
	if (f->flags & COX_F_NO_EFFECT)
		return cox_arena_printf(a, "%s Has no effect.", doc);
	if (f->flags & COX_F_DEPRECATED)
		return cox_arena_printf(a, "Deprecated. %s", doc);
	return cox_str_of(doc);
}

static void put_list_key(struct cox_arena *a, struct cox_json *list, const struct cox_field *f)
{
	if (!f->list_key)
		return;
	struct cox_json *keys = cox_json_new_array(a);
	cox_json_push(a, keys, cox_json_new_str(a, cox_str_of(f->list_key)));
	put(a, list, "x-kubernetes-list-map-keys", keys);
	put_str(a, list, "x-kubernetes-list-type", "map");
}

static struct cox_json *field_schema(struct cox_arena *a, const struct cox_field *f)
{
	struct cox_json *v = value_schema(a, f);
	if (f->flags & COX_F_LIST) {
		struct cox_json *list = new_type(a, "array");
		put_rules(a, v, f->item_rules);
		put(a, list, "items", v);
		if (f->max_items)
			put_int(a, list, "maxItems", f->max_items);
		put_list_key(a, list, f);
		v = list;
	}
	/* On a field its own words are better than those of the message it holds. */
	put_text(a, v, "description", description(a, f));
	put_rules(a, v, f->rules);
	return v;
}

static struct cox_json *alias_schema(struct cox_arena *a, const struct cox_field *f)
{
	struct cox_json *v = field_schema(a, f);
	put_text(a, v, "description", cox_arena_printf(a, "Another spelling of %s.", f->name));
	return v;
}

static struct cox_json *new_required(struct cox_arena *a, const char *one, const char *two)
{
	struct cox_json *v = cox_json_new_object(a), *names = cox_json_new_array(a);
	cox_json_push(a, names, cox_json_new_str(a, cox_str_of(one)));
	if (two)
		cox_json_push(a, names, cox_json_new_str(a, cox_str_of(two)));
	put(a, v, "required", names);
	return v;
}

/* Fields that exclude each other: no two may be there; of some groups one must. */
static void put_groups(struct cox_arena *a, struct cox_json *to, const struct cox_message *m)
{
	struct cox_json *pairs = cox_json_new_array(a), *any = cox_json_new_array(a), *no = cox_json_new_object(a);
	for (size_t i = 0; i < m->field_count; i++) {
		const struct cox_field *f = &m->fields[i];
		bool must = f->one_of_required;
		for (size_t k = 0; f->one_of && k < m->field_count; k++) {
			if (m->fields[k].one_of != f->one_of || k == i)
				continue;
			must = must || m->fields[k].one_of_required;
			if (k > i)
				cox_json_push(a, pairs, new_required(a, f->name, m->fields[k].name));
		}
		if (must)
			cox_json_push(a, any, new_required(a, f->name, NULL));
	}
	if (any->n)
		put(a, to, "anyOf", any);
	if (pairs->n) {
		put(a, no, "anyOf", pairs);
		put(a, to, "not", no);
	}
}

static struct cox_json *message_schema(struct cox_arena *a, const struct cox_message *m)
{
	struct cox_json *v = new_type(a, "object"), *properties = cox_json_new_object(a), *required = cox_json_new_array(a);
	for (size_t i = 0; i < m->field_count; i++) {
		const struct cox_field *f = &m->fields[i];
		put(a, properties, f->name, field_schema(a, f));
		if (f->alias)
			put(a, properties, f->alias, alias_schema(a, f));
		if (f->flags & COX_F_REQUIRED)
			cox_json_push(a, required, cox_json_new_str(a, cox_str_of(f->name)));
	}
	put_groups(a, v, m);
	put_rules(a, v, m->rules);
	if (m->doc && m->doc[0])
		put_str(a, v, "description", m->doc);
	if (properties->n)
		put(a, v, "properties", properties);
	if (required->n)
		put(a, v, "required", required);
	return v;
}

static struct cox_json *conditions_schema(struct cox_arena *a)
{
	static const struct {
		const char *name, *format, *doc;
	} members[] = {
		{ "lastProbeTime", "date-time", "When it was last looked at." },
		{ "lastTransitionTime", "date-time", "When it last changed." },
		{ "message", NULL, "Details for people." },
		{ "reason", NULL, "Why, in one word." },
		{ "status", NULL, "True, False or Unknown." },
		{ "type", NULL, "Which condition." },
	};
	struct cox_json *item = new_type(a, "object"), *properties = cox_json_new_object(a), *list = new_type(a, "array");
	for (size_t i = 0; i < COX_LEN(members); i++) {
		struct cox_json *v = new_type(a, "string");
		if (members[i].format)
			put_str(a, v, "format", members[i].format);
		put_str(a, v, "description", members[i].doc);
		put(a, properties, members[i].name, v);
	}
	struct cox_json *generation = cox_json_new_object(a);
	put_bool(a, generation, "x-kubernetes-int-or-string");
	put_str(a, generation, "description", "The generation that it is about.");
	put(a, properties, "observedGeneration", generation);
	put(a, item, "properties", properties);
	put_str(a, list, "description", "What is the case with the object.");
	put(a, list, "items", item);
	return list;
}

/* The same for all kinds, plus what the kind's own table has. Others may write more into it, so nothing is pruned. */
static struct cox_json *status_schema(struct cox_arena *a, const struct cox_message *object)
{
	struct cox_json *v = new_type(a, "object"), *properties = cox_json_new_object(a);
	for (size_t i = 0; i < object->field_count; i++)
		if (object->fields[i].flags & COX_F_OUTPUT)
			for (size_t k = 0; k < object->fields[i].sub->field_count; k++)
				put(a, properties, object->fields[i].sub->fields[k].name,
				    field_schema(a, &object->fields[i].sub->fields[k]));
	put(a, properties, "conditions", conditions_schema(a));
	struct cox_json *generation = cox_json_new_object(a), *messages = new_type(a, "array"), *message = new_type(a, "object");
	put_bool(a, generation, "x-kubernetes-int-or-string");
	put_str(a, generation, "description", "The generation that this state is about.");
	put(a, properties, "observedGeneration", generation);
	put_bool(a, message, "x-kubernetes-preserve-unknown-fields");
	put_str(a, messages, "description", "Findings of the analysis.");
	put(a, messages, "items", message);
	put(a, properties, "validationMessages", messages);
	put_str(a, v, "description", "State, written by controllers.");
	put(a, v, "properties", properties);
	put_bool(a, v, "x-kubernetes-preserve-unknown-fields");
	return v;
}

static struct cox_json *root_schema(struct cox_arena *a, const struct cox_kind_info *kind)
{
	struct cox_json *v = new_type(a, "object"), *properties = cox_json_new_object(a), *required = cox_json_new_array(a);
	put_str(a, v, "description", kind->message->doc);
	for (size_t i = 0; i < kind->message->field_count; i++) {
		const struct cox_field *f = &kind->message->fields[i];
		if (f->flags & COX_F_OUTPUT)
			continue;
		put(a, properties, f->name, field_schema(a, f));
		if (f->flags & COX_F_REQUIRED)
			cox_json_push(a, required, cox_json_new_str(a, cox_str_of(f->name)));
	}
	put(a, properties, "status", status_schema(a, kind->message));
	put(a, v, "properties", properties);
	if (required->n)
		put(a, v, "required", required);
	return v;
}

/* --- the definition around it --- */

static struct cox_json *columns(struct cox_arena *a, const struct crd_extra *extra)
{
	struct cox_json *list = cox_json_new_array(a);
	for (size_t i = 0; i < COX_LEN(extra->columns) && extra->columns[i].name; i++) {
		const struct column *c = &extra->columns[i];
		struct cox_json *v = cox_json_new_object(a);
		put_str(a, v, "name", c->name);
		put_str(a, v, "description", c->doc ? c->doc : "When it was created.");
		put_str(a, v, "jsonPath", c->path ? c->path : ".metadata.creationTimestamp");
		put_str(a, v, "type", c->type ? c->type : "date");
		cox_json_push(a, list, v);
	}
	return list;
}

static struct cox_json *versions(struct cox_arena *a, const struct cox_kind_info *kind)
{
	struct cox_json *list = cox_json_new_array(a);
	struct cox_str rest = kind->versions, name;
	while (cox_str_next(&rest, ',', &name)) {
		struct cox_json *v = cox_json_new_object(a), *schema = cox_json_new_object(a), *sub = cox_json_new_object(a);
		struct cox_json *shown = columns(a, extra_of(kind));
		if (shown->n)
			put(a, v, "additionalPrinterColumns", shown);
		put_text(a, v, "name", name);
		put(a, schema, "openAPIV3Schema", root_schema(a, kind));
		put(a, v, "schema", schema);
		put_bool(a, v, "served");
		put(a, v, "storage", cox_json_new_bool(a, list->n == 0));
		put(a, sub, "status", cox_json_new_object(a));
		put(a, v, "subresources", sub);
		cox_json_push(a, list, v);
	}
	return list;
}

static struct cox_json *names(struct cox_arena *a, const struct cox_kind_info *kind)
{
	struct cox_json *v = cox_json_new_object(a), *categories = cox_json_new_array(a);
	cox_json_push(a, categories, cox_json_new_str(a, COX_STR("istio-io")));
	/* "networking.istio.io" is the category "networking-istio-io". */
	char *category = cox_arena_alloc(a, kind->group.n + 1);
	for (size_t i = 0; i < kind->group.n; i++)
		category[i] = kind->group.p[i] == '.' ? '-' : kind->group.p[i];
	cox_json_push(a, categories, cox_json_new_str(a, cox_str_make(category, kind->group.n)));
	put(a, v, "categories", categories);
	put_text(a, v, "kind", kind->name);
	put_text(a, v, "listKind", cox_arena_concat(a, kind->name, COX_STR("List")));
	put_text(a, v, "plural", kind->plural);
	const char *short_name = extra_of(kind)->short_name;
	if (short_name) {
		struct cox_json *list = cox_json_new_array(a);
		cox_json_push(a, list, cox_json_new_str(a, cox_str_of(short_name)));
		put(a, v, "shortNames", list);
	}
	put_text(a, v, "singular", cox_arena_lower(a, kind->name));
	return v;
}

struct cox_json *cox_tool_crd_build(const struct cox_kind_info *kind, struct cox_arena *a)
{
	COX_ASSERT(kind->ours);
	struct cox_json *v = cox_json_new_object(a), *meta = cox_json_new_object(a), *spec = cox_json_new_object(a);
	struct cox_json *annotations = cox_json_new_object(a), *labels = cox_json_new_object(a);
	put_str(a, v, "apiVersion", "apiextensions.k8s.io/v1");
	put_str(a, v, "kind", "CustomResourceDefinition");
	/* Uninstalling a chart must not delete the users' objects. */
	put_str(a, annotations, "helm.sh/resource-policy", "keep");
	put_str(a, labels, "app", "istio-pilot");
	put_str(a, labels, "app.kubernetes.io/part-of", "coxswain");
	put_str(a, labels, "istio", "istiod");
	put(a, meta, "annotations", annotations);
	put(a, meta, "labels", labels);
	put_text(a, meta, "name", cox_arena_printf(a, "%.*s.%.*s", COX_FMT(kind->plural), COX_FMT(kind->group)));
	put(a, v, "metadata", meta);
	put_text(a, spec, "group", kind->group);
	put(a, spec, "names", names(a, kind));
	put_str(a, spec, "scope", kind->namespaced ? "Namespaced" : "Cluster");
	put(a, spec, "versions", versions(a, kind));
	put(a, v, "spec", spec);
	return v;
}

void cox_tool_crd_write(const struct cox_kind_info *kind, struct cox_buf *out)
{
	struct cox_arena arena COX_AUTO(cox_arena_fini) = { 0 };
	cox_buf_append_cstr(out, "# Made by `make crd` from the field tables in lib/model. Do not edit.\n");
	cox_json_write_yaml(out, cox_tool_crd_build(kind, &arena));
}

struct cox_str cox_tool_crd_file_name(const struct cox_kind_info *kind, struct cox_arena *arena)
{
	return cox_arena_printf(arena, "%.*s_%.*s.yaml", COX_FMT(kind->group), COX_FMT(kind->plural));
}

enum cox_rc cox_tool_crd_write_all(const char *dir, struct cox_err *err)
{
	for (int k = 0; k < COX_KIND_COUNT; k++) {
		const struct cox_kind_info *kind = cox_kind_info((enum cox_kind)k);
		if (!kind->ours)
			continue;
		struct cox_arena arena COX_AUTO(cox_arena_fini) = { 0 };
		struct cox_buf text COX_AUTO(cox_buf_fini) = { 0 };
		cox_tool_crd_write(kind, &text);
		struct cox_str name = cox_tool_crd_file_name(kind, &arena);
		COX_TRY(cox_file_write(cox_arena_printf(&arena, "%s/%.*s", dir, COX_FMT(name)).p, 0644, cox_buf_str(&text), err));
	}
	return COX_OK;
}
