#include "status/lead.h"

#include "base/arena.h"
#include "base/log.h"
#include "codec/json.h"
#include "kube/watch.h"
#include "loop/timer.h"
#include "status/lease.h"
#include "status/lease_priv.h"

#include <stdio.h>

static const struct lock_info {
	const char *name;
	enum cox_lease_form form;
	bool per_revision;
	enum cox_duty duty;
} infos[] = {
	{ "istio-namespace-controller-election", COX_LEASE_CONFIG_MAP, false, COX_DUTY_ROOTS },
	{ "istio-leader", COX_LEASE_CONFIG_MAP, false, COX_DUTY_INGRESS },
	{ "istio-analyze-leader", COX_LEASE_CONFIG_MAP, false, COX_DUTY_STATUS },
	{ "istio-status-leader", COX_LEASE_OBJECT, false, COX_DUTY_STATUS },
	{ "istio-gateway-status-leader", COX_LEASE_OBJECT, true, COX_DUTY_GATEWAY },
	{ "istio-ip-autoallocate", COX_LEASE_CONFIG_MAP, false, COX_DUTY_ADDRESSES },
	{ "istio-gateway-deployment", COX_LEASE_OBJECT, true, COX_DUTY_DEPLOY },
};
/* Of istiods before 1.25, for all revisions: whoever finds it held waits for it once, and then it is nobody's for ever. */
static const struct lock_info old_gateway = { "istio-gateway-status-leader", COX_LEASE_CONFIG_MAP, false, COX_DUTY_GATEWAY };

struct lock {
	struct cox_lead *lead;
	enum cox_duty duty;
	struct cox_lease *lease;
	bool is_held, is_done; /* done: released, or nothing to wait for */
};

struct cox_lead {
	struct cox_lead_spec spec;
	struct cox_arena text;
	struct lock locks[COX_LEN(infos)], old;
	struct cox_kube_request *old_request;
	struct cox_kube_watch *default_watch; /* of the webhook configuration that names the default revision */
	struct cox_timer *timer;              /* what must not happen inside a callback */
	bool is_default;                      /* our revision is the default one */
	bool has[COX_DUTY_COUNT];
	void (*released)(void *ctx);
	void *released_ctx;
};

const char *cox_duty_name(enum cox_duty duty)
{
	static const char *const names[] = { "roots", "ingress", "status", "gateway", "addresses", "deployments" };
	return names[duty];
}

static bool wants(const struct cox_lead *l, enum cox_duty duty) { return !(l->spec.without & (1u << duty)); }

/* --- which jobs are ours ---------------------------------------------------------------------------------------------- */

static void settle(struct cox_lead *l)
{
	bool has[COX_DUTY_COUNT];
	for (size_t d = 0; d < COX_DUTY_COUNT; d++)
		has[d] = wants(l, (enum cox_duty)d) && !l->released;
	for (size_t i = 0; i < COX_LEN(infos) && !l->spec.is_alone; i++)
		has[infos[i].duty] &= l->locks[i].is_held;
	if (!l->old.is_done && !l->spec.is_alone)
		has[COX_DUTY_GATEWAY] = false;
	for (size_t d = 0; d < COX_DUTY_COUNT; d++)
		if (has[d] != l->has[d]) {
			l->has[d] = has[d];
			l->spec.on_change(l->spec.ctx, (enum cox_duty)d, has[d]);
		}
}

static void on_lock(void *ctx, bool is_leader)
{
	struct lock *k = ctx;
	k->is_held = is_leader;
	settle(k->lead);
}

/* Holders that tell no revision are istiods of one revision alone, or have gone. */
static bool may_evict(void *ctx, struct cox_str holder_key)
{
	const struct lock *k = ctx;
	return k->lead->is_default && holder_key.n > 0;
}

/* --- the lock of older istiods ------------------------------------------------------------------------------------------ */

static void on_old_released(void *ctx) { cox_lease_close(&((struct cox_lead *)ctx)->old.lease); }

static void on_old_lock(void *ctx, bool is_leader)
{
	struct lock *k = ctx;
	if (!is_leader || k->is_done)
		return;
	k->is_done = true;
	cox_log(COX_LOG_INFO, "status", "the lock of older revisions was handed over lock=%s", old_gateway.name);
	settle(k->lead);
	cox_timer_start(k->lead->timer, 0, 0); /* to give it back: not from inside */
}

static void lock_open(struct cox_lead *l, struct lock *k, const struct lock_info *info)
{
	char name[256];
	struct cox_str revision = l->spec.revision;
	snprintf(name, sizeof(name), info->per_revision ? "%s-%.*s" : "%s", info->name, COX_FMT(revision));
	k->lead = l;
	k->duty = info->duty;
	cox_lease_open(l->spec.kube,
	               &(struct cox_lease_spec){ .ns = l->spec.ns,
	                                         .name = cox_str_of(name),
	                                         .form = info->form,
	                                         .identity = l->spec.identity,
	                                         .key = info->per_revision ? (struct cox_str){ 0 } : revision,
	                                         .duration_ms = l->spec.duration_ms,
	                                         .may_evict = info->per_revision ? NULL : may_evict,
	                                         .on_change = info == &old_gateway ? on_old_lock : on_lock,
	                                         .ctx = k },
	               &k->lease);
}

static void on_old_read(void *ctx, struct cox_kube_request *r, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err)
{
	struct cox_lead *l = ctx;
	struct cox_arena a = { 0 };
	struct cox_json *v = NULL;
	struct lease_record seen = { 0 };
	(void)r, (void)err;
	l->old_request = NULL;
	if (rc == COX_OK && cox_json_parse(&a, body, &v, NULL) == COX_OK)
		lease_record_read(COX_LEASE_CONFIG_MAP, v, &a, &seen);
	bool is_held = seen.holder.n > 0;
	cox_arena_fini(&a);
	if (is_held) {
		lock_open(l, &l->old, &old_gateway);
	} else if (rc == COX_OK || status == 404) {
		l->old.is_done = true;
		settle(l);
	} else {
		cox_timer_start(l->timer, 2000, 0);
	}
}

static void old_ask(struct cox_lead *l)
{
	struct cox_buf path = { 0 };
	struct cox_kube_request_cb cb = { .on_done = on_old_read, .ctx = l };
	cox_kube_path(&path, COX_STR(""), COX_STR("v1"), COX_STR("configmaps"), l->spec.ns, cox_str_of(old_gateway.name), COX_STR(""));
	cox_kube_call(l->spec.kube, "GET", cox_buf_str(&path), COX_STR(""), &cb, &l->old_request);
	cox_buf_fini(&path);
}

/* --- the default revision ------------------------------------------------------------------------------------------------- */

static void set_default(struct cox_lead *l, struct cox_str revision)
{
	bool was = l->is_default;
	l->is_default = cox_str_eq(revision, l->spec.revision);
	for (size_t i = 0; i < COX_LEN(infos) && l->is_default && !was; i++)
		if (l->locks[i].lease)
			cox_lease_poke(l->locks[i].lease);
}

static void on_tag(void *ctx, const struct cox_kube_item *item, struct cox_kube_entry *e)
{
	struct cox_arena a = { 0 };
	struct cox_json *v = NULL;
	(void)e;
	if (cox_json_parse(&a, item->text, &v, NULL) == COX_OK) {
		const struct cox_json *labels = cox_json_at(v, "metadata.labels"),
		                      *rev = labels ? cox_json_get(labels, COX_STR("istio.io/rev")) : NULL;
		set_default(ctx, rev && rev->type == COX_JSON_STRING ? rev->text : (struct cox_str){ 0 });
	}
	cox_arena_fini(&a);
}

static void on_no_tag(void *ctx, struct cox_kube_entry *e)
{
	(void)e;
	set_default(ctx, (struct cox_str){ 0 });
}

static void on_tag_synced(void *ctx, enum cox_rc rc) { (void)ctx, (void)rc; }

/* Without it nothing is taken from others. */
static void on_tag_trouble(void *ctx, enum cox_rc rc, const struct cox_err *err)
{
	(void)ctx;
	if (rc != COX_OK)
		cox_log(COX_LOG_DEBUG, "status", "the default revision is not known error=\"%s\"", err->text);
}

static void default_watch(struct cox_lead *l)
{
	struct cox_kube_watch_cb cb = { .put = on_tag, .remove = on_no_tag, .synced = on_tag_synced, .trouble = on_tag_trouble, .ctx = l };
	struct cox_str usual = COX_STR("istio-system");
	struct cox_str selector = cox_str_eq(l->spec.ns, usual)
	                              ? COX_STR("metadata.name=istio-revision-tag-default")
	                              : cox_arena_printf(&l->text, "metadata.name=istio-revision-tag-default-%.*s", COX_FMT(l->spec.ns));
	cox_kube_watch_open(l->spec.kube,
	                    &(struct cox_kube_watch_spec){ .group = COX_STR("admissionregistration.k8s.io"),
	                                                   .plural = COX_STR("mutatingwebhookconfigurations"),
	                                                   .kind = COX_STR("MutatingWebhookConfiguration"),
	                                                   .versions = COX_STR("v1"),
	                                                   .field_selector = selector,
	                                                   .metadata_only = true },
	                    &cb, &l->default_watch);
}

/* --- life --------------------------------------------------------------------------------------------------------------- */

static void on_timer(void *ctx)
{
	struct cox_lead *l = ctx;
	if (l->spec.is_alone)
		settle(l);
	else if (l->old.is_done)
		cox_lease_release(l->old.lease, on_old_released, l);
	else
		old_ask(l);
}

void cox_lead_open(const struct cox_lead_spec *spec, struct cox_lead **out)
{
	struct cox_lead *l = COX_NEW(struct cox_lead);
	l->spec = *spec;
	l->spec.ns = cox_arena_str(&l->text, spec->ns);
	l->spec.identity = cox_arena_str(&l->text, spec->identity);
	l->spec.revision = spec->revision.n ? cox_arena_str(&l->text, spec->revision) : COX_STR("default");
	l->timer = cox_timer_new(cox_kube_client_loop(spec->kube), on_timer, l);
	*out = l;
	if (spec->is_alone) {
		cox_log(COX_LOG_INFO, "status", "no leader election: this replica is the only one");
		cox_timer_start(l->timer, 0, 0);
		return;
	}
	default_watch(l);
	for (size_t i = 0; i < COX_LEN(infos); i++)
		if (wants(l, infos[i].duty))
			lock_open(l, &l->locks[i], &infos[i]);
	if (wants(l, COX_DUTY_GATEWAY))
		cox_timer_start(l->timer, 0, 0);
}

bool cox_lead_has(const struct cox_lead *l, enum cox_duty duty)
{
	if (!l->has[duty] || l->spec.is_alone)
		return l->has[duty];
	for (size_t i = 0; i < COX_LEN(infos); i++)
		if (infos[i].duty == duty && !cox_lease_is_held(l->locks[i].lease))
			return false;
	return true;
}

static void released_one(struct cox_lead *l)
{
	for (size_t i = 0; i < COX_LEN(infos); i++)
		if (l->locks[i].lease && !l->locks[i].is_done)
			return;
	l->released(l->released_ctx);
}

static void on_lock_released(void *ctx)
{
	struct lock *k = ctx;
	k->is_done = true;
	released_one(k->lead);
}

void cox_lead_release(struct cox_lead *l, void (*done)(void *ctx), void *ctx)
{
	l->released = done;
	l->released_ctx = ctx;
	settle(l);
	cox_kube_request_close(&l->old_request);
	cox_lease_close(&l->old.lease);
	cox_timer_stop(l->timer);
	bool any = false;
	for (size_t i = 0; i < COX_LEN(infos); i++)
		if (l->locks[i].lease) {
			any = true;
			cox_lease_release(l->locks[i].lease, on_lock_released, &l->locks[i]);
		}
	if (!any)
		done(ctx);
}

void cox_lead_close(struct cox_lead **lp)
{
	struct cox_lead *l = *lp;
	*lp = NULL;
	if (!l)
		return;
	cox_kube_request_close(&l->old_request);
	cox_kube_watch_close(&l->default_watch);
	for (size_t i = 0; i < COX_LEN(infos); i++)
		cox_lease_close(&l->locks[i].lease);
	cox_lease_close(&l->old.lease);
	cox_timer_free(&l->timer);
	cox_arena_fini(&l->text);
	cox_free(l);
}
