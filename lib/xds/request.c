#include "xds/request.h"

#include "codec/pb_read.h"
#include "envoy/google_rpc.h"
#include "envoy/service_discovery_v3.h"

struct names {
	struct cox_str *p;
	size_t n;
};

/* How often each field occurs: arrays are made in one piece. */
static enum cox_rc count(struct cox_str bytes, uint32_t number, size_t *n, struct cox_err *err)
{
	struct cox_pb_reader r = cox_pb_reader(bytes);
	struct cox_pb_field f;
	*n = 0;
	while (cox_pb_next(&r, &f))
		*n += f.number == number;
	COX_TRY(cox_pb_finish(&r, err));
	if (*n > COX_XDS_NAMES_MAX)
		return cox_err_set(err, COX_ELIMIT, NULL, "%zu resource names in one request; the limit is %d", *n, COX_XDS_NAMES_MAX);
	return COX_OK;
}

static enum cox_rc collect(struct cox_str bytes, uint32_t number, struct cox_arena *arena, struct names *out, struct cox_err *err)
{
	size_t n;
	COX_TRY(count(bytes, number, &n, err));
	*out = (struct names){ n ? COX_ARENA_ARRAY(arena, struct cox_str, n) : NULL, 0 };
	struct cox_pb_reader r = cox_pb_reader(bytes);
	struct cox_pb_field f;
	while (n && cox_pb_next(&r, &f))
		if (f.number == number)
			out->p[out->n++] = cox_pb_as_str(&r, &f);
	return cox_pb_finish(&r, err);
}

static enum cox_rc collect_versions(struct cox_str bytes, struct cox_arena *arena, struct cox_xds_request *req, struct cox_err *err)
{
	const uint32_t number = PB_service_discovery_v3_DeltaDiscoveryRequest_initial_resource_versions__NUM;
	size_t n, i = 0;
	COX_TRY(count(bytes, number, &n, err));
	if (!n)
		return COX_OK;
	struct cox_name_version *items = COX_ARENA_ARRAY(arena, struct cox_name_version, n);
	struct cox_pb_reader r = cox_pb_reader(bytes);
	struct cox_pb_field f;
	while (cox_pb_next(&r, &f))
		if (f.number == number) {
			cox_pb_as_str_entry(&r, &f, &items[i].name, &items[i].version);
			i++;
		}
	req->initial = items;
	req->initial_n = i;
	return cox_pb_finish(&r, err);
}

static void read_error(struct cox_pb_reader *outer, const struct cox_pb_field *field, struct cox_xds_request *req)
{
	struct cox_pb_reader r = cox_pb_as_message(outer, field);
	struct cox_pb_field f;
	req->has_error = true;
	while (cox_pb_next(&r, &f))
		if (f.number == PB_google_rpc_Status_message__NUM)
			req->error = cox_pb_as_str(&r, &f);
	cox_pb_adopt(outer, &r);
}

/* The numbers that the two messages give to the same things. */
struct numbers {
	uint32_t node, type_url, names, unsubscribe, nonce, error, version;
};
static const struct numbers delta_numbers = {
	.node = PB_service_discovery_v3_DeltaDiscoveryRequest_node__NUM,
	.type_url = PB_service_discovery_v3_DeltaDiscoveryRequest_type_url__NUM,
	.names = PB_service_discovery_v3_DeltaDiscoveryRequest_resource_names_subscribe__NUM,
	.unsubscribe = PB_service_discovery_v3_DeltaDiscoveryRequest_resource_names_unsubscribe__NUM,
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

enum cox_rc cox_xds_request_decode(struct cox_str bytes, bool is_delta, struct cox_arena *arena, struct cox_xds_decoded *out,
                                   struct cox_err *err)
{
	const struct numbers *number = is_delta ? &delta_numbers : &sotw_numbers;
	struct cox_xds_decoded d = { 0 };
	struct cox_pb_reader r = cox_pb_reader(bytes);
	struct cox_pb_field f;
	while (cox_pb_next(&r, &f)) {
		if (f.number == number->node)
			d.node = cox_pb_as_bytes(&r, &f);
		else if (f.number == number->type_url)
			d.type_url = cox_pb_as_str(&r, &f);
		else if (f.number == number->nonce)
			d.request.nonce = cox_pb_as_str(&r, &f);
		else if (f.number == number->error)
			read_error(&r, &f, &d.request);
		else if (number->version && f.number == number->version)
			d.request.version = cox_pb_as_str(&r, &f);
	}
	COX_TRY(cox_pb_finish(&r, err));
	struct names subscribe, unsubscribe = { 0 };
	COX_TRY(collect(bytes, number->names, arena, &subscribe, err));
	if (is_delta) {
		COX_TRY(collect(bytes, number->unsubscribe, arena, &unsubscribe, err));
		COX_TRY(collect_versions(bytes, arena, &d.request, err));
	}
	d.request.type = cox_type_find(d.type_url);
	d.request.subscribe = subscribe.p;
	d.request.subscribe_n = subscribe.n;
	d.request.unsubscribe = unsubscribe.p;
	d.request.unsubscribe_n = unsubscribe.n;
	*out = d;
	return COX_OK;
}
