/*
 * err - what a human is told: a category, a text, and the field it is about.
 * A function that can say more than a code takes a last `struct cox_err *`, which may be NULL.
 */
#ifndef COX_BASE_ERR_H
#define COX_BASE_ERR_H

#include "base/str.h"

struct cox_err {
	enum cox_rc rc;
	int line;       /* in the source text, 1 is the first; 0: not known */
	char path[192]; /* "spec.http[0].weight"; empty: the whole object */
	char text[384];
};

/* Sets and returns `rc`, so that one can write `return cox_err_set(err, COX_EINVAL, path, "...")`. `path` may be NULL. A macro, so that
 * compilers and analyzers see what is returned. */
#define cox_err_set(err, rc, path, ...)                                \
	__extension__({                                                \
		enum cox_rc cox_err_rc_ = (rc);                        \
		cox_err_set_((err), cox_err_rc_, (path), __VA_ARGS__); \
		cox_err_rc_;                                           \
	})
void cox_err_set_(struct cox_err *err, enum cox_rc rc, const char *path, const char *fmt, ...) COX_PRINTF(4, 5);
/* Puts a member's name, or a place in a list, before the path: called by each level that an error passes on its way up. */
void cox_err_in_member(struct cox_err *err, struct cox_str name);
void cox_err_in_item(struct cox_err *err, size_t at);
/* Puts "context: " before the text. */
void cox_err_wrap(struct cox_err *err, const char *fmt, ...) COX_PRINTF(2, 3);
/* "spec.http[0].weight: must be ... (line 12)" into buf; returns buf. */
char *cox_err_describe(const struct cox_err *err, char *buf, size_t cap);

#endif
