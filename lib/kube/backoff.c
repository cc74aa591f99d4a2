#include "kube/backoff.h"

#include "base/clock.h"

int64_t cox_kube_backoff_next_ms(struct cox_kube_backoff *b)
{
	int64_t ms = b->first_ms;
	for (unsigned i = 0; i < b->failures && ms < b->max_ms; i++)
		ms *= 2;
	if (ms > b->max_ms)
		ms = b->max_ms;
	if (b->failures < 64)
		b->failures++;
	return ms - (int64_t)cox_random_below((uint32_t)(ms / 2) + 1);
}
