/*
 * check - what does not fit together in a generation: references that lead nowhere, names given twice. For status, metrics and coxctl.
 * Pure and deterministic: equal snapshots give equal findings in equal order (by object, field, text).
 * Thread: any.
 */
#ifndef COX_SNAPSHOT_CHECK_H
#define COX_SNAPSHOT_CHECK_H

#include "snapshot/snapshot.h"

enum cox_finding_code {
	COX_FINDING_CLAIMED,          /* the hostname belongs to an older object (registry) */
	COX_FINDING_NO_HOST,          /* a destination that no service has */
	COX_FINDING_NO_SUBSET,        /* a destination's subset that no DestinationRule defines */
	COX_FINDING_NO_GATEWAY,       /* a Gateway is named that does not exist */
	COX_FINDING_NO_DELEGATE,      /* a delegate that does not exist, has hosts, or is not exported */
	COX_FINDING_DUPLICATE_HOST,   /* two VirtualServices of the mesh for one host: the older one's routes are used */
	COX_FINDING_DUPLICATE_SUBSET, /* a subset's name given before */
	COX_FINDING_PORT_CONFLICT,  /* servers of one Gateway, or of Gateways for the same routers, on one port with different protocols */
	COX_FINDING_POLICY_IGNORED, /* a policy that another, older one wins over, or that cannot count where it is */
	COX_FINDING_NO_PORT,        /* a port is named on which nobody listens */
	COX_FINDING_BAD_SECRET,     /* certificates or keys that cannot be used, or not much longer (registry) */
	COX_FINDING_ADDRESS_CONFLICT,     /* an older service has the same address and port */
	COX_FINDING_TARGET_PORT_CONFLICT, /* an older service of the same pods gives the port another protocol */
	COX_FINDING_NO_PORTS,             /* a service without ports: nothing leads to it */
	COX_FINDING_MESH_CONFIG,          /* the mesh configuration is not in force, or a part of it has no effect (registry) */
	COX_FINDING_NO_EFFECT,            /* what is written changes nothing */
	COX_FINDING_PATCH_NEVER,          /* a patch of an EnvoyFilter that changes nothing anywhere */
	COX_FINDING_CODES
};
const char *cox_finding_code_name(enum cox_finding_code code); /* "NoHost" */

struct cox_finding {
	enum cox_finding_code code;
	enum cox_severity severity;
	struct cox_str object_id, path, text; /* "VirtualService/default/reviews", "spec.http[0].route[1].destination.host" */
};
enum { COX_FINDINGS_MAX = 1000 }; /* kept; all are counted */
struct cox_findings {
	COX_LIST(struct cox_finding) items;
	size_t counts[COX_FINDING_CODES];
};
/* `r` (may be NULL) adds its own findings (cox_registry_findings). Everything in `arena`; ids are borrowed from the snapshot. */
void cox_snapshot_check(const struct cox_snapshot *s, const struct cox_registry *r, struct cox_arena *arena, struct cox_findings *out);
/* What one object, which need not be in the snapshot, refers to and what is not there: destinations, subsets and Gateways of a
 * VirtualService, the host of a DestinationRule. The same rules; costs what the object is long. For admission. */
void cox_snapshot_check_object(const struct cox_snapshot *s, const struct cox_object *o, struct cox_arena *arena, struct cox_findings *out);

#endif
