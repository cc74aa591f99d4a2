#include "ca/doc_store_priv.h"
#include "ca/ledger_priv.h"
#include "ca/spiffe.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "loop/timer.h"

#include <pthread.h>
#include <stdio.h>

#define REVOKED_DOC COX_STR("coxswain-revoked")
#define ISSUED_PREFIX COX_STR("coxswain-issued-")
#define ROTATE_DOC COX_STR("coxswain-rotate")

enum {
	FLUSH_MS = 1000, /* issued certificates wait so long to be stored together */
	RETRY_MS = 5000,
	DOC_ITEMS_MAX = 1000, /* some 150 KB: what one flush writes again */
	SWEEP_MS = 10 * 60 * 1000,
	EXPIRED_GRACE_S = 3600, /* clocks of those who look at a certificate */
};

struct pending {
	struct pending *next;
	char *serial, *uri, *issuer;
	int64_t not_after_s;
};
struct change { /* a revocation on its way into the store */
	struct change *next;
	struct cox_ledger *l;
	struct cox_revoke r;
	struct cox_arena arena;
	char serial[COX_CERT_SERIAL_HEX_MAX];
	size_t n;
	void (*done)(void *ctx, enum cox_rc rc, size_t n, const struct cox_err *err);
	void *ctx;
};
struct cox_ledger {
	struct cox_ledger_spec spec;
	char *replica;
	struct doc_store *store; /* NULL: memory only */
	struct cox_timer *flush, *sweep;
	struct cox_map docs;    /* name: struct issued_doc */
	struct issued_doc *own; /* what this replica writes now */
	uint64_t own_n;         /* texts begun */
	size_t own_lines;
	bool is_dirty, is_writing;
	struct change *changes;
	/* Guarded by `lock`: a leaf lock. */
	pthread_mutex_t lock;
	struct revoked_doc revoked;
	struct pending *pending, **pending_end;
	bool is_posted;
	struct cox_loop_task take;
	void (*closed)(void *ctx);
	void *closed_ctx;
};

static int64_t now_s(void) { return cox_clock_wall_ms() / 1000; }

/* --- what is revoked ---------------------------------------------------------------------------------- */

static void tell_revoked(struct cox_ledger *l)
{
	COX_VEC(struct cox_ca_revoked) items = { 0 };
	int64_t now = now_s();
	for (size_t i = 0; i < l->revoked.serials.n; i++) { /* changed on this loop only: read without the lock */
		const struct revoked *r = &l->revoked.serials.p[i];
		struct cox_ca_revoked one = { .revoked_s = r->revoked_s };
		if (r->not_after_s + EXPIRED_GRACE_S < now)
			continue;
		cox_str_to_cstr(r->serial, one.serial, sizeof(one.serial));
		cox_vec_push(&items, one);
	}
	cox_metric_set(COX_M_CERTS_REVOKED, NULL, (double)items.n);
	if (l->spec.on_revoked)
		l->spec.on_revoked(l->spec.ctx, items.p, items.n);
	cox_vec_fini(&items);
}

static void tell_changed(struct cox_ledger *l)
{
	tell_revoked(l);
	if (l->spec.on_blocked)
		l->spec.on_blocked(l->spec.ctx);
}

static void set_revoked(struct cox_ledger *l, struct cox_str text)
{
	pthread_mutex_lock(&l->lock);
	revoked_doc_parse(&l->revoked, text);
	pthread_mutex_unlock(&l->lock);
	tell_changed(l);
}

enum cox_rc cox_ledger_check(struct cox_ledger *l, struct cox_str uri, struct cox_str serial, struct cox_err *err)
{
	enum cox_rc rc = COX_OK;
	pthread_mutex_lock(&l->lock);
	const struct block *b = uri.n ? revoked_doc_blocks(&l->revoked, uri) : NULL;
	const struct revoked *r = serial.n ? revoked_doc_find(&l->revoked, serial) : NULL;
	if (b)
		rc = cox_err_set(err, COX_EDENIED, NULL, "%s %.*s is blocked%s%.*s", b->kind == BLOCK_IDENTITY ? "identity" : "namespace",
		                 COX_FMT(b->value), b->reason.n ? ": " : "", COX_FMT(b->reason));
	else if (r)
		rc = cox_err_set(err, COX_EDENIED, NULL, "certificate %.*s is revoked%s%.*s", COX_FMT(serial), r->reason.n ? ": " : "",
		                 COX_FMT(r->reason));
	pthread_mutex_unlock(&l->lock);
	return rc;
}

/* --- a revocation --------------------------------------------------------------------------------------- */

static bool is_meant(const struct change *c, const struct issued *i)
{
	struct cox_spiffe_id id;
	if (c->serial[0])
		return cox_str_eq_cstr(i->serial, c->serial);
	if (c->r.identity.n)
		return cox_str_eq(i->uri, c->r.identity);
	return cox_spiffe_parse(i->uri, &id, NULL) == COX_OK && cox_str_eq(id.ns, c->r.ns);
}

static int64_t not_after_of(struct cox_ledger *l, const char *serial)
{
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&l->docs, e));) {
		const struct issued_doc *d = e->value;
		for (size_t i = 0; i < d->items.n; i++)
			if (cox_str_eq_cstr(d->items.p[i].serial, serial))
				return d->items.p[i].not_after_s;
	}
	return 0;
}

static bool undo(struct change *c, struct revoked_doc *d)
{
	bool changed = c->serial[0]      ? revoked_doc_remove(d, cox_str_of(c->serial))
	               : c->r.identity.n ? revoked_doc_unblock(d, BLOCK_IDENTITY, c->r.identity)
	                                 : revoked_doc_unblock(d, BLOCK_NAMESPACE, c->r.ns);
	c->n = changed;
	return changed;
}

static bool revoke(struct change *c, struct revoked_doc *d)
{
	struct cox_ledger *l = c->l;
	int64_t now = now_s();
	bool changed = false;
	c->n = 0;
	if (c->r.identity.n)
		changed = revoked_doc_block(d, BLOCK_IDENTITY, c->r.identity, now, c->r.reason);
	else if (c->r.ns.n)
		changed = revoked_doc_block(d, BLOCK_NAMESPACE, c->r.ns, now, c->r.reason);
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&l->docs, e));) {
		const struct issued_doc *doc = e->value;
		for (size_t i = 0; i < doc->items.n; i++) {
			const struct issued *one = &doc->items.p[i];
			if (one->not_after_s < now || !is_meant(c, one))
				continue;
			c->n++;
			changed |= revoked_doc_add(d, one->serial, one->not_after_s, now, c->r.reason);
		}
	}
	return changed;
}

static bool on_change(void *ctx, struct cox_str old, struct cox_buf *out)
{
	struct change *c = ctx;
	struct revoked_doc d = { 0 };
	revoked_doc_parse(&d, old);
	bool changed = c->r.is_undone ? undo(c, &d) : revoke(c, &d);
	if (changed)
		revoked_doc_write(&d, now_s() - EXPIRED_GRACE_S, out);
	revoked_doc_fini(&d);
	return changed;
}

static void change_free(struct change *c)
{
	for (struct change **p = &c->l->changes; *p; p = &(*p)->next)
		if (*p == c) {
			*p = c->next;
			break;
		}
	cox_arena_fini(&c->arena);
	cox_free(c);
}

/* The store tells it soon; who asked for it may rely on it now. */
static void apply_here(struct change *c)
{
	struct cox_ledger *l = c->l;
	size_t n = c->n;
	pthread_mutex_lock(&l->lock);
	bool changed = c->r.is_undone ? undo(c, &l->revoked) : revoke(c, &l->revoked);
	pthread_mutex_unlock(&l->lock);
	c->n = n;
	if (changed)
		tell_changed(l);
}

static void on_changed(void *ctx, enum cox_rc rc, const struct cox_err *err)
{
	struct change *c = ctx;
	if (rc == COX_OK) {
		apply_here(c);
		cox_log(COX_LOG_INFO, "ca", "%s certificates=%zu serial=%s identity=%.*s namespace=%.*s reason=\"%.*s\"",
		        c->r.is_undone ? "revocation taken back" : "revoked", c->n, c->serial, COX_FMT(c->r.identity), COX_FMT(c->r.ns),
		        COX_FMT(c->r.reason));
	}
	if (c->done)
		c->done(c->ctx, rc, c->n, err);
	change_free(c);
}

static void refuse(struct change *c, const char *text)
{
	struct cox_err err;
	cox_err_set(&err, COX_EINVAL, NULL, "%s", text);
	on_changed(c, COX_EINVAL, &err);
}

/* Without a store memory is all there is: on_changed() does the work; this counts. */
static void change_memory(struct change *c)
{
	struct cox_buf old = { 0 }, text = { 0 };
	revoked_doc_write(&c->l->revoked, 0, &old);
	on_change(c, cox_buf_str(&old), &text);
	on_changed(c, COX_OK, NULL);
	cox_buf_fini(&old);
	cox_buf_fini(&text);
}

void cox_ledger_revoke(struct cox_ledger *l, const struct cox_revoke *r,
                       void (*done)(void *ctx, enum cox_rc rc, size_t n, const struct cox_err *err), void *ctx)
{
	struct change *c = COX_NEW(struct change);
	struct cox_err err = { 0 };
	struct cox_spiffe_id id;
	c->l = l;
	c->next = l->changes;
	l->changes = c;
	c->done = done;
	c->ctx = ctx;
	c->r = (struct cox_revoke){ .identity = cox_arena_str(&c->arena, r->identity),
		                    .ns = cox_arena_str(&c->arena, r->ns),
		                    .reason = cox_arena_str(&c->arena, r->reason),
		                    .is_undone = r->is_undone };
	if ((r->serial.n > 0) + (r->identity.n > 0) + (r->ns.n > 0) != 1)
		refuse(c, "exactly one of serial, identity and namespace is needed");
	else if (r->serial.n && ledger_serial_normalize(r->serial, c->serial) != COX_OK)
		refuse(c, "the serial is no hexadecimal number of at most 20 bytes");
	else if (r->identity.n && cox_spiffe_parse(r->identity, &id, &err) != COX_OK)
		refuse(c, err.text);
	else if (c->serial[0] && !r->is_undone && not_after_of(l, c->serial) == 0)
		refuse(c, "no certificate with this serial was issued, or it has expired");
	else if (l->store)
		doc_store_update(l->store, REVOKED_DOC, on_change, on_changed, c);
	else
		change_memory(c);
}

/* --- what was issued -------------------------------------------------------------------------------------- */

/* A certificate made by a replica that did not know of the block yet. */
static void revoke_blocked(struct cox_ledger *l, const struct issued_doc *d)
{
	for (size_t i = 0; i < d->items.n; i++) {
		const struct issued *one = &d->items.p[i];
		const struct block *b = one->not_after_s >= now_s() ? revoked_doc_blocks(&l->revoked, one->uri) : NULL;
		if (!b || revoked_doc_find(&l->revoked, one->serial))
			continue;
		struct cox_revoke r = { .reason = b->reason };
		if (b->kind == BLOCK_IDENTITY)
			r.identity = b->value;
		else
			r.ns = b->value;
		cox_ledger_revoke(l, &r, NULL, NULL);
		return; /* takes all of that identity */
	}
}

static struct issued_doc *doc_get(struct cox_ledger *l, struct cox_str name)
{
	struct issued_doc *d = cox_map_find(&l->docs, name);
	if (d)
		return d;
	d = COX_NEW(struct issued_doc);
	d->name = cox_str_dup_cstr(name);
	cox_map_set(&l->docs, cox_str_of(d->name), d);
	return d;
}

static struct issued_doc *own_doc_new(struct cox_ledger *l)
{
	char name[300];
	snprintf(name, sizeof(name), "%.*s%s-%llx-%llu", COX_FMT(ISSUED_PREFIX), l->replica, (unsigned long long)now_s(),
	         (unsigned long long)l->own_n++);
	return doc_get(l, cox_str_of(name));
}

static void on_stored(void *ctx, enum cox_rc rc, const struct cox_err *err);

static void write_own(struct cox_ledger *l)
{
	if (!l->store || !l->is_dirty || l->is_writing)
		return;
	l->is_dirty = false;
	l->is_writing = true;
	doc_store_put(l->store, cox_str_of(l->own->name), cox_buf_str(&l->own->text), on_stored, l);
}

static void end_if_closed(struct cox_ledger *l);

static void on_stored(void *ctx, enum cox_rc rc, const struct cox_err *err)
{
	struct cox_ledger *l = ctx;
	l->is_writing = false;
	if (rc != COX_OK) {
		l->is_dirty = true;
		cox_log(COX_LOG_WARN, "ca", "issued certificates could not be stored; trying again error=\"%s\"", err->text);
		if (!l->closed)
			cox_timer_start(l->flush, RETRY_MS, 0);
	} else if (l->is_dirty) {
		write_own(l);
	}
	if (l->closed)
		end_if_closed(l);
}

static void on_flush(void *ctx) { write_own(ctx); }

/* Only the text grows here: what it says is listed once for all that came together. */
static void note_issued(struct cox_ledger *l, const struct pending *p)
{
	struct issued_doc *before = l->own;
	if (!before || l->own_lines == DOC_ITEMS_MAX) {
		if (before)
			issued_doc_parse(before);
		if (before && l->is_dirty && l->store) /* the last flush of the one that is full */
			doc_store_put(l->store, cox_str_of(before->name), cox_buf_str(&before->text), NULL, NULL);
		l->own = own_doc_new(l);
		l->own_lines = 0;
	}
	issued_line_write(cox_str_of(p->serial), p->not_after_s, cox_str_of(p->issuer), cox_str_of(p->uri), &l->own->text);
	l->own_lines++;
	l->is_dirty = true;
}

static void on_take(struct cox_loop_task *task)
{
	struct cox_ledger *l = (struct cox_ledger *)(void *)((char *)task - offsetof(struct cox_ledger, take));
	pthread_mutex_lock(&l->lock);
	struct pending *list = l->pending;
	l->pending = NULL;
	l->pending_end = &l->pending;
	l->is_posted = false;
	pthread_mutex_unlock(&l->lock);
	while (list) {
		struct pending *p = list;
		list = p->next;
		note_issued(l, p);
		cox_free(p->serial);
		cox_free(p->uri);
		cox_free(p->issuer);
		cox_free(p);
	}
	if (l->own) {
		issued_doc_parse(l->own);
		revoke_blocked(l, l->own);
	}
	if (l->closed)
		end_if_closed(l);
	else if (l->is_dirty && !cox_timer_is_running(l->flush))
		cox_timer_start(l->flush, FLUSH_MS, 0);
}

void cox_ledger_add(struct cox_ledger *l, struct cox_str serial, struct cox_str uri, int64_t not_after_s, struct cox_str issuer_key_id)
{
	struct pending *p = COX_NEW(struct pending);
	p->serial = cox_str_dup_cstr(serial);
	p->uri = cox_str_dup_cstr(uri);
	p->issuer = cox_str_dup_cstr(issuer_key_id);
	p->not_after_s = not_after_s;
	pthread_mutex_lock(&l->lock);
	*l->pending_end = p;
	l->pending_end = &p->next;
	bool post = !l->is_posted;
	l->is_posted = true;
	pthread_mutex_unlock(&l->lock);
	if (post)
		cox_loop_post(l->spec.loop, &l->take);
}

/* --- a rotation that somebody asks for ------------------------------------------------------------------------ */

struct rotate_ask {
	void (*done)(void *ctx, enum cox_rc rc, const struct cox_err *err);
	void *ctx;
};

static void on_asked(void *ctx, enum cox_rc rc, const struct cox_err *err)
{
	struct rotate_ask *ask = ctx;
	ask->done(ask->ctx, rc, err);
	cox_free(ask);
}

void cox_ledger_rotate_ask(struct cox_ledger *l, void (*done)(void *ctx, enum cox_rc rc, const struct cox_err *err), void *ctx)
{
	struct rotate_ask *ask = COX_NEW(struct rotate_ask);
	char text[32];
	*ask = (struct rotate_ask){ done, ctx };
	snprintf(text, sizeof(text), "%lld", (long long)now_s());
	if (l->store)
		doc_store_put(l->store, ROTATE_DOC, cox_str_of(text), on_asked, ask);
	else
		on_asked(ask, COX_EINVAL, &(struct cox_err){ .rc = COX_EINVAL, .text = "there is no store to ask by" });
}

void cox_ledger_rotate_taken(struct cox_ledger *l)
{
	if (l->store)
		doc_store_remove(l->store, ROTATE_DOC);
}

int64_t cox_ledger_last_by_others(const struct cox_ledger *l, struct cox_str issuer_key_id)
{
	int64_t last = 0, now = now_s();
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&l->docs, e));) {
		const struct issued_doc *d = e->value;
		for (size_t i = 0; i < d->items.n; i++) {
			const struct issued *one = &d->items.p[i];
			if (one->not_after_s > now && one->not_after_s > last && !cox_str_eq(one->issuer, issuer_key_id) &&
			    !revoked_doc_find(&l->revoked, one->serial))
				last = one->not_after_s;
		}
	}
	return last;
}

/* --- from the store -------------------------------------------------------------------------------------- */

static void on_doc(void *ctx, struct cox_str name, struct cox_str text)
{
	struct cox_ledger *l = ctx;
	if (cox_str_eq(name, REVOKED_DOC)) {
		set_revoked(l, text);
	} else if (cox_str_eq(name, ROTATE_DOC)) {
		if (l->spec.on_rotate)
			l->spec.on_rotate(l->spec.ctx);
	} else if (cox_str_has_prefix(name, ISSUED_PREFIX)) {
		struct issued_doc *d = doc_get(l, name);
		if (d == l->own)
			return; /* it says what we wrote */
		cox_buf_clear(&d->text);
		cox_buf_append_str(&d->text, text);
		if (issued_doc_parse(d))
			cox_log(COX_LOG_WARN, "ca", "lines that are not understood text=%.*s", COX_FMT(name));
		revoke_blocked(l, d);
	}
}

static void on_doc_removed(void *ctx, struct cox_str name)
{
	struct cox_ledger *l = ctx;
	struct issued_doc *d = cox_map_find(&l->docs, name);
	if (cox_str_eq(name, REVOKED_DOC))
		set_revoked(l, COX_STR(""));
	if (!d || d == l->own)
		return;
	cox_map_remove(&l->docs, name);
	issued_doc_free(d);
}

static void on_synced(void *ctx, enum cox_rc rc)
{
	struct cox_ledger *l = ctx;
	if (rc != COX_OK)
		cox_log(COX_LOG_WARN, "ca", "the list of issued and revoked certificates cannot be read: revocations are not known");
	tell_revoked(l);
	if (l->spec.on_ready)
		l->spec.on_ready(l->spec.ctx, rc);
}

static void on_sweep(void *ctx)
{
	struct cox_ledger *l = ctx;
	int64_t limit = now_s() - EXPIRED_GRACE_S;
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&l->docs, e));) {
		struct issued_doc *d = e->value;
		if (d == l->own || d->last_not_after_s >= limit)
			continue;
		if (l->store)
			doc_store_remove(l->store, cox_str_of(d->name));
		cox_map_remove(&l->docs, e->key);
		issued_doc_free(d);
	}
	tell_revoked(l); /* what expired leaves the CRL, and the CRL is signed anew before it ends */
}

/* --- life ------------------------------------------------------------------------------------------------- */

/* A part of a ConfigMap's name. */
static char *name_part(struct cox_str replica)
{
	struct cox_buf b = { 0 };
	size_t n;
	for (size_t i = 0; i < replica.n && i < 100; i++) {
		char c = replica.p[i];
		bool ok = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
		cox_buf_append_char(&b, c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : ok ? c : '-');
	}
	cox_buf_append_char(&b, '\0');
	return cox_buf_take(&b, &n);
}

enum cox_rc cox_ledger_open(const struct cox_ledger_spec *spec, struct cox_ledger **out, struct cox_err *err)
{
	struct cox_ledger *l = COX_NEW(struct cox_ledger);
	struct doc_store_cb cb = { on_doc, on_doc_removed, on_synced, l };
	enum cox_rc rc = COX_OK;
	l->spec = *spec;
	l->replica = name_part(spec->replica);
	l->pending_end = &l->pending;
	l->take.fn = on_take;
	pthread_mutex_init(&l->lock, NULL);
	l->flush = cox_timer_new(spec->loop, on_flush, l);
	l->sweep = cox_timer_new(spec->loop, on_sweep, l);
	if (spec->kube)
		doc_store_open_kube(spec->kube, spec->ns, &cb, &l->store);
	else if (spec->state_dir)
		rc = doc_store_open_dir(spec->loop, spec->state_dir, &cb, &l->store, err);
	if (rc != COX_OK) {
		cox_ledger_close(&l, NULL, NULL);
		return rc;
	}
	cox_timer_start(l->sweep, SWEEP_MS, SWEEP_MS);
	*out = l;
	return COX_OK;
}

static void ledger_free(struct cox_ledger *l)
{
	void (*closed)(void *ctx) = l->closed;
	void *ctx = l->closed_ctx;
	doc_store_close(&l->store);
	while (l->changes)
		change_free(l->changes);
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&l->docs, e));)
		issued_doc_free(e->value);
	cox_map_fini(&l->docs);
	revoked_doc_fini(&l->revoked);
	cox_timer_free(&l->flush);
	cox_timer_free(&l->sweep);
	pthread_mutex_destroy(&l->lock);
	cox_free(l->replica);
	cox_free(l);
	if (closed)
		closed(ctx);
}

static void end_if_closed(struct cox_ledger *l)
{
	if (!l->is_writing && !l->is_posted)
		ledger_free(l);
}

static void no_op(void *ctx) { (void)ctx; }

void cox_ledger_close(struct cox_ledger **lp, void (*closed)(void *ctx), void *ctx)
{
	struct cox_ledger *l = *lp;
	*lp = NULL;
	if (!l)
		return;
	l->closed = closed ? closed : no_op;
	l->closed_ctx = ctx;
	cox_timer_stop(l->flush);
	cox_timer_stop(l->sweep);
	if (l->own)
		write_own(l);
	end_if_closed(l);
}

static void put(struct cox_arena *a, struct cox_json *o, const char *key, struct cox_json *v) { cox_json_set(a, o, cox_str_of(key), v); }

struct cox_json *cox_ledger_dump(struct cox_ledger *l, struct cox_arena *arena)
{
	struct cox_json *list = cox_json_new_array(arena);
	int64_t now = now_s();
	char text[32];
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&l->docs, e));) {
		const struct issued_doc *d = e->value;
		for (size_t i = 0; i < d->items.n; i++) {
			const struct issued *one = &d->items.p[i];
			if (one->not_after_s < now)
				continue;
			struct cox_json *o = cox_json_new_object(arena);
			const struct revoked *r = revoked_doc_find(&l->revoked, one->serial);
			cox_clock_format(one->not_after_s * 1000, text);
			put(arena, o, "serial", cox_json_new_str(arena, cox_arena_str(arena, one->serial)));
			put(arena, o, "identity", cox_json_new_str(arena, cox_arena_str(arena, one->uri)));
			put(arena, o, "notAfter", cox_json_new_str(arena, cox_arena_str(arena, cox_str_of(text))));
			put(arena, o, "issuer", cox_json_new_str(arena, cox_arena_str(arena, one->issuer)));
			put(arena, o, "revoked", cox_json_new_bool(arena, r != NULL));
			cox_json_push(arena, list, o);
		}
	}
	return list;
}
