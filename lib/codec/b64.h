/*
 * b64 - base64 (RFC 4648), both alphabets.
 */
#ifndef COX_CODEC_B64_H
#define COX_CODEC_B64_H

#include "base/arena.h"
#include "base/buf.h"

/* Appends the standard alphabet with padding. */
void cox_b64_encode(struct cox_buf *out, struct cox_str bytes);
/* Appends the URL alphabet without padding (JWT). */
void cox_b64url_encode(struct cox_buf *out, struct cox_str bytes);
/* Decodes either alphabet, padded or not, into the arena. Blanks and line ends between are skipped where `blanks` says so (PEM,
 * Kubernetes data). COX_EINVAL: another byte, a wrong length or padding, or bits behind the last byte. */
COX_MUST_USE enum cox_rc cox_b64_decode(struct cox_arena *arena, struct cox_str text, bool blanks, struct cox_str *out);

#endif
