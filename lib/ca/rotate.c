#include "ca/rotate.h"

#include "ca/issue.h"

/* --- keys ------------------------------------------------------------------------------------------- */

static void copy_buf(const struct cox_buf *from, struct cox_buf *to)
{
	cox_buf_reserve(to, from->n + 1); /* in one piece: a key that grows would leave copies */
	cox_buf_append(to, from->p, from->n);
}

void cox_ca_key_fini(struct cox_ca_key *k)
{
	cox_wipe(&k->key_pem);
	cox_buf_fini(&k->cert_pem);
	cox_buf_fini(&k->key_pem);
	cox_buf_fini(&k->chain_pem);
	cox_buf_fini(&k->roots_pem);
}

void cox_ca_key_copy(const struct cox_ca_key *from, struct cox_ca_key *to)
{
	*to = (struct cox_ca_key){ 0 };
	copy_buf(&from->cert_pem, &to->cert_pem);
	copy_buf(&from->key_pem, &to->key_pem);
	copy_buf(&from->chain_pem, &to->chain_pem);
	copy_buf(&from->roots_pem, &to->roots_pem);
}

static bool eq(const struct cox_buf *a, const struct cox_buf *b) { return cox_str_eq(cox_buf_str(a), cox_buf_str(b)); }

bool cox_ca_key_eq(const struct cox_ca_key *a, const struct cox_ca_key *b)
{
	return eq(&a->cert_pem, &b->cert_pem) && eq(&a->key_pem, &b->key_pem) && eq(&a->chain_pem, &b->chain_pem) &&
	       eq(&a->roots_pem, &b->roots_pem);
}

static void move_key(struct cox_ca_key *from, struct cox_ca_key *to)
{
	cox_ca_key_fini(to);
	*to = *from;
	*from = (struct cox_ca_key){ 0 };
}

static enum cox_rc named(enum cox_rc rc, struct cox_err *err, const char *what)
{
	if (rc != COX_OK)
		cox_err_wrap(err, "%s", what);
	return rc;
}

/* The certificate and those above it, each once, without self-signed ones. */
static enum cox_rc build_chain(struct cox_str cert, struct cox_str chain, struct cox_arena *arena, struct cox_buf *out, struct cox_err *err)
{
	struct cox_str parts[2] = { cert, cox_str_trim(chain) }, *items, all[2 * COX_CERT_SPLIT_MAX];
	size_t n = 0, count;
	for (size_t p = 0; p < COX_LEN(parts); p++) {
		if (p && !parts[p].n)
			continue;
		COX_TRY(named(cox_cert_split(parts[p], arena, &items, &count, err), err, p ? "cert-chain.pem" : "ca-cert.pem"));
		for (size_t i = 0; i < count; i++)
			all[n++] = items[i];
	}
	cox_cert_dedupe(all, &n);
	if (n > COX_CERT_CHAIN_MAX)
		return cox_err_set(err, COX_ELIMIT, NULL, "cert-chain.pem: a chain of %zu certificates, more than %d", n,
		                   COX_CERT_CHAIN_MAX);
	for (size_t i = 0; i < n; i++) {
		struct cox_cert_info info;
		COX_TRY(cox_cert_read_pem(all[i], arena, &info, err));
		if (!info.is_self_signed)
			cox_buf_append_str(out, all[i]);
	}
	return COX_OK;
}

static enum cox_rc check_life(const struct cox_cert_info *info, int64_t now_s, struct cox_err *err)
{
	if (now_s >= info->not_after_s)
		return cox_err_set(err, COX_EINVAL, NULL, "ca-cert.pem: the certificate of \"%.*s\" has expired", COX_FMT(info->subject));
	if (now_s < info->not_before_s)
		return cox_err_set(err, COX_EINVAL, NULL, "ca-cert.pem: the certificate of \"%.*s\" is not valid yet",
		                   COX_FMT(info->subject));
	return COX_OK;
}

static enum cox_rc build_key(struct cox_str cert, struct cox_str key, struct cox_str chain, struct cox_str roots, int64_t now_s,
                             struct cox_arena *arena, struct cox_ca_key *out, struct cox_err *err)
{
	struct cox_issuer *issuer = NULL;
	struct cox_cert_info info;
	struct cox_str *items;
	size_t n;
	COX_TRY(named(cox_cert_split(cert, arena, &items, &n, err), err, "ca-cert.pem"));
	COX_TRY(named(cox_cert_read_pem(items[0], arena, &info, err), err, "ca-cert.pem"));
	COX_TRY(check_life(&info, now_s, err));
	COX_TRY(named(cox_issuer_new(items[0], key, &issuer, err), err, "ca-cert.pem, ca-key.pem"));
	cox_issuer_free(&issuer);
	cox_buf_append_str(&out->cert_pem, items[0]);
	cox_buf_reserve(&out->key_pem, key.n + 1);
	cox_buf_append_str(&out->key_pem, key);
	COX_TRY(build_chain(cert, chain, arena, &out->chain_pem, err));
	/* A self-signed CA without a root beside it is its own. */
	if (!cox_str_trim(roots).n && info.is_self_signed)
		roots = items[0];
	COX_TRY(named(cox_cert_split(roots, arena, &items, &n, err), err, "root-cert.pem"));
	cox_cert_dedupe(items, &n);
	for (size_t i = 0; i < n; i++)
		cox_buf_append_str(&out->roots_pem, items[i]);
	struct cox_str line = out->chain_pem.n ? cox_buf_str(&out->chain_pem) : cox_buf_str(&out->cert_pem);
	if (cox_cert_verify(line, cox_buf_str(&out->roots_pem), now_s, err) != COX_OK) {
		cox_err_wrap(err, "ca-cert.pem and cert-chain.pem do not lead to root-cert.pem");
		err ? (void)(err->rc = COX_EINVAL) : (void)0;
		return COX_EINVAL;
	}
	return COX_OK;
}

enum cox_rc cox_ca_key_build(struct cox_str cert, struct cox_str key, struct cox_str chain, struct cox_str roots, int64_t now_s,
                             struct cox_ca_key *out, struct cox_err *err)
{
	struct cox_arena arena = { 0 };
	struct cox_ca_key built = { 0 };
	enum cox_rc rc = build_key(cert, key, chain, roots, now_s, &arena, &built, err);
	cox_arena_fini(&arena);
	if (rc == COX_OK)
		*out = built;
	else
		cox_ca_key_fini(&built);
	return rc;
}

/* --- state ------------------------------------------------------------------------------------------ */

const char *cox_ca_phase_name(enum cox_ca_phase p)
{
	static const char *const names[] = { "STEADY", "DISTRIBUTE", "SIGN", "RETIRE" };
	return (size_t)p < COX_LEN(names) ? names[p] : "?";
}

void cox_ca_state_fini(struct cox_ca_state *s)
{
	cox_ca_key_fini(&s->current);
	cox_ca_key_fini(&s->next);
	cox_ca_key_fini(&s->previous);
	for (size_t i = 0; i < s->retired_n; i++)
		cox_ca_key_fini(&s->retired[i].key);
	*s = (struct cox_ca_state){ 0 };
}

void cox_ca_state_copy(const struct cox_ca_state *from, struct cox_ca_state *to)
{
	*to = *from;
	cox_ca_key_copy(&from->current, &to->current);
	cox_ca_key_copy(&from->next, &to->next);
	cox_ca_key_copy(&from->previous, &to->previous);
	for (size_t i = 0; i < from->retired_n; i++)
		cox_ca_key_copy(&from->retired[i].key, &to->retired[i].key);
}

static void enter(struct cox_ca_state *s, enum cox_ca_phase phase, int64_t now_s)
{
	s->phase = phase;
	s->since_s = now_s;
}

enum cox_rc cox_rotate_start_take(struct cox_ca_state *s, struct cox_ca_key *next, int64_t now_s, struct cox_err *err)
{
	if (s->phase != COX_CA_STEADY) {
		cox_ca_key_fini(next);
		return cox_err_set(err, COX_EAGAIN, NULL, "a rotation is in progress: phase %s", cox_ca_phase_name(s->phase));
	}
	move_key(next, &s->next);
	enter(s, COX_CA_DISTRIBUTE, now_s);
	return COX_OK;
}

/* Does the chain of `k` hold with these roots? That they expired meanwhile does not matter here. */
static bool is_under(const struct cox_ca_key *k, const struct cox_buf *roots)
{
	struct cox_arena arena = { 0 };
	struct cox_cert_info info;
	struct cox_str line = k->chain_pem.n ? cox_buf_str(&k->chain_pem) : cox_buf_str(&k->cert_pem);
	/* At one of the two ends of its life: a root that somebody renewed with the same key may begin later or end earlier than what it
	 * signed. */
	bool is = cox_cert_read_pem(line, &arena, &info, NULL) == COX_OK &&
	          (cox_cert_verify(line, cox_buf_str(roots), info.not_before_s, NULL) == COX_OK ||
	           cox_cert_verify(line, cox_buf_str(roots), info.not_after_s - 1, NULL) == COX_OK);
	cox_arena_fini(&arena);
	return is;
}

static void retire(struct cox_ca_state *s, int64_t until_s)
{
	if (!is_under(&s->previous, &s->current.roots_pem)) {
		cox_ca_key_fini(&s->previous); /* nobody trusts it any more, so nobody asks for its CRL */
		return;
	}
	if (s->retired_n == COX_CA_RETIRED_MAX) {
		cox_ca_key_fini(&s->retired[0].key);
		memmove(&s->retired[0], &s->retired[1], (COX_CA_RETIRED_MAX - 1) * sizeof(s->retired[0]));
		s->retired_n--;
	}
	s->retired[s->retired_n].key = s->previous;
	s->retired[s->retired_n++].until_s = until_s;
	s->previous = (struct cox_ca_key){ 0 };
}

/* All certificates of `a` are in `b`. */
static bool is_subset(const struct cox_buf *a, const struct cox_buf *b)
{
	struct cox_arena arena = { 0 };
	struct cox_str *x, *y;
	size_t xn, yn;
	bool is = cox_cert_split(cox_buf_str(a), &arena, &x, &xn, NULL) == COX_OK &&
	          cox_cert_split(cox_buf_str(b), &arena, &y, &yn, NULL) == COX_OK;
	for (size_t i = 0; is && i < xn; i++) {
		bool has = false;
		for (size_t k = 0; k < yn && !has; k++)
			has = cox_str_eq(x[i], y[k]);
		is = has;
	}
	cox_arena_fini(&arena);
	return is;
}

bool cox_rotate_advance(struct cox_ca_state *s, int64_t now_s, int64_t keep_s)
{
	switch (s->phase) {
	case COX_CA_DISTRIBUTE:
		move_key(&s->current, &s->previous);
		move_key(&s->next, &s->current);
		enter(s, COX_CA_SIGN, now_s);
		return true;
	case COX_CA_SIGN:
		if (!is_subset(&s->previous.roots_pem, &s->current.roots_pem)) {
			enter(s, COX_CA_RETIRE, now_s);
			return true;
		}
		/* Nothing leaves the bundle: there is nothing to wait for. */
		/* fallthrough */
	case COX_CA_RETIRE:
		retire(s, now_s + keep_s);
		enter(s, COX_CA_STEADY, now_s);
		return true;
	case COX_CA_STEADY: break;
	}
	return false;
}

static void replace_current(struct cox_ca_state *s, const struct cox_ca_key *set)
{
	struct cox_ca_key copy;
	cox_ca_key_copy(set, &copy);
	move_key(&copy, &s->current);
}

static enum cox_rotate_offer begin(struct cox_ca_state *s, const struct cox_ca_key *set, int64_t now_s)
{
	struct cox_ca_key copy;
	cox_ca_key_copy(set, &copy);
	move_key(&copy, &s->next);
	enter(s, COX_CA_DISTRIBUTE, now_s);
	return COX_OFFER_STARTED;
}

static bool is_same_key(const struct cox_ca_key *a, const struct cox_ca_key *b)
{
	return cox_cert_check_key(cox_buf_str(&a->cert_pem), cox_buf_str(&b->key_pem), NULL) == COX_OK;
}

enum cox_rotate_offer cox_rotate_offer(struct cox_ca_state *s, const struct cox_ca_key *set, int64_t now_s)
{
	if (s->phase == COX_CA_DISTRIBUTE && cox_ca_key_eq(&s->next, set))
		return COX_OFFER_SAME;
	if (s->phase == COX_CA_DISTRIBUTE && cox_ca_key_eq(&s->current, set)) {
		cox_ca_key_fini(&s->next); /* taken back before anything was signed by it */
		enter(s, COX_CA_STEADY, now_s);
		return COX_OFFER_REPLACED;
	}
	if (cox_ca_key_eq(&s->current, set))
		return COX_OFFER_SAME;
	if (s->phase == COX_CA_SIGN || s->phase == COX_CA_RETIRE) {
		if (!is_same_key(&s->current, set))
			return COX_OFFER_BUSY;
		replace_current(s, set);
		return COX_OFFER_REPLACED;
	}
	/* At once only where nobody can fail by it: old leaves hold under the new roots, new leaves under the old ones. */
	if (s->phase == COX_CA_STEADY && is_same_key(&s->current, set) && is_under(&s->current, &set->roots_pem) &&
	    is_under(set, &s->current.roots_pem)) {
		replace_current(s, set);
		return COX_OFFER_REPLACED;
	}
	return begin(s, set, now_s);
}

bool cox_rotate_expire(struct cox_ca_state *s, int64_t now_s)
{
	size_t kept = 0, n = s->retired_n;
	for (size_t i = 0; i < n; i++) {
		if (s->retired[i].until_s > now_s)
			s->retired[kept++] = s->retired[i];
		else
			cox_ca_key_fini(&s->retired[i].key);
	}
	s->retired_n = kept;
	return kept != n;
}

enum cox_rc cox_rotate_trust(const struct cox_ca_state *s, struct cox_arena *arena, struct cox_str **out, size_t *n, struct cox_err *err)
{
	const struct cox_buf *parts[2] = { &s->current.roots_pem, s->phase == COX_CA_DISTRIBUTE ? &s->next.roots_pem
		                                                  : s->phase == COX_CA_SIGN     ? &s->previous.roots_pem
		                                                                                : NULL };
	struct cox_str *all = COX_ARENA_ARRAY(arena, struct cox_str, 2 * COX_CERT_SPLIT_MAX), *items;
	size_t count, total = 0;
	for (size_t p = 0; p < COX_LEN(parts); p++) {
		if (!parts[p] || !parts[p]->n)
			continue;
		COX_TRY(cox_cert_split(cox_buf_str(parts[p]), arena, &items, &count, err));
		memcpy(all + total, items, count * sizeof(*items));
		total += count;
	}
	cox_cert_dedupe(all, &total);
	*out = all;
	*n = total;
	return COX_OK;
}

bool cox_rotate_is_renewal_due(const struct cox_cert_info *cert, double grace, int64_t now_s)
{
	return (double)(cert->not_after_s - now_s) <= grace * (double)(cert->not_after_s - cert->not_before_s);
}
