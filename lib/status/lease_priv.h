/*
 * lease_priv - the election record that holds a lock, and where an object bears it. Pure.
 */
#ifndef COX_STATUS_LEASE_PRIV_H
#define COX_STATUS_LEASE_PRIV_H

#include "codec/json.h"
#include "status/lease.h"

struct lease_record {
	struct cox_str holder, key; /* key: the holder's revision; empty where it is not told */
	struct cox_str acquire_time, renew_time;
	int64_t duration_s, transitions;
};

/* Borrows from `object` and `arena`. False: the object bears no record that can be read; *out is empty then: nobody holds it. */
bool lease_record_read(enum cox_lease_form form, const struct cox_json *object, struct cox_arena *arena, struct lease_record *out);
/* The body of a POST, or (with the object as it `was`) of a PUT that keeps everything else in it and its resourceVersion. */
void lease_record_write(const struct cox_lease_spec *spec, const struct cox_json *was, const struct lease_record *r, struct cox_buf *out);
/* "2026-08-01T10:00:00.000000Z" for a Lease, "2026-08-01T10:00:00Z" for an annotation. */
struct cox_str lease_time(enum cox_lease_form form, int64_t wall_ms, struct cox_arena *arena);

#endif
