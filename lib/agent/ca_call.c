#include "agent/ca_call.h"

#include "envoy/envoy.h"
#include "envoy/google_protobuf.h"
#include "envoy/istio_v1_auth.h"
#include "net/grpc_client.h"
#include "net/grpc_frame.h"

enum { DEADLINE_MS = 15 * 1000, CONNECT_TIMEOUT_MS = 10 * 1000 };

struct cox_agent_ca_call {
	struct cox_agent_ca_call_spec spec;
	struct cox_grpc_client *client;
	struct cox_grpc_call *call;
	struct cox_buf response;
	bool has_response, is_done;
	struct cox_err err; /* of the connection */
};

/* The calls's status to our categories: what matters is what a human reads; everything is tried again. */
static enum cox_rc rc_of_status(int status)
{
	switch (status) {
	case COX_GRPC_OK: return COX_OK;
	case COX_GRPC_INVALID_ARGUMENT: return COX_EINVAL;
	case COX_GRPC_UNAUTHENTICATED: return COX_EAUTH;
	case COX_GRPC_RESOURCE_EXHAUSTED: return COX_ELIMIT;
	case COX_GRPC_UNAVAILABLE: return COX_EIO;
	case COX_GRPC_DEADLINE_EXCEEDED: return COX_ETIMEOUT;
	case 7: return COX_EDENIED; /* PERMISSION_DENIED */
	default: return COX_EINTERNAL;
	}
}

static void on_message(void *ctx, struct cox_grpc_call *call, struct cox_str message)
{
	(void)call;
	struct cox_agent_ca_call *c = ctx;
	cox_buf_clear(&c->response);
	cox_buf_append_str(&c->response, message);
	c->has_response = true;
}

static void on_close(void *ctx, struct cox_grpc_call *call, int status, struct cox_str message)
{
	(void)call;
	struct cox_agent_ca_call *c = ctx;
	struct cox_err err = { 0 };
	c->call = NULL;
	if (c->is_done)
		return;
	c->is_done = true;
	enum cox_rc rc = rc_of_status(status);
	if (rc == COX_OK && !c->has_response)
		rc = COX_EPROTO;
	if (rc != COX_OK)
		cox_err_set(&err, rc, NULL, "%.*s (gRPC status %d)", (int)cox_min_size(message.n, 300), message.n ? message.p : "", status);
	c->spec.done(c->spec.ctx, rc, cox_buf_str(&c->response), &err);
}

static void write_request(const struct cox_agent_ca_call_spec *spec, struct cox_buf *out)
{
	struct cox_pb pb;
	cox_pb_init(&pb, out);
	PB_ROOT (m, pb_istio_v1_auth_IstioCertificateRequest, &pb) {
		pb_istio_v1_auth_IstioCertificateRequest_csr(m, spec->csr_pem);
		pb_istio_v1_auth_IstioCertificateRequest_validity_duration(m, spec->ttl_s);
		if (spec->cert_signer.n)
			PB_WITH (s, pb_istio_v1_auth_IstioCertificateRequest_metadata(m))
				PB_WITH (v, pb_google_protobuf_Struct_fields(s, COX_STR("CertSigner")))
					pb_google_protobuf_Value_string_value(v, spec->cert_signer);
	}
}

static enum cox_rc call_start(struct cox_agent_ca_call *c)
{
	struct cox_grpc_kv headers[COX_AGENT_HEADERS_MAX + 1];
	COX_AUTO(cox_buf_fini) struct cox_buf request = { 0 };
	size_t n = c->spec.to->headers.n;
	memcpy(headers, c->spec.to->headers.items, n * sizeof(headers[0]));
	if (c->spec.credentials->authorization.n)
		headers[n++] = (struct cox_grpc_kv){ COX_STR("authorization"), cox_buf_str(&c->spec.credentials->authorization) };
	write_request(&c->spec, &request);
	struct cox_grpc_call_cb cb = { on_message, NULL, on_close, c };
	return cox_grpc_call_unary(c->client, "/istio.v1.auth.IstioCertificateService/CreateCertificate", headers, n, DEADLINE_MS,
	                           cox_buf_str(&request), &cb, &c->call);
}

enum cox_rc cox_agent_ca_call_open(const struct cox_agent_ca_call_spec *spec, struct cox_agent_ca_call **out, struct cox_err *err)
{
	struct cox_agent_ca_call *c = COX_NEW(struct cox_agent_ca_call);
	c->spec = *spec;
	struct cox_grpc_client_spec client = {
		.addr = spec->to->addr,
		.tls = spec->credentials->tls,
		.server_name = spec->to->server_name,
		.connect_timeout_ms = CONNECT_TIMEOUT_MS,
	};
	enum cox_rc rc = cox_grpc_client_open(spec->loop, &client, &c->client, err);
	if (rc == COX_OK && (rc = call_start(c)) != COX_OK)
		cox_err_set(err, rc, NULL, "the call to the CA cannot be made");
	c->spec.credentials = NULL;
	c->spec.csr_pem = c->spec.cert_signer = COX_STR("");
	if (rc != COX_OK) {
		cox_agent_ca_call_close(&c);
		return rc;
	}
	*out = c;
	return COX_OK;
}

void cox_agent_ca_call_close(struct cox_agent_ca_call **cp)
{
	struct cox_agent_ca_call *c = COX_MOVE(*cp);
	if (!c)
		return;
	c->is_done = true;
	cox_grpc_client_close(&c->client); /* open calls get no callback */
	cox_buf_fini(&c->response);
	cox_free(c);
}
