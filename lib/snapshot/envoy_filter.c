/* One EnvoyFilter made ready: values in the transcoder's form, names as they are today, which clusters it names. One block and an arena. */
#include "snapshot/snapshot_priv.h"

#include "model/version_regex.h"

struct ready {                              /* behind a cox_ready_filter */
	struct cox_ready_filter filter;     /* first */
	struct cox_version_regex **regexes; /* by patch; NULL: none */
	struct cox_arena arena;
};

/* --- clusters in a value --------------------------------------------------------------------------- */

typedef COX_VEC(struct cox_str) names;

static void add_name(names *out, struct cox_str name)
{
	for (size_t i = 0; i < out->n; i++)
		if (cox_str_eq(out->p[i], name))
			return;
	cox_vec_push(out, name);
}

/* "outbound|80||host" somewhere in a text, such as a script: up to what cannot be part of a name. */
static void names_in_text(names *out, struct cox_str text)
{
	ptrdiff_t at;
	while ((at = cox_str_search(text, COX_STR("outbound|"))) >= 0) {
		size_t n = 0;
		text = cox_str_sub(text, (size_t)at, text.n);
		while (n < text.n && text.p[n] > ' ' && !memchr("\"'`,;)]}", text.p[n], 8))
			n++;
		add_name(out, cox_str_sub(text, 0, n));
		text = cox_str_sub(text, n, text.n);
	}
}

static bool is_cluster_key(struct cox_str key) { return cox_str_eq_cstr(key, "cluster") || cox_str_eq_cstr(key, "cluster_name"); }

static void names_in(names *out, const struct cox_json *v)
{
	if (v->type == COX_JSON_STRING)
		names_in_text(out, v->text);
	for (size_t i = 0; v->type == COX_JSON_ARRAY && i < v->n; i++)
		names_in(out, &v->items[i]);
	for (size_t i = 0; v->type == COX_JSON_OBJECT && i < v->n; i++) {
		const struct cox_json_member *m = &v->members[i];
		if (m->value.type == COX_JSON_STRING && m->value.text.n && is_cluster_key(m->key))
			add_name(out, m->value.text);
		else
			names_in(out, &m->value);
	}
}

/* --- patches ------------------------------------------------------------------------------------------ */

/* What an operation comes to where the objects have no order. */
static int op_of(const struct cox_config_patch *p)
{
	int op = p->patch->operation;
	bool is_insert = op == COX_OP_INSERT_BEFORE || op == COX_OP_INSERT_AFTER || op == COX_OP_INSERT_FIRST;
	bool has_order = p->apply_to == COX_APPLY_HTTP_FILTER || p->apply_to == COX_APPLY_NETWORK_FILTER ||
	                 p->apply_to == COX_APPLY_HTTP_ROUTE || p->apply_to == COX_APPLY_LISTENER_FILTER;
	return is_insert && !has_order ? COX_OP_ADD : op;
}

/* Other patches of the object, its age and priority do not count: the order stands in the plan. */
static struct cox_hash hash_of(const struct cox_object *o, const struct cox_config_patch *spec, size_t at)
{
	struct cox_hash place = cox_hash_combine(cox_hash128(o->id.p, o->id.n), (struct cox_hash){ at, 0 });
	return cox_hash_combine(cox_config_patch_hash(spec), place);
}

static void set_names(struct cox_ready_patch *p)
{
	const struct cox_patch_listener *l = p->spec->match ? p->spec->match->listener : NULL;
	const struct cox_patch_filter *f = l && l->filter_chain ? l->filter_chain->filter : NULL;
	if (!f)
		return;
	p->filter = cox_filter_canonical_name(f->name);
	if (f->sub_filter)
		p->sub_filter = cox_filter_canonical_name(f->sub_filter->name);
}

static bool patch_build(struct ready *r, const struct cox_config_patch *spec, size_t at, size_t to, struct cox_ready_patch *p)
{
	struct cox_json *value = NULL;
	struct cox_err err;
	if (cox_patch_refusal(spec, &r->arena, &value, &err))
		return false;
	*p = (struct cox_ready_patch){ .object = r->filter.object, .at = (uint32_t)at, .spec = spec, .op = op_of(spec), .value = value };
	p->hash = hash_of(p->object, spec, at);
	set_names(p);
	struct cox_str version = spec->match && spec->match->proxy ? spec->match->proxy->proxy_version : (struct cox_str){ 0 };
	if (version.n && cox_version_regex_new(version, &r->regexes[to]) == COX_OK)
		p->version = r->regexes[to];
	if (value) {
		names found = { 0 };
		names_in(&found, value);
		struct cox_str *kept = COX_ARENA_ARRAY(&r->arena, struct cox_str, found.n + 1);
		for (size_t i = 0; i < found.n; i++)
			kept[i] = found.p[i];
		p->clusters.p = kept;
		p->clusters.n = found.n;
		cox_vec_fini(&found);
	}
	return true;
}

const struct cox_ready_filter *snap_filter_build(const struct cox_object *o)
{
	const struct cox_envoy_filter *spec = COX_SPEC(cox_envoy_filter_object, o)->spec;
	struct ready *r = COX_NEW(struct ready);
	cox_ref_init(&r->filter.ref);
	r->filter.object = cox_object_ref(o);
	r->filter.spec = spec;
	size_t max = spec ? spec->config_patches.n : 0, n = 0;
	struct cox_ready_patch *patches = COX_ARENA_ARRAY(&r->arena, struct cox_ready_patch, max + 1);
	r->regexes = COX_ARENA_ARRAY(&r->arena, struct cox_version_regex *, max + 1);
	for (size_t i = 0; i < max; i++)
		n += patch_build(r, &spec->config_patches.p[i], i, n, &patches[n]);
	r->filter.patches.p = patches;
	r->filter.patches.n = n;
	if (n == 0) {
		snap_filter_unref(&r->filter);
		return NULL;
	}
	return &r->filter;
}

const struct cox_ready_filter *snap_filter_ref(const struct cox_ready_filter *f)
{
	cox_ref_get(&((struct cox_ready_filter *)f)->ref);
	return f;
}

void snap_filter_unref(const struct cox_ready_filter *f)
{
	struct ready *r = (struct ready *)(struct cox_ready_filter *)f;
	if (!r || !cox_ref_put(&r->filter.ref))
		return;
	for (size_t i = 0; i < r->filter.patches.n; i++)
		cox_version_regex_free(r->regexes[i]);
	cox_object_unref(r->filter.object);
	cox_arena_fini(&r->arena);
	cox_free(r);
}

/* --- selection ---------------------------------------------------------------------------------------- */

/* A Gateway of the Gateway API runs as proxies that bear its name and class as labels. */
static bool ref_selects(const struct cox_target_ref *t, const struct cox_kv *labels, size_t label_n)
{
	if (!cox_str_eq_cstr(t->group, "gateway.networking.k8s.io"))
		return false;
	const char *key = cox_str_eq_cstr(t->kind, "Gateway")        ? "gateway.networking.k8s.io/gateway-name"
	                  : cox_str_eq_cstr(t->kind, "GatewayClass") ? "gateway.networking.k8s.io/gateway-class-name"
	                                                             : NULL;
	return key && cox_kv_has(labels, label_n, cox_str_of(key)) && cox_str_eq(cox_kv_get(labels, label_n, cox_str_of(key)), t->name);
}

bool snap_filter_selects(const struct cox_ready_filter *f, const struct cox_kv *labels, size_t label_n)
{
	const struct cox_workload_selector *sel = f->spec->workload_selector;
	if (f->spec->target_refs.n == 0)
		return !sel || cox_kv_is_subset(sel->labels.p, sel->labels.n, labels, label_n);
	for (COX_EACH(struct cox_target_ref, t, f->spec->target_refs))
		if (ref_selects(t, labels, label_n))
			return true;
	return false;
}
