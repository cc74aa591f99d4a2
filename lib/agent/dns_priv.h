/* dns_priv - shared by dns.c (answers), dns_tcp.c and dns_udp.c (how questions come). */
#ifndef COX_AGENT_DNS_PRIV_H
#define COX_AGENT_DNS_PRIV_H

#include "agent/dns.h"
#include "agent/dns_upstream.h"
#include "base/vec.h"
#include "loop/poll.h"
#include "loop/timer.h"

#include <netinet/in.h>

struct dns_conn;
struct dns_listener {
	struct cox_agent_dns *dns;
	int udp, tcp;
	struct cox_poll *udp_poll, *tcp_poll;
};
/* Where a question came from, and where its answer goes. */
struct dns_client {
	struct dns_conn *conn; /* NULL: UDP */
	int udp;
	struct sockaddr_in6 address; /* large enough for both families */
	socklen_t address_n;
};
struct dns_address {
	uint8_t bytes[16];
};
struct cox_agent_dns {
	struct cox_loop *loop;
	struct dns_listener listeners[4];
	size_t listener_n;
	COX_VEC(struct dns_conn *) conns;
	struct cox_dns_table *table;
	struct cox_dns_upstream *upstream;
	struct cox_dns_place place;
	char ns[64], svc_domain[260], search[256];
	size_t pending_n;
	uint64_t used_ids[65536 / 64]; /* of open questions */
	struct cox_agent_dns_stats stats;
	struct cox_buf out;                    /* the answer in the making */
	COX_VEC(struct dns_address) addresses; /* of one hit: kept for its memory */
	unsigned turn;                         /* which address comes first */
};

/* dns.c: a question as it came. */
void dns_take(struct cox_agent_dns *dns, const struct dns_client *client, struct cox_str query);
/* dns_udp.c */
enum cox_rc dns_udp_open(struct dns_listener *l, const struct sockaddr_storage *at, socklen_t n);
void dns_udp_send(const struct dns_client *client, struct cox_str answer);
/* dns_tcp.c */
enum cox_rc dns_tcp_open(struct dns_listener *l, int fd);
void dns_tcp_send(struct dns_conn *c, struct cox_str answer);
void dns_tcp_ref(struct dns_conn *c); /* an answer is owed: the object stays */
void dns_tcp_unref(struct dns_conn *c);
void dns_tcp_close_all(struct cox_agent_dns *dns);

#endif
