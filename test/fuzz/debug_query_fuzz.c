/* The query of a debug page, as it comes in the name of an xDS resource. */
#include "admin/answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct answer *w = answer_new(NULL);
	answer_read_query(w, cox_str_make(data, n));
	for (size_t i = 0; i < PARAM_COUNT; i++)
		COX_ASSERT(w->params[i].n <= n && (w->has_param[i] || !w->params[i].n));
	answer_free(w);
	return 0;
}
