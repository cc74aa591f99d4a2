#include "translate/common_tls.h"

#define SDS_WORKLOAD COX_STR("default")
#define SDS_ROOT COX_STR("ROOTCA")
/* Where Debian-like images keep the trusted roots: for proxies without an agent, which else would resolve "system". */
#define SYSTEM_ROOTS COX_STR("/etc/ssl/certs/ca-certificates.crt")

/* From the agent, over the cluster that the bootstrap has for it. */
static void sds_agent_write(struct pb_core_v3_ConfigSource cs)
{
	PB_WITH (api, pb_core_v3_ConfigSource_api_config_source(cs)) {
		pb_core_v3_ApiConfigSource_api_type(api, PB_core_v3_ApiConfigSource_GRPC);
		PB_WITH (svc, pb_core_v3_ApiConfigSource_grpc_services(api))
			PB_WITH (grpc, pb_core_v3_GrpcService_envoy_grpc(svc))
				pb_core_v3_GrpcService_EnvoyGrpc_cluster_name(grpc, COX_STR("sds-grpc"));
		pb_core_v3_ApiConfigSource_set_node_on_first_message_only(api, true);
		pb_core_v3_ApiConfigSource_transport_api_version(api, PB_core_v3_V3);
	}
}

bool cox_tls_secret_is_ours(struct cox_str name)
{
	return cox_str_has_prefix(name, COX_STR("kubernetes://")) || cox_str_has_prefix(name, COX_STR("kubernetes-gateway://")) ||
	       cox_str_has_prefix(name, COX_STR("configmap://"));
}

struct cox_str cox_tls_secret_name(struct cox_arena *a, struct cox_str credential, const char *suffix)
{
	if (cox_str_has_prefix(credential, COX_STR("builtin://")))
		return *suffix ? SDS_ROOT : SDS_WORKLOAD;
	const char *scheme = cox_str_search(credential, COX_STR("://")) >= 0 ? "" : "kubernetes://";
	return cox_arena_printf(a, "%s%.*s%s", scheme, COX_FMT(credential), suffix);
}

void cox_tls_sds_secret(struct pb_transport_sockets_tls_v3_SdsSecretConfig c, struct cox_str name)
{
	pb_transport_sockets_tls_v3_SdsSecretConfig_name(c, name);
	PB_WITH (cs, pb_transport_sockets_tls_v3_SdsSecretConfig_sds_config(c)) {
		if (cox_tls_secret_is_ours(name))
			PB_WITH (ads, pb_core_v3_ConfigSource_ads(cs)) {
			}
		else
			sds_agent_write(cs);
		/* The workload's own certificate can take as long as the first CSR: the listener or cluster waits without end. */
		if (cox_str_eq(name, SDS_WORKLOAD) || cox_str_eq(name, SDS_ROOT))
			pb_core_v3_ConfigSource_initial_fetch_timeout(cs, 0);
		pb_core_v3_ConfigSource_resource_api_version(cs, PB_core_v3_V3);
	}
}

void cox_tls_san_matchers(struct pb_transport_sockets_tls_v3_CertificateValidationContext v, const struct cox_str *sans, size_t n)
{
	for (size_t i = 0; i < n; i++)
		PB_WITH (m, pb_transport_sockets_tls_v3_CertificateValidationContext_match_subject_alt_names(v)) {
			if (sans[i].n > 0 && sans[i].p[sans[i].n - 1] == '*')
				pb_type_matcher_v3_StringMatcher_prefix(m, cox_str_sub(sans[i], 0, sans[i].n - 1));
			else
				pb_type_matcher_v3_StringMatcher_exact(m, sans[i]);
		}
}

void cox_tls_raw(struct pb_core_v3_TransportSocket s)
{
	pb_core_v3_TransportSocket_name(s, COX_SOCKET_RAW);
	PB_ANY (raw, pb_core_v3_TransportSocket_typed_config(s), pb_transport_sockets_raw_buffer_v3_RawBuffer) {
	}
}

static void crl_write(struct pb_transport_sockets_tls_v3_CertificateValidationContext v, struct cox_str file)
{
	if (file.n > 0)
		PB_WITH (crl, pb_transport_sockets_tls_v3_CertificateValidationContext_crl(v))
			pb_core_v3_DataSource_filename(crl, file);
}

/* Validation by a root from SDS, with SANs and a CRL where given. */
static void validation_sds_write(struct pb_transport_sockets_tls_v3_CommonTlsContext c, struct cox_str root, const struct cox_str *sans,
                                 size_t san_n, struct cox_str crl)
{
	PB_WITH (combined, pb_transport_sockets_tls_v3_CommonTlsContext_combined_validation_context(c)) {
		/* Envoy wants the default context present, though it may be empty. */
		PB_WITH (v, pb_transport_sockets_tls_v3_CommonTlsContext_CombinedCertificateValidationContext_default_validation_context(
		                combined)) {
			cox_tls_san_matchers(v, sans, san_n);
			crl_write(v, crl);
		}
		PB_WITH (
		    sds,
		    pb_transport_sockets_tls_v3_CommonTlsContext_CombinedCertificateValidationContext_validation_context_sds_secret_config(
		        combined))
			cox_tls_sds_secret(sds, root);
	}
}

static void certificate_sds_write(struct pb_transport_sockets_tls_v3_CommonTlsContext c, struct cox_str name)
{
	PB_WITH (sds, pb_transport_sockets_tls_v3_CommonTlsContext_tls_certificate_sds_secret_configs(c))
		cox_tls_sds_secret(sds, name);
}

static void alpn_write(struct pb_transport_sockets_tls_v3_CommonTlsContext c, const struct cox_str *alpn, size_t n)
{
	for (size_t i = 0; i < n; i++)
		pb_transport_sockets_tls_v3_CommonTlsContext_alpn_protocols(c, alpn[i]);
}

/* --- downstream --------------------------------------------------------------------------- */

/* Versions, ciphers and curves; zero and none: Envoy's own. */
struct tls_params {
	int min_version, max_version;
	const struct cox_str *ciphers, *curves;
	size_t cipher_n, curve_n;
	bool is_fips_202205;
};

static const struct cox_str fips_ciphers[] = {
	COX_STR_INIT("ECDHE-ECDSA-AES128-GCM-SHA256"),
	COX_STR_INIT("ECDHE-RSA-AES128-GCM-SHA256"),
	COX_STR_INIT("ECDHE-ECDSA-AES256-GCM-SHA384"),
	COX_STR_INIT("ECDHE-RSA-AES256-GCM-SHA384"),
};

/* Those of `wanted` that are allowed, in their order; all that are allowed where none is left. Only a FIPS build of Envoy would be right to
 * choose for itself. */
static const struct cox_str *narrow(struct cox_arena *a, const struct cox_str *wanted, size_t n, const struct cox_str *allowed,
                                    size_t allowed_n, size_t *out_n)
{
	struct cox_str *kept = COX_ARENA_ARRAY(a, struct cox_str, n + 1);
	*out_n = 0;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < allowed_n; k++)
			if (cox_str_eq(wanted[i], allowed[k]))
				kept[(*out_n)++] = wanted[i];
	if (*out_n > 0)
		return kept;
	*out_n = allowed_n;
	return allowed;
}

static void comply(struct cox_arena *a, enum cox_compliance policy, struct tls_params *p)
{
	static const struct cox_str p256[] = { COX_STR_INIT("P-256") }, nist[] = { COX_STR_INIT("P-256"), COX_STR_INIT("P-384") };
	static const struct cox_str hybrid[] = { COX_STR_INIT("X25519MLKEM768") };
	const int v1_2 = PB_transport_sockets_tls_v3_TlsParameters_TLSv1_2, v1_3 = PB_transport_sockets_tls_v3_TlsParameters_TLSv1_3;

	switch (policy) {
	case COX_COMPLIANCE_NONE: return;
	case COX_COMPLIANCE_FIPS_140_2:
		p->min_version = p->max_version = v1_2;
		p->curves = p256;
		p->curve_n = COX_LEN(p256);
		break;
	case COX_COMPLIANCE_FIPS_140_3:
		p->min_version = p->min_version > v1_2 ? p->min_version : v1_2;
		p->max_version = p->max_version == v1_2 && p->min_version == v1_2 ? v1_2 : v1_3;
		p->curves = narrow(a, p->curves, p->curve_n, nist, COX_LEN(nist), &p->curve_n);
		/* Of TLS 1.3 no list can be given: this keeps ChaCha20 out there too. */
		p->is_fips_202205 = true;
		break;
	case COX_COMPLIANCE_PQC:
		p->min_version = p->max_version = v1_3;
		p->curves = hybrid;
		p->curve_n = COX_LEN(hybrid);
		p->cipher_n = 0; /* they are for TLS 1.2 */
		return;
	}
	p->ciphers = narrow(a, p->ciphers, p->cipher_n, fips_ciphers, COX_LEN(fips_ciphers), &p->cipher_n);
}

static void params_write(struct pb_transport_sockets_tls_v3_CommonTlsContext c, const struct tls_params *p)
{
	if (p->min_version == 0 && p->max_version == 0 && p->cipher_n == 0 && p->curve_n == 0)
		return;
	PB_WITH (w, pb_transport_sockets_tls_v3_CommonTlsContext_tls_params(c)) {
		pb_transport_sockets_tls_v3_TlsParameters_tls_minimum_protocol_version(w, p->min_version);
		pb_transport_sockets_tls_v3_TlsParameters_tls_maximum_protocol_version(w, p->max_version);
		for (size_t i = 0; i < p->cipher_n; i++)
			pb_transport_sockets_tls_v3_TlsParameters_cipher_suites(w, p->ciphers[i]);
		for (size_t i = 0; i < p->curve_n; i++)
			pb_transport_sockets_tls_v3_TlsParameters_ecdh_curves(w, p->curves[i]);
		if (p->is_fips_202205)
			pb_transport_sockets_tls_v3_TlsParameters_compliance_policies(
			    w, PB_transport_sockets_tls_v3_TlsParameters_FIPS_202205);
	}
}

/* What the client's certificate is checked against, beside its authority. */
static void downstream_checks_write(struct pb_transport_sockets_tls_v3_CertificateValidationContext v, const struct cox_downstream_tls *d)
{
	cox_tls_san_matchers(v, d->sans, d->san_n);
	for (size_t i = 0; i < d->spki_n; i++)
		pb_transport_sockets_tls_v3_CertificateValidationContext_verify_certificate_spki(v, d->spki[i]);
	for (size_t i = 0; i < d->hash_n; i++)
		pb_transport_sockets_tls_v3_CertificateValidationContext_verify_certificate_hash(v, d->hashes[i]);
	crl_write(v, d->crl);
}

static void trust_write(struct pb_transport_sockets_tls_v3_CertificateValidationContext v, const struct cox_downstream_tls *d)
{
	if (d->accepts_untrusted)
		pb_transport_sockets_tls_v3_CertificateValidationContext_trust_chain_verification(
		    v, PB_transport_sockets_tls_v3_CertificateValidationContext_ACCEPT_UNTRUSTED);
}

static void downstream_validation_write(struct pb_transport_sockets_tls_v3_CommonTlsContext c, const struct cox_downstream_tls *d)
{
	if (d->root.n == 0 && !d->accepts_untrusted)
		return;
	if (d->root.n == 0) {
		PB_WITH (v, pb_transport_sockets_tls_v3_CommonTlsContext_validation_context(c)) {
			downstream_checks_write(v, d);
			trust_write(v, d);
		}
		return;
	}
	PB_WITH (combined, pb_transport_sockets_tls_v3_CommonTlsContext_combined_validation_context(c)) {
		PB_WITH (v, pb_transport_sockets_tls_v3_CommonTlsContext_CombinedCertificateValidationContext_default_validation_context(
		                combined)) {
			downstream_checks_write(v, d);
			trust_write(v, d);
		}
		PB_WITH (
		    sds,
		    pb_transport_sockets_tls_v3_CommonTlsContext_CombinedCertificateValidationContext_validation_context_sds_secret_config(
		        combined))
			cox_tls_sds_secret(sds, d->root);
	}
}

void cox_tls_downstream(struct pb_core_v3_TransportSocket s, const struct cox_downstream_tls *d, struct cox_arena *arena)
{
	struct tls_params params = { d->min_version, d->max_version, d->ciphers, d->curves, d->cipher_n, d->curve_n, false };

	comply(arena, d->compliance, &params);
	pb_core_v3_TransportSocket_name(s, COX_SOCKET_TLS);
	PB_ANY (tls, pb_core_v3_TransportSocket_typed_config(s), pb_transport_sockets_tls_v3_DownstreamTlsContext) {
		PB_WITH (c, pb_transport_sockets_tls_v3_DownstreamTlsContext_common_tls_context(tls)) {
			params_write(c, &params);
			for (size_t i = 0; i < d->cert_n; i++)
				certificate_sds_write(c, d->certs[i]);
			if (d->cert_n == 0)
				certificate_sds_write(c, d->cert);
			alpn_write(c, d->alpn, d->alpn_n);
			downstream_validation_write(c, d);
		}
		pb_transport_sockets_tls_v3_DownstreamTlsContext_require_client_certificate(tls, d->requires_client_cert);
	}
}

static void san_add(const struct cox_tr *t, struct cox_str *sans, size_t *n, struct cox_str trust_domain)
{
	struct cox_str san = cox_arena_printf(t->arena, "spiffe://%.*s/*", COX_FMT(trust_domain));
	for (size_t i = 0; i < *n; i++)
		if (cox_str_eq(sans[i], san))
			return;
	sans[(*n)++] = san;
}

/* Client identities of the mesh: its trust domain and the aliases, and the domains of others whose roots it was given. */
static size_t trust_domain_sans(const struct cox_tr *t, const struct cox_str **out)
{
	const struct cox_mesh_config *mesh = t->s->mesh;
	size_t n = 0, max = mesh->trust_domain_aliases.n + 1;
	for (COX_EACH(struct cox_mesh_ca, ca, mesh->ca_certificates))
		max += ca->trust_domains.n;
	struct cox_str *sans = COX_ARENA_ARRAY(t->arena, struct cox_str, max);
	san_add(t, sans, &n, mesh->trust_domain);
	for (COX_EACH(struct cox_str, alias, mesh->trust_domain_aliases))
		san_add(t, sans, &n, *alias);
	for (COX_EACH(struct cox_mesh_ca, ca, mesh->ca_certificates))
		for (COX_EACH(struct cox_str, domain, ca->trust_domains))
			san_add(t, sans, &n, *domain);
	*out = sans;
	return n;
}

void cox_tls_inbound_mtls(struct pb_core_v3_TransportSocket s, const struct cox_tr *t, const struct cox_str *alpn, size_t alpn_n)
{
	static const struct cox_str ciphers[] = {
		COX_STR_INIT("ECDHE-ECDSA-AES256-GCM-SHA384"),
		COX_STR_INIT("ECDHE-RSA-AES256-GCM-SHA384"),
		COX_STR_INIT("ECDHE-ECDSA-AES128-GCM-SHA256"),
		COX_STR_INIT("ECDHE-RSA-AES128-GCM-SHA256"),
		COX_STR_INIT("AES256-GCM-SHA384"),
		COX_STR_INIT("AES128-GCM-SHA256"),
	};
	const struct cox_mesh_tls *mtls = t->s->mesh->mesh_mtls;
	struct cox_downstream_tls d = {
		.cert = SDS_WORKLOAD,
		.root = SDS_ROOT,
		.alpn = alpn,
		.alpn_n = alpn_n,
		.ciphers = ciphers,
		.cipher_n = COX_LEN(ciphers),
		.min_version = PB_transport_sockets_tls_v3_TlsParameters_TLSv1_2,
		.max_version = PB_transport_sockets_tls_v3_TlsParameters_TLSv1_3,
		.requires_client_cert = true,
		.compliance = t->s->compliance,
	};
	d.san_n = trust_domain_sans(t, &d.sans);
	if (mtls != NULL && mtls->min_protocol_version == COX_TLS_V1_3)
		d.min_version = PB_transport_sockets_tls_v3_TlsParameters_TLSv1_3;
	if (mtls != NULL && mtls->cipher_suites.n > 0) {
		d.ciphers = mtls->cipher_suites.p;
		d.cipher_n = mtls->cipher_suites.n;
	}
	if (mtls != NULL && mtls->ecdh_curves.n > 0) {
		d.curves = mtls->ecdh_curves.p;
		d.curve_n = mtls->ecdh_curves.n;
	}
	cox_tls_downstream(s, &d, t->arena);
}

/* --- upstream ----------------------------------------------------------------------------- */

/* With an agent, files come over SDS, so that their change is seen; without one, Envoy reads them. */
static void upstream_certificate_write(struct pb_transport_sockets_tls_v3_CommonTlsContext c, const struct cox_upstream_tls *u)
{
	const struct cox_client_tls *tls = u->tls;

	if (tls->credential_name.n > 0) {
		certificate_sds_write(c, cox_tls_secret_name(u->arena, tls->credential_name, ""));
	} else if (u->has_sds) {
		certificate_sds_write(
		    c, cox_arena_printf(u->arena, "file-cert:%.*s~%.*s", COX_FMT(tls->client_certificate), COX_FMT(tls->private_key)));
	} else {
		PB_WITH (cert, pb_transport_sockets_tls_v3_CommonTlsContext_tls_certificates(c)) {
			PB_WITH (chain, pb_transport_sockets_tls_v3_TlsCertificate_certificate_chain(cert))
				pb_core_v3_DataSource_filename(chain, tls->client_certificate);
			PB_WITH (key, pb_transport_sockets_tls_v3_TlsCertificate_private_key(cert))
				pb_core_v3_DataSource_filename(key, tls->private_key);
		}
	}
}

static void upstream_file_validation_write(struct pb_transport_sockets_tls_v3_CommonTlsContext c, const struct cox_upstream_tls *u,
                                           const struct cox_str *sans, size_t san_n)
{
	PB_WITH (v, pb_transport_sockets_tls_v3_CommonTlsContext_validation_context(c)) {
		PB_WITH (ca, pb_transport_sockets_tls_v3_CertificateValidationContext_trusted_ca(v))
			pb_core_v3_DataSource_filename(ca, u->tls->ca_certificates.n > 0 ? u->tls->ca_certificates : SYSTEM_ROOTS);
		cox_tls_san_matchers(v, sans, san_n);
		crl_write(v, u->tls->ca_crl);
	}
}

static void upstream_validation_write(struct pb_transport_sockets_tls_v3_CommonTlsContext c, const struct cox_upstream_tls *u)
{
	const struct cox_client_tls *tls = u->tls;
	const struct cox_str *sans = tls->subject_alt_names.n > 0 ? tls->subject_alt_names.p : u->service_sans;
	size_t san_n = tls->subject_alt_names.n > 0 ? tls->subject_alt_names.n : u->service_san_n;

	if (tls->mode == COX_TLS_ISTIO_MUTUAL) {
		validation_sds_write(c, SDS_ROOT, sans, san_n, (struct cox_str){ 0 });
	} else if (tls->insecure_skip_verify.set && tls->insecure_skip_verify.v) {
		PB_WITH (v, pb_transport_sockets_tls_v3_CommonTlsContext_validation_context(c)) {
		}
	} else if (tls->credential_name.n > 0) {
		validation_sds_write(c, cox_tls_secret_name(u->arena, tls->credential_name, "-cacert"), sans, san_n, tls->ca_crl);
	} else if (u->has_sds) {
		struct cox_str file = tls->ca_certificates.n > 0 ? tls->ca_certificates : COX_STR("system");
		validation_sds_write(c, cox_arena_printf(u->arena, "file-root:%.*s", COX_FMT(file)), sans, san_n, tls->ca_crl);
	} else {
		upstream_file_validation_write(c, u, sans, san_n);
	}
}

void cox_tls_upstream(struct pb_core_v3_TransportSocket s, const struct cox_upstream_tls *u)
{
	const struct cox_client_tls *tls = u->tls;
	bool is_mesh = tls->mode == COX_TLS_ISTIO_MUTUAL;
	struct tls_params params = { .min_version = PB_transport_sockets_tls_v3_TlsParameters_TLSv1_2,
		                     .max_version = PB_transport_sockets_tls_v3_TlsParameters_TLSv1_3 };

	if (!is_mesh && u->defaults != NULL) {
		if (u->defaults->min_protocol_version == COX_TLS_V1_3)
			params.min_version = PB_transport_sockets_tls_v3_TlsParameters_TLSv1_3;
		params.ciphers = u->defaults->cipher_suites.p;
		params.cipher_n = u->defaults->cipher_suites.n;
		params.curves = u->defaults->ecdh_curves.p;
		params.curve_n = u->defaults->ecdh_curves.n;
	}
	comply(u->arena, u->compliance, &params);
	COX_ASSERT(!is_mesh || u->has_sds);
	pb_core_v3_TransportSocket_name(s, COX_SOCKET_TLS);
	PB_ANY (ctx, pb_core_v3_TransportSocket_typed_config(s), pb_transport_sockets_tls_v3_UpstreamTlsContext) {
		PB_WITH (c, pb_transport_sockets_tls_v3_UpstreamTlsContext_common_tls_context(ctx)) {
			params_write(c, &params);
			alpn_write(c, u->alpn, u->alpn_n);
			if (is_mesh)
				certificate_sds_write(c, SDS_WORKLOAD);
			else if (tls->mode == COX_TLS_MUTUAL)
				upstream_certificate_write(c, u);
			upstream_validation_write(c, u);
		}
		pb_transport_sockets_tls_v3_UpstreamTlsContext_sni(ctx, tls->sni.n > 0 ? tls->sni : u->default_sni);
	}
}
