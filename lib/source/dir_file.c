#include "source/dir_file.h"

#include "codec/yaml.h"
#include "source/dir_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

void cox_dir_file_free(struct cox_dir_file *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->docs.n; i++)
		cox_object_unref(f->docs.p[i].object);
	cox_vec_fini(&f->docs);
	cox_free((void *)f->path.p);
	cox_free(f);
}

struct reading {
	struct cox_dir_file *file;
	const struct cox_source_sink *sink;
	struct cox_arena *arena;
	COX_VEC(struct cox_dir_doc) docs;
	bool has_unreadable; /* a document whose object could not even be named */
};

static void report(struct reading *r, const struct cox_json *doc, const struct cox_diags *diags, int line, bool has_last_good)
{
	const struct cox_kind_info *info = doc ? cox_kind_find(cox_json_str_at(doc, "apiVersion"), cox_json_str_at(doc, "kind")) : NULL;
	struct cox_source_report rep = {
		.kind = info ? info->kind : COX_KIND_COUNT,
		.ns = doc ? cox_json_str_at(doc, "metadata.namespace") : COX_STR(""),
		.name = doc ? cox_json_str_at(doc, "metadata.name") : COX_STR(""),
		.origin = cox_arena_printf(r->arena, "%.*s:%d", COX_FMT(r->file->path), line),
		.diags = diags,
		.has_last_good = has_last_good,
	};
	if (r->sink->report)
		r->sink->report(r->sink->arg, &rep);
}

/* The version of this object that the file had before, by kind, namespace and name. */
static const struct cox_object *last_good(struct reading *r, const struct cox_json *doc)
{
	const struct cox_kind_info *info = cox_kind_find(cox_json_str_at(doc, "apiVersion"), cox_json_str_at(doc, "kind"));
	struct cox_str ns = cox_json_str_at(doc, "metadata.namespace"), name = cox_json_str_at(doc, "metadata.name");
	if (!info || !name.n)
		return NULL;
	if (info->namespaced && !ns.n)
		ns = COX_STR("default");
	for (size_t i = 0; i < r->file->docs.n; i++) {
		const struct cox_object *o = r->file->docs.p[i].object;
		if (o && o->kind == info->kind && cox_str_eq(o->meta.name, name) && cox_str_eq(o->meta.ns, ns))
			return o;
	}
	return NULL;
}

static void add_doc(struct reading *r, const struct cox_object *take) { cox_vec_push(&r->docs, (struct cox_dir_doc){ take }); }

static void take_object(struct reading *r, const struct cox_json *doc)
{
	struct cox_diags diags = { .arena = r->arena };
	const struct cox_object *o = NULL;
	struct cox_str origin = cox_arena_printf(r->arena, "%.*s:%d", COX_FMT(r->file->path), doc->line);
	enum cox_rc rc = cox_object_build(doc, origin, COX_STR("default"), r->arena, &diags, &o);
	if (rc == COX_ENOTFOUND)
		return; /* a kind that is not ours: Deployments stand in the same files */
	if (rc == COX_OK) {
		if (diags.n)
			report(r, doc, &diags, doc->line, false);
		add_doc(r, o);
		return;
	}
	const struct cox_object *good = last_good(r, doc);
	report(r, doc, &diags, doc->line, good != NULL);
	if (good)
		add_doc(r, cox_object_ref(good));
	else if (cox_json_str_at(doc, "metadata.name").n == 0)
		r->has_unreadable = true;
}

static void on_doc(void *arg, struct cox_json *root, struct cox_str text, const struct cox_err *err)
{
	struct reading *r = arg;
	(void)text;
	if (!root) {
		struct cox_diags diags = { .arena = r->arena };
		cox_diag_add(&diags, COX_SEV_ERROR, err->line, err->path, "%s", err->text);
		report(r, NULL, &diags, err->line, r->file->docs.n > 0);
		r->has_unreadable = true;
		return;
	}
	const struct cox_json *items = cox_json_get(root, COX_STR("items"));
	if (cox_str_has_suffix(cox_json_str_at(root, "kind"), COX_STR("List")) && items && items->type == COX_JSON_ARRAY)
		for (size_t i = 0; i < items->n; i++)
			take_object(r, &items->items[i]);
	else
		take_object(r, root);
}

static bool has_object(const struct reading *r, const struct cox_object *o)
{
	for (size_t i = 0; i < r->docs.n; i++)
		if (cox_str_eq(r->docs.p[i].object->id, o->id))
			return true;
	return false;
}

/* Which object a document was that cannot be read nobody can tell: until it can, nothing that the file had goes away. */
static void keep_missing(struct reading *r)
{
	for (size_t i = 0; i < r->file->docs.n && r->has_unreadable; i++)
		if (!has_object(r, r->file->docs.p[i].object))
			add_doc(r, cox_object_ref(r->file->docs.p[i].object));
}

static enum cox_rc read_whole(const char *path, struct cox_buf *out, uint64_t *inode, struct cox_err *err)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hold us up */
	*inode = 0;
	if (fd < 0)
		return cox_err_set(err, errno == ENOENT ? COX_ENOTFOUND : COX_EIO, NULL, "cannot be opened (errno %d)", errno);
	enum cox_rc rc = COX_OK;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		rc = cox_err_set(err, COX_EINVAL, NULL, "not a regular file");
	*inode = rc == COX_OK ? st.st_ino : 0;
	if (rc == COX_OK && st.st_size > COX_DIR_FILE_BYTES_MAX)
		rc = cox_err_set(err, COX_ELIMIT, NULL, "%lld bytes; a file may have %d", (long long)st.st_size, COX_DIR_FILE_BYTES_MAX);
	while (rc == COX_OK && out->n <= COX_DIR_FILE_BYTES_MAX) {
		char *at = cox_buf_reserve(out, 64 * 1024);
		ssize_t n = read(fd, at, 64 * 1024);
		if (n == 0)
			break;
		if (n < 0 && errno != EINTR)
			rc = cox_err_set(err, COX_EIO, NULL, "cannot be read (errno %d)", errno);
		else if (n > 0)
			out->n += (size_t)n;
	}
	close(fd);
	return rc;
}

static void replace_docs(struct reading *r)
{
	for (size_t i = 0; i < r->file->docs.n; i++)
		cox_object_unref(r->file->docs.p[i].object);
	cox_vec_fini(&r->file->docs);
	r->file->docs.p = r->docs.p;
	r->file->docs.n = r->docs.n;
	r->file->docs.cap = r->docs.cap;
}

void cox_dir_file_read(struct cox_dir_file *f, const struct cox_source_sink *sink, struct cox_arena *scratch)
{
	struct reading r = { .file = f, .sink = sink, .arena = scratch };
	struct cox_buf text = { 0 };
	struct cox_err err = { 0 };
	enum cox_rc rc = read_whole(f->path.p, &text, &f->inode, &err);
	if (rc == COX_OK)
		rc = cox_yaml_each(scratch, cox_buf_str(&text), COX_DIR_FILE_BYTES_MAX, on_doc, &r, &err);
	if (rc == COX_OK || rc == COX_ENOTFOUND) {
		keep_missing(&r);
		replace_docs(&r);
	} else {
		/* The file as a whole cannot be used: all that it had stays. */
		struct cox_diags diags = { .arena = scratch };
		cox_diag_add(&diags, COX_SEV_ERROR, 0, "", "%s", err.text);
		report(&r, NULL, &diags, 0, f->docs.n > 0);
		for (size_t i = 0; i < r.docs.n; i++)
			cox_object_unref(r.docs.p[i].object);
		cox_vec_fini(&r.docs);
	}
	cox_buf_fini(&text);
	cox_arena_reset(scratch);
}
