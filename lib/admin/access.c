/* access - loopback sees everything; others by their identity: the root namespace and those that are allowed see everything, workloads the
 * configuration of proxies of their own namespace (features g22). */
#include "admin/admin_priv.h"

#include "base/clock.h"
#include "ca/spiffe.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

enum { WAIT_S = 15 };

static void read_root(void *arg)
{
	struct answer *w = arg; /* only for its arena */
	w->only_ns = cox_arena_str(&w->arena, cox_registry_root_namespace(w->a->opts.registry));
}

static bool is_allowed(const struct cox_admin *a, struct cox_str ns)
{
	struct cox_str rest = cox_str_of(a->allowed_namespaces), item;
	while (rest.n && cox_str_next(&rest, ',', &item))
		if (cox_str_eq(cox_str_trim(item), ns))
			return true;
	struct answer scratch = { .a = (struct cox_admin *)a };
	cox_loop_call(a->opts.config_loop, read_root, &scratch);
	bool is_root = cox_str_eq(scratch.only_ns, ns);
	cox_arena_fini(&scratch.arena);
	return is_root;
}

enum cox_rc admin_access_check(struct cox_admin *a, const struct admin_caller *who, unsigned page_flags, struct cox_arena *arena,
                               struct cox_str *only_ns)
{
	*only_ns = COX_STR("");
	if (who->is_loopback)
		return COX_OK;
	if (!who->is_verified)
		return COX_EAUTH;
	if (a->opts.debug.any_identity || is_allowed(a, who->ns))
		return COX_OK;
	if (!(page_flags & PAGE_NAMESPACED))
		return COX_EDENIED;
	*only_ns = cox_arena_str(arena, who->ns);
	return COX_OK;
}

/* --- authenticators answer on the config loop; this thread waits --------------------------------------------------- */

struct check {
	struct cox_admin *a;
	struct cox_credentials credentials;
	struct cox_authn_ticket *ticket;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool is_done;
	const struct cox_identity *who;
};

static void on_known(void *ctx, enum cox_rc rc, const struct cox_identity *who, const struct cox_err *err)
{
	struct check *c = ctx;
	(void)err;
	pthread_mutex_lock(&c->lock);
	c->is_done = true;
	c->who = rc == COX_OK ? cox_identity_ref(who) : NULL;
	pthread_cond_signal(&c->cond);
	pthread_mutex_unlock(&c->lock);
}

static void begin_check(void *arg)
{
	struct check *c = arg;
	cox_authn_check(c->a->opts.authn, c->a->opts.config_loop, &c->credentials, on_known, c, &c->ticket);
}

static void cancel_check(void *arg) { cox_authn_cancel(&((struct check *)arg)->ticket); }

static void wait_check(struct check *c)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WAIT_S;
	pthread_mutex_lock(&c->lock);
	while (!c->is_done && pthread_cond_timedwait(&c->cond, &c->lock, &until) != ETIMEDOUT)
		;
	pthread_mutex_unlock(&c->lock);
}

void admin_access_ask(struct cox_admin *a, const struct cox_httpd_request *r, struct cox_arena *arena, struct admin_caller *out)
{
	struct cox_str xfcc = cox_httpd_header(r, "x-forwarded-client-cert");
	struct check c = { .a = a, .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };
	struct cox_spiffe_id id;
	*out = (struct admin_caller){ .is_loopback = cox_httpd_peer_is_loopback(r) };
	if (out->is_loopback || !a->opts.authn)
		return;
	c.credentials = (struct cox_credentials){ .authorization = cox_httpd_header(r, "authorization"),
		                                  .cluster_id = cox_httpd_header(r, "clusterid"),
		                                  .xfcc = &xfcc,
		                                  .xfcc_n = xfcc.n ? 1 : 0,
		                                  .peer_address = cox_httpd_peer(r) };
	cox_loop_call(a->opts.config_loop, begin_check, &c);
	wait_check(&c);
	cox_loop_call(a->opts.config_loop, cancel_check, &c); /* after it no callback is on its way */
	if (c.who && cox_spiffe_parse(c.who->uris[0], &id, NULL) == COX_OK) {
		out->is_verified = true;
		out->ns = cox_arena_str(arena, id.ns);
	}
	cox_identity_unref(c.who);
}
