#include "stage_trust.h"
#include "env.h"
#include "stage_federation.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "ca/distribute.h"
#include "ca/trust.h"
#include "translate/guard.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	TICK_MS = 500,
	SETTLE_MS = 60000,       /* a phase lasts at least so long: agents that are just reconnecting, caches of ConfigMap volumes */
	WARN_SHARE = 20,         /* percent of a CA certificate's life */
	WARN_S = 90 * 24 * 3600, /* or so long before its end */
};

struct trust {
	struct daemon *d;
	struct cox_ledger *ledger;
	struct cox_distribute *distribute; /* with a kube-apiserver only */
	struct cox_timer *tick;
	const struct cox_ca_bundle *bundle;
	struct cox_hash sets[2];    /* of the bundle as TRUST and as PCDS */
	struct cox_xds_acked acked; /* of TRUST, while PCDS is asked */
	int64_t phase_since_ms, settle_ms;
	bool is_leader, is_asking, is_closed, is_always_guarded, drains_tcp, has_followed, was_told;
};

/* --- rotation: a phase is over when everybody has followed ------------------------------------------- */

static bool has_followed(struct trust *t, const struct cox_xds_acked *pcds)
{
	const struct cox_ca_bundle *b = t->bundle;
	if (t->acked.acked < t->acked.watching || (t->distribute && cox_distribute_behind(t->distribute)))
		return false;
	if (cox_clock_mono_ms() - t->phase_since_ms < t->settle_ms)
		return false;
	if (b->phase != COX_CA_SIGN)
		return pcds->acked == pcds->watching;
	/* pilot-agent does not say when it has a new certificate: the old ones must have ended. */
	return pcds->watching <= t->acked.watching || cox_ledger_last_by_others(t->ledger, b->issuer_key_id) == 0;
}

static void on_pcds(void *ctx, const struct cox_xds_acked *pcds)
{
	struct trust *t = ctx;
	t->is_asking = false;
	if (t->is_closed) {
		cox_free(t);
		return;
	}
	if (!t->bundle || t->bundle->phase == COX_CA_STEADY)
		return;
	bool followed = has_followed(t, pcds);
	if (followed != t->has_followed || !t->was_told)
		cox_log(COX_LOG_INFO, "ca", "rotation phase=%s state=%s agents=%zu/%zu pilot_agents=%zu/%zu secrets_behind=%zu",
		        cox_ca_phase_name(t->bundle->phase), followed ? "followed" : "behind", t->acked.acked, t->acked.watching,
		        pcds->acked, pcds->watching, t->distribute ? cox_distribute_behind(t->distribute) : 0);
	t->has_followed = followed;
	t->was_told = true;
	if (followed) /* of this replica's proxies; the keepers agree with each other */
		cox_ca_phase_done(t->d->ca, t->bundle->generation);
}

static void on_trust(void *ctx, const struct cox_xds_acked *acked)
{
	struct trust *t = ctx;
	t->acked = *acked;
	if (t->is_closed) {
		cox_free(t);
		return;
	}
	cox_xds_server_acked(t->d->xds, COX_TYPE_PCDS, t->sets[1], on_pcds, t);
}

static void on_tick(void *ctx)
{
	struct trust *t = ctx;
	if (!t->bundle || t->bundle->phase == COX_CA_STEADY) {
		cox_timer_stop(t->tick);
	} else if (!t->is_asking && t->d->xds) {
		t->is_asking = true;
		cox_xds_server_acked(t->d->xds, COX_TYPE_TRUST, t->sets[0], on_trust, t);
	}
}

static void on_rotate(void *ctx)
{
	struct trust *t = ctx;
	struct cox_err err = { 0 };
	if (!t->is_leader || !t->bundle)
		return;
	if (cox_ca_rotate_root(t->d->ca, &err) == COX_OK)
		cox_log(COX_LOG_INFO, "ca", "a rotation of the root begins");
	else
		cox_log(COX_LOG_WARN, "ca", "the rotation of the root that was asked for does not begin error=\"%s\"", err.text);
	cox_ledger_rotate_taken(t->ledger);
}

/* --- the bundle ------------------------------------------------------------------------------------------ */

static void warn_of(struct trust *t, const char *what, const char *reason, int64_t not_after_s)
{
	int64_t left = not_after_s - cox_clock_wall_ms() / 1000;
	char text[200], when[32];
	if (!not_after_s || left > WARN_S)
		return;
	cox_clock_format(not_after_s * 1000, when);
	snprintf(text, sizeof(text), "the CA's %s certificate ends at %s, in %lld days", what, when, (long long)(left / 86400));
	cox_log(left < WARN_S / 3 ? COX_LOG_ERROR : COX_LOG_WARN, "ca", "%s", text);
	if (t->distribute)
		cox_distribute_warn(t->distribute, reason, cox_str_of(text));
}

void trust_refresh(struct daemon *d)
{
	struct trust *t = d->trust;
	static const enum cox_type types[2] = { COX_TYPE_TRUST, COX_TYPE_PCDS };
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	struct cox_trust_domain *domains;
	size_t n;
	if (!t || !t->bundle || !federation_domains(d, t->bundle, &arena, &domains, &n))
		return;
	for (size_t i = 0; i < COX_LEN(types); i++) {
		struct cox_set *set = cox_trust_set_build(t->bundle, domains, n, types[i]);
		t->sets[i] = set->hash;
		cox_push_set_global_take(d->push, types[i], set);
	}
}

void trust_on_bundle(struct daemon *d, const struct cox_ca_bundle *b)
{
	struct trust *t = d->trust;
	if (!t)
		return;
	if (!t->bundle || t->bundle->phase != b->phase) {
		t->phase_since_ms = cox_clock_mono_ms();
		t->was_told = t->has_followed = false;
	}
	cox_ca_bundle_unref(t->bundle);
	t->bundle = cox_ca_bundle_ref(b);
	trust_refresh(d);
	if (t->distribute)
		cox_distribute_bundle(t->distribute, b);
	warn_of(t, "root", "RootCertificateEnds", b->root_not_after_s);
	if (b->issuer_not_after_s != b->root_not_after_s)
		warn_of(t, "signing", "SigningCertificateEnds", b->issuer_not_after_s);
	if (b->phase != COX_CA_STEADY && !cox_timer_is_running(t->tick))
		cox_timer_start(t->tick, 0, TICK_MS);
}

/* Envoys refuse on open connections what the handshake refuses on new ones. */
static void guard(struct trust *t, const struct cox_ca_revoked *items, size_t n)
{
	bool was = cox_registry_guard(t->d->registry).is_on, is = n > 0 || t->is_always_guarded;
	if (!was && !is)
		return;
	COX_VEC(struct cox_str) serials = { 0 };
	for (size_t i = 0; i < n; i++)
		cox_vec_push(&serials, cox_str_of(items[i].serial));
	struct cox_set *set = cox_guard_set_build(serials.p, serials.n);
	struct cox_guard now = { is, t->drains_tcp && n > 0 ? set->hash.lo : 0 };
	cox_push_set_global_take(t->d->push, COX_TYPE_ECDS, set);
	cox_vec_fini(&serials);
	cox_registry_set_guard(t->d->registry, now);
	cox_push_poke(t->d->push);
}

static void on_revoked(void *ctx, const struct cox_ca_revoked *items, size_t n)
{
	struct trust *t = ctx;
	if (t->d->ca)
		cox_ca_set_revoked(t->d->ca, items, n);
	guard(t, items, n);
}

static void on_blocked(void *ctx)
{
	struct trust *t = ctx;
	if (t->d->on_blocked)
		t->d->on_blocked(t->d);
}

/* --- from the source and the lease ---------------------------------------------------------------------------- */

void trust_on_object(struct daemon *d, enum cox_kind kind, struct cox_str ns, struct cox_str name, const struct cox_object *o)
{
	struct trust *t = d->trust;
	if (!t || !t->distribute)
		return;
	if (kind == COX_KIND_SERVICE_ACCOUNT) {
		cox_distribute_account(t->distribute, ns, name, o != NULL);
	} else if (kind == COX_KIND_NAMESPACE) {
		struct cox_label labels[64];
		size_t n = 0;
		for (size_t i = 0; o && i < o->meta.labels.n && n < COX_LEN(labels); i++)
			labels[n++] = (struct cox_label){ o->meta.labels.p[i].key, o->meta.labels.p[i].value };
		cox_distribute_ns(t->distribute, name, labels, n, o != NULL);
	}
}

void trust_on_leader(struct daemon *d, bool is_leader)
{
	struct trust *t = d->trust;
	if (!t)
		return;
	t->is_leader = is_leader;
	if (t->distribute)
		cox_distribute_lead(t->distribute, is_leader);
}

/* --- life -------------------------------------------------------------------------------------------------------- */

enum cox_rc start_trust(struct daemon *d, struct cox_err *err)
{
	char host[128] = "", replica[192], dir[4096];
	int64_t settle;
	if (!d->ca)
		return COX_OK;
	gethostname(host, sizeof(host) - 1);
	snprintf(replica, sizeof(replica), "%s-%d", host, (int)getpid());
	struct trust *t = COX_NEW(struct trust);
	t->d = d;
	t->settle_ms =
	    cox_str_to_i64(cox_str_of(env_given(ENV_COXSWAIN_ROTATION_SETTLE_MS)), &settle) == COX_OK && settle >= 0 ? settle : SETTLE_MS;
	t->is_leader = !d->kube; /* nobody else is there */
	t->is_always_guarded = cox_str_eq_cstr(cox_str_of(env_given(ENV_COXSWAIN_REVOCATION_GUARD)), "always");
	t->drains_tcp = cox_str_eq_cstr(cox_str_of(env_given(ENV_COXSWAIN_REVOCATION_TCP)), "drain");
	t->tick = cox_timer_new(d->loop, on_tick, t);
	d->trust = t;
	if (d->flags.ca_dir && mkdir(d->flags.ca_dir, 0700) != 0 && errno != EEXIST) /* the keeper makes it, too: whoever is first */
		return cox_err_set(err, COX_EIO, NULL, "--caDir: %s cannot be made", d->flags.ca_dir);
	if (d->flags.ca_dir)
		snprintf(dir, sizeof(dir), "%s/" COX_LEDGER_DIR, d->flags.ca_dir);
	COX_TRY(cox_ledger_open(&(struct cox_ledger_spec){ .loop = d->loop,
	                                                   .kube = d->kube,
	                                                   .ns = cox_str_of(d->flags.ns),
	                                                   .replica = cox_str_of(replica),
	                                                   .state_dir = !d->kube && d->flags.ca_dir ? dir : NULL,
	                                                   .on_revoked = on_revoked,
	                                                   .on_blocked = on_blocked,
	                                                   .on_rotate = on_rotate,
	                                                   .ctx = t },
	                        &t->ledger, err));
	d->ledger = t->ledger;
	if (d->kube)
		cox_distribute_open(
		    &(struct cox_distribute_spec){ .kube = d->kube,
		                                   .ca = d->ca,
		                                   .ledger = t->ledger,
		                                   .ns = cox_str_of(d->flags.ns),
		                                   .config_map = cox_str_of(env_given(ENV_PILOT_CA_CERT_CONFIGMAP)),
		                                   .trust_bundle = env_bool(ENV_ENABLE_CLUSTER_TRUST_BUNDLE_API),
		                                   .secrets_by_default = env_bool(ENV_CITADEL_ENABLE_NAMESPACES_BY_DEFAULT) },
		    &t->distribute);
	return COX_OK;
}

static void note(void *ctx) { *(bool *)ctx = true; }
static bool is_set(void *ctx) { return *(bool *)ctx; }

void stop_trust(struct daemon *d)
{
	struct trust *t = d->trust;
	bool closed = false;
	d->trust = NULL;
	d->ledger = NULL;
	if (!t)
		return;
	cox_distribute_close(&t->distribute);
	if (t->ledger) {
		cox_ledger_close(&t->ledger, note, &closed);
		cox_loop_run_until(d->loop, is_set, &closed, 5000); /* what was issued last is stored */
	}
	cox_timer_free(&t->tick);
	cox_ca_bundle_unref(t->bundle);
	t->bundle = NULL;
	t->is_closed = true;
	if (!t->is_asking)
		cox_free(t);
}
