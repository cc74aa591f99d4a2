#include "ca/process_priv.h"

#include "base/clock.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SECURE_HEAP_BYTES = 256 * 1024, SECURE_HEAP_MIN = 64, REAP_POLL_MS = 10, END_MS = 2000 };

void cox_ca_process_harden_(const char *name, pid_t parent)
{
	prctl(PR_SET_NAME, name);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 0);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	if (getppid() != parent)
		_exit(1); /* it died before PR_SET_PDEATHSIG held */
	/* Locks its pages (mlock) and keeps them out of dumps; without the right to lock it still has guard pages. */
	CRYPTO_secure_malloc_init(SECURE_HEAP_BYTES, SECURE_HEAP_MIN);
}

static void close_pair(int fds[2])
{
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	fds[0] = fds[1] = -1;
}

enum { MAIN_KEEPER, MAIN_SIGNER, KEEPER_SIGNER, PAIRS };

static pid_t fork_keeper(const struct cox_ca_spec *spec, int pairs[PAIRS][2], pid_t parent)
{
	pid_t pid = fork();
	if (pid != 0)
		return pid;
	close_pair(pairs[MAIN_SIGNER]);
	close(pairs[MAIN_KEEPER][0]);
	close(pairs[KEEPER_SIGNER][1]);
	cox_ca_process_harden_("cox-ca-keeper", parent);
	cox_ca_keeper_run_(spec, pairs[MAIN_KEEPER][1], pairs[KEEPER_SIGNER][0]);
}

static pid_t fork_signer(const struct cox_ca_spec *spec, int pairs[PAIRS][2], pid_t parent)
{
	pid_t pid = fork();
	if (pid != 0)
		return pid;
	close_pair(pairs[MAIN_KEEPER]);
	close(pairs[MAIN_SIGNER][0]);
	close(pairs[KEEPER_SIGNER][0]);
	cox_ca_process_harden_("cox-ca-signer", parent);
	cox_ca_signer_run_(spec, pairs[MAIN_SIGNER][1], pairs[KEEPER_SIGNER][1]);
}

enum cox_rc cox_ca_fork(const struct cox_ca_spec *spec, struct cox_ca_processes **out, struct cox_err *err)
{
	int pairs[PAIRS][2] = { { -1, -1 }, { -1, -1 }, { -1, -1 } };
	pid_t parent = getpid();
	/* Before anybody looks: others of the main process keep their files in it, too. */
	if (spec->store == COX_CA_STORE_DIR && mkdir(spec->state_dir, 0700) != 0 && errno != EEXIST)
		return cox_err_set(err, COX_EIO, NULL, "the CA's directory %s cannot be made", spec->state_dir);
	for (int i = 0; i < PAIRS; i++)
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pairs[i]) != 0) {
			for (int k = 0; k < i; k++)
				close_pair(pairs[k]);
			return cox_err_set(err, COX_EINTERNAL, NULL, "no socket pair for the CA's processes");
		}
	struct cox_ca_processes *p = COX_NEW(struct cox_ca_processes);
	p->keeper_fd = p->signer_fd = -1;
	p->keeper = fork_keeper(spec, pairs, parent);
	p->signer = p->keeper > 0 ? fork_signer(spec, pairs, parent) : -1;
	close_pair(pairs[KEEPER_SIGNER]);
	close(pairs[MAIN_KEEPER][1]);
	close(pairs[MAIN_SIGNER][1]);
	p->keeper_fd = pairs[MAIN_KEEPER][0];
	p->signer_fd = pairs[MAIN_SIGNER][0];
	if (p->keeper < 0 || p->signer < 0) {
		cox_ca_processes_end(&p);
		return cox_err_set(err, COX_EINTERNAL, NULL, "the CA's processes cannot be forked");
	}
	*out = p;
	return COX_OK;
}

void cox_ca_process_reap_(pid_t *pid, int64_t wait_ms, char *text, size_t cap)
{
	int status = 0;
	int64_t until = cox_clock_mono_ms() + wait_ms;
	pid_t got;
	if (cap)
		text[0] = 0;
	if (*pid <= 0)
		return;
	while ((got = waitpid(*pid, &status, WNOHANG)) == 0 && cox_clock_mono_ms() < until)
		poll(NULL, 0, REAP_POLL_MS);
	if (got == 0) {
		kill(*pid, SIGKILL);
		while ((got = waitpid(*pid, &status, 0)) < 0 && errno == EINTR)
			continue;
	}
	*pid = 0;
	if (got < 0 || !cap)
		snprintf(text, cap, "ended");
	else if (WIFSIGNALED(status))
		snprintf(text, cap, "ended by signal %d%s", WTERMSIG(status),
		         WTERMSIG(status) == SIGSYS ? " (a forbidden system call)" : "");
	else
		snprintf(text, cap, "ended with status %d", WEXITSTATUS(status));
}

bool cox_ca_process_has_failed_(pid_t pid, int64_t wait_ms)
{
	int64_t until = cox_clock_mono_ms() + wait_ms;
	siginfo_t info = { 0 };
	while (pid > 0 && waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0 &&
	       cox_clock_mono_ms() < until)
		poll(NULL, 0, REAP_POLL_MS);
	return info.si_pid != 0 && !(info.si_code == CLD_EXITED && info.si_status == 0);
}

void cox_ca_processes_end(struct cox_ca_processes **p)
{
	char text[64];
	if (!*p)
		return;
	if ((*p)->keeper_fd >= 0)
		close((*p)->keeper_fd);
	if ((*p)->signer_fd >= 0)
		close((*p)->signer_fd);
	cox_ca_process_reap_(&(*p)->keeper, END_MS, text, sizeof(text));
	cox_ca_process_reap_(&(*p)->signer, END_MS, text, sizeof(text));
	cox_free(*p);
	*p = NULL;
}
