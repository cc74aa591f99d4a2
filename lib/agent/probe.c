#include "agent/probe.h"

#include "agent/fetch.h"
#include "agent/http.h"
#include "codec/pb_read.h"
#include "loop/timer.h"
#include "net/grpc_client.h"

#include <stdio.h>

enum { REDIRECTS_MAX = 10 };

struct cox_agent_probe {
	struct cox_loop *loop;
	struct cox_agent_probe_spec spec;
	struct cox_buf headers, target;
	struct cox_agent_fetch *fetch;
	struct cox_timer *timer; /* gRPC: what cannot be told inside open; and the time-out */
	struct cox_grpc_client *client;
	struct cox_grpc_call *call;
	struct cox_tls *tls;
	unsigned redirects;
	bool is_serving, has_answer, is_redirected;
	char text[160];
};

const char *cox_agent_probe_source(const char *address)
{
	if (strchr(address, ':'))
		return strcmp(address, "::1") ? "::6" : NULL;
	return strncmp(address, "127.", 4) ? "127.0.0.6" : NULL;
}

static void finish(struct cox_agent_probe *p, int status, const char *text)
{
	void (*done)(void *, int, const char *) = p->spec.on_done;
	p->spec.on_done = NULL;
	cox_timer_stop(p->timer);
	if (done)
		done(p->spec.ctx, status, text); /* may close p */
}

static const char *address_of(const struct cox_agent_probe *p) { return p->spec.address; }

/* --- HTTP and TCP ---------------------------------------------------------------------------- */

static bool is_hop_header(struct cox_str name)
{
	static const struct cox_str names[] = {
		COX_STR_INIT("host"),       COX_STR_INIT("connection"),        COX_STR_INIT("content-length"),
		COX_STR_INIT("keep-alive"), COX_STR_INIT("transfer-encoding"), COX_STR_INIT("upgrade"),
		COX_STR_INIT("te"),         COX_STR_INIT("accept-encoding")
	};
	for (size_t i = 0; i < COX_LEN(names); i++)
		if (cox_str_eq_nocase(name, names[i]))
			return true;
	return false;
}

/* The probe's own headers win over the kubelet's. */
static bool is_own_header(struct cox_str lines, struct cox_str name)
{
	struct cox_str rest = lines, line;
	while (rest.p && cox_str_next(&rest, '\n', &line))
		if (line.n > name.n && line.p[name.n] == ':' && cox_str_eq_nocase(cox_str_sub(line, 0, name.n), name))
			return true;
	return false;
}

static void build_headers(struct cox_agent_probe *p)
{
	const struct cox_agent_prober *prober = p->spec.prober;
	struct cox_str name, value;
	bool v6 = strchr(address_of(p), ':') != NULL;
	if (prober->host.n)
		cox_buf_printf(&p->headers, "Host: %.*s\r\n", COX_FMT(prober->host));
	else
		cox_buf_printf(&p->headers, "Host: %s%s%s:%u\r\n", v6 ? "[" : "", address_of(p), v6 ? "]" : "", (unsigned)prober->port);
	for (size_t at = 0; p->spec.head.n && cox_agent_http_header_next(p->spec.head, &at, &name, &value);)
		if (name.n && !is_hop_header(name) && !is_own_header(prober->headers, name))
			cox_buf_printf(&p->headers, "%.*s: %.*s\r\n", COX_FMT(name), COX_FMT(value));
	cox_buf_append_str(&p->headers, prober->headers);
}

static void start_fetch(struct cox_agent_probe *p);

/* A redirect to the same place is followed, as the kubelet does; another host counts as an answer. */
static bool take_redirect(struct cox_agent_probe *p, struct cox_str location)
{
	struct cox_str to = location;
	if (cox_str_has_prefix(to, COX_STR("http://")) || cox_str_has_prefix(to, COX_STR("https://"))) {
		char own[128];
		struct cox_str scheme = p->spec.prober->is_https ? COX_STR("https://") : COX_STR("http://");
		bool v6 = strchr(address_of(p), ':') != NULL;
		if (!cox_str_has_prefix(to, scheme))
			return false;
		to = cox_str_sub(to, scheme.n, to.n);
		snprintf(own, sizeof(own), "%s%s%s:%u", v6 ? "[" : "", address_of(p), v6 ? "]" : "", (unsigned)p->spec.prober->port);
		ptrdiff_t slash = cox_str_find(to, '/');
		struct cox_str host = cox_str_sub(to, 0, slash < 0 ? to.n : (size_t)slash);
		if (!cox_str_eq(host, cox_str_of(own)) && !(p->spec.prober->host.n && cox_str_eq(host, p->spec.prober->host)))
			return false;
		to = slash < 0 ? COX_STR("/") : cox_str_sub(to, (size_t)slash, to.n);
	}
	if (!to.n || to.p[0] != '/' || cox_str_has_prefix(to, COX_STR("//")) || cox_str_find(to, ' ') >= 0 ||
	    ++p->redirects > REDIRECTS_MAX)
		return false;
	cox_buf_clear(&p->target);
	cox_buf_append_str(&p->target, to);
	return true;
}

static void on_head(void *ctx, int status, struct cox_str head)
{
	struct cox_agent_probe *p = ctx;
	/* The status is the answer: the body may be long, or never end. */
	if (status >= 300 && status < 400 && take_redirect(p, cox_agent_http_header(head, COX_STR("location")))) {
		cox_agent_fetch_close(&p->fetch);
		start_fetch(p);
		return;
	}
	finish(p, status, "");
}

static void on_fetched(void *ctx, enum cox_rc rc, int status)
{
	struct cox_agent_probe *p = ctx;
	(void)status;
	snprintf(p->text, sizeof(p->text), "the application at port %u: %s", (unsigned)p->spec.prober->port, cox_rc_name(rc));
	finish(p, rc == COX_OK ? 200 : 500, rc == COX_OK ? "" : p->text);
}

static void start_fetch(struct cox_agent_probe *p)
{
	const struct cox_agent_prober *prober = p->spec.prober;
	char address[64];
	cox_str_to_cstr(prober->kind == COX_AGENT_PROBE_TCP && prober->host.n ? prober->host : cox_str_of(address_of(p)), address,
	                sizeof(address));
	cox_agent_fetch_open(p->loop,
	                     &(struct cox_agent_fetch_spec){ .address = address,
	                                                     .port = prober->port,
	                                                     .source_address = cox_agent_probe_source(address),
	                                                     .tls = p->tls,
	                                                     .is_connect_only = prober->kind == COX_AGENT_PROBE_TCP,
	                                                     .method = COX_STR("GET"),
	                                                     .target = cox_buf_str(&p->target),
	                                                     .headers = cox_buf_str(&p->headers),
	                                                     .timeout_ms = prober->timeout_ms,
	                                                     .on_head = on_head,
	                                                     .on_done = on_fetched,
	                                                     .ctx = p },
	                     &p->fetch);
}

/* --- gRPC: grpc.health.v1.Health/Check ------------------------------------------------------- */

enum { HEALTH_SERVICE = 1, HEALTH_STATUS = 1, HEALTH_SERVING = 1 };

static void on_message(void *ctx, struct cox_grpc_call *call, struct cox_str message)
{
	struct cox_agent_probe *p = ctx;
	struct cox_pb_reader r = cox_pb_reader(message);
	struct cox_pb_field f;
	(void)call;
	while (cox_pb_next(&r, &f))
		if (f.number == HEALTH_STATUS)
			p->is_serving = cox_pb_as_u64(&r, &f) == HEALTH_SERVING;
	p->has_answer = cox_pb_finish(&r, NULL) == COX_OK;
}

static void on_close(void *ctx, struct cox_grpc_call *call, int status, struct cox_str message)
{
	struct cox_agent_probe *p = ctx;
	(void)call;
	p->call = NULL;
	bool ok = status == 0 && p->has_answer && p->is_serving;
	if (!ok)
		snprintf(p->text, sizeof(p->text), "gRPC health at port %u: status %d%s %.*s", (unsigned)p->spec.prober->port, status,
		         status == 0 && !p->is_serving ? ", not SERVING" : "", (int)cox_min_size(message.n, 80),
		         message.p ? message.p : "");
	finish(p, ok ? 200 : 500, ok ? "" : p->text);
}

static void on_timer(void *ctx)
{
	struct cox_agent_probe *p = ctx;
	finish(p, 500, p->text);
}

static enum cox_rc start_grpc(struct cox_agent_probe *p, struct cox_err *err)
{
	const struct cox_agent_prober *prober = p->spec.prober;
	struct cox_grpc_client_spec spec = { .addr = { .port = prober->port },
		                             .source_address = cox_agent_probe_source(address_of(p)),
		                             .connect_timeout_ms = prober->timeout_ms };
	struct cox_grpc_call_cb cb = { .on_message = on_message, .on_close = on_close, .ctx = p };
	COX_AUTO(cox_buf_fini) struct cox_buf request = { 0 };
	struct cox_pb pb;
	cox_str_to_cstr(cox_str_of(address_of(p)), spec.addr.host, sizeof(spec.addr.host));
	cox_pb_init(&pb, &request);
	struct cox_pb_at at = cox_pb_root(&pb);
	if (prober->service.n)
		cox_pb_put_bytes(at, HEALTH_SERVICE, prober->service);
	cox_pb_end(at);
	COX_TRY(cox_grpc_client_open(p->loop, &spec, &p->client, err));
	return cox_grpc_call_unary(p->client, "/grpc.health.v1.Health/Check", NULL, 0, prober->timeout_ms, cox_buf_str(&request), &cb,
	                           &p->call);
}

/* --- life ------------------------------------------------------------------------------------ */

void cox_agent_probe_open(struct cox_loop *loop, const struct cox_agent_probe_spec *spec, struct cox_agent_probe **out)
{
	struct cox_agent_probe *p = COX_NEW(struct cox_agent_probe);
	struct cox_err err = { 0 };
	enum cox_rc rc = COX_OK;
	p->loop = loop;
	p->spec = *spec;
	p->timer = cox_timer_new(loop, on_timer, p);
	cox_buf_append_str(&p->target, spec->prober->target);
	build_headers(p);
	p->spec.head = (struct cox_str){ 0 }; /* borrowed until here */
	*out = p;
	if (spec->prober->is_https)
		/* As the kubelet: whoever answers is the application. Old servers too. */
		rc = cox_tls_new(&(struct cox_tls_spec){ .insecure = true, .ciphers = "DEFAULT@SECLEVEL=0" }, &p->tls, &err);
	if (rc == COX_OK && spec->prober->kind == COX_AGENT_PROBE_GRPC)
		rc = start_grpc(p, &err);
	else if (rc == COX_OK)
		start_fetch(p);
	if (rc != COX_OK) {
		cox_err_describe(&err, p->text, sizeof(p->text));
		cox_timer_start(p->timer, 0, 0);
	}
}

void cox_agent_probe_close(struct cox_agent_probe **pp)
{
	struct cox_agent_probe *p = COX_MOVE(*pp);
	if (p == NULL)
		return;
	cox_agent_fetch_close(&p->fetch);
	cox_grpc_client_close(&p->client);
	cox_tls_unref(&p->tls);
	cox_timer_free(&p->timer);
	cox_buf_fini(&p->headers);
	cox_buf_fini(&p->target);
	cox_free(p);
}
