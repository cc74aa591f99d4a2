#include "agent/http_priv.h"

static bool is_token(struct cox_str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
		if (!word && (c == 0 || !strchr("!#$%&'*+-.^_`|~", c)))
			return false;
	}
	return s.n != 0;
}

/* One line ending in LF; a CR before it is dropped. */
static bool next_line(struct cox_str text, size_t *at, struct cox_str *line)
{
	struct cox_str rest = cox_str_sub(text, *at, text.n);
	ptrdiff_t lf = cox_str_find(rest, '\n');
	if (lf < 0)
		return false;
	*at += (size_t)lf + 1;
	*line = cox_str_sub(rest, 0, (size_t)lf);
	if (line->n != 0 && line->p[line->n - 1] == '\r')
		line->n--;
	return true;
}

static enum cox_rc take_header(struct cox_str line, struct http_head *h)
{
	ptrdiff_t colon = cox_str_find(line, ':');
	struct cox_str name = cox_str_sub(line, 0, colon < 0 ? 0 : (size_t)colon);
	if (!is_token(name)) /* also folded lines and "Name :", on which servers differ */
		return COX_EPROTO;
	struct cox_str value = cox_str_trim(cox_str_sub(line, (size_t)colon + 1, line.n));
	if (cox_str_eq_nocase(name, COX_STR("content-length"))) {
		uint64_t v;
		if (value.n == 0 || value.p[0] < '0' || value.p[0] > '9' || cox_str_to_u64(value, &v) != COX_OK ||
		    (h->has_length && h->length != v))
			return COX_EPROTO;
		h->length = v;
		h->has_length = true;
	} else if (cox_str_eq_nocase(name, COX_STR("transfer-encoding"))) {
		if (!cox_str_eq_nocase(value, COX_STR("chunked")) || h->chunked)
			return COX_EPROTO;
		h->chunked = true;
	} else if (cox_str_eq_nocase(name, COX_STR("connection"))) {
		h->close = h->close || cox_str_eq_nocase(value, COX_STR("close"));
		h->keep_alive = h->keep_alive || cox_str_eq_nocase(value, COX_STR("keep-alive"));
	}
	return COX_OK;
}

enum cox_rc http_head_read(struct cox_str text, struct http_head *h)
{
	struct cox_str window = cox_str_sub(text, 0, COX_AGENT_HTTP_HEAD_MAX), line;
	enum cox_rc more = text.n >= COX_AGENT_HTTP_HEAD_MAX ? COX_ELIMIT : COX_EAGAIN;
	*h = (struct http_head){ 0 };
	if (!next_line(window, &h->bytes, &h->start))
		return more;
	for (int count = 0; next_line(window, &h->bytes, &line); count++) {
		if (line.n == 0) /* both lengths at once: the classic way to smuggle a request */
			return h->chunked && h->has_length ? COX_EPROTO : COX_OK;
		if (count == COX_AGENT_HTTP_HEADERS_MAX)
			return COX_ELIMIT;
		COX_TRY(take_header(line, h));
	}
	return more;
}

enum cox_rc cox_agent_http_read_request(struct cox_str text, struct cox_agent_http_request *out)
{
	struct http_head h;
	COX_TRY(http_head_read(text, &h));
	struct cox_str rest = h.start, method, target, version;
	if (!rest.p || !cox_str_next(&rest, ' ', &method) || !rest.p || !cox_str_next(&rest, ' ', &target) || !rest.p)
		return COX_EPROTO;
	version = rest;
	bool is_1_1 = cox_str_eq(version, COX_STR("HTTP/1.1"));
	if (!is_token(method) || target.n == 0 || target.p[0] != '/' || (!is_1_1 && !cox_str_eq(version, COX_STR("HTTP/1.0"))) || h.chunked)
		return COX_EPROTO;
	ptrdiff_t mark = cox_str_find(target, '?');
	*out = (struct cox_agent_http_request){
		.method = method,
		.path = mark < 0 ? target : cox_str_sub(target, 0, (size_t)mark),
		.query = mark < 0 ? COX_STR("") : cox_str_sub(target, (size_t)mark + 1, target.n),
		.head = cox_str_sub(text, 0, h.bytes),
		.head_bytes = h.bytes,
		.body_bytes = h.length,
		.is_1_1 = is_1_1,
		.keep_alive = is_1_1 ? !h.close : h.keep_alive,
	};
	return COX_OK;
}

bool http_hex_read(struct cox_str s, uint64_t *out)
{
	uint64_t v = 0;
	if (s.n == 0 || s.n > 8)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		int d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
		if (d < 0)
			return false;
		v = v * 16 + (uint64_t)d;
	}
	*out = v;
	return true;
}

static enum cox_rc read_chunks(struct cox_str text, struct cox_buf *body)
{
	size_t at = 0;
	struct cox_str line;
	while (next_line(text, &at, &line)) {
		ptrdiff_t semi = cox_str_find(line, ';');
		uint64_t size;
		if (!http_hex_read(cox_str_trim(semi < 0 ? line : cox_str_sub(line, 0, (size_t)semi)), &size))
			return COX_EPROTO;
		if (size == 0)
			return COX_OK; /* trailers are of no interest: the connection is used once */
		if (body->n + size > COX_AGENT_HTTP_BODY_MAX)
			return COX_ELIMIT;
		if (text.n - at < size)
			return COX_EAGAIN;
		cox_buf_append_str(body, cox_str_sub(text, at, (size_t)size));
		at += (size_t)size;
		if (!next_line(text, &at, &line))
			return COX_EAGAIN;
		if (line.n != 0)
			return COX_EPROTO;
	}
	return COX_EAGAIN;
}

static enum cox_rc read_body(struct cox_str rest, bool ended, const struct http_head *h, int status, struct cox_buf *body)
{
	if (status == 204 || status == 304)
		return COX_OK;
	if (h->chunked)
		return read_chunks(rest, body);
	if (h->length > COX_AGENT_HTTP_BODY_MAX || rest.n > COX_AGENT_HTTP_BODY_MAX)
		return COX_ELIMIT;
	if (h->has_length ? rest.n < h->length : !ended)
		return COX_EAGAIN;
	cox_buf_append_str(body, cox_str_sub(rest, 0, h->has_length ? (size_t)h->length : rest.n));
	return COX_OK;
}

enum cox_rc http_status_read(struct cox_str start, int *status)
{
	uint64_t code;
	if (start.n < 12 || !cox_str_has_prefix(start, COX_STR("HTTP/1.")) || start.p[8] != ' ' || (start.n > 12 && start.p[12] != ' ') ||
	    cox_str_to_u64(cox_str_sub(start, 9, 3), &code) != COX_OK || code < 100 || code > 599)
		return COX_EPROTO;
	*status = (int)code;
	return COX_OK;
}

static enum cox_rc read_once(struct cox_str text, bool ended, int *status, struct cox_buf *body)
{
	struct http_head h;
	int code;
	for (;;) {
		COX_TRY(http_head_read(text, &h));
		COX_TRY(http_status_read(h.start, &code));
		text = cox_str_sub(text, h.bytes, text.n);
		if (code >= 200)
			break;
	}
	size_t was = body->n;
	enum cox_rc rc = read_body(text, ended, &h, code, body);
	if (rc == COX_OK)
		*status = code;
	else
		body->n = was;
	return rc;
}

enum cox_rc cox_agent_http_read_response(struct cox_str text, bool ended, int *status, struct cox_buf *body)
{
	enum cox_rc rc = read_once(text, ended, status, body);
	return rc == COX_EAGAIN && ended ? COX_EPROTO : rc;
}

bool cox_agent_http_header_next(struct cox_str head, size_t *at, struct cox_str *name, struct cox_str *value)
{
	struct cox_str line;
	if (*at == 0 && !next_line(head, at, &line)) /* the first line is none */
		return false;
	if (!next_line(head, at, &line) || line.n == 0)
		return false;
	ptrdiff_t colon = cox_str_find(line, ':');
	*name = cox_str_sub(line, 0, colon < 0 ? line.n : (size_t)colon);
	*value = colon < 0 ? COX_STR("") : cox_str_trim(cox_str_sub(line, (size_t)colon + 1, line.n));
	return true;
}

struct cox_str cox_agent_http_header(struct cox_str head, struct cox_str wanted)
{
	struct cox_str name, value;
	for (size_t at = 0; cox_agent_http_header_next(head, &at, &name, &value);)
		if (cox_str_eq_nocase(name, wanted))
			return value;
	return COX_STR("");
}
