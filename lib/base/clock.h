/*
 * clock - time. Monotonic time measures, wall time is only shown and compared with timestamps of others.
 */
#ifndef COX_BASE_CLOCK_H
#define COX_BASE_CLOCK_H

#include "base/str.h"

int64_t cox_clock_mono_ns(void);
int64_t cox_clock_mono_ms(void);
int64_t cox_clock_wall_ms(void); /* since 1970, UTC */
/* RFC 3339 in UTC, to the millisecond: "2026-08-01T10:00:00.000Z"; times outside the years 0 to 9999 as the nearest within. */
void cox_clock_format(int64_t wall_ms, char out[32]);
/* RFC 3339, any offset, any fraction. COX_EINVAL: it is not one. */
COX_MUST_USE enum cox_rc cox_clock_parse(struct cox_str text, int64_t *wall_ms);
/* A random number below `bound` (> 0), not for secrets: jitter, sampling. Thread-local generator. */
uint32_t cox_random_below(uint32_t bound);
/* `ms` changed by up to plus or minus `percent`. */
int64_t cox_jitter_ms(int64_t ms, unsigned percent);

#endif
