/* http_priv - the head of a message, shared by http.c and http_reader.c. */
#ifndef COX_AGENT_HTTP_PRIV_H
#define COX_AGENT_HTTP_PRIV_H

#include "agent/http.h"

struct http_head {
	struct cox_str start;
	size_t bytes;
	uint64_t length;
	bool has_length, chunked, close, keep_alive;
};
/* COX_EAGAIN, COX_ELIMIT, COX_EPROTO as in http.h. */
enum cox_rc http_head_read(struct cox_str text, struct http_head *h);
/* The status of a response's first line. COX_EPROTO. */
enum cox_rc http_status_read(struct cox_str start, int *status);
bool http_hex_read(struct cox_str s, uint64_t *out);

#endif
