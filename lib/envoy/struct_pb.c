#include "envoy/struct_pb.h"
#include "envoy/google_protobuf.h"

void cox_struct_put_str(struct pb_google_protobuf_Struct s, struct cox_str key, struct cox_str v)
{
	PB_WITH (e, pb_google_protobuf_Struct_fields(s, key))
		pb_google_protobuf_Value_string_value(e, v);
}

void cox_struct_put_number(struct pb_google_protobuf_Struct s, struct cox_str key, double v)
{
	PB_WITH (e, pb_google_protobuf_Struct_fields(s, key))
		pb_google_protobuf_Value_number_value(e, v);
}

void cox_struct_put_bool(struct pb_google_protobuf_Struct s, struct cox_str key, bool v)
{
	PB_WITH (e, pb_google_protobuf_Struct_fields(s, key))
		pb_google_protobuf_Value_bool_value(e, v);
}

void cox_struct_put_null(struct pb_google_protobuf_Struct s, struct cox_str key)
{
	PB_WITH (e, pb_google_protobuf_Struct_fields(s, key))
		pb_google_protobuf_Value_null_value(e, PB_google_protobuf_NULL_VALUE);
}

/* Ending the inner message ends the value around it, and its map entry, too. */
static struct cox_pb_at with_base(struct cox_pb_at inner, struct cox_pb_at outer)
{
	inner.base = outer.base;
	return inner;
}

struct pb_google_protobuf_Struct cox_struct_put_struct(struct pb_google_protobuf_Struct s, struct cox_str key)
{
	struct pb_google_protobuf_Value v = pb_google_protobuf_Struct_fields(s, key);
	return (struct pb_google_protobuf_Struct){ with_base(pb_google_protobuf_Value_struct_value(v).at, v.at) };
}

struct pb_google_protobuf_ListValue cox_struct_put_list(struct pb_google_protobuf_Struct s, struct cox_str key)
{
	struct pb_google_protobuf_Value v = pb_google_protobuf_Struct_fields(s, key);
	return (struct pb_google_protobuf_ListValue){ with_base(pb_google_protobuf_Value_list_value(v).at, v.at) };
}

static double number_of(const struct cox_json *json)
{
	double d = 0;
	return cox_str_to_f64(json->text, &d) == COX_OK ? d : 0; /* a JSON number beyond the range of double */
}

/* `depth`: how many lists and objects are around the value. */
static void value_put_json(struct pb_google_protobuf_Value v, const struct cox_json *json, unsigned depth)
{
	if (depth >= COX_STRUCT_DEPTH_MAX && (json->type == COX_JSON_ARRAY || json->type == COX_JSON_OBJECT)) {
		pb_google_protobuf_Value_null_value(v, PB_google_protobuf_NULL_VALUE);
		return;
	}
	switch (json->type) {
	case COX_JSON_NULL: pb_google_protobuf_Value_null_value(v, PB_google_protobuf_NULL_VALUE); break;
	case COX_JSON_BOOL: pb_google_protobuf_Value_bool_value(v, json->boolean); break;
	case COX_JSON_NUMBER: pb_google_protobuf_Value_number_value(v, number_of(json)); break;
	case COX_JSON_STRING: pb_google_protobuf_Value_string_value(v, json->text); break;
	case COX_JSON_ARRAY:
		PB_WITH (l, pb_google_protobuf_Value_list_value(v))
			for (size_t i = 0; i < json->n; i++)
				PB_WITH (e, pb_google_protobuf_ListValue_values(l))
					value_put_json(e, &json->items[i], depth + 1);
		break;
	case COX_JSON_OBJECT:
		PB_WITH (s, pb_google_protobuf_Value_struct_value(v))
			for (size_t i = 0; i < json->n; i++)
				PB_WITH (e, pb_google_protobuf_Struct_fields(s, json->members[i].key))
					value_put_json(e, &json->members[i].value, depth + 1);
		break;
	}
}

void cox_struct_put_json(struct pb_google_protobuf_Struct s, struct cox_str key, const struct cox_json *v)
{
	PB_WITH (e, pb_google_protobuf_Struct_fields(s, key))
		value_put_json(e, v, 1);
}

void cox_struct_put_members(struct pb_google_protobuf_Struct s, const struct cox_json *object)
{
	for (size_t i = 0; i < object->n; i++)
		cox_struct_put_json(s, object->members[i].key, &object->members[i].value);
}

void cox_list_put_str(struct pb_google_protobuf_ListValue l, struct cox_str v)
{
	PB_WITH (e, pb_google_protobuf_ListValue_values(l))
		pb_google_protobuf_Value_string_value(e, v);
}

void cox_list_put_number(struct pb_google_protobuf_ListValue l, double v)
{
	PB_WITH (e, pb_google_protobuf_ListValue_values(l))
		pb_google_protobuf_Value_number_value(e, v);
}

void cox_list_put_bool(struct pb_google_protobuf_ListValue l, bool v)
{
	PB_WITH (e, pb_google_protobuf_ListValue_values(l))
		pb_google_protobuf_Value_bool_value(e, v);
}

void cox_list_put_json(struct pb_google_protobuf_ListValue l, const struct cox_json *v)
{
	PB_WITH (e, pb_google_protobuf_ListValue_values(l))
		value_put_json(e, v, 1);
}

struct pb_google_protobuf_Struct cox_list_put_struct(struct pb_google_protobuf_ListValue l)
{
	struct pb_google_protobuf_Value v = pb_google_protobuf_ListValue_values(l);
	return (struct pb_google_protobuf_Struct){ with_base(pb_google_protobuf_Value_struct_value(v).at, v.at) };
}

struct pb_google_protobuf_ListValue cox_list_put_list(struct pb_google_protobuf_ListValue l)
{
	struct pb_google_protobuf_Value v = pb_google_protobuf_ListValue_values(l);
	return (struct pb_google_protobuf_ListValue){ with_base(pb_google_protobuf_Value_list_value(v).at, v.at) };
}
