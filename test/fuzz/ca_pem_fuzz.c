/* Any bytes as a certificate (PEM, DER), a chain, a key, a request, a public key, a CRL, and as the entries of a CA's secret. covers: c3
 * c14 c21 */
#include "ca/cert.h"
#include "ca/csr.h"
#include "ca/der_priv.h"
#include "ca/issue.h"
#include "ca/spiffe.h"
#include "ca/state_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void read_certs(struct cox_str text)
{
	struct cox_arena arena = { 0 };
	struct cox_cert_info info = { 0 };
	struct cox_err err = { 0 };
	struct cox_str *items;
	size_t count;
	if (cox_cert_split(text, &arena, &items, &count, &err) == COX_OK) {
		COX_ASSERT(count > 0 && cox_cert_read_pem(items[0], &arena, &info, &err) == COX_OK);
		COX_ASSERT(info.serial[0] && strlen(info.serial) < sizeof(info.serial));
		cox_cert_dedupe(items, &count);
		COX_ASSERT(count > 0);
		(void)!cox_cert_verify(text, items[0], 1700000000, &err);
		(void)!cox_cert_check_key(text, text, &err);
	} else {
		COX_ASSERT(err.text[0]);
	}
	(void)!cox_cert_read_der(text, &arena, &info, NULL);
	cox_arena_fini(&arena);
}

/* "name\0value\0..." as the entries of a secret. */
static void read_entries(struct cox_str text)
{
	struct cox_ca_entries e = { 0 };
	struct cox_ca_state s;
	struct cox_ca_key key = { 0 };
	struct cox_buf crl = { 0 };
	struct cox_str rest = text, name, value;
	char cstr[64];
	while (e.n < 30 && cox_str_next(&rest, 0, &name) && cox_str_next(&rest, 0, &value))
		cox_buf_append_str(cox_ca_entries_add_(&e, cox_str_to_cstr(name, cstr, sizeof(cstr))), value);
	struct cox_ca_followers *f = COX_NEW(struct cox_ca_followers);
	if (cox_ca_state_read_(&e, &s, f, NULL) == COX_OK) {
		COX_ASSERT(cox_ca_key_is_set(&s.current));
		cox_ca_state_fini(&s);
	}
	if (cox_ca_set_read_(&e, 1700000000, &key, &crl, NULL) == COX_OK)
		cox_ca_key_fini(&key);
	cox_free(f);
	cox_buf_fini(&crl);
	cox_ca_entries_fini_(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cox_str text = cox_str_make(data, n);
	struct cox_buf spki = { 0 };
	struct cox_spiffe_id id;
	struct cox_err err = { 0 };
	struct cox_issuer *issuer = NULL;
	if (cox_csr_check(text, &spki, &err) == COX_OK)
		COX_ASSERT(cox_spki_check_(cox_buf_str(&spki), &err) == COX_OK);
	(void)!cox_spki_check_(text, &err);
	(void)!cox_crl_check_(text, &err);
	if (cox_issuer_new(text, text, &issuer, &err) == COX_OK)
		cox_issuer_free(&issuer);
	if (cox_spiffe_parse(text, &id, &err) == COX_OK) {
		struct cox_buf again = { 0 };
		cox_spiffe_format(&id, &again);
		COX_ASSERT(cox_str_eq(cox_buf_str(&again), text));
		cox_buf_fini(&again);
	}
	read_certs(text);
	read_entries(text);
	cox_buf_fini(&spki);
	return 0;
}
