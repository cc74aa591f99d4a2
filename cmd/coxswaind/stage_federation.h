/*
 * stage_federation - other trust domains: which roots count for which (MeshConfig caCertificates, SPIFFE bundle endpoints), and our own
 * bundle for those who ask.
 */
#ifndef COX_COXSWAIND_STAGE_FEDERATION_H
#define COX_COXSWAIND_STAGE_FEDERATION_H

#include "daemon.h"

#include "ca/serving.h"
#include "ca/trust.h"

enum cox_rc start_federation(struct daemon *d, struct cox_err *err);
void stop_federation(struct daemon *d);
/* The mesh configuration is another one, perhaps. */
void federation_mesh_changed(struct daemon *d);
/* False: the first bundles of other trust domains are on their way (5 s at most); cox_push_set_synced() follows. Agents would lose what
 * they know of them otherwise. */
bool federation_is_settled(struct daemon *d);
/* Everything that the mesh trusts beside this bundle, with it; *n 0: nothing. In `arena` and borrowed. False: not known yet, and what
 * agents have must stay. */
bool federation_domains(struct daemon *d, const struct cox_ca_bundle *b, struct cox_arena *arena, struct cox_trust_domain **out, size_t *n);
/* The certificate to serve our bundle with: the endpoint opens with the first. */
void federation_on_certificate(struct daemon *d, const struct cox_serving_now *now);

#endif
