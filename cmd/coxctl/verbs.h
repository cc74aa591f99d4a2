/*
 * verbs - what coxctl can do: one function a verb, one file a verb or group of verbs.
 * A verb gets its own arguments (argv[0] is the verb) and returns the exit status: 0 done, 1 failed or found faults, 2 wrong usage.
 */
#ifndef COX_COXCTL_VERBS_H
#define COX_COXCTL_VERBS_H

#include <stdbool.h>

int coxctl_cert(int argc, char **argv);
int coxctl_crd(int argc, char **argv);
int coxctl_diff(int argc, char **argv);
int coxctl_explain(int argc, char **argv);
int coxctl_kube_inject(int argc, char **argv);
int coxctl_render(int argc, char **argv);
int coxctl_workload(int argc, char **argv);

/* "-h" or "--help" is among the arguments: usage goes to stdout, status 0. */
bool coxctl_wants_help(int argc, char **argv);

#endif
