#include "ca/serving.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "ca/cert.h"
#include "ca/csr.h"
#include "kube/file.h"
#include "loop/fswatch.h"
#include "loop/timer.h"

enum {
	RETRY_MIN_MS = 1000,
	RETRY_MAX_MS = 60 * 1000,
	SETTLE_MS = 200,        /* certificate and key are two files, written one after the other */
	RENEW_MAX_MS = 1 << 30, /* 12 days: timers take no more than this at once */
};

struct request {
	struct cox_serving *s; /* NULL: closed meanwhile */
	struct cox_buf key_pem;
};
struct cox_serving {
	struct cox_serving_spec spec;
	struct cox_arena arena;
	struct cox_buf roots_pem, crl_pem; /* of the bundle */
	struct cox_buf issuer_key_id;      /* that signs now */
	struct cox_buf signed_by;          /* that signed what is in force */
	struct cox_buf chain_pem, key_pem; /* in force; empty: none yet */
	int64_t not_after_s, retry_ms;
	struct request *request; /* on its way */
	struct cox_timer *timer; /* renew or retry; files: read again */
	struct cox_fswatch *watches[3];
};

static struct cox_str str(const struct cox_buf *b) { return cox_buf_str(b); }

static void buf_set(struct cox_buf *b, struct cox_str text)
{
	cox_buf_clear(b);
	cox_buf_append_str(b, text);
}

/* --- what is in force ------------------------------------------------------------------------------------------------ */

static enum cox_rc install(struct cox_serving *s, struct cox_str chain, struct cox_str key, int64_t not_after_s, struct cox_err *err)
{
	struct cox_tls_spec spec = { .ca_pem = str(&s->roots_pem),
		                     .crl_pem = str(&s->crl_pem),
		                     .cert_pem = chain,
		                     .key_pem = key,
		                     .is_server = true,
		                     .request_client_cert = s->roots_pem.n > 0 };
	struct cox_tls *tls;
	COX_TRY(cox_tls_new(&spec, &tls, err));
	cox_metric_set(COX_M_SERVING_NOT_AFTER, NULL, (double)not_after_s);
	s->spec.on_change(s->spec.ctx, &(struct cox_serving_now){ tls, chain, key, not_after_s });
	cox_tls_unref(&tls);
	return COX_OK;
}

static void keep(struct cox_serving *s, struct cox_str chain, struct cox_buf *key_take, int64_t not_after_s)
{
	buf_set(&s->chain_pem, chain);
	cox_wipe(&s->key_pem);
	cox_buf_fini(&s->key_pem);
	s->key_pem = *key_take;
	*key_take = (struct cox_buf){ 0 };
	s->not_after_s = not_after_s;
}

/* --- signed by our CA --------------------------------------------------------------------------------------------------- */

static void ask(struct cox_serving *s);

static void request_free(struct request *r)
{
	cox_wipe(&r->key_pem);
	cox_buf_fini(&r->key_pem);
	cox_free(r);
}

static void failed(struct cox_serving *s, const struct cox_err *err)
{
	s->retry_ms = s->retry_ms == 0 ? RETRY_MIN_MS : s->retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : s->retry_ms * 2;
	cox_log(COX_LOG_WARN, "ca", "no new serving certificate error=\"%s\"%s", err->text, s->chain_pem.n ? ": the old one stays" : "");
	cox_timer_start(s->timer, cox_jitter_ms(s->retry_ms, 20), 0);
}

static void on_signed(void *ctx, enum cox_rc rc, const struct cox_ca_answer *a, const struct cox_err *err)
{
	struct request *r = ctx;
	struct cox_serving *s = r->s;
	struct cox_err why = err ? *err : (struct cox_err){ 0 };
	if (!s) {
		request_free(r);
		return;
	}
	s->request = NULL;
	COX_AUTO(cox_buf_fini) struct cox_buf chain = { 0 };
	if (rc == COX_OK) {
		cox_buf_append_str(&chain, a->cert_pem);
		cox_buf_append_str(&chain, a->bundle->chain_pem);
		rc = install(s, str(&chain), str(&r->key_pem), a->info.not_after_s, &why);
	}
	if (rc != COX_OK) {
		failed(s, &why);
		request_free(r);
		return;
	}
	int64_t left_ms = (a->info.not_after_s * 1000 - cox_clock_wall_ms()) / 2;
	keep(s, str(&chain), &r->key_pem, a->info.not_after_s);
	buf_set(&s->signed_by, a->bundle->issuer_key_id);
	s->retry_ms = 0;
	cox_log(COX_LOG_INFO, "ca", "serving certificate serial=%s not_after_s=%lld names=%zu", a->info.serial,
	        (long long)a->info.not_after_s, s->spec.dns_n);
	left_ms = left_ms < RETRY_MIN_MS ? RETRY_MIN_MS : left_ms > RENEW_MAX_MS ? RENEW_MAX_MS : left_ms;
	cox_timer_start(s->timer, cox_jitter_ms(left_ms, 10), 0);
	request_free(r);
	/* The issuer may have changed while this was on its way. */
	if (!cox_str_eq(str(&s->signed_by), str(&s->issuer_key_id)))
		ask(s);
}

static enum cox_rc make_key(struct request *r, struct cox_buf *csr, struct cox_buf *spki, struct cox_err *err)
{
	COX_TRY(cox_key_make(COX_KEY_P256, false, &r->key_pem, err));
	COX_TRY(cox_csr_make_dns(str(&r->key_pem), r->s->spec.dns, r->s->spec.dns_n, csr, err));
	return cox_csr_check(str(csr), spki, err);
}

static void ask(struct cox_serving *s)
{
	COX_AUTO(cox_buf_fini) struct cox_buf csr = { 0 };
	COX_AUTO(cox_buf_fini) struct cox_buf spki = { 0 };
	struct cox_err err = { 0 };
	if (s->request)
		return;
	struct request *r = COX_NEW(struct request);
	r->s = s;
	if (make_key(r, &csr, &spki, &err) != COX_OK) {
		request_free(r);
		failed(s, &err);
		return;
	}
	s->request = r;
	s->spec.sign(s->spec.ca, s->spec.loop,
	             &(struct cox_ca_request){ .spki_der = str(&spki),
	                                       .csr_pem = str(&csr),
	                                       .dns = s->spec.dns,
	                                       .dns_n = s->spec.dns_n,
	                                       .caller = COX_STR("control-plane") },
	             on_signed, r);
}

/* --- from files ----------------------------------------------------------------------------------------------------------- */

static enum cox_rc read_files(struct cox_serving *s, struct cox_err *err)
{
	COX_AUTO(cox_buf_fini) struct cox_buf chain = { 0 };
	COX_AUTO(cox_buf_fini) struct cox_buf roots = { 0 };
	struct cox_buf key = { 0 };
	struct cox_arena arena = { 0 };
	struct cox_cert_info info = { 0 };
	cox_buf_append_str(&roots, str(&s->roots_pem));
	enum cox_rc rc = cox_kube_file_read(s->spec.cert_file, &chain, err);
	if (rc == COX_OK)
		rc = cox_kube_file_read(s->spec.key_file, &key, err);
	if (rc == COX_OK && s->spec.ca_file)
		rc = cox_kube_file_read(s->spec.ca_file, &roots, err);
	if (rc == COX_OK)
		rc = cox_cert_read_pem(str(&chain), &arena, &info, err);
	if (rc == COX_OK) {
		struct cox_buf of_bundle = s->roots_pem;
		s->roots_pem = roots;
		rc = install(s, str(&chain), str(&key), info.not_after_s, err);
		s->roots_pem = of_bundle;
	}
	if (rc == COX_OK)
		keep(s, str(&chain), &key, info.not_after_s);
	cox_wipe(&key);
	cox_buf_fini(&key);
	cox_arena_fini(&arena);
	return rc;
}

static void reread(struct cox_serving *s)
{
	struct cox_err err = { 0 };
	if (read_files(s, &err) == COX_OK)
		cox_log(COX_LOG_INFO, "ca", "serving certificate read file=%s not_after_s=%lld", s->spec.cert_file,
		        (long long)s->not_after_s);
	else
		cox_log(COX_LOG_ERROR, "ca", "serving certificate file=%s error=\"%s\": the old one stays", s->spec.cert_file, err.text);
}

static void on_file(void *ctx, enum cox_fs_event event, const char *path)
{
	struct cox_serving *s = ctx;
	(void)event, (void)path;
	cox_timer_start(s->timer, SETTLE_MS, 0);
}

static enum cox_rc watch_dirs(struct cox_serving *s, struct cox_err *err)
{
	const char *files[] = { s->spec.cert_file, s->spec.key_file, s->spec.ca_file };
	struct cox_str dirs[3];
	for (size_t i = 0; i < COX_LEN(files); i++) {
		ptrdiff_t slash = cox_str_rfind(cox_str_of(files[i]), '/');
		dirs[i] = slash < 0 ? COX_STR(".") : cox_str_sub(cox_str_of(files[i]), 0, slash ? (size_t)slash : 1);
		bool is_watched = files[i] == NULL;
		for (size_t k = 0; k < i; k++)
			is_watched |= cox_str_eq(dirs[k], dirs[i]) && files[k];
		if (is_watched)
			continue;
		struct cox_str dir = cox_arena_str(&s->arena, dirs[i]);
		COX_TRY(cox_fswatch_open_flat(s->spec.loop, dir.p, on_file, s, &s->watches[i], err));
	}
	return COX_OK;
}

/* --- life ----------------------------------------------------------------------------------------------------------------- */

static void on_timer(void *arg)
{
	struct cox_serving *s = arg;
	if (s->spec.cert_file)
		reread(s);
	else
		ask(s);
}

static const char *copy_cstr(struct cox_arena *arena, const char *text) { return text ? cox_arena_str(arena, cox_str_of(text)).p : NULL; }

enum cox_rc cox_serving_open(const struct cox_serving_spec *spec, struct cox_serving **out, struct cox_err *err)
{
	if (!spec->cert_file != !spec->key_file)
		return cox_err_set(err, COX_EINVAL, NULL, "a serving certificate needs both files, certificate and key");
	struct cox_serving *s = COX_NEW(struct cox_serving);
	s->spec = *spec;
	s->spec.cert_file = copy_cstr(&s->arena, spec->cert_file);
	s->spec.key_file = copy_cstr(&s->arena, spec->key_file);
	s->spec.ca_file = copy_cstr(&s->arena, spec->ca_file);
	struct cox_str *dns = COX_ARENA_ARRAY(&s->arena, struct cox_str, spec->dns_n ? spec->dns_n : 1);
	for (size_t i = 0; i < spec->dns_n; i++)
		dns[i] = cox_arena_str(&s->arena, spec->dns[i]);
	s->spec.dns = dns;
	s->timer = cox_timer_new(spec->loop, on_timer, s);
	enum cox_rc rc = COX_OK;
	if (s->spec.cert_file) {
		rc = watch_dirs(s, err);
		if (rc == COX_OK)
			rc = read_files(s, err);
	}
	if (rc != COX_OK) {
		cox_serving_close(&s);
		return rc;
	}
	*out = s;
	return COX_OK;
}

void cox_serving_close(struct cox_serving **sp)
{
	struct cox_serving *s = *sp;
	*sp = NULL;
	if (!s)
		return;
	if (s->request)
		s->request->s = NULL;
	for (size_t i = 0; i < COX_LEN(s->watches); i++)
		if (s->watches[i])
			cox_fswatch_close(&s->watches[i]);
	cox_timer_free(&s->timer);
	cox_wipe(&s->key_pem);
	struct cox_buf *bufs[] = { &s->roots_pem, &s->crl_pem, &s->issuer_key_id, &s->signed_by, &s->chain_pem, &s->key_pem };
	for (size_t i = 0; i < COX_LEN(bufs); i++)
		cox_buf_fini(bufs[i]);
	cox_arena_fini(&s->arena);
	cox_free(s);
}

void cox_serving_bundle(struct cox_serving *s, const struct cox_ca_bundle *b)
{
	struct cox_err err = { 0 };
	cox_buf_clear(&s->roots_pem);
	for (size_t i = 0; i < b->root_n; i++)
		cox_buf_append_str(&s->roots_pem, b->roots_pem[i]);
	buf_set(&s->crl_pem, b->crl_pem);
	buf_set(&s->issuer_key_id, b->issuer_key_id);
	if (s->spec.cert_file) {
		reread(s);
		return;
	}
	/* Peers are judged by the new roots and lists at once, whatever the own certificate does. */
	if (s->chain_pem.n && install(s, str(&s->chain_pem), str(&s->key_pem), s->not_after_s, &err) != COX_OK)
		cox_log(COX_LOG_ERROR, "ca", "the new bundle cannot be used for peers error=\"%s\": the old one stays", err.text);
	if (!s->chain_pem.n || !cox_str_eq(str(&s->signed_by), b->issuer_key_id))
		ask(s);
}
