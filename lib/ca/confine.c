/* What the signer may ask of the kernel: to read, write and wait on what it has, memory, time, random numbers, and to end. */
#include "ca/process_priv.h"

#include <seccomp.h>
#include <sys/mman.h>

static const int allowed[] = {
	SCMP_SYS(read),          SCMP_SYS(write),           SCMP_SYS(readv),        SCMP_SYS(writev),         SCMP_SYS(recvfrom),
	SCMP_SYS(sendto),        SCMP_SYS(recvmsg),         SCMP_SYS(sendmsg),      SCMP_SYS(poll),           SCMP_SYS(ppoll),
	SCMP_SYS(close),         SCMP_SYS(restart_syscall), SCMP_SYS(brk),          SCMP_SYS(munmap),         SCMP_SYS(mremap),
	SCMP_SYS(madvise),       SCMP_SYS(mlock),           SCMP_SYS(mlock2),       SCMP_SYS(munlock),        SCMP_SYS(futex),
	SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday),    SCMP_SYS(time),         SCMP_SYS(getrandom),      SCMP_SYS(sched_yield),
	SCMP_SYS(getpid),        SCMP_SYS(gettid),          SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction),
	SCMP_SYS(sigaltstack),   SCMP_SYS(tgkill),          SCMP_SYS(exit),         SCMP_SYS(exit_group),
};

enum cox_rc cox_ca_signer_confine_(struct cox_err *err)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int rc = ctx ? 0 : -1;
	for (size_t i = 0; rc == 0 && i < COX_LEN(allowed); i++)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0);
	/* Memory, but none that can run code. */
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (rc == 0)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	return rc == 0 ? COX_OK
	               : cox_err_set(err, COX_EINTERNAL, NULL, "the CA signer's system calls cannot be limited (seccomp): error %d", -rc);
}
