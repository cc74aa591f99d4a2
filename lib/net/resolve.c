#include "net/resolve.h"

#include "loop/loop_uv.h"

#include "base/base.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { ADDRESSES_MAX = 64 }; /* a load balancer has a handful */

struct cox_resolve {
	uv_getaddrinfo_t request;
	void (*done)(void *ctx, enum cox_rc rc, const struct cox_str *addresses, size_t n);
	void *ctx;
	char host[];
};

static int by_text(const void *a, const void *b) { return cox_str_cmp(*(const struct cox_str *)a, *(const struct cox_str *)b); }

static size_t collect(const struct addrinfo *list, char text[][INET6_ADDRSTRLEN], struct cox_str *out)
{
	size_t n = 0, kept = 0;
	for (; list && n < ADDRESSES_MAX; list = list->ai_next) {
		const void *ip =
		    list->ai_family == AF_INET    ? (const void *)&((const struct sockaddr_in *)(const void *)list->ai_addr)->sin_addr
		    : list->ai_family == AF_INET6 ? (const void *)&((const struct sockaddr_in6 *)(const void *)list->ai_addr)->sin6_addr
		                                  : NULL;
		if (!ip || !inet_ntop(list->ai_family, ip, text[n], INET6_ADDRSTRLEN))
			continue;
		out[n] = cox_str_of(text[n]);
		n++;
	}
	if (n > 1)
		qsort(out, n, sizeof(*out), by_text);
	for (size_t i = 0; i < n; i++)
		if (!kept || !cox_str_eq(out[kept - 1], out[i]))
			out[kept++] = out[i];
	return kept;
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
	struct cox_resolve *r = req->data;
	char text[ADDRESSES_MAX][INET6_ADDRSTRLEN];
	struct cox_str addresses[ADDRESSES_MAX];
	size_t n = status == 0 ? collect(list, text, addresses) : 0;
	uv_freeaddrinfo(list);
	if (r->done)
		r->done(r->ctx, n ? COX_OK : status == UV_EAI_NONAME || status == UV_EAI_NODATA ? COX_ENOTFOUND : COX_EIO, addresses, n);
	cox_free(r);
}

void cox_resolve_open(struct cox_loop *loop, struct cox_str host,
                      void (*done)(void *ctx, enum cox_rc rc, const struct cox_str *addresses, size_t n), void *ctx,
                      struct cox_resolve **out)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct cox_resolve *r = cox_zalloc(sizeof(*r) + host.n + 1);
	cox_loop_assert_here(loop);
	memcpy(r->host, host.p, host.n);
	r->done = done;
	r->ctx = ctx;
	r->request.data = r;
	*out = r;
	/* Only a name that is no name (too long for IDNA) or no memory fails here. */
	if (uv_getaddrinfo(cox_loop_uv(loop), &r->request, on_resolved, r->host, NULL, &hints) != 0) {
		*out = NULL;
		cox_free(r);
	}
}

void cox_resolve_close(struct cox_resolve **rp)
{
	struct cox_resolve *r = *rp;
	*rp = NULL;
	if (!r)
		return;
	r->done = NULL;
	(void)uv_cancel((uv_req_t *)&r->request); /* where it has begun already it ends by itself */
}
