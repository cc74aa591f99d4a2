#include "ca/authn_review.h"

#include "ca/authn_jwt.h"
#include "codec/json.h"

void cox_review_write(struct cox_str token, const struct cox_str *audiences, size_t n, struct cox_buf *out)
{
	cox_buf_append_cstr(out, "{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"TokenReview\",\"spec\":{\"token\":");
	cox_json_write_str(out, token);
	cox_buf_append_cstr(out, ",\"audiences\":[");
	for (size_t i = 0; i < n; i++) {
		if (i)
			cox_buf_append_char(out, ',');
		cox_json_write_str(out, audiences[i]);
	}
	cox_buf_append_cstr(out, "]}}");
}

static bool list_has(const struct cox_json *list, struct cox_str wanted)
{
	for (size_t i = 0; list && list->type == COX_JSON_ARRAY && i < list->n; i++)
		if (list->items[i].type == COX_JSON_STRING && cox_str_eq(list->items[i].text, wanted))
			return true;
	return false;
}

/* user.extra is a map of lists; keys have dots, so no dotted path. */
static struct cox_str extra(const struct cox_json *user, struct cox_str key)
{
	const struct cox_json *list = cox_json_get(cox_json_get(user, COX_STR("extra")), key);
	bool is_text = list && list->type == COX_JSON_ARRAY && list->n == 1 && list->items[0].type == COX_JSON_STRING;
	return is_text ? list->items[0].text : COX_STR("");
}

enum cox_rc cox_review_read(struct cox_str body, const struct cox_str *audiences, size_t n, struct cox_arena *arena, struct cox_review *out,
                            struct cox_err *err)
{
	struct cox_json *root;
	struct cox_review r = { 0 };
	if (cox_json_parse(arena, body, &root, NULL) != COX_OK)
		return cox_err_set(err, COX_EPROTO, NULL, "the answer to a TokenReview is no JSON");
	const struct cox_json *status = cox_json_get(root, COX_STR("status")), *user = cox_json_get(status, COX_STR("user"));
	if (!cox_str_eq(cox_json_str_at(root, "kind"), COX_STR("TokenReview")) || !status || status->type != COX_JSON_OBJECT)
		return cox_err_set(err, COX_EPROTO, NULL, "the answer to a TokenReview is no TokenReview with a status");
	const struct cox_json *authenticated = cox_json_get(status, COX_STR("authenticated"));
	struct cox_str error = cox_json_str_at(status, "error");
	if (!authenticated || authenticated->type != COX_JSON_BOOL || !authenticated->boolean)
		return cox_err_set(err, COX_EAUTH, NULL, "the kube-apiserver does not accept the token%s%.*s", error.n ? ": " : "",
		                   COX_FMT(cox_str_sub(error, 0, 200)));
	if (error.n)
		return cox_err_set(err, COX_EAUTH, NULL, "the kube-apiserver could not check the token: %.*s",
		                   COX_FMT(cox_str_sub(error, 0, 200)));
	/* A server that knows no audiences answers with none, and its yes is for any of them: Kubernetes asks callers to look. */
	bool is_for_us = false;
	for (size_t i = 0; i < n; i++)
		is_for_us |= list_has(cox_json_get(status, COX_STR("audiences")), audiences[i]);
	if (!is_for_us)
		return cox_err_set(err, COX_EAUTH, NULL, "the token is for another audience");
	if (!list_has(cox_json_get(user, COX_STR("groups")), COX_STR("system:serviceaccounts")) ||
	    !cox_service_account_split(cox_json_str_at(user, "username"), &r.ns, &r.service_account))
		return cox_err_set(err, COX_EAUTH, NULL, "the token is not of a service account");
	r.pod_name = extra(user, COX_STR("authentication.kubernetes.io/pod-name"));
	r.pod_uid = extra(user, COX_STR("authentication.kubernetes.io/pod-uid"));
	r.node_name = extra(user, COX_STR("authentication.kubernetes.io/node-name"));
	*out = r;
	return COX_OK;
}
