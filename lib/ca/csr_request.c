#include "ca/csr_request.h"

#include "ca/cert.h"
#include "codec/pb_read.h"
#include "envoy/envoy.h"
#include "envoy/istio_v1_auth.h"
#include "envoy/struct_pb.h"
#include "envoy/transcode.h"

static enum cox_rc read_metadata(struct cox_str bytes, struct cox_arena *arena, struct cox_csr_request *out, struct cox_err *err)
{
	struct cox_json *json;
	const struct {
		struct cox_str key;
		struct cox_str *to;
	} known[] = { { COX_STR("CertSigner"), &out->cert_signer }, { COX_STR("ImpersonatedIdentity"), &out->impersonated } };
	COX_TRY(cox_envoy_to_json(cox_envoy_message_find(COX_STR("google.protobuf.Struct")), bytes, 0, arena, &json, err));
	for (size_t i = 0; i < COX_LEN(known); i++) {
		const struct cox_json *v = cox_json_get(json, known[i].key);
		if (v && v->type != COX_JSON_STRING)
			return cox_err_set(err, COX_EINVAL, NULL, "metadata %.*s is no text", COX_FMT(known[i].key));
		if (v)
			*known[i].to = v->text;
	}
	return COX_OK;
}

enum cox_rc cox_csr_request_read(struct cox_str bytes, struct cox_arena *arena, struct cox_csr_request *out, struct cox_err *err)
{
	struct cox_csr_request q = { 0 };
	struct cox_str metadata = { 0 };
	struct cox_pb_reader r = cox_pb_reader(bytes);
	struct cox_pb_field f;
	if (bytes.n > COX_CSR_REQUEST_BYTES_MAX)
		return cox_err_set(err, COX_ELIMIT, NULL, "a request of %zu bytes, more than %d", bytes.n, COX_CSR_REQUEST_BYTES_MAX);
	while (cox_pb_next(&r, &f))
		switch (f.number) {
		case PB_istio_v1_auth_IstioCertificateRequest_csr__NUM: q.csr = cox_pb_as_str(&r, &f); break;
		case PB_istio_v1_auth_IstioCertificateRequest_validity_duration__NUM: q.validity_s = cox_pb_as_i64(&r, &f); break;
		case PB_istio_v1_auth_IstioCertificateRequest_metadata__NUM: metadata = cox_pb_as_bytes(&r, &f); break;
		default: break;
		}
	COX_TRY(cox_pb_finish(&r, err));
	if (q.csr.n == 0)
		return cox_err_set(err, COX_EINVAL, NULL, "no CSR in the request");
	if (metadata.n)
		COX_TRY(read_metadata(metadata, arena, &q, err));
	*out = q;
	return COX_OK;
}

enum cox_rc cox_csr_response_write(struct cox_str leaf_pem, struct cox_str chain_pem, const struct cox_str *roots_pem, size_t root_n,
                                   struct cox_buf *out, struct cox_err *err)
{
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	COX_AUTO(cox_buf_fini) struct cox_buf roots = { 0 };
	struct cox_str *chain = NULL;
	size_t chain_n = 0;
	struct cox_pb pb;
	if (chain_pem.n)
		COX_TRY(cox_cert_split(chain_pem, &arena, &chain, &chain_n, err));
	for (size_t i = 0; i < root_n; i++)
		cox_buf_append_str(&roots, roots_pem[i]);
	cox_pb_init(&pb, out);
	PB_ROOT (r, pb_istio_v1_auth_IstioCertificateResponse, &pb) {
		pb_istio_v1_auth_IstioCertificateResponse_cert_chain(r, leaf_pem);
		for (size_t i = 0; i < chain_n; i++)
			pb_istio_v1_auth_IstioCertificateResponse_cert_chain(r, chain[i]);
		pb_istio_v1_auth_IstioCertificateResponse_cert_chain(r, cox_buf_str(&roots));
	}
	return COX_OK;
}

void cox_csr_request_write(const struct cox_csr_request *q, struct cox_buf *out)
{
	struct cox_pb pb;
	cox_pb_init(&pb, out);
	PB_ROOT (r, pb_istio_v1_auth_IstioCertificateRequest, &pb) {
		pb_istio_v1_auth_IstioCertificateRequest_csr(r, q->csr);
		pb_istio_v1_auth_IstioCertificateRequest_validity_duration(r, q->validity_s);
		PB_WITH (m, pb_istio_v1_auth_IstioCertificateRequest_metadata(r)) {
			if (q->cert_signer.n)
				cox_struct_put_str(m, COX_STR("CertSigner"), q->cert_signer);
			if (q->impersonated.n)
				cox_struct_put_str(m, COX_STR("ImpersonatedIdentity"), q->impersonated);
		}
	}
}

enum cox_rc cox_csr_response_read(struct cox_str bytes, struct cox_buf *pem, struct cox_err *err)
{
	struct cox_pb_reader r = cox_pb_reader(bytes);
	struct cox_pb_field f;
	struct cox_str last = { 0 };
	size_t before = pem->n;
	if (bytes.n > COX_CERT_PEM_BYTES_MAX)
		return cox_err_set(err, COX_ELIMIT, NULL, "a response of %zu bytes", bytes.n);
	while (cox_pb_next(&r, &f)) {
		if (f.number != PB_istio_v1_auth_IstioCertificateResponse_cert_chain__NUM)
			continue;
		if (last.n) {
			cox_buf_append_str(pem, last);
			cox_buf_append_str(pem, COX_STR("\n"));
		}
		last = cox_pb_as_str(&r, &f);
	}
	COX_TRY(cox_pb_finish(&r, err));
	if (pem->n == before)
		return cox_err_set(err, COX_EPROTO, NULL, "a chain of less than two items");
	return COX_OK;
}
