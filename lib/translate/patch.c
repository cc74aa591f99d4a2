/* Which patches select a proxy, and the way of a resource through them: looked up, else taken apart, patched, and put together. */
#include "translate/patch_priv.h"

#include "model/version_regex.h"
#include "translate/route.h"

/* --- plan ------------------------------------------------------------------------------------------------ */

static bool proxy_matches(const struct cox_ready_patch *p, const struct cox_view *v)
{
	const struct cox_patch_proxy *m = p->spec->match ? p->spec->match->proxy : NULL;
	if (!m)
		return true;
	if (p->version && !cox_version_regex_matches(p->version, v->version))
		return false;
	return cox_kv_is_subset(m->metadata.p, m->metadata.n, v->metadata.p, v->metadata.n);
}

static int context_of(const struct cox_ready_patch *p) { return p->spec->match ? p->spec->match->context : COX_PATCH_ANY; }

static bool type_matches(const struct cox_ready_patch *p, const struct cox_view *v)
{
	int context = context_of(p);
	return context == COX_PATCH_ANY || (context == COX_PATCH_GATEWAY) == (v->type == COX_PROXY_ROUTER);
}

struct cox_patching *cox_patching_build(const struct cox_snapshot *s, const struct cox_view *v, const struct cox_kv *labels, size_t label_n,
                                        struct cox_arena *arena)
{
	const struct cox_ready_filter *const *filters;
	size_t n = cox_snapshot_envoy_filters_for(s, v->ns, labels, label_n, arena, &filters), max = 0, kept = 0;
	for (size_t i = 0; i < n; i++)
		max += filters[i]->patches.n;
	if (max == 0)
		return NULL;
	struct cox_patching *p = COX_ARENA_NEW(arena, struct cox_patching);
	const struct cox_ready_patch **patches = COX_ARENA_ARRAY(arena, const struct cox_ready_patch *, max);
	for (size_t i = 0; i < n; i++)
		for (COX_EACH(struct cox_ready_patch, one, filters[i]->patches))
			if (type_matches(one, v) && proxy_matches(one, v)) {
				patches[kept++] = one;
				p->hash = cox_hash_combine(p->hash, one->hash);
			}
	if (kept == 0)
		return NULL;
	p->patches.p = patches;
	p->patches.n = kept;
	p->counts = COX_ARENA_ARRAY(arena, uint32_t, kept);
	return p;
}

void cox_patch_clusters_named(const struct cox_patching *p, void (*fn)(void *arg, struct cox_str name), void *arg)
{
	for (size_t i = 0; p && i < p->patches.n; i++)
		for (COX_EACH(struct cox_str, name, p->patches.p[i]->clusters))
			fn(arg, *name);
}

/* --- patches of one kind of resource ------------------------------------------------------------------------ */

#define TO(name) (1u << COX_APPLY_##name)
#define TO_ROUTES (TO(ROUTE_CONFIGURATION) | TO(VIRTUAL_HOST) | TO(HTTP_ROUTE))
#define TO_LISTENERS (TO(LISTENER) | TO(FILTER_CHAIN) | TO(NETWORK_FILTER) | TO(HTTP_FILTER) | TO(LISTENER_FILTER))

struct kind { /* of resource, in a context */
	struct cox_tr *t;
	enum cox_patch_context context;
	enum cox_type type;
	const struct cox_envoy_message *message;
	bool (*may_concern)(const struct patch_job *j, const struct cox_ready_patch *p, struct cox_str name);
	bool (*patch)(struct patch_job *j, struct cox_json *v);
	uint32_t *at; /* places in the plan */
	size_t n;
};

static void kind_select(struct kind *k, unsigned apply_to)
{
	const struct cox_patching *plan = k->t->patching;
	k->at = COX_ARENA_ARRAY(k->t->arena, uint32_t, plan->patches.n);
	for (size_t i = 0; i < plan->patches.n; i++) {
		int context = context_of(plan->patches.p[i]);
		if ((apply_to & 1u << plan->patches.p[i]->spec->apply_to) && (context == COX_PATCH_ANY || context == (int)k->context))
			k->at[k->n++] = (uint32_t)i;
	}
}

static bool listener_may(const struct patch_job *j, const struct cox_ready_patch *p, struct cox_str name)
{
	const struct cox_patch_listener *m = p->spec->match ? p->spec->match->listener : NULL;
	(void)j;
	if (p->op == COX_OP_ADD && p->spec->apply_to == COX_APPLY_LISTENER)
		return false;
	return !m || !m->name.n || cox_str_eq(m->name, name);
}
static bool cluster_may(const struct patch_job *j, const struct cox_ready_patch *p, struct cox_str name)
{
	return p->op != COX_OP_ADD && match_cluster_name(j, p, name);
}

/* --- what was made before ---------------------------------------------------------------------------------------- */

enum outcome { SAME, CHANGED, REMOVED };
/* In the memo: the outcome, then the counts. */
static const struct cox_bytes *record_put(struct cox_tr *t, struct cox_hash id, enum outcome o, const uint32_t *counts, size_t n)
{
	struct cox_bytes *b = cox_bytes_new(NULL, sizeof(uint32_t) * (n + 1));
	uint32_t first = o;
	memcpy(b->p, &first, sizeof(first));
	if (n)
		memcpy(b->p + sizeof(first), counts, n * sizeof(*counts));
	cox_bytes_seal(b);
	return cox_memo_bytes_put_take(t->memo, id, b);
}

static enum outcome record_take(const struct patch_job *j, const struct cox_bytes *b)
{
	uint32_t first, count;
	memcpy(&first, b->p, sizeof(first));
	for (size_t i = 0; i < j->n; i++) {
		memcpy(&count, b->p + sizeof(first) * (i + 1), sizeof(count));
		j->t->patching->counts[j->at[i]] += count;
	}
	cox_bytes_unref(b);
	return (enum outcome)first;
}

static struct cox_hash job_hash(const struct patch_job *j)
{
	struct cox_hash h = { COX_OP_COUNT, j->context };
	for (size_t i = 0; i < j->n; i++)
		h = cox_hash_combine(h, job_patch(j, i)->hash);
	for (COX_EACH(struct cox_patch_port, p, j->t->patching->ports))
		h = cox_hash_combine(h, (struct cox_hash){ p->listen, p->server });
	return h;
}
static struct cox_hash mix_text(struct cox_hash h, struct cox_str s) { return cox_hash_combine(h, cox_hash128(s.p, s.n)); }

/* --- resources ------------------------------------------------------------------------------------------------------ */

/* Whom to blame, and which clusters it waits for, besides what it had. */
static void add_names(const struct patch_job *j, struct cox_names *origins, struct cox_names *needs)
{
	for (size_t i = 0; i < j->n; i++) {
		const struct cox_ready_patch *p = job_patch(j, i);
		if (!j->counts[i])
			continue;
		cox_names_add(origins, p->object->id);
		for (COX_EACH(struct cox_str, name, p->clusters))
			cox_names_add(needs, *name);
	}
}

static struct cox_json *parse(struct cox_tr *t, const struct cox_envoy_message *m, struct cox_str bytes)
{
	struct cox_json *v = NULL;
	/* Our own bytes: but what nobody can read is left as it is rather than lost. */
	if (cox_envoy_to_json(m, bytes, COX_TRANSCODE_KEEP_OPAQUE, t->arena, &v, NULL) != COX_OK)
		return NULL;
	return v;
}

static const struct cox_resource *make(const struct kind *k, const struct patch_job *j, const struct cox_json *v, struct cox_str origins,
                                       struct cox_str needs)
{
	struct cox_buf wire = { 0 };
	COX_AUTO(cox_names_fini) struct cox_names all_origins = { .arena = k->t->arena }, all_needs = { .arena = k->t->arena };
	const struct cox_resource *r = NULL;
	if (cox_envoy_from_json(k->message, v, 0, &wire, NULL) == COX_OK) {
		cox_names_add_all(&all_origins, origins);
		cox_names_add_all(&all_needs, needs);
		add_names(j, &all_origins, &all_needs);
		r = cox_resource_new(k->type, tree_str(v, "name"), cox_buf_str(&wire), cox_names_text(&all_origins),
		                     cox_names_text(&all_needs));
		k->t->built++;
	}
	cox_buf_fini(&wire);
	return r;
}

/* Gives the patched resource, or the same one; NULL: it is taken away. */
static const struct cox_resource *build(const struct kind *k, struct patch_job *j, struct cox_hash id, const struct cox_resource *r)
{
	struct cox_buf flat = { 0 };
	cox_resource_flatten(r, &flat);
	struct cox_str bytes = cox_arena_str(k->t->arena, cox_buf_str(&flat));
	cox_buf_fini(&flat);
	struct cox_json *v = parse(k->t, k->message, bytes);
	bool stays = !v || k->patch(j, v);
	const struct cox_resource *made = stays && j->changed ? make(k, j, v, r->origins, r->needs) : NULL;
	enum outcome outcome = !stays ? REMOVED : made ? CHANGED : SAME;
	if (outcome == SAME)
		memset(j->counts, 0, j->n * sizeof(*j->counts));
	cox_bytes_unref(record_put(k->t, id, outcome, j->counts, j->n));
	for (size_t i = 0; i < j->n; i++)
		k->t->patching->counts[j->at[i]] += j->counts[i];
	if (made)
		return cox_memo_put_take(k->t->memo, id, made);
	return stays ? cox_resource_ref(r) : NULL;
}

static bool job_begin(const struct kind *k, struct cox_str name, struct patch_job *j)
{
	*j = (struct patch_job){ .t = k->t, .context = k->context, .name = name };
	uint32_t *at = COX_ARENA_ARRAY(k->t->arena, uint32_t, k->n + 1);
	for (size_t i = 0; i < k->n; i++)
		if (k->may_concern(j, k->t->patching->patches.p[k->at[i]], name))
			at[j->n++] = k->at[i];
	j->at = at;
	j->counts = COX_ARENA_ARRAY(k->t->arena, uint32_t, j->n + 1);
	return j->n > 0;
}

static const struct cox_resource *patched(const struct kind *k, const struct cox_resource *r)
{
	struct patch_job j;
	if (!job_begin(k, r->name, &j))
		return cox_resource_ref(r);
	struct cox_hash id = mix_text(mix_text(cox_hash_combine(job_hash(&j), r->hash), r->origins), r->needs);
	const struct cox_bytes *record = cox_memo_bytes_find(k->t->memo, id);
	if (!record)
		return build(k, &j, id, r);
	enum outcome outcome = record_take(&j, record);
	if (outcome == CHANGED)
		return cox_memo_find(k->t->memo, id);
	return outcome == SAME ? cox_resource_ref(r) : NULL;
}

static void patch_list(const struct kind *k, cox_resources *list)
{
	size_t n = 0;
	for (size_t i = 0; i < list->n; i++) {
		const struct cox_resource *r = patched(k, list->p[i]);
		cox_resource_unref(list->p[i]);
		if (r)
			list->p[n++] = r;
	}
	list->n = n;
}

static bool has_name(const cox_resources *list, struct cox_str name)
{
	for (size_t i = 0; i < list->n; i++)
		if (cox_str_eq(list->p[i]->name, name))
			return true;
	return false;
}

/* ADD of a whole resource. A name that is there already stays as it is: Envoy takes no two. */
static void add_resources(const struct kind *k, cox_resources *list, int apply_to)
{
	for (size_t i = 0; i < k->n; i++) {
		const struct cox_ready_patch *p = k->t->patching->patches.p[k->at[i]];
		uint32_t one = 1;
		struct patch_job j = { .t = k->t, .context = k->context, .at = &k->at[i], .n = 1, .counts = &one };
		bool is_side = context_of(p) != COX_PATCH_ANY || k->context != COX_PATCH_SIDECAR_INBOUND;
		if (p->spec->apply_to != apply_to || p->op != COX_OP_ADD || !is_side || has_name(list, tree_str(p->value, "name")))
			continue;
		struct cox_hash id = cox_hash_combine(p->hash, (struct cox_hash){ k->type, COX_OP_ADD });
		const struct cox_resource *r = cox_memo_find(k->t->memo, id);
		if (!r) {
			r = make(k, &j, p->value, (struct cox_str){ 0 }, (struct cox_str){ 0 });
			r = r ? cox_memo_put_take(k->t->memo, id, r) : NULL;
		}
		if (!r)
			continue;
		cox_vec_push(list, r);
		k->t->patching->counts[k->at[i]]++;
	}
}

/* --- kinds ---------------------------------------------------------------------------------------------------------------- */

static void patch_clusters(struct cox_tr *t, enum cox_patch_context context, cox_resources *list)
{
	struct kind k = { .t = t,
		          .context = context,
		          .type = COX_TYPE_CDS,
		          .message = patch_message("envoy.config.cluster.v3.Cluster"),
		          .may_concern = cluster_may,
		          .patch = patch_cluster };
	kind_select(&k, TO(CLUSTER));
	if (k.n == 0)
		return;
	patch_list(&k, list);
	add_resources(&k, list, COX_APPLY_CLUSTER);
}

/* Route configurations of sidecars' own ports stand in their listeners. */
static void patch_listeners(struct cox_tr *t, enum cox_patch_context context, cox_resources *list)
{
	struct kind k = { .t = t,
		          .context = context,
		          .type = COX_TYPE_LDS,
		          .message = patch_message("envoy.config.listener.v3.Listener"),
		          .may_concern = listener_may,
		          .patch = patch_listener };
	kind_select(&k, TO_LISTENERS | (context == COX_PATCH_SIDECAR_INBOUND ? TO_ROUTES : 0));
	if (k.n == 0)
		return;
	patch_list(&k, list);
	add_resources(&k, list, COX_APPLY_LISTENER);
}

/* --- route configurations ---------------------------------------------------------------------------------------------------- */

static bool route_may(const struct patch_job *j, const struct cox_ready_patch *p, struct cox_str name)
{
	return match_route_name(j, p, name);
}
static bool patch_route_config(struct patch_job *j, struct cox_json *v)
{
	patch_route_tree(j, v);
	return true;
}

static void split_name(struct cox_str full, struct cox_str *route, struct cox_str *name)
{
	ptrdiff_t slash = cox_str_rfind(full, '/'); /* names of virtual hosts have none */
	*route = cox_str_sub(full, 0, slash < 0 ? 0 : (size_t)slash);
	*name = slash < 0 ? full : cox_str_sub(full, (size_t)slash + 1, full.n);
}

static bool vhds_may(const struct patch_job *j, const struct cox_ready_patch *p, struct cox_str full)
{
	struct cox_str route, name;
	const struct cox_patch_route_config *m = p->spec->match ? p->spec->match->route_configuration : NULL;
	split_name(full, &route, &name);
	if ((p->op == COX_OP_ADD && p->spec->apply_to == COX_APPLY_VIRTUAL_HOST) || !match_route_name(j, p, route))
		return false;
	return !m || !m->vhost || !m->vhost->name.n || cox_str_eq(m->vhost->name, name);
}

/* A virtual host by itself: its name is that of the route configuration and its own, which a patch does not know. */
static bool patch_vhds(struct patch_job *j, struct cox_json *v)
{
	struct cox_str route, name;
	split_name(j->name, &route, &name);
	if (!patch_vhost(j, v, route, name))
		return false;
	struct cox_str now = tree_str(v, "name");
	if (!cox_str_eq(now, j->name)) {
		struct cox_str full = cox_arena_printf(j->t->arena, "%.*s/%.*s", COX_FMT(route), COX_FMT(now));
		cox_json_set(j->t->arena, v, COX_STR("name"), cox_json_new_str(j->t->arena, full));
	}
	return true;
}

/* ADD of a virtual host to each route configuration that asks for them one by one. */
static void add_vhosts(struct kind *k, const cox_resources *routes, cox_resources *vhosts)
{
	for (size_t i = 0; i < k->n; i++) {
		const struct cox_ready_patch *p = k->t->patching->patches.p[k->at[i]];
		uint32_t one = 1;
		struct patch_job j = { .t = k->t, .context = k->context, .at = &k->at[i], .n = 1, .counts = &one };
		if (p->op != COX_OP_ADD || p->spec->apply_to != COX_APPLY_VIRTUAL_HOST)
			continue;
		for (size_t c = 0; c < routes->n; c++) {
			struct cox_str route = routes->p[c]->name;
			struct cox_str full =
			    cox_arena_printf(k->t->arena, "%.*s/%.*s", COX_FMT(route), COX_FMT(tree_str(p->value, "name")));
			if (!match_route_name(&j, p, route) || has_name(vhosts, full))
				continue;
			struct cox_json *v = cox_json_clone(k->t->arena, p->value);
			cox_json_set(k->t->arena, v, COX_STR("name"), cox_json_new_str(k->t->arena, full));
			const struct cox_resource *r = make(k, &j, v, (struct cox_str){ 0 }, (struct cox_str){ 0 });
			if (r)
				cox_vec_push(vhosts, r);
			k->t->patching->counts[k->at[i]] += r != NULL;
		}
	}
}

static void patch_routes(struct cox_tr *t, enum cox_patch_context context, cox_resources *routes, cox_resources *vhosts)
{
	bool has_vhds = vhosts && t->view->has_vhds;
	struct kind k = { .t = t,
		          .context = context,
		          .type = COX_TYPE_RDS,
		          .message = patch_message("envoy.config.route.v3.RouteConfiguration"),
		          .may_concern = route_may,
		          .patch = patch_route_config };
	kind_select(&k, has_vhds ? TO(ROUTE_CONFIGURATION) : TO_ROUTES);
	if (k.n)
		patch_list(&k, routes);
	if (!has_vhds)
		return;
	struct kind one = { .t = t,
		            .context = context,
		            .type = COX_TYPE_VHDS,
		            .message = patch_message("envoy.config.route.v3.VirtualHost"),
		            .may_concern = vhds_may,
		            .patch = patch_vhds };
	kind_select(&one, TO(VIRTUAL_HOST) | TO(HTTP_ROUTE));
	if (one.n == 0)
		return;
	patch_list(&one, vhosts);
	add_vhosts(&one, routes, vhosts);
}

/* --- the sides ------------------------------------------------------------------------------------------------------------------ */

void cox_patch_outbound(struct cox_tr *t, cox_resources *clusters, cox_resources *listeners, cox_resources *routes, cox_resources *vhosts)
{
	if (!t->patching)
		return;
	patch_clusters(t, COX_PATCH_SIDECAR_OUTBOUND, clusters);
	patch_routes(t, COX_PATCH_SIDECAR_OUTBOUND, routes, vhosts);
	patch_listeners(t, COX_PATCH_SIDECAR_OUTBOUND, listeners);
}

void cox_patch_inbound(struct cox_tr *t, cox_resources *clusters, cox_resources *listeners)
{
	if (!t->patching)
		return;
	patch_clusters(t, COX_PATCH_SIDECAR_INBOUND, clusters);
	patch_listeners(t, COX_PATCH_SIDECAR_INBOUND, listeners);
}

void cox_patch_gateway(struct cox_tr *t, cox_resources *clusters, cox_resources *listeners, cox_resources *routes)
{
	if (!t->patching)
		return;
	patch_clusters(t, COX_PATCH_GATEWAY, clusters);
	patch_routes(t, COX_PATCH_GATEWAY, routes, NULL);
	patch_listeners(t, COX_PATCH_GATEWAY, listeners);
}

void cox_patch_extensions(struct cox_tr *t, cox_resources *ecds)
{
	const struct cox_patching *plan = t->patching;
	struct kind k = { .t = t, .type = COX_TYPE_ECDS, .message = patch_message("envoy.config.core.v3.TypedExtensionConfig") };
	if (!plan)
		return;
	for (size_t i = plan->patches.n; i-- > 0;) {
		const struct cox_ready_patch *p = plan->patches.p[i];
		uint32_t at = (uint32_t)i, one = 1;
		struct patch_job j = { .t = t, .at = &at, .n = 1, .counts = &one };
		if (p->spec->apply_to != COX_APPLY_EXTENSION_CONFIG || has_name(ecds, tree_str(p->value, "name")))
			continue;
		const struct cox_resource *r = cox_memo_find(t->memo, p->hash);
		if (!r) {
			r = make(&k, &j, p->value, (struct cox_str){ 0 }, (struct cox_str){ 0 });
			r = r ? cox_memo_put_take(t->memo, p->hash, r) : NULL;
		}
		if (!r)
			continue;
		cox_vec_push(ecds, r);
		plan->counts[i]++;
	}
}
