/* authn_identity - identities, and the two authenticators that need nobody else: client certificate and XFCC. */
#include "ca/authn_priv.h"

#include "base/clock.h"
#include "ca/cert.h"
#include "ca/spiffe.h"

const char *cox_authn_how_name(enum cox_authn_how how)
{
	static const char *const names[] = { "none", "client-certificate", "jwt", "token-review", "xfcc" };
	return (size_t)how < COX_LEN(names) ? names[how] : "unknown";
}

const struct cox_identity *cox_identity_ref(const struct cox_identity *i)
{
	cox_ref_get((struct cox_ref *)(uintptr_t)&i->ref);
	return i;
}

void cox_identity_unref(const struct cox_identity *i)
{
	if (i && cox_ref_put((struct cox_ref *)(uintptr_t)&i->ref))
		cox_free((void *)(uintptr_t)i);
}

static struct cox_str put(char **at, struct cox_str s)
{
	char *here = *at;
	if (s.n)
		memcpy(here, s.p, s.n);
	here[s.n] = 0;
	*at += s.n + 1;
	return cox_str_make(here, s.n);
}

const struct cox_identity *authn_identity_make(const struct cox_identity *parts)
{
	size_t bytes = sizeof(*parts) + parts->uri_n * sizeof(struct cox_str) + parts->node_name.n + parts->pod_name.n + parts->pod_uid.n +
	               parts->cert_serial.n + 4;
	for (size_t k = 0; k < parts->uri_n; k++)
		bytes += parts->uris[k].n + 1;
	struct cox_identity *i = cox_zalloc(bytes);
	struct cox_str *uris = (struct cox_str *)(void *)(i + 1);
	char *at = (char *)(uris + parts->uri_n);
	cox_ref_init(&i->ref);
	i->how = parts->how;
	i->uris = uris;
	i->uri_n = parts->uri_n;
	for (size_t k = 0; k < parts->uri_n; k++)
		uris[k] = put(&at, parts->uris[k]);
	i->node_name = put(&at, parts->node_name);
	i->pod_name = put(&at, parts->pod_name);
	i->pod_uid = put(&at, parts->pod_uid);
	i->cert_serial = put(&at, parts->cert_serial);
	return i;
}

static bool is_trusted(const struct cox_authn *a, struct cox_str trust_domain)
{
	for (size_t i = 0; i < a->alias_n; i++)
		if (cox_str_eq(a->aliases[i], trust_domain))
			return true;
	return cox_str_eq(cox_authn_trust_domain(a), trust_domain);
}

bool authn_identity_set_uris(const struct cox_authn *a, struct cox_identity *parts, const struct cox_str *uris, size_t n,
                             struct cox_arena *arena, struct cox_err *reason)
{
	struct cox_str *out = COX_ARENA_ARRAY(arena, struct cox_str, n ? n : 1);
	struct cox_spiffe_id id;
	parts->uris = out;
	parts->uri_n = 0;
	if (n == 0)
		cox_err_set(reason, COX_EAUTH, NULL, "no URI in it");
	for (size_t k = 0; k < n; k++) {
		if (cox_spiffe_parse(uris[k], &id, reason) != COX_OK)
			continue;
		if (!is_trusted(a, id.trust_domain)) {
			cox_err_set(reason, COX_EAUTH, NULL, "trust domain \"%.*s\" is not ours",
			            COX_FMT(cox_str_sub(id.trust_domain, 0, 100)));
			continue;
		}
		out[parts->uri_n++] = uris[k];
	}
	return parts->uri_n > 0;
}

enum cox_rc authn_identity_set_account(const struct cox_authn *a, struct cox_identity *parts, struct cox_str ns, struct cox_str name,
                                       struct cox_arena *arena, struct cox_err *err)
{
	struct cox_spiffe_id id = { cox_authn_trust_domain(a), ns, name };
	COX_AUTO(cox_buf_fini) struct cox_buf uri = { 0 };
	cox_spiffe_format(&id, &uri);
	COX_TRY(cox_spiffe_parse(cox_buf_str(&uri), &id, err));
	struct cox_str *out = COX_ARENA_NEW(arena, struct cox_str);
	*out = cox_arena_str(arena, cox_buf_str(&uri));
	parts->uris = out;
	parts->uri_n = 1;
	return COX_OK;
}

enum authn_says authn_try_cert(struct cox_authn_ticket *t)
{
	struct cox_cert_info info;
	struct cox_err err = { 0 };
	int64_t now_s = cox_clock_wall_ms() / 1000;
	if (!t->is_tls || !t->cert_der.n)
		return authn_refuse(t, "client certificate", "none");
	if (!t->is_verified)
		return authn_refuse(t, "client certificate", "not verified");
	if (cox_cert_read_der(t->cert_der, &t->arena, &info, &err) != COX_OK)
		return authn_refuse(t, "client certificate", "%s", err.text);
	/* It was valid when the connection was made, which may be long ago. */
	if (now_s >= info.not_after_s)
		return authn_refuse(t, "client certificate", "expired on this connection");
	struct cox_identity who = { .how = COX_AUTHN_CERT, .cert_serial = cox_str_of(info.serial) };
	if (!authn_identity_set_uris(t->a, &who, t->uris, t->uri_n, &t->arena, &err))
		return authn_refuse(t, "client certificate", "%s", err.text);
	t->who = authn_identity_make(&who);
	return AUTHN_YES;
}

enum authn_says authn_try_xfcc(struct cox_authn_ticket *t)
{
	struct cox_str uris[COX_XFCC_URIS_MAX];
	size_t n;
	struct cox_err err = { 0 };
	if (t->xfcc_n == 0)
		return authn_refuse(t, "XFCC", "none");
	if (!t->is_loopback && !cox_cidrs_have(&t->a->gateways, t->peer_address))
		return authn_refuse(t, "XFCC", "%.*s is not a trusted gateway", COX_FMT(cox_str_sub(t->peer_address, 0, 60)));
	/* Lines of one header are one list: the last line ends it. */
	if (cox_xfcc_uris(t->xfcc[t->xfcc_n - 1], &t->arena, uris, &n, &err) != COX_OK)
		return authn_refuse(t, "XFCC", "%s", err.text);
	struct cox_identity who = { .how = COX_AUTHN_XFCC };
	if (!authn_identity_set_uris(t->a, &who, uris, n, &t->arena, &err))
		return authn_refuse(t, "XFCC", "%s", err.text);
	t->who = authn_identity_make(&who);
	return AUTHN_YES;
}
