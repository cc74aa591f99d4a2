/* The injector's configuration from its ConfigMaps' texts. */
#include "inject/inject_priv.h"

#include "codec/yaml.h"

/* --- key `config`, as a table ----------------------------------------------------------------------------- */

struct settings {
	struct cox_str policy;
	COX_LIST(struct cox_str) default_templates;
	struct cox_str aliases, templates;
	COX_LIST(struct cox_label_selector) never, always;
	COX_LIST(struct cox_kv) annotations;
};

#define ROW(of, member, json, ftype, ...)                                                               \
	{                                                                                               \
		.name = json, .type = COX_F_##ftype, .offset = offsetof(struct of, member), __VA_ARGS__ \
	}

static const struct cox_field settings_fields[] = {
	ROW(settings, policy, "policy", STR),
	ROW(settings, default_templates, "defaultTemplates", STR, .flags = COX_F_LIST),
	ROW(settings, aliases, "aliases", RAW),
	ROW(settings, templates, "templates", RAW),
	ROW(settings, never, "neverInjectSelector", MSG, .flags = COX_F_LIST, .sub = &cox_msg_label_selector),
	ROW(settings, always, "alwaysInjectSelector", MSG, .flags = COX_F_LIST, .sub = &cox_msg_label_selector),
	ROW(settings, annotations, "injectedAnnotations", STR_MAP),
};
static const struct cox_message settings_message = {
	.name = "InjectorConfig", .size_bytes = sizeof(struct settings), .fields = settings_fields, .field_count = COX_LEN(settings_fields)
};

/* --- reading ------------------------------------------------------------------------------------------------ */

/* An object; an empty one for an empty text. */
static enum cox_rc read_object(struct cox_arena *arena, struct cox_str text, const char *what, const struct cox_json **out,
                               struct cox_err *err)
{
	struct cox_json *root = NULL;
	enum cox_rc rc = cox_yaml_one(arena, cox_arena_str(arena, text), COX_JSON_BYTES_MAX, &root, NULL, err);
	if (rc == COX_OK && root && root->type != COX_JSON_OBJECT)
		rc = cox_err_set(err, COX_EINVAL, NULL, "not an object");
	if (rc != COX_OK) {
		cox_err_wrap(err, "%s", what);
		return rc;
	}
	*out = root ? root : cox_json_new_object(arena);
	return COX_OK;
}

static enum cox_rc take_settings(struct cox_inject_config *c, const struct cox_json *doc, struct cox_diags *diags, struct cox_err *err)
{
	size_t errors = diags->errors;
	const struct settings *s = cox_message_decode(&settings_message, doc, "", &c->arena, diags);
	if (!s || diags->errors != errors)
		return cox_err_set(err, COX_EINVAL, NULL, "ConfigMap istio-sidecar-injector, key config: %s",
		                   diags->n ? diags->items[diags->n - 1].text.p : "not an object");
	c->enabled = s->policy.n == 0 || cox_str_eq_cstr(s->policy, "enabled");
	if (s->policy.n && !c->enabled && !cox_str_eq_cstr(s->policy, "disabled"))
		return cox_err_set(err, COX_EINVAL, "policy", "ConfigMap istio-sidecar-injector: policy \"%.*s\": enabled or disabled",
		                   COX_FMT(s->policy));
	c->never.p = s->never.p, c->never.n = s->never.n;
	c->always.p = s->always.p, c->always.n = s->always.n;
	c->annotations.p = s->annotations.p, c->annotations.n = s->annotations.n;
	c->default_templates.p = s->default_templates.p, c->default_templates.n = s->default_templates.n;
	c->aliases = cox_json_get(doc, COX_STR("aliases"));
	return inject_user_templates_build(c, cox_json_get(doc, COX_STR("templates")), err);
}

enum cox_rc cox_inject_config_build(const struct cox_inject_sources *from, struct cox_diags *diags, struct cox_inject_config **out,
                                    struct cox_err *err)
{
	struct cox_inject_config *c = COX_NEW(struct cox_inject_config);
	cox_ref_init(&c->ref);
	c->revision = cox_arena_str(&c->arena, from->revision);
	c->env = from->env;
	const struct cox_json *settings = NULL;
	enum cox_rc rc = read_object(&c->arena, from->config, "ConfigMap istio-sidecar-injector, key config", &settings, err);
	if (rc == COX_OK)
		rc = read_object(&c->arena, from->values, "ConfigMap istio-sidecar-injector, key values", &c->values, err);
	if (rc == COX_OK)
		rc = read_object(&c->arena, from->mesh, "ConfigMap istio, key mesh", &c->mesh, err);
	if (rc == COX_OK)
		rc = take_settings(c, settings, diags, err);
	if (rc != COX_OK) {
		cox_inject_config_unref(c);
		return rc;
	}
	inject_ids_build(c, from->namespaces, from->namespace_n);
	c->default_config = inject_json_text(&c->arena, cox_json_get(c->mesh, COX_STR("defaultConfig")));
	c->root_ns = cox_json_str_at(c->mesh, "rootNamespace");
	if (c->root_ns.n == 0)
		c->root_ns = COX_STR("istio-system");
	c->proxy_configs = COX_ARENA_ARRAY(&c->arena, const struct cox_object *, from->proxy_config_n);
	for (size_t i = 0; i < from->proxy_config_n; i++)
		c->proxy_configs[c->proxy_config_n++] = cox_object_ref(from->proxy_configs[i]);
	*out = c;
	return COX_OK;
}

const struct cox_inject_config *cox_inject_config_ref(const struct cox_inject_config *c)
{
	cox_ref_get(&((struct cox_inject_config *)c)->ref);
	return c;
}

void cox_inject_config_unref(const struct cox_inject_config *c)
{
	struct cox_inject_config *mine = (struct cox_inject_config *)c;
	if (!mine || !cox_ref_put(&mine->ref))
		return;
	for (size_t i = 0; i < mine->proxy_config_n; i++)
		cox_object_unref(mine->proxy_configs[i]);
	inject_user_templates_free(mine);
	cox_arena_fini(&mine->arena);
	cox_free(mine);
}
