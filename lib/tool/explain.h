/*
 * explain - where a request of a proxy's application (or of a gateway's client) goes, by which objects, and why not elsewhere: the route
 * oracle's walk over what the proxy has, joined with the objects that it came from (`coxctl explain route`).
 * Thread: the caller's; opening blocks.
 */
#ifndef COX_TOOL_EXPLAIN_H
#define COX_TOOL_EXPLAIN_H

#include "tool/world.h"

struct cox_explain_options {
	const char *path;        /* objects: a directory of YAML or a file; may be NULL with a dump */
	const char *config_dump; /* what the proxy really has; NULL: what the objects give */
	const char *server;      /* "http://127.0.0.1:8080": a live coxswaind that both are asked of; NULL: none */
	struct cox_who who;
	struct cox_world_options world;
};
/* One connection or request. */
struct cox_explain_ask {
	struct cox_str to;      /* http://, https://, grpc://, tcp://, tls:// host[:port][/path] */
	struct cox_str method;  /* empty: GET; POST for gRPC */
	struct cox_str address; /* "ip" or "ip:port": what the host resolves to; empty: found out */
	struct cox_str source_ip, sni;
	struct cox_str claims;            /* JSON object: the claims of a verified JWT; empty: none */
	COX_LIST(struct cox_str) headers; /* "name: value" */
};
struct cox_explain;
/* Gives. `notes` gets what was wrong with objects. COX_ENOTFOUND, COX_EINVAL, COX_EIO with text. */
COX_MUST_USE enum cox_rc cox_explain_open(const struct cox_explain_options *opts, struct cox_explain **out, struct cox_buf *notes,
                                          struct cox_err *err);
void cox_explain_close(struct cox_explain **e);
/* The answer as a document with stable names (README of this module), in `arena`. COX_EINVAL: the request says nonsense. */
COX_MUST_USE enum cox_rc cox_explain_route(struct cox_explain *e, const struct cox_explain_ask *ask, struct cox_arena *arena,
                                           struct cox_json **out, struct cox_err *err);
/* From one line of JSON: {"to", "method", "headers": ["k: v"], "address", "sourceIp", "sni", "claims"}. Borrows from `line`. */
COX_MUST_USE enum cox_rc cox_explain_ask_parse(const struct cox_json *line, struct cox_arena *arena, struct cox_explain_ask *out,
                                               struct cox_err *err);
/* The document for people. */
void cox_explain_write(const struct cox_json *answer, bool color, struct cox_buf *out);

#endif
