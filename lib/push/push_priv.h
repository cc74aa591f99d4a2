/* push_priv - the engine's state, shared by push.c (turns and rounds), views.c (keys and translation), endpoints.c
 * (the fast path) and client.c (deliveries). All of it belongs to the config loop, but for what client.c says. */
#ifndef COX_PUSH_PUSH_PRIV_H
#define COX_PUSH_PUSH_PRIV_H

#include "base/vec.h"
#include "loop/timer.h"
#include "push/cause.h"
#include "push/intern.h"
#include "push/push.h"
#include "translate/patch.h"
#include "translate/secret.h"

struct unit;
struct cox_push_client {
	struct cox_ref ref;
	struct cox_push *push;
	struct cox_push_client_spec spec; /* deliver and arg: used on spec.loop only */
	char *identity_text;              /* of spec.identity */
	bool is_closed;                   /* client's loop only */
	struct cox_loop_task attach_task, detach_task, names_task;
	/* config loop */
	struct unit *units[COX_PUSH_PARTS];
	size_t index;     /* in push->clients */
	bool is_queued;   /* in push->outbox */
	bool wants_names; /* its stream asked for the name table */
	unsigned rejections;
	bool has_left; /* detached: a rejection may still be on its way */
};

/* A patch that selects a unit, and how many objects it changed there in the last translation. */
struct push_patched {
	const struct cox_object *object; /* the EnvoyFilter; a reference */
	uint32_t at, count;
	int apply_to;
};

/* A scope view or a workload view: something that is translated once for all its clients. */
struct unit {
	struct cox_str key;
	unsigned part;         /* COX_PUSH_SCOPE or COX_PUSH_WORKLOAD */
	struct cox_view *view; /* scope */
	struct cox_workload *workload;
	const struct cox_proxy *proxy;   /* one that has this view: to make the key anew; shared */
	struct cox_hash inputs;          /* fingerprint of everything that the last translation read */
	const struct cox_wanted *wanted; /* NULL until translated */
	COX_VEC(struct cox_push_client *) clients;
	COX_VEC(const struct cox_resource *) left_out; /* made, but rejected */
	/* The last accepted version of what nobody of the class has accepted yet in its new one: it comes back if that is rejected. */
	COX_VEC(const struct cox_resource *) good;
	size_t good_old; /* while a set is made: those from here on are of this one */
	COX_VEC(struct push_patched) patched;
	bool is_dirty, is_first, is_idle;
	size_t idle_at;                          /* in push->idle */
	COX_VEC(struct push_secret_use) secrets; /* workload: what its configuration names, in the last translation */
};

/* An object with secrets in it that some workload's configuration names, and that this workload may have. */
struct push_object {
	enum cox_kind kind;
	struct cox_str ns, name;
	size_t uses;
	int64_t unused_ms; /* monotonic: since when nobody uses it; watched on for a while, so that a proxy that restarts finds it */
	size_t key_n;
	char key[]; /* "Secret/ns/name" */
};
/* One name, and the object (or the two that it may mean). */
struct push_secret_use {
	char *name;
	enum cox_secret_state state;
	bool is_kept; /* the object is gone: what it said last is served on */
	struct push_object *objects[2];
};

/* An endpoint set newer than the snapshot's. */
struct override {
	struct cox_str key; /* "<namespace>/<hostname>" */
	const struct cox_endpoint_set *endpoints;
};

struct push_cause {
	struct cox_push_cause pub; /* without ids */
	int64_t began_ns;
	uint32_t clients[COX_PUSH_PARTS]; /* of the views that changed */
	size_t ids_n;
	char ids[COX_PUSH_CAUSE_IDS_BYTES];
};

struct cox_push {
	struct cox_push_options opts;
	struct cox_timer *turn;   /* 0 ms: the next slice of work */
	struct cox_timer *settle; /* runs while changes wait (opts.settle_ms); NULL: none waits */
	int64_t unsettled_ms;     /* monotonic: since when; 0: none waits */
	struct cox_memo *memo;
	struct cox_intern intern;
	const struct cox_snapshot *snapshot;
	struct cox_hash snapshot_inputs;      /* of everything in the snapshot: what routers depend on */
	struct cox_hash keying;               /* what view keys depend on: selector keys, locality, node */
	struct cox_map units[COX_PUSH_PARTS]; /* by key */
	COX_VEC(struct cox_push_client *) clients, outbox;
	COX_VEC(struct unit *) dirty; /* in the order of work; firsts go through `firsts` */
	COX_VEC(struct unit *) firsts;
	COX_VEC(struct unit *) idle; /* without clients, of the present snapshot */
	struct cox_timer *idle_timer;
	bool first_turn;                               /* whose turn it is among dirty and firsts */
	const struct cox_set *globals[COX_TYPE_COUNT]; /* globals.c */
	struct cox_map overrides;                      /* endpoint sets that came after the snapshot */
	struct cox_map objects;                        /* "<kind>/<ns>/<name>": struct push_object */
	struct cox_map rejected;                       /* "<class>/<type>/<hash>": struct rejection (reject.c) */
	struct cox_timer *review;                      /* runs while there are rejections */
	struct cox_registry_changes changes;           /* taken, waiting for the round in progress to end */
	bool has_changes;
	int64_t event_ns;                        /* oldest event of the round in progress */
	struct push_cause *causes;               /* a ring, by number; NULL before the first */
	uint64_t cause, round_cause, last_cause; /* cause: of what is made now */
	_Atomic bool has_snapshot;               /* other threads ask for readiness; `snapshot` is the config loop's alone */
	uint64_t delivered;                      /* the newest generation of which everything was delivered */
	_Atomic bool is_synced;
	struct cox_arena arena;          /* scratch of one translation */
	unsigned sweep_in;               /* rounds until the next sweep */
	struct cox_memo_stats memo_told; /* counted so far */
	bool forgets;                    /* the next round begins with nothing remembered */
	bool patched_changed;            /* counts of patches are others than when somebody was last told */
};

/* cause.c */
/* A new cause, which is the one of what is made from now on. */
uint64_t push_cause_begin(struct cox_push *p, int64_t event_ns, bool is_endpoints);
void push_cause_add(struct cox_push *p, const struct cox_change *change);
void push_cause_view(struct cox_push *p, const struct unit *u, bool is_made);
void push_cause_end(struct cox_push *p);
/* views.c */
struct unit *push_unit_get(struct cox_push *p, unsigned part, const struct cox_push_client *c);
void push_unit_leave(struct cox_push *p, struct unit *u, struct cox_push_client *c);
void push_unit_mark(struct cox_push *p, struct unit *u);
/* Ends the units that nobody came back to. */
void push_idle_end(struct cox_push *p);
/* Translates if its inputs changed; true when what its clients should have changed. */
bool push_unit_work(struct cox_push *p, struct unit *u);
struct cox_hash push_keying(const struct cox_snapshot *s);
struct cox_hash push_snapshot_inputs(const struct cox_snapshot *s);
/* reject.c */
bool push_is_rejected(const struct cox_push *p, const struct unit *u, const struct cox_resource *r);
/* Whether `r` must stay out of the unit's sets; if so the unit remembers it. */
bool push_leave_out(struct cox_push *p, struct unit *u, const struct cox_resource *r);
/* Of a resource just made: itself, or its last good version if it is rejected (NULL: there is none). `before` is the set that it comes
 * from, or NULL. Takes and gives. */
const struct cox_resource *push_choose(struct cox_push *p, struct unit *u, const struct cox_resource *r, const struct cox_set *before);
/* Around the choices for all resources of a type: what was kept for the set before is forgotten at the end. */
void push_good_begin(struct unit *u, enum cox_type type);
void push_good_end(struct unit *u, enum cox_type type);
void push_good_clear(struct unit *u);
/* Puts rejections into force that nobody of the class contradicted; ends those that somebody did, and those whose makers are gone. */
void push_rejections_review(struct cox_push *p, int64_t now_ms);
/* The client goes. */
void push_rejections_leave(struct cox_push *p, const struct cox_push_client *c);
/* Forgives rejections of content that is made no more, or all of them. */
void push_rejections_sweep(struct cox_push *p, bool all);
/* Takes the resources. What some proxy rejected stays out: its last good version is kept. NULL: an empty list and no set before. */
const struct cox_set *push_make_set(struct cox_push *p, struct unit *u, enum cox_type type, cox_resources *list);
/* secrets.c */
/* What the workload's client proved, into its key. */
void push_secrets_identify(struct cox_workload *w, const struct cox_push_identity *id);
/* Asks what is known of its account, and mixes into the fingerprint what its secrets depend on. */
struct cox_hash push_secrets_inputs(struct cox_push *p, struct cox_workload *w);
/* The SDS set of a workload whose configuration names these; NULL: nothing to serve. Notes what is used. */
const struct cox_set *push_secrets_translate(struct cox_push *p, struct unit *u, struct cox_tr *t, const struct cox_secret_names *names);
void push_secrets_leave(struct cox_push *p, struct unit *u);
/* Lets go of objects that nobody has used for long. */
void push_secrets_sweep(struct cox_push *p);
void push_secrets_fini(struct cox_push *p);
/* endpoints.c */
void push_endpoints_apply(struct cox_push *p, const struct cox_change *change);
/* The snapshot is new: endpoint sets that differ from those of the one before. */
void push_endpoints_compare(struct cox_push *p, const struct cox_snapshot *before);
void push_endpoints_catch_up(struct cox_push *p, struct unit *u);
void push_overrides_clear(struct cox_push *p);
/* globals.c */
void push_globals_add(struct cox_push *p, struct cox_wanted *w);
/* client.c */
void push_queue(struct cox_push *p, struct cox_push_client *c);
void push_queue_all(struct cox_push *p, struct unit *u);
void push_flush(struct cox_push *p);
void push_rekey(struct cox_push *p);
void push_client_unref(struct cox_push_client *c);
/* patches.c */
/* The patches that select a unit; NULL: none. In the push's arena. */
struct cox_patching *push_patching_build(struct cox_push *p, const struct unit *u);
/* Keeps what the translation counted. */
void push_patching_keep(struct cox_push *p, struct unit *u, const struct cox_patching *patching);
void push_patching_clear(struct unit *u);
/* At the end of a turn. */
void push_patches_tell(struct cox_push *p);
/* names.c */
/* The client is in its scope view now: if it wants the name table and the view has none, the view is made anew. */
void push_names_want(struct cox_push *p, const struct cox_push_client *c);
bool push_names_are_wanted(const struct unit *u);
/* push.c */
void push_wake(struct cox_push *p);

#endif
