/*
 * table_priv - the generated rows behind table.h. Names are offset * 256 + length in one pool; indexes instead of pointers,
 * because a pointer in a position-independent program is a relocation, and relocated pages are private memory.
 */
#ifndef COX_ENVOY_TABLE_PRIV_H
#define COX_ENVOY_TABLE_PRIV_H

#include "envoy/table.h"

enum { ENVOY_F_REPEATED = 1, ENVOY_F_PACKED = 2, ENVOY_F_PRESENCE = 4, ENVOY_F_MAP = 8 };

struct envoy_field_row {
	uint32_t name;
	uint32_t number : 24, oneof : 8;
	uint16_t sub; /* index of the message or enum */
	uint8_t type, flags;
};
struct envoy_message_row {
	uint32_t name;
	uint16_t first_field, field_count;
	uint16_t kind;
};
struct envoy_value_row {
	uint32_t name;
	int32_t number;
};
struct envoy_enum_row {
	uint32_t name;
	uint16_t first_value, value_count;
};
extern const struct envoy_field_row envoy_fields[];
extern const struct envoy_message_row envoy_messages[]; /* by name; the entries of maps behind them, without a name */
extern const uint32_t envoy_message_count;              /* of those with a name */
extern const struct envoy_value_row envoy_values[];
extern const struct envoy_enum_row envoy_enums[];
extern const char envoy_names[];

#endif
