#include "ca/state_priv.h"

#include "ca/issue.h"

#include <stdio.h>

enum { REPEAT_S = COX_CA_FOLLOWER_FRESH_S / 4 };

/* --- entries ------------------------------------------------------------------------------------------ */

void cox_ca_entries_fini_(struct cox_ca_entries *e)
{
	for (size_t i = 0; i < e->n; i++) {
		cox_wipe(&e->p[i].value);
		cox_buf_fini(&e->p[i].value);
	}
	cox_vec_fini(e);
}

struct cox_buf *cox_ca_entries_add_(struct cox_ca_entries *e, const char *name)
{
	struct cox_ca_entry *item = cox_vec_add(e);
	cox_str_to_cstr(cox_str_of(name), item->name, sizeof(item->name));
	return &item->value;
}

static const struct cox_ca_entry *find(const struct cox_ca_entries *e, const char *name)
{
	for (size_t i = 0; i < e->n; i++)
		if (!strcmp(e->p[i].name, name))
			return &e->p[i];
	return NULL;
}

struct cox_str cox_ca_entries_get_(const struct cox_ca_entries *e, const char *name)
{
	const struct cox_ca_entry *item = find(e, name);
	return item ? cox_buf_str(&item->value) : COX_STR("");
}

static void add_text(struct cox_ca_entries *e, const char *name, struct cox_str text)
{
	struct cox_buf *b = cox_ca_entries_add_(e, name);
	cox_buf_reserve(b, text.n + 1);
	cox_buf_append_str(b, text);
}

/* --- followers ------------------------------------------------------------------------------------------ */

bool cox_ca_followers_note_(struct cox_ca_followers *f, const struct cox_ca_state *s, const char *name, bool is_done, int64_t now_s)
{
	struct cox_ca_follower *me = NULL;
	size_t kept = 0;
	for (size_t i = 0; i < f->n; i++)
		if (f->items[i].seen_s + COX_CA_FOLLOWER_FRESH_S > now_s)
			f->items[kept++] = f->items[i];
	f->n = kept;
	for (size_t i = 0; i < f->n && !me; i++)
		if (!strcmp(f->items[i].name, name))
			me = &f->items[i];
	if (me && me->phase == s->phase && me->since_s == s->since_s && (me->is_done || !is_done) && me->seen_s + REPEAT_S > now_s &&
	    me->seen_s <= now_s)
		return false;
	if (!me) {
		me = &f->items[f->n < COX_CA_FOLLOWERS_MAX ? f->n++ : 0];
		*me = (struct cox_ca_follower){ 0 };
		cox_str_to_cstr(cox_str_of(name), me->name, sizeof(me->name));
	}
	me->is_done = is_done;
	me->phase = s->phase;
	me->since_s = s->since_s;
	me->seen_s = now_s;
	return true;
}

bool cox_ca_followers_are_done_(const struct cox_ca_followers *f, const struct cox_ca_state *s, int64_t now_s)
{
	size_t done = 0;
	for (size_t i = 0; i < f->n; i++) {
		const struct cox_ca_follower *x = &f->items[i];
		if (x->seen_s + COX_CA_FOLLOWER_FRESH_S <= now_s)
			continue;
		if (!x->is_done || x->phase != s->phase || x->since_s != s->since_s)
			return false;
		done++;
	}
	return done > 0;
}

/* --- write ---------------------------------------------------------------------------------------------- */

static void write_key(struct cox_ca_entries *e, const char *slot, const struct cox_ca_key *k)
{
	const struct {
		const char *suffix;
		const struct cox_buf *text;
	} parts[] = {
		{ "cert.pem", &k->cert_pem },
		{ "key.pem", &k->key_pem },
		{ "chain.pem", &k->chain_pem },
		{ "roots.pem", &k->roots_pem },
	};
	char name[64];
	if (!cox_ca_key_is_set(k))
		return;
	for (size_t i = 0; i < COX_LEN(parts); i++) {
		snprintf(name, sizeof(name), "coxswain-%s-%s", slot, parts[i].suffix);
		add_text(e, name, cox_buf_str(parts[i].text));
	}
}

/* Lines of words: "phase <name> <since>", "retired <index> <until>", "follower <name> <phase> <since> <seen> <done>". */
static void write_plan(const struct cox_ca_state *s, const struct cox_ca_followers *f, struct cox_buf *out)
{
	cox_buf_printf(out, "phase %s %lld\n", cox_ca_phase_name(s->phase), (long long)s->since_s);
	if (s->is_plugged_in)
		cox_buf_append_cstr(out, "plugged-in\n");
	for (size_t i = 0; i < s->retired_n; i++)
		cox_buf_printf(out, "retired %zu %lld\n", i, (long long)s->retired[i].until_s);
	for (size_t i = 0; f && i < f->n; i++)
		cox_buf_printf(out, "follower %s %s %lld %lld %d\n", f->items[i].name, cox_ca_phase_name(f->items[i].phase),
		               (long long)f->items[i].since_s, (long long)f->items[i].seen_s, f->items[i].is_done);
}

enum cox_rc cox_ca_state_write_(const struct cox_ca_state *s, const struct cox_ca_followers *f, struct cox_ca_entries *out,
                                struct cox_err *err)
{
	struct cox_arena arena = { 0 };
	struct cox_str *roots;
	char slot[32];
	size_t n;
	enum cox_rc rc = cox_rotate_trust(s, &arena, &roots, &n, err);
	if (rc == COX_OK) {
		add_text(out, "ca-cert.pem", cox_buf_str(&s->current.cert_pem));
		add_text(out, "ca-key.pem", cox_buf_str(&s->current.key_pem));
		add_text(out, "cert-chain.pem", cox_buf_str(&s->current.chain_pem));
		add_text(out, "key.pem", COX_STR(""));
		struct cox_buf *b = cox_ca_entries_add_(out, "root-cert.pem");
		for (size_t i = 0; i < n; i++)
			cox_buf_append_str(b, roots[i]);
	}
	cox_arena_fini(&arena);
	if (rc != COX_OK || (s->phase == COX_CA_STEADY && !s->retired_n))
		return rc;
	write_plan(s, f, cox_ca_entries_add_(out, "coxswain-rotation"));
	add_text(out, "coxswain-current-roots.pem", cox_buf_str(&s->current.roots_pem));
	write_key(out, "next", &s->next);
	write_key(out, "previous", &s->previous);
	for (size_t i = 0; i < s->retired_n; i++) {
		snprintf(slot, sizeof(slot), "retired-%zu", i);
		write_key(out, slot, &s->retired[i].key);
	}
	return COX_OK;
}

/* --- read ------------------------------------------------------------------------------------------------ */

static bool find_phase(struct cox_str name, enum cox_ca_phase *out)
{
	for (int p = COX_CA_STEADY; p <= COX_CA_RETIRE; p++)
		if (cox_str_eq_cstr(name, cox_ca_phase_name((enum cox_ca_phase)p))) {
			*out = (enum cox_ca_phase)p;
			return true;
		}
	return false;
}

static bool read_follower(struct cox_str rest, struct cox_ca_followers *f)
{
	struct cox_str name, phase, since, seen;
	struct cox_ca_follower x = { 0 };
	if (!cox_str_next(&rest, ' ', &name) || !cox_str_next(&rest, ' ', &phase) || !cox_str_next(&rest, ' ', &since) ||
	    !cox_str_next(&rest, ' ', &seen))
		return false;
	if (!find_phase(phase, &x.phase) || cox_str_to_i64(since, &x.since_s) != COX_OK || cox_str_to_i64(seen, &x.seen_s) != COX_OK)
		return false;
	x.is_done = cox_str_eq(rest, COX_STR("1"));
	cox_str_to_cstr(name, x.name, sizeof(x.name));
	if (f->n < COX_CA_FOLLOWERS_MAX)
		f->items[f->n++] = x;
	return true;
}

static enum cox_rc read_line(struct cox_str line, struct cox_ca_state *s, struct cox_ca_followers *f, struct cox_err *err)
{
	struct cox_str rest = line, word = { 0 }, first = { 0 };
	int64_t index;
	bool ok = cox_str_next(&rest, ' ', &word);
	if (ok && cox_str_eq(word, COX_STR("phase")))
		ok = cox_str_next(&rest, ' ', &first) && find_phase(first, &s->phase) && cox_str_to_i64(rest, &s->since_s) == COX_OK;
	else if (ok && cox_str_eq(word, COX_STR("plugged-in")))
		s->is_plugged_in = true;
	else if (ok && cox_str_eq(word, COX_STR("retired"))) {
		ok = cox_str_next(&rest, ' ', &first) && cox_str_to_i64(first, &index) == COX_OK && index == (int64_t)s->retired_n &&
		     s->retired_n < COX_CA_RETIRED_MAX && cox_str_to_i64(rest, &s->retired[s->retired_n].until_s) == COX_OK;
		s->retired_n += ok;
	} else if (ok && cox_str_eq(word, COX_STR("follower")))
		ok = read_follower(rest, f);
	/* Other words are of a later version. */
	return ok ? COX_OK
	          : cox_err_set(err, COX_EINVAL, NULL, "coxswain-rotation: \"%.*s\" is not understood", COX_FMT(cox_str_sub(line, 0, 100)));
}

/* What a slot holds must fit together; expiry does not matter here, so the time is that of its start. */
static enum cox_rc read_key(struct cox_str cert, struct cox_str key, struct cox_str chain, struct cox_str roots, struct cox_ca_key *out,
                            struct cox_err *err)
{
	struct cox_arena arena = { 0 };
	struct cox_cert_info info;
	enum cox_rc rc = cox_cert_read_pem(cert, &arena, &info, err);
	if (rc != COX_OK)
		cox_err_wrap(err, "ca-cert.pem");
	/* At the end of the certificate's life where the start does not do: a root may have been made anew with the same key. */
	if (rc == COX_OK && cox_ca_key_build(cert, key, chain, roots, info.not_before_s, out, err) != COX_OK)
		rc = cox_ca_key_build(cert, key, chain, roots, info.not_after_s - 1, out, err);
	cox_arena_fini(&arena);
	return rc;
}

static enum cox_rc read_slot(const struct cox_ca_entries *e, const char *slot, bool is_needed, struct cox_ca_key *out, struct cox_err *err)
{
	static const char *const suffixes[] = { "cert.pem", "key.pem", "chain.pem", "roots.pem" };
	struct cox_str parts[4];
	char name[64];
	for (size_t i = 0; i < COX_LEN(suffixes); i++) {
		snprintf(name, sizeof(name), "coxswain-%s-%s", slot, suffixes[i]);
		parts[i] = cox_ca_entries_get_(e, name);
	}
	if (!parts[0].n)
		return is_needed ? cox_err_set(err, COX_EINVAL, NULL, "coxswain-%s-cert.pem is missing", slot) : COX_OK;
	enum cox_rc rc = read_key(parts[0], parts[1], parts[2], parts[3], out, err);
	if (rc != COX_OK)
		cox_err_wrap(err, "coxswain-%s", slot);
	return rc;
}

static enum cox_rc read_all(const struct cox_ca_entries *e, struct cox_ca_state *s, struct cox_ca_followers *f, struct cox_err *err)
{
	struct cox_str plan = cox_ca_entries_get_(e, "coxswain-rotation"), line,
	               roots = cox_ca_entries_get_(e, "coxswain-current-roots.pem");
	char slot[32];
	while (plan.n && cox_str_next(&plan, '\n', &line))
		if (line.n)
			COX_TRY(read_line(line, s, f, err));
	if (s->phase == COX_CA_STEADY || !roots.n)
		roots = cox_ca_entries_get_(e, "root-cert.pem");
	COX_TRY(read_key(cox_ca_entries_get_(e, "ca-cert.pem"), cox_ca_entries_get_(e, "ca-key.pem"),
	                 cox_ca_entries_get_(e, "cert-chain.pem"), roots, &s->current, err));
	COX_TRY(read_slot(e, "next", s->phase == COX_CA_DISTRIBUTE, &s->next, err));
	COX_TRY(read_slot(e, "previous", s->phase == COX_CA_SIGN || s->phase == COX_CA_RETIRE, &s->previous, err));
	for (size_t i = 0; i < s->retired_n; i++) {
		snprintf(slot, sizeof(slot), "retired-%zu", i);
		COX_TRY(read_slot(e, slot, true, &s->retired[i].key, err));
	}
	return COX_OK;
}

enum cox_rc cox_ca_state_read_(const struct cox_ca_entries *e, struct cox_ca_state *out, struct cox_ca_followers *f, struct cox_err *err)
{
	struct cox_ca_state s = { 0 };
	struct cox_ca_followers *followers = COX_NEW(struct cox_ca_followers);
	enum cox_rc rc = read_all(e, &s, followers, err);
	if (rc == COX_OK) {
		*out = s;
		if (f)
			*f = *followers;
	} else {
		cox_ca_state_fini(&s);
	}
	cox_free(followers);
	return rc;
}

/* --- an operator's set --------------------------------------------------------------------------------------- */

enum cox_rc cox_ca_set_read_(const struct cox_ca_entries *e, int64_t now_s, struct cox_ca_key *out, struct cox_buf *crl,
                             struct cox_err *err)
{
	struct cox_str key = cox_ca_entries_get_(e, "ca-key.pem"), tls_key = cox_ca_entries_get_(e, "tls.key"),
	               crls = cox_ca_entries_get_(e, "ca-crl.pem");
	enum cox_rc rc;
	if (cox_str_trim(key).n)
		rc = cox_ca_key_build(cox_ca_entries_get_(e, "ca-cert.pem"), key, cox_ca_entries_get_(e, "cert-chain.pem"),
		                      cox_ca_entries_get_(e, "root-cert.pem"), now_s, out, err);
	else if (cox_str_trim(tls_key).n)
		rc = cox_ca_key_build(cox_ca_entries_get_(e, "tls.crt"), tls_key, COX_STR(""), cox_ca_entries_get_(e, "ca.crt"), now_s, out,
		                      err);
	else if (find(e, "ca-cert.pem"))
		rc = cox_err_set(err, COX_EINVAL, NULL, "ca-key.pem is missing");
	else
		return COX_ENOTFOUND;
	if (rc == COX_OK && crl) {
		cox_buf_clear(crl);
		if (crls.n && cox_crl_check_(crls, err) != COX_OK) {
			cox_ca_key_fini(out);
			return COX_EINVAL;
		}
		cox_buf_append_str(crl, crls);
		if (crls.n && crls.p[crls.n - 1] != '\n')
			cox_buf_append_char(crl, '\n');
	}
	return rc;
}
