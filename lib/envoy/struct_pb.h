/*
 * struct_pb - google.protobuf.Struct by hand: filter metadata, TypedStruct, node metadata.
 * Entries are written in the order of the calls: give them sorted by key.
 *
 *	PB_WITH (s, pb_core_v3_Metadata_filter_metadata(m, COX_STR("istio"))) {
 *		cox_struct_put_str(s, COX_STR("config"), COX_STR("/apis/..."));
 *		PB_WITH (l, cox_struct_put_list(s, COX_STR("services")))
 *			PB_WITH (o, cox_list_put_struct(l))
 *				cox_struct_put_str(o, COX_STR("host"), host);
 *	}
 */
#ifndef COX_ENVOY_STRUCT_PB_H
#define COX_ENVOY_STRUCT_PB_H

#include "codec/json.h"
#include "envoy/envoy.h"

/* Lists and objects of a JSON value inside each other; deeper ones are written as null. Each level is three nested messages,
 * and Envoy refuses a resource with more than 100. */
enum { COX_STRUCT_DEPTH_MAX = 24 };

void cox_struct_put_str(struct pb_google_protobuf_Struct s, struct cox_str key, struct cox_str v);
void cox_struct_put_number(struct pb_google_protobuf_Struct s, struct cox_str key, double v);
void cox_struct_put_bool(struct pb_google_protobuf_Struct s, struct cox_str key, bool v);
void cox_struct_put_null(struct pb_google_protobuf_Struct s, struct cox_str key);
/* Both begin the entry's value: give them to PB_WITH. */
struct pb_google_protobuf_Struct cox_struct_put_struct(struct pb_google_protobuf_Struct s, struct cox_str key);
struct pb_google_protobuf_ListValue cox_struct_put_list(struct pb_google_protobuf_Struct s, struct cox_str key);
/* Any JSON value; objects keep the order of their members. */
void cox_struct_put_json(struct pb_google_protobuf_Struct s, struct cox_str key, const struct cox_json *v);
/* All members of an object. */
void cox_struct_put_members(struct pb_google_protobuf_Struct s, const struct cox_json *object);

void cox_list_put_str(struct pb_google_protobuf_ListValue l, struct cox_str v);
void cox_list_put_number(struct pb_google_protobuf_ListValue l, double v);
void cox_list_put_bool(struct pb_google_protobuf_ListValue l, bool v);
void cox_list_put_json(struct pb_google_protobuf_ListValue l, const struct cox_json *v);
struct pb_google_protobuf_Struct cox_list_put_struct(struct pb_google_protobuf_ListValue l);
struct pb_google_protobuf_ListValue cox_list_put_list(struct pb_google_protobuf_ListValue l);

#endif
