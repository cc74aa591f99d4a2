#include "tool/validate.h"

#include "base/file.h"
#include "base/vec.h"
#include "codec/yaml.h"
#include "model/protocol.h"
#include "validate/report.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { FILE_BYTES_MAX = 64 * 1024 * 1024, DEPTH_MAX = 32 };

struct validating {
	const struct cox_validate_options *o;
	struct cox_arena *arena;
	const char *file;
	struct cox_json *files, *findings; /* findings: of `file` */
	size_t errors;                     /* of all files */
};

static void set_text(struct cox_arena *a, struct cox_json *to, const char *key, struct cox_str s)
{
	if (s.n)
		cox_json_set(a, to, cox_str_of(key), cox_json_new_str(a, s));
}

static void finding_add(struct validating *v, const struct cox_report_about *about, const struct cox_diag *d)
{
	struct cox_json *f = cox_json_new_object(v->arena);
	bool is_error = d->severity == COX_SEV_ERROR;
	set_text(v->arena, f, "severity", is_error ? COX_STR("error") : COX_STR("warning"));
	set_text(v->arena, f, "kind", about->kind);
	set_text(v->arena, f, "namespace", about->ns);
	set_text(v->arena, f, "name", about->name);
	set_text(v->arena, f, "path", d->path);
	if (d->line)
		cox_json_set(v->arena, f, COX_STR("line"), cox_json_new_i64(v->arena, d->line));
	set_text(v->arena, f, "message", d->text);
	cox_json_push(v->arena, v->findings, f);
	v->errors += is_error;
}

static void findings_add(struct validating *v, const struct cox_json *doc, const struct cox_diags *diags)
{
	struct cox_report_about about = cox_report_about(doc, (struct cox_str){ 0 });
	for (int severity = COX_SEV_ERROR; severity <= COX_SEV_WARNING; severity++)
		for (size_t i = 0; i < diags->n; i++) {
			struct cox_diag d = diags->items[i];
			d.severity = d.is_unknown_field ? COX_SEV_ERROR : d.severity;
			if ((int)d.severity == severity)
				finding_add(v, &about, &d);
		}
	if (diags->dropped) {
		struct cox_diag more = { .severity = COX_SEV_ERROR,
			                 .text = cox_arena_printf(v->arena, "%zu more findings", diags->dropped) };
		finding_add(v, &about, &more);
	}
}

/* --- Services and Deployments ------------------------------------------------------------------------ */

static struct cox_str or_default(struct cox_str s, const char *fallback) { return s.n ? s : cox_str_of(fallback); }

static bool is_protocol(struct cox_str app_protocol, struct cox_str name)
{
	return cox_protocol_of_kube_port((struct cox_str){ 0 }, app_protocol, name, 0) != COX_PROTO_AUTO;
}

static void service_check(const struct cox_json *doc, struct cox_diags *d)
{
	const struct cox_json *ports = cox_json_at(doc, "spec.ports");
	for (size_t i = 0; ports && ports->type == COX_JSON_ARRAY && i < ports->n; i++) {
		const struct cox_json *p = &ports->items[i];
		struct cox_str name = cox_json_str_at(p, "name"), app = cox_json_str_at(p, "appProtocol");
		struct cox_str path = cox_arena_printf(d->arena, "spec.ports[%zu]", i);
		if (cox_str_eq_nocase(cox_json_str_at(p, "protocol"), COX_STR("UDP")))
			continue;
		if (app.n) {
			if (!is_protocol(app, (struct cox_str){ 0 }))
				cox_diag_add(d, COX_SEV_ERROR, p->line, path.p, "appProtocol \"%.*s\" is none that the mesh knows",
				             COX_FMT(app));
		} else if (!name.n) {
			cox_diag_add(d, COX_SEV_ERROR, p->line, path.p, "the port has no name: name it after its protocol, as in http-web");
		} else if (!is_protocol((struct cox_str){ 0 }, name)) {
			cox_diag_add(d, COX_SEV_ERROR, p->line, path.p,
			             "the name \"%.*s\" does not begin with a protocol (http, grpc, tcp, ...), and there is no appProtocol",
			             COX_FMT(name));
		}
	}
}

static bool has_one(const struct cox_json *labels, const char *const *keys)
{
	for (; *keys; keys++)
		if (cox_json_get(labels, cox_str_of(*keys)))
			return true;
	return false;
}

static void deployment_check(const struct cox_json *doc, struct cox_diags *d)
{
	static const char *const names[] = { "service.istio.io/canonical-name", "app.kubernetes.io/name", "app", NULL };
	static const char *const versions[] = { "service.istio.io/canonical-revision", "app.kubernetes.io/version", "version", NULL };
	const struct cox_json *labels = cox_json_at(doc, "spec.template.metadata.labels");
	if (!has_one(labels, names) || !has_one(labels, versions))
		cox_diag_add(d, COX_SEV_WARNING, doc->line, "spec.template.metadata.labels",
		             "labels app and version are missing: metrics will not tell the workload's service and version");
}

/* --- documents ------------------------------------------------------------------------------------------ */

static void object_check(struct validating *v, const struct cox_json *doc)
{
	struct cox_diags diags = { .arena = v->arena };
	const struct cox_object *o = NULL;
	struct cox_str kind = cox_json_str_at(doc, "kind"), ns = cox_json_str_at(doc, "metadata.namespace");
	const struct cox_kind_info *info = cox_kind_find(cox_json_str_at(doc, "apiVersion"), kind);
	bool is_ours = cox_str_eq(ns, or_default(v->o->istio_ns, "istio-system"));
	if (info && info->ours) {
		(void)!cox_object_build(doc, cox_str_of(v->file), or_default(v->o->default_ns, "default"), v->arena, &diags, &o);
		cox_object_unref(o);
	} else if (!is_ours && cox_str_eq_cstr(kind, "Service")) {
		service_check(doc, &diags);
	} else if (!is_ours && cox_str_eq_cstr(kind, "Deployment")) {
		deployment_check(doc, &diags);
	}
	findings_add(v, doc, &diags);
}

static void on_doc(void *arg, struct cox_json *root, struct cox_str text, const struct cox_err *err)
{
	struct validating *v = arg;
	(void)text;
	if (!root) {
		struct cox_report_about about = { 0 };
		struct cox_diag d = { .line = err->line,
			              .path = cox_arena_str(v->arena, cox_str_of(err->path)),
			              .text = cox_arena_str(v->arena, cox_str_of(err->text)) };
		finding_add(v, &about, &d);
		return;
	}
	const struct cox_json *items = cox_json_get(root, COX_STR("items"));
	if (!cox_str_has_suffix(cox_json_str_at(root, "kind"), COX_STR("List")) || !items || items->type != COX_JSON_ARRAY)
		object_check(v, root);
	else
		for (size_t i = 0; i < items->n; i++)
			object_check(v, &items->items[i]);
}

/* --- files ------------------------------------------------------------------------------------------------ */

static void file_end(struct validating *v, size_t errors_before)
{
	struct cox_json *f = cox_json_new_object(v->arena);
	set_text(v->arena, f, "file", cox_arena_str(v->arena, cox_str_of(v->file)));
	cox_json_set(v->arena, f, COX_STR("valid"), cox_json_new_bool(v->arena, v->errors == errors_before));
	cox_json_set(v->arena, f, COX_STR("findings"), v->findings);
	cox_json_push(v->arena, v->files, f);
}

static void file_check(struct validating *v, const char *path)
{
	struct cox_buf text = { 0 };
	struct cox_err err = { 0 };
	size_t before = v->errors;
	v->file = path;
	v->findings = cox_json_new_array(v->arena);
	enum cox_rc rc = cox_file_read_arg(path, FILE_BYTES_MAX, &text, &err);
	if (rc == COX_OK) /* the text lives as long as the tree: findings point into it */
		rc = cox_yaml_each(v->arena, cox_arena_str(v->arena, cox_buf_str(&text)), FILE_BYTES_MAX, on_doc, v, &err);
	if (rc != COX_OK)
		on_doc(v, NULL, (struct cox_str){ 0 }, &err);
	file_end(v, before);
	cox_buf_fini(&text);
}

static int name_cmp(const void *a, const void *b) { return cox_str_cmp(*(const struct cox_str *)a, *(const struct cox_str *)b); }

static bool is_wanted(struct cox_str name)
{
	return cox_str_has_suffix(name, COX_STR(".yaml")) || cox_str_has_suffix(name, COX_STR(".yml")) ||
	       cox_str_has_suffix(name, COX_STR(".json"));
}

static void path_check(struct validating *v, const char *path, int depth);

/* In the order of names; symbolic links to directories inside of it are not followed. */
static void dir_check(struct validating *v, const char *dir, int depth)
{
	COX_VEC(struct cox_str) names = { 0 };
	DIR *d = opendir(dir);
	for (struct dirent *e; d && (e = readdir(d));)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			cox_vec_push(&names, cox_arena_printf(v->arena, "%s/%s", dir, e->d_name));
	if (d)
		closedir(d);
	if (names.n)
		qsort(names.p, names.n, sizeof(*names.p), name_cmp);
	for (size_t i = 0; i < names.n; i++) {
		struct stat st;
		if (lstat(names.p[i].p, &st) == 0 && (S_ISDIR(st.st_mode) || is_wanted(names.p[i])))
			path_check(v, names.p[i].p, depth + 1);
	}
	cox_vec_fini(&names);
}

static void path_check(struct validating *v, const char *path, int depth)
{
	struct stat st;
	if (depth < DEPTH_MAX && strcmp(path, "-") != 0 && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		dir_check(v, path, depth);
	else
		file_check(v, path);
}

struct cox_json *cox_tool_validate(const struct cox_validate_options *o, struct cox_arena *arena)
{
	struct validating v = { .o = o, .arena = arena, .files = cox_json_new_array(arena) };
	for (size_t i = 0; i < o->file_count; i++) {
		struct cox_str rest = cox_str_of(o->files[i]), one; /* istioctl takes several, separated by commas */
		while (cox_str_next(&rest, ',', &one))
			path_check(&v, cox_arena_printf(arena, "%.*s", COX_FMT(one)).p, 0);
	}
	struct cox_json *answer = cox_json_new_object(arena);
	cox_json_set(arena, answer, COX_STR("valid"), cox_json_new_bool(arena, v.errors == 0));
	cox_json_set(arena, answer, COX_STR("files"), v.files);
	return answer;
}

/* --- text --------------------------------------------------------------------------------------------------- */

static void finding_write(const struct cox_json *f, struct cox_str file, struct cox_buf *out)
{
	int64_t line = 0;
	const struct cox_json *l = cox_json_get(f, COX_STR("line"));
	if (l)
		(void)!cox_json_to_i64(l, &line);
	struct cox_report_about about = { cox_json_str_at(f, "kind"), cox_json_str_at(f, "namespace"), cox_json_str_at(f, "name"), file };
	struct cox_diag d = { .severity = cox_str_eq_cstr(cox_json_str_at(f, "severity"), "error") ? COX_SEV_ERROR : COX_SEV_WARNING,
		              .line = (int)line,
		              .path = cox_json_str_at(f, "path"),
		              .text = cox_json_str_at(f, "message") };
	cox_report_write_one(&d, &about, out);
	cox_buf_append_char(out, '\n');
}

void cox_tool_validate_write(const struct cox_json *answer, struct cox_buf *out)
{
	const struct cox_json *files = cox_json_get(answer, COX_STR("files"));
	for (size_t i = 0; i < files->n; i++) {
		const struct cox_json *f = &files->items[i], *findings = cox_json_get(f, COX_STR("findings"));
		struct cox_str name = cox_json_str_at(f, "file");
		bool is_input = cox_str_eq_cstr(name, "-");
		for (size_t k = 0; k < findings->n; k++)
			finding_write(&findings->items[k], is_input ? COX_STR("standard input") : name, out);
		bool is_valid = cox_json_get(f, COX_STR("valid"))->boolean;
		if (is_input)
			cox_buf_append_cstr(out, is_valid ? "validation succeed\n" : "standard input is not valid\n");
		else
			cox_buf_printf(out, "\"%.*s\" is %svalid\n", COX_FMT(name), is_valid ? "" : "not ");
	}
}
