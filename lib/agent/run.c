#include "agent/run.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { READ_BYTES = 16384, STDERR_BYTES_MAX = 64 * 1024 };

struct child {
	pid_t pid;
	int in, out, err; /* our ends; -1 when closed */
};

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static enum cox_rc spawn(const char *const *argv, struct child *c, struct cox_err *err)
{
	int p[3][2] = { { -1, -1 }, { -1, -1 }, { -1, -1 } };
	int rc = 0;
	for (int i = 0; i < 3 && rc == 0; i++)
		rc = pipe2(p[i], O_CLOEXEC) == 0 ? 0 : errno;
	if (rc == 0) {
		posix_spawn_file_actions_t actions;
		posix_spawn_file_actions_init(&actions);
		posix_spawn_file_actions_adddup2(&actions, p[0][0], 0);
		posix_spawn_file_actions_adddup2(&actions, p[1][1], 1);
		posix_spawn_file_actions_adddup2(&actions, p[2][1], 2);
		rc = posix_spawnp(&c->pid, argv[0], &actions, NULL, (char *const *)argv, environ);
		posix_spawn_file_actions_destroy(&actions);
	}
	close_fd(&p[0][0]);
	close_fd(&p[1][1]);
	close_fd(&p[2][1]);
	c->in = p[0][1], c->out = p[1][0], c->err = p[2][0];
	if (rc == 0)
		return COX_OK;
	close_fd(&c->in);
	close_fd(&c->out);
	close_fd(&c->err);
	char text[128];
	return cox_err_set(err, rc == ENOENT ? COX_ENOTFOUND : COX_EIO, argv[0], "%s", strerror_r(rc, text, sizeof(text)));
}

/* Reads once; closes at the end. Beyond `max` the rest is read and dropped, so that the child can end. */
static bool take(int *fd, struct cox_buf *to, size_t max)
{
	char *at = cox_buf_reserve(to, READ_BYTES);
	ssize_t n = read(*fd, at, READ_BYTES);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	if (n <= 0) {
		close_fd(fd);
		return true;
	}
	if (to->n + (size_t)n > max)
		return false;
	to->n += (size_t)n;
	return true;
}

static void feed(int *fd, struct cox_str *input)
{
	ssize_t n = input->n ? write(*fd, input->p, input->n) : 0;
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n > 0)
		*input = cox_str_sub(*input, (size_t)n, input->n);
	if (n < 0 || input->n == 0)
		close_fd(fd);
}

/* When to give up, by the clock that never jumps; 0: never. */
static int poll_ms(int64_t until_ms)
{
	int64_t left = until_ms - cox_clock_mono_ms();
	return until_ms == 0 ? -1 : left < 0 ? 0 : left > 60000 ? 60000 : (int)left;
}

static bool is_late(int64_t until_ms) { return until_ms != 0 && cox_clock_mono_ms() >= until_ms; }

static bool talk(struct child *c, struct cox_str input, int64_t until_ms, struct cox_buf *out, struct cox_buf *errors)
{
	bool fits = true;
	fcntl(c->in, F_SETFL, O_NONBLOCK);
	while ((c->out >= 0 || c->err >= 0) && !is_late(until_ms)) {
		struct pollfd fds[3] = { { c->in, POLLOUT, 0 }, { c->out, POLLIN, 0 }, { c->err, POLLIN, 0 } };
		int n = poll(fds, 3, poll_ms(until_ms));
		if (n < 0 && errno != EINTR)
			break;
		if (n <= 0)
			continue;
		if (c->in >= 0 && fds[0].revents)
			feed(&c->in, &input);
		if (c->out >= 0 && fds[1].revents)
			fits = take(&c->out, out, COX_AGENT_RUN_OUTPUT_MAX) && fits;
		if (c->err >= 0 && fds[2].revents)
			(void)take(&c->err, errors, STDERR_BYTES_MAX);
	}
	return fits;
}

/* Its output is over: it ends now, or somebody closed it to go on. */
static int wait_for(const struct child *c, int64_t until_ms, bool *was_killed)
{
	int status = 0;
	pid_t got = 0;
	while (until_ms && !is_late(until_ms) && (got = waitpid(c->pid, &status, WNOHANG)) == 0)
		poll(NULL, 0, 5);
	if (got == c->pid)
		return status;
	if (until_ms) {
		*was_killed = true;
		kill(c->pid, SIGKILL);
	}
	while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

enum cox_rc cox_agent_run(const char *const *argv, struct cox_str input, int64_t timeout_ms, struct cox_buf *out, struct cox_err *err)
{
	struct child c = { .in = -1, .out = -1, .err = -1 };
	COX_AUTO(cox_buf_fini) struct cox_buf errors = { 0 };
	COX_AUTO(cox_buf_fini) struct cox_buf dropped = { 0 };
	int64_t until_ms = timeout_ms ? cox_clock_mono_ms() + timeout_ms : 0;
	bool was_killed = false;
	COX_TRY(spawn(argv, &c, err));
	bool fits = talk(&c, input, until_ms, out ? out : &dropped, &errors);
	close_fd(&c.in);
	close_fd(&c.out);
	close_fd(&c.err);
	int status = wait_for(&c, until_ms, &was_killed);
	if (was_killed)
		return cox_err_set(err, COX_ETIMEOUT, argv[0], "did not end within %lld ms", (long long)timeout_ms);
	if (!fits)
		return cox_err_set(err, COX_ELIMIT, argv[0], "printed more than %d bytes", COX_AGENT_RUN_OUTPUT_MAX);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return COX_OK;
	struct cox_str said = cox_str_trim(cox_buf_str(&errors));
	if (said.n > 300)
		said = cox_str_sub(said, said.n - 300, 300);
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return cox_err_set(err, COX_EIO, argv[0], "exit status %d: %.*s", code, COX_FMT(said));
}
