/* health - grpc.health.v1: Check and Watch for the server as a whole (protocol: grpc/doc/health-checking.md).
 * Watch answers once with the present state; readiness does not go back once sources are complete. */
#include "xds/server_priv.h"

#include "envoy/envoy.h"
#include "envoy/grpc_health_v1.h"

const char health_check_path[] = "/grpc.health.v1.Health/Check";
const char health_watch_path[] = "/grpc.health.v1.Health/Watch";

void health_on_message(void *ctx, struct cox_grpc_stream *s, struct cox_str message)
{
	struct cox_xds_server *server = ctx;
	struct cox_buf out = { 0 };
	struct cox_pb pb;
	(void)message;
	cox_pb_init(&pb, &out);
	PB_ROOT (r, pb_grpc_health_v1_HealthCheckResponse, &pb) {
		pb_grpc_health_v1_HealthCheckResponse_status(r, cox_push_is_synced(server->opts.push) && !server->is_draining
		                                                    ? PB_grpc_health_v1_HealthCheckResponse_SERVING
		                                                    : PB_grpc_health_v1_HealthCheckResponse_NOT_SERVING);
	}
	enum cox_rc rc = cox_grpc_send_copy(s, cox_buf_str(&out));
	cox_buf_fini(&out);
	if (rc != COX_OK || cox_grpc_stream_method(s)->path == health_check_path)
		cox_grpc_finish(s, rc, COX_STR(""));
}
