/* x-forwarded-client-cert, address ranges and peers' addresses: any bytes. */
#include "ca/authn_xfcc.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct cox_arena arena = { 0 };
	struct cox_str text = cox_str_make(p, n), uris[COX_XFCC_URIS_MAX];
	struct cox_err err = { 0 };
	cox_cidrs ranges = { 0 };
	size_t count = 0;
	if (cox_xfcc_uris(text, &arena, uris, &count, &err) == COX_OK) {
		if (count > COX_XFCC_URIS_MAX)
			abort();
		for (size_t i = 0; i < count; i++)
			for (size_t k = 0; k < uris[i].n; k++)
				((volatile const char *)uris[i].p)[k];
	} else if (err.rc != COX_EINVAL) {
		abort();
	}
	if (cox_cidrs_parse(text, &ranges, &err) == COX_OK) {
		for (size_t i = 0; i < ranges.n; i++)
			if (ranges.p[i].bits > 128)
				abort();
		cox_cidrs_have(&ranges, COX_STR("10.0.0.1:80"));
		cox_cidrs_have(&ranges, COX_STR("[fd00::1]:80"));
		cox_cidrs_have(&ranges, text);
	}
	cox_vec_fini(&ranges);
	cox_arena_fini(&arena);
	return 0;
}
