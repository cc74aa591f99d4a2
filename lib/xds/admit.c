/* admit - how many new streams may come, and what is shed when memory runs out. */
#include "xds/server_priv.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"

static void refuse(struct cox_grpc_stream *s, const char *reason, const char *text)
{
	cox_metric_add(COX_M_XDS_STREAMS_REFUSED, reason, 1);
	cox_log(COX_LOG_DEBUG, "ads", "stream refused peer=%s reason=%s", cox_grpc_stream_peer_address(s), reason);
	cox_grpc_finish(s, COX_ELIMIT, cox_str_of(text));
}

/* A second's worth may come at once. */
static bool take_token(struct stream_loop *l)
{
	const struct cox_xds_server *server = l->server;
	double rate = server->opts.streams_per_second / (double)server->loop_count, most = rate > 1 ? rate : 1;
	int64_t now = cox_clock_mono_ms();
	if (server->opts.streams_per_second <= 0)
		return true;
	l->tokens = l->refilled_ms ? l->tokens + rate * (double)(now - l->refilled_ms) / 1000 : most;
	l->tokens = l->tokens < most ? l->tokens : most;
	l->refilled_ms = now;
	if (l->tokens < 1)
		return false;
	l->tokens -= 1;
	return true;
}

bool stream_is_admitted(struct stream_loop *l, struct cox_grpc_stream *s)
{
	if (atomic_load(&l->server->sheds))
		refuse(s, "memory", "the control plane's memory is used up: proxies that are connected keep theirs");
	else if (!take_token(l))
		refuse(s, "rate", "request rate limit exceeded");
	else
		return true;
	return false;
}

/* Those that wait for their first configuration would cost most, and have nothing to lose. */
static void shed_on_loop(void *arg)
{
	struct stream_loop *l = arg;
	while (l->firsts.n) {
		struct ads_stream *a = l->firsts.p[l->firsts.n - 1];
		l->firsts.n--;
		a->is_queued = false;
		stream_refuse(a, COX_ELIMIT, "memory", COX_STR("the control plane's memory is used up"));
	}
}

void cox_xds_server_shed(struct cox_xds_server *s, bool sheds)
{
	if (atomic_exchange(&s->sheds, sheds) == sheds || !sheds)
		return;
	for (size_t i = 0; i < s->loop_count; i++)
		cox_loop_call(s->loop_list[i], shed_on_loop, &s->loops[i]);
}

struct relieve_call {
	struct stream_loop *loop;
	size_t parts;
};
static void relieve_on_loop(void *arg)
{
	struct relieve_call *c = arg;
	struct stream_loop *l = c->loop;
	size_t keep = l->streams.n - (l->streams.n + c->parts - 1) / c->parts;
	for (size_t i = l->streams.n; i-- > keep;)
		if (!l->streams.p[i]->is_closing)
			stream_refuse(l->streams.p[i], COX_ELIMIT, "memory", COX_STR("the control plane's memory is used up"));
}

void cox_xds_server_relieve(struct cox_xds_server *s, size_t parts)
{
	for (size_t i = 0; i < s->loop_count; i++)
		cox_loop_call(s->loop_list[i], relieve_on_loop, &(struct relieve_call){ &s->loops[i], parts });
}
