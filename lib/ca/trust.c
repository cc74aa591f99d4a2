#include "ca/trust.h"

#include "base/vec.h"
#include "envoy/coxswain_v1.h"
#include "envoy/envoy.h"
#include "envoy/istio_mesh_v1alpha1.h"

/* Equal on all replicas: an agent that moves to another one has nothing new. */
static uint64_t content_of(const struct cox_ca_bundle *b, const struct cox_trust_domain *domains, size_t n)
{
	struct cox_hash h = cox_hash128(b->issuer_key_id.p, b->issuer_key_id.n);
	for (size_t i = 0; i < b->root_n; i++)
		h = cox_hash_combine(h, cox_hash128(b->roots_pem[i].p, b->roots_pem[i].n));
	h = cox_hash_combine(h, cox_hash128(b->crl_pem.p, b->crl_pem.n));
	for (size_t i = 0; i < n; i++) {
		h = cox_hash_combine(h, cox_hash128(domains[i].name.p, domains[i].name.n));
		for (size_t k = 0; k < domains[i].root_n; k++)
			h = cox_hash_combine(h, cox_hash128(domains[i].roots_pem[k].p, domains[i].roots_pem[k].n));
	}
	h.lo ^= (uint64_t)b->phase;
	return h.lo;
}

static void bundle_write(struct pb_coxswain_v1_TrustBundle m, const struct cox_ca_bundle *b, const struct cox_trust_domain *domains,
                         size_t n)
{
	pb_coxswain_v1_TrustBundle_trust_domain(m, b->trust_domain);
	for (size_t i = 0; i < b->root_n; i++)
		pb_coxswain_v1_TrustBundle_roots_pem(m, b->roots_pem[i]);
	pb_coxswain_v1_TrustBundle_crl_pem(m, b->crl_pem);
	pb_coxswain_v1_TrustBundle_issuer_key_id(m, b->issuer_key_id);
	pb_coxswain_v1_TrustBundle_generation(m, content_of(b, domains, n));
	pb_coxswain_v1_TrustBundle_phase(m, cox_str_of(cox_ca_phase_name(b->phase)));
	for (size_t i = 0; i < n; i++)
		PB_WITH (d, pb_coxswain_v1_TrustBundle_trust_domains(m)) {
			pb_coxswain_v1_TrustBundle_Domain_name(d, domains[i].name);
			for (size_t k = 0; k < domains[i].root_n; k++)
				pb_coxswain_v1_TrustBundle_Domain_roots_pem(d, domains[i].roots_pem[k]);
		}
}

/* pilot-agent has one list for all domains. */
static void proxy_config_write(struct pb_istio_mesh_v1alpha1_ProxyConfig m, const struct cox_ca_bundle *b,
                               const struct cox_trust_domain *domains, size_t n)
{
	COX_VEC(struct cox_str) all = { 0 };
	for (size_t i = 0; i < b->root_n; i++)
		cox_vec_push(&all, b->roots_pem[i]);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < domains[i].root_n; k++)
			cox_vec_push(&all, domains[i].roots_pem[k]);
	cox_cert_dedupe(all.p, &all.n);
	for (size_t i = 0; i < all.n; i++)
		pb_istio_mesh_v1alpha1_ProxyConfig_ca_certificates_pem(m, all.p[i]);
	cox_vec_fini(&all);
}

struct cox_set *cox_trust_set_build(const struct cox_ca_bundle *b, const struct cox_trust_domain *domains, size_t n, enum cox_type type)
{
	struct cox_buf bytes = { 0 };
	struct cox_pb pb;
	COX_ASSERT(type == COX_TYPE_TRUST || type == COX_TYPE_PCDS);
	cox_pb_init(&pb, &bytes);
	if (type == COX_TYPE_TRUST)
		PB_ROOT (m, pb_coxswain_v1_TrustBundle, &pb)
			bundle_write(m, b, domains, n);
	else
		PB_ROOT (m, pb_istio_mesh_v1alpha1_ProxyConfig, &pb)
			proxy_config_write(m, b, domains, n);
	const struct cox_resource *r = cox_resource_new(type, type == COX_TYPE_TRUST ? COX_STR("trust") : COX_STR("default"),
	                                                cox_buf_str(&bytes), COX_STR(""), COX_STR(""));
	cox_buf_fini(&bytes);
	return cox_set_build_take(type, &r, 1);
}
