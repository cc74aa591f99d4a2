/* Requests of a probing client and answers of Envoy, any bytes: read whole and cut anywhere, with the same result. */
#include "agent/http.h"
#include "agent/http_reader.h"
#include "agent/readiness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* The same answer in parts: cut where the first byte says. Its body is the whole reader's. */
static enum cox_rc read_in_parts(struct cox_str text, size_t piece, int *status, struct cox_buf *body)
{
	struct cox_agent_http_reader r = { 0 };
	size_t from = 0, to = 0, used;
	for (;;) {
		struct cox_str part;
		bool was_head = r.state == COX_AGENT_HTTP_HEAD;
		enum cox_rc rc = cox_agent_http_reader_next(&r, cox_str_sub(text, from, to - from), to == text.n, &used, &part);
		if (rc == COX_EAGAIN) {
			to = cox_min_size(to + piece, text.n);
			continue;
		}
		if (rc != COX_OK)
			return rc;
		COX_ASSERT(used <= to - from && (was_head || part.n <= used));
		if (!was_head)
			cox_buf_append_str(body, part);
		from += used;
		*status = r.status;
		if (r.is_done)
			return COX_OK;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cox_str text = cox_str_make(data, n);
	struct cox_agent_http_request r;
	if (cox_agent_http_read_request(text, &r) == COX_OK) {
		COX_ASSERT(r.head_bytes <= n && r.path.n != 0 && r.path.p[0] == '/');
		struct cox_agent_http_request again;
		COX_ASSERT(cox_agent_http_read_request(cox_str_sub(text, 0, r.head_bytes), &again) == COX_OK &&
		           again.body_bytes == r.body_bytes);
	}
	struct cox_buf body = { 0 };
	int status = 0;
	enum cox_rc part = cox_agent_http_read_response(text, false, &status, &body);
	COX_ASSERT(part == COX_OK ? status >= 200 && status < 600 && body.n <= n : body.n == 0);
	cox_buf_clear(&body);
	enum cox_rc whole = cox_agent_http_read_response(text, true, &status, &body);
	COX_ASSERT(whole != COX_EAGAIN && (part == COX_EAGAIN || whole == part));
	struct cox_buf again = { 0 };
	int status_again = 0;
	enum cox_rc parts = read_in_parts(text, n ? data[0] % 16 + 1u : 1, &status_again, &again);
	if (whole == COX_OK && parts == COX_OK)
		COX_ASSERT(status == status_again && cox_str_eq(cox_buf_str(&body), cox_buf_str(&again)));
	COX_ASSERT(whole != COX_OK || parts == COX_OK || body.n == 0 || parts == COX_ELIMIT || parts == COX_EPROTO);
	cox_buf_fini(&again);
	struct cox_agent_readiness ready = cox_agent_readiness_read(text);
	(void)cox_agent_readiness_missing(&ready);
	(void)cox_agent_active_connections(text, 15090, 15021);
	cox_buf_fini(&body);
	return 0;
}
