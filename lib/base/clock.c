#include "base/clock.h"

#include <stdio.h>
#include <sys/random.h>
#include <time.h>

static int64_t now_ns(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t cox_clock_mono_ns(void) { return now_ns(CLOCK_MONOTONIC); }
int64_t cox_clock_mono_ms(void) { return now_ns(CLOCK_MONOTONIC) / 1000000; }
int64_t cox_clock_wall_ms(void) { return now_ns(CLOCK_REALTIME) / 1000000; }

/* RFC 3339 has years of four digits; what lies outside is shown as its first or last moment. */
static const int64_t first_ms = -62167219200000, last_ms = 253402300799999; /* 0000-01-01 and the end of 9999-12-31 */

void cox_clock_format(int64_t wall_ms, char out[32])
{
	wall_ms = wall_ms < first_ms ? first_ms : wall_ms > last_ms ? last_ms : wall_ms;
	/* Division rounds towards zero: before 1970 the remainder would be negative. */
	int64_t ms = (wall_ms % 1000 + 1000) % 1000;
	time_t s = (time_t)((wall_ms - ms) / 1000);
	struct tm tm;
	gmtime_r(&s, &tm);
	/* %Y of strftime does not pad; the bounds are said again for the compiler, which sees that the text fits. */
	snprintf(out, 32, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)(tm.tm_mon + 1) % 100,
	         (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100,
	         (unsigned)ms);
}

static bool digits(struct cox_str *s, size_t count, int *out)
{
	*out = 0;
	if (s->n < count)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (s->p[i] < '0' || s->p[i] > '9')
			return false;
		*out = *out * 10 + (s->p[i] - '0');
	}
	*s = cox_str_sub(*s, count, s->n);
	return true;
}

static bool literal(struct cox_str *s, char a, char b)
{
	if (!s->n || (s->p[0] != a && s->p[0] != b))
		return false;
	*s = cox_str_sub(*s, 1, s->n);
	return true;
}

enum cox_rc cox_clock_parse(struct cox_str s, int64_t *wall_ms)
{
	struct tm tm = { 0 };
	int hours, minutes, d;
	int64_t ms = 0, offset = 0;
	if (!digits(&s, 4, &tm.tm_year) || !literal(&s, '-', '-') || !digits(&s, 2, &tm.tm_mon) || !literal(&s, '-', '-') ||
	    !digits(&s, 2, &tm.tm_mday) || !literal(&s, 'T', 't') || !digits(&s, 2, &tm.tm_hour) || !literal(&s, ':', ':') ||
	    !digits(&s, 2, &tm.tm_min) || !literal(&s, ':', ':') || !digits(&s, 2, &tm.tm_sec))
		return COX_EINVAL;
	if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
		return COX_EINVAL;
	if (literal(&s, '.', '.'))
		for (int64_t unit = 100; digits(&s, 1, &d); unit /= 10)
			ms += d * unit;
	if (!literal(&s, 'Z', 'z')) {
		int sign = s.n && s.p[0] == '-' ? -1 : 1;
		if (!literal(&s, '+', '-') || !digits(&s, 2, &hours) || !literal(&s, ':', ':') || !digits(&s, 2, &minutes))
			return COX_EINVAL;
		offset = sign * (hours * 60 + minutes) * 60;
	}
	if (s.n)
		return COX_EINVAL;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	*wall_ms = ((int64_t)timegm(&tm) - offset) * 1000 + ms;
	return COX_OK;
}

uint32_t cox_random_below(uint32_t bound)
{
	static _Thread_local uint64_t state;
	while (!state)
		if (getrandom(&state, sizeof(state), 0) != sizeof(state))
			state = (uint64_t)cox_clock_mono_ns();
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 32) % bound;
}

int64_t cox_jitter_ms(int64_t ms, unsigned percent)
{
	int64_t span = ms * percent / 100;
	if (span <= 0)
		return ms;
	return ms - span + cox_random_below((uint32_t)cox_min_size((size_t)(2 * span + 1), UINT32_MAX));
}
