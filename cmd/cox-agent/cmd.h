/* cmd - the commands of cox-agent, and what they share. */
#ifndef COX_AGENT_CMD_H
#define COX_AGENT_CMD_H

#include "base/err.h"

/* Each gets its own name as argv[0] and returns the exit status. */
int cmd_init(int argc, char **argv, bool clean);
int cmd_wait(int argc, char **argv);
int cmd_request(int argc, char **argv);

/* Prints, and returns 1. */
int cmd_fail(const struct cox_err *err);
/* Prints how to use it: 0, or 2 after a problem. */
int cmd_usage(const char *problem);
bool cmd_number(const char *text, uint64_t max, uint64_t *out);
bool cmd_port(const char *text, uint16_t *out);

#endif
