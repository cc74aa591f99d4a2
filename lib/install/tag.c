#include "install/tag.h"

#include <stdlib.h>

#define REVISION COX_STR("istio.io/rev")
#define TAG COX_STR("istio.io/tag")

static const struct cox_cluster_kind mutating = { COX_STR_INIT("admissionregistration.k8s.io"), COX_STR_INIT("v1"),
	                                          COX_STR_INIT("mutatingwebhookconfigurations"),
	                                          COX_STR_INIT("MutatingWebhookConfiguration"), true };
static const struct cox_cluster_kind services = { COX_STR_INIT(""), COX_STR_INIT("v1"), COX_STR_INIT("services"), COX_STR_INIT("Service"),
	                                          false };
static const struct cox_cluster_kind namespaces = { COX_STR_INIT(""), COX_STR_INIT("v1"), COX_STR_INIT("namespaces"),
	                                            COX_STR_INIT("Namespace"), true };

static struct cox_str label_of(const struct cox_json *object, struct cox_str key)
{
	const struct cox_json *v = cox_json_get(cox_json_at(object, "metadata.labels"), key);
	return v && v->type == COX_JSON_STRING ? v->text : (struct cox_str){ 0 };
}

/* The injector's webhooks of a revision, or of a tag. */
static enum cox_rc find_hooks(struct cox_cluster *c, struct cox_str selector, struct cox_arena *a, struct cox_json **out,
                              struct cox_err *err)
{
	return cox_cluster_list(c, &mutating, COX_STR(""), selector, COX_STR(""), a, out, err);
}

/* --- making one ------------------------------------------------------------------------------------------------------- */

/* The objects of the chart that bear the tag. */
static enum cox_rc render(const struct cox_charts *charts, const struct cox_tag_spec *s, struct cox_arena *a, struct cox_json *to,
                          struct cox_err *err)
{
	const struct cox_json *values = NULL;
	struct cox_json *objects, *top = cox_json_new_object(a), *tags = cox_json_new_array(a), *hook = cox_json_new_object(a),
	                          *global = cox_json_new_object(a);
	bool is_default = cox_str_eq(s->revision, COX_STR("default"));
	cox_json_push(a, tags, cox_json_new_str(a, s->tag));
	cox_json_set(a, top, COX_STR("revisionTags"), tags);
	cox_json_set(a, top, COX_STR("revision"), cox_json_new_str(a, is_default ? COX_STR("") : s->revision));
	cox_json_set(a, hook, COX_STR("enableNamespacesByDefault"), cox_json_new_bool(a, s->auto_inject));
	cox_json_set(a, top, COX_STR("sidecarInjectorWebhook"), hook);
	cox_json_set(a, global, COX_STR("istioNamespace"), cox_json_new_str(a, s->ns));
	cox_json_set(a, top, COX_STR("global"), global);
	if (cox_str_eq(s->tag, COX_STR("default")))
		cox_json_set(a, top, COX_STR("defaultRevision"), cox_json_new_str(a, s->revision));
	values = top;
	COX_TRY(
	    cox_chart_render(charts, &(struct cox_chart_release){ COX_STR("istiod"), COX_STR("istiod"), s->ns, values }, a, &objects, err));
	for (size_t i = 0; i < objects->n; i++)
		if (cox_str_eq(label_of(&objects->items[i], TAG), s->tag))
			cox_json_push(a, to, &objects->items[i]);
	if (!cox_str_eq(s->tag, COX_STR("default")))
		return COX_OK;
	COX_TRY(cox_chart_render(charts, &(struct cox_chart_release){ COX_STR("base"), COX_STR("istio-base"), s->ns, values }, a, &objects,
	                         err));
	for (size_t i = 0; i < objects->n; i++)
		if (cox_str_eq_cstr(cox_json_str_at(&objects->items[i], "metadata.name"), "istiod-default-validator"))
			cox_json_push(a, to, &objects->items[i]);
	return COX_OK;
}

/* As the revision's webhooks are reached: its Service or URL, its certificate authority. */
static struct cox_json *like_live(struct cox_arena *a, const struct cox_json *object, const struct cox_json *live,
                                  const struct cox_tag_spec *s)
{
	struct cox_json *copy = cox_json_clone(a, object);
	const struct cox_json *first = cox_json_at(live, "webhooks"),
	                      *config = first && first->type == COX_JSON_ARRAY && first->n
	                                    ? cox_json_get(&first->items[0], COX_STR("clientConfig"))
	                                    : NULL;
	if (!cox_str_eq(cox_json_str_at(object, "kind"), mutating.kind))
		return copy;
	struct cox_json *hooks = cox_json_clone(a, cox_json_get(object, COX_STR("webhooks")));
	for (size_t i = 0; config && i < hooks->n; i++)
		cox_json_set(a, &hooks->items[i], COX_STR("clientConfig"), config);
	cox_json_set(a, copy, COX_STR("webhooks"), hooks);
	if (s->webhook_name.n) {
		struct cox_json *meta = cox_json_clone(a, cox_json_get(object, COX_STR("metadata")));
		cox_json_set(a, meta, COX_STR("name"), cox_json_new_str(a, s->webhook_name));
		cox_json_set(a, copy, COX_STR("metadata"), meta);
	}
	return copy;
}

static enum cox_rc check(struct cox_cluster *c, const struct cox_tag_spec *s, struct cox_arena *a, const struct cox_json **live,
                         struct cox_err *err)
{
	struct cox_json *found = NULL;
	if (!s->tag.n || !s->revision.n)
		return cox_err_set(err, COX_EINVAL, NULL, "a tag needs a name and a revision");
	COX_TRY(find_hooks(c, cox_arena_printf(a, "istio.io/rev=%.*s,!istio.io/tag", COX_FMT(s->revision)), a, &found, err));
	if (found->n == 0)
		return cox_err_set(err, COX_ENOTFOUND, NULL,
		                   "cannot modify tag: cannot find MutatingWebhookConfiguration with revision \"%.*s\"",
		                   COX_FMT(s->revision));
	*live = &found->items[0];
	COX_TRY(find_hooks(c, cox_arena_printf(a, "istio.io/tag=%.*s", COX_FMT(s->tag)), a, &found, err));
	if (found->n && !s->overwrite)
		return cox_err_set(err, COX_EEXIST, NULL, "revision tag \"%.*s\" already exists, and --overwrite is not given",
		                   COX_FMT(s->tag));
	if (cox_str_eq(s->tag, COX_STR("default")))
		return COX_OK;
	COX_TRY(find_hooks(c, cox_arena_printf(a, "istio.io/rev=%.*s,!istio.io/tag", COX_FMT(s->tag)), a, &found, err));
	return found->n ? cox_err_set(err, COX_EEXIST, NULL,
	                              "cannot create revision tag \"%.*s\": found existing control plane revision with the same name",
	                              COX_FMT(s->tag))
	                : COX_OK;
}

enum cox_rc cox_tag_generate(struct cox_cluster *c, const struct cox_charts *charts, const struct cox_tag_spec *spec,
                             struct cox_arena *arena, struct cox_json **out, struct cox_err *err)
{
	const struct cox_json *live = NULL;
	struct cox_json *made = cox_json_new_array(arena), *all = cox_json_new_array(arena);
	COX_TRY(check(c, spec, arena, &live, err));
	COX_TRY(render(charts, spec, arena, made, err));
	for (size_t i = 0; i < made->n; i++)
		cox_json_push(arena, all, like_live(arena, &made->items[i], live, spec));
	*out = all;
	return COX_OK;
}

enum cox_rc cox_tag_set(struct cox_cluster *c, const struct cox_charts *charts, const struct cox_tag_spec *spec, struct cox_err *err)
{
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	struct cox_json *objects;
	COX_TRY(cox_tag_generate(c, charts, spec, &arena, &objects, err));
	for (size_t i = 0; i < objects->n; i++)
		COX_TRY(cox_cluster_apply(c, &objects->items[i], &(struct cox_cluster_write){ 0 }, &arena, NULL, err));
	return COX_OK;
}

/* --- looking ------------------------------------------------------------------------------------------------------------ */

static struct cox_json *users_of(struct cox_arena *a, const struct cox_json *all, struct cox_str tag)
{
	struct cox_json *out = cox_json_new_array(a);
	bool is_default = cox_str_eq(tag, COX_STR("default"));
	for (size_t i = 0; i < all->n; i++)
		if (cox_str_eq(label_of(&all->items[i], REVISION), tag) ||
		    (is_default && cox_str_eq_cstr(label_of(&all->items[i], COX_STR("istio-injection")), "enabled")))
			cox_json_push(a, out, cox_json_new_str(a, cox_json_str_at(&all->items[i], "metadata.name")));
	return out;
}

static int by_tag(const void *a, const void *b) { return cox_str_cmp(cox_json_str_at(a, "tag"), cox_json_str_at(b, "tag")); }

enum cox_rc cox_tag_list(struct cox_cluster *c, struct cox_arena *arena, struct cox_json **out, struct cox_err *err)
{
	struct cox_json *found = NULL, *spaces = NULL, *list = cox_json_new_array(arena);
	COX_TRY(find_hooks(c, COX_STR("istio.io/tag"), arena, &found, err));
	COX_TRY(cox_cluster_list(c, &namespaces, COX_STR(""), COX_STR(""), COX_STR(""), arena, &spaces, err));
	for (size_t i = 0; i < found->n; i++) {
		struct cox_json *row = cox_json_new_object(arena);
		struct cox_str tag = label_of(&found->items[i], TAG);
		cox_json_set(arena, row, COX_STR("tag"), cox_json_new_str(arena, tag));
		cox_json_set(arena, row, COX_STR("revision"), cox_json_new_str(arena, label_of(&found->items[i], REVISION)));
		cox_json_set(arena, row, COX_STR("namespaces"), users_of(arena, spaces, tag));
		cox_json_push(arena, list, row);
	}
	if (list->n)
		qsort(list->items, list->n, sizeof(*list->items), by_tag);
	*out = list;
	return COX_OK;
}

/* --- taking away ---------------------------------------------------------------------------------------------------------- */

enum cox_rc cox_tag_remove(struct cox_cluster *c, struct cox_str tag, struct cox_err *err)
{
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	const struct cox_cluster_kind *const kinds[] = { &mutating, &services };
	struct cox_json *found = NULL;
	size_t n = 0;
	for (size_t k = 0; k < COX_LEN(kinds); k++) {
		COX_TRY(cox_cluster_list(c, kinds[k], COX_STR(""), cox_arena_printf(&arena, "istio.io/tag=%.*s", COX_FMT(tag)), COX_STR(""),
		                         &arena, &found, err));
		for (size_t i = 0; i < found->n; i++, n++) {
			enum cox_rc rc = cox_cluster_delete(c, kinds[k], cox_json_str_at(&found->items[i], "metadata.namespace"),
			                                    cox_json_str_at(&found->items[i], "metadata.name"), NULL, err);
			if (rc != COX_OK && rc != COX_ENOTFOUND)
				return rc;
		}
	}
	return n ? COX_OK : cox_err_set(err, COX_ENOTFOUND, NULL, "cannot remove tag \"%.*s\": there is none", COX_FMT(tag));
}
