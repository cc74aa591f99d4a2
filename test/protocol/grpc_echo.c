/*
 * grpc_echo - a gRPC server for test_grpc_server.py: lib/net without anything above it.
 *   /test.Echo/Echo    answers each message with itself      /test.Echo/Blob  answers "N" with N bytes of shared memory
 *   /test.Echo/Refuse  answers PERMISSION_DENIED             /test.Echo/Tell  answers with what the server knows of the caller
 *   /test.Echo/Hold    never answers
 * usage: grpc_echo [max_age_ms]   Prints its port; ends by SIGTERM after a drain of 500 ms.
 */
#include "base/buf.h"
#include "loop/loop.h"
#include "loop/signal.h"
#include "loop/timer.h"
#include "net/grpc_server.h"

#include <signal.h>
#include <stdio.h>

enum { BLOB_BYTES = 8 << 20, DRAIN_MS = 500 };

static char blob[BLOB_BYTES];
static struct cox_grpc_server *server;
static struct cox_loop *loop;
static struct cox_timer *ending;

static void echo(void *ctx, struct cox_grpc_stream *s, struct cox_str m)
{
	(void)ctx;
	if (cox_grpc_is_writable(s))
		(void)!cox_grpc_send_copy(s, m);
	else
		cox_grpc_finish(s, COX_ELIMIT, COX_STR("one at a time"));
}

static void send_blob(void *ctx, struct cox_grpc_stream *s, struct cox_str m)
{
	int64_t n;
	(void)ctx;
	if (cox_str_to_i64(m, &n) != COX_OK || n < 0 || n > BLOB_BYTES) {
		cox_grpc_finish(s, COX_EINVAL, COX_STR("not a size"));
		return;
	}
	/* Halves, so that a message has a seam. */
	struct cox_grpc_piece pieces[] = { { blob, (size_t)n / 2, NULL, NULL }, { blob + n / 2, (size_t)(n - n / 2), NULL, NULL } };
	(void)!cox_grpc_send(s, pieces, 2);
}

static void refuse(void *ctx, struct cox_grpc_stream *s)
{
	(void)ctx;
	cox_grpc_finish(s, COX_EDENIED, COX_STR("no: 100% \xc3\xbc\n"));
}

static void tell(void *ctx, struct cox_grpc_stream *s, struct cox_str m)
{
	struct cox_buf b = { 0 };
	(void)ctx, (void)m;
	cox_buf_printf(&b, "peer=%s loopback=%d tls=%d clusterid=%.*s deadline=%d", cox_grpc_stream_peer_address(s),
	               cox_grpc_stream_peer_is_loopback(s), cox_grpc_stream_peer(s)->is_tls,
	               COX_FMT(cox_grpc_stream_metadata(s, "clusterid")), cox_grpc_stream_deadline_left_ms(s) > 0);
	(void)!cox_grpc_send_copy(s, cox_buf_str(&b));
	cox_buf_fini(&b);
}

static void hold(void *ctx, struct cox_grpc_stream *s) { (void)ctx, (void)s; }

static const struct cox_grpc_method methods[] = {
	{ "/test.Echo/Echo", NULL, echo, NULL, NULL, NULL, NULL },     { "/test.Echo/Blob", NULL, send_blob, NULL, NULL, NULL, NULL },
	{ "/test.Echo/Refuse", refuse, NULL, NULL, NULL, NULL, NULL }, { "/test.Echo/Tell", NULL, tell, NULL, NULL, NULL, NULL },
	{ "/test.Echo/Hold", NULL, NULL, hold, NULL, NULL, NULL },
};

static void on_closed(void *ctx) { cox_loop_stop(ctx); }
static void on_end(void *ctx)
{
	(void)ctx;
	cox_grpc_server_close(&server, on_closed, loop);
}
static void on_signal(void *ctx, int number)
{
	(void)ctx, (void)number;
	cox_grpc_server_drain(server, DRAIN_MS);
	cox_timer_start(ending, 2 * DRAIN_MS, 0);
}

int main(int argc, char **argv)
{
	int64_t age_ms = 0;
	uint16_t port;
	struct cox_addr addr;
	struct cox_signal *term;
	memset(blob, 'x', sizeof(blob));
	if (argc > 1 && cox_str_to_i64(cox_str_of(argv[1]), &age_ms) != COX_OK)
		return 2;
	loop = cox_loop_new("echo");
	ending = cox_timer_new(loop, on_end, NULL);
	struct cox_grpc_server_spec spec = { .loops = &loop,
		                             .loop_count = 1,
		                             .methods = methods,
		                             .method_count = COX_LEN(methods),
		                             .limits = { .max_age_ms = age_ms, .max_age_grace_ms = 300, .streams_per_connection = 1000 } };
	if (cox_addr_parse(COX_STR("127.0.0.1:0"), &addr, NULL) != COX_OK || cox_grpc_server_open(&spec, &server, NULL) != COX_OK ||
	    cox_grpc_server_listen(server, &addr, NULL, 0, &port, NULL) != COX_OK ||
	    cox_signal_open(loop, SIGTERM, on_signal, NULL, &term) != COX_OK)
		return 1;
	printf("%u\n", port);
	fflush(stdout);
	cox_loop_run(loop);
	cox_signal_close(&term);
	cox_timer_free(&ending);
	cox_loop_free(&loop);
	return 0;
}
