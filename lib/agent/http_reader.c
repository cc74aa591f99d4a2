#include "agent/http_reader.h"

#include "agent/http_priv.h"

enum { CHUNK_LINE_MAX = 1024 };

/* A line with its end, within `max` bytes. */
static enum cox_rc line_of(struct cox_str text, size_t max, struct cox_str *line, size_t *used)
{
	ptrdiff_t lf = cox_str_find(cox_str_sub(text, 0, max), '\n');
	if (lf < 0)
		return text.n >= max ? COX_ELIMIT : COX_EAGAIN;
	*used = (size_t)lf + 1;
	*line = cox_str_sub(text, 0, (size_t)lf);
	if (line->n && line->p[line->n - 1] == '\r')
		line->n--;
	return COX_OK;
}

static enum cox_rc next_head(struct cox_agent_http_reader *r, struct cox_str text, size_t *used, struct cox_str *part)
{
	struct http_head h;
	int status;
	COX_TRY(http_head_read(text, &h));
	COX_TRY(http_status_read(h.start, &status));
	*used = h.bytes;
	*part = cox_str_sub(text, 0, h.bytes);
	if (status < 200)
		return COX_OK; /* the real one follows */
	r->status = status;
	r->left = h.length;
	r->state = h.chunked ? COX_AGENT_HTTP_CHUNK_SIZE : h.has_length ? COX_AGENT_HTTP_LENGTH : COX_AGENT_HTTP_TO_END;
	r->is_done = r->has_no_body || status == 204 || status == 304 || (h.has_length && h.length == 0);
	return COX_OK;
}

static enum cox_rc next_size(struct cox_agent_http_reader *r, struct cox_str text, size_t *used)
{
	struct cox_str line;
	COX_TRY(line_of(text, CHUNK_LINE_MAX, &line, used));
	ptrdiff_t semi = cox_str_find(line, ';');
	if (!http_hex_read(cox_str_trim(semi < 0 ? line : cox_str_sub(line, 0, (size_t)semi)), &r->left))
		return COX_EPROTO;
	r->state = COX_AGENT_HTTP_CHUNK;
	r->is_done = r->left == 0; /* trailers are of no interest: a connection is used once */
	return COX_OK;
}

static enum cox_rc next_bytes(struct cox_agent_http_reader *r, struct cox_str text, size_t *used, struct cox_str *part)
{
	if (!text.n)
		return COX_EAGAIN;
	*used = text.n < r->left ? text.n : (size_t)r->left;
	*part = cox_str_sub(text, 0, *used);
	r->left -= *used;
	if (r->left == 0 && r->state == COX_AGENT_HTTP_CHUNK)
		r->state = COX_AGENT_HTTP_CHUNK_END;
	else if (r->left == 0)
		r->is_done = true;
	return COX_OK;
}

static enum cox_rc next_chunk_end(struct cox_agent_http_reader *r, struct cox_str text, size_t *used)
{
	struct cox_str line;
	enum cox_rc rc = line_of(text, 2, &line, used);
	if (rc != COX_OK || line.n)
		return rc == COX_EAGAIN ? rc : COX_EPROTO;
	r->state = COX_AGENT_HTTP_CHUNK_SIZE;
	return COX_OK;
}

static enum cox_rc next_to_end(struct cox_agent_http_reader *r, struct cox_str text, bool ended, size_t *used, struct cox_str *part)
{
	*used = text.n;
	*part = text;
	r->is_done = ended && !text.n;
	return text.n || ended ? COX_OK : COX_EAGAIN;
}

enum cox_rc cox_agent_http_reader_next(struct cox_agent_http_reader *r, struct cox_str text, bool ended, size_t *used, struct cox_str *part)
{
	enum cox_rc rc = COX_EINTERNAL;
	*used = 0;
	*part = (struct cox_str){ 0 };
	switch (r->state) {
	case COX_AGENT_HTTP_HEAD: rc = next_head(r, text, used, part); break;
	case COX_AGENT_HTTP_CHUNK_SIZE: rc = next_size(r, text, used); break;
	case COX_AGENT_HTTP_LENGTH:
	case COX_AGENT_HTTP_CHUNK: rc = next_bytes(r, text, used, part); break;
	case COX_AGENT_HTTP_CHUNK_END: rc = next_chunk_end(r, text, used); break;
	case COX_AGENT_HTTP_TO_END: rc = next_to_end(r, text, ended, used, part); break;
	}
	return rc == COX_EAGAIN && ended ? COX_EPROTO : rc;
}
