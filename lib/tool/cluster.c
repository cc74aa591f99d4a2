/* cluster.c - see cluster.h: one request at a time on a loop of its own. */
#include "tool/cluster.h"

#include "base/vec.h"
#include "codec/yaml.h"
#include "kube/file.h"
#include "tool/cluster_priv.h"

#include <stdio.h>
#include <unistd.h>

enum {
	TIMEOUT_MS = 30 * 1000,
	PAGE = 500, /* as kubectl */
	POLL_MS = 500,
	BODY_BYTES_MAX = 256 * 1024 * 1024, /* a page of 500 objects of 512 KiB */
	QPS = 200,                          /* a person's tool asks for much once, then for nothing */
};

struct group_version {
	struct cox_str name; /* as asked for */
	const struct cox_json *resources;
	struct cox_str group, version;
};

struct cox_cluster {
	struct cox_loop *loop;
	struct cox_kube_client *kube;
	struct cox_arena arena; /* what discovery said */
	struct cox_str ns, source, server;
	int64_t timeout_ms;
	COX_VEC(struct group_version) known;
};

/* --- open: which cluster ------------------------------------------------------------------------------ */

static enum cox_rc config_find(const struct cox_cluster_spec *spec, struct cox_kube_config *config, struct cox_err *err)
{
	struct cox_str context = cox_str_of(spec->context);
	const char *env = cox_env_get("KUBECONFIG"), *home = cox_env_get("HOME");
	char path[4096];
	if (spec->kubeconfig && *spec->kubeconfig)
		return cox_kube_config_load(config, spec->kubeconfig, context, err);
	if (env && *env)
		return cox_cluster_config_merge(cox_str_of(env), context, config, err);
	if (home && (size_t)snprintf(path, sizeof(path), "%s/.kube/config", home) < sizeof(path) && access(path, F_OK) == 0)
		return cox_kube_config_load(config, path, context, err);
	return cox_kube_config_in_cluster(config, cox_str_of(cox_env_get("KUBERNETES_SERVICE_HOST")),
	                                  cox_str_of(cox_env_get("KUBERNETES_SERVICE_PORT")), NULL, err);
}

enum cox_rc cox_cluster_open(const struct cox_cluster_spec *spec, struct cox_cluster **out, struct cox_err *err)
{
	struct cox_kube_config config = { 0 };
	enum cox_rc rc = config_find(spec, &config, err);
	if (rc != COX_OK) {
		cox_kube_config_fini(&config);
		return rc;
	}
	struct cox_cluster *c = COX_NEW(struct cox_cluster);
	c->loop = cox_loop_new("cluster");
	c->timeout_ms = spec->timeout_ms > 0 ? spec->timeout_ms : TIMEOUT_MS;
	c->ns = config.ns.n ? cox_arena_str(&c->arena, config.ns) : COX_STR("default");
	c->source = cox_arena_str(&c->arena, config.source);
	c->server = cox_arena_str(&c->arena, config.server);
	c->kube = cox_kube_client_new_take(c->loop, &config,
	                                   &(struct cox_kube_client_spec){ .user_agent = "coxctl", .qps = QPS, .burst = 2 * QPS });
	*out = c;
	return COX_OK;
}

void cox_cluster_close(struct cox_cluster **cp)
{
	struct cox_cluster *c = COX_MOVE(*cp);
	if (!c)
		return;
	cox_kube_client_free(&c->kube);
	cox_loop_free(&c->loop);
	cox_vec_fini(&c->known);
	cox_arena_fini(&c->arena);
	cox_free(c);
}

struct cox_loop *cox_cluster_loop(const struct cox_cluster *c) { return c->loop; }
struct cox_kube_client *cox_cluster_client(const struct cox_cluster *c) { return c->kube; }
struct cox_str cox_cluster_ns(const struct cox_cluster *c) { return c->ns; }
struct cox_str cox_cluster_source(const struct cox_cluster *c) { return c->source; }
struct cox_str cox_cluster_server(const struct cox_cluster *c) { return c->server; }

/* --- one request -------------------------------------------------------------------------------------- */

struct question {
	struct cox_arena *arena;
	struct cox_json *answer;
	struct cox_err err;
	enum cox_rc rc;
	bool is_done;
};

/* The server's own words, else what the client says of it. */
static void question_refuse(struct question *q, enum cox_rc rc, struct cox_str body, const struct cox_err *err)
{
	struct cox_json *status = NULL;
	struct cox_arena scratch = { 0 };
	struct cox_str message = { 0 };
	if (cox_json_parse(&scratch, body, &status, NULL) == COX_OK)
		message = cox_json_str_at(status, "message");
	q->rc = message.n ? cox_err_set(&q->err, rc, NULL, "%.*s", COX_FMT(message)) : cox_err_set(&q->err, rc, NULL, "%s", err->text);
	cox_arena_fini(&scratch);
}

static void on_done(void *ctx, struct cox_kube_request *r, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err)
{
	struct question *q = ctx;
	(void)r, (void)status;
	q->is_done = true;
	if (rc != COX_OK) {
		question_refuse(q, rc, body, err);
		return;
	}
	struct cox_str text = cox_arena_str(q->arena, body);
	if (cox_str_trim(text).n == 0)
		q->answer = cox_json_new_object(q->arena);
	else if (cox_json_parse(q->arena, text, &q->answer, NULL) != COX_OK)
		q->answer = cox_json_new_str(q->arena, text); /* /healthz and the like */
}

static bool is_done(void *ctx) { return ((struct question *)ctx)->is_done; }

/* `what` is put before the error. */
static enum cox_rc ask(struct cox_cluster *c, const struct cox_kube_request_spec *spec, const char *what, struct cox_arena *arena,
                       struct cox_json **out, struct cox_err *err)
{
	struct cox_arena own = { 0 };
	struct question q = { .arena = out ? arena : &own };
	struct cox_kube_request *request = NULL;
	struct cox_kube_request_spec full = *spec;
	full.timeout_ms = c->timeout_ms;
	full.max_body_bytes = BODY_BYTES_MAX;
	cox_kube_request_open(c->kube, &full, &(struct cox_kube_request_cb){ .on_done = on_done, .ctx = &q }, &request);
	/* A credential plug-in may ask its user to log in first: that has its own time. */
	if (!cox_loop_run_until(c->loop, is_done, &q, c->timeout_ms + 60 * 1000)) {
		cox_kube_request_close(&request);
		q.rc = cox_err_set(&q.err, COX_ETIMEOUT, NULL, "the kube-apiserver does not answer");
	}
	if (q.rc == COX_OK && out)
		*out = q.answer;
	if (q.rc != COX_OK && what && *what)
		cox_err_wrap(&q.err, "%s", what);
	if (q.rc != COX_OK && err)
		*err = q.err;
	cox_arena_fini(&own);
	return q.rc;
}

enum cox_rc cox_cluster_call(struct cox_cluster *c, const char *method, struct cox_str path, const struct cox_json *body,
                             struct cox_arena *arena, struct cox_json **out, struct cox_err *err)
{
	struct cox_buf text = { 0 };
	char what[256];
	if (body)
		cox_json_write(&text, body, 0, false);
	struct cox_kube_request_spec spec = { .method = method, .path = path, .body = cox_buf_str(&text) };
	snprintf(what, sizeof(what), "%s %.*s", method ? method : "GET", COX_FMT(path));
	enum cox_rc rc = ask(c, &spec, what, arena, out, err);
	cox_buf_fini(&text);
	return rc;
}

/* --- kinds -------------------------------------------------------------------------------------------- */

static enum cox_rc group_version_get(struct cox_cluster *c, struct cox_str api_version, struct group_version **out, struct cox_err *err)
{
	struct cox_json *answer = NULL;
	struct cox_str full = api_version;
	ptrdiff_t slash = cox_str_find(api_version, '/');
	for (size_t i = 0; i < c->known.n; i++)
		if (cox_str_eq(c->known.p[i].name, api_version)) {
			*out = &c->known.p[i];
			return COX_OK;
		}
	if (slash < 0 && cox_str_find(api_version, '.') >= 0) { /* a group alone */
		struct cox_str path = cox_arena_printf(&c->arena, "/apis/%.*s", COX_FMT(api_version));
		COX_TRY(cox_cluster_call(c, "GET", path, NULL, &c->arena, &answer, err));
		full = cox_json_str_at(answer, "preferredVersion.groupVersion");
		slash = cox_str_find(full, '/');
	}
	struct cox_str path = cox_arena_printf(&c->arena, "%s/%.*s", slash < 0 ? "/api" : "/apis", COX_FMT(full));
	COX_TRY(cox_cluster_call(c, "GET", path, NULL, &c->arena, &answer, err));
	struct group_version *g = cox_vec_add(&c->known);
	g->name = cox_arena_str(&c->arena, api_version);
	g->resources = cox_json_get(answer, COX_STR("resources"));
	full = cox_arena_str(&c->arena, full);
	g->group = slash < 0 ? COX_STR("") : cox_str_sub(full, 0, (size_t)slash);
	g->version = slash < 0 ? full : cox_str_sub(full, (size_t)slash + 1, SIZE_MAX);
	*out = g;
	return COX_OK;
}

enum cox_rc cox_cluster_kind_find(struct cox_cluster *c, struct cox_str api_version, struct cox_str kind,
                                  const struct cox_cluster_kind **out, struct cox_err *err)
{
	struct group_version *g = NULL;
	struct cox_err own = { 0 };
	enum cox_rc rc = group_version_get(c, api_version, &g, &own);
	if (rc == COX_ENOTFOUND)
		return cox_err_set(err, rc, NULL, "the cluster has no kind %.*s of %.*s", COX_FMT(kind), COX_FMT(api_version));
	if (rc != COX_OK) {
		if (err)
			*err = own;
		return rc;
	}
	for (size_t i = 0; g->resources && g->resources->type == COX_JSON_ARRAY && i < g->resources->n; i++) {
		const struct cox_json *r = &g->resources->items[i], *namespaced = cox_json_get(r, COX_STR("namespaced"));
		struct cox_str name = cox_json_str_at(r, "name");
		if (!cox_str_eq(cox_json_str_at(r, "kind"), kind) || cox_str_find(name, '/') >= 0)
			continue;
		struct cox_cluster_kind *k = COX_ARENA_NEW(&c->arena, struct cox_cluster_kind);
		*k = (struct cox_cluster_kind){ .group = g->group,
			                        .version = g->version,
			                        .plural = name,
			                        .kind = cox_json_str_at(r, "kind"),
			                        .is_cluster_wide = !(namespaced && namespaced->boolean) };
		*out = k;
		return COX_OK;
	}
	return cox_err_set(err, COX_ENOTFOUND, NULL, "the cluster has no kind %.*s of %.*s", COX_FMT(kind), COX_FMT(api_version));
}

void cox_cluster_path(struct cox_buf *out, const struct cox_cluster_kind *kind, struct cox_str ns, struct cox_str name)
{
	cox_kube_path(out, kind->group, kind->version, kind->plural, kind->is_cluster_wide ? COX_STR("") : ns, name, COX_STR(""));
}

/* "VirtualService shop/web", for errors. */
static const char *object_name(const struct cox_cluster_kind *k, struct cox_str ns, struct cox_str name, char *buf, size_t cap)
{
	COX_ASSERT(k);
	bool shows_ns = !k->is_cluster_wide && ns.n;
	snprintf(buf, cap, "%.*s%s%.*s%s%.*s", COX_FMT(k->kind), shows_ns || name.n ? " " : "", shows_ns ? (int)ns.n : 0,
	         shows_ns ? ns.p : "", shows_ns && name.n ? "/" : "", COX_FMT(name));
	return buf;
}

/* --- reading ------------------------------------------------------------------------------------------ */

enum cox_rc cox_cluster_get(struct cox_cluster *c, const struct cox_cluster_kind *kind, struct cox_str ns, struct cox_str name,
                            struct cox_arena *arena, struct cox_json **out, struct cox_err *err)
{
	struct cox_buf path = { 0 };
	char what[256];
	cox_cluster_path(&path, kind, ns, name);
	struct cox_kube_request_spec spec = { .path = cox_buf_str(&path) };
	enum cox_rc rc = ask(c, &spec, object_name(kind, ns, name, what, sizeof(what)), arena, out, err);
	cox_buf_fini(&path);
	return rc;
}

/* Items of a list do not say what they are: it is put in front. */
static void page_take(const struct cox_cluster_kind *k, const struct cox_json *page, struct cox_arena *arena, struct cox_json *all)
{
	const struct cox_json *items = cox_json_get(page, COX_STR("items"));
	struct cox_str api_version =
	    k->group.n ? cox_arena_printf(arena, "%.*s/%.*s", COX_FMT(k->group), COX_FMT(k->version)) : cox_arena_str(arena, k->version);
	struct cox_str kind = cox_arena_str(arena, k->kind);
	for (size_t i = 0; items && items->type == COX_JSON_ARRAY && i < items->n; i++) {
		struct cox_json *o = cox_json_push(arena, all, cox_json_new_object(arena));
		cox_json_set(arena, o, COX_STR("apiVersion"), cox_json_new_str(arena, api_version));
		cox_json_set(arena, o, COX_STR("kind"), cox_json_new_str(arena, kind));
		for (size_t m = 0; items->items[i].type == COX_JSON_OBJECT && m < items->items[i].n; m++)
			cox_json_set(arena, o, items->items[i].members[m].key, &items->items[i].members[m].value);
	}
}

static void page_path(struct cox_buf *path, const struct cox_cluster_kind *kind, struct cox_str ns, struct cox_str label,
                      struct cox_str field, struct cox_str from)
{
	cox_cluster_path(path, kind, ns, COX_STR(""));
	if (label.n)
		cox_kube_path_query(path, "labelSelector", label);
	if (field.n)
		cox_kube_path_query(path, "fieldSelector", field);
	char limit[16];
	snprintf(limit, sizeof(limit), "%d", PAGE);
	cox_kube_path_query(path, "limit", cox_str_of(limit));
	if (from.n)
		cox_kube_path_query(path, "continue", from);
}

enum cox_rc cox_cluster_list(struct cox_cluster *c, const struct cox_cluster_kind *kind, struct cox_str ns, struct cox_str label_selector,
                             struct cox_str field_selector, struct cox_arena *arena, struct cox_json **out, struct cox_err *err)
{
	struct cox_json *all = cox_json_new_array(arena), *page = NULL;
	struct cox_str from = { 0 };
	char what[256];
	enum cox_rc rc;
	do {
		struct cox_buf path = { 0 };
		page_path(&path, kind, ns, label_selector, field_selector, from);
		struct cox_kube_request_spec spec = { .path = cox_buf_str(&path) };
		rc = ask(c, &spec, object_name(kind, ns, COX_STR(""), what, sizeof(what)), arena, &page, err);
		cox_buf_fini(&path);
		if (rc != COX_OK)
			return rc;
		page_take(kind, page, arena, all);
		from = cox_json_str_at(page, "metadata.continue");
	} while (from.n);
	*out = all;
	return COX_OK;
}

/* --- writing ------------------------------------------------------------------------------------------ */

static enum cox_rc write_path(struct cox_cluster *c, const char *method, struct cox_str path, const char *content_type,
                              const struct cox_json *body, const struct cox_cluster_write *how, const char *what, struct cox_arena *arena,
                              struct cox_json **out, struct cox_err *err)
{
	static const struct cox_cluster_write plain = { 0 };
	struct cox_buf full = { 0 }, text = { 0 };
	bool is_apply = content_type && strcmp(content_type, "application/apply-patch+yaml") == 0;
	how = how ? how : &plain;
	cox_buf_append_str(&full, path);
	if (strcmp(method, "DELETE") != 0)
		cox_kube_path_query(&full, "fieldManager", cox_str_of(how->manager ? how->manager : "coxctl"));
	if (is_apply)
		cox_kube_path_query(&full, "force", how->no_force ? COX_STR("false") : COX_STR("true"));
	if (how->dry_run)
		cox_kube_path_query(&full, "dryRun", COX_STR("All"));
	if (body)
		cox_json_write(&text, body, 0, false);
	struct cox_kube_request_spec spec = {
		.method = method, .path = cox_buf_str(&full), .body = cox_buf_str(&text), .content_type = content_type
	};
	enum cox_rc rc = ask(c, &spec, what, arena, out, err);
	cox_buf_fini(&full);
	cox_buf_fini(&text);
	return rc;
}

/* A whole object, which says itself where it belongs. */
static enum cox_rc write_object(struct cox_cluster *c, const char *method, const char *content_type, const struct cox_json *object,
                                const struct cox_cluster_write *how, struct cox_arena *arena, struct cox_json **out, struct cox_err *err)
{
	const struct cox_cluster_kind *kind = NULL;
	struct cox_str ns = cox_json_str_at(object, "metadata.namespace"), name = cox_json_str_at(object, "metadata.name");
	struct cox_buf path = { 0 };
	char what[256];
	if (!name.n && strcmp(method, "POST") != 0)
		return cox_err_set(err, COX_EINVAL, "metadata.name", "is missing");
	COX_TRY(cox_cluster_kind_find(c, cox_json_str_at(object, "apiVersion"), cox_json_str_at(object, "kind"), &kind, err));
	ns = ns.n ? ns : c->ns;
	object_name(kind, ns, name, what, sizeof(what));
	cox_cluster_path(&path, kind, ns, strcmp(method, "POST") == 0 ? COX_STR("") : name);
	enum cox_rc rc = write_path(c, method, cox_buf_str(&path), content_type, object, how, what, arena, out, err);
	cox_buf_fini(&path);
	return rc;
}

enum cox_rc cox_cluster_apply(struct cox_cluster *c, const struct cox_json *object, const struct cox_cluster_write *how,
                              struct cox_arena *arena, struct cox_json **out, struct cox_err *err)
{
	return write_object(c, "PATCH", "application/apply-patch+yaml", object, how, arena, out, err);
}

enum cox_rc cox_cluster_create(struct cox_cluster *c, const struct cox_json *object, const struct cox_cluster_write *how,
                               struct cox_arena *arena, struct cox_json **out, struct cox_err *err)
{
	return write_object(c, "POST", NULL, object, how, arena, out, err);
}

enum cox_rc cox_cluster_replace(struct cox_cluster *c, const struct cox_json *object, const struct cox_cluster_write *how,
                                struct cox_arena *arena, struct cox_json **out, struct cox_err *err)
{
	return write_object(c, "PUT", NULL, object, how, arena, out, err);
}

enum cox_rc cox_cluster_patch(struct cox_cluster *c, const struct cox_cluster_kind *kind, struct cox_str ns, struct cox_str name,
                              const struct cox_json *patch, const struct cox_cluster_write *how, struct cox_arena *arena,
                              struct cox_json **out, struct cox_err *err)
{
	struct cox_buf path = { 0 };
	char what[256];
	cox_cluster_path(&path, kind, ns, name);
	enum cox_rc rc = write_path(c, "PATCH", cox_buf_str(&path), "application/merge-patch+json", patch, how,
	                            object_name(kind, ns, name, what, sizeof(what)), arena, out, err);
	cox_buf_fini(&path);
	return rc;
}

enum cox_rc cox_cluster_delete(struct cox_cluster *c, const struct cox_cluster_kind *kind, struct cox_str ns, struct cox_str name,
                               const struct cox_cluster_write *how, struct cox_err *err)
{
	struct cox_buf path = { 0 };
	char what[256];
	cox_cluster_path(&path, kind, ns, name);
	cox_kube_path_query(&path, "propagationPolicy", COX_STR("Background"));
	enum cox_rc rc =
	    write_path(c, "DELETE", cox_buf_str(&path), NULL, NULL, how, object_name(kind, ns, name, what, sizeof(what)), NULL, NULL, err);
	cox_buf_fini(&path);
	return rc;
}

/* --- more --------------------------------------------------------------------------------------------- */

static bool never(void *ctx)
{
	(void)ctx;
	return false;
}

void cox_cluster_sleep(struct cox_cluster *c, int64_t ms) { (void)cox_loop_run_until(c->loop, never, NULL, ms); }

enum cox_rc cox_cluster_wait(struct cox_cluster *c, const struct cox_cluster_kind *kind, struct cox_str ns, struct cox_str name,
                             bool (*is)(void *ctx, const struct cox_json *object), void *ctx, int64_t timeout_ms, struct cox_err *err)
{
	char what[256];
	for (int64_t waited_ms = 0;; waited_ms += POLL_MS) {
		struct cox_arena arena = { 0 };
		struct cox_json *object = NULL;
		enum cox_rc rc = cox_cluster_get(c, kind, ns, name, &arena, &object, err);
		bool is_there = (rc == COX_OK || rc == COX_ENOTFOUND) && is(ctx, rc == COX_OK ? object : NULL);
		cox_arena_fini(&arena);
		if (is_there)
			return COX_OK;
		if (rc != COX_OK && rc != COX_ENOTFOUND && !cox_rc_is_retryable(rc))
			return rc;
		if (waited_ms >= timeout_ms)
			return cox_err_set(err, COX_ETIMEOUT, NULL, "%s: not as it should be within %lld s",
			                   object_name(kind, ns, name, what, sizeof(what)), (long long)timeout_ms / 1000);
		cox_cluster_sleep(c, POLL_MS);
	}
}

enum cox_rc cox_cluster_may(struct cox_cluster *c, const char *verb, struct cox_str group, struct cox_str resource, struct cox_str ns,
                            bool *out, struct cox_err *err)
{
	struct cox_arena arena = { 0 };
	struct cox_json *answer = NULL, *review = cox_json_new_object(&arena), *attributes = cox_json_new_object(&arena);
	ptrdiff_t slash = cox_str_find(resource, '/');
	struct {
		const char *key;
		struct cox_str value;
	} members[] = { { "verb", cox_str_of(verb) },
		        { "group", group },
		        { "resource", slash < 0 ? resource : cox_str_sub(resource, 0, (size_t)slash) },
		        { "subresource", slash < 0 ? COX_STR("") : cox_str_sub(resource, (size_t)slash + 1, SIZE_MAX) },
		        { "namespace", ns } };
	for (size_t i = 0; i < COX_LEN(members); i++)
		if (members[i].value.n)
			cox_json_set(&arena, attributes, cox_str_of(members[i].key), cox_json_new_str(&arena, members[i].value));
	struct cox_json *spec = cox_json_new_object(&arena);
	cox_json_set(&arena, spec, COX_STR("resourceAttributes"), attributes);
	cox_json_set(&arena, review, COX_STR("apiVersion"), cox_json_new_str(&arena, COX_STR("authorization.k8s.io/v1")));
	cox_json_set(&arena, review, COX_STR("kind"), cox_json_new_str(&arena, COX_STR("SelfSubjectAccessReview")));
	cox_json_set(&arena, review, COX_STR("spec"), spec);
	enum cox_rc rc =
	    cox_cluster_call(c, "POST", COX_STR("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"), review, &arena, &answer, err);
	const struct cox_json *allowed = rc == COX_OK ? cox_json_at(answer, "status.allowed") : NULL;
	if (rc == COX_OK)
		*out = allowed && allowed->boolean;
	cox_arena_fini(&arena);
	return rc;
}
