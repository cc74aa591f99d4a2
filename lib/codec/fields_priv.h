/*
 * fields_priv - what the files of the field tables share.
 */
#ifndef COX_CODEC_FIELDS_PRIV_H
#define COX_CODEC_FIELDS_PRIV_H

#include "codec/fields.h"

/* Any COX_LIST(type). */
struct cox_any_list {
	const void *p;
	size_t n;
};

enum { COX_FIELD_ITEMS_MAX = 10000, COX_FIELD_TEXT_MAX = 64 * 1024 };

static inline bool cox_field_is_map(const struct cox_field *f)
{
	return f->type == COX_F_STR_MAP || f->type == COX_F_MSG_MAP || f->type == COX_F_I64_MAP || f->type == COX_F_BYTES_MAP;
}
/* Whether the member is a COX_LIST. */
static inline bool cox_field_is_list(const struct cox_field *f) { return (f->flags & COX_F_LIST) || cox_field_is_map(f); }
/* Size of one item of the member's list; 0: it is none. */
size_t cox_field_item_bytes(const struct cox_field *f);
/* A sorted list of map items begins with the key. */
static inline struct cox_str cox_map_item_key(const void *item) { return *(const struct cox_str *)item; }
/* Formats of policies, fields_format_policy.c. */
bool cox_format_is_not_empty(struct cox_str s);
bool cox_format_is_port_number(struct cox_str s);
bool cox_format_is_service_account(struct cox_str s);
bool cox_format_is_trust_domain(struct cox_str s);
bool cox_format_is_one_wildcard(struct cox_str s);
bool cox_format_is_path_template(struct cox_str s);
bool cox_format_is_http_url(struct cox_str s);
bool cox_format_is_wasm_url(struct cox_str s);
bool cox_format_is_plain_header(struct cox_str s);
bool cox_format_is_sha256(struct cox_str s);
/* Whether `s` is a valid key or value of a Kubernetes label. */
bool cox_format_is_label_key(struct cox_str s);
bool cox_format_is_label_value(struct cox_str s);

#endif
