#include "agent/capture_check.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/netfilter_ipv4.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Of <linux/netfilter_ipv6/ip6_tables.h>, which does not go with <netinet/in.h>. */
#define ORIGINAL_DST6 80

enum { PROBE_PORT = 15002 /* istio-iptables' own for the same; nobody listens there */, RETRY_MS = 100 };

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static socklen_t size_of(int family) { return family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6); }

static void set_port(union address *a, uint16_t port)
{
	if (a->any.sa_family == AF_INET)
		a->v4.sin_port = htons(port);
	else
		a->v6.sin6_port = htons(port);
}

/* The pod's own address of a family; false: it has none that others could reach. */
static bool own_address(int family, union address *out)
{
	struct ifaddrs *all = NULL;
	bool found = false;
	if (getifaddrs(&all) != 0)
		return false;
	for (const struct ifaddrs *i = all; i && !found; i = i->ifa_next) {
		if (!i->ifa_addr || i->ifa_addr->sa_family != family || (i->ifa_flags & IFF_LOOPBACK))
			continue;
		memset(out, 0, sizeof(*out));
		memcpy(out, i->ifa_addr, size_of(family));
		found = family == AF_INET || !IN6_IS_ADDR_LINKLOCAL(&out->v6.sin6_addr);
	}
	freeifaddrs(all);
	return found;
}

static enum cox_rc listen_at(int family, uint16_t port, int *out, struct cox_err *err)
{
	union address any = { .any = { .sa_family = (sa_family_t)family } };
	int on = 1, fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	set_port(&any, port);
	if (fd >= 0) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		if (family == AF_INET6)
			setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
		if (bind(fd, &any.any, size_of(family)) == 0 && listen(fd, 4) == 0) {
			*out = fd;
			return COX_OK;
		}
	}
	int why = errno;
	if (fd >= 0)
		close(fd);
	return cox_err_set(err, COX_EIO, NULL, "port %u cannot be listened on (errno %d)", port, why);
}

/* Whether a connection that came was meant for the probe's port. */
static bool was_redirected(int listener, int family)
{
	union address first = { 0 };
	socklen_t n = sizeof(first);
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return false;
	bool known =
	    getsockopt(fd, family == AF_INET ? SOL_IP : SOL_IPV6, family == AF_INET ? SO_ORIGINAL_DST : ORIGINAL_DST6, &first, &n) == 0;
	close(fd);
	return known && ntohs(family == AF_INET ? first.v4.sin_port : first.v6.sin6_port) == PROBE_PORT;
}

static bool try_once(int listener, const union address *to, int64_t wait_ms)
{
	int family = to->any.sa_family;
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct pollfd p = { .fd = listener, .events = POLLIN };
	if (fd < 0)
		return false;
	/* Refused at once where nothing is captured; what else it says is seen at the listener. */
	(void)!connect(fd, &to->any, size_of(family));
	bool came = poll(&p, 1, (int)wait_ms) == 1 && was_redirected(listener, family);
	close(fd);
	return came;
}

static enum cox_rc verify(int family, union address *to, uint16_t port, int64_t timeout_ms, struct cox_err *err)
{
	char text[INET6_ADDRSTRLEN];
	int listener = -1;
	int64_t end = cox_clock_mono_ns() + timeout_ms * 1000000;
	COX_TRY(listen_at(family, port, &listener, err));
	set_port(to, PROBE_PORT);
	bool came = false;
	do
		came = try_once(listener, to, RETRY_MS);
	while (!came && cox_clock_mono_ns() < end);
	close(listener);
	if (came)
		return COX_OK;
	inet_ntop(family, family == AF_INET ? (const void *)&to->v4.sin_addr : &to->v6.sin6_addr, text, sizeof(text));
	return cox_err_set(err, COX_EDENIED, NULL,
	                   "connections to %s are not captured: the CNI plug-in has not programmed this pod (it must not start so)", text);
}

enum cox_rc cox_agent_capture_verify(uint16_t inbound_port, int64_t timeout_ms, struct cox_err *err)
{
	static const int families[] = { AF_INET, AF_INET6 };
	bool any = false;
	for (size_t i = 0; i < COX_LEN(families); i++) {
		union address to;
		if (!own_address(families[i], &to))
			continue;
		any = true;
		COX_TRY(verify(families[i], &to, inbound_port, timeout_ms, err));
	}
	return any ? COX_OK : cox_err_set(err, COX_EIO, NULL, "the pod has no address to try");
}
