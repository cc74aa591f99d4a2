#include "ca/foreign_priv.h"
#include "ca/x509_priv.h"

#include "base/clock.h"
#include "base/log.h"

#include <openssl/err.h>
#include <openssl/pem.h>

/* --- a request that waits ----------------------------------------------------------------------------------- */

static const struct cox_str *copy_names(struct cox_arena *a, const struct cox_str *names, size_t n)
{
	struct cox_str *copy = COX_ARENA_ARRAY(a, struct cox_str, n + 1);
	for (size_t i = 0; i < n; i++)
		copy[i] = cox_arena_str(a, names[i]);
	return copy;
}

void foreign_job_init(struct foreign_job *j, struct foreign_job **list, struct cox_ca *ca, struct cox_loop *loop,
                      const struct cox_ca_request *r, foreign_done_fn *done, void *ctx)
{
	j->ca = ca;
	j->loop = loop;
	j->done = done;
	j->ctx = ctx;
	j->r = (struct cox_ca_request){ .spki_der = cox_arena_str(&j->arena, r->spki_der),
		                        .csr_pem = cox_arena_str(&j->arena, r->csr_pem),
		                        .cert_signer = cox_arena_str(&j->arena, r->cert_signer),
		                        .uris = copy_names(&j->arena, r->uris, r->uri_n),
		                        .uri_n = r->uri_n,
		                        .dns = copy_names(&j->arena, r->dns, r->dns_n),
		                        .dns_n = r->dns_n,
		                        .ttl_s = r->ttl_s,
		                        .caller = cox_arena_str(&j->arena, r->caller) };
	j->next = *list;
	j->at = list;
	if (j->next)
		j->next->at = &j->next;
	*list = j;
}

static void finish(struct cox_loop_task *task)
{
	struct foreign_job *j = (struct foreign_job *)task;
	struct cox_ca_answer a = { .cert_pem = j->leaf_pem, .bundle = j->bundle, .info = j->info };
	j->done(j->ctx, j->rc, j->rc == COX_OK ? &a : NULL, j->rc == COX_OK ? NULL : &j->err);
	cox_ca_bundle_unref(j->bundle);
	cox_arena_fini(&j->arena);
	cox_free(j);
}

static void finish_later(struct foreign_job *j)
{
	*j->at = j->next;
	if (j->next)
		j->next->at = j->at;
	j->task.fn = finish;
	cox_loop_post(j->loop, &j->task);
}

void foreign_job_fail_take(struct foreign_job *j, enum cox_rc rc, const struct cox_err *err)
{
	j->rc = rc;
	j->err = *err;
	finish_later(j);
}

void foreign_job_answer_take(struct foreign_job *j, struct cox_str pem, struct cox_str roots_pem)
{
	const struct cox_ca_bundle *now = cox_ca_bundle_get(j->ca);
	struct cox_ca_bundle parts = *now;
	j->rc = foreign_check_cert(&j->r, pem, roots_pem, cox_clock_wall_ms() / 1000, &j->arena, &j->info, &j->leaf_pem, &parts.chain_pem,
	                           &j->err);
	if (j->rc == COX_OK) {
		/* Trust is the mesh's; the chain is this certificate's own. */
		j->bundle = cox_ca_bundle_new(&parts);
		for (size_t i = 0; i < j->r.uri_n; i++)
			cox_log(COX_LOG_INFO, "ca",
			        "certificate from elsewhere serial=%s identity=\"%.*s\" caller=\"%.*s\" not_after_s=%lld", j->info.serial,
			        COX_FMT(j->r.uris[i]), COX_FMT(j->r.caller), (long long)j->info.not_after_s);
	}
	cox_ca_bundle_unref(now);
	finish_later(j);
}

/* --- names ---------------------------------------------------------------------------------------------------- */

static bool has(const struct cox_str *names, size_t n, struct cox_str name)
{
	for (size_t i = 0; i < n; i++)
		if (cox_str_eq(names[i], name))
			return true;
	return false;
}

/* All of the wanted names, nothing else of any kind. */
static enum cox_rc check_names(const struct cox_ca_request *r, const GENERAL_NAMES *names, enum cox_rc bad, const char *what,
                               struct cox_err *err)
{
	size_t found = 0, n = names ? (size_t)sk_GENERAL_NAME_num(names) : 0;
	for (size_t i = 0; i < n; i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, (int)i);
		if (g->type != GEN_URI && g->type != GEN_DNS)
			return cox_err_set(err, bad, NULL, "%s: a name that is neither URI nor DNS", what);
		const ASN1_IA5STRING *s = g->type == GEN_URI ? g->d.uniformResourceIdentifier : g->d.dNSName;
		struct cox_str name = cox_str_make(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
		if (g->type == GEN_URI ? !has(r->uris, r->uri_n, name) : !has(r->dns, r->dns_n, name))
			return cox_err_set(err, bad, NULL, "%s: name \"%.*s\" is not the caller's", what,
			                   COX_FMT(cox_str_sub(name, 0, 200)));
		found++;
	}
	if (found != r->uri_n + r->dns_n)
		return cox_err_set(err, bad, NULL, "%s: it has %zu names, the caller has %zu (first: \"%.*s\")", what, found,
		                   r->uri_n + r->dns_n,
		                   COX_FMT(r->uri_n   ? r->uris[0]
		                           : r->dns_n ? r->dns[0]
		                                      : COX_STR("")));
	return COX_OK;
}

enum cox_rc foreign_check_csr(const struct cox_ca_request *r, struct cox_err *err)
{
	COX_AUTO(cox_bio_freep_) BIO *bio = cox_bio_of_(r->csr_pem);
	X509_REQ *req = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
	if (!req)
		return cox_ossl_fail_(err, COX_EINVAL, "certificate request: it is no PKCS#10 request in PEM");
	STACK_OF(X509_EXTENSION) *list = X509_REQ_get_extensions(req);
	GENERAL_NAMES *names = X509V3_get_d2i(list, NID_subject_alt_name, NULL, NULL);
	enum cox_rc rc = check_names(r, names, COX_EDENIED, "certificate request", err);
	GENERAL_NAMES_free(names);
	sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
	X509_REQ_free(req);
	ERR_clear_error();
	return rc;
}

/* --- what comes back ---------------------------------------------------------------------------------------- */

static bool has_key(X509 *x, struct cox_str spki_der)
{
	unsigned char *der = NULL;
	int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
	bool is_equal = n > 0 && cox_str_eq(cox_str_make(der, (size_t)n), spki_der);
	OPENSSL_free(der);
	return is_equal;
}

static enum cox_rc check_leaf(const struct cox_ca_request *r, struct cox_str pem, struct cox_err *err)
{
	COX_AUTO(cox_x509_freep_) X509 *x = NULL;
	COX_TRY(cox_x509_read_(pem, &x, err));
	if (!has_key(x, r->spki_der))
		return cox_err_set(err, COX_EPROTO, NULL, "it is for another key");
	if (X509_check_ca(x))
		return cox_err_set(err, COX_EPROTO, NULL, "it is a CA's");
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	enum cox_rc rc = check_names(r, names, COX_EPROTO, "its names", err);
	GENERAL_NAMES_free(names);
	ERR_clear_error();
	return rc;
}

/* What follows the leaf, without roots: a peer that needs one has it, and one that has not must not get it here. */
static struct cox_str chain_of(const struct cox_str *pems, size_t n, struct cox_arena *arena)
{
	COX_AUTO(cox_buf_fini) struct cox_buf chain = { 0 };
	for (size_t i = 1; i < n; i++) {
		struct cox_cert_info info;
		if (cox_cert_read_pem(pems[i], arena, &info, NULL) == COX_OK && !info.is_self_signed)
			cox_buf_append_str(&chain, pems[i]);
	}
	return cox_arena_str(arena, cox_buf_str(&chain));
}

static enum cox_rc check_cert(const struct cox_ca_request *r, struct cox_str pem, struct cox_str roots_pem, int64_t now_s,
                              struct cox_arena *arena, struct cox_cert_info *info, struct cox_str *leaf_pem, struct cox_str *chain_pem,
                              struct cox_err *err)
{
	struct cox_str *pems;
	size_t n;
	COX_TRY(cox_cert_split(pem, arena, &pems, &n, err));
	if (n > COX_CERT_CHAIN_MAX)
		return cox_err_set(err, COX_ELIMIT, NULL, "a chain of %zu certificates", n);
	COX_TRY(check_leaf(r, pems[0], err));
	COX_TRY(cox_cert_read_pem(pems[0], arena, info, err));
	COX_TRY(cox_cert_verify(pem, roots_pem, now_s, err));
	*leaf_pem = pems[0];
	*chain_pem = chain_of(pems, n, arena);
	return COX_OK;
}

enum cox_rc foreign_check_cert(const struct cox_ca_request *r, struct cox_str pem, struct cox_str roots_pem, int64_t now_s,
                               struct cox_arena *arena, struct cox_cert_info *info, struct cox_str *leaf_pem, struct cox_str *chain_pem,
                               struct cox_err *err)
{
	if (check_cert(r, pem, roots_pem, now_s, arena, info, leaf_pem, chain_pem, err) == COX_OK)
		return COX_OK;
	cox_err_wrap(err, "the other CA's certificate is not used");
	return COX_EPROTO;
}
