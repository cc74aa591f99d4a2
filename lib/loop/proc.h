/*
 * proc - a child process with pipes.
 * Thread: everything on the loop.
 */
#ifndef COX_LOOP_PROC_H
#define COX_LOOP_PROC_H

#include "loop/loop.h"

struct cox_proc;

enum cox_proc_stdio {
	COX_PROC_NULL,    /* /dev/null */
	COX_PROC_INHERIT, /* ours */
	COX_PROC_PIPE,    /* by cox_proc_write() and on_output */
};

struct cox_proc_spec {
	const char *const *argv; /* NULL at the end; argv[0] is looked up in PATH */
	const char *const *env;  /* NULL at the end; NULL: ours */
	const char *cwd;         /* NULL: ours */
	enum cox_proc_stdio stdin_, stdout_, stderr_;
	int uid, gid; /* 0: unchanged */
	/* `fd` is 1 or 2; n == 0: closed. */
	void (*on_output)(void *ctx, int fd, const char *p, size_t n);
	/* After the child ended and its pipes were read to the end. `signal` is 0 unless it was killed by one.
	 * The handle stays valid until cox_proc_close(). */
	void (*on_exit)(void *ctx, int64_t status, int signal);
	void *ctx;
};

/* Copies what it needs of `spec`. COX_ENOTFOUND: no such program; COX_EDENIED, COX_EIO with text. */
COX_MUST_USE enum cox_rc cox_proc_open(struct cox_loop *loop, const struct cox_proc_spec *spec, struct cox_proc **out, struct cox_err *err);
int cox_proc_pid(const struct cox_proc *p);
bool cox_proc_is_running(const struct cox_proc *p);
/* Copies. COX_ELIMIT: 4 MiB are waiting to be read by the child; COX_ECANCELED: its input is closed. */
COX_MUST_USE enum cox_rc cox_proc_write(struct cox_proc *p, const void *bytes, size_t n);
/* After what was written before. */
void cox_proc_close_stdin(struct cox_proc *p);
/* COX_ENOTFOUND: it has ended. */
COX_MUST_USE enum cox_rc cox_proc_kill(struct cox_proc *p, int signal);
/* No callback after this. A child that still runs is killed (SIGKILL) and reaped. Accepts NULL. */
void cox_proc_close(struct cox_proc **p);

#endif
