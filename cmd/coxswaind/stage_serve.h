/*
 * stage_serve - who may talk to us, and with which certificate we answer: authentication, the CSR service, TLS on --secureGRPCAddr.
 * Started before the xDS server, which gets its methods and its rules from here; ended after it. Config loop.
 */
#ifndef COXSWAIND_STAGE_SERVE_H
#define COXSWAIND_STAGE_SERVE_H

#include "daemon.h"

enum cox_rc start_serve(struct daemon *d, struct cox_err *err);
void stop_serve(struct daemon *d);
/* Methods and rules for the server that is about to be opened. */
void serve_fill(struct daemon *d, struct cox_xds_server_options *opts);
/* The server is open: listens on TLS as soon as there is a certificate. */
enum cox_rc serve_listen(struct daemon *d, struct cox_err *err);
/* Before the server is closed: its certificate does not change any more. */
void serve_unlisten(struct daemon *d);
/* The CA's first and every later bundle. */
void serve_on_bundle(struct daemon *d, const struct cox_ca_bundle *b);
/* The mesh configuration may have changed. */
void serve_on_mesh(struct daemon *d);
/* Who says who calls; NULL: nobody. */
struct cox_authn *serve_authn(struct daemon *d);

#endif
