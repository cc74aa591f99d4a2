#include "agent/dns_priv.h"

#include "base/log.h"
#include "net/addr.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

enum { ADDRESSES_MAX = 4096 }; /* of one host: more do not fit into a message of 64 KiB */

/* A question that another server has. */
struct pending {
	struct cox_agent_dns *dns;
	struct dns_client client;
	uint16_t id, client_id, udp_bytes;
	size_t n;
	char query[]; /* with our id */
};

static void send_answer(const struct dns_client *client, struct cox_str answer)
{
	if (client->conn)
		dns_tcp_send(client->conn, answer);
	else
		dns_udp_send(client, answer);
}

static void answer_code(struct cox_agent_dns *dns, const struct dns_client *client, struct cox_str query, enum cox_dns_rcode code)
{
	cox_buf_clear(&dns->out);
	cox_dns_answer_code(query, code, &dns->out);
	send_answer(client, cox_buf_str(&dns->out));
}

/* --- other servers --------------------------------------------------------------------------- */

static bool id_is_used(const struct cox_agent_dns *dns, uint16_t id) { return dns->used_ids[id / 64] >> (id % 64) & 1; }
static void id_flip(struct cox_agent_dns *dns, uint16_t id) { dns->used_ids[id / 64] ^= UINT64_C(1) << (id % 64); }

/* Not the client's own: it must be hard to guess and differ from those of all open questions. */
static uint16_t id_take(struct cox_agent_dns *dns)
{
	uint16_t id = 0;
	do
		if (getrandom(&id, sizeof(id), 0) != (ssize_t)sizeof(id))
			id++;
	while (id_is_used(dns, id));
	id_flip(dns, id);
	return id;
}

static void on_answer(void *ctx, struct cox_str answer, enum cox_dns_rcode code)
{
	struct pending *p = ctx;
	struct cox_agent_dns *dns = p->dns;
	cox_buf_clear(&dns->out);
	if (answer.n) {
		cox_buf_append_str(&dns->out, answer);
		if (!p->client.conn)
			cox_dns_truncate(&dns->out, p->udp_bytes);
	} else {
		dns->stats.upstream_failures++;
		cox_dns_answer_code(cox_str_make(p->query, p->n), code, &dns->out);
	}
	cox_dns_put16(dns->out.p, p->client_id);
	send_answer(&p->client, cox_buf_str(&dns->out));
	id_flip(dns, p->id);
	dns->pending_n--;
	if (p->client.conn)
		dns_tcp_unref(p->client.conn);
	cox_free(p);
}

static void forward(struct cox_agent_dns *dns, const struct dns_client *client, struct cox_str query, const struct cox_dns_query *q)
{
	if (dns->pending_n >= COX_AGENT_DNS_PENDING_MAX) {
		dns->stats.refused++;
		answer_code(dns, client, query, COX_DNS_SERVFAIL);
		return;
	}
	struct pending *p = cox_alloc(sizeof(*p) + query.n);
	*p = (struct pending){
		.dns = dns, .client = *client, .id = id_take(dns), .client_id = q->id, .udp_bytes = q->udp_bytes, .n = query.n
	};
	memcpy(p->query, query.p, query.n);
	cox_dns_put16(p->query, p->id);
	if (q->has_edns && q->udp_bytes > COX_DNS_EDNS_BYTES) /* what we take ourselves */
		cox_dns_put16(p->query + q->edns_at, COX_DNS_EDNS_BYTES);
	if (client->conn)
		dns_tcp_ref(client->conn);
	dns->pending_n++;
	dns->stats.upstream_requests++;
	cox_dns_upstream_ask(dns->upstream, cox_str_make(p->query, p->n), on_answer, p);
}

/* --- the table ------------------------------------------------------------------------------- */

static void collect(struct cox_agent_dns *dns, const struct cox_dns_hit *hit, bool v6)
{
	struct dns_address a;
	size_t at = 0;
	cox_vec_clear(&dns->addresses);
	while (dns->addresses.n < ADDRESSES_MAX && cox_dns_hit_next(hit, &at, v6, a.bytes))
		cox_vec_push(&dns->addresses, a);
}

static void answer_hit(struct cox_agent_dns *dns, const struct dns_client *client, struct cox_str query, const struct cox_dns_query *q,
                       const struct cox_dns_hit *hit)
{
	struct cox_dns_answer a;
	bool v6 = q->type == COX_DNS_AAAA;
	collect(dns, hit, v6);
	cox_buf_clear(&dns->out);
	cox_dns_answer_begin(&a, query, q, client->conn ? COX_DNS_MESSAGE_MAX : q->udp_bytes, &dns->out);
	/* The whole chain in one answer: some clients ask no second time for a CNAME's target. */
	if (hit->alias.n && dns->addresses.n)
		cox_dns_answer_alias(&a, hit->alias, COX_AGENT_DNS_TTL_S);
	/* Clients tend to take the first address: it is another each time. */
	unsigned first = dns->turn++;
	for (size_t i = 0; i < dns->addresses.n; i++)
		cox_dns_answer_address(&a, dns->addresses.p[(first + i) % dns->addresses.n].bytes, v6 ? 16 : 4, COX_AGENT_DNS_TTL_S);
	cox_dns_answer_end(&a);
	dns->stats.table_answers++;
	send_answer(client, cox_buf_str(&dns->out));
}

void dns_take(struct cox_agent_dns *dns, const struct dns_client *client, struct cox_str query)
{
	struct cox_dns_query q;
	struct cox_dns_hit hit;
	dns->stats.requests++;
	if (query.n < COX_DNS_HEAD_BYTES || ((uint8_t)query.p[2] & 0x80) || query.n > COX_AGENT_DNS_QUERY_MAX) {
		dns->stats.malformed++; /* no question at all: an answer could start a loop */
		return;
	}
	if (cox_dns_query_read(query, &q) != COX_OK) {
		dns->stats.malformed++;
		answer_code(dns, client, query, COX_DNS_FORMERR);
	} else if (q.opcode != 0) {
		answer_code(dns, client, query, COX_DNS_NOTIMP);
	} else if (dns->table && q.klass == 1 && (q.type == COX_DNS_A || q.type == COX_DNS_AAAA) &&
	           cox_dns_table_find(dns->table, &dns->place, cox_str_make(q.name, q.name_n), &hit)) {
		answer_hit(dns, client, query, &q, &hit);
	} else {
		forward(dns, client, query, &q);
	}
}

/* --- life ------------------------------------------------------------------------------------ */

static enum cox_rc open_listener(struct cox_agent_dns *dns, struct cox_str text, struct cox_err *err)
{
	struct cox_addr at;
	struct sockaddr_storage sa;
	socklen_t n;
	int fd;
	COX_TRY(cox_addr_parse(text, &at, err));
	COX_TRY(cox_addr_to_sockaddr(&at, &sa, &n));
	if (dns->listener_n == COX_LEN(dns->listeners))
		return cox_err_set(err, COX_ELIMIT, "DNS_PROXY_ADDR", "more than %zu addresses", COX_LEN(dns->listeners));
	struct dns_listener *l = &dns->listeners[dns->listener_n++];
	*l = (struct dns_listener){ .dns = dns, .udp = -1, .tcp = -1 };
	enum cox_rc rc = dns_udp_open(l, &sa, n);
	if (rc == COX_EIO && sa.ss_family == AF_INET6) {
		cox_log(COX_LOG_INFO, "agent", "no IPv6 for the DNS proxy address=%.*s", COX_FMT(text));
		return COX_OK; /* the pod has no IPv6 */
	}
	if (rc != COX_OK)
		return cox_err_set(err, rc, "DNS_PROXY_ADDR", "cannot listen at %.*s (UDP)", COX_FMT(text));
	COX_TRY(cox_addr_listen(&at, 64, &fd, NULL, err));
	rc = dns_tcp_open(l, fd);
	return rc == COX_OK ? COX_OK : cox_err_set(err, rc, "DNS_PROXY_ADDR", "cannot listen at %.*s (TCP)", COX_FMT(text));
}

static enum cox_rc open_upstream(struct cox_agent_dns *dns, const struct cox_agent_dns_spec *spec, struct cox_err *err)
{
	COX_AUTO(cox_buf_fini) struct cox_buf servers = { 0 };
	unsigned port = spec->server_port ? spec->server_port : 53;
	for (size_t i = 0; i < spec->resolv->server_n; i++) {
		const char *s = spec->resolv->servers[i];
		bool v6 = strchr(s, ':') != NULL;
		cox_buf_printf(&servers, "%s%s%s%s:%u", servers.n ? "," : "", v6 ? "[" : "", s, v6 ? "]" : "", port);
	}
	return cox_dns_upstream_open(dns->loop,
	                             &(struct cox_dns_upstream_spec){ .servers = cox_buf_cstr(&servers),
	                                                              .timeout_ms = spec->resolv->timeout_ms,
	                                                              .tries = spec->resolv->attempts },
	                             &dns->upstream, err);
}

enum cox_rc cox_agent_dns_open(struct cox_loop *loop, const struct cox_agent_dns_spec *spec, struct cox_agent_dns **out,
                               struct cox_err *err)
{
	struct cox_agent_dns *dns = COX_NEW(struct cox_agent_dns);
	struct cox_str rest = spec->addresses, text;
	dns->loop = loop;
	snprintf(dns->svc_domain, sizeof(dns->svc_domain), "svc.%.*s", COX_FMT(spec->domain));
	cox_str_to_cstr(spec->ns, dns->ns, sizeof(dns->ns));
	snprintf(dns->search, sizeof(dns->search), "%s", spec->resolv->search);
	dns->place = (struct cox_dns_place){ cox_str_of(dns->ns), cox_str_of(dns->svc_domain), cox_str_of(dns->search) };
	enum cox_rc rc = open_upstream(dns, spec, err);
	while (rc == COX_OK && rest.p && cox_str_next(&rest, ',', &text))
		if ((text = cox_str_trim(text)).n)
			rc = open_listener(dns, text, err);
	if (rc != COX_OK) {
		cox_agent_dns_close(&dns);
		return rc;
	}
	*out = dns;
	return COX_OK;
}

enum cox_rc cox_agent_dns_set_table(struct cox_agent_dns *dns, struct cox_str bytes, struct cox_err *err)
{
	struct cox_dns_table *table;
	COX_TRY(cox_dns_table_new(bytes, &table, err));
	cox_dns_table_free(&dns->table);
	dns->table = table;
	dns->stats.hosts = cox_dns_table_count(table);
	cox_log(COX_LOG_DEBUG, "agent", "name table hosts=%zu", dns->stats.hosts);
	return COX_OK;
}

void cox_agent_dns_dump(const struct cox_agent_dns *dns, struct cox_buf *out)
{
	if (dns && dns->table)
		cox_dns_table_dump(dns->table, out);
	else
		cox_buf_append_cstr(out, "{\"table\":{}}");
}

struct cox_agent_dns_stats cox_agent_dns_stats(const struct cox_agent_dns *dns) { return dns->stats; }

void cox_agent_dns_close(struct cox_agent_dns **dp)
{
	struct cox_agent_dns *dns = COX_MOVE(*dp);
	if (dns == NULL)
		return;
	dns_tcp_close_all(dns);
	cox_dns_upstream_close(&dns->upstream); /* answers what is open, by UDP at least */
	for (size_t i = 0; i < dns->listener_n; i++) {
		struct dns_listener *l = &dns->listeners[i];
		cox_poll_close(&l->udp_poll);
		cox_poll_close(&l->tcp_poll);
		if (l->udp >= 0)
			close(l->udp);
		if (l->tcp >= 0)
			close(l->tcp);
	}
	cox_dns_table_free(&dns->table);
	cox_buf_fini(&dns->out);
	cox_vec_fini(&dns->addresses);
	cox_free(dns);
}
