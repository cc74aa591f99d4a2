/*
 * dir_guess - whose document this is, where it cannot be parsed: for the report alone, so a guess is good enough.
 * Looks for what people write: "kind:", and "name:" and "namespace:" below "metadata:", as block or flow YAML or as JSON.
 * Thread: any; pure.
 */
#ifndef COX_SOURCE_DIR_GUESS_H
#define COX_SOURCE_DIR_GUESS_H

#include "base/str.h"

struct cox_dir_guess {
	struct cox_str api_version, kind, ns, name; /* parts of the text; empty: not found */
};
struct cox_dir_guess cox_dir_guess_object(struct cox_str text);

#endif
