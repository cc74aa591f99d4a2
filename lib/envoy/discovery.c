#include "envoy/discovery.h"

#include "codec/pb_read.h"
#include "envoy/google_rpc.h"
#include "envoy/service_discovery_v3.h"

/* The numbers that the two messages give to the same things. */
struct numbers {
	uint32_t node, type_url, names, unsubscribed, versions, nonce, error, version; /* 0: it has none */
};
static const struct numbers delta_numbers = {
	.node = PB_service_discovery_v3_DeltaDiscoveryRequest_node__NUM,
	.type_url = PB_service_discovery_v3_DeltaDiscoveryRequest_type_url__NUM,
	.names = PB_service_discovery_v3_DeltaDiscoveryRequest_resource_names_subscribe__NUM,
	.unsubscribed = PB_service_discovery_v3_DeltaDiscoveryRequest_resource_names_unsubscribe__NUM,
	.versions = PB_service_discovery_v3_DeltaDiscoveryRequest_initial_resource_versions__NUM,
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

static void read_error(struct cox_pb_reader *outer, const struct cox_pb_field *field, struct cox_discovery_request *req)
{
	struct cox_pb_reader r = cox_pb_as_message(outer, field);
	struct cox_pb_field f;
	req->has_error = true;
	while (cox_pb_next(&r, &f))
		if (f.number == PB_google_rpc_Status_message__NUM)
			req->error = cox_pb_as_str(&r, &f);
		else if (f.number == PB_google_rpc_Status_code__NUM)
			req->error_code = (int)cox_pb_as_i64(&r, &f);
	cox_pb_adopt(outer, &r);
}

enum list { LIST_NAMES, LIST_UNSUBSCRIBED, LIST_VERSIONS, LISTS };
struct lists {
	uint32_t number[LISTS]; /* 0: the message has none */
	size_t n[LISTS];
};

static bool is_of_list(const struct lists *l, const struct cox_pb_field *f, enum list *which)
{
	for (*which = 0; *which < LISTS; (*which)++)
		if (f->number == l->number[*which])
			return true;
	return false;
}

static enum cox_rc check_lengths(const struct lists *l, size_t max, struct cox_err *err)
{
	for (size_t i = 0; i < LISTS; i++)
		if (l->n[i] > max)
			return cox_err_set(err, COX_ELIMIT, NULL, "%zu values in field %u; the limit is %zu", l->n[i], l->number[i], max);
	return COX_OK;
}

/* A proxy that comes back names and lists thousands: they are passed twice, once to count and once to keep. */
static enum cox_rc collect(struct cox_str bytes, const struct lists *l, struct cox_arena *arena, struct cox_discovery_request *req,
                           struct cox_err *err)
{
	struct cox_str *names = COX_ARENA_ARRAY(arena, struct cox_str, l->n[LIST_NAMES] + l->n[LIST_UNSUBSCRIBED]);
	struct cox_str *gone = names + l->n[LIST_NAMES];
	struct cox_name_version *versions = COX_ARENA_ARRAY(arena, struct cox_name_version, l->n[LIST_VERSIONS]);
	struct cox_pb_reader r = cox_pb_reader(bytes);
	struct cox_pb_field f;
	enum list which;
	while (cox_pb_next(&r, &f)) {
		if (!is_of_list(l, &f, &which))
			continue;
		if (which == LIST_NAMES) {
			names[req->name_n++] = cox_pb_as_str(&r, &f);
		} else if (which == LIST_UNSUBSCRIBED) {
			gone[req->unsubscribed_n++] = cox_pb_as_str(&r, &f);
		} else {
			struct cox_name_version *v = &versions[req->initial_n++];
			cox_pb_as_str_entry(&r, &f, &v->name, &v->version);
		}
	}
	req->names = names;
	req->unsubscribed = gone;
	req->initial = versions;
	return cox_pb_finish(&r, err);
}

enum cox_rc cox_discovery_request_read(struct cox_str bytes, bool is_delta, size_t names_max, struct cox_arena *arena,
                                       struct cox_discovery_request *out, struct cox_err *err)
{
	const struct numbers *number = is_delta ? &delta_numbers : &sotw_numbers;
	struct lists lists = { .number = { number->names, number->unsubscribed, number->versions } };
	enum list which;
	struct cox_discovery_request req = { 0 };
	struct cox_pb_reader r = cox_pb_reader(bytes);
	struct cox_pb_field f;
	while (cox_pb_next(&r, &f)) {
		if (is_of_list(&lists, &f, &which))
			lists.n[which]++;
		else if (f.number == number->node)
			req.node = cox_pb_as_bytes(&r, &f);
		else if (f.number == number->type_url)
			req.type_url = cox_pb_as_str(&r, &f);
		else if (f.number == number->nonce)
			req.nonce = cox_pb_as_str(&r, &f);
		else if (f.number == number->error)
			read_error(&r, &f, &req);
		else if (f.number == number->version)
			req.version = cox_pb_as_str(&r, &f);
	}
	COX_TRY(cox_pb_finish(&r, err));
	COX_TRY(check_lengths(&lists, names_max, err));
	COX_TRY(collect(bytes, &lists, arena, &req, err));
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
