/* Requests for certificates from the wire, and the CSR in them; and the answer of a CA elsewhere. */
#include "ca/csr.h"
#include "ca/csr_request.h"
#include "ca/foreign_priv.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct cox_arena arena = { 0 };
	struct cox_csr_request q;
	struct cox_err err = { 0 };
	struct cox_buf spki = { 0 };
	enum cox_rc rc = cox_csr_request_read(cox_str_make(p, n), &arena, &q, &err);
	if (rc == COX_OK) {
		if (q.csr.n == 0)
			abort();
		if (cox_csr_check(q.csr, &spki, &err) == COX_OK) {
			if (spki.n == 0)
				abort();
			if (foreign_check_csr(&(struct cox_ca_request){ .csr_pem = q.csr }, &err) == COX_EINVAL)
				abort(); /* what is a request for one is one for the other */
		}
	} else if (rc != COX_EPROTO && rc != COX_EINVAL && rc != COX_ELIMIT) {
		abort();
	}
	cox_buf_clear(&spki);
	rc = cox_csr_response_read(cox_str_make(p, n), &spki, &err);
	if (rc == COX_OK && spki.n == 0)
		abort();
	cox_buf_fini(&spki);
	cox_arena_fini(&arena);
	return 0;
}
