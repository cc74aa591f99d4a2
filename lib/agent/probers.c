#include "agent/probers.h"

#include "base/buf.h"
#include "codec/json.h"

enum { TIMEOUT_MS = 1000, LIFECYCLE_TIMEOUT_MS = 10 * 60 * 1000, HEADERS_MAX = 100 };

static bool is_object(const struct cox_json *v) { return v && v->type == COX_JSON_OBJECT; }

static struct cox_str text_at(const struct cox_json *o, const char *key)
{
	const struct cox_json *v = cox_json_get(o, cox_str_of(key));
	return v && v->type == COX_JSON_STRING ? v->text : COX_STR("");
}

/* What must not get into a request line or a header: it could begin another one. */
static bool is_line_safe(struct cox_str s, bool blanks_too)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c < ' ' || c == 0x7f || (blanks_too && c == ' '))
			return false;
	}
	return true;
}

static enum cox_rc read_port(const struct cox_json *o, uint16_t *out, struct cox_err *err)
{
	const struct cox_json *v = cox_json_get(o, COX_STR("port"));
	int64_t port = 0;
	enum cox_rc rc = COX_EINVAL;
	if (v && v->type == COX_JSON_STRING)
		rc = cox_str_to_i64(v->text, &port); /* the injector has put a number where a name was */
	else if (v)
		rc = cox_json_to_i64(v, &port);
	if (rc != COX_OK || port < 1 || port > 65535)
		return cox_err_set(err, COX_EINVAL, "port", "must be a number from 1 to 65535");
	*out = (uint16_t)port;
	return COX_OK;
}

static bool is_token(struct cox_str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] <= ' ' || (unsigned char)s.p[i] >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", s.p[i]))
			return false;
	return s.n != 0;
}

/* These are ours to say. */
static bool is_of_connection(struct cox_str name)
{
	return cox_str_eq_nocase(name, COX_STR("connection")) || cox_str_eq_nocase(name, COX_STR("content-length")) ||
	       cox_str_eq_nocase(name, COX_STR("transfer-encoding"));
}

static enum cox_rc read_headers(const struct cox_json *list, struct cox_arena *arena, struct cox_agent_prober *p, struct cox_err *err)
{
	COX_AUTO(cox_buf_fini) struct cox_buf lines = { 0 };
	if (list && (list->type != COX_JSON_ARRAY || list->n > HEADERS_MAX))
		return cox_err_set(err, COX_EINVAL, "httpHeaders", "must be a list of at most %d", HEADERS_MAX);
	for (size_t i = 0; list && i < list->n; i++) {
		struct cox_str name = text_at(&list->items[i], "name"), value = text_at(&list->items[i], "value");
		if (!is_token(name) || !is_line_safe(value, false))
			return cox_err_set(err, COX_EINVAL, "httpHeaders", "\"%.*s\" or its value is no header", COX_FMT(name));
		if (cox_str_eq_nocase(name, COX_STR("host")))
			p->host = value;
		else if (!is_of_connection(name))
			cox_buf_printf(&lines, "%.*s: %.*s\r\n", COX_FMT(name), COX_FMT(value));
	}
	p->headers = cox_arena_str(arena, cox_buf_str(&lines));
	return COX_OK;
}

static enum cox_rc read_http(const struct cox_json *o, struct cox_arena *arena, struct cox_agent_prober *p, struct cox_err *err)
{
	struct cox_str path = text_at(o, "path");
	p->kind = COX_AGENT_PROBE_HTTP;
	p->is_https = cox_str_eq_nocase(text_at(o, "scheme"), COX_STR("https"));
	p->target = path.n && path.p[0] == '/' ? path : cox_arena_concat(arena, COX_STR("/"), path);
	if (!is_line_safe(p->target, true))
		return cox_err_set(err, COX_EINVAL, "path", "has a blank or control character");
	COX_TRY(read_headers(cox_json_get(o, COX_STR("httpHeaders")), arena, p, err));
	return read_port(o, &p->port, err);
}

enum cox_rc cox_agent_prober_read(const struct cox_json *o, struct cox_arena *arena, struct cox_agent_prober *p, struct cox_err *err)
{
	const struct cox_json *http = cox_json_get(o, COX_STR("httpGet")), *tcp = cox_json_get(o, COX_STR("tcpSocket")),
	                      *grpc = cox_json_get(o, COX_STR("grpc"));
	const struct cox_json *timeout = cox_json_get(o, COX_STR("timeoutSeconds"));
	int64_t seconds = 0;
	if (is_object(http) + is_object(tcp) + is_object(grpc) != 1)
		return cox_err_set(err, COX_EINVAL, NULL, "needs one of httpGet, tcpSocket, grpc");
	if (timeout && (cox_json_to_i64(timeout, &seconds) != COX_OK || seconds < 0 || seconds > 86400))
		return cox_err_set(err, COX_EINVAL, "timeoutSeconds", "must be a number of seconds");
	p->timeout_ms = seconds ? seconds * 1000 : p->is_lifecycle ? LIFECYCLE_TIMEOUT_MS : TIMEOUT_MS;
	if (is_object(http))
		return read_http(http, arena, p, err);
	p->kind = is_object(tcp) ? COX_AGENT_PROBE_TCP : COX_AGENT_PROBE_GRPC;
	if (is_object(tcp))
		p->host = text_at(tcp, "host");
	else
		p->service = text_at(grpc, "service");
	return read_port(is_object(tcp) ? tcp : grpc, &p->port, err);
}

/* "/<prefix>/<container>/<one of the ends>" */
static bool is_path(struct cox_str path, struct cox_str prefix, const char *const *ends)
{
	if (!cox_str_has_prefix(path, prefix))
		return false;
	struct cox_str rest = cox_str_sub(path, prefix.n, path.n);
	ptrdiff_t slash = cox_str_find(rest, '/');
	for (; slash > 0 && *ends; ends++)
		if (cox_str_eq(cox_str_sub(rest, (size_t)slash + 1, rest.n), cox_str_of(*ends)))
			return true;
	return false;
}

enum cox_rc cox_agent_probers_read(struct cox_str json, struct cox_agent_probers *out, struct cox_err *err)
{
	static const char *const probes[] = { "livez", "readyz", "startupz", NULL }, *const hooks[] = { "prestopz", "poststartz", NULL };
	struct cox_agent_probers list = { 0 };
	struct cox_json *root = NULL;
	enum cox_rc rc = COX_OK;
	*out = list;
	if (!cox_str_trim(json).n)
		return COX_OK;
	if (json.n > COX_AGENT_PROBER_TEXT_MAX)
		return cox_err_set(err, COX_ELIMIT, "ISTIO_KUBE_APP_PROBERS", "is longer than %d bytes", COX_AGENT_PROBER_TEXT_MAX);
	rc = cox_json_parse(&list.arena, cox_arena_str(&list.arena, json), &root, err);
	if (rc == COX_OK && (root->type != COX_JSON_OBJECT || root->n > COX_AGENT_PROBERS_MAX))
		rc = cox_err_set(err, COX_EINVAL, NULL, "must be an object with at most %d members", COX_AGENT_PROBERS_MAX);
	list.p = COX_ARENA_ARRAY(&list.arena, struct cox_agent_prober, rc == COX_OK ? root->n + 1 : 1);
	for (size_t i = 0; rc == COX_OK && i < root->n; i++) {
		struct cox_agent_prober *p = &list.p[list.n++];
		p->path = root->members[i].key;
		p->is_lifecycle = is_path(p->path, COX_STR("/app-lifecycle/"), hooks);
		if (!p->is_lifecycle && !is_path(p->path, COX_STR("/app-health/"), probes))
			rc = cox_err_set(err, COX_EINVAL, NULL, "no path of a probe or hook");
		else
			rc = cox_agent_prober_read(&root->members[i].value, &list.arena, p, err);
		if (rc != COX_OK)
			cox_err_wrap(err, "%.*s", COX_FMT(p->path));
	}
	if (rc != COX_OK) {
		cox_err_wrap(err, "ISTIO_KUBE_APP_PROBERS");
		cox_arena_fini(&list.arena);
		return rc;
	}
	*out = list;
	return COX_OK;
}

void cox_agent_probers_fini(struct cox_agent_probers *p)
{
	cox_arena_fini(&p->arena);
	*p = (struct cox_agent_probers){ 0 };
}

const struct cox_agent_prober *cox_agent_probers_find(const struct cox_agent_probers *p, struct cox_str path)
{
	for (size_t i = 0; i < p->n; i++)
		if (cox_str_eq(p->p[i].path, path))
			return &p->p[i];
	return NULL;
}

/* --- metrics --------------------------------------------------------------------------------- */

static bool is_own_port(uint16_t port)
{
	static const uint16_t own[] = { 15000, 15001, 15004, 15006, 15008, 15020, 15021, 15053, 15090 };
	for (size_t i = 0; i < COX_LEN(own); i++)
		if (port == own[i])
			return true;
	return false;
}

enum cox_rc cox_agent_app_metrics_read(struct cox_str json, struct cox_agent_app_metrics *out, struct cox_err *err)
{
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	struct cox_json *root;
	static const char name[] = "ISTIO_PROMETHEUS_ANNOTATIONS";
	struct cox_agent_app_metrics m = { .port = 80, .path = "/metrics" };
	*out = (struct cox_agent_app_metrics){ 0 };
	if (!cox_str_trim(json).n)
		return COX_OK;
	enum cox_rc rc = cox_json_parse(&arena, json, &root, err);
	if (rc == COX_OK && root->type != COX_JSON_OBJECT)
		rc = cox_err_set(err, COX_EINVAL, NULL, "must be an object");
	struct cox_str path = rc == COX_OK ? text_at(root, "path") : COX_STR("");
	if (rc == COX_OK && text_at(root, "port").n)
		rc = read_port(root, &m.port, err);
	if (rc == COX_OK && is_own_port(m.port))
		rc = cox_err_set(err, COX_EINVAL, "port", "%u is the proxy's own", (unsigned)m.port);
	if (rc == COX_OK && (path.n >= sizeof(m.path) - 1 || !is_line_safe(path, true)))
		rc = cox_err_set(err, COX_EINVAL, "path", "is too long or has a blank");
	if (rc != COX_OK) {
		cox_err_wrap(err, "%s", name);
		return rc;
	}
	m.is_on = !cox_str_eq(text_at(root, "scrape"), COX_STR("false"));
	if (path.n) {
		m.path[0] = '/';
		cox_str_to_cstr(path, m.path + (path.p[0] != '/'), sizeof(m.path) - 1);
	}
	*out = m;
	return COX_OK;
}
