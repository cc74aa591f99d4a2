/*
 * bug_report - an archive of what one needs to find a fault of a mesh: objects, logs, what proxies have, what the control plane knows
 * (`coxctl bug-report`). Values of Secrets and of environment variables that look like secrets are left out.
 * Thread: the caller's; blocks for as long as it takes.
 */
#ifndef COX_TOOL_BUG_REPORT_H
#define COX_TOOL_BUG_REPORT_H

#include "tool/cluster.h"

struct cox_bug_report_options {
	struct cox_cluster_spec cluster;
	struct cox_str istio_ns;
	const char *path;              /* of the archive */
	COX_LIST(struct cox_str) only; /* namespaces of proxies; none: all but those of the system */
	int64_t tail_lines;            /* of each log; 0: all */
	uint16_t proxy_port, control_port;
	bool skips_objects, skips_proxies, has_secrets;
	/* How far it is, before each step; may be NULL. */
	void (*on_step)(void *ctx, size_t done, size_t all, struct cox_str what);
	void *ctx;
};
struct cox_bug_report_result {
	size_t files, failed; /* failed ones are in the archive's errors.txt */
};
/* COX_EIO: the archive cannot be written. What cannot be asked is told in the archive. */
COX_MUST_USE enum cox_rc cox_bug_report(const struct cox_bug_report_options *o, struct cox_bug_report_result *out, struct cox_err *err);
/* Takes the values out of a Secret, and out of environment variables of containers whose names speak of secrets. */
void cox_bug_report_redact(struct cox_json *object, struct cox_arena *arena);

#endif
