#include "agent/discovery.h"

#include "codec/pb_read.h"
#include "envoy/coxswain_v1.h"
#include "envoy/envoy.h"
#include "envoy/google_protobuf.h"
#include "envoy/google_rpc.h"
#include "envoy/istio_mesh_v1alpha1.h"
#include "envoy/istio_v1_auth.h"
#include "envoy/service_discovery_v3.h"

struct list {
	struct cox_str *p;
	size_t n;
};

/* All values of one repeated field, as an array in one piece; text or, with is_bytes, anything. */
static enum cox_rc collect_as(struct cox_str bytes, uint32_t number, bool is_bytes, size_t max, struct cox_arena *arena, struct list *out,
                              struct cox_err *err)
{
	struct cox_pb_reader r = cox_pb_reader(bytes);
	struct cox_pb_field f;
	size_t n = 0;
	while (cox_pb_next(&r, &f))
		n += f.number == number;
	COX_TRY(cox_pb_finish(&r, err));
	if (n > max)
		return cox_err_set(err, COX_ELIMIT, NULL, "%zu values in field %u; the limit is %zu", n, number, max);
	*out = (struct list){ n ? COX_ARENA_ARRAY(arena, struct cox_str, n) : NULL, 0 };
	r = cox_pb_reader(bytes);
	while (n && cox_pb_next(&r, &f))
		if (f.number == number)
			out->p[out->n++] = is_bytes ? cox_pb_as_bytes(&r, &f) : cox_pb_as_str(&r, &f);
	return cox_pb_finish(&r, err);
}

static enum cox_rc collect(struct cox_str bytes, uint32_t number, size_t max, struct cox_arena *arena, struct list *out,
                           struct cox_err *err)
{
	return collect_as(bytes, number, false, max, arena, out, err);
}

static enum cox_rc collect_versions(struct cox_str bytes, struct cox_arena *arena, struct cox_agent_request *req, struct cox_err *err)
{
	const uint32_t number = PB_service_discovery_v3_DeltaDiscoveryRequest_initial_resource_versions__NUM;
	struct cox_pb_reader r = cox_pb_reader(bytes);
	struct cox_pb_field f;
	size_t n = 0;
	while (cox_pb_next(&r, &f))
		n += f.number == number;
	COX_TRY(cox_pb_finish(&r, err));
	if (n > COX_AGENT_NAMES_MAX)
		return cox_err_set(err, COX_ELIMIT, NULL, "%zu initial versions; the limit is %d", n, COX_AGENT_NAMES_MAX);
	struct cox_agent_name_version *items = n ? COX_ARENA_ARRAY(arena, struct cox_agent_name_version, n) : NULL;
	r = cox_pb_reader(bytes);
	while (n && cox_pb_next(&r, &f))
		if (f.number == number) {
			struct cox_agent_name_version *item = &items[req->initial_n++];
			*item = (struct cox_agent_name_version){ { 0 }, { 0 } };
			cox_pb_as_str_entry(&r, &f, &item->name, &item->version);
		}
	req->initial = items;
	return cox_pb_finish(&r, err);
}

static void read_error(struct cox_pb_reader *outer, const struct cox_pb_field *field, struct cox_agent_request *req)
{
	struct cox_pb_reader r = cox_pb_as_message(outer, field);
	struct cox_pb_field f;
	req->has_error = true;
	while (cox_pb_next(&r, &f))
		if (f.number == PB_google_rpc_Status_message__NUM)
			req->error = cox_pb_as_str(&r, &f);
	cox_pb_adopt(outer, &r);
}

/* The numbers that the two forms give to the same things. */
struct request_numbers {
	uint32_t node, type_url, names, unsubscribed, nonce, error, version;
};
static const struct request_numbers delta_request = {
	.node = PB_service_discovery_v3_DeltaDiscoveryRequest_node__NUM,
	.type_url = PB_service_discovery_v3_DeltaDiscoveryRequest_type_url__NUM,
	.names = PB_service_discovery_v3_DeltaDiscoveryRequest_resource_names_subscribe__NUM,
	.unsubscribed = PB_service_discovery_v3_DeltaDiscoveryRequest_resource_names_unsubscribe__NUM,
	.nonce = PB_service_discovery_v3_DeltaDiscoveryRequest_response_nonce__NUM,
	.error = PB_service_discovery_v3_DeltaDiscoveryRequest_error_detail__NUM,
};
static const struct request_numbers sotw_request = {
	.node = PB_service_discovery_v3_DiscoveryRequest_node__NUM,
	.type_url = PB_service_discovery_v3_DiscoveryRequest_type_url__NUM,
	.names = PB_service_discovery_v3_DiscoveryRequest_resource_names__NUM,
	.nonce = PB_service_discovery_v3_DiscoveryRequest_response_nonce__NUM,
	.error = PB_service_discovery_v3_DiscoveryRequest_error_detail__NUM,
	.version = PB_service_discovery_v3_DiscoveryRequest_version_info__NUM,
};

enum cox_rc cox_agent_request_read(struct cox_str bytes, bool is_delta, struct cox_arena *arena, struct cox_agent_request *out,
                                   struct cox_err *err)
{
	const struct request_numbers *number = is_delta ? &delta_request : &sotw_request;
	struct cox_agent_request req = { 0 };
	struct cox_pb_reader r = cox_pb_reader(bytes);
	struct cox_pb_field f;
	while (cox_pb_next(&r, &f)) {
		if (f.number == number->node)
			req.node = cox_pb_as_bytes(&r, &f);
		else if (f.number == number->type_url)
			req.type_url = cox_pb_as_str(&r, &f);
		else if (f.number == number->nonce)
			req.nonce = cox_pb_as_str(&r, &f);
		else if (f.number == number->error)
			read_error(&r, &f, &req);
		else if (number->version && f.number == number->version)
			req.version = cox_pb_as_str(&r, &f);
	}
	COX_TRY(cox_pb_finish(&r, err));
	struct list names, unsubscribed = { 0 };
	COX_TRY(collect(bytes, number->names, COX_AGENT_NAMES_MAX, arena, &names, err));
	if (is_delta) {
		COX_TRY(collect(bytes, number->unsubscribed, COX_AGENT_NAMES_MAX, arena, &unsubscribed, err));
		COX_TRY(collect_versions(bytes, arena, &req, err));
	}
	req.names = names.p;
	req.name_n = names.n;
	req.unsubscribed = unsubscribed.p;
	req.unsubscribed_n = unsubscribed.n;
	*out = req;
	return COX_OK;
}

struct cox_str cox_agent_request_node(struct cox_str bytes, bool is_delta)
{
	struct cox_pb_reader r = cox_pb_reader(bytes);
	struct cox_pb_field f;
	struct cox_str node = COX_STR("");
	while (cox_pb_next(&r, &f))
		if (f.number == (is_delta ? delta_request : sotw_request).node)
			node = cox_pb_as_bytes(&r, &f);
	return cox_pb_finish(&r, NULL) == COX_OK ? node : COX_STR("");
}

void cox_agent_request_append_node(struct cox_str node, bool is_delta, struct cox_buf *request)
{
	struct cox_pb pb;
	if (node.n == 0)
		return;
	cox_pb_init(&pb, request);
	struct cox_pb_at root = cox_pb_root(&pb);
	cox_pb_put_bytes(root, (is_delta ? delta_request : sotw_request).node, node);
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
	struct list roots;
	while (cox_pb_next(&r, &f))
		if (f.number == PB_coxswain_v1_TrustBundle_Domain_name__NUM)
			out->name = cox_pb_as_str(&r, &f);
	COX_TRY(cox_pb_finish(&r, err));
	COX_TRY(collect(bytes, PB_coxswain_v1_TrustBundle_Domain_roots_pem__NUM, COX_AGENT_ROOTS_MAX, arena, &roots, err));
	out->roots_pem = roots.p;
	out->root_n = roots.n;
	return COX_OK;
}

static enum cox_rc read_domains(struct cox_str bytes, struct cox_arena *arena, struct cox_agent_trust_bundle *out, struct cox_err *err)
{
	struct list items;
	COX_TRY(collect_as(bytes, PB_coxswain_v1_TrustBundle_trust_domains__NUM, true, COX_AGENT_ROOTS_MAX, arena, &items, err));
	struct cox_agent_trust_domain *domains = COX_ARENA_ARRAY(arena, struct cox_agent_trust_domain, items.n + 1);
	for (size_t i = 0; i < items.n; i++)
		COX_TRY(read_domain(items.p[i], arena, &domains[i], err));
	out->domains = domains;
	out->domain_n = items.n;
	return COX_OK;
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
	struct list roots;
	COX_TRY(collect(bytes, PB_coxswain_v1_TrustBundle_roots_pem__NUM, COX_AGENT_ROOTS_MAX, arena, &roots, err));
	b.roots_pem = roots.p;
	b.root_n = roots.n;
	COX_TRY(read_domains(bytes, arena, &b, err));
	*out = b;
	return COX_OK;
}

enum cox_rc cox_agent_mesh_roots_read(struct cox_str bytes, struct cox_arena *arena, const struct cox_str **roots, size_t *n,
                                      struct cox_err *err)
{
	struct list l;
	COX_TRY(collect(bytes, PB_istio_mesh_v1alpha1_ProxyConfig_ca_certificates_pem__NUM, COX_AGENT_ROOTS_MAX, arena, &l, err));
	*roots = l.p;
	*n = l.n;
	return COX_OK;
}

enum cox_rc cox_agent_csr_response_read(struct cox_str bytes, struct cox_arena *arena, const struct cox_str **chain, size_t *n,
                                        struct cox_err *err)
{
	struct list l;
	COX_TRY(collect(bytes, PB_istio_v1_auth_IstioCertificateResponse_cert_chain__NUM, COX_AGENT_ROOTS_MAX, arena, &l, err));
	if (l.n < 2)
		return cox_err_set(err, COX_EPROTO, NULL, "cert_chain: %zu certificates; a leaf and its root are needed", l.n);
	*chain = l.p;
	*n = l.n;
	return COX_OK;
}
