/*
 * http_reader - reads one response in parts as they come, whatever its length. Pure; fuzzed.
 *
 *	while ((rc = cox_agent_http_reader_next(&r, text, ended, &used, &part)) == COX_OK && !r.is_done) { ...part...; text loses `used`
 *bytes }
 */
#ifndef COX_AGENT_HTTP_READER_H
#define COX_AGENT_HTTP_READER_H

#include "agent/http.h"

enum cox_agent_http_state {
	COX_AGENT_HTTP_HEAD,
	COX_AGENT_HTTP_LENGTH,
	COX_AGENT_HTTP_CHUNK_SIZE,
	COX_AGENT_HTTP_CHUNK,
	COX_AGENT_HTTP_CHUNK_END,
	COX_AGENT_HTTP_TO_END
};
/* Zeroed: at the start. */
struct cox_agent_http_reader {
	enum cox_agent_http_state state;
	bool is_done, has_no_body /* set by the caller before the start: the answer to HEAD */;
	int status;    /* once the head was read */
	uint64_t left; /* of the length or chunk */
};
/* `text` is what came and was not used, `ended` that nothing follows. COX_OK: `*used` bytes are done with; `*part` (borrowed from them) is
 * a piece of the body, or the whole head when the state before was HEAD. COX_EAGAIN: more is needed. COX_EPROTO: no HTTP, or cut off;
 * COX_ELIMIT: a head that is too long. */
COX_MUST_USE enum cox_rc cox_agent_http_reader_next(struct cox_agent_http_reader *r, struct cox_str text, bool ended, size_t *used,
                                                    struct cox_str *part);

#endif
