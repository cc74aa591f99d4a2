#include "base/buf.h"
#include "kube/client.h"

static void escape(struct cox_buf *out, struct cox_str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
		    c == '~')
			cox_buf_append_char(out, (char)c);
		else
			cox_buf_printf(out, "%%%02X", c);
	}
}

static void part(struct cox_buf *out, struct cox_str s)
{
	if (s.n == 0)
		return;
	cox_buf_append_char(out, '/');
	escape(out, s);
}

void cox_kube_path(struct cox_buf *out, struct cox_str group, struct cox_str version, struct cox_str plural, struct cox_str ns,
                   struct cox_str name, struct cox_str subresource)
{
	cox_buf_append_cstr(out, group.n ? "/apis" : "/api");
	part(out, group);
	part(out, version);
	if (ns.n) {
		cox_buf_append_cstr(out, "/namespaces");
		part(out, ns);
	}
	part(out, plural);
	part(out, name);
	part(out, subresource);
}

void cox_kube_path_query(struct cox_buf *path, const char *key, struct cox_str value)
{
	cox_buf_append_char(path, cox_str_find(cox_buf_str(path), '?') >= 0 ? '&' : '?');
	cox_buf_append_cstr(path, key);
	cox_buf_append_char(path, '=');
	escape(path, value);
}

void cox_kube_call(struct cox_kube_client *c, const char *method, struct cox_str path, struct cox_str body,
                   const struct cox_kube_request_cb *cb, struct cox_kube_request **out)
{
	struct cox_kube_request_spec spec = { .method = method, .path = path, .body = body };
	cox_kube_request_open(c, &spec, cb, out);
}

void cox_kube_apply(struct cox_kube_client *c, struct cox_str path, const char *field_manager, struct cox_str body,
                    const struct cox_kube_request_cb *cb, struct cox_kube_request **out)
{
	struct cox_buf full = { 0 };
	cox_buf_append_str(&full, path);
	cox_kube_path_query(&full, "fieldManager", cox_str_of(field_manager));
	cox_kube_path_query(&full, "force", COX_STR("true"));
	struct cox_kube_request_spec spec = {
		.method = "PATCH", .path = cox_buf_str(&full), .body = body, .content_type = "application/apply-patch+yaml"
	};
	cox_kube_request_open(c, &spec, cb, out);
	cox_buf_fini(&full);
}

void cox_kube_merge_patch(struct cox_kube_client *c, struct cox_str path, struct cox_str body, const struct cox_kube_request_cb *cb,
                          struct cox_kube_request **out)
{
	struct cox_kube_request_spec spec = {
		.method = "PATCH", .path = path, .body = body, .content_type = "application/merge-patch+json"
	};
	cox_kube_request_open(c, &spec, cb, out);
}
