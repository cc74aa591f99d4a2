#include "saved.h"
#include "daemon.h"
#include "env.h"

#include "base/clock.h"
#include "base/log.h"
#include "source/saved.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { WRITE_MS = 10 * 1000 }; /* after a change: what happened in between is lost with a crash, and told by the kube-apiserver */

struct saved {
	struct daemon *d;
	struct cox_source_sink sink;
	char path[4096];
	struct cox_timer *write, *wait;
	struct cox_work_pool *pool;
	bool is_writing, is_dirty;
	struct cox_map loaded; /* ids of what was read and not confirmed yet: owned keys */
	bool is_loading;
};

/* --- writing: on a worker, from references ------------------------------------------------------------------------------- */

struct job {
	struct saved *s;
	COX_VEC(const struct cox_object *) objects;
	struct cox_err err;
};

static void write_run(void *arg)
{
	struct job *j = arg;
	enum cox_rc rc = cox_saved_write(j->s->path, cox_str_of(j->s->d->flags.cluster_id), j->objects.p, j->objects.n, &j->err);
	j->err.rc = rc;
}

static void write_done(void *arg, enum cox_rc rc)
{
	struct job *j = arg;
	struct saved *s = j->s;
	if (rc == COX_OK && j->err.rc != COX_OK)
		cox_log(COX_LOG_ERROR, "source", "objects are not saved: %s", j->err.text);
	for (size_t i = 0; i < j->objects.n; i++)
		cox_object_unref(j->objects.p[i]);
	cox_vec_fini(&j->objects);
	cox_free(j);
	s->is_writing = false;
	if (!s->write) /* stopped meanwhile */
		cox_free(s);
	else if (s->is_dirty && rc == COX_OK)
		cox_timer_start(s->write, WRITE_MS, 0);
}

static void on_write(void *arg)
{
	struct saved *s = arg;
	if (s->is_writing || !s->d->kube_source || !cox_kube_source_is_synced(s->d->kube_source))
		return;
	struct job *j = COX_NEW(struct job);
	j->s = s;
	for (size_t kind = 0; kind < COX_KIND_COUNT; kind++) {
		const struct cox_object *const *objects;
		size_t n = cox_registry_objects(s->d->registry, (enum cox_kind)kind, &objects);
		for (size_t i = 0; i < n; i++)
			if (cox_saved_is_kept(objects[i]))
				cox_vec_push(&j->objects, cox_object_ref(objects[i]));
	}
	s->is_writing = true;
	s->is_dirty = false;
	if (cox_work_submit(s->pool, s->d->loop, write_run, write_done, j) != COX_OK)
		write_done(j, COX_ELIMIT);
}

void saved_on_flush(struct daemon *d)
{
	struct saved *s = d->saved;
	if (!s || s->is_loading)
		return;
	s->is_dirty = true;
	if (!s->is_writing && !cox_timer_is_running(s->write))
		cox_timer_start(s->write, WRITE_MS, 0);
}

/* --- reading --------------------------------------------------------------------------------------------------------------- */

static void on_loaded(void *ctx, const struct cox_object *o)
{
	struct saved *s = ctx;
	char *key = cox_str_dup_cstr(o->id);
	cox_map_set(&s->loaded, (struct cox_str){ key, o->id.n }, key);
	s->sink.put(s->sink.arg, o);
}

/* The server has not said everything by now. */
static void on_wait(void *arg)
{
	struct saved *s = arg;
	struct cox_err err = { 0 };
	size_t n, bad;
	if (cox_kube_source_is_synced(s->d->kube_source))
		return;
	if (cox_kube_client_is_reachable(s->d->kube)) { /* it answers, only slowly */
		cox_timer_start(s->wait, 1000, 0);
		return;
	}
	s->is_loading = true;
	enum cox_rc rc = cox_saved_read(s->path, cox_str_of(s->d->flags.cluster_id), on_loaded, s, &n, &bad, &err);
	if (rc == COX_OK) {
		cox_log(COX_LOG_WARN, "source",
		        "the kube-apiserver does not answer: saved objects are in force file=%s objects=%zu unreadable=%zu", s->path, n,
		        bad);
		s->sink.flush(s->sink.arg);
		s->sink.synced(s->sink.arg);
	} else {
		cox_log(COX_LOG_WARN, "source", "the kube-apiserver does not answer, and there is nothing saved: %s", err.text);
	}
	s->is_loading = false;
}

void saved_on_put(struct daemon *d, const struct cox_object *o)
{
	struct saved *s = d->saved;
	if (s && s->loaded.n && !s->is_loading)
		cox_free(cox_map_remove(&s->loaded, o->id));
}

static void remove_one(struct saved *s, struct cox_str id)
{
	struct cox_str word, ns;
	if (!cox_str_next(&id, '/', &word) || !cox_str_next(&id, '/', &ns))
		return;
	const struct cox_kind_info *info = cox_kind_find_word(word);
	if (info)
		s->sink.remove(s->sink.arg, info->kind, ns, id);
}

/* Everything was listed: what is left of the saved ones is gone. */
void saved_on_synced(struct daemon *d)
{
	struct saved *s = d->saved;
	if (!s || s->is_loading || !s->loaded.n)
		return;
	cox_log(COX_LOG_INFO, "source", "the kube-apiserver has said everything: saved objects that it has no more go count=%zu",
	        s->loaded.n);
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&s->loaded, e));) {
		char *key = e->value;
		struct cox_str id = e->key;
		remove_one(s, id);
		cox_map_remove(&s->loaded, id);
		cox_free(key);
	}
	s->sink.flush(s->sink.arg);
}

/* --- life -------------------------------------------------------------------------------------------------------------------- */

enum cox_rc saved_start(struct daemon *d, const struct cox_source_sink *sink, struct cox_err *err)
{
	const char *dir = d->flags.snapshot_dir ? d->flags.snapshot_dir : env_given(ENV_COXSWAIN_SNAPSHOT_DIR);
	if (!dir || !d->kube)
		return COX_OK;
	if (mkdir(dir, 0700) != 0 && errno != EEXIST)
		return cox_err_set(err, COX_EIO, NULL, "--snapshotDir: %s cannot be made", dir);
	struct saved *s = d->saved = COX_NEW(struct saved);
	s->d = d;
	s->sink = *sink;
	snprintf(s->path, sizeof(s->path), "%s/objects.json", dir);
	s->pool = cox_work_pool_new("save", 1, 2);
	s->write = cox_timer_new(d->loop, on_write, s);
	s->wait = cox_timer_new(d->loop, on_wait, s);
	cox_timer_start(s->wait, env_duration_ms(ENV_COXSWAIN_SNAPSHOT_WAIT), 0);
	return COX_OK;
}

void saved_stop(struct daemon *d)
{
	struct saved *s = d->saved;
	d->saved = NULL;
	if (!s)
		return;
	cox_timer_free(&s->write);
	cox_timer_free(&s->wait);
	cox_work_pool_free(&s->pool); /* waits for a write that runs; its answer runs with the loop's rest */
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&s->loaded, e));)
		cox_free(e->value);
	cox_map_fini(&s->loaded);
	s->is_dirty = false;
	if (!s->is_writing)
		cox_free(s);
}
