/*
 * transcode_priv - what both directions of transcode.h share: the field path, and the texts of scalars.
 */
#ifndef COX_ENVOY_TRANSCODE_PRIV_H
#define COX_ENVOY_TRANSCODE_PRIV_H

#include "base/vec.h"
#include "codec/pb_read.h"
#include "envoy/transcode.h"

/* Where we are, "a.b[3].c": kept while walking, read when something is wrong. Cut where it is too long. */
struct path {
	char text[sizeof(((struct cox_err *)NULL)->path)];
	size_t n;
};
/* Both return the length to go back to with path_pop(). */
size_t path_field(struct path *p, struct cox_str name);
size_t path_index(struct path *p, size_t i);
size_t path_key(struct path *p, struct cox_str key);
static inline void path_pop(struct path *p, size_t n)
{
	p->n = n;
	p->text[n] = '\0';
}

enum cox_pb_wire wire_of(enum cox_envoy_type type);
/* A double or (single) a float, as the shortest text that reads back the same; "NaN" and the infinities are strings. */
void float_to_json(struct cox_arena *arena, double v, bool single, struct cox_json *out);
COX_MUST_USE enum cox_rc float_from_json(const struct cox_json *v, bool single, double *out);
/* Seconds and nanoseconds of google.protobuf.Duration ("1.500s") and Timestamp (RFC 3339). COX_EINVAL: out of their range. */
COX_MUST_USE enum cox_rc duration_to_text(struct cox_arena *arena, int64_t s, int64_t ns, struct cox_str *out);
COX_MUST_USE enum cox_rc duration_from_text(struct cox_str text, int64_t *s, int64_t *ns);
COX_MUST_USE enum cox_rc timestamp_to_text(struct cox_arena *arena, int64_t s, int64_t ns, struct cox_str *out);
COX_MUST_USE enum cox_rc timestamp_from_text(struct cox_str text, int64_t *s, int64_t *ns);
/* "listener_filters" for "listenerFilters"; false for a text that no field name gives. */
bool snake_from_camel(struct cox_str camel, struct cox_buf *out);
/* Whether the enum is google.protobuf.NullValue, which is JSON's null. */
bool is_null_enum(const struct cox_envoy_enum *e);

#endif
