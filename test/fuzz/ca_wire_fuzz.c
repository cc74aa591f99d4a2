/* Any bytes as the messages between the CA's processes; what is read is written and read again. covers: c22 */
#include "ca/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool is_same(const struct cox_wire *a, const struct cox_wire *b)
{
	bool same = a->type == b->type && a->id == b->id && a->rc == b->rc && a->phase == b->phase && a->ttl_s == b->ttl_s &&
	            a->root_n == b->root_n && a->uri_n == b->uri_n && a->dns_n == b->dns_n && a->issuer_n == b->issuer_n &&
	            a->revoked_n == b->revoked_n && cox_str_eq(a->text, b->text) && cox_str_eq(a->spki_der, b->spki_der) &&
	            cox_str_eq(a->crl_pem, b->crl_pem) && cox_str_eq(a->serial, b->serial) && a->not_after_s == b->not_after_s;
	for (size_t i = 0; same && i < a->uri_n; i++)
		same = cox_str_eq(a->uris[i], b->uris[i]);
	for (size_t i = 0; same && i < a->issuer_n; i++)
		same = cox_str_eq(a->issuers[i].key_pem, b->issuers[i].key_pem) && a->issuers[i].signs == b->issuers[i].signs;
	for (size_t i = 0; same && i < a->revoked_n; i++)
		same = cox_str_eq(a->revoked[i].serial, b->revoked[i].serial) && a->revoked[i].at_s == b->revoked[i].at_s;
	return same;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cox_str rest = cox_str_make(data, n);
	struct cox_arena arena = { 0 };
	struct cox_wire m, again;
	struct cox_err err = { 0 };
	while (cox_wire_decode(&rest, &arena, &m, &err) == COX_OK) {
		struct cox_buf bytes = { 0 };
		COX_ASSERT(cox_wire_encode(&m, &bytes) == COX_OK);
		struct cox_str text = cox_buf_str(&bytes);
		COX_ASSERT(cox_wire_decode(&text, &arena, &again, &err) == COX_OK && text.n == 0 && is_same(&m, &again));
		cox_buf_fini(&bytes);
	}
	cox_arena_fini(&arena);
	return 0;
}
