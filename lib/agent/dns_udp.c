/* dns_udp - questions by UDP. */
#include "agent/dns_priv.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BURST = 64 }; /* datagrams taken in one turn of the loop: the rest waits in the socket */

static void on_datagram(void *ctx, int events)
{
	struct dns_listener *l = ctx;
	char bytes[COX_AGENT_DNS_QUERY_MAX + 1];
	(void)events;
	for (int i = 0; i < BURST; i++) {
		struct dns_client client = { .udp = l->udp, .address_n = sizeof(client.address) };
		ssize_t n = recvfrom(l->udp, bytes, sizeof(bytes), 0, (struct sockaddr *)&client.address, &client.address_n);
		if (n < 0)
			return; /* nothing more, or the error of an answer whose client is gone */
		dns_take(l->dns, &client, cox_str_make(bytes, (size_t)n));
	}
}

enum cox_rc dns_udp_open(struct dns_listener *l, const struct sockaddr_storage *at, socklen_t n)
{
	int on = 1;
	l->udp = socket(at->ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->udp < 0)
		return COX_EIO;
	if (at->ss_family == AF_INET6)
		(void)setsockopt(l->udp, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(l->udp, (const struct sockaddr *)at, n) != 0)
		return errno == EADDRINUSE ? COX_EEXIST : COX_EIO;
	COX_TRY(cox_poll_open(l->dns->loop, l->udp, on_datagram, l, &l->udp_poll));
	cox_poll_want(l->udp_poll, COX_POLL_READ);
	return COX_OK;
}

void dns_udp_send(const struct dns_client *client, struct cox_str answer)
{
	/* A full socket buffer loses the answer; the client asks again. */
	(void)sendto(client->udp, answer.p, answer.n, MSG_DONTWAIT, (const struct sockaddr *)&client->address, client->address_n);
}
