/*
 * env - the environment variables of coxswaind: one table (env.def) from which they are read, checked, reported at start and printed
 * (`coxswaind --help-env`). A name that is not in the table cannot be read.
 * Thread: any; the environment does not change.
 */
#ifndef COX_COXSWAIND_ENV_H
#define COX_COXSWAIND_ENV_H

#include "base/err.h"
#include "model/features.h"

enum env_id {
#define X(name, row, type, otherwise, why_not, meaning) ENV_##name,
#include "env.def"
#undef X
	ENV_COUNT
};

/* Set to something that is not empty. */
bool env_is_set(enum env_id id);
const char *env_name(enum env_id id);
/* Its value; NULL: not set, or set to nothing. */
const char *env_given(enum env_id id);
/* Its value or its default. An empty value is the default, but for env_is_emptied(). */
const char *env_cstr(enum env_id id);
struct cox_str env_text(enum env_id id);
bool env_is_emptied(enum env_id id); /* set, to nothing */
/* Values that cannot be read count as the default: env_report() says so. */
bool env_bool(enum env_id id);
double env_number(enum env_id id);
int64_t env_duration_ms(enum env_id id);

/* Once at start: a line for each variable that is set and has no effect, cannot be read, or is not known. */
void env_report(void);
void env_print(void);
/* What translation follows. */
void env_features(struct cox_features *out);

#endif
