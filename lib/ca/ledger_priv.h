/*
 * ledger - the tables behind revocation.h, pure: what the stored texts say, merged.
 * Texts are lines of tab-separated fields:
 *   coxswain-issued-*:  serial  notAfter  issuer  uri          (one replica writes each text, it only grows)
 *   coxswain-revoked:   serial  notAfter  revokedAt  reason    and   "identity"|"namespace"  value  since  reason
 */
#ifndef COX_CA_LEDGER_PRIV_H
#define COX_CA_LEDGER_PRIV_H

#include "base/map.h"
#include "base/vec.h"
#include "ca/revocation.h"

struct issued {                             /* one certificate */
	struct cox_str serial, uri, issuer; /* in the text's copy */
	int64_t not_after_s;
};
/* A text of issued certificates, parsed. */
struct issued_doc {
	char *name;
	struct cox_buf text;
	COX_VEC(struct issued) items;
	int64_t last_not_after_s;
};
/* Lists what `d->text` says. Lines that are no such lines are skipped (a newer release may write more); returns how many. */
size_t issued_doc_parse(struct issued_doc *d);
void issued_doc_free(struct issued_doc *d);
void issued_line_write(struct cox_str serial, int64_t not_after_s, struct cox_str issuer, struct cox_str uri, struct cox_buf *out);

enum block_kind { BLOCK_IDENTITY, BLOCK_NAMESPACE };
struct block {
	enum block_kind kind;
	struct cox_str value, reason;
	int64_t since_s;
};
struct revoked {
	struct cox_str serial, reason;
	int64_t not_after_s, revoked_s;
};
/* The text of what is revoked, parsed; everything in `arena`. */
struct revoked_doc {
	struct cox_arena arena;
	COX_VEC(struct revoked) serials;
	COX_VEC(struct block) blocks;
};
void revoked_doc_parse(struct revoked_doc *d, struct cox_str text);
void revoked_doc_fini(struct revoked_doc *d);
/* Sorted; what expired before `now_s` is left out. */
void revoked_doc_write(struct revoked_doc *d, int64_t now_s, struct cox_buf *out);
const struct revoked *revoked_doc_find(const struct revoked_doc *d, struct cox_str serial);
/* The block that holds for this identity, or NULL. */
const struct block *revoked_doc_blocks(const struct revoked_doc *d, struct cox_str uri);
/* Add or take away; text is copied. True: that changed something. */
bool revoked_doc_add(struct revoked_doc *d, struct cox_str serial, int64_t not_after_s, int64_t now_s, struct cox_str reason);
bool revoked_doc_remove(struct revoked_doc *d, struct cox_str serial);
bool revoked_doc_block(struct revoked_doc *d, enum block_kind kind, struct cox_str value, int64_t now_s, struct cox_str reason);
bool revoked_doc_unblock(struct revoked_doc *d, enum block_kind kind, struct cox_str value);
/* "AB:CD", "0xabcd", "00abcd" to lower-case hex without leading zeros. COX_EINVAL: no serial number. */
COX_MUST_USE enum cox_rc ledger_serial_normalize(struct cox_str text, char out[COX_CERT_SERIAL_HEX_MAX]);

#endif
