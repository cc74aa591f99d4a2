/* /debug/certz: what everybody may know of the CA. */
#include "ca/authority.h"

#include "base/clock.h"

static struct cox_json *dump_cert(struct cox_arena *a, struct cox_str pem)
{
	struct cox_json *o = cox_json_new_object(a);
	struct cox_cert_info info;
	char when[32];
	if (cox_cert_read_pem(pem, a, &info, NULL) != COX_OK)
		return o;
	cox_json_set(a, o, COX_STR("subject"), cox_json_new_str(a, info.subject));
	cox_json_set(a, o, COX_STR("serial"), cox_json_new_str(a, cox_arena_str(a, cox_str_of(info.serial))));
	cox_json_set(a, o, COX_STR("keyId"), cox_json_new_str(a, cox_arena_str(a, cox_str_of(info.key_id))));
	cox_json_set(a, o, COX_STR("keyType"), cox_json_new_str(a, cox_str_of(info.key_type)));
	cox_clock_format(info.not_before_s * 1000, when);
	cox_json_set(a, o, COX_STR("notBefore"), cox_json_new_str(a, cox_arena_str(a, cox_str_of(when))));
	cox_clock_format(info.not_after_s * 1000, when);
	cox_json_set(a, o, COX_STR("notAfter"), cox_json_new_str(a, cox_arena_str(a, cox_str_of(when))));
	return o;
}

static struct cox_json *dump_certs(struct cox_arena *a, const struct cox_str *pems, size_t n)
{
	struct cox_json *list = cox_json_new_array(a);
	for (size_t i = 0; i < n; i++)
		cox_json_push(a, list, dump_cert(a, pems[i]));
	return list;
}

struct cox_json *cox_ca_dump(struct cox_ca *ca, struct cox_arena *a)
{
	const struct cox_ca_bundle *b = ca ? cox_ca_bundle_get(ca) : NULL;
	struct cox_json *o = cox_json_new_object(a);
	struct cox_str *chain = NULL;
	char when[32];
	size_t n = 0;
	cox_json_set(a, o, COX_STR("state"), cox_json_new_str(a, !ca ? COX_STR("off") : b ? COX_STR("ready") : COX_STR("no key yet")));
	if (!b)
		return o;
	if (b->chain_pem.n && cox_cert_split(b->chain_pem, a, &chain, &n, NULL) != COX_OK)
		n = 0;
	cox_json_set(a, o, COX_STR("trustDomain"), cox_json_new_str(a, cox_arena_str(a, b->trust_domain)));
	cox_json_set(a, o, COX_STR("pluggedIn"), cox_json_new_bool(a, b->is_plugged_in));
	cox_json_set(a, o, COX_STR("phase"), cox_json_new_str(a, cox_str_of(cox_ca_phase_name(b->phase))));
	cox_json_set(a, o, COX_STR("generation"), cox_json_new_i64(a, (int64_t)b->generation));
	cox_json_set(a, o, COX_STR("issuerKeyId"), cox_json_new_str(a, cox_arena_str(a, b->issuer_key_id)));
	cox_clock_format(b->issuer_not_after_s * 1000, when);
	cox_json_set(a, o, COX_STR("issuerNotAfter"), cox_json_new_str(a, cox_arena_str(a, cox_str_of(when))));
	cox_clock_format(b->root_not_after_s * 1000, when);
	cox_json_set(a, o, COX_STR("rootNotAfter"), cox_json_new_str(a, cox_arena_str(a, cox_str_of(when))));
	cox_json_set(a, o, COX_STR("roots"), dump_certs(a, b->roots_pem, b->root_n));
	cox_json_set(a, o, COX_STR("chain"), dump_certs(a, chain, n));
	cox_json_set(a, o, COX_STR("hasCrl"), cox_json_new_bool(a, b->crl_pem.n > 0));
	cox_ca_bundle_unref(b);
	return o;
}
