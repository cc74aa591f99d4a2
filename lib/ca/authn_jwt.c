#include "ca/authn_jwt.h"

#include "codec/b64.h"
#include "codec/json.h"

bool cox_jose_is_b64url(struct cox_str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
			return false;
	}
	return s.n > 0 && s.n % 4 != 1;
}

static enum cox_rc decode_part(struct cox_str part, const char *what, struct cox_arena *arena, struct cox_json **out, struct cox_err *err)
{
	struct cox_str bytes;
	if (!cox_jose_is_b64url(part) || cox_b64_decode(arena, part, false, &bytes) != COX_OK)
		return cox_err_set(err, COX_EINVAL, NULL, "the token's %s is not base64url", what);
	if (cox_json_parse(arena, bytes, out, NULL) != COX_OK || (*out)->type != COX_JSON_OBJECT)
		return cox_err_set(err, COX_EINVAL, NULL, "the token's %s is no JSON object", what);
	return COX_OK;
}

/* A time claim; RFC 7519 allows fractions. */
static enum cox_rc read_time(const struct cox_json *claims, struct cox_str name, int64_t *out, struct cox_err *err)
{
	const struct cox_json *v = cox_json_get(claims, name);
	double d;
	if (!v)
		return COX_OK;
	if (v->type != COX_JSON_NUMBER || cox_str_to_f64(v->text, &d) != COX_OK || d < 0 || d > 1e15)
		return cox_err_set(err, COX_EINVAL, NULL, "the token's claim %.*s is no time", COX_FMT(name));
	*out = (int64_t)d;
	return COX_OK;
}

static enum cox_rc read_str(const struct cox_json *object, struct cox_str name, struct cox_str *out, struct cox_err *err)
{
	const struct cox_json *v = cox_json_get(object, name);
	if (!v)
		return COX_OK;
	if (v->type != COX_JSON_STRING)
		return cox_err_set(err, COX_EINVAL, NULL, "the token's %.*s is no text", COX_FMT(name));
	*out = v->text;
	return COX_OK;
}

static enum cox_rc read_audiences(const struct cox_json *claims, struct cox_arena *arena, struct cox_jwt *out, struct cox_err *err)
{
	const struct cox_json *aud = cox_json_get(claims, COX_STR("aud"));
	if (!aud)
		return COX_OK;
	size_t n = aud->type == COX_JSON_ARRAY ? aud->n : 1;
	if (n > COX_JWT_AUDIENCES_MAX)
		return cox_err_set(err, COX_EINVAL, NULL, "the token has %zu audiences, more than %d", n, COX_JWT_AUDIENCES_MAX);
	struct cox_str *items = COX_ARENA_ARRAY(arena, struct cox_str, n ? n : 1);
	for (size_t i = 0; i < n; i++) {
		const struct cox_json *one = aud->type == COX_JSON_ARRAY ? &aud->items[i] : aud;
		if (one->type != COX_JSON_STRING)
			return cox_err_set(err, COX_EINVAL, NULL, "the token's claim aud is neither text nor a list of texts");
		items[i] = one->text;
	}
	out->audiences = items;
	out->audience_n = n;
	return COX_OK;
}

enum cox_rc cox_jwt_parse(struct cox_str token, struct cox_arena *arena, struct cox_jwt *out, struct cox_err *err)
{
	struct cox_jwt j = { .text = token };
	struct cox_str rest = token, parts[3], more;
	struct cox_json *header, *claims;
	if (token.n > COX_JWT_BYTES_MAX)
		return cox_err_set(err, COX_ELIMIT, NULL, "the token has %zu bytes, more than %d", token.n, COX_JWT_BYTES_MAX);
	for (size_t i = 0; i < COX_LEN(parts); i++)
		if (!cox_str_next(&rest, '.', &parts[i]) || parts[i].n == 0)
			return cox_err_set(err, COX_EINVAL, NULL, "the token is not three parts with dots between");
	if (cox_str_next(&rest, '.', &more))
		return cox_err_set(err, COX_EINVAL, NULL, "the token is not three parts with dots between");
	/* Not decoded here, but by cjose, which takes no wrong one. */
	if (!cox_jose_is_b64url(parts[2]) || cox_b64_decode(arena, parts[2], false, &more) != COX_OK)
		return cox_err_set(err, COX_EINVAL, NULL, "the token's signature is not base64url");
	COX_TRY(decode_part(parts[0], "header", arena, &header, err));
	COX_TRY(decode_part(parts[1], "payload", arena, &claims, err));
	COX_TRY(read_str(header, COX_STR("alg"), &j.alg, err));
	COX_TRY(read_str(header, COX_STR("kid"), &j.kid, err));
	if (j.alg.n == 0 || cox_str_eq_nocase(j.alg, COX_STR("none")))
		return cox_err_set(err, COX_EINVAL, NULL, "the token is not signed");
	if (cox_json_get(header, COX_STR("crit")))
		return cox_err_set(err, COX_EINVAL, NULL, "the token has critical headers, and none is understood");
	COX_TRY(read_str(claims, COX_STR("iss"), &j.issuer, err));
	COX_TRY(read_str(claims, COX_STR("sub"), &j.subject, err));
	COX_TRY(read_audiences(claims, arena, &j, err));
	COX_TRY(read_time(claims, COX_STR("exp"), &j.exp_s, err));
	COX_TRY(read_time(claims, COX_STR("nbf"), &j.nbf_s, err));
	COX_TRY(read_time(claims, COX_STR("iat"), &j.iat_s, err));
	*out = j;
	return COX_OK;
}

static bool is_for(const struct cox_jwt *j, const struct cox_str *audiences, size_t n)
{
	for (size_t i = 0; i < j->audience_n; i++)
		for (size_t k = 0; k < n; k++)
			if (cox_str_eq(j->audiences[i], audiences[k]))
				return true;
	return false;
}

enum cox_rc cox_jwt_check(const struct cox_jwt *j, struct cox_str issuer, const struct cox_str *audiences, size_t n, int64_t now_s,
                          struct cox_err *err)
{
	if (!cox_str_eq(j->issuer, issuer))
		return cox_err_set(err, COX_EAUTH, NULL, "issuer \"%.*s\" is not \"%.*s\"", COX_FMT(cox_str_sub(j->issuer, 0, 100)),
		                   COX_FMT(cox_str_sub(issuer, 0, 100)));
	if (j->exp_s == 0)
		return cox_err_set(err, COX_EAUTH, NULL, "the token never expires");
	if (now_s > j->exp_s + COX_JWT_SKEW_S)
		return cox_err_set(err, COX_EAUTH, NULL, "the token expired %lld s ago", (long long)(now_s - j->exp_s));
	if (now_s + COX_JWT_SKEW_S < j->nbf_s)
		return cox_err_set(err, COX_EAUTH, NULL, "the token is valid in %lld s only", (long long)(j->nbf_s - now_s));
	if (now_s + COX_JWT_SKEW_S < j->iat_s)
		return cox_err_set(err, COX_EAUTH, NULL, "the token was issued in the future");
	if (!is_for(j, audiences, n))
		return cox_err_set(err, COX_EAUTH, NULL, "the token is for \"%.*s\"%s, not for us",
		                   COX_FMT(j->audience_n ? cox_str_sub(j->audiences[0], 0, 100) : COX_STR("")),
		                   j->audience_n > 1 ? " and others" : "");
	return COX_OK;
}

bool cox_service_account_split(struct cox_str subject, struct cox_str *ns, struct cox_str *name)
{
	static const struct cox_str prefix = COX_STR_INIT("system:serviceaccount:");
	if (!cox_str_has_prefix(subject, prefix))
		return false;
	struct cox_str rest = cox_str_sub(subject, prefix.n, subject.n), more;
	return cox_str_next(&rest, ':', ns) && cox_str_next(&rest, ':', name) && !cox_str_next(&rest, ':', &more) && ns->n && name->n;
}
