/*
 * gateway - Gateway (networking.istio.io), every field of it.
 */
#ifndef COX_MODEL_GATEWAY_H
#define COX_MODEL_GATEWAY_H

#include "model/common.h"

enum cox_server_tls_mode {
	COX_SERVER_TLS_PASSTHROUGH,
	COX_SERVER_TLS_SIMPLE,
	COX_SERVER_TLS_MUTUAL,
	COX_SERVER_TLS_AUTO_PASSTHROUGH,
	COX_SERVER_TLS_ISTIO_MUTUAL,
	COX_SERVER_TLS_OPTIONAL_MUTUAL,
};
enum cox_tls_version { COX_TLS_AUTO, COX_TLS_V1_0, COX_TLS_V1_1, COX_TLS_V1_2, COX_TLS_V1_3 }; /* TLS_AUTO, TLSV1_0, ... */
struct cox_tls_certificate {
	struct cox_str server_certificate, private_key, ca_certificates;
};
struct cox_server_tls {
	bool https_redirect;
	int mode;
	struct cox_str server_certificate, private_key, ca_certificates, ca_crl, credential_name, ca_cert_credential_name;
	COX_LIST(struct cox_str) credential_names, subject_alt_names, verify_certificate_spki, verify_certificate_hash, cipher_suites,
	    ecdh_curves;
	COX_LIST(struct cox_tls_certificate) tls_certificates;
	int min_protocol_version, max_protocol_version;
	struct cox_opt_bool insecure_skip_verify;
};
struct cox_server {
	const struct cox_port *port;
	struct cox_str bind, name, default_endpoint;
	COX_LIST(struct cox_str) hosts;
	const struct cox_server_tls *tls;
};
struct cox_gateway {
	COX_LIST(struct cox_server) servers;
	COX_LIST(struct cox_kv) selector;
};
struct cox_gateway_object {
	const struct cox_gateway *spec;
};

#endif
