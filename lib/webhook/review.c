/* AdmissionReviews in and out. */
#include "webhook/webhook_priv.h"

#include "codec/b64.h"

enum cox_rc webhook_review_parse(struct cox_arena *arena, struct cox_str body, struct webhook_review *out, struct cox_err *err)
{
	struct cox_json *doc = NULL;
	*out = (struct webhook_review){ 0 };
	enum cox_rc rc = cox_json_parse(arena, body, &doc, err);
	if (rc != COX_OK)
		return rc;
	out->api_version = cox_json_str_at(doc, "apiVersion");
	if (!cox_str_eq_cstr(cox_json_str_at(doc, "kind"), "AdmissionReview"))
		return cox_err_set(err, COX_EINVAL, "kind", "an AdmissionReview is wanted");
	if (!cox_str_eq_cstr(out->api_version, "admission.k8s.io/v1") && !cox_str_eq_cstr(out->api_version, "admission.k8s.io/v1beta1"))
		return cox_err_set(err, COX_EINVAL, "apiVersion", "\"%.*s\": admission.k8s.io/v1 or v1beta1", COX_FMT(out->api_version));
	const struct cox_json *request = cox_json_get(doc, COX_STR("request"));
	if (!request || request->type != COX_JSON_OBJECT)
		return cox_err_set(err, COX_EINVAL, "request", "the review has no request");
	out->uid = cox_json_str_at(request, "uid");
	if (out->uid.n == 0)
		return cox_err_set(err, COX_EINVAL, "request.uid", "the request has no uid");
	out->operation = cox_json_str_at(request, "operation");
	out->ns = cox_json_str_at(request, "namespace");
	out->name = cox_json_str_at(request, "name");
	out->group = cox_json_str_at(request, "kind.group");
	out->version = cox_json_str_at(request, "kind.version");
	out->kind = cox_json_str_at(request, "kind.kind");
	out->object = cox_json_get(request, COX_STR("object"));
	const struct cox_json *dry = cox_json_get(request, COX_STR("dryRun"));
	out->dry_run = dry && dry->type == COX_JSON_BOOL && dry->boolean;
	return COX_OK;
}

void webhook_answer_write(struct cox_buf *out, const struct webhook_review *r, const struct webhook_answer *a)
{
	cox_buf_append_cstr(out, "{\"apiVersion\":");
	cox_json_write_str(out, r->api_version);
	cox_buf_append_cstr(out, ",\"kind\":\"AdmissionReview\",\"response\":{\"uid\":");
	cox_json_write_str(out, r->uid);
	cox_buf_printf(out, ",\"allowed\":%s", a->allowed ? "true" : "false");
	if (!a->allowed) {
		cox_buf_printf(out, ",\"status\":{\"status\":\"Failure\",\"reason\":\"%s\",\"code\":%d,\"message\":",
		               a->code == 422 ? "Invalid" : "BadRequest", a->code);
		cox_json_write_str(out, a->message);
		cox_buf_append_char(out, '}');
	}
	if (a->patch.n > 0) {
		cox_buf_append_cstr(out, ",\"patchType\":\"JSONPatch\",\"patch\":\"");
		cox_b64_encode(out, a->patch);
		cox_buf_append_char(out, '"');
	}
	/* v1beta1 knows warnings since Kubernetes 1.19; older servers pass them over. */
	for (size_t i = 0; i < a->warnings.n; i++) {
		cox_buf_append_cstr(out, i == 0 ? ",\"warnings\":[" : ",");
		cox_json_write_str(out, a->warnings.p[i]);
	}
	cox_buf_append_cstr(out, a->warnings.n ? "]}}" : "}}");
}
