/* The authority with its real processes: signing, refusals, revocation, rotation of a root of our own, its stores, and the end of a
 * process. covers: c1 c2 c20 c21 c22 c30 c31 c39 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "authority_fixture.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static int64_t now_s(void) { return cox_clock_wall_ms() / 1000; }

static void test_sign(void **state)
{
	struct fixture f;
	(void)state;
	init(&f);
	open_ca(&f);
	/* Asked before there is a bundle: answered, in any case. */
	enum cox_rc early = sign(&f);
	assert_true(early == COX_OK || early == COX_EAGAIN);
	wait_for(&f, has_bundle);
	assert_int_equal(f.bundle->root_n, 1);
	assert_int_equal(f.bundle->phase, COX_CA_STEADY);
	assert_int_equal(f.bundle->chain_pem.n, 0);
	assert_int_equal(f.bundle->crl_pem.n, 0);
	assert_true(f.bundle->root_not_after_s > now_s() + 3649 * 86400LL);
	assert_int_equal(sign(&f), COX_OK);
	assert_int_equal(f.info.uri_n, 1);
	assert_true(cox_str_eq(f.info.uris[0], COX_STR("spiffe://cluster.local/ns/default/sa/reviews")));
	assert_int_equal(f.info.dns_n, 0);
	assert_int_equal(f.info.subject.n, 0);
	assert_in_range(f.info.not_before_s, now_s() - 125, now_s() - 119);
	assert_in_range(f.info.not_after_s, now_s() + 86400 - 5, now_s() + 86400);
	assert_int_equal(verify_under(&f, f.bundle), COX_OK);
	assert_int_equal(sign_full(&f, "spiffe://cluster.local/ns/default/sa/reviews", NULL, 3600), COX_OK);
	assert_in_range(f.info.not_after_s, now_s() + 3600 - 5, now_s() + 3600);
	assert_int_equal(sign_full(&f, NULL, "istiod.istio-system.svc", 0), COX_OK);
	assert_true(cox_str_eq(f.info.dns[0], COX_STR("istiod.istio-system.svc")));
	fini(&f);
}

static void test_refused(void **state)
{
	static const struct {
		const char *uri, *dns;
		int64_t ttl_s;
		enum cox_rc rc;
		const char *text;
	} cases[] = {
		{ NULL, NULL, 0, COX_EINVAL, "without an identity" },
		{ "spiffe://other/ns/a/sa/b", NULL, 0, COX_EDENIED, "not in the trust domain" },
		{ "spiffe://cluster.local/ns/a", NULL, 0, COX_EINVAL, "is not spiffe://" },
		{ "https://cluster.local/", NULL, 0, COX_EINVAL, "no SPIFFE ID" },
		{ "spiffe://cluster.local/ns/a/sa/b", NULL, 90 * 86400 + 1, COX_EINVAL, "more than the maximum" },
		{ NULL, "kubernetes.default.svc", 0, COX_EDENIED, "no name of the control plane" },
		{ NULL, "istiod.default.svc", 0, COX_EDENIED, "no name of the control plane" },
		{ NULL, "*.istio-system.svc", 0, COX_EDENIED, "no name of the control plane" },
		{ "spiffe://cluster.local/ns/a/sa/b", "example.com", 0, COX_EDENIED, "no name of the control plane" },
	};
	struct fixture f;
	(void)state;
	init(&f);
	open_ca(&f);
	wait_for(&f, has_bundle);
	for (size_t i = 0; i < COX_LEN(cases); i++) {
		assert_int_equal(sign_full(&f, cases[i].uri, cases[i].dns, cases[i].ttl_s), cases[i].rc);
		if (!strstr(f.text, cases[i].text))
			fail_msg("case %zu: %s", i, f.text);
	}
	cox_buf_clear(&f.spki);
	cox_buf_append_cstr(&f.spki, "no key");
	assert_int_equal(sign(&f), COX_EINVAL);
	assert_non_null(strstr(f.text, "public key: it cannot be read"));
	fini(&f);
}

static unsigned answers, limited;
static void on_many(void *ctx, enum cox_rc rc, const struct cox_ca_answer *a, const struct cox_err *err)
{
	(void)ctx, (void)a, (void)err;
	answers++;
	limited += rc == COX_ELIMIT;
}
static bool has_all(struct fixture *f)
{
	(void)f;
	return answers == 300;
}
static void test_rate(void **state)
{
	struct fixture f;
	struct cox_str uri = COX_STR("spiffe://cluster.local/ns/default/sa/reviews");
	(void)state;
	init(&f);
	f.spec.signatures_per_s = 100;
	open_ca(&f);
	wait_for(&f, has_bundle);
	answers = limited = 0;
	for (int i = 0; i < 300; i++)
		cox_ca_sign(f.ca, f.loop, &(struct cox_ca_request){ .spki_der = cox_buf_str(&f.spki), .uris = &uri, .uri_n = 1 }, on_many,
		            NULL);
	wait_for(&f, has_all);
	/* A second's worth at once; a slow machine signs some more meanwhile. */
	assert_in_range(limited, 1, 200);
	fini(&f);
}

static void test_close_while_asked(void **state)
{
	struct fixture f;
	struct cox_str uri = COX_STR("spiffe://cluster.local/ns/default/sa/reviews");
	(void)state;
	init(&f);
	open_ca(&f);
	answers = limited = 0;
	for (int i = 0; i < 300; i++)
		cox_ca_sign(f.ca, f.loop, &(struct cox_ca_request){ .spki_der = cox_buf_str(&f.spki), .uris = &uri, .uri_n = 1 }, on_many,
		            NULL);
	cox_ca_close(&f.ca);
	wait_for(&f, has_all); /* every one of them is told */
	cox_loop_free(&f.loop);
	fini(&f);
}

static void test_revoked(void **state)
{
	struct fixture f;
	struct cox_ca_revoked revoked[2] = { { .revoked_s = 1700000000 }, { .serial = "no hex", .revoked_s = 1 } };
	struct cox_err err;
	(void)state;
	init(&f);
	open_ca(&f);
	wait_for(&f, has_bundle);
	assert_int_equal(sign(&f), COX_OK);
	memcpy(revoked[0].serial, f.info.serial, sizeof(revoked[0].serial));
	uint64_t generation = f.bundle->generation;
	cox_ca_set_revoked(f.ca, revoked, 2);
	wait_for(&f, has_crl);
	assert_true(f.bundle->generation > generation);
	assert_int_equal(cox_crl_check_(f.bundle->crl_pem, &err), COX_OK);
	/* During a rotation both issuers have one. */
	assert_int_equal(cox_ca_rotate_root(f.ca, &err), COX_OK);
	wait_phase(&f, COX_CA_DISTRIBUTE);
	struct cox_str rest = f.bundle->crl_pem;
	unsigned crls = 0;
	ptrdiff_t at;
	while ((at = cox_str_search(rest, COX_STR("BEGIN X509 CRL"))) >= 0) {
		crls++;
		rest = cox_str_sub(rest, (size_t)at + 1, rest.n);
	}
	assert_int_equal(crls, 2);
	cox_ca_set_revoked(f.ca, NULL, 0);
	wait_for(&f, has_no_crl);
	fini(&f);
}

static void test_rotate(void **state)
{
	struct fixture f;
	struct cox_err err;
	(void)state;
	init(&f);
	open_ca(&f);
	wait_for(&f, has_bundle);
	const struct cox_ca_bundle *before = cox_ca_bundle_ref(f.bundle);
	assert_int_equal(cox_ca_rotate_root(f.ca, &err), COX_OK);
	wait_phase(&f, COX_CA_DISTRIBUTE);
	assert_int_equal(f.bundle->root_n, 2);
	assert_int_equal(cox_ca_rotate_root(f.ca, &err), COX_EAGAIN);
	assert_int_equal(sign(&f), COX_OK);
	assert_int_equal(verify_under(&f, before), COX_OK); /* the old one signs: who has not heard of the new one takes it */

	cox_ca_phase_done(f.ca, f.bundle->generation - 1); /* of an older bundle: nothing */
	cox_ca_phase_done(f.ca, f.bundle->generation);
	wait_phase(&f, COX_CA_SIGN);
	const struct cox_ca_bundle *both = cox_ca_bundle_ref(f.bundle);
	assert_int_equal(both->root_n, 2);
	struct cox_buf old = { 0 };
	cox_buf_append(&old, f.chain.p, f.chain.n);
	assert_int_equal(sign(&f), COX_OK);
	assert_int_equal(verify_under(&f, before), COX_EAUTH); /* the new one signs */
	assert_int_equal(verify_under(&f, both), COX_OK);

	cox_ca_phase_done(f.ca, f.bundle->generation);
	wait_phase(&f, COX_CA_RETIRE);
	assert_int_equal(f.bundle->root_n, 1);
	assert_int_equal(verify_under(&f, f.bundle), COX_OK);
	cox_ca_phase_done(f.ca, f.bundle->generation);
	wait_phase(&f, COX_CA_STEADY);
	assert_int_equal(sign(&f), COX_OK);
	assert_int_equal(verify_under(&f, f.bundle), COX_OK);
	struct cox_buf roots = { 0 };
	roots_of(f.bundle, &roots);
	assert_int_equal(cox_cert_verify(cox_buf_str(&old), cox_buf_str(&roots), now_s(), NULL), COX_EAUTH);
	cox_buf_fini(&roots);
	cox_buf_fini(&old);
	cox_ca_bundle_unref(before);
	cox_ca_bundle_unref(both);
	fini(&f);
}

static void test_dir_store(void **state)
{
	struct fixture f;
	struct cox_buf root = { 0 };
	struct cox_err err;
	struct stat st;
	char path[256];
	(void)state;
	init(&f);
	f.spec.store = COX_CA_STORE_DIR;
	f.spec.state_dir = f.dir;
	open_ca(&f);
	wait_for(&f, has_bundle);
	roots_of(f.bundle, &root);
	snprintf(path, sizeof(path), "%s/istio-ca-secret/ca-key.pem", f.dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	close_ca(&f);
	/* The same root after a restart. */
	open_ca(&f);
	wait_for(&f, has_bundle);
	assert_true(cox_str_eq(f.bundle->roots_pem[0], cox_buf_str(&root)));
	/* And in the middle of a rotation, in each of its phases. */
	assert_int_equal(cox_ca_rotate_root(f.ca, &err), COX_OK);
	static const enum cox_ca_phase phases[] = { COX_CA_DISTRIBUTE, COX_CA_SIGN, COX_CA_RETIRE, COX_CA_STEADY };
	for (size_t i = 0; i < COX_LEN(phases); i++) {
		wait_phase(&f, phases[i]);
		size_t n = f.bundle->root_n;
		assert_int_equal(n, i < 2 ? 2 : 1);
		struct cox_buf key_id = { 0 };
		cox_buf_append_str(&key_id, f.bundle->issuer_key_id);
		close_ca(&f);
		open_ca(&f);
		wait_for(&f, has_bundle);
		assert_int_equal(f.bundle->phase, phases[i]);
		assert_int_equal(f.bundle->root_n, n);
		assert_true(cox_str_eq(f.bundle->issuer_key_id, cox_buf_str(&key_id)));
		cox_buf_fini(&key_id);
		cox_ca_phase_done(f.ca, f.bundle->generation);
	}
	assert_false(cox_str_eq(f.bundle->roots_pem[0], cox_buf_str(&root)));
	/* A STEADY secret is istiod's: nothing of ours in it. */
	snprintf(path, sizeof(path), "%s/istio-ca-secret/coxswain-rotation", f.dir);
	assert_int_not_equal(stat(path, &st), 0);
	close_ca(&f);

	/* What cannot be read is never replaced by another root. */
	snprintf(path, sizeof(path), "%s/istio-ca-secret", f.dir);
	write_text(path, "ca-cert.pem", cox_buf_str(&root));
	open_ca(&f);
	wait_for(&f, has_fault);
	assert_non_null(strstr(f.fault, "not the key"));
	assert_null(f.bundle);
	assert_int_equal(sign(&f), COX_EAGAIN);
	cox_buf_fini(&root);
	fini(&f);
}

static bool is_renewed(struct fixture *f) { return f->bundle->root_not_after_s > now_s() + 7000; }
static void test_renewal(void **state)
{
	struct fixture f;
	struct cox_buf old = { 0 };
	(void)state;
	init(&f);
	f.spec.store = COX_CA_STORE_DIR;
	f.spec.state_dir = f.dir;
	f.spec.root_ttl_s = 3600;
	open_ca(&f);
	wait_for(&f, has_bundle);
	assert_int_equal(sign(&f), COX_OK);
	assert_true(f.info.not_after_s <= f.bundle->issuer_not_after_s); /* a day was asked for, the root has an hour */
	roots_of(f.bundle, &old);
	struct cox_buf key_id = { 0 };
	cox_buf_append_str(&key_id, f.bundle->issuer_key_id);
	close_ca(&f);
	/* Less than 1.5 of its life are left, so to speak: renewed with the same key, and what it signed holds. */
	f.spec.root_grace = 1.5;
	f.spec.root_ttl_s = 7200;
	open_ca(&f);
	wait_for(&f, has_bundle);
	wait_for(&f, is_renewed);
	assert_true(cox_str_eq(f.bundle->issuer_key_id, cox_buf_str(&key_id)));
	assert_int_equal(verify_under(&f, f.bundle), COX_OK);
	assert_int_equal(sign(&f), COX_OK);
	assert_int_equal(cox_cert_verify(cox_buf_str(&f.chain), cox_buf_str(&old), now_s(), NULL), COX_OK);
	cox_buf_fini(&key_id);
	cox_buf_fini(&old);
	fini(&f);
}

/* The child with this name. */
static pid_t child_named(const char *name)
{
	char path[300], comm[64], parent[4096];
	DIR *d = opendir("/proc");
	struct dirent *e;
	pid_t found = 0;
	while ((e = readdir(d)) && !found) {
		int64_t pid;
		if (cox_str_to_i64(cox_str_of(e->d_name), &pid) != COX_OK)
			continue;
		snprintf(path, sizeof(path), "/proc/%s/stat", e->d_name);
		int fd = open(path, O_RDONLY);
		ssize_t n = fd >= 0 ? read(fd, parent, sizeof(parent) - 1) : -1;
		int ppid = 0;
		if (fd >= 0)
			close(fd);
		if (n <= 0)
			continue;
		parent[n] = 0;
		char *end = strrchr(parent, ')'), *start = strchr(parent, '(');
		snprintf(comm, sizeof(comm), "%.*s", (int)(end - start - 1), start + 1);
		sscanf(end, ") %*c %d", &ppid);
		if (ppid == (int)getpid() && !strcmp(comm, name))
			found = (pid_t)pid;
	}
	closedir(d);
	return found;
}

static void check_lost(const char *name, const char *text)
{
	struct fixture f;
	init(&f);
	open_ca(&f);
	wait_for(&f, has_bundle);
	pid_t pid = child_named(name), keeper = child_named("cox-ca-keeper"), signer = child_named("cox-ca-signer");
	assert_true(pid > 0 && keeper > 0 && signer > 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	wait_for(&f, has_lost);
	assert_string_equal(f.lost, text);
	/* A request meanwhile is answered, and the other process ends as well. */
	f.is_done = false;
	close_ca(&f);
	assert_int_equal(kill(keeper, 0), -1);
	assert_int_equal(kill(signer, 0), -1);
	fini(&f);
}
static void test_lost(void **state)
{
	(void)state;
	check_lost("cox-ca-signer", "CA signer: ended by signal 9");
	check_lost("cox-ca-keeper", "CA key keeper: ended by signal 9");
}

static void test_hardened(void **state)
{
	static const char *const names[] = { "cox-ca-keeper", "cox-ca-signer" };
	struct fixture f;
	char path[64], text[8192];
	(void)state;
	init(&f);
	open_ca(&f);
	wait_for(&f, has_bundle);
	for (size_t i = 0; i < COX_LEN(names); i++) {
		snprintf(path, sizeof(path), "/proc/%d/status", (int)child_named(names[i]));
		int fd = open(path, O_RDONLY);
		ssize_t n = read(fd, text, sizeof(text) - 1);
		assert_true(n > 0);
		text[n] = 0;
		close(fd);
		assert_non_null(strstr(text, "NoNewPrivs:\t1"));
		assert_non_null(strstr(text, i ? "Seccomp:\t2" : "Seccomp:\t0"));
		/* Not dumpable: its files in /proc are not ours. */
		struct stat st;
		snprintf(path, sizeof(path), "/proc/%d/mem", (int)child_named(names[i]));
		assert_int_equal(stat(path, &st), 0);
		if (getuid() != 0)
			assert_int_not_equal(st.st_uid, getuid());
	}
	fini(&f);
}

/* --- the main process' memory ------------------------------------------------------------------------ */

enum { NEEDLES_MAX = 64 };
struct needles {
	struct cox_str items[NEEDLES_MAX];
	size_t n;
	struct cox_arena arena;
};

/* What is in a memory only where a P-256 key is: its number, in both orders of bytes, and the middle of its PEM. */
static void add_key(struct needles *k, struct cox_str pem)
{
	BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	BIGNUM *d = NULL;
	unsigned char number[2][32];
	assert_non_null(key);
	assert_int_equal(EVP_PKEY_get_bn_param(key, "priv", &d), 1);
	assert_int_equal(BN_bn2binpad(d, number[0], 32), 32);
	for (size_t i = 0; i < 32; i++)
		number[1][31 - i] = number[0][i];
	assert_true(k->n + 3 <= NEEDLES_MAX);
	k->items[k->n++] = cox_arena_str(&k->arena, cox_str_make(number[0], 32));
	k->items[k->n++] = cox_arena_str(&k->arena, cox_str_make(number[1], 32));
	/* Behind the head that all PKCS#8 keys share (36 bytes are 48 letters), before the public key. */
	k->items[k->n++] = cox_arena_str(&k->arena, cox_str_sub(pem, strlen("-----BEGIN PRIVATE KEY-----\n") + 50, 14));
	BN_clear_free(d);
	EVP_PKEY_free(key);
	BIO_free(bio);
}

static void add_keys_of(struct needles *k, const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char path[700];
	while (d && (e = readdir(d))) {
		size_t n = strlen(e->d_name);
		if (n < 7 || strcmp(e->d_name + n - 7, "key.pem") != 0)
			continue;
		snprintf(path, sizeof(path), "%.400s/%s", dir, e->d_name);
		char text[4096];
		int fd = open(path, O_RDONLY);
		ssize_t got = read(fd, text, sizeof(text));
		close(fd);
		if (got > 0) /* istiod's key.pem is empty */
			add_key(k, cox_str_make(text, (size_t)got));
	}
	if (d)
		closedir(d);
}

/* How many of the needles another process has. */
static int count_in(pid_t pid, const struct needles *k)
{
	char path[64], line[512];
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	FILE *maps = fopen(path, "r");
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	int mem = open(path, O_RDONLY), found = 0;
	bool seen[NEEDLES_MAX] = { false };
	static char block[(1 << 20) + 64];
	if (!maps || mem < 0)
		return -1;
	while (fgets(line, sizeof(line), maps)) {
		unsigned long start, end;
		char mode[8];
		if (sscanf(line, "%lx-%lx %7s", &start, &end, mode) != 3 || mode[0] != 'r' || strstr(line, "[v"))
			continue;
		if (end - start > 1ul << 30)
			continue; /* a sanitizer's shadow: terabytes of nothing */
		for (unsigned long at = start; at < end; at += 1 << 20) {
			ssize_t n = pread(mem, block, end - at < sizeof(block) ? end - at : sizeof(block), (off_t)at);
			for (size_t i = 0; n > 0 && i < k->n; i++)
				seen[i] |= memmem(block, (size_t)n, k->items[i].p, k->items[i].n) != NULL;
		}
	}
	for (size_t i = 0; i < k->n; i++)
		found += seen[i];
	fclose(maps);
	close(mem);
	return found;
}

/* Asks a process of its own, so that the keys never come into this one: -1: cannot look, else what it found. */
static int search_here(const char *dir, const struct cox_buf *own_key)
{
	pid_t main_pid = getpid(), pid;
	int status = 0;
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	pid = fork();
	if (pid == 0) {
		struct needles k = { .n = 0 };
		char path[200];
		if (own_key)
			add_key(&k, cox_buf_str(own_key));
		snprintf(path, sizeof(path), "%s/istio-ca-secret", dir);
		if (dir)
			add_keys_of(&k, path);
		int found = k.n ? count_in(main_pid, &k) : -2;
		_exit(found < 0 ? 200 - found : found);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Through every phase of a rotation, signing, revocation, and restarts. */
static void test_memory(void **state)
{
	struct fixture f;
	struct cox_err err;
	struct cox_ca_revoked revoked = { .revoked_s = 1 };
	static const enum cox_ca_phase phases[] = { COX_CA_STEADY, COX_CA_DISTRIBUTE, COX_CA_SIGN, COX_CA_RETIRE, COX_CA_STEADY };
	(void)state;
	init(&f);
	f.spec.store = COX_CA_STORE_DIR;
	f.spec.state_dir = f.dir;
	open_ca(&f);
	wait_for(&f, has_bundle);
	/* The search finds a key that this process does have. */
	assert_in_range(search_here(NULL, &f.key), 1, 3);
	for (size_t i = 0; i < COX_LEN(phases); i++) {
		if (i == 1)
			assert_int_equal(cox_ca_rotate_root(f.ca, &err), COX_OK);
		else if (i > 1)
			cox_ca_phase_done(f.ca, f.bundle->generation);
		wait_phase(&f, phases[i]);
		assert_int_equal(sign(&f), COX_OK);
		memcpy(revoked.serial, f.info.serial, sizeof(revoked.serial));
		cox_ca_set_revoked(f.ca, &revoked, 1);
		wait_for(&f, has_crl);
		assert_int_equal(search_here(f.dir, NULL), 0);
		close_ca(&f);
		assert_int_equal(search_here(f.dir, NULL), 0);
		open_ca(&f);
		wait_for(&f, has_bundle);
		assert_int_equal(search_here(f.dir, NULL), 0);
	}
	fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_sign),      cmocka_unit_test(test_refused),
		                            cmocka_unit_test(test_rate),      cmocka_unit_test(test_close_while_asked),
		                            cmocka_unit_test(test_revoked),   cmocka_unit_test(test_rotate),
		                            cmocka_unit_test(test_dir_store), cmocka_unit_test(test_renewal),
		                            cmocka_unit_test(test_lost),      cmocka_unit_test(test_hardened),
		                            cmocka_unit_test(test_memory) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
