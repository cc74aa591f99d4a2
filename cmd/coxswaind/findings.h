/* findings - what does not fit together in the latest generation: said once in the log, in metrics, and in objects' status. */
#ifndef COXSWAIND_FINDINGS_H
#define COXSWAIND_FINDINGS_H

#include "push/push.h"
#include "status/addresses.h"
#include "status/status.h"

struct findings;
/* Borrows all; `status` may be NULL and may be set later. Looks a second after the last poke, not at every generation. */
struct findings *findings_new(struct cox_loop *loop, struct cox_registry *registry, struct cox_convert *convert, struct cox_push *push);
void findings_set_status(struct findings *f, struct cox_status *status);
/* Addresses of ServiceEntries that their status does not say are written through this; NULL: they are not. */
void findings_set_addresses(struct findings *f, struct cox_addresses *addresses);
void findings_poke(struct findings *f);
void findings_free(struct findings *f);

#endif
