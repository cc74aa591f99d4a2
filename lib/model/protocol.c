#include "model/protocol.h"

static const struct {
	struct cox_str word, shown;
	enum cox_protocol protocol;
} names[] = {
	{ COX_STR_INIT("tcp"), COX_STR_INIT("TCP"), COX_PROTO_TCP },
	{ COX_STR_INIT("udp"), COX_STR_INIT("UDP"), COX_PROTO_UDP },
	{ COX_STR_INIT("grpc"), COX_STR_INIT("GRPC"), COX_PROTO_GRPC },
	{ COX_STR_INIT("grpc-web"), COX_STR_INIT("GRPC-Web"), COX_PROTO_GRPC_WEB },
	{ COX_STR_INIT("http"), COX_STR_INIT("HTTP"), COX_PROTO_HTTP },
	{ COX_STR_INIT("http_proxy"), COX_STR_INIT("HTTP_PROXY"), COX_PROTO_HTTP_PROXY },
	{ COX_STR_INIT("http2"), COX_STR_INIT("HTTP2"), COX_PROTO_HTTP2 },
	{ COX_STR_INIT("https"), COX_STR_INIT("HTTPS"), COX_PROTO_HTTPS },
	{ COX_STR_INIT("tls"), COX_STR_INIT("TLS"), COX_PROTO_TLS },
	{ COX_STR_INIT("mongo"), COX_STR_INIT("Mongo"), COX_PROTO_MONGO },
	{ COX_STR_INIT("redis"), COX_STR_INIT("Redis"), COX_PROTO_REDIS },
	{ COX_STR_INIT("mysql"), COX_STR_INIT("MySQL"), COX_PROTO_MYSQL },
	{ COX_STR_INIT("hbone"), COX_STR_INIT("HBONE"), COX_PROTO_HBONE },
};

enum cox_protocol cox_protocol_of_name(struct cox_str name)
{
	for (size_t i = 0; i < COX_LEN(names); i++)
		if (cox_str_eq_nocase(name, names[i].word))
			return names[i].protocol;
	return COX_PROTO_AUTO;
}

struct cox_str cox_protocol_name(enum cox_protocol p)
{
	for (size_t i = 0; i < COX_LEN(names); i++)
		if (names[i].protocol == p)
			return names[i].shown;
	return COX_STR("UnsupportedProtocol");
}

static bool has_prefix_nocase(struct cox_str s, struct cox_str prefix)
{
	return s.n >= prefix.n && cox_str_eq_nocase(cox_str_sub(s, 0, prefix.n), prefix);
}

/* A port's name or appProtocol: "grpc-web", "grpc-web-x", else the word before the first dash. HBONE cannot be asked for. */
static enum cox_protocol of_word(struct cox_str word)
{
	if (has_prefix_nocase(word, COX_STR("grpc-web")))
		return COX_PROTO_GRPC_WEB;
	ptrdiff_t dash = cox_str_find(word, '-');
	enum cox_protocol p = cox_protocol_of_name(dash < 0 ? word : cox_str_sub(word, 0, (size_t)dash));
	return p == COX_PROTO_HBONE ? COX_PROTO_AUTO : p;
}

enum cox_protocol cox_protocol_of_kube_port(struct cox_str transport, struct cox_str app_protocol, struct cox_str port_name, uint16_t port)
{
	if (cox_str_eq(transport, COX_STR("UDP")))
		return COX_PROTO_UDP;
	enum cox_protocol p;
	if (app_protocol.n == 0)
		p = of_word(port_name);
	else if (cox_str_eq(app_protocol, COX_STR("kubernetes.io/h2c")))
		p = COX_PROTO_HTTP2;
	else if (cox_str_eq(app_protocol, COX_STR("kubernetes.io/ws")))
		p = COX_PROTO_HTTP;
	else if (cox_str_eq(app_protocol, COX_STR("kubernetes.io/wss")))
		p = COX_PROTO_HTTPS;
	else
		p = of_word(app_protocol);
	if (p == COX_PROTO_AUTO && cox_protocol_is_server_first_port(port))
		return COX_PROTO_TCP;
	return p;
}

bool cox_protocol_is_http2(enum cox_protocol p) { return p == COX_PROTO_HTTP2 || p == COX_PROTO_GRPC || p == COX_PROTO_GRPC_WEB; }

bool cox_protocol_is_http(enum cox_protocol p) { return cox_protocol_is_http2(p) || p == COX_PROTO_HTTP || p == COX_PROTO_HTTP_PROXY; }

bool cox_protocol_is_tls(enum cox_protocol p) { return p == COX_PROTO_HTTPS || p == COX_PROTO_TLS; }

bool cox_protocol_is_tcp(enum cox_protocol p)
{
	return cox_protocol_is_tls(p) || p == COX_PROTO_TCP || p == COX_PROTO_MONGO || p == COX_PROTO_REDIS || p == COX_PROTO_MYSQL;
}

bool cox_protocol_is_server_first_port(uint16_t port) { return port == 25 || port == 53 || port == 3306 || port == 27017; }
