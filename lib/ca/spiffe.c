#include "ca/spiffe.h"

/* Kubernetes' limits: a namespace is a DNS label (RFC 1123), a service account a DNS subdomain. */
enum { NAMESPACE_BYTES_MAX = 63, SERVICE_ACCOUNT_BYTES_MAX = 253, LABEL_BYTES_MAX = 63 };

static const struct cox_str scheme = COX_STR_INIT("spiffe://");

static bool is_lower_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool cox_spiffe_is_trust_domain(struct cox_str name)
{
	if (name.n == 0 || name.n > COX_SPIFFE_TRUST_DOMAIN_BYTES_MAX)
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (!is_lower_alnum(name.p[i]) && name.p[i] != '.' && name.p[i] != '-' && name.p[i] != '_')
			return false;
	return true;
}

static bool is_label(struct cox_str s, size_t max)
{
	if (s.n == 0 || s.n > max || !is_lower_alnum(s.p[0]) || !is_lower_alnum(s.p[s.n - 1]))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!is_lower_alnum(s.p[i]) && s.p[i] != '-')
			return false;
	return true;
}

static bool is_subdomain(struct cox_str s)
{
	struct cox_str rest = s, label;
	if (s.n == 0 || s.n > SERVICE_ACCOUNT_BYTES_MAX)
		return false;
	while (cox_str_next(&rest, '.', &label))
		if (!is_label(label, LABEL_BYTES_MAX))
			return false;
	return true;
}

enum cox_rc cox_spiffe_parse(struct cox_str uri, struct cox_spiffe_id *out, struct cox_err *err)
{
	struct cox_spiffe_id id;
	struct cox_str rest, word_ns, word_sa;
	if (uri.n > COX_SPIFFE_BYTES_MAX)
		return cox_err_set(err, COX_EINVAL, NULL, "a SPIFFE ID of %zu bytes, more than %d", uri.n, COX_SPIFFE_BYTES_MAX);
	if (!cox_str_has_prefix(uri, scheme))
		return cox_err_set(err, COX_EINVAL, NULL, "\"%.*s\" is no SPIFFE ID: it does not start with spiffe://",
		                   COX_FMT(cox_str_sub(uri, 0, 200)));
	rest = cox_str_sub(uri, scheme.n, uri.n);
	bool is_complete = cox_str_next(&rest, '/', &id.trust_domain) && cox_str_next(&rest, '/', &word_ns) &&
	                   cox_str_next(&rest, '/', &id.ns) && cox_str_next(&rest, '/', &word_sa) &&
	                   cox_str_next(&rest, '/', &id.service_account);
	if (!is_complete || rest.p != NULL || !cox_str_eq(word_ns, COX_STR("ns")) || !cox_str_eq(word_sa, COX_STR("sa")))
		return cox_err_set(err, COX_EINVAL, NULL, "\"%.*s\" is not spiffe://<trust domain>/ns/<namespace>/sa/<service account>",
		                   COX_FMT(cox_str_sub(uri, 0, 200)));
	if (!cox_spiffe_is_trust_domain(id.trust_domain))
		return cox_err_set(err, COX_EINVAL, NULL, "\"%.*s\" is no trust domain", COX_FMT(cox_str_sub(id.trust_domain, 0, 200)));
	if (!is_label(id.ns, NAMESPACE_BYTES_MAX))
		return cox_err_set(err, COX_EINVAL, NULL, "\"%.*s\" is no namespace", COX_FMT(cox_str_sub(id.ns, 0, 200)));
	if (!is_subdomain(id.service_account))
		return cox_err_set(err, COX_EINVAL, NULL, "\"%.*s\" is no service account",
		                   COX_FMT(cox_str_sub(id.service_account, 0, 200)));
	*out = id;
	return COX_OK;
}

void cox_spiffe_format(const struct cox_spiffe_id *id, struct cox_buf *out)
{
	cox_buf_printf(out, "spiffe://%.*s/ns/%.*s/sa/%.*s", COX_FMT(id->trust_domain), COX_FMT(id->ns), COX_FMT(id->service_account));
}

bool cox_spiffe_eq(const struct cox_spiffe_id *a, const struct cox_spiffe_id *b)
{
	return cox_str_eq(a->trust_domain, b->trust_domain) && cox_str_eq(a->ns, b->ns) &&
	       cox_str_eq(a->service_account, b->service_account);
}
