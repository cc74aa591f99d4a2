/*
 * dns_wire - reads DNS queries and writes the answers that the agent gives itself (RFC 1035, EDNS0 of RFC 6891). Pure, fuzzed.
 * Answers of other servers pass through untouched but for their id.
 */
#ifndef COX_AGENT_DNS_WIRE_H
#define COX_AGENT_DNS_WIRE_H

#include "base/buf.h"
#include "base/err.h"

enum {
	COX_DNS_A = 1,
	COX_DNS_CNAME = 5,
	COX_DNS_AAAA = 28,
	COX_DNS_OPT = 41,
	COX_DNS_ANY = 255,
	COX_DNS_HEAD_BYTES = 12,
	COX_DNS_NAME_MAX = 255,    /* text without the last dot is two shorter */
	COX_DNS_UDP_BYTES = 512,   /* what every client takes */
	COX_DNS_EDNS_BYTES = 4096, /* what we say that we take, at most */
	COX_DNS_MESSAGE_MAX = 65535,
};
enum cox_dns_rcode { COX_DNS_NOERROR, COX_DNS_FORMERR, COX_DNS_SERVFAIL, COX_DNS_NXDOMAIN, COX_DNS_NOTIMP, COX_DNS_REFUSED };

struct cox_dns_query {
	uint16_t id, type, klass;
	uint8_t opcode;
	bool wants_recursion, has_edns;
	uint16_t udp_bytes;          /* what the client takes over UDP: 512 without EDNS */
	size_t question_bytes;       /* of the question, behind the header */
	size_t edns_at;              /* offset of the OPT record's size, with has_edns */
	char name[COX_DNS_NAME_MAX]; /* lower case, no dot at the end, terminated; "" is the root */
	size_t name_n;
};

/* COX_EPROTO: answer FORMERR if the header was there (n >= 12), else nothing. Exactly one question is taken. */
COX_MUST_USE enum cox_rc cox_dns_query_read(struct cox_str message, struct cox_dns_query *out);

/* Appends an answer without records to `query` (a message that begins with a header; its question is repeated if it could be read). */
void cox_dns_answer_code(struct cox_str query, enum cox_dns_rcode code, struct cox_buf *out);

/* A text name as labels; false: it is none (a label of 0 or over 63 bytes, too long). */
bool cox_dns_name_write(struct cox_str name, struct cox_buf *out);

/* An answer in the making: begin, records, end. */
struct cox_dns_answer {
	struct cox_buf *out;
	size_t start, limit; /* of the message; at most `limit` bytes of it, else it is cut and says so */
	unsigned count;
	bool is_cut, has_edns;
	uint16_t owner; /* where the owner name of the next address stands: the question, or a CNAME's target */
};
/* `q` was read from `query`. */
void cox_dns_answer_begin(struct cox_dns_answer *a, struct cox_str query, const struct cox_dns_query *q, size_t limit, struct cox_buf *out);
void cox_dns_answer_alias(struct cox_dns_answer *a, struct cox_str target, uint32_t ttl_s);
/* 4 or 16 bytes. */
void cox_dns_answer_address(struct cox_dns_answer *a, const uint8_t *address, size_t n, uint32_t ttl_s);
void cox_dns_answer_end(struct cox_dns_answer *a);

/* Makes an answer of another server fit: cut behind the question, with the bit that says so. */
void cox_dns_truncate(struct cox_buf *answer, size_t limit);
static inline uint16_t cox_dns_get16(const char *p) { return (uint16_t)((uint8_t)p[0] << 8 | (uint8_t)p[1]); }
static inline void cox_dns_put16(char *p, uint16_t v)
{
	p[0] = (char)(v >> 8);
	p[1] = (char)v;
}

#endif
