#include "agent/dns_upstream.h"

#include "base/vec.h"
#include "loop/poll.h"
#include "loop/timer.h"

#include <ares.h>
#include <stdio.h>
#include <sys/time.h>

/* A socket of c-ares that it waits for. */
struct watch {
	struct cox_dns_upstream *owner;
	ares_socket_t fd;
	struct cox_poll *poll;
};
struct cox_dns_upstream {
	struct cox_loop *loop;
	ares_channel channel;
	bool has_channel, has_servers;
	struct cox_timer *timer;
	COX_VEC(struct watch *) watches;
};
struct question {
	cox_dns_upstream_fn *fn;
	void *ctx;
};

/* c-ares says when it has to be called next; it counts in tens of milliseconds at best. */
static void set_timer(struct cox_dns_upstream *u)
{
	struct timeval tv;
	if (ares_timeout(u->channel, NULL, &tv))
		cox_timer_start(u->timer, (int64_t)tv.tv_sec * 1000 + tv.tv_usec / 1000 + 1, 0);
	else
		cox_timer_stop(u->timer);
}

static void on_timer(void *ctx)
{
	struct cox_dns_upstream *u = ctx;
	ares_process_fd(u->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	set_timer(u);
}

static void on_socket(void *ctx, int events)
{
	struct watch *w = ctx;
	struct cox_dns_upstream *u = w->owner;
	ares_socket_t fd = w->fd; /* c-ares may close the socket, and with it the watch, inside the call */
	ares_process_fd(u->channel, events & COX_POLL_READ ? fd : ARES_SOCKET_BAD, events & COX_POLL_WRITE ? fd : ARES_SOCKET_BAD);
	set_timer(u);
}

static void watch_end(struct cox_dns_upstream *u, size_t i)
{
	struct watch *w = u->watches.p[i];
	cox_vec_remove(&u->watches, i);
	cox_poll_close(&w->poll);
	cox_free(w);
}

/* Before c-ares closes a socket it says that it wants neither. */
static void on_state(void *ctx, ares_socket_t fd, int readable, int writable)
{
	struct cox_dns_upstream *u = ctx;
	size_t i = 0;
	while (i < u->watches.n && u->watches.p[i]->fd != fd)
		i++;
	if (!readable && !writable) {
		if (i < u->watches.n)
			watch_end(u, i);
		return;
	}
	if (i == u->watches.n) {
		struct watch *w = COX_NEW(struct watch);
		w->owner = u;
		w->fd = fd;
		if (cox_poll_open(u->loop, fd, on_socket, w, &w->poll) != COX_OK) {
			cox_free(w); /* c-ares' own time-out ends the question */
			return;
		}
		cox_vec_push(&u->watches, w);
	}
	cox_poll_want(u->watches.p[i]->poll, (readable ? COX_POLL_READ : 0) | (writable ? COX_POLL_WRITE : 0));
}

static void on_answer(void *ctx, int status, int timeouts, unsigned char *p, int n)
{
	struct question *q = ctx;
	(void)timeouts;
	enum cox_dns_rcode code = status == ARES_EREFUSED ? COX_DNS_REFUSED : status == ARES_ENOTIMP ? COX_DNS_NOTIMP : COX_DNS_SERVFAIL;
	bool is_whole = status == ARES_SUCCESS && p && n >= COX_DNS_HEAD_BYTES;
	q->fn(q->ctx, is_whole ? cox_str_make(p, (size_t)n) : (struct cox_str){ 0 }, code);
	cox_free(q);
}

enum cox_rc cox_dns_upstream_open(struct cox_loop *loop, const struct cox_dns_upstream_spec *spec, struct cox_dns_upstream **out,
                                  struct cox_err *err)
{
	struct cox_dns_upstream *u = COX_NEW(struct cox_dns_upstream);
	struct ares_options options = {
		/* The message goes out as the client made it: no search, no EDNS of our own. */
		.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES,
		.timeout = (int)spec->timeout_ms,
		.tries = spec->tries,
		.sock_state_cb = on_state,
		.sock_state_cb_data = u,
		.lookups = (char *)"b", /* never a file of hosts */
	};
	u->loop = loop;
	u->timer = cox_timer_new(loop, on_timer, u);
	int status = ares_library_init(ARES_LIB_INIT_ALL);
	if (status == ARES_SUCCESS)
		status =
		    ares_init_options(&u->channel, &options,
		                      ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB | ARES_OPT_LOOKUPS);
	u->has_channel = status == ARES_SUCCESS;
	u->has_servers = spec->servers[0] != '\0';
	if (u->has_channel && u->has_servers)
		status = ares_set_servers_ports_csv(u->channel, spec->servers);
	if (status == ARES_SUCCESS) {
		*out = u;
		return COX_OK;
	}
	cox_dns_upstream_close(&u);
	return cox_err_set(err, COX_EINVAL, "name servers", "\"%s\": %s", spec->servers, ares_strerror(status));
}

void cox_dns_upstream_ask(struct cox_dns_upstream *u, struct cox_str query, cox_dns_upstream_fn *fn, void *ctx)
{
	if (!u->has_servers) {
		fn(ctx, (struct cox_str){ 0 }, COX_DNS_REFUSED);
		return;
	}
	struct question *q = COX_NEW(struct question);
	*q = (struct question){ fn, ctx };
	ares_send(u->channel, (const unsigned char *)query.p, (int)query.n, on_answer, q);
	set_timer(u);
}

void cox_dns_upstream_close(struct cox_dns_upstream **up)
{
	struct cox_dns_upstream *u = COX_MOVE(*up);
	if (u == NULL)
		return;
	if (u->has_channel)
		ares_destroy(u->channel); /* every open question is told; its sockets leave through on_state */
	while (u->watches.n)
		watch_end(u, u->watches.n - 1);
	cox_vec_fini(&u->watches);
	cox_timer_free(&u->timer);
	ares_library_cleanup();
	cox_free(u);
}
