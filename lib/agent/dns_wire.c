#include "agent/dns_wire.h"

enum {
	LABEL_MAX = 63,
	FLAG_QR = 0x8000,
	FLAG_AA = 0x0400,
	FLAG_TC = 0x0200,
	FLAG_RD = 0x0100,
	FLAG_RA = 0x0080,
	TTL_BYTES = 4,
	FIXED_RR_BYTES = 10
};

static uint16_t get16(struct cox_str m, size_t at) { return cox_dns_get16(m.p + at); }

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

/* A question's name: no compression is possible in it. Bytes that text cannot carry (dots, control) are refused: nobody has such a host. */
static bool read_name(struct cox_str m, size_t *at, char out[COX_DNS_NAME_MAX], size_t *out_n)
{
	size_t n = 0;
	for (;;) {
		if (*at >= m.n)
			return false;
		size_t len = (uint8_t)m.p[(*at)++];
		if (len == 0)
			break;
		if (len > LABEL_MAX || *at + len > m.n || n + len + 1 > COX_DNS_NAME_MAX - 1)
			return false;
		if (n)
			out[n++] = '.';
		for (size_t i = 0; i < len; i++) {
			char c = lower(m.p[*at + i]);
			if ((uint8_t)c <= ' ' || c == '.' || c == 0x7f)
				return false;
			out[n++] = c;
		}
		*at += len;
	}
	out[n] = '\0';
	*out_n = n;
	return true;
}

/* Past the name of a record behind the question; such a name may end in a pointer. */
static bool skip_name(struct cox_str m, size_t *at)
{
	while (*at < m.n) {
		size_t len = (uint8_t)m.p[(*at)++];
		if (len == 0)
			return true;
		if ((len & 0xc0) == 0xc0) {
			(*at)++;
			return *at <= m.n;
		}
		if (len > LABEL_MAX)
			return false;
		*at += len;
	}
	return false;
}

/* The OPT record, if any, among the records behind the question. */
static bool read_records(struct cox_str m, size_t at, unsigned count, struct cox_dns_query *q)
{
	for (unsigned i = 0; i < count; i++) {
		if (!skip_name(m, &at) || at + FIXED_RR_BYTES > m.n)
			return false;
		uint16_t type = get16(m, at), size = get16(m, at + 8);
		if (type == COX_DNS_OPT) {
			if (q->has_edns)
				return false;
			q->has_edns = true;
			q->edns_at = at + 2;
			q->udp_bytes = get16(m, at + 2) > COX_DNS_UDP_BYTES ? get16(m, at + 2) : COX_DNS_UDP_BYTES;
		}
		at += FIXED_RR_BYTES + (size_t)size;
		if (at > m.n)
			return false;
	}
	return true;
}

enum cox_rc cox_dns_query_read(struct cox_str m, struct cox_dns_query *out)
{
	struct cox_dns_query q = { .udp_bytes = COX_DNS_UDP_BYTES };
	if (m.n < COX_DNS_HEAD_BYTES || m.n > COX_DNS_MESSAGE_MAX)
		return COX_EPROTO;
	uint16_t flags = get16(m, 2);
	q.id = get16(m, 0);
	q.opcode = (uint8_t)(flags >> 11 & 15);
	q.wants_recursion = flags & FLAG_RD;
	if ((flags & FLAG_QR) || get16(m, 4) != 1)
		return COX_EPROTO;
	size_t at = COX_DNS_HEAD_BYTES;
	if (!read_name(m, &at, q.name, &q.name_n) || at + 4 > m.n)
		return COX_EPROTO;
	q.type = get16(m, at);
	q.klass = get16(m, at + 2);
	at += 4;
	q.question_bytes = at - COX_DNS_HEAD_BYTES;
	if (!read_records(m, at, (unsigned)get16(m, 6) + get16(m, 8) + get16(m, 10), &q))
		return COX_EPROTO;
	*out = q;
	return COX_OK;
}

static void put_head(struct cox_buf *out, uint16_t id, uint16_t flags, bool has_question)
{
	char *h = cox_buf_reserve(out, COX_DNS_HEAD_BYTES);
	memset(h, 0, COX_DNS_HEAD_BYTES);
	cox_dns_put16(h, id);
	cox_dns_put16(h + 2, flags);
	cox_dns_put16(h + 4, has_question);
	out->n += COX_DNS_HEAD_BYTES;
}

void cox_dns_answer_code(struct cox_str query, enum cox_dns_rcode code, struct cox_buf *out)
{
	struct cox_dns_query q;
	COX_ASSERT(query.n >= COX_DNS_HEAD_BYTES);
	bool is_read = cox_dns_query_read(query, &q) == COX_OK;
	uint16_t asked = get16(query, 2);
	put_head(out, get16(query, 0), (uint16_t)(FLAG_QR | (asked & 0x7900) | FLAG_RA | (uint16_t)code), is_read);
	if (is_read)
		cox_buf_append(out, query.p + COX_DNS_HEAD_BYTES, q.question_bytes);
}

bool cox_dns_name_write(struct cox_str name, struct cox_buf *out)
{
	size_t was = out->n;
	struct cox_str rest = name, label;
	while (name.n && rest.p && cox_str_next(&rest, '.', &label)) {
		if (label.n == 0 || label.n > LABEL_MAX || out->n - was + label.n + 2 > COX_DNS_NAME_MAX) {
			out->n = was;
			return false;
		}
		cox_buf_append_char(out, (char)label.n);
		cox_buf_append_str(out, label);
	}
	cox_buf_append_char(out, '\0');
	return true;
}

/* --- answers --------------------------------------------------------------------------------- */

static const uint8_t opt_record[] = { 0, 0, COX_DNS_OPT, COX_DNS_EDNS_BYTES >> 8, COX_DNS_EDNS_BYTES & 0xff, 0, 0, 0, 0, 0, 0 };

void cox_dns_answer_begin(struct cox_dns_answer *a, struct cox_str query, const struct cox_dns_query *q, size_t limit, struct cox_buf *out)
{
	*a = (struct cox_dns_answer){ .out = out, .start = out->n, .limit = limit, .has_edns = q->has_edns, .owner = COX_DNS_HEAD_BYTES };
	put_head(out, q->id, (uint16_t)(FLAG_QR | FLAG_AA | FLAG_RA | (q->wants_recursion ? FLAG_RD : 0)), true);
	cox_buf_append(out, query.p + COX_DNS_HEAD_BYTES, q->question_bytes);
}

static void put_fixed(struct cox_buf *out, uint16_t owner, uint16_t type, uint32_t ttl_s, size_t n)
{
	char *p = cox_buf_reserve(out, 2 + FIXED_RR_BYTES);
	cox_dns_put16(p, (uint16_t)(0xc000 | owner));
	cox_dns_put16(p + 2, type);
	cox_dns_put16(p + 4, 1);
	cox_dns_put16(p + 6, (uint16_t)(ttl_s >> 16));
	cox_dns_put16(p + 8, (uint16_t)ttl_s);
	cox_dns_put16(p + 10, (uint16_t)n);
	out->n += 2 + FIXED_RR_BYTES;
}

static bool fits(struct cox_dns_answer *a, size_t more)
{
	size_t used = a->out->n - a->start + (a->has_edns ? sizeof(opt_record) : 0);
	if (used + more > a->limit)
		a->is_cut = true;
	return !a->is_cut;
}

void cox_dns_answer_alias(struct cox_dns_answer *a, struct cox_str target, uint32_t ttl_s)
{
	COX_AUTO(cox_buf_fini) struct cox_buf name = { 0 };
	if (!cox_dns_name_write(target, &name) || !fits(a, 2 + FIXED_RR_BYTES + name.n))
		return;
	put_fixed(a->out, a->owner, COX_DNS_CNAME, ttl_s, name.n);
	a->owner = (uint16_t)(a->out->n - a->start);
	cox_buf_append(a->out, name.p, name.n);
	a->count++;
}

void cox_dns_answer_address(struct cox_dns_answer *a, const uint8_t *address, size_t n, uint32_t ttl_s)
{
	if (!fits(a, 2 + FIXED_RR_BYTES + n))
		return;
	put_fixed(a->out, a->owner, n == 4 ? COX_DNS_A : COX_DNS_AAAA, ttl_s, n);
	cox_buf_append(a->out, address, n);
	a->count++;
}

void cox_dns_answer_end(struct cox_dns_answer *a)
{
	if (a->has_edns)
		cox_buf_append(a->out, opt_record, sizeof(opt_record));
	char *head = a->out->p + a->start;
	cox_dns_put16(head + 6, (uint16_t)a->count);
	cox_dns_put16(head + 10, a->has_edns);
	if (a->is_cut)
		cox_dns_put16(head + 2, cox_dns_get16(head + 2) | FLAG_TC);
}

void cox_dns_truncate(struct cox_buf *answer, size_t limit)
{
	char *head = answer->p;
	if (answer->n <= limit || answer->n < COX_DNS_HEAD_BYTES)
		return;
	size_t at = COX_DNS_HEAD_BYTES;
	bool has_question = cox_dns_get16(head + 4) == 1 && skip_name(cox_buf_str(answer), &at) && at + 4 <= answer->n && at + 4 <= limit;
	answer->n = has_question ? at + 4 : COX_DNS_HEAD_BYTES;
	cox_dns_put16(head + 2, cox_dns_get16(head + 2) | FLAG_TC);
	cox_dns_put16(head + 4, has_question);
	memset(head + 6, 0, 6);
}
