/* core_priv - what core.c, ack.c, subscribe.c, target.c, gates.c, answer.c and next.c share of a stream's state. */
#ifndef COX_XDS_CORE_PRIV_H
#define COX_XDS_CORE_PRIV_H

#include "xds/core.h"

/* A response on its way: what a NACK of it makes unknown. */
struct sent_response {
	uint64_t nonce;
	const struct cox_step *steps[COX_XDS_PARTS];
	COX_VEC(const struct cox_resource *) extra; /* references */
	COX_VEC(char *) removed;                    /* names, besides those of the steps */
	const struct cox_set *sent[COX_XDS_PARTS];  /* state-of-the-world: what the proxy has once it acknowledges this */
};
/* What a reconnecting proxy says it holds. */
struct known_resource {
	uint64_t hash;
	struct cox_hash version;
	bool has_version;
	struct cox_str name; /* in `texts` */
};

struct type_state {
	bool is_watched, is_wildcard;
	bool is_asked;      /* an answer is owed */
	bool answers_known; /* the answer owed is the first one: compare with `known` */
	const struct cox_names *names;
	const struct cox_set *wanted[COX_XDS_PARTS], *sent[COX_XDS_PARTS];
	const struct cox_set *acked[COX_XDS_PARTS]; /* state-of-the-world: what the last acknowledged response listed */
	COX_VEC(struct cox_str) asked;              /* in `texts` */
	COX_VEC(const struct cox_resource *) force; /* EDS: clusters (CDS resources) whose endpoints go out even if unchanged: they warm */
	COX_VEC(struct known_resource) known;
	struct cox_sum known_sum;
	struct cox_arena texts; /* of `asked` and `known`: empty once both were answered */
	uint64_t last_nonce, acked_nonce;
	COX_VEC(struct sent_response) on_way;
	int64_t sent_ms, last_ack_ms, gate_since_ms;
	COX_VEC(const struct cox_resource *) withheld; /* rejected for good: until their content changes */
	COX_VEC(const struct cox_resource *) suspects; /* of a NACK that names nobody; the first probe_n of them may be sent */
	size_t probe_n;
	uint64_t probe_nonce;    /* the response that tries them; 0: not sent yet */
	COX_VEC(char *) perhaps; /* names of rejected responses that the proxy may hold though they are not in `sent`; sorted, distinct */
	uint64_t nacks;
	int64_t nack_spent, nack_refilled_ms, nack_hold_ms; /* see COX_XDS_NACK_BURST */
	char *last_error;
};
struct pending_cluster {
	uint64_t hash, nonce;
};

struct cox_xds_core {
	struct cox_xds_core_options opts;
	struct type_state types[COX_TYPE_COUNT];
	bool has_part[COX_XDS_PARTS];
	bool cds_was_asked;
	uint64_t cds_first_nonce;                         /* the first CDS response of the stream: until its ACK every cluster is pending */
	COX_VEC(struct pending_cluster) unacked_clusters; /* sent in later CDS responses, not acknowledged */
	COX_VEC(uint64_t) early_clusters;      /* sent before EDS was asked for: they warm, whatever endpoints the proxy says it holds */
	int64_t remove_at_ms, remove_first_ms; /* INT64_MAX: no removal of clusters is pending */
	int64_t remove_named_ms;               /* since when it is held up by what names them; INT64_MAX: it is not */
	COX_VEC(char *) late_removed;          /* clusters that a reconnecting proxy holds in vain */
	COX_VEC(uint64_t) resent_routes;       /* route configurations sent since their virtual hosts went out */
	uint64_t stale_nonces;
	/* The last response, borrowed by the caller. */
	COX_VEC(const struct cox_resource *) out_resources;
	COX_VEC(struct cox_str) out_removed, out_missing;
	COX_VEC(char *) out_texts;
	const struct cox_step *out_steps[COX_XDS_PARTS];
};

bool core_type_is_named(enum cox_type t); /* EDS, RDS, SDS, ECDS: by name, never removed by us */
static inline bool core_is_outstanding(const struct type_state *t) { return t->last_nonce != t->acked_nonce; }
void core_asked_clear(struct type_state *t);
void core_known_clear(struct type_state *t);
void core_resources_clear(void *vec_of_resource_refs);
/* Rejected, or suspected and not being tried. */
bool core_is_withheld(const struct type_state *t, const struct cox_resource *r);
void core_response_fini(struct sent_response *r);
/* ack.c: an acknowledgement or a rejection of the response `nonce`. */
void core_ack(struct cox_xds_core *c, enum cox_type type, uint64_t nonce, int64_t now_ms);
void core_nack(struct cox_xds_core *c, enum cox_type type, uint64_t nonce, struct cox_str message, int64_t now_ms);
/* While halving: suspects that are wanted no more, or not so, are not waited for. */
void core_suspects_keep(struct type_state *t, bool (*keep)(const void *arg, const struct cox_resource *r), const void *arg);
/* target.c: the set that the proxy should have now; gives a reference or NULL. */
const struct cox_set *core_target(struct cox_xds_core *c, enum cox_type type, unsigned part, bool with_removals);
bool core_is_clean(struct cox_xds_core *c, enum cox_type type);
/* Of a step's changes those that are not held back. */
size_t core_sendable_changes(const struct type_state *t, const struct cox_step *s);
/* What it should have was sent and acknowledged, or it does not watch the type. */
bool core_is_settled(struct cox_xds_core *c, enum cox_type type);
/* Clusters that are wanted no more may go now; else *wake_ms is lowered to when to ask again. */
bool core_may_remove_now(struct cox_xds_core *c, int64_t now_ms, int64_t *wake_ms);
/* gates.c: the steps name a cluster that is not there yet; *wake_ms as above. */
bool core_gate_is_closed(struct cox_xds_core *c, enum cox_type type, const struct cox_step *const *steps, int64_t now_ms, int64_t *wake_ms);

#endif
