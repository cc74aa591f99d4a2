/* PEM texts of Secrets. The first byte says where the second text starts, so that pairs are tried too. */
#include "codec/pem.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cox_pem_certs facts = { 0 };
	struct cox_err err = { 0 };
	if (size == 0)
		return 0;
	size_t cut = (size - 1) * data[0] / 255;
	struct cox_str all = cox_str_make((const char *)data + 1, size - 1), a = cox_str_sub(all, 0, cut), b = cox_str_sub(all, cut, all.n);
	if (cox_pem_certs_check(all, &facts, &err) == COX_OK && facts.count == 0)
		__builtin_trap();
	(void)!cox_pem_pair_check(a, b, &err);
	(void)!cox_pem_crls_check(all, &err);
	return 0;
}
