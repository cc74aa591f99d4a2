/* Bundles of other trust domains: what is taken is roots of authorities, and can be told to others as it was told to us. */
#include "ca/cert.h"
#include "ca/spiffe_bundle.h"

#include <stdlib.h>

static void tell_on(const struct cox_spiffe_bundle *b)
{
	struct cox_arena arena = { 0 };
	struct cox_buf out = { 0 };
	struct cox_spiffe_bundle again;
	struct cox_err err = { 0 };
	/* A root may have a key of a kind that a JWK here has no words for. */
	if (cox_spiffe_bundle_write(b->roots_pem, b->root_n, &out, &err) == COX_OK) {
		if (cox_spiffe_bundle_read(cox_buf_str(&out), &arena, &again, &err) != COX_OK || again.root_n != b->root_n)
			abort();
		for (size_t i = 0; i < b->root_n; i++)
			if (!cox_str_eq(again.roots_pem[i], b->roots_pem[i]))
				abort();
	} else if (err.rc == COX_OK) {
		abort();
	}
	cox_buf_fini(&out);
	cox_arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct cox_arena arena = { 0 };
	struct cox_spiffe_bundle b;
	struct cox_cert_info info;
	struct cox_err err = { 0 };
	enum cox_rc rc = cox_spiffe_bundle_read(cox_str_make(p, n), &arena, &b, &err);
	if (rc == COX_OK) {
		if (b.root_n == 0 || b.root_n > COX_SPIFFE_BUNDLE_KEYS_MAX || b.refresh_s < 0)
			abort();
		for (size_t i = 0; i < b.root_n; i++)
			if (cox_cert_read_pem(b.roots_pem[i], &arena, &info, &err) != COX_OK || !info.is_ca)
				abort();
		tell_on(&b);
	} else if ((rc != COX_EINVAL && rc != COX_ELIMIT) || err.text[0] == '\0') {
		abort();
	}
	cox_arena_fini(&arena);
	return 0;
}
