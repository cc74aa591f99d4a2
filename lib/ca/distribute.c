/* distribute - which items should be there, which are, and what is to be done about it. */
#include "ca/distribute_priv.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/json.h"
#include "model/object.h"

#include <stdio.h>

enum { BUSY_MAX = 8, RETRY_MS = 5000, SWEEP_MS = 60 * 1000 };

/* Kubernetes' own namespaces get nothing (as istiod has it). */
static const struct cox_str ignored[] = { COX_STR_INIT("kube-system"), COX_STR_INIT("kube-public"), COX_STR_INIT("kube-node-lease"),
	                                  COX_STR_INIT("local-path-storage") };

static int64_t now_s(void) { return cox_clock_wall_ms() / 1000; }

/* --- items -------------------------------------------------------------------------------------------- */

static struct item *item_find(const struct cox_distribute *d, enum item_kind kind, struct cox_str ns, struct cox_str name)
{
	struct cox_buf key = { 0 };
	cox_buf_printf(&key, "%d/%.*s/%.*s", (int)kind, COX_FMT(ns), COX_FMT(name));
	struct item *i = cox_map_find(&d->items, cox_buf_str(&key));
	cox_buf_fini(&key);
	return i;
}

static struct item *item_get(struct cox_distribute *d, enum item_kind kind, struct cox_str ns, struct cox_str name)
{
	struct item *i = item_find(d, kind, ns, name);
	if (i)
		return i;
	struct cox_buf key = { 0 };
	size_t n;
	i = COX_NEW(struct item);
	cox_buf_printf(&key, "%d/%.*s/%.*s", (int)kind, COX_FMT(ns), COX_FMT(name));
	cox_buf_append_char(&key, '\0');
	i->d = d;
	i->kind = kind;
	i->key = cox_buf_take(&key, &n);
	i->ns = cox_str_make(i->key + 2, ns.n);
	i->name = cox_str_make(i->key + 3 + ns.n, name.n);
	cox_map_set(&d->items, cox_str_of(i->key), i);
	return i;
}

void distribute_item_free(struct item *i)
{
	cox_kube_request_close(&i->request);
	cox_wipe(&i->key_pem);
	cox_buf_fini(&i->key_pem);
	cox_free(i->key);
	cox_free(i);
}

static bool is_due(const struct item *i)
{
	double ratio = i->d->spec.grace_ratio > 0 ? i->d->spec.grace_ratio : 0.5;
	int64_t life = i->not_after_s - i->not_before_s;
	return now_s() >= i->not_after_s - (int64_t)((double)life * ratio);
}

bool distribute_item_is_right(const struct item *i)
{
	const struct cox_distribute *d = i->d;
	if (!i->is_wanted)
		return !i->exists || !i->is_ours;
	if (!d->bundle)
		return true;
	if (i->kind == ITEM_ROOT || i->kind == ITEM_BUNDLE)
		return i->exists && cox_hash_eq(i->content, d->roots_hash);
	if (i->kind == ITEM_CRL)
		return d->bundle->crl_pem.n ? i->exists && cox_hash_eq(i->content, d->crl_hash)
		                            : !i->exists || !i->is_ours || cox_hash_eq(i->content, d->crl_hash);
	bool is_foreign_write = i->written_version && i->version != i->written_version;
	return i->exists && cox_hash_eq(i->content, d->secret_hash) && !is_due(i) && !is_foreign_write;
}

static void queue(struct item *i)
{
	struct cox_distribute *d = i->d;
	if (!i->is_queued && !i->is_busy && !distribute_item_is_right(i)) {
		i->is_queued = true;
		cox_vec_push(&d->queue, i);
	}
	if (d->queue.n && d->is_leader && !cox_timer_is_running(d->work))
		cox_timer_start(d->work, 0, 0);
}

static void queue_all(struct cox_distribute *d)
{
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&d->items, e));)
		queue(e->value);
}

static void start(struct item *i)
{
	i->is_busy = true;
	i->d->busy++;
	if (i->is_wanted)
		distribute_item_write(i);
	else
		distribute_item_delete(i);
}

static void on_work(void *ctx)
{
	struct cox_distribute *d = ctx;
	int64_t now = cox_clock_mono_ms(), wait = INT64_MAX;
	size_t left = 0;
	bool is_ready = d->is_leader && d->bundle && d->is_synced[ITEM_ROOT] && d->is_synced[ITEM_CRL] && d->is_synced[ITEM_SECRET];
	bool is_served = is_ready && d->is_synced[ITEM_BUNDLE];
	for (size_t k = 0; k < d->queue.n; k++) {
		struct item *i = d->queue.p[k];
		if (distribute_item_is_right(i)) {
			i->is_queued = false;
		} else if ((i->kind == ITEM_BUNDLE ? is_served : is_ready) && d->busy < BUSY_MAX && now >= i->retry_ms) {
			i->is_queued = false;
			start(i);
		} else {
			if (now < i->retry_ms && i->retry_ms - now < wait)
				wait = i->retry_ms - now;
			d->queue.p[left++] = i;
		}
	}
	d->queue.n = left;
	if (is_ready && wait != INT64_MAX)
		cox_timer_start(d->work, wait, 0);
}

void distribute_item_done(struct item *i, enum cox_rc rc, const struct cox_err *err)
{
	static const char *const words[ITEM_KINDS] = { "ConfigMap", "ConfigMap", "Secret", "ClusterTrustBundle" };
	struct cox_distribute *d = i->d;
	i->is_busy = false;
	i->request = NULL;
	d->busy--;
	if (rc != COX_OK) {
		struct ns_state *ns = cox_map_find(&d->namespaces, i->ns);
		bool is_gone = i->kind != ITEM_BUNDLE && (!ns || !ns->exists || rc == COX_ENOTFOUND);
		cox_log(is_gone ? COX_LOG_DEBUG : COX_LOG_WARN, "ca", "%s %.*s/%.*s could not be written; trying again error=\"%s\"",
		        words[i->kind], COX_FMT(i->ns), COX_FMT(i->name), err ? err->text : "");
		i->retry_ms = cox_clock_mono_ms() + cox_jitter_ms(RETRY_MS, 20);
	}
	queue(i);
	if (d->queue.n && !cox_timer_is_running(d->work))
		cox_timer_start(d->work, 0, 0);
}

/* --- what should be ------------------------------------------------------------------------------------- */

static struct cox_str label(const struct cox_label *labels, size_t n, struct cox_str key)
{
	for (size_t i = 0; i < n; i++)
		if (cox_str_eq(labels[i].key, key))
			return labels[i].value;
	return COX_STR("");
}

static bool opted_in(const struct cox_distribute *d, const struct cox_label *labels, size_t n)
{
	struct cox_str override = label(labels, n, COX_STR("ca.istio.io/override")), env = label(labels, n, COX_STR("ca.istio.io/env"));
	if (override.n)
		return cox_str_eq(override, COX_STR("true"));
	return env.n ? cox_str_eq_cstr(env, d->ns) : d->spec.secrets_by_default;
}

static void want(struct cox_distribute *d, enum item_kind kind, struct cox_str ns, struct cox_str name, bool is_wanted)
{
	struct item *i = is_wanted ? item_get(d, kind, ns, name) : item_find(d, kind, ns, name);
	if (!i)
		return;
	i->is_wanted = is_wanted;
	queue(i);
}

static void want_secret(struct cox_distribute *d, struct cox_str ns, struct cox_str account)
{
	const struct ns_state *s = cox_map_find(&d->namespaces, ns);
	struct cox_buf key = { 0 }, name = { 0 };
	cox_buf_printf(&key, "%.*s/%.*s", COX_FMT(ns), COX_FMT(account));
	cox_buf_printf(&name, "istio.%.*s", COX_FMT(account));
	want(d, ITEM_SECRET, ns, cox_buf_str(&name), s && s->exists && s->has_secrets && cox_map_find(&d->accounts, cox_buf_str(&key)));
	cox_buf_fini(&key);
	cox_buf_fini(&name);
}

void cox_distribute_ns(struct cox_distribute *d, struct cox_str ns, const struct cox_label *labels, size_t n, bool exists)
{
	struct ns_state *s = cox_map_find(&d->namespaces, ns);
	if (!s) {
		s = COX_NEW(struct ns_state);
		s->name = cox_str_dup_cstr(ns);
		for (size_t i = 0; i < COX_LEN(ignored); i++)
			s->is_ignored |= cox_str_eq(ns, ignored[i]);
		cox_map_set(&d->namespaces, cox_str_of(s->name), s);
	}
	s->exists = exists && !s->is_ignored;
	s->has_secrets = opted_in(d, labels, n);
	want(d, ITEM_ROOT, ns, cox_str_of(d->config_map), s->exists);
	want(d, ITEM_CRL, ns, COX_STR("istio-ca-crl"), s->exists);
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&d->accounts, e));) {
		ptrdiff_t slash = cox_str_find(e->key, '/');
		if (cox_str_eq(cox_str_sub(e->key, 0, (size_t)slash), ns))
			want_secret(d, ns, cox_str_sub(e->key, (size_t)slash + 1, e->key.n));
	}
}

void cox_distribute_account(struct cox_distribute *d, struct cox_str ns, struct cox_str name, bool exists)
{
	struct cox_buf key = { 0 };
	cox_buf_printf(&key, "%.*s/%.*s", COX_FMT(ns), COX_FMT(name));
	char *have = cox_map_find(&d->accounts, cox_buf_str(&key));
	if (exists && !have) {
		char *text = cox_str_dup_cstr(cox_buf_str(&key));
		cox_map_set(&d->accounts, cox_str_of(text), text);
	} else if (!exists && have) {
		cox_map_remove(&d->accounts, cox_buf_str(&key));
		cox_free(have);
	}
	want_secret(d, ns, name);
	cox_buf_fini(&key);
}

void cox_distribute_bundle(struct cox_distribute *d, const struct cox_ca_bundle *b)
{
	cox_ca_bundle_unref(d->bundle);
	d->bundle = cox_ca_bundle_ref(b);
	cox_buf_clear(&d->roots);
	for (size_t i = 0; i < b->root_n; i++)
		cox_buf_append_str(&d->roots, b->roots_pem[i]);
	d->roots_hash = cox_hash128(d->roots.p, d->roots.n);
	d->crl_hash = cox_hash128(b->crl_pem.p, b->crl_pem.n);
	/* A secret is written anew when other roots are trusted, and when another certificate signs. */
	d->secret_hash = cox_hash_combine(d->roots_hash, cox_hash128(b->issuer_key_id.p, b->issuer_key_id.n));
	queue_all(d);
}

void cox_distribute_lead(struct cox_distribute *d, bool is_leader)
{
	d->is_leader = is_leader;
	queue_all(d);
}

size_t cox_distribute_behind(const struct cox_distribute *d)
{
	size_t n = 0;
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&d->items, e));) {
		const struct item *i = e->value;
		n += i->kind == ITEM_SECRET && !distribute_item_is_right(i);
	}
	return n;
}

/* --- what is ---------------------------------------------------------------------------------------------- */

static int64_t number_at(const struct cox_json *annotations, const char *key)
{
	const struct cox_json *v = cox_json_get(annotations, cox_str_of(key));
	int64_t n = 0;
	return v && v->type == COX_JSON_STRING && cox_str_to_i64(v->text, &n) == COX_OK ? n : 0;
}

static void observe(struct item *i, const struct cox_json *v)
{
	const struct cox_json *annotations = cox_json_at(v, "metadata.annotations");
	const struct cox_json *ours = cox_json_get(cox_json_at(v, "metadata.labels"), cox_str_of(distribute_label));
	i->is_ours = ours && cox_str_eq(ours->text, COX_STR("true"));
	if (i->kind == ITEM_SECRET) {
		const struct cox_json *roots = cox_json_get(annotations, cox_str_of(distribute_roots_key));
		i->content = (struct cox_hash){ 0 };
		if (roots)
			(void)!cox_hash_from_hex(roots->text, &i->content);
		i->not_after_s = number_at(annotations, distribute_after_key);
		i->not_before_s = number_at(annotations, distribute_before_key);
		return;
	}
	const struct cox_json *text =
	    i->kind == ITEM_BUNDLE
	        ? cox_json_at(v, "spec.trustBundle")
	        : cox_json_get(cox_json_get(v, COX_STR("data")), i->kind == ITEM_ROOT ? COX_STR("root-cert.pem") : COX_STR("ca-crl.pem"));
	i->content = text ? cox_hash128(text->text.p, text->text.n) : (struct cox_hash){ 0 };
}

static void put(struct cox_distribute *d, enum item_kind kind, const struct cox_kube_item *k, struct cox_kube_entry *e)
{
	struct item *i = item_get(d, kind, k->ns, k->name);
	struct cox_arena arena = { 0 };
	struct cox_json *v = NULL;
	i->exists = true;
	i->version = e->version;
	if (!k->is_skipped && cox_json_parse(&arena, k->text, &v, NULL) == COX_OK)
		observe(i, v);
	cox_arena_fini(&arena);
	queue(i);
}

static void put_root(void *ctx, const struct cox_kube_item *k, struct cox_kube_entry *e) { put(ctx, ITEM_ROOT, k, e); }
static void put_crl(void *ctx, const struct cox_kube_item *k, struct cox_kube_entry *e) { put(ctx, ITEM_CRL, k, e); }
static void put_secret(void *ctx, const struct cox_kube_item *k, struct cox_kube_entry *e) { put(ctx, ITEM_SECRET, k, e); }

static void put_bundle(void *ctx, const struct cox_kube_item *k, struct cox_kube_entry *e) { put(ctx, ITEM_BUNDLE, k, e); }

static void gone(struct cox_distribute *d, enum item_kind kind, const struct cox_kube_entry *e)
{
	struct item *i = d->is_closing ? NULL : item_find(d, kind, e->ns, e->name);
	if (!i)
		return;
	i->exists = false;
	i->written_version = 0;
	queue(i);
}

static void remove_root(void *ctx, struct cox_kube_entry *e) { gone(ctx, ITEM_ROOT, e); }
static void remove_crl(void *ctx, struct cox_kube_entry *e) { gone(ctx, ITEM_CRL, e); }
static void remove_secret(void *ctx, struct cox_kube_entry *e) { gone(ctx, ITEM_SECRET, e); }
static void remove_bundle(void *ctx, struct cox_kube_entry *e) { gone(ctx, ITEM_BUNDLE, e); }

static void synced(struct cox_distribute *d, enum item_kind kind, enum cox_rc rc)
{
	static const char *const words[ITEM_KINDS] = { "ConfigMaps of the roots", "ConfigMaps of the CRL",
		                                       "Secrets of type istio.io/key-and-cert", "ClusterTrustBundles" };
	d->is_synced[kind] = rc == COX_OK;
	if (rc != COX_OK)
		cox_log(COX_LOG_WARN, "ca", "%s cannot be listed, so they are not written rc=%s", words[kind], cox_rc_text(rc));
	queue_all(d);
}

static void synced_root(void *ctx, enum cox_rc rc) { synced(ctx, ITEM_ROOT, rc); }
static void synced_crl(void *ctx, enum cox_rc rc) { synced(ctx, ITEM_CRL, rc); }
static void synced_secret(void *ctx, enum cox_rc rc) { synced(ctx, ITEM_SECRET, rc); }
static void synced_bundle(void *ctx, enum cox_rc rc) { synced(ctx, ITEM_BUNDLE, rc); }

static void trouble(void *ctx, enum cox_rc rc, const struct cox_err *err)
{
	(void)ctx, (void)rc, (void)err; /* the source says the same of the same server */
}

static void watch(struct cox_distribute *d, enum item_kind kind, struct cox_str plural, struct cox_str word, const char *selector,
                  const struct cox_kube_watch_cb *cb)
{
	struct cox_kube_watch_spec spec = { .plural = plural,
		                            .kind = word,
		                            .versions = COX_STR("v1"),
		                            .field_selector = cox_str_of(selector),
		                            .metadata_only = kind == ITEM_SECRET };
	if (kind != ITEM_SECRET)
		spec.message = cox_kind_info(COX_KIND_CONFIG_MAP)->message;
	cox_kube_watch_open(d->spec.kube, &spec, cb, &d->watches[kind]);
}

static void watch_bundle(struct cox_distribute *d)
{
	struct cox_kube_watch_spec spec = { .group = COX_STR("certificates.k8s.io"),
		                            .plural = COX_STR("clustertrustbundles"),
		                            .kind = COX_STR("ClusterTrustBundle"),
		                            .versions = COX_STR("v1,v1beta1,v1alpha1"),
		                            .field_selector = COX_STR("metadata.name=istio.io:istiod-ca:root-cert") };
	cox_kube_watch_open(d->spec.kube, &spec,
	                    &(struct cox_kube_watch_cb){
	                        .put = put_bundle, .remove = remove_bundle, .synced = synced_bundle, .trouble = trouble, .ctx = d },
	                    &d->watches[ITEM_BUNDLE]);
	want(d, ITEM_BUNDLE, COX_STR(""), DISTRIBUTE_BUNDLE, true);
}

/* Certificates come due without any event. */
static void on_sweep(void *ctx) { queue_all(ctx); }

/* --- life --------------------------------------------------------------------------------------------------- */

void cox_distribute_open(const struct cox_distribute_spec *spec, struct cox_distribute **out)
{
	struct cox_distribute *d = COX_NEW(struct cox_distribute);
	char selector[300];
	d->spec = *spec;
	d->loop = cox_kube_client_loop(spec->kube);
	d->ns = cox_str_dup_cstr(spec->ns);
	d->config_map = cox_str_dup_cstr(spec->config_map.n ? spec->config_map : COX_STR("istio-ca-root-cert"));
	d->work = cox_timer_new(d->loop, on_work, d);
	d->sweep = cox_timer_new(d->loop, on_sweep, d);
	cox_timer_start(d->sweep, SWEEP_MS, SWEEP_MS);
	snprintf(selector, sizeof(selector), "metadata.name=%s", d->config_map);
	watch(d, ITEM_ROOT, COX_STR("configmaps"), COX_STR("ConfigMap"), selector,
	      &(struct cox_kube_watch_cb){ .put = put_root, .remove = remove_root, .synced = synced_root, .trouble = trouble, .ctx = d });
	watch(d, ITEM_CRL, COX_STR("configmaps"), COX_STR("ConfigMap"), "metadata.name=istio-ca-crl",
	      &(struct cox_kube_watch_cb){ .put = put_crl, .remove = remove_crl, .synced = synced_crl, .trouble = trouble, .ctx = d });
	watch(d, ITEM_SECRET, COX_STR("secrets"), COX_STR("Secret"), "type=istio.io/key-and-cert",
	      &(struct cox_kube_watch_cb){
	          .put = put_secret, .remove = remove_secret, .synced = synced_secret, .trouble = trouble, .ctx = d });
	if (spec->trust_bundle)
		watch_bundle(d);
	*out = d;
}

static void free_texts(struct cox_map *m)
{
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(m, e));)
		cox_free(e->value);
	cox_map_fini(m);
}

void cox_distribute_close(struct cox_distribute **dp)
{
	struct cox_distribute *d = *dp;
	*dp = NULL;
	if (!d)
		return;
	d->is_closing = true;
	for (int k = 0; k < ITEM_KINDS; k++)
		cox_kube_watch_close(&d->watches[k]);
	cox_kube_request_close(&d->event);
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&d->items, e));) {
		struct item *i = e->value;
		if (i->is_signing)
			i->is_dead = true; /* the CA's answer frees it */
		else
			distribute_item_free(i);
	}
	cox_map_fini(&d->items);
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&d->namespaces, e));) {
		struct ns_state *s = e->value;
		cox_free(s->name);
		cox_free(s);
	}
	cox_map_fini(&d->namespaces);
	free_texts(&d->accounts);
	free_texts(&d->warned);
	cox_vec_fini(&d->queue);
	cox_timer_free(&d->work);
	cox_timer_free(&d->sweep);
	cox_ca_bundle_unref(d->bundle);
	cox_buf_fini(&d->roots);
	cox_free(d->ns);
	cox_free(d->config_map);
	cox_free(d);
}
