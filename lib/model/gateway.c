#include "model/gateway.h"
#include "model/tables_priv.h"

#include <stdio.h>

#define VERSIONS ENUM("TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3")

static const struct cox_field tls_certificate_fields[] = {
	F(tls_certificate, server_certificate, "serverCertificate", STR, "File with the certificate."),
	F(tls_certificate, private_key, "privateKey", STR, "File with the key."),
	F(tls_certificate, ca_certificates, "caCertificates", STR, "File with the clients' authorities.", .flags = COX_F_NO_EFFECT),
};
static MESSAGE(tls_certificate, "TLSCertificate", "One certificate of several.");

static const struct cox_field server_tls_fields[] = {
	F(server_tls, https_redirect, "httpsRedirect", BOOL, "Answers plain HTTP with a redirect to HTTPS."),
	F(server_tls, mode, "mode", ENUM, "Whether TLS is terminated here, and how.",
	  ENUM("PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL")),
	F(server_tls, server_certificate, "serverCertificate", STR, "File with the server's certificate."),
	F(server_tls, private_key, "privateKey", STR, "File with the server's key."),
	F(server_tls, ca_certificates, "caCertificates", STR, "File with the clients' authorities (mode MUTUAL)."),
	F(server_tls, ca_crl, "caCrl", STR, "File with a list of revoked certificates."),
	F(server_tls, credential_name, "credentialName", STR, "Secret with certificate and key, and the clients' authorities."),
	F(server_tls, credential_names, "credentialNames", STR, "Several such secrets, as for RSA and ECDSA.", LIST, .max_items = 2),
	F(server_tls, ca_cert_credential_name, "caCertCredentialName", STR,
	  "Secret or ConfigMap with the clients' authorities (mode MUTUAL)."),
	F(server_tls, subject_alt_names, "subjectAltNames", STR, "Names of which a client's certificate must have one.", LIST),
	F(server_tls, verify_certificate_spki, "verifyCertificateSpki", STR, "Base64 SHA-256 of public keys that clients may have.", LIST),
	F(server_tls, verify_certificate_hash, "verifyCertificateHash", STR, "Hex SHA-256 of certificates that clients may have.", LIST),
	F(server_tls, min_protocol_version, "minProtocolVersion", ENUM, "Lowest TLS version.", VERSIONS),
	F(server_tls, max_protocol_version, "maxProtocolVersion", ENUM, "Highest TLS version.", VERSIONS),
	F(server_tls, cipher_suites, "cipherSuites", STR, "Cipher suites up to TLS 1.2, by OpenSSL's names.", LIST),
	F(server_tls, ecdh_curves, "ecdhCurves", STR, "Curves for the key exchange.", LIST),
	F(server_tls, tls_certificates, "tlsCertificates", MSG, "Several certificates by file, as for RSA and ECDSA.", LIST,
	  SUB(tls_certificate), .max_items = 2),
	F(server_tls, insecure_skip_verify, "insecureSkipVerify", OPT_BOOL, "Takes client certificates of any authority."),
};

static bool is_terminating(int mode)
{
	return mode == COX_SERVER_TLS_SIMPLE || mode == COX_SERVER_TLS_MUTUAL || mode == COX_SERVER_TLS_OPTIONAL_MUTUAL;
}

static void terminating_check(const struct cox_server_tls *v, const char *path, struct cox_diags *d)
{
	bool secret = v->credential_name.n || v->credential_names.n;
	bool client_ca = v->mode != COX_SERVER_TLS_SIMPLE;
	if (v->credential_name.n && v->credential_names.n)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "only one of credentialName, credentialNames may be set");
	if (v->tls_certificates.n && (v->server_certificate.n || v->private_key.n))
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "only one of tlsCertificates, serverCertificate may be set");
	if (secret && (v->server_certificate.n || v->tls_certificates.n))
		cox_diag_add(d, COX_SEV_WARNING, 0, path, "credentialName wins over the files that are named as well");
	for (COX_EACH(struct cox_tls_certificate, c, v->tls_certificates))
		if (!c->server_certificate.n || !c->private_key.n)
			cox_diag_add(d, COX_SEV_ERROR, 0, path, "every item of tlsCertificates needs serverCertificate and privateKey");
	if (!secret && !v->tls_certificates.n && (!v->server_certificate.n || !v->private_key.n))
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "this mode needs credentialName, or serverCertificate and privateKey");
	else if (client_ca && !secret && !v->ca_certificates.n && !v->ca_cert_credential_name.n && !v->insecure_skip_verify.v)
		cox_diag_add(d, COX_SEV_ERROR, 0, path,
		             "mode MUTUAL and OPTIONAL_MUTUAL need caCertificates, caCertCredentialName or credentialName");
}

static void server_tls_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_server_tls *v = value;
	bool certificates = v->server_certificate.n || v->private_key.n || v->ca_certificates.n || v->credential_name.n ||
	                    v->credential_names.n || v->tls_certificates.n;
	bool passes = v->mode == COX_SERVER_TLS_PASSTHROUGH || v->mode == COX_SERVER_TLS_AUTO_PASSTHROUGH;
	if (is_terminating(v->mode))
		terminating_check(v, path, d);
	else if (v->mode == COX_SERVER_TLS_ISTIO_MUTUAL && certificates)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "mode ISTIO_MUTUAL uses the mesh's own certificates; no others may be named");
	else if (passes && certificates)
		cox_diag_add(d, COX_SEV_WARNING, 0, path, "certificates have no effect where TLS is passed through");
	if (v->min_protocol_version == 1 || v->min_protocol_version == 2)
		cox_diag_add(d, COX_SEV_WARNING, 0, path, "minProtocolVersion: TLS below 1.2 is not secure");
	if (v->min_protocol_version && v->max_protocol_version && v->min_protocol_version > v->max_protocol_version)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "minProtocolVersion is above maxProtocolVersion");
}
MESSAGE(server_tls, "ServerTLSSettings", "TLS of connections from clients.", .check = server_tls_check,
        RULES({ "!has(self.credentialNames) || !(has(self.credentialName) || has(self.tlsCertificates))",
                "credentialNames excludes credentialName and tlsCertificates" }));

static const struct cox_field server_fields[] = {
	F(server, port, "port", MSG, "The port on which the gateway listens.", REQUIRED, SUB(port)),
	F(server, bind, "bind", STR, "Address to listen on; all by default.", .pattern = "bind"),
	F(server, hosts, "hosts", STR, "Hosts that are served: \"host\" or \"namespace/host\"; '*' may stand for the first labels.",
	  .flags = COX_F_LIST | COX_F_REQUIRED, .pattern = "serverHost"),
	F(server, tls, "tls", MSG, "TLS of connections from clients.", SUB(server_tls)),
	F(server, default_endpoint, "defaultEndpoint", STR, "Not implemented.", .flags = COX_F_NO_EFFECT),
	F(server, name, "name", STR, "Name of the server, in metrics."),
};
static void server_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_server *v = value;
	if (!v->hosts.n)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "hosts must not be empty");
	if (!v->port)
		return;
	if (!v->port->name.n)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "port.name must be set");
	if (!v->port->protocol.n)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "port.protocol must be set: HTTP, HTTPS, GRPC, GRPC-WEB, HTTP2, MONGO, TCP or TLS");
	if (v->port->target_port.set)
		cox_diag_add(d, COX_SEV_WARNING, 0, path, "port.targetPort has no effect");
	bool tls = cox_model_protocol_is_tls(v->port->protocol), http = cox_model_protocol_is_http(v->port->protocol);
	if (tls && !v->tls)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "a port of protocol %.*s needs tls", COX_FMT(v->port->protocol));
	if (http && v->tls && (v->tls->mode != COX_SERVER_TLS_PASSTHROUGH || v->tls->server_certificate.n || v->tls->credential_name.n))
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "a port of protocol %.*s takes no tls but httpsRedirect; use HTTPS",
		             COX_FMT(v->port->protocol));
	if (tls && v->tls && v->tls->https_redirect)
		cox_diag_add(d, COX_SEV_WARNING, 0, path, "tls.httpsRedirect has an effect on plain HTTP ports only");
	for (COX_EACH(struct cox_str, h, v->hosts))
		for (size_t i = 0; i < (size_t)(h - v->hosts.p); i++)
			if (cox_str_eq(v->hosts.p[i], *h))
				cox_diag_add(d, COX_SEV_ERROR, 0, path, "the host %.*s stands twice in hosts", COX_FMT(*h));
}
static MESSAGE(server, "Server", "A port and the hosts that are served on it.", .check = server_check);

static const struct cox_field gateway_fields[] = {
	F(gateway, servers, "servers", MSG, "Ports and the hosts that are served on them.", LIST, SUB(server)),
	F(gateway, selector, "selector", STR_MAP, "Labels of the gateway's pods, all of them.", .pattern = "labels"),
};
static void gateway_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_gateway *v = value;
	if (!v->servers.n)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "servers must not be empty");
	for (size_t i = 0; i < v->servers.n; i++)
		for (size_t k = 0; k < i; k++) {
			const struct cox_port *a = v->servers.p[i].port, *b = v->servers.p[k].port;
			if (a && b && a->name.n && cox_str_eq(a->name, b->name))
				cox_diag_add(d, COX_SEV_ERROR, 0, path, "two servers have ports named %.*s; the names must differ",
				             COX_FMT(a->name));
		}
}
static MESSAGE(gateway, "GatewaySpec", "What a gateway listens for.", .check = gateway_check);

static const struct cox_field gateway_object_fields[] = {
	F(gateway_object, spec, "spec", MSG, "What a gateway listens for.", REQUIRED, SUB(gateway)),
};
OBJECT(gateway, gateway_object, "Gateway", "Ports, hosts and TLS of a proxy at the edge of the mesh.", .open = true);
