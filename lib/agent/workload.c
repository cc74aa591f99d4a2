#include "agent/workload.h"

#include "agent/ads_proxy.h"
#include "agent/file_secrets.h"
#include "agent/files.h"
#include "agent/identity.h"
#include "agent/sds.h"
#include "agent/secret.h"
#include "agent/tap.h"
#include "agent/trust.h"
#include "base/log.h"
#include "envoy/coxswain_v1.h"
#include "envoy/envoy.h"
#include "envoy/istio_mesh_v1alpha1.h"
#include "envoy/istio_networking_nds_v1.h"
#include "loop/timer.h"
#include "loop/work.h"

enum {
	WORKERS = 1,
	JOBS_MAX = 1024,
	ROTATION_RETRY_MAX_MS = 60 * 1000,
	BUNDLE_WAIT_MS = 5 * 1000, /* a control plane that answers, but not this, has no bundles */
};

static const struct cox_str cert_name = COX_STR_INIT("default"), roots_name = COX_STR_INIT("ROOTCA");

/* Credentials for the control plane, made on a worker. */
struct credentials_job {
	struct cox_agent_workload *owner;
	uint64_t question; /* of the tap; 0: Envoy's stream */
	struct cox_buf chain_pem, key_pem, roots_pem;
	struct cox_agent_credentials out;
	enum cox_rc rc;
	struct cox_err err;
};

struct cox_agent_workload {
	struct cox_agent_workload_spec spec;
	struct cox_agent_identity_config config; /* with the mode as it turned out */
	struct cox_work_pool *pool;
	struct cox_agent_sds *sds;
	struct cox_agent_file_secrets *files;
	struct cox_buf crl; /* of the mounted file; a bundle's own counts before it */
	struct cox_agent_identity *identity;
	struct cox_agent_trust *trust;
	struct cox_agent_ads *ads;
	struct cox_agent_tap *tap;
	struct cox_agent_health *health;
	size_t bundle_type, mesh_type, names_type;
	struct cox_timer *bundle_wait;
	bool is_bundle_owed, is_closing;
	bool has_no_bundles;    /* the roots beside our own certificate are all there is */
	unsigned wrong_issuers; /* certificates in a row that a rotation did not want */
	unsigned parts;         /* not closed yet, jobs and this struct's own hold included */
	void (*closed)(void *ctx);
	void *closed_ctx;
};

/* --- roots and certificate to Envoy -------------------------------------------------------- */

static void append_roots(void *ctx, struct cox_buf *pem)
{
	struct cox_agent_workload *w = ctx;
	if (w->trust)
		cox_agent_trust_write(w->trust, pem);
}

/* In a rotation the root beside our own certificate is half of the truth: an Envoy that has roots from before we started keeps them until
 * the control plane has told its bundle, or shown that it has none. */
static void publish_roots(struct cox_agent_workload *w)
{
	bool is_provisional = w->config.mode == COX_AGENT_IDENTITY_CSR && !cox_agent_trust_info(w->trust).has_bundle && !w->has_no_bundles;
	COX_AUTO(cox_buf_fini) struct cox_buf roots = { 0 };
	COX_AUTO(cox_buf_fini) struct cox_buf secret = { 0 };
	cox_agent_trust_write(w->trust, &roots);
	if (roots.n == 0 || !w->sds)
		return;
	struct cox_agent_trust_info info = cox_agent_trust_info(w->trust);
	if (info.domain_n > 0)
		cox_agent_secret_write_domains(roots_name, info.domains, info.domain_n, &secret);
	else
		cox_agent_secret_write_roots(roots_name, cox_buf_str(&roots), info.has_bundle ? info.crl_pem : cox_buf_str(&w->crl),
		                             &secret);
	cox_agent_sds_set(w->sds, roots_name, cox_buf_str(&secret), is_provisional);
}

static bool is_by_issuer(const struct cox_agent_workload *w, struct cox_str issuer_key_id)
{
	const struct cox_agent_cert *cert = cox_agent_identity_cert(w->identity);
	return issuer_key_id.n == 0 || (cert && cox_str_eq_nocase(cox_str_of(cert->issuer_key_id), issuer_key_id));
}

/* --- a bundle is acknowledged when Envoy lives by it ---------------------------------------- */

static void settle_bundle(struct cox_agent_workload *w)
{
	struct cox_agent_trust_info info = cox_agent_trust_info(w->trust);
	struct cox_str reason = COX_STR("");
	if (!w->is_bundle_owed)
		return;
	enum cox_agent_sds_state roots = w->sds ? cox_agent_sds_state(w->sds, roots_name, &reason) : COX_AGENT_SDS_TAKEN;
	if (roots == COX_AGENT_SDS_REJECTED) {
		w->is_bundle_owed = false;
		cox_agent_ads_answer(w->ads, w->bundle_type, reason.n ? reason : COX_STR("envoy rejected the roots"));
		return;
	}
	if (roots != COX_AGENT_SDS_TAKEN)
		return;
	if (info.must_renew &&
	    (!is_by_issuer(w, info.issuer_key_id) || cox_agent_sds_state(w->sds, cert_name, NULL) != COX_AGENT_SDS_TAKEN))
		return;
	w->is_bundle_owed = false;
	cox_log(COX_LOG_INFO, "trust", "bundle in force generation=%llu phase=%.*s", (unsigned long long)info.generation,
	        COX_FMT(info.phase));
	cox_agent_ads_answer(w->ads, w->bundle_type, COX_STR(""));
}

/* Spread over some seconds, so that a mesh does not ask its CA all at once; longer each time where a replica still signs with the old key.
 */
static void renew_for_rotation(struct cox_agent_workload *w)
{
	struct cox_agent_trust_info info = cox_agent_trust_info(w->trust);
	if (!info.must_renew || is_by_issuer(w, info.issuer_key_id)) {
		w->wrong_issuers = 0;
		return;
	}
	int64_t within = w->config.rotation_jitter_ms << (w->wrong_issuers < 16 ? w->wrong_issuers : 16);
	w->wrong_issuers++;
	cox_agent_identity_renew(w->identity, within < ROTATION_RETRY_MAX_MS ? within : ROTATION_RETRY_MAX_MS);
}

static void on_cert(void *ctx, const struct cox_agent_cert *cert)
{
	struct cox_agent_workload *w = ctx;
	COX_AUTO(cox_agent_secret_fini) struct cox_buf secret = { 0 };
	struct cox_err err = { 0 };
	/* Roots first: peers that trust the new issuer get our certificate, and we trust theirs before they show one. */
	if (cox_agent_trust_set_issued(w->trust, cox_buf_str(&cert->roots_pem), &err) != COX_OK)
		cox_log(COX_LOG_ERROR, "trust", "the roots beside the certificate cannot be used error=\"%s\"", err.text);
	publish_roots(w);
	cox_agent_secret_write_cert(cert_name, cox_buf_str(&cert->chain_pem), cox_buf_str(&cert->key_pem), &secret);
	cox_agent_sds_set(w->sds, cert_name, cox_buf_str(&secret), false);
	renew_for_rotation(w);
	settle_bundle(w);
}

/* --- the agent's own subscriptions ---------------------------------------------------------- */

static void on_bundle(void *ctx, size_t type, struct cox_str value)
{
	struct cox_agent_workload *w = ctx;
	struct cox_err err = { 0 };
	if (value.n == 0) { /* the server has none: what was known stays */
		cox_agent_ads_answer(w->ads, type, COX_STR(""));
		return;
	}
	if (cox_agent_trust_set_bundle(w->trust, value, &err) != COX_OK) {
		cox_log(COX_LOG_ERROR, "trust", "bundle refused error=\"%s\"", err.text);
		cox_agent_ads_answer(w->ads, type, cox_str_of(err.text));
		return;
	}
	w->is_bundle_owed = true;
	w->wrong_issuers = 0;
	publish_roots(w);
	renew_for_rotation(w);
	settle_bundle(w);
}

static void on_mesh(void *ctx, size_t type, struct cox_str value)
{
	struct cox_agent_workload *w = ctx;
	struct cox_err err = { 0 };
	if (cox_agent_trust_set_mesh(w->trust, value, &err) != COX_OK)
		cox_log(COX_LOG_ERROR, "trust", "roots of the mesh refused error=\"%s\"", err.text);
	else
		publish_roots(w);
	cox_agent_ads_answer(w->ads, type, cox_str_of(err.text));
}

static void on_names(void *ctx, size_t type, struct cox_str value)
{
	struct cox_agent_workload *w = ctx;
	struct cox_err err = { 0 };
	if (w->spec.on_name_table(w->spec.ctx, value, &err) != COX_OK)
		cox_log(COX_LOG_WARN, "agent", "the name table is not understood; the last one stays error=\"%s\"", err.text);
	cox_agent_ads_answer(w->ads, type, cox_str_of(err.text));
}

static void on_up(void *ctx)
{
	struct cox_agent_workload *w = ctx;
	if (w->bundle_wait && !w->has_no_bundles && !cox_agent_trust_info(w->trust).has_bundle)
		cox_timer_start(w->bundle_wait, BUNDLE_WAIT_MS, 0);
}

static void on_bundle_wait_over(void *ctx)
{
	struct cox_agent_workload *w = ctx;
	if (cox_agent_trust_info(w->trust).has_bundle || !cox_agent_ads_is_up(w->ads))
		return;
	w->has_no_bundles = true;
	publish_roots(w);
}

/* --- secrets by file ------------------------------------------------------------------------ */

static void on_want(void *ctx, struct cox_str name)
{
	struct cox_agent_workload *w = ctx;
	struct cox_err err = { 0 };
	if (cox_str_eq(name, cert_name) || cox_str_eq(name, roots_name) || w->is_closing)
		return;
	if (cox_agent_file_secrets_add(w->files, name, &err) != COX_OK)
		cox_log(COX_LOG_ERROR, "sds", "envoy asks for a secret that nobody has error=\"%s\"", err.text);
}

static void on_unwant(void *ctx, struct cox_str name)
{
	struct cox_agent_workload *w = ctx;
	if (!w->is_closing)
		cox_agent_file_secrets_remove(w->files, name);
}

static void on_file_secret(void *ctx, struct cox_str name, struct cox_str secret)
{
	struct cox_agent_workload *w = ctx;
	if (!cox_str_eq(name, cox_agent_file_crl_name)) {
		cox_agent_sds_set(w->sds, name, secret, false);
		return;
	}
	cox_buf_clear(&w->crl);
	cox_buf_append_str(&w->crl, secret);
	publish_roots(w);
}

static void on_progress(void *ctx) { settle_bundle(ctx); }

/* --- credentials for the control plane ------------------------------------------------------ */

static void part_gone(void *ctx);

static void run_credentials(void *arg)
{
	struct credentials_job *j = arg;
	const struct cox_agent_identity_config *c = &j->owner->config;
	struct cox_agent_credentials_spec spec = {
		.to = &c->xds,
		.token_file = c->token_file,
		.token_command = c->token_command,
		.prov_cert = c->prov_cert,
		.chain_pem = cox_buf_str(&j->chain_pem),
		.key_pem = cox_buf_str(&j->key_pem),
		.roots_pem = cox_buf_str(&j->roots_pem),
		.prefers_cert = true,
		.may_be_nobody = c->mode == COX_AGENT_IDENTITY_NONE || c->xds.is_plain,
	};
	j->rc = cox_agent_credentials_load(&spec, &j->out, &j->err);
}

static void on_credentials(void *arg, enum cox_rc rc)
{
	struct credentials_job *j = arg;
	struct cox_agent_workload *w = j->owner;
	if (rc == COX_OK && !w->is_closing) {
		if (j->question && j->rc == COX_OK)
			cox_agent_tap_dial(w->tap, j->question, &j->out);
		else if (j->question)
			cox_agent_tap_fail(w->tap, j->question, &j->err);
		else if (j->rc == COX_OK)
			cox_agent_ads_dial(w->ads, &j->out);
		else
			cox_agent_ads_fail(w->ads, &j->err);
	}
	cox_agent_credentials_fini(&j->out);
	cox_agent_secret_fini(&j->key_pem);
	cox_buf_fini(&j->chain_pem);
	cox_buf_fini(&j->roots_pem);
	cox_free(j);
	part_gone(w);
}

static void load_credentials(struct cox_agent_workload *w, uint64_t question)
{
	struct credentials_job *j = COX_NEW(struct credentials_job);
	const struct cox_agent_cert *cert = cox_agent_identity_valid_cert(w->identity);
	j->owner = w;
	j->question = question;
	if (cert) {
		cox_buf_reserve(&j->key_pem, cert->key_pem.n);
		cox_buf_append_str(&j->key_pem, cox_buf_str(&cert->key_pem));
		cox_buf_append_str(&j->chain_pem, cox_buf_str(&cert->chain_pem));
	}
	append_roots(w, &j->roots_pem);
	w->parts++;
	if (cox_work_submit(w->pool, w->spec.loop, run_credentials, on_credentials, j) != COX_OK) {
		j->rc = cox_err_set(&j->err, COX_ELIMIT, NULL, "too much work waits");
		on_credentials(j, COX_OK);
	}
}

static void on_want_credentials(void *ctx) { load_credentials(ctx, 0); }

static void on_tap_wants_credentials(void *ctx, uint64_t question) { load_credentials(ctx, question); }

static struct cox_str node_for_tap(void *ctx)
{
	struct cox_agent_workload *w = ctx;
	return w->ads ? cox_agent_ads_node(w->ads) : COX_STR("");
}

/* --- life ----------------------------------------------------------------------------------- */

static void part_gone(void *ctx)
{
	struct cox_agent_workload *w = ctx;
	if (--w->parts != 0)
		return;
	cox_work_pool_free(&w->pool);
	cox_agent_trust_free(&w->trust);
	cox_buf_fini(&w->crl);
	if (w->closed)
		w->closed(w->closed_ctx);
	cox_free(w);
}

static enum cox_rc open_sds(struct cox_agent_workload *w, struct cox_err *err)
{
	struct cox_agent_sds_spec spec = {
		.loop = w->spec.loop,
		.path = w->config.sds_path,
		.on_want = on_want,
		.on_unwant = on_unwant,
		.on_progress = on_progress,
		.ctx = w,
	};
	if (w->config.mode == COX_AGENT_IDENTITY_NONE)
		return COX_OK;
	enum cox_rc rc = cox_agent_sds_open(&spec, &w->sds, err);
	if (rc == COX_EEXIST) {
		cox_log(COX_LOG_INFO, "identity", "certificates come from somebody else socket=%s", w->config.sds_path);
		w->config.mode = COX_AGENT_IDENTITY_EXTERNAL;
		return COX_OK;
	}
	return rc;
}

/* Whoever mounted a certificate means it to be used; looked for once, as pilot-agent does. */
static void find_files(struct cox_agent_workload *w)
{
	const char *const paths[] = { w->config.chain_file, w->config.key_file, w->config.root_file };
	static const struct cox_agent_file_stamp none;
	if (w->config.mode != COX_AGENT_IDENTITY_CSR)
		return;
	for (size_t i = 0; i < COX_LEN(paths); i++) {
		struct cox_agent_file_stamp s = cox_agent_file_stamp(paths[i]);
		if (cox_agent_file_stamp_eq(&s, &none))
			return;
	}
	cox_log(COX_LOG_INFO, "identity", "the certificate is mounted chain=%s", w->config.chain_file);
	w->config.mode = COX_AGENT_IDENTITY_FILES;
}

static enum cox_rc open_ads(struct cox_agent_workload *w, struct cox_err *err)
{
	struct cox_agent_ads_type types[3];
	struct cox_agent_ads_spec spec = {
		.loop = w->spec.loop,
		.path = w->config.xds_path,
		.to = &w->config.xds,
		.on_want_credentials = on_want_credentials,
		.on_up = on_up,
		.types = types,
		.node = w->spec.node,
		.ctx = w,
	};
	if (w->config.mode == COX_AGENT_IDENTITY_CSR) {
		w->bundle_type = spec.type_n;
		types[spec.type_n++] = (struct cox_agent_ads_type){ PB_TYPE_URL(pb_coxswain_v1_TrustBundle), on_bundle };
		w->mesh_type = spec.type_n;
		types[spec.type_n++] = (struct cox_agent_ads_type){ PB_TYPE_URL(pb_istio_mesh_v1alpha1_ProxyConfig), on_mesh };
	}
	if (w->config.has_dns_capture && w->spec.on_name_table) {
		w->names_type = spec.type_n;
		types[spec.type_n++] = (struct cox_agent_ads_type){ PB_TYPE_URL(pb_istio_networking_nds_v1_NameTable), on_names };
	}
	return cox_agent_ads_open(&spec, &w->ads, err);
}

static void on_health(void *ctx, struct cox_str unhealthy)
{
	struct cox_agent_workload *w = ctx;
	cox_agent_ads_tell_health(w->ads, unhealthy);
}

/* For people who look for a fault: a port that is taken costs no more than that. */
static void open_tap(struct cox_agent_workload *w)
{
	struct cox_err err = { 0 };
	struct cox_agent_tap_spec spec = {
		.loop = w->spec.loop,
		.port = w->spec.tap_port,
		.to = &w->config.xds,
		.on_want_credentials = on_tap_wants_credentials,
		.node = node_for_tap,
		.ctx = w,
	};
	if (w->spec.tap_port && cox_agent_tap_open(&spec, &w->tap, &err) != COX_OK)
		cox_log(COX_LOG_WARN, "agent", "questions to the control plane are not passed on port=%u error=\"%s\"", w->spec.tap_port,
		        err.text);
}

static void open_identity(struct cox_agent_workload *w)
{
	struct cox_agent_identity_spec spec = {
		.loop = w->spec.loop,
		.pool = w->pool,
		.config = &w->config,
		.roots = append_roots,
		.on_cert = on_cert,
		.ctx = w,
	};
	if (w->config.mode == COX_AGENT_IDENTITY_CSR || w->config.mode == COX_AGENT_IDENTITY_FILES)
		cox_agent_identity_open(&spec, &w->identity);
}

enum cox_rc cox_agent_workload_open(const struct cox_agent_workload_spec *spec, struct cox_agent_workload **out, struct cox_err *err)
{
	struct cox_agent_workload *w = COX_NEW(struct cox_agent_workload);
	w->spec = *spec;
	w->config = *spec->config;
	w->parts = 1;
	w->pool = cox_work_pool_new("agent-work", WORKERS, JOBS_MAX);
	w->trust = cox_agent_trust_new();
	w->bundle_wait = cox_timer_new(spec->loop, on_bundle_wait_over, w);
	cox_agent_file_secrets_open(spec->loop, w->pool, w->config.crl_file, on_file_secret, w, &w->files);
	enum cox_rc rc = open_sds(w, err);
	find_files(w);
	if (rc == COX_OK)
		rc = open_ads(w, err);
	if (rc != COX_OK) {
		cox_agent_workload_close(&w, NULL, NULL);
		return rc;
	}
	open_tap(w);
	open_identity(w);
	if (spec->health && spec->health->is_on)
		cox_agent_health_open(spec->loop, spec->health, on_health, w, &w->health);
	*out = w;
	return COX_OK;
}

const char *cox_agent_workload_missing(const struct cox_agent_workload *w)
{
	bool needs_cert = w->config.mode == COX_AGENT_IDENTITY_CSR || w->config.mode == COX_AGENT_IDENTITY_FILES;
	return needs_cert && !cox_agent_identity_valid_cert(w->identity) ? "no certificate yet" : NULL;
}

void cox_agent_workload_close(struct cox_agent_workload **wp, void (*closed)(void *ctx), void *ctx)
{
	struct cox_agent_workload *w = COX_MOVE(*wp);
	if (!w) {
		if (closed)
			closed(ctx);
		return;
	}
	w->is_closing = true;
	w->closed = closed;
	w->closed_ctx = ctx;
	w->parts += 5;
	cox_timer_free(&w->bundle_wait);
	cox_agent_health_close(&w->health);
	cox_agent_tap_close(&w->tap, part_gone, w);
	cox_agent_ads_close(&w->ads, part_gone, w);
	cox_agent_identity_close(&w->identity, part_gone, w);
	cox_agent_file_secrets_close(&w->files, part_gone, w);
	cox_agent_sds_close(&w->sds, part_gone, w);
	part_gone(w);
}
