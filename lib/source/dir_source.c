#include "source/dir_source.h"

#include "base/map.h"
#include "base/metric.h"
#include "loop/fswatch.h"
#include "loop/timer.h"
#include "source/dir_file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
	DIR_DEPTH_MAX = 8,
	/* An editor that writes a new file in the old one's place is seen half way: the file is gone, or new and not yet whole. A
	 * file that was only written to is read at once. */
	NEW_FILE_MS = 10,
	GONE_FILE_MS = 50,
	EMPTY_FILE_MS = 1000, /* new and empty: somebody is about to write, and will be heard closing it */
};

struct cox_dir_source {
	char *dir;
	struct cox_source_sink sink;
	struct cox_map files;     /* by path: struct cox_dir_file */
	struct cox_map delivered; /* by object id: const struct cox_object, a reference */
	struct cox_fswatch *watch;
	struct cox_loop *loop;
	struct cox_timer *settle;  /* runs while a file is due; one merge for all events of a turn */
	struct cox_map duplicates; /* "id origin" of the documents reported as duplicates: reported once */
	struct cox_arena duplicate_text;
	bool is_stale; /* the directory itself is gone; what it said stays in force */
	struct cox_arena scratch;
};

/* Below the directory: no part of the path may start with a dot, for "..data" and its like hold the same files again. */
static bool is_hidden(const struct cox_dir_source *s, struct cox_str path)
{
	struct cox_str rest = cox_str_sub(path, cox_min_size(strlen(s->dir), path.n), path.n), part;
	while (rest.n > 0 && cox_str_next(&rest, '/', &part))
		if (part.n > 0 && part.p[0] == '.')
			return true;
	return false;
}

static bool is_wanted_file(struct cox_str path)
{
	return cox_str_has_suffix(path, COX_STR(".yaml")) || cox_str_has_suffix(path, COX_STR(".yml")) ||
	       cox_str_has_suffix(path, COX_STR(".json"));
}

static struct cox_dir_file *file_get(struct cox_dir_source *s, struct cox_str path)
{
	struct cox_dir_file *f = cox_map_find(&s->files, path);
	if (!f) {
		f = COX_NEW(struct cox_dir_file);
		f->path = (struct cox_str){ cox_str_dup_cstr(path), path.n };
		cox_map_set(&s->files, f->path, f);
	}
	return f;
}

static void read_file(struct cox_dir_source *s, struct cox_str path)
{
	struct cox_dir_file *f = file_get(s, path);
	f->due_ms = 0;
	cox_dir_file_read(f, &s->sink, &s->scratch);
	if (!f->docs.n && !f->inode) {
		cox_map_remove(&s->files, f->path);
		cox_dir_file_free(f);
	}
}

/* Reads every file below `dir`. */
static enum cox_rc scan(struct cox_dir_source *s, const char *dir, int depth, struct cox_err *err)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	if (!d)
		return cox_err_set(err, errno == ENOENT ? COX_ENOTFOUND : COX_EIO, NULL, "directory %s cannot be read (errno %d)", dir,
		                   errno);
	while ((e = readdir(d))) {
		struct cox_buf path = { 0 };
		struct stat st;
		if (e->d_name[0] == '.')
			continue;
		cox_buf_printf(&path, "%s/%s", dir, e->d_name);
		if (stat(cox_buf_cstr(&path), &st) == 0 && S_ISDIR(st.st_mode)) {
			if (depth < DIR_DEPTH_MAX)
				(void)!scan(s, cox_buf_cstr(&path), depth + 1, NULL); /* one that goes meanwhile is no fault */
		} else if (is_wanted_file(cox_buf_str(&path))) {
			read_file(s, cox_buf_str(&path));
		}
		cox_buf_fini(&path);
	}
	closedir(d);
	return COX_OK;
}

/* --- merging -------------------------------------------------------------------------------------- */

static int cmp_files(const void *a, const void *b)
{
	return cox_str_cmp((*(struct cox_dir_file *const *)a)->path, (*(struct cox_dir_file *const *)b)->path);
}

struct merging {
	struct cox_map now, duplicates;
	struct cox_arena text;
	bool is_settled; /* no file is due: what stands twice is not just being renamed */
};

static void report_duplicate(struct cox_dir_source *s, struct merging *m, const struct cox_object *loser, const struct cox_object *winner)
{
	if (!m->is_settled)
		return;
	struct cox_str key = cox_arena_printf(&m->text, "%.*s %.*s", COX_FMT(loser->id), COX_FMT(loser->origin));
	bool is_known = cox_map_find(&s->duplicates, key) || cox_map_find(&m->duplicates, key);
	cox_map_set(&m->duplicates, key, (void *)loser);
	if (!s->sink.report || is_known)
		return;
	struct cox_diags diags = { .arena = &s->scratch };
	cox_diag_add(&diags, COX_SEV_ERROR, 0, "metadata.name", "the same object stands in %.*s, which is in force",
	             COX_FMT(winner->origin));
	s->sink.report(s->sink.arg, &(struct cox_source_report){ .kind = loser->kind,
	                                                         .ns = loser->meta.ns,
	                                                         .name = loser->meta.name,
	                                                         .origin = loser->origin,
	                                                         .diags = &diags,
	                                                         .has_last_good = true });
}

static void count(const struct cox_object *o, const char *event)
{
	struct cox_str labels[] = { cox_kind_info(o->kind)->name, cox_str_of(event) };
	cox_metric_add_labels(cox_kind_info(o->kind)->ours ? COX_M_K8S_CFG_EVENTS : COX_M_K8S_EVENTS, labels, COX_LEN(labels), 1);
}

/* What all files say together: of one object in several files the first by path. */
static void merge(struct cox_dir_source *s, struct merging *m)
{
	struct cox_dir_file **files = cox_calloc(s->files.n + 1, sizeof(struct cox_dir_file *));
	size_t n = 0;
	m->is_settled = true;
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&s->files, e));) {
		files[n] = e->value;
		m->is_settled &= files[n++]->due_ms == 0;
	}
	qsort(files, n, sizeof(struct cox_dir_file *), cmp_files);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < files[i]->docs.n; k++) {
			const struct cox_object *o = files[i]->docs.p[k].object, *winner = cox_map_find(&m->now, o->id);
			if (winner)
				report_duplicate(s, m, o, winner);
			else
				cox_map_set(&m->now, o->id, (void *)o);
		}
	cox_free(files);
}

static void remove_gone(struct cox_dir_source *s, const struct cox_map *now)
{
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&s->delivered, e));) {
		const struct cox_object *o = e->value;
		if (cox_map_find(now, o->id))
			continue;
		cox_map_remove(&s->delivered, e->key);
		count(o, "delete");
		s->sink.remove(s->sink.arg, o->kind, o->meta.ns, o->meta.name);
		cox_object_unref(o);
	}
}

static int cmp_ids(const void *a, const void *b)
{
	return cox_str_cmp((*(const struct cox_object *const *)a)->id, (*(const struct cox_object *const *)b)->id);
}

/* By id, so that equal directories give equal streams of events. */
static void put_changed(struct cox_dir_source *s, const struct cox_map *now)
{
	const struct cox_object **all = cox_calloc(now->n + 1, sizeof(const struct cox_object *));
	size_t n = 0;
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(now, e));)
		all[n++] = e->value;
	qsort(all, n, sizeof(*all), cmp_ids);
	for (size_t i = 0; i < n; i++) {
		const struct cox_object *o = all[i], *had = cox_map_find(&s->delivered, o->id);
		if (had == o)
			continue;
		bool equal = had && cox_object_eq(had, o);
		cox_map_set(&s->delivered, o->id, (void *)cox_object_ref(o));
		count(o, equal ? "updatesame" : had ? "update" : "add");
		if (!equal)
			s->sink.put(s->sink.arg, o);
		cox_object_unref(had);
	}
	cox_free(all);
}

static void deliver(struct cox_dir_source *s)
{
	struct merging m = { 0 };
	merge(s, &m);
	remove_gone(s, &m.now);
	put_changed(s, &m.now);
	cox_map_fini(&m.now);
	cox_map_fini(&s->duplicates);
	cox_arena_fini(&s->duplicate_text);
	s->duplicates = m.duplicates;
	s->duplicate_text = m.text;
	if (s->sink.flush)
		s->sink.flush(s->sink.arg);
	cox_arena_reset(&s->scratch);
}

/* --- life ------------------------------------------------------------------------------------------- */

/* Starts the timer for the file that is due first. */
static void arm(struct cox_dir_source *s, int64_t now)
{
	int64_t first = INT64_MAX;
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&s->files, e));) {
		const struct cox_dir_file *f = e->value;
		if (f->due_ms > 0 && f->due_ms < first)
			first = f->due_ms;
	}
	if (first != INT64_MAX)
		cox_timer_start(s->settle, first > now ? first - now : 0, 0);
}

static void on_settle(void *arg)
{
	struct cox_dir_source *s = arg;
	int64_t now = cox_loop_now_ms(s->loop);
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&s->files, e));) {
		const struct cox_dir_file *f = e->value;
		if (f->due_ms > 0 && f->due_ms <= now)
			read_file(s, f->path); /* may take this entry out, which the map allows */
	}
	deliver(s);
	arm(s, now);
}

static void file_is_due(struct cox_dir_source *s, struct cox_str path)
{
	struct cox_dir_file *f = file_get(s, path);
	struct stat st;
	int64_t now = cox_loop_now_ms(s->loop);
	bool exists = stat(f->path.p, &st) == 0;
	int64_t wait = !exists ? GONE_FILE_MS : st.st_ino == f->inode ? 0 : st.st_size == 0 ? EMPTY_FILE_MS : NEW_FILE_MS;
	f->due_ms = now + wait;
	f->due_ms += f->due_ms == 0; /* 0 means not at all */
	arm(s, now);
}

static bool is_below(struct cox_str path, const char *dir)
{
	struct cox_str d = cox_str_of(dir);
	return cox_str_has_prefix(path, d) && (path.n == d.n || path.p[d.n] == '/');
}

static void forget_below(struct cox_dir_source *s, const char *dir)
{
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&s->files, e));) {
		struct cox_dir_file *f = e->value;
		struct stat st;
		if (!is_below(f->path, dir) || stat(f->path.p, &st) == 0)
			continue;
		read_file(s, f->path); /* takes the entry out, and back what was said of it */
	}
}

static void set_stale(struct cox_dir_source *s, bool stale)
{
	if (s->is_stale == stale)
		return;
	s->is_stale = stale;
	if (s->sink.stale)
		s->sink.stale(s->sink.arg, stale);
}

/* A directory that came, went, or was swapped as a whole. The directory of the source itself may go and come back:
 * until then all that it said stays in force. */
static void rescan(struct cox_dir_source *s, const char *dir)
{
	struct stat st;
	bool is_there = stat(s->dir, &st) == 0 && S_ISDIR(st.st_mode);
	set_stale(s, !is_there);
	if (!is_there)
		return;
	forget_below(s, dir);
	(void)!scan(s, dir, 0, NULL);
	cox_timer_start(s->settle, 0, 0);
}

static void on_fs(void *arg, enum cox_fs_event event, const char *path)
{
	struct cox_dir_source *s = arg;
	struct cox_str p = cox_str_of(path), base = cox_str_sub(p, (size_t)(cox_str_rfind(p, '/') + 1), p.n);
	if (cox_str_eq(base, COX_STR("..data")))
		rescan(s, s->dir); /* a ConfigMap mount swaps all its files at once */
	else if (event == COX_FS_RESCAN && (cox_str_eq_cstr(p, s->dir) || !is_hidden(s, p)))
		rescan(s, path);
	else if (event != COX_FS_RESCAN && !s->is_stale && is_wanted_file(p) && !is_hidden(s, p))
		file_is_due(s, p);
}

static void source_free(struct cox_dir_source *s)
{
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&s->files, e));)
		cox_dir_file_free(e->value);
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&s->delivered, e));)
		cox_object_unref(e->value);
	cox_map_fini(&s->files);
	cox_map_fini(&s->delivered);
	cox_map_fini(&s->duplicates);
	cox_arena_fini(&s->duplicate_text);
	cox_arena_fini(&s->scratch);
	cox_free(s->dir);
	cox_free(s);
}

static struct cox_dir_source *source_new(const char *dir, const struct cox_source_sink *sink)
{
	struct cox_dir_source *s = COX_NEW(struct cox_dir_source);
	struct cox_str d = cox_str_of(dir);
	while (d.n > 1 && d.p[d.n - 1] == '/')
		d.n--;
	s->dir = cox_str_dup_cstr(d);
	s->sink = *sink;
	return s;
}

static void first_delivery(struct cox_dir_source *s)
{
	deliver(s);
	if (s->sink.synced)
		s->sink.synced(s->sink.arg);
	if (s->sink.flush)
		s->sink.flush(s->sink.arg);
}

enum cox_rc cox_dir_source_open(struct cox_loop *loop, const char *dir, const struct cox_source_sink *sink, struct cox_dir_source **out,
                                struct cox_err *err)
{
	struct cox_dir_source *s = source_new(dir, sink);
	s->loop = loop;
	s->settle = cox_timer_new(loop, on_settle, s);
	/* The watch comes first: what changes while the files are read is read again. */
	enum cox_rc rc = cox_fswatch_open(loop, s->dir, on_fs, s, &s->watch, err);
	if (rc == COX_OK && (rc = scan(s, s->dir, 0, err)) != COX_OK)
		cox_fswatch_close(&s->watch);
	if (rc != COX_OK) {
		cox_timer_free(&s->settle);
		source_free(s);
		return rc;
	}
	first_delivery(s);
	*out = s;
	return COX_OK;
}

void cox_dir_source_close(struct cox_dir_source **source)
{
	struct cox_dir_source *s = *source;
	*source = NULL;
	if (!s)
		return;
	cox_fswatch_close(&s->watch);
	cox_timer_free(&s->settle);
	source_free(s);
}

enum cox_rc cox_dir_load(const char *path, const struct cox_source_sink *sink, struct cox_err *err)
{
	struct cox_dir_source *s = source_new(path, sink);
	struct stat st;
	enum cox_rc rc = COX_OK;
	if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
		read_file(s, cox_str_of(path));
	else
		rc = scan(s, s->dir, 0, err);
	if (rc == COX_OK)
		first_delivery(s);
	source_free(s);
	return rc;
}
