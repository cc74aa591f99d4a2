/*
 * server - the ADS server: gRPC streams (state-of-the-world and delta) on stream loops, each driving a core, fed by push.
 * Also answers grpc.health.v1 (the server as a whole: SERVING once sources are complete).
 * Thread: open, drain and close on the config loop; streams live on their loops; the dump from any thread but a stream loop.
 * Owns: its stream loops. A stream holds at most one message on its way; what changes meanwhile is a mark, not a queue.
 */
#ifndef COX_XDS_SERVER_H
#define COX_XDS_SERVER_H

#include "ca/authn.h"
#include "ca/revocation.h"
#include "net/grpc_server.h"
#include "push/push.h"
#include "xds/visit.h"

/* Listeners, as gRPC tags. */
enum { COX_XDS_PLAINTEXT, COX_XDS_TLS };

/* Who may have a stream. A stream is authenticated before its first request is looked at; its identity's namespace must be the proxy's, and
 * its service account the one that the proxy's metadata names, if it names one. */
struct cox_xds_auth {
	struct cox_authn *authn;   /* borrowed; NULL: everybody may */
	struct cox_ledger *ledger; /* borrowed; NULL: nothing is revoked */
	bool on_tls, on_plaintext; /* where it is asked for (XDS_AUTH, XDS_AUTH_PLAINTEXT) */
	bool skip_identity_check;  /* any authenticated caller may be any proxy (PILOT_ENABLE_XDS_IDENTITY_CHECK=false) */
};

struct cox_xds_server;
struct cox_xds_server_options {
	struct cox_loop *config_loop;
	struct cox_push *push; /* borrowed; must outlive the server */
	size_t loop_count;     /* stream loops; 0: 1 */
	struct cox_grpc_limits limits;
	struct cox_str version; /* of coxswain, told as control_plane.identifier; copied */
	struct cox_xds_auth auth;
	struct cox_xds_visits visits;          /* workloads that register themselves */
	const struct cox_grpc_method *methods; /* more methods for the same listeners (the CSR service); copied */
	size_t method_count;
	/* New streams a second, for all loops together: those beyond are refused with RESOURCE_EXHAUSTED and come again. 0: as many as
	 * come. */
	double streams_per_second;
	unsigned first_configs; /* streams that may get their first configuration at once, per loop; 0: 16 */
};
COX_MUST_USE enum cox_rc cox_xds_server_open(const struct cox_xds_server_options *opts, struct cox_xds_server **out, struct cox_err *err);
/* One more address in clear text. *port gets the port (may be NULL). */
COX_MUST_USE enum cox_rc cox_xds_server_listen(struct cox_xds_server *s, const struct cox_addr *addr, uint16_t *port, struct cox_err *err);
/* The same over TLS; shares `tls`. Later connections of TLS listeners use the certificate of the last cox_xds_server_set_tls(). */
COX_MUST_USE enum cox_rc cox_xds_server_listen_tls(struct cox_xds_server *s, const struct cox_addr *addr, struct cox_tls *tls,
                                                   uint16_t *port, struct cox_err *err);
void cox_xds_server_set_tls(struct cox_xds_server *s, struct cox_tls *tls);
/* Something was revoked: streams of identities and certificates that are revoked now end soon. */
void cox_xds_server_recheck(struct cox_xds_server *s);
/* While true new streams are refused with RESOURCE_EXHAUSTED, and those without a configuration yet are ended: what is served stays so. */
void cox_xds_server_shed(struct cox_xds_server *s, bool sheds);
/* Ends some of the streams, the newest of each loop: one in `parts`, at least one. They come again, here or at another replica. */
void cox_xds_server_relieve(struct cox_xds_server *s, size_t parts);
/* GOAWAY to all; their ends are spread over grace_ms. */
void cox_xds_server_drain(struct cox_xds_server *s, int64_t grace_ms);
bool cox_xds_server_is_draining(const struct cox_xds_server *s); /* any thread */
/* Ends everything; closed(ctx) on the config loop when all streams are detached from push. */
void cox_xds_server_close(struct cox_xds_server **s, void (*closed)(void *ctx), void *ctx);

size_t cox_xds_server_streams(const struct cox_xds_server *s);
/* Those of them that are proxies' and have said who they are. */
size_t cox_xds_server_proxies(const struct cox_xds_server *s);
/* Everything goes to every proxy again, as if it were new. Any thread but a stream loop. */
void cox_xds_server_resend(struct cox_xds_server *s);
/* Config loop, when everything that was made of `generation` was delivered: from now on it is told who has followed. */
void cox_xds_server_mark(struct cox_xds_server *s, uint64_t generation);
/* How far proxies have followed marked generations. */
enum { COX_XDS_FOLLOWED_NAME = 128 };
struct cox_xds_followed {
	size_t streams;         /* all that have said who they are */
	const uint64_t *behind; /* of each that lags the first generation of which something concerns it and is not acknowledged */
	size_t behind_n;
	const char *name; /* the id of one that lags most; empty: none does */
};
/* Config loop; done() comes there later, unless the server is closed before. */
void cox_xds_server_followed(struct cox_xds_server *s, void (*done)(void *ctx, const struct cox_xds_followed *r), void *ctx);
/* Who has followed: of the streams that watch `type`, how many have acknowledged the set with this hash and nothing else. */
struct cox_xds_acked {
	size_t watching, acked, streams; /* streams: all that have said who they are */
};
/* Config loop; done() comes there later, unless the server is closed before. */
void cox_xds_server_acked(struct cox_xds_server *s, enum cox_type type, struct cox_hash set,
                          void (*done)(void *ctx, const struct cox_xds_acked *r), void *ctx);

#endif
