#include "stage_status.h"
#include "env.h"

#include "stage_trust.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/fields.h"

#include <stdio.h>
#include <unistd.h>

static void on_duty(void *arg, enum cox_duty duty, bool is_ours)
{
	struct daemon *d = arg;
	cox_log(COX_LOG_INFO, "status", "%s job=%s", is_ours ? "this replica does it for all" : "left to another replica",
	        cox_duty_name(duty));
	switch (duty) {
	case COX_DUTY_ROOTS: trust_on_leader(d, is_ours); break;
	case COX_DUTY_INGRESS: cox_status_lead(d->status, COX_STATUS_INGRESS, is_ours); break;
	case COX_DUTY_GATEWAY: cox_status_lead(d->status, COX_STATUS_GATEWAY, is_ours); break;
	case COX_DUTY_ADDRESSES: cox_addresses_lead(d->addresses, is_ours); break;
	case COX_DUTY_DEPLOY: cox_deploy_lead(d->deploy, is_ours); break;
	case COX_DUTY_STATUS:
		cox_converge_lead(d->converge, is_ours);
		cox_status_lead(d->status, COX_STATUS_OWN, is_ours);
		break;
	case COX_DUTY_COUNT: break;
	}
	if (is_ours)
		findings_poke(d->findings);
}

/* The pod's name, as istiod's locks have it; outside of a pod something as unique. */
static void identify(char *out, size_t n)
{
	const char *pod = env_given(ENV_POD_NAME);
	char host[128] = "";
	gethostname(host, sizeof(host) - 1);
	if (pod && pod[0])
		snprintf(out, n, "%s", pod);
	else
		snprintf(out, n, "%s-%d-%08x", host, (int)getpid(), cox_random_below(UINT32_MAX));
}

static enum cox_rc lock_duration(int64_t *out, struct cox_err *err)
{
	const char *text = env_given(ENV_COXSWAIN_LEASE_DURATION);
	int64_t ns = 0;
	*out = 0;
	if (!text || !text[0])
		return COX_OK;
	if (cox_duration_parse(cox_str_of(text), &ns) != COX_OK || ns < INT64_C(4000000000) || ns % INT64_C(1000000000))
		return cox_err_set(err, COX_EINVAL, NULL, "COXSWAIN_LEASE_DURATION: \"%s\" is not whole seconds, at least 4s", text);
	*out = ns / 1000000;
	return COX_OK;
}

enum cox_rc stage_status_start(struct daemon *d, struct cox_err *err)
{
	char identity[192];
	int64_t duration_ms;
	if (!d->kube)
		return COX_OK;
	COX_TRY(lock_duration(&duration_ms, err));
	identify(identity, sizeof(identity));
	bool has_progress = env_bool(ENV_COXSWAIN_DISTRIBUTION) && env_bool(ENV_PILOT_ENABLE_ANALYSIS);
	cox_status_open(d->kube, &(struct cox_status_spec){ .has_progress = has_progress }, &d->status);
	if (has_progress)
		cox_converge_open(&(struct cox_converge_spec){ .kube = d->kube,
		                                               .status = d->status,
		                                               .xds = d->xds,
		                                               .ns = cox_str_of(d->flags.ns),
		                                               .identity = cox_str_of(identity),
		                                               .revision = cox_str_of(d->flags.revision) },
		                  &d->converge);
	findings_set_status(d->findings, d->status);
	if (env_bool(ENV_PILOT_ENABLE_IP_AUTOALLOCATE))
		cox_addresses_open(d->kube, &d->addresses);
	findings_set_addresses(d->findings, d->addresses);
	bool has_gateway_api = env_bool(ENV_PILOT_ENABLE_GATEWAY_API);
	unsigned without = (d->addresses ? 0 : 1u << COX_DUTY_ADDRESSES) | (d->trust ? 0 : 1u << COX_DUTY_ROOTS) |
	                   (env_bool(ENV_PILOT_ENABLE_ANALYSIS) ? 0 : 1u << COX_DUTY_STATUS) |
	                   (has_gateway_api && env_bool(ENV_PILOT_ENABLE_GATEWAY_API_STATUS) ? 0 : 1u << COX_DUTY_GATEWAY);
	if (has_gateway_api && env_bool(ENV_PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER))
		cox_deploy_open(d->kube, env_bool(ENV_PILOT_ENABLE_GATEWAY_API_GATEWAYCLASS_CONTROLLER), &d->deploy);
	else
		without |= 1u << COX_DUTY_DEPLOY;
	cox_lead_open(&(struct cox_lead_spec){ .kube = d->kube,
	                                       .ns = cox_str_of(d->flags.ns),
	                                       .identity = cox_str_of(identity),
	                                       .revision = cox_str_of(d->flags.revision),
	                                       .duration_ms = duration_ms,
	                                       .is_alone = !env_bool(ENV_ENABLE_LEADER_ELECTION),
	                                       .without = without,
	                                       .on_change = on_duty,
	                                       .ctx = d },
	              &d->lead);
	return COX_OK;
}

void stage_status_release(struct daemon *d, void (*done)(void *ctx))
{
	cox_converge_retire(d->converge);
	if (d->lead)
		cox_lead_release(d->lead, done, d);
	else
		done(d);
}

void stage_status_stop(struct daemon *d)
{
	cox_lead_close(&d->lead);
	if (d->findings) {
		findings_set_status(d->findings, NULL);
		findings_set_addresses(d->findings, NULL);
	}
	cox_addresses_close(&d->addresses);
	cox_deploy_close(&d->deploy);
	cox_converge_close(&d->converge);
	cox_status_close(&d->status);
}
