/*
 * control - the control plane that a verb's flags name: --server ADDRESS, or the Pods of -i and --revision.
 */
#ifndef COX_COXCTL_CONTROL_H
#define COX_COXCTL_CONTROL_H

#include "tool/control.h"
#include "verbs.h"

#define CONTROL_FLAGS                                                                                                 \
	{ "server", 0, "ADDRESS", NULL, "a coxswaind at this address, without a cluster: http://127.0.0.1:8080", 0 }, \
	{                                                                                                             \
		"revision", 'r', "NAME", NULL, "only this revision of the control plane", 0                           \
	}

/* End with cox_control_close(), also after a failure. */
COX_MUST_USE enum cox_rc control_open(const struct cox_cli *cli, uint16_t port, struct cox_control *out, struct cox_err *err);
/* cox_control_ask_all(), with its notes on standard error. */
COX_MUST_USE enum cox_rc control_ask(struct cox_control *c, const char *path, struct cox_json **out, struct cox_err *err);

#endif
