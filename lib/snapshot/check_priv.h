/* Shared by check.c, check_service.c, check_envoy_filter.c and check_peer_auth.c: the list that findings go into. */
#ifndef COX_SNAPSHOT_CHECK_PRIV_H
#define COX_SNAPSHOT_CHECK_PRIV_H

#include "snapshot/check.h"
#include "snapshot/snapshot_priv.h"

struct snap_checking {
	const struct cox_snapshot *s;
	struct cox_arena *arena;
	struct cox_findings *out;
	struct cox_finding *items;
	const struct cox_vs *vs; /* at hand */
};

/* Beyond COX_FINDINGS_MAX it is counted only. */
void snap_finding_add(struct snap_checking *c, enum cox_finding_code code, enum cox_severity severity, struct cox_str id,
                      struct cox_str path, const char *fmt, ...) COX_PRINTF(6, 7);
/* Whether some namespace sees both. */
bool snap_share_viewers(const struct cox_export *a, const struct cox_export *b);
/* What services take from each other, and services that nobody can reach. */
void snap_check_services(struct snap_checking *c);
/* EnvoyFilters of which a patch cannot match anything. */
void snap_check_envoy_filters(struct snap_checking *c);
/* Policies that lose, that cannot count where they are, or name what is not there. */
void snap_check_peer_auths(struct snap_checking *c);

#endif
