#include "stage_enroll.h"
#include "env.h"

#include "base/log.h"
#include "codec/fields.h"

#include <unistd.h>

enum cox_rc stage_enroll_start(struct daemon *d, const struct cox_source_sink *sink, struct cox_err *err)
{
	const char *grace = env_given(ENV_PILOT_WORKLOAD_ENTRY_GRACE_PERIOD), *pod = env_given(ENV_POD_NAME);
	char host[128] = "";
	int64_t grace_ns = 0;
	if (grace && grace[0] && (cox_duration_parse(cox_str_of(grace), &grace_ns) != COX_OK || grace_ns < INT64_C(100000000)))
		return cox_err_set(err, COX_EINVAL, NULL,
		                   "PILOT_WORKLOAD_ENTRY_GRACE_PERIOD: \"%s\" is not a duration of at least 100ms, such as 10s", grace);
	gethostname(host, sizeof(host) - 1);
	cox_enroll_open(&(struct cox_enroll_spec){ .loop = d->loop,
	                                           .kube = d->kube,
	                                           .registry = d->registry,
	                                           .controller = cox_str_of(pod && pod[0] ? pod : host),
	                                           .grace_ms = grace_ns / 1000000,
	                                           .stream_max_age_ms = d->flags.max_age_ms,
	                                           .has_no_registration = !env_bool(ENV_PILOT_ENABLE_WORKLOAD_ENTRY_AUTOREGISTRATION),
	                                           .has_no_health = !env_bool(ENV_PILOT_ENABLE_WORKLOAD_ENTRY_HEALTHCHECKS),
	                                           .has_no_identity_check = !env_bool(ENV_ISTIO_WORKLOAD_ENTRY_VALIDATE_IDENTITY),
	                                           .put = sink->put,
	                                           .remove = sink->remove,
	                                           .flush = sink->flush,
	                                           .ctx = sink->arg },
	                &d->enroll);
	return COX_OK;
}

void stage_enroll_stop(struct daemon *d) { cox_enroll_close(&d->enroll); }
