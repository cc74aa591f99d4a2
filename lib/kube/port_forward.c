#include "kube/port_forward.h"

#include "loop/poll.h"
#include "net/addr.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	READ_BYTES = 32 * 1024,
	PENDING_BYTES_MAX = 512 * 1024,       /* then the local side is not read until it is less */
	UNREAD_BYTES_MAX = 512 * 1024 * 1024, /* that the local side has not taken: a config dump of the largest mesh is less */
	CHANNEL_DATA = 0,
	CHANNEL_ERROR = 1,
	CHANNELS = 2,
};

struct connection {
	struct connection *next, **at;
	struct cox_kube_forward *f;
	struct cox_ws *ws;
	struct cox_poll *poll;
	int fd;
	struct cox_buf out; /* to the local side */
	bool has_begun[CHANNELS], is_full, is_over;
};

struct cox_kube_forward {
	struct cox_kube_client *client;
	struct cox_poll *poll;
	struct connection *connections;
	struct cox_buf path;
	struct cox_err err;
	int fd;
	uint16_t local_port;
};

static void connection_free(struct connection *c)
{
	*c->at = c->next;
	if (c->next)
		c->next->at = c->at;
	cox_ws_close(&c->ws);
	cox_poll_close(&c->poll);
	close(c->fd);
	cox_buf_fini(&c->out);
	cox_free(c);
}

static void want(struct connection *c)
{
	cox_poll_want(c->poll, (c->is_full || c->is_over ? 0 : COX_POLL_READ) | (c->out.n ? COX_POLL_WRITE : 0));
}

/* False: it was freed. */
static bool local_flush(struct connection *c)
{
	while (c->out.n) {
		ssize_t n = send(c->fd, c->out.p, c->out.n, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n <= 0) {
			connection_free(c);
			return false;
		}
		cox_buf_consume(&c->out, (size_t)n);
	}
	if (c->is_over && !c->out.n) {
		connection_free(c);
		return false;
	}
	want(c);
	return true;
}

/* The other side is over: what came is still handed on. */
static void finish(struct connection *c)
{
	c->is_over = true;
	(void)local_flush(c);
}

static void on_local(void *ctx, int events)
{
	struct connection *c = ctx;
	char bytes[1 + READ_BYTES];
	if ((events & COX_POLL_WRITE) && c->out.n && !local_flush(c))
		return;
	if (!(events & COX_POLL_READ) || c->is_full || c->is_over)
		return;
	ssize_t n = recv(c->fd, bytes + 1, READ_BYTES, 0);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return;
	if (n <= 0) { /* there is no way to end one direction */
		connection_free(c);
		return;
	}
	bytes[0] = CHANNEL_DATA;
	cox_ws_send(c->ws, cox_str_make(bytes, (size_t)n + 1));
	c->is_full = cox_ws_pending(c->ws) > PENDING_BYTES_MAX;
	want(c);
}

static void on_message(void *ctx, struct cox_ws *ws, struct cox_str bytes)
{
	struct connection *c = ctx;
	(void)ws;
	unsigned channel = bytes.n ? (unsigned char)bytes.p[0] : CHANNELS;
	if (channel >= CHANNELS)
		return;
	bytes = cox_str_sub(bytes, 1, SIZE_MAX);
	if (!c->has_begun[channel]) { /* the port, in two bytes */
		c->has_begun[channel] = true;
		bytes = cox_str_sub(bytes, 2, SIZE_MAX);
	}
	if (!bytes.n)
		return;
	if (channel == CHANNEL_ERROR) {
		cox_err_set(&c->f->err, COX_EIO, NULL, "%.*s", COX_FMT(cox_str_trim(bytes)));
		finish(c);
		return;
	}
	if (c->out.n + bytes.n > UNREAD_BYTES_MAX) {
		connection_free(c);
		return;
	}
	cox_buf_append_str(&c->out, bytes);
	(void)local_flush(c);
}

static void on_drained(void *ctx, struct cox_ws *ws)
{
	struct connection *c = ctx;
	(void)ws;
	c->is_full = false;
	want(c);
}

static void on_closed(void *ctx, struct cox_ws *ws, enum cox_rc rc, const struct cox_err *err)
{
	struct connection *c = ctx;
	(void)ws;
	if (rc != COX_OK)
		c->f->err = *err;
	finish(c);
}

static void on_accept(void *ctx, int events)
{
	struct cox_kube_forward *f = ctx;
	(void)events;
	int fd = accept4(f->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	struct connection *c = COX_NEW(struct connection);
	c->f = f;
	c->fd = fd;
	c->next = f->connections;
	c->at = &f->connections;
	if (c->next)
		c->next->at = &c->next;
	f->connections = c;
	struct cox_ws_cb cb = { .on_message = on_message, .on_drained = on_drained, .on_closed = on_closed, .ctx = c };
	struct cox_err err = { 0 };
	enum cox_rc rc = cox_poll_open(cox_kube_client_loop(f->client), fd, on_local, c, &c->poll);
	if (rc == COX_OK)
		rc = cox_kube_websocket_open(f->client, cox_buf_str(&f->path), "v4.channel.k8s.io", &cb, &c->ws, &err);
	if (rc != COX_OK) {
		f->err = err;
		f->err.rc = rc;
		connection_free(c);
		return;
	}
	want(c);
}

enum cox_rc cox_kube_forward_open(struct cox_kube_client *client, const struct cox_kube_forward_spec *spec, struct cox_kube_forward **out,
                                  struct cox_err *err)
{
	struct cox_addr addr = { .port = spec->local_port };
	char port[16];
	struct cox_kube_forward *f = COX_NEW(struct cox_kube_forward);
	f->client = client;
	(void)snprintf(port, sizeof(port), "%u", spec->port);
	cox_kube_path(&f->path, COX_STR(""), COX_STR("v1"), COX_STR("pods"), spec->ns, spec->pod, COX_STR("portforward"));
	cox_kube_path_query(&f->path, "ports", cox_str_of(port));
	cox_str_to_cstr(cox_str_of(spec->address ? spec->address : "127.0.0.1"), addr.host, sizeof(addr.host));
	f->fd = -1;
	enum cox_rc rc = cox_addr_listen(&addr, 16, &f->fd, &f->local_port, err);
	if (rc == COX_OK && cox_poll_open(cox_kube_client_loop(client), f->fd, on_accept, f, &f->poll) != COX_OK)
		rc = cox_err_set(err, COX_EIO, NULL, "cannot listen");
	if (rc != COX_OK) {
		cox_kube_forward_close(&f);
		return rc;
	}
	cox_poll_want(f->poll, COX_POLL_READ);
	*out = f;
	return COX_OK;
}

uint16_t cox_kube_forward_port(const struct cox_kube_forward *f) { return f->local_port; }
const struct cox_err *cox_kube_forward_error(const struct cox_kube_forward *f) { return &f->err; }

void cox_kube_forward_close(struct cox_kube_forward **fp)
{
	struct cox_kube_forward *f = COX_MOVE(*fp);
	if (!f)
		return;
	while (f->connections)
		connection_free(f->connections);
	cox_poll_close(&f->poll);
	if (f->fd >= 0)
		close(f->fd);
	cox_buf_fini(&f->path);
	cox_free(f);
}
