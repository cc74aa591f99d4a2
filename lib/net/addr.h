/*
 * addr - where to listen or connect: "host:port", ":15010", "[::]:15010", "1.2.3.4:80", "unix:/path", "unix:@abstract".
 */
#ifndef COX_NET_ADDR_H
#define COX_NET_ADDR_H

#include "base/err.h"

#include <sys/socket.h>

struct cox_addr {
	char host[256]; /* name or address without brackets; empty: every address; "" for unix */
	uint16_t port;
	char unix_path[108]; /* empty: not a Unix socket; '@' in front: abstract */
};

/* COX_EINVAL with text. A port is required (0: any free one, when listening). */
COX_MUST_USE enum cox_rc cox_addr_parse(struct cox_str text, struct cox_addr *out, struct cox_err *err);
/* As it would be parsed; returns `buf`. */
char *cox_addr_format(const struct cox_addr *a, char *buf, size_t cap);
/* The socket address of a numeric or empty host, of "localhost" (IPv4) or of a Unix path. Never asks DNS.
 * An empty host is "::" where IPv6 exists (sockets are made dual), else "0.0.0.0". COX_ENOTFOUND: a name that must be resolved. */
COX_MUST_USE enum cox_rc cox_addr_to_sockaddr(const struct cox_addr *a, struct sockaddr_storage *out, socklen_t *n);
/* "10.0.0.1:1234", "[::1]:80" or "unix:/path"; IPv4 mapped into IPv6 is shown as IPv4. Returns `buf`. */
char *cox_sockaddr_format(const struct sockaddr_storage *sa, socklen_t n, char *buf, size_t cap);
/* Binds a socket that will connect to a numeric address, any port. COX_EINVAL: no address; COX_EIO: not ours, or of the wrong family. */
COX_MUST_USE enum cox_rc cox_socket_bind_source(int fd, const char *address);
/* Opens a listening, non-blocking socket; an old Unix socket file is replaced. *port gets the port taken (may be NULL). */
COX_MUST_USE enum cox_rc cox_addr_listen(const struct cox_addr *a, int backlog, int *fd, uint16_t *port, struct cox_err *err);

#endif
