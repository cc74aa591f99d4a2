/* gateway_names - names among the gateways between networks are resolved here, again and again (RESOLVE_HOSTNAME_GATEWAYS). */
#ifndef COXSWAIND_GATEWAY_NAMES_H
#define COXSWAIND_GATEWAY_NAMES_H

#include "push/push.h"

struct gateway_names;
/* Borrows all. */
struct gateway_names *gateway_names_new(struct cox_loop *loop, struct cox_registry *registry, struct cox_push *push);
/* There may be another name. Accepts NULL. */
void gateway_names_poke(struct gateway_names *g);
/* Accepts NULL. */
void gateway_names_free(struct gateway_names *g);

#endif
