#include "xds/server_priv.h"

#include "base/log.h"
#include "xds/core.h"

#include <stdio.h>
#include <unistd.h>

enum { FIRST_CONFIGS = 16 };

static const char delta_path[] = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
static const char sotw_path[] = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";

static char *make_identifier(struct cox_str version)
{
	char host[128] = "";
	struct cox_buf b = { 0 };
	size_t n;
	gethostname(host, sizeof(host) - 1);
	cox_buf_append_cstr(&b, "{\"Component\":\"istiod\",\"ID\":");
	cox_json_write_str(&b, cox_str_of(host));
	cox_buf_append_cstr(&b, ",\"Info\":{\"version\":");
	cox_json_write_str(&b, version);
	cox_buf_append_cstr(&b, "}}");
	cox_buf_append_char(&b, 0);
	return cox_buf_take(&b, &n);
}

static void free_server(struct cox_xds_server *s)
{
	for (size_t i = 0; i < s->loop_count; i++)
		cox_loop_free(&s->loop_list[i]);
	cox_free(s->loops);
	cox_free(s->loop_list);
	cox_free(s->identifier);
	cox_free(s->methods);
	cox_free(s);
}

static void loop_init_task(void *arg)
{
	struct stream_loop *l = arg;
	stream_loop_init(l, l->server, l->loop);
}

static void loop_fini_task(void *arg) { stream_loop_fini(arg); }

static enum cox_rc open_grpc(struct cox_xds_server *s, struct cox_err *err)
{
	struct cox_grpc_method methods[] = {
		{ .path = delta_path,
		  .on_open = stream_on_open,
		  .on_message = stream_on_message,
		  .on_drained = stream_on_drained,
		  .on_close = stream_on_close,
		  .ctx = s },
		{ .path = sotw_path,
		  .on_open = stream_on_open,
		  .on_message = stream_on_message,
		  .on_drained = stream_on_drained,
		  .on_close = stream_on_close,
		  .ctx = s },
		{ .path = health_check_path, .on_message = health_on_message, .ctx = s },
		{ .path = health_watch_path, .on_message = health_on_message, .ctx = s },
	};
	s->method_count = COX_LEN(methods) + s->opts.method_count;
	s->methods = cox_calloc(s->method_count, sizeof(*s->methods));
	memcpy(s->methods, methods, sizeof(methods));
	if (s->opts.method_count)
		memcpy(s->methods + COX_LEN(methods), s->opts.methods, s->opts.method_count * sizeof(*s->methods));
	return cox_grpc_server_open(&(struct cox_grpc_server_spec){ .loops = s->loop_list,
	                                                            .loop_count = s->loop_count,
	                                                            .methods = s->methods,
	                                                            .method_count = s->method_count,
	                                                            .limits = s->opts.limits },
	                            &s->grpc, err);
}

struct open_call {
	struct cox_xds_server *s;
	enum cox_rc rc;
	struct cox_err *err;
};
static void open_on_loop(void *arg)
{
	struct open_call *c = arg;
	c->rc = open_grpc(c->s, c->err);
}

enum cox_rc cox_xds_server_open(const struct cox_xds_server_options *opts, struct cox_xds_server **out, struct cox_err *err)
{
	struct cox_xds_server *s = COX_NEW(struct cox_xds_server);
	s->opts = *opts;
	s->opts.first_configs = opts->first_configs ? opts->first_configs : FIRST_CONFIGS;
	s->identifier = make_identifier(opts->version);
	s->loop_count = opts->loop_count ? opts->loop_count : 1;
	s->loops = cox_calloc(s->loop_count, sizeof(*s->loops));
	s->loop_list = cox_calloc(s->loop_count, sizeof(struct cox_loop *));
	for (size_t i = 0; i < s->loop_count; i++) {
		char name[32];
		snprintf(name, sizeof(name), "stream-%zu", i);
		s->loop_list[i] = cox_loop_new(name);
		s->loops[i].server = s;
		s->loops[i].loop = s->loop_list[i];
		if (cox_loop_start(s->loop_list[i]) != COX_OK)
			return cox_err_set(err, COX_ELIMIT, NULL, "no thread for stream loop %zu", i);
		cox_loop_call(s->loop_list[i], loop_init_task, &s->loops[i]);
	}
	struct open_call call = { .s = s, .err = err };
	cox_loop_call(s->loop_list[0], open_on_loop, &call);
	if (call.rc != COX_OK) {
		for (size_t i = 0; i < s->loop_count; i++) {
			cox_loop_call(s->loop_list[i], loop_fini_task, &s->loops[i]);
			cox_loop_stop(s->loop_list[i]);
			cox_loop_join(s->loop_list[i]);
		}
		free_server(s);
		return call.rc;
	}
	*out = s;
	return COX_OK;
}

struct listen_call {
	struct cox_xds_server *s;
	const struct cox_addr *addr;
	struct cox_tls *tls;
	uint16_t *port;
	enum cox_rc rc;
	struct cox_err *err;
};
static void listen_on_loop(void *arg)
{
	struct listen_call *c = arg;
	c->rc = cox_grpc_server_listen(c->s->grpc, c->addr, c->tls, c->tls ? COX_XDS_TLS : COX_XDS_PLAINTEXT, c->port, c->err);
}

enum cox_rc cox_xds_server_listen(struct cox_xds_server *s, const struct cox_addr *addr, uint16_t *port, struct cox_err *err)
{
	struct listen_call call = { .s = s, .addr = addr, .port = port, .err = err };
	cox_loop_call(s->loop_list[0], listen_on_loop, &call);
	return call.rc;
}

enum cox_rc cox_xds_server_listen_tls(struct cox_xds_server *s, const struct cox_addr *addr, struct cox_tls *tls, uint16_t *port,
                                      struct cox_err *err)
{
	struct listen_call call = { .s = s, .addr = addr, .tls = tls, .port = port, .err = err };
	cox_loop_call(s->loop_list[0], listen_on_loop, &call);
	return call.rc;
}

static void set_tls_on_loop(void *arg)
{
	struct listen_call *c = arg;
	cox_grpc_server_set_tls(c->s->grpc, COX_XDS_TLS, c->tls);
}

void cox_xds_server_set_tls(struct cox_xds_server *s, struct cox_tls *tls)
{
	cox_loop_call(s->loop_list[0], set_tls_on_loop, &(struct listen_call){ .s = s, .tls = tls });
}

struct drain_call {
	struct cox_xds_server *s;
	int64_t grace_ms;
};
static void drain_on_loop(void *arg)
{
	struct drain_call *c = arg;
	cox_grpc_server_drain(c->s->grpc, c->grace_ms);
}

void cox_xds_server_drain(struct cox_xds_server *s, int64_t grace_ms)
{
	struct drain_call call = { s, grace_ms };
	s->is_draining = true;
	cox_loop_call(s->loop_list[0], drain_on_loop, &call);
}

/* --- the end: grpc server closed on loop 0, then each loop ended from the config loop ------------------- */

static void end_on_config_loop(struct cox_loop_task *task)
{
	struct cox_xds_server *s = (struct cox_xds_server *)(void *)((char *)task - offsetof(struct cox_xds_server, end_task));
	void (*closed)(void *) = s->closed;
	void *ctx = s->closed_ctx;
	for (size_t i = 0; i < s->loop_count; i++) {
		cox_loop_call(s->loop_list[i], loop_fini_task, &s->loops[i]);
		cox_loop_stop(s->loop_list[i]);
		cox_loop_join(s->loop_list[i]);
	}
	free_server(s);
	if (closed)
		closed(ctx);
}

static void on_grpc_closed(void *arg)
{
	struct cox_xds_server *s = arg;
	s->end_task.fn = end_on_config_loop;
	cox_loop_post(s->opts.config_loop, &s->end_task);
}

static void close_on_loop(void *arg)
{
	struct cox_xds_server *s = arg;
	cox_grpc_server_close(&s->grpc, on_grpc_closed, s);
}

void cox_xds_server_close(struct cox_xds_server **server, void (*closed)(void *ctx), void *ctx)
{
	struct cox_xds_server *s = *server;
	*server = NULL;
	s->closed = closed;
	s->closed_ctx = ctx;
	cox_loop_call(s->loop_list[0], close_on_loop, s);
}

bool cox_xds_server_is_draining(const struct cox_xds_server *s) { return s->is_draining; }
size_t cox_xds_server_streams(const struct cox_xds_server *s) { return s->stream_count; }

size_t cox_xds_server_proxies(const struct cox_xds_server *s) { return s->proxy_count; }

static void resend_on_loop(void *arg)
{
	struct stream_loop *l = arg;
	for (size_t i = 0; i < l->streams.n; i++)
		if (l->streams.p[i]->proxy && cox_xds_core_resend(l->streams.p[i]->core))
			stream_wake(l->streams.p[i]);
}

void cox_xds_server_resend(struct cox_xds_server *s)
{
	for (size_t i = 0; i < s->loop_count; i++)
		cox_loop_call(s->loop_list[i], resend_on_loop, &s->loops[i]);
}
