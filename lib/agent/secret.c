#include "agent/secret.h"

#include "ca/csr.h"
#include "envoy/core_v3.h"
#include "envoy/envoy.h"
#include "envoy/transport_sockets_tls_v3.h"

enum { FRAMING_BYTES_MAX = 256 }; /* tags and lengths of a Secret, beside its texts */

void cox_agent_secret_fini(struct cox_buf *b)
{
	cox_wipe(b);
	cox_buf_fini(b);
}

static void write_bytes(struct pb_core_v3_DataSource source, struct cox_str bytes)
{
	PB_WITH (d, source)
		pb_core_v3_DataSource_inline_bytes(d, bytes);
}

void cox_agent_secret_write_cert(struct cox_str name, struct cox_str chain_pem, struct cox_str key_pem, struct cox_buf *out)
{
	struct cox_pb pb;
	cox_buf_reserve(out, name.n + chain_pem.n + key_pem.n + FRAMING_BYTES_MAX);
	cox_pb_init(&pb, out);
	PB_ROOT (s, pb_transport_sockets_tls_v3_Secret, &pb) {
		pb_transport_sockets_tls_v3_Secret_name(s, name);
		PB_WITH (c, pb_transport_sockets_tls_v3_Secret_tls_certificate(s)) {
			write_bytes(pb_transport_sockets_tls_v3_TlsCertificate_certificate_chain(c), chain_pem);
			write_bytes(pb_transport_sockets_tls_v3_TlsCertificate_private_key(c), key_pem);
		}
	}
}

void cox_agent_secret_write_roots(struct cox_str name, struct cox_str roots_pem, struct cox_str crl_pem, struct cox_buf *out)
{
	struct cox_pb pb;
	cox_pb_init(&pb, out);
	PB_ROOT (s, pb_transport_sockets_tls_v3_Secret, &pb) {
		pb_transport_sockets_tls_v3_Secret_name(s, name);
		PB_WITH (v, pb_transport_sockets_tls_v3_Secret_validation_context(s)) {
			write_bytes(pb_transport_sockets_tls_v3_CertificateValidationContext_trusted_ca(v), roots_pem);
			if (crl_pem.n != 0) {
				write_bytes(pb_transport_sockets_tls_v3_CertificateValidationContext_crl(v), crl_pem);
				pb_transport_sockets_tls_v3_CertificateValidationContext_only_verify_leaf_cert_crl(v, true);
			}
		}
	}
}

static void domain_write(struct pb_transport_sockets_tls_v3_SPIFFECertValidatorConfig_TrustDomain d, const struct cox_agent_trusted *t)
{
	pb_transport_sockets_tls_v3_SPIFFECertValidatorConfig_TrustDomain_name(d, t->domain);
	write_bytes(pb_transport_sockets_tls_v3_SPIFFECertValidatorConfig_TrustDomain_trust_bundle(d), t->roots_pem);
}

void cox_agent_secret_write_domains(struct cox_str name, const struct cox_agent_trusted *domains, size_t n, struct cox_buf *out)
{
	struct cox_pb pb;
	cox_pb_init(&pb, out);
	PB_ROOT (s, pb_transport_sockets_tls_v3_Secret, &pb) {
		pb_transport_sockets_tls_v3_Secret_name(s, name);
		PB_WITH (v, pb_transport_sockets_tls_v3_Secret_validation_context(s))
			PB_WITH (custom, pb_transport_sockets_tls_v3_CertificateValidationContext_custom_validator_config(v)) {
				pb_core_v3_TypedExtensionConfig_name(custom, COX_STR("envoy.tls.cert_validator.spiffe"));
				PB_ANY (c, pb_core_v3_TypedExtensionConfig_typed_config(custom),
				        pb_transport_sockets_tls_v3_SPIFFECertValidatorConfig)
					for (size_t i = 0; i < n; i++)
						PB_WITH (d, pb_transport_sockets_tls_v3_SPIFFECertValidatorConfig_trust_domains(c))
							domain_write(d, &domains[i]);
			}
	}
}
