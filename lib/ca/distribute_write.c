/* distribute_write - how one item is written or deleted, and Events. */
#include "ca/distribute_priv.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/b64.h"
#include "codec/json.h"

#include <stdio.h>

const char distribute_label[] = "coxswain.io/ca";
const char distribute_roots_key[] = "coxswain.io/roots";
const char distribute_after_key[] = "coxswain.io/not-after";
const char distribute_before_key[] = "coxswain.io/not-before";

enum { WARN_AGAIN_S = 24 * 3600 };

/* The one that the server has. */
static struct cox_str bundle_version(const struct item *i)
{
	struct cox_kube_watch_stats stats;
	cox_kube_watch_stats_get(i->d->watches[ITEM_BUNDLE], &stats);
	return stats.version;
}

static void path_of(const struct item *i, struct cox_buf *path)
{
	if (i->kind == ITEM_BUNDLE) {
		cox_kube_path(path, COX_STR("certificates.k8s.io"), bundle_version(i), COX_STR("clustertrustbundles"), COX_STR(""), i->name,
		              COX_STR(""));
		return;
	}
	cox_kube_path(path, COX_STR(""), COX_STR("v1"), i->kind == ITEM_SECRET ? COX_STR("secrets") : COX_STR("configmaps"), i->ns, i->name,
	              COX_STR(""));
}

static void member(struct cox_buf *out, const char *key, struct cox_str value)
{
	cox_json_write_str(out, cox_str_of(key));
	cox_buf_append_char(out, ':');
	cox_json_write_str(out, value);
}

static void on_written(void *ctx, struct cox_kube_request *r, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err)
{
	struct item *i = ctx;
	struct cox_arena arena = { 0 };
	struct cox_json *v = NULL;
	uint64_t version = 0;
	(void)r, (void)status;
	if (rc == COX_OK && cox_json_parse(&arena, body, &v, NULL) == COX_OK &&
	    cox_str_to_u64(cox_json_str_at(v, "metadata.resourceVersion"), &version) == COX_OK) {
		/* The watch tells the rest; until then this is what the cluster has. */
		i->written_version = version;
		if (i->version < version)
			i->version = version;
		i->exists = i->is_ours = true;
	}
	cox_arena_fini(&arena);
	distribute_item_done(i, rc, err);
}

static void apply(struct item *i, struct cox_str body)
{
	struct cox_buf path = { 0 };
	path_of(i, &path);
	cox_kube_apply(i->d->spec.kube, cox_buf_str(&path), "coxswain-ca", body,
	               &(struct cox_kube_request_cb){ .on_done = on_written, .ctx = i }, &i->request);
	cox_buf_fini(&path);
}

static void metadata(const struct item *i, const char *kind, struct cox_buf *out)
{
	cox_buf_printf(out, "{\"apiVersion\":\"v1\",\"kind\":\"%s\",\"metadata\":{", kind);
	member(out, "name", i->name);
	cox_buf_append_char(out, ',');
	member(out, "namespace", i->ns);
	cox_buf_printf(out, ",\"labels\":{\"%s\":\"true\",\"istio.io/config\":\"true\"}", distribute_label);
}

/* --- ConfigMaps --------------------------------------------------------------------------------------- */

static void write_config_map(struct item *i)
{
	struct cox_distribute *d = i->d;
	struct cox_buf body = { 0 };
	struct cox_str text = i->kind == ITEM_ROOT ? cox_buf_str(&d->roots) : d->bundle->crl_pem;
	metadata(i, "ConfigMap", &body);
	cox_buf_append_cstr(&body, "},\"data\":{");
	member(&body, i->kind == ITEM_ROOT ? "root-cert.pem" : "ca-crl.pem", text);
	cox_buf_append_cstr(&body, "}}");
	i->content = i->kind == ITEM_ROOT ? d->roots_hash : d->crl_hash;
	apply(i, cox_buf_str(&body));
	cox_buf_fini(&body);
}

static void write_bundle(struct item *i)
{
	struct cox_buf body = { 0 };
	cox_buf_printf(&body, "{\"apiVersion\":\"certificates.k8s.io/%.*s\",\"kind\":\"ClusterTrustBundle\",\"metadata\":{",
	               COX_FMT(bundle_version(i)));
	member(&body, "name", i->name);
	cox_buf_printf(&body, ",\"labels\":{\"%s\":\"true\"}},\"spec\":{\"signerName\":\"istio.io/istiod-ca\",", distribute_label);
	member(&body, "trustBundle", cox_buf_str(&i->d->roots));
	cox_buf_append_cstr(&body, "}}");
	i->content = i->d->roots_hash;
	apply(i, cox_buf_str(&body));
	cox_buf_fini(&body);
}

/* --- Secrets: a key, a signature, an apply ------------------------------------------------------------------ */

static void data(struct cox_buf *out, const char *key, struct cox_str bytes)
{
	struct cox_buf text = { 0 };
	cox_b64_encode(&text, bytes);
	member(out, key, cox_buf_str(&text));
	cox_wipe(&text);
	cox_buf_fini(&text);
}

static void write_secret(struct item *i, const struct cox_ca_answer *a)
{
	struct cox_distribute *d = i->d;
	struct cox_buf body = { 0 }, chain = { 0 };
	struct cox_str account = cox_str_sub(i->name, 6, i->name.n); /* behind "istio." */
	char hex[33];
	cox_hash_to_hex(d->secret_hash, hex);
	metadata(i, "Secret", &body);
	cox_buf_append_cstr(&body, ",\"annotations\":{");
	member(&body, "istio.io/service-account.name", account);
	cox_buf_printf(&body, ",\"%s\":\"%s\",\"%s\":\"%lld\",\"%s\":\"%lld\"}},\"type\":\"istio.io/key-and-cert\",\"data\":{",
	               distribute_roots_key, hex, distribute_after_key, (long long)a->info.not_after_s, distribute_before_key,
	               (long long)a->info.not_before_s);
	cox_buf_append_str(&chain, a->cert_pem);
	cox_buf_append_str(&chain, a->bundle->chain_pem);
	data(&body, "cert-chain.pem", cox_buf_str(&chain));
	cox_buf_append_char(&body, ',');
	data(&body, "key.pem", cox_buf_str(&i->key_pem));
	cox_buf_append_char(&body, ',');
	data(&body, "root-cert.pem", cox_buf_str(&d->roots));
	cox_buf_append_cstr(&body, "}}");
	i->content = d->secret_hash;
	i->not_after_s = a->info.not_after_s;
	i->not_before_s = a->info.not_before_s;
	apply(i, cox_buf_str(&body));
	cox_wipe(&body);
	cox_wipe(&i->key_pem);
	cox_buf_fini(&body);
	cox_buf_fini(&chain);
}

static void on_signed(void *ctx, enum cox_rc rc, const struct cox_ca_answer *a, const struct cox_err *err)
{
	struct item *i = ctx;
	i->is_signing = false;
	if (i->is_dead) {
		distribute_item_free(i);
		return;
	}
	if (rc != COX_OK) {
		cox_wipe(&i->key_pem);
		distribute_item_done(i, rc, err);
		return;
	}
	if (i->d->spec.ledger)
		cox_ledger_add(i->d->spec.ledger, cox_str_of(a->info.serial), a->info.uri_n ? a->info.uris[0] : COX_STR(""),
		               a->info.not_after_s, a->bundle->issuer_key_id);
	write_secret(i, a);
}

static void make_secret(struct item *i)
{
	struct cox_distribute *d = i->d;
	struct cox_buf csr = { 0 }, spki = { 0 }, uri = { 0 };
	struct cox_err err = { 0 };
	struct cox_str caller = COX_STR("mounted secret");
	cox_buf_printf(&uri, "spiffe://%.*s/ns/%.*s/sa/%.*s", COX_FMT(d->bundle->trust_domain), COX_FMT(i->ns),
	               COX_FMT(cox_str_sub(i->name, 6, i->name.n)));
	struct cox_str id = cox_buf_str(&uri);
	cox_wipe(&i->key_pem);
	enum cox_rc rc = d->spec.ledger ? cox_ledger_check(d->spec.ledger, id, COX_STR(""), &err) : COX_OK;
	if (rc == COX_OK)
		rc = cox_key_make(COX_KEY_P256, true, &i->key_pem, &err);
	if (rc == COX_OK)
		rc = cox_csr_make(cox_buf_str(&i->key_pem), id, &csr, &err);
	if (rc == COX_OK)
		rc = cox_csr_check(cox_buf_str(&csr), &spki, &err);
	if (rc == COX_OK) {
		i->is_signing = true;
		cox_ca_sign(d->spec.ca, d->loop,
		            &(struct cox_ca_request){ .spki_der = cox_buf_str(&spki),
		                                      .csr_pem = cox_buf_str(&csr),
		                                      .uris = &id,
		                                      .uri_n = 1,
		                                      .ttl_s = d->spec.secret_ttl_s,
		                                      .caller = caller },
		            on_signed, i);
	} else {
		cox_wipe(&i->key_pem);
		distribute_item_done(i, rc, &err);
	}
	cox_buf_fini(&csr);
	cox_buf_fini(&spki);
	cox_buf_fini(&uri);
}

void distribute_item_write(struct item *i)
{
	if (i->kind == ITEM_SECRET)
		make_secret(i);
	else if (i->kind == ITEM_BUNDLE)
		write_bundle(i);
	else
		write_config_map(i);
}

static void on_deleted(void *ctx, struct cox_kube_request *r, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err)
{
	struct item *i = ctx;
	(void)r, (void)body;
	if (rc == COX_OK || status == 404)
		i->exists = false;
	distribute_item_done(i, status == 404 ? COX_OK : rc, err);
}

void distribute_item_delete(struct item *i)
{
	struct cox_buf path = { 0 };
	path_of(i, &path);
	cox_kube_call(i->d->spec.kube, "DELETE", cox_buf_str(&path), COX_STR(""),
	              &(struct cox_kube_request_cb){ .on_done = on_deleted, .ctx = i }, &i->request);
	cox_buf_fini(&path);
}

/* --- Events ------------------------------------------------------------------------------------------------------ */

static void on_event(void *ctx, struct cox_kube_request *r, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err)
{
	struct cox_distribute *d = ctx;
	(void)r, (void)status, (void)body;
	d->event = NULL;
	if (rc != COX_OK)
		cox_log(COX_LOG_WARN, "ca", "an Event could not be written error=\"%s\"", err->text);
}

static bool was_warned(struct cox_distribute *d, const char *reason)
{
	char *when = cox_map_find(&d->warned, cox_str_of(reason));
	int64_t now = cox_clock_wall_ms() / 1000, then = 0;
	struct cox_buf text = { 0 };
	size_t n;
	if (when && cox_str_to_i64(cox_str_of(when), &then) == COX_OK && now - then < WARN_AGAIN_S)
		return true;
	cox_buf_printf(&text, "%lld", (long long)now);
	cox_buf_append_char(&text, '\0');
	cox_free(cox_map_set(&d->warned, cox_str_of(reason), cox_buf_take(&text, &n)));
	return false;
}

void cox_distribute_warn(struct cox_distribute *d, const char *reason, struct cox_str message)
{
	char now[32];
	struct cox_buf body = { 0 }, path = { 0 };
	if (!d->is_leader || d->event || was_warned(d, reason))
		return;
	cox_clock_format(cox_clock_wall_ms(), now);
	cox_buf_printf(
	    &body,
	    "{\"apiVersion\":\"v1\",\"kind\":\"Event\",\"metadata\":{\"generateName\":\"coxswain-ca-\",\"namespace\":\"%s\"},\"type\":\"Warning\",\"count\":1,"
	    "\"source\":{\"component\":\"coxswain\"},\"firstTimestamp\":\"%.19sZ\",\"lastTimestamp\":\"%.19sZ\","
	    "\"involvedObject\":{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"name\":\"%s\",\"namespace\":\"%s\"},",
	    d->ns, now, now, d->ns, d->ns);
	member(&body, "reason", cox_str_of(reason));
	cox_buf_append_char(&body, ',');
	member(&body, "message", message);
	cox_buf_append_char(&body, '}');
	cox_kube_path(&path, COX_STR(""), COX_STR("v1"), COX_STR("events"), cox_str_of(d->ns), COX_STR(""), COX_STR(""));
	cox_kube_call(d->spec.kube, "POST", cox_buf_str(&path), cox_buf_str(&body),
	              &(struct cox_kube_request_cb){ .on_done = on_event, .ctx = d }, &d->event);
	cox_buf_fini(&body);
	cox_buf_fini(&path);
}
