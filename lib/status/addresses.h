/*
 * addresses - writes the addresses of ServiceEntries into status.addresses, as Istio's controller for them does: under a field manager of
 * its own, apart from conditions. Which address a host has is the registry's affair (the same at every replica).
 * Thread: everything on the client's loop. Only the leader writes; capped in rate, one request at a time.
 */
#ifndef COX_STATUS_ADDRESSES_H
#define COX_STATUS_ADDRESSES_H

#include "kube/client.h"
#include "model/service_entry.h"

struct cox_addresses;
/* Borrows `client` until close. Not leader at first. */
void cox_addresses_open(struct cox_kube_client *client, struct cox_addresses **out);
/* What is not written yet is not written. Accepts NULL. */
void cox_addresses_close(struct cox_addresses **a);
void cox_addresses_lead(struct cox_addresses *a, bool is_leader);
/* What an entry's status should say; copies, the latest counts. For those only whose status says something else: ignored while another
 * replica leads. */
void cox_addresses_set(struct cox_addresses *a, struct cox_str ns, struct cox_str name, const struct cox_se_address *list, size_t n);
size_t cox_addresses_waiting(const struct cox_addresses *a);

#endif
