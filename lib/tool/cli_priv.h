/*
 * cli_priv - what the files of cli.h share.
 */
#ifndef COX_TOOL_CLI_PRIV_H
#define COX_TOOL_CLI_PRIV_H

#include "tool/cli.h"

/* The verb that the first words name (groups too); *used: how many. NULL: none. */
const struct cox_cli_verb *cli_verb_find(const struct cox_cli_program *p, int argc, char **argv, int *used);
/* By name or letter (name NULL); among the verb's own, then the program's. `verb` may be NULL. */
const struct cox_cli_flag *cli_flag_find(const struct cox_cli_program *p, const struct cox_cli_verb *verb, struct cox_str name,
                                         char letter);
/* The next flag that holds for the verb, its own first; NULL behind the last. Start with 0. */
const struct cox_cli_flag *cli_flag_next(const struct cox_cli_program *p, const struct cox_cli_verb *verb, size_t *at);
/* The verb's words without their other names, appended. */
void cli_path_write(const struct cox_cli_verb *verb, struct cox_buf *out);
/* How many words of `path` (canonical names) the verb's path starts with, or -1 where it does not. */
bool cli_path_is_in(const struct cox_cli_verb *verb, const struct cox_cli_verb *group);
bool cli_has_choices(const struct cox_cli_flag *f);

#endif
