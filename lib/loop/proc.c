#include "loop/proc.h"

#include "loop/loop_uv.h"

#include <signal.h>

enum {
	READ_BYTES = 16384,
	WRITE_WAITING_MAX = 4 << 20,
	/* A grandchild may hold the pipes open after the child's end: then its output is of no interest any more. */
	PIPE_GRACE_MS = 1000,
};

struct cox_proc {
	uv_process_t uv;
	uv_pipe_t pipes[3];
	bool has_pipe[3]; /* opened, and not yet asked to close */
	uv_timer_t grace;
	int open_handles; /* freed at 0 after the owner closed */
	struct cox_loop *loop;
	struct cox_proc_spec spec; /* only callbacks and ctx are used after open */
	size_t waiting_bytes;
	bool is_running, has_exited, is_reported, is_closed, ends_stdin;
	int64_t status;
	int signal;
	char buf[READ_BYTES];
};

static void on_handle_closed(uv_handle_t *h)
{
	struct cox_proc *p = h->data;
	if (--p->open_handles == 0 && p->is_closed)
		cox_free(p);
}

static void handle_close(uv_handle_t *h)
{
	if (!uv_is_closing(h))
		uv_close(h, on_handle_closed);
}

static void report(struct cox_proc *p)
{
	if (!p->has_exited || p->is_reported || p->is_closed || p->has_pipe[1] || p->has_pipe[2])
		return;
	p->is_reported = true;
	uv_timer_stop(&p->grace);
	if (p->spec.on_exit)
		p->spec.on_exit(p->spec.ctx, p->status, p->signal);
}

static void pipe_close(struct cox_proc *p, int fd)
{
	if (!p->has_pipe[fd])
		return;
	p->has_pipe[fd] = false;
	handle_close((uv_handle_t *)&p->pipes[fd]);
}

static void on_grace(uv_timer_t *timer)
{
	struct cox_proc *p = timer->data;
	pipe_close(p, 1);
	pipe_close(p, 2);
	report(p);
}

static void on_exit_cb(uv_process_t *uv, int64_t status, int signal)
{
	struct cox_proc *p = uv->data;
	p->is_running = false;
	p->has_exited = true;
	p->status = status;
	p->signal = signal;
	handle_close((uv_handle_t *)uv);
	pipe_close(p, 0);
	if (!p->is_closed)
		uv_timer_start(&p->grace, on_grace, PIPE_GRACE_MS, 0);
	report(p);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
	struct cox_proc *p = h->data;
	(void)suggested;
	*buf = uv_buf_init(p->buf, READ_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct cox_proc *p = stream->data;
	int fd = stream == (uv_stream_t *)&p->pipes[1] ? 1 : 2;
	if (p->is_closed || n == 0)
		return;
	if (n < 0)
		pipe_close(p, fd);
	if (p->spec.on_output)
		p->spec.on_output(p->spec.ctx, fd, buf->base, n > 0 ? (size_t)n : 0);
	if (n < 0)
		report(p);
}

static void stdio_set(struct cox_proc *p, uv_stdio_container_t *c, int fd, enum cox_proc_stdio how)
{
	c->flags = UV_IGNORE;
	if (how == COX_PROC_INHERIT) {
		c->flags = UV_INHERIT_FD;
		c->data.fd = fd;
	} else if (how == COX_PROC_PIPE) {
		uv_pipe_init(cox_loop_uv(p->loop), &p->pipes[fd], 0);
		p->pipes[fd].data = p;
		p->has_pipe[fd] = true;
		p->open_handles++;
		c->flags = (uv_stdio_flags)(UV_CREATE_PIPE | (fd == 0 ? UV_READABLE_PIPE : UV_WRITABLE_PIPE));
		c->data.stream = (uv_stream_t *)&p->pipes[fd];
	}
}

enum cox_rc cox_proc_open(struct cox_loop *loop, const struct cox_proc_spec *spec, struct cox_proc **out, struct cox_err *err)
{
	cox_loop_assert_here(loop);
	struct cox_proc *p = COX_NEW(struct cox_proc);
	uv_stdio_container_t stdio[3];
	p->loop = loop;
	p->spec = *spec;
	p->uv.data = p->grace.data = p;
	stdio_set(p, &stdio[0], 0, spec->stdin_);
	stdio_set(p, &stdio[1], 1, spec->stdout_);
	stdio_set(p, &stdio[2], 2, spec->stderr_);
	uv_process_options_t o = {
		.exit_cb = on_exit_cb,
		.file = spec->argv[0],
		.args = (char **)(uintptr_t)spec->argv,
		.env = (char **)(uintptr_t)spec->env,
		.cwd = spec->cwd,
		.stdio = stdio,
		.stdio_count = 3,
		.uid = (uv_uid_t)spec->uid,
		.gid = (uv_gid_t)spec->gid,
		.flags = (spec->uid ? UV_PROCESS_SETUID : 0U) | (spec->gid ? UV_PROCESS_SETGID : 0U),
	};
	uv_timer_init(cox_loop_uv(loop), &p->grace);
	p->open_handles += 2;
	int rc = uv_spawn(cox_loop_uv(loop), &p->uv, &o);
	if (rc != 0) {
		cox_err_set(err, cox_rc_of_uv(rc), NULL, "cannot start %s: %s", spec->argv[0], uv_strerror(rc));
		cox_proc_close(&p);
		return cox_rc_of_uv(rc);
	}
	p->is_running = true;
	for (int fd = 1; fd <= 2; fd++)
		if (p->has_pipe[fd])
			uv_read_start((uv_stream_t *)&p->pipes[fd], on_alloc, on_read);
	*out = p;
	return COX_OK;
}

int cox_proc_pid(const struct cox_proc *p) { return p->uv.pid; }
bool cox_proc_is_running(const struct cox_proc *p) { return p->is_running; }

struct write {
	uv_write_t uv; /* first: cast from the request */
	struct cox_proc *proc;
	size_t n;
	char bytes[];
};

static void on_written(uv_write_t *uv, int status)
{
	struct write *w = (struct write *)uv;
	struct cox_proc *p = w->proc;
	p->waiting_bytes -= w->n;
	if (status < 0 || (p->ends_stdin && p->waiting_bytes == 0))
		pipe_close(p, 0);
	cox_free(w);
}

enum cox_rc cox_proc_write(struct cox_proc *p, const void *bytes, size_t n)
{
	cox_loop_assert_here(p->loop);
	if (!p->has_pipe[0] || p->ends_stdin)
		return COX_ECANCELED;
	if (n > WRITE_WAITING_MAX - p->waiting_bytes)
		return COX_ELIMIT;
	struct write *w = cox_alloc(sizeof(*w) + n);
	w->proc = p;
	w->n = n;
	memcpy(w->bytes, bytes, n);
	uv_buf_t buf = uv_buf_init(w->bytes, (unsigned)n);
	int rc = uv_write(&w->uv, (uv_stream_t *)&p->pipes[0], &buf, 1, on_written);
	if (rc != 0) {
		cox_free(w);
		return COX_ECANCELED;
	}
	p->waiting_bytes += n;
	return COX_OK;
}

void cox_proc_close_stdin(struct cox_proc *p)
{
	cox_loop_assert_here(p->loop);
	p->ends_stdin = true;
	if (p->waiting_bytes == 0)
		pipe_close(p, 0);
}

enum cox_rc cox_proc_kill(struct cox_proc *p, int signal)
{
	cox_loop_assert_here(p->loop);
	if (!p->is_running)
		return COX_ENOTFOUND;
	return cox_rc_of_uv(uv_process_kill(&p->uv, signal));
}

void cox_proc_close(struct cox_proc **pp)
{
	struct cox_proc *p = *pp;
	*pp = NULL;
	if (!p)
		return;
	cox_loop_assert_here(p->loop);
	p->is_closed = true;
	for (int fd = 0; fd < 3; fd++)
		pipe_close(p, fd);
	handle_close((uv_handle_t *)&p->grace);
	/* A running child is killed; its exit callback then closes the process handle, so that it is reaped. */
	if (p->is_running)
		uv_process_kill(&p->uv, SIGKILL);
	else if (!p->has_exited)
		handle_close((uv_handle_t *)&p->uv); /* it was never started */
	/* All handles may have closed before the owner did: the grace timer has not, so the last callback frees. */
}
