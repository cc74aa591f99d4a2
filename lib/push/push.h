/*
 * push - from changes to what each proxy should have: coalesces events, freezes snapshots, translates each view once,
 * interns the results, and hands every proxy the shared sets of its two views.
 * Thread: the config loop owns it; attach, detach and reject may be called from any thread.
 * Two ways: endpoint changes that alter nothing else go from the registry to the views' sets in the same turn of the loop;
 * everything else coalesces while work is in progress and makes a new generation. Work is done in slices, so that neither
 * new proxies nor a big generation hold up an endpoint change.
 */
#ifndef COX_PUSH_PUSH_H
#define COX_PUSH_PUSH_H

#include "loop/loop.h"
#include "convert/convert.h"
#include "registry/registry.h"
#include "translate/translate.h"

/* What every proxy of a view should have. Immutable, shared. */
struct cox_wanted {
	struct cox_ref ref;
	uint64_t generation;
	int64_t event_ns;                           /* monotonic: the oldest event that led to it; 0: none */
	uint64_t cause;                             /* number of the cause (cause.h); 0: none */
	const struct cox_set *sets[COX_TYPE_COUNT]; /* NULL where the part has none */
};
const struct cox_wanted *cox_wanted_ref(const struct cox_wanted *w);
void cox_wanted_unref(const struct cox_wanted *w);

enum { COX_PUSH_SCOPE, COX_PUSH_WORKLOAD, COX_PUSH_PARTS };

/* Who a proxy proved to be, beyond what it says of itself. Secrets go to nobody else. All zero (clear text, no credentials): nobody. */
struct cox_push_identity {
	bool is_verified; /* authenticated, and its namespace is the proxy's */
	struct cox_str ns, service_account;
};

/* One connected proxy, as push sees it. */
struct cox_push_client;
struct cox_push_client_spec {
	struct cox_loop *loop;             /* where deliver is called */
	const struct cox_proxy *proxy;     /* shared */
	bool is_delta;                     /* VHDS is for delta streams only */
	struct cox_push_identity identity; /* copied */
	/* Both parts, the latest; borrowed until return. Only changed parts differ in address from the last delivery. */
	void (*deliver)(void *arg, const struct cox_wanted *const parts[COX_PUSH_PARTS]);
	void *arg;
};
struct cox_push;
/* Gives: end with cox_push_detach(). The first delivery comes when both views are translated. */
struct cox_push_client *cox_push_attach(struct cox_push *p, const struct cox_push_client_spec *spec);
/* On the client's loop: no delivery after this. */
void cox_push_detach(struct cox_push *p, struct cox_push_client **client);
/* Of one proxy's rejections: a proxy that rejects more than that is broken, or means harm, and speaks for itself alone. */
enum { COX_PUSH_REJECTIONS_MAX = 16 };
/* A proxy of this class rejected a resource: it is left out for all of the class (its last good version stays) until its content
 * changes. Not if one of the class accepted the same content, before or within the next moments: then it is that proxy's own affair. */
void cox_push_reject(struct cox_push *p, const struct cox_push_client *client, const struct cox_resource *r, struct cox_str message);

/* On the client's loop: its stream asks for the name table (NDS), which is made only for views in which somebody does. Once for a client.
 */
void cox_push_watch_names(struct cox_push *p, struct cox_push_client *client);

struct cox_push_options {
	struct cox_loop *loop;
	struct cox_registry *registry; /* borrowed; used on the loop only */
	struct cox_convert *convert;   /* run before changes are taken; borrowed, may be NULL */
	/* On the loop: the configuration of a proxy that may have it refers to this Secret or ConfigMap (true), or none has for a while
	 * (false). Each once, by turns. May be NULL. Must not feed the registry from inside. */
	void (*want)(void *arg, enum cox_kind kind, struct cox_str ns, struct cox_str name, bool is_wanted);
	/* On the loop: may a verified service account list Secrets in its namespace? ASKING: cox_push_access_changed() comes later. NULL:
	 * yes. */
	enum cox_access (*may_list_secrets)(void *arg, struct cox_str ns, struct cox_str service_account);
	/* On the loop, after each generation: the snapshot (borrowed) and the changes that led to it. May be NULL. */
	void (*on_generation)(void *arg, const struct cox_snapshot *s, const struct cox_registry_changes *changes);
	/* On the loop: everything that a generation changes was delivered to the proxies that are here. May be NULL. */
	void (*on_delivered)(void *arg, uint64_t generation);
	/* On the loop: a proxy rejected a resource; `origins` are object ids joined by '\n'. May be NULL. */
	void (*on_reject)(void *arg, const struct cox_proxy *proxy, enum cox_type type, struct cox_str name, struct cox_str origins,
	                  struct cox_str message);
	/* On the loop: it is made no more, or nobody is here any more who rejected it. May be NULL. */
	void (*on_forgiven)(void *arg, struct cox_str origins);
	/* On the loop, when what cox_push_patches() says may be new. May be NULL. */
	void (*on_patched)(void *arg);
	/* Changes wait until it was quiet for settle_ms, at most settle_max_ms; 0: none waits. Endpoints too, if `endpoints_settle`. */
	int64_t settle_ms, settle_max_ms;
	bool endpoints_settle;
	void *arg;
};
struct cox_push *cox_push_new(const struct cox_push_options *opts);
/* After all clients are detached and their loops stopped. */
void cox_push_free(struct cox_push *p);
/* On the loop: the registry was fed. */
void cox_push_poke(struct cox_push *p);
/* On the loop: everything is made anew in the next round, as if nothing were remembered; what comes out as it was is not sent. */
void cox_push_forget(struct cox_push *p);
/* On the loop: sources are complete; before that nothing is translated. */
void cox_push_set_synced(struct cox_push *p);
/* On the loop: a set that every proxy has beside what its views give it (types TRUST and PCDS). Takes. */
void cox_push_set_global_take(struct cox_push *p, enum cox_type type, struct cox_set *set);
/* Any thread. */
bool cox_push_is_synced(const struct cox_push *p);
/* On the loop: the latest snapshot (borrowed until the loop's next turn) or NULL. */
const struct cox_snapshot *cox_push_snapshot(const struct cox_push *p);

/* On the loop: may_list_secrets() would say something else now. */
void cox_push_access_changed(struct cox_push *p);
/* On the loop: for each workload that names secrets of ours, which of them it gets, and why not the others. */
struct cox_json *cox_push_dump_secrets(const struct cox_push *p, struct cox_arena *arena);

/* What an EnvoyFilter's patch did, over all proxies that it selects. */
struct cox_push_patch {
	const struct cox_object *object; /* borrowed until the loop's next turn */
	uint32_t at;                     /* spec.configPatches[at] */
	size_t proxies;                  /* connected ones that it selects */
	size_t proxies_matched;          /* those of them in which it changed something */
	uint64_t objects;                /* changed, added or taken away, for all views together */
};
/* On the loop: every patch that selects a connected proxy, by object and place; an arena array. */
size_t cox_push_patches(const struct cox_push *p, struct cox_arena *arena, struct cox_push_patch **out);
/* On the loop: for each class of proxies that are patched alike, the patches that select it and how many objects each changed. */
struct cox_json *cox_push_dump_patches(const struct cox_push *p, struct cox_arena *arena);

struct cox_push_stats {
	uint64_t generation;
	size_t views, workloads, clients, resources, resource_bytes;
};
/* On the loop: the distinct resources held; gives an arena array with a reference to each. */
size_t cox_push_resources(const struct cox_push *p, struct cox_arena *arena, const struct cox_resource ***out);
void cox_push_stats_get(const struct cox_push *p, struct cox_push_stats *out); /* on the loop */

#endif
