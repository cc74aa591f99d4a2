#include "source/dir_file.h"

#include "codec/yaml.h"
#include "source/dir_guess.h"
#include "source/dir_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static void reported_free(struct cox_map *m)
{
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(m, e));)
		cox_free(e->value);
	cox_map_fini(m);
}

void cox_dir_file_free(struct cox_dir_file *f)
{
	if (!f)
		return;
	reported_free(&f->reported);
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
	struct cox_map reported; /* as in the file, of this reading */
	bool has_unreadable;     /* a document whose object could not even be named */
};

/* Who the document is, as far as it says so. */
static struct cox_dir_guess identity(const struct cox_json *doc)
{
	return (struct cox_dir_guess){ cox_json_str_at(doc, "apiVersion"), cox_json_str_at(doc, "kind"),
		                       cox_json_str_at(doc, "metadata.namespace"), cox_json_str_at(doc, "metadata.name") };
}

static void send(struct reading *r, struct cox_source_report rep, int line, const struct cox_diags *diags)
{
	rep.origin = cox_arena_printf(r->arena, "%.*s:%d", COX_FMT(r->file->path), line);
	rep.diags = diags;
	if (r->sink->report)
		r->sink->report(r->sink->arg, &rep);
}

static void report(struct reading *r, struct cox_dir_guess who, const struct cox_diags *diags, int line, bool has_last_good)
{
	const struct cox_kind_info *info = cox_kind_find(who.api_version, who.kind);
	enum cox_kind kind = info ? info->kind : COX_KIND_COUNT;
	struct cox_str key = cox_arena_printf(r->arena, "%d/%.*s/%.*s", (int)kind, COX_FMT(who.ns), COX_FMT(who.name));
	if (!cox_map_find(&r->reported, key)) {
		char *own = cox_str_dup_cstr(key);
		cox_map_set(&r->reported, (struct cox_str){ own, key.n }, own);
	}
	send(r, (struct cox_source_report){ .kind = kind, .ns = who.ns, .name = who.name, .has_last_good = has_last_good }, line, diags);
}

/* What was reported and no longer is goes out once more, empty. */
static void take_back(struct reading *r)
{
	const struct cox_diags none = { .arena = r->arena };
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&r->file->reported, e));) {
		struct cox_str rest = e->key, part;
		int64_t kind = COX_KIND_COUNT;
		if (cox_map_find(&r->reported, e->key) || !cox_str_next(&rest, '/', &part) || cox_str_to_i64(part, &kind) != COX_OK)
			continue;
		(void)cox_str_next(&rest, '/', &part);
		send(r, (struct cox_source_report){ .kind = (enum cox_kind)kind, .ns = part, .name = rest }, 0, &none);
	}
	reported_free(&r->file->reported);
	r->file->reported = r->reported;
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
			report(r, identity(doc), &diags, doc->line, false);
		add_doc(r, o);
		return;
	}
	const struct cox_object *good = last_good(r, doc);
	report(r, identity(doc), &diags, doc->line, good != NULL);
	if (good)
		add_doc(r, cox_object_ref(good));
	else if (cox_json_str_at(doc, "metadata.name").n == 0)
		r->has_unreadable = true;
}

static void on_doc(void *arg, struct cox_json *root, struct cox_str text, const struct cox_err *err)
{
	struct reading *r = arg;
	if (!root) {
		struct cox_diags diags = { .arena = r->arena };
		cox_diag_add(&diags, COX_SEV_ERROR, err->line, err->path, "%s", err->text);
		report(r, cox_dir_guess_object(text), &diags, err->line, r->file->docs.n > 0);
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

/* What was wrong in it still is, as far as anybody knows. */
static void keep_reported(struct reading *r)
{
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&r->file->reported, e));)
		if (!cox_map_find(&r->reported, e->key)) {
			char *own = cox_str_dup_cstr(e->key);
			cox_map_set(&r->reported, (struct cox_str){ own, e->key.n }, own);
		}
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
		report(&r, (struct cox_dir_guess){ 0 }, &diags, 0, f->docs.n > 0);
		keep_reported(&r);
		for (size_t i = 0; i < r.docs.n; i++)
			cox_object_unref(r.docs.p[i].object);
		cox_vec_fini(&r.docs);
	}
	take_back(&r);
	cox_buf_fini(&text);
	cox_arena_reset(scratch);
}
