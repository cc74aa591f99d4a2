#include "ca/external_signer.h"
#include "ca/foreign_priv.h"

#include "base/clock.h"
#include "ca/csr.h"
#include "ca/csr_request.h"
#include "kube/file.h"
#include "net/grpc_client.h"

enum {
	DEADLINE_MS = 10 * 1000,
	CONNECT_MS = 5000,
	PAUSE_MIN_MS = 100, /* between connections that fail at once */
	PAUSE_MAX_MS = 5000,
	JOBS_MAX = 1000,
};
static const char create_path[] = "/istio.v1.auth.IstioCertificateService/CreateCertificate";

struct external {
	struct cox_external_signer_spec spec;
	struct cox_addr addr;
	struct cox_arena arena;
	struct foreign_job *jobs;
	size_t job_n;
	struct cox_grpc_client *client; /* NULL: to be made */
	int64_t not_before_ms, pause_ms;
	char last_error[200];
};
struct job {
	struct foreign_job base;
	struct external *x;
	struct cox_grpc_call *call;
	struct cox_buf pem; /* the chain without its last item, the roots */
	bool has_answer;
	struct cox_err err; /* of the answer */
};

/* --- the connection -------------------------------------------------------------------------------------------- */

static void on_closed(void *ctx, enum cox_rc rc, const struct cox_err *err)
{
	struct external *x = ctx;
	if (rc != COX_OK) {
		cox_str_to_cstr(cox_str_of(err ? err->text : cox_rc_text(rc)), x->last_error, sizeof(x->last_error));
		x->pause_ms = x->pause_ms == 0 ? PAUSE_MIN_MS : x->pause_ms * 2 > PAUSE_MAX_MS ? PAUSE_MAX_MS : x->pause_ms * 2;
		x->not_before_ms = cox_clock_mono_ms() + cox_jitter_ms(x->pause_ms, 20);
	}
	cox_grpc_client_close(&x->client);
}

static enum cox_rc connect_now(struct external *x, struct cox_err *err)
{
	struct cox_tls *tls = NULL;
	const struct cox_external_signer_spec *spec = &x->spec;
	if (x->client)
		return COX_OK;
	if (cox_clock_mono_ms() < x->not_before_ms)
		return cox_err_set(err, COX_EAGAIN, NULL, "the external CA cannot be reached: %s", x->last_error);
	/* Read anew: certificates and roots in files are replaced while we run. */
	enum cox_rc rc = cox_tls_new_from_files(&(struct cox_tls_spec){ 0 }, spec->root_file, spec->cert_file, spec->key_file, &tls, err);
	if (rc == COX_OK)
		rc = cox_grpc_client_open(spec->loop,
		                          &(struct cox_grpc_client_spec){ .addr = x->addr,
		                                                          .tls = tls,
		                                                          .server_name = spec->server_name.n ? spec->server_name.p : NULL,
		                                                          .connect_timeout_ms = CONNECT_MS,
		                                                          .on_closed = on_closed,
		                                                          .ctx = x },
		                          &x->client, err);
	cox_tls_unref(&tls);
	if (rc != COX_OK) {
		cox_err_wrap(err, "external CA");
		return COX_EAGAIN; /* files may be repaired */
	}
	return COX_OK;
}

/* --- one signature ------------------------------------------------------------------------------------------------- */

static void leave(struct job *j)
{
	if (j->call)
		cox_grpc_call_cancel(&j->call);
	cox_buf_fini(&j->pem);
	j->x->job_n--;
}

static void fail(struct job *j, enum cox_rc rc, const struct cox_err *err)
{
	leave(j);
	foreign_job_fail_take(&j->base, rc, err);
}

static void on_message(void *ctx, struct cox_grpc_call *c, struct cox_str message)
{
	struct job *j = ctx;
	(void)c;
	j->has_answer = true;
	cox_buf_clear(&j->pem);
	if (cox_csr_response_read(message, &j->pem, &j->err) != COX_OK)
		cox_buf_clear(&j->pem);
}

/* What the caller is told. That the CA does not trust us is our trouble, not the caller's. */
static enum cox_rc rc_of(int status)
{
	switch (status) {
	case 3: return COX_EINVAL;
	case 8: return COX_ELIMIT;
	case 1:
	case 4:
	case 14: return COX_EAGAIN;
	default: return COX_EINTERNAL;
	}
}

static void on_close(void *ctx, struct cox_grpc_call *c, int status, struct cox_str message)
{
	struct job *j = ctx;
	struct external *x = j->x;
	struct cox_err err;
	(void)c;
	j->call = NULL;
	if (status != 0 || !j->has_answer) {
		cox_err_set(&err, status ? rc_of(status) : COX_EPROTO, NULL, "the external CA answers %d: %.*s", status,
		            COX_FMT(cox_str_sub(message, 0, 300)));
		fail(j, err.rc, &err);
		return;
	}
	x->pause_ms = 0;
	if (!j->pem.n) {
		fail(j, COX_EPROTO, &j->err);
		return;
	}
	COX_AUTO(cox_buf_fini) struct cox_buf roots = { 0 };
	const struct cox_ca_bundle *b = cox_ca_bundle_get(j->base.ca);
	for (size_t i = 0; i < b->root_n; i++)
		cox_buf_append_str(&roots, b->roots_pem[i]);
	cox_ca_bundle_unref(b);
	struct cox_str pem = cox_arena_str(&j->base.arena, cox_buf_str(&j->pem));
	leave(j);
	foreign_job_answer_take(&j->base, pem, cox_buf_str(&roots));
}

static enum cox_rc open_call(struct job *j, struct cox_str body, const struct cox_grpc_kv *metadata, size_t n, struct cox_err *err)
{
	struct external *x = j->x;
	const struct cox_grpc_call_cb cb = { .on_message = on_message, .on_close = on_close, .ctx = j };
	enum cox_rc rc = COX_ECANCELED;
	/* Twice: the server may have said goodbye to the connection that is there. */
	for (int i = 0; i < 2 && rc == COX_ECANCELED; i++) {
		COX_TRY(connect_now(x, err));
		rc = cox_grpc_call_unary(x->client, create_path, metadata, n, x->spec.deadline_ms, body, &cb, &j->call);
		if (rc == COX_ECANCELED && !x->jobs->next)
			cox_grpc_client_close(&x->client); /* nobody else waits on it */
	}
	return rc == COX_OK ? COX_OK : cox_err_set(err, COX_EAGAIN, NULL, "the connection to the external CA is going away");
}

static enum cox_rc start(struct job *j, struct cox_err *err)
{
	const struct cox_external_signer_spec *spec = &j->x->spec;
	const struct cox_ca_request *r = &j->base.r;
	COX_AUTO(cox_buf_fini) struct cox_buf body = { 0 };
	struct cox_buf token = { 0 };
	const struct cox_ca_bundle *b = cox_ca_bundle_get(j->base.ca);
	cox_ca_bundle_unref(b);
	if (!b)
		return cox_err_set(err, COX_EAGAIN, NULL, "no root of the external CA is known yet");
	if (j->x->job_n > JOBS_MAX)
		return cox_err_set(err, COX_ELIMIT, NULL, "%d requests wait for the external CA", JOBS_MAX);
	if (r->uri_n != 1 || r->dns_n)
		return cox_err_set(err, COX_EINVAL, NULL,
		                   "the external CA signs one SPIFFE ID a certificate, and no names of servers (--tlsCertFile)");
	cox_csr_request_write(
	    &(struct cox_csr_request){
	        .csr = r->csr_pem, .validity_s = r->ttl_s > 0 ? r->ttl_s : 0, .cert_signer = r->cert_signer, .impersonated = r->uris[0] },
	    &body);
	enum cox_rc rc = COX_OK;
	cox_buf_append_str(&token, COX_STR("Bearer "));
	size_t prefix = token.n;
	if (spec->token_file)
		rc = cox_kube_file_read(spec->token_file, &token, err);
	while (token.n > prefix && (unsigned char)token.p[token.n - 1] <= ' ')
		token.n--;
	struct cox_grpc_kv metadata = { COX_STR("authorization"), cox_buf_str(&token) };
	if (rc == COX_OK)
		rc = open_call(j, cox_buf_str(&body), &metadata, spec->token_file ? 1 : 0, err);
	else
		rc = COX_EAGAIN;
	cox_wipe(&token);
	cox_buf_fini(&token);
	return rc;
}

static void sign(void *ctx, struct cox_ca *ca, struct cox_loop *loop, const struct cox_ca_request *r, foreign_done_fn *done, void *done_ctx)
{
	struct external *x = ctx;
	struct job *j = COX_NEW(struct job);
	struct cox_err err = { 0 };
	foreign_job_init(&j->base, &x->jobs, ca, loop, r, done, done_ctx);
	j->x = x;
	x->job_n++;
	enum cox_rc rc = start(j, &err);
	if (rc != COX_OK)
		fail(j, rc, &err);
}

/* --- life ------------------------------------------------------------------------------------------------------------- */

static void close_all(void *ctx)
{
	struct external *x = ctx;
	struct cox_err err;
	cox_err_set(&err, COX_ECANCELED, NULL, "the control plane ends");
	while (x->jobs)
		fail((struct job *)x->jobs, COX_ECANCELED, &err);
	cox_grpc_client_close(&x->client);
	cox_arena_fini(&x->arena);
	cox_free(x);
}

static const char *copy_cstr(struct cox_arena *arena, const char *text) { return text ? cox_arena_str(arena, cox_str_of(text)).p : NULL; }

enum cox_rc cox_external_signer_open(const struct cox_external_signer_spec *spec, const struct cox_ca_cb *cb, struct cox_ca **out,
                                     struct cox_err *err)
{
	struct cox_addr addr;
	if (!spec->addr.n)
		return cox_err_set(err, COX_EINVAL, NULL, "EXTERNAL_CA=grpc needs EXTERNAL_CA_ADDR");
	if (cox_addr_parse(spec->addr, &addr, err) != COX_OK) {
		cox_err_wrap(err, "EXTERNAL_CA_ADDR");
		return COX_EINVAL;
	}
	if (!spec->cert_file != !spec->key_file)
		return cox_err_set(err, COX_EINVAL, NULL, "EXTERNAL_CA_CERT_FILE and EXTERNAL_CA_KEY_FILE are given together");
	if (!spec->cert_file && !spec->token_file)
		return cox_err_set(err, COX_EINVAL, NULL,
		                   "EXTERNAL_CA=grpc needs EXTERNAL_CA_TOKEN_FILE, or EXTERNAL_CA_CERT_FILE and its key");
	struct external *x = COX_NEW(struct external);
	x->addr = addr;
	x->spec = *spec;
	x->spec.server_name = cox_arena_str(&x->arena, spec->server_name);
	x->spec.token_file = copy_cstr(&x->arena, spec->token_file);
	x->spec.cert_file = copy_cstr(&x->arena, spec->cert_file);
	x->spec.key_file = copy_cstr(&x->arena, spec->key_file);
	x->spec.root_file = copy_cstr(&x->arena, spec->root_file);
	x->spec.deadline_ms = spec->deadline_ms > 0 ? spec->deadline_ms : DEADLINE_MS;
	*out = cox_ca_new_remote_take(spec->loop, &(struct cox_ca_remote){ .sign = sign, .close = close_all, .ctx = x }, spec->trust_domain,
	                              cb);
	return COX_OK;
}
