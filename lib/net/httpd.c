#include "net/httpd.h"

#include "base/clock.h"
#include "base/metric.h"
#include "base/vec.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

enum {
	BACKLOG = 256,
	STACK_BYTES = 512 << 10,
	CONNECTION_BYTES = 32 << 10, /* headers of one request */
	BODY_MAX = 8 << 20,          /* an admission review carries an object (1.5 MiB in etcd) twice */
	CONNECTIONS_MAX = 256,
	CONNECTIONS_PER_IP = 64,
	TIMEOUT_S = 30,
	STREAM_PART_BYTES = 32 << 10,
};

/* A libmicrohttpd daemon with the certificate it was started with. */
struct daemon {
	struct MHD_Daemon *mhd;
	char *cert, *key;
	int given_fd; /* what quiescing gave back to us */
	bool has_given_fd;
};

struct cox_httpd {
	struct cox_httpd_spec spec;
	int fd;               /* the listening socket; daemons have copies */
	pthread_mutex_t lock; /* of the two below */
	struct daemon now;
	struct daemon old; /* serves the connections it had when the certificate changed */
};

struct header {
	char *name, *value;
};

struct cox_httpd_request {
	struct cox_httpd *server;
	struct MHD_Connection *mhd;
	struct cox_str method, path;
	const struct cox_httpd_route *route;
	struct cox_buf body;
	COX_VEC(struct header) headers;
	int64_t since_ms;
	bool is_too_long, is_answered;
	enum MHD_Result result;
	char peer[INET6_ADDRSTRLEN];
	char path_text[];
};

/* --- routing -------------------------------------------------------------------------------- */

static bool path_fits(const char *pattern, struct cox_str path)
{
	struct cox_str p = cox_str_of(pattern);
	if (p.n > 0 && p.p[p.n - 1] == '*')
		return cox_str_has_prefix(path, cox_str_sub(p, 0, p.n - 1));
	return cox_str_eq(path, p);
}

static bool method_fits(const char *wanted, struct cox_str method)
{
	if (!strcmp(wanted, "*") || cox_str_eq_cstr(method, wanted))
		return true;
	return !strcmp(wanted, "GET") && cox_str_eq(method, COX_STR("HEAD"));
}

/* NULL: *status says why. */
static const struct cox_httpd_route *route_find(const struct cox_httpd *d, struct cox_str method, struct cox_str path, int *status)
{
	*status = 404;
	for (size_t i = 0; i < d->spec.route_count; i++) {
		const struct cox_httpd_route *r = &d->spec.routes[i];
		if (!path_fits(r->path, path))
			continue;
		if (method_fits(r->method, method))
			return r;
		*status = 405;
	}
	return NULL;
}

/* --- requests ----------------------------------------------------------------------------------- */

static void peer_format(struct MHD_Connection *mhd, char out[INET6_ADDRSTRLEN])
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr *sa = info ? info->client_addr : NULL;
	out[0] = 0;
	if (!sa)
		return;
	if (sa->sa_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *)sa)->sin_addr, out, INET6_ADDRSTRLEN);
	if (sa->sa_family == AF_INET6) {
		const struct in6_addr *ip = &((const struct sockaddr_in6 *)sa)->sin6_addr;
		bool is_mapped = IN6_IS_ADDR_V4MAPPED(ip);
		inet_ntop(is_mapped ? AF_INET : AF_INET6, is_mapped ? (const void *)&ip->s6_addr[12] : ip, out, INET6_ADDRSTRLEN);
	}
}

static struct cox_httpd_request *request_new(struct cox_httpd *d, struct MHD_Connection *mhd, const char *url, const char *method)
{
	size_t n = strlen(url);
	struct cox_httpd_request *r = cox_zalloc(sizeof(*r) + n + 1);
	r->server = d;
	r->mhd = mhd;
	r->since_ms = cox_clock_mono_ms();
	memcpy(r->path_text, url, n + 1);
	r->path = cox_str_make(r->path_text, n);
	r->method = cox_str_of(method);
	peer_format(mhd, r->peer);
	return r;
}

static void on_completed(void *cls, struct MHD_Connection *mhd, void **state, enum MHD_RequestTerminationCode code)
{
	struct cox_httpd_request *r = *state;
	(void)cls, (void)mhd, (void)code;
	*state = NULL;
	if (!r)
		return;
	for (size_t i = 0; i < r->headers.n; i++) {
		cox_free(r->headers.p[i].name);
		cox_free(r->headers.p[i].value);
	}
	cox_vec_fini(&r->headers);
	cox_buf_fini(&r->body);
	cox_free(r);
}

static void answer(struct cox_httpd_request *r, int status, const char *content_type, struct MHD_Response *response)
{
	char code[8];
	COX_ASSERT(!r->is_answered);
	r->is_answered = true;
	COX_ASSERT(response);
	MHD_add_response_header(response, "Content-Type", content_type ? content_type : "text/plain; charset=utf-8");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	for (size_t i = 0; i < r->headers.n; i++)
		MHD_add_response_header(response, r->headers.p[i].name, r->headers.p[i].value);
	r->result = MHD_queue_response(r->mhd, (unsigned)status, response);
	MHD_destroy_response(response);
	snprintf(code, sizeof(code), "%d", status);
	cox_metric_add(COX_M_HTTP_REQUESTS, code, 1);
}

static enum MHD_Result answer_plain(struct cox_httpd_request *r, int status, const char *text)
{
	cox_httpd_reply(r, status, NULL, cox_str_of(text));
	return r->result;
}

/* The first call for a request: only headers are known. Refuses what need not be read. */
static enum MHD_Result begin(struct cox_httpd *d, struct MHD_Connection *mhd, const char *url, const char *method, void **state)
{
	struct cox_httpd_request *r = request_new(d, mhd, url, method);
	int status;
	uint64_t length;
	*state = r;
	r->route = route_find(d, r->method, r->path, &status);
	if (d->spec.loopback_only && !cox_httpd_peer_is_loopback(r))
		return answer_plain(r, 403, "only from this machine\n");
	if (!r->route)
		return answer_plain(r, status, status == 404 ? "not found\n" : "method not allowed\n");
	const char *text = MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, "Content-Length");
	if (text && cox_str_to_u64(cox_str_of(text), &length) == COX_OK && length > d->spec.max_body_bytes)
		return answer_plain(r, 413, "the body is too long\n");
	return MHD_YES;
}

static enum MHD_Result on_access(void *cls, struct MHD_Connection *mhd, const char *url, const char *method, const char *version,
                                 const char *data, size_t *data_n, void **state)
{
	struct cox_httpd *d = cls;
	struct cox_httpd_request *r = *state;
	(void)version;
	if (!r)
		return begin(d, mhd, url, method, state);
	if (*data_n > 0) {
		r->is_too_long |= *data_n > d->spec.max_body_bytes - r->body.n;
		if (!r->is_too_long)
			cox_buf_append(&r->body, data, *data_n);
		*data_n = 0;
		/* libmicrohttpd's own timeout only sees idle connections, not one that sends a byte a second. */
		return cox_clock_mono_ms() - r->since_ms > (int64_t)d->spec.timeout_s * 1000 ? MHD_NO : MHD_YES;
	}
	if (r->is_answered)
		return MHD_YES;
	if (r->is_too_long)
		return answer_plain(r, 413, "the body is too long\n");
	r->route->handler(r->route->ctx, r);
	if (!r->is_answered)
		return answer_plain(r, 500, "no answer\n");
	return r->result;
}

/* --- daemons ---------------------------------------------------------------------------------------- */

static void daemon_stop(struct daemon *m)
{
	if (m->mhd)
		MHD_stop_daemon(m->mhd);
	if (m->has_given_fd)
		close(m->given_fd);
	if (m->key)
		explicit_bzero(m->key, strlen(m->key));
	cox_free(m->cert);
	cox_free(m->key);
	*m = (struct daemon){ 0 };
}

static bool daemon_start(struct cox_httpd *d, struct daemon *m)
{
	const struct cox_httpd_spec *s = &d->spec;
	struct MHD_OptionItem options[12];
	int fd = fcntl(d->fd, F_DUPFD_CLOEXEC, 0); /* each daemon closes its own, also when it cannot start */
	size_t n = 0;
	options[n++] = (struct MHD_OptionItem){ MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, d };
	options[n++] = (struct MHD_OptionItem){ MHD_OPTION_CONNECTION_LIMIT, (intptr_t)s->connections, NULL };
	options[n++] = (struct MHD_OptionItem){ MHD_OPTION_PER_IP_CONNECTION_LIMIT, (intptr_t)s->connections_per_ip, NULL };
	options[n++] = (struct MHD_OptionItem){ MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)s->timeout_s, NULL };
	options[n++] = (struct MHD_OptionItem){ MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_BYTES, NULL };
	options[n++] = (struct MHD_OptionItem){ MHD_OPTION_THREAD_STACK_SIZE, STACK_BYTES, NULL };
	options[n++] = (struct MHD_OptionItem){ MHD_OPTION_LISTEN_SOCKET, fd, NULL };
	if (s->threads > 1)
		options[n++] = (struct MHD_OptionItem){ MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)s->threads, NULL };
	if (fd < 0)
		return false;
	unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_AUTO | MHD_USE_ITC; /* ITC: needed to hand the socket over */
	if (m->cert) {
		flags |= MHD_USE_TLS;
		options[n++] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_CERT, 0, m->cert };
		options[n++] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_KEY, 0, m->key };
		options[n++] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_PRIORITIES, 0, "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2" };
	}
	options[n] = (struct MHD_OptionItem){ MHD_OPTION_END, 0, NULL };
	m->mhd = MHD_start_daemon(flags, 0, NULL, NULL, on_access, d, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
	return m->mhd != NULL;
}

static void spec_fill(struct cox_httpd_spec *s)
{
	s->threads = s->threads ? s->threads : 1;
	s->max_body_bytes = s->max_body_bytes ? s->max_body_bytes : BODY_MAX;
	s->connections = s->connections ? s->connections : CONNECTIONS_MAX;
	s->connections_per_ip = s->connections_per_ip ? s->connections_per_ip : CONNECTIONS_PER_IP;
	s->timeout_s = s->timeout_s ? s->timeout_s : TIMEOUT_S;
}

enum cox_rc cox_httpd_open(const struct cox_httpd_spec *spec, struct cox_httpd **out, uint16_t *port, struct cox_err *err)
{
	char where[400];
	int fd;
	COX_TRY(cox_addr_listen(&spec->addr, BACKLOG, &fd, port, err));
	struct cox_httpd *d = COX_NEW(struct cox_httpd);
	d->spec = *spec;
	spec_fill(&d->spec);
	d->fd = fd;
	pthread_mutex_init(&d->lock, NULL);
	if (spec->cert_pem.n && spec->key_pem.n) {
		d->now.cert = cox_str_dup_cstr(spec->cert_pem);
		d->now.key = cox_str_dup_cstr(spec->key_pem);
	}
	if (!daemon_start(d, &d->now)) {
		close(fd);
		bool has_tls = d->now.cert != NULL;
		daemon_stop(&d->now);
		pthread_mutex_destroy(&d->lock);
		cox_free(d);
		return cox_err_set(err, has_tls ? COX_EINVAL : COX_EIO, NULL, "cannot serve HTTP on %s%s",
		                   cox_addr_format(&spec->addr, where, sizeof(where)),
		                   has_tls ? ": the certificate or key is not accepted" : "");
	}
	*out = d;
	return COX_OK;
}

void cox_httpd_close(struct cox_httpd **dp)
{
	struct cox_httpd *d = *dp;
	*dp = NULL;
	if (!d)
		return;
	daemon_stop(&d->old);
	daemon_stop(&d->now);
	close(d->fd);
	pthread_mutex_destroy(&d->lock);
	cox_free(d);
}

/* A second daemon takes over the listening socket; the first keeps the connections it has until the next change. */
enum cox_rc cox_httpd_set_cert(struct cox_httpd *d, struct cox_str cert_pem, struct cox_str key_pem, struct cox_err *err)
{
	struct daemon next = { .cert = cox_str_dup_cstr(cert_pem), .key = cox_str_dup_cstr(key_pem) };
	enum cox_rc rc = COX_OK;
	pthread_mutex_lock(&d->lock);
	if (!d->now.cert)
		rc = cox_err_set(err, COX_EINVAL, NULL, "this server was opened without TLS");
	else if (!daemon_start(d, &next)) /* both accept from the one socket for a moment: no connection is refused */
		rc = cox_err_set(err, COX_EINVAL, NULL, "the certificate or key is not accepted");
	if (rc == COX_OK) {
		daemon_stop(&d->old);
		d->old = d->now;
		d->old.given_fd = MHD_quiesce_daemon(d->old.mhd);
		d->old.has_given_fd = d->old.given_fd >= 0;
		d->now = next;
	}
	pthread_mutex_unlock(&d->lock);
	if (rc != COX_OK)
		daemon_stop(&next);
	return rc;
}

/* --- what a request says, and the answer ---------------------------------------------------------------- */

struct cox_str cox_httpd_method(const struct cox_httpd_request *r) { return r->method; }
struct cox_str cox_httpd_path(const struct cox_httpd_request *r) { return r->path; }
struct cox_str cox_httpd_body(const struct cox_httpd_request *r) { return cox_buf_str(&r->body); }
const char *cox_httpd_peer(const struct cox_httpd_request *r) { return r->peer; }

struct cox_str cox_httpd_query(const struct cox_httpd_request *r, const char *name)
{
	return cox_str_of(MHD_lookup_connection_value(r->mhd, MHD_GET_ARGUMENT_KIND, name));
}

static enum MHD_Result on_argument(void *cls, enum MHD_ValueKind kind, const char *key, const char *value)
{
	const char **name = cls;
	(void)kind, (void)value;
	if (*name && key && !strcmp(key, *name))
		*name = NULL; /* found */
	return MHD_YES;
}

bool cox_httpd_has_query(const struct cox_httpd_request *r, const char *name)
{
	MHD_get_connection_values(r->mhd, MHD_GET_ARGUMENT_KIND, on_argument, (void *)&name);
	return !name;
}

struct cox_str cox_httpd_header(const struct cox_httpd_request *r, const char *name)
{
	return cox_str_of(MHD_lookup_connection_value(r->mhd, MHD_HEADER_KIND, name));
}

bool cox_httpd_peer_is_loopback(const struct cox_httpd_request *r)
{
	return !strncmp(r->peer, "127.", 4) || !strcmp(r->peer, "::1") || r->peer[0] == 0;
}

void cox_httpd_add_header(struct cox_httpd_request *r, const char *name, const char *value)
{
	cox_vec_push(&r->headers, ((struct header){ cox_str_dup_cstr(cox_str_of(name)), cox_str_dup_cstr(cox_str_of(value)) }));
}

void cox_httpd_reply(struct cox_httpd_request *r, int status, const char *content_type, struct cox_str body)
{
	struct MHD_Response *response =
	    MHD_create_response_from_buffer(body.n, (void *)(uintptr_t)(body.n ? body.p : ""), MHD_RESPMEM_MUST_COPY);
	answer(r, status, content_type, response);
}

void cox_httpd_reply_buf_take(struct cox_httpd_request *r, int status, const char *content_type, struct cox_buf *body)
{
	size_t n;
	char *p = cox_buf_take(body, &n);
	answer(r, status, content_type, MHD_create_response_from_buffer_with_free_callback(n, p, cox_free));
}

struct stream {
	enum cox_rc (*next)(void *ctx, struct cox_buf *part);
	void *ctx;
	void (*free_ctx)(void *ctx);
	struct cox_buf part;
	size_t at;
};

static ssize_t on_stream_read(void *cls, uint64_t pos, char *buf, size_t max)
{
	struct stream *s = cls;
	(void)pos;
	while (s->at == s->part.n) {
		s->at = 0;
		cox_buf_clear(&s->part);
		enum cox_rc rc = s->next(s->ctx, &s->part);
		if (rc != COX_OK)
			return rc == COX_ENOTFOUND ? MHD_CONTENT_READER_END_OF_STREAM : MHD_CONTENT_READER_END_WITH_ERROR;
	}
	size_t n = cox_min_size(max, s->part.n - s->at);
	memcpy(buf, s->part.p + s->at, n);
	s->at += n;
	return (ssize_t)n;
}

static void on_stream_free(void *cls)
{
	struct stream *s = cls;
	if (s->free_ctx)
		s->free_ctx(s->ctx);
	cox_buf_fini(&s->part);
	cox_free(s);
}

void cox_httpd_reply_stream(struct cox_httpd_request *r, int status, const char *content_type,
                            enum cox_rc (*next)(void *ctx, struct cox_buf *part), void *ctx, void (*free_ctx)(void *ctx))
{
	struct stream *s = COX_NEW(struct stream);
	*s = (struct stream){ .next = next, .ctx = ctx, .free_ctx = free_ctx };
	answer(r, status, content_type,
	       MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_PART_BYTES, on_stream_read, s, on_stream_free));
}
