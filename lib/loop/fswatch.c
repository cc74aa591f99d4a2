#include "loop/fswatch.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/vec.h"
#include "loop/loop_uv.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	DEPTH_MAX = 32, /* of directories: a guard against bind-mount loops */
	TREE_MASK = IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR,
	/* While the directory itself is missing its nearest existing parent is watched. */
	PARENT_MASK = IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR,
};

struct node {
	int wd;
	char *path;
};

struct cox_fswatch {
	uv_poll_t poll; /* first: cast from the handle */
	struct cox_loop *loop;
	int fd;
	char *dir;
	cox_fswatch_fn *fn;
	void *ctx;
	COX_VEC(struct node) nodes; /* watched directories of the tree */
	int parent_wd;              /* -1: the directory exists */
	bool is_flat;
	bool is_closed;
};

static struct node *node_find(struct cox_fswatch *w, int wd)
{
	for (size_t i = 0; i < w->nodes.n; i++)
		if (w->nodes.p[i].wd == wd)
			return &w->nodes.p[i];
	return NULL;
}

static void node_remove_at(struct cox_fswatch *w, size_t i)
{
	cox_free(w->nodes.p[i].path);
	cox_vec_remove(&w->nodes, i);
}

/* Adds `path` and what is below. Returns 0 or an errno about `path` itself. */
static int tree_add(struct cox_fswatch *w, const char *path, int depth)
{
	int wd = inotify_add_watch(w->fd, path, TREE_MASK);
	if (wd < 0)
		return errno;
	struct node *known = node_find(w, wd);
	if (known) { /* the same directory under a new name */
		cox_free(known->path);
		known->path = cox_str_dup_cstr(cox_str_of(path));
	} else {
		cox_vec_push(&w->nodes, ((struct node){ wd, cox_str_dup_cstr(cox_str_of(path)) }));
	}
	DIR *d = !w->is_flat && depth < DEPTH_MAX ? opendir(path) : NULL;
	if (!d)
		return 0;
	struct cox_buf child = { 0 };
	for (struct dirent *e; (e = readdir(d));) {
		struct stat st;
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		cox_buf_clear(&child);
		cox_buf_printf(&child, "%s/%s", path, e->d_name);
		if (e->d_type != DT_DIR && (e->d_type != DT_UNKNOWN || lstat(cox_buf_cstr(&child), &st) != 0 || !S_ISDIR(st.st_mode)))
			continue;
		int error = tree_add(w, cox_buf_cstr(&child), depth + 1);
		if (error != 0 && error != ENOENT && error != ENOTDIR)
			cox_log(COX_LOG_WARN, "fswatch", "a directory cannot be watched dir=%s errno=%d", cox_buf_cstr(&child), error);
	}
	cox_buf_fini(&child);
	closedir(d);
	return 0;
}

/* Forgets `path` and everything below it. */
static void tree_remove(struct cox_fswatch *w, const char *path)
{
	size_t n = strlen(path);
	for (size_t i = w->nodes.n; i-- > 0;) {
		const char *p = w->nodes.p[i].path;
		if (strncmp(p, path, n) == 0 && (p[n] == '/' || p[n] == 0)) {
			inotify_rm_watch(w->fd, w->nodes.p[i].wd);
			node_remove_at(w, i);
		}
	}
}

static void parent_forget(struct cox_fswatch *w)
{
	if (w->parent_wd >= 0)
		inotify_rm_watch(w->fd, w->parent_wd);
	w->parent_wd = -1;
}

/* Watches the tree, or the nearest parent that exists. True when the tree itself is watched. */
static bool attach(struct cox_fswatch *w, int *error)
{
	for (int tries = 0; tries < 100; tries++) {
		*error = tree_add(w, w->dir, 0);
		if (*error == 0) {
			parent_forget(w);
			return true;
		}
		if (*error == ENOSPC || *error == EMFILE)
			return false;
		struct cox_str up = cox_str_of(w->dir);
		int wd = -1;
		while (wd < 0 && up.n > 0) {
			ptrdiff_t slash = cox_str_rfind(up, '/');
			char path[PATH_MAX];
			up = slash < 0 ? (struct cox_str){ 0 } : cox_str_sub(up, 0, (size_t)slash);
			cox_str_to_cstr(up.n ? up : slash < 0 ? COX_STR(".") : COX_STR("/"), path, sizeof(path));
			wd = inotify_add_watch(w->fd, path, PARENT_MASK);
		}
		bool is_stable = wd == w->parent_wd;
		if (!is_stable)
			parent_forget(w);
		w->parent_wd = wd;
		/* Only when nothing moved between the two looks is the parent's watch sure to tell of the next step. */
		if (is_stable)
			return false;
	}
	return false;
}

static void emit(struct cox_fswatch *w, enum cox_fs_event event, const char *path)
{
	if (!w->is_closed)
		w->fn(w->ctx, event, path);
}

static void restart(struct cox_fswatch *w)
{
	int error;
	tree_remove(w, w->dir);
	attach(w, &error);
	emit(w, COX_FS_RESCAN, w->dir);
}

static void on_dir_event(struct cox_fswatch *w, uint32_t mask, const char *path)
{
	if (w->is_flat)
		; /* its name came or went: that is all one wants to know */
	else if (mask & (IN_CREATE | IN_MOVED_TO))
		tree_add(w, path, 0);
	else
		tree_remove(w, path);
	emit(w, COX_FS_RESCAN, path);
}

static void on_event(struct cox_fswatch *w, const struct inotify_event *e)
{
	if (e->mask & IN_Q_OVERFLOW) {
		restart(w);
		return;
	}
	if (e->wd == w->parent_wd) {
		int error;
		if (e->mask & IN_IGNORED)
			w->parent_wd = -1;
		if (attach(w, &error))
			emit(w, COX_FS_RESCAN, w->dir);
		return;
	}
	struct node *node = node_find(w, e->wd);
	if (!node)
		return;
	if (e->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT)) {
		if (!strcmp(node->path, w->dir))
			restart(w);
		else if (e->mask & IN_IGNORED)
			node_remove_at(w, (size_t)(node - w->nodes.p));
		return;
	}
	struct cox_buf path = { 0 };
	cox_buf_printf(&path, "%s/%s", node->path, e->len ? e->name : "");
	if (e->mask & IN_ISDIR)
		on_dir_event(w, e->mask, cox_buf_cstr(&path));
	else
		emit(w, e->mask & (IN_DELETE | IN_MOVED_FROM) ? COX_FS_REMOVED : COX_FS_CHANGED, cox_buf_cstr(&path));
	cox_buf_fini(&path);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct cox_fswatch *w = (struct cox_fswatch *)poll;
	char buf[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
	(void)events;
	ssize_t n;
	while (status == 0 && !w->is_closed && (n = read(w->fd, buf, sizeof(buf))) > 0)
		for (char *p = buf; p < buf + n && !w->is_closed;) {
			const struct inotify_event *e = (const struct inotify_event *)p;
			on_event(w, e);
			p += sizeof(*e) + e->len;
		}
}

static void on_closed(uv_handle_t *h)
{
	struct cox_fswatch *w = (struct cox_fswatch *)h;
	close(w->fd);
	while (w->nodes.n > 0)
		node_remove_at(w, w->nodes.n - 1);
	cox_vec_fini(&w->nodes);
	cox_free(w->dir);
	cox_free(w);
}

static enum cox_rc open_watch(struct cox_loop *loop, bool is_flat, const char *dir, cox_fswatch_fn *fn, void *ctx, struct cox_fswatch **out,
                              struct cox_err *err)
{
	cox_loop_assert_here(loop);
	struct cox_str name = cox_str_of(dir);
	while (name.n > 1 && name.p[name.n - 1] == '/')
		name.n--;
	if (name.n == 0 || name.n >= PATH_MAX - NAME_MAX)
		return cox_err_set(err, COX_EINVAL, NULL, "not a directory name: \"%s\"", dir);
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (fd < 0)
		return cox_err_set(err, COX_ELIMIT, NULL, "no inotify instance is left (fs.inotify.max_user_instances)");
	struct cox_fswatch *w = COX_NEW(struct cox_fswatch);
	w->loop = loop;
	w->fd = fd;
	w->fn = fn;
	w->ctx = ctx;
	w->parent_wd = -1;
	w->is_flat = is_flat;
	w->dir = cox_str_dup_cstr(name);
	COX_ASSERT(uv_poll_init(cox_loop_uv(loop), &w->poll, fd) == 0);
	int error = 0;
	if (!attach(w, &error) && w->parent_wd < 0) {
		cox_fswatch_close(&w);
		return cox_err_set(err, error == ENOSPC ? COX_ELIMIT : COX_EIO, NULL, "cannot watch %s (errno %d)", dir, error);
	}
	uv_poll_start(&w->poll, UV_READABLE, on_readable);
	*out = w;
	return COX_OK;
}

enum cox_rc cox_fswatch_open(struct cox_loop *loop, const char *dir, cox_fswatch_fn *fn, void *ctx, struct cox_fswatch **out,
                             struct cox_err *err)
{
	return open_watch(loop, false, dir, fn, ctx, out, err);
}

enum cox_rc cox_fswatch_open_flat(struct cox_loop *loop, const char *dir, cox_fswatch_fn *fn, void *ctx, struct cox_fswatch **out,
                                  struct cox_err *err)
{
	return open_watch(loop, true, dir, fn, ctx, out, err);
}

void cox_fswatch_close(struct cox_fswatch **wp)
{
	struct cox_fswatch *w = *wp;
	*wp = NULL;
	if (!w)
		return;
	cox_loop_assert_here(w->loop);
	w->is_closed = true;
	uv_close((uv_handle_t *)&w->poll, on_closed);
}
