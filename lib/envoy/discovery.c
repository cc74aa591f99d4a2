#include "envoy/discovery.h"

#include "codec/pb_read.h"
#include "envoy/google_rpc.h"
#include "envoy/service_discovery_v3.h"

/* The numbers that the two messages give to the same things. */
struct numbers {
	uint32_t node, type_url, names, unsubscribed, nonce, error, version;
};
static const struct numbers delta_numbers = {
	.node = PB_service_discovery_v3_DeltaDiscoveryRequest_node__NUM,
	.type_url = PB_service_discovery_v3_DeltaDiscoveryRequest_type_url__NUM,
	.names = PB_service_discovery_v3_DeltaDiscoveryRequest_resource_names_subscribe__NUM,
	.unsubscribed = PB_service_discovery_v3_DeltaDiscoveryRequest_resource_names_unsubscribe__NUM,
	.nonce = PB_service_discovery_v3_DeltaDiscoveryRequest_response_nonce__NUM,
	.error = PB_service_discovery_v3_DeltaDiscoveryRequest_error_detail__NUM,
};
static const struct numbers sotw_numbers = {
	.node = PB_service_discovery_v3_DiscoveryRequest_node__NUM,
	.type_url = PB_service_discovery_v3_DiscoveryRequest_type_url__NUM,
	.names = PB_service_discovery_v3_DiscoveryRequest_resource_names__NUM,
	.nonce = PB_service_discovery_v3_DiscoveryRequest_response_nonce__NUM,
	.error = PB_service_discovery_v3_DiscoveryRequest_error_detail__NUM,
	.version = PB_service_discovery_v3_DiscoveryRequest_version_info__NUM,
};

static enum cox_rc collect_versions(struct cox_str bytes, size_t max, struct cox_arena *arena, struct cox_discovery_request *req,
                                    struct cox_err *err)
{
	const uint32_t number = PB_service_discovery_v3_DeltaDiscoveryRequest_initial_resource_versions__NUM;
	size_t n;
	COX_TRY(cox_pb_count(bytes, number, max, &n, err));
	if (n == 0)
		return COX_OK;
	struct cox_name_version *items = COX_ARENA_ARRAY(arena, struct cox_name_version, n);
	struct cox_pb_reader r = cox_pb_reader(bytes);
	struct cox_pb_field f;
	while (cox_pb_next(&r, &f))
		if (f.number == number) {
			struct cox_name_version *item = &items[req->initial_n++];
			*item = (struct cox_name_version){ { 0 }, { 0 } };
			cox_pb_as_str_entry(&r, &f, &item->name, &item->version);
		}
	req->initial = items;
	return cox_pb_finish(&r, err);
}

static void read_error(struct cox_pb_reader *outer, const struct cox_pb_field *field, struct cox_discovery_request *req)
{
	struct cox_pb_reader r = cox_pb_as_message(outer, field);
	struct cox_pb_field f;
	req->has_error = true;
	while (cox_pb_next(&r, &f))
		if (f.number == PB_google_rpc_Status_message__NUM)
			req->error = cox_pb_as_str(&r, &f);
	cox_pb_adopt(outer, &r);
}

enum cox_rc cox_discovery_request_read(struct cox_str bytes, bool is_delta, size_t names_max, struct cox_arena *arena,
                                       struct cox_discovery_request *out, struct cox_err *err)
{
	const struct numbers *number = is_delta ? &delta_numbers : &sotw_numbers;
	struct cox_discovery_request req = { 0 };
	struct cox_pb_reader r = cox_pb_reader(bytes);
	struct cox_pb_field f;
	while (cox_pb_next(&r, &f)) {
		if (f.number == number->node)
			req.node = cox_pb_as_bytes(&r, &f);
		else if (f.number == number->type_url)
			req.type_url = cox_pb_as_str(&r, &f);
		else if (f.number == number->nonce)
			req.nonce = cox_pb_as_str(&r, &f);
		else if (f.number == number->error)
			read_error(&r, &f, &req);
		else if (number->version && f.number == number->version)
			req.version = cox_pb_as_str(&r, &f);
	}
	COX_TRY(cox_pb_finish(&r, err));
	COX_TRY(cox_pb_collect(bytes, number->names, names_max, arena, &req.names, &req.name_n, err));
	if (is_delta) {
		COX_TRY(cox_pb_collect(bytes, number->unsubscribed, names_max, arena, &req.unsubscribed, &req.unsubscribed_n, err));
		COX_TRY(collect_versions(bytes, names_max, arena, &req, err));
	}
	*out = req;
	return COX_OK;
}

struct cox_str cox_discovery_request_node(struct cox_str bytes, bool is_delta)
{
	struct cox_pb_reader r = cox_pb_reader(bytes);
	struct cox_pb_field f;
	struct cox_str node = COX_STR("");
	while (cox_pb_next(&r, &f))
		if (f.number == (is_delta ? delta_numbers : sotw_numbers).node)
			node = cox_pb_as_bytes(&r, &f);
	return cox_pb_finish(&r, NULL) == COX_OK ? node : COX_STR("");
}
