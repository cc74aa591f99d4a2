/*
 * process - the two children of the CA: how they are forked, hardened and ended.
 */
#ifndef COX_CA_PROCESS_PRIV_H
#define COX_CA_PROCESS_PRIV_H

#include "ca/authority.h"

#include <sys/types.h>

struct cox_ca_processes {
	pid_t keeper, signer;
	int keeper_fd, signer_fd; /* non-blocking stream sockets; -1: taken over */
};

/* In a child, first: its name, no core, no ptrace, no /proc/PID/mem, no new privileges, dies with its parent, ignores what a terminal sends
 * to a whole group, keeps OpenSSL's keys in locked memory where that is allowed. */
void cox_ca_process_harden_(const char *name, pid_t parent);
/* Bodies of the children: they end the process. */
__attribute__((noreturn)) void cox_ca_signer_run_(const struct cox_ca_spec *spec, int main_fd, int keeper_fd);
__attribute__((noreturn)) void cox_ca_keeper_run_(const struct cox_ca_spec *spec, int main_fd, int signer_fd);
/* The signer's system calls from now on. COX_EINTERNAL with text: the kernel has no seccomp. */
COX_MUST_USE enum cox_rc cox_ca_signer_confine_(struct cox_err *err);
/* "ended by signal 9", after at most `wait_ms`; then kills. `text` gets at least 64 bytes. */
void cox_ca_process_reap_(pid_t *pid, int64_t wait_ms, char *text, size_t cap);
/* Did it end by a signal or with another status than 0? Waits for its end for at most `wait_ms`. */
bool cox_ca_process_has_failed_(pid_t pid, int64_t wait_ms);

#endif
