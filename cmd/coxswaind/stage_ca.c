#include "stage_ca.h"
#include "env.h"
#include "external_ca.h"
#include "stage_federation.h"
#include "stage_serve.h"
#include "stage_trust.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "codec/fields.h"
#include "model/mesh.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum { METRICS_MS = 15000, DAY_S = 24 * 3600 };

/* --- settings: istiod's environment (features g44) ------------------------------------------------------------ */

static enum cox_rc read_seconds(enum env_id id, int64_t fallback_s, int64_t *out, struct cox_err *err)
{
	const char *text = env_given(id);
	int64_t ns;
	*out = fallback_s;
	if (!text)
		return COX_OK;
	if (cox_duration_parse(cox_str_of(text), &ns) != COX_OK || ns < INT64_C(1000000000))
		return cox_err_set(err, COX_EINVAL, NULL, "%s: \"%s\" is not a duration of at least a second, such as 24h", env_name(id),
		                   text);
	*out = ns / INT64_C(1000000000);
	return COX_OK;
}

static enum cox_rc read_number(enum env_id id, int64_t fallback, int64_t min, int64_t max, int64_t *out, struct cox_err *err)
{
	const char *text = env_given(id);
	*out = fallback;
	if (!text)
		return COX_OK;
	if (cox_str_to_i64(cox_str_of(text), out) != COX_OK || *out < min || *out > max)
		return cox_err_set(err, COX_EINVAL, NULL, "%s: \"%s\" is not a number from %lld to %lld", env_name(id), text,
		                   (long long)min, (long long)max);
	return COX_OK;
}

/* COXSWAIN_CA_KEY_TYPE (P256, P384, RSA2048, ...), or istiod's key size, which means RSA. */
static enum cox_rc key_type(enum cox_key_type *out, struct cox_err *err)
{
	const char *name = env_given(ENV_COXSWAIN_CA_KEY_TYPE), *bits = env_given(ENV_CITADEL_SELF_SIGNED_CA_RSA_KEY_SIZE);
	char rsa[32];
	*out = COX_KEY_P256;
	if (name && name[0])
		return cox_key_type_find(cox_str_of(name), out)
		           ? COX_OK
		           : cox_err_set(err, COX_EINVAL, NULL,
		                         "COXSWAIN_CA_KEY_TYPE: \"%s\" is not P256, P384, RSA2048, RSA3072 or RSA4096", name);
	if (!bits || !bits[0])
		return COX_OK;
	snprintf(rsa, sizeof(rsa), "RSA%.8s", bits);
	return cox_key_type_find(cox_str_of(rsa), out)
	           ? COX_OK
	           : cox_err_set(err, COX_EINVAL, NULL, "CITADEL_SELF_SIGNED_CA_RSA_KEY_SIZE: \"%s\" is not 2048, 3072 or 4096", bits);
}

static enum cox_rc read_settings(const struct flags *flags, struct cox_ca_spec *spec, struct cox_err *err)
{
	int64_t percent, rate;
	*spec = (struct cox_ca_spec){ .trust_domain = COX_STR("cluster.local"),
		                      .ns = cox_str_of(flags->ns),
		                      .revision = cox_str_of(flags->revision),
		                      .kubeconfig = flags->kubeconfig,
		                      .state_dir = flags->ca_dir,
		                      .root_ca_dir = env_given(ENV_ROOT_CA_DIR),
		                      .replica = cox_str_of(env_given(ENV_POD_NAME)),
		                      .backdate_s = 120 };
	spec->store = !flags->config_dir ? COX_CA_STORE_KUBE : flags->ca_dir ? COX_CA_STORE_DIR : COX_CA_STORE_MEMORY;
	if (!spec->root_ca_dir)
		spec->root_ca_dir = "./etc/cacerts";
	COX_TRY(key_type(&spec->key_type, err));
	COX_TRY(read_seconds(ENV_CITADEL_SELF_SIGNED_CA_CERT_TTL, 3650 * (int64_t)DAY_S, &spec->root_ttl_s, err));
	COX_TRY(read_seconds(ENV_DEFAULT_WORKLOAD_CERT_TTL, DAY_S, &spec->default_ttl_s, err));
	COX_TRY(read_seconds(ENV_MAX_WORKLOAD_CERT_TTL, 90 * (int64_t)DAY_S, &spec->max_ttl_s, err));
	COX_TRY(read_number(ENV_CITADEL_SELF_SIGNED_ROOT_CERT_GRACE_PERIOD_PERCENTILE, 20, 1, 99, &percent, err));
	COX_TRY(read_number(ENV_COXSWAIN_CA_SIGNATURES_PER_SECOND, 2000, 1, 1000000, &rate, err));
	if (spec->default_ttl_s > spec->max_ttl_s)
		return cox_err_set(err, COX_EINVAL, NULL, "DEFAULT_WORKLOAD_CERT_TTL is longer than MAX_WORKLOAD_CERT_TTL");
	spec->root_grace = (double)percent / 100;
	spec->signatures_per_s = (unsigned)rate;
	return COX_OK;
}

enum cox_rc stage_ca_fork(const struct flags *flags, struct cox_ca_processes **out, struct cox_err *err)
{
	struct cox_ca_spec spec;
	const char *custom = env_given(ENV_ISTIOD_CUSTOM_HOST);
	struct cox_str rest = cox_str_of(custom), names[32], name;
	size_t n = 0;
	*out = NULL;
	if (!env_bool(ENV_ENABLE_CA_SERVER))
		return COX_OK;
	COX_TRY(external_ca_check(flags, err));
	if (external_ca_is_set())
		return COX_OK; /* no key is made or read */
	COX_TRY(read_settings(flags, &spec, err));
	while (custom && n < COX_LEN(names) && cox_str_next(&rest, ',', &name))
		if (cox_str_trim(name).n)
			names[n++] = cox_str_trim(name);
	spec.serving_dns = names;
	spec.serving_dns_n = n;
	return cox_ca_fork(&spec, out, err);
}

/* --- what the CA says ------------------------------------------------------------------------------------------- */

static void set_expiry(const struct cox_ca_bundle *b)
{
	double now_s = (double)cox_clock_wall_ms() / 1000;
	cox_metric_set(COX_M_CA_ROOT_EXPIRY, NULL, (double)b->root_not_after_s);
	cox_metric_set(COX_M_CA_ROOT_EXPIRY_SECONDS, NULL, (double)b->root_not_after_s - now_s);
	cox_metric_set(COX_M_CA_CHAIN_EXPIRY, NULL, (double)b->issuer_not_after_s);
	cox_metric_set(COX_M_CA_CHAIN_EXPIRY_SECONDS, NULL, (double)b->issuer_not_after_s - now_s);
	cox_metric_set(COX_M_CA_PHASE, NULL, (double)b->phase);
}

static void on_metrics(void *ctx)
{
	struct daemon *d = ctx;
	external_ca_refresh(d);
	const struct cox_ca_bundle *b = cox_ca_bundle_get(d->ca);
	if (b)
		set_expiry(b);
	cox_ca_bundle_unref(b);
}

static void on_bundle(void *ctx, const struct cox_ca_bundle *b)
{
	struct daemon *d = ctx;
	char root_end[32], end[32];
	cox_clock_format(b->root_not_after_s * 1000, root_end);
	cox_clock_format(b->issuer_not_after_s * 1000, end);
	cox_log(COX_LOG_INFO, "ca",
	        "bundle generation=%llu phase=%s trust-domain=%.*s roots=%zu issuer=%.*s root-expiry=%s issuer-expiry=%s crl=%s",
	        (unsigned long long)b->generation, cox_ca_phase_name(b->phase), COX_FMT(b->trust_domain), b->root_n,
	        COX_FMT(b->issuer_key_id), root_end, end, b->crl_pem.n ? "yes" : "no");
	set_expiry(b);
	serve_on_bundle(d, b);
	trust_on_bundle(d, b);
}

static void on_fault(void *ctx, const struct cox_err *err)
{
	(void)ctx;
	cox_metric_add(COX_M_CA_FAULTS, NULL, 1);
	cox_log(COX_LOG_ERROR, "ca", "%s", err->text);
}

/* The end, in order: a restarted control plane is better than one that cannot sign. Proxies keep what they have. */
static void on_lost(void *ctx, const char *which)
{
	struct daemon *d = ctx;
	cox_log(COX_LOG_ERROR, "ca", "%s: coxswaind cannot go on without it and ends", which);
	d->exit_status = 1;
	kill(getpid(), SIGTERM);
}

enum cox_rc stage_ca_start(struct daemon *d, struct cox_err *err)
{
	const struct cox_ca_cb cb = { on_bundle, on_fault, on_lost, d };
	if (!env_bool(ENV_ENABLE_CA_SERVER))
		return COX_OK;
	if (external_ca_is_set()) {
		struct external_ca_ttl ttl;
		COX_TRY(read_seconds(ENV_DEFAULT_WORKLOAD_CERT_TTL, DAY_S, &ttl.default_s, err));
		COX_TRY(read_seconds(ENV_MAX_WORKLOAD_CERT_TTL, 90 * (int64_t)DAY_S, &ttl.max_s, err));
		COX_TRY(read_seconds(ENV_COXSWAIN_EXTERNAL_CA_TIMEOUT, 0, &ttl.timeout_s, err));
		COX_TRY(external_ca_start(d, &cb, &ttl, err));
	} else {
		COX_TRY(cox_ca_open(d->loop, &d->ca_processes, &cb, &d->ca, err));
	}
	d->ca_timer = cox_timer_new(d->loop, on_metrics, d);
	/* The first bundle of a CA elsewhere comes from here, when those that use it have started. */
	cox_timer_start(d->ca_timer, d->external_ca ? 0 : METRICS_MS, METRICS_MS);
	return COX_OK;
}

void stage_ca_stop(struct daemon *d)
{
	cox_timer_free(&d->ca_timer);
	cox_ca_close(&d->ca);
	external_ca_stop(d);
}

void stage_ca_mesh_changed(struct daemon *d)
{
	struct cox_str name = cox_registry_mesh(d->registry)->trust_domain;
	if (d->ca && name.n && !cox_str_eq(name, cox_buf_str(&d->trust_domain))) {
		cox_buf_clear(&d->trust_domain);
		cox_buf_append_str(&d->trust_domain, name);
		cox_ca_set_trust_domain(d->ca, name);
	}
	external_ca_refresh(d);
	federation_mesh_changed(d);
}
