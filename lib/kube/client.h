/*
 * client - requests to one kube-apiserver: credentials, a rate limit, one retry after 401, patience after 429, and whether it can be
 * reached. Thread: everything on the loop. Owns its HTTP connections (one HTTP/2 connection, as a rule).
 */
#ifndef COX_KUBE_CLIENT_H
#define COX_KUBE_CLIENT_H

#include "kube/kubeconfig.h"
#include "loop/loop.h"
#include "net/websocket.h"

struct cox_kube_client;
struct cox_kube_request;

struct cox_kube_client_spec {
	double qps;             /* of requests other than watches; 0: 80 */
	unsigned burst;         /* 0: 160 */
	const char *user_agent; /* NULL: "coxswain" */
	int64_t unreachable_ms; /* silence after which the server counts as unreachable; 0: 5 s */
};

/* Takes the content of *config, which is empty afterwards. `spec` may be NULL. */
struct cox_kube_client *cox_kube_client_new_take(struct cox_loop *loop, struct cox_kube_config *config,
                                                 const struct cox_kube_client_spec *spec);
/* Requests still open are canceled: on_done does not come. Accepts NULL. */
void cox_kube_client_free(struct cox_kube_client **c);
struct cox_loop *cox_kube_client_loop(const struct cox_kube_client *c);

/* Hears when the server stops answering for longer than `unreachable_ms` (false), and when it is back (true). While somebody
 * listens, a silent server is asked for /version every 2 s. At the change to false all open requests end with COX_ETIMEOUT and
 * all connections are dropped: one that hangs must not be used again. */
struct cox_kube_reach {
	struct cox_kube_reach *next;
	/* Must not open or close requests or listeners from inside: it starts a timer for that. */
	void (*fn)(void *ctx, bool is_reachable);
	void *ctx;
};
/* Borrows `r` until it is removed. */
void cox_kube_client_reach_add(struct cox_kube_client *c, struct cox_kube_reach *r);
void cox_kube_client_reach_remove(struct cox_kube_client *c, struct cox_kube_reach *r);
bool cox_kube_client_is_reachable(const struct cox_kube_client *c);

struct cox_kube_request_cb {
	/* Streams only, may be NULL: the head of a 2xx response. */
	void (*on_head)(void *ctx, struct cox_kube_request *r);
	/* Set: the body of a 2xx response is streamed, and the request is a watch or a long list: no rate limit where `is_watch`.
	 * Anything but COX_OK ends the request with that code. NULL: collected. */
	enum cox_rc (*on_body)(void *ctx, struct cox_kube_request *r, struct cox_str bytes);
	/* Once; `r` is gone after the return. COX_OK: 2xx. Else the category of the status or of the transport's trouble, with the
	 * server's own message in err->text. `status` is 0 where no response came. */
	void (*on_done)(void *ctx, struct cox_kube_request *r, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err);
	void *ctx;
};

struct cox_kube_request_spec {
	const char *method;       /* NULL: GET */
	struct cox_str path;      /* "/api/v1/pods?limit=5"; copied */
	struct cox_str body;      /* copied */
	const char *content_type; /* static text; NULL: application/json where there is a body */
	const char *accept;       /* static text; NULL: application/json */
	bool is_watch;
	int64_t timeout_ms;    /* 0: 30 s; none for streams, which end after a minute without a byte unless they are watches */
	size_t max_body_bytes; /* of a collected response; 0: 16 MiB */
};

/* Copies `spec` and `cb`. Callbacks never come from inside. */
void cox_kube_request_open(struct cox_kube_client *c, const struct cox_kube_request_spec *spec, const struct cox_kube_request_cb *cb,
                           struct cox_kube_request **out);
/* No callback after this. Allowed in its own callbacks except on_done. Accepts NULL. */
void cox_kube_request_close(struct cox_kube_request **r);

/* A WebSocket to `path` (of pods/portforward and the like) with the same server, TLS and credentials; blocks while it opens: for
 * command-line tools. After at least one request was answered. COX_EAGAIN: there are no credentials yet. */
COX_MUST_USE enum cox_rc cox_kube_websocket_open(struct cox_kube_client *c, struct cox_str path, const char *protocol,
                                                 const struct cox_ws_cb *cb, struct cox_ws **out, struct cox_err *err);

/* --- what is said often ----------------------------------------------------------------------------- */

enum { COX_KUBE_PATH_MAX = 1024 };
/* "/api/v1/namespaces/ns/pods/name/status"; empty parts are left out. Appends; names are escaped. */
void cox_kube_path(struct cox_buf *out, struct cox_str group, struct cox_str version, struct cox_str plural, struct cox_str ns,
                   struct cox_str name, struct cox_str subresource);
/* Appends "?key=value" or "&key=value" with the value escaped. */
void cox_kube_path_query(struct cox_buf *path, const char *key, struct cox_str value);
/* GET, POST, PUT, DELETE with a JSON body (empty: none). */
void cox_kube_call(struct cox_kube_client *c, const char *method, struct cox_str path, struct cox_str body,
                   const struct cox_kube_request_cb *cb, struct cox_kube_request **out);
/* Server-side apply with force: `body` is JSON (YAML contains it). `path` has no query yet. */
void cox_kube_apply(struct cox_kube_client *c, struct cox_str path, const char *field_manager, struct cox_str body,
                    const struct cox_kube_request_cb *cb, struct cox_kube_request **out);
/* A JSON merge patch. */
void cox_kube_merge_patch(struct cox_kube_client *c, struct cox_str path, struct cox_str body, const struct cox_kube_request_cb *cb,
                          struct cox_kube_request **out);

#endif
