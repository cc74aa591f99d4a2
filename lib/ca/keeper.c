/*
 * keeper - the process that has the CA's keys at rest: reads, makes, renews and rotates them, and hands them to the signer.
 *
 *	objects of the store  --+                      +-- save (shared by replicas: the first one wins, the others take what it wrote)
 *	an operator's set     --+--> state (rotate.h) --+
 *	commands, time        --+                      +-- publish: KEYS to the signer, which tells the main process the public part
 */
#include "ca/keeper_priv.h"

#include "base/clock.h"
#include "base/log.h"
#include "ca/issue.h"
#include "ca/process_priv.h"
#include "ca/spiffe.h"
#include "ca/wire.h"
#include "codec/yaml.h"

#include <stdio.h>
#include <unistd.h>

enum {
	TICK_MS = 5000,
	SHARED_PHASE_MIN_S = 15, /* of a phase that replicas share: time for each of them to say that it is there */
	SAVE_AGAIN_MS = 5000,
	JUMP_S = 60,                   /* the wall clock against the monotonic one, between two ticks */
	JUMP_CALM_MS = 10 * 60 * 1000, /* after a jump nothing is renewed for so long: the clock may be set back again */
};

struct keeper {
	const struct cox_ca_spec *spec;
	struct cox_loop *loop;
	struct cox_wire_chan main, signer;
	struct cox_poll *main_poll, *signer_poll;
	struct cox_timer *tick, *save_timer;
	struct cox_ca_store_ *store;
	struct cox_ca_set_watch_ *set_watch; /* of the directory */

	bool has_object[COX_CA_OBJECTS]; /* said at least once */
	bool is_there[COX_CA_OBJECTS];
	bool has_state;                    /* `state` is in force */
	struct cox_ca_state state, saving; /* `saving`: becomes the state when it is stored */
	struct cox_ca_followers followers, saving_followers;
	bool is_saving;
	enum cox_ca_object saving_object;
	bool has_root; /* what istio-ca-secret holds, kept for the time when there is no operator's set */
	struct cox_ca_state root_state;
	struct cox_ca_followers root_followers;
	struct cox_ca_state plugged_state; /* what coxswain-ca-state holds */
	bool has_plugged;
	struct cox_ca_followers plugged_followers;

	struct keeper_set {
		bool is_known, is_there, is_good;
		struct cox_ca_key key;
		struct cox_buf crl;
	} dir_set, secret_set;
	struct cox_buf crl_in_force;

	char trust_domain[COX_SPIFFE_TRUST_DOMAIN_BYTES_MAX + 1];
	uint64_t epoch;
	uint64_t done_epoch; /* that the main process is done with */
	char replica[128];
	char last_fault[384];
	int64_t wall_ms, mono_ms, calm_until_ms;
};

static int64_t now_s(void) { return cox_clock_wall_ms() / 1000; }
static void evaluate(struct keeper *k);

/* --- what the others are told ------------------------------------------------------------------------------- */

static void flush_main(struct keeper *k)
{
	if (cox_wire_flush(&k->main) == COX_EIO)
		_exit(0);
	cox_poll_want(k->main_poll, COX_POLL_READ | (k->main.out.n ? COX_POLL_WRITE : 0));
}

static void flush_signer(struct keeper *k)
{
	if (cox_wire_flush(&k->signer) == COX_EIO)
		_exit(0);
	cox_poll_want(k->signer_poll, COX_POLL_READ | (k->signer.out.n ? COX_POLL_WRITE : 0));
}

/* The same fault is said once, until something else happens. */
static void fault(struct keeper *k, const struct cox_err *err)
{
	COX_ASSERT(k);
	if (!strcmp(k->last_fault, err->text))
		return;
	snprintf(k->last_fault, sizeof(k->last_fault), "%s", err->text);
	if (cox_wire_encode(&(struct cox_wire){ .type = COX_WIRE_FAULT, .rc = (uint32_t)err->rc, .text = cox_str_of(err->text) },
	                    &k->main.out) == COX_OK)
		flush_main(k);
}

static void add_issuer(struct cox_wire_issuer *list, size_t *n, const struct cox_ca_key *key, bool signs)
{
	if (cox_ca_key_is_set(key))
		list[(*n)++] = (struct cox_wire_issuer){ cox_buf_str(&key->cert_pem), cox_buf_str(&key->key_pem), signs };
}

static int64_t first_end(const struct cox_str *roots, size_t n, struct cox_arena *arena)
{
	int64_t end = 0;
	for (size_t i = 0; i < n; i++) {
		struct cox_cert_info info;
		if (cox_cert_read_pem(roots[i], arena, &info, NULL) == COX_OK && (end == 0 || info.not_after_s < end))
			end = info.not_after_s;
	}
	return end;
}

static void publish(struct keeper *k)
{
	struct cox_arena arena = { 0 };
	struct cox_wire_issuer issuers[3 + COX_CA_RETIRED_MAX];
	const struct cox_ca_state *s = &k->state;
	struct cox_wire m = { .type = COX_WIRE_KEYS,
		              .id = ++k->epoch,
		              .phase = (uint32_t)s->phase,
		              .is_plugged_in = s->is_plugged_in,
		              .issuers = issuers,
		              .text = cox_str_of(k->trust_domain),
		              .chain_pem = cox_buf_str(&s->current.chain_pem),
		              .crl_pem = cox_buf_str(&k->crl_in_force) };
	struct cox_err err;
	add_issuer(issuers, &m.issuer_n, &s->current, true);
	add_issuer(issuers, &m.issuer_n, &s->next, false);
	add_issuer(issuers, &m.issuer_n, &s->previous, false);
	for (size_t i = 0; i < s->retired_n; i++)
		add_issuer(issuers, &m.issuer_n, &s->retired[i].key, false);
	if (cox_rotate_trust(s, &arena, &m.roots, &m.root_n, &err) != COX_OK) {
		fault(k, &err);
	} else {
		m.root_not_after_s = first_end(m.roots, m.root_n, &arena);
		if (cox_wire_encode(&m, &k->signer.out) == COX_OK)
			flush_signer(k);
		cox_log(COX_LOG_INFO, "ca", "keys in force phase=%s plugged-in=%d roots=%zu issuers=%zu", cox_ca_phase_name(s->phase),
		        s->is_plugged_in, m.root_n, m.issuer_n);
	}
	cox_arena_fini(&arena);
}

/* --- states ----------------------------------------------------------------------------------------------------- */

/* The set in force: the directory's before the secret's. NULL: there is none. */
static const struct keeper_set *operators_set(const struct keeper *k)
{
	return k->dir_set.is_there ? &k->dir_set : k->secret_set.is_there ? &k->secret_set : NULL;
}

/* Did an operator give the key that signs now? */
static void note_origin(const struct keeper *k, struct cox_ca_state *s)
{
	const struct keeper_set *set = operators_set(k);
	if (set && set->is_good && cox_ca_key_eq(&s->current, &set->key))
		s->is_plugged_in = true;
}

static bool is_same_state(const struct cox_ca_state *a, const struct cox_ca_state *b)
{
	bool same = a->phase == b->phase && (a->phase == COX_CA_STEADY || a->since_s == b->since_s) &&
	            a->is_plugged_in == b->is_plugged_in && a->retired_n == b->retired_n && cox_ca_key_eq(&a->current, &b->current) &&
	            cox_ca_key_eq(&a->next, &b->next) && cox_ca_key_eq(&a->previous, &b->previous);
	for (size_t i = 0; same && i < a->retired_n; i++)
		same = cox_ca_key_eq(&a->retired[i].key, &b->retired[i].key);
	return same;
}

/* Takes the content of *next. */
static void adopt(struct keeper *k, struct cox_ca_state *next, const struct cox_ca_followers *followers)
{
	bool is_news = !k->has_state || !is_same_state(&k->state, next);
	const struct cox_buf *crl = !next->is_plugged_in ? NULL : k->dir_set.is_there ? &k->dir_set.crl : &k->secret_set.crl;
	if (!cox_str_eq(cox_buf_str(&k->crl_in_force), crl ? cox_buf_str(crl) : COX_STR(""))) {
		cox_buf_clear(&k->crl_in_force);
		if (crl)
			cox_buf_append_str(&k->crl_in_force, cox_buf_str(crl));
		is_news = true;
	}
	cox_ca_state_fini(&k->state);
	k->state = *next;
	*next = (struct cox_ca_state){ 0 };
	k->has_state = true;
	if (followers)
		k->followers = *followers;
	else
		k->followers.n = 0;
	if (is_news)
		publish(k);
}

static bool is_shared(const struct keeper *k) { return k->spec->store == COX_CA_STORE_KUBE; }

/* Stores *next (takes its content); it comes into force when that is done. A plugged-in state is stored only while there is more to it than
 * what the operator's set says. */
static void save(struct keeper *k, struct cox_ca_state *next, const struct cox_ca_followers *followers)
{
	struct cox_ca_entries entries = { 0 };
	struct cox_err err;
	enum cox_ca_object o = operators_set(k) ? COX_CA_OBJECT_PLUGGED : COX_CA_OBJECT_ROOT;
	bool is_plain = o == COX_CA_OBJECT_PLUGGED && next->phase == COX_CA_STEADY && !next->retired_n;
	COX_ASSERT(!k->is_saving);
	if (is_plain && !k->is_there[o]) {
		adopt(k, next, followers);
		return;
	}
	if (cox_ca_state_write_(next, followers, &entries, &err) != COX_OK) {
		fault(k, &err);
		cox_ca_state_fini(next);
		cox_ca_entries_fini_(&entries);
		return;
	}
	cox_ca_state_fini(&k->saving);
	k->saving = *next;
	*next = (struct cox_ca_state){ 0 };
	k->saving_followers = followers ? *followers : (struct cox_ca_followers){ .n = 0 };
	k->saving_object = o;
	k->is_saving = true;
	k->store->ops->save(k->store, o, is_plain ? NULL : &entries);
	cox_ca_entries_fini_(&entries);
}

static void on_saved(void *ctx, enum cox_ca_object o, enum cox_rc rc, const struct cox_err *err)
{
	struct keeper *k = ctx;
	k->is_saving = false;
	if (rc == COX_OK) {
		bool is_plain = o == COX_CA_OBJECT_PLUGGED && k->saving.phase == COX_CA_STEADY && !k->saving.retired_n;
		struct cox_ca_state *stored = o == COX_CA_OBJECT_ROOT ? &k->root_state : &k->plugged_state;
		struct cox_ca_followers *followers = o == COX_CA_OBJECT_ROOT ? &k->root_followers : &k->plugged_followers;
		k->is_there[o] = !is_plain;
		*(o == COX_CA_OBJECT_ROOT ? &k->has_root : &k->has_plugged) = !is_plain;
		cox_ca_state_fini(stored);
		cox_ca_state_copy(&k->saving, stored);
		*followers = k->saving_followers;
		adopt(k, &k->saving, &k->saving_followers);
		evaluate(k);
		return;
	}
	cox_ca_state_fini(&k->saving);
	if (rc != COX_EEXIST)
		fault(k, err);
	else if (o == COX_CA_OBJECT_ROOT ? k->has_root : k->has_plugged) {
		struct cox_ca_state copy;
		cox_ca_state_copy(o == COX_CA_OBJECT_ROOT ? &k->root_state : &k->plugged_state, &copy);
		adopt(k, &copy, o == COX_CA_OBJECT_ROOT ? &k->root_followers : &k->plugged_followers);
	}
	/* Somebody else was faster, or the store is away: what is there then is looked at again. */
	cox_timer_start(k->save_timer, rc == COX_EEXIST ? 200 : SAVE_AGAIN_MS, 0);
}

static void make_root(struct keeper *k, struct cox_ca_key *out)
{
	const struct cox_ca_spec *spec = k->spec;
	char name[64];
	struct cox_buf cert = { 0 }, key = { 0 };
	struct cox_err err;
	/* Roots of one trust domain differ by name too: CRLs are found by it. */
	snprintf(name, sizeof(name), "coxswain root %lld-%08x", (long long)now_s(), cox_random_below(UINT32_MAX));
	enum cox_rc rc = cox_issue_root(spec->key_type,
	                                &(struct cox_ca_cert_spec){ .organization = cox_str_of(k->trust_domain),
	                                                            .common_name = name,
	                                                            .now_s = now_s(),
	                                                            .ttl_s = spec->root_ttl_s,
	                                                            .backdate_s = spec->backdate_s,
	                                                            .path_len = -1 },
	                                &cert, &key, &err);
	if (rc == COX_OK)
		rc = cox_ca_key_build(cox_buf_str(&cert), cox_buf_str(&key), COX_STR(""), cox_buf_str(&cert), now_s(), out, &err);
	cox_wipe(&key);
	cox_buf_fini(&key);
	cox_buf_fini(&cert);
	if (rc != COX_OK) {
		cox_log(COX_LOG_ERROR, "ca", "keeper: no root could be made error=\"%s\"", err.text);
		_exit(1);
	}
}

static void first_state(struct keeper *k, const struct keeper_set *set)
{
	struct cox_ca_state s = { 0 };
	if (set && !set->is_good)
		return; /* said already; a root of our own in its place would split the mesh */
	if (set && k->has_plugged) {
		cox_ca_state_copy(&k->plugged_state, &s);
		adopt(k, &s, &k->plugged_followers);
		return;
	}
	if (set) {
		cox_ca_key_copy(&set->key, &s.current);
		s.is_plugged_in = true;
		adopt(k, &s, NULL);
		return;
	}
	if (k->has_root) {
		cox_ca_state_copy(&k->root_state, &s);
		adopt(k, &s, &k->root_followers);
		return;
	}
	if (k->is_there[COX_CA_OBJECT_ROOT])
		return; /* it is there and cannot be read: never overwritten */
	make_root(k, &s.current);
	save(k, &s, NULL);
}

static void offer(struct keeper *k, const struct keeper_set *set)
{
	struct cox_ca_state next;
	cox_ca_state_copy(&k->state, &next);
	enum cox_rotate_offer result = cox_rotate_offer(&next, &set->key, now_s());
	note_origin(k, &next);
	if (result == COX_OFFER_STARTED || result == COX_OFFER_REPLACED)
		save(k, &next, NULL);
	else
		adopt(k, &next, &k->followers); /* its CRL may be another one */
}

/* --- time --------------------------------------------------------------------------------------------------------- */

static void check_clock(struct keeper *k)
{
	int64_t wall = cox_clock_wall_ms(), mono = cox_clock_mono_ms();
	int64_t jump_s = ((wall - k->wall_ms) - (mono - k->mono_ms)) / 1000;
	struct cox_err err;
	if (k->wall_ms && (jump_s > JUMP_S || jump_s < -JUMP_S)) {
		cox_err_set(
		    &err, COX_EAGAIN, NULL,
		    "the clock of this machine jumped by %lld s: certificates are signed by the new time, roots are not renewed for %d minutes",
		    (long long)jump_s, JUMP_CALM_MS / 60000);
		k->last_fault[0] = 0;
		fault(k, &err);
		k->calm_until_ms = mono + JUMP_CALM_MS;
	}
	k->wall_ms = wall;
	k->mono_ms = mono;
}

static void renew_if_due(struct keeper *k)
{
	struct cox_arena arena = { 0 };
	struct cox_cert_info info;
	struct cox_issuer *issuer = NULL;
	struct cox_buf cert = { 0 };
	struct cox_ca_state next;
	struct cox_err err;
	if (k->state.is_plugged_in || k->state.phase != COX_CA_STEADY || cox_clock_mono_ms() < k->calm_until_ms)
		return;
	enum cox_rc rc = cox_cert_read_pem(cox_buf_str(&k->state.current.cert_pem), &arena, &info, &err);
	/* One that would not live longer than this one is no renewal. */
	bool is_due = rc == COX_OK && info.is_self_signed && cox_rotate_is_renewal_due(&info, k->spec->root_grace, now_s()) &&
	              now_s() + k->spec->root_ttl_s - info.not_after_s > k->spec->root_ttl_s / 20;
	cox_arena_fini(&arena);
	if (!is_due)
		return;
	rc = cox_issuer_new(cox_buf_str(&k->state.current.cert_pem), cox_buf_str(&k->state.current.key_pem), &issuer, &err);
	if (rc == COX_OK)
		rc = cox_issue_root_renewal(issuer, now_s(), k->spec->root_ttl_s, &cert, &err);
	cox_issuer_free(&issuer);
	if (rc != COX_OK) {
		fault(k, &err);
	} else {
		cox_ca_state_copy(&k->state, &next);
		cox_buf_clear(&next.current.cert_pem);
		cox_buf_append_str(&next.current.cert_pem, cox_buf_str(&cert));
		cox_buf_clear(&next.current.roots_pem);
		cox_buf_append_str(&next.current.roots_pem, cox_buf_str(&cert));
		cox_log(COX_LOG_INFO, "ca", "the root is renewed with the same key");
		save(k, &next, NULL);
	}
	cox_buf_fini(&cert);
}

static void advance_if_done(struct keeper *k)
{
	bool is_done = k->done_epoch == k->epoch;
	struct cox_ca_state next;
	struct cox_ca_followers followers = k->followers;
	if (!is_shared(k)) {
		if (!is_done)
			return;
		cox_ca_state_copy(&k->state, &next);
		cox_rotate_advance(&next, now_s(), k->spec->max_ttl_s);
		note_origin(k, &next);
		save(k, &next, NULL);
		return;
	}
	bool is_news = cox_ca_followers_note_(&followers, &k->state, k->replica, is_done, now_s());
	bool is_ripe = now_s() - k->state.since_s >= SHARED_PHASE_MIN_S && cox_ca_followers_are_done_(&followers, &k->state, now_s());
	if (!is_news && !is_ripe)
		return;
	cox_ca_state_copy(&k->state, &next);
	if (is_ripe) {
		cox_rotate_advance(&next, now_s(), k->spec->max_ttl_s);
		note_origin(k, &next);
	}
	save(k, &next, &followers);
}

static void expire_if_due(struct keeper *k)
{
	struct cox_ca_state next;
	cox_ca_state_copy(&k->state, &next);
	if (k->state.retired_n && cox_clock_mono_ms() >= k->calm_until_ms && cox_rotate_expire(&next, now_s()))
		save(k, &next, NULL);
	cox_ca_state_fini(&next);
}

/* Looks at everything and does the first thing that is to be done; its end comes back here. */
static void evaluate(struct keeper *k)
{
	for (int o = 0; o < COX_CA_OBJECTS; o++)
		if (!k->has_object[o])
			return;
	if (!k->dir_set.is_known || k->is_saving)
		return;
	const struct keeper_set *set = operators_set(k);
	if (!k->has_state)
		first_state(k, set);
	if (!k->has_state || k->is_saving)
		return;
	if (set && set->is_good)
		offer(k, set);
	if (!k->is_saving && k->state.phase != COX_CA_STEADY)
		advance_if_done(k);
	if (!k->is_saving)
		renew_if_due(k);
	if (!k->is_saving)
		expire_if_due(k);
}

static void on_tick(void *ctx)
{
	check_clock(ctx);
	evaluate(ctx);
}

/* --- what comes from outside ------------------------------------------------------------------------------------------ */

static void set_trust_domain(struct keeper *k, struct cox_str name)
{
	struct cox_err err;
	if (cox_str_eq_cstr(name, k->trust_domain))
		return;
	if (!cox_spiffe_is_trust_domain(name)) {
		cox_err_set(&err, COX_EINVAL, NULL, "trustDomain \"%.*s\" is no trust domain: \"%s\" stays",
		            COX_FMT(cox_str_sub(name, 0, 200)), k->trust_domain);
		fault(k, &err);
		return;
	}
	cox_str_to_cstr(name, k->trust_domain, sizeof(k->trust_domain));
	if (k->has_state)
		publish(k);
}

static void on_mesh_doc(void *arg, struct cox_json *root, struct cox_str text, const struct cox_err *err)
{
	struct keeper *k = arg;
	struct cox_str name = cox_json_str_at(root, "trustDomain");
	(void)text, (void)err; /* who reads all of it says what is wrong with it */
	if (root)
		set_trust_domain(k, name.n ? name : k->spec->trust_domain);
}

static void read_mesh(struct keeper *k, struct cox_str yaml)
{
	struct cox_arena arena = { 0 };
	struct cox_err err;
	if (yaml.n && cox_yaml_each(&arena, yaml, COX_CERT_PEM_BYTES_MAX, on_mesh_doc, k, &err) != COX_OK)
		fault(k, &err);
	cox_arena_fini(&arena);
	evaluate(k);
}

static void on_object(void *ctx, enum cox_ca_object o, const struct cox_ca_entries *e)
{
	struct keeper *k = ctx;
	struct cox_ca_state s = { 0 }, copy;
	struct cox_ca_followers *followers = o == COX_CA_OBJECT_ROOT ? &k->root_followers : &k->plugged_followers;
	struct cox_err err;
	k->has_object[o] = true;
	k->is_there[o] = e != NULL;
	if (o == COX_CA_OBJECT_MESH) {
		read_mesh(k, e ? cox_ca_entries_get_(e, "mesh") : COX_STR(""));
		return;
	}
	if (o == COX_CA_OBJECT_CACERTS) {
		cox_ca_keeper_set_(k, e, false);
		return;
	}
	if (!e) {
		/* Deleted: what is in force stays, and is written again with the next change. A root of our own is written at once. */
		*(o == COX_CA_OBJECT_ROOT ? &k->has_root : &k->has_plugged) = false;
		if (o == COX_CA_OBJECT_ROOT && k->has_state && !k->state.is_plugged_in && !k->is_saving) {
			cox_log(COX_LOG_WARN, "ca", "istio-ca-secret is gone: it is written again");
			cox_ca_state_copy(&k->state, &copy);
			save(k, &copy, &k->followers);
			return;
		}
		evaluate(k);
		return;
	}
	if (cox_ca_state_read_(e, &s, followers, &err) != COX_OK) {
		cox_err_wrap(&err, "%s", cox_ca_object_name_(o));
		fault(k, &err);
		return;
	}
	struct cox_ca_state *stored = o == COX_CA_OBJECT_ROOT ? &k->root_state : &k->plugged_state;
	cox_ca_state_fini(stored);
	*stored = s;
	*(o == COX_CA_OBJECT_ROOT ? &k->has_root : &k->has_plugged) = true;
	bool is_ours = o == COX_CA_OBJECT_PLUGGED ? operators_set(k) != NULL : !operators_set(k);
	if (k->has_state && is_ours && !k->is_saving) {
		cox_ca_state_copy(stored, &copy);
		adopt(k, &copy, followers);
	}
	evaluate(k);
}

void cox_ca_keeper_set_(struct keeper *k, const struct cox_ca_entries *e, bool is_dir)
{
	struct keeper_set *set = is_dir ? &k->dir_set : &k->secret_set;
	struct cox_ca_key key = { 0 };
	struct cox_buf crl = { 0 };
	struct cox_err err = { 0 };
	const char *where = is_dir ? k->spec->root_ca_dir : "secret cacerts";
	enum cox_rc rc = e ? cox_ca_set_read_(e, now_s(), &key, &crl, &err) : COX_ENOTFOUND;
	set->is_known = true;
	if (rc == COX_OK) {
		cox_ca_key_fini(&set->key);
		cox_buf_fini(&set->crl);
		set->key = key;
		set->crl = crl;
		set->is_there = set->is_good = true;
		k->last_fault[0] = 0;
	} else {
		cox_buf_fini(&crl);
		if (rc == COX_ENOTFOUND && set->is_good)
			cox_err_set(&err, rc, NULL, "%s: the CA that was plugged in is gone; the last good one stays in force", where);
		else if (rc != COX_ENOTFOUND) {
			set->is_there = true;
			cox_err_wrap(&err, set->is_good ? "%s is not taken, the last good one stays in force" : "%s is not taken", where);
		}
		if (err.text[0])
			fault(k, &err);
	}
	evaluate(k);
}

void cox_ca_keeper_fault_(struct keeper *k, const struct cox_err *err) { fault(k, err); }

static void on_store_fault(void *ctx, const struct cox_err *err) { fault(ctx, err); }

static void rotate(struct keeper *k)
{
	struct cox_ca_key fresh = { 0 };
	struct cox_ca_state next;
	struct cox_err err;
	if (!k->has_state || k->is_saving || k->state.is_plugged_in || k->state.phase != COX_CA_STEADY) {
		cox_err_set(&err, COX_EAGAIN, NULL, "no rotation of the root can begin now: the phase is %s",
		            cox_ca_phase_name(k->state.phase));
		fault(k, &err);
		return;
	}
	make_root(k, &fresh);
	cox_ca_state_copy(&k->state, &next);
	if (cox_rotate_start_take(&next, &fresh, now_s(), &err) == COX_OK)
		save(k, &next, NULL);
	else
		cox_ca_state_fini(&next);
}

static void on_main(void *ctx, int events)
{
	struct keeper *k = ctx;
	struct cox_arena arena = { 0 };
	struct cox_wire m;
	struct cox_err err;
	enum cox_rc rc;
	if (events & COX_POLL_WRITE)
		flush_main(k);
	if (cox_wire_fill(&k->main) == COX_EIO)
		_exit(0);
	while ((rc = cox_wire_next(&k->main, &arena, &m, &err)) == COX_OK) {
		if (m.type == COX_WIRE_ROTATE)
			rotate(k);
		else if (m.type == COX_WIRE_TRUST_DOMAIN && k->spec->store != COX_CA_STORE_KUBE)
			set_trust_domain(k, m.text);
		else if (m.type == COX_WIRE_PHASE_DONE) {
			k->done_epoch = m.id;
			evaluate(k);
		}
		cox_arena_reset(&arena);
	}
	cox_arena_fini(&arena);
	if (rc != COX_EAGAIN)
		_exit(1);
}

static void on_signer(void *ctx, int events)
{
	struct keeper *k = ctx;
	if (events & COX_POLL_WRITE)
		flush_signer(k);
	/* It never says anything: this is its end. */
	if (cox_wire_fill(&k->signer) == COX_EIO)
		_exit(0);
}

static void on_save_timer(void *ctx) { evaluate(ctx); }

/* --- the process -------------------------------------------------------------------------------------------------------- */

static enum cox_rc open_store(struct keeper *k, struct cox_err *err)
{
	struct cox_ca_store_cb cb = { .on_object = on_object, .on_saved = on_saved, .on_fault = on_store_fault, .ctx = k };
	switch (k->spec->store) {
	case COX_CA_STORE_MEMORY: k->store = cox_ca_store_memory_(k->loop, &cb); return COX_OK;
	case COX_CA_STORE_DIR: return cox_ca_store_dir_(k->loop, k->spec->state_dir, &cb, &k->store, err);
	case COX_CA_STORE_KUBE: return cox_ca_store_kube_(k->loop, k->spec, &cb, &k->store, err);
	}
	return COX_EINVAL;
}

void cox_ca_keeper_run_(const struct cox_ca_spec *spec, int main_fd, int signer_fd)
{
	struct keeper *k = COX_NEW(struct keeper);
	struct cox_err err = { 0 };
	char random[32];
	k->spec = spec;
	snprintf(random, sizeof(random), "keeper-%08x%08x", cox_random_below(UINT32_MAX), cox_random_below(UINT32_MAX));
	cox_str_to_cstr(spec->replica.n ? spec->replica : cox_str_of(random), k->replica, sizeof(k->replica));
	cox_str_to_cstr(spec->trust_domain, k->trust_domain, sizeof(k->trust_domain));
	k->loop = cox_loop_new("ca-keeper");
	cox_wire_chan_init(&k->main, main_fd, false);
	cox_wire_chan_init(&k->signer, signer_fd, true);
	k->save_timer = cox_timer_new(k->loop, on_save_timer, k);
	k->tick = cox_timer_new(k->loop, on_tick, k);
	cox_timer_start(k->tick, TICK_MS, TICK_MS);
	enum cox_rc rc = cox_poll_open(k->loop, main_fd, on_main, k, &k->main_poll);
	if (rc == COX_OK)
		rc = cox_poll_open(k->loop, signer_fd, on_signer, k, &k->signer_poll);
	if (rc == COX_OK)
		rc = open_store(k, &err);
	if (rc != COX_OK) {
		cox_log(COX_LOG_ERROR, "ca", "keeper: cannot start error=\"%s\"", err.text);
		_exit(1);
	}
	flush_main(k);
	flush_signer(k);
	check_clock(k);
	cox_ca_set_watch_open_(k->loop, spec->root_ca_dir, k, &k->set_watch);
	cox_loop_run(k->loop);
	_exit(0);
}
