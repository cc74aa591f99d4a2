#include "agent/file_secrets.h"

#include "agent/files.h"
#include "agent/secret.h"
#include "base/log.h"
#include "base/vec.h"
#include "ca/cert.h"
#include "codec/pem.h"
#include "loop/timer.h"

enum { POLL_MS = 1000 };

struct item {
	char *name, *path, *key_path; /* key_path NULL: roots */
	struct cox_agent_file_stamp stamp, key_stamp, crl_stamp;
	bool is_crl, has_crl;  /* it is one; it goes with one */
	struct cox_buf secret; /* of the job */
	enum cox_rc rc;
	struct cox_err err;
	struct cox_agent_file_secrets *owner;
	bool is_busy, is_gone;
};

struct cox_agent_file_secrets {
	struct cox_loop *loop;
	struct cox_work_pool *pool;
	const char *crl_file;
	void (*on_secret)(void *ctx, struct cox_str name, struct cox_str secret);
	void *ctx;
	struct cox_timer *timer;
	COX_VEC(struct item *) items;
	unsigned busy;
	bool is_closing;
	void (*closed)(void *ctx);
	void *closed_ctx;
};

/* Where the usual distributions keep the trusted roots. */
static const char *system_roots(void)
{
	static const char *const paths[] = { "/etc/ssl/certs/ca-certificates.crt",
		                             "/etc/pki/tls/certs/ca-bundle.crt",
		                             "/etc/ssl/ca-bundle.pem",
		                             "/etc/pki/tls/cacert.pem",
		                             "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
		                             "/etc/ssl/cert.pem" };
	static const struct cox_agent_file_stamp none;
	for (size_t i = 0; i < COX_LEN(paths); i++) {
		struct cox_agent_file_stamp s = cox_agent_file_stamp(paths[i]);
		if (!cox_agent_file_stamp_eq(&s, &none))
			return paths[i];
	}
	return paths[0];
}

static enum cox_rc check_path(struct cox_str path, struct cox_err *err)
{
	if (path.n == 0 || path.p[0] != '/' || path.n > 4000 || memchr(path.p, 0, path.n))
		return cox_err_set(err, COX_EINVAL, NULL, "\"%.*s\" is not an absolute path", (int)cox_min_size(path.n, 200),
		                   path.n ? path.p : "");
	return COX_OK;
}

enum cox_rc cox_agent_file_secret_parse(struct cox_str name, struct cox_str *chain_or_roots, struct cox_str *key, struct cox_err *err)
{
	*key = COX_STR("");
	if (cox_str_eq(name, COX_STR("file-root:system"))) {
		*chain_or_roots = cox_str_of(system_roots());
		return COX_OK;
	}
	if (cox_str_has_prefix(name, COX_STR("file-root:"))) {
		*chain_or_roots = cox_str_sub(name, 10, name.n);
		return check_path(*chain_or_roots, err);
	}
	if (!cox_str_has_prefix(name, COX_STR("file-cert:")))
		return cox_err_set(err, COX_EINVAL, NULL, "\"%.*s\" is not a secret of this agent", (int)cox_min_size(name.n, 200),
		                   name.n ? name.p : "");
	struct cox_str paths = cox_str_sub(name, 10, name.n);
	ptrdiff_t tilde = cox_str_find(paths, '~');
	if (tilde < 0)
		return cox_err_set(err, COX_EINVAL, NULL, "\"%.*s\" has no \"~\" between certificate and key",
		                   (int)cox_min_size(name.n, 200), name.p);
	*chain_or_roots = cox_str_sub(paths, 0, (size_t)tilde);
	*key = cox_str_sub(paths, (size_t)tilde + 1, paths.n);
	COX_TRY(check_path(*chain_or_roots, err));
	return check_path(*key, err);
}

/* --- jobs --------------------------------------------------------------------------------- */

static void item_free(struct item *it)
{
	cox_agent_secret_fini(&it->secret);
	cox_free(it->name);
	cox_free(it->path);
	cox_free(it->key_path);
	cox_free(it);
}

static void finish_close(struct cox_agent_file_secrets *f)
{
	for (size_t i = 0; i < f->items.n; i++)
		item_free(f->items.p[i]);
	cox_vec_fini(&f->items);
	if (f->closed)
		f->closed(f->closed_ctx);
	cox_free(f);
}

const struct cox_str cox_agent_file_crl_name = COX_STR_INIT("ca-crl.pem");

/* Where there is none, nothing is appended. */
static enum cox_rc load_crl(const char *path, struct cox_buf *out, struct cox_err *err)
{
	size_t before = out->n;
	enum cox_rc rc = cox_agent_file_read(path, out, err);
	if (rc == COX_ENOTFOUND)
		return COX_OK;
	COX_TRY(rc);
	rc = cox_pem_crls_check(cox_str_sub(cox_buf_str(out), before, out->n), err);
	if (rc != COX_OK)
		cox_err_wrap(err, "%s", path);
	return rc;
}

static enum cox_rc load(struct item *it)
{
	COX_AUTO(cox_buf_fini) struct cox_buf crl = { 0 };
	if (it->is_crl)
		return load_crl(it->path, &it->secret, &it->err);
	COX_AUTO(cox_buf_fini) struct cox_buf pem = { 0 };
	COX_AUTO(cox_agent_secret_fini) struct cox_buf key = { 0 };
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	struct cox_cert_info info;
	COX_TRY(cox_agent_file_read(it->path, &pem, &it->err));
	if (!it->key_path) {
		COX_TRY(cox_cert_read_pem(cox_buf_str(&pem), &arena, &info, &it->err));
		if (it->has_crl)
			COX_TRY(load_crl(it->owner->crl_file, &crl, &it->err));
		cox_agent_secret_write_roots(cox_str_of(it->name), cox_buf_str(&pem), cox_buf_str(&crl), &it->secret);
		return COX_OK;
	}
	COX_TRY(cox_agent_file_read(it->key_path, &key, &it->err));
	COX_TRY(cox_cert_check_key(cox_buf_str(&pem), cox_buf_str(&key), &it->err));
	cox_agent_secret_write_cert(cox_str_of(it->name), cox_buf_str(&pem), cox_buf_str(&key), &it->secret);
	return COX_OK;
}

static void run(void *arg)
{
	struct item *it = arg;
	it->rc = load(it);
}

static void done(void *arg, enum cox_rc rc)
{
	struct item *it = arg;
	struct cox_agent_file_secrets *f = it->owner;
	f->busy--;
	it->is_busy = false;
	if (rc == COX_OK && !it->is_gone && !f->is_closing) {
		if (it->rc == COX_OK)
			f->on_secret(f->ctx, cox_str_of(it->name), cox_buf_str(&it->secret));
		else
			cox_log(COX_LOG_WARN, "sds", "secret cannot be read name=%s error=\"%s\"", it->name, it->err.text);
	}
	cox_agent_secret_fini(&it->secret);
	if (it->is_gone)
		item_free(it);
	if (f->is_closing && f->busy == 0)
		finish_close(f);
}

static void look(struct cox_agent_file_secrets *f, struct item *it, bool is_new)
{
	struct cox_agent_file_stamp now = cox_agent_file_stamp(it->path), key = { 0 }, crl = { 0 };
	if (it->has_crl)
		crl = cox_agent_file_stamp(f->crl_file);
	if (it->key_path)
		key = cox_agent_file_stamp(it->key_path);
	if (it->is_busy || (!is_new && cox_agent_file_stamp_eq(&now, &it->stamp) && cox_agent_file_stamp_eq(&key, &it->key_stamp) &&
	                    cox_agent_file_stamp_eq(&crl, &it->crl_stamp)))
		return;
	if (cox_work_submit(f->pool, f->loop, run, done, it) != COX_OK)
		return; /* at the next look */
	it->stamp = now;
	it->key_stamp = key;
	it->crl_stamp = crl;
	it->is_busy = true;
	f->busy++;
}

static void on_timer(void *ctx)
{
	struct cox_agent_file_secrets *f = ctx;
	for (size_t i = 0; i < f->items.n; i++)
		look(f, f->items.p[i], false);
}

/* --- the surface -------------------------------------------------------------------------- */

static size_t find(const struct cox_agent_file_secrets *f, struct cox_str name)
{
	size_t i = 0;
	while (i < f->items.n && (f->items.p[i]->is_crl || !cox_str_eq_cstr(name, f->items.p[i]->name)))
		i++;
	return i;
}

static void add_item(struct cox_agent_file_secrets *f, struct item *it)
{
	it->owner = f;
	cox_vec_push(&f->items, it);
	look(f, it, true);
	if (!cox_timer_is_running(f->timer))
		cox_timer_start(f->timer, POLL_MS, POLL_MS);
}

enum cox_rc cox_agent_file_secrets_add(struct cox_agent_file_secrets *f, struct cox_str name, struct cox_err *err)
{
	struct cox_str path, key;
	COX_TRY(cox_agent_file_secret_parse(name, &path, &key, err));
	if (find(f, name) < f->items.n)
		return COX_OK;
	if (f->items.n == COX_AGENT_FILE_SECRETS_MAX)
		return cox_err_set(err, COX_ELIMIT, NULL, "more than %d secrets from files", COX_AGENT_FILE_SECRETS_MAX);
	struct item *it = COX_NEW(struct item);
	it->name = cox_str_dup_cstr(name);
	it->path = cox_str_dup_cstr(path);
	it->key_path = key.n ? cox_str_dup_cstr(key) : NULL;
	it->has_crl = f->crl_file && !it->key_path && !cox_str_eq(name, COX_STR("file-root:system"));
	add_item(f, it);
	return COX_OK;
}

void cox_agent_file_secrets_remove(struct cox_agent_file_secrets *f, struct cox_str name)
{
	size_t i = find(f, name);
	if (i == f->items.n)
		return;
	struct item *it = f->items.p[i];
	cox_vec_remove(&f->items, i);
	if (it->is_busy)
		it->is_gone = true;
	else
		item_free(it);
	if (f->items.n == 0)
		cox_timer_stop(f->timer);
}

void cox_agent_file_secrets_open(struct cox_loop *loop, struct cox_work_pool *pool, const char *crl_file,
                                 void (*on_secret)(void *ctx, struct cox_str name, struct cox_str secret), void *ctx,
                                 struct cox_agent_file_secrets **out)
{
	struct cox_agent_file_secrets *f = COX_NEW(struct cox_agent_file_secrets);
	f->loop = loop;
	f->pool = pool;
	f->crl_file = crl_file;
	f->on_secret = on_secret;
	f->ctx = ctx;
	f->timer = cox_timer_new(loop, on_timer, f);
	*out = f;
	if (!crl_file)
		return;
	struct item *it = COX_NEW(struct item);
	it->name = cox_str_dup_cstr(cox_agent_file_crl_name);
	it->path = cox_str_dup_cstr(cox_str_of(crl_file));
	it->is_crl = true;
	add_item(f, it);
}

void cox_agent_file_secrets_close(struct cox_agent_file_secrets **fp, void (*closed)(void *ctx), void *ctx)
{
	struct cox_agent_file_secrets *f = COX_MOVE(*fp);
	if (!f) {
		if (closed)
			closed(ctx);
		return;
	}
	f->is_closing = true;
	f->closed = closed;
	f->closed_ctx = ctx;
	cox_timer_free(&f->timer);
	if (f->busy == 0)
		finish_close(f);
}
