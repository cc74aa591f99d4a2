/*
 * table - every message, field and enum of the Envoy API at run time: names, numbers, types. Constant data without
 * pointers (it stays file-backed memory); what this header hands out are small values that refer to it.
 * Thread: any.
 */
#ifndef COX_ENVOY_TABLE_H
#define COX_ENVOY_TABLE_H

#include "base/str.h"

/* How a message stands in JSON. */
enum cox_envoy_kind {
	COX_ENVOY_PLAIN,
	COX_ENVOY_ANY,
	COX_ENVOY_STRUCT,
	COX_ENVOY_VALUE,
	COX_ENVOY_LIST,
	COX_ENVOY_DURATION,
	COX_ENVOY_TIMESTAMP,
	COX_ENVOY_FIELD_MASK,
	COX_ENVOY_WRAPPER,
	COX_ENVOY_MAP_ENTRY,
};
/* As protobuf numbers them. */
enum cox_envoy_type {
	COX_ENVOY_DOUBLE = 1,
	COX_ENVOY_FLOAT,
	COX_ENVOY_INT64,
	COX_ENVOY_UINT64,
	COX_ENVOY_INT32,
	COX_ENVOY_FIXED64,
	COX_ENVOY_FIXED32,
	COX_ENVOY_BOOL,
	COX_ENVOY_STRING,
	COX_ENVOY_MESSAGE = 11,
	COX_ENVOY_BYTES,
	COX_ENVOY_UINT32,
	COX_ENVOY_ENUM,
	COX_ENVOY_SFIXED32,
	COX_ENVOY_SFIXED64,
	COX_ENVOY_SINT32,
	COX_ENVOY_SINT64,
};
struct cox_envoy_message; /* opaque, constant, compared by address */
struct cox_envoy_enum;

struct cox_envoy_field {
	struct cox_str name; /* as in the .proto file */
	uint32_t number;
	enum cox_envoy_type type;
	bool repeated; /* maps too */
	bool packed;
	bool map;                                /* `message` is the entry: field 1 is the key, field 2 the value */
	bool presence;                           /* unset differs from the default: `optional`, a oneof's member, a message */
	unsigned oneof;                          /* members of one oneof share a number; 0: none */
	const struct cox_envoy_message *message; /* of a message or map field */
	const struct cox_envoy_enum *enumeration;
};

/* By full name, "envoy.config.cluster.v3.Cluster", with or without a prefix that ends in '/' ("type.googleapis.com/"). NULL: unknown. */
const struct cox_envoy_message *cox_envoy_message_find(struct cox_str name);
struct cox_str cox_envoy_message_name(const struct cox_envoy_message *m);
enum cox_envoy_kind cox_envoy_message_kind(const struct cox_envoy_message *m);
/* All named messages in order of their names: 0 to cox_envoy_message_count() - 1. */
size_t cox_envoy_message_count(void);
const struct cox_envoy_message *cox_envoy_message_at(size_t i);
/* Fields in order of their numbers. */
size_t cox_envoy_field_count(const struct cox_envoy_message *m);
struct cox_envoy_field cox_envoy_field_at(const struct cox_envoy_message *m, size_t i);
/* Index of a field by number, or by name (as in the .proto or lowerCamelCase); -1: none. */
ptrdiff_t cox_envoy_field_by_number(const struct cox_envoy_message *m, uint32_t number);
ptrdiff_t cox_envoy_field_by_name(const struct cox_envoy_message *m, struct cox_str name);
/* Name of an enum's value, empty if it has none; the number of a name. COX_ENOTFOUND. */
struct cox_str cox_envoy_enum_name(const struct cox_envoy_enum *e, int32_t number);
COX_MUST_USE enum cox_rc cox_envoy_enum_number(const struct cox_envoy_enum *e, struct cox_str name, int32_t *number);
/* The value an unset field of this enum has: 0, or the first one of a proto2 enum that has no 0. */
int32_t cox_envoy_enum_default(const struct cox_envoy_enum *e);
/* "outlier_detection" in lowerCamelCase into buf; returns the text. Names longer than `cap` are cut. */
struct cox_str cox_envoy_camel(struct cox_str name, char *buf, size_t cap);

#endif
