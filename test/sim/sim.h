/*
 * sim - seeded histories through the whole core, from objects to what a modelled Envoy serves (DESIGN decision 15).
 *   world.c  the objects of a mesh, how they change and how their events get lost; the push engine, turned by hand
 *   envoy.c  the model of an Envoy (protocol facts, section 20); each of its rules has a twin in test/envoy on a real one
 *   check.c  what must hold after every step, and what must hold when all is quiet
 *   main.c   the history of one seed
 * One thread, no clock: equal seeds make equal histories.
 */
#ifndef COXSIM_SIM_H
#define COXSIM_SIM_H

/* The engine's own views and fast path are driven, slice by slice, in an order that the seed decides; its timer would take the machine's.
 */
#include "push/push_priv.h"
#include "xds/core.h"

enum { SLOTS_MAX = 64, PROXIES = 6 };

struct rng {
	uint64_t s;
};
uint64_t rng_next(struct rng *r);
unsigned rng_below(struct rng *r, unsigned bound);
static inline bool rng_chance(struct rng *r, unsigned one_in) { return rng_below(r, one_in) == 0; }

/* An object that may exist. */
struct slot {
	enum cox_kind kind;
	char ns[24], name[32], text[1600];
	unsigned variant, created; /* step of its creation: its age */
	bool is_present, is_lost;  /* lost: the last event did not arrive */
};
struct sim;
struct world {
	struct slot slots[SLOTS_MAX];
	size_t slot_n;
	struct cox_loop *loop;
	struct cox_registry *registry;
	struct cox_push *push;
	struct cox_map excused; /* "<type>/<hash>/<cluster>": a reference that led nowhere in what was wanted, too */
	uint64_t rejections;
};
void world_init(struct sim *s);
void world_fini(struct sim *s);
/* One random change. */
void world_change(struct sim *s);
void world_repeat(struct sim *s); /* an event again */
void world_relist(struct sim *s); /* all that is, in a random order; what is gone is removed */
/* A turn of the engine, not always to its end. */
void world_turn(struct sim *s, bool to_the_end);
/* Another control plane: nothing of the old one is left. */
void world_restart(struct sim *s);
/* Everything from the start again, without history: the sets a proxy should have. */
void world_render(struct sim *s, const struct cox_proxy *p, struct cox_rendered *out);
void loop_settle(struct cox_loop *l);
struct cox_proxy *proxy_of(const char *text);

/* --- the model of an Envoy --------------------------------------------------------------------- */

struct message { /* a response on the wire */
	enum cox_type type;
	uint64_t nonce;
	COX_VEC(const struct cox_resource *) resources;
	COX_VEC(char *) removed, missing;
};
struct held { /* a resource that the Envoy knows by name */
	char *name;
	const struct cox_resource *active, *warming; /* NULL: none (an empty route configuration: is_missing) */
	char version[40];                            /* recorded for initial_resource_versions; empty: none */
	bool is_missing, needs_vhosts;
	bool is_unlisted; /* delta: came with a rejected response and was not named on reconnect, or with an older version */
};
struct table {
	COX_VEC(struct held *) items;
};
struct request {
	enum cox_type type;
	uint64_t nonce;
	bool has_nonce, has_versions;
	COX_VEC(char *) add, del, names, versions;
	char *error;
};
struct envoy {
	struct sim *sim;
	unsigned index;
	const struct cox_proxy *proxy;
	const struct cox_proxy *rendered_proxy; /* as the control plane sees it: state-of-the-world has no VHDS */
	bool has_vhds, is_delta;
	uint64_t last_nonce[COX_TYPE_COUNT]; /* state-of-the-world: of the last response read */
	struct cox_push_client *client;
	const struct cox_wanted *wanted[COX_PUSH_PARTS];
	struct cox_steps *steps;
	struct cox_xds_core *core;
	struct table have[COX_TYPE_COUNT];
	bool is_asked[COX_TYPE_COUNT]; /* this stream's first request of the type was sent */
	COX_VEC(struct message) inbox;
	COX_VEC(struct request) outbox;    /* on the wire to the control plane */
	COX_VEC(struct request) held_acks; /* of CDS, while clusters warm */
	COX_VEC(char *) bad;               /* "<type>/<hash>": content that it rejects */
	COX_VEC(char *) vhost_ghosts;
	bool gate_expired, is_slow, was_started;
	/* state-of-the-world: back on a new stream, and listeners and routes are not answered yet. It cannot say what it holds, so clusters
	 * that are no more go with the first answer, before the routes that use them are replaced. */
	bool is_rejoining;
	uint64_t sent_resources, responses;
	int64_t wake_ms;
};
void envoy_init(struct envoy *e, struct sim *s, unsigned index);
void envoy_fini(struct envoy *e);
/* The stream ends and a new one begins; with `forgets` the Envoy itself starts anew. */
void envoy_reconnect(struct envoy *e, bool forgets);
void envoy_attach(struct envoy *e);
void envoy_detach(struct envoy *e);
bool envoy_send(struct envoy *e);    /* the control plane writes one response; false: none to write */
bool envoy_read(struct envoy *e);    /* one response is read; false: none there */
bool envoy_deliver(struct envoy *e); /* one request arrives at the control plane */
bool envoy_rejects(const struct envoy *e, const struct cox_resource *r);
struct held *table_find(const struct table *t, struct cox_str name);
bool is_eds_cluster(const struct cox_resource *r);

/* --- checks ------------------------------------------------------------------------------------- */

struct sim {
	uint64_t seed;
	unsigned step;
	bool verbose, failed, with_nacks, nacks_on;
	int64_t now_ms;
	struct rng rng;
	struct world world;
	struct envoy envoys[PROXIES];
	char action[120];
};
void sim_fail(struct sim *s, const char *fmt, ...) COX_PRINTF(2, 3);
void check_references(struct sim *s);
void check_quiet(struct sim *s);
/* What is wanted but names what is not wanted is the user's fault, not the order's. */
void excuse_carried(struct envoy *e, const struct cox_resource *old, const struct cox_resource *r);
void excuse_dangling(struct sim *s, const struct envoy *e);

#endif
