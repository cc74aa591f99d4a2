/*
 * transcode - wire bytes <-> JSON trees for every message of the table, after protobuf's JSON mapping, but with the field
 * names of the .proto files. google.protobuf.Any is resolved: {"@type": "type.googleapis.com/a.b.C", ...fields}; one of a
 * type we do not know stands as {"@type": ..., "@opaque_bytes": n}.
 * Both directions are pure, and bounded: 100 nested messages, no work beyond the size of the input.
 * Thread: any.
 */
#ifndef COX_ENVOY_TRANSCODE_H
#define COX_ENVOY_TRANSCODE_H

#include "codec/json.h"
#include "envoy/table.h"

enum cox_transcode_flag {
	COX_TRANSCODE_CAMEL = 1, /* to JSON: lowerCamelCase names. From JSON both spellings are always understood. */
	COX_TRANSCODE_KEEP_OPAQUE =
	    2, /* to JSON: an Any of unknown type also carries "@value" (base64), so that it survives the way back */
	COX_TRANSCODE_IGNORE_UNKNOWN = 4, /* from JSON: unknown fields are left out instead of refused */
};
enum { COX_TRANSCODE_DEPTH_MAX = 100 };

/* Bytes of message `m` -> tree in `arena`, members in order of field numbers. The tree's strings point into `wire`, which must
 * live as long. Unknown fields are left out, a field that occurs twice counts as protobuf says (last, or merged).
 * COX_EPROTO: malformed; COX_ELIMIT: too deep. `err` has the field's path. */
COX_MUST_USE enum cox_rc cox_envoy_to_json(const struct cox_envoy_message *m, struct cox_str wire, unsigned flags, struct cox_arena *arena,
                                           struct cox_json **out, struct cox_err *err);
/* The same for the two halves of an Any (a resource): the result has "@type". */
COX_MUST_USE enum cox_rc cox_envoy_any_to_json(struct cox_str type_url, struct cox_str value, unsigned flags, struct cox_arena *arena,
                                               struct cox_json **out, struct cox_err *err);
/* Tree -> bytes, appended to `wire` in order of field numbers (nothing is appended on failure). `null` counts as unset.
 * COX_EINVAL: unknown field or enum name, wrong type, out of range, two members of a oneof; `err` has the path. COX_ELIMIT: too deep. */
COX_MUST_USE enum cox_rc cox_envoy_from_json(const struct cox_envoy_message *m, const struct cox_json *v, unsigned flags,
                                             struct cox_buf *wire, struct cox_err *err);

#endif
