#include "source/kube_source.h"

#include "base/log.h"
#include "base/metric.h"
#include "model/secret.h"
#include "source/kube_source_priv.h"

enum { DIGEST_MS = 10 * 60 * 1000 };

static const char *kind_cstr(const struct kind_watch *k, char buf[64]) { return cox_str_to_cstr(k->info->name, buf, 64); }

static void turn_soon(struct cox_kube_source *s) { cox_timer_start(s->turn, 0, 0); }

/* --- callbacks of the watches -------------------------------------------------------------------------------- */

static void check_synced(struct cox_kube_source *s)
{
	if (s->is_synced || s->is_first_phase)
		return;
	for (size_t i = 0; i < COX_KIND_COUNT; i++)
		if (i != COX_KIND_SECRET && !s->kinds[i].is_synced)
			return;
	s->is_synced = true;
	s->sink.synced(s->sink.arg);
}

static void on_synced(void *ctx, enum cox_rc rc)
{
	struct kind_watch *k = ctx;
	(void)rc;
	k->is_synced = true;
	if (k->s->is_first_phase)
		turn_soon(k->s);
	else
		check_synced(k->s);
}

static void on_trouble(void *ctx, enum cox_rc rc, const struct cox_err *err)
{
	struct kind_watch *k = ctx;
	char kind[64];
	kind_cstr(k, kind);
	if (rc == COX_OK) {
		cox_log(COX_LOG_INFO, "kube", "kind is watched again cluster=%.*s kind=%s", COX_FMT(k->s->spec.cluster_id), kind);
	} else if (rc == COX_EDENIED) {
		cox_log(COX_LOG_WARN, "kube", "kind may not be listed, it counts as empty cluster=%.*s kind=%s error=\"%s\"",
		        COX_FMT(k->s->spec.cluster_id), kind, err->text);
		kube_source_report_kind(k, err->text);
	} else {
		cox_log(COX_LOG_WARN, "kube", "kind cannot be watched, trying again cluster=%.*s kind=%s error=\"%s\"",
		        COX_FMT(k->s->spec.cluster_id), kind, err->text);
	}
	if ((rc == COX_EDENIED) != k->is_denied) {
		k->is_denied = rc == COX_EDENIED;
		cox_metric_set(COX_M_K8S_FORBIDDEN, kind, k->is_denied ? 1 : 0);
	}
}

static void on_flush(void *ctx)
{
	struct kind_watch *k = ctx;
	k->s->sink.flush(k->s->sink.arg);
}

static void kind_open(struct kind_watch *k, struct cox_str ns, struct cox_str name)
{
	struct cox_kube_source *s = k->s;
	struct cox_arena a = { 0 };
	struct cox_kube_watch_spec spec = {
		.group = k->info->group,
		.plural = k->info->plural,
		.kind = k->info->name,
		.versions = k->info->versions,
		.ns = ns,
		.message = k->info->message,
		.list_limit = s->spec.list_limit,
		.max_object_bytes = s->spec.max_object_bytes,
		.digest_ms = s->spec.digest_ms,
		.digest_grace_ms = s->spec.digest_grace_ms,
	};
	if (name.n)
		spec.field_selector = cox_arena_printf(&a, "metadata.name=%.*s", COX_FMT(name));
	struct cox_kube_watch_cb cb = {
		.is_wanted = kube_source_is_wanted,
		.put = kube_source_put,
		.remove = kube_source_remove,
		.synced = on_synced,
		.trouble = on_trouble,
		.flush = on_flush,
		.ctx = k,
	};
	cox_kube_watch_open(s->client, &spec, &cb, &k->watch);
	cox_arena_fini(&a);
}

/* --- CRDs that appear later ------------------------------------------------------------------------------------ */

/* "virtualservices.networking.istio.io" */
static struct kind_watch *crd_kind(struct cox_kube_source *s, struct cox_str name)
{
	ptrdiff_t dot = cox_str_find(name, '.');
	for (size_t i = 0; dot > 0 && i < COX_KIND_COUNT; i++) {
		const struct cox_kind_info *info = s->kinds[i].info;
		if (info->group.n && cox_str_eq(info->plural, cox_str_sub(name, 0, (size_t)dot)) &&
		    cox_str_eq(info->group, cox_str_sub(name, (size_t)dot + 1, SIZE_MAX)))
			return &s->kinds[i];
	}
	return NULL;
}

static bool crd_is_wanted(void *ctx, struct cox_str ns, struct cox_str name)
{
	(void)ns;
	return crd_kind(ctx, name) != NULL;
}

static void crd_put(void *ctx, const struct cox_kube_item *item, struct cox_kube_entry *e)
{
	struct kind_watch *k = crd_kind(ctx, item->name);
	(void)e;
	if (k && k->watch)
		cox_kube_watch_poke(k->watch);
}

static void crd_remove(void *ctx, struct cox_kube_entry *e) { (void)ctx, (void)e; }
static void crd_synced(void *ctx, enum cox_rc rc) { (void)ctx, (void)rc; }

static void crd_trouble(void *ctx, enum cox_rc rc, const struct cox_err *err)
{
	(void)ctx;
	if (rc == COX_EDENIED)
		cox_log(COX_LOG_WARN, "kube", "CustomResourceDefinitions may not be watched, new kinds are found by polling error=\"%s\"",
		        err->text);
}

static void crds_open(struct cox_kube_source *s)
{
	struct cox_kube_watch_spec spec = {
		.group = COX_STR("apiextensions.k8s.io"),
		.plural = COX_STR("customresourcedefinitions"),
		.kind = COX_STR("CustomResourceDefinition"),
		.versions = COX_STR("v1"),
		.metadata_only = true,
		.list_limit = s->spec.list_limit,
	};
	struct cox_kube_watch_cb cb = {
		.is_wanted = crd_is_wanted, .put = crd_put, .remove = crd_remove, .synced = crd_synced, .trouble = crd_trouble, .ctx = s
	};
	cox_kube_watch_open(s->client, &spec, &cb, &s->crds);
}

/* --- life ---------------------------------------------------------------------------------------------------------- */

static bool is_listed(const struct cox_kind_info *info, struct cox_str list)
{
	struct cox_str item;
	while (list.n && cox_str_next(&list, ',', &item)) {
		ptrdiff_t dot = cox_str_find(item = cox_str_trim(item), '.');
		struct cox_str group = cox_str_sub(item, (size_t)(dot + 1), SIZE_MAX), tail;
		if (dot <= 0 || group.n == 0 || info->group.n < group.n)
			continue;
		bool is_any = item.n > 1 && item.p[0] == '*' && dot == 1;
		tail = cox_str_sub(info->group, info->group.n - group.n, SIZE_MAX);
		bool is_group =
		    cox_str_eq(tail, group) && (info->group.n == group.n || (is_any && info->group.p[info->group.n - group.n - 1] == '.'));
		if (is_group && (is_any || cox_str_eq(cox_str_sub(item, 0, (size_t)dot), info->plural)))
			return true;
	}
	return false;
}

/* Kinds of Kubernetes itself always count. */
static bool is_ignored(const struct cox_kube_source *s, const struct cox_kind_info *info)
{
	bool has_crd = info->ours || cox_str_eq_cstr(info->group, "gateway.networking.k8s.io") ||
	               cox_str_search(info->group, COX_STR("smi-spec.io")) >= 0;
	return has_crd && is_listed(info, s->spec.ignored) && !is_listed(info, s->spec.included);
}

static void second_phase(struct cox_kube_source *s)
{
	s->is_first_phase = false;
	for (size_t i = 0; i < COX_KIND_COUNT; i++) {
		struct kind_watch *k = &s->kinds[i];
		if (i == COX_KIND_SECRET || k->watch)
			continue;
		k->is_synced |= is_ignored(s, k->info);
		if (!k->is_synced)
			kind_open(k, k->info->namespaced ? s->spec.only_ns : COX_STR(""), COX_STR(""));
	}
	if (!s->spec.has_no_crd_watch)
		crds_open(s);
	check_synced(s);
}

static void wanted_free(struct kind_watch *k)
{
	cox_map_remove(&k->s->wanted, cox_str_of(k->key));
	cox_kube_watch_close(&k->watch);
	cox_free(k->key);
	cox_free(k);
}

static void on_turn(void *ctx)
{
	struct cox_kube_source *s = ctx;
	if (s->wants_sweep) {
		s->wants_sweep = false;
		for (struct cox_map_entry *m = NULL; (m = cox_map_next(&s->wanted, m));) {
			struct kind_watch *k = m->value;
			if (k->wants == 0)
				wanted_free(k);
		}
		s->sink.flush(s->sink.arg);
	}
	if (s->has_next)
		kube_source_selectors_apply(s);
	if (s->is_first_phase && s->kinds[COX_KIND_NAMESPACE].is_synced && s->kinds[COX_KIND_CONFIG_MAP].is_synced)
		second_phase(s);
}

static void on_reach(void *ctx, bool is_reachable)
{
	struct cox_kube_source *s = ctx;
	char id[128];
	s->is_stale = !is_reachable;
	cox_metric_set(COX_M_SOURCE_STALE, cox_str_to_cstr(s->spec.cluster_id, id, sizeof(id)), is_reachable ? 0 : 1);
	cox_log(is_reachable ? COX_LOG_INFO : COX_LOG_WARN, "kube", "kube-apiserver %s cluster=%s",
	        is_reachable ? "answers again" : "does not answer, what is known stays in force", id);
	s->sink.stale(s->sink.arg, !is_reachable);
}

void cox_kube_source_open(struct cox_kube_client *client, const struct cox_kube_source_spec *spec, const struct cox_source_sink *sink,
                          struct cox_kube_source **out)
{
	struct cox_kube_source *s = COX_NEW(struct cox_kube_source);
	s->client = client;
	s->spec = *spec;
	s->sink = *sink;
	s->spec.cluster_id = cox_arena_str(&s->text, spec->cluster_id);
	s->spec.only_ns = cox_arena_str(&s->text, spec->only_ns);
	s->spec.ignored = cox_arena_str(&s->text, spec->ignored);
	s->spec.included = cox_arena_str(&s->text, spec->included);
	s->spec.root_ns = spec->root_ns.n ? cox_arena_str(&s->text, spec->root_ns) : COX_STR("istio-system");
	bool is_default = spec->revision.n == 0 || cox_str_eq(spec->revision, COX_STR("default"));
	s->mesh_name = is_default ? COX_STR("istio") : cox_arena_printf(&s->text, "istio-%.*s", COX_FMT(spec->revision));
	s->spec.digest_ms = spec->digest_ms == 0 ? DIGEST_MS : spec->digest_ms < 0 ? 0 : spec->digest_ms;
	s->turn = cox_timer_new(cox_kube_client_loop(client), on_turn, s);
	s->is_first_phase = true;
	for (size_t i = 0; i < COX_KIND_COUNT; i++) {
		s->kinds[i].s = s;
		s->kinds[i].info = cox_kind_info((enum cox_kind)i);
	}
	s->reach.fn = on_reach;
	s->reach.ctx = s;
	cox_kube_client_reach_add(client, &s->reach);
	kind_open(&s->kinds[COX_KIND_NAMESPACE], COX_STR(""), COX_STR(""));
	kind_open(&s->kinds[COX_KIND_CONFIG_MAP], s->spec.root_ns, s->mesh_name);
	*out = s;
}

static void sink_put(void *arg, const struct cox_object *o) { (void)arg, (void)o; }
static void sink_remove(void *arg, enum cox_kind kind, struct cox_str ns, struct cox_str name)
{
	(void)arg, (void)kind, (void)ns, (void)name;
}
static void sink_report(void *arg, const struct cox_source_report *r) { (void)arg, (void)r; }
static void sink_none(void *arg) { (void)arg; }
static void sink_stale(void *arg, bool stale) { (void)arg, (void)stale; }

void cox_kube_source_close(struct cox_kube_source **sp)
{
	struct cox_kube_source *s = *sp;
	*sp = NULL;
	if (!s)
		return;
	s->sink = (struct cox_source_sink){
		.put = sink_put, .remove = sink_remove, .report = sink_report, .synced = sink_none, .stale = sink_stale, .flush = sink_none
	};
	cox_kube_client_reach_remove(s->client, &s->reach);
	cox_kube_watch_close(&s->crds);
	for (struct cox_map_entry *m = NULL; (m = cox_map_next(&s->wanted, m));)
		wanted_free(m->value);
	cox_map_fini(&s->wanted);
	/* Namespaces last: the others ask them. */
	for (size_t i = COX_KIND_COUNT; i-- > 0;)
		if (i != COX_KIND_NAMESPACE)
			cox_kube_watch_close(&s->kinds[i].watch);
	cox_kube_watch_close(&s->kinds[COX_KIND_NAMESPACE].watch);
	cox_timer_free(&s->turn);
	cox_arena_fini(&s->text);
	cox_arena_fini(&s->scratch);
	cox_arena_fini(&s->selector_text[0]);
	cox_arena_fini(&s->selector_text[1]);
	cox_free(s);
}

/* --- Secrets and ConfigMaps that somebody refers to -------------------------------------------------------------------- */

static char *object_key(enum cox_kind kind, struct cox_str ns, struct cox_str name)
{
	struct cox_buf b = { 0 };
	cox_buf_printf(&b, "%.*s/%.*s/%.*s", COX_FMT(cox_kind_info(kind)->name), COX_FMT(ns), COX_FMT(name));
	char *key = cox_str_dup_cstr(cox_buf_str(&b));
	cox_buf_fini(&b);
	return key;
}

static bool is_mesh_config(const struct cox_kube_source *s, enum cox_kind kind, struct cox_str ns, struct cox_str name)
{
	return kind == COX_KIND_CONFIG_MAP && cox_str_eq(ns, s->spec.root_ns) && cox_str_eq(name, s->mesh_name);
}

enum cox_rc cox_kube_source_want(struct cox_kube_source *s, enum cox_kind kind, struct cox_str ns, struct cox_str name)
{
	if (ns.n == 0 || name.n == 0 || (kind != COX_KIND_SECRET && kind != COX_KIND_CONFIG_MAP))
		return COX_EINVAL;
	/* The CA's own: they are the key keeper's, and a captured main process must not hold them (DESIGN, decision 14). */
	if (kind == COX_KIND_SECRET && cox_secret_is_reserved(name))
		return COX_EDENIED;
	if (is_mesh_config(s, kind, ns, name))
		return COX_OK; /* watched anyway */
	char *key = object_key(kind, ns, name);
	struct kind_watch *k = cox_map_find(&s->wanted, cox_str_of(key));
	if (k) {
		k->wants++;
		cox_free(key);
		return COX_OK;
	}
	k = COX_NEW(struct kind_watch);
	k->s = s;
	k->info = cox_kind_info(kind);
	k->key = key;
	k->wants = 1;
	cox_map_set(&s->wanted, cox_str_of(key), k);
	kind_open(k, ns, name);
	return COX_OK;
}

void cox_kube_source_unwant(struct cox_kube_source *s, enum cox_kind kind, struct cox_str ns, struct cox_str name)
{
	char *key = object_key(kind, ns, name);
	struct kind_watch *k = cox_map_find(&s->wanted, cox_str_of(key));
	cox_free(key);
	if (!k || k->wants == 0 || --k->wants > 0)
		return;
	s->wants_sweep = true; /* not at once: we may be inside its own callback */
	turn_soon(s);
}

bool cox_kube_source_is_synced(const struct cox_kube_source *s) { return s->is_synced; }

bool cox_kube_source_is_stale(const struct cox_kube_source *s) { return s->is_stale; }

bool cox_kube_source_stats(const struct cox_kube_source *s, enum cox_kind kind, struct cox_kube_watch_stats *out)
{
	if (!s->kinds[kind].watch)
		return false;
	cox_kube_watch_stats_get(s->kinds[kind].watch, out);
	return true;
}
