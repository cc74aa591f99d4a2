/*
 * explain_push - why a proxy was pushed to: the answer of /debug/pushz as text.
 * Pure. Thread: any.
 */
#ifndef COX_TOOL_EXPLAIN_PUSH_H
#define COX_TOOL_EXPLAIN_PUSH_H

#include "codec/json.h"

/* `answer`: of /debug/pushz?proxyID=..., or without a proxy. Appends. */
void cox_explain_push_write(const struct cox_json *answer, struct cox_buf *out);

#endif
