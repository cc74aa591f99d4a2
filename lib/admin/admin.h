/*
 * admin - what operators and tools ask over HTTP: /ready, /version, /metrics, /debug/... as JSON (features g23-g42;
 * names and shapes as istiod's where the meaning is the same: protocol facts, section 15).
 * Thread: open and close anywhere but on a stream loop or the config loop; handlers run on the HTTP daemons' threads and
 * ask the loops for what they own, so the config loop must run as long as the admin is open.
 * Access: /debug answers loopback peers alone; the rest answers everybody.
 */
#ifndef COX_ADMIN_ADMIN_H
#define COX_ADMIN_ADMIN_H

#include "ca/revocation.h"
#include "net/httpd.h"
#include "push/push.h"
#include "xds/server.h"

struct cox_admin;
struct cox_admin_options {
	struct cox_loop *config_loop;
	struct cox_registry *registry; /* borrowed, as push and xds; used on the config loop */
	struct cox_push *push;
	struct cox_xds_server *xds;
	struct cox_ca *ca;            /* borrowed, for /debug/certz; NULL: none */
	struct cox_ledger *ledger;    /* borrowed; config loop; NULL: none */
	struct cox_str version;       /* copied */
	const struct cox_addr *addrs; /* one daemon each: 8080 and 15014 */
	size_t addr_count;
};
/* ports[i] gets the port taken (may be NULL). COX_EIO: an address is taken. */
COX_MUST_USE enum cox_rc cox_admin_open(const struct cox_admin_options *opts, struct cox_admin **out, uint16_t *ports, struct cox_err *err);
/* Waits for handlers that run. Accepts NULL. */
void cox_admin_close(struct cox_admin **a);

#endif
