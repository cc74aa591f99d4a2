/*
 * identity_config - how a pod gets its identity, from its environment (the names are pilot-agent's). Pure.
 */
#ifndef COX_AGENT_IDENTITY_CONFIG_H
#define COX_AGENT_IDENTITY_CONFIG_H

#include "agent/bootstrap.h"
#include "base/arena.h"
#include "ca/csr.h"
#include "net/addr.h"
#include "net/grpc_client.h"

enum cox_agent_identity_mode {
	COX_AGENT_IDENTITY_NONE,     /* no certificate at all: a lab without TLS */
	COX_AGENT_IDENTITY_CSR,      /* asked for at the CA, renewed */
	COX_AGENT_IDENTITY_FILES,    /* somebody writes files (FILE_MOUNTED_CERTS, workload-spiffe-credentials) */
	COX_AGENT_IDENTITY_EXTERNAL, /* somebody else serves the socket (SPIRE) */
};

enum { COX_AGENT_HEADERS_MAX = 32 };

struct cox_agent_headers {
	struct cox_grpc_kv items[COX_AGENT_HEADERS_MAX];
	size_t n;
};

/* One server that the agent calls. */
struct cox_agent_endpoint {
	struct cox_addr addr;
	const char *server_name; /* SNI, and what its certificate must be for */
	const char *root_file;   /* "SYSTEM": the roots of the operating system */
	bool is_plain;           /* no TLS */
	struct cox_agent_headers headers;
};

/* Text lives in the arena given to read. */
struct cox_agent_identity_config {
	enum cox_agent_identity_mode mode;
	struct cox_agent_endpoint ca, xds;
	const char *token_file;
	const char *const *token_command;              /* prints the token, in the place of the file; NULL: none. NULL at the end */
	const char *prov_cert, *output_certs;          /* directories with cert-chain.pem, key.pem, root-cert.pem; NULL: none */
	const char *chain_file, *key_file, *root_file; /* COX_AGENT_IDENTITY_FILES; else where they would be (see below) */
	const char *crl_file;                          /* of the mesh's CA, mounted where there is one; NULL: not looked for */
	const char *sds_path, *xds_path;               /* sockets for Envoy */
	struct cox_str spiffe_id, cert_signer;
	enum cox_key_type key_type;
	bool sec1_or_pkcs1; /* the form of the key, for who reads OUTPUT_CERTS */
	int64_t ttl_s;
	double grace_ratio, grace_jitter; /* renewed when this share of the lifetime is left */
	int64_t rotation_jitter_ms;       /* a rotation's renewals are spread over this long */
	bool has_dns_capture;             /* the name table is wanted */
};

/* `secrets_dir` (/var/run/secrets) and `config_dir` are where sockets and mounted files are; `off` gives COX_AGENT_IDENTITY_NONE. The mode
 * is never EXTERNAL: who opens the socket finds that out; and with CSR, who finds chain_file, key_file and root_file (the directory
 * workload-spiffe-credentials) takes them instead of asking. COX_EINVAL names the variable. */
COX_MUST_USE enum cox_rc cox_agent_identity_config_read(const struct cox_agent_bootstrap *b, const char *secrets_dir,
                                                        const char *config_dir, bool off, struct cox_arena *arena,
                                                        struct cox_agent_identity_config *out, struct cox_err *err);

#endif
