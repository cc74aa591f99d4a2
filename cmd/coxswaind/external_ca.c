#include "external_ca.h"
#include "env.h"

#include "base/log.h"
#include "ca/external_signer.h"
#include "ca/kube_signer.h"
#include "kube/file.h"
#include "model/mesh.h"

enum mode { OWN, KUBE, GRPC, UNKNOWN };
struct external_ca {
	const char *root_file; /* NULL: roots come from the mesh configuration alone */
	struct cox_buf root_pem;
	uint64_t stamp; /* of the file that was read */
	struct cox_hash mesh;
	bool has_read;
	char told[256]; /* the last fault: said once */
};

static const char *env(enum env_id id) { return env_given(id); }

static enum mode mode_of_env(void)
{
	struct cox_str name = cox_str_of(env(ENV_EXTERNAL_CA));
	return !name.n                                                 ? OWN
	       : cox_str_eq(name, COX_STR("ISTIOD_RA_KUBERNETES_API")) ? KUBE
	       : cox_str_eq(name, COX_STR("grpc"))                     ? GRPC
	                                                               : UNKNOWN;
}

bool external_ca_is_set(void) { return mode_of_env() != OWN; }
bool external_ca_signs_names(void) { return mode_of_env() != GRPC; }

enum cox_rc external_ca_check(const struct flags *flags, struct cox_err *err)
{
	switch (mode_of_env()) {
	case OWN: return COX_OK;
	case KUBE:
		return flags->config_dir ? cox_err_set(err, COX_EINVAL, NULL, "EXTERNAL_CA=ISTIOD_RA_KUBERNETES_API needs a kube-apiserver")
		                         : COX_OK;
	case GRPC:
		return flags->has_secure_grpc && !flags->tls_cert_file
		           ? cox_err_set(
		                 err, COX_EINVAL, NULL,
		                 "EXTERNAL_CA=grpc: that CA signs no serving certificate; --tlsCertFile and --tlsKeyFile are needed")
		           : COX_OK;
	default:
		return cox_err_set(err, COX_EINVAL, NULL, "EXTERNAL_CA: \"%s\" is not ISTIOD_RA_KUBERNETES_API or grpc",
		                   env(ENV_EXTERNAL_CA));
	}
}

/* As istiod finds it: the mounted root, else (one signer, no domain of signers) that of the cluster. */
static const char *find_root_file(void)
{
	static const char mounted[] = "./etc/external-ca-cert/root-cert.pem";
	if (env(ENV_EXTERNAL_CA_ROOT))
		return env(ENV_EXTERNAL_CA_ROOT);
	if (mode_of_env() == GRPC || cox_kube_file_stamp(mounted))
		return mounted;
	return env(ENV_CERT_SIGNER_DOMAIN) ? NULL : "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";
}

enum cox_rc external_ca_start(struct daemon *d, const struct cox_ca_cb *cb, const struct external_ca_ttl *ttl, struct cox_err *err)
{
	struct cox_str trust_domain = cox_registry_mesh(d->registry)->trust_domain;
	struct external_ca *x = d->external_ca = COX_NEW(struct external_ca);
	x->root_file = find_root_file();
	if (mode_of_env() == KUBE)
		return cox_kube_signer_open(&(struct cox_kube_signer_spec){ .loop = d->loop,
		                                                            .kube = d->kube,
		                                                            .signer = cox_str_of(env(ENV_K8S_SIGNER)),
		                                                            .domain = cox_str_of(env(ENV_CERT_SIGNER_DOMAIN)),
		                                                            .trust_domain = trust_domain,
		                                                            .default_ttl_s = ttl->default_s,
		                                                            .max_ttl_s = ttl->max_s,
		                                                            .deadline_ms = ttl->timeout_s * 1000 },
		                            cb, &d->ca, err);
	return cox_external_signer_open(&(struct cox_external_signer_spec){ .loop = d->loop,
	                                                                    .addr = cox_str_of(env(ENV_EXTERNAL_CA_ADDR)),
	                                                                    .server_name = cox_str_of(env(ENV_EXTERNAL_CA_SERVER_NAME)),
	                                                                    .token_file = env(ENV_EXTERNAL_CA_TOKEN_FILE),
	                                                                    .cert_file = env(ENV_EXTERNAL_CA_CERT_FILE),
	                                                                    .key_file = env(ENV_EXTERNAL_CA_KEY_FILE),
	                                                                    .root_file = x->root_file,
	                                                                    .trust_domain = trust_domain,
	                                                                    .deadline_ms = ttl->timeout_s * 1000 },
	                                cb, &d->ca, err);
}

/* --- roots ------------------------------------------------------------------------------------------------------ */

static void tell(struct external_ca *x, const struct cox_err *err)
{
	if (cox_str_eq(cox_str_of(x->told), cox_str_sub(cox_str_of(err->text), 0, sizeof(x->told) - 1)))
		return;
	cox_str_to_cstr(cox_str_of(err->text), x->told, sizeof(x->told));
	cox_log(COX_LOG_ERROR, "ca", "roots of the CA elsewhere: %s", x->told);
}

static bool read_file(struct external_ca *x, struct cox_err *err)
{
	uint64_t stamp = x->root_file ? cox_kube_file_stamp(x->root_file) : 0;
	COX_AUTO(cox_buf_fini) struct cox_buf pem = { 0 };
	if (!x->root_file || (stamp == x->stamp && stamp))
		return false;
	if (cox_kube_file_read(x->root_file, &pem, err) != COX_OK)
		return false;
	x->stamp = stamp;
	cox_buf_clear(&x->root_pem);
	cox_buf_append_str(&x->root_pem, cox_buf_str(&pem));
	return true;
}

static enum cox_rc set_roots(struct daemon *d, struct cox_err *err)
{
	COX_AUTO(cox_arena_fini) struct cox_arena a = { 0 };
	const struct cox_mesh_config *mesh = cox_registry_mesh(d->registry);
	struct cox_ca_root *roots = COX_ARENA_ARRAY(&a, struct cox_ca_root, mesh->ca_certificates.n + 1);
	size_t n = 0;
	if (d->external_ca->root_pem.n)
		roots[n++] = (struct cox_ca_root){ .pem = cox_buf_str(&d->external_ca->root_pem) };
	for (size_t i = 0; i < mesh->ca_certificates.n; i++) {
		const struct cox_mesh_ca *ca = &mesh->ca_certificates.p[i];
		if (ca->pem.n)
			roots[n++] = (struct cox_ca_root){ ca->pem, ca->cert_signers.p, ca->cert_signers.n };
	}
	return cox_ca_set_roots(d->ca, roots, n, err);
}

void external_ca_refresh(struct daemon *d)
{
	struct external_ca *x = d->external_ca;
	const struct cox_mesh_config *mesh = cox_registry_mesh(d->registry);
	struct cox_hash hash = cox_registry_mesh_hash(d->registry);
	struct cox_err err = { 0 };
	if (!x) {
		for (COX_EACH(struct cox_mesh_ca, ca, mesh->ca_certificates))
			if (ca->cert_signers.n && !ca->trust_domains.n && !cox_hash_eq(hash, d->ca_mesh_told))
				cox_log(COX_LOG_WARN, "ca", "MeshConfig caCertificates: certSigners have no effect without EXTERNAL_CA");
		d->ca_mesh_told = hash;
		return;
	}
	bool is_other = read_file(x, &err) || !x->has_read || !cox_hash_eq(hash, x->mesh);
	if (err.text[0] && (!mesh->ca_certificates.n || x->stamp))
		tell(x, &err); /* there may be roots in the mesh configuration instead */
	if (!is_other)
		return;
	x->has_read = true;
	x->mesh = hash;
	if (x->root_pem.n + mesh->ca_certificates.n && set_roots(d, &err) != COX_OK)
		tell(x, &err);
}

void external_ca_stop(struct daemon *d)
{
	if (d->external_ca)
		cox_buf_fini(&d->external_ca->root_pem);
	cox_free(d->external_ca);
	d->external_ca = NULL;
}
