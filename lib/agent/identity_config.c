#include "agent/identity_config.h"

#include "agent/node_priv.h"
#include "ca/spiffe.h"
#include "codec/fields.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <math.h>
#include <stdio.h>

static const int64_t ttl_default_s = 24 * 3600, ttl_max_s = 366LL * 24 * 3600;
enum {
	ROTATION_JITTER_MS = 3000,
	ROTATION_JITTER_MAX_MS = 3600 * 1000,
	NS_PER_S = 1000000000,
	NS_PER_MS = 1000000,
	PLAIN_PORT = 15010,
	TLS_PORT = 15012
};

static struct cox_str env_of(const struct cox_agent_bootstrap *b, const char *name) { return cox_str_trim(cox_agent_env(b->env, name)); }

static struct cox_str env_or(const struct cox_agent_bootstrap *b, const char *name, struct cox_str fallback)
{
	struct cox_str v = env_of(b, name);
	return v.n ? v : fallback;
}

static bool env_is_true(const struct cox_agent_bootstrap *b, const char *name)
{
	struct cox_str v = env_of(b, name);
	return cox_str_eq(v, COX_STR("true")) || cox_str_eq(v, COX_STR("1"));
}

static const char *path_of(struct cox_arena *arena, const char *dir, const char *name)
{
	return cox_arena_printf(arena, "%s/%s", dir, name).p;
}

/* --- servers ------------------------------------------------------------------------------ */

static bool is_plain_name(struct cox_str host)
{
	char text[64];
	unsigned char bytes[16];
	cox_str_to_cstr(host, text, sizeof(text));
	return !cox_str_eq(host, COX_STR("localhost")) && inet_pton(AF_INET, text, bytes) != 1 && inet_pton(AF_INET6, text, bytes) != 1;
}

/* The certificate of the control plane has the names of its Service: an address is checked against the default one. */
static void set_name(const struct cox_agent_bootstrap *b, struct cox_arena *arena, struct cox_agent_endpoint *e)
{
	struct cox_str san = env_of(b, "ISTIOD_SAN"), host = cox_str_of(e->addr.host);
	struct cox_str name = san.n ? san : is_plain_name(host) ? host : COX_STR("istiod.istio-system.svc");
	e->server_name = cox_arena_str(arena, name).p;
}

/* XDS_HEADER_X_Y=z is the header "x_y: z". */
static void add_headers(const struct cox_agent_bootstrap *b, struct cox_arena *arena, struct cox_str prefix, struct cox_agent_headers *out)
{
	for (const char *const *e = b->env; e && *e; e++) {
		struct cox_str line = cox_str_of(*e);
		ptrdiff_t eq = cox_str_find(line, '=');
		if (eq <= (ptrdiff_t)prefix.n || !cox_str_has_prefix(line, prefix) || out->n == COX_AGENT_HEADERS_MAX)
			continue;
		struct cox_str name = cox_str_sub(line, prefix.n, (size_t)eq - prefix.n);
		char *lower = cox_arena_alloc(arena, name.n);
		bool ok = true;
		for (size_t i = 0; i < name.n; i++) {
			lower[i] = (char)tolower((unsigned char)name.p[i]);
			ok &= isalnum((unsigned char)lower[i]) || lower[i] == '-' || lower[i] == '_' || lower[i] == '.';
		}
		if (ok)
			out->items[out->n++] =
			    (struct cox_grpc_kv){ { lower, name.n }, cox_str_trim(cox_str_sub(line, (size_t)eq + 1, line.n)) };
	}
}

static void set_headers(const struct cox_agent_bootstrap *b, struct cox_arena *arena, struct cox_str prefix, struct cox_agent_headers *out)
{
	out->items[out->n++] = (struct cox_grpc_kv){ COX_STR("clusterid"), env_or(b, "ISTIO_META_CLUSTER_ID", COX_STR("Kubernetes")) };
	add_headers(b, arena, prefix, out);
}

static const char *root_of(const struct cox_agent_bootstrap *b, struct cox_arena *arena, const char *name, const char *secrets_dir,
                           const char *prov_cert)
{
	struct cox_str own = env_of(b, name), provider = env_of(b, "PILOT_CERT_PROVIDER");
	if (own.n)
		return cox_arena_str(arena, own).p;
	if (cox_str_eq(provider, COX_STR("kubernetes")))
		return path_of(arena, secrets_dir, "kubernetes.io/serviceaccount/ca.crt");
	if (cox_str_eq(provider, COX_STR("custom")))
		return "/etc/certs/root-cert.pem";
	if (prov_cert)
		return path_of(arena, prov_cert, "root-cert.pem");
	return path_of(arena, secrets_dir, "istio/root-cert.pem");
}

static enum cox_rc parse_address(struct cox_str text, const char *where, struct cox_addr *out, struct cox_err *err)
{
	enum cox_rc rc = cox_addr_parse(text, out, err);
	if (rc == COX_OK && (out->unix_path[0] || (out->host[0] && out->port)))
		return COX_OK;
	return cox_err_set(err, COX_EINVAL, where, "\"%.*s\" is not host:port", COX_FMT(text));
}

static enum cox_rc set_endpoints(const struct cox_agent_bootstrap *b, const char *secrets_dir, bool off, struct cox_arena *arena,
                                 struct cox_agent_identity_config *c, struct cox_err *err)
{
	struct cox_agent_control_plane control;
	struct cox_str ca = env_of(b, "CA_ADDR");
	COX_TRY(cox_agent_control_plane_read(b, arena, &control, err));
	COX_TRY(parse_address(control.discovery, "discoveryAddress", &c->xds.addr, err));
	COX_TRY(parse_address(ca.n ? ca : control.discovery, "CA_ADDR", &c->ca.addr, err));
	c->xds.is_plain = control.is_plain || c->xds.addr.port == PLAIN_PORT || (off && c->xds.addr.port != TLS_PORT);
	c->ca.is_plain = ca.n ? c->ca.addr.port == PLAIN_PORT : c->xds.is_plain;
	c->xds.root_file = root_of(b, arena, "XDS_ROOT_CA", secrets_dir, c->prov_cert);
	c->ca.root_file = root_of(b, arena, "CA_ROOT_CA", secrets_dir, c->prov_cert);
	set_name(b, arena, &c->xds);
	set_name(b, arena, &c->ca);
	set_headers(b, arena, COX_STR("XDS_HEADER_"), &c->xds.headers);
	set_headers(b, arena, COX_STR("CA_HEADER_"), &c->ca.headers);
	return COX_OK;
}

/* --- the certificate ---------------------------------------------------------------------- */

/* Elliptic keys unless RSA is asked for by its size alone: they cost a tenth in every handshake. */
static enum cox_rc set_key(const struct cox_agent_bootstrap *b, struct cox_agent_identity_config *c, struct cox_err *err)
{
	struct cox_str algorithm = env_of(b, "ECC_SIGNATURE_ALGORITHM"), curve = env_or(b, "ECC_CURVE", COX_STR("P256")),
	               bits = env_of(b, "WORKLOAD_RSA_KEY_SIZE");
	char name[32];
	c->sec1_or_pkcs1 = !env_is_true(b, "PKCS8_KEY");
	if (algorithm.n == 0 && bits.n != 0) {
		snprintf(name, sizeof(name), "RSA%.*s", (int)cox_min_size(bits.n, 8), bits.p);
		if (!cox_key_type_find(cox_str_of(name), &c->key_type))
			return cox_err_set(err, COX_EINVAL, "WORKLOAD_RSA_KEY_SIZE", "\"%.*s\" is not 2048, 3072 or 4096", COX_FMT(bits));
		return COX_OK;
	}
	if (algorithm.n != 0 && !cox_str_eq(algorithm, COX_STR("ECDSA")))
		return cox_err_set(err, COX_EINVAL, "ECC_SIGNATURE_ALGORITHM", "\"%.*s\" is not ECDSA", COX_FMT(algorithm));
	if (!cox_str_has_prefix(curve, COX_STR("P")) || !cox_key_type_find(curve, &c->key_type))
		return cox_err_set(err, COX_EINVAL, "ECC_CURVE", "\"%.*s\" is not P256 or P384", COX_FMT(curve));
	return COX_OK;
}

static enum cox_rc read_share(const struct cox_agent_bootstrap *b, const char *name, double max, double *out, struct cox_err *err)
{
	struct cox_str text = env_of(b, name);
	double v;
	if (text.n == 0)
		return COX_OK;
	if (cox_str_to_f64(text, &v) != COX_OK || !isfinite(v) || v < 0 || v > max)
		return cox_err_set(err, COX_EINVAL, name, "\"%.*s\" is not a number from 0 to %g", COX_FMT(text), max);
	*out = v;
	return COX_OK;
}

static enum cox_rc read_duration(const struct cox_agent_bootstrap *b, const char *name, int64_t min_ns, int64_t max_ns, int64_t unit,
                                 int64_t *out, struct cox_err *err)
{
	struct cox_str text = env_of(b, name);
	int64_t ns;
	if (text.n == 0)
		return COX_OK;
	if (cox_duration_parse(text, &ns) != COX_OK || ns < min_ns || ns > max_ns)
		return cox_err_set(err, COX_EINVAL, name, "\"%.*s\" is not a duration from %llds to %llds", COX_FMT(text),
		                   (long long)(min_ns / NS_PER_S), (long long)(max_ns / NS_PER_S));
	*out = ns / unit;
	return COX_OK;
}

static enum cox_rc set_lifetime(const struct cox_agent_bootstrap *b, struct cox_agent_identity_config *c, struct cox_err *err)
{
	c->ttl_s = ttl_default_s;
	c->grace_ratio = 0.5;
	c->grace_jitter = 0.01;
	c->rotation_jitter_ms = ROTATION_JITTER_MS;
	COX_TRY(read_duration(b, "SECRET_TTL", NS_PER_S, ttl_max_s * NS_PER_S, NS_PER_S, &c->ttl_s, err));
	COX_TRY(read_duration(b, "COXSWAIN_ROTATION_JITTER", 0, (int64_t)ROTATION_JITTER_MAX_MS * NS_PER_MS, NS_PER_MS,
	                      &c->rotation_jitter_ms, err));
	COX_TRY(read_share(b, "SECRET_GRACE_PERIOD_RATIO", 1, &c->grace_ratio, err));
	return read_share(b, "SECRET_GRACE_PERIOD_RATIO_JITTER", 0.5, &c->grace_jitter, err);
}

static enum cox_rc set_spiffe_id(const struct cox_agent_bootstrap *b, struct cox_arena *arena, struct cox_agent_identity_config *c,
                                 struct cox_err *err)
{
	COX_AUTO(cox_buf_fini) struct cox_buf uri = { 0 };
	struct cox_spiffe_id id = { env_or(b, "TRUST_DOMAIN", COX_STR("cluster.local")), env_of(b, "POD_NAMESPACE"),
		                    env_or(b, "SERVICE_ACCOUNT", COX_STR("default")) };
	struct cox_spiffe_id same;
	cox_spiffe_format(&id, &uri);
	enum cox_rc rc = cox_spiffe_parse(cox_buf_str(&uri), &same, err);
	if (rc != COX_OK) {
		cox_err_wrap(err, "TRUST_DOMAIN, POD_NAMESPACE, SERVICE_ACCOUNT");
		return rc;
	}
	c->spiffe_id = cox_arena_str(arena, cox_buf_str(&uri));
	return COX_OK;
}

static void set_files(const struct cox_agent_bootstrap *b, const char *secrets_dir, struct cox_arena *arena,
                      struct cox_agent_identity_config *c)
{
	if (!cox_str_eq(env_of(b, "PILOT_ENABLE_CA_CRL"), COX_STR("false")))
		c->crl_file = path_of(arena, secrets_dir, "istio/crl/ca-crl.pem");
	if (c->mode != COX_AGENT_IDENTITY_FILES) {
		c->chain_file = path_of(arena, secrets_dir, "workload-spiffe-credentials/cert-chain.pem");
		c->key_file = path_of(arena, secrets_dir, "workload-spiffe-credentials/key.pem");
		c->root_file = path_of(arena, secrets_dir, "workload-spiffe-credentials/root-cert.pem");
		return;
	}
	struct cox_str chain = env_or(b, "ISTIO_META_TLS_CLIENT_CERT_CHAIN", COX_STR("/etc/certs/cert-chain.pem"));
	struct cox_str key = env_or(b, "ISTIO_META_TLS_CLIENT_KEY", COX_STR("/etc/certs/key.pem"));
	struct cox_str root = env_or(b, "ISTIO_META_TLS_CLIENT_ROOT_CERT", COX_STR("/etc/certs/root-cert.pem"));
	c->chain_file = cox_arena_str(arena, chain).p;
	c->key_file = cox_arena_str(arena, key).p;
	c->root_file = cox_arena_str(arena, root).p;
}

/* CREDENTIAL_FETCHER_TYPE. A type of a cloud is a command here: whatever prints a token. */
static enum cox_rc set_fetcher(const struct cox_agent_bootstrap *b, struct cox_arena *arena, struct cox_agent_identity_config *c,
                               struct cox_err *err)
{
	struct cox_str type = env_or(b, "CREDENTIAL_FETCHER_TYPE", COX_STR("JWT")), command = env_of(b, "CREDENTIAL_FETCHER_COMMAND");
	if (cox_str_eq(type, COX_STR("JWT")))
		return COX_OK;
	if (!cox_str_eq(type, COX_STR("Exec")))
		return cox_err_set(err, COX_EINVAL, "CREDENTIAL_FETCHER_TYPE", "\"%.*s\" is not JWT or Exec", COX_FMT(type));
	if (command.n == 0)
		return cox_err_set(err, COX_EINVAL, "CREDENTIAL_FETCHER_COMMAND", "is not set; Exec runs it for each token");
	const char **words = COX_ARENA_ARRAY(arena, const char *, command.n / 2 + 2);
	struct cox_str rest = command, word;
	size_t n = 0;
	while (rest.p && cox_str_next(&rest, ' ', &word))
		if ((word = cox_str_trim(word)).n)
			words[n++] = cox_arena_str(arena, word).p;
	words[n] = NULL;
	c->token_command = words;
	return COX_OK;
}

static const char *directory_of(const struct cox_agent_bootstrap *b, struct cox_arena *arena, const char *name)
{
	struct cox_str v = env_of(b, name);
	return v.n ? cox_arena_str(arena, v).p : NULL;
}

enum cox_rc cox_agent_identity_config_read(const struct cox_agent_bootstrap *b, const char *secrets_dir, const char *config_dir, bool off,
                                           struct cox_arena *arena, struct cox_agent_identity_config *out, struct cox_err *err)
{
	struct cox_agent_identity_config c = { .mode = COX_AGENT_IDENTITY_CSR, .cert_signer = env_of(b, "ISTIO_META_CERT_SIGNER") };
	struct cox_str socket = env_or(b, "WORKLOAD_IDENTITY_SOCKET_FILE", COX_STR("socket"));
	c.prov_cert = directory_of(b, arena, "PROV_CERT");
	c.output_certs = directory_of(b, arena, "OUTPUT_CERTS");
	if (off)
		c.mode = COX_AGENT_IDENTITY_NONE;
	else if (env_is_true(b, "FILE_MOUNTED_CERTS"))
		c.mode = COX_AGENT_IDENTITY_FILES;
	if (cox_str_find(socket, '/') >= 0)
		return cox_err_set(err, COX_EINVAL, "WORKLOAD_IDENTITY_SOCKET_FILE",
		                   "\"%.*s\" is a name inside workload-spiffe-uds, not a path", COX_FMT(socket));
	c.sds_path = cox_arena_printf(arena, "%s/workload-spiffe-uds/%.*s", secrets_dir, COX_FMT(socket)).p;
	c.xds_path = path_of(arena, config_dir, "XDS");
	bool is_first_party = cox_str_eq(env_of(b, "JWT_POLICY"), COX_STR("first-party-jwt"));
	c.token_file = path_of(arena, secrets_dir, is_first_party ? "kubernetes.io/serviceaccount/token" : "tokens/istio-token");
	c.has_dns_capture = env_is_true(b, "ISTIO_META_DNS_CAPTURE");
	COX_TRY(set_fetcher(b, arena, &c, err));
	set_files(b, secrets_dir, arena, &c);
	COX_TRY(set_endpoints(b, secrets_dir, off, arena, &c, err));
	if (!off) {
		COX_TRY(set_key(b, &c, err));
		COX_TRY(set_lifetime(b, &c, err));
		COX_TRY(set_spiffe_id(b, arena, &c, err));
	}
	*out = c;
	return COX_OK;
}
