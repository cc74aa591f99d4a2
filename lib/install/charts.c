#include "install/charts.h"

#include "base/file.h"
#include "base/vec.h"
#include "codec/yaml.h"
#include "install/files_priv.h"
#include "template/template.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { FILES_MAX = 2000, FILE_BYTES_MAX = 8 * 1024 * 1024, DIR_DEPTH_MAX = 8 };

struct file {
	const char *path;
	struct cox_str text;
};
struct cox_charts {
	struct cox_arena arena;
	COX_VEC(struct file) files;
};

/* --- where the files come from -------------------------------------------------------------------------------- */

static int by_path(const void *a, const void *b) { return strcmp(((const struct file *)a)->path, ((const struct file *)b)->path); }

static void add(struct cox_charts *c, struct cox_str path, struct cox_str text)
{
	cox_vec_push(&c->files, ((struct file){ cox_arena_printf(&c->arena, "%.*s", COX_FMT(path)).p, text }));
}

static enum cox_rc read_dir(struct cox_charts *c, const char *dir, const char *below, int depth, struct cox_err *err);

static enum cox_rc read_entry(struct cox_charts *c, const char *path, const char *relative, int depth, struct cox_err *err)
{
	struct stat st;
	if (stat(path, &st) != 0)
		return cox_err_set(err, COX_EIO, NULL, "%s cannot be read", path);
	if (S_ISDIR(st.st_mode))
		return read_dir(c, path, relative, depth + 1, err);
	if (!S_ISREG(st.st_mode))
		return COX_OK;
	if (c->files.n >= FILES_MAX)
		return cox_err_set(err, COX_ELIMIT, NULL, "%s: more than %d files", path, FILES_MAX);
	struct cox_buf text COX_AUTO(cox_buf_fini) = { 0 };
	COX_TRY(cox_file_read(path, FILE_BYTES_MAX, &text, err));
	add(c, cox_str_of(relative), cox_arena_str(&c->arena, cox_buf_str(&text)));
	return COX_OK;
}

static enum cox_rc read_dir(struct cox_charts *c, const char *dir, const char *below, int depth, struct cox_err *err)
{
	DIR *d = depth <= DIR_DEPTH_MAX ? opendir(dir) : NULL;
	enum cox_rc rc = COX_OK;
	if (!d)
		return cox_err_set(err, COX_ENOTFOUND, NULL, "%s is no folder that can be read", dir);
	for (struct dirent *e; rc == COX_OK && (e = readdir(d));) {
		if (e->d_name[0] == '.')
			continue;
		struct cox_arena a = { 0 };
		rc = read_entry(c, cox_arena_printf(&a, "%s/%s", dir, e->d_name).p,
		                below[0] ? cox_arena_printf(&a, "%s/%s", below, e->d_name).p : e->d_name, depth, err);
		cox_arena_fini(&a);
	}
	closedir(d);
	return rc;
}

enum cox_rc cox_charts_open(const char *dir, struct cox_charts **out, struct cox_err *err)
{
	struct cox_charts *c = COX_NEW(struct cox_charts);
	enum cox_rc rc = COX_OK;
	if (dir)
		rc = read_dir(c, dir, "", 0, err);
	for (const struct install_text *t = install_texts; !dir && t->path; t++)
		add(c, cox_str_of(t->path), cox_str_of(t->text));
	if (rc == COX_OK && c->files.n == 0)
		rc = cox_err_set(err, COX_ENOTFOUND, NULL, "%s is empty", dir);
	if (rc != COX_OK) {
		cox_charts_close(&c);
		return rc;
	}
	qsort(c->files.p, c->files.n, sizeof(*c->files.p), by_path);
	*out = c;
	return COX_OK;
}

void cox_charts_close(struct cox_charts **c)
{
	if (!*c)
		return;
	cox_vec_fini(&(*c)->files);
	cox_arena_fini(&(*c)->arena);
	cox_free(*c);
	*c = NULL;
}

struct cox_str cox_charts_text(const struct cox_charts *c, const char *path)
{
	const struct file key = { .path = path }, *f = bsearch(&key, c->files.p, c->files.n, sizeof(key), by_path);
	return f ? f->text : (struct cox_str){ 0 };
}

const char *cox_charts_at(const struct cox_charts *c, size_t i, struct cox_str *text)
{
	if (i >= c->files.n)
		return NULL;
	*text = c->files.p[i].text;
	return c->files.p[i].path;
}

/* --- values ------------------------------------------------------------------------------------------------------- */

const struct cox_json *cox_values_overlay(struct cox_arena *arena, const struct cox_json *base, const struct cox_json *over)
{
	if (!over || !base || base->type != COX_JSON_OBJECT || over->type != COX_JSON_OBJECT)
		return over ? over : base;
	struct cox_json *out = cox_json_new_object(arena);
	for (size_t i = 0; i < base->n; i++)
		if (!cox_json_get(over, base->members[i].key))
			cox_json_set(arena, out, base->members[i].key, &base->members[i].value);
	for (size_t i = 0; i < over->n; i++) {
		const struct cox_json *old = cox_json_get(base, over->members[i].key), *v = &over->members[i].value;
		if (v->type == COX_JSON_NULL && old)
			continue;
		cox_json_set(arena, out, over->members[i].key, cox_values_overlay(arena, old, v));
	}
	return out;
}

/* --- .Files --------------------------------------------------------------------------------------------------------- */

struct render {
	const struct cox_charts *charts;
	struct cox_arena *arena;
	struct cox_str prefix; /* "charts/istiod/" */
};

static enum cox_rc files_get(struct cox_template_call *call, const struct cox_template_value *v, struct cox_str name,
                             const struct cox_template_value *args, size_t n, struct cox_template_value *out)
{
	const struct render *r = v->object.p;
	if (n != 1 || args[0].kind != COX_TEMPLATE_STRING)
		return cox_template_fail(call, ".Files.%.*s takes one text", COX_FMT(name));
	struct cox_str path = cox_arena_printf(call->arena, "%.*s%.*s", COX_FMT(r->prefix), COX_FMT(args[0].text));
	if (cox_str_eq_cstr(name, "Get")) {
		*out = cox_template_str(cox_charts_text(r->charts, path.p));
		return COX_OK;
	}
	if (!cox_str_eq_cstr(name, "Glob"))
		return COX_ENOTFOUND;
	*out = cox_template_map_new(call->arena, false);
	for (size_t i = 0; i < r->charts->files.n; i++) {
		const struct file *f = &r->charts->files.p[i];
		if (fnmatch(path.p, f->path, FNM_PATHNAME) == 0)
			cox_template_map_set(call->arena, out, cox_str_sub(cox_str_of(f->path), r->prefix.n, SIZE_MAX),
			                     cox_template_str(f->text));
	}
	return COX_OK;
}
static const struct cox_template_type files_type = { .name = "engine.files", .get = files_get };

/* --- rendering ------------------------------------------------------------------------------------------------------- */

static void put(struct cox_arena *a, struct cox_template_value *map, const char *key, struct cox_template_value v)
{
	cox_template_map_set(a, map, cox_str_of(key), v);
}

static enum cox_rc parse_one(const struct render *r, const char *name, struct cox_json **out, struct cox_err *err)
{
	struct cox_str path = cox_arena_printf(r->arena, "%.*s%s", COX_FMT(r->prefix), name), text = cox_charts_text(r->charts, path.p);
	*out = NULL;
	enum cox_rc rc = cox_yaml_one(r->arena, text, FILE_BYTES_MAX, out, NULL, err);
	if (rc != COX_OK)
		cox_err_wrap(err, "%s", path.p);
	if (rc == COX_OK && !*out)
		*out = cox_json_new_object(r->arena);
	return rc;
}

/* What a template sees as `.`. */
static enum cox_rc make_dot(const struct render *r, const struct cox_chart_release *release, struct cox_template_value *dot,
                            struct cox_err *err)
{
	struct cox_arena *a = r->arena;
	struct cox_json *chart, *defaults;
	COX_TRY(parse_one(r, "Chart.yaml", &chart, err));
	COX_TRY(parse_one(r, "values.yaml", &defaults, err));
	static const struct {
		const char *from, *to;
	} names[] = { { "name", "Name" }, { "version", "Version" }, { "appVersion", "AppVersion" }, { "description", "Description" } };
	struct cox_template_value about = cox_template_map_new(a, false), rel = cox_template_map_new(a, false),
	                          files = { .kind = COX_TEMPLATE_OBJECT, .type = &files_type, .object = { .p = r } };
	for (size_t i = 0; i < COX_LEN(names); i++)
		put(a, &about, names[i].to, cox_template_str(cox_json_str_at(chart, names[i].from)));
	put(a, &rel, "Name", cox_template_str(release->name));
	put(a, &rel, "Namespace", cox_template_str(release->ns));
	put(a, &rel, "Service", cox_template_str(COX_STR("Helm")));
	put(a, &rel, "IsInstall", cox_template_bool(true));
	put(a, &rel, "IsUpgrade", cox_template_bool(false));
	put(a, &rel, "Revision", cox_template_int(1));
	*dot = cox_template_map_new(a, false);
	put(a, dot, "Values", cox_template_of_json(a, cox_values_overlay(a, defaults, release->values)));
	put(a, dot, "Release", rel);
	put(a, dot, "Chart", about);
	put(a, dot, "Files", files);
	return COX_OK;
}

/* "charts/istiod/templates/x.yaml" -> "istiod/templates/x.yaml"; NULL: no template of this chart. */
static const char *template_name(const struct render *r, const char *path)
{
	struct cox_str p = cox_str_of(path), rest = cox_str_sub(p, r->prefix.n, SIZE_MAX);
	return cox_str_has_prefix(p, r->prefix) && cox_str_has_prefix(rest, COX_STR("templates/")) ? path + sizeof("charts/") - 1 : NULL;
}

struct reading {
	struct cox_arena *arena;
	struct cox_json *objects;
	struct cox_err *err;
	enum cox_rc rc;
};

static void on_document(void *arg, struct cox_json *root, struct cox_str text, const struct cox_err *err)
{
	struct reading *r = arg;
	(void)text;
	if (r->rc != COX_OK)
		return;
	if (!root)
		r->rc = cox_err_set(r->err, COX_EINVAL, NULL, "%s (line %d of what it gives)", err->text, err->line);
	else if (root->type == COX_JSON_OBJECT && root->n > 0)
		cox_json_push(r->arena, r->objects, root);
}

static enum cox_rc run_template(const struct render *r, const struct cox_template_set *set, struct cox_template_value *dot,
                                const char *name, struct cox_json *objects, struct cox_err *err)
{
	struct cox_buf text COX_AUTO(cox_buf_fini) = { 0 };
	struct cox_template_value about = cox_template_map_new(r->arena, false);
	struct reading reading = { r->arena, objects, err, COX_OK };
	put(r->arena, &about, "Name", cox_template_str(cox_str_of(name)));
	put(r->arena, dot, "Template", about);
	COX_TRY(
	    cox_template_run(&(struct cox_template_run_spec){ .set = set, .name = cox_str_of(name), .dot = dot }, r->arena, &text, err));
	struct cox_str kept = cox_arena_str(r->arena, cox_buf_str(&text));
	enum cox_rc rc = cox_yaml_each(r->arena, kept, COX_JSON_BYTES_MAX, on_document, &reading, err);
	if (rc == COX_OK)
		rc = reading.rc;
	if (rc != COX_OK)
		cox_err_wrap(err, "%s", name);
	return rc;
}

static enum cox_rc render_all(const struct render *r, struct cox_template_set *set, struct cox_template_value *dot,
                              struct cox_json *objects, struct cox_err *err)
{
	for (size_t i = 0; i < r->charts->files.n; i++) {
		const char *name = template_name(r, r->charts->files.p[i].path);
		if (name)
			COX_TRY(cox_template_set_add(set, cox_str_of(name), r->charts->files.p[i].text, err));
	}
	for (size_t i = 0; i < r->charts->files.n; i++) {
		const char *name = template_name(r, r->charts->files.p[i].path), *base = name ? strrchr(name, '/') + 1 : NULL;
		if (base && base[0] != '_' && strcmp(base, "NOTES.txt") != 0)
			COX_TRY(run_template(r, set, dot, name, objects, err));
	}
	return COX_OK;
}

int cox_chart_kind_rank(struct cox_str kind)
{
	/* Helm's order: what others need comes first. */
	static const char *const order[] = { "PriorityClass",
		                             "Namespace",
		                             "NetworkPolicy",
		                             "ResourceQuota",
		                             "LimitRange",
		                             "PodDisruptionBudget",
		                             "ServiceAccount",
		                             "Secret",
		                             "ConfigMap",
		                             "CustomResourceDefinition",
		                             "ClusterRole",
		                             "ClusterRoleBinding",
		                             "Role",
		                             "RoleBinding",
		                             "Service",
		                             "EndpointSlice",
		                             "DaemonSet",
		                             "Pod",
		                             "ReplicaSet",
		                             "Deployment",
		                             "HorizontalPodAutoscaler",
		                             "StatefulSet",
		                             "MutatingWebhookConfiguration",
		                             "ValidatingWebhookConfiguration" };
	for (size_t i = 0; i < COX_LEN(order); i++)
		if (cox_str_eq_cstr(kind, order[i]))
			return (int)i;
	return COX_LEN(order);
}

static int by_rank(const void *a, const void *b)
{
	const struct cox_json *const *x = a, *const *y = b;
	int d = cox_chart_kind_rank(cox_json_str_at(*x, "kind")) - cox_chart_kind_rank(cox_json_str_at(*y, "kind"));
	return d ? d : *x < *y ? -1 : *x > *y; /* stable: both stand in one array */
}

enum cox_rc cox_chart_render(const struct cox_charts *c, const struct cox_chart_release *release, struct cox_arena *arena,
                             struct cox_json **out, struct cox_err *err)
{
	struct render r = { c, arena, cox_arena_printf(arena, "charts/%.*s/", COX_FMT(release->chart)) };
	struct cox_json *objects = cox_json_new_array(arena), *sorted = cox_json_new_array(arena);
	struct cox_template_value dot;
	if (cox_charts_text(c, cox_arena_printf(arena, "%.*sChart.yaml", COX_FMT(r.prefix)).p).n == 0)
		return cox_err_set(err, COX_ENOTFOUND, NULL, "there is no chart %.*s", COX_FMT(release->chart));
	COX_TRY(make_dot(&r, release, &dot, err));
	struct cox_template_set *set = cox_template_set_new(COX_TEMPLATE_HELM, NULL, 0);
	enum cox_rc rc = render_all(&r, set, &dot, objects, err);
	cox_template_set_free(&set);
	COX_TRY(rc);
	const struct cox_json **order = cox_arena_alloc(arena, sizeof(*order) * (objects->n + 1));
	for (size_t i = 0; i < objects->n; i++)
		order[i] = &objects->items[i];
	qsort(order, objects->n, sizeof(*order), by_rank);
	for (size_t i = 0; i < objects->n; i++)
		cox_json_push(arena, sorted, order[i]);
	*out = sorted;
	return COX_OK;
}
