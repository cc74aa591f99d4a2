#include "agent/node_priv.h"
#include "envoy/core_v3.h"
#include "envoy/envoy.h"
#include "envoy/google_protobuf.h"

enum { DEPTH_MAX = 32 }; /* of what somebody wrote into PROXY_CONFIG; deeper is null */

/* Not an own message of the generated table: that would bring the whole transcoder into each pod. */
static void write_value(struct pb_google_protobuf_Value v, const struct cox_json *json, int depth)
{
	double number;
	switch (depth > DEPTH_MAX ? COX_JSON_NULL : json->type) {
	case COX_JSON_NULL: pb_google_protobuf_Value_null_value(v, 0); break;
	case COX_JSON_BOOL: pb_google_protobuf_Value_bool_value(v, json->boolean); break;
	case COX_JSON_STRING: pb_google_protobuf_Value_string_value(v, json->text); break;
	case COX_JSON_NUMBER: pb_google_protobuf_Value_number_value(v, cox_str_to_f64(json->text, &number) == COX_OK ? number : 0); break;
	case COX_JSON_ARRAY:
		PB_WITH (list, pb_google_protobuf_Value_list_value(v))
			for (size_t i = 0; i < json->n; i++)
				PB_WITH (item, pb_google_protobuf_ListValue_values(list))
					write_value(item, &json->items[i], depth + 1);
		break;
	case COX_JSON_OBJECT:
		PB_WITH (object, pb_google_protobuf_Value_struct_value(v))
			for (size_t i = 0; i < json->n; i++)
				PB_WITH (member, pb_google_protobuf_Struct_fields(object, json->members[i].key))
					write_value(member, &json->members[i].value, depth + 1);
		break;
	}
}

enum cox_rc cox_agent_node_encode(const struct cox_agent_bootstrap *b, struct cox_buf *out, struct cox_err *err)
{
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	struct cox_agent_node node = { 0 };
	struct cox_pb pb;
	COX_TRY(cox_agent_node_build(b, &arena, &node, err));
	cox_pb_init(&pb, out);
	PB_ROOT (m, pb_core_v3_Node, &pb) {
		pb_core_v3_Node_id(m, node.id);
		pb_core_v3_Node_cluster(m, node.cluster);
		PB_WITH (metadata, pb_core_v3_Node_metadata(m))
			for (size_t i = 0; i < node.metadata->n; i++)
				PB_WITH (member, pb_google_protobuf_Struct_fields(metadata, node.metadata->members[i].key))
					write_value(member, &node.metadata->members[i].value, 1);
		PB_WITH (locality, pb_core_v3_Node_locality(m)) {
			pb_core_v3_Locality_region(locality, node.locality[0]);
			pb_core_v3_Locality_zone(locality, node.locality[1]);
			pb_core_v3_Locality_sub_zone(locality, node.locality[2]);
		}
		pb_core_v3_Node_user_agent_name(m, COX_STR("cox-agent"));
	}
	return COX_OK;
}
