/*
 * log - lines of key=value (or JSON) on stderr. Stages log; code below a stage returns errors.
 * Values are quoted where needed; secrets are never passed.
 */
#ifndef COX_BASE_LOG_H
#define COX_BASE_LOG_H

#include "base/str.h"

enum cox_log_level { COX_LOG_NONE, COX_LOG_ERROR, COX_LOG_WARN, COX_LOG_INFO, COX_LOG_DEBUG };

/* "none", "error", "warn", "info", "debug"; also istiod's list form "default:info,ads:debug" per module. COX_EINVAL otherwise. */
COX_MUST_USE enum cox_rc cox_log_set_levels(struct cox_str spec);
/* A scope (log_scope.def) and its level now. `i` from 0; false: there are no more. */
struct cox_log_scope {
	const char *name, *description;
	enum cox_log_level level;
};
bool cox_log_scope_at(size_t i, struct cox_log_scope *out);
const char *cox_log_level_name(enum cox_log_level level);
void cox_log_set_json(bool json);
bool cox_log_is_on(const char *module, enum cox_log_level level);
/* `fmt` is the message, then key=value pairs as text: cox_log(COX_LOG_INFO, "ads", "stream opened proxy=%s", id) */
void cox_log(enum cox_log_level level, const char *module, const char *fmt, ...) COX_PRINTF(3, 4);

#endif
