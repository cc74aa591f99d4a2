/* server_priv - shared by server.c (life), stream.c (one stream), list.c (what is asked from outside), debug.c, health.c. */
#ifndef COX_XDS_SERVER_PRIV_H
#define COX_XDS_SERVER_PRIV_H

#include "loop/timer.h"
#include "xds/authorize.h"
#include "xds/debug.h"
#include "xds/pushed.h"
#include "xds/follow.h"
#include "xds/server.h"
#include "xds/steps.h"

struct stream_loop;
struct ads_stream {
	struct stream_loop *home;
	struct cox_grpc_stream *grpc;
	struct cox_xds_core *core;
	const struct cox_proxy *proxy; /* NULL before the first request */
	struct cox_push_client *client;
	struct ads_auth auth;
	const struct cox_wanted *wanted[COX_PUSH_PARTS];
	struct cox_push_identity identity; /* text of auth.who */
	struct cox_xds_visit *visit;       /* NULL: it does not register itself */
	bool is_held;                      /* requests wait for the visit's answer */
	bool is_delta, is_closing, is_queued /* in home->ready */, is_configured /* its first configuration went out */, watches_names;
	int64_t connected_ms, wake_ms, event_ns;
	int64_t queued_ns, sent_ns; /* since when it waits for its turn; for the kernel to take its message; 0: it does not */
	uint64_t sent_bytes, serial;
	struct cox_buf first_node; /* of a stream that began with a question: until it asks for resources, too */
	struct xds_pushed pushed;
	struct cox_xds_question *question; /* at most one; NULL: none */
	struct follow follow;
};
struct stream_loop {
	struct cox_xds_server *server;
	struct cox_loop *loop;
	struct cox_steps *steps;
	struct cox_timer *turn, *age, *wake;
	int64_t wake_at_ms;
	COX_VEC(struct ads_stream *) streams; /* by serial: lists go on where they stopped, whoever came or went meanwhile */
	uint64_t next_serial;
	struct cox_xds_debug debug;
	size_t recv_max;                            /* bytes of the largest request */
	struct cox_map ids;                         /* proxy id: the newest of its streams */
	COX_VEC(struct ads_stream *) ready, firsts; /* may have something to send; new ones wait in `firsts` */
	struct cox_arena arena;
	COX_VEC(struct ads_stream *) lagging; /* follow.h */
	uint64_t mark;                        /* the newest generation that was delivered as a whole; 0: none yet */
	double tokens;                        /* of opts.streams_per_second, this loop's share */
	int64_t refilled_ms;
};
struct cox_xds_server {
	struct cox_xds_server_options opts;
	char *identifier; /* JSON: component, id, version */
	struct cox_grpc_server *grpc;
	struct stream_loop *loops;
	struct cox_loop **loop_list;
	size_t loop_count;
	_Atomic size_t stream_count, proxy_count;
	_Atomic bool sheds, is_draining;
	struct cox_grpc_method *methods;
	size_t method_count;
	struct cox_loop_task end_task;
	void (*closed)(void *ctx);
	void *closed_ctx;
};

/* admit.c */
/* False: the stream was refused, there is too much to do. */
bool stream_is_admitted(struct stream_loop *l, struct cox_grpc_stream *s);
/* stream.c */
void stream_on_open(void *ctx, struct cox_grpc_stream *s);
void stream_on_message(void *ctx, struct cox_grpc_stream *s, struct cox_str message);
void stream_on_drained(void *ctx, struct cox_grpc_stream *s);
/* Ends the stream, with a line in the log and a count under `reason`. */
void stream_refuse(struct ads_stream *a, enum cox_rc rc, const char *reason, struct cox_str text);
/* The visit may go on: gives the stream its core and what push has for it, then looks at the requests that waited. Takes `proxy`. */
void stream_go_on(struct ads_stream *a, const struct cox_proxy *proxy);
/* It may have something to send. */
void stream_wake(struct ads_stream *a);
void stream_on_close(void *ctx, struct cox_grpc_stream *s, enum cox_rc why);
void stream_loop_init(struct stream_loop *l, struct cox_xds_server *server, struct cox_loop *loop);
void stream_loop_fini(struct stream_loop *l);
/* visit.c */
/* True: the stream waits, and stream_go_on() or stream_refuse() follows. */
bool visit_begin(struct ads_stream *a, const struct cox_proxy *proxy);
void visit_health(struct ads_stream *a, bool is_well, struct cox_str why);
void visit_end(struct ads_stream *a);
/* debug.c */
bool debug_is_question(struct cox_str type_url);
/* A question came: it is put to whoever answers. What acknowledges an answer is none. */
void debug_ask(struct ads_stream *a, struct cox_str type_url, const struct cox_xds_request *r);
/* The stream takes a message again. */
void debug_flush(struct ads_stream *a);
void debug_end(struct ads_stream *a);
/* list.c: where a serial is, or would be. */
size_t list_place(const struct stream_loop *l, uint64_t serial);
/* health.c */
extern const char health_check_path[], health_watch_path[];
void health_on_message(void *ctx, struct cox_grpc_stream *s, struct cox_str message);

#endif
