/* explain_priv.h - what the files of explain share. */
#ifndef COX_TOOL_EXPLAIN_PRIV_H
#define COX_TOOL_EXPLAIN_PRIV_H

#include "oracle/oracle.h"
#include "tool/explain.h"

/* A proxy's configuration as the oracle reads it. */
struct explained {
	struct cox_oracle oracle;
	struct cox_arena arena;          /* its trees */
	struct cox_route_notes notes;    /* of `rendered` */
	const struct cox_json *rendered; /* what the objects give now; NULL: no objects */
	bool is_dump;                    /* the oracle has a dump, not `rendered` */
	struct cox_str ns, name, ip;
	const struct cox_object *pod; /* NULL: not known */
	struct cox_proxy *proxy;      /* NULL: no objects */
	COX_LIST(struct cox_kv) labels;
	bool is_router;
};
struct cox_explain {
	struct cox_world *world; /* NULL: no objects */
	struct explained start;
	struct cox_map others; /* pod id -> struct explained, of destinations */
	struct cox_arena arena;
	struct cox_json *nodes; /* who is connected to a live server; NULL: not known */
	bool is_upstream, no_sds;
};

/* What is asked, worked out. */
struct question {
	struct cox_explain *e;
	struct cox_arena *a;
	struct cox_oracle_request r;
	struct cox_str scheme, host, host_port;
	uint16_t port_asked;            /* of the URL; r.dst_port is where the proxy gets it */
	struct cox_str resolved_by;     /* a sentence part */
	const struct cox_snap_svc *svc; /* that the host means, or NULL */
	COX_VEC(struct cox_str) notes;
};

/* explain.c */
enum cox_rc explained_open(struct cox_explain *e, const struct cox_who *who, struct explained *out, struct cox_err *err);
void explained_fini(struct explained *x);
void explain_note(struct question *q, const char *fmt, ...) COX_PRINTF(2, 3);

/* explain_ask.c */
enum cox_rc question_prepare(struct question *q, const struct cox_explain_ask *ask, struct cox_err *err);
/* explain_walk.c: the walk as JSON; `from` NULL: no objects. */
struct cox_json *explain_walk_json(struct question *q, struct explained *x, const struct cox_oracle_walk *w);
/* explain_cluster.c */
struct cox_json *explain_target_json(struct question *q, struct explained *x, const struct cox_oracle_target *t);
/* explain_source.c: {"object", "field"}, or NULL where nothing is known. */
struct cox_json *explain_route_source(struct question *q, struct explained *x, const struct cox_oracle_walk *w, size_t index);
struct cox_json *explain_source_new(struct cox_arena *a, struct cox_str object, struct cox_str field);
struct cox_json *explain_metadata_source(struct cox_arena *a, const struct cox_json *resource);
struct cox_json *explain_listener_source(struct question *q, struct explained *x, const struct cox_oracle_walk *w);
/* "DestinationRule/default/reviews" -> "DestinationRule default/reviews". */
struct cox_str explain_object_text(struct cox_arena *a, struct cox_str id);
/* The policies of the cluster's rule: [{"policy": "connectionPool", "object", "field"}]. */
struct cox_json *explain_policy_sources(struct question *q, struct explained *x, struct cox_str host, uint16_t port, struct cox_str subset);
/* The service and the rule of "outbound|80|v1|host". False: no such name. */
bool explain_cluster_name_split(struct cox_str name, struct cox_str *direction, uint16_t *port, struct cox_str *subset,
                                struct cox_str *host);
struct cox_json *explain_subset_source(struct question *q, struct explained *x, struct cox_str host, struct cox_str subset);
/* A note where a dump's virtual host is another than the objects give. */
void explain_drift(struct question *q, struct explained *x, const struct cox_oracle_walk *w);
/* explain_inbound.c: what the destination's own proxy does with it; NULL: nothing is known of it. */
struct cox_json *explain_inbound(struct question *q, const struct cox_oracle_walk *w);
/* explain_near.c: notes on a host that the proxy does not know. */
void explain_near(struct question *q, struct explained *x);

/* Shorter building. All accept an empty text (nothing is set). */
void js_str(struct cox_arena *a, struct cox_json *o, const char *key, struct cox_str v);
void js_int(struct cox_arena *a, struct cox_json *o, const char *key, int64_t v);
void js_bool(struct cox_arena *a, struct cox_json *o, const char *key, bool v);
struct cox_json *js_put(struct cox_arena *a, struct cox_json *o, const char *key, struct cox_json *v); /* NULL v: nothing */

#endif
