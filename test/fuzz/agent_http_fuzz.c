/* Requests of a probing client and answers of Envoy, any bytes: read whole and cut anywhere, with the same result. */
#include "agent/http.h"
#include "agent/readiness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cox_str text = cox_str_make(data, n);
	struct cox_agent_http_request r;
	if (cox_agent_http_read_request(text, &r) == COX_OK) {
		COX_ASSERT(r.head_bytes <= n && r.path.n != 0 && r.path.p[0] == '/');
		struct cox_agent_http_request again;
		COX_ASSERT(cox_agent_http_read_request(cox_str_sub(text, 0, r.head_bytes), &again) == COX_OK && again.body_bytes == r.body_bytes);
	}
	struct cox_buf body = { 0 };
	int status = 0;
	enum cox_rc part = cox_agent_http_read_response(text, false, &status, &body);
	COX_ASSERT(part == COX_OK ? status >= 200 && status < 600 && body.n <= n : body.n == 0);
	cox_buf_clear(&body);
	enum cox_rc whole = cox_agent_http_read_response(text, true, &status, &body);
	COX_ASSERT(whole != COX_EAGAIN && (part == COX_EAGAIN || whole == part));
	struct cox_agent_readiness ready = cox_agent_readiness_read(text);
	(void)cox_agent_readiness_missing(&ready);
	(void)cox_agent_active_connections(text, 15090, 15021);
	cox_buf_fini(&body);
	return 0;
}
