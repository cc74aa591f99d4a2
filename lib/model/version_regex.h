/*
 * version_regex - the expression of EnvoyFilter's match.proxy.proxyVersion: found anywhere in a text. What people write for versions is
 * understood in RE2's syntax; of the rest of RE2 (counts inside counts, named groups, flags, Unicode classes) we say that we do not.
 * Thread: any, once open; pure.
 */
#ifndef COX_MODEL_VERSION_REGEX_H
#define COX_MODEL_VERSION_REGEX_H

#include "base/str.h"

struct cox_version_regex;

/* Gives *out; end with cox_version_regex_free(). COX_EINVAL: not an expression, or more than we understand. */
COX_MUST_USE enum cox_rc cox_version_regex_new(struct cox_str pattern, struct cox_version_regex **out);
void cox_version_regex_free(struct cox_version_regex *r);
bool cox_version_regex_matches(const struct cox_version_regex *r, struct cox_str version);

#endif
