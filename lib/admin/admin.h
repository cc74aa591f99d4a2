/*
 * admin - what operators and tools ask over HTTP: /ready, /version, /metrics, /debug/... as JSON (features g23-g42;
 * names and shapes as istiod's where the meaning is the same: protocol facts, section 15).
 * Thread: open and close anywhere but on a stream loop or the config loop; handlers run on the HTTP daemons' threads and
 * ask the loops for what they own, so the config loop must run as long as the admin is open.
 * The same pages are answered over xDS, to istioctl (xds/debug.h).
 * Access: /debug answers loopback peers, and others by who they are (struct cox_admin_debug); the rest answers everybody.
 */
#ifndef COX_ADMIN_ADMIN_H
#define COX_ADMIN_ADMIN_H

#include "ca/authn.h"
#include "ca/revocation.h"
#include "net/httpd.h"
#include "push/push.h"
#include "xds/server.h"

/* Who may see debug pages but loopback, which may see all: identities of the root namespace and of the allowed ones, everything; others the
 * configuration of proxies of their own namespace. */
struct cox_admin_debug {
	bool is_off_on_http;               /* ENABLE_DEBUG_ON_HTTP=false: over xDS only */
	bool any_identity;                 /* ENABLE_DEBUG_ENDPOINT_AUTH=false: whoever is authenticated sees everything */
	struct cox_str allowed_namespaces; /* DEBUG_ENDPOINT_AUTH_ALLOWED_NAMESPACES, comma-separated; copied */
	bool is_unsafe_on;                 /* UNSAFE_ENABLE_ADMIN_ENDPOINTS: pages that do something to proxies */
};

struct cox_admin;
struct cox_admin_options {
	struct cox_loop *config_loop;
	struct cox_registry *registry; /* borrowed, as push and xds; used on the config loop */
	struct cox_push *push;
	struct cox_xds_server *xds;
	struct cox_ca *ca;         /* borrowed, for /debug/certz; NULL: none */
	struct cox_ledger *ledger; /* borrowed; config loop; NULL: none */
	struct cox_authn *authn;   /* borrowed; NULL: nobody but loopback is known */
	struct cox_admin_debug debug;
	/* On the config loop: {name: text} of the injector's templates in force, in `arena`; NULL: there is no injector. May be NULL. */
	struct cox_json *(*inject)(void *ctx, struct cox_arena *arena);
	void *inject_ctx;
	struct cox_str version;       /* copied */
	const struct cox_addr *addrs; /* one daemon each: 8080 and 15014 */
	size_t addr_count;
	const struct cox_addr *ctrlz; /* ControlZ: log levels and the like, for loopback peers; NULL: off */
};
/* ports[i] gets the port taken, after those of `addrs` ControlZ's, 0 where it is not there (may be NULL). COX_EIO: an address is taken. */
COX_MUST_USE enum cox_rc cox_admin_open(const struct cox_admin_options *opts, struct cox_admin **out, uint16_t *ports, struct cox_err *err);
/* Waits for handlers that run. Accepts NULL. */
void cox_admin_close(struct cox_admin **a);

#endif
