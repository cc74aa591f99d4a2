/*
 * Templates of an injector's ConfigMap, in Istio's language (Go's text/template): parsed with the configuration, run for each pod over
 * Istio's data. What they print is YAML that is laid over the pod.
 */
#include "inject/go_types.h"
#include "inject/inject_priv.h"

#include "codec/yaml.h"
#include "model/proxy_config.h"

/* --- with the configuration ----------------------------------------------------------------------------------------- */

static enum cox_rc add_one(struct cox_inject_config *c, const struct cox_json_member *m, struct cox_err *err)
{
	struct inject_user_template *t = &c->templates[c->template_n];
	if (m->value.type != COX_JSON_STRING)
		return cox_err_set(err, COX_EINVAL, "templates", "template %.*s is not a text", COX_FMT(m->key));
	t->name = m->key;
	t->set = cox_template_set_new(COX_TEMPLATE_SPRIG, inject_template_funcs, inject_template_func_n);
	c->template_n++;
	enum cox_rc rc = cox_template_set_add(t->set, t->name, m->value.text, err);
	if (rc != COX_OK)
		cox_err_wrap(err, "ConfigMap istio-sidecar-injector, key config, template");
	return rc;
}

enum cox_rc inject_user_templates_build(struct cox_inject_config *c, const struct cox_json *templates, struct cox_err *err)
{
	if (!templates || templates->type == COX_JSON_NULL)
		return COX_OK;
	if (templates->type != COX_JSON_OBJECT)
		return cox_err_set(err, COX_EINVAL, "templates",
		                   "ConfigMap istio-sidecar-injector, key config: an object of texts by name is wanted");
	c->templates = COX_ARENA_ARRAY(&c->arena, struct inject_user_template, templates->n);
	for (size_t i = 0; i < templates->n; i++)
		COX_TRY(add_one(c, &templates->members[i], err));
	if (templates->n == 0)
		return COX_OK;
	/* What templates see of the mesh: Istio's defaults, and over them what is set. */
	struct cox_json *usual = NULL;
	enum cox_rc rc = cox_json_parse(&c->arena, cox_str_of(inject_mesh_defaults), &usual, err);
	if (rc != COX_OK)
		return rc;
	struct cox_json *all = cox_json_clone(&c->arena, usual);
	struct cox_json *config = cox_json_clone(&c->arena, cox_json_get(usual, COX_STR("defaultConfig")));
	for (size_t i = 0; i < c->mesh->n; i++)
		cox_json_set(&c->arena, all, c->mesh->members[i].key, &c->mesh->members[i].value);
	if (cox_json_get(c->mesh, COX_STR("defaultConfig")))
		cox_proxy_config_merge(config, cox_json_get(c->mesh, COX_STR("defaultConfig")), &c->arena);
	cox_json_set(&c->arena, all, COX_STR("defaultConfig"), config);
	c->mesh_defaults = usual;
	c->mesh_all = all;
	return COX_OK;
}

void inject_user_templates_free(struct cox_inject_config *c)
{
	for (size_t i = 0; i < c->template_n; i++)
		cox_template_set_free(&c->templates[i].set);
}

const struct inject_user_template *inject_user_template_find(const struct cox_inject_config *c, struct cox_str name)
{
	for (size_t i = 0; i < c->template_n; i++)
		if (cox_str_eq(c->templates[i].name, name))
			return &c->templates[i];
	return NULL;
}

/* --- Istio's data ------------------------------------------------------------------------------------------------------- */

static void set(struct inject_job *j, struct cox_template_value *map, const char *name, struct cox_template_value v)
{
	cox_template_map_set(j->arena, map, cox_str_of(name), v);
}

static void set_text(struct inject_job *j, struct cox_template_value *map, const char *name, struct cox_str v)
{
	set(j, map, name, cox_template_str(v));
}

/* hub/name:tag, the tag with the image's type. */
static struct cox_str image_url(struct inject_job *j, const char *named, struct cox_str type)
{
	static const char *const types[] = { "distroless", "debug" };
	struct cox_str name = inject_value(j, named), tag = inject_value(j, "global.tag"), own;
	bool is_set;
	if (type.n == 0)
		type = inject_value(j, "global.variant");
	own = inject_annotation(j, "sidecar.istio.io/proxyImageType", &is_set);
	if (is_set)
		type = own;
	for (size_t i = 0; type.n && i < COX_LEN(types); i++) {
		struct cox_str suffix = cox_arena_printf(j->arena, "-%s", types[i]);
		if (cox_str_has_suffix(tag, suffix)) {
			tag.n -= suffix.n;
			break;
		}
	}
	bool plain = type.n == 0 || cox_str_eq_cstr(type, "default");
	return cox_arena_printf(j->arena, "%.*s/%.*s:%.*s%s%.*s", COX_FMT(inject_value(j, "global.hub")),
	                        COX_FMT(name.n ? name : COX_STR("proxyv2")), COX_FMT(tag), plain ? "" : "-",
	                        COX_FMT(plain ? COX_STR("") : type));
}

static struct cox_json *proxy_config(struct inject_job *j)
{
	struct cox_json *v = cox_json_clone(j->arena, cox_json_get(j->c->mesh_defaults, COX_STR("defaultConfig")));
	cox_proxy_config_merge(v, j->proxy_config, j->arena);
	return v;
}

static struct cox_json *type_meta(struct inject_job *j)
{
	struct cox_json *v = cox_json_new_object(j->arena);
	inject_set_str(j, v, COX_STR("kind"), j->owner_kind);
	inject_set_str(j, v, COX_STR("apiVersion"), j->owner_api_version);
	return v;
}

static struct cox_json *object_meta(struct inject_job *j)
{
	struct cox_json *v = cox_json_clone(j->arena, j->meta);
	if (j->r->ns.n)
		inject_set_str(j, v, COX_STR("namespace"), j->r->ns);
	return v;
}

static struct cox_template_value data_of(struct inject_job *j)
{
	struct cox_template_value v = cox_template_map_new(j->arena, false), owner = cox_template_map_new(j->arena, false);
	struct cox_json *config = proxy_config(j);
	set_text(j, &owner, "Name", j->owner_name);
	set_text(j, &owner, "Namespace", j->r->ns);
	set(j, &v, "DeploymentMeta", owner);
	set(j, &v, "TypeMeta", inject_go_view(inject_go_type_meta, type_meta(j), false));
	set(j, &v, "ObjectMeta", inject_go_view(inject_go_object_meta, object_meta(j), false));
	set(j, &v, "Spec", inject_go_view(inject_go_pod_spec, j->spec, false));
	set(j, &v, "ProxyConfig", inject_go_view(inject_go_proxy_config, config, true));
	set(j, &v, "MeshConfig", inject_go_view(inject_go_mesh_config, j->c->mesh_all, true));
	set(j, &v, "Values", cox_template_of_json(j->arena, j->c->values));
	set_text(j, &v, "Revision", j->c->revision.n ? j->c->revision : COX_STR("default"));
	set(j, &v, "NativeSidecars", cox_template_bool(j->r->native_sidecars));
	set_text(j, &v, "ProxyImage", image_url(j, "global.proxy.image", cox_json_str_at(config, "image.imageType")));
	set_text(j, &v, "ProxyInitImage", image_url(j, "global.proxy_init.image", COX_STR("")));
	set(j, &v, "ProxyUID", cox_template_int(j->uid));
	set(j, &v, "ProxyGID", cox_template_int(j->gid));
	bool local = cox_str_eq_cstr(cox_json_str_at(j->c->mesh_all, "inboundTrafficPolicy.mode"), "LOCALHOST");
	set_text(j, &v, "InboundTrafficPolicyMode", local ? COX_STR("localhost") : COX_STR("passthrough"));
	set_text(j, &v, "CompliancePolicy", j->c->env ? j->c->env(COX_STR("COMPLIANCE_POLICY")) : COX_STR(""));
	return v;
}

/* A name that the data does not have is a mistake of the template's, as in Go, where the data is a struct. */
static enum cox_rc data_get(struct cox_template_call *call, const struct cox_template_value *v, struct cox_str name,
                            const struct cox_template_value *args, size_t n, struct cox_template_value *out)
{
	const struct cox_template_value *found = cox_template_map_get(v->object.p, name);
	(void)args, (void)n;
	if (!found)
		return cox_template_fail(call, "can't evaluate field %.*s in type inject.SidecarTemplateData", COX_FMT(name));
	*out = *found;
	return COX_OK;
}
static const struct cox_template_type data_type = { .name = "inject.SidecarTemplateData", .get = data_get };

/* --- for each pod --------------------------------------------------------------------------------------------------------- */

/* Directives of a strategic merge that merge.c does not know would be taken for members. */
static enum cox_rc check_directives(struct inject_job *j, struct cox_str name, const struct cox_json *v)
{
	for (size_t i = 0; (v->type == COX_JSON_OBJECT || v->type == COX_JSON_ARRAY) && i < v->n; i++) {
		struct cox_str key = v->type == COX_JSON_OBJECT ? v->members[i].key : (struct cox_str){ 0 };
		if (key.n && key.p[0] == '$' && !cox_str_eq_cstr(key, "$patch"))
			return cox_err_set(j->err, COX_EINVAL, "templates", "template %.*s: the merge directive %.*s is not supported",
			                   COX_FMT(name), COX_FMT(key));
		COX_TRY(check_directives(j, name, v->type == COX_JSON_OBJECT ? &v->members[i].value : &v->items[i]));
	}
	return COX_OK;
}

enum cox_rc inject_user_template_run(struct inject_job *j, const struct inject_user_template *t, struct cox_json **out)
{
	struct cox_template_value data = data_of(j), dot = { .kind = COX_TEMPLATE_OBJECT, .type = &data_type };
	struct cox_buf text = { 0 };
	struct cox_json *root = NULL;
	dot.object.p = &data;
	enum cox_rc rc = cox_template_run(&(struct cox_template_run_spec){ .set = t->set, .name = t->name, .dot = &dot, .ctx = j },
	                                  j->arena, &text, j->err);
	if (rc == COX_OK) {
		rc = cox_yaml_one(j->arena, cox_arena_str(j->arena, cox_buf_str(&text)), COX_JSON_BYTES_MAX, &root, NULL, j->err);
		if (rc == COX_OK && root && root->type != COX_JSON_OBJECT)
			rc = cox_err_set(j->err, COX_EINVAL, NULL, "not an object");
		if (rc != COX_OK)
			cox_err_wrap(j->err, "what template %.*s made", COX_FMT(t->name));
	} else {
		cox_err_wrap(j->err, "template %.*s", COX_FMT(t->name));
	}
	cox_buf_fini(&text);
	if (rc == COX_OK && root)
		rc = check_directives(j, t->name, root);
	*out = root ? root : cox_json_new_object(j->arena);
	return rc == COX_ELIMIT ? COX_EINVAL : rc;
}
