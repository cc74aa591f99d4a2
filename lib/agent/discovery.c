#include "agent/discovery.h"

#include "codec/pb_read.h"
#include "envoy/coxswain_v1.h"
#include "envoy/envoy.h"
#include "envoy/google_protobuf.h"
#include "envoy/google_rpc.h"
#include "envoy/istio_mesh_v1alpha1.h"
#include "envoy/istio_v1_auth.h"
#include "envoy/service_discovery_v3.h"

void cox_agent_request_append_node(struct cox_str node, bool is_delta, struct cox_buf *request)
{
	struct cox_pb pb;
	if (node.n == 0)
		return;
	cox_pb_init(&pb, request);
	struct cox_pb_at root = cox_pb_root(&pb);
	cox_pb_put_bytes(
	    root, is_delta ? PB_service_discovery_v3_DeltaDiscoveryRequest_node__NUM : PB_service_discovery_v3_DiscoveryRequest_node__NUM,
	    node);
	cox_pb_end(root);
}

/* --- responses ---------------------------------------------------------------------------- */

static void read_any(struct cox_pb_reader *outer, const struct cox_pb_field *field, struct cox_str *value)
{
	struct cox_pb_reader r = cox_pb_as_message(outer, field);
	struct cox_pb_field f;
	while (cox_pb_next(&r, &f))
		if (f.number == PB_google_protobuf_Any_value__NUM)
			*value = cox_pb_as_bytes(&r, &f);
	cox_pb_adopt(outer, &r);
}

static void read_resource(struct cox_pb_reader *outer, const struct cox_pb_field *field, struct cox_agent_response *out)
{
	struct cox_pb_reader r = cox_pb_as_message(outer, field);
	struct cox_pb_field f;
	while (cox_pb_next(&r, &f))
		if (f.number == PB_service_discovery_v3_Resource_version__NUM)
			out->version = cox_pb_as_str(&r, &f);
		else if (f.number == PB_service_discovery_v3_Resource_resource__NUM)
			read_any(&r, &f, &out->first);
	cox_pb_adopt(outer, &r);
}

enum cox_rc cox_agent_response_read(struct cox_str bytes, bool is_delta, struct cox_agent_response *out, struct cox_err *err)
{
	const uint32_t type_url = is_delta ? PB_service_discovery_v3_DeltaDiscoveryResponse_type_url__NUM
	                                   : PB_service_discovery_v3_DiscoveryResponse_type_url__NUM;
	const uint32_t nonce =
	    is_delta ? PB_service_discovery_v3_DeltaDiscoveryResponse_nonce__NUM : PB_service_discovery_v3_DiscoveryResponse_nonce__NUM;
	const uint32_t items = is_delta ? PB_service_discovery_v3_DeltaDiscoveryResponse_resources__NUM
	                                : PB_service_discovery_v3_DiscoveryResponse_resources__NUM;
	struct cox_agent_response a = { 0 };
	struct cox_pb_reader r = cox_pb_reader(bytes);
	struct cox_pb_field f;
	while (cox_pb_next(&r, &f)) {
		if (f.number == type_url)
			a.type_url = cox_pb_as_str(&r, &f);
		else if (f.number == nonce)
			a.nonce = cox_pb_as_str(&r, &f);
		else if (!is_delta && f.number == PB_service_discovery_v3_DiscoveryResponse_version_info__NUM)
			a.version = cox_pb_as_str(&r, &f);
		else if (f.number == items && a.resource_n++ == 0)
			is_delta ? read_resource(&r, &f, &a) : read_any(&r, &f, &a.first);
	}
	COX_TRY(cox_pb_finish(&r, err));
	*out = a;
	return COX_OK;
}

/* --- requests of our own ------------------------------------------------------------------ */

static void write_status(struct pb_google_rpc_Status s, struct cox_str error)
{
	enum { INVALID_ARGUMENT = 3 };
	pb_google_rpc_Status_code(s, INVALID_ARGUMENT);
	pb_google_rpc_Status_message(s, error);
}

void cox_agent_request_write(bool is_delta, struct cox_str type_url, struct cox_str version, struct cox_str nonce, struct cox_str error,
                             struct cox_buf *out)
{
	struct cox_pb pb;
	cox_pb_init(&pb, out);
	if (is_delta)
		PB_ROOT (m, pb_service_discovery_v3_DeltaDiscoveryRequest, &pb) {
			pb_service_discovery_v3_DeltaDiscoveryRequest_type_url(m, type_url);
			pb_service_discovery_v3_DeltaDiscoveryRequest_response_nonce(m, nonce);
			if (error.n)
				PB_WITH (s, pb_service_discovery_v3_DeltaDiscoveryRequest_error_detail(m))
					write_status(s, error);
		}
	else
		PB_ROOT (m, pb_service_discovery_v3_DiscoveryRequest, &pb) {
			pb_service_discovery_v3_DiscoveryRequest_version_info(m, version);
			pb_service_discovery_v3_DiscoveryRequest_type_url(m, type_url);
			pb_service_discovery_v3_DiscoveryRequest_response_nonce(m, nonce);
			if (error.n)
				PB_WITH (s, pb_service_discovery_v3_DiscoveryRequest_error_detail(m))
					write_status(s, error);
		}
}

/* --- what is meant for the agent ---------------------------------------------------------- */

static enum cox_rc read_domain(struct cox_str bytes, struct cox_arena *arena, struct cox_agent_trust_domain *out, struct cox_err *err)
{
	struct cox_pb_reader r = cox_pb_reader(bytes);
	struct cox_pb_field f;
	while (cox_pb_next(&r, &f))
		if (f.number == PB_coxswain_v1_TrustBundle_Domain_name__NUM)
			out->name = cox_pb_as_str(&r, &f);
	COX_TRY(cox_pb_finish(&r, err));
	return cox_pb_collect(bytes, PB_coxswain_v1_TrustBundle_Domain_roots_pem__NUM, COX_AGENT_ROOTS_MAX, arena, &out->roots_pem,
	                      &out->root_n, err);
}

static enum cox_rc read_domains(struct cox_str bytes, struct cox_arena *arena, struct cox_agent_trust_bundle *out, struct cox_err *err)
{
	const uint32_t number = PB_coxswain_v1_TrustBundle_trust_domains__NUM;
	size_t n, i = 0;
	COX_TRY(cox_pb_count(bytes, number, COX_AGENT_ROOTS_MAX, &n, err));
	struct cox_agent_trust_domain *domains = COX_ARENA_ARRAY(arena, struct cox_agent_trust_domain, n + 1);
	struct cox_pb_reader r = cox_pb_reader(bytes);
	struct cox_pb_field f;
	while (cox_pb_next(&r, &f))
		if (f.number == number)
			COX_TRY(read_domain(cox_pb_as_bytes(&r, &f), arena, &domains[i++], err));
	out->domains = domains;
	out->domain_n = n;
	return cox_pb_finish(&r, err);
}

enum cox_rc cox_agent_trust_bundle_read(struct cox_str bytes, struct cox_arena *arena, struct cox_agent_trust_bundle *out,
                                        struct cox_err *err)
{
	struct cox_agent_trust_bundle b = { 0 };
	struct cox_pb_reader r = cox_pb_reader(bytes);
	struct cox_pb_field f;
	while (cox_pb_next(&r, &f))
		switch (f.number) {
		case PB_coxswain_v1_TrustBundle_trust_domain__NUM: b.trust_domain = cox_pb_as_str(&r, &f); break;
		case PB_coxswain_v1_TrustBundle_crl_pem__NUM: b.crl_pem = cox_pb_as_str(&r, &f); break;
		case PB_coxswain_v1_TrustBundle_issuer_key_id__NUM: b.issuer_key_id = cox_pb_as_str(&r, &f); break;
		case PB_coxswain_v1_TrustBundle_generation__NUM: b.generation = cox_pb_as_u64(&r, &f); break;
		case PB_coxswain_v1_TrustBundle_phase__NUM: b.phase = cox_pb_as_str(&r, &f); break;
		default: break;
		}
	COX_TRY(cox_pb_finish(&r, err));
	COX_TRY(cox_pb_collect(bytes, PB_coxswain_v1_TrustBundle_roots_pem__NUM, COX_AGENT_ROOTS_MAX, arena, &b.roots_pem, &b.root_n, err));
	COX_TRY(read_domains(bytes, arena, &b, err));
	*out = b;
	return COX_OK;
}

enum cox_rc cox_agent_mesh_roots_read(struct cox_str bytes, struct cox_arena *arena, const struct cox_str **roots, size_t *n,
                                      struct cox_err *err)
{
	return cox_pb_collect(bytes, PB_istio_mesh_v1alpha1_ProxyConfig_ca_certificates_pem__NUM, COX_AGENT_ROOTS_MAX, arena, roots, n,
	                      err);
}

enum cox_rc cox_agent_csr_response_read(struct cox_str bytes, struct cox_arena *arena, const struct cox_str **chain, size_t *n,
                                        struct cox_err *err)
{
	const struct cox_str *items;
	size_t count;
	COX_TRY(cox_pb_collect(bytes, PB_istio_v1_auth_IstioCertificateResponse_cert_chain__NUM, COX_AGENT_ROOTS_MAX, arena, &items, &count,
	                       err));
	if (count < 2)
		return cox_err_set(err, COX_EPROTO, NULL, "cert_chain: %zu certificates; a leaf and its root are needed", count);
	*chain = items;
	*n = count;
	return COX_OK;
}
