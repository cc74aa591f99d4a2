/* doc_store_dir - texts as files of a directory, for a control plane without a kube-apiserver. The files are small and local, so they are
 * read and written on the loop. A lock file keeps two writers (coxswaind, coxctl) apart. */
#include "ca/doc_store_priv.h"

#include "base/map.h"
#include "base/vec.h"
#include "loop/fswatch.h"
#include "loop/timer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES_MAX = 4096, RESCAN_MS = 20 };

struct seen { /* a file as it was told last */
	char *name;
	struct cox_buf text;
	bool is_there;
};
struct answer {
	doc_done_fn *done;
	void *ctx;
	enum cox_rc rc;
	struct cox_err err;
};
struct dir_store {
	struct doc_store base;
	char *dir;
	struct cox_fswatch *watch;
	struct cox_timer *scan, *answer_timer;
	struct cox_map files; /* name: struct seen */
	COX_VEC(struct answer) answers;
	bool is_synced;
};

static bool path_of(const struct dir_store *s, struct cox_str name, const char *suffix, char path[PATH_BYTES_MAX])
{
	int n = snprintf(path, PATH_BYTES_MAX, "%s/%.*s%s", s->dir, COX_FMT(name), suffix);
	return n > 0 && n < PATH_BYTES_MAX && cox_str_find(name, '/') < 0;
}

static enum cox_rc read_file(const char *path, struct cox_buf *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = -1;
	if (fd < 0)
		return errno == ENOENT ? COX_ENOTFOUND : COX_EIO;
	while (out->n <= DOC_BYTES_MAX && (n = read(fd, cox_buf_reserve(out, 16384), 16384)) > 0)
		out->n += (size_t)n;
	close(fd);
	return n < 0 ? COX_EIO : out->n > DOC_BYTES_MAX ? COX_ELIMIT : COX_OK;
}

static enum cox_rc write_file(const struct dir_store *s, struct cox_str name, struct cox_str text, struct cox_err *err)
{
	char path[PATH_BYTES_MAX], part[PATH_BYTES_MAX];
	if (!path_of(s, name, "", path) || !path_of(s, name, ".part", part))
		return cox_err_set(err, COX_EINVAL, NULL, "\"%.*s\" is no file name", COX_FMT(name));
	int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool ok = fd >= 0;
	for (size_t at = 0; ok && at < text.n;) {
		ssize_t n = write(fd, text.p + at, text.n - at);
		ok = n > 0 || (n < 0 && errno == EINTR);
		at += n > 0 ? (size_t)n : 0;
	}
	ok = ok && fsync(fd) == 0;
	if (fd >= 0)
		ok = close(fd) == 0 && ok;
	if (ok && rename(part, path) == 0)
		return COX_OK;
	return cox_err_set(err, COX_EIO, NULL, "%s cannot be written", path);
}

/* --- what is there ---------------------------------------------------------------------------------- */

static void tell(struct dir_store *s, const char *name)
{
	char path[PATH_BYTES_MAX];
	struct cox_buf text = { 0 };
	if (path_of(s, cox_str_of(name), "", path) && read_file(path, &text) == COX_OK) {
		struct seen *f = cox_map_find(&s->files, cox_str_of(name));
		if (!f) {
			f = COX_NEW(struct seen);
			f->name = cox_str_dup_cstr(cox_str_of(name));
			cox_map_set(&s->files, cox_str_of(f->name), f);
		}
		f->is_there = true;
		if (!f->text.p || !cox_str_eq(cox_buf_str(&f->text), cox_buf_str(&text))) {
			cox_buf_clear(&f->text);
			cox_buf_append_str(&f->text, cox_buf_str(&text));
			cox_buf_cstr(&f->text); /* also an empty text counts as told */
			s->base.cb.changed(s->base.cb.ctx, cox_str_of(f->name), cox_buf_str(&f->text));
		}
	}
	cox_buf_fini(&text);
}

static void seen_free(struct seen *f)
{
	cox_free(f->name);
	cox_buf_fini(&f->text);
	cox_free(f);
}

static void on_scan(void *ctx)
{
	struct dir_store *s = ctx;
	DIR *d = opendir(s->dir);
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&s->files, e));)
		((struct seen *)e->value)->is_there = false;
	for (struct dirent *de; d && (de = readdir(d));) {
		struct cox_str name = cox_str_of(de->d_name);
		if (de->d_name[0] != '.' && !cox_str_has_suffix(name, COX_STR(".part")))
			tell(s, de->d_name);
	}
	if (d)
		closedir(d);
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&s->files, e));) {
		struct seen *f = e->value;
		if (f->is_there)
			continue;
		cox_map_remove(&s->files, e->key);
		s->base.cb.removed(s->base.cb.ctx, cox_str_of(f->name));
		seen_free(f);
	}
	if (!s->is_synced) {
		s->is_synced = true;
		s->base.cb.synced(s->base.cb.ctx, d ? COX_OK : COX_EIO);
	}
}

static void on_fs(void *ctx, enum cox_fs_event event, const char *path)
{
	struct dir_store *s = ctx;
	(void)event, (void)path;
	if (!cox_timer_is_running(s->scan))
		cox_timer_start(s->scan, RESCAN_MS, 0);
}

/* --- writing ------------------------------------------------------------------------------------------ */

static void on_answers(void *ctx)
{
	struct dir_store *s = ctx;
	__typeof__(s->answers) now = s->answers;
	memset(&s->answers, 0, sizeof(s->answers));
	for (size_t i = 0; i < now.n; i++)
		if (now.p[i].done)
			now.p[i].done(now.p[i].ctx, now.p[i].rc, &now.p[i].err);
	cox_vec_fini(&now);
}

static void answer(struct dir_store *s, doc_done_fn *done, void *ctx, enum cox_rc rc, const struct cox_err *err)
{
	cox_vec_push(&s->answers, ((struct answer){ done, ctx, rc, *err }));
	cox_timer_start(s->answer_timer, 0, 0);
	on_fs(s, COX_FS_CHANGED, NULL);
}

static void dir_put(struct doc_store *base, struct cox_str name, struct cox_str text, doc_done_fn *done, void *ctx)
{
	struct dir_store *s = (struct dir_store *)base;
	struct cox_err err = { 0 };
	answer(s, done, ctx, write_file(s, name, text, &err), &err);
}

static void dir_update(struct doc_store *base, struct cox_str name, doc_change_fn *change, doc_done_fn *done, void *ctx)
{
	struct dir_store *s = (struct dir_store *)base;
	char path[PATH_BYTES_MAX], lock_path[PATH_BYTES_MAX];
	struct cox_buf old = { 0 }, text = { 0 };
	struct cox_err err = { 0 };
	enum cox_rc rc = COX_EINVAL;
	int lock = -1;
	if (path_of(s, name, "", path) && path_of(s, COX_STR(".lock"), "", lock_path)) {
		lock = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		rc = lock >= 0 && flock(lock, LOCK_EX) == 0 ? read_file(path, &old) : COX_EIO;
	}
	if (rc == COX_OK || rc == COX_ENOTFOUND)
		rc = !change(ctx, cox_buf_str(&old), &text) ? COX_OK
		     : text.n > DOC_BYTES_MAX               ? COX_ELIMIT
		                                            : write_file(s, name, cox_buf_str(&text), &err);
	if (rc != COX_OK && !err.rc)
		cox_err_set(&err, rc, NULL, "%s/%.*s cannot be changed", s->dir, COX_FMT(name));
	if (lock >= 0)
		close(lock);
	answer(s, done, ctx, rc, &err);
	cox_buf_fini(&old);
	cox_buf_fini(&text);
}

static void dir_remove(struct doc_store *base, struct cox_str name)
{
	struct dir_store *s = (struct dir_store *)base;
	char path[PATH_BYTES_MAX];
	if (path_of(s, name, "", path))
		unlink(path);
	on_fs(s, COX_FS_REMOVED, NULL);
}

static void dir_close(struct doc_store *base)
{
	struct dir_store *s = (struct dir_store *)base;
	cox_fswatch_close(&s->watch);
	cox_timer_free(&s->scan);
	cox_timer_free(&s->answer_timer);
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&s->files, e));)
		seen_free(e->value);
	cox_map_fini(&s->files);
	cox_vec_fini(&s->answers);
	cox_free(s->dir);
	cox_free(s);
}

enum cox_rc doc_store_open_dir(struct cox_loop *loop, const char *dir, const struct doc_store_cb *cb, struct doc_store **out,
                               struct cox_err *err)
{
	static const struct doc_store_ops ops = { dir_put, dir_update, dir_remove, dir_close };
	if (mkdir(dir, 0700) != 0 && errno != EEXIST)
		return cox_err_set(err, COX_EIO, NULL, "directory %s cannot be made", dir);
	struct dir_store *s = COX_NEW(struct dir_store);
	s->base = (struct doc_store){ &ops, loop, *cb };
	s->dir = cox_str_dup_cstr(cox_str_of(dir));
	s->scan = cox_timer_new(loop, on_scan, s);
	s->answer_timer = cox_timer_new(loop, on_answers, s);
	enum cox_rc rc = cox_fswatch_open_flat(loop, dir, on_fs, s, &s->watch, err);
	if (rc != COX_OK) {
		dir_close(&s->base);
		return rc;
	}
	cox_timer_start(s->scan, 0, 0);
	*out = &s->base;
	return COX_OK;
}
