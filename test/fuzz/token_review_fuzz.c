/* The kube-apiserver's answer about a token: whatever it is, a yes names an account and one of our audiences. */
#include "ca/authn_review.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const struct cox_str ours[] = { COX_STR_INIT("istio-ca") };
	struct cox_arena arena = { 0 };
	struct cox_review r;
	struct cox_err err = { 0 };
	struct cox_str text = cox_str_make(p, n);
	enum cox_rc rc = cox_review_read(text, ours, 1, &arena, &r, &err);
	if (rc == COX_OK && (r.ns.n == 0 || r.service_account.n == 0))
		abort();
	if (rc != COX_OK && rc != COX_EAUTH && rc != COX_EPROTO)
		abort();
	struct cox_buf b = { 0 };
	cox_review_write(text, ours, 1, &b);
	cox_buf_fini(&b);
	cox_arena_fini(&arena);
	return 0;
}
