/* gateway_tls.c - the downstream TLS of a Gateway's server: certificates by SDS name, client checks, parameters. */
#include "translate/gateway_priv.h"

static const struct cox_str http_alpn[] = { COX_STR_INIT("h2"), COX_STR_INIT("http/1.1") };
static const struct cox_str workload_cert = COX_STR_INIT("default"), workload_root = COX_STR_INIT("ROOTCA");

static struct cox_str file_cert(struct cox_arena *a, struct cox_str cert, struct cox_str key)
{
	return cert.n ? cox_arena_printf(a, "file-cert:%.*s~%.*s", COX_FMT(cert), COX_FMT(key)) : (struct cox_str){ 0 };
}
static struct cox_str file_root(struct cox_arena *a, struct cox_str ca)
{
	return ca.n ? cox_arena_printf(a, "file-root:%.*s", COX_FMT(ca)) : (struct cox_str){ 0 };
}

static void set_certs(struct cox_arena *a, const struct cox_server_tls *tls, bool checks_client, struct cox_downstream_tls *d)
{
	if (tls->credential_name.n || tls->credential_names.n) {
		size_t n = tls->credential_names.n;
		struct cox_str *certs = COX_ARENA_ARRAY(a, struct cox_str, n + 1);
		for (size_t i = 0; i < n; i++)
			certs[i] = cox_tls_secret_name(a, tls->credential_names.p[i], "");
		d->cert = tls->credential_name.n ? cox_tls_secret_name(a, tls->credential_name, "") : certs[0];
		d->certs = certs;
		d->cert_n = n > 1 || (n == 1 && !tls->credential_name.n) ? n : 0;
		if (checks_client)
			d->root = tls->ca_cert_credential_name.n
			              ? cox_tls_secret_name(a, tls->ca_cert_credential_name, "-cacert")
			              : cox_tls_secret_name(a, tls->credential_name.n ? tls->credential_name : tls->credential_names.p[0],
			                                    "-cacert");
		return;
	}
	if (tls->tls_certificates.n) {
		struct cox_str *certs = COX_ARENA_ARRAY(a, struct cox_str, tls->tls_certificates.n);
		for (size_t i = 0; i < tls->tls_certificates.n; i++)
			certs[i] = file_cert(a, tls->tls_certificates.p[i].server_certificate, tls->tls_certificates.p[i].private_key);
		d->certs = certs;
		d->cert_n = tls->tls_certificates.n;
		d->cert = certs[0];
	} else {
		d->cert = file_cert(a, tls->server_certificate, tls->private_key);
	}
	if (checks_client)
		d->root = file_root(a, tls->ca_certificates);
}

/* What the server leaves open: the mesh's own TLS for ISTIO_MUTUAL, else its defaults. */
static void set_mesh_params(const struct cox_mesh_config *mesh, const struct cox_server_tls *tls, struct cox_downstream_tls *d)
{
	const struct cox_mesh_tls *m = tls->mode == COX_SERVER_TLS_ISTIO_MUTUAL ? mesh->mesh_mtls : mesh->tls_defaults;
	if (!m)
		return;
	if (!d->cipher_n)
		d->ciphers = m->cipher_suites.p, d->cipher_n = m->cipher_suites.n;
	if (!d->curve_n)
		d->curves = m->ecdh_curves.p, d->curve_n = m->ecdh_curves.n;
	if (!d->min_version && (!d->max_version || d->max_version >= m->min_protocol_version))
		d->min_version = m->min_protocol_version;
}

static void set_params(const struct cox_server_tls *tls, struct cox_downstream_tls *d)
{
	d->ciphers = tls->cipher_suites.p;
	d->cipher_n = tls->cipher_suites.n;
	d->curves = tls->ecdh_curves.p;
	d->curve_n = tls->ecdh_curves.n;
	d->spki = tls->verify_certificate_spki.p;
	d->spki_n = tls->verify_certificate_spki.n;
	d->hashes = tls->verify_certificate_hash.p;
	d->hash_n = tls->verify_certificate_hash.n;
	/* The enums of the API and of Envoy count alike: AUTO, 1.0, 1.1, 1.2, 1.3. */
	d->min_version = tls->min_protocol_version;
	d->max_version = tls->max_protocol_version;
	d->crl = tls->ca_crl;
}

/* Files and the workload's own certificate come from the agent. */
static bool needs_agent(const struct cox_downstream_tls *d)
{
	bool needs = d->cert_n == 0 && !cox_tls_secret_is_ours(d->cert);
	for (size_t i = 0; i < d->cert_n; i++)
		needs |= !cox_tls_secret_is_ours(d->certs[i]);
	return needs || (d->root.n && !cox_tls_secret_is_ours(d->root));
}

/* Notes the name, whether it may be had or not: /debug/secretz says why. */
static bool may_have(struct gw_plan *p, struct cox_str name)
{
	struct cox_secret_ref ref;
	if (!cox_tls_secret_is_ours(name))
		return true;
	if (p->secrets)
		cox_secret_names_add(p->secrets, name);
	if (!cox_secret_ref_parse(name, p->t->view->ns, &ref))
		return false;
	enum cox_secret_state may = cox_secret_may(p->t->s, p->w, &ref);
	return may == COX_SECRET_SERVED || may == COX_SECRET_ASKING;
}

static bool may_have_secrets(struct gw_plan *p, const struct cox_downstream_tls *d)
{
	bool may = true;
	for (size_t i = 0; i < d->cert_n; i++)
		may &= may_have(p, d->certs[i]);
	if (d->cert_n == 0)
		may &= may_have(p, d->cert);
	return may_have(p, d->root) && may;
}

bool gw_tls_build(struct gw_plan *p, const struct gw_server *s, const struct cox_downstream_tls **out)
{
	const struct cox_server_tls *tls = s->server->tls;
	bool terminates = tls && tls->mode != COX_SERVER_TLS_PASSTHROUGH && tls->mode != COX_SERVER_TLS_AUTO_PASSTHROUGH &&
	                  cox_protocol_is_tls(s->protocol);
	*out = NULL;
	if (!terminates)
		return true;
	struct cox_arena *a = p->t->arena;
	struct cox_downstream_tls *d = COX_ARENA_NEW(a, struct cox_downstream_tls);
	bool checks = tls->mode == COX_SERVER_TLS_MUTUAL || tls->mode == COX_SERVER_TLS_OPTIONAL_MUTUAL;
	if (tls->mode == COX_SERVER_TLS_ISTIO_MUTUAL) {
		d->cert = workload_cert;
		d->root = workload_root;
	} else {
		set_certs(a, tls, checks, d);
	}
	set_params(tls, d);
	set_mesh_params(p->t->s->mesh, tls, d);
	d->accepts_untrusted = checks && tls->insecure_skip_verify.v;
	/* An authority that the rule itself does not name need not exist. (Without any, Envoy asks for a certificate and takes none, too.)
	 */
	if (d->accepts_untrusted && !tls->ca_cert_credential_name.n && !tls->ca_certificates.n)
		d->root = (struct cox_str){ 0 };
	d->compliance = p->t->s->compliance;
	d->requires_client_cert = tls->mode == COX_SERVER_TLS_MUTUAL || tls->mode == COX_SERVER_TLS_ISTIO_MUTUAL;
	d->sans = tls->subject_alt_names.p;
	d->san_n = tls->subject_alt_names.n;
	d->alpn = http_alpn;
	d->alpn_n = COX_LEN(http_alpn);
	if (!d->cert.n && !d->cert_n)
		return false; /* a server without a certificate would reset every connection; validation reports it */
	if (checks && !d->root.n && !d->accepts_untrusted)
		return false; /* nothing to check clients with: anybody would be let in */
	if (!p->t->view->has_sds && needs_agent(d))
		return false;
	/* A secret that never comes would hold up the whole listener, with all its other servers. */
	if (!may_have_secrets(p, d))
		return false;
	*out = d;
	return true;
}
