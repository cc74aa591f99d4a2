/* Any bytes as a DNS question, as another server's answer, as a name table and as a resolv.conf. */
#include "agent/dns_table.h"
#include "agent/dns_wire.h"
#include "agent/resolv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const struct cox_dns_place place = { COX_STR_INIT("default"), COX_STR_INIT("svc.cluster.local"),
	                                    COX_STR_INIT("default.svc.cluster.local") };

static void answer_from(struct cox_str message, const struct cox_dns_query *q, const struct cox_dns_hit *hit, size_t limit)
{
	COX_AUTO(cox_buf_fini) struct cox_buf out = { 0 };
	struct cox_dns_answer a;
	uint8_t bytes[16];
	size_t at = 0;
	cox_dns_answer_begin(&a, message, q, limit, &out);
	if (hit->alias.n)
		cox_dns_answer_alias(&a, hit->alias, 30);
	while (cox_dns_hit_next(hit, &at, q->type == COX_DNS_AAAA, bytes))
		cox_dns_answer_address(&a, bytes, q->type == COX_DNS_AAAA ? 16 : 4, 30);
	cox_dns_answer_end(&a);
	COX_ASSERT(out.n <= limit || a.count == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	/* The first byte says how much is the question; the rest is the table. */
	size_t first = n ? cox_min_size(data[0], n - 1) : 0;
	struct cox_str message = cox_str_make(data + (n != 0), first), rest = cox_str_make(data + (n != 0) + first, n - (n != 0) - first);
	struct cox_dns_table *t = NULL;
	struct cox_dns_query q;
	struct cox_dns_hit hit;
	COX_AUTO(cox_buf_fini) struct cox_buf out = { 0 };
	bool has_table = cox_dns_table_new(rest, &t, NULL) == COX_OK;
	if (cox_dns_query_read(message, &q) == COX_OK) {
		COX_ASSERT(q.name_n < sizeof(q.name) && q.question_bytes + COX_DNS_HEAD_BYTES <= message.n &&
		           q.udp_bytes >= COX_DNS_UDP_BYTES);
		COX_ASSERT(!q.has_edns || q.edns_at + 2 <= message.n);
		if (has_table && cox_dns_table_find(t, &place, cox_str_make(q.name, q.name_n), &hit))
			answer_from(message, &q, &hit, q.udp_bytes);
	}
	if (message.n >= COX_DNS_HEAD_BYTES) {
		cox_dns_answer_code(message, COX_DNS_SERVFAIL, &out);
		cox_buf_clear(&out);
		cox_buf_append_str(&out, message);
		cox_dns_truncate(&out, 40);
		COX_ASSERT(out.n <= 40 || message.n <= 40);
	}
	if (has_table)
		cox_dns_table_dump(t, &out);
	cox_dns_table_free(&t);
	struct cox_resolv r;
	cox_resolv_read(cox_str_make(data, n), &r);
	COX_ASSERT(r.server_n <= COX_RESOLV_SERVERS_MAX && r.attempts >= 1 && r.attempts <= 5);
	return 0;
}
