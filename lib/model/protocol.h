/*
 * protocol - what a port speaks, from appProtocol, the port's name and its number (protocol facts, section 6). Pure.
 */
#ifndef COX_MODEL_PROTOCOL_H
#define COX_MODEL_PROTOCOL_H

#include "base/str.h"

enum cox_protocol {
	COX_PROTO_AUTO, /* not said: sniffed */
	COX_PROTO_TCP,
	COX_PROTO_UDP,
	COX_PROTO_GRPC,
	COX_PROTO_GRPC_WEB,
	COX_PROTO_HTTP,
	COX_PROTO_HTTP_PROXY,
	COX_PROTO_HTTP2,
	COX_PROTO_HTTPS,
	COX_PROTO_TLS,
	COX_PROTO_MONGO,
	COX_PROTO_REDIS,
	COX_PROTO_MYSQL,
	COX_PROTO_HBONE,
};
/* `transport`: TCP, UDP, SCTP or empty (TCP). */
enum cox_protocol cox_protocol_of_kube_port(struct cox_str transport, struct cox_str app_protocol, struct cox_str port_name, uint16_t port);
/* By the name in Gateway, ServiceEntry and Sidecar ports ("HTTP", "tls", ...); AUTO when not known. */
enum cox_protocol cox_protocol_of_name(struct cox_str name);
bool cox_protocol_is_http(enum cox_protocol p);  /* http, http2, http_proxy, grpc, grpc-web */
bool cox_protocol_is_http2(enum cox_protocol p); /* http2, grpc, grpc-web */
bool cox_protocol_is_tcp(enum cox_protocol p);   /* tcp, https, tls, mongo, redis, mysql */
bool cox_protocol_is_tls(enum cox_protocol p);   /* https, tls */
/* 25, 53, 3306, 27017: the server speaks first, so nothing may wait for the client's bytes. */
bool cox_protocol_is_server_first_port(uint16_t port);
struct cox_str cox_protocol_name(enum cox_protocol p); /* "HTTP", "TCP", "UnsupportedProtocol" for AUTO */

#endif
