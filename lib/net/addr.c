#include "net/addr.h"

#include "loop/loop_uv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/un.h>
#include <unistd.h>

static enum cox_rc parse_unix(struct cox_str path, struct cox_addr *out, struct cox_err *err)
{
	if (path.n == 0 || path.n >= sizeof(out->unix_path) || memchr(path.p, 0, path.n))
		return cox_err_set(err, COX_EINVAL, NULL, "a Unix socket needs a path of 1 to %zu bytes", sizeof(out->unix_path) - 1);
	*out = (struct cox_addr){ 0 };
	cox_str_to_cstr(path, out->unix_path, sizeof(out->unix_path));
	return COX_OK;
}

enum cox_rc cox_addr_parse(struct cox_str text, struct cox_addr *out, struct cox_err *err)
{
	if (cox_str_has_prefix(text, COX_STR("unix:"))) {
		struct cox_str path = cox_str_sub(text, 5, text.n);
		while (cox_str_has_prefix(path, COX_STR("//"))) /* unix:///path, as gRPC writes it */
			path = cox_str_sub(path, 1, path.n);
		return parse_unix(path, out, err);
	}
	ptrdiff_t colon = cox_str_rfind(text, ':');
	uint64_t port;
	if (colon < 0 || cox_str_to_u64(cox_str_sub(text, (size_t)colon + 1, text.n), &port) != COX_OK || port > 65535)
		return cox_err_set(err, COX_EINVAL, NULL, "\"%.*s\": expected host:port with a port of 0 to 65535", COX_FMT(text));
	struct cox_str host = cox_str_sub(text, 0, (size_t)colon);
	if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = cox_str_sub(host, 1, host.n - 2);
	else if (cox_str_find(host, ':') >= 0)
		return cox_err_set(err, COX_EINVAL, NULL, "\"%.*s\": an IPv6 address stands in brackets", COX_FMT(text));
	bool has_odd = false;
	for (size_t i = 0; i < host.n; i++)
		has_odd |= host.p[i] == 0 || strchr(" /[]", host.p[i]) != NULL;
	if (host.n >= sizeof(out->host) || has_odd)
		return cox_err_set(err, COX_EINVAL, NULL, "\"%.*s\": not a host", COX_FMT(text));
	*out = (struct cox_addr){ .port = (uint16_t)port };
	cox_str_to_cstr(host, out->host, sizeof(out->host));
	return COX_OK;
}

char *cox_addr_format(const struct cox_addr *a, char *buf, size_t cap)
{
	if (a->unix_path[0])
		snprintf(buf, cap, "unix:%s", a->unix_path);
	else
		snprintf(buf, cap, "%s%s%s:%u", strchr(a->host, ':') ? "[" : "", a->host, strchr(a->host, ':') ? "]" : "", a->port);
	return buf;
}

static bool has_ipv6(void)
{
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void set_in4(struct sockaddr_storage *out, socklen_t *n, struct in_addr ip, uint16_t port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = ip };
	memcpy(out, &sa, sizeof(sa));
	*n = sizeof(sa);
}

static void set_in6(struct sockaddr_storage *out, socklen_t *n, struct in6_addr ip, uint16_t port)
{
	struct sockaddr_in6 sa = { .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = ip };
	memcpy(out, &sa, sizeof(sa));
	*n = sizeof(sa);
}

static void set_unix(const struct cox_addr *a, struct sockaddr_storage *out, socklen_t *n)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	size_t len = strlen(a->unix_path);
	memcpy(sa.sun_path, a->unix_path, len);
	*n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
	if (a->unix_path[0] == '@') { /* the abstract namespace: a NUL in front, none behind */
		sa.sun_path[0] = 0;
		*n -= 1;
	}
	memcpy(out, &sa, sizeof(sa));
}

enum cox_rc cox_addr_to_sockaddr(const struct cox_addr *a, struct sockaddr_storage *out, socklen_t *n)
{
	struct in_addr ip4;
	struct in6_addr ip6;
	memset(out, 0, sizeof(*out));
	if (a->unix_path[0])
		set_unix(a, out, n);
	else if (a->host[0] == 0 && has_ipv6())
		set_in6(out, n, in6addr_any, a->port);
	else if (inet_pton(AF_INET, a->host[0] == 0 ? "0.0.0.0" : !strcmp(a->host, "localhost") ? "127.0.0.1" : a->host, &ip4) == 1)
		set_in4(out, n, ip4, a->port);
	else if (inet_pton(AF_INET6, a->host, &ip6) == 1)
		set_in6(out, n, ip6, a->port);
	else
		return COX_ENOTFOUND;
	return COX_OK;
}

char *cox_sockaddr_format(const struct sockaddr_storage *ss, socklen_t n, char *buf, size_t cap)
{
	char ip[INET6_ADDRSTRLEN] = "";
	bool has_brackets = false;
	unsigned port = 0;
	if (ss->ss_family == AF_INET) {
		const struct sockaddr_in *sa = (const struct sockaddr_in *)ss;
		inet_ntop(AF_INET, &sa->sin_addr, ip, sizeof(ip));
		port = ntohs(sa->sin_port);
	} else if (ss->ss_family == AF_INET6) {
		const struct sockaddr_in6 *sa = (const struct sockaddr_in6 *)ss;
		if (IN6_IS_ADDR_V4MAPPED(&sa->sin6_addr)) {
			inet_ntop(AF_INET, &sa->sin6_addr.s6_addr[12], ip, sizeof(ip));
		} else {
			inet_ntop(AF_INET6, &sa->sin6_addr, ip, sizeof(ip));
			has_brackets = true;
		}
		port = ntohs(sa->sin6_port);
	} else {
		const struct sockaddr_un *sa = (const struct sockaddr_un *)ss;
		size_t len = n > offsetof(struct sockaddr_un, sun_path) ? n - offsetof(struct sockaddr_un, sun_path) : 0;
		snprintf(buf, cap, "unix:%.*s", (int)(len && sa->sun_path[0] ? strnlen(sa->sun_path, len) : 0), sa->sun_path);
		return buf;
	}
	snprintf(buf, cap, "%s%s%s:%u", has_brackets ? "[" : "", ip, has_brackets ? "]" : "", port);
	return buf;
}

static enum cox_rc listen_fail(const struct cox_addr *a, int fd, const char *what, struct cox_err *err)
{
	char text[400];
	enum cox_rc rc = cox_rc_of_errno(errno);
	int number = errno;
	if (fd >= 0)
		close(fd);
	return cox_err_set(err, rc, NULL, "cannot %s %s: %s", what, cox_addr_format(a, text, sizeof(text)), uv_strerror(-number));
}

enum cox_rc cox_socket_bind_source(int fd, const char *address)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
	struct sockaddr_in four = { .sin_family = AF_INET };
	int on = 1;
	/* The port is chosen by connect(), which needs it to be free for that peer only. */
	(void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (inet_pton(AF_INET, address, &four.sin_addr) == 1)
		return bind(fd, (struct sockaddr *)&four, sizeof(four)) == 0 ? COX_OK : COX_EIO;
	if (inet_pton(AF_INET6, address, &six.sin6_addr) == 1)
		return bind(fd, (struct sockaddr *)&six, sizeof(six)) == 0 ? COX_OK : COX_EIO;
	return COX_EINVAL;
}

enum cox_rc cox_addr_listen(const struct cox_addr *a, int backlog, int *out, uint16_t *port, struct cox_err *err)
{
	struct sockaddr_storage sa;
	socklen_t n;
	int one = 1, zero = 0;
	if (cox_addr_to_sockaddr(a, &sa, &n) != COX_OK)
		return cox_err_set(err, COX_EINVAL, NULL, "cannot listen on the name \"%s\": give an address", a->host);
	int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return listen_fail(a, fd, "make a socket for", err);
	if (sa.ss_family == AF_UNIX && a->unix_path[0] != '@')
		unlink(a->unix_path);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (sa.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	if (bind(fd, (struct sockaddr *)&sa, n) != 0)
		return listen_fail(a, fd, "bind", err);
	if (listen(fd, backlog) != 0)
		return listen_fail(a, fd, "listen on", err);
	n = sizeof(sa);
	if (port && getsockname(fd, (struct sockaddr *)&sa, &n) == 0)
		*port = sa.ss_family == AF_INET    ? ntohs(((struct sockaddr_in *)&sa)->sin_port)
		        : sa.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&sa)->sin6_port)
		                                   : 0;
	*out = fd;
	return COX_OK;
}
