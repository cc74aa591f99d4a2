/*
 * signer - the process that signs: holds the keys that the keeper gives it, no network, no files, few system calls.
 * It believes nobody: the trust domain, names, lifetime and rate are checked here, and each signature is logged here.
 */
#include "ca/issue.h"
#include "ca/process_priv.h"
#include "ca/spiffe.h"
#include "ca/wire.h"

#include "base/clock.h"
#include "base/log.h"

#include <openssl/crypto.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

enum {
	RATE_DEFAULT = 2000, /* a core signs some ten thousand: one caller must not have them all */
	ISSUERS_MAX = 16,
	NAMES_MAX = 64,          /* of one certificate: a gateway of many clusters has a dozen */
	REFUSALS_LOGGED = 50,    /* a second; a storm of requests must not become one of log lines */
	CRL_AGAIN_S = 24 * 3600, /* a CRL is signed anew that often, and lives much longer: nobody fails by an old one */
	CRL_LIFE_S = 90 * 24 * 3600,
	RETRY_MS = 60 * 1000,
};

struct signer {
	const struct cox_ca_spec *spec;
	struct cox_wire_chan main, keeper;
	struct cox_issuer *issuers[ISSUERS_MAX], *current;
	size_t issuer_n;
	struct cox_wire keys; /* the public part of the last KEYS; text in `keys_arena` */
	struct cox_arena keys_arena;
	struct cox_ca_revoked *revoked;
	size_t revoked_n;
	int64_t crl_again_ms; /* monotonic; 0: there is none */
	double tokens;
	int64_t tokens_at_ns;
	int64_t refused_until_ms; /* of the second whose refusals are counted */
	unsigned refused_n;
};

static int64_t now_s(void) { return cox_clock_wall_ms() / 1000; }

static void send_main(struct signer *s, const struct cox_wire *m)
{
	if (cox_wire_encode(m, &s->main.out) != COX_OK)
		cox_log(COX_LOG_ERROR, "ca", "signer: a message is too long type=%d", (int)m->type);
}

static void send_fault(struct signer *s, const struct cox_err *err)
{
	send_main(s, &(struct cox_wire){ .type = COX_WIRE_FAULT, .rc = (uint32_t)err->rc, .text = cox_str_of(err->text) });
}

/* --- bundle ------------------------------------------------------------------------------------------- */

static void make_crls(struct signer *s, struct cox_buf *out)
{
	struct cox_err err;
	/* Wall time in milliseconds grows over restarts and replicas alike. */
	uint64_t number = (uint64_t)cox_clock_wall_ms();
	s->crl_again_ms = 0;
	cox_buf_append_str(out, s->keys.crl_pem);
	for (size_t i = 0; s->revoked_n && i < s->issuer_n; i++)
		if (cox_issue_crl(s->issuers[i], s->revoked, s->revoked_n, number, now_s(), now_s() + CRL_LIFE_S, out, &err) != COX_OK)
			send_fault(s, &err);
	if (s->revoked_n)
		s->crl_again_ms = cox_clock_mono_ms() + CRL_AGAIN_S * INT64_C(1000);
}

static void send_bundle(struct signer *s)
{
	struct cox_buf crl = { 0 };
	struct cox_wire m = s->keys;
	const struct cox_cert_info *info = cox_issuer_info(s->current);
	make_crls(s, &crl);
	m.type = COX_WIRE_BUNDLE;
	m.issuers = NULL;
	m.issuer_n = 0;
	m.crl_pem = cox_buf_str(&crl);
	m.key_id = cox_str_of(info->key_id);
	m.issuer_not_after_s = info->not_after_s;
	send_main(s, &m);
	cox_buf_fini(&crl);
}

/* --- what the keeper says ------------------------------------------------------------------------------- */

static void drop_issuers(struct signer *s)
{
	for (size_t i = 0; i < s->issuer_n; i++)
		cox_issuer_free(&s->issuers[i]);
	s->issuer_n = 0;
	s->current = NULL;
}

static void copy_public(struct signer *s, const struct cox_wire *m)
{
	struct cox_arena *a = &s->keys_arena;
	cox_arena_reset(a);
	s->keys = (struct cox_wire){ .id = m->id,
		                     .phase = m->phase,
		                     .is_plugged_in = m->is_plugged_in,
		                     .root_not_after_s = m->root_not_after_s,
		                     .text = cox_arena_str(a, m->text),
		                     .chain_pem = cox_arena_str(a, m->chain_pem),
		                     .crl_pem = cox_arena_str(a, m->crl_pem) };
	s->keys.roots = COX_ARENA_ARRAY(a, struct cox_str, m->root_n + 1);
	for (; s->keys.root_n < m->root_n; s->keys.root_n++)
		s->keys.roots[s->keys.root_n] = cox_arena_str(a, m->roots[s->keys.root_n]);
}

static void on_keys(struct signer *s, const struct cox_wire *m)
{
	struct cox_issuer *made[ISSUERS_MAX], *current = NULL;
	struct cox_err err;
	size_t n = 0;
	for (size_t i = 0; i < m->issuer_n && n < ISSUERS_MAX; i++) {
		if (cox_issuer_new(m->issuers[i].cert_pem, m->issuers[i].key_pem, &made[n], &err) != COX_OK) {
			send_fault(s, &err);
			continue;
		}
		if (m->issuers[i].signs)
			current = made[n];
		n++;
	}
	if (!current) {
		/* The keeper checked them: this does not happen. What was good stays. */
		while (n)
			cox_issuer_free(&made[--n]);
		return;
	}
	drop_issuers(s);
	memcpy(s->issuers, made, n * sizeof(made[0]));
	s->issuer_n = n;
	s->current = current;
	copy_public(s, m);
	send_bundle(s);
}

/* --- what the main process says --------------------------------------------------------------------------- */

static void on_revoked(struct signer *s, const struct cox_wire *m)
{
	cox_free(s->revoked);
	s->revoked = m->revoked_n ? cox_calloc(m->revoked_n, sizeof(*s->revoked)) : NULL;
	s->revoked_n = m->revoked_n;
	for (size_t i = 0; i < m->revoked_n; i++) {
		cox_str_to_cstr(m->revoked[i].serial, s->revoked[i].serial, sizeof(s->revoked[i].serial));
		s->revoked[i].revoked_s = m->revoked[i].at_s;
	}
	if (s->current)
		send_bundle(s);
}

/* One a second is saved for later, up to a second's worth. */
static bool take_token(struct signer *s)
{
	double rate = s->spec->signatures_per_s ? s->spec->signatures_per_s : RATE_DEFAULT;
	int64_t now = cox_clock_mono_ns();
	s->tokens += rate * (double)(now - s->tokens_at_ns) / 1e9;
	s->tokens_at_ns = now;
	if (s->tokens > rate)
		s->tokens = rate;
	if (s->tokens < 1)
		return false;
	s->tokens -= 1;
	return true;
}

/* The control plane's own names: istiod.<ns>.svc and its like, with the cluster's domain or without, and those of the spec. */
static bool is_serving_name(const struct cox_ca_spec *spec, struct cox_str name)
{
	static const struct cox_str services[] = { COX_STR_INIT("istiod"), COX_STR_INIT("istiod-remote"), COX_STR_INIT("istio-pilot"),
		                                   COX_STR_INIT("coxswaind") };
	struct cox_str rest = name, label, ns, svc;
	for (size_t i = 0; i < spec->serving_dns_n; i++)
		if (cox_str_eq(name, spec->serving_dns[i]))
			return true;
	if (!cox_str_next(&rest, '.', &label) || !cox_str_next(&rest, '.', &ns) || !cox_str_next(&rest, '.', &svc))
		return false;
	bool is_ours = cox_str_has_prefix(label, COX_STR("istiod-")); /* of a revision */
	for (size_t i = 0; i < COX_LEN(services); i++)
		is_ours = is_ours || cox_str_eq(label, services[i]);
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] == '*')
			return false;
	return is_ours && cox_str_eq(ns, spec->ns) && cox_str_eq(svc, COX_STR("svc"));
}

static enum cox_rc check_names(const struct signer *s, const struct cox_wire *m, struct cox_err *err)
{
	struct cox_spiffe_id id;
	if (m->uri_n + m->dns_n == 0)
		return cox_err_set(err, COX_EINVAL, NULL, "a certificate without an identity");
	if (m->uri_n + m->dns_n > NAMES_MAX)
		return cox_err_set(err, COX_ELIMIT, NULL, "a certificate with %zu names, more than %d", m->uri_n + m->dns_n, NAMES_MAX);
	for (size_t i = 0; i < m->uri_n; i++) {
		COX_TRY(cox_spiffe_parse(m->uris[i], &id, err));
		if (!cox_str_eq(id.trust_domain, s->keys.text))
			return cox_err_set(err, COX_EDENIED, NULL, "\"%.*s\" is not in the trust domain \"%.*s\"",
			                   COX_FMT(cox_str_sub(m->uris[i], 0, 200)), COX_FMT(s->keys.text));
	}
	for (size_t i = 0; i < m->dns_n; i++)
		if (!is_serving_name(s->spec, m->dns[i]))
			return cox_err_set(err, COX_EDENIED, NULL, "\"%.*s\" is no name of the control plane",
			                   COX_FMT(cox_str_sub(m->dns[i], 0, 200)));
	return COX_OK;
}

static enum cox_rc sign(struct signer *s, const struct cox_wire *m, struct cox_buf *cert, struct cox_leaf_info *info, struct cox_err *err)
{
	const struct cox_ca_spec *spec = s->spec;
	int64_t ttl = m->ttl_s > 0 ? m->ttl_s : spec->default_ttl_s;
	if (!s->current)
		return cox_err_set(err, COX_EAGAIN, NULL, "the CA has no key yet");
	COX_TRY(check_names(s, m, err));
	if (ttl > spec->max_ttl_s)
		return cox_err_set(err, COX_EINVAL, NULL, "a lifetime of %lld s, more than the maximum of %lld s", (long long)ttl,
		                   (long long)spec->max_ttl_s);
	if (!take_token(s))
		return cox_err_set(err, COX_ELIMIT, NULL, "too many certificates are asked for");
	return cox_issue_leaf(s->current,
	                      &(struct cox_leaf_spec){ .spki_der = m->spki_der,
	                                               .uris = m->uris,
	                                               .uri_n = m->uri_n,
	                                               .dns = m->dns,
	                                               .dns_n = m->dns_n,
	                                               .now_s = now_s(),
	                                               .ttl_s = ttl,
	                                               .backdate_s = spec->backdate_s },
	                      cert, info, err);
}

/* What callers say of themselves must not look like another field, or another line, of the log. */
static struct cox_str tame(struct cox_arena *a, struct cox_str text)
{
	struct cox_str s = cox_arena_str(a, cox_str_sub(text, 0, 256));
	char *p = (char *)(uintptr_t)s.p;
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)p[i] < 0x20 || p[i] == '"' || p[i] == 0x7f)
			p[i] = '?';
	return s;
}

/* Is there room for one more line? Says how many had none. */
static bool may_log_refusal(struct signer *s)
{
	int64_t now = cox_clock_mono_ms();
	if (now >= s->refused_until_ms) {
		if (s->refused_n > REFUSALS_LOGGED)
			cox_log(COX_LOG_WARN, "ca", "certificates refused without a line each count=%u", s->refused_n - REFUSALS_LOGGED);
		s->refused_until_ms = now + 1000;
		s->refused_n = 0;
	}
	return ++s->refused_n <= REFUSALS_LOGGED;
}

static void audit(struct signer *s, const struct cox_wire *m, enum cox_rc rc, const struct cox_leaf_info *info, const struct cox_err *err)
{
	struct cox_arena a = { 0 };
	char end[32];
	struct cox_str who = tame(&a, m->uri_n ? m->uris[0] : m->dns_n ? m->dns[0] : COX_STR("")), caller = tame(&a, m->caller);
	if (rc != COX_OK && may_log_refusal(s))
		cox_log(COX_LOG_WARN, "ca", "certificate refused identity=\"%.*s\" caller=\"%.*s\" reason=\"%s\"", COX_FMT(who),
		        COX_FMT(caller), err->text);
	if (rc == COX_OK) {
		cox_clock_format(info->not_after_s * 1000, end);
		cox_log(COX_LOG_INFO, "ca", "certificate issued serial=%s identity=\"%.*s\" names=%zu expiry=%s caller=\"%.*s\" issuer=%s",
		        info->serial, COX_FMT(who), m->uri_n + m->dns_n, end, COX_FMT(caller), cox_issuer_info(s->current)->key_id);
	}
	cox_arena_fini(&a);
}

static void on_sign(struct signer *s, const struct cox_wire *m)
{
	struct cox_buf cert = { 0 };
	struct cox_err err = { 0 };
	struct cox_leaf_info info = { .serial = "" };
	enum cox_rc rc = sign(s, m, &cert, &info, &err);
	audit(s, m, rc, &info, &err);
	send_main(s, &(struct cox_wire){ .type = COX_WIRE_ANSWER,
	                                 .id = m->id,
	                                 .rc = (uint32_t)rc,
	                                 .text = rc == COX_OK ? COX_STR("") : cox_str_of(err.text),
	                                 .cert_pem = rc == COX_OK ? cox_buf_str(&cert) : COX_STR(""),
	                                 .serial = cox_str_of(info.serial),
	                                 .not_before_s = info.not_before_s,
	                                 .not_after_s = info.not_after_s });
	cox_buf_fini(&cert);
}

/* --- the process ---------------------------------------------------------------------------------------------- */

/* Everything that has come on one channel. */
static void serve(struct signer *s, struct cox_wire_chan *c)
{
	enum cox_rc rc = cox_wire_fill(c);
	struct cox_arena arena = { 0 };
	struct cox_wire m;
	struct cox_err err = { 0 };
	if (rc == COX_EIO)
		_exit(0); /* the other end is gone: so are we */
	while ((rc = cox_wire_next(c, &arena, &m, &err)) == COX_OK) {
		if (c == &s->keeper && m.type == COX_WIRE_KEYS)
			on_keys(s, &m);
		else if (c == &s->main && m.type == COX_WIRE_SIGN)
			on_sign(s, &m);
		else if (c == &s->main && m.type == COX_WIRE_REVOKED)
			on_revoked(s, &m);
		cox_arena_reset(&arena);
	}
	cox_arena_fini(&arena);
	if (rc != COX_EAGAIN) {
		cox_log(COX_LOG_ERROR, "ca", "signer: a message is broken error=\"%s\"", err.text);
		_exit(1);
	}
}

/* Loads what OpenSSL and the C library load late (configuration, algorithms, time zone) while files can be opened. */
static void warm_up(const struct cox_ca_spec *spec)
{
	struct cox_buf cert = { 0 }, key = { 0 }, out = { 0 };
	struct cox_issuer *issuer = NULL;
	struct cox_err err = { 0 };
	enum cox_rc rc = cox_issue_root(
	    COX_KEY_P256, &(struct cox_ca_cert_spec){ .organization = spec->trust_domain, .now_s = now_s(), .ttl_s = 3600, .path_len = -1 },
	    &cert, &key, &err);
	if (rc == COX_OK)
		rc = cox_issuer_new(cox_buf_str(&cert), cox_buf_str(&key), &issuer, &err);
	if (rc == COX_OK)
		rc = cox_issue_crl(issuer, NULL, 0, 1, now_s(), now_s() + 60, &out, &err);
	if (rc == COX_OK)
		rc = cox_cert_verify(cox_buf_str(&cert), cox_buf_str(&cert), now_s(), &err);
	if (rc == COX_OK && cox_cert_check_key(cox_buf_str(&cert), COX_STR("x"), &err) == COX_OK) /* error texts */
		rc = COX_EINTERNAL;
	cox_issuer_free(&issuer);
	cox_wipe(&key);
	cox_buf_fini(&key);
	cox_buf_fini(&cert);
	cox_buf_fini(&out);
	if (rc == COX_OK)
		return;
	cox_log(COX_LOG_ERROR, "ca", "signer: OpenSSL does not work error=\"%s\"", err.text);
	_exit(1);
}

static void wait_and_serve(struct signer *s)
{
	int64_t wait_ms = s->crl_again_ms ? s->crl_again_ms - cox_clock_mono_ms() : -1;
	/* While the main process does not read, nothing more is taken from it: what waits is bounded by what it may ask at once. */
	bool is_full = cox_wire_flush(&s->main) == COX_EAGAIN;
	struct pollfd fds[2] = { { .fd = s->main.fd, .events = (short)(is_full ? POLLOUT : POLLIN) },
		                 { .fd = s->keeper.fd, .events = POLLIN } };
	int n = poll(fds, 2, s->crl_again_ms ? (int)(wait_ms < 0 ? 0 : wait_ms > RETRY_MS ? RETRY_MS : wait_ms) : -1);
	if (n > 0 && fds[1].revents)
		serve(s, &s->keeper);
	if (n > 0 && (fds[0].revents & (POLLIN | POLLHUP | POLLERR)))
		serve(s, &s->main);
	if (s->crl_again_ms && cox_clock_mono_ms() >= s->crl_again_ms)
		send_bundle(s);
}

void cox_ca_signer_run_(const struct cox_ca_spec *spec, int main_fd, int keeper_fd)
{
	struct signer s = { .spec = spec, .tokens_at_ns = cox_clock_mono_ns() };
	s.tokens = spec->signatures_per_s ? spec->signatures_per_s : RATE_DEFAULT;
	struct cox_err err;
	cox_wire_chan_init(&s.main, main_fd, false);
	cox_wire_chan_init(&s.keeper, keeper_fd, true);
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	warm_up(spec);
	if (cox_ca_signer_confine_(&err) != COX_OK) {
		cox_log(COX_LOG_ERROR, "ca", "%s", err.text);
		_exit(1);
	}
	for (;;)
		wait_and_serve(&s);
}
