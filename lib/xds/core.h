/*
 * core - the state of one ADS stream: what is subscribed, what was sent, what was acknowledged, and what to send next.
 * Pure: no I/O, no clock (now_ms is passed in), no global. The simulation (test/sim) and the server drive the same code.
 * Thread: the stream's loop.
 *
 * Rules (DESIGN decisions 3, 4, 8, 9; protocol facts 2 and 20):
 *   - a subscription is answered at once (one that names a cluster which is not acknowledged: at most GATE_MS later); unasked
 *     pushes go in the order of enum cox_type
 *   - one response of a type is unacknowledged at a time, but the next CDS goes out after CDS_PATIENCE_MS
 *   - EDS never waits for CDS; each EDS cluster that a CDS response adds or changes, and whose name is subscribed, gets its
 *     endpoints right after, even if their bytes are unchanged
 *   - listeners and routes wait for the clusters that they newly name to be acknowledged (CDS or their EDS), at most GATE_MS; a pushed
 *     one also for a cluster that nothing makes yet: a VirtualService that comes before its DestinationRule
 *   - a cluster goes away after routes and listeners are settled, plus REMOVE_GRACE_MS; one that they still name stays up to
 *     REMOVE_PATIENCE_MS: a DestinationRule that lost a subset before its VirtualService
 *   - virtual hosts (VHDS) go out after their route configuration is acknowledged, all of them again when it was sent again
 *   - after a NACK every resource of that response counts as unknown, and every removal as not done; the offender is named by the
 *     message or found by halving, and withheld; what is good is sent again. A state-of-the-world answer, which must list
 *     everything, lists the last acknowledged version in its place
 *   - who goes on rejecting is answered once in NACK_REFILL_MS only
 *   - of a name that both parts have, the workload's own counts; it changes hands in one response, never removed in between
 */
#ifndef COX_XDS_CORE_H
#define COX_XDS_CORE_H

#include "base/err.h"
#include "envoy/discovery.h"
#include "xds/steps.h"

enum {
	COX_XDS_PARTS = 2, /* scope view, workload view */
	COX_XDS_CDS_PATIENCE_MS = 1000,
	COX_XDS_GATE_MS = 5000,
	COX_XDS_REMOVE_GRACE_MS = 10000,
	COX_XDS_REMOVE_PATIENCE_MS = 60000, /* then clusters go whatever goes on changing, and this long after they were due whatever names
	                                       them: endpoints of a cluster that is wanted no more are renewed no more */
	COX_XDS_NACK_BURST = 64,       /* halving of several offenders among some 1,000 resources takes no more rejections than this ... */
	COX_XDS_NACK_REFILL_MS = 1000, /* ... and one that rejects for ever costs one response in this time */
	COX_XDS_NAMES_MAX = 100000,    /* subscribed names of a type: a mesh has at most some 10,000 clusters a proxy */
};

/* One request, SotW or delta; everything borrowed until return. */
struct cox_xds_request {
	enum cox_type type;
	struct cox_str nonce, error; /* error: text of error_detail */
	bool has_error;
	const struct cox_str *subscribe; /* delta: resource_names_subscribe; SotW: resource_names (all of them) */
	size_t subscribe_n;
	const struct cox_str *unsubscribe; /* delta */
	size_t unsubscribe_n;
	const struct cox_name_version *initial; /* delta: initial_resource_versions */
	size_t initial_n;
	struct cox_str version; /* SotW: version_info; shown only */
};

/* What to send now. Resources are borrowed until the next call into the core; `step` too. */
struct cox_xds_response {
	enum cox_type type;
	uint64_t nonce;
	/* when set: exactly this step, all of it (its encoding may be cached); see resources */
	const struct cox_step *steps[COX_XDS_PARTS];
	const struct cox_resource *const *resources; /* further ones (all, where steps are NULL) */
	size_t resource_n;
	const struct cox_str *removed; /* further names */
	size_t removed_n;
	/* RDS, and EDS of state-of-the-world: names asked for that do not exist: answered with an empty one */
	const struct cox_str *missing;
	size_t missing_n;
	struct cox_hash version; /* SotW: hash of the answered state */
	bool is_asked;
};

/* A resource that the proxy rejected. */
struct cox_xds_rejection {
	enum cox_type type;
	const struct cox_resource *resource;
	struct cox_str message;
};

struct cox_xds_core;
struct cox_xds_core_options {
	bool is_delta, has_vhds;
	unsigned klass;          /* of the proxy (enum cox_proxy_class): what it acknowledges is marked as accepted by it */
	struct cox_steps *steps; /* borrowed */
	void (*rejected)(void *arg, const struct cox_xds_rejection *r); /* an offender was found; may be NULL */
	void (*gate_expired)(void *arg, enum cox_type type);
	void *arg;
};
/* Gives. Copies the options. */
struct cox_xds_core *cox_xds_core_new(const struct cox_xds_core_options *opts);
void cox_xds_core_free(struct cox_xds_core *c);

/* COX_EPROTO with text: the stream must end. COX_ELIMIT: too many names. A stale nonce is counted, not an error. */
COX_MUST_USE enum cox_rc cox_xds_core_request(struct cox_xds_core *c, const struct cox_xds_request *r, int64_t now_ms, struct cox_err *err);
/* The wanted state of one part: sets[type] or NULL for types the part does not have. Shares. */
void cox_xds_core_want(struct cox_xds_core *c, unsigned part, const struct cox_set *const sets[COX_TYPE_COUNT], int64_t now_ms);
/* Both parts were wanted at least once. Until then requests wait. */
bool cox_xds_core_is_ready(const struct cox_xds_core *c);
/* The next response, counted as sent. False: nothing to send now; *wake_ms: when to ask again at the latest (INT64_MAX: on the next event).
 */
bool cox_xds_core_next(struct cox_xds_core *c, int64_t now_ms, struct cox_xds_response *out, int64_t *wake_ms);

/* Everything is sent again with the next responses, as to a proxy that has nothing; types that wait for an answer or a removal are left as
 * they are. True: there is something to send. */
bool cox_xds_core_resend(struct cox_xds_core *c);

/* What /debug/syncz and status need. */
struct cox_xds_type_state {
	bool is_watched, is_wildcard, is_synced; /* synced: the wanted state was sent and acknowledged */
	uint64_t sent_nonce, acked_nonce;
	size_t name_n, sent_n;
	struct cox_hash sent_version;
	uint64_t nacks;
	struct cox_str last_error;    /* borrowed */
	int64_t last_ack_ms, sent_ms; /* in the caller's time; 0: never */
};
void cox_xds_core_state(const struct cox_xds_core *c, enum cox_type type, struct cox_xds_type_state *out);
/* Nothing is left to be sent of this type; *nonce: the response whose acknowledgement says that all is taken (0: there was none). */
bool cox_xds_core_is_sent(struct cox_xds_core *c, enum cox_type type, uint64_t *nonce);
uint64_t cox_xds_core_acked(const struct cox_xds_core *c, enum cox_type type);
/* What was sent (part by part; may be NULL): dumps. */
const struct cox_set *cox_xds_core_sent(const struct cox_xds_core *c, enum cox_type type, unsigned part);
uint64_t cox_xds_core_stale_nonces(const struct cox_xds_core *c);

#endif
