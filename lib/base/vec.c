#include "base/vec.h"

void cox_vec_grow_(void **p, size_t n, size_t *cap, size_t extra, size_t item_bytes)
{
	size_t want, bytes;
	COX_ASSERT(!__builtin_add_overflow(n, extra, &want));
	if (want <= *cap)
		return;
	size_t grown = cox_max_size(*cap + *cap / 2, cox_max_size(want, 4));
	COX_ASSERT(!__builtin_mul_overflow(grown, item_bytes, &bytes));
	*p = cox_realloc(*p, bytes);
	*cap = grown;
}
