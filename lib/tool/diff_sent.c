/* diff_sent.c - what a live server sent to a proxy, as sets: what this program makes of the same objects is held against it. */
#include "tool/diff_priv.h"

#include "envoy/transcode.h"
#include "tool/fetch.h"

/* One section of a config dump. Secrets are redacted in it, and so left out on both sides. */
static const struct section {
	enum cox_type type;
	const char *list, *member, *name;
} sections[] = {
	{ COX_TYPE_CDS, "dynamic_active_clusters", "cluster", "name" },
	{ COX_TYPE_LDS, "dynamic_listeners", "active_state.listener", "name" },
	{ COX_TYPE_RDS, "dynamic_route_configs", "route_config", "name" },
	{ COX_TYPE_EDS, "dynamic_endpoint_configs", "endpoint_config", "cluster_name" },
};
typedef COX_VEC(const struct cox_resource *) list;

/* Both sides are encoded by the same hand, so that equal trees are equal bytes. */
static const struct cox_resource *resource_of(enum cox_type type, struct cox_str name, const struct cox_json *tree)
{
	struct cox_str url = cox_type_url(type), prefix = COX_STR("type.googleapis.com/");
	const struct cox_envoy_message *m = cox_envoy_message_find(cox_str_sub(url, prefix.n, SIZE_MAX));
	struct cox_buf wire = { 0 };
	struct cox_arena a = { 0 };
	struct cox_json bare = *tree; /* without "@type": the message is known */
	bare.members = COX_ARENA_ARRAY(&a, struct cox_json_member, tree->n + 1);
	bare.n = 0;
	for (size_t i = 0; i < tree->n; i++)
		if (!cox_str_eq_cstr(tree->members[i].key, "@type"))
			bare.members[bare.n++] = tree->members[i];
	enum cox_rc rc = cox_envoy_from_json(m, &bare, COX_TRANSCODE_IGNORE_UNKNOWN, &wire, NULL);
	const struct cox_resource *r =
	    rc == COX_OK ? cox_resource_new(type, name, cox_buf_str(&wire), (struct cox_str){ 0 }, (struct cox_str){ 0 }) : NULL;
	cox_buf_fini(&wire);
	cox_arena_fini(&a);
	return r;
}

static void section_read(const struct section *s, const struct cox_json *dump, list *out)
{
	const struct cox_json *configs = cox_json_get(dump, COX_STR("configs"));
	for (size_t i = 0; configs && i < configs->n; i++) {
		const struct cox_json *items = cox_json_get(&configs->items[i], cox_str_of(s->list));
		for (size_t k = 0; items && k < items->n; k++) {
			const struct cox_json *tree = cox_json_at(&items->items[k], s->member);
			const struct cox_resource *r = tree ? resource_of(s->type, cox_json_str_at(tree, s->name), tree) : NULL;
			if (r)
				cox_vec_push(out, r);
		}
	}
}

enum cox_rc diff_sent_read(const char *server, struct cox_str proxy, struct cox_arena *a, struct cox_rendered *out, struct cox_err *err)
{
	struct cox_json *dump = NULL;
	COX_TRY(cox_tool_fetch_dump(server, proxy, a, &dump, err));
	const struct cox_json *vhosts = cox_json_get(dump, COX_STR("configs"));
	for (size_t i = 0; vhosts && i < vhosts->n; i++)
		if (cox_json_get(&vhosts->items[i], COX_STR("dynamic_virtual_hosts")))
			diff_sent_vhosts_fold(a, dump, &vhosts->items[i]);
	for (size_t i = 0; i < COX_LEN(sections); i++) {
		list l = { 0 };
		section_read(&sections[i], dump, &l);
		out->sets[sections[i].type] = cox_set_build_take(sections[i].type, l.p, l.n);
		cox_vec_fini(&l);
	}
	return COX_OK;
}

/* A proxy asks for some route configurations and endpoints only: what it was not sent it does not miss. */
static bool is_asked_for(enum cox_type type, const struct cox_rendered *sent, struct cox_str name)
{
	return (type != COX_TYPE_RDS && type != COX_TYPE_EDS) || cox_set_find(sent->sets[type], name) != NULL;
}

void diff_sent_align(const struct cox_rendered *sent, struct cox_rendered *made)
{
	struct cox_rendered out = { 0 };
	for (size_t i = 0; i < COX_LEN(sections); i++) {
		enum cox_type type = sections[i].type;
		list l = { 0 };
		for (size_t k = 0; k < made->sets[type]->n; k++) {
			const struct cox_resource *r = made->sets[type]->items[k], *same = NULL;
			struct cox_arena a = { 0 };
			struct cox_buf flat = { 0 };
			struct cox_json *tree = NULL;
			cox_resource_flatten(r, &flat);
			if (is_asked_for(type, sent, r->name) &&
			    cox_envoy_any_to_json(cox_type_url(type), cox_buf_str(&flat), COX_TRANSCODE_KEEP_OPAQUE, &a, &tree, NULL) ==
			        COX_OK)
				same = resource_of(type, r->name, tree);
			if (same)
				cox_vec_push(&l, same);
			cox_buf_fini(&flat);
			cox_arena_fini(&a);
		}
		out.sets[type] = cox_set_build_take(type, l.p, l.n);
		cox_vec_fini(&l);
	}
	cox_rendered_fini(made);
	*made = out;
}

/* --- virtual hosts on demand ------------------------------------------------------------------------ */

static struct cox_json *route_find(const struct cox_json *dump, struct cox_str name)
{
	const struct cox_json *configs = cox_json_get(dump, COX_STR("configs"));
	for (size_t i = 0; i < configs->n; i++) {
		const struct cox_json *items = cox_json_get(&configs->items[i], COX_STR("dynamic_route_configs"));
		for (size_t k = 0; items && k < items->n; k++) {
			const struct cox_json *rc = cox_json_get(&items->items[k], COX_STR("route_config"));
			if (cox_str_eq(cox_json_str_at(rc, "name"), name))
				return (struct cox_json *)(uintptr_t)rc;
		}
	}
	return NULL;
}

/* "80/web:80" belongs to "80", where it is called "web:80"; a route configuration that asks for them says so in `vhds`. */
void diff_sent_vhosts_fold(struct cox_arena *a, struct cox_json *dump, const struct cox_json *section)
{
	const struct cox_json *items = cox_json_get(section, COX_STR("dynamic_virtual_hosts"));
	for (size_t i = 0; items && i < items->n; i++) {
		const struct cox_json *v = cox_json_get(&items->items[i], COX_STR("virtual_host"));
		struct cox_str name = cox_json_str_at(v, "name");
		ptrdiff_t slash = cox_str_find(name, '/');
		struct cox_json *rc = slash > 0 ? route_find(dump, cox_str_sub(name, 0, (size_t)slash)) : NULL;
		if (rc == NULL)
			continue;
		struct cox_json *own = cox_json_clone(a, v);
		cox_json_set(a, own, COX_STR("name"), cox_json_new_str(a, cox_str_sub(name, (size_t)slash + 1, SIZE_MAX)));
		struct cox_json *vhosts = (struct cox_json *)(uintptr_t)cox_json_get(rc, COX_STR("virtual_hosts"));
		if (vhosts == NULL)
			vhosts = cox_json_set(a, rc, COX_STR("virtual_hosts"), cox_json_new_array(a));
		cox_json_push(a, vhosts, own);
		cox_json_set(a, rc, COX_STR("vhds"), &(struct cox_json){ .type = COX_JSON_NULL }); /* null counts as unset */
	}
}
