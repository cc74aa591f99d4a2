#include "model/secret.h"

#include "codec/pem.h"

static struct cox_str value_of(const struct cox_object *o, const char *key)
{
	if (o->kind == COX_KIND_CONFIG_MAP) {
		for (COX_EACH(struct cox_kv, kv, COX_SPEC(cox_config_map, o)->data))
			if (cox_str_eq_cstr(kv->key, key))
				return kv->value;
	} else if (o->kind == COX_KIND_SECRET) {
		for (COX_EACH(struct cox_secret_item, item, COX_SPEC(cox_secret, o)->data))
			if (cox_str_eq_cstr(item->key, key))
				return item->value.v;
	}
	return (struct cox_str){ 0 };
}

/* Under which names an object has it: found, or empty with the last one. */
static struct cox_str first_of(const struct cox_object *o, const char *generic, const char *tls, const char **name)
{
	struct cox_str v = value_of(o, generic);
	const char *found = generic;
	if (v.n == 0) {
		v = value_of(o, tls);
		found = tls;
	}
	if (name)
		*name = found;
	return v;
}

struct cox_tls_material cox_tls_material_of(const struct cox_object *o)
{
	struct cox_tls_material m = { .ca = first_of(o, "cacert", "ca.crt", NULL), .crl = first_of(o, "crl", "ca.crl", NULL) };
	if (o->kind == COX_KIND_CONFIG_MAP)
		return m;
	/* A pair is of one kind: the certificate of one and the key of another would not fit. */
	bool is_generic = value_of(o, "cert").n > 0;
	m.cert = value_of(o, is_generic ? "cert" : "tls.crt");
	m.key = value_of(o, is_generic ? "key" : "tls.key");
	m.ocsp_staple = value_of(o, "tls.ocsp-staple");
	return m;
}

static enum cox_rc check_certs(struct cox_str pem, const char *name, struct cox_pem_certs *out, struct cox_err *err)
{
	enum cox_rc rc = cox_pem_certs_check(pem, out, err);
	if (rc != COX_OK)
		cox_err_wrap(err, "data[%s]", name);
	return rc;
}

enum cox_rc cox_tls_material_check(const struct cox_object *o, struct cox_tls_facts *out, struct cox_err *err)
{
	struct cox_tls_material m = cox_tls_material_of(o);
	bool is_generic = value_of(o, "cert").n > 0;
	const char *ca_name, *crl_name;
	struct cox_tls_facts facts = { 0 };
	struct cox_pem_certs certs;

	first_of(o, "cacert", "ca.crt", &ca_name);
	first_of(o, "crl", "ca.crl", &crl_name);
	if (m.cert.n > 0) {
		COX_TRY(check_certs(m.cert, is_generic ? "cert" : "tls.crt", &certs, err));
		facts.cert_end_s = certs.not_after_s;
		if (m.key.n == 0)
			return cox_err_set(err, COX_EINVAL, NULL, "data[%s] is missing", is_generic ? "key" : "tls.key");
		if (cox_pem_pair_check(m.cert, m.key, err) != COX_OK) {
			cox_err_wrap(err, "data[%s]", is_generic ? "key" : "tls.key");
			return COX_EINVAL;
		}
	} else if (m.key.n > 0) {
		return cox_err_set(err, COX_EINVAL, NULL, "data[tls.crt] is missing");
	}
	if (m.ca.n > 0) {
		COX_TRY(check_certs(m.ca, ca_name, &certs, err));
		facts.ca_end_s = certs.first_end_s;
	}
	if (m.crl.n > 0 && cox_pem_crls_check(m.crl, err) != COX_OK) {
		cox_err_wrap(err, "data[%s]", crl_name);
		return COX_EINVAL;
	}
	*out = facts;
	return COX_OK;
}

bool cox_secret_is_reserved(struct cox_str name)
{
	static const char *const reserved[] = { "istio-ca-secret", "cacerts", "istio-ca-key", "coxswain-ca-state" };
	for (size_t i = 0; i < COX_LEN(reserved); i++)
		if (cox_str_eq_cstr(name, reserved[i]))
			return true;
	return false;
}
