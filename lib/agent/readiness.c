#include "agent/readiness.h"

#include <stdio.h>

/* ^(cluster_manager\.cds\.update_(success|rejected)|listener_manager\.(lds\.update_(success|rejected)|workers_started))$ */
const char *const cox_agent_readiness_target = "/stats?filter=%5E(cluster_manager%5C.cds%5C.update_(success%7Crejected)%7C"
                                               "listener_manager%5C.(lds%5C.update_(success%7Crejected)%7Cworkers_started))%24";

static bool next_stat(struct cox_str *rest, struct cox_str *name, uint64_t *value)
{
	struct cox_str line;
	while (rest->p != NULL && cox_str_next(rest, '\n', &line)) {
		ptrdiff_t colon = cox_str_rfind(line, ':');
		if (colon <= 0 || cox_str_to_u64(cox_str_trim(cox_str_sub(line, (size_t)colon + 1, line.n)), value) != COX_OK)
			continue;
		*name = cox_str_sub(line, 0, (size_t)colon);
		return true;
	}
	return false;
}

struct cox_agent_readiness cox_agent_readiness_read(struct cox_str stats)
{
	struct cox_agent_readiness r = { 0 };
	struct cox_str rest = stats, name;
	uint64_t value;
	while (next_stat(&rest, &name, &value)) {
		if (cox_str_eq(name, COX_STR("listener_manager.workers_started")))
			r.workers_started = value == 1;
		else if (cox_str_has_prefix(name, COX_STR("cluster_manager.cds.update_")))
			r.has_clusters = r.has_clusters || value != 0;
		else if (cox_str_has_prefix(name, COX_STR("listener_manager.lds.update_")))
			r.has_listeners = r.has_listeners || value != 0;
	}
	return r;
}

const char *cox_agent_readiness_missing(const struct cox_agent_readiness *r)
{
	if (!r->has_clusters)
		return "config not fully received: no clusters yet (cds updates: 0)";
	if (!r->has_listeners)
		return "config not fully received: no listeners yet (lds updates: 0)";
	if (!r->workers_started)
		return "Envoy's workers have not started";
	return NULL;
}

uint64_t cox_agent_active_connections(struct cox_str stats, uint16_t prometheus_port, uint16_t health_port)
{
	char skip[2][32];
	uint64_t sum = 0, value;
	struct cox_str rest = stats, name;
	snprintf(skip[0], sizeof(skip[0]), "_%u.", (unsigned)prometheus_port);
	snprintf(skip[1], sizeof(skip[1]), "_%u.", (unsigned)health_port);
	while (next_stat(&rest, &name, &value)) {
		bool counts = cox_str_has_prefix(name, COX_STR("listener.")) &&
		              cox_str_has_suffix(name, COX_STR(".downstream_cx_active")) &&
		              !cox_str_has_prefix(name, COX_STR("listener.admin.")) && cox_str_search(name, COX_STR(".worker_")) < 0 &&
		              cox_str_search(name, cox_str_of(skip[0])) < 0 && cox_str_search(name, cox_str_of(skip[1])) < 0;
		sum += counts ? value : 0;
	}
	return sum;
}
