/* Who may have a stream: what comes before the caller is known, who goes before it is, and identities that are revoked.
 * covers: c26 g45 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "envoy/core_v3.h"
#include "envoy/envoy.h"
#include "envoy/service_discovery_v3.h"
#include "envoy/struct_pb.h"
#include "net/grpc_client.h"
#include "xds/server.h"

#include <stdio.h>

struct world {
	struct cox_loop *config, *client_loop;
	struct cox_registry *registry;
	struct cox_push *push;
	struct cox_authn *authn;
	struct cox_ledger *ledger;
	struct cox_xds_server *xds;
	struct cox_grpc_client *client;
	bool is_closed, is_ledger_closed, is_done;
};
static struct world *w;

static bool never(void *arg)
{
	(void)arg;
	return false;
}
static void run_client(int64_t ms) { cox_loop_run_until(w->client_loop, never, NULL, ms); }
static void run(void)
{
	cox_loop_run_until(w->config, never, NULL, 5);
	run_client(5);
}
static void on_closed(void *ctx) { *(bool *)ctx = true; }

static int setup(void **state)
{
	struct cox_err err = { 0 };
	struct cox_addr addr;
	uint16_t port;
	(void)state;
	w = COX_NEW(struct world);
	w->config = cox_loop_new("config");
	w->client_loop = cox_loop_new("client");
	w->registry = cox_registry_new(&(struct cox_registry_options){ 0 });
	w->push = cox_push_new(&(struct cox_push_options){ .loop = w->config, .registry = w->registry });
	cox_push_set_synced(w->push);
	for (int i = 0; i < 1000 && !cox_push_is_synced(w->push); i++)
		run();
	assert_int_equal(cox_authn_open(&(struct cox_authn_spec){ .loop = w->config, .trust_domain = COX_STR("td") }, &w->authn, &err),
	                 COX_OK);
	assert_int_equal(
	    cox_ledger_open(&(struct cox_ledger_spec){ .loop = w->config, .ns = COX_STR("istio-system"), .replica = COX_STR("r") },
	                    &w->ledger, &err),
	    COX_OK);
	assert_int_equal(cox_xds_server_open(
	                     &(struct cox_xds_server_options){ .config_loop = w->config,
	                                                       .push = w->push,
	                                                       .version = COX_STR("test"),
	                                                       .auth = { .authn = w->authn, .ledger = w->ledger, .on_plaintext = true } },
	                     &w->xds, &err),
	                 COX_OK);
	assert_int_equal(cox_addr_parse(COX_STR("127.0.0.1:0"), &addr, &err), COX_OK);
	assert_int_equal(cox_xds_server_listen(w->xds, &addr, &port, &err), COX_OK);
	addr.port = port;
	assert_int_equal(cox_grpc_client_open(w->client_loop, &(struct cox_grpc_client_spec){ .addr = addr }, &w->client, &err), COX_OK);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	cox_grpc_client_close(&w->client);
	cox_xds_server_close(&w->xds, on_closed, &w->is_closed);
	for (int i = 0; i < 1000 && !w->is_closed; i++)
		run();
	assert_true(w->is_closed);
	cox_authn_close(&w->authn);
	cox_ledger_close(&w->ledger, on_closed, &w->is_ledger_closed);
	for (int i = 0; i < 1000 && !w->is_ledger_closed; i++)
		run();
	cox_push_free(w->push);
	cox_registry_free(w->registry);
	cox_loop_free(&w->client_loop);
	cox_loop_free(&w->config);
	cox_free(w);
	return 0;
}

/* --- a stream ------------------------------------------------------------------------------------------------ */

struct stream {
	struct cox_grpc_call *call;
	int messages, status; /* -1: open */
	char text[300];
	COX_VEC(struct cox_buf) out;
	size_t sent;
};
static void send_next(struct stream *s)
{
	while (s->sent < s->out.n && cox_grpc_call_send(s->call, cox_buf_str(&s->out.p[s->sent])) == COX_OK)
		s->sent++;
}
static void on_message(void *ctx, struct cox_grpc_call *c, struct cox_str m)
{
	(void)c, (void)m;
	((struct stream *)ctx)->messages++;
}
static void on_drained(void *ctx, struct cox_grpc_call *c)
{
	(void)c;
	send_next(ctx);
}
static void on_close(void *ctx, struct cox_grpc_call *c, int status, struct cox_str text)
{
	struct stream *s = ctx;
	(void)c;
	s->call = NULL;
	s->status = status;
	s->sent = s->out.n;
	cox_str_to_cstr(text, s->text, sizeof(s->text));
}

static void add_request(struct stream *s)
{
	struct cox_buf b = { 0 };
	struct cox_pb pb;
	cox_pb_init(&pb, &b);
	PB_ROOT (r, pb_service_discovery_v3_DeltaDiscoveryRequest, &pb) {
		PB_WITH (n, pb_service_discovery_v3_DeltaDiscoveryRequest_node(r)) {
			pb_core_v3_Node_id(n, COX_STR("sidecar~10.0.0.1~web-0.shop~shop.svc.cluster.local"));
			PB_WITH (m, pb_core_v3_Node_metadata(n))
				cox_struct_put_str(m, COX_STR("NAMESPACE"), COX_STR("shop"));
		}
		pb_service_discovery_v3_DeltaDiscoveryRequest_type_url(r, COX_STR("type.googleapis.com/envoy.config.cluster.v3.Cluster"));
	}
	cox_vec_push(&s->out, b);
}
static void stream_start(struct stream *s, const char *uri, int requests)
{
	char xfcc[200];
	snprintf(xfcc, sizeof(xfcc), "URI=%s", uri);
	const struct cox_grpc_kv metadata[] = { { COX_STR("x-forwarded-client-cert"), cox_str_of(xfcc) } };
	*s = (struct stream){ .status = -1 };
	for (int i = 0; i < requests; i++)
		add_request(s);
	assert_int_equal(cox_grpc_call_open(w->client, "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
	                                    metadata, 1, 0, &(struct cox_grpc_call_cb){ on_message, on_drained, on_close, s }, &s->call),
	                 COX_OK);
	send_next(s);
}
static void stream_wait(struct stream *s, bool until_message)
{
	for (int i = 0; i < 1000 && s->status < 0 && !(until_message && s->messages); i++)
		run();
	assert_true(s->status >= 0 || until_message);
	assert_true(s->messages > 0 || !until_message);
}
static void stream_end(struct stream *s)
{
	if (s->call)
		cox_grpc_call_cancel(&s->call);
	for (size_t i = 0; i < s->out.n; i++)
		cox_buf_fini(&s->out.p[i]);
	cox_vec_fini(&s->out);
}
static void on_revoked(void *ctx, enum cox_rc rc, size_t n, const struct cox_err *err)
{
	(void)n, (void)err;
	assert_int_equal(rc, COX_OK);
	*(bool *)ctx = true;
}

#define SHOP "spiffe://td/ns/shop/sa/web"
enum { PERMISSION_DENIED = 7, RESOURCE_EXHAUSTED = 8, UNAUTHENTICATED = 16 };

static void test_revoked(void **state)
{
	struct stream a, b, c;
	(void)state;
	stream_start(&a, SHOP, 1);
	stream_start(&b, "spiffe://td/ns/shop/sa/other", 1);
	stream_wait(&a, true);
	stream_wait(&b, true);
	cox_ledger_revoke(w->ledger, &(struct cox_revoke){ .identity = COX_STR(SHOP), .reason = COX_STR("stolen") }, on_revoked,
	                  &w->is_done);
	for (int i = 0; i < 1000 && !w->is_done; i++)
		run();
	cox_xds_server_recheck(w->xds);
	stream_wait(&a, false);
	assert_int_equal(a.status, PERMISSION_DENIED);
	stream_start(&c, SHOP, 1);
	stream_wait(&c, false);
	assert_int_equal(c.status, PERMISSION_DENIED);
	assert_int_equal(c.messages, 0);
	assert_int_equal(b.status, -1);
	stream_end(&a), stream_end(&b), stream_end(&c);
}

static void test_refused(void **state)
{
	struct stream s;
	(void)state;
	stream_start(&s, "spiffe://td/ns/other/sa/web", 1);
	stream_wait(&s, false);
	assert_int_equal(s.status, PERMISSION_DENIED);
	assert_non_null(strstr(s.text, "spiffe://td/ns/other/sa/web may not be proxy"));
	stream_end(&s);
	stream_start(&s, "spiffe://else/ns/shop/sa/web", 1);
	stream_wait(&s, false);
	assert_int_equal(s.status, UNAUTHENTICATED);
	stream_end(&s);
}

/* While the config loop is busy nobody is known: a few requests are kept, a flood is not. */
static void test_early(void **state)
{
	struct stream few, flood;
	(void)state;
	stream_start(&few, SHOP, 3);
	stream_start(&flood, SHOP, 100);
	for (int i = 0; i < 200 && flood.status < 0; i++)
		run_client(10);
	if (flood.status != RESOURCE_EXHAUSTED)
		fail_msg("status %d \"%s\"", flood.status, flood.text);
	assert_int_equal(few.status, -1);
	assert_int_equal(few.messages, 0);
	stream_wait(&few, true);
	stream_end(&few), stream_end(&flood);
}

/* The peer goes, then the server closes, both before anybody is known. */
static void test_gone(void **state)
{
	struct stream s, other;
	(void)state;
	stream_start(&s, SHOP, 2);
	stream_start(&other, SHOP, 2);
	run_client(100);
	stream_end(&s);
	run_client(100);
	cox_grpc_client_close(&w->client);
	other.call = NULL;
	stream_end(&other);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = { T(test_revoked), T(test_refused), T(test_early), T(test_gone) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
