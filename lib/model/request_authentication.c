#include "model/request_authentication.h"
#include "model/jwks_priv.h"
#include "model/policy_priv.h"

static const struct cox_field jwt_header_fields[] = {
	F(jwt_header, name, "name", STR, "Name of the header.", REQUIRED, .pattern = "nonEmpty"),
	F(jwt_header, prefix, "prefix", STR, "What stands in front of the token, with its space: \"Bearer \"."),
};
static MESSAGE(jwt_header, "JWTHeader", "A header with the token.");

static const struct cox_field jwt_claim_header_fields[] = {
	F(jwt_claim_header, header, "header", STR, "Name of the header.", REQUIRED, .pattern = "plainHeader"),
	F(jwt_claim_header, claim, "claim", STR, "Name of the claim; a.b for nested ones.", REQUIRED, .pattern = "nonEmpty"),
};
static MESSAGE(jwt_claim_header, "ClaimToHeader", "A claim that is copied into a header.");

#define TEXTS(member, json, text) F(jwt_rule, member, json, STR, text, LIST, .pattern = "nonEmpty")
static const struct cox_field jwt_rule_fields[] = {
	F(jwt_rule, issuer, "issuer", STR, "Who issued the token (claim iss)."),
	TEXTS(audiences, "audiences", "Audiences of which the token must have one."),
	F(jwt_rule, jwks_uri, "jwksUri", STR, "Where the keys are fetched; found by the issuer's discovery document by default.",
	  .alias = "jwks_uri", .pattern = "httpUrl", .max_len = 2048,
	  RULES({ "self.startsWith('http://') || self.startsWith('https://')", "must be a URL that begins with http:// or https://" })),
	F(jwt_rule, jwks, "jwks", STR, "The keys themselves: text of a JSON Web Key Set.", .max_len = 1024 * 1024),
	F(jwt_rule, from_headers, "fromHeaders", MSG, "Headers with the token; Authorization: Bearer by default.", LIST, SUB(jwt_header)),
	TEXTS(from_params, "fromParams", "Parameters of the query with the token."),
	F(jwt_rule, output_payload_to_header, "outputPayloadToHeader", STR, "Header that gets the payload, in base64url."),
	F(jwt_rule, forward_original_token, "forwardOriginalToken", BOOL, "Leaves the token in the request."),
	F(jwt_rule, output_claim_to_headers, "outputClaimToHeaders", MSG, "Claims that are copied into headers.", LIST,
	  SUB(jwt_claim_header)),
	F(jwt_rule, timeout_ns, "timeout", DURATION, "Time limit of fetching the keys; 5s by default.", FROM_1MS),
	TEXTS(from_cookies, "fromCookies", "Cookies with the token."),
	F(jwt_rule, space_delimited_claims, "spaceDelimitedClaims", STR, "Claims whose text is a list, separated by spaces.", LIST,
	  .pattern = "nonEmpty", .max_items = 64),
};
static void jwt_rule_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_jwt_rule *v = value;
	if (!v->issuer.n && !v->jwks_uri.n)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "one of issuer, jwksUri must be set");
	if (v->jwks.n)
		cox_model_jwks_check(v->jwks, path, d);
	if (v->jwks.n && v->jwks_uri.n)
		cox_diag_add(d, COX_SEV_WARNING, 0, path, "jwks is used, jwksUri is not; a cluster's schema allows one of them only");
}
static MESSAGE(jwt_rule, "JWTRule", "Tokens of one issuer.", .check = jwt_rule_check,
               RULES({ "[has(self.jwks), has(self.jwksUri), has(self.jwks_uri)].filter(is_set, is_set).size() <= 1",
                       "at most one of jwks, jwksUri may be set" }));

static const struct cox_field request_authentication_fields[] = {
	TARGET_FIELDS(request_authentication),
	F(request_authentication, jwt_rules, "jwtRules", MSG,
	  "Tokens that are taken. A request without one passes; with a bad one it does not.", LIST, SUB(jwt_rule), .max_items = 4096),
};
static void request_authentication_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_request_authentication *v = value;
	cox_model_target_check(&v->target, path, d);
}
static MESSAGE(request_authentication, "RequestAuthenticationSpec", "Which JWTs are taken.", .check = request_authentication_check,
               RULES(TARGET_RULE));

static const struct cox_field request_authentication_object_fields[] = {
	F(request_authentication_object, spec, "spec", MSG, "Which JWTs are taken.", SUB(request_authentication)),
};
static void request_authentication_object_check(const void *value, const char *path, struct cox_diags *d)
{
	(void)value, (void)path;
	/* Goes when policies become jwt_authn filters. */
	cox_diag_add(d, COX_SEV_WARNING, 0, "spec",
	             "NOT ENFORCED: this release checks RequestAuthentications but gives none to proxies; no token is verified because of "
	             "this object");
}
OBJECT(request_authentication, request_authentication_object, "RequestAuthentication",
       "Which JSON Web Tokens workloads take: of the mesh, a namespace, or chosen ones.", .open = true,
       .check = request_authentication_object_check);
