/* A real authority with its two processes, and what it said last. Included after cmocka.h. */
#include "ca/authority.h"
#include "ca/issue.h"

#include "base/clock.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WAIT_MS = 20000 };

struct fixture {
	struct cox_ca_spec spec;
	struct cox_loop *loop;
	struct cox_ca *ca;
	const struct cox_ca_bundle *bundle; /* the last one */
	unsigned bundles, faults;
	char fault[384], lost[128];
	/* The last signature. */
	bool is_done;
	enum cox_rc rc;
	char text[384];
	struct cox_buf cert, chain; /* chain: leaf and intermediates */
	struct cox_arena arena;
	struct cox_cert_info info;
	struct cox_buf spki, key;
	char dir[64];
	/* What wait_for() waits for. */
	bool (*wanted)(struct fixture *f);
	enum cox_ca_phase phase;
};

static inline struct cox_ca_spec default_spec(void)
{
	return (struct cox_ca_spec){ .trust_domain = COX_STR("cluster.local"),
		                     .ns = COX_STR("istio-system"),
		                     .key_type = COX_KEY_P256,
		                     .root_ttl_s = 3650 * 86400LL,
		                     .default_ttl_s = 86400,
		                     .max_ttl_s = 90 * 86400,
		                     .backdate_s = 120,
		                     .root_grace = 0.2 };
}
static inline void on_bundle(void *ctx, const struct cox_ca_bundle *b)
{
	struct fixture *f = ctx;
	cox_ca_bundle_unref(f->bundle);
	f->bundle = cox_ca_bundle_ref(b);
	f->bundles++;
}
static inline void on_fault(void *ctx, const struct cox_err *err)
{
	struct fixture *f = ctx;
	snprintf(f->fault, sizeof(f->fault), "%s", err->text);
	f->faults++;
}
static inline void on_lost(void *ctx, const char *which)
{
	snprintf(((struct fixture *)ctx)->lost, sizeof(((struct fixture *)ctx)->lost), "%s", which);
}

static inline bool call_wanted(void *arg) { return ((struct fixture *)arg)->wanted((struct fixture *)arg); }
static inline void wait_for(struct fixture *f, bool (*wanted)(struct fixture *f))
{
	f->wanted = wanted;
	if (!cox_loop_run_until(f->loop, call_wanted, f, WAIT_MS))
		fail_msg("did not happen: fault \"%s\", lost \"%s\", phase %s", f->fault, f->lost,
		         f->bundle ? cox_ca_phase_name(f->bundle->phase) : "-");
}
static inline bool has_bundle(struct fixture *f) { return f->bundle != NULL; }
static inline bool has_fault(struct fixture *f) { return f->fault[0] != 0; }
static inline bool has_lost(struct fixture *f) { return f->lost[0] != 0; }
static inline bool has_answer(struct fixture *f) { return f->is_done; }
static inline bool has_phase(struct fixture *f) { return f->bundle && f->bundle->phase == f->phase; }
static inline bool has_crl(struct fixture *f) { return f->bundle && f->bundle->crl_pem.n; }
static inline bool has_no_crl(struct fixture *f) { return f->bundle && !f->bundle->crl_pem.n; }
static inline void wait_phase(struct fixture *f, enum cox_ca_phase phase)
{
	f->phase = phase;
	wait_for(f, has_phase);
}

/* Opens with f->spec. */
static inline void open_ca(struct fixture *f)
{
	struct cox_ca_processes *p;
	struct cox_err err = { 0 };
	struct cox_ca_cb cb = { on_bundle, on_fault, on_lost, f };
	if (cox_ca_fork(&f->spec, &p, &err) != COX_OK)
		fail_msg("%s", err.text);
	f->loop = cox_loop_new("test");
	assert_int_equal(cox_ca_open(f->loop, &p, &cb, &f->ca, &err), COX_OK);
	assert_null(p);
}
static inline void close_ca(struct fixture *f)
{
	cox_ca_close(&f->ca);
	cox_loop_free(&f->loop);
	cox_ca_bundle_unref(f->bundle);
	f->bundle = NULL;
	f->bundles = f->faults = 0;
	f->fault[0] = f->lost[0] = 0;
}
static inline void init(struct fixture *f)
{
	struct cox_buf csr = { 0 };
	*f = (struct fixture){ .spec = default_spec() };
	assert_int_equal(cox_key_make(COX_KEY_P256, false, &f->key, NULL), COX_OK);
	assert_int_equal(cox_csr_make(cox_buf_str(&f->key), COX_STR("spiffe://evil/ns/a/sa/b"), &csr, NULL), COX_OK);
	assert_int_equal(cox_csr_check(cox_buf_str(&csr), &f->spki, NULL), COX_OK);
	cox_buf_fini(&csr);
	snprintf(f->dir, sizeof(f->dir), "/tmp/cox-ca-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
}
static inline void remove_tree(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	char sub[1024];
	while (d && (e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		snprintf(sub, sizeof(sub), "%.500s/%s", path, e->d_name);
		if (unlink(sub) != 0)
			remove_tree(sub);
	}
	if (d)
		closedir(d);
	rmdir(path);
}
static inline void fini(struct fixture *f)
{
	if (f->ca)
		close_ca(f);
	cox_buf_fini(&f->cert);
	cox_buf_fini(&f->chain);
	cox_buf_fini(&f->spki);
	cox_buf_fini(&f->key);
	cox_arena_fini(&f->arena);
	remove_tree(f->dir);
}

static inline void on_signed(void *ctx, enum cox_rc rc, const struct cox_ca_answer *a, const struct cox_err *err)
{
	struct fixture *f = ctx;
	f->is_done = true;
	f->rc = rc;
	snprintf(f->text, sizeof(f->text), "%s", err ? err->text : "");
	cox_buf_clear(&f->cert);
	cox_buf_clear(&f->chain);
	cox_arena_reset(&f->arena);
	if (!a)
		return;
	cox_buf_append_str(&f->cert, a->cert_pem);
	cox_buf_append_str(&f->chain, a->cert_pem);
	cox_buf_append_str(&f->chain, a->bundle->chain_pem);
	assert_int_equal(cox_cert_read_pem(cox_buf_str(&f->cert), &f->arena, &f->info, NULL), COX_OK);
	assert_string_equal(a->info.serial, f->info.serial);
	/* Signed under the bundle that comes with it. */
	assert_true(cox_str_eq_cstr(a->bundle->issuer_key_id, f->info.issuer_key_id));
}
static inline enum cox_rc sign_full(struct fixture *f, const char *uri, const char *dns, int64_t ttl_s)
{
	struct cox_str uris[1] = { cox_str_of(uri) }, names[1] = { cox_str_of(dns) };
	f->is_done = false;
	cox_ca_sign(f->ca, f->loop,
	            &(struct cox_ca_request){ .spki_der = cox_buf_str(&f->spki),
	                                      .uris = uris,
	                                      .uri_n = uri != NULL,
	                                      .dns = names,
	                                      .dns_n = dns != NULL,
	                                      .ttl_s = ttl_s,
	                                      .caller = COX_STR("test") },
	            on_signed, f);
	assert_false(f->is_done);
	wait_for(f, has_answer);
	return f->rc;
}
static inline enum cox_rc sign(struct fixture *f) { return sign_full(f, "spiffe://cluster.local/ns/default/sa/reviews", NULL, 0); }

static inline void roots_of(const struct cox_ca_bundle *b, struct cox_buf *out)
{
	for (size_t i = 0; i < b->root_n; i++)
		cox_buf_append_str(out, b->roots_pem[i]);
}
/* Does the last leaf hold under this bundle? */
static inline enum cox_rc verify_under(struct fixture *f, const struct cox_ca_bundle *b)
{
	struct cox_buf roots = { 0 };
	struct cox_err err = { 0 };
	roots_of(b, &roots);
	enum cox_rc rc = cox_cert_verify(cox_buf_str(&f->chain), cox_buf_str(&roots), cox_clock_wall_ms() / 1000, &err);
	cox_buf_fini(&roots);
	return rc;
}

static inline void write_text(const char *dir, const char *name, struct cox_str text)
{
	char path[512], temp[520];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	snprintf(temp, sizeof(temp), "%s.new", path);
	int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text.p, text.n), (ssize_t)text.n);
	close(fd);
	assert_int_equal(rename(temp, path), 0);
}

/* A root and an intermediate under it, as certs/ makes them. */
struct plugged {
	struct cox_buf root, root_key, cert, key;
};
static inline void plugged_make(struct plugged *p, const char *name)
{
	struct cox_issuer *root;
	struct cox_ca_cert_spec spec = { .organization = cox_str_of(name),
		                         .now_s = cox_clock_wall_ms() / 1000,
		                         .ttl_s = 86400 * 365,
		                         .backdate_s = 60,
		                         .path_len = -1 };
	*p = (struct plugged){ 0 };
	assert_int_equal(cox_issue_root(COX_KEY_P256, &spec, &p->root, &p->root_key, NULL), COX_OK);
	assert_int_equal(cox_issuer_new(cox_buf_str(&p->root), cox_buf_str(&p->root_key), &root, NULL), COX_OK);
	spec.path_len = 0;
	assert_int_equal(cox_issue_intermediate(root, COX_KEY_P256, &spec, &p->cert, &p->key, NULL), COX_OK);
	cox_issuer_free(&root);
}
static inline void plugged_fini(struct plugged *p)
{
	cox_buf_fini(&p->root);
	cox_buf_fini(&p->root_key);
	cox_buf_fini(&p->cert);
	cox_buf_fini(&p->key);
}
/* `more_roots`: behind the own one; may be empty. */
static inline void plugged_write(const struct plugged *p, const char *dir, struct cox_str more_roots)
{
	struct cox_buf chain = { 0 }, roots = { 0 };
	mkdir(dir, 0700);
	cox_buf_append(&chain, p->cert.p, p->cert.n);
	cox_buf_append(&chain, p->root.p, p->root.n);
	cox_buf_append(&roots, p->root.p, p->root.n);
	cox_buf_append_str(&roots, more_roots);
	write_text(dir, "root-cert.pem", cox_buf_str(&roots));
	write_text(dir, "cert-chain.pem", cox_buf_str(&chain));
	write_text(dir, "ca-cert.pem", cox_buf_str(&p->cert));
	write_text(dir, "ca-key.pem", cox_buf_str(&p->key));
	cox_buf_fini(&chain);
	cox_buf_fini(&roots);
}
