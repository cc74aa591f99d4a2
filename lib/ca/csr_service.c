#include "ca/csr_service.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/metric.h"
#include "ca/csr_request.h"
#include "loop/hop.h"

#include <stdio.h>

enum {
	PER_IDENTITY_S = 50,
	PER_IDENTITY_BURST = 1000,
	SWEEP_MIN = 1024, /* identities with a rate before idle ones are looked for */
};

static const char create_path[] = "/istio.v1.auth.IstioCertificateService/CreateCertificate";

struct bucket {
	char *uri;
	double tokens;
	int64_t at_ms;
};
struct cox_csr_service {
	struct cox_ref ref; /* the opener, each stream, each job */
	struct cox_csr_service_spec spec;
	struct cox_arena arena;
	struct cox_map node_accounts; /* "ns/name" */
	struct cox_map authorities;   /* the same */
	struct cox_map buckets;       /* by URI; config loop */
	size_t sweep_at;
	bool is_closed; /* config loop */
	struct cox_grpc_method method;
};

/* What travels to the config loop and back. */
struct job {
	struct cox_hop hop;
	struct cox_loop_task task;
	struct cox_csr_service *s;      /* shared */
	struct stream *stream;          /* the stream's loop only */
	const struct cox_identity *who; /* shared */
	struct cox_arena arena;
	struct cox_csr_request request; /* copied: the message goes with its stream */
	struct cox_buf spki;
	struct cox_str *uris; /* what is signed: the caller's, in our trust domain, or the impersonated one */
	size_t uri_n;
	enum cox_rc rc;
	const char *reason; /* a word for metric and log where rc is not COX_OK */
	struct cox_err err;
	struct cox_buf response;
};

/* One call of the method. */
struct stream {
	struct cox_csr_service *s; /* shared */
	struct cox_grpc_stream *grpc;
	struct cox_authn_ticket *ticket;
	const struct cox_identity *who;
	struct cox_buf message;
	bool has_message, is_answered;
	struct job *job;
};

static void service_unref(struct cox_csr_service *s)
{
	if (!cox_ref_put(&s->ref))
		return;
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&s->buckets, e));) {
		struct bucket *b = e->value;
		cox_free(b->uri);
		cox_free(b);
	}
	cox_map_fini(&s->buckets);
	cox_map_fini(&s->node_accounts);
	cox_map_fini(&s->authorities);
	cox_arena_fini(&s->arena);
	cox_free(s);
}

static void job_free(struct job *j)
{
	cox_identity_unref(j->who);
	cox_buf_fini(&j->spki);
	cox_buf_fini(&j->response);
	cox_arena_fini(&j->arena);
	service_unref(j->s);
	cox_free(j);
}

/* --- answers: the stream's loop --------------------------------------------------------------------------------------------- */

static void refuse(struct stream *st, enum cox_rc rc, const char *reason, const char *text)
{
	if (st->is_answered)
		return;
	st->is_answered = true;
	cox_metric_add(COX_M_CSR_REFUSED, reason, 1);
	cox_log(COX_LOG_WARN, "ca", "certificate refused peer=%s identity=%.*s reason=%s text=\"%s\"",
	        cox_grpc_stream_peer_address(st->grpc), COX_FMT(st->who ? st->who->uris[0] : COX_STR("")), reason, text);
	cox_grpc_finish(st->grpc, rc, cox_str_of(text));
}

/* What a peer is told for a category of the CA. */
static enum cox_rc told(enum cox_rc rc)
{
	switch (rc) {
	case COX_EINVAL:
	case COX_EAUTH:
	case COX_EDENIED:
	case COX_ELIMIT:
	case COX_EAGAIN: return rc;
	case COX_ETIMEOUT:
	case COX_ECANCELED: return COX_EAGAIN; /* the control plane ends: another one will answer */
	default: return COX_EINTERNAL;
	}
}

static void on_arrive(struct cox_hop *h, bool is_canceled)
{
	struct job *j = (struct job *)(void *)((char *)h - offsetof(struct job, hop));
	if (!is_canceled) {
		struct stream *st = j->stream;
		st->job = NULL;
		if (j->rc != COX_OK) {
			refuse(st, told(j->rc), j->reason, j->err.text);
		} else {
			st->is_answered = true;
			enum cox_rc rc = cox_grpc_send_copy(st->grpc, cox_buf_str(&j->response));
			cox_grpc_finish(st->grpc, rc, COX_STR(""));
		}
	}
	job_free(j);
}

/* --- the config loop ----------------------------------------------------------------------------------------------------------- */

static void job_end(struct job *j, enum cox_rc rc, const char *reason)
{
	j->rc = rc;
	j->reason = reason;
	cox_hop_return(&j->hop);
}

static void buckets_sweep(struct cox_csr_service *s, int64_t now_ms)
{
	int64_t full_after_ms = (int64_t)(s->spec.per_identity_burst / s->spec.per_identity_s * 1000) + 1;
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&s->buckets, e));) {
		struct bucket *b = e->value;
		if (now_ms - b->at_ms < full_after_ms)
			continue;
		cox_map_remove(&s->buckets, e->key);
		cox_free(b->uri);
		cox_free(b);
	}
	s->sweep_at = cox_max_size(SWEEP_MIN, s->buckets.n * 2);
}

static bool take_rate(struct cox_csr_service *s, struct cox_str uri)
{
	int64_t now = cox_clock_mono_ms();
	struct bucket *b = cox_map_find(&s->buckets, uri);
	if (!b) {
		if (s->buckets.n >= s->sweep_at)
			buckets_sweep(s, now);
		b = COX_NEW(struct bucket);
		*b = (struct bucket){ cox_str_dup_cstr(uri), s->spec.per_identity_burst, now };
		cox_map_set(&s->buckets, (struct cox_str){ b->uri, uri.n }, b);
	}
	b->tokens += (double)(now - b->at_ms) * s->spec.per_identity_s / 1000;
	if (b->tokens > s->spec.per_identity_burst)
		b->tokens = s->spec.per_identity_burst;
	b->at_ms = now;
	if (b->tokens < 1)
		return false;
	b->tokens -= 1;
	return true;
}

/* Only a node's agent may ask for another, and only for what runs beside it: this one key would otherwise open the whole mesh. And
 * another control plane that an operator trusts with all of it. */
static enum cox_rc impersonate(struct job *j)
{
	struct cox_csr_service *s = j->s;
	struct cox_spiffe_id caller, wanted;
	char account[400];
	COX_TRY(cox_spiffe_parse(j->who->uris[0], &caller, &j->err));
	if (cox_spiffe_parse(j->request.impersonated, &wanted, &j->err) != COX_OK) {
		cox_err_wrap(&j->err, "ImpersonatedIdentity");
		return COX_EAUTH;
	}
	snprintf(account, sizeof(account), "%.*s/%.*s", COX_FMT(caller.ns), COX_FMT(caller.service_account));
	bool is_authority = cox_map_find(&s->authorities, cox_str_of(account)) != NULL;
	if (!is_authority && !cox_map_find(&s->node_accounts, cox_str_of(account)))
		return cox_err_set(&j->err, COX_EAUTH, NULL, "%s may not act for others (CA_TRUSTED_NODE_ACCOUNTS)", account);
	if (!cox_str_eq(wanted.trust_domain, cox_authn_trust_domain(s->spec.authn)))
		return cox_err_set(&j->err, COX_EAUTH, NULL, "trust domain \"%.*s\" is not ours",
		                   COX_FMT(cox_str_sub(wanted.trust_domain, 0, 100)));
	if (is_authority) {
		j->uris[0] = j->request.impersonated;
		j->uri_n = 1;
		return COX_OK;
	}
	if (!s->spec.may_impersonate)
		return cox_err_set(&j->err, COX_EAUTH, NULL, "it is not known which pods run on which node");
	if (!s->spec.may_impersonate(s->spec.ctx, j->who, &wanted, &j->err))
		return j->err.rc == COX_EAGAIN ? COX_EAGAIN : COX_EAUTH;
	j->uris[0] = j->request.impersonated;
	j->uri_n = 1;
	return COX_OK;
}

static void on_signed(void *ctx, enum cox_rc rc, const struct cox_ca_answer *a, const struct cox_err *err)
{
	struct job *j = ctx;
	struct cox_csr_service *s = j->s;
	if (rc == COX_OK)
		rc = cox_csr_response_write(a->cert_pem, a->bundle->chain_pem, a->bundle->roots_pem, a->bundle->root_n, &j->response,
		                            &j->err);
	else
		j->err = *err;
	if (rc != COX_OK) {
		cox_metric_add(COX_M_CSR_SIGN_ERRORS, cox_rc_name(rc), 1);
		job_end(j, rc, "signing");
		return;
	}
	cox_metric_add(COX_M_CERTS_ISSUED, NULL, 1);
	for (size_t i = 0; i < j->uri_n && s->spec.ledger && !s->is_closed; i++)
		cox_ledger_add(s->spec.ledger, cox_str_of(a->info.serial), j->uris[i], a->info.not_after_s,
		               cox_str_of(a->info.issuer_key_id));
	job_end(j, COX_OK, NULL);
}

static enum cox_rc check_revoked(struct job *j)
{
	struct cox_ledger *l = j->s->spec.ledger;
	/* The certificate that proved who calls, and whom the new one would be for. */
	for (size_t i = 0; l && i < j->who->uri_n; i++)
		COX_TRY(cox_ledger_check(l, j->who->uris[i], j->who->cert_serial, &j->err));
	for (size_t i = 0; l && i < j->uri_n; i++)
		COX_TRY(cox_ledger_check(l, j->uris[i], COX_STR(""), &j->err));
	return COX_OK;
}

/* In our trust domain: a caller with a certificate of an alias gets one of the mesh's own. */
static bool set_uris(struct job *j)
{
	const struct cox_identity *who = j->who;
	struct cox_spiffe_id id;
	j->uris = COX_ARENA_ARRAY(&j->arena, struct cox_str, who->uri_n + 1);
	for (size_t i = 0; i < who->uri_n; i++) {
		struct cox_buf uri = { 0 };
		if (cox_spiffe_parse(who->uris[i], &id, NULL) != COX_OK)
			continue;
		id.trust_domain = cox_authn_trust_domain(j->s->spec.authn);
		cox_spiffe_format(&id, &uri);
		struct cox_str text = cox_arena_str(&j->arena, cox_buf_str(&uri));
		cox_buf_fini(&uri);
		bool is_there = false;
		for (size_t k = 0; k < j->uri_n; k++)
			is_there |= cox_str_eq(j->uris[k], text);
		if (!is_there)
			j->uris[j->uri_n++] = text;
	}
	return j->uri_n > 0;
}

static void on_config_loop(struct cox_loop_task *task)
{
	struct job *j = (struct job *)(void *)((char *)task - offsetof(struct job, task));
	struct cox_csr_service *s = j->s;
	if (s->is_closed) {
		cox_err_set(&j->err, COX_ECANCELED, NULL, "the control plane ends");
		job_end(j, COX_ECANCELED, "ending");
		return;
	}
	if (!set_uris(j)) {
		cox_metric_add(COX_M_CSR_ID_ERRORS, NULL, 1);
		cox_err_set(&j->err, COX_EAUTH, NULL, "the caller has no SPIFFE ID");
		job_end(j, COX_EAUTH, "identity");
		return;
	}
	enum cox_rc rc = j->request.impersonated.n ? impersonate(j) : COX_OK;
	if (rc != COX_OK) {
		if (rc != COX_EAGAIN)
			cox_metric_add(COX_M_CSR_AUTHN_FAILURES, NULL, 1);
		job_end(j, rc == COX_EAGAIN ? rc : COX_EAUTH, "impersonation");
		return;
	}
	/* An impersonating agent has the rate of each identity it asks for. */
	if (!take_rate(s, j->uris[0])) {
		cox_err_set(&j->err, COX_ELIMIT, NULL, "too many certificates for %.*s", COX_FMT(j->uris[0]));
		job_end(j, COX_ELIMIT, "rate");
		return;
	}
	if (check_revoked(j) != COX_OK) {
		job_end(j, COX_EDENIED, "revoked");
		return;
	}
	/* For the signer's log of every certificate. */
	struct cox_str how = cox_str_of(cox_authn_how_name(j->who->how));
	struct cox_str caller =
	    j->request.impersonated.n ? cox_arena_printf(&j->arena, "%.*s by %.*s", COX_FMT(how), COX_FMT(j->who->uris[0])) : how;
	struct cox_ca_request r = { .spki_der = cox_buf_str(&j->spki),
		                    .csr_pem = j->request.csr,
		                    .cert_signer = j->request.cert_signer,
		                    .uris = j->uris,
		                    .uri_n = j->uri_n,
		                    .ttl_s = j->request.validity_s,
		                    .caller = caller };
	s->spec.sign(s->spec.ca, s->spec.loop, &r, on_signed, j);
}

/* --- the stream's loop ------------------------------------------------------------------------------------------------------------ */

static enum cox_rc prepare(struct stream *st, struct job *j, const char **reason)
{
	struct cox_csr_request q = { 0 };
	enum cox_rc rc = cox_csr_request_read(cox_buf_str(&st->message), &j->arena, &q, &j->err);
	*reason = "request";
	if (rc == COX_OK) {
		*reason = "csr";
		rc = cox_csr_check(q.csr, &j->spki, &j->err);
	}
	if (rc != COX_OK) {
		cox_metric_add(COX_M_CSR_PARSE_ERRORS, NULL, 1);
		return COX_EINVAL;
	}
	j->request = (struct cox_csr_request){ .csr = cox_arena_str(&j->arena, q.csr),
		                               .validity_s = q.validity_s,
		                               .cert_signer = cox_arena_str(&j->arena, q.cert_signer),
		                               .impersonated = cox_arena_str(&j->arena, q.impersonated) };
	return COX_OK;
}

static void go(struct stream *st)
{
	if (!st->who || !st->has_message || st->is_answered || st->job)
		return;
	struct job *j = COX_NEW(struct job);
	const char *reason;
	j->s = st->s;
	cox_ref_get(&st->s->ref);
	j->who = cox_identity_ref(st->who);
	enum cox_rc rc = prepare(st, j, &reason);
	if (rc != COX_OK) {
		refuse(st, rc, reason, j->err.text);
		job_free(j);
		return;
	}
	j->stream = st;
	st->job = j;
	cox_hop_init(&j->hop, cox_grpc_stream_loop(st->grpc), on_arrive);
	j->task.fn = on_config_loop;
	cox_loop_post(st->s->spec.loop, &j->task);
}

static void on_authenticated(void *ctx, enum cox_rc rc, const struct cox_identity *who, const struct cox_err *err)
{
	struct stream *st = ctx;
	if (rc != COX_OK) {
		if (rc == COX_EAUTH)
			cox_metric_add(COX_M_CSR_AUTHN_FAILURES, NULL, 1);
		refuse(st, told(rc), rc == COX_EAUTH ? "authentication" : "unavailable", err->text);
		return;
	}
	st->who = cox_identity_ref(who);
	go(st);
}

static void on_open(void *ctx, struct cox_grpc_stream *s)
{
	struct stream *st = COX_NEW(struct stream);
	st->s = ctx;
	cox_ref_get(&st->s->ref);
	st->grpc = s;
	cox_grpc_stream_set_data(s, st);
	cox_metric_add(COX_M_CSR_COUNT, NULL, 1);
	cox_authn_check_stream(st->s->spec.authn, s, on_authenticated, st, &st->ticket);
}

static void on_message(void *ctx, struct cox_grpc_stream *s, struct cox_str message)
{
	struct stream *st = cox_grpc_stream_data(s);
	(void)ctx;
	if (st->is_answered)
		return;
	if (st->has_message || message.n > COX_CSR_REQUEST_BYTES_MAX) {
		cox_metric_add(COX_M_CSR_PARSE_ERRORS, NULL, 1);
		refuse(st, COX_EINVAL, "request",
		       st->has_message ? "more than one request in a call" : "the request is longer than a CSR can be");
		return;
	}
	st->has_message = true;
	cox_buf_append_str(&st->message, message);
	go(st);
}

static void on_half_close(void *ctx, struct cox_grpc_stream *s)
{
	struct stream *st = cox_grpc_stream_data(s);
	(void)ctx;
	if (!st->has_message)
		refuse(st, COX_EINVAL, "request", "a call without a request");
}

static void on_close(void *ctx, struct cox_grpc_stream *s, enum cox_rc why)
{
	struct stream *st = cox_grpc_stream_data(s);
	(void)ctx;
	if (!st->is_answered) {
		/* Too long for the server, gone, or out of time. */
		cox_metric_add(COX_M_CSR_REFUSED, "broken_off", 1);
		cox_log(COX_LOG_WARN, "ca",
		        "certificate refused peer=%s identity=%.*s reason=broken_off text=\"the call ended before its answer: %s\"",
		        cox_grpc_stream_peer_address(s), COX_FMT(st->who ? st->who->uris[0] : COX_STR("")),
		        cox_rc_text(why == COX_OK ? COX_ELIMIT : why));
	}
	cox_authn_cancel(&st->ticket);
	if (st->job)
		cox_hop_cancel(&st->job->hop);
	cox_identity_unref(st->who);
	cox_buf_fini(&st->message);
	service_unref(st->s);
	cox_free(st);
}

/* --- life ----------------------------------------------------------------------------------------------------------------------------- */

static enum cox_rc read_accounts(struct cox_csr_service *s, struct cox_str text, const char *name, struct cox_map *to, struct cox_err *err)
{
	struct cox_str rest = cox_arena_str(&s->arena, text), part;
	while (text.n && cox_str_next(&rest, ',', &part)) {
		part = cox_str_trim(part);
		ptrdiff_t slash = cox_str_find(part, '/');
		if (part.n == 0)
			continue;
		if (slash <= 0 || (size_t)slash + 1 == part.n || cox_str_rfind(part, '/') != slash)
			return cox_err_set(err, COX_EINVAL, NULL, "%s: \"%.*s\" is not namespace/name", name,
			                   COX_FMT(cox_str_sub(part, 0, 100)));
		cox_map_set(to, part, s);
	}
	return COX_OK;
}

enum cox_rc cox_csr_service_open(const struct cox_csr_service_spec *spec, struct cox_csr_service **out, struct cox_err *err)
{
	struct cox_csr_service *s = COX_NEW(struct cox_csr_service);
	cox_ref_init(&s->ref);
	s->spec = *spec;
	s->spec.per_identity_s = spec->per_identity_s > 0 ? spec->per_identity_s : PER_IDENTITY_S;
	s->spec.per_identity_burst = spec->per_identity_burst > 0 ? spec->per_identity_burst : PER_IDENTITY_BURST;
	s->sweep_at = SWEEP_MIN;
	s->method = (struct cox_grpc_method){ .path = create_path,
		                              .on_open = on_open,
		                              .on_message = on_message,
		                              .on_half_close = on_half_close,
		                              .on_close = on_close,
		                              .ctx = s };
	enum cox_rc rc = read_accounts(s, spec->trusted_node_accounts, "CA_TRUSTED_NODE_ACCOUNTS", &s->node_accounts, err);
	if (rc == COX_OK)
		rc = read_accounts(s, spec->trusted_authorities, "COXSWAIN_CA_TRUSTED_AUTHORITIES", &s->authorities, err);
	if (rc != COX_OK) {
		service_unref(s);
		return rc;
	}
	*out = s;
	return COX_OK;
}

void cox_csr_service_close(struct cox_csr_service **sp)
{
	struct cox_csr_service *s = *sp;
	*sp = NULL;
	if (!s)
		return;
	s->is_closed = true;
	service_unref(s);
}

const struct cox_grpc_method *cox_csr_service_method(const struct cox_csr_service *s) { return &s->method; }
