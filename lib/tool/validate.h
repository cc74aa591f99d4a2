/*
 * validate - the findings about objects in files, one by one (`coxctl validate`): the checks of the webhook and of a directory source, and
 * Istio's two about names of ports and labels of Deployments. Thread: the caller's; reading blocks.
 */
#ifndef COX_TOOL_VALIDATE_H
#define COX_TOOL_VALIDATE_H

#include "base/buf.h"
#include "codec/json.h"

struct cox_validate_options {
	const char *const *files; /* files, directories (with all below them), "-": standard input */
	size_t file_count;
	struct cox_str default_ns, istio_ns; /* empty: "default", "istio-system" */
};

/* Gives a tree: {"valid": false, "files": [{"file", "valid", "findings": [{"severity", "kind", "namespace", "name", "path", "line",
 * "message"}]}]}. Unknown fields are errors here, as in istioctl. What cannot be read is a finding of its file. */
struct cox_json *cox_tool_validate(const struct cox_validate_options *o, struct cox_arena *arena);
/* The same tree as lines for people; the text of a finding is that of `validate/report.h`. */
void cox_tool_validate_write(const struct cox_json *answer, struct cox_buf *out);

#endif
