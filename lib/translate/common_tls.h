/*
 * common_tls - transport sockets: TLS towards upstreams and from downstreams, and the references to the secrets in them.
 * Secret names are Istio's (protocol facts, section 3): "default" and "ROOTCA" from the agent (cluster sds-grpc), "file-cert:..."
 * from the agent, "kubernetes://..." over ADS from us.
 * Pure; writes into open messages. Proxies without an agent that serves workload certificates (view.has_sds false) must not get a
 * socket that needs them: inbound mTLS is the caller's not to ask for; files are named directly in upstream sockets.
 */
#ifndef COX_TRANSLATE_COMMON_TLS_H
#define COX_TRANSLATE_COMMON_TLS_H

#include "envoy/api.h"
#include "model/common.h"
#include "translate/translate.h"

#define COX_SOCKET_TLS COX_STR("envoy.transport_sockets.tls")
#define COX_SOCKET_RAW COX_STR("envoy.transport_sockets.raw_buffer")

/* "kubernetes://name", or as written where the credential has a scheme of its own; builtin:// means the workload's. `suffix`: "" or
 * "-cacert". */
struct cox_str cox_tls_secret_name(struct cox_arena *a, struct cox_str credential, const char *suffix);
/* We serve it, over ADS; else the agent does. */
bool cox_tls_secret_is_ours(struct cox_str name);
/* One SDS reference; where it is fetched follows from the name ("kubernetes://" and "configmap://": ADS; else sds-grpc). */
void cox_tls_sds_secret(struct pb_transport_sockets_tls_v3_SdsSecretConfig c, struct cox_str name);
/* SAN matchers: exact, or with a trailing '*' a prefix. */
void cox_tls_san_matchers(struct pb_transport_sockets_tls_v3_CertificateValidationContext v, const struct cox_str *sans, size_t n);

/* What a downstream TLS context is made of. */
struct cox_downstream_tls {
	struct cox_str cert, root;   /* SDS names; root empty: no client certificate is checked */
	const struct cox_str *certs; /* more than one certificate (Gateway credentialNames); used instead of `cert` when n > 0 */
	size_t cert_n;
	const struct cox_str *sans; /* of the client; prefix form with a trailing '*' */
	size_t san_n;
	const struct cox_str *alpn;
	size_t alpn_n;
	const struct cox_str *ciphers, *curves, *spki, *hashes;
	size_t cipher_n, curve_n, spki_n, hash_n;
	int min_version, max_version; /* enum pb_transport_sockets_tls_v3_TlsParameters_TlsProtocol; 0: not written */
	bool requires_client_cert;
	struct cox_str crl;             /* file name in the proxy; empty: none */
	bool accepts_untrusted;         /* certificates of any authority (insecureSkipVerify) */
	enum cox_compliance compliance; /* narrows versions, ciphers and curves */
};
/* Writes the socket with name and context. */
void cox_tls_downstream(struct pb_core_v3_TransportSocket s, const struct cox_downstream_tls *d, struct cox_arena *arena);
/* Inbound workload mTLS: SDS default and ROOTCA, the mesh's ciphers, client SANs of the trust domains. */
void cox_tls_inbound_mtls(struct pb_core_v3_TransportSocket s, const struct cox_tr *t, const struct cox_str *alpn, size_t alpn_n);
void cox_tls_raw(struct pb_core_v3_TransportSocket s);

/* What an upstream TLS context is made of, beside DestinationRule's settings. */
struct cox_upstream_tls {
	const struct cox_client_tls *tls;   /* mode MUTUAL, SIMPLE, ISTIO_MUTUAL */
	struct cox_str default_sni;         /* where the settings name none */
	const struct cox_str *service_sans; /* of the service and its accounts: used where the settings name none */
	size_t service_san_n;
	const struct cox_str *alpn;
	size_t alpn_n;
	struct cox_arena *arena; /* of the job */
	enum cox_compliance compliance;
	const struct cox_mesh_tls *defaults; /* MeshConfig's tlsDefaults: count unless ISTIO_MUTUAL. May be NULL */
	bool has_sds;                        /* else files are read by Envoy itself, not through the agent */
};
/* ISTIO_MUTUAL with has_sds false asserts. */
void cox_tls_upstream(struct pb_core_v3_TransportSocket s, const struct cox_upstream_tls *u);

#endif
