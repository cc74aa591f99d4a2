#include "stage_enroll.h"

#include "base/log.h"
#include "codec/fields.h"

#include <unistd.h>

static bool is_off(const char *name)
{
	struct cox_str v = cox_str_of(cox_env_get(name));
	return cox_str_eq(v, COX_STR("false")) || cox_str_eq(v, COX_STR("0"));
}

enum cox_rc stage_enroll_start(struct daemon *d, const struct cox_source_sink *sink, struct cox_err *err)
{
	const char *grace = cox_env_get("PILOT_WORKLOAD_ENTRY_GRACE_PERIOD"), *pod = cox_env_get("POD_NAME");
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
	                                           .has_no_registration = is_off("PILOT_ENABLE_WORKLOAD_ENTRY_AUTOREGISTRATION"),
	                                           .has_no_health = is_off("PILOT_ENABLE_WORKLOAD_ENTRY_HEALTHCHECKS"),
	                                           .has_no_identity_check = is_off("ISTIO_WORKLOAD_ENTRY_VALIDATE_IDENTITY"),
	                                           .put = sink->put,
	                                           .remove = sink->remove,
	                                           .flush = sink->flush,
	                                           .ctx = sink->arg },
	                &d->enroll);
	return COX_OK;
}

void stage_enroll_stop(struct daemon *d) { cox_enroll_close(&d->enroll); }
