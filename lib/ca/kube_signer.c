#include "ca/kube_signer.h"
#include "ca/foreign_priv.h"
#include "ca/kube_signer_priv.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/b64.h"
#include "loop/timer.h"

#include <stdio.h>

enum {
	DEADLINE_MS = 15 * 1000, /* an agent waits longer than this for its first certificate, and asks again */
	REQUEST_MS = 5000,
	DELETE_MS = 2000,
	POLL_MIN_MS = 50,
	POLL_MAX_MS = 2000,
	JOBS_MAX = 1000,   /* each has an object in etcd */
	KUBE_TTL_MIN = 600 /* the kube-apiserver refuses less */
};

struct kube_signer {
	struct cox_kube_signer_spec spec;
	struct cox_arena arena;
	struct foreign_job *jobs;
	size_t job_n;
	struct cox_arena roots_arena;
	struct cox_ca_root *roots;
	size_t root_n;
};
struct job {
	struct foreign_job base;
	struct kube_signer *s;
	struct cox_str signer, name;
	struct cox_kube_request *request;
	struct cox_timer *timer;
	int64_t until_ms, patience_ms;
	struct cox_str cert_pem; /* of the status; empty: rc and err say why not */
	enum cox_rc rc;
	struct cox_err err;
};

static bool is_signer_name(struct cox_str s)
{
	ptrdiff_t slash = cox_str_find(s, '/');
	return slash > 0 && (size_t)slash + 1 < s.n && cox_str_rfind(s, '/') == slash;
}

/* --- the end of a request ----------------------------------------------------------------------------------------- */

static struct cox_str roots_of(struct job *j)
{
	COX_AUTO(cox_buf_fini) struct cox_buf named = { 0 };
	COX_AUTO(cox_buf_fini) struct cox_buf others = { 0 };
	for (size_t i = 0; i < j->s->root_n; i++) {
		const struct cox_ca_root *root = &j->s->roots[i];
		for (size_t k = 0; k < root->signer_n; k++)
			if (cox_str_eq(root->signers[k], j->signer))
				cox_buf_append_str(&named, root->pem);
		if (!root->signer_n)
			cox_buf_append_str(&others, root->pem);
	}
	return cox_arena_str(&j->base.arena, cox_buf_str(named.n ? &named : &others));
}

static void leave(struct job *j)
{
	cox_kube_request_close(&j->request);
	cox_timer_free(&j->timer);
	j->s->job_n--;
}

static void answer(struct job *j)
{
	leave(j);
	if (j->cert_pem.n)
		foreign_job_answer_take(&j->base, j->cert_pem, roots_of(j));
	else
		foreign_job_fail_take(&j->base, j->rc, &j->err);
}

static void path_of(const struct job *j, const char *sub, struct cox_buf *path)
{
	cox_kube_path(path, COX_STR("certificates.k8s.io"), COX_STR("v1"), COX_STR("certificatesigningrequests"), COX_STR(""), j->name,
	              cox_str_of(sub));
}

static void send(struct job *j, const char *method, const char *sub, struct cox_str body, int64_t timeout_ms,
                 void (*on_done)(void *ctx, struct cox_kube_request *r, enum cox_rc rc, int status, struct cox_str body,
                                 const struct cox_err *err))
{
	COX_AUTO(cox_buf_fini) struct cox_buf path = { 0 };
	if (cox_str_eq_cstr(cox_str_of(method), "POST"))
		cox_buf_append_str(&path, COX_STR("/apis/certificates.k8s.io/v1/certificatesigningrequests"));
	else
		path_of(j, sub, &path);
	cox_kube_request_open(
	    j->s->spec.kube,
	    &(struct cox_kube_request_spec){ .method = method, .path = cox_buf_str(&path), .body = body, .timeout_ms = timeout_ms },
	    &(struct cox_kube_request_cb){ .on_done = on_done, .ctx = j }, &j->request);
}

/* Whatever comes of it: the kube-apiserver forgets what is left behind within a day. */
static void on_deleted(void *ctx, struct cox_kube_request *r, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err)
{
	struct job *j = ctx;
	(void)r, (void)status, (void)body;
	j->request = NULL;
	if (rc != COX_OK && rc != COX_ENOTFOUND)
		cox_log(COX_LOG_DEBUG, "ca", "CertificateSigningRequest %.*s stays: %s", COX_FMT(j->name), err->text);
	answer(j);
}

static void clean_up(struct job *j)
{
	cox_timer_stop(j->timer);
	send(j, "DELETE", "", COX_STR(""), DELETE_MS, on_deleted);
}

static void give_up(struct job *j, enum cox_rc rc, const struct cox_err *err)
{
	j->rc = rc;
	j->err = *err;
	cox_err_wrap(&j->err, "CertificateSigningRequest %.*s for signer %.*s", COX_FMT(j->name), COX_FMT(j->signer));
	clean_up(j);
}

/* What a caller can do nothing about is told as "not now": our rights may be given later, the kube-apiserver may come back. */
static enum cox_rc told(enum cox_rc rc) { return rc == COX_EINVAL || rc == COX_EDENIED || rc == COX_EAUTH ? COX_EINTERNAL : COX_EAGAIN; }

/* --- waiting for the signer ------------------------------------------------------------------------------------------ */

static void wait_on(struct job *j)
{
	struct cox_err err;
	if (cox_clock_mono_ms() >= j->until_ms) {
		cox_err_set(&err, COX_EAGAIN, NULL, "the signer has not answered within %lld ms", (long long)j->s->spec.deadline_ms);
		give_up(j, COX_EAGAIN, &err);
		return;
	}
	cox_timer_start(j->timer, j->patience_ms, 0);
	j->patience_ms = j->patience_ms * 2 > POLL_MAX_MS ? POLL_MAX_MS : j->patience_ms * 2;
}

/* Has the signer, or somebody with the right to, said no? */
static bool is_refused(const struct cox_json *object, struct cox_err *err)
{
	const struct cox_json *all = cox_json_at(object, "status.conditions");
	for (size_t i = 0; all && all->type == COX_JSON_ARRAY && i < all->n; i++) {
		struct cox_str type = cox_json_str_at(&all->items[i], "type");
		if (!cox_str_eq_cstr(type, "Denied") && !cox_str_eq_cstr(type, "Failed"))
			continue;
		cox_err_set(err, COX_EDENIED, NULL, "%.*s: %.*s", COX_FMT(type),
		            COX_FMT(cox_str_sub(cox_json_str_at(&all->items[i], "message"), 0, 200)));
		return true;
	}
	return false;
}

enum cox_rc kube_signer_read(struct cox_str body, struct cox_arena *arena, struct cox_str *cert_pem, struct cox_err *err)
{
	struct cox_json *object = NULL;
	struct cox_str pem;
	if (cox_json_parse(arena, cox_arena_str(arena, body), &object, err) != COX_OK)
		return COX_EAGAIN;
	struct cox_str b64 = cox_json_str_at(object, "status.certificate");
	if (b64.n && cox_b64_decode(arena, b64, true, &pem) == COX_OK && pem.n) {
		*cert_pem = pem;
		return COX_OK;
	}
	return is_refused(object, err) ? COX_EDENIED : COX_EAGAIN;
}

static void on_read(void *ctx, struct cox_kube_request *r, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err)
{
	struct job *j = ctx;
	struct cox_err why = err ? *err : (struct cox_err){ 0 };
	(void)r, (void)status;
	j->request = NULL;
	if (rc == COX_ENOTFOUND) {
		give_up(j, COX_EAGAIN, &why); /* somebody deleted it */
		return;
	}
	if (rc == COX_OK)
		rc = kube_signer_read(body, &j->base.arena, &j->cert_pem, &why);
	else
		rc = COX_EAGAIN;
	if (rc == COX_OK)
		clean_up(j);
	else if (rc == COX_EDENIED)
		give_up(j, COX_EDENIED, &why);
	else
		wait_on(j);
}

static void on_timer(void *ctx) { send(ctx, "GET", "", COX_STR(""), REQUEST_MS, on_read); }

/* --- create and approve --------------------------------------------------------------------------------------------------- */

static void on_approved(void *ctx, struct cox_kube_request *r, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err)
{
	struct job *j = ctx;
	(void)r, (void)status, (void)body;
	j->request = NULL;
	if (rc != COX_OK)
		give_up(j, told(rc), err);
	else
		wait_on(j);
}

static void on_created(void *ctx, struct cox_kube_request *r, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err)
{
	struct job *j = ctx;
	struct cox_arena *a = &j->base.arena;
	struct cox_json *object = NULL, *approved = NULL;
	struct cox_err why = err ? *err : (struct cox_err){ 0 };
	(void)r, (void)status;
	j->request = NULL;
	if (rc == COX_OK)
		rc = cox_json_parse(a, cox_arena_str(a, body), &object, &why);
	if (rc == COX_OK)
		rc = cox_json_parse(a,
		                    COX_STR("{\"conditions\":[{\"type\":\"Approved\",\"status\":\"True\",\"reason\":\"CoxswainChecked\","
		                            "\"message\":\"The caller has proved the identity in this request.\"}]}"),
		                    &approved, &why);
	if (rc != COX_OK) {
		give_up(j, told(rc), &why);
		return;
	}
	COX_AUTO(cox_buf_fini) struct cox_buf text = { 0 };
	cox_json_set(a, object, COX_STR("status"), approved);
	cox_json_write(&text, object, 0, false);
	send(j, "PUT", "approval", cox_buf_str(&text), REQUEST_MS, on_approved);
}

static void create(struct job *j)
{
	COX_AUTO(cox_buf_fini) struct cox_buf body = { 0 };
	const struct cox_ca_request *r = &j->base.r;
	int64_t ttl_s = r->ttl_s > 0 ? r->ttl_s : j->s->spec.default_ttl_s;
	cox_buf_append_str(
	    &body, COX_STR("{\"apiVersion\":\"certificates.k8s.io/v1\",\"kind\":\"CertificateSigningRequest\",\"metadata\":{\"name\":"));
	cox_json_write_str(&body, j->name);
	cox_buf_append_str(&body, COX_STR("},\"spec\":{\"signerName\":"));
	cox_json_write_str(&body, j->signer);
	cox_buf_printf(
	    &body,
	    ",\"expirationSeconds\":%lld,\"usages\":[\"digital signature\",\"key encipherment\",\"server auth\",\"client auth\"],\"request\":\"",
	    (long long)(ttl_s < KUBE_TTL_MIN ? KUBE_TTL_MIN
	                : ttl_s > INT32_MAX  ? INT32_MAX
	                                     : ttl_s));
	cox_b64_encode(&body, r->csr_pem);
	cox_buf_append_str(&body, COX_STR("\"}}"));
	send(j, "POST", "", cox_buf_str(&body), REQUEST_MS, on_created);
}

/* The name: "domain/CertSigner", or the one signer of K8S_SIGNER. */
static enum cox_rc choose(struct job *j, struct cox_err *err)
{
	const struct cox_kube_signer_spec *spec = &j->s->spec;
	struct cox_str asked = j->base.r.cert_signer;
	j->signer = spec->signer;
	if (spec->domain.n && asked.n)
		j->signer = cox_arena_printf(&j->base.arena, "%.*s/%.*s", COX_FMT(spec->domain), COX_FMT(cox_str_sub(asked, 0, 300)));
	if (!j->signer.n)
		return cox_err_set(err, COX_EINVAL, NULL,
		                   "metadata CertSigner is missing: CERT_SIGNER_DOMAIN is set and K8S_SIGNER is not");
	if (!is_signer_name(j->signer))
		return cox_err_set(err, COX_EINVAL, NULL, "metadata CertSigner: \"%.*s\" is not domain/name", COX_FMT(j->signer));
	return COX_OK;
}

static enum cox_rc check(struct job *j, struct cox_err *err)
{
	struct kube_signer *s = j->s;
	if (!s->root_n)
		return cox_err_set(err, COX_EAGAIN, NULL, "no root of the signer is known yet");
	if (s->job_n > JOBS_MAX)
		return cox_err_set(err, COX_ELIMIT, NULL, "%d requests wait for their signers", JOBS_MAX);
	if (j->base.r.ttl_s > s->spec.max_ttl_s)
		return cox_err_set(err, COX_EINVAL, NULL, "a lifetime of %lld s is more than the maximum, %lld s",
		                   (long long)j->base.r.ttl_s, (long long)s->spec.max_ttl_s);
	COX_TRY(choose(j, err));
	return foreign_check_csr(&j->base.r, err);
}

static void sign(void *ctx, struct cox_ca *ca, struct cox_loop *loop, const struct cox_ca_request *r, foreign_done_fn *done, void *done_ctx)
{
	struct kube_signer *s = ctx;
	struct job *j = COX_NEW(struct job);
	struct cox_err err = { 0 };
	foreign_job_init(&j->base, &s->jobs, ca, loop, r, done, done_ctx);
	j->s = s;
	s->job_n++;
	j->timer = cox_timer_new(loop, on_timer, j);
	j->until_ms = cox_clock_mono_ms() + s->spec.deadline_ms;
	j->patience_ms = POLL_MIN_MS;
	j->name = cox_arena_printf(&j->base.arena, "coxswain-%08x%08x%08x", cox_random_below(UINT32_MAX), cox_random_below(UINT32_MAX),
	                           cox_random_below(UINT32_MAX));
	enum cox_rc rc = check(j, &err);
	if (rc == COX_OK) {
		create(j);
	} else {
		leave(j);
		foreign_job_fail_take(&j->base, rc, &err);
	}
}

/* --- life ---------------------------------------------------------------------------------------------------------------------- */

static void set_roots(void *ctx, const struct cox_ca_root *roots, size_t n)
{
	struct kube_signer *s = ctx;
	cox_arena_reset(&s->roots_arena);
	s->roots = COX_ARENA_ARRAY(&s->roots_arena, struct cox_ca_root, n);
	s->root_n = n;
	for (size_t i = 0; i < n; i++) {
		struct cox_str *signers = COX_ARENA_ARRAY(&s->roots_arena, struct cox_str, roots[i].signer_n + 1);
		for (size_t k = 0; k < roots[i].signer_n; k++)
			signers[k] = cox_arena_str(&s->roots_arena, roots[i].signers[k]);
		s->roots[i] =
		    (struct cox_ca_root){ cox_arena_printf(&s->roots_arena, "%.*s\n", COX_FMT(roots[i].pem)), signers, roots[i].signer_n };
	}
}

static void close_all(void *ctx)
{
	struct kube_signer *s = ctx;
	struct cox_err err;
	cox_err_set(&err, COX_ECANCELED, NULL, "the control plane ends");
	while (s->jobs) {
		struct job *j = (struct job *)s->jobs;
		leave(j);
		foreign_job_fail_take(&j->base, COX_ECANCELED, &err);
	}
	cox_arena_fini(&s->roots_arena);
	cox_arena_fini(&s->arena);
	cox_free(s);
}

enum cox_rc cox_kube_signer_open(const struct cox_kube_signer_spec *spec, const struct cox_ca_cb *cb, struct cox_ca **out,
                                 struct cox_err *err)
{
	if (!spec->signer.n && !spec->domain.n)
		return cox_err_set(err, COX_EINVAL, NULL, "EXTERNAL_CA=ISTIOD_RA_KUBERNETES_API needs K8S_SIGNER or CERT_SIGNER_DOMAIN");
	if (spec->signer.n && !is_signer_name(spec->signer))
		return cox_err_set(err, COX_EINVAL, NULL, "K8S_SIGNER: \"%.*s\" is not domain/name", COX_FMT(spec->signer));
	if (cox_str_find(spec->domain, '/') >= 0)
		return cox_err_set(err, COX_EINVAL, NULL, "CERT_SIGNER_DOMAIN: \"%.*s\" is no domain", COX_FMT(spec->domain));
	struct kube_signer *s = COX_NEW(struct kube_signer);
	s->spec = *spec;
	s->spec.signer = cox_arena_str(&s->arena, spec->signer);
	s->spec.domain = cox_arena_str(&s->arena, spec->domain);
	s->spec.deadline_ms = spec->deadline_ms > 0 ? spec->deadline_ms : DEADLINE_MS;
	*out = cox_ca_new_remote_take(spec->loop, &(struct cox_ca_remote){ sign, set_roots, close_all, s }, spec->trust_domain, cb);
	return COX_OK;
}
