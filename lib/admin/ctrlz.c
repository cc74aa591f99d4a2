/*
 * ctrlz - ControlZ (features g6): log levels at run time and what the process knows of itself, under Istio's paths; JSON alone. For
 * loopback peers.
 */
#include "admin/admin_priv.h"

#include "base/log.h"

#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

static void say(struct cox_httpd_request *r, int status, const char *text)
{
	struct cox_arena arena = { 0 };
	struct cox_json *o = cox_json_new_object(&arena);
	answer_set_str(&arena, o, "error", cox_str_of(text));
	admin_reply_json(r, status, o);
	cox_arena_fini(&arena);
}

/* --- scopes --------------------------------------------------------------------------------------------------------------- */

static struct cox_json *scope_json(struct cox_arena *a, const struct cox_log_scope *s)
{
	struct cox_json *o = cox_json_new_object(a);
	answer_set_str(a, o, "name", cox_str_of(s->name));
	answer_set_str(a, o, "description", cox_str_of(s->description));
	answer_set_str(a, o, "output_level", cox_str_of(cox_log_level_name(s->level)));
	answer_set_str(a, o, "stack_trace_level", COX_STR("none"));
	cox_json_set(a, o, COX_STR("log_callers"), cox_json_new_bool(a, false));
	return o;
}

static bool scope_find(struct cox_str name, struct cox_log_scope *out)
{
	for (size_t i = 0; cox_log_scope_at(i, out); i++)
		if (cox_str_eq_cstr(name, out->name))
			return true;
	return false;
}

static struct cox_json *scopes_json(struct cox_arena *a)
{
	struct cox_json *list = cox_json_new_array(a);
	struct cox_log_scope s;
	for (size_t i = 0; cox_log_scope_at(i, &s); i++)
		cox_json_push(a, list, scope_json(a, &s));
	return list;
}

static void on_scope_put(void *ctx, struct cox_httpd_request *r)
{
	struct cox_str name = cox_str_sub(cox_httpd_path(r), sizeof("/scopej/") - 1, cox_httpd_path(r).n), level;
	struct cox_log_scope s;
	struct cox_arena arena = { 0 };
	struct cox_json *body;
	struct cox_err err = { 0 };
	(void)ctx;
	if (cox_json_parse(&arena, cox_httpd_body(r), &body, &err) != COX_OK) {
		say(r, 400, "unable to decode request");
	} else if (!scope_find(name, &s)) {
		say(r, 400, "unknown scope name");
	} else {
		level = cox_json_str_at(body, "output_level");
		/* As Istio: a level that there is not changes nothing, and is no error; stack traces and callers are not ours to show. */
		bool is_one = level.n && cox_str_find(level, ',') < 0 && cox_str_find(level, ':') < 0;
		if (is_one && cox_log_set_levels(cox_arena_printf(&arena, "%.*s:%.*s", COX_FMT(name), COX_FMT(level))) == COX_OK)
			cox_log(COX_LOG_INFO, "admin", "log level scope=%.*s level=%.*s", COX_FMT(name), COX_FMT(level));
		cox_httpd_reply(r, 202, NULL, COX_STR(""));
	}
	cox_arena_fini(&arena);
}

/* --- the process ------------------------------------------------------------------------------------------------------------ */

/* What is between zero bytes in a file of /proc. */
static struct cox_json *proc_list(struct cox_arena *a, const char *path, void (*add)(struct cox_arena *, struct cox_json *, struct cox_str))
{
	struct cox_json *list = cox_json_new_array(a);
	struct cox_buf text = { 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	for (ssize_t n = 1; fd >= 0 && n > 0;) {
		n = read(fd, cox_buf_reserve(&text, 4096), 4096);
		text.n += n > 0 ? (size_t)n : 0;
	}
	if (fd >= 0)
		close(fd);
	struct cox_str rest = cox_buf_str(&text), item;
	while (rest.n && cox_str_next(&rest, 0, &item))
		if (item.n)
			add(a, list, item);
	cox_buf_fini(&text);
	return list;
}

static void add_arg(struct cox_arena *a, struct cox_json *list, struct cox_str s)
{
	cox_json_push(a, list, cox_json_new_str(a, cox_arena_str(a, s)));
}

/* What may be a secret is not shown. */
static void add_env(struct cox_arena *a, struct cox_json *list, struct cox_str s)
{
	static const char *const secret[] = { "TOKEN", "SECRET", "PASSWORD", "PRIVATE", "CREDENTIAL" };
	ptrdiff_t eq = cox_str_find(s, '=');
	struct cox_str name = cox_str_sub(s, 0, eq < 0 ? s.n : (size_t)eq), value = cox_str_sub(s, name.n + (eq >= 0), s.n);
	struct cox_json *o = cox_json_new_object(a);
	for (size_t i = 0; i < COX_LEN(secret); i++)
		if (cox_str_search(name, cox_str_of(secret[i])) >= 0)
			value = COX_STR("[redacted]");
	answer_set_str(a, o, "name", name);
	answer_set_str(a, o, "value", value);
	cox_json_push(a, list, o);
}

static int64_t thread_count(void)
{
	DIR *d = opendir("/proc/self/task");
	int64_t n = -2; /* "." and ".." */
	if (!d)
		return 0;
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static struct cox_json *proc_json(struct cox_arena *a)
{
	struct cox_json *o = cox_json_new_object(a), *groups = cox_json_new_array(a);
	char text[512] = "";
	gid_t list[64];
	int n = getgroups(COX_LEN(list), list);
	answer_set_int(a, o, "egid", getegid());
	answer_set_int(a, o, "euid", geteuid());
	answer_set_int(a, o, "gid", getgid());
	for (int i = 0; i < n; i++)
		cox_json_push(a, groups, cox_json_new_i64(a, list[i]));
	cox_json_set(a, o, COX_STR("groups"), groups);
	answer_set_int(a, o, "pid", getpid());
	answer_set_int(a, o, "ppid", getppid());
	answer_set_int(a, o, "uid", getuid());
	answer_set_str(a, o, "wd", cox_str_of(getcwd(text, sizeof(text)) ? text : ""));
	text[0] = 0;
	gethostname(text, sizeof(text) - 1);
	answer_set_str(a, o, "hostname", cox_str_of(text));
	answer_set_str(a, o, "tempdir", COX_STR("/tmp"));
	answer_set_int(a, o, "threads", thread_count());
	return o;
}

/* Under Go's names where the meaning is the same: what is allocated, what the heap has of the system, in use and free. */
static struct cox_json *mem_json(struct cox_arena *a)
{
	struct mallinfo2 m = mallinfo2();
	struct cox_json *o = cox_json_new_object(a);
	answer_set_int(a, o, "Alloc", (int64_t)(m.uordblks + m.hblkhd));
	answer_set_int(a, o, "Sys", (int64_t)(m.arena + m.hblkhd));
	answer_set_int(a, o, "HeapAlloc", (int64_t)(m.uordblks + m.hblkhd));
	answer_set_int(a, o, "HeapSys", (int64_t)(m.arena + m.hblkhd));
	answer_set_int(a, o, "HeapIdle", (int64_t)m.fordblks);
	answer_set_int(a, o, "HeapInuse", (int64_t)m.uordblks);
	return o;
}

static struct cox_json *version_json(const struct cox_admin *admin, struct cox_arena *a)
{
	struct cox_json *o = cox_json_new_object(a);
	answer_set_str(a, o, "version", cox_str_of(admin->version));
	answer_set_str(a, o, "component", COX_STR("coxswaind"));
	return o;
}

/* --- topics ------------------------------------------------------------------------------------------------------------------ */

static const char *const topics[] = { "scopej", "memj", "envj", "procj", "argsj", "versionj" };

static struct cox_json *topic_json(const struct cox_admin *admin, struct cox_str path, struct cox_arena *a)
{
	static const struct cox_str scope = COX_STR_INIT("/scopej/");
	struct cox_log_scope s;
	if (path.n > 1 && path.p[path.n - 1] == '/')
		path = cox_str_sub(path, 0, path.n - 1);
	if (cox_str_eq(path, COX_STR("/scopej")))
		return scopes_json(a);
	if (cox_str_has_prefix(path, scope))
		return scope_find(cox_str_sub(path, scope.n, path.n), &s) ? scope_json(a, &s) : NULL;
	if (cox_str_eq(path, COX_STR("/memj")))
		return mem_json(a);
	if (cox_str_eq(path, COX_STR("/envj")))
		return proc_list(a, "/proc/self/environ", add_env);
	if (cox_str_eq(path, COX_STR("/procj")))
		return proc_json(a);
	if (cox_str_eq(path, COX_STR("/argsj")))
		return proc_list(a, "/proc/self/cmdline", add_arg);
	if (cox_str_eq(path, COX_STR("/versionj")))
		return version_json(admin, a);
	struct cox_json *list = cox_json_new_array(a);
	for (size_t i = 0; i < COX_LEN(topics) && path.n <= 1; i++)
		cox_json_push(a, list, cox_json_new_str(a, cox_arena_printf(a, "/%s/", topics[i])));
	return path.n <= 1 ? list : NULL;
}

static void on_topic(void *ctx, struct cox_httpd_request *r)
{
	struct cox_arena arena = { 0 };
	struct cox_json *v = topic_json(ctx, cox_httpd_path(r), &arena);
	if (v)
		admin_reply_json(r, 200, v);
	else if (cox_str_has_prefix(cox_httpd_path(r), COX_STR("/scopej/")))
		say(r, 400, "unknown scope name");
	else
		say(r, 404, "no such topic; / lists them");
	cox_arena_fini(&arena);
}

enum cox_rc admin_ctrlz_open(struct cox_admin *a, uint16_t *port, struct cox_err *err)
{
	struct cox_httpd_route routes[] = { { "PUT", "/scopej/*", on_scope_put, a }, { "GET", "/*", on_topic, a } };
	_Static_assert(COX_LEN(routes) <= COX_LEN(a->ctrlz_routes), "every route has its place");
	memcpy(a->ctrlz_routes, routes, sizeof(routes));
	return cox_httpd_open(&(struct cox_httpd_spec){ .addr = *a->opts.ctrlz,
	                                                .routes = a->ctrlz_routes,
	                                                .route_count = COX_LEN(routes),
	                                                .max_body_bytes = 64 * 1024,
	                                                .loopback_only = true },
	                      &a->ctrlz, port, err);
}
