#include "codec/json.h"
#include "envoy/struct_pb.h"
#include "translate/filters.h"

/* The fields that operators of such meshes know, in their order. */
#define LOG_TEXT                                                                                                             \
	"[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% "  \
	"%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% \"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% " \
	"%BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" "    \
	"\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% " \
	"%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n"

/* Sorted by key. */
static const struct cox_kv json_fields[] = {
	{ COX_STR_INIT("authority"), COX_STR_INIT("%REQ(:AUTHORITY)%") },
	{ COX_STR_INIT("bytes_received"), COX_STR_INIT("%BYTES_RECEIVED%") },
	{ COX_STR_INIT("bytes_sent"), COX_STR_INIT("%BYTES_SENT%") },
	{ COX_STR_INIT("connection_termination_details"), COX_STR_INIT("%CONNECTION_TERMINATION_DETAILS%") },
	{ COX_STR_INIT("downstream_local_address"), COX_STR_INIT("%DOWNSTREAM_LOCAL_ADDRESS%") },
	{ COX_STR_INIT("downstream_remote_address"), COX_STR_INIT("%DOWNSTREAM_REMOTE_ADDRESS%") },
	{ COX_STR_INIT("duration"), COX_STR_INIT("%DURATION%") },
	{ COX_STR_INIT("method"), COX_STR_INIT("%REQ(:METHOD)%") },
	{ COX_STR_INIT("path"), COX_STR_INIT("%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%") },
	{ COX_STR_INIT("protocol"), COX_STR_INIT("%PROTOCOL%") },
	{ COX_STR_INIT("request_id"), COX_STR_INIT("%REQ(X-REQUEST-ID)%") },
	{ COX_STR_INIT("requested_server_name"), COX_STR_INIT("%REQUESTED_SERVER_NAME%") },
	{ COX_STR_INIT("response_code"), COX_STR_INIT("%RESPONSE_CODE%") },
	{ COX_STR_INIT("response_code_details"), COX_STR_INIT("%RESPONSE_CODE_DETAILS%") },
	{ COX_STR_INIT("response_flags"), COX_STR_INIT("%RESPONSE_FLAGS%") },
	{ COX_STR_INIT("route_name"), COX_STR_INIT("%ROUTE_NAME%") },
	{ COX_STR_INIT("start_time"), COX_STR_INIT("%START_TIME%") },
	{ COX_STR_INIT("upstream_cluster"), COX_STR_INIT("%UPSTREAM_CLUSTER_RAW%") },
	{ COX_STR_INIT("upstream_host"), COX_STR_INIT("%UPSTREAM_HOST%") },
	{ COX_STR_INIT("upstream_local_address"), COX_STR_INIT("%UPSTREAM_LOCAL_ADDRESS%") },
	{ COX_STR_INIT("upstream_service_time"), COX_STR_INIT("%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%") },
	{ COX_STR_INIT("upstream_transport_failure_reason"), COX_STR_INIT("%UPSTREAM_TRANSPORT_FAILURE_REASON%") },
	{ COX_STR_INIT("user_agent"), COX_STR_INIT("%REQ(USER-AGENT)%") },
	{ COX_STR_INIT("x_forwarded_for"), COX_STR_INIT("%REQ(X-FORWARDED-FOR)%") },
};

/* One file to write, and how. `labels`: RAW JSON of a user's object; else text where given, else the defaults. */
struct log_file {
	struct cox_str path, text, labels;
	bool is_json, omit_empty;
};

static void log_format_write(struct pb_core_v3_SubstitutionFormatString f, const struct cox_tr *t, const struct log_file *l)
{
	struct cox_json *labels = NULL;

	if (l->labels.n > 0 && cox_json_parse(t->arena, l->labels, &labels, NULL) == COX_OK && labels->type == COX_JSON_OBJECT) {
		PB_WITH (s, pb_core_v3_SubstitutionFormatString_json_format(f))
			cox_struct_put_members(s, labels);
	} else if (l->is_json) {
		PB_WITH (s, pb_core_v3_SubstitutionFormatString_json_format(f))
			for (size_t i = 0; i < COX_LEN(json_fields); i++)
				cox_struct_put_str(s, json_fields[i].key, json_fields[i].value);
	} else {
		PB_WITH (source, pb_core_v3_SubstitutionFormatString_text_format_source(f))
			pb_core_v3_DataSource_inline_string(source, l->text.n > 0 ? l->text : COX_STR(LOG_TEXT));
	}
	pb_core_v3_SubstitutionFormatString_omit_empty_values(f, l->omit_empty);
}

static void unmatched_write(struct pb_accesslog_v3_AccessLog log)
{
	PB_WITH (filter, pb_accesslog_v3_AccessLog_filter(log))
		PB_WITH (flags, pb_accesslog_v3_AccessLogFilter_response_flag_filter(filter))
			pb_accesslog_v3_ResponseFlagFilter_flags(flags, COX_STR("NR"));
}

static void log_write(struct pb_accesslog_v3_AccessLog log, const struct cox_tr *t, const struct log_file *l, bool is_listener)
{
	pb_accesslog_v3_AccessLog_name(log, COX_STR("envoy.access_loggers.file"));
	if (is_listener)
		unmatched_write(log);
	PB_ANY (file, pb_accesslog_v3_AccessLog_typed_config(log), pb_access_loggers_file_v3_FileAccessLog) {
		pb_access_loggers_file_v3_FileAccessLog_path(file, l->path);
		PB_WITH (f, pb_access_loggers_file_v3_FileAccessLog_log_format(file))
			log_format_write(f, t, l);
	}
}

static bool provider_log(const struct cox_mesh_config *mesh, struct cox_str name, struct log_file *out)
{
	for (COX_EACH(struct cox_provider, p, mesh->extension_providers)) {
		const struct cox_provider_file_log *file = p->envoy_file_access_log;
		if (file == NULL || !cox_str_eq(p->name, name))
			continue;
		*out = (struct log_file){ .path = file->path, .omit_empty = file->omit_empty_values };
		if (file->log_format != NULL) {
			out->text = file->log_format->text;
			out->labels = file->log_format->labels;
		} else {
			out->is_json = mesh->access_log_encoding == COX_LOG_JSON;
		}
		return true;
	}
	return false;
}

/* The i-th log of the mesh; false: there is none such. */
static bool log_at(const struct cox_mesh_config *mesh, size_t i, struct log_file *out)
{
	if (mesh->default_providers != NULL && mesh->default_providers->access_logging.n > 0) {
		const struct cox_str *names = mesh->default_providers->access_logging.p;
		for (size_t k = 0; k < mesh->default_providers->access_logging.n; k++)
			if (provider_log(mesh, names[k], out) && i-- == 0)
				return true;
		return false;
	}
	if (i > 0 || mesh->access_log_file.n == 0)
		return false;
	*out = (struct log_file){ .path = mesh->access_log_file, .is_json = mesh->access_log_encoding == COX_LOG_JSON };
	if (out->is_json)
		out->labels = mesh->access_log_format;
	else
		out->text = mesh->access_log_format;
	return true;
}

/* enableEnvoyAccessLogService, for proxies whose bootstrap knows the service. */
static void grpc_common_write(struct pb_access_loggers_grpc_v3_CommonGrpcAccessLogConfig c, struct cox_str log_name)
{
	static const char *const state[] = { "upstream_peer", "downstream_peer" };
	pb_access_loggers_grpc_v3_CommonGrpcAccessLogConfig_log_name(c, log_name);
	PB_WITH (service, pb_access_loggers_grpc_v3_CommonGrpcAccessLogConfig_grpc_service(c))
		PB_WITH (envoy, pb_core_v3_GrpcService_envoy_grpc(service))
			pb_core_v3_GrpcService_EnvoyGrpc_cluster_name(envoy, COX_STR("envoy_accesslog_service"));
	pb_access_loggers_grpc_v3_CommonGrpcAccessLogConfig_transport_api_version(c, PB_core_v3_V3);
	for (size_t i = 0; i < COX_LEN(state); i++)
		pb_access_loggers_grpc_v3_CommonGrpcAccessLogConfig_filter_state_objects_to_log(c, cox_str_of(state[i]));
}

static void grpc_log_write(struct pb_accesslog_v3_AccessLog log, enum cox_log_of of)
{
	pb_accesslog_v3_AccessLog_name(log, of == COX_LOG_OF_HTTP ? COX_STR("envoy.access_loggers.http_grpc")
	                                                          : COX_STR("envoy.access_loggers.tcp_grpc"));
	if (of == COX_LOG_OF_LISTENER)
		unmatched_write(log);
	if (of == COX_LOG_OF_HTTP) {
		PB_ANY (http, pb_accesslog_v3_AccessLog_typed_config(log), pb_access_loggers_grpc_v3_HttpGrpcAccessLogConfig)
			PB_WITH (c, pb_access_loggers_grpc_v3_HttpGrpcAccessLogConfig_common_config(http))
				grpc_common_write(c, COX_STR("http_envoy_accesslog"));
		return;
	}
	PB_ANY (tcp, pb_accesslog_v3_AccessLog_typed_config(log), pb_access_loggers_grpc_v3_TcpGrpcAccessLogConfig)
		PB_WITH (c, pb_access_loggers_grpc_v3_TcpGrpcAccessLogConfig_common_config(tcp))
			grpc_common_write(c, COX_STR("tcp_envoy_accesslog"));
}

bool cox_access_log_is_on(const struct cox_tr *t)
{
	struct log_file l;
	return t->view->has_access_log_service || log_at(t->s->mesh, 0, &l);
}

void cox_access_logs(const struct cox_tr *t, enum cox_log_of of, struct pb_accesslog_v3_AccessLog (*open)(void *arg), void *arg)
{
	struct log_file l;
	bool is_listener = of == COX_LOG_OF_LISTENER;
	if (is_listener && t->s->mesh->disable_envoy_listener_log.v)
		return;
	for (size_t i = 0; log_at(t->s->mesh, i, &l); i++)
		PB_WITH (log, open(arg))
			log_write(log, t, &l, is_listener);
	if (t->view->has_access_log_service)
		PB_WITH (log, open(arg))
			grpc_log_write(log, of);
}
