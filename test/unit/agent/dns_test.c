/* The DNS proxy: wire format, the rules of the name table, and the server with a name server of our own behind it. covers: i9 b6 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/dns.h"
#include "agent/dns_wire.h"
#include "codec/pb_write.h"
#include "loop/poll.h"
#include "net/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- helpers --------------------------------------------------------------------------------- */

static void put_host(struct cox_pb_at table, const char *host, const char *ips, const char *shortname, const char *ns)
{
	struct cox_pb_at info = cox_pb_map_value(cox_pb_map_entry(table, 1, cox_str_of(host)));
	struct cox_str rest = cox_str_of(ips), ip;
	while (rest.p && cox_str_next(&rest, ' ', &ip))
		cox_pb_put_bytes(info, 1, ip);
	if (shortname) {
		cox_pb_put_bytes(info, 2, COX_STR("Kubernetes"));
		cox_pb_put_bytes(info, 3, cox_str_of(shortname));
		cox_pb_put_bytes(info, 4, cox_str_of(ns));
	}
	cox_pb_end(info);
}

static void build_table(struct cox_buf *out)
{
	struct cox_pb pb;
	cox_pb_init(&pb, out);
	struct cox_pb_at t = cox_pb_root(&pb);
	put_host(t, "web.default.svc.cluster.local", "10.1.0.1 fd00::1", "web", "default");
	put_host(t, "db.far.svc.cluster.local", "10.1.0.2 10.1.0.3", "db", "far");
	put_host(t, "db-0.db.far.svc.cluster.local", "10.1.0.2", "db-0.db", "far");
	put_host(t, "api.example.com", "240.240.0.1", NULL, NULL);
	put_host(t, "*.wild.example.com", "240.240.0.2", NULL, NULL);
	put_host(t, "Upper.Example.COM", "240.240.0.3", NULL, NULL);
	put_host(t, "odd.default.svc.cluster.local", "240.240.0.4", NULL, NULL); /* an entry of a ServiceEntry: no short forms */
	cox_pb_end(t);
}

static const struct cox_dns_place place = { COX_STR_INIT("default"), COX_STR_INIT("svc.cluster.local"),
	                                    COX_STR_INIT("default.svc.cluster.local") };

static size_t make_query(char *out, const char *name, uint16_t type, uint16_t edns)
{
	struct cox_buf b = { 0 };
	cox_buf_append(&b, "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00", 11);
	cox_buf_append_char(&b, edns != 0);
	assert_true(cox_dns_name_write(cox_str_of(name), &b));
	char tail[4] = { (char)(type >> 8), (char)type, 0, 1 };
	cox_buf_append(&b, tail, 4);
	char opt[11] = { 0, 0, 41, (char)(edns >> 8), (char)edns };
	if (edns)
		cox_buf_append(&b, opt, sizeof(opt));
	size_t n = b.n;
	memcpy(out, b.p, n);
	cox_buf_fini(&b);
	return n;
}

/* --- wire ------------------------------------------------------------------------------------ */

static void test_queries(void **state)
{
	(void)state;
	char m[600];
	struct cox_dns_query q;
	size_t n = make_query(m, "WWW.Example.com", COX_DNS_AAAA, 1400);
	assert_int_equal(cox_dns_query_read(cox_str_make(m, n), &q), COX_OK);
	assert_string_equal(q.name, "www.example.com");
	assert_true(q.id == 0x1234 && q.type == COX_DNS_AAAA && q.klass == 1 && q.has_edns && q.udp_bytes == 1400 && q.wants_recursion);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(cox_dns_query_read(cox_str_make(m, i), &q), COX_EPROTO);
	m[2] |= (char)0x80; /* an answer is no question */
	assert_int_equal(cox_dns_query_read(cox_str_make(m, n), &q), COX_EPROTO);
	n = make_query(m, "a.b", 1, 0);
	m[12] = (char)0xc0; /* a pointer in a question */
	assert_int_equal(cox_dns_query_read(cox_str_make(m, n), &q), COX_EPROTO);
	char longest[300];
	memset(longest, 'a', sizeof(longest));
	struct cox_buf b = { 0 };
	assert_false(cox_dns_name_write(cox_str_make(longest, 64), &b));
	for (int i = 63; i < 300; i += 64)
		longest[i] = '.';
	assert_true(cox_dns_name_write(cox_str_make(longest, 253), &b));
	cox_buf_clear(&b);
	assert_false(cox_dns_name_write(cox_str_make(longest, 254), &b));
	assert_false(cox_dns_name_write(COX_STR("a..b"), &b));
	cox_buf_fini(&b);
}

static void test_answers_are_cut_to_the_limit(void **state)
{
	(void)state;
	char m[600];
	struct cox_dns_query q;
	struct cox_dns_answer a;
	struct cox_buf out = { 0 };
	size_t n = make_query(m, "many.example.com", COX_DNS_A, 0);
	assert_int_equal(cox_dns_query_read(cox_str_make(m, n), &q), COX_OK);
	cox_dns_answer_begin(&a, cox_str_make(m, n), &q, 512, &out);
	for (int i = 0; i < 100; i++)
		cox_dns_answer_address(&a, (uint8_t[]){ 10, 0, 0, (uint8_t)i }, 4, 30);
	cox_dns_answer_end(&a);
	assert_true(out.n <= 512 && out.n > 480);
	assert_int_equal(cox_dns_get16(out.p + 2) & 0x0200, 0x0200);
	assert_int_equal(cox_dns_get16(out.p + 6), (out.n - n) / 16);
	size_t was = out.n;
	cox_dns_truncate(&out, 512);
	assert_int_equal(out.n, was);
	cox_dns_truncate(&out, 100);
	assert_true(out.n == n && cox_dns_get16(out.p + 6) == 0 && cox_dns_get16(out.p + 4) == 1);
	cox_buf_fini(&out);
}

/* --- table ----------------------------------------------------------------------------------- */

static const char *first_ip(const struct cox_dns_table *t, const char *name, char text[64], char alias[256])
{
	struct cox_dns_hit hit;
	uint8_t bytes[16];
	size_t at = 0;
	if (!cox_dns_table_find(t, &place, cox_str_of(name), &hit))
		return "none";
	cox_str_to_cstr(hit.alias, alias, 256);
	return cox_dns_hit_next(&hit, &at, false, bytes) ? inet_ntop(AF_INET, bytes, text, 64) : "empty";
}

static void test_names_are_found(void **state)
{
	(void)state;
	static const struct {
		const char *name, *ip, *alias;
	} cases[] = {
		{ "web.default.svc.cluster.local", "10.1.0.1", "" },
		{ "web", "10.1.0.1", "" },
		{ "web.default", "10.1.0.1", "" },
		{ "web.default.svc", "10.1.0.1", "" },
		{ "web.default.svc.cluster", "none", "" },
		{ "db", "none", "" }, /* another namespace */
		{ "db.far", "10.1.0.2", "" },
		{ "db.far.svc", "10.1.0.2", "" },
		{ "db-0.db.far", "10.1.0.2", "" },
		{ "db-1.db.far", "none", "" },
		{ "db.far.default.svc.cluster.local", "10.1.0.2", "db.far" }, /* what ndots:5 makes of db.far */
		{ "api.example.com", "240.240.0.1", "" },
		{ "api.example.com.default.svc.cluster.local", "240.240.0.1", "api.example.com" },
		{ "x.api.example.com", "none", "" },
		{ "a.wild.example.com", "240.240.0.2", "" },
		{ "b.a.wild.example.com", "240.240.0.2", "" },
		{ "wild.example.com", "none", "" },
		{ "a.wild.example.com.default.svc.cluster.local", "240.240.0.2", "a.wild.example.com" },
		{ "upper.example.com", "240.240.0.3", "" },
		{ "odd.default.svc.cluster.local", "240.240.0.4", "" },
		{ "odd", "none", "" },
		{ "", "none", "" },
		{ "com", "none", "" },
	};
	struct cox_buf wire = { 0 }, dump = { 0 };
	struct cox_dns_table *t = NULL;
	char text[64], alias[256];
	build_table(&wire);
	assert_int_equal(cox_dns_table_new(cox_buf_str(&wire), &t, NULL), COX_OK);
	assert_int_equal(cox_dns_table_count(t), 7);
	for (size_t i = 0; i < COX_LEN(cases); i++) {
		alias[0] = '\0';
		if (strcmp(first_ip(t, cases[i].name, text, alias), cases[i].ip) != 0 || strcmp(alias, cases[i].alias) != 0)
			fail_msg("%s: %s %s, not %s", cases[i].name, first_ip(t, cases[i].name, text, alias), alias, cases[i].ip);
	}
	cox_dns_table_dump(t, &dump);
	assert_true(cox_str_search(cox_buf_str(&dump), COX_STR("\"api.example.com\":{\"ips\":[\"240.240.0.1\"]},\"db-0.db.far")) > 0);
	assert_true(
	    cox_str_search(
	        cox_buf_str(&dump),
	        COX_STR(
	            "\"ips\":[\"10.1.0.1\",\"fd00::1\"],\"registry\":\"Kubernetes\",\"shortname\":\"web\",\"namespace\":\"default\"}")) >
	    0);
	for (size_t n = wire.n - 1; n > wire.n - 20; n--) { /* cut anywhere: refused */
		struct cox_dns_table *bad = NULL;
		assert_int_equal(cox_dns_table_new(cox_str_make(wire.p, n), &bad, NULL), COX_EPROTO);
	}
	cox_dns_table_free(&t);
	cox_buf_fini(&wire);
	cox_buf_fini(&dump);
}

static void test_resolv_conf(void **state)
{
	(void)state;
	struct cox_resolv r;
	cox_resolv_read(
	    COX_STR(
	        "# x\nnameserver 10.96.0.10\n  nameserver\tfd00::a \nnameserver nobody\nsearch .Default.svc.cluster.local. svc.cluster.local\n"
	        "options ndots:5 timeout:3 attempts:9 edns0\nnameserver 1.1.1.1"),
	    &r);
	assert_int_equal(r.server_n, 3);
	assert_string_equal(r.servers[1], "fd00::a");
	assert_string_equal(r.search, "default.svc.cluster.local");
	assert_true(r.timeout_ms == 3000 && r.attempts == 5);
	cox_resolv_read(COX_STR(""), &r);
	assert_true(r.server_n == 0 && r.timeout_ms == 2000 && r.attempts == 2 && r.search[0] == '\0');
}

/* --- server ---------------------------------------------------------------------------------- */

/* A name server: "slow.*" is never answered, "big.*" is cut over UDP and whole over TCP, "no.*" does not exist, all else is 9.9.9.9. */
struct fake {
	int udp, tcp, conn;
	struct cox_poll *polls[3];
	struct cox_loop *loop;
	unsigned asked, asked_tcp;
	uint16_t last_id, last_size;
};

static size_t fake_answer(struct fake *f, const char *in, size_t n, char *out, size_t limit)
{
	struct cox_dns_query q;
	struct cox_dns_answer a;
	struct cox_buf b = { 0 };
	assert_int_equal(cox_dns_query_read(cox_str_make(in, n), &q), COX_OK);
	f->last_id = q.id;
	f->last_size = q.udp_bytes;
	if (!strncmp(q.name, "slow.", 5))
		return 0;
	if (!strncmp(q.name, "no.", 3)) {
		cox_dns_answer_code(cox_str_make(in, n), COX_DNS_NXDOMAIN, &b);
	} else {
		cox_dns_answer_begin(&a, cox_str_make(in, n), &q, limit, &b);
		for (int i = 0; i < (strncmp(q.name, "big.", 4) ? 1 : 100); i++)
			cox_dns_answer_address(&a, (uint8_t[]){ 9, 9, 9, (uint8_t)(9 + i) }, 4, 60);
		cox_dns_answer_end(&a);
	}
	size_t len = b.n;
	memcpy(out, b.p, len);
	cox_buf_fini(&b);
	return len;
}

static void fake_udp(void *ctx, int events)
{
	struct fake *f = ctx;
	char in[2048], out[4096];
	struct sockaddr_in from;
	socklen_t from_n = sizeof(from);
	(void)events;
	ssize_t n = recvfrom(f->udp, in, sizeof(in), 0, (struct sockaddr *)&from, &from_n);
	assert_true(n > 0);
	f->asked++;
	size_t len = fake_answer(f, in, (size_t)n, out, 512);
	if (len)
		assert_int_equal(sendto(f->udp, out, len, 0, (struct sockaddr *)&from, from_n), len);
}

static void fake_conn(void *ctx, int events)
{
	struct fake *f = ctx;
	char in[2048], out[4096];
	(void)events;
	ssize_t n = recv(f->conn, in, sizeof(in), 0);
	if (n <= 2) {
		cox_poll_close(&f->polls[2]);
		close(f->conn);
		return;
	}
	f->asked_tcp++;
	size_t len = fake_answer(f, in + 2, (size_t)n - 2, out + 2, 4000);
	cox_dns_put16(out, (uint16_t)len);
	assert_int_equal(send(f->conn, out, len + 2, 0), len + 2);
}

static void fake_accept(void *ctx, int events)
{
	struct fake *f = ctx;
	(void)events;
	f->conn = accept4(f->tcp, NULL, NULL, SOCK_NONBLOCK);
	assert_int_equal(cox_poll_open(f->loop, f->conn, fake_conn, f, &f->polls[2]), COX_OK);
	cox_poll_want(f->polls[2], COX_POLL_READ);
}

struct world {
	struct cox_loop *loop;
	struct fake fake;
	struct cox_agent_dns *dns;
	uint16_t port;
	int client;
	char answer[65536];
	ssize_t answer_n;
};

static uint16_t bind_to(int fd, uint16_t port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(at);
	if (bind(fd, (struct sockaddr *)&at, n) != 0)
		return 0;
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
	return ntohs(at.sin_port);
}

/* A port that is free for both protocols: what the system gives for one may be taken for the other by anybody on this machine. */
static uint16_t free_port(int *udp, int *tcp)
{
	for (int i = 0; i < 100; i++) {
		*udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
		*tcp = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		setsockopt(*tcp, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
		uint16_t port = bind_to(*tcp, 0);
		if (port != 0 && bind_to(*udp, port) == port)
			return port;
		close(*udp);
		close(*tcp);
	}
	fail_msg("no port is free for both protocols");
	return 0;
}

static void world_open(struct world *w)
{
	*w = (struct world){ .loop = cox_loop_new("test") };
	w->fake.loop = w->loop;
	uint16_t port = free_port(&w->fake.udp, &w->fake.tcp);
	assert_int_equal(listen(w->fake.tcp, 5), 0);
	assert_int_equal(cox_poll_open(w->loop, w->fake.udp, fake_udp, &w->fake, &w->fake.polls[0]), COX_OK);
	assert_int_equal(cox_poll_open(w->loop, w->fake.tcp, fake_accept, &w->fake, &w->fake.polls[1]), COX_OK);
	cox_poll_want(w->fake.polls[0], COX_POLL_READ);
	cox_poll_want(w->fake.polls[1], COX_POLL_READ);
	int udp, tcp;
	w->port = free_port(&udp, &tcp);
	close(udp);
	close(tcp);
	char address[64];
	snprintf(address, sizeof(address), "127.0.0.1:%u", w->port);
	struct cox_resolv resolv = {
		.servers = { "127.0.0.1" }, .server_n = 1, .search = "default.svc.cluster.local", .timeout_ms = 200, .attempts = 2
	};
	struct cox_agent_dns_spec spec = { .addresses = cox_str_of(address),
		                           .ns = COX_STR("default"),
		                           .domain = COX_STR("cluster.local"),
		                           .resolv = &resolv,
		                           .server_port = port };
	struct cox_err err = { 0 };
	if (cox_agent_dns_open(w->loop, &spec, &w->dns, &err) != COX_OK)
		fail_msg("%s", err.text);
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(w->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	w->client = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	assert_int_equal(connect(w->client, (struct sockaddr *)&to, sizeof(to)), 0);
}

static void world_close(struct world *w)
{
	cox_agent_dns_close(&w->dns);
	for (size_t i = 0; i < 3; i++)
		cox_poll_close(&w->fake.polls[i]);
	close(w->fake.udp);
	close(w->fake.tcp);
	close(w->client);
	cox_loop_free(&w->loop);
}

static bool has_answer(void *arg)
{
	struct world *w = arg;
	w->answer_n = recv(w->client, w->answer, sizeof(w->answer), 0);
	return w->answer_n > 0;
}

static void ask(struct world *w, const char *name, uint16_t type, uint16_t edns)
{
	char m[600];
	size_t n = make_query(m, name, type, edns);
	assert_int_equal(send(w->client, m, n, 0), n);
	assert_true(cox_loop_run_until(w->loop, has_answer, w, 5000));
	assert_int_equal(cox_dns_get16(w->answer), 0x1234);
}

static int rcode(const struct world *w) { return w->answer[3] & 15; }
static int count(const struct world *w) { return cox_dns_get16(w->answer + 6); }
static bool is_cut(const struct world *w) { return w->answer[2] & 2; }

static void set_table(struct world *w)
{
	struct cox_buf wire = { 0 };
	build_table(&wire);
	assert_int_equal(cox_agent_dns_set_table(w->dns, cox_buf_str(&wire), NULL), COX_OK);
	cox_buf_fini(&wire);
}

static void test_server_answers_and_forwards(void **state)
{
	(void)state;
	struct world w;
	world_open(&w);
	ask(&w, "web", COX_DNS_A, 0); /* no table yet: the name server's word */
	assert_true(count(&w) == 1 && !memcmp(w.answer + w.answer_n - 4, "\x09\x09\x09\x09", 4) && w.fake.asked == 1);
	set_table(&w);
	ask(&w, "web", COX_DNS_A, 0);
	assert_true(rcode(&w) == 0 && count(&w) == 1 && w.fake.asked == 1);
	assert_memory_equal(w.answer + w.answer_n - 10, "\0\0\0\x1e\0\x04\x0a\x01\0\x01", 10); /* 30 s, 10.1.0.1 */
	ask(&w, "web", COX_DNS_AAAA, 1232);
	assert_true(rcode(&w) == 0 && count(&w) == 1 && cox_dns_get16(w.answer + 10) == 1);
	ask(&w, "db.far", COX_DNS_AAAA, 0); /* there, but not of this family: no other server is asked */
	assert_true(rcode(&w) == 0 && count(&w) == 0 && w.fake.asked == 1);
	ask(&w, "db.far.default.svc.cluster.local", COX_DNS_A, 0);
	assert_int_equal(count(&w), 3); /* the alias and two addresses */
	ask(&w, "db.far", COX_DNS_A, 0);
	char first = w.answer[w.answer_n - 1];
	ask(&w, "db.far", COX_DNS_A, 0);
	assert_true(first != w.answer[w.answer_n - 1]);
	ask(&w, "web", 16 /* TXT */, 0);
	assert_int_equal(w.fake.asked, 2);
	ask(&w, "no.such.host", COX_DNS_A, 0);
	assert_int_equal(rcode(&w), COX_DNS_NXDOMAIN);
	struct cox_agent_dns_stats s = cox_agent_dns_stats(w.dns);
	assert_true(s.requests == 9 && s.upstream_requests == 3 && s.table_answers == 6 && s.upstream_failures == 0 && s.hosts == 7);
	world_close(&w);
}

static void test_server_truncation_timeouts_and_bounds(void **state)
{
	(void)state;
	struct world w;
	world_open(&w);
	set_table(&w);
	ask(&w, "big.example.com", COX_DNS_A, 0); /* fetched whole by TCP, cut for this client */
	assert_true(is_cut(&w) && count(&w) == 0 && w.fake.asked_tcp == 1 && w.answer_n <= 512);
	ask(&w, "big.example.com", COX_DNS_A, 4096);
	assert_true(!is_cut(&w) && count(&w) == 100);
	ask(&w, "x.example.com", COX_DNS_A, 65000);
	assert_int_equal(w.fake.last_size, COX_DNS_EDNS_BYTES);
	ask(&w, "slow.example.com", COX_DNS_A, 0);
	assert_int_equal(rcode(&w), COX_DNS_SERVFAIL);
	assert_int_equal(cox_agent_dns_stats(w.dns).upstream_failures, 1);
	char m[600];
	size_t n = make_query(m, "slow.example.com", COX_DNS_A, 0);
	for (int i = 0; i < COX_AGENT_DNS_PENDING_MAX + 20; i++) {
		assert_int_equal(send(w.client, m, n, 0), n);
		if (i % 32 == 0)
			cox_loop_run_until(w.loop, has_answer, &w, 5);
	}
	for (int i = 0; i < 50 && cox_agent_dns_stats(w.dns).refused < 20; i++)
		cox_loop_run_until(w.loop, has_answer, &w, 20);
	assert_true(cox_agent_dns_stats(w.dns).refused >= 20);
	m[5] = 2; /* two questions */
	assert_int_equal(send(w.client, m, n, 0), n);
	do
		assert_true(cox_loop_run_until(w.loop, has_answer, &w, 5000));
	while (rcode(&w) != COX_DNS_FORMERR);
	world_close(&w); /* with hundreds of questions open */
}

static bool tcp_has(void *arg)
{
	struct world *w = arg;
	ssize_t n = recv(w->client, w->answer + w->answer_n, sizeof(w->answer) - (size_t)w->answer_n, 0);
	w->answer_n += n > 0 ? n : 0;
	size_t at = 0, messages = 0;
	while (at + 2 <= (size_t)w->answer_n) {
		at += 2u + cox_dns_get16(w->answer + at);
		messages += at <= (size_t)w->answer_n;
	}
	return messages == 3;
}

static bool is_closed(void *arg)
{
	char byte;
	return recv(((struct world *)arg)->client, &byte, 1, 0) == 0;
}

static void test_server_tcp(void **state)
{
	(void)state;
	struct world w;
	world_open(&w);
	set_table(&w);
	close(w.client);
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(w.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	w.client = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(w.client, (struct sockaddr *)&to, sizeof(to)), 0);
	struct cox_buf all = { 0 };
	static const char *const names[] = { "big.example.com", "web", "db.far" };
	for (size_t i = 0; i < COX_LEN(names); i++) { /* three in one stream, of which the first takes longer */
		char m[600];
		size_t n = make_query(m + 2, names[i], COX_DNS_A, 0);
		cox_dns_put16(m, (uint16_t)n);
		m[2] = (char)i;
		cox_buf_append(&all, m, n + 2);
	}
	assert_int_equal(send(w.client, all.p, all.n, 0), all.n);
	struct timeval none = { 0, 1000 };
	setsockopt(w.client, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof(none));
	assert_true(cox_loop_run_until(w.loop, tcp_has, &w, 5000));
	assert_int_equal(w.answer[2], 1); /* "web" came first */
	assert_true(w.answer_n > 1600);   /* the big one is whole */
	/* A length that no question has ends the connection; one that is closed while an answer is owed does no harm. */
	assert_int_equal(send(w.client, "\xff\xff\0\0", 4, 0), 4);
	assert_true(cox_loop_run_until(w.loop, is_closed, &w, 5000));
	cox_buf_fini(&all);
	world_close(&w);
}

static void test_open_refuses(void **state)
{
	(void)state;
	struct cox_loop *loop = cox_loop_new("test");
	struct cox_resolv resolv = { .timeout_ms = 100, .attempts = 1 };
	struct cox_agent_dns *dns = NULL;
	struct cox_err err = { 0 };
	struct cox_agent_dns_spec spec = { .addresses = COX_STR("localhost"), .resolv = &resolv };
	assert_int_equal(cox_agent_dns_open(loop, &spec, &dns, &err), COX_EINVAL);
	int udp, tcp;
	uint16_t port = free_port(&udp, &tcp);
	char address[64];
	snprintf(address, sizeof(address), "127.0.0.1:%u", port);
	spec.addresses = cox_str_of(address);
	assert_int_equal(cox_agent_dns_open(loop, &spec, &dns, &err), COX_EEXIST);
	close(udp);
	close(tcp);
	assert_null(dns);
	cox_loop_free(&loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_queries),
		cmocka_unit_test(test_answers_are_cut_to_the_limit),
		cmocka_unit_test(test_names_are_found),
		cmocka_unit_test(test_resolv_conf),
		cmocka_unit_test(test_server_answers_and_forwards),
		cmocka_unit_test(test_server_truncation_timeouts_and_bounds),
		cmocka_unit_test(test_server_tcp),
		cmocka_unit_test(test_open_refuses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
