/*
 * enroll_priv - enroll.c: visits, timers, what is to be done next; enroll_kube.c: doing it at the kube-apiserver; enroll_entry.c: the
 * documents, pure.
 */
#ifndef COX_ENROLL_ENROLL_PRIV_H
#define COX_ENROLL_ENROLL_PRIV_H

#include "enroll/enroll.h"

#include "base/vec.h"
#include "kube/backoff.h"
#include "loop/timer.h"

#define ENROLL_GROUP "istio.io/autoRegistrationGroup"
#define ENROLL_CONTROLLER "istio.io/workloadController"
#define ENROLL_CONNECTED "istio.io/connectedAt"
#define ENROLL_DISCONNECTED "istio.io/disconnectedAt"
#define ENROLL_HEALTH "proxy.istio.io/health-checks-enabled"

enum { TRIES_MAX = 5 }; /* when somebody else writes the same object at the same time */

struct enroll_visit {
	struct cox_enroll *e;
	struct enroll_entry *entry; /* NULL: it was refused, or has nothing to say */
	struct cox_xds_visit *stream;
	const struct cox_xds_visitor *who;
	bool is_answered, is_in; /* in: it has the entry */
};

enum enroll_op { ENROLL_IDLE, ENROLL_CONNECT, ENROLL_DISCONNECT, ENROLL_DELETE, ENROLL_TELL };

struct enroll_entry { /* one WorkloadEntry */
	struct cox_enroll *e;
	struct cox_str ns, name, key; /* in one block, key "ns/name" */
	bool is_auto;                 /* made from a group; else the user wrote it */
	bool takes_health;
	COX_VEC(struct enroll_visit *) visits;
	int64_t connected_ms;    /* of the newest visit */
	int64_t disconnected_ms; /* when the last one went */
	bool wants_claim /* somebody else said that it has gone */, wants_disconnect, wants_delete, wants_tell;
	enum cox_reported health;
	struct cox_buf why; /* unhealthy: what the agent said */
	/* What is going on. */
	enum enroll_op op;
	struct enroll_visit *current; /* of CONNECT; NULL also when it went meanwhile */
	struct cox_buf told;          /* of TELL: the reason that is being written */
	enum cox_reported told_health;
	struct cox_kube_request *request;
	unsigned tries;
	struct cox_kube_backoff backoff;
	struct cox_timer *retry, *grace;
};

struct cox_enroll {
	struct cox_enroll_spec spec;
	struct cox_arena text;
	struct cox_map entries; /* key -> entry */
	struct cox_timer *sweep, *check;
	int64_t started_ms;
};

/* enroll.c */
/* May this visit have the entry, which is `there` or not (NULL)? COX_ENOTFOUND, COX_EEXIST, COX_EDENIED say why not. */
enum cox_rc enroll_check(struct enroll_entry *n, const struct enroll_visit *v, const struct cox_json *there, const struct cox_object *group,
                         struct cox_err *err);
/* The visit is over as far as the stream is concerned: it goes on, or is refused. */
void enroll_answer(struct enroll_visit *v, enum cox_rc rc, const char *text);
/* What was going on is done (`is_done`), or must be tried again after a while. May free the entry. */
void enroll_op_end(struct enroll_entry *n, bool is_done);

/* enroll_entry.c: pure */
struct enroll_stamp {
	struct cox_str controller;
	int64_t connected_ms;
};
/* "<group>-<address>[-<network>]": colons become dashes, a long one loses its beginning. */
struct cox_str enroll_entry_name(struct cox_arena *arena, const struct cox_proxy *proxy, struct cox_str group);
/* The WorkloadEntry of a proxy: the node's labels before the group's before the template's. */
struct cox_json *enroll_entry_build(struct cox_arena *arena, const struct cox_object *group, const struct cox_proxy *proxy,
                                    struct cox_str name, const struct enroll_stamp *stamp);
/* May this visitor stand behind an entry of this namespace with this service account (empty: any)? COX_EDENIED says why not. */
enum cox_rc enroll_identity_check(const struct cox_xds_visitor *who, struct cox_str ns, struct cox_str account, struct cox_err *err);
/* Merge patches that set annotations, with the version that was read. */
struct cox_json *enroll_connect_patch(struct cox_arena *arena, const struct cox_json *was, const struct enroll_stamp *stamp);
struct cox_json *enroll_disconnect_patch(struct cox_arena *arena, const struct cox_json *was, int64_t disconnected_ms);
/* A merge patch of the status: the other conditions stay. Health NONE takes the condition away. NULL: that is said already. */
struct cox_json *enroll_health_patch(struct cox_arena *arena, const struct cox_json *was, enum cox_reported health, struct cox_str why,
                                     int64_t now_ms);
/* An annotation as JSON has it; empty: none. */
struct cox_str enroll_annotation(const struct cox_json *object, const char *key);
/* A time among annotations; 0: none. */
int64_t enroll_time(struct cox_str text);
/* Nobody is behind it any more: disconnected for `grace_ms`, or connected for longer than `max_age_ms` (0: no such limit). */
bool enroll_is_over(struct cox_str connected, struct cox_str disconnected, int64_t now_ms, int64_t grace_ms, int64_t max_age_ms);

/* enroll_kube.c */
void enroll_kube_start(struct enroll_entry *n);

#endif
