#include "base/metric.h"
#include "source/kube_source_priv.h"

bool kube_source_is_wanted(void *ctx, struct cox_str ns, struct cox_str name)
{
	struct kind_watch *k = ctx;
	(void)name;
	/* What is asked for by name is wanted wherever it is. */
	if (!k->info->namespaced || k->key || k->info->kind == COX_KIND_CONFIG_MAP)
		return true;
	return kube_source_ns_is_selected(k->s, ns);
}

static void count(struct kind_watch *k, const char *event)
{
	struct cox_str labels[] = { k->info->name, cox_str_of(event) };
	cox_metric_add_labels(k->info->ours ? COX_M_K8S_CFG_EVENTS : COX_M_K8S_EVENTS, labels, COX_LEN(labels), 1);
}

static void report(struct kind_watch *k, struct cox_str ns, struct cox_str name, bool has_last_good, const struct cox_diags *diags)
{
	struct cox_source_report r = { .kind = k->info->kind,
		                       .ns = ns,
		                       .name = name,
		                       .origin = k->s->spec.cluster_id,
		                       .diags = diags,
		                       .has_last_good = has_last_good };
	k->s->sink.report(k->s->sink.arg, &r);
}

void kube_source_report_kind(struct kind_watch *k, const char *text)
{
	struct cox_arena a = { 0 };
	struct cox_diags diags = { .arena = &a };
	cox_diag_add(&diags, COX_SEV_ERROR, 0, NULL, "%s", text);
	report(k, COX_STR(""), COX_STR(""), false, &diags);
	cox_arena_fini(&a);
}

/* Items of a core kind's list do not say what they are. */
static void name_kind(struct kind_watch *k, struct cox_json *doc)
{
	struct cox_arena *a = &k->s->scratch;
	struct cox_str versions = k->info->versions, version = { 0 };
	if (!cox_json_get(doc, COX_STR("kind")))
		cox_json_set(a, doc, COX_STR("kind"), cox_json_new_str(a, k->info->name));
	if (cox_json_get(doc, COX_STR("apiVersion")))
		return;
	struct cox_kube_watch_stats stats;
	cox_kube_watch_stats_get(k->watch, &stats);
	version = stats.version;
	if (version.n == 0)
		cox_str_next(&versions, ',', &version);
	struct cox_str full = k->info->group.n ? cox_arena_printf(a, "%.*s/%.*s", COX_FMT(k->info->group), COX_FMT(version)) : version;
	cox_json_set(a, doc, COX_STR("apiVersion"), cox_json_new_str(a, full));
}

static const struct cox_object *build(struct kind_watch *k, const struct cox_kube_item *item, struct cox_diags *diags)
{
	struct cox_json *doc = NULL;
	struct cox_err err = { 0 };
	const struct cox_object *o = NULL;
	if (item->is_skipped) {
		cox_diag_add(diags, COX_SEV_ERROR, 0, NULL, "the object is too large (%zu bytes): at most %zu are read", item->bytes,
		             k->s->spec.max_object_bytes ? k->s->spec.max_object_bytes : (size_t)COX_KUBE_OBJECT_BYTES_MAX);
		return NULL;
	}
	if (cox_json_parse(&k->s->scratch, item->text, &doc, &err) != COX_OK) {
		cox_diag_add(diags, COX_SEV_ERROR, err.line, err.path, "%s", err.text);
		return NULL;
	}
	name_kind(k, doc);
	enum cox_rc rc = cox_object_build(doc, k->s->spec.cluster_id, COX_STR("default"), &k->s->scratch, diags, &o);
	if (rc != COX_OK && diags->errors == 0)
		cox_diag_add(diags, COX_SEV_ERROR, 0, NULL, "the object cannot be used: %s", cox_rc_text(rc));
	return rc == COX_OK ? o : NULL;
}

/* A report goes out when there is something to say, and once more, empty, when there no longer is. */
static void say(struct kind_watch *k, struct cox_kube_entry *e, const struct cox_diags *diags)
{
	if (diags->n == 0 && !(e->flags & ENTRY_REPORTED))
		return;
	report(k, e->ns, e->name, diags->errors > 0 && e->value, diags);
	e->flags = diags->n ? e->flags | ENTRY_REPORTED : e->flags & ~(uint32_t)ENTRY_REPORTED;
}

void kube_source_put(void *ctx, const struct cox_kube_item *item, struct cox_kube_entry *e)
{
	struct kind_watch *k = ctx;
	struct cox_kube_source *s = k->s;
	const struct cox_object *was = e->value;
	cox_arena_reset(&s->scratch);
	struct cox_diags diags = { .arena = &s->scratch };
	const struct cox_object *o = build(k, item, &diags);
	if (item->is_skipped) {
		char kind[64];
		cox_metric_add(COX_M_K8S_SKIPPED, cox_str_to_cstr(k->info->name, kind, sizeof(kind)), 1);
	}
	if (o && was && cox_object_eq(was, o)) {
		/* Only metadata or status changed: nobody hears of it (DESIGN, decision 6). */
		cox_object_unref(o);
		count(k, "updatesame");
		say(k, e, &diags);
		return;
	}
	if (o) {
		e->value = (void *)(uintptr_t)o;
		count(k, was ? "update" : "add");
		s->sink.put(s->sink.arg, o);
		if (was)
			cox_object_unref(was);
	}
	say(k, e, &diags);
	if (k->info->kind == COX_KIND_NAMESPACE && o)
		kube_source_ns_changed(s, e, o);
}

void kube_source_remove(void *ctx, struct cox_kube_entry *e)
{
	struct kind_watch *k = ctx;
	struct cox_kube_source *s = k->s;
	const struct cox_object *was = e->value;
	cox_arena_reset(&s->scratch);
	struct cox_diags none = { .arena = &s->scratch };
	e->value = NULL;
	say(k, e, &none);
	if (was) {
		count(k, "delete");
		s->sink.remove(s->sink.arg, k->info->kind, was->meta.ns, was->meta.name);
		cox_object_unref(was);
	}
	if (k->info->kind == COX_KIND_NAMESPACE)
		kube_source_ns_changed(s, e, NULL);
}
