#include "mesh_file.h"

#include "base/log.h"
#include "kube/file.h"
#include "loop/timer.h"

enum { LOOK_MS = 1000 };

struct mesh_file {
	struct daemon *d;
	void (*changed)(void *arg);
	struct cox_timer *timer;
	uint64_t stamp;
};

enum cox_rc mesh_file_read(const char *flag, const char *path, struct cox_buf *out, struct cox_err *err)
{
	if (!path)
		return COX_OK;
	enum cox_rc rc = cox_kube_file_read(path, out, err);
	if (rc != COX_OK)
		cox_err_wrap(err, "%s", flag);
	return rc;
}

/* A file that has gone, or is being replaced, changes nothing. */
static void on_look(void *arg)
{
	struct mesh_file *f = arg;
	uint64_t stamp = cox_kube_file_stamp(f->d->flags.mesh_config);
	struct cox_buf text COX_AUTO(cox_buf_fini) = { 0 };
	struct cox_err err = { 0 };
	if (stamp == 0 || stamp == f->stamp)
		return;
	f->stamp = stamp;
	if (mesh_file_read("--meshConfig", f->d->flags.mesh_config, &text, &err) != COX_OK) {
		cox_log(COX_LOG_WARN, "source", "mesh configuration: %s", err.text);
		return;
	}
	cox_log(COX_LOG_INFO, "source", "the mesh configuration's file has changed file=%s", f->d->flags.mesh_config);
	cox_registry_set_mesh_yaml(f->d->registry, cox_buf_str(&text));
	f->changed(f->d);
}

struct mesh_file *mesh_file_watch(struct daemon *d, void (*changed)(void *arg))
{
	if (!d->flags.mesh_config)
		return NULL;
	struct mesh_file *f = COX_NEW(struct mesh_file);
	*f = (struct mesh_file){ d, changed, cox_timer_new(d->loop, on_look, f), cox_kube_file_stamp(d->flags.mesh_config) };
	cox_timer_start(f->timer, LOOK_MS, LOOK_MS);
	return f;
}

void mesh_file_free(struct mesh_file *f)
{
	if (!f)
		return;
	cox_timer_free(&f->timer);
	cox_free(f);
}
