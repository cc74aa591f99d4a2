/* Directory watching and child processes.
 * covers: b35 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/vec.h"
#include "loop/fswatch.h"
#include "loop/proc.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct seen {
	struct cox_loop *loop;
	struct cox_fswatch *watch;
	struct cox_buf text; /* "event path\n" */
	const char *wanted;
	char dir[64];
	bool closes;
};

static void on_event(void *ctx, enum cox_fs_event event, const char *path)
{
	struct seen *s = ctx;
	size_t n = strlen(s->dir);
	assert_int_equal(strncmp(path, s->dir, n), 0);
	cox_buf_printf(&s->text, "%s %s\n", event == COX_FS_CHANGED ? "changed" : event == COX_FS_REMOVED ? "removed" : "rescan", path + n);
	if (s->closes)
		cox_fswatch_close(&s->watch);
}
static bool has_wanted(void *arg)
{
	struct seen *s = arg;
	return s->text.n > 0 && strstr(cox_buf_cstr(&s->text), s->wanted);
}
static void expect(struct seen *s, const char *wanted)
{
	s->wanted = wanted;
	if (!cox_loop_run_until(s->loop, has_wanted, s, 3000))
		fail_msg("no \"%s\" in \"%s\"", wanted, s->text.n ? cox_buf_cstr(&s->text) : "");
	cox_buf_clear(&s->text);
}
static const char *at(struct seen *s, const char *name)
{
	static char path[2][200];
	static int i;
	i = !i;
	snprintf(path[i], sizeof(path[i]), "%s%s", s->dir, name);
	return path[i];
}
static void write_file(struct seen *s, const char *name)
{
	int fd = open(at(s, name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
}
static void setup(struct seen *s)
{
	*s = (struct seen){ .loop = cox_loop_new("test") };
	strcpy(s->dir, "/tmp/cox-fswatch-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
}
static void teardown(struct seen *s)
{
	cox_fswatch_close(&s->watch);
	cox_loop_free(&s->loop);
	cox_buf_fini(&s->text);
}

static void test_files(void **state)
{
	(void)state;
	struct seen s;
	setup(&s);
	write_file(&s, "/before.yaml");
	assert_int_equal(cox_fswatch_open(s.loop, s.dir, on_event, &s, &s.watch, NULL), COX_OK);
	write_file(&s, "/a.yaml");
	expect(&s, "changed /a.yaml");
	assert_int_equal(rename(at(&s, "/a.yaml"), at(&s, "/b.yaml")), 0);
	expect(&s, "removed /a.yaml\nchanged /b.yaml");
	write_file(&s, "/before.yaml");
	expect(&s, "changed /before.yaml");
	assert_int_equal(symlink("b.yaml", at(&s, "/..data")), 0);
	expect(&s, "changed /..data");
	unlink(at(&s, "/b.yaml"));
	expect(&s, "removed /b.yaml");
	unlink(at(&s, "/..data"));
	unlink(at(&s, "/before.yaml"));
	rmdir(s.dir);
	teardown(&s);
}

static void test_directories(void **state)
{
	(void)state;
	struct seen s;
	setup(&s);
	assert_int_equal(cox_fswatch_open(s.loop, s.dir, on_event, &s, &s.watch, NULL), COX_OK);
	mkdir(at(&s, "/sub"), 0700);
	expect(&s, "rescan /sub");
	mkdir(at(&s, "/sub/deep"), 0700);
	expect(&s, "rescan /sub/deep");
	write_file(&s, "/sub/deep/a.yaml");
	expect(&s, "changed /sub/deep/a.yaml");
	assert_int_equal(rename(at(&s, "/sub"), at(&s, "/moved")), 0);
	expect(&s, "rescan /moved");
	write_file(&s, "/moved/deep/b.yaml");
	expect(&s, "changed /moved/deep/b.yaml");
	unlink(at(&s, "/moved/deep/a.yaml"));
	unlink(at(&s, "/moved/deep/b.yaml"));
	rmdir(at(&s, "/moved/deep"));
	rmdir(at(&s, "/moved"));
	expect(&s, "rescan /moved\n");
	rmdir(s.dir);
	teardown(&s);
}

/* The folder of a file may be any, "/" too: nothing below it is watched. */
static void test_flat(void **state)
{
	(void)state;
	struct seen s;
	setup(&s);
	assert_int_equal(mkdir(at(&s, "/sub"), 0700), 0);
	assert_int_equal(cox_fswatch_open_flat(s.loop, s.dir, on_event, &s, &s.watch, NULL), COX_OK);
	write_file(&s, "/sub/inside");
	write_file(&s, "/here");
	expect(&s, "changed /here\n");
	assert_int_equal(mkdir(at(&s, "/later"), 0700), 0);
	expect(&s, "rescan /later\n");
	write_file(&s, "/later/inside");
	write_file(&s, "/there");
	s.wanted = "inside";
	assert_false(cox_loop_run_until(s.loop, has_wanted, &s, 100));
	teardown(&s);
}

static void test_appears_and_comes_back(void **state)
{
	(void)state;
	struct seen s;
	char root[64];
	setup(&s);
	strcpy(root, s.dir);
	strcat(s.dir, "/not/yet");
	assert_int_equal(cox_fswatch_open(s.loop, s.dir, on_event, &s, &s.watch, NULL), COX_OK);
	char parent[200];
	snprintf(parent, sizeof(parent), "%s/not", root);
	mkdir(parent, 0700);
	cox_loop_run_until(s.loop, has_wanted, (s.wanted = "rescan", &s), 50);
	mkdir(s.dir, 0700);
	expect(&s, "rescan \n");
	write_file(&s, "/a");
	expect(&s, "changed /a");
	unlink(at(&s, "/a"));
	expect(&s, "removed /a");
	rmdir(s.dir);
	expect(&s, "rescan \n");
	mkdir(s.dir, 0700);
	expect(&s, "rescan \n");
	write_file(&s, "/b");
	expect(&s, "changed /b");
	s.closes = true; /* closing in the callback */
	unlink(at(&s, "/b"));
	expect(&s, "removed /b");
	assert_null(s.watch);
	rmdir(s.dir);
	rmdir(parent);
	rmdir(root);
	teardown(&s);
}

static void test_refused(void **state)
{
	(void)state;
	struct cox_err err = { 0 };
	struct cox_fswatch *w = NULL;
	struct cox_loop *l = cox_loop_new("test");
	assert_int_equal(cox_fswatch_open(l, "", on_event, NULL, &w, &err), COX_EINVAL);
	assert_true(err.text[0] != 0);
	assert_null(w);
	cox_loop_free(&l);
}

/* --- processes --- */

struct child {
	struct cox_loop *loop;
	struct cox_proc *proc;
	struct cox_buf out, err;
	bool has_exited;
	int64_t status;
	int signal;
};
static void on_output(void *ctx, int fd, const char *p, size_t n)
{
	cox_buf_append(fd == 1 ? &((struct child *)ctx)->out : &((struct child *)ctx)->err, p, n);
}
static void on_exit_(void *ctx, int64_t status, int signal)
{
	struct child *c = ctx;
	assert_false(c->has_exited);
	c->has_exited = true;
	c->status = status;
	c->signal = signal;
}
static bool has_exited(void *arg) { return ((struct child *)arg)->has_exited; }
static enum cox_rc child_start(struct child *c, const char *const *argv, struct cox_err *err)
{
	*c = (struct child){ .loop = cox_loop_new("test") };
	struct cox_proc_spec spec = { .argv = argv,
		                      .stdin_ = COX_PROC_PIPE,
		                      .stdout_ = COX_PROC_PIPE,
		                      .stderr_ = COX_PROC_PIPE,
		                      .on_output = on_output,
		                      .on_exit = on_exit_,
		                      .ctx = c };
	return cox_proc_open(c->loop, &spec, &c->proc, err);
}
static void child_end(struct child *c)
{
	cox_proc_close(&c->proc);
	cox_loop_free(&c->loop);
	cox_buf_fini(&c->out);
	cox_buf_fini(&c->err);
}

static void test_child_talks(void **state)
{
	(void)state;
	struct child c;
	assert_int_equal(child_start(&c, (const char *const[]){ "sh", "-c", "cat; echo bad >&2; exit 7", NULL }, NULL), COX_OK);
	assert_true(cox_proc_is_running(c.proc) && cox_proc_pid(c.proc) > 0);
	assert_int_equal(cox_proc_write(c.proc, "hello ", 6), COX_OK);
	assert_int_equal(cox_proc_write(c.proc, "world", 5), COX_OK);
	cox_proc_close_stdin(c.proc);
	assert_int_equal(cox_proc_write(c.proc, "x", 1), COX_ECANCELED);
	assert_true(cox_loop_run_until(c.loop, has_exited, &c, 5000));
	assert_int_equal(c.status, 7);
	assert_int_equal(c.signal, 0);
	assert_string_equal(cox_buf_cstr(&c.out), "hello world");
	assert_string_equal(cox_buf_cstr(&c.err), "bad\n");
	assert_int_equal(cox_proc_kill(c.proc, SIGTERM), COX_ENOTFOUND);
	child_end(&c);
}

static void test_child_is_killed(void **state)
{
	(void)state;
	struct child c;
	assert_int_equal(child_start(&c, (const char *const[]){ "sleep", "100", NULL }, NULL), COX_OK);
	assert_int_equal(cox_proc_kill(c.proc, SIGTERM), COX_OK);
	assert_true(cox_loop_run_until(c.loop, has_exited, &c, 5000));
	assert_int_equal(c.signal, SIGTERM);
	child_end(&c);
	/* Closed while it runs: killed and reaped, without a callback. */
	assert_int_equal(child_start(&c, (const char *const[]){ "sleep", "100", NULL }, NULL), COX_OK);
	int pid = cox_proc_pid(c.proc);
	child_end(&c);
	assert_false(c.has_exited);
	assert_int_equal(kill(pid, 0), -1);
}

static void test_child_refused(void **state)
{
	(void)state;
	struct child c;
	struct cox_err err = { 0 };
	assert_int_equal(child_start(&c, (const char *const[]){ "/no/such/program", NULL }, &err), COX_ENOTFOUND);
	assert_non_null(strstr(err.text, "/no/such/program"));
	assert_null(c.proc);
	child_end(&c);
	static char big[5 << 20];
	assert_int_equal(child_start(&c, (const char *const[]){ "sleep", "100", NULL }, &err), COX_OK);
	assert_int_equal(cox_proc_write(c.proc, big, sizeof(big)), COX_ELIMIT);
	child_end(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),           cmocka_unit_test(test_flat),
		cmocka_unit_test(test_directories),     cmocka_unit_test(test_appears_and_comes_back),
		cmocka_unit_test(test_refused),         cmocka_unit_test(test_child_talks),
		cmocka_unit_test(test_child_is_killed), cmocka_unit_test(test_child_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
