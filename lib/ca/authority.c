#include "ca/authority.h"

#include "base/clock.h"
#include "ca/process_priv.h"
#include "ca/wire.h"
#include "loop/poll.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

enum {
	WAITING_MAX = 4096, /* requests that the signer has not answered: two seconds of its rate */
	END_MS = 2000,
	LOST_MS = 200, /* for the exit status of a process whose socket has closed */
};

/* --- bundles -------------------------------------------------------------------------------------------- */

const struct cox_ca_bundle *cox_ca_bundle_ref(const struct cox_ca_bundle *b)
{
	cox_ref_get(&((struct cox_ca_bundle *)(uintptr_t)b)->ref);
	return b;
}

void cox_ca_bundle_unref(const struct cox_ca_bundle *shared)
{
	struct cox_ca_bundle *b = (struct cox_ca_bundle *)(uintptr_t)shared;
	if (!b || !cox_ref_put(&b->ref))
		return;
	struct cox_arena arena = b->arena;
	cox_free(b);
	cox_arena_fini(&arena);
}

struct cox_ca_bundle *cox_ca_bundle_new(const struct cox_ca_bundle *parts)
{
	struct cox_ca_bundle *b = COX_NEW(struct cox_ca_bundle);
	struct cox_arena *a = &b->arena;
	struct cox_str *roots = COX_ARENA_ARRAY(a, struct cox_str, parts->root_n + 1);
	cox_ref_init(&b->ref);
	for (size_t i = 0; i < parts->root_n; i++)
		roots[i] = cox_arena_str(a, parts->roots_pem[i]);
	b->generation = parts->generation;
	b->epoch = parts->epoch;
	b->phase = parts->phase;
	b->is_plugged_in = parts->is_plugged_in;
	b->roots_pem = roots;
	b->root_n = parts->root_n;
	b->trust_domain = cox_arena_str(a, parts->trust_domain);
	b->chain_pem = cox_arena_str(a, parts->chain_pem);
	b->issuer_key_id = cox_arena_str(a, parts->issuer_key_id);
	b->crl_pem = cox_arena_str(a, parts->crl_pem);
	b->root_not_after_s = parts->root_not_after_s;
	b->issuer_not_after_s = parts->issuer_not_after_s;
	return b;
}

static void cell_ref(void *value) { cox_ca_bundle_ref(value); }
static void cell_unref(void *value) { cox_ca_bundle_unref(value); }

/* --- the authority --------------------------------------------------------------------------------------- */

/* A request on its way. It is owned by the queue, then by the task on the asker's loop. */
struct waiting {
	struct cox_loop_task task;
	struct waiting *next;
	uint64_t id;
	struct cox_loop *loop;
	void (*done)(void *ctx, enum cox_rc rc, const struct cox_ca_answer *a, const struct cox_err *err);
	void *ctx;
	enum cox_rc rc;
	struct cox_err err;
	struct cox_buf cert_pem;
	struct cox_cert_info info;
	struct cox_arena arena; /* of the names in it */
	const struct cox_ca_bundle *bundle;
};

struct cox_ca {
	struct cox_loop *loop;
	struct cox_ca_cb cb;
	pid_t keeper_pid, signer_pid;
	struct cox_wire_chan keeper; /* on the loop */
	struct cox_poll *keeper_poll, *signer_poll;
	struct cox_cell *cell; /* the latest bundle */
	uint64_t generation;
	bool is_lost;
	struct cox_ca_remote remote; /* a CA elsewhere: no processes, and all on the loop; `sign` NULL: our own */
	struct cox_buf trust_domain; /* of a CA elsewhere */

	pthread_mutex_t lock;          /* a leaf: guards what follows */
	struct cox_wire_chan signer;   /* `out` by any thread, `in` on the loop only */
	struct waiting *first, **last; /* in the order of their ids, which is the order of answers */
	size_t waiting_n;
	uint64_t last_id;
	struct cox_loop_task write_task; /* asks the loop to await that the socket can be written */
	bool is_write_posted;
};

static void finish(struct cox_loop_task *task)
{
	struct waiting *w = (struct waiting *)task;
	struct cox_ca_answer a = { .cert_pem = cox_buf_str(&w->cert_pem), .bundle = w->bundle, .info = w->info };
	w->done(w->ctx, w->rc, w->rc == COX_OK ? &a : NULL, w->rc == COX_OK ? NULL : &w->err);
	cox_buf_fini(&w->cert_pem);
	cox_arena_fini(&w->arena);
	cox_ca_bundle_unref(w->bundle);
	cox_free(w);
}

static void finish_later(struct waiting *w)
{
	w->task.fn = finish;
	cox_loop_post(w->loop, &w->task);
}

static void fail(struct waiting *w, enum cox_rc rc, const char *text)
{
	w->rc = cox_err_set(&w->err, rc, NULL, "%s", text);
	finish_later(w);
}

/* Everything that waits gets this answer. */
static void fail_all(struct cox_ca *ca, enum cox_rc rc, const char *text)
{
	pthread_mutex_lock(&ca->lock);
	struct waiting *w = ca->first;
	ca->first = NULL;
	ca->last = &ca->first;
	ca->waiting_n = 0;
	pthread_mutex_unlock(&ca->lock);
	while (w) {
		struct waiting *next = w->next;
		fail(w, rc, text);
		w = next;
	}
}

static void lose(struct cox_ca *ca, const char *name, pid_t *pid)
{
	char how[64], text[128];
	if (ca->is_lost)
		return;
	ca->is_lost = true;
	cox_poll_want(ca->keeper_poll, 0);
	cox_poll_want(ca->signer_poll, 0);
	cox_ca_process_reap_(pid, LOST_MS, how, sizeof(how));
	snprintf(text, sizeof(text), "CA %s: %s", name, how);
	fail_all(ca, COX_EAGAIN, text);
	if (ca->cb.on_lost)
		ca->cb.on_lost(ca->cb.ctx, text);
}

/* Each of the two ends when the other one has: the one that did not end by itself is the cause. */
static void lose_cause(struct cox_ca *ca)
{
	bool is_signer = cox_ca_process_has_failed_(ca->signer_pid, LOST_MS) || !cox_ca_process_has_failed_(ca->keeper_pid, LOST_MS);
	lose(ca, is_signer ? "signer" : "key keeper", is_signer ? &ca->signer_pid : &ca->keeper_pid);
}

/* --- to the children -------------------------------------------------------------------------------------- */

static void on_write_wanted(struct cox_loop_task *task)
{
	struct cox_ca *ca = (struct cox_ca *)((char *)task - offsetof(struct cox_ca, write_task));
	pthread_mutex_lock(&ca->lock);
	ca->is_write_posted = false;
	bool has_more = ca->signer.out.n > 0;
	pthread_mutex_unlock(&ca->lock);
	if (!ca->is_lost && ca->signer_poll)
		cox_poll_want(ca->signer_poll, COX_POLL_READ | (has_more ? COX_POLL_WRITE : 0));
}

/* With the lock held. What the socket does not take now is written by the loop. */
static enum cox_rc send_signer(struct cox_ca *ca, const struct cox_wire *m)
{
	COX_TRY(cox_wire_encode(m, &ca->signer.out));
	if (cox_wire_flush(&ca->signer) == COX_EAGAIN && !ca->is_write_posted) {
		ca->is_write_posted = true;
		ca->write_task.fn = on_write_wanted;
		cox_loop_post(ca->loop, &ca->write_task);
	}
	return COX_OK; /* a signer that is gone shows on the loop */
}

static void send_keeper(struct cox_ca *ca, const struct cox_wire *m)
{
	if (cox_wire_encode(m, &ca->keeper.out) != COX_OK || ca->is_lost)
		return;
	bool has_more = cox_wire_flush(&ca->keeper) == COX_EAGAIN;
	cox_poll_want(ca->keeper_poll, COX_POLL_READ | (has_more ? COX_POLL_WRITE : 0));
}

static struct cox_str *copy_names(struct cox_arena *arena, const struct cox_str *names, size_t n)
{
	struct cox_str *copy = n ? COX_ARENA_ARRAY(arena, struct cox_str, n) : NULL;
	for (size_t i = 0; i < n; i++)
		copy[i] = cox_arena_str(arena, names[i]);
	return copy;
}

void cox_ca_sign(struct cox_ca *ca, struct cox_loop *loop, const struct cox_ca_request *r,
                 void (*done)(void *ctx, enum cox_rc rc, const struct cox_ca_answer *a, const struct cox_err *err), void *ctx)
{
	if (ca->remote.sign) {
		ca->remote.sign(ca->remote.ctx, ca, loop, r, done, ctx);
		return;
	}
	struct waiting *w = COX_NEW(struct waiting);
	struct cox_wire m = { .type = COX_WIRE_SIGN,
		              .ttl_s = r->ttl_s,
		              .spki_der = r->spki_der,
		              .caller = r->caller,
		              .uri_n = r->uri_n,
		              .dns_n = r->dns_n,
		              .uris = (struct cox_str *)(uintptr_t)r->uris,
		              .dns = (struct cox_str *)(uintptr_t)r->dns };
	w->loop = loop;
	w->done = done;
	w->ctx = ctx;
	w->info = (struct cox_cert_info){ .uris = copy_names(&w->arena, r->uris, r->uri_n),
		                          .uri_n = r->uri_n,
		                          .dns = copy_names(&w->arena, r->dns, r->dns_n),
		                          .dns_n = r->dns_n,
		                          .key_type = "other" };
	pthread_mutex_lock(&ca->lock);
	bool is_full = ca->waiting_n >= WAITING_MAX;
	enum cox_rc rc = is_full ? COX_ELIMIT : COX_OK;
	if (rc == COX_OK) {
		m.id = w->id = ++ca->last_id;
		rc = send_signer(ca, &m);
	}
	if (rc == COX_OK) {
		*ca->last = w;
		ca->last = &w->next;
		ca->waiting_n++;
	}
	pthread_mutex_unlock(&ca->lock);
	if (rc != COX_OK)
		fail(w, rc, is_full ? "too many certificates are asked for" : "the request is too long");
}

/* --- a CA elsewhere ---------------------------------------------------------------------------------------- */

static void set_bundle(struct cox_ca *ca, const struct cox_ca_bundle *parts)
{
	struct cox_ca_bundle *b = cox_ca_bundle_new(parts);
	cox_ca_bundle_ref(b);
	cox_cell_set_take(ca->cell, b);
	if (ca->cb.on_bundle)
		ca->cb.on_bundle(ca->cb.ctx, b);
	cox_ca_bundle_unref(b);
}

static void set_remote_trust_domain(struct cox_ca *ca, struct cox_str name)
{
	const struct cox_ca_bundle *b = cox_ca_bundle_get(ca);
	bool is_other = !cox_str_eq(name, cox_buf_str(&ca->trust_domain));
	cox_buf_clear(&ca->trust_domain);
	cox_buf_append_str(&ca->trust_domain, name);
	if (b && is_other) {
		struct cox_ca_bundle parts = *b;
		parts.generation = ++ca->generation;
		parts.trust_domain = name;
		set_bundle(ca, &parts);
	}
	cox_ca_bundle_unref(b);
}

/* The end of the root that ends first: that is when somebody has to act. */
static enum cox_rc read_root(struct cox_str pem, struct cox_ca_bundle *parts, struct cox_arena *a, struct cox_err *err)
{
	struct cox_cert_info info;
	COX_TRY(cox_cert_read_pem(pem, a, &info, err));
	if (!info.is_ca)
		return cox_err_set(err, COX_EINVAL, NULL, "root \"%.*s\" is the certificate of no CA", COX_FMT(info.subject));
	if (!parts->root_not_after_s || info.not_after_s < parts->root_not_after_s)
		parts->root_not_after_s = parts->issuer_not_after_s = info.not_after_s;
	return COX_OK;
}

static bool has_roots(const struct cox_ca_bundle *b, const struct cox_str *pems, size_t n)
{
	bool is_equal = b && b->root_n == n;
	for (size_t i = 0; is_equal && i < n; i++)
		is_equal = cox_str_eq(b->roots_pem[i], pems[i]);
	return is_equal;
}

enum cox_rc cox_ca_set_roots(struct cox_ca *ca, const struct cox_ca_root *roots, size_t n, struct cox_err *err)
{
	COX_AUTO(cox_arena_fini) struct cox_arena a = { 0 };
	COX_AUTO(cox_buf_fini) struct cox_buf all = { 0 };
	struct cox_ca_bundle parts = { .trust_domain = cox_buf_str(&ca->trust_domain) };
	struct cox_str *pems;
	for (size_t i = 0; i < n; i++) {
		cox_buf_append_str(&all, roots[i].pem);
		cox_buf_append_str(&all, COX_STR("\n"));
	}
	COX_TRY(cox_cert_split(cox_buf_str(&all), &a, &pems, &parts.root_n, err));
	cox_cert_dedupe(pems, &parts.root_n);
	for (size_t i = 0; i < parts.root_n; i++)
		COX_TRY(read_root(pems[i], &parts, &a, err));
	if (ca->remote.set_roots)
		ca->remote.set_roots(ca->remote.ctx, roots, n);
	const struct cox_ca_bundle *b = cox_ca_bundle_get(ca);
	if (!has_roots(b, pems, parts.root_n)) {
		parts.roots_pem = pems;
		parts.generation = ++ca->generation;
		set_bundle(ca, &parts);
	}
	cox_ca_bundle_unref(b);
	return COX_OK;
}

struct cox_ca *cox_ca_new_remote_take(struct cox_loop *loop, const struct cox_ca_remote *remote, struct cox_str trust_domain,
                                      const struct cox_ca_cb *cb)
{
	struct cox_ca *ca = COX_NEW(struct cox_ca);
	ca->loop = loop;
	ca->cb = *cb;
	ca->remote = *remote;
	cox_buf_append_str(&ca->trust_domain, trust_domain);
	pthread_mutex_init(&ca->lock, NULL);
	ca->last = &ca->first;
	ca->cell = cox_cell_new(&(struct cox_cell_ops){ .ref = cell_ref, .unref = cell_unref });
	return ca;
}

/* --- rotation and revocation -------------------------------------------------------------------------------- */

enum cox_rc cox_ca_rotate_root(struct cox_ca *ca, struct cox_err *err)
{
	const struct cox_ca_bundle *b = cox_ca_bundle_get(ca);
	enum cox_rc rc = COX_OK;
	if (!b)
		rc = cox_err_set(err, COX_EAGAIN, NULL, "the CA has no key yet");
	else if (ca->remote.sign)
		rc = cox_err_set(err, COX_EINVAL, NULL, "the CA is elsewhere (EXTERNAL_CA): its root is rotated there");
	else if (b->phase != COX_CA_STEADY)
		rc = cox_err_set(err, COX_EAGAIN, NULL, "a rotation is in progress: phase %s", cox_ca_phase_name(b->phase));
	else if (b->is_plugged_in)
		rc = cox_err_set(err, COX_EINVAL, NULL, "the CA is plugged in: new files in cacerts start a rotation");
	cox_ca_bundle_unref(b);
	if (rc == COX_OK)
		send_keeper(ca, &(struct cox_wire){ .type = COX_WIRE_ROTATE });
	return rc;
}

void cox_ca_phase_done(struct cox_ca *ca, uint64_t generation)
{
	const struct cox_ca_bundle *b = cox_ca_bundle_get(ca);
	if (b && !ca->remote.sign && b->generation == generation && b->phase != COX_CA_STEADY)
		send_keeper(ca, &(struct cox_wire){ .type = COX_WIRE_PHASE_DONE, .id = b->epoch });
	cox_ca_bundle_unref(b);
}

void cox_ca_set_trust_domain(struct cox_ca *ca, struct cox_str name)
{
	if (ca->remote.sign)
		set_remote_trust_domain(ca, name);
	else
		send_keeper(ca, &(struct cox_wire){ .type = COX_WIRE_TRUST_DOMAIN, .text = name });
}

void cox_ca_set_revoked(struct cox_ca *ca, const struct cox_ca_revoked *items, size_t n)
{
	struct cox_err err;
	if (ca->remote.sign) {
		cox_err_set(&err, COX_EINVAL, NULL,
		            "%zu certificates are revoked: refused by the control plane, but the CA is elsewhere and peers get no CRL", n);
		if (n && ca->cb.on_fault)
			ca->cb.on_fault(ca->cb.ctx, &err);
		return;
	}
	struct cox_wire_revoked *list = n ? cox_calloc(n, sizeof(*list)) : NULL;
	for (size_t i = 0; i < n; i++)
		list[i] = (struct cox_wire_revoked){ cox_str_of(items[i].serial), items[i].revoked_s };
	pthread_mutex_lock(&ca->lock);
	enum cox_rc rc = send_signer(ca, &(struct cox_wire){ .type = COX_WIRE_REVOKED, .revoked = list, .revoked_n = n });
	pthread_mutex_unlock(&ca->lock);
	cox_free(list);
	if (rc != COX_OK && ca->cb.on_fault) {
		cox_err_set(&err, rc, NULL, "%zu revoked certificates are too many for a CRL", n);
		ca->cb.on_fault(ca->cb.ctx, &err);
	}
}

/* --- from the children ---------------------------------------------------------------------------------------- */

static void take_bundle(struct cox_ca *ca, const struct cox_wire *m)
{
	struct cox_ca_bundle parts = { .generation = ++ca->generation,
		                       .epoch = m->id,
		                       .phase = (enum cox_ca_phase)m->phase,
		                       .is_plugged_in = m->is_plugged_in,
		                       .trust_domain = m->text,
		                       .roots_pem = m->roots,
		                       .root_n = m->root_n,
		                       .chain_pem = m->chain_pem,
		                       .issuer_key_id = m->key_id,
		                       .crl_pem = m->crl_pem,
		                       .root_not_after_s = m->root_not_after_s,
		                       .issuer_not_after_s = m->issuer_not_after_s };
	set_bundle(ca, &parts);
}

static void take_answer(struct cox_ca *ca, const struct cox_wire *m)
{
	pthread_mutex_lock(&ca->lock);
	struct waiting *w = ca->first;
	if (w && w->id == m->id) {
		ca->first = w->next;
		if (!ca->first)
			ca->last = &ca->first;
		ca->waiting_n--;
	} else {
		w = NULL;
	}
	pthread_mutex_unlock(&ca->lock);
	if (!w)
		return;
	w->rc = m->rc <= COX_EINTERNAL ? (enum cox_rc)m->rc : COX_EINTERNAL;
	if (w->rc != COX_OK)
		cox_err_set(&w->err, w->rc, NULL, "%.*s", COX_FMT(m->text));
	cox_buf_append_str(&w->cert_pem, m->cert_pem);
	w->bundle = cox_cell_get(ca->cell);
	/* As the signer says: reading it again would cost more than signing did. */
	w->info.not_before_s = m->not_before_s;
	w->info.not_after_s = m->not_after_s;
	cox_str_to_cstr(m->serial, w->info.serial, sizeof(w->info.serial));
	if (w->bundle)
		cox_str_to_cstr(w->bundle->issuer_key_id, w->info.issuer_key_id, sizeof(w->info.issuer_key_id));
	finish_later(w);
}

static void take_fault(struct cox_ca *ca, const struct cox_wire *m)
{
	struct cox_err err;
	cox_err_set(&err, m->rc <= COX_EINTERNAL ? (enum cox_rc)m->rc : COX_EINTERNAL, NULL, "%.*s", COX_FMT(m->text));
	if (ca->cb.on_fault)
		ca->cb.on_fault(ca->cb.ctx, &err);
}

/* `in` of a channel is the loop's alone: the lock guards the socket and `out`. */
static void serve(struct cox_ca *ca, struct cox_wire_chan *c, const char *name, pid_t *pid)
{
	struct cox_arena arena = { 0 };
	struct cox_wire m;
	struct cox_err err;
	enum cox_rc rc = cox_wire_fill(c);
	if (rc == COX_EIO) {
		lose_cause(ca);
		return;
	}
	while (!ca->is_lost && (rc = cox_wire_next(c, &arena, &m, &err)) == COX_OK) {
		if (m.type == COX_WIRE_BUNDLE)
			take_bundle(ca, &m);
		else if (m.type == COX_WIRE_ANSWER)
			take_answer(ca, &m);
		else if (m.type == COX_WIRE_FAULT)
			take_fault(ca, &m);
		cox_arena_reset(&arena);
	}
	cox_arena_fini(&arena);
	if (rc != COX_OK && rc != COX_EAGAIN)
		lose(ca, name, pid);
}

static void on_signer(void *ctx, int events)
{
	struct cox_ca *ca = ctx;
	if (events & COX_POLL_WRITE) {
		pthread_mutex_lock(&ca->lock);
		bool has_more = cox_wire_flush(&ca->signer) == COX_EAGAIN;
		pthread_mutex_unlock(&ca->lock);
		cox_poll_want(ca->signer_poll, COX_POLL_READ | (has_more ? COX_POLL_WRITE : 0));
	}
	serve(ca, &ca->signer, "signer", &ca->signer_pid);
}

static void on_keeper(void *ctx, int events)
{
	struct cox_ca *ca = ctx;
	if (events & COX_POLL_WRITE) {
		bool has_more = cox_wire_flush(&ca->keeper) == COX_EAGAIN;
		cox_poll_want(ca->keeper_poll, COX_POLL_READ | (has_more ? COX_POLL_WRITE : 0));
	}
	serve(ca, &ca->keeper, "key keeper", &ca->keeper_pid);
}

/* --- open and close ------------------------------------------------------------------------------------------------ */

enum cox_rc cox_ca_open(struct cox_loop *loop, struct cox_ca_processes **processes, const struct cox_ca_cb *cb, struct cox_ca **out,
                        struct cox_err *err)
{
	struct cox_ca_processes *p = COX_MOVE(*processes);
	struct cox_ca *ca = COX_NEW(struct cox_ca);
	ca->loop = loop;
	ca->cb = *cb;
	ca->keeper_pid = p->keeper;
	ca->signer_pid = p->signer;
	cox_wire_chan_init(&ca->keeper, p->keeper_fd, false);
	cox_wire_chan_init(&ca->signer, p->signer_fd, false);
	cox_free(p);
	pthread_mutex_init(&ca->lock, NULL);
	ca->last = &ca->first;
	ca->cell = cox_cell_new(&(struct cox_cell_ops){ .ref = cell_ref, .unref = cell_unref });
	enum cox_rc rc = cox_poll_open(loop, ca->keeper.fd, on_keeper, ca, &ca->keeper_poll);
	if (rc == COX_OK)
		rc = cox_poll_open(loop, ca->signer.fd, on_signer, ca, &ca->signer_poll);
	if (rc != COX_OK) {
		cox_ca_close(&ca);
		return cox_err_set(err, rc, NULL, "the CA's sockets cannot be watched");
	}
	cox_poll_want(ca->keeper_poll, COX_POLL_READ);
	cox_poll_want(ca->signer_poll, COX_POLL_READ);
	*out = ca;
	return COX_OK;
}

/* A write that was posted and has not run yet: it must find the authority. */
static void free_later(struct cox_loop_task *task)
{
	struct cox_ca *ca = (struct cox_ca *)((char *)task - offsetof(struct cox_ca, write_task));
	pthread_mutex_destroy(&ca->lock);
	cox_free(ca);
}

void cox_ca_close(struct cox_ca **handle)
{
	struct cox_ca *ca = COX_MOVE(*handle);
	char text[64];
	if (!ca)
		return;
	if (ca->remote.sign) {
		ca->remote.close(ca->remote.ctx);
		cox_buf_fini(&ca->trust_domain);
		cox_cell_free(&ca->cell);
		free_later(&ca->write_task);
		return;
	}
	cox_poll_close(&ca->keeper_poll);
	cox_poll_close(&ca->signer_poll);
	fail_all(ca, COX_ECANCELED, "the CA is closing");
	cox_wire_chan_fini(&ca->keeper);
	cox_wire_chan_fini(&ca->signer);
	cox_ca_process_reap_(&ca->keeper_pid, END_MS, text, sizeof(text));
	cox_ca_process_reap_(&ca->signer_pid, END_MS, text, sizeof(text));
	cox_cell_free(&ca->cell);
	if (ca->is_write_posted) {
		ca->write_task.fn = free_later;
		return;
	}
	free_later(&ca->write_task);
}

const struct cox_ca_bundle *cox_ca_bundle_get(struct cox_ca *ca) { return cox_cell_get(ca->cell); }
